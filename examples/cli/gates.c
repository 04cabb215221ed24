#include "gates.h"

#include "diagnosis.h"
#include "heap.h"
#include "page.h"
#include "topology.h"

#include <math.h>
#include <string.h>

/* Measures of the picture, in its own units (pixels at natural size). */
enum {
    CELL = 42, /* width of a column */
    ROW = 28,
    GAP = 8,      /* between units */
    NUMBERS = 30, /* height of the experts' numbers and the bracket over them */
    BETWEEN = 84, /* from a pill's top to the head of the matrix below */
    PILL = 24,
    LETTER = 7,
    MARGIN = 6,
    ASIDE = 92 /* for the entropies */
};

typedef struct drawing {
    FILE *to;
    const examination *of;
    const homejson_value *layer; /* of the topology */
    int left;                    /* where the matrices begin */
    int width;                   /* of the widest */
    int top;                     /* of what comes next */
} drawing;

/* ------------------------------------------------------------------------------------- measures */

static int label_width(const char *name) {
    const size_t letters = strlen(name);
    return LETTER * (int)(letters < 24 ? letters : 24);
}

/* Left edge of a unit's columns; past the last unit of the layer, the width of the matrix plus a
 * gap. */
static int unit_left(const examination *of, size_t layer, size_t unit) {
    int x = 0;
    for (size_t u = 0; u < unit; u++)
        if (of->units[u].layer == layer)
            x += CELL * (int)of->units[u].experts + GAP;
    return x;
}

static int unit_middle(const drawing *d, size_t unit) {
    const examined_unit *u = &d->of->units[unit];
    return d->left + unit_left(d->of, u->layer, unit) + CELL * (int)u->experts / 2;
}

/* Names of units stand above their columns; upright where one of the layer is wider than these. */
static bool names_stand(const examination *of, size_t layer) {
    for (size_t u = 0; u < of->unit_count; u++)
        if (of->units[u].layer == layer &&
            label_width(of->units[u].name) > CELL * (int)of->units[u].experts)
            return true;
    return false;
}

static int head_height(const examination *of, size_t layer) {
    int height = 16;
    if (names_stand(of, layer))
        for (size_t u = 0; u < of->unit_count; u++)
            if (of->units[u].layer == layer && label_width(of->units[u].name) > height)
                height = label_width(of->units[u].name);
    return height + NUMBERS;
}

static size_t count_nodes(const examination *of, size_t layer) {
    size_t count = 0;
    for (size_t node = 0; node < home_health_node_count(of->health); node++)
        count += examination_node(of, node).layer == layer;
    return count;
}

static void measure(drawing *d) {
    d->left = 0;
    d->width = 0;
    for (size_t node = 0; node < home_health_node_count(d->of->health); node++) {
        const int label = label_width(examination_node(d->of, node).node) + 12;
        d->left = label > d->left ? label : d->left;
    }
    d->left += MARGIN;
    for (size_t l = 0; l <= examination_last_layer(d->of); l++) {
        const int width = unit_left(d->of, l, d->of->unit_count) - GAP;
        d->width = width > d->width ? width : d->width;
    }
}

static int height_of(const examination *of) {
    int height = PILL + BETWEEN + MARGIN;
    for (size_t l = 0; l <= examination_last_layer(of); l++)
        height += head_height(of, l) + ROW * (int)count_nodes(of, l) + (l > 0 ? BETWEEN + PILL : 0);
    return height;
}

/* ------------------------------------------------------------------------------------- matrices */

static void draw_unit_head(const drawing *d, size_t unit) {
    const examined_unit *u = &d->of->units[unit];
    const int middle = unit_middle(d, unit);
    const int half = CELL * (int)u->experts / 2 - 3;
    const int bottom = d->top + head_height(d->of, u->layer);
    if (names_stand(d->of, u->layer))
        fprintf(d->to, "<text class=\"strong\" transform=\"translate(%d %d) rotate(-90)\">",
                middle + 4, bottom - NUMBERS + 2);
    else
        fprintf(d->to, "<text class=\"strong\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", middle,
                bottom - NUMBERS);
    page_text(d->to, u->name);
    fprintf(d->to, "</text><path class=\"bracket\" d=\"M%d %dv-4H%dv4\"/>\n", middle - half,
            bottom - 18, middle + half);
    for (size_t k = 0; k < u->experts; k++)
        fprintf(d->to, "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%zu</text>\n",
                d->left + unit_left(d->of, u->layer, unit) + CELL * (int)k + CELL / 2, bottom - 5,
                k);
}

static void draw_cell(const drawing *d, size_t node, size_t expert, int x, int y) {
    const double weight = home_health_gate_weight(d->of->health, node, expert);
    const double self = home_health_self_weight(d->of->health, node, expert);
    if (isnan(weight)) {
        fprintf(d->to,
                "<rect class=\"unseen\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>\n",
                x + 2, y + 2, CELL - 4, ROW - 4);
    } else {
        char name[80];
        diagnosis_expert_name(d->of, expert, name, sizeof name);
        fprintf(d->to, "<g><title>");
        page_text(d->to, examination_node(d->of, node).node);
        fputs(" gives ", d->to);
        page_text(d->to, name);
        fprintf(d->to, " %.3f", weight);
        if (!isnan(self))
            fprintf(d->to, ", and %.3f in its self term", self);
        fprintf(d->to,
                "</title><rect class=\"cell\" style=\"fill-opacity:%.3f\" x=\"%d\" y=\"%d\" "
                "width=\"%d\" height=\"%d\" rx=\"4\"/><text x=\"%d\" y=\"%d\" "
                "text-anchor=\"middle\">%.2f</text></g>\n",
                0.06 + 0.94 * weight, x + 2, y + 2, CELL - 4, ROW - 4, x + CELL / 2,
                y + ROW / 2 + 4, weight);
    }
    if (!isnan(self))
        fprintf(d->to,
                "<rect class=\"self\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>\n",
                x + 2, y + 2, CELL - 4, ROW - 4);
}

/* The cells of a node below one unit. */
static void draw_cells(const drawing *d, size_t node, size_t unit, int y) {
    const examined_unit *u = &d->of->units[unit];
    const int left = d->left + unit_left(d->of, u->layer, unit);
    for (size_t k = 0; k < u->experts; k++)
        draw_cell(d, node, u->first_expert + k, left + CELL * (int)k, y);
}

static void draw_node(const drawing *d, size_t node, int y) {
    const home_node_health n = examination_node(d->of, node);
    fprintf(d->to, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", d->left - 8, y + ROW / 2 + 4);
    page_text(d->to, n.node);
    fputs("</text>\n", d->to);
    for (size_t u = 0; u < d->of->unit_count; u++)
        if (d->of->units[u].layer == n.layer)
            draw_cells(d, node, u, y);
    if (!isnan(n.entropy))
        fprintf(d->to, "<text class=\"%s\" x=\"%d\" y=\"%d\">entropy %.2f</text>\n",
                n.top_weight >= COLLAPSE_WEIGHT ? "bad-text" : "soft-text",
                d->left + unit_left(d->of, n.layer, d->of->unit_count) - GAP + 10, y + ROW / 2 + 4,
                n.entropy);
}

static void draw_matrix(drawing *d, size_t layer) {
    fprintf(d->to,
            "<text class=\"soft-text\" x=\"%d\" y=\"%d\" text-anchor=\"end\">layer %zu</text>\n",
            d->left - 8, d->top + head_height(d->of, layer) - 5, layer);
    for (size_t u = 0; u < d->of->unit_count; u++)
        if (d->of->units[u].layer == layer)
            draw_unit_head(d, u);
    d->top += head_height(d->of, layer);
    for (size_t node = 0; node < home_health_node_count(d->of->health); node++)
        if (examination_node(d->of, node).layer == layer) {
            draw_node(d, node, d->top);
            d->top += ROW;
        }
}

/* ---------------------------------------------------------------------------------------- lines */

static void draw_pill(const drawing *d, const char *name, int middle) {
    const int half = label_width(name) / 2 + 10;
    fprintf(d->to, "<rect class=\"pill\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"12\"/>",
            middle - half, d->top, 2 * half, PILL);
    fprintf(d->to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", middle, d->top + 16);
    page_text(d->to, name);
    fputs("</text>\n", d->to);
}

/* Where the line to a unit ends: above its name. The head of the matrix begins BETWEEN below the
 * pills. */
static int name_top(const drawing *d, size_t unit) {
    const examined_unit *u = &d->of->units[unit];
    const int free = names_stand(d->of, u->layer)
                         ? head_height(d->of, u->layer) - NUMBERS - label_width(u->name)
                         : 0;
    return d->top + BETWEEN + free - 4;
}

/* A line from a pill to each unit that reads what it names. */
static void draw_links(const drawing *d, size_t layer, const char *input, int middle) {
    const homejson_value *units = homejson_member(d->layer, "units");
    const int from = d->top + PILL;
    size_t u = 0;
    while (d->of->units[u].layer != layer)
        u++;
    for (const homejson_value *unit = units ? units->first : NULL; unit; unit = unit->next, u++) {
        const int bend = d->top + (PILL + BETWEEN) / 2;
        if (strcmp(topology_text(unit, "input"), input) == 0)
            fprintf(d->to, "<path class=\"link\" d=\"M%d %dC%d %d %d %d %d %dV%d\"/>\n", middle,
                    from, middle, bend, unit_middle(d, u), bend, unit_middle(d, u),
                    d->top + BETWEEN - 4, name_top(d, u));
    }
}

/* What the layer reads: v, or the nodes of the layer below, side by side. */
static void draw_inputs(drawing *d, size_t layer) {
    if (layer == 0) {
        const int middle = d->left + (unit_left(d->of, 0, d->of->unit_count) - GAP) / 2;
        draw_links(d, 0, "v", middle);
        draw_pill(d, "v, the input", middle);
        d->top += BETWEEN;
        return;
    }
    d->top += PILL;
    const size_t count = count_nodes(d->of, layer - 1);
    const int share = count > 0 ? d->width / (int)count : 0;
    int i = 0;
    for (size_t node = 0; node < home_health_node_count(d->of->health); node++) {
        const home_node_health n = examination_node(d->of, node);
        if (n.layer + 1 != layer)
            continue;
        const int middle = d->left + share * i++ + share / 2;
        draw_links(d, layer, n.node, middle);
        draw_pill(d, n.node, middle);
    }
    d->top += BETWEEN;
}

bool gates_draw(FILE *to, const examination *of, const home_model *model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    homejson *parsed;
    const char *text = home_model_topology_json(model);
    if (homejson_parse(heap(), text, strlen(text), &parsed, &error) != HOME_OK)
        return fail_library(why, "reading the topology", &error);
    drawing d = {.to = to, .of = of, .top = MARGIN};
    measure(&d);
    const int width = d.left + d.width + ASIDE;
    page_scroll(to, "Gates");
    page_picture(to,
                 "Gates along the hierarchy: for each layer a table of the mean weight that each "
                 "node gives each expert, and lines from its nodes to the units that read them",
                 width, height_of(of) + MARGIN);
    const homejson_value *layers = homejson_member(homejson_root(parsed), "layers");
    d.layer = layers ? layers->first : NULL;
    for (size_t l = 0; d.layer; l++, d.layer = d.layer->next) {
        draw_inputs(&d, l);
        draw_matrix(&d, l);
    }
    page_picture_end(to);
    page_scroll_end(to);
    homejson_free(parsed);
    return true;
}
