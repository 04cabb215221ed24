# Tests. Included by the Makefile.
#
# make test            builds and runs everything below tests/; the last line is "N passed, N failed"
# make test T='unit/gradients abi/header'    only these; T='unit/%' is a folder; the other test targets take T too
# make test CASE=text  only the cases with the text in their names, in all tests or in those that T names
# make test-asan       the test programs under the address sanitizer; also test-ubsan, and clang's test-msan
# make test-tsan       the programs with threads under the thread sanitizer
# make test-valgrind   the quick programs under valgrind's memcheck
#                      HOME_ISA=portable in front of any of these caps the instruction set
# make test-debug      the test programs as make debug builds them
# make test-blis       the numeric programs with products by BLIS; make BLIS=1 test runs all with it
# make format          clang-format on all sources
# make lint            formatting, clang-tidy and cppcheck; says which of them are not installed
#
# Each file tests/*/test_*.c is a program and each file tests/*/test_*.sh a script; they need not be listed anywhere.

TEST_SOURCES  := $(sort $(wildcard tests/*/test_*.c))
TEST_SCRIPTS  := $(sort $(wildcard tests/*/test_*.sh))
TEST_SUPPORT  := tests/reference/reference.c tests/unit/fixture.c tests/unit/cap.c
TEST_PROGRAMS := $(TEST_SOURCES:tests/%.c=build/tests/%)

# T=unit/isa stands for both tests/unit/test_isa.c and tests/unit/test_isa.sh. T and CASE count only
# where they are arguments of make: variables of the environment with such short names may mean
# something else.
test_names = $(subst /test_,/,$(basename $(1:tests/%=%)))
ifeq ($(origin T),command line)
TEST_NAMES := $(sort $(call test_names,$(TEST_SOURCES) $(TEST_SCRIPTS)))
UNKNOWN    := $(strip $(foreach name,$(or $(strip $(T)),nothing),$(if $(filter $(name),$(TEST_NAMES)),,$(name))))
ifneq ($(UNKNOWN),)
$(error T=$(T): no such test: $(UNKNOWN). There are: $(TEST_NAMES))
endif
chosen = $(foreach test,$(1),$(if $(filter $(T),$(call test_names,$(test))),$(test)))
else
chosen = $(1)
endif
ifeq ($(origin CASE),command line)
export TEST_CASE := $(CASE)
endif
CHOSEN_SCRIPTS  := $(call chosen,$(TEST_SCRIPTS))
CHOSEN_PROGRAMS := $(patsubst tests/%.c,build/tests/%,$(call chosen,$(TEST_SOURCES)))
# These scripts run test programs themselves.
NEEDED_PROGRAMS := $(if $(filter tests/unit/test_isa.sh tests/build/test_build.sh,$(CHOSEN_SCRIPTS)),$(TEST_PROGRAMS))

# lib/ for the tests of the library's inner parts.
TEST_CPPFLAGS = $(ALL_CPPFLAGS) -Itests -Ilib
TEST_ENV      = CC='$(CC)' CXX='$(CXX)' MAKE='$(MAKE)' BLIS_LIB='$(BLIS_LIB)'

build/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(TEST_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(TEST_PROGRAMS): %: %.o $(TEST_SUPPORT:tests/%.c=build/tests/%.o) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LDLIBS)

# All that make test runs, and the test targets without a folder of their own.
.PHONY: test-programs
test-programs: all $(TEST_PROGRAMS) build/tests/cross/checkpoint build/tests/cross/isa

.PHONY: test
test: all $(CHOSEN_PROGRAMS) $(NEEDED_PROGRAMS)
	$(Q)$(TEST_ENV) sh tests/run.sh $(CHOSEN_PROGRAMS) $(CHOSEN_SCRIPTS)

# The programs in which no pool spins, because valgrind runs one thread at a time; the memory sanitizer runs them all.
# The library's allocations are aligned, so it keeps pointers into blocks, not to their starts. Such blocks are not
# lost.
VALGRIND_TESTS := $(filter tests/fuzz/% tests/golden/% tests/health/test_health.c tests/robust/test_edges.c tests/unit/test_calls.c \
    tests/unit/test_config.c tests/unit/test_training.c,$(TEST_SOURCES))

VALGRIND := valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99

.PHONY: test-valgrind
test-valgrind: $(patsubst tests/%.c,build/tests/%,$(call chosen,$(VALGRIND_TESTS)))
	$(Q)TEST_QUICK=1 TEST_WRAPPER='$(VALGRIND)' sh tests/run.sh $^

include tests/fuzz/fuzz.mk
include tests/faults/faults.mk
include tests/mutants/mutants.mk

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

.PHONY: test-$(1) $(1)-programs
$(1)-programs: $(patsubst %.c,build/$(1)/%,$(call chosen,$(or $(3),$(TEST_SOURCES))))
test-$(1): $(1)-programs
	$$(Q)TEST_QUICK=1 sh tests/run.sh $(patsubst %.c,build/$(1)/%,$(call chosen,$(or $(3),$(TEST_SOURCES))))
endef
SANITIZE := -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all
$(eval $(call INSTRUMENTED,asan,$(SANITIZE) -fsanitize=address))
$(eval $(call INSTRUMENTED,ubsan,$(SANITIZE) -fsanitize=undefined))
# The programs with threads; the others would only take long.
$(eval $(call INSTRUMENTED,tsan,$(SANITIZE) -fsanitize=thread,$(filter tests/robust/% \
    tests/unit/test_guards.c tests/unit/test_properties.c tests/unit/test_threads.c,$(TEST_SOURCES))))
# The numeric programs with BLIS, in a folder of their own.
$(eval $(call INSTRUMENTED,blis,,$(filter tests/golden/% tests/unit/%,$(TEST_SOURCES))))
test-blis blis-programs: BLIS := 1
$(eval $(call INSTRUMENTED,msan,$(SANITIZE) -fsanitize=memory -fsanitize-memory-track-origins,,clang))

# For a debugger, in a folder of its own: nothing is optimized away, and macros can be expanded.
$(eval $(call INSTRUMENTED,debug,-O0 -g3))

build/debug/home: $(CLI_SOURCES:%.c=build/debug/%.o) build/debug/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -O0 -g3 -o $@ $^ $(LDLIBS)

debug: build/debug/home build/debug/libhome.a debug-programs

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
