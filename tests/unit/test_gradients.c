/* Predictions, losses, running values and every kind of gradient against the double-precision
 * reference.
 *
 * Gradients are compared with central differences of the reference, (L(x + h) - L(x - h)) / 2h, h =
 * 1e-5: the truncation error is h^2 L''' / 6, about 1e-10, and rounding adds 1e-16 L / h, about
 * 1e-11. That is nothing beside the library's float arithmetic, whose sums of up to a few hundred
 * products of about equal size carry an error near 1e-6 of the largest of them. So an element may
 * be off by TOLERANCE of the largest element of its tensor, and FLOOR, far below any gradient here,
 * absorbs the rounding in tensors whose gradients all nearly cancel. That this is below the signal
 * is itself checked: the same gradients multiplied by 1.01 must be refused, for each tensor. */
#include "reference/reference.h"
#include "test.h"
#include "unit/fixture.h"

#define STEP      1e-5
#define TOLERANCE 1e-3
#define FLOOR     1e-8

#define PREDICTION_TOLERANCE                                                                       \
    1e-6 /* probabilities: float rounds at 6e-8, the layers add a few of these */

/* --------------------------------------------------------------------------------- the variants */

static void no_change(setup *s) {
    (void)s;
}

static void odd_sizes(setup *s) {
    setup_dense(s, 37);
    s->layers[0].width = 19;
    s->layers[1].width = 17;
    s->hidden[0][0] = 23;
}

/* Batch norm over two rows, or after a linear layer with one input, takes nearly all of the
 * gradient away: both are all but blind to scale. A large epsilon keeps some. */
static void large_epsilon(setup *s) {
    s->config.norm_epsilon = 0.5;
}

static void sixty_four_tasks(setup *s) {
    setup_tasks(s, 64, (const char *const[]){"a", "b", "c", "d", "a", "a", "e"}, 7);
}

static void one_branch(setup *s) {
    s->layers[0].feature_branches = s->layers[1].feature_branches = 1;
}

static void one_of_everything(setup *s) {
    setup_dense(s, 3);
    one_branch(s);
    setup_tasks(s, 1, (const char *const[]){NULL}, 1);
    /* A single input before a batch norm has no gradient: only its sign has an effect. */
    s->layers[0].width = 2;
    s->layers[1].width = 1;
    s->layers[0].hidden_count = 0;
    s->layers[0].shared_experts = s->layers[0].group_experts = 1;
    s->layers[1].shared_experts = s->layers[1].task_experts = 1;
    s->config.tower_hidden_count = 0;
}

static void one_group(setup *s) {
    setup_tasks(s, 3, (const char *const[]){"all"}, 1);
}

static void unequal_groups(setup *s) {
    setup_tasks(s, 6, (const char *const[]){"a", "b", "c", "c", "b", "c"}, 6);
    s->layers[0].shared_experts = 3;
    s->layers[0].group_experts = 1;
    s->layers[1].group_experts = 3;
    s->layers[1].task_experts = 1;
}

static void three_branches(setup *s) {
    s->layers[0].feature_branches = s->layers[1].feature_branches = 3;
    s->layers[0].feature_rank = 2;
}

static void four_branches_rank_nine(setup *s) {
    s->layers[0].feature_branches = s->layers[1].feature_branches = 4;
    s->layers[0].feature_rank = s->layers[1].feature_rank = 9;
}

static void mix_first(setup *s) {
    s->config.feature_order = HOME_FEATURE_MIX_FIRST;
}

static void mix_first_one_branch(setup *s) {
    mix_first(s);
    one_branch(s);
}

static void no_feature_gates(setup *s) {
    s->layers[0].feature_gates = s->layers[1].feature_gates = HOME_OFF;
}

static void feature_gates_in_layer_two(setup *s) {
    s->layers[0].feature_gates = HOME_OFF;
    s->layers[1].feature_gates = HOME_ON;
}

static void raw_gates(setup *s) {
    s->config.gate_input = HOME_INPUT_RAW;
}

static void raw_self_gates(setup *s) {
    s->config.self_gate_input = HOME_INPUT_RAW;
}

static void raw_everything(setup *s) {
    raw_gates(s);
    raw_self_gates(s);
}

static void no_self_gates(setup *s) {
    s->config.self_gates = HOME_OFF;
}

static void hidden_gates(setup *s) {
    s->gate_hidden[0] = 5;
    s->gate_hidden[1] = 3;
    s->config.gate_hidden_count = 2;
    s->config.gate_activation = HOME_ACTIVATION_SWISH;
    s->self_gate_hidden[0] = 4;
    s->config.self_gate_hidden_count = 1;
}

static void hidden_raw_gates(setup *s) {
    s->gate_hidden[0] = 5;
    s->config.gate_hidden_count = 1;
    s->self_gate_hidden[0] = 4;
    s->self_gate_hidden[1] = 6;
    s->config.self_gate_hidden_count = 2;
    s->config.self_gate_activation = HOME_ACTIVATION_SWISH;
    raw_everything(s);
}

static void no_hidden(setup *s) {
    s->layers[0].hidden_count = 0;
    s->config.tower_hidden_count = 0;
}

static void deep(setup *s) {
    const size_t first[] = {9, 7, 8, 5};
    const size_t second[] = {6, 5, 7};
    memcpy(s->hidden[0], first, sizeof first);
    memcpy(s->hidden[1], second, sizeof second);
    s->layers[0].hidden_count = 4;
    s->layers[1].hidden_count = 3;
    s->tower_hidden[1] = 4;
    s->config.tower_hidden_count = 2;
}

static void two_hidden(setup *s) {
    s->hidden[0][1] = s->hidden[1][0] = 9;
    s->hidden[1][1] = 5;
    s->layers[0].hidden_count = s->layers[1].hidden_count = 2;
}

static void swish_towers(setup *s) {
    s->config.tower_activation = HOME_ACTIVATION_SWISH;
}

static void relu_experts(setup *s) {
    s->config.expert_norm = HOME_NORM_NONE;
    s->config.expert_activation = HOME_ACTIVATION_RELU;
    s->config.expert_hidden_activation = HOME_ACTIVATION_RELU;
}

static void swish_experts_without_norm(setup *s) {
    s->config.expert_norm = HOME_NORM_NONE;
}

static void relu_after_norm(setup *s) {
    s->config.expert_activation = HOME_ACTIVATION_RELU;
}

static void swish_beta(setup *s) {
    s->config.swish_beta = 1.7;
}

static void norm_numbers(setup *s) {
    s->config.norm_epsilon = 0.05;
    s->config.norm_momentum = 0.35;
}

static void bias_before_norm(setup *s) {
    s->config.bias_before_norm = HOME_ON;
}

static void fields_only(setup *s) {
    s->config.dense_width = 0;
}

static void many_experts(setup *s) {
    s->layers[0].shared_experts = 9;
    s->layers[0].group_experts = 8;
    s->layers[1].shared_experts = 7;
    s->layers[1].group_experts = 6;
    s->layers[1].task_experts = 5;
}

static void wide(setup *s) {
    s->layers[0].width = 65;
    s->hidden[0][0] = 130;
}

/* Backward of feature gates takes 256 columns at a time. */
static void very_wide(setup *s) {
    setup_dense(s, 530);
    setup_tasks(s, 1, (const char *const[]){NULL}, 1);
    s->layers[0].feature_gates = HOME_ON;
    s->layers[0].feature_rank = 1;
    s->layers[0].width = 3;
    s->layers[1].feature_gates = HOME_OFF;
}

static void very_wide_mix_first(setup *s) {
    very_wide(s);
    mix_first(s);
}

/* A mixture takes 32 terms at a time. */
static void more_branches_than_a_mixture_takes(setup *s) {
    s->layers[0].feature_branches = 33;
    s->layers[1].feature_gates = HOME_OFF;
}

static void more_experts_than_a_mixture_takes(setup *s) {
    s->layers[0].shared_experts = 33;
    s->layers[0].hidden_count = s->layers[1].hidden_count = 0;
}

/* More inputs of a step, and more steps, than a byte counts. */
static void hundreds_of_experts(setup *s) {
    s->layers[0].shared_experts = 300;
    s->layers[1].shared_experts = 260;
    s->layers[0].hidden_count = s->layers[1].hidden_count = 0;
}

typedef struct variant {
    const char *name;
    void (*change)(setup *);
    size_t rows;
    size_t samples;   /* elements of a tensor whose gradient to check: all of a smaller one */
    bool weighted;    /* ids have weights */
    const char *only; /* tensors with this in their names, and no tables; NULL: all */
} variant;

static const variant variants[] = {
    {"small", no_change, 7, 200, false, NULL},
    {"two rows", large_epsilon, 2, 40, false, NULL},
    {"many rows", no_change, 261, 2, false, NULL},
    {"odd sizes", odd_sizes, 9, 12, false, NULL},
    {"one of everything", one_of_everything, 5, 100, false, NULL},
    {"one group", one_group, 6, 20, false, NULL},
    {"unequal groups", unequal_groups, 8, 20, false, NULL},
    {"64 tasks", sixty_four_tasks, 5, 0, false, NULL},
    {"one branch", one_branch, 7, 30, false, NULL},
    {"three branches", three_branches, 7, 30, false, NULL},
    {"four branches of rank nine", four_branches_rank_nine, 7, 20, false, NULL},
    {"mix first", mix_first, 7, 30, false, NULL},
    {"mix first, one branch", mix_first_one_branch, 7, 30, false, NULL},
    {"no feature gates", no_feature_gates, 7, 30, false, NULL},
    {"feature gates in layer two", feature_gates_in_layer_two, 7, 30, false, NULL},
    {"raw gates", raw_gates, 7, 30, false, NULL},
    {"raw self gates", raw_self_gates, 7, 30, false, NULL},
    {"raw gates and self gates", raw_everything, 7, 30, false, NULL},
    {"no self gates", no_self_gates, 7, 30, false, NULL},
    {"hidden layers in gates", hidden_gates, 7, 30, false, NULL},
    {"hidden layers in raw gates", hidden_raw_gates, 7, 30, false, NULL},
    {"no hidden layers", no_hidden, 7, 30, false, NULL},
    {"two hidden layers", two_hidden, 7, 30, false, NULL},
    {"deep", deep, 11, 20, false, NULL},
    {"swish towers", swish_towers, 7, 30, false, NULL},
    {"relu experts", relu_experts, 7, 30, false, NULL},
    {"swish experts without norm", swish_experts_without_norm, 7, 30, false, NULL},
    {"swish experts without norm, one row", swish_experts_without_norm, 1, 30, false, NULL},
    {"relu after norm", relu_after_norm, 7, 30, false, NULL},
    {"swish beta", swish_beta, 7, 30, false, NULL},
    {"norm numbers", norm_numbers, 7, 30, false, NULL},
    {"bias before norm", bias_before_norm, 7, 30, false, NULL},
    {"fields only", fields_only, 7, 30, false, NULL},
    {"weighted ids", no_change, 9, 200, true, NULL},
    {"weighted ids, fields only", fields_only, 7, 30, true, NULL},
    {"weighted ids, many rows", no_change, 261, 2, true, NULL},
    {"many experts", many_experts, 7, 6, false, NULL},
    {"wide", wide, 33, 2, false, NULL},
    {"very wide", very_wide, 4, 3, false, ".feature_gate."},
    {"very wide, mix first", very_wide_mix_first, 4, 3, false, ".feature_gate."},
    {"33 branches", more_branches_than_a_mixture_takes, 5, 1, false, ".feature_gate."},
    {"33 experts", more_experts_than_a_mixture_takes, 5, 1, false, NULL},
    {"hundreds of experts", hundreds_of_experts, 3, 0, false, NULL},
};

/* ---------------------------------------------------------------------------------- comparisons */

typedef struct problem {
    setup config;
    home_model *model;
    reference *r;
    data d;
    double *dense;  /* [rows, dense_width] */
    double *logits; /* [rows, tasks] */
    reference_rows rows;
} problem;

static void problem_create(problem *p, const variant *v) {
    setup_small(&p->config);
    v->change(&p->config);
    p->model = make_model(&p->config);
    randomize(p->model, 11);
    p->r = reference_create(&p->config.config, p->model);
    data_create(&p->d, &p->config.config, v->rows, 5);
    if (v->weighted)
        data_weigh_ids(&p->d, &p->config.config, 6);
    const size_t width = p->config.config.dense_width;
    p->dense = calloc(v->rows * width + 1, sizeof *p->dense);
    p->logits = calloc(v->rows * p->config.config.task_count, sizeof *p->logits);
    REQUIRE(p->dense && p->logits);
    for (size_t row = 0; row < v->rows; row++)
        for (size_t i = 0; i < width; i++)
            p->dense[row * width + i] = (double)p->d.dense[row * p->d.batch.dense_stride + i];
    p->rows = (reference_rows){v->rows, p->dense, p->d.fields};
}

static void problem_free(problem *p) {
    free(p->dense);
    free(p->logits);
    data_free(&p->d);
    reference_free(p->r);
    home_model_release(p->model);
}

static double loss_now(problem *p) {
    reference_forward(p->r, &p->rows, true, p->logits);
    return reference_loss(p->r, p->rows.rows, p->logits, &p->d.targets, NULL);
}

static double central_difference(problem *p, double *x) {
    const double kept = *x;
    *x = kept + STEP;
    const double above = loss_now(p);
    *x = kept - STEP;
    const double below = loss_now(p);
    *x = kept;
    return (above - below) / (2 * STEP);
}

/* How many of the gradients, times `factor`, are not the expected ones; the first is reported. */
static size_t count_wrong(const double *actual, const double *expected, size_t count, double factor,
                          const char *name) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(expected[i]));
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++)
        if (!(fabs(factor * actual[i] - expected[i]) <= TOLERANCE * largest + FLOOR)) {
            if (wrong++ == 0 && name)
                test_fail(__FILE__, __LINE__, "d/d %s: %.7g, expected %.7g, largest %.7g", name,
                          actual[i], expected[i], largest);
        }
    return wrong;
}

static void compare_gradients(const double *actual, const double *expected, size_t count,
                              const char *name) {
    CHECK_INTEGER(count_wrong(actual, expected, count, 1, name), 0);
    if (count_wrong(actual, expected, count, 1.01, NULL) == 0)
        test_fail(__FILE__, __LINE__, "d/d %s is so small that an error of 1 %% passes", name);
}

/* A bias before a batch norm has no effect, so its gradient is zero up to rounding. */
static bool gradient_vanishes(const problem *p, const char *name) {
    if (p->config.config.bias_before_norm != HOME_ON || !strstr(name, ".experts."))
        return false;
    const size_t layer = strncmp(name, "layers.0.", 9) == 0 ? 0 : 1;
    char last[32];
    snprintf(last, sizeof last, ".linear.%zu.bias", p->config.layers[layer].hidden_count);
    return strstr(name, last) != NULL;
}

static void check_tensor(problem *p, const home_tensor *t, size_t samples) {
    if (samples == 0)
        return;
    size_t count;
    double *x = reference_tensor(p->r, t->name, &count);
    const size_t stride = count <= samples ? 1 : count / samples;
    const size_t checked = (count + stride - 1) / stride;
    double *actual = calloc(2 * checked, sizeof *actual);
    REQUIRE(actual);
    double *expected = actual + checked;
    for (size_t k = 0; k < checked; k++) {
        actual[k] = (double)t->gradient[k * stride];
        expected[k] = central_difference(p, &x[k * stride]);
    }
    if (gradient_vanishes(p, t->name))
        for (size_t k = 0; k < checked; k++)
            CHECK_NEAR(actual[k], 0, 1e-6);
    else
        compare_gradients(actual, expected, checked, t->name);
    free(actual);
}

/* All rows of a table: untouched ones have no gradient. */
static void check_table(problem *p, const home_table_config *table) {
    const home_gradient got = table_gradient_of(p->model, table->name);
    CHECK_INTEGER(got.width, table->dim);
    char name[64];
    snprintf(name, sizeof name, "embeddings.%s.weight", table->name);
    size_t count;
    double *x = reference_tensor(p->r, name, &count);
    REQUIRE(x && count == table->rows * table->dim);
    double *actual = calloc(2 * count, sizeof *actual);
    REQUIRE(actual);
    double *expected = actual + count;
    for (size_t i = 0; i < got.rows; i++) {
        CHECK(got.ids[i] < table->rows && (i == 0 || got.ids[i] > got.ids[i - 1]));
        for (size_t k = 0; k < table->dim; k++)
            actual[got.ids[i] * table->dim + k] = (double)got.data[i * got.stride + k];
    }
    size_t untouched = 0;
    for (size_t i = 0; i < count; i++) {
        expected[i] = central_difference(p, &x[i]);
        untouched += expected[i] == 0;
    }
    CHECK(got.rows * table->dim + untouched >= count);
    compare_gradients(actual, expected, count, name);
    free(actual);
}

static void check_input(problem *p, size_t samples) {
    home_error error = new_error();
    const size_t width = p->config.config.dense_width;
    home_gradient g = {.struct_size = sizeof g};
    CHECK_INTEGER(home_model_input_gradient(p->model, &g, &error), HOME_OK);
    CHECK(g.rows == p->rows.rows && g.width == width && !g.ids);
    if (width == 0 || samples == 0)
        return;
    const size_t rows = p->rows.rows < samples ? p->rows.rows : samples;
    double *actual = calloc(2 * rows * width, sizeof *actual);
    REQUIRE(actual);
    double *expected = actual + rows * width;
    for (size_t k = 0; k < rows; k++) {
        const size_t row = k * p->rows.rows / rows;
        for (size_t i = 0; i < width; i++) {
            actual[k * width + i] = (double)g.data[row * g.stride + i];
            expected[k * width + i] = central_difference(p, &p->dense[row * width + i]);
        }
    }
    compare_gradients(actual, expected, rows * width, "dense");
    free(actual);
}

static void check_predictions(const problem *p, const float *predictions) {
    const size_t count = p->rows.rows * p->config.config.task_count;
    for (size_t i = 0; i < count; i++)
        CHECK_NEAR((double)predictions[i], reference_sigmoid(p->logits[i]), PREDICTION_TOLERANCE);
}

static void check_losses(problem *p) {
    double expected[SETUP_TASKS];
    float actual[SETUP_TASKS];
    home_error error = new_error();
    reference_loss(p->r, p->rows.rows, p->logits, &p->d.targets, expected);
    if (!CHECK_INTEGER(home_model_backward(p->model, &p->d.targets, actual, &error), HOME_OK))
        printf("%s\n", error.message);
    for (size_t t = 0; t < p->config.config.task_count; t++)
        CHECK_NEAR((double)actual[t], expected[t], 2e-6);
}

/* After one forward in training, the library's running values are those of the reference. */
static void check_statistics(problem *p) {
    for (size_t i = 0; i < home_model_tensor_count(p->model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        CHECK_INTEGER(home_model_tensor_at(p->model, i, &t, NULL), HOME_OK);
        if (t.kind != HOME_TENSOR_STATISTIC)
            continue;
        size_t count;
        const double *expected = reference_tensor(p->r, t.name, &count);
        for (size_t k = 0; k < count; k++)
            CHECK_NEAR((double)t.data[k], expected[k], 2e-6 * fmax(1, fabs(expected[k])));
    }
}

static void check_variant(const variant *v) {
    problem p;
    problem_create(&p, v);

    float *served = predict_all(p.model, &p.d.batch);
    reference_forward(p.r, &p.rows, false, p.logits);
    check_predictions(&p, served);
    free(served);
    const char *unused = "";
    if (!reference_used_all(p.r, &unused))
        test_fail(__FILE__, __LINE__, "the model has a tensor that no formula needs: %s", unused);

    float *trained = forward_all(p.model, &p.d.batch);
    reference_forward(p.r, &p.rows, true, p.logits);
    check_predictions(&p, trained);
    free(trained);
    check_statistics(&p);
    check_losses(&p);

    size_t parameters = 0;
    size_t gradient_count;
    const float *gradients = gradients_of(p.model, &gradient_count);
    for (size_t i = 0; i < home_model_tensor_count(p.model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        CHECK_INTEGER(home_model_tensor_at(p.model, i, &t, NULL), HOME_OK);
        CHECK((t.gradient != NULL) == (t.kind == HOME_TENSOR_PARAMETER));
        if (t.kind != HOME_TENSOR_PARAMETER)
            continue;
        CHECK(t.gradient == gradients + t.gradient_offset);
        CHECK(t.gradient_offset + tensor_size(&t) <= gradient_count);
        parameters += tensor_size(&t);
        if (!v->only || strstr(t.name, v->only))
            check_tensor(&p, &t, v->samples);
    }
    CHECK_INTEGER(home_model_parameter_count(p.model), parameters);
    if (v->samples > 0 && !v->only)
        for (size_t i = 0; i < p.config.config.table_count; i++)
            check_table(&p, &p.config.tables[i]);
    check_input(&p, v->samples);
    problem_free(&p);
}

/* ----------------------------------------------------------------------------- single questions */

/* No weights are weights of 1, and no stride is a dense one. */
static void no_weights_are_weights_of_one(void) {
    problem p;
    problem_create(&p, &(variant){"small", no_change, 7, 0, false, NULL});
    float labels[7 * 3];
    for (size_t i = 0; i < 21; i++)
        labels[i] = p.d.labels[i / 3 * p.d.targets.label_stride + i % 3];
    p.d.targets = (home_targets){.struct_size = sizeof(home_targets), .labels = labels};
    p.d.batch.dense_stride = 0;
    free(p.d.dense);
    p.d.dense = calloc(35, sizeof *p.d.dense);
    REQUIRE(p.d.dense);
    for (size_t i = 0; i < 35; i++)
        p.d.dense[i] = (float)p.dense[i];
    p.d.batch.dense = p.d.dense;
    free(forward_all(p.model, &p.d.batch));
    reference_forward(p.r, &p.rows, true, p.logits);
    check_losses(&p);
    problem_free(&p);
}

/* With feature_init uniform, fresh weights already make F differ from 1, so that B and the mixture
 * get a gradient; with the default they get none. */
static void feature_init_decides_whether_branches_learn_at_once(void) {
    for (int uniform = 0; uniform < 2; uniform++) {
        setup s;
        setup_small(&s);
        s.config.feature_init = uniform ? HOME_INIT_UNIFORM : 0;
        home_model *model = make_model(&s);
        data d;
        data_create(&d, &s.config, 8, 3);
        free(forward_all(model, &d.batch));
        CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, NULL), HOME_OK);
        const home_tensor down =
            tensor_of(model, "layers.0.units.inter.feature_gate.lora.1.down.weight");
        const home_tensor up =
            tensor_of(model, "layers.0.units.inter.feature_gate.lora.1.up.weight");
        CHECK((up.data[0] != 0) == (uniform == 1));
        CHECK((down.gradient[0] != 0) == (uniform == 1));
        CHECK(up.gradient[0] != 0);
        data_free(&d);
        home_model_release(model);
    }
}

/* Fresh weights lie within +-1/sqrt(in) and use that range; norms are the identity; a tower's last
 * bias starts at the logit of the base rate. */
static void fresh_weights_lie_in_their_documented_range(void) {
    setup s;
    setup_dense(&s, 37);
    s.tasks[1].base_rate = 0.02;
    home_model *model = make_model(&s);
    const home_tensor w = tensor_of(model, "layers.0.units.shared.experts.0.linear.0.weight");
    float largest = 0;
    for (size_t i = 0; i < tensor_size(&w); i++)
        largest = fmaxf(largest, fabsf(w.data[i]));
    CHECK(largest <= 1 / sqrtf(37) && largest > 0.9f / sqrtf(37));
    CHECK(tensor_of(model, "layers.0.units.shared.experts.0.norm.weight").data[3] == 1);
    CHECK(tensor_of(model, "layers.0.units.shared.experts.0.norm.bias").data[3] == 0);
    CHECK(tensor_of(model, "layers.0.units.shared.experts.0.norm.running_mean").data[3] == 0);
    CHECK(tensor_of(model, "layers.0.units.shared.experts.0.norm.running_var").data[3] == 1);
    CHECK_NEAR((double)tensor_of(model, "towers.follow.linear.1.bias").data[0], log(0.02 / 0.98),
               1e-6);
    CHECK_NEAR((double)tensor_of(model, "towers.like.linear.1.bias").data[0], 0, 0);
    home_model_release(model);
}

int main(void) {
    /* Under sanitizers: fewer elements, the same paths. */
    const bool quick = getenv("TEST_QUICK") != NULL;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        variant v = variants[i];
        if (quick && v.samples > 4)
            v.samples = 4;
        test_begin("gradients agree with the reference: %s", v.name);
        check_variant(&v);
        test_end();
    }
    RUN(no_weights_are_weights_of_one);
    RUN(feature_init_decides_whether_branches_learn_at_once);
    RUN(fresh_weights_lie_in_their_documented_range);
    return test_summary();
}
