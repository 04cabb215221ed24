#include "bench/models.h"

#include "unit/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sizes of docs/performance.md. */
typedef struct sizes {
    const char *name;
    size_t input;
    size_t hidden;
    size_t width;
    size_t tasks; /* half of them in each of two groups */
    size_t first_experts;
    size_t shared_experts, group_experts, task_experts; /* in layer 2 */
    size_t tower;
} sizes;

static const sizes all[MODELS_COUNT] = {
    {"S", 128, 64, 32, 4, 2, 2, 2, 2, 16},
    {"M", 512, 256, 128, 6, 4, 2, 2, 1, 64},
    {"L", 1024, 512, 256, 12, 6, 3, 3, 2, 128},
};

enum { BRANCHES = 2, RANK_DIVISOR = 8, SEED = 1, WARM_UP_ROWS = 128 };

void must(home_status status, const home_error *error, const char *what) {
    if (status == HOME_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, error->message);
    exit(1);
}

void reference_model_get(reference_model *m, size_t index) {
    static const char *const names[MODELS_MAX_TASKS] = {"a", "b", "c", "d", "e", "f",
                                                        "g", "h", "i", "j", "k", "l"};
    const sizes *s = &all[index];
    memset(m, 0, sizeof *m);
    m->name = s->name;
    m->hidden = s->hidden;
    m->tower = s->tower;
    for (size_t t = 0; t < s->tasks; t++)
        m->tasks[t] = (home_task_config){.struct_size = sizeof m->tasks[t],
                                         .name = names[t],
                                         .group = t < s->tasks / 2 ? "inter" : "watch"};
    for (size_t l = 0; l < 2; l++)
        m->layers[l] = (home_layer_config){
            .struct_size = sizeof m->layers[l],
            .width = s->width,
            .hidden = &m->hidden,
            .hidden_count = 1,
            .shared_experts = l == 0 ? s->first_experts : s->shared_experts,
            .group_experts = l == 0 ? s->first_experts : s->group_experts,
            .task_experts = l == 0 ? 0 : s->task_experts,
            .feature_branches = BRANCHES,
            .feature_rank = (l == 0 ? s->input : s->width) / RANK_DIVISOR,
        };
    m->config = (home_config){
        .struct_size = sizeof m->config,
        .dense_width = s->input,
        .tasks = m->tasks,
        .task_count = s->tasks,
        .layers = m->layers,
        .layer_count = 2,
        .tower_hidden = &m->tower,
        .tower_hidden_count = 1,
        .seed = SEED,
        /* No neutral start: feature gates are not 1, and one forward sets the running values. */
        .feature_init = HOME_INIT_UNIFORM,
        .norm_momentum = 1,
    };
}

home_model *reference_model_create(const reference_model *m, const model_rows *rows,
                                   const char *isa) {
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    home_config config = m->config;
    config.isa = isa;
    must(home_model_create(&config, &model, &error), &error, "create");
    const home_batch batch = model_rows_batch(rows, WARM_UP_ROWS);
    must(home_model_forward(model, &batch, NULL, 0, &error), &error, "forward");
    return model;
}

void make_denormal(float *values, size_t count, size_t step) {
    for (size_t i = 0; i < count; i += step)
        values[i] *= 0x1p-132f; /* denormal if the value was below 64 */
}

void model_make_denormal(home_model *model, size_t step) {
    home_error error = {.struct_size = sizeof error};
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        must(home_model_tensor_at(model, i, &tensor, &error), &error, "tensor_at");
        const size_t count = (size_t)(tensor.shape[0] * tensor.shape[1]);
        float *values = malloc(count * sizeof *values);
        if (tensor.kind == HOME_TENSOR_PARAMETER && values) {
            memcpy(values, tensor.data, count * sizeof *values);
            make_denormal(values, count, step);
            must(home_model_set_tensor(model, tensor.name, values, count, &error), &error,
                 tensor.name);
        }
        free(values);
    }
}

void model_rows_create(model_rows *r, const reference_model *m) {
    const size_t dense = MODELS_MAX_ROWS * m->config.dense_width;
    const size_t labels = MODELS_MAX_ROWS * m->config.task_count;
    r->dense = malloc(dense * sizeof *r->dense);
    r->labels = malloc(labels * sizeof *r->labels);
    if (!r->dense || !r->labels) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    uint64_t state = SEED;
    for (size_t i = 0; i < dense; i++)
        r->dense[i] = (float)random_between(&state, -1, 1);
    for (size_t i = 0; i < labels; i++)
        r->labels[i] = random_between(&state, 0, 1) < 0.3 ? 1 : 0;
}

void model_rows_free(model_rows *r) {
    free(r->dense);
    free(r->labels);
}

home_batch model_rows_batch(const model_rows *r, size_t rows) {
    return (home_batch){.struct_size = sizeof(home_batch), .rows = rows, .dense = r->dense};
}

home_targets model_rows_targets(const model_rows *r) {
    return (home_targets){.struct_size = sizeof(home_targets), .labels = r->labels};
}
