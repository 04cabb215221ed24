/* Memory and size arithmetic. Every allocation of the library goes through here. */
#ifndef HOME_MEMORY_H
#define HOME_MEMORY_H

#include "home/home.h"

#include "portability.h"

#include <stdbool.h>

#define HOME_ALIGNMENT 64u /* a cache line, and the widest vector */

/* Fills in malloc and free where `given` is NULL or empty. HOME_E_ARGUMENT where only one function is set. */
home_status home_allocator_resolve(const home_allocator *given, home_allocator *out, home_error *error);

/* count * size zero bytes, aligned to HOME_ALIGNMENT. NULL when the allocator refuses or the product
 * overflows. A product of 0 gives a pointer that can be released. */
void *home_allocate(const home_allocator *allocator, size_t count, size_t size);

/* Takes what home_allocate() gave; NULL is allowed. */
void home_deallocate(const home_allocator *allocator, void *memory);

/* A copy of text with a final zero, or NULL. */
char *home_copy_text(const home_allocator *allocator, const char *text, size_t length);

/* Grows *array (of `size`-byte elements) so that it holds at least `needed`; keeps the contents. False, and
 * nothing changed, when that cannot be. Growth is geometric. */
bool home_grow(const home_allocator *allocator, void **array, size_t *capacity, size_t needed, size_t size);

/* Many small allocations that die together. Zero it, set `allocator`, then take; after a refused allocation
 * `failed` is set for good. */
typedef struct home_arena {
    const home_allocator *allocator;
    struct home_arena_block *blocks;
    bool failed;
    bool too_large; /* `failed`, and because of a size that cannot be rather than for want of memory */
} home_arena;

/* count * size zero bytes aligned to HOME_ALIGNMENT, or NULL. */
void *home_arena_take(home_arena *arena, size_t count, size_t size);
char *home_arena_text(home_arena *arena, const char *text, size_t length);
void home_arena_free(home_arena *arena);

/* Room for one item more: `items`, or where *capacity is reached, a copy of its `count` items of `size` bytes with twice
 * the room. What was copied stays in the arena: all copies together waste less than the last one holds. Or NULL. */
void *home_arena_grow(home_arena *arena, void *items, size_t count, size_t *capacity, size_t size);

/* For sizes that are only computed: the arena fails as one of them cannot be. */
void home_arena_refuse_size(home_arena *arena);

/* *sum = a + b, *product = a * b; false on overflow. */
bool home_add_size(size_t a, size_t b, size_t *sum);
bool home_multiply_size(size_t a, size_t b, size_t *product);

/* a / b, rounded up. */
static inline size_t home_divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

/* Bytes rounded up to whole units of HOME_ALIGNMENT. */
static inline size_t home_align(size_t bytes) {
    return home_divide_up(bytes, HOME_ALIGNMENT) * HOME_ALIGNMENT;
}

#endif
