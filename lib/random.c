/* Random numbers that are the same on every machine. */
#include "random.h"

#include "portability.h"

#include "home/home.h"

#include <math.h>

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's constants.
 */
uint64_t home_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#ifndef HOME_SERVE_ONLY
/* The name goes in by FNV-1a. */
uint64_t home_random_seed(uint64_t seed, const char *name) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return home_mix64(hash ^ home_mix64(seed + 0x9e3779b97f4a7c15u));
}

/* splitmix64; the top 53 bits fill a double. */
double home_random_uniform(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    return (double)(home_mix64(*state) >> 11) * 0x1p-53;
}

/* Box and Muller's transform; 1 - u keeps the logarithm finite. */
double home_random_normal(uint64_t *state) {
    const double radius = sqrt(-2 * log(1 - home_random_uniform(state)));
    return radius * cos(6.283185307179586 * home_random_uniform(state));
}

#endif

/* The high half of a 64 x 64 bit product, in 32-bit parts. */
static uint64_t multiply_high(uint64_t a, uint64_t b) {
    const uint64_t a0 = (uint32_t)a;
    const uint64_t a1 = a >> 32;
    const uint64_t b0 = (uint32_t)b;
    const uint64_t b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    const uint64_t other = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

uint64_t home_hash_id(uint64_t id, uint64_t rows) {
    return multiply_high(home_mix64(id), rows);
}
