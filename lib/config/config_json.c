/* The configuration as JSON, both ways, by the table of its fields. */
#include "reader.h"

#include "../base/fail.h"

#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------------------------- reading */

/* What a text is read with. */
typedef struct source {
    homereader *in;
    const char *json;
    home_status unknown; /* the status for what is not known here */
    bool stored;
} source;

/* Names the field, its value as it was written (the beginning of it), and what was expected. */
static void fail(const source *from, const char *member, const homejson_value *value,
                 const char *expected) {
    homereader_fail(from->in, from->unknown, member, "is %s, expected %s",
                    HOME_EXCERPT(from->json + value->begin, value->end - value->begin), expected);
}

/* The same with what the field takes. */
static void fail_field(const source *from, const homefield *f, const homejson_value *value) {
    char expected[HOME_EXPECTED_SIZE];
    fail(from, f->member, value, homefield_expected(f, true, expected));
}

/* An integer within its field's bounds. */
static bool read_integer(const source *from, const homefield *f, const homejson_value *value,
                         uint64_t *integer) {
    *integer = value->is_integer ? value->integer : 0;
    if (value->is_integer && homefield_allows_integer(f, *integer))
        return true;
    fail_field(from, f, value);
    return false;
}

static void read_size(const source *from, const homefield *f, const homejson_value *value,
                      char *object) {
    uint64_t integer;
    const bool zero = value->is_integer && value->integer == 0;
    if (!(zero && f->apart) && !read_integer(from, f, value, &integer))
        return;
    const size_t size = zero && f->apart ? HOME_WRITTEN_ZERO : (size_t)integer;
    memcpy(object + f->offset, &size, sizeof size);
}

static void read_number(const source *from, const homefield *f, const homejson_value *value,
                        char *object) {
    const double number = value->type == HOME_JSON_NUMBER ? homejson_number(value) : 0;
    const double kept = number == 0 ? HOME_ZERO : number;
    if (value->type == HOME_JSON_NUMBER && homefield_allows_number(f, number))
        memcpy(object + f->offset, &kept, sizeof kept);
    else
        fail_field(from, f, value);
}

/* A wrong choice stays one, so that who resolves the configuration sees that it is not known. */
static void read_choice(const source *from, const homefield *f, const homejson_value *value,
                        char *object) {
    int32_t choice = -1;
    if (f->type == HOME_FIELD_SWITCH && value->type == HOME_JSON_BOOL)
        choice = value->boolean ? HOME_ON : HOME_OFF;
    for (int32_t i = 0; i < (int32_t)(sizeof f->names / sizeof f->names[0]) && f->names[i]; i++)
        if (value->type == HOME_JSON_STRING && *f->names[i] &&
            strcmp(value->text, f->names[i]) == 0 && strlen(value->text) == value->length)
            choice = f->first + i;
    if (choice < 0)
        fail_field(from, f, value);
    memcpy(object + f->offset, &choice, sizeof choice);
}

static bool is_text(const source *from, const char *member, const homejson_value *value) {
    if (value->type == HOME_JSON_STRING && strlen(value->text) == value->length)
        return true;
    fail(from, member, value, "a string without zero bytes");
    return false;
}

/* NULL where it is no text, or there is no memory. */
static const char *copy_text(const source *from, const char *member, const homejson_value *value) {
    if (!is_text(from, member, value))
        return NULL;
    const char *copy = homearena_text(from->in->arena, value->text, value->length);
    if (!copy)
        homereader_fail_memory(from->in);
    return copy;
}

/* Room for the elements of an array, which there may not be too many of. An error of a whole array
 * leaves none. */
static void *take_elements(const source *from, const homefield *f, const homejson_value *value,
                           size_t size) {
    char expected[HOME_EXPECTED_SIZE];
    homefield_expected(f, true, expected);
    if (value->type != HOME_JSON_ARRAY) {
        fail(from, f->member, value, expected);
        return NULL;
    }
    if (value->count > f->max_count) {
        homereader_fail(from->in, from->unknown, f->member, "has %zu elements, expected %s",
                        (size_t)value->count, expected);
        return NULL;
    }
    void *elements = homearena_take(from->in->arena, value->count, size);
    if (!elements)
        homereader_fail_memory(from->in);
    return elements;
}

static void read_widths(const source *from, const homefield *f, const homejson_value *value,
                        char *object) {
    size_t *widths = take_elements(from, f, value, sizeof *widths);
    char expected[64];
    size_t i = 0;
    snprintf(expected, sizeof expected, "a whole number from %llu to %llu",
             (unsigned long long)f->min, (unsigned long long)f->max);
    for (const homejson_value *item = widths ? value->first : NULL; item; item = item->next, i++) {
        homereader_enter(from->in, f->member, i);
        widths[i] = (size_t)f->min;
        if (item->is_integer && homefield_allows_integer(f, item->integer))
            widths[i] = (size_t)item->integer;
        else
            fail(from, NULL, item, expected);
        homereader_leave(from->in);
    }
    if (widths)
        homefield_set_array(f, object, widths, i);
}

/* Bytes of all texts of an array, with their zeros. */
static size_t texts_size(const homejson_value *array) {
    size_t size = 0;
    for (const homejson_value *item = array->first; item; item = item->next)
        if (item->type == HOME_JSON_STRING)
            size += (size_t)item->length + 1;
    return size;
}

/* The texts lie together: there may be a million of a few bytes. */
static void read_names(const source *from, const homefield *f, const homejson_value *value,
                       char *object) {
    const char **names = take_elements(from, f, value, sizeof *names);
    char *text = names ? homearena_take(from->in->arena, texts_size(value), 1) : NULL;
    size_t i = 0;
    if (names && !text)
        homereader_fail_memory(from->in);
    for (const homejson_value *item = text ? value->first : NULL; item; item = item->next, i++) {
        homereader_enter(from->in, f->member, i);
        if (is_text(from, NULL, item)) {
            names[i] = memcpy(text, item->text, (size_t)item->length + 1);
            text += item->length + 1;
        }
        homereader_leave(from->in);
    }
    if (text)
        homefield_set_array(f, object, (const void *)names, i);
}

static const homefield *find_key(const source *from, const homefield *fields,
                                 const homejson_value *member) {
    const size_t length = member->key_length;
    for (const homefield *f = fields; f->type != HOME_FIELD_END; f++)
        if (f->key && strlen(f->key) == length && strcmp(f->key, member->key) == 0 &&
            (from->stored || !f->moved))
            return f;
    return NULL;
}

static void read_object(const source *from, const homefield *fields, const homejson_value *value,
                        char *object);

/* A struct of its own, in the arena. */
static void read_struct(const source *from, const homefield *f, const homejson_value *value,
                        char *target) {
    memcpy(target, &f->size, sizeof f->size); /* struct_size */
    read_object(from, f->fields, value, target);
}

static void read_structs(const source *from, const homefield *f, const homejson_value *value,
                         char *object) {
    char *elements = take_elements(from, f, value, f->size);
    size_t i = 0;
    for (const homejson_value *item = elements ? value->first : NULL; item;
         item = item->next, i++) {
        homereader_enter(from->in, f->member, i);
        read_struct(from, f, item, elements + i * f->size);
        homereader_leave(from->in);
    }
    if (elements)
        homefield_set_array(f, object, elements, i);
}

static void read_inner(const source *from, const homefield *f, const homejson_value *value,
                       char *object) {
    char *made = NULL;
    homereader_enter(from->in, f->member, HOME_NONE);
    if (f->type == HOME_FIELD_SECTION) {
        read_object(from, f->fields, value, object);
    } else if ((made = homearena_take(from->in->arena, 1, f->size))) {
        memcpy(object + f->offset, &made, sizeof made);
        read_struct(from, f, value, made);
    } else {
        homereader_fail_memory(from->in);
    }
    homereader_leave(from->in);
}

/* Reads one member into its struct field. Calls itself as deep as the table is, no deeper. */
static void read_field(const source *from, const homefield *f, const homejson_value *value,
                       char *object) {
    uint64_t integer;
    const char *text;
    switch (f->type) {
    case HOME_FIELD_NAME:
    case HOME_FIELD_TEXT:
        text = copy_text(from, f->member, value);
        memcpy(object + f->offset, &text, sizeof text);
        break;
    case HOME_FIELD_SIZE:
        read_size(from, f, value, object);
        break;
    case HOME_FIELD_UINT64:
        if (read_integer(from, f, value, &integer))
            memcpy(object + f->offset, &integer, sizeof integer);
        break;
    case HOME_FIELD_NUMBER:
        read_number(from, f, value, object);
        break;
    case HOME_FIELD_CHOICE:
    case HOME_FIELD_SWITCH:
        read_choice(from, f, value, object);
        break;
    case HOME_FIELD_WIDTHS:
        read_widths(from, f, value, object);
        break;
    case HOME_FIELD_NAMES:
        read_names(from, f, value, object);
        break;
    case HOME_FIELD_STRUCTS:
        read_structs(from, f, value, object);
        break;
    default:
        read_inner(from, f, value, object);
        break;
    }
}

static void fail_key(const source *from, const char *key) {
    char path[sizeof from->in->path];
    const char *where = homereader_path(from->in, NULL);
    snprintf(path, sizeof path, "%s%s%.60s", where, *where ? "." : "", key);
    homereader_fail_at(from->in, from->unknown, path, ": there is no key of this name");
}

/* Reads an object all of whose keys are in `fields`. */
static void read_object(const source *from, const homefield *fields, const homejson_value *value,
                        char *object) {
    if (value->type != HOME_JSON_OBJECT) {
        fail(from, NULL, value, "an object");
        return;
    }
    for (const homejson_value *member = value->first; member && homereader_ok(from->in);
         member = member->next) {
        const homefield *f = find_key(from, fields, member);
        if (f)
            read_field(from, f, member, object);
        else
            fail_key(from, member->key);
    }
}

home_status homeconfig_from_json(homereader *in, const char *json, size_t length, bool stored,
                                 home_config *config) {
    home_error found = {.struct_size = sizeof found};
    homejson *document = NULL;
    const source from = {.in = in,
                         .json = json,
                         .unknown = stored ? HOME_E_UNSUPPORTED : HOME_E_CONFIG,
                         .stored = stored};
    in->json = true;
    *config = (home_config){.struct_size = sizeof *config};
    /* What a configuration can be written in has three bytes for a value; a text of commas has two,
     * and would only take memory. */
    if (homejson_parse_sparse(in->arena->allocator, json, length, 1000 + length / 3, &document,
                              &found) == HOME_OK)
        read_object(&from, homefields_model, homejson_root(document), (char *)config);
    else
        homereader_fail_as(in, "", &found);
    homejson_free(document);
    return in->status;
}

/* -------------------------------------------------------------------------------------- writing */

/* What is written, and of what. */
typedef struct target {
    hometext *text;
    homefield_context context;
    bool complete; /* also what is as it would be anyway */
} target;

static uint64_t uint64_at(const char *at) {
    uint64_t integer;
    memcpy(&integer, at, sizeof integer);
    return integer;
}

static int32_t choice_at(const char *at) {
    int32_t choice;
    memcpy(&choice, at, sizeof choice);
    return choice;
}

static double number_at(const char *at) {
    double number;
    memcpy(&number, at, sizeof number);
    return number;
}

/* A field that says nothing: a text that is not there, an empty list of names or structs, a choice
 * not made. */
static bool is_absent(const homefield *f, const char *object) {
    const char *at = object + f->offset;
    switch (f->type) {
    case HOME_FIELD_NAME:
    case HOME_FIELD_TEXT:
        return !homefield_pointer(at, 0);
    case HOME_FIELD_NAMES:
    case HOME_FIELD_STRUCTS:
        return homefield_size(object, f->count_offset) == 0;
    case HOME_FIELD_CHOICE:
        return choice_at(at) < f->first;
    case HOME_FIELD_RESERVED:
        return true;
    default:
        return f->moved;
    }
}

static bool all_usual(const target *to, const homefield *fields, const char *object);

/* A field that is as it would be if it were left out. */
static bool is_usual(const target *to, const homefield *f, const char *object) {
    const char *at = object + f->offset;
    const char *text;
    switch (f->type) {
    case HOME_FIELD_NAME:
        text = f->text_of ? f->text_of(object) : NULL;
        return text && strcmp(homefield_pointer(at, 0), text) == 0;
    case HOME_FIELD_SIZE:
        return (double)homefield_size(at, 0) == homefield_default(f, &to->context, object);
    case HOME_FIELD_UINT64:
        return uint64_at(at) == 0;
    case HOME_FIELD_NUMBER:
        return number_at(at) == homefield_default(f, &to->context, object);
    case HOME_FIELD_CHOICE:
    case HOME_FIELD_SWITCH:
        return choice_at(at) == homefield_default(f, &to->context, object);
    case HOME_FIELD_WIDTHS:
        return homefield_size(object, f->count_offset) == 0;
    case HOME_FIELD_STRUCT:
        return all_usual(to, f->fields, homefield_pointer(at, 0));
    case HOME_FIELD_SECTION:
        return !f->kept && all_usual(to, f->fields, object);
    default:
        return false;
    }
}

static bool all_usual(const target *to, const homefield *fields, const char *object) {
    for (const homefield *f = fields; f->type != HOME_FIELD_END; f++)
        if (!is_absent(f, object) && !is_usual(to, f, object))
            return false;
    return true;
}

static void write_object(target *to, const homefield *fields, const char *object);

static void write_item(target *to, const homefield *f, const void *items, size_t i) {
    if (f->type == HOME_FIELD_WIDTHS)
        hometext_add_integer(to->text, ((const size_t *)items)[i]);
    else if (f->type == HOME_FIELD_NAMES)
        hometext_add_string(to->text, ((const char *const *)items)[i]);
    else
        write_object(to, f->fields, (const char *)items + i * f->size);
}

static void write_array(target *to, const homefield *f, const char *object) {
    const size_t count = homefield_size(object, f->count_offset);
    const bool layers = f->fields && f->offset == offsetof(home_config, layers) &&
                        object == (const char *)&to->context.settings->config;
    hometext_add(to->text, "[");
    for (size_t i = 0; i < count; i++) {
        if (layers)
            to->context.layer = i;
        hometext_add(to->text, i ? "," : "");
        write_item(to, f, homefield_pointer(object, f->offset), i);
    }
    hometext_add(to->text, "]");
}

static void write_value(target *to, const homefield *f, const char *object) {
    const char *at = object + f->offset;
    switch (f->type) {
    case HOME_FIELD_NAME:
    case HOME_FIELD_TEXT:
        hometext_add_string(to->text, homefield_pointer(at, 0));
        break;
    case HOME_FIELD_SIZE:
        hometext_add_integer(to->text, homefield_size(at, 0));
        break;
    case HOME_FIELD_UINT64:
        hometext_add_integer(to->text, uint64_at(at));
        break;
    case HOME_FIELD_NUMBER:
        hometext_add_number(to->text, number_at(at));
        break;
    case HOME_FIELD_CHOICE:
        hometext_add_string(to->text, f->names[choice_at(at) - f->first]);
        break;
    case HOME_FIELD_SWITCH:
        hometext_add(to->text, choice_at(at) == HOME_ON ? "true" : "false");
        break;
    case HOME_FIELD_STRUCT:
        write_object(to, f->fields, homefield_pointer(at, 0));
        break;
    case HOME_FIELD_SECTION:
        write_object(to, f->fields, object);
        break;
    default:
        write_array(to, f, object);
        break;
    }
}

static void write_object(target *to, const homefield *fields, const char *object) {
    const char *separator = "";
    hometext_add(to->text, "{");
    for (const homefield *f = fields; f->type != HOME_FIELD_END; f++) {
        if (is_absent(f, object) || (!to->complete && is_usual(to, f, object)))
            continue;
        hometext_add(to->text, separator);
        hometext_add_string(to->text, f->key);
        hometext_add(to->text, ":");
        write_value(to, f, object);
        separator = ",";
    }
    hometext_add(to->text, "}");
}

void homeconfig_to_json(const homesettings *settings, bool complete, hometext *text) {
    target to = {.text = text, .context = {.settings = settings}, .complete = complete};
    write_object(&to, homefields_model, (const char *)&settings->config);
}
