/* From a batch to v: dense values, then the pooled embedding of every field. */
#include "input.h"

#include "../base/abi.h"

#include <math.h>
#include <string.h>

/* --------------------------------------------------------------------------------------- checks */

home_status homeinput_check(const home_model *model, const home_batch *given, home_batch *batch,
                            home_error *error) {
    const home_config *config = &model->settings.config;
    if (!given)
        return homefail_null(error, "batch");
    const home_status status =
        homeabi_read(given, batch, sizeof *batch, "batch", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    batch->dense_stride = homemodel_stride_or(batch->dense_stride, config->dense_width);
    if (batch->field_count != config->field_count)
        return homefail(error, HOME_E_ARGUMENT, "batch.field_count is %zu, expected %zu",
                        batch->field_count, config->field_count);
    if (batch->rows == 0)
        return HOME_OK;
    /* Rounding rows up to blocks and tiles must not overflow. */
    if (batch->rows > SIZE_MAX / 64)
        return homefail(error, HOME_E_TOO_LARGE, "batch.rows is %zu, too many for this machine",
                        batch->rows);
    if (config->dense_width > 0 && !batch->dense)
        return homefail(error, HOME_E_ARGUMENT, "batch.dense is NULL, expected [%zu, %zu] values",
                        batch->rows, config->dense_width);
    if (batch->dense_stride < config->dense_width)
        return homefail(error, HOME_E_ARGUMENT,
                        "batch.dense_stride is %zu, expected 0 or at least %zu",
                        batch->dense_stride, config->dense_width);
    if (config->field_count > 0 && !batch->fields)
        return homefail_null(error, "batch.fields");
    return HOME_OK;
}

void homeinput_id_range(const home_ids *ids, size_t r, size_t *begin, size_t *end) {
    *begin = ids->offsets ? ids->offsets[r] : r;
    *end = ids->offsets ? ids->offsets[r + 1] : r + 1;
}

static home_status check_row_ids(const home_model *model, const home_ids *ids, size_t field,
                                 size_t row, home_error *error) {
    const home_table_config *table = model->tables[model->settings.field_table[field]].config;
    const char *name = model->settings.config.fields[field].name;
    size_t begin;
    size_t end;
    homeinput_id_range(ids, row, &begin, &end);
    if (table->index != HOME_INDEX_DIRECT)
        return HOME_OK;
    for (size_t i = begin; i < end; i++)
        if (ids->ids[i] >= table->rows)
            return homefail(error, HOME_E_VALUE,
                            "field \"%.60s\", row %zu: id %llu, expected less than %llu", name, row,
                            (unsigned long long)ids->ids[i], (unsigned long long)table->rows);
    return HOME_OK;
}

/* Offsets that never fall bound each other. This comes before any id is read. */
static home_status check_offsets(const home_ids *ids, const char *name, size_t rows,
                                 home_error *error) {
    if (!ids->offsets)
        return HOME_OK;
    for (size_t r = 0; r < rows; r++)
        if (ids->offsets[r + 1] < ids->offsets[r])
            return homefail(error, HOME_E_VALUE,
                            "field \"%.60s\": offsets[%zu] is %zu, below offsets[%zu] = %zu", name,
                            r + 1, ids->offsets[r + 1], r, ids->offsets[r]);
    return HOME_OK;
}

home_status homeinput_check_ids(const home_model *model, const home_batch *batch,
                                home_error *error) {
    if (batch->rows == 0)
        return HOME_OK;
    for (size_t f = 0; f < batch->field_count; f++) {
        const home_ids *ids = &batch->fields[f];
        const char *name = model->settings.config.fields[f].name;
        home_status status = check_offsets(ids, name, batch->rows, error);
        if (status != HOME_OK)
            return status;
        const bool empty = ids->offsets && ids->offsets[batch->rows] == ids->offsets[0];
        if (!ids->ids && !empty)
            return homefail(error, HOME_E_ARGUMENT, "field \"%.60s\": ids is NULL", name);
        for (size_t r = 0; r < batch->rows && status == HOME_OK; r++)
            status = check_row_ids(model, ids, f, r, error);
        if (status != HOME_OK)
            return status;
    }
    return HOME_OK;
}

home_status homeinput_check_dense(const home_model *model, const home_batch *batch,
                                  home_error *error) {
    for (size_t r = 0; r < batch->rows; r++)
        for (size_t i = 0; i < model->settings.config.dense_width; i++)
            if (!isfinite(batch->dense[r * batch->dense_stride + i]))
                return homefail(error, HOME_E_VALUE, "batch.dense[%zu, %zu] is not finite", r, i);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- pooling */

/* Predicting, training and the gradients of tables all ask here, so that they mean the same row. */
uint64_t homeinput_table_row(const home_table_config *table, uint64_t id) {
    return table->index == HOME_INDEX_HASHED ? home_hash_id(id, table->rows) : id;
}

float homeinput_pooling_factor(int32_t pooling, size_t ids) {
    return pooling == HOME_POOL_MEAN && ids > 0 ? 1 / (float)ids : 1;
}

/* out = sum or mean of the table's rows of the ids; no ids give zeros:
 *
 *     ids      | 7 3 3 |   | 9 |            row 1 has none
 *     offsets    0       3 3     4
 *     v row 0  | dense .. | table[7] + 2 table[3] | next field ..
 *     v row 1  | dense .. | 0                     |
 *     v row 2  | dense .. | table[9]              |
 */
static void pool_field(const home_model *model, const home_ids *ids, size_t field, size_t row,
                       float *out) {
    const hometable *table = &model->tables[model->settings.field_table[field]];
    const size_t dim = table->config->dim;
    size_t begin;
    size_t end;
    homeinput_id_range(ids, row, &begin, &end);
    memset(out, 0, dim * sizeof *out);
    const float factor =
        homeinput_pooling_factor(model->settings.config.fields[field].pooling, end - begin);
    for (size_t i = begin; i < end; i++)
        model->kernels->scale_add(
            dim, factor, table->weights + homeinput_table_row(table->config, ids->ids[i]) * dim,
            out);
}

void homeinput_fill(const home_model *model, const homerun *run, const home_batch *batch,
                    size_t first) {
    const size_t dense = model->settings.config.dense_width;
    for (size_t r = 0; r < run->rows; r++) {
        float *v = homerun_row(run, model->plan.input, r);
        if (dense > 0)
            memcpy(v, batch->dense + (first + r) * batch->dense_stride, dense * sizeof *v);
        for (size_t f = 0; f < batch->field_count; f++)
            pool_field(model, &batch->fields[f], f, first + r, v + model->settings.field_column[f]);
    }
}
