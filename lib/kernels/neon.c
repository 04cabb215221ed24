/* NEON, for all AArch64 CPUs: part of the architecture, so there is nothing to ask at run time. */
#include "tables.h"

#if defined(HOME_HAS_NEON)
#include <arm_neon.h>
#include <string.h>

#include "vector_neon.h"

#define KERNELS homekernels_neon
#define NAME    "neon"
#include "kernels.tmpl.h"
#endif
