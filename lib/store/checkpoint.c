/* Checkpoints: a model as a safetensors file, and back. docs/checkpoint.md describes the format. */
#include "../base/abi.h"
#include "../base/crc32.h"
#include "../create/create.h"
#include "../host/number.h"
#include "../host/sort.h"
#include "../train/training.h"
#include "file.h"
#include "safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SCHEMA "1"

/* A tensor to write, or to read into. */
typedef struct item {
    const char *name; /* first, for homesort_find_name() */
    homedtype dtype;  /* not HOME_OTHER_DTYPE */
    size_t rank;
    size_t shape[2];
    void *data; /* NULL where the model has no memory yet */
    bool never_negative;
    double max; /* of its values; 0: any finite one */
} item;

/* All tensors of a checkpoint, in an arena of the list. */
typedef struct item_list {
    homearena arena;
    item *items;
    size_t count;
    int64_t step;    /* optimizer.step */
    double rates[2]; /* optimizer.learning_rate */
} item_list;

static size_t item_count(const item *i) {
    return i->shape[0] * i->shape[1];
}

static size_t item_bytes(const item *i) {
    return homedtype_size(i->dtype) * item_count(i);
}

/* ------------------------------------------------------------------------ what a checkpoint has */

/* Adds a tensor. One of the optimizer's has a suffix, and is named after the tensor it belongs
 * to. */
static void add_item(item_list *list, item made, const char *suffix) {
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

/* A tensor of the model, without its data. */
static item item_of(const hometensor *t) {
    return (item){.name = t->name,
                  .dtype = HOME_F32,
                  .rank = (size_t)t->rank,
                  .shape = {t->rows, t->columns},
                  .never_negative = t->never_negative};
}

/* State of the optimizer that belongs to a tensor: [the tensor's shape], or [rows] where it is
 * row-wise. */
static void add_state_items(item_list *list, const home_model *model, const hometensor *t) {
    const home_optimizer_config *o = &model->settings.optimizer;
    const bool table = t->kind == HOME_TENSOR_TABLE;
    const homeoptimizer_traits *traits =
        homeoptimizer_traits_of(table ? o->embedding_kind : o->kind);
    if (t->kind == HOME_TENSOR_STATISTIC)
        return;
    for (int slot = 0; slot < HOME_STATE_SLOTS && traits->state[slot]; slot++) {
        item made = item_of(t);
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

static void add_optimizer_items(item_list *list, const home_model *model) {
    for (size_t i = 0; i < model->tensors.count && homearena_ok(&list->arena); i++)
        add_state_items(list, model, &model->tensors.items[i]);
    const item step = {.name = "step",
                       .dtype = HOME_I64,
                       .rank = 1,
                       .shape = {1, 1},
                       .data = &list->step,
                       .never_negative = true};
    const item rates = {.name = "learning_rate",
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

/* Lists the tensors of a model, with those of its optimizer on request. */
static home_status list_items(item_list *list, const home_model *model, bool optimizer,
                              home_error *error) {
    *list = (item_list){.arena = {.allocator = &model->allocator}};
    list->items = homearena_take(&list->arena, 3 * model->tensors.count + 2, sizeof *list->items);
    if (!list->items)
        return homefail_memory(error);
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *t = &model->tensors.items[i];
        item made = item_of(t);
        made.data = model->training ? homeaccess_data(model, t) : NULL;
        add_item(list, made, NULL);
    }
    if (optimizer)
        add_optimizer_items(list, model);
    if (homearena_ok(&list->arena))
        return HOME_OK;
    homearena_free(&list->arena);
    return homefail_memory(error);
}

/* Bytes of files are put together by shifts, never by casts, so the code is the same on machines of
 * either byte order; compilers make single loads of it. */
static uint64_t get_little_endian(const unsigned char *bytes, size_t size) {
    uint64_t bits = 0;
    for (size_t b = size; b-- > 0;)
        bits = bits << 8 | bytes[b];
    return bits;
}

/* An element of 4 or 8 bytes, in the machine's order. */
static void read_element(const unsigned char *source, size_t size, void *target) {
    if (size == 4) {
        const uint32_t bits = (uint32_t)get_little_endian(source, 4);
        memcpy(target, &bits, sizeof bits);
    } else {
        const uint64_t bits = get_little_endian(source, 8);
        memcpy(target, &bits, sizeof bits);
    }
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
static bool is_possible(const item *i, double value) {
    return isfinite(value) && !(i->never_negative && value < 0) && !(i->max > 0 && value > i->max);
}

static home_status fail_value(const item *i, size_t element, double value, home_error *error) {
    if (i->max > 0)
        return homefail(error, HOME_E_VALUE,
                        "tensor \"%.120s\": element %zu is %s, expected a number from 0 to %s",
                        i->name, element, HOME_BRIEF(value), HOME_BRIEF(i->max));
    return homefail(error, HOME_E_VALUE,
                    "tensor \"%.120s\": element %zu is %s, expected a finite number%s", i->name,
                    element, HOME_BRIEF(value), i->never_negative ? " >= 0" : "");
}

/* Of the model's own values, or of those in a file: `stored`, little-endian. */
static home_status check_values(const item *i, const unsigned char *stored, home_error *error) {
    const size_t size = homedtype_size(i->dtype);
    const size_t count = item_count(i);
    for (size_t e = 0; e < count; e++) {
        uint64_t element;
        if (stored)
            read_element(stored + e * size, size, &element);
        else
            memcpy(&element, (const char *)i->data + e * size, size);
        const double value = value_of(i->dtype, &element);
        if (!is_possible(i, value))
            return fail_value(i, e, value, error);
    }
    return HOME_OK;
}

/* Values that a reader would refuse must not be written, least of all over a good checkpoint. */
static home_status check_own_values(const item_list *list, home_error *error) {
    home_status status = HOME_OK;
    for (size_t i = 0; i < list->count && status == HOME_OK; i++)
        status = check_values(&list->items[i], NULL, error);
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

static void put_little_endian(uint64_t bits, size_t size, unsigned char *target) {
    for (size_t b = 0; b < size; b++)
        target[b] = (unsigned char)(bits >> (8 * b) & 255);
}

/* An element of 4 or 8 bytes, from the machine's order. */
static void write_element(const void *source, size_t size, unsigned char *target) {
    if (size == 4) {
        uint32_t bits;
        memcpy(&bits, source, sizeof bits);
        put_little_endian(bits, 4, target);
    } else {
        uint64_t bits;
        memcpy(&bits, source, sizeof bits);
        put_little_endian(bits, 8, target);
    }
}

/* Writes elements little-endian, whatever the machine is. */
static void write_elements(const sink *out, const item *i) {
    enum { BLOCK = 4096 };
    unsigned char block[BLOCK];
    const size_t element = homedtype_size(i->dtype);
    const size_t count = item_count(i);
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
static void add_entry(hometext *text, const item *i, size_t begin) {
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
    hometext_add_integer(text, begin + item_bytes(i));
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

/* The header with a checksum of zeros, filled with spaces to a multiple of 8 bytes. *digits gets
 * the checksum's place. */
static void write_header(const home_model *model, const item_list *list, bool optimizer,
                         hometext *text, size_t *digits) {
    hometext_add(text, "{\"__metadata__\":{\"" HOME_CHECKSUM_KEY "\":\"");
    *digits = text->length;
    hometext_add(text, "00000000\",");
    add_pair(text, "home.schema", SCHEMA);
    hometext_add(text, ",");
    add_pair(text, "home.config", model->config_json.data);
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
        begin += item_bytes(&list->items[i]);
    }
    hometext_add(text, "}");
    while (text->length % 8 != 0 && !text->failed)
        hometext_add(text, " ");
}

/* Header and tensors, one after another, to whatever the sink is. It is called twice for a
 * checkpoint: into the checksum, which stands in the header and so must be known first, and then to
 * its target. The bytes of the model are never copied as a whole. */
static void write_all(const sink *out, const hometext *header, const item_list *list) {
    unsigned char length[8];
    put_little_endian(header->length, sizeof length, length);
    out->write(out->target, length, sizeof length);
    out->write(out->target, header->data, header->length);
    for (size_t i = 0; i < list->count; i++)
        write_elements(out, &list->items[i]);
}

/* A checkpoint ready to be written. */
typedef struct draft {
    item_list list;
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
    status = list_items(&d->list, model, optimizer, error);
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
        d->size += item_bytes(&d->list.items[i]);
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

/* -------------------------------------------------------------------------------------- reading */

static void read_elements(const item *i, const homestored *stored) {
    const size_t size = homedtype_size(i->dtype);
    char *target = i->data;
    for (size_t at = 0; at < stored->size; at += size)
        read_element(stored->data + at, size, target + at);
}

/* The reader of the format has checked that the shape is whole numbers. */
static bool same_shape(const item *i, const homestored *stored) {
    if (stored->shape->count != i->rank)
        return false;
    size_t d = 0;
    for (const homejson_value *v = stored->shape->first; v; v = v->next)
        if (v->integer != i->shape[d++])
            return false;
    return true;
}

static home_status check_item(const item *i, const homearchive *archive, home_error *error) {
    const homestored *stored = homearchive_find(archive, i->name);
    if (!stored)
        return homefail(error, HOME_E_MISMATCH, "tensor \"%.150s\" is missing", i->name);
    if (stored->dtype != i->dtype)
        return homefail(error, HOME_E_MISMATCH, "tensor \"%.120s\": dtype is %s, expected %s",
                        i->name, stored->dtype_name, homedtype_name(i->dtype));
    if (!same_shape(i, stored))
        return homefail(error, HOME_E_MISMATCH,
                        "tensor \"%.120s\": shape is %s, expected [%zu%s%.0zu]", i->name,
                        HOME_EXCERPT(archive->text + stored->shape->begin,
                                     stored->shape->end - stored->shape->begin),
                        i->shape[0], i->rank == 2 ? "," : "", i->rank == 2 ? i->shape[1] : 0);
    return HOME_OK;
}

static bool is_optimizer_tensor(const char *name) {
    return strncmp(name, "optimizer.", 10) == 0;
}

/* Names a tensor of the archive that is none of the items. */
static home_status fail_stranger(item_list *list, const homearchive *archive, bool optimizer,
                                 home_error *error) {
    const void **sorted = homearena_take(&list->arena, list->count, sizeof *sorted);
    if (!sorted)
        return homefail_memory(error);
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->items[i];
    homesort_by_name(sorted, list->count);
    const char *stranger = "";
    for (size_t i = 0; i < archive->count && !*stranger; i++) {
        const char *name = archive->tensors[i].name;
        if ((optimizer || !is_optimizer_tensor(name)) &&
            !homesort_find_name(sorted, list->count, name))
            stranger = name;
    }
    return homefail(error, HOME_E_MISMATCH, "the model has no tensor \"%.150s\"", stranger);
}

static home_status check_items(item_list *list, const homearchive *archive, bool optimizer,
                               home_error *error) {
    home_status status = HOME_OK;
    for (size_t i = 0; i < list->count && status == HOME_OK; i++)
        status = check_item(&list->items[i], archive, error);
    size_t expected = 0;
    for (size_t i = 0; i < archive->count; i++)
        expected += optimizer || !is_optimizer_tensor(archive->tensors[i].name);
    if (status != HOME_OK || expected == list->count)
        return status;
    return fail_stranger(list, archive, optimizer, error);
}

/* The archive must have the model's tensors, with their types and shapes, and, `optimizer.` tensors
 * apart that are not asked for, nothing else. The model needs no memory for them yet. */
static home_status check_fit(const home_model *model, const homearchive *archive, bool optimizer,
                             home_error *error) {
    item_list list;
    home_status status = list_items(&list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    status = check_items(&list, archive, optimizer, error);
    homearena_free(&list.arena);
    return status;
}

/* Puts the tensors of an archive that fits into the model. Nothing is changed unless all their
 * values are possible. */
static home_status take_tensors(home_model *model, const homearchive *archive, bool optimizer,
                                home_error *error) {
    item_list list;
    home_status status = list_items(&list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    for (size_t i = 0; i < list.count && status == HOME_OK; i++)
        status = check_values(&list.items[i], homearchive_find(archive, list.items[i].name)->data,
                              error);
    for (size_t i = 0; i < list.count && status == HOME_OK; i++)
        read_elements(&list.items[i], homearchive_find(archive, list.items[i].name));
    if (status == HOME_OK && optimizer) {
        model->training->step_count = (uint64_t)list.step;
        model->training->learning_rate = list.rates[0];
        model->training->embedding_learning_rate = list.rates[1];
    }
    homearena_free(&list.arena);
    return status;
}

/* The host's own texts. The parser has refused repeated keys, so each is new. */
static home_status take_metadata(home_model *model, const homearchive *archive, home_error *error) {
    homemetadata **end = &model->metadata;
    for (const homejson_value *m = archive->metadata->first; m; m = m->next) {
        if (strncmp(m->key, "home.", 5) == 0 || strcmp(m->key, "format") == 0 || *m->key == 0)
            continue;
        *end = homemetadata_create(&model->allocator, m->key, m->text);
        if (!*end)
            return homefail_memory(error);
        end = &(*end)->next;
    }
    return HOME_OK;
}

static home_status take_tuning(home_model *model, const homearchive *archive, home_error *error) {
    const char *training = homearchive_metadata(archive, "home.training");
    const home_status status = training ? hometuning_read(model, training, error) : HOME_OK;
    if (status != HOME_OK)
        homefail_within(error, "home.training");
    return status;
}

static home_status check_metadata(const homearchive *archive, home_error *error) {
    static const char *const own[] = {"home.schema", "home.config", HOME_CHECKSUM_KEY,
                                      "home.training"};
    for (size_t i = 0; i < 2; i++)
        if (!homearchive_metadata(archive, own[i]))
            return homefail(error, HOME_E_FORMAT,
                            "__metadata__ has no %s: the file was not written by libhome, "
                            "home_model_load_weights() can take its tensors",
                            own[i]);
    for (const homejson_value *m = archive->metadata->first; m; m = m->next) {
        if (strlen(m->key) != m->key_length || strlen(m->text) != m->length)
            return homefail(error, HOME_E_FORMAT,
                            "__metadata__ \"%.60s\": expected texts without zero bytes", m->key);
        if (strncmp(m->key, "home.", 5) == 0 && strcmp(m->key, own[0]) != 0 &&
            strcmp(m->key, own[1]) != 0 && strcmp(m->key, own[2]) != 0 &&
            strcmp(m->key, own[3]) != 0)
            return homefail(
                error, HOME_E_UNSUPPORTED,
                "__metadata__ has \"%.60s\", expected no other keys that begin with home.", m->key);
    }
    const char *schema = homearchive_metadata(archive, "home.schema");
    if (strcmp(schema, SCHEMA) != 0)
        return homefail(error, HOME_E_UNSUPPORTED,
                        "home.schema is \"%.20s\", expected \"" SCHEMA "\"", schema);
    return HOME_OK;
}

static bool has_optimizer(const homearchive *archive) {
    bool found = false;
    for (size_t i = 0; i < archive->count; i++)
        found = found || is_optimizer_tensor(archive->tensors[i].name);
    return found;
}

/* While the plan is made: it takes no more than tensors of the file need. */
static home_status check_tensor(const void *context, const hometensor *tensor, home_error *error) {
    const item expected = item_of(tensor);
    return check_item(&expected, context, error);
}

/* Before the model gets its memory: so no model is larger than its file. */
static home_status check_model(const home_model *model, const void *context, home_error *error) {
    return check_fit(model, context, has_optimizer(context), error);
}

/* The configuration in the file decides what the model is, and the file's tensors must be exactly
 * that model's. Nothing of either is believed: see check_tensor() and check_model(). */
static home_status load_archive(const homearchive *archive, const home_allocator *allocator,
                                home_model **model, home_error *error) {
    home_status status = check_metadata(archive, error);
    if (status != HOME_OK)
        return status;
    const char *config = homearchive_metadata(archive, "home.config");
    home_model *made = NULL;
    const homecreate_blueprint blueprint = {.json = config,
                                            .json_length = strlen(config),
                                            .stored = true,
                                            .allocator = allocator,
                                            .check_tensor = check_tensor,
                                            .check = check_model,
                                            .context = archive};
    status = homecreate_model(&blueprint, &made, error);
    if (status == HOME_E_JSON || status == HOME_E_CONFIG || status == HOME_E_UNSUPPORTED)
        homefail_within(error, "home.config");
    if (status != HOME_OK)
        return status;
    status = take_tensors(made, archive, has_optimizer(archive), error);
    if (status == HOME_OK)
        status = take_tuning(made, archive, error);
    if (status == HOME_OK)
        status = take_metadata(made, archive, error);
    if (status != HOME_OK) {
        home_model_release(made);
        return status;
    }
    homepack_model(made);
    *model = made;
    return HOME_OK;
}

static home_status read_options(const home_load_options *given, home_load_options *options,
                                home_error *error) {
    *options = (home_load_options){0};
    return given ? homeabi_read(given, options, sizeof *options, "options", HOME_E_ARGUMENT, error)
                 : HOME_OK;
}

home_status home_model_load_memory(const void *data, size_t size, const home_load_options *given,
                                   home_model **model, home_error *error) {
    if (!data || !model)
        return homefail_null(error, data ? "model" : "data");
    home_load_options options;
    home_allocator resolved;
    home_status status = read_options(given, &options, error);
    if (status == HOME_OK)
        status = homememory_resolve(options.allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    homearchive archive;
    status = homearchive_open(&resolved, data, size, &archive, error);
    if (status != HOME_OK)
        return status;
    status = load_archive(&archive, options.allocator, model, error);
    homearchive_close(&archive);
    return status;
}

home_status home_model_load(const char *path, const home_load_options *given, home_model **model,
                            home_error *error) {
    if (!path || !model)
        return homefail_null(error, path ? "model" : "path");
    home_load_options options;
    home_allocator resolved;
    home_status status = read_options(given, &options, error);
    if (status == HOME_OK)
        status = homememory_resolve(options.allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    unsigned char *data = NULL;
    size_t size = 0;
    status = homefile_read(&resolved, path, &data, &size, error);
    if (status != HOME_OK)
        return status;
    status = home_model_load_memory(data, size, given, model, error);
    homememory_free(&resolved, data);
    return status;
}

/* A fresh optimizer: as if the model had just been made with these weights. */
static void reset_optimizer(home_model *model) {
    hometraining *training = model->training;
    for (int slot = 0; slot < HOME_STATE_SLOTS; slot++) {
        if (training->state[slot])
            memset(training->state[slot], 0, model->tensors.parameter_count * sizeof(float));
        for (size_t i = 0; i < model->settings.config.table_count; i++) {
            const hometable *table = &model->tables[i];
            const size_t size =
                (size_t)table->config->rows * homeoptimizer_state_width(model, table);
            float *state = training->embeddings[i].state[slot];
            if (state)
                memset(state, 0, size * sizeof(float));
        }
    }
    training->step_count = 0;
    hometraining_forget(model);
}

home_status home_model_load_weights(home_model *model, const char *path, home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!path)
        return homefail_null(error, "path");
    unsigned char *data = NULL;
    size_t size = 0;
    status = homefile_read(&model->allocator, path, &data, &size, error);
    if (status != HOME_OK)
        return status;
    homearchive archive;
    status = homearchive_open(&model->allocator, data, size, &archive, error);
    if (status == HOME_OK) {
        status = check_fit(model, &archive, false, error);
        if (status == HOME_OK)
            status = take_tensors(model, &archive, false, error);
        if (status == HOME_OK) {
            reset_optimizer(model);
            homepack_model(model);
        }
        homearchive_close(&archive);
    }
    homememory_free(&model->allocator, data);
    return status;
}
