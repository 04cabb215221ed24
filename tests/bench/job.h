/* What is timed of a model, as a timing's `run` wants it. */
#ifndef TESTS_BENCH_JOB_H
#define TESTS_BENCH_JOB_H

#include "bench/models.h"

typedef struct model_job {
    home_model *model;
    size_t threads;
    home_batch batch;
    home_targets targets;
    float *predictions; /* [batch.rows, tasks] */
} model_job;

/* Brings the model to the job's number of threads, pinned one to a CPU. Call it whenever another
 * job with the same model has run. */
void model_job_prepare(const model_job *job);

/* On a frozen model. */
void model_job_predict(void *job);

/* Forward, loss, backward down to the input's gradient, and the optimizer's step. */
void model_job_train(void *job);

#endif
