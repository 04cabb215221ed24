/* All kernels of one instruction set. The including file has defined KERNELS (the table's name) and
 * NAME, and included a vector header. Everything else is static. */
#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PREFETCH(p)   __builtin_prefetch((const void *)(p), 0, 2)
#else
#define ALWAYS_INLINE inline
#define PREFETCH(p)   ((void)(p))
#endif
/* Element n of p as a number, for what is fetched ahead may lie behind the end of an array. */
#define ADDRESS(p, n) ((uintptr_t)(p) + (n) * sizeof *(p))
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
