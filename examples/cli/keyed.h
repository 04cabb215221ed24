/* A hash of texts under a key that every run of the program draws anew. Nobody can choose texts
 * that collide without knowing it. Nothing but the speed of a table may depend on it. */
#ifndef CLI_KEYED_H
#define CLI_KEYED_H

#include <stddef.h>
#include <stdint.h>

uint64_t keyed_hash(const char *text, size_t length);

#endif
