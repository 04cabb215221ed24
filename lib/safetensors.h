/* Reading the safetensors format: a little-endian header length, a JSON header, then the tensors' bytes. */
#ifndef HOME_SAFETENSORS_H
#define HOME_SAFETENSORS_H

#include "json.h"
#include "memory.h"

/* The key of __metadata__ with the CRC-32 of the whole file, as 8 hexadecimal digits that count as zeros in
 * it. */
#define HOME_CHECKSUM_KEY    "home.crc32"
#define HOME_CHECKSUM_DIGITS 8u

/* The types of elements that a checkpoint has. The format has more. */
typedef enum home_dtype { HOME_F32, HOME_F64, HOME_I64, HOME_OTHER_DTYPE } home_dtype;

/* "F32" and so on, and the bytes of one element; not for HOME_OTHER_DTYPE. */
const char *home_dtype_name(home_dtype dtype);
size_t home_dtype_size(home_dtype dtype);

/* A tensor in a file. */
typedef struct home_stored {
    const char *name; /* first, for home_search_by_name() */
    home_dtype dtype;
    const char *dtype_name;       /* as the file has it */
    const home_json_value *shape; /* an array of whole numbers */
    const unsigned char *data;
    size_t size; /* bytes */
} home_stored;

typedef struct home_archive {
    const home_allocator *allocator;
    const char *text; /* of the header */
    home_json *header;
    const home_json_value *metadata; /* an object of strings, or NULL */
    home_stored *tensors;
    size_t count;
    const void **by_name;
} home_archive;

/* Checks everything that the format demands, and the checksum where there is one. The archive points into
 * `data`, which must outlive it. HOME_E_FORMAT, HOME_E_CHECKSUM, HOME_E_JSON, HOME_E_MEMORY. */
home_status home_archive_open(const home_allocator *allocator, const void *data, size_t size,
                              home_archive *archive, home_error *error);
void home_archive_close(home_archive *archive);

const home_stored *home_archive_find(const home_archive *archive, const char *name); /* or NULL */
const char *home_archive_metadata(const home_archive *archive, const char *key);     /* or NULL */

#endif
