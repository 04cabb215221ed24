/* norm: batch norm per column, then an activation.
 *
 *     y = act(γ x̂ + β)        x̂ = (x - mean) scale,  scale = 1 / sqrt(variance + ε)
 *                              x, y [B, width]
 *
 * in training with mean and variance of the batch, otherwise with the running ones. With factor = γ
 * scale and shift = β - mean factor this is act(factor x + shift), which is what serving reads.
 * Backward, with da = dy act':
 *
 *     dβ = sum over rows of da,   dγ = sum over rows of da x̂
 *     dx = γ scale (da - dβ / B - x̂ dγ / B)
 *
 * A frozen model has no such step: the linear one before it takes factor and shift in. */
#include "run.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>

/* Row vectors [width] that a training run needs besides, in the run's scratch. */
typedef struct vectors {
    double *mean, *squares;      /* forward: of the batch; squares = sum (x - mean)² */
    double *dbeta, *dgamma;      /* backward */
    float *factor, *shift;       /* of factor x + shift */
    float *before;               /* one row of it, before the activation */
    float *mean_da, *mean_slope; /* dβ / B and scale dγ / B */
} vectors;

enum { DOUBLES = 4, FLOATS = 5 };

static bool scratch_size(const homestep *step, size_t rows, size_t panel, size_t *floats) {
    (void)rows;
    (void)panel;
    const size_t each = DOUBLES * sizeof(double) / sizeof(float) + FLOATS;
    return homesize_multiply(step->out.width, each, floats);
}

static vectors find_vectors(const homerun *run, const homestep *step) {
    const size_t width = step->out.width;
    double *d = (double *)(void *)run->training->scratch;
    float *f = (float *)(void *)(d + DOUBLES * width);
    return (vectors){.mean = d,
                     .squares = d + width,
                     .dbeta = d + 2 * width,
                     .dgamma = d + 3 * width,
                     .factor = f,
                     .shift = f + width,
                     .before = f + 2 * width,
                     .mean_da = f + 3 * width,
                     .mean_slope = f + 4 * width};
}

/* -------------------------------------------------------------------------------------- forward */

/* Mean and variance of columns [first, end) over the batch, in double and in the order of the rows:
 *
 *     mean = sum x / B,  variance = sum (x - mean)² / B
 *
 * In two passes: sum x² - B mean² would lose all digits where the mean is large beside the
 * deviations. The running variance is the unbiased one, over B - 1, as PyTorch has it. */
static void batch_statistics(const homerun *run, const homestep *step, size_t first, size_t end) {
    const homerun_training *training = run->training;
    const homeview x = step->in[0].view;
    const vectors v = find_vectors(run, step);
    for (size_t i = first; i < end; i++)
        v.mean[i] = v.squares[i] = 0;
    for (size_t r = 0; r < run->rows; r++)
        run->kernels->add_values(end - first, homerun_row(run, x, r) + first, v.mean + first);
    for (size_t i = first; i < end; i++)
        v.mean[i] /= (double)run->rows;
    for (size_t r = 0; r < run->rows; r++)
        run->kernels->add_deviations(end - first, homerun_row(run, x, r) + first, v.mean + first,
                                     v.squares + first);
    for (size_t i = first; i < end; i++) {
        const size_t b = step->norm.batch + i;
        training->batch_mean[b] = (float)v.mean[i];
        training->batch_scale[b] =
            (float)(1 / sqrt(v.squares[i] / (double)run->rows + training->norm_epsilon));
        training->batch_variance[b] = (float)(v.squares[i] / ((double)run->rows - 1));
    }
}

/* Factor and shift by the batch's statistics. */
static void batch_factors(const homerun *run, const homestep *step) {
    const homerun_training *training = run->training;
    const float *gamma = training->parameters + step->norm.gamma;
    const float *beta = training->parameters + step->norm.beta;
    const vectors v = find_vectors(run, step);
    for (size_t i = 0; i < step->out.width; i++) {
        v.factor[i] = gamma[i] * training->batch_scale[step->norm.batch + i];
        v.shift[i] = beta[i] - training->batch_mean[step->norm.batch + i] * v.factor[i];
    }
}

static void norm_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    const size_t width = step->out.width;
    const float *factor =
        run->training ? find_vectors(run, step).factor : run->packed + step->packed;
    const float *shift = factor + width;
    for (size_t r = first; r < end; r++) {
        float *y = homerun_row(run, step->out, r);
        run->kernels->affine(width, homerun_row(run, step->in[0].view, r), factor, shift, y);
        run->kernels->activate(step->norm.activation, homerun_swish_beta(run), width, y, y);
    }
}

static void forward(const homerun *run, const homestep *step) {
    if (run->training) {
        homerun_by_columns(run, step, batch_statistics);
        batch_factors(run, step);
    }
    homerun_by_rows(run, step, norm_rows);
}

/* ------------------------------------------------------------------------------------- backward */

/* For columns [first, end): da, in place of dy, and dβ and dγ. */
static void parameter_gradients(const homerun *run, const homestep *step, size_t first,
                                size_t end) {
    const homerun_training *training = run->training;
    const homekernels *kernels = run->kernels;
    const size_t count = end - first;
    const vectors v = find_vectors(run, step);
    float *before = v.before + first;
    for (size_t i = first; i < end; i++)
        v.dbeta[i] = v.dgamma[i] = 0;
    for (size_t r = 0; r < run->rows; r++) {
        const float *x = homerun_row(run, step->in[0].view, r) + first;
        float *da = homerun_gradient_row(run, step->out, r) + first;
        kernels->affine(count, x, v.factor + first, v.shift + first, before);
        kernels->activate_gradient(step->norm.activation, homerun_swish_beta(run), count, before,
                                   da, da);
        kernels->add_norm_slopes(count, x, training->batch_mean + step->norm.batch + first,
                                 training->batch_scale + step->norm.batch + first, da,
                                 v.dbeta + first, v.dgamma + first);
    }
    for (size_t i = first; i < end; i++) {
        training->gradients[step->norm.gamma + i] = (float)v.dgamma[i];
        training->gradients[step->norm.beta + i] = (float)v.dbeta[i];
    }
}

/* The means of the input gradient's formula. */
static void gradient_means(const homerun *run, const homestep *step) {
    const vectors v = find_vectors(run, step);
    const double rows = (double)run->rows;
    for (size_t i = 0; i < step->out.width; i++) {
        const float scale = run->training->batch_scale[step->norm.batch + i];
        v.mean_da[i] = (float)(v.dbeta[i] / rows);
        v.mean_slope[i] = (float)((double)scale * v.dgamma[i] / rows);
    }
}

/* dx, which is written at once: nobody else reads the output of the products before a norm. */
static void input_gradient(const homerun *run, const homestep *step, size_t first, size_t end) {
    const vectors v = find_vectors(run, step);
    for (size_t r = first; r < end; r++)
        run->kernels->norm_gradient(step->out.width, homerun_row(run, step->in[0].view, r),
                                    run->training->batch_mean + step->norm.batch, v.factor,
                                    v.mean_da, v.mean_slope,
                                    homerun_gradient_row(run, step->out, r),
                                    homerun_gradient_row(run, step->in[0].view, r));
}

static void backward(const homerun *run, const homestep *step) {
    batch_factors(run, step); /* again: scratch does not outlive a forward */
    homerun_by_columns(run, step, parameter_gradients);
    gradient_means(run, step);
    homerun_by_rows(run, step, input_gradient);
}

/* -------------------------------------------------------------- running statistics, and packing */

static float moved(double momentum, float running, float value) {
    return (float)((1 - momentum) * (double)running + momentum * (double)value);
}

/* running = (1 - momentum) running + momentum value; the variance unbiased, as PyTorch has it. */
static void move_statistics(const homerun *run, const homestep *step) {
    const homerun_training *training = run->training;
    for (size_t i = 0; i < step->out.width; i++) {
        float *mean = &training->statistics[step->norm.mean + i];
        float *variance = &training->statistics[step->norm.variance + i];
        const size_t b = step->norm.batch + i;
        *mean = moved(training->norm_momentum, *mean, training->batch_mean[b]);
        *variance = moved(training->norm_momentum, *variance, training->batch_variance[b]);
    }
}

/* Factors, then shifts, and up to a whole cache line, for panels that follow begin at one. */
static bool packed_size(const homestep *step, size_t panel, size_t *floats) {
    enum { LINE = HOME_ALIGNMENT / sizeof(float) };
    (void)panel;
    if (!homesize_multiply(step->out.width, 2, floats) || *floats > SIZE_MAX - LINE)
        return false;
    *floats = homesize_divide_up(*floats, LINE) * LINE;
    return true;
}

/* factor = γ / sqrt(running variance + ε),  shift = β - running mean factor */
static void pack(const homestep_weights *weights, const homestep *step) {
    float *factors = weights->packed + step->packed;
    float *shifts = factors + step->out.width;
    for (size_t i = 0; i < step->out.width; i++) {
        const double variance = (double)weights->statistics[step->norm.variance + i];
        const double mean = (double)weights->statistics[step->norm.mean + i];
        const double gamma = (double)weights->parameters[step->norm.gamma + i];
        const double factor = gamma / sqrt(variance + weights->norm_epsilon);
        factors[i] = (float)factor;
        shifts[i] = (float)((double)weights->parameters[step->norm.beta + i] - mean * factor);
    }
}

static bool reads(const homestep *step, size_t offset, size_t count) {
    return homestep_overlap(step->norm.gamma, step->out.width, offset, count) ||
           homestep_overlap(step->norm.beta, step->out.width, offset, count);
}
#endif

const homestep_kind homestep_norm = {
    .name = "norm",
    HOMESTEP_TRAINING(.forward = forward, .packed_size = packed_size, .backward = backward,
                      .pack = pack, .reads = reads, .reads_statistics = true,
                      .scratch_size = scratch_size, .move_statistics = move_statistics)};
