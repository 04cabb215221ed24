/* activate: an activation apart from the product, of one input or of the sum of several.
 *
 *     y    = act(x_0 + x_1 + ..)        x_i, y [B, width]
 *     dx_i = dy act'
 *
 * Swish's derivative needs the value before it, so in training Swish stands in a step of its own
 * behind the product. A gate whose first layer reads several vectors sums up their parts here. */
#include "sum.h"

static void activate_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    for (size_t r = first; r < end; r++) {
        float *y = homerun_row(run, step->out, r);
        homesum_row(run, step, r, y);
        run->kernels->activate(step->activate.activation, homerun_swish_beta(run), step->out.width,
                               y, y);
    }
}

static void forward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, activate_rows);
}

#ifndef HOME_SERVE_ONLY
/* Swish, which the plan gives one input only, wants the value before it; the others want y. dy is
 * overwritten by the gradient of the sum, which each input then gets. */
static void unactivate_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    const homeactivation activation = step->activate.activation;
    for (size_t r = first; r < end; r++) {
        const float *at = homerun_row(run, step->out, r);
        if (activation == HOME_ACT_SWISH)
            at = homerun_row(run, step->in[0].view, r);
        float *dy = homerun_gradient_row(run, step->out, r);
        run->kernels->activate_gradient(activation, homerun_swish_beta(run), step->out.width, at,
                                        dy, dy);
        homesum_row_backward(run, step, r, dy);
    }
}

static void backward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, unactivate_rows);
}
#endif

static bool is_sound(const homestep *step) {
    return step->in_count >= 1 && homestep_have_width(step, 0, step->in_count, 1, step->out.width);
}

static void get_choices(const homestep *step, size_t choices[HOMESTEP_CHOICES]) {
    choices[0] = step->activate.activation;
}

static bool set_choices(homestep *step, const size_t choices[HOMESTEP_CHOICES]) {
    step->activate.activation = (homeactivation)choices[0];
    return choices[0] <= HOMESTEP_MAX_CHOICE && choices[1] == 0 && choices[2] == 0;
}

const homestep_kind homestep_activate = {.name = "activate",
                                         .forward = forward,
                                         .is_sound = is_sound,
                                         .get_choices = get_choices,
                                         .set_choices = set_choices,
                                         HOMESTEP_TRAINING(.backward = backward)};
