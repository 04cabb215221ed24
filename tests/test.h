/* A tiny test harness.
 *
 *     static void adds(void) { CHECK(1 + 1 == 2); }
 *     int main(void) { RUN(adds); return test_summary(); }
 *
 * A case is what RUN() runs, or what stands between test_begin() and test_end(). Every failed check
 * prints one line; a case without any has passed.
 *
 * TEST_CASE=text in the environment chooses the cases that have the text in their names. RUN()
 * leaves the others out. A block between test_begin() and test_end() always runs, because the next
 * one may need what it leaves behind, but its checks count only if it is chosen. A program none of
 * whose cases is chosen fails. */
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_LINES_PER_CASE 10 /* a case that fails everywhere shall not flood the log */
#define TEST_NONE_CHOSEN    5  /* exit status; tests/run.sh and tests/test.sh know it too */

static struct {
    char name[160];
    bool left_out; /* the case that runs is not one that TEST_CASE chooses */
    int case_failures;
    int passed;
    int failed;
    int skipped;
} test_state;

static inline const char *test_filter(void) {
    const char *text = getenv("TEST_CASE");
    return text && *text ? text : NULL;
}

static inline void test_begin(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(test_state.name, sizeof test_state.name, format, arguments);
    va_end(arguments);
    test_state.case_failures = 0;
    const char *filter = test_filter();
    test_state.left_out = filter && !strstr(test_state.name, filter);
}

static inline void test_end(void) {
    const bool left_out = test_state.left_out;
    test_state.left_out = false;
    if (left_out)
        return;
    if (test_state.case_failures > TEST_LINES_PER_CASE)
        printf("%s: %d more failures\n", test_state.name,
               test_state.case_failures - TEST_LINES_PER_CASE);
    if (test_state.case_failures)
        test_state.failed++;
    else
        test_state.passed++;
    fflush(stdout);
}

static inline void test_fail(const char *file, int line, const char *format, ...) {
    if (++test_state.case_failures > TEST_LINES_PER_CASE || test_state.left_out)
        return;
    va_list arguments;
    va_start(arguments, format);
    printf("%s:%d: %s: ", file, line, test_state.name);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

/* Says why a case cannot run here. */
static inline void test_skip(const char *why) {
    if (test_state.left_out)
        return;
    printf("skipped: %s: %s\n", test_state.name, why);
    test_state.skipped++;
}

/* The program's last line and exit status. */
static inline int test_summary(void) {
    const char *filter = test_filter();
    const bool none = filter && !(test_state.passed + test_state.failed + test_state.skipped);
    if (none)
        printf("no case has \"%s\" in its name\n", filter);
    printf("%d passed, %d failed", test_state.passed, test_state.failed);
    if (test_state.skipped)
        printf(", %d skipped", test_state.skipped);
    printf("\n");
    return none ? TEST_NONE_CHOSEN : test_state.failed != 0;
}

static inline bool test_check_near(double actual, double expected, double tolerance,
                                   const char *text, const char *file, int line) {
    if (fabs(actual - expected) <= tolerance) /* false for NaN */
        return true;
    test_fail(file, line, "%s is %.9g, expected %.9g, off by %.3g, allowed %.3g", text, actual,
              expected, actual - expected, tolerance);
    return false;
}

static inline bool test_check_integer(long long actual, long long expected, const char *text,
                                      const char *file, int line) {
    if (actual == expected)
        return true;
    test_fail(file, line, "%s is %lld, expected %lld", text, actual, expected);
    return false;
}

static inline bool test_check_text(const char *actual, const char *part, const char *text,
                                   const char *file, int line) {
    if (actual && strstr(actual, part))
        return true;
    test_fail(file, line, "%s is \"%s\", which does not contain \"%s\"", text,
              actual ? actual : "(null)", part);
    return false;
}

static inline bool test_check_bytes(const void *actual, const void *expected, size_t size,
                                    const char *text, const char *file, int line) {
    const unsigned char *a = actual;
    const unsigned char *b = expected;
    for (size_t i = 0; i < size; i++)
        if (a[i] != b[i]) {
            test_fail(file, line, "%s: byte %zu of %zu is %02x, expected %02x", text, i, size, a[i],
                      b[i]);
            return false;
        }
    return true;
}

/* Each check tells whether it held. */
#define CHECK(condition)                                                                           \
    ((condition) ? true : (test_fail(__FILE__, __LINE__, "not true: %s", #condition), false))
#define CHECK_NEAR(actual, expected, tolerance)                                                    \
    test_check_near(actual, expected, tolerance, #actual, __FILE__, __LINE__)
#define CHECK_INTEGER(actual, expected)                                                            \
    test_check_integer((long long)(actual), (long long)(expected), #actual, __FILE__, __LINE__)
#define CHECK_CONTAINS(actual, part) test_check_text(actual, part, #actual, __FILE__, __LINE__)
#define CHECK_BYTES(actual, expected, size)                                                        \
    test_check_bytes(actual, expected, size, #actual, __FILE__, __LINE__)

/* For what the rest of the program cannot do without. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: %s: cannot go on: %s\n", __FILE__, __LINE__, test_state.name,           \
                   #condition);                                                                    \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline void test_run(const char *name, void (*function)(void)) {
    test_begin("%s", name);
    if (!test_state.left_out)
        function();
    test_end();
}

#define RUN(function) test_run(#function, function)

#endif
