/* Metrics as bytes: they merge as their accumulators do, and whatever is not what was written is
 * refused. */
#include "metrics/definitions.h"
#include "metrics/frames.h"

static uint64_t seed = 11;

/* --------------------------------------------------------------------------------- accumulators */

static const int32_t losses[] = {HOME_LOSS_SQUARED, HOME_LOSS_BCE};

/* Rows of a task with a squared error and of a binary one. */
static void add_random_rows(home_metrics *to, size_t count) {
    for (size_t r = 0; r < count; r++) {
        const float predictions[] = {10 * random_share(&seed) - 5, random_share(&seed)};
        float labels[] = {10 * random_share(&seed) - 5, random_share(&seed) < 0.5f ? 1.0f : 0.0f};
        const uint64_t user = r % 5 == 0 ? HOME_NO_USER : r % 37;
        const float weight = r % 3 == 0 ? 2.5f : 1.0f;
        if (r % 11 == 0)
            labels[r % 2] = NAN;
        const home_metrics_rows row = {.struct_size = sizeof row,
                                       .rows = 1,
                                       .predictions = predictions,
                                       .labels = labels,
                                       .users = &user,
                                       .row_weights = &weight};
        REQUIRE(home_metrics_add(to, &row, NULL) == HOME_OK);
    }
}

enum { ROWS = 60, BOUND = 100000, MANY_ROWS = 4000 };

/* One that keeps all rows, or one that no longer does. */
static home_metrics *make(bool binned) {
    home_metrics *made = create_with(2, losses, binned ? BOUND : 0);
    add_random_rows(made, binned ? MANY_ROWS : ROWS);
    return made;
}

static frame bytes_of(const home_metrics *metrics) {
    size_t length;
    size_t again;
    REQUIRE(home_metrics_serialize(metrics, NULL, 0, &length, NULL) == HOME_OK);
    const frame made = frame_new(length);
    REQUIRE(home_metrics_serialize(metrics, made.bytes, length, &again, NULL) == HOME_OK);
    REQUIRE(again == length);
    return made;
}

static frame make_bytes(bool binned) {
    home_metrics *metrics = make(binned);
    const frame made = bytes_of(metrics);
    home_metrics_destroy(metrics);
    return made;
}

/* Which status the bytes get, of an accumulator in bounded memory that they must not change then.
 */
static home_status merge(const frame *bytes, home_error *error) {
    static home_metrics *into;
    static frame before;
    if (!into) {
        into = create_with(2, losses, BOUND);
        add_random_rows(into, 20);
        before = bytes_of(into);
    }
    *error = (home_error){.struct_size = sizeof *error};
    const home_status status = home_metrics_merge_bytes(into, bytes->bytes, bytes->size, error);
    if (status != HOME_OK) {
        CHECK_INTEGER(error->status, status);
        frame after = bytes_of(into);
        CHECK(after.size == before.size);
        CHECK_BYTES(after.bytes, before.bytes, before.size);
        free(after.bytes);
    } else {
        home_metrics_destroy(into);
        into = create_with(2, losses, BOUND);
        REQUIRE(home_metrics_merge_bytes(into, before.bytes, before.size, NULL) == HOME_OK);
    }
    return status;
}

/* --------------------------------------------------------------------------------------- places */

/* The form as lib/metrics/metrics.c and ranking_bytes.c describe it; numbers are offsets. */
enum {
    TASKS_AT = FRAME_HEADER,
    TASK_AT = TASKS_AT + 4,
    LOSS = 0,
    ROWS_OF = 4,
    NO_USER_ROWS = 12,
    POSITIVES = 20,
    WEIGHT = 28,
    SUM_SIZE = 128,
    PREDICTIONS = WEIGHT + SUM_SIZE,
    LABELS = PREDICTIONS + SUM_SIZE,
    LOSSES = LABELS + SUM_SIZE,
    DISTANCES = LOSSES + SUM_SIZE,
    TASK_SIZE = DISTANCES + SUM_SIZE,
    /* of the second task */
    BINARY_AT = TASK_AT + TASK_SIZE,
    BITS_AT = BINARY_AT + TASK_SIZE,
    LEVEL_AT = BITS_AT + 4,
    RECORDS_AT = LEVEL_AT + 4,
    BINS_AT = RECORDS_AT + 8,
    FIRST_RECORD = BINS_AT + 8,
    RECORD_SIZE = 16,
    BIN_SIZE = 24
};

static size_t first_bin(const frame *f) {
    return FIRST_RECORD + RECORD_SIZE * (size_t)frame_get(f, RECORDS_AT, 8);
}

/* Two's complement, 1024 bits; the first 512 are of a fraction. */
static void put_sum(frame *f, size_t at, int64_t value) {
    for (size_t i = 0; i < SUM_SIZE / 4; i++)
        frame_put(f, at + 4 * i, i < 16 || value >= 0 ? 0 : UINT32_MAX, 4);
    frame_put(f, at + 64, (uint64_t)value, 8);
}

/* Takes bytes [at, at + size) out. */
static void cut(frame *f, size_t at, size_t size) {
    memmove(f->bytes + at, f->bytes + at + size, f->size - at - size);
    f->size -= size;
}

/* ---------------------------------------------------------------------------------------- cases */

static void bytes_merge_as_their_accumulator_does(void) {
    for (int binned = 0; binned < 2; binned++)
        for (int offset = 0; offset < 3; offset++) {
            home_metrics *from = make(binned);
            home_metrics *a = create_with(2, losses, binned ? BOUND : 0);
            home_metrics *b = create_with(2, losses, binned ? BOUND : 0);
            seed += 5;
            const uint64_t start = seed;
            add_random_rows(a, 30);
            seed = start;
            add_random_rows(b, 30);
            frame bytes = bytes_of(from);
            unsigned char *moved = malloc(bytes.size + 3); /* at any alignment */
            REQUIRE(moved);
            memcpy(moved + offset, bytes.bytes, bytes.size);
            REQUIRE(home_metrics_merge(a, from, NULL) == HOME_OK);
            REQUIRE(home_metrics_merge_bytes(b, moved + offset, bytes.size, NULL) == HOME_OK);
            for (size_t t = 0; t < 2; t++) {
                const home_metric_result in_memory = result_of(a, t);
                const home_metric_result as_bytes = result_of(b, t);
                CHECK_BYTES(&as_bytes, &in_memory, sizeof as_bytes);
            }
            frame of_a = bytes_of(a);
            frame of_b = bytes_of(b);
            CHECK(of_a.size == of_b.size);
            CHECK_BYTES(of_b.bytes, of_a.bytes, of_a.size);
            free(of_a.bytes);
            free(of_b.bytes);
            free(bytes.bytes);
            free(moved);
            home_metrics_destroy(from);
            home_metrics_destroy(a);
            home_metrics_destroy(b);
        }
}

/* The same on every machine: read here by shifts. */
static void the_form_is_the_one_described(void) {
    frame f = make_bytes(false);
    CHECK(memcmp(f.bytes, "HOMEMETR", 8) == 0);
    CHECK_INTEGER(frame_get(&f, 8, 4), 1);
    CHECK_INTEGER(frame_get(&f, FRAME_SIZE, 8), f.size);
    CHECK_INTEGER(frame_get(&f, TASKS_AT, 4), 2);
    CHECK_INTEGER(frame_get(&f, TASK_AT + LOSS, 4), HOME_LOSS_SQUARED);
    CHECK_INTEGER(frame_get(&f, BINARY_AT + LOSS, 4), HOME_LOSS_BCE);
    const uint64_t rows = frame_get(&f, BINARY_AT + ROWS_OF, 8);
    CHECK_INTEGER(rows, ROWS - 3);
    CHECK_INTEGER(frame_get(&f, RECORDS_AT, 8), rows);
    CHECK_INTEGER(f.size, FIRST_RECORD + rows * RECORD_SIZE);
    /* 60 rows of weight 1, 20 of them of 2.5, three of them without a label. */
    home_metrics *metrics = create_with(2, losses, 0);
    REQUIRE(home_metrics_merge_bytes(metrics, f.bytes, f.size, NULL) == HOME_OK);
    const double weight = result_of(metrics, 1).weight;
    const double digits = (double)frame_get(&f, BINARY_AT + WEIGHT + 60, 4) / 4294967296.0 +
                          (double)frame_get(&f, BINARY_AT + WEIGHT + 64, 4);
    CHECK(weight == digits);
    home_metrics_destroy(metrics);
    free(f.bytes);
}

/* Which bin a prediction is in, as home.h says nothing of it, but other machines rely on it. */
static void bins_are_those_described(void) {
    static const uint32_t bits_of[] = {0,          0x2fffffff, 0x30000000, 0x30800000, 0x3effffff,
                                       0x3f000000, 0x3f000001, 0x3f7fffff, 0x3f800000};
    enum { COUNT = sizeof bits_of / sizeof bits_of[0] };
    home_metrics *metrics = create_with(2, losses, BOUND);
    for (size_t i = 0; i < (size_t)500 * COUNT; i++) {
        float predictions[2] = {0, 0};
        const float labels[2] = {NAN, 1};
        memcpy(&predictions[1], &bits_of[i % COUNT], sizeof(float));
        const home_metrics_rows row = {
            .struct_size = sizeof row, .rows = 1, .predictions = predictions, .labels = labels};
        REQUIRE(home_metrics_add(metrics, &row, NULL) == HOME_OK);
    }
    frame f = bytes_of(metrics);
    const uint64_t bits = frame_get(&f, BITS_AT, 4);
    const uint64_t octave = (uint64_t)1 << bits;
    const uint64_t last = 60 * octave + 2;
    const uint64_t half = 30 * octave + 1;
    const uint64_t bins[COUNT] = {0, 0, 1, 1 + octave, half - 1, half, half + 1, 0, last};
    size_t at = FIRST_RECORD;
    CHECK_INTEGER(frame_get(&f, RECORDS_AT, 8), 0);
    CHECK_INTEGER(frame_get(&f, BINS_AT, 8), COUNT - 1);
    for (size_t i = 1; i < COUNT; i++, at += BIN_SIZE) {
        const bool first = i == 1; /* two predictions */
        const uint64_t only = first ? UINT32_MAX : (uint64_t)bits_of[i] + 1;
        if (i == 7) /* 1 - 2^-24: six octaves from the end */
            CHECK_INTEGER(frame_get(&f, at, 4), last - (1 + 7 * octave));
        else
            CHECK_INTEGER(frame_get(&f, at, 4), bins[i]);
        CHECK_INTEGER(frame_get(&f, at + 4, 4), only);
        CHECK(frame_get_double(&f, at + 8) == (first ? 1000 : 500));
        CHECK(frame_get_double(&f, at + 16) == 0);
    }
    home_error error;
    CHECK_INTEGER(merge(&f, &error), HOME_OK);
    free(f.bytes);
    home_metrics_destroy(metrics);
}

static void bad_calls_are_refused(void) {
    home_error error = {.struct_size = sizeof error};
    home_metrics *metrics = make(false);
    frame f = bytes_of(metrics);
    size_t length = 0;
    CHECK_INTEGER(home_metrics_serialize(NULL, f.bytes, f.size, &length, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "metrics is NULL");
    CHECK_INTEGER(home_metrics_serialize(metrics, f.bytes, f.size, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "length is NULL");
    frame untouched = frame_copy(&f);
    CHECK_INTEGER(home_metrics_serialize(metrics, f.bytes, f.size - 1, &length, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "capacity is ");
    CHECK_INTEGER(length, f.size);
    CHECK_BYTES(f.bytes, untouched.bytes, f.size);
    CHECK_INTEGER(home_metrics_merge_bytes(NULL, f.bytes, f.size, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "into is NULL");
    CHECK_INTEGER(home_metrics_merge_bytes(metrics, NULL, f.size, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "bytes is NULL");
    home_metrics_destroy(metrics);
    free(untouched.bytes);
    free(f.bytes);
}

/* Every length, as it is and put into its frame again. */
static void parts_of_the_bytes_are_refused(void) {
    for (int binned = 0; binned < 2; binned++) {
        frame f = make_bytes(binned);
        home_error error;
        CHECK_INTEGER(merge(&f, &error), HOME_OK);
        const size_t step = binned ? 97 : 1;
        for (size_t size = 0; size < f.size; size += step) {
            frame part = {f.bytes, size};
            CHECK_INTEGER(merge(&part, &error), HOME_E_FORMAT);
            if (size < FRAME_HEADER)
                continue;
            part = frame_copy(&part);
            frame_seal(&part);
            CHECK_INTEGER(merge(&part, &error), HOME_E_FORMAT);
            free(part.bytes);
        }
        frame longer = frame_new(f.size + 1);
        memcpy(longer.bytes, f.bytes, f.size);
        CHECK_INTEGER(merge(&longer, &error), HOME_E_FORMAT);
        frame_seal(&longer);
        CHECK_INTEGER(merge(&longer, &error), HOME_E_FORMAT);
        CHECK_CONTAINS(error.message, "1 bytes after the last task");
        free(longer.bytes);
        free(f.bytes);
    }
}

static void a_flipped_bit_is_found(void) {
    frame f = make_bytes(false);
    home_error error;
    for (size_t bit = 0; bit < 8 * f.size; bit += bit < 8 * (size_t)BITS_AT ? 1 : 5) {
        f.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        const home_status status = merge(&f, &error);
        const home_status expected = bit < 64                         ? HOME_E_FORMAT
                                     : bit < 8 * (size_t)FRAME_CRC    ? HOME_E_UNSUPPORTED
                                     : bit < 8 * (size_t)FRAME_SIZE   ? HOME_E_CHECKSUM
                                     : bit < 8 * (size_t)FRAME_HEADER ? HOME_E_FORMAT
                                                                      : HOME_E_CHECKSUM;
        CHECK_INTEGER(status, expected);
        f.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    free(f.bytes);
}

static void accumulators_of_other_tasks_are_refused(void) {
    static const int32_t others[][3] = {{HOME_LOSS_SQUARED},
                                        {HOME_LOSS_SQUARED, HOME_LOSS_BCE, HOME_LOSS_BCE},
                                        {HOME_LOSS_BCE, HOME_LOSS_BCE},
                                        {HOME_LOSS_SQUARED, HOME_LOSS_SQUARED}};
    static const size_t tasks[] = {1, 3, 2, 2};
    for (size_t i = 0; i < 4; i++) {
        home_metrics *other = create_with(tasks[i], others[i], 0);
        frame f = bytes_of(other);
        home_error error;
        CHECK_INTEGER(merge(&f, &error), HOME_E_MISMATCH);
        free(f.bytes);
        home_metrics_destroy(other);
    }
}

/* ---------------------------------------------------------------------------------------- rules */

/* Each changes valid bytes so that a single rule is broken. */
static void loss_is_unknown(frame *f) {
    frame_put(f, TASK_AT + LOSS, 3, 4);
}
static void rows_are_too_many(frame *f) {
    frame_put(f, TASK_AT + ROWS_OF, ((uint64_t)1 << 53) + 1, 8);
}
static void nobody_has_more_rows_than_there_are(frame *f) {
    frame_put(f, TASK_AT + NO_USER_ROWS, ROWS + 1, 8);
}
static void a_squared_error_has_positives(frame *f) {
    frame_put(f, TASK_AT + POSITIVES, 1, 8);
}
static void rows_weigh_nothing(frame *f) {
    put_sum(f, TASK_AT + WEIGHT, 0);
}
static void no_rows_weigh_something(frame *f) {
    frame_put(f, TASK_AT + ROWS_OF, 0, 8);
    frame_put(f, TASK_AT + NO_USER_ROWS, 0, 8);
}
static void no_rows_weigh_less_than_nothing(frame *f) {
    no_rows_weigh_something(f);
    put_sum(f, TASK_AT + WEIGHT, -1);
}
static void losses_are_negative(frame *f) {
    put_sum(f, TASK_AT + LOSSES, -1);
}
static void distances_are_negative(frame *f) {
    put_sum(f, TASK_AT + DISTANCES, -1);
}
static void labels_are_negative(frame *f) {
    put_sum(f, BINARY_AT + LABELS, -1);
}
static void predictions_are_negative(frame *f) {
    put_sum(f, BINARY_AT + PREDICTIONS, -1);
}
static void a_sum_is_too_large(frame *f) {
    frame_put(f, TASK_AT + PREDICTIONS + SUM_SIZE - 4, 1, 4);
}
static void a_sum_is_too_small(frame *f) {
    frame_put(f, TASK_AT + PREDICTIONS + SUM_SIZE - 4, UINT32_MAX - 1, 4);
}
static void rows_have_a_level(frame *f) {
    frame_put(f, LEVEL_AT, 1, 4);
}
static void rows_have_a_bin(frame *f) {
    frame longer = frame_new(f->size + BIN_SIZE);
    memcpy(longer.bytes, f->bytes, f->size);
    frame_put(&longer, BINS_AT, 1, 8);
    frame_put(&longer, f->size + 4, HOME_NO_USER, 4);
    frame_put_double(&longer, f->size + 8, 1);
    free(f->bytes);
    *f = longer;
}
static void a_row_is_missing(frame *f) {
    size_t at = FIRST_RECORD;
    while (frame_get(f, at, 8) == HOME_NO_USER || frame_get(f, at + 8, 8) >> 31 & 1)
        at += RECORD_SIZE;
    frame_put(f, RECORDS_AT, frame_get(f, RECORDS_AT, 8) - 1, 8);
    cut(f, at, RECORD_SIZE);
}
static void one_more_row_has_nobody(frame *f) {
    frame_put(f, BINARY_AT + NO_USER_ROWS, frame_get(f, BINARY_AT + NO_USER_ROWS, 8) + 1, 8);
}
static void one_more_row_is_positive(frame *f) {
    frame_put(f, BINARY_AT + POSITIVES, frame_get(f, BINARY_AT + POSITIVES, 8) + 1, 8);
}
static void put_key(frame *f, uint32_t prediction, uint32_t weight) {
    const uint64_t positive = frame_get(f, FIRST_RECORD + 8, 8) & (uint64_t)1 << 31;
    frame_put(f, FIRST_RECORD + 8, (uint64_t)prediction << 32 | positive | weight, 8);
}
static void a_prediction_is_above_1(frame *f) {
    put_key(f, 0x3f800001u, 0x3f800000u);
}
static void a_row_weighs_nothing(frame *f) {
    put_key(f, 0x3f800000u, 0);
}
static void a_row_weighs_too_much(frame *f) {
    put_key(f, 0x3f800000u, 0x7f800000u);
}

/* From here on of one that no longer keeps its rows. */
static void more_positives_than_rows(frame *f) {
    frame_put(f, BINARY_AT + POSITIVES, frame_get(f, BINARY_AT + ROWS_OF, 8) + 1, 8);
}
static void keep_no_records(frame *f) {
    cut(f, FIRST_RECORD, RECORD_SIZE * (size_t)frame_get(f, RECORDS_AT, 8));
    frame_put(f, RECORDS_AT, 0, 8);
}
/* No bin but these are left, and no record. */
static void keep_bins(frame *f, size_t bins) {
    keep_no_records(f);
    f->size = FIRST_RECORD + bins * BIN_SIZE;
    frame_put(f, BINS_AT, bins, 8);
}
static void bins_are_too_wide(frame *f) {
    keep_bins(f, 0);
    frame_put(f, BITS_AT, 3, 4);
}
static void bins_are_too_narrow(frame *f) {
    keep_bins(f, 0);
    frame_put(f, BITS_AT, 15, 4);
}
static void the_level_is_too_high(frame *f) {
    keep_no_records(f);
    frame_put(f, LEVEL_AT, 65, 4);
}
static void more_records_than_rows(frame *f) {
    const uint64_t records = frame_get(f, RECORDS_AT, 8);
    f->size = FIRST_RECORD + (size_t)records * RECORD_SIZE;
    frame_put(f, BINS_AT, 0, 8);
    frame_put(f, BINARY_AT + ROWS_OF, records + 4, 8);
    frame_put(f, BINARY_AT + NO_USER_ROWS, 5, 8);
    frame_put(f, BINARY_AT + POSITIVES, 0, 8);
}
static void more_bins_than_rows(frame *f) {
    keep_bins(f, 2);
    frame_put(f, BINARY_AT + ROWS_OF, 1, 8);
    frame_put(f, BINARY_AT + NO_USER_ROWS, 0, 8);
    frame_put(f, BINARY_AT + POSITIVES, 0, 8);
}
static void a_record_is_not_of_the_sample(frame *f) {
    frame_put(f, LEVEL_AT, 63, 4);
}
static void a_record_has_nobody(frame *f) {
    frame_put(f, FIRST_RECORD, HOME_NO_USER, 8);
}
static void bins_are_not_in_order(frame *f) {
    keep_bins(f, 2);
    frame_put(f, FIRST_RECORD + 4, UINT32_MAX, 4);
    frame_put(f, FIRST_RECORD, frame_get(f, FIRST_RECORD + BIN_SIZE, 4), 4);
}
static void a_bin_does_not_exist(frame *f) {
    keep_bins(f, 1);
    frame_put(f, FIRST_RECORD + 4, UINT32_MAX, 4);
    frame_put(f, FIRST_RECORD, ((uint64_t)60 << frame_get(f, BITS_AT, 4)) + 3, 4);
}
static void put_weights(frame *f, double positives, double negatives) {
    keep_bins(f, 1);
    frame_put_double(f, FIRST_RECORD + 8, positives);
    frame_put_double(f, FIRST_RECORD + 16, negatives);
}
static void positives_are_negative(frame *f) {
    put_weights(f, -1, 2);
}
static void positives_are_not_a_number(frame *f) {
    put_weights(f, (double)NAN, 1);
}
static void positives_weigh_too_much(frame *f) {
    put_weights(f, nextafter(ldexp(1, 181), INFINITY), 1);
}
static void positives_weigh_too_little(frame *f) {
    put_weights(f, nextafter(ldexp(1, -149), 0), 1);
}
static void negatives_are_negative(frame *f) {
    put_weights(f, 2, -1);
}
static void negatives_are_infinite(frame *f) {
    put_weights(f, 1, (double)INFINITY);
}
static void negatives_weigh_too_little(frame *f) {
    put_weights(f, 1, 1e-300);
}
static void a_bin_weighs_nothing(frame *f) {
    put_weights(f, 0, 0);
}
static void a_bin_is_empty(frame *f) {
    keep_bins(f, 1);
    frame_put(f, FIRST_RECORD + 4, 0, 4);
}
static void the_only_prediction_is_above_1(frame *f) {
    keep_bins(f, 1);
    frame_put(f, FIRST_RECORD + 4, 0x3f800002u, 4);
}
static void the_only_prediction_is_of_another_bin(frame *f) {
    keep_bins(f, 1);
    frame_put(f, FIRST_RECORD + 4, 0x3f000001u, 4);
}

typedef struct rule {
    const char *name;
    bool binned;
    void (*breaks)(frame *f);
} rule;
#define OF_ROWS(name)                                                                              \
    { #name, false, name }
#define OF_BINS(name)                                                                              \
    { #name, true, name }

static const rule rules[] = {
    OF_ROWS(loss_is_unknown),
    OF_ROWS(rows_are_too_many),
    OF_ROWS(nobody_has_more_rows_than_there_are),
    OF_ROWS(a_squared_error_has_positives),
    OF_ROWS(rows_weigh_nothing),
    OF_ROWS(no_rows_weigh_something),
    OF_ROWS(no_rows_weigh_less_than_nothing),
    OF_ROWS(losses_are_negative),
    OF_ROWS(distances_are_negative),
    OF_ROWS(labels_are_negative),
    OF_ROWS(predictions_are_negative),
    OF_ROWS(a_sum_is_too_large),
    OF_ROWS(a_sum_is_too_small),
    OF_ROWS(rows_have_a_level),
    OF_ROWS(rows_have_a_bin),
    OF_ROWS(a_row_is_missing),
    OF_ROWS(one_more_row_has_nobody),
    OF_ROWS(one_more_row_is_positive),
    OF_ROWS(a_prediction_is_above_1),
    OF_ROWS(a_row_weighs_nothing),
    OF_ROWS(a_row_weighs_too_much),
    OF_BINS(more_positives_than_rows),
    OF_BINS(bins_are_too_wide),
    OF_BINS(bins_are_too_narrow),
    OF_BINS(the_level_is_too_high),
    OF_BINS(more_records_than_rows),
    OF_BINS(more_bins_than_rows),
    OF_BINS(a_record_is_not_of_the_sample),
    OF_BINS(a_record_has_nobody),
    OF_BINS(bins_are_not_in_order),
    OF_BINS(a_bin_does_not_exist),
    OF_BINS(positives_are_negative),
    OF_BINS(positives_are_not_a_number),
    OF_BINS(positives_weigh_too_much),
    OF_BINS(positives_weigh_too_little),
    OF_BINS(negatives_are_negative),
    OF_BINS(negatives_are_infinite),
    OF_BINS(negatives_weigh_too_little),
    OF_BINS(a_bin_weighs_nothing),
    OF_BINS(a_bin_is_empty),
    OF_BINS(the_only_prediction_is_above_1),
    OF_BINS(the_only_prediction_is_of_another_bin),
};

static void check_rules(void) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        test_begin("bytes are refused where %s", rules[i].name);
        frame f = make_bytes(rules[i].binned);
        home_error error;
        CHECK(first_bin(&f) <= f.size);
        rules[i].breaks(&f);
        frame_seal(&f);
        CHECK_INTEGER(merge(&f, &error), HOME_E_FORMAT);
        CHECK_CONTAINS(error.message, rules[i].breaks == loss_is_unknown ? "task 0" : "task ");
        free(f.bytes);
        test_end();
    }
}

/* What the rules' cases have in common is valid: no rule refuses it. */
static void what_the_cases_begin_with_is_valid(void) {
    home_error error;
    for (size_t bins = 0; bins < 3; bins++) {
        frame f = make_bytes(true);
        keep_bins(&f, bins);
        frame_seal(&f);
        CHECK_INTEGER(merge(&f, &error), HOME_OK);
        free(f.bytes);
    }
    frame f = make_bytes(true);
    keep_no_records(&f);
    frame_put(&f, LEVEL_AT, 64, 4);
    frame_seal(&f);
    CHECK_INTEGER(merge(&f, &error), HOME_OK);
    free(f.bytes);
    f = make_bytes(true);
    put_weights(&f, ldexp(1, 181), ldexp(1, -149));
    frame_put(&f, FIRST_RECORD + 4, UINT32_MAX, 4);
    frame_seal(&f);
    CHECK_INTEGER(merge(&f, &error), HOME_OK);
    free(f.bytes);
    f = make_bytes(false);
    put_key(&f, 0, 1);
    frame_seal(&f);
    CHECK_INTEGER(merge(&f, &error), HOME_OK);
    free(f.bytes);
    f = make_bytes(false);
    put_key(&f, 0x3f800000u, 0x7f7fffffu);
    frame_put(&f, TASK_AT + ROWS_OF, (uint64_t)1 << 53, 8);
    put_sum(&f, TASK_AT + PREDICTIONS, -1);
    put_sum(&f, TASK_AT + LABELS, -1);
    frame_seal(&f);
    CHECK_INTEGER(merge(&f, &error), HOME_OK);
    free(f.bytes);
}

int main(void) {
    RUN(bytes_merge_as_their_accumulator_does);
    RUN(the_form_is_the_one_described);
    RUN(bins_are_those_described);
    RUN(bad_calls_are_refused);
    RUN(parts_of_the_bytes_are_refused);
    RUN(a_flipped_bit_is_found);
    RUN(accumulators_of_other_tasks_are_refused);
    check_rules();
    RUN(what_the_cases_begin_with_is_valid);
    return test_summary();
}
