/* Ranges of work as tasks for threads. */
#include "parallel.h"

#include "portability.h"

#include <stdatomic.h>

/* A range function as tasks of a home_parallel. Each task takes the next range, whatever its own
 * number: so wherever the host stopped, the ranges that are left are the last ones. */
typedef struct ranges {
    size_t count;
    size_t grain;
    size_t range_count;
    homeparallel_function function;
    void *context;
    atomic_size_t next; /* range */
} ranges;

/* On any thread, in whatever modes. */
static void run_range(void *context, size_t index) {
    ranges *r = context;
    (void)index;
    const size_t range = atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed);
    if (range >= r->range_count)
        return;
    const size_t first = range * r->grain;
    const homefloat_mode host = homefloat_begin();
    r->function(r->context, first, r->count - first < r->grain ? r->count : first + r->grain);
    homefloat_end(host);
}

static int32_t run_ranges(const home_parallel *parallel, ranges *r) {
    if (!parallel || r->count <= r->grain) {
        r->function(r->context, 0, r->count);
        return 0;
    }
    r->range_count = (r->count - 1) / r->grain + 1;
    return parallel->run(parallel->user, r->range_count, run_range, r);
}

int32_t homeparallel_ranges(const home_parallel *parallel, size_t count, size_t grain,
                            homeparallel_function function, void *context) {
    ranges r = {.count = count, .grain = grain, .function = function, .context = context};
    return run_ranges(parallel, &r);
}

#ifndef HOME_SERVE_ONLY
void homeparallel_all_ranges(const home_parallel *parallel, size_t count, size_t grain,
                             homeparallel_function function, void *context) {
    ranges r = {.count = count, .grain = grain, .function = function, .context = context};
    if (run_ranges(parallel, &r) != 0)
        for (size_t i = 0; i < r.range_count; i++)
            run_range(&r, i); /* nothing, once all are taken */
}
#endif
