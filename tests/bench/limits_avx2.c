#include "bench/limits_tables.h"

#if defined(HOME_X86)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "kernels/vector_avx2.h"

#define LIMITS limits_avx2
#define NAME   "avx2"
#define SUMS   12
#include "bench/limits.tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
