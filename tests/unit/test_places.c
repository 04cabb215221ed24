/* Places of buffers: the lowest start that is free, as a search through all the others finds it. */
#include "test.h"

#include "host/memory.h"
#include "plan/places.h"

enum { MAX_COUNT = 500 };

static uint64_t state = 1;

static size_t below(size_t limit) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % limit);
}

static bool are_together(const homeplace *a, const homeplace *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* Whether place i would overlap one before it that lives at the same time. */
static bool is_free(const homeplace *places, size_t i, size_t start) {
    for (size_t j = 0; j < i; j++)
        if (are_together(&places[i], &places[j]) && places[j].start < start + places[i].size &&
            start < places[j].start + places[j].size)
            return false;
    return true;
}

/* The lowest start is 0 or the end of another place. */
static size_t lowest_start(const homeplace *places, size_t i) {
    if (is_free(places, i, 0))
        return 0;
    size_t lowest = SIZE_MAX;
    for (size_t j = 0; j < i; j++) {
        const size_t end = places[j].start + places[j].size;
        if (end < lowest && is_free(places, i, end))
            lowest = end;
    }
    return lowest;
}

/* What lives are like: place i of `count`. */
static homeplace anywhere(size_t i, size_t count) {
    const size_t first = below(count);
    (void)i;
    return (homeplace){.size = 1 + below(20), .first = first, .last = first + below(count)};
}
static homeplace in_order(size_t i, size_t count) { /* short lives, as in serving */
    (void)count;
    return (homeplace){.size = 16 * (1 + below(5)), .first = i, .last = i + below(40)};
}
static homeplace nearly_in_order(size_t i, size_t count) { /* some are made before they are used */
    const size_t first = i + (below(8) == 0 ? below(30) : 0);
    return (homeplace){.size = 16 * (1 + below(5)),
                       .first = first,
                       .last = below(10) == 0 ? count : first + below(40)};
}
static homeplace all_at_once(size_t i, size_t count) {
    (void)i;
    return (homeplace){.size = 1 + below(1000), .first = 0, .last = count};
}
static homeplace one_after_another(size_t i, size_t count) {
    (void)count;
    return (homeplace){.size = 1 + below(1000), .first = i, .last = i};
}
static homeplace backwards(size_t i, size_t count) {
    const size_t first = count - i;
    return (homeplace){.size = 1 + below(3), .first = first, .last = first + below(10)};
}
static const struct {
    const char *name;
    homeplace (*make)(size_t i, size_t count);
} kinds[] = {{"anywhere", anywhere},
             {"in order", in_order},
             {"nearly in order", nearly_in_order},
             {"all at once", all_at_once},
             {"one after another", one_after_another},
             {"backwards", backwards}};

static void check_places(size_t kind, size_t count) {
    home_allocator libc;
    homeplace *places = calloc(MAX_COUNT, sizeof *places);
    size_t width = 0;
    size_t found_width = 0;
    REQUIRE(places);
    REQUIRE(homememory_resolve(NULL, &libc, NULL) == HOME_OK);
    for (size_t i = 0; i < count; i++)
        places[i] = kinds[kind].make(i, count);
    CHECK(homeplaces_find(places, count, &libc, &found_width));
    for (size_t i = 0; i < count; i++) {
        CHECK(places[i].start == lowest_start(places, i));
        if (places[i].start + places[i].size > width)
            width = places[i].start + places[i].size;
    }
    CHECK(found_width == width);
    free(places);
}

int main(void) {
    static const size_t counts[] = {0, 1, 2, 3, 10, 100, 500};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            test_begin("%zu places that live %s have the lowest free starts", counts[c],
                       kinds[k].name);
            for (int round = 0; round < (counts[c] < 100 ? 50 : 2); round++)
                check_places(k, counts[c]);
            test_end();
        }
    return test_summary();
}
