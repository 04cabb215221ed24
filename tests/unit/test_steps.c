/* The table of the kinds of step: every row has all the members that belong together, and those
 * members agree with each other on the steps of real plans. A message names the kind, for whoever
 * adds one. */
#include "model/model.h"
#include "test.h"
#include "unit/fixture.h"

/* Checks that say which kind they are about. */
#define OF_KIND(kind, condition)                                                                   \
    ((condition) ? (void)0                                                                         \
                 : test_fail(__FILE__, __LINE__, "%s: not true: %s", (kind)->name, #condition))

typedef void (*kind_check)(const homestep_kind *kind);

static void for_each_kind(kind_check check) {
    for (size_t i = 0; i < HOMESTEP_KIND_COUNT; i++)
        check(homestep_kinds[i]);
}

/* ------------------------------------------------------------------------------------ the table */

#define NAME(kind) #kind,
static const char *const listed_names[] = {HOMESTEP_EACH(NAME)};

static void kinds_have_the_name_and_number_of_their_line(void) {
    for (size_t i = 0; i < HOMESTEP_KIND_COUNT; i++) {
        const char *name = homestep_kinds[i]->name;
        if (!name || strcmp(name, listed_names[i]) != 0)
            test_fail(__FILE__, __LINE__, "kind %zu is \"%s\", listed as \"%s\"", i,
                      name ? name : "(null)", listed_names[i]);
        CHECK_INTEGER(homestep_number(homestep_kinds[i]), i);
    }
}

static void goes_both_ways(const homestep_kind *kind) {
    OF_KIND(kind, kind->forward);
    OF_KIND(kind, kind->backward);
}

static void every_kind_goes_forward_and_backward(void) {
    for_each_kind(goes_both_ways);
}

static void has_both_choices(const homestep_kind *kind) {
    OF_KIND(kind, !kind->get_choices == !kind->set_choices);
    OF_KIND(kind, !kind->set_choices || kind->is_sound);
}

static void choices_are_written_and_read_or_neither(void) {
    for_each_kind(has_both_choices);
}

static void packs_or_does_not(const homestep_kind *kind) {
    OF_KIND(kind, !kind->packed_size == !kind->pack);
    OF_KIND(kind, !kind->pack == !kind->reads);
    OF_KIND(kind, !kind->repack == !(kind->pack && kind->is_sound));
    OF_KIND(kind, !kind->reads_statistics || kind->pack);
}

static void kinds_that_pack_say_how_much_and_from_what(void) {
    for_each_kind(packs_or_does_not);
}

static void moves_what_it_reads(const homestep_kind *kind) {
    OF_KIND(kind, !kind->move_statistics == !kind->reads_statistics);
}

static void kinds_that_read_statistics_move_them(void) {
    for_each_kind(moves_what_it_reads);
}

/* Every triple that an image can hold is either refused or is what the image would be given
 * again. */
static void keeps_choices(const homestep_kind *kind) {
    enum { VALUES = HOMESTEP_MAX_CHOICE + 2 };
    size_t kept = 0;
    for (size_t i = 0; i < (size_t)VALUES * VALUES * VALUES; i++) {
        const size_t given[HOMESTEP_CHOICES] = {i / VALUES / VALUES, i / VALUES % VALUES,
                                                i % VALUES};
        size_t written[HOMESTEP_CHOICES] = {0};
        homestep step = {.kind = kind};
        if (!homestep_choose(&step, given))
            continue;
        kept++;
        if (kind->get_choices)
            kind->get_choices(&step, written);
        OF_KIND(kind, memcmp(given, written, sizeof given) == 0);
    }
    OF_KIND(kind, kept >= 1);
}

static void choices_that_are_taken_come_back(void) {
    for_each_kind(keeps_choices);
}

/* ---------------------------------------------------------------------------------------- plans */

/* Configurations that together have steps of every kind. */
static const struct variant {
    int32_t preset;
    size_t gate_hidden; /* 0: none */
    int32_t norm;
    int32_t order; /* of the feature gates */
} variants[] = {
    {HOME_PRESET_HOME, 0, HOME_NORM_BATCH, HOME_FEATURE_SIGMOID_FIRST},
    {HOME_PRESET_HOME, 4, HOME_NORM_NONE, HOME_FEATURE_MIX_FIRST},
    {HOME_PRESET_PLE, 0, HOME_NORM_BATCH, 0},
    {HOME_PRESET_ADATT, 3, HOME_NORM_NONE, 0},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static home_model *model_of(const struct variant *v) {
    setup s;
    setup_small(&s);
    s.config.preset = v->preset;
    s.config.expert_norm = v->norm;
    s.config.feature_order = v->order;
    s.config.gate_hidden_count = v->gate_hidden > 0;
    s.gate_hidden[0] = v->gate_hidden;
    if (v->preset != HOME_PRESET_HOME)
        s.layers[0].group_experts = 0;
    home_model *model = make_model(&s);
    randomize(model, 4);
    return model;
}

typedef void (*model_check)(const home_model *model);

static void for_each_model(model_check check) {
    for (size_t i = 0; i < VARIANTS; i++) {
        home_model *model = model_of(&variants[i]);
        check(model);
        home_model_release(model);
    }
}

static void for_each_frozen_model(model_check check) {
    for (size_t i = 0; i < VARIANTS; i++) {
        home_model *model = model_of(&variants[i]);
        home_model *frozen = NULL;
        REQUIRE(home_model_freeze(model, &frozen, NULL) == HOME_OK);
        check(frozen);
        home_model_release(frozen);
        home_model_release(model);
    }
}

static size_t seen[HOMESTEP_KIND_COUNT];

static void count_kinds(const home_model *model) {
    for (size_t s = 0; s < model->plan.step_count; s++)
        seen[homestep_number(model->plan.steps[s].kind)]++;
}

static void plans_have_steps_of_every_kind(void) {
    memset(seen, 0, sizeof seen);
    for_each_model(count_kinds);
    for (size_t i = 0; i < HOMESTEP_KIND_COUNT; i++)
        OF_KIND(homestep_kinds[i], seen[i] > 0);
}

static void frozen_plans_have_exactly_the_kinds_that_serve(void) {
    memset(seen, 0, sizeof seen);
    for_each_frozen_model(count_kinds);
    for (size_t i = 0; i < HOMESTEP_KIND_COUNT; i++)
        OF_KIND(homestep_kinds[i], (seen[i] > 0) == (homestep_kinds[i]->is_sound != NULL));
}

/* -------------------------------------------------------------------------------------- packing */

static size_t packed_floats(const homestep *step, size_t panel) {
    size_t floats = 0;
    if (step->kind->packed_size)
        OF_KIND(step->kind, step->kind->packed_size(step, panel, &floats));
    return floats;
}

/* No step writes where another one's weights lie. */
static void check_places(const home_model *model) {
    size_t next = 0;
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const homestep *step = &model->plan.steps[s];
        const size_t floats = packed_floats(step, model->kernels->panel);
        if (floats > 0)
            OF_KIND(step->kind, step->packed == next);
        next += floats;
    }
    CHECK_INTEGER(model->plan.packed_size, next);
}

static void packed_weights_lie_one_behind_the_other(void) {
    for_each_model(check_places);
    for_each_frozen_model(check_places);
}

static float *packed_again(const home_model *model) {
    float *packed = calloc(model->plan.packed_size, sizeof *packed);
    REQUIRE(packed);
    const homestep_weights weights = {.kernels = model->kernels,
                                      .parameters = model->parameters,
                                      .statistics = model->statistics,
                                      .norm_epsilon = model->settings.config.norm_epsilon,
                                      .packed = packed};
    for (size_t s = 0; s < model->plan.step_count; s++)
        if (model->plan.steps[s].kind->pack)
            model->plan.steps[s].kind->pack(&weights, &model->plan.steps[s]);
    return packed;
}

static bool says_it_reads(const homestep *step, const hometensor *tensor) {
    return tensor->kind == HOME_TENSOR_STATISTIC
               ? step->kind->reads_statistics
               : step->kind->reads &&
                     step->kind->reads(step, tensor->offset, hometensors_size(tensor));
}

static void check_readers(const home_model *model, const hometensor *tensor, const float *before,
                          const float *after) {
    for (size_t s = 0; s < model->plan.step_count; s++) {
        const homestep *step = &model->plan.steps[s];
        const size_t floats = packed_floats(step, model->kernels->panel);
        if (floats == 0)
            continue;
        const bool changed =
            memcmp(before + step->packed, after + step->packed, floats * sizeof *after) != 0;
        if (changed && !says_it_reads(step, tensor))
            test_fail(__FILE__, __LINE__,
                      "%s: packs something else where %s changes, and does not "
                      "say that it reads it",
                      step->kind->name, tensor->name);
        OF_KIND(step->kind,
                !step->kind->reads || !step->kind->reads(step, model->tensors.parameter_count, 1));
    }
}

static void add_one(const home_model *model, const hometensor *tensor) {
    float *values = tensor->kind == HOME_TENSOR_STATISTIC ? model->statistics : model->parameters;
    for (size_t i = 0; i < hometensors_size(tensor); i++)
        values[tensor->offset + i] += 1;
}

static void check_reads(const home_model *model) {
    for (size_t i = 0; i < model->tensors.count; i++) {
        const hometensor *tensor = &model->tensors.items[i];
        if (tensor->kind == HOME_TENSOR_TABLE)
            continue;
        float *before = packed_again(model);
        add_one(model, tensor);
        float *after = packed_again(model);
        check_readers(model, tensor, before, after);
        free(before);
        free(after);
    }
}

static void steps_say_that_they_read_what_changes_their_packed_weights(void) {
    for_each_model(check_reads);
}

/* ----------------------------------------------------------------------------- images of a step */

typedef struct collected {
    float *values; /* [count], with room for what the step's packed size says */
    size_t count;
    size_t room;
} collected;

static void collect(void *context, const float *values, size_t count) {
    collected *c = context;
    if (c->count + count <= c->room)
        memcpy(c->values + c->count, values, count * sizeof *values);
    c->count += count;
}

/* Gives as many floats as the reader of an image will take, and by the same panels the same. */
static void check_repacked(const home_model *model, const homestep *step, size_t to) {
    const size_t panel = model->kernels->panel;
    collected c = {.room = packed_floats(step, to)};
    c.values = calloc(c.room + 1, sizeof *c.values);
    REQUIRE(c.values);
    step->kind->repack(step, model->packed + step->packed, panel, to, (homestep_sink){collect, &c});
    OF_KIND(step->kind, c.count == c.room);
    if (to == panel)
        OF_KIND(step->kind,
                memcmp(c.values, model->packed + step->packed, c.room * sizeof *c.values) == 0);
    free(c.values);
}

static void check_repack(const home_model *frozen) {
    for (size_t s = 0; s < frozen->plan.step_count; s++)
        for (size_t to = 8; to <= 32; to *= 2)
            if (frozen->plan.steps[s].kind->repack)
                check_repacked(frozen, &frozen->plan.steps[s], to);
}

static void steps_repack_as_many_floats_as_they_say(void) {
    for_each_frozen_model(check_repack);
}

static void expect_sound(const homestep *step, bool expected, const char *what) {
    OF_KIND(step->kind, step->kind->is_sound);
    if (!step->kind->is_sound)
        return;
    if (step->kind->is_sound(step) != expected)
        test_fail(__FILE__, __LINE__, "%s: is_sound() of %s is %s", step->kind->name, what,
                  expected ? "false" : "true");
}

/* The step with one input fewer, one more, and one of another width, where that matters to the
 * kind. */
static void check_soundness_of(const homestep *step) {
    homesource *in = calloc(step->in_count + 1, sizeof *in);
    REQUIRE(in);
    for (size_t i = 0; i < step->in_count; i++)
        in[i] = step->in[i];
    in[step->in_count].view = (homeview){.width = step->out.width + 1};
    homestep other = *step;
    other.in = in;
    expect_sound(&other, true, "a step of a plan");
    other.in_count++;
    expect_sound(&other, false, "one input too many, too wide");
    other.in_count = 0;
    expect_sound(&other, step->in_count == 0, "no inputs");
    if (step->in_count > 0 && step->kind != &homestep_linear) { /* which takes any width */
        other.in_count = step->in_count;
        in[0].view.width++;
        expect_sound(&other, false, "a first input that is too wide");
        in[0].view.width--;
        in[step->in_count - 1].view.width += 2;
        expect_sound(&other, false, "a last input that is too wide");
    }
    free(in);
}

static void check_soundness(const home_model *frozen) {
    for (size_t s = 0; s < frozen->plan.step_count; s++)
        check_soundness_of(&frozen->plan.steps[s]);
}

static void only_steps_with_their_inputs_are_sound(void) {
    for_each_frozen_model(check_soundness);
}

/* Pairs, and the branches with their weights: what the number of inputs alone says. */
static void numbers_of_inputs_that_no_plan_has_are_unsound(void) {
    homesource in[4] = {{.view = {.width = 1}}, {.view = {.width = 1}}, {.view = {.width = 1}}};
    for (size_t count = 0; count <= 3; count++) {
        const homestep mix = {
            .kind = &homestep_mix, .in = in, .in_count = count, .out = {.width = 1}};
        expect_sound(&mix, count == 2, "inputs that are no pairs");
        const homestep gate = {
            .kind = &homestep_feature_gate, .in = in, .in_count = count, .out = {.width = 1}};
        expect_sound(&gate, count == 2, "branches without weights");
    }
}

static void a_sigmoid_of_two_columns_is_unsound(void) {
    homesource in = {.view = {.width = 2}};
    homestep step = {.kind = &homestep_softmax, .in = &in, .in_count = 1, .out = {.width = 2}};
    expect_sound(&step, true, "a softmax of two columns");
    step.softmax.sigmoid = true;
    expect_sound(&step, false, "a sigmoid of two columns");
}

/* ---------------------------------------------------------------------------------------- sizes */

/* A step whose sizes no size_t holds, in every way in which a kind computes them. */
static void refuses_huge_sizes(const homestep_kind *kind) {
    homesource in = {.view = {.width = SIZE_MAX / 8}};
    const homestep wide = {.kind = kind, .in = &in, .in_count = 1, .out = {.width = SIZE_MAX / 8}};
    size_t floats;
    if (kind->packed_size && kind != &homestep_constant)
        OF_KIND(kind, !kind->packed_size(&wide, 32, &floats) || floats > SIZE_MAX / 8);
    if (kind->scratch_size) {
        OF_KIND(kind, !kind->scratch_size(&wide, 4, 32, &floats));
        OF_KIND(kind,
                kind != &homestep_linear || !kind->scratch_size(&wide, SIZE_MAX, 32, &floats));
    }
}

static void sizes_that_no_size_t_holds_are_refused(void) {
    for_each_kind(refuses_huge_sizes);
    homesource in = {.view = {.width = 1}};
    const homestep norm = {
        .kind = &homestep_norm, .in = &in, .in_count = 1, .out = {.width = SIZE_MAX / 2}};
    size_t floats;
    CHECK(!homestep_norm.packed_size(&norm, 32, &floats));
}

/* ------------------------------------------------------------------------------------ gradients */

/* out = in0 + in1 over one row of two columns; in0's gradient is there already, in1's is not. */
static void a_sum_adds_to_gradients_that_are_there(void) {
    enum { WIDTH = 2, STRIDE = 16, OUT = 2 * STRIDE };
    homesource in[] = {{.view = {.buffer = 0, .width = WIDTH}, .accumulate = true},
                       {.view = {.buffer = 1, .width = WIDTH}}};
    const homestep step = {.kind = &homestep_activate,
                           .in = in,
                           .in_count = 2,
                           .out = {.buffer = 2, .width = WIDTH},
                           .activate = {.activation = HOME_ACT_NONE}};
    const homebuffer buffers[] = {
        {.width = WIDTH, .stride = STRIDE},
        {.width = WIDTH, .stride = STRIDE, .start = STRIDE, .gradient_start = STRIDE},
        {.width = WIDTH, .stride = STRIDE, .start = OUT, .gradient_start = OUT}};
    float activations[OUT + STRIDE] = {1, 2, [STRIDE] = 10, 20};
    float gradients[OUT + STRIDE] = {100, 200, [STRIDE] = 7, 7, [OUT] = 3, 4};
    const homerun run = {.steps = &step,
                         .step_count = 1,
                         .buffers = buffers,
                         .buffer_count = 3,
                         .kernels = homekernels_select(NULL),
                         .swish_beta = 1,
                         .rows = 1,
                         .row_capacity = 1,
                         .activations = activations,
                         .gradients = gradients};
    homerun_forward(&run);
    CHECK(activations[OUT] == 11 && activations[OUT + 1] == 22);
    homerun_backward(&run);
    CHECK(gradients[0] == 103 && gradients[1] == 204);
    CHECK(gradients[STRIDE] == 3 && gradients[STRIDE + 1] == 4);
}

int main(void) {
    RUN(kinds_have_the_name_and_number_of_their_line);
    RUN(every_kind_goes_forward_and_backward);
    RUN(choices_are_written_and_read_or_neither);
    RUN(kinds_that_pack_say_how_much_and_from_what);
    RUN(kinds_that_read_statistics_move_them);
    RUN(choices_that_are_taken_come_back);
    RUN(plans_have_steps_of_every_kind);
    RUN(frozen_plans_have_exactly_the_kinds_that_serve);
    RUN(packed_weights_lie_one_behind_the_other);
    RUN(steps_say_that_they_read_what_changes_their_packed_weights);
    RUN(steps_repack_as_many_floats_as_they_say);
    RUN(only_steps_with_their_inputs_are_sound);
    RUN(numbers_of_inputs_that_no_plan_has_are_unsound);
    RUN(a_sigmoid_of_two_columns_is_unsound);
    RUN(sizes_that_no_size_t_holds_are_refused);
    RUN(a_sum_adds_to_gradients_that_are_there);
    return test_summary();
}
