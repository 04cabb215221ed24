#include "transform.h"

#include "heap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

transform_step *transform_buckets(const transform *of) {
    transform_step *last = of->step_count ? &of->steps[of->step_count - 1] : NULL;
    return last && last->kind == STEP_BUCKETISE ? last : NULL;
}

/* ---------------------------------------------------------------------------------------- apply */

static size_t count_boundaries(const transform_step *step, double value) {
    size_t low = 0;
    size_t high = step->boundary_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (step->boundaries[middle] <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static double apply_step(const transform_step *step, double value) {
    switch (step->kind) {
    case STEP_LOG1P:
        return copysign(log1p(fabs(value)), value);
    case STEP_STANDARDISE:
        return (value - step->mean) / step->deviation;
    case STEP_BUCKETISE:
        return (double)count_boundaries(step, value);
    }
    return value;
}

float transform_apply(const transform *of, double value) {
    if (isnan(value))
        return of->missing;
    for (size_t i = 0; i < of->step_count; i++)
        value = apply_step(&of->steps[i], value);
    return (float)value;
}

/* ---------------------------------------------------------------------------------------- learn */

static double mean_from(double origin, const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i] - origin;
    return count ? origin + sum / (double)count : 0;
}

/* The second pass takes away what rounding left in a sum of many large values. */
static double mean_of(const double *values, size_t count) {
    return mean_from(mean_from(0, values, count), values, count);
}

static bool is_constant(const double *values, size_t count) {
    size_t same = 1;
    while (same < count && values[same] == values[0])
        same++;
    return same >= count;
}

/* A constant column has no deviation, and what rounding makes of it is none; divided by 1 it
 * becomes zeros. */
static double deviation_of(const double *values, size_t count, double mean) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (values[i] - mean) * (values[i] - mean);
    const double deviation = is_constant(values, count) ? 0 : sqrt(sum / (double)count);
    return deviation > 0 ? deviation : 1;
}

static int compare_doubles(const void *a, const void *b) {
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Quantiles that cut the values into buckets with about as many rows each. Repeated values make
 * quantiles coincide, and these count once; nothing lies below the smallest value, so that is no
 * boundary. `sorted` is room for the values, of which there must be at least one. */
static void find_boundaries(transform_step *step, double *sorted, const double *values,
                            size_t count) {
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    double last = sorted[0];
    for (size_t i = 1; i < step->buckets; i++) {
        const double quantile = sorted[(size_t)((double)count * (double)i / (double)step->buckets)];
        if (quantile > last)
            last = step->boundaries[step->boundary_count++] = quantile;
    }
}

static bool learn_boundaries(transform_step *step, const double *values, size_t count) {
    double *sorted = heap_new(count, sizeof *sorted);
    step->boundaries = heap_new(step->buckets, sizeof *step->boundaries);
    if (!sorted || !step->boundaries) {
        heap_free(sorted);
        return false;
    }
    step->boundary_count = 0;
    if (count)
        find_boundaries(step, sorted, values, count);
    heap_free(sorted);
    return true;
}

static bool learn_step(transform_step *step, const double *values, size_t count) {
    if (step->kind == STEP_STANDARDISE) {
        step->mean = mean_of(values, count);
        step->deviation = deviation_of(values, count, step->mean);
    }
    return step->kind != STEP_BUCKETISE || learn_boundaries(step, values, count);
}

/* Copies the values that are not missing, one after the other, and returns how many they are. */
static size_t gather_present(const double *values, size_t count, double *present) {
    size_t there = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isnan(values[i]))
            present[there++] = values[i];
    }
    return there;
}

/* The reverse; missing values become of->missing. */
static void put_back(const transform *of, double *values, size_t count, const double *present) {
    size_t next = 0;
    for (size_t i = 0; i < count; i++)
        values[i] = isnan(values[i]) ? (double)of->missing : present[next++];
}

/* The mean of the transformed values; that of standardised ones is 0 apart from rounding. */
static float missing_value(const transform *of, const double *transformed, size_t count) {
    const transform_step *last = of->step_count ? &of->steps[of->step_count - 1] : NULL;
    if (last && last->kind == STEP_BUCKETISE)
        return (float)(last->boundary_count + 1);
    return last && last->kind == STEP_STANDARDISE ? 0 : (float)mean_of(transformed, count);
}

static bool learn_steps(transform *of, double *present, size_t there) {
    for (size_t s = 0; s < of->step_count; s++) {
        if (!learn_step(&of->steps[s], present, there))
            return false;
        for (size_t i = 0; i < there; i++)
            present[i] = apply_step(&of->steps[s], present[i]);
    }
    of->missing = missing_value(of, present, there);
    return true;
}

bool transform_learn(transform *of, double *values, size_t count) {
    double *present = heap_new(count, sizeof *present);
    if (!present)
        return false;
    const size_t there = gather_present(values, count, present);
    const bool learned = learn_steps(of, present, there);
    if (learned)
        put_back(of, values, count, present);
    heap_free(present);
    return learned;
}

/* --------------------------------------------------------------------------------------- expand */

size_t transform_width(const transform *of) {
    const transform_step *buckets = transform_buckets(of);
    return buckets ? buckets->boundary_count + 2 : 1;
}

void transform_expand(const transform *of, float transformed, float *dense) {
    if (!transform_buckets(of)) {
        *dense = transformed;
        return;
    }
    memset(dense, 0, transform_width(of) * sizeof *dense);
    dense[(size_t)transformed] = 1;
}

void transform_free(transform *of) {
    for (size_t i = 0; i < of->step_count; i++)
        heap_free(of->steps[i].boundaries);
    heap_free(of->steps);
}
