/* The presets' layers of units and nodes, and those of the user's own. */
#include "topology.h"

#include "../base/fail.h"
#include "../host/sort.h"

#include <string.h>

static const char *const SHARED = "shared";

typedef struct builder {
    const homesettings *settings;
    const home_config *config;
    homearena *arena;
    home_error *error;
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
static home_status index_layer(const builder *b, homelayer *layer) {
    layer->units_by_name = sort_names(b, layer->units, layer->unit_count, sizeof *layer->units);
    layer->nodes_by_name = sort_names(b, layer->nodes, layer->node_count, sizeof *layer->nodes);
    return layer->units_by_name && layer->nodes_by_name ? HOME_OK : homefail_memory(b->error);
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

static home_status fail_name(const builder *b, size_t layer, const char *node, const char *field,
                             const char *name, const char *expected) {
    return homefail(b->error, HOME_E_CONFIG,
                    "config.layers[%zu]: \"%.40s\", %s \"%.40s\": expected %s", layer, node, field,
                    name, expected);
}

/* Names of units -> their indices. */
static home_status find_units(const builder *b, const homelayer *layer, size_t l, const char *node,
                              const char *field, const char *const *names, size_t count,
                              const size_t **units) {
    size_t *found = homearena_take(b->arena, count, sizeof *found);
    if (!found)
        return homefail_memory(b->error);
    for (size_t i = 0; i < count; i++) {
        found[i] = find_unit(layer, names[i]);
        if (found[i] == HOME_NONE)
            return fail_name(b, l, node, field, names[i], "the name of a unit of this layer");
        if (b->last_list[found[i]] == found)
            return fail_name(b, l, node, field, names[i], "each unit once");
        b->last_list[found[i]] = found;
    }
    *units = found;
    return HOME_OK;
}

/* The node of the layer below that a unit reads. */
static home_status find_input(const builder *b, const homelayer *layer, const homelayer *below,
                              size_t l, const home_unit_config *unit, size_t *source) {
    *source = HOME_NONE;
    if (!below) {
        if (unit->input && strcmp(unit->input, "v") != 0)
            return fail_name(b, l, unit->name, "input", unit->input,
                             "\"v\" or nothing: the first layer reads the model's input");
        return HOME_OK;
    }
    const char *name = unit->input ? unit->input : unit->name;
    *source = find_node(below, name);
    if (*source != HOME_NONE)
        return HOME_OK;
    return fail_name(b, l, unit->name, "input", name,
                     find_node(layer, name) != HOME_NONE
                         ? "a node of the layer below: one of the same layer would be a cycle"
                         : "the name of a node of the layer below");
}

static home_status custom_node(const builder *b, const homelayer *layer, size_t l,
                               const home_node_config *given, homenode *node) {
    const size_t *sees = NULL;
    const size_t *reads = NULL;
    size_t read_count = given->gate_count;
    home_status status =
        find_units(b, layer, l, given->name, "sees", given->sees, given->sees_count, &sees);
    if (status == HOME_OK)
        status = find_units(b, layer, l, given->name, "gate", given->gate, read_count, &reads);
    if (status != HOME_OK || !sees || !reads)
        return status;
    const size_t own_name = find_unit(layer, given->name);
    const size_t usual = own_name == HOME_NONE ? sees[0] : own_name;
    if (read_count == 0) {
        reads = &usual;
        read_count = 1;
    }
    *node = node_of(b, given->name, sees, given->sees_count, reads, read_count);
    if (!given->self)
        return HOME_OK;
    const size_t own = find_unit(layer, given->self);
    if (own == HOME_NONE)
        return fail_name(b, l, given->name, "self", given->self,
                         "the name of a unit of this layer");
    *node = with_self(
        b, *node,
        given->self_kind == HOME_SELF_STATIC ? HOME_SELF_TERM_STATIC : HOME_SELF_TERM_GATE, own);
    return HOME_OK;
}

static home_status custom_layer(const builder *b, homelayer *layer, const homelayer *below,
                                size_t l) {
    const home_layer_config *given = layer->config;
    if (!allocate_layer(b, layer, given->unit_count, given->node_count))
        return homefail_memory(b->error);
    for (size_t u = 0; u < layer->unit_count; u++)
        layer->units[u] = (homeunit){given->units[u].name, HOME_NONE, given->units[u].experts};
    for (size_t n = 0; n < layer->node_count; n++)
        layer->nodes[n].name = given->nodes[n].name;
    home_status status = index_layer(b, layer);
    for (size_t u = 0; u < layer->unit_count && status == HOME_OK; u++)
        status = find_input(b, layer, below, l, &given->units[u], &layer->units[u].source);
    for (size_t n = 0; n < layer->node_count && status == HOME_OK; n++)
        status = custom_node(b, layer, l, &given->nodes[n], &layer->nodes[n]);
    return status;
}

/* Replaces the masks that the user gives for nodes of a preset. */
static home_status replace_masks(const builder *b, homelayer *layer, size_t l) {
    for (size_t i = 0; i < layer->config->node_count; i++) {
        const home_node_config *given = &layer->config->nodes[i];
        const size_t n = find_node(layer, given->name);
        if (n == HOME_NONE)
            return fail_name(b, l, given->name, "name", given->name,
                             "the name of a node of this layer");
        const size_t *sees = NULL;
        const home_status status =
            find_units(b, layer, l, given->name, "sees", given->sees, given->sees_count, &sees);
        if (status != HOME_OK)
            return status;
        layer->nodes[n].sees = sees;
        layer->nodes[n].sees_count = given->sees_count;
    }
    return HOME_OK;
}

/* Refuses a unit that no node sees or adds: nothing would use what it computes. */
static home_status check_seen(const builder *b, const homelayer *layer, size_t l) {
    bool *seen = homearena_take(b->arena, layer->unit_count, sizeof *seen);
    if (!seen)
        return homefail_memory(b->error);
    for (size_t n = 0; n < layer->node_count; n++) {
        const homenode *node = &layer->nodes[n];
        for (size_t i = 0; i < node->sees_count; i++)
            seen[node->sees[i]] = true;
        if (node->self != HOME_SELF_TERM_NONE)
            seen[node->own] = true;
    }
    for (size_t u = 0; u < layer->unit_count; u++)
        if (!seen[u])
            return homefail(b->error, HOME_E_CONFIG,
                            "config.layers[%zu]: unit \"%.60s\" is unseen, expected at least one "
                            "node that sees it",
                            l, layer->units[u].name);
    return HOME_OK;
}

/* ------------------------------------------------------------------------------------- building */

static home_status build_layer(const builder *b, hometopology *topology, size_t l) {
    homelayer *layer = &topology->layers[l];
    const homelayer *below = l > 0 ? &topology->layers[l - 1] : NULL;
    home_status status = HOME_OK;
    layer->config = &b->config->layers[l];
    switch (b->config->preset) {
    case HOME_PRESET_CUSTOM:
        status = custom_layer(b, layer, below, l);
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
    if (status == HOME_OK && !homearena_ok(b->arena))
        status = homefail_memory(b->error);
    if (status == HOME_OK && b->config->preset != HOME_PRESET_CUSTOM)
        status = index_layer(b, layer);
    if (status == HOME_OK && b->config->preset != HOME_PRESET_CUSTOM)
        status = replace_masks(b, layer, l);
    return status == HOME_OK ? check_seen(b, layer, l) : status;
}

home_status hometopology_build(const homesettings *settings, homearena *arena,
                               hometopology *topology, home_error *error) {
    const builder b = {.settings = settings,
                       .config = &settings->config,
                       .arena = arena,
                       .error = error,
                       .last_list = homearena_take(arena, HOME_MAX_ITEMS, sizeof(const size_t *))};
    const size_t tasks = settings->config.task_count;
    topology->layer_count = settings->config.layer_count;
    topology->layers = homearena_take(arena, topology->layer_count, sizeof *topology->layers);
    topology->task_node = homearena_take(arena, tasks, sizeof *topology->task_node);
    if (!topology->layers || !topology->task_node || !b.last_list)
        return homefail_memory(error);
    home_status status = HOME_OK;
    for (size_t l = 0; l < topology->layer_count && status == HOME_OK; l++)
        status = build_layer(&b, topology, l);
    for (size_t t = 0; t < tasks && status == HOME_OK; t++) {
        const char *name = settings->config.tasks[t].name;
        topology->task_node[t] = find_node(&topology->layers[topology->layer_count - 1], name);
        if (topology->task_node[t] == HOME_NONE)
            status = homefail(
                error, HOME_E_CONFIG,
                "config.layers[%zu].nodes has no node \"%.60s\", expected one for each task",
                topology->layer_count - 1, name);
    }
    return status;
}
