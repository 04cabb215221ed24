/* Rows of a dataset as the library takes them: selected, one-hot encoded, some ids dropped out. */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include "dataset.h"

/* The ids of one field, in memory that grows. */
typedef struct batch_ids {
    uint64_t *ids;
    size_t capacity;
    size_t *offsets; /* [rows + 1], NULL where each row has one id */
} batch_ids;

typedef struct batch {
    const recipe *by;
    home_batch inputs;    /* what home_model_forward() and home_model_predict() take */
    home_targets targets; /* what home_model_backward() takes */
    float *dense;
    float *labels;
    float *weights;
    uint64_t *users; /* [rows], for metrics */
    batch_ids *ids;
    home_ids *fields;
} batch;

/* Room for batches of up to `rows` rows. */
bool batch_start(batch *made, const recipe *by, size_t rows, failure *why);
void batch_free(batch *made); /* a zeroed struct is allowed */

/* Fills the batch with the rows order[first .. first + count) of the data, or with the rows
 * first .. first + count where order is NULL. With `dropout`, the state of a stream of random
 * numbers, each id becomes row 0 with its field's probability. */
bool batch_fill(batch *made, const dataset *data, const size_t *order, size_t first, size_t count,
                uint64_t *dropout, failure *why);

#endif
