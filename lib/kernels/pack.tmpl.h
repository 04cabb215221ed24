/* What packing leaves to the instruction set: copying rows. pack.c has the rest. */

enum {
    PANEL = GEMM_VECTORS * VEC_WIDTH,
    LINE = 16 /* floats that come from memory at once */
};

/* Copies rows of some columns to others. */
static ALWAYS_INLINE void copy_columns(size_t rows, size_t columns, const float *from,
                                       size_t from_row, float *to, size_t to_row) {
    for (size_t r = 0; r < rows; r++)
        FOR_EACH_VECTOR (columns)
            put(to + r * to_row + i, left, get(from + r * from_row + i, left));
}

#ifndef HOME_SERVE_ONLY
/* Rows of a panel from rows of b, filled up with zeros. The caller goes on with the next block of
 * as many rows of b, so these are fetched meanwhile. The call for a whole panel has a constant
 * width, which the compiler unrolls. */
static void pack_rows(size_t rows, size_t columns, const float *b, size_t b_row, float *panel) {
    if (columns < PANEL)
        memset(panel, 0, rows * PANEL * sizeof *panel);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < columns; j += LINE)
            PREFETCH(ADDRESS(b, (r + rows) * b_row + j));
    if (columns == PANEL)
        copy_columns(rows, PANEL, b, b_row, panel, PANEL);
    else
        copy_columns(rows, columns, b, b_row, panel, PANEL);
}
#endif
