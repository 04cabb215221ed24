/* Checkpoints: a model as a safetensors file, and back. docs/checkpoint.md describes the format. */
#include "crc32.h"
#include "file.h"
#include "model.h"
#include "number.h"
#include "safetensors.h"
#include "sort.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA "1"

/* A tensor to write, or to read into. */
typedef struct item {
    const char *name;
    const char *dtype; /* "F32", "F64" or "I64" */
    size_t rank;
    size_t shape[2];
    void *data; /* NULL where the model has no memory yet */
    bool never_negative;
} item;

/* All tensors of a checkpoint; in memory of its own. */
typedef struct item_list {
    home_arena arena;
    item *items;
    size_t count;
    int64_t step;    /* optimizer.step */
    double rates[2]; /* optimizer.learning_rate */
} item_list;

static size_t element_size(const item *i) {
    return strcmp(i->dtype, "F32") == 0 ? 4 : 8;
}

static size_t item_bytes(const item *i) {
    return element_size(i) * i->shape[0] * i->shape[1];
}

/* ------------------------------------------------------------------------------- what a checkpoint has */

/* Adds a tensor. One of the optimizer's has a suffix, and is named after the tensor it belongs to. */
static void add_item(item_list *list, item made, const char *suffix) {
    static const char prefix[] = "optimizer.";
    if (suffix) {
        const size_t room = sizeof prefix + strlen(made.name) + strlen(suffix);
        char *text = home_arena_take(&list->arena, room, 1);
        if (!text)
            return;
        snprintf(text, room, "%s%s%s", prefix, made.name, suffix);
        made.name = text;
        made.never_negative = strcmp(suffix, ".exp_avg_sq") == 0 || strcmp(suffix, ".sum") == 0;
    }
    list->items[list->count++] = made;
}

/* State of the optimizer that belongs to a tensor: [the tensor's shape], or [rows] where it is row-wise. */
static void add_state_items(item_list *list, const home_model *model, const home_tensor_info *t) {
    const home_optimizer_config *o = &model->settings.optimizer;
    const bool table = t->kind == HOME_TENSOR_TABLE;
    const home_optimizer_traits *traits = home_optimizer_traits_of(table ? o->embedding_kind : o->kind);
    for (int slot = 0; slot < HOME_STATE_SLOTS && traits->state[slot] && t->kind != HOME_TENSOR_STATISTIC;
         slot++) {
        item made = {t->name, "F32", (size_t)t->rank, {t->rows, t->columns}, NULL, false};
        if (traits->row_wise) {
            made.rank = 1;
            made.shape[1] = 1;
        }
        if (model->training)
            made.data =
                table ? model->tables[t->offset].state[slot] : model->training->state[slot] + t->offset;
        add_item(list, made, traits->state[slot]);
    }
}

static void add_optimizer_items(item_list *list, const home_model *model) {
    for (size_t i = 0; i < model->tensors.count && !list->arena.failed; i++)
        add_state_items(list, model, &model->tensors.items[i]);
    add_item(list, (item){"step", "I64", 1, {1, 1}, &list->step, false}, "");
    add_item(list, (item){"learning_rate", "F64", 1, {2, 1}, list->rates, false}, "");
    if (model->training) {
        list->step = (int64_t)model->training->step_count;
        list->rates[0] = model->training->learning_rate;
        list->rates[1] = model->training->embedding_learning_rate;
    }
}

/* Lists the tensors of a model, with those of its optimizer on request. */
static home_status list_items(item_list *list, const home_model *model, bool optimizer, home_error *error) {
    *list = (item_list){.arena = {.allocator = &model->allocator}};
    list->items = home_arena_take(&list->arena, 3 * model->tensors.count + 2, sizeof *list->items);
    if (!list->items)
        return home_fail_memory(error);
    for (size_t i = 0; i < model->tensors.count; i++) {
        const home_tensor_info *t = &model->tensors.items[i];
        float *data = model->training ? home_tensor_data(model, t) : NULL;
        add_item(list,
                 (item){t->name, "F32", (size_t)t->rank, {t->rows, t->columns}, data, t->never_negative},
                 NULL);
    }
    if (optimizer)
        add_optimizer_items(list, model);
    if (!list->arena.failed)
        return HOME_OK;
    home_arena_free(&list->arena);
    return home_fail_memory(error);
}

/* Values that no training gives: what is not finite, and negative variances and sums of squares. */
static home_status check_value(const item *i, size_t element, float value, home_error *error) {
    if (isfinite(value) && !(i->never_negative && value < 0))
        return HOME_OK;
    return home_fail(error, HOME_E_VALUE, "tensor \"%.120s\": element %zu is %s, expected a finite number%s",
                     i->name, element, HOME_BRIEF((double)value), i->never_negative ? " >= 0" : "");
}

/* What would not be read shall not be written, least of all over a good checkpoint. */
static home_status check_own_values(const item_list *list, home_error *error) {
    home_status status = HOME_OK;
    for (size_t i = 0; i < list->count; i++) {
        const item *own = &list->items[i];
        const float *values = own->data;
        for (size_t e = 0;
             strcmp(own->dtype, "F32") == 0 && e < own->shape[0] * own->shape[1] && status == HOME_OK; e++)
            status = check_value(own, e, values[e], error);
    }
    return status;
}

/* ----------------------------------------------------------------------------------------- writing */

/* Where the bytes of a checkpoint go: a checksum, memory or a file. */
typedef struct sink {
    void (*write)(void *target, const void *bytes, size_t size);
    void *target;
} sink;

static void write_crc(void *target, const void *bytes, size_t size) {
    home_crc32_add(target, bytes, size);
}

static void write_memory(void *target, const void *bytes, size_t size) {
    unsigned char **next = target;
    memcpy(*next, bytes, size);
    *next += size;
}

static void write_file(void *target, const void *bytes, size_t size) {
    home_file_write(target, bytes, size);
}

/* Writes elements little-endian, whatever the machine is. */
static void write_elements(const sink *out, const item *i) {
    enum { BLOCK = 4096 };
    unsigned char block[BLOCK];
    const size_t element = element_size(i);
    const size_t count = i->shape[0] * i->shape[1];
    const char *source = i->data;
    size_t filled = 0;
    for (size_t e = 0; e < count; e++) {
        uint64_t bits = 0;
        if (element == 4) {
            uint32_t narrow;
            memcpy(&narrow, source + e * element, sizeof narrow);
            bits = narrow;
        } else {
            memcpy(&bits, source + e * element, sizeof bits);
        }
        for (size_t b = 0; b < element; b++)
            block[filled++] = (unsigned char)(bits >> (8 * b) & 255);
        if (filled == BLOCK) {
            out->write(out->target, block, filled);
            filled = 0;
        }
    }
    out->write(out->target, block, filled);
}

static void add_pair(home_text *text, const char *key, const char *value) {
    home_text_add_string(text, key);
    home_text_add(text, ":");
    home_text_add_string(text, value);
}

/* "name":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]} */
static void add_entry(home_text *text, const item *i, size_t begin) {
    home_text_add(text, ",");
    home_text_add_string(text, i->name);
    home_text_add(text, ":{");
    add_pair(text, "dtype", i->dtype);
    home_text_add(text, ",\"shape\":[");
    for (size_t d = 0; d < i->rank; d++) {
        home_text_add(text, d ? "," : "");
        home_text_add_integer(text, i->shape[d]);
    }
    home_text_add(text, "],\"data_offsets\":[");
    home_text_add_integer(text, begin);
    home_text_add(text, ",");
    home_text_add_integer(text, begin + item_bytes(i));
    home_text_add(text, "]}");
}

/* The header with a checksum of zeros, filled with spaces to a multiple of 8 bytes. *digits gets the
 * checksum's place. */
static void write_header(const home_model *model, const item_list *list, home_text *text, size_t *digits) {
    home_text_add(text, "{\"__metadata__\":{\"" HOME_CHECKSUM_KEY "\":\"");
    *digits = text->length;
    home_text_add(text, "00000000\",");
    add_pair(text, "home.schema", SCHEMA);
    home_text_add(text, ",");
    add_pair(text, "home.config", model->config_json.data);
    for (const home_metadata *m = model->metadata; m; m = m->next) {
        home_text_add(text, ",");
        add_pair(text, m->key, m->value);
    }
    home_text_add(text, "}");
    size_t begin = 0;
    for (size_t i = 0; i < list->count; i++) {
        add_entry(text, &list->items[i], begin);
        begin += item_bytes(&list->items[i]);
    }
    home_text_add(text, "}");
    while (text->length % 8 != 0 && !text->failed)
        home_text_add(text, " ");
}

static void write_all(const sink *out, const home_text *header, const item_list *list) {
    unsigned char length[8];
    for (size_t b = 0; b < sizeof length; b++)
        length[b] = (unsigned char)((uint64_t)header->length >> (8 * b) & 255);
    out->write(out->target, length, sizeof length);
    out->write(out->target, header->data, header->length);
    for (size_t i = 0; i < list->count; i++)
        write_elements(out, &list->items[i]);
}

/* A checkpoint ready to be written. */
typedef struct draft {
    item_list list;
    home_text header;
    size_t size; /* bytes in all */
} draft;

static void draft_free(draft *d) {
    home_deallocate(d->header.allocator, d->header.data);
    home_arena_free(&d->list.arena);
}

static home_status draft_begin(const home_model *model, uint32_t flags, draft *d, home_error *error) {
    home_status status = home_check_trainable(model, error);
    if (status != HOME_OK)
        return status;
    if ((flags & ~HOME_SAVE_OPTIMIZER) != 0)
        return home_fail(error, HOME_E_ARGUMENT, "flags is %lu, expected 0 or HOME_SAVE_OPTIMIZER",
                         (unsigned long)flags);
    status = list_items(&d->list, model, (flags & HOME_SAVE_OPTIMIZER) != 0, error);
    if (status != HOME_OK)
        return status;
    status = check_own_values(&d->list, error);
    if (status != HOME_OK) {
        home_arena_free(&d->list.arena);
        return status;
    }
    d->header = (home_text){.allocator = &model->allocator};
    size_t digits = 0;
    write_header(model, &d->list, &d->header, &digits);
    if (d->header.failed) {
        draft_free(d);
        return home_fail_memory(error);
    }
    d->size = 8 + d->header.length;
    for (size_t i = 0; i < d->list.count; i++)
        d->size += item_bytes(&d->list.items[i]);
    home_crc32 crc;
    home_crc32_start(&crc);
    write_all(&(sink){write_crc, &crc}, &d->header, &d->list);
    char checksum[HOME_CHECKSUM_DIGITS + 1];
    snprintf(checksum, sizeof checksum, "%08lx", (unsigned long)home_crc32_value(&crc));
    memcpy(d->header.data + digits, checksum, HOME_CHECKSUM_DIGITS);
    return HOME_OK;
}

home_status home_model_save(const home_model *model, const char *path, uint32_t flags, home_error *error) {
    if (!path)
        return home_fail_null(error, "path");
    draft d = {0};
    home_status status = draft_begin(model, flags, &d, error);
    if (status != HOME_OK)
        return status;
    home_file file;
    status = home_file_begin(&model->allocator, path, &file, error);
    if (status == HOME_OK) {
        write_all(&(sink){write_file, &file}, &d.header, &d.list);
        status = home_file_commit(&file, error);
    }
    draft_free(&d);
    return status;
}

home_status home_model_serialize(const home_model *model, uint32_t flags, void *buffer, size_t capacity,
                                 size_t *length, home_error *error) {
    if (!length)
        return home_fail_null(error, "length");
    draft d = {0};
    home_status status = draft_begin(model, flags, &d, error);
    if (status != HOME_OK)
        return status;
    *length = d.size;
    if (buffer && capacity < d.size) {
        status =
            home_fail(error, HOME_E_ARGUMENT, "capacity is %zu, expected at least %zu", capacity, d.size);
    } else if (buffer) {
        unsigned char *next = buffer;
        write_all(&(sink){write_memory, &next}, &d.header, &d.list);
    }
    draft_free(&d);
    return status;
}

/* ----------------------------------------------------------------------------------------- reading */

static void read_elements(const item *i, const home_stored *stored) {
    const size_t element = element_size(i);
    const size_t count = i->shape[0] * i->shape[1];
    char *target = i->data;
    for (size_t e = 0; e < count; e++) {
        const unsigned char *source = stored->data + e * element;
        uint64_t bits = 0;
        for (size_t b = element; b-- > 0;)
            bits = bits << 8 | source[b];
        const uint32_t narrow = (uint32_t)bits;
        if (element == 4)
            memcpy(target + e * element, &narrow, sizeof narrow);
        else
            memcpy(target + e * element, &bits, sizeof bits);
    }
}

static bool same_shape(const item *i, const home_stored *stored) {
    if (stored->shape->count != i->rank)
        return false;
    size_t d = 0;
    for (const home_json_value *v = stored->shape->first; v; v = v->next)
        if (v->integer != i->shape[d++])
            return false;
    return true;
}

/* Of its text in the header, as much of it as a message shows. */
static int shape_length(const home_stored *stored) {
    const size_t length = stored->shape->end - stored->shape->begin;
    return (int)(length < 40 ? length : 40);
}

static home_status check_item(const item *i, const home_archive *archive, home_error *error) {
    const home_stored *stored = home_archive_find(archive, i->name);
    if (!stored)
        return home_fail(error, HOME_E_MISMATCH, "tensor \"%.150s\" is missing", i->name);
    if (strcmp(stored->dtype, i->dtype) != 0)
        return home_fail(error, HOME_E_MISMATCH, "tensor \"%.120s\": dtype is %.10s, expected %s", i->name,
                         stored->dtype, i->dtype);
    if (!same_shape(i, stored))
        return home_fail(error, HOME_E_MISMATCH, "tensor \"%.120s\": shape is %.*s, expected [%zu%s%.0zu]",
                         i->name, shape_length(stored), archive->text + stored->shape->begin, i->shape[0],
                         i->rank == 2 ? "," : "", i->rank == 2 ? i->shape[1] : 0);
    return HOME_OK;
}

static home_status check_stored_values(const item *i, const home_stored *stored, home_error *error) {
    home_status status = HOME_OK;
    for (size_t e = 0; strcmp(i->dtype, "F32") == 0 && e < i->shape[0] * i->shape[1] && status == HOME_OK;
         e++) {
        const unsigned char *p = stored->data + 4 * e;
        const uint32_t bits =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        float value;
        memcpy(&value, &bits, sizeof value);
        status = check_value(i, e, value, error);
    }
    return status;
}

static bool is_optimizer_tensor(const char *name) {
    return strncmp(name, "optimizer.", 10) == 0;
}

static const char *name_of(const void *listed) {
    return ((const item *)listed)->name;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(name_of(a), name_of(b));
}

/* Names a tensor of the archive that is none of the items. */
static home_status fail_stranger(item_list *list, const home_archive *archive, bool optimizer,
                                 home_error *error) {
    const void **sorted = home_arena_take(&list->arena, list->count, sizeof *sorted);
    if (!sorted)
        return home_fail_memory(error);
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->items[i];
    home_sort(sorted, list->count, compare_names);
    const char *stranger = "";
    for (size_t i = 0; i < archive->count && !*stranger; i++) {
        const char *name = archive->tensors[i].name;
        if ((optimizer || !is_optimizer_tensor(name)) && !home_search(sorted, list->count, name, name_of))
            stranger = name;
    }
    return home_fail(error, HOME_E_MISMATCH, "tensor \"%.150s\" is none of the model's", stranger);
}

/* The archive must have the items and, `optimizer.` tensors apart that are not asked for, nothing else. */
static home_status check_items(item_list *list, const home_archive *archive, bool optimizer,
                               home_error *error) {
    home_status status = HOME_OK;
    for (size_t i = 0; i < list->count && status == HOME_OK; i++) {
        status = check_item(&list->items[i], archive, error);
        if (status == HOME_OK)
            status =
                check_stored_values(&list->items[i], home_archive_find(archive, list->items[i].name), error);
    }
    size_t expected = 0;
    for (size_t i = 0; i < archive->count; i++)
        expected += optimizer || !is_optimizer_tensor(archive->tensors[i].name);
    if (status != HOME_OK || expected == list->count)
        return status;
    return fail_stranger(list, archive, optimizer, error);
}

static home_status check_optimizer_values(const item_list *list, home_error *error) {
    if (list->step < 0)
        return home_fail(error, HOME_E_VALUE, "optimizer.step is %lld, expected at least 0",
                         (long long)list->step);
    for (int i = 0; i < 2; i++)
        if (!isfinite(list->rates[i]) || list->rates[i] < 0)
            return home_fail(error, HOME_E_VALUE,
                             "optimizer.learning_rate is %s, expected a finite number >= 0",
                             HOME_BRIEF(list->rates[i]));
    return HOME_OK;
}

/* Puts the archive's tensors into the model. Nothing is changed unless all of them fit. */
static home_status take_tensors(home_model *model, const home_archive *archive, bool optimizer,
                                home_error *error) {
    item_list list;
    home_status status = list_items(&list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    status = check_items(&list, archive, optimizer, error);
    for (size_t i = 0; i < list.count && status == HOME_OK; i++)
        if (list.items[i].data == &list.step || list.items[i].data == list.rates)
            read_elements(&list.items[i], home_archive_find(archive, list.items[i].name));
    if (status == HOME_OK && optimizer)
        status = check_optimizer_values(&list, error);
    for (size_t i = 0; i < list.count && status == HOME_OK; i++)
        read_elements(&list.items[i], home_archive_find(archive, list.items[i].name));
    if (status == HOME_OK && optimizer) {
        model->training->step_count = (uint64_t)list.step;
        model->training->learning_rate = list.rates[0];
        model->training->embedding_learning_rate = list.rates[1];
    }
    home_arena_free(&list.arena);
    return status;
}

/* The host's own texts. The parser has refused repeated keys, so each is new. */
static home_status take_metadata(home_model *model, const home_archive *archive, home_error *error) {
    home_metadata **end = &model->metadata;
    for (const home_json_value *m = archive->metadata->first; m; m = m->next) {
        if (strncmp(m->key, "home.", 5) == 0 || strcmp(m->key, "format") == 0 || *m->key == 0)
            continue;
        *end = home_metadata_create(&model->allocator, m->key, m->text);
        if (!*end)
            return home_fail_memory(error);
        end = &(*end)->next;
    }
    return HOME_OK;
}

static home_status check_metadata(const home_archive *archive, home_error *error) {
    static const char *const own[] = {"home.schema", "home.config", HOME_CHECKSUM_KEY};
    for (size_t i = 0; i < 2; i++)
        if (!home_archive_metadata(archive, own[i]))
            return home_fail(error, HOME_E_FORMAT,
                             "__metadata__ has no %s: the file was not written by libhome, "
                             "home_model_load_weights() can take its tensors",
                             own[i]);
    for (const home_json_value *m = archive->metadata->first; m; m = m->next) {
        if (strlen(m->key) != m->key_length || strlen(m->text) != m->length)
            return home_fail(error, HOME_E_FORMAT,
                             "__metadata__ \"%.60s\": expected texts without zero bytes", m->key);
        if (strncmp(m->key, "home.", 5) == 0 && strcmp(m->key, own[0]) != 0 && strcmp(m->key, own[1]) != 0 &&
            strcmp(m->key, own[2]) != 0)
            return home_fail(error, HOME_E_FORMAT,
                             "__metadata__ has \"%.60s\", expected no other keys that begin with home.",
                             m->key);
    }
    const char *schema = home_archive_metadata(archive, "home.schema");
    if (strcmp(schema, SCHEMA) != 0)
        return home_fail(error, HOME_E_UNSUPPORTED, "home.schema is \"%.20s\", expected \"" SCHEMA "\"",
                         schema);
    return HOME_OK;
}

static bool has_optimizer(const home_archive *archive) {
    bool found = false;
    for (size_t i = 0; i < archive->count; i++)
        found = found || is_optimizer_tensor(archive->tensors[i].name);
    return found;
}

/* Before a model gets its memory: the file must have its tensors, so no model is larger than its file. */
static home_status check_fit(const home_model *model, const void *context, home_error *error) {
    const home_archive *archive = context;
    const bool optimizer = has_optimizer(archive);
    item_list list;
    home_status status = list_items(&list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    status = check_items(&list, archive, optimizer, error);
    home_arena_free(&list.arena);
    return status;
}

static home_status load_archive(const home_archive *archive, const home_allocator *allocator,
                                home_model **model, home_error *error) {
    home_status status = check_metadata(archive, error);
    if (status != HOME_OK)
        return status;
    enum { SLACK = 1000 }; /* with few tensors more than the file, a message can name one that is missing */
    const char *config = home_archive_metadata(archive, "home.config");
    home_model *made = NULL;
    const home_blueprint blueprint = {.json = config,
                                      .json_length = strlen(config),
                                      .allocator = allocator,
                                      .check = check_fit,
                                      .context = archive,
                                      .most_tensors = archive->count + SLACK};
    status = home_model_prepare(&blueprint, &made, error);
    if (status == HOME_E_JSON || status == HOME_E_CONFIG)
        home_fail_within(error, "home.config");
    if (status != HOME_OK)
        return status;
    const bool optimizer = has_optimizer(archive);
    status = take_tensors(made, archive, optimizer, error);
    if (status == HOME_OK)
        status = take_metadata(made, archive, error);
    if (status != HOME_OK) {
        home_model_release(made);
        return status;
    }
    home_model_pack(made);
    *model = made;
    return HOME_OK;
}

home_status home_model_load_memory(const void *data, size_t size, const home_allocator *allocator,
                                   home_model **model, home_error *error) {
    if (!data || !model)
        return home_fail_null(error, data ? "model" : "data");
    home_allocator resolved;
    home_status status = home_allocator_resolve(allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    home_archive archive;
    status = home_archive_open(&resolved, data, size, &archive, error);
    if (status != HOME_OK)
        return status;
    status = load_archive(&archive, allocator, model, error);
    home_archive_close(&archive);
    return status;
}

home_status home_model_load(const char *path, const home_allocator *allocator, home_model **model,
                            home_error *error) {
    if (!path || !model)
        return home_fail_null(error, path ? "model" : "path");
    home_allocator resolved;
    home_status status = home_allocator_resolve(allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    unsigned char *data;
    size_t size;
    status = home_file_read(&resolved, path, &data, &size, error);
    if (status != HOME_OK)
        return status;
    status = home_model_load_memory(data, size, allocator, model, error);
    home_deallocate(&resolved, data);
    return status;
}

/* A fresh optimizer: as if the model had just been made with these weights. */
static void reset_optimizer(home_model *model) {
    home_training *training = model->training;
    for (int slot = 0; slot < HOME_STATE_SLOTS; slot++) {
        if (training->state[slot])
            memset(training->state[slot], 0, model->tensors.parameter_count * sizeof(float));
        for (size_t i = 0; i < model->settings.config.table_count; i++) {
            const home_table *table = &model->tables[i];
            const size_t size = (size_t)table->config->rows * home_table_state_width(model, table);
            if (table->state[slot])
                memset(table->state[slot], 0, size * sizeof(float));
        }
    }
    training->step_count = 0;
    training->phase = HOME_PHASE_IDLE;
}

home_status home_model_load_weights(home_model *model, const char *path, home_error *error) {
    home_status status = home_check_trainable(model, error);
    if (status != HOME_OK)
        return status;
    if (!path)
        return home_fail_null(error, "path");
    unsigned char *data;
    size_t size;
    status = home_file_read(&model->allocator, path, &data, &size, error);
    if (status != HOME_OK)
        return status;
    home_archive archive;
    status = home_archive_open(&model->allocator, data, size, &archive, error);
    if (status == HOME_OK) {
        status = take_tensors(model, &archive, false, error);
        if (status == HOME_OK) {
            reset_optimizer(model);
            home_model_pack(model);
        }
        home_archive_close(&archive);
    }
    home_deallocate(&model->allocator, data);
    return status;
}

#endif
