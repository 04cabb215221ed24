/* Fresh weights. Each tensor draws from a stream of its own, seeded by the model's seed and the tensor's
 * name, so a tensor starts alike whatever other tensors there are, and no two start alike. */
#include "model.h"

#include "random.h"

#ifndef HOME_SERVE_ONLY
#include <math.h>

static void fill(const home_tensor_info *tensor, uint64_t seed, float *data) {
    uint64_t state = home_random_seed(seed, tensor->name);
    const size_t size = home_tensor_size(tensor);
    for (size_t i = 0; i < size; i++) {
        double x = 1;
        if (tensor->start == HOME_START_UNIFORM)
            x = 2 * home_random_uniform(&state) - 1;
        else if (tensor->start == HOME_START_NORMAL)
            x = home_random_normal(&state);
        data[i] = (float)(tensor->scale * x);
    }
}

void home_model_initialize(home_model *model) {
    for (size_t i = 0; i < model->tensors.count; i++) {
        const home_tensor_info *tensor = &model->tensors.items[i];
        fill(tensor, model->settings.config.seed, home_tensor_data(model, tensor));
    }
}

#endif
