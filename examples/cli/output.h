/* A result that appears whole or not at all: it goes to a temporary file, and to its place when it is
 * complete. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "failure.h"

#include <stdio.h>

typedef struct output {
    const char *path; /* the caller's; NULL: standard output */
    char *temporary;  /* its name, NULL where it has none */
    FILE *file;
} output;

/* Whether a new file could be put at `path`: its folder can be written, and no device or folder is there. */
bool output_check(const char *path, failure *why);

bool output_open(output *to, const char *path, failure *why);
bool output_commit(output *to, failure *why);
void output_discard(output *to); /* after a failed output_commit() too; a zeroed struct is allowed */

#endif
