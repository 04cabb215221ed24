/* The forms of the parameters that products and serving read. */
#include "model.h"
#include "portability.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>

static void pack_linear(home_model *model, const home_step *step) {
    const size_t in = step->in[0].view.width;
    size_t column = 0;
    for (size_t s = 0; s < step->segment_count; s++) {
        const home_segment *segment = &step->segments[s];
        const float *bias = segment->bias == HOME_NONE ? NULL : model->parameters + segment->bias;
        home_pack_transposed(model->kernels, in, column, segment->rows, model->parameters + segment->weight,
                             segment->ld, bias, model->panels + step->packed);
        column += segment->rows;
    }
}

static void pack_constant(home_model *model, const home_step *step) {
    float *packed = model->panels + step->packed;
    for (size_t i = 0; i < step->out.width; i++)
        packed[i] = step->weights == HOME_NONE ? 1 : model->parameters[step->weights + i];
}

/* factor = γ / sqrt(running variance + ε),  shift = β - running mean factor */
void home_model_fold_norms(home_model *model) {
    const double epsilon = model->settings.config.norm_epsilon;
    const home_float_mode host = home_begin_computing();
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const home_step *step = &model->plan.steps[s];
        for (size_t i = 0; i < step->out.width && step->kind == HOME_STEP_NORM; i++) {
            const double variance = (double)model->statistics[step->variance + i];
            const double factor = (double)model->parameters[step->gamma + i] / sqrt(variance + epsilon);
            const double mean = (double)model->statistics[step->mean + i];
            model->norm_factor[step->batch + i] = (float)factor;
            model->norm_shift[step->batch + i] =
                (float)((double)model->parameters[step->beta + i] - mean * factor);
        }
    }
    home_end_computing(host);
}

static void pack_steps(void *context, size_t first, size_t last) {
    home_model *model = context;
    for (size_t s = first; s < last; s++) {
        const home_step *step = &model->plan.steps[s];
        if (step->kind == HOME_STEP_LINEAR)
            pack_linear(model, step);
        else if (step->kind == HOME_STEP_CONSTANT)
            pack_constant(model, step);
    }
}

/* Whether a step reads parameters of [offset, offset + count). */
static bool reads_parameters(const home_step *step, size_t offset, size_t count) {
    const size_t end = offset + count;
    if (step->kind == HOME_STEP_CONSTANT)
        return step->weights != HOME_NONE && step->weights < end && offset < step->weights + step->out.width;
    for (size_t s = 0; s < step->segment_count && step->kind == HOME_STEP_LINEAR; s++) {
        const home_segment *segment = &step->segments[s];
        if (segment->weight < end && offset < segment->weight + segment->rows * segment->ld)
            return true;
        if (segment->bias != HOME_NONE && segment->bias < end && offset < segment->bias + segment->rows)
            return true;
    }
    return false;
}

void home_model_pack_range(home_model *model, size_t offset, size_t count) {
    for (size_t s = 0; s < model->plan.step_count; s++)
        if (reads_parameters(&model->plan.steps[s], offset, count))
            pack_steps(model, s, s + 1);
}

void home_model_pack(home_model *model) {
    home_parallel_ranges(home_model_parallel(model), model->plan.step_count, 1, pack_steps, model);
    home_model_fold_norms(model);
}

#endif
