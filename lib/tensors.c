#include "tensors.h"

#include "sort.h"

#ifndef HOME_SERVE_ONLY
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_NAME = 512 }; /* longer than any name that checked settings can give */

size_t home_tensor_size(const home_tensor_info *tensor) {
    return tensor->rows * tensor->columns;
}

/* Doubles the list. The old one stays in the arena: together they waste less than the new one holds. */
static bool reserve(home_tensors *tensors, home_arena *arena) {
    if (tensors->count < tensors->capacity)
        return true;
    const size_t capacity = tensors->capacity ? 2 * tensors->capacity : 64;
    home_tensor_info *items = home_arena_take(arena, capacity, sizeof *items);
    if (!items)
        return false;
    if (tensors->count)
        memcpy(items, tensors->items, tensors->count * sizeof *items);
    tensors->items = items;
    tensors->capacity = capacity;
    return true;
}

/* Takes the tensor's room in the parameters or the statistics. */
static bool place(home_tensors *tensors, home_tensor_info *info) {
    size_t size;
    size_t bytes;
    if (!home_multiply_size(info->rows, info->columns, &size) ||
        !home_multiply_size(size, sizeof(float), &bytes))
        return false;
    if (info->kind == HOME_TENSOR_TABLE)
        return true; /* tables own their memory; the offset is the table's number, set by the caller */
    size_t *total =
        info->kind == HOME_TENSOR_PARAMETER ? &tensors->parameter_count : &tensors->statistic_count;
    info->offset = *total;
    return home_add_size(*total, size, total) && *total <= SIZE_MAX / 64;
}

size_t home_tensors_add(home_tensors *tensors, home_arena *arena, home_tensor_info info, const char *format,
                        ...) {
    char name[MOST_NAME];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    tensors->too_many = tensors->most && tensors->count >= tensors->most;
    if (length < 0 || length >= MOST_NAME || tensors->too_many || !reserve(tensors, arena) ||
        !place(tensors, &info)) {
        arena->failed = true;
        return 0;
    }
    info.name = home_arena_text(arena, name, (size_t)length);
    tensors->items[tensors->count++] = info;
    return info.offset;
}

static const char *name_of(const void *tensor) {
    return ((const home_tensor_info *)tensor)->name;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(name_of(a), name_of(b));
}

bool home_tensors_index(home_tensors *tensors, home_arena *arena) {
    tensors->by_name = home_arena_take(arena, tensors->count, sizeof *tensors->by_name);
    if (!tensors->by_name)
        return false;
    for (size_t i = 0; i < tensors->count; i++)
        tensors->by_name[i] = &tensors->items[i];
    home_sort(tensors->by_name, tensors->count, compare_names);
    return true;
}

const home_tensor_info *home_tensors_find(const home_tensors *tensors, const char *name) {
    return home_search(tensors->by_name, tensors->count, name, name_of);
}

#endif
