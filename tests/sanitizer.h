/* Which sanitizer a test is built with. */
#ifndef TESTS_SANITIZER_H
#define TESTS_SANITIZER_H

/* gcc and clang tell in different ways that a sanitizer is built in. */
#if defined(__has_feature)
#define TEST_HAS_FEATURE(name) __has_feature(name)
#else
#define TEST_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || TEST_HAS_FEATURE(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#else
#define TEST_UNDER_TSAN 0
#endif
/* Address and memory sanitizer: a child inherits their heap's locks as they are, held by threads
 * that it does not have, and would wait for them; and threads allocate as they start. */
#if defined(__SANITIZE_ADDRESS__) || TEST_HAS_FEATURE(address_sanitizer) ||                        \
    TEST_HAS_FEATURE(memory_sanitizer)
#define TEST_HEAP_IS_LOST_AT_FORK 1
#else
#define TEST_HEAP_IS_LOST_AT_FORK 0
#endif
/* All three take terabytes of addresses. */
#define TEST_NEEDS_ADDRESSES (TEST_UNDER_TSAN || TEST_HEAP_IS_LOST_AT_FORK)

#endif
