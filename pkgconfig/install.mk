# Installing. Included by the Makefile.
#
# make install      the libraries, the header, the program and its manual page, and files for pkg-config and CMake
# make uninstall    removes the same files
#
# PREFIX (/usr/local), BINDIR, LIBDIR, INCLUDEDIR and MANDIR set the destination; DESTDIR is put in front of each.
# Run both targets with the same variables as make.

BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
INSTALL    ?= install

to_bin     := $(DESTDIR)$(abspath $(BINDIR))
to_lib     := $(DESTDIR)$(abspath $(LIBDIR))
to_include := $(DESTDIR)$(abspath $(INCLUDEDIR))/home
to_man     := $(DESTDIR)$(abspath $(MANDIR))/man1
to_pc      := $(to_lib)/pkgconfig
to_cmake   := $(to_lib)/cmake/home

HEADERS     := $(notdir $(sort $(wildcard include/home/*.h)))
LIB_LINKS   := libhome.so libhome.so.$(SOVERSION)
LIB_FILES   := libhome.a libhome.so.$(VERSION)
CMAKE_FILES := homeConfig.cmake homeConfigVersion.cmake

# The files for pkg-config and CMake find the others relative to their own place, so an installed tree can be moved.
# Folders outside PREFIX cannot move with it, so they are written as absolute paths.
space     := $(subst ,, )
in_prefix  = $(patsubst $(patsubst %/,%,$(abspath $(PREFIX)))/%,%,$(abspath $(1)))
up         = $(subst $(space),/,$(patsubst %,..,$(subst /, ,$(call in_prefix,$(1)))))
movable   := $(if $(filter /%,$(call in_prefix,$(LIBDIR)) $(call in_prefix,$(INCLUDEDIR))),,yes)
folder     = $(if $(movable),$${prefix}/$(call in_prefix,$(1)),$(abspath $(1)))
# Fills in a template for a file in $(LIBDIR)/$(1), in which $(2) stands for the file's own folder.
fill = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' \
           -e 's|@BLIS_LIB@ *|$(BLIS_LIB:%=% )|' -e 's|@CMAKE_BLIS@|$(BLIS_LIB:-l%=%;)|' \
           -e 's|@PREFIX@|$(if $(movable),$(2)/$(call up,$(LIBDIR)/$(1)),$(abspath $(PREFIX)))|' \
           -e 's|@LIBDIR@|$(call folder,$(LIBDIR))|' -e 's|@INCLUDEDIR@|$(call folder,$(INCLUDEDIR))|'

.PHONY: install uninstall
install: all
	$(Q)$(INSTALL) -d '$(to_bin)' '$(to_lib)' '$(to_pc)' '$(to_cmake)' '$(to_include)' '$(to_man)'
	$(call say,INSTALL,$(to_lib))$(INSTALL) -m 644 $(LIB_FILES:%=build/%) '$(to_lib)'
	$(Q)for link in $(LIB_LINKS); do ln -sf libhome.so.$(VERSION) '$(to_lib)'/$$link || exit; done
	$(Q)$(call fill,pkgconfig,$${pcfiledir}) pkgconfig/home.pc.in >'$(to_pc)/home.pc'
	$(Q)for file in $(CMAKE_FILES); do \
	    $(call fill,cmake/home,$${folder}) pkgconfig/$$file.in >'$(to_cmake)'/$$file || exit; done
	$(Q)chmod 644 '$(to_pc)/home.pc' $(CMAKE_FILES:%='$(to_cmake)'/%)
	$(call say,INSTALL,$(to_include))$(INSTALL) -m 644 $(HEADERS:%=include/home/%) '$(to_include)'
	$(call say,INSTALL,$(to_bin))$(INSTALL) -m 755 build/home '$(to_bin)'
	$(call say,INSTALL,$(to_man))$(INSTALL) -m 644 docs/home.1 '$(to_man)'

uninstall:
	$(Q)rm -f '$(to_bin)/home' '$(to_man)/home.1' '$(to_pc)/home.pc' $(CMAKE_FILES:%='$(to_cmake)'/%) \
	    $(HEADERS:%='$(to_include)'/%) $(foreach file,$(LIB_FILES) $(LIB_LINKS),'$(to_lib)'/$(file))
	$(Q)for folder in '$(to_include)' '$(to_cmake)'; do rmdir "$$folder" 2>/dev/null; done; :
