/* The list of a model's tensors, found by name. Their values are elsewhere. */
#include "tensors.h"

#include "../host/sort.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t hometensors_size(const hometensor *tensor) {
    return tensor->rows * tensor->columns;
}

/* Takes the tensor's room in the parameters or the statistics. */
static bool place(hometensors *tensors, hometensor *info) {
    size_t size;
    size_t bytes;
    if (!homesize_multiply(info->rows, info->columns, &size) ||
        !homesize_multiply(size, sizeof(float), &bytes))
        return false;
    /* A table owns its memory; its offset is its number, set by the caller. */
    if (info->kind == HOME_TENSOR_TABLE)
        return true;
    size_t *total =
        info->kind == HOME_TENSOR_PARAMETER ? &tensors->parameter_count : &tensors->statistic_count;
    info->offset = *total;
    return homesize_add(*total, size, total) && *total <= SIZE_MAX / 64;
}

static home_status check(const hometensors *tensors, const hometensor *info) {
    const hometensors_filter *filter = &tensors->filter;
    return filter->check ? filter->check(filter->context, info, filter->error) : HOME_OK;
}

size_t hometensors_add(hometensors *tensors, homearena *arena, hometensor info, const char *format,
                       ...) {
    char name[HOME_TENSOR_NAME_SIZE];
    if (!homearena_ok(arena))
        return 0;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    info.name = name;
    const home_status status = check(tensors, &info);
    if (status != HOME_OK)
        homearena_fail(arena, status);
    else if (!place(tensors, &info))
        homearena_fail(arena, HOME_E_TOO_LARGE);
    if (!homearena_ok(arena))
        return 0;
    hometensor *items =
        homearena_grow(arena, tensors->items, tensors->count, &tensors->capacity, sizeof *items);
    info.name = homearena_text(arena, name, (size_t)length);
    if (!items || !info.name)
        return 0;
    tensors->items = items;
    tensors->items[tensors->count++] = info;
    return info.offset;
}

void hometensors_index(hometensors *tensors, homearena *arena) {
    tensors->by_name = homearena_take(arena, tensors->count, sizeof *tensors->by_name);
    if (!tensors->by_name)
        return;
    for (size_t i = 0; i < tensors->count; i++)
        tensors->by_name[i] = &tensors->items[i];
    homesort_by_name(tensors->by_name, tensors->count);
}

const hometensor *hometensors_find(const hometensors *tensors, const char *name) {
    return homesort_find_name(tensors->by_name, tensors->count, name);
}
