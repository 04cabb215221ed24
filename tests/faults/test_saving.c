/* Saving when the system refuses: each call fails in turn, files stand in the way, processes are
 * killed. Whatever happens, the path leads to a whole checkpoint, the old one or the new one.
 *
 * TEST_KILLS sets how many savers are killed (make test-kill). */
#define _GNU_SOURCE
#include "faults/folder.h"
#include "test.h"
#include "unit/fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* -------------------------------------------------------------------- calls that fail on demand */

/* The library reaches the system through these, as this program defines them. */
static struct {
    bool on;
    int calls;          /* so far */
    int fail_at;        /* which one fails, from 0 */
    bool fail_on;       /* and all that follow */
    int number;         /* errno */
    const char *failed; /* name of the first that failed */
    mode_t widest;      /* all permissions that the file had while it was written */
    size_t max;         /* bytes that one write() takes, 0: all */
} plan;

static bool fails(const char *name) {
    if (!plan.on)
        return false;
    const int call = plan.calls++;
    if (call < plan.fail_at || (call > plan.fail_at && !plan.fail_on))
        return false;
    if (!plan.failed)
        plan.failed = name;
    errno = plan.number;
    return true;
}

/* libc's own function of a name. POSIX has a function fit in a void *; ISO C has not. */
#define LIBC(type, name) (*(type *)(void *)&(void *){dlsym(RTLD_NEXT, name)})

int open(const char *path, int flags, ...) {
    typedef int (*function)(const char *, int, mode_t);
    mode_t mode = 0;
    if (flags & O_CREAT) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
    }
    return fails(flags & O_CREAT ? "open" : "open folder")
               ? -1
               : LIBC(function, "open")(path, flags, mode);
}

ssize_t write(int descriptor, const void *bytes, size_t size) {
    typedef ssize_t (*function)(int, const void *, size_t);
    typedef int (*look)(int, struct stat *);
    struct stat now;
    memset(&now, 0, sizeof now);
    if (plan.on && LIBC(look, "fstat")(descriptor, &now) == 0)
        plan.widest |= now.st_mode & 0777;
    if (fails("write"))
        return -1;
    if (plan.on && plan.max && size > plan.max)
        size = plan.max;
    return LIBC(function, "write")(descriptor, bytes, size);
}

/* The memory sanitizer does not see what libc itself writes: hence memset() in these. */
int stat(const char *restrict path, struct stat *restrict out) {
    typedef int (*function)(const char *restrict, struct stat *restrict);
    memset(out, 0, sizeof *out);
    return fails("stat") ? -1 : LIBC(function, "stat")(path, out);
}

int lstat(const char *restrict path, struct stat *restrict out) {
    typedef int (*function)(const char *restrict, struct stat *restrict);
    memset(out, 0, sizeof *out);
    return fails("lstat") ? -1 : LIBC(function, "lstat")(path, out);
}

int fstat(int descriptor, struct stat *out) {
    typedef int (*function)(int, struct stat *);
    memset(out, 0, sizeof *out);
    return fails("fstat") ? -1 : LIBC(function, "fstat")(descriptor, out);
}

int flock(int descriptor, int operation) {
    typedef int (*function)(int, int);
    return fails("flock") ? -1 : LIBC(function, "flock")(descriptor, operation);
}

int ftruncate(int descriptor, off_t length) {
    typedef int (*function)(int, off_t);
    return fails("ftruncate") ? -1 : LIBC(function, "ftruncate")(descriptor, length);
}

int fchmod(int descriptor, mode_t mode) {
    typedef int (*function)(int, mode_t);
    return fails("fchmod") ? -1 : LIBC(function, "fchmod")(descriptor, mode);
}

int fchown(int descriptor, uid_t owner, gid_t group) {
    typedef int (*function)(int, uid_t, gid_t);
    return fails("fchown") ? -1 : LIBC(function, "fchown")(descriptor, owner, group);
}

int rename(const char *from, const char *to) {
    typedef int (*function)(const char *, const char *);
    return fails("rename") ? -1 : LIBC(function, "rename")(from, to);
}

int unlink(const char *path) {
    typedef int (*function)(const char *);
    return fails("unlink") ? -1 : LIBC(function, "unlink")(path);
}

int fsync(int descriptor) {
    typedef int (*function)(int);
    return fails("fsync") ? -1 : LIBC(function, "fsync")(descriptor);
}

/* Fails as Linux does: the descriptor is closed all the same. */
int close(int descriptor) {
    typedef int (*function)(int);
    const int result = LIBC(function, "close")(descriptor);
    return fails("close") ? -1 : result;
}

/* ------------------------------------------------------------------------------------ the scene */

/* Two models of different size, and their files. */
typedef struct scene {
    char path[PATH_SIZE];
    home_model *old_model;
    home_model *new_model;
    unsigned char *old_bytes;
    unsigned char *new_bytes;
    size_t old_length;
    size_t new_length;
} scene;

static void scene_begin(scene *s) {
    setup config;
    setup_small(&config);
    path_of("model", s->path);
    s->old_model = make_model(&config);
    config.config.seed = 8;
    config.tables[0].rows = 40;
    s->new_model = make_model(&config);
    s->old_bytes = model_bytes(s->old_model, HOME_SAVE_OPTIMIZER, &s->old_length);
    s->new_bytes = model_bytes(s->new_model, HOME_SAVE_OPTIMIZER, &s->new_length);
    write_whole(s->path, s->old_bytes, s->old_length);
    REQUIRE(chmod(s->path, 0640) == 0);
}

static void scene_end(scene *s) {
    folder_empty();
    free(s->old_bytes);
    free(s->new_bytes);
    home_model_release(s->old_model);
    home_model_release(s->new_model);
}

static bool file_is(const char *path, const unsigned char *bytes, size_t length) {
    size_t found;
    unsigned char *file = read_whole(path, &found);
    const bool same = found == length && memcmp(file, bytes, length) == 0;
    free(file);
    return same;
}

static home_status save_new(const scene *s, home_error *error) {
    *error = new_error();
    plan.on = true;
    plan.calls = 0;
    plan.failed = NULL;
    const home_status status = home_model_save(s->new_model, s->path, HOME_SAVE_OPTIMIZER, error);
    plan.on = false;
    return status;
}

/* ---------------------------------------------------------------------------- each call in turn */

/* Calls without which there is no safe file. The others may fail and the save still succeeds. */
static bool is_needed(const char *name) {
    static const char *const needed[] = {"stat", "open", "ftruncate", "fchmod", "write", "rename"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (strcmp(name, needed[i]) == 0)
            return true;
    return false;
}

/* The save of a whole program's run with one failed call; false once there were not so many
 * calls. */
static bool fail_one(scene *s, int call, int number, bool fail_on, int *refused) {
    home_error error;
    plan.fail_at = call;
    plan.fail_on = fail_on;
    plan.number = number;
    write_whole(s->path, s->old_bytes, s->old_length);
    const home_status status = save_new(s, &error);
    if (!plan.failed) {
        CHECK_INTEGER(status, HOME_OK);
        return false;
    }
    if (status == HOME_OK) {
        if (!file_is(s->path, s->new_bytes, s->new_length) || (!fail_on && is_needed(plan.failed)))
            test_fail(__FILE__, __LINE__, "%s failed, call %d, and the save succeeded", plan.failed,
                      call);
    } else {
        CHECK_INTEGER(status, HOME_E_FILE);
        CHECK_CONTAINS(error.message, "model");
        CHECK_CONTAINS(error.message, strerror(number));
        if (!file_is(s->path, s->old_bytes, s->old_length))
            test_fail(__FILE__, __LINE__, "%s failed, call %d, and the old file is gone",
                      plan.failed, call);
        (*refused)++;
    }
    struct stat found;
    CHECK(stat(s->path, &found) == 0 && (found.st_mode & 0777) == 0640);
    if (!fail_on && files_in_folder() != 1)
        test_fail(__FILE__, __LINE__, "%s failed, call %d, and a temporary file is left",
                  plan.failed, call);
    return true;
}

static void a_save_survives_the_failure_of_each_call(void) {
    static const int numbers[] = {ENOSPC, EIO, EDQUOT};
    scene s;
    scene_begin(&s);
    const size_t count = getenv("TEST_QUICK") ? 1 : sizeof numbers / sizeof *numbers;
    for (size_t i = 0; i < count; i++)
        for (int fail_on = 0; fail_on < 2; fail_on++) {
            int refused = 0;
            int call = 0;
            while (fail_one(&s, call, numbers[i], fail_on, &refused))
                call++;
            CHECK(call > 15 && refused > 8); /* otherwise nothing was tried */
        }
    home_error error;
    plan.fail_at = -1;
    plan.fail_on = false;
    /* A file left over by the last round does no harm. */
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK_INTEGER(files_in_folder(), 1);
    scene_end(&s);
}

/* The file's own fsync() is the first: without it the save must not replace anything. */
static void a_failed_sync_replaces_nothing(void) {
    scene s;
    scene_begin(&s);
    home_error error;
    plan.fail_on = false;
    plan.number = EIO;
    bool tried = false;
    for (plan.fail_at = 0; !tried; plan.fail_at++) {
        const home_status status = save_new(&s, &error);
        REQUIRE(plan.failed);
        tried = strcmp(plan.failed, "fsync") == 0;
        CHECK_INTEGER(tried ? status : HOME_E_FILE, HOME_E_FILE);
        write_whole(s.path, s.old_bytes, s.old_length);
    }
    scene_end(&s);
}

/* A disk may take a few bytes at a time. */
static void short_writes_are_continued(void) {
    static const size_t sizes[] = {1, 7, 4095};
    scene s;
    scene_begin(&s);
    plan.fail_at = -1;
    plan.fail_on = false;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        home_error error;
        plan.max = sizes[i];
        write_whole(s.path, s.old_bytes, s.old_length);
        CHECK_INTEGER(save_new(&s, &error), HOME_OK);
        CHECK(file_is(s.path, s.new_bytes, s.new_length));
        CHECK_INTEGER(files_in_folder(), 1);
    }
    plan.max = 0;
    scene_end(&s);
}

/* --------------------------------------------------------------------------- what is in the way */

/* Temporary files that killed processes left behind: used again, whatever is in them. */
static void stale_temporary_files_are_used_again(void) {
    enum { STALE = 120 };
    scene s;
    char path[PATH_SIZE];
    char name[32];
    home_error error;
    scene_begin(&s);
    plan.fail_at = -1;
    write_whole(path_of("model.0.tmp", path), s.new_bytes, s.new_length);
    CHECK_INTEGER(home_model_save(s.old_model, s.path, HOME_SAVE_OPTIMIZER, &error), HOME_OK);
    CHECK(file_is(s.path, s.old_bytes, s.old_length));
    CHECK_INTEGER(files_in_folder(), 1);
    for (int i = 0; i < STALE; i++) {
        snprintf(name, sizeof name, "model.%d.tmp", i);
        write_whole(path_of(name, path), "stale", 5);
    }
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK(file_is(s.path, s.new_bytes, s.new_length));
    CHECK_INTEGER(files_in_folder(), STALE);
    scene_end(&s);
}

/* What nobody's save has put there stays as it is: a folder, a link, a file with two names, one
 * that is locked. */
static void what_has_the_temporary_name_stays(void) {
    scene s;
    char names[4][PATH_SIZE];
    char other[PATH_SIZE];
    home_error error;
    scene_begin(&s);
    plan.fail_at = -1;
    write_whole(path_of("other", other), "precious", 8);
    REQUIRE(mkdir(path_of("model.0.tmp", names[0]), 0700) == 0);
    REQUIRE(symlink(other, path_of("model.1.tmp", names[1])) == 0);
    REQUIRE(link(other, path_of("model.2.tmp", names[2])) == 0);
    write_whole(path_of("model.3.tmp", names[3]), "busy", 4);
    const int holder = open(names[3], O_RDONLY);
    REQUIRE(holder >= 0 && flock(holder, LOCK_EX) == 0);
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK(file_is(s.path, s.new_bytes, s.new_length));
    CHECK(file_is(other, (const unsigned char *)"precious", 8));
    CHECK(file_is(names[3], (const unsigned char *)"busy", 4));
    CHECK_INTEGER(files_in_folder(), 6);
    close(holder);
    CHECK(rmdir(names[0]) == 0);
    scene_end(&s);
}

/* A hundred files that are not ours, or a lock that cannot be had, do not stop a save. */
static void a_save_is_not_blocked_by_names(void) {
    enum { FOREIGN = 120 };
    scene s;
    char path[PATH_SIZE];
    char name[32];
    home_error error;
    scene_begin(&s);
    plan.fail_at = -1;
    plan.fail_on = false;
    for (int i = 0; i < FOREIGN; i++) {
        snprintf(name, sizeof name, "model.%d.tmp", i);
        REQUIRE(mkdir(path_of(name, path), 0700) == 0);
    }
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK(file_is(s.path, s.new_bytes, s.new_length));
    CHECK_INTEGER(files_in_folder(), FOREIGN + 1);
    scene_end(&s);
}

/* From its first byte on, the new file can be read by those alone who may read the old one. A file
 * that a killed process left is not written into: someone may have it open. */
static void no_one_else_reads_while_it_is_written(void) {
    scene s;
    char stale[PATH_SIZE];
    home_error error;
    struct stat found;
    scene_begin(&s);
    plan.fail_at = -1;
    plan.fail_on = false;
    const mode_t usual = umask(0);
    REQUIRE(chmod(s.path, 0600) == 0);
    write_whole(path_of("model.0.tmp", stale), "stale", 5);
    const int spy = open(stale, O_RDONLY);
    REQUIRE(spy >= 0);
    plan.widest = 0;
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK_INTEGER(plan.widest, 0600);
    CHECK(stat(s.path, &found) == 0 && (found.st_mode & 0777) == 0600);
    CHECK(fstat(spy, &found) == 0 && found.st_size == 5);
    close(spy);

    umask(027);
    unlink(s.path);
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK(stat(s.path, &found) == 0 && (found.st_mode & 0777) == 0640);
    umask(usual);
    scene_end(&s);
}

/* Root gives the file back to the one whose file it replaces. */
static void the_owner_stays(void) {
    scene s;
    home_error error;
    struct stat found;
    scene_begin(&s);
    plan.fail_at = -1;
    plan.fail_on = false;
    if (geteuid() == 0 && chown(s.path, 65534, 65533) == 0) {
        CHECK_INTEGER(save_new(&s, &error), HOME_OK);
        CHECK(stat(s.path, &found) == 0 && found.st_uid == 65534 && found.st_gid == 65533 &&
              (found.st_mode & 0777) == 0640);
    }
    scene_end(&s);
}

/* A link stays a link, and the file at its end is replaced, with its mode. */
static void links_are_followed(void) {
    scene s;
    char target[PATH_SIZE];
    char inner[PATH_SIZE];
    home_error error;
    struct stat found;
    scene_begin(&s);
    plan.fail_at = -1;
    REQUIRE(mkdir(path_of("inner", inner), 0700) == 0);
    REQUIRE(rename(s.path, path_of("inner/target", target)) == 0);
    REQUIRE(symlink("inner/target", s.path) == 0);
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK(lstat(s.path, &found) == 0 && S_ISLNK(found.st_mode));
    CHECK(lstat(target, &found) == 0 && S_ISREG(found.st_mode) && (found.st_mode & 0777) == 0640);
    CHECK(file_is(target, s.new_bytes, s.new_length));
    CHECK_INTEGER(files_in_folder(), 2);

    /* One that leads nowhere is an error, as it may be a mistake. */
    unlink(target);
    CHECK_INTEGER(save_new(&s, &error), HOME_E_FILE);
    CHECK_CONTAINS(error.message, "cannot follow the link");
    CHECK_INTEGER(files_in_folder(), 2);
    rmdir(inner);
    scene_end(&s);
}

/* What no reader accepts is not written: the header's limit is met, or the old file stays. */
static void a_header_that_no_reader_takes_is_refused(void) {
    enum { LIMIT = 100 * 1000 * 1000 };
    scene s;
    home_error error;
    scene_begin(&s);
    plan.fail_at = -1;
    plan.fail_on = false;
    char *note = malloc(LIMIT);
    REQUIRE(note);
    memset(note, 'x', LIMIT);
    const size_t max = LIMIT - 1000000; /* the rest of the header is smaller */
    note[max] = 0;
    REQUIRE(home_model_set_metadata(s.new_model, "note", note, NULL) == HOME_OK);
    REQUIRE(save_new(&s, &error) == HOME_OK);
    home_model *again = NULL;
    CHECK_INTEGER(home_model_load(s.path, NULL, &again, NULL), HOME_OK);
    home_model_release(again);

    memset(note, '\n', max / 2); /* escaped, these take six bytes each */
    REQUIRE(home_model_set_metadata(s.new_model, "note", note, NULL) == HOME_OK);
    write_whole(s.path, s.old_bytes, s.old_length);
    CHECK_INTEGER(save_new(&s, &error), HOME_E_TOO_LARGE);
    CHECK_CONTAINS(error.message, "expected at most 100000000");
    size_t length;
    CHECK_INTEGER(home_model_serialize(s.new_model, 0, NULL, 0, &length, NULL), HOME_E_TOO_LARGE);
    CHECK(file_is(s.path, s.old_bytes, s.old_length));
    CHECK_INTEGER(files_in_folder(), 1);
    free(note);
    scene_end(&s);
}

/* --------------------------------------------------------------------------- many saves at once */

typedef struct saver {
    const scene *s;
    const home_model *model;
    int failures;
} saver;

static void *save_again_and_again(void *context) {
    saver *self = context;
    for (int i = 0; i < 25; i++)
        self->failures +=
            home_model_save(self->model, self->s->path, HOME_SAVE_OPTIMIZER, NULL) != HOME_OK;
    return NULL;
}

static void saves_at_once_leave_one_whole_file(void) {
    enum { SAVERS = 4 };
    scene s;
    scene_begin(&s);
    saver savers[SAVERS];
    pthread_t threads[SAVERS];
    for (size_t i = 0; i < SAVERS; i++) {
        savers[i] = (saver){&s, i % 2 ? s.new_model : s.old_model, 0};
        REQUIRE(pthread_create(&threads[i], NULL, save_again_and_again, &savers[i]) == 0);
    }
    for (int i = 0; i < 50; i++) {
        home_model *seen = NULL;
        CHECK_INTEGER(home_model_load(s.path, NULL, &seen, NULL), HOME_OK);
        home_model_release(seen);
    }
    for (size_t i = 0; i < SAVERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INTEGER(savers[i].failures, 0);
    }
    CHECK_INTEGER(files_in_folder(), 1);
    scene_end(&s);
}

/* -------------------------------------------------------------------------------------- kill -9 */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* How long a saver lives at most: a few saves. */
static double longest_life(const scene *s) {
    const double begin = seconds_now();
    for (int i = 0; i < 4; i++)
        CHECK_INTEGER(home_model_save(s->new_model, s->path, HOME_SAVE_OPTIMIZER, NULL), HOME_OK);
    const double life = seconds_now() - begin;
    return life < 0.9 ? life : 0.9;
}

static pid_t start_saver(const scene *s) {
    fflush(stdout);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0)
        return child;
    for (;;) {
        home_model_save(s->new_model, s->path, HOME_SAVE_OPTIMIZER, NULL);
        home_model_save(s->old_model, s->path, HOME_SAVE_OPTIMIZER, NULL);
    }
}

/* At random moments, some of which must have been in the middle of a file. */
static void killed_savers_leave_a_whole_file(void) {
    const char *wanted = getenv("TEST_KILLS");
    const long kills = wanted ? strtol(wanted, NULL, 10) : getenv("TEST_QUICK") ? 20 : 40;
    scene s;
    uint64_t random = 1;
    int in_the_middle = 0;
    scene_begin(&s);
    const double life = longest_life(&s);
    for (long i = 0; i < kills; i++) {
        const pid_t child = start_saver(&s);
        nanosleep(&(struct timespec){0, (long)(1e9 * random_between(&random, 0, life))}, NULL);
        REQUIRE(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
        home_error error = new_error();
        home_model *model = NULL;
        if (home_model_load(s.path, NULL, &model, &error) != HOME_OK)
            test_fail(__FILE__, __LINE__, "after kill %ld: %s", i, error.message);
        CHECK(file_is(s.path, s.new_bytes, s.new_length) ||
              file_is(s.path, s.old_bytes, s.old_length));
        CHECK(files_in_folder() <= 2); /* leftovers do not pile up */
        in_the_middle += files_in_folder() == 2;
        home_model_release(model);
    }
    printf("    %ld killed, %d of them in the middle of a file\n", kills, in_the_middle);
    CHECK(in_the_middle > 0);
    home_error error;
    CHECK_INTEGER(save_new(&s, &error), HOME_OK);
    CHECK_INTEGER(files_in_folder(), 1);
    scene_end(&s);
}

int main(void) {
    folder_make();
    RUN(a_save_survives_the_failure_of_each_call);
    RUN(a_failed_sync_replaces_nothing);
    RUN(short_writes_are_continued);
    RUN(stale_temporary_files_are_used_again);
    RUN(what_has_the_temporary_name_stays);
    RUN(a_save_is_not_blocked_by_names);
    RUN(no_one_else_reads_while_it_is_written);
    RUN(the_owner_stays);
    RUN(links_are_followed);
    RUN(a_header_that_no_reader_takes_is_refused);
    RUN(saves_at_once_leave_one_whole_file);
    RUN(killed_savers_leave_a_whole_file);
    if (rmdir(folder) != 0)
        printf("%s could not be removed\n", folder);
    return test_summary();
}
