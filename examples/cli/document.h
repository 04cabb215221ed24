/* JSON that a person wrote: values by key, with errors that say where in the text they are. */
#ifndef CLI_DOCUMENT_H
#define CLI_DOCUMENT_H

#include "failure.h"

#include "../../lib/host/json.h"

typedef struct document {
    const char *name; /* of the file, for messages; the caller's */
    char *text;
    size_t length;
    homejson *json;
} document;

bool document_read_file(document *doc, const char *path, failure *why);

/* The same from a copy of the text. */
bool document_read_text(document *doc, const char *name, const char *text, failure *why);

void document_free(document *doc); /* a zeroed struct is allowed */

/* "NAME:LINE:BYTE: WHAT" about a value; always false. */
bool document_complain(const document *doc, const homejson_value *value, const char *what,
                       failure *why);

/* The same with "VALUE; expected ...". */
bool document_fail(const document *doc, const homejson_value *value, const char *expected,
                   failure *why);

/* The value must be an object with no other keys than these; keys[] ends with NULL. */
bool document_object(const document *doc, const homejson_value *value, const char *const *keys,
                     failure *why);

/* A member that must be there. */
bool document_member(const document *doc, const homejson_value *object, const char *key,
                     const homejson_value **member, failure *why);

/* Members that may be absent; then the result stays as it was. */
bool document_text(const document *doc, const homejson_value *object, const char *key,
                   const char **result, failure *why);
bool document_whole(const document *doc, const homejson_value *object, const char *key,
                    uint64_t min, uint64_t max, uint64_t *result, failure *why);
bool document_number(const document *doc, const homejson_value *object, const char *key, double min,
                     double max, double *result, failure *why);
bool document_switch(const document *doc, const homejson_value *object, const char *key,
                     bool *result, failure *why);
bool document_array(const document *doc, const homejson_value *object, const char *key,
                    const homejson_value **result, failure *why);

#endif
