/* Decimal numbers to doubles and back, exactly and whatever the locale. */
#ifndef HOME_NUMBER_H
#define HOME_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the longest text that homenumber_write() makes, its final zero included. */
#define HOME_NUMBER_SIZE 32

/* Reads `length` bytes that follow JSON's grammar of numbers. *value gets the nearest double, ties
 * to even; what is too small becomes 0 with its sign. False, and *value as it was, where it is too
 * large. */
bool homenumber_read(const char *text, size_t length, double *value);

/* Writes the fewest digits that read back as the same double, as JSON; `null` where value is not
 * finite. Returns the length. */
size_t homenumber_write(double value, char text[HOME_NUMBER_SIZE]);

/* For messages: six digits, as printf's %g writes them where the decimal point is a point. Returns
 * the text. */
const char *homenumber_brief(double value, char text[HOME_NUMBER_SIZE]);
#define HOME_BRIEF(value) homenumber_brief(value, (char[HOME_NUMBER_SIZE]){0})

#endif
