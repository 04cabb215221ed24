#include "kernels.h"

#ifndef HOME_SERVE_ONLY
#include <string.h>

size_t home_panels_size(const home_kernels *kernels, size_t k, size_t n) {
    const size_t panels = (n + kernels->panel - 1) / kernels->panel;
    return panels * kernels->panel * (k + 1);
}

/* Columns [first, last) of one panel, in blocks of p whose source and target lines stay in the first cache. */
static void transpose_into_panel(size_t width, size_t k, size_t first, size_t last, const float *w, size_t ld,
                                 const float *bias, float *panel) {
    enum { BLOCK = 16 };
    for (size_t c = first; c < last; c++)
        panel[c] = bias ? bias[c - first] : 0;
    for (size_t p = 0; p < k; p += BLOCK) {
        const size_t end = k - p < BLOCK ? k : p + BLOCK;
        for (size_t c = first; c < last; c++)
            for (size_t q = p; q < end; q++)
                panel[(q + 1) * width + c] = w[(c - first) * ld + q];
    }
}

void home_pack_transposed(const home_kernels *kernels, size_t k, size_t j, size_t rows, const float *w,
                          size_t ld, const float *bias, float *panels) {
    const size_t width = kernels->panel;
    for (size_t done = 0; done < rows;) {
        const size_t first = (j + done) % width;
        const size_t count = rows - done < width - first ? rows - done : width - first;
        transpose_into_panel(width, k, first, first + count, w + done * ld, ld, bias ? bias + done : NULL,
                             panels + (j + done - first) * (k + 1));
        done += count;
    }
}

void home_pack_rows(const home_kernels *kernels, size_t k, size_t n, size_t p, size_t rows, const float *b,
                    size_t ld, float *panels) {
    const size_t width = kernels->panel;
    for (size_t j = 0; j < n; j += width) {
        const size_t columns = n - j < width ? n - j : width;
        float *panel = panels + j * (k + 1);
        memset(panel, 0, width * sizeof *panel);
        for (size_t r = 0; r < rows; r++) {
            float *row = panel + (p + r + 1) * width;
            memcpy(row, b + r * ld + j, columns * sizeof *row);
            memset(row + columns, 0, (width - columns) * sizeof *row);
        }
    }
}

#endif
