#include "bench/limits_tables.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "kernels/vector_neon.h"

#define LIMITS limits_neon
#define NAME   "neon"
#define SUMS   24
#include "bench/limits.tmpl.h"
#endif
