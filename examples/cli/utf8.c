#include "utf8.h"

/* The bytes that follow a first byte, and the range of the first of these (Unicode 15, table 3-7), which
 * excludes overlong forms, surrogates and what lies beyond U+10FFFF. False for a byte that begins nothing. */
static bool tail_of(unsigned char first, size_t *tail, unsigned char *low, unsigned char *high) {
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    *tail = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    return first != 0 && (first < 0x80 || (first >= 0xc2 && first <= 0xf4));
}

bool utf8_is_text(const char *text, size_t length) {
    const unsigned char *p = (const unsigned char *)text;
    const unsigned char *end = p + length;
    while (p < end) {
        size_t tail;
        unsigned char low;
        unsigned char high;
        if (!tail_of(*p++, &tail, &low, &high) || tail > (size_t)(end - p))
            return false;
        for (; tail > 0; tail--, p++) {
            if (*p < low || *p > high)
                return false;
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}
