/* Loads a checkpoint and prints its predictions of the made-up rows, then those of a frozen copy: a
 * row a line, a task a column, each the bits of a float in hexadecimal. The programs of the other
 * languages must print the same.
 *
 * Usage: predict MODEL */
#include "rows.h"

#include <stdio.h>
#include <string.h>

static void print_bits(const float *predictions, size_t tasks) {
    for (size_t i = 0; i < ROWS * tasks; i++) {
        uint32_t bits;
        memcpy(&bits, &predictions[i], sizeof bits);
        printf("%08x%c", (unsigned)bits, (i + 1) % tasks ? ' ' : '\n');
    }
}

static home_status predict_and_print(const home_model *model, home_error *error) {
    static rows data;
    static float predictions[ROWS * MAX_TASKS];
    home_status status = make_rows(&data, model, error);
    if (status == HOME_OK)
        status = home_model_predict(model, &data.batch, predictions, 0, NULL, error);
    if (status == HOME_OK)
        print_bits(predictions, home_model_task_count(model));
    return status;
}

int main(int argc, char **argv) {
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    home_model *frozen = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: predict MODEL\n");
        return 2;
    }
    home_status status = home_model_load(argv[1], NULL, &model, &error);
    if (status == HOME_OK)
        status = home_model_freeze(model, &frozen, &error);
    if (status == HOME_OK)
        status = predict_and_print(model, &error);
    if (status == HOME_OK)
        status = predict_and_print(frozen, &error);
    if (status != HOME_OK)
        fprintf(stderr, "error %d: %s\n", (int)status, error.message);
    home_model_release(frozen);
    home_model_release(model);
    return status != HOME_OK;
}
