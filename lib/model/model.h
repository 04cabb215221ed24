/* A model: what a home_model holds, its lifetime and facts, and what goes in and comes out of a
 * run.
 *
 * Here: the state of a model (this file), its names (names.c), from a batch to v (input.h), from
 * logits to predictions (output.h). Called by: serve, train, create, store, metrics. Calls: plan's
 * types, steps, kernels, base; this folder's code is in every build, so it allocates nothing. */
#ifndef HOME_MODEL_H
#define HOME_MODEL_H

#include "../base/fail.h"
#include "../host/json.h"
#include "../plan/plan.h"
#include "../steps/run.h"

#include <stdatomic.h>

/* An embedding table. Its optimizer's state and its gradients are training's (homeembedding). */
typedef struct hometable {
    const home_table_config *config;
    float *weights; /* [rows, dim] */
} hometable;

/* A key and its text, stored in checkpoints. */
typedef struct homemetadata {
    char *key;
    char *value;
    struct homemetadata *next;
} homemetadata;

typedef struct hometraining hometraining; /* train/training.h */
typedef struct homepool homepool;         /* serve/serve.h */
typedef struct homethreads homethreads;   /* host/threads.h */

/* Everything that a home_model holds, in three memories:
 *
 *     arena        settings, topology, plan, list of tensors: many small pieces, made once, that
 *                  die together
 *     allocator    parameters, statistics, packed, tables, training, pool: large or growing
 *     an image     instead of both, where in_image: structs in memory of the caller's, packed
 *                  weights and tables in the image, which is only read
 *
 *                     trains    frozen    in an image
 *     parameters      yes       -         -
 *     packed          yes       yes       yes
 *     training        yes       -         -
 *     pool            yes       yes       -
 *
 * The arena refers to `allocator` by address, so a model is never copied or moved. */
struct home_model {
    atomic_size_t references;
    /* Called after the last release; NULL: the model's memory is the caller's. */
    void (*destroy)(home_model *model);
    home_allocator allocator;
    homearena arena; /* settings, topology, plan and tensor list */
    homesettings settings;
    hometopology topology;
    homeplan plan;
    hometensors tensors;
    const homekernels *kernels;
    float *parameters; /* NULL in a frozen model: the packed weights hold them */
    float *statistics; /* running means and variances */
    float *packed;     /* weights as the steps want them, always up to date with the parameters */
    hometable *tables;
    hometraining *training; /* NULL in a frozen model */
    homepool *pool;         /* NULL: no workspace to lend */
    home_parallel parallel; /* run is NULL: the calling thread alone */
    homethreads *threads;   /* behind `parallel`, where it is the model's own */
    homemetadata *metadata;
    hometext config_json;
    hometext topology_json;
    size_t bytes;      /* that it took when it was made */
    bool in_image;     /* opened from an image: it can predict and nothing else */
    size_t block_rows; /* as the image wants it; 0: chosen by predict.c */
};

/* Makes a stride of 0 the width. HOME_E_ARGUMENT where the caller's `name` is less than that;
 * HOME_E_TOO_LARGE where no memory holds as many rows so far apart. */
home_status homemodel_read_stride(size_t *stride, const char *name, size_t rows, size_t width,
                                  home_error *error);

/* NULL where there are no threads. */
const home_parallel *homemodel_parallel(const home_model *model);

/* A run of the plan that has yet to be given rows and activations: a workspace's for serving, or
 * training's. */
homerun homemodel_run(const home_model *model);

#endif
