/* A streaming reader of CSV (RFC 4180): quoted fields with commas, line ends and doubled quotes;
 * lines that end in LF or CRLF, and an error where one ends in CR; a byte order mark and blank
 * lines at the end are skipped. The first record names the columns, and every other must have as
 * many fields. */
#ifndef CLI_CSV_H
#define CLI_CSV_H

#include "source.h"
#include "vocabulary.h"

#include <stdio.h>

/* A field, unquoted, with a zero byte after it, and where it begins in the file. */
typedef struct csv_field {
    char *text;
    size_t length;
    size_t line; /* from 1 */
    size_t byte; /* in its line, from 1 */
} csv_field;

typedef struct csv_reader {
    source from;
    char *buffer;
    size_t capacity;
    size_t begin; /* buffer[begin .. end) is not yet parsed */
    size_t end;
    size_t blank;      /* bytes from `begin` known to be blank */
    size_t line;       /* of buffer[begin] */
    size_t records;    /* read so far, the header too */
    csv_field *fields; /* of the last record; valid until the next */
    size_t field_count;
    size_t field_capacity;
    char *header;  /* the names of the columns, each with a zero byte */
    size_t *names; /* [columns], offsets into header */
    size_t columns;
    vocabulary index; /* of the names; record i + 1 is column i */
} csv_reader;

#define CSV_NO_COLUMN SIZE_MAX

/* Opens the file and reads the header. The path must outlive the reader. */
bool csv_open(csv_reader *csv, const char *path, failure *why);
void csv_close(csv_reader *csv);

/* Reads the next record into csv->fields. At the end of the file *more is false. */
bool csv_next(csv_reader *csv, bool *more, failure *why);

/* Finds a column by its name; the recipe's error where there is none or more than one. */
bool csv_column(const csv_reader *csv, const char *name, size_t *column, failure *why);

/* The message "FILE:LINE:BYTE: column NAME: "VALUE"; expected ..." about a field of the last
 * record. */
bool csv_fail(const csv_reader *csv, size_t column, const char *expected, failure *why);

/* Writes text as a field, in quotes where it needs them. */
void csv_write(const char *text, FILE *to);

#endif
