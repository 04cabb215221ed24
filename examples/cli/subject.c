#include "subject.h"

#include "checkpoint.h"
#include "kind.h"
#include "limit.h"
#include "output.h"

#include <string.h>

static const char *const names[] = {"MODEL", "DATA"};

/* The files that the command line names; those of options that are not given have no path. */
typedef struct named_files {
    named_file files[SUBJECT_MAX_OPTIONS + 2];
    char names[SUBJECT_MAX_OPTIONS][32]; /* "--output" */
    size_t count;
} named_files;

static void list_files(named_files *made, const char *const *operands, const option *options) {
    made->count = 0;
    for (; options->name; options++) {
        if (options->file == OPTION_NO_FILE)
            continue;
        char *name = made->names[made->count];
        snprintf(name, sizeof made->names[0], "--%s", options->name);
        made->files[made->count++] = (named_file){
            .name = name, .path = *options->text, .written = options->file == OPTION_FILE_WRITTEN};
    }
    for (size_t i = 0; i < 2; i++)
        made->files[made->count++] = (named_file){.name = names[i], .path = operands[i]};
}

/* A result that could not be written is noticed before the work that it costs. */
static bool check_written(const named_files *all, failure *why) {
    for (size_t i = 0; i < all->count; i++) {
        const named_file *file = &all->files[i];
        if (file->written && file->path && !output_check(file->path, why))
            return false;
    }
    return true;
}

/* The options of all these commands. */
typedef struct common {
    uint64_t threads;
    uint64_t memory_limit; /* in MiB, 0: the usual one */
} common;

static bool read_words(char *const *words, int count, const option *options, const char **operands,
                       common *made, failure *why) {
    const option more[] = {{.name = "threads", .whole = &made->threads, .min = 1, .max = 1024},
                           {.name = "memory-limit", .whole = &made->memory_limit, .min = 1},
                           {.name = NULL}};
    option all[SUBJECT_MAX_OPTIONS + sizeof more / sizeof more[0]];
    size_t used = 0;
    for (; options[used].name; used++)
        all[used] = options[used];
    memcpy(all + used, more, sizeof more);
    *made = (common){.threads = 1};
    return options_read(words, count, all, names, operands, 2, why) &&
           options_no_dash(names[0], operands[0], why);
}

static bool set_threads(subject *made, uint64_t threads, failure *why) {
    home_error error = {.struct_size = sizeof error};
    made->by.training.threads = threads;
    return home_model_set_threads(made->model, (size_t)threads, &error) == HOME_OK ||
           fail_library(why, "--threads", &error);
}

outcome subject_open(subject *made, char *const *words, int count, const option *options,
                     failure *why) {
    const char *operands[2];
    named_files all;
    common of_all;
    if (!read_words(words, count, options, operands, &of_all, why))
        return OUTCOME_USAGE;
    if (!kind_check_checkpoint(operands[0], "MODEL and DATA in this order", why))
        return OUTCOME_USAGE;
    list_files(&all, operands, options);
    if (!output_check_apart(all.files, all.count, why))
        return OUTCOME_USAGE;
    limit_set(of_all.memory_limit);
    *made = (subject){.model_path = operands[0], .data_path = operands[1]};
    if (!check_written(&all, why) ||
        !checkpoint_open(made->model_path, &made->model, &made->by, why))
        return OUTCOME_FAILED;
    if (set_threads(made, of_all.threads, why))
        return OUTCOME_DONE;
    subject_close(made);
    return OUTCOME_FAILED;
}

void subject_close(subject *of) {
    recipe_free(&of->by);
    home_model_release(of->model);
}
