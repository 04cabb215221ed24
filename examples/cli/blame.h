/* Errors that the library finds in the configuration, told of the recipe that it came from. */
#ifndef CLI_BLAME_H
#define CLI_BLAME_H

#include "recipe.h"

/* From "config.layers[0].width is 0, expected ..." to "FILE:LINE:BYTE: model.layers[0].width is 0,
 * expected ...". Always false. */
bool blame_recipe(const recipe *by, const char *message, failure *why);

#endif
