/* What lies just inside and just outside of the documented limits: names, counts, NULL handles,
 * more threads than idle workspaces are kept for, files and threads that the system refuses. */
#define _GNU_SOURCE
#include "family/family.h"
#include "robust/child.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/uio.h>

/* ---------------------------------------------------------------------------------------- names */

static const struct {
    const char *name;
    const char *expected; /* of the message; NULL: the name is good */
} names[] = {
    {"\xc3\xbc", NULL},
    {"\xe2\x82\xac \xf0\x9f\x98\x80", NULL},
    {"\xf4\x8f\xbf\xbf", NULL}, /* the last character of all */
    {"a\xff", "expected UTF-8"},
    {"\x80", "expected UTF-8"},
    {"\xc0\x80", "expected UTF-8"},         /* zero in two bytes */
    {"\xe0\x9f\xbf", "expected UTF-8"},     /* three bytes for what fits two */
    {"\xed\xa0\x80", "expected UTF-8"},     /* a surrogate */
    {"\xf4\x90\x80\x80", "expected UTF-8"}, /* past the last character */
    {"\xe2\x82", "expected UTF-8"},         /* cut off */
    {"\xf0\x9f\x98!", "expected UTF-8"},
    {"a\nb", "without control characters"},
    {"a\x7f", "without control characters"},
};

static void names_of_tasks_are_checked(void) {
    setup s;
    home_error error = new_error();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        home_model *model = NULL;
        setup_small(&s);
        s.tasks[1].name = names[i].name;
        const home_status status = home_model_create(&s.config, &model, &error);
        CHECK_INTEGER(status, names[i].expected ? HOME_E_CONFIG : HOME_OK);
        if (names[i].expected) {
            CHECK_CONTAINS(error.message, "config.tasks[1].name");
            CHECK_CONTAINS(error.message, names[i].expected);
        } else {
            CHECK(model && strcmp(home_model_task_name(model, 1), names[i].name) == 0);
        }
        home_model_release(model);
    }
}

static void names_are_at_most_so_long(void) {
    setup s;
    char name[122];
    home_model *model = NULL;
    home_error error = new_error();
    setup_small(&s);
    memset(name, 'n', sizeof name);
    name[120] = 0;
    s.tasks[1].name = name;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_OK);
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    home_model_release(model);
    CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &model, &error), HOME_OK);
    CHECK(strcmp(home_model_task_name(model, 1), name) == 0);
    home_model_release(model);
    free(bytes);
    name[120] = 'n';
    name[121] = 0;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, "at most 120 bytes");
}

/* --------------------------------------------------------------------------------------- counts */

static void check_refused(const home_config *config, const char *field, const char *expected) {
    home_model *model = NULL;
    home_error error = new_error();
    CHECK_INTEGER(home_model_create(config, &model, &error), HOME_E_CONFIG);
    CHECK_CONTAINS(error.message, field);
    CHECK_CONTAINS(error.message, expected);
    CHECK(model == NULL);
}

static void lists_too_long_or_null_are_refused(void) {
    setup s;
    static const char *const seen[] = {"shared"};
    static const size_t widths[17] = {1};
    home_node_config node = {
        .struct_size = sizeof node, .name = "like", .sees = seen, .sees_count = 4097};
    setup_small(&s);
    s.config.tables = NULL;
    check_refused(&s.config, "config.tables is NULL", "2 elements");
    setup_small(&s);
    s.config.table_count = 4097;
    check_refused(&s.config, "config.table_count is 4097", "at most 4096");
    setup_small(&s);
    s.layers[0].hidden = widths;
    s.layers[0].hidden_count = 17;
    check_refused(&s.config, "hidden", "at most 16");
    s.layers[0].hidden = NULL;
    check_refused(&s.config, "hidden_count is 17", "at most 16");
    setup_small(&s);
    s.layers[1].nodes = &node;
    s.layers[1].node_count = 1;
    check_refused(&s.config, "sees_count is 4097", "at most 4096");
    node.sees = NULL;
    node.sees_count = 1;
    check_refused(&s.config, "sees is NULL", "expected 1 element");
}

/* Two fields whose vectors are wider together than any input may be. */
static void too_wide_an_input_is_refused(void) {
    setup s;
    setup_small(&s);
    s.tables[0].dim = (size_t)1 << 24;
    s.tables[0].rows = 1;
    check_refused(&s.config, "config.dense_width is 5 and the fields add 16777216",
                  "an input of width 1 to 16777216");
}

static const struct {
    const char *json;
    const char *field;
    const char *expected;
} kinds[] = {
    {"{'dense':2,'tasks':[{'name':'a','weight':'x'}],'layers':[{'width':2},{'width':2}]}",
     "tasks[0].weight", "expected a number"},
    {"{'dense':2,'tasks':5,'layers':[{'width':2},{'width':2}]}", "tasks",
     "expected an array of 1 to 1024 objects"},
    {"{'dense':2,'tasks':[{'name':'a'}],'layers':[{'width':2},{'width':2,'nodes':[{'name':'a','"
     "sees':5}]}]}",
     "sees", "expected an array of at most 4096 names"},
    {"{'dense':2,'tasks':[{'name':'a'}],'layers':[{'width':2},{'width':2,'nodes':[{'name':'a','"
     "sees':[5]}]}]"
     "}",
     "sees[0]", "expected a string"},
};

static void wrong_kinds_of_json_are_refused(void) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        home_model *model = NULL;
        home_error error = new_error();
        CHECK_INTEGER(create_from(kinds[i].json, &model, &error), HOME_E_CONFIG);
        CHECK_CONTAINS(error.message, kinds[i].field);
        CHECK_CONTAINS(error.message, kinds[i].expected);
    }
}

/* ------------------------------------------------------------------------------------- metadata */

static void metadata_is_text(void) {
    static const char *const bad_keys[] = {"", "home.x", "format", "\xff", "a\xe2\x82"};
    setup s;
    home_error error = new_error();
    setup_small(&s);
    home_model *model = make_model(&s);
    for (size_t i = 0; i < sizeof bad_keys / sizeof *bad_keys; i++)
        CHECK_INTEGER(home_model_set_metadata(model, bad_keys[i], "v", &error), HOME_E_ARGUMENT);
    CHECK_INTEGER(home_model_set_metadata(model, "k", "\xc3", &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "not UTF-8");
    CHECK(home_model_metadata(model, "k") == NULL);
    CHECK_INTEGER(home_model_set_metadata(model, "k", NULL, &error), HOME_OK); /* removes nothing */
    CHECK_INTEGER(home_model_set_metadata(model, "k", "v", &error), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "l", "w", &error), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "k", NULL, &error), HOME_OK);
    CHECK(home_model_metadata(model, "k") == NULL);
    CHECK(strcmp(home_model_metadata(model, "l"), "w") == 0);
    CHECK(home_model_metadata(model, NULL) == NULL);
    CHECK(home_model_metadata(NULL, "l") == NULL);
    home_model_release(model);
}

/* ------------------------------------------------------------------------------- files that end */

static enum { READ, FAIL, END } reading; /* what read() does, after */
static int reads_before;                 /* good ones */

/* Sanitizers see what readv() writes; libc's own read() they would not. */
ssize_t read(int descriptor, void *bytes, size_t size) {
    if (reading == READ || reads_before-- > 0)
        return readv(descriptor, &(struct iovec){bytes, size}, 1);
    errno = EIO;
    return reading == FAIL ? -1 : 0;
}

/* Each read of a load fails in turn: of the header's length, its text, and every piece of a tensor.
 * Returns how many there are. */
static int fail_each_read(const char *path, int32_t frozen) {
    for (int good = 0;; good++)
        for (int how = FAIL; how <= END; how++) {
            meter m;
            const home_allocator allocator = meter_allocator(&m);
            const home_load_options options = {
                .struct_size = sizeof options, .allocator = &allocator, .frozen = frozen};
            home_model *loaded = NULL;
            home_error error = new_error();
            reads_before = good;
            reading = how;
            const home_status status = home_model_load(path, &options, &loaded, &error);
            reading = READ;
            home_model_release(loaded);
            CHECK_INTEGER(m.live, 0);
            if (status == HOME_OK)
                return good;
            CHECK_INTEGER(status, HOME_E_FILE);
            CHECK_CONTAINS(error.message, how == FAIL ? "cannot read" : "became shorter");
        }
}

static void files_that_cannot_be_read_are_reported(void) {
    char path[] = "build/edges.XXXXXX";
    setup s;
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    home_model *loaded = NULL;
    home_error error = new_error();
    const int file = mkstemp(path);
    REQUIRE(file >= 0 && close(file) == 0);
    setup_small(&s);
    home_model *model = make_model(&s);
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    reading = FAIL;
    CHECK_INTEGER(home_model_load(path,
                                  &(home_load_options){.struct_size = sizeof(home_load_options),
                                                       .allocator = &allocator},
                                  &loaded, &error),
                  HOME_E_FILE);
    CHECK_CONTAINS(error.message, "cannot read");
    CHECK_CONTAINS(error.message, path);
    reading = END;
    CHECK_INTEGER(home_model_load(path,
                                  &(home_load_options){.struct_size = sizeof(home_load_options),
                                                       .allocator = &allocator},
                                  &loaded, &error),
                  HOME_E_FILE);
    CHECK_CONTAINS(error.message, "became shorter");
    reading = READ;
    CHECK(loaded == NULL);
    CHECK_INTEGER(m.live, 0);
    CHECK_INTEGER(home_model_load(path,
                                  &(home_load_options){.struct_size = sizeof(home_load_options),
                                                       .allocator = &allocator},
                                  &loaded, &error),
                  HOME_OK);
    const int tensors = (int)home_model_tensor_count(model);
    CHECK_INTEGER(fail_each_read(path, 0), tensors + 3);
    CHECK_INTEGER(fail_each_read(path, HOME_ON), tensors + 3);
    home_model_release(loaded);
    home_model_release(model);
    remove(path);
}

/* ----------------------------------------------------------------------------------------- NULL */

static void questions_about_nothing_have_answers(void) {
    CHECK(home_model_retain(NULL) == NULL);
    CHECK(home_model_config_json(NULL) == NULL);
    CHECK(home_model_topology_json(NULL) == NULL);
    CHECK(home_model_field_name(NULL, 0) == NULL);
    CHECK(home_model_task_name(NULL, 0) == NULL);
    CHECK_INTEGER(home_workspace_size(NULL), 0);
    CHECK_INTEGER(home_model_dense_width(NULL), 0);
    CHECK_INTEGER(home_model_field_count(NULL), 0);
    CHECK_INTEGER(home_model_task_count(NULL), 0);
    CHECK_INTEGER(home_model_tensor_count(NULL), 0);
    CHECK_INTEGER(home_model_parameter_count(NULL), 0);
    CHECK_INTEGER(home_model_macs_per_row(NULL), 0);
    CHECK_INTEGER(home_model_step_count(NULL), 0);
    CHECK_INTEGER(home_model_is_frozen(NULL), 0);
    CHECK(home_model_gradient_norm(NULL) == 0);
    CHECK_INTEGER(home_model_set_parallel(NULL, NULL, NULL), HOME_E_ARGUMENT);
}

/* ----------------------------------------------------------------------------------- allocators */

static void half_an_allocator_is_refused(void) {
    setup s;
    meter m;
    home_model *model = NULL;
    home_error error = new_error();
    home_allocator allocator = meter_allocator(&m);
    setup_small(&s);
    s.config.allocator = &allocator;
    allocator.release = NULL;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "expected both or none");
    allocator = meter_allocator(&m);
    allocator.allocate = NULL;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_ARGUMENT);
    allocator.release = NULL; /* none: malloc and free */
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_OK);
    home_model_release(model);
    CHECK_INTEGER(m.allocations, 0);
    allocator.struct_size = 3;
    CHECK_INTEGER(home_model_create(&s.config, &model, &error), HOME_E_ARGUMENT);
    CHECK_CONTAINS(error.message, "allocator.struct_size is 3");
}

/* ------------------------------------------------------------------------- many callers at once */

enum { CALLERS = 70, IDLE_KEPT = 64, ROWS = 100 };

/* Threads of the host's that wait until all callers are inside predict, each with a workspace. */
typedef struct crowd {
    pthread_barrier_t inside;
    const home_model *model;
    const data *rows;
    const float *expected;
    size_t bytes;
    atomic_int wrong;
} crowd;

typedef struct visitor {
    pthread_t thread;
    crowd *crowd;
} visitor;

static int32_t run_when_all_are_inside(void *user, size_t count,
                                       void (*task)(void *context, size_t index), void *context) {
    static _Thread_local bool waited;
    crowd *c = user;
    if (!waited) {
        waited = true;
        pthread_barrier_wait(&c->inside);
    }
    for (size_t i = 0; i < count; i++)
        task(context, i);
    return 0;
}

static void *visit(void *argument) {
    const visitor *v = argument;
    float *out = predict_all(v->crowd->model, &v->crowd->rows->batch);
    atomic_fetch_add(&v->crowd->wrong, memcmp(out, v->crowd->expected, v->crowd->bytes) != 0);
    free(out);
    return NULL;
}

static void more_callers_than_idle_workspaces_are_served(void) {
    static visitor visitors[CALLERS];
    setup s;
    data rows;
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup_dense(&s, 40);
    s.layers[0].width = 60;
    s.config.allocator = &allocator;
    data_create(&rows, &s.config, ROWS, 1);
    home_model *model = make_model(&s);
    const long before = m.live;
    float *expected = predict_all(model, &rows.batch);
    crowd c = {.model = model, .rows = &rows, .expected = expected};
    c.bytes = ROWS * s.config.task_count * sizeof *expected;
    pthread_barrier_init(&c.inside, NULL, CALLERS);
    /* so many threads that rows are not shared out among them: the caller's thread is inside with
     * its workspace */
    const home_parallel parallel = {sizeof parallel, &c, 8, run_when_all_are_inside};
    REQUIRE(home_model_set_parallel(model, &parallel, NULL) == HOME_OK);
    for (size_t i = 0; i < CALLERS; i++) {
        visitors[i].crowd = &c;
        REQUIRE(pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]) == 0);
    }
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(visitors[i].thread, NULL);
    CHECK_INTEGER(c.wrong, 0);
    CHECK_INTEGER(m.live, before + IDLE_KEPT);
    pthread_barrier_destroy(&c.inside);
    free(expected);
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
    data_free(&rows);
}

/* ------------------------------------------------------------------------------ threads refused */

/* Where the system has no addresses left for stacks, no pool starts; the one before goes on. */
static int ask_for_too_many_threads(void *context) {
    (void)context;
    setup s;
    data rows;
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup_dense(&s, 40);
    s.layers[0].width = 60;
    s.config.allocator = &allocator;
    data_create(&rows, &s.config, ROWS, 1);
    home_model *model = make_model(&s);
    home_error error = new_error();
    REQUIRE(home_model_set_threads(model, 2, &error) == HOME_OK);
    float *expected = predict_all(model, &rows.batch);
    const long live = m.live;
    const struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    const home_status status = home_model_set_threads(model, 1024, &error);
    int wrong =
        status != HOME_E_MEMORY || strstr(error.message, "cannot start 1024 threads") == NULL;
    wrong += m.live != live;
    float *out = predict_all(model, &rows.batch);
    wrong += memcmp(out, expected, ROWS * s.config.task_count * sizeof *out) != 0;
    home_model_release(model);
    wrong += m.live != 0;
    free(out);
    free(expected);
    data_free(&rows);
    return wrong;
}

static void threads_that_cannot_start_are_reported(void) {
    const char *wrapper = getenv("TEST_WRAPPER");
    if (TEST_NEEDS_ADDRESSES || (wrapper && *wrapper))
        test_skip("a sanitizer or valgrind needs addresses of its own");
    else
        CHECK_INTEGER(in_child(ask_for_too_many_threads, NULL), 0);
}

/* ----------------------------------------------------------------------------- instruction sets */

static void an_unknown_instruction_set_is_no_cap(void) {
    setup s;
    data rows;
    setup_small(&s);
    data_create(&rows, &s.config, ROWS, 2);
    unsetenv("HOME_ISA");
    home_model *best = make_model(&s);
    setenv("HOME_ISA", "abacus", 1);
    home_model *model = make_model(&s);
    unsetenv("HOME_ISA");
    float *expected = predict_all(best, &rows.batch);
    float *out = predict_all(model, &rows.batch);
    CHECK_BYTES(out, expected, ROWS * s.config.task_count * sizeof *out);
    free(out);
    free(expected);
    home_model_release(best);
    home_model_release(model);
    data_free(&rows);
}

int main(void) {
    RUN(names_of_tasks_are_checked);
    RUN(names_are_at_most_so_long);
    RUN(lists_too_long_or_null_are_refused);
    RUN(too_wide_an_input_is_refused);
    RUN(wrong_kinds_of_json_are_refused);
    RUN(metadata_is_text);
    RUN(files_that_cannot_be_read_are_reported);
    RUN(questions_about_nothing_have_answers);
    RUN(half_an_allocator_is_refused);
    RUN(more_callers_than_idle_workspaces_are_served);
    RUN(threads_that_cannot_start_are_reported);
    RUN(an_unknown_instruction_set_is_no_cap);
    return test_summary();
}
