/* The packed form of the parameters, which the steps read. It is written after every change and
 * never during a run, so predicting threads of a model that does not train need no lock. */
#include "training.h"

static homestep_weights weights_of(const home_model *model) {
    return (homestep_weights){.kernels = model->kernels,
                              .parameters = model->parameters,
                              .statistics = model->statistics,
                              .norm_epsilon = model->settings.config.norm_epsilon,
                              .packed = model->packed};
}

static void pack_steps(void *context, size_t first, size_t end) {
    const home_model *model = context;
    const homestep_weights weights = weights_of(model);
    const homefloat_mode host = homefloat_begin();
    for (size_t s = first; s < end; s++) {
        const homestep *step = &model->plan.steps[s];
        if (step->kind->pack)
            step->kind->pack(&weights, step);
    }
    homefloat_end(host);
}

void homepack_model(home_model *model) {
    homeparallel_all_ranges(homemodel_parallel(model), model->plan.step_count, 1, pack_steps,
                            model);
}

void homepack_range(home_model *model, size_t offset, size_t count) {
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const homestep *step = &model->plan.steps[s];
        if (step->kind->reads && step->kind->reads(step, offset, count))
            pack_steps(model, s, s + 1);
    }
}

void homepack_statistics(home_model *model) {
    for (size_t s = 0; s < model->plan.step_count; s++)
        if (model->plan.steps[s].kind->reads_statistics)
            pack_steps(model, s, s + 1);
}
