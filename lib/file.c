#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "file.h"

#include "status.h"

#ifndef HOME_SERVE_ONLY
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes a system call until no signal interrupts it. Not for close(): where that is interrupted, the descriptor is gone
 * all the same. */
#define UNINTERRUPTED(result, call)                                                                          \
    do                                                                                                       \
        (result) = (call);                                                                                   \
    while ((result) < 0 && errno == EINTR)

/* The system's text for an error number, without the static buffer of strerror(). */
static home_status fail_system(home_error *error, const char *action, const char *path, int number) {
    char reason[80] = "";
    if (strerror_r(number, reason, sizeof reason) != 0)
        snprintf(reason, sizeof reason, "error %d", number);
    return home_fail(error, HOME_E_FILE, "cannot %s \"%.120s\": %s", action, path, reason);
}

/* Reads up to `size` bytes; returns how many, or -1. */
static ssize_t read_all(int descriptor, unsigned char *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t got;
        UNINTERRUPTED(got, read(descriptor, data + done, size - done));
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static home_status read_open_file(int descriptor, const home_allocator *allocator, const char *path,
                                  unsigned char **data, size_t *size, home_error *error) {
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return fail_system(error, "read", path, errno);
    if (!S_ISREG(status.st_mode))
        return home_fail(error, HOME_E_FILE, "cannot read \"%.120s\": expected a regular file", path);
    if (status.st_size < 0 || (uintmax_t)status.st_size > SIZE_MAX / 2)
        return home_fail(error, HOME_E_TOO_LARGE, "\"%.120s\" is too large for this machine", path);
    *size = (size_t)status.st_size;
    *data = home_allocate(allocator, *size, 1);
    if (!*data)
        return home_fail(error, HOME_E_MEMORY, "out of memory for the %zu bytes of \"%.120s\"", *size, path);
    const ssize_t got = read_all(descriptor, *data, *size);
    if (got >= 0 && (size_t)got == *size)
        return HOME_OK;
    const int number = errno;
    home_deallocate(allocator, *data);
    if (got < 0)
        return fail_system(error, "read", path, number);
    return home_fail(error, HOME_E_FILE, "\"%.120s\" became shorter while it was read", path);
}

home_status home_file_read(const home_allocator *allocator, const char *path, unsigned char **data,
                           size_t *size, home_error *error) {
    int descriptor;
    UNINTERRUPTED(descriptor, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (descriptor < 0)
        return fail_system(error, "open", path, errno);
    const home_status status = read_open_file(descriptor, allocator, path, data, size, error);
    close(descriptor);
    return status;
}

/* ----------------------------------------------------------------------------------------- writing */

/* Opens a file that did not exist, "<path>.<process>.<number>.tmp". */
static int open_temporary(home_file *file, size_t room) {
    enum { TRIES = 100 };
    int descriptor = -1;
    for (int i = 0; i < TRIES && descriptor < 0; i++) {
        snprintf(file->temporary, room, "%s.%ld.%d.tmp", file->path, (long)getpid(), i);
        UNINTERRUPTED(descriptor, open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        if (descriptor < 0 && errno != EEXIST)
            break;
    }
    return descriptor;
}

home_status home_file_begin(const home_allocator *allocator, const char *path, home_file *file,
                            home_error *error) {
    struct stat old;
    const bool exists = stat(path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) /* a rename would replace a device */
        return home_fail(error, HOME_E_FILE, "cannot write \"%.120s\": expected a regular file, or none",
                         path);
    const size_t room = strlen(path) + 64;
    *file = (home_file){.allocator = allocator, .path = path, .temporary = home_allocate(allocator, room, 1)};
    if (!file->temporary)
        return home_fail_memory(error);
    file->descriptor = open_temporary(file, room);
    if (file->descriptor >= 0) {
        int changed = 0;
        if (exists) /* who may read the old file may read this */
            UNINTERRUPTED(changed, fchmod(file->descriptor, old.st_mode & 0777));
        file->failure = changed == 0 ? 0 : errno;
        return HOME_OK;
    }
    const home_status status = fail_system(error, "create", file->temporary, errno);
    home_deallocate(allocator, file->temporary);
    return status;
}

void home_file_write(home_file *file, const void *bytes, size_t size) {
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

/* Makes the rename itself durable. Some file systems cannot sync a directory; the file is whole all the same.
 */
static void sync_directory(const home_file *file) {
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

home_status home_file_commit(home_file *file, home_error *error) {
    int synced = 0;
    if (file->failure == 0)
        UNINTERRUPTED(synced, fsync(file->descriptor));
    if (synced != 0)
        file->failure = errno;
    if (close(file->descriptor) != 0 && errno != EINTR && file->failure == 0)
        file->failure = errno;
    if (file->failure == 0 && rename(file->temporary, file->path) != 0)
        file->failure = errno;
    if (file->failure == 0)
        sync_directory(file);
    else
        unlink(file->temporary);
    home_deallocate(file->allocator, file->temporary);
    return file->failure == 0 ? HOME_OK : fail_system(error, "write", file->path, file->failure);
}

#endif
