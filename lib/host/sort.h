/* Sorting of pointers in place, and searching. No input makes it slow, and it takes no memory. "By
 * name" is for items whose first member is their name, a `const char *`. */
#ifndef HOME_SORT_H
#define HOME_SORT_H

#include <stddef.h>

/* Equal items keep no order. */
void homesort_pointers(const void **items, size_t count,
                       int (*compare)(const void *a, const void *b));

void homesort_by_name(const void **items, size_t count);

/* The item with this name among items sorted by name, or NULL. */
const void *homesort_find_name(const void *const *items, size_t count, const char *name);

#endif
