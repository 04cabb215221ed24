#include "progress.h"

#include "clock.h"
#include "path.h"
#include "print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_MAX           24
#define BAR_MIN           4
#define USUAL_WIDTH       80
#define SECONDS_ON_SCREEN 0.1
#define SECONDS_IN_LOGS   10.0
#define SECONDS_UNSEEN    0.3 /* of reading a file */

/* ----------------------------------------------------------------------------------------- line */

/* A line on the terminal: what is done, a bar, a share in percent and figures, the later the more
 * important. */
typedef struct line {
    char subject[160];
    double share; /* from 0 to 1; negative: not known */
    char figures[3][64];
} line;

/* The columns to write in. The last one stays free: some terminals go to the next line there. Asked
 * anew for every line, because windows change their size. */
static size_t terminal_width(void) {
    size_t width = USUAL_WIDTH;
#ifdef TIOCGWINSZ
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        width = size.ws_col;
#endif
    return width - 1;
}

static bool continues_character(char byte) {
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* At most `room` bytes of a text, and whole characters of UTF-8. No character takes more columns
 * than bytes. */
static int fitting(const char *text, size_t room) {
    size_t length = strlen(text);
    if (length > room) {
        length = room;
        while (length > 0 && continues_character(text[length]))
            length--;
    }
    return (int)length;
}

static void draw_bar(double share, size_t width) {
    char bar[BAR_MAX + 1];
    const size_t full = (size_t)(share * (double)width);
    memset(bar, '.', width);
    memset(bar, '#', full < width ? full : width);
    bar[width] = 0;
    fprintf(stderr, " [%s]", bar);
}

/* Draws what fits: figures are left out from the first on, and the bar takes what remains. */
static void draw(const line *of) {
    enum { FIGURES = sizeof of->figures / sizeof of->figures[0], PERCENT = 6, BRACKETS = 3 };
    size_t left = terminal_width();
    const size_t percent = of->share >= 0 && left >= PERCENT ? PERCENT : 0;
    left -= percent;
    const int subject = fitting(of->subject, left);
    left -= (size_t)subject;
    size_t first = FIGURES;
    while (first > 0 && strlen(of->figures[first - 1]) <= left)
        left -= strlen(of->figures[--first]);
    fprintf(stderr, "\r\033[K%.*s", subject, of->subject);
    if (percent && left >= BAR_MIN + BRACKETS)
        draw_bar(of->share, left - BRACKETS < BAR_MAX ? left - BRACKETS : BAR_MAX);
    if (percent)
        fprintf(stderr, " %3.0f %%", 100 * of->share);
    for (; first < FIGURES; first++)
        fputs(of->figures[first], stderr);
    fflush(stderr);
}

static void clear(void) {
    fputs("\r\033[K", stderr);
    fflush(stderr);
}

/* ---------------------------------------------------------------------------------------- epoch */

progress progress_start(uint64_t epoch, uint64_t epochs, size_t rows) {
    const double now = clock_seconds();
    return (progress){.terminal = isatty(STDERR_FILENO) != 0,
                      .epoch = epoch,
                      .epochs = epochs,
                      .rows = rows,
                      .started = now,
                      .shown = now};
}

static double rows_per_second(const progress *of, size_t done, double now) {
    return (double)done / (now - of->started + 1e-9);
}

/* For all epochs; training may stop earlier. */
static double seconds_left(const progress *of, size_t done, double rate) {
    const double rows =
        (double)(of->rows - done) + (double)(of->epochs - of->epoch) * (double)of->rows;
    return rows / (rate + 1e-9);
}

void progress_show(progress *of, size_t done, double loss) {
    const double now = clock_seconds();
    if (now - of->shown < (of->terminal ? SECONDS_ON_SCREEN : SECONDS_IN_LOGS))
        return;
    of->shown = now;
    const double rate = rows_per_second(of, done, now);
    line shown = {.share = (double)done / (double)of->rows};
    snprintf(shown.subject, sizeof shown.subject, "epoch %" PRIu64 "/%" PRIu64, of->epoch,
             of->epochs);
    snprintf(shown.figures[0], sizeof shown.figures[0], "  %.0f rows/s", rate);
    snprintf(shown.figures[1], sizeof shown.figures[1], "  loss %.4f", loss);
    snprintf(shown.figures[2], sizeof shown.figures[2], "  %.0f s left",
             seconds_left(of, done, rate));
    if (of->terminal)
        draw(&shown);
    else
        fprintf(stderr, "%s %3.0f %%%s%s%s\n", shown.subject, 100 * shown.share, shown.figures[0],
                shown.figures[1], shown.figures[2]);
}

void progress_end(const progress *of, size_t done, double loss) {
    static double ended = -1; /* when the last such line was written */
    const double now = clock_seconds();
    progress_clear(of);
    if (of->terminal && of->epoch < of->epochs && ended >= 0 && now - ended < 1)
        return;
    ended = now;
    line whole = {.share = -1};
    snprintf(whole.subject, sizeof whole.subject, "epoch %" PRIu64 "/%" PRIu64 " done", of->epoch,
             of->epochs);
    snprintf(whole.figures[1], sizeof whole.figures[1], ": %zu rows in %.1f s, %.0f rows/s", done,
             now - of->started, rows_per_second(of, done, now));
    snprintf(whole.figures[2], sizeof whole.figures[2], ", loss %.4f", loss);
    if (of->terminal)
        draw(&whole);
    else
        fprintf(stderr, "%s%s%s", whole.subject, whole.figures[1], whole.figures[2]);
    fputc('\n', stderr);
}

void progress_clear(const progress *of) {
    if (of->terminal)
        clear();
}

/* -------------------------------------------------------------------------------------- reading */

reading reading_start(const char *path, uint64_t size) {
    return (reading){.terminal = isatty(STDERR_FILENO) != 0,
                     .path = path,
                     .size = size,
                     .started = clock_seconds()};
}

static void write_subject(const reading *of, line *to) {
    snprintf(to->subject, sizeof to->subject, "reading %s", path_name(of->path));
    print_mask(to->subject);
}

static void write_figures(const reading *of, uint64_t done, double seconds, line *to) {
    const double share = to->share;
    if (share < 0)
        snprintf(to->figures[1], sizeof to->figures[1], "  %.1f MB", (double)done / 1e6);
    else
        snprintf(to->figures[1], sizeof to->figures[1], "  %.1f of %.1f MB", (double)done / 1e6,
                 (double)of->size / 1e6);
    if (share > 0)
        snprintf(to->figures[2], sizeof to->figures[2], "  %.0f s left",
                 seconds * (1 - share) / share);
}

static bool is_due(const reading *of, double now) {
    if (!of->terminal && !of->in_logs)
        return false;
    if (of->shown == 0)
        return now - of->started >= SECONDS_UNSEEN;
    return now - of->shown >= (of->terminal ? SECONDS_ON_SCREEN : SECONDS_IN_LOGS);
}

void reading_show(reading *of, uint64_t done) {
    const double now = clock_seconds();
    if (!of->path || !is_due(of, now))
        return;
    of->shown = now;
    line shown = {.share = of->size == 0      ? -1
                           : done >= of->size ? 1
                                              : (double)done / (double)of->size};
    write_subject(of, &shown);
    write_figures(of, done, now - of->started, &shown);
    if (of->terminal)
        draw(&shown);
    else
        fprintf(stderr, "%s:%s%s\n", shown.subject, shown.figures[1] + 1, shown.figures[2]);
}

void reading_end(reading *of) {
    if (of->terminal && of->shown > 0)
        clear();
    of->path = NULL;
}
