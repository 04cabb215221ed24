/* Hostile checkpoints, made by hand: each rule of docs/checkpoint.md broken in turn. Every file has
 * its own status and its own message, which says what is wrong where; nothing stays allocated and
 * no model appears. */
#include "base/crc32.h"
#include "faults/messages.h"
#include "test.h"
#include "unit/fixture.h"

#include <unistd.h>

/* A checkpoint small enough to know by heart: the tensors' bytes lie at
 *
 *      0 ..weight [1,2]                  8 ..norm.weight [1]
 *     12 .norm.bias [1]                 16 .running_mean [1]
 *     20 .running_var [1]               24 towers.a.linear.0.weight [1,1]
 *     28 towers.a.linear.0.bias [1]     32 embeddings.t.weight [2,1]
 *     40 to 96 the optimizer's          96 optimizer.step I64 [1]
 *    104 optimizer.learning_rate F64 [2]
 *    120 end */
static const char config[] =
    "{\"preset\":\"shared-bottom\",\"dense\":1,\"tables\":[{\"name\":\"t\",\"rows\":2,\"dim\":1}],"
    "\"fields\":[{\"name\":\"t\"}],\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":1}],"
    "\"experts\":{\"norm\":\"batch\"}}";
enum { BODY = 120 };
#define CHECKSUM "\"home.crc32\":\"00000000\""
#define FIRST    "layers.0.units.shared.experts.0.linear.0.weight"

static char header[8192]; /* of the good checkpoint, its checksum zeros */
static unsigned char body[BODY];

static home_model *small_model(void) {
    home_model *model = NULL;
    REQUIRE(home_model_create_json(config, sizeof config - 1, NULL, &model, NULL) == HOME_OK);
    return model;
}

static void make_good_checkpoint(void) {
    home_model *model = small_model();
    size_t size;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &size);
    const size_t length = size - 8 - BODY;
    REQUIRE(length < sizeof header);
    memcpy(header, bytes + 8, length);
    memcpy(body, bytes + 8 + length, BODY);
    char *checksum = strstr(header, "\"home.crc32\":\"");
    REQUIRE(checksum);
    memcpy(checksum, CHECKSUM, sizeof CHECKSUM - 1);
    free(bytes);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------------------- files */

typedef struct file_bytes {
    unsigned char *bytes; /* malloc'd, with not a byte to spare */
    size_t size;
} file_bytes;

static void set_length(unsigned char *bytes, uint64_t length) {
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> (8 * i) & 255);
}

/* The checksum is filled in where the header has CHECKSUM. */
static file_bytes make_file(const char *text, const void *contents, size_t size) {
    const size_t length = strlen(text);
    file_bytes file = {malloc(8 + length + size), 8 + length + size};
    REQUIRE(file.bytes);
    set_length(file.bytes, length);
    memcpy(file.bytes + 8, text, length); /* NOLINT(bugprone-not-null-terminated-result) */
    memcpy(file.bytes + 8 + length, contents, size);
    const char *checksum = strstr(text, CHECKSUM);
    if (checksum) {
        homecrc32 crc;
        homecrc32_start(&crc);
        homecrc32_add(&crc, file.bytes, file.size);
        char digits[9];
        snprintf(digits, sizeof digits, "%08lx", (unsigned long)homecrc32_value(&crc));
        memcpy(file.bytes + 8 + (checksum - text) + strlen("\"home.crc32\":\""), digits, 8);
    }
    return file;
}

/* --------------------------------------------------------------------------------------- checks */

/* A model that is offered the file's weights takes all or nothing. */
static void check_weights(const file_bytes *file) {
    char path[] = "/tmp/home-test-XXXXXX";
    const int descriptor = mkstemp(path);
    REQUIRE(descriptor >= 0 && write(descriptor, file->bytes, file->size) == (ssize_t)file->size);
    close(descriptor);
    home_model *model = small_model();
    home_model *untouched = small_model();
    if (home_model_load_weights(model, path, NULL) != HOME_OK)
        CHECK(same_model(model, untouched));
    home_model_release(model);
    home_model_release(untouched);
    unlink(path);
}

/* What was set for training is all that is wrong with those that have it. */
static bool of_training(const file_bytes *file) {
    static const char key[] = "\"home.training\"";
    for (size_t i = 0; i + sizeof key < file->size; i++)
        if (memcmp(file->bytes + i, key, sizeof key - 1) == 0)
            return true;
    return false;
}

/* A frozen load finds the same, but for what is wrong with the training, which it does not take. */
static void check_refused_frozen(const file_bytes *file, home_status expected,
                                 const char *message) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    home_error error = new_error();
    home_model *model = NULL;
    const home_status status = home_model_load_memory(file->bytes, file->size,
                                                      &(home_load_options){
                                                          .struct_size = sizeof(home_load_options),
                                                          .allocator = &allocator,
                                                          .frozen = HOME_ON,
                                                      },
                                                      &model, &error);
    const bool of_optimizer = strstr(message, "optimizer.") || strstr(message, ".exp_avg");
    if ((expected == HOME_E_VALUE && of_optimizer) || of_training(file)) {
        CHECK_INTEGER(status, HOME_OK);
    } else {
        CHECK_INTEGER(status, expected);
        CHECK_CONTAINS(error.message, message);
    }
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
}

/* The reader of headers finds what is wrong with a header, in the same words, and nothing else. */
static void check_header(const file_bytes *file, home_status expected, const char *message) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    home_error error = new_error();
    home_checkpoint *checkpoint = NULL;
    const home_status status =
        home_checkpoint_open_memory(file->bytes, file->size, &allocator, &checkpoint, &error);
    CHECK((status == HOME_OK) == (checkpoint != NULL));
    if (status == HOME_OK) {
        CHECK(expected != HOME_E_FORMAT || strstr(message, "__metadata__ has no home.") ||
              of_training(file));
        CHECK(expected != HOME_E_JSON || !strstr(message, "the header"));
    } else {
        CHECK_INTEGER(status, expected);
        if (status != HOME_E_VALUE)
            CHECK_CONTAINS(error.message, message);
    }
    home_checkpoint_destroy(checkpoint);
    CHECK_INTEGER(m.live, 0);
}

static void check_refused(const file_bytes *file, home_status expected, const char *message) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    home_error error = new_error();
    home_model *const untouched = (home_model *)&error;
    home_model *model = untouched;
    const home_status status = home_model_load_memory(
        file->bytes, file->size,
        &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &allocator},
        &model, &error);
    CHECK_INTEGER(status, expected);
    CHECK_INTEGER(error.status, expected);
    CHECK_CONTAINS(error.message, message);
    CHECK(!strstr(error.message, "home.config: home.training"));
    CHECK(model == untouched);
    CHECK_INTEGER(m.live, 0);
    check_own_message(error.message);
    check_refused_frozen(file, expected, message);
    check_header(file, expected, message);
}

/* ----------------------------------------------------------------------- a header with one edit */

typedef struct edit {
    const char *from; /* replaced once in the good header */
    const char *to;
    home_status status;
    const char *message; /* a part of it */
} edit;

/* More values than there can be names. */
#define ZEROS_10 "0,0,0,0,0,0,0,0,0,0"
#define ZEROS_90                                                                                   \
    ZEROS_10 "," ZEROS_10 "," ZEROS_10 "," ZEROS_10 "," ZEROS_10 "," ZEROS_10 "," ZEROS_10         \
             "," ZEROS_10 "," ZEROS_10
#define TRAINING(json) SCHEMA ",\"home.training\":\"" json "\""

#define TOWER                                                                                      \
    "\"towers.a.linear.0.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[28,32]}"
#define TOWER_OF(dtype, shape)                                                                     \
    "\"towers.a.linear.0.bias\":{\"dtype\":\"" dtype "\",\"shape\":" shape                         \
    ",\"data_offsets\":[28,32]}"
#define OFFSETS         "\"data_offsets\":[0,8]"
#define SHAPE           "\"shape\":[1,2],\"data_offsets\":[0,8]"
#define SHAPE_OF(shape) "\"shape\":" shape ",\"data_offsets\":[0,8]"
#define SCHEMA          "\"home.schema\":\"1\""
#define NESTS_20        "[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]"

static const edit edits[] = {
    /* JSON */
    {"{\"__meta", "{,\"__meta", HOME_E_JSON,
     "the header: line 1, column 2: expected a key in quotes, found ','"},
    {"[104,120]}}", "[104,120]}", HOME_E_JSON, "expected ',' or '}', found the end of the text"},
    {"[104,120]}}", "[104,120]}}}", HOME_E_JSON, "expected nothing after the value, found '}'"},
    {"[104,120]}}", "[104,120]}}\n0", HOME_E_JSON, "expected nothing after the value, found '0'"},
    {"[0,8]", "[00,8]", HOME_E_JSON, "expected ',' or ']', found '0'"},
    {"[0,8]", "[0,8,]", HOME_E_JSON, "expected a value, found ']'"},
    {"[0,8]", "[0 8]", HOME_E_JSON, "expected ',' or ']', found '8'"},
    {"[0,8]", "[NaN,8]", HOME_E_JSON, "expected a value, found 'N'"},
    {"[0,8]", "[0,1e999]", HOME_E_JSON, "expected a number that fits a double, found 1e999"},
    {"[0,8]", NESTS_20, HOME_E_JSON, "the header: line 1, column"},
    {"\"F32\"", "'F32'", HOME_E_JSON, "expected a value, found '''"},
    {"\"F32\"", "\"F\x80\"", HOME_E_JSON, "expected valid UTF-8, found byte 0x80"},
    {"\"F32\"", "\"F\x01\"", HOME_E_JSON,
     "control characters may not stand in a string, found byte 0x01"},
    {"\"F32\"", "\"\\uD800\"", HOME_E_JSON, "a low surrogate"},
    {"\"towers.a", "\"towers.\xff", HOME_E_JSON, "expected valid UTF-8, found byte 0xFF"},
    {"{\"__meta", "\xef\xbb\xbf{\"__meta", HOME_E_FORMAT,
     "the header is \xef\xbb\xbf{\"__metadata__\":"},
    {"{\"__meta", "{/**/\"__meta", HOME_E_JSON, "expected a key in quotes, found '/'"},
    {"\"towers.a.linear.0.bias\"", "\"towers.a.linear.0.weight\"", HOME_E_JSON,
     "expected distinct keys, found \"towers.a.linear.0.weight\" again"},
    {"\"embeddings.t.weight\"", "\"towers.\\u0061.linear.0.bias\"", HOME_E_JSON,
     "expected distinct keys, found \"towers.a.linear.0.bias\" again"},
    {"\"dtype\":", "\"dtype\":\"F32\",\"dtype\":", HOME_E_JSON,
     "expected distinct keys, found \"dtype\" again"},
    {SCHEMA, SCHEMA "," SCHEMA, HOME_E_JSON, "expected distinct keys, found \"home.schema\" again"},
    {"\"towers.a.linear.0.bias\"", "\"__metadata__\"", HOME_E_JSON,
     "expected distinct keys, found \"__metadata__\" again"},

    /* entries of tensors */
    {"{\"dtype\":\"F32\"," SHAPE "}", "5", HOME_E_FORMAT,
     "tensor \"" FIRST "\": expected an object of dtype, shape and data_offsets"},
    {"\"dtype\":\"F32\",", "", HOME_E_FORMAT,
     "tensor \"" FIRST "\" has no dtype, expected dtype, shape and data"},
    {"\"shape\":[1,2],", "", HOME_E_FORMAT, "tensor \"" FIRST "\" has no shape, expected"},
    {"," OFFSETS, "", HOME_E_FORMAT, "tensor \"" FIRST "\" has no data_offsets, expected"},
    {OFFSETS, OFFSETS ",\"x\":1", HOME_E_FORMAT,
     "tensor \"" FIRST "\" has 4 members, expected dtype, shape and data"},
    {"\"towers.a.linear.0.bias\"", "\"towers.a\\u0000b\"", HOME_E_FORMAT,
     "the name contains a zero byte"},
    {"\"F32\"", "5", HOME_E_FORMAT, "dtype is 5, expected a text"},
    {"\"F32\"", "null", HOME_E_FORMAT, "dtype is null, expected a text"},
    {"\"F32\"", "\"F33\"", HOME_E_FORMAT, "dtype is \"F33\", expected a type that safetensors has"},
    {"\"F32\"", "\"f32\"", HOME_E_FORMAT, "dtype is \"f32\", expected a type that safetensors has"},
    {"\"F32\"", "\"\"", HOME_E_FORMAT, "dtype is \"\", expected a type that safetensors has"},
    {"\"F32\"", "\"F32\\u0000\"", HOME_E_FORMAT,
     "dtype is \"F32\\u0000\", expected a type that safetensors has"},
    {"\"F32\"", "\"F32\\u0000x\"", HOME_E_FORMAT,
     "dtype is \"F32\\u0000x\", expected a type that safetensors has"},
    {TOWER, TOWER_OF("F4", "[1]"), HOME_E_FORMAT,
     "shape is [1], expected elements that fill whole bytes"},
    {TOWER, TOWER_OF("F6_E3M2", "[2,1]"), HOME_E_FORMAT,
     "shape is [2,1], expected elements that fill whole bytes"},
    {"\"F32\"", "\"F64\"", HOME_E_FORMAT, "data_offsets span 8 bytes, expected 16 (shape x dtype)"},
    {SHAPE, SHAPE_OF("2"), HOME_E_FORMAT, "shape is 2, expected an array of whole numbers from 0"},
    {SHAPE, SHAPE_OF("null"), HOME_E_FORMAT, "shape is null, expected an array"},
    {SHAPE, SHAPE_OF("{\"0\":2}"), HOME_E_FORMAT, "shape is {\"0\":2}, expected an array"},
    {SHAPE, SHAPE_OF("[\"1\",2]"), HOME_E_FORMAT,
     "shape is [\"1\",2], expected an array of whole numbers"},
    {SHAPE, SHAPE_OF("[-1,2]"), HOME_E_FORMAT,
     "shape is [-1,2], expected an array of whole numbers"},
    {SHAPE, SHAPE_OF("[1.5,2]"), HOME_E_FORMAT,
     "shape is [1.5,2], expected an array of whole numbers"},
    {SHAPE, SHAPE_OF("[1e0,2]"), HOME_E_FORMAT,
     "shape is [1e0,2], expected an array of whole numbers"},
    {SHAPE, SHAPE_OF("[18446744073709551616]"), HOME_E_FORMAT,
     "shape is [18446744073709551616], expected an array"},
    {SHAPE, SHAPE_OF("[18446744073709551615]"), HOME_E_FORMAT,
     "expected a product that fits memory"},
    {SHAPE, SHAPE_OF("[9223372036854775808,2]"), HOME_E_FORMAT,
     "expected a product that fits memory"},
    {SHAPE, SHAPE_OF("[9223372036854775807]"), HOME_E_FORMAT,
     "expected a product that fits memory"},
    {SHAPE, SHAPE_OF("[4611686018427387906]"), HOME_E_FORMAT, /* times 4 that is 2^64 + 8 */
     "shape is [4611686018427387906], expected a product that fits memory"},
    {SHAPE, SHAPE_OF("[4294967296,4294967296]"), HOME_E_FORMAT,
     "expected a product that fits memory"},
    {SHAPE, SHAPE_OF("[4294967296,4294967296,0]"), HOME_E_FORMAT,
     "expected a product that fits memory"},
    {SHAPE, SHAPE_OF("[0,2]"), HOME_E_FORMAT, "data_offsets span 8 bytes, expected 0"},
    {SHAPE, SHAPE_OF("[1,1]"), HOME_E_FORMAT, "data_offsets span 8 bytes, expected 4"},
    {SHAPE, SHAPE_OF("[1,3]"), HOME_E_FORMAT, "data_offsets span 8 bytes, expected 12"},
    {"[0,8]", "8", HOME_E_FORMAT, "data_offsets is 8, expected two whole numbers from 0"},
    {"[0,8]", "[]", HOME_E_FORMAT, "data_offsets is [], expected two whole numbers"},
    {"[0,8]", "[8]", HOME_E_FORMAT, "data_offsets is [8], expected two whole numbers"},
    {"[0,8]", "[0,8,8]", HOME_E_FORMAT, "data_offsets is [0,8,8], expected two whole numbers"},
    {"[0,8]", "[-8,0]", HOME_E_FORMAT, "data_offsets is [-8,0], expected two whole numbers"},
    {"[0,8]", "[0.0,8]", HOME_E_FORMAT, "data_offsets is [0.0,8], expected two whole numbers"},
    {"[0,8]", "[0,\"8\"]", HOME_E_FORMAT, "data_offsets is [0,\"8\"], expected two whole numbers"},
    {"[0,8]", "[0,18446744073709551616]", HOME_E_FORMAT,
     "[0,18446744073709551616], expected two whole numbers"},
    {"[0,8]", "[8,0]", HOME_E_FORMAT,
     "data_offsets is [8,0], expected the first not above the second"},
    {"[0,8]", "[18446744073709551615,7]", HOME_E_FORMAT, "expected the first not above the second"},
    {"[0,8]", "[0,18446744073709551615]", HOME_E_FORMAT,
     "end at 18446744073709551615, expected at most 120"},
    {"[0,8]", "[0,9223372036854775808]", HOME_E_FORMAT,
     "end at 9223372036854775808, expected at most 120"},
    {"[0,8]", "[9223372036854775799,9223372036854775807]", HOME_E_FORMAT,
     "end at 9223372036854775807, expected"},
    {"[0,8]", "[18446744073709551606,18446744073709551614]", HOME_E_FORMAT,
     "end at 18446744073709551614, expected"},
    {"[104,120]", "[105,121]", HOME_E_FORMAT,
     "data_offsets end at 121, expected at most 120, where the file ends"},
    {TOWER ",", "", HOME_E_FORMAT,
     "\"embeddings.t.weight\": its bytes begin at 32, expected 28 (no hole, no overlap)"},
    {"[28,32]", "[24,28]", HOME_E_FORMAT, "its bytes begin at 24, expected 28"},
    {"[8,12]", "[6,10]", HOME_E_FORMAT, "norm.weight\": its bytes begin at 6, expected 8"},
    {"[0,8]", "[1,9]", HOME_E_FORMAT, "begin at 1, expected 0"},
    {",\"optimizer.learning_rate\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[104,120]}",
     "", HOME_E_FORMAT, "16 bytes after the last tensor belong to no tensor"},

    /* metadata */
    {"\"__metadata__\":{", "\"__metadata__\":[],\"x\":{", HOME_E_FORMAT,
     "__metadata__ is [], expected an object"},
    {SCHEMA, "\"home.schema\":1", HOME_E_FORMAT,
     "__metadata__ \"home.schema\" is 1, expected a text"},
    {SCHEMA, SCHEMA ",\"note\":{}", HOME_E_FORMAT, "__metadata__ \"note\" is {}, expected a text"},
    {SCHEMA, SCHEMA ",\"nothing\":null", HOME_E_FORMAT,
     "__metadata__ \"nothing\" is null, expected a text"},
    {SCHEMA ",", "", HOME_E_FORMAT,
     "__metadata__ has no home.schema: the file was not written by libhome"},
    {"\"home.config\"", "\"config\"", HOME_E_FORMAT,
     "__metadata__ has no home.config: the file was not"},
    {SCHEMA, "\"home.schema\":\"2\"", HOME_E_UNSUPPORTED, "home.schema is \"2\", expected \"1\""},
    {SCHEMA, "\"home.schema\":\"\"", HOME_E_UNSUPPORTED, "home.schema is \"\", expected \"1\""},
    {SCHEMA, "\"home.schema\":\"1 \"", HOME_E_UNSUPPORTED, "home.schema is \"1 \", expected \"1\""},
    {SCHEMA, "\"home.schema\":\"1\\u0000\"", HOME_E_FORMAT,
     "__metadata__ \"home.schema\": expected texts without zero"},
    {"\"home.config\":\"", "\"home.config\":\"\\u0000", HOME_E_FORMAT,
     "__metadata__ \"home.config\": expected texts"},
    {SCHEMA, SCHEMA ",\"note\":\"a\\u0000b\"", HOME_E_FORMAT,
     "__metadata__ \"note\": expected texts without zero bytes"},
    {SCHEMA, SCHEMA ",\"key\\u0000\":\"\"", HOME_E_FORMAT,
     "__metadata__ \"key\": expected texts without zero bytes"},
    {SCHEMA, SCHEMA ",\"home.other\":\"\"", HOME_E_UNSUPPORTED,
     "has \"home.other\", expected no other keys that begin with"},

    /* what was set for training */
    {SCHEMA, TRAINING("{"), HOME_E_JSON, "home.training: line 1, column "},
    {SCHEMA, TRAINING("[]"), HOME_E_FORMAT, "home.training: expected an object"},
    {SCHEMA, TRAINING("{\\\"x\\\":1}"), HOME_E_UNSUPPORTED,
     "home.training: \"x\" is not known to this version"},
    {SCHEMA, TRAINING("{\\\"task_weights\\\":1}"), HOME_E_FORMAT,
     "home.training: task_weights: expected an array"},
    {SCHEMA, TRAINING("{\\\"task_weights\\\":[1,1]}"), HOME_E_FORMAT,
     "task_weights: 2 numbers, expected 1"},
    {SCHEMA, TRAINING("{\\\"task_weights\\\":[true]}"), HOME_E_FORMAT,
     "task_weights: expected a number"},
    {SCHEMA, TRAINING("{\\\"task_weights\\\":[-1]}"), HOME_E_VALUE,
     "task_weights is -1, expected a number from 0 to 1e+30"},
    {SCHEMA, TRAINING("{\\\"norm_momentum\\\":\\\"1\\\"}"), HOME_E_FORMAT,
     "norm_momentum: expected a number"},
    {SCHEMA, TRAINING("{\\\"norm_momentum\\\":1.5}"), HOME_E_VALUE,
     "norm_momentum is 1.5, expected a number from 0 to 1"},
    {SCHEMA, TRAINING("{\\\"untrained\\\":\\\"x\\\"}"), HOME_E_FORMAT,
     "untrained: expected an array"},
    {SCHEMA, TRAINING("{\\\"untrained\\\":[1]}"), HOME_E_FORMAT, "untrained: expected names"},
    {SCHEMA, TRAINING("{\\\"untrained\\\":[\\\"x\\\"]}"), HOME_E_MISMATCH,
     "untrained: the model has no parameter or table \"x\""},
    {SCHEMA,
     TRAINING("{\\\"untrained\\\":[\\\"layers.0.units.shared.experts.0.norm.running_mean\\\"]}"),
     HOME_E_MISMATCH, "the model has no parameter or table \"layers.0"},
    {SCHEMA, TRAINING("{\\\"untrained\\\":[" ZEROS_90 "]}"), HOME_E_JSON,
     "home.training: line 1, column "},

    /* the checksum; without CHECKSUM in the header nothing is repaired */
    {CHECKSUM, "\"home.crc32\":\"12345678\"", HOME_E_CHECKSUM,
     "home.crc32 is 12345678, but the data's is "},
    {CHECKSUM, "\"home.crc32\":\"1234567\"", HOME_E_CHECKSUM,
     "home.crc32 is \"1234567\", expected 8 hexadecimal digits"},
    {CHECKSUM, "\"home.crc32\":\"123456789\"", HOME_E_CHECKSUM,
     "\"123456789\", expected 8 hexadecimal digits"},
    {CHECKSUM, "\"home.crc32\":\"\"", HOME_E_CHECKSUM,
     "home.crc32 is \"\", expected 8 hexadecimal digits"},
    {CHECKSUM, "\"home.crc32\":\"ABCDEF01\"", HOME_E_CHECKSUM,
     "\"ABCDEF01\", expected 8 hexadecimal digits"},
    {CHECKSUM, "\"home.crc32\":\"0x123456\"", HOME_E_CHECKSUM,
     "\"0x123456\", expected 8 hexadecimal digits"},
    {CHECKSUM, "\"home.crc32\":\"\\u0030000000\"", HOME_E_CHECKSUM,
     "expected 8 hexadecimal digits"},
    {CHECKSUM, "\"home.crc32\":12345678", HOME_E_FORMAT,
     "__metadata__ \"home.crc32\" is 12345678, expected a text"},

    /* the configuration in it */
    {"\"home.config\":\"{", "\"home.config\":\"[", HOME_E_JSON, "home.config: line 1, column "},
    {"\"home.config\":\"{", "\"home.config\":\"", HOME_E_JSON,
     "home.config: line 1, column 9: expected nothing"},
    {"\"home.config\":\"{", "\"home.config\":\"{\\\"dense\\\":2,", HOME_E_JSON,
     "found \"dense\" again"},
    {"\\\"experts\\\":{", "\\\"experts\\\":{\\\"hidden\\\":" NESTS_20 ",", HOME_E_JSON,
     "home.config: line 1, column "},
    {"\\\"dense\\\":1", "\\\"dense\\\":1,\\\"sead\\\":0", HOME_E_UNSUPPORTED,
     "home.config: sead: there is no key of this name"},
    {"\\\"norm\\\":\\\"batch\\\"", "\\\"norm\\\":\\\"layer\\\"", HOME_E_UNSUPPORTED,
     "home.config: experts.norm is \"layer\", expected \"none\" or"},
    {"\\\"name\\\":\\\"a\\\"", "\\\"name\\\":\\\"a\\\",\\\"focal_gamma\\\":0", HOME_E_UNSUPPORTED,
     "home.config: tasks[0].focal_gamma: there is no key of this name"},
    {"\\\"rows\\\":2", "\\\"rows\\\":0", HOME_E_UNSUPPORTED,
     "home.config: tables[0].rows is 0, expected a whole number from 1"},
    {"\\\"rows\\\":2", "\\\"rows\\\":9223372036854775808", HOME_E_TOO_LARGE,
     "rows x dim is 9223372036854775808 x 1, expected"},
    {"\\\"rows\\\":2", "\\\"rows\\\":18446744073709551615", HOME_E_TOO_LARGE,
     "rows x dim is 18446744073709551615 x 1, expected"},
    {"\\\"rows\\\":2", "\\\"rows\\\":-1", HOME_E_UNSUPPORTED,
     "tables[0].rows is -1, expected a whole number"},
    {"\\\"rows\\\":2", "\\\"rows\\\":50000000", HOME_E_MISMATCH,
     "tensor \"embeddings.t.weight\": shape is [2,1], expected [50000000,1]"},
    {"\\\"width\\\":1", "\\\"width\\\":16777216", HOME_E_MISMATCH,
     "shape is [1,2], expected [16777216,2]"},
    {"\\\"width\\\":1", "\\\"width\\\":16777217", HOME_E_UNSUPPORTED,
     "layers[0].width is 16777217, expected a whole number from 1 to 16777216"},
    {"\\\"name\\\":\\\"a\\\"", "\\\"name\\\":\\\"b\\\"", HOME_E_MISMATCH,
     "tensor \"towers.b.linear.0.weight\" is missing"},
    {"\\\"shared-bottom\\\"", "\\\"mmoe\\\"", HOME_E_MISMATCH, "gate.linear.0.weight\" is missing"},
    {"\\\"shared-bottom\\\"", "\\\"home\\\"", HOME_E_CONFIG,
     "layers has 1 element, expected 2 for the preset home"},
    {"\\\"norm\\\":\\\"batch\\\"", "\\\"norm\\\":\\\"none\\\"", HOME_E_MISMATCH,
     "tensor \"layers.0.units.shared.experts.0.linear.0.bias\" is missing"},

    /* the set of tensors */
    {"\"towers.a.linear.0.bias\"", "\"towers.a.linear.0.bia\"", HOME_E_MISMATCH,
     "tensor \"towers.a.linear.0.bias\" is missing"},
    {"\"" FIRST "\"", "\"model." FIRST "\"", HOME_E_MISMATCH, "tensor \"" FIRST "\" is missing"},
    {"\"__metadata__\":",
     "\"x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"__metadata__\":",
     HOME_E_MISMATCH, "the model has no tensor \"x\""},
    {"\"__metadata__\":",
     "\"\":{\"dtype\":\"I8\",\"shape\":[3,0],\"data_offsets\":[120,120]},\"__metadata__\":",
     HOME_E_MISMATCH, "the model has no tensor \"\""},
    {"\"__metadata__\":",
     "\"optimizer.x\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"__metadata__\":",
     HOME_E_MISMATCH, "the model has no tensor \"optimizer.x\""},
    {TOWER, TOWER_OF("F16", "[2]"), HOME_E_MISMATCH, "bias\": dtype is F16, expected F32"},
    {TOWER, TOWER_OF("BF16", "[2]"), HOME_E_MISMATCH, "bias\": dtype is BF16, expected F32"},
    {TOWER, TOWER_OF("F8_E4M3", "[4]"), HOME_E_MISMATCH, "bias\": dtype is F8_E4M3, expected F32"},
    {TOWER, TOWER_OF("F8_E5M2", "[4]"), HOME_E_MISMATCH, "bias\": dtype is F8_E5M2, expected F32"},
    {TOWER, TOWER_OF("F8_E8M0", "[4]"), HOME_E_MISMATCH, "bias\": dtype is F8_E8M0, expected F32"},
    {TOWER, TOWER_OF("F8_E4M3FNUZ", "[4]"), HOME_E_MISMATCH,
     "bias\": dtype is F8_E4M3FNUZ, expected F32"},
    {TOWER, TOWER_OF("F8_E5M2FNUZ", "[4]"), HOME_E_MISMATCH,
     "bias\": dtype is F8_E5M2FNUZ, expected F32"},
    {TOWER, TOWER_OF("F4", "[8]"), HOME_E_MISMATCH, "bias\": dtype is F4, expected F32"},
    {TOWER, TOWER_OF("I32", "[1]"), HOME_E_MISMATCH, "bias\": dtype is I32, expected F32"},
    {TOWER, TOWER_OF("BOOL", "[4]"), HOME_E_MISMATCH, "bias\": dtype is BOOL, expected F32"},
    {TOWER, TOWER_OF("F32", "[]"), HOME_E_MISMATCH, "bias\": shape is [], expected [1]"},
    {TOWER, TOWER_OF("F32", "[1,1]"), HOME_E_MISMATCH, "bias\": shape is [1,1], expected [1]"},
    {SHAPE, SHAPE_OF("[2,1]"), HOME_E_MISMATCH, "shape is [2,1], expected [1,2]"},
    {SHAPE, SHAPE_OF("[2]"), HOME_E_MISMATCH, "shape is [2], expected [1,2]"},
    {SHAPE, SHAPE_OF("[1,2,1]"), HOME_E_MISMATCH, "shape is [1,2,1], expected [1,2]"},
    {"\"optimizer.step\"", "\"optimizer.stop\"", HOME_E_MISMATCH,
     "tensor \"optimizer.step\" is missing"},
    {"\"optimizer.learning_rate\"", "\"learning_rate\"", HOME_E_MISMATCH,
     "\"optimizer.learning_rate\" is missing"},
    {"\"optimizer.embeddings.t.weight.sum\"", "\"optimizer.embeddings.t.weight.exp_avg\"",
     HOME_E_MISMATCH, "tensor \"optimizer.embeddings.t.weight.sum\" is missing"},
    {"\"I64\"", "\"F64\"", HOME_E_MISMATCH,
     "tensor \"optimizer.step\": dtype is F64, expected I64"},
    {"\"I64\"", "\"U64\"", HOME_E_MISMATCH,
     "tensor \"optimizer.step\": dtype is U64, expected I64"},
    {"\"F64\",\"shape\":[2]", "\"F32\",\"shape\":[4]", HOME_E_MISMATCH,
     "learning_rate\": dtype is F32, expected F64"},
    {"\"F64\",\"shape\":[2]", "\"F64\",\"shape\":[1,2]", HOME_E_MISMATCH,
     "rate\": shape is [1,2], expected [2]"},
};

static void edited_headers(void) {
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        test_begin("header %zu is refused: %s for %s", i, edits[i].to, edits[i].from);
        char *text = replace_first(header, edits[i].from, edits[i].to);
        file_bytes file = make_file(text, body, BODY);
        check_refused(&file, edits[i].status, edits[i].message);
        check_weights(&file);
        free(file.bytes);
        free(text);
        test_end();
    }
}

/* ------------------------------------------------------------------------ values that cannot be */

static const struct {
    size_t at;   /* in the body */
    size_t size; /* bytes of the element */
    uint64_t bits;
    const char *message;
} values[] = {
    {0, 4, 0x7fc00000, "tensor \"" FIRST "\": element 0 is nan, expected a finite number"},
    {4, 4, 0x7f800000, "tensor \"" FIRST "\": element 1 is inf, expected a finite number"},
    {28, 4, 0xff800000,
     "tensor \"towers.a.linear.0.bias\": element 0 is -inf, expected a finite number"},
    {16, 4, 0x7f800001,
     "norm.running_mean\": element 0 is nan, expected a finite number"}, /* signalling */
    {20, 4, 0xbf800000, "norm.running_var\": element 0 is -1, expected a finite number >= 0"},
    {20, 4, 0x80000001,
     "norm.running_var\": element 0 is -1.4013e-45, expected a finite number >= 0"},
    {20, 4, 0x7f800000, "norm.running_var\": element 0 is inf, expected a finite number >= 0"},
    {36, 4, 0x7f800000,
     "tensor \"embeddings.t.weight\": element 1 is inf, expected a finite number"},
    {40, 4, 0xff800000, ".exp_avg\": element 0 is -inf, expected a finite number"},
    {52, 4, 0xc0000000, ".exp_avg_sq\": element 1 is -2, expected a finite number >= 0"},
    {92, 4, 0xc0000000,
     "tensor \"optimizer.embeddings.t.weight.sum\": element 1 is -2, expected a finite number >= "
     "0"},
    {96, 8, UINT64_MAX,
     "tensor \"optimizer.step\": element 0 is -1, expected a finite number >= 0"},
    {96, 8, UINT64_C(1) << 63,
     "tensor \"optimizer.step\": element 0 is -9.22337e+18, expected a finite number >= 0"},
    {104, 8, UINT64_C(0x7ff8) << 48,
     "tensor \"optimizer.learning_rate\": element 0 is nan, expected a number from 0 to 1e+06"},
    {112, 8, UINT64_C(0x7ff0) << 48,
     "tensor \"optimizer.learning_rate\": element 1 is inf, expected a number from 0 to 1e+06"},
    {112, 8, UINT64_C(0x413e8480) << 32,
     "tensor \"optimizer.learning_rate\": element 1 is 2e+06, expected a number from 0 to 1e+06"},
    {112, 8, UINT64_C(0xbff0) << 48,
     "tensor \"optimizer.learning_rate\": element 1 is -1, expected a number from 0 to 1e+06"},
};

static void put(unsigned char *bytes, size_t size, uint64_t bits) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(bits >> (8 * i) & 255);
}

static void impossible_values(void) {
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        test_begin("value %zu at byte %zu is refused", i, values[i].at);
        unsigned char contents[BODY];
        memcpy(contents, body, BODY);
        put(contents + values[i].at, values[i].size, values[i].bits);
        file_bytes file = make_file(header, contents, BODY);
        check_refused(&file, HOME_E_VALUE, values[i].message);
        check_weights(&file);
        free(file.bytes);
        test_end();
    }
}

/* Values at the edge of what can be: none of them is refused. */
static void values_at_the_edge_are_taken(void) {
    unsigned char contents[BODY];
    memcpy(contents, body, BODY);
    put(contents, 4, 0x7f7fffff);                   /* the largest float */
    put(contents + 4, 4, 0x80000001);               /* a denormal */
    put(contents + 20, 4, 0x80000000);              /* a variance of -0 */
    put(contents + 96, 8, (UINT64_C(1) << 63) - 1); /* steps */
    put(contents + 104, 8, 0);                      /* a learning rate */
    file_bytes file = make_file(header, contents, BODY);
    home_error error = new_error();
    home_model *model = NULL;
    if (!CHECK_INTEGER(home_model_load_memory(file.bytes, file.size, NULL, &model, &error),
                       HOME_OK))
        printf("    %s\n", error.message);
    CHECK(home_model_step_count(model) == (UINT64_C(1) << 63) - 1);
    home_model_release(model);
    free(file.bytes);
}

/* ------------------------------------------------------------------------------- length and end */

/* The good file with another length in front. */
static void header_lengths(void) {
    const uint64_t length = strlen(header);
    const struct {
        uint64_t length;
        home_status status;
        const char *message;
    } lengths[] = {
        {0, HOME_E_JSON,
         "the header: line 1, column 1: expected a value, found the end of the text"},
        {1, HOME_E_JSON,
         "the header: line 1, column 2: expected a key in quotes, found the end of the text"},
        {length - 9, HOME_E_JSON, "found the end of the text"},
        {length + 1, HOME_E_JSON, "expected nothing after the value"},
        {length + BODY + 1, HOME_E_FORMAT, "expected at most"},
        {100000000, HOME_E_FORMAT, "the header's length is 100000000, expected at most"},
        {(UINT64_C(1) << 32) + length, HOME_E_FORMAT, "expected at most"},
        {(UINT64_C(1) << 63) - 9, HOME_E_FORMAT, "length is 9223372036854775799, expected at most"},
        {(UINT64_C(1) << 63) - 1, HOME_E_FORMAT, "length is 9223372036854775807, expected at most"},
        {UINT64_C(1) << 63, HOME_E_FORMAT, "length is 9223372036854775808, expected at most"},
        {UINT64_MAX - 8, HOME_E_FORMAT, "length is 18446744073709551607, expected at most"},
        {UINT64_MAX - 7, HOME_E_FORMAT, "length is 18446744073709551608, expected at most"},
        {UINT64_MAX, HOME_E_FORMAT, "length is 18446744073709551615, expected at most"},
    };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        test_begin("header length %llu is refused", (unsigned long long)lengths[i].length);
        file_bytes file = make_file(header, body, BODY);
        set_length(file.bytes, lengths[i].length);
        check_refused(&file, lengths[i].status, lengths[i].message);
        check_weights(&file);
        free(file.bytes);
        test_end();
    }
}

/* A header above the format's own limit, in a file that is as large. */
static void a_header_above_the_limit_is_refused(void) {
    const size_t length = 100000001;
    file_bytes file = {calloc(1, length + 8), length + 8};
    REQUIRE(file.bytes);
    set_length(file.bytes, length);
    check_refused(&file, HOME_E_FORMAT,
                  "the header's length is 100000001, expected at most 100000000");
    free(file.bytes);
}

/* The file ends before, at and behind each place where something begins. */
static void truncated(void) {
    static const size_t places[] = {0, 8, 12, 16, 20, 24, 28, 32, 40, 96, 104, 112, 119};
    for (size_t i = 0; i <= 8; i += i == 0 ? 1 : i == 1 ? 6 : 1) {
        test_begin("only %zu bytes are refused", i);
        file_bytes file = make_file(header, body, BODY);
        file.bytes = realloc(file.bytes, i + (i == 0));
        REQUIRE(file.bytes);
        file.size = i;
        check_refused(&file, HOME_E_FORMAT,
                      i < 8 ? "expected at least 8 for the header's length" : "expected at most 0");
        free(file.bytes);
        test_end();
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        test_begin("%zu bytes of tensors are refused", places[i]);
        file_bytes file = make_file(header, body, places[i]);
        check_refused(&file, HOME_E_FORMAT, "where the file ends");
        free(file.bytes);
        test_end();
    }
}

static void trailing_bytes(void) {
    static const size_t extra[] = {1, 8, 1000};
    for (size_t i = 0; i < sizeof extra / sizeof *extra; i++) {
        test_begin("%zu bytes too many are refused", extra[i]);
        unsigned char contents[BODY + 1000] = {0};
        memcpy(contents, body, BODY);
        file_bytes file = make_file(header, contents, BODY + extra[i]);
        check_refused(&file, HOME_E_FORMAT, "after the last tensor belong to no tensor");
        check_weights(&file);
        free(file.bytes);
        test_end();
    }
}

/* -------------------------------------------------------------------------------- other headers */

#define ALIEN(dtype, end)                                                                          \
    "{\"weight\":{\"dtype\":\"" dtype "\",\"shape\":[2,2],\"data_offsets\":[0," end "]}}"

static const struct {
    const char *header;
    size_t size; /* of the body */
    home_status status;
    const char *message;
} others[] = {
    {"[]", 0, HOME_E_FORMAT, "the header is [], expected an object"},
    {"null", 0, HOME_E_FORMAT, "the header is null, expected an object"},
    {"\"{}\"", 0, HOME_E_FORMAT, "the header is \"{}\", expected an object"},
    {"[{\"__metadata__\":{}}]", 0, HOME_E_FORMAT,
     "the header is [{\"__metadata__\":{}}], expected an object"},
    {"{}", 4, HOME_E_FORMAT, "4 bytes after the last tensor belong to no tensor"},
    {"{\"__metadata__\":{\"format\":\"pt\"}}", 2, HOME_E_FORMAT,
     "2 bytes after the last tensor belong to no tensor"},
    {"{\"__metadata__\":5}", 0, HOME_E_FORMAT, "__metadata__ is 5, expected an object"},
    {"        ", 0, HOME_E_FORMAT, "the header is         , expected an object"},
    {" {}", 0, HOME_E_FORMAT, "the header is  {}, expected an object"},
    {"{\"a\":[1,2,3,4,5,6,7,8]}", 0, HOME_E_JSON,
     "column 17: expected at most 7 values in 23 bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\","
     "\"shape\":[1],"
     "\"data_offsets\":[2,6]}}",
     6, HOME_E_FORMAT, "tensor \"b\": its bytes begin at 2, expected 4"},
};

static void other_headers(void) {
    static const unsigned char zeros[64];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        test_begin("a header is refused: %s", others[i].header);
        file_bytes file = make_file(others[i].header, zeros, others[i].size);
        check_refused(&file, others[i].status, others[i].message);
        check_weights(&file);
        free(file.bytes);
        test_end();
    }
}

static const struct {
    const char *header;
    size_t size;
} aliens[] = {
    {"{}", 0},
    {"{\"__metadata__\":{\"format\":\"pt\"}}", 0},
    {ALIEN("F32", "16"), 16},
    {ALIEN("F16", "8"), 8},
    {ALIEN("BF16", "8"), 8},
    {ALIEN("F64", "32"), 32},
    {ALIEN("C64", "32"), 32},
    {ALIEN("F8_E4M3", "4"), 4},
    {ALIEN("F6_E2M3", "3"), 3},
    {ALIEN("F4", "2"), 2},
    {ALIEN("I64", "32"), 32},
    {ALIEN("U8", "4"), 4},
    {ALIEN("BOOL", "4"), 4},
    {"{\"empty\":{\"dtype\":\"F32\",\"shape\":[0,9223372036854775807],\"data_offsets\":[0,0]}}", 0},
    {"{\"scalar\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4},
};

/* Sound safetensors of somebody else's: no checkpoints, and their tensors are not the model's. */
static void alien_files_are_refused(void) {
    static const unsigned char zeros[64];
    home_model *model = small_model();
    for (size_t i = 0; i < sizeof aliens / sizeof *aliens; i++) {
        file_bytes file = make_file(aliens[i].header, zeros, aliens[i].size);
        home_error error = new_error();
        home_model *made = NULL;
        CHECK_INTEGER(home_model_load_memory(file.bytes, file.size, NULL, &made, &error),
                      HOME_E_FORMAT);
        CHECK_CONTAINS(error.message, "home_model_load_weights() can take its tensors");
        char path[] = "/tmp/home-test-XXXXXX";
        const int descriptor = mkstemp(path);
        REQUIRE(descriptor >= 0 && write(descriptor, file.bytes, file.size) == (ssize_t)file.size);
        close(descriptor);
        CHECK_INTEGER(home_model_load_weights(model, path, &error), HOME_E_MISMATCH);
        CHECK_CONTAINS(error.message, "tensor \"" FIRST "\" is missing");
        unlink(path);
        free(file.bytes);
    }
    home_model_release(model);
}

/* Very many tensors that are none of the model's take no time that grows with their square. */
static void many_strange_tensors_take_linear_time(void) {
    enum { COUNT = 200000 };
    char *text = malloc(sizeof header + (size_t)COUNT * 80);
    REQUIRE(text);
    size_t at = (size_t)sprintf(text, "%s", header);
    while (at > 0 && text[at - 1] != '}')
        at--;
    at--;
    for (int i = 0; i < COUNT; i++)
        at += (size_t)sprintf(
            text + at,
            ",\"optimizer.%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[120,120]}", i);
    sprintf(text + at, "}");
    file_bytes file = make_file(text, body, BODY);
    check_refused(&file, HOME_E_MISMATCH, "the model has no tensor \"optimizer.0\"");
    free(file.bytes);
    free(text);
}

/* A file that describes a large model and holds `strangers` empty tensors, none of it; how often it
 * makes the loader allocate. */
static long load_without_tensors(const char *preset, const char *layer, int tasks, int layers,
                                 int strangers) {
    const size_t room = 1000 + (size_t)tasks * 32 + (size_t)layers * 64 + (size_t)strangers * 70;
    char *text = malloc(room);
    REQUIRE(text);
    size_t at = (size_t)sprintf(
        text,
        "{\"__metadata__\":{\"home.schema\":\"1\",\"home.config\":\"{\\\"preset\\\":"
        "\\\"%s\\\",\\\"dense\\\":1,\\\"tasks\\\":[",
        preset);
    for (int i = 0; i < tasks; i++)
        at += (size_t)sprintf(text + at, "%s{\\\"name\\\":\\\"t%d\\\"}", i ? "," : "", i);
    at += (size_t)sprintf(text + at, "],\\\"layers\\\":[");
    for (int i = 0; i < layers; i++)
        at += (size_t)sprintf(text + at, "%s%s", i ? "," : "", layer);
    at += (size_t)sprintf(text + at, "]}\"}");
    for (int i = 0; i < strangers; i++)
        at += (size_t)sprintf(text + at,
                              ",\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i);
    sprintf(text + at, "}");
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    file_bytes file = make_file(text, "", 0);
    home_error error = new_error();
    home_model *model = NULL;
    CHECK_INTEGER(
        home_model_load_memory(
            file.bytes, file.size,
            &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &allocator},
            &model, &error),
        HOME_E_MISMATCH);
    CHECK_CONTAINS(error.message, ".experts.0.linear.0.weight\" is missing");
    CHECK_INTEGER(m.live, 0);
    free(file.bytes);
    free(text);
    return m.allocations;
}

/* A few kilobytes that describe a million experts, each of them seen by hundreds of nodes: refused
 * before a plan for them takes gigabytes. */
static void a_huge_configuration_is_refused_early(void) {
    CHECK(load_without_tensors("adatt", "{\\\"width\\\":1,\\\"task_experts\\\":64}", 256, 64, 0) <
          500);
}

/* Headers of values as short as JSON has them: many to the byte, but no tensors. What their values
 * take is bounded. */
static void dense_headers_take_bounded_memory(void) {
    static const char *const begins[] = {"[1", "{\"a\":[1",
                                         "{\"a\":{\"dtype\":\"F32\",\"shape\":[1"};
    enum { VALUES = 1000000, BLOCK = 64 };
    char *text = malloc(2 * VALUES + 1000);
    REQUIRE(text);
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        size_t at = (size_t)sprintf(text, "%s", begins[i]);
        for (int k = 0; k < VALUES; k++)
            at += (size_t)sprintf(text + at, ",1");
        sprintf(text + at, "]");
        meter m;
        const home_allocator allocator = meter_allocator(&m);
        home_error error = new_error();
        home_model *model = NULL;
        file_bytes file = make_file(text, "", 0);
        CHECK_INTEGER(
            home_model_load_memory(file.bytes, file.size,
                                   &(home_load_options){.struct_size = sizeof(home_load_options),
                                                        .allocator = &allocator},
                                   &model, &error),
            i == 0 ? HOME_E_FORMAT : HOME_E_JSON);
        CHECK_CONTAINS(error.message,
                       i == 0 ? "the header is [1,1,1,1,1" : "expected at most 5000");
        CHECK(m.allocations < VALUES / 2 / BLOCK + 100);
        CHECK_INTEGER(m.live, 0);
        free(file.bytes);
    }
    free(text);
}

/* A large model, and a file that has as many tensors as it, but others. */
static void a_huge_configuration_among_strangers_is_refused_early(void) {
    enum { TASKS = 256, LAYERS = 20, STRANGERS = 4 * TASKS * LAYERS };
    const long small = load_without_tensors("shared-bottom", "{\\\"width\\\":1}", 1, 1, STRANGERS);
    const long large =
        load_without_tensors("adatt-sp", "{\\\"width\\\":1}", TASKS, LAYERS, STRANGERS);
    CHECK(large < small + 300); /* blocks of 16 KiB */
}

/* The files above are refused for their faults, not for how they were made. */
static void the_file_without_a_fault_loads(void) {
    file_bytes file = make_file(header, body, BODY);
    home_model *model = NULL;
    home_model *same = small_model();
    CHECK_INTEGER(home_model_load_memory(file.bytes, file.size, NULL, &model, NULL), HOME_OK);
    CHECK(model && same_model(model, same));
    home_model_release(model);
    home_model_release(same);
    free(file.bytes);
}

int main(void) {
    make_good_checkpoint();
    RUN(the_file_without_a_fault_loads);
    edited_headers();
    impossible_values();
    RUN(values_at_the_edge_are_taken);
    header_lengths();
    RUN(a_header_above_the_limit_is_refused);
    truncated();
    trailing_bytes();
    other_headers();
    RUN(alien_files_are_refused);
    RUN(many_strange_tensors_take_linear_time);
    RUN(dense_headers_take_bounded_memory);
    RUN(a_huge_configuration_is_refused_early);
    RUN(a_huge_configuration_among_strangers_is_refused_early);
    return test_summary();
}
