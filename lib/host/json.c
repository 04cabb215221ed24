/* The reader and writer of JSON. Callers know what a text means. */
#include "json.h"

#include "../base/fail.h"
#include "../base/utf8.h"
#include "memory.h"
#include "number.h"
#include "sort.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_VALUES   64
#define MAX_KEY_LENGTH ((UINT32_C(1) << 27) - 1)

/* Values never move: the tree is made of pointers to them. */
typedef struct block {
    struct block *next;
    size_t used;
    homejson_value values[BLOCK_VALUES];
} block;

_Static_assert(sizeof(void *) != 8 || sizeof(homejson_value) == 40, "as json.h tells");

/* Two memories, whatever the text: blocks of values, and one array as long as the text for all
 * strings, which unescaping only makes shorter. */
struct homejson {
    home_allocator allocator;
    block *blocks;
    char *text; /* every unescaped string, each with its final zero */
    const homejson_value *root;
};

/* An array or object whose end has not come yet. */
typedef struct container {
    homejson_value *value;
    homejson_value *last; /* its last child so far */
} container;

/* Not recursive: containers whose end has not come are a stack of HOME_JSON_DEPTH, so no text can
 * use up the thread's. Every function reads from `at` on and leaves it after what it read, or fails
 * there. */
typedef struct parser {
    homejson *document;
    const char *source;
    size_t length;
    size_t max_values;
    size_t value_count; /* so far */
    size_t at;          /* the next byte to read */
    size_t text_used;   /* of document->text */
    container open[HOME_JSON_DEPTH];
    size_t depth;         /* containers open */
    const void **members; /* scratch of check_keys() */
    size_t member_capacity;
    home_error *error;
} parser;

/* --------------------------------------------------------------------------------------- errors */

/* Counted only where something fails, so that good texts do not pay for it. */
static size_t line_of(const parser *p, size_t at) {
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += p->source[i] == '\n';
    return line;
}

/* Counts characters, so bytes that continue one do not. */
static size_t column_of(const parser *p, size_t at) {
    size_t column = 1;
    for (size_t i = at; i > 0 && p->source[i - 1] != '\n'; i--)
        column += ((unsigned char)p->source[i - 1] & 0xC0u) != 0x80u;
    return column;
}

/* Fails at the next byte, which is not what was expected. */
static home_status fail_expected(const parser *p, const char *expected) {
    char found[32] = "the end of the text";
    if (p->at < p->length) {
        const unsigned char c = (unsigned char)p->source[p->at];
        snprintf(found, sizeof found, c > ' ' && c < 0x7F ? "'%c'" : "byte 0x%02X", c);
    }
    return homefail(p->error, HOME_E_JSON, "line %zu, column %zu: expected %s, found %s",
                    line_of(p, p->at), column_of(p, p->at), expected, found);
}

/* --------------------------------------------------------------------------------------- tokens */

static bool next_is(const parser *p, char c) {
    return p->at < p->length && p->source[p->at] == c;
}

/* The next byte, zero at the end. */
static char peek(const parser *p) {
    if (p->at < p->length)
        return p->source[p->at];
    return '\0';
}

static bool take(parser *p, char c) {
    if (!next_is(p, c))
        return false;
    p->at++;
    return true;
}

static void skip_space(parser *p) {
    while (next_is(p, ' ') || next_is(p, '\t') || next_is(p, '\n') || next_is(p, '\r'))
        p->at++;
}

static home_status parse_word(parser *p, const char *word, const char *expected) {
    const size_t length = strlen(word);
    if (p->length - p->at < length || memcmp(p->source + p->at, word, length) != 0)
        return fail_expected(p, expected);
    p->at += length;
    return HOME_OK;
}

static bool next_is_digit(const parser *p) {
    return peek(p) >= '0' && peek(p) <= '9';
}

static home_status parse_digits(parser *p) {
    if (!next_is_digit(p))
        return fail_expected(p, "a digit");
    while (next_is_digit(p))
        p->at++;
    return HOME_OK;
}

/* Digits alone, as an integer; false where they do not fit. */
static bool read_integer(const char *digits, size_t length, uint64_t *integer) {
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        const uint64_t digit = (uint64_t)(digits[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *integer = value;
    return true;
}

static home_status parse_number(parser *p, homejson_value *value) {
    home_status status;
    bool only_digits = !take(p, '-');
    if (!take(p, '0') && (status = parse_digits(p)) != HOME_OK)
        return status;
    if (take(p, '.')) {
        only_digits = false;
        if ((status = parse_digits(p)) != HOME_OK)
            return status;
    }
    if (take(p, 'e') || take(p, 'E')) {
        only_digits = false;
        if (!take(p, '+'))
            take(p, '-');
        if ((status = parse_digits(p)) != HOME_OK)
            return status;
    }
    const char *text = p->source + value->begin;
    const size_t length = p->at - value->begin;
    value->is_integer = only_digits && read_integer(text, length, &value->integer);
    if (!value->is_integer && !homenumber_read(text, length, &value->real)) {
        p->at = value->begin;
        return homefail(p->error, HOME_E_JSON,
                        "line %zu, column %zu: expected a number that fits a double, "
                        "found %s",
                        line_of(p, p->at), column_of(p, p->at), HOME_EXCERPT(text, length));
    }
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- strings */

static void put(parser *p, uint32_t byte) {
    p->document->text[p->text_used++] = (char)(unsigned char)byte;
}

static void put_character(parser *p, uint32_t code) {
    if (code < 0x80) {
        put(p, code);
    } else if (code < 0x800) {
        put(p, 0xC0 | code >> 6);
        put(p, 0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(p, 0xE0 | code >> 12);
        put(p, 0x80 | (code >> 6 & 0x3F));
        put(p, 0x80 | (code & 0x3F));
    } else {
        put(p, 0xF0 | code >> 18);
        put(p, 0x80 | (code >> 12 & 0x3F));
        put(p, 0x80 | (code >> 6 & 0x3F));
        put(p, 0x80 | (code & 0x3F));
    }
}

static home_status parse_hex4(parser *p, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, p->at++) {
        const char c = peek(p);
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)(c - 'A') + 10;
        else
            return fail_expected(p, "four hexadecimal digits after \\u");
        *code = *code << 4 | digit;
    }
    return HOME_OK;
}

/* What follows \u: one code unit of UTF-16, or two that make one character. */
static home_status parse_unicode_escape(parser *p) {
    uint32_t code;
    home_status status = parse_hex4(p, &code);
    if (status != HOME_OK)
        return status;
    if (code >= 0xDC00 && code <= 0xDFFF) {
        p->at -= 4;
        return fail_expected(p, "a high surrogate before the low one");
    }
    if (code >= 0xD800 && code <= 0xDBFF) {
        const char *expected = "a low surrogate, \\uDC00 to \\uDFFF, after the high one";
        uint32_t low;
        if (!take(p, '\\') || !take(p, 'u'))
            return fail_expected(p, expected);
        if ((status = parse_hex4(p, &low)) != HOME_OK)
            return status;
        if (low < 0xDC00 || low > 0xDFFF) {
            p->at -= 4;
            return fail_expected(p, expected);
        }
        code = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
    }
    put_character(p, code);
    return HOME_OK;
}

static home_status parse_escape(parser *p) {
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (take(p, 'u'))
        return parse_unicode_escape(p);
    const char c = peek(p);
    const char *letter = c ? strchr(letters, c) : NULL;
    if (!letter)
        return fail_expected(p, "one of \" \\ / b f n r t u after the backslash");
    p->at++;
    put(p, (unsigned char)meanings[letter - letters]);
    return HOME_OK;
}

/* The string fits into the document's text: unescaped it is shorter than its source with quotes,
 * even with the final zero. */
static home_status parse_string(parser *p, const char *expected, const char **text,
                                size_t *length) {
    if (!take(p, '"'))
        return fail_expected(p, expected);
    const size_t begin = p->text_used;
    while (!take(p, '"')) {
        if (p->at == p->length)
            return fail_expected(p, "a closing quote");
        if ((unsigned char)p->source[p->at] < 0x20)
            return fail_expected(p, "an escape: control characters may not stand in a string");
        if (take(p, '\\')) {
            const home_status status = parse_escape(p);
            if (status != HOME_OK)
                return status;
            continue;
        }
        const size_t bytes = homeutf8_length(p->source + p->at, p->length - p->at);
        if (bytes == 0)
            return fail_expected(p, "valid UTF-8");
        memcpy(p->document->text + p->text_used, p->source + p->at, bytes);
        p->text_used += bytes;
        p->at += bytes;
    }
    *text = p->document->text + begin;
    *length = p->text_used - begin;
    put(p, '\0');
    return HOME_OK;
}

/* ----------------------------------------------------------------------------------------- keys */

static int compare_keys(const void *first, const void *second) {
    const homejson_value *a = first;
    const homejson_value *b = second;
    const int order =
        memcmp(a->key, b->key, a->key_length < b->key_length ? a->key_length : b->key_length);
    if (order != 0)
        return order;
    return (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

/* Where a member's key stands: its first quote. Found from its value backward, for only an error
 * asks. Inside a string each quote has an odd number of backslashes before it, in front of one
 * there is none. */
static size_t key_begin(const parser *p, const homejson_value *member) {
    size_t at = member->begin;
    for (int quotes = 0; quotes < 2;) {
        size_t escapes = 0;
        if (p->source[--at] != '"')
            continue;
        while (quotes > 0 && at > escapes && p->source[at - escapes - 1] == '\\')
            escapes++;
        quotes += escapes % 2 == 0;
    }
    return at;
}

/* Refuses an object that has a key twice. */
static home_status check_keys(parser *p, const homejson_value *object) {
    const size_t count = object->count;
    void *members = (void *)p->members;
    if (!homememory_grow(&p->document->allocator, &members, &p->member_capacity, count,
                         sizeof(const void *)))
        return homefail_memory(p->error);
    p->members = members;

    size_t filled = 0;
    for (const homejson_value *member = object->first; member; member = member->next)
        p->members[filled++] = member;
    homesort_pointers(p->members, count, compare_keys);
    for (size_t i = 1; i < count; i++) {
        const homejson_value *a = p->members[i - 1];
        const homejson_value *b = p->members[i];
        if (compare_keys(a, b) != 0)
            continue;
        const size_t second = key_begin(p, a->begin > b->begin ? a : b);
        return homefail(p->error, HOME_E_JSON,
                        "line %zu, column %zu: expected distinct keys, found \"%.80s\" again",
                        line_of(p, second), column_of(p, second), a->key);
    }
    return HOME_OK;
}

/* --------------------------------------------------------------------------------------- values */

static homejson_value *take_value(homejson *document) {
    if (!document->blocks || document->blocks->used == BLOCK_VALUES) {
        block *added = homememory_allocate(&document->allocator, 1, sizeof *added);
        if (!added)
            return NULL;
        added->next = document->blocks;
        document->blocks = added;
    }
    return &document->blocks->values[document->blocks->used++];
}

/* A new value, the last one of the innermost container. */
static home_status add_value(parser *p, homejson_value **added) {
    if (p->value_count++ == p->max_values)
        return homefail(p->error, HOME_E_JSON,
                        "line %zu, column %zu: expected at most %zu values in %zu bytes",
                        line_of(p, p->at), column_of(p, p->at), p->max_values, p->length);
    homejson_value *value = take_value(p->document);
    *added = value;
    if (!value)
        return homefail_memory(p->error);
    if (p->depth == 0) {
        p->document->root = value;
        return HOME_OK;
    }
    container *parent = &p->open[p->depth - 1];
    if (parent->last)
        parent->last->next = value;
    else
        parent->value->first = value;
    parent->last = value;
    parent->value->count++;
    return HOME_OK;
}

/* Parses a value that is not a container. */
static home_status parse_scalar(parser *p, homejson_value *value) {
    size_t length = 0;
    home_status status;
    switch (peek(p)) {
    case '"':
        value->type = HOME_JSON_STRING;
        status = parse_string(p, "a string", &value->text, &length);
        value->length = (uint32_t)length;
        return status;
    case 't':
        value->type = HOME_JSON_BOOL;
        value->boolean = true;
        return parse_word(p, "true", "true");
    case 'f':
        value->type = HOME_JSON_BOOL;
        return parse_word(p, "false", "false");
    case 'n':
        value->type = HOME_JSON_NULL;
        return parse_word(p, "null", "null");
    default:
        if (!next_is_digit(p) && !next_is(p, '-'))
            return fail_expected(p, "a value");
        value->type = HOME_JSON_NUMBER;
        return parse_number(p, value);
    }
}

/* Opens the array or object that begins at the next byte. */
static home_status parse_opening(parser *p, homejson_value *opened) {
    if (p->depth == HOME_JSON_DEPTH)
        return homefail(p->error, HOME_E_JSON,
                        "line %zu, column %zu: expected at most %d levels of nesting",
                        line_of(p, p->at), column_of(p, p->at), HOME_JSON_DEPTH);
    opened->type = next_is(p, '[') ? HOME_JSON_ARRAY : HOME_JSON_OBJECT;
    p->open[p->depth++] = (container){opened, NULL};
    p->at++;
    skip_space(p);
    return HOME_OK;
}

static bool closing_is_next(const parser *p) {
    return p->depth > 0 &&
           next_is(p, p->open[p->depth - 1].value->type == HOME_JSON_ARRAY ? ']' : '}');
}

/* Closes every container that ends after the last value, and takes the comma if one follows. */
static home_status parse_closings(parser *p) {
    while (p->depth > 0) {
        homejson_value *innermost = p->open[p->depth - 1].value;
        skip_space(p);
        if (take(p, ',')) {
            skip_space(p);
            return HOME_OK;
        }
        if (!closing_is_next(p))
            return fail_expected(p,
                                 innermost->type == HOME_JSON_ARRAY ? "',' or ']'" : "',' or '}'");
        p->at++;
        p->depth--;
        innermost->end = (uint32_t)p->at;
        if (innermost->type == HOME_JSON_OBJECT) {
            const home_status status = check_keys(p, innermost);
            if (status != HOME_OK)
                return status;
        }
    }
    return HOME_OK;
}

static home_status parse_key(parser *p, homejson_value *member) {
    const size_t begin = p->at;
    size_t length = 0;
    const home_status status = parse_string(p, "a key in quotes", &member->key, &length);
    if (status != HOME_OK)
        return status;
    if (length > MAX_KEY_LENGTH) {
        p->at = begin;
        return fail_expected(p, "a key of at most 128 MiB");
    }
    member->key_length = (unsigned)length & MAX_KEY_LENGTH;
    skip_space(p);
    if (!take(p, ':'))
        return fail_expected(p, "':' after the key");
    skip_space(p);
    return HOME_OK;
}

/* A value with its key, where it has one; of an array or object the opening. p->at is where that
 * begins. */
static home_status parse_value(parser *p) {
    const bool is_member = p->depth > 0 && p->open[p->depth - 1].value->type == HOME_JSON_OBJECT;
    homejson_value *value = NULL;
    home_status status = add_value(p, &value);
    if (!value)
        return status;
    if (is_member)
        status = parse_key(p, value);
    if (status != HOME_OK)
        return status;
    value->begin = (uint32_t)p->at;
    if (next_is(p, '[') || next_is(p, '{'))
        return parse_opening(p, value);
    status = parse_scalar(p, value);
    value->end = (uint32_t)p->at;
    return status;
}

static home_status parse_document(parser *p) {
    skip_space(p);
    do {
        const size_t depth = p->depth;
        home_status status = parse_value(p);
        if (status != HOME_OK)
            return status;
        if (p->depth > depth && !closing_is_next(p))
            continue;
        if ((status = parse_closings(p)) != HOME_OK)
            return status;
    } while (p->depth > 0);

    skip_space(p);
    return p->at == p->length ? HOME_OK : fail_expected(p, "nothing after the value");
}

/* ------------------------------------------------------------------------------------- document */

home_status homejson_parse(const home_allocator *allocator, const char *source, size_t length,
                           homejson **document, home_error *error) {
    return homejson_parse_sparse(allocator, source, length, SIZE_MAX, document, error);
}

home_status homejson_parse_sparse(const home_allocator *allocator, const char *source,
                                  size_t length, size_t max_values, homejson **document,
                                  home_error *error) {
    if (length >= UINT32_MAX)
        return homefail(error, HOME_E_TOO_LARGE, "a text of %zu bytes, expected less than 4 GiB",
                        length);
    homejson *made = homememory_allocate(allocator, 1, sizeof *made);
    if (!made)
        return homefail_memory(error);
    made->allocator = *allocator;
    made->text = homememory_allocate(allocator, length, 1);
    if (!made->text) {
        homejson_free(made);
        return homefail_memory(error);
    }
    parser p = {.document = made,
                .source = source,
                .length = length,
                .max_values = max_values,
                .error = error};
    const home_status status = parse_document(&p);
    homememory_free(allocator, (void *)p.members);
    if (status == HOME_OK)
        *document = made;
    else
        homejson_free(made);
    return status;
}

void homejson_free(homejson *document) {
    if (!document)
        return;
    const home_allocator allocator = document->allocator;
    for (block *b = document->blocks, *next; b; b = next) {
        next = b->next;
        homememory_free(&allocator, b);
    }
    homememory_free(&allocator, document->text);
    homememory_free(&allocator, document);
}

const homejson_value *homejson_root(const homejson *document) {
    return document->root;
}

const homejson_value *homejson_member(const homejson_value *object, const char *key) {
    if (object->type != HOME_JSON_OBJECT)
        return NULL;
    const size_t length = strlen(key);
    for (const homejson_value *member = object->first; member; member = member->next)
        if (member->key_length == length && memcmp(member->key, key, length) == 0)
            return member;
    return NULL;
}

const char *homejson_excerpt(const char *source, size_t length, char text[HOME_EXCERPT_SIZE]) {
    enum { MAX_LENGTH = 40 };
    snprintf(text, HOME_EXCERPT_SIZE, "%.*s%s", (int)(length <= MAX_LENGTH ? length : MAX_LENGTH),
             source, length <= MAX_LENGTH ? "" : "...");
    return text;
}

/* -------------------------------------------------------------------------------------- writing */

void hometext_reserve(hometext *text, size_t length) {
    size_t needed;
    void *data = text->data;
    if (text->failed)
        return;
    if (!homesize_add(length, 1, &needed) ||
        !homememory_grow(text->allocator, &data, &text->capacity, needed, 1)) {
        text->failed = true;
        return;
    }
    text->data = data;
}

void hometext_add_bytes(hometext *text, const char *bytes, size_t length) {
    size_t needed;
    if (text->failed)
        return;
    if (!homesize_add(text->length, length, &needed)) {
        text->failed = true;
        return;
    }
    if (text->counting) {
        text->length = needed;
        return;
    }
    hometext_reserve(text, needed);
    if (text->failed)
        return;
    if (length)
        memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void hometext_add(hometext *text, const char *piece) {
    hometext_add_bytes(text, piece, strlen(piece));
}

/* The escape of a character, 0 bytes where it is none. False where it needs no escape. */
static bool escape_of(const char *c, size_t length, char escape[8]) {
    const unsigned code = length ? homeutf8_code(c, length) : 0xFFFD;
    if (homeutf8_steers(code))
        snprintf(escape, 8, "\\u%04x", code & 0xFFFFu);
    else if (code == '"' || code == '\\')
        snprintf(escape, 8, "\\%c", (char)code);
    else
        return false;
    return true;
}

void hometext_add_string(hometext *text, const char *string) {
    hometext_add(text, "\"");
    const char *plain = string; /* begins the run of bytes that need no escape */
    const char *c = string;
    const char *end = string + strlen(string);
    for (size_t length; c < end; c += length) {
        const size_t character = homeutf8_length(c, (size_t)(end - c));
        length = character ? character : 1;
        char escape[8];
        if (!escape_of(c, character, escape))
            continue;
        hometext_add_bytes(text, plain, (size_t)(c - plain));
        hometext_add(text, escape);
        plain = c + length;
    }
    hometext_add_bytes(text, plain, (size_t)(end - plain));
    hometext_add(text, "\"");
}

void hometext_add_integer(hometext *text, uint64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    hometext_add(text, digits);
}

void hometext_add_number(hometext *text, double value) {
    char digits[HOME_NUMBER_SIZE];
    hometext_add_bytes(text, digits, homenumber_write(value, digits));
}
