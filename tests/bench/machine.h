/* The machine's limits, as a timing's `run` wants them, on one or two CPUs at once. */
#ifndef TESTS_BENCH_MACHINE_H
#define TESTS_BENCH_MACHINE_H

#include "base/parallel.h"
#include "bench/limits.h"

#include <stdatomic.h>

/* Multiplies and adds in registers, or reads, on each of `threads` CPUs. */
typedef struct machine_job {
    const limits *loops;
    size_t threads;
    homethreads *pool;      /* of two; NULL for one thread */
    atomic_size_t arrivals; /* of threads that are ready to start */
    size_t turns;           /* of each thread, of a multiply_add */
    const float *values;    /* [count] for a read, split among the threads */
    size_t count;
    float results[2]; /* so that the work is not optimized away */
} machine_job;

void machine_multiply_add(void *job);
void machine_read(void *job);

/* A pool for two CPUs, with its other thread pinned to CPU 1; the calling thread goes to CPU 0. */
homethreads *machine_pool(void);

/* `bytes` of memory that is all there, in large pages where the system gives them. Never freed. */
float *machine_buffer(size_t bytes);

/* "unknown" where the system does not tell. */
void machine_cpu_name(char *name, size_t size);
const char *machine_compiler(void);

#endif
