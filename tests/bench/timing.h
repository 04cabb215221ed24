/* Timing on a machine that others use too: pinned threads, samples of many calls, medians. */
#ifndef TESTS_BENCH_TIMING_H
#define TESTS_BENCH_TIMING_H

#include <stdbool.h>
#include <stddef.h>

/* CPUs that the process may use. */
size_t timing_cpu_count(void);

/* Ties the calling thread, and those that it starts later, to the CPU number `index` of them. Does
 * nothing where the system has no such call. */
void timing_pin(size_t index);

double timing_seconds(void);

/* Something to time, and the samples so far. Zero it, then set `run` and `context`. */
typedef struct timing {
    void (*run)(void *context);
    void *context;
    size_t calls;        /* of a sample; 0 until it is known how many it takes */
    bool slow;           /* one call takes so long that what was before it does not matter */
    double *samples;     /* [count] microseconds of a call */
    double *undisturbed; /* [undisturbed_count] those during which the system took no thread off its
                            CPU */
    size_t count;
    size_t undisturbed_count;
    size_t capacity;
} timing;

/* Warms up, then takes samples for about that long: at least three, of something slow one. A sample
 * is the mean of so many calls that the clock's own cost vanishes. */
void timing_sample(timing *t, double seconds);

/* The median of the undisturbed samples, of all where fewer than three are; the lowest of all. */
double timing_median(timing *t);
double timing_best(const timing *t);

void timing_free(timing *t);

#endif
