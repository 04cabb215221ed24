/* The matrix product of kernels.h by BLIS, which takes each panel for a matrix of its own. BLIS
 * packs its operands once more. The panels stay all the same: images hold them, and threads cut at
 * them. */
static void gemm(const homegemm *g) {
    for (size_t column = 0; column < g->n; column += PANEL) {
        const size_t columns = g->n - column < PANEL ? g->n - column : PANEL;
        const float *panel = g->panels + column * (g->k + 1);
        float *c = g->c + column;
        if (!g->accumulate)
            for (size_t i = 0; i < g->m; i++)
                memcpy(c + i * g->c_row, panel, columns * sizeof *c);
        homekernels_blis_multiply_add(g, panel + PANEL, PANEL, columns, c);
        if (g->activation != HOME_ACT_NONE)
            activate_rows(g->activation, g->swish_beta, g->m, columns, c, c, g->c_row);
    }
}
