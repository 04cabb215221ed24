#include "print.h"

#include "heap.h"

#include "../../lib/base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ----------------------------------------------------------------------------------------- mask */

size_t print_next(const char *text, size_t left, char *mask) {
    const size_t length = homeutf8_length(text, left);
    *mask = 0;
    if (*text == '\n' || *text == '\t' || *text == '\r')
        *mask = ' ';
    else if (length == 0 || homeutf8_steers(homeutf8_code(text, length)))
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

/* ---------------------------------------------------------------------------------------- print */

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

void print_figure(FILE *to, int width, int digits, double figure) {
    if (isnan(figure))
        fprintf(to, "%*s", width, "-");
    else
        fprintf(to, "%*.*f", width, digits, figure);
}
