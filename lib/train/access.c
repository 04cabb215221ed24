/* Looking into a model that trains: its tensors, and the gradients of tensors and tables. */
#include "training.h"

#include "../base/abi.h"
#include "../host/number.h"

#include <math.h>
#include <string.h>

float *homeaccess_data(const home_model *model, const hometensor *tensor) {
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

static home_status describe_tensor(const home_model *model, const hometensor *info,
                                   home_tensor *tensor, home_error *error) {
    if (!tensor)
        return homefail_null(error, "tensor");
    const bool trained = info->kind == HOME_TENSOR_PARAMETER;
    const home_tensor found = {
        .name = info->name,
        .kind = info->kind,
        .rank = info->rank,
        .shape = {info->rows, info->columns},
        .data = homeaccess_data(model, info),
        .gradient = trained ? model->training->run.gradients + info->offset : NULL,
        .gradient_offset = trained ? info->offset : 0,
    };
    return homeabi_write(&found, tensor, sizeof found, "tensor", error);
}

home_status home_model_tensor_at(const home_model *model, size_t index, home_tensor *tensor,
                                 home_error *error) {
    if (!model)
        return homefail_null(error, "model");
    if (index >= home_model_tensor_count(model))
        return homefail(error, HOME_E_NOT_FOUND, "index is %zu, expected less than %zu", index,
                        home_model_tensor_count(model));
    return describe_tensor(model, &model->tensors.items[index], tensor, error);
}

/* *info stays NULL where there is none. */
static home_status find_tensor(const home_model *model, const char *name, const hometensor **info,
                               home_error *error) {
    if (!model || !name)
        return homefail_null(error, model ? "name" : "model");
    *info = model->training ? hometensors_find(&model->tensors, name) : NULL;
    return *info ? HOME_OK
                 : homefail(error, HOME_E_NOT_FOUND, "there is no tensor \"%.150s\"", name);
}

home_status home_model_tensor(const home_model *model, const char *name, home_tensor *tensor,
                              home_error *error) {
    const hometensor *info = NULL;
    const home_status status = find_tensor(model, name, &info, error);
    return info ? describe_tensor(model, info, tensor, error) : status;
}

home_status home_model_set_tensor(home_model *model, const char *name, const float *data,
                                  size_t count, home_error *error) {
    const hometensor *info = NULL;
    const home_status status = find_tensor(model, name, &info, error);
    if (!info)
        return status;
    if (!data)
        return homefail_null(error, "data");
    if (count != hometensors_size(info))
        return homefail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu for \"%.120s\"", count,
                        hometensors_size(info), name);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(data[i]))
            return homefail(error, HOME_E_VALUE, "data[%zu] for \"%.120s\" is not finite", i, name);
    if (info->never_negative)
        for (size_t i = 0; i < count; i++)
            if (data[i] < 0)
                return homefail(error, HOME_E_VALUE,
                                "data[%zu] for \"%.120s\" is %s, expected at least 0", i, name,
                                HOME_BRIEF((double)data[i]));
    /* `data` may be the tensor itself. */
    memmove(homeaccess_data(model, info), data, count * sizeof *data);
    /* What a forward kept does not belong to the new values. */
    if (model->training->phase == HOME_PHASE_FORWARD)
        model->training->phase = HOME_PHASE_IDLE;
    if (info->kind == HOME_TENSOR_PARAMETER)
        homepack_range(model, info->offset, count);
    else if (info->kind == HOME_TENSOR_STATISTIC)
        homepack_statistics(model);
    return HOME_OK;
}

float *home_model_gradients(home_model *model, size_t *count) {
    const bool trains = model && model->training;
    if (count)
        *count = trains ? model->tensors.parameter_count : 0;
    return trains ? model->training->run.gradients : NULL;
}

home_status home_model_table_gradient(home_model *model, const char *table,
                                      home_table_gradient *gradient, home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!table || !gradient)
        return homefail_null(error, table ? "gradient" : "table");
    status = hometraining_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    for (size_t i = 0; i < model->settings.config.table_count; i++) {
        const homeembedding *e = &model->training->embeddings[i];
        if (strcmp(model->tables[i].config->name, table) != 0)
            continue;
        const home_table_gradient rows = {
            .count = e->touched_count,
            .dim = model->tables[i].config->dim,
            .rows = e->touched,
            .gradient = e->gradient,
        };
        return homeabi_write(&rows, gradient, sizeof rows, "gradient", error);
    }
    return homefail(error, HOME_E_NOT_FOUND, "there is no table \"%.150s\"", table);
}
