/* The pool of threads that home_model_set_threads() makes. */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "threads.h"

#include "../base/portability.h"
#include "cancel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* How often a worker looks for a job, and the caller for the end of one, before it sleeps: for tens
 * of microseconds, about as long as waking it would take. */
enum { LOOKS = 2000 };

enum { OPEN = 1, ENTERED = 2 };

/* A job is numbered by `generation`, which grows when a job starts. Its tasks are handed out by
 * `next`. Workers enter it while it is open; it ends when the caller has closed it and all who
 * entered have left. So no job waits for a worker that the system has not let run.
 *
 *     caller                                        workers, asleep or looking
 *     fill in task, count, next; state = OPEN
 *     announce(): generation + 1  ----------------> await_job() sees it
 *     work(): takes tasks by `next`                 enter_job(): state + ENTERED, while OPEN
 *                                                   work(): takes tasks by `next`
 *     end_job(): state - OPEN                       leave_job(): state - ENTERED
 *     waits for state == 0  <---------------------- the last one wakes the caller
 *
 * A worker that wakes after the job was closed finds it not OPEN, and goes back to sleep. */
struct homethreads {
    const home_allocator *allocator;
    pid_t process; /* whose threads these are: a child made by fork() has none of them */
    pthread_t *workers;
    size_t worker_count;
    pthread_mutex_t owner; /* held by the thread whose job is being done */
    pthread_mutex_t mutex; /* guards sleeping and waking */
    pthread_cond_t wake;
    pthread_cond_t idle;
    atomic_size_t generation;
    atomic_size_t state; /* OPEN, and ENTERED for each worker in the job */
    atomic_size_t next;
    size_t count;
    void (*task)(void *context, size_t index);
    void *context;
    atomic_bool stop; /* read by workers that come late to a job, too */
};

/* Which thread does which task is left to chance; what a task computes is not. */
static void work(homethreads *pool) {
    for (;;) {
        const size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= pool->count)
            return;
        pool->task(pool->context, index);
    }
}

/* Waits for a job after number `seen`: first looking, then asleep. */
static size_t await_job(homethreads *pool, size_t seen) {
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen)
            return atomic_load_explicit(&pool->generation, memory_order_acquire);
        HOME_PAUSE();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->generation, memory_order_acquire) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return atomic_load_explicit(&pool->generation, memory_order_acquire);
}

/* False where the job is closed already. */
static bool enter_job(homethreads *pool) {
    size_t state = atomic_load_explicit(&pool->state, memory_order_relaxed);
    while ((state & OPEN) != 0)
        if (atomic_compare_exchange_weak_explicit(&pool->state, &state, state + ENTERED,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

/* The last worker out of a closed job tells the caller, who may wait for it. */
static void leave_job(homethreads *pool) {
    if (atomic_fetch_sub_explicit(&pool->state, ENTERED, memory_order_acq_rel) != ENTERED)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_signal(&pool->idle);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker(void *argument) {
    homethreads *pool = argument;
    for (size_t seen = 0;;) {
        seen = await_job(pool, seen);
        if (atomic_load_explicit(&pool->stop, memory_order_relaxed))
            return NULL;
        if (enter_job(pool)) {
            work(pool);
            leave_job(pool);
        }
    }
}

/* Closes the job, and waits until all who entered have left. */
static void end_job(homethreads *pool) {
    atomic_fetch_sub_explicit(&pool->state, OPEN, memory_order_acq_rel);
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&pool->state, memory_order_acquire) == 0)
            return;
        HOME_PAUSE();
    }
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load_explicit(&pool->state, memory_order_acquire) != 0)
        pthread_cond_wait(&pool->idle, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

/* Starts a new generation, for which everything else is in place. */
static void announce(homethreads *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add_explicit(&pool->generation, 1, memory_order_release);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

/* False in a child, where nothing the workers held at the time of the fork() is ever given back. */
static bool has_workers(const homethreads *pool) {
    return pool->process == getpid();
}

static void join_workers(homethreads *pool) {
    const int cancel = homecancel_off();
    atomic_store_explicit(&pool->stop, true, memory_order_relaxed);
    announce(pool);
    for (size_t i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    pthread_mutex_destroy(&pool->owner);
    homecancel_restore(cancel);
}

/* The job of a thread that holds the pool. A thread canceled here would leave the pool's locks
 * taken, and workers in a job whose context is gone. */
static void run_job(homethreads *pool, size_t count, void (*task)(void *context, size_t index),
                    void *context) {
    const int cancel = homecancel_off();
    pool->count = count;
    pool->task = task;
    pool->context = context;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->state, OPEN, memory_order_release);
    announce(pool);
    work(pool);
    end_job(pool);
    homecancel_restore(cancel);
}

/* Never waits for another job: a pool at work means that its threads are busy, and the caller is
 * quicker alone. So calls from a task of the pool itself cannot block either. */
int32_t homethreads_run(void *threads, size_t count, void (*task)(void *context, size_t index),
                        void *context) {
    homethreads *pool = threads;
    if (has_workers(pool) && pthread_mutex_trylock(&pool->owner) == 0) {
        run_job(pool, count, task, context);
        pthread_mutex_unlock(&pool->owner);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        task(context, i);
    return 0;
}

void homethreads_destroy(homethreads *pool) {
    if (!pool)
        return;
    if (has_workers(pool))
        join_workers(pool);
    homememory_free(pool->allocator, pool->workers);
    homememory_free(pool->allocator, pool);
}

homethreads *homethreads_create(const home_allocator *allocator, size_t count) {
    homethreads *pool = homememory_allocate(allocator, 1, sizeof *pool);
    pthread_t *workers = homememory_allocate(allocator, count, sizeof *workers);
    if (!pool || !workers) {
        homememory_free(allocator, pool);
        homememory_free(allocator, workers);
        return NULL;
    }
    pool->allocator = allocator;
    pool->process = getpid();
    pool->workers = workers;
    pthread_mutex_init(&pool->owner, NULL);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the host's own threads */
    while (pool->worker_count + 1 < count &&
           pthread_create(&workers[pool->worker_count], NULL, worker, pool) == 0)
        pool->worker_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pool->worker_count + 1 == count)
        return pool;
    homethreads_destroy(pool);
    return NULL;
}
