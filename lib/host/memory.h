/* Memory. Every allocation of the library goes through here.
 *
 * Here: what a device lacks: memory to allocate (this file), threads, JSON and numbers as text,
 * sorting, random numbers. Shared by declaration with the program `home`, which compiles what
 * examples/cli/shared.txt lists of base and host into itself. Called by: config, and all above.
 * Calls: base, libc, POSIX threads. */
#ifndef HOME_MEMORY_H
#define HOME_MEMORY_H

#include "../base/base.h"

/* Fills in malloc and free where `given` is NULL or empty. HOME_E_ARGUMENT where only one function
 * is set. */
home_status homememory_resolve(const home_allocator *given, home_allocator *out, home_error *error);

/* count * size zero bytes, aligned to HOME_ALIGNMENT. NULL when the allocator refuses or the
 * product overflows. A product of 0 gives a pointer that can be released. */
void *homememory_allocate(const home_allocator *allocator, size_t count, size_t size);

/* What each block takes besides, at most. */
#define HOMEMEMORY_SLACK (HOME_ALIGNMENT - 1 + 2 * sizeof(void *))

/* The same without a value: for what is written as a whole, and so large that zeros cost time. */
void *homememory_allocate_unset(const home_allocator *allocator, size_t count, size_t size);

/* Takes what homememory_allocate() gave; NULL is allowed. */
void homememory_free(const home_allocator *allocator, void *memory);

/* A copy of text with a final zero, or NULL. */
char *homememory_copy_text(const home_allocator *allocator, const char *text, size_t length);

/* Grows *array (of `size`-byte elements) so that it holds at least `needed`; keeps the contents.
 * False, and nothing changed, when that cannot be. Growth is geometric. */
bool homememory_grow(const home_allocator *allocator, void **array, size_t *capacity, size_t needed,
                     size_t size);

/* Many small allocations that die together. Zero it, set `allocator`, then take. The first failure
 * stays in `status`, and whatever is taken after it is NULL: so many calls in a row may be checked
 * once. */
typedef struct homearena {
    const home_allocator *allocator;
    struct homearena_block *blocks;
    home_status status; /* HOME_E_MEMORY, HOME_E_TOO_LARGE, or what homearena_fail() was given */
    size_t used;        /* bytes of its blocks */
    size_t limit;       /* of them; 0: none. One block more would be HOME_E_TOO_LARGE, and sets */
    bool limited;
} homearena;

static inline bool homearena_ok(const homearena *arena) {
    return arena->status == HOME_OK;
}

/* Lets the arena fail, unless it has. For what fails between its allocations: a size that no size_t
 * holds, an item that a check refuses. */
void homearena_fail(homearena *arena, home_status status);

/* count * size zero bytes aligned to HOME_ALIGNMENT, or NULL. */
void *homearena_take(homearena *arena, size_t count, size_t size);
char *homearena_text(homearena *arena, const char *text, size_t length);
void homearena_free(homearena *arena);

/* Room for one item more: `items`, or where *capacity is reached, a copy of its `count` items of
 * `size` bytes with twice the room. What was copied stays in the arena: all copies together waste
 * less than the last one holds. Or NULL. */
void *homearena_grow(homearena *arena, void *items, size_t count, size_t *capacity, size_t size);

#endif
