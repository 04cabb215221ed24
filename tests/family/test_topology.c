/* Who sees whom. Each preset's units, nodes and masks stand here as a table; the model is held
 * against it by what can be seen from outside:
 *
 *  - the names and shapes of its tensors;
 *  - which gradients a single task's logit reaches;
 *  - with every expert of a layer answering a constant of its own and all gates at zero, the
 *    gradients of a gate's biases are proportional to those constants less their mean, which tells
 *    the experts behind the gate's outputs, in order, and the gradients of a layer's weights by
 *    those of its biases are its input;
 *  - a preset spelled out as a custom topology is the same model, byte for byte.
 *
 * Then the errors in a user's own topology. */
#include "family.h"

enum {
    MAX_LAYERS = 3,
    MAX_UNITS = 8,
    MAX_NODES = 4,
    MAX_EXPECTED = 400,
    MAX_WIDTH = 16,
    BRANCHES = 2
};

enum { DENSE = 4, TASKS = 3 };
static const char *const task_names[TASKS] = {"like", "follow", "view"};

/* --------------------------------------------------------------------------------------- tables */

typedef enum self_kind { BY_LAYER, NO_SELF, SELF_GATE, SELF_STATIC, SELF_ONE } self_kind;

/* Lists of units and of nodes end with a row without a name. */
typedef struct unit_row {
    const char *name;
    const char *source; /* the node of the layer below; NULL: v */
    size_t experts;
} unit_row;

/* Lists of units' names are words with spaces between them. */
typedef struct node_row {
    const char *name;
    const char *sees;
    const char *reads; /* the units whose gated inputs the gate reads, or "v"; NULL: no gate */
    const char *self;  /* the unit of the self term; NULL: none */
    self_kind kind;    /* BY_LAYER: that of the layer */
} node_row;

typedef struct layer_rows {
    size_t width; /* 0: there is no such layer */
    size_t rank;  /* of the feature gates' branches; 0: no feature gates */
    const unit_row *units;
    const node_row *nodes;
    self_kind kind; /* of the self terms of its nodes */
} layer_rows;

typedef struct family_case {
    const char *name;
    const char *json; /* without the tasks and what else all cases have in common */
    layer_rows layers[MAX_LAYERS];
} family_case;

#define COMMON                                                                                     \
    ",'dense':4,'seed':3,'tasks':["                                                                \
    "{'name':'like','group':'inter','loss':'squared'},"                                            \
    "{'name':'follow','group':'inter','loss':'squared'},"                                          \
    "{'name':'view','group':'watch','loss':'squared'}],"                                           \
    "'experts':{'norm':'none','activation':'swish','hidden_activation':'swish'}"

/* ----------------------------------------------------------------------------------------- HoME */

static const unit_row home_units_1[] = {
    {"shared", NULL, 3},
    {"inter", NULL, 2},
    {"watch", NULL, 2},
    {0},
};
static const unit_row home_units_2[] = {
    {"shared", "shared", 3},
    {"inter", "inter", 2},
    {"watch", "watch", 2},
    {"like", "inter", 1},
    {"follow", "inter", 1},
    {"view", "watch", 1},
    {0},
};

static const node_row home_nodes_1[] = {
    {"shared", "shared inter watch", "shared", "shared", BY_LAYER},
    {"inter", "shared inter", "inter", "inter", BY_LAYER},
    {"watch", "shared watch", "watch", "watch", BY_LAYER},
    {0},
};
static const node_row home_nodes_2[] = {
    {"like", "shared inter like", "like shared", "like", BY_LAYER},
    {"follow", "shared inter follow", "follow shared", "follow", BY_LAYER},
    {"view", "shared watch view", "view shared", "view", BY_LAYER},
    {0},
};

static const node_row home_sees_all_1[] = {
    {"shared", "shared inter watch", "shared", "shared", BY_LAYER},
    {"inter", "shared inter watch", "inter", "inter", BY_LAYER},
    {"watch", "shared inter watch", "watch", "watch", BY_LAYER},
    {0},
};
static const node_row home_sees_all_2[] = {
    {"like", "shared inter watch like follow view", "like shared", "like", BY_LAYER},
    {"follow", "shared inter watch like follow view", "follow shared", "follow", BY_LAYER},
    {"view", "shared inter watch like follow view", "view shared", "view", BY_LAYER},
    {0},
};

static const node_row home_ordered_1[] = {
    {"shared", "shared inter watch", "shared", "shared", BY_LAYER},
    {"inter", "shared inter", "inter", "inter", BY_LAYER},
    {"watch", "watch shared", "watch", "watch", BY_LAYER},
    {0},
};
static const node_row home_ordered_2[] = {
    {"like", "shared inter like", "like shared", "like", BY_LAYER},
    {"follow", "shared inter follow", "follow shared", "follow", BY_LAYER},
    {"view", "inter view watch", "view shared", "view", BY_LAYER},
    {0},
};

/* -------------------------------------------------------------------------- units of the others */

static const unit_row shared_1[] = {
    {"shared", NULL, 1},
    {0},
};
static const unit_row shared_4[] = {
    {"shared", NULL, 4},
    {0},
};
static const unit_row tasks_1[] = {
    {"like", NULL, 1},
    {"follow", NULL, 1},
    {"view", NULL, 1},
    {0},
};
static const unit_row tasks_2[] = {
    {"like", NULL, 2},
    {"follow", NULL, 2},
    {"view", NULL, 2},
    {0},
};
static const unit_row tasks_3_above[] = {
    {"like", "like", 3},
    {"follow", "follow", 3},
    {"view", "view", 3},
    {0},
};
static const unit_row shared_1_tasks_1[] = {
    {"shared", NULL, 1}, {"like", NULL, 1}, {"follow", NULL, 1}, {"view", NULL, 1}, {0},
};
static const unit_row shared_2_tasks_1[] = {
    {"shared", NULL, 2}, {"like", NULL, 1}, {"follow", NULL, 1}, {"view", NULL, 1}, {0},
};
static const unit_row shared_3_tasks_2[] = {
    {"shared", NULL, 3}, {"like", NULL, 2}, {"follow", NULL, 2}, {"view", NULL, 2}, {0},
};
static const unit_row shared_1_tasks_1_above[] = {
    {"shared", "shared", 1}, {"like", "like", 1}, {"follow", "follow", 1}, {"view", "view", 1}, {0},
};
static const unit_row shared_2_tasks_1_above[] = {
    {"shared", "shared", 2}, {"like", "like", 1}, {"follow", "follow", 1}, {"view", "view", 1}, {0},
};
static const unit_row shared_1_tasks_2_above[] = {
    {"shared", "shared", 1}, {"like", "like", 2}, {"follow", "follow", 2}, {"view", "view", 2}, {0},
};

/* -------------------------------------------------------------------------- nodes of the others */

static const node_row no_gates[] = {
    {"like", "shared", NULL, NULL, BY_LAYER},
    {"follow", "shared", NULL, NULL, BY_LAYER},
    {"view", "shared", NULL, NULL, BY_LAYER},
    {0},
};
static const node_row gates_on_v[] = {
    {"like", "shared", "v", NULL, BY_LAYER},
    {"follow", "shared", "v", NULL, BY_LAYER},
    {"view", "shared", "v", NULL, BY_LAYER},
    {0},
};

static const node_row own_and_shared[] = {
    {"like", "shared like", "like", "like", BY_LAYER},
    {"follow", "shared follow", "follow", "follow", BY_LAYER},
    {"view", "shared view", "view", "view", BY_LAYER},
    {0},
};
static const node_row follow_sees_shared_alone[] = {
    {"like", "shared like", "like", "like", BY_LAYER},
    {"follow", "shared", "follow", "follow", BY_LAYER},
    {"view", "shared view", "view", "view", BY_LAYER},
    {0},
};
static const node_row own_and_shared_below[] = {
    {"like", "shared like", "like", "like", BY_LAYER},
    {"follow", "shared follow", "follow", "follow", BY_LAYER},
    {"view", "shared view", "view", "view", BY_LAYER},
    {"shared", "shared like follow view", "shared", "shared", BY_LAYER},
    {0},
};

static const node_row tasks_see_tasks[] = {
    {"like", "like follow view", "like", "like", BY_LAYER},
    {"follow", "like follow view", "follow", "follow", BY_LAYER},
    {"view", "like follow view", "view", "view", BY_LAYER},
    {0},
};
static const node_row tasks_see_all[] = {
    {"like", "shared like follow view", "like", "like", BY_LAYER},
    {"follow", "shared like follow view", "follow", "follow", BY_LAYER},
    {"view", "shared like follow view", "view", "view", BY_LAYER},
    {0},
};
static const node_row tasks_and_shared_see_all[] = {
    {"like", "shared like follow view", "like", "like", BY_LAYER},
    {"follow", "shared like follow view", "follow", "follow", BY_LAYER},
    {"view", "shared like follow view", "view", "view", BY_LAYER},
    {"shared", "shared like follow view", "shared", "shared", BY_LAYER},
    {0},
};

/* ------------------------------------------------------------------------------------- a user's */

static const unit_row custom_units_1[] = {
    {"wide", NULL, 2},
    {"deep", NULL, 1},
    {0},
};
static const node_row custom_nodes_1[] = {
    {"wide", "deep wide", "wide", NULL, BY_LAYER},
    {"mixed", "wide deep", "deep wide", "wide", SELF_GATE},
    {"view", "deep wide", "deep", "deep", SELF_STATIC},
    {0},
};
static const unit_row custom_units_2[] = {
    {"wide", "wide", 2},
    {"x", "mixed", 1},
    {"view", "view", 3},
    {0},
};
static const node_row custom_nodes_2[] = {
    {"like", "x wide", "x", NULL, BY_LAYER},
    {"view", "x view", "view", "wide", SELF_STATIC},
    {"follow", "view x wide", "wide", "view", SELF_GATE},
    {0},
};

/* ------------------------------------------------------------------------------------ the cases */

#define HOME_LAYER_1 "{'width':3,'shared_experts':3,'group_experts':2,'feature_rank':2"
#define HOME_LAYER_2                                                                               \
    "{'width':2,'shared_experts':3,'group_experts':2,'task_experts':1,'feature_rank':1"
#define EVERYTHING_1 "'sees':['shared','inter','watch']"
#define EVERYTHING_2 "'sees':['shared','inter','watch','like','follow','view']"

static const family_case cases[] = {
    {
        .name = "home",
        .json = "'preset':'home','layers':[" HOME_LAYER_1 "}," HOME_LAYER_2 "}]",
        .layers[0] = {3, 2, home_units_1, home_nodes_1, SELF_GATE},
        .layers[1] = {2, 1, home_units_2, home_nodes_2, SELF_GATE},
    },
    {
        .name = "home without feature gates in layer 2",
        .json = "'layers':[" HOME_LAYER_1 "}," HOME_LAYER_2 ",'feature_gates':false}]",
        .layers[0] = {3, 2, home_units_1, home_nodes_1, SELF_GATE},
        .layers[1] = {2, 0, home_units_2, home_nodes_2, SELF_GATE},
    },
    {
        .name = "home without feature gates",
        .json = "'layers':[" HOME_LAYER_1 ",'feature_gates':false}," HOME_LAYER_2
                ",'feature_gates':false}]",
        .layers[0] = {3, 0, home_units_1, home_nodes_1, SELF_GATE},
        .layers[1] = {2, 0, home_units_2, home_nodes_2, SELF_GATE},
    },
    {
        .name = "home without self gates",
        .json = "'self_gate':{'on':false},'layers':[" HOME_LAYER_1 "}," HOME_LAYER_2 "}]",
        .layers[0] = {3, 2, home_units_1, home_nodes_1, NO_SELF},
        .layers[1] = {2, 1, home_units_2, home_nodes_2, NO_SELF},
    },
    {
        .name = "home with all experts visible",
        .json =
            "'layers':[" HOME_LAYER_1 ",'feature_gates':false,'nodes':["
            "{'name':'inter'," EVERYTHING_1 "},"
            "{'name':'watch'," EVERYTHING_1 "}]}," HOME_LAYER_2 ",'feature_gates':false,'nodes':["
            "{'name':'like'," EVERYTHING_2 "},"
            "{'name':'follow'," EVERYTHING_2 "},"
            "{'name':'view'," EVERYTHING_2 "}]}]",
        .layers[0] = {3, 0, home_units_1, home_sees_all_1, SELF_GATE},
        .layers[1] = {2, 0, home_units_2, home_sees_all_2, SELF_GATE},
    },
    {
        .name = "home with masks in the user's order",
        .json = "'layers':[" HOME_LAYER_1 ",'nodes':["
                "{'name':'watch','sees':['watch','shared']}]}," HOME_LAYER_2 ",'nodes':["
                "{'name':'view','sees':['inter','view','watch']}]}]",
        .layers[0] = {3, 2, home_units_1, home_ordered_1, SELF_GATE},
        .layers[1] = {2, 1, home_units_2, home_ordered_2, SELF_GATE},
    },
    {
        .name = "shared-bottom",
        .json = "'preset':'shared-bottom','layers':[{'width':3}]",
        .layers[0] = {3, 0, shared_1, no_gates, NO_SELF},
    },
    {
        .name = "mmoe",
        .json = "'preset':'mmoe','layers':[{'width':3,'shared_experts':4}]",
        .layers[0] = {3, 0, shared_4, gates_on_v, NO_SELF},
    },
    {
        .name = "mmoe with feature gates and self gates on",
        .json = "'preset':'mmoe','self_gate':{'on':true},'layers':["
                "{'width':3,'shared_experts':4,'feature_gates':true,'feature_rank':3}]",
        .layers[0] = {3, 3, shared_4, gates_on_v, SELF_GATE},
    },
    {
        .name = "cgc",
        .json = "'preset':'cgc','layers':[{'width':3,'shared_experts':3,'task_experts':2}]",
        .layers[0] = {3, 0, shared_3_tasks_2, own_and_shared, NO_SELF},
    },
    {
        .name = "cgc with feature gates and self gates",
        .json = "'preset':'cgc','self_gate':{'on':true},'layers':["
                "{'width':3,'shared_experts':3,'task_experts':2,"
                "'feature_gates':true,'feature_rank':1}]",
        .layers[0] = {3, 1, shared_3_tasks_2, own_and_shared, SELF_GATE},
    },
    {
        .name = "cgc whose task sees its own experts through the self gate alone",
        .json = "'preset':'cgc','self_gate':{'on':true},'layers':["
                "{'width':3,'shared_experts':3,'task_experts':2,"
                "'nodes':[{'name':'follow','sees':['shared']}]}]",
        .layers[0] = {3, 0, shared_3_tasks_2, follow_sees_shared_alone, SELF_GATE},
    },
    {
        .name = "ple of two levels",
        .json = "'preset':'ple','layers':["
                "{'width':3,'shared_experts':3,'task_experts':2},"
                "{'width':5}]",
        .layers[0] = {3, 0, shared_3_tasks_2, own_and_shared_below, NO_SELF},
        .layers[1] = {5, 0, shared_1_tasks_1_above, own_and_shared, NO_SELF},
    },
    {
        .name = "ple of three levels with every cure",
        .json = "'preset':'ple','self_gate':{'on':true},'layers':["
                "{'width':3,'feature_gates':true,'feature_rank':2},"
                "{'width':2,'shared_experts':2},"
                "{'width':4,'task_experts':2,'feature_gates':true,'feature_rank':1}]",
        .layers[0] = {3, 2, shared_1_tasks_1, own_and_shared_below, SELF_GATE},
        .layers[1] = {2, 0, shared_2_tasks_1_above, own_and_shared_below, SELF_GATE},
        .layers[2] = {4, 1, shared_1_tasks_2_above, own_and_shared, SELF_GATE},
    },
    {
        .name = "adatt-sp",
        .json = "'preset':'adatt-sp','layers':["
                "{'width':3,'task_experts':2},"
                "{'width':4,'task_experts':3}]",
        .layers[0] = {3, 0, tasks_2, tasks_see_tasks, SELF_STATIC},
        .layers[1] = {4, 0, tasks_3_above, tasks_see_tasks, SELF_STATIC},
    },
    {
        .name = "adatt-sp of one expert each",
        .json = "'preset':'adatt-sp','layers':[{'width':3}]",
        .layers[0] = {3, 0, tasks_1, tasks_see_tasks, SELF_ONE},
    },
    {
        .name = "adatt-sp without self terms",
        .json = "'preset':'adatt-sp','self_gate':{'on':false},'layers':["
                "{'width':3,'task_experts':2}]",
        .layers[0] = {3, 0, tasks_2, tasks_see_tasks, NO_SELF},
    },
    {
        .name = "adatt",
        .json = "'preset':'adatt','layers':["
                "{'width':3,'shared_experts':2},"
                "{'width':4,'feature_gates':true,'feature_rank':1,'task_experts':2}]",
        .layers[0] = {3, 0, shared_2_tasks_1, tasks_and_shared_see_all, SELF_STATIC},
        .layers[1] = {4, 1, shared_1_tasks_2_above, tasks_see_all, SELF_STATIC},
    },
    {
        .name = "adatt of one expert each",
        .json = "'preset':'adatt','layers':[{'width':3},{'width':2}]",
        .layers[0] = {3, 0, shared_1_tasks_1, tasks_and_shared_see_all, SELF_ONE},
        .layers[1] = {2, 0, shared_1_tasks_1_above, tasks_see_all, SELF_ONE},
    },
    {
        .name = "custom",
        .json = "'preset':'custom','layers':["
                "{'width':3,'units':["
                "{'name':'wide','experts':2},"
                "{'name':'deep','input':'v'}],"
                "'nodes':["
                "{'name':'wide','sees':['deep','wide']},"
                "{'name':'mixed','sees':['wide','deep'],'gate':['deep','wide'],'self':'wide'},"
                "{'name':'view','sees':['deep','wide'],'self':'deep','self_kind':'static'}]},"
                "{'width':4,'units':["
                "{'name':'wide','experts':2},"
                "{'name':'x','input':'mixed'},"
                "{'name':'view','experts':3,'width':4}],"
                "'nodes':["
                "{'name':'like','sees':['x','wide']},"
                "{'name':'view','sees':['x','view'],'self':'wide','self_kind':'static'},"
                "{'name':'follow','sees':['view','x','wide'],'gate':['wide'],'self':'view'}]}]",
        .layers[0] = {3, 0, custom_units_1, custom_nodes_1, NO_SELF},
        .layers[1] = {4, 0, custom_units_2, custom_nodes_2, NO_SELF},
    },
};

/* --------------------------------------------------------------------------- reading the tables */

static size_t unit_count(const layer_rows *layer) {
    size_t count = 0;
    while (layer->units[count].name)
        count++;
    REQUIRE(count <= MAX_UNITS);
    return count;
}

static size_t node_count(const layer_rows *layer) {
    size_t count = 0;
    while (layer->nodes[count].name)
        count++;
    REQUIRE(count <= MAX_NODES);
    return count;
}

static size_t layer_count(const family_case *c) {
    size_t count = 0;
    while (count < MAX_LAYERS && c->layers[count].width)
        count++;
    return count;
}

static self_kind kind_of(const layer_rows *layer, const node_row *node) {
    if (!node->self)
        return NO_SELF;
    return node->kind != BY_LAYER ? node->kind : layer->kind;
}

static size_t unit_number(const layer_rows *layer, const char *name) {
    size_t u = 0;
    while (u < unit_count(layer) && strcmp(layer->units[u].name, name) != 0)
        u++;
    REQUIRE(u < unit_count(layer));
    return u;
}

static size_t node_number(const layer_rows *layer, const char *name) {
    size_t o = 0;
    while (o < node_count(layer) && strcmp(layer->nodes[o].name, name) != 0)
        o++;
    REQUIRE(o < node_count(layer));
    return o;
}

/* The units of a list of words; "v" and NULL are none. */
static size_t units_of(const layer_rows *layer, const char *words, size_t units[MAX_UNITS]) {
    size_t count = 0;
    while (words && *words && strcmp(words, "v") != 0) {
        char word[32];
        const size_t length = strcspn(words, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        units[count++] = unit_number(layer, word);
        words += length + (words[length] == ' ');
    }
    return count;
}

static size_t visible_experts(const layer_rows *layer, const node_row *node) {
    size_t units[MAX_UNITS];
    size_t experts = 0;
    for (size_t i = units_of(layer, node->sees, units); i-- > 0;)
        experts += layer->units[units[i]].experts;
    return experts;
}

static size_t input_width(const family_case *c, size_t layer) {
    return layer == 0 ? DENSE : c->layers[layer - 1].width;
}

static size_t gate_width(const family_case *c, size_t layer, const node_row *node) {
    size_t units[MAX_UNITS];
    const size_t count = units_of(&c->layers[layer], node->reads, units);
    return (count ? count : 1) * input_width(c, layer);
}

static home_model *make_case(const family_case *c) {
    text t = {.length = 0};
    text_add(&t, "{%s" COMMON "}", c->json);
    return model_from(t.bytes);
}

/* -------------------------------------------------------------------------------------- tensors */

/* A tensor that the table calls for, and the unit or node it belongs to; SIZE_MAX: none. */
typedef struct expected_tensor {
    char name[96];
    size_t rows;
    size_t columns;
    size_t layer;
    size_t unit;
    size_t node;
} expected_tensor;

typedef struct expectation {
    expected_tensor tensors[MAX_EXPECTED];
    size_t count;
} expectation;

static void expect_tensor(expectation *e, expected_tensor tensor, const char *format, ...) {
    REQUIRE(e->count < MAX_EXPECTED);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(tensor.name, sizeof tensor.name, format, arguments);
    va_end(arguments);
    e->tensors[e->count++] = tensor;
}

static void expect_unit(expectation *e, const family_case *c, size_t l, size_t u) {
    const layer_rows *layer = &c->layers[l];
    const char *name = layer->units[u].name;
    const size_t in = input_width(c, l);
    const expected_tensor mine = {.layer = l, .unit = u, .node = SIZE_MAX};
    expected_tensor t = mine;
    for (size_t k = 0; k < layer->units[u].experts; k++) {
        t.rows = layer->width;
        t.columns = in;
        expect_tensor(e, t, "layers.%zu.units.%s.experts.%zu.linear.0.weight", l, name, k);
        t.columns = 1;
        expect_tensor(e, t, "layers.%zu.units.%s.experts.%zu.linear.0.bias", l, name, k);
    }
    for (size_t j = 0; j < BRANCHES && layer->rank; j++) {
        t.rows = layer->rank;
        t.columns = in;
        expect_tensor(e, t, "layers.%zu.units.%s.feature_gate.lora.%zu.down.weight", l, name, j);
        t.rows = in;
        t.columns = layer->rank;
        expect_tensor(e, t, "layers.%zu.units.%s.feature_gate.lora.%zu.up.weight", l, name, j);
    }
    if (layer->rank) {
        t.rows = BRANCHES;
        t.columns = in;
        expect_tensor(e, t, "layers.%zu.units.%s.feature_gate.mix.weight", l, name);
        t.columns = 1;
        expect_tensor(e, t, "layers.%zu.units.%s.feature_gate.mix.bias", l, name);
    }
}

static void expect_node(expectation *e, const family_case *c, size_t l, size_t o) {
    const layer_rows *layer = &c->layers[l];
    const node_row *node = &layer->nodes[o];
    const self_kind kind = kind_of(layer, node);
    expected_tensor t = {.layer = l, .unit = SIZE_MAX, .node = o};
    if (node->reads) {
        t.rows = visible_experts(layer, node);
        t.columns = gate_width(c, l, node);
        expect_tensor(e, t, "layers.%zu.nodes.%s.gate.linear.0.weight", l, node->name);
        t.columns = 1;
        expect_tensor(e, t, "layers.%zu.nodes.%s.gate.linear.0.bias", l, node->name);
    }
    if (kind == NO_SELF)
        return;
    t.rows = layer->units[unit_number(layer, node->self)].experts;
    t.columns = kind == SELF_GATE ? input_width(c, l) : 1;
    if (kind == SELF_STATIC)
        expect_tensor(e, t, "layers.%zu.nodes.%s.self_gate.static", l, node->name);
    if (kind != SELF_GATE)
        return;
    expect_tensor(e, t, "layers.%zu.nodes.%s.self_gate.linear.0.weight", l, node->name);
    t.columns = 1;
    expect_tensor(e, t, "layers.%zu.nodes.%s.self_gate.linear.0.bias", l, node->name);
}

static void expect_case(expectation *e, const family_case *c) {
    e->count = 0;
    for (size_t l = 0; l < layer_count(c); l++) {
        for (size_t u = 0; u < unit_count(&c->layers[l]); u++)
            expect_unit(e, c, l, u);
        for (size_t o = 0; o < node_count(&c->layers[l]); o++)
            expect_node(e, c, l, o);
    }
    for (size_t t = 0; t < TASKS; t++) {
        const layer_rows *last = &c->layers[layer_count(c) - 1];
        expected_tensor tower = {.rows = 1, .columns = last->width, .layer = layer_count(c) - 1};
        tower.unit = SIZE_MAX;
        tower.node = node_number(last, task_names[t]); /* as reachable as the node it reads */
        expect_tensor(e, tower, "towers.%s.linear.0.weight", task_names[t]);
        tower.columns = 1;
        expect_tensor(e, tower, "towers.%s.linear.0.bias", task_names[t]);
    }
}

/* All expected tensors are there in the expected shape, and no others. */
static void check_tensors(const home_model *model, const expectation *e) {
    for (size_t i = 0; i < e->count; i++) {
        const expected_tensor *expected = &e->tensors[i];
        home_tensor t;
        if (!find_tensor(model, expected->name, &t))
            test_fail(__FILE__, __LINE__, "no tensor %s", expected->name);
        else if (t.shape[0] != expected->rows || t.shape[1] != expected->columns)
            test_fail(__FILE__, __LINE__, "%s is [%llu, %llu], expected [%zu, %zu]", expected->name,
                      (unsigned long long)t.shape[0], (unsigned long long)t.shape[1],
                      expected->rows, expected->columns);
    }
    CHECK_INTEGER(home_model_tensor_count(model), e->count);
}

/* ---------------------------------------------------------------------------- runs of the model */

enum { ROWS = 5 };
static const float input[ROWS][DENSE] = {{0.7f, -0.4f, 1.1f, 0.5f},
                                         {-0.2f, 0.9f, 0.3f, -1.0f},
                                         {1.2f, 0.1f, -0.6f, 0.4f},
                                         {-0.9f, -0.8f, 0.2f, 0.6f},
                                         {0.3f, 1.3f, -0.5f, -0.1f}};

static home_batch batch_of(size_t rows) {
    return (home_batch){.struct_size = sizeof(home_batch), .rows = rows, .dense = input[0]};
}

/* Gradients of factors[0] logit_0 + factors[1] logit_1 + ..., summed over the rows. */
static void backward_logits(home_model *model, size_t rows, const float factors[TASKS]) {
    float dlogits[ROWS][TASKS];
    for (size_t r = 0; r < rows; r++)
        memcpy(dlogits[r], factors, sizeof dlogits[r]);
    const home_batch batch = batch_of(rows);
    REQUIRE(home_model_forward(model, &batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward_from(model, dlogits[0], 0, 0, NULL) == HOME_OK);
}

static double largest_gradient(const home_model *model, const char *name) {
    const home_tensor t = tensor_of(model, name);
    double largest = 0;
    for (size_t i = 0; i < tensor_size(&t); i++)
        largest = fmax(largest, fabs((double)t.gradient[i]));
    return largest;
}

/* ---------------------------------------------------------------------------------------- reach */

typedef struct reach {
    bool units[MAX_LAYERS][MAX_UNITS];
    bool nodes[MAX_LAYERS][MAX_NODES];
} reach;

/* What a task's logit depends on, going down the table. */
static reach reach_of(const family_case *c, const char *task) {
    reach r = {.units = {{false}}};
    const size_t last = layer_count(c) - 1;
    r.nodes[last][node_number(&c->layers[last], task)] = true;
    for (size_t l = layer_count(c); l-- > 0;) {
        const layer_rows *layer = &c->layers[l];
        bool inputs[MAX_UNITS] = {false}; /* of units whose input alone is read, by a gate */
        for (size_t o = 0; o < node_count(layer); o++) {
            const node_row *node = &layer->nodes[o];
            size_t units[MAX_UNITS];
            if (!r.nodes[l][o])
                continue;
            for (size_t i = units_of(layer, node->sees, units); i-- > 0;)
                r.units[l][units[i]] = true;
            for (size_t i = units_of(layer, node->reads, units); i-- > 0;)
                inputs[units[i]] = true;
            if (kind_of(layer, node) != NO_SELF)
                r.units[l][unit_number(layer, node->self)] = true;
        }
        if (l == 0)
            continue;
        for (size_t u = 0; u < unit_count(layer); u++)
            if (r.units[l][u] || inputs[u])
                r.nodes[l - 1][node_number(&c->layers[l - 1], layer->units[u].source)] = true;
    }
    return r;
}

/* A gate may read the input of a unit whose experts its node does not see: then that unit's feature
 * gate is reached and its experts are not. */
static bool gate_reads(const family_case *c, const reach *r, size_t l, size_t unit) {
    const layer_rows *layer = &c->layers[l];
    bool found = false;
    for (size_t o = 0; o < node_count(layer); o++) {
        size_t units[MAX_UNITS];
        for (size_t i = units_of(layer, layer->nodes[o].reads, units); i-- > 0;)
            found = found || (r->nodes[l][o] && units[i] == unit);
    }
    return found;
}

/* A task's logit has a gradient by what it depends on, and exactly none by the rest. */
static void check_reach(home_model *model, const family_case *c, const expectation *e) {
    for (size_t t = 0; t < TASKS; t++) {
        float factors[TASKS] = {0};
        factors[t] = 1;
        backward_logits(model, ROWS, factors);
        const reach r = reach_of(c, task_names[t]);
        for (size_t i = 0; i < e->count; i++) {
            const expected_tensor *x = &e->tensors[i];
            bool reached =
                x->unit == SIZE_MAX ? r.nodes[x->layer][x->node] : r.units[x->layer][x->unit];
            if (x->unit != SIZE_MAX && strstr(x->name, ".feature_gate."))
                reached = reached || gate_reads(c, &r, x->layer, x->unit);
            const double largest = largest_gradient(model, x->name);
            if (reached ? !(largest > 1e-7) : largest != 0)
                test_fail(__FILE__, __LINE__, "the largest gradient of %s by %s is %g, expected %s",
                          task_names[t], x->name, largest, reached ? "more" : "0");
        }
    }
}

/* ----------------------------------------------------------------------------- constant experts */

/* What expert k of a unit answers: different for all experts of a layer. */
static double answer_bias(size_t unit, size_t k) {
    const double number = (double)(unit * 5 + k);
    return 0.3 + 0.21 * number + 0.013 * number * number;
}

static double answer(size_t unit, size_t k) {
    const double x = answer_bias(unit, k);
    return x / (1 + exp(-x)); /* Swish */
}

static void fill_format(home_model *model, float value, const char *format, size_t l,
                        const char *name) {
    char full[96];
    snprintf(full, sizeof full, format, l, name);
    home_tensor t;
    if (find_tensor(model, full, &t))
        fill_tensor(model, full, value);
}

/* All experts of layer l answer constants; its gates and self gates weigh uniformly. */
static void make_constant(home_model *model, const family_case *c, size_t l) {
    const layer_rows *layer = &c->layers[l];
    for (size_t u = 0; u < unit_count(layer); u++)
        for (size_t k = 0; k < layer->units[u].experts; k++) {
            char name[96];
            snprintf(name, sizeof name, "layers.%zu.units.%s.experts.%zu.linear.0.weight", l,
                     layer->units[u].name, k);
            fill_tensor(model, name, 0);
            snprintf(name, sizeof name, "layers.%zu.units.%s.experts.%zu.linear.0.bias", l,
                     layer->units[u].name, k);
            fill_tensor(model, name, (float)answer_bias(u, k));
        }
    for (size_t o = 0; o < node_count(layer); o++) {
        const char *node = layer->nodes[o].name;
        fill_format(model, 0, "layers.%zu.nodes.%s.gate.linear.0.weight", l, node);
        fill_format(model, 0, "layers.%zu.nodes.%s.gate.linear.0.bias", l, node);
        fill_format(model, 0, "layers.%zu.nodes.%s.self_gate.linear.0.weight", l, node);
        fill_format(model, 0, "layers.%zu.nodes.%s.self_gate.linear.0.bias", l, node);
    }
}

/* Answers of the experts of a list of units, in order; returns their mean. */
static double answers_of(const layer_rows *layer, const char *words, double *answers,
                         size_t *experts) {
    size_t units[MAX_UNITS];
    const size_t count = units_of(layer, words, units);
    double sum = 0;
    *experts = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < layer->units[units[i]].experts; k++) {
            answers[*experts] = answer(units[i], k);
            sum += answers[(*experts)++];
        }
    return sum / (double)*experts;
}

static void check_biases(const home_tensor *bias, double factor, const double *answers, double mean,
                         size_t count, double signal) {
    if ((size_t)bias->shape[0] != count)
        return;
    for (size_t i = 0; i < count; i++) {
        const double expected = factor * (answers[i] - mean);
        if (!(fabs((double)bias->gradient[i] - expected) <= 1e-4 * fabs(signal)))
            test_fail(__FILE__, __LINE__,
                      "the gradient of %s at %zu is %g, expected %g: another expert", bias->name, i,
                      (double)bias->gradient[i], expected);
    }
}

/* One row, layer l constant: d/d(gate bias i) = s (answer_i - mean) / n with the same s = dtotal/dz
 * · 1 for gate and self term; a sigmoid's is s answer / 4, a static weight's s answer. */
static void check_order(const home_model *model, const family_case *c, size_t l,
                        const node_row *node) {
    const layer_rows *layer = &c->layers[l];
    const self_kind kind = kind_of(layer, node);
    double answers[MAX_UNITS * 5];
    size_t count;
    double mean = answers_of(layer, node->sees, answers, &count);
    char name[96];
    snprintf(name, sizeof name, "layers.%zu.nodes.%s.gate.linear.0.bias", l, node->name);
    const home_tensor bias = tensor_of(model, name);
    const double s = (double)bias.gradient[0] * (double)count / (answers[0] - mean);
    if (!CHECK(fabs(s) > 1e-4))
        return;
    check_biases(&bias, s / (double)count, answers, mean, count, s);
    if (kind == NO_SELF || kind == SELF_ONE)
        return;
    mean = answers_of(layer, node->self, answers, &count);
    snprintf(name, sizeof name, "layers.%zu.nodes.%s.self_gate.%s", l, node->name,
             kind == SELF_STATIC ? "static" : "linear.0.bias");
    const home_tensor self = tensor_of(model, name);
    if (kind == SELF_STATIC)
        check_biases(&self, s, answers, 0, count, s);
    else if (count == 1)
        check_biases(&self, s / 4, answers, 0, count, s);
    else
        check_biases(&self, s / (double)count, answers, mean, count, s);
}

/* The vector that a linear layer has read, from the gradients of one row: dW_ij = db_i x_j. */
static void read_vector(const home_model *model, const char *prefix, size_t width, double *x) {
    char name[112];
    snprintf(name, sizeof name, "%s.bias", prefix);
    const home_tensor bias = tensor_of(model, name);
    snprintf(name, sizeof name, "%s.weight", prefix);
    const home_tensor weight = tensor_of(model, name);
    size_t best = 0;
    for (size_t i = 1; i < bias.shape[0]; i++)
        if (fabs((double)bias.gradient[i]) > fabs((double)bias.gradient[best]))
            best = i;
    const double by_bias = (double)bias.gradient[best];
    if (!(fabs(by_bias) > 1e-6))
        test_fail(__FILE__, __LINE__, "the gradient of %s is too small to divide by", bias.name);
    REQUIRE(weight.shape[1] == width);
    for (size_t j = 0; j < width; j++)
        x[j] = (double)weight.gradient[best * width + j] / by_bias;
}

static double distance(const double *a, const double *b, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(a[i] - b[i]) / (1 + fabs(b[i])));
    return largest;
}

/* A gate reads the inputs of the units it should, one behind the other; a self gate its unit's. */
static void check_gate_inputs(const home_model *model, const family_case *c, size_t l,
                              const node_row *node, double units_read[MAX_UNITS][MAX_WIDTH],
                              const double *v) {
    const layer_rows *layer = &c->layers[l];
    const size_t in = input_width(c, l);
    double expected[MAX_UNITS * MAX_WIDTH];
    double actual[MAX_UNITS * MAX_WIDTH] = {0};
    size_t units[MAX_UNITS];
    const size_t count = units_of(layer, node->reads, units);
    for (size_t i = 0; i < count; i++)
        memcpy(expected + i * in, units_read[units[i]], in * sizeof *expected);
    if (count == 0)
        memcpy(expected, v, in * sizeof *expected);
    char prefix[96];
    snprintf(prefix, sizeof prefix, "layers.%zu.nodes.%s.gate.linear.0", l, node->name);
    read_vector(model, prefix, gate_width(c, l, node), actual);
    CHECK_NEAR(distance(actual, expected, gate_width(c, l, node)), 0, 1e-3);
    if (kind_of(layer, node) != SELF_GATE)
        return;
    snprintf(prefix, sizeof prefix, "layers.%zu.nodes.%s.self_gate.linear.0", l, node->name);
    read_vector(model, prefix, in, actual);
    CHECK_NEAR(distance(actual, units_read[unit_number(layer, node->self)], in), 0, 1e-3);
}

/* Units with one source read the same vector, others another; with feature gates, each its own. */
static void check_unit_inputs(const family_case *c, size_t l,
                              double units_read[MAX_UNITS][MAX_WIDTH]) {
    const layer_rows *layer = &c->layers[l];
    for (size_t a = 0; a < unit_count(layer); a++)
        for (size_t b = 0; b < a; b++) {
            const bool one_source =
                l == 0 || strcmp(layer->units[a].source, layer->units[b].source) == 0;
            const double apart = distance(units_read[a], units_read[b], input_width(c, l));
            if (one_source && layer->rank == 0 ? !(apart < 1e-3) : !(apart > 3e-3))
                test_fail(__FILE__, __LINE__, "layer %zu: inputs of %s and %s are %g apart", l,
                          layer->units[a].name, layer->units[b].name, apart);
        }
}

static void check_constant_layer(home_model *model, const family_case *c, size_t l) {
    const layer_rows *layer = &c->layers[l];
    const float factors[TASKS] = {1, -0.6f, 0.7f};
    randomize(model, 21 + l);
    make_constant(model, c, l);
    backward_logits(model, 1, factors);
    double v[DENSE];
    double units_read[MAX_UNITS][MAX_WIDTH];
    for (size_t i = 0; i < DENSE; i++)
        v[i] = (double)input[0][i];
    for (size_t u = 0; u < unit_count(layer); u++) {
        char prefix[96];
        snprintf(prefix, sizeof prefix, "layers.%zu.units.%s.experts.0.linear.0", l,
                 layer->units[u].name);
        read_vector(model, prefix, input_width(c, l), units_read[u]);
        if (l == 0 && layer->rank == 0)
            CHECK_NEAR(distance(units_read[u], v, DENSE), 0, 1e-3);
    }
    check_unit_inputs(c, l, units_read);
    for (size_t o = 0; o < node_count(layer); o++)
        if (layer->nodes[o].reads) {
            check_order(model, c, l, &layer->nodes[o]);
            check_gate_inputs(model, c, l, &layer->nodes[o], units_read, v);
        }
}

/* Towers that give the mean of what they read; static self weights of 1/4. */
static void make_readable(home_model *model, const family_case *c, size_t l) {
    for (size_t t = 0; t < TASKS; t++) {
        fill_format(model, 0.25f, "layers.%zu.nodes.%s.self_gate.static", l, task_names[t]);
        char name[64];
        snprintf(name, sizeof name, "towers.%s.linear.0.weight", task_names[t]);
        fill_tensor(model, name, 1 / (float)c->layers[l].width);
        snprintf(name, sizeof name, "towers.%s.linear.0.bias", task_names[t]);
        fill_tensor(model, name, 0);
    }
}

/* Mean of the visible answers + self weights times own ones. */
static double expected_output(const layer_rows *layer, const node_row *node) {
    double answers[MAX_UNITS * 5];
    size_t count;
    const double visible = answers_of(layer, node->sees, answers, &count);
    if (kind_of(layer, node) == NO_SELF)
        return visible;
    const double mean = answers_of(layer, node->self, answers, &count);
    const double weights[] = {
        [SELF_GATE] = count == 1 ? 0.5 : 1 / (double)count,
        [SELF_STATIC] = 0.25,
        [SELF_ONE] = 1,
    };
    return visible + weights[kind_of(layer, node)] * mean * (double)count;
}

/* The last layer's output, from the prediction. */
static void check_output(home_model *model, const family_case *c) {
    const size_t l = layer_count(c) - 1;
    const layer_rows *layer = &c->layers[l];
    make_constant(model, c, l);
    make_readable(model, c, l);
    const home_batch batch = batch_of(ROWS);
    float *predictions = predict_all(model, &batch);
    for (size_t t = 0; t < TASKS; t++) {
        const double expected =
            expected_output(layer, &layer->nodes[node_number(layer, task_names[t])]);
        CHECK_NEAR((double)predictions[t], expected, 1e-5 * (1 + expected));
    }
    free(predictions);
}

/* ------------------------------------------------------------------------ spelled out as custom */

static void add_words(text *t, const char *key, const char *words) {
    text_add(t, ",'%s':['", key);
    for (; *words; words++)
        text_add(t, *words == ' ' ? "','" : "%c", *words);
    text_add(t, "']");
}

static void add_custom_layer(text *t, const layer_rows *layer) {
    text_add(t, "{'width':%zu,'feature_gates':%s,", layer->width, layer->rank ? "true" : "false");
    if (layer->rank)
        text_add(t, "'feature_rank':%zu,", layer->rank);
    text_add(t, "'units':[");
    for (size_t u = 0; u < unit_count(layer); u++)
        text_add(t, "%s{'name':'%s','experts':%zu,'input':'%s'}", u ? "," : "",
                 layer->units[u].name, layer->units[u].experts,
                 layer->units[u].source ? layer->units[u].source : "v");
    text_add(t, "],'nodes':[");
    for (size_t o = 0; o < node_count(layer); o++) {
        const node_row *node = &layer->nodes[o];
        const self_kind kind = kind_of(layer, node);
        text_add(t, "%s{'name':'%s'", o ? "," : "", node->name);
        add_words(t, "sees", node->sees);
        add_words(t, "gate", strcmp(node->reads, "v") == 0 ? "shared" : node->reads);
        if (kind != NO_SELF)
            text_add(t, ",'self':'%s','self_kind':'%s'", node->self,
                     kind == SELF_STATIC ? "static" : "gate");
        text_add(t, "}");
    }
    text_add(t, "]}");
}

/* What a custom topology cannot say: no gate, weight 1, a gate on v beside a feature gate. */
static bool can_be_custom(const family_case *c) {
    bool can = true;
    for (size_t l = 0; l < layer_count(c); l++)
        for (size_t o = 0; o < node_count(&c->layers[l]); o++) {
            const layer_rows *layer = &c->layers[l];
            const node_row *node = &layer->nodes[o];
            can = can && node->reads && kind_of(layer, node) != SELF_ONE &&
                  (strcmp(node->reads, "v") != 0 || layer->rank == 0);
        }
    return can;
}

static void check_custom(const home_model *model, const family_case *c) {
    text t = {.length = 0};
    text_add(&t, "{'preset':'custom','layers':[");
    for (size_t l = 0; l < layer_count(c); l++) {
        text_add(&t, l ? "," : "");
        add_custom_layer(&t, &c->layers[l]);
    }
    text_add(&t, "]" COMMON "}");
    home_model *custom = model_from(t.bytes);
    CHECK_INTEGER(home_model_tensor_count(custom), home_model_tensor_count(model));
    CHECK_INTEGER(home_model_macs_per_row(custom), home_model_macs_per_row(model));
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor a = tensor_number(model, i);
        home_tensor b;
        if (CHECK(find_tensor(custom, a.name, &b)) &&
            CHECK_INTEGER(tensor_size(&b), tensor_size(&a)))
            CHECK_BYTES(b.data, a.data, tensor_size(&a) * sizeof(float));
    }
    const home_batch batch = batch_of(ROWS);
    float *expected = predict_all(model, &batch);
    float *actual = predict_all(custom, &batch);
    CHECK_BYTES(actual, expected, sizeof(float[ROWS][TASKS]));
    free(expected);
    free(actual);
    home_model_release(custom);
}

/* A static self weight starts at 1 / n. */
static void check_static_start(const home_model *model) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        const home_tensor t = tensor_number(model, i);
        if (!strstr(t.name, ".static"))
            continue;
        for (size_t k = 0; k < tensor_size(&t); k++)
            CHECK_NEAR((double)t.data[k], 1.0 / (double)t.shape[0], 1e-7);
    }
}

/* A checkpoint brings the topology back. */
static void check_reload(const home_model *model) {
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    home_model *loaded = NULL;
    home_error error = new_error();
    if (CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, &error), HOME_OK))
        CHECK(same_model(model, loaded));
    else
        printf("%s\n", error.message);
    free(bytes);
    home_model_release(loaded);
}

/* Claims about one case; each is a case of its own. */

static void tensors_are_those_of_the_table(home_model *model, const family_case *c) {
    expectation e;
    expect_case(&e, c);
    check_tensors(model, &e);
}

static void static_self_weights_start_at_one_nth(home_model *model, const family_case *c) {
    (void)c;
    check_static_start(model);
}

static void a_checkpoint_brings_the_topology_back(home_model *model, const family_case *c) {
    (void)c;
    check_reload(model);
}

static void spelled_out_as_custom_it_is_the_same_model(home_model *model, const family_case *c) {
    if (can_be_custom(c))
        check_custom(model, c);
}

static void a_logit_reaches_exactly_what_it_depends_on(home_model *model, const family_case *c) {
    expectation e;
    expect_case(&e, c);
    randomize(model, 9);
    check_reach(model, c, &e);
}

static void gates_weigh_and_read_what_the_table_says(home_model *model, const family_case *c) {
    for (size_t l = 0; l < layer_count(c); l++)
        check_constant_layer(model, c, l);
}

static void outputs_are_the_visible_experts_and_the_self_terms(home_model *model,
                                                               const family_case *c) {
    randomize(model, 21);
    check_output(model, c);
}

typedef struct claim {
    const char *text;
    void (*check)(home_model *model, const family_case *c);
} claim;

#define CLAIM(function)                                                                            \
    { #function, function }

static const claim claims[] = {
    CLAIM(tensors_are_those_of_the_table),
    CLAIM(static_self_weights_start_at_one_nth),
    CLAIM(a_checkpoint_brings_the_topology_back),
    CLAIM(spelled_out_as_custom_it_is_the_same_model),
    CLAIM(a_logit_reaches_exactly_what_it_depends_on),
    CLAIM(gates_weigh_and_read_what_the_table_says),
    CLAIM(outputs_are_the_visible_experts_and_the_self_terms),
};

/* Those behind one that failed need what it says. */
static void check_case(const family_case *c) {
    home_model *model = make_case(c);
    const int failed = test_state.failed;
    for (size_t i = 0; i < sizeof claims / sizeof *claims && test_state.failed == failed; i++) {
        test_begin("%s: %s", c->name, claims[i].text);
        claims[i].check(model, c);
        test_end();
    }
    home_model_release(model);
}

/* ------------------------------------------------------------------------------- other switches */

/* Rows and columns of a tensor under a switch; 0: there is no such tensor. */
typedef struct shape_case {
    size_t rows;
    size_t columns;
    const char *json; /* without tasks and dense */
    const char *tensor;
} shape_case;

#define STARRED    "'experts':{'norm':'batch','activation':'swish','hidden_activation':'swish'},"
#define TWO_LAYERS "'layers':[{'width':3},{'width':2}]"

static const shape_case shapes[] = {
    {3, 1, TWO_LAYERS, "layers.0.units.inter.experts.0.norm.running_var"},
    {0, 0, TWO_LAYERS, "layers.0.units.inter.experts.0.linear.0.bias"},
    {4, 2, TWO_LAYERS, "layers.0.units.inter.feature_gate.lora.1.up.weight"},
    {1, 3, TWO_LAYERS, "layers.1.units.inter.feature_gate.lora.0.down.weight"},
    {0, 0, TWO_LAYERS, "layers.1.units.inter.feature_gate.lora.2.down.weight"},
    {0, 0, "'layers':[{'width':3,'feature_branches':1},{'width':2}]",
     "layers.0.units.inter.feature_gate.mix.bias"},
    {4, 4, "'layers':[{'width':3,'feature_branches':1},{'width':2}]",
     "layers.0.units.inter.feature_gate.lora.0.down.weight"},
    {3, 4, "'layers':[{'width':3,'feature_branches':3},{'width':2}]",
     "layers.0.units.inter.feature_gate.mix.weight"},
    {3, 1, "'experts':{'bias_before_norm':true}," TWO_LAYERS,
     "layers.0.units.inter.experts.0.linear.0.bias"},
    {7, 1, "'layers':[{'width':3,'hidden':[7]},{'width':2}]",
     "layers.0.units.inter.experts.0.linear.0.bias"},
    {3, 7, "'layers':[{'width':3,'hidden':[7]},{'width':2}]",
     "layers.0.units.inter.experts.0.linear.1.weight"},
    {0, 0, "'layers':[{'width':3,'hidden':[7]},{'width':2}]",
     "layers.0.units.inter.experts.0.linear.1.bias"},
    {6, 6, "'gate':{'hidden':[6]}," TWO_LAYERS, "layers.1.nodes.like.gate.linear.0.weight"},
    {3, 6, "'gate':{'hidden':[6]}," TWO_LAYERS, "layers.1.nodes.like.gate.linear.1.weight"},
    {1, 5, "'self_gate':{'hidden':[5]}," TWO_LAYERS,
     "layers.1.nodes.like.self_gate.linear.1.weight"},
    {1, 5, "'tower':{'hidden':[5]}," TWO_LAYERS, "towers.like.linear.1.weight"},
    {1, 1, "'uncertainty':true," TWO_LAYERS, "uncertainty.like"},
    {0, 0, TWO_LAYERS, "uncertainty.like"},
    {0, 0, "'preset':'mmoe','layers':[{'width':3}]", "layers.0.units.shared.experts.0.norm.weight"},
    {3, 1, "'preset':'mmoe','layers':[{'width':3}]",
     "layers.0.units.shared.experts.0.linear.0.bias"},
    {0, 0, "'preset':'mmoe','layers':[{'width':3}]",
     "layers.0.units.shared.feature_gate.mix.weight"},
    {2, 4, "'preset':'mmoe','layers':[{'width':3,'feature_gates':true}]",
     "layers.0.units.shared.feature_gate.mix.weight"},
    {3, 1, STARRED "'preset':'shared-bottom','layers':[{'width':3}]",
     "layers.0.units.shared.experts.0.norm.weight"},
    {3, 1, STARRED "'preset':'mmoe','layers':[{'width':3}]",
     "layers.0.units.shared.experts.0.norm.bias"},
    {3, 1, STARRED "'preset':'cgc','layers':[{'width':3}]",
     "layers.0.units.view.experts.0.norm.running_mean"},
    {5, 1, STARRED "'preset':'ple','layers':[{'width':3},{'width':5}]",
     "layers.1.units.view.experts.0.norm.running_var"},
    {3, 1, STARRED "'preset':'adatt','layers':[{'width':3}]",
     "layers.0.units.shared.experts.0.norm.weight"},
    {0, 0, STARRED "'preset':'adatt-sp','layers':[{'width':3}]",
     "layers.0.units.like.experts.0.linear.0.bias"},
    {1, 4, "'preset':'ple','self_gate':{'on':true},'layers':[{'width':3},{'width':5}]",
     "layers.0.nodes.shared.self_gate.linear.0.weight"},
    {9, 3, "'preset':'ple','gate':{'hidden':[9]},'layers':[{'width':3},{'width':5}]",
     "layers.1.nodes.view.gate.linear.0.weight"},
};

static void switches_show_in_the_tensors(void) {
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape_case *s = &shapes[i];
        text t = {.length = 0};
        text_add(&t,
                 "{%s,'dense':4,'tasks':[{'name':'like','group':'inter'},{'name':'view','group':'"
                 "watch'}]}",
                 s->json);
        home_model *model = model_from(t.bytes);
        home_tensor tensor;
        const bool found = find_tensor(model, s->tensor, &tensor);
        const size_t rows = found ? (size_t)tensor.shape[0] : 0;
        const size_t columns = found ? (size_t)tensor.shape[1] : 0;
        if (rows != s->rows || columns != s->columns)
            test_fail(__FILE__, __LINE__, "%s: %s is [%zu, %zu], expected [%zu, %zu]", s->json,
                      s->tensor, rows, columns, s->rows, s->columns);
        home_model_release(model);
    }
}

/* The sums of the losses of the first and of the last of some steps on the same rows. */
static void train_a_while(home_model *model, float *first, float *last) {
    const float labels[ROWS][2] = {{1, 0}, {0, 0}, {1, 1}, {0, 1}, {0, 0}};
    const home_targets targets = {.struct_size = sizeof targets, .labels = labels[0]};
    const home_batch batch = batch_of(ROWS);
    for (int step = 0; step < 60; step++) {
        float losses[2] = {0};
        REQUIRE(home_model_forward(model, &batch, NULL, 0, NULL) == HOME_OK);
        REQUIRE(home_model_backward(model, &targets, losses, NULL) == HOME_OK);
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
        *last = losses[0] + losses[1];
        if (step == 0)
            *first = *last;
    }
}

static void check_learns(const char *switches, const char *preset) {
    text t = {.length = 0};
    text_add(&t, "{%s%s,'seed':1,'optimizer':{'learning_rate':0.01},'dense':4,", switches, preset);
    text_add(&t, "'tasks':[{'name':'like','group':'inter'},{'name':'view','group':'watch'}]}");
    home_model *model = model_from(t.bytes);
    float first = 0;
    float last = 0;
    train_a_while(model, &first, &last);
    if (!(last < 0.7f * first))
        test_fail(__FILE__, __LINE__, "%s%s: the loss went from %g to %g", switches, preset,
                  (double)first, (double)last);
    home_model_release(model);
}

/* Some steps lower the loss on the rows they see. */
static void every_preset_learns_with_every_switch(void) {
    static const char *const presets[] = {
        "'preset':'home','layers':[{'width':8},{'width':8}]",
        "'preset':'shared-bottom','layers':[{'width':8}]",
        "'preset':'mmoe','layers':[{'width':8,'shared_experts':3}]",
        "'preset':'cgc','layers':[{'width':8}]",
        "'preset':'ple','layers':[{'width':8},{'width':8}]",
        "'preset':'adatt-sp','layers':[{'width':8,'task_experts':2}]",
        "'preset':'adatt','layers':[{'width':8},{'width':8}]",
    };
    static const char *const switches[] = {
        "",
        STARRED,
        "'gate':{'input':'raw'},'self_gate':{'input':'raw','on':true},",
        "'self_gate':{'on':true,'hidden':[4]},'gate':{'hidden':[6],'activation':'swish'},",
    };
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        for (size_t k = 0; k < sizeof switches / sizeof *switches; k++)
            check_learns(switches[k], presets[i]);
}

/* And the model trains. */
static void nodes_that_nobody_reads_get_no_gradient(void) {
    home_model *model = model_from(
        "{'preset':'custom','dense':4,'tasks':[{'name':'like'},{'name':'view'}],'layers':["
        "{'width':3,'feature_gates':true,'units':[{'name':'u'},{'name':'w','experts':2}],'nodes':["
        "{'name':'used','sees':['u']},{'name':'spare','sees':['w','u'],'self':'w'}]},"
        "{'width':2,'units':[{'name':'x','input':'used'},{'name':'y','input':'used'}],'nodes':["
        "{'name':'extra','sees':['y'],'gate':['x']},{'name':'view','sees':['x']},{'name':'like','"
        "sees':['x']}]}],"
        "'experts':{'norm':'batch','activation':'swish'}}");
    const float labels[ROWS][2] = {{1, 0}, {0, 0}, {1, 1}, {0, 1}, {0, 0}};
    const home_targets targets = {.struct_size = sizeof targets, .labels = labels[0]};
    const home_batch batch = batch_of(ROWS);
    randomize(model, 2);
    for (int step = 0; step < 3; step++) {
        REQUIRE(home_model_forward(model, &batch, NULL, 0, NULL) == HOME_OK);
        REQUIRE(home_model_backward(model, &targets, NULL, NULL) == HOME_OK);
        for (size_t i = 0; i < home_model_tensor_count(model); i++) {
            const home_tensor t = tensor_number(model, i);
            const bool unused = strstr(t.name, ".spare.") || strstr(t.name, ".extra.") ||
                                strstr(t.name, "units.w.") || strstr(t.name, "units.y.");
            if (t.kind != HOME_TENSOR_PARAMETER || (!unused && strstr(t.name, ".gate.")))
                continue; /* a gate over one expert has none either */
            const double largest = largest_gradient(model, t.name);
            if (unused ? largest != 0 : !(largest > 0))
                test_fail(__FILE__, __LINE__, "the largest gradient of %s is %g", t.name, largest);
        }
        REQUIRE(home_model_step(model, NULL) == HOME_OK);
    }
    home_model_release(model);
}

/* --------------------------------------------------------------------------------------- errors */

typedef struct bad_topology {
    const char *json;       /* without tasks a and b, and dense */
    const char *message[3]; /* parts of it; NULL: no more */
} bad_topology;

#define UNITS            "'units':[{'name':'u'},{'name':'w'}]"
#define NODE(name, sees) "{'name':'" name "','sees':[" sees "]}"
#define GOOD_NODES       "'nodes':[" NODE("a", "'u','w'") "," NODE("b", "'u'") "]"
#define CUSTOM(layer)    "'preset':'custom','layers':[{'width':3," layer "}]"
#define CUSTOM_2(first, second)                                                                    \
    "'preset':'custom','layers':[{'width':3," first "},{'width':3," second "}]"

static const bad_topology bad_topologies[] = {
    /* cycles and names */
    {CUSTOM_2(UNITS "," GOOD_NODES, "'units':[{'name':'u','input':'c'}],'nodes':[" NODE(
                                        "c", "'u'") "," NODE("a", "'u'") "," NODE("b", "'u'") "]"),
     {"layers[1]", "\"c\"", "cycle"}},
    {CUSTOM_2(UNITS "," GOOD_NODES, "'units':[{'name':'u','input':'zz'}],'nodes':[" NODE(
                                        "a", "'u'") "," NODE("b", "'u'") "]"),
     {"layers[1]", "\"zz\"", "node of the layer below"}},
    {CUSTOM_2(UNITS "," GOOD_NODES,
              "'units':[{'name':'u'}],'nodes':[" NODE("a", "'u'") "," NODE("b", "'u'") "]"),
     {"layers[1]", "\"u\"", "node of the layer below"}},
    {CUSTOM("'units':[{'name':'u','input':'a'},{'name':'w'}]," GOOD_NODES),
     {"layers[0]", "\"a\"", "input"}},
    {CUSTOM(UNITS ",'nodes':[" NODE("a", "'u','x'") "," NODE("b", "'w'") "]"),
     {"layers[0]", "\"x\"", "name of a unit"}},
    {CUSTOM(UNITS ",'nodes':[{'name':'a','sees':['u','w'],'gate':['x']}," NODE("b", "'w'") "]"),
     {"gate", "\"x\"", "name of a unit"}},
    {CUSTOM(UNITS ",'nodes':[{'name':'a','sees':['u','w'],'self':'x'}," NODE("b", "'w'") "]"),
     {"self", "\"x\"", "name of a unit"}},
    {CUSTOM(UNITS ",'nodes':[" NODE("a", "'u','w','u'") "," NODE("b", "'w'") "]"),
     {"\"u\"", "once", "sees"}},
    {CUSTOM(UNITS ",'nodes':[{'name':'a','sees':['u','w'],'gate':['w','w']}," NODE("b", "'w'") "]"),
     {"\"w\"", "once", "gate"}},
    {CUSTOM("'units':[{'name':'u'},{'name':'u'}]," GOOD_NODES),
     {"units[1].name", "\"u\"", "no other unit"}},
    {CUSTOM("'units':[{'name':'u'},{'name':'a.b'}]," GOOD_NODES),
     {"units[1].name", "\"a.b\"", "dot"}},
    {CUSTOM("'units':[{'name':'u'},{}]," GOOD_NODES), {"units[1].name", "a name"}},
    {CUSTOM(UNITS ",'nodes':[" NODE("a", "'u'") "," NODE("a", "'w'") "," NODE("b", "'w'") "]"),
     {"nodes[1].name", "\"a\"", "no other node"}},
    {CUSTOM(UNITS ",'nodes':[{'sees':['u']}," NODE("a", "'w'") "," NODE("b", "'w'") "]"),
     {"nodes[0].name", "a name"}},
    /* what is missing */
    {CUSTOM(UNITS ",'nodes':[" NODE("a", "'u'") "," NODE("b", "'u'") "]"),
     {"\"w\"", "unseen", "layers[0]"}},
    {CUSTOM(UNITS ",'nodes':[" NODE("a", "'u'") "," NODE("b", "") "]"), {"nodes[1].sees", "empty"}},
    {CUSTOM(UNITS ",'nodes':[{'name':'a'}," NODE("b", "'u','w'") "]"), {"nodes[0].sees", "empty"}},
    {CUSTOM(UNITS ",'nodes':[" NODE("a", "'u','w'") "]"),
     {"tasks[1].name is \"b\"", "a node of the last layer"}},
    {CUSTOM_2("'units':[{'name':'u'}],'nodes':[" NODE("a", "'u'") "," NODE("b", "'u'") "]",
              "'units':[{'name':'a'}],'nodes':[" NODE("b", "'a'") "]"),
     {"tasks[0].name is \"a\"", "a node of the last layer"}},
    {CUSTOM(UNITS), {"layers[0].nodes has 0", "at least 1"}},
    {CUSTOM("'nodes':[" NODE("a", "'u'") "]"), {"layers[0].units has 0", "at least 1"}},
    {"'preset':'custom','layers':[]", {"layers has 0 element", "custom"}},
    /* widths and experts */
    {CUSTOM("'units':[{'name':'u','width':4},{'name':'w'}]," GOOD_NODES),
     {"units[0].width is 4", "layer's width, 3"}},
    {CUSTOM("'units':[{'name':'u','experts':5000},{'name':'w'}]," GOOD_NODES),
     {"units[0].experts is 5000", "1 to 1024"}},
    {CUSTOM("'shared_experts':2," UNITS "," GOOD_NODES),
     {"layers[0].shared_experts is 2", "no such units"}},
    {CUSTOM("'task_experts':2," UNITS "," GOOD_NODES),
     {"layers[0].task_experts is 2", "no such units"}},
    {CUSTOM("'group_experts':2," UNITS "," GOOD_NODES),
     {"layers[0].group_experts is 2", "no such units"}},
    {"'preset':'mmoe','layers':[{'width':3,'task_experts':1}]",
     {"layers[0].task_experts is 1", "no such"}},
    {"'preset':'mmoe','layers':[{'width':3,'group_experts':1}]",
     {"layers[0].group_experts is 1", "no such"}},
    {"'preset':'adatt-sp','layers':[{'width':3,'shared_experts':1}]",
     {"shared_experts is 1", "no such"}},
    {"'preset':'shared-bottom','layers':[{'width':3,'shared_experts':2}]",
     {"shared_experts is 2", "shared-bottom"}},
    {"'preset':'shared-bottom','layers':[{'width':3,'task_experts':2}]",
     {"task_experts is 2", "no such"}},
    {"'preset':'ple','layers':[{'width':3,'group_experts':2},{'width':3}]",
     {"group_experts is 2", "no such"}},
    {"'preset':'home','layers':[{'width':3,'task_experts':1},{'width':3}]",
     {"layers[0].task_experts is 1", "no such"}},
    /* layers */
    {"'preset':'mmoe','layers':[{'width':3},{'width':3}]",
     {"layers has 2 element", "expected 1 for", "mmoe"}},
    {"'preset':'cgc','layers':[{'width':3},{'width':3}]", {"layers has 2 element", "cgc"}},
    {"'preset':'ple','layers':[{'width':3}]", {"layers has 1 element", "expected 2 to", "ple"}},
    {"'preset':'home','layers':[{'width':3}]", {"layers has 1 element", "expected 2 for", "home"}},
    {"'preset':'shared-bottom','layers':[{'width':3},{'width':3}]",
     {"layers has 2 element", "shared-bottom"}},
    {"'preset':'adatt','layers':[]", {"layers has 0 element", "adatt"}},
    {"'preset':'ple','layers':[{'width':3},{'width':0}]", {"layers[1].width is 0"}},
    /* masks of a preset */
    {"'preset':'cgc','layers':[{'width':3,'nodes':[" NODE("c", "'shared'") "]}]",
     {"\"c\"", "name of a node"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[" NODE("a", "'c'") "]}]",
     {"\"c\"", "name of a unit"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[" NODE("a", "") "]}]",
     {"nodes[0].sees", "empty"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[" NODE("a", "'a','a'") "]}]", {"\"a\"", "once"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[" NODE("a", "'shared'") "]}]",
     {"\"a\"", "unseen"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[{'name':'a','sees':['a'],'self':'a'}]}]",
     {"nodes[0]", "self", "custom"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[{'name':'a','sees':['a'],'gate':['a']}]}]",
     {"nodes[0]", "gate", "custom"}},
    {"'preset':'cgc','layers':[{'width':3,'nodes':[{'name':'a','sees':['a'],'self_kind':'static'}]}"
     "]",
     {"nodes[0]", "self", "custom"}},
    {"'preset':'cgc','layers':[{'width':3,'units':[{'name':'a'}]}]",
     {"units has 1 element", "custom"}},
    {"'preset':'shared-bottom','layers':[{'width':3,'nodes':[" NODE("a", "'b'") "]}]",
     {"\"b\"", "name of a unit"}},
    {"'preset':'home','layers':[{'width':3},{'width':3,'nodes':[" NODE("shared", "'shared'") "]}]",
     {"layers[1]", "\"shared\"", "name of a node"}},
    {"'preset':'ple','layers':[{'width':3},{'width':3,'nodes':[" NODE("shared", "'shared'") "]}]",
     {"layers[1]", "\"shared\"", "name of a node"}},
};

static void check_refused(const char *json, const char *const *parts, size_t count) {
    home_error error = new_error();
    home_model *model = NULL;
    const home_status status = create_from(json, &model, &error);
    if (!CHECK_INTEGER(status, HOME_E_CONFIG))
        printf("%s\n", json);
    CHECK(model == NULL);
    for (size_t k = 0; k < count && parts[k]; k++)
        CHECK_CONTAINS(error.message, parts[k]);
    home_model_release(model);
}

static void bad_topologies_are_refused(void) {
    for (size_t i = 0; i < sizeof bad_topologies / sizeof *bad_topologies; i++) {
        text t = {.length = 0};
        text_add(&t, "{%s,'dense':4,'tasks':[{'name':'a'},{'name':'b'}]}", bad_topologies[i].json);
        test_begin("a topology is refused: %.130s", bad_topologies[i].json);
        check_refused(t.bytes, bad_topologies[i].message, 3);
        test_end();
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
    RUN(switches_show_in_the_tensors);
    RUN(every_preset_learns_with_every_switch);
    RUN(nodes_that_nobody_reads_get_no_gradient);
    bad_topologies_are_refused();
    return test_summary();
}
