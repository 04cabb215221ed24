/* Part of a test in a process of its own. */
#ifndef TESTS_ROBUST_CHILD_H
#define TESTS_ROBUST_CHILD_H

#include "sanitizer.h"
#include "test.h"

#include <sys/wait.h>
#include <unistd.h>

/* Starts a child that ends with the number of failures `part` returns, or, where it hangs, by
 * SIGALRM. The child says nothing of memory it leaves: that is the parent's. */
static inline pid_t child_start(int (*part)(void *context), void *context, unsigned seconds) {
    fflush(stdout);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0)
        return child;
    alarm(seconds);
    const int failures = part(context);
    _exit(failures < 100 ? failures : 100);
}

/* Failures in a child; -number where a signal ended it. */
static inline int child_wait(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) != child)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static inline int in_child(int (*part)(void *context), void *context) {
    return child_wait(child_start(part, context, 60));
}

#endif
