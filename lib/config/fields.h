/* The fields of a configuration: one description of the structs of home_config and their JSON, for
 * reading, checking, writing, and for messages. */
#ifndef HOME_FIELDS_H
#define HOME_FIELDS_H

#include "config.h"

#include <string.h>

typedef enum homefield_type {
    HOME_FIELD_NAME, /* a text with the letters of a name */
    HOME_FIELD_TEXT, /* any other */
    HOME_FIELD_SIZE, /* size_t */
    HOME_FIELD_UINT64,
    HOME_FIELD_NUMBER,   /* double */
    HOME_FIELD_CHOICE,   /* int32_t; one of `names` */
    HOME_FIELD_SWITCH,   /* int32_t; true or false for HOME_ON and HOME_OFF */
    HOME_FIELD_WIDTHS,   /* an array of sizes: pointer and count */
    HOME_FIELD_NAMES,    /* an array of names: pointer and count */
    HOME_FIELD_STRUCTS,  /* an array of objects: pointer to structs of their own, and count */
    HOME_FIELD_STRUCT,   /* an object: pointer to a struct of its own */
    HOME_FIELD_SECTION,  /* an object in JSON whose fields lie in this very struct */
    HOME_FIELD_RESERVED, /* int32_t that must be 0; not in JSON */
    HOME_FIELD_END       /* of an array of fields */
} homefield_type;

/* What a default may depend on: everything before it, which is resolved already. */
typedef struct homefield_context {
    const homesettings *settings;
    size_t layer; /* of which the object is, or is a part */
} homefield_context;

/* A field of a struct, and the key that sets it. */
typedef struct homefield {
    const char *key;    /* in JSON */
    const char *member; /* in the struct; of a section its key */
    homefield_type type;
    size_t offset;

    /* A number: its bounds. In a struct 0 stands for the default, and HOME_ZERO for 0. */
    uint64_t min;
    uint64_t max;
    double low;
    double high;
    bool below;           /* `high` itself is not allowed */
    const char *expected; /* the bounds in words, where these are others than the numbers say */

    /* A choice: names[i] is the number first + i; "" where that is no choice here. */
    int32_t first;
    const char *names[8];

    /* The value of a field that is not set. A text that is not set has none and is required, unless
     * it is optional. */
    double fallback;
    double (*fallback_of)(const homefield_context *context, const void *object);
    const char *(*text_of)(const void *object);
    bool optional;

    /* An array: the number of its elements. An object: its fields. */
    const char *counter;
    size_t count_offset;
    size_t max_count;
    const struct homefield *fields;
    size_t size; /* of a struct of its own */

    bool apart; /* config.c checks its value, for what is allowed depends on other fields */
    bool kept;  /* a section that is written even where it says nothing */
    bool moved; /* only a checkpoint has it, of a version that had it here */
} homefield;

extern const homefield homefields_model[];

/* The field of this name of a struct; also by the name of an array's counter. NULL: none. *section
 * receives the section that it is in, or NULL. */
const homefield *homefield_find(const homefield *fields, const char *member,
                                const homefield **section);

/* The default of a number, choice or switch. */
double homefield_default(const homefield *field, const homefield_context *context,
                         const void *object);

/* Whether a value is within the bounds of its field. */
bool homefield_allows_integer(const homefield *field, uint64_t value);
bool homefield_allows_number(const homefield *field, double value);
bool homefield_allows_choice(const homefield *field, int32_t value);

/* A field of an object by its offset: a pointer, a size, an array. */
static inline void *homefield_pointer(const void *object, size_t offset) {
    void *pointer;
    memcpy(&pointer, (const char *)object + offset, sizeof pointer);
    return pointer;
}

static inline size_t homefield_size(const void *object, size_t offset) {
    size_t size;
    memcpy(&size, (const char *)object + offset, sizeof size);
    return size;
}

static inline void homefield_set_array(const homefield *field, char *object, const void *items,
                                       size_t count) {
    memcpy(object + field->offset, &items, sizeof items);
    memcpy(object + field->count_offset, &count, sizeof count);
}

/* What values a field takes, in words; for whoever writes JSON, or sets a struct. */
#define HOME_EXPECTED_SIZE 200
const char *homefield_expected(const homefield *field, bool json, char text[HOME_EXPECTED_SIZE]);

#endif
