/* Accumulators as bytes that one machine writes and another merges.
 *
 *     magic     8 bytes
 *     version   32 bits
 *     crc32     32 bits, of all bytes behind it
 *     size      64 bits, of the whole
 *     contents
 *
 * All numbers are little-endian, doubles as their IEEE bits. */
#ifndef HOME_BYTES_H
#define HOME_BYTES_H

#include "../base/base.h"

/* One kind of accumulator. */
typedef struct homebytes_form {
    const char *magic; /* 8 characters */
    uint32_t version;
    const char *what; /* for messages: "home_metrics" */
} homebytes_form;

/* -------------------------------------------------------------------------------------- writing */

typedef struct homebytes_writer {
    unsigned char *bytes; /* NULL: only `used` counts */
    size_t used;
    bool overflow; /* more bytes than size_t can count */
} homebytes_writer;

void homebytes_put(homebytes_writer *out, const void *bytes, size_t size);
void homebytes_put_32(homebytes_writer *out, uint32_t value);
void homebytes_put_64(homebytes_writer *out, uint64_t value);
void homebytes_put_double(homebytes_writer *out, double value);

/* Calls `put` to count the contents and, where there is a buffer, once more to write them. */
home_status homebytes_write(const homebytes_form *form, const void *object,
                            void (*put)(homebytes_writer *out, const void *object), void *buffer,
                            size_t capacity, size_t *length, home_error *error);

/* -------------------------------------------------------------------------------------- reading */

/* Past the end, whatever is read is 0 and the reader has failed. */
typedef struct homebytes_reader {
    const unsigned char *next;
    size_t left;
    bool failed;
} homebytes_reader;

/* Checks all but the contents, where the reader then stands. */
home_status homebytes_open(homebytes_reader *in, const homebytes_form *form, const void *bytes,
                           size_t size, home_error *error);

/* Goes past count * size bytes; returns where they begin, or NULL. */
const unsigned char *homebytes_skip(homebytes_reader *in, uint64_t count, size_t size);
uint32_t homebytes_get_32(homebytes_reader *in);
uint64_t homebytes_get_64(homebytes_reader *in);
double homebytes_get_double(homebytes_reader *in);

#endif
