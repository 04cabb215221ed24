/* The one place for compiler extensions outside the kernels; each has a plain C fallback. */
#ifndef HOME_PORTABILITY_H
#define HOME_PORTABILITY_H

/* A missing label is NaN, and a sum has one order: neither outlives these options. */
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error                                                                                             \
    "libhome needs IEEE arithmetic: compile it without -ffast-math, -ffinite-math-only and -Ofast"
#endif

/* Products and sums are rounded one by one, so that every compiler computes the same bytes. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("fp-contract=off")
#else
#pragma STDC FP_CONTRACT OFF
#endif

#if defined(__GNUC__)
#define HOME_PRINTF(text, values) __attribute__((format(printf, text, values)))
#else
#define HOME_PRINTF(text, values)
#endif

/* Bytes that nobody may read or write until they are opened, in builds with the address sanitizer:
 * it knows blocks of malloc(), not what is handed out of them. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOME_CLOSES_BYTES 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HOME_CLOSES_BYTES 1
#endif
#ifdef HOME_CLOSES_BYTES
#include <sanitizer/asan_interface.h>
#define HOME_CLOSE_BYTES(memory, size) __asan_poison_memory_region(memory, size)
#define HOME_OPEN_BYTES(memory, size)  __asan_unpoison_memory_region(memory, size)
#else
#define HOME_CLOSES_BYTES              0
#define HOME_CLOSE_BYTES(memory, size) ((void)(memory), (void)(size))
#define HOME_OPEN_BYTES(memory, size)  ((void)(memory), (void)(size))
#endif

/* Tells the CPU that a loop only waits. */
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define HOME_PAUSE() __builtin_ia32_pause()
#else
#define HOME_PAUSE() ((void)0)
#endif

/* How a thread's CPU computes: rounding, denormals, traps and the flags of what has happened.
 * HOME_FLOAT_MODE is the library's own: to nearest, denormal numbers count as zero, in and out
 * (multiplying them takes x86 a hundred times as long), nothing traps. CPUs that are not named here
 * compute in the modes of the host. */
#if defined(__GNUC__) && defined(__x86_64__)
typedef unsigned homefloat_mode;
#define HOME_FLOAT_MODE             0x9fc0u
#define HOME_READ_FLOAT_MODE()      __builtin_ia32_stmxcsr()
#define HOME_WRITE_FLOAT_MODE(mode) __builtin_ia32_ldmxcsr(mode)
#elif defined(__aarch64__) && defined(__GNUC__)
#include <stdint.h>
typedef uint64_t homefloat_mode;
#define HOME_FLOAT_MODE             ((homefloat_mode)1 << 24)
static inline homefloat_mode homefloat_read_fpcr(void) {
    homefloat_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
#define HOME_READ_FLOAT_MODE()      homefloat_read_fpcr()
#define HOME_WRITE_FLOAT_MODE(mode) __asm__ volatile("msr fpcr, %0" : : "r"((homefloat_mode)(mode)))
#else
typedef int homefloat_mode;
#define HOME_FLOAT_MODE             0
#define HOME_READ_FLOAT_MODE()      0
#define HOME_WRITE_FLOAT_MODE(mode) ((void)(mode))
#endif

/* Around all that computes: takes the thread to the library's mode, and with what that returned
 * back to the host's. */
static inline homefloat_mode homefloat_begin(void) {
    const homefloat_mode host = HOME_READ_FLOAT_MODE();
    HOME_WRITE_FLOAT_MODE(HOME_FLOAT_MODE);
    return host;
}
static inline void homefloat_end(homefloat_mode host) {
    HOME_WRITE_FLOAT_MODE(host);
}

#endif
