#include "history.h"

#include "csv.h"
#include "heap.h"
#include "number.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const figure_columns[HISTORY_FIGURES] = {"training_loss", "auc", "gauc",
                                                            "log_loss", "calibration"};

/* -------------------------------------------------------------------------------------- writing */

enum { HEADER = 200 };

static void make_header(char header[HEADER]) {
    size_t used =
        (size_t)snprintf(header, HEADER, "epoch,steps,seconds,scored,task,rows,positives");
    for (size_t f = 0; f < HISTORY_FIGURES; f++)
        used += (size_t)snprintf(header + used, HEADER - used, ",%s", figure_columns[f]);
    snprintf(header + used, HEADER - used, "\n");
}

static bool begins_with(const char *path, const char *header) {
    char line[HEADER];
    FILE *from = fopen(path, "r");
    if (!from)
        return false;
    const bool same = fgets(line, sizeof line, from) && strcmp(line, header) == 0;
    fclose(from);
    return same;
}

bool history_start(const char *path, failure *why) {
    char header[HEADER];
    make_header(header);
    FILE *to = fopen(path, "w");
    if (!to)
        return fail_system(why, path, "create");
    fputs(header, to);
    return fclose(to) == 0 || fail_system(why, path, "write");
}

bool history_continue(const char *path, failure *why) {
    char header[HEADER];
    make_header(header);
    return begins_with(path, header) || history_start(path, why);
}

static void write_figure(double figure, FILE *to) {
    fputc(',', to);
    if (isfinite(figure))
        fprintf(to, "%.9g", figure);
}

static void write_task(const history_epoch *what, size_t task, FILE *to) {
    const home_metric_result *result = &what->seen->results[task];
    fprintf(to, "%" PRIu64 ",%" PRIu64 ",%.3f,%s,", what->epoch, what->steps, what->seconds,
            what->validated ? "validation" : "training");
    csv_write(what->seen->by->labels[task].task, to);
    fprintf(to, ",%" PRIu64 ",%" PRIu64, result->rows, result->positives);
    write_figure(what->losses[task], to);
    write_figure(result->auc, to);
    write_figure(result->gauc, to);
    write_figure(result->log_loss, to);
    write_figure(result->calibration, to);
    fputc('\n', to);
}

bool history_add(const char *path, const history_epoch *what, failure *why) {
    FILE *to = fopen(path, "a");
    if (!to)
        return fail_system(why, path, "open");
    for (size_t t = 0; t < what->seen->by->label_count; t++)
        write_task(what, t, to);
    const bool written = !ferror(to);
    return (fclose(to) == 0 && written) || fail_system(why, path, "write");
}

/* -------------------------------------------------------------------------------------- reading */

/* Which column holds what. */
typedef struct columns {
    size_t epoch;
    size_t scored;
    size_t task;
    size_t figures[HISTORY_FIGURES];
} columns;

static bool find_columns(const csv_reader *csv, columns *at, failure *why) {
    bool found = csv_column(csv, "epoch", &at->epoch, why) &&
                 csv_column(csv, "scored", &at->scored, why) &&
                 csv_column(csv, "task", &at->task, why);
    for (size_t f = 0; found && f < HISTORY_FIGURES; f++)
        found = csv_column(csv, figure_columns[f], &at->figures[f], why);
    return found;
}

static bool grow(history *made, failure *why) {
    const size_t width = made->tasks * HISTORY_FIGURES;
    size_t numbers = made->capacity;
    size_t figures = made->capacity * width;
    double *more_numbers =
        heap_grow(made->numbers, &numbers, made->epochs + 1, sizeof *more_numbers);
    if (more_numbers)
        made->numbers = more_numbers;
    double *more = heap_grow(made->figures, &figures, (made->epochs + 1) * width, sizeof *more);
    if (more)
        made->figures = more;
    if (!more_numbers || !more)
        return fail_memory(why);
    made->capacity = numbers < figures / width ? numbers : figures / width;
    return true;
}

/* The first line of an epoch makes room for it; the lines of its tasks may come in any order. An
 * epoch replaces those with its number and higher ones. */
static bool enter_epoch(history *made, double number, failure *why) {
    while (made->epochs > 0 && made->numbers[made->epochs - 1] > number)
        made->epochs--;
    if (made->epochs > 0 && made->numbers[made->epochs - 1] == number)
        return true;
    if (made->epochs == made->capacity && !grow(made, why))
        return false;
    made->numbers[made->epochs] = number;
    double *figures = made->figures + made->epochs * made->tasks * HISTORY_FIGURES;
    for (size_t i = 0; i < made->tasks * HISTORY_FIGURES; i++)
        figures[i] = (double)NAN;
    made->epochs++;
    return true;
}

static bool read_figure(const csv_reader *csv, size_t column, double *figure, failure *why) {
    const csv_field *field = &csv->fields[column];
    *figure = (double)NAN;
    if (field->length && !number_read(field->text, field->length, figure))
        return csv_fail(csv, column, "a decimal number, or nothing where it is not defined", why);
    return true;
}

static bool read_line(history *made, const recipe *by, const csv_reader *csv, const columns *at,
                      failure *why) {
    uint64_t epoch;
    const size_t task = recipe_task(by, csv->fields[at->task].text);
    if (!number_read_whole(csv->fields[at->epoch].text, &epoch))
        return csv_fail(csv, at->epoch, "the number of an epoch", why);
    if (task == by->label_count)
        return true;
    if (!enter_epoch(made, (double)epoch, why))
        return false;
    made->validated = strcmp(csv->fields[at->scored].text, "validation") == 0;
    double *figures = made->figures + ((made->epochs - 1) * made->tasks + task) * HISTORY_FIGURES;
    bool good = true;
    for (size_t f = 0; good && f < HISTORY_FIGURES; f++)
        good = read_figure(csv, at->figures[f], &figures[f], why);
    return good;
}

bool history_read(history *made, const recipe *by, const char *path, failure *why) {
    csv_reader csv;
    columns at;
    *made = (history){.tasks = by->label_count};
    if (!csv_open(&csv, path, why))
        return false;
    bool more = true;
    bool good = find_columns(&csv, &at, why);
    while (good && more) {
        good = csv_next(&csv, &more, why);
        if (good && more)
            good = read_line(made, by, &csv, &at, why);
    }
    csv_close(&csv);
    if (!good)
        history_free(made);
    return good;
}

void history_free(history *made) {
    heap_free(made->figures);
    heap_free(made->numbers);
    *made = (history){0};
}

double history_at(const history *of, size_t epoch, size_t task, history_figure figure) {
    return of->figures[(epoch * of->tasks + task) * HISTORY_FIGURES + (size_t)figure];
}
