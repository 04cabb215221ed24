#include "csv.h"

#include "heap.h"
#include "kind.h"

#include <string.h>

#ifndef CSV_CAPACITY /* a test wants small steps */
#define CSV_CAPACITY ((size_t)1 << 20)
#endif
/* What a forgotten quote may swallow before it is an error. */
#define MAX_RECORD ((size_t)1 << 26)
/* A field of one byte takes forty of memory. */
#define MAX_FIELDS      ((size_t)1000000)
#define MAX_FIELDS_TEXT "1000000"

/* ----------------------------------------------------------------------------------- the buffer */

static void move_to_front(csv_reader *csv) {
    memmove(csv->buffer, csv->buffer + csv->begin, csv->end - csv->begin);
    csv->end -= csv->begin;
    csv->begin = 0;
}

static bool fail_long(const csv_reader *csv, failure *why) {
    return fail(why, "%s:%zu:1: a record of more than %zu MiB; is a quote left open?",
                csv->from.path, csv->line, MAX_RECORD >> 20);
}

/* Reads more bytes after those in the buffer, leaving room for a final zero. *got is 0 at the end
 * of the file. */
static bool refill(csv_reader *csv, size_t *got, failure *why) {
    move_to_front(csv);
    if (csv->end + 1 >= csv->capacity) {
        if (csv->end > MAX_RECORD)
            return fail_long(csv, why);
        char *grown = heap_grow(csv->buffer, &csv->capacity, csv->capacity + CSV_CAPACITY, 1);
        if (!grown)
            return fail_memory(why);
        csv->buffer = grown;
    }
    if (!source_read(&csv->from, csv->buffer + csv->end, csv->capacity - csv->end - 1, got, why))
        return false;
    csv->end += *got;
    return true;
}

static bool has_odd_quotes(const char *from, const char *to) {
    bool odd = false;
    while (from < to && (from = memchr(from, '"', (size_t)(to - from))) != NULL) {
        odd = !odd;
        from++;
    }
    return odd;
}

/* The length of the record at `begin` without its line end, and with it (*past). A line end counts
 * where the quotes before it pair up. The last line of the file may lack its end. */
static bool measure_record(csv_reader *csv, size_t *length, size_t *past, failure *why) {
    size_t seen = 0;
    bool quoted = false;
    for (;;) {
        const char *start = csv->buffer + csv->begin;
        const size_t there = csv->end - csv->begin;
        const char *newline = memchr(start + seen, '\n', there - seen);
        const size_t upto = newline ? (size_t)(newline - start) : there;
        quoted ^= has_odd_quotes(start + seen, start + upto);
        seen = upto + (newline != NULL);
        if (newline && !quoted) {
            *length = upto - (upto > 0 && start[upto - 1] == '\r');
            *past = seen;
            return true;
        }
        size_t got = 1;
        if (!newline && !refill(csv, &got, why))
            return false;
        if (got == 0) {
            *length = *past = there;
            return true;
        }
    }
}

/* ----------------------------------------------------------------------------------- one record */

/* Where the parser is in a record. */
typedef struct cursor {
    char *at;
    char *end;
    size_t line;
    char *line_start;
} cursor;

static bool fail_at(const csv_reader *csv, size_t line, size_t byte, const char *what,
                    failure *why) {
    return fail(why, "%s:%zu:%zu: %s", csv->from.path, line, byte, what);
}

static bool fail_here(const csv_reader *csv, const cursor *c, const char *what, failure *why) {
    return fail_at(csv, c->line, (size_t)(c->at - c->line_start) + 1, what, why);
}

/* A file whose lines end in CR alone would be one long header without any rows. */
static bool fail_lone_cr(const csv_reader *csv, const cursor *c, failure *why) {
    return fail_here(csv, c, "a line end of CR alone; expected LF, or CR and LF", why);
}

/* Takes text up to the next comma. */
static bool take_plain(const csv_reader *csv, cursor *c, csv_field *field, failure *why) {
    field->text = c->at;
    while (c->at < c->end && *c->at != ',' && *c->at != '"' && *c->at != '\r')
        c->at++;
    if (c->at < c->end && *c->at == '\r')
        return fail_lone_cr(csv, c, why);
    if (c->at < c->end && *c->at == '"')
        return fail_here(
            csv, c,
            "a quote inside a field; expected the whole field in quotes, and its quotes doubled",
            why);
    field->length = (size_t)(c->at - field->text);
    return true;
}

/* Takes text up to the closing quote, and closes the gaps where two quotes become one. */
static bool take_quoted(const csv_reader *csv, cursor *c, csv_field *field, failure *why) {
    char *to = field->text = ++c->at;
    for (;; c->at++) {
        if (c->at == c->end)
            return fail_at(csv, field->line, field->byte,
                           "a quoted field without its closing quote", why);
        if (*c->at == '"') {
            c->at++;
            if (c->at == c->end || *c->at != '"')
                break;
        } else if (*c->at == '\n') {
            c->line++;
            c->line_start = c->at + 1;
        }
        *to++ = *c->at;
    }
    field->length = (size_t)(to - field->text);
    if (c->at < c->end && *c->at == '\r')
        return fail_lone_cr(csv, c, why);
    if (c->at < c->end && *c->at != ',')
        return fail_here(
            csv, c, "text after a closing quote; expected a comma or the end of the line", why);
    *to = 0;
    return true;
}

static bool take_field(const csv_reader *csv, cursor *c, csv_field *field, failure *why) {
    field->line = c->line;
    field->byte = (size_t)(c->at - c->line_start) + 1;
    if (c->at < c->end && *c->at == '"')
        return take_quoted(csv, c, field, why);
    return take_plain(csv, c, field, why);
}

static csv_field *add_field(csv_reader *csv, failure *why) {
    if (csv->field_count == MAX_FIELDS) {
        fail_at(csv, csv->line, 1, "a record of more than " MAX_FIELDS_TEXT " fields", why);
        return NULL;
    }
    csv_field *grown =
        heap_grow(csv->fields, &csv->field_capacity, csv->field_count + 1, sizeof *csv->fields);
    if (!grown) {
        fail_memory(why);
        return NULL;
    }
    csv->fields = grown;
    return &csv->fields[csv->field_count++];
}

/* Whatever reads a field as a C string would take it for the text before its zero byte. */
static bool check_no_zero(const csv_reader *csv, cursor at, failure *why) {
    const char *zero = memchr(at.at, 0, (size_t)(at.end - at.at));
    if (!zero)
        return true;
    for (; at.at < zero; at.at++) {
        if (*at.at == '\n') {
            at.line++;
            at.line_start = at.at + 1;
        }
    }
    return fail_here(csv, &at, "a zero byte; expected text in UTF-8 (is the file in UTF-16?)", why);
}

static bool split_record(csv_reader *csv, size_t length, failure *why) {
    char *start = csv->buffer + csv->begin;
    cursor c = {start, start + length, csv->line, start};
    if (!check_no_zero(csv, c, why))
        return false;
    csv->field_count = 0;
    for (;;) {
        csv_field *field = add_field(csv, why);
        if (!field)
            return false;
        if (!take_field(csv, &c, field, why))
            return false;
        const bool last = c.at == c.end;
        *c.at = 0; /* the comma, the line end, or the buffer's spare byte */
        if (last)
            return true;
        c.at++;
    }
}

static size_t count_lines(const char *text, size_t length) {
    size_t lines = 0;
    for (const char *p = text, *end = text + length;
         p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lines++;
    return lines;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

/* Editors and exports leave blank lines at the end of a file: they are no records. A blank line
 * before others is one: in a file of one column, an empty field. */
static bool skip_blank_end(csv_reader *csv, failure *why) {
    size_t got = 1;
    while (csv->blank < csv->end - csv->begin || got > 0) {
        if (csv->blank == csv->end - csv->begin) {
            if (!refill(csv, &got, why))
                return false;
        } else if (!is_blank(csv->buffer[csv->begin + csv->blank])) {
            return true;
        } else {
            csv->blank++;
        }
    }
    csv->begin = csv->end;
    return true;
}

/* The next record, with any number of fields. */
static bool next_record(csv_reader *csv, bool *more, failure *why) {
    size_t length = 0;
    size_t past = 0;
    if (!skip_blank_end(csv, why))
        return false;
    if (!measure_record(csv, &length, &past, why))
        return false;
    *more = past > 0;
    if (!*more)
        return true;
    if (past > MAX_RECORD) /* the buffer grows by more than it needs */
        return fail_long(csv, why);
    const size_t lines = count_lines(csv->buffer + csv->begin, past);
    if (!split_record(csv, length, why))
        return false;
    csv->begin += past;
    csv->blank -= past < csv->blank ? past : csv->blank;
    csv->line += lines;
    csv->records++;
    return true;
}

/* ----------------------------------------------------------------------------------- the reader */

/* The first bytes may show that this is another kind of file, or be a byte order mark. */
static bool check_first_bytes(csv_reader *csv, failure *why) {
    size_t got = 1;
    while (csv->end < KIND_BYTES && got > 0) {
        if (!refill(csv, &got, why))
            return false;
    }
    const file_kind kind = kind_of_bytes(csv->buffer, csv->end);
    if (kind == KIND_GZIP)
        return fail(why, "%s: compressed by gzip; expected a name that ends in .gz",
                    csv->from.path);
    if (kind == KIND_CHECKPOINT || kind == KIND_JSON || kind == KIND_PAGE)
        return fail(why, "%s: not a CSV table: it looks like %s; expected a table", csv->from.path,
                    kind_name(kind));
    if (csv->end >= 3 && memcmp(csv->buffer, "\xef\xbb\xbf", 3) == 0)
        csv->begin = 3;
    return true;
}

/* Copies the names, because the buffer moves on. */
static bool keep_header(csv_reader *csv, failure *why) {
    size_t bytes = 0;
    for (size_t i = 0; i < csv->field_count; i++)
        bytes += csv->fields[i].length + 1;
    csv->header = heap_new(bytes, 1);
    csv->names = heap_new(csv->field_count, sizeof *csv->names);
    if (!csv->header || !csv->names)
        return fail_memory(why);
    size_t at = 0;
    for (size_t i = 0; i < csv->field_count; i++) {
        memcpy(csv->header + at, csv->fields[i].text, csv->fields[i].length);
        csv->names[i] = at;
        at += csv->fields[i].length + 1;
        const char *name = csv->header + csv->names[i];
        if (!vocabulary_add(&csv->index, name, strlen(name), i + 1))
            return fail_memory(why);
    }
    csv->columns = csv->field_count;
    return true;
}

static bool read_header(csv_reader *csv, failure *why) {
    bool more = false;
    if (!check_first_bytes(csv, why) || !next_record(csv, &more, why))
        return false;
    if (!more)
        return fail_at(csv, 1, 1,
                       "the file is empty; expected a line with the names of the columns", why);
    return keep_header(csv, why);
}

bool csv_open(csv_reader *csv, const char *path, failure *why) {
    memset(csv, 0, sizeof *csv);
    csv->line = 1;
    if (!source_open(&csv->from, path, why))
        return false;
    csv->buffer = heap_grow(NULL, &csv->capacity, CSV_CAPACITY, 1);
    const bool read = csv->buffer ? read_header(csv, why) : fail_memory(why);
    if (read)
        return true;
    csv_close(csv);
    return false;
}

void csv_close(csv_reader *csv) {
    source_close(&csv->from);
    heap_free(csv->buffer);
    heap_free(csv->fields);
    heap_free(csv->header);
    heap_free(csv->names);
    vocabulary_free(&csv->index);
}

bool csv_next(csv_reader *csv, bool *more, failure *why) {
    const size_t line = csv->line;
    if (!next_record(csv, more, why))
        return false;
    if (!*more || csv->field_count == csv->columns)
        return true;
    return fail(why, "%s:%zu:1: number of fields: %zu; expected %zu, as in the header",
                csv->from.path, line, csv->field_count, csv->columns);
}

/* What to say where the header has more of another separator than commas. */
static const char *separator_hint(const csv_reader *csv) {
    static const struct {
        char separator;
        const char *hint;
    } others[] = {{'\t', " (and commas between fields, not tabs)"},
                  {';', " (and commas between fields, not \";\")"},
                  {'|', " (and commas between fields, not \"|\")"}};
    for (size_t o = 0; o < sizeof others / sizeof others[0]; o++) {
        size_t found = 0;
        for (size_t i = 0; i < csv->columns; i++) {
            for (const char *at = csv->header + csv->names[i]; *at; at++)
                found += *at == others[o].separator;
        }
        if (found >= csv->columns)
            return others[o].hint;
    }
    return "";
}

/* Quotes the first names of the header, which show a misspelt name, a wrong file or another
 * separator. */
static bool fail_missing(const csv_reader *csv, const char *name, failure *why) {
    char header[200] = "";
    size_t used = 0;
    size_t i = 0;
    for (; i < csv->columns && used < 120; i++) {
        snprintf(header + used, sizeof header - used, " \"%.60s\"", csv->header + csv->names[i]);
        used = strlen(header);
    }
    return fail(why, "%s:1:1: no column \"%s\" in the header, which has%s%s; expected one%s",
                csv->from.path, name, header, i < csv->columns ? " ..." : "", separator_hint(csv));
}

bool csv_column(const csv_reader *csv, const char *name, size_t *column, failure *why) {
    const uint32_t row = vocabulary_find(&csv->index, name, strlen(name));
    if (row == 0)
        return fail_missing(csv, name, why);
    const vocabulary_entry *found = &csv->index.entries[row - 1];
    if (found->records > 1)
        return fail(why, "%s:1:1: %zu columns \"%s\" in the header; expected one", csv->from.path,
                    found->records, name);
    *column = found->last_record - 1;
    return true;
}

bool csv_fail(const csv_reader *csv, size_t column, const char *expected, failure *why) {
    const csv_field *field = &csv->fields[column];
    return fail(why, "%s:%zu:%zu: column \"%.80s\": \"%.80s\"; expected %s", csv->from.path,
                field->line, field->byte, csv->header + csv->names[column], field->text, expected);
}

void csv_write(const char *text, FILE *to) {
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}
