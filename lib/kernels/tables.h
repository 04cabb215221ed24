/* The tables, one per instruction set. */
#ifndef HOME_KERNELS_TABLES_H
#define HOME_KERNELS_TABLES_H

#include "kernels.h"

/* GNU C on x86-64 can compile single functions for newer CPUs, and ask at run time which one it is
 * on. */
#if defined(__GNUC__) && defined(__x86_64__)
#define HOME_X86
#endif

/* Which tables there are: all that can be compiled; or one alone, for a build that shall be small,
 * where one of HOME_ONLY_PORTABLE, HOME_ONLY_AVX2, HOME_ONLY_AVX512 and HOME_ONLY_NEON is defined.
 * Models are then made on CPUs that have it, and refused on others. */
#if defined(HOME_ONLY_PORTABLE) || defined(HOME_ONLY_AVX2) || defined(HOME_ONLY_AVX512) ||         \
    defined(HOME_ONLY_NEON)
#define HOME_ONLY_ONE
#endif
#if !defined(HOME_ONLY_ONE) || defined(HOME_ONLY_PORTABLE)
#define HOME_HAS_PORTABLE
extern const homekernels homekernels_portable;
#endif
#if defined(HOME_X86) && (!defined(HOME_ONLY_ONE) || defined(HOME_ONLY_AVX2))
#define HOME_HAS_AVX2
extern const homekernels homekernels_avx2;
#endif
#if defined(HOME_X86) && (!defined(HOME_ONLY_ONE) || defined(HOME_ONLY_AVX512))
#define HOME_HAS_AVX512
extern const homekernels homekernels_avx512;
#endif
#if defined(__aarch64__) && (!defined(HOME_ONLY_ONE) || defined(HOME_ONLY_NEON))
#define HOME_HAS_NEON
extern const homekernels homekernels_neon;
#endif

#ifdef HOME_BLIS
/* blis.c: c += a b, where g tells m, k, a and c's row stride; b is a row-major [k, columns], b_row
 * apart. */
void homekernels_blis_multiply_add(const homegemm *g, const float *b, size_t b_row, size_t columns,
                                   float *c);
#endif

#endif
