#include "dataset.h"

#include "heap.h"
#include "number.h"
#include "print.h"

#include "../../lib/base/utf8.h"

#include <math.h>
#include <string.h>

/* --------------------------------------------------------------------------------------- memory */

bool dataset_start(dataset *data, const recipe *by, failure *why) {
    *data = (dataset){.by = by,
                      .dense = {.row_bytes = by->dense_count * sizeof(float)},
                      .raw = {.row_bytes = by->dense_count * sizeof(double)},
                      .rounded = heap_new(by->dense_count, sizeof *data->rounded),
                      .ids = heap_new(by->field_count, sizeof *data->ids)};
    if (data->rounded && data->ids)
        return true;
    dataset_free(data);
    return fail_memory(why);
}

static void free_ids(dataset *data) {
    for (size_t i = 0; i < data->by->field_count; i++) {
        heap_free(data->ids[i].rows);
        heap_free(data->ids[i].offsets);
    }
}

static void free_parts(row_parts *of) {
    for (size_t i = 0; i < of->count; i++)
        heap_free(of->parts[i]);
    heap_free(of->parts);
    of->parts = NULL;
    of->count = of->capacity = 0;
}

void dataset_free(dataset *data) {
    if (data->ids)
        free_ids(data);
    free_parts(&data->dense);
    free_parts(&data->raw);
    heap_free(data->rounded);
    heap_free(data->ids);
    heap_free(data->labels);
    heap_free(data->weights);
    heap_free(data->users);
    memset(data, 0, sizeof *data);
}

/* Moves *array to room for `rows` rows of `width` floats; the row capacity is the caller's to
 * update. A width of 0 gets memory too, so that there is an address to point to. */
static bool grow_floats(float **array, size_t capacity, size_t rows, size_t width) {
    width += width == 0;
    size_t elements = capacity * width;
    if (rows > SIZE_MAX / width)
        return false;
    float *grown = heap_grow(*array, &elements, rows * width, sizeof **array);
    if (grown)
        *array = grown;
    return grown != NULL;
}

static bool grow_users(dataset *data, size_t rows) {
    size_t elements = data->capacity;
    uint64_t *grown = heap_grow(data->users, &elements, rows, sizeof *grown);
    if (grown)
        data->users = grown;
    return grown != NULL;
}

static bool grow_offsets(id_values *ids, size_t rows) {
    size_t *grown = heap_grow(ids->offsets, &ids->offset_capacity, rows + 1, sizeof *grown);
    if (grown)
        ids->offsets = grown;
    return grown != NULL;
}

static void *row_of(const row_parts *of, size_t row) {
    return (char *)of->parts[row / DATASET_PART_ROWS] + row % DATASET_PART_ROWS * of->row_bytes;
}

const float *dataset_dense(const dataset *data, size_t row) {
    return row_of(&data->dense, row);
}

static double *raw_row(const dataset *data, size_t row) {
    return row_of(&data->raw, row);
}

static bool add_part(row_parts *to) {
    void **grown = heap_grow(to->parts, &to->capacity, to->count + 1, sizeof *grown);
    if (!grown)
        return false;
    to->parts = grown;
    void *part = heap_new(DATASET_PART_ROWS, to->row_bytes);
    if (part)
        to->parts[to->count++] = part;
    return part != NULL;
}

/* Room for one more row in every array except those of the ids themselves. Where transforms are to
 * be learned, raw values take the place of transformed ones. */
static bool make_room(dataset *data, bool raw) {
    row_parts *dense = raw ? &data->raw : &data->dense;
    if (data->rows == dense->count * DATASET_PART_ROWS && !add_part(dense))
        return false;
    for (size_t i = 0; i < data->by->field_count; i++) {
        if (data->by->fields[i].separator && !grow_offsets(&data->ids[i], data->rows + 1))
            return false;
    }
    if (data->rows < data->capacity)
        return true;
    const size_t rows = data->capacity ? 2 * data->capacity : 1024;
    if (!grow_floats(&data->labels, data->capacity, rows, data->by->label_count) ||
        !grow_floats(&data->weights, data->capacity, rows, 1) || !grow_users(data, rows))
        return false;
    data->capacity = rows;
    return true;
}

/* -------------------------------------------------------------------------------------- one row */

static bool parse_number(const dataset_reader *reader, size_t d, double *value, failure *why) {
    const csv_field *field = &reader->csv.fields[reader->dense[d]];
    *value = (double)NAN;
    return field->length == 0 || number_read(field->text, field->length, value) ||
           csv_fail(&reader->csv, reader->dense[d],
                    "a decimal number, or nothing where it is missing", why);
}

/* Fractions are rounded in every column; whole numbers, such as a time, only past 2^24. */
static bool loses_digits(double value) {
    return fabs(value) > 0x1p24 && value == floor(value) && (double)(float)value != value;
}

static bool keep_raw(const dataset_reader *reader, dataset *data, failure *why) {
    double *raw = raw_row(data, data->rows);
    for (size_t d = 0; d < reader->by->dense_count; d++) {
        if (!parse_number(reader, d, &raw[d], why))
            return false;
        if (reader->by->dense[d].change.step_count == 0 && data->rounded[d] == 0 &&
            loses_digits(raw[d]))
            data->rounded[d] = raw[d];
    }
    return true;
}

static bool parse_dense(const dataset_reader *reader, dataset *data, failure *why) {
    if (reader->use == DATASET_TRAIN)
        return keep_raw(reader, data, why);
    float *dense = row_of(&data->dense, data->rows);
    for (size_t d = 0; d < reader->by->dense_count; d++) {
        double value;
        if (!parse_number(reader, d, &value, why))
            return false;
        dense[d] = transform_apply(&reader->by->dense[d].change, value);
    }
    return true;
}

static bool append_id(id_values *ids, uint32_t row, failure *why) {
    uint32_t *grown = heap_grow(ids->rows, &ids->capacity, ids->count + 1, sizeof *grown);
    if (!grown)
        return fail_memory(why);
    ids->rows = grown;
    ids->rows[ids->count++] = row;
    return true;
}

/* An empty id is an unknown one. */
static bool parse_id(const dataset_reader *reader, size_t f, const char *text, size_t length,
                     id_values *ids, failure *why) {
    vocabulary *values = &reader->by->tables[reader->by->fields[f].table].values;
    if (reader->use != DATASET_TRAIN)
        return append_id(ids, unknown_find(&reader->unknown[f], values, text, length), why);
    if (length == 0)
        return append_id(ids, 0, why);
    if (!homeutf8_is_text(text, length))
        return csv_fail(&reader->csv, reader->fields[f], "text in UTF-8 without zero bytes", why);
    const uint32_t row = vocabulary_add(values, text, length, reader->csv.records);
    return row ? append_id(ids, row, why) : fail_memory(why);
}

/* Separators at the ends and next to each other separate nothing. */
static bool parse_id_list(const dataset_reader *reader, size_t f, id_values *ids, failure *why) {
    const csv_field *field = &reader->csv.fields[reader->fields[f]];
    const char *end = field->text + field->length;
    for (const char *at = field->text; at < end;) {
        const char *found = memchr(at, reader->by->fields[f].separator, (size_t)(end - at));
        const char *stop = found ? found : end;
        if (stop > at && !parse_id(reader, f, at, (size_t)(stop - at), ids, why))
            return false;
        at = stop + 1;
    }
    return true;
}

static bool parse_field(const dataset_reader *reader, size_t f, dataset *data, failure *why) {
    const csv_field *field = &reader->csv.fields[reader->fields[f]];
    id_values *ids = &data->ids[f];
    if (!ids->offsets)
        return parse_id(reader, f, field->text, field->length, ids, why);
    if (!parse_id_list(reader, f, ids, why))
        return false;
    ids->offsets[data->rows + 1] = ids->count;
    return true;
}

static bool parse_ids(const dataset_reader *reader, dataset *data, failure *why) {
    for (size_t f = 0; f < reader->by->field_count; f++) {
        if (!parse_field(reader, f, data, why))
            return false;
    }
    return true;
}

static bool parse_labels(const dataset_reader *reader, dataset *data, failure *why) {
    float *labels = data->labels + data->rows * reader->by->label_count;
    if (reader->use == DATASET_PREDICT)
        return true;
    for (size_t i = 0; i < reader->by->label_count; i++) {
        const csv_field *field = &reader->csv.fields[reader->labels[i]];
        labels[i] = NAN;
        if (field->length == 0)
            continue;
        if (!number_read_float(field->text, field->length, &labels[i]) || labels[i] < 0 ||
            labels[i] > 1)
            return csv_fail(&reader->csv, reader->labels[i],
                            "a label from 0 to 1, or nothing where it is missing", why);
    }
    return true;
}

static bool parse_weight(const dataset_reader *reader, dataset *data, failure *why) {
    data->weights[data->rows] = 1;
    if (reader->weight == CSV_NO_COLUMN)
        return true;
    const csv_field *field = &reader->csv.fields[reader->weight];
    if (number_read_float(field->text, field->length, &data->weights[data->rows]) &&
        data->weights[data->rows] >= 0)
        return true;
    return csv_fail(&reader->csv, reader->weight, "a weight of 0 or more", why);
}

static void parse_user(const dataset_reader *reader, dataset *data) {
    if (reader->user == CSV_NO_COLUMN)
        return;
    const csv_field *field = &reader->csv.fields[reader->user];
    data->users[data->rows] =
        field->length ? vocabulary_hash(field->text, field->length) : HOME_NO_USER;
}

static bool parse_row(const dataset_reader *reader, dataset *data, failure *why) {
    if (!make_room(data, reader->use == DATASET_TRAIN))
        return fail_memory(why);
    if (!parse_dense(reader, data, why) || !parse_ids(reader, data, why) ||
        !parse_labels(reader, data, why) || !parse_weight(reader, data, why))
        return false;
    parse_user(reader, data);
    data->rows++;
    return true;
}

/* -------------------------------------------------------------------------------------- columns */

/* Where the columns are. Prediction needs only the inputs, and evaluation no weights. */
static bool find_columns(dataset_reader *reader, failure *why) {
    const csv_reader *csv = &reader->csv;
    const recipe *by = reader->by;
    for (size_t i = 0; i < by->dense_count; i++) {
        if (!csv_column(csv, by->dense[i].column, &reader->dense[i], why))
            return false;
    }
    for (size_t i = 0; i < by->field_count; i++) {
        if (!csv_column(csv, by->fields[i].column, &reader->fields[i], why))
            return false;
    }
    if (reader->use == DATASET_PREDICT)
        return true;
    for (size_t i = 0; i < by->label_count; i++) {
        if (!csv_column(csv, by->labels[i].column, &reader->labels[i], why))
            return false;
    }
    if (by->user && !csv_column(csv, by->user, &reader->user, why))
        return false;
    return reader->use == DATASET_EVALUATE || !by->row_weight ||
           csv_column(csv, by->row_weight, &reader->weight, why);
}

bool dataset_open(dataset_reader *reader, recipe *by, const char *path, dataset_use use,
                  failure *why) {
    memset(reader, 0, sizeof *reader);
    reader->by = by;
    reader->use = use;
    reader->weight = reader->user = CSV_NO_COLUMN;
    if (!csv_open(&reader->csv, path, why))
        return false;
    reader->dense = heap_new(by->dense_count, sizeof *reader->dense);
    reader->fields = heap_new(by->field_count, sizeof *reader->fields);
    reader->labels = heap_new(by->label_count, sizeof *reader->labels);
    reader->unknown = heap_new(by->field_count, sizeof *reader->unknown);
    const bool room = reader->dense && reader->fields && reader->labels && reader->unknown;
    const bool found = room ? find_columns(reader, why) : fail_memory(why);
    if (found)
        return true;
    dataset_close(reader);
    return false;
}

void dataset_close(dataset_reader *reader) {
    csv_close(&reader->csv);
    heap_free(reader->dense);
    heap_free(reader->fields);
    heap_free(reader->labels);
    heap_free(reader->unknown);
}

/* ----------------------------------------------------------------------------------------- rows */

bool dataset_read(dataset_reader *reader, dataset *data, size_t max_rows, failure *why) {
    data->rows_before += data->rows;
    data->rows = 0;
    for (size_t f = 0; f < data->by->field_count; f++)
        data->ids[f].count = 0;
    while (data->rows < max_rows) {
        bool more = false;
        if (!csv_next(&reader->csv, &more, why))
            return false;
        if (!more)
            break;
        if (!parse_row(reader, data, why))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- learn */

static bool learn_dense(dataset *data, recipe *by, double *column, size_t d) {
    for (size_t r = 0; r < data->rows; r++)
        column[r] = raw_row(data, r)[d];
    if (!transform_learn(&by->dense[d].change, column, data->rows))
        return false;
    for (size_t r = 0; r < data->rows; r++)
        raw_row(data, r)[d] = column[r];
    return true;
}

/* Rounds all values, part by part, so that at no time all are there twice. */
static bool round_values(dataset *data) {
    const size_t values = DATASET_PART_ROWS * data->by->dense_count;
    for (size_t p = 0; p < data->raw.count; p++) {
        if (!add_part(&data->dense))
            return false;
        const double *from = data->raw.parts[p];
        float *to = data->dense.parts[p];
        for (size_t i = 0; i < values; i++)
            to[i] = (float)from[i];
        heap_free(data->raw.parts[p]);
        data->raw.parts[p] = NULL;
    }
    free_parts(&data->raw);
    return true;
}

static void tell_rounded(const dataset *data, const char *path) {
    for (size_t d = 0; d < data->by->dense_count; d++) {
        if (data->rounded[d] != 0)
            print_line(
                stderr,
                "home: warning: %s: column \"%s\" has whole numbers such as %.0f, of "
                "which a model's 32-bit float keeps %.0f; a transform such as \"standardise\" "
                "comes before the rounding",
                path, data->by->dense[d].column, data->rounded[d], (double)(float)data->rounded[d]);
    }
}

static bool learn_transforms(dataset *data, recipe *by, failure *why) {
    double *column = heap_new(data->rows, sizeof *column);
    bool learned = column != NULL;
    for (size_t d = 0; learned && d < by->dense_count; d++)
        learned = learn_dense(data, by, column, d);
    heap_free(column);
    learned = learned && round_values(data);
    return learned || fail_memory(why);
}

static void renumber(id_values *ids, const uint32_t *new_rows) {
    for (size_t i = 0; i < ids->count; i++)
        ids->rows[i] = new_rows[ids->rows[i]];
}

/* Drops a table's rare values, also from the ids already read. */
static bool prune_table(dataset *data, recipe *by, size_t table, failure *why) {
    vocabulary *values = &by->tables[table].values;
    uint32_t *new_rows = heap_new(values->count + 1, sizeof *new_rows);
    if (!new_rows || !vocabulary_prune(values, (size_t)by->tables[table].min_count, new_rows)) {
        heap_free(new_rows);
        return fail_memory(why);
    }
    for (size_t f = 0; f < by->field_count; f++) {
        if (by->fields[f].table == table)
            renumber(&data->ids[f], new_rows);
    }
    heap_free(new_rows);
    return true;
}

static bool learn(dataset *data, recipe *by, const char *path, failure *why) {
    tell_rounded(data, path);
    for (size_t t = 0; t < by->table_count; t++) {
        if (!prune_table(data, by, t, why))
            return false;
    }
    return learn_transforms(data, by, why);
}

bool dataset_load(dataset *data, dataset_reader *reader, failure *why) {
    if (!dataset_start(data, reader->by, why))
        return false;
    if (dataset_read(reader, data, SIZE_MAX, why) &&
        (reader->use != DATASET_TRAIN || learn(data, reader->by, reader->csv.from.path, why)))
        return true;
    dataset_free(data);
    return false;
}
