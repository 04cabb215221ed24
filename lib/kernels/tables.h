/* The tables, one per instruction set. */
#ifndef HOME_KERNELS_TABLES_H
#define HOME_KERNELS_TABLES_H

#include "kernels.h"

/* GNU C on x86-64 can compile single functions for newer CPUs, and ask at run time which one it is on. */
#if defined(__GNUC__) && defined(__x86_64__)
#define HOME_X86
#endif

extern const home_kernels home_kernels_portable;
#if defined(HOME_X86)
extern const home_kernels home_kernels_avx2;
extern const home_kernels home_kernels_avx512;
#endif
#if defined(__aarch64__)
extern const home_kernels home_kernels_neon;
#endif

#endif
