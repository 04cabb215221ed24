#include "scores.h"

#include "heap.h"
#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

bool scores_start(scores *made, const recipe *by, failure *why) {
    home_error error = {.struct_size = sizeof error};
    memset(made, 0, sizeof *made);
    made->by = by;
    made->results = heap_new(by->label_count, sizeof *made->results);
    if (!made->results)
        return fail_memory(why);
    const home_metrics_options options = {.struct_size = sizeof options, .tasks = by->label_count};
    if (home_metrics_create(&options, &made->metrics, &error) == HOME_OK)
        return true;
    scores_free(made);
    return fail_library(why, "making metrics", &error);
}

void scores_free(scores *made) {
    home_metrics_destroy(made->metrics);
    heap_free(made->results);
    memset(made, 0, sizeof *made);
}

bool scores_add(scores *to, const char *subject, size_t rows, const float *predictions,
                const float *labels, const uint64_t *users, failure *why) {
    home_error error = {.struct_size = sizeof error};
    const home_metrics_rows added = {.struct_size = sizeof added,
                                     .rows = rows,
                                     .predictions = predictions,
                                     .labels = labels,
                                     .users = to->by->user ? users : NULL};
    if (home_metrics_add(to->metrics, &added, &error) != HOME_OK)
        return fail_library(why, subject, &error);
    to->rows += rows;
    for (size_t r = 0; to->by->user && r < rows; r++)
        to->no_user_rows += users[r] == HOME_NO_USER;
    return true;
}

bool scores_compute(scores *of, failure *why) {
    home_error error = {.struct_size = sizeof error};
    for (size_t t = 0; t < of->by->label_count; t++) {
        of->results[t] = (home_metric_result){.struct_size = sizeof of->results[t]};
        if (home_metrics_result(of->metrics, t, &of->results[t], &error) != HOME_OK)
            return fail_library(why, "computing metrics", &error);
    }
    return true;
}

score_mean scores_mean_auc(const scores *of, bool selected) {
    score_mean mean = {.auc = (double)NAN};
    double sum = 0;
    for (size_t t = 0; t < of->by->label_count; t++) {
        if (selected && !of->by->labels[t].selects)
            continue;
        if (isnan(of->results[t].auc)) {
            mean.undefined++;
            continue;
        }
        sum += of->results[t].auc;
        mean.tasks++;
    }
    if (mean.tasks)
        mean.auc = sum / (double)mean.tasks;
    return mean;
}

/* ---------------------------------------------------------------------------------------- table */

static int name_width(const recipe *by) {
    size_t width = strlen("task");
    for (size_t t = 0; t < by->label_count; t++) {
        const size_t length = strlen(by->labels[t].task);
        if (length > width && length <= 40)
            width = length;
    }
    return (int)width;
}

void scores_print(const scores *of, FILE *to) {
    const int width = name_width(of->by);
    print_line(to, "%-*s  %9s  %9s  %6s  %6s  %8s  %11s", width, "task", "rows", "positives", "AUC",
               "GAUC", "log loss", "calibration");
    for (size_t t = 0; t < of->by->label_count; t++) {
        const home_metric_result *result = &of->results[t];
        print_part(to, "%-*s  %9" PRIu64 "  %9" PRIu64, width, of->by->labels[t].task, result->rows,
                   result->positives);
        print_figure(to, 8, 4, result->auc);
        print_figure(to, 8, 4, result->gauc);
        print_figure(to, 10, 4, result->log_loss);
        print_figure(to, 13, 4, result->calibration);
        print_end(to);
    }
    if (of->no_user_rows)
        print_line(to, "%zu of the %zu rows have no user and do not count in GAUC",
                   of->no_user_rows, of->rows);
}

void scores_print_mean(const scores *of, FILE *to) {
    const score_mean mean = scores_mean_auc(of, true);
    if (mean.tasks == 0)
        print_part(to, "mean AUC -");
    else if (mean.undefined)
        print_part(to, "mean AUC %.5f of %zu of %zu tasks", mean.auc, mean.tasks,
                   mean.tasks + mean.undefined);
    else
        print_part(to, "mean AUC %.5f", mean.auc);
}

/* ----------------------------------------------------------------------------------------- JSON */

/* NaN becomes null. */
static void add_figure(hometext *text, const char *key, double figure) {
    hometext_add(text, key);
    hometext_add_number(text, figure);
}

static void add_task(hometext *text, const char *name, const home_metric_result *result) {
    hometext_add_string(text, name);
    hometext_add(text, ": {\"rows\": ");
    hometext_add_integer(text, result->rows);
    hometext_add(text, ", \"no_user_rows\": ");
    hometext_add_integer(text, result->no_user_rows);
    hometext_add(text, ", \"positives\": ");
    hometext_add_integer(text, result->positives);
    add_figure(text, ", \"auc\": ", result->auc);
    add_figure(text, ", \"gauc\": ", result->gauc);
    add_figure(text, ", \"log_loss\": ", result->log_loss);
    add_figure(text, ", \"calibration\": ", result->calibration);
    hometext_add(text, "}");
}

void scores_json(const scores *of, const unknown_ids *unknown, hometext *text) {
    hometext_add(text, "{\"rows\": ");
    hometext_add_integer(text, of->rows);
    hometext_add(text, ", \"ids\": ");
    unknown_json(unknown, of->by, text);
    hometext_add(text, ",\n \"tasks\": {");
    for (size_t t = 0; t < of->by->label_count; t++) {
        hometext_add(text, t ? ",\n  " : "\n  ");
        add_task(text, of->by->labels[t].task, &of->results[t]);
    }
    hometext_add(text, "\n}}\n");
}
