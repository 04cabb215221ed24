/* A result that appears whole or not at all: it is written to a temporary file, which moves into
 * place when it is complete. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "failure.h"

#include <stdio.h>

typedef struct output {
    const char *path; /* the caller's; NULL: standard output, also for a path "-" */
    char *temporary;  /* its name, NULL where it has none */
    FILE *file;
} output;

/* Whether a file can be put at `path`: its folder is writable, and the path is free or a regular
 * file. */
bool output_check(const char *path, failure *why);

/* A file that a command line names. */
typedef struct named_file {
    const char *name; /* of the option or operand, for messages */
    const char *path; /* NULL: not given */
    bool written;
} named_file;

/* Whether every file to be written differs from all the others, whatever the links and spellings of
 * their paths. */
bool output_check_apart(const named_file *files, size_t count, failure *why);

bool output_open(output *to, const char *path, failure *why);
bool output_commit(output *to, failure *why);

/* Needed after output_commit() too, if that failed; a zeroed struct is allowed. */
void output_discard(output *to);

#endif
