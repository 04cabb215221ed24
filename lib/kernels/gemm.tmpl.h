/* The matrix product of kernels.h, from a vector header's types. GEMM_ROWS x (GEMM_VECTORS *
 * VEC_WIDTH) values of c are summed in registers; each value is summed over p in order, so it
 * depends neither on m nor on its place in a tile. */

enum {
    BLOCK_K = 256,  /* a panel's block (BLOCK_K * PANEL floats) stays in the first cache */
    BLOCK_M = 144,  /* rows, and ... */
    BLOCK_N = 1024, /* ... columns, whose parts of a and c stay in the second cache meanwhile */
    AHEAD = 4       /* tiles that share in fetching the panel behind the present one */
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

/* `rows` and `vectors` are constants where this is inlined, so that the sums live in registers. */
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

/* Tiles as wide as a panel; narrow ones of half its vectors; and, since with few rows one panel has
 * too few sums to keep the adders busy, such of several panels. */
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

/* A tile at the right edge of c, of half a panel's vectors if its columns fit in. It is computed
 * whole beside c, then its columns are copied. */
static void compute_edge_tile(tile t, size_t rows, size_t columns) {
    float edge[GEMM_ROWS * PANEL] = {0};
    float *const c = t.c;
    const size_t c_row = t.c_row;
    if (!t.bias)
        copy_columns(rows, columns, c, c_row, edge, PANEL);
    t.c = edge;
    t.c_row = PANEL;
    (columns <= NARROW_COLUMNS ? narrow_tiles : whole_tiles)[rows](&t);
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

/* Computes one tile's columns [column, column + columns) from the rows of a at t->a, and the
 * activation behind the last part of k, while the values are in the first cache. */
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

/* What the columns behind `column` will be multiplied with: in this part of a product, else in the
 * next part. */
static const float *next_panel(const homegemm *g, const part *at, size_t column) {
    if (column < at->column_end)
        return g->panels + column * (g->k + 1) + (at->p + 1) * PANEL;
    if (at->p + at->k < g->k)
        return g->panels + at->column * (g->k + 1) + (at->p + at->k + 1) * PANEL;
    return g->panels + (column < g->n ? column * (g->k + 1) : 0);
}

/* The rows of a's next tile, for the first panel that meets them. */
static void fetch_rows(const homegemm *g, const part *at, size_t i) {
    const size_t last = at->row_end - i < GEMM_ROWS ? at->row_end : i + GEMM_ROWS;
    for (; i < last; i++)
        for (size_t p = 0; p < at->k; p += LINE)
            PREFETCH(g->a + i * g->a_row + at->p + p);
}

/* Panels, or several at once for few rows, one after the other: a panel's part stays in the first
 * cache meanwhile, and the first tiles fetch the next one, which comes from as far as memory. */
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

/* Tiles one after the other, for a transposed a, whose lines lie far apart: a tile's part of it is
 * packed, while the part of the next one is fetched. */
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

/* In parts: the rows of b that a part meets stay in the second cache while the tiles pass by. The
 * loop over p runs once for k = 0 too, where c = act(bias). */
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
