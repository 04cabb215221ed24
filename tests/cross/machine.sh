#!/bin/sh
# Builds test programs for another machine and runs them under qemu; exchanges checkpoints with this one.
#
#     tests/cross/machine.sh folder machine kernels program...
#
# `folder` is the one below build/, `kernels` what must be in use there, a program is named from tests/ on.

set -u
folder=$1
machine=$2
kernels=$3
shift 3

for tool in "$machine-linux-gnu-gcc" "qemu-$machine"; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is not installed: skipped"
        exit 0
    fi
done
if ! echo 'int main(void) { return 0; }' |
    "$machine-linux-gnu-gcc" -static -x c -o /dev/null - 2>/dev/null; then
    echo "$machine-linux-gnu-gcc has no C library to link with: skipped"
    exit 0
fi

there=build/$folder/tests
here=build/tests
${MAKE:-make} --no-print-directory "$folder-programs" || exit 1
status=0

chosen=$("qemu-$machine" "$there/cross/isa")
echo "$machine: kernels $chosen"
if [ "$chosen" != "$kernels" ]; then
    echo "expected kernels $kernels"
    status=1
fi

for program in "$@"; do
    set -- "$@" "$there/$program"
    shift
done
TEST_QUICK=1 TEST_WRAPPER="qemu-$machine" sh tests/run.sh "$@" || status=1

# Each machine reads what the other wrote, finds the same values, goes on from there in the same way, and writes
# the same bytes.
export HOME_ISA=portable
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
exchange() { # writer reader
    $1 write "$scratch/a" >"$scratch/written" && $2 copy "$scratch/a" "$scratch/b" >"$scratch/read" &&
        [ -s "$scratch/written" ] && cmp "$scratch/written" "$scratch/read" && cmp "$scratch/a" "$scratch/b"
}
if exchange "$here/cross/checkpoint" "qemu-$machine $there/cross/checkpoint" &&
    exchange "qemu-$machine $there/cross/checkpoint" "$here/cross/checkpoint"; then
    echo "checkpoints: the same values and bytes here and on $machine"
else
    echo "checkpoints: not the same here and on $machine"
    status=1
fi
exit "$status"
