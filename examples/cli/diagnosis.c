#include "diagnosis.h"

#include "heap.h"
#include "number.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { NAME = 80 };

/* Where findings go, and whether memory ran out for one of them. */
typedef struct gathering {
    const examination *of;
    diagnosis *to;
    bool failed;
} gathering;

HOME_PRINTF(4, 5)
static void note(gathering *g, diagnosis_kind kind, const char *advice, const char *format, ...) {
    diagnosis *to = g->to;
    finding *grown = heap_grow(to->findings, &to->capacity, to->count + 1, sizeof *grown);
    if (!grown) {
        g->failed = true;
        return;
    }
    to->findings = grown;
    finding *made = &grown[to->count++];
    *made = (finding){.kind = kind, .advice = advice};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(made->what, sizeof made->what, format, arguments);
    va_end(arguments);
}

void diagnosis_expert_name(const examination *of, size_t expert, char *text, size_t size) {
    const home_expert_health figures = examination_expert(of, expert);
    snprintf(text, size, "%.60s.%zu", figures.unit, figures.expert);
}

/* ------------------------------------------------------------------------------------- collapse */

static void check_gate(gathering *g, size_t node) {
    const home_node_health n = examination_node(g->of, node);
    char expert[NAME];
    if (n.experts < 2 || !(n.top_weight >= COLLAPSE_WEIGHT))
        return;
    diagnosis_expert_name(g->of, n.top_expert, expert, sizeof expert);
    note(g, DIAGNOSIS_COLLAPSE,
         "standardise the inputs; lower the learning rate; give the experts batch norm and Swish "
         "if they have none",
         "layer %zu, node %.60s: its gate gives expert %s %.2f of its weight on average, out of "
         "%zu experts (threshold %.2f): it no longer mixes them",
         n.layer, n.node, expert, n.top_weight, n.experts, COLLAPSE_WEIGHT);
}

/* Of the experts that a node sees, those whose outputs vary least and most. */
static void find_extremes(const examination *of, size_t node, size_t *min, size_t *max) {
    double low = (double)INFINITY;
    double high = -1;
    for (size_t e = 0; e < home_health_expert_count(of->health); e++) {
        if (isnan(home_health_gate_weight(of->health, node, e)))
            continue;
        const double deviation = examination_expert(of, e).deviation;
        if (deviation < low) {
            low = deviation;
            *min = e;
        }
        if (deviation > high) {
            high = deviation;
            *max = e;
        }
    }
}

/* Once per layer, because nodes that see the same experts would repeat each other. */
static void check_scales(gathering *g, size_t layer) {
    size_t worst = SIZE_MAX;
    double ratio = COLLAPSE_RATIO;
    for (size_t node = 0; node < home_health_node_count(g->of->health); node++) {
        const home_node_health n = examination_node(g->of, node);
        if (n.layer == layer && n.deviation_ratio >= ratio &&
            (worst == SIZE_MAX || n.deviation_ratio > ratio)) {
            worst = node;
            ratio = n.deviation_ratio;
        }
    }
    if (worst == SIZE_MAX)
        return;
    size_t min = 0;
    size_t max = 0;
    char low[NAME];
    char high[NAME];
    find_extremes(g->of, worst, &min, &max);
    diagnosis_expert_name(g->of, min, low, sizeof low);
    diagnosis_expert_name(g->of, max, high, sizeof high);
    note(g, DIAGNOSIS_COLLAPSE,
         "give the experts a batch norm: \"experts\": {\"norm\": \"batch\", \"activation\": "
         "\"swish\"}",
         "layer %zu, node %.60s mixes outputs of different scale: expert %s has the standard "
         "deviation %.3g, expert %s %.3g, a ratio of %.3g (threshold %g): the larger drowns the "
         "smaller",
         layer, examination_node(g->of, worst).node, high, examination_expert(g->of, max).deviation,
         low, examination_expert(g->of, min).deviation, ratio, COLLAPSE_RATIO);
}

static void check_zeros(gathering *g, size_t expert) {
    const home_expert_health e = examination_expert(g->of, expert);
    char name[NAME];
    if (!(e.near_zero >= COLLAPSE_ZEROS) && !((double)e.dead >= COLLAPSE_DEAD * (double)e.width))
        return;
    diagnosis_expert_name(g->of, expert, name, sizeof name);
    note(g, DIAGNOSIS_COLLAPSE,
         "use Swish after a batch norm instead of ReLU; lower the learning rate; standardise the "
         "inputs",
         "layer %zu, expert %s: %.0f %% of its values are zero (threshold %.0f %%), and %zu of its "
         "%zu outputs are the same on every row (threshold %.0f %% of them): much of it is dead",
         e.layer, name, 100 * e.near_zero, 100 * COLLAPSE_ZEROS, e.dead, e.width,
         100 * COLLAPSE_DEAD);
}

/* A pair is reported once, by its first expert, unless another is nearer to that one. */
static void check_twin(gathering *g, size_t expert) {
    const home_expert_health e = examination_expert(g->of, expert);
    char name[NAME];
    char other[NAME];
    if (!(e.nearest_distance < COLLAPSE_DISTANCE) ||
        (e.nearest < expert && examination_expert(g->of, e.nearest).nearest == expert))
        return;
    diagnosis_expert_name(g->of, expert, name, sizeof name);
    diagnosis_expert_name(g->of, e.nearest, other, sizeof other);
    note(g, DIAGNOSIS_COLLAPSE, "use fewer experts in this unit, or another seed",
         "layer %zu, experts %s and %s give nearly the same output: distance %.3f (threshold %.2f)",
         e.layer, name, other, e.nearest_distance, COLLAPSE_DISTANCE);
}

static void find_collapse(gathering *g) {
    for (size_t node = 0; node < home_health_node_count(g->of->health); node++)
        check_gate(g, node);
    for (size_t l = 0; l <= examination_last_layer(g->of); l++)
        check_scales(g, l);
    for (size_t e = 0; e < home_health_expert_count(g->of->health); e++) {
        check_zeros(g, e);
        check_twin(g, e);
    }
}

/* ---------------------------------------------------------------------------------- degradation */

/* The gate mass an expert would get were all gates even. */
static double even_mass(const examination *of, size_t expert) {
    double mass = 0;
    for (size_t node = 0; node < home_health_node_count(of->health); node++)
        if (!isnan(home_health_gate_weight(of->health, node, expert)))
            mass += 1 / (double)examination_node(of, node).experts;
    return mass;
}

/* A node's own experts are those made for it; all others that it sees, it shares. */
static bool is_own(const examination *of, size_t expert, size_t node) {
    const home_expert_health e = examination_expert(of, expert);
    return strcmp(e.unit, examination_node(of, node).node) == 0 ||
           !isnan(home_health_self_weight(of->health, node, expert));
}

/* A node that has a task's name serves that task alone, in every layer. */
static bool serves_one_task(const examination *of, size_t node) {
    return recipe_task(of->by, examination_node(of, node).node) < of->by->label_count;
}

static void check_sharing(gathering *g, size_t expert) {
    const home_expert_health e = examination_expert(g->of, expert);
    char name[NAME];
    if (e.seen_by < 2 || !(e.top_share >= DEGRADATION_SHARE) ||
        !serves_one_task(g->of, e.top_node) || is_own(g->of, expert, e.top_node) ||
        e.mass < DEGRADATION_MASS * even_mass(g->of, expert))
        return;
    diagnosis_expert_name(g->of, expert, name, sizeof name);
    note(g, DIAGNOSIS_DEGRADATION,
         "lower the weight of the dominant task; give tasks and groups experts of their own "
         "(preset home)",
         "layer %zu, expert %s is shared by %zu nodes, but %.0f %% of its gate mass comes from "
         "node %.60s (threshold %.0f %%, even would be %.0f %%): it serves one",
         e.layer, name, e.seen_by, 100 * e.top_share, examination_node(g->of, e.top_node).node,
         100 * DEGRADATION_SHARE, 100 / (double)e.seen_by);
}

/* --------------------------------------------------------------------------------- underfitting */

/* Norms of the gradients that tasks send to their own experts: this task's, and the largest. */
static void compare_gradients(const examination *of, size_t node, size_t task, double *own,
                              double *largest) {
    const size_t layer = examination_node(of, node).layer;
    *own = *largest = 0;
    for (size_t u = 0; u < of->unit_count; u++)
        for (size_t other = 0; other < home_health_node_count(of->health); other++) {
            const size_t t = examination_task_of(of, other);
            if (t == of->by->label_count || of->units[u].layer != layer ||
                !is_own(of, of->units[u].first_expert, other))
                continue;
            const double norm = examination_gradient(of, u, t);
            *largest = fmax(*largest, norm);
            if (t == task)
                *own = norm;
        }
}

static void check_task(gathering *g, size_t node) {
    const home_node_health n = examination_node(g->of, node);
    const size_t task = examination_task_of(g->of, node);
    if (task == g->of->by->label_count || n.own_experts == 0 || n.own_experts == n.experts)
        return;
    g->to->own_experts = true;
    const double even = (double)n.own_experts / (double)n.experts;
    if (!(n.own_mass < UNDERFITTING_MASS * even))
        return;
    const home_metric_result *seen = &g->of->quality.results[task];
    double own;
    double largest;
    compare_gradients(g->of, node, task, &own, &largest);
    note(g, DIAGNOSIS_UNDERFITTING,
         "raise the task's weight; switch feature gates and self gates on if they are off; give it "
         "fewer own experts",
         "task %.60s gives its own experts %.3f of its gate's weight (threshold %.3f, half of an "
         "even share) and leans on those of others: %" PRIu64 " positives in %" PRIu64
         " rows, gradient norm at its own experts %.2g, the largest of any task %.2g",
         n.node, n.own_mass, UNDERFITTING_MASS * even, seen->positives, seen->rows, own, largest);
}

/* ---------------------------------------------------------------------------------------- whole */

bool diagnose(diagnosis *made, const examination *of, failure *why) {
    gathering g = {.of = of, .to = made};
    *made = (diagnosis){0};
    find_collapse(&g);
    for (size_t e = 0; e < home_health_expert_count(of->health); e++)
        check_sharing(&g, e);
    for (size_t node = 0; node < home_health_node_count(of->health); node++)
        check_task(&g, node);
    for (size_t t = 0; t < of->by->label_count && !made->unlabelled; t++)
        if (of->quality.results[t].rows == 0)
            made->unlabelled = of->by->labels[t].task;
    if (!g.failed)
        return true;
    diagnosis_free(made);
    return fail_memory(why);
}

void diagnosis_free(diagnosis *made) {
    heap_free(made->findings);
    *made = (diagnosis){0};
}

size_t diagnosis_count(const diagnosis *of, diagnosis_kind kind) {
    size_t count = 0;
    for (size_t i = 0; i < of->count; i++)
        count += of->findings[i].kind == kind;
    return count;
}

const char *diagnosis_name(diagnosis_kind kind) {
    static const char *const names[DIAGNOSIS_KINDS] = {"collapse", "degradation", "underfitting"};
    return names[kind];
}

void diagnosis_summary(const diagnosis *of, diagnosis_kind kind, char *text, size_t size) {
    const size_t count = diagnosis_count(of, kind);
    if (count > 0)
        snprintf(text, size, "%zu sign%s", count, number_plural(count));
    else if (kind == DIAGNOSIS_UNDERFITTING && !of->own_experts)
        snprintf(text, size, "unknown: no task has experts of its own");
    else if (kind == DIAGNOSIS_UNDERFITTING && of->unlabelled)
        snprintf(text, size, "unknown: task %.30s has no labels", of->unlabelled);
    else
        snprintf(text, size, "none found");
}
