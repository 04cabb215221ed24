#include "batch.h"

#include "heap.h"

#include "../../lib/host/random.h"

#include <string.h>

bool batch_start(batch *made, const recipe *by, size_t rows, failure *why) {
    const size_t width = recipe_dense_width(by);
    *made = (batch){.by = by};
    made->inputs = (home_batch){.struct_size = sizeof made->inputs};
    made->targets = (home_targets){.struct_size = sizeof made->targets};
    made->ids = heap_new(by->field_count, sizeof *made->ids);
    made->fields = heap_new(by->field_count, sizeof *made->fields);
    made->weights = heap_new(rows, sizeof *made->weights);
    made->users = heap_new(rows, sizeof *made->users);
    if (rows <= SIZE_MAX / (width + by->label_count)) {
        made->dense = heap_new(rows * width, sizeof *made->dense);
        made->labels = heap_new(rows * by->label_count, sizeof *made->labels);
    }
    bool room =
        made->ids && made->fields && made->weights && made->users && made->dense && made->labels;
    for (size_t f = 0; room && f < by->field_count; f++) {
        if (by->fields[f].separator)
            made->ids[f].offsets = heap_new(rows + 1, sizeof *made->ids[f].offsets);
        room = !by->fields[f].separator || made->ids[f].offsets;
    }
    if (room)
        return true;
    batch_free(made);
    return fail_memory(why);
}

static void free_ids(batch *made) {
    for (size_t f = 0; f < made->by->field_count; f++) {
        heap_free(made->ids[f].ids);
        heap_free(made->ids[f].offsets);
    }
}

void batch_free(batch *made) {
    if (made->ids)
        free_ids(made);
    heap_free(made->ids);
    heap_free(made->fields);
    heap_free(made->dense);
    heap_free(made->labels);
    heap_free(made->weights);
    heap_free(made->users);
    memset(made, 0, sizeof *made);
}

/* ----------------------------------------------------------------------------------------- fill */

/* Which rows of which data a batch gets. */
typedef struct choice {
    const dataset *data;
    const size_t *order;
    size_t first;
    size_t count;
} choice;

static size_t chosen_row(const choice *of, size_t i) {
    return of->order ? of->order[of->first + i] : of->first + i;
}

static void fill_dense(batch *made, const choice *of) {
    const recipe *by = made->by;
    float *to = made->dense;
    for (size_t i = 0; i < of->count; i++) {
        const float *from = dataset_dense(of->data, chosen_row(of, i));
        for (size_t d = 0; d < by->dense_count; d++) {
            transform_expand(&by->dense[d].change, from[d], to);
            to += transform_width(&by->dense[d].change);
        }
    }
}

static void fill_targets(batch *made, const choice *of) {
    const size_t tasks = made->by->label_count;
    for (size_t i = 0; i < of->count; i++) {
        const size_t row = chosen_row(of, i);
        memcpy(made->labels + i * tasks, of->data->labels + row * tasks,
               tasks * sizeof *made->labels);
        made->weights[i] = of->data->weights[row];
        made->users[i] = of->data->users[row];
    }
}

static uint64_t drop(uint64_t row, double probability, uint64_t *dropout) {
    return dropout && probability > 0 && homerandom_uniform(dropout) < probability ? 0 : row;
}

static bool reserve_ids(batch_ids *ids, size_t needed, failure *why) {
    uint64_t *grown = heap_grow(ids->ids, &ids->capacity, needed, sizeof *grown);
    if (!grown)
        return fail_memory(why);
    ids->ids = grown;
    return true;
}

static bool fill_ids(batch *made, const choice *of, size_t f, uint64_t *dropout, failure *why) {
    const id_values *from = &of->data->ids[f];
    batch_ids *to = &made->ids[f];
    size_t count = 0;
    for (size_t i = 0; i < of->count; i++) {
        const size_t row = chosen_row(of, i);
        const size_t begin = to->offsets ? from->offsets[row] : row;
        const size_t end = to->offsets ? from->offsets[row + 1] : row + 1;
        if (!reserve_ids(to, count + (end - begin) + 1, why))
            return false;
        for (size_t at = begin; at < end; at++)
            to->ids[count++] = drop(from->rows[at], made->by->fields[f].dropout, dropout);
        if (to->offsets)
            to->offsets[i + 1] = count;
    }
    made->fields[f] =
        (home_ids){.struct_size = sizeof(home_ids), .ids = to->ids, .offsets = to->offsets};
    return true;
}

bool batch_fill(batch *made, const dataset *data, const size_t *order, size_t first, size_t count,
                uint64_t *dropout, failure *why) {
    const choice of = {data, order, first, count};
    for (size_t f = 0; f < made->by->field_count; f++) {
        if (!fill_ids(made, &of, f, dropout, why))
            return false;
    }
    fill_dense(made, &of);
    fill_targets(made, &of);
    made->inputs.rows = count;
    made->inputs.dense = made->dense;
    made->inputs.fields = made->fields;
    made->inputs.field_count = made->by->field_count;
    made->targets.labels = made->labels;
    made->targets.row_weights = made->weights;
    return true;
}
