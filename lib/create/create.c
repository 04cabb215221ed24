/* Making models, and freeing them. */
#include "create.h"

#include "../base/abi.h"
#include "../config/reader.h"
#include "../host/threads.h"
#include "../serve/serve.h"
#include "../train/training.h"

#include <inttypes.h>
#include <string.h>

static void free_tables(const home_model *model) {
    const size_t count = model->tables ? model->settings.config.table_count : 0;
    for (size_t i = 0; i < count; i++)
        homememory_free(&model->allocator, model->tables[i].weights);
    homememory_free(&model->allocator, model->tables);
}

static void free_model(home_model *model) {
    const home_allocator allocator = model->allocator;
    homethreads_destroy(model->threads);
    hometraining_free(model);
    free_tables(model);
    homemetadata_free(&allocator, model->metadata);
    homepool_free(model->pool, &allocator);
    homememory_free(&allocator, model->parameters);
    homememory_free(&allocator, model->statistics);
    homememory_free(&allocator, model->packed);
    homememory_free(&allocator, model->config_json.data);
    homememory_free(&allocator, model->topology_json.data);
    homearena_free(&model->arena);
    homememory_free(&allocator, model);
}

/* Whoever makes a model fills them: with fresh weights, a file's or another model's. */
static bool allocate_tables(home_model *model) {
    const home_config *config = &model->settings.config;
    model->tables =
        homememory_allocate(&model->allocator, config->table_count, sizeof *model->tables);
    if (!model->tables)
        return false;
    for (size_t i = 0; i < config->table_count; i++) {
        hometable *table = &model->tables[i];
        table->config = &config->tables[i];
        table->weights = homememory_allocate_unset(&model->allocator, (size_t)table->config->rows,
                                                   table->config->dim * sizeof(float));
        if (!table->weights)
            return false;
    }
    return true;
}

static bool allocate_weights(home_model *model) {
    const home_allocator *a = &model->allocator;
    model->parameters = homememory_allocate(a, model->tensors.parameter_count, sizeof(float));
    model->statistics = homememory_allocate(a, model->tensors.statistic_count, sizeof(float));
    model->packed = homememory_allocate(a, model->plan.packed_size, sizeof(float));
    model->pool = homepool_create(a);
    return model->parameters && model->statistics && model->packed && model->pool &&
           allocate_tables(model);
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
        return homefail(error, HOME_E_MEMORY, "out of memory for a model of %zu parameters",
                        model->tensors.parameter_count);
    return homefail(error, HOME_E_MEMORY,
                    "out of memory for a model of %zu parameters and %zu tables, the largest "
                    "\"%.60s\" with %" PRIu64 " rows of %zu",
                    model->tensors.parameter_count, config->table_count, largest->name,
                    largest->rows, largest->dim);
}

/* --------------------------------------------------------------------------------- memory limit */

/* Of the two texts, without their final zeros. */
static bool count_texts(const home_model *model, size_t *config, size_t *topology) {
    hometext first = {.counting = true};
    hometext second = {.counting = true};
    homeconfig_to_json(&model->settings, true, &first);
    homedescribe_topology(&model->settings, &model->topology, &second);
    *config = first.length;
    *topology = second.length;
    return !first.failed && !second.failed;
}

/* Bytes of what the model will have once its plan is known: all that is allocated below, and what
 * there is already. SIZE_MAX where no size_t holds them. */
static size_t model_bytes(const home_model *model, bool folded) {
    const home_config *config = &model->settings.config;
    size_t config_length;
    size_t topology_length;
    if (!count_texts(model, &config_length, &topology_length))
        return SIZE_MAX;
    size_t bytes = sizeof *model + sizeof(homepool);
    homesize_count(&bytes, model->arena.used, 1);
    homesize_count(&bytes, config_length + 1, 1);
    homesize_count(&bytes, topology_length + 1, 1);
    homesize_count(&bytes, model->tensors.parameter_count, sizeof(float));
    homesize_count(&bytes, model->tensors.statistic_count, sizeof(float));
    homesize_count(&bytes, model->plan.packed_size, sizeof(float));
    homesize_count(&bytes, config->table_count, sizeof *model->tables);
    for (size_t i = 0; i < config->table_count; i++)
        homesize_count(&bytes, (size_t)config->tables[i].rows,
                       config->tables[i].dim * sizeof(float));
    homesize_count(&bytes, folded ? 0 : hometraining_bytes(model), 1);
    return bytes;
}

/* Before anything large is allocated. */
static home_status check_bytes(home_model *model, const homecreate_blueprint *blueprint,
                               home_error *error) {
    model->bytes = model_bytes(model, blueprint->folded);
    if (blueprint->memory_limit == 0 || model->bytes <= blueprint->memory_limit)
        return HOME_OK;
    return homefail(error, HOME_E_TOO_LARGE,
                    "a model of %zu parameters and %zu tables takes %zu bytes, expected at most "
                    "%zu (memory_limit)",
                    model->tensors.parameter_count, model->settings.config.table_count,
                    model->bytes, blueprint->memory_limit);
}

/* --------------------------------------------------------------------------------------- making */

static bool write_texts(home_model *model) {
    size_t config_length;
    size_t topology_length;
    if (!count_texts(model, &config_length, &topology_length))
        return false;
    hometext_reserve(&model->config_json, config_length);
    homeconfig_to_json(&model->settings, true, &model->config_json);
    hometext_reserve(&model->topology_json, topology_length);
    homedescribe_topology(&model->settings, &model->topology, &model->topology_json);
    return !model->config_json.failed && !model->topology_json.failed;
}

/* The blueprint's configuration, checked, and who sees whom. The reader hears of its errors. */
static void read_config(home_model *model, const homecreate_blueprint *blueprint, homereader *in) {
    home_config parsed;
    const home_config *config = blueprint->config;
    if (!config) {
        homeconfig_from_json(in, blueprint->json, blueprint->json_length, blueprint->stored,
                             &parsed);
        config = &parsed;
    }
    if (homereader_ok(in))
        homeconfig_resolve(in, config, &model->settings);
    if (in->status == HOME_OK)
        hometopology_build(in, &model->settings, &model->topology);
    if (blueprint->isa)
        model->settings.isa = homekernels_isa_name(blueprint->isa);
}

/* What follows from the configuration: kernels, plan and tensors of a model, as far as the
 * blueprint's own check and limit agree. */
static home_status plan_model(home_model *model, const homecreate_blueprint *blueprint,
                              home_error *error) {
    const char *isa = model->settings.isa;
    model->kernels = blueprint->kernels ? blueprint->kernels : homekernels_select(isa);
    if (!model->kernels)
        return homefail(error, HOME_E_UNSUPPORTED, "this build has no kernels for this machine%s%s",
                        isa ? " within isa " : "", isa ? isa : "");
    const homeplan_options options = {.folded = blueprint->folded, .panel = model->kernels->panel};
    model->tensors.filter = (hometensors_filter){
        .check = blueprint->check_tensor, .context = blueprint->context, .error = error};
    home_status status = homeplan_build(&model->settings, &model->topology, options, &model->arena,
                                        &model->plan, &model->tensors, error);
    model->tensors.filter = (hometensors_filter){0};
    if (model->arena.limited)
        return homefail(error, HOME_E_TOO_LARGE,
                        "the plan of the model alone takes more than %zu bytes (memory_limit)",
                        model->arena.limit);
    if (status == HOME_OK && blueprint->check)
        status = blueprint->check(model, blueprint->context, error);
    return status == HOME_OK ? check_bytes(model, blueprint, error) : status;
}

/* Fills in an empty model that has its allocator. What is large comes last, so a configuration that
 * asks for too much costs little. */
static home_status build(home_model *model, const homecreate_blueprint *blueprint,
                         home_error *error) {
    homereader in = {.arena = &model->arena,
                     .error = error,
                     .report = blueprint->report,
                     .user = blueprint->report_user};
    home_error found = {.struct_size = sizeof found};
    model->arena.limit = blueprint->plan_limit ? blueprint->plan_limit : blueprint->memory_limit;
    read_config(model, blueprint, &in);
    if (in.status == HOME_OK && plan_model(model, blueprint, &found) != HOME_OK)
        homereader_fail_as(&in, "", &found);
    if (in.status != HOME_OK || blueprint->plan_only)
        return in.status;
    if (!write_texts(model) || !allocate_weights(model) ||
        (!blueprint->folded && !hometraining_create(model)))
        return fail_size(model, error);
    return HOME_OK;
}

home_status homecreate_model(const homecreate_blueprint *blueprint, home_model **model,
                             home_error *error) {
    home_allocator allocator;
    home_status status = homememory_resolve(blueprint->allocator, &allocator, error);
    if (status != HOME_OK)
        return status;
    home_model *made = homememory_allocate(&allocator, 1, sizeof *made);
    if (!made)
        return homefail_memory(error);
    atomic_init(&made->references, 1);
    made->destroy = free_model;
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

static home_status create(const homecreate_blueprint *blueprint, home_model **model,
                          home_error *error) {
    home_model *made = NULL;
    const home_status status = homecreate_model(blueprint, &made, error);
    if (status != HOME_OK)
        return status;
    homeinitialize_model(made);
    homepack_model(made);
    *model = made;
    return HOME_OK;
}

/* ----------------------------------------------------------------------------- public functions */

size_t homecreate_limit(uint64_t bytes) {
    return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

/* The struct is read twice: here for the allocator, which reading all of it needs. */
static home_status plan_from_struct(const home_config *config, home_config *known,
                                    homecreate_blueprint *blueprint, home_error *error) {
    const home_status status =
        homeabi_read(config, known, sizeof *known, "config", HOME_E_CONFIG, error);
    if (status == HOME_OK)
        *blueprint = (homecreate_blueprint){.config = known,
                                            .allocator = known->allocator,
                                            .memory_limit = homecreate_limit(known->memory_limit)};
    return status;
}

static home_status plan_from_json(const char *json, size_t length,
                                  const home_create_options *options,
                                  homecreate_blueprint *blueprint, home_error *error) {
    home_create_options known = {0};
    if (options) {
        const home_status status =
            homeabi_read(options, &known, sizeof known, "options", HOME_E_ARGUMENT, error);
        if (status != HOME_OK)
            return status;
    }
    if (known.isa && !homekernels_isa_name(known.isa))
        return homefail(error, HOME_E_ARGUMENT,
                        "options.isa is \"%.60s\", expected " HOMEKERNELS_ISA_NAMES, known.isa);
    *blueprint = (homecreate_blueprint){.json = json,
                                        .json_length = length,
                                        .allocator = known.allocator,
                                        .isa = known.isa,
                                        .memory_limit = homecreate_limit(known.memory_limit)};
    return HOME_OK;
}

home_status home_model_create(const home_config *config, home_model **model, home_error *error) {
    if (!config || !model)
        return homefail_null(error, config ? "model" : "config");
    home_config known;
    homecreate_blueprint blueprint = {0};
    const home_status status = plan_from_struct(config, &known, &blueprint, error);
    return status == HOME_OK ? create(&blueprint, model, error) : status;
}

home_status home_model_create_json(const char *json, size_t length,
                                   const home_create_options *options, home_model **model,
                                   home_error *error) {
    if (!json || !model)
        return homefail_null(error, json ? "model" : "json");
    homecreate_blueprint blueprint = {0};
    const home_status status = plan_from_json(json, length, options, &blueprint, error);
    return status == HOME_OK ? create(&blueprint, model, error) : status;
}

/* Plans the model, and throws it away. */
static home_status check(homecreate_blueprint *blueprint, home_config_report report, void *user,
                         home_error *error) {
    home_model *model = NULL;
    blueprint->plan_only = true;
    blueprint->report = report;
    blueprint->report_user = user;
    const home_status status = homecreate_model(blueprint, &model, error);
    home_model_release(model);
    return status;
}

home_status home_config_check(const home_config *config, home_config_report report, void *user,
                              home_error *error) {
    if (!config)
        return homefail_null(error, "config");
    home_config known;
    homecreate_blueprint blueprint = {0};
    const home_status status = plan_from_struct(config, &known, &blueprint, error);
    return status == HOME_OK ? check(&blueprint, report, user, error) : status;
}

home_status home_config_check_json(const char *json, size_t length,
                                   const home_create_options *options, home_config_report report,
                                   void *user, home_error *error) {
    if (!json)
        return homefail_null(error, "json");
    homecreate_blueprint blueprint = {0};
    const home_status status = plan_from_json(json, length, options, &blueprint, error);
    return status == HOME_OK ? check(&blueprint, report, user, error) : status;
}
