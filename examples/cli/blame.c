#include "blame.h"

#include "print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far the path of a message was followed: the value reached, its path in the recipe, and the
 * rest of the message. */
typedef struct trail {
    const homejson_value *value;
    char path[200];
    const char *left;
} trail;

static void append(trail *t, const char *between, const char *name, size_t length) {
    const size_t used = strlen(t->path);
    snprintf(t->path + used, sizeof t->path - used, "%s%.*s", used ? between : "", (int)length,
             name);
}

static size_t name_length(const char *text) {
    return strcspn(text, ".[: ");
}

static const homejson_value *find_member(const homejson_value *object, const char *name,
                                         size_t length) {
    const homejson_value *member = object->type == HOME_JSON_OBJECT ? object->first : NULL;
    while (member && (member->key_length != length || memcmp(member->key, name, length) != 0))
        member = member->next;
    return member;
}

/* Follows "[2]". Where there is no such entry, nothing changes. */
static void enter_entry(trail *t) {
    char *end;
    if (*t->left != '[')
        return;
    const unsigned long index = strtoul(t->left + 1, &end, 10);
    const homejson_value *entry = t->value->first;
    for (unsigned long i = 0; entry && i < index; i++)
        entry = entry->next;
    if (!entry)
        return;
    append(t, "", t->left, (size_t)(end + 1 - t->left));
    t->value = entry;
    t->left = end + 1;
}

/* Goes from a value to its member, `name` in the recipe. False where it has none. */
static bool enter_member(trail *t, const char *name, size_t length) {
    const homejson_value *member = find_member(t->value, name, length);
    if (!member)
        return false;
    append(t, ".", name, length);
    t->value = member;
    t->left += name_length(t->left);
    enter_entry(t);
    t->left += *t->left == '.';
    return true;
}

/* Tasks and fields come from the recipe's "labels" and "ids", dense values from its "dense", all
 * else from its "model". */
static trail start(const recipe *by, const char *path) {
    static const char *const names[][2] = {
        {"tasks[", "labels"}, {"fields[", "ids"}, {"dense ", "dense"}};
    trail t = {by->root, "", path};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(path, names[i][0], strlen(names[i][0])) == 0 &&
            enter_member(&t, names[i][1], strlen(names[i][1])))
            return t;
    }
    t.value = by->model;
    append(&t, "", "model", strlen("model"));
    return t;
}

/* A table is what the first of the recipe's "ids" that uses it makes it: "tables[0].dim is .." to
 * "fields[2].dim is ..". */
static const char *by_field(const recipe *by, const char *message, char *text, size_t room) {
    static const char name[] = "tables[";
    char *end;
    if (strncmp(message, name, strlen(name)) != 0)
        return message;
    const unsigned long table = strtoul(message + strlen(name), &end, 10);
    for (size_t i = 0; i < by->field_count && *end == ']'; i++) {
        if (by->fields[i].table == table) {
            snprintf(text, room, "fields[%zu%s", i, end);
            return text;
        }
    }
    return message;
}

/* Finds the place of a message that begins with its path. */
static void place(const recipe *by, const char *message, failure *why) {
    char renamed[300];
    char text[600];
    trail t = start(by, by_field(by, message, renamed, sizeof renamed));
    size_t length;
    while ((length = name_length(t.left)) > 0 && enter_member(&t, t.left, length)) {
    }
    snprintf(text, sizeof text, "%s%s%s", t.path, length ? "." : "", t.left);
    document_complain(&by->doc, t.value, text, why);
}

typedef struct search {
    const recipe *by;
    failure *why; /* the last error found */
    size_t found;
} search;

/* Each error is a line of its own. main() prints the last. */
static int32_t take(void *user, const char *where, const home_error *found) {
    search *s = user;
    if (s->found++ > 0)
        print_line(stderr, "home train: %s", s->why->text);
    if (*where)
        place(s->by, found->message, s->why);
    else
        fail(s->why, "%s: the model: %s", s->by->doc.name, found->message);
    return 0;
}

bool blame_recipe(const recipe *by, const hometext *configuration, const home_error *error,
                  failure *why) {
    search s = {.by = by, .why = why};
    home_config_check_json(configuration->data, configuration->length, NULL, take, &s, NULL);
    return s.found > 0 ? false : fail(why, "%s: the model: %s", by->doc.name, error->message);
}
