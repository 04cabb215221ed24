/* Fuzzes the order of calls: the input is a program of calls on a few models, with allocations that
 * fail in between. A call that fails leaves the bytes of its model as they were. */
#include "fuzz/fuzz.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

enum {
    BUDGET = 8 << 20,
    SLOTS = 3,
    MAX_ROWS = 6,
    MAX_CALLS = 30,
    TASKS = 2,
    DENSE = 2,
    FIELDS = 2,
    LABELS = MAX_ROWS * TASKS
};

/* All have the same inputs and tasks, so that one batch fits all. */
#define INPUTS                                                                                     \
    "\"dense\":2,\"tables\":[{\"name\":\"t\",\"rows\":9,\"dim\":2},{\"name\":\"h\",\"rows\":5,"    \
    "\"dim\":1,"                                                                                   \
    "\"index\":\"hashed\"}],"                                                                      \
    "\"fields\":[{\"name\":\"t\"},{\"name\":\"h\",\"pooling\":\"mean\"}],"
static const char *const configs[] = {
    "{" INPUTS "\"tasks\":[{\"name\":\"a\",\"group\":\"g\"},{\"name\":\"b\",\"given\":\"a\"}],"
    "\"layers\":[{\"width\":3,"
    "\"hidden\":[2],\"feature_branches\":1},{\"width\":1,\"feature_gates\":false}],\"self_gate\":{"
    "\"on\":"
    "false},"
    "\"uncertainty\":true,\"optimizer\":{\"clip_norm\":1}}",
    "{\"preset\":\"mmoe\"," INPUTS
    "\"tasks\":[{\"name\":\"a\"},{\"name\":\"b\",\"loss\":\"squared\"}],\"layers\":[{\"width\":2,"
    "\"shared_experts\":2}],\"optimizer\":{\"kind\":\"sgd\",\"momentum\":0.5,\"embedding_kind\":"
    "\"adam\"}}",
    "{\"preset\":\"adatt-sp\"," INPUTS
    "\"tasks\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"layers\":[{\"width\":2}],"
    "\"optimizer\":{\"kind\":\"adagrad\",\"embedding_kind\":\"adagrad\",\"learning_rate\":1000}}",
};

typedef struct scene {
    fuzz_input in;
    fuzz_memory memory;
    home_allocator allocator;
    const char *path; /* of what was saved last */
    home_model *models[SLOTS];
    float dense[MAX_ROWS * DENSE];
    uint64_t ids[FIELDS][MAX_ROWS];
    home_ids fields[FIELDS];
    home_batch batch;
    float labels[LABELS];
    double total_weights[TASKS];
    home_targets targets;
    float out[LABELS];
    home_error error;
    home_metrics *metrics;
} scene;

static void draw_batch(scene *s) {
    const size_t count = fuzz_below(&s->in, MAX_ROWS + 1);
    for (size_t i = 0; i < count * DENSE; i++)
        s->dense[i] = fuzz_float(&s->in);
    for (size_t f = 0; f < FIELDS; f++) {
        for (size_t i = 0; i < count; i++)
            s->ids[f][i] = fuzz_below(&s->in, 10); /* 9 is one too many for the direct table */
        s->fields[f] =
            (home_ids){.struct_size = sizeof(home_ids), .ids = s->ids[f], .offsets = NULL};
    }
    s->batch = (home_batch){sizeof s->batch, count, s->dense, 0, s->fields, FIELDS};
}

static void draw_targets(scene *s) {
    static const float labels[] = {0, 1, 0.5f, NAN, 1, 0, 2, INFINITY};
    const bool bad = fuzz_byte(&s->in) > 240;
    for (size_t i = 0; i < LABELS; i++)
        s->labels[i] = labels[fuzz_below(&s->in, bad ? 8 : 6)];
    s->targets = (home_targets){.struct_size = sizeof s->targets, .labels = s->labels};
    s->targets.accumulate = (int32_t)(fuzz_byte(&s->in) >> 6);
    if (fuzz_byte(&s->in) > 200) {
        for (size_t t = 0; t < TASKS; t++)
            s->total_weights[t] = (double)fuzz_float(&s->in);
        s->targets.total_weights = s->total_weights;
    }
}

/* ----------------------------------------------------------------------------- calls of a model */

static home_status call_forward(scene *s, home_model *model) {
    draw_batch(s);
    return home_model_forward(model, &s->batch, fuzz_byte(&s->in) & 1 ? s->out : NULL, 0,
                              &s->error);
}

static home_status call_backward(scene *s, home_model *model) {
    draw_targets(s);
    return home_model_backward(model, &s->targets, fuzz_byte(&s->in) & 1 ? s->out : NULL,
                               &s->error);
}

static home_status call_backward_from(scene *s, home_model *model) {
    float dlogits[LABELS];
    for (size_t i = 0; i < LABELS; i++)
        dlogits[i] = fuzz_float(&s->in);
    const int32_t accumulate = (int32_t)(fuzz_byte(&s->in) >> 6);
    return home_model_backward_from(model, dlogits, 0, accumulate, &s->error);
}

static home_status call_task_gradient(scene *s, home_model *model) {
    size_t count;
    count = (size_t)home_model_parameter_count(model);
    float *gradients = malloc((count + 1) * sizeof *gradients);
    FUZZ_CHECK(gradients);
    draw_targets(s);
    const home_status status = home_model_task_gradient(
        model, &s->targets, fuzz_below(&s->in, TASKS + 1), gradients, count, NULL, &s->error);
    free(gradients);
    return status;
}

/* Sometimes after a host has changed a gradient, perhaps badly. It takes that back if the step
 * fails, so that the model must be as it was. */
static home_status call_step(scene *s, home_model *model) {
    home_gradient g = {.struct_size = sizeof g};
    float *changed = NULL;
    float kept = 0;
    if (home_model_gradient(model, &g, NULL) == HOME_OK && fuzz_byte(&s->in) > 200) {
        changed = &g.data[fuzz_below(&s->in, 256) % g.width];
        kept = *changed;
        *changed = fuzz_float(&s->in);
    }
    const home_status status = home_model_step(model, &s->error);
    if (status != HOME_OK && changed)
        *changed = kept;
    return status;
}

static home_status call_predict(scene *s, home_model *model) {
    draw_batch(s);
    return home_model_predict(model, &s->batch, s->out, 0, NULL, &s->error);
}

static home_status call_workspace(scene *s, home_model *model) {
    const size_t size = home_workspace_size(model) - (fuzz_byte(&s->in) > 240);
    void *memory = malloc(size);
    home_workspace *workspace = NULL;
    FUZZ_CHECK(memory);
    draw_batch(s);
    home_status status = home_workspace_init(model, memory, size, &workspace, &s->error);
    if (status == HOME_OK)
        status = home_model_predict(model, &s->batch, s->out, 0, workspace, &s->error);
    free(memory);
    return status;
}

static home_status call_rates(scene *s, home_model *model) {
    const double rate = (double)fuzz_float(&s->in);
    return fuzz_byte(&s->in) & 1 ? home_model_set_learning_rate(model, rate, &s->error)
                                 : home_model_set_embedding_learning_rate(model, rate, &s->error);
}

static home_status call_tuning(scene *s, home_model *model) {
    static const char *const patterns[] = {"*",   "towers.*", "*.weight", "embeddings.t.weight",
                                           "?*e", "x",        "",         "*?*?*"};
    const double value = (double)fuzz_float(&s->in);
    switch (fuzz_byte(&s->in) % 3) {
    case 0:
        return home_model_set_task_weight(model, fuzz_below(&s->in, TASKS + 1), value, &s->error);
    case 1:
        return home_model_set_norm_momentum(model, value, &s->error);
    default:
        return home_model_set_trained(model, patterns[fuzz_below(&s->in, 8)],
                                      (int32_t)fuzz_below(&s->in, 4), &s->error);
    }
}

/* Gradients that the host brings. */
static home_status call_set_gradients(scene *s, home_model *model) {
    float values[8 * 4];
    uint64_t rows[8];
    for (size_t i = 0; i < 8; i++) {
        rows[i] = fuzz_below(&s->in, 10);
        for (size_t k = 0; k < 4; k++)
            values[4 * i + k] = fuzz_float(&s->in);
    }
    const home_status status = home_model_set_table_gradient(
        model, fuzz_below(&s->in, 3), rows, fuzz_below(&s->in, 9), values, 4, &s->error);
    home_gradient g = {.struct_size = sizeof g};
    if (status == HOME_OK && fuzz_byte(&s->in) & 1 &&
        home_model_gradient(model, &g, NULL) == HOME_OK)
        FUZZ_CHECK(home_model_set_gradient(model, g.data, g.width, NULL) != HOME_E_ARGUMENT);
    return status;
}

static home_status call_set_tensor(scene *s, home_model *model) {
    const size_t which = fuzz_below(&s->in, 256) % (home_model_tensor_count(model) + 1);
    home_tensor t = {.struct_size = sizeof t};
    home_status status = home_model_tensor_at(model, which, &t, &s->error);
    if (status != HOME_OK)
        return status;
    float values[64];
    size_t count = (size_t)(t.shape[0] * t.shape[1]);
    FUZZ_CHECK(count <= 64);
    for (size_t i = 0; i < count; i++)
        values[i] = fuzz_float(&s->in);
    count -= fuzz_byte(&s->in) > 250;
    status = home_model_set_tensor(model, t.name, values, count, &s->error);
    return status;
}

static home_status call_metadata(scene *s, home_model *model) {
    static const char *const keys[] = {"a", "b", "", "home.x", "format", "\xff", "c.d", "e"};
    static const char *const values[] = {"",     "value",  NULL,
                                         "\x80", "\"\\\n", "longer than the others"};
    const char *key = keys[fuzz_below(&s->in, 8)];
    const char *value = values[fuzz_below(&s->in, 6)];
    const home_status status = home_model_set_metadata(model, key, value, &s->error);
    const char *now = home_model_metadata(model, key);
    if (status == HOME_OK)
        FUZZ_CHECK(value ? now && strcmp(now, value) == 0 : !now);
    return status;
}

static home_status call_look(scene *s, home_model *model) {
    home_gradient input = {.struct_size = sizeof input};
    home_gradient table = {.struct_size = sizeof table};
    home_status status = home_model_input_gradient(model, &input, &s->error);
    if (status == HOME_OK)
        status = home_model_table_gradient(model, fuzz_byte(&s->in) & 1, &table, &s->error);
    FUZZ_CHECK(status != HOME_OK || table.rows == 0 || table.ids[table.rows - 1] < 9);
    FUZZ_CHECK(home_model_gradient_norm(model) >= 0 || isnan(home_model_gradient_norm(model)));
    return status;
}

static home_status call_save(scene *s, home_model *model) {
    return home_model_save(model, s->path, fuzz_byte(&s->in) & 1 ? HOME_SAVE_OPTIMIZER : 0,
                           &s->error);
}

static home_status call_load_weights(scene *s, home_model *model) {
    return home_model_load_weights(model, s->path, &s->error);
}

/* Two threads need more than the caller's; creating and joining them is slow, so it is rare. */
static home_status call_threads(scene *s, home_model *model) {
    return home_model_set_threads(model, fuzz_byte(&s->in) > 250 ? 2 : fuzz_below(&s->in, 2),
                                  &s->error);
}

typedef home_status model_call(scene *s, home_model *model);

static model_call *const model_calls[] = {
    call_forward,      call_backward,   call_backward_from, call_task_gradient,
    call_step,         call_predict,    call_workspace,     call_rates,
    call_metadata,     call_set_tensor, call_look,          call_save,
    call_load_weights, call_threads,    call_tuning,        call_set_gradients,
};
enum { MODEL_CALLS = sizeof model_calls / sizeof model_calls[0], MAKING_CALLS = 6 };

static uint64_t hash_floats(uint64_t hash, const float *values, size_t count) {
    for (size_t i = 0; i < count && values; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* A number made of all that a model shows: cheap, but blind to the optimizer's state. */
static uint64_t fingerprint(const home_model *model) {
    uint64_t hash = home_model_step_count(model) + 1;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        FUZZ_CHECK(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        const size_t count = (size_t)(t.shape[0] * t.shape[1]);
        hash = hash_floats(hash, t.data, count);
        hash = hash_floats(hash, t.gradient, count) + (uint64_t)t.trained;
    }
    return hash;
}

/* From now on the count of allocations begins anew. */
static void fail_from_here(fuzz_memory *memory, size_t fail_at) {
    memory->refused = 0;
    memory->fail_at = fail_at ? memory->allocations + fail_at : 0;
}

/* A call on one model, which stays the same when the call fails. All bytes are compared where the
 * input wants it. */
static void call_model(scene *s, size_t which, home_model *model) {
    const size_t fail_at = s->memory.fail_at;
    fuzz_memory_heal(&s->memory);
    size_t size = 0;
    size_t after_size = 0;
    const uint64_t before = fingerprint(model);
    const bool thorough =
        fuzz_byte(&s->in) > 220 &&
        home_model_serialize(model, HOME_SAVE_OPTIMIZER, NULL, 0, &size, NULL) == HOME_OK;
    unsigned char *bytes = thorough ? fuzz_serialize(model, &size) : NULL;
    fail_from_here(&s->memory, fail_at);
    const home_status status = model_calls[which](s, model);
    fuzz_check_outcome(status, &s->error, &s->memory);
    fuzz_memory_heal(&s->memory);
    if (status != HOME_OK)
        FUZZ_CHECK(fingerprint(model) == before);
    if (thorough && status != HOME_OK) {
        unsigned char *after = fuzz_serialize(model, &after_size);
        FUZZ_CHECK(after_size == size && memcmp(bytes, after, size) == 0);
        free(after);
    }
    free(bytes);
}

/* ------------------------------------------------------------------- calls that make and unmake */

static void put(scene *s, home_model *model, home_status status) {
    FUZZ_CHECK((status == HOME_OK) == (model != NULL));
    fuzz_check_outcome(status, &s->error, &s->memory);
    if (!model)
        return;
    const size_t slot = fuzz_below(&s->in, SLOTS);
    home_model_release(s->models[slot]);
    s->models[slot] = model;
}

/* Bytes that load give a model with the same bytes. */
static void call_copy(scene *s, const home_model *model) {
    const size_t fail_at = s->memory.fail_at;
    size_t size;
    size_t copy_size;
    home_model *copy = NULL;
    fuzz_memory_heal(&s->memory);
    if (home_model_serialize(model, HOME_SAVE_OPTIMIZER, NULL, 0, &size, NULL) != HOME_OK)
        return; /* frozen, or not finite any more */
    unsigned char *bytes = fuzz_serialize(model, &size);
    fail_from_here(&s->memory, fail_at);
    const home_status status = home_model_load_memory(
        bytes, size,
        &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &s->allocator},
        &copy, &s->error);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    fuzz_memory_heal(&s->memory);
    if (copy) {
        unsigned char *again = fuzz_serialize(copy, &copy_size);
        FUZZ_CHECK(copy_size == size && memcmp(again, bytes, size) == 0);
        free(again);
    }
    put(s, copy, status);
    free(bytes);
}

static home_status create_metrics(scene *s) {
    static const int32_t losses[TASKS] = {HOME_LOSS_SQUARED};
    const home_metrics_options options = {.struct_size = sizeof options,
                                          .tasks = TASKS,
                                          .losses = fuzz_byte(&s->in) & 1 ? losses : NULL,
                                          .max_bytes = fuzz_byte(&s->in) & 1 ? 1 << 18 : 0,
                                          .allocator = &s->allocator};
    return home_metrics_create(&options, &s->metrics, &s->error);
}

static home_status add_to_metrics(scene *s) {
    float weights[MAX_ROWS];
    draw_targets(s);
    for (size_t i = 0; i < LABELS; i++)
        s->out[i] = (float)fuzz_byte(&s->in) / 254;
    for (size_t i = 0; i < MAX_ROWS; i++)
        weights[i] = fabsf(fuzz_float(&s->in));
    const home_metrics_rows rows = {.struct_size = sizeof rows,
                                    .rows = fuzz_below(&s->in, MAX_ROWS),
                                    .predictions = s->out,
                                    .labels = s->labels,
                                    .users = fuzz_byte(&s->in) & 1 ? s->ids[0] : NULL,
                                    .row_weights = fuzz_byte(&s->in) & 1 ? weights : NULL};
    return home_metrics_add(s->metrics, &rows, &s->error);
}

/* Twice what it holds. */
static home_status merge_metrics(scene *s) {
    size_t length;
    home_status status = home_metrics_serialize(s->metrics, NULL, 0, &length, &s->error);
    FUZZ_CHECK(status == HOME_OK);
    if (fuzz_byte(&s->in) & 1 || length > 1 << 20)
        return home_metrics_merge(s->metrics, s->metrics, &s->error);
    unsigned char *bytes = malloc(length);
    FUZZ_CHECK(bytes);
    FUZZ_CHECK(home_metrics_serialize(s->metrics, bytes, length, &length, NULL) == HOME_OK);
    status = home_metrics_merge_bytes(s->metrics, bytes, length, &s->error);
    free(bytes);
    return status;
}

static void call_metrics(scene *s) {
    home_metric_result result = {.struct_size = sizeof result};
    home_status status = HOME_OK;
    const uint8_t choice = fuzz_byte(&s->in);
    if (!s->metrics) {
        status = create_metrics(s);
    } else if (choice & 1) {
        status = add_to_metrics(s);
    } else if (choice & 2) {
        status = home_metrics_result(s->metrics, fuzz_below(&s->in, TASKS + 1), &result, &s->error);
        FUZZ_CHECK(status != HOME_OK || isnan(result.auc) || (result.auc >= 0 && result.auc <= 1));
    } else if (choice & 4) {
        status = merge_metrics(s);
    } else if (choice & 8) {
        home_metrics_reset(s->metrics);
    }
    fuzz_check_outcome(status, &s->error, &s->memory);
}

static void call_maker(scene *s, size_t which, size_t slot) {
    home_model *made = NULL;
    const char *config = configs[fuzz_below(&s->in, sizeof configs / sizeof *configs)];
    const home_create_options options = {.struct_size = sizeof options, .allocator = &s->allocator};
    home_status status = HOME_OK;
    switch (which) {
    case 0:
        status = home_model_create_json(config, strlen(config), &options, &made, &s->error);
        put(s, made, status);
        break;
    case 1:
        status = home_model_load(s->path,
                                 &(home_load_options){.struct_size = sizeof(home_load_options),
                                                      .allocator = &s->allocator},
                                 &made, &s->error);
        put(s, made, status);
        break;
    case 2:
        if (s->models[slot]) {
            status = home_model_freeze(s->models[slot], &made, &s->error);
            put(s, made, status);
        }
        break;
    case 3:
        if (s->models[slot]) {
            home_model_retain(s->models[slot]);
            put(s, s->models[slot], HOME_OK);
        }
        break;
    case 4:
        if (s->models[slot])
            call_copy(s, s->models[slot]);
        break;
    default:
        call_metrics(s);
        break;
    }
}

static void call_any(scene *s) {
    const size_t which = fuzz_below(&s->in, MODEL_CALLS + MAKING_CALLS);
    const size_t slot = fuzz_below(&s->in, SLOTS);
    const fuzz_memory plan = fuzz_memory_start(&s->in, BUDGET);
    s->memory.refused = s->memory.allocations = 0;
    s->memory.fail_at = plan.fail_at;
    s->memory.fail_on = plan.fail_on;
    s->error = (home_error){.struct_size = sizeof s->error};
    if (which >= MODEL_CALLS)
        call_maker(s, which - MODEL_CALLS, slot);
    else if (s->models[slot])
        call_model(s, which, s->models[slot]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[64];
    if (!*path)
        snprintf(path, sizeof path, "/tmp/home-fuzz-%ld", (long)getpid());
    scene s = {.in = {data, size}, .memory = {.budget = BUDGET}, .path = path};
    s.allocator = fuzz_allocator(&s.memory);
    const home_create_options options = {.struct_size = sizeof options, .allocator = &s.allocator};
    const size_t first = fuzz_below(&s.in, sizeof configs / sizeof *configs);
    FUZZ_CHECK(home_model_create_json(configs[first], strlen(configs[first]), &options,
                                      &s.models[0], NULL) == HOME_OK);
    draw_batch(&s);
    draw_targets(&s);
    for (int i = 0; i < MAX_CALLS && s.in.size > 0; i++)
        call_any(&s);
    for (size_t i = 0; i < SLOTS; i++)
        home_model_release(s.models[i]);
    home_metrics_destroy(s.metrics);
    FUZZ_CHECK(s.memory.live == 0);
    unlink(path);
    return 0;
}
