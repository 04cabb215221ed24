/* Serving: rows in blocks through the plan, in a workspace. */
#include "model.h"
#include "portability.h"

#include <string.h>

enum {
    TILE_ROWS = 24, /* fill the tiles of a product, whatever the kernels */
    MEBIBYTE = 1 << 20
};

struct home_workspace {
    size_t row_width;   /* of the plan it was made for, and */
    size_t rows;        /* the rows of that model's blocks */
    float *activations; /* the buffers of a plan for block_rows() rows */
};

static size_t weight_bytes(const home_model *model) {
    return model->plan.packed_size * sizeof(float);
}

/* Rows that serving takes through the whole plan at once: as many as keep the activations in a second-level cache, but
 * enough that reading the weights, from slower memory the more there are, is spread over them. */
static size_t block_rows(const home_model *model) {
    enum { MOST = 144, CACHE = 3 << 19, WEIGHT_BYTES_PER_ROW = 1 << 19 };
    if (model->block_rows)
        return model->block_rows;
    const size_t fit = CACHE / (model->plan.row_width * sizeof(float));
    const size_t spread = weight_bytes(model) / WEIGHT_BYTES_PER_ROW;
    const size_t rows = (fit > spread ? fit : spread) / TILE_ROWS * TILE_ROWS;
    return rows < TILE_ROWS ? TILE_ROWS : rows > MOST ? MOST : rows;
}

/* The workspace itself, then the activations, each aligned; and slack for a start that is not. */
size_t home_workspace_size(const home_model *model) {
    if (!model)
        return 0;
    return home_align(sizeof(home_workspace)) + model->plan.row_width * block_rows(model) * sizeof(float) +
           HOME_ALIGNMENT - 1;
}

home_status home_workspace_init(const home_model *model, void *memory, size_t size,
                                home_workspace **workspace, home_error *error) {
    if (!model || !memory || !workspace)
        return home_fail_null(error, !model ? "model" : !memory ? "memory" : "workspace");
    if (size < home_workspace_size(model))
        return home_fail(error, HOME_E_ARGUMENT, "size is %zu, expected at least %zu", size,
                         home_workspace_size(model));
    const size_t past = (size_t)((uintptr_t)memory % HOME_ALIGNMENT);
    char *start = (char *)memory + (past ? HOME_ALIGNMENT - past : 0);
    home_workspace *made = (home_workspace *)(void *)start;
    made->row_width = model->plan.row_width;
    made->rows = block_rows(model);
    made->activations = (float *)(void *)(start + home_align(sizeof *made));
    *workspace = made;
    return HOME_OK;
}

/* --------------------------------------------------------------------------- workspaces at rest */

static home_workspace *borrow_workspace(const home_model *model, home_error *error) {
    for (size_t i = 0; i < HOME_POOL_SLOTS; i++) {
        home_workspace *idle = atomic_exchange_explicit(&model->pool->slots[i], NULL, memory_order_acquire);
        if (idle)
            return idle;
    }
    const size_t size = home_workspace_size(model);
    void *memory = home_allocate(&model->allocator, size, 1);
    home_workspace *made = NULL;
    if (!memory || home_workspace_init(model, memory, size, &made, error) != HOME_OK)
        home_fail_memory(error);
    return made; /* at the start of its memory, which is aligned */
}

static void return_workspace(const home_model *model, home_workspace *workspace) {
    for (size_t i = 0; i < HOME_POOL_SLOTS; i++) {
        home_workspace *empty = NULL;
        if (atomic_compare_exchange_strong_explicit(&model->pool->slots[i], &empty, workspace,
                                                    memory_order_release, memory_order_relaxed))
            return;
    }
    home_deallocate(&model->allocator, workspace);
}

void home_pool_free(const home_model *model) {
    for (size_t i = 0; model->pool && i < HOME_POOL_SLOTS; i++)
        home_deallocate(&model->allocator, atomic_load(&model->pool->slots[i]));
    home_deallocate(&model->allocator, model->pool);
}

/* ----------------------------------------------------------------------------------------- predict */

/* p = sigmoid(logit) of a binary task, times those of the tasks it is given; the logit itself of a squared
 * error. */
static float predict_task(const home_settings *settings, size_t task, const float *logits,
                          const float *sigmoids) {
    if (settings->config.tasks[task].loss == HOME_LOSS_SQUARED)
        return logits[task];
    float p = sigmoids[task];
    for (size_t given = settings->task_given[task]; given != HOME_NONE; given = settings->task_given[given])
        p *= sigmoids[given];
    return p;
}

/* predictions: [rows, tasks] */
void home_write_predictions(const home_run *run, float *predictions, size_t stride) {
    const home_model *model = run->model;
    const home_view logits = model->plan.logits;
    const home_view sigmoids = model->plan.sigmoids;
    for (size_t r = 0; r < run->rows; r++) {
        float *s = home_view_row(run, sigmoids, r);
        model->kernels->activate(HOME_ACT_SIGMOID, 1, logits.width, home_view_row(run, logits, r), s);
        for (size_t t = 0; t < logits.width; t++)
            predictions[r * stride + t] = predict_task(&model->settings, t, home_view_row(run, logits, r), s);
    }
}

/* Rows to predict, in blocks that threads take one after the other. */
typedef struct request {
    const home_model *model;
    const home_batch *batch;
    float *predictions;
    size_t stride;
    size_t block; /* rows of a block */
    size_t block_count;
    atomic_size_t next;         /* block */
    const home_parallel *inner; /* to spread the work inside a block */
    home_workspace *workspace;  /* for the first thread that comes; others borrow theirs */
    atomic_flag taken;
} request;

static void predict_block(const request *q, size_t first, const home_workspace *workspace) {
    const size_t left = q->batch->rows - first;
    const home_run run = {
        .model = q->model,
        .parallel = q->inner,
        .rows = left < q->block ? left : q->block,
        .row_capacity = workspace->rows,
        .activations = workspace->activations,
    };
    home_fill_input(&run, q->batch, first);
    home_run_forward(&run);
    home_write_predictions(&run, q->predictions + first * q->stride, q->stride);
}

/* What each thread does. One that finds no workspace leaves the blocks to the others: the first always has one, and goes
 * on until no block is left. */
static void predict_blocks(void *context, size_t first, size_t last) {
    request *q = context;
    (void)first;
    (void)last;
    if (atomic_load(&q->next) >= q->block_count)
        return;
    const bool mine = !atomic_flag_test_and_set(&q->taken);
    home_workspace *workspace = mine ? q->workspace : borrow_workspace(q->model, NULL);
    if (!workspace)
        return;
    for (size_t block; (block = atomic_fetch_add(&q->next, 1)) < q->block_count;)
        predict_block(q, block * q->block, workspace);
    if (!mine)
        return_workspace(q->model, workspace);
}

/* Of a small model, a step is over before another thread has fetched what it needs to join in. */
static bool is_small(const home_model *model) {
    return weight_bytes(model) < MEBIBYTE;
}

/* How many threads get rows of their own: all, where each gets enough to be worth reading the weights for, which are the
 * farther away the more there are. Else none, and the threads share the work inside a block; or of a small model, those
 * that get enough. */
static size_t threads_apart(const home_model *model, const home_parallel *parallel, size_t rows) {
    enum { LEAST = 8 };
    if (!parallel)
        return 0;
    const size_t wanted = weight_bytes(model) / MEBIBYTE / 2;
    const size_t each = wanted < LEAST ? LEAST : wanted < TILE_ROWS ? wanted : TILE_ROWS;
    if (rows / each >= parallel->threads)
        return parallel->threads;
    return is_small(model) ? rows / each : 0;
}

/* Blocks of equal size: as many as the workspace asks for, and as many for one thread as for another. */
static void predict_rows(request *q) {
    enum { FEW_BLOCKS = 4, FINE_ROWS = 4 };
    const home_parallel *parallel = home_model_parallel(q->model);
    const size_t rows = q->batch->rows;
    const size_t most = block_rows(q->model);
    const size_t apart = threads_apart(q->model, parallel, rows);
    const size_t threads = apart > 0 ? apart : 1;
    const size_t rounds = home_divide_up(home_divide_up(rows, most), threads);
    const size_t unit = threads > 1 && rounds <= FEW_BLOCKS ? FINE_ROWS : TILE_ROWS;
    const size_t block = home_divide_up(home_divide_up(rows, rounds * threads), unit) * unit;
    q->block = block < most ? block : most; /* an image may ask for fewer than `unit` */
    q->block_count = home_divide_up(rows, q->block);
    q->inner = apart > 0 || is_small(q->model) ? NULL : parallel;
    home_parallel_ranges(parallel, threads, 1, predict_blocks, q);
}

static home_status check_predict(const home_model *model, const home_batch *given, const float *predictions,
                                 size_t stride, const home_workspace *workspace, home_batch *batch,
                                 home_error *error) {
    const home_status status = home_check_batch(model, given, batch, error);
    if (status != HOME_OK || batch->rows == 0)
        return status;
    const size_t tasks = model->settings.config.task_count;
    if (!predictions)
        return home_fail_null(error, "predictions");
    if (stride < tasks)
        return home_fail(error, HOME_E_ARGUMENT, "prediction_stride is %zu, expected 0 or at least %zu",
                         stride, tasks);
    if (!workspace && model->in_image)
        return home_fail(error, HOME_E_ARGUMENT,
                         "workspace is NULL, expected one: a model opened from an image has none to lend");
    if (workspace && (workspace->row_width != model->plan.row_width || workspace->rows != block_rows(model)))
        return home_fail(error, HOME_E_ARGUMENT, "workspace was made for another model");
    return home_check_ids(model, batch, error);
}

home_status home_model_predict(const home_model *model, const home_batch *given, float *predictions,
                               size_t prediction_stride, home_workspace *workspace, home_error *error) {
    if (!model)
        return home_fail_null(error, "model");
    const size_t stride = home_stride_or(prediction_stride, model->settings.config.task_count);
    home_batch batch;
    const home_status status = check_predict(model, given, predictions, stride, workspace, &batch, error);
    if (status != HOME_OK || batch.rows == 0)
        return status;
    home_workspace *used = workspace ? workspace : borrow_workspace(model, error);
    if (!used)
        return HOME_E_MEMORY;
    request q = {.model = model,
                 .batch = &batch,
                 .predictions = predictions,
                 .stride = stride,
                 .workspace = used,
                 .taken = ATOMIC_FLAG_INIT};
    const home_float_mode host = home_begin_computing();
    predict_rows(&q);
    home_end_computing(host);
    if (!workspace)
        return_workspace(model, used);
    return HOME_OK;
}

home_status home_observe(const home_model *model, const home_batch *batch, const home_observer *observer,
                         home_error *error) {
    home_workspace *workspace = borrow_workspace(model, error);
    if (!workspace)
        return HOME_E_MEMORY;
    const size_t block = observer->rows < workspace->rows ? observer->rows : workspace->rows;
    const home_float_mode host = home_begin_computing();
    for (size_t first = 0; first < batch->rows; first += block) {
        const size_t left = batch->rows - first;
        const home_run run = {
            .model = model,
            .parallel = home_model_parallel(model),
            .rows = left < block ? left : block,
            .row_capacity = workspace->rows,
            .activations = workspace->activations,
            .observer = observer,
        };
        home_fill_input(&run, batch, first);
        home_run_forward(&run);
    }
    home_end_computing(host);
    return_workspace(model, workspace);
    return HOME_OK;
}
