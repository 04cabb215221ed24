/* Thread cancellation. A thread that pthread_cancel() ended inside the library would leave locks,
 * half a job of a pool, or a temporary file behind. So calls that wait for other threads or use
 * files switch cancellation off for as long as they take; the thread ends afterwards.
 *
 *     const int before = homecancel_off();
 *     ..
 *     homecancel_restore(before); */
#ifndef HOME_CANCEL_H
#define HOME_CANCEL_H

int homecancel_off(void);
void homecancel_restore(int before);

#endif
