/* One library under test, as a process of its own that measures when asked: run.py asks the
 * libraries in turn, so that whatever slows the machine for a while slows all of them.
 *
 * On standard input come lines "OP CONFIG BATCH SLICE": measure that case for about SLICE seconds.
 * On standard output goes one line for each: "US STYLE VALUE VALUE ...", the median of a call in
 * microseconds, the name of the variant that was timed, and the numbers that all libraries must
 * agree on; or "-" for a case that this one does not have. */
#ifndef TESTS_BENCH_PEERS_WORKER_H
#define TESTS_BENCH_PEERS_WORKER_H

#include <stddef.h>

typedef struct worker_request {
    char op[16];
    char config[32];
    size_t batch;
    double slice;
} worker_request;

/* Prints the answer, without the end of the line. */
typedef void (*worker_function)(const worker_request *request);

/* Answers until the input ends. */
void worker_serve(worker_function answer);

#endif
