/* AUC and GAUC, from rows or from bins and a sample. */
#include "../base/fail.h"
#include "../host/sort.h"
#include "exact.h"
#include "ranking.h"
#include "ratio.h"

#include <math.h>
#include <stddef.h>

/* ------------------------------------------------------------------------------------------ AUC */

/* Walks up the predictions. Of the negatives below and the pairs so far: weights of a pair are
 * multiplied. */
typedef struct auc_walk {
    double positives;
    double negatives;
    homeexact right; /* pairs in the right order, ties by half */
    homeexact mixed; /* pairs within bins whose predictions differ */
} auc_walk;

/* All that have the next prediction, or lie in the next bin. */
static void take_bin(auc_walk *walk, const homeranking_bin *bin) {
    const double pairs = bin->positives * bin->negatives;
    homeexact_add(&walk->right, bin->positives * walk->negatives);
    homeexact_add(&walk->right, pairs / 2);
    if (bin->only == HOMERANKING_MIXED)
        homeexact_add(&walk->mixed, pairs);
    walk->positives += bin->positives;
    walk->negatives += bin->negatives;
}

/* NaN where there is no pair. */
static double auc_of(const auc_walk *walk) {
    const double pairs = walk->positives * walk->negatives;
    return homeratio(fmin(homeexact_value(&walk->right), pairs), pairs); /* both are rounded */
}

/* Over records sorted by prediction. */
static auc_walk walk_records(const homerecord *sorted, size_t count) {
    auc_walk walk = {.positives = 0};
    for (size_t i = 0; i < count;) {
        const float prediction = homerecord_prediction(sorted[i]);
        homeranking_bin tied = {.only = 1}; /* they differ in nothing */
        for (; i < count && homerecord_prediction(sorted[i]) == prediction; i++)
            if (homerecord_is_positive(sorted[i]))
                tied.positives += (double)homerecord_weight(sorted[i]);
            else
                tied.negatives += (double)homerecord_weight(sorted[i]);
        take_bin(&walk, &tied);
    }
    return walk;
}

static auc_walk walk_bins(const homeranking *ranking) {
    auc_walk walk = {.positives = 0};
    const size_t count = homeranking_bin_count(ranking->bits);
    for (size_t i = 0; i < count; i++)
        if (ranking->bins[i].only != 0)
            take_bin(&walk, &ranking->bins[i]);
    return walk;
}

/* ----------------------------------------------------------------------------------------- GAUC */

/* A user's rows among records sorted by user, then prediction. */
typedef struct user_rows {
    size_t end;
    double weight;
    double auc; /* NaN: it does not count */
} user_rows;

static user_rows rows_from(const homerecord *sorted, size_t count, size_t begin) {
    user_rows user = {.end = begin, .auc = (double)NAN};
    for (; user.end < count && sorted[user.end].user == sorted[begin].user; user.end++)
        user.weight += (double)homerecord_weight(sorted[user.end]);
    if (sorted[begin].user != HOME_NO_USER) {
        const auc_walk walk = walk_records(sorted + begin, user.end - begin);
        user.auc = auc_of(&walk);
    }
    return user;
}

/* Users are sampled with a chance of q each, and g = sum w a / sum w over those sampled. Its
 * standard error, from the residuals e = w (a - g) of n users (Cochran, "Sampling techniques",
 * 1977, chapter 6):
 *
 *     sqrt((1 - q) n / (n - 1) sum e^2) / sum w */
static double sampling_error(const homerecord *sorted, size_t count,
                             const home_metric_result *result, double weight) {
    double squares = 0;
    user_rows user;
    if (result->gauc_users < 2)
        return (double)NAN;
    for (size_t begin = 0; begin < count; begin = user.end) {
        user = rows_from(sorted, count, begin);
        const double apart = isnan(user.auc) ? 0 : user.weight * (user.auc - result->gauc);
        squares += apart * apart;
    }
    const double users = (double)result->gauc_users;
    return sqrt((1 - result->gauc_share) * users / (users - 1) * squares) / weight;
}

static void fill_gauc(const homerecord *sorted, size_t count, home_metric_result *result) {
    double weight = 0;
    double weighted = 0;
    user_rows user;
    for (size_t begin = 0; begin < count; begin = user.end) {
        user = rows_from(sorted, count, begin);
        if (isnan(user.auc))
            continue;
        weight += user.weight;
        weighted += user.weight * user.auc;
        result->gauc_rows += user.end - begin;
        result->gauc_users++;
    }
    result->gauc = homeratio(weighted, weight);
    if (result->gauc_share < 1)
        result->gauc_error = sampling_error(sorted, count, result, weight);
    else
        result->gauc_error = isnan(result->gauc) ? (double)NAN : 0;
}

/* ---------------------------------------------------------------------------------------- whole */

static void fill_auc(const auc_walk *walk, home_metric_result *result) {
    result->auc = auc_of(walk);
    result->auc_error =
        homeratio(homeexact_value(&walk->mixed) / 2, walk->positives * walk->negatives);
}

/* Sorting returns the array that holds the result. */
static homerecord *sort_by(size_t key, homerecord *items, homerecord *spare, size_t count) {
    return homesort_by_key(items, spare, count, sizeof *items, key, UINT64_MAX);
}

home_status homeranking_figures(const homeranking *ranking, const home_allocator *allocator,
                                home_metric_result *result, home_error *error) {
    const size_t count = ranking->count;
    homerecord *items = homememory_allocate(allocator, count, 2 * sizeof *items);
    if (!items)
        return homefail_memory(error);
    if (count) /* memcpy may not be given NULL */
        memcpy(items, ranking->records, count * sizeof *items);
    homerecord *by_key = sort_by(offsetof(homerecord, key), items, items + count, count);
    const auc_walk walk = ranking->binned ? walk_bins(ranking) : walk_records(by_key, count);
    fill_auc(&walk, result);
    homerecord *other = by_key == items ? items + count : items;
    result->gauc_share =
        ranking->level < HOMERANKING_ALL_LEVELS ? ldexp(1, -(int)ranking->level) : 0;
    fill_gauc(sort_by(offsetof(homerecord, user), by_key, other, count), count, result);
    homememory_free(allocator, items);
    return HOME_OK;
}
