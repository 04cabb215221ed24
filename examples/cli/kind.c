#include "kind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The length of a header, which is below 2^32, in 8 bytes, and the header's brace. */
static bool is_checkpoint(const char *bytes, size_t count) {
    return count > 8 && memcmp(bytes + 4, "\0\0\0\0", 4) == 0 && bytes[8] == '{';
}

static size_t skip_space(const char *bytes, size_t at, size_t count) {
    while (at < count &&
           (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r' || bytes[at] == '\n'))
        at++;
    return at;
}

/* A brace and a quote, which begin no line of a CSV either. */
static bool is_json(const char *bytes, size_t count) {
    size_t at = skip_space(bytes, 0, count);
    if (at == count || bytes[at] != '{')
        return false;
    at = skip_space(bytes, at + 1, count);
    return at < count && (bytes[at] == '"' || bytes[at] == '}');
}

static bool is_page(const char *bytes, size_t count) {
    const size_t at = skip_space(bytes, 0, count);
    return count - at > 1 && bytes[at] == '<' && (bytes[at + 1] == '!' || bytes[at + 1] == 'h');
}

/* A first line of text with something between its fields. */
static bool is_table(const char *bytes, size_t count) {
    bool separated = false;
    for (size_t i = 0; i < count && bytes[i] != '\n' && bytes[i] != '\r'; i++) {
        if (((unsigned char)bytes[i] < 0x20 && bytes[i] != '\t') || bytes[i] == 0x7f)
            return false;
        separated = separated || strchr(",;|\t", bytes[i]);
    }
    return separated;
}

file_kind kind_of_bytes(const char *bytes, size_t count) {
    if (count == 0)
        return KIND_EMPTY;
    if (is_checkpoint(bytes, count))
        return KIND_CHECKPOINT;
    if (count >= 2 && memcmp(bytes, "\x1f\x8b", 2) == 0)
        return KIND_GZIP;
    if (is_json(bytes, count))
        return KIND_JSON;
    if (is_page(bytes, count))
        return KIND_PAGE;
    return is_table(bytes, count) ? KIND_TABLE : KIND_UNKNOWN;
}

file_kind kind_of_file(const char *path) {
    char bytes[4096];
    struct stat file;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return KIND_UNKNOWN;
    const ssize_t count = fstat(descriptor, &file) == 0 && S_ISREG(file.st_mode)
                              ? read(descriptor, bytes, sizeof bytes)
                              : -1;
    close(descriptor);
    return count < 0 ? KIND_UNKNOWN : kind_of_bytes(bytes, (size_t)count);
}

const char *kind_name(file_kind kind) {
    static const char *const names[] = {NULL,           "a checkpoint", "a file compressed by gzip",
                                        "JSON",         "an HTML page", "a CSV table",
                                        "an empty file"};
    return names[kind];
}

bool kind_check_checkpoint(const char *path, const char *expected, failure *why) {
    const file_kind kind = kind_of_file(path);
    return kind == KIND_UNKNOWN || kind == KIND_CHECKPOINT ||
           fail(why, "%s: not a checkpoint: it looks like %s; expected %s", path, kind_name(kind),
                expected);
}
