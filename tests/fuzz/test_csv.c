/* Fuzzes the readers of the program home. The input is a recipe, a zero byte, a CSV file, and last
 * a few choices. A recipe that was learned from the file is written, read again and applied to the
 * same file. */
#include "fuzz/fuzz.h"

#include "../../examples/cli/batch.h"
#include "../../examples/cli/heap.h"
#include "../../examples/cli/learned.h"
#include "../../lib/host/memory.h"

#include <string.h>

enum { BUDGET = 16 << 20, STORED = 1 };

/* ------------------------------------------------------ the program's memory, instead of heap.c */

static fuzz_memory memory;
static home_allocator allocator;

const home_allocator *heap(void) {
    return &allocator;
}

void *heap_new(size_t count, size_t size) {
    return homememory_allocate(&allocator, count, size);
}

void *heap_grow(void *array, size_t *capacity, size_t needed, size_t size) {
    return homememory_grow(&allocator, &array, capacity, needed, size) ? array : NULL;
}

void heap_free(void *bytes) {
    homememory_free(&allocator, bytes);
}

/* --------------------------------------------------------------------------------------- checks */

static char *learned_text(const recipe *of, size_t *length) {
    hometext text = {.allocator = &allocator};
    learned_write(of, &text);
    if (text.failed) {
        heap_free(text.data);
        return NULL;
    }
    *length = text.length;
    return text.data;
}

static void check_ids(const dataset *data) {
    for (size_t f = 0; f < data->by->field_count; f++)
        for (size_t i = 0; i < data->ids[f].count; i++)
            FUZZ_CHECK(data->ids[f].rows[i] <=
                       data->by->tables[data->by->fields[f].table].values.count);
}

/* Fills a batch with all rows, which must not leave its arrays. */
static void check_batch(const recipe *by, const dataset *data, failure *why) {
    batch rows;
    if (data->rows == 0 || !batch_start(&rows, by, data->rows, why))
        return;
    batch_fill(&rows, data, NULL, 0, data->rows, NULL, why);
    batch_free(&rows);
}

static bool load(dataset *data, recipe *by, const char *path, dataset_use use, failure *why) {
    dataset_reader reader;
    if (!dataset_open(&reader, by, path, use, why))
        return false;
    const bool loaded = dataset_load(data, &reader, why);
    dataset_close(&reader);
    return loaded;
}

/* What was written reads back as the same, and fits the file it was learned from. */
static void check_learned(const recipe *of, const char *path) {
    failure why = {""};
    size_t length;
    size_t again_length;
    recipe again;
    dataset data = {0};
    char *text = learned_text(of, &length);
    if (!text)
        return;
    const bool read = learned_read(&again, "learned", text, &why);
    FUZZ_CHECK(read || memory.refused > 0);
    if (read) {
        char *again_text = learned_text(&again, &again_length);
        FUZZ_CHECK(!again_text ||
                   (again_length == length && memcmp(again_text, text, length) == 0));
        heap_free(again_text);
        const bool loaded = load(&data, &again, path, DATASET_EVALUATE, &why);
        FUZZ_CHECK(loaded || memory.refused > 0);
        if (loaded) {
            check_ids(&data);
            check_batch(&again, &data, &why);
            dataset_free(&data);
        }
        recipe_free(&again);
    }
    heap_free(text);
}

static void train(recipe *by, const char *path) {
    failure why = {""};
    dataset data = {0};
    const bool loaded = load(&data, by, path, DATASET_TRAIN, &why);
    FUZZ_CHECK(loaded == (why.text[0] == 0));
    if (!loaded)
        return;
    check_ids(&data);
    check_batch(by, &data, &why);
    dataset_free(&data);
    check_learned(by, path);
}

/* A recipe out of a checkpoint, which somebody may have changed. */
static void use_stored(const char *text, const char *path) {
    failure why = {""};
    recipe by;
    dataset data = {0};
    if (!learned_read(&by, "stored", text, &why)) {
        FUZZ_CHECK(why.text[0] != 0);
        return;
    }
    if (load(&data, &by, path, DATASET_PREDICT, &why)) {
        check_ids(&data);
        check_batch(&by, &data, &why);
        dataset_free(&data);
    }
    recipe_free(&by);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static fuzz_file recipe_file;
    static fuzz_file csv_file;
    fuzz_input in = {data, size};
    const unsigned flags = fuzz_byte(&in);
    memory = fuzz_memory_start(&in, BUDGET);
    allocator = fuzz_allocator(&memory);
    const uint8_t *zero = in.size ? memchr(in.data, 0, in.size) : NULL;
    const size_t length = zero ? (size_t)(zero - in.data) : in.size;
    fuzz_file_set(&recipe_file, in.data, length);
    fuzz_file_set(&csv_file, zero ? zero + 1 : in.data, zero ? in.size - length - 1 : 0);
    failure why = {""};
    recipe by;
    if (flags & STORED) {
        char *text = malloc(length + 1);
        FUZZ_CHECK(text);
        if (length)
            memcpy(text, in.data, length);
        text[length] = 0;
        use_stored(text, csv_file.path);
        free(text);
    } else if (recipe_read(&by, recipe_file.path, &why)) {
        train(&by, csv_file.path);
        recipe_free(&by);
    } else {
        FUZZ_CHECK(why.text[0] != 0);
    }
    FUZZ_CHECK(memory.live == 0);
    return 0;
}
