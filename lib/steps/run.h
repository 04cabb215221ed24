/* A run: one execution of steps over rows, its views of the rows, and how its work is spread over
 * threads. */
#ifndef HOME_RUN_H
#define HOME_RUN_H

#include "../base/parallel.h"
#include "steps.h"

/* What a run that trains has besides: where steps read and write the weights' side. */
typedef struct homerun_training {
    const float *parameters; /* [parameter_count] */
    float *gradients;        /* [parameter_count] */
    float *statistics;       /* [statistic_count] running means and variances */
    float *batch_mean;       /* [batch_width] of the last forward */
    float *batch_scale;      /* [batch_width] 1 / sqrt(variance + epsilon) */
    float *batch_variance;   /* [batch_width] unbiased */
    float *scratch;          /* of one step at a time: as much as the kind's scratch_size() says */
    double norm_epsilon;
    double norm_momentum;
} homerun_training;

/* Somebody who looks at the values while a plan runs. Called after each step, on the thread that
 * called the library. */
typedef struct homerun_observer {
    void (*after)(void *context, const homerun *run, size_t step);
    void *context;
    size_t rows; /* the most rows at a time */
} homerun_observer;

struct homerun {
    const homestep *steps; /* [step_count] */
    size_t step_count;
    const homebuffer *buffers;
    size_t buffer_count;
    const float *packed; /* the steps' packed weights */
    const homekernels *kernels;
    const home_parallel *parallel; /* NULL: this thread alone */
    double swish_beta;             /* as configured: kernels take homerun_swish_beta() */
    size_t rows;
    size_t row_capacity;
    float *activations;               /* the buffers of row_capacity rows */
    float *gradients;                 /* of the activations, in backward */
    const homerun_training *training; /* NULL: serving */
    const homerun_observer *observer; /* NULL: nobody looks */
    int32_t *stopped; /* set to what the host returned to stop the run; only while steps run */
};

/* Rounded where it is used, in the library's floating-point mode: a run is set up in the host's. */
static inline float homerun_swish_beta(const homerun *run) {
    return (float)run->swish_beta;
}

/* All steps, from the first to the last, and, for the gradients, back. Steps run one after another:
 * each may read whatever was written before it, and threads share the work inside a step. Return 0;
 * another number, home_parallel.run's, where the host stopped the run on the way. */
int32_t homerun_forward(const homerun *run);
int32_t homerun_backward(const homerun *run);

/* ---------------------------------------------------------------------------------------- views */

static inline size_t homerun_stride(const homerun *run, homeview view) {
    return run->buffers[view.buffer].stride;
}

/* Row `row` of a view in the activations, or in their gradients. All access to buffers goes through
 * these, so their layout is known here and in plan_buffers.c only. */
static inline float *homerun_row(const homerun *run, homeview view, size_t row) {
    const homebuffer *buffer = &run->buffers[view.buffer];
    return run->activations + buffer->start * run->row_capacity + row * buffer->stride +
           view.column;
}

static inline float *homerun_gradient_row(const homerun *run, homeview view, size_t row) {
    const homebuffer *buffer = &run->buffers[view.buffer];
    return run->gradients + buffer->gradient_start * run->row_capacity + row * buffer->stride +
           view.column;
}

/* Rows from `row` on, as kernels take them. */
static inline homerows homerun_rows_from(const homerun *run, homeview view, size_t row) {
    return (homerows){homerun_row(run, view, row), homerun_stride(run, view)};
}

/* -------------------------------------------------------------------------------------- threads */

/* Work on rows, or columns, [first, end) of a step. Every piece computes what it would compute
 * alone, so cuts may follow the number of threads. */
typedef void (*homerun_function)(const homerun *run, const homestep *step, size_t first,
                                 size_t end);

void homerun_product(const homerun *run, const homegemm *product); /* by rows and panels */
void homerun_by_rows(const homerun *run, const homestep *step, homerun_function function);
void homerun_by_columns(const homerun *run, const homestep *step, homerun_function function);

/* By panels of `width` columns. False, and nothing done, where there are fewer panels than
 * threads. */
bool homerun_by_panels(const homerun *run, const homestep *step, size_t width,
                       homerun_function function);

#endif
