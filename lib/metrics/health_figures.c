/* Figures of what a home_health has counted, and the norm of a unit's gradient. */
#include "../base/abi.h"
#include "../train/training.h"
#include "health.h"
#include "ratio.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

uint64_t home_health_rows(const home_health *health) {
    return health ? health->total.rows : 0;
}

size_t home_health_expert_count(const home_health *health) {
    return health ? health->expert_count : 0;
}

size_t home_health_node_count(const home_health *health) {
    return health ? health->node_count : 0;
}

/* HOME_OK if there are more than `number` experts or nodes, and `result` is not NULL. */
static home_status check_number(const home_health *health, const char *what, size_t number,
                                size_t count, const void *result, home_error *error) {
    if (!health || !result)
        return homefail_null(error, health ? "result" : "health");
    if (number >= count)
        return homefail(error, HOME_E_NOT_FOUND, "%s is %zu, expected less than %zu", what, number,
                        count);
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- experts */

static home_status check_expert(const home_health *health, size_t expert, const void *result,
                                home_error *error) {
    return check_number(health, "expert", expert, home_health_expert_count(health), result, error);
}

/* The sum over an expert's values of their squares around their own means. */
static double squares_within(const home_health *health, const homehealth_expert *e) {
    double sum = 0;
    for (size_t i = 0; i < e->width; i++)
        sum += health->total.squares[e->output + i];
    return sum;
}

static double expert_mean(const home_health *health, const homehealth_expert *e) {
    double sum = 0;
    for (size_t i = 0; i < e->width; i++)
        sum += health->total.mean[e->output + i];
    return health->total.rows ? sum / (double)e->width : (double)NAN;
}

static double expert_deviation(const home_health *health, const homehealth_expert *e) {
    const double mean = expert_mean(health, e);
    double between = 0;
    for (size_t i = 0; i < e->width; i++) {
        const double apart = health->total.mean[e->output + i] - mean;
        between += apart * apart;
    }
    const double rows = (double)health->total.rows;
    return sqrt(homeratio(squares_within(health, e) + rows * between, rows * (double)e->width));
}

double home_health_distance(const home_health *health, size_t a, size_t b) {
    if (!health || a >= health->expert_count || b >= health->expert_count || a == b ||
        health->total.rows == 0 || health->experts[a].layer != health->experts[b].layer)
        return (double)NAN;
    const size_t pair = a < b ? homehealth_pair(health, a, b) : homehealth_pair(health, b, a);
    const double apart = health->total.differences[pair];
    const double within =
        squares_within(health, &health->experts[a]) + squares_within(health, &health->experts[b]);
    if (apart == 0)
        return 0;
    return within > 0 ? sqrt(apart / within) : (double)INFINITY;
}

static void find_nearest(const home_health *health, size_t expert, home_expert_health *figures) {
    figures->nearest = HOME_NONE;
    figures->nearest_distance = (double)NAN;
    for (size_t other = 0; other < health->expert_count; other++) {
        const double distance = home_health_distance(health, expert, other);
        if (!isnan(distance) &&
            (figures->nearest == HOME_NONE || distance < figures->nearest_distance)) {
            figures->nearest = other;
            figures->nearest_distance = distance;
        }
    }
}

/* Which of the experts in the node's gate it is; expert_count where it is none of them. */
static size_t find_visible(const homehealth_node *node, size_t expert) {
    size_t i = 0;
    while (i < node->expert_count && node->experts[i] != expert)
        i++;
    return i;
}

double home_health_gate_weight(const home_health *health, size_t node, size_t expert) {
    if (!health || node >= health->node_count)
        return (double)NAN;
    const homehealth_node *place = &health->nodes[node];
    const size_t i = find_visible(place, expert);
    return i < place->expert_count
               ? homeratio(health->total.weights[place->weight + i], (double)health->total.rows)
               : (double)NAN;
}

double home_health_self_weight(const home_health *health, size_t node, size_t expert) {
    if (!health || node >= health->node_count)
        return (double)NAN;
    const homehealth_node *place = &health->nodes[node];
    if (!place->self || expert < place->own || expert - place->own >= place->own_count)
        return (double)NAN;
    return homeratio(health->total.self_weights[place->self_weight + expert - place->own],
                     (double)health->total.rows);
}

static void sum_mass(const home_health *health, size_t expert, home_expert_health *figures) {
    double top = 0;
    figures->top_node = HOME_NONE;
    for (size_t n = 0; n < health->node_count; n++) {
        const double weight = home_health_gate_weight(health, n, expert);
        figures->seen_by += find_visible(&health->nodes[n], expert) < health->nodes[n].expert_count;
        if (isnan(weight))
            continue;
        figures->mass += weight;
        if (weight > top) {
            top = weight;
            figures->top_node = n;
        }
    }
    figures->top_share = homeratio(top, figures->mass);
    if (health->total.rows == 0)
        figures->mass = (double)NAN;
}

static void find_limits(const home_health *health, const homehealth_expert *e,
                        home_expert_health *figures) {
    figures->min = figures->max = (double)NAN;
    if (health->total.rows == 0)
        return;
    for (size_t i = 0; i < e->width; i++) {
        const double min = health->total.min[e->output + i];
        const double max = health->total.max[e->output + i];
        if (i == 0 || min < figures->min)
            figures->min = min;
        if (i == 0 || max > figures->max)
            figures->max = max;
        figures->dead += max - min < HOME_NEAR_ZERO;
    }
}

home_status home_health_expert(const home_health *health, size_t expert, home_expert_health *result,
                               home_error *error) {
    const home_status status = check_expert(health, expert, result, error);
    if (status != HOME_OK)
        return status;
    const homehealth_expert *e = &health->experts[expert];
    home_expert_health figures = {
        .layer = e->layer, .unit = e->unit, .expert = e->index, .width = e->width};
    figures.mean = expert_mean(health, e);
    figures.deviation = expert_deviation(health, e);
    figures.near_zero = homeratio((double)health->total.near_zero[expert],
                                  (double)health->total.rows * (double)e->width);
    find_limits(health, e, &figures);
    find_nearest(health, expert, &figures);
    sum_mass(health, expert, &figures);
    return homeabi_write(&figures, result, sizeof figures, "result", error);
}

home_status home_health_histogram(const home_health *health, size_t expert, uint64_t *counts,
                                  home_error *error) {
    const home_status status = check_expert(health, expert, counts, error);
    if (status == HOME_OK)
        memcpy(counts, health->total.bins + expert * HOME_HEALTH_BINS,
               HOME_HEALTH_BINS * sizeof *counts);
    return status;
}

/* ---------------------------------------------------------------------------------------- nodes */

static void fill_gate(const home_health *health, size_t number, home_node_health *figures) {
    const homehealth_node *node = &health->nodes[number];
    const double rows = (double)health->total.rows;
    const double even = log((double)node->expert_count);
    double spread = 0;
    figures->top_expert = HOME_NONE;
    figures->top_weight = (double)NAN;
    for (size_t i = 0; i < node->expert_count; i++) {
        const double weight = homeratio(health->total.weights[node->weight + i], rows);
        if (isnan(weight)) /* no rows; a comparison with it would trap too */
            continue;
        spread += homehealth_information(weight);
        if (figures->top_expert == HOME_NONE || weight > figures->top_weight) {
            figures->top_weight = weight;
            figures->top_expert = node->experts[i];
        }
    }
    figures->entropy = homeratio(homeratio(health->total.entropies[number], rows), even);
    figures->entropy_spread = rows > 0 ? homeratio(spread, even) : (double)NAN;
}

static double deviation_ratio(const home_health *health, const homehealth_node *node) {
    double min = (double)INFINITY;
    double max = 0;
    if (health->total.rows == 0)
        return (double)NAN;
    for (size_t i = 0; i < node->expert_count; i++) {
        const double deviation = expert_deviation(health, &health->experts[node->experts[i]]);
        min = fmin(min, deviation);
        max = fmax(max, deviation);
    }
    if (max == 0) /* no expert moves */
        return (double)NAN;
    return min > 0 ? max / min : (double)INFINITY;
}

static void fill_own(const home_health *health, size_t number, home_node_health *figures) {
    const homehealth_node *node = &health->nodes[number];
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
    const home_status status =
        check_number(health, "node", node, home_health_node_count(health), result, error);
    if (status != HOME_OK)
        return status;
    const homehealth_node *place = &health->nodes[node];
    home_node_health figures = {
        .layer = place->layer, .node = place->name, .experts = place->expert_count};
    fill_gate(health, node, &figures);
    figures.deviation_ratio = deviation_ratio(health, place);
    fill_own(health, node, &figures);
    return homeabi_write(&figures, result, sizeof figures, "result", error);
}

/* ------------------------------------------------------------------------------------ gradients */

/* Sum of squares over the tensors of a unit's experts. */
static double unit_squares(const home_model *model, size_t layer, const char *unit,
                           const float *gradients) {
    char prefix[HOME_TENSOR_NAME_SIZE];
    const int length = snprintf(prefix, sizeof prefix, "layers.%zu.units.%s.experts.", layer, unit);
    double squares = 0;
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *tensor = &model->tensors.items[i];
        if (tensor->kind != HOME_TENSOR_PARAMETER ||
            strncmp(tensor->name, prefix, (size_t)length) != 0)
            continue;
        squares +=
            model->kernels->sum_of_squares(hometensors_size(tensor), gradients + tensor->offset);
    }
    return squares;
}

home_status home_model_unit_gradient_norm(const home_model *model, size_t layer, size_t unit,
                                          const float *gradients, size_t count, double *norm,
                                          home_error *error) {
    home_status status = hometraining_check(model, error);
    if (status != HOME_OK)
        return status;
    if (!norm)
        return homefail_null(error, "norm");
    const char *name = home_model_unit_name(model, layer, unit);
    if (!name)
        return homefail(error, HOME_E_NOT_FOUND, "there is no unit %zu in layer %zu", unit, layer);
    if (gradients && count != model->tensors.parameter_count)
        return homefail(error, HOME_E_ARGUMENT, "count is %zu, expected %zu", count,
                        model->tensors.parameter_count);
    if (!gradients)
        status = hometraining_check_gradients(model, error);
    if (status != HOME_OK)
        return status;
    *norm = sqrt(
        unit_squares(model, layer, name, gradients ? gradients : model->training->run.gradients));
    return HOME_OK;
}
