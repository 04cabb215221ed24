/* The steps of a plan, backward. d... is the derivative of the total loss. Each step finds the gradient of
 * its output complete, and writes its inputs' gradients or, where a later step has written already, adds to
 * them. */
#include "model.h"

#ifndef HOME_SERVE_ONLY
#include <string.h>

enum { FEATURE_COLUMNS = 256 }; /* of a feature gate that backward takes at once */

/* db = sum over rows of dy, in the order of the rows, for columns [first, last) of the output. The biases of the
 * segments lie where their columns do. */
static void bias_gradients(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_kernels *kernels = run->model->kernels;
    size_t column = 0;
    for (size_t s = 0; s < step->segment_count; s++) {
        const home_segment *segment = &step->segments[s];
        const size_t begin = column > first ? column : first;
        const size_t end = column + segment->rows < last ? column + segment->rows : last;
        if (segment->bias != HOME_NONE && begin < end) {
            float *db = run->training->gradients + segment->bias + (begin - column);
            memset(db, 0, (end - begin) * sizeof *db);
            for (size_t r = 0; r < run->rows; r++)
                kernels->scale_add(end - begin, 1, home_gradient_row(run, step->out, r) + begin, db);
        }
        column += segment->rows;
    }
}

/* Packs columns [first, last) of x, whole panels, as the right operand of dyᵀ x. */
static void pack_input(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_view x = step->in[0].view;
    home_pack_rows(run->model->kernels, run->rows, last - first, 0, run->rows,
                   home_view_row(run, x, 0) + first, home_view_stride(run, x),
                   run->training->panels + first * (run->rows + 1));
}

/* dW = dyᵀ x:  dy [B, out], x [B, in], dW [out, in]; columns [first, last) of a segment's dW, with x packed. */
static home_gemm weight_product(const home_run *run, const home_step *step, size_t segment, size_t row,
                                size_t first, size_t last) {
    const home_segment *of = &step->segments[segment];
    home_view dy = step->out;
    dy.column += row;
    return (home_gemm){
        .m = of->rows,
        .n = last - first,
        .k = run->rows,
        .a = home_gradient_row(run, dy, 0),
        .a_row = 1,
        .a_step = home_view_stride(run, dy),
        .panels = run->training->panels + first * (run->rows + 1),
        .c = run->training->gradients + of->weight + first,
        .c_row = of->ld,
    };
}

/* Columns [first, last) of dW, whole panels, by one thread, whose cache keeps what it packs. */
static void weight_gradient_columns(const home_run *run, const home_step *step, size_t first, size_t last) {
    pack_input(run, step, first, last);
    size_t row = 0;
    for (size_t s = 0; s < step->segment_count; s++) {
        const home_gemm product = weight_product(run, step, s, row, first, last);
        run->model->kernels->gemm(&product);
        row += step->segments[s].rows;
    }
}

static void weight_gradients(const home_run *run, const home_step *step) {
    const size_t width = step->in[0].view.width;
    if (home_run_panels(run, step, width, weight_gradient_columns))
        return;
    pack_input(run, step, 0, width);
    size_t row = 0;
    for (size_t s = 0; s < step->segment_count; s++) {
        const home_gemm product = weight_product(run, step, s, row, 0, width);
        home_run_product(run, &product);
        row += step->segments[s].rows;
    }
}

/* Packs columns [first, last) of W, whole panels, as the right operand of dy W. */
static void pack_weights(const home_run *run, const home_step *step, size_t first, size_t last) {
    size_t row = 0;
    for (size_t s = 0; s < step->segment_count; s++) {
        const home_segment *segment = &step->segments[s];
        home_pack_rows(run->model->kernels, step->out.width, last - first, row, segment->rows,
                       run->model->parameters + segment->weight + first, segment->ld,
                       run->training->panels + first * (step->out.width + 1));
        row += segment->rows;
    }
}

/* dx = dy W:  dy [B, out], W [out, in], dx [B, in]; columns [first, last), with W packed. */
static home_gemm input_product(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_view x = step->in[0].view;
    return (home_gemm){
        .m = run->rows,
        .n = last - first,
        .k = step->out.width,
        .a = home_gradient_row(run, step->out, 0),
        .a_row = home_view_stride(run, step->out),
        .a_step = 1,
        .panels = run->training->panels + first * (step->out.width + 1),
        .c = home_gradient_row(run, x, 0) + first,
        .c_row = home_view_stride(run, x),
        .accumulate = step->in[0].accumulate,
    };
}

static void input_gradient_columns(const home_run *run, const home_step *step, size_t first, size_t last) {
    pack_weights(run, step, first, last);
    const home_gemm product = input_product(run, step, first, last);
    run->model->kernels->gemm(&product);
}

static void input_gradient(const home_run *run, const home_step *step) {
    const size_t width = step->in[0].view.width;
    if (home_run_panels(run, step, width, input_gradient_columns))
        return;
    pack_weights(run, step, 0, width);
    const home_gemm product = input_product(run, step, 0, width);
    home_run_product(run, &product);
}

/* dy act'(y), in place of dy. */
static void unactivate(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_model *model = run->model;
    for (size_t r = first; r < last; r++) {
        float *dy = home_gradient_row(run, step->out, r);
        model->kernels->activate_gradient(step->activation, (float)model->settings.config.swish_beta,
                                          step->out.width, home_view_row(run, step->out, r), dy, dy);
    }
}

static void backward_linear(const home_run *run, const home_step *step) {
    if (step->activation != HOME_ACT_NONE)
        home_run_rows(run, step, unactivate);
    home_run_columns(run, step, bias_gradients);
    weight_gradients(run, step);
    input_gradient(run, step);
}

/* dx_i = dy for each of the summed inputs. `dy` [width] is one row. */
static void spread(const home_run *run, const home_step *step, size_t row, const float *dy) {
    const home_kernels *kernels = run->model->kernels;
    for (size_t i = 0; i < step->in_count; i++) {
        float *dx = home_gradient_row(run, step->in[i].view, row);
        if (step->in[i].accumulate)
            kernels->scale_add(step->out.width, 1, dy, dx);
        else
            kernels->scale(step->out.width, 1, dy, dx);
    }
}

/* y = act(sum x_i):  dx_i = dy act'. Swish, which the plan gives one input only, wants it; the others want y. */
static void backward_activate(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_model *model = run->model;
    const home_kernels *kernels = model->kernels;
    for (size_t r = first; r < last; r++) {
        const float *at = home_view_row(run, step->out, r);
        if (step->activation == HOME_ACT_SWISH)
            at = home_view_row(run, step->in[0].view, r);
        float *dy = home_gradient_row(run, step->out, r);
        kernels->activate_gradient(step->activation, (float)model->settings.config.swish_beta,
                                   step->out.width, at, dy, dy);
        spread(run, step, r, dy);
    }
}

/* p = softmax(x):  dx = p (dp - sum p dp).   p = sigmoid(x):  dx = dp p (1 - p) */
static void backward_softmax(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_kernels *kernels = run->model->kernels;
    for (size_t r = first; r < last; r++) {
        const float *p = home_view_row(run, step->out, r);
        float *dp = home_gradient_row(run, step->out, r);
        if (step->sigmoid) {
            kernels->activate_gradient(HOME_ACT_SIGMOID, 1, step->out.width, p, dp, dp);
        } else {
            const float mean = kernels->dot(step->out.width, p, dp);
            for (size_t i = 0; i < step->out.width; i++)
                dp[i] = p[i] * (dp[i] - mean);
        }
        spread(run, step, r, dp);
    }
}

/* y = x F, with F = sum_j p_j 2 s_j  or  F = 2 sigmoid(sum_j p_j u_j):
 *     dx = dy F,   dF = dy x
 *     sigmoid first:  ds_j = 2 p_j dF,   dp_j = 2 sum dF s_j
 *     mixture first:  da = dF F (1 - F / 2),   du_j = p_j da,   dp_j = sum da u_j */
static void backward_feature_columns(const home_run *run, const home_step *step, size_t row, size_t column,
                                     size_t width) {
    const home_kernels *kernels = run->model->kernels;
    const size_t branches = home_feature_branches(step);
    const float *x = home_view_row(run, step->in[0].view, row) + column;
    const float *dy = home_gradient_row(run, step->out, row) + column;
    float *dx = home_gradient_row(run, step->in[0].view, row) + column;
    float factor[FEATURE_COLUMNS];
    float slope[FEATURE_COLUMNS];
    home_feature_factor(run, step, row, row + 1, column, width, NULL, factor, width);
    kernels->multiply(width, dy, x, slope);
    if (step->in[0].accumulate)
        kernels->multiply_add(width, dy, factor, dx);
    else
        kernels->multiply(width, dy, factor, dx);
    for (size_t i = 0; i < width && step->mix_first; i++)
        slope[i] *= factor[i] * (1 - factor[i] / 2);
    const float most = step->mix_first ? 1 : 2;
    for (size_t j = 0; j < branches; j++) {
        const home_view branch = step->in[1 + j].view;
        float p = 1;
        if (branches > 1) {
            const home_view weights = step->in[1 + branches].view;
            const float dp = most * kernels->dot(width, slope, home_view_row(run, branch, row) + column);
            float *sum = home_gradient_row(run, weights, row) + j;
            *sum = column == 0 ? dp : *sum + dp;
            p = home_view_row(run, weights, row)[j];
        }
        kernels->scale(width, most * p, slope, home_gradient_row(run, branch, row) + column);
    }
}

static void backward_feature_gate(const home_run *run, const home_step *step, size_t first, size_t last) {
    const size_t width = step->out.width;
    for (size_t r = first; r < last; r++)
        for (size_t c = 0; c < width; c += FEATURE_COLUMNS)
            backward_feature_columns(run, step, r, c,
                                     width - c < FEATURE_COLUMNS ? width - c : FEATURE_COLUMNS);
}

/* The weights' gradient is the sum over the rows. */
static void backward_constant(const home_run *run, const home_step *step, size_t first, size_t last) {
    if (step->weights == HOME_NONE)
        return;
    float *sum = run->training->gradients + step->weights + first;
    memset(sum, 0, (last - first) * sizeof *sum);
    for (size_t r = 0; r < run->rows; r++)
        run->model->kernels->scale_add(last - first, 1, home_gradient_row(run, step->out, r) + first, sum);
}

/* z = sum_k w_k h_k:  dh_k = w_k dz,   dw_k = dz · h_k, which is written at once: nothing else reads a gate's weights. */
static void backward_mix(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_kernels *kernels = run->model->kernels;
    const size_t width = step->out.width;
    for (size_t r = first; r < last; r++) {
        const float *dz = home_gradient_row(run, step->out, r);
        for (size_t i = 0; i < step->in_count; i += 2) {
            const home_source *h = &step->in[i];
            const home_source *w = &step->in[i + 1];
            const float weight = *home_view_row(run, w->view, r);
            float *dh = home_gradient_row(run, h->view, r);
            if (h->accumulate)
                kernels->scale_add(width, weight, dz, dh);
            else
                kernels->scale(width, weight, dz, dh);
            *home_gradient_row(run, w->view, r) = kernels->dot(width, dz, home_view_row(run, h->view, r));
        }
    }
}

/* For columns [first, last): the gradient before the activation, in place of dy; and, with x̂ = (x - mean) scale,
 *     dβ = sum da,   dγ = sum da x̂ */
static void norm_parameter_gradients(const home_run *run, const home_step *step, size_t first, size_t last) {
    const home_model *model = run->model;
    const home_training *training = run->training;
    const size_t width = step->out.width;
    const home_kernels *kernels = model->kernels;
    const size_t count = last - first;
    const float *factor = training->row_scratch + first; /* at = factor x + shift */
    const float *shift = factor + width;
    float *at = training->row_scratch + 2 * width + first;
    double *dbeta = training->column_sums;
    double *dgamma = dbeta + width;
    for (size_t i = first; i < last; i++)
        dbeta[i] = dgamma[i] = 0;
    for (size_t r = 0; r < run->rows; r++) {
        const float *x = home_view_row(run, step->in[0].view, r) + first;
        float *da = home_gradient_row(run, step->out, r) + first;
        kernels->affine(count, x, factor, shift, at);
        kernels->activate_gradient(step->activation, (float)model->settings.config.swish_beta, count, at, da,
                                   da);
        kernels->add_norm_slopes(count, x, training->batch_mean + step->batch + first,
                                 training->batch_scale + step->batch + first, da, dbeta + first,
                                 dgamma + first);
    }
    for (size_t i = first; i < last; i++) {
        training->gradients[step->gamma + i] = (float)dgamma[i];
        training->gradients[step->beta + i] = (float)dbeta[i];
    }
}

/* The row vectors of the input gradient below: γ scale, dβ / B and scale dγ / B, into the scratch rows. */
static void norm_gradient_factors(const home_run *run, const home_step *step) {
    const home_training *training = run->training;
    const size_t width = step->out.width;
    const double rows = (double)run->rows;
    float *factor = training->row_scratch;
    float *shift = factor + width;
    float *tilt = shift + width;
    for (size_t i = 0; i < width; i++) {
        const float scale = training->batch_scale[step->batch + i];
        factor[i] = run->model->parameters[step->gamma + i] * scale;
        shift[i] = (float)(training->column_sums[i] / rows);
        tilt[i] = (float)((double)scale * training->column_sums[width + i] / rows);
    }
}

/* dx = γ scale (da - dβ / B - x̂ dγ / B). Nobody else reads the output of the products before a norm. */
static void norm_input_gradient(const home_run *run, const home_step *step, size_t first, size_t last) {
    const size_t width = step->out.width;
    const float *factor = run->training->row_scratch;
    const float *shift = factor + width;
    const float *tilt = shift + width;
    for (size_t r = first; r < last; r++)
        run->model->kernels->norm_gradient(
            width, home_view_row(run, step->in[0].view, r), run->training->batch_mean + step->batch, factor,
            shift, tilt, home_gradient_row(run, step->out, r), home_gradient_row(run, step->in[0].view, r));
}

static void backward_norm(const home_run *run, const home_step *step) {
    home_norm_factors(run, step);
    home_run_columns(run, step, norm_parameter_gradients);
    norm_gradient_factors(run, step);
    home_run_rows(run, step, norm_input_gradient);
}

static void zero_gradients(const home_run *run) {
    const home_plan *plan = &run->model->plan;
    for (size_t b = 0; b < plan->buffer_count; b++) {
        const home_buffer *buffer = &plan->buffers[b];
        float *gradient = run->gradients + buffer->gradient_start * run->row_capacity;
        for (size_t i = 0; i < buffer->stride * run->rows && buffer->zero_gradient; i++)
            gradient[i] = 0;
    }
}

void home_run_backward(const home_run *run) {
    const home_plan *plan = &run->model->plan;
    zero_gradients(run);
    for (size_t s = plan->step_count; s-- > 0;) {
        const home_step *step = &plan->steps[s];
        switch (step->kind) {
        case HOME_STEP_LINEAR:
            backward_linear(run, step);
            break;
        case HOME_STEP_ACTIVATE:
            home_run_rows(run, step, backward_activate);
            break;
        case HOME_STEP_NORM:
            backward_norm(run, step);
            break;
        case HOME_STEP_SOFTMAX:
            home_run_rows(run, step, backward_softmax);
            break;
        case HOME_STEP_FEATURE_GATE:
            home_run_rows(run, step, backward_feature_gate);
            break;
        case HOME_STEP_CONSTANT:
            home_run_columns(run, step, backward_constant);
            break;
        case HOME_STEP_MIX:
            home_run_rows(run, step, backward_mix);
            break;
        }
    }
}

#endif
