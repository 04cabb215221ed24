/* Files on POSIX systems: read piece by piece, written beside the old one and renamed over it.
 * Their formats are for others. */
#if !defined(_XOPEN_SOURCE)
#define _XOPEN_SOURCE 700 /* POSIX 2008 with realpath() */
#endif
/* Without this a 32-bit libc opens no file whose length or inode needs more bits. */
#if !defined(__LP64__) && !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64
#endif

#include "file.h"

#include "../base/fail.h"
#include "../base/hash.h"
#include "../host/cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Makes a system call until no signal interrupts it. Not for close(): where that is interrupted,
 * the descriptor is gone all the same. */
#define UNINTERRUPTED(result, call)                                                                \
    do                                                                                             \
        (result) = (call);                                                                         \
    while ((result) < 0 && errno == EINTR)

/* The text of strerror_r(), which gives a status in POSIX and the text itself in GNU C, as the
 * host's macros have it. */
static const char *text_of_status(int status, const char *buffer) {
    return status == 0 ? buffer : "unknown error";
}

static const char *text_itself(const char *text, const char *buffer) {
    (void)buffer;
    return text;
}

/* The system's text for an error number, without the static buffer of strerror(). */
static home_status fail_system(home_error *error, const char *action, const char *path,
                               int number) {
    char buffer[80] = "";
    const char *reason = _Generic(strerror_r(number, buffer, sizeof buffer), int
                                  : text_of_status, default
                                  : text_itself)(strerror_r(number, buffer, sizeof buffer), buffer);
    return homefail(error, HOME_E_FILE, "cannot %s \"%.120s\": %.80s", action, path, reason);
}

/* -------------------------------------------------------------------------------------- reading */

/* A wrong file is told by its first bytes, so none is read before it is wanted. */
static home_status check_open_file(homestream *stream, home_error *error) {
    struct stat status;
    if (fstat(stream->descriptor, &status) != 0)
        return fail_system(error, "read", stream->path, errno);
    if (!S_ISREG(status.st_mode))
        return homefail(error, HOME_E_FILE, "cannot read \"%.120s\": expected a regular file",
                        stream->path);
    if (status.st_size < 0 || (uintmax_t)status.st_size > SIZE_MAX / 2)
        return homefail(error, HOME_E_TOO_LARGE, "\"%.120s\" is too large for this machine",
                        stream->path);
    stream->size = (size_t)status.st_size;
    return HOME_OK;
}

home_status homestream_open(const char *path, homestream *stream, home_error *error) {
    *stream = (homestream){.path = path, .cancel = homecancel_off()};
    home_status status;
    UNINTERRUPTED(stream->descriptor, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (stream->descriptor < 0)
        status = fail_system(error, "open", path, errno);
    else
        status = check_open_file(stream, error);
    if (status != HOME_OK)
        homestream_close(stream);
    return status;
}

homestream homestream_in_memory(const void *data, size_t size) {
    return (homestream){.memory = data, .size = size};
}

void homestream_close(const homestream *stream) {
    if (!stream->path)
        return;
    if (stream->descriptor >= 0)
        close(stream->descriptor);
    homecancel_restore(stream->cancel);
}

home_status homestream_skip(homestream *stream, size_t size, home_error *error) {
    if (stream->path && lseek(stream->descriptor, (off_t)size, SEEK_CUR) < 0)
        return fail_system(error, "read", stream->path, errno);
    stream->at += size;
    return HOME_OK;
}

home_status homestream_read(homestream *stream, void *target, size_t size, home_error *error) {
    char *next = target;
    if (!stream->path) {
        if (size)
            memcpy(target, stream->memory + stream->at, size);
        stream->at += size;
        return HOME_OK;
    }
    while (size > 0) {
        ssize_t got;
        UNINTERRUPTED(got, read(stream->descriptor, next, size));
        if (got < 0)
            return fail_system(error, "read", stream->path, errno);
        if (got == 0)
            return homefail(error, HOME_E_FILE, "\"%.120s\" became shorter while it was read",
                            stream->path);
        next += got;
        size -= (size_t)got;
        stream->at += (size_t)got;
    }
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- writing */

#define TEMPORARY ".0123456789abcdef.tmp" /* the longest ending of a temporary file's name */

/* A save that is interrupted at any point leaves the old file or the new one, never part of one:
 *
 *     homefile_begin     make and lock "model.0.tmp" beside "model"
 *     homefile_write     to it
 *     homefile_commit    fsync model.0.tmp, rename it to "model", fsync the directory
 *
 * The rename is atomic, and comes only after the data are on the disk. */

/* The file that is replaced: `path`, or what it links to, so that a link stays one. */
static home_status choose_target(homefile *file, const char *path, home_error *error) {
    char resolved[PATH_MAX];
    struct stat link;
    const bool there = lstat(path, &link) == 0;
    if (!there && errno != ENOENT)
        return fail_system(error, "write", path, errno);
    if (there && S_ISLNK(link.st_mode)) {
        if (!realpath(path, resolved))
            return fail_system(error, "follow the link", path, errno);
        path = resolved;
    }
    const size_t length = strlen(path);
    const size_t room = length + sizeof TEMPORARY;
    file->target = homememory_copy_text(file->allocator, path, length);
    file->temporary = homememory_allocate(file->allocator, room, 1);
    return file->target && file->temporary ? HOME_OK : homefail_memory(error);
}

typedef enum claim { HELD, LOST, NO_LOCKS } claim;

/* A file is held once it is locked and still the one of its name: another save may have renamed or
 * removed that meanwhile. */
static claim hold(int descriptor, const char *name, struct stat *opened) {
    struct stat named;
    int locked;
    UNINTERRUPTED(locked, flock(descriptor, LOCK_EX | LOCK_NB));
    if (locked != 0)
        return errno == EWOULDBLOCK ? LOST : NO_LOCKS;
    return fstat(descriptor, opened) == 0 && lstat(name, &named) == 0 &&
                   opened->st_dev == named.st_dev && opened->st_ino == named.st_ino
               ? HELD
               : LOST;
}

/* Makes a file of this name, which nothing may have yet. -1: errno says why not. */
static int make_file(const char *name, mode_t mode) {
    int descriptor;
    UNINTERRUPTED(descriptor,
                  open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    return descriptor;
}

/* Removes what a killed process left behind: a regular file of this user's that no save holds. It
 * is locked meanwhile, so it cannot be one that a save is about to rename. Its bytes are never used
 * again: someone may have it open. */
static bool remove_leftover(const char *name) {
    struct stat opened;
    int descriptor;
    UNINTERRUPTED(descriptor, open(name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (descriptor < 0)
        return false;
    const bool removed = hold(descriptor, name, &opened) == HELD && S_ISREG(opened.st_mode) &&
                         opened.st_uid == geteuid() && opened.st_nlink == 1 && unlink(name) == 0;
    close(descriptor);
    return removed;
}

/* A number that others do not foresee, for a name. */
static unsigned long long odd_number(const void *salt) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    return homehash_mix64((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30 ^
                          (uint64_t)getpid() << 44 ^ (uint64_t)(uintptr_t)salt << 8);
}

/* Makes and locks "<target>.<number>.tmp", the first that is free or a leftover, so these do not
 * pile up. Where all are in the way, or nothing can be locked, the name has a random number, and
 * nobody else ever touches the file. Returns -1 where neither can be made. */
static int open_temporary(const homefile *file, mode_t mode) {
    enum { NUMBERS = 16, TRIES = 100 };
    const size_t room = strlen(file->target) + sizeof TEMPORARY;
    int number = 0;
    for (int i = 0; i < TRIES && number < NUMBERS; i++) {
        struct stat status;
        snprintf(file->temporary, room, "%s.%d.tmp", file->target, number);
        const int made = make_file(file->temporary, mode);
        if (made < 0 && errno != EEXIST)
            return -1;
        if (made < 0) {
            number += !remove_leftover(file->temporary);
            continue;
        }
        const claim got = hold(made, file->temporary, &status);
        if (got == HELD)
            return made;
        if (got == NO_LOCKS) {
            unlink(file->temporary);
            number = NUMBERS;
        }
        close(made);
    }
    int descriptor = -1;
    for (int i = 0; i < TRIES && descriptor < 0; i++) {
        snprintf(file->temporary, room, "%s.%016llx.tmp", file->target, odd_number(&descriptor));
        descriptor = make_file(file->temporary, mode);
        if (descriptor < 0 && errno != EEXIST)
            return -1;
    }
    return descriptor;
}

/* Gives the new file the old one's owner and mode. Only root can give a file away. Where the group
 * cannot be kept, it may do no more than everyone: it is another group. */
static int keep_rights(int descriptor, const struct stat *old) {
    struct stat made;
    mode_t mode = old->st_mode & 0777;
    if (fstat(descriptor, &made) != 0)
        return errno;
    if ((made.st_uid != old->st_uid || made.st_gid != old->st_gid) &&
        fchown(descriptor, old->st_uid, old->st_gid) != 0 && made.st_gid != old->st_gid &&
        fchown(descriptor, (uid_t)-1, old->st_gid) != 0)
        mode &= 0707u | (mode & 07u) << 3;
    int done;
    UNINTERRUPTED(done, fchmod(descriptor, mode));
    return done == 0 ? 0 : errno;
}

static void free_names(const homefile *file) {
    homememory_free(file->allocator, file->target);
    homememory_free(file->allocator, file->temporary);
}

static home_status begin(const home_allocator *allocator, const char *path, homefile *file,
                         home_error *error) {
    struct stat old;
    const bool exists = stat(path, &old) == 0;
    if (!exists && errno != ENOENT)
        return fail_system(error, "write", path, errno);
    if (exists && !S_ISREG(old.st_mode)) /* a rename would replace a device */
        return homefail(error, HOME_E_FILE,
                        "cannot write \"%.120s\": expected a regular file, or none", path);
    *file = (homefile){.allocator = allocator, .path = path};
    home_status status = choose_target(file, path, error);
    if (status == HOME_OK) {
        /* For its owner alone until it has the rights of the old one. */
        file->descriptor = open_temporary(file, exists ? 0600 : 0666);
        if (file->descriptor < 0)
            status = fail_system(error, "create", file->temporary, errno);
    }
    if (status != HOME_OK) {
        free_names(file);
        return status;
    }
    if (exists)
        file->failure = keep_rights(file->descriptor, &old);
    return HOME_OK;
}

home_status homefile_begin(const home_allocator *allocator, const char *path, homefile *file,
                           home_error *error) {
    const int cancel = homecancel_off();
    const home_status status = begin(allocator, path, file, error);
    if (status == HOME_OK)
        file->cancel = cancel;
    else
        homecancel_restore(cancel);
    return status;
}

void homefile_write(homefile *file, const void *bytes, size_t size) {
    const char *p = bytes;
    while (size > 0 && file->failure == 0) {
        ssize_t written;
        UNINTERRUPTED(written, write(file->descriptor, p, size));
        if (written > 0) {
            p += written;
            size -= (size_t)written;
        } else {
            file->failure = written == 0 ? EIO : errno;
        }
    }
}

/* Makes the rename itself durable. Some file systems cannot sync a directory; the file is whole all
 * the same. */
static void sync_directory(const homefile *file) {
    char *slash = strrchr(file->temporary, '/');
    const char *directory = slash == file->temporary ? "/" : slash ? file->temporary : ".";
    if (slash)
        *slash = 0;
    int descriptor;
    UNINTERRUPTED(descriptor, open(directory, O_RDONLY | O_CLOEXEC));
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
}

/* The lock goes with the descriptor, so the name is changed or removed before that is closed.
 * The result of close() does not matter: what it could report, fsync() has reported. */
home_status homefile_commit(homefile *file, home_error *error) {
    int synced = 0;
    if (file->failure == 0)
        UNINTERRUPTED(synced, fsync(file->descriptor));
    if (synced != 0 || (file->failure == 0 && rename(file->temporary, file->target) != 0))
        file->failure = errno;
    if (file->failure == 0)
        sync_directory(file);
    else
        unlink(file->temporary);
    close(file->descriptor);
    free_names(file);
    homecancel_restore(file->cancel);
    return file->failure == 0 ? HOME_OK : fail_system(error, "write", file->path, file->failure);
}
