/* Seeded random numbers, the same on every machine. */
#ifndef HOME_RANDOM_H
#define HOME_RANDOM_H

#include <stdint.h>

/* The start of the stream that belongs to a seed and a name. */
uint64_t homerandom_seed(uint64_t seed, const char *name);

/* The next number of the stream: uniform in [0, 1), or N(0, 1). */
double homerandom_uniform(uint64_t *state);
double homerandom_normal(uint64_t *state);

#endif
