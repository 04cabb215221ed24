/* Prints the bytes that the reference configurations need on a device, as the rows of
 * docs/embedding.md. */
#include "bench/models.h"
#include "home/home.h"

#include <stdio.h>
#include <stdlib.h>

enum { PANEL = 8, ALIGNMENT = 64 };

/* An image, opened: how large it, the model and the workspace are. */
typedef struct sizes {
    size_t image;
    size_t model;
    size_t workspace;
} sizes;

static sizes measure(const home_model *frozen, size_t block_rows) {
    home_error error = {.struct_size = sizeof error};
    const home_image_options options = {sizeof options, PANEL, block_rows};
    sizes s;
    must(home_image_write(frozen, &options, NULL, 0, &s.image, &error), &error, "size");
    void *image = aligned_alloc(ALIGNMENT, s.image);
    must(home_image_write(frozen, &options, image, s.image, &s.image, &error), &error, "image");
    must(home_image_model_size(image, s.image, &s.model, &error), &error, "model");
    void *memory = malloc(s.model);
    home_model *model = NULL;
    must(home_image_open(image, s.image, memory, s.model, &model, &error), &error, "open");
    s.workspace = home_workspace_size(model);
    home_model_release(model);
    free(memory);
    free(image);
    return s;
}

int main(void) {
    for (size_t i = 0; i < MODELS_COUNT; i++) {
        reference_model reference;
        reference_model_get(&reference, i);
        home_error error = {.struct_size = sizeof error};
        home_model *model = NULL;
        home_model *frozen = NULL;
        must(home_model_create(&reference.config, &model, &error), &error, "create");
        must(home_model_freeze(model, &frozen, &error), &error, "freeze");
        home_model_release(model);
        const sizes one = measure(frozen, 1);
        const sizes fast = measure(frozen, 0);
        printf("| %s | %zu | %zu | %zu | %zu |\n", reference.name, one.image, one.model,
               one.workspace, fast.workspace);
        home_model_release(frozen);
    }
    return 0;
}
