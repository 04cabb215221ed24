# Trains HoME on the KuaiRand log in the folder DATA and writes build/kuairand.json; see README.md here.

PYTHON ?= python3

kuairand: build/home
	$(if $(DATA),,$(error make kuairand wants DATA=folder, see examples/kuairand/README.md))
	$(Q)$(PYTHON) -B examples/kuairand/run.py "$(DATA)"

# make kuairand-daily DATA=folder    day by day: resumed training against training from scratch, served meanwhile
.PHONY: kuairand-daily
kuairand-daily: build/home build/serve
	$(if $(DATA),,$(error make kuairand-daily wants DATA=folder, see examples/kuairand/README.md))
	$(Q)$(PYTHON) -B examples/kuairand/daily.py "$(DATA)"
