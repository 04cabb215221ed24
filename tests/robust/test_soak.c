/* A soak: two threads predict without pause while a third trains, and every 100 ms puts a new
 * frozen copy into service. Every prediction must have the bytes that its version is known to give,
 * and memory must stay flat.
 *
 *     make soak SOAK_CALLS=10000000
 *
 * prints latencies too: of a whole request, from taking the model in service to giving it back,
 * which now and then frees the one before. Without SOAK_CALLS it is a short test among the
 * others. */
#include "robust/child.h"
#include "robust/service.h"
#include "test.h"
#include "unit/fixture.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS = 2,
    ROWS = 256,
    DENSE = 128,
    TASKS = 4,
    INPUTS = ROWS * DENSE,
    OUTPUTS = ROWS * TASKS,
    MAX_ROWS_PER_CALL = 4,
};

/* Configuration S of docs/performance.md. */
static const char configuration[] = "{\"dense\":128,\"seed\":1,\"tasks\":[{\"name\":\"a\","
                                    "\"group\":\"g\"},{\"name\":\"b\",\"group\":\"g\"},"
                                    "{\"name\":\"c\",\"group\":\"h\"},{\"name\":\"d\",\"group\":"
                                    "\"h\"}],\"tower\":{\"hidden\":[16]},"
                                    "\"layers\":["
                                    "{\"width\":64,\"shared_experts\":2,\"group_experts\":2,"
                                    "\"feature_branches\":2,\"feature_rank\":16},"
                                    "{\"width\":32,\"shared_experts\":2,\"group_experts\":2,\"task_"
                                    "experts\":2,\"feature_branches\":2,"
                                    "\"feature_rank\":8}]}";

/* --------------------------------------------------------------------------------------- memory */

static atomic_size_t live_bytes;

enum { HEADER = 64 }; /* before each block, for its size */

static void *allocate(void *user, size_t bytes) {
    (void)user;
    char *block = malloc(bytes + HEADER);
    if (!block)
        return NULL;
    memcpy(block, &bytes, sizeof bytes);
    atomic_fetch_add(&live_bytes, bytes);
    return block + HEADER;
}

static void release(void *user, void *memory) {
    (void)user;
    size_t bytes;
    char *block = (char *)memory - HEADER;
    memcpy(&bytes, block, sizeof bytes);
    atomic_fetch_sub(&live_bytes, bytes);
    free(block);
}

/* Resident memory of the process; 0 where the system does not tell. */
static size_t resident_bytes(void) {
    char line[128] = ""; /* pages in all, pages resident, ... */
    char *rest = line;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    if (fgets(line, sizeof line, file))
        strtoul(line, &rest, 10);
    fclose(file);
    return (size_t)strtoul(rest, NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
}

/* ------------------------------------------------------------------------------------ latencies */

/* Counts of nanoseconds: 32 equal classes for each power of two, so a percentile is known to 3
 * %. */
enum { CLASSES = 32, POWERS = 40, COUNTS = POWERS * CLASSES, EXACT = 2 * CLASSES };
typedef struct latencies {
    uint64_t counts[COUNTS];
    uint64_t total;
    uint64_t largest;
} latencies;

static size_t class_of(uint64_t ns) {
    unsigned power = 0;
    while (ns >> power >= EXACT)
        power++;
    const size_t at = (size_t)power * CLASSES + (size_t)(ns >> power);
    return at < COUNTS ? at : COUNTS - 1;
}

/* The largest value of a class. */
static uint64_t class_end(size_t at) {
    if (at < EXACT)
        return at;
    const size_t power = at / CLASSES - 1;
    return ((uint64_t)(at - power * CLASSES + 1) << power) - 1;
}

static void count_latency(latencies *l, uint64_t ns) {
    l->counts[class_of(ns)]++;
    l->total++;
    if (ns > l->largest)
        l->largest = ns;
}

static double percentile_us(const latencies *l, double share) {
    uint64_t left = (uint64_t)(share * (double)l->total);
    size_t at = 0;
    while (at + 1 < COUNTS && left >= l->counts[at])
        left -= l->counts[at++];
    return (double)class_end(at) / 1000;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* -------------------------------------------------------------------------------------- threads */

/* What the versions in service are known to predict. A version's place is used again after VERSIONS
 * replacements, more than a minute, when no call is still on it. */
enum { VERSIONS = 1024 };

typedef struct soak {
    service service;
    float rows[INPUTS];
    float expected[VERSIONS][OUTPUTS];
    uint64_t calls_per_thread;
    atomic_uint_fast64_t calls;
    atomic_uint_fast64_t wrong;
    atomic_int running;
} soak;

typedef struct caller {
    pthread_t thread;
    soak *soak;
    bool own_workspace;
    latencies latencies;
} caller;

static bool call(soak *s, latencies *l, size_t first, size_t count, home_workspace *workspace) {
    float out[MAX_ROWS_PER_CALL * TASKS];
    size_t version;
    const home_batch batch = {
        .struct_size = sizeof batch, .rows = count, .dense = s->rows + first * DENSE};
    const uint64_t begin = now_ns();
    const home_model *model = service_take(&s->service, &version);
    const home_status status = home_model_predict(model, &batch, out, 0, workspace, NULL);
    home_model_release(model);
    count_latency(l, now_ns() - begin);
    const float *expected = s->expected[version % VERSIONS] + first * TASKS;
    return status == HOME_OK && memcmp(out, expected, count * TASKS * sizeof *out) == 0;
}

static void *keep_calling(void *argument) {
    caller *c = argument;
    soak *s = c->soak;
    uint64_t state = c->own_workspace;
    size_t version;
    home_workspace *workspace = NULL;
    const home_model *model = service_take(&s->service, &version);
    const size_t size = home_workspace_size(model);
    void *memory = malloc(size);
    REQUIRE(memory);
    if (c->own_workspace) /* all versions have the same configuration, so it fits them all */
        REQUIRE(home_workspace_init(model, memory, size, &workspace, NULL) == HOME_OK);
    home_model_release(model);
    for (uint64_t i = 0; i < s->calls_per_thread; i++) {
        const size_t count = 1 + (size_t)(random_bits(&state) % MAX_ROWS_PER_CALL);
        const size_t first = (size_t)(random_bits(&state) % (ROWS - count + 1));
        if (!call(s, &c->latencies, first, count, workspace))
            atomic_fetch_add(&s->wrong, 1);
        atomic_fetch_add(&s->calls, 1);
    }
    free(memory);
    atomic_fetch_sub(&s->running, 1);
    return NULL;
}

/* A step on labels that follow the rows, so that versions differ. */
static void train(home_model *model, const soak *s, size_t version) {
    static float labels[OUTPUTS];
    for (size_t i = 0; i < OUTPUTS; i++)
        labels[i] = (float)((i + version) % 3 == 0);
    const home_batch batch = {.struct_size = sizeof batch, .rows = ROWS, .dense = s->rows};
    const home_targets targets = {.struct_size = sizeof targets, .labels = labels};
    REQUIRE(home_model_forward(model, &batch, NULL, 0, NULL) == HOME_OK);
    REQUIRE(home_model_backward(model, &targets, NULL, NULL) == HOME_OK);
    REQUIRE(home_model_step(model, NULL) == HOME_OK);
}

static void replace(soak *s, const home_model *trained, size_t version) {
    home_model *frozen = NULL;
    const home_batch batch = {.struct_size = sizeof batch, .rows = ROWS, .dense = s->rows};
    float *expected = s->expected[version % VERSIONS];
    REQUIRE(home_model_freeze(trained, &frozen, NULL) == HOME_OK);
    REQUIRE(home_model_predict(frozen, &batch, expected, 0, NULL, NULL) == HOME_OK);
    service_replace(&s->service, frozen, version);
}

static void sleep_100_ms(void) {
    const struct timespec time = {0, 100000000};
    nanosleep(&time, NULL);
}

/* --------------------------------------------------------------------------------------- report */

typedef struct memory {
    size_t live;
    size_t resident;
} memory;

static memory memory_now(void) {
    return (memory){atomic_load(&live_bytes), resident_bytes()};
}

static void print_memory(const char *when, memory m) {
    printf("%-14s %10.1f KiB of the allocator live, %10.1f KiB resident\n", when,
           (double)m.live / 1024, (double)m.resident / 1024);
}

static void print_latencies(caller *callers, uint64_t calls, size_t versions, double seconds) {
    latencies *all = &callers[0].latencies;
    for (size_t t = 1; t < THREADS; t++) {
        for (size_t i = 0; i < COUNTS; i++)
            all->counts[i] += callers[t].latencies.counts[i];
        all->total += callers[t].latencies.total;
        if (callers[t].latencies.largest > all->largest)
            all->largest = callers[t].latencies.largest;
    }
    printf("%llu calls of 1 to %d rows from %d threads in %.1f s, %zu versions\n",
           (unsigned long long)calls, MAX_ROWS_PER_CALL, THREADS, seconds, versions);
    printf("latency in us: p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f\n",
           percentile_us(all, 0.5), percentile_us(all, 0.9), percentile_us(all, 0.99),
           percentile_us(all, 0.999), (double)all->largest / 1000);
}

/* Same state, same bytes, but for a workspace that the model in service may hold at rest for each
 * thread. */
static void check_flat(memory warm, memory end, size_t workspace) {
    CHECK(end.live <= warm.live + THREADS * (workspace + 256));
    if (!TEST_NEEDS_ADDRESSES) /* a sanitizer keeps what was freed for a while */
        CHECK(end.resident <= warm.resident + (4u << 20));
}

/* ----------------------------------------------------------------------------------------- soak */

static uint64_t wanted_calls(void) {
    const char *text = getenv("SOAK_CALLS");
    if (text && strtoull(text, NULL, 10) > 0)
        return strtoull(text, NULL, 10);
    return getenv("TEST_QUICK") ? 4000 : 100000;
}

static void serving_without_pause_neither_fails_nor_grows(void) {
    static soak s;
    static caller callers[THREADS];
    const home_allocator allocator = {
        .struct_size = sizeof allocator, .allocate = allocate, .release = release};
    const home_create_options options = {.struct_size = sizeof options, .allocator = &allocator};
    home_model *trained = NULL;
    uint64_t state = 9;
    for (size_t i = 0; i < INPUTS; i++)
        s.rows[i] = (float)random_between(&state, -1, 1);
    memset(s.expected, 1, sizeof s.expected); /* resident from the start */
    REQUIRE(home_model_create_json(configuration, sizeof configuration - 1, &options, &trained,
                                   NULL) == HOME_OK);
    pthread_mutex_init(&s.service.lock, NULL);
    train(trained, &s, 0);
    replace(&s, trained, 0);
    const size_t workspace = home_workspace_size(s.service.model);
    print_memory("at the start", memory_now());

    s.calls_per_thread = wanted_calls() / THREADS;
    atomic_init(&s.running, THREADS);
    const uint64_t begin = now_ns();
    for (size_t t = 0; t < THREADS; t++) {
        callers[t] = (caller){.soak = &s, .own_workspace = t % 2};
        REQUIRE(pthread_create(&callers[t].thread, NULL, keep_calling, &callers[t]) == 0);
    }
    size_t version = 0;
    memory warm = memory_now();
    while (atomic_load(&s.running) > 0) {
        train(trained, &s, version);
        replace(&s, trained, ++version);
        sleep_100_ms();
        if (atomic_load(&s.calls) < s.calls_per_thread * THREADS / 10)
            warm = memory_now();
    }
    for (size_t t = 0; t < THREADS; t++)
        pthread_join(callers[t].thread, NULL);
    const memory end = memory_now();
    print_memory("warmed up", warm);
    print_memory("at the end", end);
    print_latencies(callers, atomic_load(&s.calls), version, (double)(now_ns() - begin) / 1e9);
    CHECK_INTEGER(s.wrong, 0);
    CHECK_INTEGER(s.calls, s.calls_per_thread * THREADS);
    CHECK(version > 0 && s.expected[0][0] != s.expected[1][0]); /* versions can be told apart */
    check_flat(warm, end, workspace);
    home_model_release(s.service.model);
    home_model_release(trained);
    CHECK_INTEGER(live_bytes, 0);
    pthread_mutex_destroy(&s.service.lock);
}

int main(void) {
    RUN(serving_without_pause_neither_fails_nor_grows);
    return test_summary();
}
