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

/* A frozen model under construction, and what it lacks. */
typedef struct freezing {
    const home_model *to;
    homefreeze_find find;
    const void *context;
} freezing;

/* The floats of a tensor of an expert; NULL where there is none. */
static const float *lacking(const freezing *f, const char *expert, const char *rest) {
    char name[HOME_TENSOR_NAME_SIZE];
    snprintf(name, sizeof name, "%s.%s", expert, rest);
    return f->find(f->context, name);
}

static const hometensor *tensor_of(const home_model *model, const char *expert, size_t layer,
                                   const char *rest) {
    char name[HOME_TENSOR_NAME_SIZE];
    snprintf(name, sizeof name, "%s.linear.%zu.%s", expert, layer, rest);
    return hometensors_find(&model->tensors, name);
}

/* For the linear layer `last` of an expert, W [width, columns] and b (0 where it has none):
 *
 *     Norm(W x + b) = f (W x + b - mean) + β = (f W) x + f (b - mean) + β,
 *                     f = γ / sqrt(variance + ε)
 *
 * in double, and rounded once. */
static void fold_norm(const freezing *f, const char *expert, size_t last, size_t width) {
    const hometensor *weight = tensor_of(f->to, expert, last, "weight");
    const float *gamma = lacking(f, expert, "norm.weight");
    const float *beta = lacking(f, expert, "norm.bias");
    const float *mean = lacking(f, expert, "norm.running_mean");
    const float *variance = lacking(f, expert, "norm.running_var");
    float *bias = homeaccess_data(f->to, tensor_of(f->to, expert, last, "bias"));
    float *w = homeaccess_data(f->to, weight);
    for (size_t i = 0; i < width; i++) {
        const double factor =
            (double)gamma[i] / sqrt((double)variance[i] + f->to->settings.config.norm_epsilon);
        bias[i] = (float)(factor * ((double)bias[i] - (double)mean[i]) + (double)beta[i]);
        for (size_t j = 0; j < weight->columns; j++)
            w[i * weight->columns + j] = (float)(factor * (double)w[i * weight->columns + j]);
    }
}

/* Folds each expert's norm into the linear layer before it. Only experts have norms, and only after
 * their last linear layer; the plan for serving has a bias there even where the one for training
 * has none. */
static void fold_norms(const freezing *f) {
    for (size_t l = 0; l < f->to->topology.layer_count; l++) {
        const homelayer *layer = &f->to->topology.layers[l];
        for (size_t u = 0; u < layer->unit_count; u++)
            for (size_t k = 0; k < layer->units[u].experts; k++) {
                char expert[HOME_TENSOR_NAME_SIZE - 64];
                snprintf(expert, sizeof expert, "layers.%zu.units.%s.experts.%zu", l,
                         layer->units[u].name, k);
                fold_norm(f, expert, layer->config->hidden_count, layer->config->width);
            }
    }
}

void homefreeze_finish(home_model *made, homefreeze_find find, const void *context) {
    const freezing f = {made, find, context};
    const homefloat_mode host = homefloat_begin();
    if (made->settings.config.expert_norm == HOME_NORM_BATCH)
        fold_norms(&f);
    homepack_model(made);
    homefloat_end(host);
    homememory_free(&made->allocator, made->parameters); /* the panels hold them now */
    made->parameters = NULL;
    made->bytes -= made->tensors.parameter_count * sizeof(float);
}

static const float *find_in_model(const void *context, const char *name) {
    const home_model *model = context;
    const hometensor *tensor = hometensors_find(&model->tensors, name);
    return tensor ? homeaccess_data(model, tensor) : NULL;
}

home_status home_model_freeze(const home_model *model, home_model **frozen, home_error *error) {
    const home_status trainable = hometraining_check(model, error);
    if (trainable != HOME_OK)
        return trainable;
    if (!frozen)
        return homefail_null(error, "frozen");
    home_model *made = NULL;
    const homecreate_blueprint blueprint = {.json = model->config_json.data,
                                            .json_length = model->config_json.length,
                                            .allocator = &model->allocator,
                                            .folded = true,
                                            .kernels = model->kernels};
    const home_status status = homecreate_model(&blueprint, &made, error);
    if (status != HOME_OK)
        return status;
    copy_shared_tensors(model, made);
    homefreeze_finish(made, find_in_model, model);
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
