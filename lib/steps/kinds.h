/* The list of the kinds of step, and the fields that each has of its own: rows, numbers in images,
 * and members of the union in a step all follow from it. docs/internals.md says how to add a
 * kind. */
#ifndef HOME_KINDS_H
#define HOME_KINDS_H

/* A kind's place here is its number in images: new ones go to the end. FIELDS for a kind that has
 * fields of its own, in a struct home<kind> below; PLAIN for one that has none.
 *
 *     linear         out = act(in0 Wᵀ + b), W and b = the segments below each other
 *     activate       out = act(sum of all inputs)
 *     norm           out = act(batch norm(in0))
 *     softmax        out = softmax(sum of all inputs), or sigmoid
 *     feature_gate   out = in0 * F; in1 .. inL the branches; then, where L > 1, their weights
 *     constant       out = the same weights in every row, or ones
 *     mix            out = sum over pairs of inputs (expert, weight [rows, 1]) of weight * expert
 */
#define HOMESTEP_KINDS(FIELDS, PLAIN)                                                              \
    FIELDS(linear)                                                                                 \
    FIELDS(activate)                                                                               \
    FIELDS(norm)                                                                                   \
    FIELDS(softmax)                                                                                \
    FIELDS(feature_gate)                                                                           \
    FIELDS(constant)                                                                               \
    PLAIN(mix)

#define HOMESTEP_EACH(what)        HOMESTEP_KINDS(what, what)
#define HOMESTEP_NUMBER(kind)      HOMESTEP_NUMBER_##kind,
#define HOMESTEP_ROW(kind)         extern const homestep_kind homestep_##kind;
#define HOMESTEP_ROW_ADDRESS(kind) &homestep_##kind,
#define HOMESTEP_MEMBER(kind)      home##kind kind;
#define HOMESTEP_NO_MEMBER(kind)

/* Rows of a linear step's matrix: [rows, in] with row stride ld, out of one or more adjacent
 * tensors. */
typedef struct homesegment {
    size_t weight; /* offset in the parameters */
    size_t ld;
    size_t rows;
    size_t bias; /* offset in the parameters, or HOME_NONE */
} homesegment;

typedef struct homelinear {
    homesegment *segments; /* [segment_count]; none in an image, which has only the packed form */
    size_t segment_count;
    homeactivation activation;
} homelinear;

typedef struct homeactivate {
    homeactivation activation;
} homeactivate;

/* Offsets of [width] vectors. */
typedef struct homenorm {
    homeactivation activation;
    size_t gamma, beta;    /* in the parameters */
    size_t mean, variance; /* in the running statistics */
    size_t batch;          /* in the batch's own statistics */
} homenorm;

typedef struct homesoftmax {
    bool sigmoid; /* for width 1: sigmoid, not softmax */
} homesoftmax;

typedef struct homefeature_gate {
    bool mix_first; /* the mixture inside the sigmoid */
} homefeature_gate;

typedef struct homeconstant {
    size_t weights; /* offset of [width] in the parameters, or HOME_NONE: ones */
} homeconstant;

#endif
