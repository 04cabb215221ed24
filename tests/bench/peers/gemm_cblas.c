/* OpenBLAS or BLIS, through the interface that both have. */
#include "bench/peers/gemm_peer.h"

#include <cblas.h>
#include <stdlib.h>

static float *transposed; /* b as [k, n], for the style that wants it so */

const char *gemm_peer_style(size_t style) {
    static const char *const names[] = {"sgemm", "sgemm-weights-transposed"};
    return style < sizeof names / sizeof names[0] ? names[style] : NULL;
}

int gemm_peer_prepare(size_t style, const gemm_operands *o) {
    if (style == 0)
        return 1;
    if (o->form != GEMM_FORWARD)
        return 0;
    transposed = malloc((size_t)o->k * (size_t)o->n * sizeof *transposed);
    if (!transposed)
        return 0;
    for (int p = 0; p < o->k; p++)
        for (int j = 0; j < o->n; j++)
            transposed[p * o->n + j] = o->b[j * o->k + p];
    return 1;
}

void gemm_peer_run(void *operands) {
    const gemm_operands *o = operands;
    const bool turned = o->form == GEMM_FORWARD && !transposed;
    cblas_sgemm(CblasRowMajor, o->form == GEMM_DW ? CblasTrans : CblasNoTrans,
                turned ? CblasTrans : CblasNoTrans, o->m, o->n, o->k, 1, o->a,
                o->form == GEMM_DW ? o->m : o->k, transposed ? transposed : o->b,
                turned ? o->k : o->n, 0, o->c, o->n);
}

void gemm_peer_finish(void) {
    free(transposed);
    transposed = NULL;
}
