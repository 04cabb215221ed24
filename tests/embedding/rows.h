/* A small model and rows for it, the same on every machine, for the programs that test_embedding.sh
 * builds. */
#ifndef TESTS_EMBEDDING_ROWS_H
#define TESTS_EMBEDDING_ROWS_H

#include "home/home.h"

#include <stdio.h>
#include <string.h>

static const char config[] =
    "{\"dense\": 6,"
    " \"tables\": [{\"name\": \"user\", \"rows\": 50, \"dim\": 4},"
    "  {\"name\": \"tag\", \"rows\": 20, \"dim\": 3, \"index\": \"hashed\"}],"
    " \"fields\": [{\"name\": \"user\"}, {\"name\": \"tags\", \"table\": \"tag\", \"pooling\": "
    "\"mean\"},"
    "  {\"name\": \"seen\", \"table\": \"tag\"}],"
    " \"tasks\": [{\"name\": \"click\", \"group\": \"act\"},"
    "  {\"name\": \"buy\", \"group\": \"act\", \"given\": \"click\"},"
    "  {\"name\": \"time\", \"group\": \"watch\", \"loss\": \"squared\"}],"
    " \"layers\": [{\"width\": 24, \"hidden\": [20], \"shared_experts\": 2}, {\"width\": 9}],"
    " \"tower\": {\"hidden\": [7]}}";

enum { ROWS = 100, DENSE = 6, FIELDS = 3, TASKS = 3 };

typedef struct row_data {
    float dense[ROWS][DENSE];
    float labels[ROWS][TASKS];
    uint64_t ids[FIELDS][3 * ROWS];
    size_t offsets[ROWS + 1]; /* of the last two fields: none, one, two, three, none... */
    home_ids fields[FIELDS];
    home_batch batch;
} row_data;

static inline uint32_t next_number(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static inline void fill_rows(row_data *d) {
    uint32_t state = 1;
    memset(d, 0, sizeof *d);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < DENSE; i++)
            d->dense[r][i] = (float)(next_number(&state) % 2001) / 1000 - 1;
        for (size_t t = 0; t < TASKS; t++)
            d->labels[r][t] = next_number(&state) % 3 == 0 ? 1.0f : 0.0f;
        for (size_t f = 0; f < FIELDS; f++)
            for (size_t i = 0; i < 3; i++)
                d->ids[f][3 * r + i] = next_number(&state) % 50;
        d->offsets[r + 1] = d->offsets[r] + r % 4;
    }
    for (size_t f = 0; f < FIELDS; f++)
        d->fields[f] = (home_ids){.struct_size = sizeof(home_ids),
                                  .ids = d->ids[f],
                                  .offsets = f == 0 ? NULL : d->offsets};
    d->batch = (home_batch){sizeof d->batch, ROWS, d->dense[0], 0, d->fields, FIELDS};
}

/* Every bit of them. */
static inline void print_predictions(const float *predictions) {
    for (size_t i = 0; i < (size_t)ROWS * TASKS; i++)
        printf("%a%c", (double)predictions[i], i % TASKS == TASKS - 1 ? '\n' : ' ');
}

#endif
