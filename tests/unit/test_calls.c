/* Calls that must fail: each gives the right status and a message that names what is wrong, leaves
 * the model's bytes as they were, and the model works afterwards. */
#include "test.h"
#include "unit/fixture.h"

#define ROWS  ((size_t)6)
#define TASKS ((size_t)3)

typedef struct scene {
    setup config;
    home_model *model;
    data d;
    unsigned char *before; /* the model's bytes when the scene began */
    size_t length;
    float *predicted;
    home_error error;
    float out[ROWS * TASKS];
} scene;

static void scene_begin(scene *s) {
    setup_small(&s->config);
    s->model = make_model(&s->config);
    randomize(s->model, 2);
    data_create(&s->d, &s->config.config, ROWS, 3);
    train_step(s->model, &s->d);
    s->before = model_bytes(s->model, HOME_SAVE_OPTIMIZER, &s->length);
    s->predicted = predict_all(s->model, &s->d.batch);
    s->error = new_error();
}

static void check_unchanged(const scene *s) {
    size_t length;
    unsigned char *now = model_bytes(s->model, HOME_SAVE_OPTIMIZER, &length);
    if (CHECK_INTEGER(length, s->length))
        CHECK_BYTES(now, s->before, length);
    free(now);
}

/* The model is as it was, and can still be trained and asked. */
static void scene_end(scene *s) {
    check_unchanged(s);
    float *now = predict_all(s->model, &s->d.batch);
    CHECK_BYTES(now, s->predicted, ROWS * TASKS * sizeof(float));
    free(now);
    train_step(s->model, &s->d);
    free(s->predicted);
    free(s->before);
    data_free(&s->d);
    home_model_release(s->model);
}

static void check_refusal(const scene *s, home_status actual, home_status expected,
                          const char *word, const char *call, int line) {
    if (actual != expected || s->error.status != expected || !strstr(s->error.message, word))
        test_fail(__FILE__, line,
                  "%s: status %d and \"%s\", expected status %d and a message with \"%s\"", call,
                  (int)actual, s->error.message, (int)expected, word);
}

/* The call, which reports to s.error, must fail so. */
#define REFUSED(call, status, word)                                                                \
    do {                                                                                           \
        s.error = new_error();                                                                     \
        const home_status got = (call);                                                            \
        check_refusal(&s, got, status, word, #call, __LINE__);                                     \
    } while (0)

#define ACCEPTED(call)                                                                             \
    do {                                                                                           \
        s.error = new_error();                                                                     \
        if (!CHECK_INTEGER((call), HOME_OK))                                                       \
            printf("    %s\n", s.error.message);                                                   \
    } while (0)

static void null_is_refused_by_name_in_training(void) {
    scene s;
    scene_begin(&s);
    home_gradient gradient = {.struct_size = sizeof gradient};
    home_gradient table = {.struct_size = sizeof table};
    REFUSED(home_model_forward(NULL, &s.d.batch, s.out, 0, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_forward(s.model, NULL, s.out, 0, &s.error), HOME_E_ARGUMENT, "batch");
    REFUSED(home_model_backward(NULL, &s.d.targets, NULL, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_backward_from(NULL, s.out, 0, 0, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_step(NULL, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_set_learning_rate(NULL, 1, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_set_embedding_learning_rate(NULL, 1, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_input_gradient(NULL, &gradient, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_input_gradient(s.model, NULL, &s.error), HOME_E_ARGUMENT, "gradient");
    REFUSED(home_model_table_gradient(NULL, 0, &table, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_table_gradient(s.model, 0, NULL, &s.error), HOME_E_ARGUMENT, "gradient");
    REFUSED(home_model_gradient(NULL, &gradient, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_gradient(s.model, NULL, &s.error), HOME_E_ARGUMENT, "gradient");
    scene_end(&s);
}

static void null_is_refused_by_name_in_serving(void) {
    scene s;
    scene_begin(&s);
    home_model *model = NULL;
    home_workspace *workspace = NULL;
    REFUSED(home_model_predict(NULL, &s.d.batch, s.out, 0, NULL, &s.error), HOME_E_ARGUMENT,
            "model");
    REFUSED(home_model_predict(s.model, NULL, s.out, 0, NULL, &s.error), HOME_E_ARGUMENT, "batch");
    REFUSED(home_model_predict(s.model, &s.d.batch, NULL, 0, NULL, &s.error), HOME_E_ARGUMENT,
            "predictions");
    REFUSED(home_workspace_init(NULL, s.out, 1, &workspace, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_workspace_init(s.model, NULL, 1, &workspace, &s.error), HOME_E_ARGUMENT, "memory");
    REFUSED(home_workspace_init(s.model, s.out, 1, NULL, &s.error), HOME_E_ARGUMENT, "workspace");
    REFUSED(home_model_freeze(NULL, &model, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_freeze(s.model, NULL, &s.error), HOME_E_ARGUMENT, "frozen");
    CHECK(model == NULL && workspace == NULL);
    scene_end(&s);
}

static void null_is_refused_by_name_in_files(void) {
    scene s;
    scene_begin(&s);
    home_model *model = NULL;
    size_t size;
    REFUSED(home_model_save(NULL, "x", 0, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_save(s.model, NULL, 0, &s.error), HOME_E_ARGUMENT, "path");
    REFUSED(home_model_serialize(NULL, 0, NULL, 0, &size, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_serialize(s.model, 0, NULL, 0, NULL, &s.error), HOME_E_ARGUMENT, "length");
    REFUSED(home_model_load(NULL, NULL, &model, &s.error), HOME_E_ARGUMENT, "path");
    REFUSED(home_model_load("x", NULL, NULL, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_load_memory(NULL, 8, NULL, &model, &s.error), HOME_E_ARGUMENT, "data");
    REFUSED(home_model_load_memory(s.out, 8, NULL, NULL, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_load_weights(NULL, "x", &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_load_weights(s.model, NULL, &s.error), HOME_E_ARGUMENT, "path");
    REFUSED(home_model_set_metadata(NULL, "k", "v", &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_set_metadata(s.model, NULL, "v", &s.error), HOME_E_ARGUMENT, "key");
    CHECK(model == NULL);
    scene_end(&s);
}

static void null_is_refused_by_name_for_tensors(void) {
    scene s;
    scene_begin(&s);
    const char *name = "towers.like.linear.1.bias";
    home_tensor tensor = {.struct_size = sizeof tensor};
    REFUSED(home_model_tensor_at(NULL, 0, &tensor, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_tensor_at(s.model, 0, NULL, &s.error), HOME_E_ARGUMENT, "tensor");
    REFUSED(home_model_tensor(NULL, "x", &tensor, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_tensor(s.model, NULL, &tensor, &s.error), HOME_E_ARGUMENT, "name");
    REFUSED(home_model_tensor(s.model, name, NULL, &s.error), HOME_E_ARGUMENT, "tensor");
    REFUSED(home_model_set_tensor(NULL, "x", s.out, 1, &s.error), HOME_E_ARGUMENT, "model");
    REFUSED(home_model_set_tensor(s.model, NULL, s.out, 1, &s.error), HOME_E_ARGUMENT, "name");
    REFUSED(home_model_set_tensor(s.model, name, NULL, 1, &s.error), HOME_E_ARGUMENT, "data");
    scene_end(&s);
}

static void null_may_be_released(void) {
    home_model_release(NULL);
}

/* After a forward, which moved the running values: scene_end() shall compare from here. */
static void scene_begin_anew(scene *s) {
    free(s->before);
    free(s->predicted);
    s->before = model_bytes(s->model, HOME_SAVE_OPTIMIZER, &s->length);
    s->predicted = predict_all(s->model, &s->d.batch);
}

static void null_is_refused_by_name_in_backward(void) {
    scene s;
    scene_begin(&s);
    free(forward_all(s.model, &s.d.batch));
    scene_begin_anew(&s);
    REFUSED(home_model_backward(s.model, NULL, NULL, &s.error), HOME_E_ARGUMENT, "targets");
    REFUSED(home_model_backward_from(s.model, NULL, 0, 0, &s.error), HOME_E_ARGUMENT, "dlogits");
    home_targets targets = s.d.targets;
    targets.labels = NULL;
    REFUSED(home_model_backward(s.model, &targets, NULL, &s.error), HOME_E_ARGUMENT, "labels");
    scene_end(&s);
}

static void calls_out_of_order_are_refused(void) {
    scene s;
    scene_begin(&s);
    REFUSED(home_model_backward(s.model, &s.d.targets, NULL, &s.error), HOME_E_STATE, "forward");
    REFUSED(home_model_backward_from(s.model, s.out, 0, 0, &s.error), HOME_E_STATE, "forward");
    REFUSED(home_model_step(s.model, &s.error), HOME_E_STATE, "backward");
    check_unchanged(&s);

    home_model *fresh = make_model(&s.config);
    home_gradient gradient = {.struct_size = sizeof gradient};
    home_gradient table = {.struct_size = sizeof table};
    REFUSED(home_model_backward(fresh, &s.d.targets, NULL, &s.error), HOME_E_STATE, "forward");
    REFUSED(home_model_step(fresh, &s.error), HOME_E_STATE, "backward");
    REFUSED(home_model_input_gradient(fresh, &gradient, &s.error), HOME_E_STATE, "backward");
    REFUSED(home_model_table_gradient(fresh, 0, &table, &s.error), HOME_E_STATE, "backward");
    CHECK(home_model_gradient_norm(fresh) == 0);
    free(forward_all(fresh, &s.d.batch));
    REFUSED(home_model_step(fresh, &s.error), HOME_E_STATE, "backward");
    ACCEPTED(home_model_backward(fresh, &s.d.targets, NULL, &s.error));
    REFUSED(home_model_backward(fresh, &s.d.targets, NULL, &s.error), HOME_E_STATE, "forward");
    REFUSED(home_model_backward_from(fresh, s.out, 0, 0, &s.error), HOME_E_STATE, "forward");
    ACCEPTED(home_model_step(fresh, &s.error)); /* the refused calls took nothing away */
    REFUSED(home_model_step(fresh, &s.error), HOME_E_STATE, "backward");
    CHECK_INTEGER(home_model_step_count(fresh), 1);

    /* A refused forward does not take the last good one away, nor its gradients. */
    free(forward_all(fresh, &s.d.batch));
    home_batch bad = s.d.batch;
    bad.rows = 1;
    REFUSED(home_model_forward(fresh, &bad, NULL, 0, &s.error), HOME_E_ARGUMENT, "row");
    ACCEPTED(home_model_backward(fresh, &s.d.targets, NULL, &s.error));
    REFUSED(home_model_forward(fresh, &bad, NULL, 0, &s.error), HOME_E_ARGUMENT, "row");
    ACCEPTED(home_model_step(fresh, &s.error));
    home_model_release(fresh);
    scene_end(&s);
}

/* A batch that fits neither forward nor predict. */
static void check_bad_batch(scene *scene_of, const home_batch *batch, home_status status,
                            const char *word) {
    scene s = *scene_of;
    REFUSED(home_model_forward(s.model, batch, s.out, 0, &s.error), status, word);
    REFUSED(home_model_predict(s.model, batch, s.out, 0, NULL, &s.error), status, word);
}

static void batches_of_no_known_size_are_refused(void) {
    scene s;
    scene_begin(&s);
    home_batch b = s.d.batch;
    b.struct_size = 0;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "struct_size");
    for (size_t size = 1; size < 2 * sizeof b; size++)
        if (size % sizeof(size_t) != 0) { /* ends within a pointer */
            b.struct_size = size;
            check_bad_batch(&s, &b, HOME_E_ARGUMENT, "struct_size");
        }
    scene_end(&s);
}

static void batches_that_do_not_fit_are_refused(void) {
    scene s;
    scene_begin(&s);
    home_batch b = s.d.batch;
    b.dense = NULL;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "dense");
    b = s.d.batch;
    b.dense_stride = 4;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "dense_stride");
    b = s.d.batch;
    b.fields = NULL;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "fields");
    b = s.d.batch;
    b.field_count = 2;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "field_count");
    b.field_count = 4;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "field_count");
    b = s.d.batch;
    b.rows = SIZE_MAX / 2;
    REFUSED(home_model_predict(s.model, &b, s.out, SIZE_MAX / 2, NULL, &s.error), HOME_E_TOO_LARGE,
            "rows");
    b = s.d.batch;
    REFUSED(home_model_forward(s.model, &b, s.out, 2, &s.error), HOME_E_ARGUMENT, "stride");
    REFUSED(home_model_predict(s.model, &b, s.out, 2, NULL, &s.error), HOME_E_ARGUMENT, "stride");
    b.rows = 1;
    REFUSED(home_model_forward(s.model, &b, s.out, 0, &s.error), HOME_E_ARGUMENT, "row");
    scene_end(&s);
}

/* The scene's batch with fields of its own to change. */
static home_batch with_fields(const scene *s, home_ids fields[3]) {
    home_batch batch = s->d.batch;
    memcpy(fields, s->d.fields, 3 * sizeof *fields);
    batch.fields = fields;
    return batch;
}

static void offsets_that_fall_are_refused(void) {
    scene s;
    scene_begin(&s);
    home_ids fields[3];
    const home_batch b = with_fields(&s, fields);
    const size_t descending[ROWS + 1] = {0, 1, 2, 1, 2, 2, 2};
    fields[1].offsets = descending;
    check_bad_batch(&s, &b, HOME_E_VALUE, "\"tags\": offsets[3] is 1, below offsets[2] = 2");
    /* No id may be read by a range whose end is seen to be wrong only later. */
    const size_t wild[ROWS + 1] = {0, SIZE_MAX, 1, 2, 2, 2, 2};
    fields[1].offsets = wild;
    check_bad_batch(&s, &b, HOME_E_VALUE, "offsets[2]");
    fields[0].offsets = wild; /* its table is direct: ids are looked at */
    check_bad_batch(&s, &b, HOME_E_VALUE, "offsets[2]");
    scene_end(&s);
}

static void ids_that_are_missing_or_too_high_are_refused(void) {
    scene s;
    scene_begin(&s);
    home_ids fields[3];
    const home_batch b = with_fields(&s, fields);
    fields[1].ids = NULL;
    check_bad_batch(&s, &b, HOME_E_ARGUMENT, "tags");
    fields[1] = s.d.fields[1];
    const uint64_t too_high[ROWS] = {0, 1, 2, 10, 11, 3};
    fields[0].ids = too_high;
    check_bad_batch(&s, &b, HOME_E_VALUE, "11");
    check_bad_batch(&s, &b, HOME_E_VALUE, "user");
    const uint64_t far_too_high[ROWS] = {0, 1, UINT64_MAX, 10, 10, 3};
    fields[0].ids = far_too_high;
    check_bad_batch(&s, &b, HOME_E_VALUE, "18446744073709551615");
    scene_end(&s);
}

static void forward_refuses_values_that_are_not_finite(void) {
    scene s;
    scene_begin(&s);
    home_batch b = s.d.batch;
    float *dense = calloc(ROWS * 5, sizeof *dense);
    REQUIRE(dense);
    b.dense = dense;
    b.dense_stride = 0;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        dense[4 * 5 + 2] = bad[i];
        REFUSED(home_model_forward(s.model, &b, s.out, 0, &s.error), HOME_E_VALUE, "[4, 2]");
    }
    free(dense);
    scene_end(&s);
}

/* A newer caller's batch and targets: longer structs whose new part is zero. */
static void a_longer_batch_may_add_zeros_alone(void) {
    scene s;
    scene_begin(&s);
    struct {
        home_batch batch;
        uint64_t added;
    } longer = {s.d.batch, 0};
    longer.batch.struct_size = sizeof longer;
    ACCEPTED(home_model_predict(s.model, &longer.batch, s.out, 0, NULL, &s.error));
    CHECK_BYTES(s.out, s.predicted, sizeof s.out);
    longer.added = 1;
    check_bad_batch(&s, &longer.batch, HOME_E_ARGUMENT, "batch");
    scene_end(&s);
}

/* A batch without rows as home.h allows it: complete, or with NULL for all that has a row. */
static home_batch without_rows(const scene *s, bool pointers) {
    if (pointers) {
        home_batch batch = s->d.batch;
        batch.rows = 0;
        return batch;
    }
    return (home_batch){.struct_size = sizeof(home_batch), .field_count = s->d.batch.field_count};
}

static void check_predict_of_nothing(scene *scene_of, const home_model *model) {
    scene s = *scene_of;
    float untouched[ROWS * TASKS];
    memset(untouched, 0x5a, sizeof untouched);
    for (int pointers = 0; pointers < 2; pointers++) {
        const home_batch batch = without_rows(&s, pointers);
        memset(s.out, 0x5a, sizeof s.out);
        ACCEPTED(home_model_predict(model, &batch, s.out, 0, NULL, &s.error));
        CHECK_BYTES(s.out, untouched, sizeof s.out);
        ACCEPTED(home_model_predict(model, &batch, NULL, 0, NULL, &s.error));
    }
}

static void predict_of_zero_rows_succeeds_and_writes_nothing(void) {
    scene s;
    scene_begin(&s);
    check_predict_of_nothing(&s, s.model);
    home_model *frozen = NULL;
    ACCEPTED(home_model_freeze(s.model, &frozen, &s.error));
    REQUIRE(frozen);
    check_predict_of_nothing(&s, frozen);
    home_model_release(frozen);
    scene_end(&s);
}

static void predict_of_zero_rows_leaves_its_workspace_alone(void) {
    scene s;
    scene_begin(&s);
    const size_t size = home_workspace_size(s.model);
    unsigned char *memory = calloc(size, 1);
    unsigned char *kept = malloc(size);
    REQUIRE(memory && kept);
    home_workspace *workspace = NULL;
    ACCEPTED(home_workspace_init(s.model, memory, size, &workspace, &s.error));
    memcpy(kept, memory, size);
    const home_batch batch = without_rows(&s, false);
    ACCEPTED(home_model_predict(s.model, &batch, NULL, 0, workspace, &s.error));
    CHECK_BYTES(memory, kept, size);
    free(kept);
    free(memory);
    scene_end(&s);
}

static void forward_of_zero_rows_is_refused(void) {
    scene s;
    scene_begin(&s);
    for (int pointers = 0; pointers < 2; pointers++) {
        const home_batch batch = without_rows(&s, pointers);
        REFUSED(home_model_forward(s.model, &batch, s.out, 0, &s.error), HOME_E_ARGUMENT,
                "batch.rows is 0");
        REFUSED(home_model_forward(s.model, &batch, NULL, 0, &s.error), HOME_E_ARGUMENT,
                "batch.rows is 0");
    }
    scene_end(&s);
}

/* Having no rows excuses nothing else. */
static void zero_rows_of_another_number_of_fields_are_refused(void) {
    scene s;
    scene_begin(&s);
    home_batch batch = without_rows(&s, false);
    batch.field_count = 2;
    check_bad_batch(&s, &batch, HOME_E_ARGUMENT, "field_count");
    scene_end(&s);
}

/* Backward's arguments are looked at before anything moves: a good call follows the bad ones. */
typedef struct waiting {
    home_model *model; /* after a forward */
    unsigned char *before;
} waiting;

static waiting wait_for_backward(const scene *s) {
    waiting w = {.model = make_model(&s->config)};
    size_t length;
    copy_tensors(w.model, s->model);
    free(forward_all(w.model, &s->d.batch));
    w.before = model_bytes(w.model, HOME_SAVE_OPTIMIZER, &length);
    return w;
}

static void check_still_waiting(scene *scene_of, waiting *w) {
    scene s = *scene_of;
    size_t length;
    unsigned char *after = model_bytes(w->model, HOME_SAVE_OPTIMIZER, &length);
    CHECK_BYTES(after, w->before, length);
    free(after);
    free(w->before);
    ACCEPTED(home_model_backward(w->model, &s.d.targets, s.out, &s.error));
    ACCEPTED(home_model_step(w->model, &s.error));
    home_model_release(w->model);
}

static void bad_labels_are_refused_before_anything_moves(void) {
    scene s;
    scene_begin(&s);
    waiting w = wait_for_backward(&s);
    const float bad[] = {-0.01f, 1.01f, INFINITY, -INFINITY, 7};
    float *label = &s.d.labels[2 * s.d.targets.label_stride + 1];
    const float kept = *label;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *label = bad[i];
        REFUSED(home_model_backward(w.model, &s.d.targets, s.out, &s.error), HOME_E_VALUE, "label");
        CHECK_CONTAINS(s.error.message, "follow");
    }
    *label = kept;
    check_still_waiting(&s, &w);
    scene_end(&s);
}

static void bad_weights_are_refused_before_anything_moves(void) {
    scene s;
    scene_begin(&s);
    waiting w = wait_for_backward(&s);
    const float bad[] = {-1, NAN, INFINITY, -INFINITY};
    /* Row 0, whose labels are all there. */
    float *const weights[] = {&s.d.row_weights[3], &s.d.weights[0]};
    for (size_t k = 0; k < 2; k++) {
        const float kept = *weights[k];
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            *weights[k] = bad[i];
            REFUSED(home_model_backward(w.model, &s.d.targets, s.out, &s.error), HOME_E_VALUE,
                    "weight");
        }
        *weights[k] = kept;
    }
    check_still_waiting(&s, &w);
    scene_end(&s);
}

static void targets_that_do_not_fit_are_refused_before_anything_moves(void) {
    scene s;
    scene_begin(&s);
    waiting w = wait_for_backward(&s);
    home_targets t = s.d.targets;
    t.struct_size = 3;
    REFUSED(home_model_backward(w.model, &t, NULL, &s.error), HOME_E_ARGUMENT, "struct_size");
    t = s.d.targets;
    t.label_stride = 2;
    REFUSED(home_model_backward(w.model, &t, NULL, &s.error), HOME_E_ARGUMENT, "label_stride");
    t = s.d.targets;
    t.weight_stride = 1;
    REFUSED(home_model_backward(w.model, &t, NULL, &s.error), HOME_E_ARGUMENT, "weight_stride");
    check_still_waiting(&s, &w);
    scene_end(&s);
}

static void bad_derivatives_are_refused_before_anything_moves(void) {
    scene s;
    scene_begin(&s);
    waiting w = wait_for_backward(&s);
    float dlogits[ROWS * TASKS] = {0};
    dlogits[7] = NAN;
    REFUSED(home_model_backward_from(w.model, dlogits, 0, 0, &s.error), HOME_E_VALUE, "[2, 1]");
    dlogits[7] = INFINITY;
    REFUSED(home_model_backward_from(w.model, dlogits, 0, 0, &s.error), HOME_E_VALUE, "[2, 1]");
    REFUSED(home_model_backward_from(w.model, dlogits, 2, 0, &s.error), HOME_E_ARGUMENT, "stride");
    check_still_waiting(&s, &w);
    scene_end(&s);
}

/* A gradient that is not finite moves nothing. */
static void gradients_that_are_not_finite_are_refused(void) {
    scene s;
    scene_begin(&s);
    free(forward_all(s.model, &s.d.batch));
    ACCEPTED(home_model_backward(s.model, &s.d.targets, NULL, &s.error));
    size_t count;
    float *gradients = gradients_of(s.model, &count);
    const home_gradient table = table_gradient_of(s.model, "tag");
    free(s.before);
    free(s.predicted);
    s.before = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &s.length);
    s.predicted = predict_all(s.model, &s.d.batch);
    float kept = gradients[count / 2];
    gradients[count / 2] = NAN;
    REFUSED(home_model_step(s.model, &s.error), HOME_E_VALUE, "gradient");
    check_unchanged(&s);
    gradients[count / 2] = INFINITY;
    REFUSED(home_model_step(s.model, &s.error), HOME_E_VALUE, "gradient");
    check_unchanged(&s);
    gradients[count / 2] = kept;
    kept = table.data[1];
    table.data[1] = NAN;
    REFUSED(home_model_step(s.model, &s.error), HOME_E_VALUE, "gradient");
    check_unchanged(&s);
    table.data[1] = kept;
    scene_end(&s);
}

static void bad_rates_are_refused(void) {
    scene s;
    scene_begin(&s);
    static const double bad_rates[] = {-1, NAN, INFINITY, 1.1e6};
    for (size_t i = 0; i < sizeof bad_rates / sizeof *bad_rates; i++) {
        const home_status dense = home_model_set_learning_rate(s.model, bad_rates[i], &s.error);
        CHECK(dense == HOME_E_ARGUMENT || dense == HOME_E_VALUE);
        CHECK_CONTAINS(s.error.message, "rate");
        s.error = new_error();
        const home_status table =
            home_model_set_embedding_learning_rate(s.model, bad_rates[i], &s.error);
        CHECK(table == HOME_E_ARGUMENT || table == HOME_E_VALUE);
        CHECK_CONTAINS(s.error.message, "rate");
    }
    scene_end(&s);
}

static void tensors_that_are_not_there_are_not_found(void) {
    scene s;
    scene_begin(&s);
    home_tensor tensor = {.struct_size = sizeof tensor};
    REFUSED(home_model_tensor(s.model, "towers.nobody.linear.0.bias", &tensor, &s.error),
            HOME_E_NOT_FOUND, "towers.nobody.linear.0.bias");
    REFUSED(home_model_tensor(s.model, "", &tensor, &s.error), HOME_E_NOT_FOUND, "");
    REFUSED(home_model_tensor_at(s.model, home_model_tensor_count(s.model), &tensor, &s.error),
            HOME_E_NOT_FOUND, "184");
    tensor.struct_size = 4;
    REFUSED(home_model_tensor_at(s.model, 0, &tensor, &s.error), HOME_E_ARGUMENT, "struct_size");
    CHECK(tensor.name == NULL && tensor.data == NULL);
    scene_end(&s);
}

static void tensors_of_other_sizes_or_values_are_refused(void) {
    scene s;
    scene_begin(&s);
    const char *name = "towers.like.linear.1.weight";
    float values[5] = {1, 2, 3, 4, 5};
    REFUSED(home_model_set_tensor(s.model, "nothing", values, 5, &s.error), HOME_E_NOT_FOUND,
            "nothing");
    REFUSED(home_model_set_tensor(s.model, name, values, 4, &s.error), HOME_E_ARGUMENT, "5");
    REFUSED(home_model_set_tensor(s.model, name, values, 6, &s.error), HOME_E_ARGUMENT, "5");
    values[4] = NAN;
    REFUSED(home_model_set_tensor(s.model, name, values, 5, &s.error), HOME_E_VALUE, name);
    values[4] = INFINITY;
    REFUSED(home_model_set_tensor(s.model, name, values, 5, &s.error), HOME_E_VALUE, name);
    scene_end(&s);
}

static void table_gradients_of_no_table_are_not_found(void) {
    scene s;
    scene_begin(&s);
    free(forward_all(s.model, &s.d.batch));
    ACCEPTED(home_model_backward(s.model, &s.d.targets, NULL, &s.error));
    home_gradient table = {.struct_size = sizeof table};
    REFUSED(home_model_table_gradient(s.model, 2, &table, &s.error), HOME_E_NOT_FOUND,
            "table is 2");
    scene_begin_anew(&s);
    scene_end(&s);
}

static void keys_of_the_library_are_refused(void) {
    scene s;
    scene_begin(&s);
    REFUSED(home_model_set_metadata(s.model, "home.config", "{}", &s.error), HOME_E_ARGUMENT,
            "home.");
    CHECK(home_model_metadata(s.model, "nothing") == NULL);
    scene_end(&s);
}

static void too_small_a_buffer_gets_the_length(void) {
    scene s;
    scene_begin(&s);
    size_t length = 0;
    char small[16];
    REFUSED(
        home_model_serialize(s.model, HOME_SAVE_OPTIMIZER, small, sizeof small, &length, &s.error),
        HOME_E_ARGUMENT, "16");
    CHECK_INTEGER(length, s.length);
    REFUSED(home_model_serialize(s.model, 0xfe, NULL, 0, &length, &s.error), HOME_E_ARGUMENT,
            "flags");
    scene_end(&s);
}

static void workspaces_too_small_or_of_others_are_refused(void) {
    scene s;
    scene_begin(&s);
    const size_t size = home_workspace_size(s.model);
    char *memory = malloc(size);
    REQUIRE(memory);
    home_workspace *workspace = NULL;
    REFUSED(home_workspace_init(s.model, memory, size - 1, &workspace, &s.error), HOME_E_ARGUMENT,
            "size");
    REFUSED(home_workspace_init(s.model, memory, 0, &workspace, &s.error), HOME_E_ARGUMENT, "size");
    CHECK(workspace == NULL);
    ACCEPTED(home_workspace_init(s.model, memory, size, &workspace, &s.error));

    /* One made for a smaller model. */
    setup bigger;
    setup_dense(&bigger, 300);
    bigger.layers[0].width = 100;
    home_model *big = make_model(&bigger);
    data d;
    data_create(&d, &bigger.config, 2, 1);
    REFUSED(home_model_predict(big, &d.batch, s.out, 0, workspace, &s.error), HOME_E_ARGUMENT,
            "workspace");
    data_free(&d);
    home_model_release(big);

    /* Of a failed predict: the workspace is good for the next. */
    home_batch b = s.d.batch;
    b.dense = NULL;
    REFUSED(home_model_predict(s.model, &b, s.out, 0, workspace, &s.error), HOME_E_ARGUMENT,
            "dense");
    ACCEPTED(home_model_predict(s.model, &s.d.batch, s.out, 0, workspace, &s.error));
    CHECK_BYTES(s.out, s.predicted, sizeof s.out);
    free(memory);
    scene_end(&s);
}

static void a_frozen_model_refuses_to_train(void) {
    scene s;
    scene_begin(&s);
    home_model *frozen = NULL;
    ACCEPTED(home_model_freeze(s.model, &frozen, &s.error));
    REQUIRE(frozen);
    size_t size;
    const float value = 0;
    REFUSED(home_model_forward(frozen, &s.d.batch, s.out, 0, &s.error), HOME_E_STATE, "frozen");
    REFUSED(home_model_backward(frozen, &s.d.targets, NULL, &s.error), HOME_E_STATE, "");
    REFUSED(home_model_backward_from(frozen, s.out, 0, 0, &s.error), HOME_E_STATE, "");
    REFUSED(home_model_step(frozen, &s.error), HOME_E_STATE, "");
    REFUSED(home_model_save(frozen, "/nonexistent/x", 0, &s.error), HOME_E_STATE, "frozen");
    REFUSED(home_model_serialize(frozen, 0, NULL, 0, &size, &s.error), HOME_E_STATE, "frozen");
    REFUSED(home_model_load_weights(frozen, "/nonexistent/x", &s.error), HOME_E_STATE, "frozen");
    const home_status status =
        home_model_set_tensor(frozen, "towers.like.linear.1.bias", &value, 1, &s.error);
    CHECK(status == HOME_E_STATE || status == HOME_E_NOT_FOUND);
    home_gradient gradient = {.struct_size = sizeof gradient};
    REFUSED(home_model_gradient(frozen, &gradient, &s.error), HOME_E_STATE, "frozen");
    CHECK_INTEGER(home_model_step_count(frozen), 0);
    /* Batch norms are folded away. */
    CHECK(home_model_parameter_count(frozen) < home_model_parameter_count(s.model));
    home_batch b = s.d.batch;
    b.field_count = 0;
    REFUSED(home_model_predict(frozen, &b, s.out, 0, NULL, &s.error), HOME_E_ARGUMENT, "field");
    home_model_release(frozen);
    scene_end(&s);
}

static void a_frozen_model_cannot_be_frozen_again(void) {
    scene s;
    scene_begin(&s);
    home_model *frozen = NULL;
    ACCEPTED(home_model_freeze(s.model, &frozen, &s.error));
    home_model *twice = NULL;
    REFUSED(home_model_freeze(frozen, &twice, &s.error), HOME_E_STATE, "frozen");
    CHECK(twice == NULL);
    home_model_release(frozen);
    scene_end(&s);
}

/* An error struct is optional, and one of an unknown size is left alone. */
static void an_error_struct_is_optional(void) {
    scene s;
    scene_begin(&s);
    CHECK_INTEGER(home_model_step(s.model, NULL), HOME_E_STATE);
    home_error error;
    memset(&error, 0x5a, sizeof error);
    error.struct_size = 0;
    CHECK_INTEGER(home_model_step(s.model, &error), HOME_E_STATE);
    CHECK(error.message[0] == 0x5a);
    error.struct_size = sizeof error;
    CHECK_INTEGER(home_model_step(s.model, &error), HOME_E_STATE);
    CHECK(memchr(error.message, 0, sizeof error.message) != NULL);
    const home_error kept = error;
    CHECK_INTEGER(home_model_predict(s.model, &s.d.batch, s.out, 0, NULL, &error), HOME_OK);
    CHECK_BYTES(&error, &kept, sizeof error); /* success does not touch it */

    /* A name longer than the message. */
    char name[1000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    home_tensor tensor = {.struct_size = sizeof tensor};
    CHECK_INTEGER(home_model_tensor(s.model, name, &tensor, &error), HOME_E_NOT_FOUND);
    CHECK(memchr(error.message, 0, sizeof error.message) != NULL);
    scene_end(&s);
}

#define DOT "\xE7\x82\xB9" /* a character of three bytes */

/* Nothing but whole characters DOT and ASCII. */
static bool whole_characters(const char *text) {
    while (*text)
        if (strncmp(text, DOT, 3) == 0)
            text += 3;
        else if ((unsigned char)*text++ >= 0x80)
            return false;
    return true;
}

/* Bindings decode messages as UTF-8, whatever the names in them were cut to. */
static void messages_are_utf8(void) {
    setup given;
    setup_small(&given);
    /* Shown: 40 bytes. */
    given.tasks[1].name = DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT ".x";
    home_model *model = NULL;
    home_error error = new_error();
    CHECK_INTEGER(home_model_create(&given.config, &model, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "name is \"" DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT DOT
                                  "?\", expected");
    CHECK(whole_characters(error.message));
    given.tasks[1].name = DOT "\xFF" DOT "\xE7\x82."; /* was never UTF-8 */
    CHECK_INTEGER(home_model_create(&given.config, &model, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "name is \"" DOT "?" DOT "\?\?.\", expected");
    setup_small(&given);
    model = make_model(&given);
    home_tensor tensor = {.struct_size = sizeof tensor};
    for (size_t size = offsetof(home_error, message) + 1; size <= sizeof error; size++) {
        error.struct_size = size;
        CHECK_INTEGER(home_model_tensor(model, DOT DOT DOT DOT DOT DOT DOT, &tensor, &error),
                      HOME_E_NOT_FOUND);
        CHECK(whole_characters(error.message));
    }
    CHECK_CONTAINS(error.message, "\"" DOT DOT DOT DOT DOT DOT DOT "\"");
    home_model_release(model);
}

static void every_status_has_a_text_of_its_own(void) {
    static const home_status all[] = {
        HOME_OK,       HOME_E_ARGUMENT,  HOME_E_STATE,    HOME_E_VALUE,      HOME_E_NOT_FOUND,
        HOME_E_MEMORY, HOME_E_TOO_LARGE, HOME_E_CONFIG,   HOME_E_JSON,       HOME_E_FILE,
        HOME_E_FORMAT, HOME_E_CHECKSUM,  HOME_E_MISMATCH, HOME_E_UNSUPPORTED};
    const size_t count = sizeof all / sizeof *all;
    for (size_t i = 0; i < count; i++) {
        CHECK(strlen(home_status_string(all[i])) > 0);
        CHECK(strcmp(home_status_string(all[i]), home_status_string(999)) != 0);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(home_status_string(all[i]), home_status_string(all[j])) != 0);
    }
    CHECK(home_status_string(-5) != NULL && home_status_string(INT32_MAX) != NULL);
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", HOME_VERSION_MAJOR, HOME_VERSION_MINOR,
             HOME_VERSION_PATCH);
    CHECK(strcmp(home_version_string(), version) == 0);
    CHECK_INTEGER(home_version(),
                  HOME_VERSION_MAJOR * 1000000 + HOME_VERSION_MINOR * 1000 + HOME_VERSION_PATCH);
}

static void a_model_lives_until_its_last_release(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup s;
    setup_small(&s);
    s.config.allocator = &allocator;
    home_model *model = make_model(&s);
    CHECK(home_model_retain(model) == model);
    home_model_release(model);
    CHECK(m.live > 0);
    CHECK_INTEGER(home_model_task_count(model), 3);
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
}

/* Known values of the hash: it is part of the checkpoint format. */
static void hash_is_fixed(void) {
    CHECK_INTEGER(home_hash_id(0, 1000), 0);
    /* splitmix64's finalizer takes its increment 0x9e3779b97f4a7c15 to its well-known first output
     * for seed 0, 0xe220a8397b1dcdaf; times 1000 / 2^64 is 883. */
    CHECK_INTEGER(home_hash_id(UINT64_C(0x9e3779b97f4a7c15), 1000), 883);
    CHECK(home_hash_id(UINT64_C(0x9e3779b97f4a7c15), UINT64_C(1) << 32) == 0xe220a839);
    CHECK(home_hash_id(UINT64_C(0x9e3779b97f4a7c15), UINT64_C(1) << 63) ==
          UINT64_C(0xe220a8397b1dcdaf) >> 1);
    CHECK_INTEGER(home_hash_id(12345, 1), 0);
}

int main(void) {
    RUN(null_is_refused_by_name_in_training);
    RUN(null_is_refused_by_name_in_serving);
    RUN(null_is_refused_by_name_in_files);
    RUN(null_is_refused_by_name_for_tensors);
    RUN(null_is_refused_by_name_in_backward);
    RUN(null_may_be_released);
    RUN(calls_out_of_order_are_refused);
    RUN(batches_of_no_known_size_are_refused);
    RUN(batches_that_do_not_fit_are_refused);
    RUN(offsets_that_fall_are_refused);
    RUN(ids_that_are_missing_or_too_high_are_refused);
    RUN(forward_refuses_values_that_are_not_finite);
    RUN(a_longer_batch_may_add_zeros_alone);
    RUN(predict_of_zero_rows_succeeds_and_writes_nothing);
    RUN(predict_of_zero_rows_leaves_its_workspace_alone);
    RUN(forward_of_zero_rows_is_refused);
    RUN(zero_rows_of_another_number_of_fields_are_refused);
    RUN(bad_labels_are_refused_before_anything_moves);
    RUN(bad_weights_are_refused_before_anything_moves);
    RUN(targets_that_do_not_fit_are_refused_before_anything_moves);
    RUN(bad_derivatives_are_refused_before_anything_moves);
    RUN(gradients_that_are_not_finite_are_refused);
    RUN(bad_rates_are_refused);
    RUN(tensors_that_are_not_there_are_not_found);
    RUN(tensors_of_other_sizes_or_values_are_refused);
    RUN(table_gradients_of_no_table_are_not_found);
    RUN(keys_of_the_library_are_refused);
    RUN(too_small_a_buffer_gets_the_length);
    RUN(workspaces_too_small_or_of_others_are_refused);
    RUN(a_frozen_model_refuses_to_train);
    RUN(a_frozen_model_cannot_be_frozen_again);
    RUN(an_error_struct_is_optional);
    RUN(messages_are_utf8);
    RUN(every_status_has_a_text_of_its_own);
    RUN(a_model_lives_until_its_last_release);
    RUN(hash_is_fixed);
    return test_summary();
}
