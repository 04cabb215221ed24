#include "rows.h"

#include <math.h>
#include <stdio.h>

static void make_dense(float *dense, size_t width) {
    for (size_t r = 0; r < ROWS; r++)
        for (size_t c = 0; c < width; c++)
            dense[r * width + c] = (float)((37 * r + 11 * c + r * c) % 64) / 32.0f - 1.0f;
}

static void make_ids(rows *out, size_t field) {
    size_t count = 0;
    for (size_t r = 0; r < ROWS; r++) {
        const size_t ids = field == 0 ? 1 : (r + field) % 3;
        out->offsets[field][r] = count;
        for (size_t k = 0; k < ids; k++)
            out->ids[field][count++] =
                (uint64_t)(131 * (r % 16) + 17 * field + k + 1) * UINT64_C(0x9E3779B97F4A7C15);
    }
    out->offsets[field][ROWS] = count;
    out->fields[field] = (home_ids){.struct_size = sizeof(home_ids),
                                    .ids = out->ids[field],
                                    .offsets = field == 0 ? NULL : out->offsets[field]};
}

static void make_labels(float *labels, size_t tasks) {
    for (size_t r = 0; r < ROWS; r++)
        for (size_t t = 0; t < tasks; t++)
            labels[r * tasks + t] = (r + t) % 7 == 0 ? NAN : (float)((r % 16 + t) % 3 == 0);
}

home_status make_rows(rows *out, const home_model *model, home_error *error) {
    const size_t columns = home_model_dense_width(model);
    const size_t fields = home_model_field_count(model);
    const size_t tasks = home_model_task_count(model);
    if (columns > MAX_COLUMNS || fields > MAX_FIELDS || tasks > MAX_TASKS) {
        snprintf(error->message, sizeof error->message,
                 "the model has %zu dense values, %zu fields and %zu tasks, expected at most %d, "
                 "%d and %d",
                 columns, fields, tasks, MAX_COLUMNS, MAX_FIELDS, MAX_TASKS);
        return HOME_E_ARGUMENT;
    }
    make_dense(out->dense, columns);
    for (size_t f = 0; f < fields; f++)
        make_ids(out, f);
    make_labels(out->labels, tasks);
    out->batch = (home_batch){.struct_size = sizeof out->batch,
                              .rows = ROWS,
                              .dense = out->dense,
                              .fields = out->fields,
                              .field_count = fields};
    out->targets = (home_targets){.struct_size = sizeof out->targets, .labels = out->labels};
    return HOME_OK;
}
