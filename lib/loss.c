/* Losses, and their derivatives by the logits. */
#include "model.h"

#include <math.h>

static home_status check_weight(float weight, const char *name, size_t row, size_t task, home_error *error) {
    if (isfinite(weight) && weight >= 0)
        return HOME_OK;
    return home_fail(error, HOME_E_VALUE,
                     "targets.%s at row %zu, task %zu is %g, expected a finite number >= 0", name, row, task,
                     (double)weight);
}

home_status home_check_targets(const home_run *run, const home_targets *given, home_targets *targets,
                               home_error *error) {
    const size_t tasks = run->model->settings.config.task_count;
    if (!given)
        return home_fail_null(error, "targets");
    if (given->struct_size < sizeof *given)
        return home_fail(error, HOME_E_ARGUMENT, "targets.struct_size is %zu, expected at least %zu",
                         given->struct_size, sizeof *given);
    *targets = *given;
    targets->label_stride = home_stride_or(given->label_stride, tasks);
    targets->weight_stride = home_stride_or(given->weight_stride, tasks);
    if (!targets->labels)
        return home_fail_null(error, "targets.labels");
    if (targets->label_stride < tasks || targets->weight_stride < tasks)
        return home_fail(error, HOME_E_ARGUMENT,
                         "targets.label_stride is %zu and weight_stride %zu, expected 0 or at least %zu",
                         targets->label_stride, targets->weight_stride, tasks);
    home_status status = HOME_OK;
    for (size_t r = 0; r < run->rows && status == HOME_OK; r++) {
        if (targets->row_weights)
            status = check_weight(targets->row_weights[r], "row_weights", r, 0, error);
        for (size_t t = 0; t < tasks && status == HOME_OK; t++) {
            const float label = targets->labels[r * targets->label_stride + t];
            if (!isnan(label) && !(label >= 0 && label <= 1))
                return home_fail(error, HOME_E_VALUE,
                                 "targets.labels at row %zu, task \"%.60s\" is %g, expected 0 to 1, or NaN",
                                 r, run->model->settings.config.tasks[t].name, (double)label);
            if (targets->weights)
                status =
                    check_weight(targets->weights[r * targets->weight_stride + t], "weights", r, t, error);
        }
    }
    return status;
}

/* 0 where the label is missing. */
static double live_weight(const home_targets *targets, size_t row, size_t task) {
    if (isnan(targets->labels[row * targets->label_stride + task]))
        return 0;
    const double by_row = targets->row_weights ? (double)targets->row_weights[row] : 1;
    return by_row * (targets->weights ? (double)targets->weights[row * targets->weight_stride + task] : 1);
}

/* -y log p - (1 - y) log(1 - p) with p = sigmoid(x), without overflow: max(x, 0) - x y + log(1 + e^-|x|) */
static double cross_entropy(double x, double y) {
    return (x > 0 ? x : 0) - x * y + log1p(exp(-fabs(x)));
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* L = sum_r w_r bce(x_r, y_r) / sum_r w_r,  dx_r = weight w_r (sigmoid(x_r) - y_r) / sum w */
double home_task_loss(const home_run *run, const home_targets *targets, size_t task) {
    const home_view logits = run->model->plan.logits;
    double total = 0;
    double loss = 0;
    for (size_t r = 0; r < run->rows; r++)
        total += live_weight(targets, r, task);
    const double factor = total > 0 ? run->model->settings.config.tasks[task].weight / total : 0;
    for (size_t r = 0; r < run->rows; r++) {
        const double w = total > 0 ? live_weight(targets, r, task) : 0;
        float *dx = home_gradient_row(run, logits, r) + task;
        *dx = 0;
        if (w > 0) {
            const double x = (double)home_view_row(run, logits, r)[task];
            const double y = (double)targets->labels[r * targets->label_stride + task];
            loss += w * cross_entropy(x, y);
            *dx = (float)(factor * w * (sigmoid(x) - y));
        }
    }
    return total > 0 ? loss / total : 0;
}
