/* Collapse, degradation, underfitting: what the figures of an examination say, in words.
 * docs/health.md explains them. */
#ifndef CLI_DIAGNOSIS_H
#define CLI_DIAGNOSIS_H

#include "examination.h"

typedef enum diagnosis_kind {
    DIAGNOSIS_COLLAPSE,
    DIAGNOSIS_DEGRADATION,
    DIAGNOSIS_UNDERFITTING,
    DIAGNOSIS_KINDS
} diagnosis_kind;

/* The thresholds from which a figure is a sign of trouble. */
#define COLLAPSE_WEIGHT       0.9  /* of one expert in a gate, mean */
#define COLLAPSE_RATIO        10.0 /* between standard deviations of experts that a gate mixes */
#define COLLAPSE_ZEROS        0.9  /* share of an expert's values that are zero */
#define COLLAPSE_DEAD         0.5  /* share of an expert's outputs that never move */
#define COLLAPSE_DISTANCE     0.1  /* between the outputs of two experts */
#define DEGRADATION_SHARE     0.9  /* of a shared expert's gate mass that comes from one node */
#define DEGRADATION_MASS      0.1  /* of an even mass: below it an expert is not in use */
#define UNDERFITTING_MASS     0.5  /* of an even share of a task's gate for its own experts */
#define DIAGNOSIS_ENOUGH_ROWS 1000 /* to rely on a figure */

typedef struct finding {
    diagnosis_kind kind;
    char what[400];     /* which expert or task, the figure, the threshold */
    const char *advice; /* what to try */
} finding;

typedef struct diagnosis {
    finding *findings; /* by kind */
    size_t count;
    size_t capacity;
    /* Without these, underfitting is unknown: experts of the tasks' own, and labels of every task
     * in the rows. */
    bool own_experts;
    const char *unlabelled; /* a task that has none; NULL: all have */
} diagnosis;

bool diagnose(diagnosis *made, const examination *of, failure *why);
void diagnosis_free(diagnosis *made); /* a zeroed struct is allowed */

size_t diagnosis_count(const diagnosis *of, diagnosis_kind kind);
const char *diagnosis_name(diagnosis_kind kind);

/* "none found", "2 signs", "unknown: no task has experts of its own" */
void diagnosis_summary(const diagnosis *of, diagnosis_kind kind, char *text, size_t size);

/* "shared.0" */
void diagnosis_expert_name(const examination *of, size_t expert, char *text, size_t size);

#endif
