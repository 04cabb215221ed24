/* The inner loops, one table of them per instruction set. Above this line nobody knows which is in use.
 *
 * A kernel's result for a row depends on that row alone, and on nothing of its position or of the other rows.
 */
#ifndef HOME_KERNELS_H
#define HOME_KERNELS_H

#include "../plan.h"

/* A matrix product on packed weights:
 *
 *     c[i, j]  = act( sum_p a[i, p] b[p, j] + bias[j] )      or, to accumulate,
 *     c[i, j] += sum_p a[i, p] b[p, j]
 *
 * for i < m, j < n, p < k, with a[i, p] at a[i * a_row + p * a_step], where a_row or a_step is 1, and c[i, j] at
 * c[i * c_row + j].
 *
 * b comes in panels of `panel` columns, the last one filled up with zeros:
 *
 *     panel 0: bias[0 .. panel), b[0, 0 .. panel), b[1, 0 .. panel) ... b[k - 1, 0 .. panel)
 *     panel 1: bias[panel .. 2 panel) ...
 *
 * Without `accumulate`, c is not read. */
typedef struct home_gemm {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_step;
    const float *panels;
    float *c;
    size_t c_row;
    bool accumulate;
    home_activation activation;
    float swish_beta;
} home_gemm;

/* A matrix: its first row, and the floats from row to row. */
typedef struct home_rows {
    const float *at;
    size_t row;
} home_rows;

enum { HOME_MIX_TERMS = 32 };

/* Weighted sums:  y[i, :] = times[i, :] * sum_t factor w_t[i] x_t[i, :],  or, to accumulate, y += the same, for i < rows and
 * 1 to HOME_MIX_TERMS terms. */
typedef struct home_mix {
    size_t rows, n, terms;
    const home_rows *x; /* [terms] */
    const home_rows *w; /* [terms] a weight in every row; NULL: 1 */
    float factor;
    home_rows times; /* at = NULL: 1 */
    float *y;
    size_t y_row;
    bool accumulate;
} home_mix;

/* One step of an optimizer on n values. The gradient first becomes g = gradient_factor * gradient + decay *
 * value. */
typedef struct home_update {
    float gradient_factor; /* of clipping */
    float decay;           /* weight decay in the gradient */
    float keep;            /* the value is multiplied by this first: weight decay apart from the gradient */
    float rate;            /* learning rate; Adam's over 1 - beta1^t */
    float beta1, beta2;    /* Adam's; beta1 is SGD's momentum too */
    float rest1, rest2;    /* Adam's 1 - beta1 and 1 - beta2, rounded once */
    float root_factor;     /* Adam's 1 / sqrt(1 - beta2^t) */
    float epsilon;
} home_update;

typedef struct home_kernels {
    const char *name;
    size_t panel; /* columns of a panel */

    void (*gemm)(const home_gemm *product);

    /* y = act(x); in place allowed */
    void (*activate)(home_activation act, float swish_beta, size_t n, const float *x, float *y);

    /* panel[r, j] = b[r, j] for j < columns, 0 up to the panel's width */
    void (*pack_rows)(size_t rows, size_t columns, const float *b, size_t b_row, float *panel);

    /* dx = dy act'(x). `at` is the activation's input x for swish, its output for the others. In place (dx = dy)
     * allowed. */
    void (*activate_gradient)(home_activation act, float swish_beta, size_t n, const float *at,
                              const float *dy, float *dx);

    void (*softmax)(size_t rows, size_t n, const float *x, size_t x_row, float *y,
                    size_t y_row); /* of each row */

    void (*mix)(const home_mix *mixture);

    void (*scale)(size_t n, float w, const float *x, float *y);               /* y = w x */
    void (*scale_add)(size_t n, float w, const float *x, float *y);           /* y += w x */
    void (*multiply)(size_t n, const float *a, const float *b, float *y);     /* y = a b; in place allowed */
    void (*multiply_add)(size_t n, const float *a, const float *b, float *y); /* y += a b */
    void (*affine)(size_t n, const float *x, const float *scale, const float *shift,
                   float *y); /* y = scale x + shift */
    float (*dot)(size_t n, const float *a, const float *b);
    double (*sum_of_squares)(size_t n, const float *x);

    /* Of batch norm, for a row at a time: sum += x;  squares += (x - mean)² */
    void (*add_values)(size_t n, const float *x, double *sum);
    void (*add_deviations)(size_t n, const float *x, const double *mean, double *squares);
    /* with x̂ = (x - mean) scale:  dbeta += dy,  dgamma += dy x̂ */
    void (*add_norm_slopes)(size_t n, const float *x, const float *mean, const float *scale, const float *dy,
                            double *dbeta, double *dgamma);
    /* dx = factor (dy - shift - (x - mean) tilt) */
    void (*norm_gradient)(size_t n, const float *x, const float *mean, const float *factor,
                          const float *shift, const float *tilt, const float *dy, float *dx);

    /* m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;  value -= rate m / (sqrt(v) root_factor + epsilon) */
    void (*adam)(size_t n, const home_update *step, const float *gradient, float *value, float *m, float *v);
    /* sum += g²;  value -= rate g / (sqrt(sum) + epsilon) */
    void (*adagrad)(size_t n, const home_update *step, const float *gradient, float *value, float *sum);
    /* buffer = b1 buffer + g;  value -= rate buffer */
    void (*sgd)(size_t n, const home_update *step, const float *gradient, float *value, float *buffer);
} home_kernels;

/* The same name, static, where it is one of "portable", "avx2", "avx512" and "neon", of whatever CPU; else NULL. */
const char *home_isa_name(const char *name);

/* The best table that this CPU and operating system support, and not above the instruction set `isa` (NULL: any) nor the
 * one that the environment variable HOME_ISA names, if it names one of this build's. NULL where there is none. */
const home_kernels *home_kernels_select(const char *isa);

/* The best of those with panels of so many columns; NULL where none has them. */
const home_kernels *home_kernels_select_panel(size_t panel);

/* Floats of the panels of a [k, n] matrix. */
size_t home_panels_size(const home_kernels *kernels, size_t k, size_t n);

/* Packs columns [j, j + rows) of b = Wᵀ, from a row-major W of `rows` rows of k with stride ld; bias may be
 * NULL. The panels must be zero, or hold an earlier packing of the same shape. */
void home_pack_transposed(const home_kernels *kernels, size_t k, size_t j, size_t rows, const float *w,
                          size_t ld, const float *bias, float *panels);

/* Packs rows [p, p + rows) of b [k, n], row-major with stride ld. Bias rows become 0. */
void home_pack_rows(const home_kernels *kernels, size_t k, size_t n, size_t p, size_t rows, const float *b,
                    size_t ld, float *panels);

#endif
