/* Serving: rows in blocks through the plan, in a workspace that the caller brings or the model
 * lends.
 *
 * Here: predict and workspaces (predict.c), and models used in place from the bytes of an image
 * (image.h, image.c). Called by: create, store, metrics. Calls: model, steps, kernels, base; not
 * train. This folder's code is in every build. */
#ifndef HOME_SERVE_H
#define HOME_SERVE_H

#include "../model/model.h"

/* One block of memory, which the caller may have anywhere:
 *
 *     | up to 63 bytes | home_workspace | activations [row_width, rows] |
 *                      ^ aligned        ^ aligned
 */
struct home_workspace {
    size_t row_width;   /* of the plan it was made for, and */
    size_t rows;        /* the rows of that model's blocks */
    float *activations; /* the buffers of a plan for so many rows */
};

enum { HOME_POOL_SLOTS = 64 }; /* idle workspaces kept for predicting threads that bring none */

/* Workspaces at rest. A thread takes one by exchanging a slot with NULL: no lock. create/pool.c
 * makes it, with functions that allocate, which a build for devices lacks. */
struct homepool {
    home_workspace *(*borrow)(const home_model *model, home_error *error); /* NULL: HOME_E_MEMORY */
    void (*give_back)(const home_model *model, home_workspace *workspace);
    _Atomic(home_workspace *) slots[HOME_POOL_SLOTS];
};

#endif
