/* Runs a harness on its corpus, without libFuzzer: build/.../test_NAME takes
 * tests/fuzz/corpus/NAME, or the files named as arguments. Each input is in memory of its own size,
 * so that a sanitizer sees what is read past its end. */
#include "fuzz/fuzz.h"
#include "test.h"

#include <dirent.h>

static void replay(const char *path) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file && fseek(file, 0, SEEK_END) == 0);
    const long size = ftell(file);
    REQUIRE(size >= 0);
    rewind(file);
    uint8_t *bytes = malloc(size ? (size_t)size : 1);
    REQUIRE(bytes && fread(bytes, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    test_begin("an input is harmless: %.130s", path);
    LLVMFuzzerTestOneInput(bytes, (size_t)size);
    test_end();
    free(bytes);
}

static void replay_folder(const char *program) {
    const char *name = strrchr(program, '_');
    char folder[200];
    REQUIRE(name);
    snprintf(folder, sizeof folder, "tests/fuzz/corpus/%.100s", name + 1);
    DIR *directory = opendir(folder);
    REQUIRE(directory);
    for (const struct dirent *entry = readdir(directory); entry; entry = readdir(directory)) {
        char path[500];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.')
            replay(path);
    }
    closedir(directory);
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++)
        replay(arguments[i]);
    if (count < 2)
        replay_folder(arguments[0]);
    return test_summary();
}
