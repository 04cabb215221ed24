/* How far training is, on standard error: a bar on a terminal, otherwise a line now and then. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The epoch's last line. */
void progress_end(const progress *of, size_t done, double loss);

/* Clears the bar from the terminal, to make room for a message. */
void progress_clear(const progress *of);

#endif
