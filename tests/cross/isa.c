/* Without an argument: prints the name of the kernels chosen for this CPU. With a name: runs a
 * kernel of that table whatever CPU this is, so that on one without its instructions the program
 * must die. That is how old_cpus.sh knows that qemu would show a leak. */
#include "kernels/tables.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc == 1) {
        puts(homekernels_select(NULL)->name);
        return 0;
    }
    const homekernels *const tables[] = {
        &homekernels_portable,
#if defined(HOME_X86)
        &homekernels_avx2,
        &homekernels_avx512,
#endif
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (strcmp(argv[1], tables[i]->name) == 0) {
            const float x[40] = {1};
            float y[40];
            tables[i]->scale(40, 2, x, y);
            return y[0] != 2;
        }
    fprintf(stderr, "no kernels \"%s\" here\n", argv[1]);
    return 2;
}
