/* The words of a command line: operands in order, and options as "--name value", "--name=value" or
 * "--flag". */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "failure.h"

#include <stdbool.h>

/* What the text of an option names. */
typedef enum option_file {
    OPTION_NO_FILE,
    OPTION_FILE_READ,
    OPTION_FILE_WRITTEN,
} option_file;

/* An option, and where its value goes: exactly one of `text`, `whole` and `flag` is set. */
typedef struct option {
    const char *name; /* without the dashes */
    const char **text;
    uint64_t *whole;
    bool *flag;           /* takes no value */
    option_file file;     /* of a text */
    const char *required; /* of a text: what is expected where it is not given; NULL: optional */
    uint64_t min;         /* of a whole number */
    uint64_t max;         /* 0: UINT32_MAX */
} option;

/* Reads words[0 .. count). options[] ends with a NULL name, and has at most 32. There must be
 * exactly operand_count operands, called operand_names in messages. Options that are not given
 * leave their values alone; one that is given twice is an error. */
bool options_read(char *const *words, int count, const option *options,
                  const char *const *operand_names, const char **operands, size_t operand_count,
                  failure *why);

/* Whether a path is "-", which means standard input or standard output. NULL is not. */
bool options_is_dash(const char *path);

/* The error where a path is "-" and only a file can be meant. */
bool options_no_dash(const char *name, const char *path, failure *why);

#endif
