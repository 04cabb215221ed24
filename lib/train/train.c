/* The public calls of training: forward, backward, step. */
#include "training.h"

#include "../host/number.h"
#include "../model/output.h"

#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------------- forward */

static home_status check_training_batch(const home_model *model, const homebatch *batch,
                                        home_error *error) {
    if (batch->rows == 0)
        return homefail(error, HOME_E_ARGUMENT, "%srows is 0, expected at least 1", batch->owner);
    if (batch->rows == 1 && model->plan.batch_width > 0)
        return homefail(error, HOME_E_ARGUMENT,
                        "%srows is 1, expected at least 2: a batch norm cannot train on the "
                        "variance of one row",
                        batch->owner);
    const home_status status = homeinput_check_dense(model, batch, error);
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

/* *stopped: what the host returned to stop it, or 0. False where that happened, or where the
 * running statistics could not be moved; they are as before then. */
static bool compute_forward(home_model *model, const homebatch *batch, float *predictions,
                            size_t stride, int32_t *stopped) {
    const homerun run = hometraining_run(model);
    homeembedding_collect(model, batch);
    homeinput_fill(model, &run, batch, 0);
    *stopped = homerun_forward(&run);
    if (*stopped || !move_statistics(model, &run))
        return false;
    homepack_statistics(model);
    if (predictions)
        homeoutput_write(model, &run, predictions, stride);
    return true;
}

/* Takes a batch that has been read through the model. */
static home_status forward(home_model *model, const homebatch *batch, float *predictions,
                           size_t prediction_stride, home_error *error) {
    hometraining *training = model->training;
    const size_t tasks = model->settings.config.task_count;
    size_t stride = prediction_stride;
    home_status status =
        homemodel_read_stride(&stride, "prediction_stride", batch->rows, tasks, error);
    if (status == HOME_OK)
        status = check_training_batch(model, batch, error);
    if (status == HOME_OK)
        status = homeembedding_reserve(model, batch, error);
    if (status == HOME_OK)
        status = hometraining_reserve(model, batch->rows, error);
    if (status != HOME_OK)
        return status;
    int32_t stopped;
    training->rows = batch->rows;
    training->input_gradient = false;
    const homefloat_mode host = homefloat_begin();
    const bool done = compute_forward(model, batch, predictions, stride, &stopped);
    homefloat_end(host);
    training->phase = done ? HOME_PHASE_FORWARD : HOME_PHASE_IDLE;
    if (done)
        return HOME_OK;
    training->rows = 0;
    return stopped ? homefail_canceled(error, stopped)
                   : homefail(error, HOME_E_VALUE,
                              "%sdense or the weights are so large that a batch norm's mean or "
                              "variance is not finite",
                              batch->owner);
}

home_status home_model_forward(home_model *model, const home_batch *given, float *predictions,
                               size_t prediction_stride, home_error *error) {
    homebatch batch;
    home_status status = hometraining_check(model, error);
    if (status == HOME_OK)
        status = homeinput_read(model, given, &batch, error);
    return status == HOME_OK ? forward(model, &batch, predictions, prediction_stride, error)
                             : status;
}

home_status home_model_forward_flat(home_model *model, size_t rows, const float *dense,
                                    size_t dense_stride, const uint64_t *ids, size_t id_count,
                                    const size_t *offsets, const float *id_weights,
                                    float *predictions, size_t prediction_stride,
                                    home_error *error) {
    homebatch batch;
    const home_ids all = {sizeof all, ids, offsets, id_count, id_weights};
    home_status status = hometraining_check(model, error);
    if (status == HOME_OK)
        status = homeinput_read_flat(model, rows, dense, dense_stride, &all, &batch, error);
    return status == HOME_OK ? forward(model, &batch, predictions, prediction_stride, error)
                             : status;
}

home_status home_model_logits(const home_model *model, float *logits, size_t stride,
                              home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!logits)
        return homefail_null(error, "logits");
    const homerun run = hometraining_run(model);
    status = homemodel_read_stride(&stride, "stride", run.rows, model->plan.logits.width, error);
    if (status != HOME_OK)
        return status;
    if (run.rows == 0)
        return homefail(error, HOME_E_STATE, "call home_model_forward() first");
    homeoutput_write_logits(model, &run, logits, stride);
    return HOME_OK;
}

/* ------------------------------------------------------------------------------------- backward */

/* A backward at work: its run, whose gradients of parameters may go elsewhere than the model's, and
 * whether they are added to those that came since the last step. */
typedef struct backward {
    homerun run;
    homerun_training training;
    bool add;
} backward;

static home_status check_forward(const home_model *model, home_error *error) {
    const home_status status = hometraining_check(model, error);
    if (status != HOME_OK || model->training->phase == HOME_PHASE_FORWARD ||
        model->training->phase == HOME_PHASE_TASK)
        return status;
    return homefail(error, HOME_E_STATE, "call home_model_forward() first");
}

/* Room for the gradients of a part and for the sum. */
static home_status reserve_parts(home_model *model, home_error *error) {
    hometraining *training = model->training;
    if (!training->part)
        training->part =
            homememory_allocate(&model->allocator, model->tensors.parameter_count, sizeof(float));
    if (!training->part)
        return homefail_memory(error);
    const home_status status = homeembedding_reserve_part(model, error);
    return status == HOME_OK ? homeembedding_reserve_sum(model, error) : status;
}

static void set_up(const home_model *model, float *gradients, backward *work) {
    work->run = hometraining_run(model);
    work->training = model->training->run;
    work->training.gradients = gradients;
    work->run.training = &work->training;
    work->add = false;
}

/* `name` is what a message calls `accumulate`. */
static home_status begin_backward(home_model *model, const char *name, int32_t accumulate,
                                  backward *work, home_error *error) {
    hometraining *training = model->training;
    set_up(model, training->run.gradients, work);
    if (accumulate < 0 || accumulate > HOME_OFF)
        return homefail(error, HOME_E_ARGUMENT, "%s is %ld, expected HOME_ON, HOME_OFF or 0", name,
                        (long)accumulate);
    if (accumulate != HOME_ON || !training->unstepped)
        return HOME_OK;
    const home_status status = reserve_parts(model, error);
    work->training.gradients = training->part;
    work->add = true;
    return status;
}

/* Gradients of all parameters and tables, once dlogits are in place. Where the host stops it, the
 * forward still stands, and so does what it was to add to. */
static home_status finish_backward(home_model *model, const backward *work, home_error *error) {
    hometraining *training = model->training;
    training->input_gradient = false;
    const int32_t stopped = homerun_backward(&work->run);
    if (stopped) {
        training->phase = HOME_PHASE_FORWARD;
        training->unstepped = work->add;
        return homefail_canceled(error, stopped);
    }
    if (work->add) {
        model->kernels->scale_add(model->tensors.parameter_count, 1, training->part,
                                  training->run.gradients);
        homeembedding_reduce_part(model, &work->run);
        homeembedding_add_part(model);
    } else {
        homeembedding_reduce(model, &work->run);
    }
    training->phase = HOME_PHASE_BACKWARD;
    training->unstepped = true;
    training->input_gradient = true;
    return HOME_OK;
}

/* Only the losses write the gradients of the uncertainties: for where not all of them run. */
static void zero_uncertainty(const home_model *model, const homerun *run) {
    const size_t count =
        model->plan.uncertainty == HOME_NONE ? 0 : model->settings.config.task_count;
    for (size_t t = 0; t < count; t++)
        run->training->gradients[model->plan.uncertainty + t] = 0;
}

home_status home_model_backward(home_model *model, const home_targets *given, float *task_losses,
                                home_error *error) {
    home_status status = check_forward(model, error);
    if (status != HOME_OK)
        return status;
    home_targets targets;
    backward work;
    status = homeloss_check(model, given, &targets, error);
    if (status == HOME_OK)
        status = begin_backward(model, "targets.accumulate", targets.accumulate, &work, error);
    if (status != HOME_OK)
        return status;
    const homefloat_mode host = homefloat_begin();
    homeloss_zero(model, &work.run);
    for (size_t t = 0; t < model->settings.config.task_count; t++) {
        const double loss = homeloss_backward(model, &work.run, &targets, t);
        if (task_losses)
            task_losses[t] = (float)loss;
    }
    status = finish_backward(model, &work, error);
    homefloat_end(host);
    return status;
}

home_status home_model_task_gradient(home_model *model, const home_targets *given, size_t task,
                                     float *gradients, size_t count, float *loss,
                                     home_error *error) {
    home_status status = check_forward(model, error);
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
    home_targets targets;
    status = homeloss_check(model, given, &targets, error);
    if (status == HOME_OK)
        status = homeembedding_reserve_part(model, error);
    if (status != HOME_OK)
        return status;
    backward work;
    set_up(model, gradients, &work);
    const homefloat_mode host = homefloat_begin();
    homeloss_zero(model, &work.run);
    zero_uncertainty(model, &work.run);
    const double value = homeloss_backward(model, &work.run, &targets, task);
    const int32_t stopped = homerun_backward(&work.run);
    if (!stopped)
        homeembedding_reduce_part(model, &work.run);
    homefloat_end(host);
    model->training->phase = stopped ? HOME_PHASE_FORWARD : HOME_PHASE_TASK;
    model->training->input_gradient = !stopped;
    if (stopped)
        return homefail_canceled(error, stopped);
    if (loss)
        *loss = (float)value;
    return HOME_OK;
}

static home_status check_dlogits(const home_model *model, const float *dlogits, size_t *stride,
                                 home_error *error) {
    const size_t width = model->plan.logits.width;
    const size_t rows = model->training->rows;
    if (!dlogits)
        return homefail_null(error, "dlogits");
    const home_status status = homemodel_read_stride(stride, "stride", rows, width, error);
    if (status != HOME_OK)
        return status;
    for (size_t r = 0; r < rows; r++)
        for (size_t t = 0; t < width; t++)
            if (!isfinite(dlogits[r * *stride + t]))
                return homefail(error, HOME_E_VALUE, "dlogits[%zu, %zu] is not finite", r, t);
    return HOME_OK;
}

home_status home_model_backward_from(home_model *model, const float *dlogits, size_t stride,
                                     int32_t accumulate, home_error *error) {
    home_status status = check_forward(model, error);
    if (status != HOME_OK)
        return status;
    const homeview logits = model->plan.logits;
    backward work;
    status = check_dlogits(model, dlogits, &stride, error);
    if (status == HOME_OK)
        status = begin_backward(model, "accumulate", accumulate, &work, error);
    if (status != HOME_OK)
        return status;
    for (size_t r = 0; r < work.run.rows; r++)
        memcpy(homerun_gradient_row(&work.run, logits, r), dlogits + r * stride,
               logits.width * sizeof *dlogits);
    zero_uncertainty(model, &work.run);
    const homefloat_mode host = homefloat_begin();
    status = finish_backward(model, &work, error);
    homefloat_end(host);
    return status;
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
    const home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (model->training->phase != HOME_PHASE_BACKWARD)
        return homefail(error, HOME_E_STATE, "call home_model_backward() first");
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
    model->training->unstepped = false;
    return HOME_OK;
}

uint64_t home_model_step_count(const home_model *model) {
    return model && model->training ? model->training->step_count : 0;
}

double home_model_gradient_norm(const home_model *model) {
    const bool known =
        model && model->training && hometraining_check_gradients(model, NULL) == HOME_OK;
    return known ? homeoptimizer_gradient_norm(model) : 0;
}
