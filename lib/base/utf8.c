/* What is a character of UTF-8, and what is not. */
#include "utf8.h"

size_t homeutf8_length(const char *text, size_t left) {
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    const size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || left < length)
        return 0;
    const unsigned char low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((s[i] & 0xC0u) != 0x80u)
            return 0;
    return length;
}

#ifndef HOME_SERVE_ONLY
unsigned homeutf8_code(const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    unsigned code = length == 1 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (s[i] & 0x3Fu);
    return code;
}

bool homeutf8_steers(unsigned code) {
    static const unsigned ranges[][2] = {{0, 0x1F},        {0x7F, 0x9F},     {0x61C, 0x61C},
                                         {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x206F}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    return false;
}

bool homeutf8_is_text(const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        const size_t character = homeutf8_length(text + i, length - i);
        if (character == 0 || text[i] == 0)
            return false;
        i += character;
    }
    return true;
}
#endif
