/* The named tensors of a model: where each lies, and how it starts. */
#ifndef HOME_TENSORS_H
#define HOME_TENSORS_H

#include "../base/fail.h"
#include "../host/memory.h"

/* How the elements of a tensor start. */
typedef enum hometensor_start {
    HOME_START_CONSTANT, /* = scale */
    HOME_START_UNIFORM,  /* U(-scale, scale) */
    HOME_START_NORMAL    /* N(0, scale^2) */
} hometensor_start;

typedef struct hometensor {
    const char *name;
    int32_t kind; /* HOME_TENSOR_* */
    int32_t rank; /* 1: [rows], 2: [rows, columns] */
    size_t rows;
    size_t columns; /* 1 where rank is 1 */
    size_t offset; /* of a parameter in the parameters, of a statistic in the statistics; the number
                      of a table */
    bool never_negative; /* a variance */
    hometensor_start start;
    double scale;
} hometensor;

/* Says whether a tensor may be in the plan. */
typedef home_status (*hometensors_check)(const void *context, const hometensor *tensor,
                                         home_error *error);

/* A check of every tensor that is added: the first one refused ends the plan before it takes more
 * memory and time. */
typedef struct hometensors_filter {
    hometensors_check check; /* NULL: all may be */
    const void *context;
    home_error *error;
} hometensors_filter;

typedef struct hometensors {
    hometensor *items;
    size_t count;
    size_t capacity;
    /* [count] the items in the order of their names, made by hometensors_index(). */
    const void **by_name;
    size_t parameter_count; /* floats of all parameters together */
    size_t statistic_count;
    hometensors_filter filter; /* of what is added */
} hometensors;

/* More than the longest name that checked settings can give, with its final zero. */
enum { HOME_TENSOR_NAME_SIZE = 512 };

/* Adds a tensor with a printf-made name and returns its offset; 0 where the arena fails, with the
 * status of the filter if that refuses the tensor. Everything lives in the arena. */
HOME_PRINTF(4, 5)
size_t hometensors_add(hometensors *tensors, homearena *arena, hometensor info, const char *format,
                       ...);

/* Prepares hometensors_find(); call it once, when all tensors are there. */
void hometensors_index(hometensors *tensors, homearena *arena);

/* The tensor of this name, or NULL. */
const hometensor *hometensors_find(const hometensors *tensors, const char *name);

/* Elements of a tensor. */
size_t hometensors_size(const hometensor *tensor);

#endif
