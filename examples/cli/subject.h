/* What the commands that run a model on rows work with: the MODEL and the DATA of their words. */
#ifndef CLI_SUBJECT_H
#define CLI_SUBJECT_H

#include "commands.h"
#include "options.h"
#include "recipe.h"

typedef struct subject {
    const char *model_path;
    const char *data_path;
    home_model *model;
    recipe by;
} subject;

enum { SUBJECT_MAX_FILES = 4 }; /* options of a command that name files */

/* Reads MODEL, DATA and the options. Checks that the files to be written can be, and are none of
 * the other files, and then opens the model. Only where the outcome is DONE is there something to
 * close. */
outcome subject_open(subject *made, char *const *words, int count, const option *options,
                     failure *why);
void subject_close(subject *of);

#endif
