/* From logits to predictions. */
#include "output.h"

#include <string.h>

/* p = sigmoid(logit) of a binary task, times those of the tasks it is given; the logit itself of a
 * squared error. */
static float predict_task(const homesettings *settings, size_t task, const float *logits,
                          const float *sigmoids) {
    if (settings->config.tasks[task].loss == HOME_LOSS_SQUARED)
        return logits[task];
    float p = sigmoids[task];
    for (size_t given = settings->task_given[task]; given != HOME_NONE;
         given = settings->task_given[given])
        p *= sigmoids[given];
    return p;
}

/* predictions: [rows, tasks]. The sigmoids go to a buffer of their own: a task that is given others
 * reads several of them, and the logits stay for the loss. */
void homeoutput_write(const home_model *model, const homerun *run, float *predictions,
                      size_t stride) {
    const homeview logits = model->plan.logits;
    const homeview sigmoids = model->plan.sigmoids;
    for (size_t r = 0; r < run->rows; r++) {
        float *s = homerun_row(run, sigmoids, r);
        model->kernels->activate(HOME_ACT_SIGMOID, 1, logits.width, homerun_row(run, logits, r), s);
        for (size_t t = 0; t < logits.width; t++)
            predictions[r * stride + t] =
                predict_task(&model->settings, t, homerun_row(run, logits, r), s);
    }
}

void homeoutput_write_logits(const home_model *model, const homerun *run, float *logits,
                             size_t stride) {
    const homeview view = model->plan.logits;
    for (size_t r = 0; r < run->rows; r++)
        memcpy(logits + r * stride, homerun_row(run, view, r), view.width * sizeof *logits);
}
