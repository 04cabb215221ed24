/* Prints the size and speed of a checkpoint's model as one JSON object.
 *
 *     study-speed MODEL.safetensors
 *
 * Rows per second of processor time of one thread, the best of several rounds, so that a busy
 * machine changes the figures little. Rows of one batch are used again and again: the input is made
 * up, and so are the labels. */
#include <home/home.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROWS = 512, ROUNDS = 8 };

typedef struct input {
    home_batch batch;
    home_targets targets;
    home_ids *fields;
    uint64_t *ids; /* all 0: the row of unknown values, which every table has */
    float *dense;
    float *labels;
    float *predictions;
} input;

typedef home_status work(home_model *model, const input *rows, home_error *error);

static home_status train(home_model *model, const input *rows, home_error *error) {
    home_status status = home_model_forward(model, &rows->batch, NULL, 0, error);
    if (!status)
        status = home_model_backward(model, &rows->targets, NULL, error);
    return status ? status : home_model_step(model, error);
}

static home_status serve(home_model *model, const input *rows, home_error *error) {
    return home_model_predict(model, &rows->batch, rows->predictions, 0, NULL, error);
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* 0, and the error's message printed, where a call fails. */
static double rows_per_second(home_model *model, const input *rows, work *call) {
    home_error error = {.struct_size = sizeof error};
    double best = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const double begin = processor_seconds();
        if (call(model, rows, &error)) {
            fprintf(stderr, "%s\n", error.message);
            return 0;
        }
        const double rate = ROWS / (processor_seconds() - begin);
        best = rate > best ? rate : best;
    }
    return best;
}

static void release_input(input *rows) {
    free(rows->fields);
    free(rows->ids);
    free(rows->dense);
    free(rows->labels);
    free(rows->predictions);
}

static int make_input(input *rows, const home_model *model) {
    const size_t width = home_model_dense_width(model);
    const size_t tasks = home_model_task_count(model);
    const size_t fields = home_model_field_count(model);
    rows->fields = calloc(fields + 1, sizeof *rows->fields);
    rows->ids = calloc(ROWS, sizeof *rows->ids);
    rows->dense = calloc(ROWS * width + 1, sizeof *rows->dense);
    rows->labels = calloc(ROWS * tasks, sizeof *rows->labels);
    rows->predictions = calloc(ROWS * tasks, sizeof *rows->predictions);
    if (!rows->fields || !rows->ids || !rows->dense || !rows->labels || !rows->predictions)
        return 0;
    for (size_t i = 0; i < fields; i++)
        rows->fields[i] = (home_ids){.struct_size = sizeof(home_ids), .ids = rows->ids};
    for (size_t i = 0; i < ROWS * width; i++)
        rows->dense[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    for (size_t i = 0; i < ROWS * tasks; i++)
        rows->labels[i] = i % 3 == 0 ? 1.0f : 0.0f;
    rows->batch = (home_batch){.struct_size = sizeof rows->batch,
                               .rows = ROWS,
                               .dense = rows->dense,
                               .fields = rows->fields,
                               .field_count = fields};
    rows->targets = (home_targets){.struct_size = sizeof rows->targets, .labels = rows->labels};
    return 1;
}

static int measure(home_model *model, home_model *frozen, const input *rows) {
    const double serving = rows_per_second(frozen, rows, serve);
    const double training = rows_per_second(model, rows, train);
    printf("{\"parameters\": %" PRIu64 ", \"flops\": %" PRIu64
           ", \"training\": %.0f, \"serving\": %.0f}\n",
           home_model_parameter_count(model), 2 * home_model_macs_per_row(model), training,
           serving);
    return serving > 0 && training > 0;
}

int main(int count, char **words) {
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    home_model *frozen = NULL;
    input rows = {0};
    int done = 0;
    if (count != 2)
        fprintf(stderr, "usage: study-speed MODEL.safetensors\n");
    else if (home_model_load(words[1], NULL, &model, &error) ||
             home_model_freeze(model, &frozen, &error))
        fprintf(stderr, "%s: %s\n", words[1], error.message);
    else if (!make_input(&rows, model))
        fprintf(stderr, "out of memory\n");
    else
        done = measure(model, frozen, &rows);
    release_input(&rows);
    home_model_release(frozen);
    home_model_release(model);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
