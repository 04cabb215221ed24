/* The hash of ids, which the checkpoint format fixes for good. */
#include "hash.h"

/* Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's
 * constants. */
uint64_t homehash_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

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
    return multiply_high(homehash_mix64(id), rows);
}
