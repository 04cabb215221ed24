/* home eval: how well a model predicts labelled rows. */
#include "commands.h"

#include "checkpoint.h"
#include "heap.h"
#include "options.h"
#include "output.h"
#include "predictor.h"
#include "scores.h"

static bool score_rows(const predictor *with, scores *to, const char *path, const dataset *rows,
                       failure *why) {
    return scores_add(to, path, rows->rows, with->predictions, rows->labels, rows->users, why);
}

/* Reads, predicts and scores the file part by part. */
static bool score_file(dataset_reader *reader, predictor *with, scores *to, const char *path,
                       failure *why) {
    dataset rows;
    if (!dataset_start(&rows, reader->by, why))
        return false;
    bool good;
    do {
        good = dataset_read(reader, &rows, PREDICTOR_ROWS, why) &&
               (rows.rows == 0 || (predictor_run(with, &rows, 0, rows.rows, why) &&
                                   score_rows(with, to, path, &rows, why)));
    } while (good && rows.rows > 0);
    dataset_free(&rows);
    return good && scores_compute(to, why);
}

static bool write_json(const scores *of, const char *path, failure *why) {
    hometext text = {.allocator = heap()};
    output to;
    scores_json(of, &text);
    bool written = !text.failed || fail_memory(why);
    written = written && output_open(&to, path, why);
    if (written) {
        fwrite(text.data, 1, text.length, to.file);
        written = output_commit(&to, why);
        output_discard(&to);
    }
    heap_free(text.data);
    return written;
}

static bool evaluate(const home_model *model, recipe *by, const char *path, const char *json,
                     failure *why) {
    dataset_reader reader;
    predictor with = {0};
    scores result = {0};
    if (!dataset_open(&reader, by, path, DATASET_EVALUATE, why))
        return false;
    const bool good = predictor_start(&with, model, by, why) && scores_start(&result, by, why) &&
                      score_file(&reader, &with, &result, path, why) &&
                      (!json || write_json(&result, json, why));
    if (good)
        scores_print(&result, stdout);
    scores_free(&result);
    predictor_free(&with);
    dataset_close(&reader);
    return good;
}

static outcome run(char *const *words, int count, failure *why) {
    static const char *const names[] = {"MODEL", "DATA"};
    const char *operands[2];
    const char *json = NULL;
    const option options[] = {{.name = "json", .text = &json}, {.name = NULL}};
    if (!options_read(words, count, options, names, operands, 2, why))
        return OUTCOME_USAGE;
    const named_file files[] = {
        {"--json", json, true}, {names[0], operands[0], false}, {names[1], operands[1], false}};
    if (!output_check_apart(files, 3, why))
        return OUTCOME_USAGE;
    home_model *model;
    recipe by;
    if ((json && !output_check(json, why)) || !checkpoint_open(operands[0], &model, &by, why))
        return OUTCOME_FAILED;
    const bool good = evaluate(model, &by, operands[1], json, why);
    recipe_free(&by);
    home_model_release(model);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command eval_command = {
    "eval",
    "usage: home eval MODEL.safetensors DATA.csv[.gz] [--json RESULT.json]\n"
    "\n"
    "Predicts the rows of DATA and compares with their labels. Prints a table with, for every "
    "task, the\n"
    "rows that have its label, the positives among them, AUC, GAUC (AUC within users, weighted by "
    "their\n"
    "rows), log loss and calibration (mean prediction / mean label).\n"
    "\n"
    "  --json FILE   writes the same figures as JSON; what is not defined is null\n",
    run,
};
