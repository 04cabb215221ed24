/* Sorting of pointers in place, and searching. No input makes it slow, and it takes no memory. */
#ifndef HOME_SORT_H
#define HOME_SORT_H

#include <stddef.h>

/* Equal items keep no order. */
void home_sort(const void **items, size_t count, int (*compare)(const void *a, const void *b));

/* The item with this name among items sorted by what `name_of` gives, or NULL. */
const void *home_search(const void *const *items, size_t count, const char *name,
                        const char *(*name_of)(const void *item));

#endif
