/* What the header of a checkpoint says, without a model. */
#include "checkpoint.h"

#include "../base/abi.h"
#include "../base/little_endian.h"

#include <string.h>

struct home_checkpoint {
    home_allocator allocator;
    homearchive archive;
    homearena arena;
    size_t size;                  /* of the file */
    const homejson_value **texts; /* [text_count] of the host's own */
    size_t text_count;
    uint64_t **shapes; /* [archive.count] */
    uint64_t step;
};

/* -------------------------------------------------------------------------------------- opening */

static bool list_texts(home_checkpoint *c) {
    const homejson_value *metadata = c->archive.metadata;
    c->texts =
        homearena_take(&c->arena, metadata ? metadata->count : 0, sizeof(const homejson_value *));
    if (!c->texts)
        return false;
    for (const homejson_value *m = metadata ? metadata->first : NULL; m; m = m->next)
        if (homecheckpoint_is_own_key(m->key))
            c->texts[c->text_count++] = m;
    return true;
}

/* All shapes lie in one array: an arena's pieces are too large for each. */
static bool list_shapes(home_checkpoint *c) {
    size_t total = 0;
    for (size_t i = 0; i < c->archive.count; i++)
        total += c->archive.tensors[i].shape->count;
    uint64_t *next = homearena_take(&c->arena, total, sizeof *next);
    c->shapes = homearena_take(&c->arena, c->archive.count, sizeof *c->shapes);
    if (!next || !c->shapes)
        return false;
    for (size_t i = 0; i < c->archive.count; i++) {
        c->shapes[i] = next;
        for (const homejson_value *d = c->archive.tensors[i].shape->first; d; d = d->next)
            *next++ = d->integer;
    }
    return true;
}

/* The one number that is not in the header. */
static home_status read_step(home_checkpoint *c, homestream *stream, home_error *error) {
    const homestored *stored = homearchive_find(&c->archive, "optimizer.step");
    unsigned char data[8];
    if (!stored || stored->dtype != HOME_I64 || stored->size != sizeof data)
        return HOME_OK;
    home_status status = homestream_skip(stream, stored->begin, error);
    if (status == HOME_OK)
        status = homestream_read(stream, data, sizeof data, error);
    if (status != HOME_OK)
        return status;
    c->step = homelittle_get(data, sizeof data);
    if (c->step > INT64_MAX)
        return homefail(error, HOME_E_VALUE,
                        "tensor \"optimizer.step\" is negative, expected a whole number from 0");
    return HOME_OK;
}

static home_status read_contents(home_checkpoint *c, homestream *stream, home_error *error) {
    const home_status status = homecheckpoint_check_keys(&c->archive, error);
    if (status != HOME_OK)
        return status;
    if (!list_texts(c) || !list_shapes(c))
        return homefail_memory(error);
    return read_step(c, stream, error);
}

static home_status open_stream(homestream *stream, const home_allocator *allocator,
                               home_checkpoint **checkpoint, home_error *error) {
    home_checkpoint *made = homememory_allocate(allocator, 1, sizeof *made);
    if (!made)
        return homefail_memory(error);
    made->allocator = *allocator;
    made->arena.allocator = &made->allocator;
    made->size = stream->size;
    home_status status = homearchive_open(&made->allocator, stream, &made->archive, error);
    if (status != HOME_OK) {
        homememory_free(allocator, made);
        return status;
    }
    status = read_contents(made, stream, error);
    if (status == HOME_OK)
        *checkpoint = made;
    else
        home_checkpoint_destroy(made);
    return status;
}

home_status home_checkpoint_open_memory(const void *data, size_t size,
                                        const home_allocator *allocator,
                                        home_checkpoint **checkpoint, home_error *error) {
    if (!data || !checkpoint)
        return homefail_null(error, data ? "checkpoint" : "data");
    home_allocator resolved;
    const home_status status = homememory_resolve(allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    homestream stream = homestream_in_memory(data, size);
    return open_stream(&stream, &resolved, checkpoint, error);
}

home_status home_checkpoint_open(const char *path, const home_allocator *allocator,
                                 home_checkpoint **checkpoint, home_error *error) {
    if (!path || !checkpoint)
        return homefail_null(error, path ? "checkpoint" : "path");
    home_allocator resolved;
    homestream stream;
    home_status status = homememory_resolve(allocator, &resolved, error);
    if (status == HOME_OK)
        status = homestream_open(path, &stream, error);
    if (status != HOME_OK)
        return status;
    status = open_stream(&stream, &resolved, checkpoint, error);
    homestream_close(&stream);
    return status;
}

void home_checkpoint_destroy(home_checkpoint *checkpoint) {
    if (!checkpoint)
        return;
    const home_allocator allocator = checkpoint->allocator;
    homearchive_close(&checkpoint->archive);
    homearena_free(&checkpoint->arena);
    homememory_free(&allocator, checkpoint);
}

/* ---------------------------------------------------------------------------------------- texts */

const char *home_checkpoint_config_json(const home_checkpoint *checkpoint) {
    return checkpoint ? homearchive_metadata(&checkpoint->archive, "home.config") : NULL;
}

const char *home_checkpoint_metadata(const home_checkpoint *checkpoint, const char *key) {
    return checkpoint && key && homecheckpoint_is_own_key(key)
               ? homearchive_metadata(&checkpoint->archive, key)
               : NULL;
}

size_t home_checkpoint_metadata_count(const home_checkpoint *checkpoint) {
    return checkpoint ? checkpoint->text_count : 0;
}

const char *home_checkpoint_metadata_key(const home_checkpoint *checkpoint, size_t index) {
    return index < home_checkpoint_metadata_count(checkpoint) ? checkpoint->texts[index]->key
                                                              : NULL;
}

const char *home_checkpoint_metadata_text(const home_checkpoint *checkpoint, size_t index) {
    return index < home_checkpoint_metadata_count(checkpoint) ? checkpoint->texts[index]->text
                                                              : NULL;
}

/* --------------------------------------------------------------------------- optimizer and size */

uint64_t home_checkpoint_step_count(const home_checkpoint *checkpoint) {
    return checkpoint ? checkpoint->step : 0;
}

int32_t home_checkpoint_has_optimizer(const home_checkpoint *checkpoint) {
    return checkpoint && homearchive_find(&checkpoint->archive, "optimizer.step");
}

uint64_t home_checkpoint_bytes(const home_checkpoint *checkpoint) {
    return checkpoint ? checkpoint->size : 0;
}

/* -------------------------------------------------------------------------------------- tensors */

size_t home_checkpoint_tensor_count(const home_checkpoint *checkpoint) {
    return checkpoint ? checkpoint->archive.count : 0;
}

static home_status describe(const home_checkpoint *c, size_t index, home_stored_tensor *tensor,
                            home_error *error) {
    if (!tensor)
        return homefail_null(error, "tensor");
    const homestored *stored = &c->archive.tensors[index];
    const home_stored_tensor found = {
        .name = stored->name,
        .dtype = stored->dtype_name,
        .shape = c->shapes[index],
        .rank = stored->shape->count,
        .bytes = stored->size,
        .offset = homearchive_body(&c->archive) + stored->begin,
    };
    return homeabi_write(&found, tensor, sizeof found, "tensor", error);
}

home_status home_checkpoint_tensor_at(const home_checkpoint *checkpoint, size_t index,
                                      home_stored_tensor *tensor, home_error *error) {
    if (!checkpoint)
        return homefail_null(error, "checkpoint");
    if (index >= checkpoint->archive.count)
        return homefail(error, HOME_E_NOT_FOUND, "index is %zu, expected less than %zu", index,
                        checkpoint->archive.count);
    return describe(checkpoint, index, tensor, error);
}

home_status home_checkpoint_tensor(const home_checkpoint *checkpoint, const char *name,
                                   home_stored_tensor *tensor, home_error *error) {
    if (!checkpoint || !name)
        return homefail_null(error, checkpoint ? "name" : "checkpoint");
    const homestored *stored = homearchive_find(&checkpoint->archive, name);
    if (!stored)
        return homefail(error, HOME_E_NOT_FOUND, "the checkpoint has no tensor \"%.150s\"", name);
    return describe(checkpoint, (size_t)(stored - checkpoint->archive.tensors), tensor, error);
}
