/* Making models: from a configuration to a model with fresh weights, and from that one a frozen
 * copy.
 *
 * Here: the making itself (create.c), fresh weights (initialize.c), frozen copies (freeze.c), the
 * topology as JSON (describe.c), workspaces to lend (pool.c), what a host may set on a model
 * (settings.c). Called by: store. Calls: train, model, serve's types, plan, config, host, base. */
#ifndef HOME_CREATE_H
#define HOME_CREATE_H

#include "../model/model.h"

/* A model whose weights are still zero. A folded one is for serving: without training state. Takes
 * the configuration as a struct or, where that is NULL, as JSON text. */
typedef struct homecreate_blueprint {
    const home_config *config;
    const char *json;
    size_t json_length;
    bool stored;     /* the JSON comes from a checkpoint */
    const char *isa; /* goes before that of the JSON; NULL: none */
    const home_allocator *allocator;
    size_t memory_limit; /* the most bytes that the model may take while it is made; 0: any */
    size_t plan_limit;   /* the same for settings, topology and plan alone; 0: memory_limit */
    bool folded;
    bool plan_only; /* stop before memory for weights is taken: the model can only be looked at */
    home_config_report report; /* hears of each error of the configuration; may be NULL */
    void *report_user;
    const homekernels *kernels;     /* NULL: chosen for this machine */
    hometensors_check check_tensor; /* while the plan is made; may be NULL */
    /* Called when settings, topology, plan and tensors are known, before memory is taken for them;
     * may be NULL. */
    home_status (*check)(const home_model *model, const void *context, home_error *error);
    const void *context; /* of both */
} homecreate_blueprint;
home_status homecreate_model(const homecreate_blueprint *blueprint, home_model **model,
                             home_error *error);

/* A caller's limit of memory as the size that it is. */
size_t homecreate_limit(uint64_t bytes);

/* initialize.c: fresh weights from the seed. */
void homeinitialize_model(home_model *model);

/* freeze.c: makes a folded model that has the weights of an unfolded one ready to serve. What it
 * has not itself, the batch norms, `find` finds by name; NULL where there is none. */
typedef const float *(*homefreeze_find)(const void *context, const char *name);
void homefreeze_finish(home_model *made, homefreeze_find find, const void *context);

/* describe.c: the topology as JSON. */
void homedescribe_topology(const homesettings *settings, const hometopology *topology,
                           hometext *text);

/* pool.c: a pool of workspaces at rest, or NULL. */
homepool *homepool_create(const home_allocator *allocator);
void homepool_free(homepool *pool, const home_allocator *allocator);

/* settings.c: HOME_E_STATE for a model that was opened from an image. */
home_status homecreate_check_not_image(const home_model *model, home_error *error);

/* A new piece of metadata, or NULL when out of memory; frees a list of them. */
homemetadata *homemetadata_create(const home_allocator *allocator, const char *key,
                                  const char *value);
void homemetadata_free(const home_allocator *allocator, homemetadata *metadata);

#endif
