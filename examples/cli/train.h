/* The training loop. */
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

#include "dataset.h"

/* What a run of training works with. */
typedef struct training_job {
    home_model *model;
    const recipe *by;
    const dataset *rows;
    const dataset *validation; /* NULL: none */
    const char *path;          /* of the checkpoint */
    const char *log;           /* NULL: none */
    bool resumable;            /* the checkpoint holds the optimizer's state too */
    const char *resumed;       /* the file that the model is from, NULL: a fresh one */
    uint64_t epochs_before;    /* that it was trained for already; numbers go on from there */
} training_job;

/* Trains as by->training says, prints a table of scores after every epoch, and writes a checkpoint
 * after every epoch that is the best so far on the validation rows (without them after every
 * epoch). A model that was trained before is the best so far until an epoch is better; it is
 * written too where `path` is another file than its own. If it fails or is interrupted, the last
 * checkpoint remains. The results of every epoch go to the log (history.h). */
bool train_model(const training_job *job, failure *why);

#endif
