/* What a checkpoint has: the tensors to write, or to read into. docs/checkpoint.md describes the
 * format. */
#ifndef HOME_CHECKPOINT_H
#define HOME_CHECKPOINT_H

#include "../create/create.h"
#include "safetensors.h"

#define HOME_SCHEMA "1"

/* A tensor to write, or to read into. */
typedef struct homeitem {
    const char *name; /* first, for homesort_find_name() */
    homedtype dtype;  /* not HOME_OTHER_DTYPE */
    size_t rank;
    size_t shape[2];
    void *data; /* NULL where the model has no memory for it */
    bool never_negative;
    double max; /* of its values; 0: any finite one */
} homeitem;

/* All tensors of a checkpoint, in an arena of the list. */
typedef struct homeitems {
    homearena arena;
    homeitem *items;
    size_t count;
    const void **by_name;
    int64_t step;    /* optimizer.step */
    double rates[2]; /* optimizer.learning_rate */
} homeitems;

/* A tensor of the model, without its data. */
homeitem homeitem_of(const hometensor *tensor);

/* Its elements, and their bytes. */
size_t homeitem_count(const homeitem *item);
size_t homeitem_bytes(const homeitem *item);

/* HOME_E_VALUE where one of its elements [first .. first + count), which `values` are, is none that
 * training gives. */
home_status homeitem_check(const homeitem *item, const void *values, size_t first, size_t count,
                           home_error *error);

/* Whether a tensor of this name is the optimizer's. */
bool homeitem_is_optimizer(const char *name);

/* Lists the tensors of a model, with those of its optimizer on request. Free the arena after
 * HOME_OK. */
home_status homeitems_list(homeitems *list, const home_model *model, bool optimizer,
                           home_error *error);

/* load.c: whether a key of the metadata is the host's own; and whether the library's keys are those
 * of this version, where there are any: HOME_E_UNSUPPORTED, HOME_E_FORMAT. */
bool homecheckpoint_is_own_key(const char *key);
home_status homecheckpoint_check_keys(const homearchive *archive, home_error *error);

#endif
