# Trains HoME on the KuaiRand log in the folder DATA and writes build/kuairand.json; see README.md here.

PYTHON ?= python3

kuairand: build/home
	$(if $(DATA),,$(error make kuairand wants DATA=folder, see examples/kuairand/README.md))
	$(Q)$(PYTHON) -B examples/kuairand/run.py "$(DATA)"

# Day by day: compares resumed training with training from scratch, while a server switches to each day's model.
.PHONY: kuairand-daily
kuairand-daily: build/home build/serve
	$(if $(DATA),,$(error make kuairand-daily wants DATA=folder, see examples/kuairand/README.md))
	$(Q)$(PYTHON) -B examples/kuairand/daily.py "$(DATA)"
