/* One mixing function for hashed ids and for the streams of random numbers. */
#ifndef HOME_HASH_H
#define HOME_HASH_H

#include "base.h"

/* The finalizer of splitmix64: a bijection of 64-bit numbers that mixes all bits. */
uint64_t homehash_mix64(uint64_t x);

#endif
