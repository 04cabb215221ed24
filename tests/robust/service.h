/* A host's place for the model in service: readers take it, one writer replaces it. This is all a
 * host needs, and how docs/reliability.md tells it to. */
#ifndef TESTS_ROBUST_SERVICE_H
#define TESTS_ROBUST_SERVICE_H

#include "home/home.h"

#include <pthread.h>

typedef struct service {
    pthread_mutex_t lock; /* held for as long as it takes to copy a pointer */
    home_model *model;
    size_t version;
} service;

/* The model in service and a reference to it, which the caller releases. The lock makes the two
 * one: between reading the pointer and counting the reference, the writer could have released the
 * last one. */
static inline const home_model *service_take(service *s, size_t *version) {
    pthread_mutex_lock(&s->lock);
    const home_model *model = home_model_retain(s->model);
    *version = s->version;
    pthread_mutex_unlock(&s->lock);
    return model;
}

/* Takes over the reference; the model before goes with its last reader. */
static inline void service_replace(service *s, home_model *model, size_t version) {
    pthread_mutex_lock(&s->lock);
    home_model *before = s->model;
    s->model = model;
    s->version = version;
    pthread_mutex_unlock(&s->lock);
    home_model_release(before);
}

#endif
