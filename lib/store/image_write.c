/* From a frozen model to its serving image. */
#include "../serve/image.h"

#include "../base/abi.h"
#include "../base/crc32.h"
#include "../model/model.h"

#include <math.h>
#include <string.h>

/* What the functions below write to. */
typedef struct writer {
    unsigned char *bytes; /* NULL: only `used` counts */
    size_t used;
    bool overflow; /* more bytes than size_t can count */
    bool finite;   /* all floats so far */
} writer;

static void put(writer *out, const void *bytes, size_t size) {
    if (out->bytes && size)
        memcpy(out->bytes + out->used, bytes, size);
    out->overflow = !homesize_add(out->used, size, &out->used) || out->overflow;
}

static void put_word(writer *out, uint64_t value) {
    put(out, &value, sizeof value);
}

static void put_double(writer *out, double value) {
    put(out, &value, sizeof value);
}

static void put_text(writer *out, const char *text) {
    static const char zeros[8] = {0};
    const size_t length = strlen(text);
    put_word(out, length);
    put(out, text, length);
    put(out, zeros, 8 - length % 8);
}

static void put_floats(writer *out, const float *values, size_t count) {
    if (out->bytes)
        for (size_t i = 0; i < count; i++)
            out->finite = out->finite && isfinite(values[i]);
    put(out, values, count * sizeof *values);
}

/* To the next multiple of HOME_ALIGNMENT. */
static void put_gap(writer *out) {
    static const char zeros[HOME_ALIGNMENT] = {0};
    put(out, zeros, (HOME_ALIGNMENT - out->used % HOME_ALIGNMENT) % HOME_ALIGNMENT);
}

/* -------------------------------------------------------------------------------------- records */

static void put_view(writer *out, homeview view) {
    put_word(out, view.buffer);
    put_word(out, view.column);
    put_word(out, view.width);
}

static void put_step(writer *out, const homestep *step) {
    size_t choices[HOMESTEP_CHOICES] = {0};
    if (step->kind->get_choices)
        step->kind->get_choices(step, choices);
    put_word(out, homestep_number(step->kind));
    for (size_t i = 0; i < HOMESTEP_CHOICES; i++)
        put_word(out, choices[i]);
    put_word(out, step->in_count);
    put_view(out, step->out);
    for (size_t i = 0; i < step->in_count; i++)
        put_view(out, step->in[i].view);
}

static void put_plan(writer *out, const homeplan *plan) {
    for (size_t i = 0; i < plan->buffer_count; i++) {
        put_word(out, plan->buffers[i].width);
        put_word(out, plan->buffers[i].stride);
        put_word(out, plan->buffers[i].start);
    }
    put_view(out, plan->input);
    put_view(out, plan->logits);
    put_view(out, plan->sigmoids);
    for (size_t i = 0; i < plan->step_count; i++)
        put_step(out, &plan->steps[i]);
}

static void put_settings(writer *out, const homesettings *settings) {
    const home_config *config = &settings->config;
    for (size_t i = 0; i < config->task_count; i++) {
        put_word(out, (uint64_t)config->tasks[i].loss);
        put_word(out, settings->task_given[i] == HOME_NONE ? config->task_count
                                                           : settings->task_given[i]);
        put_text(out, config->tasks[i].name);
    }
    for (size_t i = 0; i < config->table_count; i++) {
        put_word(out, config->tables[i].rows);
        put_word(out, config->tables[i].dim);
        put_word(out, (uint64_t)config->tables[i].index);
        put_text(out, config->tables[i].name);
    }
    for (size_t i = 0; i < config->field_count; i++) {
        put_word(out, settings->field_table[i]);
        put_word(out, (uint64_t)config->fields[i].pooling);
        put_text(out, config->fields[i].name);
    }
}

static void put_records(writer *out, const home_model *model, size_t block_rows) {
    put_word(out, model->settings.config.dense_width);
    put_word(out, block_rows);
    put_word(out, model->tensors.parameter_count);
    put_word(out, model->plan.macs);
    put_double(out, model->settings.config.swish_beta);
    put_plan(out, &model->plan);
    put_settings(out, &model->settings);
    for (const homemetadata *item = model->metadata; item; item = item->next) {
        put_text(out, item->key);
        put_text(out, item->value);
    }
    for (size_t i = 0; i < model->settings.config.dense_names_count; i++)
        put_text(out, model->settings.config.dense_names[i]);
    put_text(out, model->config_json.data);
    put_text(out, model->topology_json.data);
}

/* -------------------------------------------------------------------------------------- weights */

static void put_packed(void *context, const float *values, size_t count) {
    put_floats(context, values, count);
}

static void put_weights(writer *out, const home_model *model, size_t panel) {
    put_gap(out);
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const homestep *step = &model->plan.steps[s];
        if (step->kind->repack)
            step->kind->repack(step, model->packed + step->packed, model->kernels->panel, panel,
                               (homestep_sink){put_packed, out});
    }
    for (size_t t = 0; t < model->settings.config.table_count; t++) {
        const home_table_config *table = model->tables[t].config;
        put_gap(out);
        put_floats(out, model->tables[t].weights, (size_t)table->rows * table->dim);
    }
    put_gap(out);
}

/* --------------------------------------------------------------------------------------- header */

static homeimage_header make_header(const home_model *model, size_t panel) {
    const size_t dense_names = model->settings.config.dense_names_count;
    homeimage_header header = {.magic = HOME_IMAGE_MAGIC,
                               .byte_order = HOME_IMAGE_ORDER,
                               .version = dense_names ? HOME_IMAGE_NAMED : HOME_IMAGE_VERSION,
                               .dense_names = (uint32_t)dense_names,
                               .panel = panel,
                               .buffers = model->plan.buffer_count,
                               .steps = model->plan.step_count,
                               .tasks = model->settings.config.task_count,
                               .tables = model->settings.config.table_count,
                               .fields = model->settings.config.field_count};
    for (size_t s = 0; s < model->plan.step_count; s++)
        header.inputs += model->plan.steps[s].in_count;
    for (const homemetadata *item = model->metadata; item; item = item->next)
        header.metadata++;
    return header;
}

static void put_image(writer *out, const home_model *model, homeimage_header header,
                      size_t block_rows) {
    put(out, &header, sizeof header);
    put_records(out, model, block_rows);
    put_weights(out, model, (size_t)header.panel);
}

/* Size and checksum are known when all the rest is there. */
static void finish_header(writer *out, homeimage_header header) {
    const size_t covered = offsetof(homeimage_header, panel);
    homecrc32 crc;
    homecrc32_start(&crc);
    homecrc32_add(&crc, out->bytes + covered, out->used - covered);
    header.size = out->used;
    header.crc32 = homecrc32_value(&crc);
    memcpy(out->bytes, &header, sizeof header);
}

static home_status check_options(const home_image_options *options, home_error *error) {
    if (options->panel > HOMESTEP_MAX_PANEL)
        return homefail(error, HOME_E_ARGUMENT, "options.panel is %zu, expected 0 to %d",
                        options->panel, HOMESTEP_MAX_PANEL);
    if (options->block_rows > HOME_IMAGE_MAX_BLOCK_ROWS)
        return homefail(error, HOME_E_ARGUMENT, "options.block_rows is %zu, expected 0 to %d",
                        options->block_rows, HOME_IMAGE_MAX_BLOCK_ROWS);
    return HOME_OK;
}

home_status home_image_write(const home_model *model, const home_image_options *given, void *buffer,
                             size_t capacity, size_t *length, home_error *error) {
    if (!model || !length)
        return homefail_null(error, model ? "length" : "model");
    if (model->training)
        return homefail(error, HOME_E_STATE,
                        "the model is not frozen: call home_model_freeze() first");
    home_image_options options = {0};
    home_status status = HOME_OK;
    if (given)
        status = homeabi_read(given, &options, sizeof options, "options", HOME_E_ARGUMENT, error);
    if (status == HOME_OK)
        status = check_options(&options, error);
    if (status != HOME_OK)
        return status;
    const homeimage_header header =
        make_header(model, options.panel ? options.panel : model->kernels->panel);
    writer counted = {0};
    put_image(&counted, model, header, options.block_rows);
    if (counted.overflow)
        return homefail(error, HOME_E_TOO_LARGE, "the image does not fit this machine's memory");
    *length = counted.used;
    if (!buffer)
        return HOME_OK;
    if (capacity < counted.used)
        return homefail(error, HOME_E_ARGUMENT, "capacity is %zu, expected at least %zu", capacity,
                        counted.used);
    writer out = {.bytes = buffer, .finite = true};
    put_image(&out, model, header, options.block_rows);
    if (!out.finite)
        return homefail(error, HOME_E_VALUE, "the model has a weight that is not finite");
    finish_header(&out, header);
    return HOME_OK;
}
