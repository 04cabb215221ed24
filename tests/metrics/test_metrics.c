/* The metrics, against their definitions computed the slow way. */
#include "home/home.h"
#include "test.h"
#include "unit/fixture.h"

#include <float.h>

static uint64_t seed = 1;

static float random_share(void) {
    return (float)(random_bits(&seed) >> 40) / 16777216.0f;
}

/* ---------------------------------------------------------------------------------- definitions */

/* Rows of one task. */
enum { MAX_ROWS = 1000 };
typedef struct sample {
    size_t rows;
    float predictions[MAX_ROWS];
    float labels[MAX_ROWS];
    uint64_t users[MAX_ROWS];
} sample;

/* Counts pairs, over the rows of one user, or over all where user is NULL. */
static double slow_auc(const sample *s, const uint64_t *user) {
    double right = 0.0;
    double pairs = 0.0;
    for (size_t p = 0; p < s->rows; p++)
        for (size_t n = 0; n < s->rows; n++) {
            if (user && (s->users[p] != *user || s->users[n] != *user))
                continue;
            if (!(s->labels[p] > 0.5f && s->labels[n] <= 0.5f))
                continue;
            pairs += 1.0;
            if (s->predictions[p] > s->predictions[n])
                right += 1.0;
            else if (s->predictions[p] == s->predictions[n])
                right += 0.5;
        }
    return pairs > 0.0 ? right / pairs : (double)NAN;
}

static home_metric_result slow_result(const sample *s, bool with_users) {
    home_metric_result result = {.struct_size = sizeof result};
    double loss = 0.0;
    double predictions = 0.0;
    double labels = 0.0;
    double gauc = 0.0;
    for (size_t r = 0; r < s->rows; r++) {
        if (isnan(s->labels[r]))
            continue;
        const double p = fmin(fmax((double)s->predictions[r], 1e-15), 1.0 - 1e-15);
        result.rows++;
        result.positives += s->labels[r] > 0.5f;
        loss -= (double)s->labels[r] * log(p) + (1.0 - (double)s->labels[r]) * log(1.0 - p);
        predictions += (double)s->predictions[r];
        labels += (double)s->labels[r];
        if (!with_users)
            continue;

        bool first_of_user = true;
        uint64_t rows_of_user = 0;
        for (size_t q = 0; q < s->rows; q++)
            if (s->users[q] == s->users[r] && !isnan(s->labels[q])) {
                first_of_user = first_of_user && q >= r;
                rows_of_user++;
            }
        const double auc = first_of_user ? slow_auc(s, &s->users[r]) : (double)NAN;
        if (isnan(auc))
            continue;
        gauc += auc * (double)rows_of_user;
        result.gauc_rows += rows_of_user;
        result.gauc_users++;
    }
    result.auc = slow_auc(s, NULL);
    result.gauc = result.gauc_rows ? gauc / (double)result.gauc_rows : (double)NAN;
    result.log_loss = result.rows ? loss / (double)result.rows : (double)NAN;
    result.calibration = labels > 0.0 ? predictions / labels : (double)NAN;
    return result;
}

static bool near(double actual, double expected) {
    return (isnan(actual) && isnan(expected)) ||
           fabs(actual - expected) <= 1e-12 * fmax(1.0, fabs(expected));
}

static void check_result(const home_metric_result *actual, const home_metric_result *expected) {
    CHECK_INTEGER(actual->rows, expected->rows);
    CHECK_INTEGER(actual->positives, expected->positives);
    CHECK_INTEGER(actual->gauc_users, expected->gauc_users);
    CHECK_INTEGER(actual->gauc_rows, expected->gauc_rows);
    if (!near(actual->auc, expected->auc))
        test_fail(__FILE__, __LINE__, "auc is %.17g, expected %.17g", actual->auc, expected->auc);
    if (!near(actual->gauc, expected->gauc))
        test_fail(__FILE__, __LINE__, "gauc is %.17g, expected %.17g", actual->gauc,
                  expected->gauc);
    if (!near(actual->log_loss, expected->log_loss))
        test_fail(__FILE__, __LINE__, "log_loss is %.17g, expected %.17g", actual->log_loss,
                  expected->log_loss);
    if (!near(actual->calibration, expected->calibration))
        test_fail(__FILE__, __LINE__, "calibration is %.17g, expected %.17g", actual->calibration,
                  expected->calibration);
}

/* -------------------------------------------------------------------------------------- helpers */

static home_metrics *create(size_t tasks) {
    home_metrics *metrics = NULL;
    REQUIRE(home_metrics_create(tasks, NULL, &metrics, NULL) == HOME_OK);
    return metrics;
}

static home_metric_result result_of(const home_metrics *metrics, size_t task) {
    home_metric_result result = {.struct_size = sizeof result};
    REQUIRE(home_metrics_result(metrics, task, &result, NULL) == HOME_OK);
    return result;
}

/* The figures of rows added at once as one task. */
static home_metric_result figures_of(const sample *s, bool with_users) {
    home_metrics *metrics = create(1);
    REQUIRE(home_metrics_add(metrics, s->rows, s->predictions, 0, s->labels, 0,
                             with_users ? s->users : NULL, NULL) == HOME_OK);
    const home_metric_result result = result_of(metrics, 0);
    home_metrics_destroy(metrics);
    return result;
}

typedef struct sample_shape {
    size_t rows;
    uint64_t users;
    unsigned levels; /* distinct predictions, so that there are ties */
    float positives;
    float missing;
    bool soft;
} sample_shape;

static void fill_sample(sample *s, const sample_shape *shape) {
    s->rows = shape->rows;
    for (size_t r = 0; r < s->rows; r++) {
        s->predictions[r] =
            (float)(random_bits(&seed) % shape->levels) / (float)(shape->levels - 1);
        s->labels[r] =
            shape->soft ? random_share() : (random_share() < shape->positives ? 1.0f : 0.0f);
        if (random_share() < shape->missing)
            s->labels[r] = NAN;
        s->users[r] = random_bits(&seed) % shape->users << 55; /* the high bits count */
    }
}

/* ---------------------------------------------------------------------------------------- cases */

static void figures_agree_with_their_definitions(void) {
    static const sample_shape shapes[] = {
        {1000, 30, 1u << 20, 0.3f, 0.0f, false}, {1000, 30, 5, 0.3f, 0.2f, false},
        {1000, 400, 50, 0.5f, 0.0f, false},      {1000, 7, 1000, 0.01f, 0.1f, false},
        {1000, 20, 100, 0.0f, 0.1f, true},       {300, 1, 2, 0.5f, 0.0f, false},
        {17, 3, 4, 0.5f, 0.3f, false},           {2, 1, 100, 0.5f, 0.0f, false},
    };
    static sample s;
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            fill_sample(&s, &shapes[i]);
            for (int with_users = 0; with_users < 2; with_users++) {
                const home_metric_result expected = slow_result(&s, with_users);
                const home_metric_result actual = figures_of(&s, with_users);
                check_result(&actual, &expected);
            }
        }
}

/* Figures small enough to do by hand. */
static void small_figures_are_those_by_hand(void) {
    const sample s = {.rows = 4,
                      .predictions = {0.125f, 0.5f, 0.5f, 0.75f},
                      .labels = {0.0f, 1.0f, 0.0f, 1.0f},
                      .users = {7, 7, 8, 8}};
    const home_metric_result result = figures_of(&s, true);
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
    home_metric_result result = figures_of(&s, true);
    CHECK(isnan(result.auc) && isnan(result.gauc) && isnan(result.calibration));
    CHECK(result.log_loss > 0.0);
    CHECK_INTEGER(result.gauc_users, 0);
    s.labels[0] = s.labels[1] = s.labels[2] = 1.0f;
    result = figures_of(&s, true);
    CHECK(isnan(result.auc) && isnan(result.gauc));
    CHECK_NEAR(result.calibration, 0.2, 1e-7);
    s.rows = 0;
    result = figures_of(&s, true);
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
    const home_metric_result result = figures_of(&s, true);
    CHECK(result.gauc == 0.0);
    CHECK_INTEGER(result.gauc_users, 1);
    CHECK_INTEGER(result.gauc_rows, 3);
    CHECK_INTEGER(result.rows, 6);
}

/* A label of 0.5 is no positive. */
static void a_label_of_a_half_is_no_positive(void) {
    const sample s = {
        .rows = 3, .predictions = {0.5f, 0.25f, 0.75f}, .labels = {0.5f, 0.75f, 0.25f}};
    const home_metric_result result = figures_of(&s, false);
    CHECK_INTEGER(result.positives, 1);
    CHECK(result.auc == 0.0);
    CHECK(result.calibration == 1.0);
    CHECK_NEAR(result.log_loss, -(log(0.5) + 1.5 * log(0.25) + 0.5 * log(0.75)) / 3, 1e-15);
}

/* -0 and 0 are the same prediction; 0 and 1 are clipped in the loss. */
static void predictions_at_their_limits_have_finite_losses(void) {
    sample s = {.rows = 2, .predictions = {-0.0f, 0.0f}, .labels = {1.0f, -0.0f}};
    home_metric_result result = figures_of(&s, false);
    CHECK(result.auc == 0.5);
    CHECK_NEAR(result.log_loss, -log(1e-15) / 2, 1e-6);
    s.predictions[1] = 1.0f;
    s.labels[0] = 0.0f;
    s.labels[1] = 1.0f;
    result = figures_of(&s, false);
    CHECK(result.auc == 1.0);
    CHECK(result.log_loss >= 0.0 && result.log_loss < 1.1e-15);
    s.labels[0] = 1.0f;
    s.labels[1] = 0.0f;
    result = figures_of(&s, false);
    CHECK(result.auc == 0.0);
    CHECK_NEAR(result.log_loss, -log(1e-15), 0.1);
    s.predictions[0] = FLT_TRUE_MIN;
    s.predictions[1] = FLT_TRUE_MIN * 2;
    result = figures_of(&s, false);
    CHECK(result.auc == 0.0); /* neighbours are no tie */
}

/* Tasks, strides and both kinds of rows in one accumulator. */
static void strides_and_tasks_are_kept_apart(void) {
    enum { ROWS = 200, TASKS = 3 };
    const size_t stride = 5;
    const size_t label_stride = 4;
    static float predictions[5 * ROWS];
    static float labels[4 * ROWS];
    static sample s[TASKS];
    const sample_shape shape = {ROWS, 9, 40, 0.4f, 0.1f, false};
    for (size_t i = 0; i < ROWS * stride; i++)
        predictions[i] = -1.0f; /* nothing but [rows, tasks] may be looked at */
    for (size_t t = 0; t < TASKS; t++) {
        fill_sample(&s[t], &shape);
        memcpy(s[t].users, s[0].users, sizeof s[0].users);
        for (size_t r = 0; r < ROWS; r++) {
            predictions[r * stride + t] = s[t].predictions[r];
            labels[r * label_stride + t] = s[t].labels[r];
        }
    }
    home_metrics *metrics = create(TASKS);
    CHECK_INTEGER(
        home_metrics_add(metrics, 150, predictions, stride, labels, label_stride, s[0].users, NULL),
        HOME_OK);
    CHECK_INTEGER(home_metrics_add(metrics, ROWS - 150, predictions + 150 * stride, stride,
                                   labels + 150 * label_stride, label_stride, NULL, NULL),
                  HOME_OK);
    for (size_t t = 0; t < TASKS; t++) {
        home_metric_result expected = slow_result(&s[t], false);
        s[t].rows = 150;
        const home_metric_result of_users = slow_result(&s[t], true);
        expected.gauc = of_users.gauc;
        expected.gauc_rows = of_users.gauc_rows;
        expected.gauc_users = of_users.gauc_users;
        const home_metric_result actual = result_of(metrics, t);
        check_result(&actual, &expected);
    }
    home_metrics_destroy(metrics);
}

/* The same rows in another order, in parts that are merged in another order: the same bytes. */
static void the_order_of_rows_and_merges_changes_no_byte(void) {
    enum { PARTS = 5 };
    static sample s;
    static sample shuffled;
    const sample_shape shape = {MAX_ROWS, 25, 300, 0.0f, 0.1f, true};
    fill_sample(&s, &shape);
    const home_metric_result expected = figures_of(&s, true);
    for (int round = 0; round < 10; round++) {
        shuffled = s;
        for (size_t r = s.rows; r-- > 1;) {
            const size_t other = (size_t)(random_bits(&seed) % (r + 1));
            const float prediction = shuffled.predictions[r];
            const float label = shuffled.labels[r];
            const uint64_t user = shuffled.users[r];
            shuffled.predictions[r] = shuffled.predictions[other];
            shuffled.labels[r] = shuffled.labels[other];
            shuffled.users[r] = shuffled.users[other];
            shuffled.predictions[other] = prediction;
            shuffled.labels[other] = label;
            shuffled.users[other] = user;
        }
        home_metrics *parts[PARTS];
        for (size_t p = 0; p < PARTS; p++) {
            const size_t begin = s.rows * p / PARTS;
            const size_t end = s.rows * (p + 1) / PARTS;
            parts[p] = create(1);
            REQUIRE(home_metrics_add(parts[p], end - begin, shuffled.predictions + begin, 0,
                                     shuffled.labels + begin, 0, shuffled.users + begin,
                                     NULL) == HOME_OK);
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
    const sample_shape shape = {50, 5, 10, 0.5f, 0.0f, false};
    fill_sample(&s, &shape);
    home_metrics *metrics = create(1);
    REQUIRE(home_metrics_add(metrics, s.rows, s.predictions, 0, s.labels, 0, s.users, NULL) ==
            HOME_OK);
    const home_metric_result once = result_of(metrics, 0);
    CHECK_INTEGER(home_metrics_merge(metrics, metrics, NULL), HOME_OK);
    const home_metric_result twice = result_of(metrics, 0);
    CHECK_INTEGER(twice.rows, 2 * once.rows);
    CHECK_INTEGER(twice.gauc_rows, 2 * once.gauc_rows);
    CHECK(twice.auc == once.auc && near(twice.gauc, once.gauc) &&
          near(twice.log_loss, once.log_loss));
    home_metrics_destroy(metrics);
}

/* An accumulator of two tasks that holds a row; bad calls must leave it as it was. */
typedef struct holding {
    home_metrics *metrics;
    home_metric_result before[2];
    home_error error;
} holding;

static const float good[] = {0.5f, 0.25f};
static const float label[] = {1.0f, 0.0f};

static void holding_begin(holding *h) {
    h->error = (home_error){.struct_size = sizeof h->error};
    h->metrics = create(2);
    REQUIRE(home_metrics_add(h->metrics, 1, good, 0, label, 0, NULL, NULL) == HOME_OK);
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
static home_status add_row(holding *h, const float *predictions, size_t stride, const float *labels,
                           size_t label_stride) {
    return home_metrics_add(h->metrics, 1, predictions, stride, labels, label_stride, NULL,
                            &h->error);
}

static void accumulators_of_no_or_too_many_tasks_are_refused(void) {
    home_error error = {.struct_size = sizeof error};
    home_metrics *metrics = NULL;
    CHECK_INTEGER(home_metrics_create(0, NULL, &metrics, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "tasks is 0");
    CHECK_INTEGER(home_metrics_create(1, NULL, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "metrics is NULL");
    CHECK_INTEGER(home_metrics_create(SIZE_MAX / 2, NULL, &metrics, &error), HOME_E_MEMORY);
    CHECK(metrics == NULL);
    home_metrics_destroy(NULL);
}

static void values_that_are_no_chances_are_refused_and_change_nothing(void) {
    holding h;
    holding_begin(&h);
    const float bad_values[] = {-0.1f, 1.1f, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad_values / sizeof bad_values[0]; i++) {
        const float bad[] = {0.5f, bad_values[i]};
        CHECK_INTEGER(add_row(&h, bad, 0, label, 0), HOME_E_VALUE);
        CHECK_CONTAINS(h.error.message, "predictions[0, 1] is ");
        CHECK_INTEGER(add_row(&h, good, 0, bad, 0), HOME_E_VALUE);
        CHECK_CONTAINS(h.error.message, "labels[0, 1] is ");
    }
    const float not_a_number[] = {0.5f, NAN};
    CHECK_INTEGER(add_row(&h, not_a_number, 0, label, 0), HOME_E_VALUE);
    holding_end(&h);
}

/* The second task's prediction is a squared error: it takes no part. */
static void a_prediction_without_a_label_may_be_anything(void) {
    holding h;
    holding_begin(&h);
    const float squared[] = {0.5f, -7.5f};
    const float missing[] = {0.5f, NAN};
    CHECK_INTEGER(add_row(&h, squared, 0, missing, 0), HOME_OK);
    CHECK_INTEGER(result_of(h.metrics, 0).rows, h.before[0].rows + 1);
    h.before[0] = result_of(h.metrics, 0);
    holding_end(&h);
}

static void bad_rows_name_what_is_wrong_and_change_nothing(void) {
    holding h;
    holding_begin(&h);
    CHECK_INTEGER(add_row(&h, good, 1, label, 0), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "prediction_stride is 1");
    CHECK_INTEGER(add_row(&h, good, 0, label, 1), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "label_stride is 1");
    CHECK_INTEGER(add_row(&h, NULL, 0, label, 0), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "predictions is NULL");
    CHECK_INTEGER(add_row(&h, good, 0, NULL, 0), HOME_E_ARGUMENT);
    CHECK_CONTAINS(h.error.message, "labels is NULL");
    CHECK_INTEGER(home_metrics_add(NULL, 1, good, 0, label, 0, NULL, &h.error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_metrics_add(h.metrics, SIZE_MAX / 2 + 1, good, 0, label, 0, NULL, &h.error),
                  HOME_E_TOO_LARGE);
    holding_end(&h);
}

static void adding_zero_rows_succeeds_and_changes_nothing(void) {
    holding h;
    holding_begin(&h);
    CHECK_INTEGER(home_metrics_add(h.metrics, 0, NULL, 0, NULL, 0, NULL, &h.error), HOME_OK);
    CHECK_INTEGER(home_metrics_add(h.metrics, 0, good, 0, label, 0, NULL, &h.error), HOME_OK);
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
    REQUIRE(home_metrics_add(metrics, 1, &one, 0, &one, 0, NULL, NULL) == HOME_OK);
    CHECK_INTEGER(home_metrics_result(metrics, 0, &result.known, NULL), HOME_OK);
    CHECK_INTEGER(result.known.rows, 1);
    CHECK_INTEGER(result.known.struct_size, sizeof result);
    CHECK_INTEGER(result.later, 42);
    home_metrics_destroy(metrics);
}

/* Everything the library does with metrics, until the first failure. Whatever an earlier call has
 * added must survive the failure of a later one. */
static home_status use_metrics(const home_allocator *allocator, const sample *s) {
    home_metrics *a = NULL;
    home_metrics *b = NULL;
    home_metric_result result = {.struct_size = sizeof result};
    home_error error = {.struct_size = sizeof error};
    home_status status = home_metrics_create(2, allocator, &a, &error);
    if (status == HOME_OK)
        status = home_metrics_create(2, allocator, &b, &error);
    if (status == HOME_OK)
        status = home_metrics_add(a, 10, s->predictions, 0, s->labels, 0, s->users, &error);
    if (status == HOME_OK)
        status = home_metrics_add(b, 200, s->predictions, 0, s->labels, 0, NULL, &error);
    if (status == HOME_OK)
        status = home_metrics_merge(a, b, &error);
    if (status == HOME_OK)
        status = home_metrics_result(a, 1, &result, &error);
    if (status != HOME_OK) {
        CHECK_INTEGER(status, HOME_E_MEMORY);
        CHECK_INTEGER(error.status, HOME_E_MEMORY);
        CHECK_INTEGER(result.rows, 0);
    } else {
        CHECK_INTEGER(result.rows, 210);
    }
    home_metrics_destroy(a);
    home_metrics_destroy(b);
    return status;
}

static void running_out_of_memory_leaks_nothing(void) {
    static sample s;
    const sample_shape shape = {400, 5, 10, 0.5f, 0.0f, false};
    fill_sample(&s, &shape);
    home_status status = HOME_E_MEMORY;
    long granted = 0;
    for (; status != HOME_OK && granted < 100; granted++) {
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        m.fail_at = granted;
        status = use_metrics(&allocator, &s);
        CHECK_INTEGER(m.live, 0);
    }
    CHECK_INTEGER(status, HOME_OK);
    CHECK(granted >= 12); /* four of create, two of each add, two of merge and of result */

    meter m;
    home_allocator half = meter_allocator(&m);
    half.release = NULL;
    home_metrics *metrics = NULL;
    CHECK_INTEGER(home_metrics_create(1, &half, &metrics, NULL), HOME_E_ARGUMENT);

    /* A merge that fails at its second task changes neither. */
    const home_allocator allocator = meter_allocator(&m);
    home_metrics *into = NULL;
    REQUIRE(home_metrics_create(2, &allocator, &into, NULL) == HOME_OK);
    REQUIRE(home_metrics_add(into, 10, s.predictions, 0, s.labels, 0, s.users, NULL) == HOME_OK);
    home_metrics *from = create(2);
    REQUIRE(home_metrics_add(from, 200, s.predictions, 0, s.labels, 0, s.users, NULL) == HOME_OK);
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
    RUN(small_figures_are_those_by_hand);
    RUN(figures_that_are_not_defined_are_nan);
    RUN(users_of_one_class_are_left_out);
    RUN(a_label_of_a_half_is_no_positive);
    RUN(predictions_at_their_limits_have_finite_losses);
    RUN(strides_and_tasks_are_kept_apart);
    RUN(the_order_of_rows_and_merges_changes_no_byte);
    RUN(merging_with_itself_doubles_the_rows);
    RUN(accumulators_of_no_or_too_many_tasks_are_refused);
    RUN(values_that_are_no_chances_are_refused_and_change_nothing);
    RUN(a_prediction_without_a_label_may_be_anything);
    RUN(bad_rows_name_what_is_wrong_and_change_nothing);
    RUN(adding_zero_rows_succeeds_and_changes_nothing);
    RUN(merging_what_does_not_fit_is_refused_and_changes_nothing);
    RUN(bad_questions_for_a_result_are_refused);
    RUN(a_larger_result_struct_is_filled_as_far_as_known);
    RUN(running_out_of_memory_leaks_nothing);
    return test_summary();
}
