/* Bytes of accumulators, to change and to put into their frame again (lib/metrics/bytes.h). */
#ifndef TESTS_METRICS_FRAMES_H
#define TESTS_METRICS_FRAMES_H

#include "base/crc32.h"
#include "test.h"

#include <stdint.h>

enum { FRAME_CRC = 12, FRAME_SIZE = 16, FRAME_HEADER = 24 };

typedef struct frame {
    unsigned char *bytes; /* malloc'd */
    size_t size;
} frame;

static inline frame frame_new(size_t size) {
    const frame made = {calloc(size ? size : 1, 1), size};
    REQUIRE(made.bytes);
    return made;
}

static inline frame frame_copy(const frame *from) {
    const frame made = frame_new(from->size);
    memcpy(made.bytes, from->bytes, from->size);
    return made;
}

static inline void frame_put(frame *to, size_t at, uint64_t value, size_t size) {
    REQUIRE(at + size <= to->size);
    for (size_t b = 0; b < size; b++)
        to->bytes[at + b] = (unsigned char)(value >> (8 * b) & 255);
}

static inline uint64_t frame_get(const frame *from, size_t at, size_t size) {
    uint64_t value = 0;
    REQUIRE(at + size <= from->size);
    for (size_t b = size; b-- > 0;)
        value = value << 8 | from->bytes[at + b];
    return value;
}

static inline void frame_put_double(frame *to, size_t at, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    frame_put(to, at, bits, 8);
}

static inline double frame_get_double(const frame *from, size_t at) {
    const uint64_t bits = frame_get(from, at, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Puts the size and the checksum where they stand. */
static inline void frame_seal(frame *to) {
    homecrc32 crc;
    frame_put(to, FRAME_SIZE, to->size, 8);
    homecrc32_start(&crc);
    homecrc32_add(&crc, to->bytes + FRAME_SIZE, to->size - FRAME_SIZE);
    frame_put(to, FRAME_CRC, homecrc32_value(&crc), 4);
}

#endif
