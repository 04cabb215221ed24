/* First fit, by a tree of the places in the order of their starts. Each node knows enough about the
 * places below it to pass them all at once when they leave no hole that is large enough.
 *
 *     start
 *       4 |        ccc
 *       3 |        ccc       c wants two lines while b still lives. a has ended, but below b
 *       2 |   bbbbbb         there is only one line: b is in the way and moves c to its end.
 *       1 |   bbbbbb
 *       0 | aaa
 *         +-------------> steps
 */
#include "places.h"

#include "../base/hash.h"

/* What is known of one place, or of several together. */
typedef struct span {
    size_t start; /* the lowest */
    size_t end;   /* the highest */
    size_t hole;  /* none of the holes between them is larger */
    size_t min_first;
    size_t max_first;
    size_t min_last;
    size_t max_last;
} span;

/* A treap: sorted by start from left to right, by priority from the root down. The priorities are
 * mixed numbers, which keep it about as shallow as a tree that grew in random order. */
typedef struct node {
    span own;
    span all; /* of the node and those below it */
    struct node *left;
    struct node *right;
    uint64_t priority;
} node;

static size_t min(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t max(size_t a, size_t b) {
    return a > b ? a : b;
}

/* No start in `b` is below one in `a`. */
static span join(const span *a, const span *b) {
    const size_t between = b->start > a->end ? b->start - a->end : 0;
    return (span){.start = a->start,
                  .end = max(a->end, b->end),
                  .hole = max(between, max(a->hole, b->hole)),
                  .min_first = min(a->min_first, b->min_first),
                  .max_first = max(a->max_first, b->max_first),
                  .min_last = min(a->min_last, b->min_last),
                  .max_last = max(a->max_last, b->max_last)};
}

static void summarize(node *n) {
    n->all = n->left ? join(&n->left->all, &n->own) : n->own;
    if (n->right)
        n->all = join(&n->all, &n->right->all);
}

/* Splits a tree into the nodes that start before `start` or at it, and the others. */
static void split(node *root, size_t start, node **low, node **high) {
    if (!root) {
        *low = *high = NULL;
        return;
    }
    if (root->own.start <= start) {
        *low = root;
        split(root->right, start, &root->right, high);
    } else {
        *high = root;
        split(root->left, start, low, &root->left);
    }
    summarize(root);
}

static node *insert(node *root, node *n) {
    if (!root || n->priority > root->priority) {
        split(root, n->own.start, &n->left, &n->right);
        root = n;
    } else if (n->own.start < root->own.start) {
        root->left = insert(root->left, n);
    } else {
        root->right = insert(root->right, n);
    }
    summarize(root);
    return root;
}

/* One tree of two; no start in `high` is below one in `low`. */
static node *merge(node *low, node *high) {
    if (!low || !high)
        return low ? low : high;
    node *const root = low->priority > high->priority ? low : high;
    if (root == low)
        low->right = merge(low->right, high);
    else
        high->left = merge(low, high->left);
    summarize(root);
    return root;
}

/* Takes out the places that end before step `first`. */
static node *forget_ended(node *root, size_t first) {
    if (!root || root->all.min_last >= first)
        return root;
    node *const low = forget_ended(root->left, first);
    node *const high = forget_ended(root->right, first);
    if (root->own.min_last < first)
        return merge(low, high);
    root->left = low;
    root->right = high;
    summarize(root);
    return root;
}

/* None of them is in the way of a place at `start`. */
static bool is_clear(const span *s, const homeplace *place, size_t start) {
    return s->end <= start || s->start >= start + place->size || s->min_first > place->last ||
           s->max_last < place->first;
}

/* All of them live while the place does, and no hole between them has room for it. */
static bool is_solid(const span *s, const homeplace *place) {
    return s->hole < place->size && s->max_first <= place->last && s->min_last >= place->first;
}

/* The first start from `start` on at which nothing in the tree is in the way of the place. */
static size_t pass(const node *root, const homeplace *place, size_t start) {
    if (!root || is_clear(&root->all, place, start))
        return start;
    if (is_solid(&root->all, place))
        return root->all.end;
    start = pass(root->left, place, start);
    if (!is_clear(&root->own, place, start))
        start = root->own.end;
    return pass(root->right, place, start);
}

/* firsts[i] = the first step at which place i, or one of those after it, is in use: what ends
 * before is no longer in the way. */
static void find_firsts(const homeplace *places, size_t count, size_t *firsts) {
    size_t first = SIZE_MAX;
    for (size_t i = count; i-- > 0;)
        firsts[i] = first = min(first, places[i].first);
}

static span span_of(const homeplace *place) {
    return (span){.start = place->start,
                  .end = place->start + place->size,
                  .hole = 0,
                  .min_first = place->first,
                  .max_first = place->first,
                  .min_last = place->last,
                  .max_last = place->last};
}

/* Returns where the highest ends. */
static size_t place_all(homeplace *places, size_t count, const size_t *firsts, node *nodes) {
    node *root = NULL;
    size_t width = 0;
    for (size_t i = 0; i < count; i++) {
        root = forget_ended(root, firsts[i]);
        places[i].start = pass(root, &places[i], 0);
        nodes[i] = (node){.own = span_of(&places[i]), .priority = homehash_mix64(i)};
        width = max(width, nodes[i].own.end);
        root = insert(root, &nodes[i]);
    }
    return width;
}

bool homeplaces_find(homeplace *places, size_t count, const home_allocator *allocator,
                     size_t *width) {
    node *nodes = homememory_allocate(allocator, count, sizeof *nodes);
    size_t *firsts = homememory_allocate(allocator, count, sizeof *firsts);
    const bool there = nodes && firsts;
    if (there) {
        find_firsts(places, count, firsts);
        *width = place_all(places, count, firsts, nodes);
    }
    homememory_free(allocator, nodes);
    homememory_free(allocator, firsts);
    return there;
}
