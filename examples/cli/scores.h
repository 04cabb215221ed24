/* How good predictions were: gathered row by row, shown as a table or as JSON. */
#ifndef CLI_SCORES_H
#define CLI_SCORES_H

#include "dataset.h"

#include <stdio.h>

typedef struct scores {
    const recipe *by;
    home_metrics *metrics;
    size_t rows;
    size_t no_user_rows;         /* of these, where the recipe has users */
    home_metric_result *results; /* [tasks], by scores_compute() */
} scores;

bool scores_start(scores *made, const recipe *by, failure *why);
void scores_free(scores *made); /* a zeroed struct is allowed */

/* Adds rows with their labels, and the keys of their users where the recipe has them. `subject` is
 * for messages. */
bool scores_add(scores *to, const char *subject, size_t rows, const float *predictions,
                const float *labels, const uint64_t *users, failure *why);

bool scores_compute(scores *of, failure *why);

/* The mean AUC of the tasks that choose the best epoch, or of all. */
typedef struct score_mean {
    double auc;       /* NaN where no task has one */
    size_t tasks;     /* that have one */
    size_t undefined; /* that are left out: all their labels are of one class, or missing */
} score_mean;
score_mean scores_mean_auc(const scores *of, bool selected);

/* "mean AUC" of the selected tasks and, if some have none, of how many; no line's end. */
void scores_print_mean(const scores *of, FILE *to);

/* The table, and how many rows had no user. */
void scores_print(const scores *of, FILE *to);

/* {"rows": .., "ids": {column: {"ids", "empty", "unknown"}}, "tasks": {name: {"rows",
 * "no_user_rows", "positives", "auc", "gauc", "log_loss", "calibration"}}} */
void scores_json(const scores *of, const unknown_ids *unknown, hometext *text);

#endif
