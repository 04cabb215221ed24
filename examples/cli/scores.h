/* How good predictions were: gathered row by row, shown as a table or as JSON. */
#ifndef CLI_SCORES_H
#define CLI_SCORES_H

#include "dataset.h"

#include <stdio.h>

typedef struct scores {
    const recipe *by;
    home_metrics *metrics;
    size_t rows;
    home_metric_result *results; /* [tasks], by scores_compute() */
} scores;

bool scores_start(scores *made, const recipe *by, failure *why);
void scores_free(scores *made); /* a zeroed struct is allowed */

/* Adds rows with their labels, and the keys of their users where the recipe has them. `subject` is
 * for messages. */
bool scores_add(scores *to, const char *subject, size_t rows, const float *predictions,
                const float *labels, const uint64_t *users, failure *why);

bool scores_compute(scores *of, failure *why);

/* The mean AUC of the tasks that choose the best epoch; those with a single class are left out. NaN
 * where none is left. */
double scores_selection(const scores *of);

void scores_print(const scores *of, FILE *to);

/* {"rows": .., "ids": {column: {"ids", "empty", "unknown"}}, "tasks": {name: {"rows", "positives",
 * "auc", "gauc", "log_loss", "calibration"}}} */
void scores_json(const scores *of, const unknown_ids *unknown, hometext *text);

#endif
