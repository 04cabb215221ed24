#include "bench/verify.h"

#include "reference/reference.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A batch of copies has the same mean and variance as its distinct rows, and so the same loss. The
 * reference is slow, so it only gets the distinct rows. */
enum { DISTINCT = 4, COPIES = 32, TRAINED = DISTINCT * COPIES };

static const double PROBABILITY_TOLERANCE = 2e-5;
static const double LOSS_TOLERANCE = 1e-4;
/* Relative. A central difference through ReLUs is not exact either. */
static const double SLOPE_TOLERANCE = 2e-3;
static const double STEP_TOLERANCE = 1e-3; /* of the learning rate */

/* The models that are compared. */
typedef struct check {
    const reference_model *m;
    reference *truth;
    home_model *model;
    home_error error;
} check;

static _Noreturn void mismatch(const check *c, const char *format, ...) {
    va_list arguments;
    fprintf(stderr, "bench: %s: ", c->m->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    exit(1);
}

static void expect_near(const check *c, double actual, double expected, double tolerance,
                        const char *what) {
    if (!(fabs(actual - expected) <= tolerance)) /* true for NaN */
        mismatch(c, "%s is %.9g, the reference has %.9g", what, actual, expected);
}

static void *allocate(size_t count, size_t size) {
    void *memory = malloc(count * size);
    if (!memory) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return memory;
}

static void set_threads(check *c, home_model *model, size_t threads) {
    must(home_model_set_threads(model, threads, &c->error), &c->error, "set_threads");
}

/* -------------------------------------------------------------------------------------- serving */

/* Compares the first and last rows of batches that take different paths. */
static void verify_predictions(check *c, home_model *frozen, const model_rows *rows,
                               size_t threads) {
    static const size_t batches[] = {1, 16, 128, MODELS_MAX_ROWS};
    enum { BATCHES = sizeof batches / sizeof batches[0] };
    const size_t width = c->m->config.dense_width;
    const size_t tasks = c->m->config.task_count;
    double *dense = allocate(BATCHES * width, sizeof *dense);
    double *logits = allocate(BATCHES * tasks, sizeof *logits);
    float *predictions = allocate(MODELS_MAX_ROWS * tasks, sizeof *predictions);
    for (size_t b = 0; b < BATCHES; b++)
        for (size_t i = 0; i < width; i++)
            dense[b * width + i] = (double)rows->dense[(batches[b] - 1) * width + i];
    reference_forward(c->truth, &(reference_rows){.rows = BATCHES, .dense = dense}, false, logits);
    for (size_t n = 1; n <= threads; n++) {
        set_threads(c, frozen, n);
        for (size_t b = 0; b < BATCHES; b++) {
            const home_batch batch = model_rows_batch(rows, batches[b]);
            must(home_model_predict(frozen, &batch, predictions, 0, NULL, &c->error), &c->error,
                 "predict");
            for (size_t i = 0; i < (b + 1) * tasks; i++)
                expect_near(c, (double)predictions[(batches[i / tasks] - 1) * tasks + i % tasks],
                            reference_sigmoid(logits[i]), PROBABILITY_TOLERANCE, "a prediction");
        }
    }
    free(dense);
    free(logits);
    free(predictions);
}

/* ------------------------------------------------------------------------------------- training */

/* The distinct rows in double, the copies for the library, and the input's gradient summed over the
 * copies. */
typedef struct training_data {
    double *dense;     /* [DISTINCT, width] */
    double *direction; /* [DISTINCT, width] */
    float *copies;     /* [TRAINED, width] */
    float *labels;     /* [TRAINED, tasks] */
} training_data;

static void create_data(training_data *d, const check *c, const model_rows *rows) {
    const size_t width = c->m->config.dense_width;
    const size_t tasks = c->m->config.task_count;
    d->dense = allocate(DISTINCT * width, sizeof *d->dense);
    d->direction = allocate(DISTINCT * width, sizeof *d->direction);
    d->copies = allocate(TRAINED * width, sizeof *d->copies);
    d->labels = allocate(TRAINED * tasks, sizeof *d->labels);
    for (size_t i = 0; i < DISTINCT * width; i++)
        d->dense[i] = (double)rows->dense[i];
    for (size_t k = 0; k < COPIES; k++) {
        memcpy(d->copies + k * DISTINCT * width, rows->dense, DISTINCT * width * sizeof *d->copies);
        memcpy(d->labels + k * DISTINCT * tasks, rows->labels,
               DISTINCT * tasks * sizeof *d->labels);
    }
}

static void free_data(training_data *d) {
    free(d->dense);
    free(d->direction);
    free(d->copies);
    free(d->labels);
}

/* Returns the reference's loss of the distinct rows. */
static double true_loss(const check *c, const training_data *d, double *task_losses) {
    double logits[DISTINCT * MODELS_MAX_TASKS];
    const home_targets targets = {.struct_size = sizeof targets, .labels = d->labels};
    reference_forward(c->truth, &(reference_rows){.rows = DISTINCT, .dense = d->dense}, true,
                      logits);
    return reference_loss(c->truth, DISTINCT, logits, &targets, task_losses);
}

static void run_backward(check *c, const training_data *d, float *losses) {
    const home_batch batch = {.struct_size = sizeof batch, .rows = TRAINED, .dense = d->copies};
    const home_targets targets = {.struct_size = sizeof targets, .labels = d->labels};
    must(home_model_forward(c->model, &batch, NULL, 0, &c->error), &c->error, "forward");
    must(home_model_backward(c->model, &targets, losses, &c->error), &c->error, "backward");
}

static void take_input_gradient(check *c, training_data *d) {
    const size_t width = c->m->config.dense_width;
    home_gradient gradient = {.struct_size = sizeof gradient};
    must(home_model_input_gradient(c->model, &gradient, &c->error), &c->error, "input_gradient");
    for (size_t i = 0; i < DISTINCT * width; i++) {
        d->direction[i] = 0;
        for (size_t k = 0; k < COPIES; k++)
            d->direction[i] +=
                (double)gradient.data[(k * DISTINCT + i / width) * gradient.stride + i % width];
    }
}

static home_tensor tensor_at(check *c, size_t index) {
    home_tensor tensor = {.struct_size = sizeof tensor};
    must(home_model_tensor_at(c->model, index, &tensor, &c->error), &c->error, "tensor_at");
    return tensor;
}

/* Moves the reference's parameters and input by `distance` times the library's gradients. */
static void move_along(check *c, training_data *d, double distance) {
    for (size_t t = 0; t < home_model_tensor_count(c->model); t++) {
        const home_tensor tensor = tensor_at(c, t);
        size_t count = 0;
        double *values = reference_tensor(c->truth, tensor.name, &count);
        if (!tensor.gradient)
            continue;
        for (size_t i = 0; i < count; i++)
            values[i] += distance * (double)tensor.gradient[i];
    }
    for (size_t i = 0; i < DISTINCT * c->m->config.dense_width; i++)
        d->dense[i] += distance * d->direction[i];
}

static float *gradients_of(check *c, size_t *count) {
    home_gradient gradient = {.struct_size = sizeof gradient};
    must(home_model_gradient(c->model, &gradient, &c->error), &c->error, "gradient");
    *count = gradient.width;
    return gradient.data;
}

/* Along the gradient g, the loss must rise with slope |g|². */
static void verify_slope(check *c, training_data *d) {
    size_t count = 0;
    const float *gradients = gradients_of(c, &count);
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += (double)gradients[i] * (double)gradients[i];
    for (size_t i = 0; i < DISTINCT * c->m->config.dense_width; i++)
        square += d->direction[i] * d->direction[i];
    const double distance = 1e-4 / sqrt(square);
    move_along(c, d, distance);
    const double above = true_loss(c, d, NULL);
    move_along(c, d, -2 * distance);
    const double below = true_loss(c, d, NULL);
    move_along(c, d, distance);
    expect_near(c, (above - below) / (2 * distance), square, SLOPE_TOLERANCE * square,
                "the loss's slope along the gradient");
}

/* Adam's first step is lr g / (|g| + epsilon). The reference still has the values before it. */
static void verify_step(check *c) {
    const double rate = 1e-3;
    must(home_model_step(c->model, &c->error), &c->error, "step");
    for (size_t t = 0; t < home_model_tensor_count(c->model); t++) {
        const home_tensor tensor = tensor_at(c, t);
        size_t count = 0;
        const double *before = reference_tensor(c->truth, tensor.name, &count);
        if (!tensor.gradient)
            continue;
        for (size_t i = 0; i < count; i++) {
            const double g = (double)tensor.gradient[i];
            expect_near(c, (double)tensor.data[i], before[i] - rate * g / (fabs(g) + 1e-8),
                        STEP_TOLERANCE * rate, tensor.name);
        }
    }
}

static void verify_training(check *c, const model_rows *rows, size_t threads) {
    training_data d;
    double expected[MODELS_MAX_TASKS];
    float losses[MODELS_MAX_TASKS];
    create_data(&d, c, rows);
    true_loss(c, &d, expected);
    set_threads(c, c->model, 1);
    run_backward(c, &d, losses);
    for (size_t t = 0; t < c->m->config.task_count; t++)
        expect_near(c, (double)losses[t], expected[t], LOSS_TOLERANCE, "a loss");
    take_input_gradient(c, &d);
    verify_slope(c, &d);

    size_t count = 0;
    float *gradients = gradients_of(c, &count);
    float *alone = allocate(count, sizeof *alone);
    memcpy(alone, gradients, count * sizeof *alone);
    for (size_t n = 2; n <= threads; n++) {
        set_threads(c, c->model, n);
        run_backward(c, &d, losses);
        if (memcmp(alone, gradients, count * sizeof *alone) != 0)
            mismatch(c, "the gradients of %zu threads differ from those of one", n);
    }
    free(alone);
    verify_step(c);
    free_data(&d);
}

void verify_model(const reference_model *m, home_model *model, home_model *frozen,
                  const model_rows *rows, size_t threads) {
    check c = {m, reference_create(&m->config, model), model, {.struct_size = sizeof(home_error)}};
    verify_predictions(&c, frozen, rows, threads);
    verify_training(&c, rows, threads);
    reference_free(c.truth);
}
