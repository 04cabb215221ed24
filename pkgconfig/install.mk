# Installing. Included by the Makefile.
#
# make install      the libraries, the headers, the program and its manual page, and files for pkg-config and CMake
# make uninstall    removes the same files
#
# PREFIX (/usr/local), BINDIR, LIBDIR, INCLUDEDIR and MANDIR set the destination; DESTDIR is put in front of each.
# Give these to both targets. The compiler's variables are remembered: what is built already is installed as it is, and
# what is missing is compiled in the same way. Without DESTDIR, the loader learns of the shared library.

BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
INSTALL    ?= install

# The full path of a folder, in one word for make's functions: a space stands as :space:, and unpack puts it back.
space  := $(subst ,, )
pack    = $(subst $(space),:space:,$(1))
unpack  = $(subst :space:,$(space),$(1))
path    = $(call pack,$(abspath $(call pack,$(1))))

to_bin     := $(DESTDIR)$(call unpack,$(call path,$(BINDIR)))
to_lib     := $(DESTDIR)$(call unpack,$(call path,$(LIBDIR)))
to_include := $(DESTDIR)$(call unpack,$(call path,$(INCLUDEDIR)))/home
to_man     := $(DESTDIR)$(call unpack,$(call path,$(MANDIR)))/man1
to_pc      := $(to_lib)/pkgconfig
to_cmake   := $(to_lib)/cmake/home

HEADERS     := $(notdir $(sort $(wildcard include/home/*.h include/home/*.hpp)))
LIB_LINKS   := libhome.so libhome.so.$(SOVERSION)
LIB_FILES   := libhome.a libhome.so.$(VERSION)
CMAKE_FILES := homeConfig.cmake homeConfigVersion.cmake

# Files of a folder, for the shell.
files_in  = $(foreach file,$(2),$(call quote,$(1)/$(file)))

# The files for pkg-config and CMake find the others relative to their own place, so an installed tree can be moved.
# Folders outside PREFIX cannot move with it, so they are written as absolute paths.
in_prefix  = $(patsubst ^%,%,$(subst ^$(patsubst %/,%,$(call path,$(PREFIX)))/,^,^$(call path,$(1))))
up         = $(subst $(space),/,$(patsubst %,..,$(subst /, ,$(call in_prefix,$(1)))))
movable   := $(if $(filter /%,$(call in_prefix,$(LIBDIR)) $(call in_prefix,$(INCLUDEDIR))),,yes)
folder     = $(if $(movable),$${prefix}/$(call in_prefix,$(1)),$(call path,$(1)))
# Fills in a template for a file in $(LIBDIR)/$(1), in which $(2) stands for the file's own folder; $(3) goes in front
# of spaces and quotes.
fill = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' \
           -e 's|@BLIS_LIB@ *|$(BLIS_LIB:%=% )|' -e 's|@CMAKE_BLIS@|$(BLIS_LIB:-l%=%;)|' \
           $(call put,PREFIX,$(if $(movable),$(2)/$(call up,$(LIBDIR)/$(1)),$(call path,$(PREFIX))),$(3)) \
           $(call put,LIBDIR,$(call folder,$(LIBDIR)),$(3)) $(call put,INCLUDEDIR,$(call folder,$(INCLUDEDIR)),$(3))
put  = -e $(call quote,s|@$(1)@|$(subst ',$(3)',$(subst :space:,$(3)$(space),$(call for_sed,$(2))))|)
for_sed = $(subst &,\&,$(subst |,\|,$(subst \,\\,$(1))))

.PHONY: install uninstall
install: all
	$(Q)$(INSTALL) -d $(foreach folder,bin lib pc cmake include man,$(call quote,$(to_$(folder))))
	$(call say,INSTALL,$(to_lib))$(INSTALL) -m 644 $(LIB_FILES:%=build/%) $(call quote,$(to_lib))
	$(Q)for link in $(LIB_LINKS); do ln -sf libhome.so.$(VERSION) $(call quote,$(to_lib))/$$link || exit; done
	$(Q)$(call fill,pkgconfig,$${pcfiledir},\\) pkgconfig/home.pc.in >$(call quote,$(to_pc)/home.pc)
	$(Q)for file in $(CMAKE_FILES); do \
	    $(call fill,cmake/home,$${folder}) pkgconfig/$$file.in >$(call quote,$(to_cmake))/$$file || exit; done
	$(Q)chmod 644 $(call files_in,$(to_pc),home.pc) $(call files_in,$(to_cmake),$(CMAKE_FILES))
	$(call say,INSTALL,$(to_include))$(INSTALL) -m 644 $(HEADERS:%=include/home/%) $(call quote,$(to_include))
	$(call say,INSTALL,$(to_bin))$(INSTALL) -m 755 build/home $(call quote,$(to_bin))
	$(call say,INSTALL,$(to_man))$(INSTALL) -m 644 docs/home.1 $(call quote,$(to_man))
	$(Q)$(if $(DESTDIR),,sh pkgconfig/ldconfig.sh install $(call quote,$(to_lib)))

uninstall:
	$(Q)rm -f $(call files_in,$(to_bin),home) $(call files_in,$(to_man),home.1) $(call files_in,$(to_pc),home.pc) \
	    $(call files_in,$(to_cmake),$(CMAKE_FILES)) $(call files_in,$(to_include),$(HEADERS)) \
	    $(call files_in,$(to_lib),$(LIB_FILES) $(LIB_LINKS))
	$(Q)for folder in $(call quote,$(to_include)) $(call quote,$(to_cmake)); do \
	    rmdir "$$folder" 2>/dev/null; done; :
	$(Q)$(if $(DESTDIR),,sh pkgconfig/ldconfig.sh uninstall $(call quote,$(to_lib)))
