/* What values of a configuration come to: 0 where it is meant, what is stored of it, and how much
 * memory it may ask for. */
#include "test.h"
#include "unit/fixture.h"

#include "host/json.h"
#include "host/memory.h"

#include <stddef.h>

/* ---------------------------------------------------------------------------------------- zeros */

/* Fields of type double whose 0 means a default, and where 0 itself means something. */
static const struct {
    size_t offset; /* in a setup */
    const char *usual;
    const char *zero;
} zeros[] = {
    {offsetof(setup, tables[0].init_std), "\"init_std\":0.01", "\"init_std\":0}"},
    {offsetof(setup, tasks[0].weight), "\"group\":\"inter\",\"weight\":1",
     "\"group\":\"inter\",\"weight\":0,"},
    {offsetof(setup, config.norm_momentum), "\"norm_momentum\":0.1", "\"norm_momentum\":0}"},
    {offsetof(setup, optimizer.learning_rate), ",\"learning_rate\":0.001", ",\"learning_rate\":0,"},
    {offsetof(setup, optimizer.beta1), "\"beta1\":0.9", "\"beta1\":0,"},
    {offsetof(setup, optimizer.beta2), "\"beta2\":0.999", "\"beta2\":0,"},
    {offsetof(setup, optimizer.momentum), "\"momentum\":0,", "\"momentum\":0,"},
    {offsetof(setup, optimizer.weight_decay), "\"weight_decay\":0.01", "\"weight_decay\":0,"},
    {offsetof(setup, optimizer.clip_norm), "\"clip_norm\":0,", "\"clip_norm\":0,"},
    {offsetof(setup, optimizer.embedding_learning_rate), "\"embedding_learning_rate\":0.01",
     "\"embedding_learning_rate\":0,"},
};
enum { ZEROS = sizeof zeros / sizeof *zeros };

static void setup_zero(setup *s, size_t i, double value) {
    setup_small(s);
    s->optimizer.kind = HOME_OPTIMIZER_ADAMW; /* whose decay is not 0 by default */
    s->config.optimizer = &s->optimizer;
    if (i < ZEROS)
        memcpy((char *)s + zeros[i].offset, &value, sizeof value);
}

static home_model *load_again(const home_model *model) {
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    home_model *loaded = NULL;
    CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, NULL), HOME_OK);
    REQUIRE(loaded);
    free(bytes);
    return loaded;
}

/* The same configuration, also through its text, a checkpoint and a frozen copy. */
static void check_keeps(const home_model *model) {
    const char *text = home_model_config_json(model);
    home_error error = new_error();
    home_model *again = NULL;
    if (!CHECK_INTEGER(home_model_create_json(text, strlen(text), NULL, &again, &error), HOME_OK))
        printf("%s\n%s\n", error.message, text);
    REQUIRE(again);
    CHECK(strcmp(home_model_config_json(again), text) == 0);
    home_model_release(again);
    again = load_again(model);
    if (!CHECK(strcmp(home_model_config_json(again), text) == 0))
        printf("%s\n%s\n", home_model_config_json(again), text);
    home_model_release(again);
    REQUIRE(home_model_freeze(model, &again, NULL) == HOME_OK);
    CHECK(strcmp(home_model_config_json(again), text) == 0);
    home_model_release(again);
}

static void zero_is_a_default_and_HOME_ZERO_is_zero(void) {
    for (size_t i = 0; i < ZEROS; i++) {
        setup s;
        setup_zero(&s, i, 0);
        home_model *usual = make_model(&s);
        CHECK_CONTAINS(home_model_config_json(usual), zeros[i].usual);
        check_keeps(usual);
        setup_zero(&s, i, HOME_ZERO);
        home_model *zero = make_model(&s);
        CHECK_CONTAINS(home_model_config_json(zero), zeros[i].zero);
        check_keeps(zero);
        home_model_release(usual);
        home_model_release(zero);
    }
}

static float *copy_parameters(const home_model *model, const char *name, size_t *count) {
    const home_tensor tensor = tensor_of(model, name);
    *count = tensor_size(&tensor);
    float *copy = malloc(*count * sizeof *copy);
    REQUIRE(copy);
    memcpy(copy, tensor.data, *count * sizeof *copy);
    return copy;
}

/* Whether a tensor is as before after a step of a model with a zero. */
static bool stays(size_t zero, const char *name) {
    setup s;
    setup_zero(&s, zero, HOME_ZERO);
    data d;
    data_create(&d, &s.config, 20, 5);
    home_model *model = make_model(&s);
    size_t count;
    float *before = copy_parameters(model, name, &count);
    train_step(model, &d);
    float *after = copy_parameters(model, name, &count);
    const bool same = memcmp(before, after, count * sizeof *before) == 0;
    free(before);
    free(after);
    home_model_release(model);
    data_free(&d);
    return same;
}

static size_t zero_of(size_t offset) {
    size_t i = 0;
    while (i < ZEROS && zeros[i].offset != offset)
        i++;
    REQUIRE(i < ZEROS);
    return i;
}

/* What is trained without any zero stays where the rate, the momentum or the weight is 0. */
static void zeros_do_what_they_say(void) {
    static const char dense[] = "towers.like.linear.0.weight";
    static const char statistic[] = "layers.0.units.shared.experts.0.norm.running_mean";
    static const char table[] = "embeddings.user.weight";
    CHECK(!stays(ZEROS, dense) && !stays(ZEROS, statistic) && !stays(ZEROS, table));
    CHECK(stays(zero_of(offsetof(setup, optimizer.learning_rate)), dense));
    CHECK(!stays(zero_of(offsetof(setup, optimizer.learning_rate)), table));
    CHECK(stays(zero_of(offsetof(setup, optimizer.embedding_learning_rate)), table));
    CHECK(stays(zero_of(offsetof(setup, config.norm_momentum)), statistic));
    CHECK(!stays(zero_of(offsetof(setup, config.norm_momentum)), dense));
    setup s;
    setup_zero(&s, zero_of(offsetof(setup, tables[0].init_std)), HOME_ZERO);
    home_model *model = make_model(&s);
    const home_tensor weights = tensor_of(model, table);
    for (size_t i = 0; i < tensor_size(&weights); i++)
        CHECK(weights.data[i] == 0);
    home_model_release(model);
}

/* A task of weight 0 is measured, and trains nothing. */
static void a_task_of_weight_zero_trains_nothing(void) {
    setup s;
    setup_zero(&s, zero_of(offsetof(setup, tasks[0].weight)), HOME_ZERO);
    s.optimizer.weight_decay = HOME_ZERO;
    data d;
    data_create(&d, &s.config, 20, 5);
    home_model *model = make_model(&s);
    size_t count;
    float losses[3];
    float *before = copy_parameters(model, "towers.like.linear.0.weight", &count);
    REQUIRE(home_model_forward(model, &d.batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &d.targets, losses, NULL) == HOME_OK);
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
    CHECK(losses[0] > 0);
    float *after = copy_parameters(model, "towers.like.linear.0.weight", &count);
    CHECK_BYTES(after, before, count * sizeof *before);
    free(before);
    free(after);
    home_model_release(model);
    data_free(&d);
}

/* Sizes too: a 0 that is written is no default. */
static void a_written_zero_is_refused_where_it_means_nothing(void) {
    static const char *const keys[] = {"\"shared_experts\":0", "\"group_experts\":0",
                                       "\"feature_branches\":0", "\"feature_rank\":0",
                                       "\"width\":0"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char json[200];
        snprintf(json, sizeof json,
                 "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{%s%s},{\"width\":2}]}",
                 i == 4 ? "" : "\"width\":2,", keys[i]);
        home_model *model = NULL;
        home_error error = new_error();
        CHECK_INTEGER(home_model_create_json(json, strlen(json), NULL, &model, &error),
                      HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, " is 0, expected a whole number from 1 to");
    }
}

/* ------------------------------------------------------------------------------- what is stored */

/* The configuration in a checkpoint, unescaped; malloc'd. */
static char *stored_text(const home_model *model) {
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    uint64_t header;
    memcpy(&header, bytes, sizeof header);
    home_allocator allocator;
    homememory_resolve(NULL, &allocator, NULL);
    homejson *document = NULL;
    REQUIRE(homejson_parse(&allocator, (const char *)bytes + 8, (size_t)header, &document, NULL) ==
            HOME_OK);
    const homejson_value *metadata = homejson_member(homejson_root(document), "__metadata__");
    const homejson_value *config = homejson_member(metadata, "home.config");
    REQUIRE(config);
    char *text = malloc(config->length + 1u);
    REQUIRE(text);
    memcpy(text, config->text, config->length + 1u);
    homejson_free(document);
    free(bytes);
    return text;
}

static void check_stored(const char *json, const char *expected) {
    home_model *model = NULL;
    REQUIRE(home_model_create_json(json, strlen(json), NULL, &model, NULL) == HOME_OK);
    char *text = stored_text(model);
    if (!CHECK(strcmp(text, expected) == 0))
        printf("it is:    %s\nnot this: %s\n", text, expected);
    free(text);
    check_keeps(model);
    home_model_release(model);
}

#define SECTIONS "\"experts\":{},\"feature_gate\":{},\"gate\":{},\"self_gate\":{},\"tower\":{}"

static void only_what_differs_is_stored(void) {
    static const char plain[] =
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4}"
        ",{\"width\":4}]," SECTIONS "}";
    check_stored(plain, plain);
    /* Defaults that are written out are not stored either. */
    home_model *model = NULL;
    REQUIRE(home_model_create_json(plain, strlen(plain), NULL, &model, NULL) == HOME_OK);
    check_stored(home_model_config_json(model), plain);
    home_model_release(model);
    /* What differs is, also where a default depends on another field. */
    static const char other[] =
        "{\"preset\":\"mmoe\",\"seed\":9,\"dense\":8,\"dense_names\":[\"a\",\"b c\",\"d\",\"e\","
        "\"f\",\"g\",\"h\",\"i\"],\"tables\":[{\"name\":\"t\",\"rows\":2,\"dim\":1,\"index\":"
        "\"hashed\",\"init_std\":0}],\"fields\":[{\"name\":\"t\"},{\"name\":\"u\",\"table\":\"t\"}]"
        ",\"tasks\":[{\"name\":\"a\",\"weight\":0},{\"name\":\"b\",\"group\":\"g\",\"loss\":"
        "\"squared\"}],\"layers\":[{\"width\":4,\"hidden\":[3],\"shared_experts\":2,"
        "\"feature_gates\":true,\"feature_branches\":4,\"feature_rank\":5}],\"swish_beta\":2,"
        "\"experts\":{\"norm\":\"batch\"},\"feature_gate\":{},\"gate\":{\"hidden\":[2],"
        "\"activation\":\"swish\"},\"self_gate\":{},\"tower\":{},\"uncertainty\":true,"
        "\"optimizer\":{\"kind\":\"adamw\",\"weight_decay\":0}}";
    check_stored(other, other);
    static const char custom[] =
        "{\"preset\":\"custom\",\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4,"
        "\"units\":[{\"name\":\"u\"},{\"name\":\"w\",\"input\":\"v\",\"experts\":2}],\"nodes\":[{"
        "\"name\":\"a\",\"sees\":[\"u\",\"w\"],\"self\":\"u\",\"self_kind\":\"static\"}]}]"
        "," SECTIONS "}";
    check_stored(custom, custom);
}

/* A rank that is the default of other branches is no default. */
static void a_default_is_that_of_the_other_fields(void) {
    static const char *const changes[] = {
        "\"layers\":[{\"width\":4,\"feature_branches\":4,\"feature_rank\":4},{\"width\":4}]",
        "\"layers\":[{\"width\":4},{\"width\":4}],\"optimizer\":{\"kind\":\"adagrad\","
        "\"learning_rate\":0.001,\"epsilon\":1e-8}",
        "\"layers\":[{\"width\":4},{\"width\":4}],\"optimizer\":{\"embedding_kind\":\"adagrad\","
        "\"embedding_epsilon\":1e-8}",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char json[300];
        snprintf(json, sizeof json, "{\"dense\":8,\"tasks\":[{\"name\":\"a\"}],%s}", changes[i]);
        home_model *model = NULL;
        REQUIRE(home_model_create_json(json, strlen(json), NULL, &model, NULL) == HOME_OK);
        check_keeps(model);
        home_model_release(model);
    }
}

/* With a configuration in place of its own; malloc'd. Its checksum is left out. */
static unsigned char *with_config(const home_model *model, const char *config, size_t *length) {
    unsigned char *bytes = model_bytes(model, 0, length);
    uint64_t size;
    memcpy(&size, bytes, sizeof size);
    const char *header = (const char *)bytes + 8;
    const char *tensors = strstr(header, "},\"");
    REQUIRE(tensors && tensors < header + size);
    hometext text = {0};
    home_allocator allocator;
    homememory_resolve(NULL, &allocator, NULL);
    text.allocator = &allocator;
    hometext_add(&text, "{\"__metadata__\":{\"home.schema\":\"1\",\"home.config\":");
    hometext_add_string(&text, config);
    hometext_add_bytes(&text, tensors, (size_t)(header + size - tensors));
    while (text.length % 8)
        hometext_add(&text, " ");
    const size_t body = *length - 8 - (size_t)size;
    unsigned char *made = malloc(8 + text.length + body);
    REQUIRE(made && !text.failed);
    const uint64_t header_size = text.length;
    memcpy(made, &header_size, 8);
    memcpy(made + 8, text.data, text.length);
    memcpy(made + 8 + text.length, header + size, body);
    *length = 8 + text.length + body;
    homememory_free(&allocator, text.data);
    free(bytes);
    return made;
}

/* A checkpoint of 0.1 has all its configuration, and swish_beta among the experts; nobody else may
 * write it there. */
static void a_checkpoint_of_the_last_version_is_read(void) {
    static const char old[] =
        "{\"preset\":\"home\",\"seed\":0,\"dense\":3,\"tasks\":[{\"name\":\"a\",\"group\":\"all\","
        "\"weight\":1,\"loss\":\"bce\",\"base_rate\":0.5}],\"layers\":[{\"width\":4,\"hidden\":[],"
        "\"shared_experts\":1,\"group_experts\":1,\"task_experts\":0,\"feature_gates\":true,"
        "\"feature_branches\":2,\"feature_rank\":1},{\"width\":4,\"hidden\":[],\"shared_experts\":"
        "1,"
        "\"group_experts\":1,\"task_experts\":1,\"feature_gates\":true,\"feature_branches\":2,"
        "\"feature_rank\":2}],\"experts\":{\"norm\":\"batch\",\"activation\":\"swish\","
        "\"hidden_activation\":\"swish\",\"bias_before_norm\":false,\"swish_beta\":1.7,"
        "\"norm_epsilon\":0.00001,\"norm_momentum\":0.1},\"feature_gate\":{\"order\":"
        "\"sigmoid_first\",\"init\":\"zero\"},\"gate\":{\"hidden\":[],\"activation\":\"relu\","
        "\"input\":\"gated\"},\"self_gate\":{\"on\":true,\"hidden\":[],\"activation\":\"relu\","
        "\"input\":\"gated\"},\"tower\":{\"hidden\":[],\"activation\":\"relu\"},\"uncertainty\":"
        "false,\"optimizer\":{\"kind\":\"adam\",\"embedding_kind\":\"rowwise_adagrad\","
        "\"learning_rate\":0.001,\"beta1\":0.9,\"beta2\":0.999,\"epsilon\":1e-8,\"momentum\":0,"
        "\"weight_decay\":0,\"clip_norm\":0,\"embedding_learning_rate\":0.01,"
        "\"embedding_epsilon\":1e-8}}";
    static const char now[] =
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{"
        "\"width\":4}],\"swish_beta\":1.7," SECTIONS "}";
    home_error error = new_error();
    home_model *model = NULL;
    REQUIRE(home_model_create_json(now, sizeof now - 1, NULL, &model, NULL) == HOME_OK);
    size_t length;
    unsigned char *bytes = with_config(model, old, &length);
    home_model *loaded = NULL;
    if (!CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, &error), HOME_OK))
        printf("%s\n", error.message);
    REQUIRE(loaded);
    CHECK(strcmp(home_model_config_json(loaded), home_model_config_json(model)) == 0);
    CHECK_CONTAINS(home_model_config_json(loaded), "\"swish_beta\":1.7,\"experts\"");
    CHECK(same_model(loaded, model));
    home_model_release(loaded);
    home_model_release(model);
    free(bytes);
    CHECK_INTEGER(home_model_create_json(old, sizeof old - 1, NULL, &model, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "experts.swish_beta: there is no key of this name");
}

/* What this version does not know is of a later one, whatever it is. */
static void a_checkpoint_of_a_later_version_is_unsupported(void) {
    static const char *const later[] = {
        "{\"dense\":3,\"dropout\":0,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{"
        "\"width\":4}]}",
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\",\"focal_gamma\":0}],\"layers\":[{\"width\":4},{"
        "\"width\":4}]}",
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{\"width\":4}],"
        "\"experts\":{\"activation\":\"gelu\"}}",
        "{\"preset\":\"star\",\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{"
        "\"width\":4}]}",
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":99999999},{\"width\":4}]"
        "}",
    };
    static const char now[] =
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},{\"width\":4}]}";
    home_model *model = NULL;
    REQUIRE(home_model_create_json(now, sizeof now - 1, NULL, &model, NULL) == HOME_OK);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        size_t length;
        unsigned char *bytes = with_config(model, later[i], &length);
        home_model *loaded = NULL;
        CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, NULL),
                      HOME_E_UNSUPPORTED);
        free(bytes);
    }
    home_model_release(model);
}

/* --------------------------------------------------------------------------------------- memory */

/* Counts bytes. */
typedef struct account {
    size_t now;
    size_t most;
} account;

enum { BEFORE = 64 }; /* bytes for the size, and to keep the alignment */

static void *allocate(void *user, size_t bytes) {
    account *a = user;
    unsigned char *memory = malloc(bytes + BEFORE);
    if (!memory)
        return NULL;
    memcpy(memory, &bytes, sizeof bytes);
    a->now += bytes;
    a->most = a->now > a->most ? a->now : a->most;
    return memory + BEFORE;
}

static void release(void *user, void *memory) {
    account *a = user;
    size_t bytes;
    memcpy(&bytes, (unsigned char *)memory - BEFORE, sizeof bytes);
    a->now -= bytes;
    free((unsigned char *)memory - BEFORE);
}

static home_allocator account_allocator(account *a) {
    *a = (account){0};
    return (home_allocator){
        .struct_size = sizeof(home_allocator), .user = a, .allocate = allocate, .release = release};
}

/* An AdaTT of a few KB of text that would take gigabytes. */
static size_t write_greedy(char *json) {
    size_t length = (size_t)sprintf(json, "{\"preset\":\"adatt\",\"dense\":1,\"tasks\":[");
    for (int i = 0; i < 200; i++)
        length += (size_t)sprintf(json + length, "%s{\"name\":\"t%d\"}", i ? "," : "", i);
    length += (size_t)sprintf(json + length, "],\"layers\":[");
    for (int i = 0; i < 40; i++)
        length +=
            (size_t)sprintf(json + length, "%s{\"width\":9,\"task_experts\":20}", i ? "," : "");
    return length + (size_t)sprintf(json + length, "]}");
}

static void what_takes_more_than_the_limit_is_refused(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    const uint64_t bytes = home_model_bytes(model);
    home_model_release(model);
    account a;
    const home_allocator allocator = account_allocator(&a);
    home_error error = new_error();
    s.config.allocator = &allocator;
    s.config.memory_limit = bytes;
    model = NULL;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_OK);
    REQUIRE(model);
    home_model_release(model);
    s.config.memory_limit = bytes - 1;
    model = NULL;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_TOO_LARGE);
    char numbers[2][24];
    snprintf(numbers[0], sizeof numbers[0], "%llu", (unsigned long long)bytes);
    snprintf(numbers[1], sizeof numbers[1], "%llu", (unsigned long long)bytes - 1);
    CHECK_CONTAINS(error.message, numbers[0]);
    CHECK_CONTAINS(error.message, numbers[1]);
    CHECK_CONTAINS(error.message, "memory_limit");
    CHECK(!model && a.now == 0);
    CHECK_INTEGER(home_config_check(&s.config, NULL, NULL, &error), HOME_E_TOO_LARGE);
    s.config.memory_limit = 1;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_TOO_LARGE);
    CHECK(a.now == 0);
}

/* Refused when it has taken little, whatever it asks for. */
static void a_greedy_text_takes_no_more_than_its_limit(void) {
    enum { LIMIT = 4000000 };
    char *json = malloc(20000);
    REQUIRE(json);
    const size_t length = write_greedy(json);
    CHECK(length < 8192);
    account a;
    const home_allocator allocator = account_allocator(&a);
    const home_create_options options = {
        .struct_size = sizeof options, .allocator = &allocator, .memory_limit = LIMIT};
    home_error error = new_error();
    home_model *model = NULL;
    CHECK_INTEGER(home_model_create_json(json, length, &options, &model, &error), HOME_E_TOO_LARGE);
    CHECK_CONTAINS(error.message, "4000000");
    CHECK_CONTAINS(error.message, "memory_limit");
    CHECK(!model && a.now == 0);
    CHECK(a.most < LIMIT + 21 * length + 100000);
    CHECK_INTEGER(home_config_check_json(json, length, &options, NULL, NULL, &error),
                  HOME_E_TOO_LARGE);
    CHECK(a.now == 0);
    free(json);
}

/* home.h: 16 bytes for each byte of a text, and 64 KB. */
static void a_text_takes_memory_in_proportion(void) {
    static const char *const pieces[][3] = {
        {"[0", ",0", "]"},
        {"{\"layers\":[{\"width\":2,\"hidden\":[1", ",1", "]}]}"},
        {"{\"layers\":[{}", ",{}", "]}"},
        {"{\"layers\":[[]", ",[]", "]}"},
        {"{\"layers\":[{\"nodes\":[{\"sees\":[\"\"", ",\"\"", "]}]}]}"},
        {"{\"dense_names\":[\"a\"", ",\"a\"", "]}"},
        {"{\"a\":[{}", ",{}", "]}"},
    };
    enum { SIZE = 4000000 };
    char *json = malloc(SIZE + 100);
    REQUIRE(json);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t length = (size_t)sprintf(json, "%s", pieces[i][0]);
        const size_t piece = strlen(pieces[i][1]);
        for (; length < SIZE; length += piece)
            memcpy(json + length, pieces[i][1], piece);
        length += (size_t)sprintf(json + length, "%s", pieces[i][2]);
        account a;
        const home_allocator allocator = account_allocator(&a);
        const home_create_options options = {.struct_size = sizeof options,
                                             .allocator = &allocator};
        home_model *model = NULL;
        CHECK(home_model_create_json(json, length, &options, &model, NULL) != HOME_OK);
        if (!CHECK(a.most < 16 * length + 65536))
            printf("%s: %.1f bytes a byte\n", pieces[i][1], (double)a.most / (double)length);
        CHECK(a.now == 0);
    }
    free(json);
}

/* As dense as sensible configurations are, and with room to spare. */
static void the_densest_configurations_are_read(void) {
    char *json = malloc(400000);
    REQUIRE(json);
    size_t length =
        (size_t)sprintf(json, "{\"preset\":\"adatt-sp\",\"dense\":1,\"tasks\":[{\"name\":\"a\"}],"
                              "\"layers\":[");
    for (int i = 0; i < 64; i++)
        length += (size_t)sprintf(json + length,
                                  "%s{\"width\":1,\"hidden\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
                                  i ? "," : "");
    length += (size_t)sprintf(json + length, "]}");
    CHECK_INTEGER(home_config_check_json(json, length, NULL, NULL, NULL, NULL), HOME_OK);
    length =
        (size_t)sprintf(json, "{\"preset\":\"custom\",\"dense\":1,\"tasks\":[{\"name\":\"a\"}],"
                              "\"layers\":[{\"width\":1,\"units\":[");
    for (int i = 0; i < 4096; i++)
        length += (size_t)sprintf(json + length, "%s{\"name\":\"%x\"}", i ? "," : "", i);
    length += (size_t)sprintf(json + length, "],\"nodes\":[{\"name\":\"a\",\"sees\":[");
    for (int i = 0; i < 4096; i++)
        length += (size_t)sprintf(json + length, "%s\"%x\"", i ? "," : "", i);
    length += (size_t)sprintf(json + length, "]}]}]}");
    home_error error = new_error();
    if (!CHECK_INTEGER(home_config_check_json(json, length, NULL, NULL, NULL, &error), HOME_OK))
        printf("%s\n", error.message);
    free(json);
}

/* -------------------------------------------------------------------------------------- options */

static void the_options_go_before_the_text(void) {
    static const char json[] =
        "{\"dense\":3,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":4},"
        "{\"width\":4}],\"isa\":\"avx512\"}";
    account a;
    const home_allocator allocator = account_allocator(&a);
    const home_create_options options = {
        .struct_size = sizeof options, .allocator = &allocator, .isa = "portable"};
    home_model *model = NULL;
    REQUIRE(home_model_create_json(json, sizeof json - 1, &options, &model, NULL) == HOME_OK);
    CHECK(strcmp(home_model_isa(model), "portable") == 0);
    CHECK(a.now > 0);
    home_model_release(model);
    CHECK(a.now == 0);
}

static void initializers_set_the_size_alone(void) {
    const home_config config = HOME_INIT(home_config);
    home_config expected;
    memset(&expected, 0, sizeof expected);
    expected.struct_size = sizeof expected;
    CHECK_BYTES(&config, &expected, sizeof config);
}

int main(void) {
    RUN(zero_is_a_default_and_HOME_ZERO_is_zero);
    RUN(zeros_do_what_they_say);
    RUN(a_task_of_weight_zero_trains_nothing);
    RUN(a_written_zero_is_refused_where_it_means_nothing);
    RUN(only_what_differs_is_stored);
    RUN(a_default_is_that_of_the_other_fields);
    RUN(a_checkpoint_of_the_last_version_is_read);
    RUN(a_checkpoint_of_a_later_version_is_unsupported);
    RUN(what_takes_more_than_the_limit_is_refused);
    RUN(a_greedy_text_takes_no_more_than_its_limit);
    RUN(a_text_takes_memory_in_proportion);
    RUN(the_densest_configurations_are_read);
    RUN(the_options_go_before_the_text);
    RUN(initializers_set_the_size_alone);
    return test_summary();
}
