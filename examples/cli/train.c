#include "train.h"

#include "batch.h"
#include "checkpoint.h"
#include "clock.h"
#include "heap.h"
#include "history.h"
#include "interrupt.h"
#include "output.h"
#include "predictor.h"
#include "print.h"
#include "progress.h"
#include "scores.h"

#include "../../lib/host/random.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct learning_rates {
    double dense;
    double embedding;
} learning_rates;

typedef struct trainer {
    training_job job;
    double started;
    learning_rates first_rates;
    batch batch;
    size_t batch_rows;
    size_t *order;         /* [rows] */
    float *predictions;    /* [batch rows, tasks] */
    float *task_losses;    /* [tasks] */
    double *mean_losses;   /* [tasks] over the labels of the epoch so far; NaN before the first */
    double *label_weights; /* [tasks] the weights of those labels */
    uint64_t best_epoch;   /* that the checkpoint holds, 0: none */
    double best_score;
} trainer;

/* ---------------------------------------------------------------------------------------- start */

static bool read_rates(const home_model *model, learning_rates *rates, failure *why) {
    static const char name[] = "the model's configuration";
    document doc;
    const homejson_value *optimizer;
    if (!document_read_text(&doc, name, home_model_config_json(model), why))
        return false;
    const homejson_value *root = homejson_root(doc.json);
    const bool read =
        document_member(&doc, root, "optimizer", &optimizer, why) &&
        document_number(&doc, optimizer, "learning_rate", 0, HUGE_VAL, &rates->dense, why) &&
        document_number(&doc, optimizer, "embedding_learning_rate", 0, HUGE_VAL, &rates->embedding,
                        why);
    document_free(&doc);
    return read;
}

static void free_trainer(trainer *t) {
    batch_free(&t->batch);
    heap_free(t->order);
    heap_free(t->predictions);
    heap_free(t->task_losses);
    heap_free(t->mean_losses);
    heap_free(t->label_weights);
}

static bool start_log(const training_job *job, failure *why) {
    if (!job->log)
        return true;
    return job->epochs_before > 0 ? history_continue(job->log, why) : history_start(job->log, why);
}

static bool start_trainer(trainer *t, failure *why) {
    const size_t tasks = t->job.by->label_count;
    t->batch_rows = t->job.by->training.batch < t->job.rows->rows
                        ? (size_t)t->job.by->training.batch
                        : t->job.rows->rows;
    t->best_score = -HUGE_VAL;
    t->order = heap_new(t->job.rows->rows, sizeof *t->order);
    t->predictions = heap_new(t->batch_rows * tasks, sizeof *t->predictions);
    t->task_losses = heap_new(tasks, sizeof *t->task_losses);
    t->mean_losses = heap_new(tasks, sizeof *t->mean_losses);
    t->label_weights = heap_new(tasks, sizeof *t->label_weights);
    if (!t->order || !t->predictions || !t->task_losses || !t->mean_losses || !t->label_weights)
        return fail_memory(why);
    t->started = clock_seconds();
    return start_log(&t->job, why) && read_rates(t->job.model, &t->first_rates, why) &&
           batch_start(&t->batch, t->job.by, t->batch_rows, why);
}

/* ---------------------------------------------------------------------------------------- epoch */

/* The mean total loss over the labels of an epoch so far. A task without any adds nothing. */
static double total_loss(const trainer *t) {
    double total = 0;
    for (size_t i = 0; i < t->job.by->label_count; i++) {
        if (t->label_weights[i] > 0)
            total += t->job.by->labels[i].weight * t->mean_losses[i];
    }
    return total;
}

/* The weight behind a task's loss of this batch: that of the rows that have its label. */
static double batch_weight(const trainer *t, size_t task) {
    const size_t tasks = t->job.by->label_count;
    double weight = 0;
    for (size_t r = 0; r < t->batch.inputs.rows; r++) {
        if (!isnan(t->batch.labels[r * tasks + task]))
            weight += (double)t->batch.weights[r];
    }
    return weight;
}

/* Adds the losses of a batch to the means. A batch without live labels of a task, whose loss is
 * reported as 0, says nothing about it. */
static void add_losses(trainer *t) {
    for (size_t i = 0; i < t->job.by->label_count; i++) {
        const double weight = batch_weight(t, i);
        if (weight <= 0)
            continue;
        const double before = t->label_weights[i] > 0 ? t->mean_losses[i] : 0;
        t->label_weights[i] += weight;
        t->mean_losses[i] =
            before + weight / t->label_weights[i] * ((double)t->task_losses[i] - before);
    }
}

static void forget_losses(trainer *t) {
    for (size_t i = 0; i < t->job.by->label_count; i++) {
        t->mean_losses[i] = (double)NAN;
        t->label_weights[i] = 0;
    }
}

static bool step(trainer *t, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (home_model_forward(t->job.model, &t->batch.inputs, t->predictions, 0, &error) != HOME_OK ||
        home_model_backward(t->job.model, &t->batch.targets, t->task_losses, &error) != HOME_OK ||
        home_model_step(t->job.model, &error) != HOME_OK)
        return fail_library(why, "training", &error);
    return true;
}

/* A resumed run has other rows than the run before it, so its own factor says where its rates
 * start. */
static bool set_rates(trainer *t, uint64_t epoch, failure *why) {
    home_error error = {.struct_size = sizeof error};
    const training_plan *plan = &t->job.by->training;
    const double factor =
        plan->learning_rate_factor *
        pow(plan->learning_rate_decay, (double)(epoch - t->job.epochs_before - 1));
    if (home_model_set_learning_rate(t->job.model, factor * t->first_rates.dense, &error) !=
            HOME_OK ||
        home_model_set_embedding_learning_rate(t->job.model, factor * t->first_rates.embedding,
                                               &error) != HOME_OK)
        return fail_library(why, "setting the learning rate", &error);
    return true;
}

/* In every epoch, the order of the rows, the dropout of ids and that of the pass which measures
 * batch norms have streams of their own. */
static uint64_t start_stream(const trainer *t, const char *purpose, uint64_t epoch) {
    char name[64];
    snprintf(name, sizeof name, "%s.%" PRIu64, purpose, epoch);
    return homerandom_seed(t->job.by->training.seed, name);
}

/* Fisher and Yates's shuffle. */
static void shuffle(trainer *t, uint64_t epoch) {
    uint64_t stream = start_stream(t, "order", epoch);
    for (size_t i = 0; i < t->job.rows->rows; i++)
        t->order[i] = i;
    for (size_t left = t->job.rows->rows; left > 1; left--) {
        const size_t other = (size_t)(homerandom_uniform(&stream) * (double)left);
        const size_t moved = t->order[left - 1];
        t->order[left - 1] = t->order[other];
        t->order[other] = moved;
    }
}

static bool score_batch(trainer *t, scores *seen, failure *why) {
    return scores_add(seen, "scoring the training rows", t->batch.inputs.rows, t->predictions,
                      t->batch.labels, t->batch.users, why);
}

/* Without validation, `seen` scores each row as predicted just before training on it. */
static bool train_rows(trainer *t, uint64_t epoch, scores *seen, progress *shown, size_t *done,
                       failure *why) {
    uint64_t dropout = start_stream(t, "dropout", epoch);
    const size_t rows = t->job.rows->rows;
    for (size_t first = 0; first < rows; first += t->batch_rows) {
        const size_t count = rows - first < t->batch_rows ? rows - first : t->batch_rows;
        if (count < 2) /* one row has no variance; the next epoch leaves out another row */
            break;
        if (interrupted())
            return fail(why, "interrupted");
        if (!batch_fill(&t->batch, t->job.rows, t->order, first, count, &dropout, why) ||
            !step(t, why) || (!t->job.validation && !score_batch(t, seen, why)))
            return false;
        add_losses(t);
        *done += count;
        progress_show(shown, *done, total_loss(t));
    }
    return true;
}

static bool has_norms(const home_model *model) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        if (home_model_tensor_at(model, i, &tensor, NULL) == HOME_OK &&
            tensor.kind == HOME_TENSOR_STATISTIC)
            return true;
    }
    return false;
}

/* Batch b of n rows moves the running values by n over the rows so far, which makes them means over
 * all of the rows. */
static bool measure_batch(trainer *t, size_t first, size_t count, uint64_t *dropout, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (interrupted())
        return fail(why, "interrupted");
    if (!batch_fill(&t->batch, t->job.rows, t->order, first, count, dropout, why))
        return false;
    if (home_model_set_norm_momentum(t->job.model, (double)count / (double)(first + count),
                                     &error) != HOME_OK ||
        home_model_forward(t->job.model, &t->batch.inputs, NULL, 0, &error) != HOME_OK)
        return fail_library(why, "measuring what batch norms see", &error);
    return true;
}

/* In training the running values of the batch norms follow the weights with a delay of some ten
 * steps, and begin at 0 and 1. What is judged and saved has values measured with the weights as
 * they are, on rows of the epoch as training sees them, so with dropout. */
static bool measure_norms(trainer *t, uint64_t epoch, failure *why) {
    home_error error = {.struct_size = sizeof error};
    uint64_t dropout = start_stream(t, "norms", epoch);
    const double momentum = home_model_norm_momentum(t->job.model);
    const size_t rows = t->job.rows->rows;
    bool good = true;
    uint64_t left = has_norms(t->job.model) ? t->job.by->training.norm_batches : 0;
    for (size_t first = 0; good && left > 0 && first + 1 < rows; first += t->batch_rows, left--)
        good = measure_batch(t, first, rows - first < t->batch_rows ? rows - first : t->batch_rows,
                             &dropout, why);
    return home_model_set_norm_momentum(t->job.model, momentum, &error) == HOME_OK
               ? good
               : fail_library(why, "setting the momentum of batch norms", &error);
}

static uint64_t last_epoch(const trainer *t) {
    return t->job.epochs_before + t->job.by->training.epochs;
}

static bool train_epoch(trainer *t, uint64_t epoch, scores *seen, failure *why) {
    progress shown = progress_start(epoch, last_epoch(t), t->job.rows->rows);
    size_t done = 0;
    shuffle(t, epoch);
    forget_losses(t);
    if (!set_rates(t, epoch, why) || !train_rows(t, epoch, seen, &shown, &done, why)) {
        progress_clear(&shown);
        return false;
    }
    progress_end(&shown, done, total_loss(t));
    return measure_norms(t, epoch, why);
}

static bool validate(trainer *t, scores *seen, failure *why) {
    const dataset *rows = t->job.validation;
    predictor with;
    if (!predictor_start(&with, t->job.model, t->job.by, why))
        return false;
    bool good = true;
    for (size_t first = 0; good && first < rows->rows; first += PREDICTOR_ROWS) {
        const size_t left = rows->rows - first;
        const size_t count = left < PREDICTOR_ROWS ? left : PREDICTOR_ROWS;
        good = predictor_run(&with, rows, first, count, why) &&
               scores_add(seen, "scoring the validation rows", count, with.predictions,
                          rows->labels + first * t->job.by->label_count, rows->users + first, why);
    }
    predictor_free(&with);
    return good;
}

/* ----------------------------------------------------------------------------------- checkpoint */

/* Records in the checkpoint how it was trained. */
static bool note_training(trainer *t, uint64_t epoch, double score, failure *why) {
    home_error error = {.struct_size = sizeof error};
    hometext text = {.allocator = heap()};
    hometext_add(&text, "{\"epoch\": ");
    hometext_add_integer(&text, epoch);
    hometext_add(&text, ", \"steps\": ");
    hometext_add_integer(&text, home_model_step_count(t->job.model));
    hometext_add(&text, t->job.validation ? ", \"validation_auc\": " : ", \"training_auc\": ");
    hometext_add_number(&text, score);
    hometext_add(&text, "}");
    bool noted = !text.failed || fail_memory(why);
    if (noted && home_model_set_metadata(t->job.model, CHECKPOINT_TRAINING_KEY, text.data,
                                         &error) != HOME_OK)
        noted = fail_library(why, t->job.path, &error);
    heap_free(text.data);
    return noted;
}

/* A signal waits until the file is there, for only the library knows its temporary file. */
static bool write_model(const trainer *t, failure *why) {
    home_error error = {.struct_size = sizeof error};
    interrupt_hold();
    const home_status status = home_model_save(t->job.model, t->job.path,
                                               t->job.resumable ? HOME_SAVE_OPTIMIZER : 0, &error);
    interrupt_release();
    return status == HOME_OK || fail_file(why, t->job.path, &error);
}

static bool save(trainer *t, uint64_t epoch, double score, failure *why) {
    if (!note_training(t, epoch, score, why) || !write_model(t, why))
        return false;
    t->best_epoch = epoch;
    return true;
}

/* `remark` follows the mean AUC. */
static void print_epoch(const trainer *t, uint64_t epoch, const scores *seen, const char *remark) {
    print_line(stdout, "epoch %" PRIu64 ", %zu %s rows", epoch, seen->rows,
               t->job.validation ? "validation" : "training");
    scores_print(seen, stdout);
    if (t->job.validation) {
        scores_print_mean(seen, stdout);
        print_line(stdout, "%s", remark);
    }
    print_end(stdout);
    fflush(stdout);
}

/* Whether the checkpoint is another file than the one that training goes on from. */
static bool writes_elsewhere(const training_job *job) {
    failure unused = {0};
    const named_file files[] = {{.name = "", .path = job->path, .written = true},
                                {.name = "", .path = job->resumed}};
    return output_check_apart(files, 2, &unused);
}

static bool start_from(trainer *t, const scores *seen, failure *why) {
    const double score = scores_mean_auc(seen, true).auc;
    if (isnan(score))
        return true;
    if (writes_elsewhere(&t->job) && !write_model(t, why))
        return false;
    t->best_epoch = t->job.epochs_before;
    t->best_score = score;
    print_epoch(t, t->best_epoch, seen, ", of the model to go on from: to be beaten");
    return true;
}

/* A model that was trained before is judged on the validation rows of this run, and stays until an
 * epoch is better. */
static bool score_resumed(trainer *t, failure *why) {
    scores seen;
    if (!t->job.resumed || !t->job.validation)
        return true;
    if (!scores_start(&seen, t->job.by, why))
        return false;
    const bool good =
        validate(t, &seen, why) && scores_compute(&seen, why) && start_from(t, &seen, why);
    scores_free(&seen);
    return good;
}

/* Saves the model if it is the best so far, and prints how good it is. */
static bool end_epoch(trainer *t, uint64_t epoch, const scores *seen, failure *why) {
    const double score = scores_mean_auc(seen, true).auc;
    if (!t->job.validation || score > t->best_score) {
        if (!save(t, epoch, score, why))
            return false;
        t->best_score = score;
    }
    print_epoch(t, epoch, seen, t->best_epoch == epoch ? ", the best so far: saved" : "");
    return !t->job.log || history_add(t->job.log,
                                      &(history_epoch){.epoch = epoch,
                                                       .steps = home_model_step_count(t->job.model),
                                                       .seconds = clock_seconds() - t->started,
                                                       .losses = t->mean_losses,
                                                       .seen = seen,
                                                       .validated = t->job.validation != NULL},
                                      why);
}

static bool run_epoch(trainer *t, uint64_t epoch, failure *why) {
    scores seen;
    if (!scores_start(&seen, t->job.by, why))
        return false;
    const bool good = train_epoch(t, epoch, &seen, why) &&
                      (!t->job.validation || validate(t, &seen, why)) &&
                      scores_compute(&seen, why) && end_epoch(t, epoch, &seen, why);
    scores_free(&seen);
    return good;
}

static bool is_patience_over(const trainer *t, uint64_t epoch) {
    const uint64_t patience = t->job.by->training.patience;
    return t->job.validation && patience && epoch - t->best_epoch >= patience;
}

static bool run_epochs(trainer *t, failure *why) {
    for (uint64_t epoch = t->job.epochs_before + 1; epoch <= last_epoch(t); epoch++) {
        if (!run_epoch(t, epoch, why))
            return false;
        if (is_patience_over(t, epoch)) {
            const uint64_t since = epoch - t->best_epoch;
            print_line(stdout, "stopped early: no better epoch in the last %" PRIu64, since);
            break;
        }
    }
    print_line(stdout, "%s holds the model after epoch %" PRIu64 "%s", t->job.path, t->best_epoch,
               t->best_epoch == t->job.epochs_before ? ": no later one is better" : "");
    return true;
}

/* Adds to the reason what the checkpoint holds. */
static void tell_what_is_saved(const trainer *t, failure *why) {
    const failure reason = *why;
    if (t->best_epoch)
        fail(why, "%.700s; %.200s holds the model after epoch %" PRIu64, reason.text, t->job.path,
             t->best_epoch);
    else
        fail(why, "%.700s; no epoch was finished, so nothing was saved", reason.text);
}

bool train_model(const training_job *job, failure *why) {
    trainer t = {.job = *job};
    const bool trained = start_trainer(&t, why) && score_resumed(&t, why) && run_epochs(&t, why);
    if (!trained)
        tell_what_is_saved(&t, why);
    free_trainer(&t);
    return trained;
}
