# Mutation: do the tests notice when the library is wrong? Included by tests/tests.mk.
#
# make mutants   changes the library in 250 places, one at a time, and runs the tests on each; about an hour
# make mutants MUTANTS='--seed 7 --count 40 --only lib/steps'    other places; mutate.py --help has all options

MUTANTS ?=

# The library as a shared one with all names visible, so that a mutant is one link and test programs stay as they are;
# $(1) is the folder below build/mutants, $(2) flags for compiler and linker.
define MUTANTS_BUILD
build/mutants/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$$(CC) $$(TEST_CPPFLAGS) $$(ALL_CFLAGS) $$(MUTANTS_FLAGS) $(2) -MMD -MP -c $$< -o $$@

build/mutants/$(1)/libhome.so: $(LIB_SOURCES:%.c=build/mutants/$(1)/%.o)
	$$(call say,LD,$$@)$$(CC) $$(MUTANTS_LINK) $(2) -o $$@ $$^ $$(LDLIBS)

$(TEST_SOURCES:%.c=build/mutants/$(1)/%): %: %.o $(TEST_SUPPORT:%.c=build/mutants/$(1)/%.o) \
    build/mutants/$(1)/libhome.so
	$$(call say,LD,$$@)$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) $(2) -o $$@ $$(filter %.o %.so,$$^) $$(LDLIBS)
$(call FUZZ_LINKS,build/mutants/$(1),replay)
mutants: $(TEST_SOURCES:%.c=build/mutants/$(1)/%)
endef

MUTANTS_FLAGS   := -O1 -g0 -w -fPIC -fvisibility=default -Werror=int-conversion -Werror=incompatible-pointer-types
MUTANTS_LINK    := -shared -pthread -Wl,-soname,libhome.so
MUTANTS_CHECKED := -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: mutants
mutants:
	$(Q)CC='$(CC)' COMPILE=$(call quote,$(CC) $(TEST_CPPFLAGS) $(ALL_CFLAGS)) FLAGS='$(MUTANTS_FLAGS)' \
	    LINK='$(CC) $(MUTANTS_LINK)' LIBS='$(LDLIBS)' CHECKED='$(MUTANTS_CHECKED)' \
	    python3 tests/mutants/mutate.py $(MUTANTS)

$(eval $(call MUTANTS_BUILD,plain,))
$(eval $(call MUTANTS_BUILD,checked,$(MUTANTS_CHECKED)))
$(eval $(call MUTANTS_BUILD,covered,--coverage))
