/* A page of HTML that needs no other file: its frame, its style, and text in it. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdio.h>

void page_begin(FILE *to, const char *title);
void page_end(FILE *to);

/* Text with HTML's special characters escaped, and masked as print.h does: no character of a name
 * changes the direction of what stands around it. */
void page_text(FILE *to, const char *text);

/* A section with a heading, and a paragraph that explains it (HTML, or NULL). */
void page_section(FILE *to, const char *heading, const char *explanation);
void page_section_end(FILE *to);

/* A picture: SVG that a reader who does not see it hears as `label`. */
void page_picture(FILE *to, const char *label, int width, int height);
void page_picture_end(FILE *to);

/* A box for what may be wider than the page. It scrolls by keys too, and is called `label` then. */
void page_scroll(FILE *to, const char *label);
void page_scroll_end(FILE *to);

/* A table's cell with a figure, or "–" where it is not defined. */
void page_cell(FILE *to, const char *format, double figure);

#endif
