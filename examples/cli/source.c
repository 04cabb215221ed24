#include "source.h"

#include "interrupt.h"
#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static bool ends_in(const char *text, const char *ending) {
    const size_t length = strlen(text);
    const size_t tail = strlen(ending);
    return length >= tail && strcmp(text + length - tail, ending) == 0;
}

/* A pipe of which gzip inherits only the end it writes to, which spawn_gzip() gives it. */
static bool open_pipe(int ends[2]) {
    if (pipe(ends) != 0)
        return false;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    return true;
}

/* gzip reads the opened file as its standard input, so no shell or file name is involved. */
static int spawn_gzip(int input, int output, pid_t *child) {
    char program[] = "gzip";
    char flags[] = "-dc";
    char *const arguments[] = {program, flags, NULL};
    posix_spawn_file_actions_t actions;
    int status = posix_spawn_file_actions_init(&actions);
    if (status != 0)
        return status;
    status = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    if (status == 0)
        status = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (status == 0)
        status = posix_spawnp(child, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return status;
}

static bool read_through_gzip(source *from, failure *why) {
    int ends[2];
    signal(SIGCHLD, SIG_DFL); /* where a parent had it ignored, gzip's status would be lost */
    if (!open_pipe(ends))
        return fail_system(why, from->path, "make a pipe");
    const int status = spawn_gzip(from->descriptor, ends[1], &from->child);
    close(ends[1]);
    from->compressed = from->descriptor;
    from->zipped = true;
    from->descriptor = ends[0];
    if (status == 0)
        return true;
    from->child = 0;
    errno = status;
    return fail_system(why, from->path, "run gzip");
}

static uint64_t file_size(int descriptor) {
    struct stat file;
    return fstat(descriptor, &file) == 0 && S_ISREG(file.st_mode) ? (uint64_t)file.st_size : 0;
}

/* Bytes of the file. gzip has a descriptor of its own, but both have one place in the file. */
static uint64_t place_in_file(const source *from) {
    const off_t place = from->zipped ? lseek(from->compressed, 0, SEEK_CUR) : -1;
    return place < 0 ? from->bytes : (uint64_t)place;
}

bool source_open(source *from, const char *path, failure *why) {
    const bool standard = options_is_dash(path);
    *from = (source){.path = standard ? "standard input" : path};
    from->descriptor =
        standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (from->descriptor < 0)
        return fail_system(why, from->path, "open");
    from->shown = reading_start(from->path, file_size(from->descriptor));
    if (!ends_in(path, ".gz") || read_through_gzip(from, why))
        return true;
    source_close(from);
    return false;
}

static bool fail_interrupted(const source *from, failure *why) {
    return fail(why, "interrupted while reading %s", from->path);
}

/* What gzip could not finish must not pass for a whole file. */
static bool end_gzip(source *from, failure *why) {
    int status = 0;
    pid_t ended;
    do {
        ended = waitpid(from->child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    from->child = 0;
    if (ended < 0)
        return fail_system(why, from->path, "learn whether gzip could decompress it");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (interrupted()) /* Ctrl-C reaches gzip too */
        return fail_interrupted(from, why);
    return fail(why, "%s: gzip could not decompress it; expected a whole gzip file", from->path);
}

bool source_read(source *from, char *bytes, size_t capacity, size_t *count, failure *why) {
    *count = 0;
    if (from->ended)
        return true;
    ssize_t got;
    do {
        interrupt_wait(from->descriptor);
        if (interrupted())
            return fail_interrupted(from, why);
        got = read(from->descriptor, bytes, capacity);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return fail_system(why, from->path, "read");
    *count = (size_t)got;
    from->bytes += (uint64_t)got;
    from->ended = got == 0;
    if (from->ended)
        reading_end(&from->shown);
    else
        reading_show(&from->shown, place_in_file(from));
    return !from->ended || !from->child || end_gzip(from, why);
}

/* Closing the pipe first ends a gzip that is still writing. */
void source_close(source *from) {
    reading_end(&from->shown);
    if (from->descriptor >= 0)
        close(from->descriptor);
    if (from->zipped)
        close(from->compressed);
    from->descriptor = -1;
    from->zipped = false;
    if (from->child) {
        while (waitpid(from->child, NULL, 0) < 0 && errno == EINTR) {
        }
        from->child = 0;
    }
}
