/* The choice of a table, when a model is made. The model keeps it: its packed weights have the
 * panels of that table. */
#include "tables.h"

#include <string.h>

/* An instruction set is usable if the CPU has it and the operating system saves its registers when
 * it switches threads. The compiler's run-time library looks at both. */
#if defined(HOME_HAS_AVX2) || defined(HOME_HAS_AVX512)
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

#if defined(HOME_HAS_AVX512)
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f");
}
#endif

/* From the plainest up. The first that is not supported ends the search, so each may count on those
 * before it: has_avx512() asks for AVX2 and FMA, which the compiler may use in avx512.c too. */
static const struct {
    const homekernels *kernels;
    bool (*supported)(void); /* NULL: everywhere */
} candidates[] = {
#if defined(HOME_HAS_PORTABLE)
    {&homekernels_portable, NULL},
#endif
#if defined(HOME_HAS_AVX2)
    {&homekernels_avx2, has_avx2},
#endif
#if defined(HOME_HAS_AVX512)
    {&homekernels_avx512, has_avx512},
#endif
#if defined(HOME_HAS_NEON)
    {&homekernels_neon, NULL},
#endif
};

/* Whether a CPU with the instruction set `cap` has `name` as well. */
static bool is_within(const char *name, const char *cap) {
    return strcmp(name, "portable") == 0 || strcmp(name, cap) == 0 ||
           (strcmp(name, "avx2") == 0 && strcmp(cap, "avx512") == 0);
}

/* The best within `isa` (NULL: any), of `panel` columns, or of any number where that is 0. */
static const homekernels *select_kernels(const char *isa, size_t panel) {
    const char *cap = homekernels_cap();
    const homekernels *best = NULL;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        if (candidates[i].supported && !candidates[i].supported())
            break;
        if (isa && !is_within(candidates[i].kernels->name, isa))
            break;
        if (panel == 0 || candidates[i].kernels->panel == panel)
            best = candidates[i].kernels;
        if (cap && strcmp(cap, candidates[i].kernels->name) == 0)
            break;
    }
    return best;
}

const char *homekernels_isa_name(const char *name) {
    static const char *const names[] = {"portable", "avx2", "avx512", "neon"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return names[i];
    return NULL;
}

const homekernels *homekernels_select(const char *isa) {
    return select_kernels(isa, 0);
}

const homekernels *homekernels_select_panel(size_t panel) {
    return panel ? select_kernels(NULL, panel) : NULL;
}
