#include "fuzz/fuzz.h"

#include <string.h>
#include <unistd.h>

/* -------------------------------------------------------------------------------------- choices */

uint8_t fuzz_byte(fuzz_input *in) {
    return in->size ? in->data[--in->size] : 0;
}

uint64_t fuzz_bits(fuzz_input *in) {
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | fuzz_byte(in);
    return bits;
}

size_t fuzz_below(fuzz_input *in, size_t limit) {
    return fuzz_byte(in) % limit;
}

float fuzz_float(fuzz_input *in) {
    const uint8_t byte = fuzz_byte(in);
    if (byte < 240)
        return ((float)byte - 120) / 32;
    const uint32_t bits = (uint32_t)fuzz_bits(in);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ------------------------------------------------------------------------------------ allocator */

/* Stands before each block; as wide as malloc's alignment. */
typedef union block {
    size_t size;
    max_align_t align;
} block;

static bool refuses(const fuzz_memory *memory, size_t bytes) {
    if (bytes > memory->budget - memory->live)
        return true;
    return memory->fail_at != 0 && (memory->fail_on ? memory->allocations >= memory->fail_at
                                                    : memory->allocations == memory->fail_at);
}

static void *allocate(void *user, size_t bytes) {
    fuzz_memory *memory = user;
    memory->allocations++;
    block *made = refuses(memory, bytes) ? NULL : malloc(sizeof *made + bytes);
    if (!made) {
        memory->refused++;
        return NULL;
    }
    made->size = bytes;
    memory->live += bytes;
    return made + 1;
}

static void release(void *user, void *bytes) {
    fuzz_memory *memory = user;
    block *made = (block *)bytes - 1;
    FUZZ_CHECK(made->size <= memory->live);
    memory->live -= made->size;
    free(made);
}

fuzz_memory fuzz_memory_start(fuzz_input *in, size_t budget) {
    const size_t high = fuzz_byte(in);
    const size_t low = fuzz_byte(in);
    fuzz_memory memory = {.budget = budget};
    if (high & 0x80) {
        memory.fail_at = ((high & 0x3f) << 8 | low) + 1;
        memory.fail_on = (high & 0x40) != 0;
    }
    return memory;
}

void fuzz_memory_heal(fuzz_memory *memory) {
    memory->fail_at = 0;
}

home_allocator fuzz_allocator(fuzz_memory *memory) {
    return (home_allocator){sizeof(home_allocator), memory, allocate, release};
}

/* ------------------------------------------------------------------------------------- outcomes */

void fuzz_check_outcome(home_status status, const home_error *error, const fuzz_memory *memory) {
    FUZZ_CHECK(error->status == status);
    FUZZ_CHECK((status != HOME_OK) == (error->message[0] != 0));
    FUZZ_CHECK(memchr(error->message, 0, sizeof error->message) != NULL);
    if (status == HOME_E_MEMORY)
        FUZZ_CHECK(memory->refused > 0);
}

/* A small model fits at the first try: asking for the size first would do all the work twice. */
unsigned char *fuzz_serialize(const home_model *model, size_t *size) {
    size_t room = 1 << 15;
    unsigned char *bytes = malloc(room);
    FUZZ_CHECK(bytes);
    home_status status = home_model_serialize(model, HOME_SAVE_OPTIMIZER, bytes, room, size, NULL);
    if (status == HOME_E_ARGUMENT) {
        free(bytes);
        room = *size;
        bytes = malloc(room);
        FUZZ_CHECK(bytes);
        status = home_model_serialize(model, HOME_SAVE_OPTIMIZER, bytes, room, size, NULL);
    }
    FUZZ_CHECK(status == HOME_OK);
    return bytes;
}

/* ----------------------------------------------------------------------------------------- file */

/* In memory where there is such a folder, for a disk would have the fuzzer wait. */
static int open_nameless(void) {
    static const char *const folders[] = {"/dev/shm", "/tmp"};
    int descriptor = -1;
    for (size_t i = 0; i < sizeof folders / sizeof *folders && descriptor < 0; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s/home-fuzz-XXXXXX", folders[i]);
        descriptor = mkstemp(name);
        unlink(name);
    }
    return descriptor;
}

void fuzz_file_set(fuzz_file *file, const void *bytes, size_t size) {
    if (file->descriptor == 0) {
        file->descriptor = open_nameless();
        FUZZ_CHECK(file->descriptor > 0);
        snprintf(file->path, sizeof file->path, "/dev/fd/%d", file->descriptor);
    }
    FUZZ_CHECK(ftruncate(file->descriptor, 0) == 0);
    FUZZ_CHECK(pwrite(file->descriptor, bytes, size, 0) == (ssize_t)size);
}
