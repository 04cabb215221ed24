/* Packing into the panels of kernels.h. Weights are packed transposed, W [out, in] to b = Wᵀ, once
 * after each change; what backward multiplies with, x and W, is packed as it lies, in every
 * step. */
#include "kernels.h"

#include <string.h>

/* A serve-only library packs nothing, and a device may lack stdlib.h, which xmmintrin.h
 * includes. */
#if defined(__SSE__) && !defined(HOME_SERVE_ONLY)
#define TRANSPOSE_WITH_SSE
#include <xmmintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

bool homekernels_panels_size(size_t panel, size_t k, size_t n, size_t *floats) {
    size_t columns;
    if (k == SIZE_MAX || !homesize_add(n, panel - 1, &columns))
        return false;
    return homesize_multiply(columns / panel * panel, k + 1, floats);
}

/* Transposing reads along rows and writes along columns, so one of the two is always scattered. In
 * squares of four by four, both move four floats at a time. */
enum { SQUARE = 4 };

/* y[j, i] = x[i, j] of a 4 x 4 square. With the vectors that every CPU of the architecture has, so
 * there is one copy of this and not one for each table; else value by value. */
static inline void transpose_square(const float *x, size_t x_row, float *y, size_t y_row) {
#ifdef TRANSPOSE_WITH_SSE
    __m128 a = _mm_loadu_ps(x);
    __m128 b = _mm_loadu_ps(x + x_row);
    __m128 c = _mm_loadu_ps(x + 2 * x_row);
    __m128 d = _mm_loadu_ps(x + 3 * x_row);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(y, a);
    _mm_storeu_ps(y + y_row, b);
    _mm_storeu_ps(y + 2 * y_row, c);
    _mm_storeu_ps(y + 3 * y_row, d);
#elif defined(__ARM_NEON) && defined(__aarch64__)
    float32x4x4_t rows;
    rows.val[0] = vld1q_f32(x);
    rows.val[1] = vld1q_f32(x + x_row);
    rows.val[2] = vld1q_f32(x + 2 * x_row);
    rows.val[3] = vld1q_f32(x + 3 * x_row);
    float square[SQUARE * SQUARE];
    vst4q_f32(square, rows); /* interleaves */
    for (size_t j = 0; j < SQUARE; j++)
        vst1q_f32(y + j * y_row, vld1q_f32(square + j * SQUARE));
#else
    for (size_t i = 0; i < SQUARE; i++)
        for (size_t j = 0; j < SQUARE; j++)
            y[j * y_row + i] = x[i * x_row + j];
#endif
}

/* y[j, i] = x[i, j] for i < rows, j < columns: whole squares, then the columns at their right and
 * the rows below them. */
static void transpose(size_t rows, size_t columns, const float *x, size_t x_row, float *y,
                      size_t y_row) {
    const size_t whole = rows / SQUARE * SQUARE;
    const size_t wide = columns / SQUARE * SQUARE;
    for (size_t i = 0; i < whole; i += SQUARE)
        for (size_t j = 0; j < wide; j += SQUARE)
            transpose_square(x + i * x_row + j, x_row, y + j * y_row + i, y_row);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = i < whole ? wide : 0; j < columns; j++)
            y[j * y_row + i] = x[i * x_row + j];
}

/* Columns [first, end) of one panel. In blocks of 16 values of p: a cache line of each row of w is
 * then read as a whole while it is in the first cache, and 16 lines of the panel are written, at
 * most 2 KiB. */
static void transpose_into_panel(const homekernels *kernels, size_t k, size_t first, size_t end,
                                 const float *w, size_t ld, const float *bias, float *panel) {
    enum { BLOCK = 16 };
    const size_t width = kernels->panel;
    for (size_t c = first; c < end; c++)
        panel[c] = bias ? bias[c - first] : 0;
    for (size_t p = 0; p < k; p += BLOCK) {
        const size_t lines = k - p < BLOCK ? k - p : BLOCK;
        transpose(end - first, lines, w + p, ld, panel + (p + 1) * width + first, width);
    }
}

void homekernels_pack_transposed(const homekernels *kernels, size_t k, size_t j, size_t rows,
                                 const float *w, size_t ld, const float *bias, float *panels) {
    const size_t width = kernels->panel;
    for (size_t done = 0; done < rows;) {
        const size_t first = (j + done) % width;
        const size_t count = rows - done < width - first ? rows - done : width - first;
        transpose_into_panel(kernels, k, first, first + count, w + done * ld, ld,
                             bias ? bias + done : NULL, panels + (j + done - first) * (k + 1));
        done += count;
    }
}

/* In blocks of 16 rows of b: what a block writes to one panel is contiguous, and its rows are read
 * for all panels before the next block, so that they come from memory once. Panel by panel instead,
 * every row of b would be visited once for each panel. */
void homekernels_pack_rows(const homekernels *kernels, size_t k, size_t n, size_t p, size_t rows,
                           const float *b, size_t ld, float *panels) {
    enum { BLOCK = 16 };
    const size_t width = kernels->panel;
    for (size_t j = 0; j < n; j += width)
        memset(panels + j * (k + 1), 0, width * sizeof *panels); /* biases */
    for (size_t first = 0; first < rows; first += BLOCK)
        for (size_t j = 0; j < n; j += width)
            kernels->pack_rows(rows - first < BLOCK ? rows - first : BLOCK,
                               n - j < width ? n - j : width, b + first * ld + j, ld,
                               panels + j * (k + 1) + (p + first + 1) * width);
}
