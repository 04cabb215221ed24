/* Plain C, for every machine. */
#include "tables.h"

#if defined(HOME_HAS_PORTABLE)
#include "vector_portable.h"

#define KERNELS homekernels_portable
#define NAME    "portable"
#include "kernels.tmpl.h"
#endif
