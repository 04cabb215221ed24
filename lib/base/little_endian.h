/* Numbers as bytes, the lowest first, on machines of either byte order: put together by shifts,
 * never by casts. Compilers make single loads and stores of it. */
#ifndef HOME_LITTLE_ENDIAN_H
#define HOME_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Of 1 to 8 bytes. */
static inline uint64_t homelittle_get(const unsigned char *bytes, size_t size) {
    uint64_t bits = 0;
    for (size_t b = size; b-- > 0;)
        bits = bits << 8 | bytes[b];
    return bits;
}

/* Of 8 bytes. */
static inline double homelittle_get_double(const unsigned char *bytes) {
    const uint64_t bits = homelittle_get(bytes, sizeof bits);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void homelittle_put(uint64_t bits, size_t size, unsigned char *bytes) {
    for (size_t b = 0; b < size; b++)
        bytes[b] = (unsigned char)(bits >> (8 * b) & 255);
}

#endif
