/* The calls of a model that are timed, in the form of a timing's `run`. */
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

/* Gives the model the job's number of threads, each pinned to one CPU. Call it again after another
 * job has run with the same model. */
void model_job_prepare(const model_job *job);

/* Predicts with a frozen model. */
void model_job_predict(void *job);

/* Runs forward, loss, backward including the input's gradient, and the optimizer's step. */
void model_job_train(void *job);

#endif
