#include "tables.h"

#include <stdlib.h>
#include <string.h>

/* What the CPU has and the operating system saves on a switch of threads: the compiler's run-time library
 * looks at both. */
#if defined(HOME_X86)
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f");
}
#endif

static bool always(void) {
    return true;
}

/* From the plainest up; each is used only where all before it would be. */
static const struct {
    const home_kernels *kernels;
    bool (*supported)(void);
} candidates[] = {
    {&home_kernels_portable, always},
#if defined(HOME_X86)
    {&home_kernels_avx2, has_avx2},
    {&home_kernels_avx512, has_avx512},
#endif
#if defined(__aarch64__)
    {&home_kernels_neon, always},
#endif
};

const home_kernels *home_kernels_select(void) {
    const char *cap = getenv("HOME_ISA");
    const home_kernels *best = candidates[0].kernels;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0] && candidates[i].supported(); i++) {
        best = candidates[i].kernels;
        if (cap && strcmp(cap, best->name) == 0)
            break;
    }
    return best;
}
