/* What a file seems to be by its first bytes, for messages about one in the place of another. */
#ifndef CLI_KIND_H
#define CLI_KIND_H

#include "failure.h"

typedef enum file_kind {
    KIND_UNKNOWN, /* also what cannot be read, or not twice, as a pipe */
    KIND_CHECKPOINT,
    KIND_GZIP,
    KIND_JSON,
    KIND_PAGE,
    KIND_TABLE,
    KIND_EMPTY,
} file_kind;

#define KIND_BYTES ((size_t)16) /* tell all kinds but a table */

file_kind kind_of_bytes(const char *bytes, size_t count);
file_kind kind_of_file(const char *path);

/* "a CSV table"; NULL for KIND_UNKNOWN. */
const char *kind_name(file_kind kind);

/* The error where a file certainly is no checkpoint. `expected` ends it. */
bool kind_check_checkpoint(const char *path, const char *expected, failure *why);

#endif
