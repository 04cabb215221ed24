/* Lines for people: tables, notes and messages. What they quote comes from files of strangers, so
 * nothing in it may steer a terminal or fake a line. Everything that the program writes for people
 * to read goes through here, except the pages of "home report", which use print_next() too. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "../../lib/base/portability.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Print part of a line, a part and the line's end, and that end alone. Line ends and tabs in what
 * is printed become spaces; what else steers a terminal or the order of text becomes "?", as does
 * each byte that is not UTF-8. */
HOME_PRINTF(2, 3) void print_part(FILE *to, const char *format, ...);
HOME_PRINTF(2, 3) void print_line(FILE *to, const char *format, ...);
void print_end(FILE *to);

/* Prints a number right-aligned, or "-" where it is not defined. */
void print_figure(FILE *to, int width, int digits, double figure);

/* The same masking of a text in place; it may get shorter. */
void print_mask(char *text);

/* Whether any of a text would be masked. */
bool print_is_masked(const char *text);

/* The bytes of the first character of text[0 .. left), left >= 1. *mask is what to show instead of
 * it, 0 where it can be shown as it is. */
size_t print_next(const char *text, size_t left, char *mask);

#endif
