/* Random numbers that are the same on every machine. */
#include "random.h"

#include "../base/hash.h"

#include <math.h>

/* The name goes in by FNV-1a. */
uint64_t homerandom_seed(uint64_t seed, const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return homehash_mix64(hash ^ homehash_mix64(seed + 0x9e3779b97f4a7c15u));
}

/* splitmix64; the top 53 bits fill a double. */
double homerandom_uniform(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    return (double)(homehash_mix64(*state) >> 11) * 0x1p-53;
}

/* Box and Muller's transform; 1 - u keeps the logarithm finite. */
double homerandom_normal(uint64_t *state) {
    const double radius = sqrt(-2 * log(1 - homerandom_uniform(state)));
    return radius * cos(6.283185307179586 * homerandom_uniform(state));
}
