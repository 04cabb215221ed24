/* Making a model when memory ends at any point. Settings, topology and plan are taken from blocks
 * of 16 KiB, so which of their many parts meets the end of a block, and so a refusal, depends on
 * what came before: names of different lengths move all of it. tests/faults/test_memory.c has every
 * allocation of every call, for one model. */
#include "host/memory.h"
#include "test.h"
#include "unit/fixture.h"

enum { TASKS = 40, GROUPS = 2 };

/* The first `longer` tasks have names that take two units of alignment instead of one. */
static void set_names(setup *s, size_t longer) {
    static char names[TASKS][80];
    for (size_t t = 0; t < TASKS; t++) {
        memset(names[t], 'n', sizeof names[t]);
        snprintf(names[t], sizeof names[t], "t%02zu", t);
        names[t][3] = t < longer ? 'n' : 0;
        names[t][sizeof names[t] - 1] = 0;
        s->tasks[t].name = names[t];
    }
}

/* One refusal after the other, until a model is made, by the meter's allocator. Returns how
 * many. */
static long refuse_each(const home_config *config, meter *m) {
    home_model *model = NULL;
    long refused = 0;
    for (; !model; refused++) {
        home_error error = new_error();
        atomic_store(&m->allocations, 0);
        m->fail_at = refused;
        const home_status status = home_model_create(config, &model, &error);
        if (!CHECK(status == HOME_OK || status == HOME_E_MEMORY))
            break;
        CHECK((status == HOME_OK) == (model != NULL));
        if (!model)
            CHECK_INTEGER(m->live, 0);
    }
    home_model_release(model);
    CHECK_INTEGER(m->live, 0);
    return refused - 1;
}

static void memory_may_end_anywhere_in_an_arena(void) {
    static const char *const groups[GROUPS] = {"g", "h"};
    static const int32_t presets[] = {HOME_PRESET_HOME,         HOME_PRESET_PLE,  HOME_PRESET_ADATT,
                                      HOME_PRESET_ADATT_SP,     HOME_PRESET_MMOE, HOME_PRESET_CGC,
                                      HOME_PRESET_SHARED_BOTTOM};
    const size_t stride = getenv("TEST_QUICK") ? 8 : 4;
    for (size_t p = 0; p < sizeof presets / sizeof *presets; p++)
        for (size_t longer = 0; longer < TASKS; longer += stride) {
            setup s;
            meter m;
            const home_allocator allocator = meter_allocator(&m);
            setup_small(&s);
            s.config.allocator = &allocator;
            setup_tasks(&s, TASKS, groups, GROUPS);
            set_names(&s, longer);
            s.config.preset = presets[p];
            s.layers[0] = (home_layer_config){.struct_size = sizeof s.layers[0], .width = 3};
            s.layers[1] = s.layers[0];
            if (presets[p] == HOME_PRESET_MMOE || presets[p] == HOME_PRESET_CGC ||
                presets[p] == HOME_PRESET_SHARED_BOTTOM)
                s.config.layer_count = 1;
            CHECK(refuse_each(&s.config, &m) > 10);
        }
}

static void a_size_that_cannot_be_fails_an_arena_for_good(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    homearena arena = {.allocator = &allocator};
    CHECK(homearena_take(&arena, 3, 5) != NULL);
    CHECK(homearena_take(&arena, SIZE_MAX / 2, 3) == NULL);
    CHECK_INTEGER(arena.status, HOME_E_TOO_LARGE);
    homearena_fail(&arena, HOME_E_MEMORY);
    CHECK_INTEGER(arena.status, HOME_E_TOO_LARGE); /* the first failure stays */
    CHECK(homearena_take(&arena, 1, 1) == NULL);
    CHECK(homearena_text(&arena, "text", 4) == NULL);
    homearena_free(&arena);
}

static void a_size_just_below_the_largest_fails_an_arena_too(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    homearena arena = {.allocator = &allocator};
    CHECK(homearena_take(&arena, SIZE_MAX - 1, 1) == NULL);
    CHECK_INTEGER(arena.status, HOME_E_TOO_LARGE);
    CHECK(homememory_copy_text(&allocator, "", SIZE_MAX) == NULL);
    homearena_free(&arena);
}

#if HOME_CLOSES_BYTES
static bool is_closed(const void *memory, size_t at) {
    return __asan_address_is_poisoned((const char *)memory + at);
}

/* Otherwise an overrun by one element would end in the next piece, or in what a size is rounded up
 * to, and the address sanitizer would see nothing wrong in it. */
static void what_lies_behind_memory_is_closed(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    homearena arena = {.allocator = &allocator};
    static const size_t sizes[] = {1, 5, 60, 64, 128, 1000, 16384, 16380, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *pieces[] = {homearena_take(&arena, sizes[i], 1),
                          homememory_allocate(&allocator, sizes[i], 1)};
        for (size_t k = 0; k < 2; k++) {
            REQUIRE(pieces[k]);
            CHECK(!is_closed(pieces[k], 0) && !is_closed(pieces[k], sizes[i] - 1));
            CHECK(is_closed(pieces[k], sizes[i]));
        }
        CHECK(is_closed(pieces[1] - 1, 0));
        homememory_free(&allocator, pieces[1]);
    }
    CHECK(is_closed(homearena_take(&arena, 0, 4), 0));
    homearena_free(&arena);
    CHECK_INTEGER(m.live, 0);
}

static void *whole;

static void *give_whole(void *user, size_t bytes) {
    whole = calloc(1, bytes);
    *(size_t *)user = bytes;
    return whole;
}

static void take_whole_back(void *user, void *memory) {
    CHECK(memory == whole && __asan_region_is_poisoned(memory, *(size_t *)user) == NULL);
    free(memory);
}

/* A host's allocator may hand them out again at once. */
static void what_is_given_back_is_open(void) {
    size_t bytes = 0;
    const home_allocator allocator = {sizeof allocator, &bytes, give_whole, take_whole_back};
    homememory_free(&allocator, homememory_allocate(&allocator, 3, 5));
    homearena arena = {.allocator = &allocator};
    CHECK(homearena_take(&arena, 3, 5) != NULL);
    homearena_free(&arena);
}
#endif

int main(void) {
#if HOME_CLOSES_BYTES
    RUN(what_lies_behind_memory_is_closed);
    RUN(what_is_given_back_is_open);
#endif
    RUN(a_size_that_cannot_be_fails_an_arena_for_good);
    RUN(a_size_just_below_the_largest_fails_an_arena_too);
    RUN(memory_may_end_anywhere_in_an_arena);
    return test_summary();
}
