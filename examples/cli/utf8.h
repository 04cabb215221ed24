/* Whether text[0 .. length) is well-formed UTF-8 without zero bytes, as JSON wants it. */
#ifndef CLI_UTF8_H
#define CLI_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_is_text(const char *text, size_t length);

#endif
