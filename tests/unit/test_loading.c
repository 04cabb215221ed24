/* Loading for servers: straight to a frozen model, within limits of memory, and headers alone. */
#include "test.h"
#include "unit/fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ----------------------------------------------------------------------------- memory, measured */

/* Bytes that are allocated now, and the most that were. */
typedef struct scale {
    size_t live;
    size_t peak;
} scale;

static void *weigh(void *user, size_t bytes) {
    scale *s = user;
    size_t *memory = malloc(bytes + 64);
    if (!memory)
        return NULL;
    *memory = bytes;
    s->live += bytes;
    s->peak = s->live > s->peak ? s->live : s->peak;
    return (char *)memory + 64;
}

static void unweigh(void *user, void *memory) {
    scale *s = user;
    size_t *begin = (size_t *)(void *)((char *)memory - 64);
    s->live -= *begin;
    free(begin);
}

static home_allocator scale_allocator(scale *s) {
    *s = (scale){0};
    return (home_allocator){sizeof(home_allocator), s, weigh, unweigh};
}

/* --------------------------------------------------------------------------------------- models */

/* What a model has been through when it is saved: odd values, some steps, texts. */
static home_model *used_model(const setup *s) {
    home_model *model = make_model(s);
    data rows;
    data_create(&rows, &s->config, 24, 5);
    randomize(model, 3);
    train_step(model, &rows);
    train_step(model, &rows);
    CHECK_INTEGER(home_model_set_metadata(model, "trained", "today", NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "recipe", "{\"columns\":[]}", NULL), HOME_OK);
    data_free(&rows);
    return model;
}

static void *image_of(const home_model *frozen, size_t *length) {
    REQUIRE(home_image_write(frozen, NULL, NULL, 0, length, NULL) == HOME_OK);
    void *image = malloc(*length);
    REQUIRE(image);
    REQUIRE(home_image_write(frozen, NULL, image, *length, length, NULL) == HOME_OK);
    return image;
}

static home_load_options frozen_options(const home_allocator *allocator) {
    return (home_load_options){
        .struct_size = sizeof(home_load_options), .allocator = allocator, .frozen = HOME_ON};
}

/* An image has all of a frozen model: weights, tables, names, texts and metadata. */
static void check_frozen(const setup *s, uint32_t flags) {
    home_model *model = used_model(s);
    home_model *frozen = NULL;
    home_model *loaded = NULL;
    home_error error = new_error();
    size_t length;
    size_t expected_length;
    size_t found_length = 0;
    unsigned char *bytes = model_bytes(model, flags, &length);
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    unsigned char *expected = image_of(frozen, &expected_length);
    scale weights;
    const home_allocator allocator = scale_allocator(&weights);
    const home_load_options options = frozen_options(&allocator);
    CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &loaded, &error), HOME_OK);
    if (loaded) {
        unsigned char *found = image_of(loaded, &found_length);
        if (CHECK_INTEGER(found_length, expected_length))
            CHECK_BYTES(found, expected, expected_length);
        free(found);
        CHECK_INTEGER(home_model_is_frozen(loaded), 1);
        CHECK_INTEGER(home_model_bytes(loaded), home_model_bytes(frozen));
    }
    home_model_release(loaded);
    CHECK_INTEGER(weights.live, 0);
    free(expected);
    free(bytes);
    home_model_release(frozen);
    home_model_release(model);
}

static void a_frozen_load_is_a_load_and_a_freeze(void) {
    for (int variant = 0; variant < 9; variant++) {
        setup s;
        setup_small(&s);
        s.config.bias_before_norm = variant == 1 ? HOME_ON : 0;
        s.config.uncertainty = variant == 2 ? HOME_ON : 0;
        s.config.expert_norm = variant == 3 ? HOME_NORM_NONE : 0;
        s.config.feature_order = variant == 4 ? HOME_FEATURE_MIX_FIRST : 0;
        if (variant == 5)
            setup_dense(&s, 300);
        if (variant == 6)
            s.optimizer.embedding_kind = HOME_OPTIMIZER_ADAM;
        if (variant == 7) {
            s.config.preset = HOME_PRESET_ADATT;
            s.layers[0].group_experts = s.layers[1].group_experts = 0;
        }
        if (variant == 8) {
            s.tasks[0].weight = s.config.norm_momentum = HOME_ZERO;
            s.tables[0].init_std = s.optimizer.learning_rate = HOME_ZERO;
        }
        check_frozen(&s, 0);
        check_frozen(&s, HOME_SAVE_OPTIMIZER);
    }
}

/* ---------------------------------------------------------------------------------------- files */

static const char path[] = "build/loading.safetensors";

/* A model whose table is large beside the rest: 70,000 rows, more than two bytes can number. */
static home_model *large_model(setup *s) {
    setup_small(s);
    s->tables[0].rows = 70000;
    s->tables[0].dim = 16;
    return make_model(s);
}

static void large_tensors_come_back(void) {
    setup s;
    home_model *model = large_model(&s);
    home_model *loaded = NULL;
    home_model *other = NULL;
    home_error error = new_error();
    CHECK_INTEGER(home_model_save(model, path, HOME_SAVE_OPTIMIZER, &error), HOME_OK);
    CHECK_INTEGER(home_model_load(path, NULL, &loaded, &error), HOME_OK);
    CHECK(loaded && same_model(model, loaded));
    s.config.seed = 99;
    other = make_model(&s);
    CHECK(!same_model(model, other));
    CHECK_INTEGER(home_model_load_weights(other, path, &error), HOME_OK);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor a = {.struct_size = sizeof a};
        home_tensor b = {.struct_size = sizeof b};
        CHECK_INTEGER(home_model_tensor_at(model, i, &a, NULL), HOME_OK);
        CHECK_INTEGER(home_model_tensor_at(other, i, &b, NULL), HOME_OK);
        CHECK_BYTES(a.data, b.data, tensor_size(&a) * sizeof(float));
    }
    home_model_release(other);
    home_model_release(loaded);
    home_model_release(model);
    remove(path);
}

/* A load takes what home_model_bytes() says, the header and a piece; a frozen one no more than the
 * frozen model and its parameters. Neither has the file in memory, too. */
static void a_load_takes_little_more_than_the_model(void) {
    enum { HEADER = 1 << 20, PIECE = 1 << 16 };
    setup s;
    setup_small(&s);
    s.tables[0].rows = 70000;
    s.tables[0].dim = 16;
    s.optimizer.embedding_kind = HOME_OPTIMIZER_ADAM; /* state of twice the table's size */
    home_model *model = make_model(&s);
    home_model *loaded = NULL;
    home_error error = new_error();
    scale weights;
    const home_allocator allocator = scale_allocator(&weights);
    CHECK_INTEGER(home_model_save(model, path, HOME_SAVE_OPTIMIZER, &error), HOME_OK);
    home_load_options options = {.struct_size = sizeof options, .allocator = &allocator};
    CHECK_INTEGER(home_model_load(path, &options, &loaded, &error), HOME_OK);
    const size_t trained = (size_t)home_model_bytes(loaded);
    CHECK(weights.live > trained - trained / 50 && weights.live < trained + trained / 50 + 20000);
    CHECK(weights.peak < trained + HEADER + PIECE);
    home_model_release(loaded);
    CHECK_INTEGER(weights.live, 0);
    weights.peak = 0;
    options.frozen = HOME_ON;
    CHECK_INTEGER(home_model_load(path, &options, &loaded, &error), HOME_OK);
    const size_t frozen = (size_t)home_model_bytes(loaded);
    CHECK(frozen < trained);
    CHECK(weights.live > frozen - frozen / 50 && weights.live < frozen + frozen / 50 + 20000);
    CHECK(weights.peak < frozen + home_model_parameter_count(loaded) * 4 + HEADER + PIECE);
    home_model_release(loaded);
    CHECK_INTEGER(weights.live, 0);
    home_model_release(model);
    remove(path);
}

/* A value is named by its number in the tensor, also behind the first pieces of it. */
static void a_wrong_value_is_named(void) {
    setup s;
    home_model *model = large_model(&s);
    home_model *loaded = NULL;
    home_error error = new_error();
    home_checkpoint *checkpoint = NULL;
    home_stored_tensor table = {.struct_size = sizeof table};
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    REQUIRE(home_checkpoint_open_memory(bytes, length, NULL, &checkpoint, NULL) == HOME_OK);
    REQUIRE(home_checkpoint_tensor(checkpoint, "embeddings.user.weight", &table, &error) ==
            HOME_OK);
    const uint64_t rows = table.shape[0];
    CHECK_INTEGER(rows, 70000);
    const size_t wrong = 500001;
    memcpy(bytes + table.offset + wrong * 4, (const unsigned char[]){0, 0, 0xc0, 0x7f}, 4);
    CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, &error), HOME_E_CHECKSUM);
    char *checksum = NULL;
    for (size_t i = 0; !checksum && i + 10 < length; i++)
        if (memcmp(bytes + i, "home.crc32", 10) == 0)
            checksum = (char *)bytes + i;
    REQUIRE(checksum);
    checksum[1] = checksum[2] = 'x'; /* a file without a checksum */
    CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "\"embeddings.user.weight\": element 500001 is nan");
    home_load_options options = frozen_options(NULL);
    CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &loaded, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "element 500001 is nan");
    CHECK(loaded == NULL);
    home_checkpoint_destroy(checkpoint);
    free(bytes);
    home_model_release(model);
}

/* Six gigabytes of zeros that take no room on the disk, and two headers that begin well. */
static void a_sparse_file_is_refused_by_its_first_bytes(void) {
    static const unsigned char begins[3][9] = {
        {0}, {0, 0, 0, 5, 0, 0, 0, 0, ' '}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{'}};
    if (sizeof(size_t) < 8) {
        test_skip("this machine cannot address so large a file");
        return;
    }
    for (size_t i = 0; i < 3; i++) {
        scale weights;
        const home_allocator allocator = scale_allocator(&weights);
        home_model *model = NULL;
        home_checkpoint *checkpoint = NULL;
        home_error error = new_error();
        const int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        REQUIRE(file >= 0 && write(file, begins[i], 9) == 9 &&
                ftruncate(file, (off_t)6 << 30) == 0);
        close(file);
        home_load_options options = frozen_options(&allocator);
        const home_status wanted = i == 0 ? HOME_E_JSON : HOME_E_FORMAT;
        CHECK_INTEGER(home_model_load(path, &options, &model, &error), wanted);
        CHECK_CONTAINS(error.message, i == 0   ? "the header: line 1, column 1"
                                      : i == 1 ? "the header is "
                                               : "header's length is 18446744073709551615");
        options.frozen = 0;
        CHECK_INTEGER(home_model_load(path, &options, &model, &error), wanted);
        CHECK_INTEGER(home_checkpoint_open(path, &allocator, &checkpoint, &error), wanted);
        CHECK(!model && !checkpoint);
        CHECK(weights.peak < 8192);
        CHECK_INTEGER(weights.live, 0);
    }
    remove(path);
}

/* --------------------------------------------------------------------------------------- limits */

static void check_limit(const unsigned char *bytes, size_t length, int32_t frozen, size_t needed) {
    home_model *model = NULL;
    home_error error = new_error();
    scale weights;
    const home_allocator allocator = scale_allocator(&weights);
    char text[64];
    home_load_options options = {.struct_size = sizeof options,
                                 .allocator = &allocator,
                                 .memory_limit = needed,
                                 .frozen = frozen};
    CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &model, &error), HOME_OK);
    home_model_release(model);
    model = NULL;
    options.memory_limit = needed - 1;
    CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &model, &error),
                  HOME_E_TOO_LARGE);
    snprintf(text, sizeof text, "takes %zu bytes, expected at most %zu", needed, needed - 1);
    CHECK_CONTAINS(error.message, text);
    options.memory_limit = 1000;
    weights.peak = 0;
    CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &model, &error),
                  HOME_E_TOO_LARGE);
    CHECK_CONTAINS(error.message, "more than 1000 bytes (memory_limit)");
    CHECK(!model);
    CHECK_INTEGER(weights.live, 0);
}

static void a_load_keeps_to_its_limit(void) {
    setup s;
    home_model *model = large_model(&s);
    home_model *frozen = NULL;
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    check_limit(bytes, length, 0, (size_t)home_model_bytes(model));
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    check_limit(bytes, length, HOME_ON,
                (size_t)(home_model_bytes(frozen) + home_model_parameter_count(frozen) * 4));
    home_model_release(frozen);
    home_model_release(model);
    free(bytes);
}

/* A configuration of a few kilobytes with `tasks` tasks in `layers` layers, and no tensors. */
static void *small_file(const char *preset, int tasks, int layers, size_t *length) {
    char *text = malloc((size_t)tasks * 32 + (size_t)layers * 64 + 1000);
    REQUIRE(text);
    size_t at = 8 + (size_t)sprintf(text + 8,
                                    "{\"__metadata__\":{\"home.schema\":\"1\",\"home.config\":\"{"
                                    "\\\"preset\\\":\\\"%s\\\",\\\"dense\\\":1,\\\"tasks\\\":[",
                                    preset);
    for (int i = 0; i < tasks; i++)
        at += (size_t)sprintf(text + at, "%s{\\\"name\\\":\\\"%d\\\"}", i ? "," : "", i);
    at += (size_t)sprintf(text + at, "],\\\"layers\\\":[");
    for (int i = 0; i < layers; i++)
        at += (size_t)sprintf(text + at, "%s{\\\"width\\\":1}", i ? "," : "");
    at += (size_t)sprintf(text + at, "]}\"}}");
    for (size_t i = 0; i < 8; i++)
        text[i] = (char)((uint64_t)(at - 8) >> (8 * i) & 255);
    *length = at;
    return text;
}

/* It describes 4096 experts for each of 1024 towers' nodes, in 64 layers, and has none of them. */
static void a_small_file_cannot_ask_for_much(void) {
    for (int frozen = 0; frozen <= HOME_ON; frozen++) {
        scale weights;
        const home_allocator allocator = scale_allocator(&weights);
        home_model *model = NULL;
        home_error error = new_error();
        size_t length;
        void *bytes = small_file("adatt", 1024, 64, &length);
        home_load_options options = {
            .struct_size = sizeof options, .allocator = &allocator, .frozen = frozen};
        CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &model, &error),
                      HOME_E_MISMATCH);
        CHECK_CONTAINS(error.message, "is missing");
        CHECK(weights.peak < (size_t)64 << 20);
        options.memory_limit = 1 << 20;
        weights.peak = 0;
        CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &model, &error),
                      HOME_E_TOO_LARGE);
        CHECK_CONTAINS(error.message, "more than 1048576 bytes (memory_limit)");
        CHECK(weights.peak < ((size_t)1 << 20) + 40 * length);
        CHECK_INTEGER(weights.live, 0);
        CHECK(!model);
        free(bytes);
    }
}

/* -------------------------------------------------------------------------------------- options */

static void wrong_options_are_refused(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *loaded = NULL;
    home_error error = new_error();
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    const home_load_options wrong[] = {
        {.struct_size = 0},
        {.struct_size = sizeof(home_load_options), .frozen = 3},
        {.struct_size = sizeof(home_load_options), .frozen = -1},
        {.struct_size = sizeof(home_load_options), .reserved = 1},
        {.struct_size = sizeof(home_load_options), .isa = "sse"},
        {.struct_size = sizeof(home_load_options), .isa = ""},
        {.struct_size = sizeof(home_load_options), .allocator = &(home_allocator){0}},
    };
    static const char *const messages[] = {"options.struct_size",
                                           "options.frozen is 3",
                                           "options.frozen is -1",
                                           "options.reserved is 1",
                                           "options.isa is \"sse\"",
                                           "options.isa is \"\"",
                                           "allocator"};
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_INTEGER(home_model_load_memory(bytes, length, &wrong[i], &loaded, &error),
                      HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, messages[i]);
        CHECK_INTEGER(home_model_load(path, &wrong[i], &loaded, &error), HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, messages[i]);
    }
    const home_load_options fine = {.struct_size = sizeof fine};
    CHECK_INTEGER(home_model_load_memory(NULL, length, &fine, &loaded, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_load_memory(bytes, length, &fine, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_load(NULL, &fine, &loaded, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_load(path, &fine, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_load("build/there is none", &fine, &loaded, &error), HOME_E_FILE);
    CHECK(loaded == NULL);
    remove(path);
    free(bytes);
    home_model_release(model);
}

static void an_instruction_set_can_be_chosen(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    for (int frozen = 0; frozen <= HOME_ON; frozen++) {
        home_model *loaded = NULL;
        const home_load_options options = {
            .struct_size = sizeof options, .isa = "portable", .frozen = frozen};
        CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &loaded, NULL), HOME_OK);
        CHECK(loaded && strcmp(home_model_isa(loaded), "portable") == 0);
        home_model_release(loaded);
    }
    free(bytes);
    home_model_release(model);
}

/* -------------------------------------------------------------------------------------- headers */

static void check_tensors(const home_checkpoint *checkpoint, const home_model *model,
                          const unsigned char *bytes) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        home_stored_tensor stored = {.struct_size = sizeof stored};
        home_stored_tensor named = {.struct_size = sizeof named};
        CHECK_INTEGER(home_model_tensor_at(model, i, &tensor, NULL), HOME_OK);
        CHECK_INTEGER(home_checkpoint_tensor_at(checkpoint, i, &stored, NULL), HOME_OK);
        CHECK_INTEGER(home_checkpoint_tensor(checkpoint, tensor.name, &named, NULL), HOME_OK);
        CHECK(strcmp(stored.name, tensor.name) == 0 && strcmp(stored.dtype, "F32") == 0);
        CHECK_BYTES(&stored, &named, sizeof stored);
        CHECK_INTEGER(stored.rank, tensor.rank);
        for (size_t d = 0; d < stored.rank; d++)
            CHECK_INTEGER(stored.shape[d], tensor.shape[d]);
        CHECK_INTEGER(stored.bytes, tensor_size(&tensor) * sizeof(float));
        if (*(const unsigned char *)&(const int){1}) /* values in the file are little-endian */
            CHECK_BYTES(bytes + stored.offset, tensor.data, stored.bytes);
    }
}

/* Without what is at its default, so that a model made of it has the same. */
static void check_config(const char *stored, const home_model *model) {
    home_model *made = NULL;
    CHECK(strlen(stored) < strlen(home_model_config_json(model)));
    REQUIRE(home_model_create_json(stored, strlen(stored), NULL, &made, NULL) == HOME_OK);
    CHECK(strcmp(home_model_config_json(made), home_model_config_json(model)) == 0);
    home_model_release(made);
}

static void check_header(const home_checkpoint *checkpoint, const home_model *model,
                         const unsigned char *bytes, size_t length, bool optimizer) {
    check_config(home_checkpoint_config_json(checkpoint), model);
    CHECK(strcmp(home_checkpoint_metadata(checkpoint, "trained"), "today") == 0);
    CHECK(!home_checkpoint_metadata(checkpoint, "home.schema"));
    CHECK(!home_checkpoint_metadata(checkpoint, "nothing"));
    CHECK(!home_checkpoint_metadata(checkpoint, ""));
    CHECK(!home_checkpoint_metadata(checkpoint, NULL));
    CHECK_INTEGER(home_checkpoint_metadata_count(checkpoint), 2);
    CHECK(strcmp(home_checkpoint_metadata_key(checkpoint, 1), "recipe") == 0);
    CHECK(strcmp(home_checkpoint_metadata_text(checkpoint, 1), "{\"columns\":[]}") == 0);
    CHECK(!home_checkpoint_metadata_key(checkpoint, 2));
    CHECK(!home_checkpoint_metadata_text(checkpoint, SIZE_MAX));
    CHECK_INTEGER(home_checkpoint_has_optimizer(checkpoint), optimizer);
    CHECK_INTEGER(home_checkpoint_step_count(checkpoint), optimizer ? 2 : 0);
    CHECK_INTEGER(home_checkpoint_bytes(checkpoint), length);
    const size_t count = home_model_tensor_count(model);
    CHECK(optimizer ? home_checkpoint_tensor_count(checkpoint) > count
                    : home_checkpoint_tensor_count(checkpoint) == count);
    check_tensors(checkpoint, model, bytes);
}

static void a_header_says_what_the_model_has(void) {
    setup s;
    setup_small(&s);
    home_model *model = used_model(&s);
    for (uint32_t flags = 0; flags <= HOME_SAVE_OPTIMIZER; flags++) {
        home_checkpoint *checkpoint = NULL;
        home_error error = new_error();
        size_t length;
        unsigned char *bytes = model_bytes(model, flags, &length);
        CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, NULL, &checkpoint, &error),
                      HOME_OK);
        check_header(checkpoint, model, bytes, length, flags != 0);
        home_checkpoint_destroy(checkpoint);
        checkpoint = NULL;
        CHECK_INTEGER(home_model_save(model, path, flags, &error), HOME_OK);
        CHECK_INTEGER(home_checkpoint_open(path, NULL, &checkpoint, &error), HOME_OK);
        remove(path); /* it needs the file no longer */
        check_header(checkpoint, model, bytes, length, flags != 0);
        home_checkpoint_destroy(checkpoint);
        free(bytes);
    }
    home_model_release(model);
}

static void *file_of(const char *header, size_t body, size_t *length) {
    const size_t text = strlen(header);
    unsigned char *bytes = calloc(8 + text + body, 1);
    REQUIRE(bytes);
    bytes[0] = (unsigned char)(text & 255);
    bytes[1] = (unsigned char)(text >> 8);
    memcpy(bytes + 8, header, text); /* NOLINT(bugprone-not-null-terminated-result) */
    *length = 8 + text + body;
    return bytes;
}

static void files_of_others_can_be_looked_at(void) {
    home_checkpoint *checkpoint = NULL;
    home_stored_tensor tensor = {.struct_size = sizeof tensor};
    size_t length;
    void *bytes = file_of("{\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3,1],\"data_offsets\":[8,20]},"
                          "\"b\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8]}}",
                          20, &length);
    CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, NULL, &checkpoint, NULL), HOME_OK);
    free(bytes); /* nor does it need the bytes */
    CHECK(!home_checkpoint_config_json(checkpoint));
    CHECK(!home_checkpoint_metadata(checkpoint, "a"));
    CHECK_INTEGER(home_checkpoint_metadata_count(checkpoint), 0);
    CHECK_INTEGER(home_checkpoint_tensor_count(checkpoint), 2);
    CHECK_INTEGER(home_checkpoint_tensor_at(checkpoint, 0, &tensor, NULL), HOME_OK);
    CHECK(strcmp(tensor.name, "a") == 0 && strcmp(tensor.dtype, "BF16") == 0);
    CHECK(tensor.rank == 3 && tensor.shape[0] == 2 && tensor.shape[1] == 3 && tensor.shape[2] == 1);
    CHECK(tensor.bytes == 12 && tensor.offset == length - 12);
    CHECK_INTEGER(home_checkpoint_tensor(checkpoint, "b", &tensor, NULL), HOME_OK);
    CHECK(tensor.rank == 0 && tensor.bytes == 8 && tensor.offset == length - 20);
    home_checkpoint_destroy(checkpoint);
}

static void later_versions_are_refused(void) {
    static const char *const headers[] = {
        "{\"__metadata__\":{\"home.schema\":\"2\"}}",
        "{\"__metadata__\":{\"home.schema\":\"1\",\"home.new\":\"\"}}",
    };
    for (size_t i = 0; i < 2; i++) {
        home_checkpoint *checkpoint = NULL;
        size_t length;
        void *bytes = file_of(headers[i], 0, &length);
        CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, NULL, &checkpoint, NULL),
                      HOME_E_UNSUPPORTED);
        CHECK(!checkpoint);
        free(bytes);
    }
}

static void wrong_arguments_of_headers_are_refused(void) {
    home_checkpoint *checkpoint = NULL;
    home_error error = new_error();
    home_stored_tensor tensor = {.struct_size = sizeof tensor};
    home_stored_tensor unset = {0};
    const home_allocator half = {sizeof half, NULL, weigh, NULL};
    size_t length;
    void *bytes = file_of("{\"optimizer.step\":{\"dtype\":\"I64\",\"shape\":[1],"
                          "\"data_offsets\":[0,8]}}",
                          8, &length);
    CHECK_INTEGER(home_checkpoint_open(NULL, NULL, &checkpoint, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_open(path, NULL, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_open(path, &half, &checkpoint, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_open("build/there is none", NULL, &checkpoint, &error),
                  HOME_E_FILE);
    CHECK_INTEGER(home_checkpoint_open("build", NULL, &checkpoint, &error), HOME_E_FILE);
    CHECK_INTEGER(home_checkpoint_open_memory(NULL, 8, NULL, &checkpoint, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, NULL, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, &half, &checkpoint, &error),
                  HOME_E_ARGUMENT);
    ((unsigned char *)bytes)[length - 1] = 0x80;
    CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, NULL, &checkpoint, &error),
                  HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "\"optimizer.step\" is negative");
    CHECK(!checkpoint);
    ((unsigned char *)bytes)[length - 1] = 0;
    ((unsigned char *)bytes)[length - 3] = 1;
    CHECK_INTEGER(home_checkpoint_open_memory(bytes, length, NULL, &checkpoint, &error), HOME_OK);
    CHECK(home_checkpoint_step_count(checkpoint) == (uint64_t)1 << 40);
    CHECK_INTEGER(home_checkpoint_tensor_at(NULL, 0, &tensor, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_tensor_at(checkpoint, 0, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_tensor_at(checkpoint, 0, &unset, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_tensor_at(checkpoint, 1, &tensor, &error), HOME_E_NOT_FOUND);
    CHECK_INTEGER(home_checkpoint_tensor(NULL, "a", &tensor, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_tensor(checkpoint, NULL, &tensor, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_checkpoint_tensor(checkpoint, "a", &tensor, &error), HOME_E_NOT_FOUND);
    CHECK_CONTAINS(error.message, "no tensor \"a\"");
    home_checkpoint_destroy(checkpoint);
    home_checkpoint_destroy(NULL);
    CHECK(!home_checkpoint_config_json(NULL) && !home_checkpoint_metadata(NULL, "a"));
    CHECK(!home_checkpoint_metadata_key(NULL, 0) && !home_checkpoint_metadata_text(NULL, 0));
    CHECK(home_checkpoint_metadata_count(NULL) == 0 && home_checkpoint_tensor_count(NULL) == 0);
    CHECK(home_checkpoint_step_count(NULL) == 0 && home_checkpoint_bytes(NULL) == 0);
    CHECK_INTEGER(home_checkpoint_has_optimizer(NULL), 0);
    free(bytes);
}

/* ---------------------------------------------------------------------------------------- names */

static const char *const names[] = {"age", "price", "\xc3\xa4", "d", "e"};

static void names_of_dense_values_are_kept(void) {
    setup s;
    setup_small(&s);
    home_model *plain = make_model(&s);
    CHECK(!strstr(home_model_config_json(plain), "dense_names"));
    CHECK(home_model_dense_name(plain, 0) == NULL && home_model_dense_name(NULL, 0) == NULL);
    s.config.dense_names = names;
    s.config.dense_names_count = 5;
    home_model *model = make_model(&s);
    home_model *loaded = NULL;
    home_model *from_json = NULL;
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    home_load_options options = frozen_options(NULL);
    const char *json = home_model_config_json(model);
    CHECK_CONTAINS(json, "\"dense_names\":[\"age\",\"price\",\"\xc3\xa4\",\"d\",\"e\"]");
    CHECK_INTEGER(home_model_load_memory(bytes, length, &options, &loaded, NULL), HOME_OK);
    CHECK_INTEGER(home_model_create_json(json, strlen(json), NULL, &from_json, NULL), HOME_OK);
    for (size_t i = 0; i < 5; i++) {
        CHECK(strcmp(home_model_dense_name(model, i), names[i]) == 0);
        CHECK(strcmp(home_model_dense_name(loaded, i), names[i]) == 0);
        CHECK(strcmp(home_model_dense_name(from_json, i), names[i]) == 0);
        CHECK(home_model_dense_name(model, i) != names[i]); /* a copy */
    }
    CHECK(home_model_dense_name(model, 5) == NULL);
    free(bytes);
    home_model_release(from_json);
    home_model_release(loaded);
    home_model_release(model);
    home_model_release(plain);
}

static void wrong_names_of_dense_values_are_refused(void) {
    static const struct {
        const char *names[5];
        size_t count;
        const char *message;
    } wrong[] = {
        {{"a", "b", "c", "d", "e"}, 4, "4 names, expected none or one for each of 5"},
        {{"a", "b", "c", "d", "e"}, SIZE_MAX, "config.dense_names_count is"},
        {{"a", "b", NULL, "d", "e"}, 5, "dense_names[2]"},
        {{"a", "b", "", "d", "e"}, 5, "dense_names[2]"},
        {{"a", "b", "c", "d.e", "e"}, 5, "a name without a dot"},
        {{"a", "b", "c", "d", "\x1b[1m"}, 5, "a name without control characters"},
        {{"a", "b", "c", "d", "\xff"}, 5, "dense_names[4]"},
        {{"z", "b", "c", "d", "b"}, 5, "that no other dense value has"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setup s;
        home_model *model = NULL;
        home_error error = new_error();
        setup_small(&s);
        s.config.dense_names = wrong[i].names;
        s.config.dense_names_count = wrong[i].count;
        CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, wrong[i].message);
    }
    setup s;
    home_model *model = NULL;
    home_error error = new_error();
    setup_small(&s);
    s.config.dense_names_count = 5;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "dense_names");
}

static void names_are_compared(void) {
    static const char *const tasks[] = {"like", "follow", "view"};
    static const char *const swapped[] = {"age", "price", "d", "\xc3\xa4", "e"};
    static const char *const holed[] = {"age", NULL, "d"};
    setup s;
    setup_small(&s);
    home_model *plain = make_model(&s);
    s.config.dense_names = names;
    s.config.dense_names_count = 5;
    home_model *model = make_model(&s);
    REQUIRE(home_model_field_count(model) == 3 && home_model_task_count(model) == 3);
    const char *model_fields[3];
    for (size_t i = 0; i < 3; i++)
        model_fields[i] = home_model_field_name(model, i);
    const struct {
        home_names names;
        home_status status;
        const char *message;
    } cases[] = {
        {{.struct_size = sizeof(home_names)}, HOME_OK, ""},
        {{sizeof(home_names), names, 5, model_fields, 3, tasks, 3}, HOME_OK, ""},
        {{sizeof(home_names), swapped, 5, model_fields, 3, tasks, 3},
         HOME_E_MISMATCH,
         "names.dense[2] is \"d\", expected \"\xc3\xa4\""},
        {{.struct_size = sizeof(home_names), .dense = names, .dense_count = 4},
         HOME_E_MISMATCH,
         "names.dense has 4 names, expected 5: the model has \"e\", too"},
        {{.struct_size = sizeof(home_names), .dense = names},
         HOME_E_MISMATCH,
         "names.dense has 0 names, expected 5: the model has \"age\", too"},
        {{.struct_size = sizeof(home_names), .dense = holed, .dense_count = 3},
         HOME_E_ARGUMENT,
         "names.dense[1] is NULL"},
        {{.struct_size = sizeof(home_names), .tasks = tasks, .task_count = 2},
         HOME_E_MISMATCH,
         "names.tasks has 2 names, expected 3: the model has \"view\", too"},
        {{.struct_size = sizeof(home_names), .tasks = tasks + 1, .task_count = 2},
         HOME_E_MISMATCH,
         "names.tasks[0] is \"follow\", expected \"like\""},
        {{.struct_size = sizeof(home_names), .fields = tasks, .field_count = 3},
         HOME_E_MISMATCH,
         "names.fields[0] is \"like\""},
        {{.struct_size = 0}, HOME_E_ARGUMENT, "struct_size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        home_error error = new_error();
        CHECK_INTEGER(home_model_check_names(model, &cases[i].names, &error), cases[i].status);
        CHECK_CONTAINS(error.message, cases[i].message);
    }
    home_error error = new_error();
    home_names given = {.struct_size = sizeof given, .dense = swapped, .dense_count = 5};
    CHECK_INTEGER(home_model_check_names(plain, &given, &error), HOME_OK); /* it has none */
    given.dense_count = 4;
    CHECK_INTEGER(home_model_check_names(plain, &given, &error), HOME_E_MISMATCH);
    CHECK_CONTAINS(error.message, "names.dense has 4 names, expected 5, the model's");
    CHECK_INTEGER(home_model_check_names(NULL, &given, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_check_names(model, NULL, &error), HOME_E_ARGUMENT);
    home_model_release(model);
    home_model_release(plain);
}

/* ----------------------------------------------------------------------------------- workspaces */

static void a_workspace_fits_what_predict_takes_it_for(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *frozen = NULL;
    home_model *again = NULL;
    home_error error = new_error();
    data rows;
    data_create(&rows, &s.config, 5, 1);
    float out[5 * 3];
    REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
    REQUIRE(home_model_freeze(model, &again, NULL) == HOME_OK);
    const size_t size = home_workspace_size(frozen);
    void *memory = malloc(size);
    home_workspace *workspace = NULL;
    REQUIRE(memory && home_workspace_init(frozen, memory, size, &workspace, NULL) == HOME_OK);
    home_model *const models[] = {frozen, again, model};
    for (size_t i = 0; i < 3; i++)
        CHECK_INTEGER(home_workspace_fits(workspace, models[i]),
                      home_model_predict(models[i], &rows.batch, out, 0, workspace, &error) ==
                          HOME_OK);
    CHECK_INTEGER(home_workspace_fits(workspace, frozen), 1);
    CHECK_INTEGER(home_workspace_fits(workspace, again), 1);
    CHECK_INTEGER(home_workspace_fits(workspace, model), 0);
    CHECK_INTEGER(home_workspace_fits(NULL, model), 0);
    CHECK_INTEGER(home_workspace_fits(workspace, NULL), 0);
    const size_t block = home_model_block_rows(frozen);
    CHECK(block >= 24 && block <= 144 && block % 24 == 0);
    CHECK_INTEGER(home_model_block_rows(NULL), 0);
    CHECK_INTEGER(home_model_bytes(NULL), 0);
    free(memory);
    data_free(&rows);
    home_model_release(again);
    home_model_release(frozen);
    home_model_release(model);
}

int main(void) {
    RUN(a_frozen_load_is_a_load_and_a_freeze);
    RUN(large_tensors_come_back);
    RUN(a_load_takes_little_more_than_the_model);
    RUN(a_wrong_value_is_named);
    RUN(a_sparse_file_is_refused_by_its_first_bytes);
    RUN(a_load_keeps_to_its_limit);
    RUN(a_small_file_cannot_ask_for_much);
    RUN(wrong_options_are_refused);
    RUN(an_instruction_set_can_be_chosen);
    RUN(a_header_says_what_the_model_has);
    RUN(files_of_others_can_be_looked_at);
    RUN(later_versions_are_refused);
    RUN(wrong_arguments_of_headers_are_refused);
    RUN(names_of_dense_values_are_kept);
    RUN(wrong_names_of_dense_values_are_refused);
    RUN(names_are_compared);
    RUN(a_workspace_fits_what_predict_takes_it_for);
    return test_summary();
}
