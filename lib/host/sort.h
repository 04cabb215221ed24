/* Sorting and searching. No input makes them slow, and they take no memory. "By name" is for items
 * whose first member is their name, a `const char *`. */
#ifndef HOME_SORT_H
#define HOME_SORT_H

#include <stddef.h>
#include <stdint.h>

/* Equal items keep no order. */
void homesort_pointers(const void **items, size_t count,
                       int (*compare)(const void *a, const void *b));

/* Items of one array: those with the same name stay in the order of the array. */
void homesort_by_name(const void **items, size_t count);

/* The first item with this name among items sorted by name, or NULL. */
const void *homesort_find_name(const void *const *items, size_t count, const char *name);

/* Sorts records of `size` bytes by a key, the uint64_t that begins `key` bytes into each; no key is
 * above `max`. Records with the same key keep their order. `spare` has room for `count` records
 * too; returns the array that holds the result, `records` or `spare`. */
void *homesort_by_key(void *records, void *spare, size_t count, size_t size, size_t key,
                      uint64_t max);

#endif
