/* Rows that are kept, binned, sampled and merged. */
#include "ranking.h"

#include "../base/hash.h"
#include "../base/little_endian.h"

#include <string.h>

void homeranking_reset(homeranking *ranking, unsigned bits) {
    ranking->count = 0;
    ranking->binned = false;
    ranking->level = 0;
    ranking->bits = bits;
    if (ranking->bins)
        memset(ranking->bins, 0, homeranking_bin_count(bits) * sizeof *ranking->bins);
}

bool homeranking_reserve(const home_allocator *allocator, homeranking *ranking, size_t more) {
    size_t needed;
    void *items = ranking->records;
    if (ranking->bins)
        return true;
    if (!homesize_add(ranking->count, more, &needed) ||
        !homememory_grow(allocator, &items, &ranking->capacity, needed, sizeof *ranking->records))
        return false;
    ranking->records = items;
    return true;
}

/* ----------------------------------------------------------------------------------------- bins */

/* How far a prediction is from the nearer of 0 and 1 decides, counted in steps of the mantissa; one
 * minus a number of at least 1/2 is exact. */
size_t homeranking_bin_of(float prediction, unsigned bits) {
    const bool upper = prediction >= 0.5f;
    const uint32_t half = 126; /* its exponent's bits */
    const uint32_t lowest = (half - HOMERANKING_OCTAVES) << bits;
    const uint32_t step = homerecord_bits(upper ? 1.0f - prediction : prediction) >> (23 - bits);
    const size_t distance = step < lowest ? 0 : step - lowest + 1;
    return upper ? homeranking_bin_count(bits) - 1 - distance : distance;
}

/* The bin of `to_bits` that holds a bin of `bits`. */
static size_t coarser_bin(size_t bin, unsigned bits, unsigned to_bits) {
    const size_t last = homeranking_bin_count(bits) - 1;
    const bool upper = bin > last / 2 - 1;
    const size_t distance = upper ? last - bin : bin;
    const size_t coarser = distance == 0 ? 0 : ((distance - 1) >> (bits - to_bits)) + 1;
    return upper ? homeranking_bin_count(to_bits) - 1 - coarser : coarser;
}

static void join_bins(homeranking_bin *into, homeranking_bin from) {
    if (from.only == 0)
        return;
    if (into->only == 0)
        into->only = from.only;
    else if (into->only != from.only)
        into->only = HOMERANKING_MIXED;
    into->positives += from.positives;
    into->negatives += from.negatives;
}

static homeranking_bin bin_with(homerecord record) {
    const double weight = homerecord_weight(record);
    const bool positive = homerecord_is_positive(record);
    return (homeranking_bin){.positives = positive ? weight : 0,
                             .negatives = positive ? 0 : weight,
                             .only = homerecord_bits(homerecord_prediction(record)) + 1};
}

static void add_to_bins(homeranking *ranking, homerecord record) {
    join_bins(&ranking->bins[homeranking_bin_of(homerecord_prediction(record), ranking->bits)],
              bin_with(record));
}

/* In place, as a bin never moves up. */
static void coarsen(homeranking *ranking, unsigned bits) {
    const size_t count = homeranking_bin_count(ranking->bits);
    for (size_t i = 0; i < count && bits < ranking->bits; i++) {
        const homeranking_bin bin = ranking->bins[i];
        ranking->bins[i] = (homeranking_bin){.only = 0};
        join_bins(&ranking->bins[coarser_bin(i, ranking->bits, bits)], bin);
    }
    ranking->bits = bits;
}

/* --------------------------------------------------------------------------------------- sample */

/* The lowest level at which a user's rows are left out. */
static unsigned end_level(uint64_t user) {
    const uint64_t golden = 0x9e3779b97f4a7c15u; /* the hash of 0 is 0, and 0 a likely user */
    const uint64_t hash = homehash_mix64(user + golden);
    unsigned zeros = 0;
    if (user == HOME_NO_USER)
        return 0;
    while (zeros < HOMERANKING_ALL_LEVELS - 1 && hash >> (63 - zeros) == 0)
        zeros++;
    return zeros + 1;
}

bool homeranking_is_sampled(uint64_t user, unsigned level) {
    return level < end_level(user);
}

/* Forgets the records of users who are not sampled at this level. */
static void raise_level(homeranking *ranking, unsigned level) {
    size_t kept = 0;
    for (size_t i = 0; i < ranking->count; i++)
        if (homeranking_is_sampled(ranking->records[i].user, level))
            ranking->records[kept++] = ranking->records[i];
    ranking->count = kept;
    ranking->level = level;
}

/* From rows to bins and a sample. */
static void fill_bins(homeranking *ranking) {
    ranking->binned = true;
    for (size_t i = 0; i < ranking->count; i++)
        add_to_bins(ranking, ranking->records[i]);
    raise_level(ranking, 0);
}

/* Whether a record is to be kept, where memory is bounded; there is room for it then. */
static bool make_room(homeranking *ranking, homerecord record) {
    if (!ranking->binned && ranking->count == ranking->capacity)
        fill_bins(ranking);
    if (!ranking->binned)
        return true;
    add_to_bins(ranking, record);
    while (ranking->count == ranking->capacity &&
           homeranking_is_sampled(record.user, ranking->level))
        raise_level(ranking, ranking->level + 1);
    return homeranking_is_sampled(record.user, ranking->level);
}

void homeranking_add(homeranking *ranking, homerecord record) {
    if (!ranking->bins || make_room(ranking, record))
        ranking->records[ranking->count++] = record;
}

/* ---------------------------------------------------------------------------------------- views */

homeranking_view homeranking_view_of(const homeranking *ranking) {
    return (homeranking_view){.binned = ranking->binned,
                              .bits = ranking->bits,
                              .level = ranking->level,
                              .record_count = ranking->count,
                              .bin_count =
                                  ranking->binned ? homeranking_bin_count(ranking->bits) : 0,
                              .held = ranking};
}

homerecord homeranking_view_record(const homeranking_view *view, size_t i) {
    if (view->held)
        return view->held->records[i];
    const unsigned char *at = view->records + i * HOMERANKING_RECORD_BYTES;
    return (homerecord){homelittle_get(at, 8), homelittle_get(at + 8, 8)};
}

/* Entry i of the list; *number is the bin's. */
homeranking_bin homeranking_view_bin(const homeranking_view *view, size_t i, size_t *number) {
    *number = i;
    if (view->held)
        return view->held->bins[i];
    const unsigned char *at = view->bins + i * HOMERANKING_BIN_BYTES;
    *number = (size_t)homelittle_get(at, 4);
    return (homeranking_bin){.positives = homelittle_get_double(at + 8),
                             .negatives = homelittle_get_double(at + 16),
                             .only = (uint32_t)homelittle_get(at + 4, 4)};
}

/* -------------------------------------------------------------------------------------- merging */

/* The lowest level, from `level` on, at which the records of both fit into the first. */
static unsigned common_level(const homeranking *into, const homeranking_view *from,
                             unsigned level) {
    size_t ends[HOMERANKING_ALL_LEVELS + 1] = {0};
    for (size_t i = 0; i < into->count; i++)
        ends[end_level(into->records[i].user)]++;
    for (size_t i = 0; i < from->record_count; i++)
        ends[end_level(homeranking_view_record(from, i).user)]++;
    size_t left = 0;
    for (unsigned l = level; l < HOMERANKING_ALL_LEVELS; l++)
        left += ends[l + 1];
    for (; left > into->capacity; level++)
        left -= ends[level + 1];
    return level;
}

/* Rows or bins of `from` to the bins of `into`. */
static void merge_bins(homeranking *into, const homeranking_view *from) {
    if (!from->binned)
        for (size_t i = 0; i < from->record_count; i++)
            add_to_bins(into, homeranking_view_record(from, i));
    else if (from->bits < into->bits)
        coarsen(into, from->bits);
    for (size_t i = 0; i < from->bin_count; i++) {
        size_t number;
        const homeranking_bin bin = homeranking_view_bin(from, i, &number);
        join_bins(&into->bins[coarser_bin(number, from->bits, into->bits)], bin);
    }
}

static void merge_records(homeranking *into, const homeranking_view *from) {
    for (size_t i = 0; i < from->record_count; i++) {
        const homerecord record = homeranking_view_record(from, i);
        if (!into->binned || homeranking_is_sampled(record.user, into->level))
            into->records[into->count++] = record;
    }
}

/* The two may be of the same ranking: so `from` is looked at anew where `into` has changed. */
static void merge_bounded(homeranking *into, homeranking_view *from) {
    if (!into->binned && (from->binned || from->record_count > into->capacity - into->count)) {
        fill_bins(into);
        if (from->held == into)
            *from = homeranking_view_of(into);
    }
    if (!into->binned)
        return;
    merge_bins(into, from);
    raise_level(into,
                common_level(into, from, into->level > from->level ? into->level : from->level));
    if (from->held == into)
        from->record_count = into->count;
}

void homeranking_merge(homeranking *into, const homeranking_view *given) {
    homeranking_view from = *given;
    if (into->bins)
        merge_bounded(into, &from);
    merge_records(into, &from);
}
