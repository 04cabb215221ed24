#include "page.h"

#include "print.h"

#include <math.h>
#include <string.h>

/* The style. Colours are named by purpose; paper is always light. Ink can be read on all of them,
 * soft and bad text on the grounds: a contrast of 4.5 or more (WCAG 2.1, 1.4.3), which tests/cli
 * computes. */
#define LIGHT                                                                                      \
    " --ground:#f6f5f2; --card:#fff; --ink:#1d2126; --soft:#5d6670; --line:#e2e1dc;"               \
    " --accent:#1f6f8b; --shade:#5694ad; --second:#c2571a; --good:#2c7a4b;"                        \
    " --good-ground:#ebf5ee; --bad:#b23a2e; --bad-ground:#fbeeea;"
#define DARK                                                                                       \
    " --ground:#12161a; --card:#1a2026; --ink:#e5e8ea; --soft:#98a3ad; --line:#2c343c;"            \
    " --accent:#5fb3cf; --shade:#1d6a85; --second:#ea9a5f; --good:#6fc48e;"                        \
    " --good-ground:#1a2b21; --bad:#f08c7c; --bad-ground:#33211f;"

static const char *const style[] = {
    ":root { color-scheme: light dark;" LIGHT " }\n",
    "@media (prefers-color-scheme: dark) { :root {" DARK " } }\n",
    "@media print { :root { color-scheme: light;" LIGHT " } }\n",
    "* { box-sizing: border-box; print-color-adjust: exact; -webkit-print-color-adjust: exact }\n",
    "body {"
    " margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 62rem; background: var(--ground);"
    " color: var(--ink);"
    " font: 16px/1.5 system-ui, -apple-system, \"Segoe UI\", Roboto, \"Helvetica Neue\", Arial, "
    "sans-serif;"
    " }\n",
    "h1 {"
    " font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; letter-spacing: -.01em;"
    " overflow-wrap: anywhere;"
    " }\n",
    "h2 { font-size: 1.2rem; margin: 0 0 .25rem }\n",
    "h3 { font-size: .95rem; margin: 1.1rem 0 .25rem; font-weight: 600 }\n",
    "p { margin: .25rem 0 .75rem }\n",
    "section {"
    " background: var(--card); border: 1px solid var(--line); border-radius: 10px;"
    " padding: 1.1rem 1.25rem 1.25rem; margin: 1.25rem 0;"
    " }\n",
    ".soft { color: var(--soft) }\n",
    "summary { color: var(--soft); font-size: .88rem; margin-top: .75rem }\n",
    "pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .78rem }\n",
    ".explain { color: var(--soft); font-size: .9rem; max-width: 46rem }\n",
    ".facts {"
    " display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));"
    " gap: .75rem; margin: 1.25rem 0;"
    " }\n",
    ".fact {"
    " background: var(--card); border: 1px solid var(--line); border-radius: 10px;"
    " padding: .7rem .9rem;"
    " }\n",
    ".fact b {"
    " display: block; font-size: 1.3rem; font-weight: 600; line-height: 1.25;"
    " font-variant-numeric: tabular-nums;"
    " }\n",
    ".fact span { color: var(--soft); font-size: .82rem }\n",
    ".verdict {"
    " border-left: 4px solid var(--good); background: var(--good-ground); border-radius: 6px;"
    " padding: .6rem .9rem; margin: .6rem 0;"
    " }\n",
    ".verdict.bad { border-color: var(--bad); background: var(--bad-ground) }\n",
    ".verdict.unknown { border-color: var(--soft); background: none }\n",
    ".verdict ul { margin: .35rem 0 0; padding-left: 1.1rem }\n",
    ".verdict li { margin: .3rem 0; font-size: .93rem }\n",
    ".verdict em { color: var(--soft); font-style: normal; display: block }\n",
    ".scroll { overflow-x: auto; margin: 0 -.25rem; padding: 0 .25rem }\n",
    ".scroll:focus-visible { outline: 2px solid var(--accent) }\n",
    "table {"
    " border-collapse: collapse; width: 100%; font-size: .88rem;"
    " font-variant-numeric: tabular-nums;"
    " }\n",
    "th, td {"
    " padding: .32rem .55rem; text-align: right; border-bottom: 1px solid var(--line);"
    " white-space: nowrap;"
    " }\n",
    "th { color: var(--soft); font-weight: 500 }\n",
    "th:first-child, td:first-child { text-align: left }\n",
    "table.narrow { font-size: .78rem }\n",
    "table.narrow th, table.narrow td { padding: .28rem .35rem }\n",
    "td.bad { color: var(--bad) }\n",
    "td.text { text-align: left; white-space: normal; overflow-wrap: anywhere }\n",
    "td.heat { background: color-mix(in srgb, var(--shade) calc(var(--w) * 100%), transparent) }\n",
    ".grid {"
    " display: grid; grid-template-columns: repeat(auto-fill, minmax(15.5rem, 1fr));"
    " gap: 1rem 1.25rem;"
    " }\n",
    "figure { margin: 0; break-inside: avoid }\n",
    "figcaption { font-size: .85rem; font-weight: 600; margin-bottom: .1rem }\n",
    "svg {"
    " display: block; overflow: visible; fill: var(--ink);"
    " font: 11px system-ui, -apple-system, \"Segoe UI\", Roboto, \"Helvetica Neue\", Arial, "
    "sans-serif;"
    " }\n",
    ".grid svg { width: 100%; height: auto }\n",
    ".axis { stroke: var(--line); fill: none }\n",
    ".tick, .soft-text { fill: var(--soft) }\n",
    ".bad-text { fill: var(--bad) }\n",
    ".strong { font-weight: 600 }\n",
    ".guide { stroke: var(--soft); stroke-dasharray: 3 3; fill: none; opacity: .7 }\n",
    ".a { stroke: var(--accent); fill: none; stroke-width: 2 }\n",
    ".b { stroke: var(--second); fill: none; stroke-width: 2 }\n",
    "circle.a { fill: var(--accent); stroke: var(--card); stroke-width: 1 }\n",
    "circle.b { fill: var(--second); stroke: var(--card); stroke-width: 1 }\n",
    ".cell { fill: var(--shade) }\n",
    ".unseen { fill: none; stroke: var(--line); stroke-dasharray: 2 3 }\n",
    ".self { fill: none; stroke: var(--second); stroke-width: 2 }\n",
    ".link { fill: none; stroke: var(--soft); stroke-width: 1.5; opacity: .55 }\n",
    ".pill { fill: var(--card); stroke: var(--soft) }\n",
    ".bracket { stroke: var(--soft); fill: none }\n",
    ".hill { fill: var(--accent); fill-opacity: .55; stroke: var(--accent) }\n",
    ".key {"
    " display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .85rem;"
    " color: var(--soft); margin: .25rem 0 .75rem;"
    " }\n",
    ".key i {"
    " display: inline-block; width: 1.1rem; height: .2rem; vertical-align: middle;"
    " margin-right: .35rem; background: var(--accent);"
    " }\n",
    ".key i.two { background: var(--second) }\n",
    ".key i.box { height: .8rem; background: none; border: 2px solid var(--second) }\n",
    ".key i.none { height: .8rem; background: none; border: 1px dashed var(--soft) }\n",
    "@media (min-width: 60rem) {\n",
    ".pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1.5rem }\n",
    ".pair svg { max-width: 100%; height: auto }\n",
    "}\n",
    "@media (max-width: 34rem) {\n",
    "body { padding: 1.25rem .75rem 3rem }\n",
    "section { padding: .9rem .85rem 1rem }\n",
    "h1 { font-size: 1.4rem }\n",
    "}\n",
    "@media print {\n",
    "body { padding: 0; max-width: none; font-size: 10.5pt; background: none }\n",
    "section { border: none; padding: .5rem 0 }\n",
    ".scroll { overflow: visible }\n",
    ".scroll svg { max-width: 100%; height: auto }\n",
    ".verdict, .fact, tr { break-inside: avoid }\n",
    "h2, h3, .explain { break-after: avoid }\n",
    "}\n",
};

/* A character of a page; NULL where it stands for itself. */
static const char *entity_of(char character) {
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    default:
        return NULL;
    }
}

void page_text(FILE *to, const char *text) {
    for (size_t left = strlen(text); left > 0;) {
        char mask;
        const size_t length = print_next(text, left, &mask);
        const char *entity = entity_of(*text);
        if (mask)
            fputc(mask, to);
        else if (entity)
            fputs(entity, to);
        else
            fwrite(text, 1, length, to);
        text += length;
        left -= length;
    }
}

void page_begin(FILE *to, const char *title) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          to);
    page_text(to, title);
    fputs("</title>\n<style>\n", to);
    for (size_t i = 0; i < sizeof style / sizeof style[0]; i++)
        fputs(style[i], to);
    fputs("</style>\n</head>\n<body>\n", to);
}

void page_end(FILE *to) {
    fputs("</body>\n</html>\n", to);
}

void page_section(FILE *to, const char *heading, const char *explanation) {
    fputs("<section>\n<h2>", to);
    page_text(to, heading);
    fputs("</h2>\n", to);
    if (explanation)
        fprintf(to, "<p class=\"explain\">%s</p>\n", explanation);
}

void page_section_end(FILE *to) {
    fputs("</section>\n", to);
}

void page_picture(FILE *to, const char *label, int width, int height) {
    fprintf(to, "<svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
            width, height, width, height);
    page_text(to, label);
    fputs("\">\n", to);
}

void page_picture_end(FILE *to) {
    fputs("</svg>\n", to);
}

void page_scroll(FILE *to, const char *label) {
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", to);
    page_text(to, label);
    fputs("\">\n", to);
}

void page_scroll_end(FILE *to) {
    fputs("</div>\n", to);
}

void page_cell(FILE *to, const char *format, double figure) {
    fputs("<td>", to);
    if (isnan(figure))
        fputs("–", to);
    else
        fprintf(to, format, figure);
    fputs("</td>", to);
}
