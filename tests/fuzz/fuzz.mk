# Fuzzing, with clang's libFuzzer under the address and undefined-behaviour sanitizers. Included by tests/tests.mk.
#
# make fuzz            each harness tests/fuzz/test_NAME.c for FUZZ_SECONDS seconds, one after the other
# make fuzz-NAME       one of them
#                      A finding is written to build/fuzz/NAME-crash-... or similar; to reproduce it, run
#                      build/fuzz/tests/fuzz/test_NAME FILE.
#                      Inputs that reach new code are kept in build/fuzz/corpus/NAME.
#
# Linked with replay.c, the same harnesses are tests: they run the inputs in tests/fuzz/corpus/NAME.

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60

FUZZ_NAMES := $(patsubst tests/fuzz/test_%.c,%,$(sort $(wildcard tests/fuzz/test_*.c)))
# The readers of the program `home`, with the harness's own memory and no main().
FUZZ_CLI   := $(filter-out examples/cli/main.c examples/cli/heap.c,$(CLI_SOURCES))

# The files that a harness in the build folder $(1) is linked with, besides its own and the library; $(2) calls it.
define FUZZ_LINKS
$(FUZZ_NAMES:%=$(1)/tests/fuzz/test_%): $(1)/tests/fuzz/fuzz.o $(2:%=$(1)/tests/fuzz/%.o)
$(1)/tests/fuzz/test_csv: $(FUZZ_CLI:%.c=$(1)/%.o)
endef
$(eval $(call FUZZ_LINKS,build/fuzz,))

$(FUZZ_NAMES:%=build/tests/fuzz/test_%): build/tests/fuzz/fuzz.o build/tests/fuzz/replay.o
build/tests/fuzz/test_csv: $(FUZZ_CLI:%.c=build/static/%.o)

FUZZ_FLAGS := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(FUZZ_CC) $(TEST_CPPFLAGS) $(ALL_CFLAGS) $(FUZZ_FLAGS) \
	    -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c $< -o $@

# A small buffer, so that it soon has to move and grow.
build/fuzz/examples/cli/csv.o: CPPFLAGS += -DCSV_CAPACITY=48

$(FUZZ_NAMES:%=build/fuzz/tests/fuzz/test_%): %: %.o $(LIB_SOURCES:%.c=build/fuzz/%.o)
	$(call say,LD,$@)$(FUZZ_CC) $(ALL_LDFLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)

.PHONY: fuzz fuzz-programs $(FUZZ_NAMES:%=fuzz-%)
fuzz-programs: $(FUZZ_NAMES:%=build/fuzz/tests/fuzz/test_%)
fuzz: $(FUZZ_NAMES:%=fuzz-%)
$(FUZZ_NAMES:%=fuzz-%): fuzz-%: build/fuzz/tests/fuzz/test_%
	@mkdir -p build/fuzz/corpus/$*
	$(Q)ASAN_OPTIONS=quarantine_size_mb=8 $< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2000 -max_len=4096 \
	    -dict=tests/fuzz/words.dict -artifact_prefix=build/fuzz/$*- -print_final_stats=1 \
	    build/fuzz/corpus/$* tests/fuzz/corpus/$*
