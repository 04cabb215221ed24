/* What must not happen to the process a model lives in: poisoned statistics, foreign workspaces,
 * files that ask for more memory than they bring, surprises from threads. */
#include "fixture.h"
#include "test.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static void huge_values_do_not_poison_the_model(void) {
    setup s;
    data rows;
    setup_dense(&s, 6);
    s.layers[0].feature_gates = HOME_OFF; /* one could close before the huge value */
    data_create(&rows, &s.config, 8, 1);
    home_model *model = make_model(&s);
    home_error error = new_error();
    train_step(model, &rows);
    size_t length;
    unsigned char *before = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    float *dense = rows.dense;
    const float kept = dense[0];
    dense[0] = 3e38f;
    CHECK_INTEGER(home_model_forward(model, &rows.batch, NULL, 0, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "not finite");
    size_t now_length;
    unsigned char *now = model_bytes(model, HOME_SAVE_OPTIMIZER, &now_length);
    if (CHECK_INTEGER(now_length, length))
        CHECK_BYTES(now, before, length);
    CHECK_INTEGER(home_model_backward(model, &rows.targets, NULL, &error), HOME_E_STATE);
    dense[0] = kept;
    train_step(model, &rows);
    free(now);
    free(before);
    home_model_release(model);
    data_free(&rows);
}

/* Two shared-bottom models whose activations are as wide, but whose blocks of rows are not as
 * long. */
static void a_workspace_of_another_model_is_refused(void) {
    home_error error = new_error();
    home_model *models[2];
    home_workspace *workspace;
    static const size_t towers[2] = {256, 3500};
    float x[4096] = {0};
    float out[1];
    for (int i = 0; i < 2; i++) {
        setup s;
        setup_dense(&s, 4096);
        static const char *const group[] = {"g"};
        setup_tasks(&s, 1, group, 1);
        s.config.preset = HOME_PRESET_SHARED_BOTTOM;
        s.config.layer_count = 1;
        s.layers[0] = (home_layer_config){.struct_size = sizeof s.layers[0], .width = 2048};
        s.tower_hidden[0] = towers[i];
        s.config.tower_hidden = s.tower_hidden;
        s.config.tower_hidden_count = 1;
        home_model *model = make_model(&s);
        REQUIRE(home_model_freeze(model, &models[i], &error) == HOME_OK);
        home_model_release(model);
    }
    const size_t size = home_workspace_size(models[0]);
    void *memory = malloc(size);
    REQUIRE(memory && home_workspace_init(models[0], memory, size, &workspace, &error) == HOME_OK);
    const home_batch batch = {.struct_size = sizeof batch, .rows = 1, .dense = x};
    CHECK_INTEGER(home_model_predict(models[0], &batch, out, 0, workspace, &error), HOME_OK);
    if (home_workspace_size(models[1]) != size) {
        CHECK_INTEGER(home_model_predict(models[1], &batch, out, 0, workspace, &error),
                      HOME_E_ARGUMENT);
        CHECK_CONTAINS(error.message, "another model");
    }
    free(memory);
    home_model_release(models[0]);
    home_model_release(models[1]);
}

/* A file of some hundred bytes whose configuration speaks of 256 GB, or of as much as a narrow
 * size_t can count: refused before memory is asked for. */
#if SIZE_MAX > UINT32_MAX
#define MANY_ROWS "4000000000"
#else
#define MANY_ROWS "60000000"
#endif
static void a_small_file_cannot_ask_for_much(void) {
    static const char header[] =
        "{\"__metadata__\":{\"home.schema\":\"1\",\"home.config\":\"{\\\"dense\\\":"
        "1,\\\"tables\\\":[{\\\"name\\\":\\\"t\\\","
        "\\\"rows\\\":" MANY_ROWS ",\\\"dim\\\":16}],\\\"fields\\\":[{\\\"name\\\":"
        "\\\"t\\\"}],\\\"tasks\\\":[{\\\"name\\\":\\\"a\\\"}],"
        "\\\"layers\\\":[{\\\"width\\\":2},{\\\"width\\\":2}]}\"}}";
    unsigned char bytes[sizeof header + 7];
    meter m = {.fail_at = -1};
    const home_allocator allocator = meter_allocator(&m);
    home_model *model = NULL;
    home_error error = new_error();
    memset(bytes, 0, 8);
    bytes[0] = (sizeof header - 1) & 0xff;
    bytes[1] = (sizeof header - 1) >> 8;
    memcpy(bytes + 8, header, sizeof header - 1);
    CHECK_INTEGER(
        home_model_load_memory(
            bytes, sizeof bytes,
            &(home_load_options){.struct_size = sizeof(home_load_options), .allocator = &allocator},
            &model, &error),
        HOME_E_MISMATCH);
    CHECK_CONTAINS(error.message, "is missing");
    CHECK_INTEGER(m.live, 0);
}

static void an_own_workspace_is_enough_for_threads(void) {
    setup s;
    data rows;
    meter m = {.fail_at = -1};
    const home_allocator allocator = meter_allocator(&m);
    setup_dense(&s, 20);
    s.config.allocator = &allocator;
    data_create(&rows, &s.config, 2000, 2);
    home_model *model = make_model(&s);
    home_error error = new_error();
    home_workspace *workspace;
    REQUIRE(home_model_set_threads(model, 3, &error) == HOME_OK);
    const size_t size = home_workspace_size(model);
    void *memory = malloc(size);
    float *out = malloc(2000 * s.config.task_count * sizeof *out);
    REQUIRE(memory && out &&
            home_workspace_init(model, memory, size, &workspace, &error) == HOME_OK);
    m.fail_at = m.allocations;
    for (int i = 0; i < 50; i++)
        CHECK_INTEGER(home_model_predict(model, &rows.batch, out, 0, workspace, &error), HOME_OK);
    m.fail_at = -1;
    free(out);
    free(memory);
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
    data_free(&rows);
}

static void setting_a_tensor_ends_a_forward(void) {
    setup s;
    data rows;
    setup_small(&s);
    data_create(&rows, &s.config, 8, 3);
    home_model *model = make_model(&s);
    home_error error = new_error();
    static const char variance[] = "layers.0.units.shared.experts.0.norm.running_var";
    static const char weight[] = "layers.0.units.shared.experts.0.norm.weight";
    const home_tensor tensor = tensor_of(model, variance);
    float *values = calloc(tensor_size(&tensor), sizeof *values);
    REQUIRE(values);
    values[0] = -1;
    CHECK_INTEGER(home_model_set_tensor(model, variance, values, tensor_size(&tensor), &error),
                  HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "expected at least 0");
    CHECK_INTEGER(home_model_set_tensor(model, weight, values, tensor_size(&tensor), &error),
                  HOME_OK);
    REQUIRE(home_model_forward(model, &rows.batch, NULL, 0, &error) == HOME_OK);
    CHECK_INTEGER(home_model_set_tensor(model, weight, values, tensor_size(&tensor), &error),
                  HOME_OK);
    CHECK_INTEGER(home_model_backward(model, &rows.targets, NULL, &error), HOME_E_STATE);
    free(values);
    home_model_release(model);
    data_free(&rows);
}

/* What set_tensor packs anew is what the products read: the same predictions as after a load of
 * everything. */
static void setting_tensors_reaches_serving(void) {
    setup s;
    data rows;
    setup_small(&s);
    data_create(&rows, &s.config, 30, 4);
    home_model *model = make_model(&s);
    home_model *other = make_model(&s);
    randomize(model, 5); /* through home_model_set_tensor() */
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    home_error error = new_error();
    home_model *loaded;
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, &error) == HOME_OK);
    float *set = predict_all(model, &rows.batch);
    float *read = predict_all(loaded, &rows.batch);
    CHECK_BYTES(set, read, 30 * s.config.task_count * sizeof *set);
    free(set);
    free(read);
    free(bytes);
    home_model_release(loaded);
    home_model_release(other);
    home_model_release(model);
    data_free(&rows);
}

static void the_norm_survives_large_and_small_gradients(void) {
    setup s;
    data rows;
    setup_small(&s);
    data_create(&rows, &s.config, 8, 6);
    home_model *model = make_model(&s);
    home_error error = new_error();
    REQUIRE(home_model_forward(model, &rows.batch, NULL, 0, &error) == HOME_OK);
    REQUIRE(home_model_backward(model, &rows.targets, NULL, &error) == HOME_OK);
    size_t count;
    float *gradients = gradients_of(model, &count);
    memset(gradients, 0, count * sizeof *gradients);
    gradients[1] = 3e20f;
    gradients[count - 1] = 4e20f;
    CHECK_NEAR(home_model_gradient_norm(model) / 5e20, 1, 1e-6);
    home_model_release(model);
    data_free(&rows);
}

/* In a struct 0 is the default; in JSON, where a key can be left out, it is 0. */
static void a_zero_in_json_is_not_the_default(void) {
    static const char json[] = "{\"dense\":2,\"layers\":[{\"width\":2},{\"width\":2}],"
                               "\"tasks\":[{\"name\":\"a\",\"weight\":0}]}";
    home_model *model = NULL;
    home_error error = new_error();
    REQUIRE(home_model_create_json(json, sizeof json - 1, NULL, &model, &error) == HOME_OK);
    CHECK_CONTAINS(home_model_config_json(model), "\"weight\":0,");
    home_model_release(model);
}

static void an_older_error_struct_gets_its_message(void) {
    struct {
        size_t struct_size;
        home_status status;
        char message[20];
    } older = {.struct_size = sizeof older};
    CHECK_INTEGER(home_model_create(NULL, NULL, (home_error *)(void *)&older), HOME_E_ARGUMENT);
    CHECK_INTEGER(older.status, HOME_E_ARGUMENT);
    CHECK_CONTAINS(older.message, "config is NULL");
}

static void a_frozen_model_keeps_metadata(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *frozen;
    home_error error = new_error();
    REQUIRE(home_model_set_metadata(model, "recipe", "columns", &error) == HOME_OK);
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    home_model_release(model);
    const char *text = home_model_metadata(frozen, "recipe");
    CHECK(text && strcmp(text, "columns") == 0);
    home_model_release(frozen);
}

static volatile sig_atomic_t caught;

static void on_signal(int number) {
    caught = number;
}

/* A signal that the host's only thread blocks must wait for it, and not find a thread of the
 * pool. */
static void signals_stay_with_the_host(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_error error = new_error();
    sigset_t one;
    const struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigaction(SIGUSR1, &action, NULL);
    REQUIRE(home_model_set_threads(model, 3, &error) == HOME_OK);
    sigprocmask(SIG_BLOCK, &one, NULL);
    kill(getpid(), SIGUSR1);
    home_model_set_threads(model, 1, &error); /* waits for the pool's end */
    CHECK_INTEGER(caught, 0);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    CHECK_INTEGER(caught, SIGUSR1);
    home_model_release(model);
}

int main(void) {
    RUN(huge_values_do_not_poison_the_model);
    RUN(a_workspace_of_another_model_is_refused);
    RUN(a_small_file_cannot_ask_for_much);
    RUN(an_own_workspace_is_enough_for_threads);
    RUN(setting_a_tensor_ends_a_forward);
    RUN(setting_tensors_reaches_serving);
    RUN(the_norm_survives_large_and_small_gradients);
    RUN(a_zero_in_json_is_not_the_default);
    RUN(an_older_error_struct_gets_its_message);
    RUN(a_frozen_model_keeps_metadata);
    RUN(signals_stay_with_the_host);
    return test_summary();
}
