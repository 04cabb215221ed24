/* From a log of user behaviour to served predictions, using only libhome's public interface:
 * simulate a feed, train on it, evaluate on later rows, save, reload, freeze, serve from several
 * threads.
 *
 * Usage: demo [checkpoint file]. The exit status is not 0 if anything fails, if the reloaded model
 * predicts other bytes, if the frozen model is not close, or if too little was learned. */
#include "feed.h"
#include "home/home.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TRAIN_ROWS = 200000,
    TEST_ROWS = 50000, /* the rows after those for training, later in time */
    EPOCHS = 2,
    BATCH_ROWS = 512,
    FIELDS = 3,
    THREADS = 2,       /* with more threads than cores, we would measure the scheduler */
    REQUEST_ROWS = 64, /* videos that compete for one place in the feed */
    REQUESTS_PER_THREAD = 2000
};

static const double MIN_MEAN_AUC = 0.78; /* below this, something is broken */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* --------------------------------------------------------------------------------------- errors */

/* A program can exit; a library must not. */
static void must(home_status status, const char *action, const home_error *error) {
    if (status == HOME_OK)
        return;
    fprintf(stderr, "demo: cannot %s: %s: %s\n", action, home_status_string(status),
            error->message);
    exit(1);
}

static void *must_allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) {
        fprintf(stderr, "demo: out of memory\n");
        exit(1);
    }
    return memory;
}

/* ---------------------------------------------------------------------------------------- model */

/* HoME for the feed: the inputs are dense values and three ids, the tasks are seven behaviours in
 * two groups. home_model_create_json() takes the same as JSON text. */
static home_model *create_model(void) {
    const home_table_config tables[FIELDS] = {
        {.struct_size = sizeof tables[0], .name = "user", .rows = FEED_USERS, .dim = 8},
        {.struct_size = sizeof tables[0], .name = "video", .rows = FEED_VIDEOS, .dim = 8},
        {.struct_size = sizeof tables[0], .name = "author", .rows = FEED_AUTHORS, .dim = 8},
    };
    const home_field_config fields[FIELDS] = {
        /* each field reads the table of the same name */
        {.struct_size = sizeof fields[0], .name = "user"},
        {.struct_size = sizeof fields[0], .name = "video"},
        {.struct_size = sizeof fields[0], .name = "author"},
    };
    home_task_config tasks[FEED_TASKS];
    for (size_t t = 0; t < FEED_TASKS; t++)
        tasks[t] = (home_task_config){.struct_size = sizeof tasks[0],
                                      .name = feed_tasks[t].name,
                                      .group = feed_tasks[t].group,
                                      .base_rate = feed_tasks[t].rate};
    const size_t expert_hidden[] = {32};
    const home_layer_config layers[] = {
        {.struct_size = sizeof layers[0],
         .width = 32,
         .hidden = expert_hidden,
         .hidden_count = 1,
         .feature_rank = 8},
        {.struct_size = sizeof layers[0], .width = 16, .feature_rank = 4},
    };
    const size_t tower_hidden[] = {16};
    const home_optimizer_config optimizer = {
        .struct_size = sizeof optimizer, .learning_rate = 0.002, .embedding_learning_rate = 0.1};
    const home_config config = {
        .struct_size = sizeof config,
        .seed = 1,
        .dense_width = FEED_DENSE,
        .tables = tables,
        .table_count = FIELDS,
        .fields = fields,
        .field_count = FIELDS,
        .tasks = tasks,
        .task_count = FEED_TASKS,
        .layers = layers,
        .layer_count = sizeof layers / sizeof layers[0],
        .tower_hidden = tower_hidden,
        .tower_hidden_count = 1,
        .optimizer = &optimizer,
    };
    home_model *model;
    home_error error = {.struct_size = sizeof error};
    must(home_model_create(&config, &model, &error), "create the model", &error);
    printf("model: %llu dense parameters, %llu multiply-adds per row\n",
           (unsigned long long)home_model_parameter_count(model),
           (unsigned long long)home_model_macs_per_row(model));
    return model;
}

/* A batch points into the feed's own memory: nothing is copied. */
typedef struct feed_batch {
    home_ids ids[FIELDS]; /* in the order of the configuration's fields */
    home_batch batch;
} feed_batch;

static const home_batch *select_rows(const feed_log *feed, size_t first, size_t rows,
                                     feed_batch *selected) {
    selected->ids[0] = (home_ids){.struct_size = sizeof(home_ids), .ids = feed->users + first};
    selected->ids[1] = (home_ids){.struct_size = sizeof(home_ids), .ids = feed->videos + first};
    selected->ids[2] = (home_ids){.struct_size = sizeof(home_ids), .ids = feed->authors + first};
    selected->batch = (home_batch){.struct_size = sizeof selected->batch,
                                   .rows = rows,
                                   .dense = feed->dense + first * FEED_DENSE,
                                   .fields = selected->ids,
                                   .field_count = FIELDS};
    return &selected->batch;
}

/* ------------------------------------------------------------------------------------- training */

static void train_epoch(home_model *model, const feed_log *feed) {
    home_error error = {.struct_size = sizeof error};
    double loss = 0.0; /* mean over tasks, summed over the steps since the last report */
    size_t steps = 0;
    for (size_t first = 0; first + BATCH_ROWS <= TRAIN_ROWS; first += BATCH_ROWS) {
        feed_batch selected;
        const home_targets targets = {.struct_size = sizeof targets,
                                      .labels = feed->labels + first * FEED_TASKS};
        float task_losses[FEED_TASKS];
        must(home_model_forward(model, select_rows(feed, first, BATCH_ROWS, &selected), NULL, 0,
                                &error),
             "run the model", &error);
        must(home_model_backward(model, &targets, task_losses, &error), "compute gradients",
             &error);
        must(home_model_step(model, &error), "take a step", &error);

        for (size_t t = 0; t < FEED_TASKS; t++)
            loss += (double)task_losses[t] / FEED_TASKS;
        steps++;
        if (home_model_step_count(model) % 100 == 0) {
            printf("  step %4llu: loss %.4f\n", (unsigned long long)home_model_step_count(model),
                   loss / (double)steps);
            loss = 0.0;
            steps = 0;
        }
    }
}

static void train(home_model *model, const feed_log *feed) {
    const double start = seconds_now();
    home_error error = {.struct_size = sizeof error};
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        train_epoch(model, feed);
    must(home_model_set_metadata(model, "trained_on", "a simulated feed", &error), "store metadata",
         &error);
    const double seconds = seconds_now() - start;
    printf("trained on %d rows x %d epochs in %.1f s, %.0f rows/s\n\n", TRAIN_ROWS, EPOCHS, seconds,
           EPOCHS * TRAIN_ROWS / seconds);
}

/* ----------------------------------------------------------------------------------- evaluation */

/* [TEST_ROWS, FEED_TASKS] probabilities of the held-out rows. */
static float *predict_test_rows(const home_model *model, const feed_log *feed) {
    home_error error = {.struct_size = sizeof error};
    float *predictions = must_allocate((size_t)TEST_ROWS * FEED_TASKS, sizeof *predictions);
    feed_batch selected;
    must(home_model_predict(model, select_rows(feed, TRAIN_ROWS, TEST_ROWS, &selected), predictions,
                            0, NULL, &error),
         "predict", &error);
    return predictions;
}

static home_metrics *measure(const float *predictions, const feed_log *feed) {
    home_error error = {.struct_size = sizeof error};
    const home_metrics_options options = {.struct_size = sizeof options, .tasks = FEED_TASKS};
    const home_metrics_rows rows = {.struct_size = sizeof rows,
                                    .rows = TEST_ROWS,
                                    .predictions = predictions,
                                    .labels = feed->labels + (size_t)TRAIN_ROWS * FEED_TASKS,
                                    .users = feed->users + TRAIN_ROWS};
    home_metrics *metrics;
    must(home_metrics_create(&options, &metrics, &error), "create metrics", &error);
    must(home_metrics_add(metrics, &rows, &error), "add to metrics", &error);
    return metrics;
}

static home_metric_result figures_of(const home_metrics *metrics, size_t task) {
    home_error error = {.struct_size = sizeof error};
    home_metric_result result = {.struct_size = sizeof result};
    must(home_metrics_result(metrics, task, &result, &error), "compute metrics", &error);
    return result;
}

/* Prints the table of tasks and returns the mean AUC. "best" is the AUC of the true
 * probabilities. */
static double report(const float *predictions, const feed_log *feed) {
    home_metrics *reached = measure(predictions, feed);
    home_metrics *best = measure(feed->truth + (size_t)TRAIN_ROWS * FEED_TASKS, feed);
    double mean_auc = 0.0;
    double mean_best = 0.0;
    printf("%-15s %-6s %7s %9s %7s %7s %7s %9s %11s\n", "task", "group", "rows", "positives", "AUC",
           "best", "GAUC", "log loss", "calibration");
    for (size_t t = 0; t < FEED_TASKS; t++) {
        const home_metric_result figures = figures_of(reached, t);
        const double best_auc = figures_of(best, t).auc;
        printf("%-15s %-6s %7llu %9llu %7.4f %7.4f %7.4f %9.4f %11.3f\n", feed_tasks[t].name,
               feed_tasks[t].group, (unsigned long long)figures.rows,
               (unsigned long long)figures.positives, figures.auc, best_auc, figures.gauc,
               figures.log_loss, figures.calibration);
        mean_auc += figures.auc / FEED_TASKS;
        mean_best += best_auc / FEED_TASKS;
    }
    printf("mean AUC %.4f; the true probabilities reach %.4f, guessing 0.5\n\n", mean_auc,
           mean_best);
    home_metrics_destroy(reached);
    home_metrics_destroy(best);
    return mean_auc;
}

/* ----------------------------------------------------------------------------------- checkpoint */

static home_model *save_and_reload(const home_model *model, const char *path) {
    home_error error = {.struct_size = sizeof error};
    home_model *reloaded;
    must(home_model_save(model, path, 0, &error), "save", &error);
    must(home_model_load(path, NULL, &reloaded, &error), "load", &error);
    return reloaded;
}

static bool same_bytes(const void *a, const void *b, size_t size) {
    return memcmp(a, b, size) == 0;
}

/* Returns infinity if a value is NaN. */
static float largest_difference(const float *a, const float *b) {
    float largest = 0.0f;
    for (size_t i = 0; i < (size_t)TEST_ROWS * FEED_TASKS; i++) {
        const float difference = fabsf(a[i] - b[i]);
        if (isnan(difference))
            return INFINITY;
        largest = fmaxf(largest, difference);
    }
    return largest;
}

/* -------------------------------------------------------------------------------------- serving */

/* The work of one serving thread. */
typedef struct server {
    const home_model *model; /* frozen, shared by all threads */
    const feed_log *feed;
    size_t first_request;
    double latencies[REQUESTS_PER_THREAD]; /* in seconds */
    home_status status;
    home_error error;
} server;

/* Answers requests in sequence, with a workspace of the thread's own. */
static void *serve(void *argument) {
    server *s = argument;
    const size_t size = home_workspace_size(s->model);
    void *memory = must_allocate(1, size);
    home_workspace *workspace = NULL;
    s->error.struct_size = sizeof s->error;
    s->status = home_workspace_init(s->model, memory, size, &workspace, &s->error);
    for (size_t i = 0; i < REQUESTS_PER_THREAD && s->status == HOME_OK; i++) {
        const size_t request = (s->first_request + i) % (TEST_ROWS / REQUEST_ROWS);
        float predictions[REQUEST_ROWS * FEED_TASKS];
        feed_batch selected;
        const double start = seconds_now();
        s->status = home_model_predict(
            s->model,
            select_rows(s->feed, TRAIN_ROWS + request * REQUEST_ROWS, REQUEST_ROWS, &selected),
            predictions, 0, workspace, &s->error);
        s->latencies[i] = seconds_now() - start;
    }
    free(memory);
    return NULL;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct percentiles {
    double p50; /* in seconds */
    double p99;
} percentiles;

/* Serves from THREADS threads at once and returns the latencies. */
static percentiles serve_from_threads(const home_model *frozen, const feed_log *feed) {
    server *servers = must_allocate(THREADS, sizeof *servers);
    pthread_t threads[THREADS];
    const double start = seconds_now();
    for (size_t i = 0; i < THREADS; i++) {
        servers[i].model = frozen;
        servers[i].feed = feed;
        servers[i].first_request = i * REQUESTS_PER_THREAD;
        if (pthread_create(&threads[i], NULL, serve, &servers[i]) != 0) {
            fprintf(stderr, "demo: cannot start a thread\n");
            exit(1);
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        must(servers[i].status, "serve", &servers[i].error);
    }
    const double seconds = seconds_now() - start;

    const size_t count = (size_t)THREADS * REQUESTS_PER_THREAD;
    double *latencies = must_allocate(count, sizeof *latencies);
    for (size_t i = 0; i < THREADS; i++)
        memcpy(latencies + i * REQUESTS_PER_THREAD, servers[i].latencies,
               sizeof servers[i].latencies);
    qsort(latencies, count, sizeof *latencies, compare_doubles);
    const percentiles result = {.p50 = latencies[count / 2], .p99 = latencies[count * 99 / 100]};
    printf("served %zu requests of %d rows from %d threads: %.0f rows/s\n", count, REQUEST_ROWS,
           THREADS, (double)count * REQUEST_ROWS / seconds);
    free(latencies);
    free(servers);
    return result;
}

/* ----------------------------------------------------------------------------------------- main */

int main(int argc, char **argv) {
    const char *path = argc > 1 ? argv[1] : "build/demo.safetensors";
    home_error error = {.struct_size = sizeof error};
    feed_log feed;
    if (!feed_simulate(&feed, TRAIN_ROWS + TEST_ROWS, 1)) {
        fprintf(stderr, "demo: out of memory\n");
        return 1;
    }
    printf("simulated %d impressions of %d videos to %d users: %d to train on, the next %d "
           "to test on\n",
           TRAIN_ROWS + TEST_ROWS, FEED_VIDEOS, FEED_USERS, TRAIN_ROWS, TEST_ROWS);

    home_model *model = create_model();
    train(model, &feed);
    float *predictions = predict_test_rows(model, &feed);
    const double mean_auc = report(predictions, &feed);

    home_model *reloaded = save_and_reload(model, path);
    float *again = predict_test_rows(reloaded, &feed);
    const bool identical =
        same_bytes(predictions, again, (size_t)TEST_ROWS * FEED_TASKS * sizeof *again);
    printf("saved to %s and reloaded\n", path);

    home_model *frozen;
    must(home_model_freeze(reloaded, &frozen, &error), "freeze", &error);
    float *fast = predict_test_rows(frozen, &feed);
    const float difference = largest_difference(predictions, fast);
    printf("frozen: probabilities differ by at most %.1e\n", (double)difference);
    const percentiles latency = serve_from_threads(frozen, &feed);

    const bool close = difference <= 1e-5f;
    const bool learned = mean_auc >= MIN_MEAN_AUC;
    if (!close)
        fprintf(stderr, "demo: the frozen model's probabilities are off by %g\n",
                (double)difference);
    if (!learned)
        fprintf(stderr, "demo: the mean AUC is %.4f, expected at least %.2f\n", mean_auc,
                MIN_MEAN_AUC);
    printf("demo: mean AUC %.4f, reload identical: %s, p50 %.0f us, p99 %.0f us\n", mean_auc,
           identical ? "yes" : "no", 1e6 * latency.p50, 1e6 * latency.p99);
    home_model_release(model);
    home_model_release(reloaded);
    home_model_release(frozen);
    free(predictions);
    free(again);
    free(fast);
    feed_free(&feed);
    return identical && close && learned ? 0 : 1;
}
