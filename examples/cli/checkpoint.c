#include "checkpoint.h"

#include "heap.h"
#include "learned.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- configuration */

static const char *separator(size_t index) {
    return index ? "," : "";
}

/* The mean label, weighted as the loss is. Half a row keeps it inside (0, 1), where the library wants it. */
static double base_rate(const dataset *rows, size_t task) {
    const size_t tasks = rows->by->label_count;
    double weights = 0;
    double sum = 0;
    for (size_t r = 0; r < rows->rows; r++) {
        const float label = rows->labels[r * tasks + task];
        if (!isnan(label)) {
            weights += (double)rows->weights[r];
            sum += (double)rows->weights[r] * (double)label;
        }
    }
    const double margin = 0.5 / (double)(rows->rows + 1);
    return weights > 0 ? fmin(fmax(sum / weights, margin), 1 - margin) : 0.5;
}

static void write_tables(const recipe *by, home_text *text) {
    for (size_t i = 0; i < by->table_count; i++) {
        const id_table *table = &by->tables[i];
        home_text_add(text, separator(i));
        home_text_add(text, "{\"name\":");
        home_text_add_string(text, table->name);
        home_text_add(text, ",\"rows\":");
        home_text_add_integer(text, table->values.count + 1);
        home_text_add(text, ",\"dim\":");
        home_text_add_integer(text, table->dim);
        home_text_add(text, ",\"index\":\"direct\",\"init_std\":");
        home_text_add_number(text, table->init_std);
        home_text_add(text, "}");
    }
}

static void write_fields(const recipe *by, home_text *text) {
    for (size_t i = 0; i < by->field_count; i++) {
        home_text_add(text, separator(i));
        home_text_add(text, "{\"name\":");
        home_text_add_string(text, by->fields[i].column);
        home_text_add(text, ",\"table\":");
        home_text_add_string(text, by->tables[by->fields[i].table].name);
        home_text_add(text, ",\"pooling\":");
        home_text_add_string(text, by->fields[i].pooling);
        home_text_add(text, "}");
    }
}

static void write_tasks(const recipe *by, const dataset *training, home_text *text) {
    for (size_t i = 0; i < by->label_count; i++) {
        const label_column *label = &by->labels[i];
        home_text_add(text, separator(i));
        home_text_add(text, "{\"name\":");
        home_text_add_string(text, label->task);
        if (label->group) {
            home_text_add(text, ",\"group\":");
            home_text_add_string(text, label->group);
        }
        home_text_add(text, ",\"weight\":");
        home_text_add_number(text, label->weight);
        if (by->training.base_rate) {
            home_text_add(text, ",\"base_rate\":");
            home_text_add_number(text, base_rate(training, i));
        }
        home_text_add(text, "}");
    }
}

/* The library's configuration: the recipe's "model", and what follows from the recipe and the data. */
static void write_configuration(const recipe *by, const dataset *training, home_text *text) {
    home_text_add(text, "{\"seed\":");
    home_text_add_integer(text, by->training.seed);
    home_text_add(text, ",\"dense\":");
    home_text_add_integer(text, recipe_dense_width(by));
    home_text_add(text, ",\"tables\":[");
    write_tables(by, text);
    home_text_add(text, "],\"fields\":[");
    write_fields(by, text);
    home_text_add(text, "],\"tasks\":[");
    write_tasks(by, training, text);
    home_text_add(text, "]");
    home_text_add(text, separator(by->model->count));
    home_text_add_bytes(text, by->doc.text + by->model->begin + 1, by->model->end - by->model->begin - 1);
}

/* ----------------------------------------------------------------------------------------- create */

static bool create(const recipe *by, const home_text *configuration, home_model **model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    if (configuration->failed)
        return fail_memory(why);
    if (home_model_create_json(configuration->data, configuration->length, NULL, model, &error) == HOME_OK)
        return true;
    return fail(why, "%s: the model: %s", by->doc.name, error.message);
}

static bool store_recipe(const recipe *by, home_model *model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    home_text text = {.allocator = heap()};
    learned_write(by, &text);
    bool stored = !text.failed || fail_memory(why);
    if (stored && home_model_set_metadata(model, CHECKPOINT_RECIPE_KEY, text.data, &error) != HOME_OK)
        stored = fail_library(why, by->doc.name, &error);
    heap_free(text.data);
    return stored;
}

bool checkpoint_create(const recipe *by, const dataset *training, home_model **model, failure *why) {
    home_text configuration = {.allocator = heap()};
    write_configuration(by, training, &configuration);
    const bool created = create(by, &configuration, model, why);
    heap_free(configuration.data);
    if (!created || store_recipe(by, *model, why))
        return created;
    home_model_release(*model);
    return false;
}

/* ------------------------------------------------------------------------------------------- load */

bool checkpoint_load(const char *path, home_model **model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    return home_model_load(path, NULL, model, &error) == HOME_OK || fail_library(why, path, &error);
}

/* A recipe that was changed behind the library's back must not lead it to read past its inputs. */
static bool check_fit(const char *path, const home_model *model, const recipe *of, failure *why) {
    bool fits = home_model_dense_width(model) == recipe_dense_width(of) &&
                home_model_field_count(model) == of->field_count &&
                home_model_task_count(model) == of->label_count;
    for (size_t i = 0; fits && i < of->label_count; i++)
        fits = strcmp(home_model_task_name(model, i), of->labels[i].task) == 0;
    return fits ||
           fail(why, "%s: the recipe in it does not fit the model; expected the same inputs and tasks", path);
}

bool checkpoint_has_recipe(const home_model *model) {
    return home_model_metadata(model, CHECKPOINT_RECIPE_KEY) != NULL;
}

bool checkpoint_recipe(const char *path, const home_model *model, recipe *of, failure *why) {
    const char *text = home_model_metadata(model, CHECKPOINT_RECIPE_KEY);
    memset(of, 0, sizeof *of);
    if (!text)
        return fail(why, "%s: no recipe in it; expected a model made by \"home train\"", path);
    if (!learned_read(of, path, text, why))
        return false;
    if (check_fit(path, model, of, why))
        return true;
    recipe_free(of);
    return false;
}

bool checkpoint_open(const char *path, home_model **model, recipe *of, failure *why) {
    if (!checkpoint_load(path, model, why))
        return false;
    if (checkpoint_recipe(path, *model, of, why))
        return true;
    home_model_release(*model);
    return false;
}
