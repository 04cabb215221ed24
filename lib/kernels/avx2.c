/* AVX2 with FMA, for x86-64 CPUs since 2013. Compiled for them by a pragma: the build needs no
 * flags for this file. */
#include "tables.h"

#if defined(HOME_HAS_AVX2)
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "vector_avx2.h"

#define KERNELS homekernels_avx2
#define NAME    "avx2"
#include "kernels.tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
