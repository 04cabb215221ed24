/* The presets' layers of units and nodes, and those of the user's own. */
#include "topology.h"

#include "../config/reader.h"
#include "../host/sort.h"

#include <string.h>

static const char *const SHARED = "shared";

typedef struct builder {
    const homesettings *settings;
    const home_config *config;
    homearena *arena;
    homereader *in;           /* told of errors, as when the configuration was read */
    const size_t **last_list; /* [unit] of any layer: the last list that names it */
} builder;

/* ---------------------------------------------------------------------------------------- parts */

static const size_t *list_of(const builder *b, const size_t *items, size_t count) {
    size_t *copy = homearena_take(b->arena, count, sizeof *copy);
    if (copy && count)
        memcpy(copy, items, count * sizeof *copy);
    return copy;
}

/* 0, 1, 2 ...: every unit of a layer. */
static const size_t *list_all(const builder *b, size_t count) {
    size_t *list = homearena_take(b->arena, count, sizeof *list);
    if (!list)
        return NULL;
    for (size_t i = 0; i < count; i++)
        list[i] = i;
    return list;
}

static const homegate_input *inputs_of(const builder *b, const size_t *units, size_t count,
                                       bool gated) {
    homegate_input *inputs = homearena_take(b->arena, count, sizeof *inputs);
    if (!inputs)
        return NULL;
    for (size_t i = 0; i < count; i++)
        inputs[i] = (homegate_input){.unit = units[i], .gated = gated};
    return inputs;
}

/* A node with a gate that reads `reads`, and no self term. `sees` is kept. */
static homenode node_of(const builder *b, const char *name, const size_t *sees, size_t sees_count,
                        const size_t *reads, size_t read_count) {
    return (homenode){
        .name = name,
        .sees = sees,
        .sees_count = sees_count,
        .inputs = inputs_of(b, reads, read_count, b->config->gate_input == HOME_INPUT_GATED),
        .input_count = read_count,
    };
}

/* Adds the self term on the unit `own`, unless it is switched off. */
static homenode with_self(const builder *b, homenode node, homeself_kind kind, size_t own) {
    node.self = b->config->self_gates == HOME_ON ? kind : HOME_SELF_TERM_NONE;
    node.own = own;
    node.self_gated = b->config->self_gate_input == HOME_INPUT_GATED;
    return node;
}

static bool allocate_layer(const builder *b, homelayer *layer, size_t units, size_t nodes) {
    layer->units = homearena_take(b->arena, units, sizeof *layer->units);
    layer->nodes = homearena_take(b->arena, nodes, sizeof *layer->nodes);
    const bool there = layer->units && layer->nodes;
    layer->unit_count = there ? units : 0;
    layer->node_count = there ? nodes : 0;
    return there;
}

static const void **sort_names(const builder *b, const void *items, size_t count, size_t size) {
    const void **sorted = homearena_take(b->arena, count, sizeof *sorted);
    if (!sorted)
        return NULL;
    for (size_t i = 0; i < count; i++)
        sorted[i] = (const char *)items + i * size;
    homesort_by_name(sorted, count);
    return sorted;
}

/* Prepares find_unit() and find_node(): all units and nodes have their names. */
static bool index_layer(const builder *b, homelayer *layer) {
    layer->units_by_name = sort_names(b, layer->units, layer->unit_count, sizeof *layer->units);
    layer->nodes_by_name = sort_names(b, layer->nodes, layer->node_count, sizeof *layer->nodes);
    return layer->units_by_name && layer->nodes_by_name;
}

/* The index of a unit or node by its name; HOME_NONE where the layer has none of it. */
static size_t find_unit(const homelayer *layer, const char *name) {
    const homeunit *unit = homesort_find_name(layer->units_by_name, layer->unit_count, name);
    return unit ? (size_t)(unit - layer->units) : HOME_NONE;
}

static size_t find_node(const homelayer *layer, const char *name) {
    const homenode *node = homesort_find_name(layer->nodes_by_name, layer->node_count, name);
    return node ? (size_t)(node - layer->nodes) : HOME_NONE;
}

/* ----------------------------------------------------------------------------------------- HoME */

/* With groups A (tasks a, b) and B (task c), arrows from what is seen:
 *
 *     layer 1  units   shared   A   B              all read v
 *              nodes   shared <- shared A B,   A <- shared A,   B <- shared B
 *     layer 2  units   shared   A   B   a   b   c  read node shared, A, B, A, A, B of layer 1
 *              nodes   a <- shared A a,   b <- shared A b,   c <- shared B c
 */

/* Layer 1. Units: shared, then the groups; all read v. Nodes: the same names in the same order; a
 * group's node sees {shared, group}, the node `shared` sees every unit. */
static void first_home_layer(const builder *b, homelayer *layer) {
    const size_t groups = b->settings->group_count;
    if (!allocate_layer(b, layer, groups + 1, groups + 1))
        return;
    layer->units[0] = (homeunit){SHARED, HOME_NONE, layer->config->shared_experts};
    const size_t *all = list_all(b, groups + 1);
    if (!all)
        return;
    layer->nodes[0] = with_self(b, node_of(b, SHARED, all, groups + 1, (const size_t[]){0}, 1),
                                HOME_SELF_TERM_GATE, 0);
    for (size_t g = 1; g <= groups; g++) {
        const char *name = b->settings->groups[g - 1];
        layer->units[g] = (homeunit){name, HOME_NONE, layer->config->group_experts};
        layer->nodes[g] =
            with_self(b, node_of(b, name, list_of(b, (const size_t[]){0, g}, 2), 2, &all[g], 1),
                      HOME_SELF_TERM_GATE, g);
    }
}

/* Layer 2. Units: shared, the groups, the tasks; a task's unit reads its group's node. A task's
 * node sees {shared, group, task}; its gate reads the task's unit's input, then the shared
 * one's. */
static void second_home_layer(const builder *b, homelayer *layer) {
    const size_t groups = b->settings->group_count;
    const size_t tasks = b->config->task_count;
    if (!allocate_layer(b, layer, 1 + groups + tasks, tasks))
        return;
    layer->units[0] = (homeunit){SHARED, 0, layer->config->shared_experts};
    for (size_t g = 0; g < groups; g++)
        layer->units[1 + g] =
            (homeunit){b->settings->groups[g], 1 + g, layer->config->group_experts};
    for (size_t t = 0; t < tasks; t++) {
        const size_t own = 1 + groups + t;
        const size_t group = 1 + b->settings->task_group[t];
        const char *name = b->config->tasks[t].name;
        layer->units[own] = (homeunit){name, group, layer->config->task_experts};
        layer->nodes[t] = with_self(b,
                                    node_of(b, name, list_of(b, (const size_t[]){0, group, own}, 3),
                                            3, (const size_t[]){own, 0}, 2),
                                    HOME_SELF_TERM_GATE, own);
    }
}

/* ------------------------------------------------------------------------------------ baselines */

/* One shared unit that reads v, and a node for each task that sees it. Shared-bottom has no gates;
 * MMoE's read v. */
static void shared_layer(const builder *b, homelayer *layer) {
    const bool gates = b->config->preset == HOME_PRESET_MMOE;
    const size_t shared = 0;
    if (!allocate_layer(b, layer, 1, b->config->task_count))
        return;
    layer->units[0] = (homeunit){SHARED, HOME_NONE, layer->config->shared_experts};
    for (size_t t = 0; t < layer->node_count; t++)
        layer->nodes[t] = (homenode){
            .name = b->config->tasks[t].name,
            .sees = list_of(b, &shared, 1),
            .sees_count = 1,
            .inputs = inputs_of(b, &shared, gates, false),
            .input_count = gates,
        };
}

/* A unit for each task and, except in AdaTT-sp, a shared one before them. Nodes: the tasks and, in
 * PLE and AdaTT except in the last layer, `shared` after them. A task of CGC and PLE sees
 * {shared, task}, all others see every unit. A gate reads its own unit's input. */
static void task_layer(const builder *b, homelayer *layer, const homelayer *below, bool last) {
    const int32_t preset = b->config->preset;
    const bool adaptive = preset == HOME_PRESET_ADATT || preset == HOME_PRESET_ADATT_SP;
    const size_t tasks = b->config->task_count;
    const size_t shared = b->settings->preset->shared;
    const bool shared_node = shared && !last;
    if (!allocate_layer(b, layer, shared + tasks, tasks + shared_node))
        return;
    const size_t *all = list_all(b, layer->unit_count);
    if (!all)
        return;
    bool single = layer->config->task_experts == 1;
    if (shared) {
        layer->units[0] = (homeunit){SHARED, below ? find_node(below, SHARED) : HOME_NONE,
                                     layer->config->shared_experts};
        single = single && layer->config->shared_experts == 1;
    }
    const homeself_kind fixed = single ? HOME_SELF_TERM_ONE : HOME_SELF_TERM_STATIC;
    const homeself_kind self = adaptive ? fixed : HOME_SELF_TERM_GATE;
    for (size_t t = 0; t < tasks; t++) {
        const size_t own = shared + t;
        const char *name = b->config->tasks[t].name;
        layer->units[own] = (homeunit){name, below ? find_node(below, name) : HOME_NONE,
                                       layer->config->task_experts};
        const homenode node =
            adaptive ? node_of(b, name, all, layer->unit_count, &own, 1)
                     : node_of(b, name, list_of(b, (const size_t[]){0, own}, 2), 2, &own, 1);
        layer->nodes[t] = with_self(b, node, self, own);
    }
    if (shared_node)
        layer->nodes[tasks] =
            with_self(b, node_of(b, SHARED, all, layer->unit_count, all, 1), self, 0);
}

/* ------------------------------------------------------------------------ the user's own layers */

static void fail_name(const builder *b, const char *member, const char *name,
                      const char *expected) {
    homereader_fail(b->in, HOME_E_CONFIG, member, "is \"%.60s\", expected %s", name, expected);
}

/* Names of units, of the node that is being read -> their indices; NULL where one is wrong. */
static const size_t *find_units(const builder *b, const homelayer *layer, const char *member,
                                const char *const *names, size_t count) {
    size_t *found = homearena_take(b->arena, count, sizeof *found);
    bool good = found;
    for (size_t i = 0; found && i < count; i++) {
        const char *expected = NULL;
        found[i] = find_unit(layer, names[i]);
        if (found[i] == HOME_NONE)
            expected = "the name of a unit of this layer";
        else if (b->last_list[found[i]] == found)
            expected = "each unit once";
        else
            b->last_list[found[i]] = found;
        if (!expected)
            continue;
        good = false;
        homereader_enter(b->in, member, i);
        fail_name(b, NULL, names[i], expected);
        homereader_leave(b->in);
    }
    return good ? found : NULL;
}

/* The node of the layer below that a unit reads; HOME_NONE where there is none. */
static size_t find_input(const builder *b, const homelayer *layer, const homelayer *below,
                         const home_unit_config *unit) {
    if (!below) {
        if (unit->input && strcmp(unit->input, "v") != 0)
            fail_name(b, "input", unit->input,
                      "\"v\" or nothing: the first layer reads the model's input");
        return HOME_NONE;
    }
    const char *name = unit->input ? unit->input : unit->name;
    const size_t source = find_node(below, name);
    if (source == HOME_NONE)
        fail_name(b, unit->input ? "input" : "name", name,
                  find_node(layer, name) != HOME_NONE
                      ? "a node of the layer below: one of the same layer would be a cycle"
                      : "the name of a node of the layer below, for the unit has no other input");
    return source;
}

static void custom_node(const builder *b, const homelayer *layer, const home_node_config *given,
                        homenode *node) {
    const size_t *sees = find_units(b, layer, "sees", given->sees, given->sees_count);
    const size_t *reads = find_units(b, layer, "gate", given->gate, given->gate_count);
    const size_t own = given->self ? find_unit(layer, given->self) : HOME_NONE;
    size_t read_count = given->gate_count;
    if (given->self && own == HOME_NONE)
        fail_name(b, "self", given->self, "the name of a unit of this layer");
    if (!sees || !reads || (given->self && own == HOME_NONE))
        return;
    const size_t own_name = find_unit(layer, given->name);
    const size_t usual = own_name == HOME_NONE ? sees[0] : own_name;
    if (read_count == 0) {
        reads = &usual;
        read_count = 1;
    }
    *node = node_of(b, given->name, sees, given->sees_count, reads, read_count);
    if (given->self)
        *node = with_self(b, *node,
                          given->self_kind == HOME_SELF_STATIC ? HOME_SELF_TERM_STATIC
                                                               : HOME_SELF_TERM_GATE,
                          own);
}

static void custom_layer(const builder *b, homelayer *layer, const homelayer *below) {
    const home_layer_config *given = layer->config;
    if (!allocate_layer(b, layer, given->unit_count, given->node_count))
        return;
    for (size_t u = 0; u < layer->unit_count; u++)
        layer->units[u] = (homeunit){given->units[u].name, HOME_NONE, given->units[u].experts};
    for (size_t n = 0; n < layer->node_count; n++)
        layer->nodes[n].name = given->nodes[n].name;
    if (!index_layer(b, layer))
        return;
    for (size_t u = 0; u < layer->unit_count && homereader_ok(b->in); u++) {
        homereader_enter(b->in, "units", u);
        layer->units[u].source = find_input(b, layer, below, &given->units[u]);
        homereader_leave(b->in);
    }
    for (size_t n = 0; n < layer->node_count && homereader_ok(b->in); n++) {
        homereader_enter(b->in, "nodes", n);
        custom_node(b, layer, &given->nodes[n], &layer->nodes[n]);
        homereader_leave(b->in);
    }
}

/* Replaces the mask of the preset's node that an entry of the user names. */
static void replace_mask(const builder *b, homelayer *layer, const home_node_config *given) {
    const size_t n = find_node(layer, given->name);
    if (n == HOME_NONE) {
        fail_name(b, "name", given->name, "the name of a node of this layer");
        return;
    }
    const size_t *sees = find_units(b, layer, "sees", given->sees, given->sees_count);
    if (sees) {
        layer->nodes[n].sees = sees;
        layer->nodes[n].sees_count = given->sees_count;
    }
}

static void replace_masks(const builder *b, homelayer *layer) {
    for (size_t i = 0; i < layer->config->node_count && homereader_ok(b->in); i++) {
        homereader_enter(b->in, "nodes", i);
        replace_mask(b, layer, &layer->config->nodes[i]);
        homereader_leave(b->in);
    }
}

/* Refuses a unit that no node sees or adds: nothing would use what it computes. */
static void check_seen(const builder *b, const homelayer *layer) {
    bool *seen = homearena_take(b->arena, layer->unit_count, sizeof *seen);
    if (!seen)
        return;
    for (size_t n = 0; n < layer->node_count; n++) {
        const homenode *node = &layer->nodes[n];
        for (size_t i = 0; i < node->sees_count; i++)
            seen[node->sees[i]] = true;
        if (node->self != HOME_SELF_TERM_NONE)
            seen[node->own] = true;
    }
    for (size_t u = 0; u < layer->unit_count; u++)
        if (!seen[u])
            homereader_fail(b->in, HOME_E_CONFIG, NULL,
                            ": unit \"%.60s\" is unseen, expected at least one node that sees it",
                            layer->units[u].name);
}

/* ------------------------------------------------------------------------------------- building */

static void build_layer(const builder *b, hometopology *topology, size_t l) {
    homelayer *layer = &topology->layers[l];
    const homelayer *below = l > 0 ? &topology->layers[l - 1] : NULL;
    const size_t errors = b->in->error_count;
    layer->config = &b->config->layers[l];
    switch (b->config->preset) {
    case HOME_PRESET_CUSTOM:
        custom_layer(b, layer, below);
        break;
    case HOME_PRESET_HOME:
        if (l == 0)
            first_home_layer(b, layer);
        else
            second_home_layer(b, layer);
        break;
    case HOME_PRESET_SHARED_BOTTOM:
    case HOME_PRESET_MMOE:
        shared_layer(b, layer);
        break;
    default:
        task_layer(b, layer, below, l + 1 == topology->layer_count);
        break;
    }
    if (b->config->preset != HOME_PRESET_CUSTOM && homearena_ok(b->arena) && index_layer(b, layer))
        replace_masks(b, layer);
    if (homearena_ok(b->arena) && b->in->error_count == errors)
        check_seen(b, layer);
}

/* The last layer's node of a task. */
static void place_task(const builder *b, hometopology *topology, size_t t) {
    const char *name = b->config->tasks[t].name;
    topology->task_node[t] = find_node(&topology->layers[topology->layer_count - 1], name);
    if (topology->task_node[t] != HOME_NONE)
        return;
    homereader_enter(b->in, "tasks", t);
    fail_name(b, "name", name, "the name of a node of the last layer");
    homereader_leave(b->in);
}

home_status hometopology_build(homereader *in, const homesettings *settings,
                               hometopology *topology) {
    homearena *arena = in->arena;
    const builder b = {.settings = settings,
                       .config = &settings->config,
                       .arena = arena,
                       .in = in,
                       .last_list = homearena_take(arena, HOME_MAX_ITEMS, sizeof(const size_t *))};
    const size_t tasks = settings->config.task_count;
    topology->layer_count = settings->config.layer_count;
    topology->layers = homearena_take(arena, topology->layer_count, sizeof *topology->layers);
    topology->task_node = homearena_take(arena, tasks, sizeof *topology->task_node);
    if (!topology->layers || !topology->task_node || !b.last_list) {
        homereader_fail_memory(in);
        return in->status;
    }
    for (size_t l = 0; l < topology->layer_count && homereader_ok(in); l++) {
        homereader_enter(in, "layers", l);
        build_layer(&b, topology, l);
        homereader_leave(in);
        if (!homearena_ok(arena))
            homereader_fail_memory(in);
    }
    for (size_t t = 0; t < tasks && homereader_ok(in); t++)
        place_task(&b, topology, t);
    return in->status;
}
