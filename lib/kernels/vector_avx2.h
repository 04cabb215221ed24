/* Vectors of 8 floats: AVX2 with FMA. Of 16 registers a tile of 6 rows by 2 vectors takes 12 for
 * its sums, 2 for a line and 1 for a factor. kernels.tmpl.h lists what each function must do. */
#define VEC_WIDTH    8
#define GEMM_ROWS    6
#define GEMM_VECTORS 2

typedef __m256 vec;

static inline vec vec_set(float x) {
    return _mm256_set1_ps(x);
}

static inline vec vec_load(const float *p) {
    return _mm256_loadu_ps(p);
}

static inline void vec_store(float *p, vec v) {
    _mm256_storeu_ps(p, v);
}

/* All bits of the first n lanes; the masked load and store look at their sign bits. */
static inline __m256i vec_mask(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_load_part(const float *p, size_t n) {
    return _mm256_maskload_ps(p, vec_mask(n));
}

static inline void vec_store_part(float *p, size_t n, vec v) {
    _mm256_maskstore_ps(p, vec_mask(n), v);
}

static inline vec vec_fma(vec a, vec b, vec c) {
    return _mm256_fmadd_ps(a, b, c);
}

/* The instruction gives b where either is a NaN, which is the rule of the vocabulary. */
static inline vec vec_max(vec a, vec b) {
    return _mm256_max_ps(a, b);
}

static inline vec vec_min(vec a, vec b) {
    return _mm256_min_ps(a, b);
}

/* (1 + e) 2^n; the low bits of shifted = n + 1.5 * 2^23 hold the whole number n. */
#define EXP_PARTS 1
static inline vec vec_exp_scale(vec e, vec n, vec shifted) {
    const __m256i exponent =
        _mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127 - 0x4B400000));
    (void)n;
    return (e + vec_set(1.0f)) * _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}

static inline vec vec_sqrt(vec v) {
    return _mm256_sqrt_ps(v);
}

static inline vec vec_reciprocal(vec v) {
    return _mm256_div_ps(_mm256_set1_ps(1), v);
}

/* 1 where v > 0, else 0. */
static inline vec vec_step(vec v) {
    return _mm256_and_ps(_mm256_cmp_ps(v, _mm256_setzero_ps(), _CMP_GT_OQ), _mm256_set1_ps(1));
}
