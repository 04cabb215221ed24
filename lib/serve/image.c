/* Opening a serving image: the model's own structs go to the caller's memory, texts and weights
 * stay where they are. Nothing in the image is believed: every number is checked before it is used
 * as a size, a place or a choice, so that even a wrong plan with a right checksum computes inside
 * its buffers. */
#include "image.h"

#include "../base/crc32.h"
#include "../model/model.h"

#include <string.h>

/* -------------------------------------------------------------------------- the caller's memory */

/* Hands out pieces of the caller's memory; or, where there is none, only counts them. */
typedef struct room {
    char *memory;
    size_t used;
    bool overflow;
} room;

static void *take(room *space, uint64_t count, size_t size) {
    size_t bytes = 0;
    char *begin = space->memory ? space->memory + space->used : NULL;
    if (count > SIZE_MAX || !homesize_multiply((size_t)count, size, &bytes) ||
        bytes > SIZE_MAX - HOME_ALIGNMENT ||
        !homesize_add(space->used, homesize_align(bytes), &space->used)) {
        space->overflow = true;
        return begin;
    }
    return begin ? memset(begin, 0, bytes) : NULL;
}

/* The pieces of a model. */
typedef struct pieces {
    home_model *model;
    homebuffer *buffers;
    homestep *steps;
    homesource *inputs;
    home_task_config *tasks;
    size_t *task_given;
    home_table_config *table_configs;
    hometable *tables;
    home_field_config *fields;
    size_t *field_table;
    size_t *field_column;
    homemetadata *metadata;
    const char **dense_names;
} pieces;

/* The same list twice, first to add up sizes and then to hand out memory, so that the two cannot
 * differ. */
static pieces take_pieces(room *space, const homeimage_header *header) {
    return (pieces){
        .model = take(space, 1, sizeof(home_model)),
        .buffers = take(space, header->buffers, sizeof(homebuffer)),
        .steps = take(space, header->steps, sizeof(homestep)),
        .inputs = take(space, header->inputs, sizeof(homesource)),
        .tasks = take(space, header->tasks, sizeof(home_task_config)),
        .task_given = take(space, header->tasks, sizeof(size_t)),
        .table_configs = take(space, header->tables, sizeof(home_table_config)),
        .tables = take(space, header->tables, sizeof(hometable)),
        .fields = take(space, header->fields, sizeof(home_field_config)),
        .field_table = take(space, header->fields, sizeof(size_t)),
        .field_column = take(space, header->fields, sizeof(size_t)),
        .metadata = take(space, header->metadata, sizeof(homemetadata)),
        .dense_names = take(space, header->dense_names, sizeof(const char *)),
    };
}

/* --------------------------------------------------------------------------------------- header */

/* A model keeps to the limits of a configuration, and every record of an image takes some words of
 * it, a text at least two: so a small image asks for little memory and time. */
static home_status check_counts(const homeimage_header *header, home_error *error) {
    enum { BUFFER = 3, STEP = 8, INPUT = 3, METADATA = 4, NAME = 2 };
    const uint64_t words = header->size / sizeof(uint64_t);
    const struct {
        const char *name;
        uint64_t count;
        uint64_t max;
    } counts[] = {
        {"buffers", header->buffers, words / BUFFER},
        {"steps", header->steps, words / STEP},
        {"inputs", header->inputs, words / INPUT},
        {"tasks", header->tasks, HOME_MAX_TASKS},
        {"tables", header->tables, HOME_MAX_ITEMS},
        {"fields", header->fields, HOME_MAX_ITEMS},
        {"metadata", header->metadata, words / METADATA},
        {"names", header->dense_names, words / NAME},
    };
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].count > counts[i].max)
            return homefail(error, HOME_E_FORMAT,
                            "the image's header claims %llu %s, expected at most %llu",
                            (unsigned long long)counts[i].count, counts[i].name,
                            (unsigned long long)counts[i].max);
    return HOME_OK;
}

static home_status check_header(const void *image, size_t size, homeimage_header *header,
                                home_error *error) {
    const size_t past = (size_t)((uintptr_t)image % HOME_ALIGNMENT);
    if (past)
        return homefail(error, HOME_E_ARGUMENT,
                        "image is %zu bytes past a multiple of %u, expected to be aligned to it",
                        past, HOME_ALIGNMENT);
    if (size < sizeof *header)
        return homefail(error, HOME_E_FORMAT, "the image has %zu bytes, expected at least %zu",
                        size, sizeof *header);
    memcpy(header, image, sizeof *header);
    if (memcmp(header->magic, HOME_IMAGE_MAGIC, sizeof header->magic) != 0)
        return homefail(error, HOME_E_FORMAT, "these bytes are not a serving image");
    if (header->byte_order != HOME_IMAGE_ORDER)
        return homefail(error, HOME_E_UNSUPPORTED,
                        "the image was written on a machine of another byte order");
    if (header->version != HOME_IMAGE_VERSION && header->version != HOME_IMAGE_NAMED)
        return homefail(error, HOME_E_UNSUPPORTED, "the image has version %u, expected %u or %u",
                        header->version, HOME_IMAGE_VERSION, HOME_IMAGE_NAMED);
    if (header->size > size || header->size < sizeof *header)
        return homefail(error, HOME_E_FORMAT, "the image has %zu bytes, its header claims %llu",
                        size, (unsigned long long)header->size);
    if ((header->dense_names > 0) != (header->version == HOME_IMAGE_NAMED))
        return homefail(error, HOME_E_FORMAT,
                        "an image of version %u has %u names of dense values, expected %s",
                        header->version, header->dense_names,
                        header->version == HOME_IMAGE_NAMED ? "some" : "none");
    return check_counts(header, error);
}

/* The model's pieces, and slack for memory that is not aligned. */
static home_status model_size(const homeimage_header *header, size_t *bytes, home_error *error) {
    room space = {0};
    take_pieces(&space, header);
    if (space.overflow || !homesize_add(space.used, HOME_ALIGNMENT - 1, bytes))
        return homefail(error, HOME_E_FORMAT,
                        "the image's header claims more than memory can hold");
    return HOME_OK;
}

home_status home_image_model_size(const void *image, size_t size, size_t *bytes,
                                  home_error *error) {
    if (!image || !bytes)
        return homefail_null(error, image ? "bytes" : "image");
    homeimage_header header = {0};
    const home_status status = check_header(image, size, &header, error);
    return status == HOME_OK ? model_size(&header, bytes, error) : status;
}

static home_status check_sum(const homeimage_header *header, const unsigned char *image,
                             home_error *error) {
    const size_t covered = offsetof(homeimage_header, panel);
    homecrc32 crc;
    homecrc32_start(&crc);
    homecrc32_add(&crc, image + covered, (size_t)header->size - covered);
    if (homecrc32_value(&crc) == header->crc32)
        return HOME_OK;
    return homefail(error, HOME_E_CHECKSUM, "the image is damaged: its checksum does not match");
}

/* -------------------------------------------------------------------------------------- reading */

/* Where reading is. After the first thing that is not valid, `failed` stays set and what is read is
 * 0. */
typedef struct reader {
    const unsigned char *image;
    size_t at;
    size_t end;
    bool failed;
} reader;

/* Everything is read as if it were good, and `failed` asked where a loop or an index depends on it.
 * So the reading functions follow the form of the file, line by line. */
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

/* A number from `min` to `max`; `min` where it is not. */
static size_t read_size(reader *in, size_t min, size_t max) {
    const uint64_t value = read_word(in);
    require(in, value >= min && value <= max);
    return in->failed ? min : (size_t)value;
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
    require(in, homesize_multiply(count, sizeof(float), &bytes));
    return (float *)skip(in, in->failed ? 0 : bytes);
}

/* To the next multiple of HOME_ALIGNMENT. */
static void skip_gap(reader *in) {
    skip(in, (HOME_ALIGNMENT - in->at % HOME_ALIGNMENT) % HOME_ALIGNMENT);
}

/* ----------------------------------------------------------------------------------------- plan */

/* A buffer, inside the rows of the activations. A workspace's size must not overflow. */
static void read_buffer(reader *in, homeplan *plan, homebuffer *buffer) {
    const size_t max = SIZE_MAX / sizeof(float) / HOME_IMAGE_MAX_BLOCK_ROWS / 4;
    buffer->width = read_size(in, 1, HOME_MAX_WIDTH);
    buffer->stride = read_size(in, buffer->width, max / 2);
    buffer->start = read_size(in, 0, max / 2);
    const size_t end = buffer->start + buffer->stride;
    plan->row_width = end > plan->row_width ? end : plan->row_width;
}

static homeview read_view(reader *in, const homeplan *plan) {
    homeview view = {.buffer = read_size(in, 0, plan->buffer_count - 1)};
    const size_t width = plan->buffers[view.buffer].width;
    view.column = read_size(in, 0, width - 1);
    view.width = read_size(in, 1, width - view.column);
    return view;
}

/* Takes the step's place in the packed weights. */
static void place_weights(reader *in, homeplan *plan, homestep *step, size_t panel) {
    size_t floats = 0;
    require(in, !step->kind->packed_size || step->kind->packed_size(step, panel, &floats));
    step->packed = plan->packed_size;
    require(in, homesize_add(plan->packed_size, floats, &plan->packed_size));
}

/* A kind that serves, and a choice that it has. */
static void read_kind(reader *in, homestep *step) {
    size_t choices[HOMESTEP_CHOICES];
    step->kind = homestep_kinds[read_size(in, 0, HOMESTEP_KIND_COUNT - 1)];
    for (size_t i = 0; i < HOMESTEP_CHOICES; i++)
        choices[i] = read_size(in, 0, HOMESTEP_MAX_CHOICE);
    require(in, step->kind->is_sound && homestep_choose(step, choices));
}

static void read_step(reader *in, const homeplan *plan, homestep *step, homesource *inputs,
                      size_t inputs_left) {
    read_kind(in, step);
    step->in_count = read_size(in, 0, inputs_left);
    step->in = inputs;
    step->out = read_view(in, plan);
    for (size_t i = 0; i < step->in_count && !in->failed; i++)
        inputs[i].view = read_view(in, plan);
    require(in, !in->failed && step->kind->is_sound(step));
}

static void read_plan(reader *in, const pieces *p, const homeimage_header *header, homeplan *plan) {
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

/* ------------------------------------------------------------------------------------- settings */

/* The factors of a task's probability end somewhere. */
static bool chain_ends(const size_t *given, size_t count, size_t task) {
    size_t links = 0;
    for (; given[task] != HOME_NONE && links <= count; links++)
        task = given[task];
    return links <= count;
}

static void read_tasks(reader *in, const pieces *p, const homeimage_header *header,
                       homesettings *settings) {
    const size_t count = (size_t)header->tasks;
    settings->config.tasks = p->tasks;
    settings->config.task_count = count;
    settings->task_given = p->task_given;
    for (size_t i = 0; i < count && !in->failed; i++) {
        p->tasks[i].loss = (int32_t)read_size(in, HOME_LOSS_BCE, HOME_LOSS_SQUARED);
        const size_t given = read_size(in, 0, count);
        p->task_given[i] = given == count ? HOME_NONE : given;
        p->tasks[i].name = read_text(in);
    }
    for (size_t i = 0; i < count && !in->failed; i++)
        require(in, chain_ends(p->task_given, count, i));
}

static void read_tables(reader *in, const pieces *p, const homeimage_header *header,
                        home_model *model) {
    home_config *config = &model->settings.config;
    config->tables = p->table_configs;
    config->table_count = (size_t)header->tables;
    model->tables = p->tables;
    for (size_t i = 0; i < config->table_count && !in->failed; i++) {
        home_table_config *table = &p->table_configs[i];
        table->rows = read_size(in, 1, SIZE_MAX);
        table->dim = read_size(in, 1, HOME_MAX_WIDTH);
        table->index = (int32_t)read_size(in, HOME_INDEX_DIRECT, HOME_INDEX_HASHED);
        table->name = read_text(in);
        model->tables[i].config = table;
    }
}

static void read_fields(reader *in, const pieces *p, const homeimage_header *header,
                        homesettings *settings) {
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
        require(in, settings->input_width <= HOME_MAX_WIDTH); /* before it could wrap */
    }
}

static void read_metadata(reader *in, const pieces *p, const homeimage_header *header,
                          home_model *model) {
    homemetadata **link = &model->metadata;
    for (size_t i = 0; i < header->metadata && !in->failed; i++) {
        p->metadata[i].key = (char *)read_text(in);
        p->metadata[i].value = (char *)read_text(in);
        *link = &p->metadata[i];
        link = &p->metadata[i].next;
    }
}

static void read_dense_names(reader *in, const pieces *p, const homeimage_header *header,
                             home_config *config) {
    const size_t count = header->dense_names;
    config->dense_names = p->dense_names;
    config->dense_names_count = count;
    require(in, count == 0 || count == config->dense_width);
    for (size_t i = 0; i < count && !in->failed; i++)
        p->dense_names[i] = read_text(in);
}

/* ---------------------------------------------------------------------------------------- model */

static void read_weights(reader *in, home_model *model) {
    skip_gap(in);
    model->packed = read_floats(in, model->plan.packed_size);
    for (size_t i = 0; i < model->settings.config.table_count && !in->failed; i++) {
        hometable *table = &model->tables[i];
        size_t count = 0;
        require(in, homesize_multiply((size_t)table->config->rows, table->config->dim, &count));
        skip_gap(in);
        table->weights = read_floats(in, in->failed ? 0 : count);
    }
    skip_gap(in);
}

static void read_model(reader *in, const pieces *p, const homeimage_header *header) {
    home_model *model = p->model;
    homesettings *settings = &model->settings;
    settings->config.dense_width = read_size(in, 0, HOME_MAX_WIDTH);
    model->block_rows = read_size(in, 0, HOME_IMAGE_MAX_BLOCK_ROWS);
    model->tensors.parameter_count = read_size(in, 0, SIZE_MAX);
    model->plan.macs = read_word(in);
    settings->config.swish_beta = read_double(in);
    read_plan(in, p, header, &model->plan);
    read_tasks(in, p, header, settings);
    read_tables(in, p, header, model);
    read_fields(in, p, header, settings);
    read_metadata(in, p, header, model);
    read_dense_names(in, p, header, &settings->config);
    model->config_json.data = (char *)read_text(in);
    model->topology_json.data = (char *)read_text(in);
    require(in, model->plan.input.width == settings->input_width);
    require(in, model->plan.logits.width == settings->config.task_count);
    require(in, model->plan.sigmoids.width == settings->config.task_count);
    if (!in->failed)
        read_weights(in, model);
    require(in, in->at == in->end);
}

static home_status open_image(const homeimage_header *header, const void *image, room *space,
                              home_model **model, home_error *error) {
    const home_status status = check_sum(header, image, error);
    if (status != HOME_OK)
        return status;
    const homekernels *kernels = header->panel <= HOMESTEP_MAX_PANEL
                                     ? homekernels_select_panel((size_t)header->panel)
                                     : NULL;
    if (!kernels)
        return homefail(error, HOME_E_UNSUPPORTED,
                        "the image has panels of %llu columns, for which this machine and build "
                        "have no kernels",
                        (unsigned long long)header->panel);
    const pieces p = take_pieces(space, header);
    reader in = {.image = image, .at = sizeof *header, .end = (size_t)header->size};
    read_model(&in, &p, header);
    if (in.failed)
        return homefail(error, HOME_E_FORMAT, "the image is not valid at byte %zu or before",
                        in.at);
    p.model->kernels = kernels;
    p.model->in_image = true;
    atomic_init(&p.model->references, 1);
    *model = p.model;
    return HOME_OK;
}

home_status home_image_open(const void *image, size_t size, void *memory, size_t memory_size,
                            home_model **model, home_error *error) {
    if (!image || !memory || !model)
        return homefail_null(error, !image ? "image" : !memory ? "memory" : "model");
    homeimage_header header = {0};
    size_t wanted = 0;
    home_status status = check_header(image, size, &header, error);
    if (status == HOME_OK)
        status = model_size(&header, &wanted, error);
    if (status != HOME_OK)
        return status;
    if (memory_size < wanted)
        return homefail(error, HOME_E_ARGUMENT, "memory_size is %zu, expected at least %zu",
                        memory_size, wanted);
    const size_t past = (size_t)((uintptr_t)memory % HOME_ALIGNMENT);
    room space = {.memory = (char *)memory + (past ? HOME_ALIGNMENT - past : 0)};
    return open_image(&header, image, &space, model, error);
}
