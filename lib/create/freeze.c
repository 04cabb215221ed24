/* A copy for serving: batch norms folded into the linear layers before them. */
#include "create.h"

#include "../train/training.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Tensors of the same name are the same. Tables are copied too: the trainer goes on changing its
 * own. */
static void copy_shared_tensors(const home_model *from, home_model *to) {
    for (size_t i = 0; i < to->tensors.count; i++) {
        const hometensor *target = &to->tensors.items[i];
        const hometensor *source = hometensors_find(&from->tensors, target->name);
        if (source)
            memcpy(homeaccess_data(to, target), homeaccess_data(from, source),
                   hometensors_size(target) * sizeof(float));
    }
}

/* The floats of the tensor "<expert>.<rest>"; NULL where there is none. */
static float *data_of(const home_model *model, const char *expert, const char *rest) {
    char name[HOME_TENSOR_NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", expert, rest);
    const hometensor *tensor = hometensors_find(&model->tensors, name);
    return tensor ? homeaccess_data(model, tensor) : NULL;
}

/* For the linear layer `last` of an expert, W [width, columns] and b:
 *
 *     Norm(W x + b) = f (W x + b - mean) + β = (f W) x + f (b - mean) + β,
 *                     f = γ / sqrt(variance + ε) */
static void fold_norm(const home_model *from, home_model *to, const char *expert, size_t last,
                      size_t width) {
    char weight_name[HOME_TENSOR_NAME_SIZE];
    char bias_name[64];
    snprintf(weight_name, sizeof weight_name, "%s.linear.%zu.weight", expert, last);
    snprintf(bias_name, sizeof bias_name, "linear.%zu.bias", last);
    const hometensor *weight = hometensors_find(&to->tensors, weight_name);
    const float *gamma = data_of(from, expert, "norm.weight");
    const float *beta = data_of(from, expert, "norm.bias");
    const float *mean = data_of(from, expert, "norm.running_mean");
    const float *variance = data_of(from, expert, "norm.running_var");
    const float *bias_before = data_of(from, expert, bias_name);
    float *bias = data_of(to, expert, bias_name);
    float *w = homeaccess_data(to, weight);
    for (size_t i = 0; i < width; i++) {
        const double factor =
            (double)gamma[i] / sqrt((double)variance[i] + from->settings.config.norm_epsilon);
        const double before = bias_before ? (double)bias_before[i] : 0;
        bias[i] = (float)(factor * (before - (double)mean[i]) + (double)beta[i]);
        for (size_t j = 0; j < weight->columns; j++)
            w[i * weight->columns + j] = (float)(factor * (double)w[i * weight->columns + j]);
    }
}

/* Folds each expert's norm into the linear layer before it. Only experts have norms, and only after
 * their last linear layer; the plan for serving has a bias there even where the one for training
 * has none. */
static void fold_norms(const home_model *from, home_model *to) {
    for (size_t l = 0; l < to->topology.layer_count; l++) {
        const homelayer *layer = &to->topology.layers[l];
        for (size_t u = 0; u < layer->unit_count; u++)
            for (size_t k = 0; k < layer->units[u].experts; k++) {
                char expert[HOME_TENSOR_NAME_SIZE - 64];
                snprintf(expert, sizeof expert, "layers.%zu.units.%s.experts.%zu", l,
                         layer->units[u].name, k);
                fold_norm(from, to, expert, layer->config->hidden_count, layer->config->width);
            }
    }
}

home_status home_model_freeze(const home_model *model, home_model **frozen, home_error *error) {
    const home_status trainable = hometraining_check(model, error);
    if (trainable != HOME_OK)
        return trainable;
    if (!frozen)
        return homefail_null(error, "frozen");
    home_model *made = NULL;
    const homecreate_blueprint blueprint = {.config = &model->settings.config,
                                            .allocator = &model->allocator,
                                            .folded = true,
                                            .kernels = model->kernels};
    const home_status status = homecreate_model(&blueprint, &made, error);
    if (status != HOME_OK)
        return status;
    copy_shared_tensors(model, made);
    const homefloat_mode host = homefloat_begin();
    if (made->settings.config.expert_norm == HOME_NORM_BATCH)
        fold_norms(model, made);
    homepack_model(made);
    homefloat_end(host);
    homememory_free(&made->allocator, made->parameters); /* the panels hold them now */
    made->parameters = NULL;
    made->bytes -= made->tensors.parameter_count * sizeof(float);
    homemetadata **end = &made->metadata;
    for (const homemetadata *m = model->metadata; m; m = m->next) {
        *end = homemetadata_create(&made->allocator, m->key, m->value);
        if (!*end) {
            home_model_release(made);
            return homefail_memory(error);
        }
        end = &(*end)->next;
    }
    if (!model->threads) /* the host's own threads serve the copy too; a pool is the original's */
        made->parallel = model->parallel;
    *frozen = made;
    return HOME_OK;
}
