/* What AUC and GAUC of one binary task need of its rows: the rows themselves or, where memory is
 * bounded and full, a histogram of the predictions and the rows of a sample of the users. */
#ifndef HOME_RANKING_H
#define HOME_RANKING_H

#include "../host/memory.h"
#include "bytes.h"

#include <string.h>

/* A label that was not missing. */
typedef struct homerecord {
    uint64_t user;
    /* From the top: the bits of the prediction, one that says positive, those of the weight. The
     * numbers are not below +0, so their bits have the order of their values: sorted by key,
     * records are sorted by prediction. Two with the same user and key count the same, so sums in
     * this order do not depend on that in which records came. */
    uint64_t key;
} homerecord;

static inline uint32_t homerecord_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float homerecord_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* prediction: [0, 1]; weight: above 0. */
static inline homerecord homerecord_make(uint64_t user, float prediction, bool positive,
                                         float weight) {
    const uint64_t first = homerecord_bits(prediction + 0.0f); /* -0 -> 0 */
    const uint32_t rest = (positive ? 1u << 31 : 0) | homerecord_bits(weight);
    return (homerecord){user, first << 32 | rest};
}

static inline float homerecord_prediction(homerecord record) {
    return homerecord_float((uint32_t)(record.key >> 32));
}

static inline bool homerecord_is_positive(homerecord record) {
    return record.key >> 31 & 1;
}

static inline float homerecord_weight(homerecord record) {
    return homerecord_float((uint32_t)record.key & 0x7fffffffu);
}

/* Weights of labels whose predictions lie near each other. */
typedef struct homeranking_bin {
    double positives;
    double negatives;
    uint32_t only; /* 1 + the bits of their one prediction, or HOMERANKING_MIXED; 0: an empty bin */
} homeranking_bin;
#define HOMERANKING_MIXED UINT32_MAX

/* A bin is a number of bits of the mantissa wide: 2^bits bins between p and 2 p, and mirrored above
 * 1/2. So bins are fine on the scale of log odds, and two of them are one bin with fewer bits. */
enum {
    HOMERANKING_MIN_BITS = 4,
    HOMERANKING_MAX_BITS = 14,
    HOMERANKING_OCTAVES = 30, /* below 1/2; nearer to 0 and to 1 there is one bin each */
    HOMERANKING_ALL_LEVELS = 64
};

static inline size_t homeranking_bin_count(unsigned bits) {
    return ((size_t)2 * HOMERANKING_OCTAVES << bits) + 3;
}

typedef struct homeranking {
    homerecord *records;
    size_t count;
    size_t capacity;
    homeranking_bin *bins; /* NULL where memory is not bounded */
    unsigned bits;
    bool binned; /* all rows are in the bins, and the records are those of sampled users */
    /* Sampled are users whose hash begins with so many zero bits: one in 2^level, none at
     * HOMERANKING_ALL_LEVELS. It is the lowest level whose records fit, so it does not depend on
     * the order of the rows. */
    unsigned level;
} homeranking;

/* Room for so many records more; always there where memory is bounded. */
bool homeranking_reserve(const home_allocator *allocator, homeranking *ranking, size_t more);

void homeranking_reset(homeranking *ranking, unsigned bits);
void homeranking_add(homeranking *ranking, homerecord record); /* there is room */

/* The bin of a prediction, and whether the records of a user are kept at a level. */
size_t homeranking_bin_of(float prediction, unsigned bits);
bool homeranking_is_sampled(uint64_t user, unsigned level);

/* What a ranking holds, in memory or as bytes. */
typedef struct homeranking_view {
    bool binned;
    unsigned bits;
    unsigned level;
    size_t record_count;
    size_t bin_count;
    const homeranking *held; /* or NULL, and then: */
    const unsigned char *records;
    const unsigned char *bins;
} homeranking_view;

homeranking_view homeranking_view_of(const homeranking *ranking);
homerecord homeranking_view_record(const homeranking_view *view, size_t i);

/* Entry i of the view's bins; *number is the bin's. */
homeranking_bin homeranking_view_bin(const homeranking_view *view, size_t i, size_t *number);

/* There is room, and bins where `from` has some. The view may be of the same ranking. */
void homeranking_merge(homeranking *into, const homeranking_view *from);

/* How many rows a ranking was made from. */
typedef struct homeranking_counts {
    uint64_t rows;
    uint64_t no_user_rows;
    uint64_t positives;
} homeranking_counts;

/* A view of bytes makes the reader fail where they are not those of a ranking of so many rows. */
enum { HOMERANKING_RECORD_BYTES = 16, HOMERANKING_BIN_BYTES = 24 };
void homeranking_put(homebytes_writer *out, const homeranking *ranking);
homeranking_view homeranking_get(homebytes_reader *in, const homeranking_counts *counts);

/* Fills in auc, gauc and what belongs to them. HOME_E_MEMORY. */
home_status homeranking_figures(const homeranking *ranking, const home_allocator *allocator,
                                home_metric_result *result, home_error *error);

#endif
