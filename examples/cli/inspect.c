/* home inspect: how healthy the mixture of a model is on labelled rows. */
#include "subject.h"

#include "diagnosis.h"
#include "number.h"
#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { NAME = 80 };

/* --------------------------------------------------------------------------------------- tables */

static void print_experts(const examination *of) {
    print_end(stdout);
    print_line(stdout, "%-5s  %-18s %9s %9s %7s %9s  %-18s %8s %6s  %s", "layer", "expert", "mean",
               "deviation", "zeros", "dead", "nearest", "distance", "mass", "most from");
    for (size_t i = 0; i < home_health_expert_count(of->health); i++) {
        const home_expert_health e = examination_expert(of, i);
        char name[NAME];
        char nearest[NAME] = "-";
        char dead[NAME];
        diagnosis_expert_name(of, i, name, sizeof name);
        if (e.nearest != SIZE_MAX)
            diagnosis_expert_name(of, e.nearest, nearest, sizeof nearest);
        snprintf(dead, sizeof dead, "%zu of %zu", e.dead, e.width);
        print_part(stdout, "%-5zu  %-18s %9.3g %9.3g %6.1f%% %9s  %-18s", e.layer, name, e.mean,
                   e.deviation, 100 * e.near_zero, dead, nearest);
        print_figure(stdout, 9, 3, e.nearest_distance);
        print_part(stdout, " %6.3f", e.mass);
        if (e.top_node != SIZE_MAX)
            print_part(stdout, "  %s (%.0f%%)", examination_node(of, e.top_node).node,
                       100 * e.top_share);
        print_end(stdout);
    }
}

/* Letters of the longest name of an expert in a layer, within bounds. */
static int column_width(const examination *of, size_t layer) {
    int width = 6;
    for (size_t e = 0; e < home_health_expert_count(of->health); e++) {
        char name[NAME];
        diagnosis_expert_name(of, e, name, sizeof name);
        if (examination_expert(of, e).layer == layer && (int)strlen(name) > width)
            width = (int)strlen(name) < 16 ? (int)strlen(name) : 16;
    }
    return width;
}

static void print_gate(const examination *of, size_t node, int width) {
    const home_node_health n = examination_node(of, node);
    print_part(stdout, "         %-16s", n.node);
    for (size_t e = 0; e < home_health_expert_count(of->health); e++) {
        const double weight = home_health_gate_weight(of->health, node, e);
        if (examination_expert(of, e).layer != n.layer)
            continue;
        if (isnan(weight))
            print_part(stdout, " %*s", width, ".");
        else
            print_part(stdout, " %*.3f", width, weight);
    }
    print_figure(stdout, 9, 3, n.entropy);
    print_figure(stdout, 8, 3, n.entropy_spread);
    print_figure(stdout, 7, 3, n.self_weight);
    print_end(stdout);
}

/* The node x expert matrix of a layer. */
static void print_gates(const examination *of, size_t layer) {
    const int width = column_width(of, layer);
    print_end(stdout);
    print_part(stdout, "layer %zu: %-16s", layer, "gate of");
    for (size_t e = 0; e < home_health_expert_count(of->health); e++) {
        char name[NAME];
        diagnosis_expert_name(of, e, name, sizeof name);
        if (examination_expert(of, e).layer == layer)
            print_part(stdout, " %*.*s", width, width, name);
    }
    print_line(stdout, "  %7s %7s %6s", "entropy", "spread", "self");
    for (size_t node = 0; node < home_health_node_count(of->health); node++)
        if (examination_node(of, node).layer == layer)
            print_gate(of, node, width);
}

static void print_gradients(const examination *of) {
    print_end(stdout);
    print_line(stdout,
               "gradient norm of each task at a unit's experts, mean over training batches");
    print_part(stdout, "%-5s  %-18s", "layer", "unit");
    for (size_t t = 0; t < of->by->label_count; t++)
        print_part(stdout, " %12.12s", of->by->labels[t].task);
    print_end(stdout);
    for (size_t u = 0; u < of->unit_count; u++) {
        print_part(stdout, "%-5zu  %-18s", of->units[u].layer, of->units[u].name);
        for (size_t t = 0; t < of->by->label_count; t++)
            print_part(stdout, " %12.3g", examination_gradient(of, u, t));
        print_end(stdout);
    }
}

static void print_diagnosis(const examination *of, const diagnosis *is) {
    const uint64_t rows = home_health_rows(of->health);
    print_end(stdout);
    for (diagnosis_kind kind = 0; kind < DIAGNOSIS_KINDS; kind++) {
        char summary[NAME];
        diagnosis_summary(is, kind, summary, sizeof summary);
        print_line(stdout, "%s: %s", diagnosis_name(kind), summary);
        for (size_t i = 0; i < is->count; i++)
            if (is->findings[i].kind == kind) {
                print_line(stdout, "  - %s.", is->findings[i].what);
                print_line(stdout, "    Try: %s.", is->findings[i].advice);
            }
    }
    if (rows < DIAGNOSIS_ENOUGH_ROWS)
        print_line(stdout, "These figures are of %" PRIu64 " row%s; %d or more make them reliable.",
                   rows, number_plural(rows), DIAGNOSIS_ENOUGH_ROWS);
}

/* ---------------------------------------------------------------------------------------- whole */

static void print_all(const examination *of, const diagnosis *is, const char *path) {
    const uint64_t rows = home_health_rows(of->health);
    print_line(stdout, "%s: %" PRIu64 " row%s", path, rows, number_plural(rows));
    print_end(stdout);
    unknown_print(of->unknown, of->by, stdout);
    scores_print(&of->quality, stdout);
    print_experts(of);
    for (size_t l = 0; l <= examination_last_layer(of); l++)
        print_gates(of, l);
    print_gradients(of);
    print_diagnosis(of, is);
}

static bool inspect(subject *on, failure *why) {
    examination seen;
    diagnosis is = {0};
    if (!examination_run(&seen, on->model, &on->by, on->data_path, why))
        return false;
    const bool good = diagnose(&is, &seen, why);
    if (good) {
        print_all(&seen, &is, on->data_path);
        unknown_warn(seen.unknown, &on->by, on->data_path);
    }
    diagnosis_free(&is);
    examination_free(&seen);
    return good;
}

static outcome run(char *const *words, int count, failure *why) {
    const option options[] = {{.name = NULL}};
    subject on;
    const outcome opened = subject_open(&on, words, count, options, why);
    if (opened != OUTCOME_DONE)
        return opened;
    const bool good = inspect(&on, why);
    subject_close(&on);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command inspect_command = {
    "inspect",
    "usage: home inspect MODEL.safetensors DATA.csv[.gz] [--threads N] [--memory-limit N]\n"
    "\n"
    "Runs MODEL on the labelled rows of DATA and shows how its mixture of experts is doing:\n"
    "what every expert gives, what weights the gates give it, what gradients it gets from every\n"
    "task; and in words whether experts have collapsed, shared experts have degraded to one\n"
    "task's, or tasks ignore their own experts, with the figure, the threshold and what to try.\n"
    "docs/health.md explains the tables.\n"
    "\n" SUBJECT_OPTIONS_HELP,
    run,
};
