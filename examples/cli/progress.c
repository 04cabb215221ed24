#include "progress.h"

#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH         24
#define SECONDS_ON_SCREEN 0.1
#define SECONDS_IN_LOGS   10.0

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

static void show_bar(size_t done, size_t rows) {
    char bar[BAR_WIDTH + 1];
    const size_t full = (size_t)((double)done / (double)rows * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', full);
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "[%s] ", bar);
}

void progress_show(progress *of, size_t done, double loss) {
    const double now = clock_seconds();
    if (now - of->shown < (of->terminal ? SECONDS_ON_SCREEN : SECONDS_IN_LOGS))
        return;
    of->shown = now;
    const double rate = rows_per_second(of, done, now);
    progress_clear(of);
    fprintf(stderr, "epoch %" PRIu64 "/%" PRIu64 " ", of->epoch, of->epochs);
    if (of->terminal)
        show_bar(done, of->rows);
    fprintf(stderr, "%3.0f %%  %.0f rows/s  loss %.4f  %.0f s left%s",
            100.0 * (double)done / (double)of->rows, rate, loss, seconds_left(of, done, rate),
            of->terminal ? "" : "\n");
    fflush(stderr);
}

void progress_end(const progress *of, size_t done, double loss) {
    const double now = clock_seconds();
    progress_clear(of);
    fprintf(stderr,
            "epoch %" PRIu64 "/%" PRIu64 " done: %zu rows in %.1f s, %.0f rows/s, loss %.4f\n",
            of->epoch, of->epochs, done, now - of->started, rows_per_second(of, done, now), loss);
}

void progress_clear(const progress *of) {
    if (of->terminal)
        fprintf(stderr, "\r\033[K");
}
