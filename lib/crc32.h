/* CRC-32 as in gzip and PNG (polynomial 0xEDB88320), so that any tool can check a checkpoint. */
#ifndef HOME_CRC32_H
#define HOME_CRC32_H

#include <stddef.h>
#include <stdint.h>

typedef struct home_crc32 {
    uint32_t table[8][256]; /* made at the start: the library keeps no global that changes */
    uint32_t value;
} home_crc32;

void home_crc32_start(home_crc32 *crc);
void home_crc32_add(home_crc32 *crc, const void *bytes, size_t size);
uint32_t home_crc32_value(const home_crc32 *crc);

#endif
