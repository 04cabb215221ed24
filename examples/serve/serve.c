/* Serves predictions from several threads, and switches to a newer checkpoint without a failed or
 * slow call.
 *
 *     serve MODEL.safetensors [THREADS [SECONDS]]
 *
 * Each thread predicts 64 made-up rows every millisecond, as a server would for each request. The
 * main thread watches the file. When the file has been replaced, the thread loads the
 * new model, frozen, while the old one serves, and then swaps one pointer. At the end the program
 * prints the latencies before, during and after the swaps, and the number of failed calls: those
 * that returned an error, or other probabilities than those of the model they began with. If the
 * new file is not a model, or has other inputs, the program says so and keeps the old model. Ctrl-C
 * and SIGTERM end it early.
 *
 * The swap. There are many fast readers and one rare writer, and a reader must never wait. An
 * atomic pointer is not enough: between a reader's load of it and its home_model_retain(), the
 * writer could release the last reference, and the reader would retain freed memory. So each reader
 * has a slot that announces what it is about to use (a hazard pointer, Michael 2004):
 *
 *     reader                                          writer
 *     do { v = current; slot = v; }                   old = exchange(current, new)
 *     while (current != v);                           wait until no slot has old
 *     ... use v ...                                   free old
 *     slot = NULL
 *
 * Why this works: all of these accesses are sequentially consistent, so they have one order. If the
 * reader's second load of `current` still returned v, its slot was set before the writer's
 * exchange. The writer looks at the slots after the exchange, sees v there and waits. Otherwise the
 * reader uses nothing and tries again. Meanwhile v can have been freed, and its address reused for
 * a newer version; that does no harm, because the version is current when it is used. A reader only
 * tries again just after a swap, so it never waits for the writer; the writer waits only for calls
 * that had already begun.
 *
 * A reader that needs the model for longer than one call calls home_model_retain() while its slot
 * is set, which makes that safe. Then it clears the slot, and releases the reference when it is
 * done. */
#include <home/home.h>

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    ROWS = 64,
    MAX_THREADS = 64,
    WATCH_MS = 20,
    PAUSE_MS = 1,
    BINS_PER_OCTAVE = 16,
    BINS = 40 * BINS_PER_OCTAVE
};

typedef enum phase { BEFORE, DURING, AFTER, PHASES } phase;

/* All that requests need of a model. It is prepared before they see it, so that no request has to
 * allocate memory or warm up caches. */
typedef struct version {
    home_model *model; /* frozen */
    size_t values;     /* ROWS * tasks */
    float *expected;   /* [values] the probabilities of the rows */
    size_t thread_count;
    void **memory; /* [threads] memory of the workspaces */
    home_workspace **workspaces;
} version;

/* The rows of every request. */
typedef struct request {
    home_batch batch;
    size_t width;
    float *dense;
    uint64_t ids[ROWS]; /* all 0: every table has a row 0 */
    home_ids *fields;
} request;

/* Calls by latency: bin i counts those from 2^(i / BINS_PER_OCTAVE) ns, so percentiles are
 * within 4.5 %. */
typedef struct latencies {
    uint64_t bins[BINS];
    uint64_t calls;
    double slowest; /* ns */
} latencies;

typedef struct server server;

typedef struct reader {
    /* A cache line of its own, so that readers do not slow each other. */
    _Alignas(64) _Atomic(version *) slot;
    server *of;
    size_t number;
    pthread_t thread;
    float *predictions;
    size_t capacity;
    latencies seen[PHASES];
    uint64_t failed;
} reader;

struct server {
    _Atomic(version *) current;
    _Atomic(int) phase;
    atomic_bool stop;
    request rows;
    reader *readers;
    size_t reader_count;
};

/* ----------------------------------------------------------------------------------------- time */

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

static void sleep_ms(long ms) {
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void count_latency(latencies *into, double ns) {
    const double bin = BINS_PER_OCTAVE * log2(fmax(ns, 1));
    into->bins[bin < BINS - 1 ? (size_t)bin : BINS - 1]++;
    into->calls++;
    into->slowest = fmax(into->slowest, ns);
}

static void merge_latencies(latencies *into, const latencies *from) {
    for (size_t i = 0; i < BINS; i++)
        into->bins[i] += from->bins[i];
    into->calls += from->calls;
    into->slowest = fmax(into->slowest, from->slowest);
}

/* In microseconds. */
static double percentile(const latencies *of, double share) {
    const double wanted = share * (double)of->calls;
    uint64_t calls = 0;
    size_t bin = 0;
    while (bin < BINS - 1 && (double)(calls += of->bins[bin]) < wanted)
        bin++;
    return fmin(exp2(((double)bin + 0.5) / BINS_PER_OCTAVE), of->slowest) / 1000;
}

/* ------------------------------------------------------------------------------------- versions */

static void free_version(version *of) {
    if (!of)
        return;
    if (of->memory)
        for (size_t i = 0; i < of->thread_count; i++)
            free(of->memory[i]);
    free(of->memory);
    free(of->workspaces);
    free(of->expected);
    home_model_release(of->model);
    free(of);
}

static bool load_frozen(const char *path, home_model **frozen) {
    home_error error = {.struct_size = sizeof error};
    const home_load_options options = {.struct_size = sizeof options, .frozen = HOME_ON};
    if (home_model_load(path, &options, frozen, &error) == HOME_OK)
        return true;
    fprintf(stderr, "%s\n", error.message);
    return false;
}

static bool make_workspaces(version *made) {
    const size_t size = home_workspace_size(made->model);
    made->memory = calloc(made->thread_count, sizeof *made->memory);
    made->workspaces = calloc(made->thread_count, sizeof(home_workspace *));
    if (!made->memory || !made->workspaces)
        return false;
    for (size_t i = 0; i < made->thread_count; i++) {
        made->memory[i] = malloc(size);
        if (!made->memory[i] || home_workspace_init(made->model, made->memory[i], size,
                                                    &made->workspaces[i], NULL) != HOME_OK)
            return false;
    }
    return true;
}

/* This also brings the weights into memory, so that the first request is as fast as the others. */
static bool predict_expected(version *made, const request *rows) {
    home_error error = {.struct_size = sizeof error};
    made->values = ROWS * home_model_task_count(made->model);
    made->expected = malloc(made->values * sizeof *made->expected);
    if (!made->expected)
        return false;
    if (home_model_predict(made->model, &rows->batch, made->expected, 0, made->workspaces[0],
                           &error) == HOME_OK)
        return true;
    fprintf(stderr, "%s\n", error.message);
    return false;
}

static bool takes(const home_model *model, const request *rows) {
    return home_model_dense_width(model) == rows->width &&
           home_model_field_count(model) == rows->batch.field_count;
}

/* Returns NULL and prints a message if the file cannot be served. The first version also makes the
 * rows of the requests. */
static version *load_version(const char *path, const request *rows, home_model *frozen,
                             size_t thread_count) {
    version *made = calloc(1, sizeof *made);
    if (made) {
        *made = (version){.model = frozen, .thread_count = thread_count};
        if (!takes(frozen, rows))
            fprintf(stderr, "%s: the model has other inputs than the one that is served\n", path);
        else if (!make_workspaces(made))
            fprintf(stderr, "out of memory\n");
        else if (predict_expected(made, rows))
            return made;
        free_version(made);
    } else {
        home_model_release(frozen);
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------- requests */

static bool make_rows(request *rows, const home_model *like) {
    const size_t fields = home_model_field_count(like);
    rows->width = home_model_dense_width(like);
    rows->dense = malloc((ROWS * rows->width + 1) * sizeof *rows->dense);
    rows->fields = calloc(fields + 1, sizeof *rows->fields);
    if (!rows->dense || !rows->fields)
        return false;
    for (size_t i = 0; i < ROWS * rows->width; i++)
        rows->dense[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    for (size_t i = 0; i < fields; i++)
        rows->fields[i] = (home_ids){.struct_size = sizeof(home_ids), .ids = rows->ids};
    rows->batch = (home_batch){.struct_size = sizeof rows->batch,
                               .rows = ROWS,
                               .dense = rows->width ? rows->dense : NULL,
                               .fields = fields ? rows->fields : NULL,
                               .field_count = fields};
    return true;
}

/* See the top of this file. */
static version *acquire(reader *self) {
    version *v;
    do {
        v = atomic_load(&self->of->current);
        atomic_store(&self->slot, v);
    } while (atomic_load(&self->of->current) != v);
    return v;
}

static void let_go(reader *self) {
    atomic_store(&self->slot, NULL);
}

/* A new version can have more tasks than the one before. */
static bool make_room(reader *self, size_t values) {
    if (values <= self->capacity)
        return true;
    float *grown = realloc(self->predictions, values * sizeof *grown);
    if (grown) {
        self->predictions = grown;
        self->capacity = values;
    }
    return grown != NULL;
}

static bool answer(reader *self) {
    const version *v = acquire(self);
    const bool good = make_room(self, v->values) &&
                      home_model_predict(v->model, &self->of->rows.batch, self->predictions, 0,
                                         v->workspaces[self->number], NULL) == HOME_OK &&
                      memcmp(self->predictions, v->expected, v->values * sizeof *v->expected) == 0;
    let_go(self);
    return good;
}

static void *serve(void *argument) {
    reader *self = argument;
    while (!atomic_load(&self->of->stop)) {
        const int begun_in = atomic_load(&self->of->phase);
        const double begin = now_ns();
        self->failed += !answer(self);
        const double end = now_ns();
        const bool swapping = begun_in == DURING || atomic_load(&self->of->phase) == DURING;
        count_latency(&self->seen[swapping ? DURING : begun_in], end - begin);
        sleep_ms(PAUSE_MS);
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------------- swap */

static bool is_used(const server *s, const version *v) {
    for (size_t i = 0; i < s->reader_count; i++) {
        if (atomic_load(&s->readers[i].slot) == v)
            return true;
    }
    return false;
}

static void swap(server *s, version *newer) {
    version *old = atomic_exchange(&s->current, newer);
    while (is_used(s, old))
        sleep_ms(1);
    free_version(old);
}

/* A save or a rename changes the file's inode or its time. */
static bool is_changed(const char *path, struct stat *last) {
    struct stat now;
    if (stat(path, &now) != 0)
        return false; /* between two renames there can be no file */
    const bool changed = now.st_ino != last->st_ino || now.st_size != last->st_size ||
                         now.st_mtim.tv_sec != last->st_mtim.tv_sec ||
                         now.st_mtim.tv_nsec != last->st_mtim.tv_nsec;
    *last = now;
    return changed;
}

static bool take_up(server *s, const char *path) {
    home_model *frozen = NULL;
    version *newer =
        load_frozen(path, &frozen) ? load_version(path, &s->rows, frozen, s->reader_count) : NULL;
    if (newer)
        swap(s, newer);
    return newer != NULL;
}

static volatile sig_atomic_t asked_to_end;

static void ask_to_end(int number) {
    (void)number;
    asked_to_end = 1;
}

/* Returns the number of swaps. */
static unsigned watch(server *s, const char *path, struct stat *last, double seconds) {
    const double end = now_ns() + 1e9 * seconds;
    unsigned swaps = 0;
    while (!asked_to_end && now_ns() < end) {
        sleep_ms(WATCH_MS);
        if (!is_changed(path, last))
            continue;
        const int before = atomic_exchange(&s->phase, DURING);
        const bool taken = take_up(s, path);
        atomic_store(&s->phase, taken ? AFTER : before);
        swaps += taken;
        printf("%s: %s\n", path, taken ? "a newer model is served" : "the old model stays");
        fflush(stdout);
    }
    return swaps;
}

/* -------------------------------------------------------------------------------------- program */

static uint64_t print_latencies(const server *s) {
    static const char *const names[] = {"before", "during", "after"};
    uint64_t failed = 0;
    printf("%-8s %10s %10s %10s %10s %10s   microseconds a call of %d rows\n", "swap", "calls",
           "p50", "p99", "p99.9", "slowest", ROWS);
    for (size_t p = 0; p < PHASES; p++) {
        latencies all = {.calls = 0};
        for (size_t i = 0; i < s->reader_count; i++)
            merge_latencies(&all, &s->readers[i].seen[p]);
        if (all.calls)
            printf("%-8s %10" PRIu64 " %10.1f %10.1f %10.1f %10.1f\n", names[p], all.calls,
                   percentile(&all, 0.5), percentile(&all, 0.99), percentile(&all, 0.999),
                   all.slowest / 1000);
    }
    for (size_t i = 0; i < s->reader_count; i++)
        failed += s->readers[i].failed;
    return failed;
}

/* Returns how many threads could be started. */
static size_t start_readers(server *s) {
    size_t started = 0;
    for (; started < s->reader_count; started++) {
        reader *r = &s->readers[started];
        r->of = s;
        r->number = started;
        if (pthread_create(&r->thread, NULL, serve, r) != 0)
            break;
    }
    return started;
}

static bool run(server *s, const char *path, struct stat *last, double seconds) {
    const size_t started = start_readers(s);
    unsigned swaps = 0;
    if (started == s->reader_count) {
        printf("%s: served by %zu threads\n", path, started);
        fflush(stdout);
        swaps = watch(s, path, last, seconds);
    }
    atomic_store(&s->stop, true);
    for (size_t i = 0; i < started; i++)
        pthread_join(s->readers[i].thread, NULL);
    const uint64_t failed = print_latencies(s);
    printf("%u swaps, %" PRIu64 " failed calls\n", swaps, failed);
    return started == s->reader_count && failed == 0;
}

static bool start(server *s, const char *path, struct stat *last) {
    home_model *frozen = NULL;
    is_changed(path, last);
    if (!load_frozen(path, &frozen))
        return false;
    s->readers = aligned_alloc(_Alignof(reader), s->reader_count * sizeof *s->readers);
    if (!s->readers || !make_rows(&s->rows, frozen)) {
        home_model_release(frozen);
        return false;
    }
    memset(s->readers, 0, s->reader_count * sizeof *s->readers);
    atomic_store(&s->current, load_version(path, &s->rows, frozen, s->reader_count));
    return atomic_load(&s->current) != NULL;
}

static void stop(server *s) {
    if (s->readers)
        for (size_t i = 0; i < s->reader_count; i++)
            free(s->readers[i].predictions);
    free_version(atomic_load(&s->current));
    free(s->readers);
    free(s->rows.dense);
    free(s->rows.fields);
}

int main(int count, char **words) {
    const long threads = count > 2 ? strtol(words[2], NULL, 10) : 2;
    const double seconds = count > 3 ? strtod(words[3], NULL) : 10;
    if (count < 2 || count > 4 || threads < 1 || threads > MAX_THREADS || !(seconds > 0)) {
        fprintf(stderr, "usage: serve MODEL.safetensors [THREADS, 1 to %d [SECONDS]]\n",
                MAX_THREADS);
        return 2;
    }
    static server s;
    const struct sigaction ending = {.sa_handler = ask_to_end};
    sigaction(SIGINT, &ending, NULL);
    sigaction(SIGTERM, &ending, NULL);
    struct stat last = {.st_ino = 0};
    s.reader_count = (size_t)threads;
    const bool good = start(&s, words[1], &last) && run(&s, words[1], &last, seconds);
    stop(&s);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
