/* Training: what changes the weights of a model, and what a model keeps for that.
 *
 * Here: the state of training (this file), forward, backward and step (train.c), losses,
 * optimizers, gradients of tables, packing of changed weights, the host's view of tensors and
 * gradients (access.c), and what it may set while a model trains (tuning.c). Called by: create,
 * store. Calls: model, plan, steps, kernels, host, base; not serve. */
#ifndef HOME_TRAINING_H
#define HOME_TRAINING_H

#include "../model/input.h"

/* What an optimizer keeps for each value, or, row-wise, for each row of a table. */
enum { HOME_STATE_SLOTS = 2 };
typedef struct homeoptimizer_traits {
    /* Suffixes of the state's tensors in checkpoints; NULL: slot not in use. */
    const char *state[HOME_STATE_SLOTS];
    bool never_negative[HOME_STATE_SLOTS]; /* sums and means of squares */
    bool row_wise;
} homeoptimizer_traits;

/* An id of a batch, resolved: row `row` of the table goes, times `factor`, to columns [column ..)
 * of batch row `batch_row` of v. */
typedef struct homeembedding_entry {
    uint64_t row;
    size_t batch_row;
    size_t column;
    float factor;
} homeembedding_entry;

/* Rows of a table, each once and ascending, and their gradients. */
typedef struct homerow_gradients {
    uint64_t *rows; /* [count] */
    float *values;  /* [count, dim] */
    size_t count;
    size_t row_capacity;
    size_t value_capacity; /* in rows */
} homerow_gradients;

/* What training keeps of an embedding table. */
typedef struct homeembedding {
    /* Of the optimizer: [rows, state_width]; NULL where not in use. */
    float *state[HOME_STATE_SLOTS];
    /* Of the last forward; sorted by row in backward. */
    homeembedding_entry *entries;
    homeembedding_entry *sorted; /* scratch of the sort */
    size_t entry_count;
    size_t entry_capacity;
    size_t sorted_capacity;  /* at least entry_count; the two arrays swap places in a sort */
    homerow_gradients total; /* since the last step */
    homerow_gradients part;  /* of a backward, before they are added to the total; of one task */
} homeembedding;

/* How far training has come with a batch. */
typedef enum homephase {
    HOME_PHASE_IDLE,
    HOME_PHASE_FORWARD,
    HOME_PHASE_TASK, /* forward, then the gradients of one task; backward may still follow */
    HOME_PHASE_BACKWARD,
    HOME_PHASE_STEPPED
} homephase;

/* The memory of training, for p parameters and batches of up to `row_capacity` rows:
 *
 *     model->parameters      [p]     W, b, γ, β ..      changed by the optimizer
 *     model->packed                  panels             follow from parameters, after every step
 *     run.gradients          [p]                        since the last step
 *     part                   [p]                        of a backward whose gradients are added to
 *                                                       those; made by the first such
 *     state[0], state[1]     [p]     Adam's m, v ..
 *     activations            [row_capacity, row_width]       every buffer has a place of its own:
 *                                                            backward reads what forward wrote
 *     activation_gradients   [row_capacity, gradient_width]  buffers share places
 *     run.scratch                    of the step at work
 *
 * and for every table its state [rows, state width], the entries of the batch, and the touched rows
 * with their gradients. All grow with the largest batch so far and never shrink, so that steady
 * training allocates nothing. */
struct hometraining {
    homerun_training run;           /* gradients, statistics and scratch, as the steps see them */
    float *state[HOME_STATE_SLOTS]; /* of the optimizer: [parameter_count]; NULL where not in use */
    homeembedding *embeddings;      /* [table_count] */
    uint64_t step_count;
    /* What a host may set (tuning.c). The momentum of batch norms is run.norm_momentum. */
    double learning_rate;
    double embedding_learning_rate;
    double *task_weights; /* [task_count] */
    bool *trained;        /* [tensors.count] whether a step moves it */
    homephase phase;
    bool unstepped;      /* there are gradients that no step has taken: another part may be added */
    bool input_gradient; /* there is one of the last forward */
    size_t rows;         /* of the last forward, whose activations are kept; 0: none */
    float *part;         /* NULL until it is needed */
    /* For the largest batch so far. */
    size_t row_capacity;
    float *activations;          /* the plan's buffers, end to end */
    float *activation_gradients; /* theirs, where places are shared */
};

/* training.c: the state of a model that has its weights. False when out of memory; what was made by
 * then is freed with the model. */
bool hometraining_create(home_model *model);

/* The bytes that it takes for a model whose plan is known; SIZE_MAX where no size_t holds them. */
size_t hometraining_bytes(const home_model *model);
void hometraining_free(home_model *model);

/* Room for batches of `rows` rows. After HOME_E_TOO_LARGE or HOME_E_MEMORY the old room stays. */
home_status hometraining_reserve(home_model *model, size_t rows, home_error *error);

/* The run that training's calls share: the rows of the last forward. */
homerun hometraining_run(const home_model *model);

/* Nothing that a forward or backward left is of use: for weights that come from elsewhere. */
void hometraining_forget(home_model *model);

/* HOME_E_ARGUMENT for NULL; HOME_E_STATE for a frozen model. */
home_status hometraining_check(const home_model *model, home_error *error);

/* HOME_E_STATE where a model that can be trained has no gradients. */
home_status hometraining_check_gradients(const home_model *model, home_error *error);

/* HOME_E_NOT_FOUND where there is no such table. */
home_status hometraining_check_table(const home_model *model, size_t table, home_error *error);

/* access.c: the floats of a tensor. */
float *homeaccess_data(const home_model *model, const hometensor *tensor);

/* packing.c: bring the packed weights up to date: all; those that follow from these parameters;
 * those that follow from running statistics. */
void homepack_model(home_model *model);
void homepack_range(home_model *model, size_t offset, size_t count);
void homepack_statistics(home_model *model);

/* embeddings.c: room for the entries of a batch; the table rows that it reads. */
home_status homeembedding_reserve(home_model *model, const homebatch *batch, home_error *error);
void homeembedding_collect(home_model *model, const homebatch *batch);

/* The gradients of these rows, in place of the total. */
void homeembedding_reduce(home_model *model, const homerun *run);

/* The same in place of the part, and then added to the total: room for either, and all three. */
home_status homeembedding_reserve_part(home_model *model, home_error *error);
home_status homeembedding_reserve_sum(home_model *model, home_error *error);
void homeembedding_reduce_part(home_model *model, const homerun *run);
void homeembedding_add_part(home_model *model);

/* The part of a table out of rows in any order, whose gradients may be the total's. Then the part
 * and the total change places. */
home_status homeembedding_fill_part(home_model *model, size_t table, const uint64_t *rows,
                                    size_t count, homerows gradient, home_error *error);
void homeembedding_take_part(home_model *model, size_t table);

/* loss.c: checks labels and weights; the loss of a task, and its derivatives into the gradient of
 * the logits. */
home_status homeloss_check(const home_model *model, const home_targets *given,
                           home_targets *targets, home_error *error);
void homeloss_zero(const home_model *model, const homerun *run);
double homeloss_backward(const home_model *model, const homerun *run, const home_targets *targets,
                         size_t task);

/* tuning.c: what a host has set and the configuration has not, as JSON for a checkpoint (nothing is
 * added where there is none), and back. HOME_E_UNSUPPORTED for what a later version wrote. */
void hometuning_write(const home_model *model, hometext *text);
home_status hometuning_read(home_model *model, const char *json, home_error *error);

/* optimizer.c: what an optimizer (HOME_OPTIMIZER_*) keeps; the norm of all gradients; one step
 * along them. */
const homeoptimizer_traits *homeoptimizer_traits_of(int32_t kind);
size_t homeoptimizer_state_width(const home_model *model, const hometable *table);
double homeoptimizer_gradient_norm(const home_model *model);
void homeoptimizer_step(home_model *model, double norm);

#endif
