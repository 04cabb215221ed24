/* The words of a command line: operands in order, and options as "--name value", "--name=value" or
 * "--flag". */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "failure.h"

#include <stdbool.h>

/* An option, and where its value goes: exactly one of `text`, `whole` and `flag` is set. */
typedef struct option {
    const char *name; /* without the dashes */
    const char **text;
    uint64_t *whole;
    uint64_t least; /* of a whole number */
    uint64_t most;  /* 0: UINT32_MAX */
    bool *flag;     /* takes no value */
} option;

/* Reads words[0 .. count). options[] ends with a NULL name, and has at most 32. There must be
 * exactly operand_count operands, called operand_names in messages. Options that are not there
 * leave their values alone; one that is there twice is an error. */
bool options_read(char *const *words, int count, const option *options,
                  const char *const *operand_names, const char **operands, size_t operand_count,
                  failure *why);

#endif
