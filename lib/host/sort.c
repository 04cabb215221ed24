/* Heapsort and binary search. */
#include "sort.h"

#include <string.h>

static void swap(const void **a, const void **b) {
    const void *const moved = *a;
    *a = *b;
    *b = moved;
}

/* Restores the heap below `root`: no item is less than its children. */
static void sift_down(const void **items, size_t root, size_t count,
                      int (*compare)(const void *a, const void *b)) {
    for (size_t child = 2 * root + 1; child < count; child = 2 * root + 1) {
        if (child + 1 < count && compare(items[child], items[child + 1]) < 0)
            child++;
        if (compare(items[root], items[child]) >= 0)
            return;
        swap(&items[root], &items[child]);
        root = child;
    }
}

void homesort_pointers(const void **items, size_t count,
                       int (*compare)(const void *a, const void *b)) {
    for (size_t i = count / 2; i-- > 0;)
        sift_down(items, i, count, compare);
    for (size_t last = count; last-- > 1;) {
        swap(&items[0], &items[last]);
        sift_down(items, 0, last, compare);
    }
}

static const char *name_of(const void *item) {
    return *(const char *const *)item;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(name_of(a), name_of(b));
}

void homesort_by_name(const void **items, size_t count) {
    homesort_pointers(items, count, compare_names);
}

const void *homesort_find_name(const void *const *items, size_t count, const char *name) {
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name_of(items[middle]), name);
        if (order == 0)
            return items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
