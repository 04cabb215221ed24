/* How work is cut into pieces for threads. Every piece computes what it would compute alone, so cuts may
 * follow the number of threads. */
#include "abi.h"
#include "model.h"

enum {
    ROW_UNIT = 24, /* rows of a piece of a product: a multiple of all kernels' tiles */
    COLUMNS = 16,  /* at which reductions over rows are cut: a cache line */
    /* What is worth another thread, which takes a few microseconds to join in: */
    LEAST_WORK = 1 << 18,  /* multiply-adds */
    LEAST_VALUES = 1 << 13 /* values of a step */
};

const home_parallel *home_model_parallel(const home_model *model) {
    return model->parallel.run ? &model->parallel : NULL;
}

/* ---------------------------------------------------------------------------------------- products */

/* A product cut into pieces of `rows` x `columns` of its output. */
typedef struct grid {
    const home_gemm *product;
    const home_kernels *kernels;
    size_t rows;
    size_t columns;
    size_t across; /* pieces side by side */
} grid;

static void multiply_pieces(void *context, size_t first, size_t last) {
    const grid *g = context;
    for (size_t piece = first; piece < last; piece++) {
        const size_t row = piece / g->across * g->rows;
        const size_t column = piece % g->across * g->columns;
        home_gemm part = *g->product;
        part.m = part.m - row < g->rows ? part.m - row : g->rows;
        part.n = part.n - column < g->columns ? part.n - column : g->columns;
        part.a += row * part.a_row;
        part.c += row * part.c_row + column;
        part.panels += column * (part.k + 1);
        g->kernels->gemm(&part);
    }
}

/* Some pieces for every thread: by rows as long as these fill the tiles, then by panels. */
void home_run_product(const home_run *run, const home_gemm *product) {
    const home_kernels *kernels = run->model->kernels;
    const home_parallel *parallel = run->parallel;
    if (!parallel || product->m * product->n < LEAST_WORK / (product->k + 1)) {
        kernels->gemm(product);
        return;
    }
    const size_t wanted = 4 * parallel->threads;
    const size_t row_pieces = home_divide_up(product->m, ROW_UNIT);
    const size_t down = row_pieces < wanted ? row_pieces : wanted;
    const size_t panels = home_divide_up(product->n, kernels->panel);
    const size_t sides = home_divide_up(wanted, down);
    grid g = {product, kernels, home_divide_up(row_pieces, down) * ROW_UNIT, 0, 0};
    g.columns = home_divide_up(panels, sides < panels ? sides : panels) * kernels->panel;
    g.across = home_divide_up(product->n, g.columns);
    home_parallel_ranges(parallel, g.across * home_divide_up(product->m, g.rows), 1, multiply_pieces, &g);
}

/* ------------------------------------------------------------------------------------------- steps */

/* A step's function and what it works on. */
typedef struct call {
    const home_run *run;
    const home_step *step;
    home_range_function function;
} call;

static void call_range(void *context, size_t first, size_t last) {
    const call *c = context;
    c->function(c->run, c->step, first, last);
}

void home_run_rows(const home_run *run, const home_step *step, home_range_function function) {
    call c = {run, step, function};
    const size_t grain = home_divide_up(LEAST_VALUES, step->out.width);
    home_parallel_ranges(run->parallel, run->rows, grain, call_range, &c);
}

#ifndef HOME_SERVE_ONLY
/* A range of columns for each thread, of whole cache lines or panels, for neighbours to share none. */
static size_t columns_each(const home_run *run, size_t width, size_t unit) {
    const size_t threads = run->parallel ? run->parallel->threads : 1;
    return home_divide_up(home_divide_up(width, unit), threads) * unit;
}

void home_run_columns(const home_run *run, const home_step *step, home_range_function function) {
    call c = {run, step, function};
    const size_t width = step->out.width;
    const bool little = width * run->rows < LEAST_VALUES;
    home_parallel_ranges(run->parallel, width, little ? width : columns_each(run, width, COLUMNS), call_range,
                         &c);
}

bool home_run_panels(const home_run *run, const home_step *step, size_t width, home_range_function function) {
    call c = {run, step, function};
    const size_t panel = run->model->kernels->panel;
    const bool little = width * run->rows < LEAST_WORK / step->out.width;
    if (!little && run->parallel && home_divide_up(width, panel) < run->parallel->threads)
        return false;
    home_parallel_ranges(run->parallel, width, little ? width : columns_each(run, width, panel), call_range,
                         &c);
    return true;
}

/* ---------------------------------------------------------------------------------------- settings */

/* Takes up new threads; the old pool goes. */
static void use(home_model *model, const home_parallel *parallel, home_threads *threads) {
    home_threads_destroy(model->threads);
    model->threads = threads;
    model->parallel = *parallel;
}

home_status home_model_set_parallel(home_model *model, const home_parallel *parallel, home_error *error) {
    if (!model)
        return home_fail_null(error, "model");
    home_status status = home_check_not_image(model, error);
    if (status != HOME_OK)
        return status;
    home_parallel read = {0};
    if (parallel) {
        status = home_read_struct(parallel, &read, sizeof read, "parallel", HOME_E_ARGUMENT, error);
        if (status != HOME_OK)
            return status;
        if (!read.run)
            return home_fail_null(error, "parallel.run");
        if (read.threads == 0 || read.threads > 65536)
            return home_fail(error, HOME_E_ARGUMENT, "parallel.threads is %zu, expected 1 to 65536",
                             read.threads);
    }
    use(model, &read, NULL);
    return HOME_OK;
}

home_status home_model_set_threads(home_model *model, size_t threads, home_error *error) {
    if (!model)
        return home_fail_null(error, "model");
    if (threads == 0 || threads > 1024)
        return home_fail(error, HOME_E_ARGUMENT, "threads is %zu, expected 1 to 1024", threads);
    const home_status status = home_check_not_image(model, error);
    if (status != HOME_OK)
        return status;
    home_parallel parallel = {0};
    home_threads *pool = NULL;
    if (threads > 1) {
        pool = home_threads_create(&model->allocator, threads);
        if (!pool)
            return home_fail(error, HOME_E_MEMORY, "%zu threads cannot be had", threads);
        parallel = (home_parallel){sizeof parallel, pool, threads, home_threads_run};
    }
    use(model, &parallel, pool);
    return HOME_OK;
}

#endif
