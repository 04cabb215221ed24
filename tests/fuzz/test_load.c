/* Fuzzes the readers of checkpoints. The input is the text of a header, a zero byte, the tensors'
 * bytes, and last a few choices. The harness puts the length before the header and the checksum
 * into it, so that the search gets past them. */
#include "base/crc32.h"
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

enum { BUDGET = 4 << 20, AS_IT_IS = 1, OLD_CHECKSUM = 2, WEIGHTS = 4 };

/* A file in memory, malloc'd. */
typedef struct file_bytes {
    unsigned char *bytes;
    size_t size;
} file_bytes;

/* [header][zero][body] becomes [8: length][header][body]. */
static file_bytes assemble(const uint8_t *data, size_t size) {
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const size_t header = zero ? (size_t)(zero - data) : size;
    const size_t body = zero ? size - header - 1 : 0;
    file_bytes file = {malloc(8 + header + body), 8 + header + body};
    FUZZ_CHECK(file.bytes);
    for (size_t i = 0; i < 8; i++)
        file.bytes[i] = (unsigned char)((uint64_t)header >> (8 * i) & 255);
    if (header)
        memcpy(file.bytes + 8, data, header);
    if (body)
        memcpy(file.bytes + 8 + header, zero + 1, body);
    return file;
}

static file_bytes copy(const uint8_t *data, size_t size) {
    file_bytes file = {malloc(size ? size : 1), size};
    FUZZ_CHECK(file.bytes);
    if (size)
        memcpy(file.bytes, data, size);
    return file;
}

/* Puts the right digits where the checksum stands, if it does. */
static void repair_checksum(file_bytes *file) {
    static const char key[] = "\"home.crc32\":\"";
    const size_t length = sizeof key - 1;
    for (size_t at = 8; at + length + 8 <= file->size; at++) {
        if (memcmp(file->bytes + at, key, length) != 0)
            continue;
        char digits[9];
        memset(file->bytes + at + length, '0', 8);
        homecrc32 crc;
        homecrc32_start(&crc);
        homecrc32_add(&crc, file->bytes, file->size);
        snprintf(digits, sizeof digits, "%08lx", (unsigned long)homecrc32_value(&crc));
        memcpy(file->bytes + at + length, digits, 8);
        return;
    }
}

/* What loads can be saved, and loads again as the same. */
static void check_round_trip(const home_model *model, const home_allocator *allocator) {
    size_t size;
    size_t again_size;
    unsigned char *bytes = fuzz_serialize(model, &size);
    home_error error = {.struct_size = sizeof error};
    home_model *again = NULL;
    const home_status status = home_model_load_memory(
        bytes, size,
        &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = allocator},
        &again, &error);
    /* Two models may be too much for the budget. */
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    if (again) {
        unsigned char *again_bytes = fuzz_serialize(again, &again_size);
        FUZZ_CHECK(again_size == size && memcmp(again_bytes, bytes, size) == 0);
        free(again_bytes);
    }
    home_model_release(again);
    free(bytes);
}

/* Two rows of zeros: predict, train, freeze. Weights may be so large that a step is refused. */
static void use(home_model *model, const fuzz_memory *memory) {
    static const uint64_t ids[2];
    const size_t dense = home_model_dense_width(model);
    const size_t fields = home_model_field_count(model);
    const size_t tasks = home_model_task_count(model);
    float *values = calloc(2 * (dense + 2 * tasks), sizeof *values);
    home_ids *field = malloc((fields + 1) * sizeof *field);
    FUZZ_CHECK(values && field);
    for (size_t f = 0; f < fields; f++)
        field[f] = (home_ids){.struct_size = sizeof(home_ids), .ids = ids, .offsets = NULL};
    const home_batch batch = {sizeof batch, 2, values, 0, field, fields};
    const home_targets targets = {.struct_size = sizeof targets, .labels = values + 2 * dense};
    float *out = values + 2 * (dense + tasks);
    home_error error = {.struct_size = sizeof error};
    home_model *frozen = NULL;
    home_status status = home_model_predict(model, &batch, out, 0, NULL, &error);
    fuzz_check_outcome(status, &error, memory);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    status = home_model_freeze(model, &frozen, NULL);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    if (frozen) {
        status = home_model_predict(frozen, &batch, out, 0, NULL, NULL);
        FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    }
    status = home_model_forward(model, &batch, NULL, 0, NULL);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY || status == HOME_E_VALUE);
    if (status == HOME_OK)
        status = home_model_backward(model, &targets, NULL, NULL);
    if (status == HOME_OK)
        status = home_model_step(model, NULL);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY || status == HOME_E_VALUE);
    home_model_release(frozen);
    free(values);
    free(field);
}

/* A small model that takes weights from the file: either all of them or none. */
static void load_weights(const file_bytes *file, fuzz_memory *memory) {
    static const char config[] =
        "{\"preset\":\"shared-bottom\",\"dense\":1,\"tasks\":[{\"name\":\"a\"}],"
        "\"layers\":[{\"width\":1}]}";
    static fuzz_file on_disk;
    const size_t fail_at = memory->fail_at;
    const home_allocator allocator = fuzz_allocator(memory);
    home_error error = {.struct_size = sizeof error};
    const home_create_options options = {.struct_size = sizeof options, .allocator = &allocator};
    home_model *model = NULL;
    memory->fail_at = 0;
    FUZZ_CHECK(home_model_create_json(config, sizeof config - 1, &options, &model, NULL) ==
               HOME_OK);
    size_t before_size;
    size_t after_size;
    unsigned char *before = fuzz_serialize(model, &before_size);
    fuzz_file_set(&on_disk, file->bytes, file->size);
    memory->fail_at = fail_at ? memory->allocations + fail_at : 0;
    const home_status status = home_model_load_weights(model, on_disk.path, &error);
    fuzz_check_outcome(status, &error, memory);
    fuzz_memory_heal(memory);
    unsigned char *after = fuzz_serialize(model, &after_size);
    if (status != HOME_OK)
        FUZZ_CHECK(before_size == after_size && memcmp(before, after, after_size) == 0);
    check_round_trip(model, &allocator);
    free(before);
    free(after);
    home_model_release(model);
}

/* All that a header says. */
static void look_at(const home_checkpoint *checkpoint, size_t size) {
    for (size_t i = 0; i < home_checkpoint_metadata_count(checkpoint); i++) {
        const char *key = home_checkpoint_metadata_key(checkpoint, i);
        FUZZ_CHECK(home_checkpoint_metadata(checkpoint, key) ==
                   home_checkpoint_metadata_text(checkpoint, i));
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < home_checkpoint_tensor_count(checkpoint); i++) {
        home_stored_tensor tensor = {.struct_size = sizeof tensor};
        home_stored_tensor named = {.struct_size = sizeof named};
        FUZZ_CHECK(home_checkpoint_tensor_at(checkpoint, i, &tensor, NULL) == HOME_OK);
        FUZZ_CHECK(home_checkpoint_tensor(checkpoint, tensor.name, &named, NULL) == HOME_OK);
        FUZZ_CHECK(memcmp(&tensor, &named, sizeof named) == 0);
        FUZZ_CHECK(tensor.offset <= size && tensor.bytes <= size - tensor.offset);
        bool empty = false;
        for (size_t d = 0; d < tensor.rank; d++)
            empty = empty || tensor.shape[d] == 0;
        FUZZ_CHECK(empty == (tensor.bytes == 0));
        sum += tensor.bytes;
    }
    FUZZ_CHECK(home_checkpoint_bytes(checkpoint) == size && sum + 8 <= size);
}

/* What is wrong with a header is wrong with the file, and what loads has a good one. */
static void open_header(const file_bytes *file, bool loads, fuzz_memory *memory) {
    const home_allocator allocator = fuzz_allocator(memory);
    const long live = (long)memory->live;
    home_error error = {.struct_size = sizeof error};
    home_checkpoint *checkpoint = NULL;
    const home_status status =
        home_checkpoint_open_memory(file->bytes, file->size, &allocator, &checkpoint, &error);
    fuzz_check_outcome(status, &error, memory);
    FUZZ_CHECK((status == HOME_OK) == (checkpoint != NULL));
    FUZZ_CHECK(!loads || status == HOME_OK || status == HOME_E_MEMORY);
    if (checkpoint)
        look_at(checkpoint, file->size);
    home_checkpoint_destroy(checkpoint);
    FUZZ_CHECK((long)memory->live == live);
}

/* What loads also loads as frozen, but for want of memory. */
static void load_frozen(const file_bytes *file, bool loads, fuzz_memory *memory) {
    const home_allocator allocator = fuzz_allocator(memory);
    const home_load_options options = {
        .struct_size = sizeof options, .allocator = &allocator, .frozen = HOME_ON};
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    const home_status status =
        home_model_load_memory(file->bytes, file->size, &options, &model, &error);
    fuzz_check_outcome(status, &error, memory);
    FUZZ_CHECK((status == HOME_OK) == (model != NULL));
    FUZZ_CHECK(!loads || status == HOME_OK || status == HOME_E_MEMORY);
    home_model_release(model);
    FUZZ_CHECK(memory->live == 0);
}

static void load(const file_bytes *file, fuzz_memory *memory) {
    const home_allocator allocator = fuzz_allocator(memory);
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    const home_status status = home_model_load_memory(
        file->bytes, file->size,
        &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &allocator},
        &model, &error);
    fuzz_check_outcome(status, &error, memory);
    FUZZ_CHECK((status == HOME_OK) == (model != NULL));
    FUZZ_CHECK(status == HOME_OK || memory->live == 0);
    fuzz_memory_heal(memory);
    if (model) {
        check_round_trip(model, &allocator);
        use(model, memory);
    }
    const bool loads = model != NULL;
    home_model_release(model);
    open_header(file, loads, memory);
    load_frozen(file, loads, memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    const unsigned flags = fuzz_byte(&in);
    fuzz_memory memory = fuzz_memory_start(&in, BUDGET);
    file_bytes file = flags & AS_IT_IS ? copy(in.data, in.size) : assemble(in.data, in.size);
    if (!(flags & OLD_CHECKSUM))
        repair_checksum(&file);
    if (flags & WEIGHTS)
        load_weights(&file, &memory);
    else
        load(&file, &memory);
    FUZZ_CHECK(memory.live == 0);
    free(file.bytes);
    return 0;
}
