/* Functions of single values and short vectors, from a vector header's types. */

/* exp(x) for x clamped to [-87, 87], where neither it nor its reciprocal is denormal; to about 1 ulp. x = n ln 2 + r with
 * |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, whose remainder is below 2^-26 of e^r; ln 2 is split so
 * that n * (its first part) is exact. A NaN stays. */
static inline vec vec_exp(vec x) {
    const vec shift = vec_set(12582912.0f); /* 1.5 * 2^23: adding it rounds to a whole number */
    x = vec_min(vec_set(87.0f), vec_max(vec_set(-87.0f), x));
    const vec shifted = vec_fma(x, vec_set(1.44269504f), shift);
    const vec n = shifted - shift;
    vec r = vec_fma(n, vec_set(-0.693359375f), x);
    r = vec_fma(n, vec_set(2.12194440e-4f), r);
    vec e = vec_set(1.0f / 5040);
    e = vec_fma(e, r, vec_set(1.0f / 720));
    e = vec_fma(e, r, vec_set(1.0f / 120));
    e = vec_fma(e, r, vec_set(1.0f / 24));
    e = vec_fma(e, r, vec_set(1.0f / 6));
    e = vec_fma(e, r, vec_set(0.5f));
    e = vec_fma(e, r * r, r);
    return (e + vec_set(1.0f)) * vec_power_of_two(shifted);
}

static inline vec vec_sigmoid(vec x) {
    return vec_reciprocal(vec_set(1.0f) + vec_exp(vec_set(0.0f) - x));
}

static ALWAYS_INLINE vec vec_activate(home_activation act, vec swish_beta, vec x) {
    switch (act) {
    case HOME_ACT_RELU:
        return vec_max(vec_set(0.0f), x);
    case HOME_ACT_SIGMOID:
        return vec_sigmoid(x);
    case HOME_ACT_SWISH:
        return x * vec_sigmoid(swish_beta * x);
    default:
        return x;
    }
}

/* The derivative, from the activation's input (swish) or output (the others). */
static ALWAYS_INLINE vec vec_slope(home_activation act, vec swish_beta, vec at) {
    const vec one = vec_set(1.0f);
    switch (act) {
    case HOME_ACT_RELU:
        return vec_step(at);
    case HOME_ACT_SIGMOID:
        return at * (one - at);
    case HOME_ACT_SWISH: {
        const vec s = vec_sigmoid(swish_beta * at);
        return s + swish_beta * at * s * (one - s);
    }
    default:
        return one;
    }
}

/* Runs a body for each vector of n values; `left` tells how many values it has. */
#define FOR_EACH_VECTOR(n)                                                                                   \
    for (size_t i = 0, left; i < (n) && (left = (n)-i < VEC_WIDTH ? (n)-i : VEC_WIDTH, true); i += VEC_WIDTH)

static inline vec get(const float *p, size_t left) {
    return left == VEC_WIDTH ? vec_load(p) : vec_load_part(p, left);
}

static inline void put(float *p, size_t left, vec v) {
    if (left == VEC_WIDTH)
        vec_store(p, v);
    else
        vec_store_part(p, left, v);
}

static ALWAYS_INLINE void activate_as(home_activation act, float swish_beta, size_t n, const float *x,
                                      float *y) {
    const vec beta = vec_set(swish_beta);
    FOR_EACH_VECTOR(n)
    put(y + i, left, vec_activate(act, beta, get(x + i, left)));
}

static void activate(home_activation act, float swish_beta, size_t n, const float *x, float *y) {
    switch (act) {
    case HOME_ACT_RELU:
        activate_as(HOME_ACT_RELU, swish_beta, n, x, y);
        break;
    case HOME_ACT_SIGMOID:
        activate_as(HOME_ACT_SIGMOID, swish_beta, n, x, y);
        break;
    case HOME_ACT_SWISH:
        activate_as(HOME_ACT_SWISH, swish_beta, n, x, y);
        break;
    default:
        activate_as(HOME_ACT_NONE, swish_beta, n, x, y);
        break;
    }
}

#ifndef HOME_SERVE_ONLY
static ALWAYS_INLINE void slope_as(home_activation act, float swish_beta, size_t n, const float *at,
                                   const float *dy, float *dx, bool add) {
    const vec beta = vec_set(swish_beta);
    FOR_EACH_VECTOR(n) {
        vec d = get(dy + i, left) * vec_slope(act, beta, get(at + i, left));
        if (add)
            d = d + get(dx + i, left);
        put(dx + i, left, d);
    }
}

static void activate_gradient(home_activation act, float swish_beta, size_t n, const float *at,
                              const float *dy, float *dx, bool add) {
    switch (act) {
    case HOME_ACT_RELU:
        slope_as(HOME_ACT_RELU, swish_beta, n, at, dy, dx, add);
        break;
    case HOME_ACT_SIGMOID:
        slope_as(HOME_ACT_SIGMOID, swish_beta, n, at, dy, dx, add);
        break;
    case HOME_ACT_SWISH:
        slope_as(HOME_ACT_SWISH, swish_beta, n, at, dy, dx, add);
        break;
    default:
        slope_as(HOME_ACT_NONE, swish_beta, n, at, dy, dx, add);
        break;
    }
}

#endif

static void scale(size_t n, float w, const float *x, float *y) {
    const vec factor = vec_set(w);
    FOR_EACH_VECTOR(n)
    put(y + i, left, factor * get(x + i, left));
}

/* Softmax of one row in place. The largest value is subtracted first, so that no exponential overflows. */
static void softmax_row(size_t n, float *y) {
    float largest = y[0];
    for (size_t i = 1; i < n; i++)
        largest = y[i] > largest ? y[i] : largest;
    const vec shift = vec_set(largest);
    FOR_EACH_VECTOR(n)
    put(y + i, left, vec_exp(get(y + i, left) - shift));
    float sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += y[i];
    scale(n, 1 / sum, y, y);
}

enum { LANE_COLUMNS = 32 }; /* most columns of the rows that are taken a lane each */

/* The same for VEC_WIDTH rows at once, one in each lane: the same operations in the same order, so the same bytes. */
static void softmax_lanes(size_t n, float *y, size_t y_row) {
    float lanes[LANE_COLUMNS][VEC_WIDTH];
    for (size_t j = 0; j < n; j++)
        for (size_t r = 0; r < VEC_WIDTH; r++)
            lanes[j][r] = y[r * y_row + j];
    vec largest = vec_load(lanes[0]);
    for (size_t j = 1; j < n; j++)
        largest = vec_max(vec_load(lanes[j]), largest);
    vec sum = vec_set(0.0f);
    for (size_t j = 0; j < n; j++) {
        const vec e = vec_exp(vec_load(lanes[j]) - largest);
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

static void softmax(size_t rows, size_t n, float *y, size_t y_row) {
    size_t r = 0;
    for (; n <= LANE_COLUMNS && r + VEC_WIDTH <= rows; r += VEC_WIDTH)
        softmax_lanes(n, y + r * y_row, y_row);
    for (; r < rows; r++)
        softmax_row(n, y + r * y_row);
}

static void mix(size_t terms, size_t n, const float *const *x, const float *w, float *y) {
    FOR_EACH_VECTOR(n) {
        vec sum = vec_set(w[0]) * get(x[0] + i, left);
        for (size_t t = 1; t < terms; t++)
            sum = vec_fma(vec_set(w[t]), get(x[t] + i, left), sum);
        put(y + i, left, sum);
    }
}

static void scale_add(size_t n, float w, const float *x, float *y) {
    const vec factor = vec_set(w);
    FOR_EACH_VECTOR(n)
    put(y + i, left, vec_fma(factor, get(x + i, left), get(y + i, left)));
}

static void multiply(size_t n, const float *a, const float *b, float *y) {
    FOR_EACH_VECTOR(n)
    put(y + i, left, get(a + i, left) * get(b + i, left));
}

#ifndef HOME_SERVE_ONLY
static void multiply_add(size_t n, const float *a, const float *b, float *y) {
    FOR_EACH_VECTOR(n)
    put(y + i, left, vec_fma(get(a + i, left), get(b + i, left), get(y + i, left)));
}

static void affine(size_t n, const float *x, const float *factor, const float *shift, float *y) {
    FOR_EACH_VECTOR(n)
    put(y + i, left, vec_fma(get(x + i, left), get(factor + i, left), get(shift + i, left)));
}

static float dot(size_t n, const float *a, const float *b) {
    vec sum = vec_set(0.0f);
    FOR_EACH_VECTOR(n)
    sum = vec_fma(get(a + i, left), get(b + i, left), sum);
    float lanes[VEC_WIDTH];
    vec_store(lanes, sum);
    float total = 0;
    for (size_t i = 0; i < VEC_WIDTH; i++)
        total += lanes[i];
    return total;
}

/* g, and the value after weight decay. */
static ALWAYS_INLINE vec decayed(const home_update *s, const float *gradient, size_t left, vec *value) {
    const vec g = vec_fma(vec_set(s->decay), *value, vec_set(s->gradient_factor) * get(gradient, left));
    *value = vec_set(s->keep) * *value;
    return g;
}

static void adam(size_t n, const home_update *s, const float *gradient, float *value, float *m, float *v) {
    FOR_EACH_VECTOR(n) {
        vec x = get(value + i, left);
        const vec g = decayed(s, gradient + i, left, &x);
        const vec m1 = vec_flush(vec_fma(vec_set(s->beta1), get(m + i, left), vec_set(s->rest1) * g));
        const vec v1 = vec_flush(vec_fma(vec_set(s->beta2), get(v + i, left), vec_set(s->rest2) * g * g));
        const vec root = vec_fma(vec_sqrt(v1), vec_set(s->root_factor), vec_set(s->epsilon));
        put(m + i, left, m1);
        put(v + i, left, v1);
        put(value + i, left, x - vec_set(s->rate) * m1 / root);
    }
}

static void adagrad(size_t n, const home_update *s, const float *gradient, float *value, float *sum) {
    FOR_EACH_VECTOR(n) {
        vec x = get(value + i, left);
        const vec g = decayed(s, gradient + i, left, &x);
        const vec total = vec_fma(g, g, get(sum + i, left));
        put(sum + i, left, total);
        put(value + i, left, x - vec_set(s->rate) * g / (vec_sqrt(total) + vec_set(s->epsilon)));
    }
}

static void sgd(size_t n, const home_update *s, const float *gradient, float *value, float *buffer) {
    FOR_EACH_VECTOR(n) {
        vec x = get(value + i, left);
        const vec g = decayed(s, gradient + i, left, &x);
        const vec velocity = vec_flush(vec_fma(vec_set(s->beta1), get(buffer + i, left), g));
        put(buffer + i, left, velocity);
        put(value + i, left, x - vec_set(s->rate) * velocity);
    }
}

#endif
