/* What experts and gates compute, counted. A run of the serving plan is observed: expert outputs
 * and gate weights are copied aside as they appear, and counted when the plan has gone through. */
#include "health.h"

#include "../create/create.h"
#include "../model/input.h"
#include "../serve/serve.h"

#include <math.h>
#include <string.h>

enum { BLOCK_ROWS = 64 }; /* observed at a time */

/* --------------------------------------------------------------------------------------- making */

/* Everything that is counted gets its place once, from the topology, and a call only adds:
 *
 *     values    output of expert 0 | of expert 1 | ..         means, squares, min, max
 *     pairs     of experts of one layer: (1, 0) (2, 0) (2, 1) ..
 *     weights   node 0: one for each visible expert | node 1: ..
 *     columns   of a row that is copied aside: outputs of experts, weights of gates
 */

/* Counts with checked sums; a sum that does not fit fails like an allocation. */
static size_t advance(home_health *health, size_t *counter, size_t by) {
    const size_t before = *counter;
    if (!homesize_add(before, by, counter) || *counter > SIZE_MAX / 1024)
        homearena_fail(&health->arena, HOME_E_MEMORY);
    return before;
}

static void place_experts(home_health *health, const homelayer *layer, size_t l) {
    homehealth_layer *place = &health->layers[l];
    size_t *units = homearena_take(&health->arena, layer->unit_count, sizeof *units);
    const size_t first = health->expert_count;
    size_t expert = first;
    if (!units)
        return;
    for (size_t u = 0; u < layer->unit_count; u++) {
        const char *unit =
            homearena_text(&health->arena, layer->units[u].name, strlen(layer->units[u].name));
        units[u] = expert;
        for (size_t k = 0; k < layer->units[u].experts && homearena_ok(&health->arena); k++) {
            const size_t width = layer->config->width;
            health->experts[expert++] =
                (homehealth_expert){.layer = l,
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
    if (!homesize_multiply(expert - first, expert - first, &pairs))
        homearena_fail(&health->arena, HOME_E_MEMORY);
    else
        advance(health, &health->pairs, (pairs - (expert - first)) / 2);
    health->expert_count = expert;
    place->units = units;
    place->unit_count = layer->unit_count;
}

/* The unit whose experts are the node's own, or HOME_NONE. */
static size_t own_unit(const homelayer *layer, const homenode *node) {
    if (node->self != HOME_SELF_TERM_NONE)
        return node->own;
    for (size_t u = 0; u < layer->unit_count; u++)
        if (strcmp(layer->units[u].name, node->name) == 0)
            return u;
    return HOME_NONE;
}

static void place_node(home_health *health, const homelayer *layer, size_t l, const homenode *node,
                       homehealth_node *place) {
    const homehealth_layer *in = &health->layers[l];
    size_t count = 0;
    for (size_t i = 0; i < node->sees_count; i++)
        count += layer->units[node->sees[i]].experts;
    size_t *experts = homearena_take(&health->arena, count, sizeof *experts);
    if (!experts)
        return;
    count = 0;
    for (size_t i = 0; i < node->sees_count; i++)
        for (size_t k = 0; k < layer->units[node->sees[i]].experts; k++)
            experts[count++] = in->units[node->sees[i]] + k;
    const size_t own = own_unit(layer, node);
    *place =
        (homehealth_node){.layer = l,
                          .name = homearena_text(&health->arena, node->name, strlen(node->name)),
                          .experts = experts,
                          .expert_count = count,
                          .gated = node->input_count > 0,
                          .own = own == HOME_NONE ? 0 : in->units[own],
                          .own_count = own == HOME_NONE ? 0 : layer->units[own].experts,
                          .self = node->self != HOME_SELF_TERM_NONE};
    place->weight = advance(health, &health->weights, count);
    if (place->gated)
        place->column = advance(health, &health->columns, count);
    if (place->self) {
        place->self_weight = advance(health, &health->self_weights, place->own_count);
        place->self_column = advance(health, &health->columns, place->own_count);
    }
}

static void place_all(home_health *health, const hometopology *topology) {
    size_t experts = 0;
    size_t nodes = 0;
    for (size_t l = 0; l < topology->layer_count; l++) {
        for (size_t u = 0; u < topology->layers[l].unit_count; u++)
            advance(health, &experts, topology->layers[l].units[u].experts);
        advance(health, &nodes, topology->layers[l].node_count);
    }
    health->layer_count = topology->layer_count;
    health->layers = homearena_take(&health->arena, topology->layer_count, sizeof *health->layers);
    health->experts = homearena_take(&health->arena, experts, sizeof *health->experts);
    health->nodes = homearena_take(&health->arena, nodes, sizeof *health->nodes);
    for (size_t l = 0; l < topology->layer_count && homearena_ok(&health->arena); l++) {
        const homelayer *layer = &topology->layers[l];
        place_experts(health, layer, l);
        health->layers[l].nodes = health->node_count;
        health->layers[l].node_count = layer->node_count;
        for (size_t n = 0; n < layer->node_count && homearena_ok(&health->arena); n++)
            place_node(health, layer, l, &layer->nodes[n], &health->nodes[health->node_count++]);
    }
}

static void make_tally(home_health *health, homehealth_tally *t) {
    homearena *arena = &health->arena;
    t->mean = homearena_take(arena, health->values, sizeof(double));
    t->squares = homearena_take(arena, health->values, sizeof(double));
    t->min = homearena_take(arena, health->values, sizeof(double));
    t->max = homearena_take(arena, health->values, sizeof(double));
    t->differences = homearena_take(arena, health->pairs, sizeof(double));
    t->weights = homearena_take(arena, health->weights, sizeof(double));
    t->self_weights = homearena_take(arena, health->self_weights, sizeof(double));
    t->entropies = homearena_take(arena, health->node_count, sizeof(double));
    t->near_zero = homearena_take(arena, health->expert_count, sizeof(uint64_t));
    t->bins = homearena_take(arena, health->expert_count, HOME_HEALTH_BINS * sizeof(uint64_t));
}

double home_health_bin_edge(size_t i) {
    return sinh(0.3 * ((double)i - 0.5 * (HOME_HEALTH_BINS - 2))) / 20;
}

static void fill(home_health *health, const home_model *model) {
    homearena *arena = &health->arena;
    health->topology =
        homearena_text(arena, model->topology_json.data, strlen(model->topology_json.data));
    place_all(health, &model->topology);
    if (!homearena_ok(arena))
        return;
    make_tally(health, &health->total);
    make_tally(health, &health->added);
    health->block = homearena_take(arena, health->columns, BLOCK_ROWS * sizeof(float));
    health->block_mean = homearena_take(arena, health->values, sizeof(double));
    health->block_squares = homearena_take(arena, health->values, sizeof(double));
    for (size_t i = 0; i + 1 < HOME_HEALTH_BINS; i++)
        health->edges[i] = home_health_bin_edge(i);
    health->edges[HOME_HEALTH_BINS - 1] = (double)INFINITY;
}

home_status home_health_create(const home_model *model, const home_allocator *allocator,
                               home_health **health, home_error *error) {
    home_allocator resolved;
    if (!model || !health)
        return homefail_null(error, model ? "health" : "model");
    home_status status = homecreate_check_not_image(model, error);
    if (status == HOME_OK)
        status = homememory_resolve(allocator, &resolved, error);
    if (status != HOME_OK)
        return status;
    home_health *made = homememory_allocate(&resolved, 1, sizeof *made);
    if (!made)
        return homefail_memory(error);
    made->allocator = resolved;
    made->arena.allocator = &made->allocator;
    fill(made, model);
    if (!homearena_ok(&made->arena)) {
        home_health_destroy(made);
        return homefail_memory(error);
    }
    *health = made;
    return HOME_OK;
}

void home_health_destroy(home_health *health) {
    if (!health)
        return;
    const home_allocator allocator = health->allocator;
    homearena_free(&health->arena);
    homememory_free(&allocator, health);
}

/* ------------------------------------------------------------------------------------- tallying */

/* Joins the means, and the sums of squares around them, of n and of m numbers. Where one of the
 * counts is 0, the result is exactly the other part. */
static void join_moments(double *mean, double *squares, double n, double other_mean,
                         double other_squares, double m) {
    const double apart = other_mean - *mean;
    *mean += apart * (m / (n + m));
    *squares += other_squares + apart * apart * (n * (m / (n + m)));
}

void homehealth_reset(const home_health *health, homehealth_tally *t) {
    t->rows = 0;
    for (size_t i = 0; i < health->values; i++) {
        t->mean[i] = t->squares[i] = 0;
        t->min[i] = (double)INFINITY;
        t->max[i] = -(double)INFINITY;
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

void homehealth_join(const home_health *health, homehealth_tally *into,
                     const homehealth_tally *from) {
    if (from->rows == 0)
        return;
    for (size_t i = 0; i < health->values; i++) {
        join_moments(&into->mean[i], &into->squares[i], (double)into->rows, from->mean[i],
                     from->squares[i], (double)from->rows);
        into->min[i] = into->rows ? fmin(into->min[i], from->min[i]) : from->min[i];
        into->max[i] = into->rows ? fmax(into->max[i], from->max[i]) : from->max[i];
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
        return homefail_null(error, into ? "from" : "into");
    if (strcmp(into->topology, from->topology) != 0)
        return homefail(error, HOME_E_ARGUMENT,
                        "from was made for a model of another shape, expected that of into");
    homehealth_join(into, &into->total, &from->total);
    return HOME_OK;
}

void home_health_reset(home_health *health) {
    if (health)
        homehealth_reset(health, &health->total);
}

/* ------------------------------------------------------------------------------------ observing */

static void copy_aside(const home_health *health, const homerun *run, homeview view,
                       size_t column) {
    for (size_t r = 0; r < run->rows; r++)
        memcpy(health->block + r * health->columns + column, homerun_row(run, view, r),
               view.width * sizeof(float));
}

/* Takes what step `step` has completed. */
static void collect(const home_health *health, const homerun *run, size_t step) {
    for (size_t l = 0; l < health->layer_count; l++) {
        const homehealth_layer *place = &health->layers[l];
        const homelandmarks *marks = &health->model->plan.layers[l];
        for (size_t u = 0; u < place->unit_count; u++)
            if (marks->experts[u].step == step)
                copy_aside(health, run, marks->experts[u].view,
                           health->experts[place->units[u]].column);
        for (size_t n = 0; n < place->node_count; n++) {
            const homehealth_node *node = &health->nodes[place->nodes + n];
            if (marks->gates[n].step == step)
                copy_aside(health, run, marks->gates[n].view, node->column);
            if (marks->selves[n].step == step)
                copy_aside(health, run, marks->selves[n].view, node->self_column);
        }
    }
}

/* Mean and squares around it of one expert's values in the block, in two passes. */
static void count_moments(const home_health *health, const homehealth_expert *e, size_t rows) {
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

/* The bin of a value: how many edges lie at or below it. A search that always takes the same steps,
 * as values come in no order. */
static size_t bin_of(const double edges[HOME_HEALTH_BINS], float value) {
    size_t bin = 0;
    for (size_t half = (HOME_HEALTH_BINS + 1) / 2; half > 0; half /= 2)
        bin += half * (size_t)(edges[bin + half - 1] <= (double)value);
    return bin;
}

/* Minimum, maximum and near-zero values of one row; loops apart, so that compilers can work on
 * several values at once. */
static void count_limits(homehealth_tally *t, size_t expert, const homehealth_expert *e,
                         const float *row) {
    double *min = t->min + e->output;
    double *max = t->max + e->output;
    uint64_t near_zero = 0;
    for (size_t i = 0; i < e->width; i++)
        min[i] = (double)row[i] < min[i] ? (double)row[i] : min[i];
    for (size_t i = 0; i < e->width; i++)
        max[i] = (double)row[i] > max[i] ? (double)row[i] : max[i];
    for (size_t i = 0; i < e->width; i++)
        near_zero += fabs((double)row[i]) < HOME_NEAR_ZERO;
    t->near_zero[expert] += near_zero;
}

static void count_expert(home_health *health, size_t expert, size_t rows) {
    const homehealth_expert *e = &health->experts[expert];
    homehealth_tally *t = &health->added;
    uint64_t *bins = t->bins + expert * HOME_HEALTH_BINS;
    count_moments(health, e, rows);
    for (size_t i = 0; i < e->width; i++)
        join_moments(&t->mean[e->output + i], &t->squares[e->output + i], (double)t->rows,
                     health->block_mean[e->output + i], health->block_squares[e->output + i],
                     (double)rows);
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

/* Differences between an expert and those of its layer before it. */
static void count_pairs(home_health *health, size_t expert, size_t rows) {
    const homehealth_expert *e = &health->experts[expert];
    for (size_t other = e->first; other < expert; other++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) {
            const float *row = health->block + r * health->columns;
            sum +=
                squared_difference(row + e->column, row + health->experts[other].column, e->width);
        }
        health->added.differences[homehealth_pair(health, other, expert)] += sum;
    }
}

static void count_node(home_health *health, size_t number, size_t rows) {
    const homehealth_node *node = &health->nodes[number];
    homehealth_tally *t = &health->added;
    const size_t own = node->self ? node->own_count : 0;
    for (size_t r = 0; r < rows; r++) {
        const float *row = health->block + r * health->columns;
        for (size_t i = 0; i < node->expert_count; i++) {
            const double w = node->gated ? (double)row[node->column + i] : 1;
            t->weights[node->weight + i] += w;
            t->entropies[number] += homehealth_information(w);
        }
        for (size_t k = 0; k < own; k++)
            t->self_weights[node->self_weight + k] += (double)row[node->self_column + k];
    }
}

/* The observer: takes what each step gives, and counts when the last one has run. */
static void observe(void *context, const homerun *run, size_t step) {
    home_health *health = context;
    collect(health, run, step);
    if (step + 1 < run->step_count)
        return;
    for (size_t e = 0; e < health->expert_count; e++) {
        count_expert(health, e, run->rows);
        count_pairs(health, e, run->rows);
    }
    for (size_t n = 0; n < health->node_count; n++)
        count_node(health, n, run->rows);
    health->added.rows += run->rows;
}

/* Values that are not finite spoil the means of the rows added, and are found there. */
static home_status check_finite(const home_health *health, home_error *error) {
    for (size_t e = 0; e < health->expert_count; e++) {
        const homehealth_expert *place = &health->experts[e];
        for (size_t i = 0; i < place->width; i++)
            if (!isfinite(health->added.mean[place->output + i]))
                return homefail(error, HOME_E_VALUE,
                                "layer %zu, unit \"%.60s\", expert %zu: output %zu is not finite "
                                "in one of the rows",
                                place->layer, place->unit, place->index, i);
    }
    for (size_t n = 0; n < health->node_count; n++) {
        const homehealth_node *node = &health->nodes[n];
        for (size_t i = 0; i < node->expert_count; i++)
            if (!isfinite(health->added.weights[node->weight + i]))
                return homefail(
                    error, HOME_E_VALUE,
                    "layer %zu, node \"%.60s\": weight %zu is not finite in one of the rows",
                    node->layer, node->name, i);
    }
    return HOME_OK;
}

/* Runs the model on a checked batch as predict does, for an observer. HOME_E_MEMORY,
 * HOME_E_CANCELED. */
static home_status run_observed(const home_model *model, const homebatch *batch,
                                const homerun_observer *observer, home_error *error) {
    home_workspace *workspace = model->pool->borrow(model, error);
    if (!workspace)
        return HOME_E_MEMORY;
    const size_t block = observer->rows < workspace->rows ? observer->rows : workspace->rows;
    const homefloat_mode host = homefloat_begin();
    int32_t stopped = 0;
    for (size_t first = 0; first < batch->rows && !stopped; first += block) {
        const size_t left = batch->rows - first;
        homerun run = homemodel_run(model);
        run.rows = left < block ? left : block;
        run.row_capacity = workspace->rows;
        run.activations = workspace->activations;
        run.observer = observer;
        homeinput_fill(model, &run, batch, first);
        stopped = homerun_forward(&run);
    }
    homefloat_end(host);
    model->pool->give_back(model, workspace);
    return stopped ? homefail_canceled(error, stopped) : HOME_OK;
}

home_status home_health_add(home_health *health, const home_model *model, const home_batch *given,
                            home_error *error) {
    if (!health || !model)
        return homefail_null(error, health ? "model" : "health");
    if (strcmp(health->topology, model->topology_json.data) != 0)
        return homefail(error, HOME_E_ARGUMENT,
                        "the model has another shape than the one that health was made for");
    homebatch batch;
    home_status status = homecreate_check_not_image(model, error);
    if (status == HOME_OK)
        status = homeinput_read(model, given, &batch, error);
    if (status == HOME_OK)
        status = homeinput_check_dense(model, &batch, error);
    if (status == HOME_OK)
        status = homeinput_check_ids(model, &batch, error);
    if (status != HOME_OK)
        return status;
    homehealth_reset(health, &health->added);
    health->model = model;
    status = run_observed(model, &batch, &(homerun_observer){observe, health, BLOCK_ROWS}, error);
    health->model = NULL;
    if (status == HOME_OK)
        status = check_finite(health, error);
    if (status == HOME_OK)
        homehealth_join(health, &health->total, &health->added);
    return status;
}
