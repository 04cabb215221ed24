#include "chart.h"

#include "page.h"

#include <math.h>
#include <stdbool.h>

/* The picture, and where the box is in it. */
enum {
    WIDTH = 280,
    HEIGHT = 170,
    LEFT = 40,
    RIGHT = 268,
    TOP = 8,
    BOTTOM = 146,
    MARKS = 4,
    LABEL = 240
};

/* 1, 2 or 5 times a power of ten, so that about MARKS steps cover the range. */
static double step_of(double range) {
    const double rough = range / (double)MARKS;
    const double power = pow(10, floor(log10(rough)));
    const double digit = rough / power;
    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

/* Moves the edges outward to whole steps; a range without extent gets some. */
static double widen(double *low, double *high) {
    if (!(*high > *low)) {
        const double room = fmax(fabs(*low) * 0.05, 1e-3);
        *low -= room;
        *high += room;
    }
    const double step = step_of(*high - *low);
    *low = floor(*low / step + 1e-9) * step;
    *high = ceil(*high / step - 1e-9) * step;
    return step;
}

static double x_of(const chart *in, double x) {
    return (double)LEFT + (x - in->left) / (in->right - in->left) * (RIGHT - LEFT);
}

static double y_of(const chart *in, double y) {
    return (double)BOTTOM - (y - in->bottom) / (in->top - in->bottom) * (BOTTOM - TOP);
}

/* As many digits as tell the marks apart. */
static int decimals_of(double step) {
    const double needed = ceil(-log10(step) - 1e-9);
    return needed > 0 ? (int)fmin(needed, 6) : 0;
}

static void draw_scales(const chart *in, double x_step, double y_step) {
    for (int i = 0; in->bottom + i * y_step <= in->top + y_step / 2; i++) {
        const double value = in->bottom + i * y_step;
        fprintf(in->to,
                "<path class=\"axis\" d=\"M%d %.1fH%d\"/><text class=\"tick\" x=\"%d\" y=\"%.1f\" "
                "text-anchor=\"end\">%.*f</text>\n",
                LEFT, y_of(in, value), RIGHT, LEFT - 5, y_of(in, value) + 4, decimals_of(y_step),
                value);
    }
    for (int i = 0; in->left + i * x_step <= in->right + x_step / 2; i++) {
        const double value = in->left + i * x_step;
        fprintf(in->to,
                "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.*f</text>\n",
                x_of(in, value), BOTTOM + 16, decimals_of(x_step), value);
    }
}

chart chart_begin(FILE *to, const char *kind, const char *caption, chart edges) {
    char label[LABEL];
    chart in = edges;
    in.to = to;
    const double x_step = widen(&in.left, &in.right);
    const double y_step = widen(&in.bottom, &in.top);
    fputs("<figure><figcaption>", to);
    page_text(to, caption);
    fputs("</figcaption>", to);
    snprintf(label, sizeof label, "%s, %s", kind, caption);
    page_picture(to, label, WIDTH, HEIGHT);
    draw_scales(&in, x_step, y_step);
    return in;
}

void chart_end(const chart *in) {
    page_picture_end(in->to);
    fputs("</figure>\n", in->to);
}

static bool is_finite(double x, double y) {
    return isfinite(x) && isfinite(y);
}

void chart_line(const chart *in, const char *style, const double *x, const double *y,
                size_t count) {
    bool drawing = false;
    fprintf(in->to, "<path class=\"%s\" d=\"", style);
    for (size_t i = 0; i < count; i++) {
        const bool there = is_finite(x[i], y[i]);
        if (there)
            fprintf(in->to, "%c%.1f %.1f", drawing ? 'L' : 'M', x_of(in, x[i]), y_of(in, y[i]));
        drawing = there;
    }
    fputs("\"/>\n", in->to);
}

void chart_dots(const chart *in, const char *style, const double *x, const double *y,
                size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (is_finite(x[i], y[i]))
            fprintf(in->to,
                    "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"><title>%.4g: "
                    "%.4g</title></circle>\n",
                    style, x_of(in, x[i]), y_of(in, y[i]), x[i], y[i]);
    }
}
