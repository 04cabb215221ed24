/* Serving: rows in blocks through the plan, in a workspace. */
#include "serve.h"

#include "../model/input.h"
#include "../model/output.h"

enum { MEBIBYTE = 1 << 20 };

static size_t weight_bytes(const home_model *model) {
    return model->plan.packed_size * sizeof(float);
}

/* Rows that serving takes through the whole plan at once: as many as keep the activations in a
 * second-level cache, but enough that reading the weights, from slower memory the more there are,
 * is spread over them: 1.5 MiB of the cache, and a row for every 512 KiB of weights. */
static size_t block_rows(const home_model *model) {
    enum { MAX_ROWS = 144, CACHE = 3 << 19, WEIGHT_BYTES_PER_ROW = 1 << 19 };
    if (model->block_rows)
        return model->block_rows;
    const size_t fit = CACHE / (model->plan.row_width * sizeof(float));
    const size_t spread = weight_bytes(model) / WEIGHT_BYTES_PER_ROW;
    const size_t rows =
        (fit > spread ? fit : spread) / HOMEKERNELS_TILE_ROWS * HOMEKERNELS_TILE_ROWS;
    return rows < HOMEKERNELS_TILE_ROWS ? HOMEKERNELS_TILE_ROWS : rows > MAX_ROWS ? MAX_ROWS : rows;
}

/* The workspace itself, then the activations, each aligned; and slack for a start that is not. */
size_t home_workspace_size(const home_model *model) {
    if (!model)
        return 0;
    return homesize_align(sizeof(home_workspace)) +
           model->plan.row_width * block_rows(model) * sizeof(float) + HOME_ALIGNMENT - 1;
}

home_status home_workspace_init(const home_model *model, void *memory, size_t size,
                                home_workspace **workspace, home_error *error) {
    if (!model || !memory || !workspace)
        return homefail_null(error, !model ? "model" : !memory ? "memory" : "workspace");
    if (size < home_workspace_size(model))
        return homefail(error, HOME_E_ARGUMENT, "size is %zu, expected at least %zu", size,
                        home_workspace_size(model));
    const size_t past = (size_t)((uintptr_t)memory % HOME_ALIGNMENT);
    char *start = (char *)memory + (past ? HOME_ALIGNMENT - past : 0);
    home_workspace *made = (home_workspace *)(void *)start;
    made->row_width = model->plan.row_width;
    made->rows = block_rows(model);
    made->activations = (float *)(void *)(start + homesize_align(sizeof *made));
    *workspace = made;
    return HOME_OK;
}

int32_t home_workspace_fits(const home_workspace *workspace, const home_model *model) {
    return workspace && model && workspace->row_width == model->plan.row_width &&
           workspace->rows == block_rows(model);
}

size_t home_model_block_rows(const home_model *model) {
    return model ? block_rows(model) : 0;
}

/* -------------------------------------------------------------------------------------- predict */

/* Two ways to spread rows over threads:
 *
 *     many rows: blocks of rows apart               few rows, large weights: inside a block
 *
 *     thread 0  | block 0 | block 3 | ..            one block, all steps in turn;
 *     thread 1  | block 1 | block 4 |               each step's products and rows are cut:
 *     thread 2  | block 2 | ..                        step 0  | thread 0 | thread 1 | thread 2 |
 *                                                     step 1  | thread 0 | thread 1 | thread 2 |
 *     each block goes through all steps
 *     in a workspace of its own, and no thread      threads meet after every step
 *     waits for another until the end
 *
 * A row's predictions are the same bytes either way, and in any block. */

/* Where the results go: [rows, tasks] each, or NULL. */
typedef struct results {
    float *predictions;
    size_t prediction_stride;
    float *logits;
    size_t logit_stride;
} results;

/* Rows to predict, in blocks that threads take one after the other. */
typedef struct request {
    const home_model *model;
    const homebatch *batch;
    const results *out;
    size_t block; /* rows of a block */
    size_t block_count;
    atomic_size_t next;         /* block */
    const home_parallel *inner; /* to spread the work inside a block */
    home_workspace *workspace;  /* for the first thread that comes; others borrow theirs */
    atomic_flag taken;
    int32_t stopped; /* by `inner`, with this number */
} request;

/* Returns what the host stopped it with, or 0. */
static int32_t predict_block(const request *q, size_t first, const home_workspace *workspace) {
    const results *out = q->out;
    const size_t left = q->batch->rows - first;
    homerun run = homemodel_run(q->model);
    run.parallel = q->inner;
    run.rows = left < q->block ? left : q->block;
    run.row_capacity = workspace->rows;
    run.activations = workspace->activations;
    homeinput_fill(q->model, &run, q->batch, first);
    const int32_t stopped = homerun_forward(&run);
    if (out->logits && !stopped)
        homeoutput_write_logits(q->model, &run, out->logits + first * out->logit_stride,
                                out->logit_stride);
    if (out->predictions && !stopped)
        homeoutput_write(q->model, &run, out->predictions + first * out->prediction_stride,
                         out->prediction_stride);
    return stopped;
}

/* What each thread does. One that finds no workspace leaves the blocks to the others: the first
 * always has one, and goes on until no block is left. */
static void predict_blocks(void *context, size_t first, size_t end) {
    request *q = context;
    (void)first;
    (void)end;
    if (atomic_load(&q->next) >= q->block_count)
        return;
    const bool mine = !atomic_flag_test_and_set(&q->taken);
    home_workspace *workspace = mine ? q->workspace : q->model->pool->borrow(q->model, NULL);
    if (!workspace)
        return;
    /* Only a request of one thread at a time has an inner home_parallel, which may stop it. */
    for (size_t block; (block = atomic_fetch_add(&q->next, 1)) < q->block_count && !q->stopped;) {
        const int32_t stopped = predict_block(q, block * q->block, workspace);
        if (stopped)
            q->stopped = stopped;
    }
    if (!mine)
        q->model->pool->give_back(q->model, workspace);
}

/* Of a small model, a step is over before another thread has fetched what it needs to join in. */
static bool is_small(const home_model *model) {
    return weight_bytes(model) < MEBIBYTE;
}

/* How many threads get rows of their own. All, if each gets enough rows to be worth reading the
 * weights for, which are the farther away the more there are. Otherwise, in a small model, as many
 * as get enough; in a large one none, and the threads share the work inside each block. */
static size_t threads_apart(const home_model *model, const home_parallel *parallel, size_t rows) {
    enum { MIN_ROWS = 8 };
    if (!parallel)
        return 0;
    const size_t wanted = weight_bytes(model) / MEBIBYTE / 2;
    const size_t each = wanted < MIN_ROWS                ? MIN_ROWS
                        : wanted < HOMEKERNELS_TILE_ROWS ? wanted
                                                         : HOMEKERNELS_TILE_ROWS;
    if (rows / each >= parallel->threads)
        return parallel->threads;
    return is_small(model) ? rows / each : 0;
}

/* Blocks of equal size: as many as the workspace asks for, and as many for one thread as for
 * another. With few blocks a thread, rounding up to whole tiles would leave some threads idle, so
 * blocks are then cut finer. Returns what the host stopped it with, or 0. */
static int32_t predict_rows(request *q) {
    enum { FEW_BLOCKS = 4, FINE_ROWS = 4 };
    const home_parallel *parallel = homemodel_parallel(q->model);
    const size_t rows = q->batch->rows;
    const size_t max = block_rows(q->model);
    const size_t apart = threads_apart(q->model, parallel, rows);
    const size_t threads = apart > 0 ? apart : 1;
    const size_t rounds = homesize_divide_up(homesize_divide_up(rows, max), threads);
    const size_t unit = threads > 1 && rounds <= FEW_BLOCKS ? FINE_ROWS : HOMEKERNELS_TILE_ROWS;
    const size_t block =
        homesize_divide_up(homesize_divide_up(rows, rounds * threads), unit) * unit;
    q->block = block < max ? block : max; /* an image may ask for fewer than `unit` */
    q->block_count = homesize_divide_up(rows, q->block);
    q->inner = apart > 0 || is_small(q->model) ? NULL : parallel;
    const int32_t stopped = homeparallel_ranges(parallel, threads, 1, predict_blocks, q);
    return stopped ? stopped : q->stopped;
}

static home_status check_results(const home_model *model, size_t rows, results *out,
                                 home_error *error) {
    const size_t tasks = model->settings.config.task_count;
    if (!out->predictions && !out->logits)
        return homefail(error, HOME_E_ARGUMENT, "predictions is NULL, and no logits are asked for");
    const home_status status =
        homemodel_read_stride(&out->prediction_stride, "prediction_stride", rows, tasks, error);
    return status == HOME_OK
               ? homemodel_read_stride(&out->logit_stride, "logit_stride", rows, tasks, error)
               : status;
}

static home_status check_workspace(const home_model *model, const home_workspace *workspace,
                                   home_error *error) {
    if (!workspace && !model->pool)
        return homefail(
            error, HOME_E_ARGUMENT,
            "workspace is NULL, expected one: a model opened from an image has none to lend");
    if (workspace && !home_workspace_fits(workspace, model))
        return homefail(error, HOME_E_ARGUMENT, "workspace was made for another model");
    return HOME_OK;
}

/* Predicts a batch that has been read. */
static home_status predict(const home_model *model, const homebatch *batch, results out,
                           home_workspace *workspace, home_error *error) {
    if (batch->rows == 0)
        return HOME_OK;
    home_status status = check_results(model, batch->rows, &out, error);
    if (status == HOME_OK)
        status = check_workspace(model, workspace, error);
    if (status == HOME_OK)
        status = homeinput_check_ids(model, batch, error);
    if (status != HOME_OK)
        return status;
    home_workspace *used = workspace ? workspace : model->pool->borrow(model, error);
    if (!used)
        return HOME_E_MEMORY;
    request q = {
        .model = model, .batch = batch, .out = &out, .workspace = used, .taken = ATOMIC_FLAG_INIT};
    const homefloat_mode host = homefloat_begin();
    const int32_t stopped = predict_rows(&q);
    homefloat_end(host);
    if (!workspace)
        model->pool->give_back(model, used);
    return stopped ? homefail_canceled(error, stopped) : HOME_OK;
}

home_status home_model_predict_logits(const home_model *model, const home_batch *given,
                                      float *predictions, size_t prediction_stride, float *logits,
                                      size_t logit_stride, home_workspace *workspace,
                                      home_error *error) {
    if (!model)
        return homefail_null(error, "model");
    homebatch batch;
    const home_status status = homeinput_read(model, given, &batch, error);
    const results out = {predictions, prediction_stride, logits, logit_stride};
    return status == HOME_OK ? predict(model, &batch, out, workspace, error) : status;
}

home_status home_model_predict(const home_model *model, const home_batch *batch, float *predictions,
                               size_t prediction_stride, home_workspace *workspace,
                               home_error *error) {
    return home_model_predict_logits(model, batch, predictions, prediction_stride, NULL, 0,
                                     workspace, error);
}

home_status home_model_predict_flat(const home_model *model, size_t rows, const float *dense,
                                    size_t dense_stride, const uint64_t *ids, size_t id_count,
                                    const size_t *offsets, const float *id_weights,
                                    float *predictions, size_t prediction_stride, float *logits,
                                    size_t logit_stride, home_workspace *workspace,
                                    home_error *error) {
    if (!model)
        return homefail_null(error, "model");
    homebatch batch;
    const home_ids all = {sizeof all, ids, offsets, id_count, id_weights};
    const home_status status =
        homeinput_read_flat(model, rows, dense, dense_stride, &all, &batch, error);
    const results out = {predictions, prediction_stride, logits, logit_stride};
    return status == HOME_OK ? predict(model, &batch, out, workspace, error) : status;
}
