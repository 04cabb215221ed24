#include "status.h"

#include <stdarg.h>
#include <stdio.h>

const char *home_status_string(home_status status) {
    switch (status) {
    case HOME_OK:
        return "success";
    case HOME_E_ARGUMENT:
        return "an argument is missing, too small, or contradicts another";
    case HOME_E_STATE:
        return "the call does not fit the state of the object";
    case HOME_E_VALUE:
        return "a value in the data is out of range";
    case HOME_E_NOT_FOUND:
        return "there is nothing of this name";
    case HOME_E_MEMORY:
        return "out of memory";
    case HOME_E_TOO_LARGE:
        return "a size is too large for this machine";
    case HOME_E_CONFIG:
        return "the configuration is not valid";
    case HOME_E_JSON:
        return "the text is not valid JSON";
    case HOME_E_FILE:
        return "the operating system could not read or write a file";
    case HOME_E_FORMAT:
        return "the data is not a valid checkpoint";
    case HOME_E_CHECKSUM:
        return "the checkpoint is damaged: its checksum does not match";
    case HOME_E_MISMATCH:
        return "the checkpoint does not fit the model";
    case HOME_E_UNSUPPORTED:
        return "not supported by this version of the library";
    default:
        return "unknown status";
    }
}

home_status home_fail(home_error *error, home_status status, const char *format, ...) {
    const size_t before = offsetof(home_error, message);
    if (error && error->struct_size > before) { /* an older caller's message may be shorter */
        const size_t room = error->struct_size - before;
        error->status = status;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, room < sizeof error->message ? room : sizeof error->message, format,
                  arguments);
        va_end(arguments);
    }
    return status;
}

home_status home_fail_memory(home_error *error) {
    return home_fail(error, HOME_E_MEMORY, "out of memory");
}

home_status home_fail_null(home_error *error, const char *argument) {
    return home_fail(error, HOME_E_ARGUMENT, "%s is NULL", argument);
}
