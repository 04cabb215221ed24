/* Who sees whom: layers, units and nodes, in the sense of docs/model.md ("Layers, units, nodes"). A
 * preset is nothing but a function that writes one of these; all that follows reads it and knows no
 * model's name. */
#ifndef HOME_TOPOLOGY_H
#define HOME_TOPOLOGY_H

#include "../config/config.h"

/* For example the preset mmoe with two experts and tasks like and view:
 *
 *     layer 0    unit "shared": 2 experts, reads v
 *                node "like":   sees shared, its gate reads v
 *                node "view":   sees shared, its gate reads v
 *     towers     like reads node like, view reads node view
 */

/* A set of experts that share one input vector. */
typedef struct homeunit {
    const char *name; /* first, for homesort_find_name() */
    size_t source;    /* the node of the layer below whose output it reads; HOME_NONE in the first
                         layer: v */
    size_t experts;
} homeunit;

/* A vector that a gate reads: a unit's input before or after its feature gate. */
typedef struct homegate_input {
    size_t unit;
    bool gated;
} homegate_input;

/* The self term of a node: its own experts once more. */
typedef enum homeself_kind {
    HOME_SELF_TERM_NONE,
    HOME_SELF_TERM_GATE,   /* weighted by a gate: sigmoid for one expert, softmax for more */
    HOME_SELF_TERM_STATIC, /* weighted by a free scalar each */
    HOME_SELF_TERM_ONE     /* with weight 1 */
} homeself_kind;

/* One output vector: z = sum over visible experts w h, + sum over own experts s h. */
typedef struct homenode {
    const char *name;   /* first, for homesort_find_name() */
    const size_t *sees; /* [sees_count] units of the layer, in the order of the gate's outputs */
    size_t sees_count;
    /* [input_count] what its gate reads, side by side; none: no gate, the one visible expert has
     * weight 1 */
    const homegate_input *inputs;
    size_t input_count;
    homeself_kind self;
    size_t own;      /* the unit of the self term */
    bool self_gated; /* the self gate reads its unit's input after the feature gate */
} homenode;

typedef struct homelayer {
    const home_layer_config *config;
    homeunit *units;
    size_t unit_count;
    homenode *nodes;
    size_t node_count;
    const void **units_by_name; /* [unit_count] */
    const void **nodes_by_name; /* [node_count] */
} homelayer;

typedef struct hometopology {
    homelayer *layers;
    size_t layer_count;
    size_t *task_node; /* [tasks] the node of the last layer that the task's tower reads */
} hometopology;

/* Of settings without an error. The reader, with which they were read, hears what is wrong with the
 * user's own units, nodes or masks; its status is returned. */
struct homereader;
home_status hometopology_build(struct homereader *in, const homesettings *settings,
                               hometopology *topology);

#endif
