/* What happens to the values of a dense column before the model sees them: a sequence of steps,
 * learned on the training rows. All of them compute in double; the result alone is rounded to a
 * float. */
#ifndef CLI_TRANSFORM_H
#define CLI_TRANSFORM_H

#include <stdbool.h>
#include <stddef.h>

typedef enum step_kind {
    STEP_LOG1P,       /* sign(x) log(1 + |x|) */
    STEP_STANDARDISE, /* (x - mean) / deviation */
    STEP_BUCKETISE    /* the number of boundaries <= x; always the last step */
} step_kind;

typedef struct transform_step {
    step_kind kind;
    size_t buckets;     /* asked for */
    double mean;        /* learned by standardise */
    double deviation;   /* > 0 */
    double *boundaries; /* learned by bucketise, ascending; fewer than `buckets` */
    size_t boundary_count;
} transform_step;

typedef struct transform {
    transform_step *steps;
    size_t step_count;
    /* What a missing value becomes: the mean of the others, or a bucket of its own. */
    float missing;
} transform;

/* Learns every step from values[0 .. count), NaN where one is missing, and leaves transformed
 * values in their place: whole numbers of buckets, or floats. False for lack of memory. */
bool transform_learn(transform *of, double *values, size_t count);

/* The transformed value, NaN where one is missing; of a bucketised column, the number of the
 * bucket. */
float transform_apply(const transform *of, double value);

/* How many dense values of the model the column becomes: 1, or one per bucket and one for
 * "missing". */
size_t transform_width(const transform *of);

/* Writes these, given the transformed value. */
void transform_expand(const transform *of, float transformed, float *dense);

/* The bucketise step, NULL where there is none. */
transform_step *transform_buckets(const transform *of);

void transform_free(transform *of);

#endif
