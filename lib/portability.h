/* The one place for compiler extensions outside the kernels; each has a plain C fallback. */
#ifndef HOME_PORTABILITY_H
#define HOME_PORTABILITY_H

/* A missing label is NaN, and a sum has one order: neither outlives these options. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "libhome needs IEEE arithmetic: compile it without -ffast-math, -ffinite-math-only and -Ofast"
#endif

#if defined(__GNUC__)
#define HOME_PRINTF(text, values) __attribute__((format(printf, text, values)))
#else
#define HOME_PRINTF(text, values)
#endif

/* Tells the CPU that a loop only waits. */
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define HOME_PAUSE() __builtin_ia32_pause()
#else
#define HOME_PAUSE() ((void)0)
#endif

#endif
