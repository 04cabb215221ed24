/* The model in memory and on disk: the library's checkpoint with the recipe in its metadata. */
#ifndef CLI_CHECKPOINT_H
#define CLI_CHECKPOINT_H

#include "dataset.h"

/* Keys of the metadata. */
#define CHECKPOINT_RECIPE_KEY "cli.recipe" /* the recipe and what was learned, see learned.h */
#define CHECKPOINT_TRAINING_KEY                                                                    \
    "cli.training" /* {"epoch": .., "steps": .., "validation_auc": ..} */

/* Whether the library takes the recipe's "model", before any row is read. */
bool checkpoint_check(const recipe *by, failure *why);

/* Makes a fresh model as the recipe and the training rows want it, the recipe already in its
 * metadata. */
bool checkpoint_create(const recipe *by, const dataset *training, home_model **model, failure *why);

/* Reads a model and the recipe in it. */
bool checkpoint_open(const char *path, home_model **model, recipe *of, failure *why);

/* The same in two steps, for models that may have no recipe. */
bool checkpoint_load(const char *path, home_model **model, failure *why);
bool checkpoint_has_recipe(const home_model *model);
bool checkpoint_recipe(const char *path, const home_model *model, recipe *of, failure *why);

/* Reads a checkpoint to train on from: it must hold the optimizer's state, and its recipe must be
 * `wanted` in all but "training", which is taken from there. What was learned is the checkpoint's;
 * *epochs gets those trained so far. */
bool checkpoint_resume(const char *path, const recipe *wanted, home_model **model, recipe *of,
                       uint64_t *epochs, failure *why);

#endif
