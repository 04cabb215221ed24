/* A folder of the test's own, and files in it. */
#ifndef TESTS_FAULTS_FOLDER_H
#define TESTS_FAULTS_FOLDER_H

#include "test.h"

#include <dirent.h>
#include <unistd.h>

#define PATH_SIZE 256

static char folder[PATH_SIZE];

static inline void folder_make(void) {
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.150s/home-test-XXXXXX", parent && *parent ? parent : "/tmp");
    REQUIRE(mkdtemp(folder));
}

static inline const char *path_of(const char *name, char *buffer) {
    snprintf(buffer, PATH_SIZE, "%.200s/%.50s", folder, name);
    return buffer;
}

static inline size_t files_in_folder(void) {
    DIR *directory = opendir(folder);
    REQUIRE(directory);
    size_t count = 0;
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(directory);
    return count;
}

static inline void folder_empty(void) {
    DIR *directory = opendir(folder);
    REQUIRE(directory);
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        char path[PATH_SIZE + 300];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove(path);
    }
    closedir(directory);
}

/* malloc'd. */
static inline unsigned char *read_whole(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    REQUIRE(size >= 0);
    rewind(file);
    unsigned char *bytes = malloc((size_t)size + 1);
    REQUIRE(bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    *length = (size_t)size;
    return bytes;
}

static inline void write_whole(const char *path, const void *bytes, size_t length) {
    FILE *file = fopen(path, "wb");
    REQUIRE(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
}

#endif
