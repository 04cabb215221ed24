/* The gates of a model as one picture along the hierarchy: for each layer a matrix of nodes and
 * experts, shaded by mean gate weight, and between them lines from the nodes to the units that read
 * them. */
#ifndef CLI_GATES_H
#define CLI_GATES_H

#include "examination.h"

bool gates_draw(FILE *to, const examination *of, const home_model *model, failure *why);

#endif
