/* Ctrl-C, SIGTERM and SIGHUP ask the program to stop, which it does at the next safe point. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on the first signal only sets a flag. A second one ends the process at once, as a broken
 * pipe and the like do. Under nohup, SIGHUP stays ignored. */
void interrupt_catch(void);

/* Between the two no signal arrives; those that come wait. */
void interrupt_hold(void);
void interrupt_release(void);

/* Waits until a descriptor has something to read, or a signal asks to stop. One that comes just
 * before a plain read() of a pipe would wait as long as that. */
void interrupt_wait(int descriptor);

/* The temporary file to remove where a signal ends the process; NULL: none. The path is copied. */
void interrupt_removes(const char *path);

bool interrupted(void);

#endif
