/* The tables, one per instruction set. */
#ifndef HOME_KERNELS_TABLES_H
#define HOME_KERNELS_TABLES_H

#include "kernels.h"

/* GNU C on x86-64 can compile single functions for newer CPUs, and ask at run time which one it is
 * on. */
#if defined(__GNUC__) && defined(__x86_64__)
#define HOME_X86
#endif

/* Which tables there are: all that can be compiled; or only one, for a small build, where one of
 * HOME_ONLY_PORTABLE, HOME_ONLY_AVX2, HOME_ONLY_AVX512 and HOME_ONLY_NEON is defined. Such a build
 * works on CPUs that have the instruction set, and refuses to make models on others. */
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
/* blis.c: c += a b, where m, k, a and the row stride of c are those of g, and b is row-major,
 * [k, columns], with rows b_row apart. */
void homekernels_blis_multiply_add(const homegemm *g, const float *b, size_t b_row, size_t columns,
                                   float *c);
#endif

#endif
