/* Many threads: some predict while one trains and replaces what they predict with; models come and
 * go in all of them; a model passes from thread to thread. */
#include "robust/service.h"
#include "test.h"
#include "unit/fixture.h"

#include <sched.h>

static bool quick(void) {
    return getenv("TEST_QUICK") != NULL;
}

/* ----------------------------------------------------------------------------- model in service */

enum { READERS = 6, ROWS = 40, MAX_VERSIONS = 60 };

typedef struct server {
    service service;
    setup config;
    data rows;
    float *expected[MAX_VERSIONS]; /* of each version, before it goes into service */
    atomic_bool over;
    atomic_size_t served[MAX_VERSIONS]; /* calls */
    atomic_int wrong;
} server;

typedef struct reader {
    pthread_t thread;
    server *server;
    bool own_workspace;
} reader;

/* A workspace for each form of the model: frozen, and as it trains. */
typedef struct workspaces {
    void *memory[2];
    home_workspace *of[2];
} workspaces;

static home_workspace *workspace_for(workspaces *w, const home_model *model) {
    const int form = home_model_is_frozen(model);
    if (!w->of[form]) {
        const size_t size = home_workspace_size(model);
        w->memory[form] = malloc(size);
        REQUIRE(w->memory[form]);
        REQUIRE(home_workspace_init(model, w->memory[form], size, &w->of[form], NULL) == HOME_OK);
    }
    return w->of[form];
}

static void predict_once(server *s, size_t first, size_t count, workspaces *w) {
    size_t version;
    float out[ROWS * SETUP_TASKS];
    home_ids fields[DATA_FIELDS];
    const size_t tasks = s->config.config.task_count;
    const home_batch part = data_slice(&s->rows, first, count, fields);
    const home_model *model = service_take(&s->service, &version);
    home_workspace *workspace = w ? workspace_for(w, model) : NULL;
    if (home_model_predict(model, &part, out, 0, workspace, NULL) != HOME_OK ||
        memcmp(out, s->expected[version] + first * tasks, count * tasks * sizeof *out) != 0)
        atomic_fetch_add(&s->wrong, 1);
    home_model_release(model);
    atomic_fetch_add(&s->served[version], 1);
}

static void *keep_predicting(void *argument) {
    const reader *r = argument;
    workspaces own = {.memory = {NULL, NULL}};
    for (size_t round = 0; !atomic_load(&r->server->over); round++) {
        const size_t first = round * 7 % ROWS;
        predict_once(r->server, first, 1 + round % (ROWS - first), r->own_workspace ? &own : NULL);
    }
    free(own.memory[0]);
    free(own.memory[1]);
    return NULL;
}

/* A frozen copy, or one that could train on. */
static home_model *copy_of(const home_model *model, bool frozen) {
    home_model *copy = NULL;
    if (frozen) {
        REQUIRE(home_model_freeze(model, &copy, NULL) == HOME_OK);
        return copy;
    }
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    REQUIRE(home_model_load_memory(bytes, length, NULL, &copy, NULL) == HOME_OK);
    free(bytes);
    return copy;
}

static void put_into_service(server *s, const home_model *trained, size_t version, size_t threads) {
    home_model *copy = copy_of(trained, version % 3 != 0);
    REQUIRE(home_model_set_threads(copy, threads, NULL) == HOME_OK);
    s->expected[version] = predict_all(copy, &s->rows.batch);
    service_replace(&s->service, copy, version);
}

static void serve_while_training(size_t threads) {
    const size_t versions = quick() ? 12 : MAX_VERSIONS;
    static server s;
    reader readers[READERS];
    memset(&s, 0, sizeof s);
    pthread_mutex_init(&s.service.lock, NULL);
    setup_small(&s.config);
    data_create(&s.rows, &s.config.config, ROWS, 1);
    home_model *trained = make_model(&s.config);
    put_into_service(&s, trained, 0, threads);
    for (size_t i = 0; i < READERS; i++) {
        readers[i] = (reader){.server = &s, .own_workspace = i % 2};
        REQUIRE(pthread_create(&readers[i].thread, NULL, keep_predicting, &readers[i]) == 0);
    }
    for (size_t version = 1; version < versions; version++) {
        while (atomic_load(&s.served[version - 1]) < READERS)
            sched_yield();
        for (int step = 0; step < 3; step++)
            train_step(trained, &s.rows);
        put_into_service(&s, trained, version, threads);
    }
    atomic_store(&s.over, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    CHECK_INTEGER(s.wrong, 0);
    const size_t bytes = ROWS * s.config.config.task_count * sizeof(float);
    /* Versions can be told apart. */
    CHECK(memcmp(s.expected[0], s.expected[versions - 1], bytes) != 0);
    for (size_t version = 0; version < versions; version++)
        free(s.expected[version]);
    home_model_release(s.service.model);
    home_model_release(trained);
    pthread_mutex_destroy(&s.service.lock);
    data_free(&s.rows);
}

static void threads_predict_while_one_trains_and_replaces(void) {
    serve_while_training(1);
}

static void threads_with_pools_predict_while_one_trains(void) {
    serve_while_training(3);
}

/* --------------------------------------------------------------------------------------- storms */

typedef struct storm {
    pthread_t thread;
    const data *rows;
    home_config config;
    const float *expected;
    int wrong;
} storm;

/* The life of a model. Failures are counted: the thread may not end the program's other threads. */
static void live(storm *s, size_t threads) {
    home_model *model = NULL;
    home_model *frozen = NULL;
    float out[ROWS * SETUP_TASKS];
    s->wrong += home_model_create(&s->config, &model, NULL) != HOME_OK;
    s->wrong += home_model_set_threads(model, threads, NULL) != HOME_OK;
    s->wrong += home_model_predict(model, &s->rows->batch, out, 0, NULL, NULL) != HOME_OK;
    s->wrong += memcmp(out, s->expected, ROWS * s->config.task_count * sizeof *out) != 0;
    s->wrong += home_model_freeze(model, &frozen, NULL) != HOME_OK;
    s->wrong += home_model_forward(model, &s->rows->batch, NULL, 0, NULL) != HOME_OK;
    s->wrong += home_model_backward(model, &s->rows->targets, NULL, NULL) != HOME_OK;
    s->wrong += home_model_step(model, NULL) != HOME_OK;
    home_model_release(model);
    s->wrong += home_model_set_threads(frozen, threads, NULL) != HOME_OK;
    s->wrong += home_model_predict(frozen, &s->rows->batch, out, 0, NULL, NULL) != HOME_OK;
    home_model_release(frozen);
}

static void *live_often(void *argument) {
    storm *s = argument;
    const size_t lives = quick() ? 20 : 250;
    for (size_t i = 0; i < lives; i++)
        live(s, 1 + i % 3);
    return NULL;
}

static void models_and_pools_come_and_go_in_many_threads(void) {
    enum { THREADS = 4 };
    storm storms[THREADS];
    setup config;
    data rows;
    meter memory;
    const home_allocator allocator = meter_allocator(&memory);
    setup_small(&config);
    data_create(&rows, &config.config, ROWS, 2);
    home_model *model = make_model(&config);
    float *expected = predict_all(model, &rows.batch);
    config.config.allocator = &allocator;
    for (size_t i = 0; i < THREADS; i++) {
        storms[i] = (storm){.rows = &rows, .config = config.config, .expected = expected};
        REQUIRE(pthread_create(&storms[i].thread, NULL, live_often, &storms[i]) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(storms[i].thread, NULL);
        CHECK_INTEGER(storms[i].wrong, 0);
    }
    CHECK(memory.allocations > 0);
    CHECK_INTEGER(memory.live, 0);
    free(expected);
    home_model_release(model);
    data_free(&rows);
}

/* ---------------------------------------------------------------------------- a thousand models */

/* Neither a thousand models nor what happens to the others changes what one computes. */
static void a_thousand_models_live_at_once(void) {
    enum { MODELS = 1000, FEW = 5 };
    static home_model *models[MODELS];
    static float *expected[MODELS];
    setup config;
    data rows;
    meter memory;
    const home_allocator allocator = meter_allocator(&memory);
    setup_small(&config);
    data_create(&rows, &config.config, FEW, 3);
    config.config.allocator = &allocator;
    for (size_t i = 0; i < MODELS; i++) {
        config.config.seed = i;
        models[i] = make_model(&config);
        expected[i] = predict_all(models[i], &rows.batch);
    }
    const size_t bytes = FEW * config.config.task_count * sizeof(float);
    for (size_t i = 0; i < MODELS; i += 2)
        train_step(models[i], &rows);
    for (size_t i = 1; i < MODELS; i += 4)
        home_model_release(models[i]);
    int wrong = 0;
    int alike = 0;
    for (size_t i = 3; i < MODELS; i += 4) {
        float *out = predict_all(models[i], &rows.batch);
        wrong += memcmp(out, expected[i], bytes) != 0;
        alike += memcmp(out, expected[i - 1], bytes) == 0;
        free(out);
    }
    CHECK_INTEGER(wrong, 0);
    CHECK_INTEGER(alike, 0);
    for (size_t i = 0; i < MODELS; i++) {
        if (i % 4 != 1)
            home_model_release(models[i]);
        free(expected[i]);
    }
    CHECK_INTEGER(memory.live, 0);
    data_free(&rows);
}

/* ------------------------------------------------------------------------ from thread to thread */

typedef struct journey {
    setup config;
    data rows;
    home_model *model;
    home_model *frozen;
    float *predicted;
} journey;

static void *create(void *argument) {
    journey *j = argument;
    j->model = make_model(&j->config);
    REQUIRE(home_model_set_threads(j->model, 2, NULL) == HOME_OK);
    return NULL;
}

static void *forward(void *argument) {
    const journey *j = argument;
    REQUIRE(home_model_forward(j->model, &j->rows.batch, NULL, 0, NULL) == HOME_OK);
    return NULL;
}

static void *backward(void *argument) {
    const journey *j = argument;
    REQUIRE(home_model_backward(j->model, &j->rows.targets, NULL, NULL) == HOME_OK);
    return NULL;
}

static void *step(void *argument) {
    const journey *j = argument;
    REQUIRE(home_model_step(j->model, NULL) == HOME_OK);
    return NULL;
}

static void *freeze(void *argument) {
    journey *j = argument;
    REQUIRE(home_model_freeze(j->model, &j->frozen, NULL) == HOME_OK);
    return NULL;
}

static void *release(void *argument) {
    const journey *j = argument;
    home_model_release(j->model);
    return NULL;
}

static void *predict(void *argument) {
    journey *j = argument;
    j->predicted = predict_all(j->frozen, &j->rows.batch);
    home_model_release(j->frozen);
    return NULL;
}

static void *in_a_thread(void *(*part)(void *), void *argument) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, part, argument) == 0);
    pthread_join(thread, NULL);
    return NULL;
}

static void *here(void *(*part)(void *), void *argument) {
    return part(argument);
}

static void every_call_may_come_from_a_thread_of_its_own(void) {
    static void *(*const parts[])(void *) = {create,   forward, backward, step,    forward,
                                             backward, step,    freeze,   release, predict};
    static void *(*const where[])(void *(*)(void *), void *) = {here, in_a_thread};
    journey j[2];
    for (size_t k = 0; k < 2; k++) {
        setup_small(&j[k].config);
        data_create(&j[k].rows, &j[k].config.config, ROWS, 4);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            where[k](parts[i], &j[k]);
    }
    CHECK_BYTES(j[1].predicted, j[0].predicted,
                ROWS * j[0].config.config.task_count * sizeof(float));
    for (size_t k = 0; k < 2; k++) {
        free(j[k].predicted);
        data_free(&j[k].rows);
    }
}

int main(void) {
    RUN(threads_predict_while_one_trains_and_replaces);
    RUN(threads_with_pools_predict_while_one_trains);
    RUN(models_and_pools_come_and_go_in_many_threads);
    RUN(a_thousand_models_live_at_once);
    RUN(every_call_may_come_from_a_thread_of_its_own);
    return test_summary();
}
