/* A copy for serving: batch norms folded into the linear layers before them. */
#include "model.h"
#include "portability.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tensors of the same name are the same. Tables are copied too: the trainer goes on changing its own. */
static void copy_shared_tensors(const home_model *from, home_model *to) {
    for (size_t i = 0; i < to->tensors.count; i++) {
        const home_tensor_info *target = &to->tensors.items[i];
        const home_tensor_info *source = home_tensors_find(&from->tensors, target->name);
        if (source)
            memcpy(home_tensor_data(to, target), home_tensor_data(from, source),
                   home_tensor_size(target) * sizeof(float));
    }
}

/* The floats of the tensor "<expert>.<rest>"; NULL where there is none. */
static float *data_of(const home_model *model, const char *expert, const char *rest) {
    char name[HOME_TENSOR_NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", expert, rest);
    const home_tensor_info *tensor = home_tensors_find(&model->tensors, name);
    return tensor ? home_tensor_data(model, tensor) : NULL;
}

/* Norm(W x + b) = γ (W x + b - mean) / sqrt(variance + ε) + β  =  (f W) x + f (b - mean) + β,  f = γ /
 * sqrt(...), for W, b the linear layer `last` of an expert, [width, columns]. */
static void fold_norm(const home_model *from, home_model *to, const char *expert, size_t last, size_t width) {
    char weight_name[HOME_TENSOR_NAME_SIZE];
    char bias_name[64];
    snprintf(weight_name, sizeof weight_name, "%s.linear.%zu.weight", expert, last);
    snprintf(bias_name, sizeof bias_name, "linear.%zu.bias", last);
    const home_tensor_info *weight = home_tensors_find(&to->tensors, weight_name);
    const float *gamma = data_of(from, expert, "norm.weight");
    const float *beta = data_of(from, expert, "norm.bias");
    const float *mean = data_of(from, expert, "norm.running_mean");
    const float *variance = data_of(from, expert, "norm.running_var");
    const float *bias_before = data_of(from, expert, bias_name);
    float *bias = data_of(to, expert, bias_name);
    float *w = home_tensor_data(to, weight);
    for (size_t i = 0; i < width; i++) {
        const double factor =
            (double)gamma[i] / sqrt((double)variance[i] + from->settings.config.norm_epsilon);
        const double before = bias_before ? (double)bias_before[i] : 0;
        bias[i] = (float)(factor * (before - (double)mean[i]) + (double)beta[i]);
        for (size_t j = 0; j < weight->columns; j++)
            w[i * weight->columns + j] = (float)(factor * (double)w[i * weight->columns + j]);
    }
}

/* Every expert's last linear layer takes in the norm behind it. */
static void fold_norms(const home_model *from, home_model *to) {
    for (size_t l = 0; l < to->topology.layer_count; l++) {
        const home_layer *layer = &to->topology.layers[l];
        for (size_t u = 0; u < layer->unit_count; u++)
            for (size_t k = 0; k < layer->units[u].experts; k++) {
                char expert[HOME_TENSOR_NAME_SIZE - 64];
                snprintf(expert, sizeof expert, "layers.%zu.units.%s.experts.%zu", l, layer->units[u].name,
                         k);
                fold_norm(from, to, expert, layer->config->hidden_count, layer->config->width);
            }
    }
}

home_status home_model_freeze(const home_model *model, home_model **frozen, home_error *error) {
    const home_status trainable = home_check_trainable(model, error);
    if (trainable != HOME_OK)
        return trainable;
    if (!frozen)
        return home_fail_null(error, "frozen");
    home_model *made = NULL;
    const home_blueprint blueprint = {.config = &model->settings.config,
                                      .allocator = &model->allocator,
                                      .folded = true,
                                      .kernels = model->kernels};
    const home_status status = home_model_prepare(&blueprint, &made, error);
    if (status != HOME_OK)
        return status;
    copy_shared_tensors(model, made);
    const home_float_mode host = home_begin_computing();
    if (made->settings.config.expert_norm == HOME_NORM_BATCH)
        fold_norms(model, made);
    home_model_pack(made);
    home_end_computing(host);
    home_deallocate(&made->allocator, made->parameters); /* the panels hold them now */
    made->parameters = NULL;
    home_metadata **end = &made->metadata;
    for (const home_metadata *m = model->metadata; m; m = m->next) {
        *end = home_metadata_create(&made->allocator, m->key, m->value);
        if (!*end) {
            home_model_release(made);
            return home_fail_memory(error);
        }
        end = &(*end)->next;
    }
    if (!model->threads) /* the host's own threads serve the copy too; a pool is the original's */
        made->parallel = model->parallel;
    *frozen = made;
    return HOME_OK;
}

#endif
