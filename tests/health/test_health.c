/* Health statistics: against the reference in double precision, and on models made sick by hand. */
#include "reference/reference.h"
#include "test.h"
#include "unit/fixture.h"

#include <pthread.h>

enum { ROWS = 333, MAX_SEEN = 128 };

static home_health *new_health(const home_model *model) {
    home_error error = new_error();
    home_health *health = NULL;
    REQUIRE(home_health_create(model, NULL, &health, &error) == HOME_OK);
    return health;
}

static void add(home_health *health, const home_model *model, const home_batch *batch) {
    home_error error = new_error();
    if (home_health_add(health, model, batch, &error) != HOME_OK)
        test_fail(__FILE__, __LINE__, "home_health_add: %s", error.message);
}

static home_expert_health expert_of(const home_health *health, size_t expert) {
    home_expert_health figures = {.struct_size = sizeof figures};
    REQUIRE(home_health_expert(health, expert, &figures, NULL) == HOME_OK);
    return figures;
}

static home_node_health node_of(const home_health *health, size_t node) {
    home_node_health figures = {.struct_size = sizeof figures};
    REQUIRE(home_health_node(health, node, &figures, NULL) == HOME_OK);
    return figures;
}

static size_t find_expert(const home_health *health, size_t layer, const char *unit, size_t k) {
    for (size_t e = 0; e < home_health_expert_count(health); e++) {
        const home_expert_health figures = expert_of(health, e);
        if (figures.layer == layer && figures.expert == k && strcmp(figures.unit, unit) == 0)
            return e;
    }
    test_fail(__FILE__, __LINE__, "no expert %zu of unit %s in layer %zu", k, unit, layer);
    return SIZE_MAX;
}

static size_t find_node(const home_health *health, size_t layer, const char *name) {
    for (size_t o = 0; o < home_health_node_count(health); o++) {
        const home_node_health figures = node_of(health, o);
        if (figures.layer == layer && strcmp(figures.node, name) == 0)
            return o;
    }
    test_fail(__FILE__, __LINE__, "no node %s in layer %zu", name, layer);
    return SIZE_MAX;
}

/* ------------------------------------------------------------------------ against the reference */

/* What the reference showed: copies, by name. */
typedef struct seen {
    struct {
        char name[100];
        size_t rows, columns;
        double *values;
    } items[MAX_SEEN];
    size_t count;
} seen;

static void look(void *context, const char *name, size_t rows, size_t columns,
                 const double *values) {
    seen *s = context;
    REQUIRE(s->count < MAX_SEEN && strlen(name) < sizeof s->items[0].name);
    snprintf(s->items[s->count].name, sizeof s->items[0].name, "%s", name);
    s->items[s->count].rows = rows;
    s->items[s->count].columns = columns;
    s->items[s->count].values = malloc(rows * columns * sizeof(double));
    REQUIRE(s->items[s->count].values);
    memcpy(s->items[s->count++].values, values, rows * columns * sizeof(double));
}

static const double *find_seen(const seen *s, const char *name) {
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->items[i].name, name) == 0)
            return s->items[i].values;
    return NULL;
}

static seen *see(const setup *given, const home_model *model, const data *d) {
    const size_t width = given->config.dense_width;
    double *dense = malloc(d->batch.rows * width * sizeof *dense);
    double *logits = malloc(d->batch.rows * given->config.task_count * sizeof *logits);
    seen *s = calloc(1, sizeof *s);
    REQUIRE(dense && logits && s);
    for (size_t r = 0; r < d->batch.rows; r++)
        for (size_t i = 0; i < width; i++)
            dense[r * width + i] = (double)d->batch.dense[r * d->batch.dense_stride + i];
    reference *with = reference_create(&given->config, model);
    reference_watch(with, look, s);
    reference_forward(with, &(reference_rows){d->batch.rows, dense, d->batch.fields}, false,
                      logits);
    reference_free(with);
    free(dense);
    free(logits);
    return s;
}

static void forget(seen *s) {
    for (size_t i = 0; i < s->count; i++)
        free(s->items[i].values);
    free(s);
}

static const double *outputs_of(const seen *s, const home_health *health, size_t expert) {
    const home_expert_health f = expert_of(health, expert);
    char name[100];
    snprintf(name, sizeof name, "layers.%zu.units.%s.experts.%zu", f.layer, f.unit, f.expert);
    const double *h = find_seen(s, name);
    REQUIRE(h);
    return h;
}

/* Mean over rows of column i. */
static double column_mean(const double *m, size_t rows, size_t columns, size_t i) {
    double sum = 0;
    for (size_t r = 0; r < rows; r++)
        sum += m[r * columns + i];
    return sum / (double)rows;
}

static void check_expert(const seen *s, const home_health *health, size_t expert) {
    const home_expert_health f = expert_of(health, expert);
    const double *h = outputs_of(s, health, expert);
    const double count = (double)(ROWS * f.width);
    double mean = 0;
    double squares = 0;
    double min = h[0];
    double max = h[0];
    for (size_t i = 0; i < ROWS * f.width; i++) {
        mean += h[i] / count;
        min = fmin(min, h[i]);
        max = fmax(max, h[i]);
    }
    for (size_t i = 0; i < ROWS * f.width; i++)
        squares += (h[i] - mean) * (h[i] - mean) / count;
    CHECK_NEAR(f.mean, mean, 1e-5);
    CHECK_NEAR(f.deviation, sqrt(squares), 1e-5);
    CHECK_NEAR(f.min, min, 1e-4);
    CHECK_NEAR(f.max, max, 1e-4);
    CHECK_INTEGER(f.dead, 0);
    CHECK(f.near_zero < 0.01);
}

static void check_distance(const seen *s, const home_health *health, size_t a, size_t b,
                           size_t width) {
    const double *x = outputs_of(s, health, a);
    const double *y = outputs_of(s, health, b);
    double apart = 0;
    double variances = 0;
    for (size_t i = 0; i < width; i++) {
        const double mx = column_mean(x, ROWS, width, i);
        const double my = column_mean(y, ROWS, width, i);
        for (size_t at = i; at < ROWS * width; at += width) {
            apart += (x[at] - y[at]) * (x[at] - y[at]);
            variances += (x[at] - mx) * (x[at] - mx) + (y[at] - my) * (y[at] - my);
        }
    }
    CHECK_NEAR(home_health_distance(health, a, b), sqrt(apart / variances), 1e-5);
    CHECK(home_health_distance(health, a, b) == home_health_distance(health, b, a));
}

static void check_distances(const seen *s, const home_health *health) {
    for (size_t a = 0; a < home_health_expert_count(health); a++) {
        const home_expert_health f = expert_of(health, a);
        double nearest = INFINITY;
        for (size_t b = 0; b < home_health_expert_count(health); b++) {
            const double distance = home_health_distance(health, a, b);
            if (a != b && expert_of(health, b).layer == f.layer) {
                check_distance(s, health, a, b, f.width);
                nearest = fmin(nearest, distance);
            } else {
                CHECK(isnan(distance));
            }
        }
        CHECK(f.nearest_distance == nearest);
        CHECK(home_health_distance(health, a, f.nearest) == nearest);
    }
}

/* The experts a node sees, in the order of the documentation of preset home; first in their
 * layer. */
static void check_node(const seen *s, const home_health *health, size_t node) {
    const home_node_health f = node_of(health, node);
    char name[100];
    snprintf(name, sizeof name, "layers.%zu.nodes.%s.gate", f.layer, f.node);
    const double *w = find_seen(s, name);
    REQUIRE(w);
    double sum = 0;
    double entropy = 0;
    double top = 0;
    size_t column = 0;
    for (size_t e = 0; e < home_health_expert_count(health); e++) {
        const double weight = home_health_gate_weight(health, node, e);
        if (isnan(weight))
            continue;
        CHECK_NEAR(weight, column_mean(w, ROWS, f.experts, column), 1e-6);
        sum += weight;
        if (weight > top) {
            top = weight;
            CHECK(weight < f.top_weight || f.top_expert == e);
        }
        column++;
    }
    CHECK_INTEGER(column, f.experts);
    CHECK_NEAR(sum, 1, 1e-6);
    CHECK(f.top_weight == top);
    for (size_t i = 0; i < ROWS * f.experts; i++)
        entropy -= w[i] * log(w[i]) / (double)ROWS;
    CHECK_NEAR(f.entropy, entropy / log((double)f.experts), 1e-5);
    CHECK(f.entropy_spread >= f.entropy);
}

static void check_self(const seen *s, const home_health *health, size_t node) {
    const home_node_health f = node_of(health, node);
    char name[100];
    snprintf(name, sizeof name, "layers.%zu.nodes.%s.self_gate", f.layer, f.node);
    const double *w = find_seen(s, name);
    REQUIRE(w);
    size_t k = 0;
    double own = 0;
    double self = 0;
    for (size_t e = 0; e < home_health_expert_count(health); e++) {
        const home_expert_health of = expert_of(health, e);
        const double weight = home_health_self_weight(health, node, e);
        if (of.layer == f.layer && strcmp(of.unit, f.node) == 0) {
            CHECK_NEAR(weight, column_mean(w, ROWS, f.own_experts, k++), 1e-6);
            own += home_health_gate_weight(health, node, e);
            self += weight;
        } else {
            CHECK(isnan(weight));
        }
    }
    CHECK_INTEGER(k, f.own_experts);
    CHECK_NEAR(f.own_mass, own, 1e-12);
    CHECK_NEAR(f.self_weight, self, 1e-12);
}

static void figures_agree_with_the_reference(void) {
    setup given;
    setup_small(&given);
    home_model *model = make_model(&given);
    randomize(model, 11);
    data d;
    data_create(&d, &given.config, ROWS, 12);
    home_health *health = new_health(model);
    add(health, model, &d.batch);
    CHECK_INTEGER(home_health_rows(health), ROWS);
    /* layer 1: shared, inter, watch with 2 each; layer 2: shared 2, two groups of 1, three tasks of
     * 2 */
    CHECK_INTEGER(home_health_expert_count(health), 6 + 10);
    CHECK_INTEGER(home_health_node_count(health), 3 + 3);

    seen *s = see(&given, model, &d);
    for (size_t e = 0; e < home_health_expert_count(health); e++)
        check_expert(s, health, e);
    check_distances(s, health);
    for (size_t o = 0; o < home_health_node_count(health); o++) {
        check_node(s, health, o);
        check_self(s, health, o);
    }
    forget(s);
    home_health_destroy(health);
    data_free(&d);
    home_model_release(model);
}

static void histogram_counts_every_value(void) {
    setup given;
    setup_dense(&given, 6);
    given.layers[0].width = 11;
    home_model *model = make_model(&given);
    randomize(model, 21);
    data d;
    data_create(&d, &given.config, ROWS, 22);
    home_health *health = new_health(model);
    add(health, model, &d.batch);
    seen *s = see(&given, model, &d);
    for (size_t i = 0; i + 2 < HOME_HEALTH_BINS; i++)
        CHECK(home_health_bin_edge(i) < home_health_bin_edge(i + 1));
    check_distances(s, health); /* wider than in the other models */
    for (size_t e = 0; e < home_health_expert_count(health); e++) {
        const size_t values = ROWS * expert_of(health, e).width;
        const double *h = outputs_of(s, health, e);
        uint64_t counts[HOME_HEALTH_BINS];
        uint64_t expected[HOME_HEALTH_BINS] = {0};
        REQUIRE(home_health_histogram(health, e, counts, NULL) == HOME_OK);
        for (size_t i = 0; i < values; i++) {
            size_t bin = 0;
            while (bin + 1 < HOME_HEALTH_BINS && h[i] >= home_health_bin_edge(bin))
                bin++;
            expected[bin]++;
        }
        uint64_t total = 0;
        for (size_t b = 0; b < HOME_HEALTH_BINS; b++) {
            /* Values beside an edge may round over it. */
            CHECK_NEAR((double)counts[b], (double)expected[b], 2);
            total += counts[b];
        }
        CHECK_INTEGER(total, values);
    }
    forget(s);
    home_health_destroy(health);
    data_free(&d);
    home_model_release(model);
}

/* --------------------------------------------------------------------------------- sick by hand */

static void set_tensor(home_model *model, const char *name, float value) {
    const home_tensor t = tensor_of(model, name);
    float *values = malloc(tensor_size(&t) * sizeof *values);
    REQUIRE(values);
    for (size_t i = 0; i < tensor_size(&t); i++)
        values[i] = value;
    REQUIRE(home_model_set_tensor(model, name, values, tensor_size(&t), NULL) == HOME_OK);
    free(values);
}

static void copy_tensor(home_model *model, const char *to, const char *from) {
    const home_tensor t = tensor_of(model, from);
    REQUIRE(home_model_set_tensor(model, to, t.data, tensor_size(&t), NULL) == HOME_OK);
}

/* A gate whose weights do not depend on the row: softmax of these logits. */
static void fix_gate(home_model *model, size_t layer, const char *node, const float *logits,
                     size_t count) {
    char name[100];
    snprintf(name, sizeof name, "layers.%zu.nodes.%s.gate.linear.0.weight", layer, node);
    set_tensor(model, name, 0);
    snprintf(name, sizeof name, "layers.%zu.nodes.%s.gate.linear.0.bias", layer, node);
    REQUIRE(home_model_set_tensor(model, name, logits, count, NULL) == HOME_OK);
}

/* One layer of a preset over dense values, tasks like, follow, view. */
static home_model *plain_model(setup *given, int32_t preset, size_t shared, size_t own) {
    setup_dense(given, 5);
    given->config.preset = preset;
    given->config.layer_count = 1;
    given->layers[0].hidden_count = 0;
    given->layers[0].shared_experts = shared;
    given->layers[0].group_experts = 0;
    given->layers[0].task_experts = own;
    home_model *model = make_model(given);
    randomize(model, 31);
    return model;
}

static home_health *examine(const setup *given, const home_model *model) {
    data d;
    data_create(&d, &given->config, ROWS, 32);
    home_health *health = new_health(model);
    add(health, model, &d.batch);
    data_free(&d);
    return health;
}

static void a_dead_expert_shows(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 3, 0);
    set_tensor(model, "layers.0.units.shared.experts.1.linear.0.weight", 0);
    set_tensor(model, "layers.0.units.shared.experts.1.linear.0.bias", -1);
    home_health *health = examine(&given, model);
    const home_expert_health f = expert_of(health, 1);
    CHECK_INTEGER(f.dead, f.width);
    CHECK(f.near_zero == 1);
    CHECK(f.mean == 0 && f.deviation == 0 && f.min == 0 && f.max == 0);
    const home_expert_health living = expert_of(health, 0);
    CHECK(living.dead < living.width && living.near_zero > 0.05 && living.near_zero < 0.95);
    CHECK(isinf(node_of(health, 0).deviation_ratio));
    uint64_t counts[HOME_HEALTH_BINS];
    CHECK_INTEGER(home_health_histogram(health, 1, counts, NULL), HOME_OK);
    CHECK_INTEGER(counts[HOME_HEALTH_BINS / 2], ROWS * f.width);

    /* constant is dead too, but not near zero */
    set_tensor(model, "layers.0.units.shared.experts.1.linear.0.bias", 2);
    home_health *constant = examine(&given, model);
    CHECK_INTEGER(expert_of(constant, 1).dead, f.width);
    CHECK(expert_of(constant, 1).near_zero == 0);
    CHECK_NEAR(expert_of(constant, 1).mean, 2, 0);
    home_health_destroy(constant);
    home_health_destroy(health);
    home_model_release(model);
}

static void twin_experts_show_as_nearest(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 4, 0);
    copy_tensor(model, "layers.0.units.shared.experts.3.linear.0.weight",
                "layers.0.units.shared.experts.1.linear.0.weight");
    copy_tensor(model, "layers.0.units.shared.experts.3.linear.0.bias",
                "layers.0.units.shared.experts.1.linear.0.bias");
    home_health *health = examine(&given, model);
    CHECK(home_health_distance(health, 1, 3) == 0);
    CHECK_INTEGER(expert_of(health, 1).nearest, 3);
    CHECK_INTEGER(expert_of(health, 3).nearest, 1);
    CHECK(expert_of(health, 0).nearest_distance > 0.3);
    home_health_destroy(health);
    home_model_release(model);
}

static void constants_are_infinitely_far_apart(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    for (size_t k = 0; k < 2; k++) {
        char name[100];
        snprintf(name, sizeof name, "layers.0.units.shared.experts.%zu.linear.0.weight", k);
        set_tensor(model, name, 0);
        snprintf(name, sizeof name, "layers.0.units.shared.experts.%zu.linear.0.bias", k);
        set_tensor(model, name, (float)k);
    }
    home_health *health = examine(&given, model);
    CHECK(isinf(home_health_distance(health, 0, 1)));
    CHECK(isnan(node_of(health, 0).deviation_ratio)); /* none of them moves */
    home_health_destroy(health);
    home_model_release(model);
}

static void collapsed_and_even_gates_show_in_the_entropy(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 4, 0);
    const float even[4] = {0};
    const float collapsed[4] = {0, 0, 9, 0};
    fix_gate(model, 0, "like", even, 4);
    fix_gate(model, 0, "follow", collapsed, 4);
    home_health *health = examine(&given, model);
    const home_node_health like = node_of(health, find_node(health, 0, "like"));
    CHECK_NEAR(like.entropy, 1, 1e-6);
    CHECK_NEAR(like.entropy_spread, 1, 1e-6);
    CHECK_NEAR(like.top_weight, 0.25, 1e-7);
    CHECK_INTEGER(like.own_experts, 0);
    CHECK(isnan(like.own_mass) && like.self_weight == 0);
    const home_node_health follow = node_of(health, find_node(health, 0, "follow"));
    const double rest = exp(-9) / (1 + 3 * exp(-9));
    CHECK_INTEGER(follow.top_expert, 2);
    CHECK_NEAR(follow.top_weight, 1 - 3 * rest, 1e-6);
    CHECK_NEAR(follow.entropy,
               -(3 * rest * log(rest) + (1 - 3 * rest) * log(1 - 3 * rest)) / log(4), 1e-6);
    CHECK_NEAR(follow.entropy_spread, follow.entropy, 1e-6);
    home_health_destroy(health);
    home_model_release(model);
}

/* Every row on one expert, but not all on the same one: entropy 0, its spread 1. */
static void decided_gate_is_not_collapsed(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    const float logits[2] = {0};
    fix_gate(model, 0, "like", logits, 2);
    home_tensor w = tensor_of(model, "layers.0.nodes.like.gate.linear.0.weight");
    float *values = calloc(tensor_size(&w), sizeof *values);
    REQUIRE(values);
    values[0] = 1e6f; /* expert 0 where the first dense value is positive */
    REQUIRE(home_model_set_tensor(model, w.name, values, tensor_size(&w), NULL) == HOME_OK);
    free(values);
    home_health *health = examine(&given, model);
    const home_node_health like = node_of(health, find_node(health, 0, "like"));
    CHECK(like.entropy < 1e-3);
    CHECK(like.entropy_spread > 0.98);
    CHECK(like.top_weight < 0.6);
    home_health_destroy(health);
    home_model_release(model);
}

static void a_degraded_shared_expert_shows(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    const float mine[2] = {2, 0};
    const float not_mine[2] = {-3, 0};
    fix_gate(model, 0, "like", not_mine, 2);
    fix_gate(model, 0, "follow", mine, 2);
    fix_gate(model, 0, "view", not_mine, 2);
    home_health *health = examine(&given, model);
    const home_expert_health f = expert_of(health, 0);
    const double much = 1 / (1 + exp(-2));
    const double little = 1 / (1 + exp(3));
    CHECK_INTEGER(f.seen_by, 3);
    CHECK_INTEGER(f.top_node, find_node(health, 0, "follow"));
    CHECK_NEAR(f.mass, much + 2 * little, 1e-6);
    CHECK_NEAR(f.top_share, much / (much + 2 * little), 1e-6);
    const home_expert_health other = expert_of(health, 1);
    CHECK_NEAR(other.top_share, (1 - little) / (3 - much - 2 * little), 1e-6);
    CHECK_NEAR(f.mass + other.mass, 3, 1e-6);
    home_health_destroy(health);
    home_model_release(model);
}

static void ignored_own_experts_show_in_their_mass(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_CGC, 2, 3);
    const float logits[5] = {0, 0, -4, -4, -4}; /* shared ones, own ones */
    fix_gate(model, 0, "follow", logits, 5);
    home_health *health = examine(&given, model);
    const home_node_health f = node_of(health, find_node(health, 0, "follow"));
    CHECK_INTEGER(f.own_experts, 3);
    CHECK_NEAR(f.own_mass, 3 * exp(-4) / (2 + 3 * exp(-4)), 1e-6);
    CHECK(f.self_weight == 0); /* CGC has no self term */
    CHECK_INTEGER(expert_of(health, find_expert(health, 0, "follow", 0)).seen_by, 1);
    home_health_destroy(health);
    home_model_release(model);
}

/* -------------------------------------------------------------------------------------- presets */

static void a_shared_bottom_has_figures_without_gates(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_SHARED_BOTTOM, 1, 0);
    home_health *health = examine(&given, model);
    CHECK_INTEGER(home_health_expert_count(health), 1);
    CHECK(home_health_gate_weight(health, 1, 0) == 1);
    CHECK_INTEGER(expert_of(health, 0).nearest, SIZE_MAX);
    CHECK(isnan(expert_of(health, 0).nearest_distance));
    CHECK(isnan(node_of(health, 0).entropy));
    CHECK_NEAR(expert_of(health, 0).top_share, 1.0 / 3, 1e-12);
    home_health_destroy(health);
    home_model_release(model);
}

static void static_self_weights_are_counted(void) {
    setup given;
    setup_dense(&given, 5);
    given.config.preset = HOME_PRESET_ADATT;
    given.layers[0].group_experts = given.layers[1].group_experts = 0;
    given.layers[0].task_experts = 2;
    home_model *model = make_model(&given);
    home_health *health = examine(&given, model);
    const size_t like = find_node(health, 1, "like");
    CHECK_NEAR(home_health_self_weight(health, like, find_expert(health, 1, "like", 0)), 0.5, 1e-7);
    CHECK_NEAR(node_of(health, like).self_weight, 1, 1e-7);
    CHECK(isnan(home_health_self_weight(health, like, find_expert(health, 1, "view", 0))));
    home_health_destroy(health);
    home_model_release(model);
}

/* ----------------------------------------------------------------------- parts, threads, frozen */

static void same_figures(const home_health *a, const home_health *b, double tolerance) {
    CHECK_INTEGER(home_health_rows(a), home_health_rows(b));
    for (size_t e = 0; e < home_health_expert_count(a); e++) {
        const home_expert_health x = expert_of(a, e);
        const home_expert_health y = expert_of(b, e);
        CHECK_NEAR(x.mean, y.mean, tolerance);
        CHECK_NEAR(x.deviation, y.deviation, tolerance);
        CHECK_NEAR(x.min, y.min, tolerance);
        CHECK_NEAR(x.max, y.max, tolerance);
        CHECK_NEAR(x.near_zero, y.near_zero, tolerance);
        CHECK_INTEGER(x.dead, y.dead);
        CHECK_NEAR(x.nearest_distance, y.nearest_distance, tolerance);
        CHECK_NEAR(x.mass, y.mass, tolerance);
        CHECK_NEAR(x.top_share, y.top_share, tolerance);
        CHECK_INTEGER(x.top_node, y.top_node);
    }
    for (size_t o = 0; o < home_health_node_count(a); o++) {
        const home_node_health x = node_of(a, o);
        const home_node_health y = node_of(b, o);
        CHECK_NEAR(x.entropy, y.entropy, tolerance);
        CHECK_NEAR(x.entropy_spread, y.entropy_spread, tolerance);
        CHECK_NEAR(x.top_weight, y.top_weight, tolerance);
        CHECK_NEAR(x.deviation_ratio, y.deviation_ratio, tolerance);
        CHECK_NEAR(x.own_mass, y.own_mass, tolerance);
        CHECK_NEAR(x.self_weight, y.self_weight, tolerance);
    }
}

typedef struct part {
    const home_model *model;
    const data *rows;
    size_t first, count;
    home_health *health;
} part;

static void *add_part(void *argument) {
    part *p = argument;
    home_ids fields[DATA_FIELDS];
    const home_batch batch = data_slice(p->rows, p->first, p->count, fields);
    add(p->health, p->model, &batch);
    return NULL;
}

/* Parts of odd sizes, an empty one too, added by threads of their own. */
static void parts_make_the_whole(void) {
    setup given;
    setup_small(&given);
    home_model *model = make_model(&given);
    randomize(model, 41);
    data d;
    data_create(&d, &given.config, ROWS, 42);
    home_health *whole = new_health(model);
    add(whole, model, &d.batch);

    const size_t counts[] = {1, 64, 0, 130, 138};
    enum { PARTS = sizeof counts / sizeof counts[0] };
    part parts[PARTS];
    pthread_t threads[PARTS];
    for (size_t i = 0, first = 0; i < PARTS; first += counts[i++]) {
        parts[i] = (part){model, &d, first, counts[i], new_health(model)};
        REQUIRE(pthread_create(&threads[i], NULL, add_part, &parts[i]) == 0);
    }
    home_health *merged = new_health(model);
    for (size_t i = PARTS; i-- > 0;) {
        pthread_join(threads[i], NULL);
        CHECK_INTEGER(home_health_merge(merged, parts[i].health, NULL), HOME_OK);
        home_health_destroy(parts[i].health);
    }
    same_figures(merged, whole, 1e-12);

    home_health *one_by_one = new_health(model);
    for (size_t first = 0; first < ROWS; first += 37)
        add_part(&(part){model, &d, first, ROWS - first < 37 ? ROWS - first : 37, one_by_one});
    same_figures(one_by_one, whole, 1e-12);

    CHECK_INTEGER(home_health_merge(merged, merged, NULL), HOME_OK); /* twice the same rows */
    CHECK_INTEGER(home_health_rows(merged), 2 * ROWS);
    CHECK_NEAR(expert_of(merged, 3).deviation, expert_of(whole, 3).deviation, 1e-12);
    CHECK_NEAR(home_health_distance(merged, 0, 1), home_health_distance(whole, 0, 1), 1e-12);
    home_health_destroy(one_by_one);
    home_health_destroy(merged);
    home_health_destroy(whole);
    data_free(&d);
    home_model_release(model);
}

/* The mean is far larger than what moves around it: nothing may cancel. */
static void a_large_mean_cancels_nothing(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    home_health *before = examine(&given, model);
    set_tensor(model, "layers.0.units.shared.experts.0.linear.0.bias", 1024);
    home_health *after = examine(&given, model);
    const home_expert_health f = expert_of(after, 0);
    CHECK(f.mean > 1000 && f.deviation > 0.1 && f.deviation < 10);
    CHECK_INTEGER(f.dead, 0);
    home_health_destroy(before);
    home_health_destroy(after);
    home_model_release(model);
}

static void a_frozen_copy_has_the_same_figures(void) {
    setup given;
    setup_small(&given);
    home_model *model = make_model(&given);
    randomize(model, 51);
    data d;
    data_create(&d, &given.config, ROWS, 52);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    home_health *of_model = new_health(model);
    home_health *of_frozen = new_health(frozen);
    float *before = predict_all(frozen, &d.batch);
    add(of_model, model, &d.batch);
    add(of_frozen, frozen, &d.batch);
    float *after = predict_all(frozen, &d.batch);
    CHECK_BYTES(after, before, ROWS * given.config.task_count * sizeof *after);
    same_figures(of_frozen, of_model, 1e-4);
    add(of_frozen, model, &d.batch); /* one accumulator may take both */
    CHECK_INTEGER(home_health_rows(of_frozen), 2 * ROWS);
    CHECK_INTEGER(home_health_merge(of_model, of_frozen, NULL), HOME_OK);

    home_health *with_threads = new_health(frozen);
    home_health *alone = new_health(frozen);
    add(alone, frozen, &d.batch);
    REQUIRE(home_model_set_threads(frozen, 3, NULL) == HOME_OK);
    add(with_threads, frozen, &d.batch);
    same_figures(with_threads, alone, 0);
    home_model_release(frozen);
    same_figures(with_threads, alone, 0); /* the model need not live on */
    free(before);
    free(after);
    home_health_destroy(with_threads);
    home_health_destroy(alone);
    home_health_destroy(of_model);
    home_health_destroy(of_frozen);
    data_free(&d);
    home_model_release(model);
}

/* ------------------------------------------------------------------------------------ gradients */

static double norm_of(const home_model *model, size_t layer, const char *unit,
                      const float *gradients) {
    size_t count = 0;
    count = (size_t)home_model_parameter_count(model);
    double norm = -1;
    home_error error = new_error();
    if (home_model_unit_gradient_norm(model, layer, home_model_unit_index(model, layer, unit),
                                      gradients, count, &norm, &error) != HOME_OK)
        test_fail(__FILE__, __LINE__, "%s", error.message);
    return norm;
}

/* A model that has gone forward, and the status of asking for a norm. */
typedef struct forwarded {
    home_model *model;
    data rows;
    home_error error;
} forwarded;

static void forwarded_begin(forwarded *f) {
    setup given;
    setup_small(&given);
    f->error = new_error();
    f->model = make_model(&given);
    randomize(f->model, 61);
    data_create(&f->rows, &given.config, 64, 62);
    free(forward_all(f->model, &f->rows.batch));
}

static void forwarded_end(forwarded *f) {
    data_free(&f->rows);
    home_model_release(f->model);
}

static home_status ask_norm(forwarded *f, size_t layer, size_t unit) {
    double norm;
    return home_model_unit_gradient_norm(f->model, layer, unit, NULL, 0, &norm, &f->error);
}

static void a_task_has_gradients_by_the_units_that_it_sees(void) {
    forwarded f;
    forwarded_begin(&f);
    size_t count;
    count = (size_t)home_model_parameter_count(f.model);
    float *gradients = malloc(count * sizeof *gradients);
    REQUIRE(gradients);
    REQUIRE(home_model_task_gradient(f.model, &f.rows.targets, 2, gradients, count, NULL, NULL) ==
            HOME_OK); /* view */
    CHECK(norm_of(f.model, 1, "view", gradients) > 1e-6);
    CHECK(norm_of(f.model, 0, "inter", gradients) > 1e-9); /* through node shared */
    CHECK(norm_of(f.model, 1, "like", gradients) == 0);    /* which view does not see */
    CHECK(norm_of(f.model, 1, "inter", gradients) == 0);
    free(gradients);
    forwarded_end(&f);
}

static void the_norm_of_a_unit_is_that_of_its_experts_tensors(void) {
    forwarded f;
    forwarded_begin(&f);
    REQUIRE(home_model_backward(f.model, &f.rows.targets, NULL, &f.error) == HOME_OK);
    double squares = 0;
    for (size_t i = 0; i < home_model_tensor_count(f.model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(f.model, i, &t, NULL) == HOME_OK);
        if (t.gradient && strncmp(t.name, "layers.0.units.shared.experts.", 30) == 0)
            for (size_t k = 0; k < tensor_size(&t); k++)
                squares += (double)t.gradient[k] * (double)t.gradient[k];
    }
    CHECK(squares > 0);
    CHECK_NEAR(norm_of(f.model, 0, "shared", NULL), sqrt(squares), 1e-12);
    forwarded_end(&f);
}

static void bad_questions_for_a_norm_are_refused(void) {
    forwarded f;
    forwarded_begin(&f);
    CHECK_INTEGER(ask_norm(&f, 0, 0), HOME_E_STATE); /* before a backward */
    REQUIRE(home_model_backward(f.model, &f.rows.targets, NULL, &f.error) == HOME_OK);
    CHECK_INTEGER(ask_norm(&f, 0, 3), HOME_E_NOT_FOUND);
    CHECK_CONTAINS(f.error.message, "unit 3 in layer 0");
    CHECK_INTEGER(ask_norm(&f, 2, 0), HOME_E_NOT_FOUND);
    CHECK_INTEGER(ask_norm(&f, 0, SIZE_MAX), HOME_E_NOT_FOUND);
    CHECK_INTEGER(home_model_unit_gradient_norm(f.model, 0, 0, NULL, 0, NULL, &f.error),
                  HOME_E_ARGUMENT);
    const float gradient = 0;
    double norm;
    CHECK_INTEGER(home_model_unit_gradient_norm(f.model, 0, 0, &gradient, 1, &norm, &f.error),
                  HOME_E_ARGUMENT);
    home_model *frozen;
    REQUIRE(home_model_freeze(f.model, &frozen, NULL) == HOME_OK);
    CHECK_INTEGER(home_model_unit_gradient_norm(frozen, 0, 0, NULL, 0, &norm, &f.error),
                  HOME_E_STATE);
    home_model_release(frozen);
    forwarded_end(&f);
}

/* --------------------------------------------------------------------------------------- errors */

static void figures_of_nothing_are_nan(void) {
    setup given;
    setup_small(&given);
    home_model *model = make_model(&given);
    home_health *health = new_health(model);
    CHECK_INTEGER(home_health_rows(health), 0);
    const home_expert_health e = expert_of(health, 0);
    CHECK(isnan(e.mean) && isnan(e.deviation) && isnan(e.min) && isnan(e.near_zero) &&
          isnan(e.mass) && isnan(e.top_share) && isnan(e.nearest_distance));
    CHECK(e.nearest == SIZE_MAX && e.top_node == SIZE_MAX && e.dead == 0);
    const home_node_health o = node_of(health, 0);
    CHECK(isnan(o.entropy) && isnan(o.entropy_spread) && isnan(o.top_weight) && isnan(o.own_mass) &&
          isnan(o.self_weight) && isnan(o.deviation_ratio));
    CHECK(isnan(home_health_gate_weight(health, 0, 0)));
    setup no_self_term;
    home_model *mmoe = plain_model(&no_self_term, HOME_PRESET_MMOE, 4, 0);
    home_health *of_mmoe = new_health(mmoe);
    CHECK(isnan(node_of(of_mmoe, 0).self_weight) && isnan(node_of(of_mmoe, 0).own_mass));
    home_health_destroy(of_mmoe);
    home_model_release(mmoe);
    home_health *other = new_health(model);
    CHECK_INTEGER(home_health_merge(health, other, NULL), HOME_OK);
    CHECK_INTEGER(home_health_rows(health), 0);
    home_health_destroy(other);
    home_health_destroy(health);
    home_health_destroy(NULL);
    home_model_release(model);
}

/* A model and rows, and two accumulators that hold them: bad calls to one must leave it like the
 * other. */
typedef struct filled {
    home_model *model;
    data rows;
    home_health *health;
    home_health *expected;
    home_error error;
} filled;

static void filled_begin(filled *f) {
    setup given;
    setup_small(&given);
    f->error = new_error();
    f->model = make_model(&given);
    randomize(f->model, 71);
    data_create(&f->rows, &given.config, 100, 72);
    f->health = new_health(f->model);
    f->expected = new_health(f->model);
    add(f->health, f->model, &f->rows.batch);
    add(f->expected, f->model, &f->rows.batch);
}

static void filled_end(filled *f) {
    same_figures(f->health, f->expected, 0);
    home_health_destroy(f->expected);
    home_health_destroy(f->health);
    data_free(&f->rows);
    home_model_release(f->model);
}

/* With NULL for all that has a row, as home.h allows it, and with everything there. */
static void adding_zero_rows_succeeds_and_changes_nothing(void) {
    filled f;
    filled_begin(&f);
    const home_batch bare = {.struct_size = sizeof bare, .field_count = f.rows.batch.field_count};
    home_batch complete = f.rows.batch;
    complete.rows = 0;
    home_health *empty = new_health(f.model);
    home_health *const both[] = {f.health, empty};
    for (size_t i = 0; i < 2; i++) {
        add(both[i], f.model, &bare);
        add(both[i], f.model, &complete);
    }
    CHECK_INTEGER(home_health_rows(empty), 0);
    CHECK(isnan(expert_of(empty, 0).mean) && isnan(node_of(empty, 0).entropy));
    add(empty, f.model, &f.rows.batch);
    same_figures(empty, f.expected, 0);
    home_health_destroy(empty);
    filled_end(&f);
}

static void bad_rows_are_refused_and_change_nothing(void) {
    filled f;
    filled_begin(&f);
    const home_batch *batch = &f.rows.batch;
    float *value = &f.rows.dense[90 * batch->dense_stride];
    const float kept = *value;
    *value = NAN;
    CHECK_INTEGER(home_health_add(f.health, f.model, batch, &f.error), HOME_E_VALUE);
    CHECK_CONTAINS(f.error.message, "batch.dense[90, 0] is not finite");
    *value = 3e38f; /* finite, but the experts' outputs are not */
    CHECK_INTEGER(home_health_add(f.health, f.model, batch, &f.error), HOME_E_VALUE);
    CHECK_CONTAINS(f.error.message, "is not finite in one of the rows");
    *value = kept;
    f.rows.ids[0][5] = 11;
    CHECK_INTEGER(home_health_add(f.health, f.model, batch, &f.error), HOME_E_VALUE);
    filled_end(&f);
}

static void models_of_another_shape_are_refused_and_change_nothing(void) {
    filled f;
    filled_begin(&f);
    setup another;
    setup_small(&another);
    another.layers[0].shared_experts = 3;
    home_model *other = make_model(&another);
    home_health *of_other = new_health(other);
    CHECK_INTEGER(home_health_add(f.health, other, &f.rows.batch, &f.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(f.error.message, "another shape");
    CHECK_INTEGER(home_health_merge(f.health, of_other, &f.error), HOME_E_ARGUMENT);
    home_health_destroy(of_other);
    home_model_release(other);
    filled_end(&f);
}

static void null_is_refused_and_changes_nothing(void) {
    filled f;
    filled_begin(&f);
    home_health *none = NULL;
    const home_batch *batch = &f.rows.batch;
    CHECK_INTEGER(home_health_add(f.health, f.model, NULL, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_add(f.health, NULL, batch, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_add(NULL, f.model, batch, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_merge(NULL, f.health, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_merge(f.health, NULL, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_create(NULL, NULL, &none, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_create(f.model, NULL, NULL, &f.error), HOME_E_ARGUMENT);
    CHECK(none == NULL);
    filled_end(&f);
}

static void experts_and_nodes_past_the_end_are_not_found(void) {
    filled f;
    filled_begin(&f);
    home_expert_health e = {.struct_size = sizeof e};
    home_node_health o = {.struct_size = sizeof o};
    uint64_t counts[HOME_HEALTH_BINS];
    CHECK_INTEGER(home_health_expert(f.health, 16, &e, &f.error), HOME_E_NOT_FOUND);
    CHECK_CONTAINS(f.error.message, "expert is 16, expected less than 16");
    CHECK_INTEGER(home_health_node(f.health, 6, &o, &f.error), HOME_E_NOT_FOUND);
    CHECK_INTEGER(home_health_histogram(f.health, 16, counts, &f.error), HOME_E_NOT_FOUND);
    CHECK(isnan(home_health_gate_weight(f.health, 6, 0)));
    CHECK(isnan(home_health_gate_weight(f.health, 0, 16)));
    CHECK(isnan(home_health_self_weight(f.health, 6, 0)));
    CHECK(isnan(home_health_distance(f.health, 0, 16)));
    filled_end(&f);
}

static void questions_with_null_have_answers(void) {
    filled f;
    filled_begin(&f);
    home_expert_health e = {.struct_size = sizeof e};
    CHECK_INTEGER(home_health_histogram(f.health, 0, NULL, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_expert(NULL, 0, &e, &f.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_health_node(f.health, 0, NULL, &f.error), HOME_E_ARGUMENT);
    e.struct_size = 1;
    CHECK_INTEGER(home_health_expert(f.health, 0, &e, &f.error), HOME_E_ARGUMENT);
    CHECK(isnan(home_health_gate_weight(NULL, 0, 0)) && isnan(home_health_distance(NULL, 0, 1)));
    CHECK_INTEGER(home_health_rows(NULL), 0);
    CHECK_INTEGER(home_health_expert_count(NULL), 0);
    CHECK_INTEGER(home_health_node_count(NULL), 0);
    filled_end(&f);
}

/* An image keeps what predicting needs, and not who sees whom. */
static void images_are_refused(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    home_model *frozen = NULL;
    home_model *opened = NULL;
    size_t length = 0;
    size_t bytes = 0;
    home_error error = new_error();
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    REQUIRE(home_image_write(frozen, NULL, NULL, 0, &length, NULL) == HOME_OK);
    void *image = aligned_alloc(64, (length + 63) / 64 * 64);
    REQUIRE(image && home_image_write(frozen, NULL, image, length, &length, NULL) == HOME_OK);
    REQUIRE(home_image_model_size(image, length, &bytes, NULL) == HOME_OK);
    void *memory = malloc(bytes);
    REQUIRE(memory && home_image_open(image, length, memory, bytes, &opened, NULL) == HOME_OK);

    home_health *health = examine(&given, frozen);
    data d;
    data_create(&d, &given.config, 8, 1);
    CHECK_INTEGER(home_health_add(health, opened, &d.batch, &error), HOME_E_STATE);
    CHECK_CONTAINS(error.message, "image");
    home_health *none = NULL;
    CHECK_INTEGER(home_health_create(opened, NULL, &none, &error), HOME_E_STATE);
    CHECK(!none);
    data_free(&d);
    home_health_destroy(health);
    home_model_release(opened);
    free(memory);
    free(image);
    home_model_release(frozen);
    home_model_release(model);
}

/* Weights so large that a gate's logits overflow, though no expert's output does. */
static void gates_that_overflow_are_refused(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    set_tensor(model, "layers.0.nodes.follow.gate.linear.0.weight", 3e38f);
    data d;
    data_create(&d, &given.config, ROWS, 91);
    home_health *health = new_health(model);
    home_error error = new_error();
    CHECK_INTEGER(home_health_add(health, model, &d.batch, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "layer 0, node \"follow\": weight 0 is not finite");
    CHECK_INTEGER(home_health_rows(health), 0);
    home_health_destroy(health);
    data_free(&d);
    home_model_release(model);
}

/* A caller built against an older header gets the fields it knows, and no byte more. */
static void older_callers_get_the_fields_they_know(void) {
    setup given;
    home_model *model = plain_model(&given, HOME_PRESET_MMOE, 2, 0);
    home_health *health = examine(&given, model);
    home_expert_health e;
    memset(&e, 0x5a, sizeof e);
    e.struct_size = offsetof(home_expert_health, deviation);
    CHECK_INTEGER(home_health_expert(health, 0, &e, NULL), HOME_OK);
    CHECK(e.mean == expert_of(health, 0).mean);
    const unsigned char untouched[sizeof e.deviation] = {0x5a, 0x5a, 0x5a, 0x5a,
                                                         0x5a, 0x5a, 0x5a, 0x5a};
    CHECK_BYTES(&e.deviation, untouched, sizeof untouched);
    home_health_destroy(health);
    home_model_release(model);
}

static void running_out_of_memory_leaks_and_changes_nothing(void) {
    setup given;
    setup_small(&given);
    home_model *model = make_model(&given);
    home_error error = new_error();
    home_status status = HOME_E_MEMORY;
    long failures = 0;
    for (; status != HOME_OK; failures++) {
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        m.fail_at = failures;
        home_health *health = NULL;
        status = home_health_create(model, &allocator, &health, &error);
        if (status != HOME_OK) {
            CHECK_INTEGER(status, HOME_E_MEMORY);
            CHECK(health == NULL);
        }
        home_health_destroy(health);
        CHECK_INTEGER(m.live, 0);
        REQUIRE(failures < 1000);
    }
    CHECK(failures > 3);
    home_model_release(model);
}

static void only_the_first_add_allocates(void) {
    setup given;
    setup_small(&given);
    data d;
    data_create(&d, &given.config, ROWS, 82);
    home_error error = new_error();
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    given.config.allocator = &allocator;
    home_model *metered = make_model(&given);
    home_health *health = NULL;
    REQUIRE(home_health_create(metered, &allocator, &health, &error) == HOME_OK);
    m.fail_at = m.allocations; /* the first time needs a workspace */
    CHECK_INTEGER(home_health_add(health, metered, &d.batch, &error), HOME_E_MEMORY);
    CHECK_INTEGER(home_health_rows(health), 0);
    m.fail_at = -1;
    add(health, metered, &d.batch);
    const long before = m.allocations;
    add(health, metered, &d.batch);
    CHECK_INTEGER(home_health_merge(health, health, &error), HOME_OK);
    CHECK_INTEGER(m.allocations, before);
    home_health_destroy(health);
    home_model_release(metered);
    CHECK_INTEGER(m.live, 0);
    data_free(&d);
}

int main(void) {
    RUN(figures_agree_with_the_reference);
    RUN(histogram_counts_every_value);
    RUN(a_dead_expert_shows);
    RUN(twin_experts_show_as_nearest);
    RUN(constants_are_infinitely_far_apart);
    RUN(collapsed_and_even_gates_show_in_the_entropy);
    RUN(decided_gate_is_not_collapsed);
    RUN(a_degraded_shared_expert_shows);
    RUN(ignored_own_experts_show_in_their_mass);
    RUN(a_shared_bottom_has_figures_without_gates);
    RUN(static_self_weights_are_counted);
    RUN(parts_make_the_whole);
    RUN(a_large_mean_cancels_nothing);
    RUN(a_frozen_copy_has_the_same_figures);
    RUN(a_task_has_gradients_by_the_units_that_it_sees);
    RUN(the_norm_of_a_unit_is_that_of_its_experts_tensors);
    RUN(bad_questions_for_a_norm_are_refused);
    RUN(figures_of_nothing_are_nan);
    RUN(adding_zero_rows_succeeds_and_changes_nothing);
    RUN(bad_rows_are_refused_and_change_nothing);
    RUN(models_of_another_shape_are_refused_and_change_nothing);
    RUN(null_is_refused_and_changes_nothing);
    RUN(experts_and_nodes_past_the_end_are_not_found);
    RUN(questions_with_null_have_answers);
    RUN(images_are_refused);
    RUN(gates_that_overflow_are_refused);
    RUN(older_callers_get_the_fields_they_know);
    RUN(running_out_of_memory_leaks_and_changes_nothing);
    RUN(only_the_first_add_allocates);
    return test_summary();
}
