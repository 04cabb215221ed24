/* Products by the library's kernels alone, in the three forms of a linear layer y = x Wᵀ with
 * x [m, k] and W [n, k]. */
#ifndef TESTS_BENCH_GEMM_H
#define TESTS_BENCH_GEMM_H

#include "kernels/kernels.h"

typedef enum gemm_form {
    GEMM_FORWARD, /* y = x Wᵀ, with W packed beforehand */
    GEMM_DX,      /* dx = dy W, with W packed beforehand */
    GEMM_DW       /* dW = dyᵀ x; x is new in every step, so packing it is timed too */
} gemm_form;

typedef struct gemm_shape {
    size_t m, k, n;
} gemm_shape;

enum { GEMM_SHAPES = 4, GEMM_FORMS = 3 };
extern const gemm_shape gemm_shapes[GEMM_SHAPES];

/* "MxKxN", "MxKxN-dX", "MxKxN-dW" */
void gemm_case_name(char *name, size_t size, gemm_shape shape, gemm_form form);

/* The operands of a product. */
typedef struct gemm_job {
    char name[32];
    const homekernels *kernels;
    gemm_form form;
    homegemm product;
    float *a, *b, *panels, *c; /* b is not packed, panels is b packed */
} gemm_job;

/* Makes random operands and checks the product against plain sums in double precision. Ends the
 * program with a message if they differ. */
void gemm_job_create(gemm_job *job, const homekernels *kernels, gemm_shape shape, gemm_form form);
void gemm_job_free(gemm_job *job);

/* The `run` of a timing whose context is a gemm_job. */
void gemm_job_run(void *job);

#endif
