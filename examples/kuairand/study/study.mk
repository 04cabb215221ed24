# Compares HoME with its relatives on the KuaiRand log in the folder DATA and, if CENSUS names a folder, on
# Census-Income. Takes an hour or two; continues where it was stopped. Writes docs/study.md from the results so far.

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
