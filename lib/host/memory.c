/* Aligned blocks from the host's allocator, and arenas of them. */
#include "memory.h"

#include "../base/abi.h"
#include "../base/fail.h"

#include <stdlib.h>
#include <string.h>

static void *allocate_libc(void *user, size_t bytes) {
    (void)user;
    return malloc(bytes);
}

static void release_libc(void *user, void *memory) {
    (void)user;
    free(memory);
}

home_status homememory_resolve(const home_allocator *given, home_allocator *out,
                               home_error *error) {
    const home_allocator libc = {
        .struct_size = sizeof libc, .allocate = allocate_libc, .release = release_libc};
    *out = libc;
    if (!given)
        return HOME_OK;
    const home_status status =
        homeabi_read(given, out, sizeof *out, "allocator", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    if (!out->allocate && !out->release)
        *out = libc;
    else if (!out->allocate || !out->release)
        return homefail(error, HOME_E_ARGUMENT,
                        "allocator has one of allocate and release, expected both or none");
    return HOME_OK;
}

/* What lies just below the memory that is handed out. */
typedef struct block_head {
    void *raw;    /* the address to give back */
    size_t bytes; /* of the memory, for what is closed behind it */
} block_head;

_Static_assert(HOMEMEMORY_SLACK >= sizeof(block_head) + HOME_ALIGNMENT - 1, "as memory.h tells");

/* The host's allocator aligns as malloc does, so each block carries slack: before the memory, with
 * the head at its end, and behind it. */
void *homememory_allocate_unset(const home_allocator *allocator, size_t count, size_t size) {
    block_head head;
    size_t total;
    if (!homesize_multiply(count, size, &head.bytes) ||
        !homesize_add(head.bytes, HOMEMEMORY_SLACK, &total))
        return NULL;
    head.raw = allocator->allocate(allocator->user, total);
    if (!head.raw)
        return NULL;
    char *first = (char *)head.raw + sizeof head;
    const size_t past = (size_t)((uintptr_t)first % HOME_ALIGNMENT);
    char *aligned = first + (past ? HOME_ALIGNMENT - past : 0);
    memcpy(aligned - sizeof head, &head, sizeof head);
    HOME_CLOSE_BYTES(head.raw, total);
    HOME_OPEN_BYTES(aligned, head.bytes);
    return aligned;
}

void *homememory_allocate(const home_allocator *allocator, size_t count, size_t size) {
    void *memory = homememory_allocate_unset(allocator, count, size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

void homememory_free(const home_allocator *allocator, void *memory) {
    if (!memory)
        return;
    block_head head;
    char *below = (char *)memory - sizeof head;
    HOME_OPEN_BYTES(below, sizeof head);
    memcpy(&head, below, sizeof head);
    HOME_OPEN_BYTES(head.raw, head.bytes + HOMEMEMORY_SLACK);
    allocator->release(allocator->user, head.raw);
}

char *homememory_copy_text(const home_allocator *allocator, const char *text, size_t length) {
    size_t bytes;
    if (!homesize_add(length, 1, &bytes))
        return NULL;
    char *copy = homememory_allocate(allocator, bytes, 1);
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

/* Doubling keeps the copies, all together, below the size of the result. The old array stays until
 * the new one is there, so a failure changes nothing. */
bool homememory_grow(const home_allocator *allocator, void **array, size_t *capacity, size_t needed,
                     size_t size) {
    if (needed <= *capacity)
        return true;
    size_t bigger = *capacity <= SIZE_MAX / 2 ? *capacity * 2 : needed;
    if (bigger < needed)
        bigger = needed;
    void *grown = homememory_allocate(allocator, bigger, size);
    if (!grown)
        return false;
    if (*array)
        memcpy(grown, *array, *capacity * size);
    homememory_free(allocator, *array);
    *array = grown;
    *capacity = bigger;
    return true;
}

/* A block of an arena; its free bytes follow the header. */
struct homearena_block {
    struct homearena_block *next;
    size_t used;
    size_t capacity;
};

/* Most plans of small models fit into a few of these; anything larger gets a block of its own. */
enum { ARENA_BLOCK = 16384 };

static struct homearena_block *add_block(homearena *arena, size_t bytes) {
    const size_t header = homesize_align(sizeof(struct homearena_block));
    const size_t capacity = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
    size_t total;
    if (!homesize_add(capacity, header, &total))
        return NULL;
    if (arena->limit && (arena->used > arena->limit || total > arena->limit - arena->used)) {
        arena->limited = true;
        homearena_fail(arena, HOME_E_TOO_LARGE);
        return NULL;
    }
    struct homearena_block *block = homememory_allocate(arena->allocator, total, 1);
    if (!block)
        return NULL;
    *block = (struct homearena_block){arena->blocks, header, total};
    HOME_CLOSE_BYTES((char *)block + header, capacity);
    arena->blocks = block;
    arena->used += total;
    return block;
}

/* The first cause counts: sizes that follow a refused allocation mean nothing. */
void homearena_fail(homearena *arena, home_status status) {
    if (homearena_ok(arena))
        arena->status = status;
}

/* Blocks are never moved, so pointers into the arena stay good until it is freed. Where bytes can
 * be closed, those behind the ones that are asked for stay closed, at least one. */
void *homearena_take(homearena *arena, size_t count, size_t size) {
    size_t bytes;
    if (!homearena_ok(arena))
        return NULL;
    if (!homesize_multiply(count, size, &bytes) || bytes > SIZE_MAX - HOME_ALIGNMENT) {
        homearena_fail(arena, HOME_E_TOO_LARGE);
        return NULL;
    }
    const size_t room = homesize_align(bytes ? bytes + HOME_CLOSES_BYTES : 1);
    struct homearena_block *block = arena->blocks;
    if (!block || room > block->capacity - block->used)
        block = add_block(arena, room);
    if (!block) {
        homearena_fail(arena, HOME_E_MEMORY);
        return NULL;
    }
    void *taken = (char *)block + block->used;
    HOME_OPEN_BYTES(taken, bytes);
    block->used += room;
    return taken;
}

void *homearena_grow(homearena *arena, void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity)
        return items;
    const size_t larger = *capacity ? 2 * *capacity : 64;
    void *copy = homearena_take(arena, larger, size);
    if (!copy)
        return NULL;
    if (count)
        memcpy(copy, items, count * size);
    *capacity = larger;
    return copy;
}

char *homearena_text(homearena *arena, const char *text, size_t length) {
    char *copy = length < SIZE_MAX ? homearena_take(arena, length + 1, 1) : NULL;
    if (copy && length)
        memcpy(copy, text, length);
    return copy;
}

void homearena_free(homearena *arena) {
    while (arena->blocks) {
        struct homearena_block *next = arena->blocks->next;
        HOME_OPEN_BYTES(arena->blocks, arena->blocks->capacity);
        homememory_free(arena->allocator, arena->blocks);
        arena->blocks = next;
    }
}
