/* What a BLAS-type library is asked for: the products of bench/gemm.h on plain row-major
 * operands. */
#ifndef TESTS_BENCH_PEERS_GEMM_PEER_H
#define TESTS_BENCH_PEERS_GEMM_PEER_H

#include "bench/gemm.h"

/* c [m, n] = a [m, k] b [k, n]; in the form dW a is stored as [k, m], in the forward form b as [n,
 * k]. Runs once for each call of `gemm_peer_run`. */
typedef struct gemm_operands {
    gemm_form form;
    int m, n, k;
    float *a; /* not const for libraries that cannot say it */
    float *b;
    float *c;
} gemm_operands;

/* The library's ways to do it, from 0; NULL past the last one. */
const char *gemm_peer_style(size_t style);

/* Prepares a product in a style: what may be done once for many products, such as packing weights.
 * False where the library cannot. */
int gemm_peer_prepare(size_t style, const gemm_operands *operands);

/* A timing's `run`. */
void gemm_peer_run(void *operands);

/* Frees what `gemm_peer_prepare` made. */
void gemm_peer_finish(void);

#endif
