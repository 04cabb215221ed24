/* The version, as number and text. */
#include "home/home.h"

#define TEXT(x)     #x
#define EXPANDED(x) TEXT(x)
#define VERSION_STRING                                                                             \
    EXPANDED(HOME_VERSION_MAJOR) "." EXPANDED(HOME_VERSION_MINOR) "." EXPANDED(HOME_VERSION_PATCH)

uint32_t home_version(void) {
    return HOME_VERSION_MAJOR * 1000000u + HOME_VERSION_MINOR * 1000u + HOME_VERSION_PATCH;
}

const char *home_version_string(void) {
    return VERSION_STRING;
}
