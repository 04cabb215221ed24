/* What the unit tests share: a small configuration to vary, random rows, models with random
 * weights, and an allocator that counts and fails on demand. Functions end the program when what
 * they need fails. */
#ifndef TESTS_UNIT_FIXTURE_H
#define TESTS_UNIT_FIXTURE_H

#include "home/home.h"

#include <stdatomic.h>
#include <stdbool.h>

/* --------------------------------------------------------------------------------------- random */

/* Numbers that are the same on every machine; the state is the caller's. */
uint64_t random_bits(uint64_t *state);
double random_between(uint64_t *state, double low, double high);

/* ------------------------------------------------------------------------------- configurations */

#define SETUP_TASKS 64

/* A configuration and all it points to. Points into itself: not to be copied. */
typedef struct setup {
    home_table_config tables[3];
    home_field_config fields[3];
    home_task_config tasks[SETUP_TASKS];
    char task_names[SETUP_TASKS][4];
    home_layer_config layers[3];
    size_t hidden[2][4]; /* of the layers' experts */
    size_t gate_hidden[2];
    size_t self_gate_hidden[2];
    size_t tower_hidden[2];
    home_optimizer_config optimizer;
    home_config config;
} setup;

/* A configuration as JSON that has nearly every key. */
extern const char full_json[];

/* Five dense values; a direct table for one field (sum, one id a row) and a hashed one shared by
 * two (many ids a row; mean, sum); tasks like and follow (group inter) and view (group watch); two
 * experts a unit in layer 1; 2, 1 and 2 for shared, groups and tasks in layer 2. Everything else at
 * its default. */
void setup_small(setup *s);

/* The same without fields, with `width` dense values. */
void setup_dense(setup *s, size_t width);

/* Replaces the tasks by t0, t1...; task t is in groups[t % group_count], which may be NULL. */
void setup_tasks(setup *s, size_t count, const char *const *groups, size_t group_count);

home_model *make_model(const setup *s);

/* Gives every tensor new values, so that nothing is at a neutral start: norms are not the identity,
 * feature gates are not 1, running values are not 0 and 1. */
void randomize(home_model *model, uint64_t seed);

/* Copies the values of all tensors of `to` from those of `from` with the same name. */
void copy_tensors(home_model *to, const home_model *from);

/* After a backward: the gradients of the dense parameters, *count of them, and those of a table. */
float *gradients_of(home_model *model, size_t *count);
home_gradient table_gradient_of(home_model *model, const char *table);

/* A tensor by a name that must exist. */
home_tensor tensor_of(const home_model *model, const char *name);
size_t tensor_size(const home_tensor *tensor);

/* ----------------------------------------------------------------------------------------- rows */

#define DATA_FIELDS 3

/* Random rows and targets for a configuration. The strides are wider than the rows and the gaps are
 * NaN, so whoever reads a gap shows it. Ids repeat within and between rows; some rows have none.
 * About a fifth of the labels are missing, never those of row 0; some lie between 0 and 1. */
typedef struct data {
    float *dense;
    uint64_t *ids[DATA_FIELDS];
    size_t *offsets[DATA_FIELDS];   /* NULL where each row has one id */
    float *id_weights[DATA_FIELDS]; /* NULL until data_weigh_ids() */
    home_ids fields[DATA_FIELDS];
    float *labels;
    float *row_weights;
    float *weights;
    home_batch batch;
    home_targets targets;
} data;

void data_create(data *d, const home_config *config, size_t rows, uint64_t seed);
void data_free(data *d);

/* Gives every id a weight: about a fifth are 0, and with a sum some are negative. */
void data_weigh_ids(data *d, const home_config *config, uint64_t seed);

/* Rows first .. first + count - 1 as a batch of their own; fields: [DATA_FIELDS], where it keeps
 * the ids. */
home_batch data_slice(const data *d, size_t first, size_t count, home_ids *fields);

/* [rows, tasks]; malloc'd. */
float *predict_all(const home_model *model, const home_batch *batch);
float *forward_all(home_model *model, const home_batch *batch);

/* forward, backward, step. */
void train_step(home_model *model, const data *d);

/* The checkpoint's bytes, malloc'd: all of a model's state, to compare. */
unsigned char *model_bytes(const home_model *model, uint32_t flags, size_t *length);
bool same_model(const home_model *a, const home_model *b);

/* ------------------------------------------------------------------------------------ allocator */

/* Counts, and fails the allocation number `fail_at` (from 0; negative: none) and, unless `once`,
 * all later ones. */
typedef struct meter {
    atomic_long allocations; /* asked for so far */
    atomic_long live;        /* not yet released */
    long fail_at;
    bool once;
} meter;

home_allocator meter_allocator(meter *m);

/* A home_error with its struct_size set. */
home_error new_error(void);

#endif
