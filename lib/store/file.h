/* Files, whole: read at once, replaced at once. */
#ifndef HOME_FILE_H
#define HOME_FILE_H

#include "../host/memory.h"

/* The bytes of a regular file; homememory_free() them. HOME_E_FILE, HOME_E_MEMORY. */
home_status homefile_read(const home_allocator *allocator, const char *path, unsigned char **data,
                          size_t *size, home_error *error);

/* A file under construction: a temporary one beside the one that it will replace. */
typedef struct homefile {
    const home_allocator *allocator;
    const char *path; /* the caller's */
    char *target;     /* the file at its end: no link */
    char *temporary;
    int descriptor;
    int failure; /* errno of the first failed write, or 0 */
    int cancel;  /* of the thread, to restore: none is canceled between begin and commit */
} homefile;

home_status homefile_begin(const home_allocator *allocator, const char *path, homefile *file,
                           home_error *error);

/* A failure shows in homefile_commit(). */
void homefile_write(homefile *file, const void *bytes, size_t size);

/* Syncs the temporary file and renames it over `path`. When anything failed the old file stays as
 * it was. */
home_status homefile_commit(homefile *file, home_error *error);

#endif
