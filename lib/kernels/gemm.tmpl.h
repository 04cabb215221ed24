/* The matrix product of kernels.h, from a vector header's types. GEMM_ROWS x (GEMM_VECTORS * VEC_WIDTH)
 * values of c are summed in registers; each value is summed over p in order, so it depends neither on m nor
 * on its place in a tile. */

enum {
    PANEL = GEMM_VECTORS * VEC_WIDTH,
    BLOCK_K = 256, /* a panel's block (BLOCK_K * PANEL floats) stays in the first cache */
    BLOCK_M = 144  /* rows whose part of a stays in the second cache while the panels pass by */
};

/* A tile: its place in a and c, and the block of panels that it meets. */
typedef struct tile {
    const float *a;
    size_t a_row, a_step;
    const float *b; /* [k, PANEL], the next panel's at b + b_panel */
    size_t b_panel;
    size_t k;
    const float
        *bias; /* [PANEL] to start from, the next panel's at bias + b_panel; NULL: start from what c holds */
    float *c;
    size_t c_row;
} tile;

/* `rows` and `panels` are constants where this is inlined, so that the sums live in registers. */
static ALWAYS_INLINE void compute_tile(const tile *t, const size_t rows, const size_t panels) {
    vec sum[GEMM_ROWS][4 * GEMM_VECTORS];
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < panels * GEMM_VECTORS; v++)
        sum[i][v] = vec_load(t->bias ? t->bias + v / GEMM_VECTORS * t->b_panel + v % GEMM_VECTORS * VEC_WIDTH
                                     : t->c + i * t->c_row + v * VEC_WIDTH);
    const float *b = t->b;
    const float *a = t->a;
    for (size_t p = 0; p < t->k; p++, b += PANEL, a += t->a_step) {
        vec line[4 * GEMM_VECTORS];
        UNROLL
        for (size_t v = 0; v < panels * GEMM_VECTORS; v++)
            line[v] = vec_load(b + v / GEMM_VECTORS * t->b_panel + v % GEMM_VECTORS * VEC_WIDTH);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const vec factor = vec_set(a[i * t->a_row]);
            UNROLL
            for (size_t v = 0; v < panels * GEMM_VECTORS; v++)
                sum[i][v] = vec_fma(factor, line[v], sum[i][v]);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < panels * GEMM_VECTORS; v++)
        vec_store(t->c + i * t->c_row + v * VEC_WIDTH, sum[i][v]);
}

#define TILE_OF(rows, panels)                                                                                \
    static void compute_tile_##rows##x##panels(const tile *t) {                                              \
        compute_tile(t, rows, panels);                                                                       \
    }
TILE_OF(1, 1)
TILE_OF(2, 1)
TILE_OF(3, 1)
TILE_OF(4, 1)
#if GEMM_ROWS > 4
TILE_OF(5, 1)
TILE_OF(6, 1)
#endif
#if GEMM_ROWS > 6
TILE_OF(7, 1)
TILE_OF(8, 1)
TILE_OF(9, 1)
TILE_OF(10, 1)
TILE_OF(11, 1)
TILE_OF(12, 1)
#endif

static void (*const tiles[GEMM_ROWS + 1])(const tile *) = {
    NULL,
    compute_tile_1x1,
    compute_tile_2x1,
    compute_tile_3x1,
    compute_tile_4x1,
#if GEMM_ROWS > 4
    compute_tile_5x1,
    compute_tile_6x1,
#endif
#if GEMM_ROWS > 6
    compute_tile_7x1,
    compute_tile_8x1,
    compute_tile_9x1,
    compute_tile_10x1,
    compute_tile_11x1,
    compute_tile_12x1,
#endif
};

/* With few rows one panel has too few sums to keep the adders busy, so several panels are taken at once. */
TILE_OF(1, 4)
TILE_OF(2, 2)
TILE_OF(3, 2)
static const struct {
    void (*compute)(const tile *);
    size_t panels;
} few_rows[4] = {{NULL, 0}, {compute_tile_1x4, 4}, {compute_tile_2x2, 2}, {compute_tile_3x2, 2}};

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

/* Columns [0, columns) of a tile's rows through the activation, while they are in the first cache. */
static void finish_tile(const home_gemm *g, const tile *t, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows && g->activation != HOME_ACT_NONE; r++)
        activate(g->activation, g->swish_beta, columns, t->c + r * t->c_row, t->c + r * t->c_row);
}

/* Rows [first, last) of c against the block of k from p on of some panels, which all are whole if they are several. */
static void multiply_block(const home_gemm *g, size_t first, size_t last, size_t column, size_t panels,
                           size_t p) {
    const size_t columns = g->n - column < panels * PANEL ? g->n - column : panels * PANEL;
    const float *panel = g->panels + column * (g->k + 1);
    const size_t k = g->k - p < BLOCK_K ? g->k - p : BLOCK_K;
    tile t = {.a_row = g->a_row,
              .a_step = g->a_step,
              .b = panel + (p + 1) * PANEL,
              .b_panel = (g->k + 1) * PANEL,
              .k = k,
              .bias = p == 0 && !g->accumulate ? panel : NULL,
              .c_row = g->c_row};
    for (size_t i = first; i < last; i += GEMM_ROWS) {
        const size_t rows = last - i < GEMM_ROWS ? last - i : GEMM_ROWS;
        t.a = g->a + i * g->a_row + p * g->a_step;
        t.c = g->c + i * g->c_row + column;
        if (panels > 1)
            few_rows[rows].compute(&t);
        else if (columns == PANEL)
            tiles[rows](&t);
        else
            compute_edge_tile(t, rows, columns);
        if (p + k == g->k)
            finish_tile(g, &t, rows, columns);
    }
}

/* The blocks of k one after the other: once for k = 0 too, where c = act(bias). */
static void multiply_panels(const home_gemm *g, size_t first, size_t last, size_t column, size_t panels) {
    size_t p = 0;
    do {
        multiply_block(g, first, last, column, panels, p);
        p += BLOCK_K;
    } while (p < g->k);
}

static void gemm(const home_gemm *g) {
    const size_t blocks = (g->m + BLOCK_M - 1) / BLOCK_M;
    const size_t rows = blocks ? ((g->m + blocks - 1) / blocks + GEMM_ROWS - 1) / GEMM_ROWS * GEMM_ROWS : 0;
    const size_t together = g->m > 0 && g->m < 4 ? few_rows[g->m].panels : 1;
    for (size_t first = 0; first < g->m; first += rows) {
        const size_t last = g->m - first < rows ? g->m : first + rows;
        for (size_t column = 0; column < g->n;) {
            const size_t panels = g->n - column >= together * PANEL ? together : 1;
            multiply_panels(g, first, last, column, panels);
            column += panels * PANEL;
        }
    }
}
