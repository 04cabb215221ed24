/* The made-up rows that the examples of all languages use: a few integer operations, and numbers
 * that a float holds exactly, so they are the same everywhere. For row r, dense column c, field f,
 * task t:
 *
 *     dense[r][c] = (37 r + 11 c + r c) mod 64 / 32 - 1
 *     ids         = one in field 0, (r + f) mod 3 in the others; number k is
 *                   (131 (r mod 16) + 17 f + k + 1) * 0x9E3779B97F4A7C15 mod 2^64
 *     label[r][t] = 1 where (r mod 16 + t) mod 3 = 0, else 0; missing where (r + t) mod 7 = 0 */
#ifndef ROWS_H
#define ROWS_H

#include <home/home.h>

enum { ROWS = 64, MAX_COLUMNS = 16, MAX_FIELDS = 4, MAX_TASKS = 8 };

typedef struct rows {
    float dense[ROWS * MAX_COLUMNS];
    uint64_t ids[MAX_FIELDS][ROWS * 2];
    size_t offsets[MAX_FIELDS][ROWS + 1];
    home_ids fields[MAX_FIELDS];
    float labels[ROWS * MAX_TASKS];
    home_batch batch;     /* points into the above: not to be copied */
    home_targets targets; /* as well */
} rows;

/* Fills the rows for what a model takes and gives. HOME_E_ARGUMENT where that is more than the
 * constants above. */
home_status make_rows(rows *out, const home_model *model, home_error *error);

#endif
