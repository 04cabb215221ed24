/* The commands of the program. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "failure.h"

typedef enum outcome { OUTCOME_DONE = 0, OUTCOME_FAILED = 1, OUTCOME_USAGE = 2 } outcome;

/* A command gets the words after its name. Unless the outcome is DONE, `why` says what failed. */
typedef struct command {
    const char *name;
    const char *usage; /* the whole page of help */
    outcome (*run)(char *const *words, int count, failure *why);
} command;

extern const command train_command;
extern const command eval_command;
extern const command predict_command;
extern const command info_command;
extern const command inspect_command;
extern const command report_command;

#endif
