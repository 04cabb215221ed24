/* The lowest floor: what every build has, a device without memory to allocate, files and threads
 * included.
 *
 * Here: compilers and floating-point modes (portability.h), size arithmetic (this file), failures
 * and their messages (fail.h), structs of callers (abi.h), checksums, UTF-8, the hash of ids,
 * ranges of work (parallel.h). Called by: every floor. Calls: memcpy and its like, nothing else. */
#ifndef HOME_BASE_H
#define HOME_BASE_H

#include "home/home.h"

#include "portability.h"

#include <stdbool.h>

#define HOME_ALIGNMENT 64u /* a cache line, and the widest vector */

/* An index of nothing: no task, no layer, no node. */
#define HOME_NONE SIZE_MAX

/* *sum = a + b, *product = a * b; false on overflow. */
bool homesize_add(size_t a, size_t b, size_t *sum);
bool homesize_multiply(size_t a, size_t b, size_t *product);

/* *total += count * size; SIZE_MAX from the first sum on that no size_t holds. */
static inline void homesize_count(size_t *total, size_t count, size_t size) {
    size_t bytes;
    if (!homesize_multiply(count, size, &bytes) || !homesize_add(*total, bytes, total))
        *total = SIZE_MAX;
}

/* a / b, rounded up. */
static inline size_t homesize_divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

/* Bytes rounded up to whole units of HOME_ALIGNMENT. */
static inline size_t homesize_align(size_t bytes) {
    return homesize_divide_up(bytes, HOME_ALIGNMENT) * HOME_ALIGNMENT;
}

#endif
