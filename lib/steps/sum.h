/* What steps that add up their inputs share:  y = x_0 + x_1 + ..,  all [B, width];  dx_i = dy for
 * each. */
#ifndef HOME_SUM_H
#define HOME_SUM_H

#include "run.h"

/* Row `row` of the sum, to y [width]. */
static inline void homesum_row(const homerun *run, const homestep *step, size_t row, float *y) {
    run->kernels->scale(step->out.width, 1, homerun_row(run, step->in[0].view, row), y);
    for (size_t i = 1; i < step->in_count; i++)
        run->kernels->scale_add(step->out.width, 1, homerun_row(run, step->in[i].view, row), y);
}

#ifndef HOME_SERVE_ONLY
/* dx_i = dy for row `row` of all inputs; dy [width]. */
static inline void homesum_row_backward(const homerun *run, const homestep *step, size_t row,
                                        const float *dy) {
    for (size_t i = 0; i < step->in_count; i++) {
        float *dx = homerun_gradient_row(run, step->in[i].view, row);
        if (step->in[i].accumulate)
            run->kernels->scale_add(step->out.width, 1, dy, dx);
        else
            run->kernels->scale(step->out.width, 1, dy, dx);
    }
}
#endif

#endif
