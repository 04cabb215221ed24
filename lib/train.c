/* The public calls of training: forward, backward, step. */
#include "model.h"
#include "number.h"
#include "portability.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>
#include <string.h>

home_run home_training_run(const home_model *model) {
    home_training *training = model->training;
    return (home_run){
        .model = model,
        .training = training,
        .parallel = home_model_parallel(model),
        .rows = training->rows,
        .row_capacity = training->row_capacity,
        .activations = training->activations,
        .gradients = training->activation_gradients,
    };
}

/* ----------------------------------------------------------------------------------------- forward */

/* Floats that backward packs at once: an operand [rows, in] or [out, in]. */
static bool panels_needed(const home_model *model, size_t rows, size_t *needed) {
    *needed = 0;
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const home_step *step = &model->plan.steps[s];
        if (step->kind != HOME_STEP_LINEAR)
            continue;
        const size_t k = rows > step->out.width ? rows : step->out.width;
        const size_t columns = step->in[0].view.width + model->kernels->panel;
        size_t size;
        if (k == SIZE_MAX || !home_multiply_size(columns, k + 1, &size))
            return false;
        const size_t panels = home_panels_size(model->kernels, k, step->in[0].view.width);
        *needed = panels > *needed ? panels : *needed;
    }
    return true;
}

/* Room for a batch of `rows`: the old room goes only when the new one is there. */
static home_status reserve_rows(home_model *model, size_t rows, home_error *error) {
    home_training *training = model->training;
    if (rows <= training->row_capacity)
        return HOME_OK;
    const home_allocator *a = &model->allocator;
    size_t panels;
    size_t floats;
    size_t gradient_floats;
    if (!panels_needed(model, rows, &panels) || !home_multiply_size(model->plan.row_width, rows, &floats) ||
        !home_multiply_size(model->plan.gradient_width, rows, &gradient_floats))
        return home_fail(error, HOME_E_TOO_LARGE, "batch.rows is %zu, too many for this machine", rows);
    float *activations = home_allocate(a, floats, sizeof(float));
    float *gradients = home_allocate(a, gradient_floats, sizeof(float));
    float *packed = home_allocate(a, panels, sizeof(float));
    if (!activations || !gradients || !packed) {
        home_deallocate(a, activations);
        home_deallocate(a, gradients);
        home_deallocate(a, packed);
        return home_fail(error, HOME_E_MEMORY, "out of memory for a batch of %zu rows", rows);
    }
    home_deallocate(a, training->activations);
    home_deallocate(a, training->activation_gradients);
    home_deallocate(a, training->panels);
    training->activations = activations;
    training->activation_gradients = gradients;
    training->panels = packed;
    training->row_capacity = rows;
    return HOME_OK;
}

static home_status check_training_batch(const home_model *model, const home_batch *given, home_batch *batch,
                                        home_error *error) {
    home_status status = home_check_batch(model, given, batch, error);
    if (status != HOME_OK)
        return status;
    if (batch->rows == 0)
        return home_fail(error, HOME_E_ARGUMENT, "batch.rows is 0, expected at least 1");
    if (batch->rows == 1 && model->plan.batch_width > 0)
        return home_fail(
            error, HOME_E_ARGUMENT,
            "batch.rows is 1, expected at least 2: a batch norm cannot train on the variance of one row");
    status = home_check_dense(model, batch, error);
    return status == HOME_OK ? home_check_ids(model, batch, error) : status;
}

/* False where the running values could not be moved. */
static bool compute_forward(home_model *model, const home_batch *batch, float *predictions, size_t stride) {
    const home_run run = home_training_run(model);
    home_collect_entries(model, batch);
    home_fill_input(&run, batch, 0);
    home_run_forward(&run);
    if (!home_move_running_values(&run))
        return false;
    home_model_fold_norms(model);
    if (predictions)
        home_write_predictions(&run, predictions, stride);
    return true;
}

home_status home_model_forward(home_model *model, const home_batch *given, float *predictions,
                               size_t prediction_stride, home_error *error) {
    home_status status = home_check_trainable(model, error);
    if (status != HOME_OK)
        return status;
    const size_t tasks = model->settings.config.task_count;
    const size_t stride = home_stride_or(prediction_stride, tasks);
    if (stride < tasks)
        return home_fail(error, HOME_E_ARGUMENT, "prediction_stride is %zu, expected 0 or at least %zu",
                         stride, tasks);
    home_batch batch;
    status = check_training_batch(model, given, &batch, error);
    if (status == HOME_OK)
        status = home_reserve_entries(model, &batch, error);
    if (status == HOME_OK)
        status = reserve_rows(model, batch.rows, error);
    if (status != HOME_OK)
        return status;
    model->training->rows = batch.rows;
    const home_float_mode host = home_begin_computing();
    const bool finite = compute_forward(model, &batch, predictions, stride);
    home_end_computing(host);
    model->training->phase = finite ? HOME_PHASE_FORWARD : HOME_PHASE_IDLE;
    if (!finite)
        return home_fail(
            error, HOME_E_VALUE,
            "batch.dense or the weights are so large that a batch norm's mean or variance is not finite");
    return HOME_OK;
}

/* ---------------------------------------------------------------------------------------- backward */

static home_status check_phase(const home_model *model, home_phase phase, const char *expected,
                               home_error *error) {
    const home_status status = home_check_trainable(model, error);
    if (status == HOME_OK && model->training->phase != phase)
        return home_fail(error, HOME_E_STATE, "call %s first", expected);
    return status;
}

/* Gradients of all parameters and tables, once dlogits are in place. */
static void run_backward(home_model *model) {
    const home_run run = home_training_run(model);
    home_run_backward(&run);
    for (size_t i = 0; i < model->settings.config.table_count; i++)
        home_table_reduce(&model->tables[i], &run);
    model->training->phase = HOME_PHASE_BACKWARD;
}

/* No step of the plan writes the gradients of the uncertainties. */
static void zero_uncertainty(const home_model *model) {
    for (size_t t = 0; t < model->settings.config.task_count && model->plan.uncertainty != HOME_NONE; t++)
        model->training->gradients[model->plan.uncertainty + t] = 0;
}

home_status home_model_backward(home_model *model, const home_targets *given, float *task_losses,
                                home_error *error) {
    home_status status = check_phase(model, HOME_PHASE_FORWARD, "home_model_forward()", error);
    if (status != HOME_OK)
        return status;
    const home_run run = home_training_run(model);
    home_targets targets;
    status = home_check_targets(&run, given, &targets, error);
    if (status != HOME_OK)
        return status;
    const home_float_mode host = home_begin_computing();
    home_zero_dlogits(&run);
    for (size_t t = 0; t < model->settings.config.task_count; t++) {
        const double loss = home_task_backward(&run, &targets, t);
        if (task_losses)
            task_losses[t] = (float)loss;
    }
    run_backward(model);
    home_end_computing(host);
    return HOME_OK;
}

home_status home_model_task_gradient(home_model *model, const home_targets *given, size_t task,
                                     float *gradients, size_t count, float *loss, home_error *error) {
    home_status status = check_phase(model, HOME_PHASE_FORWARD, "home_model_forward()", error);
    if (status != HOME_OK)
        return status;
    if (task >= model->settings.config.task_count)
        return home_fail(error, HOME_E_NOT_FOUND, "task is %zu, expected less than %zu", task,
                         model->settings.config.task_count);
    if (!gradients)
        return home_fail_null(error, "gradients");
    if (count != model->tensors.parameter_count)
        return home_fail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu", count,
                         model->tensors.parameter_count);
    const home_run run = home_training_run(model);
    home_targets targets;
    status = home_check_targets(&run, given, &targets, error);
    if (status != HOME_OK)
        return status;
    const home_float_mode host = home_begin_computing();
    home_zero_dlogits(&run);
    zero_uncertainty(model);
    const double value = home_task_backward(&run, &targets, task);
    home_run_backward(&run);
    home_end_computing(host);
    memcpy(gradients, model->training->gradients, count * sizeof *gradients);
    if (loss)
        *loss = (float)value;
    return HOME_OK;
}

home_status home_model_backward_from(home_model *model, const float *dlogits, size_t stride,
                                     home_error *error) {
    const home_status status = check_phase(model, HOME_PHASE_FORWARD, "home_model_forward()", error);
    if (status != HOME_OK)
        return status;
    const home_run run = home_training_run(model);
    const home_view logits = model->plan.logits;
    stride = home_stride_or(stride, logits.width);
    if (!dlogits)
        return home_fail_null(error, "dlogits");
    if (stride < logits.width)
        return home_fail(error, HOME_E_ARGUMENT, "stride is %zu, expected 0 or at least %zu", stride,
                         logits.width);
    for (size_t r = 0; r < run.rows; r++)
        for (size_t t = 0; t < logits.width; t++)
            if (!isfinite(dlogits[r * stride + t]))
                return home_fail(error, HOME_E_VALUE, "dlogits[%zu, %zu] is not finite", r, t);
    for (size_t r = 0; r < run.rows; r++)
        for (size_t t = 0; t < logits.width; t++)
            home_gradient_row(&run, logits, r)[t] = dlogits[r * stride + t];
    zero_uncertainty(model);
    const home_float_mode host = home_begin_computing();
    run_backward(model);
    home_end_computing(host);
    return HOME_OK;
}

/* A step leaves the gradients as they are. */
static bool has_gradients(const home_model *model) {
    return model->training->phase == HOME_PHASE_BACKWARD || model->training->phase == HOME_PHASE_STEPPED;
}

home_status home_check_gradients(const home_model *model, home_error *error) {
    return has_gradients(model)
               ? HOME_OK
               : home_fail(error, HOME_E_STATE, "there are no gradients: call home_model_backward() first");
}

home_status home_model_input_gradient(const home_model *model, const float **gradient, size_t *stride,
                                      home_error *error) {
    home_status status = home_check_trainable(model, error);
    if (status != HOME_OK)
        return status;
    if (!gradient || !stride)
        return home_fail_null(error, gradient ? "stride" : "gradient");
    status = home_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    const home_run run = home_training_run(model);
    *gradient = home_gradient_row(&run, model->plan.input, 0);
    *stride = home_view_stride(&run, model->plan.input);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------------- step */

/* Of larger gradients the optimizer's sums of squares, which are floats, would soon be infinite. */
static const double LARGEST_NORM = 1e15;

/* The gradients' norm; the step is taken where that, after clipping, is small enough. */
static bool take_step(home_model *model, double *norm) {
    const double clip = model->settings.optimizer.clip_norm;
    *norm = home_gradient_norm(model);
    if (!isfinite(*norm) || (clip > 0 && clip < *norm ? clip : *norm) > LARGEST_NORM)
        return false;
    home_optimizer_step(model, *norm);
    home_model_pack(model);
    return true;
}

home_status home_model_step(home_model *model, home_error *error) {
    const home_status status = check_phase(model, HOME_PHASE_BACKWARD, "home_model_backward()", error);
    if (status != HOME_OK)
        return status;
    double norm;
    const home_float_mode host = home_begin_computing();
    const bool taken = take_step(model, &norm);
    home_end_computing(host);
    if (!taken)
        return home_fail(error, HOME_E_VALUE,
                         "the norm of the gradients is %s, expected a finite number up to %s; the parameters "
                         "were left as they "
                         "are (try a lower learning rate, smaller inputs, or clip_norm)",
                         HOME_BRIEF(norm), HOME_BRIEF(LARGEST_NORM));
    model->training->phase = HOME_PHASE_STEPPED;
    return HOME_OK;
}

static home_status set_rate(double *rate, double value, home_error *error) {
    if (!(value >= 0 && value <= HOME_MOST_RATE))
        return home_fail(error, HOME_E_ARGUMENT, "rate is %s, expected a number from 0 to %s",
                         HOME_BRIEF(value), HOME_BRIEF(HOME_MOST_RATE));
    *rate = value;
    return HOME_OK;
}

home_status home_model_set_learning_rate(home_model *model, double rate, home_error *error) {
    const home_status status = home_check_trainable(model, error);
    return status == HOME_OK ? set_rate(&model->training->learning_rate, rate, error) : status;
}

home_status home_model_set_embedding_learning_rate(home_model *model, double rate, home_error *error) {
    const home_status status = home_check_trainable(model, error);
    return status == HOME_OK ? set_rate(&model->training->embedding_learning_rate, rate, error) : status;
}

uint64_t home_model_step_count(const home_model *model) {
    return model && model->training ? model->training->step_count : 0;
}

double home_model_gradient_norm(const home_model *model) {
    return model && model->training && has_gradients(model) ? home_gradient_norm(model) : 0;
}

#endif
