/* What follows from the steps of a plan once they all are there: which step writes what is to be
 * observed, which gradients are written and which added to, and which buffers can take the same
 * memory. */
#include "places.h"
#include "plan.h"

#include <string.h>

/* ------------------------------------------------------------------------------------ landmarks */

/* The steps that write each buffer, from the last one back. */
typedef struct writers {
    size_t *last;   /* [buffers] */
    size_t *before; /* [steps] the one before it that writes the same buffer */
} writers;

static writers list_writers(const homeplan *plan, homearena *arena) {
    const writers list = {.last = homearena_take(arena, plan->buffer_count, sizeof *list.last),
                          .before = homearena_take(arena, plan->step_count, sizeof *list.before)};
    if (!homearena_ok(arena))
        return list;
    for (size_t i = 0; i < plan->buffer_count; i++)
        list.last[i] = HOME_NONE;
    for (size_t s = 0; s < plan->step_count; s++) {
        size_t *last = &list.last[plan->steps[s].out.buffer];
        list.before[s] = *last;
        *last = s;
    }
    return list;
}

/* The last step that writes into any of the view's columns. */
static void find_writer(const homeplan *plan, const writers *list, homelandmark *mark) {
    const homeview view = mark->view;
    mark->step = view.width > 0 ? list->last[view.buffer] : HOME_NONE;
    for (; mark->step != HOME_NONE; mark->step = list->before[mark->step]) {
        const homeview out = plan->steps[mark->step].out;
        if (out.column < view.column + view.width && view.column < out.column + out.width)
            return;
    }
}

void homeplan_find_writers(homeplan *plan, const hometopology *topology, homearena *arena) {
    const writers list = list_writers(plan, arena);
    if (!homearena_ok(arena))
        return;
    for (size_t l = 0; l < topology->layer_count; l++) {
        for (size_t u = 0; u < topology->layers[l].unit_count; u++)
            find_writer(plan, &list, &plan->layers[l].experts[u]);
        for (size_t n = 0; n < topology->layers[l].node_count; n++) {
            find_writer(plan, &list, &plan->layers[l].gates[n]);
            find_writer(plan, &list, &plan->layers[l].selves[n]);
        }
    }
}

/* ----------------------------------------------------------------------------- gradient writers */

static bool any_written(const bool *written, const homeplan *plan, homeview view, bool wanted) {
    const bool *columns = written + plan->buffers[view.buffer].start + view.column;
    for (size_t i = 0; i < view.width; i++)
        if (columns[i] == wanted)
            return true;
    return false;
}

static void mark_written(bool *written, const homeplan *plan, homeview view) {
    memset(written + plan->buffers[view.buffer].start + view.column, true, view.width);
}

/* Which columns have a gradient already, going backward. A buffer that two steps read, such as
 * experts that several nodes see, gets two gradients: the step that comes first (the later one of
 * the plan) writes, and the next one adds.
 *
 *     plan:      .. experts -> mix like -> .. -> mix view
 *     backward:  mix view writes d experts;  mix like adds to d experts
 *
 * Walks the steps backward. A buffer whose gradient would be read or added to in part before it is
 * written is zeroed first. */
void homeplan_gradients(homeplan *plan, homearena *arena) {
    bool *written = homearena_take(arena, plan->row_width, sizeof *written);
    if (!written)
        return;
    mark_written(written, plan, plan->logits); /* by the loss */
    for (size_t s = plan->step_count; s-- > 0;) {
        homestep *step = &plan->steps[s];
        if (any_written(written, plan, step->out, false))
            plan->buffers[step->out.buffer].zero_gradient = true;
        for (size_t i = 0; i < step->in_count; i++) {
            homesource *in = &step->in[i];
            in->accumulate = any_written(written, plan, in->view, true);
            if (in->accumulate && any_written(written, plan, in->view, false))
                plan->buffers[in->view.buffer].zero_gradient = true;
            mark_written(written, plan, in->view);
        }
    }
    if (any_written(written, plan, plan->input, false))
        plan->buffers[plan->input.buffer].zero_gradient = true;
}

/* ---------------------------------------------------------------------------- sharing of memory */

/* A buffer of a serving plan lives from the first step that writes it to the last that reads it.
 * Buffers whose lives do not overlap may take the same place:
 *
 *     columns      0      32      96      144
 *     step 0       |  v   | hidden |
 *          1       |  v   | hidden | experts |      v and hidden end with step 2,
 *          2       |  v   | hidden | experts |      so what steps 3 and 4 write
 *          3       | gates |       | experts |      goes to their places
 *          4       | gates | z     | experts |
 *
 * Each buffer, in the order in which they were made, takes the first gap that is wide enough for
 * its whole life. First fit is not optimal, but plans are chains of layers whose buffers die in
 * about the order of their birth, and there it wastes little. */

/* What each buffer wants: its room, from the step that writes it to the last that reads it. */
static homeplace *list_places(const homeplan *plan, const home_allocator *allocator) {
    homeplace *places = homememory_allocate(allocator, plan->buffer_count, sizeof *places);
    if (!places)
        return NULL;
    for (size_t i = 0; i < plan->buffer_count; i++)
        places[i] = (homeplace){.size = plan->buffers[i].stride, .first = plan->step_count};
    for (size_t s = 0; s < plan->step_count; s++) {
        const homestep *step = &plan->steps[s];
        homeplace *out = &places[step->out.buffer];
        out->first = s < out->first ? s : out->first;
        out->last = s;
        for (size_t i = 0; i < step->in_count; i++)
            places[step->in[i].view.buffer].last = s;
    }
    /* Filled before the first step; read after the last. */
    places[plan->input.buffer].first = 0;
    places[plan->logits.buffer].last = plan->step_count;
    places[plan->sigmoids.buffer].first = places[plan->sigmoids.buffer].last = plan->step_count;
    for (size_t i = 0; i < plan->buffer_count; i++)
        if (plan->buffers[i].zero_gradient)
            places[i].last = plan->step_count;
    return places;
}

static void move_buffers(homeplan *plan, const homeplace *places, size_t width) {
    plan->row_width = width;
    for (size_t i = 0; i < plan->buffer_count; i++)
        plan->buffers[i].start = places[i].start;
}

static void place_gradients(homeplan *plan, const homeplace *places, size_t width) {
    plan->gradient_width = width;
    for (size_t i = 0; i < plan->buffer_count; i++)
        plan->buffers[i].gradient_start = places[i].start;
}

void homeplan_share_buffers(homeplan *plan, bool folded, homearena *arena) {
    size_t width = 0;
    homeplace *places = list_places(plan, arena->allocator);
    if (!places || !homeplaces_find(places, plan->buffer_count, arena->allocator, &width))
        homearena_fail(arena, HOME_E_MEMORY);
    else if (folded)
        move_buffers(plan, places, width);
    else
        place_gradients(plan, places, width);
    homememory_free(arena->allocator, places);
}
