/* What the fuzz harnesses share: choices taken from the input, an allocator that fails where the
 * input says, a file.
 *
 * A harness is a file tests/fuzz/test_NAME.c with the function LLVMFuzzerTestOneInput(). Linked
 * with libFuzzer it searches for inputs that break a check or make a sanitizer complain (make
 * fuzz-NAME); linked with replay.c it is a test that runs the inputs in tests/fuzz/corpus/NAME. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include "home/home.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, which is how libFuzzer learns of a finding. */
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* -------------------------------------------------------------------------------------- choices */

/* Choices are taken from the end of the input, so that a text at its beginning can be read and
 * edited. An input that is used up gives zeros. */
typedef struct fuzz_input {
    const uint8_t *data;
    size_t size;
} fuzz_input;

uint8_t fuzz_byte(fuzz_input *in);
uint64_t fuzz_bits(fuzz_input *in);              /* 8 bytes */
size_t fuzz_below(fuzz_input *in, size_t limit); /* limit 1 to 256 */
float fuzz_float(fuzz_input *in); /* mostly small, sometimes any: NaN, infinite, huge, denormal */

/* ------------------------------------------------------------------------------------ allocator */

/* Counts what is out, refuses one allocation or all from one on, and everything above a budget:
 * what a hostile configuration asks for shall not slow the search down. */
typedef struct fuzz_memory {
    size_t live; /* bytes */
    size_t budget;
    size_t allocations;
    size_t refused;
    size_t fail_at; /* which allocation is refused, from 1; 0: none */
    bool fail_on;   /* and all that follow */
} fuzz_memory;

/* Two bytes of the input: without the highest bit, as in ASCII text, nothing is refused. */
fuzz_memory fuzz_memory_start(fuzz_input *in, size_t budget);
void fuzz_memory_heal(fuzz_memory *memory); /* from now on only the budget counts */
home_allocator fuzz_allocator(fuzz_memory *memory);

/* ------------------------------------------------------------------------------------- outcomes */

/* A failure says so in the error, with a message; success does not touch it. Out of memory means
 * that something was refused. */
void fuzz_check_outcome(home_status status, const home_error *error, const fuzz_memory *memory);

/* The checkpoint's bytes, malloc'd. */
unsigned char *fuzz_serialize(const home_model *model, size_t *size);

/* ----------------------------------------------------------------------------------------- file */

/* A regular file without a name, and a path that opens it. */
typedef struct fuzz_file {
    int descriptor; /* 0: not yet made */
    char path[32];
} fuzz_file;

void fuzz_file_set(fuzz_file *file, const void *bytes, size_t size);

#endif
