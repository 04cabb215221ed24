# make study DATA=folder    compares HoME with its relatives on the KuaiRand log; takes an hour or two
# make study-report         the tables and charts again, from the results so far
#
# Where CENSUS names a folder, on Census-Income too. It continues where it was stopped, and writes docs/study.md from the
# results so far.

build/study-speed: build/static/examples/kuairand/study/speed.o build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

STUDY := $(PYTHON) -B examples/kuairand/study

.PHONY: study study-report
study: build/home build/study-speed
	$(if $(DATA),,$(error make study wants DATA=folder, see examples/kuairand/README.md))
	$(Q)$(STUDY)/study.py "$(DATA)" $(if $(CENSUS),--census "$(CENSUS)")
	$(Q)$(STUDY)/report.py

study-report:
	$(Q)$(STUDY)/report.py
