/* Rankings as bytes:
 *
 *     bits (0: all rows are there), level       32 bits each
 *     numbers of records and of bins            64 bits each
 *     records: user, key                        64 bits each
 *     bins: number, only                        32 bits each
 *           positives, negatives                doubles
 *
 * Bins that are empty are left out. */
#include "ranking.h"

#include <math.h>

static bool is_empty(const homeranking_bin *bin) {
    return bin->only == 0;
}

void homeranking_put(homebytes_writer *out, const homeranking *ranking) {
    const size_t bin_count = homeranking_view_of(ranking).bin_count;
    uint64_t filled = 0;
    for (size_t i = 0; i < bin_count; i++)
        filled += !is_empty(&ranking->bins[i]);
    homebytes_put_32(out, ranking->binned ? ranking->bits : 0);
    homebytes_put_32(out, ranking->level);
    homebytes_put_64(out, ranking->count);
    homebytes_put_64(out, filled);
    for (size_t i = 0; i < ranking->count; i++) {
        homebytes_put_64(out, ranking->records[i].user);
        homebytes_put_64(out, ranking->records[i].key);
    }
    for (size_t i = 0; i < bin_count; i++) {
        const homeranking_bin *bin = &ranking->bins[i];
        if (is_empty(bin))
            continue;
        homebytes_put_32(out, (uint32_t)i);
        homebytes_put_32(out, bin->only);
        homebytes_put_double(out, bin->positives);
        homebytes_put_double(out, bin->negatives);
    }
}

/* All rows are there, and are what the counts say. */
static bool are_all_rows(const homeranking_view *view, const homeranking_counts *counts) {
    uint64_t no_user_rows = 0;
    uint64_t positives = 0;
    for (size_t i = 0; i < view->record_count; i++) {
        const homerecord record = homeranking_view_record(view, i);
        no_user_rows += record.user == HOME_NO_USER;
        positives += homerecord_is_positive(record);
    }
    return view->record_count == counts->rows && no_user_rows == counts->no_user_rows &&
           positives == counts->positives;
}

static bool are_sampled(const homeranking_view *view) {
    for (size_t i = 0; i < view->record_count; i++)
        if (!homeranking_is_sampled(homeranking_view_record(view, i).user, view->level))
            return false;
    return true;
}

/* The prediction is not above 1, the weight finite and above 0. */
static bool is_record(homerecord record) {
    const uint32_t weight = (uint32_t)record.key & 0x7fffffffu;
    return record.key >> 32 <= homerecord_bits(1.0f) && weight > 0 &&
           weight < homerecord_bits(INFINITY);
}

static bool are_records(const homeranking_view *view) {
    for (size_t i = 0; i < view->record_count; i++)
        if (!is_record(homeranking_view_record(view, i)))
            return false;
    return true;
}

/* A sum of weights of up to 2^53 rows. */
static bool is_weight_sum(double sum) {
    return sum == 0 || (sum >= ldexp(1, -149) && sum <= ldexp(1, 53 + 128)); /* false for NaN */
}

/* In ascending order, none empty, predictions where they belong. */
static bool are_bins(const homeranking_view *view) {
    size_t next = 0;
    for (size_t i = 0; i < view->bin_count; i++) {
        size_t number;
        const homeranking_bin bin = homeranking_view_bin(view, i, &number);
        if (number < next || number >= homeranking_bin_count(view->bits))
            return false;
        if (!is_weight_sum(bin.positives) || !is_weight_sum(bin.negatives) ||
            bin.positives + bin.negatives == 0)
            return false;
        if (bin.only != HOMERANKING_MIXED &&
            (bin.only == 0 || bin.only - 1 > homerecord_bits(1.0f) ||
             homeranking_bin_of(homerecord_float(bin.only - 1), view->bits) != number))
            return false;
        next = number + 1;
    }
    return true;
}

static bool is_sound_view(const homeranking_view *view, const homeranking_counts *counts) {
    if (!are_records(view))
        return false;
    if (!view->binned)
        return view->level == 0 && view->bin_count == 0 && are_all_rows(view, counts);
    return view->bits >= HOMERANKING_MIN_BITS && view->bits <= HOMERANKING_MAX_BITS &&
           view->level <= HOMERANKING_ALL_LEVELS &&
           view->record_count <= counts->rows - counts->no_user_rows &&
           view->bin_count <= counts->rows && are_sampled(view) && are_bins(view);
}

homeranking_view homeranking_get(homebytes_reader *in, const homeranking_counts *counts) {
    homeranking_view view = {.bits = homebytes_get_32(in)};
    view.level = homebytes_get_32(in);
    const uint64_t records = homebytes_get_64(in);
    const uint64_t bins = homebytes_get_64(in);
    view.binned = view.bits != 0;
    view.records = homebytes_skip(in, records, HOMERANKING_RECORD_BYTES);
    view.bins = homebytes_skip(in, bins, HOMERANKING_BIN_BYTES);
    if (in->failed)
        return view;
    view.record_count = (size_t)records;
    view.bin_count = (size_t)bins;
    in->failed = !is_sound_view(&view, counts);
    return view;
}
