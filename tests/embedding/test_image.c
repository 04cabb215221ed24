/* Serving images: they predict what the frozen model predicts, take exactly the memory they ask
 * for, and nothing that stands in one leads out of that memory. */
#include "base/crc32.h"
#include "sanitizer.h"
#include "steps/steps.h"
#include "test.h"
#include "unit/fixture.h"

#include <pthread.h>
#include <stddef.h>

#define ALIGNMENT ((size_t)64)
#define RED_ZONE  ((size_t)256)

enum {
    RED = 0xA5,
    HEADER = 96,
    ORDER_AT = 8, /* fields of the header */
    VERSION_AT = 12,
    SIZE_AT = 16,
    CRC_AT = 24,
    COVERED_AT = 32, /* what the checksum covers */
    PANEL_AT = 32,
    BUFFERS_AT = 40, /* how many there are */
    STEPS_AT = 48,
    MAX_WORKSPACE = 1 << 26 /* no hostile image needs to be given more */
};

/* --------------------------------------------------------------------------------------- memory */

/* `size` bytes, `past` bytes past a multiple of 64, between red zones. */
typedef struct guarded {
    unsigned char *raw;
    unsigned char *memory;
    size_t size;
    size_t raw_size;
} guarded;

static guarded guarded_create(size_t size, size_t past) {
    guarded g = {.size = size, .raw_size = size + 2 * RED_ZONE + 2 * ALIGNMENT};
    g.raw = malloc(g.raw_size);
    REQUIRE(g.raw);
    memset(g.raw, RED, g.raw_size);
    const size_t to_next = (ALIGNMENT - (size_t)((uintptr_t)g.raw % ALIGNMENT)) % ALIGNMENT;
    g.memory = g.raw + RED_ZONE + to_next + past;
    return g;
}

static void guarded_free(guarded *g) {
    bool intact = true;
    for (unsigned char *p = g->raw; p < g->raw + g->raw_size; p++)
        if (p < g->memory || p >= g->memory + g->size)
            intact = intact && *p == RED;
    CHECK(intact);
    free(g->raw);
}

/* The image of a frozen model, aligned. */
static guarded image_of(const home_model *frozen, const home_image_options *options) {
    home_error error = new_error();
    size_t length = 0;
    REQUIRE(home_image_write(frozen, options, NULL, 0, &length, &error) == HOME_OK);
    guarded image = guarded_create(length, 0);
    size_t written = 0;
    if (home_image_write(frozen, options, image.memory, length, &written, &error) != HOME_OK) {
        printf("%s\n", error.message);
        exit(1);
    }
    CHECK_INTEGER(written, length);
    return image;
}

static size_t model_size(const guarded *image) {
    home_error error = new_error();
    size_t size = 0;
    CHECK_INTEGER(home_image_model_size(image->memory, image->size, &size, &error), HOME_OK);
    return size;
}

/* --------------------------------------------------------------------------------------- models */

static home_model *freeze(const home_model *model) {
    home_error error = new_error();
    home_model *frozen = NULL;
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    return frozen;
}

/* Predictions of a model in an image, with everything in memory of ours; malloc'd. */
static float *predict_from_image(const guarded *image, const home_batch *batch, size_t past) {
    home_error error = new_error();
    guarded memory = guarded_create(model_size(image), past);
    home_model *model = NULL;
    if (home_image_open(image->memory, image->size, memory.memory, memory.size, &model, &error) !=
        HOME_OK) {
        test_fail(__FILE__, __LINE__, "cannot open: %s", error.message);
        exit(1);
    }
    guarded scratch = guarded_create(home_workspace_size(model), past);
    home_workspace *workspace = NULL;
    REQUIRE(home_workspace_init(model, scratch.memory, scratch.size, &workspace, &error) ==
            HOME_OK);
    const size_t tasks = home_model_task_count(model);
    float *predictions = calloc(batch->rows * tasks, sizeof *predictions);
    REQUIRE(predictions);
    CHECK_INTEGER(home_model_predict(model, batch, predictions, 0, workspace, &error), HOME_OK);
    home_model_release(model);
    guarded_free(&scratch);
    guarded_free(&memory);
    return predictions;
}

/* One image of a configuration, with random weights, against the frozen model, which kept `isa` to
 * itself. */
static void compare(const setup *s, home_image_options options, const char *isa, size_t past) {
    data rows;
    data_create(&rows, &s->config, 61, 5);
    home_model *model = make_model(s);
    randomize(model, 6);
    home_model *frozen = freeze(model);
    options.struct_size = sizeof options;
    guarded image = image_of(frozen, &options);
    if (isa) {
        setenv("HOME_ISA", isa, 1);
        home_model *capped = make_model(s);
        copy_tensors(capped, model);
        home_model_release(frozen);
        frozen = freeze(capped);
        home_model_release(capped);
    }
    float *expected = predict_all(frozen, &rows.batch);
    float *actual = predict_from_image(&image, &rows.batch, past);
    CHECK_BYTES(actual, expected, rows.batch.rows * s->config.task_count * sizeof *actual);
    free(actual);
    free(expected);
    guarded_free(&image);
    home_model_release(frozen);
    home_model_release(model);
    data_free(&rows);
}

/* Every kind of step, and every kind of field and task. */
static void images_predict_the_same_bytes(void) {
    static const int32_t presets[] = {HOME_PRESET_HOME, HOME_PRESET_PLE, HOME_PRESET_ADATT_SP,
                                      HOME_PRESET_ADATT};
    setup s;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        setup_small(&s);
        s.config.preset = presets[i];
        s.layers[0].group_experts = presets[i] == HOME_PRESET_HOME ? 2 : 0;
        s.layers[0].shared_experts = presets[i] == HOME_PRESET_ADATT_SP ? 0 : 2;
        s.layers[1].shared_experts = s.layers[0].shared_experts;
        compare(&s, (home_image_options){0}, NULL, i);
    }
    setup_small(&s);
    s.gate_hidden[0] = 5;
    s.config.gate_hidden_count = 1;
    s.config.self_gate_hidden_count = 1;
    s.self_gate_hidden[0] = 3;
    s.config.feature_order = HOME_FEATURE_MIX_FIRST;
    s.config.swish_beta = 0.7;
    s.layers[1].feature_branches = 1;
    s.tasks[1].given = "like";
    s.tasks[2].loss = HOME_LOSS_SQUARED;
    compare(&s, (home_image_options){0}, NULL, 0);
    /* Self gates over one expert are sigmoids. */
    setup_small(&s);
    s.layers[0].shared_experts = s.layers[0].group_experts = 1;
    s.layers[1].shared_experts = s.layers[1].group_experts = s.layers[1].task_experts = 1;
    compare(&s, (home_image_options){0}, NULL, 0);
    setup_dense(&s, 300);
    s.layers[0].width = 275;
    compare(&s, (home_image_options){0}, NULL, 0);
}

static void blocks_of_any_number_of_rows_predict_the_same_bytes(void) {
    static const size_t rows[] = {1, 7, 24, 60, 61, 4096};
    setup s;
    setup_small(&s);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        compare(&s, (home_image_options){.block_rows = rows[i]}, NULL, 9 * i);
}

/* Whether this machine and build open an image with such panels. */
static bool opens_panels(const setup *s, size_t panel) {
    home_error error = new_error();
    home_model *model = make_model(s);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, &(home_image_options){sizeof(home_image_options), panel, 0});
    guarded memory = guarded_create(model_size(&image), 0);
    home_model *opened = NULL;
    const home_status status =
        home_image_open(image.memory, image.size, memory.memory, memory.size, &opened, &error);
    if (status != HOME_OK)
        CHECK_INTEGER(status, HOME_E_UNSUPPORTED); /* a CPU without it, or HOME_ISA caps it */
    guarded_free(&memory);
    guarded_free(&image);
    home_model_release(frozen);
    home_model_release(model);
    return status == HOME_OK;
}

/* An image written for other kernels gives what the whole library gives with these. */
static void panels_for_other_kernels_predict_the_same_bytes(void) {
    static const struct {
        const char *isa;
        size_t panel;
    } sets[] = {
#if defined(__x86_64__)
        {"avx512", 32},
        {"avx2", 16},
#endif
#if defined(__aarch64__)
        {"neon", 16},
#endif
        {"portable", 8},
    };
    const char *before = getenv("HOME_ISA");
    char kept[32] = "";
    if (before)
        snprintf(kept, sizeof kept, "%s", before);
    int compared = 0;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        setup s;
        setup_small(&s);
        s.layers[0].width = 19;
        if (opens_panels(&s, sets[i].panel)) {
            compare(&s, (home_image_options){.panel = sets[i].panel}, sets[i].isa, 0);
            compared++;
        }
        if (before)
            setenv("HOME_ISA", kept, 1);
        else
            unsetenv("HOME_ISA");
    }
    CHECK(compared > 0);
}

/* An image's image is the same image, also by way of other panels. */
static void an_image_can_be_written_again(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, NULL);
    guarded memory = guarded_create(model_size(&image), 0);
    home_model *opened = NULL;
    home_error error = new_error();
    REQUIRE(home_image_open(image.memory, image.size, memory.memory, memory.size, &opened,
                            &error) == HOME_OK);
    guarded again = image_of(opened, NULL);
    if (CHECK_INTEGER(again.size, image.size))
        CHECK_BYTES(again.memory, image.memory, image.size);
    guarded_free(&again);
    guarded_free(&memory);
    guarded_free(&image);
    home_model_release(frozen);
    home_model_release(model);
}

/* -------------------------------------------------------------------------------------- answers */

/* A model with metadata, frozen, and opened from its image. */
typedef struct in_image {
    home_model *model;
    home_model *frozen;
    home_model *opened;
    guarded image;
    guarded memory;
} in_image;

static in_image open_small(void) {
    setup s;
    setup_small(&s);
    home_error error = new_error();
    in_image i = {.model = make_model(&s)};
    REQUIRE(home_model_set_metadata(i.model, "recipe", "x / 3", &error) == HOME_OK);
    REQUIRE(home_model_set_metadata(i.model, "trained", "", &error) == HOME_OK);
    i.frozen = freeze(i.model);
    i.image = image_of(i.frozen, NULL);
    i.memory = guarded_create(model_size(&i.image), 0);
    REQUIRE(home_image_open(i.image.memory, i.image.size, i.memory.memory, i.memory.size, &i.opened,
                            &error) == HOME_OK);
    return i;
}

static void close_small(in_image *i) {
    home_model_release(i->opened);
    guarded_free(&i->memory);
    guarded_free(&i->image);
    home_model_release(i->frozen);
    home_model_release(i->model);
}

static void a_model_in_an_image_knows_itself(void) {
    in_image i = open_small();
    const home_model *opened = i.opened;
    CHECK_INTEGER(home_model_is_frozen(opened), 1);
    CHECK_INTEGER(home_model_dense_width(opened), 5);
    CHECK_INTEGER(home_model_task_count(opened), 3);
    CHECK_INTEGER(home_model_field_count(opened), 3);
    CHECK_INTEGER(home_model_tensor_count(opened), 0);
    CHECK(strcmp(home_model_task_name(opened, 2), "view") == 0);
    CHECK(strcmp(home_model_field_name(opened, 1), "tags") == 0);
    CHECK_INTEGER(home_model_field_index(opened, "tags"), 1);
    CHECK_INTEGER(home_model_task_index(opened, "view"), 2);
    CHECK_INTEGER(home_model_table_count(opened), 2);
    CHECK(strcmp(home_model_table_name(opened, 1), "tag") == 0);
    CHECK_INTEGER(home_model_table_index(opened, "user"), 0);
    CHECK_INTEGER(home_model_layer_count(opened), 0);
    CHECK_INTEGER(home_model_unit_count(opened, 0), 0);
    CHECK(home_model_unit_index(opened, 0, "shared") == SIZE_MAX);
    CHECK(strcmp(home_model_metadata(opened, "recipe"), "x / 3") == 0);
    CHECK(strcmp(home_model_metadata(opened, "trained"), "") == 0);
    CHECK(home_model_metadata(opened, "home") == NULL);
    CHECK(strcmp(home_model_config_json(opened), home_model_config_json(i.frozen)) == 0);
    CHECK(strcmp(home_model_topology_json(opened), home_model_topology_json(i.frozen)) == 0);
    CHECK(home_model_parameter_count(opened) == home_model_parameter_count(i.frozen));
    CHECK(home_model_macs_per_row(opened) == home_model_macs_per_row(i.frozen));
    CHECK_INTEGER(home_workspace_size(opened), home_workspace_size(i.frozen));
    close_small(&i);
}

static void a_model_in_an_image_refuses_what_needs_memory_of_its_own(void) {
    in_image i = open_small();
    home_error error = new_error();
    float out[3];
    const uint64_t ids[] = {0};
    const home_ids fields[] = {{sizeof *fields, ids, NULL, 0, NULL},
                               {sizeof *fields, ids, NULL, 0, NULL},
                               {sizeof *fields, ids, NULL, 0, NULL}};
    const float dense[5] = {0};
    const home_batch batch = {sizeof batch, 1, dense, 0, fields, 3};
    const home_parallel parallel = {.struct_size = sizeof parallel};
    CHECK_INTEGER(home_model_predict(i.opened, &batch, out, 0, NULL, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "workspace is NULL");
    CHECK_INTEGER(home_model_set_parallel(i.opened, &parallel, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_parallel(i.opened, NULL, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_threads(i.opened, 2, &error), HOME_E_STATE);
    CHECK_CONTAINS(error.message, "opened from an image");
    CHECK_INTEGER(home_model_set_metadata(i.opened, "a", "b", &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_set_metadata(i.opened, "recipe", NULL, &error), HOME_E_STATE);
    home_model *copy = NULL;
    CHECK_INTEGER(home_model_freeze(i.opened, &copy, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_forward(i.opened, &batch, out, 0, &error), HOME_E_STATE);
    CHECK_INTEGER(home_model_save(i.opened, "/nowhere/model", 0, &error), HOME_E_STATE);
    close_small(&i);
}

static void a_model_in_an_image_lives_until_its_last_release(void) {
    in_image i = open_small();
    CHECK(home_model_retain(i.opened) == i.opened);
    home_model_release(i.opened);
    CHECK_INTEGER(home_model_task_count(i.opened), 3);
    close_small(&i);
}

/* ---------------------------------------------------------------------------------------- stack */

#ifdef HOME_BLIS
enum { STACK = 1 << 18, STACK_PROMISED = 64 << 10 }; /* BLIS takes 10 KB and more itself */
#elif defined(__clang__) && defined(__x86_64__)
enum { STACK = 1 << 18, STACK_PROMISED = 24 << 10 }; /* its AVX-512 kernels keep more there */
#else
enum { STACK = 1 << 18, STACK_PROMISED = 16 << 10 };
#endif

typedef struct stack_job {
    const guarded *image;
    const home_batch *batch; /* NULL: the thread does nothing */
    guarded memory;
    guarded scratch;
    float *predictions;
} stack_job;

static void *open_and_predict(void *context) {
    stack_job *job = context;
    home_model *model = NULL;
    home_workspace *workspace = NULL;
    if (job->batch &&
        home_image_open(job->image->memory, job->image->size, job->memory.memory, job->memory.size,
                        &model, NULL) == HOME_OK &&
        home_workspace_init(model, job->scratch.memory, job->scratch.size, &workspace, NULL) ==
            HOME_OK)
        home_model_predict(model, job->batch, job->predictions, 0, workspace, NULL);
    return NULL;
}

/* How deep a thread's stack has been written to. */
static size_t stack_used(stack_job *job) {
    unsigned char *stack = aligned_alloc(4096, STACK);
    REQUIRE(stack);
    memset(stack, RED, STACK);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstack(&attributes, stack, STACK) == 0);
    REQUIRE(pthread_create(&thread, &attributes, open_and_predict, job) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    size_t free_bytes = 0;
    while (free_bytes < STACK && stack[free_bytes] == RED)
        free_bytes++;
    free(stack);
    return STACK - free_bytes;
}

static void a_small_stack_is_enough(void) {
#if defined(__OPTIMIZE__) && !TEST_NEEDS_ADDRESSES /* sanitizers take more of the stack */
    setup s;
    setup_dense(&s, 600);
    s.layers[0].width = 70;
    data rows;
    data_create(&rows, &s.config, 61, 5);
    home_model *model = make_model(&s);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, NULL);
    stack_job job = {.image = &image};
    const size_t of_the_system = stack_used(&job);
    job.batch = &rows.batch;
    job.memory = guarded_create(model_size(&image), 0);
    job.scratch = guarded_create(home_workspace_size(frozen), 0);
    job.predictions = malloc(rows.batch.rows * s.config.task_count * sizeof *job.predictions);
    const size_t used = stack_used(&job);
    if (!CHECK(used - of_the_system <= STACK_PROMISED))
        printf("%zu bytes of stack\n", used - of_the_system);
    CHECK(used > of_the_system + 4096);
    float *expected = predict_all(frozen, &rows.batch);
    CHECK_BYTES(job.predictions, expected,
                rows.batch.rows * s.config.task_count * sizeof *expected);
    free(expected);
    free(job.predictions);
    guarded_free(&job.scratch);
    guarded_free(&job.memory);
    guarded_free(&image);
    home_model_release(frozen);
    home_model_release(model);
    data_free(&rows);
#endif
}

/* ------------------------------------------------------------------------------------- refusals */

/* The smallest image: one value, one task, one expert; and, by `tables`, one with everything in
 * it. */
static guarded small_image(bool tables) {
    setup s;
    if (tables) {
        setup_small(&s);
        s.tables[0].rows = 3;
        s.tables[1].rows = 2;
        s.tasks[1].given = "like";
        s.tasks[2].given = "follow";
    } else {
        setup_dense(&s, 1);
        s.config.preset = HOME_PRESET_SHARED_BOTTOM;
        s.config.task_count = 1;
        s.config.layer_count = 1;
        s.config.tower_hidden_count = 0;
        s.layers[0].width = 1;
        s.layers[0].hidden_count = 0;
        s.layers[0].shared_experts = 0;
        s.layers[0].group_experts = 0;
    }
    home_error error = new_error();
    home_model *model = make_model(&s);
    randomize(model, 8);
    REQUIRE(home_model_set_metadata(model, "key", "text", &error) == HOME_OK);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, &(home_image_options){sizeof(home_image_options), 8, 2});
    home_model_release(frozen);
    home_model_release(model);
    return image;
}

static home_status open_with(const guarded *image, size_t size, void *memory, size_t memory_size,
                             home_error *error) {
    home_model *model = NULL;
    const home_status status =
        home_image_open(image->memory, size, memory, memory_size, &model, error);
    CHECK((status == HOME_OK) == (model != NULL));
    home_model_release(model);
    return status;
}

static void wrong_arguments_of_writing_are_refused(void) {
    in_image i = open_small();
    home_error error = new_error();
    size_t length = 0;
    CHECK_INTEGER(home_image_write(NULL, NULL, NULL, 0, &length, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_image_write(i.frozen, NULL, NULL, 0, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_image_write(i.model, NULL, NULL, 0, &length, &error), HOME_E_STATE);
    CHECK_CONTAINS(error.message, "not frozen");
    home_image_options options = {.struct_size = sizeof options, .panel = 257};
    CHECK_INTEGER(home_image_write(i.frozen, &options, NULL, 0, &length, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "options.panel is 257, expected 0 to 256");
    options = (home_image_options){.struct_size = sizeof options, .block_rows = 4097};
    CHECK_INTEGER(home_image_write(i.frozen, &options, NULL, 0, &length, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "options.block_rows is 4097, expected 0 to 4096");
    options = (home_image_options){.struct_size = 1};
    CHECK_INTEGER(home_image_write(i.frozen, &options, NULL, 0, &length, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(length, 0);
    close_small(&i);
}

static void too_small_a_buffer_gets_the_length(void) {
    in_image i = open_small();
    home_error error = new_error();
    size_t length = 0;
    CHECK_INTEGER(
        home_image_write(i.frozen, NULL, i.image.memory, i.image.size - 1, &length, &error),
        HOME_E_ARGUMENT);
    CHECK_INTEGER(length, i.image.size);
    close_small(&i);
}

static void wrong_arguments_of_opening_are_refused(void) {
    in_image i = open_small();
    const guarded *image = &i.image;
    home_error error = new_error();
    home_model *opened = NULL;
    size_t length = 0;
    const size_t size = model_size(image);
    guarded memory = guarded_create(size, 0);
    CHECK_INTEGER(home_image_model_size(NULL, image->size, &length, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_image_model_size(image->memory, image->size, NULL, &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_image_open(NULL, image->size, memory.memory, size, &opened, &error),
                  HOME_E_ARGUMENT);
    CHECK_INTEGER(home_image_open(image->memory, image->size, NULL, size, &opened, &error),
                  HOME_E_ARGUMENT);
    CHECK_INTEGER(home_image_open(image->memory, image->size, memory.memory, size, NULL, &error),
                  HOME_E_ARGUMENT);
    CHECK_INTEGER(open_with(image, image->size, memory.memory, size - 1, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "memory_size is ");
    CHECK_INTEGER(open_with(image, image->size, memory.memory, size, &error), HOME_OK);
    CHECK(opened == NULL);
    guarded_free(&memory);
    close_small(&i);
}

static void too_small_a_workspace_is_refused(void) {
    in_image i = open_small();
    home_error error = new_error();
    guarded scratch = guarded_create(home_workspace_size(i.opened), 0);
    home_workspace *workspace = NULL;
    CHECK_INTEGER(
        home_workspace_init(i.opened, scratch.memory, scratch.size - 1, &workspace, &error),
        HOME_E_ARGUMENT);
    guarded_free(&scratch);
    close_small(&i);
}

static void a_misaligned_image_is_refused(void) {
    guarded image = small_image(true);
    guarded memory = guarded_create(model_size(&image), 0);
    for (size_t past = 1; past < ALIGNMENT; past++) {
        guarded shifted = guarded_create(image.size, past);
        memcpy(shifted.memory, image.memory, image.size);
        home_error error = new_error();
        size_t bytes = 0;
        char expected[64];
        snprintf(expected, sizeof expected, "image is %zu bytes past a multiple of 64", past);
        CHECK_INTEGER(open_with(&shifted, shifted.size, memory.memory, memory.size, &error),
                      HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, expected);
        CHECK_INTEGER(home_image_model_size(shifted.memory, shifted.size, &bytes, &error),
                      HOME_E_ARGUMENT);
        guarded_free(&shifted);
    }
    guarded_free(&memory);
    guarded_free(&image);
}

/* More bytes than the image's are fine: a device has it in a partition. */
static void every_truncation_is_refused(void) {
    guarded image = small_image(true);
    guarded memory = guarded_create(model_size(&image), 0);
    for (size_t size = 0; size < image.size; size++) {
        guarded part = guarded_create(size, 0); /* so that a sanitizer sees who reads beyond */
        memcpy(part.memory, image.memory, size);
        home_error error = new_error();
        CHECK_INTEGER(open_with(&part, size, memory.memory, memory.size, &error), HOME_E_FORMAT);
        guarded_free(&part);
    }
    guarded longer = guarded_create(image.size + 100, 0);
    memcpy(longer.memory, image.memory, image.size);
    home_error error = new_error();
    CHECK_INTEGER(open_with(&longer, longer.size, memory.memory, memory.size, &error), HOME_OK);
    guarded_free(&longer);
    guarded_free(&memory);
    guarded_free(&image);
}

static void every_flipped_bit_is_refused(void) {
    guarded image = small_image(false);
    guarded memory = guarded_create(model_size(&image), 0);
    home_error error = new_error();
    for (size_t i = 0; i < image.size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            image.memory[i] ^= (unsigned char)(1u << bit);
            const home_status status =
                open_with(&image, image.size, memory.memory, memory.size, &error);
            if (status != HOME_E_FORMAT && status != HOME_E_CHECKSUM &&
                status != HOME_E_UNSUPPORTED &&
                status != HOME_E_ARGUMENT) /* the header asks for more memory */
                test_fail(__FILE__, __LINE__, "byte %zu, bit %u: status %d", i, bit, (int)status);
            image.memory[i] ^= (unsigned char)(1u << bit);
        }
    CHECK_INTEGER(open_with(&image, image.size, memory.memory, memory.size, &error), HOME_OK);
    guarded_free(&memory);
    guarded_free(&image);
}

static void put_32(unsigned char *at, uint32_t value) {
    memcpy(at, &value, sizeof value);
}

static void put_64(unsigned char *at, uint64_t value) {
    memcpy(at, &value, sizeof value);
}

/* What a forger does. */
static void mend_checksum(guarded *image) {
    homecrc32 crc;
    homecrc32_start(&crc);
    homecrc32_add(&crc, image->memory + COVERED_AT, image->size - COVERED_AT);
    put_32(image->memory + CRC_AT, homecrc32_value(&crc));
}

static const struct {
    size_t at;
    bool wide;
    uint64_t value;
    home_status status;
    const char *message;
} wrong_headers[] = {
    {0, false, 0x1234, HOME_E_FORMAT, "not a serving image"},
    {ORDER_AT, false, 0x04030201, HOME_E_UNSUPPORTED, "another byte order"},
    {VERSION_AT, false, 3, HOME_E_UNSUPPORTED, "version 3, expected 1 or 2"},
    {VERSION_AT, false, 0, HOME_E_UNSUPPORTED, "version 0, expected 1 or 2"},
    {VERSION_AT, false, 2, HOME_E_FORMAT, "version 2 has 0 names of dense values, expected some"},
    {SIZE_AT, true, UINT64_MAX, HOME_E_FORMAT, "18446744073709551615"},
    {SIZE_AT, true, 0, HOME_E_FORMAT, "claims 0"},
    {CRC_AT, false, 0, HOME_E_CHECKSUM, "checksum"},
    {CRC_AT + 4, false, 1, HOME_E_FORMAT, "version 1 has 1 names of dense values, expected none"},
    {PANEL_AT, true, 7, HOME_E_UNSUPPORTED, "panels of 7 columns"},
    {PANEL_AT, true, 0, HOME_E_UNSUPPORTED, "panels of 0 columns"},
    {PANEL_AT, true, UINT64_MAX, HOME_E_UNSUPPORTED, "18446744073709551615 columns"},
    {PANEL_AT + 8, true, UINT64_MAX, HOME_E_FORMAT,
     "18446744073709551615 buffers, expected at most"},
    {PANEL_AT + 16, true, 1 << 20, HOME_E_FORMAT, "1048576 steps, expected at most"},
    {PANEL_AT + 24, true, 1 << 20, HOME_E_FORMAT, "1048576 inputs, expected at most"},
    {PANEL_AT + 32, true, 1025, HOME_E_FORMAT, "1025 tasks, expected at most 1024"},
    {PANEL_AT + 40, true, 4097, HOME_E_FORMAT, "4097 tables, expected at most 4096"},
    {PANEL_AT + 48, true, 4097, HOME_E_FORMAT, "4097 fields, expected at most 4096"},
    {PANEL_AT + 56, true, 1 << 20, HOME_E_FORMAT, "1048576 metadata, expected at most"},
    {PANEL_AT + 8, true, 0, HOME_E_FORMAT, "not valid"},
};

static void a_wrong_header_is_refused_by_what_is_wrong(void) {
    for (size_t i = 0; i < sizeof wrong_headers / sizeof wrong_headers[0]; i++) {
        guarded image = small_image(true);
        guarded memory = guarded_create(model_size(&image), 0);
        home_error error = new_error();
        if (wrong_headers[i].wide)
            put_64(image.memory + wrong_headers[i].at, wrong_headers[i].value);
        else
            put_32(image.memory + wrong_headers[i].at, (uint32_t)wrong_headers[i].value);
        if (wrong_headers[i].at >= COVERED_AT)
            mend_checksum(&image);
        CHECK_INTEGER(open_with(&image, image.size, memory.memory, memory.size, &error),
                      wrong_headers[i].status);
        CHECK_CONTAINS(error.message, wrong_headers[i].message);
        guarded_free(&memory);
        guarded_free(&image);
    }
}

/* Names of dense values are in images of version 2, and none of them in one of version 1. */
static void names_of_dense_values_are_kept_and_checked(void) {
    static const char *const names[] = {"age", "price", "x", "\u540d", "z"};
    setup s;
    setup_small(&s);
    s.config.dense_names = names;
    s.config.dense_names_count = 5;
    home_model *model = make_model(&s);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, NULL);
    uint32_t version;
    memcpy(&version, image.memory + VERSION_AT, sizeof version);
    CHECK_INTEGER(version, 2);
    guarded memory = guarded_create(model_size(&image), 0);
    home_error error = new_error();
    home_model *opened = NULL;
    CHECK_INTEGER(
        home_image_open(image.memory, image.size, memory.memory, memory.size, &opened, &error),
        HOME_OK);
    for (size_t i = 0; opened && i < 5; i++)
        CHECK(strcmp(home_model_dense_name(opened, i), names[i]) == 0);
    CHECK(home_model_dense_name(opened, 5) == NULL);
    home_names ours = {.struct_size = sizeof ours, .dense = names, .dense_count = 5};
    CHECK_INTEGER(home_model_check_names(opened, &ours, &error), HOME_OK);
    ours.dense_count = 4;
    CHECK_INTEGER(home_model_check_names(opened, &ours, &error), HOME_E_MISMATCH);
    const uint32_t room = 64 / sizeof(const char *); /* is taken for as many at a time */
    for (uint32_t count = 0; count <= room; count++) {
        put_32(image.memory + CRC_AT + 4, count);
        CHECK_INTEGER(open_with(&image, image.size, memory.memory, memory.size, &error),
                      count == 5 ? HOME_OK : HOME_E_FORMAT);
    }
    put_32(image.memory + CRC_AT + 4, room + 1);
    CHECK_INTEGER(open_with(&image, image.size, memory.memory, memory.size, &error),
                  HOME_E_ARGUMENT);
    put_32(image.memory + CRC_AT + 4, UINT32_MAX);
    CHECK_INTEGER(open_with(&image, image.size, memory.memory, memory.size, &error), HOME_E_FORMAT);
    CHECK_CONTAINS(error.message, "4294967295 names, expected at most");
    guarded_free(&memory);
    guarded_free(&image);
    home_model_release(frozen);
    home_model_release(model);
}

/* -------------------------------------------------------------------------------------- choices */

static uint64_t get_64(const unsigned char *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* A step's record: kind, choices, inputs, and views of three words of its output and its inputs. */
typedef struct step_record {
    size_t at;
    size_t left; /* records from this one on */
} step_record;

enum { KIND = 0, CHOICE = 1, INPUTS = 4, OUT_WIDTH = 7, STEP_WORDS = 8, VIEW_WORDS = 3 };

static uint64_t step_word(const guarded *image, step_record step, size_t word) {
    return get_64(image->memory + step.at + 8 * word);
}

/* Before it stand five numbers, the buffers, and the views of input, logits and sigmoids. */
static step_record first_step(const guarded *image) {
    const size_t buffers = (size_t)get_64(image->memory + BUFFERS_AT);
    return (step_record){HEADER + 8 * (5 + 3 * buffers + 3 * (size_t)VIEW_WORDS),
                         (size_t)get_64(image->memory + STEPS_AT)};
}

static step_record next_step(const guarded *image, step_record step) {
    const size_t inputs = (size_t)step_word(image, step, INPUTS);
    return (step_record){step.at + 8 * (STEP_WORDS + VIEW_WORDS * inputs), step.left - 1};
}

/* One image of two that together have steps of every kind that serves. */
static guarded image_of_many_kinds(bool adatt) {
    setup s;
    setup_small(&s);
    s.config.gate_hidden_count = 1;
    s.gate_hidden[0] = 3;
    if (adatt) {
        s.config.preset = HOME_PRESET_ADATT;
        s.layers[0].group_experts = 0;
    }
    home_model *model = make_model(&s);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, &(home_image_options){sizeof(home_image_options), 8, 2});
    home_model_release(frozen);
    home_model_release(model);
    return image;
}

/* The largest value of each choice, by kind. */
static const struct kind_choices {
    const char *kind;
    uint64_t max[HOMESTEP_CHOICES];
} kind_choices[] = {
    {"linear", {HOME_ACT_SWISH, 0, 0}},
    {"activate", {HOME_ACT_SWISH, 0, 0}},
    {"softmax", {0, 1, 0}},
    {"feature_gate", {0, 0, 1}},
    {"constant", {0, 0, 0}},
    {"mix", {0, 0, 0}},
};

static const struct kind_choices *choices_of(const char *kind) {
    for (size_t i = 0; i < sizeof kind_choices / sizeof *kind_choices; i++)
        if (strcmp(kind_choices[i].kind, kind) == 0)
            return &kind_choices[i];
    return NULL;
}

/* Opens the image with another word in it, and puts the old one back. */
static home_status open_patched(guarded *image, size_t at, uint64_t value) {
    guarded memory = guarded_create(model_size(image), 0);
    const uint64_t before = get_64(image->memory + at);
    home_error error = new_error();
    put_64(image->memory + at, value);
    mend_checksum(image);
    const home_status status = open_with(image, image->size, memory.memory, memory.size, &error);
    put_64(image->memory + at, before);
    guarded_free(&memory);
    return status;
}

/* A sigmoid has one column. */
static bool may_have(const guarded *image, step_record step, const struct kind_choices *choices,
                     size_t choice, uint64_t value) {
    if (strcmp(choices->kind, "softmax") == 0 && choice == 1 && value == 1)
        return step_word(image, step, OUT_WIDTH) == 1;
    return value <= choices->max[choice];
}

static void check_choices(guarded *image, step_record step, const struct kind_choices *choices) {
    static const uint64_t values[] = {0, 1, 2, 3, 4, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t choice = 0; choice < HOMESTEP_CHOICES; choice++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            const home_status status =
                open_patched(image, step.at + 8 * (CHOICE + choice), values[v]);
            const home_status expected =
                may_have(image, step, choices, choice, values[v]) ? HOME_OK : HOME_E_FORMAT;
            if (status != expected)
                test_fail(__FILE__, __LINE__, "choice %zu of a %s is %llu: status %d, expected %d",
                          choice, choices->kind, (unsigned long long)values[v], (int)status,
                          (int)expected);
        }
}

static void check_choices_of_kind(size_t kind) {
    const struct kind_choices *choices = choices_of(homestep_kinds[kind]->name);
    if (!CHECK(choices != NULL)) /* a kind that kind_choices does not have yet */
        return;
    size_t seen = 0;
    for (int adatt = 0; adatt < 2; adatt++) {
        guarded image = image_of_many_kinds(adatt);
        for (step_record s = first_step(&image); s.left > 0; s = next_step(&image, s))
            if (step_word(&image, s, KIND) == kind) {
                check_choices(&image, s, choices);
                seen++;
            }
        guarded_free(&image);
    }
    CHECK(seen > 0);
}

static void every_wrong_choice_of_a_kind_is_refused(void) {
    for (size_t kind = 0; kind < HOMESTEP_KIND_COUNT; kind++)
        if (homestep_kinds[kind]->is_sound) {
            test_begin("every wrong choice of a step %s is refused", homestep_kinds[kind]->name);
            check_choices_of_kind(kind);
            test_end();
        }
}

static void kinds_that_do_not_serve_are_refused(void) {
    guarded image = image_of_many_kinds(false);
    const size_t at = first_step(&image).at;
    for (size_t kind = 0; kind < HOMESTEP_KIND_COUNT; kind++)
        if (!homestep_kinds[kind]->is_sound)
            CHECK_INTEGER(open_patched(&image, at, kind), HOME_E_FORMAT);
    CHECK_INTEGER(open_patched(&image, at, HOMESTEP_KIND_COUNT), HOME_E_FORMAT);
    CHECK_INTEGER(open_patched(&image, at, UINT64_MAX), HOME_E_FORMAT);
    guarded_free(&image);
}

/* Opens an image that may say anything and, where it opens, predicts with it. */
static bool survives(const guarded *image) {
    home_error error = new_error();
    size_t size = 0;
    if (home_image_model_size(image->memory, image->size, &size, &error) != HOME_OK ||
        size > MAX_WORKSPACE)
        return false;
    guarded memory = guarded_create(size, 0);
    home_model *model = NULL;
    const home_status status =
        home_image_open(image->memory, image->size, memory.memory, memory.size, &model, &error);
    if (status == HOME_OK && home_workspace_size(model) <= MAX_WORKSPACE) {
        guarded scratch = guarded_create(home_workspace_size(model), 1); /* no slack at its end */
        memset(scratch.memory, 0, scratch.size);
        home_workspace *workspace = NULL;
        CHECK_INTEGER(home_workspace_init(model, scratch.memory, scratch.size, &workspace, &error),
                      HOME_OK);
        enum { ROWS = 3 };
        static const float dense[ROWS * 5] = {1, -2, 3};
        static const uint64_t ids[ROWS + 2] = {2, 0, 1, 7, 1};
        static const size_t offsets[ROWS + 1] = {0, 2, 2, 5};
        const home_ids fields[] = {{sizeof *fields, ids, NULL, 0, NULL},
                                   {sizeof *fields, ids, offsets, 0, NULL},
                                   {sizeof *fields, ids, offsets, 0, NULL}};
        const home_batch batch = {
            sizeof batch, ROWS, dense, 0, fields, home_model_field_count(model)};
        float *out = calloc(ROWS * home_model_task_count(model), sizeof *out);
        REQUIRE(out);
        if (home_model_dense_width(model) <= 5 && home_model_field_count(model) <= 3)
            home_model_predict(model, &batch, out, 0, workspace, &error);
        free(out);
        guarded_free(&scratch);
    }
    guarded_free(&memory);
    return status == HOME_OK;
}

/* Every word is replaced by what may hurt. */
static void wrong_records_are_harmless(void) {
    const size_t stride = getenv("TEST_QUICK") ? 3 : 1;
    for (int kind = 0; kind < 2; kind++) {
        guarded image = small_image(kind == 1);
        size_t opened = 0;
        size_t refused = 0;
        for (size_t at = PANEL_AT; at + 8 <= image.size; at += 8) {
            uint64_t before;
            memcpy(&before, image.memory + at, sizeof before);
            const uint64_t values[] = {
                0,          1,     before + 1,        before - 1,        before + 8,
                before * 2, 65536, UINT64_C(1) << 32, UINT64_C(1) << 61, INT64_MAX,
                UINT64_MAX};
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v += stride) {
                put_64(image.memory + at, values[v]);
                mend_checksum(&image);
                if (survives(&image))
                    opened++;
                else
                    refused++;
            }
            put_64(image.memory + at, before);
        }
        CHECK(refused > 100);
        CHECK(opened > 100); /* wrong weights are for nobody to see */
        guarded_free(&image);
    }
}

/* Several words at once, by words that stand elsewhere in the same image. */
static void shuffled_records_are_harmless(void) {
    const int rounds = getenv("TEST_QUICK") ? 500 : 5000;
    guarded image = small_image(true);
    guarded broken = guarded_create(image.size, 0);
    uint64_t random = 1;
    for (int round = 0; round < rounds; round++) {
        memcpy(broken.memory, image.memory, image.size);
        const size_t words = (image.size - PANEL_AT) / 8;
        for (uint64_t count = 1 + random_bits(&random) % 4; count > 0; count--) {
            const size_t to = PANEL_AT + 8 * (size_t)(random_bits(&random) % words);
            const size_t from = PANEL_AT + 8 * (size_t)(random_bits(&random) % words);
            memcpy(broken.memory + to, image.memory + from, 8);
        }
        mend_checksum(&broken);
        survives(&broken);
    }
    guarded_free(&broken);
    guarded_free(&image);
}

/* A line more or less than the records tell of, at the end. */
static void wrong_lengths_of_images_are_refused(void) {
    guarded image = small_image(true);
    for (int more = 0; more < 2; more++) {
        guarded other = guarded_create(more ? image.size + ALIGNMENT : image.size - ALIGNMENT, 0);
        memset(other.memory, 0, other.size);
        memcpy(other.memory, image.memory, more ? image.size : other.size);
        put_64(other.memory + SIZE_AT, other.size);
        mend_checksum(&other);
        CHECK(!survives(&other));
        guarded_free(&other);
    }
    guarded_free(&image);
}

/* A task's probability must not be a factor of itself. */
static void tasks_given_each_other_are_refused(void) {
    guarded image = small_image(true);
    size_t at = 0;
    uint64_t length;
    for (size_t i = HEADER; i + 32 <= image.size && !at; i += 8) { /* loss, given, length, name */
        memcpy(&length, image.memory + i + 16, sizeof length);
        if (length == 6 && memcmp(image.memory + i + 24, "follow\0\0", 8) == 0)
            at = i + 8;
    }
    uint64_t given = 9;
    if (at)
        memcpy(&given, image.memory + at, sizeof given);
    if (CHECK_INTEGER(given, 0)) {
        put_64(image.memory + at, 2);
        mend_checksum(&image);
        CHECK(!survives(&image));
    }
    guarded_free(&image);
}

/* The largest models that a configuration can describe have images that open. */
static void an_image_may_have_as_many_tasks_as_a_model(void) {
    enum { TASKS = 1024 };
    static home_task_config tasks[TASKS];
    static char names[TASKS][8];
    setup s;
    setup_dense(&s, 1);
    for (size_t i = 0; i < TASKS; i++) {
        snprintf(names[i], sizeof names[i], "t%zu", i);
        tasks[i] = (home_task_config){.struct_size = sizeof tasks[i], .name = names[i]};
        tasks[i].given = i > 0 ? names[i - 1] : NULL;
    }
    s.config.preset = HOME_PRESET_SHARED_BOTTOM;
    s.config.tasks = tasks;
    s.config.task_count = TASKS;
    s.config.layer_count = 1;
    s.layers[0].shared_experts = 1;
    s.layers[0].group_experts = 0;
    home_model *model = make_model(&s);
    home_model *frozen = freeze(model);
    guarded image = image_of(frozen, NULL);
    guarded memory = guarded_create(model_size(&image), 0);
    home_error error = new_error();
    CHECK_INTEGER(open_with(&image, image.size, memory.memory, memory.size, &error), HOME_OK);
    guarded_free(&memory);
    guarded_free(&image);
    home_model_release(frozen);
    home_model_release(model);
}

static void a_weight_that_is_not_finite_is_not_written(void) {
    setup s;
    setup_dense(&s, 3);
    s.config.bias_before_norm = HOME_ON;
    home_model *model = make_model(&s);
    home_error error = new_error();
    const char *name = "layers.0.units.shared.experts.0.norm.weight";
    const char *bias = "layers.0.units.shared.experts.0.linear.1.bias";
    float *huge = malloc(tensor_size(&(home_tensor){.shape = {4, 1}}) * sizeof *huge);
    REQUIRE(huge);
    for (size_t i = 0; i < 4; i++)
        huge[i] = 3e38f;
    REQUIRE(home_model_set_tensor(model, name, huge, 4, &error) == HOME_OK);
    REQUIRE(home_model_set_tensor(model, bias, huge, 4, &error) == HOME_OK);
    home_model *frozen = freeze(model); /* their product is the folded bias */
    size_t length = 0;
    REQUIRE(home_image_write(frozen, NULL, NULL, 0, &length, &error) == HOME_OK);
    void *buffer = malloc(length);
    REQUIRE(buffer);
    CHECK_INTEGER(home_image_write(frozen, NULL, buffer, length, &length, &error), HOME_E_VALUE);
    free(buffer);
    free(huge);
    home_model_release(frozen);
    home_model_release(model);
}

int main(void) {
    RUN(images_predict_the_same_bytes);
    RUN(blocks_of_any_number_of_rows_predict_the_same_bytes);
    RUN(panels_for_other_kernels_predict_the_same_bytes);
    RUN(an_image_can_be_written_again);
    RUN(a_model_in_an_image_knows_itself);
    RUN(a_model_in_an_image_refuses_what_needs_memory_of_its_own);
    RUN(a_model_in_an_image_lives_until_its_last_release);
    RUN(a_small_stack_is_enough);
    RUN(wrong_arguments_of_writing_are_refused);
    RUN(too_small_a_buffer_gets_the_length);
    RUN(wrong_arguments_of_opening_are_refused);
    RUN(too_small_a_workspace_is_refused);
    RUN(a_misaligned_image_is_refused);
    RUN(every_truncation_is_refused);
    RUN(every_flipped_bit_is_refused);
    RUN(a_wrong_header_is_refused_by_what_is_wrong);
    RUN(names_of_dense_values_are_kept_and_checked);
    every_wrong_choice_of_a_kind_is_refused();
    RUN(kinds_that_do_not_serve_are_refused);
    RUN(wrong_records_are_harmless);
    RUN(shuffled_records_are_harmless);
    RUN(wrong_lengths_of_images_are_refused);
    RUN(tasks_given_each_other_are_refused);
    RUN(an_image_may_have_as_many_tasks_as_a_model);
    RUN(a_weight_that_is_not_finite_is_not_written);
    return test_summary();
}
