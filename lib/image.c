/* Opening a serving image: the model's own structs go to the caller's memory, texts and weights stay where they
 * are. Nothing in the image is believed: every number is checked before it is used as a size, a place or a
 * choice, so that even a wrong plan with a right checksum computes inside its buffers. */
#include "image.h"

#include "crc32.h"
#include "model.h"

#include <string.h>

/* ------------------------------------------------------------------------------- the caller's memory */

/* Hands out pieces of the caller's memory; or, where there is none, only counts them. */
typedef struct room {
    char *memory;
    size_t used;
    bool overflow;
} room;

static void *take(room *space, uint64_t count, size_t size) {
    size_t bytes = 0;
    char *begin = space->memory ? space->memory + space->used : NULL;
    if (count > SIZE_MAX || !home_multiply_size((size_t)count, size, &bytes) ||
        bytes > SIZE_MAX - HOME_ALIGNMENT || !home_add_size(space->used, home_align(bytes), &space->used)) {
        space->overflow = true;
        return begin;
    }
    return begin ? memset(begin, 0, bytes) : NULL;
}

/* The pieces of a model. */
typedef struct pieces {
    home_model *model;
    home_buffer *buffers;
    home_step *steps;
    home_source *inputs;
    home_task_config *tasks;
    size_t *task_given;
    home_table_config *table_configs;
    home_table *tables;
    home_field_config *fields;
    size_t *field_table;
    size_t *field_column;
    home_metadata *metadata;
} pieces;

static pieces take_pieces(room *space, const home_image_header *header) {
    return (pieces){
        .model = take(space, 1, sizeof(home_model)),
        .buffers = take(space, header->buffers, sizeof(home_buffer)),
        .steps = take(space, header->steps, sizeof(home_step)),
        .inputs = take(space, header->inputs, sizeof(home_source)),
        .tasks = take(space, header->tasks, sizeof(home_task_config)),
        .task_given = take(space, header->tasks, sizeof(size_t)),
        .table_configs = take(space, header->tables, sizeof(home_table_config)),
        .tables = take(space, header->tables, sizeof(home_table)),
        .fields = take(space, header->fields, sizeof(home_field_config)),
        .field_table = take(space, header->fields, sizeof(size_t)),
        .field_column = take(space, header->fields, sizeof(size_t)),
        .metadata = take(space, header->metadata, sizeof(home_metadata)),
    };
}

/* ------------------------------------------------------------------------------------------ header */

/* A model keeps to the limits of a configuration, and every record of an image takes some words of it, a text at least
 * two: so a small image asks for little memory and time. */
static home_status check_counts(const home_image_header *header, home_error *error) {
    enum { BUFFER = 3, STEP = 8, INPUT = 3, METADATA = 4 };
    const uint64_t words = header->size / sizeof(uint64_t);
    const struct {
        const char *name;
        uint64_t count;
        uint64_t most;
    } counts[] = {
        {"buffers", header->buffers, words / BUFFER},     {"steps", header->steps, words / STEP},
        {"inputs", header->inputs, words / INPUT},        {"tasks", header->tasks, HOME_MOST_TASKS},
        {"tables", header->tables, HOME_MOST_ITEMS},      {"fields", header->fields, HOME_MOST_ITEMS},
        {"metadata", header->metadata, words / METADATA},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].count > counts[i].most)
            return home_fail(
                error, HOME_E_FORMAT, "the image's header tells of %llu %s, expected at most %llu",
                (unsigned long long)counts[i].count, counts[i].name, (unsigned long long)counts[i].most);
    return HOME_OK;
}

static home_status check_header(const void *image, size_t size, home_image_header *header,
                                home_error *error) {
    const size_t past = (size_t)((uintptr_t)image % HOME_ALIGNMENT);
    if (past)
        return home_fail(error, HOME_E_ARGUMENT,
                         "image is %zu bytes past a multiple of %u, expected to be aligned to it", past,
                         HOME_ALIGNMENT);
    if (size < sizeof *header)
        return home_fail(error, HOME_E_FORMAT, "the image has %zu bytes, expected at least %zu", size,
                         sizeof *header);
    memcpy(header, image, sizeof *header);
    if (memcmp(header->magic, HOME_IMAGE_MAGIC, sizeof header->magic) != 0)
        return home_fail(error, HOME_E_FORMAT, "these bytes are not a serving image");
    if (header->byte_order != HOME_IMAGE_ORDER)
        return home_fail(error, HOME_E_UNSUPPORTED,
                         "the image was written on a machine of another byte order");
    if (header->version != HOME_IMAGE_VERSION)
        return home_fail(error, HOME_E_UNSUPPORTED, "the image has version %u, expected %u", header->version,
                         HOME_IMAGE_VERSION);
    if (header->size > size || header->size < sizeof *header)
        return home_fail(error, HOME_E_FORMAT, "the image has %zu bytes, its header tells of %llu", size,
                         (unsigned long long)header->size);
    if (header->reserved != 0)
        return home_fail(error, HOME_E_FORMAT, "a reserved field of the image is %u, expected 0",
                         header->reserved);
    return check_counts(header, error);
}

/* The model's pieces, and slack for memory that is not aligned. */
static home_status model_size(const home_image_header *header, size_t *bytes, home_error *error) {
    room space = {0};
    take_pieces(&space, header);
    if (space.overflow || !home_add_size(space.used, HOME_ALIGNMENT - 1, bytes))
        return home_fail(error, HOME_E_FORMAT, "the image's header tells of more than memory can hold");
    return HOME_OK;
}

home_status home_image_model_size(const void *image, size_t size, size_t *bytes, home_error *error) {
    if (!image || !bytes)
        return home_fail_null(error, image ? "bytes" : "image");
    home_image_header header = {0};
    const home_status status = check_header(image, size, &header, error);
    return status == HOME_OK ? model_size(&header, bytes, error) : status;
}

static home_status check_sum(const home_image_header *header, const unsigned char *image, home_error *error) {
    const size_t covered = offsetof(home_image_header, panel);
    home_crc32 crc;
    home_crc32_start(&crc);
    home_crc32_add(&crc, image + covered, (size_t)header->size - covered);
    if (home_crc32_value(&crc) == header->crc32)
        return HOME_OK;
    return home_fail(error, HOME_E_CHECKSUM, "the image is damaged: its checksum does not match");
}

/* ----------------------------------------------------------------------------------------- reading */

/* Where reading is. After the first thing that is not valid, `failed` stays set and what is read is 0. */
typedef struct reader {
    const unsigned char *image;
    size_t at;
    size_t end;
    bool failed;
} reader;

static void require(reader *in, bool condition) {
    in->failed = in->failed || !condition;
}

/* The next `size` bytes, where they lie. */
static const void *skip(reader *in, size_t size) {
    require(in, size <= in->end - in->at);
    if (in->failed)
        return NULL;
    in->at += size;
    return in->image + in->at - size;
}

static uint64_t read_word(reader *in) {
    uint64_t value = 0;
    const void *bytes = skip(in, sizeof value);
    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return value;
}

/* A number from `least` to `most`; `least` where it is not. */
static size_t read_size(reader *in, size_t least, size_t most) {
    const uint64_t value = read_word(in);
    require(in, value >= least && value <= most);
    return in->failed ? least : (size_t)value;
}

static bool read_flag(reader *in) {
    return read_size(in, 0, 1) == 1;
}

static double read_double(reader *in) {
    double value = 0;
    const void *bytes = skip(in, sizeof value);
    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return value;
}

static const char *read_text(reader *in) {
    const size_t length = read_size(in, 0, SIZE_MAX - 8);
    const char *text = skip(in, length + 8 - length % 8);
    require(in, text && text[length] == 0);
    return in->failed ? "" : text;
}

/* The next `count` floats, which stay where they are: a frozen model's weights are only read. */
static float *read_floats(reader *in, size_t count) {
    size_t bytes = 0;
    require(in, home_multiply_size(count, sizeof(float), &bytes));
    return (float *)skip(in, in->failed ? 0 : bytes);
}

/* To the next multiple of HOME_ALIGNMENT. */
static void skip_gap(reader *in) {
    skip(in, (HOME_ALIGNMENT - in->at % HOME_ALIGNMENT) % HOME_ALIGNMENT);
}

/* -------------------------------------------------------------------------------------------- plan */

/* A buffer, inside the rows of the activations. A workspace's size must not overflow. */
static void read_buffer(reader *in, home_plan *plan, home_buffer *buffer) {
    const size_t most = SIZE_MAX / sizeof(float) / HOME_IMAGE_MOST_BLOCK_ROWS / 4;
    buffer->width = read_size(in, 1, HOME_MOST_WIDTH);
    buffer->stride = read_size(in, buffer->width, most / 2);
    buffer->start = read_size(in, 0, most / 2);
    const size_t end = buffer->start + buffer->stride;
    plan->row_width = end > plan->row_width ? end : plan->row_width;
}

static home_view read_view(reader *in, const home_plan *plan) {
    home_view view = {.buffer = read_size(in, 0, plan->buffer_count - 1)};
    const size_t width = plan->buffers[view.buffer].width;
    view.column = read_size(in, 0, width - 1);
    view.width = read_size(in, 1, width - view.column);
    return view;
}

/* Whether inputs [first, last), every `stride`th, have the width. */
static bool have_width(const home_step *step, size_t first, size_t last, size_t stride, size_t width) {
    for (size_t i = first; i < last; i += stride)
        if (step->in[i].view.width != width)
            return false;
    return true;
}

/* What each step's function in forward.c takes for granted. */
static bool is_sound(const home_step *step) {
    const size_t count = step->in_count;
    const size_t width = step->out.width;
    switch (step->kind) {
    case HOME_STEP_LINEAR:
        return count == 1;
    case HOME_STEP_ACTIVATE:
        return count >= 1 && have_width(step, 0, count, 1, width);
    case HOME_STEP_SOFTMAX:
        return count >= 1 && have_width(step, 0, count, 1, width) && (!step->sigmoid || width == 1);
    case HOME_STEP_FEATURE_GATE: {
        const size_t branches = home_feature_branches(step);
        return (count == 2 || count > 3) && have_width(step, 0, branches + 1, 1, width) &&
               have_width(step, branches + 1, count, 1, branches);
    }
    case HOME_STEP_CONSTANT:
        return count == 0;
    case HOME_STEP_MIX:
        return count >= 2 && count % 2 == 0 && have_width(step, 0, count, 2, width) &&
               have_width(step, 1, count, 2, 1);
    default: /* a frozen model has no batch norms */
        return false;
    }
}

/* Takes the step's place in the packed weights. */
static void place_weights(reader *in, home_plan *plan, home_step *step, size_t panel) {
    size_t size = 0;
    if (step->kind == HOME_STEP_CONSTANT)
        size = step->out.width;
    else if (step->kind == HOME_STEP_LINEAR)
        require(in, home_multiply_size(home_divide_up(step->out.width, panel) * panel,
                                       step->in[0].view.width + 1, &size));
    step->packed = plan->packed_size;
    require(in, home_add_size(plan->packed_size, size, &plan->packed_size));
}

static void read_step(reader *in, const home_plan *plan, home_step *step, home_source *inputs,
                      size_t inputs_left) {
    step->kind = (home_step_kind)read_size(in, HOME_STEP_LINEAR, HOME_STEP_MIX);
    step->activation = (home_activation)read_size(in, HOME_ACT_NONE, HOME_ACT_SWISH);
    step->sigmoid = read_flag(in);
    step->mix_first = read_flag(in);
    step->in_count = read_size(in, 0, inputs_left);
    step->in = inputs;
    step->out = read_view(in, plan);
    for (size_t i = 0; i < step->in_count && !in->failed; i++)
        inputs[i].view = read_view(in, plan);
    require(in, !in->failed && is_sound(step));
}

static void read_plan(reader *in, const pieces *p, const home_image_header *header, home_plan *plan) {
    plan->buffers = p->buffers;
    plan->buffer_count = (size_t)header->buffers;
    plan->steps = p->steps;
    plan->step_count = (size_t)header->steps;
    require(in, plan->buffer_count > 0);
    for (size_t i = 0; i < plan->buffer_count && !in->failed; i++)
        read_buffer(in, plan, &p->buffers[i]);
    if (in->failed)
        return;
    plan->input = read_view(in, plan);
    plan->logits = read_view(in, plan);
    plan->sigmoids = read_view(in, plan);
    size_t used = 0;
    for (size_t i = 0; i < plan->step_count && !in->failed; i++) {
        read_step(in, plan, &p->steps[i], p->inputs + used, (size_t)header->inputs - used);
        used += p->steps[i].in_count;
        if (!in->failed)
            place_weights(in, plan, &p->steps[i], (size_t)header->panel);
    }
    require(in, used == header->inputs);
}

/* ---------------------------------------------------------------------------------------- settings */

/* The factors of a task's probability end somewhere. */
static bool chain_ends(const size_t *given, size_t count, size_t task) {
    size_t links = 0;
    for (; given[task] != SIZE_MAX && links <= count; links++)
        task = given[task];
    return links <= count;
}

static void read_tasks(reader *in, const pieces *p, const home_image_header *header,
                       home_settings *settings) {
    const size_t count = (size_t)header->tasks;
    settings->config.tasks = p->tasks;
    settings->config.task_count = count;
    settings->task_given = p->task_given;
    for (size_t i = 0; i < count && !in->failed; i++) {
        p->tasks[i].loss = (int32_t)read_size(in, HOME_LOSS_BCE, HOME_LOSS_SQUARED);
        const size_t given = read_size(in, 0, count);
        p->task_given[i] = given == count ? SIZE_MAX : given;
        p->tasks[i].name = read_text(in);
    }
    for (size_t i = 0; i < count && !in->failed; i++)
        require(in, chain_ends(p->task_given, count, i));
}

static void read_tables(reader *in, const pieces *p, const home_image_header *header, home_model *model) {
    home_config *config = &model->settings.config;
    config->tables = p->table_configs;
    config->table_count = (size_t)header->tables;
    model->tables = p->tables;
    for (size_t i = 0; i < config->table_count && !in->failed; i++) {
        home_table_config *table = &p->table_configs[i];
        table->rows = read_size(in, 1, SIZE_MAX);
        table->dim = read_size(in, 1, HOME_MOST_WIDTH);
        table->index = (int32_t)read_size(in, HOME_INDEX_DIRECT, HOME_INDEX_HASHED);
        table->name = read_text(in);
        model->tables[i].config = table;
    }
}

static void read_fields(reader *in, const pieces *p, const home_image_header *header,
                        home_settings *settings) {
    home_config *config = &settings->config;
    config->fields = p->fields;
    config->field_count = (size_t)header->fields;
    settings->field_table = p->field_table;
    settings->field_column = p->field_column;
    settings->input_width = config->dense_width;
    require(in, config->field_count == 0 || config->table_count > 0);
    for (size_t i = 0; i < config->field_count && !in->failed; i++) {
        p->field_table[i] = read_size(in, 0, config->table_count - 1);
        p->fields[i].pooling = (int32_t)read_size(in, HOME_POOL_SUM, HOME_POOL_MEAN);
        p->fields[i].name = read_text(in);
        p->fields[i].table = config->tables[p->field_table[i]].name;
        p->field_column[i] = settings->input_width;
        settings->input_width += config->tables[p->field_table[i]].dim;
        require(in, settings->input_width <= HOME_MOST_WIDTH); /* before it could wrap */
    }
}

static void read_metadata(reader *in, const pieces *p, const home_image_header *header, home_model *model) {
    home_metadata **link = &model->metadata;
    for (size_t i = 0; i < header->metadata && !in->failed; i++) {
        p->metadata[i].key = (char *)read_text(in);
        p->metadata[i].value = (char *)read_text(in);
        *link = &p->metadata[i];
        link = &p->metadata[i].next;
    }
}

/* ------------------------------------------------------------------------------------------- model */

static void read_weights(reader *in, home_model *model) {
    skip_gap(in);
    model->panels = read_floats(in, model->plan.packed_size);
    for (size_t i = 0; i < model->settings.config.table_count && !in->failed; i++) {
        home_table *table = &model->tables[i];
        size_t count = 0;
        require(in, home_multiply_size((size_t)table->config->rows, table->config->dim, &count));
        skip_gap(in);
        table->weights = read_floats(in, in->failed ? 0 : count);
    }
    skip_gap(in);
}

static void read_model(reader *in, const pieces *p, const home_image_header *header) {
    home_model *model = p->model;
    home_settings *settings = &model->settings;
    settings->config.dense_width = read_size(in, 0, HOME_MOST_WIDTH);
    model->block_rows = read_size(in, 0, HOME_IMAGE_MOST_BLOCK_ROWS);
    model->tensors.parameter_count = read_size(in, 0, SIZE_MAX);
    model->plan.macs = read_word(in);
    settings->config.swish_beta = read_double(in);
    read_plan(in, p, header, &model->plan);
    read_tasks(in, p, header, settings);
    read_tables(in, p, header, model);
    read_fields(in, p, header, settings);
    read_metadata(in, p, header, model);
    model->config_json.data = (char *)read_text(in);
    model->topology_json.data = (char *)read_text(in);
    require(in, model->plan.input.width == settings->input_width);
    require(in, model->plan.logits.width == settings->config.task_count);
    require(in, model->plan.sigmoids.width == settings->config.task_count);
    if (!in->failed)
        read_weights(in, model);
    require(in, in->at == in->end);
}

static home_status open_image(const home_image_header *header, const void *image, room *space,
                              home_model **model, home_error *error) {
    const home_status status = check_sum(header, image, error);
    if (status != HOME_OK)
        return status;
    const home_kernels *kernels =
        header->panel <= HOME_IMAGE_MOST_PANEL ? home_kernels_select_panel((size_t)header->panel) : NULL;
    if (!kernels)
        return home_fail(
            error, HOME_E_UNSUPPORTED,
            "the image has panels of %llu columns, for which this machine and build have no kernels",
            (unsigned long long)header->panel);
    const pieces p = take_pieces(space, header);
    reader in = {.image = image, .at = sizeof *header, .end = (size_t)header->size};
    read_model(&in, &p, header);
    if (in.failed)
        return home_fail(error, HOME_E_FORMAT, "the image is not valid at byte %zu or before", in.at);
    p.model->kernels = kernels;
    p.model->in_image = true;
    atomic_init(&p.model->references, 1);
    *model = p.model;
    return HOME_OK;
}

home_status home_image_open(const void *image, size_t size, void *memory, size_t memory_size,
                            home_model **model, home_error *error) {
    if (!image || !memory || !model)
        return home_fail_null(error, !image ? "image" : !memory ? "memory" : "model");
    home_image_header header = {0};
    size_t wanted = 0;
    home_status status = check_header(image, size, &header, error);
    if (status == HOME_OK)
        status = model_size(&header, &wanted, error);
    if (status != HOME_OK)
        return status;
    if (memory_size < wanted)
        return home_fail(error, HOME_E_ARGUMENT, "memory_size is %zu, expected at least %zu", memory_size,
                         wanted);
    const size_t past = (size_t)((uintptr_t)memory % HOME_ALIGNMENT);
    room space = {.memory = (char *)memory + (past ? HOME_ALIGNMENT - past : 0)};
    return open_image(&header, image, &space, model, error);
}
