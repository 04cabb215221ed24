/* Size arithmetic at its bounds. */
#include "base/base.h"
#include "test.h"

static void sums_up_to_the_largest_size_are_exact(void) {
    size_t sum = 1;
    CHECK(homesize_add(SIZE_MAX - 3, 3, &sum) && sum == SIZE_MAX);
    CHECK(homesize_add(0, 0, &sum) && sum == 0);
}

static void a_sum_that_overflows_is_refused_and_not_written(void) {
    size_t sum = 7;
    CHECK(!homesize_add(SIZE_MAX, 1, &sum));
    CHECK(!homesize_add(SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 1, &sum));
    CHECK_INTEGER(sum, 7);
}

static void products_up_to_the_largest_size_are_exact(void) {
    size_t product = 1;
    CHECK(homesize_multiply(SIZE_MAX / 3, 3, &product) && product == SIZE_MAX / 3 * 3);
    CHECK(homesize_multiply(0, SIZE_MAX, &product) && product == 0);
    CHECK(homesize_multiply(SIZE_MAX, 0, &product) && product == 0);
    CHECK(homesize_multiply(1, SIZE_MAX, &product) && product == SIZE_MAX);
}

static void a_product_that_overflows_is_refused_and_not_written(void) {
    size_t product = 7;
    CHECK(!homesize_multiply(SIZE_MAX / 3 + 1, 3, &product));
    CHECK(!homesize_multiply(3, SIZE_MAX / 3 + 1, &product));
    CHECK_INTEGER(product, 7);
}

static void sizes_are_rounded_up_to_whole_units(void) {
    CHECK(homesize_divide_up(0, 8) == 0 && homesize_divide_up(1, 8) == 1);
    CHECK(homesize_divide_up(8, 8) == 1 && homesize_divide_up(9, 8) == 2);
    CHECK(homesize_align(0) == 0 && homesize_align(1) == HOME_ALIGNMENT);
    CHECK(homesize_align(HOME_ALIGNMENT) == HOME_ALIGNMENT);
    CHECK(homesize_align(HOME_ALIGNMENT + 1) == 2 * (size_t)HOME_ALIGNMENT);
}

int main(void) {
    RUN(sums_up_to_the_largest_size_are_exact);
    RUN(a_sum_that_overflows_is_refused_and_not_written);
    RUN(products_up_to_the_largest_size_are_exact);
    RUN(a_product_that_overflows_is_refused_and_not_written);
    RUN(sizes_are_rounded_up_to_whole_units);
    return test_summary();
}
