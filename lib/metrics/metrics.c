/* How good predictions are. Sums are kept without rounding, rankings as rows or as bins, so that
 * figures do not depend on the order of rows and merges. */
#include "../base/abi.h"
#include "../base/fail.h"
#include "../host/number.h"
#include "exact.h"
#include "ranking.h"
#include "ratio.h"

#include <inttypes.h>
#include <math.h>

/* Of the labels of one task that are not missing; w is a weight, p a prediction, y a label. */
typedef struct totals {
    homeranking_counts counts;
    homeexact weight;
    homeexact predictions; /* sum w p */
    homeexact labels;      /* sum w y */
    homeexact losses;      /* sum w times -log p(y), or (p - y)^2 */
    homeexact distances;   /* sum w |p - y|, with a squared error */
} totals;

typedef struct task_metrics {
    int32_t loss;
    totals sums;
    homeranking ranking; /* of a binary task */
} task_metrics;

struct home_metrics {
    home_allocator allocator;
    size_t tasks;
    task_metrics *of_task; /* [tasks] */
    void *bounded;         /* bins and records of all tasks; NULL: memory is not bounded */
    unsigned bits;         /* of the bins */
};

static bool is_binary(const task_metrics *task) {
    return task->loss == HOME_LOSS_BCE;
}

/* --------------------------------------------------------------------------------------- making */

enum {
    MIN_RECORDS = 1024, /* for each binary task, where memory is bounded */
    ALLOCATIONS = 4     /* the object, its tasks, what is bounded, the memory of a result */
};

/* How a bounded memory is used: for each binary task bins and records, and for one result at a time
 * twice the records of a task. */
typedef struct share {
    unsigned bits;
    size_t records;
} share;

static size_t bins_size(unsigned bits) {
    return homeranking_bin_count(bits) * sizeof(homeranking_bin);
}

/* Bins get a quarter, if that is enough. *out is undefined where it fails. */
static home_status share_memory(size_t max_bytes, size_t tasks, size_t binary, share *out,
                                home_error *error) {
    const size_t each = bins_size(HOMERANKING_MIN_BITS) + MIN_RECORDS * sizeof(homerecord);
    size_t fixed;
    size_t least;
    if (!homesize_multiply(tasks, sizeof(task_metrics), &fixed) ||
        !homesize_add(fixed, sizeof(home_metrics) + ALLOCATIONS * HOMEMEMORY_SLACK, &fixed) ||
        !homesize_multiply(binary, each, &least) ||
        !homesize_add(least, (size_t)2 * MIN_RECORDS * sizeof(homerecord), &least) ||
        !homesize_add(least, fixed, &least))
        return homefail(error, HOME_E_TOO_LARGE, "options.tasks is %zu, which is too large", tasks);
    if (max_bytes < least)
        return homefail(error, HOME_E_ARGUMENT,
                        "options.max_bytes is %zu, expected 0 or at least %zu for these tasks",
                        max_bytes, least);
    const size_t left = max_bytes - fixed;
    out->bits = HOMERANKING_MIN_BITS;
    while (out->bits < HOMERANKING_MAX_BITS && bins_size(out->bits + 1) <= left / 4 / (binary + 1))
        out->bits++;
    out->records = (left - binary * bins_size(out->bits)) / (binary + 2) / sizeof(homerecord);
    return HOME_OK;
}

/* Bins and records of all binary tasks, in one piece. HOME_E_MEMORY. */
static home_status make_bounded(home_metrics *made, size_t binary, const share *each,
                                home_error *error) {
    const size_t bins = homeranking_bin_count(each->bits);
    made->bits = each->bits;
    made->bounded = homememory_allocate(&made->allocator, binary,
                                        bins_size(each->bits) + each->records * sizeof(homerecord));
    if (!made->bounded)
        return homefail_memory(error);
    homeranking_bin *next_bins = made->bounded;
    homerecord *next_records = (homerecord *)(next_bins + binary * bins);
    for (size_t t = 0; t < made->tasks; t++) {
        if (!is_binary(&made->of_task[t]))
            continue;
        made->of_task[t].ranking = (homeranking){.records = next_records,
                                                 .capacity = each->records,
                                                 .bins = next_bins,
                                                 .bits = each->bits};
        next_bins += bins;
        next_records += each->records;
    }
    return HOME_OK;
}

/* *binary becomes the number of binary tasks. */
static home_status check_tasks(const home_metrics_options *options, size_t *binary,
                               home_error *error) {
    size_t bytes;
    if (options->tasks == 0)
        return homefail(error, HOME_E_ARGUMENT, "options.tasks is 0, expected at least 1");
    if (!homesize_multiply(options->tasks, sizeof(task_metrics), &bytes))
        return homefail(error, HOME_E_TOO_LARGE, "options.tasks is %zu, which is too large",
                        options->tasks);
    *binary = options->losses ? 0 : options->tasks;
    for (size_t t = 0; options->losses && t < options->tasks; t++) {
        const int32_t loss = options->losses[t];
        if (loss < 0 || loss > HOME_LOSS_SQUARED)
            return homefail(error, HOME_E_ARGUMENT,
                            "options.losses[%zu] is %" PRId32 ", expected 0 to %d", t, loss,
                            HOME_LOSS_SQUARED);
        *binary += loss != HOME_LOSS_SQUARED;
    }
    return HOME_OK;
}

static home_status make(const home_metrics_options *options, const home_allocator *allocator,
                        size_t binary, const share *each, home_metrics **metrics,
                        home_error *error) {
    home_metrics *made = homememory_allocate(allocator, 1, sizeof *made);
    if (!made)
        return homefail_memory(error);
    made->allocator = *allocator;
    made->tasks = options->tasks;
    made->of_task = homememory_allocate(allocator, made->tasks, sizeof *made->of_task);
    if (!made->of_task) {
        home_metrics_destroy(made);
        return homefail_memory(error);
    }
    for (size_t t = 0; t < made->tasks; t++) {
        const int32_t loss = options->losses ? options->losses[t] : 0;
        made->of_task[t].loss = loss ? loss : HOME_LOSS_BCE;
    }
    home_status status = HOME_OK;
    if (options->max_bytes)
        status = make_bounded(made, binary, each, error);
    if (status == HOME_OK)
        *metrics = made;
    else
        home_metrics_destroy(made);
    return status;
}

home_status home_metrics_create(const home_metrics_options *given, home_metrics **metrics,
                                home_error *error) {
    home_metrics_options options;
    home_allocator allocator;
    size_t binary = 0;
    share each = {.bits = 0};
    if (!given || !metrics)
        return homefail_null(error, given ? "metrics" : "options");
    home_status status =
        homeabi_read(given, &options, sizeof options, "options", HOME_E_ARGUMENT, error);
    if (status == HOME_OK)
        status = homememory_resolve(options.allocator, &allocator, error);
    if (status == HOME_OK)
        status = check_tasks(&options, &binary, error);
    if (status == HOME_OK && options.max_bytes)
        status = share_memory(options.max_bytes, options.tasks, binary, &each, error);
    if (status == HOME_OK)
        status = make(&options, &allocator, binary, &each, metrics, error);
    return status;
}

void home_metrics_destroy(home_metrics *metrics) {
    if (!metrics)
        return;
    const home_allocator allocator = metrics->allocator;
    for (size_t t = 0; t < metrics->tasks && metrics->of_task && !metrics->bounded; t++)
        homememory_free(&allocator, metrics->of_task[t].ranking.records);
    homememory_free(&allocator, metrics->bounded);
    homememory_free(&allocator, metrics->of_task);
    homememory_free(&allocator, metrics);
}

void home_metrics_reset(home_metrics *metrics) {
    for (size_t t = 0; metrics && t < metrics->tasks; t++) {
        metrics->of_task[t].sums = (totals){.counts = {0}};
        homeranking_reset(&metrics->of_task[t].ranking, metrics->bits);
    }
}

/* --------------------------------------------------------------------------------------- adding */

static home_status check_stride(const char *name, size_t rows, size_t tasks, size_t *stride,
                                home_error *error) {
    size_t elements;
    if (*stride == 0)
        *stride = tasks;
    if (*stride < tasks)
        return homefail(error, HOME_E_ARGUMENT,
                        "rows.%s is %zu, expected 0 or at least the %zu tasks", name, *stride,
                        tasks);
    if (!homesize_multiply(rows, *stride, &elements))
        return homefail(error, HOME_E_TOO_LARGE, "%zu rows times rows.%s %zu is too large", rows,
                        name, *stride);
    return HOME_OK;
}

/* Copies the caller's struct, with strides of 0 replaced by their meaning. */
static home_status read_rows(const home_metrics_rows *given, size_t tasks, home_metrics_rows *rows,
                             home_error *error) {
    home_status status = homeabi_read(given, rows, sizeof *rows, "rows", HOME_E_ARGUMENT, error);
    if (status != HOME_OK)
        return status;
    if (rows->rows && !rows->predictions)
        return homefail_null(error, "rows.predictions");
    if (rows->rows && !rows->labels)
        return homefail_null(error, "rows.labels");
    status = check_stride("prediction_stride", rows->rows, tasks, &rows->prediction_stride, error);
    if (status == HOME_OK)
        status = check_stride("label_stride", rows->rows, tasks, &rows->label_stride, error);
    if (status == HOME_OK)
        status = check_stride("weight_stride", rows->rows, tasks, &rows->weight_stride, error);
    return status;
}

/* What one row says of one task. */
typedef struct entry {
    float prediction;
    float label;
    float weight; /* 0: missing */
} entry;

static entry entry_of(const home_metrics_rows *rows, size_t row, size_t task) {
    const float label = rows->labels[row * rows->label_stride + task];
    if (isnan(label))
        return (entry){.weight = 0};
    return (entry){
        .prediction = rows->predictions[row * rows->prediction_stride + task],
        .label = label,
        .weight = (rows->row_weights ? rows->row_weights[row] : 1.0f) *
                  (rows->weights ? rows->weights[row * rows->weight_stride + task] : 1.0f),
    };
}

static bool is_weight(float value) { /* false for NaN */
    return value >= 0 && value < INFINITY;
}

static home_status check_weights(const home_metrics_rows *rows, size_t row, size_t task,
                                 float product, home_error *error) {
    if (rows->row_weights && !is_weight(rows->row_weights[row]))
        return homefail(error, HOME_E_VALUE,
                        "rows.row_weights[%zu] is %s, expected a finite number >= 0", row,
                        HOME_BRIEF((double)rows->row_weights[row]));
    if (rows->weights && !is_weight(rows->weights[row * rows->weight_stride + task]))
        return homefail(error, HOME_E_VALUE,
                        "rows.weights[%zu, %zu] is %s, expected a finite number >= 0", row, task,
                        HOME_BRIEF((double)rows->weights[row * rows->weight_stride + task]));
    if (!is_weight(product))
        return homefail(error, HOME_E_VALUE,
                        "rows.row_weights[%zu] times rows.weights[%zu, %zu] is %s, expected a "
                        "finite number",
                        row, row, task, HOME_BRIEF((double)product));
    return HOME_OK;
}

static bool is_allowed(bool binary, float value) { /* false for NaN */
    return binary ? value >= 0.0f && value <= 1.0f : isfinite(value);
}

/* Checks one task's column; *count gets its labels that are there. */
static home_status check_column(const home_metrics_rows *rows, size_t task, bool binary,
                                size_t *count, home_error *error) {
    const char *expected = binary ? "[0, 1]" : "a finite number";
    *count = 0;
    for (size_t r = 0; r < rows->rows; r++) {
        const entry e = entry_of(rows, r, task);
        if (e.weight == 0)
            continue;
        const home_status status = check_weights(rows, r, task, e.weight, error);
        if (status != HOME_OK)
            return status;
        if (!is_allowed(binary, e.label))
            return homefail(error, HOME_E_VALUE, "rows.labels[%zu, %zu] is %s, expected %s or NaN",
                            r, task, HOME_BRIEF((double)e.label), expected);
        if (!is_allowed(binary, e.prediction))
            return homefail(error, HOME_E_VALUE, "rows.predictions[%zu, %zu] is %s, expected %s", r,
                            task, HOME_BRIEF((double)e.prediction), expected);
        (*count)++;
    }
    return HOME_OK;
}

/* Minus the logarithm of the probability that was given to the label. */
static double log_loss(double prediction, double label) {
    const double min = 1e-15;
    const double p = fmin(fmax(prediction, min), 1.0 - min);
    const double of_positive = label > 0 ? label * log(p) : 0;
    const double of_negative = label < 1 ? (1.0 - label) * log1p(-p) : 0;
    return -(of_positive + of_negative);
}

static void add_entry(task_metrics *task, const entry *e, uint64_t user) {
    const double weight = (double)e->weight;
    const double prediction = (double)e->prediction;
    const double label = (double)e->label;
    const bool positive = is_binary(task) && e->label > 0.5f;
    totals *sums = &task->sums;
    sums->counts.rows++;
    sums->counts.no_user_rows += user == HOME_NO_USER;
    sums->counts.positives += positive;
    homeexact_add(&sums->weight, weight);
    homeexact_add(&sums->predictions, weight * prediction);
    homeexact_add(&sums->labels, weight * label);
    if (is_binary(task)) {
        homeexact_add(&sums->losses, weight * log_loss(prediction, label));
        homeranking_add(&task->ranking, homerecord_make(user, e->prediction, positive, e->weight));
    } else {
        const double apart = fabs(prediction - label);
        homeexact_add(&sums->losses, weight * (apart * apart));
        homeexact_add(&sums->distances, weight * apart);
    }
}

static void add_column(home_metrics *metrics, const home_metrics_rows *rows, size_t t) {
    for (size_t r = 0; r < rows->rows; r++) {
        const entry e = entry_of(rows, r, t);
        if (e.weight > 0)
            add_entry(&metrics->of_task[t], &e, rows->users ? rows->users[r] : HOME_NO_USER);
    }
}

home_status home_metrics_add(home_metrics *metrics, const home_metrics_rows *given,
                             home_error *error) {
    home_metrics_rows rows;
    if (!metrics || !given)
        return homefail_null(error, metrics ? "rows" : "metrics");
    home_status status = read_rows(given, metrics->tasks, &rows, error);
    if (status != HOME_OK)
        return status;
    /* First all that can fail, so that a failure leaves the contents as they were. */
    for (size_t t = 0; t < metrics->tasks; t++) {
        task_metrics *task = &metrics->of_task[t];
        size_t count;
        status = check_column(&rows, t, is_binary(task), &count, error);
        if (status != HOME_OK)
            return status;
        if (is_binary(task) && !homeranking_reserve(&metrics->allocator, &task->ranking, count))
            return homefail_memory(error);
    }
    for (size_t t = 0; t < metrics->tasks; t++)
        add_column(metrics, &rows, t);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- merging */

/* What one task holds, in memory or as bytes. */
typedef struct task_view {
    int32_t loss;
    totals sums;
    homeranking_view ranking;
} task_view;

static task_view view_of(const task_metrics *task) {
    return (task_view){
        .loss = task->loss, .sums = task->sums, .ranking = homeranking_view_of(&task->ranking)};
}

/* Makes room for it. `status` is that of losses that differ. */
static home_status prepare(home_metrics *into, size_t t, const task_view *from, home_status status,
                           home_error *error) {
    task_metrics *task = &into->of_task[t];
    if (from->loss != task->loss)
        return homefail(error, status,
                        "task %zu has loss %" PRId32 ", expected %" PRId32 " of into", t,
                        from->loss, task->loss);
    if (from->ranking.binned && !into->bounded)
        return homefail(error, HOME_E_ARGUMENT,
                        "task %zu no longer has all its rows, which into keeps: expected into to "
                        "be made with a max_bytes",
                        t);
    return homeranking_reserve(&into->allocator, &task->ranking, from->ranking.record_count)
               ? HOME_OK
               : homefail_memory(error);
}

/* There is room for it. */
static void merge_task(task_metrics *into, const task_view *from) {
    totals *sums = &into->sums;
    sums->counts.rows += from->sums.counts.rows;
    sums->counts.no_user_rows += from->sums.counts.no_user_rows;
    sums->counts.positives += from->sums.counts.positives;
    homeexact_merge(&sums->weight, &from->sums.weight);
    homeexact_merge(&sums->predictions, &from->sums.predictions);
    homeexact_merge(&sums->labels, &from->sums.labels);
    homeexact_merge(&sums->losses, &from->sums.losses);
    homeexact_merge(&sums->distances, &from->sums.distances);
    homeranking_merge(&into->ranking, &from->ranking);
}

home_status home_metrics_merge(home_metrics *into, const home_metrics *from, home_error *error) {
    home_status status = HOME_OK;
    if (!into || !from)
        return homefail_null(error, into ? "from" : "into");
    if (into->tasks != from->tasks)
        return homefail(error, HOME_E_ARGUMENT, "from has %zu tasks, expected the %zu of into",
                        from->tasks, into->tasks);
    for (size_t t = 0; t < into->tasks && status == HOME_OK; t++) {
        const task_view view = view_of(&from->of_task[t]);
        status = prepare(into, t, &view, HOME_E_ARGUMENT, error);
    }
    for (size_t t = 0; t < into->tasks && status == HOME_OK; t++) {
        const task_view view = view_of(&from->of_task[t]);
        merge_task(&into->of_task[t], &view);
    }
    return status;
}

/* ---------------------------------------------------------------------------------------- bytes */

/* After the number of tasks, 32 bits, of each task:
 *
 *     loss                                      32 bits
 *     rows, rows without a user, positives      64 bits each
 *     the sums of totals                        1024 bits each
 *     the ranking of a binary task              ranking_bytes.c */
static const homebytes_form form = {"HOMEMETR", 1, "home_metrics"};

enum { SUMS = 5 };

static void put_task(homebytes_writer *out, const task_metrics *task) {
    const totals *sums = &task->sums;
    const homeexact *list[SUMS] = {&sums->weight, &sums->predictions, &sums->labels, &sums->losses,
                                   &sums->distances};
    homebytes_put_32(out, (uint32_t)task->loss);
    homebytes_put_64(out, sums->counts.rows);
    homebytes_put_64(out, sums->counts.no_user_rows);
    homebytes_put_64(out, sums->counts.positives);
    for (size_t i = 0; i < SUMS; i++)
        homeexact_put(out, list[i]);
    if (is_binary(task))
        homeranking_put(out, &task->ranking);
}

static void put_all(homebytes_writer *out, const void *object) {
    const home_metrics *metrics = object;
    homebytes_put_32(out, (uint32_t)metrics->tasks);
    for (size_t t = 0; t < metrics->tasks; t++)
        put_task(out, &metrics->of_task[t]);
}

home_status home_metrics_serialize(const home_metrics *metrics, void *buffer, size_t capacity,
                                   size_t *length, home_error *error) {
    if (!metrics || !length)
        return homefail_null(error, metrics ? "length" : "metrics");
    return homebytes_write(&form, metrics, put_all, buffer, capacity, length, error);
}

/* Sums of weights that are not negative, over these counts. */
static bool are_sums(const totals *sums, bool binary) {
    const uint64_t max_rows = (uint64_t)1 << 53;
    const homeranking_counts *counts = &sums->counts;
    const double weight = homeexact_value(&sums->weight);
    const double labels = homeexact_value(&sums->labels);
    const double predictions = homeexact_value(&sums->predictions);
    if (counts->rows > max_rows || counts->no_user_rows > counts->rows ||
        counts->positives > counts->rows || (!binary && counts->positives > 0))
        return false;
    if ((weight > 0) != (counts->rows > 0) || weight < 0)
        return false;
    if (homeexact_value(&sums->losses) < 0 || homeexact_value(&sums->distances) < 0)
        return false;
    return !binary || (labels >= 0 && predictions >= 0);
}

static task_view get_task(homebytes_reader *in) {
    task_view view = {.loss = (int32_t)homebytes_get_32(in)};
    totals *sums = &view.sums;
    sums->counts.rows = homebytes_get_64(in);
    sums->counts.no_user_rows = homebytes_get_64(in);
    sums->counts.positives = homebytes_get_64(in);
    sums->weight = homeexact_get(in);
    sums->predictions = homeexact_get(in);
    sums->labels = homeexact_get(in);
    sums->losses = homeexact_get(in);
    sums->distances = homeexact_get(in);
    const bool binary = view.loss == HOME_LOSS_BCE;
    in->failed =
        in->failed || !(binary || view.loss == HOME_LOSS_SQUARED) || !are_sums(sums, binary);
    if (binary)
        view.ranking = homeranking_get(in, &sums->counts);
    return view;
}

/* Reads all tasks, from the first: once to make room, once more to merge. */
static home_status read_tasks(home_metrics *into, homebytes_reader in, bool merge,
                              home_error *error) {
    const uint32_t tasks = homebytes_get_32(&in);
    if (!in.failed && tasks != into->tasks)
        return homefail(error, HOME_E_MISMATCH,
                        "the bytes have %" PRIu32 " tasks, expected the %zu of into", tasks,
                        into->tasks);
    for (size_t t = 0; t < into->tasks; t++) {
        const task_view view = get_task(&in);
        if (in.failed)
            return homefail(error, HOME_E_FORMAT, "the bytes of task %zu are not valid", t);
        if (merge) {
            merge_task(&into->of_task[t], &view);
            continue;
        }
        const home_status status = prepare(into, t, &view, HOME_E_MISMATCH, error);
        if (status != HOME_OK)
            return status;
    }
    if (in.left > 0)
        return homefail(error, HOME_E_FORMAT, "there are %zu bytes after the last task", in.left);
    return HOME_OK;
}

home_status home_metrics_merge_bytes(home_metrics *into, const void *bytes, size_t size,
                                     home_error *error) {
    homebytes_reader in;
    if (!into)
        return homefail_null(error, "into");
    home_status status = homebytes_open(&in, &form, bytes, size, error);
    if (status == HOME_OK)
        status = read_tasks(into, in, false, error);
    if (status == HOME_OK)
        status = read_tasks(into, in, true, error);
    return status;
}

/* -------------------------------------------------------------------------------------- figures */

static void fill_means(const task_metrics *task, home_metric_result *result) {
    const totals *sums = &task->sums;
    const double weight = homeexact_value(&sums->weight);
    const double labels = homeexact_value(&sums->labels);
    const double predictions = homeexact_value(&sums->predictions);
    const double loss = homeratio(homeexact_value(&sums->losses), weight);
    result->rows = sums->counts.rows;
    result->no_user_rows = sums->counts.no_user_rows;
    result->positives = sums->counts.positives;
    result->weight = weight;
    result->mean_prediction = homeratio(predictions, weight);
    result->mean_label = homeratio(labels, weight);
    result->calibration = homeratio(predictions, labels);
    if (is_binary(task)) {
        result->log_loss = loss;
    } else {
        result->rmse = sqrt(loss);
        result->mae = homeratio(homeexact_value(&sums->distances), weight);
    }
}

home_status home_metrics_result(const home_metrics *metrics, size_t task,
                                home_metric_result *result, home_error *error) {
    const double undefined = (double)NAN;
    home_metric_result figures = {.log_loss = undefined,
                                  .auc = undefined,
                                  .auc_error = undefined,
                                  .gauc = undefined,
                                  .gauc_error = undefined,
                                  .gauc_share = undefined,
                                  .rmse = undefined,
                                  .mae = undefined};
    if (!metrics || !result)
        return homefail_null(error, metrics ? "result" : "metrics");
    if (task >= metrics->tasks)
        return homefail(error, HOME_E_NOT_FOUND, "task is %zu, expected less than the %zu tasks",
                        task, metrics->tasks);
    const task_metrics *held = &metrics->of_task[task];
    home_status status = HOME_OK;
    fill_means(held, &figures);
    if (is_binary(held))
        status = homeranking_figures(&held->ranking, &metrics->allocator, &figures, error);
    if (status != HOME_OK)
        return status;
    return homeabi_write(&figures, result, sizeof figures, "result", error);
}
