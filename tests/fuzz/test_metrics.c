/* Fuzzes the readers of metrics and health that were sent as bytes. The input is what stands behind
 * the frame, and last a few choices. The harness puts size and checksum before it, so that the
 * search gets past them. */
#include "fuzz/fuzz.h"
#include "metrics/frames.h"

#include <math.h>

enum { BUDGET = 4 << 20, TASKS = 2, HEALTH = 1, AS_IT_IS = 2, BOUNDED = 4 };

static frame assemble(const uint8_t *data, size_t size, unsigned flags) {
    const size_t header = flags & AS_IT_IS ? 0 : FRAME_HEADER;
    const frame made = frame_new(header + size);
    frame sealed = made;
    if (size)
        memcpy(made.bytes + header, data, size);
    if (header) {
        memcpy(made.bytes, flags & HEALTH ? "HOMEHLTH" : "HOMEMETR", 8);
        frame_put(&sealed, 8, 1, 4);
        frame_seal(&sealed);
    }
    return made;
}

/* -------------------------------------------------------------------------------------- metrics */

static home_metrics *new_metrics(const home_allocator *allocator, unsigned flags) {
    static const int32_t losses[TASKS] = {HOME_LOSS_SQUARED, HOME_LOSS_BCE};
    const home_metrics_options options = {.struct_size = sizeof options,
                                          .tasks = TASKS,
                                          .losses = losses,
                                          .max_bytes = flags & BOUNDED ? 1 << 17 : 0,
                                          .allocator = allocator};
    home_metrics *metrics = NULL;
    home_metrics_create(&options, &metrics, NULL);
    return metrics;
}

static bool is_share(double figure) {
    return isnan(figure) || (figure >= 0 && figure <= 1);
}

/* Of figures that may be NaN. */
static bool same_bytes(const void *a, const void *b, size_t size) {
    return memcmp(a, b, size) == 0;
}

/* What was taken has figures, and goes on as bytes without a change. */
static void check_metrics(const home_metrics *metrics, unsigned flags) {
    size_t length;
    home_metrics *again = new_metrics(NULL, flags);
    FUZZ_CHECK(again && home_metrics_serialize(metrics, NULL, 0, &length, NULL) == HOME_OK);
    unsigned char *bytes = malloc(length);
    FUZZ_CHECK(bytes && home_metrics_serialize(metrics, bytes, length, &length, NULL) == HOME_OK);
    FUZZ_CHECK(home_metrics_merge_bytes(again, bytes, length, NULL) == HOME_OK);
    for (size_t t = 0; t < TASKS; t++) {
        home_metric_result a = {.struct_size = sizeof a};
        home_metric_result b = {.struct_size = sizeof b};
        FUZZ_CHECK(home_metrics_result(again, t, &b, NULL) == HOME_OK);
        if (home_metrics_result(metrics, t, &a, NULL) != HOME_OK)
            continue; /* no memory */
        FUZZ_CHECK(same_bytes(&a, &b, sizeof a));
        FUZZ_CHECK(is_share(a.auc) && is_share(a.auc_error) && is_share(a.gauc_share));
    }
    FUZZ_CHECK(home_metrics_merge(again, again, NULL) == HOME_OK);
    home_metrics_destroy(again);
    free(bytes);
}

static void merge_metrics(const frame *f, fuzz_memory *memory, unsigned flags) {
    const home_allocator allocator = fuzz_allocator(memory);
    home_error error = {.struct_size = sizeof error};
    home_metrics *into = new_metrics(&allocator, flags);
    if (into) {
        const home_status status = home_metrics_merge_bytes(into, f->bytes, f->size, &error);
        fuzz_check_outcome(status, &error, memory);
        fuzz_memory_heal(memory);
        check_metrics(into, flags);
    }
    home_metrics_destroy(into);
}

/* --------------------------------------------------------------------------------------- health */

/* One for all inputs. */
static const home_model *small_model(void) {
    static home_model *model;
    static const char config[] =
        "{\"preset\":\"custom\",\"dense\":1,\"tasks\":[{\"name\":\"a\"}],\"layers\":[{\"width\":1,"
        "\"units\":[{\"name\":\"u\",\"experts\":2}],\"nodes\":[{\"name\":\"a\",\"sees\":[\"u\"],"
        "\"self\":\"u\"}]}]}";
    if (!model)
        FUZZ_CHECK(home_model_create_json(config, sizeof config - 1, NULL, &model, NULL) ==
                   HOME_OK);
    return model;
}

static void check_health(const home_health *health) {
    static unsigned char bytes[2][8192];
    size_t length;
    size_t again_length;
    home_health *again = NULL;
    FUZZ_CHECK(home_health_create(small_model(), NULL, &again, NULL) == HOME_OK);
    FUZZ_CHECK(home_health_serialize(health, bytes[0], sizeof bytes[0], &length, NULL) == HOME_OK);
    FUZZ_CHECK(home_health_merge_bytes(again, bytes[0], length, NULL) == HOME_OK);
    FUZZ_CHECK(home_health_serialize(again, bytes[1], sizeof bytes[1], &again_length, NULL) ==
               HOME_OK);
    FUZZ_CHECK(length == again_length && memcmp(bytes[0], bytes[1], length) == 0);
    home_expert_health expert = {.struct_size = sizeof expert};
    home_node_health node = {.struct_size = sizeof node};
    for (size_t e = 0; e < home_health_expert_count(again); e++)
        FUZZ_CHECK(home_health_expert(again, e, &expert, NULL) == HOME_OK);
    FUZZ_CHECK(home_health_node(again, 0, &node, NULL) == HOME_OK);
    home_health_destroy(again);
}

static void merge_health(const frame *f) {
    home_error error = {.struct_size = sizeof error};
    home_health *into = NULL;
    FUZZ_CHECK(home_health_create(small_model(), NULL, &into, NULL) == HOME_OK);
    const home_status status = home_health_merge_bytes(into, f->bytes, f->size, &error);
    FUZZ_CHECK(status == error.status);
    check_health(into);
    home_health_destroy(into);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    const unsigned flags = fuzz_byte(&in);
    fuzz_memory memory = fuzz_memory_start(&in, BUDGET);
    frame f = assemble(in.data, in.size, flags);
    if (flags & HEALTH)
        merge_health(&f);
    else
        merge_metrics(&f, &memory, flags);
    FUZZ_CHECK(memory.live == 0);
    free(f.bytes);
    return 0;
}
