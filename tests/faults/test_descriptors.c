/* In a daemon that has closed its standard files, 0 is a descriptor like any other. */
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

#include <fcntl.h>
#include <sys/file.h>

static void save_and_load(const home_model *model) {
    char path[PATH_SIZE];
    home_error error = new_error();
    home_model *loaded = NULL;
    if (!CHECK_INTEGER(home_model_save(model, path_of("model", path), 0, &error), HOME_OK))
        printf("%s\n", error.message);
    if (CHECK_INTEGER(home_model_load(path, NULL, &loaded, &error), HOME_OK))
        CHECK(same_model(model, loaded));
    else
        printf("%s\n", error.message);
    home_model_release(loaded);
    CHECK_INTEGER(files_in_folder(), 1);
    CHECK(fcntl(0, F_GETFD) < 0); /* and it is closed again */
}

static void files_may_have_descriptor_zero(void) {
    setup s;
    char path[PATH_SIZE];
    setup_small(&s);
    home_model *model = make_model(&s);
    save_and_load(model); /* no file yet */
    save_and_load(model); /* over one */
    FILE *leftover = fopen(path_of("model.0.tmp", path), "w");
    REQUIRE(leftover && fclose(leftover) == 0);
    save_and_load(model);
    home_model_release(model);
}

int main(void) {
    folder_make();
    fclose(stdin);
    RUN(files_may_have_descriptor_zero);
    folder_empty();
    rmdir(folder);
    return test_summary();
}
