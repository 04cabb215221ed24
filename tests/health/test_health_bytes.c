/* Health as bytes: they merge as their accumulator does, and whatever is not what was written is
 * refused. */
#include "metrics/frames.h"
#include "unit/fixture.h"

enum { ROWS = 150, FIRST_PART = 70 };

typedef struct scene {
    setup s;
    home_model *model;
    data rows;
    home_health *health;
    frame bytes;
} scene;

static home_health *new_health(const home_model *model) {
    home_health *health = NULL;
    REQUIRE(home_health_create(model, NULL, &health, NULL) == HOME_OK);
    return health;
}

static frame bytes_of(const home_health *health) {
    size_t length;
    size_t again;
    REQUIRE(home_health_serialize(health, NULL, 0, &length, NULL) == HOME_OK);
    const frame made = frame_new(length);
    REQUIRE(home_health_serialize(health, made.bytes, length, &again, NULL) == HOME_OK);
    REQUIRE(again == length);
    return made;
}

static void scene_begin(scene *at) {
    setup_small(&at->s);
    at->model = make_model(&at->s);
    randomize(at->model, 3);
    data_create(&at->rows, &at->s.config, ROWS, 5);
    at->health = new_health(at->model);
    REQUIRE(home_health_add(at->health, at->model, &at->rows.batch, NULL) == HOME_OK);
    at->bytes = bytes_of(at->health);
}

static void scene_end(scene *at) {
    free(at->bytes.bytes);
    home_health_destroy(at->health);
    data_free(&at->rows);
    home_model_release(at->model);
}

static void check_same(const home_health *actual, const home_health *expected) {
    frame a = bytes_of(actual);
    frame b = bytes_of(expected);
    CHECK(a.size == b.size);
    CHECK_BYTES(a.bytes, b.bytes, b.size);
    free(a.bytes);
    free(b.bytes);
}

/* The status that the bytes get of an accumulator that they must not change then. */
static home_status merge(const scene *at, const frame *f) {
    home_error error = {.struct_size = sizeof error};
    home_health *into = new_health(at->model);
    REQUIRE(home_health_merge(into, at->health, NULL) == HOME_OK);
    const home_status status = home_health_merge_bytes(into, f->bytes, f->size, &error);
    if (status != HOME_OK) {
        CHECK_INTEGER(error.status, status);
        check_same(into, at->health);
    }
    home_health_destroy(into);
    return status;
}

/* --------------------------------------------------------------------------------------- places */

/* The form as lib/metrics/health_bytes.c describes it. */
typedef struct places {
    size_t rows, mean, squares, min, max, differences, weights, self_weights, entropies, near_zero,
        bins, end;
} places;

static size_t count_pairs(const home_health *health) {
    size_t pairs = 0;
    for (size_t b = 0; b < home_health_expert_count(health); b++)
        for (size_t a = 0; a < b; a++)
            pairs += isnan(home_health_distance(health, a, b)) ? 0 : 1;
    return pairs;
}

static places places_of(const scene *at) {
    const size_t experts = home_health_expert_count(at->health);
    const size_t nodes = home_health_node_count(at->health);
    size_t values = 0;
    size_t weights = 0;
    size_t selves = 0;
    for (size_t e = 0; e < experts; e++) {
        home_expert_health figures = {.struct_size = sizeof figures};
        REQUIRE(home_health_expert(at->health, e, &figures, NULL) == HOME_OK);
        values += figures.width;
        for (size_t n = 0; n < nodes; n++) {
            weights += isnan(home_health_gate_weight(at->health, n, e)) ? 0 : 1;
            selves += isnan(home_health_self_weight(at->health, n, e)) ? 0 : 1;
        }
    }
    places p;
    p.rows = FRAME_HEADER + 4 + strlen(home_model_topology_json(at->model));
    p.mean = p.rows + 8;
    p.squares = p.mean + 8 * values;
    p.min = p.squares + 8 * values;
    p.max = p.min + 8 * values;
    p.differences = p.max + 8 * values;
    p.weights = p.differences + 8 * count_pairs(at->health);
    p.self_weights = p.weights + 8 * weights;
    p.entropies = p.self_weights + 8 * selves;
    p.near_zero = p.entropies + 8 * nodes;
    p.bins = p.near_zero + 8 * experts;
    p.end = p.bins + (size_t)8 * HOME_HEALTH_BINS * experts;
    CHECK(p.weights > p.differences && p.entropies > p.self_weights);
    return p;
}

/* ---------------------------------------------------------------------------------------- cases */

static void bytes_merge_as_their_accumulator_does(void) {
    scene at;
    home_ids fields[2][DATA_FIELDS];
    scene_begin(&at);
    const home_batch first = data_slice(&at.rows, 0, FIRST_PART, fields[0]);
    const home_batch second = data_slice(&at.rows, FIRST_PART, ROWS - FIRST_PART, fields[1]);
    home_health *part = new_health(at.model);
    home_health *in_memory = new_health(at.model);
    home_health *as_bytes = new_health(at.model);
    REQUIRE(home_health_add(part, at.model, &second, NULL) == HOME_OK);
    frame f = bytes_of(part);
    for (int offset = 0; offset < 3; offset++) {
        home_health_reset(in_memory);
        home_health_reset(as_bytes);
        REQUIRE(home_health_add(in_memory, at.model, &first, NULL) == HOME_OK);
        REQUIRE(home_health_add(as_bytes, at.model, &first, NULL) == HOME_OK);
        unsigned char *moved = malloc(f.size + 3); /* at any alignment */
        REQUIRE(moved);
        memcpy(moved + offset, f.bytes, f.size);
        CHECK_INTEGER(home_health_merge(in_memory, part, NULL), HOME_OK);
        CHECK_INTEGER(home_health_merge_bytes(as_bytes, moved + offset, f.size, NULL), HOME_OK);
        CHECK_INTEGER(home_health_rows(as_bytes), ROWS);
        check_same(as_bytes, in_memory);
        free(moved);
    }
    free(f.bytes);
    home_health_destroy(part);
    home_health_destroy(in_memory);
    home_health_destroy(as_bytes);
    scene_end(&at);
}

/* As if it had just been made. */
static void a_reset_forgets_all_rows(void) {
    scene at;
    scene_begin(&at);
    home_health *fresh = new_health(at.model);
    home_health *used = new_health(at.model);
    REQUIRE(home_health_merge(used, at.health, NULL) == HOME_OK);
    home_health_reset(used);
    CHECK_INTEGER(home_health_rows(used), 0);
    home_expert_health figures = {.struct_size = sizeof figures};
    REQUIRE(home_health_expert(used, 0, &figures, NULL) == HOME_OK);
    CHECK(isnan(figures.mean) && isnan(figures.min) && isnan(figures.near_zero));
    check_same(used, fresh);
    REQUIRE(home_health_add(used, at.model, &at.rows.batch, NULL) == HOME_OK);
    check_same(used, at.health);
    home_health_reset(NULL);
    home_health_destroy(fresh);
    home_health_destroy(used);
    scene_end(&at);
}

/* The same on every machine: read here by shifts. */
static void the_form_is_the_one_described(void) {
    scene at;
    scene_begin(&at);
    const places p = places_of(&at);
    const char *topology = home_model_topology_json(at.model);
    CHECK(memcmp(at.bytes.bytes, "HOMEHLTH", 8) == 0);
    CHECK_INTEGER(frame_get(&at.bytes, 8, 4), 1);
    CHECK_INTEGER(frame_get(&at.bytes, FRAME_SIZE, 8), at.bytes.size);
    CHECK_INTEGER(frame_get(&at.bytes, FRAME_HEADER, 4), strlen(topology));
    CHECK_BYTES(at.bytes.bytes + FRAME_HEADER + 4, topology, strlen(topology));
    CHECK_INTEGER(frame_get(&at.bytes, p.rows, 8), ROWS);
    CHECK_INTEGER(at.bytes.size, p.end);
    CHECK(frame_get_double(&at.bytes, p.weights) / ROWS ==
          home_health_gate_weight(at.health, 0, 0));
    uint64_t counts[HOME_HEALTH_BINS];
    REQUIRE(home_health_histogram(at.health, 0, counts, NULL) == HOME_OK);
    CHECK_INTEGER(frame_get(&at.bytes, p.bins + (size_t)8 * 31, 8), counts[31]);
    home_health *empty = new_health(at.model);
    frame f = bytes_of(empty);
    CHECK_INTEGER(f.size, p.mean);
    CHECK_INTEGER(merge(&at, &f), HOME_OK);
    free(f.bytes);
    home_health_destroy(empty);
    scene_end(&at);
}

static void bad_calls_are_refused(void) {
    scene at;
    scene_begin(&at);
    home_error error = {.struct_size = sizeof error};
    frame f = frame_copy(&at.bytes);
    size_t length = 0;
    CHECK_INTEGER(home_health_serialize(NULL, f.bytes, f.size, &length, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "health is NULL");
    CHECK_INTEGER(home_health_serialize(at.health, f.bytes, f.size, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "length is NULL");
    CHECK_INTEGER(home_health_serialize(at.health, f.bytes, f.size - 1, &length, &error),
                  HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "capacity is ");
    CHECK_INTEGER(length, f.size);
    CHECK_BYTES(f.bytes, at.bytes.bytes, f.size);
    CHECK_INTEGER(home_health_merge_bytes(NULL, f.bytes, f.size, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "into is NULL");
    CHECK_INTEGER(home_health_merge_bytes(at.health, NULL, f.size, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "bytes is NULL");
    free(f.bytes);
    scene_end(&at);
}

static void bytes_of_another_shape_are_refused(void) {
    scene at;
    scene_begin(&at);
    setup other;
    setup_small(&other);
    other.layers[0].shared_experts = 5;
    home_model *model = make_model(&other);
    home_health *health = new_health(model);
    frame f = bytes_of(health);
    CHECK_INTEGER(merge(&at, &f), HOME_E_MISMATCH);
    free(f.bytes);
    f = frame_copy(&at.bytes);
    f.bytes[FRAME_HEADER + 6] ^= 1;
    frame_seal(&f);
    CHECK_INTEGER(merge(&at, &f), HOME_E_MISMATCH);
    free(f.bytes);
    home_health_destroy(health);
    home_model_release(model);
    scene_end(&at);
}

/* Every length, as it is and put into its frame again. */
static void parts_of_the_bytes_are_refused(void) {
    scene at;
    scene_begin(&at);
    const size_t text = FRAME_HEADER + 4 + strlen(home_model_topology_json(at.model));
    for (size_t size = 0; size < at.bytes.size; size += size < text + 300 ? 1 : 101) {
        frame part = {at.bytes.bytes, size};
        CHECK_INTEGER(merge(&at, &part), HOME_E_FORMAT);
        if (size < FRAME_HEADER)
            continue;
        part = frame_copy(&part);
        frame_seal(&part);
        CHECK_INTEGER(merge(&at, &part), HOME_E_FORMAT);
        free(part.bytes);
    }
    frame longer = frame_new(at.bytes.size + 1);
    memcpy(longer.bytes, at.bytes.bytes, at.bytes.size);
    CHECK_INTEGER(merge(&at, &longer), HOME_E_FORMAT);
    frame_seal(&longer);
    CHECK_INTEGER(merge(&at, &longer), HOME_E_FORMAT);
    free(longer.bytes);
    scene_end(&at);
}

static void a_flipped_bit_is_found(void) {
    scene at;
    scene_begin(&at);
    for (size_t bit = 0; bit < 8 * at.bytes.size; bit += bit < 200 ? 1 : 37) {
        at.bytes.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        CHECK(merge(&at, &at.bytes) != HOME_OK);
        at.bytes.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    CHECK_INTEGER(merge(&at, &at.bytes), HOME_OK);
    scene_end(&at);
}

/* One number at a time is none that rows can give. */
static void impossible_numbers_are_refused(void) {
    scene at;
    scene_begin(&at);
    const places p = places_of(&at);
    const double nan = (double)NAN;
    const double infinite = (double)INFINITY;
    const double max = frame_get_double(&at.bytes, p.max);
    const struct {
        const char *what;
        size_t at;
        double value;
    } cases[] = {{"mean", p.mean, nan},
                 {"mean", p.squares - 8, -infinite},
                 {"mean", p.mean, infinite},
                 {"squares", p.squares, -1},
                 {"squares", p.min - 8, nan},
                 {"squares", p.squares, infinite},
                 {"min", p.min, -infinite},
                 {"min", p.min, max + 1},
                 {"max", p.max, infinite},
                 {"max", p.differences - 8, nan},
                 {"differences", p.differences, -1},
                 {"differences", p.weights - 8, infinite},
                 {"weights", p.weights, -0.1},
                 {"weights", p.self_weights - 8, ROWS + 1},
                 {"self weights", p.self_weights, nan},
                 {"self weights", p.entropies - 8, infinite},
                 {"entropies", p.entropies, nan},
                 {"entropies", p.near_zero - 8, infinite}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        frame f = frame_copy(&at.bytes);
        frame_put_double(&f, cases[i].at, cases[i].value);
        frame_seal(&f);
        if (merge(&at, &f) != HOME_E_FORMAT)
            test_fail(__FILE__, __LINE__, "%s of %g is not refused", cases[i].what, cases[i].value);
        free(f.bytes);
    }
    /* Experts that never move and are the same, and a weight that no row gives, are possible. */
    const size_t extremes[] = {p.squares, p.differences, p.weights, p.min};
    for (size_t i = 0; i < 4; i++) {
        frame f = frame_copy(&at.bytes);
        frame_put_double(&f, extremes[i], i < 3 ? 0 : max);
        frame_seal(&f);
        CHECK_INTEGER(merge(&at, &f), HOME_OK);
        free(f.bytes);
    }
    scene_end(&at);
}

static void impossible_counts_are_refused(void) {
    scene at;
    scene_begin(&at);
    const places p = places_of(&at);
    const uint64_t near = frame_get(&at.bytes, p.near_zero, 8);
    home_expert_health expert = {.struct_size = sizeof expert};
    REQUIRE(home_health_expert(at.health, 0, &expert, NULL) == HOME_OK);
    const uint64_t values = ROWS * (uint64_t)expert.width;
    const size_t bin = p.bins + (size_t)8 * 31;
    const uint64_t count = frame_get(&at.bytes, bin, 8);
    CHECK(near <= values && count > 0);
    const struct {
        size_t at;
        uint64_t value;
        home_status status;
    } cases[] = {{p.rows, 0, HOME_E_FORMAT},      {p.rows, ROWS - 1, HOME_E_FORMAT},
                 {p.near_zero, values, HOME_OK},  {p.near_zero, values + 1, HOME_E_FORMAT},
                 {bin, count - 1, HOME_E_FORMAT}, {bin, count + 1, HOME_E_FORMAT},
                 {bin, UINT64_MAX, HOME_E_FORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        frame f = frame_copy(&at.bytes);
        frame_put(&f, cases[i].at, cases[i].value, 8);
        frame_seal(&f);
        if (merge(&at, &f) != cases[i].status)
            test_fail(__FILE__, __LINE__, "case %zu has another status", i);
        free(f.bytes);
    }
    scene_end(&at);
}

/* Counts that fit each other, but not 64 bits for every width. */
static void too_many_rows_are_refused(void) {
    scene at;
    scene_begin(&at);
    const places p = places_of(&at);
    const uint64_t max_rows = (uint64_t)1 << 39;
    for (uint64_t rows = max_rows; rows <= max_rows + 1; rows++) {
        frame f = frame_copy(&at.bytes);
        frame_put(&f, p.rows, rows, 8);
        for (size_t e = 0; e < home_health_expert_count(at.health); e++) {
            home_expert_health expert = {.struct_size = sizeof expert};
            REQUIRE(home_health_expert(at.health, e, &expert, NULL) == HOME_OK);
            const size_t bins = p.bins + (size_t)8 * HOME_HEALTH_BINS * e;
            memset(f.bytes + bins, 0, (size_t)8 * HOME_HEALTH_BINS);
            frame_put(&f, bins, rows * expert.width, 8);
        }
        frame_seal(&f);
        CHECK_INTEGER(merge(&at, &f), rows > max_rows ? HOME_E_FORMAT : HOME_OK);
        free(f.bytes);
    }
    scene_end(&at);
}

int main(void) {
    RUN(bytes_merge_as_their_accumulator_does);
    RUN(a_reset_forgets_all_rows);
    RUN(the_form_is_the_one_described);
    RUN(bad_calls_are_refused);
    RUN(bytes_of_another_shape_are_refused);
    RUN(parts_of_the_bytes_are_refused);
    RUN(a_flipped_bit_is_found);
    RUN(impossible_numbers_are_refused);
    RUN(impossible_counts_are_refused);
    RUN(too_many_rows_are_refused);
    return test_summary();
}
