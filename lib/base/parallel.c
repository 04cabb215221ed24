/* Ranges of work as tasks for threads. */
#include "parallel.h"

#include "portability.h"

/* A range function as a task of a home_parallel. */
typedef struct ranges {
    size_t count;
    size_t grain;
    void (*function)(void *context, size_t first, size_t end);
    void *context;
} ranges;

/* On any thread, in whatever modes. */
static void run_range(void *context, size_t index) {
    const ranges *r = context;
    const size_t first = index * r->grain;
    const homefloat_mode host = homefloat_begin();
    r->function(r->context, first, r->count - first < r->grain ? r->count : first + r->grain);
    homefloat_end(host);
}

void homeparallel_ranges(const home_parallel *parallel, size_t count, size_t grain,
                         void (*function)(void *context, size_t first, size_t end), void *context) {
    if (!parallel || count <= grain) {
        function(context, 0, count);
        return;
    }
    ranges r = {.count = count, .grain = grain, .function = function, .context = context};
    parallel->run(parallel->user, (count - 1) / grain + 1, run_range, &r);
}
