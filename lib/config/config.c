/* From the caller's structs to checked settings. */
#include "config.h"

#include "../base/abi.h"
#include "../base/fail.h"
#include "../base/utf8.h"
#include "../host/number.h"
#include "../host/sort.h"
#include "../kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* More such bounds as config.h has. */
#define MAX_HIDDEN   16u
#define MAX_EXPERTS  1024u
#define MAX_BRANCHES 64u
#define MAX_NAME     120u

const homepreset homepresets[] = {
    [HOME_PRESET_HOME] = {.name = "home",
                          .min_layers = 2,
                          .max_layers = 2,
                          .cures = true,
                          .self_terms = true,
                          .shared = true,
                          .groups = true,
                          .first_task_layer = 1},
    [HOME_PRESET_SHARED_BOTTOM] = {.name = "shared-bottom",
                                   .min_layers = 1,
                                   .max_layers = 1,
                                   .shared = true,
                                   .first_task_layer = HOME_NONE},
    [HOME_PRESET_MMOE] = {.name = "mmoe",
                          .min_layers = 1,
                          .max_layers = 1,
                          .shared = true,
                          .first_task_layer = HOME_NONE},
    [HOME_PRESET_CGC] = {.name = "cgc", .min_layers = 1, .max_layers = 1, .shared = true},
    [HOME_PRESET_PLE] = {.name = "ple",
                         .min_layers = 2,
                         .max_layers = HOME_MAX_LAYERS,
                         .shared = true},
    [HOME_PRESET_ADATT_SP] = {.name = "adatt-sp",
                              .min_layers = 1,
                              .max_layers = HOME_MAX_LAYERS,
                              .self_terms = true},
    [HOME_PRESET_ADATT] = {.name = "adatt",
                           .min_layers = 1,
                           .max_layers = HOME_MAX_LAYERS,
                           .self_terms = true,
                           .shared = true},
    [HOME_PRESET_CUSTOM] = {.name = "custom",
                            .min_layers = 1,
                            .max_layers = HOME_MAX_LAYERS,
                            .self_terms = true,
                            .first_task_layer = HOME_NONE},
};
enum { PRESET_COUNT = sizeof homepresets / sizeof homepresets[0] };

/* An element of an array in the configuration. */
typedef struct place {
    const char *array;
    size_t index;
} place;

/* What a resolving function carries around. `status` holds the first failure. */
typedef struct reader {
    homearena *arena;
    home_error *error;
    home_status status;
    place places[3]; /* [depth] that are being read: layers[1], in it nodes[0], in it sees[2] */
    size_t depth;
    char path[128];
} reader;

/* The first failure counts. After it every reading function does nothing, so whoever calls several
 * need not look between them, but must look before using what they read as an index or a
 * pointer. */
static bool ok(const reader *in) {
    return in->status == HOME_OK;
}

static void enter(reader *in, const char *array, size_t index) {
    in->places[in->depth++] = (place){array, index};
}

static void leave(reader *in) {
    in->depth--;
}

/* Where a field is, as messages have it: "config.layers[1].nodes[0].self"; without a field, the
 * place itself. Good until the next call. */
static const char *path_to(reader *in, const char *field) {
    int length = snprintf(in->path, sizeof in->path, "config");
    for (size_t i = 0; i < in->depth; i++)
        length += snprintf(in->path + length, sizeof in->path - (size_t)length, ".%s[%zu]",
                           in->places[i].array, in->places[i].index);
    if (field)
        snprintf(in->path + length, sizeof in->path - (size_t)length, ".%s", field);
    return in->path;
}

/* ------------------------------------------------------------------------------ struct versions */

static void read_struct(reader *in, const void *given, void *out, size_t known, const char *name) {
    in->status = homeabi_read(given, out, known, name, HOME_E_CONFIG, in->error);
}

/* Copies the array `array` of `count` such structs; the stride is the struct_size of the first.
 * `counter` is the field of the count. */
static void *read_array(reader *in, const void *given, size_t count, size_t known,
                        const char *array, const char *counter) {
    if (!ok(in) || count == 0)
        return NULL;
    if (!given || count > HOME_MAX_ITEMS) {
        in->status = given ? homefail(in->error, HOME_E_CONFIG, "%s is %zu, expected at most %u",
                                      path_to(in, counter), count, HOME_MAX_ITEMS)
                           : homefail(in->error, HOME_E_CONFIG, "%s is NULL, expected %zu elements",
                                      path_to(in, array), count);
        return NULL;
    }
    char *copy = homearena_take(in->arena, count, known);
    if (!copy) {
        in->status = homefail_memory(in->error);
        return NULL;
    }
    size_t stride;
    memcpy(&stride, given, sizeof stride);
    for (size_t i = 0; i < count && ok(in); i++) {
        const char *element = (const char *)given + i * stride;
        size_t size;
        memcpy(&size, element, sizeof size);
        enter(in, array, i);
        if (size == stride)
            read_struct(in, element, copy + i * known, known, path_to(in, NULL));
        else
            in->status =
                homefail(in->error, HOME_E_CONFIG, "%s is %zu, expected %zu, that of the first",
                         path_to(in, "struct_size"), size, stride);
        leave(in);
    }
    return copy;
}

/* ---------------------------------------------------------------------------------------- names */

/* One text of each element of an array, to be found. */
typedef struct name_index {
    const char **texts;  /* [count] "" where it is NULL */
    const void **sorted; /* [count] pointers to the texts, in the order of these */
    size_t count;
} name_index;

/* Of texts that lie `offset` bytes into elements of `size` bytes; they need not be checked yet. */
static name_index index_names(reader *in, const void *elements, size_t count, size_t size,
                              size_t offset) {
    const name_index names = {.texts = homearena_take(in->arena, count, sizeof *names.texts),
                              .sorted = homearena_take(in->arena, count, sizeof *names.sorted),
                              .count = count};
    if (ok(in) && (!names.texts || !names.sorted))
        in->status = homefail_memory(in->error);
    if (!ok(in) || !names.texts || !names.sorted)
        return (name_index){0};
    for (size_t i = 0; i < count; i++) {
        const char *text;
        memcpy(&text, (const char *)elements + i * size + offset, sizeof text);
        names.texts[i] = text ? text : "";
        names.sorted[i] = &names.texts[i];
    }
    homesort_by_name(names.sorted, count);
    return names;
}

/* The first element with this name; `count` where none has it. */
static size_t find_name(const name_index *names, const char *name) {
    const char *const *found = homesort_find_name(names->sorted, names->count, name);
    return found ? (size_t)(found - (const char *const *)names->texts) : names->count;
}

/* No element before element `i` may have its name. */
static void check_name_is_new(reader *in, const name_index *names, size_t i, const char *other) {
    if (ok(in) && find_name(names, names->texts[i]) < i)
        in->status = homefail(in->error, HOME_E_CONFIG,
                              "%s is \"%.60s\", expected a name that no other %s has",
                              path_to(in, "name"), names->texts[i], other);
}

/* -------------------------------------------------------------------------------- single fields */

static void fail_integer(reader *in, const char *field, uint64_t value, const char *expected) {
    if (ok(in))
        in->status = homefail(in->error, HOME_E_CONFIG, "%s is %llu, expected %s",
                              path_to(in, field), (unsigned long long)value, expected);
}

static void fail_text(reader *in, const char *field, const char *value, const char *expected) {
    if (ok(in))
        in->status = homefail(in->error, HOME_E_CONFIG, "%s is \"%.60s\", expected %s",
                              path_to(in, field), value, expected);
}

/* An enumeration 1..max where 0 means `fallback`. */
static void choose(reader *in, int32_t *value, int32_t fallback, int32_t max, const char *field) {
    if (*value == 0)
        *value = fallback;
    if (ok(in) && (*value < 1 || *value > max))
        in->status = homefail(in->error, HOME_E_CONFIG, "%s is %d, expected 0 to %d",
                              path_to(in, field), (int)*value, (int)max);
}

static void size_between(reader *in, size_t *value, size_t fallback, size_t min, size_t max,
                         const char *field) {
    if (*value == 0)
        *value = fallback;
    if (ok(in) && (*value < min || *value > max))
        in->status = homefail(in->error, HOME_E_CONFIG, "%s is %zu, expected %zu to %zu",
                              path_to(in, field), *value, min, max);
}

/* `to` is what stands before the upper bound. */
static void fail_number(reader *in, const char *field, double value, double low, const char *to,
                        double high) {
    if (ok(in))
        in->status =
            homefail(in->error, HOME_E_CONFIG, "%s is %s, expected a number from %s %s %s",
                     path_to(in, field), HOME_BRIEF(value), HOME_BRIEF(low), to, HOME_BRIEF(high));
}

/* A number from `low` to `high`, 0 meaning `fallback`. */
static void number_between(reader *in, double *value, double fallback, double low, double high,
                           const char *field) {
    if (*value == 0)
        *value = fallback;
    if (!(*value >= low && *value <= high))
        fail_number(in, field, *value, low, "to", high);
}

/* The same without `high` itself. */
static void number_below(reader *in, double *value, double fallback, double low, double high,
                         const char *field) {
    if (*value == 0)
        *value = fallback;
    if (!(*value >= low && *value < high))
        fail_number(in, field, *value, low, "to below", high);
}

static void must_be_zero(reader *in, int32_t value, const char *field) {
    if (ok(in) && value != 0)
        in->status = homefail(in->error, HOME_E_CONFIG, "%s is %d, expected 0", path_to(in, field),
                              (int)value);
}

/* Copies a name and checks its letters: it becomes part of tensor names, which dots separate. */
static const char *read_name(reader *in, const char *name, const char *field) {
    if (!ok(in))
        return NULL;
    const size_t length = name ? strlen(name) : 0;
    const char *expected = NULL;
    if (length > MAX_NAME) {
        in->status =
            homefail(in->error, HOME_E_CONFIG, "%s is \"%.40s\", expected at most %u bytes",
                     path_to(in, field), name, MAX_NAME);
        return NULL;
    }
    if (length == 0)
        expected = "a name";
    else if (strchr(name, '.'))
        expected = "a name without a dot";
    if (!expected && !homeutf8_is_text(name, length))
        expected = "UTF-8";
    for (size_t i = 0; i < length && !expected; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            expected = "a name without control characters";
    if (expected) {
        in->status =
            homefail(in->error, HOME_E_CONFIG, "%s is %s%.40s%s, expected %s", path_to(in, field),
                     name ? "\"" : "", name ? name : "missing", name ? "\"" : "", expected);
        return NULL;
    }
    const char *copy = homearena_text(in->arena, name, length);
    if (!copy)
        in->status = homefail_memory(in->error);
    return copy;
}

/* Copies a list of names. */
static void read_names(reader *in, const char *const **names, size_t count, const char *field) {
    if (!ok(in) || count == 0) {
        *names = NULL;
        return;
    }
    if (!*names || count > HOME_MAX_ITEMS) {
        in->status =
            homefail(in->error, HOME_E_CONFIG, "%s has %zu names, expected an array of at most %u",
                     path_to(in, field), count, HOME_MAX_ITEMS);
        return;
    }
    const char **copy = homearena_take(in->arena, count, sizeof *copy);
    if (!copy) {
        in->status = homefail_memory(in->error);
        return;
    }
    for (size_t i = 0; i < count && ok(in); i++) {
        enter(in, field, i);
        copy[i] = read_name(in, (*names)[i], NULL);
        leave(in);
    }
    *names = copy;
}

/* Copies the names of the dense values, one for each or none at all. */
static void read_dense_names(reader *in, home_config *config) {
    const size_t count = config->dense_names_count;
    if (ok(in) && count == 0)
        config->dense_names = NULL;
    if (!ok(in) || count == 0)
        return;
    if (!config->dense_names || count != config->dense_width) {
        in->status = homefail(in->error, HOME_E_CONFIG,
                              "%s has %zu names, expected none or one for each of %zu dense values",
                              path_to(in, "dense_names"), config->dense_names ? count : 0,
                              config->dense_width);
        return;
    }
    const char **copy = homearena_take(in->arena, count, sizeof *copy);
    if (!copy) {
        in->status = homefail_memory(in->error);
        return;
    }
    for (size_t i = 0; i < count && ok(in); i++) {
        enter(in, "dense_names", i);
        copy[i] = read_name(in, config->dense_names[i], NULL);
        leave(in);
    }
    const name_index names = index_names(in, (const void *)copy, count, sizeof *copy, 0);
    for (size_t i = 0; i < count && ok(in); i++) {
        enter(in, "dense_names", i);
        if (find_name(&names, names.texts[i]) < i)
            fail_text(in, NULL, names.texts[i], "a name that no other dense value has");
        leave(in);
    }
    config->dense_names = copy;
}

/* Copies the hidden widths of an MLP. */
static void read_hidden(reader *in, const size_t **hidden, size_t count, const char *field) {
    if (!ok(in) || count == 0) {
        *hidden = NULL;
        return;
    }
    if (count > MAX_HIDDEN || !*hidden) {
        in->status = homefail(in->error, HOME_E_CONFIG,
                              *hidden ? "%s has %zu layers, expected at most %u"
                                      : "%s is NULL, expected %zu widths (at most %u)",
                              path_to(in, field), count, MAX_HIDDEN);
        return;
    }
    size_t *copy = homearena_take(in->arena, count, sizeof *copy);
    if (!copy) {
        in->status = homefail_memory(in->error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        enter(in, field, i);
        copy[i] = (*hidden)[i];
        size_between(in, &copy[i], 0, 1, HOME_MAX_WIDTH, NULL);
        leave(in);
    }
    *hidden = copy;
}

/* --------------------------------------------------------------------------------------- tables */

static void read_table(reader *in, home_table_config *table) {
    size_t bytes;
    table->name = read_name(in, table->name, "name");
    if (table->rows == 0)
        fail_integer(in, "rows", table->rows, "at least 1");
    size_between(in, &table->dim, 0, 1, HOME_MAX_WIDTH, "dim");
    if (ok(in) && (table->rows > SIZE_MAX ||
                   !homesize_multiply((size_t)table->rows, table->dim * sizeof(float), &bytes)))
        in->status = homefail(in->error, HOME_E_TOO_LARGE,
                              "%s: rows x dim is %llu x %zu, expected a table that fits memory",
                              path_to(in, NULL), (unsigned long long)table->rows, table->dim);
    choose(in, &table->index, HOME_INDEX_DIRECT, HOME_INDEX_HASHED, "index");
    must_be_zero(in, table->reserved, "reserved");
    number_below(in, &table->init_std, 0.01, 0, 1e6, "init_std");
}

/* Returns the index of their names. */
static name_index read_tables(reader *in, home_config *config) {
    home_table_config *tables = read_array(in, config->tables, config->table_count, sizeof *tables,
                                           "tables", "table_count");
    config->tables = tables;
    const name_index names = index_names(in, tables, config->table_count, sizeof *tables,
                                         offsetof(home_table_config, name));
    for (size_t i = 0; i < config->table_count && ok(in); i++) {
        enter(in, "tables", i);
        read_table(in, &tables[i]);
        check_name_is_new(in, &names, i, "table");
        leave(in);
    }
    return names;
}

static void read_field(reader *in, home_field_config *field) {
    field->name = read_name(in, field->name, "name");
    field->table = field->table ? read_name(in, field->table, "table") : field->name;
    choose(in, &field->pooling, HOME_POOL_SUM, HOME_POOL_MEAN, "pooling");
    must_be_zero(in, field->reserved, "reserved");
}

/* Finds the table of field `i` and gives it the columns of v from input_width on. */
static void place_field(reader *in, homesettings *settings, const name_index *tables, size_t i) {
    const home_config *config = &settings->config;
    if (!ok(in))
        return;
    const size_t table = find_name(tables, config->fields[i].table);
    if (table == config->table_count) {
        fail_text(in, "table", config->fields[i].table, "the name of one of config.tables");
        return;
    }
    settings->field_table[i] = table;
    settings->field_column[i] = settings->input_width;
    settings->input_width += config->tables[table].dim;
}

static void read_fields(reader *in, homesettings *settings, const name_index *tables) {
    home_config *config = &settings->config;
    home_field_config *fields = read_array(in, config->fields, config->field_count, sizeof *fields,
                                           "fields", "field_count");
    config->fields = fields;
    settings->field_table = homearena_take(in->arena, config->field_count, sizeof(size_t));
    settings->field_column = homearena_take(in->arena, config->field_count, sizeof(size_t));
    if (ok(in) && (!settings->field_table || !settings->field_column))
        in->status = homefail_memory(in->error);
    const name_index names = index_names(in, fields, config->field_count, sizeof *fields,
                                         offsetof(home_field_config, name));
    settings->input_width = config->dense_width;
    /* To the first that is too much: a sum of all could wrap. */
    for (size_t i = 0; i < config->field_count && ok(in) && settings->input_width <= HOME_MAX_WIDTH;
         i++) {
        enter(in, "fields", i);
        read_field(in, &fields[i]);
        check_name_is_new(in, &names, i, "field");
        place_field(in, settings, tables, i);
        leave(in);
    }
    if (ok(in) && (settings->input_width == 0 || settings->input_width > HOME_MAX_WIDTH))
        in->status = homefail(
            in->error, HOME_E_CONFIG,
            "config.dense_width and the fields give an input of width %zu, expected 1 to %u",
            settings->input_width, HOME_MAX_WIDTH);
}

/* ---------------------------------------------------------------------------------------- tasks */

/* What tasks are found by. */
typedef struct task_names {
    name_index own;
    name_index groups; /* the group of each */
} task_names;

/* Names of tasks and groups become names of units and nodes, where `shared` has a meaning of its
 * own. */
static void check_distinct(reader *in, const task_names *names, size_t i) {
    const char *name = names->own.texts[i];
    if (strcmp(name, "shared") == 0 || find_name(&names->groups, name) < names->groups.count ||
        find_name(&names->own, name) < i)
        fail_text(in, "name", name, "a name that no other task or group has, and not \"shared\"");
    else if (strcmp(names->groups.texts[i], "shared") == 0)
        fail_text(in, "group", "shared", "another name");
}

static void read_task(reader *in, home_task_config *task) {
    task->name = read_name(in, task->name, "name");
    task->group = read_name(in, task->group ? task->group : "all", "group");
    number_below(in, &task->weight, 1, 0, HOME_MAX_WEIGHT, "weight");
    choose(in, &task->loss, HOME_LOSS_BCE, HOME_LOSS_SQUARED, "loss");
    must_be_zero(in, task->reserved, "reserved");
    if (ok(in) && task->loss == HOME_LOSS_SQUARED && task->base_rate != 0)
        in->status = homefail(in->error, HOME_E_CONFIG, "%s is %s, expected 0 for a squared error",
                              path_to(in, "base_rate"), HOME_BRIEF(task->base_rate));
    if (task->loss == HOME_LOSS_BCE)
        number_below(in, &task->base_rate, 0.5, 1e-30, 1, "base_rate");
    if (task->given)
        task->given = read_name(in, task->given, "given");
}

/* Finds the task that another is given. */
static void link_task(reader *in, const homesettings *settings, const task_names *names, size_t i) {
    const home_config *config = &settings->config;
    const home_task_config *task = &config->tasks[i];
    settings->task_given[i] = HOME_NONE;
    if (!task->given)
        return;
    const size_t other = find_name(&names->own, task->given);
    settings->task_given[i] = other;
    if (other == config->task_count)
        fail_text(in, "given", task->given, "the name of a task");
    else if (task->loss != HOME_LOSS_BCE || config->tasks[other].loss != HOME_LOSS_BCE)
        fail_text(in, "given", task->given, "a binary task, for a binary task");
}

/* Following the links from a task must come to an end. */
static void check_chain(reader *in, const homesettings *settings, size_t i) {
    size_t links = 0;
    for (size_t t = i; t != HOME_NONE && links <= settings->config.task_count;
         t = settings->task_given[t])
        links++;
    if (links > settings->config.task_count)
        fail_text(in, "given", settings->config.tasks[i].given,
                  "a task that does not depend on this one");
}

/* A group gets its number from its first task. */
static void number_groups(homesettings *settings, const name_index *groups) {
    for (size_t i = 0; i < groups->count; i++) {
        const size_t first = find_name(groups, groups->texts[i]);
        if (first == i)
            settings->groups[settings->group_count] = groups->texts[i];
        settings->task_group[i] =
            first == i ? settings->group_count++ : settings->task_group[first];
    }
}

static void read_tasks(reader *in, homesettings *settings) {
    home_config *config = &settings->config;
    size_between(in, &config->task_count, 0, 1, HOME_MAX_TASKS, "task_count");
    home_task_config *tasks =
        read_array(in, config->tasks, config->task_count, sizeof *tasks, "tasks", "task_count");
    config->tasks = tasks;
    settings->groups = homearena_take(in->arena, config->task_count, sizeof *settings->groups);
    settings->task_group = homearena_take(in->arena, config->task_count, sizeof(size_t));
    settings->task_given = homearena_take(in->arena, config->task_count, sizeof(size_t));
    if (ok(in) && (!settings->groups || !settings->task_group || !settings->task_given))
        in->status = homefail_memory(in->error);
    for (size_t i = 0; i < config->task_count && ok(in); i++) {
        enter(in, "tasks", i);
        read_task(in, &tasks[i]);
        leave(in);
    }
    const task_names names = {.own = index_names(in, tasks, config->task_count, sizeof *tasks,
                                                 offsetof(home_task_config, name)),
                              .groups = index_names(in, tasks, config->task_count, sizeof *tasks,
                                                    offsetof(home_task_config, group))};
    if (ok(in))
        number_groups(settings, &names.groups);
    for (size_t i = 0; i < config->task_count && ok(in); i++) {
        enter(in, "tasks", i);
        check_distinct(in, &names, i);
        if (ok(in))
            link_task(in, settings, &names, i);
        leave(in);
    }
    for (size_t i = 0; i < config->task_count && ok(in); i++) {
        enter(in, "tasks", i);
        check_chain(in, settings, i);
        leave(in);
    }
}

/* --------------------------------------------------------------------------------------- layers */

/* A count of experts: where the preset has no such unit, it must not be set. */
static void read_experts(reader *in, size_t *experts, bool there, const char *field) {
    if (there)
        size_between(in, experts, 1, 1, MAX_EXPERTS, field);
    else if (*experts != 0)
        fail_integer(in, field, *experts, "0: this layer of the preset has no such units");
}

static void read_unit(reader *in, const home_layer_config *layer, home_unit_config *units,
                      const name_index *names, size_t u) {
    home_unit_config *unit = &units[u];
    unit->name = read_name(in, unit->name, "name");
    check_name_is_new(in, names, u, "unit of the layer");
    if (unit->input)
        unit->input = read_name(in, unit->input, "input");
    size_between(in, &unit->experts, 1, 1, MAX_EXPERTS, "experts");
    if (ok(in) && unit->width != 0 && unit->width != layer->width)
        in->status =
            homefail(in->error, HOME_E_CONFIG, "%s is %zu, expected 0 or the layer's width, %zu",
                     path_to(in, "width"), unit->width, layer->width);
    unit->width = layer->width;
}

static void read_units(reader *in, home_layer_config *layer) {
    home_unit_config *units =
        read_array(in, layer->units, layer->unit_count, sizeof *units, "units", "unit_count");
    layer->units = units;
    const name_index names =
        index_names(in, units, layer->unit_count, sizeof *units, offsetof(home_unit_config, name));
    for (size_t u = 0; u < layer->unit_count && ok(in); u++) {
        enter(in, "units", u);
        read_unit(in, layer, units, &names, u);
        leave(in);
    }
}

static void read_node(reader *in, home_node_config *node, bool custom) {
    if (!custom && (node->gate_count != 0 || node->self || node->self_kind != 0)) {
        in->status = homefail(in->error, HOME_E_CONFIG,
                              "%s sets gate or self, expected only name and sees (a mask) unless "
                              "the preset is custom",
                              path_to(in, NULL));
        return;
    }
    node->name = read_name(in, node->name, "name");
    if (ok(in) && node->sees_count == 0)
        in->status =
            homefail(in->error, HOME_E_CONFIG,
                     "%s is empty, expected the name of at least one unit", path_to(in, "sees"));
    read_names(in, &node->sees, node->sees_count, "sees");
    read_names(in, &node->gate, node->gate_count, "gate");
    if (node->self)
        node->self = read_name(in, node->self, "self");
    if (custom)
        choose(in, &node->self_kind, HOME_SELF_GATE, HOME_SELF_STATIC, "self_kind");
    must_be_zero(in, node->reserved, "reserved");
}

static void read_nodes(reader *in, home_layer_config *layer, bool custom) {
    home_node_config *nodes =
        read_array(in, layer->nodes, layer->node_count, sizeof *nodes, "nodes", "node_count");
    layer->nodes = nodes;
    const name_index names =
        index_names(in, nodes, layer->node_count, sizeof *nodes, offsetof(home_node_config, name));
    for (size_t n = 0; n < layer->node_count && ok(in); n++) {
        enter(in, "nodes", n);
        read_node(in, &nodes[n], custom);
        check_name_is_new(in, &names, n, "node of the layer");
        leave(in);
    }
}

/* `input` is the width of the vectors that the units of layer `i` read. */
static void read_layer(reader *in, const homepreset *preset, home_layer_config *layer, size_t i,
                       size_t input) {
    const bool custom = preset == &homepresets[HOME_PRESET_CUSTOM];
    const bool single = preset == &homepresets[HOME_PRESET_SHARED_BOTTOM];
    size_between(in, &layer->width, 0, 1, HOME_MAX_WIDTH, "width");
    read_hidden(in, &layer->hidden, layer->hidden_count, "hidden");
    read_experts(in, &layer->shared_experts, preset->shared, "shared_experts");
    if (single && layer->shared_experts != 1)
        fail_integer(in, "shared_experts", layer->shared_experts, "1 for the preset shared-bottom");
    read_experts(in, &layer->group_experts, preset->groups, "group_experts");
    read_experts(in, &layer->task_experts, i >= preset->first_task_layer, "task_experts");
    choose(in, &layer->feature_gates, preset->cures ? HOME_ON : HOME_OFF, HOME_OFF,
           "feature_gates");
    must_be_zero(in, layer->reserved, "reserved");
    size_between(in, &layer->feature_branches, 2, 1, MAX_BRANCHES, "feature_branches");
    const size_t rank = input / layer->feature_branches;
    size_between(in, &layer->feature_rank, rank > 1 ? rank : 1, 1, HOME_MAX_WIDTH, "feature_rank");
    if (custom != (layer->unit_count > 0))
        fail_integer(in, "unit_count", layer->unit_count,
                     custom ? "at least 1 for the preset custom" : "0 unless the preset is custom");
    if (custom && layer->node_count == 0)
        fail_integer(in, "node_count", 0, "at least 1 for the preset custom");
    read_units(in, layer);
    read_nodes(in, layer, custom);
}

static void read_layers(reader *in, homesettings *settings) {
    home_config *config = &settings->config;
    const homepreset *preset = settings->preset;
    if (ok(in) &&
        (config->layer_count < preset->min_layers || config->layer_count > preset->max_layers))
        in->status =
            homefail(in->error, HOME_E_CONFIG,
                     "config.layer_count is %zu, expected %zu to %zu for the preset %s",
                     config->layer_count, preset->min_layers, preset->max_layers, preset->name);
    home_layer_config *layers = read_array(in, config->layers, config->layer_count, sizeof *layers,
                                           "layers", "layer_count");
    config->layers = layers;
    size_t input = settings->input_width;
    for (size_t i = 0; i < config->layer_count && ok(in); i++) {
        enter(in, "layers", i);
        read_layer(in, preset, &layers[i], i, input);
        leave(in);
        input = layers[i].width;
    }
}

/* ------------------------------------------------------------------------------ the whole model */

static void read_switches(reader *in, const homepreset *preset, home_config *c) {
    const int32_t activation = preset->cures ? HOME_ACTIVATION_SWISH : HOME_ACTIVATION_RELU;
    choose(in, &c->expert_norm, preset->cures ? HOME_NORM_BATCH : HOME_NORM_NONE, HOME_NORM_BATCH,
           "expert_norm");
    choose(in, &c->expert_activation, activation, HOME_ACTIVATION_SWISH, "expert_activation");
    choose(in, &c->expert_hidden_activation, activation, HOME_ACTIVATION_SWISH,
           "expert_hidden_activation");
    choose(in, &c->bias_before_norm, HOME_OFF, HOME_OFF, "bias_before_norm");
    number_below(in, &c->swish_beta, 1, 1e-6, 1e6, "swish_beta");
    number_below(in, &c->norm_epsilon, 1e-5, 1e-30, 1e6, "norm_epsilon");
    number_between(in, &c->norm_momentum, 0.1, 1e-30, 1, "norm_momentum");
    choose(in, &c->feature_order, HOME_FEATURE_SIGMOID_FIRST, HOME_FEATURE_MIX_FIRST,
           "feature_order");
    choose(in, &c->feature_init, HOME_INIT_ZERO, HOME_INIT_UNIFORM, "feature_init");
    choose(in, &c->gate_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH, "gate_activation");
    choose(in, &c->gate_input, HOME_INPUT_GATED, HOME_INPUT_GATED, "gate_input");
    choose(in, &c->self_gates, preset->self_terms ? HOME_ON : HOME_OFF, HOME_OFF, "self_gates");
    choose(in, &c->uncertainty, HOME_OFF, HOME_OFF, "uncertainty");
    must_be_zero(in, c->reserved2, "reserved2");
    choose(in, &c->self_gate_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH,
           "self_gate_activation");
    choose(in, &c->self_gate_input, HOME_INPUT_GATED, HOME_INPUT_GATED, "self_gate_input");
    choose(in, &c->tower_activation, HOME_ACTIVATION_RELU, HOME_ACTIVATION_SWISH,
           "tower_activation");
    read_hidden(in, &c->gate_hidden, c->gate_hidden_count, "gate_hidden");
    read_hidden(in, &c->self_gate_hidden, c->self_gate_hidden_count, "self_gate_hidden");
    read_hidden(in, &c->tower_hidden, c->tower_hidden_count, "tower_hidden");
    must_be_zero(in, c->reserved, "reserved");
}

static void read_optimizer(reader *in, homesettings *settings) {
    home_optimizer_config *o = &settings->optimizer;
    *o = (home_optimizer_config){0};
    if (ok(in) && settings->config.optimizer)
        read_struct(in, settings->config.optimizer, o, sizeof *o, "config.optimizer");
    o->struct_size = sizeof *o;
    settings->config.optimizer = o;
    choose(in, &o->kind, HOME_OPTIMIZER_ADAM, HOME_OPTIMIZER_ADAGRAD, "optimizer.kind");
    choose(in, &o->embedding_kind, HOME_OPTIMIZER_ROWWISE_ADAGRAD, HOME_OPTIMIZER_ADAGRAD,
           "optimizer.embedding_kind");
    if (ok(in) && o->kind == HOME_OPTIMIZER_ROWWISE_ADAGRAD)
        in->status = homefail(
            in->error, HOME_E_CONFIG,
            "config.optimizer.kind is %d (row-wise Adagrad), which is for embedding tables only",
            (int)o->kind);
    if (ok(in) &&
        (o->embedding_kind == HOME_OPTIMIZER_SGD || o->embedding_kind == HOME_OPTIMIZER_ADAMW))
        in->status = homefail(
            in->error, HOME_E_CONFIG,
            "config.optimizer.embedding_kind is %d, expected row-wise Adagrad, Adagrad or Adam",
            (int)o->embedding_kind);
    const bool adagrad = o->kind == HOME_OPTIMIZER_ADAGRAD;
    number_below(in, &o->learning_rate, adagrad ? 1e-2 : 1e-3, 0, HOME_MAX_RATE,
                 "optimizer.learning_rate");
    number_below(in, &o->beta1, 0.9, 0, 1, "optimizer.beta1");
    number_below(in, &o->beta2, 0.999, 0, 1, "optimizer.beta2");
    number_below(in, &o->epsilon, adagrad ? 1e-10 : 1e-8, 1e-30, 1e6, "optimizer.epsilon");
    number_below(in, &o->momentum, 0, 0, 1, "optimizer.momentum");
    number_below(in, &o->weight_decay, o->kind == HOME_OPTIMIZER_ADAMW ? 0.01 : 0, 0, 1e6,
                 "optimizer.weight_decay");
    number_below(in, &o->clip_norm, 0, 0, 1e30, "optimizer.clip_norm");
    number_below(in, &o->embedding_learning_rate, 0.01, 0, HOME_MAX_RATE,
                 "optimizer.embedding_learning_rate");
    number_below(in, &o->embedding_epsilon,
                 o->embedding_kind == HOME_OPTIMIZER_ADAGRAD ? 1e-10 : 1e-8, 1e-30, 1e6,
                 "optimizer.embedding_epsilon");
}

static void read_isa(reader *in, homesettings *settings) {
    const char *isa = settings->config.isa;
    settings->config.isa = NULL;
    settings->isa = isa ? homekernels_isa_name(isa) : NULL;
    if (isa && !settings->isa)
        fail_text(in, "isa", isa, "\"portable\", \"avx2\", \"avx512\" or \"neon\"");
}

home_status homeconfig_resolve(const home_config *given, homearena *arena, homesettings *settings,
                               home_error *error) {
    reader in = {.arena = arena, .error = error};
    *settings = (homesettings){0};
    home_config *config = &settings->config;
    read_struct(&in, given, config, sizeof *config, "config");
    if (ok(&in) && (config->preset < 0 || config->preset >= PRESET_COUNT))
        in.status = homefail(error, HOME_E_CONFIG, "config.preset is %d, expected 0 to %d",
                             (int)config->preset, PRESET_COUNT - 1);
    if (ok(&in))
        settings->preset = &homepresets[config->preset];
    size_between(&in, &config->dense_width, 0, 0, HOME_MAX_WIDTH, "dense_width");
    read_dense_names(&in, config);
    const name_index tables = read_tables(&in, config);
    read_fields(&in, settings, &tables);
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
