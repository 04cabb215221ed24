/* A model as a list of steps over buffers. One plan drives training, and one (with batch norms folded away)
 * serving. */
#ifndef HOME_PLAN_H
#define HOME_PLAN_H

#include "tensors.h"
#include "topology.h"

/* Columns of a buffer. */
typedef struct home_view {
    size_t buffer;
    size_t column;
    size_t width;
} home_view;

/* An input of a step. Going backward, the step that comes first writes the gradient, the others add. */
typedef struct home_source {
    home_view view;
    bool accumulate;
} home_source;

typedef enum home_activation {
    HOME_ACT_NONE,
    HOME_ACT_RELU,
    HOME_ACT_SIGMOID,
    HOME_ACT_SWISH
} home_activation;

/* Rows of a linear step's matrix: [rows, in] with row stride ld, out of one or more adjacent tensors. */
typedef struct home_segment {
    size_t weight; /* offset in the parameters */
    size_t ld;
    size_t rows;
    size_t bias; /* offset in the parameters, or HOME_NONE */
} home_segment;

typedef enum home_step_kind {
    HOME_STEP_LINEAR,       /* out = act(in0 Wᵀ + b), W and b = the segments below each other */
    HOME_STEP_ACTIVATE,     /* out = act(sum of all inputs) */
    HOME_STEP_NORM,         /* out = act(batch norm(in0)) */
    HOME_STEP_SOFTMAX,      /* out = softmax(sum of all inputs); for width 1 and `sigmoid`: sigmoid */
    HOME_STEP_FEATURE_GATE, /* out = in0 * F; in1..inL the branches; then, where L > 1, their weights */
    HOME_STEP_CONSTANT,     /* out = the parameters `weights` in every row, or ones */
    HOME_STEP_MIX           /* out = sum over pairs of inputs (expert, weight [rows, 1]) of weight * expert */
} home_step_kind;

typedef struct home_step {
    home_step_kind kind;
    home_source *in; /* [in_count] */
    size_t in_count;
    home_view out;
    home_activation activation; /* of LINEAR, ACTIVATE, NORM */
    /* LINEAR */
    home_segment *segments;
    size_t segment_count;
    size_t packed; /* offset of its panels, or of a CONSTANT's weights, in the packed weights */
    /* NORM: offsets of [width] vectors */
    size_t gamma, beta;    /* in the parameters */
    size_t mean, variance; /* in the statistics */
    size_t batch;          /* in the batch's own statistics */
    /* SOFTMAX */
    bool sigmoid;
    /* FEATURE_GATE */
    bool mix_first;
    /* CONSTANT */
    size_t weights; /* offset of [width] in the parameters, or HOME_NONE: ones */
} home_step;

/* L of a feature gate: its inputs are x, the branches and, where there are several, their weights. */
static inline size_t home_feature_branches(const home_step *step) {
    return step->in_count > 2 ? step->in_count - 2 : 1;
}

typedef struct home_buffer {
    size_t width;
    size_t stride; /* floats from row to row */
    size_t start;  /* its place: columns of the buffers before it; for serving, buffers may share a place */
    size_t gradient_start; /* the place of its gradient, which buffers may share too */
    bool zero_gradient;    /* no step writes all of its gradient: it must be zero before a backward */
} home_buffer;

/* A value that somebody may want to see. It is there from the end of step `step`, its last writer, until its last
 * reader has run; step is HOME_NONE where the model has no such value. */
typedef struct home_landmark {
    home_view view;
    size_t step;
} home_landmark;

/* What the topology's units and nodes of one layer compute. */
typedef struct home_landmarks {
    home_landmark *experts; /* [units] outputs of the unit's experts, side by side */
    home_landmark *gates;   /* [nodes] weights of the visible experts; none: the one expert's weight is 1 */
    home_landmark *selves;  /* [nodes] weights of the own experts in the self term */
} home_landmarks;

typedef struct home_plan {
    home_step *steps;
    size_t step_count;
    size_t step_capacity;
    home_buffer *buffers;
    size_t buffer_count;
    size_t buffer_capacity;
    home_landmarks *layers; /* [layers] */
    home_view input;        /* v */
    home_view logits;       /* [rows, tasks] */
    home_view sigmoids;     /* [rows, tasks] of the logits, scratch */
    size_t uncertainty;     /* offset of [tasks] in the parameters, or HOME_NONE */
    size_t row_width;       /* floats of one row over all buffers */
    size_t gradient_width;  /* the same of their gradients; in a plan for training */
    size_t batch_width;     /* columns of all batch norms together */
    size_t packed_size;     /* floats of all panels */
    uint64_t macs;          /* multiply-adds of the matrix products for one row */
} home_plan;

/* How a plan is to be built. */
typedef struct home_plan_options {
    bool folded;  /* for serving: no batch norms, the experts' last linears take their place; activations in
                     products */
    size_t panel; /* columns of a panel of packed weights */
} home_plan_options;

/* Builds the plan and lists the tensors it uses, embedding tables last. HOME_E_MEMORY; HOME_E_TOO_LARGE; what
 * the filter of the tensors refuses. */
home_status home_plan_build(const home_settings *settings, const home_topology *topology,
                            home_plan_options options, home_arena *arena, home_plan *plan,
                            home_tensors *tensors, home_error *error);

/* The last of that, once all steps are there; where memory ends, the arena has failed. */

/* Finds the steps that write what the landmarks name. */
void home_plan_find_writers(home_plan *plan, const home_topology *topology, home_arena *arena);

/* Notes for each step's input whether its gradient is there already when the step runs backward (add to it) or not
 * (write it), and which gradients must start at zero. */
void home_plan_gradients(home_plan *plan, home_arena *arena);

/* Lets buffers that are never in use together take the same memory, which so stays in the caches: in serving (folded)
 * all buffers, in training their gradients. A gradient lives as long as its buffer would in serving, backward; one that
 * starts at zero does so at the beginning. */
void home_plan_share_buffers(home_plan *plan, bool folded, home_arena *arena);

#endif
