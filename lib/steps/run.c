/* Runs of steps, and how their work is cut into pieces for threads. */
#include "run.h"

enum {
    COLUMNS = 16, /* at which reductions over rows are cut: a cache line */
    /* What is worth another thread, which takes a few microseconds to join in: */
    MIN_WORK = 1 << 18,  /* multiply-adds */
    MIN_VALUES = 1 << 13 /* values of a step */
};

int32_t homerun_forward(const homerun *given) {
    int32_t stopped = 0;
    homerun run = *given;
    run.stopped = &stopped;
    for (size_t s = 0; s < run.step_count && !stopped; s++) {
        run.steps[s].kind->forward(&run, &run.steps[s]);
        if (run.observer && !stopped)
            run.observer->after(run.observer->context, &run, s);
    }
    return stopped;
}

#ifndef HOME_SERVE_ONLY
/* Where the plan found that no step writes all of a gradient before others add to it or read it. */
static void zero_gradients(const homerun *run) {
    for (size_t b = 0; b < run->buffer_count; b++) {
        const homebuffer *buffer = &run->buffers[b];
        const size_t count = buffer->zero_gradient ? buffer->stride * run->rows : 0;
        float *gradient = run->gradients + buffer->gradient_start * run->row_capacity;
        for (size_t i = 0; i < count; i++)
            gradient[i] = 0;
    }
}

int32_t homerun_backward(const homerun *given) {
    int32_t stopped = 0;
    homerun run = *given;
    run.stopped = &stopped;
    zero_gradients(&run);
    for (size_t s = run.step_count; s-- > 0 && !stopped;)
        run.steps[s].kind->backward(&run, &run.steps[s]);
    return stopped;
}
#endif

/* Work inside a step; once the host has stopped the run, nothing. */
static void spread(const homerun *run, size_t count, size_t grain, homeparallel_function function,
                   void *context) {
    if (run->stopped && *run->stopped)
        return;
    const int32_t code = homeparallel_ranges(run->parallel, count, grain, function, context);
    if (run->stopped)
        *run->stopped = code;
}

/* ------------------------------------------------------------------------------------- products */

/* A product cut into pieces of `rows` x `columns` of its output. */
typedef struct grid {
    const homegemm *product;
    const homekernels *kernels;
    size_t rows;
    size_t columns;
    size_t across; /* pieces side by side */
} grid;

static void multiply_pieces(void *context, size_t first, size_t end) {
    const grid *g = context;
    for (size_t piece = first; piece < end; piece++) {
        const size_t row = piece / g->across * g->rows;
        const size_t column = piece % g->across * g->columns;
        homegemm part = *g->product;
        part.m = part.m - row < g->rows ? part.m - row : g->rows;
        part.n = part.n - column < g->columns ? part.n - column : g->columns;
        part.a += row * part.a_row;
        part.c += row * part.c_row + column;
        part.panels += column * (part.k + 1);
        g->kernels->gemm(&part);
    }
}

/* Some pieces for every thread, so that one that comes late takes fewer and the others wait little:
 * by rows as long as these fill the tiles, then by panels. 4 threads want 16 pieces; of 96 rows and
 * two panels they get the 8 there are:
 *
 *                panel 0   panel 1
 *               +---------+---------+
 *     24 rows   | piece 0 | piece 1 |
 *               +---------+---------+
 *     24 rows   | piece 2 | piece 3 |
 *               +---------+---------+
 *       ..      |   ..    |   ..    |
 */
void homerun_product(const homerun *run, const homegemm *product) {
    const homekernels *kernels = run->kernels;
    const home_parallel *parallel = run->parallel;
    if (!parallel || product->m * product->n < MIN_WORK / (product->k + 1)) {
        kernels->gemm(product);
        return;
    }
    const size_t wanted = 4 * parallel->threads;
    const size_t row_pieces = homesize_divide_up(product->m, HOMEKERNELS_TILE_ROWS);
    const size_t down = row_pieces < wanted ? row_pieces : wanted;
    const size_t panels = homesize_divide_up(product->n, kernels->panel);
    const size_t sides = homesize_divide_up(wanted, down);
    grid g = {.product = product,
              .kernels = kernels,
              .rows = homesize_divide_up(row_pieces, down) * HOMEKERNELS_TILE_ROWS,
              .columns =
                  homesize_divide_up(panels, sides < panels ? sides : panels) * kernels->panel};
    g.across = homesize_divide_up(product->n, g.columns);
    spread(run, g.across * homesize_divide_up(product->m, g.rows), 1, multiply_pieces, &g);
}

/* ---------------------------------------------------------------------------------------- steps */

/* A step's function and what it works on. */
typedef struct call {
    const homerun *run;
    const homestep *step;
    homerun_function function;
} call;

static void call_range(void *context, size_t first, size_t end) {
    const call *c = context;
    c->function(c->run, c->step, first, end);
}

void homerun_by_rows(const homerun *run, const homestep *step, homerun_function function) {
    call c = {run, step, function};
    const size_t grain = homesize_divide_up(MIN_VALUES, step->out.width);
    spread(run, run->rows, grain, call_range, &c);
}

#ifndef HOME_SERVE_ONLY
/* A range of columns for each thread, of whole cache lines or panels, for neighbours to share
 * none. */
static size_t columns_each(const homerun *run, size_t width, size_t unit) {
    const size_t threads = run->parallel ? run->parallel->threads : 1;
    return homesize_divide_up(homesize_divide_up(width, unit), threads) * unit;
}

void homerun_by_columns(const homerun *run, const homestep *step, homerun_function function) {
    call c = {run, step, function};
    const size_t width = step->out.width;
    const bool little = width * run->rows < MIN_VALUES;
    const size_t grain = little ? width : columns_each(run, width, COLUMNS);
    spread(run, width, grain, call_range, &c);
}

bool homerun_by_panels(const homerun *run, const homestep *step, size_t width,
                       homerun_function function) {
    call c = {run, step, function};
    const size_t panel = run->kernels->panel;
    const bool little = width * run->rows < MIN_WORK / step->out.width;
    if (!little && run->parallel && homesize_divide_up(width, panel) < run->parallel->threads)
        return false;
    const size_t grain = little ? width : columns_each(run, width, panel);
    spread(run, width, grain, call_range, &c);
    return true;
}
#endif
