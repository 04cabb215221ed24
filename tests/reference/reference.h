/* The model of docs/model.md in plain double precision: loops that read like the formulas, nothing
 * shared with the library. It takes a configuration and the tensors of a model by name, and knows
 * only the forward pass; gradients come from finite differences of `reference_loss`. Preset home
 * only.
 *
 * A tensor that is missing, has another shape than the formulas need, or is needed by none of them
 * ends the program with a message: then names or shapes are wrong. */
#ifndef TESTS_REFERENCE_H
#define TESTS_REFERENCE_H

#include "home/home.h"

#include <stdbool.h>

typedef struct reference reference;

/* Copies every tensor of the model. The configuration is kept, not copied. */
reference *reference_create(const home_config *config, const home_model *model);
void reference_free(reference *r);

/* A tensor's values, to read or to change; NULL where there is none of this name. */
double *reference_tensor(reference *r, const char *name, size_t *count);

/* Rows like those of home_batch, in double. */
typedef struct reference_rows {
    size_t rows;
    const double *dense;    /* [rows, dense_width] */
    const home_ids *fields; /* [field_count] */
} reference_rows;

/* logits: [rows, tasks]. In training, batch norms use the batch's mean and variance and move their
 * running values. */
void reference_forward(reference *r, const reference_rows *rows, bool training, double *logits);

/* Shows what each expert, gate and self gate computes to `look`, in the next forward passes: `name`
 * is the prefix of its tensors, "layers.0.units.shared.experts.1" or "layers.1.nodes.like.gate".
 * NULL ends that. */
typedef void reference_look(void *context, const char *name, size_t rows, size_t columns,
                            const double *values);
void reference_watch(reference *r, reference_look *look, void *context);

/* The total loss of these logits. task_losses: [tasks], may be NULL. */
double reference_loss(const reference *r, size_t rows, const double *logits,
                      const home_targets *targets, double *task_losses);

double reference_sigmoid(double x);

/* True once the forward pass has read every tensor of the model; otherwise *name is one that it has
 * not. */
bool reference_used_all(const reference *r, const char **name);

#endif
