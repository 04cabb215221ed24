/* Every optimizer against PyTorch's definition in double precision, and resuming from a checkpoint.
 *
 * The gradients do not come from the model: the test writes its own over those of backward, so that
 * they have all magnitudes from 1e-9 (below epsilon) to 10, zeros, and some that hardly change from
 * step to step. Only the optimizer is on trial then. A float value near x rounds by 6e-8 |x| in
 * each of STEPS steps, and the state adds a few such errors relative to a move; TOLERANCE allows
 * for about twice that. Plausible wrong definitions run alongside, and each must be told from the
 * right one by more than TOLERANCE. */
#include "family.h"
#include "train/training.h"

enum { STEPS = 20, ROWS = 6, TABLE_ROWS = 9, DIM = 3, LATE_ROW = 8, LATE_STEP = 10 };

#define TOLERANCE 3e-6 /* times 1 + |x| */

typedef enum kind { SGD, ADAM, ADAMW, ADAGRAD, ROWWISE } kind;

/* Ways to get a definition wrong. */
typedef enum mistake {
    NONE,
    NO_CORRECTION,   /* Adam without bias correction */
    EPSILON_INSIDE,  /* epsilon under the root */
    DECAY_ELSEWHERE, /* AdamW's decay in the gradient, the others' off the values */
    FLOAT_BETA,      /* 1 - beta2 formed in float: 1 - 0.999f is 4.7e-5 too large */
    DAMPENED,        /* SGD: b = momentum b + (1 - momentum) g */
    NESTEROV,        /* SGD steps along g + momentum b */
    LOCAL_STEP,      /* Adam on touched rows with a step count of each row's own */
    CLIP_DENSE_ONLY, /* the norm without the tables */
    MISTAKES
} mistake;

static const char *const mistake_names[MISTAKES] = {"none",
                                                    "no bias correction",
                                                    "epsilon under the root",
                                                    "weight decay elsewhere",
                                                    "1 - beta2 in float",
                                                    "dampened",
                                                    "nesterov",
                                                    "row's own step count",
                                                    "clipping dense only"};

typedef struct optimizer_case {
    const char *name;
    const char *json; /* the configuration's "optimizer" */
    kind dense;
    kind table;
    double rate;
    double beta1;
    double beta2;
    double epsilon;
    double momentum;
    double decay;
    double clip; /* 0: off */
    double table_rate;
    double table_epsilon;
    bool schedule;    /* rates change at every step */
    unsigned refused; /* bits of the mistakes that must show */
} optimizer_case;

#define BIT(name) (1u << (name))

static const optimizer_case cases[] = {
    {"sgd by default", "'kind':'sgd'", SGD, ROWWISE, 1e-3, .epsilon = 1e-8, .table_rate = 0.01,
     .table_epsilon = 1e-8},
    {"sgd with momentum", "'kind':'sgd','learning_rate':0.01,'momentum':0.9", SGD, ROWWISE, 0.01,
     .momentum = 0.9, .table_rate = 0.01, .table_epsilon = 1e-8,
     .refused = BIT(DAMPENED) | BIT(NESTEROV)},
    {"sgd with momentum, decay, clipping and a schedule",
     "'kind':'sgd','learning_rate':0.05,'momentum':0.5,'weight_decay':0.2,'clip_norm':3,"
     "'embedding_kind':'adagrad','embedding_learning_rate':0.1",
     SGD, ADAGRAD, 0.05, .momentum = 0.5, .decay = 0.2, .clip = 3, .table_rate = 0.1,
     .table_epsilon = 1e-10, .schedule = true,
     .refused = BIT(DAMPENED) | BIT(NESTEROV) | BIT(DECAY_ELSEWHERE) | BIT(CLIP_DENSE_ONLY)},
    {"adam by default", "'kind':'adam'", ADAM, ROWWISE, 1e-3, 0.9, 0.999, 1e-8, .table_rate = 0.01,
     .table_epsilon = 1e-8, .refused = BIT(NO_CORRECTION)},
    {"adam, fast", "'learning_rate':0.1,'embedding_kind':'adam','embedding_learning_rate':0.2",
     ADAM, ADAM, 0.1, 0.9, 0.999, 1e-8, .table_rate = 0.2, .table_epsilon = 1e-8,
     .refused = BIT(NO_CORRECTION) | BIT(EPSILON_INSIDE) | BIT(FLOAT_BETA) | BIT(LOCAL_STEP)},
    {"adam with other betas, decay and a schedule",
     "'learning_rate':0.03,'beta1':0.7,'beta2':0.95,'epsilon':1e-4,'weight_decay':0.3,"
     "'embedding_epsilon':1e-3",
     ADAM, ROWWISE, 0.03, 0.7, 0.95, 1e-4, .decay = 0.3, .table_rate = 0.01, .table_epsilon = 1e-3,
     .schedule = true, .refused = BIT(NO_CORRECTION) | BIT(EPSILON_INSIDE) | BIT(DECAY_ELSEWHERE)},
    {"adam with clipping", "'learning_rate':0.02,'clip_norm':0.5,'embedding_kind':'adam'", ADAM,
     ADAM, 0.02, 0.9, 0.999, 1e-8, .clip = 0.5, .table_rate = 0.01, .table_epsilon = 1e-8,
     .refused = BIT(NO_CORRECTION) | BIT(CLIP_DENSE_ONLY)},
    {"adamw by default", "'kind':'adamw'", ADAMW, ROWWISE, 1e-3, 0.9, 0.999, 1e-8, .decay = 0.01,
     .table_rate = 0.01, .table_epsilon = 1e-8,
     .refused = BIT(NO_CORRECTION) | BIT(DECAY_ELSEWHERE)},
    {"adamw with decay, clipping and a schedule",
     "'kind':'adamw','learning_rate':0.05,'weight_decay':0.5,'clip_norm':2,'embedding_kind':'"
     "adagrad'",
     ADAMW, ADAGRAD, 0.05, 0.9, 0.999, 1e-8, .decay = 0.5, .clip = 2, .table_rate = 0.01,
     .table_epsilon = 1e-10, .schedule = true,
     .refused = BIT(NO_CORRECTION) | BIT(DECAY_ELSEWHERE)},
    {"adagrad by default", "'kind':'adagrad'", ADAGRAD, ROWWISE, 0.01, .epsilon = 1e-10,
     .table_rate = 0.01, .table_epsilon = 1e-8},
    {"adagrad with decay and clipping",
     "'kind':'adagrad','learning_rate':0.1,'epsilon':1e-3,'weight_decay':0.1,'clip_norm':4,"
     "'embedding_kind':'adagrad','embedding_learning_rate':0.05,'embedding_epsilon':1e-2",
     ADAGRAD, ADAGRAD, 0.1, .epsilon = 1e-3, .decay = 0.1, .clip = 4, .table_rate = 0.05,
     .table_epsilon = 1e-2, .schedule = true,
     .refused = BIT(EPSILON_INSIDE) | BIT(DECAY_ELSEWHERE)},
};

/* ------------------------------------------------------------------------------ the definitions */

/* What one value carries from step to step. */
typedef struct slot {
    double x;
    double first;  /* momentum buffer, m, or G */
    double second; /* v */
} slot;

typedef struct shadow {
    mistake wrong;
    size_t count;
    slot *dense;
    slot table[TABLE_ROWS][DIM];
    double row_sums[TABLE_ROWS];
    int row_steps[TABLE_ROWS];
} shadow;

typedef struct rates {
    double dense;
    double table;
} rates;

static double root(const shadow *s, double square, double epsilon) {
    return s->wrong == EPSILON_INSIDE ? sqrt(square + epsilon) : sqrt(square) + epsilon;
}

/* torch.optim.SGD: b = momentum b + g;  x -= lr b */
static void sgd_step(const shadow *s, const optimizer_case *c, double rate, double g, slot *p) {
    p->first = c->momentum * p->first + (s->wrong == DAMPENED ? 1 - c->momentum : 1) * g;
    p->x -= rate * (s->wrong == NESTEROV ? g + c->momentum * p->first : p->first);
}

/* torch.optim.Adam: m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g²;
 * x -= lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon) */
static void adam_step(const shadow *s, const optimizer_case *c, double rate, double epsilon, int t,
                      double g, slot *p) {
    const double rest = s->wrong == FLOAT_BETA ? (double)(1 - (float)c->beta2) : 1 - c->beta2;
    p->first = c->beta1 * p->first + (1 - c->beta1) * g;
    p->second = c->beta2 * p->second + rest * g * g;
    const bool corrected = s->wrong != NO_CORRECTION;
    const double m = p->first / (corrected ? 1 - pow(c->beta1, t) : 1);
    const double v = p->second / (corrected ? 1 - pow(c->beta2, t) : 1);
    p->x -= rate * m / root(s, v, epsilon);
}

/* torch.optim.Adagrad: G += g²;  x -= lr g / (sqrt(G) + epsilon) */
static void adagrad_step(const shadow *s, double rate, double epsilon, double g, slot *p) {
    p->first += g * g;
    p->x -= rate * g / root(s, p->first, epsilon);
}

static void dense_step(const shadow *s, const optimizer_case *c, double rate, int t, double g,
                       slot *p) {
    const bool off_value = (c->dense == ADAMW) != (s->wrong == DECAY_ELSEWHERE);
    if (off_value)
        p->x -= rate * c->decay * p->x;
    else
        g += c->decay * p->x;
    if (c->dense == SGD)
        sgd_step(s, c, rate, g, p);
    else if (c->dense == ADAGRAD)
        adagrad_step(s, rate, c->epsilon, g, p);
    else
        adam_step(s, c, rate, c->epsilon, t, g, p);
}

/* Row-wise Adagrad: G_r += mean(g_r²);  row_r -= lr g_r / (sqrt(G_r) + epsilon) */
static void row_step(shadow *s, const optimizer_case *c, double rate, int t, size_t row,
                     const double g[DIM]) {
    s->row_steps[row]++;
    for (size_t k = 0; k < DIM; k++)
        s->row_sums[row] += g[k] * g[k] / (double)DIM;
    for (size_t k = 0; k < DIM; k++) {
        slot *p = &s->table[row][k];
        if (c->table == ROWWISE)
            p->x -= rate * g[k] / root(s, s->row_sums[row], c->table_epsilon);
        else if (c->table == ADAGRAD)
            adagrad_step(s, rate, c->table_epsilon, g[k], p);
        else
            adam_step(s, c, rate, c->table_epsilon, s->wrong == LOCAL_STEP ? s->row_steps[row] : t,
                      g[k], p);
    }
}

static double sum_of_squares(const float *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i] * (double)values[i];
    return sum;
}

/* Clipping: all gradients times clip / norm where the norm is above. */
static double clip_factor(const shadow *s, const optimizer_case *c, double dense, double table) {
    const double norm = sqrt(dense + (s->wrong == CLIP_DENSE_ONLY ? 0 : table));
    return c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
}

static void shadow_step(shadow *s, const optimizer_case *c, rates r, int t, const float *dense,
                        const home_gradient *table) {
    const double factor = clip_factor(s, c, sum_of_squares(dense, s->count),
                                      sum_of_squares(table->data, table->rows * DIM));
    for (size_t i = 0; i < s->count; i++)
        dense_step(s, c, r.dense, t, factor * (double)dense[i], &s->dense[i]);
    for (size_t i = 0; i < table->rows; i++) {
        double g[DIM];
        for (size_t k = 0; k < DIM; k++)
            g[k] = factor * (double)table->data[i * DIM + k];
        row_step(s, c, r.table, t, (size_t)table->ids[i], g);
    }
}

/* ------------------------------------------------------------------------------------ the model */

static home_model *make_case(const optimizer_case *c) {
    text t = {.length = 0};
    text_add(
        &t,
        "{'preset':'mmoe','dense':3,'tables':[{'name':'id','rows':%d,'dim':%d,'init_std':0.5}],"
        "'fields':[{'name':'id'}],'tasks':[{'name':'a'},{'name':'b'}],"
        "'layers':[{'width':4,'shared_experts':2}],'optimizer':{%s}}",
        TABLE_ROWS, DIM, c->json);
    return model_from(t.bytes);
}

static void shadow_create(shadow *s, const home_model *model, mistake wrong) {
    *s = (shadow){.wrong = wrong, .count = (size_t)home_model_parameter_count(model)};
    s->dense = calloc(s->count, sizeof *s->dense);
    REQUIRE(s->dense);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        for (size_t k = 0; k < tensor_size(&t); k++)
            if (t.kind == HOME_TENSOR_PARAMETER)
                s->dense[t.gradient_offset + k].x = (double)t.data[k];
            else
                s->table[k / DIM][k % DIM].x = (double)t.data[k];
    }
}

/* Forward and backward over rows whose ids leave LATE_ROW out until LATE_STEP. */
static void run_backward(home_model *model, int step, uint64_t *seed) {
    float dense[ROWS][3];
    float labels[ROWS][2];
    uint64_t ids[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t i = 0; i < 3; i++)
            dense[r][i] = (float)random_between(seed, -1, 1);
        for (size_t t = 0; t < 2; t++)
            labels[r][t] = (float)(random_bits(seed) % 2);
        ids[r] = step >= LATE_STEP && r == 0 ? LATE_ROW : random_bits(seed) % LATE_ROW;
    }
    const home_ids field = {.struct_size = sizeof field, .ids = ids};
    const home_batch batch = {.struct_size = sizeof batch,
                              .rows = ROWS,
                              .dense = dense[0],
                              .fields = &field,
                              .field_count = 1};
    const home_targets targets = {.struct_size = sizeof targets, .labels = labels[0]};
    REQUIRE(home_model_forward(model, &batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &targets, NULL, NULL) == HOME_OK);
}

/* Element i: every eighth has none; of the others half keep their sign and nearly their size. */
static float made_gradient(size_t i, uint64_t *seed) {
    const double free = random_between(seed, -9, 1);
    const double jitter = random_between(seed, 0.9, 1.1);
    const double sign = random_bits(seed) % 2 ? 1 : -1;
    if (i % 8 == 7)
        return 0;
    const double steady = (i % 4 == 1 ? -1 : 1) * pow(10, (double)(i % 11) - 9) * jitter;
    return (float)(i % 2 ? steady : sign * pow(10, free));
}

static home_gradient make_gradients(home_model *model, uint64_t *seed) {
    size_t count;
    float *dense = gradients_of(model, &count);
    const home_gradient table = table_gradient_of(model, "id");
    REQUIRE(table.width == DIM && table.stride == DIM);
    for (size_t i = 0; i < count; i++)
        dense[i] = made_gradient(i, seed);
    for (size_t i = 0; i < table.rows; i++)
        for (size_t k = 0; k < DIM; k++)
            table.data[i * DIM + k] = made_gradient((size_t)table.ids[i] * DIM + k, seed);
    const double norm =
        sqrt(sum_of_squares(dense, count) + sum_of_squares(table.data, table.rows * DIM));
    CHECK_NEAR(home_model_gradient_norm(model), norm, 1e-5 * norm);
    return table;
}

/* Warm-up over five steps, then decay: one call before each step. */
static rates rates_at(home_model *model, const optimizer_case *c, int t) {
    if (!c->schedule)
        return (rates){c->rate, c->table_rate};
    const double factor = t < 5 ? t / 5.0 : pow(0.8, t - 5);
    const rates r = {c->rate * factor, c->table_rate * factor * factor};
    REQUIRE(home_model_set_learning_rate(model, r.dense, NULL) == HOME_OK);
    REQUIRE(home_model_set_embedding_learning_rate(model, r.table, NULL) == HOME_OK);
    return r;
}

/* The number of values that are not the model's; the first is reported where `report`. */
static size_t count_wrong(const shadow *s, const home_model *model, bool report) {
    size_t wrong = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        for (size_t k = 0; k < tensor_size(&t); k++) {
            const slot *p = t.kind == HOME_TENSOR_PARAMETER ? &s->dense[t.gradient_offset + k]
                                                            : &s->table[k / DIM][k % DIM];
            const double off = (double)t.data[k] - p->x;
            if (fabs(off) <= TOLERANCE * (1 + fabs(p->x)))
                continue;
            if (wrong++ == 0 && report)
                test_fail(__FILE__, __LINE__, "%s[%zu] is %.8g, expected %.8g, off by %.2g", t.name,
                          k, (double)t.data[k], p->x, off);
        }
    }
    return wrong;
}

static void check_case(const optimizer_case *c) {
    home_model *model = make_case(c);
    shadow shadows[MISTAKES];
    uint64_t seed = 17;
    for (int w = 0; w < MISTAKES; w++)
        shadow_create(&shadows[w], model, (mistake)w);
    for (int t = 1; t <= STEPS; t++) {
        run_backward(model, t, &seed);
        const home_gradient table = make_gradients(model, &seed);
        size_t count;
        const float *dense = gradients_of(model, &count);
        const rates r = rates_at(model, c, t);
        for (int w = 0; w < MISTAKES; w++)
            shadow_step(&shadows[w], c, r, t, dense, &table);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
        CHECK_INTEGER(home_model_step_count(model), t);
    }
    CHECK_INTEGER(count_wrong(&shadows[NONE], model, true), 0);
    for (int w = 0; w < MISTAKES; w++) {
        if (c->refused >> w & 1 && count_wrong(&shadows[w], model, false) == 0)
            test_fail(__FILE__, __LINE__, "the test cannot tell: %s", mistake_names[w]);
        free(shadows[w].dense);
    }
    home_model_release(model);
}

/* ---------------------------------------------------------------------------------------- rates */

static const char *const dense_kinds[] = {"sgd", "adam", "adamw", "adagrad"};
static const char *const table_kinds[] = {"rowwise_adagrad", "adagrad", "adam"};

static void zero_rates_move_nothing(void) {
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++) {
            char json[160];
            snprintf(json, sizeof json,
                     "'kind':'%s','embedding_kind':'%s','weight_decay':0.1,'momentum':0.9",
                     dense_kinds[i], table_kinds[k]);
            home_model *model = make_case(&(optimizer_case){.json = json});
            size_t before_length;
            size_t after_length;
            unsigned char *before = model_bytes(model, 0, &before_length);
            uint64_t seed = 3;
            CHECK_INTEGER(home_model_set_learning_rate(model, 0, NULL), HOME_OK);
            CHECK_INTEGER(home_model_set_embedding_learning_rate(model, 0, NULL), HOME_OK);
            for (int t = 0; t < 3; t++) {
                run_backward(model, t, &seed);
                CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
            }
            unsigned char *after = model_bytes(model, 0, &after_length);
            CHECK(before_length == after_length && memcmp(before, after, after_length) == 0);
            free(before);
            free(after);
            home_model_release(model);
        }
}

static void bad_rates_are_refused(void) {
    home_model *model = make_case(&cases[0]);
    static const double bad[] = {-1e-9, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        home_error error = new_error();
        CHECK_INTEGER(home_model_set_learning_rate(model, bad[i], &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "rate");
        CHECK_INTEGER(home_model_set_embedding_learning_rate(model, bad[i], &error),
                      HOME_E_ARGUMENT);
    }
    home_model_release(model);
}

static void bad_kinds_are_refused(void) {
    static const char *const bad[][2] = {
        {"'kind':'rowwise_adagrad'", "optimizer.kind"},
        {"'kind':'rmsprop'", "optimizer.kind"},
        {"'embedding_kind':'sgd'", "optimizer.embedding_kind"},
        {"'embedding_kind':'adamw'", "optimizer.embedding_kind"},
        {"'momentum':1", "optimizer.momentum"},
        {"'weight_decay':-0.1", "optimizer.weight_decay"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text t = {.length = 0};
        text_add(&t,
                 "{'preset':'mmoe','dense':1,'tasks':[{'name':'a'}],'layers':[{'width':1}],'"
                 "optimizer':{%s}}",
                 bad[i][0]);
        home_error error = new_error();
        home_model *model = NULL;
        CHECK_INTEGER(create_from(t.bytes, &model, &error), HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, bad[i][1]);
    }
}

static bool same_weights(const home_model *a, const home_model *b) {
    bool same = true;
    for (size_t i = 0; i < home_model_tensor_count(a); i++) {
        const home_tensor x = tensor_number(a, i);
        const home_tensor y = tensor_number(b, i);
        same = same && memcmp(x.data, y.data, tensor_size(&x) * sizeof(float)) == 0;
    }
    return same;
}

/* ------------------------------------------------------------------------------------- clipping */

/* A model after steps along gradients times 2^exponent, which clipping makes the same for all large
 * exponents. */
static home_model *train_clipped(const char *dense_kind, const char *table_kind, int exponent) {
    char json[160];
    snprintf(json, sizeof json, "'kind':'%s','embedding_kind':'%s','momentum':0.9,'clip_norm':1",
             dense_kind, table_kind);
    home_model *model = make_case(&(optimizer_case){.json = json});
    uint64_t seed = 3;
    for (int t = 0; t < 3; t++) {
        run_backward(model, t, &seed);
        const home_gradient table = make_gradients(model, &seed);
        size_t count;
        float *dense = gradients_of(model, &count);
        for (size_t i = 0; i < count; i++)
            dense[i] = ldexpf(dense[i], exponent);
        for (size_t i = 0; i < table.rows * DIM; i++)
            table.data[i] = ldexpf(table.data[i], exponent);
        CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    }
    return model;
}

static void clipping_takes_any_size(void) {
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++) {
            home_model *large = train_clipped(dense_kinds[i], table_kinds[k], 10);
            home_model *huge = train_clipped(dense_kinds[i], table_kinds[k], 100);
            if (!same_weights(large, huge))
                test_fail(__FILE__, __LINE__, "%s and %s differ", dense_kinds[i], table_kinds[k]);
            home_model_release(large);
            home_model_release(huge);
        }
}

/* ------------------------------------------------------------------------------------- resuming */

enum { RESUME_STEPS = 12, RATE_STEP = 4 };

/* Step t of a run that sets its rates once, at RATE_STEP. */
static void resume_step(home_model *model, const setup *s, int t) {
    data d;
    data_create(&d, &s->config, 7, 100 + (uint64_t)t);
    if (t == RATE_STEP) {
        REQUIRE(home_model_set_learning_rate(model, 0.02, NULL) == HOME_OK);
        REQUIRE(home_model_set_embedding_learning_rate(model, 0.03, NULL) == HOME_OK);
    }
    train_step(model, &d);
    data_free(&d);
}

static home_model *reload(home_model *model, uint32_t flags) {
    size_t length;
    unsigned char *bytes = model_bytes(model, flags, &length);
    home_model *loaded = NULL;
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, NULL) == HOME_OK);
    free(bytes);
    home_model_release(model);
    return loaded;
}

/* The model after RESUME_STEPS, saved and loaded again after `point` of them; negative: never. */
static home_model *train_through(const setup *s, int point, uint32_t flags) {
    home_model *model = make_model(s);
    for (int t = 0; t < RESUME_STEPS; t++) {
        if (t == point)
            model = reload(model, flags);
        resume_step(model, s, t);
    }
    return model;
}

static void check_resume(int32_t dense, int32_t table) {
    setup s;
    setup_small(&s);
    s.config.uncertainty = HOME_ON;
    s.optimizer.kind = dense;
    s.optimizer.embedding_kind = table;
    s.optimizer.momentum = 0.8;
    s.optimizer.weight_decay = 0.01;
    s.optimizer.clip_norm = 1;
    home_model *whole = train_through(&s, -1, 0);
    static const int points[] = {0, 1, RATE_STEP, RATE_STEP + 1, RESUME_STEPS - 1};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        home_model *resumed = train_through(&s, points[i], HOME_SAVE_OPTIMIZER);
        if (!same_model(whole, resumed))
            test_fail(__FILE__, __LINE__, "not the same after resuming at step %d", points[i]);
        home_model_release(resumed);
    }
    home_model *forgetful = train_through(&s, RATE_STEP, 0);
    CHECK(!same_weights(whole, forgetful)); /* or the comparison sees nothing */
    home_model_release(forgetful);
    home_model_release(whole);
}

static void resuming_changes_no_byte(void) {
    static const int32_t dense[] = {HOME_OPTIMIZER_SGD, HOME_OPTIMIZER_ADAM, HOME_OPTIMIZER_ADAMW,
                                    HOME_OPTIMIZER_ADAGRAD};
    static const int32_t table[] = {HOME_OPTIMIZER_ROWWISE_ADAGRAD, HOME_OPTIMIZER_ADAGRAD,
                                    HOME_OPTIMIZER_ADAM};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++) {
            test_begin("resuming %s and %s goes on as without a stop", dense_kinds[i],
                       table_kinds[k]);
            check_resume(dense[i], table[k]);
            test_end();
        }
}

/* -------------------------------------------------------------------------------- completeness */

static bool is_taken(int32_t dense, int32_t table) {
    setup s;
    home_model *model = NULL;
    setup_small(&s);
    s.optimizer.kind = dense;
    s.optimizer.embedding_kind = table;
    home_model_create(&s.config, &model, NULL);
    home_model_release(model);
    return model != NULL;
}

static size_t bits_of(unsigned bits) {
    size_t count = 0;
    for (; bits; bits &= bits - 1)
        count++;
    return count;
}

/* As many kinds as the configuration takes are on trial in every part of this file, and each names
 * what it keeps: without that, a checkpoint would forget it. */
static void every_kind_is_on_trial(void) {
    size_t dense = 0;
    size_t table = 0;
    unsigned dense_cases = 0;
    unsigned table_cases = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dense_cases |= BIT(cases[i].dense);
        table_cases |= BIT(cases[i].table);
    }
    for (int32_t number = 1; number <= HOME_OPTIMIZER_LAST; number++) {
        const bool of_dense = is_taken(number, 0);
        const bool of_table = is_taken(0, number);
        const char *state = homeoptimizer_traits_of(number)->state[0];
        if (!CHECK(of_dense || of_table) || !CHECK(state && state[0] == '.'))
            printf("kind %d\n", (int)number);
        dense += of_dense;
        table += of_table;
    }
    CHECK(!is_taken(HOME_OPTIMIZER_LAST + 1, 0) && !is_taken(0, HOME_OPTIMIZER_LAST + 1));
    CHECK_INTEGER(sizeof dense_kinds / sizeof *dense_kinds, dense);
    CHECK_INTEGER(sizeof table_kinds / sizeof *table_kinds, table);
    CHECK_INTEGER(bits_of(dense_cases), dense);
    CHECK_INTEGER(bits_of(table_cases), table);
}

int main(void) {
    RUN(every_kind_is_on_trial);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_begin("steps follow the formula: %s", cases[i].name);
        check_case(&cases[i]);
        test_end();
    }
    RUN(zero_rates_move_nothing);
    RUN(bad_rates_are_refused);
    RUN(bad_kinds_are_refused);
    RUN(clipping_takes_any_size);
    resuming_changes_no_byte();
    return test_summary();
}
