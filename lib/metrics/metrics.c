/* How good predictions are. Every label is kept, and sorted when figures are asked for. */
#include "../base/abi.h"
#include "../base/fail.h"
#include "../host/memory.h"
#include "../host/number.h"
#include "../host/sort.h"
#include "ratio.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* One label that was not missing. */
typedef struct record {
    uint64_t user;
    uint64_t score; /* the bits of the prediction, and below them those of the label */
} record;

/* Both are in [0, 1] and never -0, so their bits have the order of the values: sorted by score,
 * records are sorted by prediction, then by label. Two with the same score count the same, so sums
 * in this order do not depend on the order in which records came. */
static uint64_t score_of(float prediction, float label) {
    uint32_t high;
    uint32_t low;
    memcpy(&high, &prediction, sizeof high);
    memcpy(&low, &label, sizeof low);
    return (uint64_t)high << 32 | low;
}

static float float_of(uint64_t bits) {
    const uint32_t low = (uint32_t)bits;
    float value;
    memcpy(&value, &low, sizeof value);
    return value;
}

static float prediction_of(const record *r) {
    return float_of(r->score >> 32);
}

static float label_of(const record *r) {
    return float_of(r->score);
}

typedef struct records {
    record *items;
    size_t count;
    size_t capacity;
} records;

/* AUC needs all predictions in order, so they are kept: 16 bytes a label. Nothing is
 * approximated. */
typedef struct task_records {
    records of_users;
    records of_nobody; /* added without users: no part of GAUC */
} task_records;

struct home_metrics {
    home_allocator allocator;
    size_t tasks;
    task_records *of_task; /* [tasks] */
};

/* --------------------------------------------------------------------------------- accumulating */

home_status home_metrics_create(size_t tasks, const home_allocator *allocator,
                                home_metrics **metrics, home_error *error) {
    home_allocator resolved;
    if (!metrics)
        return homefail_null(error, "metrics");
    if (tasks == 0)
        return homefail(error, HOME_E_ARGUMENT, "tasks is 0, expected at least 1");
    const home_status status = homememory_resolve(allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    home_metrics *made = homememory_allocate(&resolved, 1, sizeof *made);
    if (!made)
        return homefail_memory(error);
    made->allocator = resolved;
    made->tasks = tasks;
    made->of_task = homememory_allocate(&resolved, tasks, sizeof *made->of_task);
    if (!made->of_task) {
        homememory_free(&resolved, made);
        return homefail_memory(error);
    }
    *metrics = made;
    return HOME_OK;
}

void home_metrics_destroy(home_metrics *metrics) {
    if (!metrics)
        return;
    const home_allocator allocator = metrics->allocator;
    for (size_t t = 0; t < metrics->tasks; t++) {
        homememory_free(&allocator, metrics->of_task[t].of_users.items);
        homememory_free(&allocator, metrics->of_task[t].of_nobody.items);
    }
    homememory_free(&allocator, metrics->of_task);
    homememory_free(&allocator, metrics);
}

/* Makes room for `more` records. */
static bool reserve(const home_allocator *allocator, records *list, size_t more) {
    size_t needed;
    void *items = list->items;
    if (!homesize_add(list->count, more, &needed) ||
        !homememory_grow(allocator, &items, &list->capacity, needed, sizeof(record)))
        return false;
    list->items = items;
    return true;
}

static bool is_share(float value) { /* false for NaN */
    return value >= 0.0f && value <= 1.0f;
}

/* Checks one task's column; *count gets its labels that are there. */
static home_status check_column(size_t task, size_t rows, const float *predictions,
                                size_t prediction_stride, const float *labels, size_t label_stride,
                                size_t *count, home_error *error) {
    *count = 0;
    for (size_t r = 0; r < rows; r++) {
        const float label = labels[r * label_stride + task];
        const float prediction = predictions[r * prediction_stride + task];
        if (isnan(label))
            continue;
        if (!is_share(label))
            return homefail(error, HOME_E_VALUE, "labels[%zu, %zu] is %s, expected [0, 1] or NaN",
                            r, task, HOME_BRIEF((double)label));
        if (!is_share(prediction))
            return homefail(error, HOME_E_VALUE, "predictions[%zu, %zu] is %s, expected [0, 1]", r,
                            task, HOME_BRIEF((double)prediction));
        (*count)++;
    }
    return HOME_OK;
}

/* Replaces a stride of 0 by its meaning, and checks that rows * stride can be computed. */
static home_status resolve_stride(const char *name, size_t rows, size_t tasks, size_t *stride,
                                  home_error *error) {
    size_t elements;
    if (*stride == 0)
        *stride = tasks;
    if (*stride < tasks)
        return homefail(error, HOME_E_ARGUMENT, "%s is %zu, expected 0 or at least the %zu tasks",
                        name, *stride, tasks);
    if (!homesize_multiply(rows, *stride, &elements))
        return homefail(error, HOME_E_TOO_LARGE, "rows %zu times %s %zu is too large", rows, name,
                        *stride);
    return HOME_OK;
}

home_status home_metrics_add(home_metrics *metrics, size_t rows, const float *predictions,
                             size_t prediction_stride, const float *labels, size_t label_stride,
                             const uint64_t *users, home_error *error) {
    if (!metrics)
        return homefail_null(error, "metrics");
    if (rows && !predictions)
        return homefail_null(error, "predictions");
    if (rows && !labels)
        return homefail_null(error, "labels");
    const size_t tasks = metrics->tasks;
    home_status status =
        resolve_stride("prediction_stride", rows, tasks, &prediction_stride, error);
    if (status == HOME_OK)
        status = resolve_stride("label_stride", rows, tasks, &label_stride, error);
    if (status != HOME_OK)
        return status;

    /* First all that can fail, so that a failure leaves the contents as they were. */
    for (size_t t = 0; t < tasks; t++) {
        size_t count;
        status = check_column(t, rows, predictions, prediction_stride, labels, label_stride, &count,
                              error);
        if (status != HOME_OK)
            return status;
        task_records *task = &metrics->of_task[t];
        if (!reserve(&metrics->allocator, users ? &task->of_users : &task->of_nobody, count))
            return homefail_memory(error);
    }
    for (size_t t = 0; t < tasks; t++) {
        task_records *task = &metrics->of_task[t];
        records *list = users ? &task->of_users : &task->of_nobody;
        for (size_t r = 0; r < rows; r++) {
            const float label = labels[r * label_stride + t];
            if (isnan(label))
                continue;
            list->items[list->count++] = (record){
                .user = users ? users[r] : 0,
                .score = score_of(predictions[r * prediction_stride + t] + 0.0f, /* -0 -> 0 */
                                  label + 0.0f),
            };
        }
    }
    return HOME_OK;
}

/* Returns how many there were. */
static size_t copy_records(record *to, const records *from) {
    if (from->count) /* memcpy may not be given NULL */
        memcpy(to, from->items, from->count * sizeof(record));
    return from->count;
}

/* There is room in `to`. The two may be the same list. */
static void append(records *to, const records *from) {
    if (from->count)
        to->count += copy_records(to->items + to->count, from);
}

home_status home_metrics_merge(home_metrics *into, const home_metrics *from, home_error *error) {
    if (!into)
        return homefail_null(error, "into");
    if (!from)
        return homefail_null(error, "from");
    if (into->tasks != from->tasks)
        return homefail(error, HOME_E_ARGUMENT, "from has %zu tasks, expected the %zu of into",
                        from->tasks, into->tasks);
    for (size_t t = 0; t < into->tasks; t++)
        if (!reserve(&into->allocator, &into->of_task[t].of_users,
                     from->of_task[t].of_users.count) ||
            !reserve(&into->allocator, &into->of_task[t].of_nobody,
                     from->of_task[t].of_nobody.count))
            return homefail_memory(error);
    for (size_t t = 0; t < into->tasks; t++) {
        append(&into->of_task[t].of_users, &from->of_task[t].of_users);
        append(&into->of_task[t].of_nobody, &from->of_task[t].of_nobody);
    }
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- sorting */

/* Each returns the array that holds the result, `items` or `spare`. */
static record *sort_by_score(record *items, record *spare, size_t count) {
    return homesort_by_key(items, spare, count, sizeof *items, offsetof(record, score), UINT64_MAX);
}

static record *sort_by_user(record *items, record *spare, size_t count) {
    return homesort_by_key(items, spare, count, sizeof *items, offsetof(record, user), UINT64_MAX);
}

/* -------------------------------------------------------------------------------------- figures */

static bool is_positive(const record *r) {
    return label_of(r) > 0.5f;
}

/* The share of pairs of a positive and a negative that are in the right order, over records sorted
 * by prediction; a tie is right by half. NaN where there is no pair. */
static double auc_of(const record *sorted, size_t count) {
    uint64_t positives = 0;
    uint64_t negatives = 0;
    uint64_t right_halves = 0; /* at most twice positives * negatives, so count^2 / 2 */
    for (size_t i = 0; i < count;) {
        const float prediction = prediction_of(&sorted[i]);
        uint64_t tied_positives = 0;
        uint64_t tied_negatives = 0;
        for (; i < count && prediction_of(&sorted[i]) == prediction; i++)
            if (is_positive(&sorted[i]))
                tied_positives++;
            else
                tied_negatives++;
        right_halves += tied_positives * (2 * negatives + tied_negatives);
        positives += tied_positives;
        negatives += tied_negatives;
    }
    return homeratio((double)right_halves, 2.0 * (double)positives * (double)negatives);
}

/* `items` and `spare` have room for all records of the task. */
static void fill_gauc(const records *of_users, record *items, record *spare,
                      home_metric_result *result) {
    const size_t count = copy_records(items, of_users);
    record *by_score = sort_by_score(items, spare, count);
    const record *sorted = sort_by_user(by_score, by_score == items ? spare : items, count);
    double weighted = 0.0;
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && sorted[end].user == sorted[begin].user; end++)
            continue;
        const double auc = auc_of(sorted + begin, end - begin);
        if (isnan(auc))
            continue;
        weighted += auc * (double)(end - begin);
        result->gauc_rows += end - begin;
        result->gauc_users++;
    }
    result->gauc = homeratio(weighted, (double)result->gauc_rows);
}

/* Minus the logarithm of the probability that was given to the label. */
static double log_loss_of(const record *r) {
    const double min = 1e-15;
    const double p = fmin(fmax((double)prediction_of(r), min), 1.0 - min);
    const double label = (double)label_of(r);
    return -(label * log(p) + (1.0 - label) * log1p(-p));
}

static void fill_figures(const task_records *task, record *items, record *spare,
                         home_metric_result *result) {
    const size_t of_users = copy_records(items, &task->of_users);
    const size_t count = of_users + copy_records(items + of_users, &task->of_nobody);
    const record *sorted = sort_by_score(items, spare, count);
    double losses = 0.0;
    double predictions = 0.0;
    double labels = 0.0;
    for (size_t i = 0; i < count; i++) {
        losses += log_loss_of(&sorted[i]);
        predictions += (double)prediction_of(&sorted[i]);
        labels += (double)label_of(&sorted[i]);
        result->positives += is_positive(&sorted[i]);
    }
    result->rows = count;
    result->auc = auc_of(sorted, count);
    result->log_loss = homeratio(losses, (double)count);
    result->calibration = homeratio(predictions, labels);
}

home_status home_metrics_result(const home_metrics *metrics, size_t task,
                                home_metric_result *result, home_error *error) {
    if (!metrics)
        return homefail_null(error, "metrics");
    if (!result)
        return homefail_null(error, "result");
    if (task >= metrics->tasks)
        return homefail(error, HOME_E_NOT_FOUND, "task is %zu, expected less than the %zu tasks",
                        task, metrics->tasks);
    const task_records *held = &metrics->of_task[task];
    /* Compared in halves: where size_t has 32 bits, no count is above UINT32_MAX, and compilers
     * warn of a comparison that is always false. */
    size_t count;
    if (!homesize_add(held->of_users.count, held->of_nobody.count, &count) ||
        count / 2 > UINT32_MAX / 2)
        return homefail(error, HOME_E_TOO_LARGE, "the task has more than %" PRIu32 " rows",
                        UINT32_MAX);

    record *items = homememory_allocate(&metrics->allocator, count, sizeof(record));
    record *spare = homememory_allocate(&metrics->allocator, count, sizeof(record));
    if (!items || !spare) {
        homememory_free(&metrics->allocator, items);
        homememory_free(&metrics->allocator, spare);
        return homefail_memory(error);
    }
    home_metric_result figures = {0};
    fill_gauc(&held->of_users, items, spare, &figures);
    fill_figures(held, items, spare, &figures);
    homememory_free(&metrics->allocator, items);
    homememory_free(&metrics->allocator, spare);
    return homeabi_write(&figures, result, sizeof figures, "result", error);
}
