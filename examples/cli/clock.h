/* Seconds since some moment, for measuring how long things take. */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

double clock_seconds(void);

#endif
