/* Vectors of 4 floats: NEON, which every AArch64 CPU has. 16 sums keep four adders busy, whose
 * results take four cycles. With more, compilers no longer hold the sums, a line of b and a factor
 * for each row in the 32 registers. kernels.tmpl.h lists what each function must do. */
#define VEC_WIDTH    4
#define GEMM_ROWS    4
#define GEMM_VECTORS 4

typedef float32x4_t vec;

static inline vec vec_set(float x) {
    return vdupq_n_f32(x);
}

static inline vec vec_load(const float *p) {
    return vld1q_f32(p);
}

static inline void vec_store(float *p, vec v) {
    vst1q_f32(p, v);
}

static inline vec vec_load_part(const float *p, size_t n) {
    float t[VEC_WIDTH] = {0};
    memcpy(t, p, n * sizeof *p);
    return vec_load(t);
}

static inline void vec_store_part(float *p, size_t n, vec v) {
    float t[VEC_WIDTH];
    vec_store(t, v);
    memcpy(p, t, n * sizeof *p);
}

static inline vec vec_fma(vec a, vec b, vec c) {
    return vfmaq_f32(c, a, b);
}

/* a where a > b, else b: a NaN in b stays. The CPU's own maximum would let one in a stay too. */
static inline vec vec_max(vec a, vec b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline vec vec_min(vec a, vec b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

/* (1 + e) 2^n; the low bits of shifted = n + 1.5 * 2^23 hold the whole number n. */
#define EXP_PARTS 1
static inline vec vec_exp_scale(vec e, vec n, vec shifted) {
    const int32x4_t exponent =
        vaddq_s32(vreinterpretq_s32_f32(shifted), vdupq_n_s32(127 - 0x4B400000));
    (void)n;
    return (e + vec_set(1.0f)) * vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23));
}

static inline vec vec_sqrt(vec v) {
    return vsqrtq_f32(v);
}

static inline vec vec_reciprocal(vec v) {
    return vdivq_f32(vdupq_n_f32(1), v);
}

/* 1 where v > 0, else 0. */
static inline vec vec_step(vec v) {
    return vbslq_f32(vcgtq_f32(v, vdupq_n_f32(0)), vdupq_n_f32(1), vdupq_n_f32(0));
}
