#include "document.h"

#include "heap.h"
#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------- text */

/* The whole file, with a final zero. */
static bool read_all(source *from, document *doc, failure *why) {
    size_t capacity = 0;
    for (size_t got = 1; got > 0; doc->length += got) {
        char *grown = heap_grow(doc->text, &capacity, doc->length + 4096, 1);
        if (!grown)
            return fail_memory(why);
        doc->text = grown;
        if (!source_read(from, doc->text + doc->length, capacity - doc->length - 1, &got, why))
            return false;
    }
    doc->text[doc->length] = 0;
    return true;
}

/* Bytes of the line in front of a column, which counts characters from 1: bytes 10xxxxxx continue
 * one. */
static size_t bytes_before(const document *doc, size_t line, size_t column) {
    size_t start = 0;
    while (start < doc->length && line > 1)
        line -= doc->text[start++] == '\n';
    size_t at = start;
    while (at < doc->length && column > 1) {
        at++;
        column -= ((unsigned char)doc->text[at] & 0xC0U) != 0x80U;
    }
    return at - start;
}

/* Reads a word and the number after it, and moves past them. */
static bool take_number(const char **at, const char *word, size_t *number) {
    const size_t length = strlen(word);
    char *end;
    if (strncmp(*at, word, length) != 0)
        return false;
    *number = (size_t)strtoul(*at + length, &end, 10);
    *at = end;
    return true;
}

/* The library says "line 2, column 3: ...", of a text that it sees whole. */
static bool fail_syntax(const document *doc, const char *message, failure *why) {
    size_t line = 0;
    size_t column = 0;
    const char *at = message;
    if (!take_number(&at, "line ", &line) || !take_number(&at, ", column ", &column))
        return fail(why, "%s: %s", doc->name, message);
    return fail(why, "%s:%zu:%zu%s", doc->name, line, bytes_before(doc, line, column) + 1, at);
}

static bool parse(document *doc, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (homejson_parse(heap(), doc->text, doc->length, &doc->json, &error) == HOME_OK)
        return true;
    fail_syntax(doc, error.message, why);
    document_free(doc);
    return false;
}

static void skip_byte_order_mark(document *doc) {
    if (strncmp(doc->text, "\xef\xbb\xbf", 3) != 0)
        return;
    doc->length -= 3;
    memmove(doc->text, doc->text + 3, doc->length + 1);
}

bool document_read_file(document *doc, const char *path, failure *why) {
    *doc = (document){.name = path};
    source from;
    if (!source_open(&from, path, why))
        return false;
    doc->name = from.path;
    const bool read = read_all(&from, doc, why);
    source_close(&from);
    if (read) {
        skip_byte_order_mark(doc);
        return parse(doc, why);
    }
    document_free(doc);
    return false;
}

bool document_read_text(document *doc, const char *name, const char *text, failure *why) {
    *doc = (document){.name = name, .text = heap_new(strlen(text) + 1, 1), .length = strlen(text)};
    if (!doc->text)
        return fail_memory(why);
    memcpy(doc->text, text, doc->length);
    return parse(doc, why);
}

void document_free(document *doc) {
    homejson_free(doc->json);
    heap_free(doc->text);
    *doc = (document){.name = doc->name};
}

/* --------------------------------------------------------------------------------------- errors */

/* Where an offset is, both counted from 1. */
static void locate(const document *doc, size_t offset, size_t *line, size_t *byte) {
    *line = *byte = 1;
    for (size_t i = 0; i < offset; i++) {
        (*byte)++;
        if (doc->text[i] == '\n') {
            (*line)++;
            *byte = 1;
        }
    }
}

bool document_complain(const document *doc, const homejson_value *value, const char *what,
                       failure *why) {
    size_t line;
    size_t byte;
    locate(doc, value->begin, &line, &byte);
    return fail(why, "%s:%zu:%zu: %s", doc->name, line, byte, what);
}

bool document_fail(const document *doc, const homejson_value *value, const char *expected,
                   failure *why) {
    char what[512];
    const size_t shown = value->end - value->begin < 60 ? value->end - value->begin : 60;
    snprintf(what, sizeof what, "%.80s%s%.*s; expected %s", value->key ? value->key : "",
             value->key ? ": " : "", (int)shown, doc->text + value->begin, expected);
    return document_complain(doc, value, what, why);
}

/* --------------------------------------------------------------------------------------- values */

static bool is_among(const char *key, const char *const *keys) {
    for (; *keys; keys++) {
        if (strcmp(key, *keys) == 0)
            return true;
    }
    return false;
}

static bool fail_unknown_key(const document *doc, const homejson_value *value,
                             const char *const *keys, failure *why) {
    char expected[512] = "one of the keys";
    for (; *keys; keys++) {
        const size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, " \"%s\"", *keys);
    }
    return document_fail(doc, value, expected, why);
}

bool document_object(const document *doc, const homejson_value *value, const char *const *keys,
                     failure *why) {
    if (value->type != HOME_JSON_OBJECT)
        return document_fail(doc, value, "an object", why);
    for (const homejson_value *member = value->first; member; member = member->next) {
        if (!is_among(member->key, keys))
            return fail_unknown_key(doc, member, keys, why);
    }
    return true;
}

bool document_member(const document *doc, const homejson_value *object, const char *key,
                     const homejson_value **member, failure *why) {
    *member = homejson_member(object, key);
    if (*member)
        return true;
    if (object->type != HOME_JSON_OBJECT)
        return document_fail(doc, object, "an object", why);
    char what[80];
    snprintf(what, sizeof what, "no \"%s\" in this object; expected one", key);
    return document_complain(doc, object, what, why);
}

bool document_text(const document *doc, const homejson_value *object, const char *key,
                   const char **result, failure *why) {
    const homejson_value *value = homejson_member(object, key);
    if (!value)
        return true;
    if (value->type != HOME_JSON_STRING || value->length == 0 ||
        strlen(value->text) != value->length)
        return document_fail(doc, value, "a text in quotes, not empty", why);
    *result = value->text;
    return true;
}

bool document_whole(const document *doc, const homejson_value *object, const char *key,
                    uint64_t min, uint64_t max, uint64_t *result, failure *why) {
    const homejson_value *value = homejson_member(object, key);
    if (!value)
        return true;
    if (value->type != HOME_JSON_NUMBER || !value->is_integer || value->integer < min ||
        value->integer > max) {
        char expected[80];
        snprintf(expected, sizeof expected, "a whole number from %" PRIu64 " to %" PRIu64, min,
                 max);
        return document_fail(doc, value, expected, why);
    }
    *result = value->integer;
    return true;
}

bool document_number(const document *doc, const homejson_value *object, const char *key, double min,
                     double max, double *result, failure *why) {
    const homejson_value *value = homejson_member(object, key);
    if (!value)
        return true;
    if (value->type != HOME_JSON_NUMBER || homejson_number(value) < min ||
        homejson_number(value) > max) {
        char expected[80];
        snprintf(expected, sizeof expected, "a number from %g to %g", min, max);
        return document_fail(doc, value, expected, why);
    }
    *result = homejson_number(value);
    return true;
}

bool document_switch(const document *doc, const homejson_value *object, const char *key,
                     bool *result, failure *why) {
    const homejson_value *value = homejson_member(object, key);
    if (!value)
        return true;
    if (value->type != HOME_JSON_BOOL)
        return document_fail(doc, value, "true or false", why);
    *result = value->boolean;
    return true;
}

bool document_array(const document *doc, const homejson_value *object, const char *key,
                    const homejson_value **result, failure *why) {
    const homejson_value *value = homejson_member(object, key);
    if (!value)
        return true;
    if (value->type != HOME_JSON_ARRAY)
        return document_fail(doc, value, "an array", why);
    *result = value;
    return true;
}
