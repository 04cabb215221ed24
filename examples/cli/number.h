/* Decimal numbers, read fast and whatever the locale. */
#ifndef CLI_NUMBER_H
#define CLI_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads all of text[0 .. length), which a zero byte must follow: digits with an optional sign,
 * point and exponent, but not nan, inf or hexadecimal. False for anything else and for what is too
 * large for a float. Of up to 15 digits *value is the nearest double; of more it may be two units
 * in the last place off, but its nearest float is that of the text. */
bool number_read(const char *text, size_t length, double *value);

/* The same, rounded. */
bool number_read_float(const char *text, size_t length, float *value);

/* The same for a whole number in plain digits. */
bool number_read_whole(const char *text, uint64_t *value);

/* The ending of a noun after a count: "" for 1, "s" for any other. */
const char *number_plural(uint64_t count);

#endif
