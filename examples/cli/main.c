/* home - trains, evaluates and serves HoME models on CSV files. */
#include "commands.h"
#include "interrupt.h"
#include "print.h"

#include "home/home.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: home train RECIPE.json --train DATA.csv[.gz] --output MODEL.safetensors [options]\n"
    "       home eval MODEL.safetensors DATA.csv[.gz] [--json RESULT.json] [options]\n"
    "       home predict MODEL.safetensors DATA.csv[.gz] [--output PREDICTIONS.csv] [options]\n"
    "       home info MODEL.safetensors\n"
    "       home inspect MODEL.safetensors DATA.csv[.gz] [options]\n"
    "       home report MODEL.safetensors DATA.csv[.gz] --output REPORT.html [options]\n"
    "       home COMMAND --help\n"
    "       home --help | --version\n"
    "\n"
    "Trains HoME, a model that predicts many behaviours of a user on an item, and uses it.\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. More in docs/cli.md.\n";

static const command *find_command(const char *name) {
    static const command *const commands[] = {&train_command, &eval_command,    &predict_command,
                                              &info_command,  &inspect_command, &report_command};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool asks_for_help(char *const *words, int count) {
    for (int i = 0; i < count && strcmp(words[i], "--") != 0; i++) {
        if (is_help(words[i]))
            return true;
    }
    return false;
}

/* A full disk behind standard output shows here at the latest. */
static outcome flush_output(outcome so_far, failure *why) {
    if (so_far != OUTCOME_DONE || (fflush(stdout) == 0 && !ferror(stdout)))
        return so_far;
    fail_system(why, "standard output", "write");
    return OUTCOME_FAILED;
}

static int run(const command *chosen, char *const *words, int count) {
    failure why = {""};
    interrupt_catch();
    const outcome result = flush_output(chosen->run(words, count, &why), &why);
    if (result == OUTCOME_DONE)
        return OUTCOME_DONE;
    print_line(stderr, "home %s: %s", chosen->name, why.text);
    if (result == OUTCOME_USAGE)
        print_line(stderr, "Try \"home %s --help\".", chosen->name);
    return result == OUTCOME_FAILED && interrupted() ? 130 : (int)result;
}

static int print(const char *text) {
    return fputs(text, stdout) < 0 || fflush(stdout) != 0 ? OUTCOME_FAILED : OUTCOME_DONE;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fputs(help, stderr);
        return OUTCOME_USAGE;
    }
    const bool asked = strcmp(argv[1], "help") == 0; /* "home help", "home help train" */
    if (is_help(argv[1]) || (asked && argc == 2))
        return print(help);
    if (strcmp(argv[1], "--version") == 0) {
        printf("home %s\n", home_version_string());
        return print("");
    }
    const char *name = argv[asked ? 2 : 1];
    const command *chosen = find_command(name);
    if (!chosen) {
        print_line(stderr,
                   "home: \"%s\": no such command; expected train, eval, predict, info, inspect "
                   "or report",
                   name);
        return OUTCOME_USAGE;
    }
    if (asked || asks_for_help(argv + 2, argc - 2))
        return print(chosen->usage);
    return run(chosen, argv + 2, argc - 2);
}
