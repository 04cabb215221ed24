/* In the place of lib/kernels/cap.c: test programs run with the instruction sets up to the one that
 * HOME_ISA names. Read anew for every model, so that a test can change it. */
#include "kernels/kernels.h"

#include <stdlib.h>

const char *homekernels_cap(void) {
    return getenv("HOME_ISA");
}
