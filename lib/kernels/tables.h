/* The tables, one per instruction set. */
#ifndef HOME_KERNELS_TABLES_H
#define HOME_KERNELS_TABLES_H

#include "kernels.h"

extern const home_kernels home_kernels_portable;

#endif
