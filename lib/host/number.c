/* Decimals and doubles by integers of any length: exact, and slow only where a number has many
 * digits. */
#include "number.h"

#include "../base/portability.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------------------------- big integers */

/* A double, or the middle between two neighbours, has at most 767 significant digits. So of a
 * longer number the first 768 decide, followed by a 1 if any digit after them is not 0. */
#define DIGITS_KEPT 768
#define DIGITS_MAX  (DIGITS_KEPT + 1)

/* Decimal points of 0.d1d2d3... x 10^point outside this range are certainly infinite, or certainly
 * less than half the smallest double. */
#define POINT_MAX 309
#define POINT_MIN (-323)

/* The largest integers below are 10^DIGITS_MAX (2555 bits) and 5^(DIGITS_MAX - POINT_MIN) (2536
 * bits), one of them shifted to the length of the other and one bit further. */
#define LIMBS 81

/* A natural number, least significant limb first; the last of `count` limbs is not zero. */
typedef struct natural {
    uint32_t limbs[LIMBS];
    size_t count;
} natural;

/* n = n * factor + addend */
static void multiply_add(natural *n, uint32_t factor, uint32_t addend) {
    uint64_t carry = addend;
    for (size_t i = 0; i < n->count; i++) {
        carry += (uint64_t)n->limbs[i] * factor;
        n->limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry)
        n->limbs[n->count++] = (uint32_t)carry;
}

static void multiply_by_power_of_five(natural *n, size_t power) {
    const uint32_t five_to_13 = 1220703125; /* the largest power in a limb */
    for (; power >= 13; power -= 13)
        multiply_add(n, five_to_13, 0);
    for (; power > 0; power--)
        multiply_add(n, 5, 0);
}

static natural natural_from_digits(const char *digits, size_t count) {
    natural n = {.count = 0};
    for (size_t i = 0; i < count; i++)
        multiply_add(&n, 10, (uint32_t)(digits[i] - '0'));
    return n;
}

static int64_t bit_length(const natural *n) {
    int64_t bits = 32 * ((int64_t)n->count - 1);
    for (uint32_t top = n->limbs[n->count - 1]; top; top >>= 1)
        bits++;
    return bits;
}

static void shift_left(natural *n, int64_t bits) {
    const size_t whole = (size_t)bits / 32;
    memmove(n->limbs + whole, n->limbs, n->count * sizeof n->limbs[0]);
    memset(n->limbs, 0, whole * sizeof n->limbs[0]);
    n->count += whole;
    multiply_add(n, UINT32_C(1) << (bits % 32), 0);
}

static int compare(const natural *a, const natural *b) {
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (size_t i = a->count; i-- > 0;)
        if (a->limbs[i] != b->limbs[i])
            return a->limbs[i] < b->limbs[i] ? -1 : 1;
    return 0;
}

/* a = a - b, where a >= b */
static void subtract(natural *a, const natural *b) {
    uint32_t borrow = 0;
    for (size_t i = 0; i < a->count; i++) {
        const uint64_t taken = (uint64_t)(i < b->count ? b->limbs[i] : 0) + borrow;
        borrow = a->limbs[i] < taken;
        a->limbs[i] = (uint32_t)(a->limbs[i] - taken);
    }
    while (a->count && !a->limbs[a->count - 1])
        a->count--;
}

/* -------------------------------------------------------------------------------------- reading */

/* A number without its sign: 0.d1d2d3... x 10^point. No digits: zero. */
typedef struct decimal {
    char digits[DIGITS_MAX]; /* the first and the last are not '0' */
    size_t count;
    int64_t point;
} decimal;

/* The double nearest to numerator / denominator * 2^exponent, by schoolbook division, one bit at a
 * time. */
static double nearest_quotient(natural *numerator, natural *denominator, int64_t exponent) {
    const int64_t shift = bit_length(numerator) - bit_length(denominator);
    if (shift > 0)
        shift_left(denominator, shift);
    else
        shift_left(numerator, -shift);
    exponent += shift;
    if (compare(numerator, denominator) < 0) {
        shift_left(numerator, 1);
        exponent--;
    }

    /* Now 1 <= numerator / denominator < 2, and subnormal doubles have fewer bits than
     * DBL_MANT_DIG. */
    const int64_t smallest = DBL_MIN_EXP - 1;
    const int64_t bits = DBL_MANT_DIG - (exponent < smallest ? smallest - exponent : 0);
    if (bits < 0)
        return 0.0;
    uint64_t mantissa = 0;
    for (int64_t i = 0; i < bits; i++) {
        const bool one = compare(numerator, denominator) >= 0;
        if (one)
            subtract(numerator, denominator);
        shift_left(numerator, 1);
        mantissa = 2 * mantissa + one;
    }
    const int rest = compare(numerator, denominator); /* with half a unit of the last bit */
    if (rest > 0 || (rest == 0 && mantissa % 2 == 1))
        mantissa++;
    return ldexp((double)mantissa, (int)(exponent - bits + 1));
}

/* The nearest double, infinity where there is none. */
static double nearest_double(const decimal *number) {
    if (number->count == 0 || number->point < POINT_MIN)
        return 0.0;
    if (number->point > POINT_MAX)
        return (double)INFINITY;
    natural numerator = natural_from_digits(number->digits, number->count);
    natural denominator = {.limbs = {1}, .count = 1};
    const int64_t exponent = number->point - (int64_t)number->count; /* 10^e = 5^e * 2^e */
    if (exponent >= 0)
        multiply_by_power_of_five(&numerator, (size_t)exponent);
    else
        multiply_by_power_of_five(&denominator, (size_t)-exponent);
    return nearest_quotient(&numerator, &denominator, exponent);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The integer at text[0 .. length), which may begin with a sign. Held at a size that no number of
 * digits in memory can make up for. */
static int64_t read_exponent(const char *text, size_t length) {
    const int64_t limit = INT64_MAX / 4;
    const bool negative = length && text[0] == '-';
    int64_t value = 0;
    for (size_t i = 0; i < length; i++)
        if (is_digit(text[i]))
            value = value < limit / 10 ? 10 * value + (text[i] - '0') : limit;
    return negative ? -value : value;
}

bool homenumber_read(const char *text, size_t length, double *value) {
    decimal number = {.count = 0};
    bool fraction = false;
    bool dropped = false; /* digits other than 0 after those kept */
    size_t zeros = 0;     /* seen, not yet known to be followed by another digit */
    size_t at = 0;
    for (; at < length && text[at] != 'e' && text[at] != 'E'; at++) {
        if (text[at] == '.')
            fraction = true;
        if (!is_digit(text[at]))
            continue;
        if (text[at] == '0' && number.count == 0) { /* leading zeros */
            number.point -= fraction;
            continue;
        }
        number.point += !fraction;
        if (text[at] == '0') {
            zeros++;
            continue;
        }
        if (number.count + zeros >= DIGITS_KEPT) {
            dropped = true;
            continue;
        }
        memset(number.digits + number.count, '0', zeros);
        number.count += zeros;
        zeros = 0;
        number.digits[number.count++] = text[at];
    }
    if (dropped) {
        memset(number.digits + number.count, '0', DIGITS_KEPT - number.count);
        number.digits[DIGITS_KEPT] = '1';
        number.count = DIGITS_MAX;
    }
    if (at < length)
        number.point += read_exponent(text + at + 1, length - at - 1);

    const double magnitude = nearest_double(&number);
    if (isinf(magnitude))
        return false;
    *value = length && text[0] == '-' ? -magnitude : magnitude;
    return true;
}

/* -------------------------------------------------------------------------------------- writing */

static void drop_last_zeros(decimal *number) {
    while (number->count && number->digits[number->count - 1] == '0')
        number->count--;
}

/* All digits of a double. Of what snprintf writes only digits and exponent are taken: the character
 * between them is the locale's. And it has nothing to round, which it would do as the host's
 * rounding mode says. */
static decimal exact_decimal(double magnitude) {
    char text[DIGITS_KEPT + 16];
    snprintf(text, sizeof text, "%.*e", DIGITS_KEPT - 1, magnitude);
    decimal number = {.count = 0};
    size_t at = 0;
    for (; text[at] != 'e'; at++)
        if (is_digit(text[at]))
            number.digits[number.count++] = text[at];
    number.point = 1 + read_exponent(text + at + 1, strlen(text + at + 1));
    drop_last_zeros(&number);
    return number;
}

/* The nearest number of `digits` significant digits, ties to even. */
static void round_to_digits(decimal *number, size_t digits) {
    if (number->count <= digits)
        return;
    const char *rest = number->digits + digits;
    const bool tie = rest[0] == '5' && number->count == digits + 1;
    const bool up = tie ? (number->digits[digits - 1] - '0') % 2 == 1 : rest[0] >= '5';
    number->count = digits;
    while (up && number->count && number->digits[number->count - 1] == '9')
        number->count--;
    if (up && number->count) {
        number->digits[number->count - 1]++;
    } else if (up) {
        number->digits[number->count++] = '1';
        number->point++;
    }
    drop_last_zeros(number);
}

static decimal shortest_decimal(double magnitude) {
    const decimal exact = exact_decimal(magnitude);
    decimal number = exact;
    for (size_t digits = 1; digits <= DBL_DECIMAL_DIG; digits++) {
        number = exact;
        round_to_digits(&number, digits);
        if (nearest_double(&number) == magnitude)
            break;
    }
    return number;
}

/* Where a plain number would need more zeros than this before or after its digits, or more than
 * PLAIN_MAX digits, it is written with an exponent. */
#define PLAIN_ZEROS 4
#define PLAIN_MAX   17

size_t homenumber_write(double value, char text[HOME_NUMBER_SIZE]) {
    if (!isfinite(value))
        return (size_t)snprintf(text, HOME_NUMBER_SIZE, "null");
    const char *sign = signbit(value) ? "-" : "";
    if (value == 0.0)
        return (size_t)snprintf(text, HOME_NUMBER_SIZE, "%s0", sign);

    const decimal number = shortest_decimal(fabs(value));
    const int count = (int)number.count;
    const int point = (int)number.point;
    int length;
    if (point > count && point <= PLAIN_MAX && point - count <= PLAIN_ZEROS)
        length = snprintf(text, HOME_NUMBER_SIZE, "%s%.*s%.*s", sign, count, number.digits,
                          point - count, "0000");
    else if (point == count)
        length = snprintf(text, HOME_NUMBER_SIZE, "%s%.*s", sign, count, number.digits);
    else if (point > 0 && point < count)
        length = snprintf(text, HOME_NUMBER_SIZE, "%s%.*s.%.*s", sign, point, number.digits,
                          count - point, number.digits + point);
    else if (point <= 0 && -point <= PLAIN_ZEROS)
        length = snprintf(text, HOME_NUMBER_SIZE, "%s0.%.*s%.*s", sign, -point, "0000", count,
                          number.digits);
    else
        length = snprintf(text, HOME_NUMBER_SIZE, "%s%c%s%.*se%d", sign, number.digits[0],
                          count > 1 ? "." : "", count - 1, number.digits + 1, point - 1);
    return (size_t)length;
}

const char *homenumber_brief(double value, char text[HOME_NUMBER_SIZE]) {
    snprintf(text, HOME_NUMBER_SIZE, "%g", value);
    const size_t plain = strspn(text, "+-0123456789");
    /* What is neither a digit nor a letter of "inf" or "nan" is the locale's decimal point. */
    const size_t point = strcspn(text + plain, "+-0123456789aefin");
    if (point > 0) {
        text[plain] = '.';
        memmove(text + plain + 1, text + plain + point, strlen(text + plain + point) + 1);
    }
    return text;
}
