/* Spreading work over threads: the host's, or those of a pool that it asked for. What is computed never
 * depends on how the work was spread. */
#ifndef HOME_PARALLEL_H
#define HOME_PARALLEL_H

#include "memory.h"

/* Calls function(context, first, last) for consecutive ranges that make up [0, count), each `grain` long but
 * for the last; in one call, here and now, where parallel is NULL or there is a single range. */
void home_parallel_ranges(const home_parallel *parallel, size_t count, size_t grain,
                          void (*function)(void *context, size_t first, size_t last), void *context);

/* A pool of threads that sleep while there is nothing to do. */
typedef struct home_threads home_threads;

/* NULL when memory or threads cannot be had. `count` threads work at once: count - 1 of the pool, and the
 * caller. */
home_threads *home_threads_create(const home_allocator *allocator, size_t count);
void home_threads_destroy(home_threads *threads); /* NULL is allowed */

/* A home_parallel's `run` on a pool. The caller does it all where the pool is at work for another thread, and in a child
 * made by fork(), which has none of the pool's threads. */
void home_threads_run(void *threads, size_t count, void (*task)(void *context, size_t index), void *context);

#endif
