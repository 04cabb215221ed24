/* All kernels of one instruction set, from one source. A file such as avx2.c includes its vector
 * header, defines two macros, and includes this file, which leaves one thing behind: the table.
 *
 *     KERNELS              the table's name: homekernels_avx2
 *     NAME                 what home_model_isa() calls it: "avx2"
 *
 * The vector header supplies all that depends on the instruction set:
 *
 *     VEC_WIDTH            floats in a vector: 1, 4, 8 or 16
 *     GEMM_ROWS            rows of the tile whose sums a product keeps in registers; it divides
 *                          HOMEKERNELS_TILE_ROWS, and FOR_EACH_ROWS in gemm.tmpl.h knows it
 *     GEMM_VECTORS         vectors of a tile's row, so that a panel has GEMM_VECTORS * VEC_WIDTH
 *                          columns. GEMM_ROWS * GEMM_VECTORS sums, GEMM_VECTORS vectors of a line
 *                          and a factor must fit into the registers
 *     EXP_PARTS            into how many parts vec_exp_scale() divides a power of two: 1 or 16
 *
 *     vec                  a vector, for which the operators +, - and * must work
 *     vec_set(x)           x in every lane
 *     vec_load(p)          VEC_WIDTH floats from p, which need not be aligned
 *     vec_store(p, v)      the same to p
 *     vec_load_part(p, n)  the first n < VEC_WIDTH floats, zeros after them; reads no others, for
 *                          they may lie in a page that does not exist
 *     vec_store_part(p, n, v)
 *                          the first n lanes to p; writes no others
 *     vec_fma(a, b, c)     a b + c, rounded once where the instruction set can
 *     vec_max(a, b)        a where a > b, else b; so a NaN in b stays, and one in a does not
 *     vec_min(a, b)        a where a < b, else b; the same
 *     vec_sqrt(v)          correctly rounded
 *     vec_reciprocal(v)    1 / v for v >= 1, to about 1 ulp
 *     vec_step(v)          1 where v > 0, else 0
 *     vec_exp_scale(e, n, shifted)
 *                          (1 + e) 2^n, the end of e^x: elementwise.tmpl.h has the rest
 *
 * A row's result must not depend on where it lies in a vector or a tile: callers cut work anywhere,
 * and tests compare the bytes. So an operation on part of a vector computes what it computes on a
 * whole one. */
#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PREFETCH(p)   __builtin_prefetch((const void *)(p), 0, 2)
#else
#define ALWAYS_INLINE inline
#define PREFETCH(p)   ((void)(p))
#endif
/* The address of element n of p as a number: what is fetched ahead may lie past the end of the
 * array, where C allows no pointer to be formed. A prefetch never faults. */
#define ADDRESS(p, n) ((uintptr_t)(p) + (n) * sizeof *(p))
/* Unrolls the loop that follows. The templates keep vectors in arrays; only where every index is a
 * constant do these become registers. 16 covers the longest such loop, over the rows of a tile. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/* clang-format off: the order matters */
#include "elementwise.tmpl.h"
#include "pack.tmpl.h"
#ifdef HOME_BLIS
#include "gemm_blis.tmpl.h"
#else
#include "gemm.tmpl.h"
#endif
/* clang-format on */

/* Callers who cut rows at multiples of HOMEKERNELS_TILE_ROWS cut no tile. */
_Static_assert(HOMEKERNELS_TILE_ROWS % GEMM_ROWS == 0, "rows are cut where tiles end");

const homekernels KERNELS = {
    .name = NAME,
    .panel = PANEL,
    .gemm = gemm,
    .activate = activate,
    .softmax = softmax,
    .mix = mix,
    .scale = scale,
    .scale_add = scale_add,
    .multiply = multiply,
#ifndef HOME_SERVE_ONLY
    .pack_rows = pack_rows,
    .activate_gradient = activate_gradient,
    .multiply_add = multiply_add,
    .affine = affine,
    .dot = dot,
    .sum_of_squares = sum_of_squares,
    .add_values = add_values,
    .add_deviations = add_deviations,
    .add_norm_slopes = add_norm_slopes,
    .norm_gradient = norm_gradient,
    .adam = adam,
    .adagrad = adagrad,
    .sgd = sgd,
#endif
};
