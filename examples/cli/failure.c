#include "failure.h"

#include "limit.h"
#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool fail(failure *why, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    print_mask(why->text); /* it may quote a file */
    return false;
}

bool fail_memory(failure *why) {
    const uint64_t limit = limit_met();
    if (limit == 0)
        return fail(why, "out of memory");
    return fail(why,
                "the data take more than %" PRIu64 " MiB of memory, which is the limit; expected "
                "less, or a larger --memory-limit",
                limit);
}

bool fail_system(failure *why, const char *path, const char *action) {
    return fail(why, "%s: cannot %s: %s", path, action, strerror(errno));
}

/* Where the system refused the file, the library's message already has the path. */
bool fail_file(failure *why, const char *path, const home_error *is) {
    return is->status == HOME_E_FILE ? fail(why, "%s", is->message) : fail_library(why, path, is);
}

bool fail_library(failure *why, const char *subject, const home_error *is) {
    return fail(why, "%s: %s", subject, is->message);
}
