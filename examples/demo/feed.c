#include "feed.h"

#include <math.h>
#include <stdlib.h>

/* --------------------------------------------------------------------------------------- random */

static uint64_t random_bits(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static double random_uniform(uint64_t *state) { /* in [0, 1) */
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

static double random_normal(uint64_t *state) { /* Box and Muller */
    const double radius = sqrt(-2.0 * log(1.0 - random_uniform(state)));
    return radius * cos(2.0 * 3.14159265358979 * random_uniform(state));
}

/* Low numbers are popular. */
static size_t random_popular(uint64_t *state, size_t count) {
    return (size_t)((double)count * pow(random_uniform(state), 1.5));
}

/* ---------------------------------------------------------------------------------------- world */

enum { FACTORS = 4 }; /* what users like, and what videos have of it */

typedef struct viewer {
    double likes[FACTORS];
    double generous; /* interacts readily */
    double patient;  /* watches long */
} viewer;

typedef struct clip {
    size_t author;
    double has[FACTORS];
    double quality;
    double log_seconds; /* of duration, around 0 */
    bool comments_off;
} clip;

typedef struct world {
    viewer users[FEED_USERS];
    clip videos[FEED_VIDEOS];
    double charm[FEED_AUTHORS]; /* of authors: makes viewers follow them */
} world;

static void make_world(world *w, uint64_t *random) {
    double style[FEED_AUTHORS][FACTORS];
    for (size_t a = 0; a < FEED_AUTHORS; a++) {
        w->charm[a] = random_normal(random);
        for (size_t k = 0; k < FACTORS; k++)
            style[a][k] = random_normal(random);
    }
    for (size_t u = 0; u < FEED_USERS; u++) {
        viewer *user = &w->users[u];
        for (size_t k = 0; k < FACTORS; k++)
            user->likes[k] = random_normal(random);
        user->generous = random_normal(random);
        user->patient = 0.4 * user->generous + 0.9 * random_normal(random);
    }
    for (size_t v = 0; v < FEED_VIDEOS; v++) {
        clip *video = &w->videos[v];
        video->author = random_popular(random, FEED_AUTHORS);
        for (size_t k = 0; k < FACTORS; k++)
            video->has[k] = 0.7 * style[video->author][k] + 0.7 * random_normal(random);
        video->quality = random_normal(random);
        video->log_seconds = random_normal(random);
        video->comments_off = random_uniform(random) < 0.05;
    }
}

/* ---------------------------------------------------------------------------------------- tasks */

const feed_task feed_tasks[FEED_TASKS] = {
    {"click", "inter", 0.30},   {"like", "inter", 0.05},           {"comment", "inter", 0.01},
    {"follow", "inter", 0.003}, {"effective_view", "watch", 0.45}, {"long_view", "watch", 0.25},
    {"finish", "watch", 0.12},
};

enum { COMMENT = 2 };

/* What moves a viewer, and how much it counts for each task. */
enum { TASTE, QUALITY, GENEROUS, PATIENT, LENGTH, CHARM, EVENING, CAUSES };

static const double weights[FEED_TASKS][CAUSES] = {
    /* taste quality generous patient length charm evening */
    {0.8, 0.5, 0.5, 0.1, -0.1, 0.1, 0.2}, /* click */
    {1.1, 0.6, 0.9, 0.0, -0.1, 0.2, 0.1}, /* like */
    {0.8, 0.5, 1.1, 0.2, 0.1, 0.2, 0.4},  /* comment */
    {1.0, 0.4, 0.8, 0.1, 0.0, 1.0, 0.0},  /* follow */
    {0.7, 0.6, 0.0, 0.6, -0.2, 0.0, 0.3}, /* effective_view */
    {0.9, 0.7, 0.0, 0.8, 0.5, 0.0, 0.4},  /* long_view */
    {0.7, 0.6, 0.0, 0.7, -1.0, 0.0, 0.2}, /* finish */
};

static void find_causes(const world *w, const viewer *u, const clip *v, double hour,
                        double causes[CAUSES]) {
    double taste = 0.0;
    for (size_t k = 0; k < FACTORS; k++)
        taste += u->likes[k] * v->has[k];
    causes[TASTE] = taste / sqrt(FACTORS);
    causes[QUALITY] = v->quality;
    causes[GENEROUS] = u->generous;
    causes[PATIENT] = u->patient;
    causes[LENGTH] = v->log_seconds;
    causes[CHARM] = w->charm[v->author];
    causes[EVENING] = cos((hour - 21.0) / 24.0 * 2.0 * 3.14159265358979);
}

static double weigh(const double weight[CAUSES], const double causes[CAUSES]) {
    double sum = 0.0;
    for (size_t c = 0; c < CAUSES; c++)
        sum += weight[c] * causes[c];
    return sum;
}

static double sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

/* ---------------------------------------------------------------------------------- impressions */

/* What a ranking service knows when it ranks: noisy views of some causes, none of the labels. */
static void observe(const viewer *u, const clip *v, double hour, const double causes[CAUSES],
                    uint64_t *random, float dense[FEED_DENSE]) {
    size_t n = 0;
    for (size_t k = 0; k < FACTORS - 1; k++) { /* the last factor shows only in the ids */
        dense[n++] = (float)(u->likes[k] + 0.3 * random_normal(random));
        dense[n++] = (float)(v->has[k] + 0.3 * random_normal(random));
    }
    dense[n++] = (float)(causes[TASTE] + 1.0 * random_normal(random)); /* the retrieval's score */
    dense[n++] = (float)(v->quality + 1.0 * random_normal(random));    /* its popularity lately */
    dense[n++] = (float)(u->generous + 1.0 * random_normal(random));   /* the user's lately */
    dense[n++] = (float)(u->patient + 1.0 * random_normal(random));
    dense[n++] = (float)v->log_seconds;
    dense[n++] = (float)sin(hour / 24.0 * 2.0 * 3.14159265358979);
    dense[n] = (float)cos(hour / 24.0 * 2.0 * 3.14159265358979);
}

/* Draws who is shown what, and what is known of it; truth gets the logits without the tasks'
 * biases. */
static void draw_impressions(feed_log *feed, const world *w, uint64_t *random) {
    for (size_t r = 0; r < feed->rows; r++) {
        const size_t u = random_popular(random, FEED_USERS);
        const size_t v = random_popular(random, FEED_VIDEOS);
        const double hour = 24.0 * random_uniform(random);
        double causes[CAUSES];
        find_causes(w, &w->users[u], &w->videos[v], hour, causes);
        feed->users[r] = u;
        feed->videos[r] = v;
        feed->authors[r] = w->videos[v].author;
        observe(&w->users[u], &w->videos[v], hour, causes, random, &feed->dense[r * FEED_DENSE]);
        for (size_t t = 0; t < FEED_TASKS; t++)
            feed->truth[r * FEED_TASKS + t] = (float)weigh(weights[t], causes);
    }
}

/* The bias that gives a task its rate, by bisection over a sample. */
static double find_bias(const feed_log *feed, size_t task) {
    const size_t sample = feed->rows < 20000 ? feed->rows : 20000;
    double low = -20.0;
    double high = 20.0;
    for (int i = 0; i < 30; i++) {
        const double middle = (low + high) / 2.0;
        double sum = 0.0;
        for (size_t r = 0; r < sample; r++)
            sum += sigmoid(middle + (double)feed->truth[r * FEED_TASKS + task]);
        if (sum < feed_tasks[task].rate * (double)sample)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void draw_labels(feed_log *feed, const world *w, uint64_t *random) {
    for (size_t t = 0; t < FEED_TASKS; t++) {
        const double bias = find_bias(feed, t);
        for (size_t r = 0; r < feed->rows; r++) {
            const size_t at = r * FEED_TASKS + t;
            const double probability = sigmoid(bias + (double)feed->truth[at]);
            const bool happens = random_uniform(random) < probability;
            feed->truth[at] = (float)probability;
            feed->labels[at] = happens ? 1.0f : 0.0f;
            if (t == COMMENT && w->videos[feed->videos[r]].comments_off)
                feed->labels[at] = NAN;
        }
    }
}

bool feed_simulate(feed_log *out, size_t rows, uint64_t seed) {
    uint64_t random = seed;
    world *w = malloc(sizeof *w);
    feed_log made = {
        .rows = rows,
        .dense = calloc(rows, FEED_DENSE * sizeof(float)),
        .users = calloc(rows, sizeof(uint64_t)),
        .videos = calloc(rows, sizeof(uint64_t)),
        .authors = calloc(rows, sizeof(uint64_t)),
        .labels = calloc(rows, FEED_TASKS * sizeof(float)),
        .truth = calloc(rows, FEED_TASKS * sizeof(float)),
    };
    if (!w || !made.dense || !made.users || !made.videos || !made.authors || !made.labels ||
        !made.truth) {
        free(w);
        feed_free(&made);
        return false;
    }
    make_world(w, &random);
    draw_impressions(&made, w, &random);
    draw_labels(&made, w, &random);
    free(w);
    *out = made;
    return true;
}

void feed_free(feed_log *feed) {
    free(feed->dense);
    free(feed->users);
    free(feed->videos);
    free(feed->authors);
    free(feed->labels);
    free(feed->truth);
}
