#include "output.h"

#include "heap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool folder_is_writable(const char *path, failure *why) {
    const char *slash = strrchr(path, '/');
    const size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    char *folder = heap_new(length + 2, 1);
    if (!folder)
        return fail_memory(why);
    memcpy(folder, length ? path : ".", length ? length : 1);
    const bool writable = access(folder, W_OK) == 0 || fail_system(why, path, "write to its folder");
    heap_free(folder);
    return writable;
}

bool output_check(const char *path, failure *why) {
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return fail(why, "%s: not a file; expected the name of a new file or of one to replace", path);
    return folder_is_writable(path, why);
}

/* A file beside the target, so that the rename stays within one file system. */
static bool open_beside(output *to, failure *why) {
    const size_t room = strlen(to->path) + 32;
    to->temporary = heap_new(room, 1);
    if (!to->temporary)
        return fail_memory(why);
    snprintf(to->temporary, room, "%s.%ld.tmp", to->path, (long)getpid());
    const int descriptor = open(to->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return fail_system(why, to->temporary, "create");
    to->file = fdopen(descriptor, "w");
    if (to->file)
        return true;
    close(descriptor);
    return fail_memory(why);
}

static bool open_nameless(output *to, failure *why) {
    to->file = tmpfile();
    return to->file || fail_system(why, "standard output", "make a temporary file");
}

bool output_open(output *to, const char *path, failure *why) {
    *to = (output){path, NULL, NULL};
    if (path ? output_check(path, why) && open_beside(to, why) : open_nameless(to, why))
        return true;
    output_discard(to);
    return false;
}

static bool copy_to_standard_output(output *to, failure *why) {
    char bytes[1 << 14];
    rewind(to->file);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, to->file)) > 0;) {
        if (fwrite(bytes, 1, got, stdout) != got)
            return fail_system(why, "standard output", "write");
    }
    return (!ferror(to->file) && fflush(stdout) == 0) || fail_system(why, "standard output", "write");
}

static bool move_into_place(output *to, failure *why) {
    if (fsync(fileno(to->file)) != 0)
        return fail_system(why, to->temporary, "write");
    const int closed = fclose(to->file);
    to->file = NULL;
    if (closed != 0)
        return fail_system(why, to->temporary, "write");
    if (rename(to->temporary, to->path) != 0)
        return fail_system(why, to->path, "replace");
    heap_free(to->temporary);
    to->temporary = NULL;
    return true;
}

bool output_commit(output *to, failure *why) {
    if (fflush(to->file) != 0 || ferror(to->file))
        return fail_system(why, to->path ? to->temporary : "a temporary file", "write");
    if (to->path)
        return move_into_place(to, why);
    const bool copied = copy_to_standard_output(to, why);
    fclose(to->file);
    to->file = NULL;
    return copied;
}

void output_discard(output *to) {
    if (to->file)
        fclose(to->file);
    to->file = NULL;
    if (to->temporary) {
        unlink(to->temporary);
        heap_free(to->temporary);
        to->temporary = NULL;
    }
}
