/* UTF-8, checked strictly: no overlong forms, no surrogates, nothing past U+10FFFF (Unicode 15,
 * table 3-7). */
#ifndef HOME_UTF8_H
#define HOME_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The bytes of the well-formed character that text begins with, of which `left` (at least 1) bytes
 * are there; 0 where there is none. */
size_t homeutf8_length(const char *text, size_t left);

/* The code point of the well-formed character text[0 .. length). */
unsigned homeutf8_code(const char *text, size_t length);

/* Whether a character steers what shows it instead of being seen: controls of terminals (C0, DEL,
 * C1); marks, embeddings, overrides and isolates, which change the direction of text and so the
 * order in which it is seen; separators of lines and paragraphs. All are below 0x10000. */
bool homeutf8_steers(unsigned code);

/* Whether text[0 .. length) is well-formed, without zero bytes. */
bool homeutf8_is_text(const char *text, size_t length);

#endif
