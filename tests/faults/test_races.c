/* Saves that meet: another one renames or removes a temporary file between the moment that this one
 * opens or makes it and the moment that it locks it. Nobody's file is taken for another. */
#define _GNU_SOURCE
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the other save does before the next lock. */
static void (*meanwhile)(void);
static int held = -1; /* by the other save */

/* The library's, and the test's own. */
int flock(int descriptor, int operation) {
    void (*const act)(void) = meanwhile;
    meanwhile = NULL;
    if (act)
        act();
    return (int)syscall(SYS_flock, descriptor, operation);
}

static const char third_save[] = "a third save is writing this";

/* As make_file() and hold() of lib/store/file.c do. */
static void begin_third_save(void) {
    char path[PATH_SIZE];
    held = open(path_of("model.0.tmp", path), O_WRONLY | O_CREAT | O_EXCL, 0600);
    REQUIRE(held >= 0 && flock(held, LOCK_EX) == 0);
    REQUIRE(write(held, third_save, sizeof third_save) == (ssize_t)sizeof third_save);
}

static void rename_and_begin(void) {
    char from[PATH_SIZE];
    char to[PATH_SIZE];
    REQUIRE(rename(path_of("model.0.tmp", from), path_of("model", to)) == 0);
    begin_third_save();
}

static void remove_and_begin(void) {
    char path[PATH_SIZE];
    REQUIRE(unlink(path_of("model.0.tmp", path)) == 0);
    begin_third_save();
}

/* Saves while the other one acts: the model is whole, and the third save still has its file. */
static void save_meanwhile(void (*act)(void)) {
    setup s;
    char path[PATH_SIZE];
    home_error error = new_error();
    setup_small(&s);
    home_model *model = make_model(&s);
    home_model *loaded = NULL;
    meanwhile = act;
    if (!CHECK_INTEGER(home_model_save(model, path_of("model", path), 0, &error), HOME_OK))
        printf("%s\n", error.message);
    CHECK(meanwhile == NULL);
    if (CHECK_INTEGER(home_model_load(path, NULL, &loaded, &error), HOME_OK))
        CHECK(same_model(model, loaded));
    size_t length = 0;
    unsigned char *kept = read_whole(path_of("model.0.tmp", path), &length);
    if (CHECK_INTEGER(length, sizeof third_save))
        CHECK_BYTES(kept, third_save, length);
    free(kept);
    home_model_release(loaded);
    home_model_release(model);
    close(held);
    folder_empty();
}

/* It looks like a leftover until it is locked: by then the name is another save's. */
static void a_file_that_another_save_has_just_renamed_is_not_removed(void) {
    char path[PATH_SIZE];
    FILE *file = fopen(path_of("model.0.tmp", path), "w");
    REQUIRE(file && fputs("another save's", file) >= 0 && fclose(file) == 0);
    save_meanwhile(rename_and_begin);
}

/* Another save has removed it as a leftover, since it was not locked yet. */
static void a_new_file_that_another_save_has_removed_is_not_renamed(void) {
    save_meanwhile(remove_and_begin);
}

int main(void) {
    folder_make();
    RUN(a_file_that_another_save_has_just_renamed_is_not_removed);
    RUN(a_new_file_that_another_save_has_removed_is_not_renamed);
    rmdir(folder);
    return test_summary();
}
