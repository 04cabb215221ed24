#include "bytes.h"

#include "../base/crc32.h"
#include "../base/fail.h"
#include "../base/little_endian.h"

#include <inttypes.h>
#include <string.h>

enum { MAGIC = 8, CRC_AT = 12, SIZE_AT = 16, HEADER = 24 };

/* -------------------------------------------------------------------------------------- writing */

void homebytes_put(homebytes_writer *out, const void *bytes, size_t size) {
    if (out->bytes && size)
        memcpy(out->bytes + out->used, bytes, size);
    out->overflow = !homesize_add(out->used, size, &out->used) || out->overflow;
}

void homebytes_put_32(homebytes_writer *out, uint32_t value) {
    unsigned char bytes[4];
    homelittle_put(value, sizeof bytes, bytes);
    homebytes_put(out, bytes, sizeof bytes);
}

void homebytes_put_64(homebytes_writer *out, uint64_t value) {
    unsigned char bytes[8];
    homelittle_put(value, sizeof bytes, bytes);
    homebytes_put(out, bytes, sizeof bytes);
}

void homebytes_put_double(homebytes_writer *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    homebytes_put_64(out, bits);
}

static uint32_t checksum_of(const unsigned char *bytes, size_t size) {
    homecrc32 crc;
    homecrc32_start(&crc);
    homecrc32_add(&crc, bytes + SIZE_AT, size - SIZE_AT);
    return homecrc32_value(&crc);
}

home_status homebytes_write(const homebytes_form *form, const void *object,
                            void (*put)(homebytes_writer *out, const void *object), void *buffer,
                            size_t capacity, size_t *length, home_error *error) {
    homebytes_writer counted = {.used = HEADER};
    put(&counted, object);
    if (counted.overflow)
        return homefail(error, HOME_E_TOO_LARGE, "it holds more bytes than a size_t can count");
    *length = counted.used;
    if (!buffer)
        return HOME_OK;
    if (capacity < counted.used)
        return homefail(error, HOME_E_ARGUMENT, "capacity is %zu, expected at least %zu", capacity,
                        counted.used);
    homebytes_writer out = {.bytes = buffer};
    homebytes_put(&out, form->magic, MAGIC);
    homebytes_put_32(&out, form->version);
    homebytes_put_32(&out, 0); /* the checksum, below */
    homebytes_put_64(&out, counted.used);
    put(&out, object);
    homelittle_put(checksum_of(buffer, out.used), 4, out.bytes + CRC_AT);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- reading */

home_status homebytes_open(homebytes_reader *in, const homebytes_form *form, const void *bytes,
                           size_t size, home_error *error) {
    const unsigned char *header = bytes;
    if (!bytes)
        return homefail_null(error, "bytes");
    if (size < HEADER || memcmp(header, form->magic, MAGIC) != 0)
        return homefail(error, HOME_E_FORMAT, "the bytes are not those of a %s", form->what);
    const uint32_t version = (uint32_t)homelittle_get(header + MAGIC, 4);
    if (version != form->version)
        return homefail(error, HOME_E_UNSUPPORTED,
                        "the bytes of a %s are of version %" PRIu32 ", expected %" PRIu32,
                        form->what, version, form->version);
    const uint64_t written = homelittle_get(header + SIZE_AT, 8);
    if (written != size)
        return homefail(error, HOME_E_FORMAT, "size is %zu, expected the %" PRIu64 " bytes written",
                        size, written);
    if (homelittle_get(header + CRC_AT, 4) != checksum_of(header, size))
        return homefail(error, HOME_E_CHECKSUM, "the checksum does not match the bytes");
    *in = (homebytes_reader){.next = header + HEADER, .left = size - HEADER};
    return HOME_OK;
}

const unsigned char *homebytes_skip(homebytes_reader *in, uint64_t count, size_t size) {
    if (in->failed || count > in->left / size) {
        in->failed = true;
        return NULL;
    }
    const unsigned char *const at = in->next;
    in->next += (size_t)count * size;
    in->left -= (size_t)count * size;
    return at;
}

static uint64_t get_bits(homebytes_reader *in, size_t size) {
    const unsigned char *at = homebytes_skip(in, 1, size);
    return at ? homelittle_get(at, size) : 0;
}

uint32_t homebytes_get_32(homebytes_reader *in) {
    return (uint32_t)get_bits(in, 4);
}

uint64_t homebytes_get_64(homebytes_reader *in) {
    return get_bits(in, 8);
}

double homebytes_get_double(homebytes_reader *in) {
    const unsigned char *at = homebytes_skip(in, 1, 8);
    return at ? homelittle_get_double(at) : 0;
}
