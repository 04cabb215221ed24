/* Where a command's result goes: a file that is replaced as a whole, or a stream, which is written
 * to when all of it is there. */
#ifndef CLI_DESTINATION_H
#define CLI_DESTINATION_H

#include "failure.h"

#include <stdio.h>

typedef enum destination_kind {
    DESTINATION_FILE,   /* a regular file, or a name that is free */
    DESTINATION_STREAM, /* a pipe, a terminal or another device, or something that is open already
                         */
} destination_kind;

typedef struct destination {
    const char *path; /* the caller's, or what messages call standard output */
    destination_kind kind;
    int descriptor; /* of a stream that is open already ("-", /dev/stdout, /dev/fd/5); else -1 */
} destination;

/* What is at a path, links followed; an error for a folder and the like. NULL is standard output,
 * as "-" is. */
bool destination_find(destination *made, const char *path, failure *why);

/* Whether a result can be put there, to be told before the work that it costs. */
bool destination_check(const destination *of, failure *why);

/* Copies all of `from` to a stream. */
bool destination_copy(const destination *to, FILE *from, failure *why);

#endif
