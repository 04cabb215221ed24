# make bench          verifies and times the reference models; prints a table and writes build/bench.jsonl
# make bench-peers    compares with other libraries; tests/bench/peers/README.md says how to install them
#
# BENCH_QUICK=1 in front of either gives a short run. BENCH_ONLY=text in front of the first runs only the cases with
# this text in their name, such as "predict M 128 1 avx512".

BENCH_SUPPORT := $(filter-out build/tests/bench/bench.o, \
                   $(patsubst %.c,build/%.o,$(sort $(wildcard tests/bench/*.c)) tests/unit/fixture.c tests/unit/cap.c tests/reference/reference.c))
PEERS_OBJECTS := build/tests/bench/peers/worker.o $(BENCH_SUPPORT)

build/bench: build/tests/bench/bench.o $(BENCH_SUPPORT) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

build/bench-home: build/tests/bench/peers/home_peer.o $(PEERS_OBJECTS) build/libhome.a
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

# The workers of the BLAS-type libraries: build/bench-NAME. If one does not build, its library is not installed, and it
# is left out.
PEERS_OF_DEBIAN := openblas blis onednn libxsmm
PEER_openblas := gemm_cblas  -L/usr/lib/x86_64-linux-gnu/openblas-pthread -lopenblas
PEER_blis     := gemm_cblas  -L/usr/lib/x86_64-linux-gnu/blis-pthread -lblis
PEER_onednn   := gemm_onednn -ldnnl
PEER_libxsmm  := gemm_libxsmm -Wl,-Bstatic -lxsmm -lxsmmnoblas -Wl,-Bdynamic -ldl

.PHONY: bench bench-peers $(PEERS_OF_DEBIAN:%=bench-peer-%)
bench: build/bench
	$(Q)build/bench build/bench.jsonl

$(PEERS_OF_DEBIAN:%=bench-peer-%): bench-peer-%: build/tests/bench/peers/gemm_peer.o $(PEERS_OBJECTS) build/libhome.a
	@rm -f build/bench-$*
	$(call say,LD,build/bench-$*)$(CC) $(TEST_CPPFLAGS) $(filter-out -Wpedantic,$(ALL_CFLAGS)) $(ALL_LDFLAGS) \
	    -o build/bench-$* tests/bench/peers/$(firstword $(PEER_$*)).c $^ \
	    $(wordlist 2,99,$(PEER_$*)) $(LDLIBS) 2>build/bench-$*.log || true

bench-peers: build/bench-home $(PEERS_OF_DEBIAN:%=bench-peer-%)
	$(Q)python3 -B tests/bench/peers/run.py
