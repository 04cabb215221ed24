/* Making, counting and freeing models, and looking inside. */
#include "model.h"

#include "abi.h"
#include "number.h"
#include "utf8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

size_t home_stride_or(size_t stride, size_t width) {
    return stride ? stride : width;
}

#ifndef HOME_SERVE_ONLY
home_status home_check_trainable(const home_model *model, home_error *error) {
    if (!model)
        return home_fail_null(error, "model");
    if (!model->training)
        return home_fail(error, HOME_E_STATE, "the model is frozen: it can predict, and nothing else");
    return HOME_OK;
}

home_status home_check_not_image(const home_model *model, home_error *error) {
    if (model->in_image)
        return home_fail(error, HOME_E_STATE,
                         "the model was opened from an image: it can predict, and nothing else");
    return HOME_OK;
}

/* ------------------------------------------------------------------------------------ construction */

static void free_table(const home_allocator *allocator, home_table *table) {
    home_deallocate(allocator, table->weights);
    for (int i = 0; i < HOME_STATE_SLOTS; i++)
        home_deallocate(allocator, table->state[i]);
    home_deallocate(allocator, table->entries);
    home_deallocate(allocator, table->sorted);
    home_deallocate(allocator, table->touched);
    home_deallocate(allocator, table->gradient);
}

static void free_training(const home_allocator *allocator, home_training *training) {
    if (!training)
        return;
    home_deallocate(allocator, training->gradients);
    for (int i = 0; i < HOME_STATE_SLOTS; i++)
        home_deallocate(allocator, training->state[i]);
    home_deallocate(allocator, training->activations);
    home_deallocate(allocator, training->activation_gradients);
    home_deallocate(allocator, training->panels);
    home_deallocate(allocator, training->batch_mean);
    home_deallocate(allocator, training->batch_scale);
    home_deallocate(allocator, training->batch_variance);
    home_deallocate(allocator, training->column_sums);
    home_deallocate(allocator, training->row_scratch);
    home_deallocate(allocator, training);
}

static void free_metadata(const home_allocator *allocator, home_metadata *metadata) {
    while (metadata) {
        home_metadata *next = metadata->next;
        home_deallocate(allocator, metadata->key);
        home_deallocate(allocator, metadata->value);
        home_deallocate(allocator, metadata);
        metadata = next;
    }
}

static void free_model(home_model *model) {
    if (model->in_image)
        return; /* all its memory is the caller's */
    const home_allocator allocator = model->allocator;
    home_threads_destroy(model->threads);
    for (size_t i = 0; model->tables && i < model->settings.config.table_count; i++)
        free_table(&allocator, &model->tables[i]);
    home_deallocate(&allocator, model->tables);
    free_training(&allocator, model->training);
    free_metadata(&allocator, model->metadata);
    home_pool_free(model);
    home_deallocate(&allocator, model->parameters);
    home_deallocate(&allocator, model->statistics);
    home_deallocate(&allocator, model->panels);
    home_deallocate(&allocator, model->norm_factor);
    home_deallocate(&allocator, model->norm_shift);
    home_deallocate(&allocator, model->config_json.data);
    home_deallocate(&allocator, model->topology_json.data);
    home_arena_free(&model->arena);
    home_deallocate(&allocator, model);
}

static size_t widest_buffer(const home_plan *plan) {
    size_t widest = 0;
    for (size_t b = 0; b < plan->buffer_count; b++)
        widest = plan->buffers[b].width > widest ? plan->buffers[b].width : widest;
    return widest;
}

/* The slots that an optimizer uses, `size` floats each. */
static bool allocate_state(const home_allocator *allocator, const home_optimizer_traits *traits, size_t size,
                           float *state[HOME_STATE_SLOTS]) {
    for (int i = 0; i < HOME_STATE_SLOTS && traits->state[i]; i++) {
        state[i] = home_allocate(allocator, size, sizeof(float));
        if (!state[i])
            return false;
    }
    return true;
}

static home_training *new_training(const home_model *model) {
    const home_allocator *a = &model->allocator;
    home_training *training = home_allocate(a, 1, sizeof *training);
    if (!training)
        return NULL;
    const size_t parameters = model->tensors.parameter_count;
    const size_t widest = widest_buffer(&model->plan);
    training->gradients = home_allocate(a, parameters, sizeof(float));
    training->batch_mean = home_allocate(a, model->plan.batch_width, sizeof(float));
    training->batch_scale = home_allocate(a, model->plan.batch_width, sizeof(float));
    training->batch_variance = home_allocate(a, model->plan.batch_width, sizeof(float));
    training->column_sums = home_allocate(a, widest, 2 * sizeof(double));
    training->row_scratch = home_allocate(a, widest, 3 * sizeof(float));
    training->learning_rate = model->settings.optimizer.learning_rate;
    training->embedding_learning_rate = model->settings.optimizer.embedding_learning_rate;
    const home_optimizer_traits *traits = home_optimizer_traits_of(model->settings.optimizer.kind);
    if (allocate_state(a, traits, parameters, training->state) && training->gradients &&
        training->batch_mean && training->batch_scale && training->batch_variance && training->column_sums &&
        training->row_scratch)
        return training;
    free_training(a, training);
    return NULL;
}

static bool allocate_tables(home_model *model) {
    const home_config *config = &model->settings.config;
    model->tables = home_allocate(&model->allocator, config->table_count, sizeof *model->tables);
    for (size_t i = 0; model->tables && i < config->table_count; i++) {
        home_table *table = &model->tables[i];
        table->config = &config->tables[i];
        table->weights =
            home_allocate(&model->allocator, (size_t)table->config->rows, table->config->dim * sizeof(float));
        if (!table->weights)
            return false;
    }
    return model->tables != NULL;
}

/* What only a model that trains needs. */
static bool allocate_training(home_model *model) {
    for (size_t i = 0; i < model->settings.config.table_count; i++) {
        home_table *table = &model->tables[i];
        const home_optimizer_traits *traits =
            home_optimizer_traits_of(model->settings.optimizer.embedding_kind);
        const size_t size = (size_t)table->config->rows * home_table_state_width(model, table);
        if (!allocate_state(&model->allocator, traits, size, table->state))
            return false;
    }
    model->training = new_training(model);
    return model->training != NULL;
}

static bool allocate_weights(home_model *model) {
    const home_allocator *a = &model->allocator;
    const size_t norms = model->plan.batch_width;
    model->parameters = home_allocate(a, model->tensors.parameter_count, sizeof(float));
    model->statistics = home_allocate(a, model->tensors.statistic_count, sizeof(float));
    model->panels = home_allocate(a, model->plan.packed_size, sizeof(float));
    model->norm_factor = home_allocate(a, norms, sizeof(float));
    model->norm_shift = home_allocate(a, norms, sizeof(float));
    model->pool = home_allocate(a, 1, sizeof *model->pool);
    return model->parameters && model->statistics && model->panels && model->norm_factor &&
           model->norm_shift && model->pool && allocate_tables(model);
}

/* Tables are the usual reason why a model does not fit. */
static home_status fail_size(const home_model *model, home_error *error) {
    const home_config *config = &model->settings.config;
    const home_table_config *largest = config->tables;
    for (size_t i = 1; i < config->table_count; i++)
        if ((double)config->tables[i].rows * (double)config->tables[i].dim >
            (double)largest->rows * (double)largest->dim)
            largest = &config->tables[i];
    if (config->table_count == 0)
        return home_fail(error, HOME_E_MEMORY, "out of memory for a model of %zu parameters",
                         model->tensors.parameter_count);
    return home_fail(
        error, HOME_E_MEMORY,
        "out of memory for a model of %zu parameters and %zu tables, the largest \"%.60s\" with %" PRIu64
        " rows of %zu",
        model->tensors.parameter_count, config->table_count, largest->name, largest->rows, largest->dim);
}

/* Fills in an empty model that has its allocator. */
static home_status build(home_model *model, const home_blueprint *blueprint, home_error *error) {
    home_config parsed;
    const home_config *config = blueprint->config;
    home_status status = HOME_OK;
    if (!config) {
        status =
            home_config_from_json(blueprint->json, blueprint->json_length, &model->arena, &parsed, error);
        config = &parsed;
    }
    if (status == HOME_OK)
        status = home_settings_resolve(config, &model->arena, &model->settings, error);
    if (status != HOME_OK)
        return status;
    model->kernels = blueprint->kernels ? blueprint->kernels : home_kernels_select(model->settings.isa);
    if (!model->kernels)
        return home_fail(error, HOME_E_UNSUPPORTED, "this build has no kernels for this machine%s%s",
                         model->settings.isa ? " within config.isa " : "",
                         model->settings.isa ? model->settings.isa : "");
    const home_plan_options options = {blueprint->folded, model->kernels->panel};
    status = home_topology_build(&model->settings, &model->arena, &model->topology, error);
    if (status != HOME_OK)
        return status;
    home_tensor_filter filter = {blueprint->check_tensor, blueprint->context, error, HOME_OK};
    model->tensors.filter = filter.check ? &filter : NULL;
    status = home_plan_build(&model->settings, &model->topology, options, &model->arena, &model->plan,
                             &model->tensors, error);
    model->tensors.filter = NULL;
    if (status != HOME_OK)
        return status;
    if (blueprint->check)
        status = blueprint->check(model, blueprint->context, error);
    if (status != HOME_OK)
        return status;
    home_config_to_json(&model->settings, &model->config_json);
    home_describe_topology(&model->settings, &model->topology, &model->topology_json);
    if (model->config_json.failed || model->topology_json.failed || !allocate_weights(model) ||
        (!blueprint->folded && !allocate_training(model)))
        return fail_size(model, error);
    return HOME_OK;
}

home_status home_model_prepare(const home_blueprint *blueprint, home_model **model, home_error *error) {
    home_allocator allocator;
    home_status status = home_allocator_resolve(blueprint->allocator, &allocator, error);
    if (status != HOME_OK)
        return status;
    home_model *made = home_allocate(&allocator, 1, sizeof *made);
    if (!made)
        return home_fail_memory(error);
    atomic_init(&made->references, 1);
    made->allocator = allocator;
    made->arena.allocator = &made->allocator;
    made->config_json.allocator = &made->allocator;
    made->topology_json.allocator = &made->allocator;
    status = build(made, blueprint, error);
    if (status == HOME_OK)
        *model = made;
    else
        free_model(made);
    return status;
}

static home_status create(const home_blueprint *blueprint, home_model **model, home_error *error) {
    home_model *made = NULL;
    const home_status status = home_model_prepare(blueprint, &made, error);
    if (status != HOME_OK)
        return status;
    home_model_initialize(made);
    home_model_pack(made);
    *model = made;
    return HOME_OK;
}

home_status home_model_create(const home_config *config, home_model **model, home_error *error) {
    if (!config || !model)
        return home_fail_null(error, config ? "model" : "config");
    home_config known;
    const home_status status = home_read_struct(config, &known, sizeof known, "config", HOME_E_CONFIG, error);
    if (status != HOME_OK)
        return status;
    return create(&(home_blueprint){.config = &known, .allocator = known.allocator}, model, error);
}

home_status home_model_create_json(const char *json, size_t length, const home_allocator *allocator,
                                   home_model **model, home_error *error) {
    if (!json || !model)
        return home_fail_null(error, json ? "model" : "json");
    return create(&(home_blueprint){.json = json, .json_length = length, .allocator = allocator}, model,
                  error);
}

#else
static void free_model(const home_model *model) {
    (void)model; /* all its memory is the caller's */
}
#endif

/* ---------------------------------------------------------------------------------------- lifetime */

home_model *home_model_retain(const home_model *model) {
    home_model *counted =
        (home_model *)model; /* every model was made writable; counting does not change what it computes */
    if (counted)
        atomic_fetch_add_explicit(&counted->references, 1, memory_order_relaxed);
    return counted;
}

void home_model_release(home_model *model) {
    if (model && atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) == 1)
        free_model(model);
}

void home_model_destroy(home_model *model) {
    home_model_release(model);
}

const char *home_model_isa(const home_model *model) {
    return model ? model->kernels->name : NULL;
}

int32_t home_model_is_frozen(const home_model *model) {
    return model && !model->training;
}

/* --------------------------------------------------------------------------------------- metadata */

static home_metadata *find_metadata(const home_model *model, const char *key) {
    home_metadata *item = model->metadata;
    while (item && strcmp(item->key, key) != 0)
        item = item->next;
    return item;
}

const char *home_model_metadata(const home_model *model, const char *key) {
    const home_metadata *item = model && key ? find_metadata(model, key) : NULL;
    return item ? item->value : NULL;
}

#ifndef HOME_SERVE_ONLY
static void remove_metadata(home_model *model, const char *key) {
    home_metadata **link = &model->metadata;
    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    home_metadata *item = *link;
    if (!item)
        return;
    *link = item->next;
    item->next = NULL;
    free_metadata(&model->allocator, item);
}

home_metadata *home_metadata_create(const home_allocator *allocator, const char *key, const char *value) {
    home_metadata *item = home_allocate(allocator, 1, sizeof *item);
    if (!item)
        return NULL;
    item->key = home_copy_text(allocator, key, strlen(key));
    item->value = home_copy_text(allocator, value, strlen(value));
    if (item->key && item->value)
        return item;
    free_metadata(allocator, item);
    return NULL;
}

static home_status add_metadata(home_model *model, const char *key, const char *value, home_error *error) {
    home_metadata *item = home_metadata_create(&model->allocator, key, value);
    if (!item)
        return home_fail_memory(error);
    remove_metadata(model, key);
    home_metadata **end = &model->metadata;
    while (*end)
        end = &(*end)->next;
    *end = item;
    return HOME_OK;
}

home_status home_model_set_metadata(home_model *model, const char *key, const char *value,
                                    home_error *error) {
    if (!model || !key)
        return home_fail_null(error, model ? "key" : "model");
    const home_status status = home_check_not_image(model, error);
    if (status != HOME_OK)
        return status;
    if (*key == 0 || strncmp(key, "home.", 5) == 0 || strcmp(key, "format") == 0)
        return home_fail(
            error, HOME_E_ARGUMENT,
            "key is \"%.60s\", expected a name that is not \"format\" and does not begin with \"home.\"",
            key);
    if (!home_utf8_is_text(key, strlen(key)) || (value && !home_utf8_is_text(value, strlen(value))))
        return home_fail(error, HOME_E_ARGUMENT, "the key or the text behind it is not UTF-8");
    if (value)
        return add_metadata(model, key, value, error);
    remove_metadata(model, key);
    return HOME_OK;
}

#endif

/* ------------------------------------------------------------------------------------------- facts */

const char *home_model_config_json(const home_model *model) {
    return model ? model->config_json.data : NULL;
}

const char *home_model_topology_json(const home_model *model) {
    return model ? model->topology_json.data : NULL;
}

size_t home_model_dense_width(const home_model *model) {
    return model ? model->settings.config.dense_width : 0;
}

size_t home_model_field_count(const home_model *model) {
    return model ? model->settings.config.field_count : 0;
}

const char *home_model_field_name(const home_model *model, size_t field) {
    return field < home_model_field_count(model) ? model->settings.config.fields[field].name : NULL;
}

size_t home_model_task_count(const home_model *model) {
    return model ? model->settings.config.task_count : 0;
}

const char *home_model_task_name(const home_model *model, size_t task) {
    return task < home_model_task_count(model) ? model->settings.config.tasks[task].name : NULL;
}

uint64_t home_model_parameter_count(const home_model *model) {
    return model ? model->tensors.parameter_count : 0;
}

uint64_t home_model_macs_per_row(const home_model *model) {
    return model ? model->plan.macs : 0;
}

/* ----------------------------------------------------------------------------------------- tensors */

#ifndef HOME_SERVE_ONLY
float *home_tensor_data(const home_model *model, const home_tensor_info *tensor) {
    switch (tensor->kind) {
    case HOME_TENSOR_PARAMETER:
        return model->parameters + tensor->offset;
    case HOME_TENSOR_STATISTIC:
        return model->statistics + tensor->offset;
    default:
        return model->tables[tensor->offset].weights;
    }
}

size_t home_model_tensor_count(const home_model *model) {
    return model && model->training ? model->tensors.count : 0;
}

static home_status describe_tensor(const home_model *model, const home_tensor_info *info, home_tensor *tensor,
                                   home_error *error) {
    if (!tensor)
        return home_fail_null(error, "tensor");
    const bool trained = info->kind == HOME_TENSOR_PARAMETER;
    const home_tensor found = {
        .name = info->name,
        .kind = info->kind,
        .rank = info->rank,
        .shape = {info->rows, info->columns},
        .data = home_tensor_data(model, info),
        .gradient = trained ? model->training->gradients + info->offset : NULL,
        .gradient_offset = trained ? info->offset : 0,
    };
    return home_write_struct(&found, tensor, sizeof found, "tensor", error);
}

home_status home_model_tensor_at(const home_model *model, size_t index, home_tensor *tensor,
                                 home_error *error) {
    if (!model)
        return home_fail_null(error, "model");
    if (index >= home_model_tensor_count(model))
        return home_fail(error, HOME_E_NOT_FOUND, "index is %zu, expected less than %zu", index,
                         home_model_tensor_count(model));
    return describe_tensor(model, &model->tensors.items[index], tensor, error);
}

/* NULL where there is none, with the reason in *status. */
static const home_tensor_info *find_tensor(const home_model *model, const char *name, home_status *status,
                                           home_error *error) {
    *status = HOME_OK;
    if (!model || !name) {
        *status = home_fail_null(error, model ? "name" : "model");
        return NULL;
    }
    const home_tensor_info *info = model->training ? home_tensors_find(&model->tensors, name) : NULL;
    if (!info)
        *status = home_fail(error, HOME_E_NOT_FOUND, "there is no tensor \"%.150s\"", name);
    return info;
}

home_status home_model_tensor(const home_model *model, const char *name, home_tensor *tensor,
                              home_error *error) {
    home_status status;
    const home_tensor_info *info = find_tensor(model, name, &status, error);
    return info ? describe_tensor(model, info, tensor, error) : status;
}

home_status home_model_set_tensor(home_model *model, const char *name, const float *data, size_t count,
                                  home_error *error) {
    home_status status;
    const home_tensor_info *info = find_tensor(model, name, &status, error);
    if (!info)
        return status;
    if (!data)
        return home_fail_null(error, "data");
    if (count != home_tensor_size(info))
        return home_fail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu for \"%.120s\"", count,
                         home_tensor_size(info), name);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(data[i]))
            return home_fail(error, HOME_E_VALUE, "data[%zu] for \"%.120s\" is not finite", i, name);
    if (info->never_negative)
        for (size_t i = 0; i < count; i++)
            if (data[i] < 0)
                return home_fail(error, HOME_E_VALUE, "data[%zu] for \"%.120s\" is %s, expected at least 0",
                                 i, name, HOME_BRIEF((double)data[i]));
    memmove(home_tensor_data(model, info), data, count * sizeof *data); /* it may be the tensor itself */
    if (model->training->phase == HOME_PHASE_FORWARD) /* what it kept does not belong to the new values */
        model->training->phase = HOME_PHASE_IDLE;
    if (info->kind == HOME_TENSOR_PARAMETER)
        home_model_pack_range(model, info->offset, count);
    if (info->kind != HOME_TENSOR_TABLE)
        home_model_fold_norms(model);
    return HOME_OK;
}

float *home_model_gradients(home_model *model, size_t *count) {
    const bool trains = model && model->training;
    if (count)
        *count = trains ? model->tensors.parameter_count : 0;
    return trains ? model->training->gradients : NULL;
}

home_status home_model_table_gradient(home_model *model, const char *table, home_table_gradient *gradient,
                                      home_error *error) {
    home_status status = home_check_trainable(model, error);
    if (status != HOME_OK)
        return status;
    if (!table || !gradient)
        return home_fail_null(error, table ? "gradient" : "table");
    status = home_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    for (size_t i = 0; i < model->settings.config.table_count; i++) {
        const home_table *found = &model->tables[i];
        if (strcmp(found->config->name, table) != 0)
            continue;
        const home_table_gradient rows = {
            .count = found->touched_count,
            .dim = found->config->dim,
            .rows = found->touched,
            .gradient = found->gradient,
        };
        return home_write_struct(&rows, gradient, sizeof rows, "gradient", error);
    }
    return home_fail(error, HOME_E_NOT_FOUND, "there is no table \"%.150s\"", table);
}

#endif
