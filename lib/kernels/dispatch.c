#include "tables.h"

const home_kernels *home_kernels_select(void) {
    return &home_kernels_portable;
}
