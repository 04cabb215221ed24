/* The machine's limits on one or two CPUs at once, in the form of a timing's `run`. */
#ifndef TESTS_BENCH_MACHINE_H
#define TESTS_BENCH_MACHINE_H

#include "bench/limits.h"
#include "host/threads.h"

#include <stdatomic.h>

/* Multiply-adds in registers, or reads, on each of `threads` CPUs. */
typedef struct machine_job {
    const limits *loops;
    size_t threads;
    homethreads *pool;      /* of two; NULL for one thread */
    atomic_size_t arrivals; /* of threads that are ready to start */
    size_t turns;           /* of multiply_add, per thread */
    const float *values;    /* [count] for a read, split among the threads */
    size_t count;
    float results[2]; /* keep the compiler from removing the work */
} machine_job;

void machine_multiply_add(void *job);
void machine_read(void *job);

/* Makes a pool for two CPUs: its own thread is pinned to CPU 1, the calling thread to CPU 0. */
homethreads *machine_pool(void);

/* Returns `bytes` of resident memory, in large pages if the system has them. Never freed. */
float *machine_buffer(size_t bytes);

/* Writes "unknown" if the system does not say. */
void machine_cpu_name(char *name, size_t size);
const char *machine_compiler(void);

#endif
