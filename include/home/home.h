/*
 * home.h - the whole public interface of libhome.
 *
 * libhome trains and serves HoME, the hierarchy of multi-gate experts (arXiv 2408.05430), and its
 * relatives: models that predict several behaviours of one user on one item. docs/model.md says
 * what they compute.
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
 * (docs/training.md has a whole program)
 *
 * and serves like this:
 *
 *     home_model_load(...)                   with frozen = HOME_ON
 *     home_model_predict(...)                from any number of threads at once
 *
 * Conventions that hold for every function:
 *
 *  - Matrices. Elements are float, row-major. [rows, tasks] beside a pointer is the shape. A stride
 *    is the distance from one row to the next in elements, not bytes; 0 means that the rows are
 *    dense. One with which the rows fit no memory is HOME_E_TOO_LARGE.
 *
 *  - Errors. A function that can fail returns a home_status; 0 (HOME_OK) is success. On failure the
 *    objects it was given are unchanged and stay usable, and no output is written, unless the
 *    function says otherwise. The message in the caller's home_error (which may be NULL) names the
 *    field or argument, its value and what was expected. NULL in a list of errors means that a
 *    pointer is NULL that must not be, or that a struct_size is wrong.
 *
 *  - Sizes. The caller sets struct_size, the first field of every struct, to sizeof of the struct,
 *    also where the struct receives a result. This lets a program built against an older header run
 *    with a newer library, and the reverse. A field that is zero, or that lies past the struct_size
 *    of an older caller, means its default; where 0 itself is wanted and the default is another
 *    number, there is HOME_ZERO. All elements of an array have the struct_size of the first, which
 *    is also the distance between them, in bytes. So zero the whole struct, then set struct_size,
 *    then what you need: HOME_INIT() does the first two. docs/abi.md has the rules.
 *
 *  - Side effects. The library keeps no global state, prints nothing, never exits, reads no
 *    environment variable, and starts no thread unless asked to. It leaves the locale, signals and
 *    floating-point modes as it found them.
 *
 *  - Floating point. On x86-64 and AArch64, forward, backward, step, freeze and predict round to
 *    nearest, treat denormal numbers as zero (which makes multiplications much faster) and never
 *    trap, whatever the modes of the calling thread. They restore the modes and, except freeze, the
 *    exception flags. All other calls, and all calls on other CPUs, compute in the modes of the
 *    calling thread; what this header promises of results then assumes rounding to nearest. With
 *    finite values and no overflow these calls raise no "invalid", "divide by zero" or "overflow",
 *    so a host may trap them.
 *
 *  - Threads. Every function says which of these it is:
 *
 *      any         may be called by any thread at any time.
 *      shared      any number of threads may be inside at once, with the same object, while no
 *                  thread is inside an exclusive function of that object. What takes its object as
 *                  const is shared.
 *      exclusive   while one thread is inside, no other may be inside a shared or exclusive
 *                  function of the same object.
 *
 *    The count of references to a model is not part of its value: home_model_retain() and
 *    home_model_release() take a const model and may be called by any thread at any time.
 *
 *  - Cancellation. A thread may be canceled while it is in a call (pthread_cancel). Calls that wait
 *    for other threads or use files switch cancellation off and end as ever; the thread ends at its
 *    next cancellation point after the call, and the library holds no lock then. A callback of the
 *    host (an allocator, home_parallel.run) must not be where a thread is canceled. Asynchronous
 *    cancellation (PTHREAD_CANCEL_ASYNCHRONOUS) inside a call is not supported.
 *
 * Copyright: see LICENSE (Apache-2.0).
 */
#ifndef HOME_HOME_H
#define HOME_HOME_H

#include <stddef.h>
#include <stdint.h>

#define HOME_VERSION_MAJOR 0
#define HOME_VERSION_MINOR 2
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

/* An empty struct of the type with its struct_size set, in C and in C++ from C++11 on:
 *
 *     home_config config = HOME_INIT(home_config);
 *     config.dense_width = 18; */
#ifdef __cplusplus
template <class type> inline type home_init() {
    type empty = type();
    empty.struct_size = sizeof(type);
    return empty;
}
#define HOME_INIT(type) home_init<type>()
#else
#define HOME_INIT(type) ((type){.struct_size = sizeof(type)})
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* -------------------------------------------------------------------------------------- version */

/* Returns the version of the library in use: major * 1000000 + minor * 1000 + patch.
 *
 * Threads: any. Since 0.1. */
HOME_API uint32_t home_version(void);

/* Returns the version as text, such as "0.2.0". Static, never freed.
 *
 * Threads: any. Since 0.1. */
HOME_API const char *home_version_string(void);

/* --------------------------------------------------------------------------------------- status */

/* The outcome of a call. A number never changes its meaning. */
typedef int32_t home_status;

#define HOME_OK            0 /* success */
#define HOME_E_ARGUMENT    1 /* an argument is NULL, too small, or contradicts another */
#define HOME_E_STATE       2 /* the call does not fit the object's state: backward before forward */
#define HOME_E_VALUE       3 /* a number in the data is not allowed: an id or label out of range */
#define HOME_E_NOT_FOUND   4 /* no tensor, table, task or expert has this name or number */
#define HOME_E_CANCELED    5 /* a callback of the host stopped the call */
#define HOME_E_MEMORY      10 /* the allocator returned NULL */
#define HOME_E_TOO_LARGE   11 /* a size does not fit size_t, or is above a limit of the caller's */
#define HOME_E_CONFIG      20 /* the configuration is not valid */
#define HOME_E_JSON        21 /* the text is not JSON */
#define HOME_E_FILE        30 /* the operating system could not read or write a file */
#define HOME_E_FORMAT      31 /* the bytes are not a valid checkpoint or image */
#define HOME_E_CHECKSUM    32 /* the checksum of a checkpoint or image does not match its bytes */
#define HOME_E_MISMATCH    33 /* the tensors of a checkpoint, or names, are not the model's */
#define HOME_E_UNSUPPORTED 40 /* not supported by this version, build or machine */

/* Returns what a status means, as one English phrase. Static, never NULL, for any number.
 *
 * Threads: any. Since 0.1. */
HOME_API const char *home_status_string(home_status status);

/* Where a failing call puts its message. The caller owns it, sets struct_size once, and may reuse
 * it for any number of calls, but not share it between threads. A successful call does not touch
 * it. A failing call does not touch it either where struct_size is 0: if a message is missing,
 * struct_size was not set. */
typedef struct home_error {
    size_t struct_size;
    home_status status;
    char message[244]; /* UTF-8, truncated to fit, always terminated by a zero byte */
} home_error;

/* ------------------------------------------------------------------------------------ allocator */

/* Where an object takes its memory from. A NULL pointer to this struct means malloc and free; so
 * does one with neither function set. Both functions must be callable from every thread that uses
 * the object. The struct is copied; `user` must stay valid as long as the objects made with it. */
typedef struct home_allocator {
    size_t struct_size;
    void *user;
    /* Returns memory aligned as malloc's, or NULL. */
    void *(*allocate)(void *user, size_t bytes);
    /* Takes back what `allocate` returned, never NULL. */
    void (*release)(void *user, void *memory);
} home_allocator;

/* -------------------------------------------------------------------------------- configuration */

/* Limits. More than this is HOME_E_CONFIG:
 *
 *     name                                     1 to 120 bytes of UTF-8 without a dot or control
 *                                              characters (below 0x20, and 0x7f)
 *     tasks                                    1024
 *     layers                                   64, where the preset leaves their number open
 *     tables, fields, names in a list          4096
 *     units of a layer, nodes of a layer       4096
 *     experts of a unit                        1024
 *     hidden layers of an MLP                  16
 *     branches of a feature gate               64
 *     widths, dims, ranks, the width of v      2^24 */

/* The number 0, for fields of type double where 0 means a default: a field that is HOME_ZERO is 0,
 * if 0 is within its bounds. JSON needs no such thing, for there a key can be left out: a 0 that is
 * written is 0. */
#define HOME_ZERO (-1e300)

/* Presets: how units, nodes and masks are laid out (docs/model.md). */
#define HOME_PRESET_HOME          0 /* two layers: groups of tasks, then tasks */
#define HOME_PRESET_SHARED_BOTTOM 1 /* one expert for all tasks, no gates */
#define HOME_PRESET_MMOE          2 /* shared experts, a gate for each task */
#define HOME_PRESET_CGC           3 /* shared experts, and own ones for each task */
#define HOME_PRESET_PLE           4 /* two or more layers of CGC */
#define HOME_PRESET_ADATT_SP      5 /* every task sees all tasks' experts, and its own once more */
#define HOME_PRESET_ADATT         6 /* the same with shared experts */
#define HOME_PRESET_CUSTOM        7 /* units and nodes as the layers list them */

/* A switch. 0 leaves the choice to the preset. JSON has true and false. */
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
#define HOME_LOSS_BCE     1 /* binary cross-entropy on the logit, labels in [0, 1]   (default) */
#define HOME_LOSS_SQUARED 2 /* (logit - label)^2, any finite label; predicts the logit itself */

/* Optimizers, as PyTorch defines them. g is the gradient; except for AdamW, weight_decay * value
 * has been added to it. */
#define HOME_OPTIMIZER_ADAM            1 /* (default for dense parameters) */
#define HOME_OPTIMIZER_ROWWISE_ADAGRAD 2 /* tables only (default), see home_model_step() */
#define HOME_OPTIMIZER_SGD             3 /* dense only: b = momentum b + g, value -= lr b */
#define HOME_OPTIMIZER_ADAMW           4 /* dense only: Adam, and value -= lr weight_decay value */
#define HOME_OPTIMIZER_ADAGRAD         5 /* G += g^2, value -= lr g / (sqrt(G) + eps) */

/* Kinds of a node's self term. */
#define HOME_SELF_GATE   1 /* a gate over its own experts: softmax, sigmoid for one   (default) */
#define HOME_SELF_STATIC 2 /* a free scalar for each own expert (AdaTT) */

/* An embedding table. Several fields may share one. */
typedef struct home_table_config {
    size_t struct_size;
    const char *name; /* required; distinct among tables */
    uint64_t rows;    /* required, at least 1 */
    size_t dim;       /* required, at least 1 */
    int32_t index;    /* HOME_INDEX_*, 0: direct */
    int32_t reserved; /* 0 */
    double init_std;  /* weights start as N(0, init_std^2), from 0; 0: 0.01 */
} home_table_config;

/* An id field of the input. Its pooled vector is a part of v, the model's input: v has the dense
 * values, then the vectors of the fields in their order. */
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
    double weight;     /* factor of the task's loss in the total, from 0; 0: 1 */
    int32_t loss;      /* HOME_LOSS_*, 0: binary cross-entropy */
    int32_t reserved;  /* 0 */
    /* Of a binary task: the tower's last bias starts at logit(base_rate); 0: at 0. */
    double base_rate;
    /* The name of another binary task, or NULL. If set, this task's probability is sigmoid(logit)
     * times the other task's probability, as for a conversion that follows a click, and its loss is
     * that of the product, on all rows (ESMM, arXiv 1804.07931). */
    const char *given;
} home_task_config;

/* A set of experts that share one input, in a layer of the preset custom. */
typedef struct home_unit_config {
    size_t struct_size;
    const char *name; /* required; distinct among the layer's units */
    /* The node of the layer below whose output it reads. NULL: v in the first layer; in others, the
     * node of the unit's own name. */
    const char *input;
    size_t experts; /* 0: 1 */
    size_t width;   /* 0, or the layer's width: a layer has one width */
} home_unit_config;

/* One output vector of a layer. With the preset custom these are the layer's nodes; the last layer
 * must have one for each task, by the task's name. With another preset an entry replaces the mask
 * of the preset's node of that name; only `name` and `sees` may be set. */
typedef struct home_node_config {
    size_t struct_size;
    const char *name; /* required; distinct among the layer's nodes */
    /* [sees_count] required: the units whose experts it sees, in the order of its gate's outputs */
    const char *const *sees;
    size_t sees_count;
    /* [gate_count] the units whose inputs its gate reads, concatenated. None: the unit of the
     * node's own name or, if there is none, the first unit it sees. */
    const char *const *gate;
    size_t gate_count;
    const char *self;  /* the unit whose experts are added once more; NULL: none */
    int32_t self_kind; /* HOME_SELF_*, 0: a gate */
    int32_t reserved;  /* 0 */
} home_node_config;

/* A layer of experts. */
typedef struct home_layer_config {
    size_t struct_size;
    size_t width;         /* required: D, the width of an expert's output */
    const size_t *hidden; /* [hidden_count] widths of the hidden layers of the experts' MLPs */
    size_t hidden_count;
    size_t shared_experts; /* experts of the unit `shared`, where the preset has it; 0: 1 */
    size_t group_experts;  /* experts of each group's unit (HoME); 0: 1 */
    /* Experts of each task's unit, where the preset has it (not in HoME's first layer); 0: 1. */
    size_t task_experts;
    int32_t feature_gates;   /* HOME_OFF or HOME_ON, 0: the preset's (home: on, others: off) */
    int32_t reserved;        /* 0 */
    size_t feature_branches; /* L, the low-rank branches of a feature gate; 0: 2 */
    size_t feature_rank;     /* d, the rank of a branch; 0: max(1, floor(|x| / L)) */
    const home_unit_config *units; /* [unit_count], preset custom only */
    size_t unit_count;
    const home_node_config *nodes; /* [node_count] */
    size_t node_count;
} home_layer_config;

/* What home_model_step() does. */
typedef struct home_optimizer_config {
    size_t struct_size;
    int32_t kind;           /* of dense parameters: HOME_OPTIMIZER_*, 0: Adam */
    int32_t embedding_kind; /* of touched table rows: row-wise Adagrad (0), Adagrad or Adam */
    double learning_rate;   /* from 0; 0: 0.001, Adagrad 0.01 */
    double beta1;           /* of both Adams, from 0 to below 1; 0: 0.9 */
    double beta2;           /* of both Adams, from 0 to below 1; 0: 0.999 */
    double epsilon;         /* above 0; 0: 1e-8, Adagrad 1e-10 */
    double momentum;        /* of SGD, from 0 to below 1 */
    double weight_decay;    /* of dense parameters, from 0; 0: none, AdamW 0.01 */
    double clip_norm;       /* scales all gradients down to this norm; 0: off */
    double embedding_learning_rate; /* from 0; 0: 0.01 */
    double embedding_epsilon;       /* above 0; 0: 1e-8, Adagrad 1e-10 */
} home_optimizer_config;

/* A model. Only dense_width or fields, tasks and layers are required. All names, arrays and structs
 * that it points to are copied. JSON has the same fields: see home_model_create_json(). */
typedef struct home_config {
    size_t struct_size;
    int32_t preset;     /* HOME_PRESET_* */
    int32_t reserved;   /* 0 */
    uint64_t seed;      /* of the initial weights */
    size_t dense_width; /* dense values of a row */
    /* [dense_names_count] the names of the dense values, distinct, in their order; NULL and 0: they
     * have none. The count is dense_width. Checkpoints and images keep them, and
     * home_model_check_names() compares them with a host's. */
    const char *const *dense_names;
    size_t dense_names_count;
    const home_table_config *tables; /* [table_count] */
    size_t table_count;
    const home_field_config *fields; /* [field_count] */
    size_t field_count;
    const home_task_config *tasks; /* [task_count], at least one */
    size_t task_count;
    /* [layer_count]: one of shared-bottom, mmoe and cgc; two of home; two or more of ple; one or
     * more of the other presets. */
    const home_layer_config *layers;
    size_t layer_count;

    /* Of every Swish in the model, whether in experts, towers, gates or self gates:
     * swish(a) = a sigmoid(swish_beta a). 0: 1. */
    double swish_beta;

    /* Experts: h = Act(Norm(MLP(x))). */
    int32_t expert_norm;       /* HOME_NORM_*, 0: the preset's (home: batch, others: none) */
    int32_t expert_activation; /* HOME_ACTIVATION_*, 0: the preset's (home: swish, others: relu) */
    int32_t expert_hidden_activation; /* 0: the preset's (home: swish, others: relu) */
    int32_t bias_before_norm; /* HOME_ON: a linear layer before a batch norm has a bias; 0: off */
    double norm_epsilon;      /* above 0; 0: 1e-5 */
    double norm_momentum;     /* from 0, running values that stay, to 1; 0: 0.1 */

    /* Feature gates: gated x = x * F(x). */
    int32_t feature_order; /* HOME_FEATURE_*, 0: sigmoid first */
    int32_t feature_init;  /* HOME_INIT_*, 0: zero */

    /* Gates of the nodes: softmax(MLP(x)) over the visible experts. */
    const size_t *gate_hidden; /* [gate_hidden_count]; none: one linear layer */
    size_t gate_hidden_count;
    int32_t gate_activation; /* of the hidden layers; 0: relu */
    int32_t gate_input;      /* HOME_INPUT_*, 0: gated */

    /* Self gates: the residual path from a node's own experts. */
    int32_t self_gates; /* HOME_OFF or HOME_ON, 0: the preset's (home, adatt, custom: on) */
    int32_t self_gate_activation;   /* of the hidden layers; 0: relu */
    const size_t *self_gate_hidden; /* [self_gate_hidden_count]; none: one linear layer */
    size_t self_gate_hidden_count;
    int32_t self_gate_input; /* HOME_INPUT_*, 0: gated */

    /* Towers: MLP with a last layer of width 1. */
    int32_t tower_activation;   /* of the hidden layers; 0: relu */
    const size_t *tower_hidden; /* [tower_hidden_count]; none: one linear layer */
    size_t tower_hidden_count;

    /* Learned weights of the tasks (Kendall, Gal and Cipolla 2018, arXiv 1705.07115): with a
     * trained scalar s for each task, starting at 0, the task's term in the total becomes
     *     weight * (e^-s L + s / 2)        for a binary task
     *     weight * (e^-s L / 2 + s / 2)    for a squared error */
    int32_t uncertainty; /* HOME_OFF or HOME_ON, 0: off */
    int32_t reserved2;   /* 0 */

    const home_optimizer_config *optimizer; /* NULL: all defaults */

    /* The rest describes a process and its machine, not the model: neither checkpoints nor
     * home_model_config_json() contain it. home_create_options has the same for JSON. */

    const home_allocator *allocator; /* NULL: malloc and free */

    /* The best instruction set that the model may use: "portable", "avx2", "avx512" (above avx2) or
     * "neon"; NULL: any. A set that the CPU lacks is not used, so a name from another kind of CPU
     * leaves "portable". A frozen copy uses what the original does. */
    const char *isa;

    /* The most bytes that the new model may take, as home_model_bytes() counts them:
     * HOME_E_TOO_LARGE if it would be more, before memory is taken for weights. A training model
     * grows with its largest batch, which does not count here. 0: no limit. */
    uint64_t memory_limit;
} home_config;

/* What JSON says nothing about, being about a process and its machine. */
typedef struct home_create_options {
    size_t struct_size;
    const home_allocator *allocator; /* as in home_config */
    const char *isa;                 /* as in home_config; if set, JSON's "isa" does not count */
    uint64_t memory_limit;           /* as in home_config */
} home_create_options;

/* Is told one error of a configuration. `where` is the place as the caller knows it: of a struct
 * the field, such as "config.layers[0].width", of JSON the key, "layers[0].width"; "" if there is
 * no place to name. `found` has the status and the message, which begins with the place. Both are
 * the library's and valid during the call. Returns 0 to go on, anything else to hear no more. */
typedef int32_t (*home_config_report)(void *user, const char *where, const home_error *found);

/* Finds all errors of a configuration at once, where home_model_create() stops at the first: calls
 * `report` for each, in the order of the fields, on the calling thread. What follows from an error
 * is not reported again: a bad name of a table is one error, not one more for each field that uses
 * it, and who sees whom is only looked at when everything else is right. No memory is taken for
 * weights, so what the machine has room for is not found; `memory_limit` is.
 *
 * Returns HOME_OK if home_model_create() would find no error, and what it would return if not,
 * with its message; also where `report` ended the search. `report` may be NULL. It does not hear of
 * an error of the arguments themselves, such as NULL or the struct_size of config.
 *
 * Errors:
 *     those of home_model_create(); HOME_E_MEMORY means that checking ran out of memory
 *
 * Threads: any. Since 0.2. */
HOME_API home_status home_config_check(const home_config *config, home_config_report report,
                                       void *user, home_error *error);

/* The same for JSON, as home_model_create_json() takes it. `options` may be NULL. Text that is not
 * JSON is a single error.
 *
 * Errors:
 *     those of home_model_create_json(); HOME_E_MEMORY means that checking ran out of memory
 *
 * Threads: any. Since 0.2. */
HOME_API home_status home_config_check_json(const char *json, size_t length,
                                            const home_create_options *options,
                                            home_config_report report, void *user,
                                            home_error *error);

/* ---------------------------------------------------------------------------------------- model */

/* A model: configuration, parameters and, unless it is frozen, what training needs. Reference
 * counted. */
typedef struct home_model home_model;

/* Scratch memory of one predicting thread, placed in memory of the caller. */
typedef struct home_workspace home_workspace;

/* Makes a model with fresh weights.
 *
 *     weight and bias of a linear layer        U(-1/sqrt(in), 1/sqrt(in))
 *     batch norm                               the identity
 *     feature gate                             F = 1, unless feature_init says otherwise
 *     static self weights of n own experts     1/n
 *     uncertainty                              0
 *     last bias of a binary task's tower       logit(base_rate)
 *     embedding table                          N(0, init_std^2)
 *
 * Each tensor draws from its own stream, seeded by config->seed and the tensor's name. The same
 * configuration gives the same bytes on every machine whose libm rounds log and cos alike; only
 * embeddings use these. Not promised: the same bytes with another libm.
 *
 * On success *model holds one reference, which the caller gives back with home_model_release().
 *
 * Errors:
 *     HOME_E_ARGUMENT     NULL, or an allocator with only one function
 *     HOME_E_CONFIG       the configuration is not valid
 *     HOME_E_MEMORY       out of memory
 *     HOME_E_TOO_LARGE    a size of the model does not fit size_t, or the model would take more
 *                         than memory_limit
 *     HOME_E_UNSUPPORTED  the build has no kernels for this machine (docs/embedding.md)
 *
 * Threads: any. Since 0.1. */
HOME_API home_status home_model_create(const home_config *config, home_model **model,
                                       home_error *error);

/* Makes a model from JSON text of `length` bytes, which needs no terminating zero. `options` may be
 * NULL. docs/model.md explains every key.
 *
 *     { "preset": "home"|"shared-bottom"|"mmoe"|"cgc"|"ple"|"adatt-sp"|"adatt"|"custom",
 *       "seed": 1, "dense": 2, "dense_names": ["age", "price"],
 *       "tables": [{"name": "user", "rows": 30000, "dim": 8, "index": "direct"|"hashed",
 *                   "init_std": 0.01}],
 *       "fields": [{"name": "user", "table": "user", "pooling": "sum"|"mean"}],
 *       "tasks":  [{"name": "like", "group": "inter", "weight": 1, "loss": "bce"|"squared",
 *                   "base_rate": 0.02, "given": "click"}],
 *       "layers": [{"width": 64, "hidden": [64],
 *                   "shared_experts": 2, "group_experts": 2, "task_experts": 1,
 *                   "feature_gates": true, "feature_branches": 2, "feature_rank": 8,
 *                   "units": [{"name": "u", "input": "node below", "experts": 2}],
 *                   "nodes": [{"name": "like", "sees": ["u"], "gate": ["u"],
 *                              "self": "u", "self_kind": "gate"|"static"}]}],
 *       "swish_beta": 1,
 *       "experts": {"norm": "batch"|"none", "activation": "swish"|"relu",
 *                   "hidden_activation": "swish"|"relu", "bias_before_norm": false,
 *                   "norm_epsilon": 1e-5, "norm_momentum": 0.1},
 *       "feature_gate": {"order": "sigmoid_first"|"mix_first", "init": "zero"|"uniform"},
 *       "gate": {"hidden": [], "activation": "relu"|"swish", "input": "gated"|"raw"},
 *       "self_gate": {"on": true, "hidden": [], "activation": "relu"|"swish",
 *                     "input": "gated"|"raw"},
 *       "tower": {"hidden": [16], "activation": "relu"|"swish"},
 *       "uncertainty": false,
 *       "optimizer": {"kind": "adam"|"sgd"|"adamw"|"adagrad", "learning_rate": 1e-3,
 *                     "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "momentum": 0,
 *                     "weight_decay": 0, "clip_norm": 0,
 *                     "embedding_kind": "rowwise_adagrad"|"adagrad"|"adam",
 *                     "embedding_learning_rate": 0.01, "embedding_epsilon": 1e-8},
 *       "isa": "portable"|"avx2"|"avx512"|"neon" }
 *
 * The keys are those of the structs above. Not all go together: only the preset custom has "units".
 * Required are "tasks", "layers" and at least one of "dense" and "fields". An unknown or repeated
 * key is an error. A key that is left out has its default; a number that is written is meant, also
 * where it is 0. Messages name keys: "layers[0].width is 0, expected a whole number from 1 to
 * 16777216".
 *
 * Reading takes at most 16 bytes of memory for each byte of the text, and 64 KB, besides the
 * model's.
 *
 * Errors:
 *     those of home_model_create(), and
 *     HOME_E_ARGUMENT     options.isa names no instruction set
 *     HOME_E_JSON         the text is not JSON
 *
 * Threads: any. Since 0.1. */
HOME_API home_status home_model_create_json(const char *json, size_t length,
                                            const home_create_options *options, home_model **model,
                                            home_error *error);

/* Takes one more reference, to be given back with home_model_release(). Returns the model; NULL for
 * NULL. To replace a model that other threads use, read the pointer and retain the model under one
 * lock of the host: between the two, the last reference could be given back.
 *
 * Threads: any. Since 0.2. */
HOME_API const home_model *home_model_retain(const home_model *model);

/* Gives a reference back. The last one frees the model and all it owns, including workspaces that
 * home_model_predict() keeps. NULL is allowed.
 *
 * Threads: any. Since 0.2. */
HOME_API void home_model_release(const home_model *model);

/* ----------------------------------------------------------------------------------------- data */

/* The ids of one field for the rows of a batch. With e_i, the table's row of the i-th id of a row
 * of the batch, and w_i, that id's weight, the row's vector is
 *
 *     HOME_POOL_SUM     sum_i w_i e_i
 *     HOME_POOL_MEAN    sum_i w_i e_i / sum_i w_i, and 0 where the weights sum to 0
 *
 * The caller owns all memory; it is only read, during the call. */
typedef struct home_ids {
    size_t struct_size;
    const uint64_t *ids;
    /* [rows + 1], never falling: row r has ids[offsets[r]] .. ids[offsets[r + 1] - 1]. NULL:
     * exactly one id for each row, ids[r]. */
    const size_t *offsets;
    /* How many ids there are, to find a wrong array before it is read past its end: offsets[rows],
     * or `rows` where offsets is NULL. Any other number is HOME_E_ARGUMENT. 0: not checked. */
    size_t count;
    /* One for each of `ids`: finite, and at least 0 where the field's pooling is the mean. NULL:
     * all 1. */
    const float *weights;
} home_ids;

/* Rows to predict or to train on. The caller owns all memory; it is only read, during the call.
 *
 * `rows` may be 0 where no training takes place: then home_model_predict(), its other forms and
 * home_health_add() succeed and write nothing, and all pointers but those to the model and the
 * batch may be NULL. field_count must be right all the same. A forward of zero rows is
 * HOME_E_ARGUMENT. */
typedef struct home_batch {
    size_t struct_size;
    size_t rows;
    const float *dense;     /* [rows, dense_width]; NULL where dense_width is 0 */
    size_t dense_stride;    /* 0: dense_width */
    const home_ids *fields; /* [field_count] in configuration order; NULL where there are none */
    size_t field_count;     /* that of the configuration */
} home_batch;

/* What happened on the rows of the last forward. The caller owns all memory; it is only read,
 * during the call. */
typedef struct home_targets {
    size_t struct_size;
    const float *labels;      /* [rows, tasks], NaN: missing */
    size_t label_stride;      /* 0: tasks */
    const float *row_weights; /* [rows], finite and >= 0; NULL: all 1 */
    const float *weights;     /* [rows, tasks], finite and >= 0; NULL: all 1 */
    size_t weight_stride;     /* 0: tasks */
    /* [tasks] What the losses are divided by, finite, >= 0 and not denormal: where the rows are one
     * part of a batch, the sums of w_rt over the whole batch. NULL: the sums over these rows. */
    const double *total_weights;
    /* HOME_ON: the gradients are added to those that came since the last step. HOME_OFF or 0: they
     * replace them. */
    int32_t accumulate;
    int32_t reserved; /* 0 */
} home_targets;

/* ------------------------------------------------------------------------------------- training */

/* Runs the model on a batch in training mode and keeps what backward needs.
 *
 * Batch norms use the mean and variance of the batch and move their running values, as PyTorch
 * defines it (docs/model.md). predictions: [rows, tasks], probabilities of binary tasks; may be
 * NULL. The model keeps memory for the largest batch it has seen.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL; a batch that does not fit the configuration; a stride that is too
 *                       small; zero rows; or one row where the model has batch norms, whose
 *                       variance is 0/0
 *     HOME_E_STATE      the model is frozen
 *     HOME_E_VALUE      a dense value is NaN or infinite, an id is out of range, offsets fall, or a
 *                       weight of an id is not finite, or negative where the pooling is the mean
 *     HOME_E_VALUE      values so large that the variance of a batch norm is not finite; no
 *                       backward or step of an earlier forward is then possible
 *     HOME_E_CANCELED   home_parallel.run stopped it: the running values have not moved, the
 *                       contents of predictions are undefined, and no backward or step of an
 *                       earlier forward is then possible
 *     HOME_E_MEMORY     out of memory
 *     HOME_E_TOO_LARGE  the batch needs more memory than size_t can count
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_forward(home_model *model, const home_batch *batch,
                                        float *predictions, size_t prediction_stride,
                                        home_error *error);

/* The same with the arguments of home_model_predict_flat(), and all errors of both.
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_forward_flat(home_model *model, size_t rows, const float *dense,
                                             size_t dense_stride, const uint64_t *ids,
                                             size_t id_count, const size_t *offsets,
                                             const float *id_weights, float *predictions,
                                             size_t prediction_stride, home_error *error);

/* Gives the logits of the last forward: the towers' outputs, before the sigmoid. logits:
 * [rows, tasks] with row stride `stride`, for the rows of that forward. Steps and changed weights
 * do not change them.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or a stride that is too small
 *     HOME_E_STATE     the model is frozen, there was no forward, or the last one failed after
 *                      it had begun
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_model_logits(const home_model *model, float *logits, size_t stride,
                                       home_error *error);

/* Computes the losses of the last forward and all gradients.
 *
 *     L_t   = sum_r w_rt bce(logit_rt, label_rt) / W_t
 *     w_rt  = row_weights[r] * weights[r, t]
 *     W_t   = sum_r w_rt, or total_weights[t]
 *     total = sum_t weight_t L_t
 *
 * The sums run over the rows with a label; L_t is 0 where W_t is 0. A squared error replaces bce
 * where configured; docs/model.md has the terms of chained tasks and of uncertainty.
 *
 * Training by parts: a batch too large for one forward, or one that comes in pieces, may be taken
 * in parts before one step. Each part is a forward and a backward, with the W_t of the whole batch
 * in total_weights; all parts but the first set `accumulate`, or all do, for there is nothing to
 * add to after a step. The gradients, of tables too, are then those of one batch to float rounding,
 * and the task_losses of the parts add up to its losses. Two things differ: batch norms take mean
 * and variance of each part and move their running values once a part, and
 * home_model_input_gradient() is that of the last part. Where uncertainty is on, the s / 2 of a
 * task counts by the part's share in W_t.
 *
 * task_losses: [tasks], L_t without the task's weight; may be NULL.
 *
 * Errors, after which the gradients are as they were:
 *     HOME_E_ARGUMENT  NULL; a stride that is too small; or accumulate is no switch
 *     HOME_E_STATE     the model is frozen, or there was no forward since the last backward
 *     HOME_E_VALUE     a label of a binary task is outside [0, 1], a label is infinite, or a weight
 *                      is negative or not finite
 *     HOME_E_VALUE     an element of total_weights is negative or not finite, or is 0 where the
 *                      task's w_rt are not
 *     HOME_E_CANCELED  home_parallel.run stopped it; it may be called again. The contents of
 *                      task_losses are undefined. Where it was to replace gradients and not to
 *                      add to them, there are none
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_backward(home_model *model, const home_targets *targets,
                                         float *task_losses, home_error *error);

/* Computes the gradients of a loss of the host, in place of home_model_backward(). dlogits:
 * [rows, tasks], the derivative of that loss with respect to each logit, which home_model_logits()
 * gives. accumulate: as in home_targets. The scalars of `uncertainty` get no gradient.
 *
 * Errors, after which the gradients are as they were:
 *     HOME_E_ARGUMENT  NULL; a stride that is too small; or accumulate is no switch
 *     HOME_E_STATE     the model is frozen, or there was no forward since the last backward
 *     HOME_E_VALUE     a derivative is not finite
 *     HOME_E_CANCELED  as for home_model_backward()
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_backward_from(home_model *model, const float *dlogits,
                                              size_t stride, int32_t accumulate, home_error *error);

/* Computes the gradient of one task's term in the total, for methods that weigh or project the
 * gradients of tasks (GradNorm, PCGrad). Call it for each task after one forward, then
 * home_model_backward(), overwrite what home_model_gradient() and home_model_table_gradient() give,
 * and step.
 *
 * gradients: [count], memory of the caller, gets those of the dense parameters in the layout of
 * home_model_gradient(), whose width count must be. Until the next call of this function, of
 * home_model_backward() or home_model_forward(), home_model_table_gradient() and
 * home_model_input_gradient() give those of this task alone. The gradients that came since the last
 * step are untouched: home_model_backward() may still add to them. targets->accumulate has no
 * meaning here. loss: L_t, may be NULL.
 *
 * Errors:
 *     those of home_model_backward(), and
 *     HOME_E_ARGUMENT   count is not the number of dense parameters
 *     HOME_E_NOT_FOUND  the model has no task of this number
 *     HOME_E_CANCELED   it may be called again; the contents of `gradients` are undefined, and
 *                       there are no gradients of tables and of the input until then
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_task_gradient(home_model *model, const home_targets *targets,
                                              size_t task, float *gradients, size_t count,
                                              float *loss, home_error *error);

/* Moves the parameters along the gradients with the configured optimizer (docs/model.md has all
 * formulas). The defaults are Adam as PyTorch defines it for dense parameters and, for the table
 * rows r that the batch touched and no others, row-wise Adagrad:
 *
 *     G_r   += mean(g_r^2)
 *     row_r -= learning_rate g_r / (sqrt(G_r) + epsilon)
 *
 * The gradients can still be read afterwards, but the next backward begins anew, whatever its
 * `accumulate` says.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL
 *     HOME_E_STATE     the model is frozen, the last forward had no backward yet, or there are no
 *                      gradients since the last step
 *     HOME_E_VALUE     the norm of the gradients, after clipping, is not finite or is above 1e15;
 *                      nothing moves, and the gradients stay. A backward without `accumulate`
 *                      begins anew.
 *
 * A step is never left half taken: home_parallel.run cannot stop it (see there).
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_step(home_model *model, home_error *error);

/* What follows changes how a model trains from the next forward, backward or step on. The
 * configuration stays as it was: home_model_config_json() does not show these values. A checkpoint
 * saved with HOME_SAVE_OPTIMIZER keeps them, so that training can go on after a load as if it had
 * never stopped; a model from any other checkpoint starts with those of its configuration.
 * home_model_load_weights() leaves them as they are. */

/* Set the learning rates of dense parameters and of embeddings: 0 to 1e6.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or a rate outside 0 to 1e6
 *     HOME_E_STATE     the model is frozen
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_set_learning_rate(home_model *model, double rate,
                                                  home_error *error);
HOME_API home_status home_model_set_embedding_learning_rate(home_model *model, double rate,
                                                            home_error *error);

/* Sets the factor of a task's loss in the total: 0 to 1e30. 0 takes the task out of the total; its
 * loss is still computed. With uncertainty it is the factor of the whole term.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL, or a weight outside 0 to 1e30
 *     HOME_E_STATE      the model is frozen
 *     HOME_E_NOT_FOUND  the model has no task of this number
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_set_task_weight(home_model *model, size_t task, double weight,
                                                home_error *error);

/* Sets how far a forward moves the running mean and variance of the batch norms towards those of
 * the batch: 0 to 1. 0 leaves them where they are. Without batch norms it has no effect.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or a momentum outside 0 to 1
 *     HOME_E_STATE     the model is frozen
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_set_norm_momentum(home_model *model, double momentum,
                                                  home_error *error);

/* Says which parameters and tables train: HOME_ON or HOME_OFF for all whose names match. In
 * `pattern`, `*` stands for any characters, dots too, and `?` for one character; a pattern that is
 * the name of a tensor means this one alone. A later call overrules earlier ones where both match.
 * docs/checkpoint.md has the names: "embeddings.*" are all tables, "towers.like.*" is one tower.
 *
 * A tensor that does not train is left alone by step: its values and its optimizer's state stay to
 * the byte, without decay or momentum. Its gradients are computed all the same, but count neither
 * in home_model_gradient_norm() nor for clip_norm. The step count goes on for all, so Adam's
 * correction of its means does not start anew for what trains again. Running values of batch norms
 * do not train: see home_model_set_norm_momentum().
 *
 * Errors, after which nothing has changed:
 *     HOME_E_ARGUMENT   NULL, or trained is neither HOME_ON nor HOME_OFF
 *     HOME_E_STATE      the model is frozen
 *     HOME_E_NOT_FOUND  no parameter and no table matches
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_set_trained(home_model *model, const char *pattern, int32_t trained,
                                            home_error *error);

/* Return the values in use, set or configured. 0 for a task past the end, a frozen model and NULL.
 * Whether a tensor trains is in home_tensor.
 *
 * Threads: shared. Since 0.2. */
HOME_API double home_model_learning_rate(const home_model *model);
HOME_API double home_model_embedding_learning_rate(const home_model *model);
HOME_API double home_model_task_weight(const home_model *model, size_t task);
HOME_API double home_model_norm_momentum(const home_model *model);

/* Returns the number of steps taken since the model was created, including those before a save with
 * HOME_SAVE_OPTIMIZER. A model from any other checkpoint starts at 0, and home_model_load_weights()
 * sets the number back to 0. 0 for a frozen model and for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API uint64_t home_model_step_count(const home_model *model);

/* A gradient: of the dense parameters, a table or the dense input. The model owns what the pointers
 * point to, and the host may change the values. They are valid until the next forward, backward,
 * home_model_task_gradient() or home_model_set_table_gradient(), or the release of the model. */
typedef struct home_gradient {
    size_t struct_size;
    float *data; /* [rows, width] */
    size_t rows; /* 1 for the dense parameters; of a table: as many as were touched */
    size_t width;
    size_t stride;
    /* [rows] Of a table: which of its rows these are, each once and ascending. Else NULL. */
    const uint64_t *ids;
} home_gradient;

/* Gives the gradient of all dense parameters as one row: those since the last step, or of the last
 * step itself until there are new ones. home_tensor says where in it each tensor lies. A step takes
 * what the host has changed.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL
 *     HOME_E_STATE     the model is frozen, or there was no backward since the last forward
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_gradient(home_model *model, home_gradient *gradient,
                                         home_error *error);

/* Gives the gradient of a table: the rows that occurred in the batch or in any of its parts, or, of
 * a task after home_model_task_gradient(), those of the last forward. A step takes what the host
 * has changed; it moves the rows in `ids` and no others, whatever their gradients.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL
 *     HOME_E_STATE      the model is frozen, or there was no backward and no
 *                       home_model_task_gradient() since the last forward
 *     HOME_E_NOT_FOUND  the model has no table of this number
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_table_gradient(home_model *model, size_t table,
                                               home_gradient *gradient, home_error *error);

/* Gives the gradient with respect to the dense input of the last forward, [rows, dense_width], for
 * hosts that own their embeddings: of the total, of the host's loss, or of one task after
 * home_model_task_gradient(). No step reads it.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL
 *     HOME_E_STATE     the model is frozen, or there was no backward and no
 *                      home_model_task_gradient() since the last forward
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_input_gradient(home_model *model, home_gradient *gradient,
                                               home_error *error);

/* Set the gradient that the next step takes: of all dense parameters, and of a table. For gradients
 * that come from elsewhere, such as the sums over several machines.
 *
 * After a backward they replace the model's own. Where no gradients came since the last step, all
 * that are not set are zero, and tables have no rows touched; so a host may take steps without any
 * forward.
 *
 * gradient: [count] in the layout of home_model_gradient(), and [count, dim] with row stride
 * `stride`, both in memory of the caller. ids: [count] row numbers of the table (for a hashed table
 * see home_hash_id()), in any order; the gradients of a row that is named more than once are added
 * up, in their order. A table's count may be 0, and then both pointers NULL: no row is touched.
 *
 * Errors, after which the gradients are as they were:
 *     HOME_E_ARGUMENT   NULL; a stride that is too small; or count is not the number of dense
 *                       parameters
 *     HOME_E_STATE      the model is frozen, or the last forward had no backward yet
 *     HOME_E_NOT_FOUND  the model has no table of this number
 *     HOME_E_VALUE      a gradient is not finite, or the table has no such row
 *     HOME_E_MEMORY     out of memory
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_model_set_gradient(home_model *model, const float *gradient, size_t count,
                                             home_error *error);
HOME_API home_status home_model_set_table_gradient(home_model *model, size_t table,
                                                   const uint64_t *ids, size_t count,
                                                   const float *gradient, size_t stride,
                                                   home_error *error);

/* Returns the Euclidean norm of what home_model_gradient() and home_model_table_gradient() give
 * after a backward, all tables together, before any clipping and without what does not train. It
 * includes changes that the host has made. 0 where there are no gradients, between a forward and
 * its backward, for a frozen model and for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API double home_model_gradient_norm(const home_model *model);

/* -------------------------------------------------------------------------------------- serving */

/* Predicts rows, with running values in the batch norms. Changes no state.
 *
 * predictions: [rows, tasks], probabilities of binary tasks. The bytes of a row's predictions
 * depend only on the model and that row: not on the other rows, their number, its position or the
 * thread. A NaN or infinite dense value makes the predictions of its own row NaN or meaningless and
 * affects no other row. A batch without rows is a success (see home_batch).
 *
 * workspace: one made for this model, or for a model of the same configuration that is frozen if
 * this one is; used by one thread at a time. NULL borrows one that the model keeps. Nothing is
 * allocated after warm-up, as long as no more than 64 threads at once are in calls that borrow a
 * workspace.
 *
 * Errors, after which the contents of `predictions` are undefined:
 *     HOME_E_ARGUMENT   NULL; a batch that does not fit the configuration; a stride that is too
 *                       small; a workspace of another model, or none for a model opened from an
 *                       image
 *     HOME_E_VALUE      an id is out of range, offsets fall, or a weight of an id is not finite, or
 *                       negative where the pooling is the mean
 *     HOME_E_CANCELED   home_parallel.run stopped it
 *     HOME_E_MEMORY     out of memory; only where workspace is NULL
 *     HOME_E_TOO_LARGE  more rows than memory can hold
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_model_predict(const home_model *model, const home_batch *batch,
                                        float *predictions, size_t prediction_stride,
                                        home_workspace *workspace, home_error *error);

/* The same, and gives the logits: the outputs of the towers, before the sigmoid, which only binary
 * tasks have. They keep apart what rounds to a probability of 0 or 1. The logit of a task that is
 * given another is that of its own factor (see home_task_config.given).
 *
 * predictions, logits: [rows, tasks]; one of them may be NULL.
 *
 * Errors: those of home_model_predict(), after which the contents of logits are undefined, too.
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_model_predict_logits(const home_model *model, const home_batch *batch,
                                               float *predictions, size_t prediction_stride,
                                               float *logits, size_t logit_stride,
                                               home_workspace *workspace, home_error *error);

/* Predicts as home_model_predict_logits() does, with plain arguments in place of a home_batch, for
 * languages in which structs that point to arrays are a burden.
 *
 *     dense         [rows, dense_width], with row stride dense_stride (0: dense_width); NULL where
 *                   dense_width is 0
 *     ids           of all fields in configuration order: the first field's for all rows, then the
 *                   second field's, and so on; NULL where there are none
 *     id_count      how many there are, to be checked: offsets[fields * rows], or fields * rows
 *                   where offsets is NULL. 0: not checked
 *     offsets       [fields * rows + 1], never falling: field f has for row r the ids from
 *                   ids[offsets[f * rows + r]] to ids[offsets[f * rows + r + 1] - 1]. NULL: exactly
 *                   one id for each field and row, ids[f * rows + r]
 *     id_weights    one for each of `ids`, as home_ids.weights; NULL: all 1
 *
 * Errors: those of home_model_predict_logits().
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_model_predict_flat(const home_model *model, size_t rows,
                                             const float *dense, size_t dense_stride,
                                             const uint64_t *ids, size_t id_count,
                                             const size_t *offsets, const float *id_weights,
                                             float *predictions, size_t prediction_stride,
                                             float *logits, size_t logit_stride,
                                             home_workspace *workspace, home_error *error);

/* Returns the exact number of bytes that home_workspace_init() needs for this model, for any number
 * of rows; 0 for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API size_t home_workspace_size(const home_model *model);

/* Makes a workspace in `memory`, `size` bytes of any alignment. The caller owns the memory, which
 * must outlive the workspace; there is nothing else to free.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or size < home_workspace_size(model)
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_workspace_init(const home_model *model, void *memory, size_t size,
                                         home_workspace **workspace, home_error *error);

/* Returns 1 where home_model_predict() takes this workspace for this model, else 0, also for NULL.
 * A workspace fits a new model of the same configuration, so a thread keeps its own when the model
 * it serves is replaced; where it does not fit, home_workspace_size() says how much the new one
 * needs.
 *
 * Threads: shared. Since 0.2. */
HOME_API int32_t home_workspace_fits(const home_workspace *workspace, const home_model *model);

/* Returns the maximum number of rows that home_model_predict() takes through the model at once; it
 * splits larger batches into blocks of about equal size. The weights are read once for a block, so
 * a host that gathers requests gathers up to this many rows, and gains nothing by more. 0 for NULL.
 *
 * Threads: shared. Since 0.2. */
HOME_API size_t home_model_block_rows(const home_model *model);

/* Makes a read-only copy for serving: batch norms are folded into the last linear layers of the
 * experts, weights are packed for speed, and nothing that only training needs is kept. Metadata are
 * copied. The copy shares nothing with the original, which is unchanged. *frozen holds one
 * reference.
 *
 * Probabilities agree with those of the original to 1e-5 where no batch norm magnifies what float
 * has lost before it. A batch norm after weights w multiplies by
 * factor = weight / sqrt(running variance + norm_epsilon), and what goes into it, in the original
 * as in the copy, has an error of about 6e-8 sum_j |w_j x_j|; so the two differ there by up to
 * about
 *
 *     1e-7 |factor| (sum_j |w_j x_j| + |running mean|)
 *
 * which is 1e-6 for values around 1, but 3e-4 for a mean of 5 and a variance of 1e-7. The folded
 * weights and biases are computed in double precision and rounded once. The same bytes are not
 * promised. The copy can be neither trained nor saved as a checkpoint.
 *
 * home_model_load() makes a frozen model straight from a checkpoint, in less time and memory.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL
 *     HOME_E_STATE     the model is frozen already
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_model_freeze(const home_model *model, home_model **frozen,
                                       home_error *error);

/* Returns the instruction set that the model computes with: "portable", "avx2", "avx512" or "neon".
 * It was chosen when the model was made, from config.isa, the CPU and the operating system; for a
 * model opened from an image, from the image's panels. Static; NULL for NULL.
 *
 * Threads: any. Since 0.1. */
HOME_API const char *home_model_isa(const home_model *model);

/* Returns 1 for a frozen model, 0 for any other and for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API int32_t home_model_is_frozen(const home_model *model);

/* ------------------------------------------------------------------------------- serving images */

/* A serving image is a frozen model as one block of bytes that is used where it lies: in flash, in
 * a mapped file, or compiled into a program. A host writes it from a checkpoint; a device opens it
 * without copying the weights, without an allocator and without files. docs/embedding.md describes
 * this, and HOME_SERVE_ONLY, which builds a library for such devices.
 *
 * An image is not a format to store models in, as a checkpoint is. It belongs to one version of the
 * format (a library with another version refuses it), to a byte order, and to the width of the
 * panels in which an instruction set reads weights. Its CRC-32 detects damage, not forgery. */

/* How an image is written. Zeros: for a machine like this one. */
typedef struct home_image_options {
    size_t struct_size;
    /* Columns of a panel of weights, 1 to 256: 8 for the portable kernels (for every compiler with
     * GNU C's vectors), 16 for AVX2 and NEON, 32 for AVX-512. 0: those of the model. */
    size_t panel;
    /* The maximum number of rows, 1 to 4096, that home_model_predict() takes through the model at
     * once; it splits larger batches into blocks. The workspace grows with it. Use 1 where rows
     * come alone, a multiple of 24 for speed. 0: chosen for speed. */
    size_t block_rows;
} home_image_options;

/* Writes a frozen model's image: weights, embedding tables, metadata, names and both JSON texts.
 *
 * *length receives the number of bytes needed; if buffer is NULL, nothing else happens. The buffer
 * may have any alignment. `options` may be NULL. The same model and options give the same bytes.
 * Not in a serve-only build.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL, or an option out of range
 *     HOME_E_ARGUMENT   capacity is too small; *length is set
 *     HOME_E_STATE      the model is not frozen
 *     HOME_E_VALUE      a weight is not finite; *length is set, the contents of buffer are
 *                       undefined
 *     HOME_E_TOO_LARGE  the size of the image does not fit size_t
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_image_write(const home_model *model, const home_image_options *options,
                                      void *buffer, size_t capacity, size_t *length,
                                      home_error *error);

/* Gives in *bytes the exact number of bytes that home_image_open() needs for the model; the weights
 * are not among them. Reads only the header. image: `size` bytes, aligned to 64; there may be more
 * than the image's own.
 *
 * Errors:
 *     HOME_E_ARGUMENT     NULL, or image is not aligned to 64
 *     HOME_E_FORMAT       the bytes are not a valid image
 *     HOME_E_UNSUPPORTED  the image has another version or byte order
 *
 * Threads: any. Since 0.1. */
HOME_API home_status home_image_model_size(const void *image, size_t size, size_t *bytes,
                                           home_error *error);

/* Makes a model in `memory` (any alignment) that reads its weights, names and texts from the image,
 * which is never written to. The caller owns both; they must outlive the model and stay where they
 * are. home_model_release() frees nothing. This call and home_model_predict() each need at most
 * 16 KiB of stack, or 24 KiB where clang has compiled the AVX-512 kernels that predict.
 *
 * The whole image is read once and checked: nothing in it can make this or a later call access
 * memory outside the image, `memory` and the arguments of the call.
 *
 * The model is frozen, and predicts the same bytes as the model that was written does on the same
 * instruction set. It needs a workspace of the caller and computes on the calling thread:
 * home_model_set_parallel(), home_model_set_threads() and home_model_set_metadata() are
 * HOME_E_STATE.
 *
 * Errors, after which the contents of `memory` are undefined:
 *     HOME_E_ARGUMENT     NULL, image is not aligned to 64, or memory_size is too small
 *     HOME_E_FORMAT       the bytes are not a valid image
 *     HOME_E_CHECKSUM     the image is damaged
 *     HOME_E_UNSUPPORTED  the image has another version or byte order, or panels for which this
 *                         machine and build have no kernels
 *
 * Threads: any. Since 0.1. */
HOME_API home_status home_image_open(const void *image, size_t size, void *memory,
                                     size_t memory_size, home_model **model, home_error *error);

/* -------------------------------------------------------------------------------------- threads */

/* How a model may use more than the calling thread. */
typedef struct home_parallel {
    size_t struct_size;
    void *user;
    size_t threads; /* how many tasks run at once, 1 to 65536 */
    /* Calls task(context, i) once for each i < count, on any threads, and returns 0 when all calls
     * have returned. It must be callable from every thread that uses the model, also from several
     * at once. It is called in the floating-point modes that the library computes in; tasks set
     * these themselves, on any thread.
     *
     * To stop the call, or where it cannot go on, it returns any other number. It may have called
     * only some of the tasks, or none, but those have returned, and none is called later. Forward,
     * backward, predict and home_health_add() then fail with HOME_E_CANCELED, with the number in
     * the message; each says what becomes of its object. Step, freeze and
     * home_model_gradient_norm() do the tasks that are left on the calling thread and go on. */
    int32_t (*run)(void *user, size_t count, void (*task)(void *context, size_t index),
                   void *context);
} home_parallel;

/* Spreads the work of forward, backward, step and predict over the host's threads. NULL goes back
 * to the calling thread alone, which is how every model starts, except that a frozen copy starts
 * with what its original uses. The struct is copied. Results are the same bytes for any number of
 * threads.
 *
 * Errors:
 *     HOME_E_ARGUMENT  model or run is NULL, or threads is out of range
 *     HOME_E_STATE     the model was opened from an image
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_set_parallel(home_model *model, const home_parallel *parallel,
                                             home_error *error);

/* Does the same with the model's own pool of threads - 1 threads, which sleep while there is
 * nothing to do and block all signals. The pool ends with the model, or with the next call of this
 * function or home_model_set_parallel(). threads: 1 to 1024; 1 means no pool. A frozen copy starts
 * without one.
 *
 * After fork() the child may use a model as the parent may, if no thread was inside an exclusive
 * function of it at the time of the fork. The threads of the pool stay with the parent: in the
 * child the calling thread does all the work, with the same results, until the child calls this
 * function.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or threads is out of range
 *     HOME_E_STATE     the model was opened from an image
 *     HOME_E_MEMORY    out of memory, or the system cannot start as many threads
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_set_threads(home_model *model, size_t threads, home_error *error);

/* ---------------------------------------------------------------------------------- checkpoints */

/* Also save the optimizer's state, the step count and what the host has set for training (learning
 * rates, weights of tasks, momentum, what trains), so that training can continue as if it had never
 * stopped. Gradients are not saved: save after a step. */
#define HOME_SAVE_OPTIMIZER 1u

/* Writes a checkpoint: a safetensors file with the tensors by name and, in its metadata, the
 * configuration as JSON and a checksum (docs/checkpoint.md). flags: 0 or HOME_SAVE_OPTIMIZER.
 *
 * The bytes go to a temporary file beside `path`, which is synced and renamed over it, so a crash
 * or a full disk leaves the old file whole. A symbolic link is followed.
 *
 * The temporary file is "<path>.0.tmp"; where another save holds the lock (flock) on it, ".1.tmp"
 * and so on, or a random number where no such name or no lock can be had. A regular file of such a
 * name that is not locked, has the same owner and no other links is taken to be the leftover of a
 * killed process and removed. So any number of threads and processes may save to one path at the
 * same time, and the path then has one of their checkpoints. The mode of the old file is kept, and
 * its owner where root saves.
 *
 * Errors, after which the old file is as it was:
 *     HOME_E_ARGUMENT  NULL, or an unknown flag
 *     HOME_E_STATE     the model is frozen
 *     HOME_E_VALUE     a tensor is not finite
 *     HOME_E_FILE      the file cannot be written
 *     HOME_E_TOO_LARGE names, configuration and metadata take more than 100 MB, which no reader of
 *                      safetensors accepts
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_model_save(const home_model *model, const char *path, uint32_t flags,
                                     home_error *error);

/* Writes the same bytes to memory. *length receives the number of bytes needed; if buffer is NULL,
 * nothing else happens.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or an unknown flag
 *     HOME_E_ARGUMENT  capacity is too small; *length is set
 *     HOME_E_STATE     the model is frozen
 *     HOME_E_VALUE     a tensor is not finite
 *     HOME_E_TOO_LARGE names, configuration and metadata take more than 100 MB, which no reader of
 *                      safetensors accepts
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_model_serialize(const home_model *model, uint32_t flags, void *buffer,
                                          size_t capacity, size_t *length, home_error *error);

/* How a checkpoint becomes a model. Zeros: one that can be trained, like the one that was saved. */
typedef struct home_load_options {
    size_t struct_size;
    const home_allocator *allocator; /* of the model; NULL: malloc and free */
    const char *isa;                 /* as home_config.isa; NULL: any */
    /* The most bytes that the model may take while it is made, those of home_model_bytes() and, of
     * a frozen one, its parameters outside tables once more. What a configuration asks for is added
     * up before it is allocated, so a small file from a stranger cannot take much memory. 0: 64 MiB
     * + 16 times the size of the checkpoint, which no model that home_model_save() writes is known
     * to exceed. */
    uint64_t memory_limit;
    /* HOME_ON: the model is frozen as home_model_freeze() would freeze it, and predicts the same
     * bytes; but at no time is there memory for training, the optimizer's state or a second copy of
     * the tables. */
    int32_t frozen;
    int32_t reserved; /* 0 */
} home_load_options;

/* Make a model from a checkpoint file, or from its bytes in memory, which are copied. `options` may
 * be NULL. The optimizer's state is restored where the file has it. A file from elsewhere may lack
 * a checksum; a wrong checksum is refused. On success *model holds one reference.
 *
 * The header is read and checked first, and nothing is allocated for a file whose header is wrong.
 * Then each tensor is read to its place, once, while the checksum is computed: besides the model
 * that needs 64 KiB and the header. The file must not change meanwhile; if it does, the load fails
 * or the model has the values that were read. Where a file has several faults, one of the header is
 * reported first, then one of the configuration or shapes, then HOME_E_CHECKSUM, then HOME_E_VALUE.
 * The optimizer's values and what was set for training, which a frozen model does not take, are not
 * checked, except by the checksum.
 *
 * Errors:
 *     HOME_E_ARGUMENT     NULL, an allocator with only one function, an unknown isa, or frozen is
 *                         not 0, HOME_ON or HOME_OFF
 *     HOME_E_FILE         the file cannot be read
 *     HOME_E_FORMAT       the bytes are not a valid checkpoint
 *     HOME_E_CHECKSUM     the file is damaged
 *     HOME_E_JSON         the configuration in the file, or what was set for training, is not JSON
 *     HOME_E_CONFIG       the configuration in the file is not valid
 *     HOME_E_MISMATCH     the tensors are not those of the configuration
 *     HOME_E_VALUE        a tensor is not finite, or negative where that cannot be, or what was set
 *                         for training is out of range
 *     HOME_E_MEMORY       out of memory
 *     HOME_E_TOO_LARGE    the model would take more than options.memory_limit, or a size does not
 *                         fit size_t
 *     HOME_E_UNSUPPORTED  the file is of a later version, or the build has no kernels for this
 *                         machine
 *
 * Threads: any. Since 0.1. */
HOME_API home_status home_model_load(const char *path, const home_load_options *options,
                                     home_model **model, home_error *error);
HOME_API home_status home_model_load_memory(const void *data, size_t size,
                                            const home_load_options *options, home_model **model,
                                            home_error *error);

/* Takes the weights of a safetensors file, for example one that PyTorch has written, into an
 * existing model. The file must have exactly the model's tensors; optimizer tensors are ignored,
 * and a configuration is not needed. The optimizer's state starts anew. All tensors are read and
 * checked before the first one of the model changes, so there is memory for them twice meanwhile.
 *
 * Errors:
 *     those of home_model_load() but for the configuration's, and
 *     HOME_E_STATE  the model is frozen
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_load_weights(home_model *model, const char *path,
                                             home_error *error);

/* Sets a text of the host's own that checkpoints store under `key`, such as a preprocessing recipe
 * or a training date. A `value` of NULL removes the key. Both are UTF-8 and are copied. Keys that
 * begin with "home." belong to the library, and "format" to other tools.
 *
 * Errors:
 *     HOME_E_ARGUMENT  model or key is NULL, key is empty or reserved, or a text is not UTF-8
 *     HOME_E_STATE     the model was opened from an image
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_set_metadata(home_model *model, const char *key, const char *value,
                                             home_error *error);

/* Returns the text of a key; NULL where there is none. The model owns it; it is valid until the key
 * is set again or the model is released.
 *
 * Threads: shared. Since 0.1. */
HOME_API const char *home_model_metadata(const home_model *model, const char *key);

/* -------------------------------------------------------------------------- inside a checkpoint */

/* What the header of a checkpoint says: its configuration, the host's own texts, and which tensors
 * there are. Opening one takes milliseconds and about ten times the bytes of the header, whatever
 * the size of the tensors; a model is not made. Any safetensors file can be opened. */
typedef struct home_checkpoint home_checkpoint;

/* Open a checkpoint, from a file or from its bytes in memory, and read its header and step count.
 * The file is closed again, and the bytes are not needed afterwards. `allocator` may be NULL.
 * home_checkpoint_destroy() frees *checkpoint.
 *
 * The header is checked as home_model_load() checks it: names, types, shapes, and places that fill
 * the file. Not checked are the tensors' values and the checksum, whether the configuration is
 * valid, and whether the tensors are those of the configuration.
 *
 * Errors:
 *     HOME_E_ARGUMENT     NULL, or an allocator with only one function
 *     HOME_E_FILE         the file cannot be read
 *     HOME_E_FORMAT       the bytes are not a valid safetensors file
 *     HOME_E_JSON         the header is not JSON
 *     HOME_E_VALUE        the step count is negative
 *     HOME_E_MEMORY       out of memory
 *     HOME_E_TOO_LARGE    a size does not fit size_t
 *     HOME_E_UNSUPPORTED  the file is a checkpoint of a later version
 *
 * Threads: any. Since 0.2. */
HOME_API home_status home_checkpoint_open(const char *path, const home_allocator *allocator,
                                          home_checkpoint **checkpoint, home_error *error);
HOME_API home_status home_checkpoint_open_memory(const void *data, size_t size,
                                                 const home_allocator *allocator,
                                                 home_checkpoint **checkpoint, home_error *error);

/* Frees it; NULL is allowed.
 *
 * Threads: exclusive. Since 0.2. */
HOME_API void home_checkpoint_destroy(home_checkpoint *checkpoint);

/* Returns the configuration as it is stored, without what is at its default:
 * home_model_create_json() takes it. NULL for a file that libhome has not written, and for NULL.
 * Valid until home_checkpoint_destroy().
 *
 * Threads: shared. Since 0.2. */
HOME_API const char *home_checkpoint_config_json(const home_checkpoint *checkpoint);

/* Return the text of a key, and the key and text of a number, in the order of the file: those that
 * home_model_set_metadata() has set. NULL where there is none, past the end and for NULL. Valid
 * until home_checkpoint_destroy().
 *
 * Threads: shared. Since 0.2. */
HOME_API const char *home_checkpoint_metadata(const home_checkpoint *checkpoint, const char *key);
HOME_API size_t home_checkpoint_metadata_count(const home_checkpoint *checkpoint);
HOME_API const char *home_checkpoint_metadata_key(const home_checkpoint *checkpoint, size_t index);
HOME_API const char *home_checkpoint_metadata_text(const home_checkpoint *checkpoint, size_t index);

/* Returns home_model_step_count() as it was saved; 0 where the file has no optimizer's state, and
 * for NULL.
 *
 * Threads: shared. Since 0.2. */
HOME_API uint64_t home_checkpoint_step_count(const home_checkpoint *checkpoint);

/* Returns 1 where the file has the optimizer's state (HOME_SAVE_OPTIMIZER), else 0; 0 for NULL.
 *
 * Threads: shared. Since 0.2. */
HOME_API int32_t home_checkpoint_has_optimizer(const home_checkpoint *checkpoint);

/* Returns the bytes of the whole file; 0 for NULL.
 *
 * Threads: shared. Since 0.2. */
HOME_API uint64_t home_checkpoint_bytes(const home_checkpoint *checkpoint);

/* A tensor in a file; docs/checkpoint.md has the names. Pointers are valid until
 * home_checkpoint_destroy(). */
typedef struct home_stored_tensor {
    size_t struct_size;
    const char *name;
    const char *dtype;     /* "F32", "F64", "I64", or another of safetensors */
    const uint64_t *shape; /* [rank] */
    size_t rank;
    uint64_t bytes;  /* of its values */
    uint64_t offset; /* of the first of them from the beginning of the file */
} home_stored_tensor;

/* Returns the number of tensors, those of the optimizer included; 0 for NULL.
 *
 * Threads: shared. Since 0.2. */
HOME_API size_t home_checkpoint_tensor_count(const home_checkpoint *checkpoint);

/* Describe a tensor by its number, in the order of the header, or by its name.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL
 *     HOME_E_NOT_FOUND  there is no tensor of this number or name
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_checkpoint_tensor_at(const home_checkpoint *checkpoint, size_t index,
                                               home_stored_tensor *tensor, home_error *error);
HOME_API home_status home_checkpoint_tensor(const home_checkpoint *checkpoint, const char *name,
                                            home_stored_tensor *tensor, home_error *error);

/* ------------------------------------------------------------------------------- looking inside */

/* Returns the complete configuration as JSON, with every default filled in. The model owns it; it
 * is valid until the model is released. NULL for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API const char *home_model_config_json(const home_model *model);

/* Returns who sees whom as JSON, with presets and masks resolved. The model owns it; it is valid
 * until the model is released. NULL for NULL.
 *
 *     {"input_width": 52, "layers": [{"width": 64,
 *       "units": [{"name": "shared", "input": "v", "experts": 2,
 *                  "feature_branches": 2, "feature_rank": 26}, ..],
 *       "nodes": [{"name": "like", "sees": ["shared", "like"],
 *                  "gate": [{"unit": "like", "gated": true}],
 *                  "self_kind": "gate"|"static"|"one"|"none", "self": "like"}, ..]}, ..]}
 *
 *     layers           from the input up
 *     units, nodes     in the order of the preset (docs/model.md) or the configuration; home_health
 *                      numbers experts and nodes in this order
 *     input            the node of the layer below that the unit reads; "v" is the model's input
 *     feature_*        missing in a layer without feature gates
 *     sees             in the order of the gate's outputs
 *     gate             empty for a node without a gate
 *     gated            false in a layer without feature gates, whatever gate_input says
 *     self             missing where self_kind is "none"
 *
 * Not promised: a later version may add members.
 *
 * Threads: shared. Since 0.1. */
HOME_API const char *home_model_topology_json(const home_model *model);

/* Return what the model takes, gives and is made of. All go by number, from 0, in the order of the
 * configuration; layers from the input up; the units of a layer in the order of
 * home_model_topology_json(). A name past the end is NULL, and so is that of a dense value where
 * the configuration has no dense_names; names are valid until the model is released. _index()
 * returns the number of a name; SIZE_MAX where there is none, and for NULL. For a NULL model all
 * others are 0 or NULL. A model opened from an image does not know its layers: it has 0 of them.
 *
 * Threads: shared. Since 0.1; dense names, tables, layers, units and _index() since 0.2. */
HOME_API size_t home_model_dense_width(const home_model *model);
HOME_API const char *home_model_dense_name(const home_model *model, size_t column);
HOME_API size_t home_model_field_count(const home_model *model);
HOME_API const char *home_model_field_name(const home_model *model, size_t field);
HOME_API size_t home_model_field_index(const home_model *model, const char *name);
HOME_API size_t home_model_task_count(const home_model *model);
HOME_API const char *home_model_task_name(const home_model *model, size_t task);
HOME_API size_t home_model_task_index(const home_model *model, const char *name);
HOME_API size_t home_model_table_count(const home_model *model);
HOME_API const char *home_model_table_name(const home_model *model, size_t table);
HOME_API size_t home_model_table_index(const home_model *model, const char *name);
HOME_API size_t home_model_layer_count(const home_model *model);
HOME_API size_t home_model_unit_count(const home_model *model, size_t layer);
HOME_API const char *home_model_unit_name(const home_model *model, size_t layer, size_t unit);
HOME_API size_t home_model_unit_index(const home_model *model, size_t layer, const char *name);

/* What a host feeds and reads, by name and in its order. A list that is NULL is not compared. The
 * caller owns all memory; it is only read, during the call. */
typedef struct home_names {
    size_t struct_size;
    const char *const *dense; /* [dense_count] */
    size_t dense_count;
    const char *const *fields; /* [field_count] */
    size_t field_count;
    const char *const *tasks; /* [task_count] */
    size_t task_count;
} home_names;

/* Compares a host's names with the model's, so that a server learns when it starts, and not from
 * its predictions, that columns were added, renamed or moved since the model was trained. Of a
 * model without dense_names only the number of dense values is compared.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, also for a name
 *     HOME_E_MISMATCH  the message names the first difference
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_model_check_names(const home_model *model, const home_names *names,
                                            home_error *error);

/* Returns the bytes of memory that the model took when it was made: weights, tables, and for
 * training gradients and the optimizer's state. Not counted are what a batch or a thread needs:
 * what forward keeps for the largest batch so far, and workspaces; nor metadata and the memory
 * behind home_model_set_threads(). 0 for a model opened from an image, which took none, and for
 * NULL.
 *
 * Threads: shared. Since 0.2. */
HOME_API uint64_t home_model_bytes(const home_model *model);

/* Return the number of parameters outside the embedding tables (for a frozen model, of those left
 * after folding batch norms), and the multiply-adds of all matrix products for one row at serving.
 * 0 for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API uint64_t home_model_parameter_count(const home_model *model);
HOME_API uint64_t home_model_macs_per_row(const home_model *model);

/* Kinds of tensor. */
#define HOME_TENSOR_PARAMETER 0 /* trained by the dense optimizer */
#define HOME_TENSOR_STATISTIC 1 /* running mean or variance of a batch norm */
#define HOME_TENSOR_TABLE     2 /* an embedding table */

/* A named tensor; docs/checkpoint.md has the names. The model owns what the pointers point to; they
 * are valid until it is released. Values change with step, gradients with backward. */
typedef struct home_tensor {
    size_t struct_size;
    const char *name;
    int32_t kind;           /* HOME_TENSOR_* */
    int32_t rank;           /* 1 or 2 */
    uint64_t shape[2];      /* shape[1] is 1 where rank is 1 */
    const float *data;      /* row-major */
    float *gradient;        /* of a parameter, same shape; NULL for the other kinds */
    size_t gradient_offset; /* of `gradient` in home_model_gradient(), in elements */
    int32_t trained;        /* HOME_ON where a step moves it; HOME_OFF for statistics */
    int32_t reserved;       /* 0 */
} home_tensor;

/* Returns the number of tensors; 0 for a frozen model, whose weights have another form, and for
 * NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API size_t home_model_tensor_count(const home_model *model);

/* Describe a tensor by its index in the order of the checkpoint, or by its name.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL
 *     HOME_E_NOT_FOUND  the model has no such tensor; a frozen model has none
 *
 * Threads: shared, and so is reading the values that `data` and `gradient` point to. Since 0.1. */
HOME_API home_status home_model_tensor_at(const home_model *model, size_t index,
                                          home_tensor *tensor, home_error *error);
HOME_API home_status home_model_tensor(const home_model *model, const char *name,
                                       home_tensor *tensor, home_error *error);

/* Overwrites a tensor with `count` floats, row-major, which must be its number of elements. A
 * backward of an earlier forward is then no longer possible. Gradients that came since the last
 * step stay.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL, or count is not the tensor's
 *     HOME_E_NOT_FOUND  the model has no such tensor; a frozen model has none
 *     HOME_E_VALUE      a value is not finite, or a running variance is below 0
 *
 * Threads: exclusive. Since 0.1. */
HOME_API home_status home_model_set_tensor(home_model *model, const char *name, const float *data,
                                           size_t count, home_error *error);

/* Returns the row of a hashed table that an id maps to: the high 64 bits of mix(id) * rows, where
 * mix is the finalizer of splitmix64 (docs/checkpoint.md). It is part of the checkpoint format and
 * never changes.
 *
 * Threads: any. Since 0.1. */
HOME_API uint64_t home_hash_id(uint64_t id, uint64_t rows);

/* -------------------------------------------------------------------------------------- metrics */

/* Accumulates predictions and labels, then computes how good the predictions are. Threads may each
 * fill one, and merge them; machines may send each other theirs as bytes. */
typedef struct home_metrics home_metrics;

/* In place of a user: the row belongs to nobody and does not count in GAUC. */
#define HOME_NO_USER UINT64_MAX

/* How to accumulate. */
typedef struct home_metrics_options {
    size_t struct_size;
    size_t tasks;          /* required, at least 1 */
    const int32_t *losses; /* [tasks] HOME_LOSS_*, 0: binary cross-entropy; NULL: all binary */
    /* 0: every user, prediction and label of a binary task is kept, 16 bytes for each row and
     * task, and all figures are exact.
     *
     * Else: the most bytes that it may hold, those that a result takes for its time included. All
     * are taken by home_metrics_create(), so that adding and merging cannot run out of memory. They
     * are shared evenly by the binary tasks. As long as a task's rows fit in its share, its figures
     * are exact. After that AUC comes from a histogram of the predictions, fine on the scale of log
     * odds, and GAUC from a sample of the users, chosen by a hash, with all their rows; the result
     * states the error of both. All other figures stay exact. The minimum is less than 80 KB for
     * each binary task; docs/metrics.md has the errors at a few sizes. */
    size_t max_bytes;
    const home_allocator *allocator; /* NULL: malloc and free */
} home_metrics_options;

/* Rows to add. The caller owns all memory; it is only read, during the call. */
typedef struct home_metrics_rows {
    size_t struct_size;
    size_t rows;
    const float *predictions; /* [rows, tasks], as home_model_predict() writes them */
    size_t prediction_stride; /* 0: tasks */
    const float *labels;      /* [rows, tasks], NaN: missing */
    size_t label_stride;      /* 0: tasks */
    const uint64_t *users;    /* [rows], HOME_NO_USER for none; NULL: no row has a user */
    /* The weight of a label is the product of the two, as a float. One of weight 0 is as good as
     * missing. */
    const float *row_weights; /* [rows], finite and >= 0; NULL: all 1 */
    const float *weights;     /* [rows, tasks], finite and >= 0; NULL: all 1 */
    size_t weight_stride;     /* 0: tasks */
} home_metrics_rows;

/* The figures of one task over all rows added. p is a prediction, y a label and w its weight; means
 * are weighted, as mean(x) = sum w x / sum w. A figure that is not defined (no rows, one class
 * only, a loss of the other kind) is NaN. */
typedef struct home_metric_result {
    size_t struct_size;
    uint64_t rows;         /* rows with a label whose weight is not 0 */
    uint64_t no_user_rows; /* of these, rows without a user */
    uint64_t positives;    /* of these, rows with label > 0.5; 0 with a squared error */
    double weight;         /* sum of their weights: where none were given, rows */
    double mean_prediction;
    double mean_label;
    /* mean prediction / mean label: 1 is perfect, 1.1 is 10 % too high; NaN unless the mean label
     * is above 0 */
    double calibration;

    /* Binary tasks only. */
    double log_loss; /* mean of -log p(label), with predictions clipped to [1e-15, 1 - 1e-15] */
    /* Area under the ROC curve: the share of the pairs of a positive and a negative, each weighing
     * the product of their weights, in which the positive has the higher prediction; ties count one
     * half. */
    double auc;
    /* The AUC of all rows is between auc - auc_error and auc + auc_error, but for rounding. 0 where
     * auc is exact; else half the share of the pairs whose predictions, not all the same, fell into
     * one bin of the histogram. */
    double auc_error;
    /* Mean of the AUC of each user, weighted by the sum of the weights of the user's rows; users
     * with one class and rows without a user are left out. */
    double gauc;
    /* Standard error of gauc, from the spread between the sampled users. 0 where all users count;
     * NaN with fewer than two. */
    double gauc_error;
    double gauc_share;   /* share of the users that were sampled: 1, 1/2, 1/4, .. */
    uint64_t gauc_users; /* sampled users that count in gauc */
    uint64_t gauc_rows;  /* their rows */

    /* Tasks with a squared error only. */
    double rmse; /* sqrt(mean((p - y)^2)) */
    double mae;  /* mean(|p - y|) */
} home_metric_result;

/* Makes an empty accumulator, which home_metrics_destroy() frees.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, zero tasks, an unknown loss, a max_bytes that is too small, or an
 *                      allocator with only one function
 *     HOME_E_MEMORY    out of memory
 *     HOME_E_TOO_LARGE more tasks than size_t can count the bytes of
 *
 * Threads: any. Since 0.2. */
HOME_API home_status home_metrics_create(const home_metrics_options *options,
                                         home_metrics **metrics, home_error *error);

/* Frees an accumulator; NULL is allowed.
 *
 * Threads: exclusive. Since 0.1. */
HOME_API void home_metrics_destroy(home_metrics *metrics);

/* Forgets all rows, as if it had just been made, and keeps its memory for the next ones; NULL is
 * allowed.
 *
 * Threads: exclusive. Since 0.2. */
HOME_API void home_metrics_reset(home_metrics *metrics);

/* Adds rows. Where a label is missing, its prediction and its weight are not looked at. With zero
 * rows, which is a success, all pointers may be NULL.
 *
 * Errors, after which it holds what it held before:
 *     HOME_E_ARGUMENT   NULL, or a stride that is too small
 *     HOME_E_VALUE      of a binary task, a label is outside [0, 1], or the prediction of one is
 *                       outside [0, 1] or NaN; with a squared error, either is not finite
 *     HOME_E_VALUE      a weight, or the product of two, is negative or not finite
 *     HOME_E_MEMORY     out of memory
 *     HOME_E_TOO_LARGE  rows times a stride does not fit size_t
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_metrics_add(home_metrics *metrics, const home_metrics_rows *rows,
                                      home_error *error);

/* Adds all that `from` holds to `into`, as if its rows had been added there. Every figure is the
 * same, to the last bit, whatever the order of rows and merges and however the rows were spread;
 * only where weights were given and a histogram has taken the place of the rows, AUC and its error
 * agree to rounding. The two may be the same.
 *
 * Their max_bytes may differ; the result then has the coarser histogram and the smaller sample, and
 * may depend on how the rows were spread.
 *
 * Errors, after which both hold what they held before:
 *     HOME_E_ARGUMENT  NULL; tasks or losses differ; or into keeps all rows, and from, which has a
 *                      max_bytes, no longer does
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: exclusive for into, shared for from. Since 0.1. */
HOME_API home_status home_metrics_merge(home_metrics *into, const home_metrics *from,
                                        home_error *error);

/* Writes all it holds as bytes for home_metrics_merge_bytes(), on any machine. *length receives the
 * number of bytes needed; if buffer is NULL, nothing else happens. The buffer may have any
 * alignment. The bytes are for merging, not for archives: other versions of the library may refuse
 * them.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL
 *     HOME_E_ARGUMENT  capacity is too small; *length is set
 *     HOME_E_TOO_LARGE they are more bytes than size_t can count
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_metrics_serialize(const home_metrics *metrics, void *buffer,
                                            size_t capacity, size_t *length, home_error *error);

/* Does what home_metrics_merge() does with the accumulator that the bytes were made from. Bytes are
 * taken from anybody: all of them are checked before anything is added, and the memory asked for is
 * never more than a small multiple of `size`. `bytes` may have any alignment; exactly those that
 * were written, no more.
 *
 * Errors, after which it holds what it held before:
 *     HOME_E_ARGUMENT    NULL; or into keeps all rows, and the bytes, from one with a max_bytes, do
 *                        not have them all
 *     HOME_E_FORMAT      they are not the bytes of an accumulator, or not all of them
 *     HOME_E_CHECKSUM    they were damaged
 *     HOME_E_UNSUPPORTED another version of the library wrote them in another form
 *     HOME_E_MISMATCH    their tasks or losses are not those of into
 *     HOME_E_MEMORY      out of memory
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_metrics_merge_bytes(home_metrics *into, const void *bytes, size_t size,
                                              home_error *error);

/* Computes the figures of a task. Takes the time of a sort of the rows that are kept, and twice
 * their memory.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL
 *     HOME_E_NOT_FOUND  there is no task of this number
 *     HOME_E_MEMORY     out of memory
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_metrics_result(const home_metrics *metrics, size_t task,
                                         home_metric_result *result, home_error *error);

/* --------------------------------------------------------------------------------------- health */

/* Statistics of what experts and gates compute on rows that it is shown. They express the collapse,
 * degradation and underfitting of a mixture in figures (docs/health.md). Threads or machines may
 * each fill one, and merge them. A program that makes none pays nothing. Every row counts the same:
 * figures say what the network computes, whatever a row weighs in the loss.
 *
 * Experts are numbered through all layers, units and experts of a unit, nodes through all layers
 * and nodes, in the order of home_model_topology_json(). A figure that is not defined is NaN;
 * before the first row all are. */
typedef struct home_health home_health;

/* Figures of an expert's output, a matrix [rows, width]. */
typedef struct home_expert_health {
    size_t struct_size;
    size_t layer;     /* from 0 */
    const char *unit; /* valid until home_health_destroy() */
    size_t expert;    /* from 0 in its unit */
    size_t width;     /* values of an output */
    double mean;      /* of all rows x width values */
    double deviation; /* their standard deviation, sqrt(mean((x - mean)^2)) */
    double min;       /* their minimum */
    double max;       /* their maximum */
    double near_zero; /* share of the values with |x| < 1e-6 */
    size_t dead;      /* of the width, how many vary by less than 1e-6 over all rows */
    /* The number of the other expert of the layer with the nearest output, and
     * home_health_distance() to it. SIZE_MAX and NaN where the layer has no other expert. */
    size_t nearest;
    double nearest_distance;
    /* Gate mass: the sum of the mean weights that nodes give it, not counting self terms. */
    size_t seen_by; /* nodes whose gates see it */
    double mass;
    /* The number of the node that gives it most; SIZE_MAX where seen_by or mass is 0. */
    size_t top_node;
    /* That node's part of the mass: 1 / seen_by is ideal for a shared expert, 1 is degraded. */
    double top_share;
} home_expert_health;

/* Figures of a node's gate, a matrix of weights [rows, visible experts], each row of sum 1. */
typedef struct home_node_health {
    size_t struct_size;
    size_t layer;     /* from 0 */
    const char *node; /* valid until home_health_destroy() */
    size_t experts;   /* that it sees */
    /* Mean over rows of -sum w log w / log(experts): 1 even, 0 all on one expert. */
    double entropy;
    /* The same of the mean weights: near 0, all rows choose the same expert. */
    double entropy_spread;
    size_t top_expert; /* the number of the expert with the largest mean weight */
    double top_weight; /* that weight */
    /* Largest / smallest deviation of the experts it sees; infinite if only that is 0. */
    double deviation_ratio;
    /* Its own experts: those of its self term's unit or, without one, of the unit of its own
     * name. */
    size_t own_experts; /* that it sees; 0: none */
    double own_mass;    /* sum of their mean weights; own_experts / experts is an even share */
    double self_weight; /* sum of the mean weights in its self term; 0 where it has none */
} home_node_health;

/* Makes an empty accumulator for models like this one: with the same layers, units, nodes and
 * masks, frozen or not. It keeps no reference to the model; home_health_destroy() frees it.
 * `allocator` may be NULL.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or an allocator with only one function
 *     HOME_E_STATE     the model was opened from an image
 *     HOME_E_MEMORY    out of memory
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_health_create(const home_model *model, const home_allocator *allocator,
                                        home_health **health, home_error *error);

/* Frees an accumulator; NULL is allowed.
 *
 * Threads: exclusive. Since 0.1. */
HOME_API void home_health_destroy(home_health *health);

/* Runs the model on rows as home_model_predict() does, with running values in the batch norms and
 * without changing its state, and adds what its experts and gates compute. Takes the time of two to
 * three predictions. A batch without rows is a success (see home_batch).
 *
 * Errors, after which it holds what it held before:
 *     HOME_E_ARGUMENT   NULL, a model of another shape, or a batch that does not fit the
 *                       configuration
 *     HOME_E_STATE      the model was opened from an image
 *     HOME_E_VALUE      an id is out of range, offsets fall, a weight of an id is not allowed, or a
 *                       dense value or an expert's output is not finite
 *     HOME_E_CANCELED   home_parallel.run stopped it
 *     HOME_E_MEMORY     out of memory
 *     HOME_E_TOO_LARGE  more rows than memory can hold
 *
 * Threads: exclusive for health, shared for the model. Since 0.1. */
HOME_API home_status home_health_add(home_health *health, const home_model *model,
                                     const home_batch *batch, home_error *error);

/* Adds all that `from` holds to `into`, as if its rows had been added there; figures agree to
 * rounding in double precision. The two may be the same.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL, or they were made for models of different shapes
 *
 * Threads: exclusive for into, shared for from. Since 0.1. */
HOME_API home_status home_health_merge(home_health *into, const home_health *from,
                                       home_error *error);

/* Forgets all rows, as if it had just been made; NULL is allowed.
 *
 * Threads: exclusive. Since 0.2. */
HOME_API void home_health_reset(home_health *health);

/* Writes all it holds as bytes for home_health_merge_bytes(), on any machine. *length receives the
 * number of bytes needed; if buffer is NULL, nothing else happens. The buffer may have any
 * alignment. The bytes are for merging, not for archives: other versions of the library may refuse
 * them.
 *
 * Errors:
 *     HOME_E_ARGUMENT  NULL
 *     HOME_E_ARGUMENT  capacity is too small; *length is set
 *     HOME_E_TOO_LARGE they are more bytes than size_t can count
 *
 * Threads: shared. Since 0.2. */
HOME_API home_status home_health_serialize(const home_health *health, void *buffer, size_t capacity,
                                           size_t *length, home_error *error);

/* Does what home_health_merge() does with the accumulator that the bytes were made from. Bytes are
 * taken from anybody: all of them are checked before anything is added. `bytes` may have any
 * alignment; exactly those that were written, no more.
 *
 * Errors, after which it holds what it held before:
 *     HOME_E_ARGUMENT    NULL
 *     HOME_E_FORMAT      they are not the bytes of an accumulator, or not all of them
 *     HOME_E_CHECKSUM    they were damaged
 *     HOME_E_UNSUPPORTED another version of the library wrote them in another form
 *     HOME_E_MISMATCH    they are of a model of another shape
 *
 * Threads: exclusive. Since 0.2. */
HOME_API home_status home_health_merge_bytes(home_health *into, const void *bytes, size_t size,
                                             home_error *error);

/* Return how many rows it has seen, and how many experts and nodes there are; 0 for NULL.
 *
 * Threads: shared. Since 0.1. */
HOME_API uint64_t home_health_rows(const home_health *health);
HOME_API size_t home_health_expert_count(const home_health *health);
HOME_API size_t home_health_node_count(const home_health *health);

/* Give the figures of one expert or node.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL
 *     HOME_E_NOT_FOUND  there is no expert or node of this number
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_health_expert(const home_health *health, size_t expert,
                                        home_expert_health *result, home_error *error);
HOME_API home_status home_health_node(const home_health *health, size_t node,
                                      home_node_health *result, home_error *error);

/* Return one element of the node x expert matrices: the mean weight that the node's gate gives the
 * expert, and the mean weight in the node's self term, which need not sum to 1. NaN where the node
 * does not see the expert or does not have it in its self term, and for a number past the end.
 *
 * Threads: shared. Since 0.1. */
HOME_API double home_health_gate_weight(const home_health *health, size_t node, size_t expert);
HOME_API double home_health_self_weight(const home_health *health, size_t node, size_t expert);

/* Returns how far apart the outputs a and b, [rows, width], of two experts of a layer are:
 *
 *     sqrt(mean((a - b)^2) / (var(a) + var(b)))
 *
 * where the mean is over rows and width, and var is the variance over the rows, averaged over the
 * width. 0: the same; about 1: unrelated; infinite between different constants. NaN for experts of
 * different layers, for one expert and itself, and for a number past the end.
 *
 * Threads: shared. Since 0.1. */
HOME_API double home_health_distance(const home_health *health, size_t a, size_t b);

/* Bins of a histogram of an expert's values. Bin i holds the values x with
 *
 *     home_health_bin_edge(i - 1) <= x < home_health_bin_edge(i)
 *
 * except that the first bin has no lower limit and the last no upper one. */
#define HOME_HEALTH_BINS 63

/* Returns sinh(0.3 (i - 30.5)) / 20: bins are fine around 0 and coarse far from it.
 *
 * Threads: any. Since 0.1. */
HOME_API double home_health_bin_edge(size_t i);

/* Gives the histogram of an expert's values. counts: [HOME_HEALTH_BINS].
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL
 *     HOME_E_NOT_FOUND  there is no expert of this number
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_health_histogram(const home_health *health, size_t expert,
                                           uint64_t *counts, home_error *error);

/* Computes the Euclidean norm of a gradient with respect to the parameters of a unit's experts.
 * gradients: [count], in the layout of home_model_gradient(), as home_model_task_gradient() fills
 * it for one task. NULL: the model's own, as home_model_gradient() gives them.
 *
 * Errors:
 *     HOME_E_ARGUMENT   NULL (except gradients), or count is not the number of dense parameters
 *     HOME_E_STATE      the model is frozen, or gradients is NULL and there was no backward since
 *                       the last forward
 *     HOME_E_NOT_FOUND  the model has no layer, or the layer no unit, of this number
 *
 * Threads: shared. Since 0.1. */
HOME_API home_status home_model_unit_gradient_norm(const home_model *model, size_t layer,
                                                   size_t unit, const float *gradients,
                                                   size_t count, double *norm, home_error *error);

#ifdef __cplusplus
}
#endif

#endif
