/* A copy for serving: batch norms folded into the linear layers before them. */
#include "model.h"

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

/* The tensor "<prefix><rest>". The name fits: it is that of a tensor, or shorter. */
static float *data_of(const home_model *model, const char *prefix, size_t prefix_length, const char *rest) {
    char name[600];
    snprintf(name, sizeof name, "%.*s%s", (int)prefix_length, prefix, rest);
    const home_tensor_info *tensor = home_tensors_find(&model->tensors, name);
    return tensor ? home_tensor_data(model, tensor) : NULL;
}

/* Norm(W x + b) = γ (W x + b - mean) / sqrt(variance + ε) + β  =  (f W) x + f (b - mean) + β,  f = γ /
 * sqrt(...). `weight` is the linear layer's matrix in the copy, [width, columns]; its name begins with the
 * expert's. */
static void fold_norm(const home_model *from, home_model *to, const home_tensor_info *weight,
                      size_t expert_length) {
    const char *name = weight->name;
    char bias_name[64];
    const char *linear = name + expert_length;
    snprintf(bias_name, sizeof bias_name, "%.*s.bias", (int)(strlen(linear) - strlen(".weight")), linear);
    const float *gamma = data_of(from, name, expert_length, ".norm.weight");
    const float *beta = data_of(from, name, expert_length, ".norm.bias");
    const float *mean = data_of(from, name, expert_length, ".norm.running_mean");
    const float *variance = data_of(from, name, expert_length, ".norm.running_var");
    const float *bias_before = data_of(from, name, expert_length, bias_name);
    float *bias = data_of(to, name, expert_length, bias_name);
    float *w = home_tensor_data(to, weight);
    for (size_t i = 0; i < weight->rows; i++) {
        const double factor =
            (double)gamma[i] / sqrt((double)variance[i] + from->settings.config.norm_epsilon);
        const double before = bias_before ? (double)bias_before[i] : 0;
        bias[i] = (float)(factor * (before - (double)mean[i]) + (double)beta[i]);
        for (size_t j = 0; j < weight->columns; j++)
            w[i * weight->columns + j] = (float)(factor * (double)w[i * weight->columns + j]);
    }
}

/* Where in a tensor's name the expert's own part ends, if it is the matrix of the last linear layer of an
 * expert: "layers.1.units.like.experts.0.linear.2.weight" -> before ".linear". 0 otherwise. */
static size_t expert_prefix(const home_model *model, const home_tensor_info *tensor) {
    size_t layer;
    size_t number;
    int unit = 0;
    if (tensor->rank != 2 || sscanf(tensor->name, "layers.%zu.units.%n", &layer, &unit) != 1 || unit == 0)
        return 0;
    const char *experts = strstr(tensor->name + unit, ".experts.");
    const char *linear = experts ? strstr(experts, ".linear.") : NULL;
    if (!linear || sscanf(linear, ".linear.%zu.", &number) != 1)
        return 0;
    return number == model->settings.config.layers[layer].hidden_count ? (size_t)(linear - tensor->name) : 0;
}

static void fold_norms(const home_model *from, home_model *to) {
    for (size_t i = 0; i < to->tensors.count; i++) {
        const size_t expert_length = expert_prefix(to, &to->tensors.items[i]);
        if (expert_length > 0)
            fold_norm(from, to, &to->tensors.items[i], expert_length);
    }
}

home_status home_model_freeze(const home_model *model, home_model **frozen, home_error *error) {
    const home_status trainable = home_check_trainable(model, error);
    if (trainable != HOME_OK)
        return trainable;
    if (!frozen)
        return home_fail_null(error, "frozen");
    home_model *made;
    const home_blueprint blueprint = {
        .config = &model->settings.config, .allocator = &model->allocator, .folded = true};
    const home_status status = home_model_prepare(&blueprint, &made, error);
    if (status != HOME_OK)
        return status;
    copy_shared_tensors(model, made);
    if (made->settings.config.expert_norm == HOME_NORM_BATCH)
        fold_norms(model, made);
    home_model_pack(made);
    home_deallocate(&made->allocator, made->parameters); /* the panels hold them now */
    made->parameters = NULL;
    *frozen = made;
    return HOME_OK;
}
