/* What went wrong, for the person at the terminal. Functions that can fail return false and leave
 * the message here; main() prints it. */
#ifndef CLI_FAILURE_H
#define CLI_FAILURE_H

#include "home/home.h"

#include "../../lib/base/portability.h"

#include <stdbool.h>

typedef struct failure {
    char text[1024];
} failure;

/* Each returns false, so that a caller can return what it returns. */
HOME_PRINTF(2, 3) bool fail(failure *why, const char *format, ...);
bool fail_memory(failure *why);

/* A call of the operating system failed; errno has the reason. "PATH: cannot ACTION: ..." */
bool fail_system(failure *why, const char *path, const char *action);

/* A call of the library failed, and one that was given a file's path. */
bool fail_library(failure *why, const char *subject, const home_error *is);
bool fail_file(failure *why, const char *path, const home_error *is);

#endif
