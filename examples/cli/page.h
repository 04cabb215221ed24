/* A page of HTML that needs nothing from elsewhere: its frame, its looks, and text in it. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdio.h>

void page_begin(FILE *to, const char *title);
void page_end(FILE *to);

/* Text with the characters escaped that HTML gives a meaning to. */
void page_text(FILE *to, const char *text);

/* A section with a heading, and a paragraph that explains it (HTML, or NULL). */
void page_section(FILE *to, const char *heading, const char *explanation);
void page_section_end(FILE *to);

/* A figure in a table's cell, "–" where it is not defined. */
void page_cell(FILE *to, const char *format, double figure);

#endif
