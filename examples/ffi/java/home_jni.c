/* Between Model.java and Metrics.java, which have checked lengths and hold a lock, and home.h.
 * Includes what `javac -h` wrote. */
#include "home_Metrics.h"
#include "home_Model.h"

#include <home/home.h>
#include <stdbool.h>
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

JNIEXPORT jlong JNICALL Java_home_Model_load(JNIEnv *env, jclass class, jbyteArray path,
                                             jboolean frozen, jlong memory_limit) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_model *model = NULL;
    const home_load_options options = {.struct_size = sizeof options,
                                       .memory_limit = (uint64_t)memory_limit,
                                       .frozen = frozen ? HOME_ON : HOME_OFF};
    jbyte *name = (*env)->GetByteArrayElements(env, path, NULL);
    if (!name)
        return 0;
    const home_status status = home_model_load((const char *)name, &options, &model, &error);
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

/* Arrays of Java in C's memory, which JNI copies. */
enum { MAX_ARRAYS = 6 };
typedef struct arrays {
    JNIEnv *env;
    size_t count;
    bool failed; /* Java has an exception, after which no more must be asked for */
    struct {
        jobject array;
        void *elements;
        bool is_long;
        jint mode; /* of the release: whether it is copied back */
    } taken[MAX_ARRAYS];
} arrays;

/* NULL for NULL, and where memory ran out. */
static void *take(arrays *a, jobject array, bool is_long, jint mode) {
    if (!array || a->failed)
        return NULL;
    void *elements = is_long ? (void *)(*a->env)->GetLongArrayElements(a->env, array, NULL)
                             : (void *)(*a->env)->GetFloatArrayElements(a->env, array, NULL);
    a->failed = !elements;
    if (elements) {
        a->taken[a->count].array = array;
        a->taken[a->count].elements = elements;
        a->taken[a->count].is_long = is_long;
        a->taken[a->count++].mode = mode;
    }
    return elements;
}

static void give_back(arrays *a) {
    while (a->count-- > 0) {
        void *elements = a->taken[a->count].elements;
        jobject array = a->taken[a->count].array;
        const jint mode = a->taken[a->count].mode;
        if (a->taken[a->count].is_long)
            (*a->env)->ReleaseLongArrayElements(a->env, array, elements, mode);
        else
            (*a->env)->ReleaseFloatArrayElements(a->env, array, elements, mode);
    }
}

JNIEXPORT void JNICALL Java_home_Model_predict(JNIEnv *env, jclass class, jlong model, jint rows,
                                               jfloatArray dense, jint stride, jlongArray ids,
                                               jlongArray offsets, jfloatArray weights,
                                               jfloatArray predictions, jfloatArray logits) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_status status = HOME_OK;
    const size_t id_count = (size_t)(*env)->GetArrayLength(env, ids);
    arrays a = {.env = env};
    const float *c_dense = take(&a, dense, false, JNI_ABORT);
    const jlong *c_ids = take(&a, ids, true, JNI_ABORT);
    const jlong *c_offsets = take(&a, offsets, true, JNI_ABORT);
    const float *c_weights = take(&a, weights, false, JNI_ABORT);
    float *c_predictions = take(&a, predictions, false, 0);
    float *c_logits = take(&a, logits, false, 0);
    if (!a.failed)
        status =
            home_model_predict_flat(model_of(model), (size_t)rows, c_dense, (size_t)stride,
                                    (const uint64_t *)c_ids, id_count, (const size_t *)c_offsets,
                                    c_weights, c_predictions, 0, c_logits, 0, NULL, &error);
    const bool failed = a.failed;
    give_back(&a);
    if (!failed)
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

/* -------------------------------------------------------------------------------------- metrics */

static home_metrics *metrics_of(jlong handle) {
    return (home_metrics *)(intptr_t)handle;
}

JNIEXPORT jlong JNICALL Java_home_Metrics_create(JNIEnv *env, jclass class, jint tasks,
                                                 jlong max_bytes) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_metrics *metrics = NULL;
    const home_metrics_options options = {
        .struct_size = sizeof options, .tasks = (size_t)tasks, .max_bytes = (size_t)max_bytes};
    check(env, home_metrics_create(&options, &metrics, &error), &error);
    return (jlong)(intptr_t)metrics;
}

JNIEXPORT void JNICALL Java_home_Metrics_destroy(JNIEnv *env, jclass class, jlong metrics) {
    (void)env;
    (void)class;
    home_metrics_destroy(metrics_of(metrics));
}

JNIEXPORT void JNICALL Java_home_Metrics_reset(JNIEnv *env, jclass class, jlong metrics) {
    (void)env;
    (void)class;
    home_metrics_reset(metrics_of(metrics));
}

JNIEXPORT void JNICALL Java_home_Metrics_add(JNIEnv *env, jclass class, jlong metrics, jint count,
                                             jfloatArray predictions, jfloatArray labels,
                                             jlongArray users, jfloatArray row_weights,
                                             jfloatArray weights) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_status status = HOME_OK;
    arrays a = {.env = env};
    home_metrics_rows rows = {.struct_size = sizeof rows, .rows = (size_t)count};
    rows.predictions = take(&a, predictions, false, JNI_ABORT);
    rows.labels = take(&a, labels, false, JNI_ABORT);
    rows.users = take(&a, users, true, JNI_ABORT);
    rows.row_weights = take(&a, row_weights, false, JNI_ABORT);
    rows.weights = take(&a, weights, false, JNI_ABORT);
    if (!a.failed)
        status = home_metrics_add(metrics_of(metrics), &rows, &error);
    const bool failed = a.failed;
    give_back(&a);
    if (!failed)
        check(env, status, &error);
}

/* NULL, with a Java exception, where it fails. */
JNIEXPORT jbyteArray JNICALL Java_home_Metrics_serialize(JNIEnv *env, jclass class, jlong metrics) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    size_t length = 0;
    home_status status = home_metrics_serialize(metrics_of(metrics), NULL, 0, &length, &error);
    if (status == HOME_OK && length > INT32_MAX)
        status = HOME_E_TOO_LARGE;
    jbyteArray array = status == HOME_OK ? (*env)->NewByteArray(env, (jsize)length) : NULL;
    jbyte *bytes = array ? (*env)->GetByteArrayElements(env, array, NULL) : NULL;
    if (bytes) {
        status = home_metrics_serialize(metrics_of(metrics), bytes, length, &length, &error);
        (*env)->ReleaseByteArrayElements(env, array, bytes, 0);
    }
    check(env, status, &error);
    return array;
}

JNIEXPORT void JNICALL Java_home_Metrics_mergeBytes(JNIEnv *env, jclass class, jlong metrics,
                                                    jbyteArray array) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    const size_t size = (size_t)(*env)->GetArrayLength(env, array);
    jbyte *bytes = (*env)->GetByteArrayElements(env, array, NULL);
    if (!bytes)
        return;
    const home_status status = home_metrics_merge_bytes(metrics_of(metrics), bytes, size, &error);
    (*env)->ReleaseByteArrayElements(env, array, bytes, JNI_ABORT);
    check(env, status, &error);
}

/* In the order of Metrics.Result. */
JNIEXPORT jdoubleArray JNICALL Java_home_Metrics_result(JNIEnv *env, jclass class, jlong metrics,
                                                        jint task) {
    (void)class;
    home_error error = {.struct_size = sizeof error};
    home_metric_result r = {.struct_size = sizeof r};
    const home_status status = home_metrics_result(metrics_of(metrics), (size_t)task, &r, &error);
    const jdouble values[] = {(double)r.rows,
                              (double)r.no_user_rows,
                              (double)r.positives,
                              r.weight,
                              r.mean_prediction,
                              r.mean_label,
                              r.calibration,
                              r.log_loss,
                              r.auc,
                              r.auc_error,
                              r.gauc,
                              r.gauc_error,
                              r.gauc_share,
                              (double)r.gauc_users,
                              (double)r.gauc_rows,
                              r.rmse,
                              r.mae};
    const jsize count = (jsize)(sizeof values / sizeof *values);
    jdoubleArray array = status == HOME_OK ? (*env)->NewDoubleArray(env, count) : NULL;
    if (array)
        (*env)->SetDoubleArrayRegion(env, array, 0, count, values);
    check(env, status, &error);
    return array;
}
