/* For tables of faults: no two of them may give the same message. */
#ifndef TESTS_FAULTS_MESSAGES_H
#define TESTS_FAULTS_MESSAGES_H

#include "test.h"

#include "home/home.h"

enum { MAX_MESSAGES = 400 };

static struct {
    char name[100];
    char message[sizeof((home_error *)0)->message];
} seen_messages[MAX_MESSAGES];
static size_t seen_count;

static inline void check_own_message(const char *message) {
    for (size_t i = 0; i < seen_count; i++)
        if (strcmp(seen_messages[i].message, message) == 0)
            test_fail(__FILE__, __LINE__, "the same message as %s: %s", seen_messages[i].name,
                      message);
    REQUIRE(seen_count < MAX_MESSAGES);
    snprintf(seen_messages[seen_count].name, sizeof seen_messages->name, "%.99s", test_state.name);
    snprintf(seen_messages[seen_count].message, sizeof seen_messages->message, "%s", message);
    seen_count++;
}

/* text with the first `from` replaced by `to`; malloc'd. */
static inline char *replace_first(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at)
        printf("there is no %s\n", from);
    REQUIRE(at);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    REQUIRE(out);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

#endif
