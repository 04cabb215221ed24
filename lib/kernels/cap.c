/* The cap on the instruction set that the whole process has: none. Alone in its file, so that a
 * program that tests the library links another in its place (tests/unit/cap.c). */
#include "kernels.h"

const char *homekernels_cap(void) {
    return NULL;
}
