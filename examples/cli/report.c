/* home report: what a model is, how it learned and how it is doing, as one HTML file. */
#include "subject.h"

#include "chart.h"
#include "checkpoint.h"
#include "diagnosis.h"
#include "gates.h"
#include "heap.h"
#include "history.h"
#include "output.h"
#include "page.h"
#include "topology.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { NAME = 80 };

/* What the report is made from. */
typedef struct material {
    const subject *on;
    const examination *seen;
    const diagnosis *is;
    const history *learned; /* has no epochs where there is no log */
} material;

/* ----------------------------------------------------------------------------------------- head */

/* A whole number, its digits in threes. */
static void write_count(FILE *to, uint64_t count) {
    char digits[32];
    snprintf(digits, sizeof digits, "%" PRIu64, count);
    const size_t length = strlen(digits);
    for (size_t i = 0; i < length; i++)
        fprintf(to, "%s%c", i > 0 && (length - i) % 3 == 0 ? "&#8239;" : "", digits[i]);
}

static void write_fact(FILE *to, const char *name, uint64_t count) {
    fputs("<div class=\"fact\"><b>", to);
    write_count(to, count);
    fprintf(to, "</b><span>%s</span></div>\n", name);
}

/* Tasks without one are left out, and that is said. */
static void write_mean_auc(FILE *to, const scores *of) {
    const score_mean mean = scores_mean_auc(of, false);
    if (mean.tasks == 0)
        fputs("<div class=\"fact\"><b>–</b><span>mean AUC", to);
    else
        fprintf(to, "<div class=\"fact\"><b>%.4f</b><span>mean AUC", mean.auc);
    if (mean.undefined)
        fprintf(to, " of %zu of %zu tasks", mean.tasks, mean.tasks + mean.undefined);
    fputs("</span></div>\n", to);
}

/* The last part of a path. */
static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void write_head(FILE *to, const material *m) {
    fputs("<header><h1>", to);
    page_text(to, name_of(m->on->model_path));
    fputs("</h1>\n<p class=\"soft\">examined on ", to);
    page_text(to, name_of(m->on->data_path));
    fprintf(to, " by home %s</p>\n<div class=\"facts\">\n", home_version_string());
    write_mean_auc(to, &m->seen->quality);
    write_fact(to, "tasks", m->on->by.label_count);
    write_fact(to, "rows examined", home_health_rows(m->seen->health));
    write_fact(to, "experts", home_health_expert_count(m->seen->health));
    write_fact(to, "parameters", home_model_parameter_count(m->on->model));
    write_fact(to, "FLOPs per row", 2 * home_model_macs_per_row(m->on->model));
    fputs("</div></header>\n", to);
}

/* ------------------------------------------------------------------------------------ diagnoses */

static void write_findings(FILE *to, const diagnosis *is, diagnosis_kind kind) {
    fputs("<ul>\n", to);
    for (size_t i = 0; i < is->count; i++) {
        if (is->findings[i].kind != kind)
            continue;
        fputs("<li>", to);
        page_text(to, is->findings[i].what);
        fputs(".<em>Try: ", to);
        page_text(to, is->findings[i].advice);
        fputs(".</em></li>\n", to);
    }
    fputs("</ul>\n", to);
}

static void write_diagnoses(FILE *to, const material *m) {
    static const char *const questions[DIAGNOSIS_KINDS] = {
        "do gates still mix, and do experts still differ?",
        "do shared experts serve more than one task?",
        "do tasks use their own experts?",
    };
    page_section(to, "Diagnosis", NULL);
    for (diagnosis_kind kind = 0; kind < DIAGNOSIS_KINDS; kind++) {
        char summary[NAME];
        const bool found = diagnosis_count(m->is, kind) > 0;
        diagnosis_summary(m->is, kind, summary, sizeof summary);
        fprintf(to, "<div class=\"verdict%s\"><strong>%s: ",
                found                                ? " bad"
                : strcmp(summary, "none found") != 0 ? " unknown"
                                                     : "",
                diagnosis_name(kind));
        page_text(to, summary);
        fprintf(to, "</strong> <span class=\"soft\">%s</span>\n", questions[kind]);
        if (found)
            write_findings(to, m->is, kind);
        fputs("</div>\n", to);
    }
    if (home_health_rows(m->seen->health) < DIAGNOSIS_ENOUGH_ROWS)
        fprintf(
            to,
            "<p class=\"soft\">Fewer than %d rows were examined: do not rely on the figures.</p>\n",
            DIAGNOSIS_ENOUGH_ROWS);
    page_section_end(to);
}

/* -------------------------------------------------------------------------------------- quality */

static void write_quality_table(FILE *to, const material *m) {
    page_scroll(to, "Quality by task");
    fputs("<table><tr><th>task</th><th>group</th><th>rows</th><th>positives</"
          "th><th>rate</th><th>AUC</th><th>GAUC</th><th>log loss</th><th>calibration</th></tr>\n",
          to);
    for (size_t t = 0; t < m->on->by.label_count; t++) {
        const home_metric_result *r = &m->seen->quality.results[t];
        fputs("<tr><td>", to);
        page_text(to, m->on->by.labels[t].task);
        fputs("</td><td>", to);
        page_text(to, m->on->by.labels[t].group ? m->on->by.labels[t].group : "all");
        fprintf(to, "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td>", r->rows, r->positives);
        page_cell(to, "%.2f %%",
                  r->rows ? 100 * (double)r->positives / (double)r->rows : (double)NAN);
        page_cell(to, "%.4f", r->auc);
        page_cell(to, "%.4f", r->gauc);
        page_cell(to, "%.4f", r->log_loss);
        page_cell(to, "%.3f", r->calibration);
        fputs("</tr>\n", to);
    }
    fputs("</table>\n", to);
    page_scroll_end(to);
    if (m->seen->quality.no_user_rows)
        fprintf(to,
                "<p class=\"soft\">%zu of the %zu rows have no user and do not count in "
                "GAUC.</p>\n",
                m->seen->quality.no_user_rows, m->seen->quality.rows);
}

/* From the bin of the highest predictions down: the share of positives found, by the share of
 * negatives let through. */
static void draw_roc(FILE *to, const material *m, size_t task) {
    const score_bin *bins = m->seen->bins + task * EXAMINATION_BINS;
    double x[EXAMINATION_BINS + 1] = {0};
    double y[EXAMINATION_BINS + 1] = {0};
    double positives = 0;
    double negatives = 0;
    for (size_t i = 0; i < EXAMINATION_BINS; i++) {
        positives += bins[i].labels;
        negatives += bins[i].rows - bins[i].labels;
    }
    char caption[2 * NAME];
    snprintf(caption, sizeof caption, "%.60s: AUC %.4f", m->on->by.labels[task].task,
             m->seen->quality.results[task].auc);
    const chart in = chart_begin(to, "ROC curve", caption, (chart){.right = 1, .top = 1});
    chart_line(&in, "guide", (const double[]){0, 1}, (const double[]){0, 1}, 2);
    for (size_t i = 0; i < EXAMINATION_BINS; i++) {
        const score_bin *bin = &bins[EXAMINATION_BINS - 1 - i];
        x[i + 1] = x[i] + (bin->rows - bin->labels) / negatives;
        y[i + 1] = y[i] + bin->labels / positives;
    }
    chart_line(&in, "a", x, y, EXAMINATION_BINS + 1);
    chart_end(&in);
}

/* Mean prediction and mean label of up to CALIBRATION_GROUPS groups of about as many rows each. */
enum { CALIBRATION_GROUPS = 10 };

static size_t group_scores(const score_bin *bins, double x[CALIBRATION_GROUPS],
                           double y[CALIBRATION_GROUPS]) {
    double left = 0;
    size_t groups = 0;
    score_bin group = {0};
    for (size_t i = 0; i < EXAMINATION_BINS; i++)
        left += bins[i].rows;
    const double share = left / (double)CALIBRATION_GROUPS;
    for (size_t i = 0; i < EXAMINATION_BINS && groups < CALIBRATION_GROUPS; i++) {
        group.rows += bins[i].rows;
        group.labels += bins[i].labels;
        group.predictions += bins[i].predictions;
        left -= bins[i].rows;
        if (group.rows == 0 || (group.rows < share && left > 0))
            continue;
        x[groups] = group.predictions / group.rows;
        y[groups++] = group.labels / group.rows;
        group = (score_bin){0};
    }
    return groups;
}

static void draw_calibration(FILE *to, const material *m, size_t task) {
    double x[CALIBRATION_GROUPS];
    double y[CALIBRATION_GROUPS];
    double max = 0;
    const size_t groups = group_scores(m->seen->bins + task * EXAMINATION_BINS, x, y);
    for (size_t i = 0; i < groups; i++)
        max = fmax(max, fmax(x[i], y[i]));
    char caption[2 * NAME];
    snprintf(caption, sizeof caption, "%.60s: calibration %.3f", m->on->by.labels[task].task,
             m->seen->quality.results[task].calibration);
    const chart in =
        chart_begin(to, "calibration curve", caption, (chart){.right = max, .top = max});
    chart_line(&in, "guide", (const double[]){0, in.right}, (const double[]){0, in.right}, 2);
    chart_line(&in, "b", x, y, groups);
    chart_dots(&in, "b", x, y, groups);
    chart_end(&in);
}

static void write_curves(FILE *to, const material *m, const char *heading, const char *explanation,
                         void (*draw)(FILE *, const material *, size_t)) {
    fprintf(to, "<h3>%s</h3><p class=\"explain\">%s</p><div class=\"grid\">\n", heading,
            explanation);
    for (size_t t = 0; t < m->on->by.label_count; t++) {
        const home_metric_result *r = &m->seen->quality.results[t];
        if (!isnan(r->auc))
            draw(to, m, t);
    }
    fputs("</div>\n", to);
}

static void write_quality(FILE *to, const material *m) {
    page_section(
        to, "Quality",
        "AUC: the chance that a positive is ranked above a negative; GAUC: the same within a user, "
        "weighted by the user's rows. Calibration: mean prediction / mean label, 1 is right.");
    write_quality_table(to, m);
    page_section_end(to);
    page_section(to, "Curves", NULL);
    write_curves(to, m, "ROC",
                 "Up: the share of positives found. Across: the share of negatives let through.",
                 draw_roc);
    write_curves(to, m, "Calibration",
                 "Rows in ten groups by prediction. Up: the mean label. Across: the mean "
                 "prediction. On the dashed line they are equal.",
                 draw_calibration);
    page_section_end(to);
}

/* ------------------------------------------------------------------------------------------ ids */

static void write_ids_row(FILE *to, const char *column, const unknown_ids *ids) {
    fputs("<tr><td>", to);
    page_text(to, column);
    fprintf(to, "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td>", ids->ids,
            ids->empty, ids->unknown);
    if (unknown_many(ids))
        fprintf(to, "<td class=\"bad\">%.1f %%</td>", 100 * unknown_share(ids));
    else
        page_cell(to, "%.1f %%", 100 * unknown_share(ids));
    fputs("<td class=\"text\">", to);
    page_text(to, ids->example);
    if (ids->question) {
        fputs(", but ", to);
        page_text(to, ids->known);
        fprintf(to, " is known: %s", ids->question);
    }
    fputs("</td></tr>\n", to);
}

static void write_ids(FILE *to, const material *m) {
    if (m->on->by.field_count == 0)
        return;
    page_section(to, "Ids",
                 "How many ids of each column the model does not know: they were in no training "
                 "row, or in too few. It takes all of them for one and the same.");
    page_scroll(to, "Ids by column");
    fputs("<table><tr><th>column</th><th>ids</th><th>empty</th><th>unknown</th><th>share</th>"
          "<th>for example</th></tr>\n",
          to);
    for (size_t f = 0; f < m->on->by.field_count; f++)
        write_ids_row(to, m->on->by.fields[f].column, &m->seen->unknown[f]);
    fputs("</table>\n", to);
    page_scroll_end(to);
    page_section_end(to);
}

/* ------------------------------------------------------------------------------------- training */

/* One line of a chart over the epochs. */
static void draw_figure(const chart *in, const history *h, size_t task, history_figure figure,
                        const char *style) {
    for (size_t e = 0; e + 1 < h->epochs; e++) /* piece by piece: no memory for all of them */
        chart_line(
            in, style, h->numbers + e,
            (const double[]){history_at(h, e, task, figure), history_at(h, e + 1, task, figure)},
            2);
    for (size_t e = 0; e < h->epochs; e++)
        chart_dots(in, style, h->numbers + e, (const double[]){history_at(h, e, task, figure)}, 1);
}

static chart begin_epochs(FILE *to, const material *m, const char *heading, size_t task,
                          history_figure a, history_figure b) {
    char kind[NAME];
    const history *h = m->learned;
    chart edges = {.left = h->numbers[0],
                   .right = h->numbers[h->epochs - 1],
                   .bottom = INFINITY,
                   .top = -INFINITY};
    for (size_t e = 0; e < h->epochs; e++) {
        edges.bottom =
            fmin(edges.bottom, fmin(history_at(h, e, task, a), history_at(h, e, task, b)));
        edges.top = fmax(edges.top, fmax(history_at(h, e, task, a), history_at(h, e, task, b)));
    }
    if (!isfinite(edges.bottom) || !isfinite(edges.top))
        edges.bottom = edges.top = 0;
    snprintf(kind, sizeof kind, "%s by epoch", heading);
    return chart_begin(to, kind, m->on->by.labels[task].task, edges);
}

static void write_epochs(FILE *to, const material *m, const char *heading, history_figure a,
                         const char *a_name, history_figure b, const char *b_name) {
    fprintf(to,
            "<h3>%s</h3><div class=\"key\"><span><i></i>%s</span><span><i "
            "class=\"two\"></i>%s</span></div>\n",
            heading, a_name, b_name);
    fputs("<div class=\"grid\">\n", to);
    for (size_t t = 0; t < m->on->by.label_count; t++) {
        const chart in = begin_epochs(to, m, heading, t, a, b);
        draw_figure(&in, m->learned, t, b, "b");
        draw_figure(&in, m->learned, t, a, "a");
        chart_end(&in);
    }
    fputs("</div>\n", to);
}

static void write_training(FILE *to, const material *m) {
    const char *rows =
        m->learned->validated ? "validation rows" : "training rows, each before it was trained on";
    char log_loss[2 * NAME];
    if (m->learned->epochs == 0) {
        page_section(to, "Training",
                     "No log was given. <code>home train --log LOG.csv</code> writes one, "
                     "<code>home report --log LOG.csv</code> draws it here.");
        page_section_end(to);
        return;
    }
    page_section(to, "Training", NULL);
    fprintf(to, "<p class=\"explain\">By epoch, on the %s.</p>\n", rows);
    write_epochs(to, m, "AUC", HISTORY_AUC, "AUC", HISTORY_GAUC, "GAUC");
    snprintf(log_loss, sizeof log_loss, "log loss on the %s", rows);
    write_epochs(to, m, "Loss", HISTORY_LOSS, "loss in training", HISTORY_LOG_LOSS, log_loss);
    page_section_end(to);
}

/* -------------------------------------------------------------------------------------- experts */

/* The picture of the distributions: a hill a row. */
enum { HILL_LEFT = 200, HILL_WIDTH = 330, HILL_ROW = 42, HILL_ALL = 540 };

/* Where a value lies, on a scale that is linear near zero and logarithmic far away: that of the
 * bins. */
static double place_of(double value) {
    const double edge = asinh(20 * value) / 0.3 + 0.5 * (HOME_HEALTH_BINS - 2);
    return (double)HILL_LEFT + (double)HILL_WIDTH * (edge + 1) / HOME_HEALTH_BINS;
}

static void draw_hill(FILE *to, const material *m, size_t expert, double y) {
    uint64_t counts[HOME_HEALTH_BINS];
    uint64_t max = 1;
    if (home_health_histogram(m->seen->health, expert, counts, NULL) != HOME_OK)
        return;
    for (size_t b = 0; b < HOME_HEALTH_BINS; b++)
        max = counts[b] > max ? counts[b] : max;
    fprintf(to, "<path class=\"hill\" d=\"M%d %.1f", HILL_LEFT, y);
    for (size_t b = 0; b < HOME_HEALTH_BINS; b++)
        fprintf(to, "L%.1f %.1f",
                (double)HILL_LEFT + (double)HILL_WIDTH * ((double)b + 0.5) / HOME_HEALTH_BINS,
                y - (HILL_ROW - 6) * (double)counts[b] / (double)max);
    fprintf(to, "L%d %.1fZ\"/>\n", HILL_LEFT + HILL_WIDTH, y);
}

static void draw_expert(FILE *to, const material *m, size_t expert, double y) {
    const home_expert_health e = examination_expert(m->seen, expert);
    char name[NAME];
    diagnosis_expert_name(m->seen, expert, name, sizeof name);
    const bool dead =
        e.near_zero >= COLLAPSE_ZEROS || (double)e.dead >= COLLAPSE_DEAD * (double)e.width;
    fprintf(to, "<text class=\"strong\" x=\"0\" y=\"%.1f\">", y - 18);
    page_text(to, name);
    fprintf(to,
            "</text><text class=\"%s\" x=\"0\" y=\"%.1f\">%.2g ± %.2g, zeros %.0f %%, dead %zu of "
            "%zu</text>\n",
            dead ? "bad-text" : "soft-text", y - 4, e.mean, e.deviation, 100 * e.near_zero, e.dead,
            e.width);
    draw_hill(to, m, expert, y);
}

static void draw_hill_scale(FILE *to, double bottom) {
    static const double marks[] = {-100, -10, -1, -0.1, 0, 0.1, 1, 10, 100};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        fprintf(to,
                "<path class=\"axis\" d=\"M%.1f 4V%.1f\"/><text class=\"tick\" x=\"%.1f\" "
                "y=\"%.1f\" text-anchor=\"middle\">%g</text>\n",
                place_of(marks[i]), bottom + 4, place_of(marks[i]), bottom + 17, marks[i]);
}

static void draw_layer(FILE *to, const material *m, size_t layer) {
    size_t rows = 0;
    for (size_t e = 0; e < home_health_expert_count(m->seen->health); e++)
        rows += examination_expert(m->seen, e).layer == layer;
    const int bottom = 6 + HILL_ROW * (int)rows;
    char label[NAME];
    snprintf(label, sizeof label, "Layer %zu: how the values of each expert are distributed",
             layer);
    fprintf(to, "<div><h3>Layer %zu</h3>", layer);
    page_scroll(to, label);
    page_picture(to, label, HILL_ALL, bottom + 24);
    draw_hill_scale(to, bottom);
    double y = 6;
    for (size_t e = 0; e < home_health_expert_count(m->seen->health); e++)
        if (examination_expert(m->seen, e).layer == layer)
            draw_expert(to, m, e, y += (double)HILL_ROW);
    page_picture_end(to);
    page_scroll_end(to);
    fputs("</div>\n", to);
}

static void write_experts(FILE *to, const material *m) {
    page_section(
        to, "Experts",
        "How the values of each expert's output are distributed, on a scale that is fine around "
        "zero and logarithmic far from it. Beside the name: mean ± standard deviation. Healthy "
        "experts of a layer have hills of like width; a single spike at zero is a dead expert.");
    fputs("<div class=\"pair\">\n", to);
    for (size_t l = 0; l <= examination_last_layer(m->seen); l++)
        draw_layer(to, m, l);
    fputs("</div>\n", to);
    page_section_end(to);
}

static bool write_gates(FILE *to, const material *m, failure *why) {
    page_section(
        to, "Gates",
        "The mean weight that each node (row) gives each expert it sees (column). Lines lead from "
        "a layer's nodes to the units of the next layer that read them. Entropy: 1 where a gate is "
        "even in every row, 0 where it gives all to one expert.");
    fputs("<div class=\"key\"><span><i class=\"box\"></i>also in the node's self "
          "term</span><span><i class=\"none\"></i>not seen</span></div>\n",
          to);
    const bool drawn = gates_draw(to, m->seen, m->on->model, why);
    page_section_end(to);
    return drawn;
}

/* ------------------------------------------------------------------------------------ gradients */

static void write_gradients(FILE *to, const material *m) {
    page_section(to, "Gradients",
                 "The norm of each task's gradient by the parameters of each unit's experts, mean "
                 "over training batches. The shade compares the tasks of one row.");
    page_scroll(to, "Gradients by unit and task");
    fputs("<table class=\"narrow\"><tr><th>layer, unit</th>", to);
    for (size_t t = 0; t < m->on->by.label_count; t++) {
        fputs("<th>", to);
        page_text(to, m->on->by.labels[t].task);
        fputs("</th>", to);
    }
    fputs("</tr>\n", to);
    for (size_t u = 0; u < m->seen->unit_count; u++) {
        double max = 0;
        for (size_t t = 0; t < m->on->by.label_count; t++)
            max = fmax(max, examination_gradient(m->seen, u, t));
        fprintf(to, "<tr><td>%zu, ", m->seen->units[u].layer);
        page_text(to, m->seen->units[u].name);
        fputs("</td>", to);
        for (size_t t = 0; t < m->on->by.label_count; t++) {
            const double norm = examination_gradient(m->seen, u, t);
            if (norm > 0)
                fprintf(to, "<td class=\"heat\" style=\"--w:%.3f\">%.2g</td>", norm / max, norm);
            else
                fputs("<td class=\"soft\">0</td>", to);
        }
        fputs("</tr>\n", to);
    }
    fputs("</table>\n", to);
    page_scroll_end(to);
    page_section_end(to);
}

/* ---------------------------------------------------------------------------------------- model */

HOME_PRINTF(3, 4)
static void write_row(FILE *to, const char *name, const char *format, ...) {
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(to, "<tr><td>%s</td><td class=\"text\">", name);
    page_text(to, text);
    fputs("</td></tr>\n", to);
}

static double number_of(const homejson_value *object, const char *key) {
    const homejson_value *value = homejson_member(object, key);
    return value ? homejson_number(value) : 0;
}

static size_t length_of(const homejson_value *object, const char *key) {
    const homejson_value *value = homejson_member(object, key);
    return value ? value->count : 0;
}

/* [a, b] as "a, b, " */
static void list_widths(const homejson_value *array, char *text, size_t size) {
    *text = 0;
    for (const homejson_value *width = array ? array->first : NULL; width; width = width->next) {
        const size_t used = strlen(text);
        snprintf(text + used, size - used, "%.0f, ", homejson_number(width));
    }
}

static void write_summary(FILE *to, const homejson_value *config) {
    const homejson_value *experts = homejson_member(config, "experts");
    const homejson_value *optimizer = homejson_member(config, "optimizer");
    char hidden[NAME];
    write_row(to, "preset", "%.60s", topology_text(config, "preset"));
    write_row(to, "input", "%.0f numbers, %zu id fields", number_of(config, "dense"),
              length_of(config, "fields"));
    write_row(to, "experts", "norm %.20s, activation %.20s", topology_text(experts, "norm"),
              topology_text(experts, "activation"));
    const homejson_value *layers = homejson_member(config, "layers");
    size_t l = 0;
    for (const homejson_value *layer = layers ? layers->first : NULL; layer;
         layer = layer->next, l++) {
        const homejson_value *gates = homejson_member(layer, "feature_gates");
        char name[NAME];
        snprintf(name, sizeof name, "layer %zu", l);
        list_widths(homejson_member(layer, "hidden"), hidden, sizeof hidden);
        write_row(to, name, "expert widths %s%.0f; feature gates %s", hidden,
                  number_of(layer, "width"), gates && gates->boolean ? "on" : "off");
    }
    list_widths(homejson_member(homejson_member(config, "tower"), "hidden"), hidden, sizeof hidden);
    write_row(to, "towers", "widths %s1", hidden);
    write_row(to, "optimizer", "%.20s, learning rate %g; tables %.30s, learning rate %g",
              topology_text(optimizer, "kind"), number_of(optimizer, "learning_rate"),
              topology_text(optimizer, "embedding_kind"),
              number_of(optimizer, "embedding_learning_rate"));
}

static bool write_model(FILE *to, const material *m, failure *why) {
    document config;
    const char *training = home_model_metadata(m->on->model, CHECKPOINT_TRAINING_KEY);
    if (!document_read_text(&config, "the model's configuration",
                            home_model_config_json(m->on->model), why))
        return false;
    page_section(to, "Model", NULL);
    fputs("<table>\n", to);
    write_summary(to, homejson_root(config.json));
    write_row(to, "training", "%.300s", training ? training : "not noted");
    fputs("</table>\n<details><summary>The whole configuration</summary><pre>", to);
    page_text(to, home_model_config_json(m->on->model));
    fputs("</pre></details>\n", to);
    page_section_end(to);
    document_free(&config);
    return true;
}

/* ---------------------------------------------------------------------------------------- whole */

static bool write_page(FILE *to, const material *m, failure *why) {
    page_begin(to, name_of(m->on->model_path));
    write_head(to, m);
    write_diagnoses(to, m);
    if (!write_gates(to, m, why))
        return false;
    write_experts(to, m);
    write_gradients(to, m);
    write_quality(to, m);
    write_ids(to, m);
    write_training(to, m);
    if (!write_model(to, m, why))
        return false;
    page_end(to);
    return true;
}

static bool write_report(const material *m, const char *path, failure *why) {
    output to = {0};
    const bool good =
        output_open(&to, path, why) && write_page(to.file, m, why) && output_commit(&to, why);
    output_discard(&to);
    return good;
}

static bool examine_and_write(subject *on, const history *learned, const char *path, failure *why) {
    examination seen;
    diagnosis is = {0};
    if (!examination_run(&seen, on->model, &on->by, on->data_path, why))
        return false;
    const material m = {.on = on, .seen = &seen, .is = &is, .learned = learned};
    const bool good = diagnose(&is, &seen, why) && write_report(&m, path, why);
    if (good)
        unknown_warn(seen.unknown, &on->by, on->data_path);
    diagnosis_free(&is);
    examination_free(&seen);
    return good;
}

static bool report(subject *on, const char *log, const char *path, failure *why) {
    history learned = {0};
    if (log && !history_read(&learned, &on->by, log, why))
        return false;
    const bool good = examine_and_write(on, &learned, path, why);
    history_free(&learned);
    return good;
}

static outcome run(char *const *words, int count, failure *why) {
    const char *target = NULL;
    const char *log = NULL;
    const option options[] = {{.name = "output",
                               .text = &target,
                               .file = OPTION_FILE_WRITTEN,
                               .required = "the HTML file to write"},
                              {.name = "log", .text = &log, .file = OPTION_FILE_READ},
                              {.name = NULL}};
    subject on;
    const outcome opened = subject_open(&on, words, count, options, why);
    if (opened != OUTCOME_DONE)
        return opened;
    const bool good = report(&on, log, target, why);
    subject_close(&on);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command report_command = {
    "report",
    "usage: home report MODEL.safetensors DATA.csv[.gz] --output REPORT.html [--log LOG.csv]\n"
    "                   [--threads N] [--memory-limit N]\n"
    "\n"
    "Runs MODEL on the labelled rows of DATA and draws what \"home inspect\" prints: diagnoses,\n"
    "gates along the hierarchy, distributions of the experts' outputs, gradients, ROC and\n"
    "calibration curves, and what the model is. One HTML file that needs nothing from\n"
    "elsewhere, for light and dark screens, large and small, and for paper.\n"
    "\n"
    "  --output FILE     where to write; the file appears whole or not at all\n"
    "  --log FILE        what \"home train --log\" wrote, for curves over the "
    "epochs\n" SUBJECT_OPTIONS_HELP,
    run,
};
