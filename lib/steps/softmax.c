/* softmax: the weights that a gate gives.
 *
 *     p  = softmax(x)        x = x_0 + x_1 + ..,  x_i, p [B, experts]
 *     dx = p (dp - sum_j p_j dp_j)
 *
 * over the experts that a node sees; or, over one own expert,
 *
 *     p  = sigmoid(x)        [B, 1]
 *     dx = dp p (1 - p) */
#include "sum.h"

/* Rows of a single column lie apart, so some are put side by side for the kernel. */
static void sigmoid_column(const homerun *run, homeview y, size_t first, size_t end) {
    enum { ROWS = 64 };
    float column[ROWS];
    for (; first < end; first += ROWS) {
        const size_t rows = end - first < ROWS ? end - first : ROWS;
        for (size_t r = 0; r < rows; r++)
            column[r] = *homerun_row(run, y, first + r);
        run->kernels->activate(HOME_ACT_SIGMOID, 1, rows, column, column);
        for (size_t r = 0; r < rows; r++)
            *homerun_row(run, y, first + r) = column[r];
    }
}

/* The sum of several inputs goes to the output first, and from there to itself; a single input is
 * read where it lies. */
static void weigh_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    homeview x = step->in[0].view;
    if (step->softmax.sigmoid || step->in_count > 1) {
        x = step->out;
        for (size_t r = first; r < end; r++)
            homesum_row(run, step, r, homerun_row(run, x, r));
    }
    if (step->softmax.sigmoid)
        sigmoid_column(run, step->out, first, end);
    else
        run->kernels->softmax(end - first, step->out.width, homerun_row(run, x, first),
                              homerun_stride(run, x), homerun_row(run, step->out, first),
                              homerun_stride(run, step->out));
}

static void forward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, weigh_rows);
}

#ifndef HOME_SERVE_ONLY
/* dx = p (dp - sum_j p_j dp_j), in place of dp. */
static void softmax_row_backward(const homekernels *kernels, size_t width, const float *p,
                                 float *dp) {
    const float mean = kernels->dot(width, p, dp);
    for (size_t i = 0; i < width; i++)
        dp[i] = p[i] * (dp[i] - mean);
}

static void unweigh_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    for (size_t r = first; r < end; r++) {
        const float *p = homerun_row(run, step->out, r);
        float *dp = homerun_gradient_row(run, step->out, r);
        if (step->softmax.sigmoid)
            run->kernels->activate_gradient(HOME_ACT_SIGMOID, 1, step->out.width, p, dp, dp);
        else
            softmax_row_backward(run->kernels, step->out.width, p, dp);
        homesum_row_backward(run, step, r, dp);
    }
}

static void backward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, unweigh_rows);
}
#endif

static bool is_sound(const homestep *step) {
    return step->in_count >= 1 &&
           homestep_have_width(step, 0, step->in_count, 1, step->out.width) &&
           (!step->softmax.sigmoid || step->out.width == 1);
}

static void get_choices(const homestep *step, size_t choices[HOMESTEP_CHOICES]) {
    choices[1] = step->softmax.sigmoid;
}

static bool set_choices(homestep *step, const size_t choices[HOMESTEP_CHOICES]) {
    step->softmax.sigmoid = choices[1] == 1;
    return choices[0] == 0 && choices[1] <= 1 && choices[2] == 0;
}

const homestep_kind homestep_softmax = {.name = "softmax",
                                        .forward = forward,
                                        .is_sound = is_sound,
                                        .get_choices = get_choices,
                                        .set_choices = set_choices,
                                        HOMESTEP_TRAINING(.backward = backward)};
