/* Files, whole: read at once, replaced at once. */
#ifndef HOME_FILE_H
#define HOME_FILE_H

#include "memory.h"

/* The bytes of a regular file; home_deallocate() them. HOME_E_FILE, HOME_E_MEMORY. */
home_status home_file_read(const home_allocator *allocator, const char *path, unsigned char **data,
                           size_t *size, home_error *error);

/* A file under construction: a temporary one beside the one that it will replace. */
typedef struct home_file {
    const home_allocator *allocator;
    const char *path; /* the caller's */
    char *target;     /* the file at its end: no link */
    char *temporary;
    int descriptor;
    int failure; /* errno of the first failed write, or 0 */
} home_file;

home_status home_file_begin(const home_allocator *allocator, const char *path, home_file *file,
                            home_error *error);
void home_file_write(home_file *file, const void *bytes,
                     size_t size); /* a failure shows in home_file_commit() */

/* Syncs the temporary file and renames it over `path`. When anything failed the old file stays as it was. */
home_status home_file_commit(home_file *file, home_error *error);

#endif
