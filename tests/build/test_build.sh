#!/bin/sh
# What the Makefile promises: the same bytes in any folder, objects that follow the flags, a version that agrees with
# its symbols. And the library without it, by one plain command.
# Run from the top of the tree, after make. Builds in copies of the tree. Debian: apt-get install bmake tcc clang.
. tests/test.sh
here=$scratch/here
there=$scratch/some/longer/way/there

copy_tree() { # folder
    mkdir -p "$1" && tar cf - --exclude=./build --exclude=./.git . | tar xf - -C "$1"
}
make_in() { # folder, arguments of make
    (cd "$1" && shift && $MAKE --no-print-directory "$@")
}

check 'the tree can be copied' copy_tree "$here"
check 'the tree can be copied to a longer path' copy_tree "$there"
check 'a copy builds' make_in "$here" -j2 lib CFLAGS='-O0 -g'
check 'the other copy builds' make_in "$there" -j2 lib CFLAGS='-O0 -g'
check 'libhome.a is the same in both' cmp "$here/build/libhome.a" "$there/build/libhome.a"
check 'libhome.so is the same in both' cmp "$here/build/libhome.so" "$there/build/libhome.so"

# ------------------------------------------------------------------------------ what is built anew

sources=$(find lib -name '*.c' | wc -l)
compiles() { # least and most files, arguments of make
    least=$1
    most=$2
    shift 2
    make_in "$here" -n lib "$@" >"$scratch/commands" || return 1
    count=$(grep -c ' -c lib/' "$scratch/commands")
    echo "$count files are compiled, expected $least to $most"
    [ "$count" -ge "$least" ] && [ "$count" -le "$most" ]
}
compiles_all() {
    compiles $((2 * sources)) $((2 * sources)) "$@"
}
same='CFLAGS=-O0 -g'
check 'a second make compiles nothing' compiles 0 0 "$same"
moves() {
    mv "$here" "$scratch/moved" && make_in "$scratch/moved" -n lib "$same" >"$scratch/commands"
    mv "$scratch/moved" "$here"
    ! grep -e ' -c lib/' "$scratch/commands"
}
check 'a tree that was moved compiles nothing' moves

# As under sudo, which drops what the environment had and what make gave to its children, or has other variables.
installs() { # flags, variables of the environment
    flags=$1
    shift
    (cd "$here" && env -u MAKEFLAGS -u CC -u CFLAGS -u BLIS "$@" $MAKE -n install PREFIX="$scratch/prefix") \
        >"$scratch/commands" || return 1
    grep -e ' -c examples/cli/main.c' -e ' -c lib/' "$scratch/commands"
    ! grep -e ' -c lib/' "$scratch/commands" && ! grep -e other- "$scratch/commands" &&
        { [ -n "$BLIS_LIB" ] || ! grep -e -lblis "$scratch/commands"; } &&
        grep -e "$flags.*-c examples/cli/main.c" "$scratch/commands"
}
check 'install compiles what is missing as the rest was compiled' installs '-O0 -g '
check 'install does not listen to the environment' installs '-O0 -g ' CC=other-cc CFLAGS=-O1 CPPFLAGS=-Iother- LDFLAGS=-Lother- BLIS=1
check 'after install a make compiles nothing' compiles 0 0 "$same"
bare=$scratch/bare
uninstalls() {
    copy_tree "$bare" && make_in "$bare" uninstall PREFIX="$scratch/prefix" CFLAGS=-O1 && [ ! -e "$bare/build" ]
}
check 'uninstall builds nothing' uninstalls

touch "$here/lib/home.map"
check 'the version script compiles nothing' compiles 0 0 "$same"
check 'the version script links anew' grep -q -e ' -shared ' "$scratch/commands"
touch "$here/lib/host/sort.h"
check 'a header compiles its users' compiles 2 20 "$same"
check 'other CFLAGS compile everything' compiles_all CFLAGS='-O1 -g'
check 'other CPPFLAGS compile everything' compiles_all "$same" CPPFLAGS="-DX='\"a b\"'"
check 'another CC compiles everything' compiles_all "$same" CC=other-cc
check 'no CFLAGS compile everything' compiles_all CFLAGS=
check 'flags that the library needs stay without CFLAGS' grep -q -e '-std=c11 -fvisibility=hidden' "$scratch/commands"
compiles_for_install() {
    make_in "$here" -n install PREFIX="$scratch/prefix" CFLAGS=-O3 >"$scratch/commands" &&
        [ "$(grep -c ' -c lib/' "$scratch/commands")" -eq $((2 * sources)) ]
}
check 'other CFLAGS of install itself compile everything' compiles_for_install

stops_at_another_version() {
    sed 's/^\(#define HOME_VERSION_MINOR\) .*/\1 99/' include/home/home.h >"$there/include/home/home.h"
    make_in "$there" lib && return 1
    make_in "$there" lib 2>&1 | grep -q 'lib/home.map'
}
check "the build stops where lib/home.map has another version" stops_at_another_version

stops_bsd_make() { # NetBSD's, which FreeBSD has too, at once and with one message
    env -u MAKEFLAGS bmake >"$scratch/output" 2>&1 && return 1
    cat "$scratch/output"
    grep 'libhome needs GNU make' "$scratch/output" && [ "$(wc -l <"$scratch/output")" -eq 1 ]
}
if have bmake; then
    check "BSD's make stops" stops_bsd_make
else
    skip 'bmake is not installed'
fi

# ---------------------------------------------------------------------------------------- without make

# shellcheck disable=SC2086 # words on purpose
{
    check 'one command without make compiles a program' $CC -O2 -Iinclude lib/*/*.c tests/abi/caller.c -lm -o "$scratch/direct"
    check 'the program of one command runs' "$scratch/direct" "$scratch/file"
    check 'the sources are plain C11' $CC -std=c11 -Iinclude -fsyntax-only lib/*/*.c
    if have clang; then
        check 'the sources are plain C11 of clang' clang -std=c11 -Iinclude -fsyntax-only lib/*/*.c
    else
        skip 'clang is not installed'
    fi
}

# The kernels' plain C, without a vector in it, as any compiler can have it.
without_vectors() { # test
    # shellcheck disable=SC2086 # words on purpose
    $CC -o "$scratch/test" "build/tests/$1.o" build/tests/unit/fixture.o build/tests/unit/cap.o build/tests/reference/reference.o \
        "$scratch/portable.o" build/libhome.a $BLIS_LIB -lm -pthread && TEST_QUICK=1 HOME_ISA=portable "$scratch/test"
}
if have tcc; then
    check 'tcc compiles the portable kernels' tcc -std=c11 -Iinclude -Ilib -c lib/kernels/portable.c -o "$scratch/portable.o"
    check 'kernels without vectors pass their tests' without_vectors unit/test_kernels
    check 'models without vectors meet the golden values' without_vectors golden/test_golden
    check 'images without vectors pass their tests' without_vectors embedding/test_image
else
    skip 'tcc is not installed'
fi

refuses_fast_math() { # option
    for file in lib/train/loss.c lib/metrics/metrics.c; do
        $CC "$1" -Iinclude -fsyntax-only $file 2>"$scratch/errors" && return 1
        grep 'libhome needs IEEE arithmetic' "$scratch/errors" || return 1
    done
}
for option in -ffast-math -Ofast -ffinite-math-only; do
    check "$option is refused" refuses_fast_math $option
done

summary
