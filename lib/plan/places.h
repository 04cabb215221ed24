/* Places for what lives for a while, so that things that are never there together share memory. */
#ifndef HOME_PLACES_H
#define HOME_PLACES_H

#include "../host/memory.h"

/* Takes [start, start + size) from step `first` to step `last`, both included. */
typedef struct homeplace {
    size_t size;
    size_t first;
    size_t last;
    size_t start; /* found by homeplaces_find() */
} homeplace;

/* Gives each in turn the lowest start at which it overlaps none of those before it that live at the
 * same time; *width is where the highest ends. False when out of memory. */
bool homeplaces_find(homeplace *places, size_t count, const home_allocator *allocator,
                     size_t *width);

#endif
