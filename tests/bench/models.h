/* The reference configurations S, M and L, and rows to feed them. */
#ifndef TESTS_BENCH_MODELS_H
#define TESTS_BENCH_MODELS_H

#include "home/home.h"

enum { MODELS_COUNT = 3, MODELS_MAX_TASKS = 12, MODELS_MAX_ROWS = 2048 };

/* Points into itself: do not copy it. */
typedef struct reference_model {
    const char *name;
    home_config config;
    home_layer_config layers[2];
    home_task_config tasks[MODELS_MAX_TASKS];
    size_t hidden;
    size_t tower;
} reference_model;

/* Fills in number `index` of the MODELS_COUNT. */
void reference_model_get(reference_model *m, size_t index);

/* Random rows and labels, MODELS_MAX_ROWS of them. */
typedef struct model_rows {
    float *dense;
    float *labels;
} model_rows;

/* Makes every `step`-th value denormal, or zero. */
void make_denormal(float *values, size_t count, size_t step);

/* Does the same to each parameter of a model. */
void model_make_denormal(home_model *model, size_t step);

void model_rows_create(model_rows *r, const reference_model *m);
void model_rows_free(model_rows *r);

/* Returns a batch of the first `rows` rows. */
home_batch model_rows_batch(const model_rows *r, size_t rows);
home_targets model_rows_targets(const model_rows *r);

/* Makes a model of that configuration for the instruction set `isa` (NULL: the best), always with
 * the same weights and running values. Ends the program on an error. */
home_model *reference_model_create(const reference_model *m, const model_rows *rows,
                                   const char *isa);

/* Ends the program with the error's message unless status is HOME_OK. */
void must(home_status status, const home_error *error, const char *what);

#endif
