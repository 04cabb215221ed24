/* The topology as JSON, for people and programs that want to see who sees whom. */
#include "model.h"

#include "json.h"

#ifndef HOME_SERVE_ONLY
static void add_member(home_text *text, const char *separator, const char *key) {
    home_text_add(text, separator);
    home_text_add_string(text, key);
    home_text_add(text, ":");
}

static void add_text(home_text *text, const char *separator, const char *key, const char *value) {
    add_member(text, separator, key);
    home_text_add_string(text, value);
}

static void add_integer(home_text *text, const char *key, uint64_t value) {
    add_member(text, ",", key);
    home_text_add_integer(text, value);
}

static void describe_unit(home_text *text, const home_topology *topology, size_t l, const home_unit *unit) {
    const home_layer_config *config = topology->layers[l].config;
    add_text(text, "{", "name", unit->name);
    add_text(text, ",", "input",
             unit->source == HOME_NONE ? "v" : topology->layers[l - 1].nodes[unit->source].name);
    add_integer(text, "experts", unit->experts);
    if (config->feature_gates == HOME_ON) {
        add_integer(text, "feature_branches", config->feature_branches);
        add_integer(text, "feature_rank", config->feature_rank);
    }
    home_text_add(text, "}");
}

static void describe_self(home_text *text, const home_layer *layer, const home_node *node) {
    static const char *const kinds[] = {
        [HOME_SELF_TERM_NONE] = "none",
        [HOME_SELF_TERM_GATE] = "gate",
        [HOME_SELF_TERM_STATIC] = "static",
        [HOME_SELF_TERM_ONE] = "one",
    };
    add_text(text, ",", "self_kind", kinds[node->self]);
    if (node->self != HOME_SELF_TERM_NONE)
        add_text(text, ",", "self", layer->units[node->own].name);
}

static void describe_node(home_text *text, const home_layer *layer, const home_node *node) {
    add_text(text, "{", "name", node->name);
    add_member(text, ",", "sees");
    for (size_t i = 0; i < node->sees_count; i++) {
        home_text_add(text, i ? "," : "[");
        home_text_add_string(text, layer->units[node->sees[i]].name);
    }
    home_text_add(text, "]");
    add_member(text, ",", "gate");
    home_text_add(text, "[");
    for (size_t i = 0; i < node->input_count; i++) {
        add_text(text, i ? ",{" : "{", "unit", layer->units[node->inputs[i].unit].name);
        add_member(text, ",", "gated");
        home_text_add(text,
                      node->inputs[i].gated && layer->config->feature_gates == HOME_ON ? "true}" : "false}");
    }
    home_text_add(text, "]");
    describe_self(text, layer, node);
    home_text_add(text, "}");
}

static void describe_layer(home_text *text, const home_topology *topology, size_t l) {
    const home_layer *layer = &topology->layers[l];
    home_text_add(text, l ? ",{\"width\":" : "{\"width\":");
    home_text_add_integer(text, layer->config->width);
    home_text_add(text, ",\"units\":[");
    for (size_t u = 0; u < layer->unit_count; u++) {
        home_text_add(text, u ? "," : "");
        describe_unit(text, topology, l, &layer->units[u]);
    }
    home_text_add(text, "],\"nodes\":[");
    for (size_t o = 0; o < layer->node_count; o++) {
        home_text_add(text, o ? "," : "");
        describe_node(text, layer, &layer->nodes[o]);
    }
    home_text_add(text, "]}");
}

void home_describe_topology(const home_settings *settings, const home_topology *topology, home_text *text) {
    home_text_add(text, "{\"input_width\":");
    home_text_add_integer(text, settings->input_width);
    home_text_add(text, ",\"layers\":[");
    for (size_t l = 0; l < topology->layer_count; l++)
        describe_layer(text, topology, l);
    home_text_add(text, "]}");
}

#endif
