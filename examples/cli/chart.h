/* Small charts as inline SVG: a box with a scale on both sides, and lines in it. */
#ifndef CLI_CHART_H
#define CLI_CHART_H

#include <stddef.h>
#include <stdio.h>

/* The values at the edges of the box. */
typedef struct chart {
    FILE *to;
    double left, right;
    double bottom, top;
} chart;

/* Opens a figure with its caption, and draws the box with about four marks a side. Edges are
 * rounded outward to whole marks. `kind` says what curve it is to a reader who does not see it. */
chart chart_begin(FILE *to, const char *kind, const char *caption, chart edges);
void chart_end(const chart *in);

/* A line through points, broken where one is not finite, and marks on those that are. style: "a" or
 * "b", the colours of a chart's first and second line, or "guide". */
void chart_line(const chart *in, const char *style, const double *x, const double *y, size_t count);
void chart_dots(const chart *in, const char *style, const double *x, const double *y, size_t count);

#endif
