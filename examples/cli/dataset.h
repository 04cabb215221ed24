/* Rows of a CSV in the compact form that the recipe gives them: a float per dense column, a row
 * number of its table per id. */
#ifndef CLI_DATASET_H
#define CLI_DATASET_H

#include "csv.h"
#include "recipe.h"
#include "unknown.h"

/* The ids of one field. */
typedef struct id_values {
    uint32_t *rows;
    size_t count;
    size_t capacity;
    /* [rows + 1]: row r has rows[offsets[r] .. offsets[r + 1]). NULL: one id a row. */
    size_t *offsets;
    size_t offset_capacity;
} id_values;

/* The dense values of all rows, in parts that are never moved, so that there is no second copy
 * while they grow. */
typedef struct row_parts {
    void **parts; /* each of DATASET_PART_ROWS rows */
    size_t count;
    size_t capacity;
    size_t row_bytes;
} row_parts;

#define DATASET_PART_ROWS ((size_t)1024)

typedef struct dataset {
    const recipe *by;
    size_t rows;
    uint64_t rows_before; /* of the file, read and replaced */
    size_t capacity;      /* of the arrays below, in rows */
    row_parts dense;      /* rows of floats [dense columns], transformed */
    row_parts raw;        /* of doubles, NaN: missing, while transforms are not learned yet */
    double *rounded;      /* [dense columns] the first whole number that a float does not hold, of
                             a column without a transform; 0: none */
    float *labels;        /* [rows, labels], NaN: missing */
    float *weights;       /* [rows], 1 without a column of weights */
    uint64_t *users;      /* [rows], a hash of the user's key, HOME_NO_USER for an empty one */
    id_values *ids;       /* [fields] */
} dataset;

bool dataset_start(dataset *data, const recipe *by, failure *why);
void dataset_free(dataset *data); /* a zeroed struct is allowed */

/* The transformed values of a row. */
const float *dataset_dense(const dataset *data, size_t row);

/* Which columns are read. Training reads all, and its ids make the vocabularies; training further
 * takes the transforms and vocabularies as they are. */
typedef enum dataset_use {
    DATASET_PREDICT,
    DATASET_EVALUATE,
    DATASET_TRAIN,
    DATASET_TRAIN_FURTHER
} dataset_use;

/* An open CSV file, and where in it the recipe's columns are. */
typedef struct dataset_reader {
    csv_reader csv;
    recipe *by; /* only training changes it */
    dataset_use use;
    size_t *dense; /* [dense columns], and so on: column of the file */
    size_t *fields;
    size_t *labels;
    size_t weight;
    size_t user;
    unknown_ids *unknown; /* [fields], counted so far; not where training makes the vocabularies */
} dataset_reader;

bool dataset_open(dataset_reader *reader, recipe *by, const char *path, dataset_use use,
                  failure *why);
void dataset_close(dataset_reader *reader);

/* Replaces the data by the next rows of the file, at most max_rows; by none at its end. */
bool dataset_read(dataset_reader *reader, dataset *data, size_t max_rows, failure *why);

/* Reads all rows of the file. For training, learns the recipe's transforms and vocabularies from
 * it, and says on standard error which columns lose digits. */
bool dataset_load(dataset *data, dataset_reader *reader, failure *why);

#endif
