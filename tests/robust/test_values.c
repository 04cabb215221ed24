/* NaN, infinite, huge and tiny numbers in a row: other rows do not notice, whatever the preset, the
 * instruction set, the form of the model and the number of threads; nor does the next call.
 * Training refuses what is not finite. What is said of ids, labels and weights is tested in
 * tests/unit/test_calls.c. */
#include "family/family.h"

#include <float.h>

static const char *const presets[] = {
    "'preset':'home','layers':[{'width':19},{'width':7}]",
    "'preset':'home','feature_gate':{'order':'mix_first','init':'uniform'},'layers':[{'width':19},{"
    "'width':7}"
    "]",
    "'preset':'shared-bottom','layers':[{'width':19}]",
    "'preset':'mmoe','layers':[{'width':19,'shared_experts':5}]",
    "'preset':'cgc','layers':[{'width':19,'task_experts':2}]",
    "'preset':'ple','layers':[{'width':19},{'width':7}]",
    "'preset':'adatt-sp','layers':[{'width':19},{'width':7}]",
    "'preset':'adatt','layers':[{'width':19},{'width':7}]",
    "'preset':'custom','layers':[{'width':9,'units':[{'name':'u','experts':3}],"
    "'nodes':[{'name':'a','sees':['u']},{'name':'b','sees':['u']},{'name':'c','sees':['u']}]}]",
};

static const char *const isas[] = {"portable", "avx2", NULL};

static const float bad_values[] = {
    NAN, -NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 1e30f, -1e30f, FLT_MIN / 8, -0.0f,
};

enum {
    ROWS = 67,
    DENSE = 13,
    TASKS = 3,
    INPUTS = ROWS * DENSE,
    OUTPUTS = ROWS * TASKS,
    BAD = sizeof bad_values / sizeof *bad_values
};

typedef struct scene {
    float dense[INPUTS];
    float labels[OUTPUTS];
    home_batch batch;
    home_targets targets;
} scene;

static void scene_begin(scene *s) {
    uint64_t state = 5;
    for (size_t i = 0; i < INPUTS; i++)
        s->dense[i] = (float)random_between(&state, -2, 2);
    for (size_t i = 0; i < OUTPUTS; i++)
        s->labels[i] = (float)(random_bits(&state) % 2);
    s->batch = (home_batch){.struct_size = sizeof s->batch, .rows = ROWS, .dense = s->dense};
    s->targets = (home_targets){.struct_size = sizeof s->targets, .labels = s->labels};
}

/* With every tensor at random, and trained for a few steps. */
static home_model *make(const char *preset, const char *isa, scene *s) {
    text t = {.length = 0};
    text_add(&t, "{'seed':3,'dense':%d,'tasks':[{'name':'a'},{'name':'b'},{'name':'c'}],%s}", DENSE,
             preset);
    if (isa)
        setenv("HOME_ISA", isa, 1);
    else
        unsetenv("HOME_ISA");
    home_model *model = model_from(t.bytes);
    unsetenv("HOME_ISA");
    randomize(model, 7);
    for (int step = 0; step < 3; step++) {
        free(forward_all(model, &s->batch));
        REQUIRE(home_model_backward(model, &s->targets, NULL, NULL) == HOME_OK);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
    }
    return model;
}

static home_model *form_of(home_model *model, bool frozen) {
    home_model *copy = NULL;
    if (!frozen) {
        home_model_retain(model);
        return model;
    }
    REQUIRE(home_model_freeze(model, &copy, NULL) == HOME_OK);
    return copy;
}

enum { APART = 6 }; /* bad rows first, first + APART...: each between good ones */

static float *bad_place(scene *s, size_t first, size_t i) {
    return &s->dense[(first + i * APART) * DENSE + i % DENSE];
}

static bool is_bad(size_t row, size_t first) {
    return row >= first && (row - first) % APART == 0 && (row - first) / APART < BAD;
}

/* A good row has the bytes expected; a bad one's numbers are no numbers, or probabilities. */
static void check_rows(const float *got, const float *expected, size_t first) {
    for (size_t row = 0; row < ROWS; row++, got += TASKS, expected += TASKS)
        for (size_t t = 0; t < TASKS; t++)
            if (is_bad(row, first))
                CHECK(isnan(got[t]) || (got[t] >= 0 && got[t] <= 1));
            else
                CHECK_BYTES(&got[t], &expected[t], sizeof *got);
}

static void check_serving(const home_model *model, scene *s, home_workspace *workspace) {
    float expected[OUTPUTS];
    float got[OUTPUTS];
    REQUIRE(home_model_predict(model, &s->batch, expected, 0, workspace, NULL) == HOME_OK);
    for (size_t i = 0; i < OUTPUTS; i++)
        CHECK(expected[i] >= 0 && expected[i] <= 1);
    /* The first row, the last row. */
    static const size_t places[] = {0, 5, ROWS - 1 - (BAD - 1) * APART};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        float kept[BAD];
        for (size_t i = 0; i < BAD; i++) {
            kept[i] = *bad_place(s, places[p], i);
            *bad_place(s, places[p], i) = bad_values[i];
        }
        CHECK_INTEGER(home_model_predict(model, &s->batch, got, 0, workspace, NULL), HOME_OK);
        check_rows(got, expected, places[p]);
        for (size_t i = 0; i < BAD; i++)
            *bad_place(s, places[p], i) = kept[i];
        CHECK_INTEGER(home_model_predict(model, &s->batch, got, 0, workspace, NULL), HOME_OK);
        CHECK_BYTES(got, expected, sizeof got);
    }
}

static void a_bad_row_stays_alone(void) {
    for (size_t p = 0; p < sizeof presets / sizeof *presets; p++)
        for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
            test_begin("a bad row stays alone: %.20s, %s", presets[p] + 10,
                       isas[i] ? isas[i] : "best");
            scene s;
            scene_begin(&s);
            home_model *model = make(presets[p], isas[i], &s);
            for (int frozen = 0; frozen < 2; frozen++) {
                home_model *form = form_of(model, frozen);
                home_workspace *workspace = NULL;
                const size_t size = home_workspace_size(form);
                void *memory = malloc(size);
                REQUIRE(memory &&
                        home_workspace_init(form, memory, size, &workspace, NULL) == HOME_OK);
                check_serving(form, &s, workspace);
                REQUIRE(home_model_set_threads(form, 3, NULL) == HOME_OK);
                check_serving(form, &s, NULL);
                home_model_release(form);
                free(memory);
            }
            home_model_release(model);
            test_end();
        }
}

/* Huge, but finite: training either takes the values or refuses them; it never keeps a number that
 * is not finite. */
static void training_never_keeps_what_is_not_finite(void) {
    for (size_t p = 0; p < sizeof presets / sizeof *presets; p++) {
        scene s;
        scene_begin(&s);
        home_model *model = make(presets[p], NULL, &s);
        int refused = 0;
        for (size_t i = 0; i < BAD; i++) {
            size_t length;
            size_t length_after;
            home_error error = new_error();
            float *value = &s.dense[i * DENSE + i];
            const float kept = *value;
            *value = bad_values[i];
            unsigned char *before = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
            const uint64_t steps = home_model_step_count(model);
            home_status status = home_model_forward(model, &s.batch, NULL, 0, &error);
            if (!isfinite(bad_values[i]))
                CHECK_INTEGER(status, HOME_E_VALUE);
            else if (status == HOME_OK)
                status = home_model_backward(model, &s.targets, NULL, &error);
            if (status == HOME_OK)
                status = home_model_step(model, &error);
            CHECK(status == HOME_OK || status == HOME_E_VALUE);
            refused += status != HOME_OK;
            /* All finite. */
            unsigned char *after = model_bytes(model, HOME_SAVE_OPTIMIZER, &length_after);
            if (home_model_step_count(model) == steps && status != HOME_OK &&
                !isfinite(bad_values[i]))
                CHECK_BYTES(after, before, length);
            *value = kept;
            free(before);
            free(after);
        }
        CHECK(refused >= 4);
        free(forward_all(model, &s.batch));
        CHECK_INTEGER(home_model_backward(model, &s.targets, NULL, NULL), HOME_OK);
        CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
        home_model_release(model);
    }
}

int main(void) {
    a_bad_row_stays_alone();
    RUN(training_never_keeps_what_is_not_finite);
    return test_summary();
}
