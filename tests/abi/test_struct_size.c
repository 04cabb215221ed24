/* The rules of struct_size, for every struct of home.h that begins with it. What a caller gives
 * lies at the end of a page, with none behind it, so the library cannot look further than the
 * caller's struct goes.
 *
 * An older caller's struct is shorter: it must do what a whole one does whose remaining bytes are
 * zero. A newer caller's is longer: with zeros behind, it must do the same as today's; with
 * anything else, be refused. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "../unit/fixture.h"
#include "test.h"

#include <sys/mman.h>
#include <unistd.h>

enum {
    MIN_SIZE = 2 * sizeof(size_t),
    STEP = sizeof(size_t),
    LONGEST = 65536,
    ROWS = 6,
    MAX_ELEMENTS = 3
};

/* --------------------------------------------------------------------------------------- memory */

static struct { unsigned char *end; /* of the last byte that can be read */ } page;

static void make_page(void) {
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *memory =
        mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    REQUIRE(mprotect(memory + size, size, PROT_NONE) == 0);
    page.end = memory + size;
}

/* ------------------------------------------------------------------------------------- outcomes */

/* What a call came to: its status and message, and a hash of all that it made. */
typedef struct outcome {
    home_status status;
    uint64_t hash;
    char message[sizeof((home_error *)0)->message];
} outcome;

static void add_bytes(outcome *o, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) /* FNV-1a */
        o->hash = (o->hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

static void set_status(outcome *o, home_status status, const home_error *error) {
    o->status = status;
    if (status != HOME_OK)
        memcpy(o->message, error->message, sizeof o->message);
}

static void add_model(outcome *o, home_model *model) {
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    add_bytes(o, bytes, length);
    free(bytes);
}

static bool same(const outcome *a, const outcome *b) {
    return a->status == b->status && a->hash == b->hash && strcmp(a->message, b->message) == 0;
}

/* ------------------------------------------------------------------------ structs that are read */

/* Everything set to something other than its default, so that a field that is cut off makes a
 * difference. */
static struct {
    setup s;
    setup custom;
    home_unit_config units[2];
    home_node_config nodes[2];
    const char *names[2];
    data rows;
    home_model *model;
    home_model *frozen;
    home_checkpoint *checkpoint;
    home_health *health;
    home_metrics *metrics;
    home_metrics_options metrics_options;
    home_metrics_rows metrics_rows;
    int32_t losses[1];
    meter metrics_meter;
    home_allocator metrics_allocator;
} world;

static void make_world(void) {
    setup *s = &world.s;
    home_error error = new_error();
    setup_small(s);
    for (size_t i = 0; i < 2; i++)
        s->tables[i].init_std = 0.5;
    s->tasks[1].base_rate = 0.25;
    s->tasks[2].given = "like";
    s->layers[1].hidden_count = 1;
    s->hidden[1][0] = 4;
    s->layers[1].feature_branches = 3;
    s->layers[1].feature_rank = 2;
    s->optimizer = (home_optimizer_config){sizeof s->optimizer,
                                           HOME_OPTIMIZER_ADAMW,
                                           HOME_OPTIMIZER_ADAM,
                                           0.02,
                                           0.8,
                                           0.98,
                                           1e-6,
                                           0,
                                           0.1,
                                           0.5,
                                           0.03,
                                           1e-5};
    s->config.expert_norm = HOME_NORM_NONE;
    s->config.swish_beta = 1.5;
    s->config.feature_order = HOME_FEATURE_MIX_FIRST;
    s->config.feature_init = HOME_INIT_UNIFORM;
    s->config.gate_hidden_count = 1;
    s->gate_hidden[0] = 3;
    s->config.gate_activation = HOME_ACTIVATION_SWISH;
    s->config.gate_input = HOME_INPUT_RAW;
    s->config.self_gate_input = HOME_INPUT_RAW;
    s->config.tower_activation = HOME_ACTIVATION_SWISH;
    s->config.uncertainty = HOME_ON;

    setup_dense(&world.custom, 5);
    static const char *const one_group[] = {"all"};
    setup_tasks(&world.custom, 2, one_group, 1);
    world.names[0] = "first";
    world.names[1] = "second";
    for (size_t i = 0; i < 2; i++) {
        world.units[i] = (home_unit_config){
            .struct_size = sizeof *world.units, .name = world.names[i], .experts = 2};
        world.nodes[i] = (home_node_config){.struct_size = sizeof *world.nodes,
                                            .name = world.custom.tasks[i].name,
                                            .sees = world.names,
                                            .sees_count = 2,
                                            .gate = world.names,
                                            .gate_count = 2,
                                            .self = world.names[i],
                                            .self_kind = HOME_SELF_STATIC};
    }
    world.custom.config.preset = HOME_PRESET_CUSTOM;
    world.custom.config.layer_count = 1;
    world.custom.layers[0] = (home_layer_config){.struct_size = sizeof *world.custom.layers,
                                                 .width = 4,
                                                 .units = world.units,
                                                 .unit_count = 2,
                                                 .nodes = world.nodes,
                                                 .node_count = 2};

    static const double total_weights[] = {5, 6, 7};
    data_create(&world.rows, &s->config, ROWS, 1);
    data_weigh_ids(&world.rows, &s->config, 2);
    world.rows.targets.total_weights = total_weights;
    world.model = make_model(s);
    train_step(world.model, &world.rows);
    size_t length;
    unsigned char *bytes = model_bytes(world.model, 0, &length);
    REQUIRE(home_checkpoint_open_memory(bytes, length, NULL, &world.checkpoint, &error) == HOME_OK);
    free(bytes);
    REQUIRE(home_model_freeze(world.model, &world.frozen, &error) == HOME_OK);
    REQUIRE(home_health_create(world.model, NULL, &world.health, &error) == HOME_OK);
    REQUIRE(home_health_add(world.health, world.model, &world.rows.batch, &error) == HOME_OK);
    static const float predictions[] = {0.1f, 0.4f, 0.35f, 0.8f};
    static const float labels[] = {0, 0, 1, 1};
    static const uint64_t users[] = {1, 1, 2, 2};
    static const float weights[] = {1, 2, 1, 3};
    world.metrics_options = (home_metrics_options){.struct_size = sizeof world.metrics_options,
                                                   .tasks = 1,
                                                   .losses = world.losses,
                                                   .max_bytes = 1 << 20,
                                                   .allocator = &world.metrics_allocator};
    world.metrics_rows = (home_metrics_rows){.struct_size = sizeof world.metrics_rows,
                                             .rows = 4,
                                             .predictions = predictions,
                                             .prediction_stride = 1,
                                             .labels = labels,
                                             .label_stride = 1,
                                             .users = users,
                                             .row_weights = weights,
                                             .weights = weights,
                                             .weight_stride = 1};
    world.losses[0] = HOME_LOSS_SQUARED;
    world.metrics_allocator = meter_allocator(&world.metrics_meter);
    REQUIRE(home_metrics_create(
                &(home_metrics_options){.struct_size = sizeof(home_metrics_options), .tasks = 1},
                &world.metrics, &error) == HOME_OK);
    REQUIRE(home_metrics_add(world.metrics, &world.metrics_rows, &error) == HOME_OK);
}

static void end_world(void) {
    home_checkpoint_destroy(world.checkpoint);
    home_metrics_destroy(world.metrics);
    home_health_destroy(world.health);
    home_model_release(world.frozen);
    home_model_release(world.model);
    data_free(&world.rows);
}

/* Creates a model, with one step where it has the rows for it. */
static void try_config(const home_config *config, outcome *o) {
    home_error error = new_error();
    home_model *model = NULL;
    set_status(o, home_model_create(config, &model, &error), &error);
    if (o->status != HOME_OK)
        return;
    if (home_model_forward(model, &world.rows.batch, NULL, 0, &error) == HOME_OK &&
        home_model_task_count(model) == 3)
        train_step(model, &world.rows);
    add_model(o, model);
    home_model_release(model);
}

static void try_home_config(const void *given, outcome *o) {
    try_config(given, o);
}

static void try_tables(const void *given, outcome *o) {
    home_config config = world.s.config;
    config.tables = given;
    try_config(&config, o);
}

static void try_fields(const void *given, outcome *o) {
    home_config config = world.s.config;
    config.fields = given;
    try_config(&config, o);
}

static void try_tasks(const void *given, outcome *o) {
    home_config config = world.s.config;
    config.tasks = given;
    try_config(&config, o);
}

static void try_layers(const void *given, outcome *o) {
    home_config config = world.s.config;
    config.layers = given;
    try_config(&config, o);
}

static void try_optimizer(const void *given, outcome *o) {
    home_config config = world.s.config;
    config.optimizer = given;
    try_config(&config, o);
}

static void try_custom(const home_layer_config *layer, outcome *o) {
    home_config config = world.custom.config;
    config.layers = layer;
    try_config(&config, o);
}

static void try_units(const void *given, outcome *o) {
    home_layer_config layer = world.custom.layers[0];
    layer.units = given;
    try_custom(&layer, o);
}

static void try_nodes(const void *given, outcome *o) {
    home_layer_config layer = world.custom.layers[0];
    layer.nodes = given;
    try_custom(&layer, o);
}

static void try_allocator(const void *given, outcome *o) {
    static const char json[] = "{\"dense\": 2, \"layers\": [{\"width\": 2}, {\"width\": 2}], "
                               "\"tasks\": [{\"name\": \"a\"}]}";
    const home_create_options options = {.struct_size = sizeof options, .allocator = given};
    home_error error = new_error();
    home_model *model = NULL;
    set_status(o, home_model_create_json(json, sizeof json - 1, &options, &model, &error), &error);
    home_model_release(model);
}

static void try_create_options(const void *given, outcome *o) {
    static const char json[] = "{\"dense\": 2, \"layers\": [{\"width\": 2}, {\"width\": 2}], "
                               "\"tasks\": [{\"name\": \"a\"}]}";
    home_error error = new_error();
    home_model *model = NULL;
    set_status(o, home_model_create_json(json, sizeof json - 1, given, &model, &error), &error);
    if (o->status == HOME_OK)
        add_bytes(o, home_model_isa(model), strlen(home_model_isa(model)));
    home_model_release(model);
}

static void try_batch(const void *given, outcome *o) {
    float predictions[ROWS * 3];
    home_error error = new_error();
    set_status(o, home_model_predict(world.model, given, predictions, 0, NULL, &error), &error);
    if (o->status == HOME_OK)
        add_bytes(o, predictions, sizeof predictions);
}

static void try_ids(const void *given, outcome *o) {
    home_batch batch = world.rows.batch;
    batch.fields = given;
    try_batch(&batch, o);
}

static void try_targets(const void *given, outcome *o) {
    float losses[3];
    size_t count;
    home_error error = new_error();
    free(forward_all(world.model, &world.rows.batch));
    set_status(o, home_model_backward(world.model, given, losses, &error), &error);
    if (o->status != HOME_OK)
        return;
    const float *gradients = gradients_of(world.model, &count);
    add_bytes(o, losses, sizeof losses);
    add_bytes(o, gradients, count * sizeof *gradients);
}

static void try_image_options(const void *given, outcome *o) {
    size_t length = 0;
    home_error error = new_error();
    set_status(o, home_image_write(world.frozen, given, NULL, 0, &length, &error), &error);
    if (o->status != HOME_OK)
        return;
    unsigned char *image = malloc(length);
    REQUIRE(image);
    REQUIRE(home_image_write(world.frozen, given, image, length, &length, &error) == HOME_OK);
    add_bytes(o, image, length);
    free(image);
}

static void try_load_options(const void *given, outcome *o) {
    size_t length;
    home_error error = new_error();
    home_model *model = NULL;
    unsigned char *bytes = model_bytes(world.model, 0, &length);
    set_status(o, home_model_load_memory(bytes, length, given, &model, &error), &error);
    free(bytes);
    if (o->status != HOME_OK)
        return;
    const int32_t frozen = home_model_is_frozen(model);
    add_bytes(o, &frozen, sizeof frozen);
    add_bytes(o, home_model_isa(model), strlen(home_model_isa(model)));
    home_model_release(model);
}

static void try_names(const void *given, outcome *o) {
    home_error error = new_error();
    set_status(o, home_model_check_names(world.model, given, &error), &error);
}

static void try_metrics_options(const void *given, outcome *o) {
    home_metrics *metrics = NULL;
    home_error error = new_error();
    world.metrics_allocator = meter_allocator(&world.metrics_meter);
    set_status(o, home_metrics_create(given, &metrics, &error), &error);
    if (o->status != HOME_OK)
        return;
    const long allocations = world.metrics_meter.allocations;
    home_metric_result result = {.struct_size = sizeof result};
    REQUIRE(home_metrics_add(metrics, &world.metrics_rows, &error) == HOME_OK);
    REQUIRE(home_metrics_result(metrics, 0, &result, &error) == HOME_OK);
    add_bytes(o, &allocations, sizeof allocations);
    add_bytes(o, &result, sizeof result);
    home_metrics_destroy(metrics);
}

static void try_metrics_rows(const void *given, outcome *o) {
    home_error error = new_error();
    home_metric_result result = {.struct_size = sizeof result};
    home_metrics_reset(world.metrics);
    set_status(o, home_metrics_add(world.metrics, given, &error), &error);
    REQUIRE(home_metrics_result(world.metrics, 0, &result, NULL) == HOME_OK);
    add_bytes(o, &result, sizeof result);
}

static size_t runs;

static int32_t run_inline(void *user, size_t count, void (*task)(void *context, size_t index),
                          void *context) {
    (void)user;
    runs++;
    for (size_t i = 0; i < count; i++)
        task(context, i);
    return 0;
}

static void try_parallel(const void *given, outcome *o) {
    home_error error = new_error();
    set_status(o, home_model_set_parallel(world.model, given, &error), &error);
    if (o->status != HOME_OK)
        return;
    runs = 0;
    try_batch(&world.rows.batch, o);
    add_bytes(o, &runs, sizeof runs);
    REQUIRE(home_model_set_parallel(world.model, NULL, &error) == HOME_OK);
}

typedef struct given_case {
    const char *type;
    const char *name; /* in messages */
    size_t size;
    size_t count; /* elements of an array; 1: no array */
    const void *elements;
    void (*call)(const void *given, outcome *o);
} given_case;

/* Calls with `count` structs of `size` bytes each: what the case has, or zeros where it has no
 * more; but only `kept` bytes of them. `plant`: the byte of the last struct that is not zero; 0:
 * none. */
static outcome call_with(const given_case *c, size_t size, size_t kept, size_t plant) {
    unsigned char *at = page.end - c->count * size;
    for (size_t i = 0; i < c->count; i++) {
        unsigned char *element = at + i * size;
        memset(element, 0, size);
        memcpy(element, (const unsigned char *)c->elements + i * c->size,
               kept < c->size ? kept : c->size);
        memcpy(element, &size, sizeof size);
        if (plant && i + 1 == c->count)
            element[plant] = 1;
    }
    outcome o = {.hash = 14695981039346656037u};
    c->call(at, &o);
    return o;
}

/* Of home_create_options only isa shows, and only where there are several sets of kernels. */
static bool must_matter(const given_case *c) {
    const home_create_options defaults = {.struct_size = sizeof defaults};
    outcome with = {.hash = 0};
    outcome without = {.hash = 0};
    if (c->call != try_create_options)
        return c->size > MIN_SIZE;
    try_create_options(c->elements, &with);
    try_create_options(&defaults, &without);
    return !same(&with, &without);
}

static void older_callers(const given_case *c) {
    const outcome today = call_with(c, c->size, c->size, 0);
    if (!CHECK_INTEGER(today.status, HOME_OK))
        printf("%s\n", today.message);
    bool matters = false;
    for (size_t size = MIN_SIZE; size < c->size; size += STEP) {
        const outcome shorter = call_with(c, size, size, 0);
        const outcome zeroed = call_with(c, c->size, size, 0);
        if (!same(&shorter, &zeroed))
            test_fail(__FILE__, __LINE__,
                      "%zu of %zu bytes: status %d (%s), with zeros behind %d (%s)", size, c->size,
                      (int)shorter.status, shorter.message, (int)zeroed.status, zeroed.message);
        matters = matters || !same(&shorter, &today);
    }
    CHECK(matters || !must_matter(c));
}

static void newer_callers(const given_case *c) {
    static const size_t more[] = {8, 16, 40, 256};
    const outcome today = call_with(c, c->size, c->size, 0);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        const size_t size = c->size + more[i];
        const outcome longer = call_with(c, size, c->size, 0);
        if (!same(&longer, &today))
            test_fail(__FILE__, __LINE__, "%zu bytes more: status %d (%s)", more[i],
                      (int)longer.status, longer.message);
        const size_t planted[] = {c->size, c->size + 7, size - 1};
        for (size_t p = 0; p < sizeof planted / sizeof *planted; p++) {
            const outcome unknown = call_with(c, size, c->size, planted[p]);
            CHECK(unknown.status == HOME_E_CONFIG || unknown.status == HOME_E_ARGUMENT);
            CHECK_CONTAINS(unknown.message, c->name);
            char byte[32];
            snprintf(byte, sizeof byte, "byte %zu", planted[p]);
            CHECK_CONTAINS(unknown.message, byte);
        }
    }
}

static void no_size(const given_case *c) {
    static const size_t sizes[] = {0, 1, MIN_SIZE - 1, LONGEST + 8, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *at = page.end - c->count * c->size;
        memcpy(at, c->elements, c->count * c->size);
        memcpy(at, &sizes[i], sizeof sizes[i]);
        outcome o = {0};
        c->call(at, &o);
        CHECK(o.status == HOME_E_CONFIG || o.status == HOME_E_ARGUMENT);
        CHECK_CONTAINS(o.message, c->name);
        CHECK_CONTAINS(o.message, "struct_size");
    }
}

/* An element that says that it is longer than the distance to the next. */
static void one_size_for_all(const given_case *c) {
    for (size_t i = 1; i < c->count; i++) {
        unsigned char *at = page.end - c->count * c->size;
        memcpy(at, c->elements, c->count * c->size);
        const size_t other = c->size + 8;
        memcpy(at + i * c->size, &other, sizeof other);
        outcome o = {0};
        c->call(at, &o);
        CHECK(o.status == HOME_E_CONFIG || o.status == HOME_E_ARGUMENT);
        CHECK_CONTAINS(o.message, "struct_size");
    }
}

/* --------------------------------------------------------------------- structs that are written */

static home_status ask_tensor(void *result, home_error *error) {
    return home_model_tensor_at(world.model, 1, result, error);
}

static home_status ask_table_gradient(void *result, home_error *error) {
    free(forward_all(world.model, &world.rows.batch));
    REQUIRE(home_model_backward(world.model, &world.rows.targets, NULL, error) == HOME_OK);
    return home_model_table_gradient(world.model, 0, result, error);
}

static home_status ask_stored_tensor(void *result, home_error *error) {
    return home_checkpoint_tensor_at(world.checkpoint, 1, result, error);
}

static home_status ask_metrics(void *result, home_error *error) {
    return home_metrics_result(world.metrics, 0, result, error);
}

static home_status ask_expert(void *result, home_error *error) {
    return home_health_expert(world.health, 0, result, error);
}

static home_status ask_node(void *result, home_error *error) {
    return home_health_node(world.health, 0, result, error);
}

typedef struct result_case {
    const char *type;
    size_t size;
    home_status (*ask)(void *result, home_error *error);
} result_case;

/* A caller of any age gets as much as it has room for; what it has beyond stays as it was. */
static void results(const result_case *c) {
    enum { FILL = 0xa5, MORE = 64 };
    unsigned char whole[1024];
    unsigned char *end = page.end;
    home_error error = new_error();
    REQUIRE(c->size + MORE < sizeof whole);
    memset(whole, FILL, sizeof whole);
    memcpy(whole, &c->size, sizeof c->size);
    CHECK_INTEGER(c->ask(whole, &error), HOME_OK);
    for (size_t i = c->size; i < sizeof whole; i++)
        if (!CHECK_INTEGER(whole[i], FILL))
            break;
    for (size_t size = MIN_SIZE; size <= c->size + MORE; size += STEP) {
        unsigned char *at = end - size;
        memset(at, FILL, size);
        memcpy(at, &size, sizeof size);
        CHECK_INTEGER(c->ask(at, &error), HOME_OK);
        CHECK_BYTES(at, &size, sizeof size);
        /* FILL behind both. */
        CHECK_BYTES(at + sizeof size, whole + sizeof size, size - sizeof size);
    }
    static const size_t sizes[] = {0, 1, MIN_SIZE - 1, LONGEST + 8, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memcpy(whole, &sizes[i], sizeof sizes[i]);
        CHECK_INTEGER(c->ask(whole, &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "struct_size");
    }
}

/* The text is cut to the caller's room and always ends. */
static void an_error_text_is_cut_to_the_callers_room(void) {
    enum { FILL = 0x5a };
    home_error today = new_error();
    CHECK_INTEGER(home_model_step(NULL, &today), HOME_E_ARGUMENT);
    const size_t text = offsetof(home_error, message);
    const size_t min = (text / STEP + 1) * STEP; /* with room for some of the text */
    for (size_t size = min; size <= sizeof today + 64; size += STEP) {
        unsigned char *at = page.end - size;
        memset(at, FILL, size);
        memcpy(at, &size, sizeof size);
        CHECK_INTEGER(home_model_step(NULL, (home_error *)(void *)at), HOME_E_ARGUMENT);
        CHECK_BYTES(at, &size, sizeof size);
        CHECK_BYTES(at + sizeof size, &today.status, sizeof today.status);
        size_t length =
            size - text - 1 < strlen(today.message) ? size - text - 1 : strlen(today.message);
        CHECK_BYTES(at + text, today.message, length);
        CHECK_INTEGER(at[text + length], 0);
        for (size_t i = text + length + 1; i < size; i++)
            if (!CHECK_INTEGER(at[i], FILL))
                break;
    }
    const size_t sizes[] = {0, 1, text};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *at = page.end - min;
        memset(at, FILL, min);
        memcpy(at, &sizes[i], sizeof sizes[i]);
        CHECK_INTEGER(home_model_step(NULL, (home_error *)(void *)at), HOME_E_ARGUMENT);
        for (size_t b = sizeof(size_t); b < min; b++)
            CHECK_INTEGER(at[b], FILL);
    }
}

/* ---------------------------------------------------------------------------------- all of them */

static home_allocator allocator;
static const home_create_options create_options = {
    .struct_size = sizeof create_options, .isa = "portable", .memory_limit = 1 << 24};
static home_image_options image_options = {sizeof image_options, 16, 2};
static home_load_options load_options = {.struct_size = sizeof load_options,
                                         .isa = "portable",
                                         .memory_limit = (size_t)1 << 28,
                                         .frozen = HOME_ON};
static const char *const task_names[] = {"like", "follow", "view"};
static home_names names = {.struct_size = sizeof names, .tasks = task_names, .task_count = 3};
static home_parallel parallel = {sizeof parallel, NULL, 2, run_inline};
static meter counter = {.fail_at = -1};

static const given_case given_cases[] = {
    {"home_config", "config", sizeof(home_config), 1, &world.s.config, try_home_config},
    {"home_table_config", "table", sizeof(home_table_config), 2, world.s.tables, try_tables},
    {"home_field_config", "field", sizeof(home_field_config), 3, world.s.fields, try_fields},
    {"home_task_config", "task", sizeof(home_task_config), 3, world.s.tasks, try_tasks},
    {"home_layer_config", "layer", sizeof(home_layer_config), 2, world.s.layers, try_layers},
    {"home_unit_config", "unit", sizeof(home_unit_config), 2, world.units, try_units},
    {"home_node_config", "node", sizeof(home_node_config), 2, world.nodes, try_nodes},
    {"home_optimizer_config", "optimizer", sizeof(home_optimizer_config), 1, &world.s.optimizer,
     try_optimizer},
    {"home_allocator", "allocator", sizeof(home_allocator), 1, &allocator, try_allocator},
    {"home_create_options", "options", sizeof(home_create_options), 1, &create_options,
     try_create_options},
    {"home_batch", "batch", sizeof(home_batch), 1, &world.rows.batch, try_batch},
    {"home_ids", "fields", sizeof(home_ids), 3, world.rows.fields, try_ids},
    {"home_targets", "targets", sizeof(home_targets), 1, &world.rows.targets, try_targets},
    {"home_image_options", "options", sizeof(home_image_options), 1, &image_options,
     try_image_options},
    {"home_load_options", "options", sizeof(home_load_options), 1, &load_options, try_load_options},
    {"home_names", "names", sizeof(home_names), 1, &names, try_names},
    {"home_parallel", "parallel", sizeof(home_parallel), 1, &parallel, try_parallel},
    {"home_metrics_options", "options", sizeof(home_metrics_options), 1, &world.metrics_options,
     try_metrics_options},
    {"home_metrics_rows", "rows", sizeof(home_metrics_rows), 1, &world.metrics_rows,
     try_metrics_rows},
};

static const result_case result_cases[] = {
    {"home_tensor", sizeof(home_tensor), ask_tensor},
    {"home_gradient", sizeof(home_gradient), ask_table_gradient},
    {"home_stored_tensor", sizeof(home_stored_tensor), ask_stored_tensor},
    {"home_metric_result", sizeof(home_metric_result), ask_metrics},
    {"home_expert_health", sizeof(home_expert_health), ask_expert},
    {"home_node_health", sizeof(home_node_health), ask_node},
};

enum {
    GIVEN_CASES = sizeof given_cases / sizeof *given_cases,
    RESULT_CASES = sizeof result_cases / sizeof *result_cases
};

static bool has_case(const char *type) {
    bool found = strcmp(type, "home_error") == 0;
    for (size_t i = 0; i < GIVEN_CASES; i++)
        found = found || strcmp(type, given_cases[i].type) == 0;
    for (size_t i = 0; i < RESULT_CASES; i++)
        found = found || strcmp(type, result_cases[i].type) == 0;
    return found;
}

static void every_struct_has_a_case(void) {
    FILE *header = fopen("include/home/home.h", "r");
    REQUIRE(header);
    char line[512];
    char type[64] = "";
    size_t found = 0;
    while (fgets(line, sizeof line, header)) {
        if (sscanf(line, "typedef struct %63[a-z_] {", type) == 1 ||
            strcmp(line, "    size_t struct_size;\n") != 0)
            continue;
        found++;
        if (!has_case(type))
            test_fail(__FILE__, __LINE__, "struct %s has no case in this file", type);
    }
    fclose(header);
    CHECK_INTEGER(found, 1 + GIVEN_CASES + RESULT_CASES);
}

int main(void) {
    make_page();
    make_world();
    allocator = meter_allocator(&counter);
    RUN(every_struct_has_a_case);
    for (size_t i = 0; i < GIVEN_CASES; i++) {
        const given_case *c = &given_cases[i];
        test_begin("an older caller's %s is taken", c->type);
        older_callers(c);
        test_end();
        test_begin("a newer caller's %s is taken where its new part is zero", c->type);
        newer_callers(c);
        test_end();
        test_begin("%s without a size is refused", c->type);
        no_size(c);
        test_end();
        if (c->count > 1) {
            test_begin("an array of %s with two sizes is refused", c->type);
            one_size_for_all(c);
            test_end();
        }
    }
    for (size_t i = 0; i < RESULT_CASES; i++) {
        test_begin("a result fills %s as far as its size says", result_cases[i].type);
        results(&result_cases[i]);
        test_end();
    }
    RUN(an_error_text_is_cut_to_the_callers_room);
    end_world();
    return test_summary();
}
