/* home_config_check() and its JSON form: every error of a configuration is told once, with its
 * place as the caller knows it, and nothing that only follows from another. */
#include "test.h"
#include "unit/fixture.h"

enum { MAX_FOUND = 64 };

typedef struct findings {
    size_t count;
    size_t stop_at; /* after so many; 0: never */
    char where[MAX_FOUND][80];
    home_error errors[MAX_FOUND];
} findings;

static int32_t take(void *user, const char *where, const home_error *found) {
    findings *all = user;
    REQUIRE(all->count < MAX_FOUND);
    snprintf(all->where[all->count], sizeof all->where[0], "%s", where);
    all->errors[all->count++] = *found;
    return all->count == all->stop_at ? -7 : 0;
}

/* Exactly these messages, in this order; each begins with its place. */
static void check_findings(const findings *all, const char *const *messages, size_t count) {
    if (!CHECK_INTEGER(all->count, count))
        for (size_t i = 0; i < all->count; i++)
            printf("%s\n", all->errors[i].message);
    for (size_t i = 0; i < count && i < all->count; i++) {
        const char *message = all->errors[i].message;
        if (!CHECK(strcmp(message, messages[i]) == 0))
            printf("it is:    %s\nnot this: %s\n", message, messages[i]);
        const size_t length = strlen(all->where[i]);
        CHECK(length > 0 && strncmp(message, all->where[i], length) == 0);
        CHECK(message[length] && strchr(" :.", message[length]));
    }
}

/* Whatever is wrong, the first error is that of home_model_create_json(). */
static void check_json(const char *text, const char *const *messages, size_t count) {
    char json[4000];
    size_t length = 0;
    for (; text[length]; length++)
        json[length] = (char)(text[length] == '\'' ? '"' : text[length]);
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    const home_create_options options = {.struct_size = sizeof options, .allocator = &allocator};
    findings all = {0};
    home_error first = new_error();
    home_error created = new_error();
    home_model *model = NULL;
    const home_status status = home_config_check_json(json, length, &options, take, &all, &first);
    check_findings(&all, messages, count);
    CHECK_INTEGER(m.live, 0);
    CHECK_INTEGER(status, home_model_create_json(json, length, NULL, &model, &created));
    CHECK(strcmp(first.message, created.message) == 0);
    CHECK(count == 0 || strcmp(first.message, messages[0]) == 0);
    CHECK_INTEGER(home_config_check_json(json, length, NULL, NULL, NULL, NULL), status);
    home_model_release(model);
}

#define CHECK_JSON(text, ...)                                                                      \
    check_json(text, (const char *const[]){__VA_ARGS__},                                           \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void a_good_text_has_no_error(void) {
    check_json("{'dense':3,'tasks':[{'name':'a'}],'layers':[{'width':2},{'width':2}]}", NULL, 0);
    check_json(full_json, NULL, 0);
}

static void all_errors_of_a_text_are_told(void) {
    CHECK_JSON(
        ("{'sead':1,'dense':3,'tasks':[{'name':'a','weight':-1,'loss':'hinge'},{'name':'b.c'},"
         "{'name':'d','colour':'red'}],'layers':[{'width':0,'hidden':[4,0,'x']},"
         "{'width':2,'feature_branches':65}],'swish_beta':0,"
         "'experts':{'norm':'layer','norm_momentum':1.00000005},"
         "'optimizer':{'kind':'rowwise_adagrad','embedding_kind':'sgd','beta1':1}}"),
        "sead: there is no key of this name",
        "tasks[0].weight is -1, expected a number from 0 to below 1e+30",
        "tasks[0].loss is \"hinge\", expected \"bce\" or \"squared\"",
        "tasks[2].colour: there is no key of this name",
        "layers[0].width is 0, expected a whole number from 1 to 16777216",
        "layers[0].hidden[1] is 0, expected a whole number from 1 to 16777216",
        "layers[0].hidden[2] is \"x\", expected a whole number from 1 to 16777216",
        "layers[1].feature_branches is 65, expected a whole number from 1 to 64",
        "swish_beta is 0, expected a number from 1e-06 to below 1e+06",
        "experts.norm is \"layer\", expected \"none\" or \"batch\"",
        "experts.norm_momentum is 1.00000005, expected a number from 0 to 1",
        ("optimizer.kind is \"rowwise_adagrad\", expected \"adam\", \"sgd\", \"adamw\" or "
         "\"adagrad\""),
        ("optimizer.embedding_kind is \"sgd\", expected \"adam\", \"rowwise_adagrad\" or "
         "\"adagrad\""),
        "optimizer.beta1 is 1, expected a number from 0 to below 1",
        "tasks[1].name is \"b.c\", expected a name without a dot");
}

/* What is missing, and what contradicts something else. */
static void errors_between_fields_are_told(void) {
    CHECK_JSON("{'dense':3,'tables':[{'name':'t','rows':2,'dim':1},{'name':'t','rows':2,'dim':1}],"
               "'fields':[{'name':'f','table':'t'},{'name':'f','table':'t'}],"
               "'tasks':[{'name':'a'},{'name':'a'},{'name':'shared'}],"
               "'layers':[{'width':1,'task_experts':2},{'shared_experts':0},{'width':2}]}",
               "tables[1].name is \"t\", expected a name that no other table has",
               "fields[1].name is \"f\", expected a name that no other field has",
               ("tasks[1].name is \"a\", expected a name that no other task or group has, and not "
                "\"shared\""),
               ("tasks[2].name is \"shared\", expected a name that no other task or group has, and "
                "not \"shared\""),
               "layers has 3 elements, expected 2 for the preset home");
    CHECK_JSON("{'preset':'ple','dense':3,'tasks':[{'name':'a','given':'b'},{'name':'b'},{'name':"
               "'c','loss':'squared','base_rate':0.5,'given':'a'}],"
               "'layers':[{'group_experts':2},{'width':2,'shared_experts':0,'units':[{'name':'u'}]}"
               "]}",
               "tasks[2].base_rate is 0.5, expected 0 for a squared error",
               "layers[0].width is missing, expected a whole number from 1 to 16777216",
               ("layers[0].group_experts is 2, expected 0: this layer of the preset has no such "
                "units"),
               "layers[1].shared_experts is 0, expected a whole number from 1 to 1024",
               "layers[1].units has 1 element, expected 0 unless the preset is custom");
}

/* One mistake, one error. */
static void what_follows_from_an_error_is_not_told(void) {
    /* a preset that is not known: not how many layers it has, nor which units */
    CHECK_JSON(("{'preset':'away','dense':3,'tasks':[{'name':'a'}],'layers':[{'width':0,"
                "'shared_experts':7}]}"),
               ("preset is \"away\", expected \"home\", \"shared-bottom\", \"mmoe\", \"cgc\", "
                "\"ple\", \"adatt-sp\", \"adatt\" or \"custom\""),
               "layers[0].width is 0, expected a whole number from 1 to 16777216");
    /* a table without a good name: not the fields that use it */
    CHECK_JSON(
        ("{'dense':3,'tables':[{'name':'a.b','rows':2,'dim':1}],'fields':[{'name':'f','table':"
         "'a.b'}],'tasks':[{'name':'a'}],'layers':[{'width':2},{'width':2}]}"),
        "tables[0].name is \"a.b\", expected a name without a dot",
        "fields[0].table is \"a.b\", expected a name without a dot");
    CHECK_JSON(("{'tables':5,'fields':[{'name':'f'}],'tasks':[{'name':'a'}],"
                "'layers':[{'width':2},{'width':2}]}"),
               "tables is 5, expected an array of at most 4096 objects");
    CHECK_JSON("{'dense':'3','tasks':{},'layers':true}",
               "dense is \"3\", expected a whole number from 0 to 16777216",
               "tasks is {}, expected an array of 1 to 1024 objects",
               "layers is true, expected an array of at most 4096 objects");
    CHECK_JSON("{'dense':3,'tasks':[7,{'name':'b'}],'layers':[{'width':2},[]]}",
               "tasks[0] is 7, expected an object", "layers[1] is [], expected an object");
    CHECK_JSON(("{'dense':3,'tasks':[{'name':5},{'name':'b','given':'a'}],'layers':[{'width':2},"
                "{'width':2}]}"),
               "tasks[0].name is 5, expected a string without zero bytes");
}

static void names_of_dense_values_are_checked(void) {
    check_json(
        "{'dense':2,'dense_names':['a b','c d'],'tasks':[{'name':'a'}],'layers':[{'width':2},"
        "{'width':2}]}",
        NULL, 0);
    CHECK_JSON(("{'dense':2,'dense_names':['a'],'tasks':[{'name':'a'}],'layers':[{'width':2},{"
                "'width':2}]}"),
               "dense_names has 1 name, expected none or one for each of 2 dense values");
    CHECK_JSON(
        ("{'dense':3,'dense_names':['a','','a'],'tasks':[{'name':'a'}],'layers':[{'width':2},"
         "{'width':2}]}"),
        "dense_names[1] is \"\", expected a name",
        "dense_names[2] is \"a\", expected a name that no other dense value has");
    CHECK_JSON(("{'dense':2,'dense_names':['a',5],'tasks':[{'name':'a'}],'layers':[{'width':2},{"
                "'width':2}]}"),
               "dense_names[1] is 5, expected a string without zero bytes");
}

/* Who sees whom is looked at when all else is right, and then to the end. */
static void errors_of_a_topology_are_told(void) {
    CHECK_JSON(
        ("{'preset':'custom','dense':3,'tasks':[{'name':'a'},{'name':'b'}],'layers':[{'width':"
         "2,'units':[{'name':'u','input':'w'},{'name':'w'}],'nodes':[{'name':'a','sees':['u',"
         "'x','u'],'gate':['y'],'self':'z'},{'name':'c','sees':['w']}]}]}"),
        ("layers[0].units[0].input is \"w\", expected \"v\" or nothing: the first layer reads "
         "the model's input"),
        "layers[0].nodes[0].sees[1] is \"x\", expected the name of a unit of this layer",
        "layers[0].nodes[0].sees[2] is \"u\", expected each unit once",
        "layers[0].nodes[0].gate[0] is \"y\", expected the name of a unit of this layer",
        "layers[0].nodes[0].self is \"z\", expected the name of a unit of this layer",
        "tasks[1].name is \"b\", expected the name of a node of the last layer");
    CHECK_JSON(
        ("{'preset':'custom','dense':3,'tasks':[{'name':'a'}],'layers':[{'width':2,'units':[{"
         "'name':'u'},{'name':'w'}],'nodes':[{'name':'a','sees':['u']}]}]}"),
        "layers[0]: unit \"w\" is unseen, expected at least one node that sees it");
    CHECK_JSON(("{'preset':'cgc','dense':3,'tasks':[{'name':'a'}],'layers':[{'width':2,'nodes':[{"
                "'name':'x','sees':['a']},{'name':'a','sees':['y']}]}]}"),
               "layers[0].nodes[0].name is \"x\", expected the name of a node of this layer",
               "layers[0].nodes[1].sees[0] is \"y\", expected the name of a unit of this layer");
}

static void errors_of_a_struct_name_its_fields(void) {
    setup s;
    setup_small(&s);
    s.config.dense_width = 999999999;
    s.tables[0].rows = 0;
    s.tables[1].name = "user";
    s.fields[0].pooling = 7;
    s.tasks[0].weight = -1;
    s.tasks[2].group = "shared";
    s.layers[0].hidden = NULL;
    s.layers[1].task_experts = 4096;
    s.config.tower_activation = 9;
    s.config.reserved2 = 1;
    s.optimizer.beta1 = 1;
    s.config.optimizer = &s.optimizer;
    s.config.isa = "sse9";
    static const char *const expected[] = {
        "config.dense_width is 999999999, expected a whole number from 0 to 16777216",
        "config.tables[0].rows is 0, expected a whole number from 1",
        "config.tables[1].name is \"user\", expected a name that no other table has",
        "config.fields[0].pooling is 7, expected 0, \"sum\" (1) or \"mean\" (2)",
        "config.tasks[0].weight is -1, expected a number from 0 to below 1e+30",
        "config.tasks[2].group is \"shared\", expected another name",
        "config.layers[0].hidden is NULL, expected 1 element",
        "config.layers[1].task_experts is 4096, expected a whole number from 1 to 1024",
        "config.tower_activation is 9, expected 0, \"relu\" (1) or \"swish\" (2)",
        "config.reserved2 is 1, expected 0",
        "config.optimizer.beta1 is 1, expected a number from 0 to below 1",
        "config.isa is \"sse9\", expected \"portable\", \"avx2\", \"avx512\" or \"neon\"",
    };
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    s.config.allocator = &allocator;
    findings all = {0};
    home_error error = new_error();
    CHECK_INTEGER(home_config_check(&s.config, take, &all, &error), HOME_E_CONFIG);
    check_findings(&all, expected, sizeof expected / sizeof *expected);
    CHECK(strcmp(error.message, expected[0]) == 0);
    CHECK_INTEGER(m.live, 0);
    setup_small(&s);
    all.count = 0;
    CHECK_INTEGER(home_config_check(&s.config, take, &all, &error), HOME_OK);
    CHECK_INTEGER(all.count, 0);
}

/* Elements whose size is wrong: where the next one lies is not known, so there are none. */
static void a_wrong_struct_size_is_one_error(void) {
    setup s;
    setup_small(&s);
    s.tasks[1].struct_size = 8;
    s.layers[0].width = 0;
    static const char *const expected[] = {
        "config.tasks[1].struct_size is 8, expected 64, that of the first",
        "config.layers[0].width is 0, expected a whole number from 1 to 16777216",
    };
    findings all = {0};
    CHECK_INTEGER(home_config_check(&s.config, take, &all, NULL), HOME_E_CONFIG);
    if (sizeof(home_task_config) == 64)
        check_findings(&all, expected, 2);
}

static void the_callback_may_end_it(void) {
    static const char json[] = "{\"a\":1,\"b\":2,\"c\":3}";
    for (size_t stop_at = 1; stop_at <= 4; stop_at++) {
        findings all = {.stop_at = stop_at};
        home_error error = new_error();
        CHECK_INTEGER(home_config_check_json(json, sizeof json - 1, NULL, take, &all, &error),
                      HOME_E_CONFIG);
        CHECK_INTEGER(all.count, stop_at);
        CHECK(strcmp(error.message, "a: there is no key of this name") == 0);
    }
}

static void a_text_that_is_not_json_is_one_error(void) {
    findings all = {0};
    home_error error = new_error();
    CHECK_INTEGER(home_config_check_json("{\"a\":", 5, NULL, take, &all, &error), HOME_E_JSON);
    CHECK_INTEGER(all.count, 1);
    CHECK_INTEGER(all.errors[0].status, HOME_E_JSON);
    CHECK(strcmp(all.where[0], "") == 0);
    CHECK_CONTAINS(error.message, "line 1, column 6");
    all.count = 0;
    CHECK_INTEGER(home_config_check_json("[]", 2, NULL, take, &all, &error), HOME_E_CONFIG);
    CHECK_INTEGER(all.count, 1);
    CHECK(strcmp(error.message, "the configuration is [], expected an object") == 0);
}

/* Sizes are errors too, though nothing is allocated. */
static void what_is_too_large_is_told(void) {
    findings all = {0};
    static const char json[] =
        "{\"dense\":1,\"tables\":[{\"name\":\"a\",\"rows\":18446744073709551615,\"dim\":9},"
        "{\"name\":\"b\",\"rows\":9223372036854775808,\"dim\":9}],\"tasks\":[{\"name\":\"a\"}],"
        "\"layers\":[{\"width\":2},{\"width\":2}]}";
    CHECK_INTEGER(home_config_check_json(json, sizeof json - 1, NULL, take, &all, NULL),
                  HOME_E_TOO_LARGE);
    CHECK_INTEGER(all.count, 2);
    CHECK(strcmp(all.where[1], "tables[1]") == 0);
    CHECK_INTEGER(all.errors[1].status, HOME_E_TOO_LARGE);
}

/* Where a limit of memory ends the search, the first error is the one that ends the making. */
static void any_limit_of_memory_is_told_alike(void) {
    static const char *const texts[] = {
        "{\"dense\":1,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":9000},{\"width\":2}]}",
        "{\"dense\":0,\"seed\":-1,\"isa\":\"x\",\"tasks\":[{\"name\":\"\"}],\"layers\":[{\"width\":"
        "0}]}"};
    for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++)
        for (uint64_t limit = 1; limit < 40000; limit += 7) {
            const home_create_options options = {.struct_size = sizeof options,
                                                 .memory_limit = limit};
            findings all = {0};
            home_error created = new_error();
            home_model *model = NULL;
            const size_t length = strlen(texts[t]);
            const home_status status =
                home_model_create_json(texts[t], length, &options, &model, &created);
            REQUIRE(status != HOME_OK);
            CHECK_INTEGER(home_config_check_json(texts[t], length, &options, take, &all, NULL),
                          status);
            REQUIRE(all.count > 0);
            CHECK(strcmp(all.errors[0].message, created.message) == 0);
        }
}

/* Many errors, in long paths: each is told once, in linear time. */
static int32_t count_finding(void *user, const char *where, const home_error *found) {
    (void)where;
    (void)found;
    ++*(size_t *)user;
    return 0;
}

static void a_hundred_thousand_errors_are_told(void) {
    enum { KEYS = 100000 };
    char *json = malloc((size_t)KEYS * 16);
    REQUIRE(json);
    size_t length = (size_t)sprintf(json, "{");
    for (int i = 0; i < KEYS; i++)
        length += (size_t)sprintf(json + length, "%s\"key%d\":0", i ? "," : "", i);
    length += (size_t)sprintf(json + length, "}");
    size_t found = 0;
    CHECK_INTEGER(home_config_check_json(json, length, NULL, count_finding, &found, NULL),
                  HOME_E_CONFIG);
    CHECK_INTEGER(found, KEYS + 3); /* and dense, tasks and layers are missing */
    free(json);
}

static void bad_arguments_are_refused(void) {
    setup s;
    setup_small(&s);
    meter m;
    home_allocator allocator = meter_allocator(&m);
    allocator.release = NULL;
    home_create_options options = {.struct_size = sizeof options};
    home_error error = new_error();
    home_model *model = NULL;
    findings all = {0};
    CHECK_INTEGER(home_config_check(NULL, take, &all, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "config is NULL");
    CHECK_INTEGER(home_config_check_json(NULL, 2, NULL, take, &all, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "json is NULL");
    s.config.allocator = &allocator;
    CHECK_INTEGER(home_config_check(&s.config, take, &all, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "allocator");
    options.allocator = &allocator;
    CHECK_INTEGER(home_config_check_json("{}", 2, &options, take, &all, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "allocator");
    CHECK_INTEGER(home_model_create_json("{}", 2, &options, &model, &error), HOME_E_ARGUMENT);
    options.allocator = NULL;
    options.isa = "sse9";
    CHECK_INTEGER(home_config_check_json("{}", 2, &options, take, &all, &error), HOME_E_ARGUMENT);
    CHECK(strcmp(error.message, "options.isa is \"sse9\", expected \"portable\", \"avx2\", "
                                "\"avx512\" or \"neon\"") == 0);
    CHECK_INTEGER(home_model_create_json("{}", 2, &options, &model, &error), HOME_E_ARGUMENT);
    options.isa = NULL;
    static const size_t sizes[] = {0, 1, 2 * sizeof(size_t) - 1, sizeof(size_t)};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        options.struct_size = sizes[i];
        CHECK_INTEGER(home_config_check_json("{}", 2, &options, take, &all, &error),
                      HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "options.struct_size");
        CHECK_INTEGER(home_model_create_json("{}", 2, &options, &model, &error), HOME_E_ARGUMENT);
    }
    CHECK_INTEGER(all.count, 0);
    CHECK(!model);
}

int main(void) {
    RUN(a_good_text_has_no_error);
    RUN(all_errors_of_a_text_are_told);
    RUN(errors_between_fields_are_told);
    RUN(what_follows_from_an_error_is_not_told);
    RUN(names_of_dense_values_are_checked);
    RUN(errors_of_a_topology_are_told);
    RUN(errors_of_a_struct_name_its_fields);
    RUN(a_wrong_struct_size_is_one_error);
    RUN(the_callback_may_end_it);
    RUN(a_text_that_is_not_json_is_one_error);
    RUN(what_is_too_large_is_told);
    RUN(any_limit_of_memory_is_told_alike);
    RUN(a_hundred_thousand_errors_are_told);
    RUN(bad_arguments_are_refused);
    return test_summary();
}
