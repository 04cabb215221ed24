/* A host's home_parallel.run that stops a call: what fails, what goes on, and that nothing is left
 * half done, wherever it stops and however many of the tasks it has called by then. */
#include "fixture.h"
#include "test.h"

#include <limits.h>

enum { ROWS = 120, STOPS = 12 };

/* Runs tasks one after the other, and stops in call `stop_at` after a share of its tasks. */
typedef struct host {
    size_t calls;
    size_t stop_at; /* SIZE_MAX: never */
    bool always;    /* and in all later ones */
    int share;      /* 0: no task, 1: half of them, 2: all */
    int32_t code;
} host;

static int32_t run(void *user, size_t count, void (*task)(void *context, size_t index),
                   void *context) {
    host *h = user;
    const size_t call = h->calls++;
    const bool stops = h->always ? call >= h->stop_at : call == h->stop_at;
    const size_t end = stops ? count * (size_t)h->share / 2 : count;
    /* From the last to the first: those that are left are not the last ones. */
    for (size_t i = 0; i < end; i++)
        task(context, count - 1 - i);
    return stops ? h->code : 0;
}

static void stop_in(host *h, size_t call, int share) {
    *h = (host){.stop_at = call, .share = share, .code = -7};
}

static void never_stop(host *h) {
    *h = (host){.stop_at = SIZE_MAX};
}

/* Two equal models: one of a host that stops calls, one that is left in peace. */
typedef struct scene {
    setup config;
    data d;
    host host;
    home_model *model;
    home_model *peace;
    home_error error;
} scene;

static void scene_begin(scene *s) {
    setup_small(&s->config);
    s->config.config.dense_width = 150;
    s->config.layers[0].width = 96;
    s->config.hidden[0][0] = 300;
    s->config.layers[1].width = 70;
    s->config.optimizer.clip_norm = 0.5;
    data_create(&s->d, &s->config.config, ROWS, 4);
    s->model = make_model(&s->config);
    s->peace = make_model(&s->config);
    s->error = new_error();
    randomize(s->model, 5);
    copy_tensors(s->peace, s->model);
    never_stop(&s->host);
    const home_parallel parallel = {sizeof parallel, &s->host, 4, run};
    REQUIRE(home_model_set_parallel(s->model, &parallel, NULL) == HOME_OK);
}

static void scene_end(scene *s) {
    home_model_release(s->model);
    home_model_release(s->peace);
    data_free(&s->d);
}

static bool is_canceled(scene *s, home_status status) {
    const bool so =
        CHECK_INTEGER(status, HOME_E_CANCELED) && CHECK_INTEGER(s->error.status, HOME_E_CANCELED);
    if (so)
        CHECK_CONTAINS(s->error.message, "home_parallel.run returned -7");
    s->error = new_error();
    return so;
}

/* Number `i` of STOPS calls, spread over `calls`, with the first and the last among them. */
static size_t stop_number(size_t i, size_t calls) {
    return calls <= STOPS ? i : i * (calls - 1) / (STOPS - 1);
}

static size_t stop_count(size_t calls) {
    return calls < STOPS ? calls : STOPS;
}

/* -------------------------------------------------------------------------------------- serving */

static void predict_can_be_stopped(size_t rows) {
    scene s;
    home_ids fields[DATA_FIELDS];
    home_model *frozen;
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    scene_begin(&s);
    s.config.config.allocator = &allocator;
    home_model *metered = make_model(&s.config);
    copy_tensors(metered, s.model);
    REQUIRE(home_model_freeze(metered, &frozen, NULL) == HOME_OK);
    const home_parallel parallel = {sizeof parallel, &s.host, 4, run};
    REQUIRE(home_model_set_parallel(frozen, &parallel, NULL) == HOME_OK);
    const home_batch batch = data_slice(&s.d, 0, rows, fields);
    float *expected = predict_all(frozen, &batch);
    const size_t calls = s.host.calls;
    const long live = m.live;
    float out[ROWS * 3];
    CHECK(calls > 0);
    for (size_t i = 0; i < stop_count(calls); i++)
        for (int share = 0; share < 3; share++) {
            stop_in(&s.host, stop_number(i, calls), share);
            is_canceled(&s, home_model_predict(frozen, &batch, out, 0, NULL, &s.error));
            CHECK_INTEGER(m.live, live); /* the workspace is back */
            never_stop(&s.host);
            CHECK_INTEGER(home_model_predict(frozen, &batch, out, 0, NULL, &s.error), HOME_OK);
            CHECK_BYTES(out, expected, rows * 3 * sizeof *out);
        }
    free(expected);
    home_model_release(frozen);
    home_model_release(metered);
    scene_end(&s);
}

static void predict_can_be_stopped_between_blocks_and_inside(void) {
    predict_can_be_stopped(ROWS); /* threads have rows of their own */
    predict_can_be_stopped(24);   /* threads share the work of a block */
}

static void health_that_is_stopped_holds_what_it_held(void) {
    scene s;
    home_health *health;
    home_health *peace;
    home_expert_health now = {.struct_size = sizeof now};
    home_expert_health expected = {.struct_size = sizeof expected};
    scene_begin(&s);
    REQUIRE(home_health_create(s.model, NULL, &health, NULL) == HOME_OK);
    REQUIRE(home_health_create(s.peace, NULL, &peace, NULL) == HOME_OK);
    for (int i = 0; i < 2; i++)
        REQUIRE(home_health_add(peace, s.peace, &s.d.batch, NULL) == HOME_OK);
    REQUIRE(home_health_add(health, s.model, &s.d.batch, NULL) == HOME_OK);
    const size_t calls = s.host.calls;
    CHECK(calls > 0);
    for (size_t i = 0; i < stop_count(calls); i++) {
        stop_in(&s.host, stop_number(i, calls), (int)(i % 3));
        is_canceled(&s, home_health_add(health, s.model, &s.d.batch, &s.error));
        CHECK_INTEGER(home_health_rows(health), ROWS);
    }
    never_stop(&s.host);
    REQUIRE(home_health_add(health, s.model, &s.d.batch, NULL) == HOME_OK);
    for (size_t e = 0; e < home_health_expert_count(health); e++) {
        REQUIRE(home_health_expert(health, e, &now, NULL) == HOME_OK);
        REQUIRE(home_health_expert(peace, e, &expected, NULL) == HOME_OK);
        CHECK(now.mean == expected.mean && now.deviation == expected.deviation);
    }
    home_health_destroy(health);
    home_health_destroy(peace);
    scene_end(&s);
}

/* ------------------------------------------------------------------------------------- training */

static home_status forward(scene *s) {
    return home_model_forward(s->model, &s->d.batch, NULL, 0, &s->error);
}

static home_status backward(scene *s) {
    return home_model_backward(s->model, &s->d.targets, NULL, &s->error);
}

/* Running values stay, and so does all else. */
static void forward_that_is_stopped_changes_nothing(void) {
    scene s;
    size_t length;
    scene_begin(&s);
    CHECK_INTEGER(forward(&s), HOME_OK);
    free(forward_all(s.peace, &s.d.batch));
    const size_t calls = s.host.calls;
    CHECK(calls > STOPS);
    unsigned char *before = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
    for (size_t i = 0; i < STOPS; i++) {
        stop_in(&s.host, stop_number(i, calls), (int)(i % 3));
        is_canceled(&s, forward(&s));
        unsigned char *after = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
        CHECK_BYTES(after, before, length);
        free(after);
        CHECK_INTEGER(backward(&s), HOME_E_STATE);
        CHECK_INTEGER(home_model_step(s.model, NULL), HOME_E_STATE);
    }
    never_stop(&s.host);
    train_step(s.model, &s.d);
    train_step(s.peace, &s.d);
    CHECK(same_model(s.model, s.peace));
    free(before);
    scene_end(&s);
}

/* After a stop the forward still stands. */
static void backward_that_is_stopped_can_be_called_again(void) {
    scene s;
    scene_begin(&s);
    CHECK_INTEGER(forward(&s), HOME_OK);
    never_stop(&s.host);
    CHECK_INTEGER(backward(&s), HOME_OK);
    const size_t calls = s.host.calls;
    CHECK(calls > STOPS);
    CHECK_INTEGER(home_model_step(s.model, NULL), HOME_OK);
    train_step(s.peace, &s.d);
    CHECK_INTEGER(forward(&s), HOME_OK);
    for (size_t i = 0; i < STOPS; i++) {
        stop_in(&s.host, stop_number(i, calls), (int)(i % 3));
        is_canceled(&s, backward(&s));
        CHECK_INTEGER(home_model_step(s.model, NULL), HOME_E_STATE);
        CHECK(home_model_gradient_norm(s.model) == 0);
    }
    never_stop(&s.host);
    CHECK_INTEGER(backward(&s), HOME_OK);
    CHECK_INTEGER(home_model_step(s.model, NULL), HOME_OK);
    train_step(s.peace, &s.d);
    CHECK(same_model(s.model, s.peace));
    scene_end(&s);
}

static void the_other_backwards_can_be_stopped_too(void) {
    scene s;
    scene_begin(&s);
    static float dlogits[ROWS * 3];
    for (size_t i = 0; i < (size_t)ROWS * 3; i++)
        dlogits[i] = (float)i / ROWS - 1;
    float loss;
    home_gradient g = {.struct_size = sizeof g};
    train_step(s.model, &s.d);
    train_step(s.peace, &s.d);
    REQUIRE(home_model_gradient(s.model, &g, NULL) == HOME_OK);
    const size_t count = g.width;
    float *gradients = calloc(count, sizeof *gradients);
    float *expected = calloc(count, sizeof *expected);
    REQUIRE(gradients && expected);
    CHECK_INTEGER(forward(&s), HOME_OK);
    free(forward_all(s.peace, &s.d.batch));
    for (size_t call = 0; call < STOPS; call++) {
        stop_in(&s.host, call, (int)(call % 3));
        is_canceled(&s, home_model_backward_from(s.model, dlogits, 0, 0, &s.error));
        stop_in(&s.host, call, (int)(call % 3));
        is_canceled(&s, home_model_task_gradient(s.model, &s.d.targets, 1, gradients, count, &loss,
                                                 &s.error));
    }
    never_stop(&s.host);
    CHECK_INTEGER(home_model_task_gradient(s.model, &s.d.targets, 1, gradients, count, NULL, NULL),
                  HOME_OK);
    CHECK_INTEGER(home_model_task_gradient(s.peace, &s.d.targets, 1, expected, count, NULL, NULL),
                  HOME_OK);
    CHECK_BYTES(gradients, expected, count * sizeof *gradients);
    CHECK_INTEGER(home_model_backward_from(s.model, dlogits, 0, 0, NULL), HOME_OK);
    CHECK_INTEGER(home_model_backward_from(s.peace, dlogits, 0, 0, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(s.model, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(s.peace, NULL), HOME_OK);
    CHECK(same_model(s.model, s.peace));
    free(gradients);
    free(expected);
    scene_end(&s);
}

static home_status backward_part(home_model *model, const data *d, home_error *error) {
    home_targets targets = d->targets;
    targets.accumulate = HOME_ON;
    return home_model_backward(model, &targets, NULL, error);
}

/* A part that is stopped leaves those before it. A backward that would have replaced them leaves
 * none, so that the next one has nothing to add to. */
static void parts_survive_a_part_that_is_stopped(void) {
    scene s;
    scene_begin(&s);
    for (int part = 0; part < 2; part++) {
        CHECK_INTEGER(forward(&s), HOME_OK);
        free(forward_all(s.peace, &s.d.batch));
        for (size_t call = 0; part == 1 && call < STOPS; call++) {
            stop_in(&s.host, call, (int)(call % 3));
            is_canceled(&s, backward_part(s.model, &s.d, &s.error));
            CHECK_INTEGER(home_model_step(s.model, NULL), HOME_E_STATE);
        }
        never_stop(&s.host);
        CHECK_INTEGER(backward_part(s.model, &s.d, NULL), HOME_OK);
        CHECK_INTEGER(backward_part(s.peace, &s.d, NULL), HOME_OK);
    }
    CHECK_INTEGER(home_model_step(s.model, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(s.peace, NULL), HOME_OK);
    CHECK(same_model(s.model, s.peace));

    CHECK_INTEGER(forward(&s), HOME_OK);
    CHECK_INTEGER(backward(&s), HOME_OK);
    CHECK_INTEGER(forward(&s), HOME_OK);
    stop_in(&s.host, 3, 1);
    is_canceled(&s, backward(&s));
    never_stop(&s.host);
    CHECK_INTEGER(backward_part(s.model, &s.d, NULL), HOME_OK);
    free(forward_all(s.peace, &s.d.batch)); /* moves the running values, too */
    free(forward_all(s.peace, &s.d.batch));
    CHECK_INTEGER(home_model_backward(s.peace, &s.d.targets, NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(s.model, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(s.peace, NULL), HOME_OK);
    CHECK(same_model(s.model, s.peace));
    scene_end(&s);
}

/* Whatever the host leaves undone, the calling thread does. */
static void step_is_never_half_taken(void) {
    scene s;
    scene_begin(&s);
    size_t calls = SIZE_MAX;
    for (size_t i = 0; i < 12; i++) {
        never_stop(&s.host);
        CHECK_INTEGER(forward(&s), HOME_OK);
        CHECK_INTEGER(backward(&s), HOME_OK);
        stop_in(&s.host, i / 3, (int)(i % 3));
        s.host.always = i >= 9;
        CHECK(home_model_gradient_norm(s.model) > 0);
        CHECK_INTEGER(home_model_step(s.model, &s.error), HOME_OK);
        calls = s.host.calls < calls ? s.host.calls : calls;
        train_step(s.peace, &s.d);
    }
    CHECK(calls >= 4); /* the norm twice, the values, the packed weights */
    CHECK(same_model(s.model, s.peace));
    never_stop(&s.host);
    float *actual = predict_all(s.model, &s.d.batch); /* from the packed weights */
    float *expected = predict_all(s.peace, &s.d.batch);
    CHECK_BYTES(actual, expected, (size_t)ROWS * 3 * sizeof *actual);
    free(actual);
    free(expected);
    scene_end(&s);
}

static void freezing_is_never_stopped(void) {
    scene s;
    home_model *frozen;
    scene_begin(&s);
    stop_in(&s.host, 0, 1);
    s.host.always = true;
    CHECK_INTEGER(home_model_freeze(s.model, &frozen, &s.error), HOME_OK);
    never_stop(&s.host);
    home_model *peace;
    REQUIRE(home_model_freeze(s.peace, &peace, NULL) == HOME_OK);
    float *actual = predict_all(frozen, &s.d.batch);
    float *expected = predict_all(peace, &s.d.batch);
    CHECK_BYTES(actual, expected, (size_t)ROWS * 3 * sizeof *actual);
    free(actual);
    free(expected);
    home_model_release(frozen);
    home_model_release(peace);
    scene_end(&s);
}

static void the_message_has_what_the_host_returned(void) {
    static const struct {
        int32_t code;
        const char *words;
    } cases[] = {{1, "returned 1,"},
                 {INT32_MAX, "returned 2147483647,"},
                 {INT32_MIN, "returned -2147483648,"}};
    scene s;
    float out[ROWS * 3];
    scene_begin(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stop_in(&s.host, 0, 0);
        s.host.code = cases[i].code;
        CHECK_INTEGER(home_model_predict(s.model, &s.d.batch, out, 0, NULL, &s.error),
                      HOME_E_CANCELED);
        CHECK_CONTAINS(s.error.message, cases[i].words);
    }
    CHECK_CONTAINS(home_status_string(HOME_E_CANCELED), "callback");
    scene_end(&s);
}

int main(void) {
    RUN(predict_can_be_stopped_between_blocks_and_inside);
    RUN(health_that_is_stopped_holds_what_it_held);
    RUN(forward_that_is_stopped_changes_nothing);
    RUN(backward_that_is_stopped_can_be_called_again);
    RUN(the_other_backwards_can_be_stopped_too);
    RUN(parts_survive_a_part_that_is_stopped);
    RUN(step_is_never_half_taken);
    RUN(freezing_is_never_stopped);
    RUN(the_message_has_what_the_host_returned);
    return test_summary();
}
