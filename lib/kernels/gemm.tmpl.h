/* The matrix product of kernels.h, from a vector header's types. GEMM_ROWS x (GEMM_VECTORS * VEC_WIDTH)
 * values of c are summed in registers; each value is summed over p in order, so it depends neither on m nor
 * on its place in a tile. */

enum {
    PANEL = GEMM_VECTORS * VEC_WIDTH,
    BLOCK_K =
        512 /* a panel's block (BLOCK_K * PANEL floats) stays in the level-2 cache, mostly in the first */
};

/* A tile: its place in a and c, and the block of the panel that it meets. */
typedef struct tile {
    const float *a;
    size_t a_row, a_step;
    const float *b; /* [k, PANEL] */
    size_t k;
    const float *bias; /* [PANEL] to start from; NULL: start from what c holds */
    float *c;
    size_t c_row;
} tile;

/* `rows` is a constant where this is inlined, so that the sums live in registers. */
static ALWAYS_INLINE void compute_tile(const tile *t, const size_t rows) {
    vec sum[GEMM_ROWS][GEMM_VECTORS];
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < GEMM_VECTORS; v++)
        sum[i][v] = vec_load((t->bias ? t->bias : t->c + i * t->c_row) + v * VEC_WIDTH);
    const float *b = t->b;
    const float *a = t->a;
    for (size_t p = 0; p < t->k; p++, b += PANEL, a += t->a_step) {
        vec line[GEMM_VECTORS];
        UNROLL
        for (size_t v = 0; v < GEMM_VECTORS; v++)
            line[v] = vec_load(b + v * VEC_WIDTH);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const vec factor = vec_set(a[i * t->a_row]);
            UNROLL
            for (size_t v = 0; v < GEMM_VECTORS; v++)
                sum[i][v] = vec_fma(factor, line[v], sum[i][v]);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < GEMM_VECTORS; v++)
        vec_store(t->c + i * t->c_row + v * VEC_WIDTH, sum[i][v]);
}

#define TILE_OF(n)                                                                                           \
    static void compute_tile_##n(const tile *t) {                                                            \
        compute_tile(t, n);                                                                                  \
    }
TILE_OF(1)
TILE_OF(2)
TILE_OF(3)
TILE_OF(4)
#if GEMM_ROWS > 4
TILE_OF(5)
TILE_OF(6)
#endif
#if GEMM_ROWS > 6
TILE_OF(7)
TILE_OF(8)
TILE_OF(9)
TILE_OF(10)
TILE_OF(11)
TILE_OF(12)
#endif

static void (*const tiles[GEMM_ROWS + 1])(const tile *) = {
    NULL,           compute_tile_1, compute_tile_2, compute_tile_3,  compute_tile_4,
#if GEMM_ROWS > 4
    compute_tile_5, compute_tile_6,
#endif
#if GEMM_ROWS > 6
    compute_tile_7, compute_tile_8, compute_tile_9, compute_tile_10, compute_tile_11, compute_tile_12,
#endif
};

/* A tile at the right edge of c: computed whole beside c, then its `columns` are copied. */
static void compute_edge_tile(tile t, size_t rows, size_t columns) {
    float edge[GEMM_ROWS * PANEL];
    float *const c = t.c;
    for (size_t i = 0; i < rows && !t.bias; i++) {
        memcpy(edge + i * PANEL, c + i * t.c_row, columns * sizeof *edge);
        memset(edge + i * PANEL + columns, 0, (PANEL - columns) * sizeof *edge);
    }
    const size_t c_row = t.c_row;
    t.c = edge;
    t.c_row = PANEL;
    tiles[rows](&t);
    for (size_t i = 0; i < rows; i++)
        memcpy(c + i * c_row, edge + i * PANEL, columns * sizeof *edge);
}

/* Rows [first, last) of c against one panel. */
static void multiply_panel(const home_gemm *g, size_t first, size_t last, size_t column) {
    const size_t columns = g->n - column < PANEL ? g->n - column : PANEL;
    const float *panel = g->panels + column * (g->k + 1);
    size_t p = 0;
    do { /* once for k = 0 too: c = act(bias) */
        const size_t k = g->k - p < BLOCK_K ? g->k - p : BLOCK_K;
        const bool ends = p + k == g->k;
        tile t = {.a_row = g->a_row,
                  .a_step = g->a_step,
                  .b = panel + (p + 1) * PANEL,
                  .k = k,
                  .bias = p == 0 && !g->accumulate ? panel : NULL,
                  .c_row = g->c_row};
        for (size_t i = first; i < last; i += GEMM_ROWS) {
            const size_t rows = last - i < GEMM_ROWS ? last - i : GEMM_ROWS;
            t.a = g->a + i * g->a_row + p * g->a_step;
            t.c = g->c + i * g->c_row + column;
            if (columns == PANEL)
                tiles[rows](&t);
            else
                compute_edge_tile(t, rows, columns);
            for (size_t r = 0; r < rows && ends && g->activation != HOME_ACT_NONE;
                 r++) /* still in the first cache */
                activate(g->activation, g->swish_beta, columns, t.c + r * t.c_row, t.c + r * t.c_row);
        }
        p += k;
    } while (p < g->k);
}

/* Rows in blocks whose part of a stays in the level-2 cache while the panels pass by. */
static void gemm(const home_gemm *g) {
    enum { BLOCK_M = 120 };
    for (size_t first = 0; first < g->m; first += BLOCK_M) {
        const size_t last = g->m - first < BLOCK_M ? g->m : first + BLOCK_M;
        for (size_t column = 0; column < g->n; column += PANEL)
            multiply_panel(g, first, last, column);
    }
}
