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
    const bool parameter = info->kind == HOME_TENSOR_PARAMETER;
    const home_tensor found = {
        .name = info->name,
        .kind = info->kind,
        .rank = info->rank,
        .shape = {info->rows, info->columns},
        .data = homeaccess_data(model, info),
        .gradient = parameter ? model->training->run.gradients + info->offset : NULL,
        .gradient_offset = parameter ? info->offset : 0,
        .trained = model->training->trained[info - model->tensors.items] ? HOME_ON : HOME_OFF,
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
    if (model->training->phase == HOME_PHASE_FORWARD || model->training->phase == HOME_PHASE_TASK)
        model->training->phase = HOME_PHASE_IDLE;
    if (info->kind == HOME_TENSOR_PARAMETER)
        homepack_range(model, info->offset, count);
    else if (info->kind == HOME_TENSOR_STATISTIC)
        homepack_statistics(model);
    return HOME_OK;
}

/* ------------------------------------------------------------------------------------ gradients */

/* A model that trains, and a struct that receives its gradient. */
static home_status check_receiver(const home_model *model, const home_gradient *gradient,
                                  home_error *error) {
    const home_status status = hometraining_check(model, error);
    if (status == HOME_OK && !gradient)
        return homefail_null(error, "gradient");
    return status;
}

home_status home_model_gradient(home_model *model, home_gradient *gradient, home_error *error) {
    home_status status = check_receiver(model, gradient, error);
    if (status == HOME_OK)
        status = hometraining_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    const size_t count = model->tensors.parameter_count;
    const home_gradient found = {
        .data = model->training->run.gradients, .rows = 1, .width = count, .stride = count};
    return homeabi_write(&found, gradient, sizeof found, "gradient", error);
}

home_status home_model_table_gradient(home_model *model, size_t table, home_gradient *gradient,
                                      home_error *error) {
    home_status status = check_receiver(model, gradient, error);
    if (status != HOME_OK)
        return status;
    status = hometraining_check_table(model, table, error);
    const bool task = model->training->phase == HOME_PHASE_TASK;
    if (status == HOME_OK && !task)
        status = hometraining_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    const homeembedding *e = &model->training->embeddings[table];
    const homerow_gradients *rows = task ? &e->part : &e->total;
    const size_t dim = model->tables[table].config->dim;
    const home_gradient found = {
        .data = rows->values, .rows = rows->count, .width = dim, .stride = dim, .ids = rows->rows};
    return homeabi_write(&found, gradient, sizeof found, "gradient", error);
}

home_status home_model_input_gradient(home_model *model, home_gradient *gradient,
                                      home_error *error) {
    const home_status status = check_receiver(model, gradient, error);
    if (status != HOME_OK)
        return status;
    if (!model->training->input_gradient)
        return homefail(error, HOME_E_STATE,
                        "there is no gradient of the input: call home_model_backward() first");
    const homerun run = hometraining_run(model);
    const home_gradient found = {
        .data = homerun_gradient_row(&run, model->plan.input, 0),
        .rows = run.rows,
        .width = model->settings.config.dense_width,
        .stride = homerun_stride(&run, model->plan.input),
    };
    return homeabi_write(&found, gradient, sizeof found, "gradient", error);
}

/* --------------------------------------------------------------- gradients that the host brings */

static home_status check_may_set(const home_model *model, home_error *error) {
    const home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (model->training->phase == HOME_PHASE_FORWARD || model->training->phase == HOME_PHASE_TASK)
        return homefail(error, HOME_E_STATE,
                        "the last forward has no gradients yet: call home_model_backward() first");
    return HOME_OK;
}

/* Where the gradients there are have been stepped along, those that the host does not set are 0. */
static void forget_tables(home_model *model) {
    for (size_t t = 0; t < model->settings.config.table_count; t++)
        model->training->embeddings[t].total.count = 0;
}

static void forget_dense(home_model *model) {
    memset(model->training->run.gradients, 0,
           model->tensors.parameter_count * sizeof *model->training->run.gradients);
}

static void finish_set(home_model *model) {
    model->training->phase = HOME_PHASE_BACKWARD;
    model->training->unstepped = true;
}

home_status home_model_set_gradient(home_model *model, const float *gradient, size_t count,
                                    home_error *error) {
    const home_status status = check_may_set(model, error);
    if (status != HOME_OK)
        return status;
    if (!gradient)
        return homefail_null(error, "gradient");
    if (count != model->tensors.parameter_count)
        return homefail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu", count,
                        model->tensors.parameter_count);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(gradient[i]))
            return homefail(error, HOME_E_VALUE, "gradient[%zu] is not finite", i);
    if (!model->training->unstepped)
        forget_tables(model);
    /* `gradient` may be the model's own. */
    memmove(model->training->run.gradients, gradient, count * sizeof *gradient);
    finish_set(model);
    return HOME_OK;
}

static home_status check_row_gradients(const home_table_config *table, const uint64_t *ids,
                                       size_t count, homerows gradient, home_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= table->rows)
            return homefail(
                error, HOME_E_VALUE,
                "ids[%zu] is %llu, expected less than %llu, the rows of table \"%.60s\"", i,
                (unsigned long long)ids[i], (unsigned long long)table->rows, table->name);
        for (size_t c = 0; c < table->dim; c++)
            if (!isfinite(gradient.at[i * gradient.row + c]))
                return homefail(error, HOME_E_VALUE, "gradient[%zu, %zu] is not finite", i, c);
    }
    return HOME_OK;
}

home_status home_model_set_table_gradient(home_model *model, size_t table, const uint64_t *ids,
                                          size_t count, const float *gradient, size_t stride,
                                          home_error *error) {
    home_status status = check_may_set(model, error);
    if (status == HOME_OK)
        status = hometraining_check_table(model, table, error);
    if (status != HOME_OK)
        return status;
    const home_table_config *config = model->tables[table].config;
    if (count > 0 && (!ids || !gradient))
        return homefail_null(error, ids ? "gradient" : "ids");
    status = homemodel_read_stride(&stride, "stride", count, config->dim, error);
    if (status != HOME_OK)
        return status;
    const homerows rows = {gradient, stride};
    status = check_row_gradients(config, ids, count, rows, error);
    if (status != HOME_OK)
        return status;
    const homefloat_mode host = homefloat_begin();
    status = homeembedding_fill_part(model, table, ids, count, rows, error);
    homefloat_end(host);
    if (status != HOME_OK)
        return status;
    if (!model->training->unstepped) {
        forget_dense(model);
        forget_tables(model);
    }
    homeembedding_take_part(model, table);
    finish_set(model);
    return HOME_OK;
}
