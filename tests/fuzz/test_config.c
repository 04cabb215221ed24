/* Fuzzes configurations: the input is JSON text, then the point where an allocation fails. */
#include "fuzz/fuzz.h"
#include "host/json.h"

#include <string.h>

enum { BUDGET = 4 << 20 };

/* A model's own configuration makes the same model. */
static void check_round_trip(const home_model *model, const home_allocator *allocator) {
    const char *text = home_model_config_json(model);
    const home_create_options options = {.struct_size = sizeof options, .allocator = allocator};
    home_error error = {.struct_size = sizeof error};
    home_model *again = NULL;
    const home_status status = home_model_create_json(text, strlen(text), &options, &again, &error);
    if (status == HOME_E_MEMORY) /* two models at once may be too much for the budget */
        return;
    FUZZ_CHECK(status == HOME_OK);
    FUZZ_CHECK(strcmp(home_model_config_json(again), text) == 0);
    FUZZ_CHECK(strcmp(home_model_topology_json(again), home_model_topology_json(model)) == 0);
    home_model_release(again);
}

static void check_json(const char *text, const home_allocator *allocator) {
    homejson *document = NULL;
    const home_status status = homejson_parse(allocator, text, strlen(text), &document, NULL);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    homejson_free(document);
}

/* One row of zeros. */
static void check_predict(const home_model *model, const fuzz_memory *memory) {
    static const uint64_t zero;
    const size_t dense = home_model_dense_width(model);
    const size_t fields = home_model_field_count(model);
    const size_t tasks = home_model_task_count(model);
    float *values = calloc(dense + tasks + 1, sizeof *values);
    home_ids *ids = malloc((fields + 1) * sizeof *ids);
    FUZZ_CHECK(values && ids);
    for (size_t f = 0; f < fields; f++)
        ids[f] = (home_ids){.struct_size = sizeof(home_ids), .ids = &zero, .offsets = NULL};
    const home_batch batch = {sizeof batch, 1, values, 0, ids, fields};
    home_error error = {.struct_size = sizeof error};
    const home_status status = home_model_predict(model, &batch, values + dense, 0, NULL, &error);
    fuzz_check_outcome(status, &error, memory);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY);
    free(values);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    fuzz_memory memory = fuzz_memory_start(&in, BUDGET);
    const home_allocator allocator = fuzz_allocator(&memory);
    const home_create_options options = {.struct_size = sizeof options, .allocator = &allocator};
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    const home_status status =
        home_model_create_json((const char *)in.data, in.size, &options, &model, &error);
    fuzz_check_outcome(status, &error, &memory);
    FUZZ_CHECK((status == HOME_OK) == (model != NULL));
    FUZZ_CHECK(status == HOME_OK || memory.live == 0);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_JSON || status == HOME_E_CONFIG ||
               status == HOME_E_MEMORY || status == HOME_E_TOO_LARGE);
    fuzz_memory_heal(&memory);
    if (model) {
        check_round_trip(model, &allocator);
        check_json(home_model_topology_json(model), &allocator);
        check_predict(model, &memory);
    }
    home_model_release(model);
    FUZZ_CHECK(memory.live == 0);
    return 0;
}
