/* What training learned about the columns, as JSON text beside the recipe itself. The checkpoint
 * stores it, and is then all that it takes to predict from a raw CSV. */
#ifndef CLI_LEARNED_H
#define CLI_LEARNED_H

#include "recipe.h"

/* {"schema": 1, "recipe": as written, "learned": {"dense": [...], "vocabularies": [...]}} */
void learned_write(const recipe *from, hometext *text);

/* Reads that text; messages call the file `name`. */
bool learned_read(recipe *of, const char *name, const char *text, failure *why);

#endif
