#include "topology.h"

#include "heap.h"
#include "print.h"

#include "../../lib/host/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 256 };

/* The number of parameters in tensors whose names begin with a prefix. */
static uint64_t parameters_of(const home_model *model, const char *prefix) {
    uint64_t sum = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        if (home_model_tensor_at(model, i, &tensor, NULL) == HOME_OK &&
            tensor.kind == HOME_TENSOR_PARAMETER &&
            strncmp(tensor.name, prefix, strlen(prefix)) == 0)
            sum += tensor.shape[0] * tensor.shape[1];
    }
    return sum;
}

static uint64_t part_parameters(const home_model *model, size_t layer, const char *kind,
                                const char *name) {
    char prefix[CELL];
    snprintf(prefix, sizeof prefix, "layers.%zu.%s.%s.", layer, kind, name);
    return parameters_of(model, prefix);
}

const char *topology_text(const homejson_value *object, const char *key) {
    const homejson_value *value = homejson_member(object, key);
    return value && value->type == HOME_JSON_STRING ? value->text : "";
}

static uint64_t integer_of(const homejson_value *object, const char *key) {
    const homejson_value *value = homejson_member(object, key);
    return value && value->is_integer ? value->integer : 0;
}

static void append(char cell[CELL], const char *piece) {
    const size_t used = strlen(cell);
    snprintf(cell + used, CELL - used, "%s", piece);
}

static void print_unit(const home_model *model, size_t layer, const homejson_value *unit) {
    char gate[CELL] = "-";
    const uint64_t branches = integer_of(unit, "feature_branches");
    if (branches > 0)
        snprintf(gate, sizeof gate, "%" PRIu64 " of rank %" PRIu64, branches,
                 integer_of(unit, "feature_rank"));
    const char *name = topology_text(unit, "name");
    print_line(stdout, "  %-18s %-18s %7" PRIu64 "  %-16s %10" PRIu64, name,
               topology_text(unit, "input"), integer_of(unit, "experts"), gate,
               part_parameters(model, layer, "units", name));
}

/* "shared inter like" */
static void list_seen(const homejson_value *node, char cell[CELL]) {
    const homejson_value *sees = homejson_member(node, "sees");
    for (const homejson_value *unit = sees ? sees->first : NULL; unit; unit = unit->next) {
        append(cell, *cell ? " " : "");
        append(cell, unit->text);
    }
}

/* "like + shared", with a star after what has passed a feature gate */
static void list_read(const homejson_value *node, char cell[CELL]) {
    const homejson_value *gate = homejson_member(node, "gate");
    for (const homejson_value *input = gate ? gate->first : NULL; input; input = input->next) {
        const homejson_value *gated = homejson_member(input, "gated");
        append(cell, *cell ? " + " : "");
        append(cell, topology_text(input, "unit"));
        append(cell, gated && gated->boolean ? "*" : "");
    }
    append(cell, *cell ? "" : "-");
}

static void print_node(const home_model *model, size_t layer, const homejson_value *node) {
    char seen[CELL] = "";
    char read[CELL] = "";
    char self[CELL] = "-";
    list_seen(node, seen);
    list_read(node, read);
    if (*topology_text(node, "self"))
        snprintf(self, sizeof self, "%s of %s", topology_text(node, "self_kind"),
                 topology_text(node, "self"));
    const char *name = topology_text(node, "name");
    print_line(stdout, "  %-18s %-32s %-24s %-20s %10" PRIu64, name, seen, read, self,
               part_parameters(model, layer, "nodes", name));
}

static void print_layer(const home_model *model, size_t layer, const homejson_value *of) {
    const homejson_value *units = homejson_member(of, "units");
    const homejson_value *nodes = homejson_member(of, "nodes");
    print_end(stdout);
    print_line(stdout, "layer %zu, width %" PRIu64, layer, integer_of(of, "width"));
    print_line(stdout, "  %-18s %-18s %7s  %-16s %10s", "unit", "reads", "experts", "feature gate",
               "parameters");
    for (const homejson_value *unit = units ? units->first : NULL; unit; unit = unit->next)
        print_unit(model, layer, unit);
    print_line(stdout, "  %-18s %-32s %-24s %-20s %10s", "node", "sees", "gate reads (* gated)",
               "self term", "parameters");
    for (const homejson_value *node = nodes ? nodes->first : NULL; node; node = node->next)
        print_node(model, layer, node);
}

static void print_towers(const home_model *model) {
    print_end(stdout);
    print_line(stdout, "  %-18s %10s", "tower", "parameters");
    for (size_t t = 0; t < home_model_task_count(model); t++) {
        char prefix[CELL];
        snprintf(prefix, sizeof prefix, "towers.%s.", home_model_task_name(model, t));
        print_line(stdout, "  %-18s %10" PRIu64, home_model_task_name(model, t),
                   parameters_of(model, prefix));
    }
}

bool topology_print(const home_model *model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    homejson *document;
    const char *text = home_model_topology_json(model);
    if (homejson_parse(heap(), text, strlen(text), &document, &error) != HOME_OK)
        return fail_library(why, "reading the topology", &error);
    const homejson_value *layers = homejson_member(homejson_root(document), "layers");
    print_end(stdout);
    print_line(stdout, "topology: v has %" PRIu64 " columns",
               integer_of(homejson_root(document), "input_width"));
    size_t l = 0;
    for (const homejson_value *layer = layers ? layers->first : NULL; layer; layer = layer->next)
        print_layer(model, l++, layer);
    print_towers(model);
    homejson_free(document);
    return true;
}
