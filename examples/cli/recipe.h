/* The recipe: which columns of a CSV are what, how they are prepared, and the model that they go
 * into. What was learned on the training rows (transforms, vocabularies) is kept in it. docs/cli.md
 * describes the JSON. */
#ifndef CLI_RECIPE_H
#define CLI_RECIPE_H

#include "document.h"
#include "transform.h"
#include "vocabulary.h"

typedef struct dense_column {
    const char *column;
    transform change;
} dense_column;

/* An embedding table, with the vocabulary of the fields that share it. */
typedef struct id_table {
    const char *name;
    uint64_t dim;
    uint64_t min_count; /* values in fewer training rows are rare */
    double init_std;
    vocabulary values;
} id_table;

typedef struct id_field {
    const char *column;
    size_t table;
    char separator; /* between the ids of a list, 0: one id */
    const char *pooling;
    double dropout; /* probability that training takes an id for a rare one */
} id_field;

typedef struct label_column {
    const char *column;
    const char *task;
    const char *group; /* NULL: the library's default */
    double weight;
    const char *given; /* the task that this one's probability is given, NULL: none */
    double base_rate;  /* 0: as training_plan says */
    bool selects;      /* its AUC counts in choosing the best epoch */
} label_column;

typedef struct training_plan {
    uint64_t epochs;
    uint64_t batch;
    uint64_t patience; /* epochs without improvement before the end, 0: no end */
    uint64_t seed;
    bool base_rate;
    uint64_t norm_batches; /* that measure the batch norms' statistics after an epoch, 0: none */
    double learning_rate_factor; /* of the model's rates, from the first epoch on */
    double learning_rate_decay;  /* factor from one epoch to the next */
    uint64_t threads; /* that compute, also without training, 0: one; no member of a recipe */
} training_plan;

typedef struct recipe {
    document doc; /* owns all names below */
    const homejson_value *root;
    dense_column *dense;
    size_t dense_count;
    id_table *tables;
    size_t table_count;
    id_field *fields;
    size_t field_count;
    label_column *labels;
    size_t label_count;
    const char *row_weight; /* NULL: none */
    const char *user;       /* NULL: none */
    vocabulary input_names; /* columns of dense and fields */
    vocabulary table_names; /* row i + 1 is table i */
    vocabulary task_names;  /* row i + 1 is label i */
    training_plan training;
    const homejson_value *model;
} recipe;

/* Reads a recipe that a person wrote; nothing is learned yet. */
bool recipe_read(recipe *of, const char *path, failure *why);

/* The number of the label with this task; label_count where there is none. */
size_t recipe_task(const recipe *of, const char *task);

/* The names of the tasks go into CSV files and to terminals: false where one has a character that
 * steers a terminal, or is a formula to a spreadsheet. recipe_read() has checked that; a recipe in
 * a checkpoint may come from anybody. */
bool recipe_check_tasks(const recipe *of, failure *why);

/* How many dense values the model gets. */
size_t recipe_dense_width(const recipe *of);

void recipe_free(recipe *of); /* a zeroed struct is allowed */

/* The second half of that: reads the recipe at `root` in of->doc, which learned.c finds inside a
 * checkpoint. When it fails, recipe_free() is the caller's to call. */
bool recipe_parse(recipe *of, const homejson_value *root, failure *why);

#endif
