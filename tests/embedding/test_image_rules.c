/* Every rule by which the reader refuses an image, by an image that breaks this rule alone. The
 * checksum is right, and the message tells the byte at which reading stopped: so a rule that is
 * gone shows, even where a later one would refuse the same image. */
#include "base/crc32.h"
#include "model/model.h"
#include "serve/image.h"
#include "test.h"
#include "unit/fixture.h"

#include <stddef.h>

/* Bytes, and words of a view. */
#define WORD       ((size_t)8)
#define VIEW_WORDS ((size_t)3)

enum { MAX_STEPS = 200, MAX_ITEMS = 8, ROOM = 64 };

/* --------------------------------------------------------------------------------------- images */

/* Where the records of an image are, in bytes from its start. */
typedef struct map {
    size_t settings; /* dense values, block rows .. */
    size_t buffers;
    size_t views; /* of the input, the logits and their sigmoids */
    size_t step_count;
    size_t steps[MAX_STEPS + 1];
    size_t tasks[MAX_ITEMS + 1];
    size_t tables[MAX_ITEMS + 1];
    size_t fields[MAX_ITEMS + 1];
    size_t end;     /* of the records */
    size_t weights; /* of the first table, which ends the panels and their gap */
} map;

typedef struct forged {
    unsigned char *bytes; /* with ROOM to grow */
    size_t size;
    map at;
} forged;

static uint64_t word_at(const forged *image, size_t at) {
    uint64_t value;
    memcpy(&value, image->bytes + at, sizeof value);
    return value;
}

static void put_word(forged *image, size_t at, uint64_t value) {
    memcpy(image->bytes + at, &value, sizeof value);
}

static homeimage_header header_of(const forged *image) {
    homeimage_header header;
    memcpy(&header, image->bytes, sizeof header);
    return header;
}

/* Behind the text whose length stands at `at`. */
static size_t after_text(const forged *image, size_t at) {
    return at + WORD + ((size_t)word_at(image, at) / WORD + 1) * WORD;
}

static size_t after_step(const forged *image, size_t step) {
    return step + WORD * (8 + VIEW_WORDS * (size_t)word_at(image, step + 4 * WORD));
}

/* The records of `count` items, each of some words and a text. */
static size_t map_items(const forged *image, size_t at, uint64_t count, size_t words,
                        size_t *items) {
    REQUIRE(count <= MAX_ITEMS);
    for (size_t i = 0; i < count; i++) {
        items[i] = at;
        at = after_text(image, at + words * WORD);
    }
    items[count] = at;
    return at;
}

static void map_image(forged *image) {
    const homeimage_header header = header_of(image);
    map *m = &image->at;
    m->settings = sizeof header;
    m->buffers = m->settings + 5 * WORD;
    m->views = m->buffers + 3 * WORD * (size_t)header.buffers;
    m->step_count = (size_t)header.steps;
    REQUIRE(m->step_count <= MAX_STEPS);
    m->steps[0] = m->views + 3 * VIEW_WORDS * WORD;
    for (size_t i = 0; i < m->step_count; i++)
        m->steps[i + 1] = after_step(image, m->steps[i]);
    size_t at = map_items(image, m->steps[m->step_count], header.tasks, 2, m->tasks);
    at = map_items(image, at, header.tables, 3, m->tables);
    at = map_items(image, at, header.fields, 2, m->fields);
    for (uint64_t texts = 2 * header.metadata + 2; texts > 0; texts--)
        at = after_text(image, at);
    m->end = at;
    m->weights = image->size;
    for (size_t i = 0; i < header.tables; i++) {
        const uint64_t floats = word_at(image, m->tables[i]) * word_at(image, m->tables[i] + WORD);
        m->weights -= homesize_align((size_t)floats * sizeof(float));
    }
}

static forged image_of(const setup *s) {
    home_error error = new_error();
    home_model *frozen = NULL;
    forged image = {0};
    home_model *model = make_model(s);
    REQUIRE(home_model_set_metadata(model, "key", "text", &error) == HOME_OK);
    REQUIRE(home_model_freeze(model, &frozen, &error) == HOME_OK);
    const home_image_options options = {.struct_size = sizeof options, .panel = 8};
    REQUIRE(home_image_write(frozen, &options, NULL, 0, &image.size, &error) == HOME_OK);
    image.bytes = aligned_alloc(HOME_ALIGNMENT, image.size + homesize_align(ROOM));
    REQUIRE(image.bytes);
    REQUIRE(home_image_write(frozen, &options, image.bytes, image.size, &image.size, &error) ==
            HOME_OK);
    home_model_release(frozen);
    home_model_release(model);
    map_image(&image);
    return image;
}

/* With every kind of step but `constant`, and softmax as a sigmoid too. */
static forged home_image(void) {
    setup s;
    setup_small(&s);
    s.layers[0].group_experts = 1;
    s.config.gate_hidden_count = 1;
    s.gate_hidden[0] = 3;
    return image_of(&s);
}

/* With `constant`. */
static forged adatt_image(void) {
    setup s;
    setup_small(&s);
    s.config.preset = HOME_PRESET_ADATT;
    s.layers[0].group_experts = 0;
    return image_of(&s);
}

/* A copy, to be broken. */
static forged copy_of(const forged *image) {
    forged copy = *image;
    copy.bytes = aligned_alloc(HOME_ALIGNMENT, image->size + homesize_align(ROOM));
    REQUIRE(copy.bytes);
    memset(copy.bytes + copy.size, 0, homesize_align(ROOM));
    memcpy(copy.bytes, image->bytes, image->size);
    return copy;
}

static void mend_header(forged *image) {
    homeimage_header header = header_of(image);
    homecrc32 crc;
    homecrc32_start(&crc);
    const size_t covered = offsetof(homeimage_header, panel);
    homecrc32_add(&crc, image->bytes + covered, image->size - covered);
    header.size = image->size;
    header.crc32 = homecrc32_value(&crc);
    memcpy(image->bytes, &header, sizeof header);
}

/* Opens it; the message, or "" if it opens. */
static home_status open_forged(forged *image, home_error *error) {
    home_model *model = NULL;
    size_t size = 0;
    mend_header(image);
    *error = new_error();
    home_status status = home_image_model_size(image->bytes, image->size, &size, error);
    if (status != HOME_OK)
        return status;
    void *memory = malloc(size);
    REQUIRE(memory);
    status = home_image_open(image->bytes, image->size, memory, size, &model, error);
    home_model_release(model);
    free(memory);
    return status;
}

/* The image is refused where reading has come to `byte`, and is freed. */
static void expect_refusal(forged broken, const char *rule, size_t byte) {
    home_error error;
    char expected[80];
    snprintf(expected, sizeof expected, "the image is not valid at byte %zu or before", byte);
    const home_status status = open_forged(&broken, &error);
    if (status != HOME_E_FORMAT || strcmp(error.message, expected) != 0)
        test_fail(__FILE__, __LINE__, "%s: status %d, \"%s\", expected \"%s\"", rule, (int)status,
                  error.message, expected);
    free(broken.bytes);
}

/* One word replaced. */
static void refuse_word(const forged *image, const char *rule, size_t at, uint64_t value,
                        size_t byte) {
    forged broken = copy_of(image);
    put_word(&broken, at, value);
    expect_refusal(broken, rule, byte);
}

/* A word that is refused as it is read. */
static void refuse_at_once(const forged *image, const char *rule, size_t at, uint64_t value) {
    refuse_word(image, rule, at, value, at + WORD);
}

/* -------------------------------------------------------------------------------------- records */

static void images_open_as_they_are(void) {
    home_error error;
    forged images[] = {home_image(), adatt_image()};
    for (size_t i = 0; i < 2; i++) {
        if (!CHECK_INTEGER(open_forged(&images[i], &error), HOME_OK))
            printf("%s\n", error.message);
        free(images[i].bytes);
    }
}

/* Every record takes some words of the image: more of them than there is room for are refused
 * before memory is asked for. */
static void counts_keep_to_the_size_of_the_image(void) {
    static const struct {
        size_t at;
        const char *name;
        size_t words; /* of a record */
    } counts[] = {{offsetof(homeimage_header, buffers), "buffers", 3},
                  {offsetof(homeimage_header, steps), "steps", 8},
                  {offsetof(homeimage_header, inputs), "inputs", 3},
                  {offsetof(homeimage_header, metadata), "metadata", 4}};
    forged image = home_image();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t max = image.size / WORD / counts[i].words;
        home_error error;
        char expected[80];
        forged broken = copy_of(&image);
        put_word(&broken, counts[i].at, max + 1);
        snprintf(expected, sizeof expected, "claims %zu %s, expected at most %zu", max + 1,
                 counts[i].name, max);
        CHECK_INTEGER(open_forged(&broken, &error), HOME_E_FORMAT);
        CHECK_CONTAINS(error.message, expected);
        put_word(&broken, counts[i].at, max);
        CHECK_INTEGER(open_forged(&broken, &error), HOME_E_FORMAT);
        CHECK_CONTAINS(error.message, "not valid at byte");
        free(broken.bytes);
    }
    free(image.bytes);
}

static void settings_keep_to_their_bounds(void) {
    forged image = home_image();
    const size_t at = image.at.settings;
    refuse_at_once(&image, "dense values", at, HOME_MAX_WIDTH + 1);
    refuse_at_once(&image, "block rows", at + WORD, HOME_IMAGE_MAX_BLOCK_ROWS + 1);
    free(image.bytes);
}

static void buffers_keep_to_their_bounds(void) {
    forged image = home_image();
    const size_t max = SIZE_MAX / sizeof(float) / HOME_IMAGE_MAX_BLOCK_ROWS / 4 / 2;
    const size_t last = image.at.views - 3 * WORD;
    for (size_t at = image.at.buffers; at <= last; at += last - image.at.buffers) {
        refuse_at_once(&image, "no width", at, 0);
        refuse_at_once(&image, "width", at, HOME_MAX_WIDTH + 1);
        refuse_at_once(&image, "stride below the width", at + WORD, word_at(&image, at) - 1);
        refuse_at_once(&image, "stride", at + WORD, max + 1);
        refuse_at_once(&image, "start", at + 2 * WORD, max + 1);
    }
    free(image.bytes);
}

static void refuse_view(const forged *image, size_t at) {
    const size_t buffer = (size_t)word_at(image, at);
    const uint64_t width = word_at(image, image->at.buffers + 3 * WORD * buffer);
    refuse_at_once(image, "buffer of a view", at, header_of(image).buffers);
    refuse_at_once(image, "column of a view", at + WORD, width);
    refuse_at_once(image, "view without columns", at + 2 * WORD, 0);
    refuse_at_once(image, "view past its buffer", at + 2 * WORD,
                   width - word_at(image, at + WORD) + 1);
}

static void views_lie_in_their_buffers(void) {
    forged image = home_image();
    for (size_t i = 0; i < 3; i++)
        refuse_view(&image, image.at.views + i * VIEW_WORDS * WORD);
    refuse_view(&image, image.at.steps[3] + 5 * WORD);
    refuse_view(&image, image.at.steps[3] + 8 * WORD);
    free(image.bytes);
}

/* The first column after it would be another's. */
static void widths_of_what_is_read_and_written_fit(void) {
    static const char *const rules[] = {"width of the input", "of the logits", "of the sigmoids"};
    forged image = home_image();
    for (size_t i = 0; i < 3; i++) {
        const size_t at = image.at.views + (i * VIEW_WORDS + 2) * WORD;
        refuse_word(&image, rules[i], at, word_at(&image, at) - 1, image.at.end);
    }
    free(image.bytes);
}

static void tasks_keep_to_their_bounds(void) {
    forged image = home_image();
    const size_t *tasks = image.at.tasks;
    const homeimage_header header = header_of(&image);
    refuse_at_once(&image, "no loss", tasks[1], HOME_LOSS_BCE - 1);
    refuse_at_once(&image, "loss", tasks[1], HOME_LOSS_SQUARED + 1);
    refuse_at_once(&image, "given", tasks[1] + WORD, header.tasks + 1);
    refuse_word(&image, "given itself", tasks[1] + WORD, 1, tasks[header.tasks]);
    forged circle = copy_of(&image);
    put_word(&circle, tasks[0] + WORD, 1);
    put_word(&circle, tasks[1] + WORD, 2);
    put_word(&circle, tasks[2] + WORD, 0);
    expect_refusal(circle, "given each other", tasks[header.tasks]);
    free(image.bytes);
}

/* "like": its length at the third word. */
static void texts_end_where_they_say(void) {
    forged image = home_image();
    const size_t at = image.at.tasks[0] + 2 * WORD;
    REQUIRE(word_at(&image, at) == 4);
    refuse_word(&image, "no zero behind a text", at, 3, at + 2 * WORD);
    refuse_word(&image, "text past the end", at, image.size - at - WORD, at + WORD);
    refuse_word(&image, "text of all memory", at, SIZE_MAX - 7, at + WORD);
    refuse_word(&image, "text of almost all memory", at, SIZE_MAX - 8, at + WORD);
    free(image.bytes);
}

static void tables_keep_to_their_bounds(void) {
    forged image = home_image();
    const size_t at = image.at.tables[1];
    refuse_at_once(&image, "table without rows", at, 0);
    refuse_at_once(&image, "table without columns", at + WORD, 0);
    refuse_at_once(&image, "wide table", at + WORD, HOME_MAX_WIDTH + 1);
    refuse_at_once(&image, "no index", at + 2 * WORD, HOME_INDEX_DIRECT - 1);
    refuse_at_once(&image, "index", at + 2 * WORD, HOME_INDEX_HASHED + 1);
    free(image.bytes);
}

static void fields_keep_to_their_bounds(void) {
    forged image = home_image();
    const size_t at = image.at.fields[1];
    refuse_at_once(&image, "table of a field", at, header_of(&image).tables);
    refuse_at_once(&image, "no pooling", at + WORD, HOME_POOL_SUM - 1);
    refuse_at_once(&image, "pooling", at + WORD, HOME_POOL_MEAN + 1);
    refuse_word(&image, "input vector", image.at.tables[0] + WORD, HOME_MAX_WIDTH,
                image.at.fields[1]);
    free(image.bytes);
}

/* The bound itself is none of what is refused: the next field is one too many. */
static void an_input_vector_may_be_as_wide_as_any(void) {
    forged image = home_image();
    const uint64_t dense = word_at(&image, image.at.settings);
    refuse_word(&image, "largest input vector", image.at.tables[0] + WORD, HOME_MAX_WIDTH - dense,
                image.at.fields[2]);
    free(image.bytes);
}

static void a_plan_has_buffers(void) {
    forged image = home_image();
    homeimage_header header = header_of(&image);
    header.buffers = 0;
    memcpy(image.bytes, &header, sizeof header);
    expect_refusal(image, "no buffer", image.at.buffers);
}

static void fields_have_a_table(void) {
    forged image = home_image();
    homeimage_header header = header_of(&image);
    header.tables = 0;
    memcpy(image.bytes, &header, sizeof header);
    memmove(image.bytes + image.at.tables[0], image.bytes + image.at.fields[0],
            image.size - image.at.fields[0]);
    expect_refusal(image, "no table", image.at.tables[0]);
}

/* ---------------------------------------------------------------------------------------- steps */

static size_t find_step(const forged *image, const homestep_kind *kind, size_t min_inputs) {
    for (size_t i = 0; i < image->at.step_count; i++)
        if (homestep_kinds[word_at(image, image->at.steps[i])] == kind &&
            word_at(image, image->at.steps[i] + 4 * WORD) >= min_inputs)
            return image->at.steps[i];
    printf("no step %s with %zu inputs\n", kind->name, min_inputs);
    exit(1);
}

static size_t input_at(size_t step, size_t input) {
    return step + (8 + VIEW_WORDS * input) * WORD;
}

/* A step with one input more, or fewer; the new one is as the last. */
static void refuse_inputs(const forged *image, const char *rule, size_t step, size_t count) {
    forged broken = copy_of(image);
    const size_t before = (size_t)word_at(image, step + 4 * WORD);
    const size_t from = input_at(step, before);
    const size_t to = input_at(step, count);
    if (to > from) {
        broken.size = image->size + ROOM;
        memmove(broken.bytes + to, image->bytes + from, image->size - from);
        memcpy(broken.bytes + from,
               image->bytes + (before ? from - VIEW_WORDS * WORD : step + 5 * WORD),
               VIEW_WORDS * WORD);
    }
    put_word(&broken, step + 4 * WORD, count);
    expect_refusal(broken, rule, to);
}

/* An input that is a column narrower, or wider. */
static void refuse_width(const forged *image, const char *rule, size_t step, size_t input,
                         size_t width) {
    refuse_word(image, rule, input_at(step, input) + 2 * WORD, width, after_step(image, step));
}

static size_t width_of(const forged *image, size_t step, size_t input) {
    return (size_t)word_at(image, input_at(step, input) + 2 * WORD);
}

static void kinds_serve_and_have_their_inputs(void) {
    forged image = home_image();
    const size_t step = image.at.steps[3];
    const homeimage_header header = header_of(&image);
    refuse_at_once(&image, "kind", step, HOMESTEP_KIND_COUNT);
    refuse_word(&image, "a kind that does not serve", step, HOMESTEP_NUMBER_norm, step + 4 * WORD);
    for (size_t i = 0; i < HOMESTEP_CHOICES; i++)
        refuse_at_once(&image, "choice", step + (1 + i) * WORD, HOMESTEP_MAX_CHOICE + 1);
    size_t used = 0;
    for (size_t i = 0; i < 3; i++)
        used += (size_t)word_at(&image, image.at.steps[i] + 4 * WORD);
    refuse_at_once(&image, "more inputs than there are", step + 4 * WORD, header.inputs - used + 1);
    forged more = copy_of(&image);
    homeimage_header changed = header;
    changed.inputs++;
    memcpy(more.bytes, &changed, sizeof changed);
    expect_refusal(more, "an input without a step", image.at.tasks[0]);
    free(image.bytes);
}

static void a_linear_step_has_one_input(void) {
    forged image = home_image();
    const size_t step = find_step(&image, &homestep_linear, 1);
    refuse_inputs(&image, "linear", step, 0);
    refuse_inputs(&image, "linear", step, 2);
    free(image.bytes);
}

static void inputs_that_are_added_up_are_as_wide_as_the_sum(void) {
    static const homestep_kind *const kinds[] = {&homestep_activate, &homestep_softmax};
    forged image = home_image();
    for (size_t i = 0; i < 2; i++) {
        const size_t step = find_step(&image, kinds[i], i == 0 ? 2 : 1);
        const size_t count = (size_t)word_at(&image, step + 4 * WORD);
        const size_t width = width_of(&image, step, 0);
        refuse_inputs(&image, kinds[i]->name, step, 0);
        REQUIRE(width > 1);
        refuse_width(&image, kinds[i]->name, step, 0, width - 1);
        refuse_width(&image, kinds[i]->name, step, count - 1, width - 1);
    }
    free(image.bytes);
}

static void a_sigmoid_has_one_column(void) {
    forged image = home_image();
    const size_t step = find_step(&image, &homestep_softmax, 1);
    REQUIRE(width_of(&image, step, 0) > 1);
    refuse_word(&image, "sigmoid", step + 2 * WORD, 1, after_step(&image, step));
    size_t sigmoids = 0;
    for (size_t i = 0; i < image.at.step_count; i++)
        sigmoids += word_at(&image, image.at.steps[i]) == HOMESTEP_NUMBER_softmax &&
                    word_at(&image, image.at.steps[i] + 2 * WORD) == 1;
    CHECK(sigmoids > 0); /* and such an image opens */
    free(image.bytes);
}

/* x, the branches and, of more than one, their weights. */
static void a_feature_gate_has_branches_and_their_weights(void) {
    forged image = home_image();
    const size_t step = find_step(&image, &homestep_feature_gate, 4);
    const size_t count = (size_t)word_at(&image, step + 4 * WORD);
    REQUIRE(count == 4);
    for (size_t fewer = 0; fewer < count; fewer++)
        if (fewer != 2)
            refuse_inputs(&image, "inputs of a feature gate", step, fewer);
    const size_t width = width_of(&image, step, 0);
    for (size_t i = 0; i < 3; i++)
        refuse_width(&image, "x and branches", step, i, width - 1);
    refuse_width(&image, "weights of branches", step, 3, 1);
    free(image.bytes);
}

static void a_constant_has_no_input(void) {
    forged image = adatt_image();
    refuse_inputs(&image, "constant", find_step(&image, &homestep_constant, 0), 1);
    free(image.bytes);
}

static void a_mixture_has_pairs_of_experts_and_weights(void) {
    forged image = home_image();
    const size_t step = find_step(&image, &homestep_mix, 4);
    const size_t width = width_of(&image, step, 0);
    refuse_inputs(&image, "no pair", step, 0);
    refuse_inputs(&image, "half a pair", step, 1);
    refuse_inputs(&image, "one pair and a half", step, 3);
    refuse_width(&image, "first expert", step, 0, width - 1);
    refuse_width(&image, "second expert", step, 2, width - 1);
    refuse_width(&image, "first weight", step, 1, 2);
    free(image.bytes);
}

/* -------------------------------------------------------------------------------------- weights */

static void weights_fill_the_image(void) {
    forged image = home_image();
    const size_t table = image.at.tables[0];
    const size_t weights = image.at.weights;
    const uint64_t dim = word_at(&image, table + WORD);
    REQUIRE(dim > 1);
    refuse_word(&image, "bytes of a table", table, SIZE_MAX / dim, weights);
    refuse_word(&image, "floats past the end", table, (image.size - weights) / 4 / dim + 1,
                weights);
    forged longer = copy_of(&image);
    longer.size += HOME_ALIGNMENT;
    expect_refusal(longer, "a line too many", image.size);
    /* More floats than a size_t counts: found before the gap in front of the table. */
    forged huge = copy_of(&image);
    home_error error;
    unsigned long long byte = 0;
    put_word(&huge, table, SIZE_MAX);
    CHECK_INTEGER(open_forged(&huge, &error), HOME_E_FORMAT);
    const char *number = strstr(error.message, "at byte ");
    if (CHECK(number != NULL))
        byte = strtoull(number + strlen("at byte "), NULL, 10);
    CHECK(byte <= weights && byte + HOME_ALIGNMENT > weights);
    free(huge.bytes);
    free(image.bytes);
}

int main(void) {
    RUN(images_open_as_they_are);
    RUN(counts_keep_to_the_size_of_the_image);
    RUN(settings_keep_to_their_bounds);
    RUN(buffers_keep_to_their_bounds);
    RUN(views_lie_in_their_buffers);
    RUN(widths_of_what_is_read_and_written_fit);
    RUN(tasks_keep_to_their_bounds);
    RUN(texts_end_where_they_say);
    RUN(tables_keep_to_their_bounds);
    RUN(fields_keep_to_their_bounds);
    RUN(an_input_vector_may_be_as_wide_as_any);
    RUN(a_plan_has_buffers);
    RUN(fields_have_a_table);
    RUN(kinds_serve_and_have_their_inputs);
    RUN(a_linear_step_has_one_input);
    RUN(inputs_that_are_added_up_are_as_wide_as_the_sum);
    RUN(a_sigmoid_has_one_column);
    RUN(a_feature_gate_has_branches_and_their_weights);
    RUN(a_constant_has_no_input);
    RUN(a_mixture_has_pairs_of_experts_and_weights);
    RUN(weights_fill_the_image);
    return test_summary();
}
