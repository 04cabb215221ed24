#include "bench/job.h"

#include "bench/timing.h"

/* The pool's threads inherit the CPU to which their creator is pinned at that moment. This only
 * separates two threads. */
void model_job_prepare(const model_job *job) {
    home_error error = {.struct_size = sizeof error};
    timing_pin(1);
    must(home_model_set_threads(job->model, job->threads, &error), &error, "set_threads");
    timing_pin(0);
}

void model_job_predict(void *context) {
    const model_job *job = context;
    home_error error = {.struct_size = sizeof error};
    must(home_model_predict(job->model, &job->batch, job->predictions, 0, NULL, &error), &error,
         "predict");
}

void model_job_train(void *context) {
    const model_job *job = context;
    home_error error = {.struct_size = sizeof error};
    home_gradient gradient = {.struct_size = sizeof gradient};
    must(home_model_forward(job->model, &job->batch, job->predictions, 0, &error), &error,
         "forward");
    must(home_model_backward(job->model, &job->targets, NULL, &error), &error, "backward");
    must(home_model_input_gradient(job->model, &gradient, &error), &error, "input_gradient");
    must(home_model_step(job->model, &error), &error, "step");
}
