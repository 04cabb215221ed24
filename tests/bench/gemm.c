#include "bench/gemm.h"

#include "unit/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const gemm_shape gemm_shapes[GEMM_SHAPES] = {
    {16, 512, 1024}, {128, 512, 1024}, {2048, 1024, 3072}, {16, 16, 128}};

void gemm_case_name(char *name, size_t size, gemm_shape shape, gemm_form form) {
    static const char *const suffixes[GEMM_FORMS] = {"", "-dX", "-dW"};
    snprintf(name, size, "%zux%zux%zu%s", shape.m, shape.k, shape.n, suffixes[form]);
}

static float *aligned(size_t count) {
    const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    float *values = aligned_alloc(64, bytes);
    if (!values) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    for (size_t i = 0; i < bytes / sizeof(float); i++)
        values[i] = 0;
    return values;
}

static float *random_values(size_t count, uint64_t seed) {
    float *values = aligned(count);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)random_between(&seed, -1, 1);
    return values;
}

/* Packs the product's b [k, n]. */
static void pack(gemm_job *job) {
    const homegemm *g = &job->product;
    if (job->form == GEMM_FORWARD)
        homekernels_pack_transposed(job->kernels, g->k, 0, g->n, job->b, g->k, NULL, job->panels);
    else
        homekernels_pack_rows(job->kernels, g->k, g->n, 0, g->k, job->b, g->n, job->panels);
}

void gemm_job_run(void *context) {
    gemm_job *job = context;
    if (job->form == GEMM_DW)
        pack(job);
    job->kernels->gemm(&job->product);
}

static void verify(const gemm_job *job) {
    const homegemm *g = &job->product;
    for (size_t i = 0; i < g->m; i += 1 + g->m / 7)
        for (size_t j = 0; j < g->n; j += 1 + g->n / 13) {
            double sum = 0;
            for (size_t p = 0; p < g->k; p++) {
                const size_t b = job->form == GEMM_FORWARD ? j * g->k + p : p * g->n + j;
                sum += (double)g->a[i * g->a_row + p * g->a_step] * (double)job->b[b];
            }
            const double c = (double)g->c[i * g->c_row + j];
            if (!(fabs(c - sum) <= 1e-6 * (double)g->k)) {
                fprintf(stderr, "bench: product %s on %s: value %zu, %zu is %g, expected %g\n",
                        job->name, job->kernels->name, i, j, c, sum);
                exit(1);
            }
        }
}

void gemm_job_create(gemm_job *job, const homekernels *kernels, gemm_shape shape, gemm_form form) {
    /* m, n and k of the product itself, not of the layer. */
    const size_t m = form == GEMM_DW ? shape.n : shape.m;
    const size_t n = form == GEMM_FORWARD ? shape.n : shape.k;
    const size_t k = form == GEMM_FORWARD ? shape.k : form == GEMM_DX ? shape.n : shape.m;
    *job = (gemm_job){.kernels = kernels, .form = form};
    gemm_case_name(job->name, sizeof job->name, shape, form);
    job->a = random_values(m * k, 1);
    job->b = random_values(k * n, 2);
    size_t floats;
    if (!homekernels_panels_size(kernels->panel, k, n, &floats)) {
        fprintf(stderr, "bench: product %s is too large\n", job->name);
        exit(1);
    }
    job->panels = aligned(floats);
    job->c = aligned(m * n);
    job->product = (homegemm){
        .m = m,
        .n = n,
        .k = k,
        .a = job->a,
        .a_row = form == GEMM_DW ? 1 : k,
        .a_step = form == GEMM_DW ? m : 1,
        .panels = job->panels,
        .c = job->c,
        .c_row = n,
    };
    pack(job);
    gemm_job_run(job);
    verify(job);
}

void gemm_job_free(gemm_job *job) {
    free(job->a);
    free(job->b);
    free(job->panels);
    free(job->c);
}
