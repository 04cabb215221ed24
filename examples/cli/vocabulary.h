/* The values of an id column, and the row of the embedding table that each one has. Row 0 is for
 * all rare and unknown values, rows 1, 2 ... for the others in the order of their first
 * appearance. It also serves as an index of names. */
#ifndef CLI_VOCABULARY_H
#define CLI_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct vocabulary_entry {
    size_t offset; /* of the text in `bytes` */
    size_t length;
    uint64_t hash;      /* keyed_hash() */
    size_t last_record; /* that counted it, 0: none */
    size_t records;     /* in which it stands */
} vocabulary_entry;

typedef struct vocabulary {
    char *bytes; /* all texts, each with a final zero */
    size_t byte_count;
    size_t byte_capacity;
    vocabulary_entry *entries; /* entry i has row i + 1 */
    size_t count;
    size_t capacity;
    uint32_t *slots;   /* hash table of rows with linear probing, 0: free */
    size_t slot_count; /* a power of two, at least twice `count` */
} vocabulary;

/* A 64-bit hash of a text, the same in every run: the key of a user. */
uint64_t vocabulary_hash(const char *text, size_t length);

/* The row of a text, 0 where it has none. */
uint32_t vocabulary_find(const vocabulary *of, const char *text, size_t length);

/* The same, but a new text gets a new row; `record` (from 1) is where it was seen. 0 when out of
 * memory. */
uint32_t vocabulary_add(vocabulary *to, const char *text, size_t length, size_t record);

/* Forgets the texts that stand in fewer than min_count records and renumbers the others.
 * new_rows [count + 1] gets the new row of every old one. False when out of memory. */
bool vocabulary_prune(vocabulary *of, size_t min_count, uint32_t *new_rows);

/* The text of entry i. */
const char *vocabulary_text(const vocabulary *of, size_t i);

void vocabulary_free(vocabulary *of);

#endif
