#include "unit/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) {
        printf("fixture: out of memory\n");
        exit(1);
    }
    return memory;
}

static void expect(home_status status, const home_error *error, const char *what) {
    if (status == HOME_OK)
        return;
    printf("fixture: %s: status %d: %s\n", what, (int)status, error->message);
    exit(1);
}

home_error new_error(void) {
    return (home_error){.struct_size = sizeof(home_error)};
}

/* --------------------------------------------------------------------------------------- random */

/* splitmix64 */
uint64_t random_bits(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double random_between(uint64_t *state, double low, double high) {
    return low + (high - low) * (double)(random_bits(state) >> 11) * 0x1p-53;
}

static float random_float(uint64_t *state, double low, double high) {
    return (float)random_between(state, low, high);
}

/* ------------------------------------------------------------------------------- configurations */

const char full_json[] =
    "{\"preset\":\"home\",\"seed\":1,\"dense\":5,"
    "\"tables\":[{\"name\":\"user\",\"rows\":100,\"dim\":3,\"index\":\"hashed\",\"init_std\":0.01}]"
    ","
    "\"fields\":[{\"name\":\"user\",\"table\":\"user\",\"pooling\":\"mean\"}],"
    "\"tasks\":[{\"name\":\"like\",\"group\":\"inter\",\"weight\":2,\"loss\":\"bce\",\"base_rate\":"
    "0.02},"
    "{\"name\":\"view\",\"group\":\"watch\"}],"
    "\"layers\":[{\"width\":6,\"hidden\":[7],\"shared_experts\":2,\"group_experts\":3,"
    "\"feature_gates\":true,\"feature_branches\":3,\"feature_rank\":2},{\"width\":4}],"
    "\"swish_beta\":1,\"experts\":{\"norm\":\"batch\",\"activation\":\"swish\",\"hidden_"
    "activation\":\"relu\","
    "\"bias_before_norm\":false,\"norm_epsilon\":1e-5,\"norm_momentum\":0.1},"
    "\"feature_gate\":{\"order\":\"mix_first\",\"init\":\"zero\"},"
    "\"gate\":{\"hidden\":[3],\"activation\":\"relu\",\"input\":\"raw\"},"
    "\"self_gate\":{\"on\":true,\"hidden\":[2,2],\"activation\":\"swish\",\"input\":\"gated\"},"
    "\"tower\":{\"hidden\":[16],\"activation\":\"relu\"},"
    "\"optimizer\":{\"kind\":\"adam\",\"learning_rate\":1e-3,\"beta1\":0.9,\"beta2\":0.999,"
    "\"epsilon\":1e-8,\"clip_norm\":0.5,\"embedding_kind\":\"rowwise_adagrad\","
    "\"embedding_learning_rate\":0.02,\"embedding_epsilon\":1e-9}}";

void setup_small(setup *s) {
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < 3; i++) {
        s->tables[i].struct_size = sizeof s->tables[i];
        s->fields[i].struct_size = sizeof s->fields[i];
        s->layers[i].struct_size = sizeof s->layers[i];
    }
    for (size_t i = 0; i < SETUP_TASKS; i++)
        s->tasks[i].struct_size = sizeof s->tasks[i];
    s->optimizer.struct_size = sizeof s->optimizer;

    s->tables[0].name = "user";
    s->tables[0].rows = 11;
    s->tables[0].dim = 3;
    s->tables[1].name = "tag";
    s->tables[1].rows = 13;
    s->tables[1].dim = 2;
    s->tables[1].index = HOME_INDEX_HASHED;
    s->fields[0].name = "user";
    s->fields[1].name = "tags";
    s->fields[1].table = "tag";
    s->fields[1].pooling = HOME_POOL_MEAN;
    s->fields[2].name = "seen_tags";
    s->fields[2].table = "tag";

    s->tasks[0].name = "like";
    s->tasks[0].group = "inter";
    s->tasks[1].name = "follow";
    s->tasks[1].group = "inter";
    s->tasks[1].weight = 0.5;
    s->tasks[2].name = "view";
    s->tasks[2].group = "watch";

    s->hidden[0][0] = 6;
    s->layers[0].width = 4;
    s->layers[0].hidden = s->hidden[0];
    s->layers[0].hidden_count = 1;
    s->layers[0].shared_experts = 2;
    s->layers[0].group_experts = 2;
    s->layers[1].width = 3;
    s->layers[1].hidden = s->hidden[1];
    s->layers[1].shared_experts = 2;
    s->layers[1].task_experts = 2;
    s->tower_hidden[0] = 5;

    s->config = (home_config){
        .struct_size = sizeof s->config,
        .seed = 7,
        .dense_width = 5,
        .tables = s->tables,
        .table_count = 2,
        .fields = s->fields,
        .field_count = 3,
        .tasks = s->tasks,
        .task_count = 3,
        .layers = s->layers,
        .layer_count = 2,
        .gate_hidden = s->gate_hidden,
        .self_gate_hidden = s->self_gate_hidden,
        .tower_hidden = s->tower_hidden,
        .tower_hidden_count = 1,
        .optimizer = &s->optimizer,
    };
}

void setup_dense(setup *s, size_t width) {
    setup_small(s);
    s->config.dense_width = width;
    s->config.tables = NULL;
    s->config.table_count = 0;
    s->config.fields = NULL;
    s->config.field_count = 0;
}

void setup_tasks(setup *s, size_t count, const char *const *groups, size_t group_count) {
    for (size_t t = 0; t < count; t++) {
        snprintf(s->task_names[t], sizeof s->task_names[t], "t%u", (unsigned)t % SETUP_TASKS);
        s->tasks[t].name = s->task_names[t];
        s->tasks[t].group = groups[t % group_count];
        s->tasks[t].weight = 0.4 + 0.3 * (double)t;
    }
    s->config.task_count = count;
}

home_model *make_model(const setup *s) {
    home_error error = new_error();
    home_model *model = NULL;
    expect(home_model_create(&s->config, &model, &error), &error, "create");
    return model;
}

size_t tensor_size(const home_tensor *tensor) {
    return (size_t)(tensor->shape[0] * tensor->shape[1]);
}

float *gradients_of(home_model *model, size_t *count) {
    home_error error = new_error();
    home_gradient g = {.struct_size = sizeof g};
    expect(home_model_gradient(model, &g, &error), &error, "gradient");
    *count = g.width;
    return g.data;
}

home_gradient table_gradient_of(home_model *model, const char *table) {
    home_error error = new_error();
    home_gradient g = {.struct_size = sizeof g};
    expect(home_model_table_gradient(model, home_model_table_index(model, table), &g, &error),
           &error, table);
    return g;
}

home_tensor tensor_of(const home_model *model, const char *name) {
    home_error error = new_error();
    home_tensor tensor = {.struct_size = sizeof tensor};
    expect(home_model_tensor(model, name, &tensor, &error), &error, name);
    return tensor;
}

static home_tensor tensor_number(const home_model *model, size_t index) {
    home_error error = new_error();
    home_tensor tensor = {.struct_size = sizeof tensor};
    expect(home_model_tensor_at(model, index, &tensor, &error), &error, "tensor");
    return tensor;
}

static void set(home_model *model, const char *name, const float *values, size_t count) {
    home_error error = new_error();
    expect(home_model_set_tensor(model, name, values, count, &error), &error, name);
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

void randomize(home_model *model, uint64_t seed) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        double low = -0.4;
        double high = 0.4;
        if (ends_with(t.name, ".norm.weight") || ends_with(t.name, ".running_var")) {
            low = 0.5;
            high = 1.5;
        } else if (t.kind == HOME_TENSOR_PARAMETER && t.shape[1] > 1) {
            high = 2.0 / sqrt((double)t.shape[1]);
            low = -high;
        }
        float *values = allocate(tensor_size(&t), sizeof *values);
        for (size_t k = 0; k < tensor_size(&t); k++)
            values[k] = random_float(&seed, low, high);
        set(model, t.name, values, tensor_size(&t));
        free(values);
    }
}

void copy_tensors(home_model *to, const home_model *from) {
    for (size_t i = 0; i < home_model_tensor_count(to); i++) {
        const home_tensor t = tensor_number(to, i);
        const home_tensor source = tensor_of(from, t.name);
        set(to, t.name, source.data, tensor_size(&source));
    }
}

/* ----------------------------------------------------------------------------------------- rows */

static const home_table_config *table_of(const home_config *config,
                                         const home_field_config *field) {
    const char *name = field->table ? field->table : field->name;
    for (size_t i = 0; i < config->table_count; i++)
        if (strcmp(config->tables[i].name, name) == 0)
            return &config->tables[i];
    printf("fixture: no table %s\n", name);
    exit(1);
}

/* From few distinct ids, so that they repeat. */
static uint64_t random_id(const home_table_config *table, uint64_t *state) {
    if (table->index != HOME_INDEX_HASHED)
        return random_bits(state) % table->rows;
    uint64_t seed = random_bits(state) % 20;
    return random_bits(&seed);
}

static void fill_field(data *d, size_t f, const home_config *config, size_t rows, uint64_t *state) {
    const home_table_config *table = table_of(config, &config->fields[f]);
    const bool one_each = f == 0;
    d->ids[f] = allocate(rows * 3, sizeof *d->ids[f]);
    d->offsets[f] = one_each ? NULL : allocate(rows + 1, sizeof *d->offsets[f]);
    size_t count = 0;
    for (size_t row = 0; row < rows; row++) {
        const size_t ids = one_each ? 1 : (size_t)(random_bits(state) % 4);
        for (size_t i = 0; i < ids; i++)
            d->ids[f][count++] = random_id(table, state);
        if (!one_each)
            d->offsets[f][row + 1] = count;
    }
    d->fields[f] =
        (home_ids){.struct_size = sizeof(home_ids), .ids = d->ids[f], .offsets = d->offsets[f]};
}

static float random_label(uint64_t *state, bool live) {
    const uint64_t draw = random_bits(state) % 10;
    if (draw < 2 && !live)
        return NAN;
    return draw < 5 ? 1.0f : draw < 9 ? 0.0f : 0.25f;
}

/* [rows, width] with a stride of width + gap. */
static float *new_rows(size_t rows, size_t stride) {
    float *values = allocate(rows * stride, sizeof *values);
    for (size_t i = 0; i < rows * stride; i++)
        values[i] = NAN;
    return values;
}

void data_create(data *d, const home_config *config, size_t rows, uint64_t seed) {
    const size_t tasks = config->task_count;
    const size_t dense_stride = config->dense_width + 3;
    const size_t label_stride = tasks + 2;
    const size_t weight_stride = tasks + 1;
    memset(d, 0, sizeof *d);
    d->dense = new_rows(rows, dense_stride);
    d->labels = new_rows(rows, label_stride);
    d->weights = new_rows(rows, weight_stride);
    d->row_weights = allocate(rows, sizeof *d->row_weights);
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < config->dense_width; i++)
            d->dense[row * dense_stride + i] = random_float(&seed, -1.5, 1.5);
        for (size_t t = 0; t < tasks; t++) {
            d->labels[row * label_stride + t] = random_label(&seed, row == 0);
            d->weights[row * weight_stride + t] = random_float(&seed, 0.2, 1.2);
        }
        d->row_weights[row] = random_float(&seed, 0.1, 2);
    }
    for (size_t f = 0; f < config->field_count; f++)
        fill_field(d, f, config, rows, &seed);
    d->batch = (home_batch){.struct_size = sizeof d->batch,
                            .rows = rows,
                            .dense = config->dense_width ? d->dense : NULL,
                            .dense_stride = dense_stride,
                            .fields = config->field_count ? d->fields : NULL,
                            .field_count = config->field_count};
    d->targets = (home_targets){.struct_size = sizeof d->targets,
                                .labels = d->labels,
                                .label_stride = label_stride,
                                .row_weights = d->row_weights,
                                .weights = d->weights,
                                .weight_stride = weight_stride};
}

void data_weigh_ids(data *d, const home_config *config, uint64_t seed) {
    for (size_t f = 0; f < config->field_count; f++) {
        home_ids *field = &d->fields[f];
        const double low = config->fields[f].pooling == HOME_POOL_MEAN ? 0.1 : -1.5;
        field->count = field->offsets ? field->offsets[d->batch.rows] : d->batch.rows;
        d->id_weights[f] = allocate(field->count + 1, sizeof *d->id_weights[f]);
        for (size_t i = 0; i < field->count; i++)
            d->id_weights[f][i] =
                random_bits(&seed) % 5 == 0 ? 0.0f : random_float(&seed, low, 1.5);
        field->weights = d->id_weights[f];
    }
}

void data_free(data *d) {
    free(d->dense);
    free(d->labels);
    free(d->weights);
    free(d->row_weights);
    for (size_t f = 0; f < DATA_FIELDS; f++) {
        free(d->id_weights[f]);
        free(d->ids[f]);
        free(d->offsets[f]);
    }
}

home_batch data_slice(const data *d, size_t first, size_t count, home_ids *fields) {
    home_batch slice = d->batch;
    slice.rows = count;
    if (slice.dense)
        slice.dense += first * slice.dense_stride;
    for (size_t f = 0; f < slice.field_count; f++) {
        fields[f] = d->fields[f];
        fields[f].count = 0;
        if (fields[f].offsets) {
            fields[f].offsets += first;
        } else {
            fields[f].ids += first;
            fields[f].weights += fields[f].weights ? first : 0;
        }
    }
    slice.fields = slice.field_count ? fields : NULL;
    return slice;
}

float *predict_all(const home_model *model, const home_batch *batch) {
    home_error error = new_error();
    float *predictions = allocate(batch->rows * home_model_task_count(model), sizeof *predictions);
    expect(home_model_predict(model, batch, predictions, 0, NULL, &error), &error, "predict");
    return predictions;
}

float *forward_all(home_model *model, const home_batch *batch) {
    home_error error = new_error();
    float *predictions = allocate(batch->rows * home_model_task_count(model), sizeof *predictions);
    expect(home_model_forward(model, batch, predictions, 0, &error), &error, "forward");
    return predictions;
}

void train_step(home_model *model, const data *d) {
    home_error error = new_error();
    expect(home_model_forward(model, &d->batch, NULL, 0, &error), &error, "forward");
    expect(home_model_backward(model, &d->targets, NULL, &error), &error, "backward");
    expect(home_model_step(model, &error), &error, "step");
}

unsigned char *model_bytes(const home_model *model, uint32_t flags, size_t *length) {
    home_error error = new_error();
    expect(home_model_serialize(model, flags, NULL, 0, length, &error), &error, "serialize");
    unsigned char *bytes = allocate(*length, 1);
    expect(home_model_serialize(model, flags, bytes, *length, length, &error), &error, "serialize");
    return bytes;
}

bool same_model(const home_model *a, const home_model *b) {
    size_t a_length;
    size_t b_length;
    unsigned char *a_bytes = model_bytes(a, HOME_SAVE_OPTIMIZER, &a_length);
    unsigned char *b_bytes = model_bytes(b, HOME_SAVE_OPTIMIZER, &b_length);
    const bool same = a_length == b_length && memcmp(a_bytes, b_bytes, a_length) == 0;
    free(a_bytes);
    free(b_bytes);
    return same;
}

/* ------------------------------------------------------------------------------------ allocator */

static void *meter_allocate(void *user, size_t bytes) {
    meter *m = user;
    const long number = atomic_fetch_add(&m->allocations, 1);
    if (m->fail_at >= 0 && (m->once ? number == m->fail_at : number >= m->fail_at))
        return NULL;
    void *memory = malloc(bytes);
    if (memory)
        atomic_fetch_add(&m->live, 1);
    return memory;
}

static void meter_release(void *user, void *memory) {
    meter *m = user;
    atomic_fetch_sub(&m->live, 1);
    free(memory);
}

home_allocator meter_allocator(meter *m) {
    atomic_init(&m->allocations, 0);
    atomic_init(&m->live, 0);
    m->fail_at = -1;
    m->once = false;
    return (home_allocator){sizeof(home_allocator), m, meter_allocate, meter_release};
}
