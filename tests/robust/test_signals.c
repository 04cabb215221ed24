/* Signals: a storm of them during every call, handlers installed with and without SA_RESTART, and
 * system calls that each of them may interrupt. */
#define _GNU_SOURCE
#include "test.h"
#include "unit/fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* --------------------------------------------------------- interrupted system calls, one by one */

/* The library opens, reads, writes and syncs through these, as this program defines them. While
 * `interrupting`, each first call fails with EINTR as if a signal had come, and the next one goes
 * through. close() is different: where a signal interrupts it, the descriptor is closed all the
 * same, and calling it again could close another thread's file. */
static struct {
    bool interrupting;
    bool again; /* the last call was interrupted */
    int opens, reads, writes, syncs, closes;
} calls;

static bool interrupted(int *count) {
    if (!calls.interrupting)
        return false;
    calls.again = !calls.again;
    *count += calls.again;
    errno = EINTR;
    return calls.again;
}

/* libc's own function of a name. POSIX has a function fit in a void *; ISO C has not. */
#define LIBC(type, name) (*(type *)(void *)&(void *){dlsym(RTLD_NEXT, name)})

int open(const char *path, int flags, ...) {
    typedef int (*function)(const char *, int, mode_t);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return interrupted(&calls.opens) ? -1 : LIBC(function, "open")(path, flags, mode);
}

/* Sanitizers see what readv() writes; libc's own read() they would not. */
ssize_t read(int descriptor, void *bytes, size_t size) {
    return interrupted(&calls.reads) ? -1 : readv(descriptor, &(struct iovec){bytes, size}, 1);
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    typedef ssize_t (*function)(int, const void *, size_t);
    return interrupted(&calls.writes) ? -1 : LIBC(function, "write")(descriptor, bytes, size);
}

int fsync(int descriptor) {
    typedef int (*function)(int);
    return interrupted(&calls.syncs) ? -1 : LIBC(function, "fsync")(descriptor);
}

int close(int descriptor) {
    typedef int (*function)(int);
    const int result = LIBC(function, "close")(descriptor);
    if (!calls.interrupting)
        return result;
    calls.closes++;
    errno = EINTR;
    return -1;
}

/* ------------------------------------------------------------------------------------ the storm */

static volatile sig_atomic_t signals_seen;

static void on_signal(int number) {
    (void)number;
    signals_seen = signals_seen + 1;
}

static void set_handler(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* SIGALRM by the clock, SIGPROF by processor time: as profilers and time limits do. */
static void set_timers(suseconds_t microseconds) {
    const struct itimerval each = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &each, NULL);
    setitimer(ITIMER_PROF, &each, NULL);
}

/* A model's life, with files; the bytes it ends with. */
static unsigned char *live(const setup *s, const data *rows, const char *path, size_t threads,
                           int rounds, size_t *length) {
    home_error error = new_error();
    home_model *model = make_model(s);
    REQUIRE(home_model_set_threads(model, threads, &error) == HOME_OK);
    for (int round = 0; round < rounds; round++) {
        train_step(model, rows);
        free(predict_all(model, &rows->batch));
        CHECK_INTEGER(home_model_save(model, path, HOME_SAVE_OPTIMIZER, &error), HOME_OK);
        home_model *loaded = NULL;
        CHECK_INTEGER(home_model_load(path, NULL, &loaded, &error), HOME_OK);
        REQUIRE(loaded);
        home_model_release(model);
        model = loaded;
        REQUIRE(home_model_set_threads(model, threads, &error) == HOME_OK);
    }
    unsigned char *bytes = model_bytes(model, HOME_SAVE_OPTIMIZER, length);
    home_model_release(model);
    return bytes;
}

typedef struct scene {
    setup config;
    data rows;
    char folder[32];
    char path[64];
    unsigned char *expected;
    size_t length;
} scene;

static void scene_begin(scene *s, int rounds) {
    setup_small(&s->config);
    data_create(&s->rows, &s->config.config, 60, 1);
    snprintf(s->folder, sizeof s->folder, "build/signals.XXXXXX");
    REQUIRE(mkdtemp(s->folder));
    snprintf(s->path, sizeof s->path, "%s/model", s->folder);
    s->expected = live(&s->config, &s->rows, s->path, 1, rounds, &s->length);
}

static void scene_end(scene *s) {
    remove(s->path);
    CHECK_INTEGER(rmdir(s->folder), 0); /* nothing else is left in it */
    free(s->expected);
    data_free(&s->rows);
}

static void check_life(const scene *s, size_t threads, int rounds) {
    size_t length;
    unsigned char *bytes = live(&s->config, &s->rows, s->path, threads, rounds, &length);
    if (CHECK_INTEGER(length, s->length))
        CHECK_BYTES(bytes, s->expected, length);
    free(bytes);
}

static void signals_during_every_call_change_nothing(void) {
    static const int flags[] = {SA_RESTART, 0};
    const int rounds = getenv("TEST_QUICK") ? 10 : 100;
    scene s;
    scene_begin(&s, rounds);
    for (size_t i = 0; i < 2; i++)
        for (size_t threads = 1; threads <= 3; threads += 2) {
            signals_seen = 0;
            set_handler(SIGALRM, on_signal, flags[i]);
            set_handler(SIGPROF, on_signal, flags[i]);
            set_timers(200);
            check_life(&s, threads, rounds);
            set_timers(0);
            CHECK(signals_seen > 10);
        }
    set_handler(SIGALRM, SIG_DFL, 0);
    set_handler(SIGPROF, SIG_DFL, 0);
    scene_end(&s);
}

/* The library leaves the host's handlers, masks and timers alone. */
static void nothing_about_signals_changes(void) {
    enum { SIGNALS = 32 };
    scene s;
    sigset_t mask;
    sigset_t mask_after;
    struct sigaction before[SIGNALS];
    scene_begin(&s, 1);
    set_handler(SIGPIPE, on_signal, SA_RESTART);
    for (int number = 1; number < SIGNALS; number++)
        REQUIRE(sigaction(number, NULL, &before[number]) == 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    check_life(&s, 3, 1);
    struct sigaction after;
    for (int number = 1; number < SIGNALS; number++) {
        REQUIRE(sigaction(number, NULL, &after) == 0);
        CHECK(after.sa_handler == before[number].sa_handler);
        CHECK_INTEGER(after.sa_flags, before[number].sa_flags);
    }
    sigprocmask(SIG_SETMASK, NULL, &mask_after);
    for (int number = 1; number < SIGNALS; number++)
        CHECK_INTEGER(sigismember(&mask_after, number), number == SIGUSR2);
    struct itimerval timer;
    getitimer(ITIMER_REAL, &timer);
    CHECK_INTEGER(timer.it_value.tv_sec + timer.it_value.tv_usec, 0);
    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    set_handler(SIGPIPE, SIG_DFL, 0);
    scene_end(&s);
}

static void every_system_call_is_interrupted(void) {
    scene s;
    scene_begin(&s, 2);
    calls.interrupting = true;
    check_life(&s, 1, 2);
    calls.interrupting = false;
    CHECK(calls.opens > 0);
    CHECK(calls.reads > 0);
    CHECK(calls.writes > 0);
    CHECK(calls.syncs > 0);
    CHECK(calls.closes > 0);
    scene_end(&s);
}

int main(void) {
    RUN(signals_during_every_call_change_nothing);
    RUN(nothing_about_signals_changes);
    RUN(every_system_call_is_interrupted);
    return test_summary();
}
