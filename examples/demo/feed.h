/* A simulated short-video feed: who was shown what, what is known about it, and what the viewer
 * did. It stands in for a real log, and has one thing that no real log has: the true probability of
 * every behaviour, and so the best AUC that any model could reach. */
#ifndef DEMO_FEED_H
#define DEMO_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FEED_USERS = 2000,
    FEED_VIDEOS = 1000,
    FEED_AUTHORS = 100,
    FEED_DENSE = 13, /* numbers known about an impression */
    FEED_TASKS = 7
};

/* A behaviour to predict. */
typedef struct feed_task {
    const char *name;
    const char *group;
    double rate; /* share of the impressions that have it */
} feed_task;

extern const feed_task feed_tasks[FEED_TASKS];

/* Impressions in order of time. */
typedef struct feed_log {
    size_t rows;
    float *dense;      /* [rows, FEED_DENSE] */
    uint64_t *users;   /* [rows] */
    uint64_t *videos;  /* [rows] */
    uint64_t *authors; /* [rows] */
    float *labels;     /* [rows, FEED_TASKS]: 1, 0, or NaN where it could not happen */
    float *truth;      /* [rows, FEED_TASKS]: the probabilities that the labels were drawn from */
} feed_log;

/* The same seed gives the same feed. False when memory runs out. */
bool feed_simulate(feed_log *out, size_t rows, uint64_t seed);
void feed_free(feed_log *feed);

#endif
