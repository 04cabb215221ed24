# What the library must withstand. Included by the Makefile; docs/reliability.md says what each target shows.
#
# make coverage   lines and branches of lib/ that the test programs run, by file, and the lines that they do not run
# make analyze    gcc's static analyzer on lib/ and examples/
# make soak       10 million predictions from two threads while the model is replaced every 100 ms

$(eval $(call INSTRUMENTED,coverage,-O0 --coverage,,gcc))

.PHONY: coverage
coverage: $(TEST_SOURCES:%.c=build/coverage/%)
	$(Q)find build/coverage -name '*.gcda' -delete
	$(Q)TEST_QUICK=1 sh tests/run.sh $^
	$(Q)python3 tests/robust/coverage.py build/coverage

ANALYZED := $(LIB_SOURCES) $(sort $(wildcard examples/*/*.c))

build/analyze/%.o: %.c
	@mkdir -p $(@D)
	$(call say,ANALYZE,$<)gcc $(ALL_CPPFLAGS) $(ALL_CFLAGS) -O1 -fanalyzer -Werror $(ANALYZED_BUT) -MMD -MP -c $< -o $@

# read_array() returns NULL only if the count is 0 or the status is not HOME_OK.
build/analyze/lib/config/config.o: ANALYZED_BUT = -Wno-analyzer-null-dereference
# Every expert with a batch norm has the tensors that are looked up by name here.
build/analyze/lib/create/freeze.o: ANALYZED_BUT = -Wno-analyzer-null-dereference
# The parts of a model are NULL only while their sizes are added up.
build/analyze/lib/serve/image.o: ANALYZED_BUT = -Wno-analyzer-null-dereference
# The analyzer loses track of memory held by an array of pointers.
build/analyze/examples/serve/serve.o: ANALYZED_BUT = -Wno-analyzer-malloc-leak

.PHONY: analyze
analyze: $(ANALYZED:%.c=build/analyze/%.o)

SOAK_CALLS ?= 10000000
.PHONY: soak
soak: build/tests/robust/test_soak
	$(Q)SOAK_CALLS=$(SOAK_CALLS) $<
