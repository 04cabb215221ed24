/* Memory and size arithmetic: aligned blocks from the host's allocator, and arenas of them. */
#include "memory.h"

#include "abi.h"
#include "status.h"

#include <string.h>

#ifndef HOME_SERVE_ONLY
#include <stdlib.h>
#endif

bool home_add_size(size_t a, size_t b, size_t *sum) {
    if (b > SIZE_MAX - a)
        return false;
    *sum = a + b;
    return true;
}

bool home_multiply_size(size_t a, size_t b, size_t *product) {
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *product = a * b;
    return true;
}

#ifndef HOME_SERVE_ONLY
static void *allocate_libc(void *user, size_t bytes) {
    (void)user;
    return malloc(bytes);
}

static void release_libc(void *user, void *memory) {
    (void)user;
    free(memory);
}

home_status home_allocator_resolve(const home_allocator *given, home_allocator *out, home_error *error) {
    const home_allocator libc = {sizeof libc, NULL, allocate_libc, release_libc};
    *out = libc;
    if (!given)
        return HOME_OK;
    const home_status status = home_read_struct(given, out, sizeof *out, "allocator", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    if (!out->allocate && !out->release)
        *out = libc;
    else if (!out->allocate || !out->release)
        return home_fail(error, HOME_E_ARGUMENT,
                         "allocator has one of allocate and release, expected both or none");
    return HOME_OK;
}

/* The host's allocator aligns as malloc does, so each block carries slack, and the address to give back lies
 * just below the aligned address. */
void *home_allocate(const home_allocator *allocator, size_t count, size_t size) {
    const size_t slack = sizeof(void *) + HOME_ALIGNMENT - 1;
    size_t bytes;
    size_t total;
    if (!home_multiply_size(count, size, &bytes) || !home_add_size(bytes, slack, &total))
        return NULL;
    void *raw = allocator->allocate(allocator->user, total);
    if (!raw)
        return NULL;
    char *first = (char *)raw + sizeof(void *);
    const size_t past = (size_t)((uintptr_t)first % HOME_ALIGNMENT);
    char *aligned = first + (past ? HOME_ALIGNMENT - past : 0);
    memcpy(aligned - sizeof(void *), &raw, sizeof raw);
    memset(aligned, 0, bytes);
    return aligned;
}

void home_deallocate(const home_allocator *allocator, void *memory) {
    if (!memory)
        return;
    void *raw;
    memcpy(&raw, (char *)memory - sizeof(void *), sizeof raw);
    allocator->release(allocator->user, raw);
}

char *home_copy_text(const home_allocator *allocator, const char *text, size_t length) {
    size_t bytes;
    if (!home_add_size(length, 1, &bytes))
        return NULL;
    char *copy = home_allocate(allocator, bytes, 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

bool home_grow(const home_allocator *allocator, void **array, size_t *capacity, size_t needed, size_t size) {
    if (needed <= *capacity)
        return true;
    size_t bigger = *capacity <= SIZE_MAX / 2 ? *capacity * 2 : needed;
    if (bigger < needed)
        bigger = needed;
    void *grown = home_allocate(allocator, bigger, size);
    if (!grown)
        return false;
    if (*array)
        memcpy(grown, *array, *capacity * size);
    home_deallocate(allocator, *array);
    *array = grown;
    *capacity = bigger;
    return true;
}

/* A block of an arena; its free bytes follow the header. */
struct home_arena_block {
    struct home_arena_block *next;
    size_t used;
    size_t capacity;
};

enum { ARENA_BLOCK = 16384 };

static struct home_arena_block *add_block(home_arena *arena, size_t bytes) {
    const size_t header = home_align(sizeof(struct home_arena_block));
    const size_t capacity = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
    size_t total;
    if (!home_add_size(capacity, header, &total))
        return NULL;
    struct home_arena_block *block = home_allocate(arena->allocator, total, 1);
    if (!block)
        return NULL;
    *block = (struct home_arena_block){arena->blocks, header, total};
    arena->blocks = block;
    return block;
}

void *home_arena_take(home_arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (arena->failed)
        return NULL;
    if (!home_multiply_size(count, size, &bytes) || bytes > SIZE_MAX - HOME_ALIGNMENT) {
        home_arena_refuse_size(arena);
        return NULL;
    }
    bytes = home_align(bytes ? bytes : 1);
    struct home_arena_block *block = arena->blocks;
    if (!block || bytes > block->capacity - block->used)
        block = add_block(arena, bytes);
    if (!block) {
        arena->failed = true;
        return NULL;
    }
    void *taken = (char *)block + block->used;
    block->used += bytes;
    return taken;
}

void home_arena_refuse_size(home_arena *arena) {
    arena->too_large = arena->too_large || !arena->failed;
    arena->failed = true;
}

void *home_arena_grow(home_arena *arena, void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return items;
    const size_t larger = *capacity ? 2 * *capacity : 64;
    void *copy = home_arena_take(arena, larger, size);
    if (!copy)
        return NULL;
    if (count)
        memcpy(copy, items, count * size);
    *capacity = larger;
    return copy;
}

char *home_arena_text(home_arena *arena, const char *text, size_t length) {
    char *copy = length < SIZE_MAX ? home_arena_take(arena, length + 1, 1) : NULL;
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void home_arena_free(home_arena *arena) {
    while (arena->blocks) {
        struct home_arena_block *next = arena->blocks->next;
        home_deallocate(arena->allocator, arena->blocks);
        arena->blocks = next;
    }
}

#else
void *home_allocate(const home_allocator *allocator, size_t count, size_t size) {
    (void)allocator;
    (void)count;
    (void)size;
    return NULL;
}

void home_deallocate(const home_allocator *allocator, void *memory) {
    (void)allocator;
    (void)memory;
}
#endif
