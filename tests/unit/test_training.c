/* Optimizers against their definitions in double, seeds, learning, the host's own loss, and
 * allocations. */
#include "test.h"
#include "unit/fixture.h"

#define STEPS 20

/* ---------------------------------------------------------- an optimizer of each kind in double */

typedef struct numbers {
    double learning_rate;
    double beta1;
    double beta2;
    double epsilon;
    double clip_norm; /* 0: off */
    double embedding_learning_rate;
    double embedding_epsilon;
} numbers;

static const numbers defaults = {0.001, 0.9, 0.999, 1e-8, 0, 0.01, 1e-8};

/* What follows a model step by step, in double, from the model's own gradients. */
typedef struct shadow {
    size_t count;
    double *x; /* dense parameters, as home_model_gradient() orders them */
    double *m;
    double *v;
    double *table; /* the rows of table "tag" */
    double *sums;  /* G_r */
    size_t rows;
    size_t dim;
    double steps;
} shadow;

static void shadow_create(shadow *s, home_model *model) {
    s->count = (size_t)home_model_parameter_count(model);
    const home_tensor table = tensor_of(model, "embeddings.tag.weight");
    s->rows = (size_t)table.shape[0];
    s->dim = (size_t)table.shape[1];
    s->steps = 0;
    s->x = calloc(3 * s->count, sizeof(double));
    s->table = calloc(s->rows * (s->dim + 1), sizeof(double));
    REQUIRE(s->x && s->table);
    s->m = s->x + s->count;
    s->v = s->m + s->count;
    s->sums = s->table + s->rows * s->dim;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        if (t.kind != HOME_TENSOR_PARAMETER)
            continue;
        for (size_t k = 0; k < tensor_size(&t); k++)
            s->x[t.gradient_offset + k] = (double)t.data[k];
    }
    for (size_t k = 0; k < tensor_size(&table); k++)
        s->table[k] = (double)table.data[k];
}

static void shadow_free(shadow *s) {
    free(s->x);
    free(s->table);
}

static double sum_of_squares(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sum;
}

/* The norm of everything that has a gradient. */
static double total_norm(home_model *model) {
    size_t count;
    const float *dense = gradients_of(model, &count);
    double sum = sum_of_squares(dense, count);
    static const char *const tables[] = {"user", "tag"};
    for (size_t i = 0; i < 2; i++) {
        const home_gradient g = table_gradient_of(model, tables[i]);
        sum += sum_of_squares(g.data, g.rows * g.width);
    }
    return sqrt(sum);
}

/* One step from the gradients that the model holds now. Adam as in torch.optim.Adam:
 *   m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,
 *   x -= lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon);
 * row-wise Adagrad on touched rows: G_r += mean(g_r^2), row_r -= lr g_r / (sqrt(G_r) + epsilon). */
static void shadow_step(shadow *s, home_model *model, const numbers *n) {
    const double norm = total_norm(model);
    CHECK_NEAR(home_model_gradient_norm(model), norm, 1e-6 * norm);
    const double scale = n->clip_norm > 0 && norm > n->clip_norm ? n->clip_norm / norm : 1;
    size_t count;
    const float *gradients = gradients_of(model, &count);
    s->steps++;
    for (size_t i = 0; i < count; i++) {
        const double g = scale * (double)gradients[i];
        s->m[i] = n->beta1 * s->m[i] + (1 - n->beta1) * g;
        s->v[i] = n->beta2 * s->v[i] + (1 - n->beta2) * g * g;
        const double m = s->m[i] / (1 - pow(n->beta1, s->steps));
        const double v = s->v[i] / (1 - pow(n->beta2, s->steps));
        s->x[i] -= n->learning_rate * m / (sqrt(v) + n->epsilon);
    }
    const home_gradient g = table_gradient_of(model, "tag");
    for (size_t i = 0; i < g.rows; i++) {
        const float *row = g.data + i * g.stride;
        const size_t r = (size_t)g.ids[i];
        s->sums[r] += scale * scale * sum_of_squares(row, g.width) / (double)g.width;
        for (size_t k = 0; k < g.width; k++)
            s->table[r * g.width + k] -= n->embedding_learning_rate * scale * (double)row[k] /
                                         (sqrt(s->sums[r]) + n->embedding_epsilon);
    }
}

/* Float parameters near 1 round at 6e-8 in each step, so STEPS of them may drift by about 1e-6; a
 * step moves by about the learning rate, so an error of 1 % in one shows. */
static void shadow_compare(const shadow *s, const home_model *model) {
    const double tolerance = 2e-6;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        if (t.kind != HOME_TENSOR_PARAMETER)
            continue;
        for (size_t k = 0; k < tensor_size(&t); k++)
            if (!CHECK_NEAR((double)t.data[k], s->x[t.gradient_offset + k], tolerance))
                printf("    in %s\n", t.name);
    }
    const home_tensor table = tensor_of(model, "embeddings.tag.weight");
    for (size_t k = 0; k < tensor_size(&table); k++)
        CHECK_NEAR((double)table.data[k], s->table[k], tolerance);
}

static void follow(const numbers *n, bool change_rates) {
    setup s;
    setup_small(&s);
    s.optimizer.learning_rate = n->learning_rate;
    s.optimizer.beta1 = n->beta1;
    s.optimizer.beta2 = n->beta2;
    s.optimizer.epsilon = n->epsilon;
    s.optimizer.clip_norm = n->clip_norm;
    s.optimizer.embedding_learning_rate = n->embedding_learning_rate;
    s.optimizer.embedding_epsilon = n->embedding_epsilon;
    home_model *model = make_model(&s);
    randomize(model, 4);
    shadow expected;
    shadow_create(&expected, model);
    numbers now = *n;
    for (size_t step = 0; step < STEPS; step++) {
        data d;
        data_create(&d, &s.config, 6, step);
        free(forward_all(model, &d.batch));
        CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, NULL), HOME_OK);
        if (change_rates) {
            now.learning_rate = step % 5 == 4 ? 0 : n->learning_rate * (double)(1 + step % 3);
            now.embedding_learning_rate =
                step % 7 == 6 ? 0 : n->embedding_learning_rate / (double)(1 + step);
            CHECK_INTEGER(home_model_set_learning_rate(model, now.learning_rate, NULL), HOME_OK);
            CHECK_INTEGER(
                home_model_set_embedding_learning_rate(model, now.embedding_learning_rate, NULL),
                HOME_OK);
        }
        shadow_step(&expected, model, &now);
        CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
        CHECK_INTEGER(home_model_step_count(model), step + 1);
        data_free(&d);
    }
    shadow_compare(&expected, model);
    shadow_free(&expected);
    home_model_release(model);
}

static void optimizers_move_as_documented_by_default(void) {
    follow(&defaults, false);
}

/* Epsilons large enough to see where they stand in the formula; other betas. */
static void optimizers_move_as_documented_with_other_numbers(void) {
    const numbers n = {0.01, 0.8, 0.95, 0.003, 0, 0.05, 0.01};
    follow(&n, false);
}

static void clipping_moves_as_documented(void) {
    numbers n = {0.01, 0.9, 0.99, 0.003, 0.02, 0.05, 0.01};
    follow(&n, false);
    n.clip_norm = 1e6; /* never reached: as without */
    follow(&n, false);
}

static void learning_rates_can_change_between_steps(void) {
    const numbers n = {0.003, 0.9, 0.99, 0.003, 0, 0.05, 0.01};
    follow(&n, true);
}

/* Rows that no id of the batch leads to keep their bytes, and the gradient lists each touched row
 * once. */
static void untouched_rows_keep_their_bytes(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, 6, 1);
    const uint64_t ids[6] = {3, 9, 3, 3, 0, 9};
    home_ids fields[3] = {{.struct_size = sizeof(home_ids), .ids = ids}, d.fields[1], d.fields[2]};
    d.batch.fields = fields;
    float before[33];
    home_tensor table = tensor_of(model, "embeddings.user.weight");
    REQUIRE(tensor_size(&table) == 33);
    memcpy(before, table.data, sizeof before);
    free(forward_all(model, &d.batch));
    CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, NULL), HOME_OK);
    const home_gradient g = table_gradient_of(model, "user");
    if (CHECK_INTEGER(g.rows, 3))
        CHECK(g.ids[0] == 0 && g.ids[1] == 3 && g.ids[2] == 9 && g.width == 3);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    table = tensor_of(model, "embeddings.user.weight");
    for (size_t r = 0; r < 11; r++) {
        bool moved = false;
        for (size_t k = r * 3; k < r * 3 + 3; k++)
            moved = moved || table.data[k] != before[k];
        CHECK(moved == (r == 0 || r == 3 || r == 9));
    }
    data_free(&d);
    home_model_release(model);
}

/* What the host writes into the gradients is what the step takes. */
static void a_step_takes_the_changed_gradients(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, 6, 1);
    shadow expected;
    shadow_create(&expected, model);
    free(forward_all(model, &d.batch));
    CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, NULL), HOME_OK);
    size_t count;
    float *gradients = gradients_of(model, &count);
    for (size_t i = 0; i < count; i++)
        gradients[i] = (float)i - 3;
    const home_gradient g = table_gradient_of(model, "tag");
    for (size_t i = 0; i < g.rows * g.width; i++)
        g.data[i] = 2 - (float)i;
    shadow_step(&expected, model, &defaults);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    shadow_compare(&expected, model);
    shadow_free(&expected);
    data_free(&d);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------------- determinism */

static home_model *trained(uint64_t seed, size_t steps) {
    setup s;
    setup_small(&s);
    s.config.seed = seed;
    home_model *model = make_model(&s);
    for (size_t step = 0; step < steps; step++) {
        data d;
        data_create(&d, &s.config, 5 + step % 3, step);
        train_step(model, &d);
        data_free(&d);
    }
    return model;
}

static void a_seed_decides_every_byte(void) {
    home_model *a = trained(1, 10);
    home_model *b = trained(1, 10);
    home_model *c = trained(2, 10);
    CHECK(same_model(a, b));
    CHECK(!same_model(a, c));
    home_model_release(a);
    home_model_release(b);
    home_model_release(c);

    /* Different seeds differ in every tensor that is drawn at all, and tensors differ from each
     * other. */
    a = trained(1, 0);
    c = trained(2, 0);
    static const char *const drawn[] = {"layers.0.units.shared.experts.0.linear.0.weight",
                                        "layers.1.nodes.like.gate.linear.0.bias",
                                        "embeddings.user.weight"};
    for (size_t i = 0; i < 3; i++)
        CHECK(tensor_of(a, drawn[i]).data[0] != tensor_of(c, drawn[i]).data[0]);
    CHECK(tensor_of(a, "layers.0.units.shared.experts.0.linear.0.weight").data[0] !=
          tensor_of(a, "layers.0.units.shared.experts.1.linear.0.weight").data[0]);
    home_model_release(a);
    home_model_release(c);
}

/* A tensor's start depends on the seed and its own name, not on what else the model has. */
static void a_start_depends_on_seed_and_name_alone(void) {
    setup s;
    setup_small(&s);
    home_model *whole = make_model(&s);
    s.layers[1].feature_gates = HOME_OFF;
    s.config.task_count = 2;
    home_model *part = make_model(&s);
    const char *name = "layers.0.units.shared.experts.1.linear.1.weight";
    const home_tensor a = tensor_of(whole, name);
    const home_tensor b = tensor_of(part, name);
    REQUIRE(tensor_size(&a) == tensor_size(&b));
    CHECK_BYTES(a.data, b.data, tensor_size(&a) * sizeof(float));
    home_model_release(whole);
    home_model_release(part);
}

/* ------------------------------------------------------------------------------------- learning */

/* Labels that a dense value, an id and a product of two values decide. */
static void teach(data *d, const home_config *config) {
    for (size_t row = 0; row < d->batch.rows; row++) {
        const float *x = d->dense + row * d->batch.dense_stride;
        float *y = d->labels + row * d->targets.label_stride;
        y[0] = x[0] > 0.2f ? 1.0f : 0.0f;
        y[1] = d->ids[0][row] % 2 == 0 ? 1.0f : 0.0f;
        y[2] = x[1] * x[2] > 0 ? 1.0f : 0.0f;
    }
    REQUIRE(config->task_count == 3);
    d->targets.weights = NULL;
    d->targets.row_weights = NULL;
}

static void losses_fall(void) {
    setup s;
    setup_small(&s);
    s.layers[0].width = s.layers[1].width = 12;
    s.hidden[0][0] = 16;
    s.optimizer.learning_rate = 0.01;
    s.optimizer.embedding_learning_rate = 0.1;
    home_model *model = make_model(&s);
    float first[3] = {0};
    float last[3] = {0};
    for (size_t step = 0; step < 400; step++) {
        data d;
        data_create(&d, &s.config, 64, step);
        teach(&d, &s.config);
        free(forward_all(model, &d.batch));
        CHECK_INTEGER(home_model_backward(model, &d.targets, step == 0 ? first : last, NULL),
                      HOME_OK);
        CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
        data_free(&d);
    }
    for (size_t t = 0; t < 3; t++) {
        CHECK_NEAR((double)first[t], 0.69, 0.15);
        CHECK(last[t] < 0.25f);
    }

    /* And on rows it has not seen, with running values. */
    data d;
    data_create(&d, &s.config, 300, 12345);
    teach(&d, &s.config);
    float *p = predict_all(model, &d.batch);
    size_t right = 0;
    for (size_t row = 0; row < 300; row++)
        for (size_t t = 0; t < 3; t++)
            right += (p[row * 3 + t] > 0.5f) == (d.labels[row * d.targets.label_stride + t] > 0.5f);
    CHECK(right > 810); /* 90 % */
    free(p);
    data_free(&d);
    home_model_release(model);
}

/* -------------------------------------------------------------------------- the host's own loss */

/* d total / d logit of binary cross-entropy: weight_t w_rt (p - y) / sum of w. */
static void bce_derivative(const setup *s, const data *d, const float *predictions,
                           float *dlogits) {
    for (size_t t = 0; t < 3; t++) {
        double sum = 0;
        for (int pass = 0; pass < 2; pass++)
            for (size_t row = 0; row < d->batch.rows; row++) {
                const double y = (double)d->labels[row * d->targets.label_stride + t];
                const double w = (double)d->row_weights[row] *
                                 (double)d->weights[row * d->targets.weight_stride + t];
                if (pass == 0 && !isnan(y))
                    sum += w;
                const double task = s->tasks[t].weight != 0 ? s->tasks[t].weight : 1;
                if (pass == 1)
                    dlogits[row * 3 + t] =
                        isnan(y) ? 0
                                 : (float)(task * w * ((double)predictions[row * 3 + t] - y) / sum);
            }
    }
}

static void a_loss_of_the_host_moves_as_the_built_in_one(void) {
    setup s;
    setup_small(&s);
    home_model *a = make_model(&s);
    home_model *b = make_model(&s);
    randomize(a, 3);
    copy_tensors(b, a);
    data d;
    data_create(&d, &s.config, 9, 1);
    float dlogits[9 * 3];
    float *p = forward_all(a, &d.batch);
    free(forward_all(b, &d.batch));
    bce_derivative(&s, &d, p, dlogits);
    CHECK_INTEGER(home_model_backward(a, &d.targets, NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_backward_from(b, dlogits, 0, 0, NULL), HOME_OK);
    size_t count;
    const float *x = gradients_of(a, &count);
    const float *y = gradients_of(b, &count);
    const double norm = home_model_gradient_norm(a);
    CHECK(norm > 0.01);
    for (size_t i = 0; i < count; i++)
        CHECK_NEAR((double)y[i], (double)x[i], 1e-6 * norm + 1e-5 * fabs((double)x[i]));

    /* Linear: twice the derivative, exactly twice the gradients; with a stride. */
    float wide[9 * 5];
    for (size_t i = 0; i < 45; i++)
        wide[i] = i % 5 < 3 ? 2 * dlogits[i / 5 * 3 + i % 5] : NAN;
    float *kept = malloc(count * sizeof *kept);
    REQUIRE(kept);
    memcpy(kept, y, count * sizeof *kept);
    free(forward_all(b, &d.batch));
    CHECK_INTEGER(home_model_backward_from(b, wide, 5, 0, NULL), HOME_OK);
    for (size_t i = 0; i < count; i++)
        CHECK(y[i] == 2 * kept[i]);
    free(kept);
    free(p);
    data_free(&d);
    home_model_release(a);
    home_model_release(b);
}

/* Labels may be left out of every batch: then nothing has a gradient, and nothing is NaN. */
static void no_live_labels_give_no_gradient(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, 5, 1);
    for (size_t i = 0; i < 5 * d.targets.label_stride; i++)
        d.labels[i] = NAN;
    float losses[3] = {7, 7, 7};
    free(forward_all(model, &d.batch));
    CHECK_INTEGER(home_model_backward(model, &d.targets, losses, NULL), HOME_OK);
    CHECK(losses[0] == 0 && losses[1] == 0 && losses[2] == 0);
    CHECK(home_model_gradient_norm(model) == 0);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    data_free(&d);
    home_model_release(model);
}

/* Logits far out: the loss is |logit|, not infinity. */
static void confident_and_wrong_has_a_finite_loss(void) {
    setup s;
    setup_dense(&s, 3);
    s.config.tower_hidden_count = 0;
    home_model *model = make_model(&s);
    const float bias[] = {200, -300, 0};
    static const char *const names[] = {"towers.like.linear.0.bias", "towers.follow.linear.0.bias"};
    for (size_t t = 0; t < 2; t++)
        CHECK_INTEGER(home_model_set_tensor(model, names[t], &bias[t], 1, NULL), HOME_OK);
    data d;
    data_create(&d, &s.config, 4, 1);
    for (size_t row = 0; row < 4; row++) {
        d.labels[row * d.targets.label_stride] = 0;
        d.labels[row * d.targets.label_stride + 1] = 1;
    }
    float losses[3];
    free(forward_all(model, &d.batch));
    CHECK_INTEGER(home_model_backward(model, &d.targets, losses, NULL), HOME_OK);
    CHECK_NEAR((double)losses[0], 200, 3);
    CHECK_NEAR((double)losses[1], 300, 3);
    CHECK(isfinite(home_model_gradient_norm(model)) && home_model_gradient_norm(model) > 0.5);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    data_free(&d);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------------- allocations */

/* Once the largest batch has been seen, neither training nor serving allocates. */
static void a_steady_state_allocates_nothing(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup s;
    setup_small(&s);
    s.config.allocator = &allocator;
    home_model *model = make_model(&s);
    data big;
    data small;
    data_create(&big, &s.config, 70, 1);
    data_create(&small, &s.config, 9, 2);
    home_model *frozen;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    long before = 0;
    for (int round = 0; round < 4; round++) {
        if (round == 1)
            before = m.allocations;
        train_step(model, &big);
        train_step(model, &small);
        free(predict_all(model, &big.batch));
        free(predict_all(model, &small.batch));
        free(predict_all(frozen, &big.batch));
        free(predict_all(frozen, &small.batch));
    }
    CHECK_INTEGER(m.allocations, before);
    data_free(&big);
    data_free(&small);
    home_model_release(frozen);
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
}

/* With a workspace of the caller's, predict never allocates. */
static void workspace_needs_no_allocator(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup s;
    setup_small(&s);
    s.config.allocator = &allocator;
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, 300, 1);
    const size_t size = home_workspace_size(model);
    void *memory = malloc(size);
    float *out = malloc(900 * sizeof *out);
    REQUIRE(memory && out);
    home_workspace *workspace;
    m.fail_at = 0;
    CHECK_INTEGER(home_workspace_init(model, memory, size, &workspace, NULL), HOME_OK);
    CHECK_INTEGER(home_model_predict(model, &d.batch, out, 0, workspace, NULL), HOME_OK);
    free(out);
    free(memory);
    data_free(&d);
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
}

/* What a backward has computed can be read until the next forward, the step between them
 * included. */
static void gradients_outlive_the_step(void) {
    setup s;
    data d;
    setup_small(&s);
    data_create(&d, &s.config, 20, 3);
    home_model *model = make_model(&s);
    double unit;
    home_gradient input = {.struct_size = sizeof input};
    home_gradient table = {.struct_size = sizeof table};
    for (int turn = 0; turn < 2; turn++) {
        free(forward_all(model, &d.batch));
        CHECK(home_model_gradient_norm(model) == 0);
        CHECK_INTEGER(home_model_input_gradient(model, &input, NULL), HOME_E_STATE);
        REQUIRE(home_model_backward(model, &d.targets, NULL, NULL) == HOME_OK);
        const double norm = home_model_gradient_norm(model);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
        CHECK(norm > 0 && home_model_gradient_norm(model) == norm);
        CHECK_INTEGER(home_model_input_gradient(model, &input, NULL), HOME_OK);
        CHECK_INTEGER(home_model_table_gradient(model, 0, &table, NULL), HOME_OK);
        CHECK_INTEGER(home_model_unit_gradient_norm(model, 0, 0, NULL, 0, &unit, NULL), HOME_OK);
        CHECK_INTEGER(home_model_step(model, NULL), HOME_E_STATE);
    }
    home_model_release(model);
    data_free(&d);
}

int main(void) {
    RUN(optimizers_move_as_documented_by_default);
    RUN(optimizers_move_as_documented_with_other_numbers);
    RUN(clipping_moves_as_documented);
    RUN(learning_rates_can_change_between_steps);
    RUN(untouched_rows_keep_their_bytes);
    RUN(a_step_takes_the_changed_gradients);
    RUN(a_seed_decides_every_byte);
    RUN(a_start_depends_on_seed_and_name_alone);
    RUN(losses_fall);
    RUN(a_loss_of_the_host_moves_as_the_built_in_one);
    RUN(no_live_labels_give_no_gradient);
    RUN(confident_and_wrong_has_a_finite_loss);
    RUN(a_steady_state_allocates_nothing);
    RUN(workspace_needs_no_allocator);
    RUN(gradients_outlive_the_step);
    return test_summary();
}
