/* Checks before timing. */
#ifndef TESTS_BENCH_VERIFY_H
#define TESTS_BENCH_VERIFY_H

#include "bench/models.h"

/* Compares a model with the double-precision reference on 1 to `threads` threads: the frozen
 * model's predictions, and the other's losses, gradients and first optimizer step. No step may have
 * been taken before. Ends the program with a message if they differ. */
void verify_model(const reference_model *m, home_model *model, home_model *frozen,
                  const model_rows *rows, size_t threads);

#endif
