#include "blame.h"

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

/* Tasks and fields come from the recipe's "labels" and "ids", all else from its "model". */
static trail start(const recipe *by, const char *path) {
    static const char *const names[][2] = {{"tasks[", "labels"}, {"fields[", "ids"}};
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

/* The library's structs are flatter than the recipe: layer_count and tower_hidden belong to
 * "layers" and "tower", and norm_epsilon to "experts". */
static const homejson_value *find_section(const homejson_value *object, const char *name,
                                          size_t length) {
    const size_t word = strcspn(name, "_");
    const homejson_value *section =
        object->type == HOME_JSON_OBJECT && word < length ? object->first : NULL;
    while (section && strncmp(section->key, name, word) != 0 && !find_member(section, name, length))
        section = section->next;
    return section;
}

/* The member of a section that the library calls `name`: norm_epsilon has its full name there,
 * self_gate_hidden and expert_norm lack the section's name or its first word. NULL where the recipe
 * does not have it. */
static const homejson_value *find_inside(const homejson_value *section, const char *name,
                                         size_t length) {
    const homejson_value *whole = find_member(section, name, length);
    const size_t key = section->key_length;
    const bool has_key = key < length && strncmp(name, section->key, key) == 0 && name[key] == '_';
    const size_t skipped = (has_key ? key : strcspn(name, "_")) + 1;
    return whole || skipped > length ? whole
                                     : find_member(section, name + skipped, length - skipped);
}

bool blame_recipe(const recipe *by, const char *message, failure *why) {
    static const char root[] = "config.";
    char text[600];
    if (strncmp(message, root, strlen(root)) != 0)
        return fail(why, "%s: the model: %s", by->doc.name, message);
    trail t = start(by, message + strlen(root));
    size_t length;
    while ((length = name_length(t.left)) > 0 && enter_member(&t, t.left, length)) {
    }
    const homejson_value *section = find_section(t.value, t.left, length);
    const homejson_value *inside = section ? find_inside(section, t.left, length) : NULL;
    if (inside)
        snprintf(text, sizeof text, "%s.%s.%s%s", t.path, section->key, inside->key,
                 t.left + length);
    else if (section && section->type == HOME_JSON_ARRAY)
        snprintf(text, sizeof text, "the length of %s.%s%s", t.path, section->key, t.left + length);
    else if (section)
        snprintf(text, sizeof text, "%s.%s: %s", t.path, section->key, t.left);
    else
        snprintf(text, sizeof text, "%s%s%s", t.path, length ? ": " : "", t.left);
    const homejson_value *place = inside ? inside : section;
    return document_complain(&by->doc, place ? place : t.value, text, why);
}
