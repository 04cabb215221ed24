/* Losses, and their derivatives by the logits. */
#include "training.h"

#include "../base/abi.h"
#include "../host/number.h"

#include <float.h>
#include <math.h>

static bool is_weight(float weight) {
    return isfinite(weight) && weight >= 0;
}

static home_status check_row_weight(float weight, size_t row, home_error *error) {
    return is_weight(weight)
               ? HOME_OK
               : homefail(error, HOME_E_VALUE,
                          "targets.row_weights[%zu] is %s, expected a finite number >= 0", row,
                          HOME_BRIEF((double)weight));
}

static home_status check_weight(float weight, size_t row, const char *task, home_error *error) {
    return is_weight(weight) ? HOME_OK
                             : homefail(error, HOME_E_VALUE,
                                        "targets.weights at row %zu, task \"%.60s\" is %s, "
                                        "expected a finite number >= 0",
                                        row, task, HOME_BRIEF((double)weight));
}

static home_status check_label(const home_task_config *task, float label, size_t row,
                               home_error *error) {
    const bool binary = task->loss == HOME_LOSS_BCE;
    if (isnan(label) || (binary ? label >= 0 && label <= 1 : isfinite(label)))
        return HOME_OK;
    return homefail(error, HOME_E_VALUE,
                    "targets.labels at row %zu, task \"%.60s\" is %s, expected %s, or NaN", row,
                    task->name, HOME_BRIEF((double)label), binary ? "0 to 1" : "a finite number");
}

/* 0 where the label is missing. */
static double live_weight(const home_targets *targets, size_t row, size_t task) {
    if (isnan(targets->labels[row * targets->label_stride + task]))
        return 0;
    const double by_row = targets->row_weights ? (double)targets->row_weights[row] : 1;
    return by_row *
           (targets->weights ? (double)targets->weights[row * targets->weight_stride + task] : 1);
}

static home_status check_rows(const home_model *model, const home_targets *targets,
                              home_error *error) {
    home_status status = HOME_OK;
    for (size_t r = 0; r < model->training->rows && status == HOME_OK; r++) {
        if (targets->row_weights)
            status = check_row_weight(targets->row_weights[r], r, error);
        for (size_t t = 0; t < model->settings.config.task_count && status == HOME_OK; t++) {
            const home_task_config *task = &model->settings.config.tasks[t];
            status = check_label(task, targets->labels[r * targets->label_stride + t], r, error);
            if (status == HOME_OK && targets->weights)
                status = check_weight(targets->weights[r * targets->weight_stride + t], r,
                                      task->name, error);
        }
    }
    return status;
}

/* A total of 0 says that no row of the whole batch counts for the task. A denormal one would be
 * taken for it. */
static home_status check_totals(const home_model *model, const home_targets *targets,
                                home_error *error) {
    for (size_t t = 0; t < model->settings.config.task_count; t++) {
        const char *task = model->settings.config.tasks[t].name;
        const double total = targets->total_weights[t];
        if (!(total == 0 || (isfinite(total) && total >= DBL_MIN)))
            return homefail(error, HOME_E_VALUE,
                            "targets.total_weights of task \"%.60s\" is %s, expected a finite "
                            "number >= 0 that is not denormal",
                            task, HOME_BRIEF(total));
        for (size_t r = 0; total == 0 && r < model->training->rows; r++)
            if (live_weight(targets, r, t) > 0)
                return homefail(error, HOME_E_VALUE,
                                "targets.total_weights of task \"%.60s\" is 0, but row %zu has a "
                                "label and a weight above 0",
                                task, r);
    }
    return HOME_OK;
}

home_status homeloss_check(const home_model *model, const home_targets *given,
                           home_targets *targets, home_error *error) {
    const size_t tasks = model->settings.config.task_count;
    const size_t rows = model->training->rows;
    if (!given)
        return homefail_null(error, "targets");
    home_status status =
        homeabi_read(given, targets, sizeof *targets, "targets", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    if (!targets->labels)
        return homefail_null(error, "targets.labels");
    status =
        homemodel_read_stride(&targets->label_stride, "targets.label_stride", rows, tasks, error);
    if (status == HOME_OK)
        status = homemodel_read_stride(&targets->weight_stride, "targets.weight_stride", rows,
                                       tasks, error);
    if (status == HOME_OK && targets->reserved != 0)
        return homefail(error, HOME_E_ARGUMENT, "targets.reserved is %ld, expected 0",
                        (long)targets->reserved);
    if (status == HOME_OK)
        status = check_rows(model, targets, error);
    return status == HOME_OK && targets->total_weights ? check_totals(model, targets, error)
                                                       : status;
}

static double sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* log sigmoid(x), without overflow */
static double log_sigmoid(double x) {
    return (x < 0 ? x : 0) - log1p(exp(-fabs(x)));
}

void homeloss_zero(const home_model *model, const homerun *run) {
    const homeview logits = model->plan.logits;
    for (size_t r = 0; r < run->rows; r++)
        for (size_t t = 0; t < logits.width; t++)
            homerun_gradient_row(run, logits, r)[t] = 0;
}

/* log(e^a + e^b), without overflow; a or b may be -infinity */
static double log_add(double a, double b) {
    const double max = a > b ? a : b;
    const double min = a > b ? b : a;
    return isinf(min) ? max : max + log1p(exp(min - max));
}

/* Over a task and those that it is given:
 *
 *     p          = prod_i sigmoid(x_i),  q = 1 - p
 *     loss       = -y log p - (1 - y) log q
 *     dloss/dx_i = (p - y) sigmoid(-x_i) / q  =  sigmoid(-x_i) ((1 - y) p / q - y)
 *
 * q is summed up in logarithms, for the product may round to 1: it is the probability that the
 * first factor fails, or the second after the first has not, and so on. Adds factor * dloss/dx_i to
 * the row's derivatives, and returns the loss. */
static double chain_row_backward(const home_model *model, const homerun *run, size_t row,
                                 size_t task, double y, double factor) {
    const size_t *given = model->settings.task_given;
    const float *x = homerun_row(run, model->plan.logits, row);
    float *dx = homerun_gradient_row(run, model->plan.logits, row);
    double log_p = 0;
    double log_q = -INFINITY;
    for (size_t i = task; i != HOME_NONE; i = given[i]) {
        log_q = log_add(log_q, log_p + log_sigmoid(-(double)x[i]));
        log_p += log_sigmoid((double)x[i]);
    }
    for (size_t i = task; i != HOME_NONE; i = given[i]) {
        const double fails = log_sigmoid(-(double)x[i]);
        dx[i] += (float)(factor * ((1 - y) * exp(log_p - log_q + fails) - y * exp(fails)));
    }
    return -y * log_p - (1 - y) * log_q;
}

/* The same for a task that is given no other: p = sigmoid(x),  dloss/dx = p - y. */
static double binary_row_backward(const home_model *model, const homerun *run, size_t row,
                                  size_t task, double y, double factor) {
    if (model->settings.task_given[task] != HOME_NONE)
        return chain_row_backward(model, run, row, task, y, factor);
    const double x = (double)homerun_row(run, model->plan.logits, row)[task];
    homerun_gradient_row(run, model->plan.logits, row)[task] += (float)(factor * (sigmoid(x) - y));
    return -y * log_sigmoid(x) - (1 - y) * log_sigmoid(-x);
}

/* loss = (x - y)²,  dloss/dx = 2 (x - y) */
static double squared_row_backward(const home_model *model, const homerun *run, size_t row,
                                   size_t task, double y, double factor) {
    const double x = (double)homerun_row(run, model->plan.logits, row)[task];
    homerun_gradient_row(run, model->plan.logits, row)[task] += (float)(factor * 2 * (x - y));
    return (x - y) * (x - y);
}

/* A task's term in the total is a L + b with a = weight; with uncertainty weights a = weight e^-s,
 * halved for a squared error, and b = weight s / 2. */
static double term_factor(const home_model *model, size_t task) {
    const home_task_config *config = &model->settings.config.tasks[task];
    const double weight = model->training->task_weights[task];
    if (model->plan.uncertainty == HOME_NONE)
        return weight;
    const double s = (double)model->parameters[model->plan.uncertainty + task];
    return weight * exp(-s) * (config->loss == HOME_LOSS_SQUARED ? 0.5 : 1);
}

/* The derivative of the task's term by its s. */
static void set_uncertainty_gradient(const home_model *model, const homerun *run, size_t task,
                                     double derivative) {
    if (model->plan.uncertainty != HOME_NONE)
        run->training->gradients[model->plan.uncertainty + task] = (float)derivative;
}

/* L = sum_r w_r loss_r / W, with W = sum_r w_r or that of the whole batch, and the derivatives of
 * the task's term in the total, added to those by the logits. Where the rows are a part of a batch,
 * b counts by their share in W, so that the parts add up to b. */
double homeloss_backward(const home_model *model, const homerun *run, const home_targets *targets,
                         size_t task) {
    const bool binary = model->settings.config.tasks[task].loss == HOME_LOSS_BCE;
    const double term = term_factor(model, task);
    double own = 0;
    double loss = 0;
    for (size_t r = 0; r < run->rows; r++)
        own += live_weight(targets, r, task);
    const double total = targets->total_weights ? targets->total_weights[task] : own;
    if (total == 0) {
        set_uncertainty_gradient(model, run, task, 0); /* the term is absent */
        return 0;
    }
    for (size_t r = 0; r < run->rows; r++) {
        const double w = live_weight(targets, r, task);
        if (w == 0)
            continue;
        const double y = (double)targets->labels[r * targets->label_stride + task];
        const double factor = term * w / total;
        const double row_loss = binary ? binary_row_backward(model, run, r, task, y, factor)
                                       : squared_row_backward(model, run, r, task, y, factor);
        loss += w * row_loss;
    }
    loss /= total;
    set_uncertainty_gradient(model, run, task,
                             own / total * model->training->task_weights[task] / 2 - term * loss);
    return loss;
}
