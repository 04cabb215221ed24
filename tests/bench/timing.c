#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif

#include "bench/timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static const double SAMPLE_MICROSECONDS = 300;
static const double SLOW_MICROSECONDS = 30000;

#if defined(__linux__)
/* The CPUs at the start of the process, because pinning the main thread changes the answer. */
static const cpu_set_t *allowed_cpus(void) {
    static cpu_set_t allowed;
    static bool known;
    if (!known && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        CPU_ZERO(&allowed);
    known = true;
    return &allowed;
}

size_t timing_cpu_count(void) {
    return (size_t)CPU_COUNT(allowed_cpus());
}

void timing_pin(size_t index) {
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, allowed_cpus()) && index-- == 0) {
            cpu_set_t one;
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}
#else
#include <unistd.h>

size_t timing_cpu_count(void) {
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (size_t)count : 1;
}

void timing_pin(size_t index) {
    (void)index;
}
#endif

double timing_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Returns how often a thread of this process lost its CPU to another. */
static long preemptions(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

static void add(timing *t, double us, bool disturbed) {
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        t->samples = realloc(t->samples, t->capacity * sizeof *t->samples);
        t->undisturbed = realloc(t->undisturbed, t->capacity * sizeof *t->undisturbed);
        if (!t->samples || !t->undisturbed) {
            fprintf(stderr, "bench: out of memory\n");
            exit(1);
        }
    }
    t->samples[t->count++] = us;
    if (!disturbed)
        t->undisturbed[t->undisturbed_count++] = us;
}

/* Returns the microseconds of `calls` calls. */
static double time_calls(timing *t) {
    const double begin = timing_seconds();
    for (size_t i = 0; i < t->calls; i++)
        t->run(t->context);
    return (timing_seconds() - begin) * 1e6;
}

/* Fills the caches with what this measurement uses. The first time it also touches the memory and
 * finds the number of calls per sample. */
static void warm_up(timing *t) {
    const bool first = t->calls == 0;
    if (t->slow)
        return;
    if (first)
        t->calls = 1;
    double took = time_calls(t);
    t->slow = took > SLOW_MICROSECONDS;
    while (first && took < SAMPLE_MICROSECONDS) {
        t->calls *= 2;
        took = time_calls(t);
    }
}

void timing_sample(timing *t, double seconds) {
    warm_up(t);
    const double start = timing_seconds();
    const size_t min = t->slow ? 1 : 3;
    for (size_t taken = 0; taken < min || timing_seconds() - start < seconds; taken++) {
        const long before = preemptions();
        const double took = time_calls(t);
        add(t, took / (double)t->calls, preemptions() != before);
    }
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double timing_median(timing *t) {
    const bool enough = t->undisturbed_count >= 3;
    double *values = enough ? t->undisturbed : t->samples;
    const size_t count = enough ? t->undisturbed_count : t->count;
    qsort(values, count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double timing_best(const timing *t) {
    double best = t->samples[0];
    for (size_t i = 1; i < t->count; i++)
        best = t->samples[i] < best ? t->samples[i] : best;
    return best;
}

void timing_free(timing *t) {
    free(t->samples);
    free(t->undisturbed);
}
