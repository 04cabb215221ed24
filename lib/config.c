/* From the caller's structs to checked settings. */
#include "config.h"

#include "abi.h"
#include "kernels/kernels.h"
#include "number.h"
#include "status.h"
#include "utf8.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>
#include <stdio.h>
#include <string.h>

/* More such bounds as config.h has. */
#define MOST_HIDDEN 16u
#define MOST_NAME   120u

const home_preset home_presets[] = {
    [HOME_PRESET_HOME] = {"home", 2, 2, true, true, true, true, 1},
    [HOME_PRESET_SHARED_BOTTOM] = {"shared-bottom", 1, 1, false, false, true, false, SIZE_MAX},
    [HOME_PRESET_MMOE] = {"mmoe", 1, 1, false, false, true, false, SIZE_MAX},
    [HOME_PRESET_CGC] = {"cgc", 1, 1, false, false, true, false, 0},
    [HOME_PRESET_PLE] = {"ple", 2, HOME_MOST_LAYERS, false, false, true, false, 0},
    [HOME_PRESET_ADATT_SP] = {"adatt-sp", 1, HOME_MOST_LAYERS, false, true, false, false, 0},
    [HOME_PRESET_ADATT] = {"adatt", 1, HOME_MOST_LAYERS, false, true, true, false, 0},
    [HOME_PRESET_CUSTOM] = {"custom", 1, HOME_MOST_LAYERS, false, true, false, false, SIZE_MAX},
};
enum { PRESET_COUNT = sizeof home_presets / sizeof home_presets[0] };

size_t home_find_name(const void *items, size_t count, size_t item_size, const char *name) {
    for (size_t i = 0; i < count; i++) {
        const char *candidate;
        memcpy(&candidate, (const char *)items + i * item_size + sizeof(size_t), sizeof candidate);
        if (strcmp(candidate, name) == 0)
            return i;
    }
    return count;
}

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

static void read_struct(reader *in, const void *given, void *out, size_t known, const char *name) {
    in->status = home_read_struct(given, out, known, name, HOME_E_CONFIG, in->error);
}

/* Copies an array of such structs; the stride is the struct_size of the first. */
static void *read_array(reader *in, const void *given, size_t count, size_t known, const char *name) {
    if (!ok(in) || count == 0)
        return NULL;
    if (!given || count > HOME_MOST_ITEMS) {
        in->status = given
                         ? home_fail(in->error, HOME_E_CONFIG, "config.%s_count is %zu, expected at most %u",
                                     name, count, HOME_MOST_ITEMS)
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
        const char *element = (const char *)given + i * stride;
        char label[96];
        snprintf(label, sizeof label, "config.%ss[%zu]", name, i);
        size_t size;
        memcpy(&size, element, sizeof size);
        if (size == stride)
            read_struct(in, element, copy + i * known, known, label);
        else
            in->status =
                home_fail(in->error, HOME_E_CONFIG, "%s.struct_size is %zu, expected %zu, that of the first",
                          label, size, stride);
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

/* A number in [low, high), 0 meaning `preset`. */
static void number_below(reader *in, double *value, double preset, double low, double high,
                         const char *field) {
    if (*value == 0)
        *value = preset;
    if (ok(in) && !(*value >= low && *value < high))
        in->status = home_fail(in->error, HOME_E_CONFIG, "%s is %s, expected a number from %s to below %s",
                               field, HOME_BRIEF(*value), HOME_BRIEF(low), HOME_BRIEF(high));
}

/* A number in [low, high], 0 meaning `preset`. */
static void number_up_to(reader *in, double *value, double preset, double low, double high,
                         const char *field) {
    if (*value == 0)
        *value = preset;
    if (ok(in) && !(*value >= low && *value <= high))
        in->status = home_fail(in->error, HOME_E_CONFIG, "%s is %s, expected a number from %s to %s", field,
                               HOME_BRIEF(*value), HOME_BRIEF(low), HOME_BRIEF(high));
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
    if (!expected && !home_utf8_is_text(name, length))
        expected = "UTF-8";
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
        if (ok(in) && (copy[i] == 0 || copy[i] > HOME_MOST_WIDTH))
            in->status = home_fail(in->error, HOME_E_CONFIG, "%s[%zu] is %zu, expected 1 to %u", field, i,
                                   copy[i], HOME_MOST_WIDTH);
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
        size_between(in, &table->dim, 0, 1, HOME_MOST_WIDTH, field);
        if (ok(in) && !home_multiply_size((size_t)table->rows, table->dim * sizeof(float), &elements))
            in->status = home_fail(in->error, HOME_E_TOO_LARGE,
                                   "config.tables[%zu]: rows x dim does not fit memory", i);
        snprintf(field, sizeof field, "config.tables[%zu].index", i);
        choose(in, &table->index, HOME_INDEX_DIRECT, HOME_INDEX_HASHED, field);
        snprintf(field, sizeof field, "config.tables[%zu].reserved", i);
        must_be_zero(in, table->reserved, field);
        snprintf(field, sizeof field, "config.tables[%zu].init_std", i);
        number_below(in, &table->init_std, 0.01, 0, 1e6, field);
        for (size_t j = 0; j < i && ok(in); j++)
            if (strcmp(tables[j].name, table->name) == 0)
                in->status =
                    home_fail(in->error, HOME_E_CONFIG,
                              "config.tables[%zu].name is \"%s\", expected a name that no other table has", i,
                              table->name);
    }
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
        const size_t table =
            home_find_name(config->tables, config->table_count, sizeof *config->tables, fields[i].table);
        if (table == config->table_count) {
            in->status =
                home_fail(in->error, HOME_E_CONFIG,
                          "config.fields[%zu].table is \"%s\", expected the name of one of config.tables", i,
                          fields[i].table);
            return;
        }
        settings->field_table[i] = table;
        settings->field_column[i] = column;
        column += config->tables[table].dim;
        if (column > HOME_MOST_WIDTH) /* before it could wrap */
            break;
    }
    settings->input_width = column;
    if (ok(in) && (column == 0 || column > HOME_MOST_WIDTH))
        in->status =
            home_fail(in->error, HOME_E_CONFIG,
                      "config.dense_width and the fields give an input of width %zu, expected 1 to %u",
                      column, HOME_MOST_WIDTH);
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
    number_below(in, &task->weight, 1, 0, 1e30, field);
    snprintf(field, sizeof field, "config.tasks[%zu].loss", i);
    choose(in, &task->loss, HOME_LOSS_BCE, HOME_LOSS_SQUARED, field);
    snprintf(field, sizeof field, "config.tasks[%zu].reserved", i);
    must_be_zero(in, task->reserved, field);
    if (ok(in) && task->loss == HOME_LOSS_SQUARED && task->base_rate != 0)
        in->status = home_fail(in->error, HOME_E_CONFIG,
                               "config.tasks[%zu].base_rate is %s, expected 0 for a squared error", i,
                               HOME_BRIEF(task->base_rate));
    snprintf(field, sizeof field, "config.tasks[%zu].base_rate", i);
    if (task->loss == HOME_LOSS_BCE)
        number_below(in, &task->base_rate, 0.5, 1e-30, 1, field);
    snprintf(field, sizeof field, "config.tasks[%zu].given", i);
    if (task->given)
        task->given = read_name(in, task->given, field);
}

/* Finds the task that another is given. */
static void link_task(reader *in, home_settings *settings, size_t i) {
    const home_config *config = &settings->config;
    const home_task_config *task = &config->tasks[i];
    settings->task_given[i] = SIZE_MAX;
    if (!task->given)
        return;
    const size_t other = home_find_name(config->tasks, config->task_count, sizeof *task, task->given);
    const char *expected = NULL;
    if (other == config->task_count)
        expected = "the name of a task";
    else if (task->loss != HOME_LOSS_BCE || config->tasks[other].loss != HOME_LOSS_BCE)
        expected = "a binary task, for a binary task";
    settings->task_given[i] = other;
    if (expected)
        in->status = home_fail(in->error, HOME_E_CONFIG, "config.tasks[%zu].given is \"%.60s\", expected %s",
                               i, task->given, expected);
}

/* Following the links from a task must come to an end. */
static void check_chain(reader *in, const home_settings *settings, size_t i) {
    size_t links = 0;
    for (size_t t = i; t != SIZE_MAX && links <= settings->config.task_count; t = settings->task_given[t])
        links++;
    if (links > settings->config.task_count)
        in->status = home_fail(
            in->error, HOME_E_CONFIG,
            "config.tasks[%zu].given is \"%.60s\", expected a task that does not depend on this one", i,
            settings->config.tasks[i].given);
}

static void read_tasks(reader *in, home_settings *settings) {
    home_config *config = &settings->config;
    if (ok(in) && (config->task_count == 0 || config->task_count > HOME_MOST_TASKS))
        fail_integer(in, "config.task_count", config->task_count, "1 to 1024");
    home_task_config *tasks = read_array(in, config->tasks, config->task_count, sizeof *tasks, "task");
    config->tasks = tasks;
    settings->groups = home_arena_take(in->arena, config->task_count, sizeof *settings->groups);
    settings->task_group = home_arena_take(in->arena, config->task_count, sizeof(size_t));
    settings->task_given = home_arena_take(in->arena, config->task_count, sizeof(size_t));
    if (ok(in) && (!settings->groups || !settings->task_group || !settings->task_given))
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
    for (size_t i = 0; i < config->task_count && ok(in); i++) {
        check_distinct(in, settings, i);
        if (ok(in))
            link_task(in, settings, i);
    }
    for (size_t i = 0; i < config->task_count && ok(in); i++)
        check_chain(in, settings, i);
}

/* ---------------------------------------------------------------------------------------- layers */

/* Copies a list of names. */
static void read_names(reader *in, const char *const **names, size_t count, const char *field) {
    if (!ok(in) || count == 0) {
        *names = NULL;
        return;
    }
    const char **copy =
        !*names || count > HOME_MOST_ITEMS ? NULL : home_arena_take(in->arena, count, sizeof *copy);
    if (!copy) {
        in->status =
            !*names || count > HOME_MOST_ITEMS
                ? home_fail(in->error, HOME_E_CONFIG, "%s has %zu names, expected an array of at most %u",
                            field, count, HOME_MOST_ITEMS)
                : home_fail_memory(in->error);
        return;
    }
    for (size_t i = 0; i < count && ok(in); i++) {
        char item[128];
        snprintf(item, sizeof item, "%s[%zu]", field, i);
        copy[i] = read_name(in, (*names)[i], item);
    }
    *names = copy;
}

/* A count of experts: where the preset has no such unit, it must not be set. */
static void read_experts(reader *in, size_t *experts, bool there, const char *field) {
    if (there)
        size_between(in, experts, 1, 1, 1024, field);
    else if (*experts != 0)
        fail_integer(in, field, *experts, "0: this layer of the preset has no such units");
}

static void read_units(reader *in, home_layer_config *layer, size_t l) {
    char label[64];
    snprintf(label, sizeof label, "layers[%zu].unit", l);
    home_unit_config *units = read_array(in, layer->units, layer->unit_count, sizeof *units, label);
    layer->units = units;
    for (size_t u = 0; u < layer->unit_count && ok(in); u++) {
        char field[96];
        snprintf(field, sizeof field, "config.layers[%zu].units[%zu].name", l, u);
        units[u].name = read_name(in, units[u].name, field);
        if (ok(in) && home_find_name(units, u, sizeof *units, units[u].name) < u)
            in->status = home_fail(in->error, HOME_E_CONFIG,
                                   "%s is \"%s\", expected a name that no other unit of the layer has", field,
                                   units[u].name);
        snprintf(field, sizeof field, "config.layers[%zu].units[%zu].input", l, u);
        if (units[u].input)
            units[u].input = read_name(in, units[u].input, field);
        snprintf(field, sizeof field, "config.layers[%zu].units[%zu].experts", l, u);
        size_between(in, &units[u].experts, 1, 1, 1024, field);
        snprintf(field, sizeof field, "config.layers[%zu].units[%zu].width", l, u);
        if (ok(in) && units[u].width != 0 && units[u].width != layer->width)
            in->status =
                home_fail(in->error, HOME_E_CONFIG, "%s is %zu, expected 0 or the layer's width, %zu", field,
                          units[u].width, layer->width);
        units[u].width = layer->width;
    }
}

static void read_node(reader *in, home_node_config *node, size_t l, size_t o) {
    char field[96];
    snprintf(field, sizeof field, "config.layers[%zu].nodes[%zu].name", l, o);
    node->name = read_name(in, node->name, field);
    snprintf(field, sizeof field, "config.layers[%zu].nodes[%zu].sees", l, o);
    if (ok(in) && node->sees_count == 0)
        in->status =
            home_fail(in->error, HOME_E_CONFIG, "%s is empty, expected the name of at least one unit", field);
    read_names(in, &node->sees, node->sees_count, field);
    snprintf(field, sizeof field, "config.layers[%zu].nodes[%zu].gate", l, o);
    read_names(in, &node->gate, node->gate_count, field);
    snprintf(field, sizeof field, "config.layers[%zu].nodes[%zu].self", l, o);
    if (node->self)
        node->self = read_name(in, node->self, field);
    snprintf(field, sizeof field, "config.layers[%zu].nodes[%zu].self_kind", l, o);
    choose(in, &node->self_kind, HOME_SELF_GATE, HOME_SELF_STATIC, field);
    snprintf(field, sizeof field, "config.layers[%zu].nodes[%zu].reserved", l, o);
    must_be_zero(in, node->reserved, field);
}

static void read_nodes(reader *in, home_layer_config *layer, size_t l, bool custom) {
    char label[64];
    snprintf(label, sizeof label, "layers[%zu].node", l);
    home_node_config *nodes = read_array(in, layer->nodes, layer->node_count, sizeof *nodes, label);
    layer->nodes = nodes;
    for (size_t o = 0; o < layer->node_count && ok(in); o++) {
        if (!custom && (nodes[o].gate_count != 0 || nodes[o].self || nodes[o].self_kind != 0)) {
            in->status = home_fail(
                in->error, HOME_E_CONFIG,
                "config.layers[%zu].nodes[%zu] sets gate or self, expected only name and sees (a mask) "
                "unless the preset is custom",
                l, o);
            return;
        }
        read_node(in, &nodes[o], l, o);
        if (ok(in) && home_find_name(nodes, o, sizeof *nodes, nodes[o].name) < o)
            in->status = home_fail(
                in->error, HOME_E_CONFIG,
                "config.layers[%zu].nodes[%zu].name is \"%s\", expected a name that no other node of the "
                "layer has",
                l, o, nodes[o].name);
        if (!custom)
            nodes[o].self_kind = 0;
    }
}

/* `input` is the width of the vectors that the layer's units read. */
static void read_layer(reader *in, const home_preset *preset, home_layer_config *layer, size_t i,
                       size_t input) {
    const bool custom = preset == &home_presets[HOME_PRESET_CUSTOM];
    const bool single = preset == &home_presets[HOME_PRESET_SHARED_BOTTOM];
    char field[64];
    snprintf(field, sizeof field, "config.layers[%zu].width", i);
    size_between(in, &layer->width, 0, 1, HOME_MOST_WIDTH, field);
    snprintf(field, sizeof field, "config.layers[%zu].hidden", i);
    read_hidden(in, &layer->hidden, layer->hidden_count, field);
    snprintf(field, sizeof field, "config.layers[%zu].shared_experts", i);
    read_experts(in, &layer->shared_experts, preset->shared, field);
    if (single && layer->shared_experts != 1)
        fail_integer(in, field, layer->shared_experts, "1 for the preset shared-bottom");
    snprintf(field, sizeof field, "config.layers[%zu].group_experts", i);
    read_experts(in, &layer->group_experts, preset->groups, field);
    snprintf(field, sizeof field, "config.layers[%zu].task_experts", i);
    read_experts(in, &layer->task_experts, i >= preset->first_task_layer, field);
    snprintf(field, sizeof field, "config.layers[%zu].feature_gates", i);
    choose(in, &layer->feature_gates, preset->cures ? HOME_ON : HOME_OFF, HOME_ON, field);
    snprintf(field, sizeof field, "config.layers[%zu].reserved", i);
    must_be_zero(in, layer->reserved, field);
    snprintf(field, sizeof field, "config.layers[%zu].feature_branches", i);
    size_between(in, &layer->feature_branches, 2, 1, 64, field);
    snprintf(field, sizeof field, "config.layers[%zu].feature_rank", i);
    const size_t rank = layer->feature_branches ? input / layer->feature_branches : 0;
    size_between(in, &layer->feature_rank, rank > 1 ? rank : 1, 1, HOME_MOST_WIDTH, field);
    snprintf(field, sizeof field, "config.layers[%zu].unit_count", i);
    if (custom != (layer->unit_count > 0))
        fail_integer(in, field, layer->unit_count,
                     custom ? "at least 1 for the preset custom" : "0 unless the preset is custom");
    snprintf(field, sizeof field, "config.layers[%zu].node_count", i);
    if (custom && layer->node_count == 0)
        fail_integer(in, field, 0, "at least 1 for the preset custom");
    if (ok(in))
        read_units(in, layer, i);
    if (ok(in))
        read_nodes(in, layer, i, custom);
}

static void read_layers(reader *in, home_settings *settings) {
    home_config *config = &settings->config;
    const home_preset *preset = settings->preset;
    if (ok(in) && (config->layer_count < preset->least_layers || config->layer_count > preset->most_layers))
        in->status = home_fail(in->error, HOME_E_CONFIG,
                               "config.layer_count is %zu, expected %zu to %zu for the preset %s",
                               config->layer_count, preset->least_layers, preset->most_layers, preset->name);
    home_layer_config *layers = read_array(in, config->layers, config->layer_count, sizeof *layers, "layer");
    config->layers = layers;
    size_t input = settings->input_width;
    for (size_t i = 0; i < config->layer_count && ok(in); i++) {
        read_layer(in, preset, &layers[i], i, input);
        input = layers[i].width;
    }
}

/* -------------------------------------------------------------------------------- the whole model */

static void read_switches(reader *in, const home_preset *preset, home_config *c) {
    const int32_t activation = preset->cures ? HOME_ACTIVATION_SWISH : HOME_ACTIVATION_RELU;
    choose(in, &c->expert_norm, preset->cures ? HOME_NORM_BATCH : HOME_NORM_NONE, HOME_NORM_BATCH,
           "config.expert_norm");
    choose(in, &c->expert_activation, activation, HOME_ACTIVATION_SWISH, "config.expert_activation");
    choose(in, &c->expert_hidden_activation, activation, HOME_ACTIVATION_SWISH,
           "config.expert_hidden_activation");
    choose(in, &c->bias_before_norm, HOME_OFF, HOME_ON, "config.bias_before_norm");
    number_below(in, &c->swish_beta, 1, 1e-6, 1e6, "config.swish_beta");
    number_below(in, &c->norm_epsilon, 1e-5, 1e-30, 1e6, "config.norm_epsilon");
    number_up_to(in, &c->norm_momentum, 0.1, 1e-30, 1, "config.norm_momentum");
    choose(in, &c->feature_order, HOME_FEATURE_SIGMOID_FIRST, HOME_FEATURE_MIX_FIRST, "config.feature_order");
    choose(in, &c->feature_init, HOME_INIT_ZERO, HOME_INIT_UNIFORM, "config.feature_init");
    choose(in, &c->gate_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH, "config.gate_activation");
    choose(in, &c->gate_input, HOME_INPUT_GATED, HOME_INPUT_GATED, "config.gate_input");
    choose(in, &c->self_gates, preset->self_terms ? HOME_ON : HOME_OFF, HOME_ON, "config.self_gates");
    choose(in, &c->uncertainty, HOME_OFF, HOME_ON, "config.uncertainty");
    must_be_zero(in, c->reserved2, "config.reserved2");
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
    choose(in, &o->kind, HOME_OPTIMIZER_ADAM, HOME_OPTIMIZER_ADAGRAD, "config.optimizer.kind");
    choose(in, &o->embedding_kind, HOME_OPTIMIZER_ROWWISE_ADAGRAD, HOME_OPTIMIZER_ADAGRAD,
           "config.optimizer.embedding_kind");
    if (ok(in) && o->kind == HOME_OPTIMIZER_ROWWISE_ADAGRAD)
        in->status =
            home_fail(in->error, HOME_E_CONFIG,
                      "config.optimizer.kind is %d (row-wise Adagrad), which is for embedding tables only",
                      (int)o->kind);
    if (ok(in) && (o->embedding_kind == HOME_OPTIMIZER_SGD || o->embedding_kind == HOME_OPTIMIZER_ADAMW))
        in->status =
            home_fail(in->error, HOME_E_CONFIG,
                      "config.optimizer.embedding_kind is %d, expected row-wise Adagrad, Adagrad or Adam",
                      (int)o->embedding_kind);
    const bool adagrad = o->kind == HOME_OPTIMIZER_ADAGRAD;
    number_below(in, &o->learning_rate, adagrad ? 1e-2 : 1e-3, 0, 1e6, "config.optimizer.learning_rate");
    number_below(in, &o->beta1, 0.9, 0, 1, "config.optimizer.beta1");
    number_below(in, &o->beta2, 0.999, 0, 1, "config.optimizer.beta2");
    number_below(in, &o->epsilon, adagrad ? 1e-10 : 1e-8, 1e-30, 1e6, "config.optimizer.epsilon");
    number_below(in, &o->momentum, 0, 0, 1, "config.optimizer.momentum");
    number_below(in, &o->weight_decay, o->kind == HOME_OPTIMIZER_ADAMW ? 0.01 : 0, 0, 1e6,
                 "config.optimizer.weight_decay");
    number_below(in, &o->clip_norm, 0, 0, 1e30, "config.optimizer.clip_norm");
    number_below(in, &o->embedding_learning_rate, 0.01, 0, 1e6, "config.optimizer.embedding_learning_rate");
    number_below(in, &o->embedding_epsilon, o->embedding_kind == HOME_OPTIMIZER_ADAGRAD ? 1e-10 : 1e-8, 1e-30,
                 1e6, "config.optimizer.embedding_epsilon");
}

static void read_isa(reader *in, home_settings *settings) {
    const char *isa = settings->config.isa;
    settings->config.isa = NULL;
    settings->isa = isa ? home_isa_name(isa) : NULL;
    if (ok(in) && isa && !settings->isa)
        in->status = home_fail(
            in->error, HOME_E_CONFIG,
            "config.isa is \"%.40s\", expected \"portable\", \"avx2\", \"avx512\" or \"neon\"", isa);
}

home_status home_settings_resolve(const home_config *given, home_arena *arena, home_settings *settings,
                                  home_error *error) {
    reader in = {arena, error, HOME_OK};
    *settings = (home_settings){0};
    home_config *config = &settings->config;
    read_struct(&in, given, config, sizeof *config, "config");
    if (ok(&in) && (config->preset < 0 || config->preset >= PRESET_COUNT))
        in.status = home_fail(error, HOME_E_CONFIG, "config.preset is %d, expected 0 to %d",
                              (int)config->preset, PRESET_COUNT - 1);
    if (ok(&in))
        settings->preset = &home_presets[config->preset];
    if (ok(&in) && config->dense_width > HOME_MOST_WIDTH)
        fail_integer(&in, "config.dense_width", config->dense_width, "at most 16777216");
    read_tables(&in, config);
    read_fields(&in, settings);
    read_tasks(&in, settings);
    if (ok(&in))
        read_layers(&in, settings);
    if (ok(&in))
        read_switches(&in, settings->preset, config);
    read_optimizer(&in, settings);
    read_isa(&in, settings);
    config->allocator = NULL;
    return in.status;
}

#endif
