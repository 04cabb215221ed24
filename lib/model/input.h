/* Checks of a batch, and the way from it to v: dense values, then the pooled embedding of every
 * field. */
#ifndef HOME_INPUT_H
#define HOME_INPUT_H

#include "model.h"

/* A batch in either form that a host may give: with the ids of each field in a struct of its own,
 * or flat, with those of all fields in one array. */
typedef struct homebatch {
    size_t rows;
    const float *dense;
    size_t dense_stride;
    size_t field_count;
    const home_ids *fields; /* in structs: [field_count], `field_size` bytes apart */
    size_t field_size;
    home_ids flat;     /* flat, where fields is NULL: [field_count * rows] in place of [rows] */
    const char *owner; /* what messages put before the name of a field: "batch." or nothing */
} homebatch;

/* Read a caller's struct, or plain arguments, with `ids` those of all fields, and check all but the
 * values. A batch without rows is valid. */
home_status homeinput_read(const home_model *model, const home_batch *given, homebatch *batch,
                           home_error *error);
home_status homeinput_read_flat(const home_model *model, size_t rows, const float *dense,
                                size_t dense_stride, const home_ids *ids, homebatch *batch,
                                home_error *error);

/* Every id is a row of its table, and every weight of an id may be one; every dense value is
 * finite. */
home_status homeinput_check_ids(const home_model *model, const homebatch *batch, home_error *error);
home_status homeinput_check_dense(const home_model *model, const homebatch *batch,
                                  home_error *error);

/* Row `first + i` of the batch goes to row i of v. */
void homeinput_fill(const home_model *model, const homerun *run, const homebatch *batch,
                    size_t first);

/* The ids of a field for all rows. */
home_ids homeinput_field(const homebatch *batch, size_t field);

/* The ids of a row in a field, ids[begin .. end), each of which counts `scale` times its weight in
 * the pooled vector. */
typedef struct homeinput_row {
    size_t begin;
    size_t end;
    double scale; /* of a sum 1; of a mean 1 / sum of the weights, or 0 where that is 0 */
} homeinput_row;

homeinput_row homeinput_row_of(const home_ids *ids, int32_t pooling, size_t row);
float homeinput_factor(const home_ids *ids, const homeinput_row *row, size_t i);

/* The table's row of an id. */
uint64_t homeinput_table_row(const home_table_config *table, uint64_t id);

#endif
