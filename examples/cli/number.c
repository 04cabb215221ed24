#include "number.h"

#include "../../lib/host/number.h"

#include <float.h>
#include <math.h>

/* A decimal number taken apart: sign, digits * 10^exponent. */
typedef struct decimal {
    bool negative;
    uint64_t digits;
    int digit_count; /* significant ones */
    int exponent;
} decimal;

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_sign(const char *p, bool *negative) {
    *negative = *p == '-';
    return p + (*p == '-' || *p == '+');
}

/* Past 19 digits, `digits` would overflow; such numbers are read the exact way. */
static void add_digit(decimal *number, char digit) {
    if (number->digit_count < 19)
        number->digits = number->digits * 10 + (uint64_t)(digit - '0');
    number->digit_count += number->digits != 0;
}

/* NULL where there is no exponent after the `e`. */
static const char *take_exponent(const char *p, decimal *number) {
    bool negative;
    p = skip_sign(p + 1, &negative);
    if (!is_digit(*p))
        return NULL;
    int exponent = 0;
    for (; is_digit(*p); p++) {
        if (exponent < 10000)
            exponent = exponent * 10 + (*p - '0');
    }
    number->exponent += negative ? -exponent : exponent;
    return p;
}

/* The end of the number, NULL where there is none. */
static const char *take_apart(const char *p, decimal *number) {
    p = skip_sign(p, &number->negative);
    const char *whole = p;
    for (; is_digit(*p); p++)
        add_digit(number, *p);
    bool any = p > whole;
    if (*p == '.') {
        const char *fraction = ++p;
        for (; is_digit(*p); p++)
            add_digit(number, *p);
        any = any || p > fraction;
        number->exponent -= (int)(p - fraction);
    }
    if (!any)
        return NULL;
    return *p == 'e' || *p == 'E' ? take_exponent(p, number) : p;
}

/* With up to 19 digits and powers up to 10^22, the product or quotient of two doubles is off by at
 * most two units in the last place. False where that leaves the nearest float undecided, and for
 * longer numbers and larger powers. */
static bool round_fast(const decimal *number, double *value) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const int exponent = number->exponent;
    if (number->digit_count > 19 || exponent > 22 || exponent < -22)
        return false;
    const double digits = number->negative ? -(double)number->digits : (double)number->digits;
    const double about = exponent < 0 ? digits / powers[-exponent] : digits * powers[exponent];
    const double margin = about * 0x1p-51;
    *value = about;
    return fabs(about) < (double)FLT_MAX && (float)(about - margin) == (float)(about + margin);
}

bool number_read(const char *text, size_t length, double *value) {
    decimal number = {0};
    const char *end = take_apart(text, &number);
    if (!end || end != text + length)
        return false;
    double nearest;
    if (!round_fast(&number, &nearest) &&
        (!homenumber_read(text, length, &nearest) || fabs(nearest) > (double)FLT_MAX))
        return false;
    *value = nearest;
    return true;
}

bool number_read_float(const char *text, size_t length, float *value) {
    double exact;
    if (!number_read(text, length, &exact))
        return false;
    *value = (float)exact;
    return true;
}

bool number_read_whole(const char *text, uint64_t *value) {
    if (!is_digit(*text))
        return false;
    uint64_t number = 0;
    for (; is_digit(*text); text++) {
        const uint64_t digit = (uint64_t)(*text - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return *text == 0;
}

const char *number_plural(uint64_t count) {
    return count == 1 ? "" : "s";
}
