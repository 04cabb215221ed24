/* JSON in and text out, locale-free. The reader is strict (RFC 8259), bounded in depth, iterative,
 * takes n log n time whatever the input, and refuses repeated keys, invalid UTF-8, and numbers too
 * large for a double. */
#ifndef HOME_JSON_H
#define HOME_JSON_H

#include "home/home.h"

#include <stdbool.h>

typedef enum homejson_type {
    HOME_JSON_NULL,
    HOME_JSON_BOOL,
    HOME_JSON_NUMBER,
    HOME_JSON_STRING,
    HOME_JSON_ARRAY,
    HOME_JSON_OBJECT
} homejson_type;

/* A value, and its place in the tree. Lives as long as its document. Only what its type has is set.
 * Kept small, 40 bytes where pointers have 8, for a text of two bytes a value has very many. */
typedef struct homejson_value {
    union {
        uint64_t integer;             /* of a number that is_integer */
        double real;                  /* of any other; homejson_number() reads both */
        const char *text;             /* of a string, unescaped UTF-8 with a final zero */
        struct homejson_value *first; /* child of an array or object */
    };
    struct homejson_value *next; /* the next sibling */
    const char *key; /* of a member of an object, unescaped with a final zero; NULL otherwise */
    uint32_t begin;  /* the value stands at source[begin .. end), quotes included */
    uint32_t end;
    union {
        uint32_t length; /* of `text` in bytes; it may contain zero bytes */
        uint32_t count;  /* of children */
    };
    unsigned type : 3; /* homejson_type */
    unsigned boolean : 1;
    unsigned is_integer : 1;  /* the number was written as digits only and fits `integer` */
    unsigned key_length : 27; /* in bytes */
} homejson_value;

typedef struct homejson homejson;

#define HOME_JSON_DEPTH 16 /* no configuration or checkpoint header nests deeper */

/* Parses `length` bytes, which the document does not need afterwards. `allocator` has both
 * functions and is copied. A document takes at most 21 bytes for each byte of the text, and some
 * 3 KB: a value can be written in two bytes. HOME_E_JSON with line, column (in characters) and what
 * was expected; HOME_E_TOO_LARGE for a text of 4 GiB; HOME_E_MEMORY. */
home_status homejson_parse(const home_allocator *allocator, const char *source, size_t length,
                           homejson **document, home_error *error);
/* The same for a text that may have at most `max_values` values, at whatever depth: HOME_E_JSON
 * where there are more. */
home_status homejson_parse_sparse(const home_allocator *allocator, const char *source,
                                  size_t length, size_t max_values, homejson **document,
                                  home_error *error);
void homejson_free(homejson *document); /* NULL is allowed */
const homejson_value *homejson_root(const homejson *document);

/* The nearest double of a number. */
static inline double homejson_number(const homejson_value *value) {
    return value->is_integer ? (double)value->integer : value->real;
}

/* The member of an object, NULL where it has none or the value is no object. */
const homejson_value *homejson_member(const homejson_value *object, const char *key);

/* For messages: source[0 .. length), or its beginning. Returns the text. */
#define HOME_EXCERPT_SIZE 44
const char *homejson_excerpt(const char *source, size_t length, char text[HOME_EXCERPT_SIZE]);
#define HOME_EXCERPT(source, length) homejson_excerpt(source, length, (char[HOME_EXCERPT_SIZE]){0})

/* A growing text: set all to zero, then `allocator`. After a failed allocation it stays as it is
 * and `failed` is set: check once at the end. */
typedef struct hometext {
    const home_allocator *allocator;
    char *data; /* zero-terminated once anything was added; homememory_free() it */
    size_t length;
    size_t capacity;
    bool failed;
    bool counting; /* nothing is kept but `length`, so that hometext_reserve() can know it */
} hometext;

/* Takes exactly the room for a text of `length` bytes. */
void hometext_reserve(hometext *text, size_t length);

void hometext_add(hometext *text, const char *piece);
void hometext_add_bytes(hometext *text, const char *bytes, size_t length);
/* In quotes, as JSON wants it; what steers a terminal or the direction of text is escaped too. */
void hometext_add_string(hometext *text, const char *string);
void hometext_add_integer(hometext *text, uint64_t value);

/* The shortest digits that read back as the same double; null where it is not finite. */
void hometext_add_number(hometext *text, double value);

#endif
