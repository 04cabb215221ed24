/* The configuration as JSON, both ways, from one table of fields. */
#include "config.h"

#include "status.h"

#include <stdio.h>
#include <string.h>

typedef enum field_type {
    TYPE_TEXT,
    TYPE_SIZE,
    TYPE_UINT64,
    TYPE_NUMBER,
    TYPE_CHOICE,
    TYPE_SWITCH,
    TYPE_WIDTHS
} field_type;

/* One key of an object and the struct field behind it. */
typedef struct field {
    const char *key;
    field_type type;
    size_t offset;
    size_t count_offset;  /* of TYPE_WIDTHS */
    int32_t first;        /* of TYPE_CHOICE: the number of the first name */
    const char *names[6]; /* of TYPE_CHOICE */
} field;

#define AT(type, member) offsetof(type, member)
#define WIDTHS(type, key, member)                                                                            \
    {                                                                                                        \
        key, TYPE_WIDTHS, AT(type, member), AT(type, member##_count), 0, {                                   \
            NULL                                                                                             \
        }                                                                                                    \
    }
#define SCALAR(type, key, kind, member)                                                                      \
    {                                                                                                        \
        key, kind, AT(type, member), 0, 0, {                                                                 \
            NULL                                                                                             \
        }                                                                                                    \
    }
#define CHOICE(type, key, member, first, ...)                                                                \
    {                                                                                                        \
        key, TYPE_CHOICE, AT(type, member), 0, first, {                                                      \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define END                                                                                                  \
    {                                                                                                        \
        NULL, TYPE_TEXT, 0, 0, 0, {                                                                          \
            NULL                                                                                             \
        }                                                                                                    \
    }

static const field model_fields[] = {
    CHOICE(home_config, "preset", preset, HOME_PRESET_HOME, "home"),
    SCALAR(home_config, "seed", TYPE_UINT64, seed),
    SCALAR(home_config, "dense", TYPE_SIZE, dense_width),
    END,
};
static const field table_fields[] = {
    SCALAR(home_table_config, "name", TYPE_TEXT, name),
    SCALAR(home_table_config, "rows", TYPE_UINT64, rows),
    SCALAR(home_table_config, "dim", TYPE_SIZE, dim),
    CHOICE(home_table_config, "index", index, HOME_INDEX_DIRECT, "direct", "hashed"),
    SCALAR(home_table_config, "init_std", TYPE_NUMBER, init_std),
    END,
};
static const field field_fields[] = {
    SCALAR(home_field_config, "name", TYPE_TEXT, name),
    SCALAR(home_field_config, "table", TYPE_TEXT, table),
    CHOICE(home_field_config, "pooling", pooling, HOME_POOL_SUM, "sum", "mean"),
    END,
};
static const field task_fields[] = {
    SCALAR(home_task_config, "name", TYPE_TEXT, name),
    SCALAR(home_task_config, "group", TYPE_TEXT, group),
    SCALAR(home_task_config, "weight", TYPE_NUMBER, weight),
    CHOICE(home_task_config, "loss", loss, HOME_LOSS_BCE, "bce"),
    SCALAR(home_task_config, "base_rate", TYPE_NUMBER, base_rate),
    END,
};
static const field layer_fields[] = {
    SCALAR(home_layer_config, "width", TYPE_SIZE, width),
    WIDTHS(home_layer_config, "hidden", hidden),
    SCALAR(home_layer_config, "shared_experts", TYPE_SIZE, shared_experts),
    SCALAR(home_layer_config, "group_experts", TYPE_SIZE, group_experts),
    SCALAR(home_layer_config, "task_experts", TYPE_SIZE, task_experts),
    SCALAR(home_layer_config, "feature_gates", TYPE_SWITCH, feature_gates),
    SCALAR(home_layer_config, "feature_branches", TYPE_SIZE, feature_branches),
    SCALAR(home_layer_config, "feature_rank", TYPE_SIZE, feature_rank),
    END,
};
static const field expert_fields[] = {
    CHOICE(home_config, "norm", expert_norm, HOME_NORM_NONE, "none", "batch"),
    CHOICE(home_config, "activation", expert_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    CHOICE(home_config, "hidden_activation", expert_hidden_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    SCALAR(home_config, "bias_before_norm", TYPE_SWITCH, bias_before_norm),
    SCALAR(home_config, "swish_beta", TYPE_NUMBER, swish_beta),
    SCALAR(home_config, "norm_epsilon", TYPE_NUMBER, norm_epsilon),
    SCALAR(home_config, "norm_momentum", TYPE_NUMBER, norm_momentum),
    END,
};
static const field feature_gate_fields[] = {
    CHOICE(home_config, "order", feature_order, HOME_FEATURE_SIGMOID_FIRST, "sigmoid_first", "mix_first"),
    CHOICE(home_config, "init", feature_init, HOME_INIT_ZERO, "zero", "uniform"),
    END,
};
static const field gate_fields[] = {
    WIDTHS(home_config, "hidden", gate_hidden),
    CHOICE(home_config, "activation", gate_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    CHOICE(home_config, "input", gate_input, HOME_INPUT_RAW, "raw", "gated"),
    END,
};
static const field self_gate_fields[] = {
    SCALAR(home_config, "on", TYPE_SWITCH, self_gates),
    WIDTHS(home_config, "hidden", self_gate_hidden),
    CHOICE(home_config, "activation", self_gate_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    CHOICE(home_config, "input", self_gate_input, HOME_INPUT_RAW, "raw", "gated"),
    END,
};
static const field tower_fields[] = {
    WIDTHS(home_config, "hidden", tower_hidden),
    CHOICE(home_config, "activation", tower_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    END,
};
static const field optimizer_fields[] = {
    CHOICE(home_optimizer_config, "kind", kind, HOME_OPTIMIZER_ADAM, "adam"),
    CHOICE(home_optimizer_config, "embedding_kind", embedding_kind, HOME_OPTIMIZER_ROWWISE_ADAGRAD,
           "rowwise_adagrad"),
    SCALAR(home_optimizer_config, "learning_rate", TYPE_NUMBER, learning_rate),
    SCALAR(home_optimizer_config, "beta1", TYPE_NUMBER, beta1),
    SCALAR(home_optimizer_config, "beta2", TYPE_NUMBER, beta2),
    SCALAR(home_optimizer_config, "epsilon", TYPE_NUMBER, epsilon),
    SCALAR(home_optimizer_config, "clip_norm", TYPE_NUMBER, clip_norm),
    SCALAR(home_optimizer_config, "embedding_learning_rate", TYPE_NUMBER, embedding_learning_rate),
    SCALAR(home_optimizer_config, "embedding_epsilon", TYPE_NUMBER, embedding_epsilon),
    END,
};

/* Objects inside the model's object, whose fields lie in home_config itself. */
static const struct section {
    const char *key;
    const field *fields;
} sections[] = {
    {"experts", expert_fields}, {"feature_gate", feature_gate_fields},
    {"gate", gate_fields},      {"self_gate", self_gate_fields},
    {"tower", tower_fields},
};
enum { SECTION_COUNT = sizeof sections / sizeof sections[0] };

/* Arrays of objects, each object a struct of its own. */
static const struct list {
    const char *key;
    const field *fields;
    size_t element; /* bytes of the struct */
    size_t offset;  /* of the pointer in home_config */
    size_t count_offset;
} lists[] = {
    {"tables", table_fields, sizeof(home_table_config), AT(home_config, tables),
     AT(home_config, table_count)},
    {"fields", field_fields, sizeof(home_field_config), AT(home_config, fields),
     AT(home_config, field_count)},
    {"tasks", task_fields, sizeof(home_task_config), AT(home_config, tasks), AT(home_config, task_count)},
    {"layers", layer_fields, sizeof(home_layer_config), AT(home_config, layers),
     AT(home_config, layer_count)},
};
enum { LIST_COUNT = sizeof lists / sizeof lists[0] };

/* --------------------------------------------------------------------------------------- reading */

/* Where a reading function reports to, and the name of the object it is in: "layers[1].". */
typedef struct reader {
    home_arena *arena;
    home_error *error;
    char where[96];
} reader;

static home_status fail(const reader *in, const char *key, const char *expected) {
    return home_fail(in->error, HOME_E_CONFIG, "%s%.60s: expected %s", in->where, key, expected);
}

static home_status read_choice(const reader *in, const field *f, const home_json_value *value, int32_t *out) {
    char expected[120] = "one of";
    for (int32_t i = 0; i < 6 && f->names[i]; i++) {
        if (value->type == HOME_JSON_STRING && strcmp(value->text, f->names[i]) == 0) {
            *out = f->first + i;
            return HOME_OK;
        }
        const size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, " \"%s\"", f->names[i]);
    }
    return fail(in, f->key, expected);
}

static home_status read_widths(const reader *in, const field *f, const home_json_value *value, char *object) {
    if (value->type != HOME_JSON_ARRAY)
        return fail(in, f->key, "an array of widths");
    size_t *widths = home_arena_take(in->arena, value->count, sizeof *widths);
    if (!widths)
        return home_fail_memory(in->error);
    size_t i = 0;
    for (const home_json_value *item = value->first; item; item = item->next) {
        if (!item->is_integer || item->integer == 0 || item->integer > SIZE_MAX)
            return fail(in, f->key, "an array of whole numbers from 1");
        widths[i++] = (size_t)item->integer;
    }
    const size_t *const pointer = widths;
    memcpy(object + f->offset, &pointer, sizeof pointer);
    memcpy(object + f->count_offset, &i, sizeof i);
    return HOME_OK;
}

static home_status read_text(const reader *in, const field *f, const home_json_value *value, char *object) {
    if (value->type != HOME_JSON_STRING || strlen(value->text) != value->length)
        return fail(in, f->key, "a string without zero bytes");
    const char *copy = home_arena_text(in->arena, value->text, value->length);
    if (!copy)
        return home_fail_memory(in->error);
    memcpy(object + f->offset, &copy, sizeof copy);
    return HOME_OK;
}

/* Reads one member into its struct field. */
static home_status read_field(const reader *in, const field *f, const home_json_value *value, char *object) {
    char *target = object + f->offset;
    switch (f->type) {
    case TYPE_TEXT:
        return read_text(in, f, value, object);
    case TYPE_WIDTHS:
        return read_widths(in, f, value, object);
    case TYPE_SIZE: {
        if (!value->is_integer || value->integer > SIZE_MAX)
            return fail(in, f->key, "a whole number from 0");
        const size_t size = (size_t)value->integer;
        memcpy(target, &size, sizeof size);
        return HOME_OK;
    }
    case TYPE_UINT64:
        if (!value->is_integer)
            return fail(in, f->key, "a whole number from 0 to 18446744073709551615");
        memcpy(target, &value->integer, sizeof value->integer);
        return HOME_OK;
    case TYPE_NUMBER:
        if (value->type != HOME_JSON_NUMBER)
            return fail(in, f->key, "a number");
        memcpy(target, &value->number, sizeof value->number);
        return HOME_OK;
    case TYPE_SWITCH: {
        if (value->type != HOME_JSON_BOOL)
            return fail(in, f->key, "true or false");
        const int32_t on = value->boolean ? HOME_ON : HOME_OFF;
        memcpy(target, &on, sizeof on);
        return HOME_OK;
    }
    case TYPE_CHOICE: {
        int32_t number = 0;
        const home_status status = read_choice(in, f, value, &number);
        if (status == HOME_OK)
            memcpy(target, &number, sizeof number);
        return status;
    }
    default:
        return HOME_OK;
    }
}

static const field *find_field(const field *fields, const char *key) {
    for (; fields->key; fields++)
        if (strcmp(fields->key, key) == 0)
            return fields;
    return NULL;
}

/* Reads an object all of whose keys are in `fields`. */
static home_status read_object(const reader *in, const field *fields, const home_json_value *value,
                               char *object) {
    if (value->type != HOME_JSON_OBJECT)
        return fail(in, "", "an object");
    for (const home_json_value *member = value->first; member; member = member->next) {
        const field *f = find_field(fields, member->key);
        if (!f)
            return fail(in, member->key, "no key of this name");
        const home_status status = read_field(in, f, member, object);
        if (status != HOME_OK)
            return status;
    }
    return HOME_OK;
}

static home_status read_list(reader *in, const struct list *list, const home_json_value *value,
                             char *config) {
    if (value->type != HOME_JSON_ARRAY)
        return fail(in, list->key, "an array of objects");
    char *elements = home_arena_take(in->arena, value->count, list->element);
    if (!elements)
        return home_fail_memory(in->error);
    size_t i = 0;
    for (const home_json_value *item = value->first; item; item = item->next, i++) {
        char *element = elements + i * list->element;
        memcpy(element, &list->element, sizeof list->element); /* struct_size */
        snprintf(in->where, sizeof in->where, "config.%s[%zu].", list->key, i);
        const home_status status = read_object(in, list->fields, item, element);
        if (status != HOME_OK)
            return status;
    }
    memcpy(config + list->offset, &elements, sizeof elements);
    memcpy(config + list->count_offset, &i, sizeof i);
    return HOME_OK;
}

static home_status read_optimizer(reader *in, const home_json_value *value, home_config *config) {
    home_optimizer_config *optimizer = home_arena_take(in->arena, 1, sizeof *optimizer);
    if (!optimizer)
        return home_fail_memory(in->error);
    optimizer->struct_size = sizeof *optimizer;
    config->optimizer = optimizer;
    snprintf(in->where, sizeof in->where, "config.optimizer.");
    return read_object(in, optimizer_fields, value, (char *)optimizer);
}

/* Reads one member of the model's object, which may be a plain field, a section or a list. */
static home_status read_member(reader *in, const home_json_value *member, home_config *config) {
    char *object = (char *)config;
    const field *plain = find_field(model_fields, member->key);
    if (plain)
        return read_field(in, plain, member, object);
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (strcmp(sections[i].key, member->key) == 0) {
            snprintf(in->where, sizeof in->where, "config.%s.", member->key);
            return read_object(in, sections[i].fields, member, object);
        }
    for (size_t i = 0; i < LIST_COUNT; i++)
        if (strcmp(lists[i].key, member->key) == 0)
            return read_list(in, &lists[i], member, object);
    if (strcmp(member->key, "optimizer") == 0)
        return read_optimizer(in, member, config);
    return fail(in, member->key, "no key of this name");
}

home_status home_config_from_json(const char *json, size_t length, home_arena *arena, home_config *config,
                                  home_error *error) {
    home_json *document = NULL;
    home_status status = home_json_parse(arena->allocator, json, length, &document, error);
    if (status != HOME_OK)
        return status;
    *config = (home_config){.struct_size = sizeof *config};
    reader in = {arena, error, "config."};
    const home_json_value *root = home_json_root(document);
    if (root->type != HOME_JSON_OBJECT)
        status = home_fail(error, HOME_E_CONFIG, "config: expected an object");
    for (const home_json_value *member = root->first; member && status == HOME_OK; member = member->next) {
        snprintf(in.where, sizeof in.where, "config.");
        status = read_member(&in, member, config);
    }
    home_json_free(document);
    return status;
}

/* --------------------------------------------------------------------------------------- writing */

static void write_widths(const field *f, const char *object, home_text *text) {
    const size_t *widths;
    size_t count;
    memcpy(&widths, object + f->offset, sizeof widths);
    memcpy(&count, object + f->count_offset, sizeof count);
    home_text_add(text, "[");
    for (size_t i = 0; i < count; i++) {
        home_text_add(text, i ? "," : "");
        home_text_add_integer(text, widths[i]);
    }
    home_text_add(text, "]");
}

static void write_value(const field *f, const char *object, home_text *text) {
    const char *source = object + f->offset;
    switch (f->type) {
    case TYPE_TEXT: {
        const char *string;
        memcpy(&string, source, sizeof string);
        home_text_add_string(text, string);
        break;
    }
    case TYPE_WIDTHS:
        write_widths(f, object, text);
        break;
    case TYPE_SIZE: {
        size_t size;
        memcpy(&size, source, sizeof size);
        home_text_add_integer(text, size);
        break;
    }
    case TYPE_UINT64: {
        uint64_t integer;
        memcpy(&integer, source, sizeof integer);
        home_text_add_integer(text, integer);
        break;
    }
    case TYPE_NUMBER: {
        double number;
        memcpy(&number, source, sizeof number);
        home_text_add_number(text, number);
        break;
    }
    case TYPE_SWITCH:
    case TYPE_CHOICE: {
        int32_t number;
        memcpy(&number, source, sizeof number);
        if (f->type == TYPE_SWITCH)
            home_text_add(text, number == HOME_ON ? "true" : "false");
        else
            home_text_add_string(text, f->names[number - f->first]);
        break;
    }
    }
}

/* "key":value pairs, separated by commas. */
static void write_fields(const field *fields, const char *object, home_text *text) {
    for (const field *f = fields; f->key; f++) {
        home_text_add(text, f == fields ? "" : ",");
        home_text_add_string(text, f->key);
        home_text_add(text, ":");
        write_value(f, object, text);
    }
}

static void write_object(const char *key, const field *fields, const void *object, home_text *text) {
    home_text_add(text, ",");
    home_text_add_string(text, key);
    home_text_add(text, ":{");
    write_fields(fields, object, text);
    home_text_add(text, "}");
}

static void write_list(const struct list *list, const char *config, home_text *text) {
    const char *elements;
    size_t count;
    memcpy(&elements, config + list->offset, sizeof elements);
    memcpy(&count, config + list->count_offset, sizeof count);
    home_text_add(text, ",");
    home_text_add_string(text, list->key);
    home_text_add(text, ":[");
    for (size_t i = 0; i < count; i++) {
        home_text_add(text, i ? ",{" : "{");
        write_fields(list->fields, elements + i * list->element, text);
        home_text_add(text, "}");
    }
    home_text_add(text, "]");
}

void home_config_to_json(const home_settings *settings, home_text *text) {
    const char *config = (const char *)&settings->config;
    home_text_add(text, "{");
    write_fields(model_fields, config, text);
    for (size_t i = 0; i < LIST_COUNT; i++)
        write_list(&lists[i], config, text);
    for (size_t i = 0; i < SECTION_COUNT; i++)
        write_object(sections[i].key, sections[i].fields, config, text);
    write_object("optimizer", optimizer_fields, &settings->optimizer, text);
    home_text_add(text, "}");
}
