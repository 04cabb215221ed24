/* Structs of callers, in and out, whatever version of home.h they have. */
#include "abi.h"

#include "fail.h"

#include <stdbool.h>
#include <string.h>

/* No struct of any version is shorter than its size and a pointer, or longer than 64 KiB. */
enum { MIN_SIZE = 2 * sizeof(size_t), MAX_SIZE = 65536 };

static home_status check_size(size_t size, size_t known, const char *name, home_status status,
                              home_error *error) {
    const bool is_whole = size % sizeof size == 0; /* else it would end within a pointer */
    if (size >= MIN_SIZE && size <= MAX_SIZE && is_whole)
        return HOME_OK;
    return homefail(error, status, "%s.struct_size is %zu, expected sizeof of the struct (%zu)",
                    name, size, known);
}

home_status homeabi_read(const void *given, void *out, size_t known, const char *name,
                         home_status status, home_error *error) {
    size_t size;
    memcpy(&size, given, sizeof size);
    const home_status checked = check_size(size, known, name, status, error);
    if (checked != HOME_OK)
        return checked;
    for (size_t i = known; i < size; i++)
        if (((const unsigned char *)given)[i] != 0)
            return homefail(
                error, status,
                "%s has a field set at byte %zu, which this version of the library does not know",
                name, i);
    memset(out, 0, known);
    memcpy(out, given, size < known ? size : known);
    memcpy(out, &known, sizeof known);
    return HOME_OK;
}

home_status homeabi_write(const void *from, void *given, size_t known, const char *name,
                          home_error *error) {
    size_t size;
    memcpy(&size, given, sizeof size);
    const home_status checked = check_size(size, known, name, HOME_E_ARGUMENT, error);
    if (checked == HOME_OK)
        memcpy((char *)given + sizeof size, (const char *)from + sizeof size,
               (size < known ? size : known) - sizeof size);
    return checked;
}
