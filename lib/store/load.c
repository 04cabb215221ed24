/* Loading: a safetensors file as a model, for training or, frozen at once, for serving. */
#include "checkpoint.h"

#include "../base/abi.h"
#include "../base/little_endian.h"
#include "../host/sort.h"
#include "../train/training.h"

#include <string.h>

/* Of memory, where the caller sets none: for the smallest models, and for each byte of a file. The
 * most that a model is known to take for a byte is 5: weights, gradients, two moments of Adam, and
 * packed weights, which rounding up to whole panels makes more of where layers are narrow. */
#define DEFAULT_LIMIT  ((size_t)64 << 20)
#define LIMIT_PER_BYTE 16

/* ------------------------------------------------------------------------ what a file must have */

/* The reader of the format has checked that the shape is whole numbers. */
static bool same_shape(const homeitem *i, const homestored *stored) {
    if (stored->shape->count != i->rank)
        return false;
    size_t d = 0;
    for (const homejson_value *v = stored->shape->first; v; v = v->next)
        if (v->integer != i->shape[d++])
            return false;
    return true;
}

static home_status check_item(const homeitem *i, const homearchive *archive, home_error *error) {
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

/* Names a tensor of the archive that is none of the items. */
static home_status fail_stranger(const homeitems *list, const homearchive *archive, bool optimizer,
                                 home_error *error) {
    const char *stranger = "";
    for (size_t i = 0; i < archive->count && !*stranger; i++) {
        const char *name = archive->tensors[i].name;
        if ((optimizer || !homeitem_is_optimizer(name)) &&
            !homesort_find_name(list->by_name, list->count, name))
            stranger = name;
    }
    return homefail(error, HOME_E_MISMATCH, "the model has no tensor \"%.150s\"", stranger);
}

static home_status check_items(const homeitems *list, const homearchive *archive, bool optimizer,
                               home_error *error) {
    home_status status = HOME_OK;
    for (size_t i = 0; i < list->count && status == HOME_OK; i++)
        status = check_item(&list->items[i], archive, error);
    size_t expected = 0;
    for (size_t i = 0; i < archive->count; i++)
        expected += optimizer || !homeitem_is_optimizer(archive->tensors[i].name);
    if (status != HOME_OK || expected == list->count)
        return status;
    return fail_stranger(list, archive, optimizer, error);
}

/* The archive must have the model's tensors, with their types and shapes, and, `optimizer.` tensors
 * apart that are not asked for, nothing else. The model needs no memory for them yet. */
static home_status check_fit(const home_model *model, const homearchive *archive, bool optimizer,
                             home_error *error) {
    homeitems list;
    home_status status = homeitems_list(&list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    status = check_items(&list, archive, optimizer, error);
    homearena_free(&list.arena);
    return status;
}

static bool has_optimizer(const homearchive *archive) {
    bool found = false;
    for (size_t i = 0; i < archive->count; i++)
        found = found || homeitem_is_optimizer(archive->tensors[i].name);
    return found;
}

/* While the plan is made: it takes no more than tensors of the file need. */
static home_status check_tensor(const void *context, const hometensor *tensor, home_error *error) {
    const homeitem expected = homeitem_of(tensor);
    return check_item(&expected, context, error);
}

/* Before the model gets its memory: so no model is larger than its file. */
static home_status check_model(const home_model *model, const void *context, home_error *error) {
    return check_fit(model, context, has_optimizer(context), error);
}

/* ------------------------------------------------------------------------------------- metadata */

bool homecheckpoint_is_own_key(const char *key) {
    return strncmp(key, "home.", 5) != 0 && strcmp(key, "format") != 0 && *key != 0;
}

home_status homecheckpoint_check_keys(const homearchive *archive, home_error *error) {
    const homejson_value *first = archive->metadata ? archive->metadata->first : NULL;
    for (const homejson_value *m = first; m; m = m->next) {
        if (strlen(m->key) != m->key_length || strlen(m->text) != m->length)
            return homefail(error, HOME_E_FORMAT,
                            "__metadata__ \"%.60s\": expected texts without zero bytes", m->key);
        if (strncmp(m->key, "home.", 5) == 0 && strcmp(m->key, "home.schema") != 0 &&
            strcmp(m->key, "home.config") != 0 && strcmp(m->key, HOME_CHECKSUM_KEY) != 0 &&
            strcmp(m->key, "home.training") != 0)
            return homefail(
                error, HOME_E_UNSUPPORTED,
                "__metadata__ has \"%.60s\", expected no other keys that begin with home.", m->key);
    }
    const char *schema = homearchive_metadata(archive, "home.schema");
    if (schema && strcmp(schema, HOME_SCHEMA) != 0)
        return homefail(error, HOME_E_UNSUPPORTED,
                        "home.schema is \"%.20s\", expected \"" HOME_SCHEMA "\"", schema);
    return HOME_OK;
}

static home_status check_metadata(const homearchive *archive, home_error *error) {
    static const char *const required[] = {"home.schema", "home.config"};
    for (size_t i = 0; i < 2; i++)
        if (!homearchive_metadata(archive, required[i]))
            return homefail(error, HOME_E_FORMAT,
                            "__metadata__ has no %s: the file was not written by libhome, "
                            "home_model_load_weights() can take its tensors",
                            required[i]);
    return homecheckpoint_check_keys(archive, error);
}

/* The host's own texts. The parser has refused repeated keys, so each is new. */
static home_status take_metadata(home_model *model, const homearchive *archive, home_error *error) {
    homemetadata **end = &model->metadata;
    for (const homejson_value *m = archive->metadata->first; m; m = m->next) {
        if (!homecheckpoint_is_own_key(m->key))
            continue;
        *end = homemetadata_create(&model->allocator, m->key, m->text);
        if (!*end)
            return homefail_memory(error);
        end = &(*end)->next;
    }
    return HOME_OK;
}

/* --------------------------------------------------------------------------------------- values */

enum { PIECE = 1 << 16 }; /* bytes that are read at once; a multiple of every element's */

/* Brings elements of 4 or 8 bytes, where they lie, from a file's order to the machine's. */
static void to_machine_order(unsigned char *elements, size_t size, size_t bytes) {
    if (size == 4) {
        for (size_t at = 0; at < bytes; at += 4) {
            const uint32_t bits = (uint32_t)homelittle_get(elements + at, 4);
            memcpy(elements + at, &bits, sizeof bits);
        }
        return;
    }
    for (size_t at = 0; at < bytes; at += 8) {
        const uint64_t bits = homelittle_get(elements + at, 8);
        memcpy(elements + at, &bits, sizeof bits);
    }
}

/* Straight to its place, and checked while it is in the cache. *values keeps the first value that
 * cannot be: only where the checksum is right is that what is wrong with the file. */
static home_status read_item(homearchive_pass *pass, const homeitem *item, home_status *values,
                             home_error *error) {
    const size_t size = homedtype_size(item->dtype);
    const size_t bytes = homeitem_bytes(item);
    for (size_t at = 0; at < bytes; at += PIECE) {
        unsigned char *target = (unsigned char *)item->data + at;
        const size_t piece = bytes - at < PIECE ? bytes - at : PIECE;
        const home_status status = homearchive_take(pass, target, piece, error);
        if (status != HOME_OK)
            return status;
        to_machine_order(target, size, piece);
        if (*values == HOME_OK)
            *values = homeitem_check(item, target, at / size, piece / size, error);
    }
    return HOME_OK;
}

/* The checksum wants the bytes of tensors that nobody takes, too. */
static home_status skip_tensor(homearchive_pass *pass, size_t size, unsigned char *scratch,
                               home_error *error) {
    home_status status = HOME_OK;
    for (size_t at = 0; at < size && status == HOME_OK; at += PIECE)
        status = homearchive_take(pass, scratch, size - at < PIECE ? size - at : PIECE, error);
    return status;
}

/* Reads an archive that fits from its first tensor to its last, each into the item of its name. */
static home_status read_items(homeitems *list, const homearchive *archive, homestream *stream,
                              home_error *error) {
    homearchive_pass pass;
    unsigned char *scratch = homearena_take(&list->arena, PIECE, 1);
    if (!scratch)
        return homefail_memory(error);
    homearchive_begin(&pass, archive, stream);
    home_status status = HOME_OK;
    home_status values = HOME_OK;
    for (size_t i = 0; i < archive->count && status == HOME_OK; i++) {
        const homestored *stored = archive->by_place[i];
        const homeitem *item = homesort_find_name(list->by_name, list->count, stored->name);
        status = item ? read_item(&pass, item, &values, error)
                      : skip_tensor(&pass, stored->size, scratch, error);
    }
    if (status == HOME_OK)
        status = homearchive_finish(&pass, error);
    return status == HOME_OK ? values : status;
}

/* --------------------------------------------------------------------------------------- models */

/* A checkpoint that is being loaded. */
typedef struct source {
    homearchive archive;
    homestream stream;
    homecreate_blueprint blueprint; /* of its model; the limit of memory is that of the whole */
} source;

/* For training: all items have their places in the model, which nobody has seen yet. */
static home_status read_model(source *from, home_model *model, home_error *error) {
    const bool optimizer = has_optimizer(&from->archive);
    homeitems list;
    home_status status = homeitems_list(&list, model, optimizer, error);
    if (status != HOME_OK)
        return status;
    status = read_items(&list, &from->archive, &from->stream, error);
    if (status == HOME_OK && optimizer) {
        model->training->step_count = (uint64_t)list.step;
        model->training->learning_rate = list.rates[0];
        model->training->embedding_learning_rate = list.rates[1];
    }
    homearena_free(&list.arena);
    if (status == HOME_OK)
        homepack_model(model);
    return status;
}

/* What the host had set for training. */
static home_status take_tuning(home_model *model, const homearchive *archive, home_error *error) {
    const char *training = homearchive_metadata(archive, "home.training");
    const home_status status = training ? hometuning_read(model, training, error) : HOME_OK;
    if (status != HOME_OK)
        homefail_within(error, "home.training");
    return status;
}

/* The model of a blueprint whose configuration is the file's. */
static home_status make_model(const homecreate_blueprint *blueprint, home_model **model,
                              home_error *error) {
    const home_status status = homecreate_model(blueprint, model, error);
    if (status == HOME_E_JSON || status == HOME_E_CONFIG || status == HOME_E_UNSUPPORTED)
        homefail_within(error, "home.config");
    return status;
}

static home_status load_trainable(source *from, home_model **model, home_error *error) {
    home_status status = make_model(&from->blueprint, model, error);
    if (status != HOME_OK)
        return status;
    status = read_model(from, *model, error);
    if (status == HOME_OK)
        status = take_tuning(*model, &from->archive, error);
    if (status != HOME_OK)
        home_model_release(*model);
    return status;
}

static const float *find_floats(const void *context, const char *name) {
    const homeitems *list = context;
    const homeitem *item = homesort_find_name(list->by_name, list->count, name);
    return item ? item->data : NULL;
}

/* For serving: what the frozen model has goes there; of the rest, which it has not, there is
 * little: batch norms and the like. `whole` has the tensors as the file has them. */
static home_status read_frozen(source *from, const home_model *whole, home_model *frozen,
                               home_error *error) {
    homeitems list;
    home_status status = homeitems_list(&list, whole, false, error);
    if (status != HOME_OK)
        return status;
    for (size_t i = 0; i < list.count; i++) {
        homeitem *item = &list.items[i];
        const hometensor *target = hometensors_find(&frozen->tensors, item->name);
        item->data = target ? homeaccess_data(frozen, target)
                            : homearena_take(&list.arena, homeitem_bytes(item), 1);
    }
    if (homearena_ok(&list.arena))
        status = read_items(&list, &from->archive, &from->stream, error);
    else
        status = homefail_memory(error);
    if (status == HOME_OK)
        homefreeze_finish(frozen, find_floats, &list);
    homearena_free(&list.arena);
    return status;
}

/* Two plans, one of the file's tensors and one for serving, but memory for weights only once. */
static home_status load_frozen(source *from, home_model **model, home_error *error) {
    home_model *whole = NULL;
    homecreate_blueprint blueprint = from->blueprint;
    blueprint.plan_only = true;
    blueprint.plan_limit = blueprint.memory_limit;
    blueprint.memory_limit = 0;
    home_status status = make_model(&blueprint, &whole, error);
    if (status != HOME_OK)
        return status;
    blueprint = from->blueprint;
    blueprint.check_tensor = NULL; /* the tensors of this plan are not the file's */
    blueprint.check = NULL;
    blueprint.folded = true;
    blueprint.kernels = whole->kernels;
    status = make_model(&blueprint, model, error);
    if (status == HOME_OK) {
        status = read_frozen(from, whole, *model, error);
        if (status != HOME_OK)
            home_model_release(*model);
    }
    home_model_release(whole);
    return status;
}

/* The configuration in the file decides what the model is, and the file's tensors must be exactly
 * that model's. Nothing of either is believed: see check_tensor() and check_model(). */
static home_status load_archive(source *from, const home_load_options *options, home_model **model,
                                home_error *error) {
    home_status status = check_metadata(&from->archive, error);
    if (status != HOME_OK)
        return status;
    const char *config = homearchive_metadata(&from->archive, "home.config");
    size_t limit = DEFAULT_LIMIT;
    homesize_count(&limit, from->stream.size, LIMIT_PER_BYTE);
    from->blueprint = (homecreate_blueprint){
        .json = config,
        .json_length = strlen(config),
        .stored = true,
        .isa = options->isa,
        .allocator = options->allocator,
        .memory_limit = options->memory_limit ? homecreate_limit(options->memory_limit) : limit,
        .check_tensor = check_tensor,
        .check = check_model,
        .context = &from->archive};
    home_model *made = NULL;
    status = options->frozen == HOME_ON ? load_frozen(from, &made, error)
                                        : load_trainable(from, &made, error);
    if (status != HOME_OK)
        return status;
    status = take_metadata(made, &from->archive, error);
    if (status == HOME_OK)
        *model = made;
    else
        home_model_release(made);
    return status;
}

static home_status read_options(const home_load_options *given, home_load_options *options,
                                home_allocator *allocator, home_error *error) {
    *options = (home_load_options){0};
    const home_status status =
        given ? homeabi_read(given, options, sizeof *options, "options", HOME_E_ARGUMENT, error)
              : HOME_OK;
    if (status != HOME_OK)
        return status;
    if (options->frozen < 0 || options->frozen > HOME_OFF)
        return homefail(error, HOME_E_ARGUMENT,
                        "options.frozen is %d, expected 0, HOME_ON or HOME_OFF",
                        (int)options->frozen);
    if (options->reserved != 0)
        return homefail(error, HOME_E_ARGUMENT, "options.reserved is %d, expected 0",
                        (int)options->reserved);
    if (options->isa && !homekernels_isa_name(options->isa))
        return homefail(error, HOME_E_ARGUMENT,
                        "options.isa is \"%.60s\", expected " HOMEKERNELS_ISA_NAMES, options->isa);
    return homememory_resolve(options->allocator, allocator, error);
}

static home_status load(homestream stream, const home_load_options *options,
                        const home_allocator *allocator, home_model **model, home_error *error) {
    source from = {.stream = stream};
    home_status status = homearchive_open(allocator, &from.stream, &from.archive, error);
    if (status != HOME_OK)
        return status;
    status = load_archive(&from, options, model, error);
    homearchive_close(&from.archive);
    return status;
}

home_status home_model_load_memory(const void *data, size_t size, const home_load_options *given,
                                   home_model **model, home_error *error) {
    if (!data || !model)
        return homefail_null(error, data ? "model" : "data");
    home_load_options options;
    home_allocator allocator;
    const home_status status = read_options(given, &options, &allocator, error);
    if (status != HOME_OK)
        return status;
    return load(homestream_in_memory(data, size), &options, &allocator, model, error);
}

home_status home_model_load(const char *path, const home_load_options *given, home_model **model,
                            home_error *error) {
    if (!path || !model)
        return homefail_null(error, path ? "model" : "path");
    home_load_options options;
    home_allocator allocator;
    homestream stream;
    home_status status = read_options(given, &options, &allocator, error);
    if (status == HOME_OK)
        status = homestream_open(path, &stream, error);
    if (status != HOME_OK)
        return status;
    status = load(stream, &options, &allocator, model, error);
    homestream_close(&stream);
    return status;
}

/* -------------------------------------------------------------------------------- weights alone */

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

/* First to memory of the list's, all of them, and then to the model. */
static home_status take_weights(home_model *model, const homearchive *archive, homestream *stream,
                                home_error *error) {
    homeitems list;
    home_status status = homeitems_list(&list, model, false, error);
    if (status != HOME_OK)
        return status;
    void **targets = homearena_take(&list.arena, list.count, sizeof *targets);
    for (size_t i = 0; i < list.count && homearena_ok(&list.arena); i++) {
        targets[i] = list.items[i].data;
        list.items[i].data = homearena_take(&list.arena, homeitem_bytes(&list.items[i]), 1);
    }
    if (homearena_ok(&list.arena))
        status = read_items(&list, archive, stream, error);
    else
        status = homefail_memory(error);
    for (size_t i = 0; i < list.count && status == HOME_OK; i++)
        memcpy(targets[i], list.items[i].data, homeitem_bytes(&list.items[i]));
    homearena_free(&list.arena);
    return status;
}

static home_status load_weights(home_model *model, homestream *stream, home_error *error) {
    homearchive archive;
    home_status status = homearchive_open(&model->allocator, stream, &archive, error);
    if (status != HOME_OK)
        return status;
    status = check_fit(model, &archive, false, error);
    if (status == HOME_OK)
        status = take_weights(model, &archive, stream, error);
    homearchive_close(&archive);
    return status;
}

home_status home_model_load_weights(home_model *model, const char *path, home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!path)
        return homefail_null(error, "path");
    homestream stream;
    status = homestream_open(path, &stream, error);
    if (status != HOME_OK)
        return status;
    status = load_weights(model, &stream, error);
    homestream_close(&stream);
    if (status == HOME_OK) {
        reset_optimizer(model);
        homepack_model(model);
    }
    return status;
}
