#include "bench/peers/worker.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* False for a line that is no request. */
static bool parse(char *line, worker_request *r) {
    char *rest = line;
    const char *words[4];
    for (size_t i = 0; i < 4; i++)
        if (!(words[i] = strtok_r(rest, " \n", &rest)))
            return false;
    *r = (worker_request){.batch = (size_t)strtoul(words[2], NULL, 10),
                          .slice = strtod(words[3], NULL)};
    snprintf(r->op, sizeof r->op, "%s", words[0]);
    snprintf(r->config, sizeof r->config, "%s", words[1]);
    return true;
}

void worker_serve(worker_function answer) {
    char line[128];
    worker_request request;
    while (fgets(line, sizeof line, stdin)) {
        if (parse(line, &request))
            answer(&request);
        else
            printf("-");
        printf("\n");
        fflush(stdout);
    }
}
