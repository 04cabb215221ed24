#!/bin/sh
# The library as other people's builds compile it: its sources by one command, in two files, serve-only; and the commands,
# the example and the figures of docs/embedding.md.
# Run from the top of the tree, after make. With TEST_LONG=1 also with other compilers, for every set of kernels, and
# for AArch64.
. tests/test.sh

page=docs/embedding.md
here=tests/embedding
if ! have python3 nm size; then
    skip 'embedding: python3 or binutils are not installed'
    summary
fi
long=${TEST_LONG-}
is_clang() {
    echo __clang__ | "$1" -E -P - | grep -qx 1
}
other=clang
is_clang "$CC" && other=gcc
warnings='-Wall -Wextra -Werror'
sets=PORTABLE
if [ "$(uname -m)" = x86_64 ]; then
    sets='PORTABLE AVX2'
    [ -n "$long" ] && sets="$sets AVX512"
fi

# ---------------------------------------------------------------------------------- the two files

generate() {
    "$MAKE" --no-print-directory amalgamation && python3 lib/amalgamate.py "$scratch/again" &&
        cmp build/amalgamation/home.c "$scratch/again/home.c" && cmp build/amalgamation/home.h "$scratch/again/home.h" &&
        cmp build/amalgamation/home.h include/home/home.h
}
check 'make amalgamation writes the same files each time' generate
check 'the generator keeps equal names apart' python3 $here/test_amalgamate.py
mkdir "$scratch/home"
cp build/amalgamation/home.h build/amalgamation/home.c "$scratch"
cp build/amalgamation/home.h "$scratch/home"
sed -n 's/^HOME_API.*[ *]\(home_[a-z0-9_]*\)(.*/\1/p' include/home/home.h | sort >"$scratch/public"

compile() { # compiler, object, options
    compiler=$1
    object=$2
    shift 2
    # shellcheck disable=SC2086 # words on purpose
    "$compiler" $warnings "$@" -c "$scratch/home.c" -o "$scratch/$object"
}
defines() { # object, list
    nm -g --defined-only "$scratch/$1" | awk '{ print $3 }' | sort | diff "$scratch/$2" -
}
program() { # compiler, source, library, program, options
    compiler=$1
    source=$2
    library=$3
    output=$4
    shift 4
    # shellcheck disable=SC2086 # words on purpose
    "$compiler" -std=c11 -O2 $warnings -Wpedantic -I"$scratch" "$source" "$library" -o "$scratch/$output" "$@"
}

# The library as it is, to compare with: what it trains, writes and predicts. After make BLIS=1 home.c stands in for it,
# since what is compiled below does not multiply by BLIS.
mkdir "$scratch/expected"
library=build/libhome.a
[ -z "$BLIS_LIB" ] || { library=$scratch/plain.o && compile "$CC" plain.o -O2; }
check 'a host builds with libhome.a' program "$CC" $here/host.c "$library" host $BLIS_LIB -lm -pthread
check 'a device builds with libhome.a' program "$CC" $here/device.c build/libhome.a device $BLIS_LIB -lm -pthread
"$scratch/host" train "$scratch/expected" >"$scratch/expected/predictions"

trains_the_same() { # compiler
    mkdir "$scratch/trained_$1"
    program "$1" $here/host.c "$scratch/home.o" "host_$1" -lm -pthread &&
        "$scratch/host_$1" train "$scratch/trained_$1" >"$scratch/trained_$1/predictions" || return 1
    for file in predictions model image.8 image.16 image.32; do
        cmp "$scratch/expected/$file" "$scratch/trained_$1/$file" || return 1
    done
}
whole() { # compiler
    check "$1 compiles home.c" compile "$1" home.o -O2
    check "home.o of $1 defines the public functions alone" defines home.o public
    check "home.c of $1 trains, saves, loads and predicts as libhome.a does" trains_the_same "$1"
}

# -------------------------------------------------------------------------------------- serve only

sed -n '/public functions it has these:/,/^Messages/p' $page | grep '^    ' | tr -s ' ' '\n' | sed '/^$/d' | sort \
    >"$scratch/serving"
# What the page says is needed, and what a compiler brings along to ask for the CPU and for atomic operations.
cat >"$scratch/allowed" <<'NAMES'
memcmp
memcpy
memset
strcmp
strlen
strncmp
_GLOBAL_OFFSET_TABLE_
__cpu_indicator_init
__cpu_model
NAMES
asks_nothing() { # objects
    nm -u "$@" | awk 'NF == 2 { print $2 }' | grep -v -e '^home' -e '^__aarch64_' | sort -u >"$scratch/needed"
    ! grep -vxF -f "$scratch/allowed" "$scratch/needed"
}
has_no_variables() { # object
    size -A "$scratch/$1" | awk '$1 ~ /^\.t?(data|bss)$/ { bytes += $2 } END { exit bytes != 0 }'
}
text_bytes() { # object
    size "$scratch/$1" | awk 'NR == 2 { print $1 }'
}
below_100_kib() { # object
    echo "$(text_bytes "$1") bytes of code and constants"
    [ "$(text_bytes "$1")" -le 102400 ]
}
predicts_the_same() { # device, image, instruction set
    HOME_ISA=$3 "$scratch/host" predict "$scratch/expected" >"$scratch/frozen" &&
        "$scratch/$1" "$scratch/expected/$2" >"$scratch/predicted" && cmp "$scratch/frozen" "$scratch/predicted"
}
says_the_same() { # device
    "$scratch/device" "$scratch/expected/image.8" messages >"$scratch/full" &&
        "$scratch/$1" "$scratch/expected/image.8" messages >"$scratch/small" && diff "$scratch/full" "$scratch/small"
}
refuses() { # device, image
    ! "$scratch/$1" "$scratch/expected/$2" 2>"$scratch/said" && grep "no kernels" "$scratch/said"
}
has_cpu() { # flags of /proc/cpuinfo
    for flag in "$@"; do
        grep -qw "$flag" /proc/cpuinfo 2>/dev/null || return 1
    done
}

serving() { # compiler
    for set in $sets; do
        object=serve_$1_$set.o
        check "$1, $set alone compiles" compile "$1" "$object" -O2 -DHOME_SERVE_ONLY "-DHOME_ONLY_$set"
        check "$1, $set: it defines the functions that the page lists" defines "$object" serving
        check "$1, $set: it asks nothing of the system" asks_nothing "$scratch/$object"
        check "$1, $set: it is below 100 KiB" below_100_kib "$object"
    done
    check "$1, one set: a device builds" program "$1" $here/device.c "$scratch/serve_$1_PORTABLE.o" one
    check "$1, one set: it predicts as the host does" predicts_the_same one image.8 portable
    check "$1, one set: it refuses images for others" refuses one image.16
    check "$1, all sets compile" compile "$1" serve.o -O2 -DHOME_SERVE_ONLY
    check "$1, all sets: they ask nothing of the system" asks_nothing "$scratch/serve.o"
    check "$1, all sets: they have no data that changes" has_no_variables serve.o
    check "$1, all sets: a device builds" program "$1" $here/device.c "$scratch/serve.o" all
    check "$1, all sets: they predict as the host does" predicts_the_same all image.8 portable
    if has_cpu avx2 fma; then
        check "$1, all sets: they predict as the host does with AVX2" predicts_the_same all image.16 avx2
    fi
    if has_cpu avx512f; then
        check "$1, all sets: they predict as the host does with AVX-512" predicts_the_same all image.32 avx512
    fi
    check "$1, all sets: they have the same messages" says_the_same all
    check "$1, -fsanitize=undefined compiles" compile "$1" ubsan.o -O1 -DHOME_SERVE_ONLY -fsanitize=undefined \
        -fno-sanitize-recover=all
    check "$1, -fsanitize=undefined: a device builds" program "$1" $here/device.c "$scratch/ubsan.o" ubsan -fsanitize=undefined
    check "$1, -fsanitize=undefined: it predicts as the host does" predicts_the_same ubsan image.8 portable
    check "$1, -fsanitize=undefined: it has the same messages" says_the_same ubsan
}

whole "$CC"
serving "$CC"
if [ -n "$long" ] && have $other; then
    whole $other
    serving $other
elif [ -n "$long" ]; then
    skip "embedding with $other: it is not installed"
fi

# ------------------------------------------------------------------------------ as the sources are

mkdir "$scratch/bin"
printf '#!/bin/sh\nexec %s %s ${EXTRA-} "$@"\n' "$(command -v "$CC")" "$warnings" >"$scratch/bin/cc"
chmod +x "$scratch/bin/cc"

# A command of the page or the README with `cc` in it, as it stands there, in a folder with lib/ and include/.
run_command() { # folder, file of the command, further options of the compiler
    mkdir -p "$1" && ln -s "$PWD/lib" "$PWD/include" "$1" && [ -s "$2" ] || return 1
    cat "$2"
    (cd "$1" && EXTRA=${3-} PATH="$scratch/bin:$PATH" sh -e "$2")
}

# Whatever the standard and the optimization: only where no product is contracted with a sum are the bytes the same.
sed -n 's/^ *\(cc .* -c lib\/\*\/\*\.c\)$/\1/p' README.md >"$scratch/vendor-O3"
sed 's/-O3/-O2/' "$scratch/vendor-O3" >"$scratch/vendor-O2"
page_has_it_too() {
    [ "$(wc -l <"$scratch/vendor-O3")" -eq 1 ] && ! cmp -s "$scratch/vendor-O3" "$scratch/vendor-O2" &&
        grep -qxF "    $(cat "$scratch/vendor-O3")" $page
}
vendors() { # -O level
    run_command "$scratch/vendored$1" "$scratch/vendor$1" &&
        "$CC" -r -nostdlib "$scratch/vendored$1"/*.o -o "$scratch/vendored$1.o" &&
        program "$CC" $here/host.c "$scratch/vendored$1.o" "host$1" -lm -pthread
}
train_with() { # host, instruction set, folder
    mkdir "$3" && HOME_ISA=$2 "$1" train "$3" >"$3/predictions"
}
gives_the_same() { # -O level, instruction set
    train_with "$scratch/host$1" "$2" "$scratch/with_$2$1" && diff -r "$scratch/with_$2" "$scratch/with_$2$1"
}
case $(uname -m) in
x86_64) isas='portable avx2 avx512' ;;
aarch64) isas='portable neon' ;;
*) isas=portable ;;
esac
compared=0
compare_sets() {
    for isa in $isas; do
        if [ "$(HOME_ISA=$isa "$scratch/host" isa)" != "$isa" ]; then
            skip "the vendored sources with $isa: this CPU does not have it" 3
            continue
        fi
        check "libhome.a trains with $isa" train_with "$scratch/host" "$isa" "$scratch/with_$isa"
        for level in -O3 -O2; do
            check "the vendored sources give the bytes of libhome.a with $isa at $level" gives_the_same $level "$isa"
        done
        compared=$((compared + 1))
    done
}
check 'README and page have the same command to vendor the sources' page_has_it_too
check 'the vendored sources compile at -O3' vendors -O3
check 'the vendored sources compile at -O2' vendors -O2
compare_sets
check 'at least one instruction set is compared' test $compared -gt 0

# Serve-only, from the folders that the page names alone, without the headers of what is left out.
sed -n '/^    cc .*-DHOME_SERVE_ONLY.* -Iinclude/,/[^\\]$/p' $page >"$scratch/serve-only"
folders=$(grep -o 'lib/[a-z]*/\*\.c' "$scratch/serve-only" | sed 's|lib/\(.*\)/.*|\1|')
objects=$scratch/serve_only
from_five_folders() {
    mkdir -p "$scratch/poison/sys"
    for header in stdio stdlib pthread signal errno fcntl unistd sys/stat; do
        echo "#error $header.h is included" >"$scratch/poison/$header.h"
    done
    run_command "$objects" "$scratch/serve-only" "-I$scratch/poison"
}
are_those_of_the_amalgamation() {
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=lib python3 -c 'import amalgamate; print(*amalgamate.EVERYWHERE, sep="\n")' \
        >"$scratch/everywhere" && [ -s "$scratch/everywhere" ] && echo "$folders" | diff "$scratch/everywhere" -
}
misses_nothing_of_its_own() {
    nm -u "$objects"/*.o | awk '$2 ~ /^home/ { print $2 }' | sort -u >"$scratch/used"
    nm -g --defined-only "$objects"/*.o | awk 'NF == 3 { print $3 }' | sort -u >"$scratch/defined"
    [ -s "$scratch/used" ] && [ -z "$(comm -23 "$scratch/used" "$scratch/defined")" ]
}
join_objects() { # program, objects
    joined=$1
    shift
    "$CC" -r -nostdlib "$@" -o "$scratch/$joined.o" && program "$CC" $here/device.c "$scratch/$joined.o" "$joined"
}
is_needed() { # folder
    set --
    for other in $folders; do
        [ "$other" = "$folder" ] && continue
        for source in lib/"$other"/*.c; do
            set -- "$@" "$objects/$(basename "$source" .c).o"
        done
    done
    [ $# -gt 0 ] && ! join_objects without "$@" && [ -f "$scratch/without.o" ]
}
check "the page's five folders compile, serve-only, without the headers of what is left out" from_five_folders
check 'they are those that the amalgamation keeps' are_those_of_the_amalgamation
check 'they ask nothing of the system' asks_nothing "$objects"/*.o
check 'they need no other folder' misses_nothing_of_its_own
check 'they are enough for a device' join_objects five "$objects"/*.o
check 'they predict as the host does' predicts_the_same five image.8 portable
for folder in $folders; do
    check "lib/$folder cannot be left out" is_needed "$folder"
done

neon() {
    # shellcheck disable=SC2086 # words on purpose
    set -- aarch64-linux-gnu-gcc -O2 $warnings
    "$@" -DHOME_SERVE_ONLY -DHOME_ONLY_NEON -c "$scratch/home.c" -o "$scratch/neon.o" && asks_nothing "$scratch/neon.o" &&
        "$@" -static -std=c11 -I"$scratch" $here/device.c "$scratch/neon.o" -o "$scratch/neon" &&
        qemu-aarch64 "$scratch/neon" "$scratch/expected/image.16" >"$scratch/predicted" &&
        python3 - "$scratch/predicted" "$scratch/expected/predictions" <<'COMPARE'
import sys
here, there = ([float.fromhex(x) for x in open(path).read().split()] for path in sys.argv[1:])
assert len(here) == len(there) == 300
assert all(abs(a - b) < 1e-5 for a, b in zip(here, there))
COMPARE
}
if [ -n "$long" ] && have aarch64-linux-gnu-gcc qemu-aarch64; then
    check 'an image written here predicts on AArch64' neon
elif [ -n "$long" ]; then
    skip 'embedding on AArch64: gcc-aarch64-linux-gnu or qemu-user is not installed'
fi

# ---------------------------------------------------------------------------------------- the page

block() { # number
    awk -v wanted="$1" '/^```c$/ { n++; inside = n == wanted; next } /^```$/ { inside = 0 } inside' $page
}
# Its programs and its commands, as they stand there; and what the whole library predicts for the row of the device.
example() {
    mkdir "$scratch/example"
    cp "$scratch/home.h" "$scratch/home.c" "$scratch/example"
    block 1 >"$scratch/example/host.c"
    block 2 >"$scratch/example/device.c"
    sed -n '/^## Example/,/^## Sizes/s/^    \(cc .*\|\.\/.*\)/\1/p' $page >"$scratch/example/commands"
    [ "$(wc -l <"$scratch/example/commands")" -eq 4 ] || return 1
    "$scratch/host" plain "$scratch/example" && mv "$scratch/example/model" "$scratch/example/model.safetensors" &&
        (cd "$scratch/example" && PATH="$scratch/bin:$PATH" sh -e ./commands >printed) &&
        "$scratch/host" row "$scratch/example" | diff "$scratch/example/printed" -
}
check 'the example of the page runs' example

figure() { # file, row, column of a table
    awk -F'|' -v row=" $2 " -v column="$3" '$2 == row { print $(column + 1) + 0 }' "$1"
}
near_page() { # row, column, bytes, percent
    expected=$(figure $page "$1" "$2")
    echo "$1, column $2: $3 bytes, the page has ${expected:-none}"
    awk -v a="$3" -v b="${expected:-0}" -v p="$4" 'BEGIN { exit !(a <= b * (1 + p / 100) && a >= b * (1 - p / 100)) }'
}
sizes() {
    program "$CC" $here/sizes.c build/libhome.a sizes -Iinclude -Itests -D_POSIX_C_SOURCE=200809L tests/bench/models.c \
        tests/unit/fixture.c build/libhome.a $BLIS_LIB -lm -pthread && "$scratch/sizes" >"$scratch/measured" || return 1
    for row in S M L; do
        for column in 2 3 4 5; do
            near_page $row $column "$(figure "$scratch/measured" $row $column)" 5 || return 1
        done
    done
}
code_sizes() { # row of the page, compiler, set
    for level in -O2 -Os; do
        compile "$2" code.o $level -DHOME_SERVE_ONLY "-DHOME_ONLY_$3" || return 1
        column=$([ $level = -O2 ] && echo 2 || echo 3)
        near_page "$1" "$column" "$(text_bytes code.o)" 25 || return 1
    done
}
if [ -n "$long" ]; then
    check 'the page has the sizes of the reference configurations' sizes
    if [ $other = clang ] && [ "$(uname -m)" = x86_64 ]; then
        check 'the page has the code size of the portable kernels' code_sizes 'portable (x86-64)' "$CC" PORTABLE
        check 'the page has the code size of AVX2' code_sizes AVX2 "$CC" AVX2
        check 'the page has the code size of AVX-512' code_sizes AVX-512 "$CC" AVX512
    fi
    if have aarch64-linux-gnu-gcc; then
        check 'the page has the code size of NEON' code_sizes NEON aarch64-linux-gnu-gcc NEON
    fi
fi
summary
