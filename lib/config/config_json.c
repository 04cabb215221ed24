/* The configuration as JSON, both ways, from one description of its structs: which keys there are
 * and of what type. What values they may have is config.c's. */
#include "config.h"

#include "../base/fail.h"

#include <stdio.h>
#include <string.h>

/* SIZE_MAX in digits */
#if SIZE_MAX > UINT32_MAX
#define MAX_SIZE "18446744073709551615"
#else
#define MAX_SIZE "4294967295"
#endif

typedef enum field_type {
    TYPE_TEXT,
    TYPE_SIZE,
    TYPE_UINT64,
    TYPE_NUMBER,
    TYPE_CHOICE,  /* one of `names` */
    TYPE_SWITCH,  /* true or false for HOME_ON and HOME_OFF */
    TYPE_WIDTHS,  /* an array of sizes: pointer and count */
    TYPE_NAMES,   /* an array of texts: pointer and count */
    TYPE_STRUCTS, /* an array of objects: pointer to structs of their own, and count */
    TYPE_STRUCT,  /* an object: pointer to a struct of its own */
    TYPE_SECTION  /* an object whose fields lie in this very struct */
} field_type;

/* One key of an object, and the struct field that it sets. */
typedef struct field {
    const char *key;
    field_type type;
    size_t offset;
    size_t count_offset;        /* of arrays */
    const struct field *fields; /* of objects, up to one without a key */
    size_t size;                /* of a struct of its own */
    int32_t first;              /* of TYPE_CHOICE: the number of the first name */
    const char *names[8];
    /* Of TYPE_NUMBER: what is expected instead of 0 in this object, or NULL where 0 is a number as
     * any other. In a struct 0 may mean the default; here the key can be left out, and who writes 0
     * wants 0. NULL: never refused. */
    const char *(*instead_of_zero)(const char *object);
} field;

#define SCALAR(type, key, kind, member)                                                            \
    { key, kind, offsetof(type, member), 0, NULL, 0, 0, {NULL}, NULL }
#define NONZERO(type, key, member, instead)                                                        \
    { key, TYPE_NUMBER, offsetof(type, member), 0, NULL, 0, 0, {NULL}, instead }
#define CHOICE(type, key, member, first, ...)                                                      \
    { key, TYPE_CHOICE, offsetof(type, member), 0, NULL, 0, first, {__VA_ARGS__}, NULL }
#define ARRAY(type, key, kind, member)                                                             \
    { key, kind, offsetof(type, member), offsetof(type, member##_count), NULL, 0, 0, {NULL}, NULL }
#define STRUCTS(type, key, member, count, fields, element)                                         \
    {                                                                                              \
        key, TYPE_STRUCTS, offsetof(type, member), offsetof(type, count), fields, sizeof(element), \
            0, {NULL}, NULL                                                                        \
    }
#define STRUCT(type, key, member, fields, element)                                                 \
    { key, TYPE_STRUCT, offsetof(type, member), 0, fields, sizeof(element), 0, {NULL}, NULL }
#define SECTION(key, fields)                                                                       \
    { key, TYPE_SECTION, 0, 0, fields, 0, 0, {NULL}, NULL }
#define END SCALAR(home_config, NULL, TYPE_TEXT, struct_size)

static int32_t number_at(const char *source) {
    int32_t number;
    memcpy(&number, source, sizeof number);
    return number;
}

static const char *never_zero(const char *object) {
    (void)object;
    return "a number that is not 0 (leave the key out for the default)";
}

static const char *rate_of_binary(const char *task) {
    const bool squared = number_at(task + offsetof(home_task_config, loss)) == HOME_LOSS_SQUARED;
    return squared ? NULL : "a number above 0 and below 1 (leave the key out to start at 1/2)";
}

static const char *decay_of_adamw(const char *optimizer) {
    const bool adamw =
        number_at(optimizer + offsetof(home_optimizer_config, kind)) == HOME_OPTIMIZER_ADAMW;
    return adamw ? "a number that is not 0 (AdamW without decay is the kind \"adam\")" : NULL;
}

/* The tables below are the format: a line is a key, both for reading and for writing. A struct's
 * field without a line does not exist in JSON. */
static const field table_fields[] = {
    SCALAR(home_table_config, "name", TYPE_TEXT, name),
    SCALAR(home_table_config, "rows", TYPE_UINT64, rows),
    SCALAR(home_table_config, "dim", TYPE_SIZE, dim),
    CHOICE(home_table_config, "index", index, HOME_INDEX_DIRECT, "direct", "hashed"),
    NONZERO(home_table_config, "init_std", init_std, never_zero),
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
    NONZERO(home_task_config, "weight", weight, never_zero),
    CHOICE(home_task_config, "loss", loss, HOME_LOSS_BCE, "bce", "squared"),
    NONZERO(home_task_config, "base_rate", base_rate, rate_of_binary),
    SCALAR(home_task_config, "given", TYPE_TEXT, given),
    END,
};
static const field unit_fields[] = {
    SCALAR(home_unit_config, "name", TYPE_TEXT, name),
    SCALAR(home_unit_config, "input", TYPE_TEXT, input),
    SCALAR(home_unit_config, "experts", TYPE_SIZE, experts),
    SCALAR(home_unit_config, "width", TYPE_SIZE, width),
    END,
};
static const field node_fields[] = {
    SCALAR(home_node_config, "name", TYPE_TEXT, name),
    ARRAY(home_node_config, "sees", TYPE_NAMES, sees),
    ARRAY(home_node_config, "gate", TYPE_NAMES, gate),
    SCALAR(home_node_config, "self", TYPE_TEXT, self),
    CHOICE(home_node_config, "self_kind", self_kind, HOME_SELF_GATE, "gate", "static"),
    END,
};
static const field layer_fields[] = {
    SCALAR(home_layer_config, "width", TYPE_SIZE, width),
    ARRAY(home_layer_config, "hidden", TYPE_WIDTHS, hidden),
    SCALAR(home_layer_config, "shared_experts", TYPE_SIZE, shared_experts),
    SCALAR(home_layer_config, "group_experts", TYPE_SIZE, group_experts),
    SCALAR(home_layer_config, "task_experts", TYPE_SIZE, task_experts),
    SCALAR(home_layer_config, "feature_gates", TYPE_SWITCH, feature_gates),
    SCALAR(home_layer_config, "feature_branches", TYPE_SIZE, feature_branches),
    SCALAR(home_layer_config, "feature_rank", TYPE_SIZE, feature_rank),
    STRUCTS(home_layer_config, "units", units, unit_count, unit_fields, home_unit_config),
    STRUCTS(home_layer_config, "nodes", nodes, node_count, node_fields, home_node_config),
    END,
};
static const field expert_fields[] = {
    CHOICE(home_config, "norm", expert_norm, HOME_NORM_NONE, "none", "batch"),
    CHOICE(home_config, "activation", expert_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    CHOICE(home_config, "hidden_activation", expert_hidden_activation, HOME_ACTIVATION_RELU, "relu",
           "swish"),
    SCALAR(home_config, "bias_before_norm", TYPE_SWITCH, bias_before_norm),
    NONZERO(home_config, "swish_beta", swish_beta, never_zero),
    NONZERO(home_config, "norm_epsilon", norm_epsilon, never_zero),
    NONZERO(home_config, "norm_momentum", norm_momentum, never_zero),
    END,
};
static const field feature_gate_fields[] = {
    CHOICE(home_config, "order", feature_order, HOME_FEATURE_SIGMOID_FIRST, "sigmoid_first",
           "mix_first"),
    CHOICE(home_config, "init", feature_init, HOME_INIT_ZERO, "zero", "uniform"),
    END,
};
static const field gate_fields[] = {
    ARRAY(home_config, "hidden", TYPE_WIDTHS, gate_hidden),
    CHOICE(home_config, "activation", gate_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    CHOICE(home_config, "input", gate_input, HOME_INPUT_RAW, "raw", "gated"),
    END,
};
static const field self_gate_fields[] = {
    SCALAR(home_config, "on", TYPE_SWITCH, self_gates),
    ARRAY(home_config, "hidden", TYPE_WIDTHS, self_gate_hidden),
    CHOICE(home_config, "activation", self_gate_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    CHOICE(home_config, "input", self_gate_input, HOME_INPUT_RAW, "raw", "gated"),
    END,
};
static const field tower_fields[] = {
    ARRAY(home_config, "hidden", TYPE_WIDTHS, tower_hidden),
    CHOICE(home_config, "activation", tower_activation, HOME_ACTIVATION_RELU, "relu", "swish"),
    END,
};
static const field optimizer_fields[] = {
    CHOICE(home_optimizer_config, "kind", kind, HOME_OPTIMIZER_ADAM, "adam", "rowwise_adagrad",
           "sgd", "adamw", "adagrad"),
    CHOICE(home_optimizer_config, "embedding_kind", embedding_kind, HOME_OPTIMIZER_ADAM, "adam",
           "rowwise_adagrad", "sgd", "adamw", "adagrad"),
    NONZERO(home_optimizer_config, "learning_rate", learning_rate, never_zero),
    NONZERO(home_optimizer_config, "beta1", beta1, never_zero),
    NONZERO(home_optimizer_config, "beta2", beta2, never_zero),
    NONZERO(home_optimizer_config, "epsilon", epsilon, never_zero),
    SCALAR(home_optimizer_config, "momentum", TYPE_NUMBER, momentum),
    NONZERO(home_optimizer_config, "weight_decay", weight_decay, decay_of_adamw),
    SCALAR(home_optimizer_config, "clip_norm", TYPE_NUMBER, clip_norm),
    NONZERO(home_optimizer_config, "embedding_learning_rate", embedding_learning_rate, never_zero),
    NONZERO(home_optimizer_config, "embedding_epsilon", embedding_epsilon, never_zero),
    END,
};
static const field model_fields[] = {
    CHOICE(home_config, "preset", preset, HOME_PRESET_HOME, "home", "shared-bottom", "mmoe", "cgc",
           "ple", "adatt-sp", "adatt", "custom"),
    SCALAR(home_config, "seed", TYPE_UINT64, seed),
    SCALAR(home_config, "dense", TYPE_SIZE, dense_width),
    ARRAY(home_config, "dense_names", TYPE_NAMES, dense_names),
    STRUCTS(home_config, "tables", tables, table_count, table_fields, home_table_config),
    STRUCTS(home_config, "fields", fields, field_count, field_fields, home_field_config),
    STRUCTS(home_config, "tasks", tasks, task_count, task_fields, home_task_config),
    STRUCTS(home_config, "layers", layers, layer_count, layer_fields, home_layer_config),
    SECTION("experts", expert_fields),
    SECTION("feature_gate", feature_gate_fields),
    SECTION("gate", gate_fields),
    SECTION("self_gate", self_gate_fields),
    SECTION("tower", tower_fields),
    SCALAR(home_config, "uncertainty", TYPE_SWITCH, uncertainty),
    STRUCT(home_config, "optimizer", optimizer, optimizer_fields, home_optimizer_config),
    SCALAR(home_config, "isa", TYPE_TEXT, isa),
    END,
};

/* -------------------------------------------------------------------------------------- reading */

/* Where a reading function reports to, and where it is: "config.layers[1].". */
typedef struct reader {
    homearena *arena;
    home_error *error;
    home_status unknown; /* the status for keys and values that are not known here */
    const char *json;
    char where[128];
} reader;

/* Names the field, its value as it was written (the beginning of it), and what was expected. */
static home_status fail(const reader *in, const char *key, const homejson_value *value,
                        const char *expected) {
    return homefail(in->error, in->unknown, "%s%.60s is %s, expected %s", in->where, key,
                    HOME_EXCERPT(in->json + value->begin, value->end - value->begin), expected);
}

static home_status read_choice(const reader *in, const field *f, const homejson_value *value,
                               char *object) {
    char expected[160] = "one of";
    for (int32_t i = 0; i < (int32_t)(sizeof f->names / sizeof f->names[0]) && f->names[i]; i++) {
        const int32_t number = f->first + i;
        if (value->type == HOME_JSON_STRING && strcmp(value->text, f->names[i]) == 0) {
            memcpy(object + f->offset, &number, sizeof number);
            return HOME_OK;
        }
        const size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, " \"%s\"", f->names[i]);
    }
    return fail(in, f->key, value, expected);
}

static void set_array(const field *f, const void *items, size_t count, char *object) {
    memcpy(object + f->offset, &items, sizeof items);
    memcpy(object + f->count_offset, &count, sizeof count);
}

static home_status read_widths(const reader *in, const field *f, const homejson_value *value,
                               char *object) {
    if (value->type != HOME_JSON_ARRAY)
        return fail(in, f->key, value, "an array of widths");
    size_t *widths = homearena_take(in->arena, value->count, sizeof *widths);
    if (!widths)
        return homefail_memory(in->error);
    size_t i = 0;
    for (const homejson_value *item = value->first; item; item = item->next) {
        if (!item->is_integer || item->integer == 0 || item->integer > SIZE_MAX)
            return fail(in, f->key, value, "an array of whole numbers from 1");
        widths[i++] = (size_t)item->integer;
    }
    set_array(f, widths, i, object);
    return HOME_OK;
}

static home_status copy_text(const reader *in, const field *f, const homejson_value *value,
                             const char **text) {
    if (value->type != HOME_JSON_STRING || strlen(value->text) != value->length)
        return fail(in, f->key, value,
                    f->type == TYPE_NAMES ? "an array of strings" : "a string without zero bytes");
    *text = homearena_text(in->arena, value->text, value->length);
    return *text ? HOME_OK : homefail_memory(in->error);
}

static home_status read_names(const reader *in, const field *f, const homejson_value *value,
                              char *object) {
    if (value->type != HOME_JSON_ARRAY)
        return fail(in, f->key, value, "an array of strings");
    const char **names = homearena_take(in->arena, value->count, sizeof *names);
    if (!names)
        return homefail_memory(in->error);
    size_t i = 0;
    for (const homejson_value *item = value->first; item; item = item->next) {
        const home_status status = copy_text(in, f, item, &names[i++]);
        if (status != HOME_OK)
            return status;
    }
    set_array(f, (const void *)names, i, object);
    return HOME_OK;
}

static home_status read_number(const homejson_value *value, char *target) {
    const double number = homejson_number(value);
    memcpy(target, &number, sizeof number);
    return HOME_OK;
}

/* A number, a text, a choice or a list of them. */
static home_status read_plain(const reader *in, const field *f, const homejson_value *value,
                              char *object) {
    char *target = object + f->offset;
    switch (f->type) {
    case TYPE_TEXT: {
        const char *text;
        const home_status status = copy_text(in, f, value, &text);
        if (status == HOME_OK)
            memcpy(target, &text, sizeof text);
        return status;
    }
    case TYPE_SIZE: {
        if (!value->is_integer || value->integer > SIZE_MAX)
            return fail(in, f->key, value, "a whole number from 0 to " MAX_SIZE);
        const size_t size = (size_t)value->integer;
        memcpy(target, &size, sizeof size);
        return HOME_OK;
    }
    case TYPE_UINT64:
        if (!value->is_integer)
            return fail(in, f->key, value, "a whole number from 0 to 18446744073709551615");
        memcpy(target, &value->integer, sizeof value->integer);
        return HOME_OK;
    case TYPE_NUMBER:
        if (value->type != HOME_JSON_NUMBER)
            return fail(in, f->key, value, "a number");
        return read_number(value, target);
    case TYPE_SWITCH: {
        if (value->type != HOME_JSON_BOOL)
            return fail(in, f->key, value, "true or false");
        const int32_t on = value->boolean ? HOME_ON : HOME_OFF;
        memcpy(target, &on, sizeof on);
        return HOME_OK;
    }
    case TYPE_CHOICE:
        return read_choice(in, f, value, object);
    case TYPE_WIDTHS:
        return read_widths(in, f, value, object);
    default:
        return read_names(in, f, value, object);
    }
}

static const field *find_field(const field *fields, const homejson_value *member) {
    for (; fields->key; fields++)
        if (strlen(fields->key) == member->key_length && strcmp(fields->key, member->key) == 0)
            return fields;
    return NULL;
}

static home_status read_object(const reader *in, const field *fields, const homejson_value *value,
                               char *object);

/* A struct of its own, in the arena. */
static home_status read_struct(const reader *in, const field *f, const homejson_value *value,
                               char *target) {
    memcpy(target, &f->size, sizeof f->size); /* struct_size */
    return read_object(in, f->fields, value, target);
}

static home_status read_structs(const reader *in, const field *f, const homejson_value *value,
                                char *object) {
    if (value->type != HOME_JSON_ARRAY)
        return fail(in, f->key, value, "an array of objects");
    char *elements = homearena_take(in->arena, value->count, f->size);
    if (!elements)
        return homefail_memory(in->error);
    size_t i = 0;
    for (const homejson_value *item = value->first; item; item = item->next, i++) {
        reader inner = *in;
        snprintf(inner.where, sizeof inner.where, "%.90s%s[%zu].", in->where, f->key, i);
        const home_status status = read_struct(&inner, f, item, elements + i * f->size);
        if (status != HOME_OK)
            return status;
    }
    set_array(f, elements, i, object);
    return HOME_OK;
}

/* Reads one member into its struct field. Calls itself as deep as the description of the structs
 * is, no deeper. */
static home_status read_field(const reader *in, const field *f, const homejson_value *value,
                              char *object) {
    reader inner = *in;
    snprintf(inner.where, sizeof inner.where, "%.100s%s.", in->where, f->key);
    if (f->type == TYPE_STRUCTS)
        return read_structs(in, f, value, object);
    if (f->type == TYPE_SECTION)
        return read_object(&inner, f->fields, value, object);
    if (f->type != TYPE_STRUCT)
        return read_plain(in, f, value, object);
    char *made = homearena_take(in->arena, 1, f->size);
    if (!made)
        return homefail_memory(in->error);
    memcpy(object + f->offset, &made, sizeof made);
    return read_struct(&inner, f, value, made);
}

/* Refuses zeros that would become another number. Whether one would may depend on later keys. */
static home_status check_zeros(const reader *in, const field *fields, const homejson_value *value,
                               const char *object) {
    for (const homejson_value *member = value->first; member; member = member->next) {
        const field *f = find_field(fields, member);
        const bool zero = member->type == HOME_JSON_NUMBER && homejson_number(member) == 0;
        const char *expected = zero && f->instead_of_zero ? f->instead_of_zero(object) : NULL;
        if (expected)
            return fail(in, f->key, member, expected);
    }
    return HOME_OK;
}

/* Reads an object all of whose keys are in `fields`. */
static home_status read_object(const reader *in, const field *fields, const homejson_value *value,
                               char *object) {
    if (value->type != HOME_JSON_OBJECT) {
        reader whole = *in;
        whole.where[strlen(whole.where) - 1] = 0; /* without its dot */
        return fail(&whole, "", value, "an object");
    }
    for (const homejson_value *member = value->first; member; member = member->next) {
        const field *f = find_field(fields, member);
        if (!f)
            return homefail(in->error, in->unknown, "%s%.60s: there is no key of this name",
                            in->where, member->key);
        const home_status status = read_field(in, f, member, object);
        if (status != HOME_OK)
            return status;
    }
    return check_zeros(in, fields, value, object);
}

home_status homeconfig_from_json(const char *json, size_t length, bool stored, homearena *arena,
                                 home_config *config, home_error *error) {
    homejson *document = NULL;
    home_status status = homejson_parse(arena->allocator, json, length, &document, error);
    if (status != HOME_OK)
        return status;
    *config = (home_config){.struct_size = sizeof *config};
    const reader in = {.arena = arena,
                       .error = error,
                       .unknown = stored ? HOME_E_UNSUPPORTED : HOME_E_CONFIG,
                       .json = json,
                       .where = "config."};
    status = read_object(&in, model_fields, homejson_root(document), (char *)config);
    homejson_free(document);
    return status;
}

/* -------------------------------------------------------------------------------------- writing */

static const void *pointer_at(const char *source) {
    const void *pointer;
    memcpy(&pointer, source, sizeof pointer);
    return pointer;
}

static size_t size_at(const char *source) {
    size_t size;
    memcpy(&size, source, sizeof size);
    return size;
}

/* A field that says nothing: a text that is not there, an empty list of names or structs, a choice
 * not made. */
static bool is_absent(const field *f, const char *object) {
    switch (f->type) {
    case TYPE_TEXT:
        return !pointer_at(object + f->offset);
    case TYPE_NAMES:
    case TYPE_STRUCTS:
        return size_at(object + f->count_offset) == 0;
    case TYPE_CHOICE:
        return number_at(object + f->offset) < f->first;
    default:
        return false;
    }
}

static void write_object(const field *fields, const char *object, hometext *text);

static void write_item(const field *f, const void *items, size_t i, hometext *text) {
    if (f->type == TYPE_WIDTHS)
        hometext_add_integer(text, ((const size_t *)items)[i]);
    else if (f->type == TYPE_NAMES)
        hometext_add_string(text, ((const char *const *)items)[i]);
    else
        write_object(f->fields, (const char *)items + i * f->size, text);
}

static void write_array(const field *f, const char *object, hometext *text) {
    const size_t count = size_at(object + f->count_offset);
    hometext_add(text, "[");
    for (size_t i = 0; i < count; i++) {
        hometext_add(text, i ? "," : "");
        write_item(f, pointer_at(object + f->offset), i, text);
    }
    hometext_add(text, "]");
}

static void write_value(const field *f, const char *object, hometext *text) {
    const char *source = object + f->offset;
    switch (f->type) {
    case TYPE_TEXT:
        hometext_add_string(text, pointer_at(source));
        break;
    case TYPE_SIZE:
        hometext_add_integer(text, size_at(source));
        break;
    case TYPE_UINT64: {
        uint64_t integer;
        memcpy(&integer, source, sizeof integer);
        hometext_add_integer(text, integer);
        break;
    }
    case TYPE_NUMBER: {
        double number;
        memcpy(&number, source, sizeof number);
        hometext_add_number(text, number);
        break;
    }
    case TYPE_CHOICE:
        hometext_add_string(text, f->names[number_at(source) - f->first]);
        break;
    case TYPE_SWITCH:
        hometext_add(text, number_at(source) == HOME_ON ? "true" : "false");
        break;
    case TYPE_STRUCT:
        write_object(f->fields, pointer_at(source), text);
        break;
    case TYPE_SECTION:
        write_object(f->fields, object, text);
        break;
    default:
        write_array(f, object, text);
        break;
    }
}

static void write_object(const field *fields, const char *object, hometext *text) {
    const char *separator = "{";
    for (const field *f = fields; f->key; f++) {
        if (is_absent(f, object))
            continue;
        hometext_add(text, separator);
        hometext_add_string(text, f->key);
        hometext_add(text, ":");
        write_value(f, object, text);
        separator = ",";
    }
    hometext_add(text, "}");
}

void homeconfig_to_json(const homesettings *settings, hometext *text) {
    write_object(model_fields, (const char *)&settings->config, text);
}
