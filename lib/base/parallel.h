/* Spreading work over threads: the host's, or those of a pool that it asked for. What is computed
 * never depends on how the work was spread. */
#ifndef HOME_PARALLEL_H
#define HOME_PARALLEL_H

#include "base.h"

/* Work on [first, end). */
typedef void (*homeparallel_function)(void *context, size_t first, size_t end);

/* Calls function(context, first, end) for consecutive ranges [first, end) that make up [0, count),
 * each `grain` long except the last; in one call, here and now, where parallel is NULL or there is
 * a single range. Returns 0; another number where the host stopped it, with some ranges not done.
 */
int32_t homeparallel_ranges(const home_parallel *parallel, size_t count, size_t grain,
                            homeparallel_function function, void *context);

/* The same for work that must not stop half-way: what the host leaves is done by the calling
 * thread. */
void homeparallel_all_ranges(const home_parallel *parallel, size_t count, size_t grain,
                             homeparallel_function function, void *context);

#endif
