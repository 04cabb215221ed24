/* Fresh weights. Each tensor draws from a stream of its own, seeded by the model's seed and the
 * tensor's name, so a tensor starts alike whatever other tensors there are, and no two start
 * alike. */
#include "create.h"

#include "../train/training.h"

#include "../host/random.h"

#include <math.h>

static void fill(const hometensor *tensor, uint64_t seed, float *data) {
    uint64_t state = homerandom_seed(seed, tensor->name);
    const size_t size = hometensors_size(tensor);
    for (size_t i = 0; i < size; i++) {
        double x = 1;
        if (tensor->start == HOME_START_UNIFORM)
            x = 2 * homerandom_uniform(&state) - 1;
        else if (tensor->start == HOME_START_NORMAL)
            x = homerandom_normal(&state);
        data[i] = (float)(tensor->scale * x);
    }
}

void homeinitialize_model(home_model *model) {
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *tensor = &model->tensors.items[i];
        fill(tensor, model->settings.config.seed, homeaccess_data(model, tensor));
    }
}
