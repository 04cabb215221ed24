/* The model in memory and on disk: the library's checkpoint with the recipe in its metadata. */
#ifndef CLI_CHECKPOINT_H
#define CLI_CHECKPOINT_H

#include "dataset.h"

/* Keys of the metadata: the recipe and what was learned (learned.h), and how training went,
 * {"epoch": .., "steps": .., "validation_auc": ..}. */
#define CHECKPOINT_RECIPE_KEY   "cli.recipe"
#define CHECKPOINT_TRAINING_KEY "cli.training"

/* Whether the library accepts the recipe's "model"; called before any row is read. */
bool checkpoint_check(const recipe *by, failure *why);

/* Creates a model from the recipe and the training rows, with the recipe in its metadata. */
bool checkpoint_create(const recipe *by, const dataset *training, home_model **model, failure *why);

/* Reads a model and the recipe in it. */
bool checkpoint_open(const char *path, home_model **model, recipe *of, failure *why);

/* The same in two steps, for models that may lack a recipe. */
bool checkpoint_load(const char *path, home_model **model, failure *why);
bool checkpoint_has_recipe(const home_model *model);
bool checkpoint_recipe(const char *path, const home_model *model, recipe *of, failure *why);

/* Reads a checkpoint to go on from: it must hold the optimizer's state, and its recipe must equal
 * `wanted` in all but "training", which is taken from `wanted`. What was learned about the columns
 * is the checkpoint's. *epochs gets the number of epochs trained so far. */
bool checkpoint_resume(const char *path, const recipe *wanted, home_model **model, recipe *of,
                       uint64_t *epochs, failure *why);

#endif
