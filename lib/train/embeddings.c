/* Which table rows a batch reads, and the way back from dv to their gradients:
 *
 *     forward    entries    (row 7, batch row 0) (row 3, batch row 0) (row 7, batch row 2)
 *     backward   sorted     (row 3, batch row 0) (row 7, batch row 0) (row 7, batch row 2)
 *                touched     3                    7
 *                gradient   | dv[0]              | dv[0] + dv[2]     |   each times its factor
 *
 * Only touched rows have gradients, so a step costs what the batch reads, whatever a table's size.
 * The sort is stable: the terms of a row are added in the order of fields and rows, always the
 * same. */
#include "training.h"

#include "../host/sort.h"
#include "../model/input.h"

/* Ids of a field in the whole batch. */
static size_t id_count(const home_ids *ids, size_t rows) {
    return ids->offsets ? ids->offsets[rows] - ids->offsets[0] : rows;
}

/* Room for `count` entries, and for what backward makes of them, so that backward cannot run out of
 * memory. */
static bool reserve_entries(const home_allocator *allocator, homeembedding *e, size_t dim,
                            size_t count) {
    return homememory_grow(allocator, (void **)&e->entries, &e->entry_capacity, count,
                           sizeof *e->entries) &&
           homememory_grow(allocator, (void **)&e->sorted, &e->sorted_capacity, count,
                           sizeof *e->sorted) &&
           homememory_grow(allocator, (void **)&e->touched, &e->touched_capacity, count,
                           sizeof *e->touched) &&
           homememory_grow(allocator, (void **)&e->gradient, &e->gradient_capacity, count,
                           dim * sizeof *e->gradient);
}

home_status homeembedding_reserve(home_model *model, const home_batch *batch, home_error *error) {
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        size_t count = 0;
        for (size_t f = 0; f < batch->field_count; f++)
            if (model->settings.field_table[f] == t &&
                !homesize_add(count, id_count(&batch->fields[f], batch->rows), &count))
                return homefail(error, HOME_E_TOO_LARGE, "field \"%.60s\" has too many ids",
                                model->settings.config.fields[f].name);
        if (!reserve_entries(&model->allocator, &model->training->embeddings[t],
                             model->tables[t].config->dim, count))
            return homefail_memory(error);
    }
    return HOME_OK;
}

static void add_entries(const home_model *model, const home_batch *batch, size_t field) {
    const size_t t = model->settings.field_table[field];
    const home_table_config *table = model->tables[t].config;
    homeembedding *e = &model->training->embeddings[t];
    const home_ids *ids = &batch->fields[field];
    for (size_t r = 0; r < batch->rows; r++) {
        size_t begin;
        size_t end;
        homeinput_id_range(ids, r, &begin, &end);
        const float factor =
            homeinput_pooling_factor(model->settings.config.fields[field].pooling, end - begin);
        for (size_t i = begin; i < end; i++)
            e->entries[e->entry_count++] =
                (homeembedding_entry){.row = homeinput_table_row(table, ids->ids[i]),
                                      .batch_row = r,
                                      .column = model->settings.field_column[field],
                                      .factor = factor};
    }
}

void homeembedding_collect(home_model *model, const home_batch *batch) {
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
static void reduce_table(const home_model *model, const homerun *run, size_t t) {
    const homekernels *kernels = model->kernels;
    const size_t dim = model->tables[t].config->dim;
    homeembedding *e = &model->training->embeddings[t];
    sort_entries(e, model->tables[t].config->rows);
    e->touched_count = 0;
    for (size_t i = 0; i < e->entry_count; i++) {
        const homeembedding_entry *entry = &e->entries[i];
        const float *dv =
            homerun_gradient_row(run, model->plan.input, entry->batch_row) + entry->column;
        if (i == 0 || entry->row != entry[-1].row) {
            e->touched[e->touched_count] = entry->row;
            kernels->scale(dim, entry->factor, dv, e->gradient + e->touched_count * dim);
            e->touched_count++;
        } else {
            kernels->scale_add(dim, entry->factor, dv, e->gradient + (e->touched_count - 1) * dim);
        }
    }
}

void homeembedding_reduce(home_model *model, const homerun *run) {
    for (size_t t = 0; t < model->settings.config.table_count; t++)
        reduce_table(model, run, t);
}
