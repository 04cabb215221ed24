/* Spreading work over threads: the host's, or those of a pool that it asked for. What is computed
 * never depends on how the work was spread. */
#ifndef HOME_PARALLEL_H
#define HOME_PARALLEL_H

#include "base.h"

/* Calls function(context, first, end) for consecutive ranges [first, end) that make up [0, count),
 * each `grain` long except the last; in one call, here and now, where parallel is NULL or there is
 * a single range. */
void homeparallel_ranges(const home_parallel *parallel, size_t count, size_t grain,
                         void (*function)(void *context, size_t first, size_t end), void *context);

#endif
