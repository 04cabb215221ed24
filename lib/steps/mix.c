/* mix: the sum of a node's experts, weighted row by row. Its inputs are pairs (expert h_k, weight
 * w_k).
 *
 *     z    = sum_k w_k h_k        h_k, z [B, D]   w_k [B, 1]
 *     dh_k = w_k dz
 *     dw_k = dz · h_k */
#include "run.h"

/* As many pairs at a time as the kernel takes; further ones are added to the sum of those
 * before. */
static void mix_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    homerows h[HOME_MIX_TERMS];
    homerows w[HOME_MIX_TERMS];
    homemix m = {.rows = end - first,
                 .n = step->out.width,
                 .x = h,
                 .w = w,
                 .factor = 1,
                 .y = homerun_row(run, step->out, first),
                 .y_row = homerun_stride(run, step->out)};
    for (size_t k = 0; k < step->in_count; k += 2) {
        h[m.terms] = homerun_rows_from(run, step->in[k].view, first);
        w[m.terms] = homerun_rows_from(run, step->in[k + 1].view, first);
        if (++m.terms == HOME_MIX_TERMS || k + 2 == step->in_count) {
            run->kernels->mix(&m);
            m.terms = 0;
            m.accumulate = true;
        }
    }
}

static void forward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, mix_rows);
}

#ifndef HOME_SERVE_ONLY
/* One pair in one row; dz [D]. dw is written at once: nothing else reads a gate's weights. */
static void unmix_pair(const homerun *run, const homesource *h, const homesource *w, size_t row,
                       const float *dz) {
    const size_t width = h->view.width;
    const float weight = *homerun_row(run, w->view, row);
    float *dh = homerun_gradient_row(run, h->view, row);
    if (h->accumulate)
        run->kernels->scale_add(width, weight, dz, dh);
    else
        run->kernels->scale(width, weight, dz, dh);
    *homerun_gradient_row(run, w->view, row) =
        run->kernels->dot(width, dz, homerun_row(run, h->view, row));
}

static void unmix_rows(const homerun *run, const homestep *step, size_t first, size_t end) {
    for (size_t r = first; r < end; r++)
        for (size_t k = 0; k < step->in_count; k += 2)
            unmix_pair(run, &step->in[k], &step->in[k + 1], r,
                       homerun_gradient_row(run, step->out, r));
}

static void backward(const homerun *run, const homestep *step) {
    homerun_by_rows(run, step, unmix_rows);
}
#endif

static bool is_sound(const homestep *step) {
    const size_t count = step->in_count;
    return count >= 2 && count % 2 == 0 &&
           homestep_have_width(step, 0, count, 2, step->out.width) &&
           homestep_have_width(step, 1, count, 2, 1);
}

const homestep_kind homestep_mix = {.name = "mix",
                                    .forward = forward,
                                    .is_sound = is_sound,
                                    HOMESTEP_TRAINING(.backward = backward)};
