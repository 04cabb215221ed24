/* Functions of single values and short vectors, from a vector header's types. */

/* Some functions take a group of vectors, and do each operation for all of them before the next
 * one. The dozen operations of e^x each wait 4 cycles for the one before; a CPU that looks a few
 * dozen instructions ahead finds too little to do in the meantime. Four vectors give it something;
 * more, with the four values that vec_exp() keeps of each, would not fit into AVX2's 16
 * registers. */
enum { GROUP = 4, GROUP_VALUES = GROUP * VEC_WIDTH };
#define EACH                                                                                       \
    UNROLL                                                                                         \
    for (size_t u = 0; u < count; u++)

/* x = e^x of `count` vectors, to about 1 ulp. x is clamped to [-87, 87], where neither e^x nor its
 * reciprocal is denormal; a NaN stays.
 *
 *     x   = n ln 2 + r          n a multiple of 1 / EXP_PARTS, |r| <= ln 2 / 2 / EXP_PARTS
 *     e^x = 2^n e^r
 *
 * Rounding to n takes one addition: adding 1.5 * 2^23 pushes all digits after the point (or after
 * 1 / 16) out of the float, and leaves n in its low bits, where vec_exp_scale() finds it. ln 2 is
 * split in two so that n times its first part is exact: 0.693359375 has 9 bits, n at most 11. The
 * Taylor polynomial gives e^r - 1, with a remainder below 2^-26: of degree 7 for |r| up to 0.35, of
 * degree 3 for |r| up to 0.022. */
static ALWAYS_INLINE void vec_exp(const size_t count, vec *x) {
    const vec shift = vec_set(12582912.0f / EXP_PARTS); /* 1.5 * 2^23 / EXP_PARTS */
    vec shifted[GROUP], n[GROUP], r[GROUP], e[GROUP];
    EACH x[u] = vec_max(vec_set(-87.0f), x[u]);
    EACH x[u] = vec_min(vec_set(87.0f), x[u]);
    EACH shifted[u] = vec_fma(x[u], vec_set(1.44269504f), shift);
    EACH n[u] = shifted[u] - shift;
    EACH r[u] = vec_fma(n[u], vec_set(-0.693359375f), x[u]);
    EACH r[u] = vec_fma(n[u], vec_set(2.12194440e-4f), r[u]);
    if (EXP_PARTS == 1) {
        EACH e[u] = vec_fma(vec_set(1.0f / 5040), r[u], vec_set(1.0f / 720));
        EACH e[u] = vec_fma(e[u], r[u], vec_set(1.0f / 120));
        EACH e[u] = vec_fma(e[u], r[u], vec_set(1.0f / 24));
        EACH e[u] = vec_fma(e[u], r[u], vec_set(1.0f / 6));
    } else {
        EACH e[u] = vec_set(1.0f / 6);
    }
    EACH e[u] = vec_fma(e[u], r[u], vec_set(0.5f));
    EACH e[u] = vec_fma(e[u], r[u] * r[u], r[u]);
    EACH x[u] = vec_exp_scale(e[u], n[u], shifted[u]);
}

/* x = sigmoid(factor x) = 1 / (1 + e^(-factor x)) */
static ALWAYS_INLINE void vec_sigmoid(const size_t count, vec factor, vec *x) {
    const vec minus = vec_set(0.0f) - factor;
    EACH x[u] = minus * x[u];
    vec_exp(count, x);
    EACH x[u] = vec_reciprocal(vec_set(1.0f) + x[u]);
}

/* Far below zero Swish and its slope are 0 to rounding. But the sigmoid, whose exponential is
 * clamped, stops at 1e-38, and times an x of -1e38 that would be about -1. */
static inline vec vec_swish_input(vec x) {
    return vec_max(vec_set(-1e30f), x);
}

static ALWAYS_INLINE void vec_activate(const size_t count, homeactivation act, vec swish_beta,
                                       vec *x) {
    vec s[GROUP];
    switch (act) {
    case HOME_ACT_RELU:
        EACH x[u] = vec_max(vec_set(0.0f), x[u]);
        break;
    case HOME_ACT_SIGMOID:
        vec_sigmoid(count, vec_set(1.0f), x);
        break;
    case HOME_ACT_SWISH:
        EACH s[u] = x[u];
        vec_sigmoid(count, swish_beta, s);
        EACH x[u] = vec_swish_input(x[u]) * s[u];
        break;
    default:
        break;
    }
}

/* The derivative, in place of what it is computed from: the activation's input (swish), or its
 * output (the others), which a plan then need not keep twice. `act` is a constant wherever this is
 * inlined, so the switch costs nothing; the same in vec_activate(). */
static ALWAYS_INLINE void vec_slope(const size_t count, homeactivation act, vec swish_beta,
                                    vec *at) {
    const vec one = vec_set(1.0f);
    vec s[GROUP];
    switch (act) {
    case HOME_ACT_RELU:
        EACH at[u] = vec_step(at[u]);
        break;
    case HOME_ACT_SIGMOID:
        EACH at[u] = at[u] * (one - at[u]);
        break;
    case HOME_ACT_SWISH:
        EACH s[u] = at[u];
        vec_sigmoid(count, swish_beta, s);
        EACH at[u] = vec_fma(swish_beta * vec_swish_input(at[u]) * s[u], one - s[u], s[u]);
        break;
    default:
        EACH at[u] = one;
        break;
    }
}

/* Runs a body for each vector of n values, with the index `i` of its first value; `left` is how
 * many values it has, VEC_WIDTH for all but the last. */
#define FOR_EACH_VECTOR(n)                                                                         \
    for (size_t i = 0, left; i < (n) && (left = (n)-i < VEC_WIDTH ? (n)-i : VEC_WIDTH, true);      \
         i += VEC_WIDTH)

static inline vec get(const float *p, size_t left) {
    return left == VEC_WIDTH ? vec_load(p) : vec_load_part(p, left);
}

static inline void put(float *p, size_t left, vec v) {
    if (left == VEC_WIDTH)
        vec_store(p, v);
    else
        vec_store_part(p, left, v);
}

/* y = act(x) of `down` rows of `across` whole vectors. */
static ALWAYS_INLINE void activate_group(homeactivation act, vec beta, const size_t down,
                                         const size_t across, const float *x, float *y,
                                         size_t row) {
    const size_t count = down * across;
    vec v[GROUP];
    EACH v[u] = vec_load(x + u / across * row + u % across * VEC_WIDTH);
    vec_activate(count, act, beta, v);
    EACH vec_store(y + u / across * row + u % across * VEC_WIDTH, v[u]);
}

/* Groups of four vectors: four of one row, or two of each of two rows where there are several, for
 * the rows of a product's tile have only two vectors with AVX2 and AVX-512. What is left at the
 * right goes vector by vector. `act` is a constant, and every activation its own copy of this
 * code. */
static ALWAYS_INLINE void activate_as(homeactivation act, float swish_beta, size_t rows, size_t n,
                                      const float *x, float *y, size_t row) {
    const vec beta = vec_set(swish_beta);
    for (size_t pair; rows > 0; rows -= pair, x += pair * row, y += pair * row) {
        pair = rows > 1 ? 2 : 1;
        const size_t across = GROUP_VALUES / pair;
        size_t done = 0;
        for (; done + across <= n; done += across)
            if (pair == 2)
                activate_group(act, beta, 2, 2, x + done, y + done, row);
            else
                activate_group(act, beta, 1, 4, x + done, y + done, row);
        for (size_t r = 0; r < pair; r++) {
            const float *from = x + r * row + done;
            float *to = y + r * row + done;
            FOR_EACH_VECTOR (n - done) {
                vec v = get(from + i, left);
                vec_activate(1, act, beta, &v);
                put(to + i, left, v);
            }
        }
    }
}

/* y = act(x) of `rows` rows of n values, `row` apart in both. */
static void activate_rows(homeactivation act, float swish_beta, size_t rows, size_t n,
                          const float *x, float *y, size_t row) {
    switch (act) {
    case HOME_ACT_RELU:
        activate_as(HOME_ACT_RELU, swish_beta, rows, n, x, y, row);
        break;
    case HOME_ACT_SIGMOID:
        activate_as(HOME_ACT_SIGMOID, swish_beta, rows, n, x, y, row);
        break;
    case HOME_ACT_SWISH:
        activate_as(HOME_ACT_SWISH, swish_beta, rows, n, x, y, row);
        break;
    default:
        activate_as(HOME_ACT_NONE, swish_beta, rows, n, x, y, row);
        break;
    }
}

static void activate(homeactivation act, float swish_beta, size_t n, const float *x, float *y) {
    activate_rows(act, swish_beta, 1, n, x, y, 0);
}

#ifndef HOME_SERVE_ONLY
static ALWAYS_INLINE void slope_as(homeactivation act, float swish_beta, size_t n, const float *at,
                                   const float *dy, float *dx) {
    const vec beta = vec_set(swish_beta);
    const size_t count = GROUP;
    size_t done = 0;
    for (; done + GROUP_VALUES <= n; done += GROUP_VALUES) {
        vec slope[GROUP];
        EACH slope[u] = vec_load(at + done + u * VEC_WIDTH);
        vec_slope(GROUP, act, beta, slope);
        EACH vec_store(dx + done + u * VEC_WIDTH, vec_load(dy + done + u * VEC_WIDTH) * slope[u]);
    }
    at += done;
    dy += done;
    dx += done;
    FOR_EACH_VECTOR (n - done) {
        vec slope = get(at + i, left);
        vec_slope(1, act, beta, &slope);
        put(dx + i, left, get(dy + i, left) * slope);
    }
}

static void activate_gradient(homeactivation act, float swish_beta, size_t n, const float *at,
                              const float *dy, float *dx) {
    switch (act) {
    case HOME_ACT_RELU:
        slope_as(HOME_ACT_RELU, swish_beta, n, at, dy, dx);
        break;
    case HOME_ACT_SIGMOID:
        slope_as(HOME_ACT_SIGMOID, swish_beta, n, at, dy, dx);
        break;
    case HOME_ACT_SWISH:
        slope_as(HOME_ACT_SWISH, swish_beta, n, at, dy, dx);
        break;
    default:
        slope_as(HOME_ACT_NONE, swish_beta, n, at, dy, dx);
        break;
    }
}
#endif

static void scale(size_t n, float w, const float *x, float *y) {
    const vec factor = vec_set(w);
    FOR_EACH_VECTOR (n)
        put(y + i, left, factor * get(x + i, left));
}

/* Softmax of one row. The largest value is subtracted first, so that no exponential overflows. */
static void softmax_row(size_t n, const float *x, float *y) {
    float largest = x[0];
    for (size_t i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    const vec shift = vec_set(largest);
    FOR_EACH_VECTOR (n) {
        vec e = get(x + i, left) - shift;
        vec_exp(1, &e);
        put(y + i, left, e);
    }
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += y[i];
    scale(n, 1 / sum, y, y);
}

/* The most columns of rows that are taken a lane each; their copy takes 2 KiB with AVX-512. */
enum { LANE_COLUMNS = 32 };

/* The same for VEC_WIDTH rows at once, one in each lane. A gate weighs a handful of experts, which
 * leaves most of a vector empty; the rows of a block fill it. The same operations in the same
 * order, so the same bytes:
 *
 *     x [VEC_WIDTH, n]   ->   lanes[j] = column j, a row in each lane   ->   y [VEC_WIDTH, n]
 */
static void softmax_lanes(size_t n, const float *x, size_t x_row, float *y, size_t y_row) {
    float lanes[LANE_COLUMNS][VEC_WIDTH];
    for (size_t j = 0; j < n; j++)
        for (size_t r = 0; r < VEC_WIDTH; r++)
            lanes[j][r] = x[r * x_row + j];
    vec largest = vec_load(lanes[0]);
    for (size_t j = 1; j < n; j++)
        largest = vec_max(vec_load(lanes[j]), largest);
    vec sum = vec_set(0.0f);
    for (size_t j = 0; j < n; j++) {
        vec e = vec_load(lanes[j]) - largest;
        vec_exp(1, &e);
        vec_store(lanes[j], e);
        sum = sum + e;
    }
    const vec inverse = vec_set(1.0f) / sum;
    for (size_t j = 0; j < n; j++)
        vec_store(lanes[j], inverse * vec_load(lanes[j]));
    for (size_t r = 0; r < VEC_WIDTH; r++)
        for (size_t j = 0; j < n; j++)
            y[r * y_row + j] = lanes[j][r];
}

static void softmax(size_t rows, size_t n, const float *x, size_t x_row, float *y, size_t y_row) {
    size_t r = 0;
    if (n <= LANE_COLUMNS)
        for (; r + VEC_WIDTH <= rows; r += VEC_WIDTH)
            softmax_lanes(n, x + r * x_row, x_row, y + r * y_row, y_row);
    for (; r < rows; r++)
        softmax_row(n, x + r * x_row, y + r * y_row);
}

/* y = times * sum of w_t x_t for one row, the sum in a register. */
static void mix_row(const homemix *m, const float *const *x, const float *w, const float *times,
                    float *y) {
    FOR_EACH_VECTOR (m->n) {
        vec sum = vec_set(w[0]) * get(x[0] + i, left);
        for (size_t t = 1; t < m->terms; t++)
            sum = vec_fma(vec_set(w[t]), get(x[t] + i, left), sum);
        if (times)
            sum = get(times + i, left) * sum;
        if (m->accumulate)
            sum = get(y + i, left) + sum;
        put(y + i, left, sum);
    }
}

static void mix(const homemix *m) {
    const float *x[HOME_MIX_TERMS];
    float w[HOME_MIX_TERMS];
    for (size_t r = 0; r < m->rows; r++) {
        for (size_t t = 0; t < m->terms; t++) {
            x[t] = m->x[t].at + r * m->x[t].row;
            w[t] = m->w ? m->factor * m->w[t].at[r * m->w[t].row] : m->factor;
        }
        mix_row(m, x, w, m->times.at ? m->times.at + r * m->times.row : NULL, m->y + r * m->y_row);
    }
}

static void scale_add(size_t n, float w, const float *x, float *y) {
    const vec factor = vec_set(w);
    FOR_EACH_VECTOR (n)
        put(y + i, left, vec_fma(factor, get(x + i, left), get(y + i, left)));
}

static void multiply(size_t n, const float *a, const float *b, float *y) {
    FOR_EACH_VECTOR (n)
        put(y + i, left, get(a + i, left) * get(b + i, left));
}

#ifndef HOME_SERVE_ONLY
static void multiply_add(size_t n, const float *a, const float *b, float *y) {
    FOR_EACH_VECTOR (n)
        put(y + i, left, vec_fma(get(a + i, left), get(b + i, left), get(y + i, left)));
}

static void affine(size_t n, const float *x, const float *factor, const float *shift, float *y) {
    FOR_EACH_VECTOR (n)
        put(y + i, left, vec_fma(get(x + i, left), get(factor + i, left), get(shift + i, left)));
}

/* One sum in each lane, and these added up in order. */
static float dot(size_t n, const float *a, const float *b) {
    vec sum = vec_set(0.0f);
    FOR_EACH_VECTOR (n)
        sum = vec_fma(get(a + i, left), get(b + i, left), sum);
    float lanes[VEC_WIDTH];
    vec_store(lanes, sum);
    float total = 0;
    for (size_t i = 0; i < VEC_WIDTH; i++)
        total += lanes[i];
    return total;
}

/* The sums below are in double, and every value belongs to a sum of its own: compilers find the
 * vectors in such loops themselves, without changing the order of any sum. */

/* In 16 interleaved sums, a constant of the code and not of the vectors, so that the order of the
 * sum is the same for every table. It is bound by memory, so lines are asked for 4 KiB ahead: more
 * than arrives in the 100 ns that memory takes to answer. */
static double sum_of_squares(size_t n, const float *x) {
    enum { LANES = 16, AHEAD_OF_SUM = 1024 };
    double sum[LANES] = {0};
    const size_t whole = n / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES) {
        PREFETCH(ADDRESS(x, i + AHEAD_OF_SUM));
        for (size_t l = 0; l < LANES; l++)
            sum[l] += (double)x[i + l] * (double)x[i + l];
    }
    double total = 0;
    for (size_t l = 0; l < LANES; l++)
        total += sum[l];
    for (size_t i = whole; i < n; i++)
        total += (double)x[i] * (double)x[i];
    return total;
}

static void add_values(size_t n, const float *restrict x, double *restrict sum) {
    for (size_t i = 0; i < n; i++)
        sum[i] += (double)x[i];
}

static void add_deviations(size_t n, const float *restrict x, const double *restrict mean,
                           double *restrict squares) {
    for (size_t i = 0; i < n; i++) {
        const double d = (double)x[i] - mean[i];
        squares[i] += d * d;
    }
}

static void add_norm_slopes(size_t n, const float *restrict x, const float *restrict mean,
                            const float *restrict scale, const float *restrict dy,
                            double *restrict dbeta, double *restrict dgamma) {
    for (size_t i = 0; i < n; i++) {
        const float normed = (x[i] - mean[i]) * scale[i];
        dbeta[i] += (double)dy[i];
        dgamma[i] += (double)dy[i] * (double)normed;
    }
}

static void norm_gradient(size_t n, const float *x, const float *mean, const float *factor,
                          const float *shift, const float *tilt, const float *dy, float *dx) {
    FOR_EACH_VECTOR (n) {
        const vec apart = get(x + i, left) - get(mean + i, left);
        const vec d = get(dy + i, left) - get(shift + i, left) - apart * get(tilt + i, left);
        put(dx + i, left, get(factor + i, left) * d);
    }
}

/* g of homeupdate, and the value after weight decay. The optimizers below share it; one without
 * decay multiplies by 1 and adds 0, which changes no value. */
static ALWAYS_INLINE vec decayed(const homeupdate *s, const float *gradient, size_t left,
                                 vec *value) {
    const vec g =
        vec_fma(vec_set(s->decay), *value, vec_set(s->gradient_factor) * get(gradient, left));
    *value = vec_set(s->keep) * *value;
    return g;
}

static void adam(size_t n, const homeupdate *s, const float *gradient, float *value, float *m,
                 float *v) {
    FOR_EACH_VECTOR (n) {
        vec x = get(value + i, left);
        const vec g = decayed(s, gradient + i, left, &x);
        const vec m1 = vec_fma(vec_set(s->beta1), get(m + i, left), vec_set(s->rest1) * g);
        const vec v1 = vec_fma(vec_set(s->beta2), get(v + i, left), vec_set(s->rest2) * g * g);
        const vec root = vec_fma(vec_sqrt(v1), vec_set(s->root_factor), vec_set(s->epsilon));
        put(m + i, left, m1);
        put(v + i, left, v1);
        put(value + i, left, x - vec_set(s->rate) * m1 / root);
    }
}

static void adagrad(size_t n, const homeupdate *s, const float *gradient, float *value,
                    float *sum) {
    FOR_EACH_VECTOR (n) {
        vec x = get(value + i, left);
        const vec g = decayed(s, gradient + i, left, &x);
        const vec total = vec_fma(g, g, get(sum + i, left));
        put(sum + i, left, total);
        put(value + i, left, x - vec_set(s->rate) * g / (vec_sqrt(total) + vec_set(s->epsilon)));
    }
}

static void sgd(size_t n, const homeupdate *s, const float *gradient, float *value, float *buffer) {
    FOR_EACH_VECTOR (n) {
        vec x = get(value + i, left);
        const vec g = decayed(s, gradient + i, left, &x);
        const vec velocity = vec_fma(vec_set(s->beta1), get(buffer + i, left), g);
        put(buffer + i, left, velocity);
        put(value + i, left, x - vec_set(s->rate) * velocity);
    }
}
#endif
