/* AVX-512 F, for server CPUs since 2017. Compiled for them by a pragma: the build needs no flags
 * for this file. */
#include "tables.h"

#if defined(HOME_HAS_AVX512)
#include <immintrin.h>
#include <string.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif

#include "vector_avx512.h"

#define KERNELS homekernels_avx512
#define NAME    "avx512"
#include "kernels.tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
