/* A model as a list of steps over buffers. One plan drives training, and one (with batch norms
 * folded away) serving.
 *
 * Here: who sees whom (topology.h), the list of tensors (tensors.h), and the plan that follows from
 * them (this file). Called by: model and above. Calls: steps, config, host, base. No model's name
 * is known here but in topology.c. */
#ifndef HOME_PLAN_H
#define HOME_PLAN_H

#include "../steps/steps.h"
#include "tensors.h"
#include "topology.h"

/* A value that somebody may want to see. It is there from the end of step `step`, its last writer,
 * until its last reader has run; step is HOME_NONE where the model has no such value. */
typedef struct homelandmark {
    homeview view;
    size_t step;
} homelandmark;

/* What the topology's units and nodes of one layer compute. */
typedef struct homelandmarks {
    homelandmark *experts; /* [units] outputs of the unit's experts, side by side */
    homelandmark *gates;   /* [nodes] weights of the visible experts; none: one expert, weight 1 */
    homelandmark *selves;  /* [nodes] weights of the own experts in the self term */
} homelandmarks;

/* A plan knows no rows and holds no values: it says how many floats a row takes, and where. Values
 * are in a workspace (serving) or in hometraining.
 *
 *     plan.buffers     start, stride, gradient_start          -> activations, gradients of a run
 *     plan.steps       views of buffers; offset `packed`      -> model->packed
 *                      offsets of segments and norms          -> model->parameters, ->statistics
 *
 * docs/internals.md draws the buffers of a small plan over its steps. */
typedef struct homeplan {
    homestep *steps;
    size_t step_count;
    size_t step_capacity;
    homebuffer *buffers;
    size_t buffer_count;
    size_t buffer_capacity;
    homelandmarks *layers; /* [layers] */
    homeview input;        /* v */
    homeview logits;       /* [rows, tasks] */
    homeview sigmoids;     /* [rows, tasks] of the logits, scratch */
    size_t uncertainty;    /* offset of [tasks] in the parameters, or HOME_NONE */
    size_t row_width;      /* floats of one row over all buffers */
    size_t gradient_width; /* the same of their gradients; in a plan for training */
    size_t batch_width;    /* columns of all batch norms together */
    size_t packed_size;    /* floats of all panels */
    uint64_t macs;         /* multiply-adds of the matrix products for one row */
} homeplan;

/* How a plan is to be built. */
typedef struct homeplan_options {
    /* For serving: batch norms are folded into the linear steps before them, and all activations
     * are part of products. */
    bool folded;
    size_t panel; /* columns of a panel of packed weights */
} homeplan_options;

/* Builds the plan and lists the tensors it uses, embedding tables last. HOME_E_MEMORY;
 * HOME_E_TOO_LARGE; what the filter of the tensors refuses. */
home_status homeplan_build(const homesettings *settings, const hometopology *topology,
                           homeplan_options options, homearena *arena, homeplan *plan,
                           hometensors *tensors, home_error *error);

/* What remains to be done once all steps are there. If memory runs out, the arena has failed. */

/* Finds the steps that write what the landmarks name. */
void homeplan_find_writers(homeplan *plan, const hometopology *topology, homearena *arena);

/* Notes for each step's input whether its gradient is there already when the step runs backward
 * (add to it) or not (write it), and which gradients must start at zero. */
void homeplan_gradients(homeplan *plan, homearena *arena);

/* Lets buffers that are never in use together take the same memory, which so stays in the caches:
 * in serving (folded) all buffers, in training their gradients. A gradient lives as long as its
 * buffer would in serving, backward; one that starts at zero does so at the beginning. */
void homeplan_share_buffers(homeplan *plan, bool folded, homearena *arena);

#endif
