/* Fuzzes batches: the input chooses a model, then rows, strides, offsets, ids and values. The
 * arrays have exactly the size that their description demands, so that the sanitizer sees a read
 * too far. Some rows of a good batch are predicted again alone, which must give the same. */
#include "fuzz/fuzz.h"

#include <math.h>
#include <string.h>

enum {
    BUDGET = 4 << 20,
    MODELS = 5,
    MAX_ROWS = 200,
    MAX_FIELDS = 3,
    MAX_IDS = 64,
    FROZEN = MODELS,
    ALL_MODELS = 2 * MODELS
};

static const char *const configs[MODELS] = {
    "{\"dense\":3,\"tables\":[{\"name\":\"user\",\"rows\":11,\"dim\":2},{\"name\":\"tag\",\"rows\":"
    "7,\"dim\":"
    "3,"
    "\"index\":\"hashed\",\"init_std\":1}],\"fields\":[{\"name\":\"user\"},{\"name\":\"tags\","
    "\"table\":"
    "\"tag\",\"pooling\":"
    "\"mean\"},{\"name\":\"seen\",\"table\":\"user\"}],\"tasks\":[{\"name\":\"a\",\"group\":\"g\"},"
    "{\"name\":"
    "\"b\",\"given\":"
    "\"a\"}],\"layers\":[{\"width\":3,\"hidden\":[4]},{\"width\":2}]}",
    "{\"dense\":5,\"tasks\":[{\"name\":\"a\"},{\"name\":\"b\",\"loss\":\"squared\"},{\"name\":"
    "\"c\"}],"
    "\"layers\":[{\"width\":17,"
    "\"shared_experts\":3},{\"width\":9}],\"feature_gate\":{\"init\":\"uniform\",\"order\":\"mix_"
    "first\"}}",
    "{\"preset\":\"mmoe\",\"tables\":[{\"name\":\"t\",\"rows\":1,\"dim\":1}],\"fields\":[{\"name\":"
    "\"t\"}],"
    "\"tasks\":[{\"name\":"
    "\"a\"}],\"layers\":[{\"width\":1}]}",
    "{\"preset\":\"adatt\",\"dense\":2,\"tables\":[{\"name\":\"t\",\"rows\":18446744073709551,"
    "\"dim\":1}],"
    "\"fields\":[{\"name\":"
    "\"t\"}],\"tasks\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"layers\":[{\"width\":4}]}",
    "{\"preset\":\"ple\",\"dense\":4,\"tables\":[{\"name\":\"t\",\"rows\":5,\"dim\":4,\"index\":"
    "\"hashed\"}],"
    "\"fields\":[{\"name\":"
    "\"t\",\"pooling\":\"mean\"},{\"name\":\"u\",\"table\":\"t\"}],\"tasks\":[{\"name\":\"a\"},{"
    "\"name\":"
    "\"b\"}],\"layers\":["
    "{\"width\":4,\"task_experts\":2},{\"width\":3}],\"tower\":{\"hidden\":[3]}}",
};

/* Models live as long as the process. */
typedef struct models {
    fuzz_memory memory;
    home_model
        *all[ALL_MODELS]; /* frozen ones behind the others; NULL where the budget refused one */
} models;

static void make_models(models *m) {
    m->memory = (fuzz_memory){.budget = BUDGET};
    const home_allocator allocator = fuzz_allocator(&m->memory);
    const home_create_options options = {.struct_size = sizeof options, .allocator = &allocator};
    for (size_t i = 0; i < MODELS; i++) {
        const home_status status =
            home_model_create_json(configs[i], strlen(configs[i]), &options, &m->all[i], NULL);
        FUZZ_CHECK(status == HOME_OK || status == HOME_E_MEMORY || status == HOME_E_TOO_LARGE);
        if (status == HOME_OK)
            FUZZ_CHECK(home_model_freeze(m->all[i], &m->all[FROZEN + i], NULL) == HOME_OK);
    }
}

/* A batch and the arrays it points to. */
typedef struct rows {
    home_batch batch;
    float *dense;
    home_ids fields[MAX_FIELDS + 1];
    uint64_t *ids[MAX_FIELDS + 1];
    size_t *offsets[MAX_FIELDS + 1];
} rows;

static uint64_t any_id(fuzz_input *in) {
    const uint8_t byte = fuzz_byte(in);
    return byte < 250 ? byte % 13u : fuzz_bits(in);
}

/* Mostly small steps upward, sometimes anything. */
static size_t any_offset(fuzz_input *in, size_t last) {
    const uint8_t byte = fuzz_byte(in);
    return byte < 250 ? last + byte % 4u : byte < 253 ? last - 1 : (size_t)fuzz_bits(in);
}

/* The library checks that offsets rise, and must trust the last of them: that many ids there
 * are. */
static void make_field(fuzz_input *in, rows *r, size_t f) {
    const size_t count = r->batch.rows;
    size_t ids = count;
    const bool ragged = fuzz_byte(in) & 1;
    if (ragged) {
        r->offsets[f] = malloc((count + 1) * sizeof(size_t));
        FUZZ_CHECK(r->offsets[f]);
        bool rising = true;
        size_t last = 0;
        for (size_t i = 0; i <= count; i++) {
            r->offsets[f][i] = any_offset(in, last);
            rising = rising && r->offsets[f][i] >= last;
            last = r->offsets[f][i];
        }
        if (rising) /* within memory that is there */
            for (size_t i = 0; i <= count; i++)
                if (r->offsets[f][i] > MAX_IDS)
                    r->offsets[f][i] = MAX_IDS;
        ids = rising ? r->offsets[f][count] : 0;
    }
    r->ids[f] = malloc(ids ? ids * sizeof(uint64_t) : 1);
    FUZZ_CHECK(r->ids[f]);
    for (size_t i = 0; i < ids; i++)
        r->ids[f][i] = any_id(in);
    r->fields[f] = (home_ids){.struct_size = sizeof(home_ids),
                              .ids = fuzz_byte(in) == 255 ? NULL : r->ids[f],
                              .offsets = r->offsets[f]};
}

static void make_rows(fuzz_input *in, const home_model *model, rows *r) {
    const size_t width = home_model_dense_width(model);
    const size_t stride = fuzz_byte(in) < 128 ? 0 : fuzz_below(in, 16);
    const size_t count = fuzz_below(in, MAX_ROWS);
    const size_t elements = count ? (count - 1) * (stride ? stride : width) + width : 0;
    *r = (rows){.dense = malloc(elements ? elements * sizeof(float) : 1)};
    FUZZ_CHECK(r->dense);
    for (size_t i = 0; i < elements; i++)
        r->dense[i] = fuzz_float(in);
    const size_t fields = home_model_field_count(model);
    r->batch = (home_batch){sizeof r->batch, count, r->dense, stride, r->fields, fields};
    for (size_t f = 0; f < fields; f++)
        make_field(in, r, f);
    switch (fuzz_byte(in)) { /* descriptions that contradict the model */
    case 251:
        r->batch.struct_size = (size_t)fuzz_bits(in) % sizeof r->batch;
        break;
    case 252:
        r->batch.field_count = (size_t)fuzz_bits(in);
        break;
    case 253:
        r->batch.dense = NULL;
        break;
    case 254:
        r->batch.fields = NULL;
        break;
    case 255:
        r->batch.rows = SIZE_MAX - (size_t)(fuzz_bits(in) >> 8);
        break;
    default:
        break;
    }
}

static void free_rows(rows *r) {
    for (size_t f = 0; f < MAX_FIELDS; f++) {
        free(r->ids[f]);
        free(r->offsets[f]);
    }
    free(r->dense);
}

/* The same bytes, but that NaN is NaN whatever its bits. */
static bool same(const float *a, const float *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!(a[i] == b[i] && signbit(a[i]) == signbit(b[i])) && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

static void check_alone(const home_model *model, const rows *r, size_t row, const float *expected) {
    const size_t tasks = home_model_task_count(model);
    const size_t width = home_model_dense_width(model);
    home_ids fields[MAX_FIELDS];
    home_batch one = r->batch;
    one.rows = 1;
    one.fields = fields;
    one.dense = r->dense + row * (one.dense_stride ? one.dense_stride : width);
    for (size_t f = 0; f < one.field_count; f++) {
        fields[f] = r->fields[f];
        if (fields[f].offsets)
            fields[f].offsets += row;
        else
            fields[f].ids += row;
    }
    float alone[4];
    FUZZ_CHECK(home_model_predict(model, &one, alone, 0, NULL, NULL) == HOME_OK);
    FUZZ_CHECK(same(alone, expected, tasks));
}

static void check_predict(const home_model *model, const rows *r, size_t stride,
                          fuzz_memory *memory) {
    const size_t tasks = home_model_task_count(model);
    const size_t step = stride ? stride : tasks;
    const size_t count = r->batch.rows < MAX_ROWS ? r->batch.rows : 0;
    const size_t elements = count ? (count - 1) * step + tasks : 0;
    float *out = malloc(elements ? elements * sizeof *out : 1);
    FUZZ_CHECK(out);
    home_error error = {.struct_size = sizeof error};
    const home_status status = home_model_predict(model, &r->batch, out, stride, NULL, &error);
    fuzz_check_outcome(status, &error, memory);
    FUZZ_CHECK(status == HOME_OK || status == HOME_E_ARGUMENT || status == HOME_E_VALUE ||
               status == HOME_E_MEMORY || status == HOME_E_TOO_LARGE);
    fuzz_memory_heal(memory);
    if (status == HOME_OK && count && r->batch.struct_size == sizeof r->batch)
        for (size_t row = 0; row < count; row += 1 + count / 8)
            check_alone(model, r, row, out + row * step);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static models m;
    if (!m.memory.budget)
        make_models(&m);
    fuzz_input in = {data, size};
    const fuzz_memory given = fuzz_memory_start(&in, BUDGET);
    const home_model *model = m.all[fuzz_below(&in, ALL_MODELS)];
    if (!model)
        return 0;
    const size_t stride = fuzz_byte(&in) < 128 ? 0 : fuzz_below(&in, 8);
    rows r;
    make_rows(&in, model, &r);
    m.memory.allocations = m.memory.refused = 0;
    m.memory.fail_at = given.fail_at;
    m.memory.fail_on = given.fail_on;
    check_predict(model, &r, stride, &m.memory);
    free_rows(&r);
    return 0;
}
