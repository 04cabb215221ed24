/* Paths of files. */
#ifndef CLI_PATH_H
#define CLI_PATH_H

#include <string.h>

/* A file's name without its folder. */
static inline const char *path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

#endif
