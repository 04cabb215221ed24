#include "checkpoint.h"

#include "blame.h"
#include "heap.h"
#include "isa.h"
#include "kind.h"
#include "learned.h"

#include <math.h>
#include <string.h>

/* -------------------------------------------------------------------------------- configuration */

static const char *separator(size_t index) {
    return index ? "," : "";
}

/* The mean label, weighted as the loss is; 1/2 where there is none. */
static double mean_label(const dataset *rows, size_t task) {
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
    return weights > 0 ? sum / weights : 0.5;
}

/* Where a task's tower starts. A task that is given another one predicts the rate among that one's
 * positive rows. Half a row keeps the rate inside (0, 1), as the library requires. */
static double base_rate(const dataset *rows, size_t task) {
    const recipe *by = rows->by;
    const char *given = by->labels[task].given;
    const size_t condition = given ? recipe_task(by, given) : by->label_count;
    const double margin = 0.5 / (double)(rows->rows + 1);
    double rate = mean_label(rows, task);
    if (condition < by->label_count)
        rate /= fmax(mean_label(rows, condition), margin);
    return fmin(fmax(rate, margin), 1 - margin);
}

static void write_tables(const recipe *by, hometext *text) {
    for (size_t i = 0; i < by->table_count; i++) {
        const id_table *table = &by->tables[i];
        hometext_add(text, separator(i));
        hometext_add(text, "{\"name\":");
        hometext_add_string(text, table->name);
        hometext_add(text, ",\"rows\":");
        hometext_add_integer(text, table->values.count + 1);
        hometext_add(text, ",\"dim\":");
        hometext_add_integer(text, table->dim);
        hometext_add(text, ",\"index\":\"direct\",\"init_std\":");
        hometext_add_number(text, table->init_std);
        hometext_add(text, "}");
    }
}

static void write_fields(const recipe *by, hometext *text) {
    for (size_t i = 0; i < by->field_count; i++) {
        hometext_add(text, separator(i));
        hometext_add(text, "{\"name\":");
        hometext_add_string(text, by->fields[i].column);
        hometext_add(text, ",\"table\":");
        hometext_add_string(text, by->tables[by->fields[i].table].name);
        hometext_add(text, ",\"pooling\":");
        hometext_add_string(text, by->fields[i].pooling);
        hometext_add(text, "}");
    }
}

static void write_tasks(const recipe *by, const dataset *training, hometext *text) {
    for (size_t i = 0; i < by->label_count; i++) {
        const label_column *label = &by->labels[i];
        hometext_add(text, separator(i));
        hometext_add(text, "{\"name\":");
        hometext_add_string(text, label->task);
        if (label->group) {
            hometext_add(text, ",\"group\":");
            hometext_add_string(text, label->group);
        }
        hometext_add(text, ",\"weight\":");
        hometext_add_number(text, label->weight);
        if (label->given) {
            hometext_add(text, ",\"given\":");
            hometext_add_string(text, label->given);
        }
        if (label->base_rate > 0 || by->training.base_rate) {
            hometext_add(text, ",\"base_rate\":");
            hometext_add_number(text,
                                label->base_rate > 0 ? label->base_rate : base_rate(training, i));
        }
        hometext_add(text, "}");
    }
}

/* The library's configuration: the recipe's "model" and what follows from recipe and data. */
static void write_configuration(const recipe *by, const dataset *training, hometext *text) {
    hometext_add(text, "{\"seed\":");
    hometext_add_integer(text, by->training.seed);
    hometext_add(text, ",\"dense\":");
    hometext_add_integer(text, recipe_dense_width(by));
    hometext_add(text, ",\"tables\":[");
    write_tables(by, text);
    hometext_add(text, "],\"fields\":[");
    write_fields(by, text);
    hometext_add(text, "],\"tasks\":[");
    write_tasks(by, training, text);
    hometext_add(text, "]");
    hometext_add(text, separator(by->model->count));
    hometext_add_bytes(text, by->doc.text + by->model->begin + 1,
                       by->model->end - by->model->begin - 1);
}

/* --------------------------------------------------------------------------------------- create */

static bool create(const recipe *by, const hometext *configuration, home_model **model,
                   failure *why) {
    home_error error = {.struct_size = sizeof error};
    home_create_options options = {.struct_size = sizeof options};
    if (configuration->failed)
        return fail_memory(why);
    if (!isa_read(&options.isa, why))
        return false;
    if (home_model_create_json(configuration->data, configuration->length, &options, model,
                               &error) == HOME_OK)
        return true;
    return blame_recipe(by, configuration, &error, why);
}

static bool store_recipe(const recipe *by, home_model *model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    hometext text = {.allocator = heap()};
    learned_write(by, &text);
    bool stored = !text.failed || fail_memory(why);
    if (stored &&
        home_model_set_metadata(model, CHECKPOINT_RECIPE_KEY, text.data, &error) != HOME_OK)
        stored = fail_library(why, by->doc.name, &error);
    heap_free(text.data);
    return stored;
}

/* A model made from the recipe and the rows, without the recipe in its metadata. */
static bool create_bare(const recipe *by, const dataset *training, home_model **model,
                        failure *why) {
    hometext configuration = {.allocator = heap()};
    write_configuration(by, training, &configuration);
    const bool created = create(by, &configuration, model, why);
    heap_free(configuration.data);
    return created;
}

/* A model of no rows costs little: its tables have one row each. */
bool checkpoint_check(const recipe *by, failure *why) {
    const dataset no_rows = {.by = by};
    const homejson_value *layers;
    home_model *model = NULL;
    if (!document_member(&by->doc, by->model, "layers", &layers, why) ||
        !create_bare(by, &no_rows, &model, why))
        return false;
    home_model_release(model);
    return true;
}

bool checkpoint_create(const recipe *by, const dataset *training, home_model **model,
                       failure *why) {
    if (!create_bare(by, training, model, why))
        return false;
    if (store_recipe(by, *model, why))
        return true;
    home_model_release(*model);
    return false;
}

/* ----------------------------------------------------------------------------------------- load */

bool checkpoint_load(const char *path, home_model **model, failure *why) {
    home_error error = {.struct_size = sizeof error};
    home_load_options options = {.struct_size = sizeof options};
    if (!kind_check_checkpoint(path, "a model made by \"home train\"", why) ||
        !isa_read(&options.isa, why))
        return false;
    const home_status status = home_model_load(path, &options, model, &error);
    return status == HOME_OK || fail_file(why, path, &error);
}

/* A recipe that was edited in the file must not make the library read past its inputs. */
static bool check_fit(const char *path, const home_model *model, const recipe *of, failure *why) {
    bool fits = home_model_dense_width(model) == recipe_dense_width(of) &&
                home_model_field_count(model) == of->field_count &&
                home_model_task_count(model) == of->label_count;
    for (size_t i = 0; fits && i < of->label_count; i++)
        fits = strcmp(home_model_task_name(model, i), of->labels[i].task) == 0;
    return fits ||
           fail(why,
                "%s: the recipe in it does not fit the model; expected the same inputs and tasks",
                path);
}

bool checkpoint_has_recipe(const home_model *model) {
    return home_model_metadata(model, CHECKPOINT_RECIPE_KEY) != NULL;
}

bool checkpoint_recipe(const char *path, const home_model *model, recipe *of, failure *why) {
    const char *text = home_model_metadata(model, CHECKPOINT_RECIPE_KEY);
    memset(of, 0, sizeof *of);
    if (!text)
        return fail(why, "%s: it holds no recipe; expected a model made by \"home train\"", path);
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
    if (!checkpoint_recipe(path, *model, of, why)) {
        home_model_release(*model);
        return false;
    }
    if (recipe_check_tasks(of, why))
        return true;
    recipe_free(of);
    home_model_release(*model);
    return false;
}

/* --------------------------------------------------------------------------------------- resume */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The end of the token at `at`: a text in quotes, or one character. */
static const char *token_end(const char *at, const char *end) {
    if (*at != '"')
        return at + 1;
    for (at++; at < end && *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

static const char *skip_space(const char *at, const char *end) {
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* Whether two values have the same text apart from the space between tokens. */
static bool written_alike(const document *doc_a, const homejson_value *a, const document *doc_b,
                          const homejson_value *b) {
    const char *at_a = doc_a->text + a->begin;
    const char *at_b = doc_b->text + b->begin;
    const char *end_a = doc_a->text + a->end;
    const char *end_b = doc_b->text + b->end;
    for (;;) {
        at_a = skip_space(at_a, end_a);
        at_b = skip_space(at_b, end_b);
        if (at_a == end_a || at_b == end_b)
            return at_a == end_a && at_b == end_b;
        const size_t length = (size_t)(token_end(at_a, end_a) - at_a);
        if ((size_t)(token_end(at_b, end_b) - at_b) != length || memcmp(at_a, at_b, length) != 0)
            return false;
        at_a += length;
        at_b += length;
    }
}

/* The number of the first entry in which two arrays differ. */
static size_t first_difference(const recipe *stored, const homejson_value *a, const recipe *wanted,
                               const homejson_value *b) {
    size_t index = 0;
    for (a = a->first, b = b->first; a && b && written_alike(&stored->doc, a, &wanted->doc, b);
         index++) {
        a = a->next;
        b = b->next;
    }
    return index;
}

static bool fail_recipe(const char *path, const recipe *stored, const recipe *wanted,
                        const char *key, failure *why) {
    const homejson_value *a = homejson_member(stored->root, key);
    const homejson_value *b = homejson_member(wanted->root, key);
    char entry[32] = "";
    if (a && b && a->type == HOME_JSON_ARRAY && b->type == HOME_JSON_ARRAY)
        snprintf(entry, sizeof entry, "[%zu]", first_difference(stored, a, wanted, b));
    return fail(why,
                "%s: \"%s%s\" differs from the recipe in %s; expected a recipe that differs only "
                "in \"training\"",
                wanted->doc.name, key, entry, path);
}

/* All of the recipe but "training" is built into the model. */
static bool check_same_recipe(const char *path, const recipe *stored, const recipe *wanted,
                              failure *why) {
    static const char *const keys[] = {"dense", "ids", "labels", "row_weight", "user", "model"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const homejson_value *a = homejson_member(stored->root, keys[i]);
        const homejson_value *b = homejson_member(wanted->root, keys[i]);
        if (!a && !b)
            continue;
        if (!a || !b || !written_alike(&stored->doc, a, &wanted->doc, b))
            return fail_recipe(path, stored, wanted, keys[i], why);
    }
    return true;
}

/* Prediction needs no optimizer state, so most checkpoints have none, and count no steps. */
static bool check_resumable(const char *path, const home_model *model, failure *why) {
    return home_model_step_count(model) > 0 ||
           fail(why,
                "%s: it holds no optimizer state; expected a model of \"home train --resumable\"",
                path);
}

static bool read_epochs(const char *path, const home_model *model, uint64_t *epochs, failure *why) {
    const char *text = home_model_metadata(model, CHECKPOINT_TRAINING_KEY);
    document doc;
    const homejson_value *member;
    if (!text)
        return fail(why,
                    "%s: it holds no record of its training; expected a model of \"home train\"",
                    path);
    if (!document_read_text(&doc, path, text, why))
        return false;
    const homejson_value *root = homejson_root(doc.json);
    const bool read = document_member(&doc, root, "epoch", &member, why) &&
                      document_whole(&doc, root, "epoch", 1, UINT64_MAX / 2, epochs, why);
    document_free(&doc);
    return read;
}

static void take_training(recipe *of, const recipe *wanted) {
    of->training = wanted->training;
    for (size_t i = 0; i < of->label_count; i++)
        of->labels[i].selects = wanted->labels[i].selects;
}

bool checkpoint_resume(const char *path, const recipe *wanted, home_model **model, recipe *of,
                       uint64_t *epochs, failure *why) {
    if (!checkpoint_open(path, model, of, why))
        return false;
    if (check_resumable(path, *model, why) && check_same_recipe(path, of, wanted, why) &&
        read_epochs(path, *model, epochs, why)) {
        take_training(of, wanted);
        return true;
    }
    recipe_free(of);
    home_model_release(*model);
    return false;
}
