/* Reads the format alone: checkpoint.c says what the tensors of a checkpoint must be. */
#include "safetensors.h"

#include "../base/fail.h"
#include "../base/little_endian.h"
#include "../host/sort.h"

#include <stdio.h>
#include <string.h>

enum {
    LENGTH_BYTES = 8,
    /* At least, on average. A tensor's entry takes 50 with six values: so these are tensors of up
     * to 13 dimensions. */
    BYTES_PER_VALUE = 4
};

/* The types of the format, those of homedtype first. */
static const struct dtype {
    const char *name;
    size_t bits; /* of an element */
} dtypes[] = {
    [HOME_F32] = {"F32", 32},
    [HOME_F64] = {"F64", 64},
    [HOME_I64] = {"I64", 64},
    {"F16", 16},
    {"BF16", 16},
    {"F8_E4M3", 8},
    {"F8_E5M2", 8},
    {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8},
    {"F6_E2M3", 6},
    {"F6_E3M2", 6},
    {"F4", 4},
    {"C64", 64},
    {"I32", 32},
    {"I16", 16},
    {"I8", 8},
    {"U64", 64},
    {"U32", 32},
    {"U16", 16},
    {"U8", 8},
    {"BOOL", 8},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

const char *homedtype_name(homedtype dtype) {
    return dtypes[dtype].name;
}

size_t homedtype_size(homedtype dtype) {
    return dtypes[dtype].bits / 8;
}

/* Its place among the types; DTYPE_COUNT for one that the format does not have. */
static size_t find_dtype(const homejson_value *name) {
    size_t i = 0;
    while (i < DTYPE_COUNT &&
           (strlen(dtypes[i].name) != name->length || strcmp(dtypes[i].name, name->text) != 0))
        i++;
    return i;
}

/* --------------------------------------------------------------------------------------- header */

/* A file, and its header:
 *
 *     | 8 bytes: n | n bytes of JSON | tensors' bytes .. |
 *                   { "__metadata__": {..},
 *                     "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, .. }
 *
 * The offsets count from the end of the header. All tensors together must cover the rest of the
 * file without holes or overlaps: so no bytes hide in it. */
static home_status read_length(homestream *stream, size_t *length, home_error *error) {
    if (stream->size < LENGTH_BYTES)
        return homefail(error, HOME_E_FORMAT,
                        "the data has %zu bytes, expected at least %d for the header's length",
                        stream->size, LENGTH_BYTES);
    unsigned char data[LENGTH_BYTES];
    const home_status status = homestream_read(stream, data, LENGTH_BYTES, error);
    if (status != HOME_OK)
        return status;
    const uint64_t value = homelittle_get(data, LENGTH_BYTES);
    const size_t rest = stream->size - LENGTH_BYTES;
    const size_t max = rest < HOME_MAX_HEADER ? rest : HOME_MAX_HEADER;
    if (value > max)
        return homefail(error, HOME_E_FORMAT, "the header's length is %llu, expected at most %zu",
                        (unsigned long long)value, max);
    *length = (size_t)value;
    return HOME_OK;
}

/* The beginning of the text comes first: what is no header is refused before memory is taken for as
 * much as it claims to be. */
static home_status read_text(homestream *stream, homearchive *archive, home_error *error) {
    char begin[HOME_EXCERPT_SIZE];
    const size_t length = archive->length;
    const size_t ahead = length < sizeof begin ? length : sizeof begin;
    home_status status = homestream_read(stream, begin, ahead, error);
    if (status != HOME_OK)
        return status;
    if (length > 0 && begin[0] != '{') /* the format wants no space before it either */
        return homefail(error, HOME_E_FORMAT, "the header is %s, expected an object",
                        homejson_excerpt(begin, length, (char[HOME_EXCERPT_SIZE]){0}));
    archive->text = homememory_allocate(archive->allocator, length, 1);
    if (!archive->text)
        return homefail_memory(error);
    memcpy(archive->text, begin, ahead);
    return homestream_read(stream, archive->text + ahead, length - ahead, error);
}

/* Names something in the header, its text or the beginning of it, and what was expected. */
static home_status fail_value(const homearchive *archive, const char *what,
                              const homejson_value *value, const char *expected,
                              home_error *error) {
    return homefail(error, HOME_E_FORMAT, "%s is %s, expected %s", what,
                    HOME_EXCERPT(archive->text + value->begin, value->end - value->begin),
                    expected);
}

/* The same for a member of a tensor's entry. */
static home_status fail_member(const homearchive *archive, const homejson_value *entry,
                               const char *key, const char *expected, home_error *error) {
    char what[150];
    snprintf(what, sizeof what, "tensor \"%.100s\": %s", entry->key, key);
    return fail_value(archive, what, homejson_member(entry, key), expected, error);
}

/* An entry is {"dtype": text, "shape": [..], "data_offsets": [begin, end]}, and nothing more. */
static home_status check_entry(const homearchive *archive, const homejson_value *entry,
                               home_error *error) {
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    if (strlen(entry->key) != entry->key_length)
        return homefail(error, HOME_E_FORMAT, "tensor \"%.100s...\": the name contains a zero byte",
                        entry->key);
    if (entry->type != HOME_JSON_OBJECT)
        return homefail(error, HOME_E_FORMAT,
                        "tensor \"%.100s\": expected an object of dtype, shape and data_offsets",
                        entry->key);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!homejson_member(entry, keys[i]))
            return homefail(error, HOME_E_FORMAT,
                            "tensor \"%.100s\" has no %s, expected dtype, shape and data_offsets",
                            entry->key, keys[i]);
    if (entry->count != sizeof keys / sizeof keys[0])
        return homefail(
            error, HOME_E_FORMAT,
            "tensor \"%.100s\" has %zu members, expected dtype, shape and data_offsets alone",
            entry->key, (size_t)entry->count);
    if (homejson_member(entry, "dtype")->type != HOME_JSON_STRING)
        return fail_member(archive, entry, "dtype", "a text", error);
    const homejson_value *shape = homejson_member(entry, "shape");
    bool whole = shape->type == HOME_JSON_ARRAY;
    for (const homejson_value *d = shape->first; d && whole; d = d->next)
        whole = d->is_integer;
    return whole ? HOME_OK
                 : fail_member(archive, entry, "shape", "an array of whole numbers from 0", error);
}

/* The elements of a shape; false where no size_t counts them. */
static bool count_elements(const homejson_value *shape, size_t *count) {
    bool empty = false;
    *count = 1;
    for (const homejson_value *d = shape->first; d; d = d->next) {
        empty = empty || d->integer == 0;
        if (!empty &&
            (d->integer > SIZE_MAX || !homesize_multiply(*count, (size_t)d->integer, count)))
            return false;
    }
    *count = empty ? 0 : *count;
    return true;
}

/* shape x dtype must be the bytes between the offsets. */
static home_status check_size(const homearchive *archive, const homejson_value *entry, size_t bits,
                              const homestored *tensor, home_error *error) {
    size_t count;
    if (!count_elements(tensor->shape, &count) || !homesize_multiply(count, bits, &bits))
        return fail_member(archive, entry, "shape", "a product that fits memory", error);
    if (bits % 8 != 0)
        return fail_member(archive, entry, "shape", "elements that fill whole bytes", error);
    if (bits / 8 != tensor->size)
        return homefail(
            error, HOME_E_FORMAT,
            "tensor \"%.100s\": data_offsets span %zu bytes, expected %zu (shape x dtype)",
            tensor->name, tensor->size, bits / 8);
    return HOME_OK;
}

static home_status read_tensor(const homearchive *archive, const homejson_value *entry,
                               size_t body_size, homestored *tensor, home_error *error) {
    const home_status status = check_entry(archive, entry, error);
    if (status != HOME_OK)
        return status;
    const homejson_value *dtype = homejson_member(entry, "dtype");
    const size_t type = find_dtype(dtype);
    if (type == DTYPE_COUNT)
        return fail_member(archive, entry, "dtype", "a type that safetensors has", error);
    const homejson_value *offsets = homejson_member(entry, "data_offsets");
    if (offsets->type != HOME_JSON_ARRAY || offsets->count != 2 || !offsets->first->is_integer ||
        !offsets->first->next->is_integer)
        return fail_member(archive, entry, "data_offsets", "two whole numbers from 0", error);
    const uint64_t begin = offsets->first->integer;
    const uint64_t end = offsets->first->next->integer;
    if (begin > end)
        return fail_member(archive, entry, "data_offsets", "the first not above the second", error);
    if (end > body_size)
        return homefail(error, HOME_E_FORMAT,
                        "tensor \"%.100s\": data_offsets end at %llu, expected at most %zu, where "
                        "the file ends",
                        entry->key, (unsigned long long)end, body_size);
    *tensor = (homestored){.name = entry->key,
                           .dtype = type < HOME_OTHER_DTYPE ? (homedtype)type : HOME_OTHER_DTYPE,
                           .dtype_name = dtype->text,
                           .shape = homejson_member(entry, "shape"),
                           .begin = (size_t)begin,
                           .size = (size_t)(end - begin)};
    return check_size(archive, entry, dtypes[type].bits, tensor, error);
}

static home_status read_metadata(const homejson_value *entry, homearchive *archive,
                                 home_error *error) {
    if (entry->type != HOME_JSON_OBJECT)
        return fail_value(archive, "__metadata__", entry, "an object", error);
    for (const homejson_value *item = entry->first; item; item = item->next)
        if (item->type != HOME_JSON_STRING) {
            char what[150];
            snprintf(what, sizeof what, "__metadata__ \"%.100s\"", item->key);
            return fail_value(archive, what, item, "a text", error);
        }
    archive->metadata = entry;
    return HOME_OK;
}

/* By place; of tensors at one place, the empty ones first. */
static int compare_places(const void *a, const void *b) {
    const homestored *s = a;
    const homestored *t = b;
    if (s->begin != t->begin)
        return s->begin < t->begin ? -1 : 1;
    return (s->size > t->size) - (s->size < t->size);
}

/* The tensors must fill the body, one after the other. */
static home_status check_places(homearchive *archive, size_t body_size, home_error *error) {
    homesort_pointers(archive->by_place, archive->count, compare_places);
    size_t reached = 0;
    for (size_t i = 0; i < archive->count; i++) {
        const homestored *tensor = archive->by_place[i];
        if (tensor->begin != reached)
            return homefail(
                error, HOME_E_FORMAT,
                "tensor \"%.100s\": its bytes begin at %zu, expected %zu (no hole, no overlap)",
                tensor->name, tensor->begin, reached);
        reached += tensor->size;
    }
    if (reached != body_size)
        return homefail(error, HOME_E_FORMAT, "%zu bytes after the last tensor belong to no tensor",
                        body_size - reached);
    return HOME_OK;
}

/* A checksum is 8 lower-case hexadecimal digits that stand in the header as they are. */
static bool read_digits(const homejson_value *value, uint32_t *checksum) {
    if (value->length != HOME_CHECKSUM_DIGITS ||
        value->end - value->begin != HOME_CHECKSUM_DIGITS + 2)
        return false;
    static const char digits[] = "0123456789abcdef";
    *checksum = 0;
    for (size_t i = 0; i < HOME_CHECKSUM_DIGITS; i++) {
        const char *digit = strchr(digits, value->text[i]);
        if (!digit || !*digit)
            return false;
        *checksum = *checksum << 4 | (uint32_t)(digit - digits);
    }
    return true;
}

static const homejson_value *metadata_value(const homearchive *archive, const char *key) {
    return archive->metadata ? homejson_member(archive->metadata, key) : NULL;
}

static home_status read_checksum(homearchive *archive, home_error *error) {
    const homejson_value *value = metadata_value(archive, HOME_CHECKSUM_KEY);
    if (!value)
        return HOME_OK;
    if (!read_digits(value, &archive->checksum))
        return homefail(error, HOME_E_CHECKSUM, "%s is \"%.20s\", expected 8 hexadecimal digits",
                        HOME_CHECKSUM_KEY, value->text);
    archive->has_checksum = true;
    archive->digits = value->begin + 1;
    return HOME_OK;
}

static home_status read_header(homearchive *archive, size_t body_size, home_error *error) {
    const homejson_value *root = homejson_root(archive->header);
    const home_allocator *a = archive->allocator;
    archive->tensors = homememory_allocate(a, root->count, sizeof *archive->tensors);
    archive->by_name = homememory_allocate(a, root->count, sizeof *archive->by_name);
    archive->by_place = homememory_allocate(a, root->count, sizeof *archive->by_place);
    if (!archive->tensors || !archive->by_name || !archive->by_place)
        return homefail_memory(error);
    for (const homejson_value *entry = root->first; entry; entry = entry->next) {
        homestored *tensor = &archive->tensors[archive->count];
        const bool is_metadata = strcmp(entry->key, "__metadata__") == 0;
        const home_status status = is_metadata
                                       ? read_metadata(entry, archive, error)
                                       : read_tensor(archive, entry, body_size, tensor, error);
        if (status != HOME_OK)
            return status;
        if (!is_metadata) {
            archive->by_name[archive->count] = tensor;
            archive->by_place[archive->count++] = tensor;
        }
    }
    homesort_by_name(archive->by_name, archive->count);
    const home_status status = check_places(archive, body_size, error);
    return status == HOME_OK ? read_checksum(archive, error) : status;
}

/* -------------------------------------------------------------------------------------- archive */

void homearchive_close(homearchive *archive) {
    homejson_free(archive->header);
    homememory_free(archive->allocator, archive->text);
    homememory_free(archive->allocator, archive->tensors);
    homememory_free(archive->allocator, (void *)archive->by_name);
    homememory_free(archive->allocator, (void *)archive->by_place);
}

static home_status open_archive(homestream *stream, homearchive *archive, home_error *error) {
    home_status status = read_length(stream, &archive->length, error);
    if (status == HOME_OK)
        status = read_text(stream, archive, error);
    if (status != HOME_OK)
        return status;
    status = homejson_parse_sparse(archive->allocator, archive->text, archive->length,
                                   2 + archive->length / BYTES_PER_VALUE, &archive->header, error);
    if (status == HOME_E_JSON)
        homefail_within(error, "the header");
    return status == HOME_OK ? read_header(archive, stream->size - stream->at, error) : status;
}

home_status homearchive_open(const home_allocator *allocator, homestream *stream,
                             homearchive *archive, home_error *error) {
    *archive = (homearchive){.allocator = allocator};
    const home_status status = open_archive(stream, archive, error);
    if (status != HOME_OK)
        homearchive_close(archive);
    return status;
}

size_t homearchive_body(const homearchive *archive) {
    return LENGTH_BYTES + archive->length;
}

const homestored *homearchive_find(const homearchive *archive, const char *name) {
    return homesort_find_name(archive->by_name, archive->count, name);
}

const char *homearchive_metadata(const homearchive *archive, const char *key) {
    const homejson_value *value = metadata_value(archive, key);
    return value ? value->text : NULL;
}

/* ----------------------------------------------------------------------------------------- body */

/* The checksum covers the whole file, with zeros for its own digits. */
void homearchive_begin(homearchive_pass *pass, const homearchive *archive, homestream *stream) {
    pass->archive = archive;
    pass->stream = stream;
    if (!archive->has_checksum)
        return;
    unsigned char length[LENGTH_BYTES];
    homelittle_put(archive->length, LENGTH_BYTES, length);
    const size_t behind = archive->digits + HOME_CHECKSUM_DIGITS;
    homecrc32_start(&pass->crc);
    homecrc32_add(&pass->crc, length, LENGTH_BYTES);
    homecrc32_add(&pass->crc, archive->text, archive->digits);
    homecrc32_add(&pass->crc, "00000000", HOME_CHECKSUM_DIGITS);
    homecrc32_add(&pass->crc, archive->text + behind, archive->length - behind);
}

home_status homearchive_take(homearchive_pass *pass, void *target, size_t size, home_error *error) {
    const home_status status = homestream_read(pass->stream, target, size, error);
    if (status == HOME_OK && pass->archive->has_checksum)
        homecrc32_add(&pass->crc, target, size);
    return status;
}

home_status homearchive_finish(const homearchive_pass *pass, home_error *error) {
    const homearchive *archive = pass->archive;
    if (!archive->has_checksum || homecrc32_value(&pass->crc) == archive->checksum)
        return HOME_OK;
    return homefail(error, HOME_E_CHECKSUM,
                    "%s is %08lx, but the data's is %08lx: the file is damaged", HOME_CHECKSUM_KEY,
                    (unsigned long)archive->checksum, (unsigned long)homecrc32_value(&pass->crc));
}
