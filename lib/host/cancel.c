/* Thread cancellation. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "cancel.h"

#ifdef __ANDROID__
/* Its libc cannot cancel a thread. */
int homecancel_off(void) {
    return 0;
}

void homecancel_restore(int before) {
    (void)before;
}
#else
#include <pthread.h>

int homecancel_off(void) {
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void homecancel_restore(int before) {
    int off;
    pthread_setcancelstate(before, &off);
}
#endif
