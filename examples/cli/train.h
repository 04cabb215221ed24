/* The training loop. */
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

#include "dataset.h"

/* Trains as by->training says, prints a table of scores after every epoch, and writes a checkpoint to `path`
 * after every epoch that is the best so far on `validation` (NULL: after every epoch). When it fails or is
 * interrupted, the last of these is there. What every epoch gave goes to the file `log` (NULL: none), see history.h. */
bool train_model(home_model *model, const recipe *by, const dataset *rows, const dataset *validation,
                 const char *path, const char *log, failure *why);

#endif
