/* The worker of a BLAS-type library: times every style of a product, answers with the fastest. */
#include "bench/peers/gemm_peer.h"

#include "bench/peers/worker.h"
#include "bench/timing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse(const worker_request *r, gemm_shape *shape, gemm_form *form) {
    for (size_t s = 0; s < GEMM_SHAPES; s++)
        for (size_t f = 0; f < GEMM_FORMS; f++) {
            char name[32];
            gemm_case_name(name, sizeof name, gemm_shapes[s], (gemm_form)f);
            if (strcmp(name, r->config) == 0) {
                *shape = gemm_shapes[s];
                *form = (gemm_form)f;
                return strcmp(r->op, "gemm") == 0;
            }
        }
    return false;
}

/* Every style's result must be the library's own. */
static bool agrees(const gemm_job *job, const float *expected) {
    const homegemm *g = &job->product;
    for (size_t i = 0; i < g->m * g->n; i++)
        if (!(fabsf(job->c[i] - expected[i]) <= 1e-5f * (float)g->k))
            return false;
    return true;
}

static void answer(const worker_request *r) {
    gemm_shape shape;
    gemm_form form;
    if (!parse(r, &shape, &form)) {
        printf("-");
        return;
    }
    gemm_job job;
    gemm_job_create(&job, homekernels_select(NULL), shape, form);
    gemm_operands o = {
        form, (int)job.product.m, (int)job.product.n, (int)job.product.k, job.a, job.b, job.c};
    const size_t size = job.product.m * job.product.n * sizeof *job.c;
    float *expected = malloc(size);
    if (!expected) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    memcpy(expected, job.c, size);
    double best = INFINITY;
    const char *best_style = NULL;
    for (size_t style = 0; gemm_peer_style(style); style++) {
        timing t = {.run = gemm_peer_run, .context = &o};
        if (gemm_peer_prepare(style, &o)) {
            memset(job.c, 0, size);
            gemm_peer_run(&o);
            if (agrees(&job, expected)) {
                timing_sample(&t, r->slice);
                if (timing_median(&t) < best) {
                    best = timing_median(&t);
                    best_style = gemm_peer_style(style);
                }
            } else
                fprintf(stderr, "%s %s: a wrong result\n", r->config, gemm_peer_style(style));
        }
        gemm_peer_finish();
        timing_free(&t);
    }
    if (best_style)
        printf("%.3f %s", best, best_style);
    else
        printf("-");
    free(expected);
    gemm_job_free(&job);
}

int main(void) {
    worker_serve(answer);
    return 0;
}
