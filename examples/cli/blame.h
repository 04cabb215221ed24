/* Errors that the library finds in a configuration, placed in the recipe that it was made from.
 *
 * The place is read from the library's message, which begins with a path such as "layers[0].width".
 * A message that begins otherwise is passed on with the recipe's name alone; tests/cli holds the
 * two to each other. */
#ifndef CLI_BLAME_H
#define CLI_BLAME_H

#include "recipe.h"

/* From "layers[0].width is 0, expected ..." to "FILE:LINE:BYTE: model.layers[0].width is 0,
 * expected ...", for every error of the configuration: the last is left in `why`, those before it
 * are printed. `error` is what the library said where it finds no error of the configuration now,
 * for there was no memory. Always false. */
bool blame_recipe(const recipe *by, const hometext *configuration, const home_error *error,
                  failure *why);

#endif
