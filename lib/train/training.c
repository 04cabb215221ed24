/* The state of training: made with a model, and grown with its batches. */
#include "training.h"

static bool allocate_state(const home_allocator *allocator, const homeoptimizer_traits *traits,
                           size_t size, float *state[HOME_STATE_SLOTS]) {
    for (int i = 0; i < HOME_STATE_SLOTS && traits->state[i]; i++) {
        state[i] = homememory_allocate(allocator, size, sizeof(float));
        if (!state[i])
            return false;
    }
    return true;
}

static bool create_embeddings(home_model *model) {
    const size_t count = model->settings.config.table_count;
    const homeoptimizer_traits *traits =
        homeoptimizer_traits_of(model->settings.optimizer.embedding_kind);
    homeembedding *embeddings = homememory_allocate(&model->allocator, count, sizeof *embeddings);
    model->training->embeddings = embeddings;
    if (!embeddings)
        return false;
    for (size_t i = 0; i < count; i++) {
        const hometable *table = &model->tables[i];
        const size_t size = (size_t)table->config->rows * homeoptimizer_state_width(model, table);
        if (!allocate_state(&model->allocator, traits, size, embeddings[i].state))
            return false;
    }
    return true;
}

/* As the configuration has it, until the host sets something else. */
static bool create_tuning(home_model *model) {
    hometraining *training = model->training;
    const home_config *config = &model->settings.config;
    training->learning_rate = model->settings.optimizer.learning_rate;
    training->embedding_learning_rate = model->settings.optimizer.embedding_learning_rate;
    training->task_weights =
        homememory_allocate(&model->allocator, config->task_count, sizeof(double));
    training->trained =
        homememory_allocate(&model->allocator, model->tensors.count, sizeof *training->trained);
    if (!training->task_weights || !training->trained)
        return false;
    for (size_t t = 0; t < config->task_count; t++)
        training->task_weights[t] = config->tasks[t].weight;
    for (size_t i = 0; i < model->tensors.count; i++)
        training->trained[i] = model->tensors.items[i].kind != HOME_TENSOR_STATISTIC;
    return true;
}

/* What does not depend on a batch. The rest, which does, comes with the first forward: a model that
 * is only loaded and frozen never pays for it. */
bool hometraining_create(home_model *model) {
    const home_allocator *a = &model->allocator;
    hometraining *training = homememory_allocate(a, 1, sizeof *training);
    model->training = training;
    if (!training)
        return false;
    const size_t parameters = model->tensors.parameter_count;
    const size_t norms = model->plan.batch_width;
    training->run = (homerun_training){
        .parameters = model->parameters,
        .gradients = homememory_allocate(a, parameters, sizeof(float)),
        .statistics = model->statistics,
        .batch_mean = homememory_allocate(a, norms, sizeof(float)),
        .batch_scale = homememory_allocate(a, norms, sizeof(float)),
        .batch_variance = homememory_allocate(a, norms, sizeof(float)),
        .norm_epsilon = model->settings.config.norm_epsilon,
        .norm_momentum = model->settings.config.norm_momentum,
    };
    const homeoptimizer_traits *traits = homeoptimizer_traits_of(model->settings.optimizer.kind);
    return training->run.gradients && training->run.batch_mean && training->run.batch_scale &&
           training->run.batch_variance && allocate_state(a, traits, parameters, training->state) &&
           create_tuning(model) && create_embeddings(model);
}

static void free_row_gradients(const home_allocator *allocator, homerow_gradients *gradients) {
    homememory_free(allocator, gradients->rows);
    homememory_free(allocator, gradients->values);
}

static size_t slots_of(const homeoptimizer_traits *traits) {
    size_t slots = 0;
    while (slots < HOME_STATE_SLOTS && traits->state[slots])
        slots++;
    return slots;
}

size_t hometraining_bytes(const home_model *model) {
    const home_config *config = &model->settings.config;
    const home_optimizer_config *optimizer = &model->settings.optimizer;
    const homeoptimizer_traits *of_tables = homeoptimizer_traits_of(optimizer->embedding_kind);
    size_t bytes = sizeof(hometraining);
    homesize_count(&bytes, model->tensors.parameter_count, sizeof(float)); /* gradients */
    for (size_t slot = slots_of(homeoptimizer_traits_of(optimizer->kind)); slot-- > 0;)
        homesize_count(&bytes, model->tensors.parameter_count, sizeof(float));
    homesize_count(&bytes, model->plan.batch_width, 3 * sizeof(float));
    homesize_count(&bytes, config->task_count, sizeof(double));
    homesize_count(&bytes, model->tensors.count, sizeof(bool));
    homesize_count(&bytes, config->table_count, sizeof(homeembedding));
    for (size_t i = 0; i < config->table_count; i++) {
        const home_table_config *table = &config->tables[i];
        const size_t width = of_tables->row_wise ? 1 : table->dim;
        for (size_t slot = slots_of(of_tables); slot-- > 0;)
            homesize_count(&bytes, (size_t)table->rows, width * sizeof(float));
    }
    return bytes;
}

static void free_embedding(const home_allocator *allocator, homeembedding *embedding) {
    for (int i = 0; i < HOME_STATE_SLOTS; i++)
        homememory_free(allocator, embedding->state[i]);
    homememory_free(allocator, embedding->entries);
    homememory_free(allocator, embedding->sorted);
    free_row_gradients(allocator, &embedding->total);
    free_row_gradients(allocator, &embedding->part);
}

void hometraining_free(home_model *model) {
    const home_allocator *a = &model->allocator;
    hometraining *training = model->training;
    if (!training)
        return;
    const size_t tables = training->embeddings ? model->settings.config.table_count : 0;
    for (size_t i = 0; i < tables; i++)
        free_embedding(a, &training->embeddings[i]);
    homememory_free(a, training->embeddings);
    for (int i = 0; i < HOME_STATE_SLOTS; i++)
        homememory_free(a, training->state[i]);
    homememory_free(a, training->run.gradients);
    homememory_free(a, training->run.batch_mean);
    homememory_free(a, training->run.batch_scale);
    homememory_free(a, training->run.batch_variance);
    homememory_free(a, training->run.scratch);
    homememory_free(a, training->activations);
    homememory_free(a, training->activation_gradients);
    homememory_free(a, training->task_weights);
    homememory_free(a, training->trained);
    homememory_free(a, training->part);
    homememory_free(a, training);
}

/* ----------------------------------------------------------------------------------------- rows */

/* Floats of scratch for the step that needs most. */
static bool scratch_needed(const home_model *model, size_t rows, size_t *needed) {
    *needed = 0;
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const homestep *step = &model->plan.steps[s];
        size_t floats = 0;
        if (step->kind->scratch_size &&
            !step->kind->scratch_size(step, rows, model->kernels->panel, &floats))
            return false;
        *needed = floats > *needed ? floats : *needed;
    }
    return true;
}

/* All is allocated before anything is freed, so that a batch too large leaves training as it was.
 * What the old memory held is of no use: a forward writes all of it. */
home_status hometraining_reserve(home_model *model, size_t rows, home_error *error) {
    hometraining *training = model->training;
    if (rows <= training->row_capacity)
        return HOME_OK;
    const home_allocator *a = &model->allocator;
    size_t scratch_floats;
    size_t floats;
    size_t gradient_floats;
    if (!scratch_needed(model, rows, &scratch_floats) ||
        !homesize_multiply(model->plan.row_width, rows, &floats) ||
        !homesize_multiply(model->plan.gradient_width, rows, &gradient_floats))
        return homefail(error, HOME_E_TOO_LARGE, "batch.rows is %zu, too many for this machine",
                        rows);
    float *activations = homememory_allocate(a, floats, sizeof(float));
    float *gradients = homememory_allocate(a, gradient_floats, sizeof(float));
    float *scratch = homememory_allocate(a, scratch_floats, sizeof(float));
    if (!activations || !gradients || !scratch) {
        homememory_free(a, activations);
        homememory_free(a, gradients);
        homememory_free(a, scratch);
        return homefail(error, HOME_E_MEMORY, "out of memory for a batch of %zu rows", rows);
    }
    homememory_free(a, training->activations);
    homememory_free(a, training->activation_gradients);
    homememory_free(a, training->run.scratch);
    training->activations = activations;
    training->activation_gradients = gradients;
    training->run.scratch = scratch;
    training->row_capacity = rows;
    return HOME_OK;
}

homerun hometraining_run(const home_model *model) {
    const hometraining *training = model->training;
    homerun run = homemodel_run(model);
    run.training = &training->run;
    run.rows = training->rows;
    run.row_capacity = training->row_capacity;
    run.activations = training->activations;
    run.gradients = training->activation_gradients;
    return run;
}

void hometraining_forget(home_model *model) {
    hometraining *training = model->training;
    training->phase = HOME_PHASE_IDLE;
    training->unstepped = false;
    training->input_gradient = false;
    training->rows = 0;
}

/* --------------------------------------------------------------------------------------- checks */

home_status hometraining_check(const home_model *model, home_error *error) {
    if (!model)
        return homefail_null(error, "model");
    if (!model->training)
        return homefail(error, HOME_E_STATE, "the model is frozen: it can only predict");
    return HOME_OK;
}

/* A step leaves the gradients as they are. */
home_status hometraining_check_gradients(const home_model *model, home_error *error) {
    if (model->training->phase == HOME_PHASE_BACKWARD ||
        model->training->phase == HOME_PHASE_STEPPED)
        return HOME_OK;
    return homefail(error, HOME_E_STATE,
                    "there are no gradients: call home_model_backward() first");
}

home_status hometraining_check_table(const home_model *model, size_t table, home_error *error) {
    const size_t count = model->settings.config.table_count;
    return table < count ? HOME_OK
                         : homefail(error, HOME_E_NOT_FOUND, "table is %zu, expected less than %zu",
                                    table, count);
}
