#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* POSIX 2008 with realpath() */
#endif

#include "destination.h"

#include "number.h"
#include "options.h"
#include "path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------- descriptors */

static bool copy_path(char to[PATH_MAX], const char *path) {
    const size_t length = strlen(path);
    if (length >= PATH_MAX)
        return false;
    memcpy(to, path, length + 1);
    return true;
}

/* The number of a descriptor that a path names, or -1. To open such a name anew would give another
 * place in the file, or another file. */
static int named_descriptor(const char *path) {
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const size_t length = strlen(folders[i]);
        uint64_t number;
        if (strncmp(path, folders[i], length) == 0 && number_read_whole(path + length, &number) &&
            number <= INT_MAX)
            return (int)number;
    }
    return -1;
}

/* Replaces a path by what it links to. */
static bool follow_once(char path[PATH_MAX]) {
    char link[PATH_MAX];
    const ssize_t length = readlink(path, link, sizeof link - 1);
    char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (length < 0)
        return false;
    link[length] = 0;
    if (*link == '/')
        name = path;
    const size_t room = (size_t)(path + PATH_MAX - name);
    if ((size_t)length >= room)
        return false;
    memcpy(name, link, (size_t)length + 1);
    return true;
}

/* The same behind links: /dev/stdout is one itself, and the logs of containers are links to it. */
static int linked_descriptor(const char *path) {
    enum { LINKS = 40 };
    char at[PATH_MAX];
    if (!copy_path(at, path))
        return -1;
    for (int i = 0; i < LINKS; i++) {
        const int descriptor = named_descriptor(at);
        if (descriptor >= 0 || !follow_once(at))
            return descriptor;
    }
    return -1;
}

/* ----------------------------------------------------------------------------------------- find */

bool destination_find(destination *made, const char *path, failure *why) {
    struct stat there;
    *made = (destination){.path = path, .kind = DESTINATION_STREAM, .descriptor = STDOUT_FILENO};
    if (!path || options_is_dash(path)) {
        made->path = "standard output";
        return true;
    }
    made->descriptor = linked_descriptor(path);
    if (made->descriptor >= 0)
        return true;
    if (stat(path, &there) != 0 || S_ISREG(there.st_mode)) {
        made->kind = DESTINATION_FILE;
        return true;
    }
    return S_ISFIFO(there.st_mode) || S_ISCHR(there.st_mode) ||
           fail(why, "%s: not a file; expected the name of a new file or of one to replace", path);
}

/* ---------------------------------------------------------------------------------------- check */

static void cut_to_folder(char *path) {
    const char *name = path_name(path);
    if (name == path)
        memcpy(path, ".", 2);
    else
        path[name - path] = 0;
}

/* Characters of a path in the kernel's list of mounts that are written as \040 and so on. */
static void decode_octal(char *text) {
    char *to = text;
    for (const char *at = text; *at; at++) {
        if (*at == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] && at[3]) {
            *to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 3;
        } else {
            *to++ = *at;
        }
    }
    *to = 0;
}

/* Whether a file is mounted by itself, as `docker run -v FILE:FILE` makes it: no rename replaces
 * one. Where the system has no such list, it has no such files either. */
static bool is_mount_point(const char *resolved) {
    char line[4 * PATH_MAX + 256];
    char at[4 * PATH_MAX];
    bool found = false;
    FILE *mounts = fopen("/proc/self/mountinfo", "r");
    if (!mounts)
        return false;
    for (bool begins = true; !found && fgets(line, sizeof line, mounts);) {
        if (begins && sscanf(line, "%*s %*s %*s %*s %16383s", at) == 1) {
            decode_octal(at);
            found = strcmp(at, resolved) == 0;
        }
        begins = strchr(line, '\n') != NULL;
    }
    fclose(mounts);
    return found;
}

/* In a folder such as /tmp only the owner of a file, or of the folder, may replace it. */
static bool is_kept_by_owner(const char *path, const char *folder) {
    struct stat file;
    struct stat around;
    const uid_t me = geteuid();
    return me != 0 && stat(path, &file) == 0 && stat(folder, &around) == 0 &&
           (around.st_mode & S_ISVTX) && file.st_uid != me && around.st_uid != me;
}

static bool check_file(const char *path, failure *why) {
    struct stat link;
    char resolved[PATH_MAX] = "";
    const bool there = lstat(path, &link) == 0;
    if (there && !realpath(path, resolved))
        return fail_system(why, path, "follow the link");
    if (!there && !copy_path(resolved, path))
        return fail(why, "%s: the name is too long", path);
    if (there && is_mount_point(resolved))
        return fail(why,
                    "%s: cannot be replaced as a whole, because it is mounted by itself; expected "
                    "a file in a folder that is mounted",
                    path);
    char folder[PATH_MAX];
    memcpy(folder, resolved, sizeof folder);
    cut_to_folder(folder);
    if (access(folder, W_OK | X_OK) != 0)
        return fail_system(why, path, "write to its folder");
    return !is_kept_by_owner(resolved, folder) ||
           fail(why, "%s: another user's file in a folder where only its owner may replace it",
                path);
}

static bool check_stream(const destination *of, failure *why) {
    if (of->descriptor < 0)
        return access(of->path, W_OK) == 0 || fail_system(why, of->path, "write");
    const int flags = fcntl(of->descriptor, F_GETFL);
    if (flags >= 0 && (flags & O_ACCMODE) == O_RDONLY)
        errno = EBADF;
    return (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY) || fail_system(why, of->path, "write");
}

bool destination_check(const destination *of, failure *why) {
    return of->kind == DESTINATION_FILE ? check_file(of->path, why) : check_stream(of, why);
}

/* ----------------------------------------------------------------------------------------- copy */

/* A signal that asks to stop does not cut a result that is there. */
static bool write_all(int descriptor, const char *bytes, size_t size) {
    while (size > 0) {
        const ssize_t written = write(descriptor, bytes, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return true;
}

static bool copy_to(int descriptor, FILE *from) {
    char bytes[1 << 14];
    rewind(from);
    for (size_t got; (got = fread(bytes, 1, sizeof bytes, from)) > 0;) {
        if (!write_all(descriptor, bytes, got))
            return false;
    }
    return !ferror(from);
}

bool destination_copy(const destination *to, FILE *from, failure *why) {
    const bool open_already = to->descriptor >= 0;
    const int descriptor = open_already ? to->descriptor : open(to->path, O_WRONLY | O_CLOEXEC);
    if (descriptor < 0)
        return fail_system(why, to->path, "open");
    if ((!open_already || fflush(stdout) == 0) && copy_to(descriptor, from) &&
        (open_already || close(descriptor) == 0))
        return true;
    return fail_system(why, to->path, "write");
}
