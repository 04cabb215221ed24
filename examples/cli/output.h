/* A result that appears whole or not at all: it is written to a temporary file, which takes the
 * place of its target when it is complete (lib/store/file.h), or is copied to a stream
 * (destination.h).
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "destination.h"

#include "../../lib/store/file.h"

#include <stdio.h>

typedef struct output {
    destination to;
    FILE *file;        /* what is written to */
    homefile replaces; /* of a DESTINATION_FILE */
    bool begun;        /* `replaces` wants its end */
} output;

/* Whether a result can be put at `path`, a file or a stream; "-" is standard output. */
bool output_check(const char *path, failure *why);

/* The same where only a regular file will do: a model, which is replaced after every epoch, and a
 * log, which is not replaced but added to in its place. */
bool output_check_model(const char *path, failure *why);
bool output_check_log(const char *path, failure *why);

/* Whether a path means standard output, "-" or by a name that the system has for it. NULL does
 * not. */
bool output_is_standard(const char *path);

/* A file that a command line names. */
typedef struct named_file {
    const char *name; /* of the option or operand, for messages */
    const char *path; /* NULL: not given */
    bool written;
} named_file;

/* Whether every file to be written differs from all the others, whatever the links and spellings of
 * their paths. */
bool output_check_apart(const named_file *files, size_t count, failure *why);

/* NULL is standard output. */
bool output_open(output *to, const char *path, failure *why);
bool output_commit(output *to, failure *why);

/* Needed after output_commit() too; a zeroed struct is allowed. */
void output_discard(output *to);

#endif
