/* The one place for compiler extensions outside the kernels; each has a plain C fallback. */
#ifndef HOME_PORTABILITY_H
#define HOME_PORTABILITY_H

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
