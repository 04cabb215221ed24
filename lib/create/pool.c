/* Workspaces for predicting threads that bring none. */
#include "create.h"

#include "../serve/serve.h"

/* Any idle one will do: all workspaces of a model are alike. Exchanging the slot with NULL takes
 * it, so two threads never get the same one; acquire, to see what its last owner wrote. Where all
 * slots are empty a new one is made, and kept when it comes back: steady traffic allocates
 * nothing. */
static home_workspace *borrow_workspace(const home_model *model, home_error *error) {
    for (size_t i = 0; i < HOME_POOL_SLOTS; i++) {
        home_workspace *idle =
            atomic_exchange_explicit(&model->pool->slots[i], NULL, memory_order_acquire);
        if (idle)
            return idle;
    }
    const size_t size = home_workspace_size(model);
    void *memory = homememory_allocate(&model->allocator, size, 1);
    home_workspace *made = NULL;
    if (!memory || home_workspace_init(model, memory, size, &made, error) != HOME_OK)
        homefail_memory(error);
    return made; /* at the start of its memory, which is aligned */
}

/* To the first empty slot; with more threads than slots, the rest are freed. */
static void return_workspace(const home_model *model, home_workspace *workspace) {
    for (size_t i = 0; i < HOME_POOL_SLOTS; i++) {
        home_workspace *empty = NULL;
        if (atomic_compare_exchange_strong_explicit(&model->pool->slots[i], &empty, workspace,
                                                    memory_order_release, memory_order_relaxed))
            return;
    }
    homememory_free(&model->allocator, workspace);
}

homepool *homepool_create(const home_allocator *allocator) {
    homepool *pool = homememory_allocate(allocator, 1, sizeof *pool);
    if (pool) {
        pool->borrow = borrow_workspace;
        pool->give_back = return_workspace;
    }
    return pool;
}

void homepool_free(homepool *pool, const home_allocator *allocator) {
    const size_t count = pool ? HOME_POOL_SLOTS : 0;
    for (size_t i = 0; i < count; i++)
        homememory_free(allocator, atomic_load(&pool->slots[i]));
    homememory_free(allocator, pool);
}
