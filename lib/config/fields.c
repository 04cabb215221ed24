/* The table of all fields, and what follows from a row of it. */
#include "fields.h"

#include "../host/number.h"

#include <stdio.h>
#include <string.h>

/* The names of the most experts, hidden layers and branches are those of the limits in home.h. */
#define MAX_HIDDEN   16u
#define MAX_EXPERTS  1024u
#define MAX_BRANCHES 64u

/* A positive number that is not so small that its square is 0. */
#define TINY 1e-30

/* ------------------------------------------------------------------------------------- defaults */

static const homepreset *preset_of(const homefield_context *context) {
    return context->settings->preset;
}

static const home_layer_config *layer_of(const homefield_context *context) {
    return &context->settings->config.layers[context->layer];
}

static double default_expert_norm(const homefield_context *context, const void *object) {
    (void)object;
    return preset_of(context)->cures ? HOME_NORM_BATCH : HOME_NORM_NONE;
}

static double default_expert_activation(const homefield_context *context, const void *object) {
    (void)object;
    return preset_of(context)->cures ? HOME_ACTIVATION_SWISH : HOME_ACTIVATION_RELU;
}

static double default_self_gates(const homefield_context *context, const void *object) {
    (void)object;
    return preset_of(context)->self_terms ? HOME_ON : HOME_OFF;
}

static double default_feature_gates(const homefield_context *context, const void *object) {
    (void)object;
    return preset_of(context)->cures ? HOME_ON : HOME_OFF;
}

/* max(1, floor(|x| / L)) */
static double default_feature_rank(const homefield_context *context, const void *object) {
    const home_layer_config *layer = object;
    const size_t input =
        context->layer == 0 ? context->settings->input_width : layer_of(context)[-1].width;
    const size_t rank = input / layer->feature_branches;
    return rank > 1 ? (double)rank : 1;
}

static double default_shared_experts(const homefield_context *context, const void *object) {
    (void)object;
    return preset_of(context)->shared;
}

static double default_group_experts(const homefield_context *context, const void *object) {
    (void)object;
    return preset_of(context)->groups;
}

static double default_task_experts(const homefield_context *context, const void *object) {
    (void)object;
    return context->layer >= preset_of(context)->first_task_layer;
}

static double default_unit_width(const homefield_context *context, const void *object) {
    (void)object;
    return (double)layer_of(context)->width;
}

static double default_self_kind(const homefield_context *context, const void *object) {
    (void)object;
    return context->settings->config.preset == HOME_PRESET_CUSTOM ? HOME_SELF_GATE : 0;
}

static double default_base_rate(const homefield_context *context, const void *object) {
    (void)context;
    return ((const home_task_config *)object)->loss == HOME_LOSS_SQUARED ? 0 : 0.5;
}

static bool is_adagrad(const void *optimizer) {
    return ((const home_optimizer_config *)optimizer)->kind == HOME_OPTIMIZER_ADAGRAD;
}

static double default_learning_rate(const homefield_context *context, const void *object) {
    (void)context;
    return is_adagrad(object) ? 1e-2 : 1e-3;
}

static double default_epsilon(const homefield_context *context, const void *object) {
    (void)context;
    return is_adagrad(object) ? 1e-10 : 1e-8;
}

static double default_weight_decay(const homefield_context *context, const void *object) {
    (void)context;
    return ((const home_optimizer_config *)object)->kind == HOME_OPTIMIZER_ADAMW ? 0.01 : 0;
}

static double default_embedding_epsilon(const homefield_context *context, const void *object) {
    (void)context;
    const home_optimizer_config *optimizer = object;
    return optimizer->embedding_kind == HOME_OPTIMIZER_ADAGRAD ? 1e-10 : 1e-8;
}

static const char *default_group(const void *object) {
    (void)object;
    return "all";
}

static const char *default_table(const void *object) {
    return ((const home_field_config *)object)->name;
}

/* ---------------------------------------------------------------------------------------- table */

#define FIELD(of, name, what, ...)                                                                 \
    .member = #name, .type = HOME_FIELD_##what, .offset = offsetof(of, name), __VA_ARGS__
/* Of which the key is another name, and of which it is the same. */
#define RENAMED(of, text, name, what, ...)                                                         \
    { .key = text, FIELD(of, name, what, __VA_ARGS__) }
#define SAME(of, name, what, ...)                                                                  \
    { .key = #name, FIELD(of, name, what, __VA_ARGS__) }
#define RESERVED(of, name)                                                                         \
    { FIELD(of, name, RESERVED, .max = 0) }
#define ARRAY(of, text, name, what, number, most, ...)                                             \
    RENAMED(of, text, name, what, .counter = #number, .count_offset = offsetof(of, number),        \
            .max_count = (most), __VA_ARGS__)
#define HIDDEN(of, text, name)                                                                     \
    ARRAY(of, text, name, WIDTHS, name##_count, MAX_HIDDEN, .min = 1, .max = HOME_MAX_WIDTH)
#define STRUCTS(of, name, number, rows, element)                                                   \
    ARRAY(of, #name, name, STRUCTS, number, HOME_MAX_ITEMS, .fields = (rows),                      \
          .size = sizeof(element))
#define SECTION(text, rows)                                                                        \
    { .key = (text), .member = (text), .type = HOME_FIELD_SECTION, .fields = (rows), .kept = true }
#define END                                                                                        \
    { .type = HOME_FIELD_END }

#define WIDTH       .min = 1, .max = HOME_MAX_WIDTH
#define EXPERTS     .min = 1, .max = MAX_EXPERTS, .apart = true
#define ACTIVATIONS .first = HOME_ACTIVATION_RELU, .names = {"relu", "swish"}

/* The tables are the format: a row with a key is a key of JSON, both for reading and for writing,
 * in this order. A default may depend on rows above its own. */
static const homefield table_fields[] = {
    SAME(home_table_config, name, NAME, .optional = false),
    SAME(home_table_config, rows, UINT64, .min = 1, .max = UINT64_MAX,
         .expected = "a whole number from 1"),
    SAME(home_table_config, dim, SIZE, WIDTH),
    SAME(home_table_config, index, CHOICE, .first = HOME_INDEX_DIRECT,
         .names = {"direct", "hashed"}, .fallback = HOME_INDEX_DIRECT),
    RESERVED(home_table_config, reserved),
    SAME(home_table_config, init_std, NUMBER, .high = 1e6, .below = true, .fallback = 0.01),
    END,
};
static const homefield field_fields[] = {
    SAME(home_field_config, name, NAME, .optional = false),
    SAME(home_field_config, table, NAME, .text_of = default_table),
    SAME(home_field_config, pooling, CHOICE, .first = HOME_POOL_SUM, .names = {"sum", "mean"},
         .fallback = HOME_POOL_SUM),
    RESERVED(home_field_config, reserved),
    END,
};
static const homefield task_fields[] = {
    SAME(home_task_config, name, NAME, .optional = false),
    SAME(home_task_config, group, NAME, .text_of = default_group),
    SAME(home_task_config, weight, NUMBER, .high = 1e30, .below = true, .fallback = 1),
    SAME(home_task_config, loss, CHOICE, .first = HOME_LOSS_BCE, .names = {"bce", "squared"},
         .fallback = HOME_LOSS_BCE),
    RESERVED(home_task_config, reserved),
    SAME(home_task_config, base_rate, NUMBER, .high = 1, .below = true,
         .expected = "a number above 0 and below 1", .apart = true,
         .fallback_of = default_base_rate),
    SAME(home_task_config, given, NAME, .optional = true),
    END,
};
static const homefield unit_fields[] = {
    SAME(home_unit_config, name, NAME, .optional = false),
    SAME(home_unit_config, input, NAME, .optional = true),
    SAME(home_unit_config, experts, SIZE, .min = 1, .max = MAX_EXPERTS, .fallback = 1),
    SAME(home_unit_config, width, SIZE, WIDTH, .apart = true, .fallback_of = default_unit_width),
    END,
};
static const homefield node_fields[] = {
    SAME(home_node_config, name, NAME, .optional = false),
    ARRAY(home_node_config, "sees", sees, NAMES, sees_count, HOME_MAX_ITEMS, .optional = false),
    ARRAY(home_node_config, "gate", gate, NAMES, gate_count, HOME_MAX_ITEMS, .optional = true),
    SAME(home_node_config, self, NAME, .optional = true),
    SAME(home_node_config, self_kind, CHOICE, .first = HOME_SELF_GATE, .names = {"gate", "static"},
         .fallback_of = default_self_kind),
    RESERVED(home_node_config, reserved),
    END,
};
static const homefield layer_fields[] = {
    SAME(home_layer_config, width, SIZE, WIDTH),
    HIDDEN(home_layer_config, "hidden", hidden),
    SAME(home_layer_config, shared_experts, SIZE, EXPERTS, .fallback_of = default_shared_experts),
    SAME(home_layer_config, group_experts, SIZE, EXPERTS, .fallback_of = default_group_experts),
    SAME(home_layer_config, task_experts, SIZE, EXPERTS, .fallback_of = default_task_experts),
    SAME(home_layer_config, feature_gates, SWITCH, .fallback_of = default_feature_gates),
    RESERVED(home_layer_config, reserved),
    SAME(home_layer_config, feature_branches, SIZE, .min = 1, .max = MAX_BRANCHES, .fallback = 2),
    SAME(home_layer_config, feature_rank, SIZE, WIDTH, .fallback_of = default_feature_rank),
    STRUCTS(home_layer_config, units, unit_count, unit_fields, home_unit_config),
    STRUCTS(home_layer_config, nodes, node_count, node_fields, home_node_config),
    END,
};
static const homefield expert_fields[] = {
    RENAMED(home_config, "norm", expert_norm, CHOICE, .first = HOME_NORM_NONE,
            .names = {"none", "batch"}, .fallback_of = default_expert_norm),
    RENAMED(home_config, "activation", expert_activation, CHOICE, ACTIVATIONS,
            .fallback_of = default_expert_activation),
    RENAMED(home_config, "hidden_activation", expert_hidden_activation, CHOICE, ACTIVATIONS,
            .fallback_of = default_expert_activation),
    SAME(home_config, bias_before_norm, SWITCH, .fallback = HOME_OFF),
    SAME(home_config, norm_epsilon, NUMBER, .low = TINY, .high = 1e6, .below = true,
         .fallback = 1e-5),
    SAME(home_config, norm_momentum, NUMBER, .high = 1, .fallback = 0.1),
    /* 0.1 had it here. */
    SAME(home_config, swish_beta, NUMBER, .low = 1e-6, .high = 1e6, .below = true, .fallback = 1,
         .moved = true),
    END,
};
static const homefield feature_gate_fields[] = {
    RENAMED(home_config, "order", feature_order, CHOICE, .first = HOME_FEATURE_SIGMOID_FIRST,
            .names = {"sigmoid_first", "mix_first"}, .fallback = HOME_FEATURE_SIGMOID_FIRST),
    RENAMED(home_config, "init", feature_init, CHOICE, .first = HOME_INIT_ZERO,
            .names = {"zero", "uniform"}, .fallback = HOME_INIT_ZERO),
    END,
};
static const homefield gate_fields[] = {
    HIDDEN(home_config, "hidden", gate_hidden),
    RENAMED(home_config, "activation", gate_activation, CHOICE, ACTIVATIONS,
            .fallback = HOME_ACTIVATION_RELU),
    RENAMED(home_config, "input", gate_input, CHOICE, .first = HOME_INPUT_RAW,
            .names = {"raw", "gated"}, .fallback = HOME_INPUT_GATED),
    END,
};
static const homefield self_gate_fields[] = {
    RENAMED(home_config, "on", self_gates, SWITCH, .fallback_of = default_self_gates),
    HIDDEN(home_config, "hidden", self_gate_hidden),
    RENAMED(home_config, "activation", self_gate_activation, CHOICE, ACTIVATIONS,
            .fallback = HOME_ACTIVATION_RELU),
    RENAMED(home_config, "input", self_gate_input, CHOICE, .first = HOME_INPUT_RAW,
            .names = {"raw", "gated"}, .fallback = HOME_INPUT_GATED),
    END,
};
static const homefield tower_fields[] = {
    HIDDEN(home_config, "hidden", tower_hidden),
    RENAMED(home_config, "activation", tower_activation, CHOICE, ACTIVATIONS,
            .fallback = HOME_ACTIVATION_RELU),
    END,
};
static const homefield optimizer_fields[] = {
    SAME(home_optimizer_config, kind, CHOICE, .first = HOME_OPTIMIZER_ADAM,
         .names = {"adam", "", "sgd", "adamw", "adagrad"}, .fallback = HOME_OPTIMIZER_ADAM),
    SAME(home_optimizer_config, embedding_kind, CHOICE, .first = HOME_OPTIMIZER_ADAM,
         .names = {"adam", "rowwise_adagrad", "", "", "adagrad"},
         .fallback = HOME_OPTIMIZER_ROWWISE_ADAGRAD),
    SAME(home_optimizer_config, learning_rate, NUMBER, .high = HOME_MAX_RATE, .below = true,
         .fallback_of = default_learning_rate),
    SAME(home_optimizer_config, beta1, NUMBER, .high = 1, .below = true, .fallback = 0.9),
    SAME(home_optimizer_config, beta2, NUMBER, .high = 1, .below = true, .fallback = 0.999),
    SAME(home_optimizer_config, epsilon, NUMBER, .low = TINY, .high = 1e6, .below = true,
         .fallback_of = default_epsilon),
    SAME(home_optimizer_config, momentum, NUMBER, .high = 1, .below = true),
    SAME(home_optimizer_config, weight_decay, NUMBER, .high = 1e6, .below = true,
         .fallback_of = default_weight_decay),
    SAME(home_optimizer_config, clip_norm, NUMBER, .high = 1e30, .below = true),
    SAME(home_optimizer_config, embedding_learning_rate, NUMBER, .high = HOME_MAX_RATE,
         .below = true, .fallback = 0.01),
    SAME(home_optimizer_config, embedding_epsilon, NUMBER, .low = TINY, .high = 1e6, .below = true,
         .fallback_of = default_embedding_epsilon),
    END,
};
const homefield homefields_model[] = {
    SAME(home_config, preset, CHOICE, .first = HOME_PRESET_HOME,
         .names = {"home", "shared-bottom", "mmoe", "cgc", "ple", "adatt-sp", "adatt", "custom"}),
    RESERVED(home_config, reserved),
    SAME(home_config, seed, UINT64, .max = UINT64_MAX),
    RENAMED(home_config, "dense", dense_width, SIZE, .max = HOME_MAX_WIDTH),
    ARRAY(home_config, "dense_names", dense_names, NAMES, dense_names_count, HOME_MAX_WIDTH,
          .optional = true),
    STRUCTS(home_config, tables, table_count, table_fields, home_table_config),
    STRUCTS(home_config, fields, field_count, field_fields, home_field_config),
    ARRAY(home_config, "tasks", tasks, STRUCTS, task_count, HOME_MAX_TASKS, .fields = task_fields,
          .size = sizeof(home_task_config), .min = 1),
    STRUCTS(home_config, layers, layer_count, layer_fields, home_layer_config),
    SAME(home_config, swish_beta, NUMBER, .low = 1e-6, .high = 1e6, .below = true, .fallback = 1),
    SECTION("experts", expert_fields),
    SECTION("feature_gate", feature_gate_fields),
    SECTION("gate", gate_fields),
    SECTION("self_gate", self_gate_fields),
    SECTION("tower", tower_fields),
    SAME(home_config, uncertainty, SWITCH, .fallback = HOME_OFF),
    RESERVED(home_config, reserved2),
    SAME(home_config, optimizer, STRUCT, .fields = optimizer_fields,
         .size = sizeof(home_optimizer_config)),
    SAME(home_config, isa, TEXT, .optional = true, .apart = true),
    END,
};

/* ------------------------------------------------------------------------------------- its rows */

const homefield *homefield_find(const homefield *fields, const char *member,
                                const homefield **section) {
    *section = NULL;
    for (const homefield *f = fields; f->type != HOME_FIELD_END; f++) {
        if (f->type == HOME_FIELD_SECTION) {
            const homefield *none;
            const homefield *found = homefield_find(f->fields, member, &none);
            *section = f;
            if (found && !found->moved)
                return found;
            *section = NULL;
        }
        if (strcmp(f->member, member) == 0 || (f->counter && strcmp(f->counter, member) == 0))
            return f;
    }
    return NULL;
}

double homefield_default(const homefield *field, const homefield_context *context,
                         const void *object) {
    return field->fallback_of ? field->fallback_of(context, object) : field->fallback;
}

bool homefield_allows_integer(const homefield *field, uint64_t value) {
    return value >= field->min && value <= field->max;
}

bool homefield_allows_number(const homefield *field, double value) {
    return value >= field->low && (field->below ? value < field->high : value <= field->high);
}

bool homefield_allows_choice(const homefield *field, int32_t value) {
    if (field->type == HOME_FIELD_SWITCH)
        return value == HOME_ON || value == HOME_OFF;
    const int64_t i = (int64_t)value - field->first;
    const int64_t names = (int64_t)(sizeof field->names / sizeof field->names[0]);
    return i >= 0 && i < names && field->names[i] && *field->names[i];
}

/* Adds to a text in HOME_EXPECTED_SIZE bytes. */
static void add(char *text, const char *piece) {
    const size_t used = strlen(text);
    snprintf(text + used, HOME_EXPECTED_SIZE - used, "%s", piece);
}

/* "a", "b" or "c"; with numbers: 1 ("a"), 2 ("b") or 3 ("c"). */
static void add_choices(const homefield *field, bool json, char *text) {
    const int32_t room = (int32_t)(sizeof field->names / sizeof field->names[0]);
    int32_t last = 0;
    for (int32_t i = 0; i < room && field->names[i]; i++)
        if (*field->names[i])
            last = i;
    bool is_first = true;
    for (int32_t i = 0; i <= last; i++) {
        char choice[40];
        if (!field->names[i] || !*field->names[i])
            continue;
        if (!is_first)
            add(text, i == last ? " or " : ", ");
        is_first = false;
        snprintf(choice, sizeof choice, json ? "\"%s\"" : "\"%s\" (%d)", field->names[i],
                 (int)(field->first + i));
        add(text, choice);
    }
}

const char *homefield_expected(const homefield *field, bool json, char text[HOME_EXPECTED_SIZE]) {
    *text = 0;
    if (!json && field->type == HOME_FIELD_CHOICE && field->first > 0)
        add(text, "0, ");
    if (field->expected)
        return field->expected;
    switch (field->type) {
    case HOME_FIELD_SIZE:
    case HOME_FIELD_UINT64:
        snprintf(text, HOME_EXPECTED_SIZE, "a whole number from %llu to %llu",
                 (unsigned long long)field->min, (unsigned long long)field->max);
        break;
    case HOME_FIELD_NUMBER:
        snprintf(text, HOME_EXPECTED_SIZE, "a number from %s %s %s", HOME_BRIEF(field->low),
                 field->below ? "to below" : "to", HOME_BRIEF(field->high));
        break;
    case HOME_FIELD_CHOICE:
        add_choices(field, json, text);
        break;
    case HOME_FIELD_SWITCH:
        add(text, json ? "true or false" : "0, HOME_ON (1) or HOME_OFF (2)");
        break;
    case HOME_FIELD_WIDTHS:
        snprintf(text, HOME_EXPECTED_SIZE,
                 "an array of at most %zu whole numbers from %llu to %llu", field->max_count,
                 (unsigned long long)field->min, (unsigned long long)field->max);
        break;
    case HOME_FIELD_NAMES:
        snprintf(text, HOME_EXPECTED_SIZE, "an array of at most %zu names", field->max_count);
        break;
    case HOME_FIELD_STRUCTS:
        snprintf(text, HOME_EXPECTED_SIZE, "an array of %s%zu objects",
                 field->min > 0 ? "1 to " : "at most ", field->max_count);
        break;
    case HOME_FIELD_STRUCT:
    case HOME_FIELD_SECTION:
        add(text, "an object");
        break;
    default:
        add(text, "a string");
        break;
    }
    return text;
}
