/* home train: from a recipe and a CSV to a checkpoint. */
#include "commands.h"

#include "checkpoint.h"
#include "clock.h"
#include "interrupt.h"
#include "limit.h"
#include "number.h"
#include "options.h"
#include "output.h"
#include "print.h"
#include "train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct arguments {
    const char *recipe;
    const char *train;
    const char *valid; /* NULL: none */
    const char *output;
    const char *log;    /* NULL: none */
    const char *resume; /* NULL: a fresh model */
    bool resumable;
    uint64_t memory_limit; /* in MiB, 0: the usual one */
    training_plan plan;    /* what is not UNSET replaces the recipe's */
} arguments;

#define UNSET UINT64_MAX

/* --output may replace the model of --resume, so those two are not compared. */
static bool check_apart(const char *recipe_name, const arguments *given, failure *why) {
    const named_file files[] = {{.name = "--output", .path = given->output, .written = true},
                                {.name = "--log", .path = given->log, .written = true},
                                {.name = "--train", .path = given->train},
                                {.name = "--valid", .path = given->valid},
                                {.name = recipe_name, .path = given->recipe}};
    const named_file resumed[] = {{.name = "--log", .path = given->log, .written = true},
                                  {.name = "--resume", .path = given->resume}};
    return output_check_apart(files, 5, why) && output_check_apart(resumed, 2, why);
}

static bool read_arguments(char *const *words, int count, arguments *given, failure *why) {
    static const char *const names[] = {"RECIPE"};
    const option options[] = {
        {.name = "train", .text = &given->train, .required = "the CSV file to train on"},
        {.name = "valid", .text = &given->valid},
        {.name = "output", .text = &given->output, .required = "the file for the model"},
        {.name = "log", .text = &given->log},
        {.name = "resume", .text = &given->resume},
        {.name = "resumable", .flag = &given->resumable},
        {.name = "epochs", .whole = &given->plan.epochs, .min = 1},
        {.name = "batch", .whole = &given->plan.batch, .min = 2},
        {.name = "patience", .whole = &given->plan.patience},
        {.name = "seed", .whole = &given->plan.seed},
        {.name = "threads", .whole = &given->plan.threads, .min = 1, .max = 1024},
        {.name = "memory-limit", .whole = &given->memory_limit, .min = 1},
        {.name = NULL},
    };
    *given = (arguments){
        .plan = {.epochs = UNSET, .batch = UNSET, .patience = UNSET, .seed = UNSET, .threads = 1}};
    if (!options_read(words, count, options, names, &given->recipe, 1, why) ||
        !options_no_dash("--output", given->output, why) ||
        !options_no_dash("--log", given->log, why) ||
        !options_no_dash("--resume", given->resume, why))
        return false;
    if (given->plan.patience != UNSET && !given->valid)
        return fail(why, "--patience: only with --valid, whose rows tell which epoch is better");
    return check_apart(names[0], given, why);
}

static void replace(uint64_t *planned, uint64_t given) {
    if (given != UNSET)
        *planned = given;
}

static void apply_arguments(training_plan *plan, const arguments *given) {
    replace(&plan->epochs, given->plan.epochs);
    replace(&plan->batch, given->plan.batch);
    replace(&plan->patience, given->plan.patience);
    replace(&plan->seed, given->plan.seed);
    plan->threads = given->plan.threads;
}

static bool fail_interrupted(failure *why) {
    const failure reason = *why;
    return fail(why, "%.900s; nothing was saved", reason.text);
}

static bool load(dataset *rows, dataset_reader *reader, failure *why) {
    const double started = clock_seconds();
    reader->csv.from.shown.started = started;
    reader->csv.from.shown.in_logs = true;
    if (!dataset_load(rows, reader, why))
        return interrupted() ? fail_interrupted(why) : false;
    print_line(stderr, "%s: %zu row%s in %.1f s", reader->csv.from.path, rows->rows,
               number_plural(rows->rows), clock_seconds() - started);
    unknown_warn(reader->unknown, reader->by, reader->csv.from.path);
    return true;
}

static bool has_labels(const dataset *rows, size_t task) {
    for (size_t r = 0; r < rows->rows; r++) {
        if (!isnan(rows->labels[r * rows->by->label_count + task]))
            return true;
    }
    return false;
}

/* One row has no variance. A task without labels learns nothing, but that may be intended. */
static bool check_training(const dataset *rows, const char *path, failure *why) {
    if (rows->rows < 2)
        return fail(why, "%s: %zu row%s; expected at least 2", path, rows->rows,
                    number_plural(rows->rows));
    for (size_t t = 0; t < rows->by->label_count; t++) {
        if (!has_labels(rows, t))
            print_line(stderr,
                       "home: warning: %s: column \"%s\" is empty in every row: task "
                       "\"%s\" learns nothing",
                       path, rows->by->labels[t].column, rows->by->labels[t].task);
    }
    return true;
}

static bool has_both_classes(const dataset *rows, size_t task) {
    bool positive = false;
    bool negative = false;
    for (size_t r = 0; r < rows->rows; r++) {
        const float label = rows->labels[r * rows->by->label_count + task];
        positive = positive || label > 0.5f;
        negative = negative || label <= 0.5f;
    }
    return positive && negative;
}

/* Without an AUC nothing tells which epoch is the best. */
static bool check_validation(const dataset *rows, const char *path, failure *why) {
    for (size_t t = 0; t < rows->by->label_count; t++) {
        if (rows->by->labels[t].selects && has_both_classes(rows, t))
            return true;
    }
    return fail(why,
                "%s: no selected task has positive and negative labels; expected one to choose the "
                "best epoch by",
                path);
}

/* Trains `model`, or a new one where it is NULL. */
static bool train_on(home_model *model, uint64_t epochs_before, const dataset *rows,
                     const dataset *validation, const recipe *by, const arguments *given,
                     failure *why) {
    home_error error = {.struct_size = sizeof error};
    home_model *fresh = NULL;
    if (!model && !checkpoint_create(by, rows, &fresh, why))
        return false;
    const training_job job = {.model = model ? model : fresh,
                              .by = by,
                              .rows = rows,
                              .validation = validation,
                              .path = given->output,
                              .log = given->log,
                              .resumable = given->resumable || given->resume,
                              .resumed = given->resume,
                              .epochs_before = epochs_before};
    const bool trained =
        home_model_set_threads(job.model, (size_t)given->plan.threads, &error) == HOME_OK
            ? train_model(&job, why)
            : fail_library(why, "--threads", &error);
    home_model_release(fresh);
    return trained;
}

static bool open_both(dataset_reader *training, dataset_reader *validation, recipe *by,
                      dataset_use use, const arguments *given, failure *why) {
    if (!dataset_open(training, by, given->train, use, why))
        return false;
    if (!given->valid || dataset_open(validation, by, given->valid, DATASET_EVALUATE, why))
        return true;
    dataset_close(training);
    return false;
}

/* Reads both headers before the rows of either, to report a wrong second file at once. */
static bool load_both(dataset *rows, dataset *validation, recipe *by, dataset_use use,
                      const arguments *given, failure *why) {
    dataset_reader of_rows;
    dataset_reader of_validation;
    if (!open_both(&of_rows, &of_validation, by, use, given, why))
        return false;
    bool loaded = load(rows, &of_rows, why) && check_training(rows, given->train, why);
    dataset_close(&of_rows);
    if (given->valid) {
        loaded = loaded && load(validation, &of_validation, why) &&
                 check_validation(validation, given->valid, why);
        dataset_close(&of_validation);
    }
    return loaded;
}

static bool load_and_train(home_model *model, uint64_t epochs_before, recipe *by,
                           const arguments *given, failure *why) {
    dataset rows = {0};
    dataset validation = {0};
    const dataset_use use = model ? DATASET_TRAIN_FURTHER : DATASET_TRAIN;
    const bool good =
        load_both(&rows, &validation, by, use, given, why) &&
        train_on(model, epochs_before, &rows, given->valid ? &validation : NULL, by, given, why);
    dataset_free(&rows);
    dataset_free(&validation);
    return good;
}

static bool resume(const recipe *wanted, const arguments *given, failure *why) {
    home_model *model;
    recipe by;
    uint64_t epochs_before;
    if (!checkpoint_resume(given->resume, wanted, &model, &by, &epochs_before, why))
        return false;
    const bool good = load_and_train(model, epochs_before, &by, given, why);
    recipe_free(&by);
    home_model_release(model);
    return good;
}

static bool start_afresh(recipe *by, const arguments *given, failure *why) {
    return checkpoint_check(by, why) && load_and_train(NULL, 0, by, given, why);
}

static outcome run(char *const *words, int count, failure *why) {
    arguments given;
    recipe by;
    if (!read_arguments(words, count, &given, why))
        return OUTCOME_USAGE;
    limit_set(given.memory_limit);
    if (!output_check_model(given.output, why) ||
        (given.log && !output_check_log(given.log, why)) || !recipe_read(&by, given.recipe, why))
        return OUTCOME_FAILED;
    apply_arguments(&by.training, &given);
    const bool good = given.resume ? resume(&by, &given, why) : start_afresh(&by, &given, why);
    recipe_free(&by);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command train_command = {
    "train",
    "usage: home train RECIPE.json --train DATA.csv[.gz] --output MODEL.safetensors\n"
    "                  [--valid DATA.csv[.gz]] [--epochs N] [--batch N] [--patience N] [--seed N]\n"
    "                  [--threads N] [--log LOG.csv] [--resumable] [--resume MODEL.safetensors]\n"
    "                  [--memory-limit N]\n"
    "\n"
    "Trains the model that RECIPE describes on the rows of the --train file, and writes it to\n"
    "the --output file after every epoch; with --valid, only after an epoch that is the best so\n"
    "far on those rows. Ctrl-C stops between two batches and keeps the last checkpoint.\n"
    "\n"
    "The first four options replace what the recipe says:\n"
    "\n"
    "  --epochs N     at most N passes over the rows\n"
    "  --batch N      N rows a step\n"
    "  --patience N   stop after N epochs without a better mean AUC on the --valid rows; 0: never\n"
    "  --seed N       seed of the first weights, the order of the rows and the dropout of ids\n"
    "  --threads N    compute on N threads; the result is the same for any number; default 1\n"
    "  --memory-limit N\n"
    "                 the rows and what is learned from them take at most N MiB of memory;\n"
    "                 default: three quarters of the machine's\n"
    "  --log FILE     write a line per epoch and task to FILE as training goes on, with losses,\n"
    "                 AUC, GAUC and so on, for \"home report\"; replaces FILE, or with --resume\n"
    "                 adds to it\n"
    "  --resumable    keep the optimizer's state in the checkpoint, which makes it about three\n"
    "                 times as large\n"
    "  --resume FILE  go on from such a checkpoint instead of fresh weights, for example on the\n"
    "                 rows of another day; means, buckets and vocabularies stay as first learned,\n"
    "                 and RECIPE must be that of the checkpoint in all but \"training\"; implies\n"
    "                 --resumable; with --valid, what it holds is the best so far\n",
    run,
};
