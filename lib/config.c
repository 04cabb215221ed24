/* From the caller's structs to checked settings. */
#include "config.h"

#include "status.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Bounds that no sensible model meets, so that products of two of them cannot overflow 64 bits. */
#define MOST_ITEMS  65536u
#define MOST_HIDDEN 16u
#define MOST_WIDTH  (1u << 24)
#define MOST_NAME   120u

/* What a resolving function carries around. `status` holds the first failure. */
typedef struct reader {
    home_arena *arena;
    home_error *error;
    home_status status;
} reader;

static bool ok(const reader *in) {
    return in->status == HOME_OK;
}

/* ------------------------------------------------------------------------------- struct versions */

/* Copies a caller's struct over `out`, which has `known` bytes: a shorter one comes from an older caller, and
 * its missing fields stay 0; a longer one comes from a newer caller, and what this library does not know must
 * be 0. */
static void read_struct(reader *in, const void *given, void *out, size_t known, const char *name) {
    size_t size;
    memcpy(&size, given, sizeof size);
    memset(out, 0, known);
    if (size < 2 * sizeof size || size > 65536) {
        in->status =
            home_fail(in->error, HOME_E_CONFIG, "%s.struct_size is %zu, expected sizeof of the struct (%zu)",
                      name, size, known);
        return;
    }
    memcpy(out, given, size < known ? size : known);
    for (size_t i = known; i < size; i++)
        if (((const unsigned char *)given)[i] != 0) {
            in->status = home_fail(
                in->error, HOME_E_CONFIG,
                "%s has a field set at byte %zu that this version of the library does not know", name, i);
            return;
        }
    memcpy(out, &known, sizeof known);
}

/* Copies an array of such structs; the stride is the struct_size of the first. */
static void *read_array(reader *in, const void *given, size_t count, size_t known, const char *name) {
    if (!ok(in) || count == 0)
        return NULL;
    if (!given || count > MOST_ITEMS) {
        in->status = given ? home_fail(in->error, HOME_E_CONFIG,
                                       "config.%s_count is %zu, expected at most %u", name, count, MOST_ITEMS)
                           : home_fail(in->error, HOME_E_CONFIG, "config.%ss is NULL, expected %zu elements",
                                       name, count);
        return NULL;
    }
    char *copy = home_arena_take(in->arena, count, known);
    if (!copy) {
        in->status = home_fail_memory(in->error);
        return NULL;
    }
    size_t stride;
    memcpy(&stride, given, sizeof stride);
    for (size_t i = 0; i < count && ok(in); i++) {
        char label[64];
        snprintf(label, sizeof label, "config.%ss[%zu]", name, i);
        read_struct(in, (const char *)given + i * stride, copy + i * known, known, label);
    }
    return copy;
}

/* --------------------------------------------------------------------------------- single fields */

static void fail_integer(reader *in, const char *field, uint64_t value, const char *expected) {
    if (ok(in))
        in->status = home_fail(in->error, HOME_E_CONFIG, "%s is %llu, expected %s", field,
                               (unsigned long long)value, expected);
}

/* An enumeration 1..last where 0 means `preset`. */
static void choose(reader *in, int32_t *value, int32_t preset, int32_t last, const char *field) {
    if (*value == 0)
        *value = preset;
    if (ok(in) && (*value < 1 || *value > last))
        in->status =
            home_fail(in->error, HOME_E_CONFIG, "%s is %d, expected 0 to %d", field, (int)*value, (int)last);
}

static void size_between(reader *in, size_t *value, size_t preset, size_t least, size_t most,
                         const char *field) {
    if (*value == 0)
        *value = preset;
    if (ok(in) && (*value < least || *value > most))
        in->status =
            home_fail(in->error, HOME_E_CONFIG, "%s is %zu, expected %zu to %zu", field, *value, least, most);
}

/* A number in (low, high) or [low, high), 0 meaning `preset`. */
static void number_between(reader *in, double *value, double preset, double low, double high,
                           const char *field) {
    if (*value == 0)
        *value = preset;
    if (ok(in) && !(*value >= low && *value < high))
        in->status = home_fail(in->error, HOME_E_CONFIG, "%s is %g, expected a number from %g to below %g",
                               field, *value, low, high);
}

static void must_be_zero(reader *in, int32_t value, const char *field) {
    if (ok(in) && value != 0)
        in->status = home_fail(in->error, HOME_E_CONFIG, "%s is %d, expected 0", field, (int)value);
}

/* Copies a name and checks its letters: it becomes part of tensor names, which dots separate. */
static const char *read_name(reader *in, const char *name, const char *field) {
    if (!ok(in))
        return NULL;
    const size_t length = name ? strlen(name) : 0;
    const char *expected = NULL;
    if (length == 0)
        expected = "a name";
    else if (length > MOST_NAME)
        expected = "at most 120 bytes";
    else if (strchr(name, '.'))
        expected = "a name without a dot";
    for (size_t i = 0; i < length && !expected; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            expected = "a name without control characters";
    if (expected) {
        in->status = home_fail(in->error, HOME_E_CONFIG, "%s is %s%.40s%s, expected %s", field,
                               name ? "\"" : "", name ? name : "missing", name ? "\"" : "", expected);
        return NULL;
    }
    const char *copy = home_arena_text(in->arena, name, length);
    if (!copy)
        in->status = home_fail_memory(in->error);
    return copy;
}

/* Copies the hidden widths of an MLP. */
static void read_hidden(reader *in, const size_t **hidden, size_t count, const char *field) {
    if (!ok(in) || count == 0) {
        *hidden = NULL;
        return;
    }
    if (count > MOST_HIDDEN || !*hidden) {
        in->status = home_fail(in->error, HOME_E_CONFIG,
                               *hidden ? "%s has %zu layers, expected at most %u"
                                       : "%s is NULL, expected %zu widths (at most %u)",
                               field, count, MOST_HIDDEN);
        return;
    }
    size_t *copy = home_arena_take(in->arena, count, sizeof *copy);
    if (!copy) {
        in->status = home_fail_memory(in->error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = (*hidden)[i];
        if (ok(in) && (copy[i] == 0 || copy[i] > MOST_WIDTH))
            in->status = home_fail(in->error, HOME_E_CONFIG, "%s[%zu] is %zu, expected 1 to %u", field, i,
                                   copy[i], MOST_WIDTH);
    }
    *hidden = copy;
}

/* ---------------------------------------------------------------------------------------- tables */

static void read_tables(reader *in, home_config *config) {
    home_table_config *tables = read_array(in, config->tables, config->table_count, sizeof *tables, "table");
    config->tables = tables;
    for (size_t i = 0; i < config->table_count && ok(in); i++) {
        char field[64];
        home_table_config *table = &tables[i];
        snprintf(field, sizeof field, "config.tables[%zu].name", i);
        table->name = read_name(in, table->name, field);
        snprintf(field, sizeof field, "config.tables[%zu].rows", i);
        size_t elements;
        if (table->rows == 0 || table->rows > SIZE_MAX / 4)
            fail_integer(in, field, table->rows, "at least 1, and a size that this machine can hold");
        snprintf(field, sizeof field, "config.tables[%zu].dim", i);
        size_between(in, &table->dim, 0, 1, MOST_WIDTH, field);
        if (ok(in) && !home_multiply_size((size_t)table->rows, table->dim * sizeof(float), &elements))
            in->status = home_fail(in->error, HOME_E_TOO_LARGE,
                                   "config.tables[%zu]: rows x dim does not fit memory", i);
        snprintf(field, sizeof field, "config.tables[%zu].index", i);
        choose(in, &table->index, HOME_INDEX_DIRECT, HOME_INDEX_HASHED, field);
        snprintf(field, sizeof field, "config.tables[%zu].reserved", i);
        must_be_zero(in, table->reserved, field);
        snprintf(field, sizeof field, "config.tables[%zu].init_std", i);
        number_between(in, &table->init_std, 0.01, 0, 1e6, field);
        for (size_t j = 0; j < i && ok(in); j++)
            if (strcmp(tables[j].name, table->name) == 0)
                in->status =
                    home_fail(in->error, HOME_E_CONFIG,
                              "config.tables[%zu].name is \"%s\", expected a name that no other table has", i,
                              table->name);
    }
}

static size_t find_table(const home_config *config, const char *name) {
    size_t i = 0;
    while (i < config->table_count && strcmp(config->tables[i].name, name) != 0)
        i++;
    return i;
}

static void read_fields(reader *in, home_settings *settings) {
    home_config *config = &settings->config;
    home_field_config *fields = read_array(in, config->fields, config->field_count, sizeof *fields, "field");
    config->fields = fields;
    settings->field_table = home_arena_take(in->arena, config->field_count, sizeof(size_t));
    settings->field_column = home_arena_take(in->arena, config->field_count, sizeof(size_t));
    if (ok(in) && (!settings->field_table || !settings->field_column))
        in->status = home_fail_memory(in->error);
    size_t column = config->dense_width;
    for (size_t i = 0; i < config->field_count && ok(in); i++) {
        char field[64];
        snprintf(field, sizeof field, "config.fields[%zu].name", i);
        fields[i].name = read_name(in, fields[i].name, field);
        snprintf(field, sizeof field, "config.fields[%zu].table", i);
        fields[i].table = fields[i].table ? read_name(in, fields[i].table, field) : fields[i].name;
        snprintf(field, sizeof field, "config.fields[%zu].pooling", i);
        choose(in, &fields[i].pooling, HOME_POOL_SUM, HOME_POOL_MEAN, field);
        snprintf(field, sizeof field, "config.fields[%zu].reserved", i);
        must_be_zero(in, fields[i].reserved, field);
        if (!ok(in))
            return;
        for (size_t j = 0; j < i; j++)
            if (strcmp(fields[j].name, fields[i].name) == 0) {
                in->status =
                    home_fail(in->error, HOME_E_CONFIG,
                              "config.fields[%zu].name is \"%s\", expected a name that no other field has", i,
                              fields[i].name);
                return;
            }
        const size_t table = find_table(config, fields[i].table);
        if (table == config->table_count) {
            in->status =
                home_fail(in->error, HOME_E_CONFIG,
                          "config.fields[%zu].table is \"%s\", expected the name of one of config.tables", i,
                          fields[i].table);
            return;
        }
        settings->field_table[i] = table;
        settings->field_column[i] = column;
        column += config->tables[table].dim; /* at most 65536 * 2^24 */
    }
    settings->input_width = column;
    if (ok(in) && (column == 0 || column > MOST_WIDTH))
        in->status =
            home_fail(in->error, HOME_E_CONFIG,
                      "config.dense_width and the fields give an input of width %zu, expected 1 to %u",
                      column, MOST_WIDTH);
}

/* ----------------------------------------------------------------------------------------- tasks */

static size_t find_group(const home_settings *settings, const char *name) {
    size_t g = 0;
    while (g < settings->group_count && strcmp(settings->groups[g], name) != 0)
        g++;
    return g;
}

/* Names of tasks and groups become names of units and nodes, where `shared` has a meaning of its own. */
static void check_distinct(reader *in, const home_settings *settings, size_t task) {
    const home_task_config *tasks = settings->config.tasks;
    const char *name = tasks[task].name;
    bool taken = strcmp(name, "shared") == 0 || find_group(settings, name) < settings->group_count;
    for (size_t j = 0; j < task; j++)
        taken = taken || strcmp(tasks[j].name, name) == 0;
    if (taken)
        in->status = home_fail(
            in->error, HOME_E_CONFIG,
            "config.tasks[%zu].name is \"%s\", expected a name that no other task or group has, and not "
            "\"shared\"",
            task, name);
    else if (strcmp(tasks[task].group, "shared") == 0)
        in->status = home_fail(in->error, HOME_E_CONFIG,
                               "config.tasks[%zu].group is \"shared\", expected another name", task);
}

static void read_task(reader *in, home_task_config *task, size_t i) {
    char field[64];
    snprintf(field, sizeof field, "config.tasks[%zu].name", i);
    task->name = read_name(in, task->name, field);
    snprintf(field, sizeof field, "config.tasks[%zu].group", i);
    task->group = read_name(in, task->group ? task->group : "all", field);
    snprintf(field, sizeof field, "config.tasks[%zu].weight", i);
    number_between(in, &task->weight, 1, 0, 1e30, field);
    snprintf(field, sizeof field, "config.tasks[%zu].loss", i);
    choose(in, &task->loss, HOME_LOSS_BCE, HOME_LOSS_BCE, field);
    snprintf(field, sizeof field, "config.tasks[%zu].reserved", i);
    must_be_zero(in, task->reserved, field);
    snprintf(field, sizeof field, "config.tasks[%zu].base_rate", i);
    number_between(in, &task->base_rate, 0.5, 1e-30, 1, field);
}

static void read_tasks(reader *in, home_settings *settings) {
    home_config *config = &settings->config;
    if (ok(in) && config->task_count == 0)
        fail_integer(in, "config.task_count", 0, "at least 1");
    home_task_config *tasks = read_array(in, config->tasks, config->task_count, sizeof *tasks, "task");
    config->tasks = tasks;
    settings->groups = home_arena_take(in->arena, config->task_count, sizeof *settings->groups);
    settings->task_group = home_arena_take(in->arena, config->task_count, sizeof(size_t));
    if (ok(in) && (!settings->groups || !settings->task_group))
        in->status = home_fail_memory(in->error);
    for (size_t i = 0; i < config->task_count && ok(in); i++) {
        read_task(in, &tasks[i], i);
        if (!ok(in))
            return;
        const size_t g = find_group(settings, tasks[i].group);
        if (g == settings->group_count)
            settings->groups[settings->group_count++] = tasks[i].group;
        settings->task_group[i] = g;
    }
    for (size_t i = 0; i < config->task_count && ok(in); i++)
        check_distinct(in, settings, i);
}

/* ---------------------------------------------------------------------------------------- layers */

/* `input` is the width of the vectors that the layer's units read. */
static void read_layer(reader *in, home_layer_config *layer, size_t i, size_t input) {
    char field[64];
    snprintf(field, sizeof field, "config.layers[%zu].width", i);
    size_between(in, &layer->width, 0, 1, MOST_WIDTH, field);
    snprintf(field, sizeof field, "config.layers[%zu].hidden", i);
    read_hidden(in, &layer->hidden, layer->hidden_count, field);
    snprintf(field, sizeof field, "config.layers[%zu].shared_experts", i);
    size_between(in, &layer->shared_experts, 1, 1, 4096, field);
    snprintf(field, sizeof field, "config.layers[%zu].group_experts", i);
    size_between(in, &layer->group_experts, 1, 1, 4096, field);
    snprintf(field, sizeof field, "config.layers[%zu].task_experts", i);
    if (i == 0 && layer->task_experts != 0)
        fail_integer(in, field, layer->task_experts, "0: the first layer of HoME has no units for tasks");
    else if (i > 0)
        size_between(in, &layer->task_experts, 1, 1, 4096, field);
    snprintf(field, sizeof field, "config.layers[%zu].feature_gates", i);
    choose(in, &layer->feature_gates, HOME_ON, HOME_ON, field);
    snprintf(field, sizeof field, "config.layers[%zu].reserved", i);
    must_be_zero(in, layer->reserved, field);
    snprintf(field, sizeof field, "config.layers[%zu].feature_branches", i);
    size_between(in, &layer->feature_branches, 2, 1, 64, field);
    snprintf(field, sizeof field, "config.layers[%zu].feature_rank", i);
    const size_t rank = layer->feature_branches ? input / layer->feature_branches : 0;
    size_between(in, &layer->feature_rank, rank > 1 ? rank : 1, 1, MOST_WIDTH, field);
}

static void read_layers(reader *in, home_settings *settings) {
    home_config *config = &settings->config;
    if (ok(in) && config->layer_count != 2)
        fail_integer(in, "config.layer_count", config->layer_count, "2 for the preset home");
    home_layer_config *layers = read_array(in, config->layers, config->layer_count, sizeof *layers, "layer");
    config->layers = layers;
    size_t input = settings->input_width;
    for (size_t i = 0; i < config->layer_count && ok(in); i++) {
        read_layer(in, &layers[i], i, input);
        input = layers[i].width;
    }
}

/* -------------------------------------------------------------------------------- the whole model */

static void read_switches(reader *in, home_config *c) {
    choose(in, &c->expert_norm, HOME_NORM_BATCH, HOME_NORM_BATCH, "config.expert_norm");
    choose(in, &c->expert_activation, HOME_ACTIVATION_SWISH, HOME_ACTIVATION_SWISH,
           "config.expert_activation");
    choose(in, &c->expert_hidden_activation, HOME_ACTIVATION_SWISH, HOME_ACTIVATION_SWISH,
           "config.expert_hidden_activation");
    choose(in, &c->bias_before_norm, HOME_OFF, HOME_ON, "config.bias_before_norm");
    number_between(in, &c->swish_beta, 1, 1e-6, 1e6, "config.swish_beta");
    number_between(in, &c->norm_epsilon, 1e-5, 1e-30, 1e6, "config.norm_epsilon");
    number_between(in, &c->norm_momentum, 0.1, 1e-30, 1.0000001, "config.norm_momentum");
    choose(in, &c->feature_order, HOME_FEATURE_SIGMOID_FIRST, HOME_FEATURE_MIX_FIRST, "config.feature_order");
    choose(in, &c->feature_init, HOME_INIT_ZERO, HOME_INIT_UNIFORM, "config.feature_init");
    choose(in, &c->gate_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH, "config.gate_activation");
    choose(in, &c->gate_input, HOME_INPUT_GATED, HOME_INPUT_GATED, "config.gate_input");
    choose(in, &c->self_gates, HOME_ON, HOME_ON, "config.self_gates");
    choose(in, &c->self_gate_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH,
           "config.self_gate_activation");
    choose(in, &c->self_gate_input, HOME_INPUT_GATED, HOME_INPUT_GATED, "config.self_gate_input");
    choose(in, &c->tower_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH, "config.tower_activation");
    read_hidden(in, &c->gate_hidden, c->gate_hidden_count, "config.gate_hidden");
    read_hidden(in, &c->self_gate_hidden, c->self_gate_hidden_count, "config.self_gate_hidden");
    read_hidden(in, &c->tower_hidden, c->tower_hidden_count, "config.tower_hidden");
    must_be_zero(in, c->reserved, "config.reserved");
}

static void read_optimizer(reader *in, home_settings *settings) {
    home_optimizer_config *o = &settings->optimizer;
    *o = (home_optimizer_config){0};
    if (ok(in) && settings->config.optimizer)
        read_struct(in, settings->config.optimizer, o, sizeof *o, "config.optimizer");
    o->struct_size = sizeof *o;
    settings->config.optimizer = o;
    if (o->kind == 0)
        o->kind = HOME_OPTIMIZER_ADAM;
    if (o->embedding_kind == 0)
        o->embedding_kind = HOME_OPTIMIZER_ROWWISE_ADAGRAD;
    if (o->kind != HOME_OPTIMIZER_ADAM && ok(in))
        in->status = home_fail(in->error, HOME_E_CONFIG, "config.optimizer.kind is %d, expected %d (Adam)",
                               (int)o->kind, HOME_OPTIMIZER_ADAM);
    if (o->embedding_kind != HOME_OPTIMIZER_ROWWISE_ADAGRAD && ok(in))
        in->status = home_fail(in->error, HOME_E_CONFIG,
                               "config.optimizer.embedding_kind is %d, expected %d (row-wise Adagrad)",
                               (int)o->embedding_kind, HOME_OPTIMIZER_ROWWISE_ADAGRAD);
    number_between(in, &o->learning_rate, 1e-3, 0, 1e6, "config.optimizer.learning_rate");
    number_between(in, &o->beta1, 0.9, 0, 1, "config.optimizer.beta1");
    number_between(in, &o->beta2, 0.999, 0, 1, "config.optimizer.beta2");
    number_between(in, &o->epsilon, 1e-8, 1e-30, 1e6, "config.optimizer.epsilon");
    number_between(in, &o->clip_norm, 0, 0, 1e30, "config.optimizer.clip_norm");
    number_between(in, &o->embedding_learning_rate, 0.01, 0, 1e6, "config.optimizer.embedding_learning_rate");
    number_between(in, &o->embedding_epsilon, 1e-8, 1e-30, 1e6, "config.optimizer.embedding_epsilon");
}

home_status home_settings_resolve(const home_config *given, home_arena *arena, home_settings *settings,
                                  home_error *error) {
    reader in = {arena, error, HOME_OK};
    *settings = (home_settings){0};
    home_config *config = &settings->config;
    read_struct(&in, given, config, sizeof *config, "config");
    if (ok(&in) && config->preset != HOME_PRESET_HOME)
        in.status = home_fail(error, HOME_E_CONFIG, "config.preset is %d, expected %d (home)",
                              (int)config->preset, HOME_PRESET_HOME);
    if (ok(&in) && config->dense_width > MOST_WIDTH)
        fail_integer(&in, "config.dense_width", config->dense_width, "at most 16777216");
    read_tables(&in, config);
    read_fields(&in, settings);
    read_tasks(&in, settings);
    read_layers(&in, settings);
    read_switches(&in, config);
    read_optimizer(&in, settings);
    config->allocator = NULL;
    return in.status;
}
