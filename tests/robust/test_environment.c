/* What belongs to the host's process or thread: its locale, and how its processor treats
 * floating-point numbers. */
#define _GNU_SOURCE /* feenableexcept() */
#include "family/family.h"
#include "robust/child.h"

#include <fenv.h>
#include <locale.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* ----------------------------------------------------------------------- a life, and its traces */

/* All that a model computes and writes: training with a pool and without, both forms of serving, a
 * checkpoint, texts, metrics. */
typedef struct trace {
    unsigned char *checkpoint;
    size_t length;
    char *config;
    float *predicted;
    float *frozen;
    double log_loss;
} trace;

enum { ROWS = 60 };

static double measure(const home_model *model, const data *rows, const float *predictions) {
    const size_t tasks = home_model_task_count(model);
    home_metrics *metrics = NULL;
    home_metric_result result = {.struct_size = sizeof result};
    const home_metrics_options options = {.struct_size = sizeof options, .tasks = tasks};
    const home_metrics_rows added = {.struct_size = sizeof added,
                                     .rows = ROWS,
                                     .predictions = predictions,
                                     .labels = rows->labels,
                                     .label_stride = rows->targets.label_stride};
    REQUIRE(home_metrics_create(&options, &metrics, NULL) == HOME_OK);
    REQUIRE(home_metrics_add(metrics, &added, NULL) == HOME_OK);
    REQUIRE(home_metrics_result(metrics, 0, &result, NULL) == HOME_OK);
    home_metrics_destroy(metrics);
    return result.log_loss;
}

/* The model is read back from its own configuration and from its own checkpoint on the way. */
static trace live(const setup *s, const data *rows, size_t threads) {
    trace t;
    home_model *first = make_model(s);
    t.config = strdup(home_model_config_json(first));
    home_model_release(first);
    home_model *model = NULL;
    home_model *frozen = NULL;
    home_error error = new_error();
    REQUIRE(home_model_create_json(t.config, strlen(t.config), NULL, &model, &error) == HOME_OK);
    REQUIRE(home_model_set_threads(model, threads, NULL) == HOME_OK);
    for (int step = 0; step < 3; step++)
        train_step(model, rows);
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &t.length);
    home_model_release(model);
    REQUIRE(home_model_load_memory(bytes, t.length, NULL, &model, &error) == HOME_OK);
    free(bytes);
    train_step(model, rows);
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    t.checkpoint = model_bytes(model, HOME_SAVE_OPTIMIZER, &t.length);
    t.predicted = predict_all(model, &rows->batch);
    t.frozen = predict_all(frozen, &rows->batch);
    t.log_loss = measure(model, rows, t.predicted);
    home_model_release(frozen);
    home_model_release(model);
    return t;
}

static void trace_free(trace *t) {
    free(t->checkpoint);
    free(t->config);
    free(t->predicted);
    free(t->frozen);
}

static void check_same(const trace *actual, const trace *expected, size_t predictions) {
    if (CHECK_INTEGER(actual->length, expected->length))
        CHECK_BYTES(actual->checkpoint, expected->checkpoint, expected->length);
    CHECK(strcmp(actual->config, expected->config) == 0);
    CHECK_BYTES(actual->predicted, expected->predicted, predictions * sizeof(float));
    CHECK_BYTES(actual->frozen, expected->frozen, predictions * sizeof(float));
    CHECK(actual->log_loss == expected->log_loss);
}

/* Where the processor computes in another way, results are near, and texts the same. */
static void check_near(const trace *actual, const trace *expected, size_t predictions,
                       double tolerance) {
    CHECK(strcmp(actual->config, expected->config) == 0);
    for (size_t i = 0; i < predictions; i++) {
        CHECK_NEAR(actual->predicted[i], (double)expected->predicted[i], tolerance);
        CHECK_NEAR(actual->frozen[i], (double)expected->frozen[i], tolerance);
    }
    CHECK_NEAR(actual->log_loss, expected->log_loss, tolerance);
}

/* A setup whose numbers have fractions, so that a comma or a rounding would show. */
static void begin(setup *s, data *rows) {
    setup_small(s);
    s->tasks[1].weight = 0.1;
    s->tasks[2].base_rate = 0.037;
    s->config.swish_beta = 1.7;
    s->config.norm_epsilon = 1.25e-5;
    s->tables[0].init_std = 0.015;
    s->optimizer.learning_rate = 0.0123;
    s->optimizer.clip_norm = 2.5;
    data_create(rows, &s->config, ROWS, 1);
}

/* --------------------------------------------------------------------------------------- locale */

/* A locale whose decimal point is a comma: one of the system's, or, where none is installed, one
 * made by localedef. */
static bool set_comma_locale(void) {
    for (int attempt = 0; attempt < 2; attempt++) {
        if (setlocale(LC_ALL, "de_DE.UTF-8") && strcmp(localeconv()->decimal_point, ",") == 0)
            return true;
        if (system("mkdir -p build/locale && localedef -i de_DE -f UTF-8 build/locale/de_DE.UTF-8 "
                   "2>&1") != 0)
            return false;
        setenv("LOCPATH", "build/locale", 1);
    }
    return false;
}

static void a_decimal_comma_changes_nothing(void) {
    setup s;
    data rows;
    begin(&s, &rows);
    trace expected = live(&s, &rows, 1);
    if (set_comma_locale()) {
        char number[16];
        snprintf(number, sizeof number, "%.1f", 0.5);
        CHECK(strcmp(number, "0,5") == 0);
        trace t = live(&s, &rows, 1);
        check_same(&t, &expected, ROWS * s.config.task_count);
        trace_free(&t);
        const char *kept = setlocale(LC_ALL, NULL);
        CHECK(strcmp(kept, "de_DE.UTF-8") == 0);
        home_model *model;
        home_error error = new_error();
        s.config.norm_epsilon = -0.5;
        CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, "-0.5"); /* messages too */
        setlocale(LC_ALL, "C");
    } else {
        test_skip("no locale with a decimal comma, and no localedef to make one");
    }
    trace_free(&expected);
    data_free(&rows);
}

/* ------------------------------------------------------------------------------------- rounding */

static void results_do_not_depend_on_the_rounding_mode(void) {
    static const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    setup s;
    data rows;
    begin(&s, &rows);
    trace expected = live(&s, &rows, 1);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        REQUIRE(fesetround(modes[i]) == 0);
        trace one = live(&s, &rows, 1);
        trace pool = live(&s, &rows, 3);
        CHECK_INTEGER(fegetround(), modes[i]);
        REQUIRE(fesetround(FE_TONEAREST) == 0);
        check_near(&one, &expected, ROWS * s.config.task_count, 1e-3);
        check_same(&pool, &one, ROWS * s.config.task_count);
        trace_free(&one);
        trace_free(&pool);
    }
    trace_free(&expected);
    data_free(&rows);
}

/* -------------------------------------------------------------------------- modes of the thread */

/* All of the thread's modes, and the flags of what has happened in it. */
#if defined(__x86_64__)
enum { FLUSHING = 0x8040 }; /* denormals to zero, in and out */
static bool library_sets_modes(void) {
    return true;
}
static unsigned modes(void) {
    return _mm_getcsr();
}
static unsigned set_modes(int rounding, unsigned more) {
    REQUIRE(fesetround(rounding) == 0);
    _mm_setcsr((_mm_getcsr() & ~0x807fu) | more); /* no flags yet */
    return _mm_getcsr();
}
#else
enum { FLUSHING = 0 };
static bool library_sets_modes(void) {
#if defined(__aarch64__)
    return true;
#else
    return false;
#endif
}
static unsigned modes(void) {
    return (unsigned)fegetround();
}
static unsigned set_modes(int rounding, unsigned more) {
    REQUIRE(fesetround(rounding) == 0);
    return (unsigned)rounding + more;
}
#endif

/* What a model computes once it is there: training, and both forms of serving. */
typedef struct computed {
    float *predicted;
    float *frozen;
    double norm;
} computed;

static computed compute(const setup *s, const data *rows, size_t threads, int rounding,
                        unsigned more) {
    computed c;
    home_model *frozen = NULL;
    home_model *model = make_model(s);
    REQUIRE(home_model_set_threads(model, threads, NULL) == HOME_OK);
    const unsigned before = set_modes(rounding, more);
    for (int step = 0; step < 3; step++)
        train_step(model, rows);
    CHECK_INTEGER(modes(), before);
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    /* A new model's numbers may have been rounded, which raises a flag. */
    set_modes(rounding, more);
    c.predicted = predict_all(model, &rows->batch);
    c.frozen = predict_all(frozen, &rows->batch);
    CHECK_INTEGER(modes(), before);
    set_modes(FE_TONEAREST, 0);
    c.norm = home_model_gradient_norm(model);
    home_model_release(frozen);
    home_model_release(model);
    return c;
}

static void computed_free(computed *c) {
    free(c->predicted);
    free(c->frozen);
}

static void modes_of_the_thread_do_not_matter(void) {
    static const int roundings[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    setup s;
    data rows;
    if (!library_sets_modes()) {
        test_skip("on this processor the library computes in the modes of the thread");
        return;
    }
    begin(&s, &rows);
    const size_t size = ROWS * s.config.task_count * sizeof(float);
    computed expected = compute(&s, &rows, 1, FE_TONEAREST, 0);
    for (size_t i = 0; i < 2 * sizeof roundings / sizeof *roundings; i++)
        for (size_t threads = 1; threads <= 3; threads += 2) {
            computed actual = compute(&s, &rows, threads, roundings[i / 2], i % 2 ? FLUSHING : 0);
            CHECK_BYTES(actual.predicted, expected.predicted, size);
            CHECK_BYTES(actual.frozen, expected.frozen, size);
            CHECK(actual.norm == expected.norm);
            computed_free(&actual);
        }
    computed_free(&expected);
    data_free(&rows);
}

/* -------------------------------------------------------------------------- unmasked exceptions */

/* Presets and optimizers between them reach every step that divides, takes roots or
 * exponentials. */
static const char *const models[] = {
    "{'dense':7,'tasks':[{'name':'a'},{'name':'b','group':'g'}],'layers':[{'width':6},{'width':5}],"
    "'tables':[{'name':'t','rows':9,'dim':3}],'fields':[{'name':'t','pooling':'mean'}]}",
    "{'preset':'shared-bottom','dense':7,'tasks':[{'name':'a'},{'name':'b','loss':'squared'}],'"
    "layers':["
    "{'width':5}],'optimizer':{'kind':'sgd','momentum':0.9},"
    "'tables':[{'name':'t','rows':9,'dim':3}],'fields':[{'name':'t'}]}",
    "{'preset':'mmoe','dense':7,'tasks':[{'name':'a'},{'name':'b','given':'a'}],'layers':["
    "{'width':5,'shared_experts':3}],'optimizer':{'kind':'adagrad','embedding_kind':'adagrad'},"
    "'tables':[{'name':'t','rows':9,'dim':3}],'fields':[{'name':'t','pooling':'mean'}]}",
    "{'preset':'cgc','dense':7,'tasks':[{'name':'a'},{'name':'b'}],'layers':[{'width':5}],"
    "'optimizer':{'kind':'adamw','embedding_kind':'adam'},'uncertainty':true,"
    "'tables':[{'name':'t','rows':9,'dim':3}],'fields':[{'name':'t','pooling':'mean'}]}",
    "{'preset':'ple','dense':7,'tasks':[{'name':'a','base_rate':0.1},{'name':'b'}],'layers':["
    "{'width':5,'feature_gates':true},{'width':4}],'feature_gate':{'order':'mix_first','init':'"
    "uniform'},"
    "'tables':[{'name':'t','rows':9,'dim':3,'index':'hashed'}],'fields':[{'name':'t','pooling':'"
    "mean'}]}",
    "{'preset':'adatt-sp','dense':7,'tasks':[{'name':'a'},{'name':'b'}],'layers':[{'width':5},{'"
    "width':5}],"
    "'tables':[{'name':'t','rows':9,'dim':3}],'fields':[{'name':'t','pooling':'mean'}]}",
    "{'preset':'adatt','dense':7,'tasks':[{'name':'a'},{'name':'b'}],'layers':[{'width':5,'task_"
    "experts':2},"
    "{'width':5}],'experts':{'norm':'batch','activation':'swish'},"
    "'tables':[{'name':'t','rows':9,'dim':3}],'fields':[{'name':'t','pooling':'mean'}]}",
};

/* Rows, some without any id, some with large values and labels that are missing. */
typedef struct ordinary_rows {
    float dense[ROWS * 7];
    uint64_t ids[ROWS * 2];
    size_t offsets[ROWS + 1];
    float labels[ROWS * 2];
    home_ids field;
    home_batch batch;
    home_targets targets;
} ordinary_rows;

static void ordinary_rows_create(ordinary_rows *d) {
    uint64_t state = 3;
    d->offsets[0] = 0;
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < 7; i++)
            d->dense[r * 7 + i] = (float)random_between(&state, -2, 2) * (r % 9 == 4 ? 30.0f : 1);
        d->offsets[r + 1] = d->offsets[r] + r % 3;
        for (size_t i = d->offsets[r]; i < d->offsets[r + 1]; i++)
            d->ids[i] = random_bits(&state) % 9;
        d->labels[r * 2] = r % 5 == 0 ? NAN : (float)(random_bits(&state) % 2);
        d->labels[r * 2 + 1] = r % 2 == 0 ? 0.25f : NAN;
    }
    d->field = (home_ids){.struct_size = sizeof(home_ids), .ids = d->ids, .offsets = d->offsets};
    d->batch = (home_batch){.struct_size = sizeof d->batch,
                            .rows = ROWS,
                            .dense = d->dense,
                            .fields = &d->field,
                            .field_count = 1};
    d->targets = (home_targets){.struct_size = sizeof d->targets, .labels = d->labels};
}

/* Every figure, before the first row and after. */
static void look_at_health(const home_model *model, const home_batch *batch) {
    home_health *health = NULL;
    REQUIRE(home_health_create(model, NULL, &health, NULL) == HOME_OK);
    for (int added = 0; added < 2; added++) {
        for (size_t e = 0; e < home_health_expert_count(health); e++) {
            home_expert_health expert = {.struct_size = sizeof expert};
            REQUIRE(home_health_expert(health, e, &expert, NULL) == HOME_OK);
        }
        for (size_t o = 0; o < home_health_node_count(health); o++) {
            home_node_health node = {.struct_size = sizeof node};
            REQUIRE(home_health_node(health, o, &node, NULL) == HOME_OK);
        }
        REQUIRE(home_health_add(health, model, batch, NULL) == HOME_OK);
    }
    home_health_destroy(health);
}

typedef struct trial {
    const char *isa; /* NULL: the best */
    const char *json;
    size_t threads;
} trial;

/* A child of its own for each: a trap ends it. */
static int train_and_serve_with_traps(void *context) {
#if defined(__GLIBC__)
    const trial *t = context;
    static ordinary_rows rows;
    home_model *frozen = NULL;
    home_model *loaded = NULL;
    if (t->isa)
        setenv("HOME_ISA", t->isa, 1);
    ordinary_rows_create(&rows);
    feclearexcept(FE_ALL_EXCEPT);
    const int traps = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW;
    if (feenableexcept(traps) == -1)
        return 99;
    home_model *model = model_from(t->json);
    REQUIRE(home_model_set_threads(model, t->threads, NULL) == HOME_OK);
    for (int step = 0; step < 20; step++) {
        free(forward_all(model, &rows.batch));
        REQUIRE(home_model_backward(model, &rows.targets, NULL, NULL) == HOME_OK);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
    }
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, NULL) == HOME_OK);
    REQUIRE(home_model_freeze(loaded, &frozen, NULL) == HOME_OK);
    free(bytes);
    free(predict_all(loaded, &rows.batch));
    free(predict_all(frozen, &rows.batch));
    look_at_health(model, &rows.batch);
    home_model_release(frozen);
    home_model_release(loaded);
    home_model_release(model);
    return (fegetexcept() & traps) != traps;
#else
    (void)context;
    return 99;
#endif
}

static void finite_data_never_trap(void) {
    static const char *const isas[] = {NULL, "portable", "avx2"};
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        for (size_t m = 0; m < sizeof models / sizeof *models; m++)
            for (size_t threads = 1; threads <= 3; threads += 2) {
                trial t = {isas[i], models[m], threads};
                const int failures = in_child(train_and_serve_with_traps, &t);
                if (failures == 99) {
                    test_skip("this processor or C library cannot trap");
                    return;
                }
                if (failures != 0)
                    test_fail(__FILE__, __LINE__, "%d (-8: a trap) with isa %s, %zu threads, %.40s",
                              failures, isas[i] ? isas[i] : "the best", threads, models[m]);
            }
}

int main(void) {
    RUN(a_decimal_comma_changes_nothing);
    RUN(results_do_not_depend_on_the_rounding_mode);
    RUN(modes_of_the_thread_do_not_matter);
    RUN(finite_data_never_trap);
    return test_summary();
}
