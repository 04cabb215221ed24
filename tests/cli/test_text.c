/* What the program does with text from files of strangers: the masking of what it prints, and the
 * tables that such text is looked up in. The sources of the program are part of this one. */
#include "test.h"

/* NOLINTBEGIN(bugprone-suspicious-include): the program is no library that could be linked */
#include "../../examples/cli/heap.c"
#include "../../examples/cli/keyed.c"
#include "../../examples/cli/limit.c"
#include "../../examples/cli/number.c"
#include "../../examples/cli/print.c"
#include "../../examples/cli/vocabulary.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <sys/wait.h>

/* ---------------------------------------------------------------------------------------- masks */

/* UTF-8 by its definition. */
static size_t encode(unsigned long code, char text[5]) {
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    memset(text, 0, 5);
    for (size_t i = length; i-- > 1; code >>= 6)
        text[i] = (char)(0x80 | (code & 0x3F));
    text[0] = (char)(length == 1 ? code : (0xF00U >> length & 0xFF) | code);
    return length;
}

/* Unicode's Bidi_Control (PropList.txt 15.0), one by one; its line and paragraph separators; and
 * the deprecated formats that follow the isolates. */
static bool is_unwanted(unsigned long code) {
    static const unsigned long listed[] = {0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B,
                                           0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069,
                                           0x206A, 0x206B, 0x206C, 0x206D, 0x206E, 0x206F};
    for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++)
        if (code == listed[i])
            return true;
    return code < 32 || (code >= 127 && code < 160); /* C0, DEL and C1 */
}

static void each_character_is_masked_or_not(void) {
    for (unsigned long code = 1; code <= 0x10FFFF; code++) {
        char text[5];
        char mask;
        if (code >= 0xD800 && code <= 0xDFFF)
            continue;
        const size_t length = encode(code, text);
        CHECK(print_next(text, length, &mask) == length);
        if ((mask != 0) != is_unwanted(code) || print_is_masked(text) != is_unwanted(code))
            test_fail(__FILE__, __LINE__, "U+%04lX", code);
    }
}

static void masked_text_is_as_expected(void) {
    static const struct {
        const char *text;
        const char *masked;
    } cases[] = {
        {"plain", "plain"},
        {"", ""},
        {"two\nlines\tand\rmore", "two lines and more"},
        {"\x1b[31mred\x07", "?[31mred?"},
        {"a\x7f", "a?"},
        {"\xc2\x9b"
         "2J",
         "?2J"}, /* C1's CSI in UTF-8 */
        {"\x9b"
         "2J\x85",
         "?2J?"}, /* and as a byte */
        {"caf\xe9 caf\xc3\xa9", "caf? caf\xc3\xa9"},
        {"\xe2\x80\xae\x65xe.gpj\xe2\x80\xac", "?exe.gpj?"},
        {"\xe4\xbd\xa0\xe5\xa5\xbd", "\xe4\xbd\xa0\xe5\xa5\xbd"},
        {"cut \xe4\xbd", "cut ??"},
        {"\xed\xa0\x80", "???"},     /* a surrogate */
        {"\xc0\x9b", "??"},          /* an overlong ESC */
        {"\xf4\x90\x80\x80", "????"} /* past the last character */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i].text);
        print_mask(text);
        CHECK(strcmp(text, cases[i].masked) == 0);
        CHECK(print_is_masked(cases[i].text) == (strcmp(cases[i].text, cases[i].masked) != 0));
    }
}

/* What a call wrote. */
static size_t read_back(FILE *from, char *text, size_t size) {
    rewind(from);
    const size_t length = fread(text, 1, size - 1, from);
    text[length] = 0;
    fclose(from);
    return length;
}

static void lines_end_where_they_are_ended(void) {
    char text[200];
    FILE *to = tmpfile();
    print_part(to, "%s|%5.1f|", "a\nFAKE", 2.5);
    print_line(to, "%-4s|%zu", "\x1b]0;", (size_t)7);
    print_end(to);
    read_back(to, text, sizeof text);
    CHECK(strcmp(text, "a FAKE|  2.5|?]0;|7\n\n") == 0);
}

static void long_lines_are_whole_and_masked(void) {
    enum { LONG = 5000 };
    static char name[LONG + 1];
    static char text[LONG + 100];
    memset(name, 'n', LONG);
    name[LONG - 1] = '\x1b';
    FILE *to = tmpfile();
    print_line(to, "%s", name);
    CHECK(read_back(to, text, sizeof text) == LONG + 1);
    CHECK(text[LONG - 2] == 'n' && text[LONG - 1] == '?' && text[LONG] == '\n');
}

/* --------------------------------------------------------------------------------- a keyed hash */

/* From CPython 3.11, whose hash of bytes is SipHash-1-3 with the key 0 under PYTHONHASHSEED=0. */
static void hash_is_siphash(void) {
    static const struct {
        const char *text;
        uint64_t hash;
    } cases[] = {{"a", UINT64_C(0x407448d2b89b1813)},
                 {"user 17", UINT64_C(0x6723b865b934c911)},
                 {"abcdefgh", UINT64_C(0x3f7b849c0b8e35ea)},
                 {"abcdefghi", UINT64_C(0xf89b34a3d11eb6e5)}};
    static const uint64_t key[2];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK(siphash(key, cases[i].text, strlen(cases[i].text)) == cases[i].hash);
}

/* Forked before this process draws its own key. */
static uint64_t hash_of_another_run(void) {
    int ends[2];
    uint64_t hash = 0;
    if (pipe(ends) != 0)
        return 0;
    const pid_t child = fork();
    if (child == 0) {
        hash = keyed_hash("text", 4);
        const ssize_t written = write(ends[1], &hash, sizeof hash);
        _exit(written == (ssize_t)sizeof hash ? 0 : 1);
    }
    close(ends[1]);
    CHECK(read(ends[0], &hash, sizeof hash) == (ssize_t)sizeof hash);
    close(ends[0]);
    CHECK(waitpid(child, NULL, 0) == child);
    return hash;
}

static void every_run_has_its_key(void) {
    const uint64_t first = hash_of_another_run();
    const uint64_t second = hash_of_another_run();
    CHECK(first != second);
    CHECK(keyed_hash("text", 4) != first);
    CHECK(keyed_hash("text", 4) == keyed_hash("text", 4));
}

/* --------------------------------------------------------------------------------- vocabularies */

enum { CRAFTED = 2000, BITS = 10 };

/* Texts whose vocabulary_hash(), which has no key, ends in the same bits. */
static void craft(char texts[CRAFTED][16]) {
    size_t found = 0;
    for (unsigned i = 0; found < CRAFTED; i++) {
        snprintf(texts[found], sizeof texts[found], "u%u", i);
        if ((vocabulary_hash(texts[found], strlen(texts[found])) & ((1U << BITS) - 1)) == 7)
            found++;
    }
}

/* Thrown at random into 1024 places, 2000 texts leave about 1024 (1 - 1 / 1024)^2000 = 145 empty.
 */
static void crafted_ids_do_not_collide(void) {
    static char texts[CRAFTED][16];
    static bool taken[1U << BITS];
    vocabulary values = {0};
    size_t places = 0;
    craft(texts);
    for (size_t i = 0; i < CRAFTED; i++)
        CHECK(vocabulary_add(&values, texts[i], strlen(texts[i]), 1) == i + 1);
    for (size_t i = 0; i < CRAFTED; i++) {
        bool *place = &taken[values.entries[i].hash & ((1U << BITS) - 1)];
        places += !*place;
        *place = true;
    }
    CHECK(places > 800 && places < 960);
    for (size_t i = 0; i < CRAFTED; i++)
        CHECK(vocabulary_find(&values, texts[i], strlen(texts[i])) == i + 1);
    CHECK(vocabulary_find(&values, "v7", 2) == 0);
    vocabulary_free(&values);
}

int main(void) {
    RUN(every_run_has_its_key);
    RUN(each_character_is_masked_or_not);
    RUN(masked_text_is_as_expected);
    RUN(lines_end_where_they_are_ended);
    RUN(long_lines_are_whole_and_masked);
    RUN(hash_is_siphash);
    RUN(crafted_ids_do_not_collide);
    return test_summary();
}
