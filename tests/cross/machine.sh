#!/bin/sh
# Builds test programs for another machine and runs them under qemu, or as they are where this machine can; exchanges
# checkpoints with this one.
#
#     tests/cross/machine.sh folder machine kernels program...
#
# `folder` is the one below build/, `kernels` what must be in use there, a program is named from tests/ on.

set -u
folder=$1
machine=$2
kernels=$3
shift 3

case $machine in
i686) run= ;;
*) run=qemu-$machine ;;
esac
for tool in "$machine-linux-gnu-gcc" $run; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is not installed: skipped"
        exit 0
    fi
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! echo 'int main(void) { return 0; }' |
    "$machine-linux-gnu-gcc" -static -x c -o "$scratch/program" - 2>/dev/null; then
    echo "$machine-linux-gnu-gcc has no C library to link with: skipped"
    exit 0
fi
if ! $run "$scratch/program"; then
    echo "this machine runs no programs of $machine: skipped"
    exit 0
fi

there=build/$folder/tests
here=build/tests
${MAKE:-make} --no-print-directory "$folder-programs" || exit 1
status=0

chosen=$($run "$there/cross/isa")
echo "$machine: kernels $chosen"
if [ "$chosen" != "$kernels" ]; then
    echo "expected kernels $kernels"
    status=1
fi

for program in "$@"; do
    set -- "$@" "$there/$program"
    shift
done
TEST_QUICK=1 TEST_WRAPPER=$run sh tests/run.sh "$@" || status=1

# Each machine reads what the other wrote, finds the same values, goes on from there in the same way, and writes
# the same bytes.
export HOME_ISA=portable
exchange() { # writer reader
    $1 write "$scratch/a" >"$scratch/written" && $2 copy "$scratch/a" "$scratch/b" >"$scratch/read" &&
        [ -s "$scratch/written" ] && cmp "$scratch/written" "$scratch/read" && cmp "$scratch/a" "$scratch/b"
}
if exchange "$here/cross/checkpoint" "$run $there/cross/checkpoint" &&
    exchange "$run $there/cross/checkpoint" "$here/cross/checkpoint"; then
    echo "checkpoints: the same values and bytes here and on $machine"
else
    echo "checkpoints: not the same here and on $machine"
    status=1
fi
exit "$status"
