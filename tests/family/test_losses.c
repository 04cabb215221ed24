/* Losses and their gradients against the formulas in double precision: squared error, chains of
 * tasks
 * (`given`), uncertainty weights; the gradient of one task alone; the host's own loss.
 *
 * A tower whose weights are 0 answers its bias, so any logit can be had, and with a single row the
 * gradient of that bias is the derivative by the logit. Over many rows, the gradients of backward()
 * must be those of backward_from() with the expected derivatives. The reference works with
 * logarithms throughout, by other identities than the library. */
#include "family.h"

enum { MAX_TASKS = 5, ROWS = 23 };

/* ------------------------------------------------------------------------------ the definitions */

typedef struct task {
    const char *name;
    bool squared;
    double weight;
    int given; /* the number of another task; -1: none */
} task;

static double log_sigmoid(double x) {
    return x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
}

static double log_add(double a, double b) {
    const double high = fmax(a, b);
    return isinf(high) ? high : high + log1p(exp(fmin(a, b) - high));
}

/* log p and log (1 - p), p the product of the sigmoids along the chain. The chance that one of them
 * fails is the sum of the chances that those before hold and it fails: all terms are positive. */
static void log_chances(const task *tasks, int t, const double *x, double *log_p, double *log_q) {
    *log_p = 0;
    *log_q = -INFINITY;
    for (int i = t; i >= 0; i = tasks[i].given) {
        *log_q = log_add(*log_q, *log_p + log_sigmoid(-x[i]));
        *log_p += log_sigmoid(x[i]);
    }
}

/* The loss of task t on a row, and its derivatives by all logits times `factor` added to dx. */
static double row_loss(const task *tasks, int t, const double *x, double y, double factor,
                       double *dx) {
    if (tasks[t].squared) {
        dx[t] += factor * 2 * (x[t] - y);
        return (x[t] - y) * (x[t] - y);
    }
    double log_p;
    double log_q;
    log_chances(tasks, t, x, &log_p, &log_q);
    for (int i = t; i >= 0; i = tasks[i].given) {
        const double rest = log_sigmoid(-x[i]); /* d log p / dx_i = sigmoid(-x_i) */
        dx[i] += factor * ((1 - y) * exp(log_p - log_q + rest) - y * exp(rest));
    }
    return (y > 0 ? -y * log_p : 0) + (y < 1 ? -(1 - y) * log_q : 0);
}

typedef struct expected {
    double losses[MAX_TASKS];
    double dlogits[ROWS][MAX_TASKS];
    double duncertainty[MAX_TASKS];
    double total;
} expected;

static double live_weight(const home_targets *targets, size_t stride, size_t r, size_t t) {
    const double label =
        (double)targets->labels[r * (targets->label_stride ? targets->label_stride : stride) + t];
    const size_t weight_stride = targets->weight_stride ? targets->weight_stride : stride;
    double w = targets->row_weights ? (double)targets->row_weights[r] : 1;
    w *= targets->weights ? (double)targets->weights[r * weight_stride + t] : 1;
    return isnan(label) ? 0 : w;
}

/* Weighted means over live labels; the total with uncertainty weights s, where there are any. Only
 * the terms of `only` count; negative: all. */
static void expect_losses(const task *tasks, size_t count, size_t rows, const double *logits,
                          const home_targets *targets, const double *s, int only, expected *e) {
    *e = (expected){.total = 0};
    for (size_t t = 0; t < count; t++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++)
            sum += live_weight(targets, count, r, t);
        if (sum == 0 || (only >= 0 && (size_t)only != t))
            continue;
        const double half = tasks[t].squared ? 0.5 : 1;
        const double factor = tasks[t].weight * (s ? half * exp(-s[t]) : 1);
        const size_t stride = targets->label_stride ? targets->label_stride : count;
        for (size_t r = 0; r < rows; r++) {
            const double w = live_weight(targets, count, r, t) / sum;
            if (w > 0)
                e->losses[t] += w * row_loss(tasks, (int)t, logits + r * count,
                                             (double)targets->labels[r * stride + t], factor * w,
                                             e->dlogits[r]);
        }
        e->total += factor * e->losses[t] + (s ? tasks[t].weight * s[t] / 2 : 0);
        e->duncertainty[t] = s ? tasks[t].weight / 2 - factor * e->losses[t] : 0;
    }
}

/* ------------------------------------------------------------------------------------ the model */

/* Tasks of every kind: a chain of three, a single one, a squared error. The given task stands
 * behind, before and between. */
static const task tasks[MAX_TASKS] = {
    {"buy", false, 0.7, 2},  {"click", false, 1.5, -1}, {"cart", false, 1, 1},
    {"time", true, 0.4, -1}, {"like", false, 2, -1},
};

static home_model *make_chain(const char *extra) {
    text t = {.length = 0};
    text_add(&t,
             "{'preset':'mmoe','dense':3,'tasks':[{'name':'buy','given':'cart','weight':0.7},"
             "{'name':'click','weight':1.5},{'name':'cart','given':'click'},"
             "{'name':'time','loss':'squared','weight':0.4},{'name':'like','weight':2}],"
             "'layers':[{'width':4,'shared_experts':2}]%s}",
             extra);
    return model_from(t.bytes);
}

static void set_bias(home_model *model, const char *name, float value) {
    char full[64];
    snprintf(full, sizeof full, "towers.%s.linear.0.bias", name);
    fill_tensor(model, full, value);
}

static double bias_gradient(const home_model *model, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "towers.%s.linear.0.bias", name);
    return (double)tensor_of(model, full).gradient[0];
}

/* Towers answer their bias whatever the input. */
static void silence_towers(home_model *model) {
    for (size_t t = 0; t < MAX_TASKS; t++) {
        char name[64];
        snprintf(name, sizeof name, "towers.%s.linear.0.weight", tasks[t].name);
        fill_tensor(model, name, 0);
    }
}

static const float one_row[3] = {0.5f, -1, 0.25f};
static const home_batch one_row_batch = {
    .struct_size = sizeof(home_batch), .rows = 1, .dense = one_row};

/* -------------------------------------------------------------------------------- single logits */

/* One row with these logits and labels. */
static void check_logits(home_model *model, const float logits[MAX_TASKS],
                         const float labels[MAX_TASKS]) {
    double x[MAX_TASKS];
    float losses[MAX_TASKS];
    float predictions[MAX_TASKS];
    expected e;
    const home_targets targets = {.struct_size = sizeof targets, .labels = labels};
    for (size_t t = 0; t < MAX_TASKS; t++) {
        x[t] = (double)logits[t];
        set_bias(model, tasks[t].name, logits[t]);
    }
    expect_losses(tasks, MAX_TASKS, 1, x, &targets, NULL, -1, &e);
    REQUIRE(home_model_forward(model, &one_row_batch, predictions, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &targets, losses, NULL) == HOME_OK);
    for (size_t t = 0; t < MAX_TASKS; t++) {
        double log_p;
        double log_q;
        log_chances(tasks, (int)t, x, &log_p, &log_q);
        const double prediction = tasks[t].squared ? x[t] : exp(log_p);
        const double bound = fabs(prediction) * 1e-5 + 1e-30; /* relative: rare events too */
        if (!(fabs((double)predictions[t] - prediction) <= bound))
            test_fail(__FILE__, __LINE__, "prediction of %s is %g, expected %g", tasks[t].name,
                      (double)predictions[t], prediction);
        if (!(fabs((double)losses[t] - e.losses[t]) <= 1e-6 * e.losses[t] + 1e-12))
            test_fail(__FILE__, __LINE__,
                      "loss of %s is %g, expected %g; logits buy %g cart %g click %g, label %g",
                      tasks[t].name, (double)losses[t], e.losses[t], x[0], x[2], x[1],
                      (double)labels[t]);
        const double by_logit = bias_gradient(model, tasks[t].name);
        if (!(fabs(by_logit - e.dlogits[0][t]) <= 1e-5 * fabs(e.dlogits[0][t]) + 1e-9))
            test_fail(__FILE__, __LINE__,
                      "derivative by the logit of %s is %g, expected %g; logits buy %g cart %g "
                      "click %g, label %g",
                      tasks[t].name, by_logit, e.dlogits[0][t], x[0], x[2], x[1],
                      (double)labels[t]);
    }
}

static float random_label(size_t t, uint64_t *seed) {
    if (tasks[t].squared)
        return (float)random_between(seed, -30, 30);
    static const float labels[] = {0, 1, 0, 1, 0.25f, NAN};
    return labels[random_bits(seed) % 6];
}

static void losses_of_single_logits_agree_with_the_formulas(void) {
    home_model *model = make_chain("");
    silence_towers(model);
    uint64_t seed = 5;
    for (int i = 0; i < 400; i++) {
        float logits[MAX_TASKS];
        float labels[MAX_TASKS];
        const double range = i % 2 ? 3 : 12;
        for (size_t t = 0; t < MAX_TASKS; t++) {
            logits[t] = (float)random_between(&seed, -range, range);
            labels[t] = random_label(t, &seed);
        }
        check_logits(model, logits, labels);
    }
    home_model_release(model);
}

/* Every combination along the chain of three, of probabilities that round to 0 and 1 in float and
 * in double. */
static void extreme_logits_have_finite_losses(void) {
    home_model *model = make_chain("");
    silence_towers(model);
    static const float values[] = {-1e5f, -1000, -800, -100, -40, 0, 40, 100, 740, 800, 1000, 1e5f};
    enum { VALUES = sizeof values / sizeof *values };
    for (size_t i = 0; i < (size_t)VALUES * VALUES * VALUES; i++)
        for (int label = 0; label < 2; label++) {
            const float buy = values[i % VALUES];
            const float click = values[i / VALUES % VALUES];
            const float cart = values[i / VALUES / VALUES];
            const float y = (float)label;
            check_logits(model, (const float[]){buy, click, cart, 1e4f, click},
                         (const float[]){y, y, y, -1e4f, y});
        }
    home_model_release(model);
}

/* A frozen model and predict() multiply the chances too. */
static void served_chains_multiply_the_chances(void) {
    home_model *model = make_chain("");
    silence_towers(model);
    const double x[MAX_TASKS] = {-0.5, 1.25, 0.75, 7, -2};
    for (size_t t = 0; t < MAX_TASKS; t++)
        set_bias(model, tasks[t].name, (float)x[t]);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    float *served = predict_all(model, &one_row_batch);
    float *from_frozen = predict_all(frozen, &one_row_batch);
    const double click = 1 / (1 + exp(-x[1]));
    const double cart = click / (1 + exp(-x[2]));
    const double chances[MAX_TASKS] = {cart / (1 + exp(-x[0])), click, cart, x[3],
                                       1 / (1 + exp(-x[4]))};
    for (size_t t = 0; t < MAX_TASKS; t++) {
        CHECK_NEAR((double)served[t], chances[t], 1e-6);
        CHECK_NEAR((double)from_frozen[t], chances[t], 1e-5);
    }
    free(served);
    free(from_frozen);
    home_model_release(frozen);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------- many rows at once */

/* Random rows and targets with strides and weights; some labels missing; time's labels
 * unbounded. */
typedef struct rows {
    float dense[ROWS][3];
    float labels[ROWS][MAX_TASKS + 1];
    float weights[ROWS][MAX_TASKS + 2];
    float row_weights[ROWS];
    home_batch batch;
    home_targets targets;
} rows;

static void make_rows(rows *d, uint64_t seed) {
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < 3; i++)
            d->dense[r][i] = (float)random_between(&seed, -2, 2);
        for (size_t t = 0; t < MAX_TASKS; t++) {
            d->labels[r][t] = random_label(t, &seed);
            d->weights[r][t] = (float)random_between(&seed, 0, 2);
        }
        d->labels[r][MAX_TASKS] = d->weights[r][MAX_TASKS] = d->weights[r][MAX_TASKS + 1] = NAN;
        d->row_weights[r] = r % 5 == 4 ? 0 : (float)random_between(&seed, 0.1, 3);
    }
    d->batch = (home_batch){.struct_size = sizeof d->batch, .rows = ROWS, .dense = d->dense[0]};
    d->targets = (home_targets){.struct_size = sizeof d->targets,
                                .labels = d->labels[0],
                                .label_stride = MAX_TASKS + 1,
                                .row_weights = d->row_weights,
                                .weights = d->weights[0],
                                .weight_stride = MAX_TASKS + 2};
}

static float *copy_gradients(home_model *model, size_t *count) {
    const float *gradients = gradients_of(model, count);
    float *copy = malloc(*count * sizeof *copy);
    REQUIRE(copy);
    memcpy(copy, gradients, *count * sizeof *copy);
    return copy;
}

/* The gradients that backward_from() makes of these derivatives. */
static float *gradients_from(home_model *model, const home_batch *batch, const expected *e,
                             size_t *count) {
    float dlogits[ROWS][MAX_TASKS];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t t = 0; t < MAX_TASKS; t++)
            dlogits[r][t] = (float)e->dlogits[r][t];
    REQUIRE(home_model_forward(model, batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward_from(model, dlogits[0], 0, 0, NULL) == HOME_OK);
    return copy_gradients(model, count);
}

/* Equal up to rounding, uncertainties left out. */
static void check_gradients(const home_model *model, const float *actual, const float *wanted) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        if (t.kind != HOME_TENSOR_PARAMETER || starts_with(t.name, "uncertainty."))
            continue;
        double largest = 0;
        for (size_t k = 0; k < tensor_size(&t); k++)
            largest = fmax(largest, fabs((double)wanted[t.gradient_offset + k]));
        CHECK(largest > 1e-5);
        for (size_t k = 0; k < tensor_size(&t); k++)
            CHECK_NEAR((double)actual[t.gradient_offset + k], (double)wanted[t.gradient_offset + k],
                       1e-5 * largest);
    }
}

/* The logits of all rows, from towers turned to squared errors: the same weights, the identity as
 * link. */
static void logits_of(const home_model *model, const home_batch *batch, double *logits) {
    home_model *plain = model_from("{'preset':'mmoe','dense':3,'tasks':[{'name':'buy','loss':'"
                                   "squared'},{'name':'click','loss':'squared'"
                                   "},"
                                   "{'name':'cart','loss':'squared'},{'name':'time','loss':'"
                                   "squared'},{'name':'like','loss':'squared'}],"
                                   "'layers':[{'width':4,'shared_experts':2}]}");
    copy_tensors(plain, model);
    float *values = predict_all(plain, batch);
    for (size_t i = 0; i < batch->rows * MAX_TASKS; i++)
        logits[i] = (double)values[i];
    free(values);
    home_model_release(plain);
}

static void losses_over_rows_agree_with_the_formulas(void) {
    home_model *model = make_chain("");
    rows d;
    randomize(model, 4);
    make_rows(&d, 8);
    double logits[ROWS * MAX_TASKS];
    logits_of(model, &d.batch, logits);
    expected e;
    expect_losses(tasks, MAX_TASKS, ROWS, logits, &d.targets, NULL, -1, &e);
    float losses[MAX_TASKS];
    REQUIRE(home_model_forward(model, &d.batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &d.targets, losses, NULL) == HOME_OK);
    size_t count;
    float *actual = copy_gradients(model, &count);
    float *wanted = gradients_from(model, &d.batch, &e, &count);
    for (size_t t = 0; t < MAX_TASKS; t++)
        CHECK_NEAR((double)losses[t], e.losses[t], 2e-6 * (1 + e.losses[t]));
    check_gradients(model, actual, wanted);
    free(actual);
    free(wanted);
    home_model_release(model);
}

static void infinite_labels_of_squared_errors_are_refused(void) {
    home_model *model = make_chain("");
    const float bad[] = {INFINITY, -INFINITY};
    for (size_t i = 0; i < 2; i++) {
        float labels[MAX_TASKS] = {0, 1, 0, bad[i], 1};
        const home_targets targets = {.struct_size = sizeof targets, .labels = labels};
        home_error error = new_error();
        REQUIRE(home_model_forward(model, &one_row_batch, NULL, 0, NULL) == HOME_OK);
        CHECK_INTEGER(home_model_backward(model, &targets, NULL, &error), HOME_E_VALUE);
        CHECK_CONTAINS(error.message, "\"time\"");
        CHECK_CONTAINS(error.message, "finite");
        labels[3] = -1e6f; /* allowed, unlike for a binary task */
        CHECK_INTEGER(home_model_backward(model, &targets, NULL, &error), HOME_OK);
    }
    home_model_release(model);
}

/* -------------------------------------------------------------------------- uncertainty weights */

static double uncertainty_gradient(const home_model *model, size_t t) {
    char name[64];
    snprintf(name, sizeof name, "uncertainty.%s", tasks[t].name);
    return (double)tensor_of(model, name).gradient[0];
}

static void set_uncertainties(home_model *model, const double *s) {
    for (size_t t = 0; t < MAX_TASKS; t++) {
        char name[64];
        snprintf(name, sizeof name, "uncertainty.%s", tasks[t].name);
        fill_tensor(model, name, (float)s[t]);
    }
}

/* The total as a function of s, from the losses that the library reports. */
static double total_of(const float *losses, const double *s) {
    double total = 0;
    for (size_t t = 0; t < MAX_TASKS; t++)
        total += tasks[t].weight *
                 ((tasks[t].squared ? 0.5 : 1) * exp(-s[t]) * (double)losses[t] + s[t] / 2);
    return total;
}

static void uncertainty_weights_follow_their_formula(void) {
    home_model *model = make_chain(",'uncertainty':true");
    for (size_t t = 0; t < MAX_TASKS; t++) {
        char name[64];
        snprintf(name, sizeof name, "uncertainty.%s", tasks[t].name);
        CHECK(tensor_of(model, name).data[0] == 0);
    }
    double s[MAX_TASKS] = {0.5, -0.75, 1.25, 2, -0.125};
    rows d;
    randomize(model, 4);
    set_uncertainties(model, s);
    make_rows(&d, 9);
    double logits[ROWS * MAX_TASKS];
    logits_of(model, &d.batch, logits);
    expected e;
    expect_losses(tasks, MAX_TASKS, ROWS, logits, &d.targets, s, -1, &e);
    float losses[MAX_TASKS];
    REQUIRE(home_model_forward(model, &d.batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &d.targets, losses, NULL) == HOME_OK);
    for (size_t t = 0; t < MAX_TASKS; t++) {
        const double h = 1e-5;
        const double kept = s[t];
        s[t] = kept + h;
        double difference = total_of(losses, s);
        s[t] = kept - h;
        difference = (difference - total_of(losses, s)) / (2 * h);
        s[t] = kept;
        CHECK_NEAR((double)losses[t], e.losses[t], 2e-6 * (1 + e.losses[t])); /* without factors */
        CHECK_NEAR(uncertainty_gradient(model, t), difference, 1e-5 * (1 + fabs(difference)));
        CHECK_NEAR(e.duncertainty[t], difference, 1e-5 * (1 + fabs(difference)));
        CHECK(fabs(difference) > 1e-3);
    }
    size_t count;
    float *actual = copy_gradients(model, &count);
    float *wanted = gradients_from(model, &d.batch, &e, &count);
    check_gradients(model, actual, wanted);
    for (size_t t = 0; t < MAX_TASKS; t++)
        CHECK(uncertainty_gradient(model, t) == 0); /* the host's loss knows no s */
    free(actual);
    free(wanted);
    home_model_release(model);
}

/* No live label: no term, so neither the tower nor s moves; weights of zero count as none. */
static void absent_terms_move_nothing(void) {
    for (int by_weight = 0; by_weight < 2; by_weight++) {
        home_model *model = make_chain(",'uncertainty':true");
        rows d;
        make_rows(&d, 10);
        for (size_t r = 0; r < ROWS; r++)
            if (by_weight)
                d.weights[r][4] = 0;
            else
                d.labels[r][4] = NAN;
        float losses[MAX_TASKS];
        REQUIRE(home_model_forward(model, &d.batch, NULL, 0, NULL) == HOME_OK);
        REQUIRE(home_model_backward(model, &d.targets, losses, NULL) == HOME_OK);
        CHECK(losses[4] == 0);
        CHECK(uncertainty_gradient(model, 4) == 0);
        CHECK(bias_gradient(model, "like") == 0);
        for (size_t t = 0; t < 4; t++)
            CHECK(uncertainty_gradient(model, t) != 0);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
        CHECK(tensor_of(model, "uncertainty.like").data[0] == 0);
        CHECK(tensor_of(model, "uncertainty.time").data[0] != 0);
        home_model_release(model);
    }
}

/* -------------------------------------------------------------------------- one task's gradient */

static home_model *make_full(setup *s) {
    setup_small(s);
    s->config.uncertainty = HOME_ON;
    s->tasks[1].given = "like";
    home_model *model = make_model(s);
    randomize(model, 6);
    return model;
}

/* The gradients of a model's tasks, [tasks, count], with their losses. */
typedef struct task_parts {
    home_model *model;
    data d;
    size_t tasks;
    size_t count;
    float *gradients;
    float losses[3];
} task_parts;

static void task_parts_begin(task_parts *p) {
    setup s;
    p->model = make_full(&s);
    p->tasks = s.config.task_count;
    data_create(&p->d, &s.config, 9, 3);
    p->count = (size_t)home_model_parameter_count(p->model);
    p->gradients = malloc(p->tasks * p->count * sizeof *p->gradients);
    REQUIRE(p->gradients);
    REQUIRE(home_model_forward(p->model, &p->d.batch, NULL, 0, NULL) == HOME_OK);
    for (size_t t = 0; t < p->tasks; t++)
        CHECK_INTEGER(home_model_task_gradient(p->model, &p->d.targets, t,
                                               p->gradients + t * p->count, p->count, &p->losses[t],
                                               NULL),
                      HOME_OK);
}

static void task_parts_end(task_parts *p) {
    free(p->gradients);
    data_free(&p->d);
    home_model_release(p->model);
}

static void task_gradients_can_be_asked_for_again(void) {
    task_parts p;
    task_parts_begin(&p);
    float *again = malloc(p.count * sizeof *again);
    REQUIRE(again);
    for (size_t t = p.tasks; t-- > 0;) {
        CHECK_INTEGER(
            home_model_task_gradient(p.model, &p.d.targets, t, again, p.count, NULL, NULL),
            HOME_OK);
        CHECK_BYTES(again, p.gradients + t * p.count, p.count * sizeof *again);
    }
    CHECK_INTEGER(home_model_step(p.model, NULL), HOME_E_STATE); /* there is no gradient yet */
    free(again);
    task_parts_end(&p);
}

static void task_gradients_and_losses_sum_to_the_whole(void) {
    task_parts p;
    task_parts_begin(&p);
    float losses[3];
    REQUIRE(home_model_backward(p.model, &p.d.targets, losses, NULL) == HOME_OK);
    const float *whole = gradients_of(p.model, &p.count);
    double largest = 0;
    for (size_t i = 0; i < p.count; i++)
        largest = fmax(largest, fabs((double)whole[i]));
    for (size_t i = 0; i < p.count; i++) {
        double sum = 0;
        for (size_t t = 0; t < p.tasks; t++)
            sum += (double)p.gradients[t * p.count + i];
        CHECK_NEAR((double)whole[i], sum, 1e-5 * fabs(sum) + 1e-6 * largest);
    }
    for (size_t t = 0; t < p.tasks; t++)
        CHECK(losses[t] == p.losses[t]);
    task_parts_end(&p);
}

/* Task `view` is alone in its group and given no other. */
static void a_task_gradient_has_nothing_of_other_towers(void) {
    task_parts p;
    task_parts_begin(&p);
    REQUIRE(home_model_backward(p.model, &p.d.targets, NULL, NULL) == HOME_OK);
    const float *whole = gradients_of(p.model, &p.count);
    const home_tensor tower = tensor_of(p.model, "towers.like.linear.0.weight");
    for (size_t k = 0; k < tensor_size(&tower); k++) {
        const size_t at = tower.gradient_offset + k;
        CHECK(p.gradients[2 * p.count + at] == 0);
        CHECK(p.gradients[at] != 0 || whole[at] == 0);
    }
    task_parts_end(&p);
}

/* Asking for task gradients changes nothing of the training. */
static void task_gradients_leave_no_trace(void) {
    setup s;
    home_model *asked = make_full(&s);
    home_model *plain = make_full(&s);
    data d;
    data_create(&d, &s.config, 9, 3);
    size_t count;
    count = (size_t)home_model_parameter_count(asked);
    float *part = malloc(count * sizeof *part);
    REQUIRE(part);
    for (int step = 0; step < 4; step++) {
        REQUIRE(home_model_forward(asked, &d.batch, NULL, 0, NULL) == HOME_OK);
        for (size_t t = 3; t-- > 0;)
            REQUIRE(home_model_task_gradient(asked, &d.targets, t, part, count, NULL, NULL) ==
                    HOME_OK);
        REQUIRE(home_model_backward(asked, &d.targets, NULL, NULL) == HOME_OK);
        REQUIRE(home_model_step(asked, NULL) == HOME_OK);
        train_step(plain, &d);
    }
    CHECK(same_model(asked, plain));
    free(part);
    data_free(&d);
    home_model_release(asked);
    home_model_release(plain);
}

static void bad_calls_for_task_gradients_are_refused(void) {
    setup s;
    home_model *model = make_full(&s);
    data d;
    data_create(&d, &s.config, 9, 3);
    size_t count;
    count = (size_t)home_model_parameter_count(model);
    float *part = malloc(count * sizeof *part);
    REQUIRE(part);
    home_error error = new_error();
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 0, part, count, NULL, &error),
                  HOME_E_STATE);
    CHECK_CONTAINS(error.message, "home_model_forward()");
    REQUIRE(home_model_forward(model, &d.batch, NULL, 0, NULL) == HOME_OK);
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 3, part, count, NULL, &error),
                  HOME_E_NOT_FOUND);
    CHECK_CONTAINS(error.message, "task is 3");
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 0, part, count - 1, NULL, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "count");
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 0, NULL, count, NULL, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "gradients");
    CHECK_INTEGER(home_model_task_gradient(model, NULL, 0, part, count, NULL, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "targets");
    const float kept = d.labels[0];
    d.labels[0] = 7;
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 0, part, count, NULL, &error),
                  HOME_E_VALUE);
    d.labels[0] = kept;
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 0, part, count, NULL, &error),
                  HOME_OK);
    CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, &error), HOME_OK);
    CHECK_INTEGER(home_model_task_gradient(model, &d.targets, 0, part, count, NULL, &error),
                  HOME_E_STATE);
    CHECK_INTEGER(home_model_step(model, &error), HOME_OK);
    free(part);
    data_free(&d);
    home_model_release(model);
}

/* -------------------------------------------------------------------------- the host's own loss */

static void bad_derivatives_are_refused(void) {
    home_model *model = make_chain("");
    rows d;
    make_rows(&d, 12);
    float dlogits[ROWS][MAX_TASKS + 1];
    for (size_t i = 0; i < (size_t)ROWS * (MAX_TASKS + 1); i++)
        dlogits[i / (MAX_TASKS + 1)][i % (MAX_TASKS + 1)] =
            i % (MAX_TASKS + 1) == MAX_TASKS ? NAN : 0.25f;
    home_error error = new_error();
    CHECK_INTEGER(home_model_backward_from(model, dlogits[0], MAX_TASKS + 1, 0, &error),
                  HOME_E_STATE);
    REQUIRE(home_model_forward(model, &d.batch, NULL, 0, NULL) == HOME_OK);
    CHECK_INTEGER(home_model_backward_from(model, NULL, 0, 0, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_backward_from(model, dlogits[0], MAX_TASKS - 1, 0, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "stride");
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        dlogits[ROWS - 1][2] = bad[i];
        CHECK_INTEGER(home_model_backward_from(model, dlogits[0], MAX_TASKS + 1, 0, &error),
                      HOME_E_VALUE);
        CHECK_CONTAINS(error.message, "dlogits[22, 2]");
    }
    dlogits[ROWS - 1][2] = 0.25f;
    CHECK_INTEGER(home_model_backward_from(model, dlogits[0], MAX_TASKS + 1, 0, &error), HOME_OK);
    for (size_t t = 0; t < MAX_TASKS; t++) /* no gap was read */
        CHECK_NEAR(bias_gradient(model, tasks[t].name), 0.25 * (double)ROWS, 1e-5);
    CHECK_INTEGER(home_model_backward_from(model, dlogits[0], MAX_TASKS + 1, 0, &error),
                  HOME_E_STATE);
    CHECK_INTEGER(home_model_step(model, &error), HOME_OK);
    home_model_release(model);
}

/* ------------------------------------------------------------------------------- configurations */

static void bad_losses_are_refused(void) {
    static const char *const bad[][3] = {
        {"{'name':'a','given':'c'},{'name':'b'}", "tasks[0].given", "name of a task"},
        {"{'name':'a','given':'a'},{'name':'b'}", "tasks[0].given", "depend"},
        {"{'name':'a','given':'b'},{'name':'b','given':'a'}", "tasks[0].given", "depend"},
        {"{'name':'x','given':'a'},{'name':'a','given':'b'},{'name':'b','given':'a'}", "given",
         "depend"},
        {"{'name':'a','given':'b'},{'name':'b','given':'c'},{'name':'c','given':'d'},{'name':'d','"
         "given':'b'"
         "}",
         "given", "depend"},
        {"{'name':'a','given':'b'},{'name':'b','loss':'squared'}", "tasks[0].given", "binary"},
        {"{'name':'a','given':'b','loss':'squared'},{'name':'b'}", "tasks[0].given", "binary"},
        {"{'name':'a','loss':'squared','base_rate':0.1}", "tasks[0].base_rate", "squared"},
        {"{'name':'a','loss':'hinge'}", "tasks[0].loss", "bce"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text t = {.length = 0};
        text_add(&t, "{'preset':'mmoe','dense':1,'tasks':[%s],'layers':[{'width':1}]}", bad[i][0]);
        home_error error = new_error();
        home_model *model = NULL;
        test_begin("a bad loss is refused: %zu", i);
        CHECK_INTEGER(create_from(t.bytes, &model, &error), HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, bad[i][1]);
        CHECK_CONTAINS(error.message, bad[i][2]);
        test_end();
        home_model_release(model);
    }
}

int main(void) {
    RUN(losses_of_single_logits_agree_with_the_formulas);
    RUN(extreme_logits_have_finite_losses);
    RUN(served_chains_multiply_the_chances);
    RUN(losses_over_rows_agree_with_the_formulas);
    RUN(infinite_labels_of_squared_errors_are_refused);
    RUN(uncertainty_weights_follow_their_formula);
    RUN(absent_terms_move_nothing);
    RUN(task_gradients_can_be_asked_for_again);
    RUN(task_gradients_and_losses_sum_to_the_whole);
    RUN(a_task_gradient_has_nothing_of_other_towers);
    RUN(task_gradients_leave_no_trace);
    RUN(bad_calls_for_task_gradients_are_refused);
    RUN(bad_derivatives_are_refused);
    bad_losses_are_refused();
    return test_summary();
}
