/* The rules of struct_size, which let old callers meet a new library and the reverse. */
#ifndef HOME_ABI_H
#define HOME_ABI_H

#include "home/home.h"

/* Copies a caller's struct over `out`, which has `known` bytes. A shorter one comes from an older
 * caller: the fields it does not have become 0. A longer one comes from a newer caller: what lies
 * past `known` must be 0. Fails with `status` and a message about `name`. */
home_status homeabi_read(const void *given, void *out, size_t known, const char *name,
                         home_status status, home_error *error);

/* Copies `from`, which has `known` bytes, into a caller's struct, as far as that goes; its
 * struct_size stays. */
home_status homeabi_write(const void *from, void *given, size_t known, const char *name,
                          home_error *error);

#endif
