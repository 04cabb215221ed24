/* What a model takes and gives, by name. */
#include "model.h"

#include "../base/abi.h"

#include <string.h>

size_t home_model_dense_width(const home_model *model) {
    return model ? model->settings.config.dense_width : 0;
}

const char *home_model_dense_name(const home_model *model, size_t column) {
    return model && column < model->settings.config.dense_names_count
               ? model->settings.config.dense_names[column]
               : NULL;
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

size_t home_model_table_count(const home_model *model) {
    return model ? model->settings.config.table_count : 0;
}

const char *home_model_table_name(const home_model *model, size_t table) {
    return table < home_model_table_count(model) ? model->settings.config.tables[table].name : NULL;
}

size_t home_model_layer_count(const home_model *model) {
    return model ? model->topology.layer_count : 0;
}

size_t home_model_unit_count(const home_model *model, size_t layer) {
    return layer < home_model_layer_count(model) ? model->topology.layers[layer].unit_count : 0;
}

const char *home_model_unit_name(const home_model *model, size_t layer, size_t unit) {
    return unit < home_model_unit_count(model, layer)
               ? model->topology.layers[layer].units[unit].name
               : NULL;
}

static bool is_name(const char *name, const char *wanted) {
    return name && wanted && strcmp(name, wanted) == 0;
}

/* The first of `count` things with the name. */
static size_t find(const home_model *model, size_t count,
                   const char *(*name_of)(const home_model *model, size_t i), const char *wanted) {
    for (size_t i = 0; i < count; i++)
        if (is_name(name_of(model, i), wanted))
            return i;
    return SIZE_MAX;
}

size_t home_model_field_index(const home_model *model, const char *name) {
    return find(model, home_model_field_count(model), home_model_field_name, name);
}

size_t home_model_task_index(const home_model *model, const char *name) {
    return find(model, home_model_task_count(model), home_model_task_name, name);
}

size_t home_model_table_index(const home_model *model, const char *name) {
    return find(model, home_model_table_count(model), home_model_table_name, name);
}

size_t home_model_unit_index(const home_model *model, size_t layer, const char *name) {
    for (size_t i = 0; i < home_model_unit_count(model, layer); i++)
        if (is_name(home_model_unit_name(model, layer, i), name))
            return i;
    return SIZE_MAX;
}

/* One of the lists of home_names. */
typedef struct names {
    const char *field; /* of the struct */
    const char *const *given;
    size_t count;
    size_t expected; /* of the model */
    const char *(*name)(const home_model *model, size_t i);
} names;

/* Fewer or more names, all of them right as far as both lists go. */
static home_status fail_count(const home_model *model, const names *list, home_error *error) {
    const char *missing = list->count < list->expected ? list->name(model, list->count) : NULL;
    if (missing)
        return homefail(error, HOME_E_MISMATCH,
                        "names.%s has %zu names, expected %zu: the model has \"%.60s\", too",
                        list->field, list->count, list->expected, missing);
    return homefail(error, HOME_E_MISMATCH, "names.%s has %zu names, expected %zu, the model's",
                    list->field, list->count, list->expected);
}

/* The first difference says more than the counts. */
static home_status check_list(const home_model *model, const names *list, home_error *error) {
    if (!list->given)
        return HOME_OK;
    for (size_t i = 0; i < list->count && i < list->expected; i++) {
        const char *name = list->name(model, i);
        if (!list->given[i])
            return homefail(error, HOME_E_ARGUMENT, "names.%s[%zu] is NULL", list->field, i);
        if (name && strcmp(name, list->given[i]) != 0)
            return homefail(error, HOME_E_MISMATCH,
                            "names.%s[%zu] is \"%.60s\", expected \"%.60s\", the model's",
                            list->field, i, list->given[i], name);
    }
    return list->count == list->expected ? HOME_OK : fail_count(model, list, error);
}

home_status home_model_check_names(const home_model *model, const home_names *given,
                                   home_error *error) {
    if (!model || !given)
        return homefail_null(error, model ? "names" : "model");
    home_names read;
    home_status status = homeabi_read(given, &read, sizeof read, "names", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    const names lists[] = {
        {"dense", read.dense, read.dense_count, home_model_dense_width(model),
         home_model_dense_name},
        {"fields", read.fields, read.field_count, home_model_field_count(model),
         home_model_field_name},
        {"tasks", read.tasks, read.task_count, home_model_task_count(model), home_model_task_name},
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && status == HOME_OK; i++)
        status = check_list(model, &lists[i], error);
    return status;
}
