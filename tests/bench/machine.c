#if defined(__linux__)
#define _GNU_SOURCE
#include <sys/mman.h>
#endif

#include "bench/machine.h"

#include "base/portability.h"
#include "bench/timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Makes all threads start together, each on its own CPU, so that no thread does the work of two. */
static void await_others(machine_job *job) {
    const size_t place = atomic_fetch_add(&job->arrivals, 1);
    const size_t full = (place / job->threads + 1) * job->threads;
    while (atomic_load(&job->arrivals) < full)
        HOME_PAUSE();
}

static void multiply_add_task(void *context, size_t index) {
    machine_job *job = context;
    await_others(job);
    job->results[index] = job->loops->multiply_add(job->turns);
}

static void read_task(void *context, size_t index) {
    enum { UNIT = 128 }; /* floats per read */
    machine_job *job = context;
    const size_t units = job->count / UNIT;
    const size_t first = units * index / job->threads * UNIT;
    const size_t last = units * (index + 1) / job->threads * UNIT;
    await_others(job);
    job->results[index] = job->loops->read(job->values + first, last - first);
}

static void run(machine_job *job, void (*task)(void *, size_t)) {
    if (job->pool)
        homethreads_run(job->pool, job->threads, task, job);
    else
        task(job, 0);
}

void machine_multiply_add(void *job) {
    run(job, multiply_add_task);
}

void machine_read(void *job) {
    run(job, read_task);
}

homethreads *machine_pool(void) {
    static home_allocator allocator;
    homememory_resolve(NULL, &allocator, NULL);
    timing_pin(1);
    homethreads *pool = homethreads_create(&allocator, 2);
    timing_pin(0);
    if (!pool) {
        fprintf(stderr, "bench: cannot start a second thread\n");
        exit(1);
    }
    return pool;
}

float *machine_buffer(size_t bytes) {
    const size_t page = (size_t)2 << 20;
    bytes = (bytes + page - 1) / page * page;
    float *values = aligned_alloc(page, bytes);
    if (!values) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
#if defined(__linux__)
    madvise(values, bytes, MADV_HUGEPAGE);
#endif
    memset(values, 0, bytes);
    return values;
}

void machine_cpu_name(char *name, size_t size) {
    snprintf(name, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", strlen("model name")) == 0 && colon) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(name, size, "%s", colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

const char *machine_compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}
