/* home predict: the probabilities of every task for the rows of a raw CSV. */
#include "subject.h"

#include "csv.h"
#include "output.h"
#include "predictor.h"

#include <string.h>

static void write_header(const recipe *by, FILE *to) {
    for (size_t t = 0; t < by->label_count; t++) {
        if (t)
            fputc(',', to);
        csv_write(by->labels[t].task, to);
    }
    fputc('\n', to);
}

static void write_rows(const float *predictions, size_t rows, size_t tasks, FILE *to) {
    for (size_t i = 0; i < rows * tasks; i++)
        fprintf(to, "%.9g%c", (double)predictions[i], i % tasks + 1 == tasks ? '\n' : ',');
}

/* Reads, predicts and writes part by part. */
static bool predict_file(dataset_reader *reader, predictor *with, FILE *to, failure *why) {
    dataset rows;
    if (!dataset_start(&rows, reader->by, why))
        return false;
    bool good;
    write_header(reader->by, to);
    do {
        good = dataset_read(reader, &rows, PREDICTOR_ROWS, why) &&
               (rows.rows == 0 || predictor_run(with, &rows, 0, rows.rows, why));
        if (good)
            write_rows(with->predictions, rows.rows, reader->by->label_count, to);
    } while (good && rows.rows > 0);
    dataset_free(&rows);
    return good;
}

static bool predict(subject *on, const char *target, failure *why) {
    dataset_reader reader;
    predictor with = {0};
    output to = {0};
    if (!dataset_open(&reader, &on->by, on->data_path, DATASET_PREDICT, why))
        return false;
    const bool good = predictor_start(&with, on->model, &on->by, why) &&
                      output_open(&to, target, why) && predict_file(&reader, &with, to.file, why) &&
                      output_commit(&to, why);
    if (good)
        unknown_warn(reader.unknown, &on->by, on->data_path);
    output_discard(&to);
    predictor_free(&with);
    dataset_close(&reader);
    return good;
}

static outcome run(char *const *words, int count, failure *why) {
    const char *target = NULL;
    const option options[] = {{.name = "output", .text = &target, .file = OPTION_FILE_WRITTEN},
                              {.name = NULL}};
    subject on;
    const outcome opened = subject_open(&on, words, count, options, why);
    if (opened != OUTCOME_DONE)
        return opened;
    const bool good = predict(&on, target, why);
    subject_close(&on);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command predict_command = {
    "predict",
    "usage: home predict MODEL.safetensors DATA.csv[.gz] [--output PREDICTIONS.csv]\n"
    "                    [--threads N] [--memory-limit N]\n"
    "\n"
    "Prepares the raw columns of DATA as in training and predicts every row. Labels are not\n"
    "needed. The result is a CSV with a column per task and a line per row, in order. It\n"
    "appears when all of DATA was read without an error, or not at all.\n"
    "\n"
    "  --output FILE     write to FILE instead of standard output\n" SUBJECT_OPTIONS_HELP "\n"
    "DATA and FILE can be -, for standard input and output.\n",
    run,
};
