/* The matrix product of kernels.h, from a vector header's types.
 *
 * A tile of c, GEMM_ROWS rows by one panel, is summed in registers:
 *
 *                           line[0]    line[1]         line p of the panel: GEMM_VECTORS vectors
 *     a[0, p], every lane   sum[0][0]  sum[0][1]
 *     a[1, p]               sum[1][0]  sum[1][1]       sum[i][v] += a[i, p] line[v]
 *       ..                    ..         ..
 *     a[GEMM_ROWS - 1, p]   sum[11][0] sum[11][1]      (AVX-512: 12 x 2 sums)
 *
 * Each value is one chain of operations over p, in order. So it depends neither on m nor on its
 * place in a tile, and rows may be cut anywhere.
 *
 * The size of a tile is a bargain between three limits. A multiply-add takes 4 cycles and two start
 * in each, so at least 8 sums are needed to keep them going. Sums, a line and a factor must fit
 * into the registers (AVX-512: 24 + 2 + 1 of 32; AVX2: 12 + 2 + 1 of 16). And a line and the
 * factors are GEMM_VECTORS + GEMM_ROWS loads, of which two start in a cycle, for GEMM_VECTORS *
 * GEMM_ROWS multiply-adds: 14 for 24, and 8 for 12. So loads are not what a whole tile waits for.
 *
 * Larger products are cut into parts, of which the caches hold what is read again:
 *
 *                        BLOCK_N columns of b
 *                      +---+---+---+---+---+
 *             BLOCK_K  | P | P | P | P | P |    a panel's block P: first cache, while all tiles
 *                      +---+---+---+---+---+    of the part's rows pass by
 *              +-----+ +---+---+---+---+---+
 *     BLOCK_M  |  a  | |         c         |    a's part: second cache, for all panels
 *              +-----+ +---+---+---+---+---+
 */

enum {
    /* A panel's block has 256 lines of 32, 16 or 8 floats: 32, 16 or 8 KiB. First caches have 32 to
     * 48 KiB, of which the present tile's rows of a take 1 KiB each. Shorter blocks would load and
     * store c more often. */
    BLOCK_K = 256,
    /* Rows: a part of a then has 144 * 256 floats, 144 KiB, and a part of c up to 576 KiB; second
     * caches have 0.5 to 2 MiB. A multiple of each tile's rows, and the most rows that serving
     * takes at once, so that its products are one part high. */
    BLOCK_M = 144,
    /* Columns, a multiple of each panel. Where a is transposed, tiles go along all panels of a
     * part, 1024 * 256 floats or 1 MiB, which then must stay in the second cache. */
    BLOCK_N = 1024,
    /* Tiles that share in fetching the panel after the present one, from as far as memory. One
     * alone would ask for two lines with each p, four ask for half a line: few enough to go beside
     * the tile's own loads, and done after a third of the rows of a part at most. */
    AHEAD = 4
};

/* A tile: its place in a and c, and the block of panels that it meets. */
typedef struct tile {
    const float *a;
    size_t a_row, a_step;
    const float *b; /* [k, PANEL], the next panel's at b + b_panel */
    size_t b_panel;
    size_t k;
    const float *bias; /* [PANEL] to start from, the next panel's at bias + b_panel; NULL: start
                          from what c holds */
    uintptr_t ahead;   /* what to bring into the second cache meanwhile, a line or two for each p */
    size_t ahead_step; /* bytes to those of the next p */
    float *c;
    size_t c_row;
} tile;

/* Vector v of a tile's line: its place in b or in the biases. */
static ALWAYS_INLINE size_t place_of(const tile *t, size_t v) {
    return v / GEMM_VECTORS * t->b_panel + v % GEMM_VECTORS * VEC_WIDTH;
}

/* The inner loop of nearly all time that is spent in this library. `rows` and `vectors` are
 * constants wherever this is inlined, so that all loops over them are unrolled and the sums live in
 * registers; tiles of up to 4 panels have up to three rows, so the array's size is never used
 * up. */
static ALWAYS_INLINE void compute_tile(const tile *t, const size_t rows, const size_t vectors) {
    vec sum[GEMM_ROWS][4 * GEMM_VECTORS];
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            sum[i][v] =
                vec_load(t->bias ? t->bias + place_of(t, v) : t->c + i * t->c_row + v * VEC_WIDTH);
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) /* c is written at the end: by then it is here */
        for (size_t j = 0; j < vectors * VEC_WIDTH; j += LINE)
            PREFETCH(t->c + i * t->c_row + j);
    const float *b = t->b;
    const float *a = t->a;
    uintptr_t ahead = t->ahead;
    for (size_t p = 0; p < t->k; p++, b += PANEL, a += t->a_step, ahead += t->ahead_step) {
        PREFETCH(ahead);
        if (t->ahead_step > LINE * sizeof(float))
            PREFETCH(ahead + LINE * sizeof(float));
        vec line[4 * GEMM_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            line[v] = vec_load(b + place_of(t, v));
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const vec factor = vec_set(a[i * t->a_row]);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                sum[i][v] = vec_fma(factor, line[v], sum[i][v]);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            vec_store(t->c + i * t->c_row + v * VEC_WIDTH, sum[i][v]);
    }
}

/* One function for each number of rows, in three widths: a whole panel; half of its vectors, for
 * the right edge of c and for what is narrow, such as gates and logits; and several panels side by
 * side, for 1 to 3 rows. With so few rows, one panel has too few sums to hide the 4 cycles of each:
 * one row of two vectors would keep a quarter of the adders busy. */
enum {
    WHOLE = GEMM_VECTORS,
    NARROW = GEMM_VECTORS / 2,
    NARROW_COLUMNS = NARROW * VEC_WIDTH,
    TWO_PANELS = 2 * GEMM_VECTORS,
    FOUR_PANELS = 4 * GEMM_VECTORS
};
#define TILE_OF(rows, name, vectors)                                                               \
    static void compute_##name##_##rows(const tile *t) {                                           \
        compute_tile(t, rows, vectors);                                                            \
    }
#if GEMM_ROWS == 12
#define FOR_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#elif GEMM_ROWS == 6
#define FOR_EACH_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define FOR_EACH_ROWS(X) X(1) X(2) X(3) X(4)
#endif
#define WHOLE_OF(rows)  TILE_OF(rows, whole, WHOLE)
#define NARROW_OF(rows) TILE_OF(rows, narrow, NARROW)
FOR_EACH_ROWS(WHOLE_OF)
FOR_EACH_ROWS(NARROW_OF)
TILE_OF(1, four, FOUR_PANELS)
TILE_OF(2, two, TWO_PANELS)
TILE_OF(3, two, TWO_PANELS)

#define WHOLE_NAME(rows)  compute_whole_##rows,
#define NARROW_NAME(rows) compute_narrow_##rows,
static void (*const whole_tiles[GEMM_ROWS + 1])(const tile *) = {NULL, FOR_EACH_ROWS(WHOLE_NAME)};
static void (*const narrow_tiles[GEMM_ROWS + 1])(const tile *) = {NULL, FOR_EACH_ROWS(NARROW_NAME)};

static const struct {
    void (*compute)(const tile *);
    size_t panels;
} few_rows[4] = {{NULL, 0}, {compute_four_1, 4}, {compute_two_2, 2}, {compute_two_3, 2}};

/* A tile at the right edge of c, of half a panel's vectors if its columns fit in. The panel has
 * zeros there, but c has no room for whole vectors: the tile is computed beside c, then its columns
 * are copied. */
static void compute_edge_tile(tile t, size_t rows, size_t columns) {
    float edge[GEMM_ROWS * PANEL] = {0};
    float *const c = t.c;
    const size_t c_row = t.c_row;
    if (!t.bias)
        copy_columns(rows, columns, c, c_row, edge, PANEL);
    t.c = edge;
    t.c_row = PANEL;
    void (*const *const tiles)(const tile *) =
        columns <= NARROW_COLUMNS ? narrow_tiles : whole_tiles;
    tiles[rows](&t);
    copy_columns(rows, columns, edge, PANEL, c, c_row);
}

/* Columns of one panel. */
static void compute_columns(const tile *t, size_t rows, size_t columns) {
    if (columns == PANEL)
        whole_tiles[rows](t);
    else if (columns == NARROW_COLUMNS)
        narrow_tiles[rows](t);
    else
        compute_edge_tile(*t, rows, columns);
}

/* A part of a product: rows [row, row_end), columns [column, column_end), sums over [p, p + k). */
typedef struct part {
    size_t row, row_end;
    size_t column, column_end;
    size_t p, k;
} part;

/* One tile of c: rows from i on, columns from `column` on. The first part of k starts from the
 * biases, the others from what c holds. After the last part comes the activation, while the values
 * are still in the first cache. */
static void multiply_tile(const homegemm *g, tile *t, const part *at, size_t i, size_t column,
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
    else
        compute_columns(t, rows, columns);
    if (g->activation != HOME_ACT_NONE && at->p + at->k == g->k)
        activate_rows(g->activation, g->swish_beta, rows, columns, t->c, t->c, g->c_row);
}

/* The block of a panel that follows: the next one of this part of the product; after the last, the
 * first one of the next part. Guessing wrong costs a fetch, no more. */
static const float *next_panel(const homegemm *g, const part *at, size_t column) {
    if (column < at->column_end)
        return g->panels + column * (g->k + 1) + (at->p + 1) * PANEL;
    if (at->p + at->k < g->k)
        return g->panels + at->column * (g->k + 1) + (at->p + at->k + 1) * PANEL;
    return g->panels + (column < g->n ? column * (g->k + 1) : 0);
}

/* Fetches the rows of a's next tile, for the first panel that meets them; later panels find them in
 * the second cache. */
static void fetch_rows(const homegemm *g, const part *at, size_t i) {
    const size_t end = at->row_end - i < GEMM_ROWS ? at->row_end : i + GEMM_ROWS;
    for (; i < end; i++)
        for (size_t p = 0; p < at->k; p += LINE)
            PREFETCH(g->a + i * g->a_row + at->p + p);
}

/* Panels, or several at once for few rows, one after the other. All tiles pass by a panel's block
 * while it is in the first cache, and the first AHEAD of them fetch the next block:
 *
 *     panel 0:  tile 0, tile 1, tile 2, tile 3, tile 4, ..      each of the first four fetches
 *                 |       |       |       |                     a quarter of panel 1
 *     panel 1:  tile 0, ..
 */
static void multiply_by_panels(const homegemm *g, tile *t, const part *at) {
    const size_t few = g->m < 4 ? few_rows[g->m].panels : 1;
    const size_t tile_count = (at->row_end - at->row + GEMM_ROWS - 1) / GEMM_ROWS;
    const size_t fetchers = tile_count < AHEAD ? tile_count : AHEAD;
    for (size_t column = at->column; column < at->column_end;) {
        const size_t panels = at->column_end - column >= few * PANEL ? few : 1;
        t->ahead = (uintptr_t)next_panel(g, at, column + panels * PANEL);
        t->ahead_step = panels > 1 ? 0 : PANEL / fetchers * sizeof(float);
        for (size_t i = at->row; i < at->row_end; i += GEMM_ROWS) {
            if (column == at->column && i + GEMM_ROWS < at->row_end)
                fetch_rows(g, at, i + GEMM_ROWS);
            t->a = g->a + i * g->a_row + at->p * g->a_step;
            multiply_tile(g, t, at, i, column, panels);
            t->ahead += t->ahead_step * at->k;
            if (i + GEMM_ROWS == at->row + fetchers * GEMM_ROWS)
                t->ahead_step = 0;
        }
        column += panels * PANEL;
    }
}

#ifndef HOME_SERVE_ONLY
/* packed[q * GEMM_ROWS + r] = a[i + r, p + q], for a transposed a, whose a_row is 1 */
static void pack_tile(const homegemm *g, const part *at, size_t i, float *packed) {
    const size_t rows = at->row_end - i < GEMM_ROWS ? at->row_end - i : GEMM_ROWS;
    const float *a = g->a + i + at->p * g->a_step;
    for (size_t q = 0; q < at->k; q++)
        if (rows == GEMM_ROWS)
            memcpy(packed + q * GEMM_ROWS, a + q * g->a_step, GEMM_ROWS * sizeof *a);
        else
            memcpy(packed + q * GEMM_ROWS, a + q * g->a_step, rows * sizeof *a);
}

/* Tiles one after the other, for a transposed a (the gradient of weights, dyᵀ x). Its values for
 * one tile lie GEMM_ROWS at a time in lines that are far apart, so they are packed once for all
 * panels, and the lines of the next tile are fetched during the first panel. */
static void multiply_by_tiles(const homegemm *g, tile *t, const part *at) {
    float packed[GEMM_ROWS * BLOCK_K];
    t->a = packed;
    t->a_row = 1;
    t->a_step = GEMM_ROWS;
    for (size_t i = at->row; i < at->row_end; i += GEMM_ROWS) {
        pack_tile(g, at, i, packed);
        const size_t next = i + GEMM_ROWS < g->m ? i + GEMM_ROWS : i;
        t->ahead = ADDRESS(g->a, next + at->p * g->a_step);
        t->ahead_step = g->a_step * sizeof *g->a;
        for (size_t column = at->column; column < at->column_end; column += PANEL) {
            multiply_tile(g, t, at, i, column, 1);
            t->ahead_step = 0;
        }
    }
}
#endif

static void multiply_part(const homegemm *g, const part *at) {
    tile t = {.a_row = g->a_row,
              .a_step = g->a_step,
              .b_panel = (g->k + 1) * PANEL,
              .k = at->k,
              .c_row = g->c_row};
#ifndef HOME_SERVE_ONLY
    if (g->a_step != 1) {
        multiply_by_tiles(g, &t, at);
        return;
    }
#endif
    multiply_by_panels(g, &t, at);
}

/* In parts, as drawn above, k innermost, so that a part of c stays in the second cache until it is
 * complete. The loop over p runs once for k = 0 too, where c = act(bias). */
static void gemm(const homegemm *g) {
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
