/* One step along the gradients. */
#include "training.h"

#include <math.h>

enum {
    GRAIN = 16384, /* values that are worth another thread */
    PIECES = 64    /* of a long sum, however many threads share them: so the sum never changes */
};

typedef struct long_sum {
    const homekernels *kernels;
    const float *x;
    size_t count;
    size_t piece; /* values of a piece */
    double sums[PIECES];
} long_sum;

static void sum_pieces(void *context, size_t first, size_t end) {
    long_sum *s = context;
    for (size_t i = first; i < end; i++) {
        const size_t begin = i * s->piece < s->count ? i * s->piece : s->count;
        const size_t left = s->count - begin;
        s->sums[i] = s->kernels->sum_of_squares(left < s->piece ? left : s->piece, s->x + begin);
    }
}

/* In double, for squares of finite floats may not be floats. */
static double sum_of_squares(const home_model *model, const float *x, size_t count) {
    long_sum s = {.kernels = model->kernels,
                  .x = x,
                  .count = count,
                  .piece = homesize_divide_up(count, PIECES)};
    homeparallel_ranges(count < GRAIN ? NULL : homemodel_parallel(model), PIECES, 1, sum_pieces,
                        &s);
    double total = 0;
    for (size_t i = 0; i < PIECES; i++)
        total += s.sums[i];
    return total;
}

double homeoptimizer_gradient_norm(const home_model *model) {
    double sum =
        sum_of_squares(model, model->training->run.gradients, model->tensors.parameter_count);
    for (size_t i = 0; i < model->settings.config.table_count; i++) {
        const homeembedding *e = &model->training->embeddings[i];
        sum += sum_of_squares(model, e->gradient, e->touched_count * model->tables[i].config->dim);
    }
    return sqrt(sum);
}

/* PyTorch's names, so that a checkpoint can go on there. AdamW keeps what Adam does: they differ
 * only in where the decay goes. */
const homeoptimizer_traits *homeoptimizer_traits_of(int32_t kind) {
    static const homeoptimizer_traits traits[] = {
        [HOME_OPTIMIZER_ADAM] = {.state = {".exp_avg", ".exp_avg_sq"},
                                 .never_negative = {false, true}},
        [HOME_OPTIMIZER_ROWWISE_ADAGRAD] = {.state = {".sum"},
                                            .never_negative = {true},
                                            .row_wise = true},
        [HOME_OPTIMIZER_SGD] = {.state = {".momentum_buffer"}},
        [HOME_OPTIMIZER_ADAMW] = {.state = {".exp_avg", ".exp_avg_sq"},
                                  .never_negative = {false, true}},
        [HOME_OPTIMIZER_ADAGRAD] = {.state = {".sum"}, .never_negative = {true}},
    };
    return &traits[kind];
}

size_t homeoptimizer_state_width(const home_model *model, const hometable *table) {
    return homeoptimizer_traits_of(model->settings.optimizer.embedding_kind)->row_wise
               ? 1
               : table->config->dim;
}

/* The factors of Adam's step t:  p -= lr m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + ε) */
static void correct_bias(const home_model *model, homeupdate *update) {
    const home_optimizer_config *o = &model->settings.optimizer;
    const double t = (double)model->training->step_count;
    update->beta1 = (float)o->beta1;
    update->beta2 = (float)o->beta2;
    update->rest1 = (float)(1 - o->beta1);
    update->rest2 = (float)(1 - o->beta2);
    update->rate = (float)((double)update->rate / (1 - pow(o->beta1, t)));
    update->root_factor = (float)(1 / sqrt(1 - pow(o->beta2, t)));
}

/* A step on the dense parameters, and what it needs. */
typedef struct dense_step {
    const home_model *model;
    homeupdate update;
} dense_step;

/* Values are independent of each other, so they are cut anywhere. */
static void step_range(void *context, size_t first, size_t end) {
    const dense_step *d = context;
    const homekernels *kernels = d->model->kernels;
    const hometraining *training = d->model->training;
    const float *g = training->run.gradients + first;
    float *value = d->model->parameters + first;
    float *state = training->state[0] + first;
    switch (d->model->settings.optimizer.kind) {
    case HOME_OPTIMIZER_SGD:
        kernels->sgd(end - first, &d->update, g, value, state);
        break;
    case HOME_OPTIMIZER_ADAGRAD:
        kernels->adagrad(end - first, &d->update, g, value, state);
        break;
    default:
        kernels->adam(end - first, &d->update, g, value, state, training->state[1] + first);
        break;
    }
}

/* One step on all dense parameters. AdamW takes its weight decay off the values, the others add it
 * to the gradient. */
static void step_dense(home_model *model, float gradient_factor) {
    const hometraining *training = model->training;
    const home_optimizer_config *o = &model->settings.optimizer;
    const bool apart = o->kind == HOME_OPTIMIZER_ADAMW;
    dense_step d = {.model = model};
    d.update = (homeupdate){
        .gradient_factor = gradient_factor,
        .decay = apart ? 0 : (float)o->weight_decay,
        .keep = apart ? (float)(1 - training->learning_rate * o->weight_decay) : 1,
        .rate = (float)training->learning_rate,
        .beta1 = (float)o->momentum,
        .epsilon = (float)o->epsilon,
    };
    if (o->kind == HOME_OPTIMIZER_ADAM || o->kind == HOME_OPTIMIZER_ADAMW)
        correct_bias(model, &d.update);
    homeparallel_ranges(homemodel_parallel(model), model->tensors.parameter_count, GRAIN,
                        step_range, &d);
}

/* Row-wise Adagrad on a touched row:  G_r += mean(g_r²),  row_r -= lr g_r / (sqrt(G_r) + ε). In
 * double, for squares of what is clipped may not be floats. */
static void step_row(const home_model *model, const homeupdate *update, size_t dim, const float *g,
                     float *row, float *sum) {
    const double factor = (double)update->gradient_factor;
    *sum += (float)(factor * factor * model->kernels->sum_of_squares(dim, g) / (double)dim);
    const float rate = update->rate * update->gradient_factor / (sqrtf(*sum) + update->epsilon);
    model->kernels->scale_add(dim, -rate, g, row);
}

/* One step on the touched rows of a table; the others do not move. */
static void step_table(const home_model *model, const hometable *table, const homeembedding *e,
                       float gradient_factor) {
    const homekernels *kernels = model->kernels;
    const home_optimizer_config *o = &model->settings.optimizer;
    const size_t dim = table->config->dim;
    homeupdate update = {
        .gradient_factor = gradient_factor,
        .keep = 1,
        .rate = (float)model->training->embedding_learning_rate,
        .epsilon = (float)o->embedding_epsilon,
    };
    if (o->embedding_kind == HOME_OPTIMIZER_ADAM)
        correct_bias(model, &update);
    for (size_t i = 0; i < e->touched_count; i++) {
        const size_t r = (size_t)e->touched[i];
        const float *g = e->gradient + i * dim;
        float *row = table->weights + r * dim;
        if (o->embedding_kind == HOME_OPTIMIZER_ROWWISE_ADAGRAD)
            step_row(model, &update, dim, g, row, e->state[0] + r);
        else if (o->embedding_kind == HOME_OPTIMIZER_ADAGRAD)
            kernels->adagrad(dim, &update, g, row, e->state[0] + r * dim);
        else
            kernels->adam(dim, &update, g, row, e->state[0] + r * dim, e->state[1] + r * dim);
    }
}

void homeoptimizer_step(home_model *model, double norm) {
    const double limit = model->settings.optimizer.clip_norm;
    const float factor = limit > 0 && norm > limit ? (float)(limit / norm) : 1;
    model->training->step_count++;
    step_dense(model, factor);
    for (size_t i = 0; i < model->settings.config.table_count; i++)
        step_table(model, &model->tables[i], &model->training->embeddings[i], factor);
}
