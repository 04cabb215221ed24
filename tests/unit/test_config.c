/* Configurations: every bad struct gets the right status and a message that names the field and its
 * value; good ones round-trip through JSON; structs of older and newer callers are understood. Bad
 * JSON is in tests/faults. */
#include "test.h"
#include "unit/fixture.h"

#include <stddef.h>

#define CHECK_TEXT(actual, expected)                                                               \
    do {                                                                                           \
        if (!CHECK(strcmp(actual, expected) == 0))                                                 \
            printf("it is:    %s\nnot this: %s\n", actual, expected);                              \
    } while (0)

/* ----------------------------------------------------------------------------- one field spoilt */

typedef enum value_kind { INTEGER32, INTEGER64, SIZE, REAL, TEXT, POINTER } value_kind;

/* setup_small() with the bytes at `offset` overwritten. */
typedef struct bad_struct {
    size_t offset;
    value_kind kind;
    const char *text;
    double real;
    uint64_t integer;
    const char *message;
} bad_struct;

#define AT(member) offsetof(setup, member)
#define BAD_INTEGER(member, number, message)                                                       \
    { AT(member), INTEGER32, NULL, 0, (uint64_t)(number), message }
#define BAD_SIZE(member, number, message)                                                          \
    { AT(member), SIZE, NULL, 0, number, message }
#define BAD_ROWS(member, number, message)                                                          \
    { AT(member), INTEGER64, NULL, 0, number, message }
#define BAD_REAL(member, number, message)                                                          \
    { AT(member), REAL, NULL, number, 0, message }
#define BAD_TEXT(member, words, message)                                                           \
    { AT(member), TEXT, words, 0, 0, message }
#define NULL_POINTER(member, message)                                                              \
    { AT(member), POINTER, NULL, 0, 0, message }

static const bad_struct bad_structs[] = {
    BAD_INTEGER(config.preset, 99,
                "config.preset is 99, expected \"home\" (0), \"shared-bottom\" (1), \"mmoe\" (2), "
                "\"cgc\" (3), \"ple\" (4), \"adatt-sp\" (5), \"adatt\" (6) or \"custom\" (7)"),
    BAD_INTEGER(config.preset, -1,
                "config.preset is -1, expected \"home\" (0), \"shared-bottom\" (1), \"mmoe\" (2), "
                "\"cgc\" (3), \"ple\" (4), \"adatt-sp\" (5), \"adatt\" (6) or \"custom\" (7)"),
    BAD_INTEGER(config.reserved, 5, "config.reserved is 5, expected 0"),
    NULL_POINTER(config.tasks, "config.tasks is NULL, expected 3 elements"),
    BAD_SIZE(config.task_count, 0, "config.task_count is 0, expected 1 to 1024"),
    BAD_TEXT(tasks[1].name, "", "config.tasks[1].name is \"\", expected a name"),
    NULL_POINTER(tasks[1].name, "config.tasks[1].name is missing, expected a name"),
    BAD_TEXT(tasks[1].name, "like",
             "config.tasks[1].name is \"like\", expected a name that no other task or group has, "
             "and not \"shared\""),
    BAD_TEXT(tasks[1].name, "inter",
             "config.tasks[1].name is \"inter\", expected a name that no other task or group has, "
             "and not \"shared\""),
    BAD_TEXT(tasks[1].name, "watch",
             "config.tasks[1].name is \"watch\", expected a name that no other task or group has, "
             "and not \"shared\""),
    BAD_TEXT(tasks[1].name, "shared",
             "config.tasks[1].name is \"shared\", expected a name that no other task or group has, "
             "and not \"shared\""),
    BAD_TEXT(tasks[1].name, "a.b",
             "config.tasks[1].name is \"a.b\", expected a name without a dot"),
    BAD_TEXT(tasks[2].group, "shared",
             "config.tasks[2].group is \"shared\", expected another name"),
    BAD_TEXT(tasks[2].group, "a.b",
             "config.tasks[2].group is \"a.b\", expected a name without a dot"),
    BAD_TEXT(tasks[2].group, "", "config.tasks[2].group is \"\", expected a name"),
    BAD_REAL(tasks[0].weight, -1,
             "config.tasks[0].weight is -1, expected a number from 0 to below 1e+30"),
    BAD_REAL(tasks[0].weight, NAN,
             "config.tasks[0].weight is nan, expected a number from 0 to below 1e+30"),
    BAD_REAL(tasks[0].weight, INFINITY,
             "config.tasks[0].weight is inf, expected a number from 0 to below 1e+30"),
    BAD_INTEGER(tasks[0].loss, 9,
                "config.tasks[0].loss is 9, expected 0, \"bce\" (1) or \"squared\" (2)"),
    BAD_INTEGER(tasks[0].reserved, 3, "config.tasks[0].reserved is 3, expected 0"),
    BAD_REAL(tasks[2].base_rate, 1,
             "config.tasks[2].base_rate is 1, expected a number above 0 and below 1, or 0 to start "
             "at 1/2"),
    BAD_REAL(tasks[2].base_rate, -0.1,
             "config.tasks[2].base_rate is -0.1, expected a number above 0 and below 1, or 0 to "
             "start at 1/2"),
    BAD_REAL(tasks[2].base_rate, NAN,
             "config.tasks[2].base_rate is nan, expected a number above 0 and below 1, or 0 to "
             "start at 1/2"),
    NULL_POINTER(config.layers, "config.layers is NULL, expected 2 elements"),
    BAD_SIZE(config.layer_count, 0, "config.layer_count is 0, expected 2 for the preset home"),
    BAD_SIZE(config.layer_count, 1, "config.layer_count is 1, expected 2 for the preset home"),
    BAD_SIZE(config.layer_count, 3, "config.layer_count is 3, expected 2 for the preset home"),
    BAD_SIZE(layers[0].width, 0,
             "config.layers[0].width is 0, expected a whole number from 1 to 16777216"),
    BAD_SIZE(layers[1].width, 999999999,
             "config.layers[1].width is 999999999, expected a whole number from 1 to 16777216"),
    BAD_SIZE(hidden[0][0], 0,
             "config.layers[0].hidden[0] is 0, expected a whole number from 1 to 16777216"),
    NULL_POINTER(layers[0].hidden, "config.layers[0].hidden is NULL, expected 1 element"),
    BAD_SIZE(layers[0].hidden_count, 1000000,
             "config.layers[0].hidden_count is 1000000, expected at most 16"),
    BAD_SIZE(
        layers[0].shared_experts, 999999999,
        "config.layers[0].shared_experts is 999999999, expected a whole number from 1 to 1024"),
    BAD_SIZE(layers[0].group_experts, 999999999,
             "config.layers[0].group_experts is 999999999, expected a whole number from 1 to 1024"),
    BAD_SIZE(layers[1].task_experts, 999999999,
             "config.layers[1].task_experts is 999999999, expected a whole number from 1 to 1024"),
    BAD_SIZE(layers[0].task_experts, 2,
             "config.layers[0].task_experts is 2, expected 0: this layer of the preset has no such "
             "units"), /* there are no such units */
    BAD_INTEGER(layers[0].feature_gates, 3,
                "config.layers[0].feature_gates is 3, expected 0, HOME_ON (1) or HOME_OFF (2)"),
    BAD_INTEGER(layers[1].reserved, 1, "config.layers[1].reserved is 1, expected 0"),
    BAD_SIZE(
        layers[0].feature_branches, 999999999,
        "config.layers[0].feature_branches is 999999999, expected a whole number from 1 to 64"),
    BAD_SIZE(
        layers[0].feature_rank, 999999999,
        "config.layers[0].feature_rank is 999999999, expected a whole number from 1 to 16777216"),
    NULL_POINTER(config.tables, "config.tables is NULL, expected 2 elements"),
    NULL_POINTER(tables[0].name, "config.tables[0].name is missing, expected a name"),
    BAD_TEXT(tables[1].name, "user",
             "config.tables[1].name is \"user\", expected a name that no other table has"),
    BAD_TEXT(tables[1].name, "t.ag",
             "config.tables[1].name is \"t.ag\", expected a name without a dot"),
    BAD_ROWS(tables[0].rows, 0, "config.tables[0].rows is 0, expected a whole number from 1"),
    BAD_SIZE(tables[0].dim, 0,
             "config.tables[0].dim is 0, expected a whole number from 1 to 16777216"),
    BAD_INTEGER(tables[0].index, 3,
                "config.tables[0].index is 3, expected 0, \"direct\" (1) or \"hashed\" (2)"),
    BAD_INTEGER(tables[0].reserved, 1, "config.tables[0].reserved is 1, expected 0"),
    BAD_REAL(tables[0].init_std, -0.5,
             "config.tables[0].init_std is -0.5, expected a number from 0 to below 1e+06"),
    BAD_REAL(tables[0].init_std, NAN,
             "config.tables[0].init_std is nan, expected a number from 0 to below 1e+06"),
    NULL_POINTER(config.fields, "config.fields is NULL, expected 3 elements"),
    NULL_POINTER(fields[0].name, "config.fields[0].name is missing, expected a name"),
    BAD_TEXT(fields[2].name, "tags",
             "config.fields[2].name is \"tags\", expected a name that no other field has"),
    BAD_TEXT(fields[1].table, "nowhere",
             "config.fields[1].table is \"nowhere\", expected the name of one of config.tables"),
    NULL_POINTER(fields[1].table, "config.fields[1].table is \"tags\", expected the name of one of "
                                  "config.tables"), /* then it is "tags", which is no table */
    BAD_INTEGER(fields[1].pooling, 7,
                "config.fields[1].pooling is 7, expected 0, \"sum\" (1) or \"mean\" (2)"),
    BAD_INTEGER(fields[1].reserved, 7, "config.fields[1].reserved is 7, expected 0"),
    BAD_SIZE(config.dense_width, 999999999,
             "config.dense_width is 999999999, expected a whole number from 0 to 16777216"),
    BAD_INTEGER(config.expert_norm, 3,
                "config.expert_norm is 3, expected 0, \"none\" (1) or \"batch\" (2)"),
    BAD_INTEGER(config.expert_activation, 3,
                "config.expert_activation is 3, expected 0, \"relu\" (1) or \"swish\" (2)"),
    BAD_INTEGER(config.expert_hidden_activation, -2,
                "config.expert_hidden_activation is -2, expected 0, \"relu\" (1) or \"swish\" (2)"),
    BAD_INTEGER(config.bias_before_norm, 3,
                "config.bias_before_norm is 3, expected 0, HOME_ON (1) or HOME_OFF (2)"),
    BAD_REAL(config.swish_beta, NAN,
             "config.swish_beta is nan, expected a number from 1e-06 to below 1e+06"),
    BAD_REAL(config.swish_beta, -1,
             "config.swish_beta is -1, expected a number from 1e-06 to below 1e+06"),
    BAD_REAL(config.norm_epsilon, -1e-5,
             "config.norm_epsilon is -1e-05, expected a number from 1e-30 to below 1e+06"),
    BAD_REAL(config.norm_epsilon, NAN,
             "config.norm_epsilon is nan, expected a number from 1e-30 to below 1e+06"),
    BAD_REAL(config.norm_momentum, 1.5,
             "config.norm_momentum is 1.5, expected a number from 0 to 1"),
    BAD_REAL(config.norm_momentum, -0.1,
             "config.norm_momentum is -0.1, expected a number from 0 to 1"),
    BAD_INTEGER(
        config.feature_order, 3,
        "config.feature_order is 3, expected 0, \"sigmoid_first\" (1) or \"mix_first\" (2)"),
    BAD_INTEGER(config.feature_init, 3,
                "config.feature_init is 3, expected 0, \"zero\" (1) or \"uniform\" (2)"),
    BAD_SIZE(config.gate_hidden_count, 1000000,
             "config.gate_hidden_count is 1000000, expected at most 16"),
    BAD_SIZE(
        config.gate_hidden_count, 1,
        "config.gate_hidden[0] is 0, expected a whole number from 1 to 16777216"), /* whose width is
                                                                                      0 */
    BAD_INTEGER(config.gate_activation, 3,
                "config.gate_activation is 3, expected 0, \"relu\" (1) or \"swish\" (2)"),
    BAD_INTEGER(config.gate_input, 3,
                "config.gate_input is 3, expected 0, \"raw\" (1) or \"gated\" (2)"),
    BAD_INTEGER(config.self_gates, 3,
                "config.self_gates is 3, expected 0, HOME_ON (1) or HOME_OFF (2)"),
    BAD_INTEGER(config.self_gate_activation, 3,
                "config.self_gate_activation is 3, expected 0, \"relu\" (1) or \"swish\" (2)"),
    BAD_SIZE(config.self_gate_hidden_count, 1,
             "config.self_gate_hidden[0] is 0, expected a whole number from 1 to 16777216"),
    BAD_INTEGER(config.self_gate_input, 3,
                "config.self_gate_input is 3, expected 0, \"raw\" (1) or \"gated\" (2)"),
    BAD_INTEGER(config.tower_activation, 3,
                "config.tower_activation is 3, expected 0, \"relu\" (1) or \"swish\" (2)"),
    BAD_SIZE(tower_hidden[0], 0,
             "config.tower_hidden[0] is 0, expected a whole number from 1 to 16777216"),
    NULL_POINTER(config.tower_hidden, "config.tower_hidden is NULL, expected 1 element"),
    BAD_INTEGER(config.uncertainty, 3,
                "config.uncertainty is 3, expected 0, HOME_ON (1) or HOME_OFF (2)"),
    BAD_INTEGER(config.reserved2, 1, "config.reserved2 is 1, expected 0"),
    BAD_TEXT(config.isa, "sse9",
             "config.isa is \"sse9\", expected \"portable\", \"avx2\", \"avx512\" or \"neon\""),
    BAD_TEXT(config.isa, "",
             "config.isa is \"\", expected \"portable\", \"avx2\", \"avx512\" or \"neon\""),
    BAD_TEXT(tasks[1].given, "nobody",
             "config.tasks[1].given is \"nobody\", expected the name of a task"),
    BAD_TEXT(tasks[1].given, "follow",
             "config.tasks[1].given is \"follow\", expected a task that does not depend on this "
             "one"), /* itself */
    BAD_REAL(optimizer.momentum, -0.5,
             "config.optimizer.momentum is -0.5, expected a number from 0 to below 1"),
    BAD_REAL(optimizer.weight_decay, NAN,
             "config.optimizer.weight_decay is nan, expected a number from 0 to below 1e+06"),
    BAD_INTEGER(optimizer.kind, 9,
                "config.optimizer.kind is 9, expected 0, \"adam\" (1), \"sgd\" (3), \"adamw\" (4) "
                "or \"adagrad\" (5)"),
    BAD_INTEGER(optimizer.embedding_kind, 9,
                "config.optimizer.embedding_kind is 9, expected 0, \"adam\" (1), "
                "\"rowwise_adagrad\" (2) or \"adagrad\" (5)"),
    BAD_REAL(optimizer.learning_rate, -0.001,
             "config.optimizer.learning_rate is -0.001, expected a number from 0 to below 1e+06"),
    BAD_REAL(optimizer.learning_rate, NAN,
             "config.optimizer.learning_rate is nan, expected a number from 0 to below 1e+06"),
    BAD_REAL(optimizer.learning_rate, INFINITY,
             "config.optimizer.learning_rate is inf, expected a number from 0 to below 1e+06"),
    BAD_REAL(optimizer.beta1, 1,
             "config.optimizer.beta1 is 1, expected a number from 0 to below 1"),
    BAD_REAL(optimizer.beta1, -0.1,
             "config.optimizer.beta1 is -0.1, expected a number from 0 to below 1"),
    BAD_REAL(optimizer.beta2, 1.5,
             "config.optimizer.beta2 is 1.5, expected a number from 0 to below 1"),
    BAD_REAL(optimizer.epsilon, -1e-8,
             "config.optimizer.epsilon is -1e-08, expected a number from 1e-30 to below 1e+06"),
    BAD_REAL(optimizer.clip_norm, -1,
             "config.optimizer.clip_norm is -1, expected a number from 0 to below 1e+30"),
    BAD_REAL(optimizer.clip_norm, NAN,
             "config.optimizer.clip_norm is nan, expected a number from 0 to below 1e+30"),
    BAD_REAL(
        optimizer.embedding_learning_rate, -1,
        "config.optimizer.embedding_learning_rate is -1, expected a number from 0 to below 1e+06"),
    BAD_REAL(config.swish_beta, HOME_ZERO,
             "config.swish_beta is HOME_ZERO, expected a number from 1e-06 to below 1e+06"),
    BAD_REAL(config.norm_epsilon, HOME_ZERO,
             "config.norm_epsilon is HOME_ZERO, expected a number from 1e-30 to below 1e+06"),
    BAD_REAL(
        tasks[0].base_rate, HOME_ZERO,
        "config.tasks[0].base_rate is HOME_ZERO, expected a number above 0 and below 1, or 0 to "
        "start at 1/2"),
    BAD_REAL(optimizer.epsilon, HOME_ZERO,
             "config.optimizer.epsilon is HOME_ZERO, expected a number from 1e-30 to below 1e+06"),
    BAD_REAL(
        optimizer.embedding_epsilon, HOME_ZERO,
        "config.optimizer.embedding_epsilon is HOME_ZERO, expected a number from 1e-30 to below "
        "1e+06"),
    BAD_INTEGER(
        optimizer.kind, HOME_OPTIMIZER_ROWWISE_ADAGRAD,
        "config.optimizer.kind is 2, expected 0, \"adam\" (1), \"sgd\" (3), \"adamw\" (4) or "
        "\"adagrad\" (5)"),
    BAD_INTEGER(
        optimizer.embedding_kind, HOME_OPTIMIZER_SGD,
        "config.optimizer.embedding_kind is 3, expected 0, \"adam\" (1), \"rowwise_adagrad\" "
        "(2) or \"adagrad\" (5)"),
    BAD_SIZE(config.dense_names_count, 2, "config.dense_names is NULL, expected 2 elements"),
    BAD_REAL(
        optimizer.embedding_epsilon, NAN,
        "config.optimizer.embedding_epsilon is nan, expected a number from 1e-30 to below 1e+06"),
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

/* What home_config_check() has told. */
typedef struct findings {
    size_t count;
    size_t stop_at; /* after so many; 0: never */
    char where[32][64];
    char messages[32][sizeof((home_error *)NULL)->message];
    home_status statuses[32];
} findings;

static int32_t take_finding(void *user, const char *where, const home_error *found) {
    findings *all = user;
    const size_t i = all->count++;
    REQUIRE(i < 32);
    CHECK(found->struct_size == sizeof *found);
    CHECK(strncmp(found->message, where, strlen(where)) == 0);
    snprintf(all->where[i], sizeof all->where[i], "%s", where);
    snprintf(all->messages[i], sizeof all->messages[i], "%s", found->message);
    all->statuses[i] = found->status;
    return all->count == all->stop_at ? -7 : 0;
}

/* One mistake is one error, and nothing that follows from it. */
static void check_single_error(const home_config *config, const char *message) {
    findings all = {0};
    home_error error = new_error();
    CHECK_INTEGER(home_config_check(config, take_finding, &all, &error), HOME_E_CONFIG);
    CHECK_INTEGER(all.count, 1);
    CHECK_TEXT(all.messages[0], message);
    CHECK_TEXT(error.message, message);
    CHECK_INTEGER(home_config_check(config, NULL, NULL, NULL), HOME_E_CONFIG);
}

static void bad_structs_are_refused(void) {
    for (size_t i = 0; i < sizeof bad_structs / sizeof *bad_structs; i++) {
        const bad_struct *bad = &bad_structs[i];
        setup s;
        setup_small(&s);
        s.layers[2].width = 1; /* good, if it counted */
        spoil(&s, bad);
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        s.config.allocator = &allocator;
        home_error error = new_error();
        home_model *model = (home_model *)&error; /* any address that is not a model's */
        test_begin("bad struct %zu is refused: %s", i, bad->message);
        check_refused(home_model_create(&s.config, &model, &error), HOME_E_CONFIG, model, &error,
                      &m);
        CHECK_TEXT(error.message, bad->message);
        CHECK_INTEGER(home_model_create(&s.config, &model, NULL), HOME_E_CONFIG);
        check_single_error(&s.config, bad->message);
        CHECK_INTEGER(m.live, 0);
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
        "\"experts\":{\"norm\":\"none\",\"activation\":\"relu\"},\"swish_beta\":0.30000000000000004"
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
     "tasks[0].name is \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\", expected at most 120 bytes"},
    {1024, "{'preset':'shared-bottom','dense':1," ONE_LAYER ",'tasks':[", "{'name':'%zu'}", ",",
     "]}", "tasks has 1025 elements, expected an array of 1 to 1024 objects"},
    {4096, "{'preset':'mmoe','dense':1," ONE_TASK "," ONE_LAYER ",'tables':[",
     "{'name':'%zu','rows':1,'dim':1}", ",", "]}",
     "tables has 4097 elements, expected an array of at most 4096 objects"},
    {4096,
     "{'preset':'mmoe'," ONE_TASK "," ONE_LAYER
     ",'tables':[{'name':'t','rows':1,'dim':1}],'fields':[",
     "{'name':'%zu','table':'t'}", ",", "]}",
     "fields has 4097 elements, expected an array of at most 4096 objects"},
    {64, "{'preset':'adatt-sp','dense':1," ONE_TASK ",'layers':[", "{'width':1}", ",", "]}",
     "layers has 65 elements, expected 1 to 64 for the preset adatt-sp"},
    {16, OF_A_LAYER "'hidden':[", "1", ",", "]}]}",
     "layers[0].hidden has 17 elements, expected an array of at most 16 whole numbers from 1 to "
     "16777216"},
    {4095, CUSTOM "'units':[{'name':'u'}],'nodes':[{'name':'a','sees':['u']}",
     ",{'name':'%zu','sees':['u']}", "", "]}]}",
     "layers[0].nodes has 4097 elements, expected an array of at most 4096 objects"},
    {4096, CUSTOM "'nodes':[{'name':'a','sees':['0']}],'units':[", "{'name':'%zu'}", ",", "]}]}",
     "layers[0].units has 4097 elements, expected an array of at most 4096 objects"},
    {4096, CUSTOM "'units':[{'name':'u'}],'nodes':[{'name':'a','sees':[", "'u'", ",", "]}]}]}",
     "layers[0].nodes[0].sees has 4097 elements, expected an array of at most 4096 names"},
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
