#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static volatile sig_atomic_t flag;

/* `leftover_there` says that the name is whole, also to a handler that comes between two bytes. */
static char leftover[4096];
static volatile sig_atomic_t leftover_there;

/* Only calls that a handler may make. The signal that is raised comes when the handler ends. */
static void end_at_once(int signal_number) {
    if (leftover_there)
        unlink(leftover);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void on_signal(int signal_number) {
    const int number = errno;
    if (flag)
        end_at_once(signal_number);
    flag = 1;
    errno = number;
}

static void handle(int signal_number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

static void catch_unless_ignored(int signal_number, void (*handler)(int)) {
    struct sigaction before;
    if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        handle(signal_number, handler);
}

void interrupt_catch(void) {
    static const int deadly[] = {
        SIGQUIT,
        SIGPIPE,
#ifdef SIGXCPU
        SIGXCPU,
#endif
    };
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    catch_unless_ignored(SIGHUP, on_signal);
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        catch_unless_ignored(deadly[i], end_at_once);
#ifdef SIGXFSZ
    handle(SIGXFSZ, SIG_IGN); /* a file above its limit is then an error of the write */
#endif
}

static sigset_t held;

void interrupt_hold(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &held);
}

void interrupt_release(void) {
    sigprocmask(SIG_SETMASK, &held, NULL);
}

void interrupt_wait(int descriptor) {
    fd_set readable;
    if (descriptor >= FD_SETSIZE)
        return;
    FD_ZERO(&readable);
    FD_SET(descriptor, &readable);
    interrupt_hold();
    if (!interrupted())
        pselect(descriptor + 1, &readable, NULL, NULL, NULL, &held);
    interrupt_release();
}

void interrupt_removes(const char *path) {
    leftover_there = 0;
    const size_t length = path ? strlen(path) : sizeof leftover;
    if (length >= sizeof leftover)
        return;
    memcpy(leftover, path, length + 1);
    leftover_there = 1;
}

bool interrupted(void) {
    return flag != 0;
}
