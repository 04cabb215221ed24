/* The steps of a plan, forward. Below, B is the run's rows. */
#include "model.h"

#include <math.h>
#include <string.h>

/* y = act(x Wᵀ + b):  x [B, in], W [out, in], y [B, out] */
static void forward_linear(const home_run *run, const home_step *step) {
    const home_model *model = run->model;
    const home_view x = step->in[0].view;
    const home_gemm product = {
        .m = run->rows,
        .n = step->out.width,
        .k = x.width,
        .a = home_view_row(run, x, 0),
        .a_row = home_view_stride(run, x),
        .a_step = 1,
        .panels = model->panels + step->packed,
        .c = home_view_row(run, step->out, 0),
        .c_row = home_view_stride(run, step->out),
        .activation = step->activation,
        .swish_beta = (float)model->settings.config.swish_beta,
    };
    home_run_product(run, &product);
}

/* y = x_0 + x_1 + ...:  all [B, width] */
static void sum_inputs(const home_run *run, const home_step *step, size_t row, float *y) {
    const home_kernels *kernels = run->model->kernels;
    kernels->scale(step->out.width, 1, home_view_row(run, step->in[0].view, row), y);
    for (size_t i = 1; i < step->in_count; i++)
        kernels->scale_add(step->out.width, 1, home_view_row(run, step->in[i].view, row), y);
}

static void forward_activate(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_model *model = run->model;
    for (size_t r = first; r < last; r++) {
        float *y = home_view_row(run, step->out, r);
        sum_inputs(run, step, r, y);
        model->kernels->activate(step->activation, (float)model->settings.config.swish_beta, step->out.width,
                                 y, y);
    }
}

/* sigmoid of a single column: rows lie apart, so some are put side by side for the kernel. */
static void sigmoid_column(const home_run *run, home_view y, size_t first, size_t last) {
    enum { ROWS = 64 };
    float column[ROWS];
    for (; first < last; first += ROWS) {
        const size_t rows = last - first < ROWS ? last - first : ROWS;
        for (size_t r = 0; r < rows; r++)
            column[r] = *home_view_row(run, y, first + r);
        run->model->kernels->activate(HOME_ACT_SIGMOID, 1, rows, column, column);
        for (size_t r = 0; r < rows; r++)
            *home_view_row(run, y, first + r) = column[r];
    }
}

/* softmax over the experts a node sees, or, over one own expert, sigmoid:  y [B, experts] */
static void forward_softmax(const home_run *run, const home_step *step, size_t first, size_t last) {
    home_view x = step->in[0].view;
    if (step->sigmoid || step->in_count > 1) {
        x = step->out;
        for (size_t r = first; r < last; r++)
            sum_inputs(run, step, r, home_view_row(run, x, r));
    }
    if (step->sigmoid)
        sigmoid_column(run, step->out, first, last);
    else
        run->model->kernels->softmax(last - first, step->out.width, home_view_row(run, x, first),
                                     home_view_stride(run, x), home_view_row(run, step->out, first),
                                     home_view_stride(run, step->out));
}

static home_rows rows_of(const home_run *run, home_view view, size_t row) {
    return (home_rows){home_view_row(run, view, row), home_view_stride(run, view)};
}

/* Columns [column, column + width) of y = x * F(x), or of F(x) alone where x is NULL, for rows [first, last):
 * F(x) = sum_j p_j 2 s_j with s_j = sigmoid(A_j B_j x), or 2 sigmoid(sum_j p_j A_j B_j x). */
void home_feature_factor(const home_run *run, const home_step *step, size_t first, size_t last, size_t column,
                         size_t width, const home_rows *x, float *y, size_t y_row) {
    const home_kernels *kernels = run->model->kernels;
    const size_t branches = home_feature_branches(step);
    home_rows s[HOME_MIX_TERMS];
    home_rows p[HOME_MIX_TERMS];
    home_mix m = {.rows = last - first,
                  .n = width,
                  .x = s,
                  .w = branches > 1 ? p : NULL,
                  .factor = step->mix_first ? 1 : 2,
                  .y = y,
                  .y_row = y_row};
    if (x && !step->mix_first)
        m.times = *x;
    for (size_t j = 0; j < branches; j++) {
        s[m.terms] = rows_of(run, step->in[1 + j].view, first);
        s[m.terms].at += column;
        if (branches > 1) {
            p[m.terms] = rows_of(run, step->in[1 + branches].view, first);
            p[m.terms].at += j;
        }
        if (++m.terms == HOME_MIX_TERMS || j + 1 == branches) {
            kernels->mix(&m);
            m.terms = 0;
            m.accumulate = true;
        }
    }
    for (size_t r = 0; r < last - first && step->mix_first; r++, y += y_row) {
        kernels->activate(HOME_ACT_SIGMOID, 1, width, y, y);
        kernels->scale(width, 2, y, y);
        if (x)
            kernels->multiply(width, x->at + r * x->row, y, y);
    }
}

/* y = x * F(x):  [B, width] */
static void forward_feature_gate(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_rows x = rows_of(run, step->in[0].view, first);
    home_feature_factor(run, step, first, last, 0, step->out.width, &x, home_view_row(run, step->out, first),
                        home_view_stride(run, step->out));
}

/* y = the same weights in every row:  y [B, experts] */
static void forward_constant(const home_run *run, const home_step *step, size_t first, size_t last) {
    const float *weights = run->model->panels + step->packed;
    for (size_t r = first; r < last; r++)
        memcpy(home_view_row(run, step->out, r), weights, step->out.width * sizeof *weights);
}

/* z = sum_k w_k h_k:  h_k [B, D], w_k [B, 1] */
static void forward_mix(const home_run *run, const home_step *step, size_t first, size_t last) {
    home_rows h[HOME_MIX_TERMS];
    home_rows w[HOME_MIX_TERMS];
    home_mix m = {.rows = last - first,
                  .n = step->out.width,
                  .x = h,
                  .w = w,
                  .factor = 1,
                  .y = home_view_row(run, step->out, first),
                  .y_row = home_view_stride(run, step->out)};
    for (size_t k = 0; k < step->in_count; k += 2) {
        h[m.terms] = rows_of(run, step->in[k].view, first);
        w[m.terms] = rows_of(run, step->in[k + 1].view, first);
        if (++m.terms == HOME_MIX_TERMS || k + 2 == step->in_count) {
            run->model->kernels->mix(&m);
            m.terms = 0;
            m.accumulate = true;
        }
    }
}

#ifndef HOME_SERVE_ONLY
/* Mean and variance of columns [first, last) over the batch, in double and in the order of the rows:
 * mean = sum x / B,  variance = sum (x - mean)² / B */
static void batch_statistics(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_kernels *kernels = run->model->kernels;
    home_training *training = run->training;
    const home_view x = step->in[0].view;
    double *mean = training->column_sums;
    double *squares = training->column_sums + x.width;
    for (size_t i = first; i < last; i++)
        mean[i] = squares[i] = 0;
    for (size_t r = 0; r < run->rows; r++)
        kernels->add_values(last - first, home_view_row(run, x, r) + first, mean + first);
    for (size_t i = first; i < last; i++)
        mean[i] /= (double)run->rows;
    for (size_t r = 0; r < run->rows; r++)
        kernels->add_deviations(last - first, home_view_row(run, x, r) + first, mean + first,
                                squares + first);
    const double epsilon = run->model->settings.config.norm_epsilon;
    for (size_t i = first; i < last; i++) {
        training->batch_mean[step->batch + i] = (float)mean[i];
        training->batch_scale[step->batch + i] = (float)(1 / sqrt(squares[i] / (double)run->rows + epsilon));
        training->batch_variance[step->batch + i] = (float)(squares[i] / ((double)run->rows - 1));
    }
}

/* factor = γ scale and shift = β - mean factor, so that batch norm is factor x + shift; into the scratch row. */
void home_norm_factors(const home_run *run, const home_step *step) {
    const home_training *training = run->training;
    const float *gamma = run->model->parameters + step->gamma;
    const float *beta = run->model->parameters + step->beta;
    float *factor = training->row_scratch;
    float *shift = factor + step->out.width;
    for (size_t i = 0; i < step->out.width; i++) {
        factor[i] = gamma[i] * training->batch_scale[step->batch + i];
        shift[i] = beta[i] - training->batch_mean[step->batch + i] * factor[i];
    }
}

/* y = act(factor x + shift), with the batch's factors in training and those of the running values, which the model
 * keeps, in serving:  x, y [B, width] */
static void apply_norm(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_model *model = run->model;
    const home_kernels *kernels = model->kernels;
    const size_t width = step->out.width;
    const float *factor = run->training ? run->training->row_scratch : model->norm_factor + step->batch;
    const float *shift = run->training ? factor + width : model->norm_shift + step->batch;
    for (size_t r = first; r < last; r++) {
        float *y = home_view_row(run, step->out, r);
        kernels->affine(width, home_view_row(run, step->in[0].view, r), factor, shift, y);
        kernels->activate(step->activation, (float)model->settings.config.swish_beta, width, y, y);
    }
}

/* y = act(γ (x - mean) / sqrt(variance + ε) + β) */
static void forward_norm(const home_run *run, const home_step *step) {
    if (run->training) {
        home_run_columns(run, step, batch_statistics);
        home_norm_factors(run, step);
    }
    home_run_rows(run, step, apply_norm);
}

static float moved(double momentum, float running, float value) {
    return (float)((1 - momentum) * (double)running + momentum * (double)value);
}

/* running = (1 - momentum) running + momentum value; the variance unbiased, as PyTorch has it. False, and nothing moved,
 * where a mean or variance of the batch is not finite. */
bool home_move_running_values(const home_run *run) {
    const home_model *model = run->model;
    const home_training *training = run->training;
    const double momentum = model->settings.config.norm_momentum;
    for (size_t i = 0; i < model->plan.batch_width; i++)
        if (!isfinite(training->batch_mean[i]) || !isfinite(training->batch_variance[i]))
            return false;
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const home_step *step = &model->plan.steps[s];
        for (size_t i = 0; i < step->out.width && step->kind == HOME_STEP_NORM; i++) {
            float *mean = &model->statistics[step->mean + i];
            float *variance = &model->statistics[step->variance + i];
            *mean = moved(momentum, *mean, training->batch_mean[step->batch + i]);
            *variance = moved(momentum, *variance, training->batch_variance[step->batch + i]);
        }
    }
    return true;
}

#else
static void forward_norm(const home_run *run, const home_step *step) {
    (void)run; /* an image has no such step */
    (void)step;
}
#endif

void home_run_forward(const home_run *run) {
    const home_plan *plan = &run->model->plan;
    for (size_t s = 0; s < plan->step_count; s++) {
        const home_step *step = &plan->steps[s];
        switch (step->kind) {
        case HOME_STEP_LINEAR:
            forward_linear(run, step);
            break;
        case HOME_STEP_ACTIVATE:
            home_run_rows(run, step, forward_activate);
            break;
        case HOME_STEP_NORM:
            forward_norm(run, step);
            break;
        case HOME_STEP_SOFTMAX:
            home_run_rows(run, step, forward_softmax);
            break;
        case HOME_STEP_FEATURE_GATE:
            home_run_rows(run, step, forward_feature_gate);
            break;
        case HOME_STEP_CONSTANT:
            home_run_rows(run, step, forward_constant);
            break;
        case HOME_STEP_MIX:
            home_run_rows(run, step, forward_mix);
            break;
        }
        if (run->observer)
            run->observer->after(run->observer->context, run, s);
    }
}
