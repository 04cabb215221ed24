/* What the tests of the model family share: models from readable JSON, and their tensors one by
 * one. */
#ifndef TESTS_FAMILY_FAMILY_H
#define TESTS_FAMILY_FAMILY_H

#include "test.h"
#include "unit/fixture.h"

/* A text that grows; too long a one ends the program. */
typedef struct text {
    char bytes[16384];
    size_t length;
} text;

static inline void text_add(text *t, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int added =
        vsnprintf(t->bytes + t->length, sizeof t->bytes - t->length, format, arguments);
    va_end(arguments);
    REQUIRE(added >= 0 && (size_t)added < sizeof t->bytes - t->length);
    t->length += (size_t)added;
}

/* JSON in a C source is hard to read with its quotes escaped: here ' stands for ". */
static inline home_status create_from(const char *json, home_model **model, home_error *error) {
    text t = {.length = 0};
    text_add(&t, "%s", json);
    for (size_t i = 0; i < t.length; i++)
        if (t.bytes[i] == '\'')
            t.bytes[i] = '"';
    return home_model_create_json(t.bytes, t.length, NULL, model, error);
}

/* Ends the program where the JSON is refused. */
static inline home_model *model_from(const char *json) {
    home_error error = new_error();
    home_model *model = NULL;
    if (create_from(json, &model, &error) != HOME_OK)
        printf("%s\n%s\n", error.message, json);
    REQUIRE(model);
    return model;
}

static inline home_tensor tensor_number(const home_model *model, size_t index) {
    home_tensor tensor = {.struct_size = sizeof tensor};
    REQUIRE(home_model_tensor_at(model, index, &tensor, NULL) == HOME_OK);
    return tensor;
}

/* False where the model has no tensor of this name. */
static inline bool find_tensor(const home_model *model, const char *name, home_tensor *tensor) {
    *tensor = (home_tensor){.struct_size = sizeof *tensor};
    return home_model_tensor(model, name, tensor, NULL) == HOME_OK;
}

static inline void set_tensor(home_model *model, const char *name, const float *values,
                              size_t count) {
    REQUIRE(home_model_set_tensor(model, name, values, count, NULL) == HOME_OK);
}

/* Sets all elements of a tensor. */
static inline void fill_tensor(home_model *model, const char *name, float value) {
    const home_tensor t = tensor_of(model, name);
    float *values = malloc(tensor_size(&t) * sizeof *values);
    REQUIRE(values);
    for (size_t i = 0; i < tensor_size(&t); i++)
        values[i] = value;
    set_tensor(model, name, values, tensor_size(&t));
    free(values);
}

static inline bool starts_with(const char *string, const char *start) {
    return strncmp(string, start, strlen(start)) == 0;
}

#endif
