/* What a model does on labelled rows, which "home inspect" prints and "home report" draws: how well
 * it predicts, how its experts and gates are doing, and what gradient each task sends to each
 * unit. */
#ifndef CLI_EXAMINATION_H
#define CLI_EXAMINATION_H

#include "scores.h"

/* Predictions of one task sorted into narrow bins by their log odds, for curves. */
#define EXAMINATION_BINS 480
typedef struct score_bin {
    double rows;
    double labels;      /* sum */
    double predictions; /* sum */
} score_bin;

/* A set of experts of the model. */
typedef struct examined_unit {
    size_t layer;
    const char *name;    /* of home_health's */
    size_t first_expert; /* number in home_health */
    size_t experts;
} examined_unit;

typedef struct examination {
    const recipe *by;
    scores quality;
    home_health *health;
    examined_unit *units;
    size_t unit_count;
    unknown_ids *unknown; /* [fields] */
    score_bin *bins;      /* [tasks, EXAMINATION_BINS] */
    double *gradients;    /* [units, tasks] norm of the gradient at the unit's experts, mean of some
                             batches */
} examination;

/* Reads and predicts the whole file. This changes the model's running statistics, because some
 * training batches go through it. */
bool examination_run(examination *made, home_model *model, recipe *by, const char *path,
                     failure *why);
void examination_free(examination *made); /* a zeroed struct is allowed */

/* Figures by number; the numbers are home_health's. */
home_expert_health examination_expert(const examination *of, size_t expert);
home_node_health examination_node(const examination *of, size_t node);

double examination_gradient(const examination *of, size_t unit, size_t task);

/* The unit that an expert belongs to. */
size_t examination_unit_of(const examination *of, size_t expert);

/* The task whose tower reads a node; label_count where there is none. */
size_t examination_task_of(const examination *of, size_t node);

/* The largest number of a layer. */
size_t examination_last_layer(const examination *of);

#endif
