# Tests on other CPUs, most of them emulated by qemu in user mode. Included by the Makefile.
#
# make test-neon        on AArch64:  gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
# make test-big-endian  on s390x:    gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user
# make test-32-bit      on i686, which x86-64 can run directly:  gcc-i686-linux-gnu libc6-dev-i386-cross
# make test-old-cpus    the native programs on x86-64 CPUs without AVX-512, and without AVX:  qemu-user
#
# Each line names the Debian packages it needs. If one is missing, the target says so and passes.

CROSS_PROGRAMS := unit/test_kernels unit/test_gradients unit/test_properties unit/test_training golden/test_golden embedding/test_image
CROSS_TOOLS    := cross/checkpoint cross/isa
# qemu is slow at the vector arithmetic of s390x and x86, so only the programs for which byte order or instructions
# could matter run there.
KERNEL_PROGRAMS     := unit/test_kernels golden/test_golden
BIG_ENDIAN_PROGRAMS := $(KERNEL_PROGRAMS) embedding/test_image metrics/test_bytes metrics/test_exact health/test_health_bytes
# All except those that replace functions of libc, which a static program cannot do, and one that only takes long.
32_BIT_PROGRAMS     := $(filter-out faults/test_saving robust/test_edges robust/test_signals health/test_cures,\
    $(TEST_SOURCES:tests/%.c=%))

$(CROSS_TOOLS:%=build/tests/%): %: %.o $(TEST_SUPPORT:tests/%.c=build/tests/%.o) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# Compiles everything again: $(1) is the folder, $(2) the machine's name for compiler and qemu, $(3) the programs, $(4)
# more flags. The programs are static, so that qemu needs no libraries of that machine. The tests themselves are
# compiled at -O1, because gcc 12 for AArch64 at -O3 stops with an internal error in a loop that looks for a maximum.
define CROSS
build/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$(2)-linux-gnu-gcc $$(TEST_CPPFLAGS) $$(ALL_CFLAGS) $(4) -MMD -MP -c $$< -o $$@

build/$(1)/tests/%.o: tests/%.c
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$(2)-linux-gnu-gcc $$(TEST_CPPFLAGS) $$(ALL_CFLAGS) $(4) -O1 -MMD -MP -c $$< -o $$@

build/$(1)/libhome.a: $(LIB_SOURCES:%.c=build/$(1)/%.o)
	@rm -f $$@
	$$(call say,AR,$$@)$$(AR) rcsD $$@ $$^

$(addprefix build/$(1)/tests/,$(3) $(CROSS_TOOLS)): %: %.o \
    $(TEST_SUPPORT:%.c=build/$(1)/%.o) build/$(1)/libhome.a
	$$(call say,LD,$$@)$(2)-linux-gnu-gcc $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -static -o $$@ $$(filter %.o,$$^) \
	    $$(filter %.a,$$^) $$(LDLIBS)

.PHONY: $(1)-programs
$(1)-programs: $(addprefix build/$(1)/tests/,$(3) $(CROSS_TOOLS))
endef
$(eval $(call CROSS,neon,aarch64,$(CROSS_PROGRAMS)))
# With -std=c11, s390x would compute floats as doubles; this flag prevents it, so that results agree to the last bit.
$(eval $(call CROSS,big-endian,s390x,$(BIG_ENDIAN_PROGRAMS),-fexcess-precision=fast))

# With SSE, because x87's registers keep more digits than others.
$(eval $(call CROSS,32-bit,i686,$(32_BIT_PROGRAMS),-msse2 -mfpmath=sse))
$(eval $(call FUZZ_LINKS,build/32-bit,replay))

.PHONY: test-neon test-big-endian test-32-bit test-old-cpus
test-neon: $(CROSS_TOOLS:%=build/tests/%)
	$(Q)MAKE='$(MAKE)' sh tests/cross/machine.sh neon aarch64 neon $(CROSS_PROGRAMS)

test-big-endian: $(CROSS_TOOLS:%=build/tests/%)
	$(Q)MAKE='$(MAKE)' sh tests/cross/machine.sh big-endian s390x portable $(BIG_ENDIAN_PROGRAMS)

test-32-bit: $(CROSS_TOOLS:%=build/tests/%)
	$(Q)MAKE='$(MAKE)' sh tests/cross/machine.sh 32-bit i686 portable $(32_BIT_PROGRAMS)

test-old-cpus: $(KERNEL_PROGRAMS:%=build/tests/%) $(CROSS_TOOLS:%=build/tests/%)
	$(Q)sh tests/cross/old_cpus.sh $(KERNEL_PROGRAMS:%=build/tests/%)
