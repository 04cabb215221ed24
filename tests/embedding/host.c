/* The host's side, for test_embedding.sh:
 *
 *     host train FOLDER      trains, saves FOLDER/model, writes its images FOLDER/image.PANEL, and
 *                            prints predictions
 *     host predict FOLDER    prints what a frozen copy of FOLDER/model predicts
 *     host plain FOLDER      makes a model for the example of docs/embedding.md and saves it as
 *                            FOLDER/model
 *     host row FOLDER        prints what FOLDER/model.safetensors predicts for the example's row
 *     host isa               prints the instruction set that models compute with */
#include "rows.h"

#include <stdbool.h>
#include <stdlib.h>

static home_error error = {.struct_size = sizeof error};

static void must(home_status status, const char *what) {
    if (status == HOME_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, error.message);
    exit(1);
}

/* The library reads no environment: this program caps the instruction set by HOME_ISA itself. */
static const home_create_options *create_options(void) {
    static home_create_options options = {.struct_size = sizeof options};
    options.isa = getenv("HOME_ISA");
    return &options;
}

static const home_load_options *load_options(void) {
    static home_load_options options = {.struct_size = sizeof options};
    options.isa = getenv("HOME_ISA");
    return &options;
}

static void train(const char *path, const row_data *rows) {
    home_model *model = NULL;
    const home_targets targets = {.struct_size = sizeof targets, .labels = rows->labels[0]};
    must(home_model_create_json(config, sizeof config - 1, create_options(), &model, &error),
         "create");
    for (int step = 0; step < 30; step++) {
        must(home_model_forward(model, &rows->batch, NULL, 0, &error), "forward");
        must(home_model_backward(model, &targets, NULL, &error), "backward");
        must(home_model_step(model, &error), "step");
    }
    must(home_model_save(model, path, 0, &error), "save");
    home_model_release(model);
}

static void write_image(const home_model *frozen, const char *folder, size_t panel) {
    const home_image_options options = {sizeof options, panel, 24};
    size_t length = 0;
    must(home_image_write(frozen, &options, NULL, 0, &length, &error), "size of the image");
    void *image = malloc(length);
    must(home_image_write(frozen, &options, image, length, &length, &error), "image");
    char path[300];
    snprintf(path, sizeof path, "%s/image.%zu", folder, panel);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(image, 1, length, file) != length || fclose(file) != 0)
        exit(1);
    free(image);
}

static void make_plain(const char *path) {
    static const char plain[] =
        "{\"dense\": 4, \"layers\": [{\"width\": 16}, {\"width\": 8}], \"tasks\": ["
        "{\"name\": \"like\"}, {\"name\": \"finish\"}, {\"name\": \"share\"}]}";
    home_model *model = NULL;
    must(home_model_create_json(plain, sizeof plain - 1, NULL, &model, &error), "create");
    must(home_model_save(model, path, 0, &error), "save");
    home_model_release(model);
}

static void print_row(const char *path) {
    const float input[] = {0.9f, 0.8f, 0.2f, 0.1f};
    const home_batch batch = {.struct_size = sizeof batch, .rows = 1, .dense = input};
    float predictions[3];
    home_model *model = NULL;
    must(home_model_load(path, load_options(), &model, &error), "load");
    must(home_model_predict(model, &batch, predictions, 0, NULL, &error), "predict");
    for (size_t t = 0; t < 3; t++)
        printf("%s %.4f\n", home_model_task_name(model, t), (double)predictions[t]);
    home_model_release(model);
}

static void print_isa(void) {
    home_model *model = NULL;
    must(home_model_create_json(config, sizeof config - 1, create_options(), &model, &error),
         "create");
    puts(home_model_isa(model));
    home_model_release(model);
}

static void train_or_predict(bool training, const char *folder, const char *path) {
    static row_data rows;
    static float predictions[ROWS * TASKS];
    fill_rows(&rows);
    if (training)
        train(path, &rows);
    home_model *model = NULL;
    home_model *frozen = NULL;
    must(home_model_load(path, load_options(), &model, &error), "load");
    must(home_model_freeze(model, &frozen, &error), "freeze");
    if (training)
        for (size_t panel = 8; panel <= 32; panel *= 2)
            write_image(frozen, folder, panel);
    must(home_model_predict(frozen, &rows.batch, predictions, 0, NULL, &error), "predict");
    print_predictions(predictions);
    home_model_release(frozen);
    home_model_release(model);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "isa") == 0) {
        print_isa();
        return 0;
    }
    if (argc != 3)
        return 2;
    const bool row = strcmp(argv[1], "row") == 0;
    char path[300];
    snprintf(path, sizeof path, "%s/model%s", argv[2], row ? ".safetensors" : "");
    if (row)
        print_row(path);
    else if (strcmp(argv[1], "plain") == 0)
        make_plain(path);
    else
        train_or_predict(strcmp(argv[1], "train") == 0, argv[2], path);
    return 0;
}
