/* A home_health as bytes, and merged from them. After the frame of bytes.h:
 *
 *     length of the topology's JSON             32 bits
 *     the text
 *     rows                                      64 bits; if 0, nothing follows
 *     mean, squares, min, max                   doubles, each for all values
 *     differences, weights, self weights,
 *     entropies                                 doubles
 *     near zero, bins                           64 bits each
 *
 * The topology tells how many there are of each. */
#include "../base/fail.h"
#include "bytes.h"
#include "health.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const homebytes_form form = {"HOMEHLTH", 1, "home_health"};

/* -------------------------------------------------------------------------------------- writing */

static void put_doubles(homebytes_writer *out, const double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        homebytes_put_double(out, values[i]);
}

static void put_counts(homebytes_writer *out, const uint64_t *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        homebytes_put_64(out, values[i]);
}

static void put_all(homebytes_writer *out, const void *object) {
    const home_health *health = object;
    const homehealth_tally *t = &health->total;
    const size_t length = strlen(health->topology);
    homebytes_put_32(out, (uint32_t)length);
    homebytes_put(out, health->topology, length);
    homebytes_put_64(out, t->rows);
    if (t->rows == 0)
        return;
    put_doubles(out, t->mean, health->values);
    put_doubles(out, t->squares, health->values);
    put_doubles(out, t->min, health->values);
    put_doubles(out, t->max, health->values);
    put_doubles(out, t->differences, health->pairs);
    put_doubles(out, t->weights, health->weights);
    put_doubles(out, t->self_weights, health->self_weights);
    put_doubles(out, t->entropies, health->node_count);
    put_counts(out, t->near_zero, health->expert_count);
    put_counts(out, t->bins, health->expert_count * HOME_HEALTH_BINS);
}

home_status home_health_serialize(const home_health *health, void *buffer, size_t capacity,
                                  size_t *length, home_error *error) {
    if (!health || !length)
        return homefail_null(error, health ? "length" : "health");
    return homebytes_write(&form, health, put_all, buffer, capacity, length, error);
}

/* -------------------------------------------------------------------------------------- reading */

static void get_doubles(homebytes_reader *in, double *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = homebytes_get_double(in);
}

static void get_counts(homebytes_reader *in, uint64_t *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = homebytes_get_64(in);
}

static void get_tally(homebytes_reader *in, const home_health *health, homehealth_tally *t) {
    get_doubles(in, t->mean, health->values);
    get_doubles(in, t->squares, health->values);
    get_doubles(in, t->min, health->values);
    get_doubles(in, t->max, health->values);
    get_doubles(in, t->differences, health->pairs);
    get_doubles(in, t->weights, health->weights);
    get_doubles(in, t->self_weights, health->self_weights);
    get_doubles(in, t->entropies, health->node_count);
    get_counts(in, t->near_zero, health->expert_count);
    get_counts(in, t->bins, health->expert_count * HOME_HEALTH_BINS);
}

/* All finite and from `min` on; false for NaN. */
static bool are_from(const double *values, size_t count, double min) {
    for (size_t i = 0; i < count; i++)
        if (!(values[i] >= min && values[i] < (double)INFINITY))
            return false;
    return true;
}

static bool are_limits(const home_health *health, const homehealth_tally *t) {
    for (size_t i = 0; i < health->values; i++)
        if (!(t->min[i] <= t->max[i]))
            return false;
    return true;
}

/* Every value of every row is in one bin. */
static bool are_counts(const home_health *health, const homehealth_tally *t) {
    for (size_t e = 0; e < health->expert_count; e++) {
        const uint64_t *bins = t->bins + e * HOME_HEALTH_BINS;
        uint64_t left = t->rows * health->experts[e].width;
        if (t->near_zero[e] > left)
            return false;
        for (size_t b = 0; b < HOME_HEALTH_BINS; b++) {
            if (bins[b] > left)
                return false;
            left -= bins[b];
        }
        if (left > 0)
            return false;
    }
    return true;
}

/* A weight is at most 1, but for rounding. */
static bool are_weights(const home_health *health, const homehealth_tally *t) {
    for (size_t i = 0; i < health->weights; i++)
        if (t->weights[i] > 1.001 * (double)t->rows)
            return false;
    return true;
}

static bool is_tally(const home_health *health, const homehealth_tally *t) {
    const double any = -1e300;
    return are_from(t->mean, health->values, any) && are_from(t->squares, health->values, 0) &&
           are_from(t->min, health->values, any) && are_from(t->max, health->values, any) &&
           are_limits(health, t) && are_from(t->differences, health->pairs, 0) &&
           are_from(t->weights, health->weights, 0) && are_weights(health, t) &&
           are_from(t->self_weights, health->self_weights, any) &&
           are_from(t->entropies, health->node_count, any) && are_counts(health, t);
}

static bool is_topology(const home_health *health, homebytes_reader *in) {
    const uint32_t length = homebytes_get_32(in);
    const unsigned char *text = homebytes_skip(in, length, 1);
    return text && length == strlen(health->topology) &&
           memcmp(text, health->topology, length) == 0;
}

home_status home_health_merge_bytes(home_health *into, const void *bytes, size_t size,
                                    home_error *error) {
    homebytes_reader in;
    const uint64_t max_rows = (uint64_t)1 << 39; /* times the largest width it fits 64 bits */
    if (!into)
        return homefail_null(error, "into");
    const home_status status = homebytes_open(&in, &form, bytes, size, error);
    if (status != HOME_OK)
        return status;
    if (!is_topology(into, &in) && !in.failed)
        return homefail(error, HOME_E_MISMATCH,
                        "the bytes are of a model of another shape, expected that of into");
    homehealth_tally *added = &into->added;
    homehealth_reset(into, added);
    added->rows = homebytes_get_64(&in);
    if (added->rows > 0)
        get_tally(&in, into, added);
    if (in.failed || in.left > 0 || added->rows > max_rows ||
        (added->rows > 0 && !is_tally(into, added)))
        return homefail(error, HOME_E_FORMAT, "the bytes of a home_health are not valid");
    homehealth_join(into, &into->total, added);
    return HOME_OK;
}
