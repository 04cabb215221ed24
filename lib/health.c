/* What experts and gates compute, in figures. A run of the serving plan is observed: expert outputs and gate weights
 * are copied aside as they appear, and counted when the plan has gone through. */
#include "abi.h"
#include "model.h"

#ifndef HOME_SERVE_ONLY
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_ROWS = 64 }; /* observed at a time */

static const double NEAR_ZERO = 1e-6;

/* A node or expert that is not there. */
#define NOBODY SIZE_MAX

typedef struct expert_place {
    size_t layer;
    const char *unit;
    size_t index; /* in its unit */
    size_t width;
    size_t column; /* of its outputs in a row that was copied aside */
    size_t output; /* of its first value among the tally's values */
    size_t first;  /* expert of its layer */
    size_t pairs;  /* of its layer start here in the tally */
} expert_place;

typedef struct node_place {
    size_t layer;
    const char *name;
    const size_t *experts; /* [expert_count] that its gate sees */
    size_t expert_count;
    bool gated;    /* without a gate its one expert has weight 1 */
    size_t column; /* of its gate's weights */
    size_t weight; /* of the first of them in the tally */
    size_t own;    /* its first own expert */
    size_t own_count;
    bool self; /* has a self term */
    size_t self_column;
    size_t self_weight;
} node_place;

typedef struct layer_place {
    const size_t *units; /* [unit_count] the first expert of each */
    size_t unit_count;
    size_t nodes; /* the first node */
    size_t node_count;
} layer_place;

/* What has been counted. Of each output value: the mean and the sum of squares around it, which merge by Chan, Golub
 * and LeVeque's formula without losing digits. */
typedef struct tally {
    uint64_t rows;
    double *mean;
    double *squares;
    double *least;
    double *most;
    double *differences; /* [pairs] sum of (a - b)^2 */
    double *weights;     /* sums */
    double *self_weights;
    double *entropies;   /* [nodes] sums, in nats */
    uint64_t *near_zero; /* [experts] */
    uint64_t *bins;      /* [experts, HOME_HEALTH_BINS] */
} tally;

struct home_health {
    home_allocator allocator;
    home_arena arena; /* names, places and tallies */
    const char *topology;
    layer_place *layers;
    size_t layer_count;
    expert_place *experts;
    size_t expert_count;
    node_place *nodes;
    size_t node_count;
    size_t values; /* of all experts' outputs in a row */
    size_t pairs;
    size_t weights;
    size_t self_weights;
    size_t columns; /* of a row copied aside */
    tally total;
    tally added;        /* by the call that runs */
    float *block;       /* [BLOCK_ROWS, columns] copied aside */
    double *block_mean; /* [values] */
    double *block_squares;
    double edges[HOME_HEALTH_BINS]; /* of the histograms; the last one is infinite */
};

/* ---------------------------------------------------------------------------------------- making */

/* Counts with checked sums; a sum that does not fit fails like an allocation. */
static size_t advance(home_health *health, size_t *counter, size_t by) {
    const size_t before = *counter;
    if (!home_add_size(before, by, counter) || *counter > SIZE_MAX / 1024)
        health->arena.failed = true;
    return before;
}

static void place_experts(home_health *health, const home_layer *layer, size_t l) {
    layer_place *place = &health->layers[l];
    size_t *units = home_arena_take(&health->arena, layer->unit_count, sizeof *units);
    const size_t first = health->expert_count;
    size_t expert = first;
    for (size_t u = 0; units && u < layer->unit_count; u++) {
        const char *unit =
            home_arena_text(&health->arena, layer->units[u].name, strlen(layer->units[u].name));
        units[u] = expert;
        for (size_t k = 0; k < layer->units[u].experts && !health->arena.failed; k++) {
            const size_t width = layer->config->width;
            health->experts[expert++] = (expert_place){.layer = l,
                                                       .unit = unit,
                                                       .index = k,
                                                       .width = width,
                                                       .column = advance(health, &health->columns, width),
                                                       .output = advance(health, &health->values, width),
                                                       .first = first,
                                                       .pairs = health->pairs};
        }
    }
    size_t pairs;
    if (!home_multiply_size(expert - first, expert - first, &pairs))
        health->arena.failed = true;
    else
        advance(health, &health->pairs, (pairs - (expert - first)) / 2);
    health->expert_count = expert;
    place->units = units;
    place->unit_count = layer->unit_count;
}

/* The unit whose experts are the node's own, or NOBODY. */
static size_t own_unit(const home_layer *layer, const home_node *node) {
    if (node->self != HOME_SELF_TERM_NONE)
        return node->own;
    for (size_t u = 0; u < layer->unit_count; u++)
        if (strcmp(layer->units[u].name, node->name) == 0)
            return u;
    return NOBODY;
}

static void place_node(home_health *health, const home_layer *layer, size_t l, const home_node *node,
                       node_place *place) {
    const layer_place *in = &health->layers[l];
    size_t count = 0;
    for (size_t i = 0; i < node->sees_count; i++)
        count += layer->units[node->sees[i]].experts;
    size_t *experts = home_arena_take(&health->arena, count, sizeof *experts);
    count = 0;
    for (size_t i = 0; experts && i < node->sees_count; i++)
        for (size_t k = 0; k < layer->units[node->sees[i]].experts; k++)
            experts[count++] = in->units[node->sees[i]] + k;
    const size_t own = own_unit(layer, node);
    *place = (node_place){.layer = l,
                          .name = home_arena_text(&health->arena, node->name, strlen(node->name)),
                          .experts = experts,
                          .expert_count = count,
                          .gated = node->input_count > 0,
                          .own = own == NOBODY ? 0 : in->units[own],
                          .own_count = own == NOBODY ? 0 : layer->units[own].experts,
                          .self = node->self != HOME_SELF_TERM_NONE};
    place->weight = advance(health, &health->weights, count);
    if (place->gated)
        place->column = advance(health, &health->columns, count);
    if (place->self) {
        place->self_weight = advance(health, &health->self_weights, place->own_count);
        place->self_column = advance(health, &health->columns, place->own_count);
    }
}

static void place_all(home_health *health, const home_topology *topology) {
    size_t experts = 0;
    size_t nodes = 0;
    for (size_t l = 0; l < topology->layer_count; l++) {
        for (size_t u = 0; u < topology->layers[l].unit_count; u++)
            advance(health, &experts, topology->layers[l].units[u].experts);
        advance(health, &nodes, topology->layers[l].node_count);
    }
    health->layer_count = topology->layer_count;
    health->layers = home_arena_take(&health->arena, topology->layer_count, sizeof *health->layers);
    health->experts = home_arena_take(&health->arena, experts, sizeof *health->experts);
    health->nodes = home_arena_take(&health->arena, nodes, sizeof *health->nodes);
    for (size_t l = 0; l < topology->layer_count && !health->arena.failed; l++) {
        const home_layer *layer = &topology->layers[l];
        place_experts(health, layer, l);
        health->layers[l].nodes = health->node_count;
        health->layers[l].node_count = layer->node_count;
        for (size_t o = 0; o < layer->node_count && !health->arena.failed; o++)
            place_node(health, layer, l, &layer->nodes[o], &health->nodes[health->node_count++]);
    }
}

static void make_tally(home_health *health, tally *t) {
    home_arena *arena = &health->arena;
    t->mean = home_arena_take(arena, health->values, sizeof(double));
    t->squares = home_arena_take(arena, health->values, sizeof(double));
    t->least = home_arena_take(arena, health->values, sizeof(double));
    t->most = home_arena_take(arena, health->values, sizeof(double));
    t->differences = home_arena_take(arena, health->pairs, sizeof(double));
    t->weights = home_arena_take(arena, health->weights, sizeof(double));
    t->self_weights = home_arena_take(arena, health->self_weights, sizeof(double));
    t->entropies = home_arena_take(arena, health->node_count, sizeof(double));
    t->near_zero = home_arena_take(arena, health->expert_count, sizeof(uint64_t));
    t->bins = home_arena_take(arena, health->expert_count, HOME_HEALTH_BINS * sizeof(uint64_t));
}

double home_health_bin_edge(size_t i) {
    return sinh(0.3 * ((double)i - 0.5 * (HOME_HEALTH_BINS - 2))) / 20;
}

static void fill(home_health *health, const home_model *model) {
    home_arena *arena = &health->arena;
    health->topology = home_arena_text(arena, model->topology_json.data, strlen(model->topology_json.data));
    place_all(health, &model->topology);
    if (arena->failed)
        return;
    make_tally(health, &health->total);
    make_tally(health, &health->added);
    health->block = home_arena_take(arena, health->columns, BLOCK_ROWS * sizeof(float));
    health->block_mean = home_arena_take(arena, health->values, sizeof(double));
    health->block_squares = home_arena_take(arena, health->values, sizeof(double));
    for (size_t i = 0; i + 1 < HOME_HEALTH_BINS; i++)
        health->edges[i] = home_health_bin_edge(i);
    health->edges[HOME_HEALTH_BINS - 1] = (double)INFINITY;
}

home_status home_health_create(const home_model *model, const home_allocator *allocator, home_health **health,
                               home_error *error) {
    home_allocator resolved;
    if (!model || !health)
        return home_fail_null(error, model ? "health" : "model");
    home_status status = home_check_not_image(model, error);
    if (status == HOME_OK)
        status = home_allocator_resolve(allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    home_health *made = home_allocate(&resolved, 1, sizeof *made);
    if (!made)
        return home_fail_memory(error);
    made->allocator = resolved;
    made->arena.allocator = &made->allocator;
    fill(made, model);
    if (made->arena.failed) {
        home_health_destroy(made);
        return home_fail_memory(error);
    }
    *health = made;
    return HOME_OK;
}

void home_health_destroy(home_health *health) {
    if (!health)
        return;
    const home_allocator allocator = health->allocator;
    home_arena_free(&health->arena);
    home_deallocate(&allocator, health);
}

/* --------------------------------------------------------------------------------------- tallying */

/* Joins what n and m numbers have as mean and sum of squares around it. Nothing is lost where one of them is none. */
static void join_moments(double *mean, double *squares, double n, double other_mean, double other_squares,
                         double m) {
    const double apart = other_mean - *mean;
    *mean += apart * (m / (n + m));
    *squares += other_squares + apart * apart * (n * (m / (n + m)));
}

static void reset(const home_health *health, tally *t) {
    t->rows = 0;
    for (size_t i = 0; i < health->values; i++) {
        t->mean[i] = t->squares[i] = 0;
        t->least[i] = (double)INFINITY;
        t->most[i] = -(double)INFINITY;
    }
    memset(t->differences, 0, health->pairs * sizeof *t->differences);
    memset(t->weights, 0, health->weights * sizeof *t->weights);
    memset(t->self_weights, 0, health->self_weights * sizeof *t->self_weights);
    memset(t->entropies, 0, health->node_count * sizeof *t->entropies);
    memset(t->near_zero, 0, health->expert_count * sizeof *t->near_zero);
    memset(t->bins, 0, health->expert_count * HOME_HEALTH_BINS * sizeof *t->bins);
}

static void add_sums(double *into, const double *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        into[i] += from[i];
}

static void add_counts(uint64_t *into, const uint64_t *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        into[i] += from[i];
}

/* The two may be the same. */
static void join(const home_health *health, tally *into, const tally *from) {
    if (from->rows == 0)
        return;
    for (size_t i = 0; i < health->values; i++) {
        join_moments(&into->mean[i], &into->squares[i], (double)into->rows, from->mean[i], from->squares[i],
                     (double)from->rows);
        into->least[i] = into->rows ? fmin(into->least[i], from->least[i]) : from->least[i];
        into->most[i] = into->rows ? fmax(into->most[i], from->most[i]) : from->most[i];
    }
    add_sums(into->differences, from->differences, health->pairs);
    add_sums(into->weights, from->weights, health->weights);
    add_sums(into->self_weights, from->self_weights, health->self_weights);
    add_sums(into->entropies, from->entropies, health->node_count);
    add_counts(into->near_zero, from->near_zero, health->expert_count);
    add_counts(into->bins, from->bins, health->expert_count * HOME_HEALTH_BINS);
    into->rows += from->rows;
}

home_status home_health_merge(home_health *into, const home_health *from, home_error *error) {
    if (!into || !from)
        return home_fail_null(error, into ? "from" : "into");
    if (strcmp(into->topology, from->topology) != 0)
        return home_fail(error, HOME_E_ARGUMENT,
                         "from was made for a model of another shape, expected that of into");
    join(into, &into->total, &from->total);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- observing */

static void copy_aside(const home_health *health, const home_run *run, home_view view, size_t column) {
    for (size_t r = 0; r < run->rows; r++)
        memcpy(health->block + r * health->columns + column, home_view_row(run, view, r),
               view.width * sizeof(float));
}

/* Takes what step `step` has completed. */
static void collect(const home_health *health, const home_run *run, size_t step) {
    for (size_t l = 0; l < health->layer_count; l++) {
        const layer_place *place = &health->layers[l];
        const home_landmarks *marks = &run->model->plan.layers[l];
        for (size_t u = 0; u < place->unit_count; u++)
            if (marks->experts[u].step == step)
                copy_aside(health, run, marks->experts[u].view, health->experts[place->units[u]].column);
        for (size_t o = 0; o < place->node_count; o++) {
            const node_place *node = &health->nodes[place->nodes + o];
            if (marks->gates[o].step == step)
                copy_aside(health, run, marks->gates[o].view, node->column);
            if (marks->selves[o].step == step)
                copy_aside(health, run, marks->selves[o].view, node->self_column);
        }
    }
}

/* Mean and squares around it of one expert's values in the block, in two passes. */
static void count_moments(const home_health *health, const expert_place *e, size_t rows) {
    double *mean = health->block_mean + e->output;
    double *squares = health->block_squares + e->output;
    const float *block = health->block + e->column;
    for (size_t i = 0; i < e->width; i++)
        mean[i] = squares[i] = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < e->width; i++)
            mean[i] += (double)block[r * health->columns + i];
    for (size_t i = 0; i < e->width; i++)
        mean[i] /= (double)rows;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < e->width; i++) {
            const double d = (double)block[r * health->columns + i] - mean[i];
            squares[i] += d * d;
        }
}

/* The bin of a value: how many edges lie at or below it. A search that always takes the same steps, as values come
 * in no order. */
static size_t bin_of(const double edges[HOME_HEALTH_BINS], float value) {
    size_t bin = 0;
    for (size_t half = (HOME_HEALTH_BINS + 1) / 2; half > 0; half /= 2)
        bin += half * (size_t)(edges[bin + half - 1] <= (double)value);
    return bin;
}

/* Least, most and near-zero values of one row; loops apart, so that compilers can work on several values at once. */
static void count_limits(tally *t, size_t expert, const expert_place *e, const float *row) {
    double *least = t->least + e->output;
    double *most = t->most + e->output;
    uint64_t near_zero = 0;
    for (size_t i = 0; i < e->width; i++)
        least[i] = (double)row[i] < least[i] ? (double)row[i] : least[i];
    for (size_t i = 0; i < e->width; i++)
        most[i] = (double)row[i] > most[i] ? (double)row[i] : most[i];
    for (size_t i = 0; i < e->width; i++)
        near_zero += fabs((double)row[i]) < NEAR_ZERO;
    t->near_zero[expert] += near_zero;
}

static void count_expert(home_health *health, size_t expert, size_t rows) {
    const expert_place *e = &health->experts[expert];
    tally *t = &health->added;
    uint64_t *bins = t->bins + expert * HOME_HEALTH_BINS;
    count_moments(health, e, rows);
    for (size_t i = 0; i < e->width; i++)
        join_moments(&t->mean[e->output + i], &t->squares[e->output + i], (double)t->rows,
                     health->block_mean[e->output + i], health->block_squares[e->output + i], (double)rows);
    for (size_t r = 0; r < rows; r++) {
        const float *row = health->block + r * health->columns + e->column;
        count_limits(t, expert, e, row);
        for (size_t i = 0; i < e->width; i++)
            bins[bin_of(health->edges, row[i])]++;
    }
}

/* sum_i (a_i - b_i)^2, as several sums side by side that do not wait for each other. */
static double squared_difference(const float *a, const float *b, size_t width) {
    enum { LANES = 8 };
    double sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= width; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) {
            const double d = (double)a[i + lane] - (double)b[i + lane];
            sums[lane] += d * d;
        }
    double sum = 0;
    for (size_t lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    for (; i < width; i++) {
        const double d = (double)a[i] - (double)b[i];
        sum += d * d;
    }
    return sum;
}

/* The place of a pair of experts of one layer, a < b: a triangle, row by row of b. */
static size_t pair_of(const home_health *health, size_t a, size_t b) {
    const expert_place *e = &health->experts[b];
    const size_t i = a - e->first;
    const size_t j = b - e->first;
    return e->pairs + j * (j - 1) / 2 + i;
}

/* Differences between an expert and those of its layer before it. */
static void count_pairs(home_health *health, size_t expert, size_t rows) {
    const expert_place *e = &health->experts[expert];
    for (size_t other = e->first; other < expert; other++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) {
            const float *row = health->block + r * health->columns;
            sum += squared_difference(row + e->column, row + health->experts[other].column, e->width);
        }
        health->added.differences[pair_of(health, other, expert)] += sum;
    }
}

/* -w log w, 0 for w = 0 */
static double information(double w) {
    return w > 0 ? -w * log(w) : 0;
}

static void count_node(home_health *health, size_t number, size_t rows) {
    const node_place *node = &health->nodes[number];
    tally *t = &health->added;
    for (size_t r = 0; r < rows; r++) {
        const float *row = health->block + r * health->columns;
        for (size_t i = 0; i < node->expert_count; i++) {
            const double w = node->gated ? (double)row[node->column + i] : 1;
            t->weights[node->weight + i] += w;
            t->entropies[number] += information(w);
        }
        for (size_t k = 0; k < node->own_count && node->self; k++)
            t->self_weights[node->self_weight + k] += (double)row[node->self_column + k];
    }
}

/* The observer: takes what each step gives, and counts when the last one has run. */
static void observe(void *context, const home_run *run, size_t step) {
    home_health *health = context;
    collect(health, run, step);
    if (step + 1 < run->model->plan.step_count)
        return;
    for (size_t e = 0; e < health->expert_count; e++) {
        count_expert(health, e, run->rows);
        count_pairs(health, e, run->rows);
    }
    for (size_t o = 0; o < health->node_count; o++)
        count_node(health, o, run->rows);
    health->added.rows += run->rows;
}

/* Values that are not finite spoil the means of the rows added, and are found there. */
static home_status check_finite(const home_health *health, home_error *error) {
    for (size_t e = 0; e < health->expert_count; e++) {
        const expert_place *place = &health->experts[e];
        for (size_t i = 0; i < place->width; i++)
            if (!isfinite(health->added.mean[place->output + i]))
                return home_fail(
                    error, HOME_E_VALUE,
                    "layer %zu, unit \"%.60s\", expert %zu: output %zu is not finite in one of the rows",
                    place->layer, place->unit, place->index, i);
    }
    for (size_t o = 0; o < health->node_count; o++) {
        const node_place *node = &health->nodes[o];
        for (size_t i = 0; i < node->expert_count; i++)
            if (!isfinite(health->added.weights[node->weight + i]))
                return home_fail(error, HOME_E_VALUE,
                                 "layer %zu, node \"%.60s\": weight %zu is not finite in one of the rows",
                                 node->layer, node->name, i);
    }
    return HOME_OK;
}

home_status home_health_add(home_health *health, const home_model *model, const home_batch *given,
                            home_error *error) {
    if (!health || !model)
        return home_fail_null(error, health ? "model" : "health");
    if (strcmp(health->topology, model->topology_json.data) != 0)
        return home_fail(error, HOME_E_ARGUMENT,
                         "the model has another shape than the one that health was made for");
    home_batch batch;
    home_status status = home_check_not_image(model, error);
    if (status == HOME_OK)
        status = home_check_batch(model, given, &batch, error);
    if (status == HOME_OK)
        status = home_check_dense(model, &batch, error);
    if (status == HOME_OK)
        status = home_check_ids(model, &batch, error);
    if (status != HOME_OK)
        return status;
    reset(health, &health->added);
    status = home_observe(model, &batch, &(home_observer){observe, health, BLOCK_ROWS}, error);
    if (status == HOME_OK)
        status = check_finite(health, error);
    if (status == HOME_OK)
        join(health, &health->total, &health->added);
    return status;
}

/* ---------------------------------------------------------------------------------------- figures */

uint64_t home_health_rows(const home_health *health) {
    return health ? health->total.rows : 0;
}

size_t home_health_expert_count(const home_health *health) {
    return health ? health->expert_count : 0;
}

size_t home_health_node_count(const home_health *health) {
    return health ? health->node_count : 0;
}

/* NaN where there is nothing to divide by; then the part is 0 too. The divisor never is, for compilers may divide before
 * they look whether it is wanted, and hosts may trap that. */
static double ratio(double part, double whole) {
    const double quotient = part / (whole > DBL_MIN ? whole : DBL_MIN);
    return whole > 0 ? quotient : (double)NAN;
}

/* The sum over an expert's values of their squares around their own means. */
static double squares_within(const home_health *health, const expert_place *e) {
    double sum = 0;
    for (size_t i = 0; i < e->width; i++)
        sum += health->total.squares[e->output + i];
    return sum;
}

static double expert_mean(const home_health *health, const expert_place *e) {
    double sum = 0;
    for (size_t i = 0; i < e->width; i++)
        sum += health->total.mean[e->output + i];
    return health->total.rows ? sum / (double)e->width : (double)NAN;
}

static double expert_deviation(const home_health *health, const expert_place *e) {
    const double mean = expert_mean(health, e);
    double between = 0;
    for (size_t i = 0; i < e->width; i++) {
        const double apart = health->total.mean[e->output + i] - mean;
        between += apart * apart;
    }
    const double rows = (double)health->total.rows;
    return sqrt(ratio(squares_within(health, e) + rows * between, rows * (double)e->width));
}

double home_health_distance(const home_health *health, size_t a, size_t b) {
    if (!health || a >= health->expert_count || b >= health->expert_count || a == b ||
        health->total.rows == 0 || health->experts[a].layer != health->experts[b].layer)
        return (double)NAN;
    const double apart = health->total.differences[a < b ? pair_of(health, a, b) : pair_of(health, b, a)];
    const double within =
        squares_within(health, &health->experts[a]) + squares_within(health, &health->experts[b]);
    if (apart == 0)
        return 0;
    return within > 0 ? sqrt(apart / within) : (double)INFINITY;
}

static void find_nearest(const home_health *health, size_t expert, home_expert_health *figures) {
    figures->nearest = NOBODY;
    figures->nearest_distance = (double)NAN;
    for (size_t other = 0; other < health->expert_count; other++) {
        const double distance = home_health_distance(health, expert, other);
        if (!isnan(distance) && (figures->nearest == NOBODY || distance < figures->nearest_distance)) {
            figures->nearest = other;
            figures->nearest_distance = distance;
        }
    }
}

/* Which of the experts in the node's gate it is; expert_count where it is none of them. */
static size_t find_visible(const node_place *node, size_t expert) {
    size_t i = 0;
    while (i < node->expert_count && node->experts[i] != expert)
        i++;
    return i;
}

double home_health_gate_weight(const home_health *health, size_t node, size_t expert) {
    if (!health || node >= health->node_count)
        return (double)NAN;
    const node_place *place = &health->nodes[node];
    const size_t i = find_visible(place, expert);
    return i < place->expert_count
               ? ratio(health->total.weights[place->weight + i], (double)health->total.rows)
               : (double)NAN;
}

double home_health_self_weight(const home_health *health, size_t node, size_t expert) {
    if (!health || node >= health->node_count)
        return (double)NAN;
    const node_place *place = &health->nodes[node];
    if (!place->self || expert < place->own || expert - place->own >= place->own_count)
        return (double)NAN;
    return ratio(health->total.self_weights[place->self_weight + expert - place->own],
                 (double)health->total.rows);
}

static void sum_mass(const home_health *health, size_t expert, home_expert_health *figures) {
    double top = 0;
    figures->top_node = NOBODY;
    for (size_t o = 0; o < health->node_count; o++) {
        const double weight = home_health_gate_weight(health, o, expert);
        figures->seen_by += find_visible(&health->nodes[o], expert) < health->nodes[o].expert_count;
        if (isnan(weight))
            continue;
        figures->mass += weight;
        if (weight > top) {
            top = weight;
            figures->top_node = o;
        }
    }
    figures->top_share = ratio(top, figures->mass);
    if (health->total.rows == 0)
        figures->mass = (double)NAN;
}

static void find_limits(const home_health *health, const expert_place *e, home_expert_health *figures) {
    figures->least = figures->most = (double)NAN;
    for (size_t i = 0; i < e->width && health->total.rows > 0; i++) {
        const double least = health->total.least[e->output + i];
        const double most = health->total.most[e->output + i];
        if (i == 0 || least < figures->least)
            figures->least = least;
        if (i == 0 || most > figures->most)
            figures->most = most;
        figures->dead += most - least < NEAR_ZERO;
    }
}

static home_status check_expert(const home_health *health, size_t expert, const void *result,
                                home_error *error) {
    if (!health || !result)
        return home_fail_null(error, health ? "result" : "health");
    if (expert >= health->expert_count)
        return home_fail(error, HOME_E_NOT_FOUND, "expert is %zu, expected less than %zu", expert,
                         health->expert_count);
    return HOME_OK;
}

home_status home_health_expert(const home_health *health, size_t expert, home_expert_health *result,
                               home_error *error) {
    const home_status status = check_expert(health, expert, result, error);
    if (status != HOME_OK)
        return status;
    const expert_place *e = &health->experts[expert];
    home_expert_health figures = {.layer = e->layer, .unit = e->unit, .expert = e->index, .width = e->width};
    figures.mean = expert_mean(health, e);
    figures.deviation = expert_deviation(health, e);
    figures.near_zero =
        ratio((double)health->total.near_zero[expert], (double)health->total.rows * (double)e->width);
    find_limits(health, e, &figures);
    find_nearest(health, expert, &figures);
    sum_mass(health, expert, &figures);
    return home_write_struct(&figures, result, sizeof figures, "result", error);
}

home_status home_health_histogram(const home_health *health, size_t expert, uint64_t *counts,
                                  home_error *error) {
    const home_status status = check_expert(health, expert, counts, error);
    if (status == HOME_OK)
        memcpy(counts, health->total.bins + expert * HOME_HEALTH_BINS, HOME_HEALTH_BINS * sizeof *counts);
    return status;
}

static void fill_gate(const home_health *health, size_t number, home_node_health *figures) {
    const node_place *node = &health->nodes[number];
    const double rows = (double)health->total.rows;
    const double even = log((double)node->expert_count);
    double spread = 0;
    figures->top_expert = NOBODY;
    figures->top_weight = (double)NAN;
    for (size_t i = 0; i < node->expert_count; i++) {
        const double weight = ratio(health->total.weights[node->weight + i], rows);
        if (isnan(weight)) /* no rows; a comparison with it would trap too */
            continue;
        spread += information(weight);
        if (figures->top_expert == NOBODY || weight > figures->top_weight) {
            figures->top_weight = weight;
            figures->top_expert = node->experts[i];
        }
    }
    figures->entropy = ratio(ratio(health->total.entropies[number], rows), even);
    figures->entropy_spread = rows > 0 ? ratio(spread, even) : (double)NAN;
}

static double deviation_ratio(const home_health *health, const node_place *node) {
    double least = (double)INFINITY;
    double most = 0;
    for (size_t i = 0; i < node->expert_count && health->total.rows > 0; i++) {
        const double deviation = expert_deviation(health, &health->experts[node->experts[i]]);
        least = fmin(least, deviation);
        most = fmax(most, deviation);
    }
    if (most == 0) /* no rows, or no expert that moves */
        return (double)NAN;
    return least > 0 ? most / least : (double)INFINITY;
}

static void fill_own(const home_health *health, size_t number, home_node_health *figures) {
    const node_place *node = &health->nodes[number];
    figures->self_weight = health->total.rows ? 0 : (double)NAN;
    for (size_t k = 0; k < node->own_count; k++) {
        if (node->self)
            figures->self_weight += home_health_self_weight(health, number, node->own + k);
        if (find_visible(node, node->own + k) < node->expert_count) {
            figures->own_experts++;
            figures->own_mass += home_health_gate_weight(health, number, node->own + k);
        }
    }
    if (figures->own_experts == 0)
        figures->own_mass = (double)NAN;
}

home_status home_health_node(const home_health *health, size_t node, home_node_health *result,
                             home_error *error) {
    if (!health || !result)
        return home_fail_null(error, health ? "result" : "health");
    if (node >= health->node_count)
        return home_fail(error, HOME_E_NOT_FOUND, "node is %zu, expected less than %zu", node,
                         health->node_count);
    const node_place *place = &health->nodes[node];
    home_node_health figures = {.layer = place->layer, .node = place->name, .experts = place->expert_count};
    fill_gate(health, node, &figures);
    figures.deviation_ratio = deviation_ratio(health, place);
    fill_own(health, node, &figures);
    return home_write_struct(&figures, result, sizeof figures, "result", error);
}

/* ---------------------------------------------------------------------------------------- gradients */

/* Sum of squares over the tensors of a unit's experts; false where there is none. */
static bool unit_squares(const home_model *model, size_t layer, const char *unit, const float *gradients,
                         double *squares) {
    bool found = false;
    char prefix[512]; /* longer than any name that checked settings can give */
    const int length = snprintf(prefix, sizeof prefix, "layers.%zu.units.%s.experts.", layer, unit);
    *squares = 0;
    if (length < 0 || (size_t)length >= sizeof prefix)
        return false;
    for (size_t i = 0; i < model->tensors.count; i++) {
        const home_tensor_info *tensor = &model->tensors.items[i];
        if (tensor->kind != HOME_TENSOR_PARAMETER || strncmp(tensor->name, prefix, (size_t)length) != 0)
            continue;
        found = true;
        for (size_t j = 0; j < home_tensor_size(tensor); j++) {
            const double g = (double)gradients[tensor->offset + j];
            *squares += g * g;
        }
    }
    return found;
}

home_status home_model_unit_gradient_norm(const home_model *model, size_t layer, const char *unit,
                                          const float *gradients, size_t count, double *norm,
                                          home_error *error) {
    home_status status = home_check_trainable(model, error);
    if (status != HOME_OK)
        return status;
    if (!unit || !norm)
        return home_fail_null(error, unit ? "norm" : "unit");
    if (gradients && count != model->tensors.parameter_count)
        return home_fail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu", count,
                         model->tensors.parameter_count);
    if (!gradients)
        status = home_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    double squares;
    if (!unit_squares(model, layer, unit, gradients ? gradients : model->training->gradients, &squares))
        return home_fail(error, HOME_E_NOT_FOUND, "there is no unit \"%.60s\" in layer %zu", unit, layer);
    *norm = sqrt(squares);
    return HOME_OK;
}

#endif
