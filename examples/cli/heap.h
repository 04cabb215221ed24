/* The program's memory: malloc behind the checked allocation of lib/host, up to a limit
 * (limit.h). */
#ifndef CLI_HEAP_H
#define CLI_HEAP_H

#include "home/home.h"

/* malloc and free, for what takes an allocator in lib/host. */
const home_allocator *heap(void);

/* count * size zero bytes; NULL when out of memory. Free them with heap_free(). */
void *heap_new(size_t count, size_t size);

/* Makes room for at least `needed` (1 or more) elements, keeps the contents, and returns the array,
 * which may have moved. NULL when out of memory; the array is then unchanged. */
void *heap_grow(void *array, size_t *capacity, size_t needed, size_t size);

void heap_free(void *memory);

#endif
