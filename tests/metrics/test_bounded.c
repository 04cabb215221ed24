/* Metrics in bounded memory: what they state about their own errors holds against exact ones. */
#include "metrics/definitions.h"

static uint64_t seed = 7;

static bool is_quick(void) {
    return getenv("TEST_QUICK") != NULL;
}

/* ----------------------------------------------------------------------------------------- rows */

/* Rows of traffic. */
typedef struct log_rows {
    size_t rows;
    float *predictions;
    float *labels;
    float *weights;
    uint64_t *users;
} log_rows;

static log_rows make_log(size_t rows) {
    const log_rows made = {rows, malloc(rows * sizeof(float)), malloc(rows * sizeof(float)),
                           malloc(rows * sizeof(float)), malloc(rows * sizeof(uint64_t))};
    REQUIRE(made.predictions && made.labels && made.weights && made.users);
    return made;
}

static void free_log(log_rows *log) {
    free(log->predictions);
    free(log->labels);
    free(log->weights);
    free(log->users);
}

static double random_normal(void) {
    const double pi = 3.14159265358979323846;
    return sqrt(-2 * log(random_between(&seed, 1e-300, 1))) *
           cos(2 * pi * random_between(&seed, 0, 1));
}

/* Clicks with log odds around `mean`; users differ in their numbers of rows and in how well their
 * clicks are predicted. */
static log_rows simulate(size_t rows, uint64_t users, double mean, bool weighted) {
    log_rows log = make_log(rows);
    const uint64_t first_user = random_bits(&seed) >> 1; /* another sample for each log */
    for (size_t r = 0; r < rows; r++) {
        const double skew = random_between(&seed, 0, 1);
        const uint64_t user = (uint64_t)(skew * skew * (double)users);
        const double odds = mean + 1.5 * random_normal();
        const double noise = (double)(user % 7) / 3;
        log.predictions[r] = (float)(1 / (1 + exp(-(odds + noise * random_normal()))));
        log.labels[r] = random_between(&seed, 0, 1) < 1 / (1 + exp(-odds)) ? 1.0f : 0.0f;
        log.users[r] = random_between(&seed, 0, 1) < 0.1 ? HOME_NO_USER : first_user + user;
        log.weights[r] = weighted ? (float)random_between(&seed, 0.1, 10) : 1.0f;
    }
    return log;
}

static void add_log(home_metrics *to, const log_rows *log, size_t first, size_t count) {
    const home_metrics_rows rows = {.struct_size = sizeof rows,
                                    .rows = count,
                                    .predictions = log->predictions + first,
                                    .labels = log->labels + first,
                                    .users = log->users + first,
                                    .row_weights = log->weights + first};
    REQUIRE(home_metrics_add(to, &rows, NULL) == HOME_OK);
}

static home_metric_result figures_of(const log_rows *log, size_t max_bytes) {
    home_metrics *metrics = create_with(1, NULL, max_bytes);
    add_log(metrics, log, 0, log->rows);
    const home_metric_result result = result_of(metrics, 0);
    home_metrics_destroy(metrics);
    return result;
}

/* All but AUC and GAUC is the same; AUC is where it is said to be. */
static void check_bounds(const home_metric_result *bounded, const home_metric_result *exact) {
    home_metric_result rest = *bounded;
    rest.auc = exact->auc;
    rest.auc_error = exact->auc_error;
    rest.gauc = exact->gauc;
    rest.gauc_error = exact->gauc_error;
    rest.gauc_share = exact->gauc_share;
    rest.gauc_users = exact->gauc_users;
    rest.gauc_rows = exact->gauc_rows;
    CHECK_BYTES(&rest, exact, sizeof rest);
    CHECK(exact->auc_error == 0 || isnan(exact->auc));
    if (!(fabs(bounded->auc - exact->auc) <= bounded->auc_error + 1e-12))
        test_fail(__FILE__, __LINE__, "auc is %.12g, expected %.12g within %.3g", bounded->auc,
                  exact->auc, bounded->auc_error);
}

/* ---------------------------------------------------------------------------------------- cases */

static void what_fits_is_exact(void) {
    static sample s;
    const sample_shape shape = {MAX_ROWS, 25, 55, 300, 0.3f, 0.1f, 0.1f, false, true};
    fill_sample(&s, &shape, &seed);
    home_metrics *exact = create_with(1, NULL, 0);
    home_metrics *bounded = create_with(1, NULL, 100000);
    add_rows(exact, &s, 0, s.rows);
    add_rows(bounded, &s, 0, s.rows);
    const home_metric_result expected = result_of(exact, 0);
    const home_metric_result actual = result_of(bounded, 0);
    CHECK_BYTES(&actual, &expected, sizeof actual);
    home_metrics_destroy(exact);
    home_metrics_destroy(bounded);
}

/* Production sizes: a million rows, of rare and of common clicks; docs/metrics.md has what it
 * prints. */
static void auc_is_within_its_error(void) {
    static const struct {
        size_t max_bytes;
        double max_error;
    } cases[] = {{100000, 0.01}, {1 << 20, 2e-3}, {8 << 20, 2e-4}};
    const size_t rows = is_quick() ? 100000 : 1000000;
    for (int rare = 0; rare < 2; rare++) {
        log_rows log = simulate(rows, rows / 50, rare ? -5 : 0, rare == 1);
        const home_metric_result exact = figures_of(&log, 0);
        for (size_t i = 0; i < (is_quick() ? 2 : 3); i++) { /* 100000 rows fit in 8 MB */
            const home_metric_result bounded = figures_of(&log, cases[i].max_bytes);
            check_bounds(&bounded, &exact);
            CHECK(bounded.auc_error > 0 && bounded.auc_error < cases[i].max_error);
            CHECK(bounded.gauc_share < 1 && bounded.gauc_users < exact.gauc_users);
            if (!is_quick())
                printf("%s clicks, %zu KB: auc off by %.0e, stated %.0e; gauc off by %.4f, stated "
                       "%.4f\n",
                       rare ? "rare" : "common", cases[i].max_bytes / 1000,
                       fabs(bounded.auc - exact.auc), bounded.auc_error,
                       fabs(bounded.gauc - exact.gauc), bounded.gauc_error);
        }
        free_log(&log);
    }
}

/* Any bits that are a number in [0, 1]; their order is that of the bins. */
static void predictions_of_any_size_find_their_bins(void) {
    log_rows log = make_log(60000);
    static const uint32_t edges[] = {0,          1,          0x007fffff, 0x00800000,
                                     0x2fffffff, 0x30000000, 0x30000001, 0x3effffff,
                                     0x3f000000, 0x3f000001, 0x3f7fffff, 0x3f800000};
    for (size_t r = 0; r < log.rows; r++) {
        const uint32_t bits = r < 12 ? edges[r] : (uint32_t)(random_bits(&seed) % 0x3f800001u);
        memcpy(&log.predictions[r], &bits, sizeof bits);
        /* The higher, the likelier, without noise at the ends. */
        log.labels[r] = bits > 0x3f000000u - 0x100u * (uint32_t)(random_bits(&seed) % 3) ? 1 : 0;
        log.users[r] = r;
        log.weights[r] = 1;
    }
    const home_metric_result exact = figures_of(&log, 0);
    for (size_t max_bytes = 80000; max_bytes < 4000000; max_bytes *= 3) {
        const home_metric_result bounded = figures_of(&log, max_bytes);
        check_bounds(&bounded, &exact);
        CHECK(bounded.gauc_users == 0 && isnan(bounded.gauc) && isnan(bounded.gauc_error));
    }
    free_log(&log);
}

/* A bin with a single prediction hides no order: models with few leaves, or with none. */
static void few_distinct_predictions_are_exact(void) {
    log_rows log = simulate(50000, 1000, 0, false);
    for (size_t r = 0; r < log.rows; r++)
        log.predictions[r] = floorf(log.predictions[r] * 10) / 10;
    const home_metric_result exact = figures_of(&log, 0);
    const home_metric_result bounded = figures_of(&log, 80000);
    check_bounds(&bounded, &exact);
    CHECK(bounded.auc_error == 0);
    free_log(&log);
}

/* Parts in any order, merged in memory or as bytes: the same bytes, where no weights are given. */
static void the_order_of_rows_and_merges_changes_no_byte(void) {
    enum { PARTS = 6, ROWS = 30000, MAX_BYTES = 150000 };
    log_rows log = simulate(ROWS, 500, -1, false);
    const home_metric_result expected = figures_of(&log, MAX_BYTES);
    CHECK(expected.gauc_share < 1 && expected.auc_error > 0);
    for (size_t round = 0; round < 8; round++) {
        home_metrics *parts[PARTS];
        size_t first = 0;
        for (size_t p = 0; p < PARTS; p++) { /* uneven: some fit, some do not */
            const size_t end = p + 1 == PARTS ? ROWS : first + (size_t)(random_bits(&seed) % 9000);
            parts[p] = create_with(1, NULL, MAX_BYTES);
            add_log(parts[p], &log, first, (end < ROWS ? end : ROWS) - first);
            first = end < ROWS ? end : ROWS;
        }
        for (size_t step = 1; step < PARTS; step++) {
            home_metrics *into = parts[round % PARTS];
            home_metrics *from = parts[(round + step) % PARTS];
            if (step % 2) {
                REQUIRE(home_metrics_merge(into, from, NULL) == HOME_OK);
                continue;
            }
            size_t length;
            REQUIRE(home_metrics_serialize(from, NULL, 0, &length, NULL) == HOME_OK);
            void *bytes = malloc(length);
            REQUIRE(bytes && home_metrics_serialize(from, bytes, length, &length, NULL) == HOME_OK);
            REQUIRE(home_metrics_merge_bytes(into, bytes, length, NULL) == HOME_OK);
            free(bytes);
        }
        const home_metric_result actual = result_of(parts[round % PARTS], 0);
        CHECK_BYTES(&actual, &expected, sizeof actual);
        for (size_t p = 0; p < PARTS; p++)
            home_metrics_destroy(parts[p]);
    }
    free_log(&log);
}

static void merging_with_itself_is_adding_twice(void) {
    static const size_t counts[] = {500, 1000, 1500, 3000, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        log_rows log = simulate(counts[i], 60, 0, false);
        home_metrics *twice = create_with(1, NULL, 100000);
        home_metrics *doubled = create_with(1, NULL, 100000);
        add_log(twice, &log, 0, log.rows);
        add_log(twice, &log, 0, log.rows);
        add_log(doubled, &log, 0, log.rows);
        REQUIRE(home_metrics_merge(doubled, doubled, NULL) == HOME_OK);
        const home_metric_result expected = result_of(twice, 0);
        const home_metric_result actual = result_of(doubled, 0);
        CHECK_BYTES(&actual, &expected, sizeof actual);
        home_metrics_destroy(twice);
        home_metrics_destroy(doubled);
        free_log(&log);
    }
}

/* The coarser of two histograms, into either; and one that keeps all rows into one that does not.
 */
static void accumulators_of_different_sizes_merge(void) {
    static const size_t sizes[] = {0, 80000, 400000, 3000000};
    log_rows log = simulate(is_quick() ? 30000 : 200000, 3000, -2, true);
    const home_metric_result exact = figures_of(&log, 0);
    for (size_t a = 1; a < 4; a++)
        for (size_t b = 0; b < 4; b++) {
            home_metrics *into = create_with(1, NULL, sizes[a]);
            home_metrics *from = create_with(1, NULL, sizes[b]);
            add_log(into, &log, 0, log.rows / 3);
            add_log(from, &log, log.rows / 3, log.rows - log.rows / 3);
            REQUIRE(home_metrics_merge(into, from, NULL) == HOME_OK);
            const home_metric_result merged = result_of(into, 0);
            const home_metric_result coarser =
                figures_of(&log, sizes[b] && sizes[b] < sizes[a] ? sizes[b] : sizes[a]);
            check_bounds(&merged, &exact);
            CHECK(near(merged.auc, coarser.auc) && near(merged.auc_error, coarser.auc_error));
            CHECK(fabs(merged.gauc - exact.gauc) <= 5 * merged.gauc_error + 1e-12);
            home_metrics_destroy(into);
            home_metrics_destroy(from);
        }
    free_log(&log);
}

/* Users who are not sampled are counted in AUC, and those who are with all their rows: the error of
 * many logs, in standard errors, is about normal. */
static void gauc_is_within_a_few_standard_errors(void) {
    const int logs = is_quick() ? 30 : 100;
    double squares = 0;
    double sum = 0;
    for (int i = 0; i < logs; i++) {
        log_rows log = simulate(10000, 800, 0, i % 2);
        const home_metric_result exact = figures_of(&log, 0);
        const home_metric_result bounded = figures_of(&log, 150000);
        CHECK(bounded.gauc_share == 0.25 || bounded.gauc_share == 0.125);
        const double off = (bounded.gauc - exact.gauc) / bounded.gauc_error;
        CHECK(fabs(off) < 5);
        squares += off * off;
        sum += off;
        free_log(&log);
    }
    CHECK_NEAR(sum / logs, 0, 4 / sqrt(logs));
    CHECK_NEAR(sqrt(squares / logs), 1, is_quick() ? 0.4 : 0.25);
}

/* Sampled are users whose hash begins with enough zero bits, which home_hash_id() tells; they have
 * all their rows, and the error is by its formula. */
static void the_sample_is_that_of_the_hash(void) {
    enum { LOG_ROWS = 6000 };
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    for (int weighted = 0; weighted < 2; weighted++) {
        log_rows log = simulate(LOG_ROWS, 400, 0, weighted);
        const home_metric_result bounded = figures_of(&log, 80000);
        const uint64_t one_in = (uint64_t)(1 / bounded.gauc_share);
        static sample s;
        s.rows = 0;
        for (size_t r = 0; r < log.rows; r++) {
            const uint64_t user = log.users[r];
            if (user == HOME_NO_USER || home_hash_id(user + golden, one_in) != 0)
                continue;
            REQUIRE(s.rows < MAX_ROWS);
            s.predictions[s.rows] = log.predictions[r];
            s.labels[s.rows] = log.labels[r];
            s.weights[s.rows] = log.weights[r];
            s.users[s.rows++] = user;
        }
        const home_metric_result expected = slow_result(&s, false);
        CHECK(one_in >= 4 && near(bounded.gauc, expected.gauc));
        CHECK_INTEGER(bounded.gauc_users, expected.gauc_users);
        CHECK_INTEGER(bounded.gauc_rows, expected.gauc_rows);
        double squares = 0;
        double all = 0;
        for (size_t r = 0; r < s.rows; r++) {
            home_metric_result of_user = {.struct_size = sizeof of_user};
            double weight = 0;
            add_user_of(&s, r, &of_user, &weight);
            if (of_user.gauc_users == 0)
                continue;
            squares += pow(of_user.gauc - weight * expected.gauc, 2);
            all += weight;
        }
        const double n = (double)expected.gauc_users;
        const double q = 1 / (double)one_in;
        CHECK(near(bounded.gauc_error, sqrt((1 - q) * n / (n - 1) * squares) / all));
        free_log(&log);
    }
}

/* A user whose rows do not fit is sampled like others until then. The last one has the hash 0, and
 * would be in every sample: that of no user has a share of 0. */
static void a_user_with_too_many_rows_is_left_out(void) {
    static const uint64_t users[] = {0, 5, 0 - 0x9e3779b97f4a7c15u};
    log_rows log = simulate(10000, 100, 0, false);
    for (size_t i = 0; i < 3; i++) {
        for (size_t r = 0; r < log.rows; r++)
            log.users[r] = users[i];
        const home_metric_result alone = figures_of(&log, 80000);
        CHECK(isnan(alone.gauc) && isnan(alone.gauc_error) && alone.gauc_users == 0);
        CHECK(alone.gauc_share >= 0 && alone.gauc_share < 1 && alone.auc > 0.5);
        CHECK((alone.gauc_share == 0) == (i == 2));
        home_metrics *part = create_with(1, NULL, 80000);
        home_metrics *all = create_with(1, NULL, 80000);
        add_log(part, &log, 0, 1000);
        add_log(all, &log, 1000, log.rows - 1000);
        REQUIRE(home_metrics_merge(part, all, NULL) == HOME_OK);
        const home_metric_result merged = result_of(part, 0);
        CHECK_BYTES(&merged, &alone, sizeof merged);
        home_metrics_destroy(part);
        home_metrics_destroy(all);
    }
    free_log(&log);
}

/* --------------------------------------------------------------------------------------- memory */

/* An allocator that knows how many bytes are out. */
typedef struct tally {
    size_t live;
    size_t most;
} tally;

static void *take(void *user, size_t bytes) {
    tally *t = user;
    size_t *block = malloc(bytes + 16);
    if (!block)
        return NULL;
    *block = bytes;
    t->live += bytes;
    t->most = t->live > t->most ? t->live : t->most;
    return (char *)block + 16;
}

static void give_back(void *user, void *memory) {
    tally *t = user;
    size_t *block = (size_t *)(void *)((char *)memory - 16);
    t->live -= *block;
    free(block);
}

/* No more bytes than allowed, results included; and not much less. */
static void memory_stays_in_its_bounds(void) {
    static const int32_t losses[] = {HOME_LOSS_BCE, HOME_LOSS_SQUARED, HOME_LOSS_BCE};
    for (size_t max_bytes = 200000; max_bytes < 20000000; max_bytes *= 7) {
        tally t = {0};
        const home_allocator allocator = {
            .struct_size = sizeof allocator, .user = &t, .allocate = take, .release = give_back};
        const home_metrics_options options = {.struct_size = sizeof options,
                                              .tasks = 3,
                                              .losses = losses,
                                              .max_bytes = max_bytes,
                                              .allocator = &allocator};
        home_metrics *metrics = NULL;
        REQUIRE(home_metrics_create(&options, &metrics, NULL) == HOME_OK);
        const size_t made = t.live;
        for (size_t r = 0; r < (is_quick() ? 20000 : 100000); r += 100) {
            float predictions[300];
            float labels[300];
            uint64_t users[100];
            for (size_t i = 0; i < 300; i++) {
                predictions[i] = random_share(&seed);
                labels[i] = random_share(&seed) < predictions[i] ? 1.0f : 0.0f;
                users[i / 3] = r + i / 10;
            }
            const home_metrics_rows rows = {.struct_size = sizeof rows,
                                            .rows = 100,
                                            .predictions = predictions,
                                            .labels = labels,
                                            .users = users};
            REQUIRE(home_metrics_add(metrics, &rows, NULL) == HOME_OK);
        }
        CHECK_INTEGER(t.live, made);
        for (size_t task = 0; task < 3; task++)
            result_of(metrics, task);
        CHECK(t.most <= max_bytes);
        CHECK(t.live == made && made > max_bytes / 3);
        home_metrics_destroy(metrics);
        CHECK_INTEGER(t.live, 0);
    }
}

/* One user's rows around what the sample has room for, which is as much as all rows have: merging
 * must drop them at the same row as adding. */
static void the_last_row_that_fits_is_kept(void) {
    const size_t least = 75000;
    log_rows nobody = simulate(3000, 10, 0, false);
    log_rows user = simulate(3000, 10, 0, false);
    for (size_t r = 0; r < 3000; r++) {
        nobody.users[r] = HOME_NO_USER;
        user.users[r] = 1;
    }
    home_metrics *probe = create_with(1, NULL, least);
    size_t room = 0;
    for (; !(result_of(probe, 0).auc_error > 0); room++)
        add_log(probe, &user, room, 1);
    room--; /* the last row did not fit */
    CHECK(room > 1000 && room < 2000);
    for (size_t count = room - 1; count <= room + 1; count++) {
        home_metrics *added = create_with(1, NULL, least);
        home_metrics *merged = create_with(1, NULL, least);
        home_metrics *part = create_with(1, NULL, least);
        add_log(added, &nobody, 0, 3000);
        add_log(merged, &nobody, 0, 3000);
        add_log(added, &user, 0, count);
        add_log(merged, &user, 0, 900);
        add_log(part, &user, 900, count - 900);
        REQUIRE(home_metrics_merge(merged, part, NULL) == HOME_OK);
        const home_metric_result expected = result_of(added, 0);
        const home_metric_result actual = result_of(merged, 0);
        CHECK_BYTES(&actual, &expected, sizeof actual);
        CHECK_INTEGER(actual.gauc_rows, count <= room ? count : 0);
        home_metrics_destroy(added);
        home_metrics_destroy(merged);
        home_metrics_destroy(part);
    }
    home_metrics_destroy(probe);
    free_log(&nobody);
    free_log(&user);
}

/* So many rows fit, and no more. */
static void check_room(home_metrics *metrics, size_t rows) {
    log_rows log = simulate(rows + 1, 50, 0, false);
    add_log(metrics, &log, 0, rows);
    CHECK(result_of(metrics, 0).auc_error == 0);
    add_log(metrics, &log, rows, 1);
    CHECK(result_of(metrics, 0).auc_error > 0);
    free_log(&log);
}

/* The message names the smallest that is enough. */
static void too_few_bytes_are_refused(void) {
    home_error error = {.struct_size = sizeof error};
    home_metrics_options options = {.struct_size = sizeof options, .tasks = 1, .max_bytes = 1};
    home_metrics *metrics = NULL;
    for (options.tasks = 1; options.tasks <= 1000; options.tasks *= 10) {
        options.max_bytes = 1;
        CHECK_INTEGER(home_metrics_create(&options, &metrics, &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "options.max_bytes is 1, expected 0 or at least ");
        const char *number = strstr(error.message, "at least ");
        REQUIRE(number);
        const size_t least = (size_t)strtoull(number + 9, NULL, 10);
        CHECK(least < 80000 * options.tasks); /* as home.h says */
        options.max_bytes = least - 1;
        CHECK_INTEGER(home_metrics_create(&options, &metrics, &error), HOME_E_ARGUMENT);
        options.max_bytes = least;
        CHECK_INTEGER(home_metrics_create(&options, &metrics, &error), HOME_OK);
        if (options.tasks == 1)
            check_room(metrics, 1024);
        home_metrics_destroy(metrics);
        metrics = NULL;
    }
}

/* One that keeps all rows does not take one that no longer has them. */
static void what_has_lost_rows_is_refused_by_one_that_keeps_them(void) {
    home_error error = {.struct_size = sizeof error};
    log_rows log = simulate(5000, 60, 0, false);
    home_metrics *into = create_with(1, NULL, 0);
    home_metrics *from = create_with(1, NULL, 80000);
    add_log(into, &log, 0, 100);
    add_log(from, &log, 0, 500);
    CHECK_INTEGER(home_metrics_merge(into, from, &error), HOME_OK); /* it still has them */
    add_log(from, &log, 0, log.rows);
    const home_metric_result before = result_of(into, 0);
    CHECK_INTEGER(home_metrics_merge(into, from, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "task 0 no longer has all its rows");
    size_t length;
    REQUIRE(home_metrics_serialize(from, NULL, 0, &length, NULL) == HOME_OK);
    void *bytes = malloc(length);
    REQUIRE(bytes && home_metrics_serialize(from, bytes, length, &length, NULL) == HOME_OK);
    CHECK_INTEGER(home_metrics_merge_bytes(into, bytes, length, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "max_bytes");
    free(bytes);
    const home_metric_result after = result_of(into, 0);
    CHECK_BYTES(&after, &before, sizeof after);
    home_metrics_destroy(into);
    home_metrics_destroy(from);
    free_log(&log);
}

int main(void) {
    RUN(what_fits_is_exact);
    RUN(auc_is_within_its_error);
    RUN(predictions_of_any_size_find_their_bins);
    RUN(few_distinct_predictions_are_exact);
    RUN(the_order_of_rows_and_merges_changes_no_byte);
    RUN(merging_with_itself_is_adding_twice);
    RUN(accumulators_of_different_sizes_merge);
    RUN(gauc_is_within_a_few_standard_errors);
    RUN(the_sample_is_that_of_the_hash);
    RUN(a_user_with_too_many_rows_is_left_out);
    RUN(memory_stays_in_its_bounds);
    RUN(the_last_row_that_fits_is_kept);
    RUN(too_few_bytes_are_refused);
    RUN(what_has_lost_rows_is_refused_by_one_that_keeps_them);
    return test_summary();
}
