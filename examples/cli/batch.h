/* Rows of a dataset in the form that the library takes: chosen, one-hot, with ids dropped. */
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

/* Fills it with data rows order[first .. first + count), or with rows first .. first + count where
 * order is NULL. With `dropout`, a stream of lib/random.h, ids become row 0 with the probability of
 * their field. */
bool batch_fill(batch *made, const dataset *data, const size_t *order, size_t first, size_t count,
                uint64_t *dropout, failure *why);

#endif
