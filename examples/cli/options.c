#include "options.h"

#include "number.h"

#include <inttypes.h>
#include <string.h>

/* The option named by a word without its dashes, up to "=" or the end. */
static const option *find_option(const option *options, const char *word) {
    const size_t length = strcspn(word, "=");
    for (; options->name; options++) {
        if (strlen(options->name) == length && strncmp(options->name, word, length) == 0)
            return options;
    }
    return NULL;
}

static bool take_value(const option *of, const char *value, failure *why) {
    if (of->text) {
        *of->text = value;
        return *value || fail(why, "--%s: nothing; expected a value", of->name);
    }
    const uint64_t max = of->max ? of->max : UINT32_MAX;
    uint64_t number;
    if (!number_read_whole(value, &number) || number < of->min || number > max)
        return fail(why, "--%s: \"%s\"; expected a whole number from %" PRIu64 " to %" PRIu64,
                    of->name, value, of->min, max);
    *of->whole = number;
    return true;
}

/* Takes the option at words[*at], and the next word where that is its value. *taken has a bit for
 * each option. */
static bool take_option(char *const *words, int count, int *at, const option *options,
                        uint32_t *taken, failure *why) {
    const option *of = find_option(options, words[*at] + 2);
    if (!of)
        return fail(why, "%s: no such option", words[*at]);
    const uint32_t bit = UINT32_C(1) << (of - options);
    if (*taken & bit)
        return fail(why, "--%s: given twice; expected it once", of->name);
    *taken |= bit;
    const char *equals = strchr(words[*at], '=');
    if (of->flag) {
        *of->flag = true;
        return !equals || fail(why, "--%s: \"%s\"; expected no value", of->name, equals + 1);
    }
    if (equals)
        return take_value(of, equals + 1, why);
    if (*at + 1 == count)
        return fail(why, "--%s: nothing; expected a value", of->name);
    return take_value(of, words[++*at], why);
}

static bool check_required(const option *options, failure *why) {
    for (; options->name; options++) {
        if (options->required && !*options->text)
            return fail(why, "no --%s given; expected %s", options->name, options->required);
    }
    return true;
}

bool options_is_dash(const char *path) {
    return path && strcmp(path, "-") == 0;
}

bool options_no_dash(const char *name, const char *path, failure *why) {
    return !options_is_dash(path) ||
           fail(why, "%s: \"-\"; expected the name of a file; \"./-\" is a file called so", name);
}

bool options_read(char *const *words, int count, const option *options,
                  const char *const *operand_names, const char **operands, size_t operand_count,
                  failure *why) {
    size_t found = 0;
    uint32_t taken = 0;
    bool only_operands = false;
    for (int at = 0; at < count; at++) {
        if (!only_operands && strcmp(words[at], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && words[at][0] == '-' && words[at][1] != 0) {
            if (strncmp(words[at], "--", 2) != 0)
                return fail(why, "%s: no such option", words[at]);
            if (!take_option(words, count, &at, options, &taken, why))
                return false;
        } else {
            if (found == operand_count)
                return fail(why, "\"%s\": one word too many", words[at]);
            operands[found++] = words[at];
        }
    }
    if (found < operand_count)
        return fail(why, "no %s given", operand_names[found]);
    return check_required(options, why);
}
