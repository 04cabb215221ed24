#include "bench/limits_tables.h"

#include "kernels/vector_portable.h"

#define LIMITS limits_portable
#define NAME   "portable"
#define SUMS   12
#include "bench/limits.tmpl.h"
