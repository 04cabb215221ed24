/* Checks before timing. */
#ifndef TESTS_BENCH_VERIFY_H
#define TESTS_BENCH_VERIFY_H

#include "bench/models.h"

/* Compares predictions of the frozen model, and losses, gradients and the first step of the other,
 * whose optimizer must be fresh, with the double-precision reference, on 1 to `threads` threads.
 * Ends the program with a message where they differ. */
void verify_model(const reference_model *m, home_model *model, home_model *frozen,
                  const model_rows *rows, size_t threads);

#endif
