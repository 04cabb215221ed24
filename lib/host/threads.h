/* The pool of threads that home_model_set_threads() makes. */
#ifndef HOME_THREADS_H
#define HOME_THREADS_H

#include "memory.h"

/* A pool of threads that sleep while there is nothing to do. */
typedef struct homethreads homethreads;

/* NULL when there is no memory, or the system starts no more threads. `count` threads work at once:
 * count - 1 of the pool, and the caller. */
homethreads *homethreads_create(const home_allocator *allocator, size_t count);
void homethreads_destroy(homethreads *threads); /* NULL is allowed */

/* A home_parallel's `run` on a pool. The caller does it all where the pool is at work for another
 * thread, and in a child made by fork(), which has none of the pool's threads. Returns 0. */
int32_t homethreads_run(void *threads, size_t count, void (*task)(void *context, size_t index),
                        void *context);

#endif
