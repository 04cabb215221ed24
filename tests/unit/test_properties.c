/* The properties that every implementation must have (docs/model.md, "Properties"), and what
 * serving promises: a row's bytes depend on the model and that row alone. */
#include "test.h"
#include "unit/fixture.h"

#include <fenv.h>
#include <pthread.h>

#define MAX_ROWS 300

/* --------------------------------------------------------------------------- tensors by pattern */

static void set_all(home_model *model, const char *prefix, const char *part, float value) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        if (strncmp(t.name, prefix, strlen(prefix)) != 0 || !strstr(t.name, part))
            continue;
        float *values = calloc(tensor_size(&t), sizeof *values);
        REQUIRE(values);
        for (size_t k = 0; k < tensor_size(&t); k++)
            values[k] = value;
        REQUIRE(home_model_set_tensor(model, t.name, values, tensor_size(&t), NULL) == HOME_OK);
        free(values);
    }
}

/* The largest gradient of the tensors whose name begins so; -1 when there are none. */
static double largest_gradient(const home_model *model, const char *prefix) {
    double largest = -1;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        if (t.kind != HOME_TENSOR_PARAMETER || strncmp(t.name, prefix, strlen(prefix)) != 0)
            continue;
        for (size_t k = 0; k < tensor_size(&t); k++)
            largest = fmax(largest, fabs((double)t.gradient[k]));
    }
    return largest;
}

static void check_exactly_zero(const home_model *model, const char *prefix) {
    const double largest = largest_gradient(model, prefix);
    if (largest != 0)
        test_fail(__FILE__, __LINE__, "largest gradient of %s is %g, expected 0", prefix, largest);
}

static void check_not_zero(const home_model *model, const char *prefix) {
    const double largest = largest_gradient(model, prefix);
    if (!(largest > 1e-6))
        test_fail(__FILE__, __LINE__, "largest gradient of %s is %g, expected more", prefix,
                  largest);
}

/* ------------------------------------------------------ 1: neutral feature gates change nothing */

static void neutral_feature_gates(size_t branches, int32_t order, double tolerance) {
    setup with;
    setup without;
    setup_dense(&with, 37);
    setup_dense(&without, 37);
    with.layers[0].feature_branches = with.layers[1].feature_branches = branches;
    with.config.feature_order = order;
    without.layers[0].feature_gates = without.layers[1].feature_gates = HOME_OFF;
    home_model *gated = make_model(&with);
    home_model *plain = make_model(&without);
    randomize(gated, 3);
    set_all(gated, "layers.", ".up.weight", 0);
    copy_tensors(plain, gated);
    data d;
    data_create(&d, &with.config, 33, 4);
    const size_t count = 33 * with.config.task_count;

    float *a[] = {predict_all(gated, &d.batch), forward_all(gated, &d.batch)};
    float *b[] = {predict_all(plain, &d.batch), forward_all(plain, &d.batch)};
    for (int way = 0; way < 2; way++) {
        if (tolerance == 0)
            CHECK_BYTES(a[way], b[way], count * sizeof(float));
        for (size_t i = 0; i < count; i++)
            CHECK_NEAR((double)a[way][i], (double)b[way][i], tolerance);
        free(a[way]);
        free(b[way]);
    }
    data_free(&d);
    home_model_release(gated);
    home_model_release(plain);
}

static void feature_gates_of_zero_weights_change_nothing(void) {
    neutral_feature_gates(1, HOME_FEATURE_SIGMOID_FIRST, 0);
    neutral_feature_gates(1, HOME_FEATURE_MIX_FIRST, 0);
    neutral_feature_gates(2, HOME_FEATURE_SIGMOID_FIRST, 1e-6);
    neutral_feature_gates(3, HOME_FEATURE_MIX_FIRST, 1e-6);
}

/* ---------------------------------------------------------------- 2: zero gates weigh uniformly */

/* Experts that answer a constant make a node's weights visible: expert k of a unit answers its
 * `base` + k in each output, the tower passes the node's first value on. */
static void set_constant(home_model *model, const char *unit, size_t experts, float base) {
    for (size_t k = 0; k < experts; k++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "layers.1.units.%s.experts.%zu.linear.0", unit, k);
        set_all(model, prefix, ".weight", 0);
        set_all(model, prefix, ".bias", base + (float)k);
    }
}

/* The mean of base, base + 1 .. base + count - 1, times count. */
static double sum_of(double base, size_t count) {
    return (double)count * (base + ((double)count - 1) / 2);
}

static void zero_gates(size_t task_experts, int32_t self_gates) {
    setup s;
    setup_small(&s);
    s.config.expert_norm = HOME_NORM_NONE;
    s.config.expert_activation = HOME_ACTIVATION_RELU;
    s.config.self_gates = self_gates;
    s.config.tower_hidden_count = 0;
    s.layers[1].task_experts = task_experts;
    home_model *model = make_model(&s);
    randomize(model, 5);
    set_all(model, "layers.1.nodes.", "gate.", 0);
    set_constant(model, "shared", 2, 0.25f);
    set_constant(model, "inter", 1, 0.5f);
    set_constant(model, "watch", 1, 4);
    set_constant(model, "like", task_experts, 1);
    set_all(model, "towers.", ".bias", 0);
    const float first_value[] = {1, 0, 0};
    REQUIRE(home_model_set_tensor(model, "towers.like.linear.0.weight", first_value, 3, NULL) ==
            HOME_OK);

    const double visible = (double)(2 + 1 + task_experts);
    const double own = sum_of(1, task_experts);
    const double mixed = (sum_of(0.25, 2) + 0.5 + own) / visible;
    const double self = task_experts == 1 ? 0.5 * own : own / (double)task_experts;
    const double logit = mixed + (self_gates == HOME_OFF ? 0 : self);
    data d;
    data_create(&d, &s.config, 4, 6);
    float *predictions = predict_all(model, &d.batch);
    for (size_t row = 0; row < 4; row++)
        CHECK_NEAR((double)predictions[row * 3], 1 / (1 + exp(-logit)), 1e-6);
    free(predictions);
    data_free(&d);
    home_model_release(model);
}

static void gates_of_zero_weights_weigh_equally(void) {
    zero_gates(1, HOME_ON);
    zero_gates(2, HOME_ON);
    zero_gates(3, HOME_ON);
    zero_gates(1, HOME_OFF);
    zero_gates(3, HOME_OFF);
}

/* ----------------------------------------------------------- 3: which task reaches which expert */

static const char *const untouched_by_like[] = {
    "layers.1.units.follow.", "layers.1.units.view.", "layers.1.units.watch.",
    "layers.1.nodes.follow.", "layers.1.nodes.view.", "layers.0.nodes.watch.",
    "towers.follow.",         "towers.view.",
};

static const char *const reached_by_like[] = {
    "towers.like.",
    "layers.1.nodes.like.gate.",
    "layers.1.nodes.like.self_gate.",
    "layers.1.units.like.experts.0.",
    "layers.1.units.like.experts.1.",
    "layers.1.units.inter.experts.0.",
    "layers.1.units.shared.experts.1.",
    "layers.0.nodes.inter.gate.",
    "layers.0.nodes.shared.gate.",
    "layers.0.nodes.shared.self_gate.",
    "layers.0.units.inter.experts.0.",
    "layers.0.units.shared.experts.0.",
    "layers.0.units.watch.experts.0.", /* another group's experts, through node shared */
    "layers.0.units.watch.experts.1.",
    "layers.0.units.watch.feature_gate.",
};

static void a_task_reaches_no_other_tasks_experts(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    randomize(model, 8);
    data d;
    data_create(&d, &s.config, 16, 2);
    free(forward_all(model, &d.batch));
    float dlogits[16 * 3] = {0};
    for (size_t row = 0; row < 16; row++)
        dlogits[row * 3] = row % 2 ? 1.0f : -0.7f; /* task like alone */
    CHECK_INTEGER(home_model_backward_from(model, dlogits, 0, 0, NULL), HOME_OK);

    for (size_t i = 0; i < sizeof untouched_by_like / sizeof *untouched_by_like; i++)
        check_exactly_zero(model, untouched_by_like[i]);
    for (size_t i = 0; i < sizeof reached_by_like / sizeof *reached_by_like; i++)
        check_not_zero(model, reached_by_like[i]);
    data_free(&d);
    home_model_release(model);
}

/* ------------------------------------------------------------- 4: a task without any live label */

static void a_task_without_live_labels_gives_no_gradient(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    randomize(model, 8);
    data d;
    data_create(&d, &s.config, 16, 2);
    for (size_t row = 0; row < 16; row++)
        d.labels[row * d.targets.label_stride + 2] = NAN; /* view, alone in group watch */
    free(forward_all(model, &d.batch));
    float losses[3];
    CHECK_INTEGER(home_model_backward(model, &d.targets, losses, NULL), HOME_OK);
    CHECK(losses[0] > 0 && losses[1] > 0 && losses[2] == 0);
    check_exactly_zero(model, "towers.view.");
    check_exactly_zero(model, "layers.1.nodes.view.");
    check_exactly_zero(model, "layers.1.units.view.");
    check_exactly_zero(model, "layers.1.units.watch.");
    check_not_zero(model, "towers.like.");
    check_not_zero(model, "layers.0.units.watch.");

    /* Weights that sum to zero count as no live label either. */
    data_free(&d);
    data_create(&d, &s.config, 16, 2);
    for (size_t row = 0; row < 16; row++)
        d.weights[row * d.targets.weight_stride + 2] = 0;
    free(forward_all(model, &d.batch));
    CHECK_INTEGER(home_model_backward(model, &d.targets, losses, NULL), HOME_OK);
    CHECK(losses[2] == 0);
    check_exactly_zero(model, "towers.view.");
    check_not_zero(model, "towers.like.");
    data_free(&d);
    home_model_release(model);
}

/* ----------------------------------------------------------------- 5: a row's bytes are its own */

typedef struct serving {
    setup config;
    home_model *model;
    data d;
    size_t row_bytes;
    float *expected; /* all rows in one call */
} serving;

static void serving_create(serving *s, void (*change)(setup *), bool frozen) {
    setup_small(&s->config);
    change(&s->config);
    s->model = make_model(&s->config);
    randomize(s->model, 21);
    if (frozen) {
        home_model *copy;
        REQUIRE(home_model_freeze(s->model, &copy, NULL) == HOME_OK);
        home_model_release(s->model);
        s->model = copy;
    }
    data_create(&s->d, &s->config.config, MAX_ROWS, 9);
    s->row_bytes = s->config.config.task_count * sizeof(float);
    s->expected = predict_all(s->model, &s->d.batch);
}

static void serving_free(serving *s) {
    free(s->expected);
    data_free(&s->d);
    home_model_release(s->model);
}

/* Predicts rows first .. first + count - 1 and compares them with the same rows of the whole. */
static void check_part(const serving *s, size_t first, size_t count, home_workspace *workspace) {
    home_ids fields[DATA_FIELDS];
    const home_batch part = data_slice(&s->d, first, count, fields);
    const size_t tasks = s->config.config.task_count;
    float got[MAX_ROWS * SETUP_TASKS];
    CHECK_INTEGER(home_model_predict(s->model, &part, got, 0, workspace, NULL), HOME_OK);
    CHECK_BYTES(got, s->expected + first * tasks, count * s->row_bytes);
}

/* Row 123 at every `step`-th position of batches that consist of other rows. */
static void check_positions(const serving *s, home_workspace *workspace, size_t step) {
    const size_t width = s->config.config.dense_width;
    const size_t tasks = s->config.config.task_count;
    float *dense = calloc(MAX_ROWS * (width + 1), sizeof *dense);
    REQUIRE(dense);
    float got[MAX_ROWS * SETUP_TASKS];
    static const size_t sizes[] = {1, 2, 3, 5, 8, 17, 64, 65, 127};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t position = 0; position < sizes[i]; position += step) {
            for (size_t row = 0; row < sizes[i]; row++)
                memcpy(dense + row * width,
                       s->d.dense + (row == position ? 123 : 200 - row) * s->d.batch.dense_stride,
                       width * sizeof *dense);
            const home_batch batch = {
                .struct_size = sizeof batch, .rows = sizes[i], .dense = dense};
            CHECK_INTEGER(home_model_predict(s->model, &batch, got, 0, workspace, NULL), HOME_OK);
            CHECK_BYTES(got + position * tasks, s->expected + 123 * tasks, s->row_bytes);
        }
    free(dense);
}

static void check_serving(void (*change)(setup *), bool frozen) {
    serving s;
    serving_create(&s, change, frozen);
    const size_t size = home_workspace_size(s.model);
    char *memory = malloc(size + 1);
    REQUIRE(memory);
    home_workspace *workspace;
    /* Any alignment. */
    REQUIRE(home_workspace_init(s.model, memory + 1, size, &workspace, NULL) == HOME_OK);

    const size_t step = getenv("TEST_QUICK") ? 23 : 1; /* under valgrind each row counts */
    for (size_t rows = 1; rows <= MAX_ROWS; rows += step)
        check_part(&s, 0, rows, rows % 2 ? workspace : NULL);
    for (size_t row = 0; row < MAX_ROWS; row += step)
        check_part(&s, row, 1, row % 3 ? workspace : NULL);
    static const size_t splits[] = {2, 3, 7, 13, 31, 32, 33, 64, 100, 128, 299};
    for (size_t i = 0; i<sizeof splits / sizeof *splits; i += step> 1 ? 5 : 1)
        for (size_t first = 0; first < MAX_ROWS; first += splits[i]) {
            const size_t rest = MAX_ROWS - first;
            check_part(&s, first, rest < splits[i] ? rest : splits[i], i % 2 ? workspace : NULL);
        }
    if (s.config.config.field_count == 0)
        check_positions(&s, workspace, step);
    free(memory);
    serving_free(&s);
}

static void as_it_is(setup *s) {
    (void)s;
}

static void odd_sizes(setup *s) {
    setup_dense(s, 37);
    s->layers[0].width = 19;
    s->layers[1].width = 35;
    s->hidden[0][0] = 67;
}

static void a_row_does_not_depend_on_the_others(void) {
    check_serving(as_it_is, false);
    check_serving(odd_sizes, false);
}

static void a_row_of_a_frozen_model_does_not_depend_on_the_others(void) {
    check_serving(as_it_is, true);
    check_serving(odd_sizes, true);
}

typedef struct server {
    pthread_t thread;
    const serving *s;
    bool own_workspace;
    size_t wrong;
} server;

static void *serve(void *argument) {
    server *me = argument;
    const serving *s = me->s;
    const size_t tasks = s->config.config.task_count;
    const size_t size = home_workspace_size(s->model);
    void *memory = malloc(size);
    home_workspace *workspace = NULL;
    if (!memory || home_workspace_init(s->model, memory, size, &workspace, NULL) != HOME_OK)
        me->wrong++;
    if (!me->own_workspace)
        workspace = NULL;
    float got[MAX_ROWS * SETUP_TASKS];
    for (size_t round = 0; round < 40; round++) {
        const size_t first = round * 7 % MAX_ROWS;
        const size_t count = 1 + (MAX_ROWS - first - 1) * (round % 3) / 2;
        home_ids fields[DATA_FIELDS];
        const home_batch part = data_slice(&s->d, first, count, fields);
        if (home_model_predict(s->model, &part, got, 0, workspace, NULL) != HOME_OK ||
            memcmp(got, s->expected + first * tasks, count * s->row_bytes) != 0)
            me->wrong++;
    }
    free(memory);
    return NULL;
}

static void several_threads_predict_the_same_bytes(void) {
    for (int frozen = 0; frozen < 2; frozen++) {
        serving s;
        serving_create(&s, odd_sizes, frozen);
        server servers[6];
        for (size_t i = 0; i < 6; i++) {
            servers[i] = (server){.s = &s, .own_workspace = i % 2};
            REQUIRE(pthread_create(&servers[i].thread, NULL, serve, &servers[i]) == 0);
        }
        for (size_t i = 0; i < 6; i++) {
            pthread_join(servers[i].thread, NULL);
            CHECK_INTEGER(servers[i].wrong, 0);
        }
        serving_free(&s);
    }
}

static void bad_row_stays_alone(void) {
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    for (int frozen = 0; frozen < 2; frozen++) {
        serving s;
        serving_create(&s, odd_sizes, frozen);
        const size_t tasks = s.config.config.task_count;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            const size_t row = 50 + i;
            s.d.dense[row * s.d.batch.dense_stride + i] = bad[i];
            float *got = predict_all(s.model, &s.d.batch);
            CHECK_BYTES(got, s.expected, 50 * s.row_bytes);
            CHECK_BYTES(got + 54 * tasks, s.expected + 54 * tasks, (MAX_ROWS - 54) * s.row_bytes);
            free(got);
        }
        serving_free(&s);
    }
}

static void a_prediction_stride_leaves_gaps_alone(void) {
    serving s;
    serving_create(&s, as_it_is, false);
    const size_t tasks = s.config.config.task_count;
    const size_t stride = tasks + 4;
    float *got = calloc(MAX_ROWS * stride, sizeof *got);
    REQUIRE(got);
    CHECK_INTEGER(home_model_predict(s.model, &s.d.batch, got, stride, NULL, NULL), HOME_OK);
    for (size_t row = 0; row < MAX_ROWS; row++) {
        CHECK_BYTES(got + row * stride, s.expected + row * tasks, s.row_bytes);
        for (size_t i = tasks; i < stride; i++)
            CHECK(got[row * stride + i] == 0);
    }
    free(got);
    serving_free(&s);
}

static void predict_changes_nothing(void) {
    serving s;
    serving_create(&s, as_it_is, false);
    size_t length;
    unsigned char *before = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
    free(predict_all(s.model, &s.d.batch));
    unsigned char *after = model_bytes(s.model, HOME_SAVE_OPTIMIZER, &length);
    CHECK_BYTES(after, before, length);
    free(before);
    free(after);
    serving_free(&s);
}

/* A host that rounds in a mode of its own finds it as it was, and no exception is trapped or
 * cleared. */
static void predict_leaves_the_floating_point_modes_alone(void) {
    serving s;
    serving_create(&s, as_it_is, false);
    REQUIRE(fesetround(FE_UPWARD) == 0);
    feraiseexcept(FE_DIVBYZERO);
    free(predict_all(s.model, &s.d.batch));
    train_step(s.model, &s.d);
    CHECK_INTEGER(fegetround(), FE_UPWARD);
    CHECK(fetestexcept(FE_DIVBYZERO) != 0);
    REQUIRE(fesetround(FE_TONEAREST) == 0);
    feclearexcept(FE_ALL_EXCEPT);
    serving_free(&s);
}

/* ----------------------------------------------------------------------- 6: one row in training */

static void one_row_cannot_train_a_batch_norm(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, 2, 2);
    home_ids fields[DATA_FIELDS];
    const home_batch one = data_slice(&d, 0, 1, fields);
    home_error error = new_error();
    CHECK_INTEGER(home_model_forward(model, &one, NULL, 0, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "row");

    /* Labels do not matter to batch norm: two rows with a single label are enough. */
    for (size_t i = 1; i < 3; i++)
        d.labels[i] = NAN;
    for (size_t i = 0; i < 3; i++)
        d.labels[d.targets.label_stride + i] = NAN;
    free(forward_all(model, &d.batch));
    CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, &error), HOME_OK);
    CHECK(isfinite(home_model_gradient_norm(model)) && home_model_gradient_norm(model) > 0);
    home_model_release(model);

    s.config.expert_norm = HOME_NORM_NONE;
    model = make_model(&s);
    CHECK_INTEGER(home_model_forward(model, &one, NULL, 0, &error), HOME_OK);
    home_model_release(model);
    data_free(&d);
}

/* -------------------------------------------------------------------------------- frozen models */

static void relu_without_norm(setup *s) {
    s->config.expert_norm = HOME_NORM_NONE;
    s->config.expert_activation = HOME_ACTIVATION_RELU;
}

static void bias_before_norm(setup *s) {
    odd_sizes(s);
    s->config.bias_before_norm = HOME_ON;
}

static void large_norm_epsilon(setup *s) {
    s->config.norm_epsilon = 0.3;
}

static void deep_raw(setup *s) {
    s->layers[0].hidden_count = 3;
    s->hidden[0][1] = 7;
    s->hidden[0][2] = 5;
    s->config.gate_input = s->config.self_gate_input = HOME_INPUT_RAW;
    s->config.gate_hidden_count = s->config.self_gate_hidden_count = 1;
    s->gate_hidden[0] = s->self_gate_hidden[0] = 4;
}

static void a_frozen_copy_predicts_what_its_original_did(void) {
    void (*const changes[])(setup *) = {as_it_is,         odd_sizes,          relu_without_norm,
                                        bias_before_norm, large_norm_epsilon, deep_raw};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        serving s;
        serving_create(&s, changes[i], false);
        home_model *frozen;
        REQUIRE(home_model_freeze(s.model, &frozen, NULL) == HOME_OK);
        CHECK_INTEGER(home_model_is_frozen(frozen), 1);
        CHECK_INTEGER(home_model_is_frozen(s.model), 0);
        CHECK_INTEGER(home_model_tensor_count(frozen), 0);
        float *got = predict_all(frozen, &s.d.batch);
        for (size_t k = 0; k < MAX_ROWS * s.config.config.task_count; k++)
            CHECK_NEAR((double)got[k], (double)s.expected[k], 1e-5);

        /* It shares nothing with the original, which may go on training, or go. */
        train_step(s.model, &s.d);
        home_model_release(s.model);
        float *again = predict_all(frozen, &s.d.batch);
        CHECK_BYTES(again, got, MAX_ROWS * s.row_bytes);
        home_model_retain(frozen);
        s.model = frozen;
        home_model_release(frozen);
        free(again);
        again = predict_all(s.model, &s.d.batch);
        CHECK_BYTES(again, got, MAX_ROWS * s.row_bytes);
        free(again);
        free(got);
        serving_free(&s);
    }
}

int main(void) {
    RUN(feature_gates_of_zero_weights_change_nothing);
    RUN(gates_of_zero_weights_weigh_equally);
    RUN(a_task_reaches_no_other_tasks_experts);
    RUN(a_task_without_live_labels_gives_no_gradient);
    RUN(a_row_does_not_depend_on_the_others);
    RUN(a_row_of_a_frozen_model_does_not_depend_on_the_others);
    RUN(one_row_cannot_train_a_batch_norm);
    RUN(several_threads_predict_the_same_bytes);
    RUN(bad_row_stays_alone);
    RUN(a_prediction_stride_leaves_gaps_alone);
    RUN(predict_changes_nothing);
    RUN(predict_leaves_the_floating_point_modes_alone);
    RUN(a_frozen_copy_predicts_what_its_original_did);
    return test_summary();
}
