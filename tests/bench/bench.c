/* Times the reference models and the plain kernels, and compares them with what the machine can do.
 *
 *     bench FILE.jsonl        docs/performance.md explains the method and the figures
 *
 * Every case is verified before it is timed. All cases are timed in turn, round after round, so
 * that a temporary slowdown of the machine affects all of them. The result of a case is its median
 * over the rounds. Environment:
 *
 *     BENCH_QUICK=1      few rounds; the second instruction set at 128 rows only; the largest
 *                        training batch on one thread only
 *     BENCH_ONLY=text    only cases with this text in their name, which is as in the table:
 *                        "predict M 128 1 avx512"
 *     HOME_ISA=name      caps the instruction set; there is no second one then */
#include "bench/gemm.h"
#include "bench/job.h"
#include "bench/machine.h"
#include "bench/timing.h"
#include "bench/verify.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CASES = 256,
    MAX_SETS = 2, /* instruction sets */
    MAX_THREADS = 2,
    QUICK_ROWS = 128
};

/* The whole run including verification, if at least one round fits. */
static const double FULL_SECONDS = 420;
static const double QUICK_SECONDS = 42;
static const double FULL_SLICE = 0.03; /* seconds per case and round */
static const double QUICK_SLICE = 0.01;

/* More bytes than any cache holds. */
static const size_t MEMORY_BYTES = (size_t)1 << 30;

typedef enum bench_kind { PEAK, READ, PREDICT, TRAIN, GEMM } bench_kind;

#ifdef HOME_BLIS
static const char products[] = "blis";
#else
static const char products[] = "own";
#endif

static const char *const ops[] = {"peak", "read", "predict", "train_step", "gemm"};

typedef struct bench_case {
    bench_kind kind;
    char config[32];
    const homekernels *kernels;
    size_t batch;
    size_t threads;
    double work;  /* FLOPs per call; for a read, bytes */
    double bytes; /* bytes of weights that a call of predict reads */
    timing timing;
    union {
        machine_job machine;
        model_job model;
        gemm_job gemm;
    } job;
} bench_case;

typedef struct bench {
    bool quick;
    const char *only;
    size_t threads; /* the most: 2 if there are two CPUs, otherwise 1 */
    homethreads *pool;
    const float *memory; /* MEMORY_BYTES to read */
    const homekernels *sets[MAX_SETS];
    size_t set_count;
    bench_case cases[MAX_CASES];
    size_t count;
    size_t rounds;
} bench;

/* ---------------------------------------------------------------------------------------- cases */

static bool is_wanted(const bench *b, bench_kind kind, const char *config, size_t batch,
                      size_t threads, const homekernels *kernels) {
    char name[96];
    snprintf(name, sizeof name, "%s %s %zu %zu %s", ops[kind], config, batch, threads,
             kernels->name);
    if (b->quick && kernels != b->sets[0] && (batch != QUICK_ROWS || threads > 1))
        return false;
    if (b->quick && kind == TRAIN && batch == MODELS_MAX_ROWS && threads > 1)
        return false;
    return !b->only || strstr(name, b->only);
}

static bench_case *add(bench *b, bench_kind kind, const char *config, const homekernels *kernels,
                       size_t batch, size_t threads) {
    if (b->count == MAX_CASES) {
        fprintf(stderr, "bench: more than %d cases\n", MAX_CASES);
        exit(1);
    }
    bench_case *added = &b->cases[b->count++];
    added->kind = kind;
    snprintf(added->config, sizeof added->config, "%s", config);
    added->kernels = kernels;
    added->batch = batch;
    added->threads = threads;
    added->timing.context = &added->job;
    return added;
}

static bench_case *add_machine_case(bench *b, bench_kind kind, const char *config,
                                    const homekernels *kernels, size_t threads) {
    bench_case *added = add(b, kind, config, kernels, 1, threads);
    added->timing.run = kind == PEAK ? machine_multiply_add : machine_read;
    added->job.machine.loops = limits_of(kernels->name);
    added->job.machine.threads = threads;
    added->job.machine.pool = threads > 1 ? b->pool : NULL;
    if (!added->job.machine.loops) {
        fprintf(stderr, "bench: no limits for the instruction set %s\n", kernels->name);
        exit(1);
    }
    return added;
}

static void add_peak(bench *b, const homekernels *kernels, size_t threads) {
    bench_case *added = add_machine_case(b, PEAK, "", kernels, threads);
    added->job.machine.turns = 200000;
    added->work = (double)added->job.machine.turns * (double)added->job.machine.loops->flops *
                  (double)threads;
}

static void add_read(bench *b, const char *config, const homekernels *kernels, size_t threads,
                     size_t bytes) {
    bench_case *added = add_machine_case(b, READ, config, kernels, threads);
    added->job.machine.values = b->memory;
    added->job.machine.count = bytes / sizeof(float);
    added->work = (double)bytes;
}

static void *allocate(size_t bytes) {
    void *memory = malloc(bytes);
    if (!memory) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return memory;
}

/* A configuration on an instruction set, made and verified when a case first needs it. */
typedef struct subject {
    const reference_model *m;
    const homekernels *kernels;
    const model_rows *rows;
    home_model *model;
    home_model *frozen;
} subject;

static void make(const bench *b, subject *s) {
    home_error error = {.struct_size = sizeof error};
    s->model = reference_model_create(s->m, s->rows, s->kernels->name);
    must(home_model_freeze(s->model, &s->frozen, &error), &error, "freeze");
    verify_model(s->m, s->model, s->frozen, s->rows, b->threads);
    /* At rate 0 a step of Adam does the same work, but repeating the same rows cannot make the
     * weights diverge. */
    must(home_model_set_learning_rate(s->model, 0, &error), &error, "set_learning_rate");
    fprintf(stderr, "bench: %s is verified on %s\n", s->m->name, s->kernels->name);
}

static void add_model_case(bench *b, subject *s, bench_kind kind, size_t batch, size_t threads) {
    if (!is_wanted(b, kind, s->m->name, batch, threads, s->kernels))
        return;
    if (!s->model)
        make(b, s);
    bench_case *added = add(b, kind, s->m->name, s->kernels, batch, threads);
    const double macs = (double)home_model_macs_per_row(s->model);
    added->work = 2 * macs * (double)batch * (kind == TRAIN ? 3 : 1);
    added->bytes = (double)home_model_parameter_count(s->model) * sizeof(float);
    added->timing.run = kind == TRAIN ? model_job_train : model_job_predict;
    added->job.model = (model_job){
        .model = kind == TRAIN ? s->model : s->frozen,
        .threads = threads,
        .batch = model_rows_batch(s->rows, batch),
        .targets = model_rows_targets(s->rows),
        .predictions = allocate(batch * s->m->config.task_count * sizeof(float)),
    };
    if (kind == PREDICT && batch == 1)
        add_read(b, s->m->name, s->kernels, threads, (size_t)added->bytes);
}

static void add_model_cases(bench *b, subject *s) {
    static const size_t predicted[] = {1, 16, 128, 2048};
    static const size_t trained[] = {128, 512, 2048};
    for (size_t threads = 1; threads <= b->threads; threads++) {
        for (size_t i = 0; i < sizeof predicted / sizeof predicted[0]; i++)
            add_model_case(b, s, PREDICT, predicted[i], threads);
        for (size_t i = 0; i < sizeof trained / sizeof trained[0]; i++)
            add_model_case(b, s, TRAIN, trained[i], threads);
    }
}

/* Which inputs and parameters are denormal: every n-th, or none for 0. */
typedef struct denormal_case {
    const char *config; /* begins with the name of the configuration it is compared with */
    size_t inputs;
    size_t parameters;
} denormal_case;

static const denormal_case denormal_cases[] = {
    {"M-denormal-inputs", 1, 0}, {"M-denormal-weights", 0, 1}, {"M-denormal-halves", 2, 2}};
enum { DENORMAL_CASES = sizeof denormal_cases / sizeof denormal_cases[0], DENORMAL_ROWS = 128 };

/* Predictions with denormal numbers, to compare with those of the normal model. */
static void add_denormal_cases(bench *b, const reference_model *m, const model_rows *rows) {
    for (size_t i = 0; i < DENORMAL_CASES; i++) {
        const denormal_case *d = &denormal_cases[i];
        if (strncmp(d->config, m->name, strlen(m->name)) != 0 ||
            !is_wanted(b, PREDICT, d->config, DENORMAL_ROWS, 1, b->sets[0]))
            continue;
        home_error error = {.struct_size = sizeof error};
        home_model *frozen = NULL;
        home_model *model = reference_model_create(m, rows, b->sets[0]->name);
        if (d->parameters)
            model_make_denormal(model, d->parameters);
        must(home_model_freeze(model, &frozen, &error), &error, "freeze");
        const size_t width = m->config.dense_width;
        model_rows own = {.dense = allocate(DENORMAL_ROWS * width * sizeof(float))};
        memcpy(own.dense, rows->dense, DENORMAL_ROWS * width * sizeof(float));
        if (d->inputs)
            make_denormal(own.dense, DENORMAL_ROWS * width, d->inputs);
        bench_case *added = add(b, PREDICT, d->config, b->sets[0], DENORMAL_ROWS, 1);
        added->work = 2 * (double)home_model_macs_per_row(model) * DENORMAL_ROWS;
        added->timing.run = model_job_predict;
        added->job.model = (model_job){
            .model = frozen,
            .threads = 1,
            .batch = model_rows_batch(&own, DENORMAL_ROWS),
            .predictions = allocate(DENORMAL_ROWS * m->config.task_count * sizeof(float)),
        };
        home_model_release(model);
    }
}

static void add_gemm_cases(bench *b, const homekernels *kernels) {
    for (size_t s = 0; s < GEMM_SHAPES; s++)
        for (size_t form = 0; form < GEMM_FORMS; form++) {
            const gemm_shape shape = gemm_shapes[s];
            char config[32];
            gemm_case_name(config, sizeof config, shape, (gemm_form)form);
            if (!is_wanted(b, GEMM, config, shape.m, 1, kernels))
                continue;
            bench_case *added = add(b, GEMM, config, kernels, shape.m, 1);
            gemm_job_create(&added->job.gemm, kernels, shape, (gemm_form)form);
            added->timing.run = gemm_job_run;
            added->work = 2 * (double)shape.m * (double)shape.k * (double)shape.n;
        }
}

static void add_all(bench *b) {
    for (size_t set = 0; set < b->set_count; set++)
        for (size_t threads = 1; threads <= b->threads; threads++)
            add_peak(b, b->sets[set], threads);
    for (size_t threads = 1; threads <= b->threads; threads++)
        add_read(b, "memory", b->sets[0], threads, MEMORY_BYTES);
    for (size_t i = 0; i < MODELS_COUNT; i++) {
        static reference_model models[MODELS_COUNT];
        static model_rows rows[MODELS_COUNT];
        reference_model_get(&models[i], i);
        model_rows_create(&rows[i], &models[i]);
        for (size_t set = 0; set < b->set_count; set++) {
            subject s = {.m = &models[i], .kernels = b->sets[set], .rows = &rows[i]};
            add_model_cases(b, &s);
        }
        add_denormal_cases(b, &models[i], &rows[i]);
    }
    for (size_t set = 0; set < b->set_count; set++)
        add_gemm_cases(b, b->sets[set]);
}

/* --------------------------------------------------------------------------------------- rounds */

/* Runs as many rounds as fit, and at least one. */
static void run_rounds(bench *b, double deadline) {
    const double slice = b->quick ? QUICK_SLICE : FULL_SLICE;
    double round = 0;
    for (double now = timing_seconds(); b->rounds == 0 || now + round < deadline; b->rounds++) {
        for (size_t i = 0; i < b->count; i++) {
            bench_case *c = &b->cases[i];
            if (c->kind == PREDICT || c->kind == TRAIN)
                model_job_prepare(&c->job.model);
            timing_sample(&c->timing, slice);
        }
        const double end = timing_seconds();
        round = end - now;
        now = end;
    }
}

/* -------------------------------------------------------------------------------------- results */

static bench_case *find(bench *b, bench_kind kind, const char *config, const homekernels *kernels,
                        size_t threads) {
    for (size_t i = 0; i < b->count; i++) {
        bench_case *c = &b->cases[i];
        if (c->kind == kind && strcmp(c->config, config) == 0 && c->kernels == kernels &&
            c->threads == threads)
            return c;
    }
    return NULL;
}

/* Work per second, in units of 1e9. */
static double giga(bench_case *c) {
    return c->work / timing_median(&c->timing) * 1e-3;
}

static double peak(bench *b, const bench_case *c) {
    return giga(find(b, PEAK, "", c->kernels, c->threads));
}

static void print_header(bench *b) {
    char cpu[128];
    machine_cpu_name(cpu, sizeof cpu);
    printf("%s, %zu CPUs; %s; products: %s; %zu rounds\n\n", cpu, timing_cpu_count(),
           machine_compiler(), products, b->rounds);
    for (size_t i = 0; i < b->count; i++) {
        bench_case *c = &b->cases[i];
        if (c->kind == PEAK)
            printf("FMA peak, %-8s            %zu thread%s %8.1f GFLOP/s (best %.1f)\n",
                   c->kernels->name, c->threads, c->threads > 1 ? "s" : " ", giga(c),
                   c->work / timing_best(&c->timing) * 1e-3);
    }
    for (size_t i = 0; i < b->count; i++) {
        bench_case *c = &b->cases[i];
        if (c->kind == READ)
            printf("reads of %7.1f MB (%s)%*s %zu thread%s %8.1f GB/s\n", c->work * 1e-6, c->config,
                   8 - (int)strlen(c->config), "", c->threads, c->threads > 1 ? "s" : " ", giga(c));
    }
}

/* The least microseconds that a call can take: its FLOPs at the peak, or for one row reading the
 * weights once. */
static double lower_bound(bench *b, const bench_case *c) {
    const double compute = c->work / peak(b, c) * 1e-3;
    bench_case *read = c->kind == PREDICT ? find(b, READ, c->config, c->kernels, c->threads) : NULL;
    const double reading = read ? timing_median(&read->timing) : 0;
    return compute > reading ? compute : reading;
}

static void print_table(bench *b) {
    printf("\n%-10s %-18s %5s %7s %-8s %12s %12s %9s %9s %8s\n", "op", "config", "batch", "threads",
           "isa", "median us", "best us", "GFLOP/s", "of peak", "x limit");
    for (size_t i = 0; i < b->count; i++) {
        bench_case *c = &b->cases[i];
        if (c->kind == PEAK || c->kind == READ)
            continue;
        const double us = timing_median(&c->timing);
        printf("%-10s %-18s %5zu %7zu %-8s %12.2f %12.2f %9.1f %8.1f%% %8.2f\n", ops[c->kind],
               c->config, c->batch, c->threads, c->kernels->name, us, timing_best(&c->timing),
               giga(c), 100 * giga(c) / peak(b, c), us / lower_bound(b, c));
    }
}

/* The cost of denormal numbers: the time divided by that of the same rows and weights at their
 * normal size. */
static void print_denormals(bench *b) {
    for (size_t i = 0; i < b->count; i++) {
        bench_case *c = &b->cases[i];
        const char *denormal = c->kind == PREDICT ? strstr(c->config, "-denormal-") : NULL;
        bench_case *ordinary = NULL;
        if (!denormal)
            continue;
        for (size_t j = 0; j < i; j++)
            if (b->cases[j].kind == PREDICT && b->cases[j].kernels == c->kernels &&
                b->cases[j].batch == c->batch && b->cases[j].threads == c->threads &&
                strlen(b->cases[j].config) == (size_t)(denormal - c->config) &&
                strncmp(b->cases[j].config, c->config, strlen(b->cases[j].config)) == 0)
                ordinary = &b->cases[j];
        if (ordinary)
            printf("\npredict %s: %.2f times the time of %s (best %.2f)", c->config,
                   timing_median(&c->timing) / timing_median(&ordinary->timing), ordinary->config,
                   timing_best(&c->timing) / timing_best(&ordinary->timing));
    }
    printf("\n");
}

/* Returns false if the file cannot be written. */
static bool write_lines(bench *b, const char *path) {
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    for (size_t i = 0; i < b->count; i++) {
        bench_case *c = &b->cases[i];
        if (c->kind == PEAK || c->kind == READ)
            continue;
        fprintf(file,
                "{\"op\": \"%s\", \"config\": \"%s\", \"dtype\": \"f32\", \"isa\": \"%s\", "
                "\"products\": \"%s\", "
                "\"batch\": %zu, "
                "\"threads\": %zu, \"us\": %.3f, \"gflops\": %.3f, \"peak_gflops\": %.3f, "
                "\"fraction\": %.4f}\n",
                ops[c->kind], c->config, c->kernels->name, products, c->batch, c->threads,
                timing_median(&c->timing), giga(c), peak(b, c), giga(c) / peak(b, c));
    }
    return fclose(file) == 0;
}

/* ----------------------------------------------------------------------------------------- main */

/* Picks the best instruction set and, unless a certain one was asked for, AVX2 too. */
static void choose_sets(bench *b) {
    const char *cap = getenv("HOME_ISA");
    b->sets[b->set_count++] = homekernels_select(NULL);
    if (cap)
        return;
    const homekernels *lesser = homekernels_select("avx2");
    if (lesser != b->sets[0] && strcmp(lesser->name, "avx2") == 0)
        b->sets[b->set_count++] = lesser;
}

int main(int count, char **arguments) {
    static bench b;
    const double start = timing_seconds();
    if (count != 2) {
        fprintf(stderr, "usage: bench FILE.jsonl\n");
        return 2;
    }
    const char *quick = getenv("BENCH_QUICK");
    b.quick = quick && strcmp(quick, "1") == 0;
    b.only = getenv("BENCH_ONLY");
    b.threads = timing_cpu_count() > 1 ? MAX_THREADS : 1;
    choose_sets(&b);
    timing_pin(0);
    if (b.threads > 1)
        b.pool = machine_pool();
    b.memory = machine_buffer(MEMORY_BYTES);
    add_all(&b);
    run_rounds(&b, start + (b.quick ? QUICK_SECONDS : FULL_SECONDS));
    print_header(&b);
    print_table(&b);
    print_denormals(&b);
    if (!write_lines(&b, arguments[1])) {
        perror(arguments[1]);
        return 1;
    }
    return 0;
}
