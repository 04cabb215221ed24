/* The tensors of a checkpoint, and saving: a model as a safetensors file. docs/checkpoint.md
 * describes the format. */
#include "checkpoint.h"

#include "../base/little_endian.h"
#include "../host/number.h"
#include "../host/sort.h"
#include "../train/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

size_t homeitem_count(const homeitem *i) {
    return i->shape[0] * i->shape[1];
}

size_t homeitem_bytes(const homeitem *i) {
    return homedtype_size(i->dtype) * homeitem_count(i);
}

/* ------------------------------------------------------------------------ what a checkpoint has */

/* Adds a tensor. One of the optimizer's has a suffix, and is named after the tensor it belongs
 * to. */
static void add_item(homeitems *list, homeitem made, const char *suffix) {
    static const char prefix[] = "optimizer.";
    if (suffix) {
        const size_t room = sizeof prefix + strlen(made.name) + strlen(suffix);
        char *text = homearena_take(&list->arena, room, 1);
        if (!text)
            return;
        snprintf(text, room, "%s%s%s", prefix, made.name, suffix);
        made.name = text;
    }
    list->items[list->count++] = made;
}

homeitem homeitem_of(const hometensor *t) {
    return (homeitem){.name = t->name,
                      .dtype = HOME_F32,
                      .rank = (size_t)t->rank,
                      .shape = {t->rows, t->columns},
                      .never_negative = t->never_negative};
}

/* State of the optimizer that belongs to a tensor: [the tensor's shape], or [rows] where it is
 * row-wise. */
static void add_state_items(homeitems *list, const home_model *model, const hometensor *t) {
    const home_optimizer_config *o = &model->settings.optimizer;
    const bool table = t->kind == HOME_TENSOR_TABLE;
    const homeoptimizer_traits *traits =
        homeoptimizer_traits_of(table ? o->embedding_kind : o->kind);
    if (t->kind == HOME_TENSOR_STATISTIC)
        return;
    for (int slot = 0; slot < HOME_STATE_SLOTS && traits->state[slot]; slot++) {
        homeitem made = homeitem_of(t);
        made.never_negative = traits->never_negative[slot];
        if (traits->row_wise) {
            made.rank = 1;
            made.shape[1] = 1;
        }
        if (model->training)
            made.data = table ? model->training->embeddings[t->offset].state[slot]
                              : model->training->state[slot] + t->offset;
        add_item(list, made, traits->state[slot]);
    }
}

static void add_optimizer_items(homeitems *list, const home_model *model) {
    for (size_t i = 0; i < model->tensors.count && homearena_ok(&list->arena); i++)
        add_state_items(list, model, &model->tensors.items[i]);
    const homeitem step = {.name = "step",
                           .dtype = HOME_I64,
                           .rank = 1,
                           .shape = {1, 1},
                           .data = &list->step,
                           .never_negative = true};
    const homeitem rates = {.name = "learning_rate",
                            .dtype = HOME_F64,
                            .rank = 1,
                            .shape = {2, 1},
                            .data = list->rates,
                            .never_negative = true,
                            .max = HOME_MAX_RATE};
    add_item(list, step, "");
    add_item(list, rates, "");
    if (model->training) {
        list->step = (int64_t)model->training->step_count;
        list->rates[0] = model->training->learning_rate;
        list->rates[1] = model->training->embedding_learning_rate;
    }
}

bool homeitem_is_optimizer(const char *name) {
    return strncmp(name, "optimizer.", 10) == 0;
}

static void index_items(homeitems *list) {
    list->by_name = homearena_take(&list->arena, list->count, sizeof *list->by_name);
    if (!list->by_name)
        return;
    for (size_t i = 0; i < list->count; i++)
        list->by_name[i] = &list->items[i];
    homesort_by_name(list->by_name, list->count);
}

home_status homeitems_list(homeitems *list, const home_model *model, bool optimizer,
                           home_error *error) {
    *list = (homeitems){.arena = {.allocator = &model->allocator}};
    list->items = homearena_take(&list->arena, 3 * model->tensors.count + 2, sizeof *list->items);
    if (!list->items)
        return homefail_memory(error);
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *t = &model->tensors.items[i];
        homeitem made = homeitem_of(t);
        made.data = model->training ? homeaccess_data(model, t) : NULL;
        add_item(list, made, NULL);
    }
    if (optimizer)
        add_optimizer_items(list, model);
    index_items(list);
    if (homearena_ok(&list->arena))
        return HOME_OK;
    homearena_free(&list->arena);
    return homefail_memory(error);
}

static double value_of(homedtype dtype, const void *element) {
    float narrow;
    double wide;
    int64_t whole;
    switch (dtype) {
    case HOME_F32:
        memcpy(&narrow, element, sizeof narrow);
        return (double)narrow;
    case HOME_F64:
        memcpy(&wide, element, sizeof wide);
        return wide;
    default:
        memcpy(&whole, element, sizeof whole);
        return (double)whole;
    }
}

/* Training gives no value that is not finite, and no negative step, rate, variance or sum of
 * squares. */
static bool is_possible(const homeitem *i, double value) {
    return isfinite(value) && !(i->never_negative && value < 0) && !(i->max > 0 && value > i->max);
}

static home_status fail_value(const homeitem *i, size_t element, double value, home_error *error) {
    if (i->max > 0)
        return homefail(error, HOME_E_VALUE,
                        "tensor \"%.120s\": element %zu is %s, expected a number from 0 to %s",
                        i->name, element, HOME_BRIEF(value), HOME_BRIEF(i->max));
    return homefail(error, HOME_E_VALUE,
                    "tensor \"%.120s\": element %zu is %s, expected a finite number%s", i->name,
                    element, HOME_BRIEF(value), i->never_negative ? " >= 0" : "");
}

/* Whether all of them are finite, and none is below 0 where it must not be: one pass without a
 * branch, for nearly all values are in tables of this type. */
static bool all_possible(const homeitem *i, const void *values, size_t count) {
    uint32_t wrong = 0;
    for (size_t e = 0; e < count; e++) {
        uint32_t bits;
        memcpy(&bits, (const char *)values + e * sizeof bits, sizeof bits);
        wrong |= (bits & 0x7f800000u) == 0x7f800000u;
        wrong |= i->never_negative & (bits > 0x80000000u);
    }
    return wrong == 0;
}

home_status homeitem_check(const homeitem *i, const void *values, size_t first, size_t count,
                           home_error *error) {
    const size_t size = homedtype_size(i->dtype);
    if (i->dtype == HOME_F32 && all_possible(i, values, count))
        return HOME_OK;
    for (size_t e = 0; e < count; e++) {
        const double value = value_of(i->dtype, (const char *)values + e * size);
        if (!is_possible(i, value))
            return fail_value(i, first + e, value, error);
    }
    return HOME_OK;
}

/* Values that a reader would refuse must not be written, least of all over a good checkpoint. */
static home_status check_own_values(const homeitems *list, home_error *error) {
    home_status status = HOME_OK;
    for (size_t i = 0; i < list->count && status == HOME_OK; i++)
        status = homeitem_check(&list->items[i], list->items[i].data, 0,
                                homeitem_count(&list->items[i]), error);
    return status;
}

/* -------------------------------------------------------------------------------------- writing */

/* Where the bytes of a checkpoint go: a checksum, memory or a file. */
typedef struct sink {
    void (*write)(void *target, const void *bytes, size_t size);
    void *target;
} sink;

static void write_crc(void *target, const void *bytes, size_t size) {
    homecrc32_add(target, bytes, size);
}

static void write_memory(void *target, const void *bytes, size_t size) {
    unsigned char **next = target;
    memcpy(*next, bytes, size);
    *next += size;
}

static void write_file(void *target, const void *bytes, size_t size) {
    homefile_write(target, bytes, size);
}

/* An element of 4 or 8 bytes, from the machine's order. */
static void write_element(const void *source, size_t size, unsigned char *target) {
    if (size == 4) {
        uint32_t bits;
        memcpy(&bits, source, sizeof bits);
        homelittle_put(bits, 4, target);
    } else {
        uint64_t bits;
        memcpy(&bits, source, sizeof bits);
        homelittle_put(bits, 8, target);
    }
}

/* Writes elements little-endian, whatever the machine is. */
static void write_elements(const sink *out, const homeitem *i) {
    enum { BLOCK = 4096 };
    unsigned char block[BLOCK];
    const size_t element = homedtype_size(i->dtype);
    const size_t count = homeitem_count(i);
    const char *source = i->data;
    size_t filled = 0;
    for (size_t e = 0; e < count; e++) {
        write_element(source + e * element, element, block + filled);
        filled += element;
        if (filled == BLOCK) {
            out->write(out->target, block, filled);
            filled = 0;
        }
    }
    out->write(out->target, block, filled);
}

static void add_pair(hometext *text, const char *key, const char *value) {
    hometext_add_string(text, key);
    hometext_add(text, ":");
    hometext_add_string(text, value);
}

/* "name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} */
static void add_entry(hometext *text, const homeitem *i, size_t begin) {
    hometext_add(text, ",");
    hometext_add_string(text, i->name);
    hometext_add(text, ":{");
    add_pair(text, "dtype", homedtype_name(i->dtype));
    hometext_add(text, ",\"shape\":[");
    for (size_t d = 0; d < i->rank; d++) {
        hometext_add(text, d ? "," : "");
        hometext_add_integer(text, i->shape[d]);
    }
    hometext_add(text, "],\"data_offsets\":[");
    hometext_add_integer(text, begin);
    hometext_add(text, ",");
    hometext_add_integer(text, begin + homeitem_bytes(i));
    hometext_add(text, "]}");
}

/* What the host has set for training, where it differs from the configuration. */
static void add_tuning(hometext *text, const home_model *model) {
    hometext tuning = {.allocator = &model->allocator};
    hometuning_write(model, &tuning);
    if (tuning.data) {
        hometext_add(text, ",");
        add_pair(text, "home.training", tuning.data);
    }
    text->failed = text->failed || tuning.failed;
    homememory_free(&model->allocator, tuning.data);
}

/* Without what is at its default: a reader that knows every key that is used reads the file, also
 * if it is older than others that this version knows. */
static void add_config(hometext *text, const home_model *model) {
    hometext config = {.allocator = text->allocator};
    homeconfig_to_json(&model->settings, false, &config);
    if (config.failed)
        text->failed = true;
    else
        add_pair(text, "home.config", config.data);
    homememory_free(config.allocator, config.data);
}

/* The header with a checksum of zeros, filled with spaces to a multiple of 8 bytes. *digits gets
 * the checksum's place. */
static void write_header(const home_model *model, const homeitems *list, bool optimizer,
                         hometext *text, size_t *digits) {
    hometext_add(text, "{\"__metadata__\":{\"" HOME_CHECKSUM_KEY "\":\"");
    *digits = text->length;
    hometext_add(text, "00000000\",");
    add_pair(text, "home.schema", HOME_SCHEMA);
    hometext_add(text, ",");
    add_config(text, model);
    if (optimizer)
        add_tuning(text, model);
    for (const homemetadata *m = model->metadata; m; m = m->next) {
        hometext_add(text, ",");
        add_pair(text, m->key, m->value);
    }
    hometext_add(text, "}");
    size_t begin = 0;
    for (size_t i = 0; i < list->count; i++) {
        add_entry(text, &list->items[i], begin);
        begin += homeitem_bytes(&list->items[i]);
    }
    hometext_add(text, "}");
    while (text->length % 8 != 0 && !text->failed)
        hometext_add(text, " ");
}

/* Header and tensors, one after another, to whatever the sink is. It is called twice for a
 * checkpoint: into the checksum, which stands in the header and so must be known first, and then to
 * its target. The bytes of the model are never copied as a whole. */
static void write_all(const sink *out, const hometext *header, const homeitems *list) {
    unsigned char length[8];
    homelittle_put(header->length, sizeof length, length);
    out->write(out->target, length, sizeof length);
    out->write(out->target, header->data, header->length);
    for (size_t i = 0; i < list->count; i++)
        write_elements(out, &list->items[i]);
}

/* A checkpoint ready to be written. */
typedef struct draft {
    homeitems list;
    hometext header;
    size_t size; /* bytes in all */
} draft;

static void draft_free(draft *d) {
    homememory_free(d->header.allocator, d->header.data);
    homearena_free(&d->list.arena);
}

/* A header that a reader would refuse must not be written either. Its other limits, of values and
 * depth, cannot be met: what is written here takes more bytes a value, and nests three deep. */
static home_status check_header(const hometext *header, home_error *error) {
    if (header->failed)
        return homefail_memory(error);
    if (header->length <= HOME_MAX_HEADER)
        return HOME_OK;
    return homefail(error, HOME_E_TOO_LARGE,
                    "the header of names, shapes, configuration and metadata takes %zu bytes, "
                    "expected at most %u",
                    header->length, HOME_MAX_HEADER);
}

/* All that can fail for other reasons than the target comes first, so that a bad argument or value
 * never opens a file. */
static home_status draft_begin(const home_model *model, uint32_t flags, draft *d,
                               home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if ((flags & ~HOME_SAVE_OPTIMIZER) != 0)
        return homefail(error, HOME_E_ARGUMENT, "flags is %lu, expected 0 or HOME_SAVE_OPTIMIZER",
                        (unsigned long)flags);
    const bool optimizer = (flags & HOME_SAVE_OPTIMIZER) != 0;
    status = homeitems_list(&d->list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    status = check_own_values(&d->list, error);
    if (status != HOME_OK) {
        homearena_free(&d->list.arena);
        return status;
    }
    d->header = (hometext){.allocator = &model->allocator};
    size_t digits = 0;
    write_header(model, &d->list, optimizer, &d->header, &digits);
    status = check_header(&d->header, error);
    if (status != HOME_OK) {
        draft_free(d);
        return status;
    }
    d->size = 8 + d->header.length;
    for (size_t i = 0; i < d->list.count; i++)
        d->size += homeitem_bytes(&d->list.items[i]);
    homecrc32 crc;
    homecrc32_start(&crc);
    write_all(&(sink){write_crc, &crc}, &d->header, &d->list);
    char checksum[HOME_CHECKSUM_DIGITS + 1];
    snprintf(checksum, sizeof checksum, "%08lx", (unsigned long)homecrc32_value(&crc));
    memcpy(d->header.data + digits, checksum, HOME_CHECKSUM_DIGITS);
    return HOME_OK;
}

home_status home_model_save(const home_model *model, const char *path, uint32_t flags,
                            home_error *error) {
    if (!path)
        return homefail_null(error, "path");
    draft d = {0};
    home_status status = draft_begin(model, flags, &d, error);
    if (status != HOME_OK)
        return status;
    homefile file;
    status = homefile_begin(&model->allocator, path, &file, error);
    if (status == HOME_OK) {
        write_all(&(sink){write_file, &file}, &d.header, &d.list);
        status = homefile_commit(&file, error);
    }
    draft_free(&d);
    return status;
}

home_status home_model_serialize(const home_model *model, uint32_t flags, void *buffer,
                                 size_t capacity, size_t *length, home_error *error) {
    if (!length)
        return homefail_null(error, "length");
    draft d = {0};
    home_status status = draft_begin(model, flags, &d, error);
    if (status != HOME_OK || !d.header.data)
        return status;
    *length = d.size;
    if (buffer && capacity < d.size) {
        status = homefail(error, HOME_E_ARGUMENT, "capacity is %zu, expected at least %zu",
                          capacity, d.size);
    } else if (buffer) {
        unsigned char *next = buffer;
        write_all(&(sink){write_memory, &next}, &d.header, &d.list);
    }
    draft_free(&d);
    return status;
}
