#include "kernels.h"

#include <string.h>

size_t home_panels_size(const home_kernels *kernels, size_t k, size_t n) {
    const size_t panels = (n + kernels->panel - 1) / kernels->panel;
    return panels * kernels->panel * (k + 1);
}

void home_pack_transposed(const home_kernels *kernels, size_t k, size_t j, size_t rows, const float *w,
                          size_t ld, const float *bias, float *panels) {
    const size_t width = kernels->panel;
    for (size_t r = 0; r < rows; r++) {
        float *column = panels + (j + r) / width * width * (k + 1) + (j + r) % width;
        column[0] = bias ? bias[r] : 0;
        for (size_t p = 0; p < k; p++)
            column[(p + 1) * width] = w[r * ld + p];
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
