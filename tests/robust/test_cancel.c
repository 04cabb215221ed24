/* pthread_cancel(): a thread that is canceled while it is in a call ends after it, and leaves
 * nothing behind. Each thread here is canceled before its call, so that the first cancellation
 * point inside would end it. */
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

#include <pthread.h>

enum { ROWS = 400, TIMES = 6 };

typedef struct scene {
    setup config;
    data rows;
    home_model *model;
    char path[PATH_SIZE];
} scene;

/* One call on a thread of its own. */
typedef struct canceled {
    home_status (*call)(scene *s);
    scene *scene;
    home_status status;
    bool returned;
} canceled;

static void *call_canceled(void *argument) {
    canceled *c = argument;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
    pthread_cancel(pthread_self());
    c->status = c->call(c->scene);
    c->returned = true;
    pthread_testcancel();
    return NULL; /* never: it is canceled */
}

/* The call succeeds, and the thread ends right after it, as it was asked to. */
static void survives(scene *s, home_status (*call)(scene *)) {
    pthread_t thread;
    void *end;
    canceled c = {.call = call, .scene = s};
    REQUIRE(pthread_create(&thread, NULL, call_canceled, &c) == 0);
    REQUIRE(pthread_join(thread, &end) == 0);
    if (CHECK(c.returned))
        CHECK_INTEGER(c.status, HOME_OK);
    CHECK(end == PTHREAD_CANCELED);
}

static void scene_begin(scene *s) {
    setup_dense(&s->config, 150);
    s->config.layers[0].width = 96;
    s->config.layers[1].width = 96;
    data_create(&s->rows, &s->config.config, ROWS, 1);
    s->model = make_model(&s->config);
    path_of("model", s->path);
}

static void scene_end(scene *s) {
    home_model_release(s->model);
    data_free(&s->rows);
}

static home_status predict(scene *s) {
    float *out = malloc(ROWS * s->config.config.task_count * sizeof *out);
    REQUIRE(out);
    const home_status status = home_model_predict(s->model, &s->rows.batch, out, 0, NULL, NULL);
    free(out);
    return status;
}

static home_status train(scene *s) {
    home_status status = home_model_forward(s->model, &s->rows.batch, NULL, 0, NULL);
    if (status == HOME_OK)
        status = home_model_backward(s->model, &s->rows.targets, NULL, NULL);
    return status == HOME_OK ? home_model_step(s->model, NULL) : status;
}

static home_status change_pool(scene *s) {
    return home_model_set_threads(s->model, 3, NULL);
}

static home_status save(scene *s) {
    return home_model_save(s->model, s->path, HOME_SAVE_OPTIMIZER, NULL);
}

static home_status load(scene *s) {
    home_model *loaded = NULL;
    const home_status status = home_model_load(s->path, NULL, &loaded, NULL);
    if (status == HOME_OK)
        CHECK(same_model(loaded, s->model));
    home_model_release(loaded);
    return status;
}

static home_status load_weights(scene *s) {
    return home_model_load_weights(s->model, s->path, NULL);
}

/* Three workers on a machine of few cores come late, so that the caller sleeps for them. */
static void the_locks_of_a_pool_are_free_afterwards(void) {
    scene s;
    scene_begin(&s);
    float *expected = predict_all(s.model, &s.rows.batch);
    REQUIRE(home_model_set_threads(s.model, 4, NULL) == HOME_OK);
    for (int i = 0; i < TIMES; i++) {
        survives(&s, predict);
        float *now = predict_all(s.model, &s.rows.batch);
        CHECK_BYTES(now, expected, ROWS * s.config.config.task_count * sizeof *now);
        free(now);
    }
    for (int i = 0; i < TIMES; i++)
        survives(&s, train);
    for (int i = 0; i < TIMES; i++)
        survives(&s, change_pool); /* waits for the threads of the old one */
    CHECK_INTEGER(train(&s), HOME_OK);
    free(expected);
    scene_end(&s);
}

static void files_are_whole_and_free_afterwards(void) {
    scene s;
    scene_begin(&s);
    for (int i = 0; i < TIMES; i++) {
        survives(&s, save);
        CHECK_INTEGER(files_in_folder(), 1); /* no temporary file */
        CHECK_INTEGER(save(&s), HOME_OK);    /* nor a lock in the way */
        survives(&s, load);
        survives(&s, load_weights);
    }
    folder_empty();
    scene_end(&s);
}

int main(void) {
    folder_make();
    RUN(the_locks_of_a_pool_are_free_afterwards);
    RUN(files_are_whole_and_free_afterwards);
    rmdir(folder);
    return test_summary();
}
