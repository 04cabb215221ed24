/* The loops of limits.h, written with the types of one of the library's vector headers. The
 * including file defines
 *
 *     LIMITS    the table's name
 *     NAME      the instruction set's name
 *     SUMS      the number of independent sums: at least the number of multiply-add units times
 *               their latency in cycles, and at most the number of registers */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 32")
#else
#define UNROLL
#endif

enum { LINES = 8 };

static float total(const vec *sums, size_t count) {
    float result = 0;
    for (size_t i = 0; i < count; i++) {
        float lanes[VEC_WIDTH];
        vec_store(lanes, sums[i]);
        for (size_t k = 0; k < VEC_WIDTH; k++)
            result += lanes[k];
    }
    return result;
}

static float multiply_add(size_t turns) {
    const vec factor = vec_set(0.999f);
    const vec term = vec_set(1e-3f); /* the sums converge to 1: no denormals, no infinities */
    vec sums[SUMS];
    UNROLL
    for (size_t i = 0; i < SUMS; i++)
        sums[i] = vec_set((float)i);
    for (size_t turn = 0; turn < turns; turn++) {
        UNROLL
        for (size_t i = 0; i < SUMS; i++)
            sums[i] = vec_fma(sums[i], factor, term);
    }
    return total(sums, SUMS);
}

static float read_all(const float *values, size_t count) {
    vec sums[LINES];
    UNROLL
    for (size_t i = 0; i < LINES; i++)
        sums[i] = vec_set(0);
    const size_t step = (size_t)LINES * VEC_WIDTH;
    for (const float *p = values; p < values + count; p += step) {
        UNROLL
        for (size_t i = 0; i < LINES; i++)
            sums[i] = sums[i] + vec_load(p + i * VEC_WIDTH);
    }
    return total(sums, LINES);
}

const limits LIMITS = {
    .name = NAME,
    .flops = (size_t)2 * SUMS * VEC_WIDTH,
    .multiply_add = multiply_add,
    .read = read_all,
};
