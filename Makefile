# make            the library and the program, in build/
# make demo       simulate a feed, train, save, reload, serve
# make test       all tests; ends with "N passed, N failed"
# make install    into PREFIX; also make uninstall
# make kuairand DATA=folder    train and evaluate on the KuaiRand log
# make amalgamation   the library as build/amalgamation/home.c and home.h (needs Python 3)
# make debug      the library, the program and the tests for a debugger (-O0 -g3), in build/debug/
# make clean      removes build/
# make help       this list, and what the parts of the tree add to it
# make V=1        shows the commands
# make BLIS=1     matrix products by BLIS (Debian: libblis-dev), in front of any of these

# To GNU make this is a variable; BSD's makes print it and stop.
.error = libhome needs GNU make, often called gmake

CC       ?= cc
AR       ?= ar
CFLAGS   ?= -O3 -g
PREFIX   ?= /usr/local

# make install installs what was built: without other goals, what its own command line does not set is as it was in
# that build, also where sudo has cleared the environment or adds to it.
ifeq ($(filter-out install uninstall,$(or $(MAKECMDGOALS),all)),)
-include build/settings
endif

VERSION_PART = $(shell sed -n 's/^.define HOME_VERSION_$(1) //p' include/home/home.h)
MAJOR   := $(call VERSION_PART,MAJOR)
MINOR   := $(call VERSION_PART,MINOR)
VERSION := $(MAJOR).$(MINOR).$(call VERSION_PART,PATCH)
# Before 1.0 the interface may change with the minor version.
SOVERSION := $(if $(filter 0,$(MAJOR)),0.$(MINOR),$(MAJOR))
# The symbols of a release are a node of the version script; the last node is that of this version.
NODE := $(lastword $(shell sed -n 's/^\(HOME_[0-9.]*\) {$$/\1/p' lib/home.map))
ifneq ($(NODE),HOME_$(MAJOR).$(MINOR))
$(error the last node of lib/home.map is $(NODE), but include/home/home.h has version $(VERSION))
endif

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wmissing-prototypes
# What the build needs, apart from what a user may set.
ALL_CPPFLAGS = -Iinclude -D_POSIX_C_SOURCE=200809L $(if $(BLIS),-DHOME_BLIS) $(CPPFLAGS)
ALL_CFLAGS   = -std=c11 -fvisibility=hidden -pthread $(HERE_IS_DOT) $(WARNINGS) $(CFLAGS)
ALL_LDFLAGS  = -pthread $(LDFLAGS)
HERE_IS_DOT  = $(call quote,-ffile-prefix-map=$(CURDIR)=.)
BLIS_LIB     = $(if $(BLIS),-lblis)
LDLIBS       = $(BLIS_LIB) -lm

Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' $(call quote,$(2));)
# As one word of the shell.
quote = '$(subst ','\'',$(1))'

LIB_SOURCES := $(sort $(wildcard lib/*/*.c))
CLI_SOURCES := $(sort $(wildcard examples/cli/*.c))
# The parts of base, host and store that the program has a copy of: libhome.so hides their names, and a build against an
# installed library compiles them too (docs/cli.md). tests/install checks that it needs nothing else.
CLI_SHARED  := $(file <examples/cli/shared.txt)
DEMO_SOURCES := $(sort $(wildcard examples/demo/*.c))

STATIC_OBJECTS := $(LIB_SOURCES:%.c=build/static/%.o)
SHARED_OBJECTS := $(LIB_SOURCES:%.c=build/shared/%.o)
CLI_OBJECTS    := $(CLI_SOURCES:%.c=build/static/%.o) $(CLI_SHARED:%.c=build/static/%.o)
DEMO_OBJECTS   := $(DEMO_SOURCES:%.c=build/static/%.o)

.PHONY: all lib test demo debug kuairand amalgamation format lint clean help
all: lib build/home
lib: build/libhome.a build/libhome.so

build/static/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -fPIC -MMD -MP -c $< -o $@

build/shared/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) -DHOME_SHARED $(ALL_CFLAGS) -fPIC -MMD -MP -c $< -o $@

build/libhome.a: $(STATIC_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcsD $@ $^

build/libhome.so.$(VERSION): $(SHARED_OBJECTS) lib/home.map
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -shared -Wl,-soname,libhome.so.$(SOVERSION) \
	    -Wl,--version-script=lib/home.map -Wl,--no-undefined -o $@ $(SHARED_OBJECTS) $(LDLIBS)

build/libhome.so: build/libhome.so.$(VERSION)
	$(Q)ln -sf libhome.so.$(VERSION) build/libhome.so.$(SOVERSION)
	$(Q)ln -sf libhome.so.$(SOVERSION) $@

build/home: $(CLI_OBJECTS) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

build/demo: $(DEMO_OBJECTS) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

demo: build/demo
	$(Q)build/demo

amalgamation: build/amalgamation/home.c

build/amalgamation/home.c: lib/amalgamate.py $(LIB_SOURCES) $(wildcard include/home/*.h lib/*/*.h)
	$(call say,GEN,$@)python3 lib/amalgamate.py $(@D)

include tests/tests.mk
include tests/bench/bench.mk
include tests/cross/cross.mk
include tests/embedding/embedding.mk
include tests/robust/robust.mk
include examples/serve/serve.mk
include examples/kuairand/kuairand.mk
include examples/kuairand/study/study.mk
include pkgconfig/install.mk

clean:
	$(Q)rm -rf build

# Every line "# make WHAT  words" of the Makefile and of the files that it includes; of two about
# the same, the first.
help:
	@awk '/^# make / && match($$0, /  +/) { what = substr($$0, 3, RSTART - 3); \
	    if (!said[what]++) printf "%-45s %s\n", what, substr($$0, RSTART + RLENGTH) }' \
	    $(filter Makefile %.mk,$(MAKEFILE_LIST))

# Another compiler, or other flags: all that is compiled already is compiled anew. Nothing depends on the folder's name,
# so a tree that has moved stays as it is.
define newline


endef
FLAGS    := $(subst $(HERE_IS_DOT),,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS))
defined   = define $(1)$(newline)$(2)$(newline)endef
SETTINGS := $(call defined,BUILT_WITH,$(FLAGS))$(foreach name,CC AR CPPFLAGS CFLAGS LDFLAGS BLIS,\
              $(newline)$(call defined,$(name),$(value $(name))))
ifneq ($(filter-out uninstall clean,$(or $(MAKECMDGOALS),all)),)
ifneq ($(file <build/settings),$(SETTINGS))
$(shell mkdir -p build)$(file >build/settings,$(SETTINGS))
endif
endif
COMPILED := $(shell find build -name '*.[do]')
$(filter %.o,$(COMPILED)): build/settings
-include $(filter %.d,$(COMPILED))
