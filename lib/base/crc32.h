/* CRC-32 as in gzip and PNG (polynomial 0xEDB88320), so that any tool can check a checkpoint. */
#ifndef HOME_CRC32_H
#define HOME_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef struct homecrc32 {
    uint32_t table[8][256]; /* made at the start: the library keeps no global that changes */
    uint32_t value;
} homecrc32;

void homecrc32_start(homecrc32 *crc);
void homecrc32_add(homecrc32 *crc, const void *bytes, size_t size);
uint32_t homecrc32_value(const homecrc32 *crc);

#endif
