/* The one place for compiler extensions outside the kernels; each has a plain C fallback. */
#ifndef HOME_PORTABILITY_H
#define HOME_PORTABILITY_H

#if defined(__GNUC__)
#define HOME_PRINTF(text, values) __attribute__((format(printf, text, values)))
#else
#define HOME_PRINTF(text, values)
#endif

#endif
