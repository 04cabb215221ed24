/* The numbers of statuses in words, and the messages of failures. */
#include "fail.h"

#include "utf8.h"

#include <stdarg.h>
#include <string.h>

#ifndef HOME_SERVE_ONLY
#include <stdio.h>
#endif

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
        return "there is nothing of this name or number";
    case HOME_E_CANCELED:
        return "a callback of the host stopped the call";
    case HOME_E_MEMORY:
        return "out of memory";
    case HOME_E_TOO_LARGE:
        return "a size is too large for this machine, or above a limit";
    case HOME_E_CONFIG:
        return "the configuration is not valid";
    case HOME_E_JSON:
        return "the text is not valid JSON";
    case HOME_E_FILE:
        return "the operating system could not read or write a file";
    case HOME_E_FORMAT:
        return "the data is not a valid checkpoint or image";
    case HOME_E_CHECKSUM:
        return "the data is damaged: its checksum does not match";
    case HOME_E_MISMATCH:
        return "tensors or names are not those of the model";
    case HOME_E_UNSUPPORTED:
        return "not supported by this version of the library, or by this build on this machine";
    default:
        return "unknown status";
    }
}

#ifdef HOME_SERVE_ONLY
/* A text that grows as far as there is room. */
typedef struct line {
    char *text;
    size_t room; /* the final zero included */
    size_t length;
} line;

static void add_text(line *out, const char *text, size_t max) {
    for (; *text && max > 0 && out->length + 1 < out->room; text++, max--)
        out->text[out->length++] = *text;
}

static void add_number(line *out, uint64_t value) {
    char digits[21];
    char *first = &digits[20];
    *first = 0;
    do {
        *--first = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    add_text(out, first, SIZE_MAX);
}

/* Adds the value of a conversion, whose text follows a %; returns what follows that text. */
static const char *add_value(line *out, const char *format, va_list *values) {
    size_t max = SIZE_MAX;
    if (*format == '.')
        for (max = 0, format++; *format >= '0' && *format <= '9'; format++)
            max = 10 * max + (size_t)(*format - '0');
    if (*format == 's') {
        add_text(out, va_arg(*values, const char *), max);
        return format + 1;
    }
    if (strncmp(format, "zu", 2) == 0) {
        add_number(out, va_arg(*values, size_t));
        return format + 2;
    }
    if (strncmp(format, "llu", 3) == 0) {
        add_number(out, va_arg(*values, unsigned long long));
        return format + 3;
    }
    add_number(out, va_arg(*values, unsigned)); /* %u */
    return format + 1;
}

/* vsnprintf for a build without stdio: %s, %.Ns, %u, %zu and %llu, all that its messages have. */
static void format_message(char *text, size_t room, const char *format, va_list values) {
    line out = {text, room, 0};
    va_list left;
    va_copy(left, values);
    while (*format)
        if (*format == '%')
            format = add_value(&out, format + 1, &left);
        else
            add_text(&out, format++, 1);
    va_end(left);
    text[out.length] = 0;
}
#else
static void format_message(char *text, size_t room, const char *format, va_list values) {
    vsnprintf(text, room, format, values);
}
#endif

/* Bytes of the caller's message: an older caller's may be shorter. */
static size_t message_room(const home_error *error) {
    const size_t before = offsetof(home_error, message);
    const size_t given = error && error->struct_size > before ? error->struct_size - before : 0;
    return given < sizeof error->message ? given : sizeof error->message;
}

/* Replaces each byte that belongs to no character by '?': a name or the message may have been cut
 * within a character, and what a caller gave may not be UTF-8 at all. */
static void mend_characters(char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        const size_t character = homeutf8_length(text, left);
        const size_t step = character ? character : 1;
        if (character == 0)
            *text = '?';
        text += step;
        left -= step;
    }
}

home_status homefail(home_error *error, home_status status, const char *format, ...) {
    const size_t room = message_room(error);
    if (room > 0) {
        error->status = status;
        va_list arguments;
        va_start(arguments, format);
        format_message(error->message, room, format, arguments);
        va_end(arguments);
        mend_characters(error->message);
    }
    return status;
}

#ifndef HOME_SERVE_ONLY
void homefail_within(home_error *error, const char *where) {
    const size_t room = message_room(error);
    if (room == 0)
        return;
    char message[sizeof error->message];
    memcpy(message, error->message, room);
    homefail(error, error->status, "%s: %s", where, message);
}
#endif

home_status homefail_memory(home_error *error) {
    return homefail(error, HOME_E_MEMORY, "out of memory");
}

home_status homefail_null(home_error *error, const char *argument) {
    return homefail(error, HOME_E_ARGUMENT, "%s is NULL", argument);
}

home_status homefail_canceled(home_error *error, int32_t code) {
    const uint32_t size = code < 0 ? 0 - (uint32_t)code : (uint32_t)code;
    return homefail(error, HOME_E_CANCELED,
                    "home_parallel.run returned %s%u, which stops the call; 0 lets it go on",
                    code < 0 ? "-" : "", (unsigned)size);
}
