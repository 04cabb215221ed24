/* One step along the gradients. */
#include "model.h"

#include <math.h>

/* The gradients' sum of squares in blocks of floats summed in double. */
static double sum_of_squares(const home_kernels *kernels, const float *x, size_t count) {
    enum { BLOCK = 1024 };
    double sum = 0;
    for (size_t i = 0; i < count; i += BLOCK) {
        const size_t n = count - i < BLOCK ? count - i : BLOCK;
        sum += (double)kernels->dot(n, x + i, x + i);
    }
    return sum;
}

double home_gradient_norm(const home_model *model) {
    double sum = sum_of_squares(model->kernels, model->training->gradients, model->tensors.parameter_count);
    for (size_t i = 0; i < model->settings.config.table_count; i++) {
        const home_table *table = &model->tables[i];
        sum += sum_of_squares(model->kernels, table->gradient, table->touched_count * table->config->dim);
    }
    return sqrt(sum);
}

/* Adam: m = β1 m + (1 - β1) g,  v = β2 v + (1 - β2) g²,
 *       p -= lr m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + ε) */
static void step_adam(home_model *model, float gradient_factor) {
    home_training *training = model->training;
    const home_optimizer_config *o = &model->settings.optimizer;
    const double t = (double)training->step_count;
    const home_adam step = {
        .beta1 = (float)o->beta1,
        .beta2 = (float)o->beta2,
        .rate = (float)(training->learning_rate / (1 - pow(o->beta1, t))),
        .root_factor = (float)(1 / sqrt(1 - pow(o->beta2, t))),
        .epsilon = (float)o->epsilon,
        .gradient_factor = gradient_factor,
    };
    model->kernels->adam(model->tensors.parameter_count, &step, training->gradients, model->parameters,
                         training->moment1, training->moment2);
}

/* Row-wise Adagrad on the touched rows: G_r += mean(g_r²),  row_r -= lr g_r / (sqrt(G_r) + ε) */
static void step_rowwise_adagrad(const home_model *model, home_table *table, float gradient_factor) {
    const home_kernels *kernels = model->kernels;
    const size_t dim = table->config->dim;
    for (size_t i = 0; i < table->touched_count; i++) {
        const size_t row = (size_t)table->touched[i];
        const float *g = table->gradient + i * dim;
        const float square = gradient_factor * gradient_factor * kernels->dot(dim, g, g);
        table->sums[row] += square / (float)dim;
        const double root = sqrt((double)table->sums[row]) + model->settings.optimizer.embedding_epsilon;
        const double rate = model->training->embedding_learning_rate * (double)gradient_factor / root;
        kernels->scale_add(dim, (float)-rate, g, table->weights + row * dim);
    }
}

void home_optimizer_step(home_model *model, double norm) {
    const double limit = model->settings.optimizer.clip_norm;
    const float factor = limit > 0 && norm > limit ? (float)(limit / norm) : 1;
    model->training->step_count++;
    step_adam(model, factor);
    for (size_t i = 0; i < model->settings.config.table_count; i++)
        step_rowwise_adagrad(model, &model->tables[i], factor);
}
