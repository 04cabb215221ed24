#include "output.h"

#include "heap.h"
#include "interrupt.h"
#include "options.h"
#include "path.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------------- check */

bool output_check(const char *path, failure *why) {
    destination to;
    return destination_find(&to, path, why) && destination_check(&to, why);
}

static bool find_file(destination *made, const char *path, failure *why) {
    return destination_find(made, path, why) &&
           (made->kind == DESTINATION_FILE ||
            fail(why, "%s: not a file; expected the name of a new file or of one to replace",
                 path));
}

bool output_check_model(const char *path, failure *why) {
    destination to;
    return find_file(&to, path, why) && destination_check(&to, why);
}

bool output_check_log(const char *path, failure *why) {
    destination to;
    if (!find_file(&to, path, why))
        return false;
    if (access(path, F_OK) != 0)
        return destination_check(&to, why);
    return access(path, W_OK) == 0 || fail_system(why, path, "write");
}

bool output_is_standard(const char *path) {
    failure ignored = {0};
    destination to;
    return path && destination_find(&to, path, &ignored) && to.descriptor == STDOUT_FILENO;
}

/* The folder of a path, to be freed; NULL when out of memory. */
static char *folder_of(const char *path) {
    const size_t length = (size_t)(path_name(path) - path);
    char *folder = heap_new(length + 2, 1);
    if (folder)
        memcpy(folder, length ? path : ".", length ? length : 1);
    return folder;
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
    const bool same = strcmp(path_name(a), path_name(b)) == 0 && folder_a && folder_b &&
                      stat(folder_a, &of_a) == 0 && stat(folder_b, &of_b) == 0 &&
                      same_inode(&of_a, &of_b);
    heap_free(folder_a);
    heap_free(folder_b);
    return same;
}

/* Whether standard input was redirected from this file. */
static bool is_standard_input(const char *path) {
    struct stat input;
    struct stat file;
    return fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode) && stat(path, &file) == 0 &&
           same_inode(&input, &file);
}

/* Whether one of two files would spoil the other. "-" is standard output where it is written and
 * standard input, which can be read only once, where it is read. */
static bool collide(const named_file *a, const named_file *b) {
    if (!a->path || !b->path)
        return false;
    const bool a_dash = options_is_dash(a->path);
    const bool b_dash = options_is_dash(b->path);
    if (a_dash)
        return b_dash && a->written == b->written;
    if (b_dash)
        return a->written && !b->written && is_standard_input(a->path);
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

/* ---------------------------------------------------------------------------------------- write */

/* No signal comes between the file and its being known to the handler. */
static bool begin(output *to, home_error *error) {
    interrupt_hold();
    to->begun = homefile_begin(heap(), to->to.path, &to->replaces, error) == HOME_OK;
    interrupt_removes(to->begun ? to->replaces.temporary : NULL);
    interrupt_release();
    return to->begun;
}

/* A descriptor of its own, because fclose() takes it along and homefile_commit() has the first. */
static bool open_replacing(output *to, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (!destination_check(&to->to, why))
        return false;
    if (!begin(to, &error))
        return fail_file(why, to->to.path, &error);
    const int descriptor = dup(to->replaces.descriptor);
    to->file = descriptor < 0 ? NULL : fdopen(descriptor, "w");
    if (to->file)
        return true;
    if (descriptor >= 0)
        close(descriptor);
    return fail_system(why, to->to.path, "open");
}

static bool open_nameless(output *to, failure *why) {
    to->file = tmpfile();
    return to->file || fail_system(why, to->to.path, "make a temporary file");
}

bool output_open(output *to, const char *path, failure *why) {
    *to = (output){.file = NULL};
    if (destination_find(&to->to, path, why) &&
        (to->to.kind == DESTINATION_FILE ? open_replacing(to, why) : open_nameless(to, why)))
        return true;
    output_discard(to);
    return false;
}

/* homefile_commit() removes what has a failure. */
static bool end_replacing(output *to, int failed, failure *why) {
    home_error error = {.struct_size = sizeof error};
    to->replaces.failure = failed ? failed : to->replaces.failure;
    const bool moved = homefile_commit(&to->replaces, &error) == HOME_OK;
    to->begun = false;
    interrupt_removes(NULL);
    return moved || fail_file(why, to->to.path, &error);
}

/* Ends the stream in front of the file; an errno where not all of it could be written. */
static int close_file(output *to) {
    errno = 0;
    const bool bad = fflush(to->file) != 0 || ferror(to->file);
    const bool closed = fclose(to->file) == 0;
    to->file = NULL;
    return bad || !closed ? (errno ? errno : EIO) : 0;
}

bool output_commit(output *to, failure *why) {
    if (to->begun)
        return end_replacing(to, close_file(to), why);
    if (fflush(to->file) != 0 || ferror(to->file))
        return fail_system(why, "a temporary file", "write");
    return destination_copy(&to->to, to->file, why);
}

void output_discard(output *to) {
    failure ignored = {0};
    if (to->file)
        fclose(to->file);
    to->file = NULL;
    if (to->begun)
        end_replacing(to, ECANCELED, &ignored);
}
