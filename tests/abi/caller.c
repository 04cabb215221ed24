/* A host's program that calls every function of version 0.2 and prints what came of it. It is built
 * on the header of that version and runs with every library that has its SONAME, with the same
 * output. As an argument it takes the name of a file that it may write. */
#include <home/home.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 16, DENSE = 3, TASKS = 2, VALUES = ROWS * TASKS, STEPS = 5 };

static home_error error = {.struct_size = sizeof error};

static void expect(home_status status, const char *what) {
    if (status == HOME_OK)
        return;
    printf("%s: %s (%s)\n", what, error.message, home_status_string(status));
    exit(1);
}

/* FNV-1a. */
static void print_hash(const char *what, const void *bytes, size_t size) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    printf("%s: %zu bytes, %016llx\n", what, size, (unsigned long long)hash);
}

static void *take(void *user, size_t bytes) {
    ++*(size_t *)user;
    return malloc(bytes);
}

static void give(void *user, void *memory) {
    --*(size_t *)user;
    free(memory);
}

static int32_t run_inline(void *user, size_t count, void (*task)(void *context, size_t index),
                          void *context) {
    (void)user;
    for (size_t i = 0; i < count; i++)
        task(context, i);
    return 0;
}

typedef struct rows {
    float dense[ROWS * DENSE];
    uint64_t users[ROWS];
    uint64_t tags[2 * ROWS];
    size_t offsets[ROWS + 1];
    home_ids fields[2];
    float labels[VALUES];
    float row_weights[ROWS];
    float weights[VALUES];
    home_batch batch;
    home_targets targets;
} rows;

static void make_rows(rows *r) {
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < DENSE; j++)
            r->dense[i * DENSE + j] = (float)((i * 7 + j * 5) % 11) / 11;
        r->users[i] = i % 5;
        r->offsets[i + 1] = r->offsets[i] + i % 3;
        for (size_t j = r->offsets[i]; j < r->offsets[i + 1]; j++)
            r->tags[j] = 1000000007u * j;
        for (size_t t = 0; t < TASKS; t++) {
            r->labels[i * TASKS + t] = (float)((i + t) % 2);
            r->weights[i * TASKS + t] = 1;
        }
        r->row_weights[i] = (float)(1 + i % 2);
    }
    r->fields[0].struct_size = sizeof r->fields[0];
    r->fields[0].ids = r->users;
    r->fields[1].struct_size = sizeof r->fields[1];
    r->fields[1].ids = r->tags;
    r->fields[1].count = r->offsets[ROWS];
    r->fields[1].offsets = r->offsets;
    r->batch.struct_size = sizeof r->batch;
    r->batch.rows = ROWS;
    r->batch.dense = r->dense;
    r->batch.fields = r->fields;
    r->batch.field_count = 2;
    r->targets.struct_size = sizeof r->targets;
    r->targets.labels = r->labels;
    r->targets.row_weights = r->row_weights;
    r->targets.weights = r->weights;
}

static home_model *make_model(const home_allocator *allocator) {
    static const size_t hidden[] = {6};
    const home_optimizer_config optimizer = {
        .struct_size = sizeof optimizer, .kind = HOME_OPTIMIZER_ADAM, .learning_rate = 0.01};
    const home_table_config tables[] = {
        {.struct_size = sizeof *tables, .name = "user", .rows = 5, .dim = 2},
        {.struct_size = sizeof *tables,
         .name = "tag",
         .rows = 7,
         .dim = 2,
         .index = HOME_INDEX_HASHED}};
    const home_field_config fields[] = {
        {.struct_size = sizeof *fields, .name = "user"},
        {.struct_size = sizeof *fields, .name = "tags", .table = "tag", .pooling = HOME_POOL_MEAN}};
    const home_task_config tasks[] = {
        {.struct_size = sizeof *tasks, .name = "like", .group = "act", .weight = 2},
        {.struct_size = sizeof *tasks, .name = "finish", .group = "watch", .base_rate = 0.25}};
    const home_layer_config layers[] = {
        {.struct_size = sizeof *layers, .width = 6, .hidden = hidden, .hidden_count = 1},
        {.struct_size = sizeof *layers, .width = 4, .task_experts = 2}};
    const home_config config = {.struct_size = sizeof config,
                                .seed = 3,
                                .dense_width = DENSE,
                                .tables = tables,
                                .table_count = 2,
                                .fields = fields,
                                .field_count = 2,
                                .tasks = tasks,
                                .task_count = TASKS,
                                .layers = layers,
                                .layer_count = 2,
                                .tower_hidden = hidden,
                                .tower_hidden_count = 1,
                                .optimizer = &optimizer,
                                .allocator = allocator};
    home_model *model = NULL;
    expect(home_model_create(&config, &model, &error), "create");
    return model;
}

/* A custom layout, for the two structs that only it has. */
static void make_custom(void) {
    static const char *const seen[] = {"one", "two"};
    const home_task_config tasks[] = {{.struct_size = sizeof *tasks, .name = "like"}};
    const home_unit_config units[] = {{.struct_size = sizeof *units, .name = "one", .experts = 2},
                                      {.struct_size = sizeof *units, .name = "two"}};
    const home_node_config nodes[] = {{.struct_size = sizeof *nodes,
                                       .name = "like",
                                       .sees = seen,
                                       .sees_count = 2,
                                       .self = "two"}};
    const home_layer_config layers[] = {{.struct_size = sizeof *layers,
                                         .width = 4,
                                         .units = units,
                                         .unit_count = 2,
                                         .nodes = nodes,
                                         .node_count = 1}};
    const home_config config = {.struct_size = sizeof config,
                                .preset = HOME_PRESET_CUSTOM,
                                .dense_width = DENSE,
                                .tasks = tasks,
                                .task_count = 1,
                                .layers = layers,
                                .layer_count = 1};
    home_model *model = NULL;
    expect(home_model_create(&config, &model, &error), "create custom");
    printf("custom: %zu tensors\n", home_model_tensor_count(model));
    home_model_release(model);
}

/* One mistake, told as JSON and as a struct. */
static int32_t print_mistake(void *user, const char *where, const home_error *found) {
    (void)user;
    printf("%d at \"%s\": %s\n", (int)found->status, where, found->message);
    return 0;
}

static void check_configurations(void) {
    static const char json[] = "{\"dense\": 2, \"tasks\": [{\"name\": \"like\"}], \"layers\": []}";
    const home_create_options options = {.struct_size = sizeof options, .memory_limit = 1000000};
    if (home_config_check_json(json, sizeof json - 1, &options, print_mistake, NULL, &error) !=
        HOME_E_CONFIG)
        exit(1);
    const home_config config = {.struct_size = sizeof config, .dense_width = DENSE};
    if (home_config_check(&config, print_mistake, NULL, &error) != HOME_E_CONFIG)
        exit(1);
}

static void train(home_model *model, const rows *r) {
    float losses[TASKS];
    float dlogits[VALUES];
    for (size_t i = 0; i < VALUES; i++)
        dlogits[i] = 0.01f * (float)i;
    const home_parallel parallel = {
        .struct_size = sizeof parallel, .threads = 2, .run = run_inline};
    expect(home_model_set_parallel(model, &parallel, &error), "parallel");
    expect(home_model_set_learning_rate(model, 0.02, &error), "learning rate");
    expect(home_model_set_embedding_learning_rate(model, 0.03, &error), "embedding learning rate");
    for (int step = 0; step < STEPS; step++) {
        expect(home_model_forward(model, &r->batch, NULL, 0, &error), "forward");
        if (step + 1 < STEPS)
            expect(home_model_backward(model, &r->targets, losses, &error), "backward");
        else
            expect(home_model_backward_from(model, dlogits, 0, 0, &error), "backward from");
        expect(home_model_step(model, &error), "step");
    }
    printf("steps: %llu\n", (unsigned long long)home_model_step_count(model));
    print_hash("losses", losses, sizeof losses);
    expect(home_model_set_threads(model, 2, &error), "threads");
    expect(home_model_set_parallel(model, NULL, &error), "no threads");
}

/* The rows with one user each and no tags, as plain arguments. */
static void print_flat(home_model *model, const rows *r) {
    float predictions[VALUES];
    size_t offsets[2 * (size_t)ROWS + 1];
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        offsets[i] = i < ROWS ? i : ROWS;
    expect(home_model_predict_flat(model, ROWS, r->dense, 0, r->users, ROWS, offsets, NULL,
                                   predictions, 0, NULL, 0, NULL, &error),
           "predict flat");
    print_hash("flat", predictions, sizeof predictions);
    expect(home_model_forward_flat(model, ROWS, r->dense, 0, r->users, ROWS, offsets, NULL,
                                   predictions, 0, &error),
           "forward flat");
    print_hash("flat forward", predictions, sizeof predictions);
}

static void print_gradients(home_model *model, const rows *r) {
    expect(home_model_forward(model, &r->batch, NULL, 0, &error), "forward");
    const size_t count = (size_t)home_model_parameter_count(model);
    float loss;
    float *own = malloc(count * sizeof *own);
    if (!own)
        exit(1);
    expect(home_model_task_gradient(model, &r->targets, 1, own, count, &loss, &error),
           "task gradient");
    print_hash("task gradient", own, count * sizeof *own);
    free(own);
    expect(home_model_backward(model, &r->targets, NULL, &error), "backward");
    home_gradient all = {.struct_size = sizeof all};
    expect(home_model_gradient(model, &all, &error), "gradient");
    print_hash("gradients", all.data, all.width * sizeof *all.data);
    printf("norm: %.9g\n", home_model_gradient_norm(model));
    home_gradient input = {.struct_size = sizeof input};
    expect(home_model_input_gradient(model, &input, &error), "input gradient");
    printf("input gradient: %.9g, stride %zu\n", (double)input.data[0], input.stride);
    home_gradient rows_of = {.struct_size = sizeof rows_of};
    expect(home_model_table_gradient(model, home_model_table_index(model, "tag"), &rows_of, &error),
           "table gradient");
    print_hash("table rows", rows_of.ids, rows_of.rows * sizeof *rows_of.ids);
    print_hash("table gradient", rows_of.data, rows_of.rows * rows_of.width * sizeof *rows_of.data);
}

/* What a host may change while it trains, and gradients of its own. */
static void tune(home_model *model, const rows *r) {
    const size_t task = home_model_task_index(model, "finish");
    expect(home_model_set_task_weight(model, task, 0.5, &error), "task weight");
    expect(home_model_set_norm_momentum(model, 0.25, &error), "norm momentum");
    expect(home_model_set_trained(model, "towers.*", HOME_OFF, &error), "trained");
    printf("rates %g, %g; weight %g; momentum %g\n", home_model_learning_rate(model),
           home_model_embedding_learning_rate(model), home_model_task_weight(model, task),
           home_model_norm_momentum(model));
    float logits[VALUES];
    expect(home_model_forward(model, &r->batch, NULL, 0, &error), "forward");
    expect(home_model_logits(model, logits, 0, &error), "logits");
    print_hash("logits of the forward", logits, sizeof logits);
    home_targets part = r->targets;
    part.accumulate = HOME_ON;
    expect(home_model_backward(model, &part, NULL, &error), "backward of a part");
    const size_t count = (size_t)home_model_parameter_count(model);
    float *gradient = calloc(count, sizeof *gradient);
    if (!gradient)
        exit(1);
    expect(home_model_set_gradient(model, gradient, count, &error), "set gradient");
    free(gradient);
    static const uint64_t ids[] = {3, 1};
    static const float values[] = {1, 2, 3, 4};
    expect(home_model_set_table_gradient(model, 0, ids, 2, values, 0, &error),
           "set table gradient");
    expect(home_model_step(model, &error), "step");
}

static void print_tensors(home_model *model) {
    home_tensor tensor = {.struct_size = sizeof tensor};
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        expect(home_model_tensor_at(model, i, &tensor, &error), "tensor");
        printf("%s %d %d %zu: ", tensor.name, (int)tensor.kind, (int)tensor.rank,
               tensor.gradient_offset);
        print_hash("values", tensor.data,
                   (size_t)(tensor.shape[0] * tensor.shape[1]) * sizeof *tensor.data);
    }
    char name[200];
    static const float zeros[64];
    snprintf(name, sizeof name, "%s", tensor.name);
    const size_t size = (size_t)(tensor.shape[0] * tensor.shape[1]);
    if (size > sizeof zeros / sizeof *zeros)
        exit(1);
    expect(home_model_set_tensor(model, name, zeros, size, &error), "set tensor");
    expect(home_model_tensor(model, name, &tensor, &error), "tensor by name");
    printf("%s is now %g\n", tensor.name, (double)tensor.data[0]);
}

static void print_model(const home_model *model) {
    printf("%s\n%s\n", home_model_config_json(model), home_model_topology_json(model));
    printf("%zu dense; fields", home_model_dense_width(model));
    for (size_t i = 0; i < home_model_field_count(model); i++)
        printf(" %s", home_model_field_name(model, i));
    printf("; tasks");
    for (size_t i = 0; i < home_model_task_count(model); i++)
        printf(" %s", home_model_task_name(model, i));
    printf("; tables");
    for (size_t i = 0; i < home_model_table_count(model); i++)
        printf(" %s", home_model_table_name(model, i));
    for (size_t l = 0; l < home_model_layer_count(model); l++) {
        printf("; units of layer %zu", l);
        for (size_t u = 0; u < home_model_unit_count(model, l); u++)
            printf(" %s", home_model_unit_name(model, l, u));
    }
    printf("; \"tags\" is field %zu, \"act\" unit %zu", home_model_field_index(model, "tags"),
           home_model_unit_index(model, 0, "act"));
    if (home_model_dense_name(model, 0) || home_model_bytes(model) == 0 ||
        home_model_block_rows(model) == 0)
        exit(1);
    static const char *const tasks[] = {"like", "finish"};
    const home_names names = {.struct_size = sizeof names, .tasks = tasks, .task_count = TASKS};
    expect(home_model_check_names(model, &names, &error), "names");
    printf("; %llu parameters, %llu multiply-adds\n",
           (unsigned long long)home_model_parameter_count(model),
           (unsigned long long)home_model_macs_per_row(model));
}

static void print_predictions(const home_model *model, const home_batch *batch,
                              float *predictions) {
    const size_t size = home_workspace_size(model);
    void *memory = malloc(size);
    home_workspace *workspace = NULL;
    if (!memory)
        exit(1);
    expect(home_workspace_init(model, memory, size, &workspace, &error), "workspace");
    if (!home_workspace_fits(workspace, model))
        exit(1);
    expect(home_model_predict(model, batch, predictions, 0, workspace, &error), "predict");
    print_hash(home_model_is_frozen(model) ? "frozen" : "predictions", predictions,
               VALUES * sizeof *predictions);
    float logits[VALUES];
    expect(home_model_predict_logits(model, batch, NULL, 0, logits, 0, workspace, &error),
           "logits");
    print_hash("logits", logits, sizeof logits);
    if (!home_model_isa(model))
        exit(1);
    free(memory);
}

static void print_checkpoint(const home_checkpoint *checkpoint) {
    printf("checkpoint: %s\n", home_checkpoint_config_json(checkpoint));
    printf("origin %s, %llu steps, optimizer %d\n", home_checkpoint_metadata(checkpoint, "origin"),
           (unsigned long long)home_checkpoint_step_count(checkpoint),
           (int)home_checkpoint_has_optimizer(checkpoint));
    for (size_t i = 0; i < home_checkpoint_metadata_count(checkpoint); i++)
        printf("%s: %zu\n", home_checkpoint_metadata_key(checkpoint, i),
               strlen(home_checkpoint_metadata_text(checkpoint, i)));
    home_stored_tensor tensor = {.struct_size = sizeof tensor};
    for (size_t i = 0; i < home_checkpoint_tensor_count(checkpoint); i++) {
        expect(home_checkpoint_tensor_at(checkpoint, i, &tensor, &error), "stored tensor");
        expect(home_checkpoint_tensor(checkpoint, tensor.name, &tensor, &error), "by name");
        printf("%s ", tensor.name);
    }
    printf("%llu bytes\n", (unsigned long long)home_checkpoint_bytes(checkpoint));
}

static void print_headers(const char *path, const void *bytes, size_t size) {
    home_checkpoint *checkpoint;
    expect(home_checkpoint_open(path, NULL, &checkpoint, &error), "open checkpoint");
    print_checkpoint(checkpoint);
    home_checkpoint_destroy(checkpoint);
    expect(home_checkpoint_open_memory(bytes, size, NULL, &checkpoint, &error), "open in memory");
    print_checkpoint(checkpoint);
    home_checkpoint_destroy(checkpoint);
}

static void check_file(home_model *model, const home_batch *batch, const char *path) {
    float predictions[VALUES];
    home_model *loaded = NULL;
    expect(home_model_set_metadata(model, "origin", "caller", &error), "metadata");
    expect(home_model_save(model, path, HOME_SAVE_OPTIMIZER, &error), "save");
    expect(home_model_load(path, NULL, &loaded, &error), "load");
    expect(home_model_load_weights(loaded, path, &error), "load weights");
    printf("origin: %s\n", home_model_metadata(loaded, "origin"));
    print_predictions(loaded, batch, predictions);
    home_model_release(loaded);

    size_t length;
    expect(home_model_serialize(model, 0, NULL, 0, &length, &error), "size");
    void *bytes = malloc(length);
    if (!bytes)
        exit(1);
    expect(home_model_serialize(model, 0, bytes, length, &length, &error), "serialize");
    print_headers(path, bytes, length);
    const home_load_options options = {.struct_size = sizeof options, .frozen = HOME_ON};
    expect(home_model_load_memory(bytes, length, &options, &loaded, &error), "load from memory");
    free(bytes);
    print_predictions(loaded, batch, predictions);
    home_model_release(loaded);
}

static void print_metrics(const rows *r, const float *predictions) {
    home_metrics *first = NULL;
    home_metrics *second = NULL;
    home_metric_result result = {.struct_size = sizeof result};
    const home_metrics_options options = {.struct_size = sizeof options, .tasks = TASKS};
    const home_metrics_rows added = {.struct_size = sizeof added,
                                     .rows = ROWS,
                                     .predictions = predictions,
                                     .labels = r->labels,
                                     .users = r->users};
    expect(home_metrics_create(&options, &first, &error), "metrics");
    expect(home_metrics_create(&options, &second, &error), "metrics");
    expect(home_metrics_add(first, &added, &error), "add");
    expect(home_metrics_merge(second, first, &error), "merge");
    home_metrics_reset(second);
    size_t length;
    expect(home_metrics_serialize(first, NULL, 0, &length, &error), "size of metrics");
    void *bytes = malloc(length);
    if (!bytes)
        exit(1);
    expect(home_metrics_serialize(first, bytes, length, &length, &error), "bytes of metrics");
    expect(home_metrics_merge_bytes(second, bytes, length, &error), "merge bytes");
    free(bytes);
    expect(home_metrics_result(second, 0, &result, &error), "result");
    printf("metrics: %llu rows, %llu positives, auc %.9g, gauc %.9g over %llu users and %llu rows, "
           "log loss "
           "%.9g, "
           "calibration %.9g\n",
           (unsigned long long)result.rows, (unsigned long long)result.positives, result.auc,
           result.gauc, (unsigned long long)result.gauc_users, (unsigned long long)result.gauc_rows,
           result.log_loss, result.calibration);
    home_metrics_destroy(first);
    home_metrics_destroy(second);
}

/* A frozen model where its bytes lie, as on a device. */
static void print_image(const home_model *frozen, const home_batch *batch) {
    const home_image_options options = {.struct_size = sizeof options, .block_rows = 4};
    float predictions[VALUES];
    size_t length;
    size_t needed;
    home_model *opened = NULL;
    expect(home_image_write(frozen, &options, NULL, 0, &length, &error), "size of the image");
    void *image = aligned_alloc(64, (length + 63) / 64 * 64);
    if (!image)
        exit(1);
    expect(home_image_write(frozen, &options, image, length, &length, &error), "write the image");
    expect(home_image_model_size(image, length, &needed, &error), "size of its model");
    void *memory = malloc(needed);
    if (!memory)
        exit(1);
    expect(home_image_open(image, length, memory, needed, &opened, &error), "open the image");
    print_predictions(opened, batch, predictions);
    home_model_release(opened);
    free(memory);
    free(image);
}

static void print_health(home_model *model, const rows *r) {
    home_health *health = NULL;
    home_health *all = NULL;
    home_expert_health expert = {.struct_size = sizeof expert};
    home_node_health node = {.struct_size = sizeof node};
    uint64_t counts[HOME_HEALTH_BINS];
    double norm;
    expect(home_health_create(model, NULL, &health, &error), "health");
    expect(home_health_create(model, NULL, &all, &error), "health");
    expect(home_health_add(health, model, &r->batch, &error), "add health");
    expect(home_health_merge(all, health, &error), "merge health");
    home_health_reset(all);
    size_t length;
    expect(home_health_serialize(health, NULL, 0, &length, &error), "size of health");
    void *bytes = malloc(length);
    if (!bytes)
        exit(1);
    expect(home_health_serialize(health, bytes, length, &length, &error), "bytes of health");
    expect(home_health_merge_bytes(all, bytes, length, &error), "merge bytes of health");
    free(bytes);
    expect(home_health_expert(all, 1, &expert, &error), "expert");
    expect(home_health_node(all, 1, &node, &error), "node");
    expect(home_health_histogram(all, 1, counts, &error), "histogram");
    expect(home_model_unit_gradient_norm(model, 0, 0, NULL, 0, &norm, &error), "unit's gradient");
    printf("health: %llu rows, %zu experts, %zu nodes, unit %s, mean %.6g, deviation %.6g, mass "
           "%.6g; node %s, "
           "entropy %.6g; weights %.6g, %.6g; distance %.6g; edge %.6g; gradient %.6g\n",
           (unsigned long long)home_health_rows(all), home_health_expert_count(all),
           home_health_node_count(all), expert.unit, expert.mean, expert.deviation, expert.mass,
           node.node, node.entropy, home_health_gate_weight(all, 0, 0),
           home_health_self_weight(all, 0, 0), home_health_distance(all, 0, 1),
           home_health_bin_edge(40), norm);
    print_hash("histogram", counts, sizeof counts);
    home_health_destroy(all);
    home_health_destroy(health);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    size_t live = 0;
    const home_allocator allocator = {
        .struct_size = sizeof allocator, .user = &live, .allocate = take, .release = give};
    static rows r;
    make_rows(&r);
    if (home_version() < 1000 || home_version_string()[0] == 0)
        return 1;
    printf("row of 12345: %llu\n", (unsigned long long)home_hash_id(12345, 1000));
    if (home_model_create_json("{", 1, NULL, &(home_model *){NULL}, &error) != HOME_E_JSON)
        return 1;
    printf("%d: %s\n", (int)error.status, error.message);

    check_configurations();
    home_model *model = make_model(&allocator);
    print_model(model);
    train(model, &r);
    print_gradients(model, &r);
    tune(model, &r);
    print_health(model, &r);
    print_tensors(model);
    check_file(model, &r.batch, argv[1]);
    print_flat(model, &r);
    home_model *frozen = NULL;
    float predictions[VALUES];
    expect(home_model_freeze(model, &frozen, &error), "freeze");
    print_predictions(frozen, &r.batch, predictions);
    print_image(frozen, &r.batch);
    print_metrics(&r, predictions);
    home_model_release(home_model_retain(frozen));
    home_model_release(frozen);
    home_model_release(model);
    make_custom();
    printf("%zu blocks left\n", live);
    return live != 0;
}
