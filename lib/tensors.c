/* The list of a model's tensors, found by name. Their values are elsewhere. */
#include "tensors.h"

#include "sort.h"

#ifndef HOME_SERVE_ONLY
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t home_tensor_size(const home_tensor_info *tensor) {
    return tensor->rows * tensor->columns;
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

static bool is_refused(const home_tensors *tensors, const home_tensor_info *info) {
    home_tensor_filter *filter = tensors->filter;
    if (filter)
        filter->refusal = filter->check(filter->context, info, filter->error);
    return filter && filter->refusal != HOME_OK;
}

size_t home_tensors_add(home_tensors *tensors, home_arena *arena, home_tensor_info info, const char *format,
                        ...) {
    char name[HOME_TENSOR_NAME_SIZE];
    if (arena->failed)
        return 0;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    info.name = name;
    if (is_refused(tensors, &info)) {
        arena->failed = true;
        return 0;
    }
    if (!place(tensors, &info)) {
        home_arena_refuse_size(arena);
        return 0;
    }
    home_tensor_info *items =
        home_arena_grow(arena, tensors->items, tensors->count, &tensors->capacity, sizeof *items);
    info.name = home_arena_text(arena, name, (size_t)length);
    if (!items || !info.name)
        return 0;
    tensors->items = items;
    tensors->items[tensors->count++] = info;
    return info.offset;
}

void home_tensors_index(home_tensors *tensors, home_arena *arena) {
    tensors->by_name = home_arena_take(arena, tensors->count, sizeof *tensors->by_name);
    if (!tensors->by_name)
        return;
    for (size_t i = 0; i < tensors->count; i++)
        tensors->by_name[i] = &tensors->items[i];
    home_sort_by_name(tensors->by_name, tensors->count);
}

const home_tensor_info *home_tensors_find(const home_tensors *tensors, const char *name) {
    return home_search_by_name(tensors->by_name, tensors->count, name);
}

#endif
