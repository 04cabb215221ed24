/* Denormal inputs, embeddings and weights count as zero: the bytes are those of zeros. And products
 * that are denormal do not make training slow. */
#include "test.h"
#include "unit/fixture.h"

#include <math.h>

enum { ROWS = 21, TASKS = 3 };

/* Every `step`-th value times `factor`: a small one makes them denormal, 0 what such count as. */
static void shrink(float *values, size_t count, size_t step, float factor) {
    for (size_t i = 0; i < count; i += step)
        values[i] *= factor;
}

static void shrink_tensors(home_model *model, int32_t kind, size_t step, float factor) {
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        REQUIRE(home_model_tensor_at(model, i, &tensor, NULL) == HOME_OK);
        if (tensor.kind != kind)
            continue;
        const size_t count = tensor_size(&tensor);
        float *values = malloc(count * sizeof *values);
        REQUIRE(values);
        memcpy(values, tensor.data, count * sizeof *values);
        shrink(values, count, step, factor);
        REQUIRE(home_model_set_tensor(model, tensor.name, values, count, NULL) == HOME_OK);
        free(values);
    }
}

typedef struct scene {
    const char *isa;
    int32_t kind; /* of tensors that shrink; -1: the dense values */
    size_t step;
    bool frozen;
} scene;

/* malloc'd */
static float *predict(const scene *at, float factor) {
    setup s;
    data d;
    setup_small(&s);
    s.config.isa = at->isa;
    data_create(&d, &s.config, ROWS, 4);
    home_model *model = make_model(&s);
    randomize(model, 5);
    if (at->kind >= 0)
        shrink_tensors(model, at->kind, at->step, factor);
    for (size_t r = 0; r < ROWS && at->kind < 0; r++)
        shrink(d.dense + r * d.batch.dense_stride, s.config.dense_width, at->step, factor);
    if (at->frozen) {
        home_model *frozen = NULL;
        REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
        home_model_release(model);
        model = frozen;
    }
    float *predictions = predict_all(model, &d.batch);
    home_model_release(model);
    data_free(&d);
    return predictions;
}

static void check(const scene *at) {
    float *actual = predict(at, 0x1p-135f);
    float *expected = predict(at, 0);
    float *ordinary = predict(at, 1);
    CHECK_BYTES(actual, expected, (size_t)ROWS * TASKS * sizeof *actual);
    bool differs = false; /* from what ordinary values give */
    for (size_t i = 0; i < (size_t)ROWS * TASKS; i++)
        differs = differs || actual[i] != ordinary[i];
    CHECK(differs);
    free(actual);
    free(expected);
    free(ordinary);
}

static void denormal_values_count_as_zero(void) {
    static const char *const isa[] = {"portable", "avx2", "avx512", "neon"};
    static const int32_t kinds[] = {-1, HOME_TENSOR_PARAMETER, HOME_TENSOR_TABLE};
    for (size_t i = 0; i < sizeof isa / sizeof *isa; i++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            for (size_t step = 1; step <= 2; step++)
                for (int frozen = 0; frozen < 2; frozen++)
                    check(&(scene){isa[i], kinds[k], step, frozen});
}

/* The probability of one row of `input`s, by relu(input W) and a tower, W all `first` and the
 * tower's weights all `last`. */
static float chain(float input, float first, float last) {
    enum { WIDTH = 4 };
    const float row[WIDTH] = {input, input, input, input};
    const home_batch batch = {.struct_size = sizeof batch, .rows = 1, .dense = row};
    static const char json[] =
        "{\"preset\":\"shared-bottom\",\"dense\":4,\"tasks\":[{\"name\":\"a\"}],"
        "\"layers\":[{\"width\":3}]}";
    home_model *model = NULL;
    REQUIRE(home_model_create_json(json, strlen(json), NULL, &model, NULL) == HOME_OK);
    for (size_t i = 0; i < home_model_tensor_count(model); i++) {
        home_tensor tensor = {.struct_size = sizeof tensor};
        REQUIRE(home_model_tensor_at(model, i, &tensor, NULL) == HOME_OK);
        float values[64] = {0};
        REQUIRE(tensor_size(&tensor) <= sizeof values / sizeof *values);
        for (size_t j = 0; j < tensor_size(&tensor) && tensor.rank == 2; j++)
            values[j] = tensor.shape[1] == WIDTH ? first : last;
        REQUIRE(home_model_set_tensor(model, tensor.name, values, tensor_size(&tensor), NULL) ==
                HOME_OK);
    }
    float *prediction = predict_all(model, &batch);
    const float probability = *prediction;
    free(prediction);
    home_model_release(model);
    return probability;
}

/* Where large factors would bring them back. */
static void denormal_values_are_not_multiplied(void) {
    const float smallest = 0x1p-126f;
    CHECK(chain(smallest, 0x1p60f, 0x1p60f) > 0.5f);
    CHECK(chain(smallest / 2, 0x1p60f, 0x1p70f) == 0.5f);
    CHECK(chain(0x1p60f, smallest, 0x1p60f) > 0.5f);
    CHECK(chain(0x1p60f, smallest / 2, 0x1p70f) == 0.5f);
}

/* Gradients of 1e-37 go through products with weights around 0.1, whose results are denormal.
 * Counted as zero, or else a CPU takes a hundred times as long for them. */
static void tiny_gradients_vanish(void) {
    setup s;
    data d;
    setup_small(&s);
    data_create(&d, &s.config, ROWS, 4);
    home_model *model = make_model(&s);
    float dlogits[ROWS * TASKS];
    for (size_t i = 0; i < sizeof dlogits / sizeof *dlogits; i++)
        dlogits[i] = 1e-37f;
    free(forward_all(model, &d.batch));
    REQUIRE(home_model_backward_from(model, dlogits, 0, 0, NULL) == HOME_OK);
    size_t count;
    const float *gradients = gradients_of(model, &count);
    for (size_t i = 0; i < count; i++)
        CHECK(fpclassify(gradients[i]) != FP_SUBNORMAL);
    home_model_release(model);
    data_free(&d);
}

int main(void) {
#if !defined(__x86_64__) && !defined(__aarch64__)
    test_skip("on this processor the library leaves denormal numbers alone");
    return test_summary();
#endif
    RUN(tiny_gradients_vanish);
    RUN(denormal_values_count_as_zero);
    RUN(denormal_values_are_not_multiplied);
    return test_summary();
}
