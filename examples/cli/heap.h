/* The program's memory: the library's checked allocation over malloc. */
#ifndef CLI_HEAP_H
#define CLI_HEAP_H

#include "home/home.h"

/* malloc and free, for the library's internal calls that want an allocator. */
const home_allocator *heap(void);

/* count * size zero bytes; NULL when they cannot be had. Give back with heap_free(). */
void *heap_new(size_t count, size_t size);

/* The array, moved if need be so that it holds at least `needed` (1 or more) elements, contents
 * kept. NULL, and the array as it was, when that cannot be. */
void *heap_grow(void *array, size_t *capacity, size_t needed, size_t size);

void heap_free(void *memory);

#endif
