/* Sizes as they are in production: tables of more than 65,536 rows, tensors of more than 4 KiB,
 * hundreds of tasks, fields and columns, ids in any order. What is right at these sizes follows
 * from small models, which other tests compare with the reference: a large table of which few rows
 * are touched must do what a small one of these rows does, byte for byte, and a task among many
 * what it does alone. */
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

#define ROWS ((size_t)700)
#define MANY ((size_t)300)

enum { SMALL_ROWS = 600, LARGE_ROWS = 70000, STEPS = 3 };

/* --------------------------------------------------------------------------------- large tables */

/* Rises with `row`, but its lower bytes do not. */
static uint64_t large_id(uint64_t row) {
    return row * 116 + row % 97;
}

static void setup_tables(setup *s, size_t rows, int32_t kind) {
    setup_small(s);
    s->tables[0].rows = s->tables[1].rows = rows;
    s->tables[1].index = HOME_INDEX_DIRECT;
    s->tables[0].dim = 20;
    s->optimizer.embedding_kind = kind;
}

static void spread_ids(data *d, const size_t *counts) {
    for (size_t f = 0; f < DATA_FIELDS; f++)
        for (size_t i = 0; i < counts[f]; i++)
            d->ids[f][i] = large_id(d->ids[f][i]);
}

/* All tensors but the tables, and of these the rows that the small ones have. */
static void copy_model(home_model *large, const home_model *small) {
    for (size_t i = 0; i < home_model_tensor_count(small); i++) {
        home_tensor from = {.struct_size = sizeof from};
        REQUIRE(home_model_tensor_at(small, i, &from, NULL) == HOME_OK);
        const home_tensor to = tensor_of(large, from.name);
        const size_t size = tensor_size(&to);
        const size_t width = (size_t)from.shape[1];
        float *values = malloc(size * sizeof *values);
        REQUIRE(values);
        memcpy(values, size == tensor_size(&from) ? from.data : to.data, size * sizeof *values);
        for (size_t row = 0; size != tensor_size(&from) && row < SMALL_ROWS; row++)
            memcpy(values + large_id(row) * width, from.data + row * width, width * sizeof *values);
        CHECK_INTEGER(home_model_set_tensor(large, from.name, values, size, NULL), HOME_OK);
        free(values);
    }
}

static void compare_table_gradients(home_model *large, home_model *small, const char *table) {
    const home_gradient a = table_gradient_of(large, table);
    const home_gradient b = table_gradient_of(small, table);
    CHECK(b.rows > 256);
    if (!CHECK_INTEGER(a.rows, b.rows))
        return;
    for (size_t i = 0; i < a.rows; i++) {
        CHECK_INTEGER(a.ids[i], large_id(b.ids[i]));
        CHECK_BYTES(a.data + i * a.stride, b.data + i * b.stride, a.width * sizeof *a.data);
    }
}

/* And the rows that nobody touched are as they were. */
static void compare_tables(const home_model *large, const home_model *small, const char *tensor,
                           const float *before) {
    const home_tensor a = tensor_of(large, tensor);
    const home_tensor b = tensor_of(small, tensor);
    const size_t width = (size_t)a.shape[1];
    uint64_t known = 0;
    for (uint64_t row = 0; row < LARGE_ROWS; row++) {
        const bool is_known = known < SMALL_ROWS && row == large_id(known);
        const float *expected = is_known ? b.data + known++ * width : before + row * width;
        if (!CHECK_BYTES(a.data + row * width, expected, width * sizeof *expected))
            return;
    }
}

static void compare_steps(home_model *large, home_model *small, data *on_large, data *on_small) {
    const home_tensor table = tensor_of(large, "embeddings.user.weight");
    float *before = malloc(tensor_size(&table) * sizeof *before);
    REQUIRE(before);
    memcpy(before, table.data, tensor_size(&table) * sizeof *before);
    for (int step = 0; step < STEPS; step++) {
        float *a = forward_all(large, &on_large->batch);
        float *b = forward_all(small, &on_small->batch);
        CHECK_BYTES(a, b, ROWS * 3 * sizeof *a);
        free(a);
        free(b);
        CHECK_INTEGER(home_model_backward(large, &on_large->targets, NULL, NULL), HOME_OK);
        CHECK_INTEGER(home_model_backward(small, &on_small->targets, NULL, NULL), HOME_OK);
        compare_table_gradients(large, small, "user");
        compare_table_gradients(large, small, "tag");
        CHECK_INTEGER(home_model_step(large, NULL), HOME_OK);
        CHECK_INTEGER(home_model_step(small, NULL), HOME_OK);
    }
    compare_tables(large, small, "embeddings.user.weight", before);
    free(before);
}

static void check_tables(int32_t kind) {
    setup of_large;
    setup of_small;
    data on_large;
    data on_small;
    setup_tables(&of_large, LARGE_ROWS, kind);
    setup_tables(&of_small, SMALL_ROWS, kind);
    data_create(&on_small, &of_small.config, ROWS, 3);
    data_create(&on_large, &of_small.config, ROWS, 3);
    spread_ids(&on_large, (size_t[]){ROWS, on_large.offsets[1][ROWS], on_large.offsets[2][ROWS]});
    home_model *large = make_model(&of_large);
    home_model *small = make_model(&of_small);
    randomize(small, 4);
    copy_model(large, small);
    compare_steps(large, small, &on_large, &on_small);
    home_model_release(large);
    home_model_release(small);
    data_free(&on_large);
    data_free(&on_small);
}

static void a_large_table_trains_as_a_small_one_of_the_touched_rows(void) {
    check_tables(HOME_OPTIMIZER_ROWWISE_ADAGRAD);
    check_tables(HOME_OPTIMIZER_ADAGRAD);
    check_tables(HOME_OPTIMIZER_ADAM);
}

/* ---------------------------------------------------------------------------------- checkpoints */

static void setup_large(setup *s) {
    setup_tables(s, LARGE_ROWS, HOME_OPTIMIZER_ADAM);
    s->config.dense_width = 300;
    s->layers[0].width = 270;
    s->hidden[0][0] = 290;
}

static void compare_tensors(const home_model *a, const home_model *b) {
    CHECK_INTEGER(home_model_tensor_count(a), home_model_tensor_count(b));
    size_t large = 0;
    for (size_t i = 0; i < home_model_tensor_count(a); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(a, i, &t, NULL) == HOME_OK);
        const home_tensor u = tensor_of(b, t.name);
        REQUIRE(tensor_size(&t) == tensor_size(&u));
        CHECK_BYTES(u.data, t.data, tensor_size(&t) * sizeof *t.data);
        large += tensor_size(&t) * sizeof *t.data > 4096;
    }
    CHECK(large > 10);
}

/* Through a file and back: every tensor, and the optimizer's state, by which training goes on. */
static void large_tensors_come_back_from_a_file(void) {
    setup s;
    data d;
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *loaded = NULL;
    setup_large(&s);
    data_create(&d, &s.config, ROWS, 3);
    home_model *model = make_model(&s);
    randomize(model, 4);
    train_step(model, &d);
    folder_make();
    path_of("model", path);
    CHECK_INTEGER(home_model_save(model, path, HOME_SAVE_OPTIMIZER, &error), HOME_OK);
    if (CHECK_INTEGER(home_model_load(path, NULL, &loaded, &error), HOME_OK)) {
        compare_tensors(model, loaded);
        train_step(model, &d);
        train_step(loaded, &d);
        CHECK(same_model(model, loaded));
    }
    folder_empty();
    rmdir(folder);
    home_model_release(loaded);
    home_model_release(model);
    data_free(&d);
}

/* Weights alone go to another model of the same configuration. */
static void large_tensors_are_taken_from_another_model_s_file(void) {
    setup s;
    char path[PATH_SIZE];
    home_error error = new_error();
    setup_large(&s);
    home_model *model = make_model(&s);
    randomize(model, 4);
    s.config.seed++;
    home_model *other = make_model(&s);
    folder_make();
    path_of("model", path);
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    CHECK_INTEGER(home_model_load_weights(other, path, &error), HOME_OK);
    compare_tensors(model, other);
    folder_empty();
    rmdir(folder);
    home_model_release(other);
    home_model_release(model);
}

/* Such a value cannot get into a model; but if memory is overwritten, the old file stays. */
static void a_value_that_is_not_finite_is_not_saved(void) {
    setup s;
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *loaded = NULL;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *same = make_model(&s);
    folder_make();
    path_of("model", path);
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    float *values = (float *)tensor_of(model, "towers.view.linear.0.weight").data;
    values[1] = NAN;
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_E_VALUE);
    CHECK_CONTAINS(error.message, "towers.view.linear.0.weight");
    if (CHECK_INTEGER(home_model_load(path, NULL, &loaded, &error), HOME_OK))
        CHECK(same_model(loaded, same));
    CHECK_INTEGER(files_in_folder(), 1);
    folder_empty();
    rmdir(folder);
    home_model_release(loaded);
    home_model_release(same);
    home_model_release(model);
}

/* ---------------------------------------------------------------------------------- many things */

typedef struct many {
    setup s;
    char names[MANY][8];
    home_task_config tasks[MANY];
    home_table_config tables[MANY];
    home_field_config fields[MANY];
    uint64_t ids[MANY][ROWS];
    home_ids columns[MANY];
} many;

/* A shared bottom: a tower sees no other. Every field has a table of its own. */
static many *many_of(size_t tasks, size_t fields) {
    many *m = calloc(1, sizeof *m);
    REQUIRE(m);
    setup_dense(&m->s, 2);
    for (size_t i = 0; i < MANY; i++) {
        snprintf(m->names[i], sizeof m->names[i], "n%zu", i);
        m->tasks[i] = (home_task_config){.struct_size = sizeof m->tasks[i], .name = m->names[i]};
        m->tables[i] = (home_table_config){
            .struct_size = sizeof m->tables[i], .name = m->names[i], .rows = 7, .dim = 1};
        m->fields[i] = (home_field_config){.struct_size = sizeof m->fields[i], .name = m->names[i]};
        for (size_t r = 0; r < ROWS; r++)
            m->ids[i][r] = (i + 3 * r) % 7;
        m->columns[i] = (home_ids){.struct_size = sizeof m->columns[i], .ids = m->ids[i]};
    }
    m->s.config.preset = HOME_PRESET_SHARED_BOTTOM;
    m->s.config.tasks = m->tasks;
    m->s.config.task_count = tasks;
    m->s.config.tables = m->tables;
    m->s.config.table_count = fields;
    m->s.config.fields = m->fields;
    m->s.config.field_count = fields;
    m->s.config.layer_count = 1;
    m->s.layers[0].width = 3;
    m->s.layers[0].shared_experts = 1;
    m->s.layers[0].group_experts = 0;
    return m;
}

static home_batch batch_of(const many *m, const float *dense) {
    return (home_batch){.struct_size = sizeof(home_batch),
                        .rows = ROWS,
                        .dense = dense,
                        .fields = m->s.config.field_count ? m->columns : NULL,
                        .field_count = m->s.config.field_count};
}

static float *random_dense(size_t columns) {
    uint64_t seed = 5;
    float *dense = malloc(ROWS * columns * sizeof *dense);
    REQUIRE(dense);
    for (size_t i = 0; i < ROWS * columns; i++)
        dense[i] = (float)random_between(&seed, -1, 1);
    return dense;
}

static void compare_tasks(int32_t preset) {
    many *m = many_of(MANY, 1);
    many *one = many_of(1, 1);
    m->s.config.preset = one->s.config.preset = preset;
    m->s.layers[0].feature_gates = one->s.layers[0].feature_gates = HOME_ON;
    m->s.layers[0].feature_rank = one->s.layers[0].feature_rank = 1;
    float *dense = random_dense(2);
    const home_batch batch = batch_of(m, dense);
    home_model *model = make_model(&m->s);
    randomize(model, 6);
    float *all = predict_all(model, &batch);
    for (size_t t = 0; t < MANY; t += 23) {
        one->tasks[0].name = m->names[t];
        home_model *alone = make_model(&one->s);
        copy_tensors(alone, model);
        float *expected = predict_all(alone, &batch);
        for (size_t r = 0; r < ROWS; r++)
            CHECK_BYTES(&all[r * MANY + t], &expected[r], sizeof *all);
        free(expected);
        home_model_release(alone);
    }
    free(all);
    home_model_release(model);
    free(dense);
    free(one);
    free(m);
}

static void a_task_among_hundreds_predicts_as_it_does_alone(void) {
    compare_tasks(HOME_PRESET_SHARED_BOTTOM);
    compare_tasks(HOME_PRESET_MMOE);
    compare_tasks(HOME_PRESET_CGC);
}

/* A table with one column whose rows are looked up is a column of dense values. */
static void hundreds_of_fields_are_as_many_columns(void) {
    many *m = many_of(2, MANY);
    many *plain = many_of(2, 0);
    plain->s.config.dense_width = 2 + MANY;
    float *dense = random_dense(2);
    float *wide = random_dense(2 + MANY);
    home_model *model = make_model(&m->s);
    home_model *other = make_model(&plain->s);
    randomize(model, 6);
    copy_tensors(other, model);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < 2 + MANY; i++) {
            char name[40];
            snprintf(name, sizeof name, "embeddings.n%zu.weight", i < 2 ? 0 : i - 2);
            wide[r * (2 + MANY) + i] =
                i < 2 ? dense[r * 2 + i] : tensor_of(model, name).data[m->ids[i - 2][r]];
        }
    const home_batch batch = batch_of(m, dense);
    const home_batch flat = batch_of(plain, wide);
    float *actual = predict_all(model, &batch);
    float *expected = predict_all(other, &flat);
    CHECK_BYTES(actual, expected, ROWS * 2 * sizeof *actual);
    free(expected);
    free(actual);
    home_model_release(other);
    home_model_release(model);
    free(wide);
    free(dense);
    free(plain);
    free(m);
}

/* A model of hundreds of everything, through a checkpoint and an image. */
static void hundreds_of_everything_come_back(void) {
    many *m = many_of(MANY, MANY);
    float *dense = random_dense(2);
    const home_batch batch = batch_of(m, dense);
    home_error error = new_error();
    home_model *model = make_model(&m->s);
    randomize(model, 6);
    for (size_t i = 0; i < MANY; i++)
        CHECK_INTEGER(home_model_set_metadata(model, m->names[i], m->names[MANY - 1 - i], &error),
                      HOME_OK);
    size_t length = 0;
    unsigned char *bytes = model_bytes(model, 0, &length);
    home_model *loaded = NULL;
    home_model *frozen = NULL;
    REQUIRE(home_model_load_memory(bytes, length, NULL, &loaded, &error) == HOME_OK);
    REQUIRE(home_model_freeze(loaded, &frozen, &error) == HOME_OK);
    float *before = predict_all(model, &batch);
    float *after = predict_all(loaded, &batch);
    float *served = predict_all(frozen, &batch);
    CHECK_BYTES(after, before, ROWS * MANY * sizeof *after);
    for (size_t i = 0; i < ROWS * MANY; i++)
        CHECK_NEAR((double)served[i], (double)before[i], 1e-5);
    for (size_t i = 0; i < MANY; i++) {
        CHECK(strcmp(home_model_task_name(frozen, i), m->names[i]) == 0);
        CHECK(strcmp(home_model_field_name(frozen, i), m->names[i]) == 0);
        CHECK(strcmp(home_model_metadata(frozen, m->names[i]), m->names[MANY - 1 - i]) == 0);
    }
    size_t size = 0;
    size_t needed = 0;
    home_model *opened = NULL;
    REQUIRE(home_image_write(frozen, NULL, NULL, 0, &size, &error) == HOME_OK);
    unsigned char *image = aligned_alloc(64, size);
    REQUIRE(image && home_image_write(frozen, NULL, image, size, &size, &error) == HOME_OK);
    REQUIRE(home_image_model_size(image, size, &needed, &error) == HOME_OK);
    void *memory = malloc(needed);
    REQUIRE(home_image_open(image, size, memory, needed, &opened, &error) == HOME_OK);
    home_workspace *workspace = NULL;
    const size_t scratch_size = home_workspace_size(opened);
    void *scratch = malloc(scratch_size);
    REQUIRE(home_workspace_init(opened, scratch, scratch_size, &workspace, &error) == HOME_OK);
    CHECK_INTEGER(home_model_predict(opened, &batch, after, 0, workspace, &error), HOME_OK);
    CHECK_BYTES(after, served, ROWS * MANY * sizeof *after);
    CHECK(strcmp(home_model_metadata(opened, "n299"), "n0") == 0);
    free(scratch);
    free(memory);
    free(image);
    free(served);
    free(after);
    free(before);
    free(bytes);
    home_model_release(frozen);
    home_model_release(loaded);
    home_model_release(model);
    free(dense);
    free(m);
}

/* The largest weights make the smallest value in place of a zero visible. */
static void no_ids_give_exact_zeros(void) {
    many *m = many_of(1, 1);
    static const size_t offsets[ROWS + 1];
    float *dense = calloc(2 * ROWS, sizeof *dense);
    REQUIRE(dense);
    m->s.layers[0].hidden_count = 0;
    home_model *model = make_model(&m->s);
    const home_batch batch = batch_of(m, dense);
    m->columns[0].offsets = offsets;
    float *expected = predict_all(model, &batch);
    size_t changed = 0;
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        if (!strstr(t.name, "experts") || t.shape[1] == 1)
            continue;
        float huge[3 * 3];
        REQUIRE(tensor_size(&t) == sizeof huge / sizeof *huge);
        for (size_t k = 0; k < sizeof huge / sizeof *huge; k++)
            huge[k] = 3e38f;
        CHECK_INTEGER(home_model_set_tensor(model, t.name, huge, tensor_size(&t), NULL), HOME_OK);
        changed++;
    }
    CHECK_INTEGER(changed, 1);
    float *actual = predict_all(model, &batch);
    CHECK_BYTES(actual, expected, ROWS * sizeof *actual);
    free(actual);
    free(expected);
    home_model_release(model);
    free(dense);
    free(m);
}

/* -------------------------------------------------------------------------------------- scratch */

/* All steps share the scratch of the one that needs most. With narrow panels, few inputs and few
 * rows that is a batch norm: the address sanitizer sees it if that takes more than it says. And the
 * gradients are those by the widest panels, where a product needs most. */
static void norms_have_scratch_enough_where_they_need_most(void) {
    setup s;
    data d;
    setup_dense(&s, 5);
    s.layers[0].hidden_count = s.layers[1].hidden_count = 0;
    s.layers[0].width = 40;
    s.layers[1].feature_gates = HOME_OFF;
    data_create(&d, &s.config, 5, 3);
    home_model *wide = make_model(&s);
    s.config.isa = "portable";
    home_model *narrow = make_model(&s);
    randomize(wide, 4);
    copy_tensors(narrow, wide);
    for (int i = 0; i < 2; i++) {
        free(forward_all(i ? narrow : wide, &d.batch));
        CHECK_INTEGER(home_model_backward(i ? narrow : wide, &d.targets, NULL, NULL), HOME_OK);
    }
    size_t count = 0;
    const float *a = gradients_of(narrow, &count);
    const float *b = gradients_of(wide, &count);
    for (size_t i = 0; i < count; i++)
        CHECK_NEAR((double)a[i], (double)b[i], 1e-4 * (1 + fabs((double)b[i])));
    home_model_release(narrow);
    home_model_release(wide);
    data_free(&d);
}

/* --------------------------------------------------------------------------------------- counts */

/* One expert [dense -> 6 -> 4] and towers [4 -> 5 -> 1]: each weight once a row. Bias and batch
 * norm are parameters, but no products. */
static void multiply_adds_and_parameters_are_counted_exactly(void) {
    const uint64_t tasks = 3;
    setup s;
    setup_dense(&s, 20);
    s.config.preset = HOME_PRESET_SHARED_BOTTOM;
    s.config.layer_count = 1;
    s.config.expert_norm = HOME_NORM_BATCH;
    s.layers[0].shared_experts = 1;
    s.layers[0].group_experts = 0;
    home_error error = new_error();
    home_model *frozen = NULL;
    home_model *model = make_model(&s);
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    const uint64_t macs = UINT64_C(20) * 6 + UINT64_C(6) * 4 + tasks * (4 * 5 + 5 * 1);
    const uint64_t biases = 6 + tasks * (5 + 1);
    CHECK_INTEGER(home_model_macs_per_row(model), macs);
    CHECK_INTEGER(home_model_macs_per_row(frozen), macs);
    CHECK_INTEGER(home_model_parameter_count(model), macs + biases + 8);
    CHECK_INTEGER(home_model_parameter_count(frozen), macs + biases + 4);
    home_model_release(frozen);
    home_model_release(model);
}

int main(void) {
    RUN(a_large_table_trains_as_a_small_one_of_the_touched_rows);
    RUN(large_tensors_come_back_from_a_file);
    RUN(large_tensors_are_taken_from_another_model_s_file);
    RUN(a_value_that_is_not_finite_is_not_saved);
    RUN(a_task_among_hundreds_predicts_as_it_does_alone);
    RUN(hundreds_of_fields_are_as_many_columns);
    RUN(hundreds_of_everything_come_back);
    RUN(no_ids_give_exact_zeros);
    RUN(norms_have_scratch_enough_where_they_need_most);
    RUN(multiply_adds_and_parameters_are_counted_exactly);
    return test_summary();
}
