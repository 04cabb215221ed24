/* What a home_health holds, for the three that work on it: health.c runs a model and counts,
 * health_figures.c reports what has been counted, health_bytes.c sends it to other machines.
 *
 * Here: the health of a mixture, and the quality of predictions (metrics.c, which adds
 * them up in exact.c and ranks them in ranking.c). Called by: hosts only.
 * Calls: create, train, serve's workspaces, model, host, base. */
#ifndef HOME_HEALTH_H
#define HOME_HEALTH_H

#include "../model/model.h"

#include <math.h>

/* Values nearer to 0 count as 0, outputs that vary by less as constant. */
#define HOME_NEAR_ZERO 1e-6

typedef struct homehealth_expert {
    size_t layer;
    const char *unit;
    size_t index; /* in its unit */
    size_t width;
    size_t column; /* of its outputs in a row that was copied aside */
    size_t output; /* of its first value among the tally's values */
    size_t first;  /* expert of its layer */
    size_t pairs;  /* of its layer start here in the tally */
} homehealth_expert;

typedef struct homehealth_node {
    size_t layer;
    const char *name;
    const size_t *experts; /* [expert_count] that its gate sees */
    size_t expert_count;
    bool gated;    /* without a gate its one expert has weight 1 */
    size_t column; /* of its gate's weights */
    size_t weight; /* of the first of them in the tally */
    size_t own;    /* its first own expert */
    size_t own_count;
    bool self; /* has a self term */
    size_t self_column;
    size_t self_weight;
} homehealth_node;

typedef struct homehealth_layer {
    const size_t *units; /* [unit_count] the first expert of each */
    size_t unit_count;
    size_t nodes; /* the first node */
    size_t node_count;
} homehealth_layer;

/* What has been counted. Of each output value: the mean and the sum of squares around it, which
 * merge by Chan, Golub and LeVeque's formula without losing digits. */
typedef struct homehealth_tally {
    uint64_t rows;
    double *mean;
    double *squares;
    double *min;
    double *max;
    double *differences; /* [pairs] sum of (a - b)^2 */
    double *weights;     /* sums */
    double *self_weights;
    double *entropies;   /* [nodes] sums, in nats */
    uint64_t *near_zero; /* [experts] */
    uint64_t *bins;      /* [experts, HOME_HEALTH_BINS] */
} homehealth_tally;

struct home_health {
    home_allocator allocator;
    homearena arena; /* names, places and tallies */
    const char *topology;
    const home_model *model; /* during a call that adds */
    homehealth_layer *layers;
    size_t layer_count;
    homehealth_expert *experts;
    size_t expert_count;
    homehealth_node *nodes;
    size_t node_count;
    size_t values; /* of all experts' outputs in a row */
    size_t pairs;
    size_t weights;
    size_t self_weights;
    size_t columns; /* of a row copied aside */
    homehealth_tally total;
    homehealth_tally added; /* by the call that runs */
    float *block;           /* [BLOCK_ROWS, columns] copied aside */
    double *block_mean;     /* [values] */
    double *block_squares;
    double edges[HOME_HEALTH_BINS]; /* of the histograms; the last one is infinite */
};

/* Empties a tally; adds one to another, which may be the same. */
void homehealth_reset(const home_health *health, homehealth_tally *t);
void homehealth_join(const home_health *health, homehealth_tally *into,
                     const homehealth_tally *from);

/* The place of a pair of experts of one layer, a < b: a triangle, row by row of b. */
static inline size_t homehealth_pair(const home_health *health, size_t a, size_t b) {
    const homehealth_expert *e = &health->experts[b];
    const size_t i = a - e->first;
    const size_t j = b - e->first;
    return e->pairs + j * (j - 1) / 2 + i;
}

/* -w log w, 0 for w = 0 */
static inline double homehealth_information(double w) {
    return w > 0 ? -w * log(w) : 0;
}

#endif
