/* Between Model.java, which has checked lengths and holds the lock, and home.h. Includes what
 * `javac -h` wrote. */
#include "home_Model.h"

#include <home/home.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(size_t) == sizeof(jlong), "offsets are handed over as they are");

static home_model *model_of(jlong handle) {
    return (home_model *)(intptr_t)handle;
}

/* NULL for NULL, and, with a Java exception, where memory ran out. */
static jbyteArray bytes_of(JNIEnv *env, const char *text) {
    if (!text)
        return NULL;
    const jsize length = (jsize)strlen(text);
    jbyteArray bytes = (*env)->NewByteArray(env, length);
    if (bytes)
        (*env)->SetByteArrayRegion(env, bytes, 0, length, (const jbyte *)text);
    return bytes;
}

/* Throws HomeException unless the status is HOME_OK. */
static void check(JNIEnv *env, home_status status, const home_error *error) {
    if (status == HOME_OK)
        return;
    jclass type = (*env)->FindClass(env, "home/HomeException");
    jmethodID make = type ? (*env)->GetMethodID(env, type, "<init>", "(I[B)V") : NULL;
    jbyteArray message = make ? bytes_of(env, error->message) : NULL;
    jobject exception = message ? (*env)->NewObject(env, type, make, (jint)status, message) : NULL;
    if (exception) /* else Java has an exception of its own already */
        (*env)->Throw(env, exception);
}

JNIEXPORT jlong JNICALL Java_home_Model_load(JNIEnv *env, jclass class, jbyteArray path) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    jbyte *name = (*env)->GetByteArrayElements(env, path, NULL);
    if (!name)
        return 0;
    const home_status status = home_model_load((const char *)name, NULL, &model, &error);
    (*env)->ReleaseByteArrayElements(env, path, name, JNI_ABORT);
    check(env, status, &error);
    return (jlong)(intptr_t)model;
}

JNIEXPORT jlong JNICALL Java_home_Model_freeze(JNIEnv *env, jclass class, jlong model) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_model *frozen = NULL;
    check(env, home_model_freeze(model_of(model), &frozen, &error), &error);
    return (jlong)(intptr_t)frozen;
}

JNIEXPORT void JNICALL Java_home_Model_release(JNIEnv *env, jclass class, jlong model) {
    (void)env;
    (void)class;
    home_model_release(model_of(model));
}

/* The Java arrays in C's memory; JNI copies them. */
typedef struct rows {
    jfloat *dense;
    jlong *ids;
    jlong *offsets;
    jfloat *predictions;
    home_ids *fields; /* [field_count] */
} rows;

static home_status predict(const home_model *model, const rows *r, size_t count, size_t stride,
                           size_t field_count, home_error *error) {
    for (size_t f = 0; f < field_count; f++) {
        r->fields[f].ids = (const uint64_t *)r->ids;
        r->fields[f].offsets = (const size_t *)r->offsets + f * (count + 1);
    }
    const home_batch batch = {.struct_size = sizeof batch,
                              .rows = count,
                              .dense = r->dense,
                              .dense_stride = stride,
                              .fields = r->fields,
                              .field_count = field_count};
    return home_model_predict(model, &batch, r->predictions, 0, NULL, error);
}

JNIEXPORT void JNICALL Java_home_Model_predict(JNIEnv *env, jclass class, jlong model, jint count,
                                               jfloatArray dense, jint stride, jint field_count,
                                               jlongArray ids, jlongArray offsets,
                                               jfloatArray predictions) {
    (void)class;
    home_error error = {.struct_size = sizeof error, .message = "out of memory"};
    home_status status = HOME_E_MEMORY;
    rows r = {0};
    /* The first that fails has thrown, after which the next must not be tried. */
    if ((r.dense = (*env)->GetFloatArrayElements(env, dense, NULL)) &&
        (r.ids = (*env)->GetLongArrayElements(env, ids, NULL)) &&
        (r.offsets = (*env)->GetLongArrayElements(env, offsets, NULL)) &&
        (r.predictions = (*env)->GetFloatArrayElements(env, predictions, NULL)) &&
        (r.fields = calloc((size_t)field_count + 1, sizeof *r.fields)))
        status = predict(model_of(model), &r, (size_t)count, (size_t)stride, (size_t)field_count,
                         &error);
    free(r.fields);
    if (r.predictions)
        (*env)->ReleaseFloatArrayElements(env, predictions, r.predictions, 0);
    if (r.offsets)
        (*env)->ReleaseLongArrayElements(env, offsets, r.offsets, JNI_ABORT);
    if (r.ids)
        (*env)->ReleaseLongArrayElements(env, ids, r.ids, JNI_ABORT);
    if (r.dense)
        (*env)->ReleaseFloatArrayElements(env, dense, r.dense, JNI_ABORT);
    if (!(*env)->ExceptionCheck(env))
        check(env, status, &error);
}

JNIEXPORT void JNICALL Java_home_Model_setThreads(JNIEnv *env, jclass class, jlong model,
                                                  jint threads) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    check(env, home_model_set_threads(model_of(model), (size_t)threads, &error), &error);
}

JNIEXPORT jint JNICALL Java_home_Model_denseWidth(JNIEnv *env, jclass class, jlong model) {
    (void)env;
    (void)class;
    return (jint)home_model_dense_width(model_of(model));
}

JNIEXPORT jbyteArray JNICALL Java_home_Model_fieldName(JNIEnv *env, jclass class, jlong model,
                                                       jint field) {
    (void)class;
    return bytes_of(env, home_model_field_name(model_of(model), (size_t)field));
}

JNIEXPORT jbyteArray JNICALL Java_home_Model_taskName(JNIEnv *env, jclass class, jlong model,
                                                      jint task) {
    (void)class;
    return bytes_of(env, home_model_task_name(model_of(model), (size_t)task));
}
