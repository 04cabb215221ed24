/* Every kernel of every instruction set that this CPU has, against plain double precision. Operands
 * lie between pages that must not be touched; what a kernel has no business with is filled with NaN
 * and must stay as it is. Says the largest errors of the exponential and what is made of it.
 *
 * TEST_READABLE_GUARDS=1 lets the pages around operands be read: for emulators that load all of a
 * vector where the CPU loads the lanes of a mask. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "kernels/tables.h"
#include "test.h"
#include "unit/fixture.h"

#include <float.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDING (1.0 / (1 << 24)) /* the relative error of one float operation */

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static bool quick(void) {
    return getenv("TEST_QUICK") != NULL;
}

/* --------------------------------------------------------------------------------------- tables */

static const homekernels *supported[4];
static size_t supported_count;

static const homekernels *select_capped(const char *cap) {
    REQUIRE((cap ? setenv("HOME_ISA", cap, 1) : unsetenv("HOME_ISA")) == 0);
    return homekernels_select(NULL);
}

/* A cap that is chosen by its name is supported; one above the CPU is not. */
static void a_table_is_chosen_up_to_its_cap(void) {
    static const struct {
        const char *name;
        const homekernels *kernels;
    } tables[] = {
        {"portable", &homekernels_portable},
#if defined(HOME_X86)
        {"avx2", &homekernels_avx2},
        {"avx512", &homekernels_avx512},
#endif
#if defined(__aarch64__)
        {"neon", &homekernels_neon},
#endif
    };
    for (size_t i = 0; i < COUNT(tables); i++) {
        CHECK(strcmp(tables[i].kernels->name, tables[i].name) == 0);
        const homekernels *chosen = select_capped(tables[i].name);
        if (chosen == tables[i].kernels)
            supported[supported_count++] = chosen;
        else
            CHECK(supported_count && chosen == supported[supported_count - 1]);
    }
    REQUIRE(supported_count > 0 && supported[0] == &homekernels_portable);
    CHECK(select_capped("a machine of another kind") == supported[supported_count - 1]);
    CHECK(select_capped(NULL) == supported[supported_count - 1]);
}

/* ------------------------------------------------------------------------------- guarded memory */

/* Floats right before or right behind a page that cannot be touched. What is left of their own
 * pages is red: a NaN of its own, which spoils results where it is read and shows where it is
 * written over. */
typedef struct guarded {
    unsigned char *mapping;
    size_t size; /* of the pages between the guards */
    float *data;
    size_t count;
} guarded;

static const uint32_t red = 0x7fc5a5a5;

static size_t page_size(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static bool is_red(const float *value) {
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    return bits == red;
}

static void make_red(float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        memcpy(values + i, &red, sizeof red);
}

static guarded guarded_create(size_t count, bool at_end) {
    const size_t page = page_size();
    guarded g = {.count = count, .size = (count * sizeof(float) / page + 1) * page};
    g.mapping = mmap(NULL, g.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(g.mapping != MAP_FAILED);
    if (getenv("TEST_READABLE_GUARDS"))
        REQUIRE(mprotect(g.mapping, g.size + 2 * page, PROT_READ) == 0);
    REQUIRE(mprotect(g.mapping + page, g.size, PROT_READ | PROT_WRITE) == 0);
    make_red((float *)(void *)(g.mapping + page), g.size / sizeof(float));
    g.data = (float *)(void *)(g.mapping + page + (at_end ? g.size - count * sizeof(float) : 0));
    return g;
}

static void guarded_make_constant(const guarded *g) {
    REQUIRE(mprotect(g->mapping + page_size(), g->size, PROT_READ) == 0);
}

/* Whether all is red but the data. */
static bool guarded_intact(const guarded *g) {
    const float *const first = (const float *)(const void *)(g->mapping + page_size());
    const float *const last = first + g->size / sizeof(float);
    for (const float *p = first; p < last; p++)
        if ((p < g->data || p >= g->data + g->count) && !is_red(p))
            return false;
    return true;
}

static void guarded_free(const guarded *g) {
    REQUIRE(munmap(g->mapping, g->size + 2 * page_size()) == 0);
}

/* --------------------------------------------------------------------------------------- values */

static uint64_t random_state = 20240811;

/* Not near zero, so that every term of a sum shows. */
static float random_value(void) {
    const double size = random_between(&random_state, 0.5, 1.5);
    return (float)(random_bits(&random_state) & 1 ? size : -size);
}

/* Sums of products of these are exact in float, in any order. */
static float random_whole(void) {
    const float size = (float)(1 + random_bits(&random_state) % 8);
    return random_bits(&random_state) & 1 ? size : -size;
}

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

static double activation_of(homeactivation act, double beta, double x) {
    switch (act) {
    case HOME_ACT_RELU:
        return x > 0 ? x : 0;
    case HOME_ACT_SIGMOID:
        return logistic(x);
    case HOME_ACT_SWISH:
        return x * logistic(beta * x);
    default:
        return x;
    }
}

/* ------------------------------------------------------------------------------------- products */

typedef enum a_layout { ROWS, ROWS_WITH_GAPS, COLUMNS, COLUMNS_WITH_GAPS, LAYOUTS } a_layout;

/* A product in guarded memory; what lies between the rows of a and c is red. */
typedef struct product {
    homegemm gemm;
    guarded a, panels, c;
} product;

static product product_create(const homekernels *kernels, size_t m, size_t n, size_t k,
                              a_layout layout, bool at_end) {
    product p = {.gemm = {.m = m, .n = n, .k = k}};
    const bool gaps = layout == ROWS_WITH_GAPS || layout == COLUMNS_WITH_GAPS;
    const bool transposed = layout == COLUMNS || layout == COLUMNS_WITH_GAPS;
    p.gemm.a_row = transposed ? 1 : k + (gaps ? 3 : 0);
    p.gemm.a_step = transposed ? m + (gaps ? 2 : 0) : 1;
    p.gemm.c_row = n + (gaps ? 5 : 0);
    p.a = guarded_create(m && k ? (m - 1) * p.gemm.a_row + (k - 1) * p.gemm.a_step + 1 : 0, at_end);
    p.panels = guarded_create((n + kernels->panel - 1) / kernels->panel * kernels->panel * (k + 1),
                              at_end);
    p.c = guarded_create(m ? (m - 1) * p.gemm.c_row + n : 0, at_end);
    p.gemm.a = p.a.data;
    p.gemm.panels = p.panels.data;
    p.gemm.c = p.c.data;
    return p;
}

static void product_free(const product *p) {
    guarded_free(&p->a);
    guarded_free(&p->panels);
    guarded_free(&p->c);
}

/* Where b[row - 1, column] stands, or for row 0 the column's bias: kernels.h has the picture. */
static float *panel_place(const homekernels *kernels, const product *p, size_t row, size_t column) {
    const size_t width = kernels->panel;
    return p->panels.data + column / width * width * (p->gemm.k + 1) + row * width + column % width;
}

static float *a_place(const product *p, size_t i, size_t step) {
    return p->a.data + i * p->gemm.a_row + step * p->gemm.a_step;
}

static void product_fill(const homekernels *kernels, const product *p, float (*value)(void),
                         float factor) {
    for (size_t i = 0; i < p->gemm.m; i++)
        for (size_t step = 0; step < p->gemm.k; step++)
            *a_place(p, i, step) = factor * value();
    memset(p->panels.data, 0, p->panels.count * sizeof(float));
    for (size_t row = 0; row <= p->gemm.k; row++)
        for (size_t j = 0; j < p->gemm.n; j++)
            *panel_place(kernels, p, row, j) = value();
    if (p->gemm.accumulate)
        for (size_t i = 0; i < p->gemm.m; i++)
            for (size_t j = 0; j < p->gemm.n; j++)
                p->c.data[i * p->gemm.c_row + j] = value();
    guarded_make_constant(&p->a);
    guarded_make_constant(&p->panels);
}

/* One value of c before the activation. */
typedef struct entry {
    double value;
    double size;     /* of all terms together */
    double smallest; /* of the terms */
} entry;

static entry entry_of(const homekernels *kernels, const product *p, const float *before, size_t i,
                      size_t j) {
    const double start =
        (double)(before ? before[i * p->gemm.c_row + j] : *panel_place(kernels, p, 0, j));
    entry e = {.value = start, .size = fabs(start), .smallest = fabs(start)};
    for (size_t step = 0; step < p->gemm.k; step++) {
        const double term =
            (double)*a_place(p, i, step) * (double)*panel_place(kernels, p, step + 1, j);
        e.value += term;
        e.size += fabs(term);
        e.smallest = fmin(e.smallest, fabs(term));
    }
    return e;
}

/* Values of c so far where a lost term would have shown, and all, by activation. */
static struct { size_t telling, all; } signals[4];

/* Each value is a sum of k + 1 terms, whose float error is below (k + 1) roundings of their sizes'
 * sum; the slopes of the activations are at most 1.1. */
static double entry_tolerance(const homegemm *g, const entry *e) {
    const double linear = (double)(g->k + 2) * ROUNDING * e->size;
    if (g->activation == HOME_ACT_NONE)
        return linear;
    const double result = activation_of(g->activation, (double)g->swish_beta, e->value);
    const double own =
        g->activation == HOME_ACT_RELU ? 0 : 4 + fabs((double)g->swish_beta * e->value);
    return (g->activation == HOME_ACT_SIGMOID ? 0.25 : 1.1) * linear +
           own * ROUNDING * fabs(result);
}

static void check_product(const homekernels *kernels, const product *p, bool exact) {
    const homegemm *g = &p->gemm;
    float *before = NULL;
    if (g->accumulate && g->m) {
        before = malloc(p->c.count * sizeof(float));
        REQUIRE(before);
        memcpy(before, p->c.data, p->c.count * sizeof(float));
    }
    kernels->gemm(g);
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j++) {
            const entry e = entry_of(kernels, p, before, i, j);
            const double beta = (double)g->swish_beta;
            const double expected = activation_of(g->activation, beta, e.value);
            const double tolerance = exact ? 0 : entry_tolerance(g, &e);
            float *const actual = p->c.data + i * g->c_row + j;
            if (!(fabs((double)*actual - expected) <= tolerance))
                test_fail(__FILE__, __LINE__,
                          "%s, %zu x %zu x %zu: c[%zu, %zu] is %.9g, expected %.9g +- %.3g",
                          kernels->name, g->m, g->n, g->k, i, j, (double)*actual, expected,
                          tolerance);
            const double lost =
                fmin(fabs(activation_of(g->activation, beta, e.value - e.smallest) - expected),
                     fabs(activation_of(g->activation, beta, e.value + e.smallest) - expected));
            signals[g->activation].telling += lost > 2 * tolerance;
            signals[g->activation].all++;
            make_red(actual, 1);
        }
    bool gaps_intact = true;
    for (size_t i = 0; i < p->c.count; i++)
        gaps_intact = gaps_intact && is_red(p->c.data + i);
    CHECK(gaps_intact);
    CHECK(guarded_intact(&p->a) && guarded_intact(&p->panels) && guarded_intact(&p->c));
    free(before);
}

/* Whole numbers: no tolerance. */
static void check_whole_product(const homekernels *kernels, size_t m, size_t n, size_t k,
                                unsigned variant) {
    product p =
        product_create(kernels, m, n, k, (a_layout)(variant % LAYOUTS), variant / LAYOUTS % 2);
    p.gemm.accumulate = variant / LAYOUTS / 2 % 2;
    if (!p.gemm.accumulate && variant / LAYOUTS / 4 % 2)
        p.gemm.activation = HOME_ACT_RELU;
    product_fill(kernels, &p, random_whole, 1);
    check_product(kernels, &p, true);
    product_free(&p);
}

static void multiplies_small(const homekernels *kernels) {
    const size_t panel = kernels->panel;
    const size_t widths[] = {1,         panel / 2,     panel - 1, panel,
                             panel + 1, 2 * panel + 3, 4 * panel, 5 * panel - 1};
    static const size_t depths[] = {0, 1, 2, 3, 7, 16, 33};
    unsigned variant = 0;
    for (size_t m = 0; m <= 26; m++)
        for (size_t w = 0; w < COUNT(widths); w++)
            for (size_t d = 0; d < COUNT(depths); d++)
                for (size_t v = 0; v < (quick() ? 1 : 16); v++) {
                    check_whole_product(kernels, m, widths[w], depths[d], variant);
                    variant += 5; /* prime to the number of variants: each meets each size */
                }
}

/* Sizes around the blocks of rows and depth. */
static void multiplies_large(const homekernels *kernels) {
    const size_t panel = kernels->panel;
    const size_t shapes[][3] = {
        {119, panel + 1, 5},    {120, 3, 33},
        {121, panel, 17},       {143, panel + 2, 9},
        {144, 2 * panel, 3},    {145, panel - 1, 10},
        {289, panel + 1, 4},    {1, 5 * panel + 3, 255},
        {2, 4 * panel, 256},    {3, 3 * panel, 257},
        {4, panel + 3, 511},    {5, 2 * panel + 1, 512},
        {13, 2 * panel, 513},   {25, panel + 5, 1023},
        {7, panel - 1, 1031},   {131, 2 * panel + 3, 259},
        {1, 2 * panel, 769},    {6, 4 * panel, 1024},
        {150, panel + 1, 1025},
    };
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (unsigned variant = 0; variant < 16; variant += quick() ? 5 : 1)
            check_whole_product(kernels, shapes[s][0], shapes[s][1], shapes[s][2], variant);
}

/* Real numbers, with each activation: float precision in every term. The factor keeps the sums near
 * 1, where the activations tell. */
static void multiplies_with_activations(const homekernels *kernels) {
    const size_t panel = kernels->panel;
    const size_t shapes[][3] = {{1, panel + 1, 1},   {3, 4 * panel, 4},    {5, panel - 1, 9},
                                {13, 2 * panel, 31}, {26, panel + 2, 100}, {7, 3 * panel + 1, 300},
                                {4, panel, 600},     {2, panel + 1, 1100}};
    memset(signals, 0, sizeof signals);
    for (size_t s = 0; s < COUNT(shapes); s++)
        for (homeactivation act = HOME_ACT_NONE; act <= HOME_ACT_SWISH; act++)
            for (unsigned variant = 0; variant < 4; variant++) {
                product p = product_create(kernels, shapes[s][0], shapes[s][1], shapes[s][2],
                                           (a_layout)((variant + s) % LAYOUTS), variant % 2);
                p.gemm.activation = act;
                p.gemm.swish_beta = variant % 2 ? 1.0f : 1.7f;
                p.gemm.accumulate = act == HOME_ACT_NONE && variant / 2;
                product_fill(kernels, &p, random_value, (float)(1 / sqrt((double)shapes[s][2])));
                check_product(kernels, &p, false);
                product_free(&p);
            }
    CHECK(signals[HOME_ACT_NONE].telling == signals[HOME_ACT_NONE].all);
    /* About half are 0. */
    CHECK(signals[HOME_ACT_RELU].telling * 5 > signals[HOME_ACT_RELU].all * 2);
    CHECK(signals[HOME_ACT_SIGMOID].telling * 10 > signals[HOME_ACT_SIGMOID].all * 8);
    CHECK(signals[HOME_ACT_SWISH].telling * 10 > signals[HOME_ACT_SWISH].all * 8);
}

/* The same bytes for a row in any company and at any place. */
static void rows_are_independent(const homekernels *kernels, size_t n, size_t k, homeactivation act,
                                 bool accumulate) {
    static const size_t counts[] = {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 25, 145};
    const size_t m = 150;
    product p = product_create(kernels, m, n, k, ROWS_WITH_GAPS, true);
    p.gemm.activation = act;
    p.gemm.swish_beta = 1.3f;
    p.gemm.accumulate = accumulate;
    product_fill(kernels, &p, random_value, (float)(1 / sqrt((double)k)));
    float *const before = malloc(p.c.count * sizeof(float));
    REQUIRE(before);
    memcpy(before, p.c.data, p.c.count * sizeof(float));
    kernels->gemm(&p.gemm);
    for (size_t c = 0; c < COUNT(counts); c++)
        for (size_t first = c; first + counts[c] <= m; first += 5 * counts[c] + 19) {
            const guarded part = guarded_create((counts[c] - 1) * p.gemm.c_row + n, false);
            memcpy(part.data, before + first * p.gemm.c_row, part.count * sizeof(float));
            homegemm g = p.gemm;
            g.m = counts[c];
            g.a += first * g.a_row;
            g.c = part.data;
            kernels->gemm(&g);
            CHECK_BYTES(part.data, p.c.data + first * g.c_row, part.count * sizeof(float));
            guarded_free(&part);
        }
    free(before);
    product_free(&p);
}

static void multiplies_rows_alike(const homekernels *kernels) {
    const size_t panel = kernels->panel;
    rows_are_independent(kernels, 2 * panel + 3, 37, HOME_ACT_SWISH, false);
    rows_are_independent(kernels, 4 * panel, 37, HOME_ACT_SIGMOID, false);
    rows_are_independent(kernels, 5 * panel + 1, 300, HOME_ACT_NONE, false);
    rows_are_independent(kernels, panel - 1, 600, HOME_ACT_NONE, true);
}

/* A NaN or an infinity in one row, or in one column of the weights, stays in it. */
static void multiplies_special_values(const homekernels *kernels) {
    const size_t m = 14;
    const size_t n = kernels->panel + 3;
    const size_t k = 5;
    static const float specials[] = {NAN, INFINITY, -INFINITY};
    for (size_t s = 0; s < COUNT(specials); s++)
        for (size_t at = 0; at < m; at++)
            for (size_t in_a = 0; in_a < 2; in_a++) {
                product p = product_create(kernels, m, n, k, ROWS, true);
                p.gemm.activation = HOME_ACT_RELU;
                for (size_t i = 0; i < p.a.count; i++)
                    p.a.data[i] = 1;
                memset(p.panels.data, 0, p.panels.count * sizeof(float));
                for (size_t row = 0; row <= k; row++)
                    for (size_t j = 0; j < n; j++)
                        *panel_place(kernels, &p, row, j) = 1;
                const size_t column = 3 * at % n; /* in both panels */
                if (in_a)
                    *a_place(&p, at, 2) = specials[s];
                else
                    *panel_place(kernels, &p, 3, column) = specials[s];
                kernels->gemm(&p.gemm);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < n; j++) {
                        const float y = p.c.data[i * n + j];
                        if (!(in_a ? i == at : j == column))
                            CHECK_NEAR((double)y, (double)(k + 1), 0);
                        else if (s == 0)
                            CHECK(isnan(y));
                        else
                            CHECK(y == (s == 1 ? INFINITY : 0.0f));
                    }
                product_free(&p);
            }
}

static void packs(const homekernels *kernels) {
    const size_t k = 7;
    const size_t n = 2 * kernels->panel + 3;
    const size_t ld = n + 4;
    product p = product_create(kernels, 0, n, k, ROWS, false);
    product_fill(kernels, &p, random_value, 1);
    size_t floats = 0;
    CHECK(homekernels_panels_size(kernels->panel, k, n, &floats));
    CHECK_INTEGER(floats, p.panels.count);
    CHECK(!homekernels_panels_size(kernels->panel, SIZE_MAX, 1, &floats));
    CHECK(!homekernels_panels_size(kernels->panel, 1, SIZE_MAX - kernels->panel, &floats));
    float *const plain = malloc(k * ld * sizeof(float));  /* b by rows */
    float *const across = malloc(n * ld * sizeof(float)); /* b by columns */
    float *const bias = malloc(n * sizeof(float));
    REQUIRE(plain && across && bias);
    for (size_t j = 0; j < n; j++) {
        bias[j] = *panel_place(kernels, &p, 0, j);
        for (size_t row = 0; row < k; row++) {
            plain[row * ld + j] = *panel_place(kernels, &p, row + 1, j);
            across[j * ld + row] = plain[row * ld + j];
        }
    }
    const guarded packed = guarded_create(p.panels.count, true);
    const size_t size = packed.count * sizeof(float);
    const size_t split = kernels->panel - 1;
    memset(packed.data, 0, size);
    homekernels_pack_transposed(kernels, k, 0, split, across, ld, bias, packed.data);
    homekernels_pack_transposed(kernels, k, split, n - split, across + split * ld, ld, bias + split,
                                packed.data);
    CHECK_BYTES(packed.data, p.panels.data, size);
    CHECK(guarded_intact(&packed));

    const product no_bias = product_create(kernels, 0, n, k, ROWS, false);
    memcpy(no_bias.panels.data, p.panels.data, size);
    for (size_t j = 0; j < n; j++)
        *panel_place(kernels, &no_bias, 0, j) = 0;
    homekernels_pack_transposed(kernels, k, 0, n, across, ld, NULL, packed.data);
    CHECK_BYTES(packed.data, no_bias.panels.data, size);
    make_red(packed.data, packed.count);
    homekernels_pack_rows(kernels, k, n, 0, 2, plain, ld, packed.data);
    homekernels_pack_rows(kernels, k, n, 2, k - 2, plain + 2 * ld, ld, packed.data);
    CHECK_BYTES(packed.data, no_bias.panels.data, size);
    CHECK(guarded_intact(&packed));

    guarded_free(&packed);
    free(plain);
    free(across);
    free(bias);
    product_free(&no_bias);
    product_free(&p);
}

/* ------------------------------------------------------------------------------- value by value */

#define OPERANDS 3

static const float factor = 1.37f; /* of scale; beta of swish */

static const homeupdate update = {.gradient_factor = 0.75f,
                                  .decay = 0.01f,
                                  .keep = 0.99f,
                                  .rate = 0.05f,
                                  .beta1 = 0.9f,
                                  .beta2 = 0.99f,
                                  .rest1 = 0.1f,
                                  .rest2 = 0.01f,
                                  .root_factor = 3.2f,
                                  .epsilon = 1e-3f};

/* A kernel whose outputs at i depend on nothing but what its operands hold at i. */
typedef struct operation operation;
struct operation {
    const char *name;
    size_t inputs, outputs;
    bool reads_outputs;
    unsigned in_place; /* bit i: input i may be the first output */
    homeactivation activation;
    void (*run)(const operation *op, const homekernels *kernels, size_t n, const float *const *in,
                float *const *out);
    /* From the inputs and the outputs before: the outputs, and the sizes of the terms they are sums
     * of. */
    void (*expect)(const operation *op, const double *in, const double *before, double *out,
                   double *size);
};

static void run_activate(const operation *op, const homekernels *kernels, size_t n,
                         const float *const *in, float *const *out) {
    kernels->activate(op->activation, factor, n, in[0], out[0]);
}

static void expect_activate(const operation *op, const double *in, const double *before,
                            double *out, double *size) {
    (void)before;
    out[0] = activation_of(op->activation, (double)factor, in[0]);
    size[0] = fabs(out[0]);
}

static void run_gradient(const operation *op, const homekernels *kernels, size_t n,
                         const float *const *in, float *const *out) {
    kernels->activate_gradient(op->activation, factor, n, in[0], in[1], out[0]);
}

static void expect_gradient(const operation *op, const double *in, const double *before,
                            double *out, double *size) {
    (void)before;
    const double at = in[0];
    const double beta = (double)factor;
    const double s = logistic(beta * at);
    double first = 1;
    double second = 0;
    if (op->activation == HOME_ACT_RELU)
        first = at > 0;
    else if (op->activation == HOME_ACT_SIGMOID)
        first = at * (1 - at);
    else if (op->activation == HOME_ACT_SWISH) {
        first = s;
        second = beta * at * s * (1 - s);
    }
    out[0] = in[1] * (first + second);
    size[0] = fabs(in[1]) * (fabs(first) + fabs(second));
}

static void run_scale(const operation *op, const homekernels *kernels, size_t n,
                      const float *const *in, float *const *out) {
    (op->reads_outputs ? kernels->scale_add : kernels->scale)(n, factor, in[0], out[0]);
}

static void expect_scale(const operation *op, const double *in, const double *before, double *out,
                         double *size) {
    const double old = op->reads_outputs ? before[0] : 0;
    out[0] = old + (double)factor * in[0];
    size[0] = fabs(old) + fabs((double)factor * in[0]);
}

static void run_multiply(const operation *op, const homekernels *kernels, size_t n,
                         const float *const *in, float *const *out) {
    (op->reads_outputs ? kernels->multiply_add : kernels->multiply)(n, in[0], in[1], out[0]);
}

static void expect_multiply(const operation *op, const double *in, const double *before,
                            double *out, double *size) {
    const double old = op->reads_outputs ? before[0] : 0;
    out[0] = old + in[0] * in[1];
    size[0] = fabs(old) + fabs(in[0] * in[1]);
}

static void run_affine(const operation *op, const homekernels *kernels, size_t n,
                       const float *const *in, float *const *out) {
    (void)op;
    kernels->affine(n, in[0], in[1], in[2], out[0]);
}

static void expect_affine(const operation *op, const double *in, const double *before, double *out,
                          double *size) {
    (void)op;
    (void)before;
    out[0] = in[0] * in[1] + in[2];
    size[0] = fabs(in[0] * in[1]) + fabs(in[2]);
}

/* The optimizers: in = gradient; out = value, then the state. */

static double decayed_gradient(const double *in, const double *before) {
    return (double)update.gradient_factor * in[0] + (double)update.decay * before[0];
}

static void move(double change, const double *before, double *out, double *size) {
    out[0] = (double)update.keep * before[0] - (double)update.rate * change;
    size[0] = fabs((double)update.keep * before[0]) + fabs((double)update.rate * change);
}

static void run_adam(const operation *op, const homekernels *kernels, size_t n,
                     const float *const *in, float *const *out) {
    (void)op;
    kernels->adam(n, &update, in[0], out[0], out[1], out[2]);
}

static void expect_adam(const operation *op, const double *in, const double *before, double *out,
                        double *size) {
    (void)op;
    const double g = decayed_gradient(in, before);
    out[1] = (double)update.beta1 * before[1] + (double)update.rest1 * g;
    size[1] = fabs((double)update.beta1 * before[1]) + fabs((double)update.rest1 * g);
    size[2] = out[2] = (double)update.beta2 * before[2] + (double)update.rest2 * g * g;
    move(out[1] / (sqrt(out[2]) * (double)update.root_factor + (double)update.epsilon), before, out,
         size);
}

static void run_adagrad(const operation *op, const homekernels *kernels, size_t n,
                        const float *const *in, float *const *out) {
    (void)op;
    kernels->adagrad(n, &update, in[0], out[0], out[1]);
}

static void expect_adagrad(const operation *op, const double *in, const double *before, double *out,
                           double *size) {
    (void)op;
    const double g = decayed_gradient(in, before);
    size[1] = out[1] = before[1] + g * g;
    move(g / (sqrt(out[1]) + (double)update.epsilon), before, out, size);
}

static void run_sgd(const operation *op, const homekernels *kernels, size_t n,
                    const float *const *in, float *const *out) {
    (void)op;
    kernels->sgd(n, &update, in[0], out[0], out[1]);
}

static void expect_sgd(const operation *op, const double *in, const double *before, double *out,
                       double *size) {
    (void)op;
    const double g = decayed_gradient(in, before);
    out[1] = (double)update.beta1 * before[1] + g;
    size[1] = fabs((double)update.beta1 * before[1]) + fabs(g);
    move(out[1], before, out, size);
}

static const operation operations[] = {
    {"activate none", 1, 1, false, 1, HOME_ACT_NONE, run_activate, expect_activate},
    {"activate relu", 1, 1, false, 1, HOME_ACT_RELU, run_activate, expect_activate},
    {"activate sigmoid", 1, 1, false, 1, HOME_ACT_SIGMOID, run_activate, expect_activate},
    {"activate swish", 1, 1, false, 1, HOME_ACT_SWISH, run_activate, expect_activate},
    {"gradient none", 2, 1, false, 2, HOME_ACT_NONE, run_gradient, expect_gradient},
    {"gradient relu", 2, 1, false, 2, HOME_ACT_RELU, run_gradient, expect_gradient},
    {"gradient sigmoid", 2, 1, false, 2, HOME_ACT_SIGMOID, run_gradient, expect_gradient},
    {"gradient swish", 2, 1, false, 2, HOME_ACT_SWISH, run_gradient, expect_gradient},
    {"scale", 1, 1, false, 0, HOME_ACT_NONE, run_scale, expect_scale},
    {"scale_add", 1, 1, true, 0, HOME_ACT_NONE, run_scale, expect_scale},
    {"multiply", 2, 1, false, 3, HOME_ACT_NONE, run_multiply, expect_multiply},
    {"multiply_add", 2, 1, true, 0, HOME_ACT_NONE, run_multiply, expect_multiply},
    {"affine", 3, 1, false, 0, HOME_ACT_NONE, run_affine, expect_affine},
    {"adam", 1, 3, true, 0, HOME_ACT_NONE, run_adam, expect_adam},
    {"adagrad", 1, 2, true, 0, HOME_ACT_NONE, run_adagrad, expect_adagrad},
    {"sgd", 1, 2, true, 0, HOME_ACT_NONE, run_sgd, expect_sgd},
};

#define LONGEST 67 /* four vectors of the widest kind and a rest */

/* Operands in guarded memory and the outputs as they were. */
typedef struct operands {
    guarded in[OPERANDS], out[OPERANDS];
    const float *inputs[OPERANDS];
    float *outputs[OPERANDS];
    float before[OPERANDS][LONGEST];
} operands;

static void operands_create(operands *o, const operation *op, size_t n, bool at_end) {
    memset(o, 0, sizeof *o);
    for (size_t j = 0; j < op->inputs; j++) {
        o->in[j] = guarded_create(n, at_end);
        o->inputs[j] = o->in[j].data;
        for (size_t i = 0; i < n; i++)
            o->in[j].data[i] = random_value();
        guarded_make_constant(&o->in[j]);
    }
    for (size_t j = 0; j < op->outputs; j++) {
        o->out[j] = guarded_create(n, at_end);
        o->outputs[j] = o->out[j].data;
        if (op->reads_outputs) /* states of optimizers are positive */
            for (size_t i = 0; i < n; i++)
                o->out[j].data[i] = j ? fabsf(random_value()) : random_value();
        memcpy(o->before[j], o->out[j].data, n * sizeof(float));
    }
}

static void operands_free(const operands *o, const operation *op) {
    for (size_t j = 0; j < op->inputs; j++)
        guarded_free(&o->in[j]);
    for (size_t j = 0; j < op->outputs; j++)
        guarded_free(&o->out[j]);
}

static void check_operation(const homekernels *kernels, const operation *op, size_t n, bool at_end,
                            size_t *telling, size_t *all) {
    operands o;
    operands_create(&o, op, n, at_end);
    op->run(op, kernels, n, o.inputs, o.outputs);
    for (size_t i = 0; i < n; i++) {
        double in[OPERANDS] = {0};
        double before[OPERANDS] = {0};
        double expected[OPERANDS] = {0};
        double size[OPERANDS] = {0};
        for (size_t j = 0; j < op->inputs; j++)
            in[j] = (double)o.inputs[j][i];
        for (size_t j = 0; j < op->outputs; j++)
            before[j] = (double)o.before[j][i];
        op->expect(op, in, before, expected, size);
        for (size_t j = 0; j < op->outputs; j++) {
            const double tolerance = 8 * ROUNDING * size[j]; /* no kernel rounds more often */
            if (!(fabs((double)o.outputs[j][i] - expected[j]) <= tolerance))
                test_fail(__FILE__, __LINE__,
                          "%s %s, n = %zu: output %zu at %zu is %.9g, expected %.9g +- %.3g",
                          kernels->name, op->name, n, j, i, (double)o.outputs[j][i], expected[j],
                          tolerance);
            *telling += tolerance <= 1e-4 * fabs(expected[j]);
            ++*all;
        }
    }
    for (size_t j = 0; j < op->inputs; j++)
        CHECK(guarded_intact(&o.in[j]));
    for (size_t j = 0; j < op->outputs; j++)
        CHECK(guarded_intact(&o.out[j]));
    operands_free(&o, op);
}

/* In pieces, down to single values, and in place: the same bytes. */
static void check_operation_is_local(const homekernels *kernels, const operation *op) {
    static const size_t pieces[] = {1, 3, 5, 8, 16, 33};
    operands o;
    operands_create(&o, op, LONGEST, true);
    op->run(op, kernels, LONGEST, o.inputs, o.outputs);
    for (size_t s = 0; s < COUNT(pieces); s++) {
        float again[OPERANDS][LONGEST];
        memcpy(again, o.before, sizeof again);
        for (size_t first = 0; first < LONGEST; first += pieces[s]) {
            const size_t n = LONGEST - first < pieces[s] ? LONGEST - first : pieces[s];
            const float *in[OPERANDS] = {NULL};
            float *out[OPERANDS] = {NULL};
            for (size_t j = 0; j < op->inputs; j++)
                in[j] = o.inputs[j] + first;
            for (size_t j = 0; j < op->outputs; j++)
                out[j] = again[j] + first;
            op->run(op, kernels, n, in, out);
        }
        for (size_t j = 0; j < op->outputs; j++)
            CHECK_BYTES(again[j], o.outputs[j], sizeof again[j]);
    }
    for (size_t j = 0; j < op->inputs; j++)
        if (op->in_place >> j & 1) {
            float both[LONGEST];
            memcpy(both, o.inputs[j], sizeof both);
            const float *in[OPERANDS];
            memcpy(in, o.inputs, sizeof in);
            in[j] = both;
            float *const out[OPERANDS] = {both};
            op->run(op, kernels, LONGEST, in, out);
            CHECK_BYTES(both, o.outputs[0], sizeof both);
        }
    operands_free(&o, op);
}

/* A NaN among the operands is in the first output at its own place, and nowhere else; only the
 * derivative of ReLU takes a NaN for a value that is not positive. */
static void check_operation_nan(const homekernels *kernels, const operation *op, size_t input,
                                size_t at) {
    operands o;
    operands_create(&o, op, LONGEST, true);
    float spoilt[LONGEST];
    memcpy(spoilt, o.inputs[input], sizeof spoilt);
    spoilt[at] = NAN;
    op->run(op, kernels, LONGEST, o.inputs, o.outputs);
    float again[OPERANDS][LONGEST];
    memcpy(again, o.before, sizeof again);
    o.inputs[input] = spoilt;
    float *const out[OPERANDS] = {again[0], again[1], again[2]};
    op->run(op, kernels, LONGEST, o.inputs, out);
    const bool ignored = op->run == run_gradient && input == 0 && op->activation <= HOME_ACT_RELU;
    for (size_t j = 0; j < op->outputs; j++) {
        CHECK(isnan(again[j][at]) == !ignored);
        again[j][at] = o.outputs[j][at];
        CHECK_BYTES(again[j], o.outputs[j], sizeof again[j]);
    }
    operands_free(&o, op);
}

static void runs_value_by_value(const homekernels *kernels) {
    for (size_t op = 0; op < COUNT(operations); op++) {
        size_t telling = 0;
        size_t all = 0;
        for (size_t n = 0; n <= LONGEST; n++)
            for (int at_end = 0; at_end < 2; at_end++)
                check_operation(kernels, &operations[op], n, at_end, &telling, &all);
        CHECK(all > 0 && telling * 10 >= all * 9);
        check_operation_is_local(kernels, &operations[op]);
        for (size_t input = 0; input < operations[op].inputs; input++)
            for (size_t at = 0; at < LONGEST; at += 3)
                check_operation_nan(kernels, &operations[op], input, at);
    }
}

/* The ends of the activations. */
static void activates_extremes(const homekernels *kernels) {
    const float x[] = {INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 1000,
                       -1000,    0.0f,      -0.0f,   1e-40f,   -1e-40f};
    enum { N = COUNT(x) };
    float y[N];
    kernels->activate(HOME_ACT_RELU, 1, N, x, y);
    for (size_t i = 0; i < N; i++)
        CHECK(y[i] == (x[i] > 0 ? x[i] : 0));
    kernels->activate(HOME_ACT_NONE, 1, N, x, y);
    CHECK_BYTES(y, x, sizeof y);
    float slope[N];
    for (size_t i = 0; i < N; i++)
        y[i] = 1;
    kernels->activate_gradient(HOME_ACT_RELU, 1, N, x, y, slope);
    for (size_t i = 0; i < N; i++)
        CHECK(slope[i] == (x[i] > 0));
    kernels->activate(HOME_ACT_SIGMOID, 1, N, x, y);
    for (size_t i = 0; i < N; i++)
        CHECK_NEAR((double)y[i], logistic((double)x[i]), fabs((double)x[i]) > 1 ? 1e-37 : 0);
    kernels->activate(HOME_ACT_SWISH, 1, N, x, y);
    CHECK(y[0] == INFINITY && y[2] == FLT_MAX && y[4] == 1000);
    CHECK_NEAR((double)y[5], 0, 1e-34);
    CHECK_NEAR((double)y[1], 0, 1e-7);
    CHECK_NEAR((double)y[3], 0, 1e-7);
    for (size_t i = 6; i < N; i++)
        CHECK_NEAR((double)y[i], 0.5 * (double)x[i], 1e-45);
}

static void optimizers_rest_at_zero(const homekernels *kernels) {
    homeupdate still = update;
    still.decay = 0;
    still.keep = 1;
    still.epsilon = 1e-10f;
    const float gradient[LONGEST] = {0};
    float value[LONGEST];
    float expected[LONGEST];
    float m[LONGEST] = {0};
    float v[LONGEST] = {0};
    for (size_t i = 0; i < LONGEST; i++)
        expected[i] = value[i] = random_value();
    kernels->adam(LONGEST, &still, gradient, value, m, v);
    kernels->adagrad(LONGEST, &still, gradient, value, v);
    kernels->sgd(LONGEST, &still, gradient, value, m);
    CHECK_BYTES(value, expected, sizeof value);
    CHECK_BYTES(m, gradient, sizeof m);
    CHECK_BYTES(v, gradient, sizeof v);
}

static void sums_products(const homekernels *kernels) {
    for (size_t n = 0; n <= 300; n += n < LONGEST ? 1 : 29)
        for (unsigned variant = 0; variant < 4; variant++) {
            const bool whole = variant / 2;
            const guarded a = guarded_create(n, variant % 2);
            const guarded b = guarded_create(n, variant % 2);
            double expected = 0;
            double size = 0;
            for (size_t i = 0; i < n; i++) {
                a.data[i] = whole ? random_whole() : random_value();
                b.data[i] = whole ? random_whole() : random_value();
                expected += (double)a.data[i] * (double)b.data[i];
                size += fabs((double)a.data[i] * (double)b.data[i]);
            }
            const double tolerance = whole ? 0 : (double)(n + 1) * ROUNDING * size;
            CHECK(tolerance < 0.25 / 2); /* half of the smallest term */
            CHECK_NEAR((double)kernels->dot(n, a.data, b.data), expected, tolerance);
            CHECK(guarded_intact(&a) && guarded_intact(&b));
            guarded_free(&a);
            guarded_free(&b);
        }
}

enum { MAX_MIXED = 9, PAIR = 2 };

/* Two rows, the weights of which lie side by side: y = times * a weighted sum of vectors. */
typedef struct mixture {
    size_t terms;
    size_t n;
    bool whole; /* numbers, which are exact */
    guarded x[MAX_MIXED];
    guarded w;
    guarded times;
    guarded y;
} mixture;

static guarded random_guarded(const mixture *m, size_t count, bool at_end) {
    const guarded g = guarded_create(count, at_end);
    for (size_t i = 0; i < count; i++)
        g.data[i] = m->whole ? random_whole() : random_value();
    guarded_make_constant(&g);
    return g;
}

static void mixture_free(mixture *m) {
    CHECK(guarded_intact(&m->w) && guarded_intact(&m->times) && guarded_intact(&m->y));
    for (size_t t = 0; t < m->terms; t++) {
        CHECK(guarded_intact(&m->x[t]));
        guarded_free(&m->x[t]);
    }
    guarded_free(&m->w);
    guarded_free(&m->times);
    guarded_free(&m->y);
}

static void check_mixed_value(const mixture *m, size_t i) {
    double expected = 0;
    double size = 0;
    for (size_t t = 0; t < m->terms; t++) {
        const double term = 2 * (double)m->w.data[i / m->n * m->terms + t] *
                            (double)m->x[t].data[i] * (double)m->times.data[i];
        expected += term;
        size += fabs(term);
    }
    const double tolerance = m->whole ? 0 : (double)(m->terms + 2) * ROUNDING * size;
    CHECK(tolerance < 0.25 / 2); /* half of the smallest term */
    CHECK_NEAR((double)m->y.data[i], expected, tolerance);
}

/* The value by itself, and then once more to accumulate. */
static void check_mixed_alone(const homekernels *kernels, const mixture *m, size_t i) {
    float alone;
    homerows value[MAX_MIXED];
    homerows weight[MAX_MIXED];
    double sum = (double)m->y.data[i];
    for (size_t t = 0; t < m->terms; t++) {
        value[t] = (homerows){m->x[t].data + i, 0};
        weight[t] = (homerows){m->w.data + i / m->n * m->terms + t, 0};
        sum += 2 * (double)m->x[t].data[i];
    }
    kernels->mix(
        &(homemix){1, 1, m->terms, value, weight, 2, {m->times.data + i, 0}, &alone, 0, false});
    CHECK_BYTES(&alone, m->y.data + i, sizeof alone);
    kernels->mix(&(homemix){1, 1, m->terms, value, NULL, 2, {0}, &alone, 0, true});
    CHECK_NEAR((double)alone, sum,
               m->whole ? 0 : 64 * ROUNDING * (1 + fabs(sum) + fabs((double)m->y.data[i]) + 20));
}

static void check_mix(const homekernels *kernels, size_t terms, size_t n, bool whole, bool at_end) {
    mixture m = {.terms = terms, .n = n, .whole = whole};
    homerows rows[MAX_MIXED];
    homerows weights[MAX_MIXED];
    m.w = random_guarded(&m, PAIR * terms, at_end);
    m.times = random_guarded(&m, PAIR * n, at_end);
    m.y = guarded_create(PAIR * n, at_end);
    for (size_t t = 0; t < terms; t++) {
        m.x[t] = random_guarded(&m, PAIR * n, at_end);
        rows[t] = (homerows){m.x[t].data, n};
        weights[t] = (homerows){m.w.data + t, terms};
    }
    kernels->mix(
        &(homemix){PAIR, n, terms, rows, weights, 2, {m.times.data, n}, m.y.data, n, false});
    for (size_t i = 0; i < PAIR * n; i++) {
        check_mixed_value(&m, i);
        check_mixed_alone(kernels, &m, i);
    }
    mixture_free(&m);
}

static void mixes(const homekernels *kernels) {
    for (size_t n = 0; n <= LONGEST; n++)
        for (size_t terms = 1; terms <= 9; terms++)
            for (unsigned variant = 0; variant < 4; variant++)
                check_mix(kernels, terms, n, variant / 2, variant % 2);
}

/* Rows of random values within +-span, red between them: near to the exact softmax, and the same
 * bytes for a row alone. */
static void check_softmax(const homekernels *kernels, size_t rows, size_t n, size_t gap,
                          double span) {
    const size_t stride = n + gap;
    const guarded y = guarded_create((rows - 1) * stride + n, rows % 2);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            y.data[r * stride + i] = (float)random_between(&random_state, -span, span);
    float *const x = malloc(y.count * sizeof(float));
    REQUIRE(x);
    memcpy(x, y.data, y.count * sizeof(float));
    kernels->softmax(rows, n, x, stride, y.data, stride);
    for (size_t r = 0; r < rows; r++) {
        float *const row = x + r * stride;
        float *const softened = y.data + r * stride;
        double largest = -INFINITY;
        for (size_t i = 0; i < n; i++)
            if ((double)row[i] > largest)
                largest = (double)row[i];
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)row[i] - largest);
        double total = 0;
        for (size_t i = 0; i < n; i++) {
            const double expected = exp((double)row[i] - largest) / sum;
            /* Of the sum, of exp and of its argument. */
            const double roundings = (double)n + 6 + 2 * span;
            CHECK_NEAR((double)softened[i], expected, roundings * ROUNDING * expected);
            total += (double)softened[i];
        }
        CHECK_NEAR(total, 1, (double)(n + 2) * ROUNDING);
        kernels->softmax(1, n, row, n, row, n);
        CHECK_BYTES(softened, row, n * sizeof(float));
        make_red(softened, n);
    }
    for (size_t i = 0; i < y.count; i++)
        if (!is_red(y.data + i))
            test_fail(__FILE__, __LINE__, "wrote between rows");
    CHECK(guarded_intact(&y));
    free(x);
    guarded_free(&y);
}

/* NaN, the largest float and -infinity in one row and column. */
static void check_softmax_extremes(const homekernels *kernels, size_t n, size_t row,
                                   size_t column) {
    enum { ROWS_OF_THREE_VECTORS = 51 };
    static const float specials[] = {NAN, FLT_MAX, -INFINITY};
    for (size_t s = 0; s < COUNT(specials); s++) {
        float y[ROWS_OF_THREE_VECTORS * LONGEST] = {0};
        y[row * n + column] = specials[s];
        kernels->softmax(ROWS_OF_THREE_VECTORS, n, y, n, y, n);
        for (size_t r = 0; r < ROWS_OF_THREE_VECTORS; r++)
            for (size_t i = 0; i < n; i++) {
                const float softened = y[r * n + i];
                if (r != row)
                    CHECK_NEAR((double)softened, 1.0 / (double)n, 1e-7);
                else if (s == 0)
                    CHECK(isnan(softened));
                else if (s == 1)
                    CHECK_NEAR((double)softened, i == column, 1e-37);
                else
                    CHECK_NEAR((double)softened, i == column ? 0 : 1 / (double)(n - 1), 1e-7);
            }
    }
}

static void softens(const homekernels *kernels) {
    for (size_t n = 1; n <= LONGEST; n++)
        for (size_t rows = 1; rows <= 35; rows += quick() ? 11 : 1)
            check_softmax(kernels, rows, n, rows % 3, rows % 2 ? 1 : 40);
    for (size_t n = 2; n <= LONGEST; n += 5)
        for (size_t row = 0; row < 51; row += 7)
            check_softmax_extremes(kernels, n, row, row % n);
}

/* ------------------------------------------------------------------------------------- accuracy */

/* In units of the last place of a float at the exact value. */
static double ulps(float actual, double exact) {
    int exponent;
    frexp(exact, &exponent);
    if (exponent < FLT_MIN_EXP)
        exponent = FLT_MIN_EXP;
    return fabs((double)actual - exact) / ldexp(1, exponent - FLT_MANT_DIG);
}

#define SWEPT 512 /* values at a time */

/* A function of one variable to be swept, and what it is exactly. */
typedef struct curve {
    const char *name;
    void (*run)(const homekernels *kernels, const float *x, float *y); /* on SWEPT values */
    double (*exact)(double x);
    float low, high; /* sizes of x */
    bool negative, positive;
    double allowed; /* ulp */
} curve;

/* Beside a 0 the sum is 1 as long as the other value is below -18, and the softmax is the
 * exponential. */
static void run_exp(const homekernels *kernels, const float *x, float *y) {
    float pairs[SWEPT][2];
    for (size_t i = 0; i < SWEPT; i++) {
        pairs[i][0] = 0;
        pairs[i][1] = x[i];
    }
    kernels->softmax(SWEPT, 2, pairs[0], 2, pairs[0], 2);
    for (size_t i = 0; i < SWEPT; i++)
        y[i] = pairs[i][1];
}

static void run_sigmoid(const homekernels *kernels, const float *x, float *y) {
    kernels->activate(HOME_ACT_SIGMOID, 1, SWEPT, x, y);
}

static void run_swish(const homekernels *kernels, const float *x, float *y) {
    kernels->activate(HOME_ACT_SWISH, 1, SWEPT, x, y);
}

static double exact_swish(double x) {
    return x * logistic(x);
}

static const curve curves[] = {
    {"exp", run_exp, exp, 18, 87, true, false, 2},
    {"sigmoid", run_sigmoid, logistic, 1e-9f, 87, true, true, 4},
    {"swish", run_swish, exact_swish, 1e-9f, 87, true, true, 4},
};

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double largest_error(const homekernels *kernels, const curve *of, float *where) {
    const uint32_t last = bits_of(of->high);
    const uint32_t step = (last - bits_of(of->low)) / (quick() ? 20000 : 1000000) + 1;
    double largest = 0;
    for (uint32_t bits = bits_of(of->low); bits <= last;) {
        float x[SWEPT];
        float y[SWEPT];
        for (size_t i = 0; i < SWEPT; i++) {
            const uint32_t at = bits < last ? bits : last;
            memcpy(x + i, &at, sizeof at);
            if (of->negative && (!of->positive || i % 2))
                x[i] = -x[i];
            bits += step;
        }
        of->run(kernels, x, y);
        for (size_t i = 0; i < SWEPT; i++) {
            const double error = ulps(y[i], of->exact((double)x[i]));
            if (!(error <= largest)) {
                largest = error;
                *where = x[i];
            }
        }
    }
    return largest;
}

static void is_accurate(const homekernels *kernels) {
    printf("%s: largest errors in ulp:", kernels->name);
    for (size_t c = 0; c < COUNT(curves); c++) {
        float where = 0;
        const double error = largest_error(kernels, &curves[c], &where);
        printf(" %s %.2f at %.9g%s", curves[c].name, error, (double)where,
               c + 1 < COUNT(curves) ? "," : "\n");
        CHECK(error <= curves[c].allowed);
    }
}

/* ------------------------------------------------------------------------------------------ all */

int main(void) {
    RUN(a_table_is_chosen_up_to_its_cap);
    static const struct {
        const char *name;
        void (*run)(const homekernels *kernels);
    } cases[] = {
        {"multiplies small matrices", multiplies_small},
        {"multiplies large matrices", multiplies_large},
        {"multiplies with activations", multiplies_with_activations},
        {"multiplies rows alike", multiplies_rows_alike},
        {"multiplies special values", multiplies_special_values},
        {"packs panels", packs},
        {"runs value by value", runs_value_by_value},
        {"activates extreme values", activates_extremes},
        {"leaves a zero at rest by a zero gradient", optimizers_rest_at_zero},
        {"sums products", sums_products},
        {"mixes experts by their weights", mixes},
        {"gives weights that sum to 1", softens},
        {"is accurate to some ulps", is_accurate},
    };
    for (size_t t = 0; t < supported_count; t++)
        for (size_t c = 0; c < COUNT(cases); c++) {
            test_begin("%s %s", supported[t]->name, cases[c].name);
            cases[c].run(supported[t]);
            test_end();
        }
    return test_summary();
}
