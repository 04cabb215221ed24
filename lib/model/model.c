/* The lifetime of models, and facts about them. */
#include "model.h"

#include <string.h>

home_status homemodel_read_stride(size_t *stride, const char *name, size_t rows, size_t width,
                                  home_error *error) {
    size_t elements;
    size_t bytes;
    if (*stride == 0)
        *stride = width;
    if (*stride < width)
        return homefail(error, HOME_E_ARGUMENT, "%s is %zu, expected 0 or at least %zu", name,
                        *stride, width);
    if (!homesize_multiply(rows, *stride, &elements) ||
        !homesize_multiply(elements, sizeof(float), &bytes))
        return homefail(error, HOME_E_TOO_LARGE,
                        "%s is %zu, expected one with which %zu rows fit memory", name, *stride,
                        rows);
    return HOME_OK;
}

const home_parallel *homemodel_parallel(const home_model *model) {
    return model->parallel.run ? &model->parallel : NULL;
}

homerun homemodel_run(const home_model *model) {
    return (homerun){
        .steps = model->plan.steps,
        .step_count = model->plan.step_count,
        .buffers = model->plan.buffers,
        .buffer_count = model->plan.buffer_count,
        .packed = model->packed,
        .kernels = model->kernels,
        .parallel = homemodel_parallel(model),
        .swish_beta = model->settings.config.swish_beta,
    };
}

/* ------------------------------------------------------------------------------------- lifetime */

/* The count is not part of a model's value, and every model was made in memory that can be
 * written. */
static home_model *countable(const home_model *model) {
    return (home_model *)model;
}

/* Counting up needs no order, for whoever counts holds a reference already. The last release must
 * see all that other threads did with the model before theirs: acquire and release. */
const home_model *home_model_retain(const home_model *model) {
    if (model)
        atomic_fetch_add_explicit(&countable(model)->references, 1, memory_order_relaxed);
    return model;
}

void home_model_release(const home_model *model) {
    if (model &&
        atomic_fetch_sub_explicit(&countable(model)->references, 1, memory_order_acq_rel) == 1 &&
        model->destroy)
        model->destroy(countable(model));
}

/* ---------------------------------------------------------------------------------------- facts */

const char *home_model_isa(const home_model *model) {
    return model ? model->kernels->name : NULL;
}

int32_t home_model_is_frozen(const home_model *model) {
    return model && !model->training;
}

const char *home_model_metadata(const home_model *model, const char *key) {
    const homemetadata *item = model && key ? model->metadata : NULL;
    while (item && strcmp(item->key, key) != 0)
        item = item->next;
    return item ? item->value : NULL;
}

const char *home_model_config_json(const home_model *model) {
    return model ? model->config_json.data : NULL;
}

const char *home_model_topology_json(const home_model *model) {
    return model ? model->topology_json.data : NULL;
}

uint64_t home_model_bytes(const home_model *model) {
    return model ? model->bytes : 0;
}

uint64_t home_model_parameter_count(const home_model *model) {
    return model ? model->tensors.parameter_count : 0;
}

uint64_t home_model_macs_per_row(const home_model *model) {
    return model ? model->plan.macs : 0;
}
