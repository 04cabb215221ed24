/* What goes in and comes out of a call, in each form: ids with weights, ids that are counted, plain
 * arguments in place of structs, logits beside predictions. */
#include "fixture.h"
#include "test.h"

enum { ROWS = 700, TASKS = 3, FIELDS = 3 };

/* A model of several blocks of rows and work for threads, and a batch of each form. */
typedef struct scene {
    setup config;
    home_model *model;
    home_model *frozen;
    data d;
    uint64_t *ids; /* the batch's, flat */
    size_t id_count;
    size_t *offsets;
    float *weights;
    home_error error;
} scene;

/* The ids of all fields one after the other. */
static void flatten(scene *s, size_t rows) {
    size_t count = 0;
    for (size_t f = 0; f < FIELDS; f++)
        count += s->d.fields[f].count;
    s->ids = calloc(count, sizeof *s->ids);
    s->weights = calloc(count, sizeof *s->weights);
    s->offsets = calloc(FIELDS * rows + 1, sizeof *s->offsets);
    REQUIRE(s->ids && s->weights && s->offsets);
    for (size_t f = 0; f < FIELDS; f++)
        for (size_t r = 0; r < rows; r++) {
            const home_ids *field = &s->d.fields[f];
            const size_t begin = field->offsets ? field->offsets[r] : r;
            const size_t end = field->offsets ? field->offsets[r + 1] : r + 1;
            for (size_t i = begin; i < end; i++) {
                s->ids[s->id_count] = field->ids[i];
                s->weights[s->id_count++] = field->weights[i];
            }
            s->offsets[f * rows + r + 1] = s->id_count;
        }
    REQUIRE(s->id_count == count);
}

static void scene_begin(scene *s, size_t rows) {
    *s = (scene){.error = new_error()};
    setup_small(&s->config);
    s->config.config.dense_width = 150;
    s->config.layers[0].width = 96;
    s->config.hidden[0][0] = 300;
    s->config.tasks[1].given = "like";
    s->config.tasks[2].loss = HOME_LOSS_SQUARED;
    s->config.tables[0].rows = 70000;
    data_create(&s->d, &s->config.config, rows, 1);
    data_weigh_ids(&s->d, &s->config.config, 2);
    s->model = make_model(&s->config);
    randomize(s->model, 3);
    REQUIRE(home_model_freeze(s->model, &s->frozen, &s->error) == HOME_OK);
    flatten(s, rows);
}

static void scene_end(scene *s) {
    home_model_release(s->frozen);
    home_model_release(s->model);
    data_free(&s->d);
    free(s->ids);
    free(s->offsets);
    free(s->weights);
}

/* ----------------------------------------------------------------------------------------- flat */

static home_status predict_flat(scene *s, const home_model *model, float *predictions,
                                float *logits) {
    return home_model_predict_flat(model, s->d.batch.rows, s->d.batch.dense,
                                   s->d.batch.dense_stride, s->ids, s->id_count, s->offsets,
                                   s->weights, predictions, 0, logits, 0, NULL, &s->error);
}

static void a_flat_batch_is_predicted_to_the_same_bytes(void) {
    static const size_t threads[] = {1, 3};
    scene s;
    scene_begin(&s, ROWS);
    static float flat[ROWS * TASKS];
    const home_model *models[] = {s.model, s.frozen};
    for (size_t m = 0; m < 2; m++)
        for (size_t t = 0; t < 2; t++) {
            home_model *model = m == 0 ? s.model : s.frozen;
            REQUIRE(home_model_set_threads(model, threads[t], NULL) == HOME_OK);
            float *expected = predict_all(models[m], &s.d.batch);
            CHECK_INTEGER(predict_flat(&s, models[m], flat, NULL), HOME_OK);
            CHECK_BYTES(flat, expected, sizeof flat);
            free(expected);
        }
    scene_end(&s);
}

static void a_flat_batch_trains_to_the_same_bytes(void) {
    scene s;
    size_t length;
    size_t other_length;
    static float predictions[ROWS * TASKS];
    scene_begin(&s, ROWS);
    home_model *other = make_model(&s.config);
    copy_tensors(other, s.model);
    train_step(other, &s.d);
    float *expected = forward_all(other, &s.d.batch);
    CHECK_INTEGER(home_model_backward(other, &s.d.targets, NULL, NULL), HOME_OK);
    for (int step = 0; step < 2; step++) {
        CHECK_INTEGER(home_model_forward_flat(s.model, ROWS, s.d.batch.dense,
                                              s.d.batch.dense_stride, s.ids, s.id_count, s.offsets,
                                              s.weights, predictions, 0, &s.error),
                      HOME_OK);
        CHECK_INTEGER(home_model_backward(s.model, &s.d.targets, NULL, NULL), HOME_OK);
        if (step == 0)
            CHECK_INTEGER(home_model_step(s.model, NULL), HOME_OK);
    }
    CHECK_BYTES(predictions, expected, sizeof predictions);
    unsigned char *bytes = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
    unsigned char *wanted = model_bytes(other, HOME_SAVE_OPTIMIZER, &other_length);
    if (CHECK_INTEGER(length, other_length))
        CHECK_BYTES(bytes, wanted, length);
    free(bytes);
    free(wanted);
    free(expected);
    home_model_release(other);
    scene_end(&s);
}

/* Without offsets: one id for each field and row. */
static void a_flat_batch_without_offsets_has_an_id_for_each_field_and_row(void) {
    scene s;
    scene_begin(&s, ROWS);
    static uint64_t ids[FIELDS * ROWS];
    static float weights[FIELDS * ROWS];
    static float flat[ROWS * TASKS];
    home_ids fields[FIELDS];
    uint64_t state = 9;
    for (size_t i = 0; i < (size_t)FIELDS * ROWS; i++) {
        ids[i] = random_bits(&state) % 70000;
        weights[i] = (float)random_between(&state, 0, 2);
    }
    home_batch batch = s.d.batch;
    batch.fields = fields;
    for (int weighted = 0; weighted < 2; weighted++) {
        for (size_t f = 0; f < FIELDS; f++)
            fields[f] = (home_ids){.struct_size = sizeof(home_ids),
                                   .ids = ids + f * ROWS,
                                   .count = ROWS,
                                   .weights = weighted ? weights + f * ROWS : NULL};
        float *expected = predict_all(s.frozen, &batch);
        CHECK_INTEGER(home_model_predict_flat(s.frozen, ROWS, batch.dense, batch.dense_stride, ids,
                                              (size_t)FIELDS * ROWS, NULL,
                                              weighted ? weights : NULL, flat, 0, NULL, 0, NULL,
                                              &s.error),
                      HOME_OK);
        CHECK_BYTES(flat, expected, sizeof flat);
        free(expected);
    }
    scene_end(&s);
}

static void a_flat_batch_of_a_model_without_fields_needs_no_ids(void) {
    setup config;
    data d;
    setup_dense(&config, 9);
    data_create(&d, &config.config, 5, 1);
    home_model *model = make_model(&config);
    float *expected = predict_all(model, &d.batch);
    float flat[5 * TASKS];
    CHECK_INTEGER(home_model_predict_flat(model, 5, d.batch.dense, d.batch.dense_stride, NULL, 0,
                                          NULL, NULL, flat, 0, NULL, 0, NULL, NULL),
                  HOME_OK);
    CHECK_BYTES(flat, expected, sizeof flat);
    free(expected);
    home_model_release(model);
    data_free(&d);
}

/* A model in an image takes all forms, with a workspace of the caller's. */
static void images_predict_the_same_bytes_in_every_form(void) {
    scene s;
    scene_begin(&s, ROWS);
    static float predictions[ROWS * TASKS];
    static float logits[ROWS * TASKS];
    static float expected[ROWS * TASKS];
    static float expected_logits[ROWS * TASKS];
    size_t length;
    size_t size;
    home_model *opened;
    home_workspace *workspace;
    REQUIRE(home_image_write(s.frozen, NULL, NULL, 0, &length, NULL) == HOME_OK);
    void *image = aligned_alloc(64, (length + 63) / 64 * 64);
    REQUIRE(image && home_image_write(s.frozen, NULL, image, length, &length, NULL) == HOME_OK);
    REQUIRE(home_image_model_size(image, length, &size, NULL) == HOME_OK);
    void *memory = malloc(size);
    REQUIRE(memory && home_image_open(image, length, memory, size, &opened, NULL) == HOME_OK);
    const size_t scratch_size = home_workspace_size(opened);
    void *scratch = malloc(scratch_size);
    REQUIRE(scratch &&
            home_workspace_init(opened, scratch, scratch_size, &workspace, NULL) == HOME_OK);
    REQUIRE(home_model_predict_logits(s.frozen, &s.d.batch, expected, 0, expected_logits, 0, NULL,
                                      NULL) == HOME_OK);
    CHECK_INTEGER(home_model_predict_logits(opened, &s.d.batch, predictions, 0, logits, 0,
                                            workspace, &s.error),
                  HOME_OK);
    CHECK_BYTES(predictions, expected, sizeof expected);
    CHECK_BYTES(logits, expected_logits, sizeof expected);
    memset(predictions, 0, sizeof predictions);
    CHECK_INTEGER(home_model_predict_flat(opened, ROWS, s.d.batch.dense, s.d.batch.dense_stride,
                                          s.ids, s.id_count, s.offsets, s.weights, predictions, 0,
                                          NULL, 0, workspace, &s.error),
                  HOME_OK);
    CHECK_BYTES(predictions, expected, sizeof expected);
    CHECK_INTEGER(home_model_predict_flat(opened, ROWS, s.d.batch.dense, s.d.batch.dense_stride,
                                          s.ids, s.id_count, s.offsets, s.weights, predictions, 0,
                                          NULL, 0, NULL, &s.error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(s.error.message, "workspace");
    home_model_release(opened);
    free(scratch);
    free(memory);
    free(image);
    scene_end(&s);
}

/* ------------------------------------------------------------------------------- weights of ids */

/* The predictions with other ids or weights in all fields; malloc'd. */
static float *predict_with(const scene *s, const home_ids fields[FIELDS]) {
    home_batch batch = s->d.batch;
    batch.fields = fields;
    return predict_all(s->frozen, &batch);
}

static void weights_of_one_change_no_byte(void) {
    scene s;
    scene_begin(&s, ROWS);
    home_ids fields[FIELDS];
    static float ones[3 * ROWS];
    for (size_t i = 0; i < (size_t)3 * ROWS; i++)
        ones[i] = 1;
    for (size_t f = 0; f < FIELDS; f++) {
        fields[f] = s.d.fields[f];
        fields[f].weights = NULL;
    }
    float *expected = predict_with(&s, fields);
    for (size_t f = 0; f < FIELDS; f++)
        fields[f].weights = ones;
    float *actual = predict_with(&s, fields);
    CHECK_BYTES(actual, expected, (size_t)ROWS * TASKS * sizeof *actual);
    free(actual);
    free(expected);
    scene_end(&s);
}

/* A weight of 2 is an id that comes twice, a weight of 0 one that does not come at all; a mean does
 * not ask how large its weights are. */
static void weights_count_ids(void) {
    enum { IDS = 4 };
    scene s;
    scene_begin(&s, 1);
    static const uint64_t weighted[IDS] = {7, 3, 9, 5};
    static const float weights[IDS] = {2, 0, 1, 1};
    static const float scaled[IDS] = {6e30f, 0, 3e30f, 3e30f};
    static const size_t four[] = {0, IDS};
    static const uint64_t listed[IDS] = {7, 9, 7, 5};
    home_ids fields[FIELDS];
    for (size_t f = 0; f < FIELDS; f++)
        fields[f] = (home_ids){
            .struct_size = sizeof(home_ids), .ids = listed, .offsets = four, .count = IDS};
    float *expected = predict_with(&s, fields);
    for (size_t f = 0; f < FIELDS; f++) {
        fields[f].ids = weighted;
        fields[f].weights = weights;
    }
    float *actual = predict_with(&s, fields);
    fields[1].weights = scaled;
    float *large = predict_with(&s, fields);
    for (size_t t = 0; t < TASKS; t++) {
        CHECK_NEAR((double)actual[t], (double)expected[t],
                   1e-5 * fmax(1, fabs((double)expected[t])));
        CHECK_NEAR((double)large[t], (double)actual[t], 1e-5 * fmax(1, fabs((double)actual[t])));
    }
    free(expected);
    free(actual);
    free(large);
    scene_end(&s);
}

/* As a row without ids does. */
static void a_mean_with_weights_of_zero_gives_zeros(void) {
    scene s;
    scene_begin(&s, 1);
    static const uint64_t ids[] = {7, 3};
    static const float zeros[] = {0, 0};
    static const size_t none[] = {0, 0};
    static const size_t two[] = {0, 2};
    home_ids fields[FIELDS];
    for (size_t f = 0; f < FIELDS; f++)
        fields[f] = (home_ids){.struct_size = sizeof(home_ids), .ids = ids, .offsets = none};
    float *expected = predict_with(&s, fields);
    for (size_t f = 0; f < FIELDS; f++) {
        fields[f].offsets = two;
        fields[f].weights = zeros;
    }
    float *actual = predict_with(&s, fields);
    CHECK_BYTES(actual, expected, TASKS * sizeof *actual);
    free(actual);
    free(expected);
    scene_end(&s);
}

/* --------------------------------------------------------------------------------------- logits */

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Task 1 is given task 0, task 2 is a squared error. */
static void logits_are_what_predictions_come_from(void) {
    scene s;
    scene_begin(&s, ROWS);
    static float predictions[ROWS * TASKS];
    static float logits[ROWS * TASKS];
    static float flat[ROWS * TASKS];
    const home_model *models[] = {s.model, s.frozen};
    for (size_t m = 0; m < 2; m++) {
        float *expected = predict_all(models[m], &s.d.batch);
        CHECK_INTEGER(home_model_predict_logits(models[m], &s.d.batch, predictions, 0, logits, 0,
                                                NULL, &s.error),
                      HOME_OK);
        CHECK_BYTES(predictions, expected, sizeof predictions);
        for (size_t r = 0; r < ROWS; r++) {
            const float *p = predictions + r * TASKS;
            const float *x = logits + r * TASKS;
            CHECK_NEAR((double)p[0], sigmoid((double)x[0]), 1e-6);
            CHECK_NEAR((double)p[1], sigmoid((double)x[0]) * sigmoid((double)x[1]), 1e-6);
            CHECK(p[2] == x[2]);
        }
        memset(flat, 0, sizeof flat);
        CHECK_INTEGER(predict_flat(&s, models[m], NULL, flat), HOME_OK);
        CHECK_BYTES(flat, logits, sizeof flat);
        free(expected);
    }
    scene_end(&s);
}

/* Each alone, and with strides whose gaps stay as they are. */
static void logits_and_predictions_go_where_they_are_asked_for(void) {
    enum { STRIDE = TASKS + 2, OTHER = TASKS + 5 };
    scene s;
    scene_begin(&s, ROWS);
    static float predictions[ROWS * TASKS];
    static float logits[ROWS * TASKS];
    static float some[ROWS * STRIDE];
    static float others[ROWS * OTHER];
    CHECK_INTEGER(
        home_model_predict_logits(s.frozen, &s.d.batch, predictions, 0, logits, 0, NULL, &s.error),
        HOME_OK);
    CHECK_INTEGER(
        home_model_predict_logits(s.frozen, &s.d.batch, NULL, 0, others, 0, NULL, &s.error),
        HOME_OK);
    CHECK_BYTES(others, logits, sizeof logits);
    CHECK_INTEGER(
        home_model_predict_logits(s.frozen, &s.d.batch, others, 0, NULL, 0, NULL, &s.error),
        HOME_OK);
    CHECK_BYTES(others, predictions, sizeof predictions);
    memset(some, 0x5a, sizeof some);
    memset(others, 0x5a, sizeof others);
    float untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    CHECK_INTEGER(home_model_predict_logits(s.frozen, &s.d.batch, some, STRIDE, others, OTHER, NULL,
                                            &s.error),
                  HOME_OK);
    for (size_t r = 0; r < ROWS; r++) {
        CHECK_BYTES(some + r * STRIDE, predictions + r * TASKS, TASKS * sizeof *some);
        CHECK_BYTES(others + r * OTHER, logits + r * TASKS, TASKS * sizeof *others);
        for (size_t i = TASKS; i < STRIDE; i++)
            CHECK_BYTES(&some[r * STRIDE + i], &untouched, sizeof untouched);
        for (size_t i = TASKS; i < OTHER; i++)
            CHECK_BYTES(&others[r * OTHER + i], &untouched, sizeof untouched);
    }
    scene_end(&s);
}

/* Where probabilities round to 1, logits still tell rows apart. */
static void logits_tell_apart_what_rounds_to_one(void) {
    setup config;
    data d;
    setup_dense(&config, 1);
    setup_tasks(&config, 1, (const char *const[]){"all"}, 1);
    config.config.tower_hidden_count = 0;
    data_create(&d, &config.config, 2, 1);
    home_model *model = make_model(&config);
    static const float biases[] = {30, 40};
    float logits[2][2];
    for (size_t i = 0; i < 2; i++) {
        float p[2];
        CHECK_INTEGER(home_model_set_tensor(model, "towers.t0.linear.0.bias", &biases[i], 1, NULL),
                      HOME_OK);
        CHECK_INTEGER(home_model_predict_logits(model, &d.batch, p, 0, logits[i], 0, NULL, NULL),
                      HOME_OK);
        CHECK(p[0] == 1);
    }
    CHECK_NEAR((double)logits[1][0] - (double)logits[0][0], 10, 1e-4);
    home_model_release(model);
    data_free(&d);
}

/* ------------------------------------------------------------------------------------- refusals */

static void check_refusal(scene *s, home_status actual, home_status expected, const char *word,
                          int line) {
    if (actual != expected || s->error.status != expected || !strstr(s->error.message, word))
        test_fail(__FILE__, line, "status %d and \"%s\", expected status %d and \"%s\"",
                  (int)actual, s->error.message, (int)expected, word);
    s->error = new_error();
}

#define REFUSED(call, status, word) check_refusal(&s, (call), (status), (word), __LINE__)

/* All that read a batch say the same. */
static void refuse_fields(scene *s, const home_ids *fields, home_status status, const char *word,
                          int line) {
    float out[ROWS * TASKS];
    home_batch batch = s->d.batch;
    home_health *health = NULL;
    batch.fields = fields;
    check_refusal(s, home_model_predict(s->frozen, &batch, out, 0, NULL, &s->error), status, word,
                  line);
    check_refusal(s, home_model_predict_logits(s->model, &batch, NULL, 0, out, 0, NULL, &s->error),
                  status, word, line);
    check_refusal(s, home_model_forward(s->model, &batch, out, 0, &s->error), status, word, line);
    REQUIRE(home_health_create(s->model, NULL, &health, NULL) == HOME_OK);
    check_refusal(s, home_health_add(health, s->model, &batch, &s->error), status, word, line);
    home_health_destroy(health);
}

#define FIELDS_REFUSED(status, word) refuse_fields(&s, fields, (status), (word), __LINE__)

static void copy_fields(const scene *s, home_ids fields[FIELDS]) {
    for (size_t f = 0; f < FIELDS; f++)
        fields[f] = s->d.fields[f];
}

static void a_wrong_count_is_refused_by_name(void) {
    scene s;
    scene_begin(&s, 6);
    home_ids fields[FIELDS];
    char expected[64];
    copy_fields(&s, fields);
    fields[0].count = 5;
    FIELDS_REFUSED(HOME_E_ARGUMENT, "field \"user\": count is 5, expected 6");
    fields[0].count = 7;
    FIELDS_REFUSED(HOME_E_ARGUMENT, "field \"user\": count is 7, expected 6");
    copy_fields(&s, fields);
    fields[2].count++;
    snprintf(expected, sizeof expected, "count is %zu, expected %zu", fields[2].count,
             s.d.fields[2].offsets[6]);
    FIELDS_REFUSED(HOME_E_ARGUMENT, expected);
    fields[2].count = 0;
    float *accepted = predict_with(&s, fields);
    free(accepted);
    /* The count is looked at before the ids are: here there is only one. */
    const uint64_t one[] = {1};
    fields[0].ids = one;
    fields[0].count = 1;
    FIELDS_REFUSED(HOME_E_ARGUMENT, "field \"user\": count is 1, expected 6");
    scene_end(&s);
}

static void weights_that_cannot_be_are_refused_by_name(void) {
    static const struct {
        size_t field;
        float weight;
        const char *words;
    } cases[] = {
        {0, NAN, "field \"user\", row 2: weights[2] is not finite"},
        {0, INFINITY, "field \"user\", row 2: weights[2] is not finite"},
        {1, -INFINITY, "weights[2] is not finite"},
        {1, -0.5f, "weights[2] is negative"},
    };
    scene s;
    scene_begin(&s, 6);
    static const size_t offsets[] = {0, 1, 2, 3, 4, 5, 6};
    static const uint64_t ids[6] = {0, 1, 2, 3, 4, 5};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        home_ids fields[FIELDS];
        float weights[6] = {1, 1, 1, 1, 1, 1};
        copy_fields(&s, fields);
        weights[2] = cases[i].weight;
        fields[cases[i].field] = (home_ids){sizeof *fields, ids, offsets, 6, weights};
        FIELDS_REFUSED(HOME_E_VALUE, cases[i].words);
    }
    /* A sum takes any finite weight. */
    home_ids fields[FIELDS];
    const float weights[6] = {-1, 3e38f, -3e38f, 0, 1e-45f, -0.0f};
    copy_fields(&s, fields);
    fields[0] = (home_ids){sizeof *fields, ids, NULL, 6, weights};
    free(predict_with(&s, fields));
    scene_end(&s);
}

static void structs_of_another_size_are_refused(void) {
    scene s;
    scene_begin(&s, 6);
    home_ids fields[FIELDS];
    copy_fields(&s, fields);
    fields[0].struct_size = 0;
    FIELDS_REFUSED(HOME_E_ARGUMENT, "struct_size is 0");
    fields[0].struct_size = sizeof *fields;
    fields[2].struct_size = 8;
    FIELDS_REFUSED(HOME_E_ARGUMENT, "batch.fields[2].struct_size is 8");
    scene_end(&s);
}

/* The arguments of a flat call, each of which a case may spoil. */
typedef struct arguments {
    size_t rows;
    const float *dense;
    size_t dense_stride;
    const uint64_t *ids;
    size_t id_count;
    const size_t *offsets;
    const float *weights;
    float *predictions;
    size_t stride;
} arguments;

static void refuse_flat(scene *s, const arguments *a, home_status status, const char *word,
                        int line) {
    check_refusal(s,
                  home_model_predict_flat(s->frozen, a->rows, a->dense, a->dense_stride, a->ids,
                                          a->id_count, a->offsets, a->weights, a->predictions,
                                          a->stride, NULL, 0, NULL, &s->error),
                  status, word, line);
    if (a->predictions) /* which a forward need not have */
        check_refusal(s,
                      home_model_forward_flat(s->model, a->rows, a->dense, a->dense_stride, a->ids,
                                              a->id_count, a->offsets, a->weights, a->predictions,
                                              a->stride, &s->error),
                      status, word, line);
}

#define FLAT_REFUSED(status, word) refuse_flat(&s, &a, (status), (word), __LINE__)

static void bad_arguments_of_flat_calls_are_refused_by_name(void) {
    enum { FEW = 6 };
    scene s;
    scene_begin(&s, FEW);
    float out[FEW * TASKS];
    size_t offsets[FIELDS * FEW + 1];
    memcpy(offsets, s.offsets, sizeof offsets);
    const arguments good = {.rows = FEW,
                            .dense = s.d.batch.dense,
                            .dense_stride = s.d.batch.dense_stride,
                            .ids = s.ids,
                            .id_count = s.id_count,
                            .offsets = s.offsets,
                            .weights = s.weights,
                            .predictions = out};
    unsigned char *before;
    size_t length;
    before = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
    arguments a = good;
    a.rows = SIZE_MAX / 2;
    FLAT_REFUSED(HOME_E_TOO_LARGE, "rows is ");
    a = good;
    a.dense = NULL;
    FLAT_REFUSED(HOME_E_ARGUMENT, "dense is NULL");
    a = good;
    a.dense_stride = 149;
    FLAT_REFUSED(HOME_E_ARGUMENT, "dense_stride is 149");
    a = good;
    a.ids = NULL;
    FLAT_REFUSED(HOME_E_ARGUMENT, "field \"user\": ids is NULL");
    a = good;
    a.id_count++;
    FLAT_REFUSED(HOME_E_ARGUMENT, "id_count is ");
    a = good;
    a.offsets = NULL; /* then there are 18 */
    a.id_count = 17;
    FLAT_REFUSED(HOME_E_ARGUMENT, "id_count is 17, expected 18");
    a = good;
    a.offsets = offsets;
    offsets[FEW + 3] = SIZE_MAX; /* of the second field */
    FLAT_REFUSED(HOME_E_VALUE, "field \"tags\": offsets[10] is ");
    a = good;
    uint64_t *ids = calloc(s.id_count, sizeof *ids);
    float *weights = calloc(s.id_count, sizeof *weights);
    REQUIRE(ids && weights);
    memcpy(ids, s.ids, s.id_count * sizeof *ids);
    ids[4] = 70000;
    a.ids = ids;
    FLAT_REFUSED(HOME_E_VALUE, "field \"user\", row 4: id 70000, expected less than 70000");
    a = good;
    a.weights = weights;
    weights[s.id_count - 1] = NAN;
    FLAT_REFUSED(HOME_E_VALUE, "is not finite");
    a = good;
    a.predictions = NULL;
    FLAT_REFUSED(HOME_E_ARGUMENT, "predictions is NULL");
    a = good;
    a.stride = 2;
    FLAT_REFUSED(HOME_E_ARGUMENT, "prediction_stride is 2");
    REFUSED(home_model_predict_flat(NULL, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, NULL, 0, NULL,
                                    &s.error),
            HOME_E_ARGUMENT, "model");
    REFUSED(home_model_forward_flat(NULL, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, &s.error),
            HOME_E_ARGUMENT, "model");
    REFUSED(home_model_forward_flat(s.frozen, FEW, good.dense, good.dense_stride, s.ids, 0,
                                    s.offsets, NULL, NULL, 0, &s.error),
            HOME_E_STATE, "frozen");
    REFUSED(home_model_forward_flat(s.model, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, &s.error),
            HOME_E_ARGUMENT, "rows is 0");
    REFUSED(home_model_forward_flat(s.model, 1, good.dense, good.dense_stride, s.ids, 0, s.offsets,
                                    NULL, NULL, 0, &s.error),
            HOME_E_ARGUMENT, "rows is 1");
    unsigned char *after = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
    CHECK_BYTES(after, before, length);
    free(before);
    free(after);
    free(ids);
    free(weights);
    scene_end(&s);
}

static void bad_arguments_of_logits_are_refused_by_name(void) {
    scene s;
    scene_begin(&s, 6);
    float out[6 * TASKS];
    REFUSED(home_model_predict_logits(NULL, &s.d.batch, out, 0, out, 0, NULL, &s.error),
            HOME_E_ARGUMENT, "model");
    REFUSED(home_model_predict_logits(s.model, NULL, out, 0, out, 0, NULL, &s.error),
            HOME_E_ARGUMENT, "batch");
    REFUSED(home_model_predict_logits(s.model, &s.d.batch, NULL, 0, NULL, 0, NULL, &s.error),
            HOME_E_ARGUMENT, "predictions is NULL");
    REFUSED(home_model_predict_logits(s.model, &s.d.batch, out, 2, out, 0, NULL, &s.error),
            HOME_E_ARGUMENT, "prediction_stride is 2");
    REFUSED(home_model_predict_logits(s.model, &s.d.batch, NULL, 0, out, 2, NULL, &s.error),
            HOME_E_ARGUMENT, "logit_stride is 2");
    scene_end(&s);
}

/* No array has rows so far apart; their places would wrap around to before its beginning. */
static void strides_beyond_memory_are_refused_by_name(void) {
    enum { FEW = 6 };
    static const size_t strides[] = {SIZE_MAX, SIZE_MAX / sizeof(float) / FEW + 1};
    scene s;
    scene_begin(&s, FEW);
    float out[FEW * TASKS] = {0};
    const uint64_t ids[FEW] = {0};
    for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
        const size_t stride = strides[i];
        home_batch batch = s.d.batch;
        home_targets targets = {.struct_size = sizeof targets, .labels = out};
        batch.dense_stride = stride;
        REFUSED(home_model_predict(s.frozen, &batch, out, 0, NULL, &s.error), HOME_E_TOO_LARGE,
                "batch.dense_stride is ");
        REFUSED(home_model_predict_flat(s.frozen, FEW, batch.dense, stride, s.ids, s.id_count,
                                        s.offsets, NULL, out, 0, NULL, 0, NULL, &s.error),
                HOME_E_TOO_LARGE, "dense_stride is ");
        batch = s.d.batch;
        REFUSED(home_model_predict(s.frozen, &batch, out, stride, NULL, &s.error), HOME_E_TOO_LARGE,
                "prediction_stride is ");
        REFUSED(home_model_predict_logits(s.frozen, &batch, NULL, 0, out, stride, NULL, &s.error),
                HOME_E_TOO_LARGE, "logit_stride is ");
        REFUSED(home_model_forward(s.model, &batch, out, stride, &s.error), HOME_E_TOO_LARGE,
                "prediction_stride is ");
        CHECK_INTEGER(home_model_forward(s.model, &batch, NULL, 0, &s.error), HOME_OK);
        REFUSED(home_model_logits(s.model, out, stride, &s.error), HOME_E_TOO_LARGE, "stride is ");
        targets.label_stride = stride;
        REFUSED(home_model_backward(s.model, &targets, NULL, &s.error), HOME_E_TOO_LARGE,
                "targets.label_stride is ");
        targets.label_stride = 0;
        targets.weights = out;
        targets.weight_stride = stride;
        REFUSED(home_model_backward(s.model, &targets, NULL, &s.error), HOME_E_TOO_LARGE,
                "targets.weight_stride is ");
        REFUSED(home_model_backward_from(s.model, out, stride, 0, &s.error), HOME_E_TOO_LARGE,
                "stride is ");
        CHECK_INTEGER(home_model_backward_from(s.model, out, 0, 0, &s.error), HOME_OK);
        REFUSED(home_model_set_table_gradient(s.model, 0, ids, FEW, out, stride, &s.error),
                HOME_E_TOO_LARGE, "stride is ");
    }
    scene_end(&s);
}

/* ------------------------------------------------------------------------------------- no rows */

static void no_rows_are_a_success_in_every_form(void) {
    scene s;
    scene_begin(&s, 6);
    const home_batch none = {.struct_size = sizeof none, .field_count = FIELDS};
    home_batch complete = s.d.batch;
    complete.rows = 0;
    float out[6 * TASKS];
    float untouched[6 * TASKS];
    memset(out, 0x5a, sizeof out);
    memset(untouched, 0x5a, sizeof untouched);
    const home_model *models[] = {s.model, s.frozen};
    for (size_t m = 0; m < 2; m++) {
        const home_model *model = models[m];
        CHECK_INTEGER(home_model_predict(model, &none, NULL, 0, NULL, &s.error), HOME_OK);
        CHECK_INTEGER(home_model_predict(model, &complete, out, 0, NULL, &s.error), HOME_OK);
        CHECK_INTEGER(home_model_predict_logits(model, &none, NULL, 0, NULL, 0, NULL, &s.error),
                      HOME_OK);
        CHECK_INTEGER(home_model_predict_logits(model, &complete, out, 0, out, 0, NULL, &s.error),
                      HOME_OK);
        CHECK_INTEGER(home_model_predict_flat(model, 0, NULL, 0, NULL, 0, NULL, NULL, NULL, 0, NULL,
                                              0, NULL, &s.error),
                      HOME_OK);
        CHECK_INTEGER(home_model_predict_flat(model, 0, s.d.dense, 0, s.ids, s.id_count, s.offsets,
                                              s.weights, out, 0, out, 0, NULL, &s.error),
                      HOME_OK);
        CHECK_BYTES(out, untouched, sizeof out);
    }
    scene_end(&s);
}

int main(void) {
    RUN(a_flat_batch_is_predicted_to_the_same_bytes);
    RUN(a_flat_batch_trains_to_the_same_bytes);
    RUN(a_flat_batch_without_offsets_has_an_id_for_each_field_and_row);
    RUN(a_flat_batch_of_a_model_without_fields_needs_no_ids);
    RUN(images_predict_the_same_bytes_in_every_form);
    RUN(weights_of_one_change_no_byte);
    RUN(weights_count_ids);
    RUN(a_mean_with_weights_of_zero_gives_zeros);
    RUN(logits_are_what_predictions_come_from);
    RUN(logits_and_predictions_go_where_they_are_asked_for);
    RUN(logits_tell_apart_what_rounds_to_one);
    RUN(a_wrong_count_is_refused_by_name);
    RUN(weights_that_cannot_be_are_refused_by_name);
    RUN(structs_of_another_size_are_refused);
    RUN(bad_arguments_of_flat_calls_are_refused_by_name);
    RUN(bad_arguments_of_logits_are_refused_by_name);
    RUN(strides_beyond_memory_are_refused_by_name);
    RUN(no_rows_are_a_success_in_every_form);
    return test_summary();
}
