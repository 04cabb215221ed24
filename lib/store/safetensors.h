/* Reading the safetensors format: a little-endian header length, a JSON header, then the tensors'
 * bytes.
 *
 * Here: this reader, what a checkpoint has, and saving it (checkpoint.h), loading (load.c),
 * its header alone (header.c), serving images as they are written (image_write.c; serve reads
 * them), and files (file.h). Called by: hosts only. Calls: create, train, serve's image format,
 * model, host, base. */
#ifndef HOME_SAFETENSORS_H
#define HOME_SAFETENSORS_H

#include "../base/crc32.h"
#include "../host/json.h"
#include "../host/memory.h"
#include "file.h"

/* The key of __metadata__ with the CRC-32 of the whole file, as 8 hexadecimal digits that count as
 * zeros in it. */
#define HOME_CHECKSUM_KEY    "home.crc32"
#define HOME_CHECKSUM_DIGITS 8u

#define HOME_MAX_HEADER 100000000u /* bytes: the format's own limit */

/* The types of elements that a checkpoint has. The format has more. */
typedef enum homedtype { HOME_F32, HOME_F64, HOME_I64, HOME_OTHER_DTYPE } homedtype;

/* "F32" and so on, and the bytes of one element; not for HOME_OTHER_DTYPE. */
const char *homedtype_name(homedtype dtype);
size_t homedtype_size(homedtype dtype);

/* A tensor in a file. */
typedef struct homestored {
    const char *name; /* first, for homesort_find_name() */
    homedtype dtype;
    const char *dtype_name;      /* as the file has it */
    const homejson_value *shape; /* an array of whole numbers */
    size_t begin;                /* of its bytes, from the end of the header */
    size_t size;                 /* bytes */
} homestored;

typedef struct homearchive {
    const home_allocator *allocator;
    char *text;    /* of the header */
    size_t length; /* of the text */
    homejson *header;
    const homejson_value *metadata; /* an object of strings, or NULL */
    homestored *tensors;
    size_t count;
    const void **by_name;
    const void **by_place; /* they follow each other without gaps */
    bool has_checksum;
    uint32_t checksum; /* as the header says */
    size_t digits;     /* where in the text */
} homearchive;

/* Reads the header, from the beginning of `stream`, and checks everything that the format demands.
 * What is wrong in it costs no more than the header's own bytes. HOME_E_FORMAT, HOME_E_CHECKSUM for
 * a text that is no checksum, HOME_E_JSON, HOME_E_MEMORY, HOME_E_FILE. */
home_status homearchive_open(const home_allocator *allocator, homestream *stream,
                             homearchive *archive, home_error *error);
void homearchive_close(homearchive *archive);

/* Where the tensors begin, in the file. */
size_t homearchive_body(const homearchive *archive);

const homestored *homearchive_find(const homearchive *archive, const char *name); /* or NULL */
const char *homearchive_metadata(const homearchive *archive, const char *key);    /* or NULL */

/* The one pass over what follows the header: begin, then take the tensors' bytes in the order of
 * their places, all of them, in pieces of any size, then finish. */
typedef struct homearchive_pass {
    const homearchive *archive;
    homestream *stream;
    homecrc32 crc;
} homearchive_pass;
void homearchive_begin(homearchive_pass *pass, const homearchive *archive, homestream *stream);
home_status homearchive_take(homearchive_pass *pass, void *target, size_t size, home_error *error);
home_status homearchive_finish(const homearchive_pass *pass, home_error *error); /* E_CHECKSUM */

#endif
