/* Errors that the library finds in a configuration, placed in the recipe that it was made from.
 *
 * The place is read from the library's message, which begins with a path such as
 * "config.layers[0].width". A message that begins otherwise is passed on with the recipe's name
 * alone; tests/cli holds the two to each other. */
#ifndef CLI_BLAME_H
#define CLI_BLAME_H

#include "recipe.h"

/* From "config.layers[0].width is 0, expected ..." to "FILE:LINE:BYTE: model.layers[0].width is 0,
 * expected ...". Always false. */
bool blame_recipe(const recipe *by, const char *message, failure *why);

#endif
