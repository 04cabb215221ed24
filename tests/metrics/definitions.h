/* The metrics by their definitions, the slow way, in double precision; and samples to compute them
 * of. */
#ifndef TESTS_METRICS_DEFINITIONS_H
#define TESTS_METRICS_DEFINITIONS_H

#include "home/home.h"
#include "test.h"
#include "unit/fixture.h"

/* -------------------------------------------------------------------------------------- samples */

/* Rows of one task. */
enum { MAX_ROWS = 1000 };
typedef struct sample {
    size_t rows;
    float predictions[MAX_ROWS];
    float labels[MAX_ROWS];
    float weights[MAX_ROWS];
    uint64_t users[MAX_ROWS];
} sample;

static inline float random_share(uint64_t *seed) {
    return (float)(random_bits(seed) >> 40) / 16777216.0f;
}

typedef struct sample_shape {
    size_t rows;
    uint64_t users;
    unsigned user_shift; /* which bits of their numbers count */
    unsigned levels;     /* distinct predictions, so that there are ties */
    float positives;
    float missing;
    float nobody; /* rows without a user */
    bool soft;
    bool weighted;
} sample_shape;

static inline void fill_sample(sample *s, const sample_shape *shape, uint64_t *seed) {
    s->rows = shape->rows;
    for (size_t r = 0; r < s->rows; r++) {
        s->predictions[r] = (float)(random_bits(seed) % shape->levels) / (float)(shape->levels - 1);
        s->labels[r] = shape->soft ? random_share(seed)
                                   : (random_share(seed) < shape->positives ? 1.0f : 0.0f);
        if (random_share(seed) < shape->missing)
            s->labels[r] = NAN;
        s->weights[r] = 1;
        if (shape->weighted)
            s->weights[r] = random_share(seed) < 0.1f ? 0 : 10 * random_share(seed);
        s->users[r] = random_share(seed) < shape->nobody
                          ? HOME_NO_USER
                          : random_bits(seed) % shape->users << shape->user_shift;
    }
}

/* ---------------------------------------------------------------------------------- definitions */

static inline bool counts(const sample *s, size_t row) {
    return !isnan(s->labels[row]) && s->weights[row] > 0;
}

/* Weighs pairs, over the rows of one user, or over all where user is NULL. */
static inline double slow_auc(const sample *s, const uint64_t *user) {
    double right = 0.0;
    double pairs = 0.0;
    for (size_t p = 0; p < s->rows; p++)
        for (size_t n = 0; n < s->rows; n++) {
            if (user && (s->users[p] != *user || s->users[n] != *user))
                continue;
            if (!counts(s, p) || !counts(s, n) || s->labels[p] <= 0.5f || s->labels[n] > 0.5f)
                continue;
            const double pair = (double)s->weights[p] * (double)s->weights[n];
            pairs += pair;
            if (s->predictions[p] > s->predictions[n])
                right += pair;
            else if (s->predictions[p] == s->predictions[n])
                right += pair / 2;
        }
    return pairs > 0.0 ? right / pairs : (double)NAN;
}

/* Of a user's first row: all rows of that user. Of another: nothing. */
static inline void add_user_of(const sample *s, size_t row, home_metric_result *result,
                               double *weight) {
    uint64_t rows = 0;
    double of_user = 0;
    if (s->users[row] == HOME_NO_USER)
        return;
    for (size_t q = 0; q < s->rows; q++)
        if (s->users[q] == s->users[row] && counts(s, q)) {
            if (q < row)
                return;
            rows++;
            of_user += (double)s->weights[q];
        }
    const double auc = slow_auc(s, &s->users[row]);
    if (isnan(auc))
        return;
    result->gauc += auc * of_user;
    result->gauc_rows += rows;
    result->gauc_users++;
    *weight += of_user;
}

static inline home_metric_result slow_result(const sample *s, bool squared) {
    home_metric_result result = {.struct_size = sizeof result};
    double losses = 0.0;
    double distances = 0.0;
    double predictions = 0.0;
    double labels = 0.0;
    double of_users = 0.0;
    for (size_t r = 0; r < s->rows; r++) {
        if (!counts(s, r))
            continue;
        const double w = (double)s->weights[r];
        const double y = (double)s->labels[r];
        const double p = (double)s->predictions[r];
        const double clipped = fmin(fmax(p, 1e-15), 1.0 - 1e-15);
        result.rows++;
        result.no_user_rows += s->users[r] == HOME_NO_USER;
        result.positives += !squared && s->labels[r] > 0.5f;
        result.weight += w;
        predictions += w * p;
        labels += w * y;
        distances += w * fabs(p - y);
        losses +=
            squared ? w * (p - y) * (p - y) : -w * (y * log(clipped) + (1.0 - y) * log1p(-clipped));
        if (!squared)
            add_user_of(s, r, &result, &of_users);
    }
    const double nothing = (double)NAN;
    const double loss = result.rows ? losses / result.weight : nothing;
    result.mean_prediction = result.rows ? predictions / result.weight : nothing;
    result.mean_label = result.rows ? labels / result.weight : nothing;
    result.calibration = labels > 0.0 ? predictions / labels : nothing;
    result.log_loss = squared ? nothing : loss;
    result.rmse = squared ? sqrt(loss) : nothing;
    result.mae = squared && result.rows ? distances / result.weight : nothing;
    result.auc = squared ? nothing : slow_auc(s, NULL);
    result.auc_error = isnan(result.auc) ? nothing : 0;
    result.gauc = result.gauc_users ? result.gauc / of_users : nothing;
    result.gauc_error = result.gauc_users ? 0 : nothing;
    result.gauc_share = squared ? nothing : 1;
    return result;
}

/* ---------------------------------------------------------------------------------- comparisons */

static inline bool near(double actual, double expected) {
    return (isnan(actual) && isnan(expected)) ||
           fabs(actual - expected) <= 1e-12 * fmax(1.0, fabs(expected));
}

static inline void check_figure(const char *name, double actual, double expected) {
    if (!near(actual, expected))
        test_fail(__FILE__, __LINE__, "%s is %.17g, expected %.17g", name, actual, expected);
}

static inline void check_result(const home_metric_result *actual,
                                const home_metric_result *expected) {
    CHECK_INTEGER(actual->rows, expected->rows);
    CHECK_INTEGER(actual->no_user_rows, expected->no_user_rows);
    CHECK_INTEGER(actual->positives, expected->positives);
    CHECK_INTEGER(actual->gauc_users, expected->gauc_users);
    CHECK_INTEGER(actual->gauc_rows, expected->gauc_rows);
    check_figure("weight", actual->weight, expected->weight);
    check_figure("mean_prediction", actual->mean_prediction, expected->mean_prediction);
    check_figure("mean_label", actual->mean_label, expected->mean_label);
    check_figure("calibration", actual->calibration, expected->calibration);
    check_figure("log_loss", actual->log_loss, expected->log_loss);
    check_figure("auc", actual->auc, expected->auc);
    check_figure("auc_error", actual->auc_error, expected->auc_error);
    check_figure("gauc", actual->gauc, expected->gauc);
    check_figure("gauc_error", actual->gauc_error, expected->gauc_error);
    check_figure("gauc_share", actual->gauc_share, expected->gauc_share);
    check_figure("rmse", actual->rmse, expected->rmse);
    check_figure("mae", actual->mae, expected->mae);
}

/* --------------------------------------------------------------------------------- accumulators */

static inline home_metrics *create_with(size_t tasks, const int32_t *losses, size_t max_bytes) {
    const home_metrics_options options = {
        .struct_size = sizeof options, .tasks = tasks, .losses = losses, .max_bytes = max_bytes};
    home_metrics *metrics = NULL;
    REQUIRE(home_metrics_create(&options, &metrics, NULL) == HOME_OK);
    return metrics;
}

static inline home_metric_result result_of(const home_metrics *metrics, size_t task) {
    home_metric_result result = {.struct_size = sizeof result};
    REQUIRE(home_metrics_result(metrics, task, &result, NULL) == HOME_OK);
    return result;
}

/* Rows of a sample for an accumulator of one task. */
static inline home_metrics_rows rows_from(const sample *s, size_t first, size_t count) {
    return (home_metrics_rows){.struct_size = sizeof(home_metrics_rows),
                               .rows = count,
                               .predictions = s->predictions + first,
                               .labels = s->labels + first,
                               .users = s->users + first,
                               .row_weights = s->weights + first};
}

static inline void add_rows(home_metrics *metrics, const sample *s, size_t first, size_t count) {
    const home_metrics_rows rows = rows_from(s, first, count);
    REQUIRE(home_metrics_add(metrics, &rows, NULL) == HOME_OK);
}

#endif
