/* From the caller's structs to checked settings. */
#include "reader.h"

#include "../base/abi.h"
#include "../base/fail.h"
#include "../base/utf8.h"
#include "../host/number.h"
#include "../host/sort.h"
#include "../kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAME 120u

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

/* --------------------------------------------------------------------------------- plain fields */

static void fail_name(homereader *in, const char *member, const char *name, const char *expected) {
    homereader_fail(in, HOME_E_CONFIG, member, "is %s%.40s%s, expected %s", name ? "\"" : "",
                    name ? name : "missing", name ? "\"" : "", expected);
}

/* Copies a name, unless it is the arena's already, and checks its letters. Most become part of
 * tensor names, which dots separate. */
static const char *read_name(homereader *in, const char *name, const char *member) {
    char most[40];
    const size_t length = name ? strlen(name) : 0;
    const char *expected = NULL;
    snprintf(most, sizeof most, "at most %u bytes", MAX_NAME);
    if (length > MAX_NAME)
        expected = most;
    else if (length == 0)
        expected = "a name";
    else if (strchr(name, '.'))
        expected = "a name without a dot";
    if (!expected && !homeutf8_is_text(name, length))
        expected = "UTF-8";
    for (size_t i = 0; i < length && !expected; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            expected = "a name without control characters";
    if (expected) {
        fail_name(in, member, name, expected);
        return NULL;
    }
    const char *copy = in->json ? name : homearena_text(in->arena, name, length);
    if (!copy)
        homereader_fail_memory(in);
    return copy;
}

static void read_name_field(homereader *in, const homefield *f, char *object) {
    const char *name = homefield_pointer(object, f->offset);
    if (name || !(f->text_of || f->optional))
        name = read_name(in, name, f->member);
    else if (f->text_of)
        name = f->text_of(object);
    memcpy(object + f->offset, &name, sizeof name);
}

static void fail_integer(homereader *in, const char *member, uint64_t value, const char *expected) {
    /* In JSON a 0 that is written has been refused already. */
    if (in->json && value == 0)
        homereader_fail(in, HOME_E_CONFIG, member, "is missing, expected %s", expected);
    else
        homereader_fail(in, HOME_E_CONFIG, member, "is %llu, expected %s",
                        (unsigned long long)value, expected);
}

/* Whether `value` was good. If not, it becomes what is. */
static bool settle_integer(homereader *in, const homefield *f, const homefield_context *context,
                           const char *object, uint64_t *value) {
    char expected[HOME_EXPECTED_SIZE];
    const uint64_t usual = (uint64_t)homefield_default(f, context, object);
    if (*value == 0)
        *value = usual;
    if (homefield_allows_integer(f, *value))
        return true;
    fail_integer(in, f->member, *value, homefield_expected(f, in->json, expected));
    *value = usual ? usual : f->min;
    return false;
}

static void fail_number(homereader *in, const char *member, double value, const char *expected) {
    char text[HOME_NUMBER_SIZE + 1] = "HOME_ZERO";
    if (in->json && value == HOME_ZERO)
        value = 0;
    if (value != HOME_ZERO)
        snprintf(text, sizeof text, "%s", HOME_BRIEF(value));
    homereader_fail(in, HOME_E_CONFIG, member, "is %s, expected %s", text, expected);
}

/* Where 0 is not within the bounds, HOME_ZERO is not either. */
static double settle_number(homereader *in, const homefield *f, const homefield_context *context,
                            const char *object, double value) {
    char expected[HOME_EXPECTED_SIZE];
    const double usual = homefield_default(f, context, object);
    if (value == HOME_ZERO && homefield_allows_number(f, 0))
        return 0;
    if (value == 0)
        value = usual;
    if (homefield_allows_number(f, value))
        return value;
    fail_number(in, f->member, value, homefield_expected(f, in->json, expected));
    return usual;
}

static int32_t settle_choice(homereader *in, const homefield *f, const homefield_context *context,
                             const char *object, int32_t value) {
    char expected[HOME_EXPECTED_SIZE];
    const int32_t usual = (int32_t)homefield_default(f, context, object);
    if (value == 0)
        value = usual;
    if (value == 0 || homefield_allows_choice(f, value))
        return value;
    homereader_fail(in, HOME_E_CONFIG, f->member, "is %d, expected %s", (int)value,
                    homefield_expected(f, in->json, expected));
    return usual;
}

static void read_number_field(homereader *in, const homefield *f, const homefield_context *context,
                              char *object) {
    char *at = object + f->offset;
    uint64_t integer = 0;
    size_t size;
    double number;
    int32_t choice;
    switch (f->type) {
    case HOME_FIELD_SIZE:
        integer = homefield_size(object, f->offset);
        settle_integer(in, f, context, object, &integer);
        size = (size_t)integer;
        memcpy(at, &size, sizeof size);
        break;
    case HOME_FIELD_UINT64:
        memcpy(&integer, at, sizeof integer);
        settle_integer(in, f, context, object, &integer);
        memcpy(at, &integer, sizeof integer);
        break;
    case HOME_FIELD_NUMBER:
        memcpy(&number, at, sizeof number);
        number = settle_number(in, f, context, object, number);
        memcpy(at, &number, sizeof number);
        break;
    default:
        memcpy(&choice, at, sizeof choice);
        choice = settle_choice(in, f, context, object, choice);
        memcpy(at, &choice, sizeof choice);
        break;
    }
}

static void read_reserved(homereader *in, const homefield *f, const char *object) {
    int32_t value;
    memcpy(&value, object + f->offset, sizeof value);
    if (value != 0)
        homereader_fail(in, HOME_E_CONFIG, f->member, "is %d, expected 0", (int)value);
}

/* --------------------------------------------------------------------------------------- arrays */

static void fail_count(homereader *in, const char *counter, size_t count, const char *expected) {
    if (in->json)
        homereader_fail(in, HOME_E_CONFIG, counter, "has %zu element%s, expected %s", count,
                        count == 1 ? "" : "s", expected);
    else
        homereader_fail(in, HOME_E_CONFIG, counter, "is %zu, expected %s", count, expected);
}

/* Copies `count` elements of the array that a field points to, if they can be; else it has none
 * from here on. NULL where there are none. */
static void *copy_array(homereader *in, const homefield *f, char *object, size_t size) {
    const void *given = homefield_pointer(object, f->offset);
    const size_t count = homefield_size(object, f->count_offset);
    char expected[64];
    homefield_set_array(f, object, NULL, 0);
    snprintf(expected, sizeof expected, "at most %zu", f->max_count);
    if (f->min > 0 && f->type == HOME_FIELD_STRUCTS)
        snprintf(expected, sizeof expected, "1 to %zu", f->max_count);
    if (count > f->max_count || (count == 0 && f->type == HOME_FIELD_STRUCTS && f->min > 0))
        fail_count(in, f->counter, count, expected);
    else if (count > 0 && !given)
        homereader_fail(in, HOME_E_CONFIG, f->member, "is NULL, expected %zu element%s", count,
                        count == 1 ? "" : "s");
    else if (count > 0) {
        char *copy = homearena_take(in->arena, count, size);
        if (!copy)
            homereader_fail_memory(in);
        else
            homefield_set_array(f, object, copy, count);
        return copy;
    }
    return NULL;
}

static void read_widths(homereader *in, const homefield *f, char *object) {
    const size_t *given = homefield_pointer(object, f->offset);
    char expected[HOME_EXPECTED_SIZE];
    size_t *copy = copy_array(in, f, object, sizeof *copy);
    const size_t count = homefield_size(object, f->count_offset);
    snprintf(expected, sizeof expected, "a whole number from %llu to %llu",
             (unsigned long long)f->min, (unsigned long long)f->max);
    for (size_t i = 0; i < count; i++) {
        copy[i] = given[i];
        if (homefield_allows_integer(f, copy[i]))
            continue;
        homereader_enter(in, f->member, i);
        fail_integer(in, NULL, copy[i], expected);
        homereader_leave(in);
        copy[i] = (size_t)f->min;
    }
}

static void read_names(homereader *in, const homefield *f, char *object) {
    const char *const *given = homefield_pointer(object, f->offset);
    const char **copy = copy_array(in, f, object, sizeof *copy);
    const size_t count = homefield_size(object, f->count_offset);
    for (size_t i = 0; i < count && homereader_ok(in); i++) {
        homereader_enter(in, f->member, i);
        copy[i] = read_name(in, given[i], NULL);
        homereader_leave(in);
    }
}

/* Copies a caller's struct of any version. */
static bool read_struct(homereader *in, const void *given, void *out, size_t known) {
    home_error found = {.struct_size = sizeof found};
    const char *path = homereader_path(in, NULL);
    if (homeabi_read(given, out, known, path, HOME_E_CONFIG, &found) == HOME_OK)
        return true;
    memcpy(out, &known, sizeof known);
    homereader_fail_as(in, path, &found);
    return false;
}

/* Copies the structs of an array; the stride is the struct_size of the first. */
static void read_structs(homereader *in, const homefield *f, char *object) {
    const char *given = homefield_pointer(object, f->offset);
    char *copy = copy_array(in, f, object, f->size);
    const size_t count = homefield_size(object, f->count_offset);
    const size_t stride = copy ? homefield_size(given, 0) : 0;
    for (size_t i = 0; i < count && homereader_ok(in); i++) {
        const size_t size = homefield_size(given, i * stride);
        bool good = size == stride;
        homereader_enter(in, f->member, i);
        if (good)
            good = read_struct(in, given + i * stride, copy + i * f->size, f->size);
        else
            homereader_fail(in, HOME_E_CONFIG, NULL,
                            ".struct_size is %zu, expected %zu, that of the first", size, stride);
        homereader_leave(in);
        if (!good) { /* where the others lie is not known for sure */
            homefield_set_array(f, object, NULL, 0);
            return;
        }
    }
}

/* Reads one field of an object: copies what it points to, fills in its default, checks its bounds.
 * Elements of arrays, structs, and what is checked apart come later. */
static void read_field(homereader *in, const homefield *f, const homefield_context *context,
                       char *object) {
    switch (f->type) {
    case HOME_FIELD_NAME:
        read_name_field(in, f, object);
        break;
    case HOME_FIELD_WIDTHS:
        read_widths(in, f, object);
        break;
    case HOME_FIELD_NAMES:
        read_names(in, f, object);
        break;
    case HOME_FIELD_STRUCTS:
        read_structs(in, f, object);
        break;
    case HOME_FIELD_SECTION:
        for (const homefield *inner = f->fields; inner->type != HOME_FIELD_END; inner++)
            read_field(in, inner, context, object);
        break;
    case HOME_FIELD_RESERVED:
        read_reserved(in, f, object);
        break;
    case HOME_FIELD_SIZE:
    case HOME_FIELD_UINT64:
    case HOME_FIELD_NUMBER:
    case HOME_FIELD_CHOICE:
    case HOME_FIELD_SWITCH:
        if (!f->apart)
            read_number_field(in, f, context, object);
        break;
    default:
        break;
    }
}

/* All fields of the element, or the struct, that is being read. */
static void read_fields(homereader *in, const homefield_context *context, void *object) {
    for (const homefield *f = in->places[in->depth - 1].field->fields;
         f->type != HOME_FIELD_END && homereader_ok(in); f++)
        read_field(in, f, context, object);
}

/* ---------------------------------------------------------------------------------------- names */

/* One text of each element of an array, to be found. */
typedef struct name_index {
    const char **texts;  /* [count] "" where it is NULL, or was refused */
    const void **sorted; /* [count] pointers to the texts, in the order of these */
    size_t count;
} name_index;

/* Of texts that lie `offset` bytes into elements of `size` bytes; they need not be checked yet. */
static name_index index_names(homereader *in, const void *elements, size_t count, size_t size,
                              size_t offset) {
    const name_index names = {.texts = homearena_take(in->arena, count, sizeof *names.texts),
                              .sorted = homearena_take(in->arena, count, sizeof *names.sorted),
                              .count = count};
    if (!names.texts || !names.sorted) {
        homereader_fail_memory(in);
        return (name_index){0};
    }
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
static void check_name_is_new(homereader *in, const name_index *names, size_t i,
                              const char *other) {
    if (names->count && *names->texts[i] && find_name(names, names->texts[i]) < i)
        homereader_fail(in, HOME_E_CONFIG, "name",
                        "is \"%.60s\", expected a name that no other %s has", names->texts[i],
                        other);
}

static void fail_text(homereader *in, const char *member, const char *value, const char *expected) {
    homereader_fail(in, HOME_E_CONFIG, member, "is \"%.60s\", expected %s", value, expected);
}

/* -------------------------------------------------------------------------------- dense values */

/* One name for each dense value, or none at all. */
static void check_dense_names(homereader *in, homesettings *settings) {
    const home_config *config = &settings->config;
    const size_t count = config->dense_names_count;
    if (count == 0 || homereader_failed_in(in, "dense_width"))
        return;
    if (count != config->dense_width) {
        homereader_fail(in, HOME_E_CONFIG, "dense_names",
                        "has %zu name%s, expected none or one for each of %zu dense values", count,
                        count == 1 ? "" : "s", config->dense_width);
        return;
    }
    const name_index names = index_names(in, config->dense_names, count, sizeof(const char *), 0);
    for (size_t i = 0; i < names.count && homereader_ok(in); i++) {
        homereader_enter(in, "dense_names", i);
        if (*names.texts[i] && find_name(&names, names.texts[i]) < i)
            fail_text(in, NULL, names.texts[i], "a name that no other dense value has");
        homereader_leave(in);
    }
}

/* --------------------------------------------------------------------------------------- tables */

static void check_table_size(homereader *in, const home_table_config *table) {
    size_t bytes;
    if (table->rows > SIZE_MAX ||
        !homesize_multiply((size_t)table->rows, table->dim * sizeof(float), &bytes))
        homereader_fail(in, HOME_E_TOO_LARGE, NULL,
                        ": rows x dim is %llu x %zu, expected a table that fits memory",
                        (unsigned long long)table->rows, table->dim);
}

static void read_tables(homereader *in, homesettings *settings) {
    const homefield_context context = {.settings = settings};
    home_config *config = &settings->config;
    home_table_config *tables = homefield_pointer(&config->tables, 0);
    const name_index names = index_names(in, tables, config->table_count, sizeof *tables,
                                         offsetof(home_table_config, name));
    for (size_t i = 0; i < config->table_count && homereader_ok(in); i++) {
        homereader_enter(in, "tables", i);
        read_fields(in, &context, &tables[i]);
        check_table_size(in, &tables[i]);
        check_name_is_new(in, &names, i, "table");
        homereader_leave(in);
    }
}

/* Finds the table of field `i` and gives it the next columns of v. */
static void place_field(homereader *in, homesettings *settings, const name_index *tables,
                        size_t i) {
    const home_config *config = &settings->config;
    const char *name = config->fields[i].table;
    const size_t table = name ? find_name(tables, name) : tables->count;
    if (table < tables->count) {
        settings->field_table[i] = table;
        settings->field_column[i] = settings->input_width;
        if (settings->input_width <=
            HOME_MAX_WIDTH) /* what is too much stays so, and cannot wrap */
            settings->input_width += config->tables[table].dim;
    } else if (name && !homereader_failed_in(in, "tables")) {
        fail_text(in, "table", name,
                  in->json ? "the name of one of \"tables\"" : "the name of one of config.tables");
    }
}

static void check_input_width(homereader *in, homesettings *settings) {
    const bool known = !homereader_failed_in(in, "dense_width") &&
                       !homereader_failed_in(in, "tables") && !homereader_failed_in(in, "fields");
    const size_t dense = settings->config.dense_width;
    const size_t width = settings->input_width;
    if (width >= 1 && width <= HOME_MAX_WIDTH)
        return;
    settings->input_width = 1;
    if (known)
        homereader_fail(in, HOME_E_CONFIG, "dense_width",
                        "is %zu and the fields add %zu, expected an input of width 1 to %u", dense,
                        width - dense, HOME_MAX_WIDTH);
}

static void read_id_fields(homereader *in, homesettings *settings) {
    const homefield_context context = {.settings = settings};
    home_config *config = &settings->config;
    home_field_config *fields = homefield_pointer(&config->fields, 0);
    settings->field_table = homearena_take(in->arena, config->field_count, sizeof(size_t));
    settings->field_column = homearena_take(in->arena, config->field_count, sizeof(size_t));
    if (!settings->field_table || !settings->field_column) {
        homereader_fail_memory(in);
        return;
    }
    const name_index tables =
        index_names(in, config->tables, config->table_count, sizeof *config->tables,
                    offsetof(home_table_config, name));
    const name_index names = index_names(in, fields, config->field_count, sizeof *fields,
                                         offsetof(home_field_config, name));
    settings->input_width = config->dense_width;
    for (size_t i = 0; i < config->field_count && homereader_ok(in); i++) {
        homereader_enter(in, "fields", i);
        read_fields(in, &context, &fields[i]);
        check_name_is_new(in, &names, i, "field");
        place_field(in, settings, &tables, i);
        homereader_leave(in);
    }
    check_input_width(in, settings);
}

/* ---------------------------------------------------------------------------------------- tasks */

/* What tasks are found by. */
typedef struct task_names {
    name_index own;
    name_index groups; /* the group of each */
} task_names;

/* Names of tasks and groups become names of units and nodes, where `shared` has a meaning of its
 * own. */
static void check_distinct(homereader *in, const task_names *names, size_t i) {
    const char *name = names->own.texts[i];
    const bool taken =
        strcmp(name, "shared") == 0 || find_name(&names->groups, name) < names->groups.count;
    if (*name && (taken || find_name(&names->own, name) < i))
        fail_text(in, "name", name, "a name that no other task or group has, and not \"shared\"");
    else if (strcmp(names->groups.texts[i], "shared") == 0)
        fail_text(in, "group", "shared", "another name");
}

/* A binary task starts at a probability; to a squared error that means nothing. */
static void read_base_rate(homereader *in, home_task_config *task) {
    const bool given = task->base_rate != 0;
    if (task->loss == HOME_LOSS_SQUARED) {
        if (given && task->base_rate != HOME_ZERO)
            fail_number(in, "base_rate", task->base_rate, "0 for a squared error");
        task->base_rate = 0;
    } else if (!given) {
        task->base_rate = 0.5;
    } else if (!(task->base_rate > 0 && task->base_rate < 1)) {
        fail_number(in, "base_rate", task->base_rate,
                    in->json ? "a number above 0 and below 1 (leave the key out to start at 1/2)"
                             : "a number above 0 and below 1, or 0 to start at 1/2");
        task->base_rate = 0.5;
    }
}

/* Finds the task that another is given. */
static void link_task(homereader *in, const homesettings *settings, const task_names *names,
                      size_t i) {
    const home_config *config = &settings->config;
    const home_task_config *task = &config->tasks[i];
    const size_t other = task->given ? find_name(&names->own, task->given) : config->task_count;
    if (task->given && other == config->task_count)
        fail_text(in, "given", task->given, "the name of a task");
    else if (task->given &&
             (task->loss != HOME_LOSS_BCE || config->tasks[other].loss != HOME_LOSS_BCE))
        fail_text(in, "given", task->given, "a binary task, for a binary task");
    settings->task_given[i] = other < config->task_count ? other : HOME_NONE;
}

/* Following the links from a task must come to an end. */
static void check_chain(homereader *in, const homesettings *settings, size_t i) {
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

/* What tasks say of each other. Links are followed only where every task is good by itself: a
 * broken name would break the links to it too. */
static void relate_tasks(homereader *in, homesettings *settings) {
    const home_config *config = &settings->config;
    const task_names names = {
        .own = index_names(in, config->tasks, config->task_count, sizeof *config->tasks,
                           offsetof(home_task_config, name)),
        .groups = index_names(in, config->tasks, config->task_count, sizeof *config->tasks,
                              offsetof(home_task_config, group))};
    for (size_t i = 0; i < config->task_count && homereader_ok(in); i++) {
        homereader_enter(in, "tasks", i);
        check_distinct(in, &names, i);
        homereader_leave(in);
    }
    if (!homereader_ok(in) || homereader_failed_in(in, "tasks"))
        return;
    number_groups(settings, &names.groups);
    for (size_t i = 0; i < config->task_count && homereader_ok(in); i++) {
        homereader_enter(in, "tasks", i);
        link_task(in, settings, &names, i);
        homereader_leave(in);
    }
    for (size_t i = 0; i < config->task_count && homereader_ok(in); i++) {
        homereader_enter(in, "tasks", i);
        check_chain(in, settings, i);
        homereader_leave(in);
    }
}

static void read_tasks(homereader *in, homesettings *settings) {
    const homefield_context context = {.settings = settings};
    home_config *config = &settings->config;
    home_task_config *tasks = homefield_pointer(&config->tasks, 0);
    settings->groups = homearena_take(in->arena, config->task_count, sizeof *settings->groups);
    settings->task_group = homearena_take(in->arena, config->task_count, sizeof(size_t));
    settings->task_given = homearena_take(in->arena, config->task_count, sizeof(size_t));
    if (!settings->groups || !settings->task_group || !settings->task_given) {
        homereader_fail_memory(in);
        return;
    }
    for (size_t i = 0; i < config->task_count && homereader_ok(in); i++) {
        homereader_enter(in, "tasks", i);
        read_fields(in, &context, &tasks[i]);
        read_base_rate(in, &tasks[i]);
        homereader_leave(in);
    }
    if (homereader_ok(in))
        relate_tasks(in, settings);
}

/* --------------------------------------------------------------------------------------- layers */

/* A size whose 0 is a number in JSON, where it was written: see homeconfig_from_json(). Whether it
 * was; then it becomes 0. */
static bool take_zero(const homereader *in, size_t *size) {
    const bool zero = in->json && *size == HOME_WRITTEN_ZERO;
    if (zero)
        *size = 0;
    return zero;
}

/* A count of experts: where the preset has no such unit, it must not be set. */
static void read_experts(homereader *in, size_t *experts, size_t usual, const char *member) {
    const bool zero = take_zero(in, experts);
    const homefield *section;
    const homefield *f = homefield_find(in->places[in->depth - 1].field->fields, member, &section);
    char expected[64];
    snprintf(expected, sizeof expected, "a whole number from 1 to %llu",
             (unsigned long long)f->max);
    if (usual == 0 && *experts != 0)
        homereader_fail(in, HOME_E_CONFIG, member,
                        "is %zu, expected 0: this layer of the preset has no such units", *experts);
    else if (usual != 0 && (zero || *experts > f->max))
        homereader_fail(in, HOME_E_CONFIG, member, "is %zu, expected %s", *experts, expected);
    else if (*experts != 0)
        return;
    *experts = usual;
}

static void read_unit_width(homereader *in, const home_layer_config *layer, size_t *width) {
    const bool zero = take_zero(in, width);
    if (zero || (*width != 0 && *width != layer->width))
        homereader_fail(in, HOME_E_CONFIG, "width", "is %zu, expected %sthe layer's width, %zu",
                        *width, in->json ? "" : "0 or ", layer->width);
    *width = layer->width;
}

static void read_units(homereader *in, const homefield_context *context, home_layer_config *layer) {
    home_unit_config *units = homefield_pointer(&layer->units, 0);
    const name_index names =
        index_names(in, units, layer->unit_count, sizeof *units, offsetof(home_unit_config, name));
    for (size_t u = 0; u < layer->unit_count && homereader_ok(in); u++) {
        homereader_enter(in, "units", u);
        read_fields(in, context, &units[u]);
        read_unit_width(in, layer, &units[u].width);
        check_name_is_new(in, &names, u, "unit of the layer");
        homereader_leave(in);
    }
}

/* Without the preset custom a node is only the mask of one that the preset has. */
static void check_node(homereader *in, const home_node_config *node, bool custom) {
    const char *set = node->gate_count != 0 ? "gate"
                      : node->self          ? "self"
                      : node->self_kind     ? "self_kind"
                                            : NULL;
    if (!custom && set)
        homereader_fail(in, HOME_E_CONFIG, set,
                        "is set, expected only name and sees (a mask) unless the preset is custom");
    if (node->sees_count == 0)
        homereader_fail(in, HOME_E_CONFIG, "sees",
                        "is empty, expected the name of at least one unit");
}

static void read_nodes(homereader *in, const homefield_context *context, home_layer_config *layer,
                       bool custom) {
    home_node_config *nodes = homefield_pointer(&layer->nodes, 0);
    const name_index names =
        index_names(in, nodes, layer->node_count, sizeof *nodes, offsetof(home_node_config, name));
    for (size_t n = 0; n < layer->node_count && homereader_ok(in); n++) {
        homereader_enter(in, "nodes", n);
        read_fields(in, context, &nodes[n]);
        check_node(in, &nodes[n], custom);
        check_name_is_new(in, &names, n, "node of the layer");
        homereader_leave(in);
    }
}

/* What the preset asks of a layer. */
static void fit_layer(homereader *in, const homefield_context *context, home_layer_config *layer) {
    const homepreset *preset = context->settings->preset;
    const bool custom = preset == &homepresets[HOME_PRESET_CUSTOM];
    const bool single = preset == &homepresets[HOME_PRESET_SHARED_BOTTOM];
    read_experts(in, &layer->shared_experts, preset->shared, "shared_experts");
    if (single && layer->shared_experts != 1)
        homereader_fail(in, HOME_E_CONFIG, "shared_experts",
                        "is %zu, expected 1 for the preset shared-bottom", layer->shared_experts);
    read_experts(in, &layer->group_experts, preset->groups, "group_experts");
    read_experts(in, &layer->task_experts, context->layer >= preset->first_task_layer,
                 "task_experts");
    if (custom != (layer->unit_count > 0))
        fail_count(in, "unit_count", layer->unit_count,
                   custom ? "at least 1 for the preset custom" : "0 unless the preset is custom");
    if (custom && layer->node_count == 0)
        fail_count(in, "node_count", 0, "at least 1 for the preset custom");
}

static void check_layer_count(homereader *in, const homepreset *preset, size_t count) {
    char expected[64];
    const char *name = preset->name;
    if (count >= preset->min_layers && count <= preset->max_layers)
        return;
    if (preset->min_layers == preset->max_layers)
        snprintf(expected, sizeof expected, "%zu for the preset %s", preset->min_layers, name);
    else
        snprintf(expected, sizeof expected, "%zu to %zu for the preset %s", preset->min_layers,
                 preset->max_layers, name);
    fail_count(in, "layer_count", count, expected);
}

/* With an unknown preset only what every layer must have is looked at. */
static void read_layers(homereader *in, homesettings *settings) {
    home_config *config = &settings->config;
    home_layer_config *layers = homefield_pointer(&config->layers, 0);
    const homepreset *preset = settings->preset;
    const bool known = !homereader_failed_in(in, "preset");
    if (known && !homereader_failed_in(in, "layers"))
        check_layer_count(in, preset, config->layer_count);
    for (size_t i = 0; i < config->layer_count && homereader_ok(in); i++) {
        const homefield_context context = {.settings = settings, .layer = i};
        homereader_enter(in, "layers", i);
        read_fields(in, &context, &layers[i]);
        if (known) {
            fit_layer(in, &context, &layers[i]);
            read_units(in, &context, &layers[i]);
            read_nodes(in, &context, &layers[i], preset == &homepresets[HOME_PRESET_CUSTOM]);
        }
        homereader_leave(in);
    }
}

/* ------------------------------------------------------------------------------ the whole model */

static void read_optimizer(homereader *in, homesettings *settings) {
    const homefield_context context = {.settings = settings};
    const home_optimizer_config *given = settings->config.optimizer;
    home_optimizer_config *optimizer = &settings->optimizer;
    *optimizer = (home_optimizer_config){.struct_size = sizeof *optimizer};
    settings->config.optimizer = optimizer;
    homereader_enter(in, "optimizer", HOME_NONE);
    if (!given || read_struct(in, given, optimizer, sizeof *optimizer))
        read_fields(in, &context, optimizer);
    homereader_leave(in);
}

static void read_isa(homereader *in, homesettings *settings) {
    const char *isa = settings->config.isa;
    settings->config.isa = NULL;
    settings->isa = isa ? homekernels_isa_name(isa) : NULL;
    if (isa && !settings->isa)
        fail_text(in, "isa", isa, HOMEKERNELS_ISA_NAMES);
}

static void read_preset(homereader *in, homesettings *settings) {
    (void)in;
    settings->preset = &homepresets[settings->config.preset];
}

/* What comes after a field of the model has been read. */
static const struct {
    size_t offset;
    void (*read)(homereader *in, homesettings *settings);
} parts[] = {
    {offsetof(home_config, preset), read_preset},
    {offsetof(home_config, dense_names), check_dense_names},
    {offsetof(home_config, tables), read_tables},
    {offsetof(home_config, fields), read_id_fields},
    {offsetof(home_config, tasks), read_tasks},
    {offsetof(home_config, layers), read_layers},
    {offsetof(home_config, optimizer), read_optimizer},
    {offsetof(home_config, isa), read_isa},
};

home_status homeconfig_resolve(homereader *in, const home_config *given, homesettings *settings) {
    const homefield_context context = {.settings = settings};
    *settings = (homesettings){0};
    home_config *config = &settings->config;
    if (!read_struct(in, given, config, sizeof *config))
        return in->status;
    for (const homefield *f = homefields_model; f->type != HOME_FIELD_END && homereader_ok(in);
         f++) {
        read_field(in, f, &context, (char *)config);
        for (size_t i = 0; i < sizeof parts / sizeof parts[0] && homereader_ok(in); i++)
            if (f->type != HOME_FIELD_SECTION && parts[i].offset == f->offset)
                parts[i].read(in, settings);
    }
    config->allocator = NULL;
    config->memory_limit = 0;
    return in->status;
}
