/* The results of every epoch of training, task by task: a CSV file that "home train --log" writes
 * and "home report" draws. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "scores.h"

/* An epoch, to be written. */
typedef struct history_epoch {
    uint64_t epoch;       /* from 1 */
    uint64_t steps;       /* since the first */
    double seconds;       /* the same */
    const double *losses; /* [tasks] means over the training rows */
    const scores *seen;
    bool validated; /* `seen` is of validation rows; otherwise of the training rows, each before it
                       was trained on */
} history_epoch;

/* Starts the file with its header. history_continue() leaves a file that begins with that header as
 * it is. */
bool history_start(const char *path, failure *why);
bool history_continue(const char *path, failure *why);

/* Adds a line per task, all at once: a reader sees whole epochs while training goes on. */
bool history_add(const char *path, const history_epoch *what, failure *why);

/* The figures that are kept, in the order of their columns. */
typedef enum history_figure {
    HISTORY_LOSS, /* in training */
    HISTORY_AUC,
    HISTORY_GAUC,
    HISTORY_LOG_LOSS,
    HISTORY_CALIBRATION,
    HISTORY_FIGURES
} history_figure;

/* A file that was read. */
typedef struct history {
    size_t tasks;
    size_t epochs;
    size_t capacity; /* in epochs */
    double *figures; /* [epochs, tasks, HISTORY_FIGURES], NaN: not defined */
    double *numbers; /* [epochs] of the epochs themselves */
    bool validated;
} history;

/* Reads the lines of the recipe's tasks and skips others. Where the epochs' numbers go back,
 * because training was resumed from an earlier epoch, the later lines count. */
bool history_read(history *made, const recipe *by, const char *path, failure *why);
void history_free(history *made); /* a zeroed struct is allowed */

double history_at(const history *of, size_t epoch, size_t task, history_figure figure);

#endif
