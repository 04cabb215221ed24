/* How much memory the program may take for tables and what it makes of them. A small file from a
 * stranger can become a large table; without a limit that ends other programs too. */
#ifndef CLI_LIMIT_H
#define CLI_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In MiB. 0, as if never called: three quarters of the machine's memory or of the container's;
 * where neither is known, no limit. */
void limit_set(uint64_t mebibytes);

/* Takes bytes, unless that would be too many; gives them back. */
bool limit_take(size_t bytes);
void limit_return(size_t bytes);

/* The limit in MiB if it has refused something, otherwise 0. */
uint64_t limit_met(void);

#endif
