/* The named tensors of a model: where each lies, and how it starts. */
#ifndef HOME_TENSORS_H
#define HOME_TENSORS_H

#include "memory.h"
#include "status.h"

/* How the elements of a tensor start. */
typedef enum home_start {
    HOME_START_CONSTANT, /* = scale */
    HOME_START_UNIFORM,  /* U(-scale, scale) */
    HOME_START_NORMAL    /* N(0, scale^2) */
} home_start;

typedef struct home_tensor_info {
    const char *name;
    int32_t kind; /* HOME_TENSOR_* */
    int32_t rank; /* 1: [rows], 2: [rows, columns] */
    size_t rows;
    size_t columns; /* 1 where rank is 1 */
    size_t offset;  /* of a parameter in the parameters, of a statistic in the statistics; the number of a
                       table */
    bool never_negative; /* a variance */
    home_start start;
    double scale;
} home_tensor_info;

/* Says whether a tensor may be in the plan. */
typedef home_status (*home_tensor_check)(const void *context, const home_tensor_info *tensor,
                                         home_error *error);

/* A check of every tensor that is added: the first one refused ends the plan before it takes more memory and time. */
typedef struct home_tensor_filter {
    home_tensor_check check;
    const void *context;
    home_error *error;
    home_status refusal; /* what the check gave, where that was not HOME_OK */
} home_tensor_filter;

typedef struct home_tensors {
    home_tensor_info *items;
    size_t count;
    size_t capacity;
    const void **by_name;   /* [count] the items in the order of their names, made by home_tensors_index() */
    size_t parameter_count; /* floats of all parameters together */
    size_t statistic_count;
    home_tensor_filter *filter; /* while they are added; NULL: all may be */
} home_tensors;

enum {
    HOME_TENSOR_NAME_SIZE = 512
}; /* more than the longest name that checked settings can give, its final zero too */

/* Adds a tensor with a printf-made name and returns its offset. After a failure or a refusal arena->failed is set and the
 * offset is 0. Everything lives in the arena. */
HOME_PRINTF(4, 5)
size_t home_tensors_add(home_tensors *tensors, home_arena *arena, home_tensor_info info, const char *format,
                        ...);

/* Prepares home_tensors_find(); call it once, when all tensors are there. */
void home_tensors_index(home_tensors *tensors, home_arena *arena);

/* The tensor of this name, or NULL. */
const home_tensor_info *home_tensors_find(const home_tensors *tensors, const char *name);

/* Elements of a tensor. */
size_t home_tensor_size(const home_tensor_info *tensor);

#endif
