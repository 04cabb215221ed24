/* The bytes of a data file: as they are, or through `gzip -dc` where the name ends in .gz. Where
 * that takes long, it shows how far it is (progress.h). */
#ifndef CLI_SOURCE_H
#define CLI_SOURCE_H

#include "failure.h"
#include "progress.h"

#include <sys/types.h>

typedef struct source {
    const char *path; /* the caller's, or what messages call standard input */
    int descriptor;   /* -1: closed */
    pid_t child;      /* gzip, 0: none */
    bool ended;
    bool zipped;
    int compressed; /* what gzip reads, where `zipped`; its place tells how far it is */
    uint64_t bytes; /* read so far */
    reading shown;
} source;

/* The path "-" is standard input. */
bool source_open(source *from, const char *path, failure *why);

/* Reads up to `capacity` bytes; *count is 0 only at the end. */
bool source_read(source *from, char *bytes, size_t capacity, size_t *count, failure *why);

/* Can be called at any time, and on a zeroed struct with descriptor -1. */
void source_close(source *from);

#endif
