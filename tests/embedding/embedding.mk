# make test-embedding   vendoring and serve-only builds with all compilers and sets of kernels; `make test` runs some

.PHONY: test-embedding
test-embedding: all
	$(Q)TEST_LONG=1 $(TEST_ENV) sh tests/run.sh tests/embedding/test_embedding.sh
