/* Errors of a configuration: which place they name, and who hears of them. */
#include "reader.h"

#include "../base/fail.h"
#include "../base/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------------------------------- places */

/* The fields of the object that is being read. */
static const homefield *fields_here(const homereader *in) {
    const homefield *field = in->depth ? in->places[in->depth - 1].field : NULL;
    return field && field->fields ? field->fields : homefields_model;
}

void homereader_enter(homereader *in, const char *member, size_t index) {
    const homefield *section;
    const homefield *field = homefield_find(fields_here(in), member, &section);
    in->places[in->depth++] = (homereader_place){field, index};
}

void homereader_leave(homereader *in) {
    in->depth--;
}

/* Adds to in->path. */
static void add(homereader *in, const char *name, size_t index) {
    size_t used = strlen(in->path);
    snprintf(in->path + used, sizeof in->path - used, "%s%s", used && *name ? "." : "", name);
    used = strlen(in->path);
    if (index != HOME_NONE)
        snprintf(in->path + used, sizeof in->path - used, "[%zu]", index);
}

/* A field by the name that the caller knows: `member`, which its table may not have. */
static void add_field(homereader *in, const homefield *fields, const char *member, size_t index) {
    const homefield *section;
    const homefield *field = homefield_find(fields, member, &section);
    if (in->json && section)
        add(in, section->key, HOME_NONE);
    add(in, in->json && field && field->key ? field->key : member, index);
}

const char *homereader_path(homereader *in, const char *member) {
    const homefield *fields = homefields_model;
    snprintf(in->path, sizeof in->path, "%s", in->json ? "" : "config");
    for (size_t i = 0; i < in->depth; i++) {
        const homereader_place *place = &in->places[i];
        if (in->json || place->field->type != HOME_FIELD_SECTION)
            add_field(in, fields, place->field->member, place->index);
        if (place->field->fields)
            fields = place->field->fields;
    }
    if (member)
        add_field(in, fields, member, HOME_NONE);
    return in->path;
}

/* ------------------------------------------------------------------------------- known mistakes */

/* A set of hashes: open addressing, at most half full. */
static size_t find_fault(const homereader *in, uint64_t hash) {
    size_t i = (size_t)hash & (in->fault_capacity - 1);
    while (in->faults[i] && in->faults[i] != hash)
        i = (i + 1) & (in->fault_capacity - 1);
    return i;
}

static bool is_fault(const homereader *in, uint64_t hash) {
    return in->fault_count > 0 && in->faults[find_fault(in, hash)] == hash;
}

static bool grow_faults(homereader *in) {
    const homereader before = *in;
    in->fault_capacity = before.fault_capacity ? 2 * before.fault_capacity : 64;
    in->faults = homearena_take(in->arena, in->fault_capacity, sizeof *in->faults);
    if (!in->faults) {
        in->faults = before.faults;
        in->fault_capacity = before.fault_capacity;
        return false;
    }
    for (size_t i = 0; i < before.fault_capacity; i++)
        if (before.faults[i])
            in->faults[find_fault(in, before.faults[i])] = before.faults[i];
    return true;
}

/* The hash of a path so far, with one byte more. */
static uint64_t hash_byte(uint64_t hash, char byte) {
    return homehash_mix64(hash ^ (unsigned char)byte) | 1;
}

static void remember(homereader *in, const char *path) {
    uint64_t hash = 1;
    for (const char *c = path; *c; c++)
        hash = hash_byte(hash, *c);
    if (2 * in->fault_count >= in->fault_capacity && !grow_faults(in)) {
        homereader_fail_memory(in);
        return;
    }
    in->faults[find_fault(in, hash)] = hash;
    in->fault_count++;
}

/* Whether an error has named this path, or one that leads to it. */
static bool is_known(const homereader *in, const char *path) {
    uint64_t hash = 1;
    for (const char *c = path; *c; c++) {
        hash = hash_byte(hash, *c);
        if ((c[1] == '.' || c[1] == '[' || !c[1]) && is_fault(in, hash))
            return true;
    }
    return false;
}

/* Sets in->failed for the field of the model that is being read, or for `member` of it. */
static void mark_failed(homereader *in, const char *member) {
    const char *name = in->depth ? in->places[0].field->member : member;
    const homefield *section;
    const homefield *field = name ? homefield_find(homefields_model, name, &section) : NULL;
    if (field && !section)
        in->failed[field - homefields_model] = true;
}

bool homereader_failed_in(const homereader *in, const char *member) {
    const homefield *section;
    const homefield *field = homefield_find(homefields_model, member, &section);
    return field && in->failed[field - homefields_model];
}

/* -------------------------------------------------------------------------------------- failing */

/* The first error is the caller's; each goes to whoever hears of all. */
static void take_note(homereader *in, const char *path, const home_error *found) {
    in->error_count++;
    if (in->status == HOME_OK) {
        in->status = found->status;
        homefail(in->error, found->status, "%s", found->message);
    }
    if (!in->report || in->report(in->user, path, found) != 0)
        in->stopped = true;
}

void homereader_fail_memory(homereader *in) {
    home_error found = {.struct_size = sizeof found};
    if (in->arena->limited)
        homefail(&found, HOME_E_TOO_LARGE,
                 "the configuration alone takes more than %zu bytes (memory_limit)",
                 in->arena->limit);
    else
        homefail_memory(&found);
    if (!in->stopped)
        take_note(in, "", &found);
    in->stopped = true;
}

void homereader_fail_as(homereader *in, const char *path, const home_error *found) {
    if (in->stopped || is_known(in, path))
        return;
    mark_failed(in, NULL);
    take_note(in, path,
              found); /* before what may run out of memory, which is an error of its own */
    if (!*path)       /* of the whole: there is nothing left to look at */
        in->stopped = true;
    else if (in->report && !in->stopped)
        remember(in, path);
}

static void fail_with(homereader *in, home_status status, const char *path, const char *rest) {
    home_error found = {.struct_size = sizeof found};
    homefail(&found, status, "%s%s%s", *path ? path : "the configuration",
             *rest == ':' || *rest == '.' ? "" : " ", rest);
    homereader_fail_as(in, path, &found);
}

void homereader_fail(homereader *in, home_status status, const char *member, const char *format,
                     ...) {
    char rest[sizeof((home_error *)NULL)->message];
    va_list arguments;
    if (in->stopped)
        return;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    mark_failed(in, member);
    fail_with(in, status, homereader_path(in, member), rest);
}

void homereader_fail_at(homereader *in, home_status status, const char *path, const char *format,
                        ...) {
    char rest[sizeof((home_error *)NULL)->message];
    va_list arguments;
    if (in->stopped)
        return;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    fail_with(in, status, path, rest);
}
