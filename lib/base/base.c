/* Size arithmetic that cannot overflow unnoticed. */
#include "base.h"

bool homesize_add(size_t a, size_t b, size_t *sum) {
    if (b > SIZE_MAX - a)
        return false;
    *sum = a + b;
    return true;
}

bool homesize_multiply(size_t a, size_t b, size_t *product) {
    if (a != 0 && b > SIZE_MAX / a)
        return false;
    *product = a * b;
    return true;
}
