/* Checkpoints between machines.
 *
 *     checkpoint write FILE         trains a model a little and saves it
 *     checkpoint copy FILE COPY     loads it and saves it again
 *
 * Then both print every value of the model, train one step more, which the optimizer's state has a
 * part in, and print again. With the same kernels the outputs are the same on every machine. */
#include "test.h"
#include "unit/fixture.h"

#define STEPS 3

static void train(home_model *model, uint64_t seed) {
    setup s;
    setup_small(&s);
    data d;
    data_create(&d, &s.config, 6, seed);
    train_step(model, &d);
    data_free(&d);
}

static home_model *trained(void) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    for (uint64_t step = 0; step < STEPS; step++)
        train(model, step);
    return model;
}

static void print_tensors(const home_model *model) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        REQUIRE(home_model_tensor_at(model, i, &tensor, NULL) == HOME_OK);
        for (size_t j = 0; j < tensor_size(&tensor); j++)
            printf("%s %zu %a\n", tensor.name, j, (double)tensor.data[j]);
    }
}

int main(int argc, char **argv) {
    home_model *model = NULL;
    home_error error = new_error();
    if (argc == 3 && strcmp(argv[1], "write") == 0) {
        model = trained();
    } else if (argc == 4 && strcmp(argv[1], "copy") == 0) {
        if (home_model_load(argv[2], NULL, &model, &error) != HOME_OK) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
    } else {
        fprintf(stderr, "usage: checkpoint write FILE | copy FILE COPY\n");
        return 2;
    }
    if (home_model_save(model, argv[argc - 1], HOME_SAVE_OPTIMIZER, &error) != HOME_OK) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    print_tensors(model);
    train(model, STEPS);
    print_tensors(model);
    home_model_release(model);
    return 0;
}
