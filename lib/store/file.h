/* Files: read piece by piece, replaced at once. */
#ifndef HOME_FILE_H
#define HOME_FILE_H

#include "../host/memory.h"

/* Bytes to be read in their order: a regular file's, or those in memory of the caller's. */
typedef struct homestream {
    const char *path; /* the caller's; NULL: memory */
    int descriptor;
    const unsigned char *memory;
    size_t size; /* of all */
    size_t at;   /* the next one to be read */
    int cancel;  /* of a file: the state of cancellation before it was opened */
} homestream;

/* Opens a file; homestream_close() it. The thread cannot be cancelled in between.
 * HOME_E_FILE; HOME_E_TOO_LARGE. */
home_status homestream_open(const char *path, homestream *stream, home_error *error);
homestream homestream_in_memory(const void *data, size_t size);
void homestream_close(const homestream *stream);

/* Leaves out the next `size` bytes, of which there must be as many. HOME_E_FILE. */
home_status homestream_skip(homestream *stream, size_t size, home_error *error);

/* The next `size` bytes, of which there must be as many. HOME_E_FILE, also where the file has
 * become shorter. */
home_status homestream_read(homestream *stream, void *target, size_t size, home_error *error);

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
