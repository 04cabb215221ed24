/* What is carried around while a configuration is read: where it is, and which errors there were.
 */
#ifndef HOME_READER_H
#define HOME_READER_H

#include "fields.h"

/* A field that is being read, and the element where it is an array. */
typedef struct homereader_place {
    const homefield *field;
    size_t index; /* HOME_NONE: it is no array */
} homereader_place;

/* Where nobody wants to hear of all errors, the first ends the reading: then every function that
 * reads does nothing. Otherwise it goes on, and whatever is wrong is replaced by something harmless
 * once it has been reported. Either way who reads looks at homereader_ok() only before something
 * that could not be done with what has been read. */
typedef struct homereader {
    homearena *arena;
    home_error *error;         /* receives the first error */
    home_config_report report; /* NULL: the first error ends all */
    void *user;
    bool json; /* the caller knows JSON's keys, not the structs' fields */

    home_status status; /* of the first error */
    size_t error_count;
    bool stopped;
    bool failed[32];            /* [field of the model] something in it is wrong */
    homereader_place places[4]; /* [depth] layers[1], in it nodes[0], in it sees[2] */
    size_t depth;
    char path[160];
    uint64_t
        *faults; /* [fault_capacity] hashes of the paths that errors named; 0: an empty place */
    size_t fault_capacity;
    size_t fault_count;
} homereader;

static inline bool homereader_ok(const homereader *in) {
    return !in->stopped;
}

/* Goes to an element of an array, or into an object (HOME_NONE), by the field's name in its struct;
 * and back. */
void homereader_enter(homereader *in, const char *member, size_t index);
void homereader_leave(homereader *in);

/* Where a field of the object that is being read is, as its caller knows it:
 * "config.layers[1].nodes[0].self", in JSON "layers[1].nodes[0].self"; without a member, the place
 * itself. Good until the next call. */
const char *homereader_path(homereader *in, const char *member);

/* Takes note of an error of a field (NULL: of the object itself): its path, a space, and the rest
 * of the message. Nothing happens if there was one already of the same field, or of something that
 * it is a part of. */
HOME_PRINTF(4, 5)
void homereader_fail(homereader *in, home_status status, const char *member, const char *format,
                     ...);

/* The same with any path, for keys that are no fields; and with a message that has it already. */
HOME_PRINTF(4, 5)
void homereader_fail_at(homereader *in, home_status status, const char *path, const char *format,
                        ...);
void homereader_fail_as(homereader *in, const char *path, const home_error *found);

/* The arena has failed. Ends the reading, also where all errors are wanted. */
void homereader_fail_memory(homereader *in);

/* Whether anything is wrong in a field of the model. */
bool homereader_failed_in(const homereader *in, const char *member);

#endif
