/* home info: what is in a model. */
#include "commands.h"

#include "checkpoint.h"
#include "options.h"
#include "print.h"
#include "topology.h"

#include <inttypes.h>
#include <stdio.h>

/* --------------------------------------------------------------------------------------- inputs */

static void print_step(const transform_step *step) {
    switch (step->kind) {
    case STEP_LOG1P:
        print_part(stdout, " log1p");
        break;
    case STEP_STANDARDISE:
        print_part(stdout, " standardise (mean %.6g, deviation %.6g)", step->mean, step->deviation);
        break;
    case STEP_BUCKETISE:
        print_part(stdout, " bucketise (%zu buckets:", step->boundary_count + 1);
        for (size_t i = 0; i < step->boundary_count; i++)
            print_part(stdout, " %.6g", step->boundaries[i]);
        print_part(stdout, ")");
        break;
    }
}

static void print_dense(const dense_column *dense) {
    const transform *change = &dense->change;
    print_part(stdout, "  %s:", dense->column);
    if (change->step_count == 0)
        print_part(stdout, " as it is");
    for (size_t i = 0; i < change->step_count; i++)
        print_step(&change->steps[i]);
    if (transform_buckets(change))
        print_line(stdout, ", a column for missing");
    else
        print_line(stdout, ", missing %.6g", (double)change->missing);
}

static void print_field(const recipe *of, const id_field *field) {
    const id_table *table = &of->tables[field->table];
    print_part(stdout,
               "  %s: %s, table %s with %zu values + 1, dim %" PRIu64 ", min_count %" PRIu64,
               field->column, field->separator ? "list" : "id", table->name, table->values.count,
               table->dim, table->min_count);
    if (field->separator)
        print_part(stdout, ", separator \"%c\", %s", field->separator, field->pooling);
    print_line(stdout, ", dropout %g", field->dropout);
}

static void print_inputs(const recipe *of) {
    print_end(stdout);
    print_line(stdout, "dense inputs: %zu columns, %zu values", of->dense_count,
               recipe_dense_width(of));
    for (size_t i = 0; i < of->dense_count; i++)
        print_dense(&of->dense[i]);
    print_end(stdout);
    print_line(stdout, "id inputs: %zu", of->field_count);
    for (size_t i = 0; i < of->field_count; i++)
        print_field(of, &of->fields[i]);
}

static void print_tasks(const recipe *of) {
    print_end(stdout);
    print_line(stdout, "tasks: %zu", of->label_count);
    for (size_t i = 0; i < of->label_count; i++) {
        const label_column *label = &of->labels[i];
        print_line(stdout, "  %s: column %s, group %s, weight %g", label->task, label->column,
                   label->group ? label->group : "all", label->weight);
    }
}

static bool print_recipe(const char *path, const home_model *model, failure *why) {
    recipe by;
    if (!checkpoint_has_recipe(model)) {
        print_end(stdout);
        print_line(stdout, "no recipe: not made by \"home train\"");
        return true;
    }
    if (!checkpoint_recipe(path, model, &by, why))
        return false;
    print_tasks(&by);
    print_inputs(&by);
    recipe_free(&by);
    return true;
}

/* -------------------------------------------------------------------------------------- tensors */

static void print_tensor(const home_tensor *tensor) {
    static const char *const kinds[] = {"", "  statistic", "  table"};
    char shape[64];
    if (tensor->rank == 1)
        snprintf(shape, sizeof shape, "[%" PRIu64 "]", tensor->shape[0]);
    else
        snprintf(shape, sizeof shape, "[%" PRIu64 ", %" PRIu64 "]", tensor->shape[0],
                 tensor->shape[1]);
    print_line(stdout, "  %-16s %s%s", shape, tensor->name,
               tensor->kind >= 0 && tensor->kind <= HOME_TENSOR_TABLE ? kinds[tensor->kind] : "");
}

/* Lists the tensors, and counts the numbers in tables. */
static bool print_tensors(const home_model *model, uint64_t *in_tables, failure *why) {
    home_error error = {.struct_size = sizeof error};
    *in_tables = 0;
    print_end(stdout);
    print_line(stdout, "tensors: %zu", home_model_tensor_count(model));
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        if (home_model_tensor_at(model, i, &tensor, &error) != HOME_OK)
            return fail_library(why, "reading a tensor", &error);
        print_tensor(&tensor);
        if (tensor.kind == HOME_TENSOR_TABLE)
            *in_tables += tensor.shape[0] * tensor.shape[1];
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- whole */

static void print_line_break(int depth) {
    print_end(stdout);
    print_part(stdout, "%*s", 2 * depth, "");
}

static const char *end_of_string(const char *p) {
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
    }
    return p;
}

/* Prints JSON with the members of the two outer levels on lines of their own. */
static void print_json(const char *p) {
    int depth = 0;
    for (const char *end; *p; p = end) {
        end = *p == '"' ? end_of_string(p) + 1 : p + 1;
        if (*p == ' ' || *p == '\n')
            continue;
        const bool opens = *p == '{' || *p == '[';
        const bool closes = *p == '}' || *p == ']';
        if (closes && depth-- <= 2)
            print_line_break(depth);
        depth += opens;
        print_part(stdout, "%.*s", (int)(end - p), p);
        if ((opens || *p == ',') && depth <= 2)
            print_line_break(depth);
        else if (*p == ',' || *p == ':')
            print_part(stdout, " ");
    }
    print_end(stdout);
}

/* A checkpoint without optimizer state does not count steps, so training leaves a note. */
static void print_training(const home_model *model) {
    const char *note = home_model_metadata(model, CHECKPOINT_TRAINING_KEY);
    if (note)
        print_line(stdout, "training: %s", note);
    else
        print_line(stdout, "steps: %" PRIu64, home_model_step_count(model));
}

static bool print_model(const char *path, const home_model *model, failure *why) {
    uint64_t in_tables;
    print_line(stdout, "configuration:");
    print_json(home_model_config_json(model));
    if (!print_recipe(path, model, why) || !topology_print(model, why) ||
        !print_tensors(model, &in_tables, why))
        return false;
    print_end(stdout);
    print_line(stdout, "parameters: %" PRIu64 ", and %" PRIu64 " in embedding tables",
               home_model_parameter_count(model), in_tables);
    print_line(stdout, "FLOPs per row: %" PRIu64, 2 * home_model_macs_per_row(model));
    print_training(model);
    return true;
}

static outcome run(char *const *words, int count, failure *why) {
    static const char *const names[] = {"MODEL"};
    const option options[] = {{.name = NULL}};
    const char *path;
    home_model *model;
    if (!options_read(words, count, options, names, &path, 1, why) ||
        !options_no_dash(names[0], path, why))
        return OUTCOME_USAGE;
    if (!checkpoint_load(path, &model, why))
        return OUTCOME_FAILED;
    const bool good = print_model(path, model, why);
    home_model_release(model);
    return good ? OUTCOME_DONE : OUTCOME_FAILED;
}

const command info_command = {
    "info",
    "usage: home info MODEL.safetensors\n"
    "\n"
    "Prints what MODEL holds: its configuration, tasks and groups, inputs with what was learned\n"
    "about them, who sees whom, tensors with their shapes, the number of parameters, the\n"
    "floating-point operations for one row (2 per multiply-add), and the training steps taken.\n",
    run,
};
