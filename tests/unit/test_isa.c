/* The cap on the instruction set: config.isa and, on top of it, HOME_ISA. test_isa.sh runs other
 * tests under caps. */
#include "test.h"
#include "unit/fixture.h"

static const char *const names[] = {"portable", "avx2", "avx512", "neon"};
enum { NAMES = sizeof names / sizeof *names };

static home_model *make_capped(const char *isa, const char *environment) {
    setup s;
    setup_small(&s);
    s.config.isa = isa;
    REQUIRE((environment ? setenv("HOME_ISA", environment, 1) : unsetenv("HOME_ISA")) == 0);
    home_model *model = make_model(&s);
    REQUIRE(unsetenv("HOME_ISA") == 0);
    return model;
}

/* What a model uses; static. */
static const char *used(const char *isa, const char *environment) {
    home_model *model = make_capped(isa, environment);
    const char *name = home_model_isa(model);
    home_model_release(model);
    return name;
}

/* Where an instruction set stands among those of its kind of CPU. */
static bool is_within(const char *name, const char *cap) {
    const bool on_x86 = strcmp(name, "avx2") == 0 && strcmp(cap, "avx512") == 0;
    return strcmp(name, "portable") == 0 || strcmp(name, cap) == 0 || on_x86;
}

static void a_cap_leaves_the_best_below_it(void) {
    const char *best = used(NULL, NULL);
    for (int i = 0; i < NAMES; i++) {
        const char *expected = is_within(best, names[i])   ? best
                               : is_within(names[i], best) ? names[i]
                                                           : "portable";
        CHECK(strcmp(used(names[i], NULL), expected) == 0);
    }
    CHECK(!home_model_isa(NULL));
}

static void the_environment_caps_too(void) {
    const char *best = used(NULL, NULL);
    for (int i = 0; i < NAMES; i++) {
        CHECK(strcmp(used(names[i], "portable"), "portable") == 0);
        CHECK(strcmp(used("portable", names[i]), "portable") == 0);
    }
    CHECK(strcmp(used("avx2", "avx512"), used("avx2", NULL)) == 0);
    CHECK(strcmp(used(best, best), best) == 0);
}

static void other_names_of_sets_are_refused(void) {
    static const char *const wrong[] = {"", "AVX2", "avx", "avx5122", "sse2"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setup s;
        setup_small(&s);
        s.config.isa = wrong[i];
        home_error error = new_error();
        home_model *model = NULL;
        char expected[160];
        snprintf(expected, sizeof expected,
                 "config.isa is \"%s\", expected \"portable\", \"avx2\", \"avx512\" or \"neon\"",
                 wrong[i]);
        CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, expected);
        CHECK(!model);
    }
}

static void json_takes_it_too(void) {
    static const char json[] =
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{\"width\":4}],"
        "\"isa\":\"portable\"}";
    home_model *model = NULL;
    REQUIRE(home_model_create_json(json, strlen(json), NULL, &model, NULL) == HOME_OK);
    CHECK_CONTAINS(home_model_isa(model), "portable");
    home_model_release(model);
    static const char wrong[] =
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{\"width\":4}],"
        "\"isa\":7}";
    home_error error = new_error();
    CHECK_INTEGER(home_model_create_json(wrong, strlen(wrong), NULL, &model, &error),
                  HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "isa is 7, expected a string");
}

/* The same predictions as under the environment's cap. */
static void the_cap_is_what_computes(void) {
    data d;
    setup s;
    setup_small(&s);
    data_create(&d, &s.config, 37, 3);
    home_model *by_config = make_capped("portable", NULL);
    home_model *by_environment = make_capped(NULL, "portable");
    float *one = predict_all(by_config, &d.batch);
    float *other = predict_all(by_environment, &d.batch);
    CHECK_BYTES(one, other, 37 * home_model_task_count(by_config) * sizeof *one);
    free(one);
    free(other);
    home_model_release(by_config);
    home_model_release(by_environment);
    data_free(&d);
}

/* It is about this machine: the model's text and file do not have it. */
static void a_cap_is_not_stored(void) {
    home_model *capped = make_capped("portable", NULL);
    home_model *best = make_capped(NULL, NULL);
    CHECK(!strstr(home_model_config_json(capped), "isa"));
    CHECK(same_model(capped, best));
    size_t length;
    unsigned char *bytes = model_bytes(capped, 0, &length);
    home_model *loaded = NULL;
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, NULL) == HOME_OK);
    CHECK(strcmp(home_model_isa(loaded), home_model_isa(best)) == 0);
    free(bytes);
    home_model_release(loaded);
    home_model_release(capped);
    home_model_release(best);
}

/* Whatever the environment says by then. */
static void a_frozen_copy_uses_the_same(void) {
    static const char *const later[] = {NULL, "portable"};
    for (int i = 0; i < 2; i++) {
        home_model *model = make_capped(i ? NULL : "portable", NULL);
        home_model *frozen = NULL;
        if (later[i])
            setenv("HOME_ISA", later[i], 1);
        REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
        unsetenv("HOME_ISA");
        CHECK(strcmp(home_model_isa(frozen), home_model_isa(model)) == 0);
        home_model_release(frozen);
        home_model_release(model);
    }
}

/* Its panels say which. */
static void an_image_keeps_the_set_of_its_model(void) {
    home_model *model = make_capped("portable", NULL);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    size_t length = 0;
    REQUIRE(home_image_write(frozen, NULL, NULL, 0, &length, NULL) == HOME_OK);
    void *image = aligned_alloc(64, length); /* a multiple of 64 */
    REQUIRE(image && home_image_write(frozen, NULL, image, length, &length, NULL) == HOME_OK);
    size_t size = 0;
    REQUIRE(home_image_model_size(image, length, &size, NULL) == HOME_OK);
    void *memory = malloc(size);
    home_model *opened = NULL;
    REQUIRE(memory && home_image_open(image, length, memory, size, &opened, NULL) == HOME_OK);
    CHECK(strcmp(home_model_isa(opened), "portable") == 0);
    home_model_release(opened);
    free(memory);
    free(image);
    home_model_release(frozen);
    home_model_release(model);
}

int main(void) {
    RUN(a_cap_leaves_the_best_below_it);
    RUN(the_environment_caps_too);
    RUN(other_names_of_sets_are_refused);
    RUN(json_takes_it_too);
    RUN(the_cap_is_what_computes);
    RUN(a_cap_is_not_stored);
    RUN(a_frozen_copy_uses_the_same);
    RUN(an_image_keeps_the_set_of_its_model);
    return test_summary();
}
