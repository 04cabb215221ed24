/* The device's side, for test_embedding.sh:
 *
 *     device IMAGE             prints what the image predicts
 *     device IMAGE messages    prints what wrong calls say: the same in a serve-only build as in
 *                              a full one */
#include "rows.h"

#include <stdlib.h>

enum { ALIGNMENT = 64, MAX_SIZE = 1 << 20 };
static _Alignas(ALIGNMENT) unsigned char image[MAX_SIZE];
static unsigned char memory[MAX_SIZE];
static unsigned char scratch[MAX_SIZE];
static home_error error = {.struct_size = sizeof error};

static void must(home_status status, const char *what) {
    if (status == HOME_OK)
        return;
    fprintf(stderr, "%s: %s\n", what, error.message);
    exit(1);
}

static void show(home_status status) {
    printf("%d %d %s\n", (int)status, (int)error.status, error.message);
}

static void show_messages(const home_model *model, home_workspace *workspace, size_t size,
                          size_t needed, row_data *rows) {
    float p[TASKS];
    home_model *other = NULL;
    size_t bytes = 0;
    show(home_image_model_size(NULL, 0, &bytes, &error));
    show(home_image_model_size(image + 5, size, &bytes, &error));
    show(home_image_model_size(image, 10, &bytes, &error));
    show(home_image_open(image, size - 1, memory, needed, &other, &error));
    show(home_image_open(image, size, memory, needed - 1, &other, &error));
    show(home_model_predict(NULL, &rows->batch, p, 0, workspace, &error));
    show(home_model_predict(model, &rows->batch, p, 0, NULL, &error));
    show(home_model_predict(model, &rows->batch, p, 1, workspace, &error));
    home_batch batch = rows->batch;
    batch.struct_size = 3;
    show(home_model_predict(model, &batch, p, 0, workspace, &error));
    batch = rows->batch;
    batch.field_count = 18446;
    show(home_model_predict(model, &batch, p, 0, workspace, &error));
    batch = rows->batch;
    batch.dense = NULL;
    show(home_model_predict(model, &batch, p, 0, workspace, &error));
    rows->ids[0][7] = UINT64_MAX;
    show(home_model_predict(model, &rows->batch, p, 0, workspace, &error));
    home_workspace *none = NULL;
    show(home_workspace_init(model, scratch, 0, &none, &error));
    image[40] ^= 1;
    show(home_image_open(image, size, memory, MAX_SIZE, &other, &error));
    image[12] ^= 1; /* the version */
    show(home_image_open(image, size, memory, MAX_SIZE, &other, &error));
    /* An older caller's, whose message is cut after seven letters. */
    error.struct_size = offsetof(home_error, message) + 8;
    show(home_image_open(image, size, memory, MAX_SIZE, &other, &error));
}

int main(int argc, char **argv) {
    static row_data rows;
    static float predictions[ROWS * TASKS];
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (!file)
        return 2;
    const size_t size = fread(image, 1, sizeof image, file);
    fclose(file);
    fill_rows(&rows);
    size_t needed = 0;
    home_model *model = NULL;
    home_workspace *workspace = NULL;
    must(home_image_model_size(image, size, &needed, &error), "size");
    must(home_image_open(image, size, memory, needed, &model, &error), "open");
    must(home_workspace_init(model, scratch, home_workspace_size(model), &workspace, &error),
         "workspace");
    must(home_model_predict(model, &rows.batch, predictions, 0, workspace, &error), "predict");
    if (argc == 2)
        print_predictions(predictions);
    else
        show_messages(model, workspace, size, needed, &rows);
    home_model_release(model);
    return 0;
}
