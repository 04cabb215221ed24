/* Timing on a shared machine: pinned threads, samples of many calls, medians. */
#ifndef TESTS_BENCH_TIMING_H
#define TESTS_BENCH_TIMING_H

#include <stdbool.h>
#include <stddef.h>

/* Returns the number of CPUs that the process can use. */
size_t timing_cpu_count(void);

/* Pins the calling thread, and those that it starts later, to CPU number `index` of these. Does
 * nothing if the system has no such call. */
void timing_pin(size_t index);

double timing_seconds(void);

/* Something to time, and the samples so far. Zero it, then set `run` and `context`. */
typedef struct timing {
    void (*run)(void *context);
    void *context;
    size_t calls;        /* per sample; 0 until it is known how many are needed */
    bool slow;           /* one call takes so long that the state before it does not matter */
    double *samples;     /* [count] microseconds per call */
    double *undisturbed; /* [undisturbed_count] those in which every thread kept its CPU */
    size_t count;
    size_t undisturbed_count;
    size_t capacity;
} timing;

/* Warms up, then takes samples for about `seconds`: at least three, or one if the call is slow. A
 * sample is the mean of enough calls that the cost of the clock vanishes. */
void timing_sample(timing *t, double seconds);

/* Returns the median of the undisturbed samples, or of all samples if fewer than three are
 * undisturbed; and the lowest of all samples. */
double timing_median(timing *t);
double timing_best(const timing *t);

void timing_free(timing *t);

#endif
