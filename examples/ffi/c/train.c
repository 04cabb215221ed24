/* Trains a model on the made-up rows, prints the tasks' losses as it goes, and saves it. The same
 * program in Python and C++ must print and save the same bytes.
 *
 * Usage: train CONFIG MODEL */
#include "rows.h"

#include <stdio.h>

enum { STEPS = 20, STEPS_A_LINE = 5, MAX_CONFIG = 10000 };

static home_status train(home_model *model, home_error *error) {
    static rows data;
    home_status status = make_rows(&data, model, error);
    if (status != HOME_OK)
        return status;
    for (int step = 1; step <= STEPS; step++) {
        float losses[MAX_TASKS];
        status = home_model_forward(model, &data.batch, NULL, 0, error);
        if (status == HOME_OK)
            status = home_model_backward(model, &data.targets, losses, error);
        if (status == HOME_OK)
            status = home_model_step(model, error);
        if (status != HOME_OK)
            return status;
        if (step % STEPS_A_LINE == 0) {
            printf("step %d:", step);
            for (size_t t = 0; t < home_model_task_count(model); t++)
                printf(" %s %.9f", home_model_task_name(model, t), (double)losses[t]);
            printf("\n");
        }
    }
    return HOME_OK;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: train CONFIG MODEL\n");
        return 2;
    }
    static char config[MAX_CONFIG];
    FILE *file = fopen(argv[1], "rb");
    if (!file) {
        fprintf(stderr, "cannot open %s\n", argv[1]);
        return 1;
    }
    const size_t length = fread(config, 1, sizeof config, file);
    fclose(file);
    if (length == sizeof config) {
        fprintf(stderr, "%s is too long, expected less than %d bytes\n", argv[1], MAX_CONFIG);
        return 1;
    }

    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    home_status status = home_model_create_json(config, length, NULL, &model, &error);
    if (status == HOME_OK)
        status = train(model, &error);
    if (status == HOME_OK)
        status = home_model_save(model, argv[2], 0, &error);
    if (status != HOME_OK)
        fprintf(stderr, "error %d: %s\n", (int)status, error.message);
    home_model_release(model);
    return status != HOME_OK;
}
