/* docs/model.md: every JSON example makes a model that trains, and every key of the configuration
 * is explained. Runs from the top of the tree. */
#include "family.h"

static const char *const path = "docs/model.md";

/* malloc'd, with a final zero. */
static char *read_document(void) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file);
    REQUIRE(fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    REQUIRE(size > 0);
    rewind(file);
    char *bytes = malloc((size_t)size + 1);
    REQUIRE(bytes);
    REQUIRE(fread(bytes, 1, (size_t)size, file) == (size_t)size);
    bytes[size] = '\0';
    fclose(file);
    return bytes;
}

/* ------------------------------------------------------------------------------------- examples */

/* A few steps on rows of zeros and ones, one id in each field. */
static void check_trains(home_model *model) {
    enum { ROWS = 8, MAX_WIDTH = 64, MAX_FIELDS = 8, MAX_TASKS = 8, STEPS = 3 };
    const size_t width = home_model_dense_width(model);
    const size_t tasks = home_model_task_count(model);
    const size_t fields = home_model_field_count(model);
    REQUIRE(width <= MAX_WIDTH && tasks <= MAX_TASKS && fields <= MAX_FIELDS);
    float dense[ROWS * MAX_WIDTH];
    float labels[ROWS * MAX_TASKS];
    uint64_t ids[ROWS];
    home_ids columns[MAX_FIELDS];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++)
        dense[i] = (float)(random_bits(&seed) % 2);
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        labels[i] = (float)(random_bits(&seed) % 2);
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i;
    for (size_t f = 0; f < MAX_FIELDS; f++)
        columns[f] = (home_ids){.struct_size = sizeof(home_ids), .ids = ids, .offsets = NULL};
    const home_batch batch = {.struct_size = sizeof batch,
                              .rows = ROWS,
                              .dense = dense,
                              .fields = fields ? columns : NULL,
                              .field_count = fields};
    const home_targets targets = {.struct_size = sizeof targets, .labels = labels};
    for (int step = 0; step < STEPS; step++) {
        CHECK_INTEGER(home_model_forward(model, &batch, NULL, 0, NULL), HOME_OK);
        CHECK_INTEGER(home_model_backward(model, &targets, NULL, NULL), HOME_OK);
        CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    }
}

static void check_example(const char *json, size_t length) {
    home_error error = new_error();
    home_model *model = NULL;
    if (home_model_create_json(json, length, NULL, &model, &error) != HOME_OK) {
        test_fail(__FILE__, __LINE__, "%s: %s in:\n%.*s", path, error.message, (int)length, json);
        return;
    }
    check_trains(model);
    home_model_release(model);
}

static void examples_of_the_page_train(void) {
    static const char begin[] = "\n```json\n";
    static const char end[] = "\n```\n";
    char *document = read_document();
    int examples = 0;
    for (const char *at = strstr(document, begin); at; at = strstr(at, begin)) {
        at += sizeof begin - 1;
        const char *stop = strstr(at, end);
        REQUIRE(stop);
        check_example(at, (size_t)(stop - at));
        examples++;
        at = stop;
    }
    CHECK(examples >= 5);
    free(document);
}

/* ----------------------------------------------------------------------------------------- keys */

/* Is there `key`, `section.key` or `section.key[]...`? */
static bool explained(const char *document, const char *key, size_t length) {
    for (const char *at = strstr(document, key); at; at = strstr(at + 1, key)) {
        const bool begins = at > document && strchr("`.", at[-1]);
        if (begins && at[length] && strchr("`.[", at[length]))
            return true;
    }
    return false;
}

/* A configuration that has every key there is. */
static const char complete[] =
    "{'preset':'custom','dense':2,'tables':[{'name':'id','rows':3,'dim':1}],'fields':[{'name':'id'}"
    "],"
    "'tasks':[{'name':'a'},{'name':'b','given':'a'}],'layers':[{'width':2,'units':[{'name':'a','"
    "input':'v'}],"
    "'nodes':[{'name':'a','sees':['a'],'gate':['a'],'self':'a','self_kind':'static'},"
    "{'name':'b','sees':['a']}]}]}";

static void every_key_is_explained(void) {
    char *document = read_document();
    home_model *model = model_from(complete);
    const char *json = home_model_config_json(model);
    int keys = 0;
    for (const char *at = strchr(json, '"'); at; at = strchr(at, '"')) {
        const char *key = at + 1;
        const char *stop = strchr(key, '"');
        REQUIRE(stop);
        at = stop + 1;
        if (*at != ':')
            continue;
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(stop - key), key);
        if (!explained(document, name, strlen(name)))
            test_fail(__FILE__, __LINE__, "%s does not explain %s", path, name);
        keys++;
    }
    CHECK(keys > 60);
    CHECK(!explained(document, "no_such_key", 11));
    home_model_release(model);
    free(document);
}

/* The defaults that the page promises. */
static void defaults_are_as_the_page_says(void) {
    static const char *const promised[][2] = {
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"feature_rank\":4"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"feature_rank\":2"},
        {"'dense':1,'layers':[{'width':5},{'width':5}]", "\"feature_rank\":1"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"feature_gates\":true"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]",
         "\"experts\":{\"norm\":\"batch\",\"activation\":\"swish\",\"hidden_activation\":\"swish\","
         "\"bias_before_norm\":false,\"norm_epsilon\":0.00001,\"norm_momentum\":0."
         "1}"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]",
         "\"feature_gate\":{\"order\":\"sigmoid_first\",\"init\":\"zero\"}"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]",
         "\"gate\":{\"hidden\":[],\"activation\":\"relu\",\"input\":\"gated\"}"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"self_gate\":{\"on\":true"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"swish_beta\":1,"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"uncertainty\":false"},
        {"'dense':9,'layers':[{'width':5},{'width':5}]",
         "\"group\":\"all\",\"weight\":1,\"loss\":\"bce\""},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"kind\":\"adam\""},
        {"'dense':9,'layers':[{'width':5},{'width':5}]", "\"embedding_kind\":\"rowwise_adagrad\""},
        {"'preset':'mmoe','dense':9,'layers':[{'width':5}]", "\"self_gate\":{\"on\":false"},
        {"'preset':'mmoe','dense':9,'layers':[{'width':5}]", "\"feature_gates\":false"},
        {"'preset':'mmoe','dense':9,'layers':[{'width':5}]",
         "\"experts\":{\"norm\":\"none\",\"activation\":\"relu\",\"hidden_activation\":\"relu\""},
        {"'preset':'cgc','dense':9,'layers':[{'width':5}]", "\"self_gate\":{\"on\":false"},
        {"'preset':'ple','dense':9,'layers':[{'width':5},{'width':5}]",
         "\"self_gate\":{\"on\":false"},
        {"'preset':'adatt','dense':9,'layers':[{'width':5}]", "\"self_gate\":{\"on\":true"},
        {"'preset':'adatt-sp','dense':9,'layers':[{'width':5}]", "\"self_gate\":{\"on\":true"},
        {"'dense':9,'layers':[{'width':5},{'width':5}],'optimizer':{'kind':'adamw'}",
         "\"weight_decay\":0.01"},
    };
    for (size_t i = 0; i < sizeof promised / sizeof *promised; i++) {
        text t = {.length = 0};
        text_add(&t, "{%s,'tasks':[{'name':'a'}]}", promised[i][0]);
        home_model *model = model_from(t.bytes);
        CHECK_CONTAINS(home_model_config_json(model), promised[i][1]);
        home_model_release(model);
    }
}

int main(void) {
    RUN(examples_of_the_page_train);
    RUN(every_key_is_explained);
    RUN(defaults_are_as_the_page_says);
    return test_summary();
}
