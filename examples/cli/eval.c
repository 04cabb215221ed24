/* home eval: how well a model predicts labelled rows. */
#include "subject.h"

#include "heap.h"
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

static bool write_json(const scores *of, const unknown_ids *unknown, const char *path,
                       failure *why) {
    hometext text = {.allocator = heap()};
    output to;
    scores_json(of, unknown, &text);
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

static bool evaluate(subject *on, const char *json, failure *why) {
    dataset_reader reader;
    predictor with = {0};
    scores result = {0};
    if (!dataset_open(&reader, &on->by, on->data_path, DATASET_EVALUATE, why))
        return false;
    const bool good = predictor_start(&with, on->model, &on->by, why) &&
                      scores_start(&result, &on->by, why) &&
                      score_file(&reader, &with, &result, on->data_path, why) &&
                      (!json || write_json(&result, reader.unknown, json, why));
    if (good && !output_is_standard(json)) { /* the JSON stands alone there */
        unknown_print(reader.unknown, &on->by, stdout);
        scores_print(&result, stdout);
    }
    if (good)
        unknown_warn(reader.unknown, &on->by, on->data_path);
    scores_free(&result);
    predictor_free(&with);
    dataset_close(&reader);
    return good;
}

static outcome run(char *const *words, int count, failure *why) {
    const char *json = NULL;
    const option options[] = {{.name = "json", .text = &json, .file = OPTION_FILE_WRITTEN},
                              {.name = NULL}};
    subject on;
    const outcome opened = subject_open(&on, words, count, options, why);
    if (opened != OUTCOME_DONE)
        return opened;
    const bool good = evaluate(&on, json, why);
    subject_close(&on);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command eval_command = {
    "eval",
    "usage: home eval MODEL.safetensors DATA.csv[.gz] [--json RESULT.json]\n"
    "                 [--threads N] [--memory-limit N]\n"
    "\n"
    "Predicts the rows of DATA and compares the predictions with the labels. Prints a table\n"
    "with, for every task, the rows that have its label, the positives among them, AUC, GAUC\n"
    "(AUC within users, weighted by their rows), log loss and calibration (mean prediction /\n"
    "mean label).\n"
    "\n"
    "  --json FILE       write the same figures as JSON; what is not defined is null;\n"
    "                    with - to standard output, in place of the table\n" SUBJECT_OPTIONS_HELP,
    run,
};
