/* A model frozen for serving that predicts the rows of a dataset. */
#ifndef CLI_PREDICTOR_H
#define CLI_PREDICTOR_H

#include "batch.h"

#define PREDICTOR_ROWS ((size_t)4096) /* at once */

typedef struct predictor {
    home_model *frozen;
    void *memory; /* of the workspace */
    home_workspace *workspace;
    batch rows;
    float *predictions; /* [rows, tasks] of the last prediction */
} predictor;

/* Predicts with by->training.threads threads. */
bool predictor_start(predictor *made, const home_model *model, const recipe *by, failure *why);
void predictor_free(predictor *made); /* a zeroed struct is allowed */

/* Predicts rows first .. first + count, at most PREDICTOR_ROWS. */
bool predictor_run(predictor *with, const dataset *data, size_t first, size_t count, failure *why);

#endif
