/* Vectors of 16 floats: AVX-512 F. Of 32 registers a tile of 12 rows by 2 vectors takes 24 for its
 * sums and 2 for a line; factors come from memory as part of the multiply-add. kernels.tmpl.h lists
 * what each function must do. */
#define VEC_WIDTH    16
#define GEMM_ROWS    12
#define GEMM_VECTORS 2

typedef __m512 vec;

static inline vec vec_set(float x) {
    return _mm512_set1_ps(x);
}

static inline vec vec_load(const float *p) {
    return _mm512_loadu_ps(p);
}

static inline void vec_store(float *p, vec v) {
    _mm512_storeu_ps(p, v);
}

static inline __mmask16 vec_mask(size_t n) {
    return (__mmask16)((1u << n) - 1);
}

static inline vec vec_load_part(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(vec_mask(n), p);
}

static inline void vec_store_part(float *p, size_t n, vec v) {
    _mm512_mask_storeu_ps(p, vec_mask(n), v);
}

static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm512_fmadd_ps(a, b, c);
}

/* The instruction gives b where either is a NaN, which is the rule of the vocabulary. */
static inline vec vec_max(vec a, vec b) {
    return _mm512_max_ps(a, b);
}

static inline vec vec_min(vec a, vec b) {
    return _mm512_min_ps(a, b);
}

/* (1 + e) 2^n, n in sixteenths. With 16 parts e^r needs a polynomial of degree 3 in place of 7: the
 * permutation looks up 2^(n - floor n) by the low four bits of shifted = n + 1.5 * 2^19, and scalef
 * multiplies by 2^(floor n), in one instruction each. */
#define EXP_PARTS 16
static inline vec vec_exp_scale(vec e, vec n, vec shifted) {
    const vec table =
        _mm512_setr_ps(1.0f, 1.04427373f, 1.09050775f, 1.13878858f, 1.18920708f, 1.24185777f,
                       1.29683959f, 1.35425556f, 1.41421354f, 1.47682619f, 1.54221082f, 1.61049032f,
                       1.68179286f, 1.75625217f, 1.8340081f, 1.91520655f);
    const vec part = _mm512_permutexvar_ps(_mm512_castps_si512(shifted), table);
    return _mm512_scalef_ps(_mm512_fmadd_ps(e, part, part), n);
}

static inline vec vec_sqrt(vec v) {
    return _mm512_sqrt_ps(v);
}

/* 1 / v for v >= 1: the CPU's estimate, good to 14 bits, and one step of Newton's method, which
 * doubles them:  y + y (1 - v y). A division of 16 floats occupies its unit for 10 cycles or
 * more. */
static inline vec vec_reciprocal(vec v) {
    const vec estimate = _mm512_rcp14_ps(v);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(v, estimate, _mm512_set1_ps(1)), estimate, estimate);
}

/* 1 where v > 0, else 0. */
static inline vec vec_step(vec v) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_GT_OQ),
                               _mm512_set1_ps(1));
}
