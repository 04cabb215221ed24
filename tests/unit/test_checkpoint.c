/* Checkpoints: what they hold, that training goes on as if never stopped, that no damaged file does
 * harm. */
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static home_model *trained_model(size_t steps, size_t first) {
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    for (size_t step = first; step < first + steps; step++) {
        data d;
        data_create(&d, &s.config, 6, step);
        train_step(model, &d);
        data_free(&d);
    }
    return model;
}

static void train_more(home_model *model, size_t steps, size_t first) {
    setup s;
    setup_small(&s);
    for (size_t step = first; step < first + steps; step++) {
        data d;
        data_create(&d, &s.config, 6, step);
        train_step(model, &d);
        data_free(&d);
    }
}

static home_status load_bytes(const void *bytes, size_t length, home_model **model) {
    return home_model_load_memory(bytes, length, NULL, model, NULL);
}

/* --------------------------------------------------------------------------- going on as before */

static void training_goes_on_after_a_load(void) {
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *whole = trained_model(5, 0);
    CHECK_INTEGER(home_model_save(whole, path_of("half", path), HOME_SAVE_OPTIMIZER, &error),
                  HOME_OK);
    train_more(whole, 5, 5);
    home_model *half = NULL;
    if (!CHECK_INTEGER(home_model_load(path, NULL, &half, &error), HOME_OK))
        printf("%s\n", error.message);
    REQUIRE(half);
    CHECK_INTEGER(home_model_step_count(half), 5);
    train_more(half, 5, 5);
    CHECK_INTEGER(home_model_step_count(half), 10);
    CHECK(same_model(whole, half));
    home_model_release(half);

    /* Without the optimizer's state the weights are the same, but training starts anew. */
    home_model *again = trained_model(5, 0);
    CHECK_INTEGER(home_model_save(again, path, 0, &error), HOME_OK);
    CHECK_INTEGER(home_model_load(path, NULL, &half, &error), HOME_OK);
    const home_tensor a = tensor_of(again, "layers.0.units.shared.experts.0.linear.0.weight");
    const home_tensor b = tensor_of(half, "layers.0.units.shared.experts.0.linear.0.weight");
    CHECK_BYTES(a.data, b.data, tensor_size(&a) * sizeof(float));
    train_more(half, 5, 5);
    CHECK(!same_model(whole, half));
    home_model_release(again);
    home_model_release(half);
    home_model_release(whole);
    unlink(path);
}

/* Learning rates set by hand are part of what goes on. */
static void learning_rates_go_on_after_a_load(void) {
    home_model *whole = trained_model(3, 0);
    CHECK_INTEGER(home_model_set_learning_rate(whole, 0.02, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_embedding_learning_rate(whole, 0.3, NULL), HOME_OK);
    size_t length;
    unsigned char *bytes = model_bytes(whole, HOME_SAVE_OPTIMIZER, &length);
    home_model *half = NULL;
    REQUIRE(load_bytes(bytes, length, &half) == HOME_OK);
    train_more(whole, 3, 3);
    train_more(half, 3, 3);
    CHECK(same_model(whole, half));
    free(bytes);
    home_model_release(half);
    home_model_release(whole);
}

/* A model of the checkpoint without the optimizer's state. */
static home_model *reborn(const home_model *model) {
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    home_model *made = NULL;
    REQUIRE(load_bytes(bytes, length, &made) == HOME_OK);
    free(bytes);
    return made;
}

/* Without the optimizer's state, steps count from 0, and at the rates of the configuration. */
static void training_starts_anew_without_the_state(void) {
    home_model *changed = trained_model(3, 0);
    home_model *plain = trained_model(3, 0);
    CHECK_INTEGER(home_model_set_learning_rate(changed, 0.02, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_embedding_learning_rate(changed, 0.3, NULL), HOME_OK);
    home_model *a = reborn(changed);
    home_model *b = reborn(plain);
    CHECK_INTEGER(home_model_step_count(a), 0);
    train_more(a, 3, 3);
    train_more(b, 3, 3);
    CHECK(same_model(a, b));
    CHECK_INTEGER(home_model_step_count(a), 3);
    home_model_release(a);
    home_model_release(b);
    home_model_release(changed);
    home_model_release(plain);
}

static void file_equals_memory(void) {
    char path[PATH_SIZE];
    home_model *model = trained_model(3, 0);
    for (uint32_t flags = 0; flags <= HOME_SAVE_OPTIMIZER; flags++) {
        CHECK_INTEGER(home_model_save(model, path_of("file", path), flags, NULL), HOME_OK);
        CHECK_INTEGER(files_in_folder(), 1);
        size_t length;
        size_t file_length;
        unsigned char *bytes = model_bytes(model, flags, &length);
        unsigned char *file = read_whole(path, &file_length);
        if (CHECK_INTEGER(file_length, length))
            CHECK_BYTES(file, bytes, length);
        home_model *again = NULL;
        REQUIRE(load_bytes(bytes, length, &again) == HOME_OK);
        size_t again_length;
        unsigned char *again_bytes = model_bytes(again, flags, &again_length);
        if (CHECK_INTEGER(again_length, length))
            CHECK_BYTES(again_bytes, bytes, length);
        CHECK(strcmp(home_model_config_json(again), home_model_config_json(model)) == 0);
        home_model_release(again);
        free(again_bytes);
        free(file);
        free(bytes);
    }
    unlink(path);
    home_model_release(model);
}

/* -------------------------------------------------------------------------- what the file holds */

/* Bytes are [8: length of the header, little endian][header, JSON][data]. */
static size_t header_length(const unsigned char *bytes) {
    uint64_t length = 0;
    for (size_t i = 0; i < 8; i++)
        length |= (uint64_t)bytes[i] << (8 * i);
    return (size_t)length;
}

/* malloc'd text of the header. */
static char *header_of(const unsigned char *bytes, size_t length) {
    const size_t size = header_length(bytes);
    REQUIRE(size + 8 <= length);
    char *text = malloc(size + 1);
    REQUIRE(text);
    memcpy(text, bytes + 8, size);
    text[size] = 0;
    return text;
}

static const char *skip_to(const char *text, const char *key) {
    const char *at = text ? strstr(text, key) : NULL;
    return at ? at + strlen(key) : NULL;
}

/* The numbers of the array that follows key. */
static size_t read_numbers(const char *text, const char *key, size_t *numbers, size_t max) {
    const char *at = skip_to(text, key);
    at = at ? strchr(at, '[') : NULL;
    size_t count = 0;
    while (at && *at != ']' && count < max) {
        char *end;
        numbers[count++] = (size_t)strtoull(at + 1, &end, 10);
        at = end;
    }
    return count;
}

/* The names of docs/model.md with the shapes that setup_small() gives them, V = 5 + 3 + 2 + 2 =
 * 12. */
static const struct {
    const char *name;
    size_t rank;
    size_t shape[2];
} expected_tensors[] = {
    {"layers.0.units.shared.feature_gate.lora.0.down.weight", 2, {6, 12}},
    {"layers.0.units.inter.feature_gate.lora.1.up.weight", 2, {12, 6}},
    {"layers.0.units.watch.feature_gate.mix.weight", 2, {2, 12}},
    {"layers.0.units.watch.feature_gate.mix.bias", 1, {2, 1}},
    {"layers.0.units.shared.experts.0.linear.0.weight", 2, {6, 12}},
    {"layers.0.units.shared.experts.0.linear.0.bias", 1, {6, 1}},
    {"layers.0.units.shared.experts.1.linear.1.weight", 2, {4, 6}},
    {"layers.0.units.inter.experts.1.norm.weight", 1, {4, 1}},
    {"layers.0.units.inter.experts.1.norm.bias", 1, {4, 1}},
    {"layers.0.units.inter.experts.1.norm.running_mean", 1, {4, 1}},
    {"layers.0.units.inter.experts.1.norm.running_var", 1, {4, 1}},
    {"layers.0.nodes.inter.gate.linear.0.weight", 2, {4, 12}},
    {"layers.0.nodes.inter.gate.linear.0.bias", 1, {4, 1}},
    {"layers.0.nodes.shared.gate.linear.0.weight", 2, {6, 12}},
    {"layers.0.nodes.shared.self_gate.linear.0.weight", 2, {2, 12}},
    {"layers.1.units.shared.feature_gate.lora.0.down.weight", 2, {2, 4}},
    {"layers.1.units.like.experts.1.linear.0.weight", 2, {3, 4}},
    {"layers.1.units.watch.experts.0.norm.running_var", 1, {3, 1}},
    {"layers.1.nodes.follow.gate.linear.0.weight", 2, {5, 8}},
    {"layers.1.nodes.view.self_gate.linear.0.bias", 1, {2, 1}},
    {"towers.like.linear.0.weight", 2, {5, 3}},
    {"towers.like.linear.1.weight", 2, {1, 5}},
    {"towers.view.linear.1.bias", 1, {1, 1}},
    {"embeddings.user.weight", 2, {11, 3}},
    {"embeddings.tag.weight", 2, {13, 2}},
};

static void check_entry(const home_model *model, const unsigned char *bytes, const char *header,
                        const char *name, size_t rank, const size_t *shape) {
    char quoted[200];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *entry = strstr(header, quoted);
    if (!CHECK(entry != NULL)) {
        printf("    no %s in the file\n", name);
        return;
    }
    size_t numbers[3] = {0, 0, 0};
    const bool same_rank = CHECK_INTEGER(read_numbers(entry, "\"shape\"", numbers, 3), rank);
    if (!same_rank || !CHECK_INTEGER(numbers[0], shape[0]) ||
        (rank == 2 && !CHECK_INTEGER(numbers[1], shape[1])))
        printf("    the shape of %s\n", name);
    const char *type = skip_to(entry, "\"dtype\"");
    CHECK(type && strspn(type, ": ") + type == strstr(type, "\"F32\""));

    const home_tensor tensor = tensor_of(model, name);
    CHECK_INTEGER(tensor.rank, rank);
    size_t offsets[2] = {0, 0};
    CHECK_INTEGER(read_numbers(entry, "\"data_offsets\"", offsets, 2), 2);
    if (CHECK_INTEGER(offsets[1] - offsets[0], tensor_size(&tensor) * sizeof(float)))
        CHECK_BYTES(bytes + 8 + header_length(bytes) + offsets[0], tensor.data,
                    tensor_size(&tensor) * sizeof(float));
}

static void the_file_has_exactly_the_documented_tensors(void) {
    home_model *model = trained_model(2, 0);
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    char *header = header_of(bytes, length);
    for (size_t i = 0; i < sizeof expected_tensors / sizeof *expected_tensors; i++)
        check_entry(model, bytes, header, expected_tensors[i].name, expected_tensors[i].rank,
                    expected_tensors[i].shape);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, i, &t, NULL) == HOME_OK);
        const size_t shape[2] = {(size_t)t.shape[0], (size_t)t.shape[1]};
        check_entry(model, bytes, header, t.name, (size_t)t.rank, shape);
        CHECK(t.rank == 2 || t.shape[1] == 1);
    }
    CHECK_CONTAINS(header, "\"__metadata__\"");
    CHECK_CONTAINS(header, "\"optimizer.");
    CHECK(strstr(header, "experts.0.linear.1.bias") == NULL); /* no bias before a norm */
    free(header);
    free(bytes);

    bytes = model_bytes(model, 0, &length);
    header = header_of(bytes, length);
    CHECK(strstr(header, "\"optimizer.") == NULL);
    free(header);
    free(bytes);
    home_model_release(model);
}

static void metadata_comes_back_from_a_file(void) {
    home_model *model = trained_model(1, 0);
    static const char *const values[] = {"plain", "", "\"quotes\" \\ and\nlines\t\x01",
                                         "\xc3\xa4\xe2\x82\xac"};
    static const char *const keys[] = {"recipe", "empty", "a \"key\"", "\xc3\xbc"};
    for (size_t i = 0; i < 4; i++)
        CHECK_INTEGER(home_model_set_metadata(model, keys[i], values[i], NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "gone", "soon", NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "gone", NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "never", NULL, NULL), HOME_OK);
    CHECK_INTEGER(home_model_set_metadata(model, "recipe", "better", NULL), HOME_OK);
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    home_model *again = NULL;
    REQUIRE(load_bytes(bytes, length, &again) == HOME_OK);
    CHECK(home_model_metadata(again, "gone") == NULL);
    CHECK(home_model_metadata(again, "never") == NULL);
    CHECK_CONTAINS(home_model_metadata(again, "recipe"), "better");
    for (size_t i = 1; i < 4; i++) {
        const char *got = home_model_metadata(again, keys[i]);
        CHECK(got && strcmp(got, values[i]) == 0);
    }
    CHECK(same_model(model, again));
    free(bytes);
    home_model_release(again);
    home_model_release(model);
}

/* Names that look like parts of tensor names, or need escapes in JSON, or mean something to
 * printf(). */
static void awkward_names_come_back_from_a_file(void) {
    setup s;
    setup_small(&s);
    s.tasks[0].name = "experts";
    s.tasks[0].group = "norm";
    s.tasks[1].name = "linear";
    s.tasks[1].group = "%s %n \\ \"quoted\" \xc3\xa9";
    s.tasks[2].name = "0";
    s.tasks[2].group = "gate";
    s.tables[0].name = "weight";
    s.fields[0].table = "weight";
    s.layers[1].hidden_count = 1;
    s.hidden[1][0] = 4;
    home_model *model = make_model(&s);
    randomize(model, 6);
    data d;
    data_create(&d, &s.config, 6, 1);
    train_step(model, &d);
    size_t length;
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, &length);
    home_model *again = NULL;
    home_model *frozen = NULL;
    REQUIRE(load_bytes(bytes, length, &again) == HOME_OK);
    CHECK(same_model(model, again));
    REQUIRE(home_model_freeze(again, &frozen, NULL) == HOME_OK);
    float *expected = predict_all(model, &d.batch);
    float *got = predict_all(frozen, &d.batch);
    for (size_t i = 0; i < 18; i++)
        CHECK_NEAR((double)got[i], (double)expected[i], 1e-5);
    free(got);
    free(expected);
    free(bytes);
    data_free(&d);
    home_model_release(frozen);
    home_model_release(again);
    home_model_release(model);
}

/* -------------------------------------------------------------- safetensors from somewhere else */

/* A file in the plainest form of the format: tensors in the model's order or backwards, no metadata
 * unless given. malloc'd. */
static unsigned char *foreign_file(const home_model *model, bool backwards,
                                   const char *metadata_json, size_t *length) {
    const size_t count = home_model_tensor_count(model);
    char *header = calloc(1, 200 * (count + 1) + 2 * (metadata_json ? strlen(metadata_json) : 0));
    REQUIRE(header);
    size_t at = (size_t)sprintf(header, "{");
    if (metadata_json)
        at += (size_t)sprintf(header + at, "\"__metadata__\":%s,", metadata_json);
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, backwards ? count - 1 - i : i, &t, NULL) == HOME_OK);
        const size_t size = tensor_size(&t) * sizeof(float);
        at += (size_t)sprintf(header + at, "\"%s\": {\"dtype\": \"F32\", \"shape\": [%d", t.name,
                              (int)t.shape[0]);
        if (t.rank == 2)
            at += (size_t)sprintf(header + at, ", %d", (int)t.shape[1]);
        at += (size_t)sprintf(header + at, "], \"data_offsets\": [%zu, %zu]}%s", offset,
                              offset + size, i + 1 < count ? ", " : "");
        offset += size;
    }
    at += (size_t)sprintf(header + at, "}");
    while (at % 8)
        header[at++] = ' ';
    *length = 8 + at + offset;
    unsigned char *bytes = calloc(1, *length);
    REQUIRE(bytes);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)at >> (8 * i));
    memcpy(bytes + 8, header, at);
    unsigned char *to = bytes + 8 + at;
    for (size_t i = 0; i < count; i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(model, backwards ? count - 1 - i : i, &t, NULL) == HOME_OK);
        memcpy(to, t.data, tensor_size(&t) * sizeof(float));
        to += tensor_size(&t) * sizeof(float);
    }
    free(header);
    return bytes;
}

static bool same_tensors(const home_model *a, const home_model *b) {
    for (size_t i = 0; i < home_model_tensor_count(a); i++) {
        home_tensor t = {.struct_size = sizeof t};
        REQUIRE(home_model_tensor_at(a, i, &t, NULL) == HOME_OK);
        const home_tensor other = tensor_of(b, t.name);
        if (memcmp(t.data, other.data, tensor_size(&t) * sizeof(float)) != 0)
            return false;
    }
    return true;
}

static void weights_from_elsewhere_are_taken(void) {
    char path[PATH_SIZE];
    home_error error = new_error();
    setup s;
    setup_small(&s);
    s.config.seed = 99;
    home_model *source = make_model(&s);
    randomize(source, 5);
    for (int backwards = 0; backwards < 2; backwards++) {
        home_model *model = trained_model(3, 0);
        size_t length;
        unsigned char *bytes = foreign_file(source, backwards, NULL, &length);
        write_whole(path_of("weights", path), bytes, length);
        if (!CHECK_INTEGER(home_model_load_weights(model, path, &error), HOME_OK))
            printf("%s\n", error.message);
        CHECK(same_tensors(model, source));

        /* The optimizer starts anew: training goes on as from a fresh model with these weights. */
        setup_small(&s);
        home_model *fresh = make_model(&s);
        copy_tensors(fresh, source);
        train_more(model, 3, 7);
        train_more(fresh, 3, 7);
        CHECK(same_tensors(model, fresh));
        home_model_release(fresh);

        /* Without a configuration it is no checkpoint. */
        home_model *loaded = NULL;
        CHECK(load_bytes(bytes, length, &loaded) != HOME_OK && loaded == NULL);
        free(bytes);
        home_model_release(model);
    }

    /* A checkpoint of this library is such a file too. */
    home_model *model = trained_model(0, 0);
    home_model *other = trained_model(3, 0);
    CHECK_INTEGER(home_model_save(other, path, HOME_SAVE_OPTIMIZER, &error), HOME_OK);
    CHECK_INTEGER(home_model_load_weights(model, path, &error), HOME_OK);
    CHECK(same_tensors(model, other));
    home_model_release(model);
    home_model_release(other);
    home_model_release(source);
    unlink(path);
}

/* Weights that do not fit are refused, and the model keeps its own. */
/* A file of weights that can be changed, and the model that shall not be changed by it. */
typedef struct misfit {
    char path[PATH_SIZE];
    home_model *model;
    home_model *kept;
    unsigned char *bytes;
    size_t length;
} misfit;

static void misfit_begin(misfit *m) {
    m->model = trained_model(2, 0);
    m->kept = trained_model(2, 0);
    m->bytes = foreign_file(m->model, false, NULL, &m->length);
    path_of("weights", m->path);
}

static void misfit_end(misfit *m) {
    CHECK(same_model(m->model, m->kept));
    free(m->bytes);
    home_model_release(m->model);
    home_model_release(m->kept);
    unlink(m->path);
    CHECK_INTEGER(files_in_folder(), 0);
}

/* A change of the header, by a text of the same length. */
static const struct misfit_change {
    const char *from;
    const char *to;
    home_status status;
    const char *word;
} misfit_changes[] = {
    {"towers.like.linear.1.bias", "towers.love.linear.1.bias", HOME_E_MISMATCH, "towers.l"},
    {"towers.like.linear.1.bias", "towers.like.linear.1.xxxx", HOME_E_MISMATCH,
     "towers.like.linear.1"},
    {"\"shape\": [11, 3]", "\"shape\": [3, 11]", HOME_E_MISMATCH, "embeddings.user.weight"},
    {"\"shape\": [11, 3]", "\"shape\": [11, 2]", HOME_E_FORMAT, "embeddings.user.weight"},
    {"\"F32\"", "\"F64\"", HOME_E_FORMAT, ""},
    {"\"F32\"", "\"I32\"", HOME_E_MISMATCH, ""},
    {"\"data_offsets\": [0,", "\"data_offsets\": [4,", HOME_E_FORMAT, ""},
    {"towers.like.linear.1.bias", "towers.view.linear.1.bias", HOME_E_JSON,
     ""}, /* twice the same name */
};

static void check_misfit(const misfit *m, const struct misfit_change *change) {
    home_error error = new_error();
    char *text = header_of(m->bytes, m->length);
    const char *at = strstr(text, change->from);
    REQUIRE(at && strlen(change->from) == strlen(change->to));
    memcpy(m->bytes + 8 + (at - text), change->to, strlen(change->to));
    write_whole(m->path, m->bytes, m->length);
    const home_status status = home_model_load_weights(m->model, m->path, &error);
    if (status == HOME_OK || (status != change->status && status != HOME_E_FORMAT &&
                              status != HOME_E_MISMATCH && status != HOME_E_UNSUPPORTED))
        test_fail(__FILE__, __LINE__, "%s: status %d: %s", change->to, (int)status, error.message);
    CHECK_CONTAINS(error.message, change->word);
    CHECK(same_model(m->model, m->kept));
    memcpy(m->bytes + 8, text, header_length(m->bytes));
    free(text);
}

static void weights_that_do_not_fit_are_refused(void) {
    misfit m;
    misfit_begin(&m);
    for (size_t i = 0; i < sizeof misfit_changes / sizeof *misfit_changes; i++)
        check_misfit(&m, &misfit_changes[i]);
    misfit_end(&m);
}

static void weights_of_too_few_or_too_many_bytes_are_refused(void) {
    misfit m;
    home_error error = new_error();
    misfit_begin(&m);
    write_whole(m.path, m.bytes, m.length - 4);
    CHECK_INTEGER(home_model_load_weights(m.model, m.path, &error), HOME_E_FORMAT);
    unsigned char *longer = calloc(1, m.length + 4);
    REQUIRE(longer);
    memcpy(longer, m.bytes, m.length);
    write_whole(m.path, longer, m.length + 4);
    CHECK_INTEGER(home_model_load_weights(m.model, m.path, &error), HOME_E_FORMAT);
    free(longer);
    misfit_end(&m);
}

/* Cuts "key":"value" of the metadata out, filling up with blanks. */
static void remove_member(unsigned char *bytes, size_t length, const char *key) {
    char *text = header_of(bytes, length);
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = strstr(text, quoted);
    if (CHECK(at != NULL)) {
        const char *value = strchr(at + strlen(quoted), '"');
        const char *end = strchr(value + 1, '"') + 1; /* a checksum needs no escapes */
        const char *begin = at;
        if (*end == ',')
            end++;
        else
            while (*begin != ',')
                begin--;
        memset(bytes + 8 + (begin - text), ' ', (size_t)(end - begin));
    }
    free(text);
}

/* A file without a checksum loads; one with a wrong checksum does not. */
static void a_wrong_checksum_is_refused_a_missing_one_is_not(void) {
    home_model *model = trained_model(2, 0);
    size_t length;
    unsigned char *bytes = model_bytes(model, 0, &length);
    home_model *loaded = NULL;
    home_error error = new_error();
    unsigned char *last = &bytes[length - 3];
    *last ^= 1;
    CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, &error), HOME_E_CHECKSUM);
    CHECK_CONTAINS(error.message, "crc32");
    CHECK(loaded == NULL);
    *last ^= 1;
    remove_member(bytes, length, "home.crc32");
    if (!CHECK_INTEGER(home_model_load_memory(bytes, length, NULL, &loaded, &error), HOME_OK))
        printf("%s\n", error.message);
    if (loaded) {
        CHECK(same_tensors(loaded, model));
        home_model_release(loaded);
    }
    free(bytes);
    home_model_release(model);
}

/* --------------------------------------------------------------------------------------- damage */

/* A model as small as can be, so that every byte of its file can be tried. */
static unsigned char *tiny_file(size_t *length) {
    setup s;
    setup_small(&s);
    setup_tasks(&s, 1, (const char *const[]){NULL}, 1);
    s.config.dense_width = 0;
    s.config.tables = &s.tables[0];
    s.config.table_count = s.config.field_count = 1;
    s.tables[0].rows = 2;
    s.tables[0].dim = 1;
    s.layers[0].width = s.layers[1].width = 1;
    s.layers[0].hidden_count = 0;
    for (size_t i = 0; i < 2; i++) {
        s.layers[i].shared_experts = s.layers[i].group_experts = 1;
        s.layers[i].feature_branches = 1;
    }
    s.layers[1].task_experts = 1;
    s.config.self_gates = HOME_OFF;
    s.config.tower_hidden_count = 0;
    home_model *model = make_model(&s);
    data d;
    data_create(&d, &s.config, 3, 1);
    train_step(model, &d);
    data_free(&d);
    CHECK_INTEGER(home_model_set_metadata(model, "note", "tiny", NULL), HOME_OK);
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, length);
    home_model_release(model);
    return bytes;
}

static bool is_damage(home_status status) {
    return status == HOME_E_FORMAT || status == HOME_E_CHECKSUM || status == HOME_E_MISMATCH ||
           status == HOME_E_UNSUPPORTED || status == HOME_E_CONFIG || status == HOME_E_JSON ||
           status == HOME_E_TOO_LARGE;
}

static void every_truncated_file_is_refused(void) {
    size_t length;
    unsigned char *bytes = tiny_file(&length);
    for (size_t cut = 0; cut < length; cut++) {
        unsigned char *part = malloc(cut + (cut == 0)); /* its own block, for sanitizers */
        REQUIRE(part);
        memcpy(part, bytes, cut);
        home_model *model = NULL;
        const home_status status = load_bytes(part, cut, &model);
        if (!is_damage(status) || model)
            test_fail(__FILE__, __LINE__, "the first %zu of %zu bytes: status %d", cut, length,
                      (int)status);
        home_model_release(model);
        free(part);
    }
    home_model *model = NULL;
    CHECK_INTEGER(load_bytes(bytes, length, &model), HOME_OK);
    home_model_release(model);
    free(bytes);
}

/* A flip in the name of the checksum turns the file into one without a checksum, which may load:
 * then everything else in it is sound. Any other flip is found. */
static void every_flipped_byte_is_found(void) {
    static const unsigned char flips[] = {0x01, 0x20, 0x80, 0xff};
    const size_t flip_count = getenv("TEST_QUICK") ? 1 : sizeof flips;
    size_t length;
    unsigned char *bytes = tiny_file(&length);
    char *header = header_of(bytes, length);
    const char *key = strstr(header, "home.crc32");
    REQUIRE(key);
    const size_t key_begin = 8 + (size_t)(key - header);
    const size_t key_end = key_begin + strlen("home.crc32");
    home_model *original = NULL;
    REQUIRE(load_bytes(bytes, length, &original) == HOME_OK);
    for (size_t i = 0; i < length; i++)
        for (size_t flip = 0; flip < flip_count; flip++) {
            bytes[i] ^= flips[flip];
            home_model *model = NULL;
            const home_status status = load_bytes(bytes, length, &model);
            const bool harmless =
                status == HOME_OK && i >= key_begin && i < key_end &&
                same_tensors(model, original) &&
                strcmp(home_model_config_json(model), home_model_config_json(original)) == 0;
            if (!harmless && (!is_damage(status) || model))
                test_fail(__FILE__, __LINE__,
                          "byte %zu of %zu (header: %zu) with bits %02x flipped: status %d", i,
                          length, header_length(bytes), flips[flip], (int)status);
            home_model_release(model);
            bytes[i] ^= flips[flip];
        }
    home_model_release(original);
    free(header);
    free(bytes);
}

static void files_that_are_not_there_are_named(void) {
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *model = NULL;
    CHECK_INTEGER(home_model_load(path_of("nothing", path), NULL, &model, &error), HOME_E_FILE);
    CHECK_CONTAINS(error.message, "nothing");
    CHECK_INTEGER(home_model_load(folder, NULL, &model, &error), HOME_E_FILE);
    write_whole(path, "", 0);
    CHECK_INTEGER(home_model_load(path, NULL, &model, &error), HOME_E_FORMAT);
    CHECK(model == NULL);
    unlink(path);
}

/* -------------------------------------------------------------------------------- failing saves */

/* A save ends in a rename, which would put a file in a device's place. A FIFO stands for all of
 * them. */
static void what_is_no_file_stays(void) {
    char path[PATH_SIZE];
    setup s;
    setup_small(&s);
    home_model *model = make_model(&s);
    home_error error = new_error();
    struct stat found;
    REQUIRE(mkfifo(path_of("fifo", path), 0600) == 0);
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_E_FILE);
    CHECK_CONTAINS(error.message, "regular file");
    CHECK(stat(path, &found) == 0 && S_ISFIFO(found.st_mode));
    CHECK_INTEGER(home_model_save(model, folder, 0, &error), HOME_E_FILE);
    CHECK_INTEGER(files_in_folder(), 1);
    unlink(path);
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    CHECK(chmod(path, 0640) == 0); /* a file that is replaced keeps its mode */
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    CHECK(stat(path, &found) == 0 && (found.st_mode & 0777) == 0640);
    unlink(path);
    home_model_release(model);
}

static void check_old_file(const char *path, const unsigned char *old, size_t length) {
    size_t now_length;
    unsigned char *now = read_whole(path, &now_length);
    if (CHECK_INTEGER(now_length, length))
        CHECK_BYTES(now, old, length);
    free(now);
    CHECK_INTEGER(files_in_folder(), 1); /* nor is a temporary file left */
}

/* A disk that fills up, played by the limit on the size of a file. */
static void a_full_disk_leaves_the_old_file(void) {
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *model = trained_model(1, 0);
    REQUIRE(home_model_save(model, path_of("kept", path), 0, &error) == HOME_OK);
    size_t length;
    unsigned char *old = read_whole(path, &length);
    train_more(model, 1, 1);
    struct rlimit before;
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    struct rlimit small = before;
    signal(SIGXFSZ, SIG_IGN);
    static const rlim_t limits[] = {0, 1, 100, 4096};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        small.rlim_cur = limits[i];
        REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
        const home_status status = home_model_save(model, path, 0, &error);
        REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK_INTEGER(status, HOME_E_FILE);
        CHECK_CONTAINS(error.message, "kept");
        check_old_file(path, old, length);
    }
    CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_OK);
    signal(SIGXFSZ, SIG_DFL);
    unlink(path);
    free(old);
    home_model_release(model);
}

static void folders_that_refuse_leave_the_old_file(void) {
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *model = trained_model(1, 0);
    CHECK_INTEGER(home_model_save(model, path_of("no/such/folder", path), 0, &error), HOME_E_FILE);
    CHECK_CONTAINS(error.message, "no/such/folder");
    CHECK_INTEGER(home_model_save(model, "", 0, &error), HOME_E_FILE);
    CHECK_INTEGER(home_model_save(model, folder, 0, &error), HOME_E_FILE); /* a folder is no file */
    CHECK_INTEGER(files_in_folder(), 0);

    REQUIRE(home_model_save(model, path_of("kept", path), 0, &error) == HOME_OK);
    size_t length;
    unsigned char *old = read_whole(path, &length);
    train_more(model, 1, 1);
    REQUIRE(chmod(folder, 0500) == 0);
    if (access(folder, W_OK) == 0)
        printf("    an unwritable folder is not one to this user: not tried\n");
    else
        CHECK_INTEGER(home_model_save(model, path, 0, &error), HOME_E_FILE);
    REQUIRE(chmod(folder, 0700) == 0);
    check_old_file(path, old, length);
    unlink(path);
    free(old);
    home_model_release(model);
}

int main(void) {
    folder_make();
    RUN(training_goes_on_after_a_load);
    RUN(learning_rates_go_on_after_a_load);
    RUN(training_starts_anew_without_the_state);
    RUN(file_equals_memory);
    RUN(the_file_has_exactly_the_documented_tensors);
    RUN(metadata_comes_back_from_a_file);
    RUN(awkward_names_come_back_from_a_file);
    RUN(weights_from_elsewhere_are_taken);
    RUN(weights_that_do_not_fit_are_refused);
    RUN(weights_of_too_few_or_too_many_bytes_are_refused);
    RUN(a_wrong_checksum_is_refused_a_missing_one_is_not);
    RUN(every_truncated_file_is_refused);
    RUN(every_flipped_byte_is_found);
    RUN(files_that_are_not_there_are_named);
    RUN(what_is_no_file_stays);
    RUN(a_full_disk_leaves_the_old_file);
    RUN(folders_that_refuse_leave_the_old_file);
    if (rmdir(folder) != 0)
        printf("%s could not be removed\n", folder);
    return test_summary();
}
