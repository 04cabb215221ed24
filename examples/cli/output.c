#include "output.h"

#include "heap.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder of a path, to be freed; NULL when out of memory. */
static char *folder_of(const char *path) {
    const size_t length = (size_t)(base_name(path) - path);
    char *folder = heap_new(length + 2, 1);
    if (folder)
        memcpy(folder, length ? path : ".", length ? length : 1);
    return folder;
}

static bool folder_is_writable(const char *path, failure *why) {
    char *folder = folder_of(path);
    if (!folder)
        return fail_memory(why);
    const bool writable =
        access(folder, W_OK) == 0 || fail_system(why, path, "write to its folder");
    heap_free(folder);
    return writable;
}

bool output_check(const char *path, failure *why) {
    struct stat there;
    if (options_is_dash(path))
        return true;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        return fail(why, "%s: not a file; expected the name of a new file or of one to replace",
                    path);
    return folder_is_writable(path, why);
}

static bool same_inode(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether two paths name one file, which need not exist. When out of memory they count as two. */
static bool is_same_file(const char *a, const char *b) {
    struct stat of_a;
    struct stat of_b;
    const bool there = stat(a, &of_a) == 0;
    if (there != (stat(b, &of_b) == 0))
        return false;
    if (there)
        return same_inode(&of_a, &of_b);
    char *folder_a = folder_of(a);
    char *folder_b = folder_of(b);
    const bool same = strcmp(base_name(a), base_name(b)) == 0 && folder_a && folder_b &&
                      stat(folder_a, &of_a) == 0 && stat(folder_b, &of_b) == 0 &&
                      same_inode(&of_a, &of_b);
    heap_free(folder_a);
    heap_free(folder_b);
    return same;
}

/* Whether one of two files would spoil the other. "-" is standard output where it is written and
 * standard input, which can be read only once, where it is read. */
static bool collide(const named_file *a, const named_file *b) {
    if (!a->path || !b->path)
        return false;
    const bool dash = options_is_dash(a->path);
    if (dash || options_is_dash(b->path))
        return dash && options_is_dash(b->path) && a->written == b->written;
    return a->written && is_same_file(a->path, b->path);
}

bool output_check_apart(const named_file *files, size_t count, failure *why) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            if (i != j && collide(&files[i], &files[j]))
                return fail(why, "%s: \"%s\" is the file of %s too; expected another one",
                            files[i].name, files[i].path, files[j].name);
        }
    }
    return true;
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
    path = options_is_dash(path) ? NULL : path;
    *to = (output){.path = path};
    const bool opened =
        path ? output_check(path, why) && open_beside(to, why) : open_nameless(to, why);
    if (opened)
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
    return (!ferror(to->file) && fflush(stdout) == 0) ||
           fail_system(why, "standard output", "write");
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
