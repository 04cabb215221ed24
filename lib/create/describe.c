/* The topology as JSON, for people and programs that want to see who sees whom. */
#include "create.h"

#include "../host/json.h"

/* A text that cannot grow stays failed, which whoever asked for it looks at once, at the end. */
static void add_member(hometext *text, const char *separator, const char *key) {
    hometext_add(text, separator);
    hometext_add_string(text, key);
    hometext_add(text, ":");
}

static void add_text(hometext *text, const char *separator, const char *key, const char *value) {
    add_member(text, separator, key);
    hometext_add_string(text, value);
}

static void add_integer(hometext *text, const char *key, uint64_t value) {
    add_member(text, ",", key);
    hometext_add_integer(text, value);
}

static void describe_unit(hometext *text, const hometopology *topology, size_t l,
                          const homeunit *unit) {
    const home_layer_config *config = topology->layers[l].config;
    add_text(text, "{", "name", unit->name);
    add_text(text, ",", "input",
             unit->source == HOME_NONE ? "v" : topology->layers[l - 1].nodes[unit->source].name);
    add_integer(text, "experts", unit->experts);
    if (config->feature_gates == HOME_ON) {
        add_integer(text, "feature_branches", config->feature_branches);
        add_integer(text, "feature_rank", config->feature_rank);
    }
    hometext_add(text, "}");
}

static void describe_self(hometext *text, const homelayer *layer, const homenode *node) {
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

static void describe_node(hometext *text, const homelayer *layer, const homenode *node) {
    add_text(text, "{", "name", node->name);
    add_member(text, ",", "sees");
    for (size_t i = 0; i < node->sees_count; i++) {
        hometext_add(text, i ? "," : "[");
        hometext_add_string(text, layer->units[node->sees[i]].name);
    }
    hometext_add(text, "]");
    add_member(text, ",", "gate");
    hometext_add(text, "[");
    for (size_t i = 0; i < node->input_count; i++) {
        add_text(text, i ? ",{" : "{", "unit", layer->units[node->inputs[i].unit].name);
        add_member(text, ",", "gated");
        hometext_add(text, node->inputs[i].gated && layer->config->feature_gates == HOME_ON
                               ? "true}"
                               : "false}");
    }
    hometext_add(text, "]");
    describe_self(text, layer, node);
    hometext_add(text, "}");
}

static void describe_layer(hometext *text, const hometopology *topology, size_t l) {
    const homelayer *layer = &topology->layers[l];
    hometext_add(text, l ? ",{\"width\":" : "{\"width\":");
    hometext_add_integer(text, layer->config->width);
    hometext_add(text, ",\"units\":[");
    for (size_t u = 0; u < layer->unit_count; u++) {
        hometext_add(text, u ? "," : "");
        describe_unit(text, topology, l, &layer->units[u]);
    }
    hometext_add(text, "],\"nodes\":[");
    for (size_t n = 0; n < layer->node_count; n++) {
        hometext_add(text, n ? "," : "");
        describe_node(text, layer, &layer->nodes[n]);
    }
    hometext_add(text, "]}");
}

void homedescribe_topology(const homesettings *settings, const hometopology *topology,
                           hometext *text) {
    hometext_add(text, "{\"input_width\":");
    hometext_add_integer(text, settings->input_width);
    hometext_add(text, ",\"layers\":[");
    for (size_t l = 0; l < topology->layer_count; l++)
        describe_layer(text, topology, l);
    hometext_add(text, "]}");
}
