#include "examination.h"

#include "batch.h"
#include "heap.h"
#include "predictor.h"

#include <math.h>
#include <string.h>

enum { GRADIENT_BATCHES = 8 }; /* training batches that gradients are averaged over */

/* ---------------------------------------------------------------------------------- predictions */

/* Bins of equal width in log odds, from -12 to 12. */
static size_t bin_of(double probability) {
    const double odds = log(probability) - log1p(-probability); /* infinite for 0 and 1 */
    const double place = (odds + 12) / 24 * EXAMINATION_BINS;
    if (!(place >= 0))
        return 0;
    return place < EXAMINATION_BINS ? (size_t)place : EXAMINATION_BINS - 1;
}

static void add_to_bins(examination *to, const dataset *rows, const float *predictions) {
    const size_t tasks = to->by->label_count;
    for (size_t i = 0; i < rows->rows * tasks; i++) {
        if (isnan(rows->labels[i]))
            continue;
        score_bin *bin = &to->bins[i % tasks * EXAMINATION_BINS + bin_of((double)predictions[i])];
        bin->rows++;
        bin->labels += (double)rows->labels[i];
        bin->predictions += (double)predictions[i];
    }
}

static bool add_rows(examination *to, predictor *with, const dataset *rows, const char *path,
                     failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (!predictor_run(with, rows, 0, rows->rows, why) ||
        !scores_add(&to->quality, path, rows->rows, with->predictions, rows->labels, rows->users,
                    why))
        return false;
    add_to_bins(to, rows, with->predictions);
    if (home_health_add(to->health, with->frozen, &with->rows.inputs, &error) != HOME_OK)
        return fail_library(why, path, &error);
    return true;
}

/* ---------------------------------------------------------------------------------------- units */

/* Experts of a unit follow each other in home_health. */
static bool list_units(examination *of, failure *why) {
    const size_t experts = home_health_expert_count(of->health);
    of->units = heap_new(experts, sizeof *of->units);
    if (!of->units)
        return fail_memory(why);
    for (size_t e = 0; e < experts; e++) {
        const home_expert_health figures = examination_expert(of, e);
        if (figures.expert == 0)
            of->units[of->unit_count++] = (examined_unit){figures.layer, figures.unit, e, 0};
        of->units[of->unit_count - 1].experts++;
    }
    return true;
}

/* ------------------------------------------------------------------------------------ gradients */

/* Memory of measure_gradients(). */
typedef struct gradient_memory {
    batch rows;
    float *gradients; /* [parameters] of one task */
    size_t count;
    size_t batches;
} gradient_memory;

static bool measure_task(examination *of, home_model *model, gradient_memory *with, size_t task,
                         failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (home_model_task_gradient(model, &with->rows.targets, task, with->gradients, with->count,
                                 NULL, &error) != HOME_OK)
        return fail_library(why, "computing gradients", &error);
    for (size_t u = 0; u < of->unit_count; u++) {
        double norm = 0;
        const size_t layer = of->units[u].layer;
        const size_t unit = home_model_unit_index(model, layer, of->units[u].name);
        if (home_model_unit_gradient_norm(model, layer, unit, with->gradients, with->count, &norm,
                                          &error) != HOME_OK)
            return fail_library(why, "computing gradients", &error);
        double *mean = &of->gradients[u * of->by->label_count + task];
        *mean += (norm - *mean) / (double)(with->batches + 1);
    }
    return true;
}

/* Adds the gradients of one more batch to the means. */
static bool measure_batch(examination *of, home_model *model, gradient_memory *with,
                          const dataset *rows, size_t first, size_t count, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (!batch_fill(&with->rows, rows, NULL, first, count, NULL, why))
        return false;
    if (home_model_forward(model, &with->rows.inputs, NULL, 0, &error) != HOME_OK)
        return fail_library(why, "computing gradients", &error);
    for (size_t t = 0; t < of->by->label_count; t++)
        if (!measure_task(of, model, with, t, why))
            return false;
    with->batches++;
    return true;
}

/* Over the first rows of the file, in batches as training takes them. */
static bool measure_gradients(examination *of, home_model *model, const dataset *rows,
                              failure *why) {
    gradient_memory with = {0};
    const size_t batch_rows =
        of->by->training.batch < rows->rows ? (size_t)of->by->training.batch : rows->rows;
    with.count = (size_t)home_model_parameter_count(model);
    with.gradients = heap_new(with.count, sizeof *with.gradients);
    const size_t batches = batch_rows < 2 ? 0 : rows->rows / batch_rows;
    bool good =
        (with.gradients || fail_memory(why)) && batch_start(&with.rows, of->by, batch_rows, why);
    while (good && with.batches < batches && with.batches < GRADIENT_BATCHES)
        good = measure_batch(of, model, &with, rows, with.batches * batch_rows, batch_rows, why);
    batch_free(&with.rows);
    heap_free(with.gradients);
    return good;
}

/* ---------------------------------------------------------------------------------------- whole */

/* The first part of the file serves for the gradients too. */
static bool go_through(examination *made, home_model *model, dataset_reader *reader,
                       const char *path, failure *why) {
    predictor with = {0};
    dataset rows;
    if (!dataset_start(&rows, reader->by, why))
        return false;
    bool good = predictor_start(&with, model, made->by, why);
    for (bool first = true; good; first = false) {
        good = dataset_read(reader, &rows, PREDICTOR_ROWS, why);
        if (!good || rows.rows == 0)
            break;
        good = add_rows(made, &with, &rows, path, why) &&
               (!first || measure_gradients(made, model, &rows, why));
    }
    predictor_free(&with);
    dataset_free(&rows);
    return good;
}

static bool start(examination *made, const home_model *model, const recipe *by, failure *why) {
    home_error error = {.struct_size = sizeof error};
    *made = (examination){.by = by};
    made->bins = heap_new(by->label_count, EXAMINATION_BINS * sizeof *made->bins);
    if (!made->bins)
        return fail_memory(why);
    if (!scores_start(&made->quality, by, why))
        return false;
    if (home_health_create(model, NULL, &made->health, &error) != HOME_OK)
        return fail_library(why, "examining the model", &error);
    if (!list_units(made, why))
        return false;
    made->gradients = heap_new(made->unit_count * by->label_count, sizeof *made->gradients);
    return made->gradients || fail_memory(why);
}

bool examination_run(examination *made, home_model *model, recipe *by, const char *path,
                     failure *why) {
    dataset_reader reader;
    *made = (examination){0};
    if (!dataset_open(&reader, by, path, DATASET_EVALUATE, why))
        return false;
    bool good = start(made, model, by, why) && go_through(made, model, &reader, path, why) &&
                scores_compute(&made->quality, why);
    if (good && home_health_rows(made->health) == 0)
        good = fail(why, "%s: no rows; expected at least one to examine the model on", path);
    made->unknown = reader.unknown;
    reader.unknown = NULL;
    dataset_close(&reader);
    if (!good)
        examination_free(made);
    return good;
}

void examination_free(examination *made) {
    scores_free(&made->quality);
    home_health_destroy(made->health);
    heap_free(made->units);
    heap_free(made->bins);
    heap_free(made->gradients);
    heap_free(made->unknown);
    *made = (examination){0};
}

home_expert_health examination_expert(const examination *of, size_t expert) {
    home_expert_health figures = {.struct_size = sizeof figures};
    home_health_expert(of->health, expert, &figures, NULL); /* fails past the last one only */
    return figures;
}

home_node_health examination_node(const examination *of, size_t node) {
    home_node_health figures = {.struct_size = sizeof figures};
    home_health_node(of->health, node, &figures, NULL);
    return figures;
}

double examination_gradient(const examination *of, size_t unit, size_t task) {
    return of->gradients[unit * of->by->label_count + task];
}

size_t examination_unit_of(const examination *of, size_t expert) {
    size_t u = 0;
    while (expert >= of->units[u].first_expert + of->units[u].experts)
        u++;
    return u;
}

size_t examination_last_layer(const examination *of) {
    return of->units[of->unit_count - 1].layer;
}

size_t examination_task_of(const examination *of, size_t node) {
    const home_node_health figures = examination_node(of, node);
    if (figures.layer != examination_last_layer(of))
        return of->by->label_count;
    return recipe_task(of->by, figures.node);
}
