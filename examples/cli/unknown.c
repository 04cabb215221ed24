#include "unknown.h"

#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ------------------------------------------------------------------------------ other spellings */

enum { SPELLING = sizeof((unknown_ids *)NULL)->known };

static bool copy(char other[SPELLING], const char *text, size_t length) {
    memcpy(other, text, length);
    other[length] = 0;
    return length > 0;
}

static bool trim(const char *text, size_t attempt, char other[SPELLING]) {
    static const char space[] = " \t\r\n";
    (void)attempt;
    text += strspn(text, space);
    size_t length = strlen(text);
    while (length > 0 && strchr(space, text[length - 1]))
        length--;
    return copy(other, text, length);
}

static const char digits[] = "0123456789";

/* 7.0, +7 and 007 as 7. */
static bool make_whole(const char *text, size_t attempt, char other[SPELLING]) {
    (void)attempt;
    const char *sign = *text == '-' ? "-" : "";
    text += *text == '-' || *text == '+';
    text += strspn(text, "0");
    const size_t length = strspn(text, digits);
    const char *rest = text + length;
    const char *end = rest + (*rest == '.');
    end += strspn(end, "0");
    return *end == 0 && snprintf(other, SPELLING, "%s%.*s", sign, length ? (int)length : 1,
                                 length ? text : "0") < SPELLING;
}

/* 7 as 7.0. */
static bool make_fraction(const char *text, size_t attempt, char other[SPELLING]) {
    (void)attempt;
    return text[strspn(text, digits)] == 0 && snprintf(other, SPELLING, "%s.0", text) < SPELLING;
}

/* 7 as 07, 007 and so on. */
static bool pad(const char *text, size_t attempt, char other[SPELLING]) {
    return text[strspn(text, digits)] == 0 && snprintf(other, SPELLING, "%.*s%s", (int)attempt + 1,
                                                       "0000000000000000", text) < SPELLING;
}

static char small(char c) {
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static char capital(char c) {
    return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

/* As user7, USER7 and User7. */
static bool change_case(const char *text, size_t attempt, char other[SPELLING]) {
    copy(other, text, strlen(text));
    for (char *at = other; *at; at++) {
        if (attempt == 1 || (attempt == 2 && at == other))
            *at = capital(*at);
        else
            *at = small(*at);
    }
    return true;
}

static bool unquote(const char *text, size_t attempt, char other[SPELLING]) {
    const size_t length = strlen(text);
    (void)attempt;
    return length > 2 && (*text == '"' || *text == '\'') && text[length - 1] == *text &&
           copy(other, text + 1, length - 2);
}

static bool take_first(const char *text, size_t attempt, char other[SPELLING]) {
    const size_t length = strcspn(text, "|;, \t/");
    (void)attempt;
    return text[length] != 0 && copy(other, text, length);
}

/* Looks for a spelling of a short text that is known. */
static bool find_spelling(unknown_ids *to, const vocabulary *values, const char *text) {
    static const struct {
        bool (*make)(const char *text, size_t attempt, char other[SPELLING]);
        size_t attempts;
        const char *question;
    } spellings[] = {{trim, 1, "is there space around the ids?"},
                     {make_whole, 1, "are the ids written as numbers?"},
                     {make_fraction, 1, "were they written as numbers in training?"},
                     {pad, 16, "have the ids lost their zeros in front?"},
                     {change_case, 3, "are the ids written in other letters?"},
                     {unquote, 1, "are the ids in quotes once more?"},
                     {take_first, 1, "are there several ids in a field?"}};
    char other[SPELLING];
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        for (size_t attempt = 0; attempt < spellings[i].attempts; attempt++) {
            if (!spellings[i].make(text, attempt, other) ||
                !vocabulary_find(values, other, strlen(other)))
                continue;
            copy(to->known, other, strlen(other));
            to->question = spellings[i].question;
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------------------------------- count */

/* Among these first unknown ids a spelling is looked for: it costs more than the look-up itself. */
enum { TRIED = 100 };

static void keep_example(unknown_ids *to, const vocabulary *values, const char *text,
                         size_t length) {
    char id[SPELLING] = "";
    const bool whole = length < sizeof id;
    copy(id, text, whole ? length : sizeof id - 1);
    if ((whole && find_spelling(to, values, id)) || to->unknown == 1)
        memcpy(to->example, id, sizeof id);
}

uint32_t unknown_find(unknown_ids *to, const vocabulary *values, const char *text, size_t length) {
    const uint32_t row = length ? vocabulary_find(values, text, length) : 0;
    to->empty += length == 0;
    to->ids += length > 0;
    to->unknown += length > 0 && row == 0;
    if (length > 0 && row == 0 && to->unknown <= TRIED && !to->question)
        keep_example(to, values, text, length);
    return row;
}

double unknown_share(const unknown_ids *of) {
    return of->ids ? (double)of->unknown / (double)of->ids : (double)NAN;
}

bool unknown_many(const unknown_ids *of) {
    return unknown_share(of) > UNKNOWN_MANY;
}

/* ----------------------------------------------------------------------------------------- tell */

void unknown_print(const unknown_ids *of, const recipe *by, FILE *to) {
    bool any = false;
    for (size_t f = 0; f < by->field_count; f++) {
        if (of[f].unknown == 0)
            continue;
        if (!any)
            print_line(to, "%-18s  %9s  %9s  %8s  %s", "ids of column", "ids", "unknown", "share",
                       "for example");
        print_line(to, "%-18s  %9" PRIu64 "  %9" PRIu64 "  %6.1f %%  %s", by->fields[f].column,
                   of[f].ids, of[f].unknown, 100 * unknown_share(&of[f]), of[f].example);
        any = true;
    }
    if (any)
        print_end(to);
}

static void warn(const unknown_ids *of, const char *column, const char *path) {
    print_part(stderr,
               "home: warning: %s: column \"%s\": %" PRIu64 " of %" PRIu64
               " ids (%.1f %%, more than %.0f %%) are unknown to the model, ",
               path, column, of->unknown, of->ids, 100 * unknown_share(of), 100 * UNKNOWN_MANY);
    if (of->question)
        print_line(stderr, "\"%s\" too, but \"%s\" is known: %s", of->example, of->known,
                   of->question);
    else
        print_line(stderr, "for example \"%s\"", of->example);
}

void unknown_warn(const unknown_ids *of, const recipe *by, const char *path) {
    for (size_t f = 0; f < by->field_count; f++) {
        if (unknown_many(&of[f]))
            warn(&of[f], by->fields[f].column, path);
    }
}

void unknown_json(const unknown_ids *of, const recipe *by, hometext *text) {
    hometext_add(text, "{");
    for (size_t f = 0; f < by->field_count; f++) {
        hometext_add(text, f ? ", " : "");
        hometext_add_string(text, by->fields[f].column);
        hometext_add(text, ": {\"ids\": ");
        hometext_add_integer(text, of[f].ids);
        hometext_add(text, ", \"empty\": ");
        hometext_add_integer(text, of[f].empty);
        hometext_add(text, ", \"unknown\": ");
        hometext_add_integer(text, of[f].unknown);
        hometext_add(text, "}");
    }
    hometext_add(text, "}");
}
