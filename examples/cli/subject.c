#include "subject.h"

#include "checkpoint.h"
#include "kind.h"
#include "output.h"

static const char *const names[] = {"MODEL", "DATA"};

/* The files that the command line names; those of options that are not given have no path. */
typedef struct named_files {
    named_file files[SUBJECT_MAX_FILES + 2];
    char names[SUBJECT_MAX_FILES][32]; /* "--output" */
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

outcome subject_open(subject *made, char *const *words, int count, const option *options,
                     failure *why) {
    const char *operands[2];
    named_files all;
    if (!options_read(words, count, options, names, operands, 2, why) ||
        !options_no_dash(names[0], operands[0], why))
        return OUTCOME_USAGE;
    if (!kind_check_checkpoint(operands[0], "MODEL and DATA in this order", why))
        return OUTCOME_USAGE;
    list_files(&all, operands, options);
    if (!output_check_apart(all.files, all.count, why))
        return OUTCOME_USAGE;
    *made = (subject){.model_path = operands[0], .data_path = operands[1]};
    if (!check_written(&all, why) ||
        !checkpoint_open(made->model_path, &made->model, &made->by, why))
        return OUTCOME_FAILED;
    return OUTCOME_DONE;
}

void subject_close(subject *of) {
    recipe_free(&of->by);
    home_model_release(of->model);
}
