/* Vectors of 4 floats by the compiler's generic vectors, or of 1 where it or the machine has none.
 * kernels.tmpl.h lists what each function must do; here a vec_fma() rounds twice, for plain C has
 * no fast one. Through memcpy, which compilers turn into single instructions, bits and unaligned
 * addresses are read without undefined behaviour. */
#include <math.h>
#include <string.h>

#if defined(__GNUC__) && (!defined(__i386__) || defined(__SSE2__))
#define VEC_WIDTH 4
typedef float vec __attribute__((vector_size(16)));
typedef int32_t vec_bits __attribute__((vector_size(16)));
typedef uint32_t vec_unsigned __attribute__((vector_size(16)));
#define VEC_FILL(x)                                                                                \
    { x, x, x, x }
#else
#define VEC_WIDTH   1
typedef float vec;
typedef int32_t vec_bits;
typedef uint32_t vec_unsigned;
#define VEC_FILL(x) x
#endif

/* Panels of 8 columns from every compiler, so that images can be exchanged. */
#define GEMM_ROWS    4
#define GEMM_VECTORS (8 / VEC_WIDTH)

static inline vec vec_set(float x) {
    const vec v = VEC_FILL(x);
    return v;
}

static inline vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(float *p, vec v) {
    memcpy(p, &v, sizeof v);
}

static inline vec vec_load_part(const float *p, size_t n) {
    float t[VEC_WIDTH] = {0};
    memcpy(t, p, n * sizeof *p);
    return vec_load(t);
}

static inline void vec_store_part(float *p, size_t n, vec v) {
    memcpy(p, &v, n * sizeof *p);
}

static inline vec vec_fma(vec a, vec b, vec c) {
    return a * b + c;
}

static inline vec_bits vec_to_bits(vec v) {
    vec_bits b;
    memcpy(&b, &v, sizeof b);
    return b;
}

static inline vec vec_from_bits(vec_bits b) {
    vec v;
    memcpy(&v, &b, sizeof v);
    return v;
}

#if VEC_WIDTH > 1
static inline vec vec_select(vec_bits mask, vec a, vec b) {
    return vec_from_bits((mask & vec_to_bits(a)) | (~mask & vec_to_bits(b)));
}
#else
#define vec_select(mask, a, b) ((mask) ? (a) : (b))
#endif

/* a where a > b, else b: a NaN in b stays. */
static inline vec vec_max(vec a, vec b) {
    return vec_select(a > b, a, b);
}

static inline vec vec_min(vec a, vec b) {
    return vec_select(a < b, a, b);
}

/* (1 + e) 2^n; the low bits of shifted = n + 1.5 * 2^23 hold the whole number n. */
#define EXP_PARTS 1
static inline vec vec_exp_scale(vec e, vec n, vec shifted) {
    const vec_unsigned bias = VEC_FILL(127u - 0x4B400000u);
    /* Unsigned, for that of a NaN may overflow. */
    const vec_unsigned exponent = (vec_unsigned)vec_to_bits(shifted) + bias;
    (void)n;
    return (e + vec_set(1.0f)) * vec_from_bits((vec_bits)(exponent * (1u << 23)));
}

static inline vec vec_sqrt(vec v) {
    float t[VEC_WIDTH];
    memcpy(t, &v, sizeof t);
    for (int i = 0; i < VEC_WIDTH; i++)
        t[i] = sqrtf(t[i]);
    return vec_load(t);
}

static inline vec vec_reciprocal(vec v) {
    return vec_set(1) / v;
}

/* 1 where v > 0, else 0. */
static inline vec vec_step(vec v) {
    return vec_select(v > vec_set(0.0f), vec_set(1.0f), vec_set(0.0f));
}
