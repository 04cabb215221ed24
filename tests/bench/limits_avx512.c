#include "bench/limits_tables.h"

#if defined(HOME_X86)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif

#include "kernels/vector_avx512.h"

#define LIMITS limits_avx512
#define NAME   "avx512"
#define SUMS   24
#include "bench/limits.tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
