/* The library's sorts, against qsort() with ties broken by place. */
#include "test.h"

#include "host/sort.h"

enum { MAX_COUNT = 70000 };

typedef struct wide { /* as large as an entry of an embedding table */
    uint64_t key;
    uint64_t place;
    uint64_t unused[2];
} wide;

typedef struct narrow { /* as large as a record of the metrics; the key is not the first member */
    uint64_t place;
    uint64_t key;
} narrow;

typedef struct odd { /* of no size that the library's records have */
    uint64_t place;
    uint64_t key;
    uint64_t unused;
} odd;

static uint64_t state = 1;

static uint64_t random_bits(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* What the keys are like: key i of `count`. */
static uint64_t any(size_t i, size_t count) {
    (void)i, (void)count;
    return random_bits();
}
static uint64_t small(size_t i, size_t count) { /* as users 0, 1, 0, 1 */
    (void)count;
    return i % 2;
}
static uint64_t rows(size_t i, size_t count) { /* of a table of more than 65,536 */
    (void)i, (void)count;
    return random_bits() % 100000;
}
static uint64_t ascending(size_t i, size_t count) {
    (void)count;
    return i;
}
static uint64_t descending(size_t i, size_t count) {
    return count - i;
}
static uint64_t equal(size_t i, size_t count) {
    (void)i, (void)count;
    return 0x0123456789abcdefu;
}
static uint64_t high(size_t i, size_t count) { /* only the uppermost byte differs */
    (void)i, (void)count;
    return random_bits() << 56;
}
static uint64_t ends(size_t i, size_t count) { /* the lowest and the uppermost byte differ */
    (void)i, (void)count;
    return random_bits() << 56 | random_bits() % 3;
}
static const struct {
    const char *name;
    uint64_t (*key)(size_t i, size_t count);
} kinds[] = {{"any", any},
             {"small", small},
             {"rows", rows},
             {"ascending", ascending},
             {"descending", descending},
             {"equal", equal},
             {"high bytes only", high},
             {"lowest and highest byte", ends}};

static int compare_expected(const void *a, const void *b) {
    const narrow *x = a;
    const narrow *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Sorts records of one type with these keys, and compares them with `expected`. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses */
#define SORTS_AS(type)                                                                             \
    static bool sorts_##type##s(const narrow *given, const narrow *expected, size_t count,         \
                                uint64_t max) {                                                    \
        type *records = calloc(MAX_COUNT, sizeof *records);                                        \
        type *spare = calloc(MAX_COUNT, sizeof *spare);                                            \
        REQUIRE(records &&spare);                                                                  \
        for (size_t i = 0; i < count; i++)                                                         \
            records[i] = (type){.place = given[i].place, .key = given[i].key};                     \
        const type *sorted =                                                                       \
            homesort_by_key(records, spare, count, sizeof *records, offsetof(type, key), max);     \
        bool same = sorted == records || sorted == spare;                                          \
        for (size_t i = 0; same && i < count; i++)                                                 \
            same = sorted[i].key == expected[i].key && sorted[i].place == expected[i].place;       \
        free(records);                                                                             \
        free(spare);                                                                               \
        return same;                                                                               \
    }
/* NOLINTEND(bugprone-macro-parentheses) */
SORTS_AS(wide)
SORTS_AS(narrow)
SORTS_AS(odd)

/* Once with the largest key as the bound, once without one. */
static void check_keys(size_t kind, size_t count) {
    narrow *given = calloc(MAX_COUNT, sizeof *given);
    narrow *expected = calloc(MAX_COUNT, sizeof *expected);
    REQUIRE(given && expected);
    uint64_t max = 0;
    for (size_t i = 0; i < count; i++) {
        given[i] = (narrow){.place = i, .key = kinds[kind].key(i, count)};
        max = given[i].key > max ? given[i].key : max;
    }
    memcpy(expected, given, count * sizeof *given);
    qsort(expected, count, sizeof *expected, compare_expected);
    CHECK(sorts_wides(given, expected, count, max));
    CHECK(sorts_wides(given, expected, count, UINT64_MAX));
    CHECK(sorts_narrows(given, expected, count, max));
    CHECK(sorts_narrows(given, expected, count, UINT64_MAX));
    CHECK(sorts_odds(given, expected, count, max));
    free(given);
    free(expected);
}

static void check_radix_sort(void) {
    static const size_t counts[] = {0, 1, 2, 3, 4, 100, 257, MAX_COUNT};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            test_begin("%zu records with keys \"%s\" are sorted stably", counts[c], kinds[k].name);
            check_keys(k, counts[c]);
            test_end();
        }
}

/* ---------------------------------------------------------------------------------------- names */

typedef struct named {
    const char *name;
    size_t place;
} named;

static void of_equal_names_the_first_is_found(void) {
    enum { COUNT = 1000, NAMES = 37 };
    static char names[NAMES][8];
    static named items[COUNT];
    static const void *sorted[COUNT];
    for (size_t i = 0; i < NAMES; i++)
        snprintf(names[i], sizeof names[i], "n%zu", i);
    for (size_t i = 0; i < COUNT; i++) {
        items[i] = (named){.name = names[random_bits() % NAMES], .place = i};
        sorted[i] = &items[i];
    }
    homesort_by_name(sorted, COUNT);
    for (size_t i = 1; i < COUNT; i++) {
        const named *a = sorted[i - 1];
        const named *b = sorted[i];
        const int order = strcmp(a->name, b->name);
        CHECK(order < 0 || (order == 0 && a->place < b->place));
    }
    for (size_t n = 0; n < NAMES; n++) {
        size_t first = 0;
        while (first < COUNT && items[first].name != names[n])
            first++;
        const named *expected = first < COUNT ? &items[first] : NULL;
        CHECK(homesort_find_name(sorted, COUNT, names[n]) == expected);
    }
}

static void a_name_that_is_not_there_is_not_found(void) {
    static const named items[] = {{"b", 0}, {"d", 1}};
    const void *sorted[] = {&items[0], &items[1]};
    CHECK(!homesort_find_name(sorted, 2, "a"));
    CHECK(!homesort_find_name(sorted, 2, "c"));
    CHECK(!homesort_find_name(sorted, 2, "e"));
    CHECK(!homesort_find_name(sorted, 0, "b"));
    CHECK(homesort_find_name(sorted, 1, "b") == &items[0]);
}

int main(void) {
    check_radix_sort();
    RUN(of_equal_names_the_first_is_found);
    RUN(a_name_that_is_not_there_is_not_found);
    return test_summary();
}
