/* This library's worker, and what the other workers start from.
 *
 * usage: bench-home THREADS             answers requests, see worker.h
 *        bench-home --export FOLDER     for each reference model NAME.safetensors, NAME.rows
 *                                       and NAME.labels (float) */
#include "bench/gemm.h"
#include "bench/job.h"
#include "bench/peers/worker.h"
#include "bench/timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A configuration; its models are made when they are first asked for. */
typedef struct subject {
    reference_model m;
    model_rows rows;
    home_model *model;
    home_model *frozen;
} subject;

static subject subjects[MODELS_COUNT];
static size_t threads;

static void make(subject *s) {
    home_error error = {.struct_size = sizeof error};
    if (s->model)
        return;
    s->model = reference_model_create(&s->m, &s->rows, NULL);
    must(home_model_freeze(s->model, &s->frozen, &error), &error, "freeze");
    /* So that the weights, and what all libraries must agree on, stay as they are; the work is the
     * same. */
    must(home_model_set_learning_rate(s->model, 0, &error), &error, "set_learning_rate");
}

static void answer_gemm(const worker_request *r) {
    for (size_t s = 0; s < GEMM_SHAPES; s++)
        for (size_t form = 0; form < GEMM_FORMS; form++) {
            char name[32];
            gemm_case_name(name, sizeof name, gemm_shapes[s], (gemm_form)form);
            if (strcmp(name, r->config) != 0)
                continue;
            gemm_job job;
            gemm_job_create(&job, homekernels_select(NULL), gemm_shapes[s], (gemm_form)form);
            timing t = {.run = gemm_job_run, .context = &job};
            timing_sample(&t, r->slice);
            printf("%.3f %s", timing_median(&t), form == GEMM_DW ? "packs-x" : "packed");
            timing_free(&t);
            gemm_job_free(&job);
            return;
        }
    printf("-");
}

static subject *find(const char *name) {
    for (size_t i = 0; i < MODELS_COUNT; i++)
        if (strcmp(subjects[i].m.name, name) == 0)
            return &subjects[i];
    return NULL;
}

static void answer(const worker_request *r) {
    subject *s = find(r->config);
    const bool trains = strcmp(r->op, "train_step") == 0;
    if (strcmp(r->op, "gemm") == 0) {
        answer_gemm(r);
        return;
    }
    if (!s || r->batch > MODELS_MAX_ROWS) {
        printf("-");
        return;
    }
    make(s);
    const size_t tasks = s->m.config.task_count;
    float *predictions = malloc(r->batch * tasks * sizeof *predictions);
    model_job job = {
        .model = trains ? s->model : s->frozen,
        .threads = threads,
        .batch = model_rows_batch(&s->rows, r->batch),
        .targets = model_rows_targets(&s->rows),
        .predictions = predictions,
    };
    model_job_prepare(&job);
    timing t = {.run = trains ? model_job_train : model_job_predict, .context = &job};
    timing_sample(&t, r->slice);
    printf("%.3f %s", timing_median(&t), homekernels_select(NULL)->name);
    for (size_t i = 0; i < tasks; i++)
        printf(" %.7g", (double)predictions[i]);
    timing_free(&t);
    free(predictions);
}

static void write_floats(const char *folder, const char *name, const char *suffix,
                         const float *values, size_t count) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, suffix);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(values, sizeof *values, count, file) != count || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void export(const char *folder) {
    home_error error = {.struct_size = sizeof error};
    for (size_t i = 0; i < MODELS_COUNT; i++) {
        subject *s = &subjects[i];
        char path[4096];
        make(s);
        snprintf(path, sizeof path, "%s/%s.safetensors", folder, s->m.name);
        must(home_model_save(s->model, path, 0, &error), &error, path);
        write_floats(folder, s->m.name, "rows", s->rows.dense,
                     MODELS_MAX_ROWS * s->m.config.dense_width);
        write_floats(folder, s->m.name, "labels", s->rows.labels,
                     MODELS_MAX_ROWS * s->m.config.task_count);
    }
}

int main(int count, char **arguments) {
    for (size_t i = 0; i < MODELS_COUNT; i++) {
        reference_model_get(&subjects[i].m, i);
        model_rows_create(&subjects[i].rows, &subjects[i].m);
    }
    if (count == 3 && strcmp(arguments[1], "--export") == 0) {
        export(arguments[2]);
        return 0;
    }
    threads = count == 2 ? (size_t)strtoul(arguments[1], NULL, 10) : 0;
    if (threads == 0) {
        fprintf(stderr, "usage: bench-home THREADS | --export FOLDER\n");
        return 2;
    }
    worker_serve(answer);
    return 0;
}
