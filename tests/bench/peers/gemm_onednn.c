/* oneDNN: its sgemm, and its matrix product with weights laid out once. For versions 2 of its C
 * interface. */
#include "bench/peers/gemm_peer.h"

#include <dnnl.h>

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_t product; /* NULL: sgemm */
static dnnl_memory_t source, weights, result;

const char *gemm_peer_style(size_t style) {
    static const char *const names[] = {"sgemm", "packed"};
    return style < sizeof names / sizeof names[0] ? names[style] : NULL;
}

static int ok(dnnl_status_t status) {
    return status == dnnl_success;
}

/* b in the layout that the primitive likes best. */
static int reorder_weights(const gemm_operands *o, const dnnl_memory_desc_t *to) {
    const dnnl_dims_t dims = {o->k, o->n};
    dnnl_memory_desc_t plain;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t description = NULL;
    dnnl_primitive_t reorder = NULL;
    const int done =
        ok(dnnl_memory_desc_init_by_tag(&plain, 2, dims, dnnl_f32,
                                        o->form == GEMM_FORWARD ? dnnl_ba : dnnl_ab)) &&
        ok(dnnl_memory_create(&from, &plain, engine, o->b)) &&
        ok(dnnl_memory_create(&weights, to, engine, DNNL_MEMORY_ALLOCATE)) &&
        ok(dnnl_reorder_primitive_desc_create(&description, &plain, engine, to, engine, NULL)) &&
        ok(dnnl_primitive_create(&reorder, description)) &&
        ok(dnnl_primitive_execute(
            reorder, stream, 2,
            (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, weights}})) &&
        ok(dnnl_stream_wait(stream));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(description);
    dnnl_memory_destroy(from);
    return done;
}

int gemm_peer_prepare(size_t style, const gemm_operands *o) {
    if (!engine && (!ok(dnnl_engine_create(&engine, dnnl_cpu, 0)) ||
                    !ok(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags))))
        return 0;
    if (style == 0)
        return 1;
    if (o->form == GEMM_DW) /* no weights among its operands */
        return 0;
    const dnnl_dims_t a = {o->m, o->k};
    const dnnl_dims_t b = {o->k, o->n};
    const dnnl_dims_t c = {o->m, o->n};
    dnnl_memory_desc_t a_layout, b_layout, c_layout;
    dnnl_matmul_desc_t matmul;
    dnnl_primitive_desc_t description = NULL;
    const int done =
        ok(dnnl_memory_desc_init_by_tag(&a_layout, 2, a, dnnl_f32, dnnl_ab)) &&
        ok(dnnl_memory_desc_init_by_tag(&b_layout, 2, b, dnnl_f32, dnnl_format_tag_any)) &&
        ok(dnnl_memory_desc_init_by_tag(&c_layout, 2, c, dnnl_f32, dnnl_ab)) &&
        ok(dnnl_matmul_desc_init(&matmul, &a_layout, &b_layout, NULL, &c_layout)) &&
        ok(dnnl_primitive_desc_create(&description, &matmul, NULL, engine, NULL)) &&
        ok(dnnl_memory_create(&source, &a_layout, engine, o->a)) &&
        ok(dnnl_memory_create(&result, &c_layout, engine, o->c)) &&
        reorder_weights(o, dnnl_primitive_desc_query_md(description, dnnl_query_weights_md, 0)) &&
        ok(dnnl_primitive_create(&product, description));
    dnnl_primitive_desc_destroy(description);
    return done;
}

void gemm_peer_run(void *operands) {
    const gemm_operands *o = operands;
    if (product) {
        const dnnl_exec_arg_t arguments[] = {
            {DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, result}};
        dnnl_primitive_execute(product, stream, 3, arguments);
        dnnl_stream_wait(stream);
        return;
    }
    dnnl_sgemm(o->form == GEMM_DW ? 'T' : 'N', o->form == GEMM_FORWARD ? 'T' : 'N', o->m, o->n,
               o->k, 1, o->a, o->form == GEMM_DW ? o->m : o->k, o->b,
               o->form == GEMM_FORWARD ? o->k : o->n, 0, o->c, o->n);
}

void gemm_peer_finish(void) {
    dnnl_primitive_destroy(product);
    dnnl_memory_destroy(source);
    dnnl_memory_destroy(weights);
    dnnl_memory_destroy(result);
    product = NULL;
    source = weights = result = NULL;
}
