/* What a host changes while a model trains: weights of tasks, the momentum of batch norms, which
 * tensors train. And what a checkpoint keeps of it. Expected values are computed here, in double.
 */
#include "test.h"
#include "unit/fixture.h"

enum { ROWS = 40 };

static float *copy_of(const home_tensor *t) {
    float *copy = malloc(tensor_size(t) * sizeof *copy);
    REQUIRE(copy);
    memcpy(copy, t->data, tensor_size(t) * sizeof *copy);
    return copy;
}

static bool trains(const home_model *model, const char *name) {
    const home_tensor t = tensor_of(model, name);
    CHECK(t.trained == HOME_ON || t.trained == HOME_OFF);
    return t.trained == HOME_ON;
}

static size_t count_trained(const home_model *model) {
    size_t count = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        count += t.trained == HOME_ON;
    }
    return count;
}

/* -------------------------------------------------------------------------------- refused, read */

static void values_in_use_can_be_read(void) {
    static setup s;
    setup_small(&s);
    s.optimizer.learning_rate = 0.02;
    s.optimizer.embedding_learning_rate = 0.03;
    s.config.norm_momentum = 0.2;
    home_model *model = make_model(&s);
    CHECK(home_model_learning_rate(model) == 0.02);
    CHECK(home_model_embedding_learning_rate(model) == 0.03);
    CHECK(home_model_norm_momentum(model) == 0.2);
    CHECK(home_model_task_weight(model, 0) == 1 && home_model_task_weight(model, 1) == 0.5);
    CHECK(home_model_task_weight(model, 3) == 0);
    const char *configured = home_model_config_json(model);
    const size_t length = strlen(configured) + 1;
    char *kept = malloc(length);
    REQUIRE(kept);
    memcpy(kept, configured, length);
    CHECK_INTEGER(home_model_set_learning_rate(model, 0, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_embedding_learning_rate(model, 1e6, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_norm_momentum(model, 0, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_task_weight(model, 2, 0, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_task_weight(model, 0, 1e30, NULL), HOME_OK);
    CHECK(home_model_learning_rate(model) == 0);
    CHECK(home_model_embedding_learning_rate(model) == 1e6);
    CHECK(home_model_norm_momentum(model) == 0);
    CHECK(home_model_task_weight(model, 2) == 0 && home_model_task_weight(model, 0) == 1e30);
    CHECK_BYTES(home_model_config_json(model), kept, length);
    free(kept);
    home_model_release(model);
}

static void bad_values_are_refused(void) {
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    home_error error = new_error();
    static const double weights[] = {-1, NAN, INFINITY, 1.1e30};
    static const double momenta[] = {-0.1, NAN, 1.5};
    for (size_t i = 0; i < 4; i++) {
        CHECK_INTEGER(home_model_set_task_weight(model, 1, weights[i], &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "weight is ");
    }
    for (size_t i = 0; i < 3; i++) {
        CHECK_INTEGER(home_model_set_norm_momentum(model, momenta[i], &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "momentum is ");
    }
    CHECK_INTEGER(home_model_set_task_weight(model, 3, 1, &error), HOME_E_NOT_FOUND);
    CHECK_CONTAINS(error.message, "task is 3");
    CHECK_INTEGER(home_model_set_task_weight(NULL, 0, 1, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_task_weight(frozen, 0, 1, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_norm_momentum(NULL, 1, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_norm_momentum(frozen, 1, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_trained(NULL, "*", HOME_ON, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_trained(frozen, "*", HOME_ON, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_trained(model, NULL, HOME_ON, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "pattern");
    static const int32_t switches[] = {0, 3, -1};
    for (size_t i = 0; i < 3; i++) {
        CHECK_INTEGER(home_model_set_trained(model, "*", switches[i], &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "trained is ");
    }
    CHECK(home_model_task_weight(model, 1) == 0.5 && home_model_norm_momentum(model) == 0.1);
    CHECK(home_model_learning_rate(NULL) == 0 && home_model_learning_rate(frozen) == 0);
    CHECK(home_model_embedding_learning_rate(NULL) == 0);
    CHECK(home_model_embedding_learning_rate(frozen) == 0);
    CHECK(home_model_task_weight(NULL, 0) == 0 && home_model_task_weight(frozen, 0) == 0);
    CHECK(home_model_norm_momentum(NULL) == 0 && home_model_norm_momentum(frozen) == 0);
    home_model_release(frozen);
    home_model_release(model);
}

/* ------------------------------------------------------------------------------------- patterns */

static void patterns_choose_by_name(void) {
    static const struct {
        const char *pattern;
        size_t count; /* of parameters and tables that it matches; 0: refused */
    } cases[] = {
        {"embeddings.*", 2},
        {"embeddings.user.weight", 1},
        {"*.user.*", 1},
        {"embeddings.us?r.weight", 1},
        {"embeddings.????.weight", 1},
        {"embeddings.???.weight", 1},
        {"embeddings.?????.weight", 0},
        {"towers.like.*", 4},
        {"towers.*.linear.1.bias", 3},
        {"towers.*", 12},
        {"*bias*wei*", 0},
        {"*e*e*d*i*u*g*", 1},
        {"***tag***", 1},
        {"towers", 0},
        {"towers.like.linear.0.weigh", 0},
        {"towers.like.linear.0.weights", 0},
        {"?", 0},
        {"", 0},
        {"*running*", 0}, /* statistics do not train */
        {"layers.0.units.shared.experts.0.norm.running_mean", 0},
    };
    static setup s;
    setup_small(&s);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_begin("pattern \"%s\"", cases[i].pattern);
        home_model *model = make_model(&s);
        const size_t all = count_trained(model);
        home_error error = new_error();
        const home_status status =
            home_model_set_trained(model, cases[i].pattern, HOME_OFF, &error);
        CHECK_INTEGER(status, cases[i].count ? HOME_OK : HOME_E_NOT_FOUND);
        CHECK_INTEGER(count_trained(model), all - cases[i].count);
        if (!cases[i].count)
            CHECK_CONTAINS(error.message, cases[i].pattern);
        home_model_release(model);
        test_end();
    }
}

static void later_patterns_overrule(void) {
    static setup s;
    setup_small(&s);
    s.tasks[0].name = "l\xc3\xa9ke"; /* a character of two bytes */
    s.tasks[1].name = "l*e";
    home_model *model = make_model(&s);
    REQUIRE(home_model_set_trained(model, "*", HOME_OFF, NULL) == HOME_OK);
    CHECK_INTEGER(count_trained(model), 0);
    CHECK_INTEGER(home_model_set_trained(model, "towers.l?ke.*", HOME_ON, NULL), HOME_OK);
    CHECK_INTEGER(count_trained(model), 4);
    CHECK(trains(model, "towers.l\xc3\xa9ke.linear.0.weight"));
    CHECK_INTEGER(home_model_set_trained(model, "towers.l??ke.*", HOME_ON, NULL), HOME_E_NOT_FOUND);
    /* The name of a tensor means it alone, though it reads as a pattern for two. */
    CHECK_INTEGER(home_model_set_trained(model, "towers.*", HOME_OFF, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_trained(model, "towers.l*e.linear.0.bias", HOME_ON, NULL),
                  HOME_OK);
    CHECK_INTEGER(count_trained(model), 1);
    CHECK(trains(model, "towers.l*e.linear.0.bias"));
    CHECK_INTEGER(home_model_set_trained(model, "*", HOME_ON, NULL), HOME_OK);
    CHECK(!trains(model, "layers.0.units.shared.experts.0.norm.running_var"));
    home_model_release(model);
}

/* --------------------------------------------------------------------------- what trains, moves */

/* Gradients that are the same for each step of every model. */
static void set_gradients(home_model *model, uint64_t seed) {
    const size_t count = (size_t)home_model_parameter_count(model);
    float *g = malloc(count * sizeof *g);
    REQUIRE(g);
    for (size_t i = 0; i < count; i++)
        g[i] = (float)random_between(&seed, -1, 1);
    REQUIRE(home_model_set_gradient(model, g, count, NULL) == HOME_OK);
    const uint64_t rows[] = {7, 2, 10};
    REQUIRE(home_model_set_table_gradient(model, 0, rows, 3, g, 0, NULL) == HOME_OK);
    REQUIRE(home_model_set_table_gradient(model, 1, rows, 3, g + 9, 0, NULL) == HOME_OK);
    free(g);
}

static void step_along(home_model *model, uint64_t seed) {
    set_gradients(model, seed);
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
}

/* Steps in which a tensor does not train leave no trace in it, neither in values nor in what the
 * optimizer keeps: with SGD and Adagrad, which know no time, it is as if they had never been. */
static void check_no_trace(int32_t kind, int32_t embedding_kind, const char *pattern) {
    static setup s;
    setup_small(&s);
    s.optimizer.kind = kind;
    s.optimizer.embedding_kind = embedding_kind;
    s.optimizer.momentum = kind == HOME_OPTIMIZER_SGD ? 0.9 : 0;
    s.optimizer.weight_decay = 0.1;
    home_model *paused = make_model(&s);
    home_model *other = make_model(&s);
    step_along(paused, 1);
    step_along(other, 1);
    REQUIRE(home_model_set_trained(paused, pattern, HOME_OFF, NULL) == HOME_OK);
    for (uint64_t i = 0; i < 3; i++)
        step_along(paused, 2 + i);
    for (size_t i = 0; i < home_model_tensor_count(paused); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(paused, i, &t, NULL) == HOME_OK);
        const home_tensor o = tensor_of(other, t.name);
        const bool same = memcmp(t.data, o.data, tensor_size(&t) * sizeof(float)) == 0;
        if (t.kind != HOME_TENSOR_STATISTIC)
            CHECK(same == (t.trained == HOME_OFF));
    }
    REQUIRE(home_model_set_trained(paused, pattern, HOME_ON, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(other, "*", HOME_OFF, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(other, pattern, HOME_ON, NULL) == HOME_OK);
    step_along(paused, 9);
    step_along(other, 9);
    for (size_t i = 0; i < home_model_tensor_count(other); i++) {
        home_tensor o = {.struct_size = sizeof o};
        REQUIRE(home_model_tensor_at(other, i, &o, NULL) == HOME_OK);
        const home_tensor t = tensor_of(paused, o.name);
        if (o.trained == HOME_ON)
            CHECK_BYTES(t.data, o.data, tensor_size(&o) * sizeof(float));
    }
    CHECK_INTEGER(home_model_step_count(paused), 5);
    home_model_release(paused);
    home_model_release(other);
}

static void pauses_leave_no_trace(void) {
    static const char *const patterns[] = {"layers.*.weight", "*bias", "towers.follow.*",
                                           "embeddings.user.weight", "embeddings.*"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        check_no_trace(HOME_OPTIMIZER_SGD, HOME_OPTIMIZER_ROWWISE_ADAGRAD, patterns[i]);
        check_no_trace(HOME_OPTIMIZER_ADAGRAD, HOME_OPTIMIZER_ADAGRAD, patterns[i]);
    }
}

/* Adam: m and v stay while it does not train, the step count goes on. */
static void adam_goes_on_after_a_pause(void) {
    static const char name[] = "towers.view.linear.0.weight";
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    const home_tensor t = tensor_of(model, name);
    const size_t count = tensor_size(&t);
    double *x = calloc(3 * count, sizeof *x);
    REQUIRE(x);
    double *m = x + count;
    double *v = m + count;
    for (size_t i = 0; i < count; i++)
        x[i] = (double)t.data[i];
    for (int step = 1; step <= 6; step++) {
        const bool on = step < 3 || step > 4;
        REQUIRE(home_model_set_trained(model, "towers.view.*", on ? HOME_ON : HOME_OFF, NULL) ==
                HOME_OK);
        step_along(model, (uint64_t)step);
        for (size_t i = 0; on && i < count; i++) {
            const double g = (double)t.gradient[i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            x[i] -=
                0.001 * m[i] / (1 - pow(0.9, step)) / (sqrt(v[i] / (1 - pow(0.999, step))) + 1e-8);
        }
        for (size_t i = 0; i < count; i++)
            CHECK_NEAR((double)t.data[i], x[i], 1e-6);
    }
    free(x);
    home_model_release(model);
}

/* The norm, and so clipping, is of what trains. */
static void the_norm_is_of_what_trains(void) {
    static setup s;
    setup_small(&s);
    s.optimizer.kind = HOME_OPTIMIZER_SGD;
    s.optimizer.learning_rate = 1;
    s.optimizer.clip_norm = 0.25;
    home_model *model = make_model(&s);
    REQUIRE(home_model_set_trained(model, "*", HOME_OFF, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "towers.*.weight", HOME_ON, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "embeddings.tag.weight", HOME_ON, NULL) == HOME_OK);
    set_gradients(model, 3);
    double squares = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        for (size_t k = 0; t.trained == HOME_ON && t.gradient && k < tensor_size(&t); k++)
            squares += (double)t.gradient[k] * (double)t.gradient[k];
    }
    const home_gradient tag = table_gradient_of(model, "tag");
    for (size_t k = 0; k < tag.rows * tag.width; k++)
        squares += (double)tag.data[k] * (double)tag.data[k];
    CHECK(squares > 1);
    CHECK_NEAR(home_model_gradient_norm(model), sqrt(squares), 1e-6 * sqrt(squares));
    const home_tensor t = tensor_of(model, "towers.like.linear.0.weight");
    float *before = copy_of(&t);
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
    for (size_t k = 0; k < tensor_size(&t); k++)
        CHECK_NEAR((double)t.data[k],
                   (double)before[k] - 0.25 / sqrt(squares) * (double)t.gradient[k], 1e-6);
    free(before);

    /* Gradients that are not finite do no harm where nothing is moved by them. */
    REQUIRE(home_model_set_trained(model, "towers.*", HOME_OFF, NULL) == HOME_OK);
    set_gradients(model, 4);
    t.gradient[0] = INFINITY;
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    REQUIRE(home_model_set_trained(model, "*", HOME_OFF, NULL) == HOME_OK);
    set_gradients(model, 5);
    CHECK(home_model_gradient_norm(model) == 0);
    before = copy_of(&t);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    CHECK_BYTES(t.data, before, tensor_size(&t) * sizeof *before);
    free(before);
    home_model_release(model);
}

/* The packed weights follow too: the model predicts with what has moved. */
static void predictions_follow_what_trains(void) {
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 5);
    float *before = predict_all(model, &d.batch);
    REQUIRE(home_model_set_norm_momentum(model, 0, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "*", HOME_OFF, NULL) == HOME_OK);
    for (int i = 0; i < 3; i++)
        train_step(model, &d);
    float *after = predict_all(model, &d.batch);
    CHECK_BYTES(after, before, sizeof(float) * ROWS * 3);
    free(after);
    REQUIRE(home_model_set_trained(model, "towers.view.*", HOME_ON, NULL) == HOME_OK);
    train_step(model, &d);
    after = predict_all(model, &d.batch);
    for (size_t r = 0; r < ROWS; r++)
        CHECK(after[3 * r] == before[3 * r] && after[3 * r + 1] == before[3 * r + 1] &&
              after[3 * r + 2] != before[3 * r + 2]);
    free(before);
    free(after);
    data_free(&d);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------- weights, momentum */

/* As if the weight had been configured. */
static void weights_act_as_configured(void) {
    for (int uncertainty = HOME_ON; uncertainty <= HOME_OFF; uncertainty++) {
        static setup s;
        setup_small(&s);
        s.config.uncertainty = uncertainty;
        home_model *set = make_model(&s);
        s.tasks[0].weight = 0.25;
        s.tasks[2].weight = 3;
        home_model *configured = make_model(&s);
        copy_tensors(configured, set);
        REQUIRE(home_model_set_task_weight(set, 0, 0.25, NULL) == HOME_OK);
        REQUIRE(home_model_set_task_weight(set, 2, 3, NULL) == HOME_OK);
        data d;
        data_create(&d, &s.config, ROWS, 6);
        float losses[3];
        float expected[3];
        for (int step = 0; step < 3; step++) {
            free(forward_all(set, &d.batch));
            free(forward_all(configured, &d.batch));
            REQUIRE(home_model_backward(set, &d.targets, losses, NULL) == HOME_OK);
            REQUIRE(home_model_backward(configured, &d.targets, expected, NULL) == HOME_OK);
            CHECK_BYTES(losses, expected, sizeof losses);
            size_t count;
            const float *a = gradients_of(set, &count);
            CHECK_BYTES(a, gradients_of(configured, &count), count * sizeof *a);
            REQUIRE(home_model_step(set, NULL) == HOME_OK);
            REQUIRE(home_model_step(configured, NULL) == HOME_OK);
        }
        data_free(&d);
        home_model_release(set);
        home_model_release(configured);
    }
}

/* A weight of 0: a loss, but no gradient. */
static void a_task_may_be_taken_out(void) {
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 7);
    float losses[3];
    REQUIRE(home_model_set_task_weight(model, 0, 0, NULL) == HOME_OK);
    free(forward_all(model, &d.batch));
    REQUIRE(home_model_backward(model, &d.targets, losses, NULL) == HOME_OK);
    CHECK(losses[0] > 0);
    const home_tensor own = tensor_of(model, "towers.like.linear.0.weight");
    const home_tensor other = tensor_of(model, "towers.view.linear.0.weight");
    double sum = 0;
    for (size_t i = 0; i < tensor_size(&own); i++) {
        CHECK(own.gradient[i] == 0);
        sum += fabs((double)other.gradient[i]);
    }
    CHECK(sum > 0);
    data_free(&d);
    home_model_release(model);
}

/* running = (1 - momentum) running + momentum batch */
static void momentum_moves_running_values(void) {
    static const char name[] = "layers.0.units.shared.experts.1.norm.running_mean";
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 8);
    const home_tensor t = tensor_of(model, name);
    float *start = copy_of(&t);
    REQUIRE(home_model_set_norm_momentum(model, 0, NULL) == HOME_OK);
    free(forward_all(model, &d.batch));
    CHECK_BYTES(t.data, start, tensor_size(&t) * sizeof *start);
    REQUIRE(home_model_set_norm_momentum(model, 1, NULL) == HOME_OK);
    free(forward_all(model, &d.batch));
    float *batch = copy_of(&t);
    REQUIRE(home_model_set_tensor(model, name, start, tensor_size(&t), NULL) == HOME_OK);
    REQUIRE(home_model_set_norm_momentum(model, 0.25, NULL) == HOME_OK);
    free(forward_all(model, &d.batch));
    for (size_t i = 0; i < tensor_size(&t); i++) {
        CHECK(batch[i] != start[i]);
        CHECK_NEAR((double)t.data[i], 0.75 * (double)start[i] + 0.25 * (double)batch[i], 1e-7);
    }
    free(start);
    free(batch);
    data_free(&d);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------------- checkpoints */

static bool contains(const unsigned char *bytes, size_t length, const char *text) {
    const size_t size = strlen(text);
    for (size_t i = 0; i + size <= length; i++)
        if (memcmp(bytes + i, text, size) == 0)
            return true;
    return false;
}

static bool mentions_training(const home_model *model, uint32_t flags) {
    size_t length;
    unsigned char *bytes = model_bytes(model, flags, &length);
    const bool found = contains(bytes, length, "home.training");
    free(bytes);
    return found;
}

static home_model *save_and_load(const home_model *model, uint32_t flags) {
    size_t length;
    home_model *loaded = NULL;
    unsigned char *bytes = model_bytes(model, flags, &length);
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, NULL) == HOME_OK);
    free(bytes);
    return loaded;
}

/* Only what differs from the configuration is written, for readers that do not know of it. */
static void nothing_is_written_where_nothing_differs(void) {
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    CHECK(!mentions_training(model, HOME_SAVE_OPTIMIZER));
    REQUIRE(home_model_set_learning_rate(model, 0.5, NULL) == HOME_OK); /* has its own place */
    REQUIRE(home_model_set_task_weight(model, 1, 0.5, NULL) == HOME_OK);
    REQUIRE(home_model_set_norm_momentum(model, 0.1, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "*", HOME_OFF, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "*", HOME_ON, NULL) == HOME_OK);
    CHECK(!mentions_training(model, HOME_SAVE_OPTIMIZER));
    for (int i = 0; i < 3; i++) {
        home_model *changed = save_and_load(model, HOME_SAVE_OPTIMIZER);
        if (i == 0)
            REQUIRE(home_model_set_task_weight(changed, 2, 0, NULL) == HOME_OK);
        else if (i == 1)
            REQUIRE(home_model_set_norm_momentum(changed, 0, NULL) == HOME_OK);
        else
            REQUIRE(home_model_set_trained(changed, "towers.view.linear.0.bias", HOME_OFF, NULL) ==
                    HOME_OK);
        CHECK(mentions_training(changed, HOME_SAVE_OPTIMIZER));
        CHECK(!mentions_training(changed, 0));
        home_model *loaded = save_and_load(changed, HOME_SAVE_OPTIMIZER);
        CHECK(same_model(changed, loaded));
        CHECK(home_model_task_weight(loaded, 2) == (i == 0 ? 0 : 1));
        CHECK(home_model_norm_momentum(loaded) == (i == 1 ? 0 : 0.1));
        CHECK(trains(loaded, "towers.view.linear.0.bias") == (i != 2));
        home_model_release(loaded);
        loaded = save_and_load(changed, 0); /* without the optimizer: as configured */
        CHECK(home_model_task_weight(loaded, 2) == 1);
        CHECK(home_model_norm_momentum(loaded) == 0.1);
        CHECK(trains(loaded, "towers.view.linear.0.bias"));
        home_model_release(loaded);
        home_model_release(changed);
    }
    home_model_release(model);
}

/* Saved, loaded and continued is not stopped at all. */
static void training_goes_on_after_a_load(void) {
    static setup s;
    setup_small(&s);
    s.optimizer.weight_decay = 0.01;
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 9);
    train_step(model, &d);
    REQUIRE(home_model_set_learning_rate(model, 0.004, NULL) == HOME_OK);
    REQUIRE(home_model_set_task_weight(model, 0, 0, NULL) == HOME_OK);
    REQUIRE(home_model_set_task_weight(model, 2, 1.0 / 3, NULL) == HOME_OK);
    REQUIRE(home_model_set_norm_momentum(model, 0.3, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "layers.0.*", HOME_OFF, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(model, "embeddings.tag.weight", HOME_OFF, NULL) == HOME_OK);
    train_step(model, &d);
    home_model *loaded = save_and_load(model, HOME_SAVE_OPTIMIZER);
    for (int i = 0; i < 2; i++) {
        train_step(model, &d);
        train_step(loaded, &d);
        CHECK(same_model(model, loaded));
    }
    REQUIRE(home_model_set_trained(model, "*", HOME_ON, NULL) == HOME_OK);
    REQUIRE(home_model_set_trained(loaded, "*", HOME_ON, NULL) == HOME_OK);
    train_step(model, &d);
    train_step(loaded, &d);
    CHECK(same_model(model, loaded));
    data_free(&d);
    home_model_release(model);
    home_model_release(loaded);
}

/* ------------------------------------------------------------------------------------- look-ups */

/* Every name leads back to its number, and no other does. */
static void names_and_numbers_agree(void) {
    static setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    for (int i = 0; i < 2; i++) {
        const home_model *m = i ? frozen : model;
        CHECK_INTEGER(home_model_field_count(m), 3);
        CHECK_INTEGER(home_model_task_count(m), 3);
        if (CHECK_INTEGER(home_model_table_count(m), 2)) {
            CHECK(strcmp(home_model_table_name(m, 0), "user") == 0);
            CHECK(strcmp(home_model_table_name(m, 1), "tag") == 0);
        }
        CHECK(!home_model_table_name(m, 2) && !home_model_table_name(m, SIZE_MAX));
        for (size_t k = 0; k < 3; k++) {
            CHECK_INTEGER(home_model_field_index(m, home_model_field_name(m, k)), k);
            CHECK_INTEGER(home_model_task_index(m, home_model_task_name(m, k)), k);
        }
        CHECK_INTEGER(home_model_table_index(m, "tag"), 1);
        CHECK(home_model_table_index(m, "tags") == SIZE_MAX); /* which is a field */
        CHECK_INTEGER(home_model_field_index(m, "tags"), 1);
        CHECK(home_model_task_index(m, "inter") == SIZE_MAX); /* which is a group */
        CHECK(home_model_task_index(m, NULL) == SIZE_MAX);
        CHECK(home_model_field_index(m, NULL) == SIZE_MAX);
        CHECK(home_model_table_index(m, "") == SIZE_MAX);
        static const char *const units[2][6] = {
            {"shared", "inter", "watch", NULL, NULL, NULL},
            {"shared", "inter", "watch", "like", "follow", "view"},
        };
        if (!CHECK_INTEGER(home_model_layer_count(m), 2))
            continue;
        for (size_t l = 0; l < 2; l++) {
            CHECK_INTEGER(home_model_unit_count(m, l), l ? 6 : 3);
            for (size_t u = 0; u < 6; u++) {
                const char *name = home_model_unit_name(m, l, u);
                CHECK(units[l][u] ? name && strcmp(name, units[l][u]) == 0 : !name);
                CHECK(!units[l][u] || home_model_unit_index(m, l, units[l][u]) == u);
            }
        }
        CHECK(home_model_unit_index(m, 0, "like") == SIZE_MAX);
        CHECK(home_model_unit_index(m, 2, "shared") == SIZE_MAX);
        CHECK(home_model_unit_index(m, 0, NULL) == SIZE_MAX);
        CHECK_INTEGER(home_model_unit_count(m, 2), 0);
        CHECK(!home_model_unit_name(m, 2, 0));
    }
    CHECK_INTEGER(home_model_table_count(NULL), 0);
    CHECK_INTEGER(home_model_layer_count(NULL), 0);
    CHECK_INTEGER(home_model_unit_count(NULL, 0), 0);
    CHECK(!home_model_table_name(NULL, 0) && !home_model_unit_name(NULL, 0, 0));
    CHECK(home_model_task_index(NULL, "like") == SIZE_MAX);
    CHECK(home_model_field_index(NULL, "user") == SIZE_MAX);
    CHECK(home_model_table_index(NULL, "user") == SIZE_MAX);
    CHECK(home_model_unit_index(NULL, 0, "shared") == SIZE_MAX);
    home_model_release(frozen);
    home_model_release(model);
}

int main(void) {
    RUN(values_in_use_can_be_read);
    RUN(bad_values_are_refused);
    patterns_choose_by_name();
    RUN(later_patterns_overrule);
    RUN(pauses_leave_no_trace);
    RUN(adam_goes_on_after_a_pause);
    RUN(the_norm_is_of_what_trains);
    RUN(predictions_follow_what_trains);
    RUN(weights_act_as_configured);
    RUN(a_task_may_be_taken_out);
    RUN(momentum_moves_running_values);
    RUN(nothing_is_written_where_nothing_differs);
    RUN(training_goes_on_after_a_load);
    RUN(names_and_numbers_agree);
    return test_summary();
}
