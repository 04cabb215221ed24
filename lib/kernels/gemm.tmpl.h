/* The matrix product of kernels.h, from a vector header's types. GEMM_ROWS x (GEMM_VECTORS * VEC_WIDTH)
 * values of c are summed in registers; each value is summed over p in order, so it depends neither on m nor
 * on its place in a tile. */

enum {
    PANEL = GEMM_VECTORS * VEC_WIDTH,
    BLOCK_K = 256,  /* a panel's block (BLOCK_K * PANEL floats) stays in the first cache */
    BLOCK_M = 144,  /* rows, and ... */
    BLOCK_N = 1024, /* ... columns, whose parts of a and c stay in the second cache meanwhile */
    LINE = 16,      /* floats that come from memory at once */
    AHEAD = 4       /* tiles that share in fetching the panel behind the present one */
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
    const float *
        ahead; /* what to bring into the second cache meanwhile: ahead_step floats for each p, at most PANEL */
    size_t ahead_step;
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
    UNROLL
    for (size_t i = 0; i < rows; i++) /* c is written at the end: by then it is here */
        for (size_t j = 0; j < panels * PANEL; j += LINE)
            PREFETCH(t->c + i * t->c_row + j);
    const float *b = t->b;
    const float *a = t->a;
    const float *ahead = t->ahead;
    for (size_t p = 0; p < t->k; p++, b += PANEL, a += t->a_step, ahead += t->ahead_step) {
        PREFETCH(ahead);
        if (t->ahead_step > LINE)
            PREFETCH(ahead + LINE);
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

/* A part of a product: rows [row, row_end), columns [column, column_end), sums over [p, p + k). */
typedef struct part {
    size_t row, row_end;
    size_t column, column_end;
    size_t p, k;
} part;

/* Computes one tile's columns [column, column + columns) from the rows of a at t->a, and the activation behind the last
 * part of k, while the values are in the first cache. */
static void multiply_tile(const home_gemm *g, tile *t, const part *at, size_t i, size_t column,
                          size_t panels) {
    const size_t rows = at->row_end - i < GEMM_ROWS ? at->row_end - i : GEMM_ROWS;
    const size_t left = at->column_end - column;
    const size_t columns = left < panels * PANEL ? left : panels * PANEL;
    const float *panel = g->panels + column * (g->k + 1);
    t->b = panel + (at->p + 1) * PANEL;
    t->bias = at->p == 0 && !g->accumulate ? panel : NULL;
    t->c = g->c + i * g->c_row + column;
    if (panels > 1)
        few_rows[rows].compute(t);
    else if (columns == PANEL)
        tiles[rows](t);
    else
        compute_edge_tile(*t, rows, columns);
    if (g->activation != HOME_ACT_NONE && at->p + at->k == g->k)
        activate_rows(g->activation, g->swish_beta, rows, columns, t->c, t->c, g->c_row);
}

/* packed[q * GEMM_ROWS + r] = a[i + r, p + q], for a transposed a, whose a_row is 1 */
static void pack_tile(const home_gemm *g, const part *at, size_t i, float *packed) {
    const size_t rows = at->row_end - i < GEMM_ROWS ? at->row_end - i : GEMM_ROWS;
    const float *a = g->a + i + at->p * g->a_step;
    for (size_t q = 0; q < at->k; q++, a += g->a_step)
        if (rows == GEMM_ROWS)
            memcpy(packed + q * GEMM_ROWS, a, GEMM_ROWS * sizeof *a);
        else
            memcpy(packed + q * GEMM_ROWS, a, rows * sizeof *a);
}

/* What the columns behind `column` will be multiplied with: in this part of a product, else in the next part. */
static const float *next_panel(const home_gemm *g, const part *at, size_t column) {
    if (column < at->column_end)
        return g->panels + column * (g->k + 1) + (at->p + 1) * PANEL;
    if (at->p + at->k < g->k)
        return g->panels + at->column * (g->k + 1) + (at->p + at->k + 1) * PANEL;
    return g->panels + (column < g->n ? column * (g->k + 1) : 0);
}

/* Panels, or several at once for few rows, one after the other: a panel's part stays in the first cache meanwhile, and
 * the first tiles fetch the next one, which comes from as far as memory. */
static void multiply_by_panels(const home_gemm *g, tile *t, const part *at) {
    const size_t few = g->m < 4 ? few_rows[g->m].panels : 1;
    const size_t tile_count = (at->row_end - at->row + GEMM_ROWS - 1) / GEMM_ROWS;
    const size_t fetchers = tile_count < AHEAD ? tile_count : AHEAD;
    for (size_t column = at->column; column < at->column_end;) {
        const size_t panels = at->column_end - column >= few * PANEL ? few : 1;
        t->ahead = next_panel(g, at, column + panels * PANEL);
        t->ahead_step = panels > 1 ? 0 : PANEL / fetchers;
        for (size_t i = at->row; i < at->row_end; i += GEMM_ROWS) {
            t->a = g->a + i * g->a_row + at->p * g->a_step;
            multiply_tile(g, t, at, i, column, panels);
            t->ahead += t->ahead_step * at->k;
            if (i + GEMM_ROWS == at->row + fetchers * GEMM_ROWS)
                t->ahead_step = 0;
        }
        column += panels * PANEL;
    }
}

/* Tiles one after the other, for a transposed a, whose lines lie far apart: a tile's part of it is packed, while the part
 * of the next one is fetched. */
static void multiply_by_tiles(const home_gemm *g, tile *t, const part *at) {
    float packed[GEMM_ROWS * BLOCK_K];
    t->a = packed;
    t->a_row = 1;
    t->a_step = GEMM_ROWS;
    for (size_t i = at->row; i < at->row_end; i += GEMM_ROWS) {
        pack_tile(g, at, i, packed);
        const size_t next = i + GEMM_ROWS < g->m ? i + GEMM_ROWS : i;
        t->ahead = g->a + next + at->p * g->a_step;
        t->ahead_step = g->a_step;
        for (size_t column = at->column; column < at->column_end; column += PANEL) {
            multiply_tile(g, t, at, i, column, 1);
            t->ahead_step = 0;
        }
    }
}

static void multiply_part(const home_gemm *g, const part *at) {
    tile t = {
        .a_row = g->a_row, .a_step = g->a_step, .b_panel = (g->k + 1) * PANEL, .k = at->k, .c_row = g->c_row};
    (g->a_step == 1 ? multiply_by_panels : multiply_by_tiles)(g, &t, at);
}

/* In parts: the rows of b that a part meets stay in the second cache while the tiles pass by. The loop over p runs once
 * for k = 0 too, where c = act(bias). */
static void gemm(const home_gemm *g) {
    part at;
    for (at.row = 0; at.row < g->m; at.row = at.row_end) {
        at.row_end = g->m - at.row < BLOCK_M ? g->m : at.row + BLOCK_M;
        for (at.column = 0; at.column < g->n; at.column = at.column_end) {
            at.column_end = g->n - at.column < BLOCK_N ? g->n : at.column + BLOCK_N;
            at.p = 0;
            do {
                at.k = g->k - at.p < BLOCK_K ? g->k - at.p : BLOCK_K;
                multiply_part(g, &at);
                at.p += at.k;
            } while (at.p < g->k);
        }
    }
}
