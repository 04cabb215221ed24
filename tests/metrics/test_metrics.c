/* The metrics, against their definitions computed the slow way. */
#include "metrics/definitions.h"

#include <float.h>

static uint64_t seed = 1;

/* -------------------------------------------------------------------------------------- helpers */

static home_metrics *create(size_t tasks) {
    return create_with(tasks, NULL, 0);
}

/* The figures of rows added at once as one task. */
static home_metric_result figures_of(const sample *s, bool with_users, int32_t loss) {
    home_metrics *metrics = create_with(1, &loss, 0);
    home_metrics_rows rows = rows_from(s, 0, s->rows);
    if (!with_users)
        rows.users = NULL;
    REQUIRE(home_metrics_add(metrics, &rows, NULL) == HOME_OK);
    const home_metric_result result = result_of(metrics, 0);
    home_metrics_destroy(metrics);
    return result;
}

/* Without weights, which are those of all rows being 1. */
static home_metric_result plain_figures(const sample *s, bool with_users) {
    home_metrics *metrics = create(1);
    home_metrics_rows rows = rows_from(s, 0, s->rows);
    rows.row_weights = NULL;
    if (!with_users)
        rows.users = NULL;
    REQUIRE(home_metrics_add(metrics, &rows, NULL) == HOME_OK);
    const home_metric_result result = result_of(metrics, 0);
    home_metrics_destroy(metrics);
    return result;
}

static void weigh_evenly(sample *s) {
    for (size_t r = 0; r < s->rows; r++)
        s->weights[r] = 1;
}

/* ---------------------------------------------------------------------------------------- cases */

static void figures_agree_with_their_definitions(void) {
    static const sample_shape shapes[] = {
        {1000, 30, 55, 1u << 20, 0.3f, 0.0f, 0.0f, false, false},
        {1000, 30, 0, 5, 0.3f, 0.2f, 0.3f, false, false},
        {1000, 400, 3, 50, 0.5f, 0.0f, 0.1f, false, false},
        {1000, 7, 61, 1000, 0.01f, 0.1f, 0.0f, false, false},
        {1000, 20, 8, 100, 0.0f, 0.1f, 0.2f, true, false},
        {300, 1, 0, 2, 0.5f, 0.0f, 0.5f, false, false},
        {17, 3, 0, 4, 0.5f, 0.3f, 0.0f, false, false},
        {2, 1, 0, 100, 0.5f, 0.0f, 0.0f, false, false},
        {1000, 30, 55, 1u << 20, 0.3f, 0.0f, 0.0f, false, true},
        {1000, 30, 0, 5, 0.3f, 0.2f, 0.3f, false, true},
        {1000, 400, 3, 50, 0.5f, 0.0f, 0.1f, true, true},
        {50, 4, 0, 6, 0.5f, 0.9f, 0.1f, false, true},
    };
    static sample s;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            fill_sample(&s, &shapes[i], &seed);
            home_metric_result expected = slow_result(&s, false);
            home_metric_result actual = figures_of(&s, true, HOME_LOSS_BCE);
            check_result(&actual, &expected);
            for (size_t r = 0; r < s.rows; r++)
                s.users[r] = HOME_NO_USER;
            expected = slow_result(&s, false);
            actual = figures_of(&s, false, 0);
            check_result(&actual, &expected);
        }
}

/* Predictions and labels of any size and sign. */
static void a_squared_error_has_figures_of_its_own(void) {
    static sample s;
    for (int round = 0; round < 4; round++) {
        const sample_shape shape = {1000, 30, 0, 1u << 20, 0.3f, 0.1f, 0.3f, true, round % 2 == 1};
        fill_sample(&s, &shape, &seed);
        for (size_t r = 0; r < s.rows; r++) {
            s.predictions[r] = round < 2 ? 100 * s.predictions[r] - 30 : -s.predictions[r];
            s.labels[r] = round < 2 ? 100 * s.labels[r] - 20 : -1e-3f * s.labels[r];
        }
        const home_metric_result expected = slow_result(&s, true);
        const home_metric_result actual = figures_of(&s, true, HOME_LOSS_SQUARED);
        check_result(&actual, &expected);
    }
    s.rows = 2;
    weigh_evenly(&s);
    s.predictions[0] = s.labels[1] = FLT_MAX;
    s.predictions[1] = s.labels[0] = -FLT_MAX;
    const home_metric_result actual = figures_of(&s, true, HOME_LOSS_SQUARED);
    CHECK(near(actual.rmse / (double)FLT_MAX, 2) && near(actual.mae / (double)FLT_MAX, 2));
    CHECK(actual.mean_prediction == 0 && actual.mean_label == 0 && isnan(actual.calibration));
}

/* Two users take turns, and differ in one byte of their numbers; so do predictions. */
static void rows_in_turns_are_sorted_by_every_byte(void) {
    static sample s;
    for (unsigned shift = 0; shift < 64; shift += 4) {
        s.rows = 64;
        for (size_t r = 0; r < s.rows; r++) {
            s.users[r] = (uint64_t)(r % 2) << shift;
            s.labels[r] = r % 4 == 0 || r % 4 == 3 ? 1.0f : 0.0f;
            const uint32_t bits = 0x3f000000u ^ (uint32_t)(random_bits(&seed) % 3) << shift % 23;
            memcpy(&s.predictions[r], &bits, sizeof bits);
        }
        weigh_evenly(&s);
        const home_metric_result expected = slow_result(&s, false);
        const home_metric_result actual = figures_of(&s, true, 0);
        check_result(&actual, &expected);
        CHECK_INTEGER(actual.gauc_users, 2);
    }
}

/* Case 02 of what users reported: most rows have nobody, and what they did is the reverse. */
static void rows_without_a_user_are_no_user(void) {
    static sample s;
    s.rows = 500;
    for (size_t r = 0; r < s.rows; r++) {
        const bool known = r < 100;
        s.users[r] = known ? r % 10 : HOME_NO_USER;
        s.predictions[r] = random_share(&seed);
        s.labels[r] = (s.predictions[r] > 0.5f) == known ? 1.0f : 0.0f;
    }
    weigh_evenly(&s);
    const home_metric_result result = figures_of(&s, true, 0);
    CHECK(result.gauc == 1.0);
    CHECK_INTEGER(result.no_user_rows, 400);
    CHECK_INTEGER(result.gauc_rows, 100);
    CHECK(result.auc < 0.5);
}

/* A row of weight 3 is three rows, one of weight 0 is none. */
static void weights_repeat_rows(void) {
    static sample weighted;
    static sample repeated;
    const sample_shape shape = {300, 20, 0, 30, 0.4f, 0.1f, 0.1f, true, false};
    fill_sample(&weighted, &shape, &seed);
    repeated.rows = 0;
    for (size_t r = 0; r < weighted.rows; r++) {
        const size_t times = (size_t)(random_bits(&seed) % 4);
        weighted.weights[r] = (float)times;
        for (size_t i = 0; i < times && repeated.rows < MAX_ROWS; i++) {
            repeated.predictions[repeated.rows] = weighted.predictions[r];
            repeated.labels[repeated.rows] = weighted.labels[r];
            repeated.users[repeated.rows] = weighted.users[r];
            repeated.weights[repeated.rows++] = 1;
        }
    }
    REQUIRE(repeated.rows < MAX_ROWS);
    home_metric_result expected = figures_of(&repeated, true, 0);
    const home_metric_result actual = figures_of(&weighted, true, 0);
    CHECK(actual.rows < expected.rows);
    CHECK(actual.weight == (double)expected.rows);
    expected.rows = actual.rows;
    expected.no_user_rows = actual.no_user_rows;
    expected.positives = actual.positives;
    expected.gauc_rows = actual.gauc_rows;
    check_result(&actual, &expected);
}

/* The weight of a label is the product of the row's and its own. */
static void weights_of_rows_and_labels_are_multiplied(void) {
    static const float predictions[] = {0.5f, 0.25f, 0.75f, 0.5f};
    static const float labels[] = {1, 0, 0, 1};
    static const float by_row[] = {2, 3};
    static const float weights[] = {5, 7, -1, 11, 0.5f, -1};
    const home_metrics_rows rows = {.struct_size = sizeof rows,
                                    .rows = 2,
                                    .predictions = predictions,
                                    .labels = labels,
                                    .row_weights = by_row,
                                    .weights = weights,
                                    .weight_stride = 3};
    home_metrics *metrics = create(2);
    REQUIRE(home_metrics_add(metrics, &rows, NULL) == HOME_OK);
    const home_metric_result first = result_of(metrics, 0);
    const home_metric_result second = result_of(metrics, 1);
    CHECK(first.weight == 43 && second.weight == 15.5);
    CHECK(near(first.mean_prediction, (10 * 0.5 + 33 * 0.75) / 43));
    CHECK(near(second.mean_label, 1.5 / 15.5));
    home_metrics_destroy(metrics);
}

/* Weights that a sum in double precision would lose, in both orders. */
static void sums_are_exact(void) {
    sample s = {.rows = 4,
                .predictions = {0.5f, 0.5f, 0.5f, 0.5f},
                .labels = {1, 1, 0, 0},
                .weights = {1e30f, 1e-30f, FLT_MAX, FLT_TRUE_MIN},
                .users = {1, 1, 2, 2}};
    const home_metric_result forward = figures_of(&s, true, 0);
    CHECK(forward.weight == 1e30f + (double)FLT_MAX && forward.auc == 0.5);
    sample back = s;
    for (size_t r = 0; r < 4; r++) {
        back.labels[r] = s.labels[3 - r];
        back.weights[r] = s.weights[3 - r];
        back.users[r] = s.users[3 - r];
    }
    const home_metric_result backward = figures_of(&back, true, 0);
    CHECK_BYTES(&backward, &forward, sizeof forward);
    /* What is left when the large ones are gone: a squared error has sums that cancel. */
    s.predictions[0] = 1;
    s.predictions[1] = 1;
    s.predictions[2] = -1;
    s.predictions[3] = 1;
    s.weights[0] = s.weights[2] = 1e30f;
    s.weights[3] = s.weights[1];
    const home_metric_result cancelled = figures_of(&s, true, HOME_LOSS_SQUARED);
    CHECK(near(cancelled.mean_prediction * (double)1e30f / (double)1e-30f, 1));
}

/* Figures small enough to do by hand. */
static void small_figures_are_those_by_hand(void) {
    const sample s = {.rows = 4,
                      .predictions = {0.125f, 0.5f, 0.5f, 0.75f},
                      .labels = {0.0f, 1.0f, 0.0f, 1.0f},
                      .users = {7, 7, 8, 8}};
    const home_metric_result result = plain_figures(&s, true);
    CHECK_INTEGER(result.rows, 4);
    CHECK_INTEGER(result.positives, 2);
    CHECK(result.auc == 0.875); /* of four pairs three right, one tie */
    CHECK(result.gauc == 1.0);
    CHECK_INTEGER(result.gauc_users, 2);
    CHECK_INTEGER(result.gauc_rows, 4);
    CHECK_NEAR(result.log_loss, -(log(0.875) + log(0.5) + log(0.5) + log(0.75)) / 4, 1e-15);
    CHECK(result.calibration == 0.9375);
}

static void figures_that_are_not_defined_are_nan(void) {
    sample s = {.rows = 3, .predictions = {0.1f, 0.2f, 0.3f}, .labels = {0.0f, 0.0f, 0.0f}};
    home_metric_result result = plain_figures(&s, true);
    CHECK(isnan(result.auc) && isnan(result.gauc) && isnan(result.calibration));
    CHECK(result.log_loss > 0.0);
    CHECK_INTEGER(result.gauc_users, 0);
    s.labels[0] = s.labels[1] = s.labels[2] = 1.0f;
    result = plain_figures(&s, true);
    CHECK(isnan(result.auc) && isnan(result.gauc));
    CHECK_NEAR(result.calibration, 0.2, 1e-7);
    s.rows = 0;
    result = plain_figures(&s, true);
    CHECK_INTEGER(result.rows, 0);
    CHECK(isnan(result.auc) && isnan(result.gauc) && isnan(result.log_loss) &&
          isnan(result.calibration));
}

/* Only user 1 has both classes; user 3 has rows, but a single label that is there. */
static void users_of_one_class_are_left_out(void) {
    const sample s = {.rows = 7,
                      .predictions = {0.9f, 0.1f, 0.5f, 0.4f, 0.3f, 0.6f, 0.7f},
                      .labels = {0.0f, 1.0f, 1.0f, 1.0f, 1.0f, NAN, 0.0f},
                      .users = {1, 1, 1, 2, 2, 3, 3}};
    const home_metric_result result = plain_figures(&s, true);
    CHECK(result.gauc == 0.0);
    CHECK_INTEGER(result.gauc_users, 1);
    CHECK_INTEGER(result.gauc_rows, 3);
    CHECK_INTEGER(result.rows, 6);
}

/* A label of 0.5 is no positive. */
static void a_label_of_a_half_is_no_positive(void) {
    const sample s = {
        .rows = 3, .predictions = {0.5f, 0.25f, 0.75f}, .labels = {0.5f, 0.75f, 0.25f}};
    const home_metric_result result = plain_figures(&s, false);
    CHECK_INTEGER(result.positives, 1);
    CHECK(result.auc == 0.0);
    CHECK(result.calibration == 1.0);
    CHECK_NEAR(result.log_loss, -(log(0.5) + 1.5 * log(0.25) + 0.5 * log(0.75)) / 3, 1e-15);
}

/* -0 and 0 are the same prediction; 0 and 1 are clipped in the loss. */
static void predictions_at_their_limits_have_finite_losses(void) {
    sample s = {.rows = 2, .predictions = {-0.0f, 0.0f}, .labels = {1.0f, -0.0f}};
    home_metric_result result = plain_figures(&s, false);
    CHECK(result.auc == 0.5);
    CHECK_NEAR(result.log_loss, -log(1e-15) / 2, 1e-6);
    s.predictions[1] = 1.0f;
    s.labels[0] = 0.0f;
    s.labels[1] = 1.0f;
    result = plain_figures(&s, false);
    CHECK(result.auc == 1.0);
    CHECK(result.log_loss >= 0.0 && result.log_loss < 1.1e-15);
    s.labels[0] = 1.0f;
    s.labels[1] = 0.0f;
    result = plain_figures(&s, false);
    CHECK(result.auc == 0.0);
    CHECK_NEAR(result.log_loss, -log(1e-15), 0.1);
    s.predictions[0] = FLT_TRUE_MIN;
    s.predictions[1] = FLT_TRUE_MIN * 2;
    result = plain_figures(&s, false);
    CHECK(result.auc == 0.0); /* neighbours are no tie */
}

/* Tasks, strides and both kinds of rows in one accumulator. */
static void strides_and_tasks_are_kept_apart(void) {
    enum { ROWS = 200, TASKS = 3, STRIDE = 5, LABEL_STRIDE = 4, WEIGHT_STRIDE = 6 };
    static const int32_t losses[TASKS] = {0, HOME_LOSS_SQUARED, HOME_LOSS_BCE};
    static float predictions[STRIDE * ROWS];
    static float labels[LABEL_STRIDE * ROWS];
    static float weights[WEIGHT_STRIDE * ROWS];
    static sample s[TASKS];
    const sample_shape shape = {ROWS, 9, 55, 40, 0.4f, 0.1f, 0.2f, false, true};
    for (size_t i = 0; i < (size_t)ROWS * STRIDE; i++)
        predictions[i] = -1.0f; /* nothing but [rows, tasks] may be looked at */
    for (size_t i = 0; i < (size_t)ROWS * WEIGHT_STRIDE; i++)
        weights[i] = -1.0f;
    for (size_t t = 0; t < TASKS; t++) {
        fill_sample(&s[t], &shape, &seed);
        memcpy(s[t].users, s[0].users, sizeof s[0].users);
        for (size_t r = 0; r < ROWS; r++) {
            predictions[r * STRIDE + t] = s[t].predictions[r];
            labels[r * LABEL_STRIDE + t] = s[t].labels[r];
            weights[r * WEIGHT_STRIDE + t] = s[t].weights[r];
        }
    }
    home_metrics *metrics = create_with(TASKS, losses, 0);
    home_metrics_rows rows = {.struct_size = sizeof rows,
                              .rows = 150,
                              .predictions = predictions,
                              .prediction_stride = STRIDE,
                              .labels = labels,
                              .label_stride = LABEL_STRIDE,
                              .users = s[0].users,
                              .weights = weights,
                              .weight_stride = WEIGHT_STRIDE};
    CHECK_INTEGER(home_metrics_add(metrics, &rows, NULL), HOME_OK);
    rows.rows = ROWS - 150;
    rows.predictions += (size_t)150 * STRIDE;
    rows.labels += (size_t)150 * LABEL_STRIDE;
    rows.weights += (size_t)150 * WEIGHT_STRIDE;
    rows.users = NULL;
    CHECK_INTEGER(home_metrics_add(metrics, &rows, NULL), HOME_OK);
    for (size_t t = 0; t < TASKS; t++) {
        for (size_t r = 150; r < ROWS; r++)
            s[t].users[r] = HOME_NO_USER;
        const home_metric_result expected = slow_result(&s[t], losses[t] == HOME_LOSS_SQUARED);
        const home_metric_result actual = result_of(metrics, t);
        check_result(&actual, &expected);
    }
    home_metrics_destroy(metrics);
}

static void swap_rows(sample *s, size_t a, size_t b) {
    const float prediction = s->predictions[a];
    const float label = s->labels[a];
    const float weight = s->weights[a];
    const uint64_t user = s->users[a];
    s->predictions[a] = s->predictions[b];
    s->labels[a] = s->labels[b];
    s->weights[a] = s->weights[b];
    s->users[a] = s->users[b];
    s->predictions[b] = prediction;
    s->labels[b] = label;
    s->weights[b] = weight;
    s->users[b] = user;
}

/* The same rows in another order, in parts that are merged in another order: the same bytes. */
static void the_order_of_rows_and_merges_changes_no_byte(void) {
    enum { PARTS = 5 };
    static sample s;
    static sample shuffled;
    for (int round = 0; round < 20; round++) {
        const int32_t loss = round % 4 == 3 ? HOME_LOSS_SQUARED : HOME_LOSS_BCE;
        const sample_shape shape = {MAX_ROWS, 25, 55, 300, 0.0f, 0.1f, 0.1f, true, round % 2 == 1};
        fill_sample(&s, &shape, &seed);
        const home_metric_result expected = figures_of(&s, true, loss);
        shuffled = s;
        for (size_t r = s.rows; r-- > 1;)
            swap_rows(&shuffled, r, (size_t)(random_bits(&seed) % (r + 1)));
        home_metrics *parts[PARTS];
        for (size_t p = 0; p < PARTS; p++) {
            const size_t begin = s.rows * p / PARTS;
            parts[p] = create_with(1, &loss, 0);
            add_rows(parts[p], &shuffled, begin, s.rows * (p + 1) / PARTS - begin);
        }
        home_metrics *all = parts[(size_t)round % PARTS];
        for (size_t p = 0; p < PARTS; p++)
            if (parts[p] != all) {
                CHECK_INTEGER(home_metrics_merge(all, parts[p], NULL), HOME_OK);
                home_metrics_destroy(parts[p]);
            }
        const home_metric_result actual = result_of(all, 0);
        CHECK_BYTES(&actual, &expected, sizeof actual);
        home_metrics_destroy(all);
    }
}

static void merging_with_itself_doubles_the_rows(void) {
    static sample s;
    const sample_shape shape = {50, 5, 55, 10, 0.5f, 0.0f, 0.1f, false, true};
    fill_sample(&s, &shape, &seed);
    home_metrics *metrics = create(1);
    add_rows(metrics, &s, 0, s.rows);
    const home_metric_result once = result_of(metrics, 0);
    CHECK_INTEGER(home_metrics_merge(metrics, metrics, NULL), HOME_OK);
    const home_metric_result twice = result_of(metrics, 0);
    CHECK_INTEGER(twice.rows, 2 * once.rows);
    CHECK_INTEGER(twice.gauc_rows, 2 * once.gauc_rows);
    CHECK(twice.weight == 2 * once.weight);
    CHECK(near(twice.auc, once.auc) && near(twice.gauc, once.gauc) &&
          near(twice.log_loss, once.log_loss));
    home_metrics_destroy(metrics);
}

/* As if it had just been made; its options stay. */
static void a_reset_forgets_all_rows(void) {
    static sample s;
    static const int32_t losses[] = {HOME_LOSS_BCE, HOME_LOSS_SQUARED};
    const sample_shape shape = {300, 5, 55, 10, 0.5f, 0.0f, 0.1f, false, true};
    fill_sample(&s, &shape, &seed);
    for (size_t t = 0; t < 2; t++)
        for (size_t max_bytes = 0; max_bytes < 300000; max_bytes += 200000) {
            home_metrics *fresh = create_with(1, &losses[t], max_bytes);
            home_metrics *used = create_with(1, &losses[t], max_bytes);
            for (size_t i = 0; i < 40; i++) /* more than the bounded one has room for */
                add_rows(used, &s, 0, s.rows);
            home_metrics_reset(used);
            home_metric_result of_fresh = result_of(fresh, 0);
            home_metric_result of_used = result_of(used, 0);
            CHECK_BYTES(&of_used, &of_fresh, sizeof of_used);
            for (size_t i = 0; i < 40; i++) {
                add_rows(fresh, &s, 10, 200);
                add_rows(used, &s, 10, 200);
            }
            of_fresh = result_of(fresh, 0);
            of_used = result_of(used, 0);
            CHECK_BYTES(&of_used, &of_fresh, sizeof of_used);
            home_metrics_destroy(fresh);
            home_metrics_destroy(used);
        }
    home_metrics_reset(NULL);
}

/* An accumulator of two tasks that holds a row; bad calls must leave it as it was. */
typedef struct holding {
    home_metrics *metrics;
    home_metric_result before[2];
    home_error error;
} holding;

static const float good[] = {0.5f, 0.25f};
static const float label[] = {1.0f, 0.0f};

/* One row of the two tasks. */
static home_metrics_rows one_row(const float *predictions, const float *labels) {
    return (home_metrics_rows){.struct_size = sizeof(home_metrics_rows),
                               .rows = 1,
                               .predictions = predictions,
                               .labels = labels};
}

static void holding_begin(holding *h) {
    const home_metrics_rows row = one_row(good, label);
    h->error = (home_error){.struct_size = sizeof h->error};
    h->metrics = create(2);
    REQUIRE(home_metrics_add(h->metrics, &row, NULL) == HOME_OK);
    for (size_t t = 0; t < 2; t++)
        h->before[t] = result_of(h->metrics, t);
}

static void holding_end(holding *h) {
    for (size_t t = 0; t < 2; t++) {
        const home_metric_result after = result_of(h->metrics, t);
        CHECK_BYTES(&after, &h->before[t], sizeof after);
    }
    home_metrics_destroy(h->metrics);
}

/* The status of adding one row. */
static home_status add_row(holding *h, const float *predictions, const float *labels) {
    const home_metrics_rows row = one_row(predictions, labels);
    return home_metrics_add(h->metrics, &row, &h->error);
}

static void check_options(const home_metrics_options *options, home_status status,
                          const char *message) {
    home_error error = {.struct_size = sizeof error};
    home_metrics *metrics = NULL;
    CHECK_INTEGER(home_metrics_create(options, &metrics, &error), status);
    CHECK_CONTAINS(error.message, message);
    CHECK(metrics == NULL);
}

static void bad_options_are_refused(void) {
    static const int32_t losses[] = {HOME_LOSS_SQUARED, 3, -1};
    home_metrics_options options = {.struct_size = sizeof options};
    check_options(NULL, HOME_E_ARGUMENT, "options is NULL");
    check_options(&options, HOME_E_ARGUMENT, "options.tasks is 0");
    options.tasks = SIZE_MAX / 2;
    check_options(&options, HOME_E_TOO_LARGE, "options.tasks is ");
    options.max_bytes = SIZE_MAX;
    check_options(&options, HOME_E_TOO_LARGE, "options.tasks is ");
    options.max_bytes = 0;
    options.tasks = 2;
    options.losses = losses;
    check_options(&options, HOME_E_ARGUMENT, "options.losses[1] is 3");
    options.losses++;
    check_options(&options, HOME_E_ARGUMENT, "options.losses[0] is 3");
    options.losses++;
    options.tasks = 1;
    check_options(&options, HOME_E_ARGUMENT, "options.losses[0] is -1");
    options.losses = NULL;
    home_allocator half = {.struct_size = sizeof half,
                           .allocate = meter_allocator(&(meter){0}).allocate};
    options.allocator = &half;
    check_options(&options, HOME_E_ARGUMENT, "allocator");
    options.allocator = NULL;
    home_error error = {.struct_size = sizeof error};
    CHECK_INTEGER(home_metrics_create(&options, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "metrics is NULL");
    options.struct_size = 0;
    check_options(&options, HOME_E_ARGUMENT, "options.struct_size is 0");
    home_metrics_destroy(NULL);
}

static void values_that_are_no_chances_are_refused_and_change_nothing(void) {
    holding h;
    holding_begin(&h);
    const float bad_values[] = {-0.1f, 1.1f, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        const float bad[] = {0.5f, bad_values[i]};
        CHECK_INTEGER(add_row(&h, bad, label), HOME_E_VALUE);
        CHECK_CONTAINS(h.error.message, "rows.predictions[0, 1] is ");
        CHECK_CONTAINS(h.error.message, "expected [0, 1]");
        CHECK_INTEGER(add_row(&h, good, bad), HOME_E_VALUE);
        CHECK_CONTAINS(h.error.message, "rows.labels[0, 1] is ");
    }
    const float not_a_number[] = {0.5f, NAN};
    CHECK_INTEGER(add_row(&h, not_a_number, label), HOME_E_VALUE);
    holding_end(&h);
}

static void a_squared_error_takes_any_finite_number(void) {
    static const int32_t losses[] = {HOME_LOSS_SQUARED, HOME_LOSS_BCE};
    home_error error = {.struct_size = sizeof error};
    home_metrics *metrics = create_with(2, losses, 0);
    const float wide[] = {-7.5f, 0.5f};
    const float infinite[] = {INFINITY, 0.5f};
    const float undefined[] = {NAN, 0.5f};
    home_metrics_rows row = one_row(wide, wide);
    CHECK_INTEGER(home_metrics_add(metrics, &row, &error), HOME_OK);
    row.predictions = infinite;
    CHECK_INTEGER(home_metrics_add(metrics, &row, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "rows.predictions[0, 0] is inf, expected a finite number");
    row.predictions = undefined;
    CHECK_INTEGER(home_metrics_add(metrics, &row, &error), HOME_E_VALUE);
    row = one_row(wide, infinite);
    CHECK_INTEGER(home_metrics_add(metrics, &row, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "rows.labels[0, 0] is inf");
    CHECK_INTEGER(result_of(metrics, 0).rows, 1);
    CHECK_INTEGER(result_of(metrics, 1).rows, 1);
    home_metrics_destroy(metrics);
}

/* Without a label neither counts; nor do a label and a prediction of weight 0. */
static void what_goes_with_no_label_may_be_anything(void) {
    holding h;
    holding_begin(&h);
    const float wide[] = {0.5f, -7.5f};
    const float missing[] = {0.5f, NAN};
    const float weights[] = {1, -1};
    const float no_weight[] = {1, -0.0f};
    home_metrics_rows row = one_row(wide, missing);
    row.weights = weights;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_OK);
    row = one_row(wide, wide);
    row.weights = no_weight;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_OK);
    CHECK_INTEGER(result_of(h.metrics, 0).rows, h.before[0].rows + 2);
    h.before[0] = result_of(h.metrics, 0);
    holding_end(&h);
}

static void bad_weights_are_refused_and_change_nothing(void) {
    holding h;
    holding_begin(&h);
    const float bad_values[] = {-1, -1e-30f, NAN, INFINITY, -INFINITY};
    home_metrics_rows row = one_row(good, label);
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        const float bad[] = {1, bad_values[i]};
        row.weights = bad;
        row.row_weights = NULL;
        CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_VALUE);
        CHECK_CONTAINS(h.error.message, "rows.weights[0, 1] is ");
        row.weights = NULL;
        row.row_weights = &bad[1];
        CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_VALUE);
        CHECK_CONTAINS(h.error.message, "rows.row_weights[0] is ");
    }
    const float large[] = {1e20f, 1e20f};
    const float zero[] = {0, 0};
    const float infinite = INFINITY;
    const float negative[] = {-1, -1};
    row.weights = large;
    row.row_weights = large;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_VALUE);
    CHECK_CONTAINS(h.error.message, "times rows.weights[0, 0] is inf");
    row.weights = zero;
    row.row_weights = &infinite;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_VALUE);
    row.weights = negative; /* their product is positive */
    row.row_weights = negative;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_VALUE);
    holding_end(&h);
}

static void bad_rows_name_what_is_wrong_and_change_nothing(void) {
    holding h;
    holding_begin(&h);
    home_metrics_rows row = one_row(good, label);
    row.prediction_stride = 1;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows.prediction_stride is 1");
    row = one_row(good, label);
    row.label_stride = 1;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows.label_stride is 1");
    row = one_row(good, label);
    row.weight_stride = 1;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows.weight_stride is 1");
    row.weight_stride = 0;
    row.struct_size = 0;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows.struct_size is 0");
    CHECK_INTEGER(add_row(&h, NULL, label), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows.predictions is NULL");
    CHECK_INTEGER(add_row(&h, good, NULL), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows.labels is NULL");
    CHECK_INTEGER(home_metrics_add(h.metrics, NULL, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "rows is NULL");
    row = one_row(good, label);
    CHECK_INTEGER(home_metrics_add(NULL, &row, &h.error), HOME_E_ARGUMENT);
    row.rows = SIZE_MAX / 2 + 1;
    CHECK_INTEGER(home_metrics_add(h.metrics, &row, &h.error), HOME_E_TOO_LARGE);
    holding_end(&h);
}

static void adding_zero_rows_succeeds_and_changes_nothing(void) {
    holding h;
    holding_begin(&h);
    home_metrics_rows none = one_row(NULL, NULL);
    none.rows = 0;
    CHECK_INTEGER(home_metrics_add(h.metrics, &none, &h.error), HOME_OK);
    none.predictions = good;
    none.labels = label;
    CHECK_INTEGER(home_metrics_add(h.metrics, &none, &h.error), HOME_OK);
    holding_end(&h);
}

static void merging_what_does_not_fit_is_refused_and_changes_nothing(void) {
    holding h;
    holding_begin(&h);
    home_metrics *other = create(3);
    CHECK_INTEGER(home_metrics_merge(h.metrics, other, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "from has 3 tasks");
    CHECK_INTEGER(home_metrics_merge(NULL, other, &h.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_metrics_merge(other, NULL, &h.error), HOME_E_ARGUMENT);
    home_metrics_destroy(other);
    static const int32_t losses[] = {HOME_LOSS_BCE, HOME_LOSS_SQUARED};
    other = create_with(2, losses, 0);
    CHECK_INTEGER(home_metrics_merge(h.metrics, other, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "task 1 has loss 2, expected 1 of into");
    home_metrics_destroy(other);
    holding_end(&h);
}

static void bad_questions_for_a_result_are_refused(void) {
    holding h;
    holding_begin(&h);
    home_metric_result result = {.struct_size = sizeof result};
    CHECK_INTEGER(home_metrics_result(h.metrics, 2, &result, &h.error), HOME_E_NOT_FOUND);
    CHECK_INTEGER(home_metrics_result(h.metrics, 0, NULL, &h.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_metrics_result(NULL, 0, &result, &h.error), HOME_E_ARGUMENT);
    result.struct_size = 0;
    CHECK_INTEGER(home_metrics_result(h.metrics, 0, &result, &h.error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "struct_size is 0");
    CHECK_INTEGER(result.rows, 0);
    holding_end(&h);
}

/* A result struct of a later header: the library fills in what it knows, and nothing behind it. */
static void a_larger_result_struct_is_filled_as_far_as_known(void) {
    struct {
        home_metric_result known;
        uint64_t later;
    } result = {.known = {.struct_size = sizeof result}, .later = 42};
    home_metrics *metrics = create(1);
    const float one = 1.0f;
    const home_metrics_rows row = one_row(&one, &one);
    REQUIRE(home_metrics_add(metrics, &row, NULL) == HOME_OK);
    CHECK_INTEGER(home_metrics_result(metrics, 0, &result.known, NULL), HOME_OK);
    CHECK_INTEGER(result.known.rows, 1);
    CHECK_INTEGER(result.known.struct_size, sizeof result);
    CHECK_INTEGER(result.later, 42);
    home_metrics_destroy(metrics);
}

/* Rows of both tasks. */
static home_metrics_rows rows_of_both(const sample *s, size_t count) {
    home_metrics_rows rows = rows_from(s, 0, count);
    rows.row_weights = NULL;
    return rows;
}

/* Everything the library does with metrics, until the first failure. Whatever an earlier call has
 * added must survive the failure of a later one. */
static home_status use_metrics(const home_metrics_options *options, const sample *s) {
    const home_metrics_rows few = rows_of_both(s, 10);
    const home_metrics_rows more = rows_of_both(s, 200);
    static unsigned char bytes[40000];
    size_t length;
    home_metrics *a = NULL;
    home_metrics *b = NULL;
    home_metric_result result = {.struct_size = sizeof result};
    home_error error = {.struct_size = sizeof error};
    home_status status = home_metrics_create(options, &a, &error);
    if (status == HOME_OK)
        status = home_metrics_create(options, &b, &error);
    if (status == HOME_OK)
        status = home_metrics_add(a, &few, &error);
    if (status == HOME_OK)
        status = home_metrics_add(b, &more, &error);
    if (status == HOME_OK)
        status = home_metrics_merge(a, b, &error);
    if (status == HOME_OK)
        status = home_metrics_serialize(b, bytes, sizeof bytes, &length, &error);
    if (status == HOME_OK)
        status = home_metrics_merge_bytes(a, bytes, length, &error);
    if (status == HOME_OK)
        status = home_metrics_result(a, 1, &result, &error);
    if (status != HOME_OK) {
        CHECK_INTEGER(status, HOME_E_MEMORY);
        CHECK_INTEGER(error.status, HOME_E_MEMORY);
        CHECK_INTEGER(result.rows, 0);
    } else {
        CHECK_INTEGER(result.rows, 410);
    }
    home_metrics_destroy(a);
    home_metrics_destroy(b);
    return status;
}

static void running_out_of_memory_leaks_nothing(void) {
    static sample s;
    const sample_shape shape = {400, 5, 55, 10, 0.5f, 0.0f, 0.0f, false, false};
    fill_sample(&s, &shape, &seed);
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    home_metrics_options options = {
        .struct_size = sizeof options, .tasks = 2, .allocator = &allocator};
    for (size_t max_bytes = 0; max_bytes <= 1000000; max_bytes += 1000000) {
        options.max_bytes = max_bytes;
        home_status status = HOME_E_MEMORY;
        long granted = 0;
        for (; status != HOME_OK && granted < 100; granted++) {
            meter_allocator(&m);
            m.fail_at = granted;
            status = use_metrics(&options, &s);
            CHECK_INTEGER(m.live, 0);
        }
        CHECK_INTEGER(status, HOME_OK);
        /* Four of create, two of each add and merge, one of result; or six of create and one. */
        CHECK_INTEGER(granted - 1, max_bytes ? 7 : 13);
    }

    /* A merge that fails at its second task changes neither. */
    meter_allocator(&m);
    options.max_bytes = 0;
    const home_metrics_rows few = rows_of_both(&s, 10);
    const home_metrics_rows more = rows_of_both(&s, 200);
    home_metrics *into = NULL;
    REQUIRE(home_metrics_create(&options, &into, NULL) == HOME_OK);
    REQUIRE(home_metrics_add(into, &few, NULL) == HOME_OK);
    home_metrics *from = create(2);
    REQUIRE(home_metrics_add(from, &more, NULL) == HOME_OK);
    m.fail_at = m.allocations + 1;
    CHECK_INTEGER(home_metrics_merge(into, from, NULL), HOME_E_MEMORY);
    m.fail_at = -1;
    CHECK_INTEGER(result_of(into, 0).rows, 10);
    CHECK_INTEGER(result_of(into, 1).rows, 10);
    CHECK_INTEGER(home_metrics_merge(into, from, NULL), HOME_OK);
    CHECK_INTEGER(result_of(into, 0).rows, 210);
    home_metrics_destroy(into);
    home_metrics_destroy(from);
    CHECK_INTEGER(m.live, 0);
}

int main(void) {
    RUN(figures_agree_with_their_definitions);
    RUN(a_squared_error_has_figures_of_its_own);
    RUN(rows_in_turns_are_sorted_by_every_byte);
    RUN(rows_without_a_user_are_no_user);
    RUN(weights_repeat_rows);
    RUN(weights_of_rows_and_labels_are_multiplied);
    RUN(sums_are_exact);
    RUN(small_figures_are_those_by_hand);
    RUN(figures_that_are_not_defined_are_nan);
    RUN(users_of_one_class_are_left_out);
    RUN(a_label_of_a_half_is_no_positive);
    RUN(predictions_at_their_limits_have_finite_losses);
    RUN(strides_and_tasks_are_kept_apart);
    RUN(the_order_of_rows_and_merges_changes_no_byte);
    RUN(merging_with_itself_doubles_the_rows);
    RUN(a_reset_forgets_all_rows);
    RUN(bad_options_are_refused);
    RUN(values_that_are_no_chances_are_refused_and_change_nothing);
    RUN(a_squared_error_takes_any_finite_number);
    RUN(what_goes_with_no_label_may_be_anything);
    RUN(bad_weights_are_refused_and_change_nothing);
    RUN(bad_rows_name_what_is_wrong_and_change_nothing);
    RUN(adding_zero_rows_succeeds_and_changes_nothing);
    RUN(merging_what_does_not_fit_is_refused_and_changes_nothing);
    RUN(bad_questions_for_a_result_are_refused);
    RUN(a_larger_result_struct_is_filled_as_far_as_known);
    RUN(running_out_of_memory_leaks_nothing);
    return test_summary();
}
