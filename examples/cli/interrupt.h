/* Ctrl-C and SIGTERM ask the program to stop, which it does at the next safe point. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on the first signal only sets a flag. A second one ends the process at once. */
void interrupt_catch(void);

bool interrupted(void);

#endif
