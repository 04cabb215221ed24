/* A result that appears whole or not at all: it goes to a temporary file, and to its place when it
 * is complete. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "failure.h"

#include <stdio.h>

typedef struct output {
    const char *path; /* the caller's; NULL: standard output */
    char *temporary;  /* its name, NULL where it has none */
    FILE *file;
} output;

/* Whether a new file could be put at `path`: its folder can be written, and no device or folder is
 * there. */
bool output_check(const char *path, failure *why);

/* A file that a command line names. */
typedef struct named_file {
    const char *name; /* of the option or operand, for messages */
    const char *path; /* NULL: not given */
    bool written;
} named_file;

/* Whether every file that will be written is another than all the others, links and spellings of a
 * path aside. */
bool output_check_apart(const named_file *files, size_t count, failure *why);

bool output_open(output *to, const char *path, failure *why);
bool output_commit(output *to, failure *why);
void output_discard(
    output *to); /* after a failed output_commit() too; a zeroed struct is allowed */

#endif
