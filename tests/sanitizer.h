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
/* These three take terabytes of addresses. */
#if TEST_UNDER_TSAN || defined(__SANITIZE_ADDRESS__) || TEST_HAS_FEATURE(address_sanitizer) ||               \
    TEST_HAS_FEATURE(memory_sanitizer)
#define TEST_NEEDS_ADDRESSES 1
#else
#define TEST_NEEDS_ADDRESSES 0
#endif

#endif
