# make serve-example MODEL=model.safetensors    serves it for ten seconds; meanwhile, save a newer model over it

build/serve: build/static/examples/serve/serve.o build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: serve-example
serve-example: build/serve
	$(if $(MODEL),,$(error make serve-example wants MODEL=file, a checkpoint))
	$(Q)build/serve "$(MODEL)"
