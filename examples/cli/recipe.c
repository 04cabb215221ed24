#include "recipe.h"

#include "heap.h"
#include "print.h"

#include <string.h>

/* ----------------------------------------------------------------------------------- transforms */

static bool parse_step(recipe *of, const homejson_value *name, transform *change, failure *why) {
    /* In the order of step_kind. */
    static const char *const names[] = {"log1p", "standardise", "bucketise"};
    if (name->type == HOME_JSON_STRING && strcmp(name->text, "none") == 0)
        return true;
    if (transform_buckets(change))
        return document_fail(&of->doc, name, "nothing after \"bucketise\"", why);
    for (size_t kind = 0; kind < sizeof names / sizeof names[0]; kind++) {
        if (name->type == HOME_JSON_STRING && strcmp(name->text, names[kind]) == 0) {
            change->steps[change->step_count++].kind = (step_kind)kind;
            return true;
        }
    }
    return document_fail(&of->doc, name, "\"none\", \"log1p\", \"standardise\" or \"bucketise\"",
                         why);
}

/* "transform" is one name or an array of names. */
static bool parse_steps(recipe *of, const homejson_value *object, transform *change, failure *why) {
    const homejson_value *given = homejson_member(object, "transform");
    if (!given)
        return true;
    const bool many = given->type == HOME_JSON_ARRAY;
    change->steps = heap_new(many ? given->count : 1, sizeof *change->steps);
    if (!change->steps)
        return fail_memory(why);
    if (!many)
        return parse_step(of, given, change, why);
    for (const homejson_value *name = given->first; name; name = name->next) {
        if (!parse_step(of, name, change, why))
            return false;
    }
    return true;
}

static bool parse_buckets(recipe *of, const homejson_value *object, transform *change,
                          failure *why) {
    transform_step *step = transform_buckets(change);
    const homejson_value *given = homejson_member(object, "buckets");
    if (given && !step)
        return document_fail(&of->doc, given, "\"buckets\" only beside the transform \"bucketise\"",
                             why);
    uint64_t buckets = 16;
    if (!document_whole(&of->doc, object, "buckets", 2, 10000, &buckets, why))
        return false;
    if (step)
        step->buckets = (size_t)buckets;
    return true;
}

/* The number of a name, the next one where it is new. */
static bool name_row(vocabulary *names, const char *name, size_t *index, failure *why) {
    const uint32_t row = vocabulary_add(names, name, strlen(name), 1);
    *index = row - 1;
    return row > 0 || fail_memory(why);
}

static bool parse_dense(recipe *of, const homejson_value *object, failure *why) {
    static const char *const keys[] = {"column", "transform", "buckets", NULL};
    const homejson_value *column;
    size_t input;
    dense_column *dense = &of->dense[of->dense_count++];
    return document_object(&of->doc, object, keys, why) &&
           document_member(&of->doc, object, "column", &column, why) &&
           document_text(&of->doc, object, "column", &dense->column, why) &&
           name_row(&of->input_names, dense->column, &input, why) &&
           parse_steps(of, object, &dense->change, why) &&
           parse_buckets(of, object, &dense->change, why);
}

/* ------------------------------------------------------------------------------------------ ids */

/* The table's own settings, set by the first field that names it; others may repeat them. */
static bool parse_table(recipe *of, const homejson_value *object, const char *name, size_t *index,
                        failure *why) {
    if (!name_row(&of->table_names, name, index, why))
        return false;
    const bool first = *index == of->table_count;
    const homejson_value *dim;
    if (first && !document_member(&of->doc, object, "dim", &dim, why))
        return false;
    id_table *made = &of->tables[*index];
    id_table table = first ? (id_table){.name = name, .min_count = 1, .init_std = 0.01} : *made;
    if (!document_whole(&of->doc, object, "dim", 1, 1 << 20, &table.dim, why) ||
        !document_whole(&of->doc, object, "min_count", 1, UINT32_MAX, &table.min_count, why) ||
        !document_number(&of->doc, object, "init_std", 1e-30, 1e30, &table.init_std, why))
        return false;
    if (!first && (table.dim != made->dim || table.min_count != made->min_count ||
                   table.init_std < made->init_std || table.init_std > made->init_std))
        return document_fail(&of->doc, object,
                             "the same dim, min_count and init_std as the table's first field has",
                             why);
    *made = table;
    of->table_count += first;
    return true;
}

static bool parse_separator(recipe *of, const homejson_value *object, id_field *field,
                            failure *why) {
    const char *separator = "";
    if (!document_text(&of->doc, object, "separator", &separator, why))
        return false;
    if (strlen(separator) > 1)
        return document_fail(&of->doc, homejson_member(object, "separator"), "one ASCII character",
                             why);
    field->separator = separator[0];
    return true;
}

static bool parse_pooling(recipe *of, const homejson_value *object, id_field *field, failure *why) {
    field->pooling = "sum";
    if (!document_text(&of->doc, object, "pooling", &field->pooling, why))
        return false;
    if (strcmp(field->pooling, "sum") == 0 || strcmp(field->pooling, "mean") == 0)
        return true;
    return document_fail(&of->doc, homejson_member(object, "pooling"), "\"sum\" or \"mean\"", why);
}

/* So that the row of unknown ids learns what an average id is worth, even where every id of the
 * training rows is known. docs/cli.md has the measurements behind the figure. */
#define DEFAULT_DROPOUT 0.02

static bool parse_field(recipe *of, const homejson_value *object, failure *why) {
    static const char *const keys[] = {"column",  "dim",   "separator", "pooling", "min_count",
                                       "dropout", "table", "init_std",  NULL};
    const homejson_value *column;
    size_t input;
    id_field *field = &of->fields[of->field_count++];
    if (!document_object(&of->doc, object, keys, why) ||
        !document_member(&of->doc, object, "column", &column, why) ||
        !document_text(&of->doc, object, "column", &field->column, why))
        return false;
    const char *table = field->column;
    field->dropout = DEFAULT_DROPOUT;
    return name_row(&of->input_names, field->column, &input, why) &&
           document_text(&of->doc, object, "table", &table, why) &&
           parse_table(of, object, table, &field->table, why) &&
           parse_separator(of, object, field, why) && parse_pooling(of, object, field, why) &&
           document_number(&of->doc, object, "dropout", 0, 1, &field->dropout, why);
}

/* --------------------------------------------------------------------------------------- labels */

static bool is_input(const recipe *of, const char *column) {
    return vocabulary_find(&of->input_names, column, strlen(column)) > 0;
}

/* Where a label has its task's name. */
static const homejson_value *task_of(const homejson_value *label) {
    const homejson_value *task = homejson_member(label, "task");
    return task ? task : homejson_member(label, "column");
}

static bool enter_task(recipe *of, const homejson_value *label, const char *task, failure *why) {
    size_t index;
    return name_row(&of->task_names, task, &index, why) &&
           (index + 1 == of->label_count ||
            document_fail(&of->doc, task_of(label), "a name that no label before it has", why));
}

/* Spreadsheets take a cell for a formula that begins so, in quotes or not, after spaces too: OWASP,
 * "CSV Injection". The longer ones are the same signs in full width. */
static bool is_formula(const char *name) {
    static const char *const signs[] = {
        "=", "+", "-", "@", "\xEF\xBC\x9D", "\xEF\xBC\x8B", "\xEF\xBC\x8D", "\xEF\xBC\xA0"};
    name += strspn(name, " ");
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        if (strncmp(name, signs[i], strlen(signs[i])) == 0)
            return true;
    }
    return false;
}

bool recipe_check_tasks(const recipe *of, failure *why) {
    const homejson_value *label = homejson_member(of->root, "labels")->first;
    for (size_t i = 0; i < of->label_count; i++, label = label->next) {
        if (print_is_masked(of->labels[i].task))
            return document_fail(&of->doc, task_of(label), "a name without control characters",
                                 why);
        if (is_formula(of->labels[i].task))
            return document_fail(&of->doc, task_of(label),
                                 "a name that does not begin with =, +, - or @, as spreadsheets' "
                                 "formulas do (\"task\" can give it one)",
                                 why);
    }
    return true;
}

static bool parse_label(recipe *of, const homejson_value *object, failure *why) {
    static const char *const keys[] = {"column", "task",      "group", "weight",
                                       "given",  "base_rate", NULL};
    const homejson_value *column;
    label_column *label = &of->labels[of->label_count++];
    label->weight = 1;
    label->selects = true;
    if (!document_object(&of->doc, object, keys, why) ||
        !document_member(&of->doc, object, "column", &column, why) ||
        !document_text(&of->doc, object, "column", &label->column, why))
        return false;
    if (is_input(of, label->column))
        return document_fail(&of->doc, column, "a label that is not an input of the model too",
                             why);
    label->task = label->column;
    return document_text(&of->doc, object, "task", &label->task, why) &&
           enter_task(of, object, label->task, why) &&
           document_text(&of->doc, object, "group", &label->group, why) &&
           document_number(&of->doc, object, "weight", 1e-30, 1e30, &label->weight, why) &&
           document_text(&of->doc, object, "given", &label->given, why) &&
           document_number(&of->doc, object, "base_rate", 1e-6, 0.999999, &label->base_rate, why);
}

/* ------------------------------------------------------------------------------------- training */

size_t recipe_task(const recipe *of, const char *task) {
    const uint32_t row = vocabulary_find(&of->task_names, task, strlen(task));
    return row ? row - 1 : of->label_count;
}

static bool select_task(recipe *of, const homejson_value *name, failure *why) {
    const size_t i = name->type == HOME_JSON_STRING ? recipe_task(of, name->text) : of->label_count;
    if (i == of->label_count)
        return document_fail(&of->doc, name, "the task of a label", why);
    of->labels[i].selects = true;
    return true;
}

static bool parse_select(recipe *of, const homejson_value *object, failure *why) {
    const homejson_value *select = NULL;
    if (!document_array(&of->doc, object, "select", &select, why))
        return false;
    if (!select)
        return true;
    if (select->count == 0)
        return document_fail(&of->doc, select, "at least one task", why);
    for (size_t i = 0; i < of->label_count; i++)
        of->labels[i].selects = false;
    for (const homejson_value *name = select->first; name; name = name->next) {
        if (!select_task(of, name, why))
            return false;
    }
    return true;
}

static bool parse_training(recipe *of, failure *why) {
    static const char *const keys[] = {"epochs",
                                       "batch",
                                       "patience",
                                       "seed",
                                       "base_rate",
                                       "norm_batches",
                                       "select",
                                       "learning_rate_factor",
                                       "learning_rate_decay",
                                       NULL};
    training_plan *plan = &of->training;
    *plan = (training_plan){.epochs = 5,
                            .batch = 512,
                            .patience = 1,
                            .seed = 1,
                            .base_rate = true,
                            .norm_batches = 32,
                            .learning_rate_factor = 1,
                            .learning_rate_decay = 1};
    const homejson_value *object = homejson_member(of->root, "training");
    if (!object)
        return true;
    const document *doc = &of->doc;
    return document_object(doc, object, keys, why) &&
           document_whole(doc, object, "epochs", 1, UINT32_MAX, &plan->epochs, why) &&
           document_whole(doc, object, "batch", 2, UINT32_MAX, &plan->batch, why) &&
           document_whole(doc, object, "patience", 0, UINT32_MAX, &plan->patience, why) &&
           document_whole(doc, object, "seed", 0, UINT64_MAX, &plan->seed, why) &&
           document_switch(doc, object, "base_rate", &plan->base_rate, why) &&
           document_whole(doc, object, "norm_batches", 0, UINT32_MAX, &plan->norm_batches, why) &&
           document_number(doc, object, "learning_rate_factor", 1e-9, 1e9,
                           &plan->learning_rate_factor, why) &&
           document_number(doc, object, "learning_rate_decay", 1e-9, 1, &plan->learning_rate_decay,
                           why) &&
           parse_select(of, object, why);
}

/* ------------------------------------------------------------------------------------ the whole */

/* The user's part of the configuration; the rest follows from the recipe and the data. */
static bool parse_model(recipe *of, failure *why) {
    static const char *const derived[] = {"seed", "dense", "tables", "fields", "tasks"};
    if (!document_member(&of->doc, of->root, "model", &of->model, why))
        return false;
    if (of->model->type != HOME_JSON_OBJECT)
        return document_fail(&of->doc, of->model, "an object", why);
    for (size_t i = 0; i < sizeof derived / sizeof derived[0]; i++) {
        const homejson_value *member = homejson_member(of->model, derived[i]);
        if (member)
            return document_fail(&of->doc, member,
                                 "this to be left out: it follows from the recipe", why);
    }
    return true;
}

static size_t count_of(const homejson_value *array) {
    return array ? array->count : 0;
}

static bool parse_each(recipe *of, const homejson_value *array,
                       bool (*parse_one)(recipe *, const homejson_value *, failure *),
                       failure *why) {
    for (const homejson_value *value = array ? array->first : NULL; value; value = value->next) {
        if (!parse_one(of, value, why))
            return false;
    }
    return true;
}

static bool parse_columns(recipe *of, failure *why) {
    const homejson_value *dense = NULL;
    const homejson_value *ids = NULL;
    const homejson_value *labels = NULL;
    if (!document_array(&of->doc, of->root, "dense", &dense, why) ||
        !document_array(&of->doc, of->root, "ids", &ids, why) ||
        !document_array(&of->doc, of->root, "labels", &labels, why))
        return false;
    if (count_of(dense) + count_of(ids) == 0)
        return document_complain(&of->doc, of->root,
                                 "no column in \"dense\" and \"ids\"; expected at least one", why);
    if (count_of(labels) == 0)
        return document_complain(&of->doc, of->root,
                                 "no column in \"labels\"; expected at least one", why);
    of->dense = heap_new(count_of(dense), sizeof *of->dense);
    of->fields = heap_new(count_of(ids), sizeof *of->fields);
    of->tables = heap_new(count_of(ids), sizeof *of->tables);
    of->labels = heap_new(count_of(labels), sizeof *of->labels);
    if (!of->dense || !of->fields || !of->tables || !of->labels)
        return fail_memory(why);
    return parse_each(of, dense, parse_dense, why) && parse_each(of, ids, parse_field, why) &&
           parse_each(of, labels, parse_label, why);
}

bool recipe_parse(recipe *of, const homejson_value *root, failure *why) {
    static const char *const keys[] = {"dense", "ids",      "labels", "row_weight",
                                       "user",  "training", "model",  NULL};
    of->root = root;
    return document_object(&of->doc, root, keys, why) && parse_columns(of, why) &&
           document_text(&of->doc, root, "row_weight", &of->row_weight, why) &&
           document_text(&of->doc, root, "user", &of->user, why) && parse_training(of, why) &&
           parse_model(of, why);
}

bool recipe_read(recipe *of, const char *path, failure *why) {
    memset(of, 0, sizeof *of);
    if (!document_read_file(&of->doc, path, why))
        return false;
    if (recipe_parse(of, homejson_root(of->doc.json), why) && recipe_check_tasks(of, why))
        return true;
    recipe_free(of);
    return false;
}

size_t recipe_dense_width(const recipe *of) {
    size_t width = 0;
    for (size_t i = 0; i < of->dense_count; i++)
        width += transform_width(&of->dense[i].change);
    return width;
}

void recipe_free(recipe *of) {
    for (size_t i = 0; i < of->dense_count; i++)
        transform_free(&of->dense[i].change);
    for (size_t i = 0; i < of->table_count; i++)
        vocabulary_free(&of->tables[i].values);
    vocabulary_free(&of->input_names);
    vocabulary_free(&of->table_names);
    vocabulary_free(&of->task_names);
    heap_free(of->dense);
    heap_free(of->tables);
    heap_free(of->fields);
    heap_free(of->labels);
    document_free(&of->doc);
    memset(of, 0, sizeof *of);
}
