/* Fuzzes the reader of serving images. The input is an image, and last a choice. The harness puts
 * the fixed part of the header and the checksum into it, so that the search gets past them. */
#include "base/crc32.h"
#include "fuzz/fuzz.h"
#include "serve/image.h"

#include <stddef.h>
#include <string.h>

enum { AS_IT_IS = 1, MAX_MEMORY = 1 << 24 };

static void repair_header(unsigned char *image, size_t size) {
    homeimage_header header;
    const size_t covered = offsetof(homeimage_header, panel);
    if (size < sizeof header)
        return;
    memcpy(&header, image, sizeof header);
    memcpy(header.magic, HOME_IMAGE_MAGIC, sizeof header.magic);
    header.byte_order = HOME_IMAGE_ORDER;
    header.version = header.dense_names ? HOME_IMAGE_NAMED : HOME_IMAGE_VERSION;
    header.size = size;
    homecrc32 crc;
    homecrc32_start(&crc);
    homecrc32_add(&crc, image + covered, size - covered);
    header.crc32 = homecrc32_value(&crc);
    memcpy(image, &header, sizeof header);
}

/* Memory of exactly this size, so that the sanitizer sees every step beyond it. */
static void *exact(size_t size) {
    void *memory = malloc(size ? size : 1);
    FUZZ_CHECK(memory);
    return memory;
}

/* Two rows: zeros, and whatever the bytes of the image are as floats. */
static void use(const home_model *model, const unsigned char *image, size_t size) {
    static const uint64_t ids[3] = {0, 1, UINT64_MAX};
    static const size_t offsets[3] = {0, 1, 3};
    const size_t dense = home_model_dense_width(model);
    const size_t fields = home_model_field_count(model);
    const size_t scratch_size = home_workspace_size(model);
    if (scratch_size > MAX_MEMORY || dense > MAX_MEMORY / 8)
        return;
    home_workspace *workspace = NULL;
    void *scratch = exact(scratch_size);
    memset(scratch, 0, scratch_size);
    float *rows = exact(2 * dense * sizeof *rows);
    float *out = exact(2 * home_model_task_count(model) * sizeof *out);
    home_ids *field = exact(fields * sizeof *field);
    memset(rows, 0, 2 * dense * sizeof *rows);
    memcpy(rows + dense, image, size < dense * sizeof *rows ? size : dense * sizeof *rows);
    for (size_t f = 0; f < fields; f++)
        field[f] = (home_ids){
            .struct_size = sizeof(home_ids), .ids = ids, .offsets = f % 2 ? offsets : NULL};
    const home_batch batch = {sizeof batch, 2, rows, 0, field, fields};
    FUZZ_CHECK(home_workspace_init(model, scratch, scratch_size, &workspace, NULL) == HOME_OK);
    const home_status status = home_model_predict(model, &batch, out, 0, workspace, NULL);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_VALUE); /* an id that a table has no row for */
    free(field);
    free(out);
    free(rows);
    free(scratch);
}

/* What opens can be written again, unless a weight is not finite, and opens again. */
static void check_round_trip(const home_model *model) {
    size_t size = 0;
    FUZZ_CHECK(home_image_write(model, NULL, NULL, 0, &size, NULL) == HOME_OK);
    if (size > MAX_MEMORY)
        return;
    unsigned char *image = aligned_alloc(HOME_ALIGNMENT, size);
    FUZZ_CHECK(image);
    const home_status status = home_image_write(model, NULL, image, size, &size, NULL);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_VALUE);
    size_t needed = 0;
    home_model *again = NULL;
    if (status == HOME_OK) {
        FUZZ_CHECK(home_image_model_size(image, size, &needed, NULL) == HOME_OK);
        void *memory = exact(needed);
        FUZZ_CHECK(home_image_open(image, size, memory, needed, &again, NULL) == HOME_OK);
        FUZZ_CHECK(home_model_macs_per_row(again) == home_model_macs_per_row(model));
        free(memory);
    }
    free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input in = {data, size};
    const unsigned flags = fuzz_byte(&in);
    const size_t whole = homesize_align(in.size); /* aligned_alloc's condition */
    unsigned char *image = aligned_alloc(HOME_ALIGNMENT, whole ? whole : HOME_ALIGNMENT);
    FUZZ_CHECK(image);
    memset(image, 0, whole);
    if (in.size)
        memcpy(image, in.data, in.size);
    if (!(flags & AS_IT_IS))
        repair_header(image, whole);
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    size_t needed = 0;
    if (home_image_model_size(image, whole, &needed, &error) == HOME_OK && needed <= MAX_MEMORY) {
        void *memory = exact(needed);
        const home_status status = home_image_open(image, whole, memory, needed, &model, &error);
        FUZZ_CHECK((status == HOME_OK) == (model != NULL));
        FUZZ_CHECK(status == HOME_OK || (error.status == status && error.message[0] != 0));
        if (model) {
            use(model, image, whole);
            check_round_trip(model);
        }
        free(memory);
    }
    free(image);
    return 0;
}
