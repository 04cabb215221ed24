/* The library against golden files: inputs, outputs, every gradient and ten optimizer steps of a
 * PyTorch implementation of the model in float64. generate.py says what the files hold, golden.py
 * their format.
 *
 * Run in the top folder of the source tree. */
#include "home/home.h"
#include "test.h"

#include <stdint.h>

#define FOLDER     "tests/golden/"
#define MAX_TASKS  8
#define MAX_FIELDS 4
#define STEPS      10

/* The library computes in float32, whose unit roundoff u is 6e-8. The longest sums here have some
 * 40 terms and a path through the model some 10 such sums one after the other, so u times a few
 * tens is what a value is off: 1e-6, relative to the largest values around it. The limits leave
 * room for other orders of summation and other libms; a wrong formula is off by 1e-2 or more.
 *
 * Gradients are compared relative to the largest of their tensor, as small ones come from
 * cancelling large terms. A tensor whose gradient is 0 in exact arithmetic, such as the bias before
 * a batch norm or the gate over a single expert, gets noise of the order of u times the model's
 * largest gradient. */
#define PROBABILITY_LIMIT 1e-5
#define GRADIENT_LIMIT    1e-4
#define GRADIENT_NOISE    1e-6

/* Adam's first steps are near lr * sign(g), which magnifies the error of a gradient close to 0; the
 * limit is relative to the largest move in the tensor, but for the rounding of the value itself, at
 * most 1e-6 in ten steps for values up to 2. */
#define STEP_LIMIT 1e-3
#define STEP_NOISE 1e-6

/* ------------------------------------------------------------------------------------ the files */

typedef enum record_type { RECORD_TEXT, RECORD_FLOAT, RECORD_UINT64 } record_type;

typedef struct record {
    char name[128];
    record_type type;
    size_t count;
    union {
        char *text; /* ends in a zero byte */
        float *floats;
        uint64_t *integers;
    } as;
} record;

typedef struct golden {
    record *records;
    size_t count;
} golden;

typedef struct bytes {
    unsigned char *data;
    size_t size;
    size_t at;
} bytes;

static uint64_t take_integer(bytes *in, size_t size) {
    REQUIRE(size <= in->size - in->at);
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)in->data[in->at + i] << (8 * i);
    in->at += size;
    return value;
}

static float take_float(bytes *in) {
    const uint32_t bits = (uint32_t)take_integer(in, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count + 1, size);
    REQUIRE(memory);
    return memory;
}

static void skip_padding(bytes *in) {
    while (in->at % 8 != 0)
        (void)take_integer(in, 1);
}

static void take_record(bytes *in, record *r) {
    const uint64_t type = take_integer(in, 4);
    const size_t length = (size_t)take_integer(in, 4);
    r->count = (size_t)take_integer(in, 8);
    REQUIRE(length < sizeof r->name && r->count <= in->size && type <= RECORD_UINT64);
    r->type = (record_type)type;
    for (size_t i = 0; i < length; i++)
        r->name[i] = (char)take_integer(in, 1);
    skip_padding(in);
    if (r->type == RECORD_TEXT) {
        r->as.text = allocate(r->count, 1);
        for (size_t i = 0; i < r->count; i++)
            r->as.text[i] = (char)take_integer(in, 1);
    } else if (r->type == RECORD_FLOAT) {
        r->as.floats = allocate(r->count, sizeof(float));
        for (size_t i = 0; i < r->count; i++)
            r->as.floats[i] = take_float(in);
    } else {
        r->as.integers = allocate(r->count, sizeof(uint64_t));
        for (size_t i = 0; i < r->count; i++)
            r->as.integers[i] = take_integer(in, 8);
    }
    skip_padding(in);
}

static bytes read_bytes(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        printf("cannot open %s\n", path);
    REQUIRE(file && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    REQUIRE(size > 0 && fseek(file, 0, SEEK_SET) == 0);
    bytes read = {allocate((size_t)size, 1), (size_t)size, 0};
    REQUIRE(fread(read.data, 1, read.size, file) == read.size);
    fclose(file);
    return read;
}

static golden golden_read(const char *path) {
    bytes in = read_bytes(path);
    REQUIRE(in.size >= 16 && memcmp(in.data, "HOMEGOLD", 8) == 0);
    in.at = 8;
    REQUIRE(take_integer(&in, 4) == 1); /* version */
    golden g = {NULL, (size_t)take_integer(&in, 4)};
    REQUIRE(g.count <= in.size);
    g.records = allocate(g.count, sizeof *g.records);
    for (size_t i = 0; i < g.count; i++)
        take_record(&in, &g.records[i]);
    REQUIRE(in.at == in.size);
    free(in.data);
    return g;
}

static void golden_free(golden *g) {
    for (size_t i = 0; i < g->count; i++)
        free(g->records[i].as.text);
    free(g->records);
}

/* NULL where there is none. */
static const record *golden_find(const golden *g, const char *prefix, const char *name) {
    const size_t length = strlen(prefix);
    for (size_t i = 0; i < g->count; i++)
        if (strncmp(g->records[i].name, prefix, length) == 0 &&
            strcmp(g->records[i].name + length, name) == 0)
            return &g->records[i];
    return NULL;
}

static const record *golden_get(const golden *g, const char *prefix, const char *name) {
    const record *r = golden_find(g, prefix, name);
    if (!r)
        printf("%s: no record \"%s%s\"\n", test_state.name, prefix, name);
    REQUIRE(r);
    return r;
}

/* -------------------------------------------------------------------------------- a case's data */

/* Points into a golden file and into itself: not to be copied. */
typedef struct data {
    home_ids fields[MAX_FIELDS];
    size_t *offsets[MAX_FIELDS]; /* its own */
    home_batch batch;
    home_targets targets;
} data;

static void data_init(data *d, const golden *g, const home_model *model, const char *prefix) {
    const size_t rows = golden_get(g, prefix, "row_weights")->count;
    const size_t fields = home_model_field_count(model);
    REQUIRE(fields <= MAX_FIELDS);
    for (size_t f = 0; f < fields; f++) {
        char name[64];
        snprintf(name, sizeof name, "offsets/%s", home_model_field_name(model, f));
        const record *offsets = golden_get(g, prefix, name);
        REQUIRE(offsets->count == rows + 1);
        d->offsets[f] = allocate(rows + 1, sizeof(size_t));
        for (size_t r = 0; r <= rows; r++)
            d->offsets[f][r] = (size_t)offsets->as.integers[r];
        snprintf(name, sizeof name, "ids/%s", home_model_field_name(model, f));
        d->fields[f] = (home_ids){.struct_size = sizeof(home_ids),
                                  .ids = golden_get(g, prefix, name)->as.integers,
                                  .offsets = d->offsets[f]};
    }
    d->batch = (home_batch){.struct_size = sizeof d->batch,
                            .rows = rows,
                            .dense = golden_get(g, prefix, "dense")->as.floats,
                            .fields = fields > 0 ? d->fields : NULL,
                            .field_count = fields};
    d->targets = (home_targets){.struct_size = sizeof d->targets,
                                .labels = golden_get(g, prefix, "labels")->as.floats,
                                .row_weights = golden_get(g, prefix, "row_weights")->as.floats,
                                .weights = golden_get(g, prefix, "weights")->as.floats};
}

static void data_free(data *d) {
    for (size_t f = 0; f < d->batch.field_count; f++)
        free(d->offsets[f]);
}

/* ------------------------------------------------------------------------------------ comparing */

static bool check_ok(home_status status, const home_error *error, const char *what) {
    if (status == HOME_OK)
        return true;
    test_fail(__FILE__, __LINE__, "%s: %s", what, error->message);
    return false;
}

static double largest(const float *x, size_t count) {
    double max = 0;
    for (size_t i = 0; i < count; i++)
        max = fmax(max, fabs((double)x[i]));
    return max;
}

/* All of `actual` within `limit` of `expected`; one line for the first that is not. */
static void check_all(const float *actual, const float *expected, size_t count, double limit,
                      const char *what, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)actual[i] - (double)expected[i]) <= limit)) { /* NaN too */
            test_fail(__FILE__, __LINE__,
                      "%s %s, element %zu of %zu: %.9g, expected %.9g, allowed %.3g", what, name, i,
                      count, (double)actual[i], (double)expected[i], limit);
            return;
        }
}

/* The parts of a tensor's record; see generate.py. */
typedef enum tensor_part { AT_START, GRADIENT, AT_END, PARTS } tensor_part;

static home_tensor tensor_at(const home_model *model, size_t i) {
    home_tensor tensor = {.struct_size = sizeof tensor};
    REQUIRE(home_model_tensor_at(model, i, &tensor, NULL) == HOME_OK);
    return tensor;
}

static size_t size_of(const home_tensor *tensor) {
    return (size_t)(tensor->shape[0] * tensor->shape[1]);
}

/* The model's tensors are those of the file. */
static bool check_tensors(const golden *g, const home_model *model) {
    size_t expected = 0;
    for (size_t i = 0; i < g->count; i++)
        expected += strncmp(g->records[i].name, "tensor/", 7) == 0;
    bool same = CHECK_INTEGER(home_model_tensor_count(model), expected);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor tensor = tensor_at(model, i);
        const record *r = golden_find(g, "tensor/", tensor.name);
        if (!r || r->type != RECORD_FLOAT || r->count != size_of(&tensor) * PARTS) {
            test_fail(__FILE__, __LINE__, "%s of %zu elements: the file has %zu", tensor.name,
                      size_of(&tensor), r ? r->count / PARTS : 0);
            same = false;
        }
    }
    return same;
}

static const float *part_of(const golden *g, const home_tensor *tensor, tensor_part part) {
    return golden_get(g, "tensor/", tensor->name)->as.floats + (size_t)part * size_of(tensor);
}

static void set_tensors(const golden *g, home_model *model) {
    home_error error = {.struct_size = sizeof error};
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor tensor = tensor_at(model, i);
        check_ok(home_model_set_tensor(model, tensor.name, part_of(g, &tensor, AT_START),
                                       size_of(&tensor), &error),
                 &error, tensor.name);
    }
}

/* Predictions in inference mode, of the model and of a frozen copy. */
static void check_serving(const golden *g, const home_model *model, const home_batch *batch,
                          const char *name, double limit) {
    home_error error = {.struct_size = sizeof error};
    const record *expected = golden_get(g, name, "");
    float *predictions = allocate(expected->count, sizeof *predictions);
    home_model *frozen = NULL;
    if (check_ok(home_model_predict(model, batch, predictions, 0, NULL, &error), &error, "predict"))
        check_all(predictions, expected->as.floats, expected->count, limit, "predictions", name);
    if (check_ok(home_model_freeze(model, &frozen, &error), &error, "freeze") &&
        check_ok(home_model_predict(frozen, batch, predictions, 0, NULL, &error), &error,
                 "frozen predict"))
        check_all(predictions, expected->as.floats, expected->count, limit, "frozen predictions",
                  name);
    home_model_release(frozen);
    free(predictions);
}

static void check_table_gradient(const golden *g, home_model *model, const home_tensor *tensor,
                                 double noise) {
    char table[64];
    REQUIRE(sscanf(tensor->name, "embeddings.%63[^.].weight", table) == 1);
    const record *touched = golden_get(g, "touched/", table);
    const float *expected = part_of(g, tensor, GRADIENT);
    const double limit = GRADIENT_LIMIT * largest(expected, size_of(tensor)) + noise;
    home_gradient actual = {.struct_size = sizeof actual};
    home_error error = {.struct_size = sizeof error};
    if (!check_ok(
            home_model_table_gradient(model, home_model_table_index(model, table), &actual, &error),
            &error, table) ||
        !CHECK_INTEGER(actual.rows, touched->count) ||
        !CHECK_INTEGER(actual.width, tensor->shape[1]))
        return;
    for (size_t i = 0; i < actual.rows; i++)
        if (CHECK_INTEGER(actual.ids[i], touched->as.integers[i]))
            check_all(actual.data + i * actual.stride, expected + actual.ids[i] * actual.width,
                      actual.width, limit, "gradient", tensor->name);
}

static double noise_of(const golden *g, const home_model *model) {
    double max = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor tensor = tensor_at(model, i);
        if (tensor.kind != HOME_TENSOR_STATISTIC)
            max = fmax(max, largest(part_of(g, &tensor, GRADIENT), size_of(&tensor)));
    }
    return GRADIENT_NOISE * max;
}

/* The gradients of the last backward, and the running statistics. The gradients of the
 * uncertainties are not there when the host gives dLoss/dlogit. */
static void check_gradients(const golden *g, home_model *model, size_t rows, bool uncertainties) {
    home_error error = {.struct_size = sizeof error};
    const double noise = noise_of(g, model);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor tensor = tensor_at(model, i);
        const float *expected = part_of(g, &tensor, GRADIENT);
        const double scale = largest(expected, size_of(&tensor));
        if (tensor.kind == HOME_TENSOR_TABLE)
            check_table_gradient(g, model, &tensor, noise);
        else if (tensor.kind == HOME_TENSOR_STATISTIC)
            check_all(tensor.data, expected, size_of(&tensor), PROBABILITY_LIMIT * fmax(scale, 1),
                      "statistic", tensor.name);
        else if (uncertainties || strncmp(tensor.name, "uncertainty.", 12) != 0)
            check_all(tensor.gradient, expected, size_of(&tensor), GRADIENT_LIMIT * scale + noise,
                      "gradient", tensor.name);
    }
    const record *dinput = golden_find(g, "dinput", "");
    home_gradient actual = {.struct_size = sizeof actual};
    if (!dinput || !check_ok(home_model_input_gradient(model, &actual, &error), &error, "dinput"))
        return;
    const size_t width = home_model_dense_width(model);
    const double limit = GRADIENT_LIMIT * largest(dinput->as.floats, dinput->count) + noise;
    for (size_t r = 0; r < rows; r++)
        check_all(actual.data + r * actual.stride, dinput->as.floats + r * width, width, limit,
                  "dinput", "");
}

/* Forward and backward in training mode, then once more with the derivatives by the logits
 * given. */
static void check_training(const golden *g, home_model *model, const data *d) {
    home_error error = {.struct_size = sizeof error};
    const record *expected = golden_get(g, "predictions", "");
    const record *losses = golden_get(g, "losses", "");
    const record *dlogits = golden_get(g, "dlogits", "");
    float *predictions = allocate(expected->count, sizeof *predictions);
    float task_losses[MAX_TASKS];
    REQUIRE(losses->count <= MAX_TASKS);
    if (check_ok(home_model_forward(model, &d->batch, predictions, 0, &error), &error, "forward"))
        check_all(predictions, expected->as.floats, expected->count, PROBABILITY_LIMIT,
                  "predictions", "");
    if (check_ok(home_model_backward(model, &d->targets, task_losses, &error), &error,
                 "backward")) {
        check_all(task_losses, losses->as.floats, losses->count, PROBABILITY_LIMIT, "losses", "");
        check_gradients(g, model, d->batch.rows, true);
    }
    set_tensors(g, model); /* the running statistics have moved */
    if (check_ok(home_model_forward(model, &d->batch, NULL, 0, &error), &error, "forward") &&
        check_ok(home_model_backward_from(model, dlogits->as.floats, 0, 0, &error), &error,
                 "backward_from"))
        check_gradients(g, model, d->batch.rows, false);
    free(predictions);
}

/* Ten steps from the start, on the two batches in turn. */
static void check_steps(const golden *g, home_model *model, const data batches[2]) {
    home_error error = {.struct_size = sizeof error};
    const record *curve = golden_get(g, "steps", "");
    const size_t tasks = curve->count / STEPS;
    float losses[MAX_TASKS];
    set_tensors(g, model);
    for (size_t step = 0; step < STEPS; step++) {
        const data *d = &batches[step % 2];
        if (!check_ok(home_model_forward(model, &d->batch, NULL, 0, &error), &error, "forward") ||
            !check_ok(home_model_backward(model, &d->targets, losses, &error), &error,
                      "backward") ||
            !check_ok(home_model_step(model, &error), &error, "step"))
            return;
        const float *expected = curve->as.floats + step * tasks;
        check_all(losses, expected, tasks, STEP_LIMIT, "losses of a step", "");
    }
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor tensor = tensor_at(model, i);
        const float *start = part_of(g, &tensor, AT_START);
        const float *end = part_of(g, &tensor, AT_END);
        double max = 0;
        for (size_t j = 0; j < size_of(&tensor); j++)
            max = fmax(max, fabs((double)end[j] - (double)start[j]));
        check_all(tensor.data, end, size_of(&tensor), STEP_LIMIT * max + STEP_NOISE,
                  "after ten steps", tensor.name);
    }
    check_serving(g, model, &batches[0].batch, "final_serving", STEP_LIMIT);
}

static void check_file(const char *name) {
    char path[192];
    snprintf(path, sizeof path, FOLDER "%s.golden", name);
    test_begin("golden values are met: %s", name);
    golden g = golden_read(path);
    const record *config = golden_get(&g, "config", "");
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    if (check_ok(home_model_create_json(config->as.text, config->count, NULL, &model, &error),
                 &error, "create")) {
        data batches[2];
        data_init(&batches[0], &g, model, "batch0/");
        data_init(&batches[1], &g, model, "batch1/");
        if (check_tensors(&g, model)) {
            set_tensors(&g, model);
            check_serving(&g, model, &batches[0].batch, "serving", PROBABILITY_LIMIT);
            check_training(&g, model, &batches[0]);
            check_steps(&g, model, batches);
        }
        data_free(&batches[0]);
        data_free(&batches[1]);
        home_model_release(model);
    }
    golden_free(&g);
    test_end();
}

int main(void) {
    bytes index = read_bytes(FOLDER "index.txt"); /* ends in a zero byte */
    for (char *name = strtok((char *)index.data, "\n"); name; name = strtok(NULL, "\n"))
        check_file(name);
    free(index.data);
    return test_summary();
}
