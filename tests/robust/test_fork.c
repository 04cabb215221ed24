/* fork(): a model is the child's as it is the parent's, with a pool of threads and without. */
#include "robust/child.h"
#include "unit/fixture.h"

#include <pthread.h>

/* A model large enough that its pool is used, rows, and what a lone thread makes of them. */
typedef struct scene {
    setup config;
    data rows;
    home_model *model;
    float *predicted;
    unsigned char *trained; /* the checkpoint after two more steps */
    size_t trained_length;
} scene;

enum { ROWS = 200 };

static void scene_begin(scene *s) {
    setup_dense(&s->config, 60);
    s->config.layers[0].width = 48;
    s->config.layers[1].width = 32;
    data_create(&s->rows, &s->config.config, ROWS, 1);
    s->model = make_model(&s->config);
    train_step(s->model, &s->rows);
    s->predicted = predict_all(s->model, &s->rows.batch);
    size_t length;
    unsigned char *bytes = model_bytes(s->model, HOME_SAVE_OPTIMIZER, &length);
    home_model *copy;
    REQUIRE(home_model_load_memory(bytes, length, NULL, &copy, NULL) == HOME_OK);
    free(bytes);
    train_step(copy, &s->rows);
    train_step(copy, &s->rows);
    s->trained = model_bytes(copy, HOME_SAVE_OPTIMIZER, &s->trained_length);
    home_model_release(copy);
}

static void scene_end(scene *s) {
    home_model_release(s->model);
    free(s->predicted);
    free(s->trained);
    data_free(&s->rows);
}

static void use_pool(const scene *s, size_t threads) {
    REQUIRE(home_model_set_threads(s->model, threads, NULL) == HOME_OK);
}

/* What a process may do with the model; each returns its failures. */

static int predict(void *context) {
    const scene *s = context;
    float *out = predict_all(s->model, &s->rows.batch);
    const int wrong =
        memcmp(out, s->predicted, ROWS * s->config.config.task_count * sizeof *out) != 0;
    free(out);
    return wrong;
}

static int train(void *context) {
    const scene *s = context;
    train_step(s->model, &s->rows);
    train_step(s->model, &s->rows);
    size_t length;
    unsigned char *bytes = model_bytes(s->model, HOME_SAVE_OPTIMIZER, &length);
    const int wrong = length != s->trained_length || memcmp(bytes, s->trained, length) != 0;
    free(bytes);
    return wrong;
}

static int predict_train_and_destroy(void *context) {
    scene *s = context;
    const int wrong = predict(context) + train(context);
    home_model_release(s->model);
    return wrong;
}

static int train_with_threads_of_its_own(void *context) {
    scene *s = context;
    use_pool(s, 3);
    return predict_train_and_destroy(context);
}

static int destroy(void *context) {
    scene *s = context;
    home_model_release(s->model);
    return 0;
}

static int predict_in_a_grandchild(void *context) {
    return in_child(predict_train_and_destroy, context) != 0;
}

static void a_child_predicts_without_a_pool(void) {
    scene s;
    scene_begin(&s);
    CHECK_INTEGER(in_child(predict_train_and_destroy, &s), 0);
    CHECK_INTEGER(in_child(predict_in_a_grandchild, &s), 0);
    CHECK_INTEGER(predict(&s), 0); /* what the child did is the child's */
    scene_end(&s);
}

/* A child that waits for the sanitizer's heap would tell nothing of the library. */
static bool skipped_for_heap(void) {
    if (TEST_HEAP_IS_LOST_AT_FORK)
        test_skip("under this sanitizer a child of a process with threads may not allocate");
    return TEST_HEAP_IS_LOST_AT_FORK;
}

static void a_child_predicts_by_a_model_with_a_pool(void) {
    if (skipped_for_heap())
        return;
    scene s;
    scene_begin(&s);
    use_pool(&s, 4);
    CHECK_INTEGER(predict(&s), 0);
    CHECK_INTEGER(in_child(destroy, &s), 0);
    CHECK_INTEGER(in_child(predict_train_and_destroy, &s), 0);
    CHECK_INTEGER(in_child(predict_in_a_grandchild, &s), 0);
    if (!TEST_UNDER_TSAN) /* which cannot follow threads that a child starts */
        CHECK_INTEGER(in_child(train_with_threads_of_its_own, &s), 0);
    CHECK_INTEGER(predict(&s), 0); /* the parent's pool is at work as before */
    CHECK_INTEGER(train(&s), 0);
    scene_end(&s);
}

/* Forks at any moment of a job, so that a child's copy of the pool is in any state, its mutexes
 * held by threads that the child does not have. */

typedef struct traffic {
    scene scene;
    atomic_bool over;
    atomic_int wrong;
} traffic;

static void *keep_predicting(void *argument) {
    traffic *t = argument;
    while (!atomic_load(&t->over))
        atomic_fetch_add(&t->wrong, predict(&t->scene));
    return NULL;
}

static void forks_in_the_middle_of_a_job_harm_nobody(void) {
    enum { CALLERS = 2, AT_ONCE = 4 };
#ifdef HOME_BLIS
    test_skip("BLIS holds locks during a product, which a child would inherit locked");
    return;
#endif
    if (skipped_for_heap())
        return;
    const int rounds = getenv("TEST_QUICK") ? 5 : 20;
    traffic t = {.over = false};
    pthread_t callers[CALLERS];
    scene_begin(&t.scene);
    use_pool(&t.scene, 3);
    for (int i = 0; i < CALLERS; i++)
        REQUIRE(pthread_create(&callers[i], NULL, keep_predicting, &t) == 0);
    for (int round = 0; round < rounds; round++) {
        pid_t children[AT_ONCE];
        for (int i = 0; i < AT_ONCE; i++)
            children[i] = child_start(predict_train_and_destroy, &t.scene, 60);
        for (int i = 0; i < AT_ONCE; i++)
            CHECK_INTEGER(child_wait(children[i]), 0);
    }
    atomic_store(&t.over, true);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    CHECK_INTEGER(t.wrong, 0);
    scene_end(&t.scene);
}

int main(void) {
    RUN(a_child_predicts_without_a_pool);
    RUN(a_child_predicts_by_a_model_with_a_pool);
    RUN(forks_in_the_middle_of_a_job_harm_nobody);
    return test_summary();
}
