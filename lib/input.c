/* From a batch to v: dense values, then the pooled embedding of every field; and back, from dv to table rows. */
#include "abi.h"
#include "model.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------- checks */

home_status home_check_batch(const home_model *model, const home_batch *given, home_batch *batch,
                             home_error *error) {
    const home_config *config = &model->settings.config;
    if (!given)
        return home_fail_null(error, "batch");
    const home_status status = home_read_struct(given, batch, sizeof *batch, "batch", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    batch->dense_stride = home_stride_or(batch->dense_stride, config->dense_width);
    if (batch->field_count != config->field_count)
        return home_fail(error, HOME_E_ARGUMENT, "batch.field_count is %zu, expected %zu", batch->field_count,
                         config->field_count);
    if (batch->rows == 0)
        return HOME_OK;
    if (batch->rows > SIZE_MAX / 64) /* so that rounding rows up to blocks and tiles cannot overflow */
        return home_fail(error, HOME_E_TOO_LARGE, "batch.rows is %zu, too many for this machine",
                         batch->rows);
    if (config->dense_width > 0 && !batch->dense)
        return home_fail(error, HOME_E_ARGUMENT, "batch.dense is NULL, expected [%zu, %zu] values",
                         batch->rows, config->dense_width);
    if (batch->dense_stride < config->dense_width)
        return home_fail(error, HOME_E_ARGUMENT, "batch.dense_stride is %zu, expected 0 or at least %zu",
                         batch->dense_stride, config->dense_width);
    if (config->field_count > 0 && !batch->fields)
        return home_fail_null(error, "batch.fields");
    return HOME_OK;
}

/* The ids of row r of a field. */
static void id_range(const home_ids *ids, size_t r, size_t *begin, size_t *end) {
    *begin = ids->offsets ? ids->offsets[r] : r;
    *end = ids->offsets ? ids->offsets[r + 1] : r + 1;
}

static home_status check_row_ids(const home_model *model, const home_ids *ids, size_t field, size_t row,
                                 home_error *error) {
    const home_table_config *table = model->tables[model->settings.field_table[field]].config;
    const char *name = model->settings.config.fields[field].name;
    size_t begin;
    size_t end;
    id_range(ids, row, &begin, &end);
    for (size_t i = begin; i < end && table->index == HOME_INDEX_DIRECT; i++)
        if (ids->ids[i] >= table->rows)
            return home_fail(error, HOME_E_VALUE,
                             "field \"%.60s\", row %zu: id %llu, expected less than %llu", name, row,
                             (unsigned long long)ids->ids[i], (unsigned long long)table->rows);
    return HOME_OK;
}

/* Offsets that rise bound each other: no id is read before they have been seen to. */
static home_status check_offsets(const home_ids *ids, const char *name, size_t rows, home_error *error) {
    for (size_t r = 0; r < rows && ids->offsets; r++)
        if (ids->offsets[r + 1] < ids->offsets[r])
            return home_fail(error, HOME_E_VALUE,
                             "field \"%.60s\": offsets[%zu] is %zu, below offsets[%zu] = %zu", name, r + 1,
                             ids->offsets[r + 1], r, ids->offsets[r]);
    return HOME_OK;
}

home_status home_check_ids(const home_model *model, const home_batch *batch, home_error *error) {
    for (size_t f = 0; f < batch->field_count && batch->rows > 0; f++) {
        const home_ids *ids = &batch->fields[f];
        const char *name = model->settings.config.fields[f].name;
        home_status status = check_offsets(ids, name, batch->rows, error);
        if (status != HOME_OK)
            return status;
        const bool empty = ids->offsets && ids->offsets[batch->rows] == ids->offsets[0];
        if (!ids->ids && !empty)
            return home_fail(error, HOME_E_ARGUMENT, "field \"%.60s\": ids is NULL", name);
        for (size_t r = 0; r < batch->rows && status == HOME_OK; r++)
            status = check_row_ids(model, ids, f, r, error);
        if (status != HOME_OK)
            return status;
    }
    return HOME_OK;
}

home_status home_check_dense(const home_model *model, const home_batch *batch, home_error *error) {
    for (size_t r = 0; r < batch->rows; r++)
        for (size_t i = 0; i < model->settings.config.dense_width; i++)
            if (!isfinite(batch->dense[r * batch->dense_stride + i]))
                return home_fail(error, HOME_E_VALUE, "batch.dense[%zu, %zu] is not finite", r, i);
    return HOME_OK;
}

/* --------------------------------------------------------------------------------------- pooling */

static uint64_t table_row(const home_table_config *table, uint64_t id) {
    return table->index == HOME_INDEX_HASHED ? home_hash_id(id, table->rows) : id;
}

/* What one id's row counts in the pooled vector. */
static float pooling_factor(int32_t pooling, size_t ids) {
    return pooling == HOME_POOL_MEAN && ids > 0 ? 1 / (float)ids : 1;
}

/* out = sum or mean of the table's rows of the ids; no ids give zeros. */
static void pool_field(const home_model *model, const home_ids *ids, size_t field, size_t row, float *out) {
    const home_table *table = &model->tables[model->settings.field_table[field]];
    const size_t dim = table->config->dim;
    size_t begin;
    size_t end;
    id_range(ids, row, &begin, &end);
    memset(out, 0, dim * sizeof *out);
    const float factor = pooling_factor(model->settings.config.fields[field].pooling, end - begin);
    for (size_t i = begin; i < end; i++)
        model->kernels->scale_add(dim, factor, table->weights + table_row(table->config, ids->ids[i]) * dim,
                                  out);
}

void home_fill_input(const home_run *run, const home_batch *batch, size_t first) {
    const home_model *model = run->model;
    const size_t dense = model->settings.config.dense_width;
    for (size_t r = 0; r < run->rows; r++) {
        float *v = home_view_row(run, model->plan.input, r);
        if (dense > 0)
            memcpy(v, batch->dense + (first + r) * batch->dense_stride, dense * sizeof *v);
        for (size_t f = 0; f < batch->field_count; f++)
            pool_field(model, &batch->fields[f], f, first + r, v + model->settings.field_column[f]);
    }
}

#ifndef HOME_SERVE_ONLY
/* ----------------------------------------------------------------------------- gradients of tables */

/* Ids of a field in the whole batch. */
static size_t id_count(const home_ids *ids, size_t rows) {
    return ids->offsets ? ids->offsets[rows] - ids->offsets[0] : rows;
}

/* Room for `count` entries, and for what backward makes of them, so that backward cannot run out of memory.
 */
static bool reserve_table(const home_allocator *allocator, home_table *table, size_t count) {
    return home_grow(allocator, (void **)&table->entries, &table->entry_capacity, count,
                     sizeof *table->entries) &&
           home_grow(allocator, (void **)&table->sorted, &table->sorted_capacity, count,
                     sizeof *table->sorted) &&
           home_grow(allocator, (void **)&table->touched, &table->touched_capacity, count,
                     sizeof *table->touched) &&
           home_grow(allocator, (void **)&table->gradient, &table->gradient_capacity, count,
                     table->config->dim * sizeof *table->gradient);
}

home_status home_reserve_entries(home_model *model, const home_batch *batch, home_error *error) {
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        size_t count = 0;
        for (size_t f = 0; f < batch->field_count; f++)
            if (model->settings.field_table[f] == t &&
                !home_add_size(count, id_count(&batch->fields[f], batch->rows), &count))
                return home_fail(error, HOME_E_TOO_LARGE, "field \"%.60s\" has too many ids",
                                 model->settings.config.fields[f].name);
        if (!reserve_table(&model->allocator, &model->tables[t], count))
            return home_fail_memory(error);
    }
    return HOME_OK;
}

static void add_entries(const home_model *model, const home_batch *batch, size_t field) {
    home_table *table = &model->tables[model->settings.field_table[field]];
    const home_ids *ids = &batch->fields[field];
    for (size_t r = 0; r < batch->rows; r++) {
        size_t begin;
        size_t end;
        id_range(ids, r, &begin, &end);
        const float factor = pooling_factor(model->settings.config.fields[field].pooling, end - begin);
        for (size_t i = begin; i < end; i++)
            table->entries[table->entry_count++] = (home_entry){.row = table_row(table->config, ids->ids[i]),
                                                                .batch_row = r,
                                                                .column = model->settings.field_column[field],
                                                                .factor = factor};
    }
}

void home_collect_entries(home_model *model, const home_batch *batch) {
    for (size_t t = 0; t < model->settings.config.table_count; t++)
        model->tables[t].entry_count = 0;
    for (size_t f = 0; f < batch->field_count; f++)
        add_entries(model, batch, f);
}

/* Sorts a table's entries by row, stably: by one byte after the other, as many as the largest row has. */
static void sort_entries(home_table *table) {
    for (unsigned shift = 0; shift < 64 && (table->config->rows - 1) >> shift != 0; shift += 8) {
        size_t starts[257] = {0};
        for (size_t i = 0; i < table->entry_count; i++)
            starts[(table->entries[i].row >> shift & 255) + 1]++;
        for (size_t digit = 0; digit < 256; digit++)
            starts[digit + 1] += starts[digit];
        for (size_t i = 0; i < table->entry_count; i++)
            table->sorted[starts[table->entries[i].row >> shift & 255]++] = table->entries[i];
        home_entry *const entries = table->entries;
        const size_t capacity = table->entry_capacity;
        table->entries = table->sorted;
        table->entry_capacity = table->sorted_capacity;
        table->sorted = entries;
        table->sorted_capacity = capacity;
    }
}

/* g_r = sum over the entries of row r of factor dv[batch row, columns of the field], in the order of fields
 * and rows. */
void home_table_reduce(home_table *table, const home_run *run) {
    const home_kernels *kernels = run->model->kernels;
    const size_t dim = table->config->dim;
    sort_entries(table);
    table->touched_count = 0;
    for (size_t i = 0; i < table->entry_count; i++) {
        const home_entry *entry = &table->entries[i];
        const float *dv = home_gradient_row(run, run->model->plan.input, entry->batch_row) + entry->column;
        if (i == 0 || entry->row != entry[-1].row) {
            table->touched[table->touched_count] = entry->row;
            kernels->scale(dim, entry->factor, dv, table->gradient + table->touched_count * dim);
            table->touched_count++;
        } else {
            kernels->scale_add(dim, entry->factor, dv, table->gradient + (table->touched_count - 1) * dim);
        }
    }
}

#endif
