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
    if (count == 0)
        return 0; /* x may be NULL */
    long_sum s = {.kernels = model->kernels,
                  .x = x,
                  .count = count,
                  .piece = homesize_divide_up(count, PIECES)};
    homeparallel_all_ranges(count < GRAIN ? NULL : homemodel_parallel(model), PIECES, 1, sum_pieces,
                            &s);
    double total = 0;
    for (size_t i = 0; i < PIECES; i++)
        total += s.sums[i];
    return total;
}

/* Parameters that train and lie side by side, [first, end) of all; start with zeros. */
typedef struct trained_range {
    size_t first;
    size_t end;
    size_t next; /* the tensor to go on from */
} trained_range;

/* The next such range; false where there are none left. Where everything trains, there is one. */
static bool next_range(const home_model *model, trained_range *range) {
    bool found = false;
    for (; range->next < model->tensors.count; range->next++) {
        const hometensor *tensor = &model->tensors.items[range->next];
        const bool trained = model->training->trained[range->next];
        if (tensor->kind != HOME_TENSOR_PARAMETER)
            continue;
        if (found && !trained)
            return true;
        if (!trained)
            continue;
        if (!found)
            range->first = tensor->offset;
        range->end = tensor->offset + hometensors_size(tensor);
        found = true;
    }
    return found;
}

/* The number of the table that a tensor is, where that trains; HOME_NONE otherwise. */
static size_t trained_table(const home_model *model, size_t tensor) {
    const hometensor *info = &model->tensors.items[tensor];
    return info->kind == HOME_TENSOR_TABLE && model->training->trained[tensor] ? info->offset
                                                                               : HOME_NONE;
}

/* Of what trains. */
double homeoptimizer_gradient_norm(const home_model *model) {
    double sum = 0;
    trained_range range = {0};
    while (next_range(model, &range))
        sum += sum_of_squares(model, model->training->run.gradients + range.first,
                              range.end - range.first);
    for (size_t i = 0; i < model->tensors.count; i++) {
        const size_t table = trained_table(model, i);
        if (table == HOME_NONE)
            continue;
        const homerow_gradients *g = &model->training->embeddings[table].total;
        sum += sum_of_squares(model, g->values, g->count * model->tables[table].config->dim);
    }
    return sqrt(sum);
}

/* PyTorch's names, so that a checkpoint can go on there. AdamW keeps what Adam does: they differ
 * only in where the decay goes. */
const homeoptimizer_traits *homeoptimizer_traits_of(int32_t kind) {
    static const homeoptimizer_traits traits[HOME_OPTIMIZER_LAST + 1] = {
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

/* A step on the dense parameters from `first` on, and what it needs. */
typedef struct dense_step {
    const home_model *model;
    homeupdate update;
    size_t first;
} dense_step;

/* Values are independent of each other, so they are cut anywhere. */
static void step_range(void *context, size_t first, size_t end) {
    const dense_step *d = context;
    const homekernels *kernels = d->model->kernels;
    const hometraining *training = d->model->training;
    const size_t at = d->first + first;
    const float *g = training->run.gradients + at;
    float *value = d->model->parameters + at;
    float *state = training->state[0] + at;
    switch (d->model->settings.optimizer.kind) {
    case HOME_OPTIMIZER_SGD:
        kernels->sgd(end - first, &d->update, g, value, state);
        break;
    case HOME_OPTIMIZER_ADAGRAD:
        kernels->adagrad(end - first, &d->update, g, value, state);
        break;
    default:
        kernels->adam(end - first, &d->update, g, value, state, training->state[1] + at);
        break;
    }
}

/* One step on all dense parameters that train. AdamW takes its weight decay off the values, the
 * others add it to the gradient. */
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
    trained_range range = {0};
    while (next_range(model, &range)) {
        d.first = range.first;
        homeparallel_all_ranges(homemodel_parallel(model), range.end - range.first, GRAIN,
                                step_range, &d);
    }
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
    for (size_t i = 0; i < e->total.count; i++) {
        const size_t r = (size_t)e->total.rows[i];
        const float *g = e->total.values + i * dim;
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
    for (size_t i = 0; i < model->tensors.count; i++) {
        const size_t table = trained_table(model, i);
        if (table != HOME_NONE)
            step_table(model, &model->tables[table], &model->training->embeddings[table], factor);
    }
}
