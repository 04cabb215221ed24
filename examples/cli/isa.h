/* The cap on the instruction set, for tests and support. */
#ifndef CLI_ISA_H
#define CLI_ISA_H

#include "failure.h"

/* *isa receives what the environment variable HOME_ISA names, or NULL where it is not set or empty.
 * The library itself reads no environment. False for a name of no instruction set. */
bool isa_read(const char **isa, failure *why);

#endif
