#include "topology.h"

static const char *const SHARED = "shared";

static const size_t *list_of(home_arena *arena, const size_t *items, size_t count) {
    size_t *copy = home_arena_take(arena, count, sizeof *copy);
    for (size_t i = 0; copy && i < count; i++)
        copy[i] = items[i];
    return copy;
}

static const home_gate_input *inputs_of(home_arena *arena, const size_t *units, size_t count, bool gated) {
    home_gate_input *inputs = home_arena_take(arena, count, sizeof *inputs);
    for (size_t i = 0; inputs && i < count; i++)
        inputs[i] = (home_gate_input){units[i], gated};
    return inputs;
}

/* What nodes have in common under the preset home: a gate over `sees`, fed by the units in `reads`, and a
 * self gate on the unit `own`. */
static home_node home_node_of(const home_settings *settings, home_arena *arena, const char *name,
                              const size_t *sees, size_t sees_count, const size_t *reads, size_t read_count,
                              size_t own) {
    const home_config *config = &settings->config;
    return (home_node){
        .name = name,
        .sees = list_of(arena, sees, sees_count),
        .sees_count = sees_count,
        .inputs = inputs_of(arena, reads, read_count, config->gate_input == HOME_INPUT_GATED),
        .input_count = read_count,
        .own = config->self_gates == HOME_ON ? own : HOME_NONE,
        .self_gated = config->self_gate_input == HOME_INPUT_GATED,
    };
}

static bool layer_allocate(home_arena *arena, home_layer *layer, size_t units, size_t nodes) {
    layer->units = home_arena_take(arena, units, sizeof *layer->units);
    layer->nodes = home_arena_take(arena, nodes, sizeof *layer->nodes);
    layer->unit_count = units;
    layer->node_count = nodes;
    return layer->units && layer->nodes;
}

/* HoME layer 1. Units: shared, then the groups; all read v. Nodes: the same names in the same order; a
 * group's node sees {shared, group}, the node `shared` sees every unit. */
static bool home_first_layer(const home_settings *settings, home_arena *arena, home_layer *layer) {
    const size_t groups = settings->group_count;
    size_t *every = home_arena_take(arena, groups + 1, sizeof *every);
    if (!every || !layer_allocate(arena, layer, groups + 1, groups + 1))
        return false;
    for (size_t u = 0; u <= groups; u++) {
        const char *name = u == 0 ? SHARED : settings->groups[u - 1];
        every[u] = u;
        layer->units[u] = (home_unit){name, HOME_NONE,
                                      u == 0 ? layer->config->shared_experts : layer->config->group_experts};
    }
    layer->nodes[0] = home_node_of(settings, arena, SHARED, every, groups + 1, &every[0], 1, 0);
    for (size_t g = 1; g <= groups; g++)
        layer->nodes[g] = home_node_of(settings, arena, settings->groups[g - 1], (const size_t[]){0, g}, 2,
                                       &every[g], 1, g);
    return true;
}

/* HoME layer 2. Units: shared, the groups, the tasks; a task's unit reads its group's node. A task's node
 * sees {shared, group, task}; its gate reads the task's unit's input, then the shared one's. */
static bool home_second_layer(const home_settings *settings, home_arena *arena, home_layer *layer) {
    const size_t groups = settings->group_count;
    const size_t tasks = settings->config.task_count;
    if (!layer_allocate(arena, layer, 1 + groups + tasks, tasks))
        return false;
    layer->units[0] = (home_unit){SHARED, 0, layer->config->shared_experts};
    for (size_t g = 0; g < groups; g++)
        layer->units[1 + g] = (home_unit){settings->groups[g], 1 + g, layer->config->group_experts};
    for (size_t t = 0; t < tasks; t++) {
        const size_t own = 1 + groups + t;
        const size_t group = 1 + settings->task_group[t];
        const char *name = settings->config.tasks[t].name;
        layer->units[own] = (home_unit){name, group, layer->config->task_experts};
        layer->nodes[t] = home_node_of(settings, arena, name, (const size_t[]){0, group, own}, 3,
                                       (const size_t[]){own, 0}, 2, own);
    }
    return true;
}

bool home_topology_build(const home_settings *settings, home_arena *arena, home_topology *topology) {
    const home_config *config = &settings->config;
    topology->layer_count = config->layer_count;
    topology->layers = home_arena_take(arena, config->layer_count, sizeof *topology->layers);
    topology->task_node = home_arena_take(arena, config->task_count, sizeof *topology->task_node);
    if (!topology->layers || !topology->task_node)
        return false;
    for (size_t l = 0; l < config->layer_count; l++)
        topology->layers[l].config = &config->layers[l];
    for (size_t t = 0; t < config->task_count; t++)
        topology->task_node[t] = t;
    return home_first_layer(settings, arena, &topology->layers[0]) &&
           home_second_layer(settings, arena, &topology->layers[1]) && !arena->failed;
}
