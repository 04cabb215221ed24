/* Pools of threads come and go: whoever changes their number leaves none behind, and no memory. */
#include "test.h"
#include "unit/fixture.h"

#include <dirent.h>
#include <time.h>

/* Threads of this process; 0 where the system does not tell. */
static size_t thread_count(void) {
    DIR *tasks = opendir("/proc/self/task");
    size_t count = 0;
    for (const struct dirent *entry = tasks ? readdir(tasks) : NULL; entry; entry = readdir(tasks))
        count += entry->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return count;
}

/* A thread that has been joined may still be listed for a moment. */
static bool threads_become(size_t expected) {
    const struct timespec moment = {0, 1000000};
    for (int i = 0; i < 5000 && thread_count() != expected; i++)
        nanosleep(&moment, NULL);
    return thread_count() == expected;
}

static void a_pool_that_is_replaced_leaves_nothing(void) {
    static const size_t sizes[] = {3, 2, 5, 5, 1, 4, 1};
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup s;
    setup_small(&s);
    s.config.allocator = &allocator;
    home_model *model = make_model(&s);
    home_error error = new_error();
    /* A sanitizer begins a thread of its own with the first. */
    CHECK_INTEGER(home_model_set_threads(model, 2, &error), HOME_OK);
    CHECK_INTEGER(home_model_set_threads(model, 1, &error), HOME_OK);
    nanosleep(&(struct timespec){0, 100000000}, NULL);
    const size_t threads = thread_count();
    const long live = m.live;
    long with_pool = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_INTEGER(home_model_set_threads(model, sizes[i], &error), HOME_OK);
        if (threads)
            CHECK(threads_become(threads + sizes[i] - 1));
        if (sizes[i] == 1)
            CHECK_INTEGER(m.live, live);
        else if (with_pool == 0)
            with_pool = m.live;
        else
            CHECK_INTEGER(m.live, with_pool);
    }
    home_model_release(model);
    CHECK_INTEGER(m.live, 0);
}

static void a_host_s_own_threads_replace_a_pool(void) {
    meter m;
    const home_allocator allocator = meter_allocator(&m);
    setup s;
    setup_small(&s);
    s.config.allocator = &allocator;
    home_model *model = make_model(&s);
    home_error error = new_error();
    const size_t threads = thread_count();
    const long live = m.live;
    CHECK_INTEGER(home_model_set_threads(model, 4, &error), HOME_OK);
    CHECK_INTEGER(home_model_set_parallel(model, NULL, &error), HOME_OK);
    CHECK(threads_become(threads));
    CHECK_INTEGER(m.live, live);
    CHECK_INTEGER(home_model_set_threads(model, 4, &error), HOME_OK);
    home_model_release(model);
    CHECK(threads_become(threads));
    CHECK_INTEGER(m.live, 0);
}

int main(void) {
    RUN(a_pool_that_is_replaced_leaves_nothing);
    RUN(a_host_s_own_threads_replace_a_pool);
    return test_summary();
}
