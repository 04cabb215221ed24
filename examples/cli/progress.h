/* How far the program is, on standard error: a bar on a terminal, as wide as that is; otherwise a
 * line now and then. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An epoch of training. */
typedef struct progress {
    bool terminal;
    uint64_t epoch; /* from 1 */
    uint64_t epochs;
    size_t rows; /* of an epoch */
    double started;
    double shown; /* when last */
} progress;

progress progress_start(uint64_t epoch, uint64_t epochs, size_t rows);

/* Shows it now and then: the rows done in this epoch, and their mean loss. */
void progress_show(progress *of, size_t done, double loss);

/* The epoch's last line; of many short epochs, a terminal gets one a second and the last. */
void progress_end(const progress *of, size_t done, double loss);

/* Clears the bar from the terminal, to make room for a message. */
void progress_clear(const progress *of);

/* A file that is read. */
typedef struct reading {
    bool terminal;
    bool in_logs;     /* say it also where there is no terminal; false to begin with */
    const char *path; /* the caller's */
    uint64_t size;    /* in bytes, 0: not known */
    double started;
    double shown; /* when last, 0: not yet */
} reading;

reading reading_start(const char *path, uint64_t size);

/* Shows now and then how many bytes are read, from a moment on that a small file does not reach. */
void reading_show(reading *of, uint64_t done);

/* Clears what is shown. It can be called at any time. */
void reading_end(reading *of);

#endif
