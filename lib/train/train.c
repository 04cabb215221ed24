/* The public calls of training: forward, backward, step. */
#include "training.h"

#include "../host/number.h"
#include "../model/input.h"
#include "../model/output.h"

#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------------- forward */

static home_status check_training_batch(const home_model *model, const home_batch *given,
                                        home_batch *batch, home_error *error) {
    home_status status = homeinput_check(model, given, batch, error);
    if (status != HOME_OK)
        return status;
    if (batch->rows == 0)
        return homefail(error, HOME_E_ARGUMENT, "batch.rows is 0, expected at least 1");
    if (batch->rows == 1 && model->plan.batch_width > 0)
        return homefail(error, HOME_E_ARGUMENT,
                        "batch.rows is 1, expected at least 2: a batch norm cannot train on the "
                        "variance of one row");
    status = homeinput_check_dense(model, batch, error);
    return status == HOME_OK ? homeinput_check_ids(model, batch, error) : status;
}

/* False, and nothing moved, where a mean or variance of the batch is not finite. */
static bool move_statistics(const home_model *model, const homerun *run) {
    const homerun_training *training = run->training;
    for (size_t i = 0; i < model->plan.batch_width; i++)
        if (!isfinite(training->batch_mean[i]) || !isfinite(training->batch_variance[i]))
            return false;
    for (size_t s = 0; s < run->step_count; s++)
        if (run->steps[s].kind->move_statistics)
            run->steps[s].kind->move_statistics(run, &run->steps[s]);
    return true;
}

/* False where the running statistics could not be moved. */
static bool compute_forward(home_model *model, const home_batch *batch, float *predictions,
                            size_t stride) {
    const homerun run = hometraining_run(model);
    homeembedding_collect(model, batch);
    homeinput_fill(model, &run, batch, 0);
    homerun_forward(&run);
    if (!move_statistics(model, &run))
        return false;
    homepack_statistics(model);
    if (predictions)
        homeoutput_write(model, &run, predictions, stride);
    return true;
}

home_status home_model_forward(home_model *model, const home_batch *given, float *predictions,
                               size_t prediction_stride, home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    const size_t tasks = model->settings.config.task_count;
    const size_t stride = homemodel_stride_or(prediction_stride, tasks);
    if (stride < tasks)
        return homefail(error, HOME_E_ARGUMENT,
                        "prediction_stride is %zu, expected 0 or at least %zu", stride, tasks);
    home_batch batch;
    status = check_training_batch(model, given, &batch, error);
    if (status == HOME_OK)
        status = homeembedding_reserve(model, &batch, error);
    if (status == HOME_OK)
        status = hometraining_reserve(model, batch.rows, error);
    if (status != HOME_OK)
        return status;
    model->training->rows = batch.rows;
    const homefloat_mode host = homefloat_begin();
    const bool finite = compute_forward(model, &batch, predictions, stride);
    homefloat_end(host);
    model->training->phase = finite ? HOME_PHASE_FORWARD : HOME_PHASE_IDLE;
    if (!finite)
        return homefail(error, HOME_E_VALUE,
                        "batch.dense or the weights are so large that a batch norm's mean or "
                        "variance is not finite");
    return HOME_OK;
}

/* ------------------------------------------------------------------------------------- backward */

static home_status check_phase(const home_model *model, homephase phase, const char *expected,
                               home_error *error) {
    const home_status status = hometraining_check(model, error);
    if (status == HOME_OK && model->training->phase != phase)
        return homefail(error, HOME_E_STATE, "call %s first", expected);
    return status;
}

/* Gradients of all parameters and tables, once dlogits are in place. */
static void run_backward(home_model *model, const homerun *run) {
    homerun_backward(run);
    homeembedding_reduce(model, run);
    model->training->phase = HOME_PHASE_BACKWARD;
}

/* Only the losses write the gradients of the uncertainties: for where not all of them run. */
static void zero_uncertainty(const home_model *model) {
    const size_t count =
        model->plan.uncertainty == HOME_NONE ? 0 : model->settings.config.task_count;
    for (size_t t = 0; t < count; t++)
        model->training->run.gradients[model->plan.uncertainty + t] = 0;
}

home_status home_model_backward(home_model *model, const home_targets *given, float *task_losses,
                                home_error *error) {
    home_status status = check_phase(model, HOME_PHASE_FORWARD, "home_model_forward()", error);
    if (status != HOME_OK)
        return status;
    const homerun run = hometraining_run(model);
    home_targets targets;
    status = homeloss_check(model, given, &targets, error);
    if (status != HOME_OK)
        return status;
    const homefloat_mode host = homefloat_begin();
    homeloss_zero(model, &run);
    for (size_t t = 0; t < model->settings.config.task_count; t++) {
        const double loss = homeloss_backward(model, &run, &targets, t);
        if (task_losses)
            task_losses[t] = (float)loss;
    }
    run_backward(model, &run);
    homefloat_end(host);
    return HOME_OK;
}

home_status home_model_task_gradient(home_model *model, const home_targets *given, size_t task,
                                     float *gradients, size_t count, float *loss,
                                     home_error *error) {
    home_status status = check_phase(model, HOME_PHASE_FORWARD, "home_model_forward()", error);
    if (status != HOME_OK)
        return status;
    if (task >= model->settings.config.task_count)
        return homefail(error, HOME_E_NOT_FOUND, "task is %zu, expected less than %zu", task,
                        model->settings.config.task_count);
    if (!gradients)
        return homefail_null(error, "gradients");
    if (count != model->tensors.parameter_count)
        return homefail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu", count,
                        model->tensors.parameter_count);
    const homerun run = hometraining_run(model);
    home_targets targets;
    status = homeloss_check(model, given, &targets, error);
    if (status != HOME_OK)
        return status;
    const homefloat_mode host = homefloat_begin();
    homeloss_zero(model, &run);
    zero_uncertainty(model);
    const double value = homeloss_backward(model, &run, &targets, task);
    homerun_backward(&run);
    homefloat_end(host);
    memcpy(gradients, model->training->run.gradients, count * sizeof *gradients);
    if (loss)
        *loss = (float)value;
    return HOME_OK;
}

home_status home_model_backward_from(home_model *model, const float *dlogits, size_t stride,
                                     home_error *error) {
    const home_status status =
        check_phase(model, HOME_PHASE_FORWARD, "home_model_forward()", error);
    if (status != HOME_OK)
        return status;
    const homerun run = hometraining_run(model);
    const homeview logits = model->plan.logits;
    stride = homemodel_stride_or(stride, logits.width);
    if (!dlogits)
        return homefail_null(error, "dlogits");
    if (stride < logits.width)
        return homefail(error, HOME_E_ARGUMENT, "stride is %zu, expected 0 or at least %zu", stride,
                        logits.width);
    for (size_t r = 0; r < run.rows; r++)
        for (size_t t = 0; t < logits.width; t++)
            if (!isfinite(dlogits[r * stride + t]))
                return homefail(error, HOME_E_VALUE, "dlogits[%zu, %zu] is not finite", r, t);
    for (size_t r = 0; r < run.rows; r++)
        for (size_t t = 0; t < logits.width; t++)
            homerun_gradient_row(&run, logits, r)[t] = dlogits[r * stride + t];
    zero_uncertainty(model);
    const homefloat_mode host = homefloat_begin();
    run_backward(model, &run);
    homefloat_end(host);
    return HOME_OK;
}

home_status home_model_input_gradient(const home_model *model, const float **gradient,
                                      size_t *stride, home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!gradient || !stride)
        return homefail_null(error, gradient ? "stride" : "gradient");
    status = hometraining_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    const homerun run = hometraining_run(model);
    *gradient = homerun_gradient_row(&run, model->plan.input, 0);
    *stride = homerun_stride(&run, model->plan.input);
    return HOME_OK;
}

/* ----------------------------------------------------------------------------------------- step */

/* Of larger gradients the optimizer's sums of squares, which are floats, would soon be infinite. */
static const double LARGEST_NORM = 1e15;

/* The gradients' norm; the step is taken where that, after clipping, is small enough. */
static bool take_step(home_model *model, double *norm) {
    const double clip = model->settings.optimizer.clip_norm;
    *norm = homeoptimizer_gradient_norm(model);
    if (!isfinite(*norm) || (clip > 0 && clip < *norm ? clip : *norm) > LARGEST_NORM)
        return false;
    homeoptimizer_step(model, *norm);
    homepack_model(model);
    return true;
}

home_status home_model_step(home_model *model, home_error *error) {
    const home_status status =
        check_phase(model, HOME_PHASE_BACKWARD, "home_model_backward()", error);
    if (status != HOME_OK)
        return status;
    double norm;
    const homefloat_mode host = homefloat_begin();
    const bool taken = take_step(model, &norm);
    homefloat_end(host);
    if (!taken)
        return homefail(
            error, HOME_E_VALUE,
            "the norm of the gradients is %s, expected a finite number up to %s; the parameters "
            "were left as they are (try a lower learning rate, smaller inputs, or clip_norm)",
            HOME_BRIEF(norm), HOME_BRIEF(LARGEST_NORM));
    model->training->phase = HOME_PHASE_STEPPED;
    return HOME_OK;
}

static home_status set_rate(double *rate, double value, home_error *error) {
    if (!(value >= 0 && value <= HOME_MAX_RATE))
        return homefail(error, HOME_E_ARGUMENT, "rate is %s, expected a number from 0 to %s",
                        HOME_BRIEF(value), HOME_BRIEF(HOME_MAX_RATE));
    *rate = value;
    return HOME_OK;
}

home_status home_model_set_learning_rate(home_model *model, double rate, home_error *error) {
    const home_status status = hometraining_check(model, error);
    return status == HOME_OK ? set_rate(&model->training->learning_rate, rate, error) : status;
}

home_status home_model_set_embedding_learning_rate(home_model *model, double rate,
                                                   home_error *error) {
    const home_status status = hometraining_check(model, error);
    return status == HOME_OK ? set_rate(&model->training->embedding_learning_rate, rate, error)
                             : status;
}

uint64_t home_model_step_count(const home_model *model) {
    return model && model->training ? model->training->step_count : 0;
}

double home_model_gradient_norm(const home_model *model) {
    const bool known =
        model && model->training && hometraining_check_gradients(model, NULL) == HOME_OK;
    return known ? homeoptimizer_gradient_norm(model) : 0;
}
