/* Plain C, for every machine. */
#include "tables.h"

#include "vector_portable.h"

#define KERNELS home_kernels_portable
#define NAME    "portable"
#include "kernels.tmpl.h"
