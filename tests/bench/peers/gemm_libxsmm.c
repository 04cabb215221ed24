/* libxsmm: kernels compiled at run time for one block; weights packed once into panels, rows in
 * blocks. */
#include "bench/peers/gemm_peer.h"

#include <libxsmm.h>
#include <stdlib.h>

enum { PANEL = 64, ROWS = 128 };

static float *panels; /* b: panel after panel, each [k, PANEL] */
static libxsmm_smmfunction kernel;

const char *gemm_peer_style(size_t style) {
    return style == 0 ? "packed" : NULL;
}

/* The reference shapes are multiples of the panels and, where they have more rows than a block, of
 * it. */
int gemm_peer_prepare(size_t style, const gemm_operands *o) {
    (void)style;
    const int rows = o->m < ROWS ? o->m : ROWS;
    const int panel = o->n < PANEL ? o->n : PANEL;
    if (o->form == GEMM_DW || o->m % rows || o->n % panel) /* its kernels want dy as it is not */
        return 0;
    panels = libxsmm_aligned_malloc((size_t)o->k * (size_t)o->n * sizeof *panels, 64);
    for (int j = 0; panels && j < o->n; j++)
        for (int p = 0; p < o->k; p++)
            panels[j / panel * panel * o->k + p * panel + j % panel] =
                o->form == GEMM_FORWARD ? o->b[j * o->k + p] : o->b[p * o->n + j];
    const float one = 1;
    const float zero = 0;
    const int flags = LIBXSMM_GEMM_FLAG_NONE;
    /* Column-major: its m is our panel, its n our rows. */
    kernel =
        libxsmm_smmdispatch(panel, rows, o->k, &panel, &o->k, &o->n, &one, &zero, &flags, NULL);
    return panels && kernel;
}

void gemm_peer_run(void *operands) {
    const gemm_operands *o = operands;
    const int rows = o->m < ROWS ? o->m : ROWS;
    const int panel = o->n < PANEL ? o->n : PANEL;
    for (int i = 0; i < o->m; i += rows)
        for (int j = 0; j < o->n; j += panel)
            kernel(panels + (size_t)j * (size_t)o->k, o->a + (size_t)i * (size_t)o->k,
                   o->c + (size_t)i * (size_t)o->n + j);
}

void gemm_peer_finish(void) {
    libxsmm_free(panels);
    panels = NULL;
}
