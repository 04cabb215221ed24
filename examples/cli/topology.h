/* Prints who sees whom in a model, with shapes and parameters, as tables for people. */
#ifndef CLI_TOPOLOGY_H
#define CLI_TOPOLOGY_H

#include "failure.h"

#include "../../lib/host/json.h"

#include "home/home.h"

bool topology_print(const home_model *model, failure *why);

/* The text that a JSON object has under a key, or "". */
const char *topology_text(const homejson_value *object, const char *key);

#endif
