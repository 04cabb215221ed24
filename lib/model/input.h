/* Checks of a batch, and the way from it to v: dense values, then the pooled embedding of every
 * field. */
#ifndef HOME_INPUT_H
#define HOME_INPUT_H

#include "model.h"

/* Reads the caller's struct and checks all but the values. A batch without rows is valid. */
home_status homeinput_check(const home_model *model, const home_batch *given, home_batch *batch,
                            home_error *error);

/* Every id is a row of its table; every dense value is finite. */
home_status homeinput_check_ids(const home_model *model, const home_batch *batch,
                                home_error *error);
home_status homeinput_check_dense(const home_model *model, const home_batch *batch,
                                  home_error *error);

/* Row `first + i` of the batch goes to row i of v. */
void homeinput_fill(const home_model *model, const homerun *run, const home_batch *batch,
                    size_t first);

/* The ids of row r of a field: ids->ids[*begin .. *end). */
void homeinput_id_range(const home_ids *ids, size_t r, size_t *begin, size_t *end);

/* The table's row of an id. */
uint64_t homeinput_table_row(const home_table_config *table, uint64_t id);

/* What the row of each of `ids` ids counts in the pooled vector. */
float homeinput_pooling_factor(int32_t pooling, size_t ids);

#endif
