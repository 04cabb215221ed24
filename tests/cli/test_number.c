/* The program's fast reader of numbers against the C library's, which rounds correctly and runs in
 * the C locale. The source of the program is part of this one. */
#include "test.h"

/* NOLINTNEXTLINE(bugprone-suspicious-include): the program is no library that could be linked */
#include "../../examples/cli/number.c"

#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static uint64_t draw(uint64_t bound) {
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (state >> 33) % bound;
}

/* A sign, digits with or without a point, and with or without an exponent. */
static size_t make_number(char *text, size_t digits, int exponent) {
    size_t at = 0;
    if (draw(2))
        text[at++] = '-';
    const size_t point = draw(3) ? draw(digits + 1) : digits;
    for (size_t i = 0; i < digits; i++) {
        if (i == point)
            text[at++] = '.';
        text[at++] = (char)('0' + draw(10));
    }
    text[at] = 0;
    if (exponent)
        at += (size_t)sprintf(text + at, "e%d", exponent);
    return at;
}

static double ulps(double a, double b) {
    const double unit = nextafter(fabs(b), HUGE_VAL) - fabs(b);
    return fabs(a - b) / unit;
}

static void check_read(bool right, const char *text, double value) {
    if (!right)
        printf("\"%s\" is read as %.17g\n", text, value);
    CHECK(right);
}

static void up_to_15_digits_are_exact(void) {
    for (int i = 0; i < 100000; i++) {
        char text[64];
        double value = 0;
        const size_t length = make_number(text, 1 + draw(15), (int)draw(16) - 8);
        CHECK(number_read(text, length, &value));
        check_read(value == strtod(text, NULL), text, value);
    }
}

static void longer_ones_are_near_and_their_floats_exact(void) {
    for (int i = 0; i < 100000; i++) {
        char text[96];
        double value = 0;
        float rounded = 0;
        const size_t length = make_number(text, 16 + draw(10), (int)draw(50) - 40);
        CHECK(number_read(text, length, &value) && number_read_float(text, length, &rounded));
        const double exact = strtod(text, NULL);
        check_read(exact == 0 || ulps(value, exact) <= 2, text, value);
        check_read(rounded == (float)exact, text, (double)rounded);
    }
}

static void times_keep_their_digits(void) {
    double value = 0;
    CHECK(number_read("1764340000123456", 16, &value) && value == 1764340000123456.0);
    CHECK(number_read("-1764340000123", 13 + 1, &value) && value == -1764340000123.0);
    CHECK(number_read("9007199254740993", 16, &value) && value == 9007199254740992.0);
}

static void what_is_no_number_is_refused(void) {
    static const char *const texts[] = {"",     "-",     "+",   ".",     "e5",    "1e",  "1e+",
                                        "1.5x", " 1",    "1 ",  "--1",   "0x1",   "nan", "inf",
                                        "1e39", "-1e39", "1,5", "1e400", "3.5e38"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        double value = 7;
        const bool read = number_read(texts[i], strlen(texts[i]), &value);
        check_read(!read && value == 7, texts[i], value);
    }
}

int main(void) {
    RUN(up_to_15_digits_are_exact);
    RUN(longer_ones_are_near_and_their_floats_exact);
    RUN(times_keep_their_digits);
    RUN(what_is_no_number_is_refused);
    return test_summary();
}
