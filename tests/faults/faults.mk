# Faults of the system and of files. Included by tests/tests.mk.
#
# make test-kill       500 processes killed with SIGKILL while they save; make test does the same with fewer

.PHONY: test-kill
test-kill: build/tests/faults/test_saving
	$(Q)TEST_KILLS=500 $<
