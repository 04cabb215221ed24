/* The checksum of zip and PNG, eight bytes at a time. */
#include "crc32.h"

/* table[0][b] is the remainder of byte b; table[i][b] that of b followed by i zero bytes. With them
 * eight bytes are taken at once ("slicing by 8", Kounavis and Berry 2005). */
void homecrc32_start(homecrc32 *crc) {
    crc->value = 0xFFFFFFFFu;
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t remainder = b;
        for (int bit = 0; bit < 8; bit++)
            remainder = remainder >> 1 ^ (remainder & 1 ? 0xEDB88320u : 0);
        crc->table[0][b] = remainder;
    }
    for (int i = 1; i < 8; i++)
        for (uint32_t b = 0; b < 256; b++) {
            const uint32_t before = crc->table[i - 1][b];
            crc->table[i][b] = before >> 8 ^ crc->table[0][before & 255];
        }
}

static uint32_t read_32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void homecrc32_add(homecrc32 *crc, const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    uint32_t value = crc->value;
    uint32_t(*const t)[256] = crc->table;
    for (; size >= 8; size -= 8, p += 8) {
        const uint32_t low = value ^ read_32(p);
        const uint32_t high = read_32(p + 4);
        value = t[7][low & 255] ^ t[6][low >> 8 & 255] ^ t[5][low >> 16 & 255] ^ t[4][low >> 24] ^
                t[3][high & 255] ^ t[2][high >> 8 & 255] ^ t[1][high >> 16 & 255] ^
                t[0][high >> 24];
    }
    for (; size > 0; size--, p++)
        value = value >> 8 ^ t[0][(value ^ *p) & 255];
    crc->value = value;
}

uint32_t homecrc32_value(const homecrc32 *crc) {
    return ~crc->value;
}
