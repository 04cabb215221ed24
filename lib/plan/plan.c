/* From the topology to steps. The order of the tensors is chosen so that the weights of experts
 * that share an input lie below each other, and their products run as one. */
#include "plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* For each layer from the input up:
 *
 *     outputs of the layer below (below the first layer: v)
 *       |
 *       +-- feature gates    unit by unit     x -> x F(x)            add_feature_gates()
 *       |     |
 *       |     +-- experts    unit by unit     all of a unit's experts side by side
 *       |     |                                                      add_experts()
 *       +-----+-- gates      node by node     reads units' inputs, gated or raw
 *                   |                         the first layers of all gates together, ride_along()
 *                   |                         the rest               finish_gate()
 *                   +-- mix  node by node     experts times weights  add_mix()
 *
 * and after the last layer a tower for each task. Each function adds steps and returns the view
 * where their result will be; a view that a node passes on unchanged is no step at all.
 *
 * The arena's failure ends the building: functions then return something that can be passed on but
 * is never run, and loops stop. homeplan_build() turns it into a status. */
typedef struct builder {
    const homesettings *settings;
    const home_config *config;
    homeplan_options options;
    homearena *arena;
    homeplan *plan;
    hometensors *tensors;
    const homeview *outputs; /* of the nodes of the layer below; below the first layer: v alone */
    size_t layer;
} builder;

/* Part of a layer under construction: what each unit offers to experts and gates. */
typedef struct layer_views {
    homeview *raw;     /* [units] the unit's input */
    homeview *gated;   /* [units] after its feature gate */
    homeview *experts; /* [units] outputs of its experts, side by side */
} layer_views;

/* Floats, so few that the bytes of a block of serving's rows need no check, nor those of the packed
 * weights. */
#define MAX_ROW_WIDTH (SIZE_MAX / 1024)
#define MAX_PACKED    (SIZE_MAX / 64)

/* ---------------------------------------------------------------------------- buffers and steps */

/* Rows start at cache lines, and not whole KiB apart: the rows of a product's tile would share a
 * few sets of the first cache and drive each other out. */
static size_t stride_of(size_t width) {
    enum { LINE = HOME_ALIGNMENT / sizeof(float), KIB = 1024 / HOME_ALIGNMENT };
    const size_t lines = homesize_divide_up(width, LINE);
    return (lines % KIB == 0 ? lines + 1 : lines) * LINE;
}

/* Adds to a sum of sizes; where that would be above `max`, leaves it and fails. */
static bool add_room(builder *b, size_t *total, size_t size, size_t max) {
    if (size > max - *total) {
        homearena_fail(b->arena, HOME_E_TOO_LARGE);
        return false;
    }
    *total += size;
    return true;
}

static homeview new_buffer(builder *b, size_t width) {
    homeplan *plan = b->plan;
    const size_t start = plan->row_width;
    const size_t stride = width > MAX_ROW_WIDTH ? width : stride_of(width);
    homebuffer *buffers = homearena_grow(b->arena, plan->buffers, plan->buffer_count,
                                         &plan->buffer_capacity, sizeof *buffers);
    if (!buffers || !add_room(b, &plan->row_width, stride, MAX_ROW_WIDTH))
        return (homeview){0, 0, width};
    plan->buffers = buffers;
    plan->buffers[plan->buffer_count] =
        (homebuffer){.width = width, .stride = stride, .start = start};
    return (homeview){plan->buffer_count++, 0, width};
}

/* Takes the step's place in the packed weights, and counts its work. */
static void account_step(builder *b, homestep *step) {
    const homestep_kind *kind = step->kind;
    size_t floats = 0;
    if (kind->packed_size && !kind->packed_size(step, b->options.panel, &floats))
        floats = SIZE_MAX;
    step->packed = b->plan->packed_size;
    add_room(b, &b->plan->packed_size, floats, MAX_PACKED);
    b->plan->macs += kind->macs ? kind->macs(step) : 0;
}

/* Adds a copy of a step that lacks its inputs, with these. When out of memory, the arena has
 * failed. */
static void add_step(builder *b, const homestep *described, const homeview *in, size_t in_count) {
    homeplan *plan = b->plan;
    homestep *steps = homearena_grow(b->arena, plan->steps, plan->step_count, &plan->step_capacity,
                                     sizeof *steps);
    homesource *sources = homearena_take(b->arena, in_count, sizeof *sources);
    if (!steps || !sources)
        return;
    for (size_t i = 0; i < in_count; i++)
        sources[i].view = in[i];
    plan->steps = steps;
    homestep *step = &steps[plan->step_count++];
    *step = *described;
    step->in = sources;
    step->in_count = in_count;
    account_step(b, step);
}

/* Joins segments that continue each other, so that the products over them are as wide as they can
 * be. */
static size_t join_segments(homesegment *segments, size_t count, size_t in) {
    size_t last = 0;
    for (size_t i = 1; i < count; i++) {
        homesegment *a = &segments[last];
        const homesegment *b = &segments[i];
        const bool weights_follow =
            a->ld == in && b->ld == in && b->weight == a->weight + a->rows * in;
        const bool biases_follow = a->bias == HOME_NONE
                                       ? b->bias == HOME_NONE
                                       : b->bias != HOME_NONE && b->bias == a->bias + a->rows;
        if (weights_follow && biases_follow)
            a->rows += b->rows;
        else
            segments[++last] = *b;
    }
    return last + 1;
}

/* out = act(in Wᵀ + b) */
static void add_linear(builder *b, homeview in, homeview out, const homesegment *segments,
                       size_t count, homeactivation activation) {
    homesegment *copy = homearena_take(b->arena, count, sizeof *copy);
    if (!copy)
        return;
    memcpy(copy, segments, count * sizeof *copy);
    const homestep step = {.kind = &homestep_linear,
                           .out = out,
                           .linear = {.segments = copy,
                                      .segment_count = join_segments(copy, count, in.width),
                                      .activation = activation}};
    add_step(b, &step, &in, 1);
}

/* Swish's derivative needs the value before it, so in training that is kept in a buffer of its own,
 * and a step after the product activates; other activations, and all in serving, are part of the
 * product. */
static bool activates_apart(const builder *b, homeactivation activation) {
    return activation == HOME_ACT_SWISH && !b->options.folded;
}

static homeview finish_activation(builder *b, homeview before, homeactivation activation) {
    if (!activates_apart(b, activation))
        return before;
    const homeview out = new_buffer(b, before.width);
    const homestep step = {
        .kind = &homestep_activate, .out = out, .activate = {.activation = activation}};
    add_step(b, &step, &before, 1);
    return out;
}

static homeactivation in_product(const builder *b, homeactivation activation) {
    return activates_apart(b, activation) ? HOME_ACT_NONE : activation;
}

static homeactivation activation_of(int32_t configured) {
    return configured == HOME_ACTIVATION_SWISH ? HOME_ACT_SWISH : HOME_ACT_RELU;
}

static bool take_landmarks(builder *b, const homelayer *layer) {
    homelandmarks *marks = &b->plan->layers[b->layer];
    marks->experts = homearena_take(b->arena, layer->unit_count, sizeof(homelandmark));
    marks->gates = homearena_take(b->arena, layer->node_count, sizeof(homelandmark));
    marks->selves = homearena_take(b->arena, layer->node_count, sizeof(homelandmark));
    return homearena_ok(b->arena);
}

/* -------------------------------------------------------------------------------------- tensors */

static hometensor weight_info(size_t rows, size_t columns) {
    return (hometensor){.kind = HOME_TENSOR_PARAMETER,
                        .rank = 2,
                        .rows = rows,
                        .columns = columns,
                        .start = HOME_START_UNIFORM,
                        .scale = 1 / sqrt((double)columns)};
}

static hometensor bias_info(size_t rows, size_t in) {
    return (hometensor){.kind = HOME_TENSOR_PARAMETER,
                        .rank = 1,
                        .rows = rows,
                        .columns = 1,
                        .start = HOME_START_UNIFORM,
                        .scale = 1 / sqrt((double)in)};
}

static hometensor constant_info(int32_t kind, size_t rows, double value) {
    return (hometensor){.kind = kind,
                        .rank = 1,
                        .rows = rows,
                        .columns = 1,
                        .start = HOME_START_CONSTANT,
                        .scale = value};
}

/* ---------------------------------------------------------------------- multi-layer perceptrons */

/* An MLP that one vector feeds: hidden layers, then a last layer of width `out`. */
typedef struct mlp {
    const char *prefix; /* of its tensors: "towers", "layers.0.nodes" */
    const char *name;   /* of the task or node */
    const char *suffix; /* "", ".gate", ".self_gate" */
    const size_t *hidden;
    size_t hidden_count;
    int32_t hidden_activation; /* as configured */
    size_t out;
} mlp;

static size_t mlp_width(const mlp *m, size_t layer) {
    return layer < m->hidden_count ? m->hidden[layer] : m->out;
}

static homeactivation mlp_activation(const mlp *m, size_t layer) {
    return layer < m->hidden_count ? activation_of(m->hidden_activation) : HOME_ACT_NONE;
}

/* The tensors of one linear layer of an MLP. */
static homesegment mlp_tensors(builder *b, const mlp *m, size_t layer, size_t in) {
    const size_t rows = mlp_width(m, layer);
    homesegment segment = {.ld = in, .rows = rows};
    segment.weight =
        hometensors_add(b->tensors, b->arena, weight_info(rows, in), "%s.%s%s.linear.%zu.weight",
                        m->prefix, m->name, m->suffix, layer);
    segment.bias = hometensors_add(b->tensors, b->arena, bias_info(rows, in),
                                   "%s.%s%s.linear.%zu.bias", m->prefix, m->name, m->suffix, layer);
    return segment;
}

/* The layers from `first` on, reading x; the last one writes `out`. */
static void add_mlp(builder *b, const mlp *m, size_t first, homeview x, homeview out) {
    for (size_t i = first; i <= m->hidden_count; i++) {
        const homesegment segment = mlp_tensors(b, m, i, x.width);
        const homeactivation activation = mlp_activation(m, i);
        const homeview y = i < m->hidden_count ? new_buffer(b, segment.rows) : out;
        add_linear(b, x, y, &segment, 1, in_product(b, activation));
        x = finish_activation(b, y, activation);
    }
}

/* -------------------------------------------------------------------------------- feature gates */

/* The segments that a unit's feature gate has in the wide product over its input: all B_j, which
 * lie below each other, and with several branches the mixture's weights. */
static void feature_gate_tensors(builder *b, const homelayer *layer, size_t u, size_t in,
                                 homesegment segments[2]) {
    const size_t branches = layer->config->feature_branches;
    const size_t rank = layer->config->feature_rank;
    const char *name = layer->units[u].name;
    segments[0] = (homesegment){.ld = in, .rows = branches * rank, .bias = HOME_NONE};
    for (size_t j = 0; j < branches; j++) {
        const size_t offset = hometensors_add(
            b->tensors, b->arena, weight_info(rank, in),
            "layers.%zu.units.%s.feature_gate.lora.%zu.down.weight", b->layer, name, j);
        if (j == 0)
            segments[0].weight = offset;
    }
    if (branches == 1)
        return;
    segments[1] = (homesegment){.ld = in, .rows = branches};
    segments[1].weight =
        hometensors_add(b->tensors, b->arena, weight_info(branches, in),
                        "layers.%zu.units.%s.feature_gate.mix.weight", b->layer, name);
    segments[1].bias = hometensors_add(b->tensors, b->arena, bias_info(branches, in),
                                       "layers.%zu.units.%s.feature_gate.mix.bias", b->layer, name);
}

/* Branch j of unit u: up = A_j (B_j x), with the sigmoid where it comes before the mixture. */
static homeview add_branch(builder *b, const homelayer *layer, size_t u, size_t j, homeview down,
                           size_t in) {
    const bool mix_first = b->config->feature_order == HOME_FEATURE_MIX_FIRST;
    hometensor info = weight_info(in, down.width);
    if (b->config->feature_init == HOME_INIT_ZERO)
        info = (hometensor){.kind = HOME_TENSOR_PARAMETER,
                            .rank = 2,
                            .rows = in,
                            .columns = down.width,
                            .start = HOME_START_CONSTANT,
                            .scale = 0};
    homesegment segment = {.ld = down.width, .rows = in, .bias = HOME_NONE};
    segment.weight = hometensors_add(b->tensors, b->arena, info,
                                     "layers.%zu.units.%s.feature_gate.lora.%zu.up.weight",
                                     b->layer, layer->units[u].name, j);
    const homeview up = new_buffer(b, in);
    add_linear(b, down, up, &segment, 1, mix_first ? HOME_ACT_NONE : HOME_ACT_SIGMOID);
    return up;
}

/* x_u -> x_u * F_u(x_u), from the unit's columns of the wide product: the branches' B_j x, then the
 * mixture's logits. */
static homeview add_feature_gate(builder *b, const homelayer *layer, size_t u, homeview x,
                                 homeview wide) {
    const size_t branches = layer->config->feature_branches;
    const size_t rank = layer->config->feature_rank;
    homeview *in = homearena_take(b->arena, branches + 2, sizeof *in);
    if (!in)
        return x;
    in[0] = x;
    for (size_t j = 0; j < branches; j++)
        in[1 + j] = add_branch(b, layer, u, j, homeview_columns(wide, j * rank, rank), x.width);
    size_t count = 1 + branches;
    if (branches > 1) {
        const homeview logits = homeview_columns(wide, branches * rank, branches);
        in[count] = new_buffer(b, branches);
        add_step(b, &(homestep){.kind = &homestep_softmax, .out = in[count]}, &logits, 1);
        count++;
    }
    const homeview out = new_buffer(b, x.width);
    const homestep step = {
        .kind = &homestep_feature_gate,
        .out = out,
        .feature_gate = {.mix_first = b->config->feature_order == HOME_FEATURE_MIX_FIRST}};
    add_step(b, &step, in, count);
    return out;
}

static bool same_view(homeview a, homeview b) {
    return a.buffer == b.buffer && a.column == b.column && a.width == b.width;
}

/* Feature gates of a layer. Units that read the same vector share one wide product for their B_j
 * and mixtures. */
static void add_feature_gates(builder *b, const homelayer *layer, layer_views *views) {
    const size_t branches = layer->config->feature_branches;
    const size_t per_unit = branches * layer->config->feature_rank + (branches > 1 ? branches : 0);
    const size_t per_unit_segments = branches > 1 ? 2 : 1;
    homesegment *segments = homearena_take(b->arena, 2 * layer->unit_count, sizeof *segments);
    size_t *sharers = homearena_take(b->arena, layer->unit_count, sizeof *sharers);
    bool *done = homearena_take(b->arena, layer->unit_count, sizeof *done);
    for (size_t first = 0; first < layer->unit_count && homearena_ok(b->arena); first++) {
        if (done[first])
            continue;
        const homeview x = views->raw[first];
        size_t count = 0;
        for (size_t u = first; u < layer->unit_count; u++)
            if (same_view(views->raw[u], x)) {
                feature_gate_tensors(b, layer, u, x.width, &segments[count * per_unit_segments]);
                sharers[count++] = u;
                done[u] = true;
            }
        const homeview wide = new_buffer(b, count * per_unit);
        add_linear(b, x, wide, segments, count * per_unit_segments, HOME_ACT_NONE);
        for (size_t i = 0; i < count; i++)
            views->gated[sharers[i]] = add_feature_gate(
                b, layer, sharers[i], x, homeview_columns(wide, i * per_unit, per_unit));
    }
}

/* -------------------------------------------------------------------------------------- experts */

/* Tensors of linear layer i of all experts of a unit: weights below each other, then biases. */
static void expert_tensors(builder *b, const homeunit *unit, size_t i, size_t in, size_t out,
                           bool bias, homesegment *segments) {
    for (size_t k = 0; k < unit->experts; k++)
        segments[k] = (homesegment){
            .weight = hometensors_add(b->tensors, b->arena, weight_info(out, in),
                                      "layers.%zu.units.%s.experts.%zu.linear.%zu.weight", b->layer,
                                      unit->name, k, i),
            .ld = in,
            .rows = out,
            .bias = HOME_NONE};
    if (!bias)
        return;
    for (size_t k = 0; k < unit->experts; k++)
        segments[k].bias = hometensors_add(b->tensors, b->arena, bias_info(out, in),
                                           "layers.%zu.units.%s.experts.%zu.linear.%zu.bias",
                                           b->layer, unit->name, k, i);
}

/* One [D] vector per expert, side by side; returns the offset of the first. */
static size_t norm_tensors(builder *b, const homeunit *unit, hometensor info, const char *name) {
    size_t first = 0;
    for (size_t k = 0; k < unit->experts; k++) {
        const size_t offset =
            hometensors_add(b->tensors, b->arena, info, "layers.%zu.units.%s.experts.%zu.norm.%s",
                            b->layer, unit->name, k, name);
        if (k == 0)
            first = offset;
    }
    return first;
}

static homeview add_norm(builder *b, const homeunit *unit, size_t width, homeview x,
                         homeactivation activation) {
    const homeview out = new_buffer(b, x.width);
    const hometensor ones = constant_info(HOME_TENSOR_PARAMETER, width, 1);
    const hometensor zeros = constant_info(HOME_TENSOR_PARAMETER, width, 0);
    const hometensor means = constant_info(HOME_TENSOR_STATISTIC, width, 0);
    hometensor variances = constant_info(HOME_TENSOR_STATISTIC, width, 1);
    variances.never_negative = true;
    homestep step = {.kind = &homestep_norm,
                     .out = out,
                     .norm = {.activation = activation, .batch = b->plan->batch_width}};
    step.norm.gamma = norm_tensors(b, unit, ones, "weight");
    step.norm.beta = norm_tensors(b, unit, zeros, "bias");
    step.norm.mean = norm_tensors(b, unit, means, "running_mean");
    step.norm.variance = norm_tensors(b, unit, variances, "running_var");
    b->plan->batch_width += x.width;
    add_step(b, &step, &x, 1);
    return out;
}

/* The experts of a unit, h_k = Act(Norm(MLP(x))), outputs side by side: [rows, experts * D]. Their
 * first layers are one product; further layers are one product each. */
static homeview add_experts(builder *b, const homelayer *layer, const homeunit *unit, homeview x) {
    const home_layer_config *config = layer->config;
    const bool norm = b->config->expert_norm == HOME_NORM_BATCH;
    const homeactivation last_activation = activation_of(b->config->expert_activation);
    homesegment *segments = homearena_take(b->arena, unit->experts, sizeof *segments);
    size_t in = x.width;
    for (size_t i = 0; i <= config->hidden_count && homearena_ok(b->arena); i++) {
        const bool last = i == config->hidden_count;
        const size_t out = last ? config->width : config->hidden[i];
        const bool normed = last && norm && !b->options.folded;
        const bool bias =
            !(last && norm) || b->options.folded || b->config->bias_before_norm == HOME_ON;
        homeactivation activation =
            last ? last_activation : activation_of(b->config->expert_hidden_activation);
        if (normed)
            activation = HOME_ACT_NONE;
        expert_tensors(b, unit, i, in, out, bias, segments);
        const homeview y = new_buffer(b, unit->experts * out);
        if (i == 0)
            add_linear(b, x, y, segments, unit->experts, in_product(b, activation));
        else
            for (size_t k = 0; k < unit->experts; k++)
                add_linear(b, homeview_columns(x, k * in, in), homeview_columns(y, k * out, out),
                           &segments[k], 1, in_product(b, activation));
        x = normed ? add_norm(b, unit, out, y, last_activation)
                   : finish_activation(b, y, activation);
        in = out;
    }
    return x;
}

/* ---------------------------------------------------------------------------------------- gates */

/* The first layer of a gate's MLP may read several vectors. Its part over each of them rides along
 * in one product with all other gates' parts over the same vector; the next step adds the parts
 * up. */
typedef struct gate {
    mlp mlp;
    const homegate_input *inputs;
    size_t input_count;
    homeview *parts; /* [input_count] the first layer's output, part by part */
    bool sigmoid;    /* a self gate over one expert */
} gate;

static homeview gate_input_view(const layer_views *views, homegate_input input) {
    return input.gated ? views->gated[input.unit] : views->raw[input.unit];
}

/* The tensors of a gate's first layer; list_parts() splits its columns among the inputs. */
static void gate_tensors(builder *b, gate *g, const layer_views *views, homesegment *first) {
    size_t in = 0;
    for (size_t i = 0; i < g->input_count; i++)
        in += gate_input_view(views, g->inputs[i]).width;
    *first = mlp_tensors(b, &g->mlp, 0, in);
}

/* The part of a gate's first layer over one of its inputs. */
typedef struct part {
    homeview x;
    homesegment segment;
    homeview *out;
    bool done;
} part;

static part *list_parts(builder *b, gate *gates, size_t count, const layer_views *views,
                        size_t *part_count) {
    *part_count = 0;
    for (size_t g = 0; g < count; g++)
        *part_count += gates[g].input_count;
    part *parts = homearena_take(b->arena, *part_count, sizeof *parts);
    if (!parts)
        return NULL;
    size_t p = 0;
    for (size_t g = 0; g < count; g++) {
        homesegment rest; /* the columns of the first layer that no part has yet */
        gate_tensors(b, &gates[g], views, &rest);
        for (size_t i = 0; i < gates[g].input_count; i++, p++) {
            parts[p] = (part){.x = gate_input_view(views, gates[g].inputs[i]),
                              .segment = rest,
                              .out = &gates[g].parts[i]};
            rest.weight += parts[p].x.width;
            rest.bias = HOME_NONE; /* the bias belongs to the first part */
        }
    }
    return parts;
}

/* One product for the first part and all others over the same vector; each gets its columns of the
 * output. */
static void add_shared_product(builder *b, part *parts, size_t count, homesegment *segments) {
    size_t width = 0;
    size_t shared = 0;
    for (size_t p = 0; p < count; p++)
        if (same_view(parts[p].x, parts[0].x)) {
            segments[shared++] = parts[p].segment;
            width += parts[p].segment.rows;
        }
    const homeview wide = new_buffer(b, width);
    add_linear(b, parts[0].x, wide, segments, shared, HOME_ACT_NONE);
    size_t column = 0;
    for (size_t p = 0; p < count; p++)
        if (same_view(parts[p].x, parts[0].x)) {
            *parts[p].out = homeview_columns(wide, column, parts[p].segment.rows);
            column += parts[p].segment.rows;
            parts[p].done = true;
        }
}

/* Emits one product for every vector that gates read. */
static void ride_along(builder *b, gate *gates, size_t count, const layer_views *views) {
    size_t part_count;
    part *parts = list_parts(b, gates, count, views, &part_count);
    homesegment *segments = homearena_take(b->arena, part_count, sizeof *segments);
    for (size_t first = 0; first < part_count && homearena_ok(b->arena); first++)
        if (!parts[first].done)
            add_shared_product(b, &parts[first], part_count - first, segments);
}

/* The rest of a gate, after its first layer; returns the weights [rows, experts]. */
static homeview finish_gate(builder *b, const gate *g) {
    homeview *parts = g->parts;
    size_t part_count = g->input_count;
    homeview logits;
    if (g->mlp.hidden_count > 0) {
        const homeactivation activation = mlp_activation(&g->mlp, 0);
        const homeview sum = new_buffer(b, g->mlp.hidden[0]);
        const homestep step = {.kind = &homestep_activate,
                               .out = sum,
                               .activate = {.activation = in_product(b, activation)}};
        add_step(b, &step, parts, part_count);
        const homeview x = finish_activation(b, sum, activation);
        logits = new_buffer(b, g->mlp.out);
        add_mlp(b, &g->mlp, 1, x, logits);
        parts = &logits;
        part_count = 1;
    }
    const homeview weights = new_buffer(b, g->mlp.out);
    const homestep step = {
        .kind = &homestep_softmax, .out = weights, .softmax = {.sigmoid = g->sigmoid}};
    add_step(b, &step, parts, part_count);
    return weights;
}

/* ---------------------------------------------------------------------------------------- nodes */

static size_t visible_experts(const homelayer *layer, const homenode *node) {
    size_t count = 0;
    for (size_t i = 0; i < node->sees_count; i++)
        count += layer->units[node->sees[i]].experts;
    return count;
}

/* Self weights that do not depend on the input: a free scalar for each own expert, starting at
 * their mean, or ones. */
static homeview add_constant(builder *b, const homelayer *layer, const homenode *node,
                             const char *prefix) {
    const size_t experts = layer->units[node->own].experts;
    const homeview weights = new_buffer(b, experts);
    homestep step = {
        .kind = &homestep_constant, .out = weights, .constant = {.weights = HOME_NONE}};
    if (node->self == HOME_SELF_TERM_STATIC)
        step.constant.weights =
            hometensors_add(b->tensors, b->arena,
                            constant_info(HOME_TENSOR_PARAMETER, experts, 1 / (double)experts),
                            "%s.%s.self_gate.static", prefix, node->name);
    add_step(b, &step, NULL, 0);
    return weights;
}

/* Appends a unit's experts and their weights to the inputs of a mix. */
static size_t add_terms(homeview *in, size_t count, const homelayer *layer, size_t unit,
                        const layer_views *views, homeview weights) {
    const size_t width = layer->config->width;
    for (size_t k = 0; k < layer->units[unit].experts; k++) {
        in[count++] = homeview_columns(views->experts[unit], k * width, width);
        in[count++] = homeview_columns(weights, k, 1);
    }
    return count;
}

/* z = sum over visible experts w h + sum over own experts s h. A node that sees one expert and has
 * neither gate nor self gate is that expert's output. */
static homeview add_mix(builder *b, const homelayer *layer, const homenode *node,
                        const layer_views *views, homeview weights, homeview self_weights) {
    if (node->input_count == 0 && node->self == HOME_SELF_TERM_NONE)
        return views->experts[node->sees[0]];
    const size_t own = node->self == HOME_SELF_TERM_NONE ? 0 : layer->units[node->own].experts;
    homeview *in = homearena_take(b->arena, 2 * (visible_experts(layer, node) + own), sizeof *in);
    if (!in)
        return weights;
    size_t count = 0;
    size_t expert = 0;
    for (size_t i = 0; i < node->sees_count; i++) {
        const size_t unit = node->sees[i];
        const size_t experts = layer->units[unit].experts;
        count =
            add_terms(in, count, layer, unit, views, homeview_columns(weights, expert, experts));
        expert += experts;
    }
    if (own)
        count = add_terms(in, count, layer, node->own, views, self_weights);
    const homeview z = new_buffer(b, layer->config->width);
    add_step(b, &(homestep){.kind = &homestep_mix, .out = z}, in, count);
    return z;
}

static gate gate_of(builder *b, const homelayer *layer, const homenode *node, const char *prefix) {
    const home_config *c = b->config;
    return (gate){.mlp = {.prefix = prefix,
                          .name = node->name,
                          .suffix = ".gate",
                          .hidden = c->gate_hidden,
                          .hidden_count = c->gate_hidden_count,
                          .hidden_activation = c->gate_activation,
                          .out = visible_experts(layer, node)},
                  .inputs = node->inputs,
                  .input_count = node->input_count,
                  .parts = homearena_take(b->arena, node->input_count, sizeof(homeview))};
}

static gate self_gate_of(builder *b, const homelayer *layer, const homenode *node,
                         const char *prefix) {
    const home_config *c = b->config;
    homegate_input *input = homearena_take(b->arena, 1, sizeof *input);
    if (input)
        *input = (homegate_input){.unit = node->own, .gated = node->self_gated};
    const size_t experts = layer->units[node->own].experts;
    return (gate){.mlp = {.prefix = prefix,
                          .name = node->name,
                          .suffix = ".self_gate",
                          .hidden = c->self_gate_hidden,
                          .hidden_count = c->self_gate_hidden_count,
                          .hidden_activation = c->self_gate_activation,
                          .out = experts},
                  .inputs = input,
                  .input_count = input ? 1 : 0,
                  .parts = homearena_take(b->arena, 1, sizeof(homeview)),
                  .sigmoid = experts == 1};
}

/* --------------------------------------------------------------------------------------- layers */

static void add_nodes(builder *b, const homelayer *layer, const layer_views *views) {
    char text[32];
    const int length = snprintf(text, sizeof text, "layers.%zu.nodes", b->layer);
    const char *prefix = homearena_text(b->arena, text, (size_t)length);
    gate *gates = homearena_take(b->arena, 2 * layer->node_count, sizeof *gates);
    homeview *outputs = homearena_take(b->arena, layer->node_count, sizeof *outputs);
    if (!homearena_ok(b->arena))
        return;
    size_t count = 0;
    for (size_t n = 0; n < layer->node_count; n++) {
        if (layer->nodes[n].input_count > 0)
            gates[count++] = gate_of(b, layer, &layer->nodes[n], prefix);
        if (layer->nodes[n].self == HOME_SELF_TERM_GATE)
            gates[count++] = self_gate_of(b, layer, &layer->nodes[n], prefix);
    }
    if (homearena_ok(b->arena))
        ride_along(b, gates, count, views);
    const gate *next = gates; /* they lie in the order in which the loop above made them */
    for (size_t n = 0; n < layer->node_count && homearena_ok(b->arena); n++) {
        const homenode *node = &layer->nodes[n];
        homeview weights = {0};
        homeview self_weights = {0};
        if (node->input_count > 0)
            weights = finish_gate(b, next++);
        if (node->self == HOME_SELF_TERM_GATE)
            self_weights = finish_gate(b, next++);
        else if (node->self != HOME_SELF_TERM_NONE)
            self_weights = add_constant(b, layer, node, prefix);
        outputs[n] = add_mix(b, layer, node, views, weights, self_weights);
        b->plan->layers[b->layer].gates[n].view = weights;
        b->plan->layers[b->layer].selves[n].view = self_weights;
    }
    b->outputs = outputs;
}

static void add_layer(builder *b, const homelayer *layer) {
    layer_views views = {
        .raw = homearena_take(b->arena, layer->unit_count, sizeof(homeview)),
        .gated = homearena_take(b->arena, layer->unit_count, sizeof(homeview)),
        .experts = homearena_take(b->arena, layer->unit_count, sizeof(homeview)),
    };
    if (!take_landmarks(b, layer))
        return;
    for (size_t u = 0; u < layer->unit_count; u++) {
        const size_t source = layer->units[u].source;
        views.raw[u] = views.gated[u] = b->outputs[source == HOME_NONE ? 0 : source];
    }
    if (layer->config->feature_gates == HOME_ON)
        add_feature_gates(b, layer, &views);
    for (size_t u = 0; u < layer->unit_count && homearena_ok(b->arena); u++) {
        views.experts[u] = add_experts(b, layer, &layer->units[u], views.gated[u]);
        b->plan->layers[b->layer].experts[u].view = views.experts[u];
    }
    if (homearena_ok(b->arena))
        add_nodes(b, layer, &views);
}

/* Towers: task t's logit is column t. The last bias starts at logit(base rate). */
static void add_towers(builder *b, const hometopology *topology) {
    const home_config *c = b->config;
    b->plan->logits = new_buffer(b, c->task_count);
    b->plan->sigmoids = new_buffer(b, c->task_count);
    for (size_t t = 0; t < c->task_count && homearena_ok(b->arena); t++) {
        const mlp tower = {.prefix = "towers",
                           .name = c->tasks[t].name,
                           .suffix = "",
                           .hidden = c->tower_hidden,
                           .hidden_count = c->tower_hidden_count,
                           .hidden_activation = c->tower_activation,
                           .out = 1};
        add_mlp(b, &tower, 0, b->outputs[topology->task_node[t]],
                homeview_columns(b->plan->logits, t, 1));
        if (!homearena_ok(b->arena))
            return;
        hometensor *bias = &b->tensors->items[b->tensors->count - 1];
        const double rate = c->tasks[t].base_rate;
        if (c->tasks[t].loss == HOME_LOSS_BCE) {
            bias->start = HOME_START_CONSTANT;
            bias->scale = log(rate / (1 - rate));
        }
    }
}

/* The scalars s_t of the learned uncertainty weights, side by side. They serve the loss only. */
static void add_uncertainty(builder *b) {
    const home_config *c = b->config;
    b->plan->uncertainty = HOME_NONE;
    if (c->uncertainty != HOME_ON || b->options.folded)
        return;
    for (size_t t = 0; t < c->task_count; t++) {
        const size_t offset =
            hometensors_add(b->tensors, b->arena, constant_info(HOME_TENSOR_PARAMETER, 1, 0),
                            "uncertainty.%s", c->tasks[t].name);
        if (t == 0)
            b->plan->uncertainty = offset;
    }
}

static void add_tables(builder *b) {
    for (size_t i = 0; i < b->config->table_count; i++) {
        const home_table_config *table = &b->config->tables[i];
        const hometensor info = {.kind = HOME_TENSOR_TABLE,
                                 .rank = 2,
                                 .rows = (size_t)table->rows,
                                 .columns = table->dim,
                                 .offset = i,
                                 .start = HOME_START_NORMAL,
                                 .scale = table->init_std};
        hometensors_add(b->tensors, b->arena, info, "embeddings.%s.weight", table->name);
    }
}

home_status homeplan_build(const homesettings *settings, const hometopology *topology,
                           homeplan_options options, homearena *arena, homeplan *plan,
                           hometensors *tensors, home_error *error) {
    builder b = {.settings = settings,
                 .config = &settings->config,
                 .options = options,
                 .arena = arena,
                 .plan = plan,
                 .tensors = tensors,
                 .outputs = &plan->input};
    plan->input = new_buffer(&b, settings->input_width);
    plan->layers = homearena_take(arena, topology->layer_count, sizeof *plan->layers);
    for (b.layer = 0; b.layer < topology->layer_count && homearena_ok(arena); b.layer++)
        add_layer(&b, &topology->layers[b.layer]);
    if (homearena_ok(arena))
        add_towers(&b, topology);
    add_uncertainty(&b);
    add_tables(&b);
    if (homearena_ok(arena))
        homeplan_find_writers(plan, topology, arena);
    if (homearena_ok(arena) && !options.folded)
        homeplan_gradients(plan, arena);
    if (homearena_ok(arena))
        homeplan_share_buffers(plan, options.folded, arena);
    if (homearena_ok(arena))
        hometensors_index(tensors, arena);
    if (arena->status != HOME_E_MEMORY && arena->status != HOME_E_TOO_LARGE)
        return arena->status; /* no failure, or one of the filter, which wrote the message */
    return homefail(error, arena->status, "%s for the plan of %zu steps and %zu parameters so far",
                    arena->status == HOME_E_TOO_LARGE ? "no size_t is large enough"
                                                      : "out of memory",
                    plan->step_count, tensors->parameter_count);
}
