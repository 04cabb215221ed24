#include "heap.h"

#include "limit.h"

#include "../../lib/host/memory.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* In front of each block, so that its bytes can be given back to the limit. */
typedef union head {
    size_t bytes;
    max_align_t aligned;
} head;

static void *allocate(void *user, size_t bytes) {
    (void)user;
    if (bytes > SIZE_MAX - sizeof(head) || !limit_take(bytes))
        return NULL;
    head *block = malloc(sizeof *block + bytes);
    if (!block) {
        limit_return(bytes);
        return NULL;
    }
    block->bytes = bytes;
    return block + 1;
}

static void release(void *user, void *memory) {
    (void)user;
    if (!memory)
        return;
    head *block = (head *)memory - 1;
    limit_return(block->bytes);
    free(block);
}

static const home_allocator libc = {sizeof libc, NULL, allocate, release};

const home_allocator *heap(void) {
    return &libc;
}

void *heap_new(size_t count, size_t size) {
    return homememory_allocate(&libc, count, size);
}

void *heap_grow(void *array, size_t *capacity, size_t needed, size_t size) {
    return homememory_grow(&libc, &array, capacity, needed, size) ? array : NULL;
}

void heap_free(void *memory) {
    homememory_free(&libc, memory);
}
