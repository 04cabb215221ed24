/* Heapsort, binary search, and radix sort. */
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

/* By name; those of one name by their place in memory. */
static int compare_names(const void *a, const void *b) {
    const int order = strcmp(name_of(a), name_of(b));
    return order != 0 ? order : ((uintptr_t)a > (uintptr_t)b) - ((uintptr_t)a < (uintptr_t)b);
}

void homesort_by_name(const void **items, size_t count) {
    homesort_pointers(items, count, compare_names);
}

const void *homesort_find_name(const void *const *items, size_t count, const char *name) {
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(name_of(items[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(name_of(items[low]), name) == 0 ? items[low] : NULL;
}

/* The byte of a record's key that begins at bit `shift`. */
static size_t digit_of(const char *record, size_t key, unsigned shift) {
    uint64_t value;
    memcpy(&value, record + key, sizeof value);
    return value >> shift & 255;
}

/* Copies of these constant sizes, which the library's records have, are moves instead of calls. */
static void copy_record(char *to, const char *from, size_t size) {
    switch (size) {
    case 16:
        memcpy(to, from, 16);
        break;
    case 32:
        memcpy(to, from, 32);
        break;
    default:
        memcpy(to, from, size);
        break;
    }
}

/* One byte after the other, the least significant first: each pass keeps the order that those
 * before it made, among records that it does not tell apart. */
void *homesort_by_key(void *records, void *spare, size_t count, size_t size, size_t key,
                      uint64_t max) {
    char *from = records;
    char *to = spare;
    for (unsigned shift = 0; shift < 64 && max >> shift != 0; shift += 8) {
        size_t starts[257] = {0};
        for (size_t i = 0; i < count; i++)
            starts[digit_of(from + i * size, key, shift) + 1]++;
        if (count == 0 || starts[digit_of(from, key, shift) + 1] == count)
            continue; /* all have the same byte */
        for (size_t digit = 0; digit < 256; digit++)
            starts[digit + 1] += starts[digit];
        for (size_t i = 0; i < count; i++) {
            const char *record = from + i * size;
            copy_record(to + starts[digit_of(record, key, shift)]++ * size, record, size);
        }
        char *const sorted = to;
        to = from;
        from = sorted;
    }
    return from;
}
