/* Sorting of pointers in place: no input makes it slow, and it takes no memory. Equal items keep no order. */
#ifndef HOME_SORT_H
#define HOME_SORT_H

#include <stddef.h>

void home_sort(const void **items, size_t count, int (*compare)(const void *a, const void *b));

#endif
