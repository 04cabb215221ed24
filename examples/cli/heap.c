#include "heap.h"

#include "../../lib/host/memory.h"

#include <stdlib.h>

static void *allocate(void *user, size_t bytes) {
    (void)user;
    return malloc(bytes);
}

static void release(void *user, void *memory) {
    (void)user;
    free(memory);
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
