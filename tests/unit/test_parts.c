/* Training by parts: gradients that add up over several forwards and backwards before one step are
 * those of one batch, of dense parameters and of table rows; gradients of single tasks do not
 * disturb them; and gradients that the host brings take their place. What one batch gives is
 * compared with finite differences elsewhere (test_gradients.c). */
#include "test.h"
#include "unit/fixture.h"

enum { ROWS = 60, MOST_PARTS = 6, MOST_TASKS = 4 };

/* ----------------------------------------------------------------------------------- the models */

/* A preset with all that touches gradients: two tables, of which two fields share one, both ways of
 * pooling, a task given another, a squared error, uncertainty. Without batch norms, whose
 * statistics are those of a part. */
static void setup_preset(setup *s, int32_t preset) {
    setup_small(s);
    s->config.preset = preset;
    s->config.expert_norm = HOME_NORM_NONE;
    s->config.uncertainty = HOME_ON;
    s->tasks[1].given = "like";
    s->tasks[2].loss = HOME_LOSS_SQUARED;
    if (preset == HOME_PRESET_HOME)
        return;
    for (size_t l = 0; l < 2; l++) {
        s->layers[l].shared_experts = 0;
        s->layers[l].group_experts = 0;
        s->layers[l].task_experts = 0;
    }
    if (preset == HOME_PRESET_SHARED_BOTTOM || preset == HOME_PRESET_MMOE ||
        preset == HOME_PRESET_CGC)
        s->config.layer_count = 1;
}

/* The preset custom, which lists its units and nodes. */
typedef struct custom_setup {
    setup s;
    home_unit_config units[2];
    home_node_config nodes[3];
    const char *sees[2];
} custom_setup;

static void setup_custom(custom_setup *c) {
    memset(c, 0, sizeof *c);
    setup_preset(&c->s, HOME_PRESET_CUSTOM);
    c->sees[0] = "a";
    c->sees[1] = "b";
    for (size_t u = 0; u < 2; u++)
        c->units[u] = (home_unit_config){
            .struct_size = sizeof *c->units, .name = c->sees[u], .experts = 1 + u};
    for (size_t n = 0; n < 3; n++)
        c->nodes[n] = (home_node_config){.struct_size = sizeof *c->nodes,
                                         .name = c->s.tasks[n].name,
                                         .sees = c->sees,
                                         .sees_count = n == 1 ? 1 : 2};
    c->nodes[0].self = "b";
    c->s.config.layer_count = 1;
    c->s.layers[0].units = c->units;
    c->s.layers[0].unit_count = 2;
    c->s.layers[0].nodes = c->nodes;
    c->s.layers[0].node_count = 3;
}

/* ------------------------------------------------------------------------------------ the parts */

/* Rows in parts: part i has rows [first[i], first[i + 1]). */
typedef struct parts {
    size_t count;
    size_t first[MOST_PARTS + 1];
    double total_weights[MOST_TASKS];
} parts;

/* The sums that a batch would divide by. */
static void sum_weights(const home_targets *targets, size_t rows, size_t tasks, double *totals) {
    for (size_t t = 0; t < tasks; t++) {
        totals[t] = 0;
        for (size_t r = 0; r < rows; r++)
            if (!isnan(targets->labels[r * targets->label_stride + t]))
                totals[t] += (double)targets->row_weights[r] *
                             (double)targets->weights[r * targets->weight_stride + t];
    }
}

static parts cut(const home_targets *targets, size_t rows, size_t tasks, size_t count) {
    parts p = {.count = count};
    REQUIRE(count <= MOST_PARTS && tasks <= MOST_TASKS);
    for (size_t i = 0; i <= count; i++)
        p.first[i] = rows * i * i / (count * count); /* of different lengths */
    sum_weights(targets, rows, tasks, p.total_weights);
    return p;
}

static home_targets targets_of(const data *d, const parts *p, size_t part) {
    home_targets t = d->targets;
    const size_t first = p->first[part];
    t.labels += first * t.label_stride;
    t.row_weights += first;
    t.weights += first * t.weight_stride;
    t.total_weights = p->total_weights;
    t.accumulate = part ? HOME_ON : HOME_OFF;
    return t;
}

static void forward_part(home_model *model, const data *d, const parts *p, size_t part) {
    home_ids fields[DATA_FIELDS];
    const home_batch batch =
        data_slice(d, p->first[part], p->first[part + 1] - p->first[part], fields);
    home_error error = new_error();
    if (home_model_forward(model, &batch, NULL, 0, &error) != HOME_OK)
        printf("%s\n", error.message);
    REQUIRE(error.status == HOME_OK);
}

/* Adds the losses of the parts. */
static void backward_parts(home_model *model, const data *d, const parts *p, double *losses) {
    for (size_t i = 0; i < p->count; i++) {
        float part[MOST_TASKS];
        const home_targets targets = targets_of(d, p, i);
        forward_part(model, d, p, i);
        REQUIRE(home_model_backward(model, &targets, part, NULL) == HOME_OK);
        for (size_t t = 0; t < home_model_task_count(model) && losses; t++)
            losses[t] += (double)part[t];
    }
}

/* ------------------------------------------------------------------------------------ comparing */

static double largest(const float *values, size_t count) {
    double max = 0;
    for (size_t i = 0; i < count; i++)
        max = fmax(max, fabs((double)values[i]));
    return max;
}

static bool differ(const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (a[i] != b[i])
            return true;
    return false;
}

/* noise: where the terms of a sum cancel, its rounding is that of the terms. */
static void check_near(const float *actual, const float *expected, size_t count, double noise,
                       const char *what) {
    const double tolerance = 2e-6 * largest(expected, count) + noise;
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)actual[i] - (double)expected[i]) <= tolerance))
            test_fail(__FILE__, __LINE__, "%s[%zu] is %.9g, expected %.9g to %.2g", what, i,
                      (double)actual[i], (double)expected[i], tolerance);
}

static void check_same_gradients(home_model *actual, home_model *expected) {
    const double norm = home_model_gradient_norm(expected);
    const double noise = 1e-7 * norm;
    for (size_t i = 0; i < home_model_tensor_count(actual); i++) {
        home_tensor a = {.struct_size = sizeof a};
        REQUIRE(home_model_tensor_at(actual, i, &a, NULL) == HOME_OK);
        const home_tensor e = tensor_of(expected, a.name);
        if (a.kind == HOME_TENSOR_PARAMETER)
            check_near(a.gradient, e.gradient, tensor_size(&a), noise, a.name);
    }
    for (size_t t = 0; t < home_model_table_count(actual); t++) {
        const char *name = home_model_table_name(actual, t);
        const home_gradient a = table_gradient_of(actual, name);
        const home_gradient e = table_gradient_of(expected, name);
        if (!CHECK_INTEGER(a.rows, e.rows))
            continue;
        CHECK(a.rows > 0);
        CHECK_BYTES(a.ids, e.ids, a.rows * sizeof *a.ids);
        check_near(a.data, e.data, a.rows * a.width, noise, name);
    }
    CHECK_NEAR(home_model_gradient_norm(actual), norm, 1e-6 * norm);
}

static void check_parts_of(const setup *s, size_t count) {
    home_model *whole = make_model(s);
    home_model *split = make_model(s);
    data d;
    data_create(&d, &s->config, ROWS, 5);
    randomize(whole, 11);
    copy_tensors(split, whole);
    float expected[MOST_TASKS];
    double losses[MOST_TASKS] = {0};
    const parts p = cut(&d.targets, ROWS, s->config.task_count, count);
    free(forward_all(whole, &d.batch));
    REQUIRE(home_model_backward(whole, &d.targets, expected, NULL) == HOME_OK);
    backward_parts(split, &d, &p, losses);
    for (size_t t = 0; t < s->config.task_count; t++)
        CHECK_NEAR(losses[t], (double)expected[t], 2e-6 * (double)expected[t]);
    check_same_gradients(split, whole);
    CHECK_INTEGER(home_model_step(split, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step_count(split), 1);
    data_free(&d);
    home_model_release(whole);
    home_model_release(split);
}

static void parts_of_every_preset_are_one_batch(void) {
    static const struct {
        int32_t preset;
        const char *name;
    } presets[] = {
        {HOME_PRESET_HOME, "home"},   {HOME_PRESET_SHARED_BOTTOM, "shared-bottom"},
        {HOME_PRESET_MMOE, "mmoe"},   {HOME_PRESET_CGC, "cgc"},
        {HOME_PRESET_PLE, "ple"},     {HOME_PRESET_ADATT_SP, "adatt-sp"},
        {HOME_PRESET_ADATT, "adatt"}, {HOME_PRESET_CUSTOM, "custom"},
    };
    static custom_setup custom;
    static setup s;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        for (size_t count = 1; count <= MOST_PARTS; count += count < 2 ? 1 : 4) {
            test_begin("%zu parts of %s are one batch", count, presets[i].name);
            if (presets[i].preset == HOME_PRESET_CUSTOM) {
                setup_custom(&custom);
                check_parts_of(&custom.s, count);
            } else {
                setup_preset(&s, presets[i].preset);
                check_parts_of(&s, count);
            }
            test_end();
        }
}

/* Widths above 256, a table of more rows than 16 bits count, ids unsorted, gates of several
 * branches. */
static void large_parts_are_one_batch(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    s.tables[0].rows = 100003;
    s.tables[1].dim = 270;
    s.layers[0].width = 300;
    s.hidden[0][0] = 290;
    s.layers[0].feature_branches = 3;
    s.layers[0].feature_rank = 4;
    check_parts_of(&s, 3);
}

/* ------------------------------------------------------------------------------------ the steps */

/* The step takes the sum as it would take the same numbers from the host: for all optimizers, with
 * clipping. */
static void check_step_of(int32_t kind, int32_t embedding_kind, double clip) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    s.optimizer.kind = kind;
    s.optimizer.embedding_kind = embedding_kind;
    s.optimizer.clip_norm = clip;
    s.optimizer.momentum = kind == HOME_OPTIMIZER_SGD ? 0.9 : 0;
    s.optimizer.weight_decay = 0.01;
    home_model *split = make_model(&s);
    home_model *given = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 6);
    const parts p = cut(&d.targets, ROWS, 3, 4);
    for (int step = 0; step < 3; step++) {
        backward_parts(split, &d, &p, NULL);
        size_t count;
        const float *dense = gradients_of(split, &count);
        CHECK(clip == 0 || home_model_gradient_norm(split) > clip);
        REQUIRE(home_model_set_gradient(given, dense, count, NULL) == HOME_OK);
        for (size_t t = 0; t < 2; t++) {
            const home_gradient g = table_gradient_of(split, home_model_table_name(split, t));
            REQUIRE(home_model_set_table_gradient(given, t, g.ids, g.rows, g.data, g.stride,
                                                  NULL) == HOME_OK);
        }
        REQUIRE(home_model_step(split, NULL) == HOME_OK);
        REQUIRE(home_model_step(given, NULL) == HOME_OK);
    }
    CHECK(same_model(split, given));
    data_free(&d);
    home_model_release(split);
    home_model_release(given);
}

static void steps_take_the_sum_with_every_optimizer(void) {
    static const int32_t kinds[] = {HOME_OPTIMIZER_ADAM, HOME_OPTIMIZER_SGD, HOME_OPTIMIZER_ADAMW,
                                    HOME_OPTIMIZER_ADAGRAD};
    static const int32_t table_kinds[] = {HOME_OPTIMIZER_ROWWISE_ADAGRAD, HOME_OPTIMIZER_ADAGRAD,
                                          HOME_OPTIMIZER_ADAM};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++)
            check_step_of(kinds[i], table_kinds[k], k == 1 ? 1e-3 : 0);
}

/* Rows that only one of the parts has read move too, and no others. */
static void rows_of_all_parts_move(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    s.config.tower_activation = HOME_ACTIVATION_SWISH; /* so no row is without a gradient */
    s.tables[0].rows = 1000;
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 7);
    bool read[1000] = {false};
    for (size_t r = 0; r < ROWS; r++) {
        d.labels[r * d.targets.label_stride] = 1;
        d.ids[0][r] = r < ROWS / 2 ? 500 - 7 * r : 999 - 3 * (r - ROWS / 2);
        read[d.ids[0][r]] = true;
    }
    const home_tensor table = tensor_of(model, "embeddings.user.weight");
    float *before = malloc(tensor_size(&table) * sizeof *before);
    REQUIRE(before);
    memcpy(before, table.data, tensor_size(&table) * sizeof *before);
    const parts p = {.count = 2, .first = {0, ROWS / 2, ROWS}, .total_weights = {60, 60, 60}};
    backward_parts(model, &d, &p, NULL);
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
    for (size_t r = 0; r < 1000; r++)
        CHECK(differ(before + 3 * r, table.data + 3 * r, 3) == read[r]);
    free(before);
    data_free(&d);
    home_model_release(model);
}

/* After a step the first part begins anew, whatever it says of adding; without the switch, every
 * backward does. */
static void sums_begin_anew(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_CGC);
    home_model *model = make_model(&s);
    home_model *other = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 8);
    home_targets add = d.targets;
    add.accumulate = HOME_ON;
    for (int step = 0; step < 3; step++) {
        free(forward_all(model, &d.batch));
        REQUIRE(home_model_backward(model, &add, NULL, NULL) == HOME_OK);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
        free(forward_all(other, &d.batch)); /* twice, of which the second replaces the first */
        REQUIRE(home_model_backward(other, &add, NULL, NULL) == HOME_OK);
        free(forward_all(other, &d.batch));
        REQUIRE(home_model_backward(other, &d.targets, NULL, NULL) == HOME_OK);
        REQUIRE(home_model_step(other, NULL) == HOME_OK);
    }
    CHECK(same_model(model, other));
    data_free(&d);
    home_model_release(model);
    home_model_release(other);
}

/* A batch added to itself has twice its gradients, to the bit. */
static void adding_twice_doubles(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    home_model *once = make_model(&s);
    home_model *twice = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 9);
    home_targets add = d.targets;
    add.accumulate = HOME_ON;
    free(forward_all(once, &d.batch));
    REQUIRE(home_model_backward(once, &add, NULL, NULL) == HOME_OK);
    for (int i = 0; i < 2; i++) {
        free(forward_all(twice, &d.batch));
        REQUIRE(home_model_backward(twice, &add, NULL, NULL) == HOME_OK);
    }
    size_t count;
    const float *a = gradients_of(once, &count);
    const float *b = gradients_of(twice, &count);
    for (size_t i = 0; i < count; i++)
        CHECK(b[i] == 2 * a[i]);
    const home_gradient x = table_gradient_of(once, "tag");
    const home_gradient y = table_gradient_of(twice, "tag");
    if (CHECK_INTEGER(x.rows, y.rows))
        for (size_t i = 0; i < x.rows * x.width; i++)
            CHECK(y.data[i] == 2 * x.data[i]);
    data_free(&d);
    home_model_release(once);
    home_model_release(twice);
}

/* ----------------------------------------------------------------------------------- the totals */

/* Twice the total halves losses and gradients, to the bit; the term of an uncertainty too. */
static void totals_divide(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 10);
    for (size_t r = 0; r < ROWS; r++) { /* weights whose sums are exact */
        d.row_weights[r] = 1;
        for (size_t t = 0; t < 3; t++)
            d.weights[r * d.targets.weight_stride + t] = (float)(1 + r % 3);
    }
    double totals[3];
    sum_weights(&d.targets, ROWS, 3, totals);
    float losses[3][3];
    float *kept[3];
    size_t count = 0;
    for (int i = 0; i < 3; i++) { /* NULL, the sums, twice the sums */
        home_targets targets = d.targets;
        double doubled[3] = {2 * totals[0], 2 * totals[1], 2 * totals[2]};
        targets.total_weights = i == 0 ? NULL : i == 1 ? totals : doubled;
        free(forward_all(model, &d.batch));
        REQUIRE(home_model_backward(model, &targets, losses[i], NULL) == HOME_OK);
        const float *g = gradients_of(model, &count);
        kept[i] = malloc(count * sizeof *g);
        REQUIRE(kept[i]);
        memcpy(kept[i], g, count * sizeof *g);
    }
    CHECK_BYTES(losses[0], losses[1], sizeof losses[0]);
    CHECK_BYTES(kept[0], kept[1], count * sizeof(float));
    for (size_t t = 0; t < 3; t++)
        CHECK(losses[0][t] == 2 * losses[2][t]);
    for (size_t i = 0; i < count; i++)
        CHECK(kept[0][i] == 2 * kept[2][i]);
    for (int i = 0; i < 3; i++)
        free(kept[i]);
    data_free(&d);
    home_model_release(model);
}

/* A part in which a task has no labels, and a task that the whole batch has no labels of. */
static void tasks_without_labels_have_their_share(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_ADATT);
    home_model *whole = make_model(&s);
    home_model *split = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 12);
    for (size_t r = 0; r < ROWS; r++) {
        if (r < 40)
            d.labels[r * d.targets.label_stride] = NAN;
        d.labels[r * d.targets.label_stride + 1] = NAN;
    }
    const parts p = cut(&d.targets, ROWS, 3, 4);
    CHECK(p.total_weights[1] == 0 && p.total_weights[0] > 0);
    free(forward_all(whole, &d.batch));
    REQUIRE(home_model_backward(whole, &d.targets, NULL, NULL) == HOME_OK);
    double losses[MOST_TASKS] = {0};
    backward_parts(split, &d, &p, losses);
    CHECK(losses[1] == 0 && losses[0] > 0);
    CHECK(tensor_of(split, "uncertainty.like").gradient[0] != 0);
    CHECK(tensor_of(split, "uncertainty.follow").gradient[0] == 0);
    check_same_gradients(split, whole);
    data_free(&d);
    home_model_release(whole);
    home_model_release(split);
}

/* A model with gradients that have not been stepped along and a forward that waits. */
typedef struct waiting {
    setup s;
    home_model *model;
    data d;
    parts p;
    unsigned char *expected; /* the model after the rest and a step */
    size_t length;
} waiting;

static void finish(waiting *w) {
    const home_targets targets = targets_of(&w->d, &w->p, 1);
    CHECK_INTEGER(home_model_backward(w->model, &targets, NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(w->model, NULL), HOME_OK);
}

static void start(waiting *w, const home_allocator *allocator) {
    w->s.config.allocator = allocator;
    w->model = make_model(&w->s);
    const home_targets targets = targets_of(&w->d, &w->p, 0);
    forward_part(w->model, &w->d, &w->p, 0);
    REQUIRE(home_model_backward(w->model, &targets, NULL, NULL) == HOME_OK);
    forward_part(w->model, &w->d, &w->p, 1);
}

static void waiting_begin(waiting *w) {
    memset(w, 0, sizeof *w);
    setup_preset(&w->s, HOME_PRESET_HOME);
    data_create(&w->d, &w->s.config, ROWS, 13);
    w->p = cut(&w->d.targets, ROWS, 3, 2);
    start(w, NULL);
    finish(w);
    w->expected = model_bytes(w->model, HOME_SAVE_OPTIMIZER, &w->length);
    home_model_release(w->model);
    w->model = NULL;
}

/* Goes on, and compares with a model that nothing happened to. */
static void check_goes_on(waiting *w) {
    finish(w);
    size_t length;
    unsigned char *bytes = model_bytes(w->model, HOME_SAVE_OPTIMIZER, &length);
    if (CHECK_INTEGER(length, w->length))
        CHECK_BYTES(bytes, w->expected, length);
    free(bytes);
}

static void waiting_end(waiting *w) {
    home_model_release(w->model);
    data_free(&w->d);
    free(w->expected);
}

static void refused_backwards_leave_the_sum(void) {
    static waiting w;
    waiting_begin(&w);
    start(&w, NULL);
    const home_targets good = targets_of(&w.d, &w.p, 1);
    home_error error = new_error();
    home_targets t = good;
    t.accumulate = 3;
    CHECK_INTEGER(home_model_backward(w.model, &t, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "targets.accumulate is 3");
    t.accumulate = -1;
    CHECK_INTEGER(home_model_backward(w.model, &t, NULL, &error), HOME_E_ARGUMENT);
    t = good;
    t.reserved = 1;
    CHECK_INTEGER(home_model_backward(w.model, &t, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "targets.reserved is 1, expected 0");
    double totals[3];
    static const double bad[] = {-1, NAN, INFINITY, 0, 1e-320};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(totals, w.p.total_weights, sizeof totals);
        totals[2] = bad[i];
        t = good;
        t.total_weights = totals;
        CHECK_INTEGER(home_model_backward(w.model, &t, NULL, &error), HOME_E_VALUE);
        CHECK_CONTAINS(error.message, "total_weights of task \"view\"");
    }
    t = good;
    t.labels = NULL;
    CHECK_INTEGER(home_model_backward(w.model, &t, NULL, &error), HOME_E_ARGUMENT);
    float *label = w.d.labels + w.p.first[1] * w.d.targets.label_stride;
    const float kept = *label;
    *label = 2;
    CHECK_INTEGER(home_model_backward(w.model, &good, NULL, &error), HOME_E_VALUE);
    *label = kept;
    float dlogits[ROWS * 3] = {0};
    CHECK_INTEGER(home_model_backward_from(w.model, dlogits, 0, 5, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "accumulate is 5");
    dlogits[4] = NAN;
    CHECK_INTEGER(home_model_backward_from(w.model, dlogits, 0, HOME_ON, &error), HOME_E_VALUE);
    CHECK_INTEGER(home_model_step(w.model, &error), HOME_E_STATE); /* a backward is due */
    CHECK_INTEGER(home_model_set_gradient(w.model, dlogits, 1, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_table_gradient(w.model, 0, NULL, 0, NULL, 0, &error),
                  HOME_E_STATE);
    check_goes_on(&w);
    waiting_end(&w);
}

/* Each allocation of an adding backward, and of a task's gradient before it. */
static void failed_allocations_leave_the_sum(void) {
    waiting w;
    waiting_begin(&w);
    for (int once = 0; once < 2; once++)
        for (int ask = 0; ask < 2; ask++) {
            bool enough = false;
            for (long number = 0; !enough; number++) {
                meter m;
                const home_allocator allocator = meter_allocator(&m);
                start(&w, &allocator);
                const size_t count = (size_t)home_model_parameter_count(w.model);
                float *gradients = malloc(count * sizeof *gradients);
                REQUIRE(gradients);
                const home_targets targets = targets_of(&w.d, &w.p, 1);
                m.once = once;
                m.fail_at = m.allocations + number;
                const home_status status =
                    ask ? home_model_task_gradient(w.model, &targets, 1, gradients, count, NULL,
                                                   NULL)
                        : home_model_backward(w.model, &targets, NULL, NULL);
                enough = m.allocations <= m.fail_at;
                m.fail_at = -1;
                CHECK_INTEGER(status, enough ? HOME_OK : HOME_E_MEMORY);
                if (!enough || ask)
                    check_goes_on(&w);
                free(gradients);
                home_model_release(w.model);
                CHECK_INTEGER(m.live, 0);
                CHECK(!enough || number > 0); /* otherwise nothing was tried */
            }
        }
    w.model = NULL;
    waiting_end(&w);
}

/* A forward that fails once it has begun loses its own rows only. */
static void failed_forwards_leave_the_sum(void) {
    static setup s;
    setup_small(&s); /* with batch norms */
    home_model *model = make_model(&s);
    home_model *plain = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 14);
    const parts p = cut(&d.targets, ROWS, 3, 2);
    home_error error = new_error();
    for (int i = 0; i < 2; i++) {
        home_model *m = i ? plain : model;
        home_targets targets = targets_of(&d, &p, 0);
        forward_part(m, &d, &p, 0);
        REQUIRE(home_model_backward(m, &targets, NULL, NULL) == HOME_OK);
        if (!i) {
            float *dense = malloc(ROWS * d.batch.dense_stride * sizeof *dense);
            REQUIRE(dense);
            for (size_t k = 0; k < ROWS * d.batch.dense_stride; k++)
                dense[k] = k % 2 ? 3e38f : -3e38f;
            home_batch huge = d.batch;
            huge.dense = dense;
            CHECK_INTEGER(home_model_forward(m, &huge, NULL, 0, &error), HOME_E_VALUE);
            CHECK_INTEGER(home_model_step(m, &error), HOME_E_STATE);
            CHECK_INTEGER(home_model_logits(m, dense, 0, &error), HOME_E_STATE);
            free(dense);
        }
        targets = targets_of(&d, &p, 1);
        forward_part(m, &d, &p, 1);
        REQUIRE(home_model_backward(m, &targets, NULL, NULL) == HOME_OK);
        REQUIRE(home_model_step(m, NULL) == HOME_OK);
    }
    CHECK(same_model(model, plain));
    data_free(&d);
    home_model_release(model);
    home_model_release(plain);
}

/* -------------------------------------------------------------------------- logits, own losses */

static void logits_are_those_of_the_last_forward(void) {
    static setup s;
    setup_small(&s);
    s.tasks[2].loss = HOME_LOSS_SQUARED;
    home_model *model = make_model(&s);
    randomize(model, 15);
    data d;
    data_create(&d, &s.config, ROWS, 15);
    float logits[ROWS * 5];
    float again[ROWS * 3];
    home_error error = new_error();
    CHECK_INTEGER(home_model_logits(model, logits, 0, &error), HOME_E_STATE);
    float *predictions = forward_all(model, &d.batch);
    CHECK_INTEGER(home_model_logits(NULL, logits, 0, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_logits(model, NULL, 0, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "logits");
    CHECK_INTEGER(home_model_logits(model, logits, 2, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "stride is 2");
    for (size_t i = 0; i < (size_t)ROWS * 5; i++)
        logits[i] = -77;
    CHECK_INTEGER(home_model_logits(model, logits, 5, &error), HOME_OK);
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t t = 0; t < 2; t++)
            CHECK_NEAR(1 / (1 + exp(-(double)logits[r * 5 + t])), (double)predictions[r * 3 + t],
                       1e-6);
        CHECK(logits[r * 5 + 2] == predictions[r * 3 + 2]);
        CHECK(logits[r * 5 + 3] == -77 && logits[r * 5 + 4] == -77);
    }
    CHECK_INTEGER(home_model_backward(model, &d.targets, NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    CHECK_INTEGER(home_model_logits(model, again, 0, &error), HOME_OK);
    for (size_t i = 0; i < (size_t)ROWS * 3; i++)
        CHECK(again[i] == logits[i / 3 * 5 + i % 3]);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    CHECK_INTEGER(home_model_logits(frozen, again, 0, &error), HOME_E_STATE);
    home_model_release(frozen);
    free(predictions);
    data_free(&d);
    home_model_release(model);
}

/* The host computes the loss itself, from logits, and adds up. */
static void own_losses_add_up(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_PLE);
    s.config.uncertainty = HOME_OFF;
    s.tasks[1].given = NULL;
    s.tasks[2].loss = HOME_LOSS_BCE;
    home_model *whole = make_model(&s);
    home_model *split = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 16);
    const parts p = cut(&d.targets, ROWS, 3, 5);
    free(forward_all(whole, &d.batch));
    REQUIRE(home_model_backward(whole, &d.targets, NULL, NULL) == HOME_OK);
    for (size_t i = 0; i < p.count; i++) {
        float z[ROWS * 3];
        forward_part(split, &d, &p, i);
        REQUIRE(home_model_logits(split, z, 0, NULL) == HOME_OK);
        for (size_t r = p.first[i]; r < p.first[i + 1]; r++)
            for (size_t t = 0; t < 3; t++) {
                float *at = &z[(r - p.first[i]) * 3 + t];
                const double y = (double)d.labels[r * d.targets.label_stride + t];
                const double w = (double)d.row_weights[r] *
                                 (double)d.weights[r * d.targets.weight_stride + t] *
                                 (t == 1 ? 0.5 : 1) / p.total_weights[t];
                *at = isnan(y) ? 0 : (float)(w * (1 / (1 + exp(-(double)*at)) - y));
            }
        REQUIRE(home_model_backward_from(split, z, 0, HOME_ON, NULL) == HOME_OK);
    }
    check_same_gradients(split, whole);
    data_free(&d);
    home_model_release(whole);
    home_model_release(split);
}

/* ------------------------------------------------------------------------------- single tasks */

/* The gradients of tables and of the input by single tasks sum to those of the total, and asking
 * for them, also between parts, changes nothing. */
static void task_gradients_leave_the_sum(void) {
    static waiting w;
    waiting_begin(&w);
    start(&w, NULL);
    const size_t count = (size_t)home_model_parameter_count(w.model);
    const home_targets targets = targets_of(&w.d, &w.p, 1);
    const size_t rows = ROWS - w.p.first[1];
    float *dense = malloc(count * sizeof *dense);
    double input[ROWS * 5] = {0};
    double table[13 * 2] = {0};
    REQUIRE(dense);
    home_gradient g = {.struct_size = sizeof g};
    CHECK_INTEGER(home_model_input_gradient(w.model, &g, NULL), HOME_E_STATE);
    CHECK_INTEGER(home_model_table_gradient(w.model, 1, &g, NULL), HOME_E_STATE);
    for (size_t t = 0; t < 3; t++) {
        REQUIRE(home_model_task_gradient(w.model, &targets, t, dense, count, NULL, NULL) ==
                HOME_OK);
        CHECK_INTEGER(home_model_gradient(w.model, &g, NULL), HOME_E_STATE);
        CHECK(home_model_gradient_norm(w.model) == 0);
        REQUIRE(home_model_input_gradient(w.model, &g, NULL) == HOME_OK);
        CHECK(g.rows == rows && g.width == 5 && !g.ids);
        for (size_t i = 0; i < rows * 5; i++)
            input[i] += (double)g.data[i / 5 * g.stride + i % 5];
        g = table_gradient_of(w.model, "tag");
        CHECK(g.width == 2 && g.rows > 3);
        for (size_t i = 0; i < g.rows * 2; i++)
            table[g.ids[i / 2] * 2 + i % 2] += (double)g.data[i];
    }
    free(dense);

    home_model *alone = make_model(&w.s); /* of the second part only */
    forward_part(alone, &w.d, &w.p, 1);
    REQUIRE(home_model_backward(alone, &targets, NULL, NULL) == HOME_OK);
    REQUIRE(home_model_input_gradient(alone, &g, NULL) == HOME_OK);
    const double tolerance = 1e-5 * home_model_gradient_norm(alone);
    for (size_t i = 0; i < rows * 5; i++)
        CHECK_NEAR((double)g.data[i / 5 * g.stride + i % 5], input[i], tolerance);
    g = table_gradient_of(alone, "tag");
    for (size_t i = 0; i < g.rows * 2; i++)
        CHECK_NEAR((double)g.data[i], table[g.ids[i / 2] * 2 + i % 2], tolerance);
    home_model_release(alone);
    check_goes_on(&w);
    waiting_end(&w);
}

/* Of one task alone, against the total of a model in which only that task has a weight. */
static void gradients_of_a_task_are_its_own(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    home_model *model = make_model(&s);
    home_model *only = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 17);
    const size_t count = (size_t)home_model_parameter_count(model);
    float *dense = malloc(count * sizeof *dense);
    REQUIRE(dense);
    free(forward_all(model, &d.batch));
    for (size_t t = 0; t < 3; t++) {
        REQUIRE(home_model_task_gradient(model, &d.targets, t, dense, count, NULL, NULL) ==
                HOME_OK);
        for (size_t i = 0; i < 3; i++)
            REQUIRE(home_model_set_task_weight(
                        only, i, i == t ? home_model_task_weight(model, t) : 0, NULL) == HOME_OK);
        free(forward_all(only, &d.batch));
        REQUIRE(home_model_backward(only, &d.targets, NULL, NULL) == HOME_OK);
        size_t all;
        check_near(dense, gradients_of(only, &all), count, 0, "a task's gradient");
        for (size_t k = 0; k < 2; k++) {
            const char *name = home_model_table_name(model, k);
            const home_gradient a = table_gradient_of(model, name);
            const home_gradient e = table_gradient_of(only, name);
            if (CHECK_INTEGER(a.rows, e.rows))
                check_near(a.data, e.data, a.rows * a.width, 0, name);
        }
        home_gradient a = {.struct_size = sizeof a};
        home_gradient e = {.struct_size = sizeof e};
        REQUIRE(home_model_input_gradient(model, &a, NULL) == HOME_OK);
        REQUIRE(home_model_input_gradient(only, &e, NULL) == HOME_OK);
        for (size_t r = 0; r < ROWS; r++)
            check_near(a.data + r * a.stride, e.data + r * e.stride, 5, 0, "input");
    }
    free(dense);
    data_free(&d);
    home_model_release(model);
    home_model_release(only);
}

/* --------------------------------------------------------------------- gradients from elsewhere */

enum { BIG_ROWS = 70000, BIG_DIM = 33, BIG_COUNT = 3000 };

static home_model *make_big(setup *s) {
    setup_preset(s, HOME_PRESET_MMOE);
    s->tables[0].rows = BIG_ROWS;
    s->tables[0].dim = BIG_DIM;
    s->optimizer.embedding_kind = HOME_OPTIMIZER_ADAGRAD;
    return make_model(s);
}

/* Rows in any order, some more than once: small ones, whose low bytes are unsorted, and those of
 * more than two bytes. Sums are those of floats in the order of the list. */
static void rows_may_come_in_any_order(void) {
    static setup s;
    home_model *model = make_big(&s);
    uint64_t state = 18;
    uint64_t *ids = malloc(BIG_COUNT * sizeof *ids);
    float *values = malloc((size_t)BIG_COUNT * (BIG_DIM + 1) * sizeof *values);
    float *sums = calloc((size_t)BIG_ROWS * BIG_DIM, sizeof *sums);
    bool *named = calloc(BIG_ROWS, sizeof *named);
    REQUIRE(ids && values && sums && named);
    for (size_t i = 0; i < BIG_COUNT; i++) {
        static const uint64_t some[] = {1, 0, 1, 0, 256, 255, 65536, 65535, 69999, 2, 1, 512};
        ids[i] = i < 12 ? some[i] : random_bits(&state) % (i % 2 ? BIG_ROWS : 600);
        for (size_t k = 0; k <= BIG_DIM; k++)
            values[i * (BIG_DIM + 1) + k] =
                k < BIG_DIM ? (float)random_between(&state, -1, 1) : NAN;
        for (size_t k = 0; k < BIG_DIM; k++)
            sums[ids[i] * BIG_DIM + k] += values[i * (BIG_DIM + 1) + k];
        named[ids[i]] = true;
    }
    const home_tensor table = tensor_of(model, "embeddings.user.weight");
    float *before = malloc(tensor_size(&table) * sizeof *before);
    REQUIRE(before);
    memcpy(before, table.data, tensor_size(&table) * sizeof *before);
    CHECK_INTEGER(
        home_model_set_table_gradient(model, 0, ids, BIG_COUNT, values, BIG_DIM + 1, NULL),
        HOME_OK);
    const home_gradient g = table_gradient_of(model, "user");
    size_t at = 0;
    for (size_t r = 0; r < BIG_ROWS; r++)
        if (named[r] && CHECK(at < g.rows && g.ids[at] == r))
            CHECK_BYTES(g.data + at++ * g.stride, sums + r * BIG_DIM, BIG_DIM * sizeof *sums);
    CHECK_INTEGER(g.rows, at);
    CHECK_INTEGER(table_gradient_of(model, "tag").rows, 0);
    size_t count;
    const float *dense = gradients_of(model, &count);
    CHECK(largest(dense, count) == 0);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK); /* without any forward */
    for (size_t r = 0; r < BIG_ROWS; r++)
        CHECK(differ(before + r * BIG_DIM, table.data + r * BIG_DIM, BIG_DIM) == named[r]);
    free(before);
    free(ids);
    free(values);
    free(sums);
    free(named);
    home_model_release(model);
}

/* The model's own rows may be set again, in part; what is not set stays. */
static void own_rows_may_be_set_again(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_CGC);
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 19);
    free(forward_all(model, &d.batch));
    REQUIRE(home_model_backward(model, &d.targets, NULL, NULL) == HOME_OK);
    size_t count;
    const float *dense = gradients_of(model, &count);
    const float first = dense[0];
    const size_t tags = table_gradient_of(model, "tag").rows;
    home_gradient g = table_gradient_of(model, "user");
    REQUIRE(g.rows > 4);
    float kept[6];
    const uint64_t ids[2] = {g.ids[2], g.ids[3]};
    memcpy(kept, g.data + 2 * g.stride, sizeof kept);
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, g.ids + 2, 2, g.data + 2 * g.stride,
                                                g.stride, NULL),
                  HOME_OK);
    g = table_gradient_of(model, "user");
    if (CHECK_INTEGER(g.rows, 2)) {
        CHECK_BYTES(g.ids, ids, sizeof ids);
        CHECK_BYTES(g.data, kept, sizeof kept);
    }
    CHECK(dense[0] == first && first != 0);
    CHECK_INTEGER(table_gradient_of(model, "tag").rows, tags);
    CHECK_INTEGER(home_model_set_gradient(model, dense, count, NULL), HOME_OK);
    CHECK(dense[0] == first);

    /* Another part is added to what was set. */
    home_targets add = d.targets;
    add.accumulate = HOME_ON;
    REQUIRE(home_model_set_table_gradient(model, 1, NULL, 0, NULL, 0, NULL) == HOME_OK);
    CHECK_INTEGER(table_gradient_of(model, "tag").rows, 0);
    free(forward_all(model, &d.batch));
    REQUIRE(home_model_backward(model, &add, NULL, NULL) == HOME_OK);
    CHECK(dense[0] == 2 * first);
    CHECK_INTEGER(table_gradient_of(model, "tag").rows, tags);

    /* After a step all others are zero, also where the last step's own are set again. */
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
    CHECK(dense[0] == 2 * first);
    CHECK_INTEGER(home_model_set_gradient(model, dense, count, NULL), HOME_OK);
    CHECK(dense[0] == 2 * first);
    CHECK_INTEGER(table_gradient_of(model, "tag").rows, 0);
    CHECK_INTEGER(table_gradient_of(model, "user").rows, 0);
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, ids, 2, kept, 0, NULL), HOME_OK);
    CHECK(largest(dense, count) == 0);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(model, NULL), HOME_E_STATE);
    data_free(&d);
    home_model_release(model);
}

static void bad_gradients_are_refused(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    home_model *model = make_model(&s);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    const size_t count = (size_t)home_model_parameter_count(model);
    float *dense = calloc(count, sizeof *dense);
    REQUIRE(dense);
    dense[5] = 3;
    home_error error = new_error();
    const uint64_t ids[] = {4, 9, 4};
    float values[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    REQUIRE(home_model_set_gradient(model, dense, count, NULL) == HOME_OK);
    REQUIRE(home_model_set_table_gradient(model, 0, ids, 3, values, 3, NULL) == HOME_OK);

    CHECK_INTEGER(home_model_set_gradient(NULL, dense, count, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_gradient(model, NULL, count, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "gradient");
    CHECK_INTEGER(home_model_set_gradient(model, dense, count - 1, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "count");
    CHECK_INTEGER(home_model_set_gradient(frozen, dense, count, &error), HOME_E_STATE);
    dense[7] = INFINITY;
    CHECK_INTEGER(home_model_set_gradient(model, dense, count, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "gradient[7]");
    CHECK_INTEGER(home_model_set_table_gradient(NULL, 0, ids, 3, values, 3, &error),
                  HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_table_gradient(frozen, 0, ids, 3, values, 3, &error),
                  HOME_E_STATE);
    CHECK_INTEGER(home_model_set_table_gradient(model, 2, ids, 3, values, 3, &error),
                  HOME_E_NOT_FOUND);
    CHECK_CONTAINS(error.message, "table is 2");
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, NULL, 3, values, 3, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "ids");
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, ids, 3, NULL, 3, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "gradient");
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, ids, 3, values, 2, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "stride is 2");
    const uint64_t outside[] = {3, 11, 2};
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, outside, 3, values, 3, &error),
                  HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "ids[1] is 11");
    values[4] = NAN;
    CHECK_INTEGER(home_model_set_table_gradient(model, 0, ids, 3, values, 3, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "gradient[1, 1]");

    size_t now;
    CHECK(gradients_of(model, &now)[5] == 3);
    const home_gradient g = table_gradient_of(model, "user");
    if (CHECK_INTEGER(g.rows, 2))
        CHECK(g.ids[0] == 4 && g.ids[1] == 9 && g.data[0] == 8 && g.data[5] == 6);
    free(dense);
    home_model_release(frozen);
    home_model_release(model);
}

/* ----------------------------------------------------------------------- threads, steady state */

/* Trains three steps of four parts, with what a host does in between. */
static void train_by_parts(home_model *model, const data *d, const parts *p) {
    const size_t count = (size_t)home_model_parameter_count(model);
    float *own = malloc(count * sizeof *own);
    REQUIRE(own);
    for (int step = 0; step < 3; step++) {
        for (size_t i = 0; i < p->count; i++) {
            const home_targets targets = targets_of(d, p, i);
            forward_part(model, d, p, i);
            REQUIRE(home_model_task_gradient(model, &targets, i % 3, own, count, NULL, NULL) ==
                    HOME_OK);
            REQUIRE(home_model_backward(model, &targets, NULL, NULL) == HOME_OK);
        }
        const home_gradient g = table_gradient_of(model, "user");
        REQUIRE(home_model_set_table_gradient(model, 0, g.ids, g.rows, g.data, 0, NULL) == HOME_OK);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
    }
    free(own);
}

static void threads_do_not_matter(void) {
    static setup s;
    setup_preset(&s, HOME_PRESET_HOME);
    s.tables[0].rows = 70000;
    s.layers[0].width = 260;
    s.hidden[0][0] = 128;
    s.optimizer.clip_norm = 0.01;
    data d;
    const size_t rows = getenv("TEST_QUICK") ? 60 : 300;
    data_create(&d, &s.config, rows, 20);
    const parts p = cut(&d.targets, rows, 3, 4);
    home_model *alone = make_model(&s);
    REQUIRE(home_model_set_trained(alone, "layers.1.units.*.bias", HOME_OFF, NULL) == HOME_OK);
    train_by_parts(alone, &d, &p);
    static const size_t threads[] = {2, 3, 8};
    for (size_t i = 0; i < 3; i++) {
        home_model *model = make_model(&s);
        REQUIRE(home_model_set_threads(model, threads[i], NULL) == HOME_OK);
        REQUIRE(home_model_set_trained(model, "layers.1.units.*.bias", HOME_OFF, NULL) == HOME_OK);
        train_by_parts(model, &d, &p);
        CHECK(same_model(alone, model));
        home_model_release(model);
    }
    home_model_release(alone);
    data_free(&d);
}

static void nothing_is_allocated_after_warm_up(void) {
    setup s;
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup_preset(&s, HOME_PRESET_ADATT_SP);
    s.config.allocator = &allocator;
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, ROWS, 21);
    const parts p = cut(&d.targets, ROWS, 3, 4);
    train_by_parts(model, &d, &p);
    const long before = m.allocations;
    train_by_parts(model, &d, &p);
    CHECK_INTEGER(m.allocations, before);
    data_free(&d);
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
}

int main(void) {
    parts_of_every_preset_are_one_batch();
    RUN(large_parts_are_one_batch);
    RUN(steps_take_the_sum_with_every_optimizer);
    RUN(rows_of_all_parts_move);
    RUN(sums_begin_anew);
    RUN(adding_twice_doubles);
    RUN(totals_divide);
    RUN(tasks_without_labels_have_their_share);
    RUN(refused_backwards_leave_the_sum);
    RUN(failed_allocations_leave_the_sum);
    RUN(failed_forwards_leave_the_sum);
    RUN(logits_are_those_of_the_last_forward);
    RUN(own_losses_add_up);
    RUN(task_gradients_leave_the_sum);
    RUN(gradients_of_a_task_are_its_own);
    RUN(rows_may_come_in_any_order);
    RUN(own_rows_may_be_set_again);
    RUN(bad_gradients_are_refused);
    RUN(threads_do_not_matter);
    RUN(nothing_is_allocated_after_warm_up);
    return test_summary();
}
