/* The limits of each instruction set; each has its own file. */
#ifndef TESTS_BENCH_LIMITS_TABLES_H
#define TESTS_BENCH_LIMITS_TABLES_H

#include "bench/limits.h"
#include "kernels/tables.h"

extern const limits limits_portable;
#if defined(HOME_X86)
extern const limits limits_avx2;
extern const limits limits_avx512;
#endif
#if defined(__aarch64__)
extern const limits limits_neon;
#endif

#endif
