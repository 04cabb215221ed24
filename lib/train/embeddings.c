/* Which table rows a batch reads, and the way back from dv to their gradients:
 *
 *     forward    entries    (row 7, batch row 0) (row 3, batch row 0) (row 7, batch row 2)
 *     backward   sorted     (row 3, batch row 0) (row 7, batch row 0) (row 7, batch row 2)
 *                rows        3                    7
 *                values     | dv[0]              | dv[0] + dv[2]     |   each times its factor
 *
 * Only touched rows have gradients, so a step costs what the batch reads, whatever a table's size.
 * The sort is stable: the terms of a row are added in the order of fields and rows, always the
 * same. Where a batch comes in parts, the rows of each part are merged into those before:
 *
 *     total       3       7              part       5       7
 *                | a     | b     |                 | c     | d     |
 *     merged      3       5       7
 *                | a     | c     | b + d |
 */
#include "training.h"

#include "../host/sort.h"

#include <string.h>

/* Ids of a field in the whole batch. */
static size_t id_count(const homebatch *batch, size_t field) {
    const home_ids ids = homeinput_field(batch, field);
    return ids.offsets ? ids.offsets[batch->rows] - ids.offsets[0] : batch->rows;
}

static bool reserve_rows(const home_allocator *allocator, homerow_gradients *gradients, size_t dim,
                         size_t count) {
    return homememory_grow(allocator, (void **)&gradients->rows, &gradients->row_capacity, count,
                           sizeof *gradients->rows) &&
           homememory_grow(allocator, (void **)&gradients->values, &gradients->value_capacity,
                           count, dim * sizeof *gradients->values);
}

static bool reserve_entries(const home_allocator *allocator, homeembedding *e, size_t count) {
    return homememory_grow(allocator, (void **)&e->entries, &e->entry_capacity, count,
                           sizeof *e->entries) &&
           homememory_grow(allocator, (void **)&e->sorted, &e->sorted_capacity, count,
                           sizeof *e->sorted);
}

/* Room for the entries, and for what a backward that adds to nothing makes of them, so that it
 * cannot run out of memory. */
home_status homeembedding_reserve(home_model *model, const homebatch *batch, home_error *error) {
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        size_t count = 0;
        for (size_t f = 0; f < batch->field_count; f++)
            if (model->settings.field_table[f] == t &&
                !homesize_add(count, id_count(batch, f), &count))
                return homefail(error, HOME_E_TOO_LARGE, "field \"%.60s\" has too many ids",
                                model->settings.config.fields[f].name);
        homeembedding *e = &model->training->embeddings[t];
        if (!reserve_entries(&model->allocator, e, count) ||
            !reserve_rows(&model->allocator, &e->total, model->tables[t].config->dim, count))
            return homefail_memory(error);
    }
    return HOME_OK;
}

home_status homeembedding_reserve_part(home_model *model, home_error *error) {
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        homeembedding *e = &model->training->embeddings[t];
        if (!reserve_rows(&model->allocator, &e->part, model->tables[t].config->dim,
                          e->entry_count))
            return homefail_memory(error);
    }
    return HOME_OK;
}

/* As many rows as there may be once the part is added; never more than the table has. */
home_status homeembedding_reserve_sum(home_model *model, home_error *error) {
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        const home_table_config *table = model->tables[t].config;
        homeembedding *e = &model->training->embeddings[t];
        size_t count;
        if (!homesize_add(e->total.count, e->entry_count, &count) || count > table->rows)
            count = (size_t)table->rows;
        if (!reserve_rows(&model->allocator, &e->total, table->dim, count))
            return homefail_memory(error);
    }
    return HOME_OK;
}

static void add_entries(const home_model *model, const homebatch *batch, size_t field) {
    const size_t t = model->settings.field_table[field];
    const home_table_config *table = model->tables[t].config;
    homeembedding *e = &model->training->embeddings[t];
    const int32_t pooling = model->settings.config.fields[field].pooling;
    const home_ids ids = homeinput_field(batch, field);
    for (size_t r = 0; r < batch->rows; r++) {
        const homeinput_row row = homeinput_row_of(&ids, pooling, r);
        for (size_t i = row.begin; i < row.end; i++)
            e->entries[e->entry_count++] =
                (homeembedding_entry){.row = homeinput_table_row(table, ids.ids[i]),
                                      .batch_row = r,
                                      .column = model->settings.field_column[field],
                                      .factor = homeinput_factor(&ids, &row, i)};
    }
}

void homeembedding_collect(home_model *model, const homebatch *batch) {
    for (size_t t = 0; t < model->settings.config.table_count; t++)
        model->training->embeddings[t].entry_count = 0;
    for (size_t f = 0; f < batch->field_count; f++)
        add_entries(model, batch, f);
}

/* Sorts a table's entries by row, stably. */
static void sort_entries(homeembedding *e, uint64_t rows) {
    if (homesort_by_key(e->entries, e->sorted, e->entry_count, sizeof *e->entries,
                        offsetof(homeembedding_entry, row), rows - 1) == e->entries)
        return;
    homeembedding_entry *const entries = e->entries;
    const size_t capacity = e->entry_capacity;
    e->entries = e->sorted;
    e->entry_capacity = e->sorted_capacity;
    e->sorted = entries;
    e->sorted_capacity = capacity;
}

/* g_r = sum over the entries of row r of factor dv[batch row, columns of the field], in the order
 * of fields and rows. */
static void reduce_table(const home_model *model, size_t t, homerows dv, homerow_gradients *into) {
    const homekernels *kernels = model->kernels;
    const size_t dim = model->tables[t].config->dim;
    homeembedding *e = &model->training->embeddings[t];
    sort_entries(e, model->tables[t].config->rows);
    into->count = 0;
    for (size_t i = 0; i < e->entry_count; i++) {
        const homeembedding_entry *entry = &e->entries[i];
        const float *g = dv.at + entry->batch_row * dv.row + entry->column;
        if (i == 0 || entry->row != entry[-1].row) {
            into->rows[into->count] = entry->row;
            kernels->scale(dim, entry->factor, g, into->values + into->count * dim);
            into->count++;
        } else {
            kernels->scale_add(dim, entry->factor, g, into->values + (into->count - 1) * dim);
        }
    }
}

static homerows input_gradient(const home_model *model, const homerun *run) {
    return (homerows){homerun_gradient_row(run, model->plan.input, 0),
                      homerun_stride(run, model->plan.input)};
}

void homeembedding_reduce(home_model *model, const homerun *run) {
    for (size_t t = 0; t < model->settings.config.table_count; t++)
        reduce_table(model, t, input_gradient(model, run), &model->training->embeddings[t].total);
}

void homeembedding_reduce_part(home_model *model, const homerun *run) {
    for (size_t t = 0; t < model->settings.config.table_count; t++)
        reduce_table(model, t, input_gradient(model, run), &model->training->embeddings[t].part);
}

/* ---------------------------------------------------------------------------------------- parts */

/* Rows that are in one of the two or in both. */
static size_t count_union(const homerow_gradients *a, const homerow_gradients *b) {
    size_t i = 0;
    size_t j = 0;
    size_t count = 0;
    while (i < a->count && j < b->count) {
        const uint64_t x = a->rows[i];
        const uint64_t y = b->rows[j];
        i += x <= y;
        j += y <= x;
        count++;
    }
    return count + (a->count - i) + (b->count - j);
}

static void put_row(homerow_gradients *into, size_t at, uint64_t row, const float *values,
                    size_t dim) {
    into->rows[at] = row;
    memcpy(into->values + at * dim, values, dim * sizeof *values);
}

/* Merges a part into the total, which has room for both, in place: from the last row down, for a
 * row of the total only moves up. */
static void merge(const homekernels *kernels, size_t dim, homerow_gradients *total,
                  const homerow_gradients *part) {
    size_t i = total->count;
    size_t j = part->count;
    size_t at = count_union(total, part);
    total->count = at;
    while (j > 0) {
        const uint64_t row = part->rows[j - 1];
        at--;
        if (i == 0 || total->rows[i - 1] < row) {
            j--;
            put_row(total, at, row, part->values + j * dim, dim);
            continue;
        }
        i--;
        const bool both = total->rows[i] == row;
        if (at != i)
            put_row(total, at, total->rows[i], total->values + i * dim, dim);
        if (both) {
            j--;
            kernels->scale_add(dim, 1, part->values + j * dim, total->values + at * dim);
        }
    }
}

void homeembedding_add_part(home_model *model) {
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        homeembedding *e = &model->training->embeddings[t];
        merge(model->kernels, model->tables[t].config->dim, &e->total, &e->part);
    }
}

/* The entries of the last forward, which have done their work, make room for these. */
home_status homeembedding_fill_part(home_model *model, size_t table, const uint64_t *rows,
                                    size_t count, homerows gradient, home_error *error) {
    homeembedding *e = &model->training->embeddings[table];
    if (!reserve_entries(&model->allocator, e, count) ||
        !reserve_rows(&model->allocator, &e->part, model->tables[table].config->dim, count))
        return homefail_memory(error);
    for (size_t i = 0; i < count; i++)
        e->entries[i] = (homeembedding_entry){.row = rows[i], .batch_row = i, .factor = 1};
    e->entry_count = count;
    reduce_table(model, table, gradient, &e->part);
    return HOME_OK;
}

void homeembedding_take_part(home_model *model, size_t table) {
    homeembedding *e = &model->training->embeddings[table];
    const homerow_gradients total = e->total;
    e->total = e->part;
    e->part = total;
}
