/* Seeded random numbers, the same on every machine. */
#ifndef HOME_RANDOM_H
#define HOME_RANDOM_H

#include <stdint.h>

/* The finalizer of splitmix64: a bijection of 64-bit numbers that mixes all bits. */
uint64_t home_mix64(uint64_t x);

/* The start of the stream that belongs to a seed and a name. */
uint64_t home_random_seed(uint64_t seed, const char *name);

/* The next number of the stream: uniform in [0, 1), or N(0, 1). */
double home_random_uniform(uint64_t *state);
double home_random_normal(uint64_t *state);

#endif
