#include "limit.h"

#include "number.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of the only thread that takes memory; the library's own threads take none from here. */
static uint64_t limit; /* in bytes, 0: not yet known */
static uint64_t in_use;
static bool refused;

#define MEBIBYTE ((uint64_t)1 << 20)

static uint64_t machine_memory(void) {
#ifdef _SC_PHYS_PAGES
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0)
        return (uint64_t)pages * (uint64_t)size;
#endif
    return UINT64_MAX;
}

/* A container's, where the system has such: a number, or text for none. */
static uint64_t container_memory(const char *path) {
    char text[32];
    uint64_t bytes = 0;
    FILE *from = fopen(path, "r");
    if (!from)
        return UINT64_MAX;
    const bool read = fgets(text, sizeof text, from) != NULL;
    fclose(from);
    if (read)
        text[strcspn(text, "\n")] = 0;
    return read && number_read_whole(text, &bytes) && bytes > 0 ? bytes : UINT64_MAX;
}

static uint64_t usual_limit(void) {
    static const char *const containers[] = {"/sys/fs/cgroup/memory.max",
                                             "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    uint64_t least = machine_memory();
    for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++) {
        const uint64_t bytes = container_memory(containers[i]);
        least = bytes < least ? bytes : least;
    }
    return least == UINT64_MAX ? UINT64_MAX : least / 4 * 3;
}

void limit_set(uint64_t mebibytes) {
    if (mebibytes == 0)
        limit = usual_limit();
    else
        limit = mebibytes > UINT64_MAX / MEBIBYTE ? UINT64_MAX : mebibytes * MEBIBYTE;
}

bool limit_take(size_t bytes) {
    if (limit == 0)
        limit_set(0);
    if (in_use > limit || bytes > limit - in_use) {
        refused = true;
        return false;
    }
    in_use += bytes;
    return true;
}

void limit_return(size_t bytes) {
    in_use -= bytes;
}

uint64_t limit_met(void) {
    return refused ? limit / MEBIBYTE : 0;
}
