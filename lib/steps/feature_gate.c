/* feature_gate: a unit's own view of its input.
 *
 *     y = x F                                   x, F, y [B, width], elementwise
 *     F = sum_j p_j 2 s_j             s_j = sigmoid(A_j B_j x) [B, width] the branches,
 *                                     p [B, L] their weights
 *     F = 2 sigmoid(sum_j p_j u_j)    u_j = A_j B_j x, where the mixture comes first
 *
 *     dx = dy F,   dF = dy x
 *     sigmoid first:  ds_j = 2 p_j dF,   dp_j = 2 dF · s_j
 *     mixture first:  da = dF F (1 - F / 2),   du_j = p_j da,   dp_j = da · u_j
 *
 * Inputs: x, the L branches and, where L > 1, p. With L = 1 the one branch has weight 1. */
#include "run.h"

/* With one branch the inputs are x and that; with more, their weights are one input more. */
static size_t branch_count(const homestep *step) {
    return step->in_count > 2 ? step->in_count - 2 : 1;
}

/* Some of a feature gate's columns: `width` of them from `first` on. */
typedef struct columns {
    size_t first;
    size_t width;
} columns;

/* y = the mixture of the branches times `times` (nothing: 1), for `rows` rows from `row` on. */
static void mix_branches(const homerun *run, const homestep *step, size_t row, size_t rows,
                         columns of, homerows times, float *y, size_t y_row) {
    const size_t branches = branch_count(step);
    homerows s[HOME_MIX_TERMS];
    homerows p[HOME_MIX_TERMS];
    homemix m = {.rows = rows,
                 .n = of.width,
                 .x = s,
                 .w = branches > 1 ? p : NULL,
                 .factor = step->feature_gate.mix_first ? 1 : 2,
                 .times = times,
                 .y = y,
                 .y_row = y_row};
    for (size_t j = 0; j < branches; j++) {
        s[m.terms] = homerun_rows_from(run, step->in[1 + j].view, row);
        s[m.terms].at += of.first;
        if (branches > 1) {
            p[m.terms] = homerun_rows_from(run, step->in[1 + branches].view, row);
            p[m.terms].at += j;
        }
        if (++m.terms == HOME_MIX_TERMS || j + 1 == branches) {
            run->kernels->mix(&m);
            m.terms = 0;
            m.accumulate = true;
        }
    }
}

/* y = 2 sigmoid(y), in place, for one row. */
static void double_sigmoid(const homekernels *kernels, size_t width, float *y) {
    kernels->activate(HOME_ACT_SIGMOID, 1, width, y, y);
    kernels->scale(width, 2, y, y);
}

static void gate_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    const columns all = {0, step->out.width};
    const homerows x = homerun_rows_from(run, step->in[0].view, first);
    float *y = homerun_row(run, step->out, first);
    const size_t y_row = homerun_stride(run, step->out);
    if (!step->feature_gate.mix_first) {
        mix_branches(run, step, first, end - first, all, x, y, y_row);
        return;
    }
    mix_branches(run, step, first, end - first, all, (homerows){0}, y, y_row);
    for (size_t r = 0; r < end - first; r++) {
        double_sigmoid(run->kernels, all.width, y + r * y_row);
        run->kernels->multiply(all.width, x.at + r * x.row, y + r * y_row, y + r * y_row);
    }
}

static void forward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, gate_rows);
}

#ifndef HOME_SERVE_ONLY
/* That backward takes at once: its two vectors of so many floats lie on the stack, 2 KiB, whatever
 * the width of a model. */
enum { COLUMNS = 256 };

/* slope = the derivative by the sum over branches, in place of dF: 2 dF, or da = dF F (1 - F / 2).
 * Returns the factor that is left for ds_j and dp_j. */
static float sum_slope(const homestep *step, size_t width, const float *factor, float *slope) {
    if (!step->feature_gate.mix_first)
        return 2;
    for (size_t i = 0; i < width; i++)
        slope[i] *= factor[i] * (1 - factor[i] / 2);
    return 1;
}

/* ds_j or du_j, and dp_j, which adds up from one range of columns to the next. */
static void branch_backward(const homerun *run, const homestep *step, size_t row, size_t j,
                            columns of, float scale, const float *slope) {
    const size_t branches = branch_count(step);
    const homeview branch = step->in[1 + j].view;
    float p = 1;
    if (branches > 1) {
        const homeview weights = step->in[1 + branches].view;
        const float *s = homerun_row(run, branch, row) + of.first;
        const float dp = scale * run->kernels->dot(of.width, slope, s);
        float *sum = homerun_gradient_row(run, weights, row) + j;
        *sum = of.first == 0 ? dp : *sum + dp;
        p = homerun_row(run, weights, row)[j];
    }
    run->kernels->scale(of.width, scale * p, slope,
                        homerun_gradient_row(run, branch, row) + of.first);
}

static void columns_backward(const homerun *run, const homestep *step, size_t row, columns of) {
    const homekernels *kernels = run->kernels;
    const float *x = homerun_row(run, step->in[0].view, row) + of.first;
    const float *dy = homerun_gradient_row(run, step->out, row) + of.first;
    float *dx = homerun_gradient_row(run, step->in[0].view, row) + of.first;
    float factor[COLUMNS];
    float slope[COLUMNS];
    mix_branches(run, step, row, 1, of, (homerows){0}, factor, of.width);
    if (step->feature_gate.mix_first)
        double_sigmoid(kernels, of.width, factor);
    kernels->multiply(of.width, dy, x, slope);
    if (step->in[0].accumulate)
        kernels->multiply_add(of.width, dy, factor, dx);
    else
        kernels->multiply(of.width, dy, factor, dx);
    const float scale = sum_slope(step, of.width, factor, slope);
    for (size_t j = 0; j < branch_count(step); j++)
        branch_backward(run, step, row, j, of, scale, slope);
}

static void ungate_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    const size_t width = step->out.width;
    for (size_t r = first; r < end; r++)
        for (size_t c = 0; c < width; c += COLUMNS)
            columns_backward(run, step, r, (columns){c, width - c < COLUMNS ? width - c : COLUMNS});
}

static void backward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, ungate_rows);
}
#endif

static bool is_sound(const homestep *step) {
    const size_t count = step->in_count;
    const size_t branches = branch_count(step);
    return (count == 2 || count > 3) &&
           homestep_have_width(step, 0, branches + 1, 1, step->out.width) &&
           homestep_have_width(step, branches + 1, count, 1, branches);
}

static void get_choices(const homestep *step, size_t choices[HOMESTEP_CHOICES]) {
    choices[2] = step->feature_gate.mix_first;
}

static bool set_choices(homestep *step, const size_t choices[HOMESTEP_CHOICES]) {
    step->feature_gate.mix_first = choices[2] == 1;
    return choices[0] == 0 && choices[1] == 0 && choices[2] <= 1;
}

const homestep_kind homestep_feature_gate = {.name = "feature_gate",
                                             .forward = forward,
                                             .is_sound = is_sound,
                                             .get_choices = get_choices,
                                             .set_choices = set_choices,
                                             HOMESTEP_TRAINING(.backward = backward)};
