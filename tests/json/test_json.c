/* The JSON reader and writer, and the numbers below them. */
#include "host/json.h"
#include "host/memory.h"
#include "host/number.h"
#include "test.h"
#include "unit/fixture.h"

#include <float.h>
#include <locale.h>

static home_allocator libc_allocator(void) {
    home_allocator allocator;
    homememory_resolve(NULL, &allocator, NULL);
    return allocator;
}

/* Parses from memory that has no byte to spare, so that the sanitizers see any read past the
 * end. */
static home_status parse_bytes(const home_allocator *allocator, const char *text, size_t length,
                               homejson **document, home_error *error) {
    char *exact = malloc(length ? length : 1);
    REQUIRE(exact);
    memcpy(exact, text, length);
    const home_status status = homejson_parse(allocator, exact, length, document, error);
    free(exact);
    return status;
}

static home_status parse(const char *text, homejson **document, home_error *error) {
    const home_allocator allocator = libc_allocator();
    return parse_bytes(&allocator, text, strlen(text), document, error);
}

/* ---------------------------------------------------------------------------------------- texts */

static const char *const valid_texts[] = {
    "null",
    " true ",
    "\t\r\nfalse\n",
    "0",
    "-0",
    "0.0",
    "-1.5e-7",
    "1E+2",
    "1e05",
    "18446744073709551616",
    "1e-999999999999999999999999",
    "0e999999999999999999999999",
    "\"\"",
    "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"",
    "\"\\u00e9\\u20AC\\ud83d\\uDE00\\u0000\"",
    "\"\x7f\"",
    ("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf \xef\xbf\xbf \xed\x9f\xbf "
     "\xe0\xa0\x80\""),
    "[]",
    "[ ]",
    "{}",
    "{ }",
    "[1,2 , 3]",
    "[[],{},[[]],[{}]]",
    "{\"a\":1,\"b\":[true,null],\"\":{\"a\":2}}",
    "{\"a\":1,\"a\\u0000\":2,\"A\":3,\"aa\":4}",
};

static void valid_documents_are_read(void) {
    for (size_t i = 0; i < sizeof valid_texts / sizeof valid_texts[0]; i++) {
        home_error error = {.struct_size = sizeof error};
        homejson *document = NULL;
        if (parse(valid_texts[i], &document, &error) != HOME_OK)
            test_fail(__FILE__, __LINE__, "refused: %s: %s", valid_texts[i], error.message);
        homejson_free(document);
    }
}

static const struct {
    const char *text;
    const char *message; /* a part of it */
} invalid_texts[] = {
    {"", "line 1, column 1: expected a value, found the end of the text"},
    {" \n ", "line 2, column 2: expected a value"},
    {"nul", "line 1, column 1: expected null"},
    {"nulL", "expected null"},
    {"True", "expected a value, found 'T'"},
    {"NaN", "expected a value, found 'N'"},
    {"Infinity", "expected a value"},
    {"-Infinity", "column 2: expected a digit, found 'I'"},
    {"'a'", "expected a value, found '''"},
    {"// c\n1", "expected a value, found '/'"},
    {"\xef\xbb\xbf{}", "column 1: expected a value, found byte 0xEF"},
    {"1 2", "column 3: expected nothing after the value, found '2'"},
    {"01", "column 2: expected nothing after the value, found '1'"},
    {"-", "column 2: expected a digit, found the end"},
    {"+1", "expected a value, found '+'"},
    {".5", "expected a value, found '.'"},
    {"1.", "column 3: expected a digit"},
    {"1.e5", "column 3: expected a digit, found 'e'"},
    {"1e", "column 3: expected a digit"},
    {"1e+", "column 4: expected a digit"},
    {"1e+-2", "column 4: expected a digit, found '-'"},
    {"0x10", "expected nothing after the value, found 'x'"},
    {"[1e400]", "column 2: expected a number that fits a double, found 1e400"},
    {"1.7976931348623159e308", "expected a number that fits a double"},
    {"-1e99999999999999999999", "expected a number that fits a double"},
    {"[", "column 2: expected a value, found the end"},
    {"]", "column 1: expected a value, found ']'"},
    {"[1", "column 3: expected ',' or ']', found the end"},
    {"[1,]", "column 4: expected a value, found ']'"},
    {"[,1]", "column 2: expected a value, found ','"},
    {"[1 2]", "column 4: expected ',' or ']', found '2'"},
    {"[1}", "column 3: expected ',' or ']', found '}'"},
    {"[]]", "column 3: expected nothing after the value"},
    {"{", "column 2: expected a key in quotes, found the end"},
    {"{1:2}", "column 2: expected a key in quotes, found '1'"},
    {"{\"a\"}", "column 5: expected ':' after the key, found '}'"},
    {"{\"a\" 1}", "column 6: expected ':' after the key"},
    {"{\"a\":}", "column 6: expected a value, found '}'"},
    {"{\"a\":1,}", "column 8: expected a key in quotes, found '}'"},
    {"{\"a\":1]", "column 7: expected ',' or '}', found ']'"},
    {"{,}", "column 2: expected a key in quotes, found ','"},
    {"{\n \"a\": 1,\n \"b\": 2,\n \"a\": 3}",
     "line 4, column 2: expected distinct keys, found \"a\" again"},
    {"{\"a\":1,\"\\u0061\":2}", "column 8: expected distinct keys"},
    {"{\"\":1,\"\":2}", "column 7: expected distinct keys"},
    {"[{\"x\":{\"k\":1,\"k\":1}}]", "column 14: expected distinct keys"},
    {"\"abc", "column 5: expected a closing quote, found the end"},
    {"\"a\nb\"", "line 1, column 3: expected an escape: control characters may not stand in a "
                 "string, found byte 0x0A"},
    {"\"\t\"", "expected an escape"},
    {"\"\x1f\"", "expected an escape"},
    {"\"\\x\"", "column 3: expected one of \" \\ / b f n r t u after the backslash, found 'x'"},
    {"\"\\", "expected one of"},
    {"\"\\u12\"", "column 6: expected four hexadecimal digits after \\u, found '\"'"},
    {"\"\\u12g4\"", "expected four hexadecimal digits"},
    {"\"\\u123", "expected four hexadecimal digits"},
    {"\"\\ud800\"", "expected a low surrogate"},
    {"\"\\ud800\\n\"", "expected a low surrogate"},
    {"\"\\ud800\\u0041\"", "column 10: expected a low surrogate"},
    {"\"\\ud800\\ue000\"", "column 10: expected a low surrogate"},
    {"\"\\udc00\"", "expected a high surrogate"},
    {"\"\x80\"", "column 2: expected valid UTF-8, found byte 0x80"},
    {"\"\xc0\xaf\"", "expected valid UTF-8"},
    {"\"\xc1\xbf\"", "expected valid UTF-8"},
    {"\"\xe0\x9f\xbf\"", "expected valid UTF-8"},
    {"\"\xed\xa0\x80\"", "expected valid UTF-8"},
    {"\"\xf0\x8f\xbf\xbf\"", "expected valid UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "expected valid UTF-8"},
    {"\"\xf5\x80\x80\x80\"", "expected valid UTF-8"},
    {"\"\xff\"", "expected valid UTF-8"},
    {"\"\xc3\"", "expected valid UTF-8"},
    {"\"\xc3", "expected valid UTF-8"},
    {"\"\xe2\x82\"", "expected valid UTF-8"},
    {"\"\xe2\x82", "expected valid UTF-8"},
    {"\"\xf0\x9f\x98\"", "expected valid UTF-8"},
    {"\"\xc3\xa9\xe2\x82\xac\x01\"", "column 4: expected an escape"}, /* characters, not bytes */
};

static void invalid_documents_are_refused(void) {
    for (size_t i = 0; i < sizeof invalid_texts / sizeof invalid_texts[0]; i++) {
        home_error error = {.struct_size = sizeof error};
        homejson *untouched = (homejson *)&error;
        homejson *document = untouched;
        CHECK_INTEGER(parse(invalid_texts[i].text, &document, &error), HOME_E_JSON);
        CHECK(document == untouched);
        CHECK_INTEGER(error.status, HOME_E_JSON);
        CHECK_CONTAINS(error.message, invalid_texts[i].message);
        CHECK_INTEGER(parse(invalid_texts[i].text, &document, NULL), HOME_E_JSON);
    }
}

/* Every proper prefix of a document that closes at its last byte is an error, never a crash. */
static void every_proper_prefix_is_refused(void) {
    static const char text[] =
        "{\"a\":[1.5e3,true,null,\"\\ud83d\\ude00\xf0\x9f\x98\x80\"],\"b\":{\"c\":[[],{}]}}";
    const home_allocator allocator = libc_allocator();
    for (size_t length = 0; length < sizeof text - 1; length++) {
        homejson *document = NULL;
        CHECK_INTEGER(parse_bytes(&allocator, text, length, &document, NULL), HOME_E_JSON);
    }
}

static void a_zero_byte_is_refused(void) {
    const home_allocator allocator = libc_allocator();
    home_error error = {.struct_size = sizeof error};
    homejson *document = NULL;
    CHECK_INTEGER(parse_bytes(&allocator, "1\0", 2, &document, &error), HOME_E_JSON);
    CHECK_CONTAINS(error.message, "found byte 0x00");
    CHECK_INTEGER(parse_bytes(&allocator, "\"\\\0\"", 4, &document, &error), HOME_E_JSON);
    CHECK_CONTAINS(error.message, "after the backslash");
}

/* ----------------------------------------------------------------------------------------- tree */

static void the_tree_has_every_value_key_and_place(void) {
    const char *text =
        " {\"name\": \"f\\u00e9e\", \"list\": [1, -2.5, {}], \"on\": true, \"none\": null}";
    homejson *document = NULL;
    REQUIRE(parse(text, &document, NULL) == HOME_OK);
    const homejson_value *root = homejson_root(document);
    CHECK_INTEGER(root->type, HOME_JSON_OBJECT);
    CHECK_INTEGER(root->count, 4);
    CHECK(root->next == NULL && root->key == NULL);
    CHECK_INTEGER(root->begin, 1);
    CHECK_INTEGER(root->end, strlen(text));

    const homejson_value *name = homejson_member(root, "name");
    REQUIRE(name);
    CHECK(name == root->first);
    CHECK_INTEGER(name->type, HOME_JSON_STRING);
    CHECK_INTEGER(name->length, 4);
    CHECK_BYTES(name->text,
                "f\xc3\xa9"
                "e",
                5);
    CHECK_BYTES(text + name->begin, "\"f\\u00e9e\"", name->end - name->begin);
    CHECK_BYTES(name->key, "name", name->key_length + 1);

    const homejson_value *list = homejson_member(root, "list");
    REQUIRE(list);
    CHECK_INTEGER(list->type, HOME_JSON_ARRAY);
    CHECK_INTEGER(list->count, 3);
    CHECK_BYTES(text + list->begin, "[1, -2.5, {}]", list->end - list->begin);
    const homejson_value *one = list->first;
    CHECK(one->is_integer && one->integer == 1 && homejson_number(one) == 1.0 && one->key == NULL);
    CHECK(!one->next->is_integer && homejson_number(one->next) == -2.5);
    CHECK_INTEGER(one->next->next->type, HOME_JSON_OBJECT);
    CHECK(one->next->next->first == NULL && one->next->next->next == NULL);

    CHECK(homejson_member(root, "on")->boolean);
    CHECK_INTEGER(homejson_member(root, "none")->type, HOME_JSON_NULL);
    CHECK(homejson_member(root, "nam") == NULL);
    CHECK(homejson_member(root, "names") == NULL);
    CHECK(homejson_member(list, "name") == NULL);
    homejson_free(document);
}

static void integers_are_those_that_64_bits_hold(void) {
    static const struct {
        const char *text;
        bool is_integer;
        uint64_t integer;
        double number;
    } cases[] = {
        {"0", true, 0, 0},
        {"9007199254740993", true, 9007199254740993u, 9007199254740992.0},
        {"18446744073709551615", true, UINT64_MAX, 18446744073709551616.0},
        {"18446744073709551616", false, 0, 18446744073709551616.0},
        {"100000000000000000000", false, 0, 1e20},
        {"-1", false, 0, -1},
        {"1.0", false, 0, 1},
        {"1e2", false, 0, 100},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        homejson *document = NULL;
        REQUIRE(parse(cases[i].text, &document, NULL) == HOME_OK);
        const homejson_value *value = homejson_root(document);
        CHECK(value->is_integer == cases[i].is_integer);
        CHECK(!value->is_integer || value->integer == cases[i].integer);
        CHECK(homejson_number(value) == cases[i].number);
        homejson_free(document);
    }
}

static void a_level_too_many_is_refused(void) {
    char text[2 * HOME_JSON_DEPTH + 3];
    for (size_t levels = HOME_JSON_DEPTH; levels <= HOME_JSON_DEPTH + 1; levels++) {
        home_error error = {.struct_size = sizeof error};
        homejson *document = NULL;
        memset(text, '[', levels);
        memset(text + levels, ']', levels);
        text[2 * levels] = '\0';
        const home_status status = parse(text, &document, &error);
        if (levels == HOME_JSON_DEPTH) {
            CHECK_INTEGER(status, HOME_OK);
        } else {
            CHECK_INTEGER(status, HOME_E_JSON);
            CHECK_CONTAINS(error.message, "column 17: expected at most 16 levels");
        }
        homejson_free(document);
    }

    /* Closing a level gives it back, and a hostile depth is refused at once. */
    homejson *document = NULL;
    CHECK_INTEGER(parse("[[[[]]],[[[]]],{\"a\":[[[[[[[[[[[[[[]]]]]]]]]]]]]]}]", &document, NULL),
                  HOME_OK);
    homejson_free(document);
    const size_t levels = 1000000;
    char *deep = malloc(levels);
    REQUIRE(deep);
    memset(deep, '[', levels);
    const home_allocator allocator = libc_allocator();
    CHECK_INTEGER(homejson_parse(&allocator, deep, levels, &document, NULL), HOME_E_JSON);
    free(deep);
}

/* Containers and their members count, each once. */
static void values_are_counted_once_each(void) {
    static const char text[] = "{\"a\":[1,\"2\",{}],\n\"b\":null}";
    const home_allocator allocator = libc_allocator();
    home_error error = {.struct_size = sizeof error};
    homejson *document = NULL;
    CHECK_INTEGER(homejson_parse_sparse(&allocator, text, sizeof text - 1, 6, &document, &error),
                  HOME_OK);
    homejson_free(document);
    CHECK_INTEGER(homejson_parse_sparse(&allocator, text, sizeof text - 1, 5, &document, &error),
                  HOME_E_JSON);
    CHECK_CONTAINS(error.message, "line 2, column 1: expected at most 5 values in 26 bytes");
    CHECK_INTEGER(homejson_parse_sparse(&allocator, text, sizeof text - 1, 0, &document, &error),
                  HOME_E_JSON);
}

/* A quadratic search for repeated keys would take minutes here. */
static void many_keys_take_linear_time(void) {
    enum { KEYS = 200000 };
    const home_allocator allocator = libc_allocator();
    for (int repeated = 0; repeated < 2; repeated++) {
        hometext text = {.allocator = &allocator};
        hometext_add(&text, "{");
        for (uint64_t i = 0; i < KEYS; i++) {
            hometext_add(&text, i ? ",\n\"key" : "\"key");
            hometext_add_integer(&text,
                                 repeated && i == KEYS - 1 ? 77777 : i * UINT64_C(7919) % KEYS);
            hometext_add(&text, "\":0");
        }
        hometext_add(&text, "}");
        REQUIRE(!text.failed);
        home_error error = {.struct_size = sizeof error};
        homejson *document = NULL;
        const home_status status =
            homejson_parse(&allocator, text.data, text.length, &document, &error);
        if (repeated) {
            CHECK_INTEGER(status, HOME_E_JSON);
            CHECK_CONTAINS(error.message,
                           "line 200000, column 1: expected distinct keys, found \"key77777\"");
        } else {
            CHECK_INTEGER(status, HOME_OK);
            CHECK(status == HOME_OK && homejson_root(document)->count == KEYS);
            homejson_free(document);
        }
        homememory_free(&allocator, text.data);
    }
}

/* -------------------------------------------------------------------------------------- numbers */

static uint64_t seed = 1;

/* Fewer of the random cases where a sanitizer or valgrind watches. */
static int rounds(int count) {
    return getenv("TEST_QUICK") ? count / 10 : count;
}

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Tells 0 from -0, which == does not. */
static bool same_double(double a, double b) {
    return a == b && signbit(a) == signbit(b);
}

/* homenumber_read() against the C library, which runs in the C locale and rounds correctly. */
static void check_read(const char *text) {
    const double expected = strtod(text, NULL);
    double value = 0.5;
    const bool fits = homenumber_read(text, strlen(text), &value);
    if (isinf(expected)) {
        if (fits || value != 0.5)
            test_fail(__FILE__, __LINE__, "%.60s does not fit, got %a", text, value);
    } else if (!fits || !same_double(value, expected)) {
        test_fail(__FILE__, __LINE__, "%.60s: got %a, expected %a", text, value, expected);
    }
}

static const char *const awkward_numbers[] = {
    "0",
    "-0",
    "0.000",
    "-0e5",
    "1",
    "10",
    "0.1",
    "1e0",
    "1E-5",
    "1e+22",
    "1e23",
    "123456789012345678901234567890",
    "9007199254740993",
    "9007199254740992.99999999999999999999",
    "9007199254740993.00000000000000000000001",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "17976931348623158e292",
    "1e308",
    "1e309",
    "0.1e310",
    "2.2250738585072014e-308",
    "2.2250738585072011e-308",
    "2.225073858507201e-308",
    "5e-324",
    "4.9406564584124654e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.5e-324",
    "1e-323",
    "9e-324",
    "1e-324",
    "1e-400",
    "-1e-400",
    "0.00000000000000000000000000000000000000000001e44",
    "1000000000000000000000000000000000000000000e-42",
    "6.8985865317742005e-305",
    "179769313486231580793e289",
    "179769313486231580792e289",
    "1e-9999999999999999999",
    "1e9999999999999999999",
    "0e9999999999999999999",
};

static void awkward_numbers_read_as_strtod_reads_them(void) {
    for (size_t i = 0; i < sizeof awkward_numbers / sizeof awkward_numbers[0]; i++)
        check_read(awkward_numbers[i]);
}

static void random_numbers_read_as_strtod_reads_them(void) {
    char text[64];
    for (int i = 0; i < rounds(100000); i++) {
        const int digits = 1 + (int)(random_bits(&seed) % 25);
        int length = 0;
        if (random_bits(&seed) % 2)
            text[length++] = '-';
        for (int d = 0; d < digits; d++)
            text[length++] = (char)((d ? '0' : '1') + (int)(random_bits(&seed) % (d ? 10 : 9)));
        if (random_bits(&seed) % 2)
            length += snprintf(text + length, 8, ".%03d", (int)(random_bits(&seed) % 1000));
        snprintf(text + length, 8, "e%d", (int)(random_bits(&seed) % 700) - 360);
        check_read(text);
    }
}

/* The middle between two neighbouring doubles is the hardest number to round; so are numbers that
 * differ from it only in their last digit, up to 770 digits away. */
static void middles_between_doubles_round_to_even(void) {
    if (LDBL_MANT_DIG <= DBL_MANT_DIG) {
        test_skip("long double holds no middles of doubles");
        return;
    }
    char text[1400];
    for (int i = 0; i < rounds(3000); i++) {
        /* So that all are fractions. */
        const uint64_t exponent = i % 3 == 0 ? 0 : 900 + random_bits(&seed) % 170;
        const uint64_t bits = exponent << 52 | random_bits(&seed) >> 12;
        const long double middle = ((long double)double_of(bits) + double_of(bits + 1)) / 2;
        snprintf(text, sizeof text, "%.1100Lf", middle);
        size_t length = strlen(text);
        while (length && text[length - 1] == '0')
            length--;
        REQUIRE(length && text[length - 1] == '5');
        memcpy(text + length, "", 1);
        check_read(text);
        memcpy(text + length, "000000001", 10);
        check_read(text);
        memcpy(text + length - 1, "4999999999", 11);
        check_read(text);
    }
}

/* Digits far behind those that can matter still break a tie; zeros there do not. */
static void digits_far_behind_break_a_tie(void) {
    enum { LENGTH = 3000 };
    char zeros[LENGTH + 1];
    char nines[LENGTH + 1];
    memset(zeros, '0', LENGTH);
    memset(nines, '9', LENGTH);
    zeros[LENGTH] = nines[LENGTH] = '\0';
    char text[LENGTH + 64];
    snprintf(text, sizeof text, "9007199254740993.%s", zeros);
    check_read(text);
    snprintf(text, sizeof text, "9007199254740993.%s1", zeros);
    check_read(text);
    snprintf(text, sizeof text, "9007199254740992.%s", nines);
    check_read(text);
    snprintf(text, sizeof text, "0.%s123e3000", zeros);
    check_read(text);
    snprintf(text, sizeof text, "%se-3000", nines);
    check_read(text);
    snprintf(text, sizeof text, "1%se-3000", zeros);
    check_read(text);
}

/* The digits of a number from the first to the last that is not 0. */
static void significant_digits(const char *number, char digits[32]) {
    size_t count = 0;
    for (const char *c = number; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9' && (count || *c != '0'))
            digits[count++] = *c;
    while (count && digits[count - 1] == '0')
        count--;
    digits[count] = '\0';
}

static void check_round_trip(double value) {
    char text[HOME_NUMBER_SIZE];
    const size_t length = homenumber_write(value, text);
    double back = 0.5;
    if (length != strlen(text) || !same_double(strtod(text, NULL), value) ||
        !homenumber_read(text, length, &back) || !same_double(back, value))
        test_fail(__FILE__, __LINE__, "%a is written %s", value, text);

    char shortest[40]; /* by the C library's conversions */
    int precision = 0;
    do
        snprintf(shortest, sizeof shortest, "%.*e", precision, value);
    while (precision++ < 16 && strtod(shortest, NULL) != value);
    char digits[32];
    char expected[32];
    significant_digits(text, digits);
    significant_digits(shortest, expected);
    if (strcmp(digits, expected) != 0)
        test_fail(__FILE__, __LINE__, "%s is not the shortest, which is %s", text, shortest);
}

static void numbers_come_back_from_their_text(void) {
    for (int i = 0; i < rounds(20000); i++) {
        /* Subnormals too. */
        const double value = double_of(i % 4 ? random_bits(&seed) : random_bits(&seed) >> 12);
        if (isfinite(value))
            check_round_trip(value);
        check_round_trip((double)((int64_t)(random_bits(&seed) % 2000001) - 1000000) / 1000);
    }
}

static void numbers_are_written_as_short_as_they_can_be(void) {
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-12.5, "-12.5"},
        {100, "100"},
        {10000, "10000"},
        {1000000, "1e6"},
        {123456789, "123456789"},
        {0.1, "0.1"},
        {0.001, "0.001"},
        {0.00001, "0.00001"},
        {0.000001, "1e-6"},
        {1.0 / 3, "0.3333333333333333"},
        {1e22, "1e22"},
        {1.5e300, "1.5e300"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {-2.2250738585072014e-308, "-2.2250738585072014e-308"},
        {(double)INFINITY, "null"},
        {(double)NAN, "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[HOME_NUMBER_SIZE];
        const size_t length = homenumber_write(cases[i].value, text);
        CHECK_INTEGER(length, strlen(text));
        homejson *document = NULL;
        CHECK_INTEGER(parse(text, &document, NULL), HOME_OK);
        homejson_free(document);
        if (strcmp(text, cases[i].text) != 0)
            test_fail(__FILE__, __LINE__, "%a is written %s, expected %s", cases[i].value, text,
                      cases[i].text);
    }
}

/* Sets a locale whose decimal point is a comma. Where none is installed, compiles one with the
 * system's localedef. False where that is not possible either. */
static bool set_comma_locale(void) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE",
                                        "fr_FR"};
    for (int attempt = 0; attempt < 2; attempt++) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (setlocale(LC_ALL, names[i]) && strcmp(localeconv()->decimal_point, ",") == 0)
                return true;
        if (attempt == 0) {
            if (system(
                    "mkdir -p build/locale && localedef -i de_DE -f UTF-8 build/locale/de_DE.UTF-8 "
                    ">/dev/null 2>&1") != 0)
                return false;
            setenv("LOCPATH", "build/locale", 1);
        }
    }
    return false;
}

static void a_decimal_comma_changes_nothing(void) {
    if (!set_comma_locale()) {
        test_skip("no locale with a decimal comma");
        return;
    }
    char text[HOME_NUMBER_SIZE];
    homenumber_write(1234.0625, text);
    CHECK(strcmp(text, "1234.0625") == 0);
    homenumber_write(1.5e-300, text);
    CHECK(strcmp(text, "1.5e-300") == 0);
    homejson *document = NULL;
    REQUIRE(parse("[0.25]", &document, NULL) == HOME_OK);
    CHECK(homejson_number(homejson_root(document)->first) == 0.25);
    homejson_free(document);
    CHECK_INTEGER(parse("[0,25]", &document, NULL), HOME_OK);
    CHECK_INTEGER(homejson_root(document)->count, 2);
    homejson_free(document);
    setlocale(LC_ALL, "C");
}

/* -------------------------------------------------------------------------------------- writing */

static void texts_are_written_escaped(void) {
    const home_allocator allocator = libc_allocator();
    hometext text = {.allocator = &allocator};
    hometext_add(&text, "{");
    hometext_add_string(&text, "quote\" back\\ tab\t bell\a \xc3\xa9");
    hometext_add(&text, ":");
    hometext_add_integer(&text, UINT64_MAX);
    hometext_add_bytes(&text, ",x", 1);
    hometext_add_string(&text, "");
    hometext_add(&text, ":");
    hometext_add_number(&text, -0.5);
    hometext_add(&text, "}");
    CHECK(!text.failed);
    const char *expected =
        "{\"quote\\\" back\\\\ tab\\u0009 bell\\u0007 \xc3\xa9\":18446744073709551615,\"\":-0.5}";
    CHECK_INTEGER(text.length, strlen(expected));
    CHECK_BYTES(text.data, expected, strlen(expected) + 1);
    homejson *document = NULL;
    REQUIRE(homejson_parse(&allocator, text.data, text.length, &document, NULL) == HOME_OK);
    CHECK(strcmp(homejson_root(document)->first->key, "quote\" back\\ tab\t bell\a \xc3\xa9") == 0);
    homejson_free(document);
    homememory_free(&allocator, text.data);
}

/* JSON may be shown: nothing in it controls a terminal or the direction of text. */
static void controls_are_written_escaped(void) {
    /* NOLINTBEGIN(misc-misleading-bidirectional): on purpose */
    static const char steering[] =
        "\x7f \xc2\x80\xc2\x9f\xc2\xa0 \xd8\x9c \xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f "
        "\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xae\xe2\x80\xaf "
        "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xf0\x9f\x98\x80";
    /* NOLINTEND(misc-misleading-bidirectional) */
    static const char expected[] =
        "\"\\u007f \\u0080\\u009f\xc2\xa0 \\u061c \xe2\x80\x8d\\u200e\\u200f "
        "\xe2\x80\xa7\\u2028\\u202e\xe2\x80\xaf \xe2\x81\xa5\\u2066\\u2069\xf0\x9f\x98\x80\"";
    const home_allocator allocator = libc_allocator();
    hometext text = {.allocator = &allocator};
    hometext_add_string(&text, steering);
    CHECK(!text.failed && strcmp(text.data, expected) == 0);
    homejson *document = NULL;
    REQUIRE(homejson_parse(&allocator, text.data, text.length, &document, NULL) == HOME_OK);
    CHECK(strcmp(homejson_root(document)->text, steering) == 0);
    homejson_free(document);
    homememory_free(&allocator, text.data);
}

/* --------------------------------------------------------------------------------------- memory */

static void running_out_of_memory_is_reported_and_leaks_nothing(void) {
    const char *text =
        "[{\"a\":1,\"b\":[1,2,3],\"c\":{\"d\":\"e\"}},0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,"
        "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]";
    home_status status = HOME_E_MEMORY;
    long granted = 0;
    for (; status != HOME_OK && granted < 100; granted++) {
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        m.fail_at = granted;
        home_error error = {.struct_size = sizeof error};
        homejson *document = NULL;
        status = parse_bytes(&allocator, text, strlen(text), &document, &error);
        if (status != HOME_OK) {
            CHECK_INTEGER(status, HOME_E_MEMORY);
            CHECK_INTEGER(error.status, HOME_E_MEMORY);
            CHECK(document == NULL);
        }
        homejson_free(document);
        CHECK_INTEGER(m.live, 0);
    }
    CHECK(granted > 5); /* the document, its text, two blocks, the members: each failed once */
}

static void a_text_that_failed_stays_as_it_is(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    m.fail_at = 1;
    hometext text = {.allocator = &allocator};
    hometext_add(&text, "abc");
    CHECK(!text.failed);
    for (int i = 0; i < 100; i++)
        hometext_add(&text, "0123456789");
    CHECK(text.failed);
    m.fail_at = -1;
    const size_t length = text.length;
    hometext_add(&text, "x"); /* stays failed, so that no text has holes */
    CHECK_INTEGER(text.length, length);
    CHECK_INTEGER(strlen(text.data), length);
    homememory_free(&allocator, text.data);
    CHECK_INTEGER(m.live, 0);
}

int main(void) {
    RUN(valid_documents_are_read);
    RUN(invalid_documents_are_refused);
    RUN(every_proper_prefix_is_refused);
    RUN(a_zero_byte_is_refused);
    RUN(the_tree_has_every_value_key_and_place);
    RUN(integers_are_those_that_64_bits_hold);
    RUN(a_level_too_many_is_refused);
    RUN(values_are_counted_once_each);
    RUN(many_keys_take_linear_time);
    RUN(awkward_numbers_read_as_strtod_reads_them);
    RUN(random_numbers_read_as_strtod_reads_them);
    RUN(middles_between_doubles_round_to_even);
    RUN(digits_far_behind_break_a_tie);
    RUN(numbers_come_back_from_their_text);
    RUN(numbers_are_written_as_short_as_they_can_be);
    RUN(a_decimal_comma_changes_nothing);
    RUN(texts_are_written_escaped);
    RUN(controls_are_written_escaped);
    RUN(running_out_of_memory_is_reported_and_leaks_nothing);
    RUN(a_text_that_failed_stays_as_it_is);
    return test_summary();
}
