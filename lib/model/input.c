/* From a batch to v: dense values, then the pooled embedding of every field. */
#include "input.h"

#include "../base/abi.h"

#include <math.h>
#include <string.h>

/* --------------------------------------------------------------------------------------- checks */

/* What both forms have. */
static home_status check_shape(const home_model *model, homebatch *batch, home_error *error) {
    const size_t width = model->settings.config.dense_width;
    /* Rounding rows up to blocks and tiles must not overflow. */
    if (batch->rows > SIZE_MAX / 64)
        return homefail(error, HOME_E_TOO_LARGE, "%srows is %zu, too many for this machine",
                        batch->owner, batch->rows);
    if (width > 0 && !batch->dense)
        return homefail(error, HOME_E_ARGUMENT, "%sdense is NULL, expected [%zu, %zu] values",
                        batch->owner, batch->rows, width);
    return homemodel_read_stride(&batch->dense_stride,
                                 *batch->owner ? "batch.dense_stride" : "dense_stride", batch->rows,
                                 width, error);
}

static const home_ids *given_field(const homebatch *batch, size_t field) {
    return (const home_ids *)(const void *)((const char *)batch->fields +
                                            field * batch->field_size);
}

/* The fields' structs, which all have the size of the first. */
static home_status check_fields(homebatch *batch, home_error *error) {
    if (batch->field_count == 0)
        return HOME_OK;
    if (!batch->fields)
        return homefail_null(error, "batch.fields");
    memcpy(&batch->field_size, batch->fields, sizeof batch->field_size);
    for (size_t f = 0; f < batch->field_count; f++) {
        home_ids read;
        const home_ids *given = given_field(batch, f);
        if (given->struct_size != batch->field_size)
            return homefail(error, HOME_E_ARGUMENT,
                            "batch.fields[%zu].struct_size is %zu, expected %zu, that of the first",
                            f, given->struct_size, batch->field_size);
        const home_status status =
            homeabi_read(given, &read, sizeof read, "batch.fields", HOME_E_ARGUMENT, error);
        if (status != HOME_OK)
            return status;
    }
    return HOME_OK;
}

home_status homeinput_read(const home_model *model, const home_batch *given, homebatch *batch,
                           home_error *error) {
    if (!given)
        return homefail_null(error, "batch");
    home_batch read;
    home_status status = homeabi_read(given, &read, sizeof read, "batch", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    *batch = (homebatch){.rows = read.rows,
                         .dense = read.dense,
                         .dense_stride = read.dense_stride,
                         .field_count = read.field_count,
                         .fields = read.fields,
                         .owner = "batch."};
    if (batch->field_count != model->settings.config.field_count)
        return homefail(error, HOME_E_ARGUMENT, "batch.field_count is %zu, expected %zu",
                        batch->field_count, model->settings.config.field_count);
    if (batch->rows == 0)
        return HOME_OK;
    status = check_shape(model, batch, error);
    return status == HOME_OK ? check_fields(batch, error) : status;
}

home_status homeinput_read_flat(const home_model *model, size_t rows, const float *dense,
                                size_t dense_stride, const home_ids *ids, homebatch *batch,
                                home_error *error) {
    size_t lists;
    *batch = (homebatch){.rows = rows,
                         .dense = dense,
                         .dense_stride = dense_stride,
                         .field_count = model->settings.config.field_count,
                         .flat = *ids,
                         .owner = ""};
    if (rows == 0)
        return HOME_OK;
    if (!homesize_multiply(batch->field_count, rows, &lists))
        return homefail(error, HOME_E_TOO_LARGE, "rows is %zu, too many for this machine", rows);
    return check_shape(model, batch, error);
}

home_ids homeinput_field(const homebatch *batch, size_t field) {
    home_ids ids = batch->flat;
    if (batch->fields) {
        const size_t size = batch->field_size;
        memset(&ids, 0, sizeof ids);
        memcpy(&ids, given_field(batch, field), size < sizeof ids ? size : sizeof ids);
    } else if (ids.offsets) {
        ids.offsets += field * batch->rows;
    } else if (ids.ids) {
        ids.ids += field * batch->rows;
        ids.weights = ids.weights ? ids.weights + field * batch->rows : NULL;
    }
    return ids;
}

/* Begin and end of a row's ids. */
static homeinput_row row_range(const home_ids *ids, size_t row) {
    return (homeinput_row){.begin = ids->offsets ? ids->offsets[row] : row,
                           .end = ids->offsets ? ids->offsets[row + 1] : row + 1};
}

/* Offsets that never fall bound each other. This comes before any id is read. */
static home_status check_offsets(const homebatch *batch, const home_ids *ids, size_t field,
                                 const char *name, home_error *error) {
    const size_t first = batch->fields ? 0 : field * batch->rows; /* of the array as given */
    for (size_t r = 0; ids->offsets && r < batch->rows; r++)
        if (ids->offsets[r + 1] < ids->offsets[r])
            return homefail(error, HOME_E_VALUE,
                            "field \"%.60s\": offsets[%zu] is %zu, below offsets[%zu] = %zu", name,
                            first + r + 1, ids->offsets[r + 1], first + r, ids->offsets[r]);
    return HOME_OK;
}

/* That a field has the number of ids that its struct says, and some array where it has any. */
static home_status check_count(const homebatch *batch, const home_ids *ids, const char *name,
                               home_error *error) {
    const size_t expected = ids->offsets ? ids->offsets[batch->rows] : batch->rows;
    if (batch->fields && ids->count > 0 && ids->count != expected)
        return homefail(error, HOME_E_ARGUMENT, "field \"%.60s\": count is %zu, expected %zu, %s",
                        name, ids->count, expected,
                        ids->offsets ? "the last of its offsets" : "an id for each row");
    if (!ids->ids && !(ids->offsets && expected == ids->offsets[0]))
        return homefail(error, HOME_E_ARGUMENT, "field \"%.60s\": ids is NULL", name);
    return HOME_OK;
}

/* The same of all fields of a flat batch together. */
static home_status check_flat_count(const homebatch *batch, home_error *error) {
    const size_t lists = batch->field_count * batch->rows;
    const size_t expected = batch->flat.offsets ? batch->flat.offsets[lists] : lists;
    if (batch->fields || batch->flat.count == 0 || batch->flat.count == expected)
        return HOME_OK;
    return homefail(
        error, HOME_E_ARGUMENT, "id_count is %zu, expected %zu, %s", batch->flat.count, expected,
        batch->flat.offsets ? "the last of the offsets" : "an id for each field and row");
}

static home_status check_weight(float weight, int32_t pooling, const char *name, size_t row,
                                size_t i, home_error *error) {
    if (!isfinite(weight))
        return homefail(error, HOME_E_VALUE, "field \"%.60s\", row %zu: weights[%zu] is not finite",
                        name, row, i);
    if (weight < 0 && pooling == HOME_POOL_MEAN)
        return homefail(error, HOME_E_VALUE,
                        "field \"%.60s\", row %zu: weights[%zu] is negative, expected at least 0 "
                        "for a mean",
                        name, row, i);
    return HOME_OK;
}

static home_status check_row_ids(const home_model *model, const home_ids *ids, size_t field,
                                 size_t row, home_error *error) {
    const home_table_config *table = model->tables[model->settings.field_table[field]].config;
    const home_field_config *config = &model->settings.config.fields[field];
    const homeinput_row of = row_range(ids, row);
    for (size_t i = of.begin; i < of.end; i++)
        if (table->index == HOME_INDEX_DIRECT && ids->ids[i] >= table->rows)
            return homefail(error, HOME_E_VALUE,
                            "field \"%.60s\", row %zu: id %llu, expected less than %llu",
                            config->name, row, (unsigned long long)ids->ids[i],
                            (unsigned long long)table->rows);
    home_status status = HOME_OK;
    for (size_t i = of.begin; ids->weights && i < of.end && status == HOME_OK; i++)
        status = check_weight(ids->weights[i], config->pooling, config->name, row, i, error);
    return status;
}

home_status homeinput_check_ids(const home_model *model, const homebatch *batch,
                                home_error *error) {
    if (batch->rows == 0)
        return HOME_OK;
    home_status status = HOME_OK;
    for (size_t f = 0; f < batch->field_count && status == HOME_OK; f++) {
        const home_ids ids = homeinput_field(batch, f);
        const char *name = model->settings.config.fields[f].name;
        status = check_offsets(batch, &ids, f, name, error);
        if (status == HOME_OK)
            status = check_count(batch, &ids, name, error);
    }
    if (status == HOME_OK)
        status = check_flat_count(batch, error);
    for (size_t f = 0; f < batch->field_count && status == HOME_OK; f++) {
        const home_ids ids = homeinput_field(batch, f);
        for (size_t r = 0; r < batch->rows && status == HOME_OK; r++)
            status = check_row_ids(model, &ids, f, r, error);
    }
    return status;
}

home_status homeinput_check_dense(const home_model *model, const homebatch *batch,
                                  home_error *error) {
    for (size_t r = 0; r < batch->rows; r++)
        for (size_t i = 0; i < model->settings.config.dense_width; i++)
            if (!isfinite(batch->dense[r * batch->dense_stride + i]))
                return homefail(error, HOME_E_VALUE, "%sdense[%zu, %zu] is not finite",
                                batch->owner, r, i);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- pooling */

/* Predicting, training and the gradients of tables all ask here, so that they mean the same row. */
uint64_t homeinput_table_row(const home_table_config *table, uint64_t id) {
    return table->index == HOME_INDEX_HASHED ? home_hash_id(id, table->rows) : id;
}

homeinput_row homeinput_row_of(const home_ids *ids, int32_t pooling, size_t row) {
    homeinput_row of = row_range(ids, row);
    double total = (double)(of.end - of.begin);
    of.scale = 1;
    if (pooling != HOME_POOL_MEAN)
        return of;
    if (ids->weights) {
        total = 0;
        for (size_t i = of.begin; i < of.end; i++)
            total += (double)ids->weights[i];
    }
    of.scale = total > 0 ? 1 / total : 0;
    return of;
}

float homeinput_factor(const home_ids *ids, const homeinput_row *row, size_t i) {
    return (float)(ids->weights ? row->scale * (double)ids->weights[i] : row->scale);
}

/* out = sum or mean of the table's rows of the ids, each times its weight; no ids give zeros:
 *
 *     ids      | 7 3 3 |   | 9 |            row 1 has none
 *     offsets    0       3 3     4
 *     weights  | 1 1 2 |   | 5 |
 *     v row 0  | dense .. | table[7] + 3 table[3] | next field ..
 *     v row 1  | dense .. | 0                     |
 *     v row 2  | dense .. | 5 table[9]            |
 */
static void pool_row(const home_model *model, const home_ids *ids, size_t field, size_t row,
                     float *out) {
    const hometable *table = &model->tables[model->settings.field_table[field]];
    const size_t dim = table->config->dim;
    const homeinput_row of =
        homeinput_row_of(ids, model->settings.config.fields[field].pooling, row);
    memset(out, 0, dim * sizeof *out);
    for (size_t i = of.begin; i < of.end; i++)
        model->kernels->scale_add(
            dim, homeinput_factor(ids, &of, i),
            table->weights + homeinput_table_row(table->config, ids->ids[i]) * dim, out);
}

void homeinput_fill(const home_model *model, const homerun *run, const homebatch *batch,
                    size_t first) {
    const size_t dense = model->settings.config.dense_width;
    for (size_t r = 0; r < run->rows && dense > 0; r++)
        memcpy(homerun_row(run, model->plan.input, r),
               batch->dense + (first + r) * batch->dense_stride, dense * sizeof(float));
    for (size_t f = 0; f < batch->field_count; f++) {
        const home_ids ids = homeinput_field(batch, f);
        for (size_t r = 0; r < run->rows; r++)
            pool_row(model, &ids, f, first + r,
                     homerun_row(run, model->plan.input, r) + model->settings.field_column[f]);
    }
}
