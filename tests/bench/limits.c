#include "bench/limits_tables.h"

#include <string.h>

static const limits *const all[] = {
    &limits_portable,
#if defined(HOME_X86)
    &limits_avx2,
    &limits_avx512,
#endif
#if defined(__aarch64__)
    &limits_neon,
#endif
};

const limits *limits_of(const char *name) {
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
