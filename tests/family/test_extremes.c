/* Extreme shapes, each with a gradient check along the gradient itself, and how weights start. */
#include "family.h"

/* --------------------------------------------------------------------------------------- shapes */

typedef struct shape {
    const char *name;
    const char *model; /* JSON without the tasks */
    size_t tasks;      /* t0, t1... */
    size_t groups;     /* task t is in group g(t mod groups) */
    size_t dense;
} shape;

#define FOUR_HIDDEN "'hidden':[7,6,5,6]"
/* So deep, some ReLU is always near its kink. */
#define SMOOTH FOUR_HIDDEN ",'activation':'swish'"

static const shape shapes[] = {
    {"64 tasks in 8 groups", "'layers':[{'width':6},{'width':4}]", 64, 8, 11},
    {"64 tasks, each its group",
     "'layers':[{'width':3,'feature_rank':1},{'width':3,'feature_rank':1}]", 64, 64, 5},
    {"64 tasks, mmoe", "'preset':'mmoe','layers':[{'width':6,'shared_experts':8}]", 64, 1, 7},
    {"64 tasks, cgc", "'preset':'cgc','layers':[{'width':6}]", 64, 1, 7},
    {"64 tasks, ple", "'preset':'ple','layers':[{'width':6},{'width':5}]", 64, 1, 7},
    {"64 tasks, adatt", "'preset':'adatt','layers':[{'width':6},{'width':5}]", 64, 1, 7},
    {"64 tasks, shared-bottom", "'preset':'shared-bottom','layers':[{'width':6}]", 64, 1, 7},
    {"one task", "'layers':[{'width':5},{'width':4}]", 1, 1, 9},
    {"rank one", "'layers':[{'width':5,'feature_rank':1},{'width':4,'feature_rank':1}]", 3, 2, 9},
    {"rank above the width",
     "'layers':[{'width':5,'feature_rank':40},{'width':4,'feature_rank':33}]", 3, 2, 9},
    {"one branch of rank one",
     "'layers':[{'width':5,'feature_branches':1,'feature_rank':1},{'width':4,'feature_branches':1}"
     "]",
     3, 2, 9},
    {"nine branches",
     "'layers':[{'width':5,'feature_branches':9},{'width':4,'feature_branches':9}]", 3, 2, 9},
    {"no hidden layers", "'layers':[{'width':5,'hidden':[]},{'width':4}],'tower':{'hidden':[]}", 3,
     2, 9},
    {"four hidden layers everywhere",
     "'layers':[{'width':5," FOUR_HIDDEN "},{'width':4," FOUR_HIDDEN "}],'tower':{" SMOOTH
     "},'gate':{" SMOOTH "},'self_gate':{" SMOOTH "}",
     3, 2, 9},
    {"ple of five levels",
     "'preset':'ple','layers':[{'width':9},{'width':8},{'width':7,'shared_experts':3},{'width':6},{"
     "'width':5}"
     "]",
     3, 1, 9},
    {"adatt-sp of five levels with every cure",
     "'preset':'adatt-sp','experts':{'norm':'batch','activation':'swish'},'layers':["
     "{'width':6,'feature_gates':true},{'width':6,'feature_gates':true},{'width':6,'task_experts':"
     "2},"
     "{'width':6,'feature_gates':true},{'width':6}]",
     3, 1, 9},
    {"one input", "'layers':[{'width':5},{'width':4}]", 3, 2, 1},
    {"widths of one", "'layers':[{'width':1},{'width':1}]", 3, 2, 2},
    {"widths of one, ple",
     "'preset':'ple','experts':{'activation':'swish'},'layers':[{'width':1},{'width':1}]", 3, 1, 1},
    {"many experts",
     "'layers':[{'width':2,'shared_experts':33,'group_experts':17},{'width':2,'shared_experts':40,"
     "'group_experts':1,'task_experts':9}]",
     2, 2, 3},
};

static home_model *make_shape(const shape *s) {
    text t = {.length = 0};
    text_add(&t, "{'seed':11,'dense':%zu,%s,'tasks':[", s->dense, s->model);
    for (size_t k = 0; k < s->tasks; k++)
        text_add(&t, "%s{'name':'t%zu','group':'g%zu'}", k ? "," : "", k, k % s->groups);
    text_add(&t, "]}");
    return model_from(t.bytes);
}

enum { ROWS = 12 };

typedef struct rows {
    float *dense;
    float *labels;
    home_batch batch;
    home_targets targets;
} rows;

static void make_rows(rows *d, const shape *s) {
    uint64_t seed = 2;
    d->dense = malloc(ROWS * s->dense * sizeof(float));
    d->labels = malloc(ROWS * s->tasks * sizeof(float));
    REQUIRE(d->dense && d->labels);
    for (size_t i = 0; i < ROWS * s->dense; i++)
        d->dense[i] = (float)random_between(&seed, -1.5, 1.5);
    for (size_t i = 0; i < ROWS * s->tasks; i++)
        d->labels[i] = (float)(random_bits(&seed) % 2);
    d->batch = (home_batch){.struct_size = sizeof d->batch, .rows = ROWS, .dense = d->dense};
    d->targets = (home_targets){.struct_size = sizeof d->targets, .labels = d->labels};
}

static double total_loss(home_model *model, const rows *d) {
    float losses[64];
    double total = 0;
    REQUIRE(home_model_forward(model, &d->batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &d->targets, losses, NULL) == HOME_OK);
    for (size_t t = 0; t < home_model_task_count(model); t++)
        total += (double)losses[t];
    return total;
}

/* Moves all parameters by `length` along a direction of norm 1. */
static void move(home_model *model, const float *direction, double length) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        if (t.kind != HOME_TENSOR_PARAMETER)
            continue;
        float *values = malloc(tensor_size(&t) * sizeof *values);
        REQUIRE(values);
        for (size_t k = 0; k < tensor_size(&t); k++)
            values[k] =
                (float)((double)t.data[k] + length * (double)direction[t.gradient_offset + k]);
        set_tensor(model, t.name, values, tensor_size(&t));
        free(values);
    }
}

/* The loss rises along the gradient g by |g| for a unit of way. The difference over 2 h has an
 * error of h² L''' / 6, and of the loss's rounding over 2 h; both are far below what is allowed. A
 * kink of a ReLU within h would not be. */
static void check_slope(home_model *model, const rows *d) {
    const double h = 4e-3;
    total_loss(model, d);
    const double norm = home_model_gradient_norm(model);
    size_t count;
    const float *gradients = gradients_of(model, &count);
    float *direction = malloc(count * sizeof *direction);
    REQUIRE(direction);
    for (size_t i = 0; i < count; i++)
        direction[i] = (float)((double)gradients[i] / norm);
    move(model, direction, h);
    const double above = total_loss(model, d);
    move(model, direction, -2 * h);
    const double below = total_loss(model, d);
    move(model, direction, h);
    CHECK(norm > 1e-3);
    CHECK_NEAR((above - below) / (2 * h), norm, 0.005 * norm + 1e-3);
    free(direction);
}

/* Thirty steps lower the loss on the rows they see. */
static void check_learns(home_model *model, const rows *d) {
    const double first = total_loss(model, d);
    double last = first;
    for (int step = 0; step < 30; step++) {
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
        last = total_loss(model, d);
    }
    CHECK(isfinite(first) && isfinite(last));
    CHECK(last < first);
}

/* A frozen copy and a reloaded one predict the same. */
static void check_serving(const home_model *model, const rows *d) {
    home_model *frozen = NULL;
    home_model *loaded = NULL;
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, NULL) == HOME_OK);
    float *expected = predict_all(model, &d->batch);
    float *from_frozen = predict_all(frozen, &d->batch);
    float *from_loaded = predict_all(loaded, &d->batch);
    const size_t count = ROWS * home_model_task_count(model);
    CHECK_BYTES(from_loaded, expected, count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        CHECK(expected[i] > 0 && expected[i] < 1);
        CHECK_NEAR((double)from_frozen[i], (double)expected[i], 1e-5);
    }
    free(expected);
    free(from_frozen);
    free(from_loaded);
    free(bytes);
    home_model_release(frozen);
    home_model_release(loaded);
}

static void check_shape(const shape *s) {
    home_model *model = make_shape(s);
    rows d;
    make_rows(&d, s);
    CHECK_INTEGER(home_model_task_count(model), s->tasks);
    randomize(model, 3);
    check_slope(model, &d);
    check_learns(model, &d);
    check_serving(model, &d);
    free(d.dense);
    free(d.labels);
    home_model_release(model);
}

/* Row r of a batch is what it is alone. */
static void check_alone(const home_model *model, const data *d, const float *all, size_t r) {
    home_ids fields[DATA_FIELDS];
    const home_batch one = data_slice(d, r, 1, fields);
    float *alone = predict_all(model, &one);
    CHECK_BYTES(alone, all + r * 3, 3 * sizeof(float));
    free(alone);
}

/* One huge batch: all predictions are there; samples, the first and the last rows are what they are
 * alone. */
static void a_hundred_thousand_rows_predict_as_alone(void) {
    const size_t count = getenv("TEST_QUICK") ? 4099 : 100003;
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    randomize(model, 8);
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    data d;
    data_create(&d, &s.config, count, 4);
    const home_model *const served[] = {model, frozen};
    for (size_t i = 0; i < 2; i++) {
        float *all = predict_all(served[i], &d.batch);
        for (size_t r = 0; r < count; r += 997)
            check_alone(served[i], &d, all, r);
        for (size_t r = count - 5; r < count; r++)
            check_alone(served[i], &d, all, r);
        for (size_t k = 0; k < count * 3; k++)
            if (!(all[k] > 0 && all[k] < 1))
                test_fail(__FILE__, __LINE__, "prediction %zu is %g", k, (double)all[k]);
        free(all);
    }
    data_free(&d);
    home_model_release(frozen);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------- how weights start */

#define BIG                                                                                        \
    "'tables':[{'name':'id','rows':4000,'dim':5,'init_std':0.2}],'fields':[{'name':'id'}],'"       \
    "uncertainty':"                                                                                \
    "true,"                                                                                        \
    "'layers':[{'width':24,'hidden':[20],'shared_experts':3,'group_experts':2},{'width':16,'task_" \
    "experts':"                                                                                    \
    "2}],"                                                                                         \
    "'tower':{'hidden':[12]},'dense':30,"
#define BIG_TASKS                                                                                  \
    "{'name':'like','group':'inter','base_rate':0.02},{'name':'follow','group':'inter'},"          \
    "{'name':'time','group':'watch','loss':'squared'}"

static home_model *make_big(const char *seed, const char *more, const char *tasks) {
    text t = {.length = 0};
    text_add(&t, "{'seed':%s,%s" BIG "'tasks':[%s]}", seed, more, tasks);
    return model_from(t.bytes);
}

static bool ends_with(const char *string, const char *end) {
    const size_t length = strlen(string);
    return length >= strlen(end) && strcmp(string + length - strlen(end), end) == 0;
}

/* splitmix64's finalizer */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The documented stream of a tensor: numbers in [0, 1). */
static uint64_t stream_of(uint64_t seed, const char *name) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    return mix(hash ^ mix(seed + UINT64_C(0x9e3779b97f4a7c15)));
}

static double next(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return (double)(mix(*state) >> 11) * 0x1p-53;
}

/* The value that all elements start at; NaN for a random start. */
static double constant_start(const char *name) {
    if (ends_with(name, ".norm.weight") || ends_with(name, ".running_var"))
        return 1;
    if (strstr(name, ".norm.") || ends_with(name, ".up.weight") ||
        starts_with(name, "uncertainty."))
        return 0;
    if (strcmp(name, "towers.like.linear.1.bias") == 0)
        return log(0.02 / 0.98);
    return strcmp(name, "towers.follow.linear.1.bias") == 0 ? 0 : NAN;
}

/* Inputs of the linear layer that a weight or bias belongs to. */
static double fan_in(const home_model *model, const home_tensor *t) {
    if (t->rank == 2)
        return (double)t->shape[1];
    char weight[160];
    snprintf(weight, sizeof weight, "%.*sweight", (int)(strlen(t->name) - strlen("bias")), t->name);
    return (double)tensor_of(model, weight).shape[1];
}

static void check_start(const home_model *model, const home_tensor *t, uint64_t seed) {
    const double constant = constant_start(t->name);
    const double bound =
        isnan(constant) && t->kind == HOME_TENSOR_PARAMETER ? 1 / sqrt(fan_in(model, t)) : 0;
    uint64_t state = stream_of(seed, t->name);
    for (size_t k = 0; k < tensor_size(t); k++) {
        double expected = constant;
        if (t->kind == HOME_TENSOR_TABLE) {
            const double radius = sqrt(-2 * log(1 - next(&state)));
            expected = 0.2 * radius * cos(6.283185307179586 * next(&state));
        } else if (isnan(constant)) {
            expected = bound * (2 * next(&state) - 1);
        }
        if (!(fabs((double)t->data[k] - expected) <= 1e-6 * fabs(expected)))
            test_fail(__FILE__, __LINE__, "%s[%zu] starts at %.9g, expected %.9g", t->name, k,
                      (double)t->data[k], expected);
    }
}

static void starts_are_as_documented(void) {
    home_model *model = make_big("5", "", BIG_TASKS);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        check_start(model, &t, 5);
    }
    home_model_release(model);
}

/* Means, spreads and tails, whatever the stream. */
static void starts_have_their_distribution(void) {
    home_model *model = make_big("6", "'feature_gate':{'init':'uniform'},", BIG_TASKS);
    size_t checked = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        const double n = (double)tensor_size(&t);
        if (t.rank != 2 || n < 200)
            continue;
        const bool table = t.kind == HOME_TENSOR_TABLE;
        const double bound = 1 / sqrt((double)t.shape[1]);
        const double deviation = table ? 0.2 : bound / sqrt(3);
        double mean = 0;
        double square = 0;
        double far = 0; /* beyond two standard deviations, or nine tenths of the bound */
        for (size_t k = 0; k < tensor_size(&t); k++) {
            const double x = (double)t.data[k];
            mean += x / n;
            square += x * x / n;
            far += fabs(x) > (table ? 0.4 : 0.9 * bound) ? 1 / n : 0;
            if (!table)
                CHECK(fabs(x) <= bound * (1 + 1e-7));
        }
        const double far_expected = table ? 0.0455 : 0.1;
        CHECK_NEAR(mean, 0, 5 * deviation / sqrt(n));
        CHECK_NEAR(sqrt(square), deviation, 5 * deviation / sqrt(n));
        CHECK_NEAR(far, far_expected, 5 * sqrt(far_expected / n));
        checked += strstr(t.name, ".up.weight") || table;
    }
    CHECK(checked > 5);
    home_model_release(model);
}

/* No two tensors with a random start share a beginning, whatever their shapes: no two experts,
 * gates or towers are alike. */
static void no_two_starts_are_alike(void) {
    home_model *model = make_big("7", "", BIG_TASKS);
    const size_t count = home_model_tensor_count(model);
    for (size_t i = 0; i < count; i++) {
        const home_tensor a = tensor_number(model, i);
        if (!isnan(constant_start(a.name)))
            continue;
        for (size_t j = 0; j < i; j++) {
            const home_tensor b = tensor_number(model, j);
            if (!isnan(constant_start(b.name)))
                continue;
            const size_t smaller =
                tensor_size(&a) < tensor_size(&b) ? tensor_size(&a) : tensor_size(&b);
            size_t same = 0;
            for (size_t k = 0; k < smaller; k++)
                same += a.data[k] == b.data[k];
            if (same > smaller / 100)
                test_fail(__FILE__, __LINE__, "%s and %s share %zu of %zu values", a.name, b.name,
                          same, smaller);
        }
    }
    home_model_release(model);
}

static void seeds_decide_the_starts(void) {
    static const char *const seeds[] = {"0", "1", "2", "18446744073709551615"};
    for (size_t i = 0; i < 4; i++) {
        home_model *a = make_big(seeds[i], "", BIG_TASKS);
        home_model *again = make_big(seeds[i], "", BIG_TASKS);
        CHECK(same_model(a, again));
        for (size_t j = 0; j < i; j++) {
            home_model *b = make_big(seeds[j], "", BIG_TASKS);
            for (size_t k = 0; k < home_model_tensor_count(a); k++) {
                const home_tensor x = tensor_number(a, k);
                const home_tensor y = tensor_number(b, k);
                if (isnan(constant_start(x.name)) && x.data[0] == y.data[0])
                    test_fail(__FILE__, __LINE__, "%s starts alike for seeds %s and %s", x.name,
                              seeds[i], seeds[j]);
            }
            home_model_release(b);
        }
        home_model_release(a);
        home_model_release(again);
    }
}

/* Whatever is added, tensors that keep their name and shape keep their start; only gates that see
 * more experts, and what reads another width, change shape. */
static void additions_leave_the_other_starts(void) {
    static const char *const additions[][2] = {
        {"another task", ",{'name':'share','group':'inter'}"},
        {"another group", ",{'name':'share','group':'social'}"},
    };
    home_model *before = make_big("9", "", BIG_TASKS);
    for (size_t i = 0; i < 2; i++) {
        text tasks = {.length = 0};
        text_add(&tasks, "%s%s", BIG_TASKS, additions[i][1]);
        home_model *after = make_big("9", "", tasks.bytes);
        CHECK(home_model_tensor_count(after) > home_model_tensor_count(before));
        for (size_t k = 0; k < home_model_tensor_count(before); k++) {
            const home_tensor x = tensor_number(before, k);
            home_tensor y;
            if (!CHECK(find_tensor(after, x.name, &y)))
                continue;
            if (tensor_size(&x) == tensor_size(&y))
                CHECK_BYTES(y.data, x.data, tensor_size(&x) * sizeof(float));
            else /* the node `shared` sees the new group's experts */
                CHECK(i == 1 && starts_with(x.name, "layers.0.nodes.shared.gate."));
        }
        home_model_release(after);
    }
    home_model_release(before);
}

int main(void) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        test_begin("a model trains, saves and serves: %s", shapes[i].name);
        check_shape(&shapes[i]);
        test_end();
    }
    RUN(a_hundred_thousand_rows_predict_as_alone);
    RUN(starts_are_as_documented);
    RUN(starts_have_their_distribution);
    RUN(no_two_starts_are_alike);
    RUN(seeds_decide_the_starts);
    RUN(additions_leave_the_other_starts);
    return test_summary();
}
