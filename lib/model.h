/* What a home_model holds, and how the parts of the library see it. */
#ifndef HOME_MODEL_H
#define HOME_MODEL_H

#include "kernels/kernels.h"
#include "parallel.h"
#include "plan.h"
#include "status.h"

#include <stdatomic.h>

/* An id of a batch, resolved: row `row` of the table goes, times `factor`, to columns [column ..) of batch
 * row `batch_row` of v. */
typedef struct home_entry {
    uint64_t row;
    size_t batch_row;
    size_t column;
    float factor;
} home_entry;

/* What an optimizer keeps for each value, or, row-wise, for each row of a table. */
enum { HOME_STATE_SLOTS = 2 };
typedef struct home_optimizer_traits {
    const char
        *state[HOME_STATE_SLOTS]; /* suffixes of the state's tensors in checkpoints; NULL: slot not in use */
    bool never_negative[HOME_STATE_SLOTS]; /* sums and means of squares */
    bool row_wise;
} home_optimizer_traits;

/* An embedding table, and what training keeps of it. */
typedef struct home_table {
    const home_table_config *config;
    float *weights; /* [rows, dim] */
    float
        *state[HOME_STATE_SLOTS]; /* of the optimizer: [rows, state_width]; NULL where not in use or frozen */
    /* Of the last forward; sorted by row in backward. */
    home_entry *entries;
    home_entry *sorted; /* scratch of the sort */
    size_t entry_count;
    size_t entry_capacity;
    size_t sorted_capacity; /* at least entry_count; the two arrays swap places in a sort */
    /* Of the last backward. */
    uint64_t *touched; /* [touched_count] rows, ascending */
    float *gradient;   /* [touched_count, dim] */
    size_t touched_count;
    size_t touched_capacity;
    size_t gradient_capacity;
} home_table;

/* How far training has come with a batch. */
typedef enum home_phase {
    HOME_PHASE_IDLE,
    HOME_PHASE_FORWARD,
    HOME_PHASE_BACKWARD,
    HOME_PHASE_STEPPED
} home_phase;

/* What only a model in training has. */
typedef struct home_training {
    float *gradients;               /* [parameter_count] */
    float *state[HOME_STATE_SLOTS]; /* of the optimizer: [parameter_count]; NULL where not in use */
    uint64_t step_count;
    double learning_rate;
    double embedding_learning_rate;
    home_phase phase;
    /* For the largest batch so far. */
    size_t row_capacity;
    size_t rows;                 /* of the last forward */
    float *activations;          /* [row_width, row_capacity]: the buffers of the plan one behind the other */
    float *activation_gradients; /* [gradient_width, row_capacity] */
    float *panels;               /* packed operands of backward's products */
    size_t panels_capacity;
    float *batch_mean;     /* [batch_width] of the last forward */
    float *batch_scale;    /* [batch_width] 1 / sqrt(variance + epsilon) */
    float *batch_variance; /* [batch_width] unbiased */
    double *column_sums;   /* [2, widest buffer] */
    float *row_scratch;    /* [3, widest buffer] */
} home_training;

/* A key and its text, stored in checkpoints. */
typedef struct home_metadata {
    char *key;
    char *value;
    struct home_metadata *next;
} home_metadata;

enum { HOME_POOL_SLOTS = 64 }; /* idle workspaces kept for predicting threads that bring none */

/* Workspaces at rest. A thread takes one by exchanging a slot with NULL: no lock. */
typedef struct home_pool {
    _Atomic(home_workspace *) slots[HOME_POOL_SLOTS];
} home_pool;

struct home_model {
    atomic_size_t references;
    home_allocator allocator;
    home_arena arena; /* settings, topology, plan and tensor list */
    home_settings settings;
    home_topology topology;
    home_plan plan;
    home_tensors tensors;
    const home_kernels *kernels;
    float *parameters; /* NULL in a frozen model: the panels hold them */
    float *statistics; /* running means and variances */
    float *panels;     /* weights as the products want them, always up to date with the parameters */
    float *
        norm_factor; /* [batch_width] batch norms at serving: factor x + shift; as up to date as the panels */
    float *norm_shift;
    home_table *tables;
    home_training *training; /* NULL in a frozen model */
    home_pool *pool;
    home_parallel parallel; /* run is NULL: the calling thread alone */
    home_threads *threads;  /* behind `parallel`, where it is the model's own */
    home_metadata *metadata;
    home_text config_json;
    home_text topology_json;
    bool in_image;     /* opened from an image: owns no memory, and can predict and nothing else */
    size_t block_rows; /* as the image wants it; 0: chosen by predict.c */
};

typedef struct home_run home_run;

/* Somebody who looks at the values while a plan runs. Called after each step, on the thread that called the library. */
typedef struct home_observer {
    void (*after)(void *context, const home_run *run, size_t step);
    void *context;
    size_t rows; /* the most rows at a time */
} home_observer;

/* One execution of a plan over rows. */
struct home_run {
    const home_model *model;
    home_training *training;       /* NULL: serving */
    const home_parallel *parallel; /* NULL: this thread alone */
    size_t rows;
    size_t row_capacity;
    float *activations;
    float *gradients;              /* of the activations, in backward */
    const home_observer *observer; /* NULL: nobody looks */
};

static inline size_t home_view_stride(const home_run *run, home_view view) {
    return run->model->plan.buffers[view.buffer].stride;
}

/* Row `row` of a view in the activations, or in their gradients. */
static inline float *home_view_row(const home_run *run, home_view view, size_t row) {
    const home_buffer *buffer = &run->model->plan.buffers[view.buffer];
    return run->activations + buffer->start * run->row_capacity + row * buffer->stride + view.column;
}

static inline float *home_gradient_row(const home_run *run, home_view view, size_t row) {
    const home_buffer *buffer = &run->model->plan.buffers[view.buffer];
    return run->gradients + buffer->gradient_start * run->row_capacity + row * buffer->stride + view.column;
}

/* model.c: a model whose weights are still zero. A folded one is for serving: without training state. Takes
 * the configuration as a struct or, where that is NULL, as JSON text. */
typedef struct home_blueprint {
    const home_config *config;
    const char *json;
    size_t json_length;
    const home_allocator *allocator;
    bool folded;
    const home_kernels *kernels;    /* NULL: chosen for this machine */
    home_tensor_check check_tensor; /* while the plan is made; may be NULL */
    /* Called when settings, topology, plan and tensors are known, before memory is taken for them; may be NULL. */
    home_status (*check)(const home_model *model, const void *context, home_error *error);
    const void *context; /* of both */
} home_blueprint;
home_status home_model_prepare(const home_blueprint *blueprint, home_model **model, home_error *error);

/* HOME_E_ARGUMENT for NULL; HOME_E_STATE for a frozen model. */
home_status home_check_trainable(const home_model *model, home_error *error);
home_status home_check_gradients(const home_model *model,
                                 home_error *error); /* of a model that can be trained */
/* HOME_E_STATE for a model that was opened from an image. */
home_status home_check_not_image(const home_model *model, home_error *error);
size_t home_stride_or(size_t stride, size_t width);

/* A piece of metadata of its own, or NULL. */
home_metadata *home_metadata_create(const home_allocator *allocator, const char *key, const char *value);

/* The floats of a tensor. */
float *home_tensor_data(const home_model *model, const home_tensor_info *tensor);

/* describe.c: the topology as JSON. */
void home_describe_topology(const home_settings *settings, const home_topology *topology, home_text *text);

/* schedule.c: the work of a run, spread over threads. A product by rows and panels; a step by rows or by
 * columns of its output, as the function given works on ranges of them. */
typedef void (*home_range_function)(const home_run *run, const home_step *step, size_t first, size_t last);
void home_run_product(const home_run *run, const home_gemm *product);
void home_run_rows(const home_run *run, const home_step *step, home_range_function function);
void home_run_columns(const home_run *run, const home_step *step, home_range_function function);
/* False, and nothing done, where there are fewer panels than threads. */
bool home_run_panels(const home_run *run, const home_step *step, size_t width, home_range_function function);
const home_parallel *home_model_parallel(const home_model *model); /* NULL where there is none */

/* initialize.c: fresh weights from the seed. */
void home_model_initialize(home_model *model);

/* panels.c: bring the panels up to date with the parameters, and the norms' factors with the running values
 * too. */
void home_model_pack(home_model *model);
void home_model_pack_range(home_model *model, size_t offset,
                           size_t count); /* what depends on these parameters */
void home_model_fold_norms(home_model *model);

/* input.c: checks a batch; fills rows of v from it. Row `first + i` of the batch goes to row i of v. */
home_status home_check_batch(const home_model *model, const home_batch *given, home_batch *batch,
                             home_error *error);
home_status home_check_ids(const home_model *model, const home_batch *batch, home_error *error);
home_status home_check_dense(const home_model *model, const home_batch *batch,
                             home_error *error); /* finite */
void home_fill_input(const home_run *run, const home_batch *batch, size_t first);
home_status home_reserve_entries(home_model *model, const home_batch *batch, home_error *error);
void home_collect_entries(home_model *model,
                          const home_batch *batch); /* notes which table rows the batch reads */
void home_table_reduce(home_table *table, const home_run *run);

/* forward.c, backward.c: the steps of the plan. */
void home_feature_factor(const home_run *run, const home_step *step, size_t first, size_t last, size_t column,
                         size_t width, const home_rows *x, float *y, size_t y_row);
void home_norm_factors(const home_run *run, const home_step *step);
void home_run_forward(const home_run *run);
bool home_move_running_values(const home_run *run);
void home_run_backward(const home_run *run);

/* train.c: the run that training's calls share. */
home_run home_training_run(const home_model *model);

/* loss.c: checks labels and weights; the loss of a task, and its derivatives into the gradient of the logits.
 */
home_status home_check_targets(const home_run *run, const home_targets *given, home_targets *targets,
                               home_error *error);
void home_zero_dlogits(const home_run *run);
double home_task_backward(const home_run *run, const home_targets *targets, size_t task);

/* optimizer.c: what an optimizer (HOME_OPTIMIZER_*) keeps; the norm of all gradients; one step along them. */
const home_optimizer_traits *home_optimizer_traits_of(int32_t kind);
size_t home_table_state_width(const home_model *model, const home_table *table);
double home_gradient_norm(const home_model *model);
void home_optimizer_step(home_model *model, double norm);

/* predict.c */
void home_pool_free(const home_model *model);
void home_write_predictions(const home_run *run, float *predictions, size_t stride);
/* Runs the model on a checked batch as predict does, for an observer. HOME_E_MEMORY. */
home_status home_observe(const home_model *model, const home_batch *batch, const home_observer *observer,
                         home_error *error);

#endif
