/* What training learned about the columns, as JSON text beside the recipe itself. It is stored in
 * the checkpoint, which alone is then enough to predict from a raw CSV. */
#ifndef CLI_LEARNED_H
#define CLI_LEARNED_H

#include "recipe.h"

/* {"schema": 1, "recipe": as the user wrote it, "learned": {"dense": [...], "vocabularies": [...]}}
 */
void learned_write(const recipe *from, hometext *text);

/* Reads that text; `name` is of the file, for messages. */
bool learned_read(recipe *of, const char *name, const char *text, failure *why);

#endif
