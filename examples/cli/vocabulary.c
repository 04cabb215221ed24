#include "vocabulary.h"

#include "heap.h"
#include "keyed.h"

#include "home/home.h"

#include <string.h>

/* FNV-1a, then the library's mixing of ids. */
uint64_t vocabulary_hash(const char *text, size_t length) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    return home_hash_id(hash, UINT64_MAX);
}

/* The slot that holds the text, or the free one where it belongs. The table is never full. */
static uint32_t *find_slot(const vocabulary *of, const char *text, size_t length, uint64_t hash) {
    const size_t mask = of->slot_count - 1;
    for (size_t at = (size_t)hash & mask;; at = (at + 1) & mask) {
        if (of->slots[at] == 0)
            return &of->slots[at];
        const vocabulary_entry *entry = &of->entries[of->slots[at] - 1];
        if (entry->hash == hash && entry->length == length &&
            memcmp(of->bytes + entry->offset, text, length) == 0)
            return &of->slots[at];
    }
}

uint32_t vocabulary_find(const vocabulary *of, const char *text, size_t length) {
    return of->count ? *find_slot(of, text, length, keyed_hash(text, length)) : 0;
}

/* Puts all entries into a new table of slot_count slots. */
static bool rebuild_slots(vocabulary *of, size_t slot_count) {
    uint32_t *slots = heap_new(slot_count, sizeof *slots);
    if (!slots)
        return false;
    heap_free(of->slots);
    of->slots = slots;
    of->slot_count = slot_count;
    for (size_t i = 0; i < of->count; i++) {
        const vocabulary_entry *entry = &of->entries[i];
        *find_slot(of, of->bytes + entry->offset, entry->length, entry->hash) = (uint32_t)(i + 1);
    }
    return true;
}

static bool make_room(vocabulary *to, size_t length) {
    if (to->count >= UINT32_MAX - 1)
        return false;
    char *bytes = heap_grow(to->bytes, &to->byte_capacity, to->byte_count + length + 1, 1);
    if (!bytes)
        return false;
    to->bytes = bytes;
    vocabulary_entry *entries =
        heap_grow(to->entries, &to->capacity, to->count + 1, sizeof *entries);
    if (!entries)
        return false;
    to->entries = entries;
    if (2 * (to->count + 1) <= to->slot_count)
        return true;
    return rebuild_slots(to, to->slot_count ? 2 * to->slot_count : 64);
}

static uint32_t append(vocabulary *to, const char *text, size_t length, uint64_t hash) {
    memcpy(to->bytes + to->byte_count, text, length);
    to->bytes[to->byte_count + length] = 0;
    to->entries[to->count] = (vocabulary_entry){to->byte_count, length, hash, 0, 0};
    to->byte_count += length + 1;
    return (uint32_t)++to->count;
}

uint32_t vocabulary_add(vocabulary *to, const char *text, size_t length, size_t record) {
    const uint64_t hash = keyed_hash(text, length);
    uint32_t row = to->count ? *find_slot(to, text, length, hash) : 0;
    if (row == 0) {
        if (!make_room(to, length))
            return 0;
        row = append(to, text, length, hash);
        *find_slot(to, text, length, hash) = row;
    }
    vocabulary_entry *entry = &to->entries[row - 1];
    entry->records += entry->last_record != record;
    entry->last_record = record;
    return row;
}

/* Texts only move towards the front, so they can move one by one. */
bool vocabulary_prune(vocabulary *of, size_t min_count, uint32_t *new_rows) {
    const size_t count = of->count;
    of->count = 0;
    of->byte_count = 0;
    new_rows[0] = 0;
    for (size_t i = 0; i < count; i++) {
        vocabulary_entry entry = of->entries[i];
        new_rows[i + 1] = 0;
        if (entry.records < min_count)
            continue;
        memmove(of->bytes + of->byte_count, of->bytes + entry.offset, entry.length + 1);
        entry.offset = of->byte_count;
        of->byte_count += entry.length + 1;
        of->entries[of->count++] = entry;
        new_rows[i + 1] = (uint32_t)of->count;
    }
    return of->count == 0 || rebuild_slots(of, of->slot_count);
}

const char *vocabulary_text(const vocabulary *of, size_t i) {
    return of->bytes + of->entries[i].offset;
}

void vocabulary_free(vocabulary *of) {
    heap_free(of->bytes);
    heap_free(of->entries);
    heap_free(of->slots);
    memset(of, 0, sizeof *of);
}
