/* Exact sums: two doubles are added as IEEE does it, and many are added without a loss. */
#include "metrics/exact.h"
#include "test.h"
#include "unit/fixture.h"

static uint64_t seed = 3;

/* Any sign, and exponents from min to max. */
static double random_double(int min, int max) {
    const double mantissa = random_between(&seed, 1, 2) + random_between(&seed, 0, 1) * 0x1p-52;
    const int exponent = min + (int)(random_bits(&seed) % (uint64_t)(max - min + 1));
    return ldexp(random_bits(&seed) & 1 ? mantissa : -mantissa, exponent);
}

static double sum_of(const double *values, size_t count) {
    homeexact sum = {.added = 0};
    for (size_t i = 0; i < count; i++)
        homeexact_add(&sum, values[i]);
    return homeexact_value(&sum);
}

static void nothing_is_zero(void) {
    CHECK(sum_of(NULL, 0) == 0);
    CHECK(sum_of((const double[]){0, -0.0}, 2) == 0);
}

static void one_number_stays_as_it_is(void) {
    for (int exponent = -459; exponent < 480; exponent++)
        for (int i = 0; i < 8; i++) {
            const double value = random_double(exponent, exponent);
            CHECK(sum_of(&value, 1) == value);
        }
}

/* In the lowest bits, too: the exact sum has at most twice the bits of one. */
static void two_numbers_are_rounded_once(void) {
    for (int i = 0; i < 200000; i++) {
        const int apart = (int)(random_bits(&seed) % 60);
        const double a = random_double(-390, 400);
        const double b = ldexp(random_double(0, 0), ilogb(a) - apart);
        const double sum = a + b;
        const double found = sum_of((const double[]){a, b}, 2);
        if (fabs(found - sum) > fabs(sum) * 0x1p-52) /* the last of two roundings may differ */
            test_fail(__FILE__, __LINE__, "%a + %a is %a, expected %a", a, b, found, sum);
    }
    CHECK(sum_of((const double[]){1, 0x1p-60}, 2) == 1);
    CHECK(sum_of((const double[]){1, -0x1p-53}, 2) == 1 - 0x1p-53);
}

/* Whatever is taken away again leaves what was there, in any order. */
static void what_cancels_is_gone(void) {
    enum { COUNT = 1000 };
    static double values[2 * COUNT + 1];
    for (int round = 0; round < 20; round++) {
        const double rest = random_double(-459, -300);
        for (size_t i = 0; i < COUNT; i++) {
            values[i] = random_double(-459, 460);
            values[COUNT + i] = -values[i];
        }
        values[(size_t)2 * COUNT] = rest;
        for (size_t i = (size_t)2 * COUNT; i > 0; i--) {
            const size_t other = (size_t)(random_bits(&seed) % (i + 1));
            const double moved = values[i];
            values[i] = values[other];
            values[other] = moved;
        }
        CHECK(sum_of(values, (size_t)2 * COUNT + 1) == rest);
    }
}

/* Parts and doublings; 2^60 times a number. */
static void merges_are_sums(void) {
    for (int round = 0; round < 200; round++) {
        const double a = random_double(-459, 400);
        const double b = random_double(-459, 400);
        homeexact x = {.added = 0};
        homeexact y = {.added = 0};
        homeexact_add(&x, a);
        homeexact_add(&y, b);
        for (int i = 0; i < 60; i++)
            homeexact_merge(&x, &x);
        CHECK(homeexact_value(&x) == ldexp(a, 60));
        homeexact_merge(&y, &x);
        homeexact_add(&y, -b);
        CHECK(homeexact_value(&y) == ldexp(a, 60));
    }
}

/* Around the addition that carries, with digits as large as all before it make them. */
static void carries_come_in_time(void) {
    const int64_t before = ((int64_t)1 << 29) - 10;
    const double value = 0x1.fffffp+0;
    homeexact sum = {.added = 0};
    homeexact_add(&sum, value);
    for (size_t i = 0; i < HOMEEXACT_DIGITS; i++)
        sum.digits[i] *= before;
    sum.added = (uint32_t)before;
    homeexact twice = sum;
    homeexact_merge(&twice, &sum);
    CHECK(homeexact_value(&twice) == 2 * value * (double)before);
    for (int i = 0; i < 20; i++)
        homeexact_add(&sum, value);
    CHECK_INTEGER(sum.added, 10);
    for (size_t i = 0; i < HOMEEXACT_DIGITS; i++)
        CHECK(sum.digits[i] < (int64_t)1 << 37);
    CHECK(homeexact_value(&sum) == value * (double)(before + 20));
}

static void bytes_keep_all(void) {
    for (int round = 0; round < 200; round++) {
        unsigned char bytes[128];
        homeexact sum = {.added = 0};
        for (int i = 0; i < 10; i++)
            homeexact_add(&sum, random_double(-459, 470));
        homebytes_writer out = {.bytes = bytes};
        homeexact_put(&out, &sum);
        CHECK_INTEGER(out.used, sizeof bytes);
        homebytes_reader in = {.next = bytes, .left = sizeof bytes};
        homeexact again = homeexact_get(&in);
        CHECK(!in.failed && in.left == 0);
        CHECK(homeexact_value(&again) == homeexact_value(&sum));
        homeexact negative = {.added = 0};
        for (size_t i = 0; i < HOMEEXACT_DIGITS; i++)
            negative.digits[i] = -again.digits[i];
        homeexact_merge(&sum, &negative);
        CHECK(homeexact_value(&sum) == 0);
    }
}

int main(void) {
    RUN(nothing_is_zero);
    RUN(one_number_stays_as_it_is);
    RUN(two_numbers_are_rounded_once);
    RUN(what_cancels_is_gone);
    RUN(merges_are_sums);
    RUN(carries_come_in_time);
    RUN(bytes_keep_all);
    return test_summary();
}
