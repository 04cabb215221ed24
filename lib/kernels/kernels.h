/* The inner loops, one table of them per instruction set. Callers never know which table is in use.
 * A kernel's result for a row depends on that row alone, not on its place or on the other rows.
 *
 * Here: what the tables hold (this file), one source of all kernels (*.tmpl.h) that each
 * instruction set compiles with its own vectors (vector_*.h), the choice of a table (dispatch.c),
 * and packing. Called by: steps, and all above. Calls: base. */
#ifndef HOME_KERNELS_H
#define HOME_KERNELS_H

#include "../base/base.h"
#include "../base/portability.h" /* products and sums are rounded one by one */

typedef enum homeactivation {
    HOME_ACT_NONE,
    HOME_ACT_RELU,
    HOME_ACT_SIGMOID,
    HOME_ACT_SWISH
} homeactivation;

/* Rows that fill whole tiles of a product whatever the kernels: a multiple of each table's
 * GEMM_ROWS, which are 4, 6 and 12. Whoever cuts rows, for threads or blocks, cuts at multiples of
 * it. Only speed depends on that. */
enum { HOMEKERNELS_TILE_ROWS = 24 };

/* A matrix product on packed weights:
 *
 *     c[i, j]  = act( sum_p a[i, p] b[p, j] + bias[j] )      or, to accumulate,
 *     c[i, j] += sum_p a[i, p] b[p, j]
 *
 * for i < m, j < n, p < k, with a[i, p] at a[i * a_row + p * a_step], where a_row or a_step is 1,
 * and c[i, j] at c[i * c_row + j].
 *
 * b comes packed in panels of P = `panel` columns, one after another. Each has the biases of its
 * columns as line 0 and row p of b as line p + 1; the last one is filled up with zeros:
 *
 *                  panel 0 (columns 0 .. P)       panel 1 (columns P .. 2P)
 *     line 0      | bias[0]    .. bias[P - 1]    | bias[P]    ..
 *     line 1      | b[0, 0]    .. b[0, P - 1]    | b[0, P]    ..
 *     line 2      | b[1, 0]    .. b[1, P - 1]    | b[1, P]    ..
 *       ..        |   ..                         |   ..
 *     line k      | b[k - 1, 0] ..               | b[k - 1, P] ..
 *                 ^                              ^
 *                 panels                         panels + P (k + 1)
 *
 * Within a panel the lines are contiguous. So a product reads memory from its beginning to its end,
 * as CPUs fetch best, in whole vectors; and column j of line q stands at
 *
 *     panels[j / P * P * (k + 1) + q * P + j % P]
 *
 * A product is computed in tiles of some rows of a by one panel, whose sums stay in registers
 * while p runs (gemm.tmpl.h):
 *
 *                    one panel of b
 *                   +--------------+
 *                   |    line p    |    P values, in vectors
 *                   +--------------+
 *        rows of a
 *       +---------+ +--------------+
 *       | a[i, p] | | tile: sums   |    sum[i][j] += a[i, p] b[p, j]: for all i and j, then for
 *       +---------+ +--------------+    the next p
 *
 * Without `accumulate`, c is not read. */
typedef struct homegemm {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_step;
    const float *panels;
    float *c;
    size_t c_row;
    bool accumulate;
    homeactivation activation;
    float swish_beta;
} homegemm;

/* A matrix: its first row, and the floats from row to row. */
typedef struct homerows {
    const float *at;
    size_t row;
} homerows;

/* The most terms of one call: a caller keeps their addresses on its stack, and with more terms
 * calls again, to accumulate. Models rarely show a node more than 32 experts. */
enum { HOME_MIX_TERMS = 32 };

/* Weighted sums:  y[i, :] = times[i, :] * sum_t factor w_t[i] x_t[i, :],  or, to accumulate, y +=
 * the same, for i < rows and 1 to HOME_MIX_TERMS terms. */
typedef struct homemix {
    size_t rows, n, terms;
    const homerows *x; /* [terms] */
    const homerows *w; /* [terms] a weight in every row; NULL: 1 */
    float factor;
    homerows times; /* at = NULL: 1 */
    float *y;
    size_t y_row;
    bool accumulate;
} homemix;

/* One step of an optimizer on n values. The gradient first becomes g = gradient_factor * gradient +
 * decay * value. */
typedef struct homeupdate {
    float gradient_factor; /* of clipping */
    float decay;           /* weight decay in the gradient */
    float keep;            /* times the value, first: weight decay apart from the gradient */
    float rate;            /* learning rate; Adam's over 1 - beta1^t */
    float beta1, beta2;    /* Adam's; beta1 is SGD's momentum too */
    float rest1, rest2;    /* Adam's 1 - beta1 and 1 - beta2, rounded once */
    float root_factor;     /* Adam's 1 / sqrt(1 - beta2^t) */
    float epsilon;
} homeupdate;

/* A table of kernels. Values need no alignment; n is a number of values. In a build with
 * HOME_SERVE_ONLY the functions that only training calls are NULL. */
typedef struct homekernels {
    const char *name;
    size_t panel; /* columns of a panel */

    void (*gemm)(const homegemm *product);

    /* y = act(x); in place allowed */
    void (*activate)(homeactivation act, float swish_beta, size_t n, const float *x, float *y);

    /* panel[r, j] = b[r, j] for j < columns, 0 up to the panel's width */
    void (*pack_rows)(size_t rows, size_t columns, const float *b, size_t b_row, float *panel);

    /* dx = dy act'(x). `at` is the activation's input x for swish, its output for the others. In
     * place (dx = dy) allowed. */
    void (*activate_gradient)(homeactivation act, float swish_beta, size_t n, const float *at,
                              const float *dy, float *dx);

    /* y = softmax(x), of each row */
    void (*softmax)(size_t rows, size_t n, const float *x, size_t x_row, float *y, size_t y_row);

    void (*mix)(const homemix *mixture);

    /* y = w x;  y += w x */
    void (*scale)(size_t n, float w, const float *x, float *y);
    void (*scale_add)(size_t n, float w, const float *x, float *y);
    /* y = a b, in place allowed;  y += a b */
    void (*multiply)(size_t n, const float *a, const float *b, float *y);
    void (*multiply_add)(size_t n, const float *a, const float *b, float *y);
    /* y = scale x + shift */
    void (*affine)(size_t n, const float *x, const float *scale, const float *shift, float *y);
    float (*dot)(size_t n, const float *a, const float *b);
    double (*sum_of_squares)(size_t n, const float *x);

    /* Of batch norm, for a row at a time: sum += x;  squares += (x - mean)² */
    void (*add_values)(size_t n, const float *x, double *sum);
    void (*add_deviations)(size_t n, const float *x, const double *mean, double *squares);
    /* with x̂ = (x - mean) scale:  dbeta += dy,  dgamma += dy x̂ */
    void (*add_norm_slopes)(size_t n, const float *x, const float *mean, const float *scale,
                            const float *dy, double *dbeta, double *dgamma);
    /* dx = factor (dy - shift - (x - mean) tilt) */
    void (*norm_gradient)(size_t n, const float *x, const float *mean, const float *factor,
                          const float *shift, const float *tilt, const float *dy, float *dx);

    /* m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;
     * value -= rate m / (sqrt(v) root_factor + epsilon) */
    void (*adam)(size_t n, const homeupdate *step, const float *gradient, float *value, float *m,
                 float *v);
    /* sum += g²;  value -= rate g / (sqrt(sum) + epsilon) */
    void (*adagrad)(size_t n, const homeupdate *step, const float *gradient, float *value,
                    float *sum);
    /* buffer = b1 buffer + g;  value -= rate buffer */
    void (*sgd)(size_t n, const homeupdate *step, const float *gradient, float *value,
                float *buffer);
} homekernels;

/* The same name, static, where it is one of "portable", "avx2", "avx512" and "neon", of whatever
 * CPU; else NULL. */
const char *homekernels_isa_name(const char *name);
#define HOMEKERNELS_ISA_NAMES "\"portable\", \"avx2\", \"avx512\" or \"neon\""

/* The best table that this CPU and operating system support, that is not above the instruction set
 * `isa` (NULL: any), and not above homekernels_cap(), if this build has that one. NULL where there
 * is none. */
const homekernels *homekernels_select(const char *isa);

/* cap.c: NULL, for no cap on all models of the process. Tests link another. */
const char *homekernels_cap(void);

/* The best of those with panels of so many columns; NULL where none has them. */
const homekernels *homekernels_select_panel(size_t panel);

/* Floats of a [k, n] matrix with its biases in panels of `panel` columns; false on overflow. */
bool homekernels_panels_size(size_t panel, size_t k, size_t n, size_t *floats);

/* Packs columns [j, j + rows) of b = Wᵀ, from a row-major W of `rows` rows of k with stride ld;
 * bias may be NULL. The panels must be zero, or hold an earlier packing of the same shape. */
void homekernels_pack_transposed(const homekernels *kernels, size_t k, size_t j, size_t rows,
                                 const float *w, size_t ld, const float *bias, float *panels);

/* Packs rows [p, p + rows) of b [k, n], row-major with stride ld. Bias rows become 0. */
void homekernels_pack_rows(const homekernels *kernels, size_t k, size_t n, size_t p, size_t rows,
                           const float *b, size_t ld, float *panels);

#endif
