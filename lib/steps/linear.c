/* linear: a matrix product with bias and activation.
 *
 *     y = act(x Wᵀ + b)          x [B, in]   W [out, in]   b [out]   y [B, out]
 *
 *     dy' = dy act'(y)           in place of dy
 *     db  = sum over rows of dy'
 *     dW  = dy'ᵀ x
 *     dx  = dy' W
 *
 * W and b are the segments below each other, each out of one or more adjacent tensors; the experts
 * of a unit, and the gates that read the same vector, are segments of one step:
 *
 *          in
 *       +-------+
 *       |  W_0  |  b_0      y = | y_0 | y_1 | ..     one buffer, whose columns other steps read
 *       +-------+
 *       |  W_1  |  b_1
 *       +-------+
 *          ..
 *
 * A wide product fills tiles and threads better than many narrow ones, and reads x once.
 *
 * Forward reads them packed in panels (kernels.h). Backward needs two products more, whose right
 * operands, x and W, it packs into scratch as it goes: W changes with every step, and x with every
 * batch, so keeping packed copies would save nothing. */
#include "run.h"

#include <string.h>

static void forward(const homerun *run, const homestep *step) {
    const homeview x = step->in[0].view;
    const homegemm product = {
        .m = run->rows,
        .n = step->out.width,
        .k = x.width,
        .a = homerun_row(run, x, 0),
        .a_row = homerun_stride(run, x),
        .a_step = 1,
        .panels = run->packed + step->packed,
        .c = homerun_row(run, step->out, 0),
        .c_row = homerun_stride(run, step->out),
        .activation = step->linear.activation,
        .swish_beta = homerun_swish_beta(run),
    };
    homerun_product(run, &product);
}

static bool packed_size(const homestep *step, size_t panel, size_t *floats) {
    return homekernels_panels_size(panel, step->in[0].view.width, step->out.width, floats);
}

static bool is_sound(const homestep *step) {
    return step->in_count == 1;
}

static void get_choices(const homestep *step, size_t choices[HOMESTEP_CHOICES]) {
    choices[0] = step->linear.activation;
}

static bool set_choices(homestep *step, const size_t choices[HOMESTEP_CHOICES]) {
    step->linear.activation = (homeactivation)choices[0];
    return choices[0] <= HOMESTEP_MAX_CHOICE && choices[1] == 0 && choices[2] == 0;
}

#ifndef HOME_SERVE_ONLY
/* ------------------------------------------------------------------------------------- backward */

/* dy act'(y), in place of dy. */
static void unactivate(const homerun *run, const homestep *step, size_t first, size_t end) {
    for (size_t r = first; r < end; r++) {
        float *dy = homerun_gradient_row(run, step->out, r);
        run->kernels->activate_gradient(step->linear.activation, homerun_swish_beta(run),
                                        step->out.width, homerun_row(run, step->out, r), dy, dy);
    }
}

/* db = sum over rows of dy, in the order of the rows, for columns [first, end) of the output. The
 * biases of the segments lie where their columns do. */
static void bias_gradients(const homerun *run, const homestep *step, size_t first, size_t end) {
    size_t column = 0;
    for (size_t s = 0; s < step->linear.segment_count; s++) {
        const homesegment *segment = &step->linear.segments[s];
        const size_t begin = column > first ? column : first;
        const size_t stop = column + segment->rows < end ? column + segment->rows : end;
        if (segment->bias != HOME_NONE && begin < stop) {
            float *db = run->training->gradients + segment->bias + (begin - column);
            memset(db, 0, (stop - begin) * sizeof *db);
            for (size_t r = 0; r < run->rows; r++)
                run->kernels->scale_add(stop - begin, 1,
                                        homerun_gradient_row(run, step->out, r) + begin, db);
        }
        column += segment->rows;
    }
}

/* Packs columns [first, end) of x, whole panels, as the right operand of dyᵀ x. */
static void pack_input(const homerun *run, const homestep *step, size_t first, size_t end) {
    const homeview x = step->in[0].view;
    homekernels_pack_rows(run->kernels, run->rows, end - first, 0, run->rows,
                          homerun_row(run, x, 0) + first, homerun_stride(run, x),
                          run->training->scratch + first * (run->rows + 1));
}

/* dW = dyᵀ x:  dy [B, out], x [B, in], dW [out, in]; columns [first, end) of a segment's dW, with x
 * packed. The segment's outputs begin at column `column` of dy. */
static homegemm weight_product(const homerun *run, const homestep *step, const homesegment *segment,
                               size_t column, size_t first, size_t end) {
    const homeview dy = homeview_columns(step->out, column, segment->rows);
    return (homegemm){
        .m = segment->rows,
        .n = end - first,
        .k = run->rows,
        .a = homerun_gradient_row(run, dy, 0),
        .a_row = 1,
        .a_step = homerun_stride(run, dy),
        .panels = run->training->scratch + first * (run->rows + 1),
        .c = run->training->gradients + segment->weight + first,
        .c_row = segment->ld,
    };
}

/* Columns [first, end) of dW, whole panels, by one thread, whose cache keeps what it packs. A
 * thread has columns of its own and sums over all rows, so no sum is ever split. */
static void weight_gradient_columns(const homerun *run, const homestep *step, size_t first,
                                    size_t end) {
    pack_input(run, step, first, end);
    size_t column = 0;
    for (size_t s = 0; s < step->linear.segment_count; s++) {
        const homesegment *segment = &step->linear.segments[s];
        const homegemm product = weight_product(run, step, segment, column, first, end);
        run->kernels->gemm(&product);
        column += segment->rows;
    }
}

/* Where there are too few panels for the threads, all pack first, and then share each product. */
static void weight_gradients(const homerun *run, const homestep *step) {
    const size_t width = step->in[0].view.width;
    if (homerun_by_panels(run, step, width, weight_gradient_columns))
        return;
    pack_input(run, step, 0, width);
    size_t column = 0;
    for (size_t s = 0; s < step->linear.segment_count; s++) {
        const homesegment *segment = &step->linear.segments[s];
        const homegemm product = weight_product(run, step, segment, column, 0, width);
        homerun_product(run, &product);
        column += segment->rows;
    }
}

/* Packs columns [first, end) of W, whole panels, as the right operand of dy W. */
static void pack_weights(const homerun *run, const homestep *step, size_t first, size_t end) {
    size_t row = 0;
    for (size_t s = 0; s < step->linear.segment_count; s++) {
        const homesegment *segment = &step->linear.segments[s];
        homekernels_pack_rows(run->kernels, step->out.width, end - first, row, segment->rows,
                              run->training->parameters + segment->weight + first, segment->ld,
                              run->training->scratch + first * (step->out.width + 1));
        row += segment->rows;
    }
}

/* dx = dy W:  dy [B, out], W [out, in], dx [B, in]; columns [first, end), with W packed. */
static homegemm input_product(const homerun *run, const homestep *step, size_t first, size_t end) {
    const homeview x = step->in[0].view;
    return (homegemm){
        .m = run->rows,
        .n = end - first,
        .k = step->out.width,
        .a = homerun_gradient_row(run, step->out, 0),
        .a_row = homerun_stride(run, step->out),
        .a_step = 1,
        .panels = run->training->scratch + first * (step->out.width + 1),
        .c = homerun_gradient_row(run, x, 0) + first,
        .c_row = homerun_stride(run, x),
        .accumulate = step->in[0].accumulate,
    };
}

static void input_gradient_columns(const homerun *run, const homestep *step, size_t first,
                                   size_t end) {
    pack_weights(run, step, first, end);
    const homegemm product = input_product(run, step, first, end);
    run->kernels->gemm(&product);
}

static void input_gradient(const homerun *run, const homestep *step) {
    const size_t width = step->in[0].view.width;
    if (homerun_by_panels(run, step, width, input_gradient_columns))
        return;
    pack_weights(run, step, 0, width);
    const homegemm product = input_product(run, step, 0, width);
    homerun_product(run, &product);
}

static void backward(const homerun *run, const homestep *step) {
    if (step->linear.activation != HOME_ACT_NONE)
        homerun_by_rows(run, step, unactivate);
    homerun_by_columns(run, step, bias_gradients);
    weight_gradients(run, step);
    input_gradient(run, step);
}

/* The packed operand of one product at a time: x [B, in] or W [out, in], either with `in` columns,
 * a line of biases (zeros), and B or `out` lines. */
static bool scratch_size(const homestep *step, size_t rows, size_t panel, size_t *floats) {
    const size_t k = rows > step->out.width ? rows : step->out.width;
    return homekernels_panels_size(panel, k, step->in[0].view.width, floats);
}

/* -------------------------------------------------------------------------------------- packing */

static void pack(const homestep_weights *weights, const homestep *step) {
    const size_t in = step->in[0].view.width;
    size_t column = 0;
    for (size_t s = 0; s < step->linear.segment_count; s++) {
        const homesegment *segment = &step->linear.segments[s];
        const float *bias = segment->bias == HOME_NONE ? NULL : weights->parameters + segment->bias;
        homekernels_pack_transposed(weights->kernels, in, column, segment->rows,
                                    weights->parameters + segment->weight, segment->ld, bias,
                                    weights->packed + step->packed);
        column += segment->rows;
    }
}

static bool reads(const homestep *step, size_t offset, size_t count) {
    for (size_t s = 0; s < step->linear.segment_count; s++) {
        const homesegment *segment = &step->linear.segments[s];
        if (homestep_overlap(segment->weight, segment->rows * segment->ld, offset, count))
            return true;
        if (segment->bias != HOME_NONE &&
            homestep_overlap(segment->bias, segment->rows, offset, count))
            return true;
    }
    return false;
}

/* Column j of line q (line 0 has the biases) stands in panel j / panel, at q * panel + j %
 * panel. */
static void repack(const homestep *step, const float *packed, size_t panel, size_t to,
                   homestep_sink sink) {
    const size_t lines = step->in[0].view.width + 1;
    for (size_t first = 0; first < step->out.width; first += to)
        for (size_t q = 0; q < lines; q++) {
            float line[HOMESTEP_MAX_PANEL] = {0};
            for (size_t j = first; j < first + to && j < step->out.width; j++)
                line[j - first] = packed[j / panel * panel * lines + q * panel + j % panel];
            sink.put(sink.context, line, to);
        }
}

static uint64_t macs(const homestep *step) {
    return (uint64_t)step->in[0].view.width * step->out.width;
}
#endif

const homestep_kind homestep_linear = {
    .name = "linear",
    .forward = forward,
    .is_sound = is_sound,
    .get_choices = get_choices,
    .set_choices = set_choices,
    .packed_size = packed_size,
    HOMESTEP_TRAINING(.backward = backward, .pack = pack, .reads = reads, .repack = repack,
                      .scratch_size = scratch_size, .macs = macs)};
