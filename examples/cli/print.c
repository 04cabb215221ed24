#include "print.h"

#include "heap.h"

#include "../../lib/base/utf8.h"

#include <stdarg.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ mask
 */

/* The code point of a well-formed character. */
static unsigned long code_of(const char *text, size_t length) {
    const unsigned char *s = (const unsigned char *)text;
    if (length == 1)
        return s[0];
    unsigned long code = s[0] & (0x7FU >> length);
    for (size_t i = 1; i < length; i++)
        code = code << 6 | (s[i] & 0x3FU);
    return code;
}

/* Controls of terminals (C0, DEL, C1); marks, embeddings, overrides and isolates, which change the
 * direction of text and so the order in which it is seen; separators of lines and paragraphs. */
static bool steers(unsigned long code) {
    static const unsigned long ranges[][2] = {{0, 0x1F},        {0x7F, 0x9F},     {0x61C, 0x61C},
                                              {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x206F}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (code >= ranges[i][0] && code <= ranges[i][1])
            return true;
    }
    return false;
}

size_t print_next(const char *text, size_t left, char *mask) {
    const size_t length = homeutf8_length(text, left);
    *mask = 0;
    if (*text == '\n' || *text == '\t' || *text == '\r')
        *mask = ' ';
    else if (length == 0 || steers(code_of(text, length)))
        *mask = '?';
    return length ? length : 1;
}

void print_mask(char *text) {
    char *to = text;
    size_t left = strlen(text);
    while (left > 0) {
        char mask;
        const size_t length = print_next(text, left, &mask);
        if (mask)
            *to = mask;
        else
            memmove(to, text, length);
        to += mask ? 1 : length;
        text += length;
        left -= length;
    }
    *to = 0;
}

bool print_is_masked(const char *text) {
    char mask = 0;
    for (size_t left = strlen(text); left > 0 && !mask;) {
        const size_t length = print_next(text, left, &mask);
        text += length;
        left -= length;
    }
    return mask != 0;
}

/* ----------------------------------------------------------------------------------------- print
 */

/* What does not fit here takes memory, and is cut where there is none. */
enum { SHORT = 1024 };

HOME_PRINTF(2, 0) static void print(FILE *to, const char *format, va_list arguments) {
    char text[SHORT];
    char *whole = NULL;
    va_list again;
    va_copy(again, arguments);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    if (length >= SHORT)
        whole = heap_new((size_t)length + 1, 1);
    if (whole)
        vsnprintf(whole, (size_t)length + 1, format, again);
    va_end(again);
    print_mask(whole ? whole : text);
    fputs(whole ? whole : text, to);
    heap_free(whole);
}

void print_part(FILE *to, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print(to, format, arguments);
    va_end(arguments);
}

void print_line(FILE *to, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print(to, format, arguments);
    va_end(arguments);
    print_end(to);
}

void print_end(FILE *to) {
    fputc('\n', to);
}
