/* How the library says that something failed. */
#ifndef HOME_FAIL_H
#define HOME_FAIL_H

#include "home/home.h"

#include "portability.h"

/* Writes status and message to the caller's error, when there is one that is large enough, and
 * returns status. */
HOME_PRINTF(3, 4)
home_status homefail(home_error *error, home_status status, const char *format, ...);

/* Failures with nothing more to say. */
home_status homefail_memory(home_error *error);
home_status homefail_null(home_error *error, const char *argument);

/* The failure of a call that home_parallel.run stopped by returning `code`. */
home_status homefail_canceled(home_error *error, int32_t code);

/* Puts "WHERE: " before the message of a failure. */
void homefail_within(home_error *error, const char *where);

#endif
