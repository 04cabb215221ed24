/* Every character that JSON can escape, \u0000 to \uffff and pairs of surrogates, against an
 * encoder of its own; and no half of a pair alone. */
#include "home/home.h"
#include "host/json.h"
#include "host/memory.h"
#include "test.h"

/* UTF-8 by its definition: 7, 5 + 6, 4 + 6 + 6 or 3 + 6 + 6 + 6 bits. Returns the bytes. */
static size_t encode(uint32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80u | (c & 0x3fu));
    out[0] = (char)(first[size] | c);
    return size;
}

/* "\uXXXX", or two of them. */
static size_t escape(uint32_t c, bool upper, char *out) {
    const char *one = upper ? "\\u%04X" : "\\u%04x";
    if (c < 0x10000)
        return (size_t)sprintf(out, one, (unsigned)c);
    const size_t high = (size_t)sprintf(out, one, (unsigned)(0xd800 + ((c - 0x10000) >> 10)));
    return high + (size_t)sprintf(out + high, one, (unsigned)(0xdc00 + (c & 0x3ff)));
}

static home_allocator allocator;

static void check_character(uint32_t c) {
    char text[40] = "[\"<";
    char expected[8] = "<";
    const size_t size = 1 + encode(c, expected + 1);
    const size_t length = 3 + escape(c, c & 1, text + 3);
    memcpy(text + length, ">\"]", 4);
    expected[size] = '>';
    homejson *document = NULL;
    home_error error = {.struct_size = sizeof error};
    const home_status status = homejson_parse(&allocator, text, strlen(text), &document, &error);
    const bool half = c >= 0xd800 && c < 0xe000; /* of a pair */
    if (status != (half ? HOME_E_JSON : HOME_OK))
        test_fail(__FILE__, __LINE__, "%s: status %d, %s", text, (int)status, error.message);
    if (status != HOME_OK)
        return;
    const homejson_value *value = homejson_root(document)->first;
    if (CHECK_INTEGER(value->length, size + 1))
        CHECK_BYTES(value->text, expected, size + 1);
    homejson_free(document);
}

static void every_character_of_four_digits_is_itself(void) {
    for (uint32_t c = 0; c < 0x10000; c++)
        check_character(c);
}

static void every_pair_is_a_character(void) {
    const uint32_t stride = getenv("TEST_QUICK") ? 41 : 1;
    for (uint32_t c = 0x10000; c < 0x110000; c += stride)
        check_character(c);
    check_character(0x10ffff);
}

static void an_excerpt_of_a_long_text_says_that_it_is_one(void) {
    static const size_t lengths[] = {40, 41, 255, 256, 257, 4096, 4100, 5000};
    char source[5000];
    memset(source, 'x', sizeof source);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const char *excerpt = HOME_EXCERPT(source, lengths[i]);
        CHECK_INTEGER(strlen(excerpt), lengths[i] > 40 ? 43 : 40);
        CHECK_INTEGER(strspn(excerpt, "x"), 40);
    }
}

int main(void) {
    REQUIRE(homememory_resolve(NULL, &allocator, NULL) == HOME_OK);
    RUN(an_excerpt_of_a_long_text_says_that_it_is_one);
    RUN(every_character_of_four_digits_is_itself);
    RUN(every_pair_is_a_character);
    return test_summary();
}
