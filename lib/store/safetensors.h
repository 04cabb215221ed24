/* Reading the safetensors format: a little-endian header length, a JSON header, then the tensors'
 * bytes.
 *
 * Here: this reader, checkpoints (checkpoint.c), serving images as they are written (image_write.c;
 * serve reads them), and files, whole (file.h). Called by: hosts only.
 * Calls: create, train, serve's image format, model, host, base. */
#ifndef HOME_SAFETENSORS_H
#define HOME_SAFETENSORS_H

#include "../host/json.h"
#include "../host/memory.h"

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
    const unsigned char *data;
    size_t size; /* bytes */
} homestored;

typedef struct homearchive {
    const home_allocator *allocator;
    const char *text; /* of the header */
    homejson *header;
    const homejson_value *metadata; /* an object of strings, or NULL */
    homestored *tensors;
    size_t count;
    const void **by_name;
} homearchive;

/* Checks everything that the format demands, and the checksum where there is one. The archive
 * points into `data`, which must outlive it. HOME_E_FORMAT, HOME_E_CHECKSUM, HOME_E_JSON,
 * HOME_E_MEMORY. */
home_status homearchive_open(const home_allocator *allocator, const void *data, size_t size,
                             homearchive *archive, home_error *error);
void homearchive_close(homearchive *archive);

const homestored *homearchive_find(const homearchive *archive, const char *name); /* or NULL */
const char *homearchive_metadata(const homearchive *archive, const char *key);    /* or NULL */

#endif
