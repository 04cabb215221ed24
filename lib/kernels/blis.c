/* Products by BLIS, in builds with HOME_BLIS. */
#include "tables.h"

#ifdef HOME_BLIS
#include <blis.h>

/* One thread, for the callers are the threads. Never BLIS's path for small products: BLIS chooses
 * it by the number of rows, and it sums in another order, so that a row's bytes would depend on how
 * many others there are. On the other path every row meets the same operations, in whole tiles or
 * not. */
void homekernels_blis_multiply_add(const homegemm *g, const float *b, size_t b_row, size_t columns,
                                   float *c) {
    rntm_t settings;
    bli_rntm_init(&settings);
    bli_rntm_set_num_threads(1, &settings);
    bli_rntm_disable_l3_sup(&settings);
    float one = 1;
    /* BLIS does not write to a and b, but says so with no const. */
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)g->m, (dim_t)columns, (dim_t)g->k,
                 &one, (float *)g->a, (inc_t)g->a_row, (inc_t)g->a_step, (float *)b, (inc_t)b_row,
                 1, &one, c, (inc_t)g->c_row, 1, NULL, &settings);
}
#endif
