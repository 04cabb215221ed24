/* Work spread over threads: the same bytes for any number of them, in training and in serving. */
#include "fixture.h"
#include "test.h"

#include <pthread.h>
#include <string.h>

/* Large enough that products and steps are cut into pieces: about 1.5 million multiply-adds a row,
 * and as many weights. */
static void setup_wide(setup *s) {
    setup_small(s);
    s->config.dense_width = 150;
    s->layers[0].width = 96;
    s->hidden[0][0] = 160;
    s->layers[0].hidden = s->hidden[0];
    s->layers[0].hidden_count = 1;
    s->layers[1].width = 70;
}

/* The checkpoint of a model after some steps with a number of threads. */
static unsigned char *train_with(size_t threads, const data *rows, const setup *s, size_t *length) {
    home_model *model = make_model(s);
    home_error error = new_error();
    REQUIRE(home_model_set_threads(model, threads, &error) == HOME_OK);
    for (int step = 0; step < 3; step++)
        train_step(model, rows);
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, length);
    home_model_release(model);
    return bytes;
}

static void training_is_the_same_for_any_number_of_threads(void) {
    static const size_t counts[] = {2, 3, 7};
    setup s;
    data rows;
    size_t length;
    setup_wide(&s);
    data_create(&rows, &s.config, 333, 1);
    unsigned char *alone = train_with(1, &rows, &s, &length);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        size_t other_length;
        unsigned char *other = train_with(counts[i], &rows, &s, &other_length);
        if (CHECK_INTEGER(other_length, length))
            CHECK_BYTES(other, alone, length);
        free(other);
    }
    free(alone);
    data_free(&rows);
}

/* Rows by ones, a few, some blocks, and more blocks than threads. */
static void serving_is_the_same(void (*fill)(setup *)) {
    static const size_t counts[] = {1, 2, 3, 7};
    static const size_t batches[] = {1, 5, 17, 23, 48, 49, 130, 700};
    setup s;
    data rows;
    fill(&s);
    data_create(&rows, &s.config, 700, 2);
    home_model *model = make_model(&s);
    randomize(model, 3);
    home_model *frozen;
    home_error error = new_error();
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    float *alone = predict_all(frozen, &rows.batch);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        REQUIRE(home_model_set_threads(frozen, counts[i], &error) == HOME_OK);
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            home_ids fields[DATA_FIELDS];
            const home_batch part = data_slice(&rows, 0, batches[b], fields);
            float *out = predict_all(frozen, &part);
            CHECK_BYTES(out, alone, batches[b] * s.config.task_count * sizeof *out);
            free(out);
        }
    }
    free(alone);
    home_model_release(frozen);
    home_model_release(model);
    data_free(&rows);
}

static void serving_is_the_same_for_any_number_of_threads(void) {
    serving_is_the_same(setup_wide);
    serving_is_the_same(setup_small); /* whose blocks are one thread's each */
}

/* A host's own threads: here one after the other, backwards, and counted. */
static int32_t run_backwards(void *user, size_t count, void (*task)(void *context, size_t index),
                             void *context) {
    size_t *calls = user;
    *calls += count;
    while (count-- > 0)
        task(context, count);
    return 0;
}

static void a_host_can_bring_its_own_threads(void) {
    setup s;
    data rows;
    size_t length;
    size_t calls = 0;
    setup_wide(&s);
    data_create(&rows, &s.config, 200, 4);
    unsigned char *alone = train_with(1, &rows, &s, &length);
    home_model *model = make_model(&s);
    home_error error = new_error();
    const home_parallel parallel = {sizeof parallel, &calls, 4, run_backwards};
    REQUIRE(home_model_set_parallel(model, &parallel, &error) == HOME_OK);
    for (int step = 0; step < 3; step++)
        train_step(model, &rows);
    size_t other_length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &other_length);
    if (CHECK_INTEGER(other_length, length))
        CHECK_BYTES(bytes, alone, length);
    CHECK(calls > 100);
    home_model *frozen;
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    calls = 0;
    free(predict_all(frozen, &rows.batch)); /* the copy uses them too */
    CHECK(calls > 1);
    CHECK_INTEGER(home_model_set_parallel(frozen, NULL, &error), HOME_OK);
    calls = 0;
    free(predict_all(frozen, &rows.batch));
    CHECK_INTEGER(calls, 0);
    home_model_release(frozen);
    home_model_release(model);
    free(bytes);
    free(alone);
    data_free(&rows);
}

static void bad_settings_are_refused(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_error error = new_error();
    CHECK_INTEGER(home_model_set_threads(NULL, 2, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_threads(model, 0, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "threads is 0");
    CHECK_INTEGER(home_model_set_threads(model, 1025, &error), HOME_E_ARGUMENT);
    home_parallel parallel = {sizeof parallel, NULL, 2, NULL};
    CHECK_INTEGER(home_model_set_parallel(model, &parallel, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "parallel.run");
    parallel.run = run_backwards;
    parallel.threads = 0;
    CHECK_INTEGER(home_model_set_parallel(model, &parallel, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "parallel.threads is 0");
    home_model_release(model);
}

static void pools_come_and_go(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_error error = new_error();
    int refused = 0;
    for (int i = 0; i < 1000; i++)
        refused += home_model_set_threads(model, 1 + (size_t)i % 4, &error) != HOME_OK;
    CHECK_INTEGER(refused, 0);
    home_model_release(model);
}

/* Several threads predict on one model whose pool only one of them can have at a time. */
typedef struct caller {
    pthread_t thread;
    const home_model *model;
    const home_batch *batch;
    const float *expected;
    size_t bytes;
    int wrong;
} caller;

static void *call_often(void *argument) {
    caller *c = argument;
    for (int i = 0; i < 30; i++) {
        float *out = predict_all(c->model, c->batch);
        c->wrong += memcmp(out, c->expected, c->bytes) != 0;
        free(out);
    }
    return NULL;
}

static void callers_share_a_pool(void) {
    enum { CALLERS = 4 };
    setup s;
    data rows;
    caller callers[CALLERS];
    setup_wide(&s);
    data_create(&rows, &s.config, 100, 5);
    home_model *model = make_model(&s);
    home_error error = new_error();
    float *expected = predict_all(model, &rows.batch);
    REQUIRE(home_model_set_threads(model, 3, &error) == HOME_OK);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller){.model = model, .batch = &rows.batch, .expected = expected};
        callers[i].bytes = 100 * s.config.task_count * sizeof *expected;
        REQUIRE(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]) == 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        CHECK_INTEGER(callers[i].wrong, 0);
    }
    free(expected);
    home_model_release(model);
    data_free(&rows);
}

int main(void) {
    RUN(training_is_the_same_for_any_number_of_threads);
    RUN(serving_is_the_same_for_any_number_of_threads);
    RUN(a_host_can_bring_its_own_threads);
    RUN(bad_settings_are_refused);
    RUN(pools_come_and_go);
    RUN(callers_share_a_pool);
    return test_summary();
}
