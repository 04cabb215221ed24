/*
 * home.h - the whole public interface of libhome.
 *
 * libhome trains and serves HoME, the hierarchy of multi-gate experts (arXiv 2408.05430), a model
 * that predicts many behaviours of one user on one item. docs/model.md tells what is computed.
 *
 * A program trains like this:
 *
 *     home_model_create_json(...)            or home_model_create() from a home_config
 *     for each batch:
 *         home_model_forward(...)            rows in, predictions out, activations kept
 *         home_model_backward(...)           labels in, gradients out
 *         home_model_step(...)               parameters move
 *     home_model_save(...)
 *
 * and serves like this:
 *
 *     home_model_load(...); home_model_freeze(...);
 *     home_model_predict(...)                from any number of threads at once
 *
 * Conventions that hold for every function:
 *
 *  - Matrices are float, row-major. A stride is the distance from one row to the next, in
 *    elements, not bytes; 0 means that the rows are dense.
 *  - A function that can fail returns a home_status. 0 (HOME_OK) is success. When it fails, the
 *    objects it was given are as they were before the call and stay usable, no output pointer is
 *    written, and the message in the caller's home_error (which may be NULL) names the field or
 *    argument, its value and what was expected.
 *  - A struct that begins with struct_size must have it set to sizeof of that struct by the caller
 *    (for an output struct too). This is what lets a program built against an older header run with a
 *    newer library and the reverse. A field that is zero, or lies past the struct_size of an older
 *    caller, means its default. Arrays of such structs are strided by the struct_size of their
 *    first element, which all others must have too. Set the whole struct to zero first, then struct_size.
 *  - The library keeps no global state, prints nothing, never exits, starts no thread unasked, and leaves
 *    locale, signals and floating-point modes as it found them.
 *  - Floating point: on x86-64 and AArch64, forward, backward, step, freeze and predict round to nearest, take denormal
 *    numbers for zeros (which CPUs multiply much faster) and never trap, whatever the modes of the thread; they
 *    leave these, and but for freeze the flags of what has happened, as they were. All other calls, and all of them on
 *    other CPUs, compute in the thread's modes; what is said of results then holds for rounding to nearest. With
 *    finite values and no overflow, these raise no "invalid", "divide by zero" or "overflow", so a host may trap them.
 *  - Threads: functions that take a `const home_model *` may run in any number of threads at once,
 *    as long as no other thread is inside a function that takes the same model without const.
 *
 * Copyright: see LICENSE (Apache-2.0).
 */
#ifndef HOME_HOME_H
#define HOME_HOME_H

#include <stddef.h>
#include <stdint.h>

#define HOME_VERSION_MAJOR 0
#define HOME_VERSION_MINOR 1
#define HOME_VERSION_PATCH 0

#if defined(_WIN32) && defined(HOME_SHARED)
#ifdef HOME_BUILDING
#define HOME_API __declspec(dllexport)
#else
#define HOME_API __declspec(dllimport)
#endif
#elif defined(__GNUC__) && defined(HOME_SHARED)
#define HOME_API __attribute__((visibility("default")))
#else
#define HOME_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------- version */

/* The version of the library that runs: major * 1000000 + minor * 1000 + patch. Since 0.1. */
HOME_API uint32_t home_version(void);

/* The same as text, "0.1.0"; static, never freed. Since 0.1. */
HOME_API const char *home_version_string(void);

/* -------------------------------------------------------------------------------------- status */

/* The outcome of a call. The numbers never change meaning. */
typedef int32_t home_status;

#define HOME_OK            0  /* success */
#define HOME_E_ARGUMENT    1  /* an argument is NULL, too small, or contradicts another */
#define HOME_E_STATE       2  /* the call does not fit the model's state: backward before forward... */
#define HOME_E_VALUE       3  /* a number in the data is not allowed: an id or a label out of range */
#define HOME_E_NOT_FOUND   4  /* no tensor, table or key has this name */
#define HOME_E_MEMORY      10 /* the allocator returned NULL */
#define HOME_E_TOO_LARGE   11 /* a size does not fit size_t */
#define HOME_E_CONFIG      20 /* the configuration is not valid */
#define HOME_E_JSON        21 /* the text is not JSON */
#define HOME_E_FILE        30 /* the operating system refused to read or write a file */
#define HOME_E_FORMAT      31 /* the bytes are not a checkpoint or an image, or a damaged one */
#define HOME_E_CHECKSUM    32 /* a checkpoint or image whose checksum does not match its bytes */
#define HOME_E_MISMATCH    33 /* a sound checkpoint whose tensors are not those of the model */
#define HOME_E_UNSUPPORTED 40 /* not by this version, or not by this build on this machine */

/* What a status means, in one English sentence; static, never NULL, for any number. Since 0.1. */
HOME_API const char *home_status_string(home_status status);

/* Where a failing call puts its message. The caller owns it; set struct_size, then reuse it for any
 * number of calls. A successful call does not touch it; nor does a failing one where struct_size is 0, so an error
 * without a message is one whose struct_size was forgotten. Not to be shared between threads. */
typedef struct home_error {
    size_t struct_size;
    home_status status;
    char message[244]; /* UTF-8, cut where it is too long, always with a zero byte at its end */
} home_error;

/* ------------------------------------------------------------------------------------ allocator */

/* Where a model takes its memory from. NULL instead of a pointer to this means malloc and free.
 * `allocate` returns memory aligned as malloc's, or NULL; `release` takes what `allocate` gave,
 * never NULL. Both must be callable from every thread that uses the model. The struct is
 * copied; `user` must stay valid as long as the objects made with it. */
typedef struct home_allocator {
    size_t struct_size;
    void *user;
    void *(*allocate)(void *user, size_t bytes);
    void (*release)(void *user, void *memory);
} home_allocator;

/* -------------------------------------------------------------------------------- configuration */

/* Limits, which no sensible model meets. A name is UTF-8, 1 to 120 bytes without a dot or control characters (below
 * 0x20, and 0x7f). A model has up to 1024 tasks, 64 layers (where the preset leaves their number open), and 4096 of
 * anything else that is listed: tables, fields, a layer's units and nodes, names in a list. Up to 1024 experts a unit,
 * 16 hidden layers an MLP, 64 branches a feature gate; widths, dims and ranks, v's width too, up to 2^24. More is
 * HOME_E_CONFIG. */

/* Presets: how units, nodes and masks are laid out (docs/model.md). */
#define HOME_PRESET_HOME          0 /* two layers: groups of tasks, then tasks */
#define HOME_PRESET_SHARED_BOTTOM 1 /* one expert for all tasks, no gates */
#define HOME_PRESET_MMOE          2 /* shared experts, a gate for each task */
#define HOME_PRESET_CGC           3 /* shared experts, and own ones for each task */
#define HOME_PRESET_PLE           4 /* two or more layers of CGC */
#define HOME_PRESET_ADATT_SP      5 /* every task sees all tasks' experts, and its own once more */
#define HOME_PRESET_ADATT         6 /* the same with shared experts */
#define HOME_PRESET_CUSTOM        7 /* units and nodes as the layers list them */

/* A switch. 0 leaves the choice to the preset; true is HOME_ON. */
#define HOME_ON  1
#define HOME_OFF 2

/* Activations. 0 leaves the choice to the preset. */
#define HOME_ACTIVATION_RELU  1
#define HOME_ACTIVATION_SWISH 2

/* Norms of an expert's output. 0 leaves the choice to the preset. */
#define HOME_NORM_NONE  1
#define HOME_NORM_BATCH 2

/* Which view of a unit's input a gate reads. 0 leaves the choice to the preset. */
#define HOME_INPUT_RAW   1 /* the unit's input as it is */
#define HOME_INPUT_GATED 2 /* after the unit's feature gate */

/* The order of the two operations in a feature gate. */
#define HOME_FEATURE_SIGMOID_FIRST 1 /* F(x) = sum_j p_j 2 sigmoid(A_j B_j x)      (default) */
#define HOME_FEATURE_MIX_FIRST     2 /* F(x) = 2 sigmoid(sum_j p_j A_j B_j x) */

/* How a feature gate's A_j ("up") matrices start. */
#define HOME_INIT_ZERO    1 /* F starts at exactly 1                       (default) */
#define HOME_INIT_UNIFORM 2 /* as every other weight */

/* From a 64-bit id to a row of an embedding table. */
#define HOME_INDEX_DIRECT 1 /* the id is the row; an id >= rows is an error     (default) */
#define HOME_INDEX_HASHED 2 /* row = floor(mix(id) * rows / 2^64), see home_hash_id() */

/* How the ids of one row become one vector. No ids give zeros. */
#define HOME_POOL_SUM  1 /* (default) */
#define HOME_POOL_MEAN 2

/* Losses of a task. */
#define HOME_LOSS_BCE 1 /* binary cross-entropy on the logit, labels in [0, 1]   (default) */
/* (prediction - label)^2, any finite label; the prediction is the logit itself */
#define HOME_LOSS_SQUARED 2

/* Optimizers, with PyTorch's definitions; g is the gradient, with weight_decay * value added but for AdamW. */
#define HOME_OPTIMIZER_ADAM 1 /* (default for dense parameters) */
/* tables only (default): G_r += mean(g_r^2), row_r -= lr g_r / (sqrt(G_r) + eps) */
#define HOME_OPTIMIZER_ROWWISE_ADAGRAD 2
#define HOME_OPTIMIZER_SGD             3 /* dense only: b = momentum b + g, value -= lr b */
#define HOME_OPTIMIZER_ADAMW           4 /* dense only: Adam, and value -= lr weight_decay value */
#define HOME_OPTIMIZER_ADAGRAD         5 /* G += g^2, value -= lr g / (sqrt(G) + eps) */

/* Kinds of a node's self term. */
#define HOME_SELF_GATE   1 /* a gate over its own experts: sigmoid for one, softmax for more    (default) */
#define HOME_SELF_STATIC 2 /* a free scalar for each own expert (AdaTT) */

/* An embedding table. Several fields may share one. */
typedef struct home_table_config {
    size_t struct_size;
    const char *name; /* required; distinct among tables */
    uint64_t rows;    /* required, at least 1 */
    size_t dim;       /* required, at least 1 */
    int32_t index;    /* HOME_INDEX_*, 0: direct */
    int32_t reserved; /* 0 */
    double init_std;  /* weights start as N(0, init_std^2); 0: 0.01 */
} home_table_config;

/* An id field of the input. Its pooled vector is a part of v, behind the dense values, in the
 * order of the fields. */
typedef struct home_field_config {
    size_t struct_size;
    const char *name;  /* required; distinct among fields */
    const char *table; /* NULL: the table that has the field's own name */
    int32_t pooling;   /* HOME_POOL_*, 0: sum */
    int32_t reserved;  /* 0 */
} home_field_config;

/* A behaviour to predict. */
typedef struct home_task_config {
    size_t struct_size;
    const char *name;  /* required; distinct among tasks and groups, not "shared" */
    const char *group; /* NULL: the group "all". Groups are ordered by first appearance. */
    double weight;     /* factor of the task's loss in the total; 0: 1 */
    int32_t loss;      /* HOME_LOSS_*, 0: binary cross-entropy */
    int32_t reserved;  /* 0 */
    double base_rate;  /* of a binary task: the tower's last bias starts at logit(base_rate); 0: at 0 */
    /* The name of another binary task, or NULL. Not NULL: this task's probability is sigmoid(logit) times the
     * other task's probability, as for a conversion that follows a click; the loss is that of the product, on
     * all rows. */
    const char *given;
} home_task_config;

/* A set of experts that share one input, in a layer of the preset custom. */
typedef struct home_unit_config {
    size_t struct_size;
    const char *name;  /* required; distinct among the layer's units */
    const char *input; /* the node of the layer below whose output it reads; NULL: v in the first layer, in
                          others the node of the unit's own name */
    size_t experts;    /* 0: 1 */
    size_t width;      /* 0, or the layer's width: a layer has one width */
} home_unit_config;

/* One output vector of a layer. Under the preset custom the layer's nodes are those listed; the last layer
 * must have one for each task, by its name. Under another preset an entry replaces the mask of the preset's
 * node of that name: only `name` and `sees` may be set. */
typedef struct home_node_config {
    size_t struct_size;
    const char *name;        /* required; distinct among the layer's nodes */
    const char *const *sees; /* [sees_count] required: the units whose experts it may see, in the order of its
                                gate's outputs */
    size_t sees_count;
    const char *const *gate; /* [gate_count] the units whose inputs its gate reads, concatenated; none: the
                                unit of the node's own name, or, if there is none, the first one it sees */
    size_t gate_count;
    const char *self;  /* the unit whose experts are added once more; NULL: none */
    int32_t self_kind; /* HOME_SELF_*, 0: a gate */
    int32_t reserved;  /* 0 */
} home_node_config;

/* A layer of experts. */
typedef struct home_layer_config {
    size_t struct_size;
    size_t width;         /* required: D, the width of an expert's output */
    const size_t *hidden; /* widths of the expert MLP's hidden layers, [hidden_count]; may be NULL */
    size_t hidden_count;
    size_t shared_experts; /* experts of the unit `shared`, where the preset has it; 0: 1 */
    size_t group_experts;  /* experts of each group's unit (HoME); 0: 1 */
    size_t task_experts; /* experts of each task's unit, where the preset has it (not in HoME's first layer);
                            0: 1 */
    int32_t feature_gates;         /* HOME_OFF or HOME_ON, 0: the preset's (home: on, others: off) */
    int32_t reserved;              /* 0 */
    size_t feature_branches;       /* L, the low-rank branches of a feature gate; 0: 2 */
    size_t feature_rank;           /* d, the rank of a branch; 0: max(1, floor(|x| / L)) */
    const home_unit_config *units; /* [unit_count], preset custom only */
    size_t unit_count;
    const home_node_config *nodes; /* [node_count] */
    size_t node_count;
} home_layer_config;

/* What `home_model_step` does. */
typedef struct home_optimizer_config {
    size_t struct_size;
    int32_t kind;                   /* dense parameters: HOME_OPTIMIZER_*, 0: Adam */
    int32_t embedding_kind;         /* tables, touched rows only: row-wise Adagrad (0), Adagrad or Adam */
    double learning_rate;           /* 0: 0.001, Adagrad 0.01 */
    double beta1;                   /* of both Adams; 0: 0.9 */
    double beta2;                   /* 0: 0.999 */
    double epsilon;                 /* 0: 1e-8, Adagrad 1e-10 */
    double momentum;                /* of SGD */
    double weight_decay;            /* dense parameters; 0: none, AdamW 0.01 (without decay it is Adam) */
    double clip_norm;               /* scale all gradients so that their norm is at most this; 0: off */
    double embedding_learning_rate; /* 0: 0.01 */
    double embedding_epsilon;       /* 0: 1e-8, Adagrad 1e-10 */
} home_optimizer_config;

/* A model. Only dense_width or fields, tasks and layers are required; every name, array and struct it
 * points to is copied. The same fields exist in JSON: see home_model_create_json(). */
typedef struct home_config {
    size_t struct_size;
    int32_t preset;                  /* HOME_PRESET_* */
    int32_t reserved;                /* 0 */
    uint64_t seed;                   /* of the initial weights */
    size_t dense_width;              /* dense values of a row */
    const home_table_config *tables; /* [table_count] */
    size_t table_count;
    const home_field_config *fields; /* [field_count] */
    size_t field_count;
    const home_task_config *tasks; /* [task_count], at least one */
    size_t task_count;
    /* [layer_count]: one of shared-bottom, mmoe and cgc, two of home, two or more of ple */
    const home_layer_config *layers;
    size_t layer_count;

    /* Experts: h = Act(Norm(MLP(x))). */
    int32_t expert_norm;              /* HOME_NORM_*, 0: the preset's (home: batch, others: none) */
    int32_t expert_activation;        /* HOME_ACTIVATION_*, 0: the preset's (home: swish, others: relu) */
    int32_t expert_hidden_activation; /* 0: the preset's (home: swish, others: relu) */
    int32_t bias_before_norm;         /* HOME_ON gives the linear before a batch norm a bias; 0: off */
    double swish_beta;                /* swish(a) = a sigmoid(beta a); 0: 1 */
    double norm_epsilon;              /* 0: 1e-5 */
    double norm_momentum;             /* at most 1; 0: 0.1 */

    /* Feature gates: gated x = x * F(x). */
    int32_t feature_order; /* HOME_FEATURE_*, 0: sigmoid first */
    int32_t feature_init;  /* HOME_INIT_*, 0: zero */

    /* Gates of the nodes: softmax(MLP(x)) over the visible experts. */
    const size_t *gate_hidden; /* [gate_hidden_count]; none: one linear layer */
    size_t gate_hidden_count;
    int32_t gate_activation; /* of the hidden layers; 0: relu */
    int32_t gate_input;      /* HOME_INPUT_*, 0: gated */

    /* Self gates: the residual path from a node's own experts. */
    int32_t self_gates;             /* HOME_OFF or HOME_ON, 0: the preset's (home, adatt, custom: on) */
    int32_t self_gate_activation;   /* of the hidden layers; 0: relu */
    const size_t *self_gate_hidden; /* [self_gate_hidden_count]; none: one linear layer */
    size_t self_gate_hidden_count;
    int32_t self_gate_input; /* HOME_INPUT_*, 0: gated */

    /* Towers: MLP with a last layer of width 1. */
    int32_t tower_activation;   /* of the hidden layers; 0: relu */
    const size_t *tower_hidden; /* [tower_hidden_count]; none: one linear layer */
    size_t tower_hidden_count;

    /* Kendall et al. (2018): a task's term in the total becomes weight * (e^-s L + s / 2), for a squared
     * error weight * (e^-s L / 2 + s / 2), with a trained scalar s per task that starts at 0. */
    int32_t uncertainty; /* HOME_OFF or HOME_ON, 0: off */
    int32_t reserved2;   /* 0 */

    const home_optimizer_config *optimizer; /* NULL: all defaults */
    const home_allocator *allocator;        /* NULL: malloc and free */

    /* The best instruction set that the model may use: "portable", "avx2", "avx512" (above avx2) or "neon"; NULL: any.
     * What the CPU lacks is not used either, so that a name of another kind of CPU leaves "portable". It is about the
     * machine, not about the model: no checkpoint and no home_model_config_json() has it, but a frozen copy uses what
     * the original does. Since 0.1. */
    const char *isa;
} home_config;

/* ---------------------------------------------------------------------------------------- model */

/* A model: configuration, parameters and, unless it is frozen, what training needs. Reference
 * counted. One thread at a time may train it; see the top of this file for the rule. */
typedef struct home_model home_model;

/* One predicting thread's scratch memory, in memory of the caller's. */
typedef struct home_workspace home_workspace;

/* Makes a model with fresh weights.
 *
 * A linear layer's weight and bias start as U(-1/sqrt(in), 1/sqrt(in)), a batch norm as the identity, a
 * feature gate as F = 1, a static self weight as 1/n, an uncertainty as 0, the last bias of a binary task's
 * tower as logit(base_rate), embeddings as N(0, init_std^2). Each tensor draws from its own stream, seeded by
 * config->seed and the tensor's name: the same configuration gives the same bytes on every machine whose libm
 * rounds log and cos alike (embeddings are the only use).
 *
 * On success *model holds one reference, which the caller gives back with home_model_release().
 * Errors: HOME_E_ARGUMENT (NULL), HOME_E_CONFIG, HOME_E_MEMORY, HOME_E_TOO_LARGE, HOME_E_UNSUPPORTED (the build
 * has no kernels for this machine: docs/embedding.md). Thread-safe. Since 0.1. */
HOME_API home_status home_model_create(const home_config *config, home_model **model, home_error *error);

/* The same from JSON text of `length` bytes (no final zero needed). `allocator` may be NULL. docs/model.md
 * explains every key.
 *
 *     { "preset": "home"|"shared-bottom"|"mmoe"|"cgc"|"ple"|"adatt-sp"|"adatt"|"custom", "seed": 1, "dense": 18,
 *       "tables": [{"name": "user", "rows": 30000, "dim": 8, "index": "direct"|"hashed", "init_std": 0.01}],
 *       "fields": [{"name": "user", "table": "user", "pooling": "sum"|"mean"}],
 *       "tasks":  [{"name": "like", "group": "inter", "weight": 1, "loss": "bce"|"squared",
 *                   "base_rate": 0.02, "given": "click"}],
 *       "layers": [{"width": 64, "hidden": [64], "shared_experts": 2, "group_experts": 2, "task_experts": 1,
 *                   "feature_gates": true, "feature_branches": 2, "feature_rank": 8,
 *                   "units": [{"name": "u", "input": "node below", "experts": 2}],
 *                   "nodes": [{"name": "like", "sees": ["u"], "gate": ["u"],
 *                              "self": "u", "self_kind": "gate"|"static"}]}],
 *       "experts": {"norm": "batch"|"none", "activation": "swish"|"relu",
 *                   "hidden_activation": "swish"|"relu", "bias_before_norm": false, "swish_beta": 1,
 *                   "norm_epsilon": 1e-5, "norm_momentum": 0.1},
 *       "feature_gate": {"order": "sigmoid_first"|"mix_first", "init": "zero"|"uniform"},
 *       "gate": {"hidden": [], "activation": "relu"|"swish", "input": "gated"|"raw"},
 *       "self_gate": {"on": true, "hidden": [], "activation": "relu"|"swish", "input": "gated"|"raw"},
 *       "tower": {"hidden": [16], "activation": "relu"|"swish"},
 *       "uncertainty": false,
 *       "optimizer": {"kind": "adam"|"sgd"|"adamw"|"adagrad", "learning_rate": 1e-3,
 *                     "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "momentum": 0, "weight_decay": 0,
 *                     "clip_norm": 0, "embedding_kind": "rowwise_adagrad"|"adagrad"|"adam",
 *                     "embedding_learning_rate": 0.01, "embedding_epsilon": 1e-8},
 *       "isa": "portable"|"avx2"|"avx512"|"neon" }
 *
 * The keys are those of the structs above, and not all go together (a preset has no "units"). Only "tasks",
 * "layers" and one of "dense" and "fields" are required. An unknown or repeated key is an error. Errors:
 * those of home_model_create(), HOME_E_JSON. Since 0.1. */
HOME_API home_status home_model_create_json(const char *json, size_t length, const home_allocator *allocator,
                                            home_model **model, home_error *error);

/* Takes one more reference; returns the model, NULL for NULL. To replace a model that other threads use, read the
 * pointer and retain under one lock of the host's: in between, the last reference could be given back. Thread-safe.
 * Since 0.1. */
HOME_API home_model *home_model_retain(const home_model *model);

/* Gives a reference back; the last one frees the model and all it owns, the NULL-workspace pool
 * included. NULL is allowed. Thread-safe. Since 0.1. */
HOME_API void home_model_release(home_model *model);

/* The same as home_model_release(), for hosts that hold a single reference. Since 0.1. */
HOME_API void home_model_destroy(home_model *model);

/* ----------------------------------------------------------------------------------------- data */

/* The ids of one field for the rows of a batch. This struct never changes. */
typedef struct home_ids {
    const uint64_t *ids;
    const size_t *offsets; /* [rows + 1], row r has ids[offsets[r]] .. ids[offsets[r + 1] - 1];
                              never falling (HOME_E_VALUE); NULL: exactly one id a row, ids[r] */
} home_ids;

/* Rows to predict or to train on. All memory is the caller's and only read during the call. */
typedef struct home_batch {
    size_t struct_size;
    size_t rows;
    const float *dense;     /* [rows, dense_width], row stride dense_stride; NULL where dense_width is 0 */
    size_t dense_stride;    /* 0: dense_width */
    const home_ids *fields; /* [field_count], in configuration order; NULL where there are none */
    size_t field_count;
} home_batch;

/* What happened on the rows of the last forward. */
typedef struct home_targets {
    size_t struct_size;
    const float *labels;      /* [rows, tasks], NaN: missing */
    size_t label_stride;      /* 0: tasks */
    const float *row_weights; /* [rows], finite and >= 0; NULL: all 1 */
    const float *weights;     /* [rows, tasks], finite and >= 0; NULL: all 1 */
    size_t weight_stride;     /* 0: tasks */
} home_targets;

/* ------------------------------------------------------------------------------------- training */

/* Runs the model on a batch in training mode, and keeps what backward needs.
 *
 * Batch norms use the batch's own mean and variance, and move their running values (PyTorch's
 * definition; docs/model.md). predictions: [rows, tasks], probabilities of binary tasks; may be NULL.
 * Memory grows with the largest batch seen, and then stays.
 *
 * Errors: HOME_E_STATE for a frozen model; HOME_E_ARGUMENT for a batch that does not fit the
 * configuration, no rows, or one row where the model has batch norms (its variance is 0/0);
 * HOME_E_VALUE for a dense value that is NaN or infinite, for an id out of range, offsets that fall, and for values so
 * large that a batch norm's variance is not finite (neither a backward nor a step of an earlier forward is then
 * possible); HOME_E_MEMORY, HOME_E_TOO_LARGE. One thread owns the model. Since 0.1. */
HOME_API home_status home_model_forward(home_model *model, const home_batch *batch, float *predictions,
                                        size_t prediction_stride, home_error *error);

/* Computes the losses of the last forward and all gradients, which replace the earlier ones.
 *
 * L_t = sum_r w_rt bce(logit_rt, label_rt) / sum_r w_rt over the rows whose label is there, 0 when
 * the weights sum to 0; total = sum_t weight_t L_t. w_rt = row_weights[r] * weights[r, t].
 * A squared error replaces bce where configured; docs/model.md has the other terms. task_losses: [tasks], L_t
 * without the task's weight; may be NULL.
 *
 * Errors: HOME_E_STATE before a forward, or twice for one; HOME_E_VALUE for a label outside [0, 1] or a bad
 * weight; HOME_E_ARGUMENT, HOME_E_MEMORY. One thread owns the model. Since 0.1. */
HOME_API home_status home_model_backward(home_model *model, const home_targets *targets, float *task_losses,
                                         home_error *error);

/* The gradients of a loss of the host's own, instead of home_model_backward(): dlogits [rows, tasks] is its derivative by
 * each logit (the tower's output before the sigmoid). Errors: HOME_E_STATE before a forward, or twice for one;
 * HOME_E_VALUE where one is not finite; HOME_E_ARGUMENT. One thread owns the model. Since 0.1. */
HOME_API home_status home_model_backward_from(home_model *model, const float *dlogits, size_t stride,
                                              home_error *error);

/* The gradient of one task's term in the total alone, by the dense parameters, for methods that weigh or
 * project tasks' gradients (GradNorm, PCGrad): call it for each task after one forward, then
 * home_model_backward(), overwrite what home_model_gradients() gives, and step. gradients: [count], in the
 * layout of home_model_gradients(), the caller's; count must be that of home_model_gradients(). loss: L_t,
 * may be NULL. Leaves the model's own gradients undefined until the next backward. Errors: as
 * home_model_backward(); HOME_E_NOT_FOUND past the last task. Since 0.1. */
HOME_API home_status home_model_task_gradient(home_model *model, const home_targets *targets, size_t task,
                                              float *gradients, size_t count, float *loss, home_error *error);

/* Moves the parameters along the gradients as the optimizer says: Adam as PyTorch defines it, for
 * tables G_r += mean(g_r^2), row_r -= lr g_r / (sqrt(G_r) + epsilon) on touched rows r only.
 * Errors: HOME_E_STATE without a new backward; HOME_E_VALUE, and nothing moves, when the gradients' norm, after
 * clipping, is not finite or above 1e15. One thread owns the model. Since 0.1. */
HOME_API home_status home_model_step(home_model *model, home_error *error);

/* Change the learning rates from the next step on; 0 to 1e6. A checkpoint with HOME_SAVE_OPTIMIZER keeps them;
 * a model from one without has the configuration's. Errors: HOME_E_STATE for a frozen model; HOME_E_ARGUMENT. One
 * thread owns the model. Since 0.1. */
HOME_API home_status home_model_set_learning_rate(home_model *model, double rate, home_error *error);
HOME_API home_status home_model_set_embedding_learning_rate(home_model *model, double rate,
                                                            home_error *error);

/* The steps taken since the model was created, those before a save with HOME_SAVE_OPTIMIZER included; a model from a
 * checkpoint without the optimizer starts at 0, home_model_load_weights() goes back to 0. 0 for a frozen model and for
 * NULL. Since 0.1. */
HOME_API uint64_t home_model_step_count(const home_model *model);

/* The Euclidean norm of all gradients of the last backward (dense and table rows, before any clipping). Read
 * the norm after changing gradients by hand. 0 before the first backward, and between a forward and its backward.
 * Since 0.1. */
HOME_API double home_model_gradient_norm(const home_model *model);

/* dTotal/ddense of the last backward, [rows, dense_width], for hosts that own their embeddings. Valid until
 * the next forward, or release. Errors: HOME_E_STATE before a backward, HOME_E_ARGUMENT. Since 0.1. */
HOME_API home_status home_model_input_gradient(const home_model *model, const float **gradient,
                                               size_t *stride, home_error *error);

/* ---------------------------------------------------------------------------------------- serving */

/* Predicts rows: running values in the batch norms, no state changed, nothing allocated after warm-up (while at most
 * 64 threads are at once in calls that borrow their workspace).
 *
 * predictions: [rows, tasks], probabilities of binary tasks. The bytes of a row's predictions depend on
 * nothing but the model and that row: not on the other rows, their number, its position, nor the thread. A
 * NaN or infinite dense value makes that row's predictions NaN or finite nonsense and touches no other row.
 * `workspace` is one made for this model (or one of the same configuration and frozen or not alike), used by
 * this thread alone; NULL borrows one from the model (not from one in an image: HOME_E_ARGUMENT).
 *
 * A batch without rows is a success; `predictions` may then be NULL.
 *
 * Errors: HOME_E_ARGUMENT; HOME_E_VALUE for an id out of range or offsets that fall; HOME_E_MEMORY (only with a NULL
 * workspace); HOME_E_TOO_LARGE for more rows than memory can hold.
 * When it fails, the contents of `predictions` are undefined. Thread-safe. Since 0.1. */
HOME_API home_status home_model_predict(const home_model *model, const home_batch *batch, float *predictions,
                                        size_t prediction_stride, home_workspace *workspace,
                                        home_error *error);

/* The exact bytes home_workspace_init() wants for this model, whatever the number of rows; 0 for NULL. Since 0.1. */
HOME_API size_t home_workspace_size(const home_model *model);

/* Makes a workspace in the caller's memory of `size` bytes (any alignment), which must outlive it; there is nothing to
 * free but that memory. HOME_E_ARGUMENT for NULL, and where size < home_workspace_size(model). Thread-safe like
 * predict. Since 0.1. */
HOME_API home_status home_workspace_init(const home_model *model, void *memory, size_t size,
                                         home_workspace **workspace, home_error *error);

/* Makes a read-only copy for serving: batch norms folded into the experts' last linear layers, weights packed
 * for speed, nothing kept of training. Its probabilities agree with the model's to 1e-5. It can neither be
 * trained nor saved; the original is untouched and shares nothing with it. Metadata are copied. *frozen holds one
 * reference. Errors: HOME_E_ARGUMENT, HOME_E_STATE for a frozen model, HOME_E_MEMORY. Thread-safe like predict. Since 0.1. */
HOME_API home_status home_model_freeze(const home_model *model, home_model **frozen, home_error *error);

/* The instruction set that the model computes with: "portable", "avx2", "avx512" or "neon", chosen when it was made by
 * config.isa, the CPU, the operating system and the environment variable HOME_ISA (a cap, for tests and support). One
 * opened from an image has that of the image's panels. Static; NULL for NULL. Thread-safe. Since 0.1. */
HOME_API const char *home_model_isa(const home_model *model);

/* 1 for a frozen model, 0 otherwise and for NULL. Since 0.1. */
HOME_API int32_t home_model_is_frozen(const home_model *model);

/* --------------------------------------------------------------------------------- serving images */

/* A serving image is a frozen model as one block of bytes that is used where it lies: in flash, in a mapped
 * file, or compiled into a program. A host writes it from a checkpoint; a device opens it without a copy of
 * the weights, without an allocator and without files (docs/embedding.md, which tells of HOME_SERVE_ONLY too).
 *
 * It is not a format to keep models in, as a checkpoint is: it belongs to one version of the format (a
 * library that has another one refuses it), to a byte order and to the width of panels in which an
 * instruction set reads weights. Its CRC-32 finds damage, not forgery. */

/* How an image is written. Zeros: for a machine like this one. */
typedef struct home_image_options {
    size_t struct_size;
    /* Columns of a panel of weights, 1 to 256: 8 for the portable kernels (compiled by anything that has GNU C's
     * vectors), 16 for AVX2 and NEON, 32 for AVX-512; 0: those of the model. */
    size_t panel;
    /* The most rows that home_model_predict() takes through the model at once, 1 to 4096; more rows in a call
     * are taken block by block. The workspace grows with it: 1 where rows come alone, a multiple of 24 for
     * speed; 0: chosen for speed. */
    size_t block_rows;
} home_image_options;

/* Writes a frozen model's image. *length gets the bytes needed; with buffer NULL nothing else happens;
 * HOME_E_ARGUMENT (and *length still set) where capacity is smaller. The buffer may have any alignment. The
 * image has the embedding tables, the metadata, the names and both JSON texts too; the same model and options
 * give the same bytes. `options` may be NULL. Errors: HOME_E_ARGUMENT; HOME_E_STATE for a model that is not
 * frozen; HOME_E_VALUE where a weight is not finite (*length is still set, and what is in the buffer is undefined);
 * HOME_E_TOO_LARGE. Thread-safe like predict. Not in a serve-only build. Since 0.1. */
HOME_API home_status home_image_write(const home_model *model, const home_image_options *options,
                                      void *buffer, size_t capacity, size_t *length, home_error *error);

/* The exact bytes home_image_open() wants for the model, weights not included, in *bytes. Reads the header
 * alone. image: [size] bytes, which may be more than the image's own, aligned to 64. Errors: HOME_E_ARGUMENT,
 * also where the alignment is another; HOME_E_FORMAT; HOME_E_UNSUPPORTED for another version or byte order.
 * Thread-safe. Since 0.1. */
HOME_API home_status home_image_model_size(const void *image, size_t size, size_t *bytes, home_error *error);

/* Makes a model that lies in `memory` (any alignment) and reads its weights, names and texts from the image,
 * which is never written to. Both must outlive the model, and stay where they are; home_model_release() frees
 * nothing. The whole image is read once and checked: nothing that it may contain can make this or a later call
 * leave its memory. Needs about 9 KiB of stack.
 *
 * The model is a frozen one. It predicts the same bytes as the model that was written does on the same
 * instruction set. It needs a workspace of the caller's (a NULL one is HOME_E_ARGUMENT), and it works on
 * the thread that calls: home_model_set_parallel(), home_model_set_threads() and home_model_set_metadata()
 * give HOME_E_STATE.
 *
 * Errors: those of home_image_model_size(); HOME_E_ARGUMENT where memory_size is too small; HOME_E_CHECKSUM;
 * HOME_E_UNSUPPORTED where this machine and build have no kernels for the image's panels. Then the contents of
 * `memory` are undefined. Thread-safe. Since 0.1. */
HOME_API home_status home_image_open(const void *image, size_t size, void *memory, size_t memory_size,
                                     home_model **model, home_error *error);

/* ---------------------------------------------------------------------------------------- threads */

/* How a model may use more than the calling thread. */
typedef struct home_parallel {
    size_t struct_size;
    void *user;
    size_t threads; /* how many tasks run at once, at least 1 */
    /* Calls task(context, i) once for each i < count, on any threads, and returns when all calls have
     * returned. Must be callable from every thread that uses the model, at the same time where they do. It is called
     * in the floating-point modes that the library computes in; tasks set these themselves on any thread. */
    void (*run)(void *user, size_t count, void (*task)(void *context, size_t index), void *context);
} home_parallel;

/* Spreads the work of forward, backward, step and predict over the host's threads; NULL: back to the calling thread
 * alone, which is how every model starts. The struct is copied. Results are the same bytes for any number of threads.
 * A frozen copy starts with what its original uses. Errors: HOME_E_ARGUMENT; HOME_E_STATE for a model opened from an
 * image. No other thread may be using the model. Since 0.1. */
HOME_API home_status home_model_set_parallel(home_model *model, const home_parallel *parallel,
                                             home_error *error);

/* The same with a pool of the model's own: threads - 1 of them, asleep while there is nothing to do, gone with the
 * model or with the next call of this or the function above. 1: none. They block all signals. A frozen copy starts
 * without. Errors: HOME_E_ARGUMENT for 0 or more than 1024; HOME_E_STATE for a model opened from an image;
 * HOME_E_MEMORY when the threads cannot be had. No other thread may be using the model.
 *
 * After fork() a model is the child's as it is the parent's, where no thread was inside a function that takes it
 * without const at that moment. The pool's threads are in the parent only: in the child the calling thread does
 * all the work, with the same results, until the child asks for threads of its own. Since 0.1. */
HOME_API home_status home_model_set_threads(home_model *model, size_t threads, home_error *error);

/* ------------------------------------------------------------------------------------ checkpoints */

/* Save optimizer state and step count too: training can go on as if never stopped. */
#define HOME_SAVE_OPTIMIZER 1u

/* Writes a checkpoint: a safetensors file with the tensors by name, the configuration as JSON and a checksum in its
 * metadata (docs/checkpoint.md). The bytes go to a temporary file beside `path`, which is synced and renamed over it,
 * so a crash or a full disk leaves the old file whole. A symbolic link is followed. flags: 0 or HOME_SAVE_OPTIMIZER.
 *
 * The temporary file is "<path>.0.tmp", or .1.tmp and so on where another save holds it by a lock (flock). A regular
 * file of that name that nobody has locked, with the same owner and no other links, is taken for one that a killed
 * process left: it is emptied and used. So any number of threads and processes may save to one path at the same time,
 * which leads to one of their checkpoints; on a file system without locks, only one at a time may.
 *
 * Errors: HOME_E_STATE for a frozen model; HOME_E_VALUE (and the old file stays) where a tensor is not finite;
 * HOME_E_FILE, HOME_E_MEMORY, HOME_E_ARGUMENT. Thread-safe like predict. Since 0.1. */
HOME_API home_status home_model_save(const home_model *model, const char *path, uint32_t flags,
                                     home_error *error);

/* The same bytes into memory. *length gets the bytes needed; with buffer NULL nothing else happens. Errors:
 * HOME_E_ARGUMENT, where capacity is smaller with *length still set; HOME_E_STATE for a frozen model; HOME_E_VALUE
 * where a tensor is not finite; HOME_E_MEMORY. Thread-safe like predict. Since 0.1. */
HOME_API home_status home_model_serialize(const home_model *model, uint32_t flags, void *buffer,
                                          size_t capacity, size_t *length, home_error *error);

/* Makes a model from a checkpoint file, or from its bytes in memory (copied). `allocator` may be NULL.
 * Optimizer state is taken up where the file has it. Every rule of the format is checked; a file from
 * elsewhere without a checksum loads, a wrong checksum does not. Errors: HOME_E_FILE, HOME_E_FORMAT,
 * HOME_E_CHECKSUM, HOME_E_MISMATCH, HOME_E_UNSUPPORTED, HOME_E_CONFIG, HOME_E_JSON, HOME_E_MEMORY,
 * HOME_E_TOO_LARGE, HOME_E_VALUE (a tensor that is not finite, or negative where that cannot be),
 * HOME_E_ARGUMENT. Thread-safe. Since 0.1. */
HOME_API home_status home_model_load(const char *path, const home_allocator *allocator, home_model **model,
                                     home_error *error);
HOME_API home_status home_model_load_memory(const void *data, size_t size, const home_allocator *allocator,
                                            home_model **model, home_error *error);

/* Takes the weights of a safetensors file, made for example by PyTorch, into a model that exists. The file
 * must hold exactly the model's tensors (optimizer tensors are ignored, a configuration is not needed). The
 * optimizer's state starts anew. Errors: as home_model_load(), HOME_E_STATE for a frozen model. One thread
 * owns the model. Since 0.1. */
HOME_API home_status home_model_load_weights(home_model *model, const char *path, home_error *error);

/* Text of the host's own that is stored in checkpoints under `key`: a preprocessing recipe, a training
 * date... Keys that begin with "home." are the library's, and "format" is left to other tools. `value` NULL removes the
 * key. Both are UTF-8 and copied. Errors: HOME_E_ARGUMENT; HOME_E_STATE for a model opened from an image;
 * HOME_E_MEMORY. No other thread may be using the model. Since 0.1. */
HOME_API home_status home_model_set_metadata(home_model *model, const char *key, const char *value,
                                             home_error *error);

/* The text, or NULL where there is none. Valid until the key is set again, or release. Since 0.1. */
HOME_API const char *home_model_metadata(const home_model *model, const char *key);

/* -------------------------------------------------------------------------------- looking inside */

/* The complete configuration as JSON, every default filled in. Valid until release. Since 0.1. */
HOME_API const char *home_model_config_json(const home_model *model);

/* Who sees whom, as JSON, presets and masks resolved. Valid until release. Since 0.1.
 *
 *     {"input_width": 52, "layers": [{"width": 64,
 *       "units": [{"name": "shared", "input": "v", "experts": 2, "feature_branches": 2, "feature_rank": 26}, ..],
 *       "nodes": [{"name": "like", "sees": ["shared", "like"], "gate": [{"unit": "like", "gated": true}],
 *                  "self_kind": "gate"|"static"|"one"|"none", "self": "like"}, ..]}, ..]}
 *
 * "input" names the node of the layer below that a unit reads, "v" the model's input. Layers come from the input up,
 * units and nodes in an order that is the preset's (docs/model.md) or the configuration's, "sees" in the order of the
 * gate's outputs; experts and nodes of home_health are numbered in this order. "gate" is empty for a node without a
 * gate, and "self" missing where "self_kind" is "none". A layer without feature gates has no "feature_branches" and
 * "feature_rank", and "gated" is false in it whatever gate_input says. */
HOME_API const char *home_model_topology_json(const home_model *model);

/* What the model takes and gives. Names are NULL past the end, and valid until release. Since 0.1. */
HOME_API size_t home_model_dense_width(const home_model *model);
HOME_API size_t home_model_field_count(const home_model *model);
HOME_API const char *home_model_field_name(const home_model *model, size_t field);
HOME_API size_t home_model_task_count(const home_model *model);
HOME_API const char *home_model_task_name(const home_model *model, size_t task);

/* Parameters outside the embedding tables: those that train, or, of a frozen model, those that are left, batch norms
 * folded away. And multiply-adds of the matrix products for one row at serving. Both are 0 for NULL. Since 0.1. */
HOME_API uint64_t home_model_parameter_count(const home_model *model);
HOME_API uint64_t home_model_macs_per_row(const home_model *model);

/* Kinds of tensor. */
#define HOME_TENSOR_PARAMETER 0 /* trained by the dense optimizer */
#define HOME_TENSOR_STATISTIC 1 /* running mean or variance of a batch norm */
#define HOME_TENSOR_TABLE     2 /* an embedding table */

/* One named tensor (the names are in docs/checkpoint.md). Pointers are valid until release; the values change
 * with step, the gradients with backward. */
typedef struct home_tensor {
    size_t struct_size;
    const char *name;
    int32_t kind;           /* HOME_TENSOR_* */
    int32_t rank;           /* 1 or 2 */
    uint64_t shape[2];      /* shape[1] is 1 where rank is 1 */
    const float *data;      /* row-major */
    float *gradient;        /* of a parameter, same shape; NULL for the other kinds */
    size_t gradient_offset; /* of `gradient` in home_model_gradients(), in elements */
} home_tensor;

/* Tensors in the order of the checkpoint; 0 tensors for a frozen model, whose weights have another form.
 * Since 0.1. */
HOME_API size_t home_model_tensor_count(const home_model *model);

/* Errors: HOME_E_NOT_FOUND, HOME_E_ARGUMENT. Thread-safe like predict; so is reading the values that `data` and
 * `gradient` point to. Since 0.1. */
HOME_API home_status home_model_tensor_at(const home_model *model, size_t index, home_tensor *tensor,
                                          home_error *error);
HOME_API home_status home_model_tensor(const home_model *model, const char *name, home_tensor *tensor,
                                       home_error *error);

/* Overwrites a tensor with `count` floats, which must be its element count; a backward of an earlier forward is then not
 * possible any more. Errors: HOME_E_NOT_FOUND, for a frozen model always; HOME_E_ARGUMENT; HOME_E_VALUE for a value that
 * is not finite, or a running variance below 0. One thread owns the model. Since 0.1. */
HOME_API home_status home_model_set_tensor(home_model *model, const char *name, const float *data,
                                           size_t count, home_error *error);

/* All gradients of dense parameters, one contiguous array of *count floats that the host may read and change
 * between backward and step; `count` may be NULL. NULL, and *count 0, for a frozen model or NULL. One thread owns the
 * model. Since 0.1. */
HOME_API float *home_model_gradients(home_model *model, size_t *count);

/* The rows of a table that the last backward touched, each once, ascending, with their summed gradients,
 * which the host may change before the step. Valid until the next forward or release. Errors:
 * HOME_E_NOT_FOUND, HOME_E_STATE, HOME_E_ARGUMENT. One thread owns the model. Since 0.1. */
typedef struct home_table_gradient {
    size_t struct_size;
    size_t count;
    size_t dim;
    const uint64_t *rows; /* [count] */
    float *gradient;      /* [count, dim] */
} home_table_gradient;
HOME_API home_status home_model_table_gradient(home_model *model, const char *table,
                                               home_table_gradient *gradient, home_error *error);

/* The row of a hashed table that an id goes to: the high 64 bits of mix(id) * rows, where mix is the
 * finalizer of splitmix64 (docs/checkpoint.md). Part of the checkpoint format, and so the same for ever.
 * Since 0.1. */
HOME_API uint64_t home_hash_id(uint64_t id, uint64_t rows);

/* ------------------------------------------------------------------------------------------ metrics */

/* Accumulates predictions and labels, then tells how good they were. Threads may each fill one and merge them; as with
 * a model, functions that take one as const may run in any number of threads at once, while none is inside a function
 * that takes the same without const. */
typedef struct home_metrics home_metrics;

/* The figures of one task over all rows added. A figure that is not defined (no rows, a single class) is NaN. */
typedef struct home_metric_result {
    size_t struct_size;
    uint64_t rows;      /* rows whose label was there */
    uint64_t positives; /* of these, rows with label > 0.5 */
    double auc;         /* area under the ROC curve, exact, ties count one half */
    double gauc; /* mean of the AUC of each user, weighted by the user's rows; users with one class are left
                    out */
    uint64_t gauc_users; /* users that took part in gauc */
    uint64_t gauc_rows;  /* their rows */
    double log_loss;     /* mean of -log p(label); probabilities are clipped to [1e-15, 1 - 1e-15] */
    double calibration;  /* mean prediction / mean label: 1 is perfect, 1.1 predicts 10 % too many */
} home_metric_result;

/* Makes an empty accumulator for `tasks` tasks. It keeps every (user, prediction, label): 16 bytes a row and
 * task. `allocator` may be NULL. Errors: HOME_E_ARGUMENT, HOME_E_MEMORY. Since 0.1. */
HOME_API home_status home_metrics_create(size_t tasks, const home_allocator *allocator,
                                         home_metrics **metrics, home_error *error);

/* Frees it; NULL is allowed. Since 0.1. */
HOME_API void home_metrics_destroy(home_metrics *metrics);

/* Adds rows: predictions and labels [rows, tasks]; where a label is NaN, neither it nor its prediction takes part. The
 * figures are those of binary tasks: give NaN for all labels of a task with a squared error, whose predictions are not
 * in [0, 1]. users: [rows], or NULL (then no GAUC: each row added so counts as of no user). Errors: HOME_E_VALUE for a
 * label outside [0, 1] or a prediction outside [0, 1] or NaN; HOME_E_ARGUMENT; HOME_E_MEMORY; HOME_E_TOO_LARGE. After
 * an error it holds what it held before. Since 0.1. */
HOME_API home_status home_metrics_add(home_metrics *metrics, size_t rows, const float *predictions,
                                      size_t prediction_stride, const float *labels, size_t label_stride,
                                      const uint64_t *users, home_error *error);

/* Adds all that `from` holds to `into`; the result is the same whatever the order, and the two may be the same.
 * HOME_E_ARGUMENT for NULL, and where their task counts differ; HOME_E_MEMORY. Since 0.1. */
HOME_API home_status home_metrics_merge(home_metrics *into, const home_metrics *from, home_error *error);

/* Computes the figures of a task. Costs a sort. Errors: HOME_E_NOT_FOUND past the last task; HOME_E_MEMORY;
 * HOME_E_TOO_LARGE for 2^32 rows or more; HOME_E_ARGUMENT. Since 0.1. */
HOME_API home_status home_metrics_result(const home_metrics *metrics, size_t task, home_metric_result *result,
                                         home_error *error);

/* ------------------------------------------------------------------------------------------- health */

/* Statistics of what experts and gates compute on rows that are shown to it: collapse, degradation and underfitting
 * of a mixture in figures (docs/health.md). Threads or machines may each fill one and merge them. A program that
 * makes none pays nothing.
 *
 * Functions that take one as const may run in any number of threads at once, while none is inside a function that
 * takes the same without const.
 *
 * Experts are numbered through all layers, units and experts of a unit, nodes through all layers and nodes, in the
 * order of home_model_topology_json(). A figure that is not defined is NaN; before the first row all are. */
typedef struct home_health home_health;

/* An expert's output: a matrix [rows, width]. */
typedef struct home_expert_health {
    size_t struct_size;
    size_t layer;     /* from 0 */
    const char *unit; /* valid until home_health_destroy() */
    size_t expert;    /* from 0 in its unit */
    size_t width;     /* values of an output */
    double mean;      /* of all rows x width values */
    double deviation; /* their standard deviation, sqrt(mean((x - mean)^2)) */
    double least;
    double most;
    double near_zero; /* share of the values with |x| < 1e-6 */
    size_t dead;      /* of the width, how many vary by less than 1e-6 over all rows: zero, or constant */
    /* The expert of the same layer and another number whose output is the nearest, and home_health_distance() to
     * it; SIZE_MAX and NaN where it is alone. */
    size_t nearest;
    double nearest_distance;
    /* Gate mass: the sum of the mean weights that nodes give it, self terms not counted. */
    size_t seen_by; /* nodes whose gates see it */
    double mass;
    size_t top_node;  /* the number of the node that gives it most; SIZE_MAX where seen_by or mass is 0 */
    double top_share; /* that node's part of its mass: 1 / seen_by is ideal for a shared expert, 1 degraded */
} home_expert_health;

/* A node's gate: a matrix of weights [rows, visible experts], each row of sum 1. */
typedef struct home_node_health {
    size_t struct_size;
    size_t layer;     /* from 0 */
    const char *node; /* valid until home_health_destroy() */
    size_t experts;   /* that it sees */
    double entropy;   /* mean over the rows of -sum w log w / log(experts): 1 even, 0 all on one expert */
    double entropy_spread;  /* the same of the mean weights: near 0, every row chooses the same expert */
    size_t top_expert;      /* the number of the expert with the largest mean weight */
    double top_weight;      /* that weight */
    double deviation_ratio; /* of the experts it sees, largest / smallest deviation; infinite above 0 */
    /* Its own experts: those of its self term's unit or, without one, of the unit of its own name. */
    size_t own_experts; /* that it sees; 0: none */
    double own_mass;    /* sum of their mean weights; own_experts / experts is an even share */
    double self_weight; /* sum of the mean weights in its self term; 0 where it has none */
} home_node_health;

/* Makes an empty accumulator for models like this one: same layers, units, nodes and masks, frozen or not. It keeps
 * no reference to the model. `allocator` may be NULL. Errors: HOME_E_ARGUMENT, HOME_E_STATE for a model opened from an
 * image, HOME_E_MEMORY. The model may be in use by other threads as for home_model_predict(). Since 0.1. */
HOME_API home_status home_health_create(const home_model *model, const home_allocator *allocator,
                                        home_health **health, home_error *error);

/* Frees it; NULL is allowed. Since 0.1. */
HOME_API void home_health_destroy(home_health *health);

/* Runs the model on rows as home_model_predict() does (running values in the batch norms, no state changed) and adds
 * what its experts and gates gave. Costs two to three predictions. Errors: HOME_E_ARGUMENT, for a model of another
 * shape too; HOME_E_STATE for one opened from an image; HOME_E_VALUE for an id out of range, offsets that fall, a
 * dense value that is not finite, or an expert's output that is not; HOME_E_MEMORY. After an error it holds what it
 * held before. Threads: many may add rows of one model at once, each to an accumulator of its own. Since 0.1. */
HOME_API home_status home_health_add(home_health *health, const home_model *model, const home_batch *batch,
                                     home_error *error);

/* Adds all that `from` holds to `into`, as if its rows had been added there; figures agree to rounding in double. The
 * two may be the same. HOME_E_ARGUMENT for NULL, and where they were made for models of different shapes. Since
 * 0.1. */
HOME_API home_status home_health_merge(home_health *into, const home_health *from, home_error *error);

/* What it holds. Since 0.1. */
HOME_API uint64_t home_health_rows(const home_health *health);
HOME_API size_t home_health_expert_count(const home_health *health);
HOME_API size_t home_health_node_count(const home_health *health);

/* The figures of one expert or node. HOME_E_NOT_FOUND past the last one; HOME_E_ARGUMENT. Since 0.1. */
HOME_API home_status home_health_expert(const home_health *health, size_t expert, home_expert_health *result,
                                        home_error *error);
HOME_API home_status home_health_node(const home_health *health, size_t node, home_node_health *result,
                                      home_error *error);

/* The node x expert matrix: the mean weight that the node's gate gives the expert, and the mean weight in its self
 * term (which does not sum to 1). NaN where it does not see the expert, where the expert is not in the self term, and
 * past the last number. Since 0.1. */
HOME_API double home_health_gate_weight(const home_health *health, size_t node, size_t expert);
HOME_API double home_health_self_weight(const home_health *health, size_t node, size_t expert);

/* How far apart the outputs a and b of two experts of a layer are, over rows and width:
 * sqrt(mean((a - b)^2) / (var(a) + var(b))), where var is the variance over the rows, averaged over the width. 0: the
 * same; about 1: they have nothing to do with each other; infinite between different constants. NaN for experts of
 * different layers, one and the same, or past the last number. Since 0.1. */
HOME_API double home_health_distance(const home_health *health, size_t a, size_t b);

/* A histogram of an expert's values. Bin i holds those from home_health_bin_edge(i - 1) to below
 * home_health_bin_edge(i), without a limit at both ends. */
#define HOME_HEALTH_BINS 63

/* sinh(0.3 (i - 30.5)) / 20: fine around 0, coarse far away. Since 0.1. */
HOME_API double home_health_bin_edge(size_t i);

/* counts: [HOME_HEALTH_BINS]. HOME_E_NOT_FOUND past the last expert; HOME_E_ARGUMENT. Since 0.1. */
HOME_API home_status home_health_histogram(const home_health *health, size_t expert, uint64_t *counts,
                                           home_error *error);

/* The Euclidean norm of a gradient by the parameters of a unit's experts. gradients: [count], in the layout of
 * home_model_gradients(), as home_model_task_gradient() fills it for one task; NULL: the model's own, of the last
 * backward. Errors: HOME_E_STATE for a frozen model or, with NULL, before a backward; HOME_E_NOT_FOUND for a layer or
 * a unit that is not there; HOME_E_ARGUMENT. Since 0.1. */
HOME_API home_status home_model_unit_gradient_norm(const home_model *model, size_t layer, const char *unit,
                                                   const float *gradients, size_t count, double *norm,
                                                   home_error *error);

#ifdef __cplusplus
}
#endif

#endif
