/* What a host may set on a model: its threads, and the texts stored with it. */
#include "create.h"

#include "../base/abi.h"
#include "../base/utf8.h"
#include "../host/threads.h"

#include <string.h>

home_status homecreate_check_not_image(const home_model *model, home_error *error) {
    if (model->in_image)
        return homefail(error, HOME_E_STATE,
                        "the model was opened from an image: it can only predict");
    return HOME_OK;
}

/* -------------------------------------------------------------------------------------- threads */

/* Switches to new threads, and destroys the old pool. */
static void use(home_model *model, const home_parallel *parallel, homethreads *threads) {
    homethreads_destroy(model->threads);
    model->threads = threads;
    model->parallel = *parallel;
}

home_status home_model_set_parallel(home_model *model, const home_parallel *parallel,
                                    home_error *error) {
    if (!model)
        return homefail_null(error, "model");
    home_status status = homecreate_check_not_image(model, error);
    if (status != HOME_OK)
        return status;
    home_parallel read = {0};
    if (parallel) {
        status = homeabi_read(parallel, &read, sizeof read, "parallel", HOME_E_ARGUMENT, error);
        if (status != HOME_OK)
            return status;
        if (!read.run)
            return homefail_null(error, "parallel.run");
        if (read.threads == 0 || read.threads > 65536)
            return homefail(error, HOME_E_ARGUMENT, "parallel.threads is %zu, expected 1 to 65536",
                            read.threads);
    }
    use(model, &read, NULL);
    return HOME_OK;
}

home_status home_model_set_threads(home_model *model, size_t threads, home_error *error) {
    if (!model)
        return homefail_null(error, "model");
    if (threads == 0 || threads > 1024)
        return homefail(error, HOME_E_ARGUMENT, "threads is %zu, expected 1 to 1024", threads);
    const home_status status = homecreate_check_not_image(model, error);
    if (status != HOME_OK)
        return status;
    home_parallel parallel = {0};
    homethreads *pool = NULL;
    if (threads > 1) {
        pool = homethreads_create(&model->allocator, threads);
        if (!pool)
            return homefail(error, HOME_E_MEMORY, "cannot start %zu threads", threads);
        parallel = (home_parallel){.struct_size = sizeof parallel,
                                   .user = pool,
                                   .threads = threads,
                                   .run = homethreads_run};
    }
    use(model, &parallel, pool);
    return HOME_OK;
}

/* ------------------------------------------------------------------------------------- metadata */

void homemetadata_free(const home_allocator *allocator, homemetadata *metadata) {
    while (metadata) {
        homemetadata *next = metadata->next;
        homememory_free(allocator, metadata->key);
        homememory_free(allocator, metadata->value);
        homememory_free(allocator, metadata);
        metadata = next;
    }
}

static void remove_metadata(home_model *model, const char *key) {
    homemetadata **link = &model->metadata;
    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    homemetadata *item = *link;
    if (!item)
        return;
    *link = item->next;
    item->next = NULL;
    homemetadata_free(&model->allocator, item);
}

homemetadata *homemetadata_create(const home_allocator *allocator, const char *key,
                                  const char *value) {
    homemetadata *item = homememory_allocate(allocator, 1, sizeof *item);
    if (!item)
        return NULL;
    item->key = homememory_copy_text(allocator, key, strlen(key));
    item->value = homememory_copy_text(allocator, value, strlen(value));
    if (item->key && item->value)
        return item;
    homemetadata_free(allocator, item);
    return NULL;
}

static home_status add_metadata(home_model *model, const char *key, const char *value,
                                home_error *error) {
    homemetadata *item = homemetadata_create(&model->allocator, key, value);
    if (!item)
        return homefail_memory(error);
    remove_metadata(model, key);
    homemetadata **end = &model->metadata;
    while (*end)
        end = &(*end)->next;
    *end = item;
    return HOME_OK;
}

home_status home_model_set_metadata(home_model *model, const char *key, const char *value,
                                    home_error *error) {
    if (!model || !key)
        return homefail_null(error, model ? "key" : "model");
    const home_status status = homecreate_check_not_image(model, error);
    if (status != HOME_OK)
        return status;
    if (*key == 0 || strncmp(key, "home.", 5) == 0 || strcmp(key, "format") == 0)
        return homefail(error, HOME_E_ARGUMENT,
                        "key is \"%.60s\", expected a name that is not \"format\" and does not "
                        "begin with \"home.\"",
                        key);
    if (!homeutf8_is_text(key, strlen(key)) || (value && !homeutf8_is_text(value, strlen(value))))
        return homefail(error, HOME_E_ARGUMENT, "the key or its text is not UTF-8");
    if (value)
        return add_metadata(model, key, value, error);
    remove_metadata(model, key);
    return HOME_OK;
}
