/* Quotients of what has been counted. */
#ifndef HOME_RATIO_H
#define HOME_RATIO_H

#include <float.h>
#include <math.h>

/* NaN where there is nothing to divide by; then the part is 0 too. The divisor never is, for
 * compilers may divide before they look whether it is wanted, and hosts may trap that. */
static inline double homeratio(double part, double whole) {
    const double quotient = part / (whole > DBL_MIN ? whole : DBL_MIN);
    return whole > 0 ? quotient : (double)NAN;
}

#endif
