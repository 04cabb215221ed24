/* Configurations: every bad struct gets the right status and a message that names the field and its
 * value; good ones round-trip through JSON; structs of older and newer callers are understood. Bad
 * JSON is in tests/faults. */
#include "test.h"
#include "unit/fixture.h"

#include <stddef.h>

/* ----------------------------------------------------------------------------- one field spoilt */

typedef enum value_kind { INTEGER32, INTEGER64, SIZE, REAL, TEXT, POINTER } value_kind;

/* setup_small() with the bytes at `offset` overwritten. */
typedef struct bad_struct {
    size_t offset;
    value_kind kind;
    const char *text;
    double real;
    uint64_t integer;
    const char *field; /* the message must contain it */
    const char *value; /* and this; NULL: nothing more */
} bad_struct;

#define AT(member) offsetof(setup, member)
#define BAD_INTEGER(member, number, field)                                                         \
    { AT(member), INTEGER32, NULL, 0, (uint64_t)(number), field, #number }
#define BAD_SIZE(member, number, field)                                                            \
    { AT(member), SIZE, NULL, 0, number, field, #number }
#define BAD_ROWS(member, number, field)                                                            \
    { AT(member), INTEGER64, NULL, 0, number, field, NULL }
#define BAD_REAL(member, number, field)                                                            \
    { AT(member), REAL, NULL, number, 0, field, NULL }
#define BAD_TEXT(member, words, field)                                                             \
    { AT(member), TEXT, words, 0, 0, field, words }
#define NULL_POINTER(member, field)                                                                \
    { AT(member), POINTER, NULL, 0, 0, field, NULL }

static const bad_struct bad_structs[] = {
    BAD_INTEGER(config.preset, 99, "preset"),
    BAD_INTEGER(config.preset, -1, "preset"),
    BAD_INTEGER(config.reserved, 5, "reserved"),
    NULL_POINTER(config.tasks, "tasks"),
    BAD_SIZE(config.task_count, 0, "task"),
    BAD_TEXT(tasks[1].name, "", "tasks[1].name"),
    NULL_POINTER(tasks[1].name, "tasks[1].name"),
    BAD_TEXT(tasks[1].name, "like", "tasks[1].name"),
    BAD_TEXT(tasks[1].name, "inter", "tasks[1].name"),
    BAD_TEXT(tasks[1].name, "watch", "tasks[1].name"),
    BAD_TEXT(tasks[1].name, "shared", "tasks[1].name"),
    BAD_TEXT(tasks[1].name, "a.b", "tasks[1].name"),
    BAD_TEXT(tasks[2].group, "shared", "tasks[2].group"),
    BAD_TEXT(tasks[2].group, "a.b", "tasks[2].group"),
    BAD_TEXT(tasks[2].group, "", "tasks[2].group"),
    BAD_REAL(tasks[0].weight, -1, "tasks[0].weight"),
    BAD_REAL(tasks[0].weight, NAN, "tasks[0].weight"),
    BAD_REAL(tasks[0].weight, INFINITY, "tasks[0].weight"),
    BAD_INTEGER(tasks[0].loss, 9, "tasks[0].loss"),
    BAD_INTEGER(tasks[0].reserved, 3, "tasks[0].reserved"),
    BAD_REAL(tasks[2].base_rate, 1, "tasks[2].base_rate"),
    BAD_REAL(tasks[2].base_rate, -0.1, "tasks[2].base_rate"),
    BAD_REAL(tasks[2].base_rate, NAN, "tasks[2].base_rate"),
    NULL_POINTER(config.layers, "layers"),
    BAD_SIZE(config.layer_count, 0, "layer"),
    BAD_SIZE(config.layer_count, 1, "layer"),
    BAD_SIZE(config.layer_count, 3, "layer"),
    BAD_SIZE(layers[0].width, 0, "layers[0].width"),
    BAD_SIZE(layers[1].width, 999999999, "layers[1].width"),
    BAD_SIZE(hidden[0][0], 0, "layers[0].hidden"),
    NULL_POINTER(layers[0].hidden, "layers[0].hidden"),
    BAD_SIZE(layers[0].hidden_count, 1000000, "layers[0].hidden"),
    BAD_SIZE(layers[0].shared_experts, 999999999, "layers[0].shared_experts"),
    BAD_SIZE(layers[0].group_experts, 999999999, "layers[0].group_experts"),
    BAD_SIZE(layers[1].task_experts, 999999999, "layers[1].task_experts"),
    BAD_SIZE(layers[0].task_experts, 2, "layers[0].task_experts"), /* there are no such units */
    BAD_INTEGER(layers[0].feature_gates, 3, "layers[0].feature_gates"),
    BAD_INTEGER(layers[1].reserved, 1, "layers[1].reserved"),
    BAD_SIZE(layers[0].feature_branches, 999999999, "layers[0].feature_branches"),
    BAD_SIZE(layers[0].feature_rank, 999999999, "layers[0].feature_rank"),
    NULL_POINTER(config.tables, "tables"),
    NULL_POINTER(tables[0].name, "tables[0].name"),
    BAD_TEXT(tables[1].name, "user", "tables[1].name"),
    BAD_TEXT(tables[1].name, "t.ag", "tables[1].name"),
    BAD_ROWS(tables[0].rows, 0, "tables[0].rows"),
    BAD_SIZE(tables[0].dim, 0, "tables[0].dim"),
    BAD_INTEGER(tables[0].index, 3, "tables[0].index"),
    BAD_INTEGER(tables[0].reserved, 1, "tables[0].reserved"),
    BAD_REAL(tables[0].init_std, -0.5, "tables[0].init_std"),
    BAD_REAL(tables[0].init_std, NAN, "tables[0].init_std"),
    NULL_POINTER(config.fields, "fields"),
    NULL_POINTER(fields[0].name, "fields[0].name"),
    BAD_TEXT(fields[2].name, "tags", "fields[2].name"),
    BAD_TEXT(fields[1].table, "nowhere", "fields[1].table"),
    NULL_POINTER(fields[1].table, "fields[1].table"), /* then it is "tags", which is no table */
    BAD_INTEGER(fields[1].pooling, 7, "fields[1].pooling"),
    BAD_INTEGER(fields[1].reserved, 7, "fields[1].reserved"),
    {AT(config.dense_width), SIZE, NULL, 0, 999999999, "dense_width", NULL},
    BAD_INTEGER(config.expert_norm, 3, "norm"),
    BAD_INTEGER(config.expert_activation, 3, "activation"),
    BAD_INTEGER(config.expert_hidden_activation, -2, "hidden_activation"),
    BAD_INTEGER(config.bias_before_norm, 3, "bias_before_norm"),
    BAD_REAL(config.swish_beta, NAN, "swish_beta"),
    BAD_REAL(config.swish_beta, -1, "swish_beta"),
    BAD_REAL(config.norm_epsilon, -1e-5, "norm_epsilon"),
    BAD_REAL(config.norm_epsilon, NAN, "norm_epsilon"),
    BAD_REAL(config.norm_momentum, 1.5, "norm_momentum"),
    BAD_REAL(config.norm_momentum, -0.1, "norm_momentum"),
    BAD_INTEGER(config.feature_order, 3, "order"),
    BAD_INTEGER(config.feature_init, 3, "init"),
    BAD_SIZE(config.gate_hidden_count, 1000000, "gate"),
    BAD_SIZE(config.gate_hidden_count, 1, "gate_hidden[0]"), /* whose width is 0 */
    BAD_INTEGER(config.gate_activation, 3, "gate_activation"),
    BAD_INTEGER(config.gate_input, 3, "gate_input"),
    BAD_INTEGER(config.self_gates, 3, "self_gate"),
    BAD_INTEGER(config.self_gate_activation, 3, "self_gate_activation"),
    BAD_SIZE(config.self_gate_hidden_count, 1, "self_gate_hidden[0]"),
    BAD_INTEGER(config.self_gate_input, 3, "self_gate_input"),
    BAD_INTEGER(config.tower_activation, 3, "tower_activation"),
    BAD_SIZE(tower_hidden[0], 0, "tower_hidden[0]"),
    NULL_POINTER(config.tower_hidden, "tower_hidden"),
    BAD_INTEGER(config.uncertainty, 3, "uncertainty"),
    BAD_INTEGER(config.reserved2, 1, "reserved2"),
    BAD_TEXT(config.isa, "sse9", "config.isa is \"sse9\", expected \"portable\""),
    BAD_TEXT(config.isa, "", "config.isa"),
    BAD_TEXT(tasks[1].given, "nobody", "tasks[1].given"),
    BAD_TEXT(tasks[1].given, "follow", "tasks[1].given"), /* itself */
    BAD_REAL(optimizer.momentum, -0.5, "momentum"),
    BAD_REAL(optimizer.weight_decay, NAN, "weight_decay"),
    BAD_INTEGER(optimizer.kind, 9, "kind"),
    BAD_INTEGER(optimizer.embedding_kind, 9, "embedding_kind"),
    BAD_REAL(optimizer.learning_rate, -0.001, "learning_rate"),
    BAD_REAL(optimizer.learning_rate, NAN, "learning_rate"),
    BAD_REAL(optimizer.learning_rate, INFINITY, "learning_rate"),
    BAD_REAL(optimizer.beta1, 1, "beta1"),
    BAD_REAL(optimizer.beta1, -0.1, "beta1"),
    BAD_REAL(optimizer.beta2, 1.5, "beta2"),
    BAD_REAL(optimizer.epsilon, -1e-8, "epsilon"),
    BAD_REAL(optimizer.clip_norm, -1, "clip_norm"),
    BAD_REAL(optimizer.clip_norm, NAN, "clip_norm"),
    BAD_REAL(optimizer.embedding_learning_rate, -1, "embedding_learning_rate"),
    BAD_REAL(optimizer.embedding_epsilon, NAN, "embedding_epsilon"),
};

static void spoil(setup *s, const bad_struct *bad) {
    char *at = (char *)s + bad->offset;
    const int32_t narrow = (int32_t)(uint32_t)bad->integer;
    const size_t size = (size_t)bad->integer;
    switch (bad->kind) {
    case INTEGER32:
        memcpy(at, &narrow, sizeof narrow);
        break;
    case INTEGER64:
        memcpy(at, &bad->integer, sizeof bad->integer);
        break;
    case SIZE:
        memcpy(at, &size, sizeof size);
        break;
    case REAL:
        memcpy(at, &bad->real, sizeof bad->real);
        break;
    case TEXT:
    case POINTER:
        memcpy(at, &bad->text, sizeof bad->text);
        break;
    }
}

/* A create() that must fail: nothing is written to the model's pointer and nothing stays
 * allocated. */
static void check_refused(home_status actual, home_status expected, const home_model *model,
                          const home_error *error, const meter *m) {
    CHECK_INTEGER(actual, expected);
    CHECK_INTEGER(error->status, expected);
    CHECK(model == (const home_model *)error);
    CHECK_INTEGER(m->live, 0);
}

static void bad_structs_are_refused(void) {
    for (size_t i = 0; i < sizeof bad_structs / sizeof *bad_structs; i++) {
        const bad_struct *bad = &bad_structs[i];
        setup s;
        setup_small(&s);
        spoil(&s, bad);
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        s.config.allocator = &allocator;
        home_error error = new_error();
        home_model *model = (home_model *)&error; /* any address that is not a model's */
        test_begin("bad struct %zu is refused: %s", i, bad->field);
        check_refused(home_model_create(&s.config, &model, &error), HOME_E_CONFIG, model, &error,
                      &m);
        CHECK_CONTAINS(error.message, bad->field);
        if (bad->value)
            CHECK_CONTAINS(error.message, bad->value);
        CHECK_INTEGER(home_model_create(&s.config, &model, NULL), HOME_E_CONFIG);
        test_end();
    }
}

/* ---------------------------------------------------------------------------------- round trips */

/* The configuration of a model makes a model of the same configuration and the same bytes. */
static void check_round_trip(const home_model *model) {
    const char *text = home_model_config_json(model);
    home_error error = new_error();
    home_model *again = NULL;
    if (!CHECK_INTEGER(home_model_create_json(text, strlen(text), NULL, &again, &error), HOME_OK)) {
        printf("%s\n%s\n", error.message, text);
        return;
    }
    CHECK(strcmp(home_model_config_json(again), text) == 0);
    CHECK(same_model(model, again));
    home_model_release(again);
}

static home_model *from_json(const char *text) {
    home_error error = new_error();
    home_model *model = NULL;
    if (!CHECK_INTEGER(home_model_create_json(text, strlen(text), NULL, &model, &error), HOME_OK))
        printf("%s\n", error.message);
    REQUIRE(model);
    return model;
}

static void good_json_comes_back_from_its_text(void) {
    static const char *const texts[] = {
        full_json,
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":2},{\"width\":2}]}",
        " {\n\t\"layers\" : [ {\"width\":2} , {\"width\":3,\"hidden\":[]} ] "
        ",\r\n\"tasks\":[{\"name\":\"\\u00e4\\"
        "\"/\"}], \"tables\":[{\"name\":\"x y\",\"rows\":1,\"dim\":1}],\"fields\":[{\"name\":\"x "
        "y\"}]} ",
        "{\"seed\":18446744073709551615,\"dense\":3,\"tasks\":[{\"name\":\"a\",\"base_rate\":1e-7}]"
        ","
        "\"layers\":[{\"width\":2,\"feature_gates\":false},{\"width\":2}],\"self_gate\":{\"on\":"
        "false},"
        "\"experts\":{\"norm\":\"none\",\"activation\":\"relu\",\"swish_beta\":0.30000000000000004}"
        "}",
        /* Zeros where they are numbers as any other. */
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\",\"base_rate\":0,\"loss\":\"squared\"}],\"layers\":"
        "[{"
        "\"width\":2},"
        "{\"width\":2}],\"optimizer\":{\"momentum\":0,\"weight_decay\":0,\"clip_norm\":0}}",
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":2},{\"width\":2}],"
        "\"experts\":{"
        "\"norm_momentum\":1}}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        home_model *model = from_json(texts[i]);
        check_round_trip(model);
        home_model_release(model);
    }
}

static void a_struct_comes_back_from_its_text(void) {
    setup s;
    setup_small(&s);
    s.config.swish_beta = 1.0 / 3;
    s.config.norm_epsilon = 1e-20;
    s.config.feature_init = HOME_INIT_UNIFORM;
    home_model *model = make_model(&s);
    check_round_trip(model);
    CHECK_CONTAINS(home_model_config_json(model), "0.3333333333333333");
    CHECK_INTEGER(home_model_dense_width(model), 5);
    CHECK_INTEGER(home_model_field_count(model), 3);
    CHECK(strcmp(home_model_field_name(model, 2), "seen_tags") == 0);
    CHECK(home_model_field_name(model, 3) == NULL);
    CHECK_INTEGER(home_model_task_count(model), 3);
    CHECK(strcmp(home_model_task_name(model, 2), "view") == 0);
    CHECK(home_model_task_name(model, 3) == NULL);
    home_model_release(model);
}

/* JSON and struct forms of one configuration give the same model. */
static void json_and_struct_give_the_same_model(void) {
    setup s;
    setup_small(&s);
    s.config.gate_input = HOME_INPUT_RAW;
    s.optimizer.learning_rate = 0.005;
    home_model *a = make_model(&s);
    home_model *b =
        from_json("{\"seed\":7,\"dense\":5,\"tables\":[{\"name\":\"user\",\"rows\":11,\"dim\":3},"
                  "{\"name\":\"tag\",\"rows\":13,\"dim\":2,\"index\":\"hashed\"}],\"fields\":[{"
                  "\"name\":\"user\"},"
                  "{\"name\":\"tags\",\"table\":\"tag\",\"pooling\":\"mean\"},{\"name\":\"seen_"
                  "tags\",\"table\":"
                  "\"tag\"}],"
                  "\"tasks\":[{\"name\":\"like\",\"group\":\"inter\"},{\"name\":\"follow\","
                  "\"group\":\"inter\","
                  "\"weight\":0.5},{\"name\":\"view\",\"group\":\"watch\"}],\"layers\":[{\"width\":"
                  "4,\"hidden\":[6],"
                  "\"shared_experts\":2,\"group_experts\":2},{\"width\":3,\"shared_experts\":2,"
                  "\"task_experts\":2}],"
                  "\"gate\":{\"input\":\"raw\"},\"tower\":{\"hidden\":[5]},\"optimizer\":{"
                  "\"learning_rate\":0.005}}");
    CHECK(strcmp(home_model_config_json(a), home_model_config_json(b)) == 0);
    CHECK(same_model(a, b));
    home_model_release(a);
    home_model_release(b);
}

/* What the caller passed may go once create() has returned. */
static void configuration_is_copied(void) {
    setup *s = malloc(sizeof *s);
    REQUIRE(s);
    setup_small(s);
    char *name = malloc(8);
    REQUIRE(name);
    memcpy(name, "comment", 8);
    s->tasks[0].name = name;
    home_model *model = make_model(s);
    memset(name, 'x', 8);
    free(name);
    memset(s, 0x55, sizeof *s);
    free(s);
    CHECK(strcmp(home_model_task_name(model, 0), "comment") == 0);
    check_round_trip(model);
    home_model_release(model);
}

/* --------------------------------------------------------------------------------- struct sizes */

/* An older caller's struct ends early; what lies behind it is not the struct's, and must not be
 * read. */
static void an_older_caller_gets_the_defaults(void) {
    setup s;
    setup_small(&s);
    home_model *whole = make_model(&s);
    s.config.struct_size = offsetof(home_config, optimizer);
    memset((char *)&s.config + s.config.struct_size, 0x55, sizeof s.config - s.config.struct_size);
    home_model *older = make_model(&s);
    CHECK(same_model(whole, older));
    home_model_release(older);

    /* Arrays are strided by the size of their elements. */
    setup_small(&s);
    const size_t size = offsetof(home_task_config, base_rate);
    char tasks[3 * sizeof(home_task_config)];
    memset(tasks, 0x7f, sizeof tasks);
    for (size_t t = 0; t < 3; t++) {
        memcpy(tasks + t * size, &s.tasks[t], size);
        memcpy(tasks + t * size, &size, sizeof size);
    }
    s.config.tasks = (const home_task_config *)(const void *)tasks;
    older = make_model(&s);
    CHECK(same_model(whole, older));
    home_model_release(older);
    home_model_release(whole);
}

typedef struct newer_config {
    home_config config;
    uint64_t added[2];
} newer_config;

typedef struct newer_layer {
    home_layer_config layer;
    double added;
} newer_layer;

static void a_newer_caller_may_add_zeros_alone(void) {
    setup s;
    setup_small(&s);
    home_model *whole = make_model(&s);
    newer_config newer = {s.config, {0, 0}};
    newer.config.struct_size = sizeof newer;
    newer_layer layers[2] = {{s.layers[0], 0}, {s.layers[1], 0}};
    for (size_t i = 0; i < 2; i++)
        layers[i].layer.struct_size = sizeof *layers;
    newer.config.layers = &layers[0].layer;
    home_error error = new_error();
    home_model *model = NULL;
    CHECK_INTEGER(home_model_create(&newer.config, &model, &error), HOME_OK);
    if (model) {
        CHECK(same_model(whole, model));
        home_model_release(model);
    }
    model = NULL;
    newer.added[1] = 1;
    home_status status = home_model_create(&newer.config, &model, &error);
    CHECK(status == HOME_E_CONFIG || status == HOME_E_ARGUMENT);
    CHECK(model == NULL);
    newer.added[1] = 0;
    layers[1].added = 1;
    status = home_model_create(&newer.config, &model, &error);
    CHECK(status == HOME_E_CONFIG || status == HOME_E_ARGUMENT);
    CHECK(model == NULL);
    CHECK_CONTAINS(error.message, "layers[1]");
    home_model_release(whole);
}

static void a_missing_struct_size_is_refused(void) {
    static const size_t sizes[] = {0, 1, 7};
    for (size_t i = 0; i < 3; i++) {
        setup s;
        setup_small(&s);
        home_error error = new_error();
        home_model *model = NULL;
        s.config.struct_size = sizes[i];
        home_status status = home_model_create(&s.config, &model, &error);
        CHECK(status == HOME_E_CONFIG || status == HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "struct_size");
        setup_small(&s);
        s.tasks[1].struct_size = sizes[i];
        status = home_model_create(&s.config, &model, &error);
        CHECK(status == HOME_E_CONFIG || status == HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "tasks[1].struct_size");
        CHECK(model == NULL);
    }
}

/* Tables whose bytes no size_t can count. */
static void tables_that_no_size_t_counts_are_refused(void) {
    static const uint64_t rows[] = {UINT64_MAX, UINT64_MAX / 2, UINT64_C(1) << 61,
                                    UINT64_C(1) << 60};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        setup s;
        setup_small(&s);
        s.tables[1].rows = rows[i];
        s.tables[1].dim = 16;
        home_error error = new_error();
        home_model *model = NULL;
        CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_TOO_LARGE);
        CHECK_CONTAINS(error.message, "tables[1]");
        CHECK(model == NULL);
    }
}

/* Parameters whose bytes no size_t can count: a thousand experts of 2^48 weights each. */
static void layers_that_no_size_t_counts_are_refused(void) {
    static const char config[] =
        "{\"preset\":\"mmoe\",\"dense\":16777216,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{"
        "\"width\":16777216,\"hidden\":[16777216],\"shared_experts\":1024}]}";
    home_error error = new_error();
    home_model *model = NULL;
    CHECK_INTEGER(home_model_create_json(config, sizeof config - 1, NULL, &model, &error),
                  HOME_E_TOO_LARGE);
    CHECK_CONTAINS(error.message, "no size_t is large enough for the plan");
    CHECK(model == NULL);
}

/* A configuration with something in it as often as wanted: `item`, with its number where it has
 * %zu. */
typedef struct limit {
    size_t max; /* as home.h has it */
    const char *before;
    const char *item;
    const char *between;
    const char *after;
    const char *message; /* of one more */
} limit;

#define ONE_TASK   "'tasks':[{'name':'a'}]"
#define ONE_LAYER  "'layers':[{'width':1}]"
#define OF_A_LAYER "{'preset':'shared-bottom','dense':1," ONE_TASK ",'layers':[{'width':1,"
#define CUSTOM     "{'preset':'custom','dense':1," ONE_TASK ",'layers':[{'width':1,"

static const limit limits[] = {
    {120, "{'preset':'mmoe','dense':1," ONE_LAYER ",'tasks':[{'name':'", "n", "", "'}]}",
     "config.tasks[0].name is \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\", expected at most 120 "
     "bytes"},
    {1024, "{'preset':'shared-bottom','dense':1," ONE_LAYER ",'tasks':[", "{'name':'%zu'}", ",",
     "]}", "config.task_count is 1025, expected 1 to 1024"},
    {4096, "{'preset':'mmoe','dense':1," ONE_TASK "," ONE_LAYER ",'tables':[",
     "{'name':'%zu','rows':1,'dim':1}", ",", "]}",
     "config.table_count is 4097, expected at most 4096"},
    {4096,
     "{'preset':'mmoe'," ONE_TASK "," ONE_LAYER
     ",'tables':[{'name':'t','rows':1,'dim':1}],'fields':[",
     "{'name':'%zu','table':'t'}", ",", "]}", "config.field_count is 4097, expected at most 4096"},
    {64, "{'preset':'adatt-sp','dense':1," ONE_TASK ",'layers':[", "{'width':1}", ",", "]}",
     "config.layer_count is 65, expected 1 to 64 for the preset adatt-sp"},
    {16, OF_A_LAYER "'hidden':[", "1", ",", "]}]}",
     "config.layers[0].hidden has 17 layers, expected at most 16"},
    {4095, CUSTOM "'units':[{'name':'u'}],'nodes':[{'name':'a','sees':['u']}",
     ",{'name':'%zu','sees':['u']}", "", "]}]}",
     "config.layers[0].node_count is 4097, expected at most 4096"},
    {4096, CUSTOM "'nodes':[{'name':'a','sees':['0']}],'units':[", "{'name':'%zu'}", ",", "]}]}",
     "config.layers[0].unit_count is 4097, expected at most 4096"},
    {4096, CUSTOM "'units':[{'name':'u'}],'nodes':[{'name':'a','sees':[", "'u'", ",", "]}]}]}",
     "config.layers[0].nodes[0].sees has 4097 names, expected an array of at most 4096"},
};

static char *text_with(const limit *l, size_t count) {
    const size_t room = 1000 + count * 64;
    char *text = malloc(room);
    REQUIRE(text);
    size_t length = (size_t)snprintf(text, room, "%s", l->before);
    for (size_t i = 0; i < count; i++) {
        const char *number = strstr(l->item, "%zu");
        length += (size_t)snprintf(text + length, room - length, "%s", i ? l->between : "");
        if (number)
            length += (size_t)snprintf(text + length, room - length, "%.*s%zu%s",
                                       (int)(number - l->item), l->item, i, number + 3);
        else
            length += (size_t)snprintf(text + length, room - length, "%s", l->item);
    }
    snprintf(text + length, room - length, "%s", l->after);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    return text;
}

static home_status create_with(const limit *l, size_t count, home_error *error) {
    char *text = text_with(l, count);
    home_model *model = NULL;
    const home_status status = home_model_create_json(text, strlen(text), NULL, &model, error);
    home_model_release(model);
    free(text);
    return status;
}

/* As many as home.h tells, and not one more. Where so many make no sensible model, another fault is
 * met than the limit. */
static void limits_are_as_told(const limit *l) {
    home_error error = new_error();
    const home_status status = create_with(l, l->max, &error);
    if (status != HOME_OK) {
        CHECK_INTEGER(status, HOME_E_CONFIG);
        CHECK(strstr(error.message, "is unseen") || strstr(error.message, "each unit once"));
    }
    CHECK_INTEGER(create_with(l, l->max + 1, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, l->message);
}

static void null_arguments_are_refused(void) {
    setup s;
    setup_small(&s);
    home_model *model = NULL;
    home_error error = new_error();
    CHECK_INTEGER(home_model_create(NULL, &model, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "config");
    CHECK_INTEGER(home_model_create(&s.config, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "model");
    CHECK_INTEGER(home_model_create_json(NULL, 3, NULL, &model, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "json");
    CHECK_INTEGER(home_model_create_json("{}", 2, NULL, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "model");

    /* An allocator with one function only. */
    meter m;
    home_allocator allocator = meter_allocator(&m);
    allocator.release = NULL;
    s.config.allocator = &allocator;
    const home_status status = home_model_create(&s.config, &model, &error);
    CHECK(status == HOME_E_ARGUMENT || status == HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "allocator");
    CHECK(model == NULL);
}

static void true_is_on(void) {
    setup s;
    setup_small(&s);
    s.config.uncertainty = true;
    home_model *model = make_model(&s);
    CHECK_CONTAINS(home_model_config_json(model), "\"uncertainty\":true");
    home_model_release(model);
}

int main(void) {
    bad_structs_are_refused();
    RUN(good_json_comes_back_from_its_text);
    RUN(a_struct_comes_back_from_its_text);
    RUN(json_and_struct_give_the_same_model);
    RUN(configuration_is_copied);
    RUN(an_older_caller_gets_the_defaults);
    RUN(a_newer_caller_may_add_zeros_alone);
    RUN(a_missing_struct_size_is_refused);
    RUN(tables_that_no_size_t_counts_are_refused);
    RUN(layers_that_no_size_t_counts_are_refused);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        test_begin("what is above a limit is refused: %s", limits[i].message);
        limits_are_as_told(&limits[i]);
        test_end();
    }
    RUN(null_arguments_are_refused);
    RUN(true_is_on);
    return test_summary();
}
