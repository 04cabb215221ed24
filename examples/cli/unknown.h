/* Ids of a file that a model does not know. They all share row 0 of their table, so a column that
 * another program wrote differently (7 as 7.0) tells the model nothing; this counts them, and looks
 * for a way of writing in which they would be known. */
#ifndef CLI_UNKNOWN_H
#define CLI_UNKNOWN_H

#include "recipe.h"

#include <stdio.h>

#define UNKNOWN_MANY 0.1 /* the share of a column's ids from which there is a warning */

/* A column's ids. */
typedef struct unknown_ids {
    uint64_t ids; /* that are not empty */
    uint64_t empty;
    uint64_t unknown;
    char example[64];     /* an unknown one, cut to fit */
    char known[64];       /* how it would be known */
    const char *question; /* why it may be written otherwise, NULL: not found */
} unknown_ids;

/* Counts an id and looks it up. Returns its row. */
uint32_t unknown_find(unknown_ids *to, const vocabulary *values, const char *text, size_t length);

/* The share of unknown ids; NaN where there are no ids. */
double unknown_share(const unknown_ids *of);
bool unknown_many(const unknown_ids *of);

/* For each column with unknown ids a line; for each with many a warning about the file `path`; and
 * {column: {"ids": .., "empty": .., "unknown": ..}} for all. of[] is by the recipe's fields. */
void unknown_print(const unknown_ids *of, const recipe *by, FILE *to);
void unknown_warn(const unknown_ids *of, const recipe *by, const char *path);
void unknown_json(const unknown_ids *of, const recipe *by, hometext *text);

#endif
