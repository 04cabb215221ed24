/* Every allocation of every call fails in turn: alone, and with all that follow. The call returns
 * HOME_E_MEMORY, nothing leaks, and the model goes on as if nothing had happened. (Metrics, health
 * and JSON try the same in their own tests.) */
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

enum { ROWS = 6, MORE_ROWS = 40, TASKS = 3 };

/* What the calls work on. */
typedef struct attempt {
    home_allocator allocator;
    home_model *model; /* of that allocator, between backward and step */
    setup config;
    data rows;
    data more_rows;       /* more than the model has room for */
    unsigned char *bytes; /* of a model */
    size_t length;
    float *predicted;     /* by the model made of them, once it waits for its step */
    unsigned char *later; /* of that model after the step and one more */
    size_t later_length;
    char path[PATH_SIZE]; /* of a file with the bytes */
    char target[PATH_SIZE];
} attempt;

typedef home_status action(attempt *a);

/* ---------------------------------------------------------------------- calls that make a model */

/* Takes what a call has made, if it has. */
static home_status made(home_status status, home_model *model) {
    CHECK((status == HOME_OK) == (model != NULL));
    home_model_release(model);
    return status;
}

static home_status do_create(attempt *a) {
    home_model *model = NULL;
    a->config.config.allocator = &a->allocator;
    const home_status status = home_model_create(&a->config.config, &model, NULL);
    return made(status, model);
}

static home_status do_create_json(attempt *a) {
    const char *text = home_model_config_json(a->model);
    const home_create_options options = {.struct_size = sizeof options, .allocator = &a->allocator};
    home_model *model = NULL;
    const home_status status = home_model_create_json(text, strlen(text), &options, &model, NULL);
    return made(status, model);
}

static int32_t hear(void *user, const char *where, const home_error *found) {
    (void)user;
    (void)where;
    (void)found;
    return 0;
}

static int32_t keep_last(void *user, const char *where, const home_error *found) {
    (void)where;
    *(home_error *)user = *found;
    return 0;
}

static home_status do_check(attempt *a) {
    a->config.config.allocator = &a->allocator;
    return home_config_check(&a->config.config, hear, NULL, NULL);
}

static home_status do_check_json(attempt *a) {
    const char *text = home_model_config_json(a->model);
    const home_create_options options = {.struct_size = sizeof options, .allocator = &a->allocator};
    return home_config_check_json(text, strlen(text), &options, hear, NULL, NULL);
}

/* Many errors: the paths of those that were told take memory too. It ends with the first. */
static home_status do_check_errors(attempt *a) {
    char text[1000] = "{";
    for (int i = 0; i < 90; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "\"k%d\":0,", i);
    text[strlen(text) - 1] = '}';
    const home_create_options options = {.struct_size = sizeof options, .allocator = &a->allocator};
    home_error last = new_error();
    const home_status status =
        home_config_check_json(text, strlen(text), &options, keep_last, &last, NULL);
    CHECK(status == HOME_E_MEMORY || status == HOME_E_CONFIG);
    return last.status == HOME_E_MEMORY || status == HOME_E_MEMORY ? HOME_E_MEMORY : HOME_OK;
}

static home_status do_load(attempt *a) {
    home_model *model = NULL;
    const home_status status = home_model_load(
        a->path,
        &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &a->allocator},
        &model, NULL);
    return made(status, model);
}

static home_status do_load_memory(attempt *a) {
    home_model *model = NULL;
    const home_status status = home_model_load_memory(
        a->bytes, a->length,
        &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &a->allocator},
        &model, NULL);
    return made(status, model);
}

static home_status do_load_frozen(attempt *a) {
    home_model *model = NULL;
    const home_status status = home_model_load(a->path,
                                               &(home_load_options){
                                                   .struct_size = sizeof(home_load_options),
                                                   .allocator = &a->allocator,
                                                   .frozen = HOME_ON,
                                               },
                                               &model, NULL);
    return made(status, model);
}

static home_status do_open_checkpoint(attempt *a) {
    home_checkpoint *checkpoint = NULL;
    const home_status status = home_checkpoint_open(a->path, &a->allocator, &checkpoint, NULL);
    CHECK((status == HOME_OK) == (checkpoint != NULL));
    home_checkpoint_destroy(checkpoint);
    return status;
}

static home_status do_open_checkpoint_in_memory(attempt *a) {
    home_checkpoint *checkpoint = NULL;
    const home_status status =
        home_checkpoint_open_memory(a->bytes, a->length, &a->allocator, &checkpoint, NULL);
    CHECK((status == HOME_OK) == (checkpoint != NULL));
    home_checkpoint_destroy(checkpoint);
    return status;
}

static home_status do_freeze(attempt *a) {
    home_model *frozen = NULL;
    const home_status status = home_model_freeze(a->model, &frozen, NULL);
    return made(status, frozen);
}

/* ----------------------------------------------------------------------------- calls on a model */

static home_status do_load_weights(attempt *a) {
    return home_model_load_weights(a->model, a->path, NULL);
}

static home_status do_save(attempt *a) {
    return home_model_save(a->model, a->target, HOME_SAVE_OPTIMIZER, NULL);
}

static home_status do_serialize(attempt *a) {
    size_t length;
    unsigned char *buffer = malloc(a->length);
    REQUIRE(buffer);
    const home_status status =
        home_model_serialize(a->model, HOME_SAVE_OPTIMIZER, buffer, a->length, &length, NULL);
    free(buffer);
    return status;
}

static home_status do_predict(attempt *a) {
    float out[MORE_ROWS * TASKS];
    return home_model_predict(a->model, &a->more_rows.batch, out, 0, NULL, NULL);
}

/* One id for each field and row. */
static home_status do_predict_flat(attempt *a) {
    static const uint64_t ids[DATA_FIELDS * MORE_ROWS];
    float out[MORE_ROWS * TASKS];
    return home_model_predict_flat(a->model, MORE_ROWS, a->more_rows.batch.dense,
                                   a->more_rows.batch.dense_stride, ids, 0, NULL, NULL, out, 0, out,
                                   0, NULL, NULL);
}

static home_status do_forward_flat(attempt *a) {
    static const uint64_t ids[DATA_FIELDS * MORE_ROWS];
    return home_model_forward_flat(a->model, MORE_ROWS, a->more_rows.batch.dense,
                                   a->more_rows.batch.dense_stride, ids, 0, NULL, NULL, NULL, 0,
                                   NULL);
}

static home_status do_forward(attempt *a) {
    return home_model_forward(a->model, &a->more_rows.batch, NULL, 0, NULL);
}

/* Only forward takes memory: the others use what it has reserved. */
static home_status do_train(attempt *a) {
    home_status status = do_forward(a);
    if (status != HOME_OK)
        return status;
    CHECK_INTEGER(home_model_backward(a->model, &a->more_rows.targets, NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_step(a->model, NULL), HOME_OK);
    return HOME_OK;
}

/* Of rows that take more room than those of the last backward. */
static home_status do_set_table_gradient(attempt *a) {
    uint64_t rows[MORE_ROWS];
    float gradient[MORE_ROWS * 3];
    for (size_t i = 0; i < MORE_ROWS; i++) {
        rows[i] = (MORE_ROWS - i) % 11;
        gradient[3 * i] = gradient[3 * i + 1] = gradient[3 * i + 2] = (float)i;
    }
    return home_model_set_table_gradient(a->model, 0, rows, MORE_ROWS, gradient, 0, NULL);
}

static home_status do_set_metadata(attempt *a) {
    return home_model_set_metadata(a->model, "key", "another value", NULL);
}

static home_status do_add_metadata(attempt *a) {
    return home_model_set_metadata(a->model, "other key", "a value", NULL);
}

static home_status do_set_threads(attempt *a) {
    const home_status status = home_model_set_threads(a->model, 3, NULL);
    if (status == HOME_OK)
        CHECK_INTEGER(home_model_set_threads(a->model, 1, NULL), HOME_OK);
    return status;
}

static home_status do_image(attempt *a) {
    home_model *frozen = NULL;
    size_t length = 0;
    home_status status = home_model_freeze(a->model, &frozen, NULL);
    if (status == HOME_OK)
        status = home_image_write(frozen, NULL, NULL, 0, &length, NULL);
    home_model_release(frozen);
    return status;
}

static const struct {
    const char *name;
    action *act;
} actions[] = {
    {"create", do_create},
    {"create from JSON", do_create_json},
    {"check a configuration", do_check},
    {"check a configuration in JSON", do_check_json},
    {"check one of many errors", do_check_errors},
    {"load", do_load},
    {"load from memory", do_load_memory},
    {"load frozen", do_load_frozen},
    {"open a checkpoint", do_open_checkpoint},
    {"open a checkpoint in memory", do_open_checkpoint_in_memory},
    {"load weights", do_load_weights},
    {"save", do_save},
    {"serialize", do_serialize},
    {"freeze", do_freeze},
    {"image", do_image},
    {"predict", do_predict},
    {"predict flat", do_predict_flat},
    {"forward", do_forward},
    {"forward flat", do_forward_flat},
    {"train", do_train},
    {"set a table's gradient", do_set_table_gradient},
    {"replace metadata", do_set_metadata},
    {"add metadata", do_add_metadata},
    {"set threads", do_set_threads},
};

/* ------------------------------------------------------------------------------------- the test */

/* A model that waits for its step. */
static home_model *begin_model(const attempt *a, const home_allocator *allocator) {
    home_model *model = NULL;
    REQUIRE(home_model_load_memory(a->bytes, a->length,
                                   &(home_load_options){.struct_size = sizeof(home_load_options),
                                                        .allocator = allocator},
                                   &model, NULL) == HOME_OK);
    REQUIRE(home_model_forward(model, &a->rows.batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &a->rows.targets, NULL, NULL) == HOME_OK);
    return model;
}

/* The step, and one more. */
static void go_on(home_model *model, const attempt *a) {
    CHECK_INTEGER(home_model_step(model, NULL), HOME_OK);
    train_step(model, &a->rows);
}

static void attempt_begin(attempt *a) {
    memset(a, 0, sizeof *a);
    setup_small(&a->config);
    data_create(&a->rows, &a->config.config, ROWS, 3);
    data_create(&a->more_rows, &a->config.config, MORE_ROWS, 4);
    home_model *model = make_model(&a->config);
    train_step(model, &a->rows);
    CHECK_INTEGER(home_model_set_metadata(model, "key", "value", NULL), HOME_OK);
    a->bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &a->length);
    home_model_release(model);
    write_whole(path_of("weights", a->path), a->bytes, a->length);
    write_whole(path_of("target", a->target), "old", 3);

    model = begin_model(a, NULL);
    a->predicted = predict_all(model, &a->rows.batch);
    go_on(model, a);
    a->later = model_bytes(model, HOME_SAVE_OPTIMIZER, &a->later_length);
    home_model_release(model);
}

static void attempt_end(attempt *a) {
    folder_empty();
    free(a->bytes);
    free(a->later);
    free(a->predicted);
    data_free(&a->rows);
    data_free(&a->more_rows);
}

static void check_bytes_of(const home_model *model, const unsigned char *bytes, size_t length) {
    size_t now_length;
    unsigned char *now = model_bytes(model, HOME_SAVE_OPTIMIZER, &now_length);
    if (CHECK_INTEGER(now_length, length))
        CHECK_BYTES(now, bytes, length);
    free(now);
}

static void check_target(const attempt *a) {
    size_t length;
    unsigned char *found = read_whole(a->target, &length);
    if (CHECK_INTEGER(length, 3))
        CHECK_BYTES(found, "old", 3);
    free(found);
    CHECK_INTEGER(files_in_folder(), 2);
}

/* Fails the n-th allocation of a call; true once the call no longer needs so many. */
static bool fail_one(attempt *a, action *act, long number, bool once) {
    meter m;
    a->allocator = meter_allocator(&m);
    a->model = begin_model(a, &a->allocator);
    float out[ROWS * TASKS];
    const long live = m.live;
    m.once = once;
    m.fail_at = m.allocations + number;
    const home_status status = act(a);
    const bool enough = m.allocations <= m.fail_at;
    m.fail_at = -1;
    CHECK_INTEGER(status, enough ? HOME_OK : HOME_E_MEMORY);
    if (!enough) {
        CHECK(m.live >= live); /* nothing that was there is gone */
        check_target(a);
        CHECK_INTEGER(home_model_predict(a->model, &a->rows.batch, out, 0, NULL, NULL), HOME_OK);
        CHECK_BYTES(out, a->predicted, sizeof out);
        go_on(a->model, a);
        check_bytes_of(a->model, a->later, a->later_length);
        CHECK_INTEGER(act(a), HOME_OK);
    }
    home_model_release(a->model);
    CHECK_INTEGER(m.live, 0);
    write_whole(a->target, "old", 3);
    return enough;
}

int main(void) {
    attempt a;
    folder_make();
    attempt_begin(&a);
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        for (int once = 0; once < 2; once++) {
            test_begin("%s survives the failure of %s", actions[i].name,
                       once ? "each allocation" : "all allocations from each on");
            long number = 0;
            while (!fail_one(&a, actions[i].act, number, once))
                number++;
            CHECK(number > 0); /* otherwise nothing was tried */
            test_end();
        }
    attempt_end(&a);
    rmdir(folder);
    return test_summary();
}
