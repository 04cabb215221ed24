/* Sums of doubles without rounding, so that they do not depend on the order of what is added, nor
 * on how it was spread over threads and machines. */
#ifndef HOME_EXACT_H
#define HOME_EXACT_H

#include "bytes.h"

/* Fixed point, 1024 bits: sum_i digits[i] 2^(32 i - 512). Digits are wider than 32 bits and signed,
 * so that most additions need no carry. What is added is 0 or has a magnitude from 2^-459 to 2^479:
 * products of three floats lie far inside. */
enum { HOMEEXACT_DIGITS = 32 };
typedef struct homeexact {
    int64_t digits[HOMEEXACT_DIGITS];
    uint32_t added; /* since the last carry */
} homeexact;

void homeexact_add(homeexact *sum, double value);
void homeexact_merge(homeexact *into, const homeexact *from); /* may be the same */
double homeexact_value(const homeexact *sum);                 /* rounded */

/* 1024 bits in two's complement. What was read is below 2^480, so sums of many do not overflow. */
void homeexact_put(homebytes_writer *out, const homeexact *sum);
homeexact homeexact_get(homebytes_reader *in);

#endif
