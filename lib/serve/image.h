/* A serving image: a frozen model as one block of bytes that is used where it lies.
 *
 *     header     homeimage_header
 *     records    64-bit words and texts, below
 *     panels     the packed weights of the plan's steps, in the order of the steps, as the
 *                kernels read them
 *     tables     [rows, dim] of each embedding table
 *
 * Panels and every table begin at multiples of HOME_ALIGNMENT; so does the end. All numbers are in
 * the byte order of the machine that predicts. A text is a word with its length, its bytes, and 1
 * to 8 zero bytes up to a whole word. The records:
 *
 *     dense values, block rows, parameters, multiply-adds, swish's beta (the bits of a double)
 *     each buffer: width, stride, start
 *     views (buffer, column, width) of the input, the logits and their sigmoids
 *     each step: kind, three choices of that kind, inputs, view of the output, view of each input
 *     each task: loss, the task it is given (or the number of tasks), name
 *     each table: rows, dim, index, name
 *     each field: table, pooling, name
 *     each of the metadata: key, text
 *     each dense value: name; none in an image of HOME_IMAGE_VERSION
 *     configuration and topology as JSON texts
 *
 * This is the form of homeplan, not a format to archive: whatever changes what a plan's steps or
 * panels mean changes HOME_IMAGE_VERSION too. */
#ifndef HOME_IMAGE_H
#define HOME_IMAGE_H

#include "../steps/steps.h"

#define HOME_IMAGE_MAGIC   "HOMEIMG" /* with its final zero, 8 bytes */
#define HOME_IMAGE_VERSION 1u
#define HOME_IMAGE_NAMED   2u /* the same with names of dense values */
#define HOME_IMAGE_ORDER   0x01020304u

enum { HOME_IMAGE_MAX_BLOCK_ROWS = 4096 }; /* rows of a block */

typedef struct homeimage_header {
    char magic[8];
    uint32_t byte_order;
    uint32_t version;
    uint64_t size; /* bytes of the whole image */
    uint32_t crc32;
    uint32_t dense_names; /* how many: 0 or, in version HOME_IMAGE_NAMED, the dense values */
    /* From here on all bytes count for the checksum. */
    uint64_t panel; /* columns of a panel */
    uint64_t buffers;
    uint64_t steps;
    uint64_t inputs; /* of all steps together */
    uint64_t tasks;
    uint64_t tables;
    uint64_t fields;
    uint64_t metadata;
} homeimage_header;

#endif
