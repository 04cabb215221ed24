#include "failure.h"

#include "print.h"

#include <errno.h>
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
    return fail(why, "out of memory");
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
