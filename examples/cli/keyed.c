#include "keyed.h"

#include "../../lib/base/hash.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

typedef struct hash_key {
    uint64_t halves[2];
    bool drawn;
} hash_key;

/* A system without /dev/urandom gets what is hard to guess from afar. */
static void guess_key(hash_key *key) {
    const uint64_t place = (uint64_t)(uintptr_t)key;
    const uint64_t now = (uint64_t)time(NULL) ^ (uint64_t)clock() << 32;
    key->halves[0] = homehash_mix64(place ^ (uint64_t)getpid() << 48);
    key->halves[1] = homehash_mix64(now + key->halves[0]);
}

static const uint64_t *the_key(void) {
    static hash_key key;
    if (!key.drawn) {
        FILE *from = fopen("/dev/urandom", "rb");
        if (from)
            setvbuf(from, NULL, _IONBF, 0);
        if (!from || fread(key.halves, sizeof key.halves, 1, from) != 1)
            guess_key(&key);
        if (from)
            fclose(from);
        key.drawn = true;
    }
    return key.halves;
}

static uint64_t rotate(uint64_t x, int bits) {
    return x << bits | x >> (64 - bits);
}

static void mix(uint64_t v[4]) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* text[0 .. count) as the low bytes of a word, count <= 8. */
static uint64_t word_of(const char *text, size_t count) {
    uint64_t word = 0;
    for (size_t i = 0; i < count; i++)
        word |= (uint64_t)(unsigned char)text[i] << 8 * i;
    return word;
}

static void take_word(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    mix(v);
    v[0] ^= word;
}

/* SipHash-1-3: Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one round a
 * word and three at the end. */
static uint64_t siphash(const uint64_t key[2], const char *text, size_t length) {
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    size_t at = 0;
    for (; at + 8 <= length; at += 8)
        take_word(v, word_of(text + at, 8));
    take_word(v, word_of(text + at, length - at) | (uint64_t)length << 56);
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        mix(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t keyed_hash(const char *text, size_t length) {
    return siphash(the_key(), text, length);
}
