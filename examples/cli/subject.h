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

enum { SUBJECT_MAX_OPTIONS = 4 }; /* of a command, besides those that all have */

/* What "home COMMAND --help" says of those. */
#define SUBJECT_OPTIONS_HELP                                                                       \
    "  --threads N       compute on N threads; the result is the same for any number; default 1\n" \
    "  --memory-limit N  the data take at most N MiB of memory; default: three quarters of the\n"  \
    "                    machine's\n"

/* Reads MODEL, DATA, the options and those that all such commands have, --threads and
 * --memory-limit. Checks that the files to be written can be, and are none of
 * the other files, and then opens the model. Only where the outcome is DONE is there something to
 * close. */
outcome subject_open(subject *made, char *const *words, int count, const option *options,
                     failure *why);
void subject_close(subject *of);

#endif
