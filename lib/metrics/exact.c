/* A small superaccumulator (Kulisch, "Computer arithmetic and validity", 2008). */
#include "exact.h"

#include "../base/little_endian.h"

#include <math.h>
#include <string.h>

#define DIGIT      ((uint64_t)1 << 32)
#define MAX_ADDED  ((uint32_t)1 << 29) /* digits are then below 2^62, and those of two sums fit */
#define LOWEST_BIT 512                 /* the first digit begins at 2^-512 */

/* Leaves all digits but the last in [0, 2^32): one form for each value. */
static void carry(homeexact *sum) {
    for (size_t i = 0; i + 1 < HOMEEXACT_DIGITS; i++) {
        const int64_t low = (int64_t)((uint64_t)sum->digits[i] & (DIGIT - 1));
        sum->digits[i + 1] += (sum->digits[i] - low) / (int64_t)DIGIT;
        sum->digits[i] = low;
    }
    sum->added = 0;
}

/* value = +- mantissa 2^(exponent - 1075) falls into three digits. */
void homeexact_add(homeexact *sum, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const unsigned exponent = (unsigned)(bits >> 52 & 2047);
    if (exponent == 0)
        return;
    const uint64_t mantissa = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    const unsigned place = exponent - (1075 - LOWEST_BIT);
    const unsigned shift = place % 32;
    const uint64_t high = mantissa >> (32 - shift);
    const int64_t sign = bits >> 63 ? -1 : 1;
    int64_t *digits = sum->digits + place / 32;
    digits[0] += sign * (int64_t)(mantissa << shift & (DIGIT - 1));
    digits[1] += sign * (int64_t)(high & (DIGIT - 1));
    digits[2] += sign * (int64_t)(high >> 32);
    if (++sum->added == MAX_ADDED)
        carry(sum);
}

void homeexact_merge(homeexact *into, const homeexact *from) {
    for (size_t i = 0; i < HOMEEXACT_DIGITS; i++)
        into->digits[i] += from->digits[i];
    carry(into);
}

/* The first three digits that are not 0 have at least 65 bits, more than a double. */
double homeexact_value(const homeexact *sum) {
    homeexact magnitude = *sum;
    carry(&magnitude);
    const bool negative = magnitude.digits[HOMEEXACT_DIGITS - 1] < 0;
    for (size_t i = 0; negative && i < HOMEEXACT_DIGITS; i++)
        magnitude.digits[i] = -magnitude.digits[i];
    carry(&magnitude);
    size_t top = HOMEEXACT_DIGITS - 1;
    while (top > 2 && magnitude.digits[top] == 0)
        top--;
    double value = 0;
    for (size_t i = top - 2; i <= top; i++)
        value += ldexp((double)magnitude.digits[i], 32 * (int)i - LOWEST_BIT);
    return negative ? -value : value;
}

void homeexact_put(homebytes_writer *out, const homeexact *sum) {
    homeexact carried = *sum;
    carry(&carried);
    for (size_t i = 0; i < HOMEEXACT_DIGITS; i++)
        homebytes_put_32(out, (uint32_t)((uint64_t)carried.digits[i] & (DIGIT - 1)));
}

homeexact homeexact_get(homebytes_reader *in) {
    homeexact sum = {.added = 0};
    for (size_t i = 0; i < HOMEEXACT_DIGITS; i++)
        sum.digits[i] = homebytes_get_32(in);
    int64_t *last = &sum.digits[HOMEEXACT_DIGITS - 1];
    if (*last == (int64_t)(DIGIT - 1)) /* a negative number */
        *last = -1;
    in->failed = in->failed || *last > 0;
    return sum;
}
