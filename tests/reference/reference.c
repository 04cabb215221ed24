#include "reference/reference.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_UNITS 64 /* units of a layer: the tests stay far below */

typedef struct tensor {
    const char *name;
    size_t rows;
    size_t columns;
    double *data;
    bool used;
} tensor;

/* Values of one forward pass, chained so that one loop frees them all. */
typedef struct block {
    struct block *next;
    double values[];
} block;

struct reference {
    const home_config *config;
    tensor *tensors;
    size_t tensor_count;
    block *blocks;
    reference_look *look;
    void *look_context;
};

/* One vector for each row of the batch. */
typedef struct matrix {
    size_t rows;
    size_t columns;
    double *data;
} matrix;

#define AT(m, row, column) ((m).data[(row) * (m).columns + (column)])

static _Noreturn void stop(const char *format, ...) {
    va_list arguments;
    printf("reference: ");
    va_start(arguments, format);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    exit(1);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        stop("out of memory");
    return memory;
}

/* -------------------------------------------------------------------------------------- tensors */

static int compare_names(const void *a, const void *b) {
    return strcmp(((const tensor *)a)->name, ((const tensor *)b)->name);
}

reference *reference_create(const home_config *config, const home_model *model) {
    reference *r = allocate(1, sizeof *r);
    r->config = config;
    r->tensor_count = home_model_tensor_count(model);
    r->tensors = allocate(r->tensor_count, sizeof *r->tensors);
    for (size_t i = 0; i < r->tensor_count; i++) {
        home_tensor from = {.struct_size = sizeof from};
        if (home_model_tensor_at(model, i, &from, NULL) != HOME_OK)
            stop("cannot get tensor %zu of %zu", i, r->tensor_count);
        tensor *to = &r->tensors[i];
        to->name = from.name;
        to->rows = (size_t)from.shape[0];
        to->columns = (size_t)from.shape[1];
        to->data = allocate(to->rows * to->columns, sizeof(double));
        for (size_t k = 0; k < to->rows * to->columns; k++)
            to->data[k] = (double)from.data[k];
    }
    qsort(r->tensors, r->tensor_count, sizeof *r->tensors, compare_names);
    return r;
}

static void free_blocks(reference *r) {
    while (r->blocks) {
        block *next = r->blocks->next;
        free(r->blocks);
        r->blocks = next;
    }
}

void reference_free(reference *r) {
    free_blocks(r);
    for (size_t i = 0; i < r->tensor_count; i++)
        free(r->tensors[i].data);
    free(r->tensors);
    free(r);
}

static tensor *find(const reference *r, const char *name) {
    const tensor key = {.name = name};
    return bsearch(&key, r->tensors, r->tensor_count, sizeof *r->tensors, compare_names);
}

double *reference_tensor(reference *r, const char *name, size_t *count) {
    const tensor *found = find(r, name);
    *count = found ? found->rows * found->columns : 0;
    return found ? found->data : NULL;
}

bool reference_used_all(const reference *r, const char **name) {
    for (size_t i = 0; i < r->tensor_count; i++)
        if (!r->tensors[i].used) {
            *name = r->tensors[i].name;
            return false;
        }
    return true;
}

/* The tensor `prefix` + `suffix`, [rows, columns]. */
static double *parameter(reference *r, const char *prefix, const char *suffix, size_t rows,
                         size_t columns) {
    char name[256];
    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    tensor *found = find(r, name);
    if (!found)
        stop("the model has no tensor %s", name);
    if (found->rows != rows || found->columns != columns)
        stop("%s is [%zu, %zu], expected [%zu, %zu]", name, found->rows, found->columns, rows,
             columns);
    found->used = true;
    return found->data;
}

/* ---------------------------------------------------------------------------------------- parts */

static matrix new_matrix(reference *r, size_t rows, size_t columns) {
    block *b = allocate(1, sizeof *b + (rows * columns + 1) * sizeof(double));
    b->next = r->blocks;
    r->blocks = b;
    return (matrix){rows, columns, b->values};
}

double reference_sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

void reference_watch(reference *r, reference_look *look, void *context) {
    r->look = look;
    r->look_context = context;
}

static void show(const reference *r, const char *name, matrix m) {
    if (r->look)
        r->look(r->look_context, name, m.rows, m.columns, m.data);
}

static double activate(const reference *r, int32_t activation, double a) {
    const double beta = r->config->swish_beta != 0 ? r->config->swish_beta : 1;
    if (activation == HOME_ACTIVATION_SWISH)
        return a * reference_sigmoid(beta * a);
    return a > 0 ? a : 0;
}

static void activate_all(const reference *r, int32_t activation, matrix m) {
    for (size_t i = 0; i < m.rows * m.columns; i++)
        m.data[i] = activate(r, activation, m.data[i]);
}

/* y = W x + b */
static matrix linear(reference *r, const char *prefix, matrix x, size_t out, bool has_bias) {
    const double *w = parameter(r, prefix, ".weight", out, x.columns);
    const double *b = has_bias ? parameter(r, prefix, ".bias", out, 1) : NULL;
    matrix y = new_matrix(r, x.rows, out);
    for (size_t row = 0; row < x.rows; row++)
        for (size_t o = 0; o < out; o++) {
            double sum = b ? b[o] : 0;
            for (size_t i = 0; i < x.columns; i++)
                sum += w[o * x.columns + i] * AT(x, row, i);
            AT(y, row, o) = sum;
        }
    return y;
}

typedef struct mlp_shape {
    const size_t *hidden;
    size_t hidden_count;
    int32_t activation;
    size_t out;
    bool last_bias;
} mlp_shape;

static matrix mlp(reference *r, const char *prefix, matrix x, mlp_shape shape) {
    for (size_t i = 0; i <= shape.hidden_count; i++) {
        const bool last = i == shape.hidden_count;
        char name[200];
        snprintf(name, sizeof name, "%s.linear.%zu", prefix, i);
        x = linear(r, name, x, last ? shape.out : shape.hidden[i], last ? shape.last_bias : true);
        if (!last)
            activate_all(r, shape.activation, x);
    }
    return x;
}

static void softmax(matrix m) {
    for (size_t row = 0; row < m.rows; row++) {
        double largest = AT(m, row, 0);
        for (size_t k = 1; k < m.columns; k++)
            largest = fmax(largest, AT(m, row, k));
        double sum = 0;
        for (size_t k = 0; k < m.columns; k++)
            sum += AT(m, row, k) = exp(AT(m, row, k) - largest);
        for (size_t k = 0; k < m.columns; k++)
            AT(m, row, k) /= sum;
    }
}

/* x ⊕ y */
static matrix concatenate(reference *r, matrix x, matrix y) {
    matrix z = new_matrix(r, x.rows, x.columns + y.columns);
    for (size_t row = 0; row < x.rows; row++) {
        for (size_t i = 0; i < x.columns; i++)
            AT(z, row, i) = AT(x, row, i);
        for (size_t i = 0; i < y.columns; i++)
            AT(z, row, x.columns + i) = AT(y, row, i);
    }
    return z;
}

/* Training: the batch's mean and variance (divided by rows), and the running values move by
 * `momentum` towards the batch's mean and its unbiased variance (divided by rows - 1). Inference:
 * running values. */
static void batch_norm(reference *r, const char *prefix, matrix x, bool training) {
    const double epsilon = r->config->norm_epsilon != 0 ? r->config->norm_epsilon : 1e-5;
    const double momentum = r->config->norm_momentum != 0 ? r->config->norm_momentum : 0.1;
    const double *gamma = parameter(r, prefix, ".weight", x.columns, 1);
    const double *beta = parameter(r, prefix, ".bias", x.columns, 1);
    double *running_mean = parameter(r, prefix, ".running_mean", x.columns, 1);
    double *running_var = parameter(r, prefix, ".running_var", x.columns, 1);

    for (size_t i = 0; i < x.columns; i++) {
        double mean = running_mean[i];
        double variance = running_var[i];
        if (training) {
            const double n = (double)x.rows;
            mean = 0;
            for (size_t row = 0; row < x.rows; row++)
                mean += AT(x, row, i) / n;
            double squares = 0;
            for (size_t row = 0; row < x.rows; row++)
                squares += (AT(x, row, i) - mean) * (AT(x, row, i) - mean);
            variance = squares / n;
            running_mean[i] = (1 - momentum) * running_mean[i] + momentum * mean;
            running_var[i] = (1 - momentum) * running_var[i] + momentum * squares / (n - 1);
        }
        for (size_t row = 0; row < x.rows; row++)
            AT(x, row, i) = gamma[i] * (AT(x, row, i) - mean) / sqrt(variance + epsilon) + beta[i];
    }
}

/* Act(Norm(MLP(x))) */
static matrix expert(reference *r, const char *prefix, matrix x, const home_layer_config *layer,
                     bool training) {
    const home_config *c = r->config;
    const bool norm = c->expert_norm != HOME_NORM_NONE;
    const int32_t hidden = c->expert_hidden_activation;
    const int32_t output = c->expert_activation;
    const mlp_shape shape = {layer->hidden, layer->hidden_count,
                             hidden ? hidden : HOME_ACTIVATION_SWISH, layer->width,
                             !norm || c->bias_before_norm == HOME_ON};
    matrix h = mlp(r, prefix, x, shape);
    if (norm) {
        char name[200];
        snprintf(name, sizeof name, "%s.norm", prefix);
        batch_norm(r, name, h, training);
    }
    activate_all(r, output ? output : HOME_ACTIVATION_SWISH, h);
    show(r, prefix, h);
    return h;
}

/* x ⊙ F(x), with F(x) = Σ_j p_j 2 sigmoid(A_j B_j x) or 2 sigmoid(Σ_j p_j A_j B_j x), and
 * p = softmax(W x + b), which is 1 where there is a single branch. */
static matrix feature_gate(reference *r, const char *prefix, matrix x,
                           const home_layer_config *layer) {
    const bool mix_first = r->config->feature_order == HOME_FEATURE_MIX_FIRST;
    const size_t branches = layer->feature_branches ? layer->feature_branches : 2;
    size_t rank = layer->feature_rank ? layer->feature_rank : x.columns / branches;
    if (rank == 0)
        rank = 1;

    char name[200];
    matrix p = {0, 0, NULL};
    if (branches > 1) {
        snprintf(name, sizeof name, "%s.mix", prefix);
        p = linear(r, name, x, branches, true);
        softmax(p);
    }
    matrix f = new_matrix(r, x.rows, x.columns);
    for (size_t j = 0; j < branches; j++) {
        snprintf(name, sizeof name, "%s.lora.%zu.down", prefix, j);
        const matrix down = linear(r, name, x, rank, false);
        snprintf(name, sizeof name, "%s.lora.%zu.up", prefix, j);
        const matrix up = linear(r, name, down, x.columns, false);
        for (size_t row = 0; row < x.rows; row++)
            for (size_t i = 0; i < x.columns; i++) {
                const double branch =
                    mix_first ? AT(up, row, i) : 2 * reference_sigmoid(AT(up, row, i));
                AT(f, row, i) += (branches > 1 ? AT(p, row, j) : 1) * branch;
            }
    }
    matrix gated = new_matrix(r, x.rows, x.columns);
    for (size_t i = 0; i < x.rows * x.columns; i++)
        gated.data[i] = x.data[i] * (mix_first ? 2 * reference_sigmoid(f.data[i]) : f.data[i]);
    return gated;
}

/* ------------------------------------------------------------------------------ units and nodes */

/* Experts that share one input. */
typedef struct unit {
    matrix raw;   /* x_u */
    matrix gated; /* x_u ⊙ F_u(x_u) */
    size_t experts;
    matrix *outputs; /* h_{u,k} */
} unit;

static unit run_unit(reference *r, size_t layer_index, const char *name, matrix input,
                     size_t experts, bool training) {
    const home_layer_config *layer = &r->config->layers[layer_index];
    unit u = {input, input, experts ? experts : 1, NULL};
    char prefix[160];
    if (layer->feature_gates != HOME_OFF) {
        snprintf(prefix, sizeof prefix, "layers.%zu.units.%s.feature_gate", layer_index, name);
        u.gated = feature_gate(r, prefix, input, layer);
    }
    u.outputs = allocate(u.experts, sizeof *u.outputs);
    for (size_t k = 0; k < u.experts; k++) {
        snprintf(prefix, sizeof prefix, "layers.%zu.units.%s.experts.%zu", layer_index, name, k);
        u.outputs[k] = expert(r, prefix, u.gated, layer, training);
    }
    return u;
}

static matrix view(const unit *u, int32_t which) {
    return which == HOME_INPUT_RAW ? u->raw : u->gated;
}

/* z += w[:, column] h */
static void add_weighted(matrix z, matrix w, size_t column, matrix h) {
    for (size_t row = 0; row < z.rows; row++)
        for (size_t i = 0; i < z.columns; i++)
            AT(z, row, i) += AT(w, row, column) * AT(h, row, i);
}

/* z = Σ w h over the visible units' experts + Σ s h over the own unit's */
static matrix run_node(reference *r, size_t layer_index, const char *name, matrix gate_input,
                       const unit *const *visible, size_t visible_count, const unit *own) {
    const home_config *c = r->config;
    char prefix[160];
    size_t experts = 0;
    for (size_t u = 0; u < visible_count; u++)
        experts += visible[u]->experts;

    snprintf(prefix, sizeof prefix, "layers.%zu.nodes.%s.gate", layer_index, name);
    const mlp_shape gate = {c->gate_hidden, c->gate_hidden_count, c->gate_activation, experts,
                            true};
    matrix w = mlp(r, prefix, gate_input, gate);
    softmax(w);
    show(r, prefix, w);
    matrix z = new_matrix(r, gate_input.rows, c->layers[layer_index].width);
    size_t column = 0;
    for (size_t u = 0; u < visible_count; u++)
        for (size_t k = 0; k < visible[u]->experts; k++)
            add_weighted(z, w, column++, visible[u]->outputs[k]);

    if (c->self_gates == HOME_OFF)
        return z;
    snprintf(prefix, sizeof prefix, "layers.%zu.nodes.%s.self_gate", layer_index, name);
    const mlp_shape self = {c->self_gate_hidden, c->self_gate_hidden_count, c->self_gate_activation,
                            own->experts, true};
    matrix s = mlp(r, prefix, view(own, c->self_gate_input), self);
    if (own->experts > 1)
        softmax(s);
    else
        for (size_t row = 0; row < s.rows; row++)
            AT(s, row, 0) = reference_sigmoid(AT(s, row, 0));
    show(r, prefix, s);
    for (size_t k = 0; k < own->experts; k++)
        add_weighted(z, s, k, own->outputs[k]);
    return z;
}

/* ---------------------------------------------------------------------------------------- input */

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The high 64 bits of a * b, by schoolbook multiplication of 32-bit digits. */
static uint64_t high_product(uint64_t a, uint64_t b) {
    const uint64_t low = UINT64_C(0xffffffff);
    const uint64_t a0 = a & low;
    const uint64_t a1 = a >> 32;
    const uint64_t b0 = b & low;
    const uint64_t b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    const uint64_t carry = a0 * b1 + (middle & low);
    return a1 * b1 + (middle >> 32) + (carry >> 32);
}

/* Adds a field's pooled vector to columns first.. of v. */
static void pool_field(reference *r, const home_field_config *field, const home_ids *ids, matrix v,
                       size_t first, const home_table_config *table) {
    char prefix[160];
    snprintf(prefix, sizeof prefix, "embeddings.%s", table->name);
    const double *weight = parameter(r, prefix, ".weight", (size_t)table->rows, table->dim);
    for (size_t row = 0; row < v.rows; row++) {
        const size_t begin = ids->offsets ? ids->offsets[row] : row;
        const size_t end = ids->offsets ? ids->offsets[row + 1] : row + 1;
        double total = 0;
        for (size_t i = begin; i < end; i++)
            total += ids->weights ? (double)ids->weights[i] : 1.0;
        if (field->pooling == HOME_POOL_MEAN && total == 0)
            continue;
        for (size_t i = begin; i < end; i++) {
            const uint64_t id = ids->ids[i];
            const uint64_t at =
                table->index == HOME_INDEX_HASHED ? high_product(mix(id), table->rows) : id;
            const double counts = (ids->weights ? (double)ids->weights[i] : 1.0) /
                                  (field->pooling == HOME_POOL_MEAN ? total : 1.0);
            for (size_t k = 0; k < table->dim; k++)
                AT(v, row, first + k) += counts * weight[at * table->dim + k];
        }
    }
}

static const home_table_config *table_of(const home_config *c, const home_field_config *field) {
    const char *name = field->table ? field->table : field->name;
    for (size_t i = 0; i < c->table_count; i++)
        if (strcmp(c->tables[i].name, name) == 0)
            return &c->tables[i];
    stop("no table %s", name);
}

/* v = dense ⊕ field 0 ⊕ field 1 ... */
static matrix input_vector(reference *r, const reference_rows *rows) {
    const home_config *c = r->config;
    size_t width = c->dense_width;
    for (size_t f = 0; f < c->field_count; f++)
        width += table_of(c, &c->fields[f])->dim;
    matrix v = new_matrix(r, rows->rows, width);
    for (size_t row = 0; row < v.rows; row++)
        for (size_t i = 0; i < c->dense_width; i++)
            AT(v, row, i) = rows->dense[row * c->dense_width + i];
    size_t first = c->dense_width;
    for (size_t f = 0; f < c->field_count; f++) {
        const home_table_config *table = table_of(c, &c->fields[f]);
        pool_field(r, &c->fields[f], &rows->fields[f], v, first, table);
        first += table->dim;
    }
    return v;
}

/* ---------------------------------------------------------------------------------------- model */

static const char *group_name(const home_task_config *task) {
    return task->group ? task->group : "all";
}

/* The groups in order of first appearance, and each task's. */
static size_t find_groups(const home_config *c, const char **names, size_t *of_task) {
    size_t count = 0;
    for (size_t t = 0; t < c->task_count; t++) {
        size_t g = 0;
        while (g < count && strcmp(names[g], group_name(&c->tasks[t])) != 0)
            g++;
        if (g == count)
            names[count++] = group_name(&c->tasks[t]);
        of_task[t] = g;
    }
    return count;
}

void reference_forward(reference *r, const reference_rows *rows, bool training, double *logits) {
    const home_config *c = r->config;
    const char *groups[MAX_UNITS];
    size_t of_task[MAX_UNITS];
    if (c->layer_count != 2 || c->task_count > MAX_UNITS)
        stop("only two layers and %d tasks", MAX_UNITS);
    const size_t group_count = find_groups(c, groups, of_task);
    const matrix v = input_vector(r, rows);

    /* Layer 1: node g sees {shared, g}, node `shared` sees everything. */
    const home_layer_config *layer = &c->layers[0];
    unit first[1 + MAX_UNITS]; /* shared, then the groups */
    const unit *everything[1 + MAX_UNITS];
    first[0] = run_unit(r, 0, "shared", v, layer->shared_experts, training);
    everything[0] = &first[0];
    matrix z_group[MAX_UNITS];
    for (size_t g = 0; g < group_count; g++) {
        unit *own = &first[1 + g];
        *own = run_unit(r, 0, groups[g], v, layer->group_experts, training);
        everything[1 + g] = own;
        z_group[g] = run_node(r, 0, groups[g], view(own, c->gate_input),
                              (const unit *[]){&first[0], own}, 2, own);
    }
    const matrix z_shared = run_node(r, 0, "shared", view(&first[0], c->gate_input), everything,
                                     1 + group_count, &first[0]);

    /* Layer 2: node t sees {shared, c(t), t}. */
    layer = &c->layers[1];
    unit shared = run_unit(r, 1, "shared", z_shared, layer->shared_experts, training);
    unit group[MAX_UNITS];
    for (size_t g = 0; g < group_count; g++)
        group[g] = run_unit(r, 1, groups[g], z_group[g], layer->group_experts, training);
    for (size_t t = 0; t < c->task_count; t++) {
        const char *name = c->tasks[t].name;
        unit task = run_unit(r, 1, name, z_group[of_task[t]], layer->task_experts, training);
        const matrix gate_input =
            concatenate(r, view(&task, c->gate_input), view(&shared, c->gate_input));
        const matrix z = run_node(r, 1, name, gate_input,
                                  (const unit *[]){&shared, &group[of_task[t]], &task}, 3, &task);
        char prefix[160];
        snprintf(prefix, sizeof prefix, "towers.%s", name);
        const matrix logit =
            mlp(r, prefix, z,
                (mlp_shape){c->tower_hidden, c->tower_hidden_count, c->tower_activation, 1, true});
        for (size_t row = 0; row < rows->rows; row++)
            logits[row * c->task_count + t] = logit.data[row];
        free(task.outputs);
    }
    free(shared.outputs);
    for (size_t g = 0; g < group_count; g++) {
        free(first[1 + g].outputs);
        free(group[g].outputs);
    }
    free(first[0].outputs);
    free_blocks(r);
}

/* L_t = Σ w (-y log p - (1 - y) log(1 - p)) / Σ w over the live labels; total = Σ weight_t L_t */
double reference_loss(const reference *r, size_t rows, const double *logits,
                      const home_targets *targets, double *task_losses) {
    const home_config *c = r->config;
    const size_t tasks = c->task_count;
    const size_t label_stride = targets->label_stride ? targets->label_stride : tasks;
    const size_t weight_stride = targets->weight_stride ? targets->weight_stride : tasks;
    double total = 0;
    for (size_t t = 0; t < tasks; t++) {
        double sum = 0;
        double weights = 0;
        for (size_t row = 0; row < rows; row++) {
            const double y = (double)targets->labels[row * label_stride + t];
            if (isnan(y))
                continue;
            double w = targets->row_weights ? (double)targets->row_weights[row] : 1;
            w *= targets->weights ? (double)targets->weights[row * weight_stride + t] : 1;
            /* -log sigmoid(x) = log(1 + e^-x), written so that nothing overflows */
            const double x = logits[row * tasks + t];
            sum += w * (fmax(x, 0) - x * y + log1p(exp(-fabs(x))));
            weights += w;
        }
        const double loss = weights > 0 ? sum / weights : 0;
        if (task_losses)
            task_losses[t] = loss;
        total += (c->tasks[t].weight != 0 ? c->tasks[t].weight : 1) * loss;
    }
    return total;
}
