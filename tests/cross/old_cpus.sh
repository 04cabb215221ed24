#!/bin/sh
# Runs native x86-64 test programs on older CPUs, by qemu's emulation: they must meet no newer instruction, and
# the right kernels must be chosen.
#
#     tests/cross/old_cpus.sh program...

set -u
if [ "$(uname -m)" != x86_64 ]; then
    echo 'this is not an x86-64 machine: skipped'
    exit 0
fi
if ! command -v qemu-x86_64 >/dev/null; then
    echo 'qemu-x86_64 is not installed: skipped'
    exit 0
fi

isa=build/tests/cross/isa
status=0

expect_kernels() { # cpu kernels
    chosen=$(qemu-x86_64 -cpu "$1" $isa 2>/dev/null)
    echo "$1: kernels $chosen"
    if [ "$chosen" != "$2" ]; then
        echo "expected kernels $2"
        status=1
    fi
}

on() { # cpu kernels tables-beyond-it program...
    cpu=$1
    beyond=$3
    expect_kernels "$cpu" "$2"
    shift 3
    for table in $beyond; do
        if qemu-x86_64 -cpu "$cpu" $isa "$table" >/dev/null 2>&1; then
            echo "qemu runs $table instructions on this CPU: this proves nothing"
            status=1
        fi
    done
    TEST_QUICK=1 TEST_WRAPPER="qemu-x86_64 -cpu $cpu" sh tests/run.sh "$@" || status=1
}

expect_kernels Nehalem portable
expect_kernels SandyBridge portable
# SSE2 and nothing later, as the first x86-64 CPUs.
on qemu64,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-fma portable 'avx2 avx512' "$@"
if qemu-x86_64 -cpu Haswell $isa avx2 >/dev/null 2>&1; then
    export TEST_READABLE_GUARDS=1 # qemu 7.2's masked load touches the whole vector
    on Haswell avx2 avx512 "$@"
else
    echo 'this qemu is older than 7.2 and has no AVX2: Haswell skipped'
fi
exit "$status"
