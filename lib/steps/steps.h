/* The kinds of step that a plan is made of, one file each: formula and shapes, forward, backward
 * right beneath it, what it packs, what it needs of scratch, how a step of an image is checked, and
 * how many multiply-adds it costs.
 *
 * Here: what a step is (this file), the list of kinds with the fields of each (kinds.h), and a run
 * of steps over rows with its views and its threads (run.h). Called by: plan, which makes steps,
 * and all above, which run them. Calls: kernels, base. A step knows no model, no layer and no
 * task. */
#ifndef HOME_STEPS_H
#define HOME_STEPS_H

#include "../kernels/kernels.h"

/* Columns of a buffer. Steps that write one wide buffer together, or read parts of one, need no
 * copies:
 *
 *     buffer 2   | expert 0            | expert 1            |
 *                ^ view {2, 0, 24}     ^ view {2, 24, 24}      24 columns each
 */
typedef struct homeview {
    size_t buffer;
    size_t column;
    size_t width;
} homeview;

/* Columns [first, first + width) of a view. */
static inline homeview homeview_columns(homeview view, size_t first, size_t width) {
    return (homeview){view.buffer, view.column + first, width};
}

/* An input of a step. Going backward, the step that comes first writes the gradient, the others
 * add. */
typedef struct homesource {
    homeview view;
    bool accumulate;
} homesource;

/* The values of all rows for some columns, [rows, width], in memory of row_capacity rows for every
 * buffer:
 *
 *     activations   | buffer 0                     | buffer 1                     | ..
 *                   | row 0 | row 1 | ..           | row 0      | row 1      | .. |
 *                   ^ start * row_capacity         ^ start * row_capacity
 *                     rows `stride` floats apart     start = the strides before it
 *
 * `start` counts columns, not floats, so a plan holds for any number of rows. The rows of one
 * buffer lie next to each other, as products want them.
 *
 * In serving, a buffer that is not needed any more gives its place to later ones (plan_buffers.c),
 * so two buffers may overlap. A step's output never overwrites its inputs: their lives meet in that
 * step. */
typedef struct homebuffer {
    size_t width;
    size_t stride; /* floats from row to row */
    size_t start;  /* its place: columns of the buffers before it; for serving, buffers may share a
                      place */
    size_t gradient_start; /* the place of its gradient, which buffers may share too */
    bool zero_gradient; /* no step writes all of its gradient: it must be zero before a backward */
} homebuffer;

typedef struct homestep_kind homestep_kind;
typedef struct homestep homestep;
typedef struct homerun homerun;

#include "kinds.h"

/* The common head of all steps, followed by the fields of its kind. Steps are const once the plan
 * is made; what a run changes is in the run. */
struct homestep {
    const homestep_kind *kind;
    homesource *in; /* [in_count] */
    size_t in_count;
    homeview out;
    size_t packed; /* its packed weights begin here */
    union {        /* by kind: homelinear linear, and so on */
        HOMESTEP_KINDS(HOMESTEP_MEMBER, HOMESTEP_NO_MEMBER)
    };
};

/* What packing reads and writes. */
typedef struct homestep_weights {
    const homekernels *kernels;
    const float *parameters; /* [parameter_count] */
    const float *statistics; /* [statistic_count] running means and variances */
    double norm_epsilon;
    float *packed; /* [packed_size] of all steps; each writes from its step->packed on */
} homestep_weights;

/* Takes packed floats piece by piece. */
typedef struct homestep_sink {
    void (*put)(void *context, const float *values, size_t count);
    void *context;
} homestep_sink;

/* Words by which an image tells apart steps of one kind: an activation, a sigmoid or not, a mixture
 * first or not. Every kind that needs one has a word of its own. Of all choices the activations are
 * the most, so a choice is at most the last of them; a new one that comes after Swish is named
 * here. */
enum { HOMESTEP_CHOICES = 3, HOMESTEP_MAX_CHOICE = HOME_ACT_SWISH };

enum { HOMESTEP_MAX_PANEL = 256 }; /* columns of a panel, of any set of kernels and in any image */

/* What a kind does. A NULL means: nothing to do, or none. */
struct homestep_kind {
    const char *name;

    /* out = f(in), for the run's rows. */
    void (*forward)(const homerun *run, const homestep *step);

    /* For images, which come from outside and are not trusted. Whether number and widths of the
     * inputs are what `forward` takes for granted; NULL: the kind does not serve. Then the choices,
     * written to an image (all are 0 before) and read from one; false where they are none of the
     * kind's. Fields of the kind that are not choices do not get into an image: what serving needs
     * besides goes into the packed weights. */
    bool (*is_sound)(const homestep *step);
    void (*get_choices)(const homestep *step, size_t choices[HOMESTEP_CHOICES]);
    bool (*set_choices)(homestep *step, const size_t choices[HOMESTEP_CHOICES]);

    /* Floats of the packed weights, in panels of `panel` columns; false where no size_t is large
     * enough. It may ask for nothing that a step of an image lacks. */
    bool (*packed_size)(const homestep *step, size_t panel, size_t *floats);

#ifndef HOME_SERVE_ONLY
    /* in' += or = df/din out', as each input's `accumulate` says, and the gradients of the
     * parameters, which it writes. It finds the gradient of its output complete, and may overwrite
     * it: no other step reads that again. */
    void (*backward)(const homerun *run, const homestep *step);

    /* Brings the packed weights up to date. Whether they follow from any of the parameters [offset,
     * offset + count), and whether from running statistics too. */
    void (*pack)(const homestep_weights *weights, const homestep *step);
    bool (*reads)(const homestep *step, size_t offset, size_t count);
    bool reads_statistics;

    /* Gives the packed weights to `sink` in panels of another width, `to`, for an image that other
     * kernels read: exactly as many floats as packed_size() says for that width. */
    void (*repack)(const homestep *step, const float *packed, size_t panel, size_t to,
                   homestep_sink sink);

    /* Floats of scratch that forward and backward of a training run of `rows` need; false on
     * overflow. Only one step runs at a time, so all share the scratch of the one that needs most,
     * and nothing in it outlives a forward or a backward. */
    bool (*scratch_size)(const homestep *step, size_t rows, size_t panel, size_t *floats);

    /* Moves the running statistics towards those of the batch. */
    void (*move_statistics)(const homerun *run, const homestep *step);

    /* Multiply-adds of matrix products for one row. */
    uint64_t (*macs)(const homestep *step);
#endif
};

/* For the members of a row that only a library that trains has. A serve-only build drops the
 * initializers together with the members. */
#ifdef HOME_SERVE_ONLY
#define HOMESTEP_TRAINING(...)
#else
#define HOMESTEP_TRAINING(...) __VA_ARGS__
#endif

/* The rows: homestep_linear and so on; and all in the order of the list. */
HOMESTEP_EACH(HOMESTEP_ROW)
extern const homestep_kind *const homestep_kinds[];
enum { HOMESTEP_EACH(HOMESTEP_NUMBER) HOMESTEP_KIND_COUNT };

/* The kind's number. */
size_t homestep_number(const homestep_kind *kind);

/* Sets the choices of a step that has its kind; false where they are none of the kind's. */
bool homestep_choose(homestep *step, const size_t choices[HOMESTEP_CHOICES]);

/* Whether [a, a + a_count) and [b, b + b_count) have a number in common. */
static inline bool homestep_overlap(size_t a, size_t a_count, size_t b, size_t b_count) {
    return a < b + b_count && b < a + a_count;
}

/* Whether inputs first, first + stride .. before `end` have the width. */
bool homestep_have_width(const homestep *step, size_t first, size_t end, size_t stride,
                         size_t width);

#endif
