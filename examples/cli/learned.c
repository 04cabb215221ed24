#include "learned.h"

#include "heap.h"

#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------- write */

static const char *separator(size_t index) {
    return index ? "," : "";
}

static void write_boundaries(const transform_step *step, hometext *text) {
    hometext_add(text, "{\"boundaries\":[");
    for (size_t i = 0; i < step->boundary_count; i++) {
        hometext_add(text, separator(i));
        hometext_add_number(text, step->boundaries[i]);
    }
    hometext_add(text, "]}");
}

static void write_step(const transform_step *step, hometext *text) {
    switch (step->kind) {
    case STEP_LOG1P:
        hometext_add(text, "{}");
        break;
    case STEP_STANDARDISE:
        hometext_add(text, "{\"mean\":");
        hometext_add_number(text, step->mean);
        hometext_add(text, ",\"deviation\":");
        hometext_add_number(text, step->deviation);
        hometext_add(text, "}");
        break;
    case STEP_BUCKETISE:
        write_boundaries(step, text);
        break;
    }
}

static void write_transform(const transform *change, hometext *text) {
    hometext_add(text, "{\"missing\":");
    hometext_add_number(text, (double)change->missing);
    hometext_add(text, ",\"steps\":[");
    for (size_t i = 0; i < change->step_count; i++) {
        hometext_add(text, separator(i));
        write_step(&change->steps[i], text);
    }
    hometext_add(text, "]}");
}

static void write_vocabulary(const vocabulary *values, hometext *text) {
    hometext_add(text, "[");
    for (size_t i = 0; i < values->count; i++) {
        hometext_add(text, separator(i));
        hometext_add_string(text, vocabulary_text(values, i));
    }
    hometext_add(text, "]");
}

void learned_write(const recipe *from, hometext *text) {
    hometext_add(text, "{\"schema\":1,\"recipe\":");
    hometext_add_bytes(text, from->doc.text + from->root->begin,
                       from->root->end - from->root->begin);
    hometext_add(text, ",\"learned\":{\"dense\":[");
    for (size_t i = 0; i < from->dense_count; i++) {
        hometext_add(text, separator(i));
        write_transform(&from->dense[i].change, text);
    }
    hometext_add(text, "],\"vocabularies\":[");
    for (size_t i = 0; i < from->table_count; i++) {
        hometext_add(text, separator(i));
        write_vocabulary(&from->tables[i].values, text);
    }
    hometext_add(text, "]}}");
}

/* ----------------------------------------------------------------------------------------- read */

/* An array of exactly `count` values under `key`. */
static bool read_list(const document *doc, const homejson_value *object, const char *key,
                      size_t count, const homejson_value **list, failure *why) {
    if (!document_member(doc, object, key, list, why) ||
        !document_array(doc, object, key, list, why))
        return false;
    return (*list)->count == count ||
           document_fail(doc, *list, "as many entries as the recipe has", why);
}

static bool read_number(const document *doc, const homejson_value *object, const char *key,
                        double min, double *number, failure *why) {
    const homejson_value *value;
    return document_member(doc, object, key, &value, why) &&
           document_number(doc, object, key, min, HUGE_VAL, number, why);
}

static bool read_boundaries(const document *doc, const homejson_value *object, transform_step *step,
                            failure *why) {
    const homejson_value *list;
    if (!document_member(doc, object, "boundaries", &list, why) ||
        !document_array(doc, object, "boundaries", &list, why))
        return false;
    if (list->count >= step->buckets)
        return document_fail(doc, list, "fewer boundaries than buckets", why);
    step->boundaries = heap_new(list->count, sizeof *step->boundaries);
    if (!step->boundaries)
        return fail_memory(why);
    double last = -HUGE_VAL;
    for (const homejson_value *value = list->first; value; value = value->next) {
        if (value->type != HOME_JSON_NUMBER || !(homejson_number(value) > last))
            return document_fail(doc, value, "a number larger than the one before", why);
        last = step->boundaries[step->boundary_count++] = homejson_number(value);
    }
    return true;
}

static bool read_step(const document *doc, const homejson_value *object, transform_step *step,
                      failure *why) {
    switch (step->kind) {
    case STEP_LOG1P:
        return true;
    case STEP_STANDARDISE:
        return read_number(doc, object, "mean", -HUGE_VAL, &step->mean, why) &&
               read_number(doc, object, "deviation", 0, &step->deviation, why);
    case STEP_BUCKETISE:
        return read_boundaries(doc, object, step, why);
    }
    return true;
}

static bool read_transform(const document *doc, const homejson_value *object, transform *change,
                           failure *why) {
    const homejson_value *steps;
    double missing = 0;
    if (!read_list(doc, object, "steps", change->step_count, &steps, why) ||
        !read_number(doc, object, "missing", -HUGE_VAL, &missing, why))
        return false;
    transform_step *step = change->steps;
    for (const homejson_value *value = steps->first; value; value = value->next, step++) {
        if (!read_step(doc, value, step, why))
            return false;
    }
    /* The bucket of missing values becomes an index, so the file's number is not trusted. */
    const transform_step *buckets = transform_buckets(change);
    change->missing = (float)(buckets ? (double)(buckets->boundary_count + 1) : missing);
    return true;
}

static bool read_vocabulary(const document *doc, const homejson_value *list, vocabulary *values,
                            failure *why) {
    if (list->type != HOME_JSON_ARRAY)
        return document_fail(doc, list, "an array", why);
    for (const homejson_value *value = list->first; value; value = value->next) {
        if (value->type != HOME_JSON_STRING)
            return document_fail(doc, value, "a text in quotes", why);
        if (!vocabulary_add(values, value->text, value->length, 1))
            return fail_memory(why);
    }
    if (values->count != list->count)
        return document_fail(doc, list, "each value once", why);
    return true;
}

static bool read_learned(recipe *of, const homejson_value *learned, failure *why) {
    const homejson_value *dense;
    const homejson_value *vocabularies;
    if (!read_list(&of->doc, learned, "dense", of->dense_count, &dense, why) ||
        !read_list(&of->doc, learned, "vocabularies", of->table_count, &vocabularies, why))
        return false;
    dense_column *column = of->dense;
    for (const homejson_value *value = dense->first; value; value = value->next, column++) {
        if (!read_transform(&of->doc, value, &column->change, why))
            return false;
    }
    id_table *table = of->tables;
    for (const homejson_value *value = vocabularies->first; value; value = value->next, table++) {
        if (!read_vocabulary(&of->doc, value, &table->values, why))
            return false;
    }
    return true;
}

static bool read_stored(recipe *of, failure *why) {
    static const char *const keys[] = {"schema", "recipe", "learned", NULL};
    const homejson_value *root = homejson_root(of->doc.json);
    const homejson_value *member;
    uint64_t schema;
    return document_object(&of->doc, root, keys, why) &&
           document_member(&of->doc, root, "schema", &member, why) &&
           document_whole(&of->doc, root, "schema", 1, 1, &schema, why) &&
           document_member(&of->doc, root, "recipe", &member, why) &&
           recipe_parse(of, member, why) &&
           document_member(&of->doc, root, "learned", &member, why) &&
           read_learned(of, member, why);
}

bool learned_read(recipe *of, const char *name, const char *text, failure *why) {
    memset(of, 0, sizeof *of);
    if (!document_read_text(&of->doc, name, text, why))
        return false;
    if (read_stored(of, why))
        return true;
    recipe_free(of);
    return false;
}
