/* constant: self weights that do not depend on the input, the same in every row:  y [B, experts].
 *
 *     y_r = w        a free scalar for each own expert (AdaTT), or ones
 *     dw  = sum over rows of dy */
#include "run.h"

#include <string.h>

static void copy_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    const float *weights = run->packed + step->packed;
    for (size_t r = first; r < end; r++)
        memcpy(homerun_row(run, step->out, r), weights, step->out.width * sizeof *weights);
}

static void forward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, copy_rows);
}

static bool packed_size(const homestep *step, size_t panel, size_t *floats) {
    (void)panel;
    *floats = step->out.width;
    return true;
}

static bool is_sound(const homestep *step) {
    return step->in_count == 0;
}

#ifndef HOME_SERVE_ONLY
static void sum_columns(const homerun *run, const homestep *step, size_t first, size_t end) {
    float *sum = run->training->gradients + step->constant.weights + first;
    memset(sum, 0, (end - first) * sizeof *sum);
    for (size_t r = 0; r < run->rows; r++)
        run->kernels->scale_add(end - first, 1, homerun_gradient_row(run, step->out, r) + first,
                                sum);
}

static void backward(const homerun *run, const homestep *step) {
    if (step->constant.weights != HOME_NONE)
        homerun_by_columns(run, step, sum_columns);
}

static void pack(const homestep_weights *weights, const homestep *step) {
    float *packed = weights->packed + step->packed;
    for (size_t i = 0; i < step->out.width; i++)
        packed[i] = step->constant.weights == HOME_NONE
                        ? 1
                        : weights->parameters[step->constant.weights + i];
}

static bool reads(const homestep *step, size_t offset, size_t count) {
    return step->constant.weights != HOME_NONE &&
           homestep_overlap(step->constant.weights, step->out.width, offset, count);
}

static void repack(const homestep *step, const float *packed, size_t panel, size_t to,
                   homestep_sink sink) {
    (void)panel;
    (void)to;
    sink.put(sink.context, packed, step->out.width);
}
#endif

const homestep_kind homestep_constant = {
    .name = "constant",
    .forward = forward,
    .is_sound = is_sound,
    .packed_size = packed_size,
    HOMESTEP_TRAINING(.backward = backward, .pack = pack, .reads = reads, .repack = repack)};
