# Tests. Included by the Makefile.
#
# make test            builds and runs everything below tests/; the last line is "N passed, N failed"
# make test-asan       the test programs under the address sanitizer; also test-ubsan, and clang's test-msan
# make test-tsan       the programs with threads under the thread sanitizer
# make test-valgrind   the quick programs under valgrind's memcheck
#                      HOME_ISA=portable in front of any of these caps the instruction set
# make test-blis       the numeric programs with products by BLIS; make BLIS=1 test runs all with it
# make lint            formatting, clang-tidy and cppcheck; says which of them are not installed
#
# Each file tests/*/test_*.c is a program and each file tests/*/test_*.sh a script; they need not be listed anywhere.

TEST_SOURCES  := $(sort $(wildcard tests/*/test_*.c))
TEST_SCRIPTS  := $(sort $(wildcard tests/*/test_*.sh))
TEST_SUPPORT  := tests/reference/reference.c tests/unit/fixture.c
TEST_PROGRAMS := $(TEST_SOURCES:tests/%.c=build/tests/%)

# lib/ for the tests of the library's inner parts.
TEST_CPPFLAGS = $(ALL_CPPFLAGS) -Itests -Ilib
TEST_ENV      = CC='$(CC)' CXX='$(CXX)' MAKE='$(MAKE)' BLIS_LIB='$(BLIS_LIB)'

build/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TEST_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(TEST_PROGRAMS): %: %.o $(TEST_SUPPORT:tests/%.c=build/tests/%.o) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

.PHONY: test
test: all $(TEST_PROGRAMS)
	$(Q)$(TEST_ENV) sh tests/run.sh $(TEST_PROGRAMS) $(TEST_SCRIPTS)

# The programs in which no pool spins, because valgrind runs one thread at a time; the memory sanitizer runs them all.
# The library's allocations are aligned, so it keeps pointers into blocks, not to their starts. Such blocks are not
# lost.
VALGRIND_TESTS := $(filter tests/fuzz/% tests/golden/% tests/health/test_health.c tests/robust/test_edges.c tests/unit/test_calls.c \
    tests/unit/test_config.c tests/unit/test_training.c,$(TEST_SOURCES))

VALGRIND := valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99

.PHONY: test-valgrind
test-valgrind: $(VALGRIND_TESTS:tests/%.c=build/tests/%)
	$(Q)TEST_QUICK=1 TEST_WRAPPER='$(VALGRIND)' sh tests/run.sh $^

include tests/fuzz/fuzz.mk
include tests/faults/faults.mk

# Compiles everything again: $(1) is the folder, and test-$(1) the target; $(2) flags for compiler and linker; $(3) the
# tests to run, all if empty; $(4) the compiler, if only one has the flags.
define INSTRUMENTED
build/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$(or $(4),$$(CC)) $$(TEST_CPPFLAGS) $$(ALL_CFLAGS) -g $(2) -MMD -MP -c $$< -o $$@

build/$(1)/libhome.a: $(LIB_SOURCES:%.c=build/$(1)/%.o)
	@rm -f $$@
	$$(call say,AR,$$@)$$(AR) rcsD $$@ $$^

$(TEST_SOURCES:%.c=build/$(1)/%): %: %.o $(TEST_SUPPORT:%.c=build/$(1)/%.o) build/$(1)/libhome.a
	$$(call say,LD,$$@)$(or $(4),$$(CC)) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) $(2) -o $$@ $$(filter %.o,$$^) $$(filter %.a,$$^) \
	    $$(LDLIBS)
$(call FUZZ_LINKS,build/$(1),replay)

.PHONY: test-$(1)
test-$(1): $(patsubst %.c,build/$(1)/%,$(or $(3),$(TEST_SOURCES)))
	$$(Q)TEST_QUICK=1 sh tests/run.sh $$^
endef
SANITIZE := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all
$(eval $(call INSTRUMENTED,asan,$(SANITIZE) -fsanitize=address))
$(eval $(call INSTRUMENTED,ubsan,$(SANITIZE) -fsanitize=undefined))
# The programs with threads; the others would only take long.
$(eval $(call INSTRUMENTED,tsan,$(SANITIZE) -fsanitize=thread,$(filter tests/robust/% \
    tests/unit/test_guards.c tests/unit/test_properties.c tests/unit/test_threads.c,$(TEST_SOURCES))))
# The numeric programs with BLIS, in a folder of their own.
$(eval $(call INSTRUMENTED,blis,,$(filter tests/golden/% tests/unit/%,$(TEST_SOURCES))))
test-blis: BLIS := 1
$(eval $(call INSTRUMENTED,msan,$(SANITIZE) -fsanitize=memory -fsanitize-memory-track-origins,,clang))

LINT_HEADERS := $(sort $(wildcard include/home/*.h lib/*/*.h examples/*.h examples/*/*.h \
                                  examples/ffi/c/*.h tests/*.h tests/*/*.h))
LINT_SOURCES := $(LIB_SOURCES) $(sort $(wildcard examples/*.c examples/*/*.c examples/ffi/c/*.c \
                                  examples/kuairand/study/*.c tests/*/*.c))

format:
	$(Q)clang-format -i $(LINT_HEADERS) $(LINT_SOURCES)

# Each tool runs if it is installed; any complaint fails the target. clang-tidy gets one file at a time, because in a
# second file its analyzer loses track of va_start().
lint:
	$(Q)status=0; \
	if command -v clang-format >/dev/null; then \
	    echo '  LINT    clang-format'; \
	    clang-format --dry-run -Werror $(LINT_HEADERS) $(LINT_SOURCES) || status=1; \
	else echo 'clang-format is not installed: skipped'; fi; \
	if command -v clang-tidy >/dev/null; then \
	    echo '  LINT    clang-tidy'; \
	    printf '%s\n' $(LINT_SOURCES) | xargs -P 2 -I FILE \
	        clang-tidy --quiet FILE -- $(TEST_CPPFLAGS) -std=c11 || status=1; \
	else echo 'clang-tidy is not installed: skipped'; fi; \
	if command -v cppcheck >/dev/null; then \
	    echo '  LINT    cppcheck'; \
	    cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
	        --suppress=missingIncludeSystem --suppress=toomanyconfigs --error-exitcode=1 -Iinclude -Itests -Ilib $(LINT_SOURCES) || status=1; \
	else echo 'cppcheck is not installed: skipped'; fi; \
	exit $$status
