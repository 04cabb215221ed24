/* The limits of a core for each instruction set: loops that only multiply and add, or only read. */
#ifndef TESTS_BENCH_LIMITS_H
#define TESTS_BENCH_LIMITS_H

#include <stddef.h>

typedef struct limits {
    const char *name; /* of the instruction set, as in the library's table of kernels */
    size_t flops;     /* in one turn of `multiply_add` */
    /* Multiplies and adds in registers, `turns` times. */
    float (*multiply_add)(size_t turns);
    /* Reads `count` floats, a multiple of 128, from an address that is a multiple of 64. */
    float (*read)(const float *values, size_t count);
} limits;

/* Returns NULL if the name is unknown. */
const limits *limits_of(const char *name);

#endif
