#!/bin/sh
# What the libraries define and what they need, by name; and that two copies live in one program.
# Run from the top of the tree, after make.
. tests/test.sh

if ! have nm objdump objcopy readelf; then
    skip 'the symbols: binutils are not installed'
    summary
fi

version() { # MAJOR, MINOR or PATCH
    sed -n "s/^#define HOME_VERSION_$1 //p" include/home/home.h
}
full=$(version MAJOR).$(version MINOR).$(version PATCH)
short=$(version MAJOR).$(version MINOR)
[ "$(version MAJOR)" -eq 0 ] || short=$(version MAJOR)

# --------------------------------------------------------------------------------- what is exported

# name@@NODE, as the version script says, and as the dynamic symbol table has it
sed -n -e 's/^\(HOME_[0-9.]*\) {$/node \1/p' -e 's/^ *\(home_[a-z0-9_]*\);$/\1/p' lib/home.map |
    awk '$1 == "node" { node = $2; next } { print $1 "@@" node }' >"$scratch/listed"
nm -D --defined-only --with-symbol-versions build/libhome.so | awk '$2 != "A" { print $3 }' | sort >"$scratch/exported"
sort "$scratch/listed" >"$scratch/map"
sed -n 's/^HOME_API.*[ *]\(home_[a-z0-9_]*\)(.*/\1/p' include/home/home.h | sort >"$scratch/declared"
sed 's/@.*//' "$scratch/map" >"$scratch/names"

sorted() { # the names of each node
    awk -F@ '$3 != node { node = $3; last = "" } $1 <= last { print $1, "is out of order"; bad = 1 } { last = $1 }
             END { exit bad }' "$scratch/listed"
}
check 'the header declares something' test -s "$scratch/declared"
check 'the header (<) and lib/home.map (>) agree' diff "$scratch/declared" "$scratch/names"
check 'lib/home.map (<) and libhome.so (>) agree' diff "$scratch/map" "$scratch/exported"
check 'lib/home.map is in order' sorted

in_changelog() {
    while read -r symbol; do
        grep -q "\`$symbol\`" CHANGELOG.md || { echo "CHANGELOG.md does not name $symbol"; return 1; }
    done <"$scratch/names"
}
check 'CHANGELOG.md names every symbol' in_changelog

# ------------------------------------------------------------------------------------ what is needed

check "the SONAME is libhome.so.$short" sh -c "readelf -d build/libhome.so | grep -q 'SONAME.*\[libhome.so.$short\]'"
check "libhome.so, .$short and .$full are one file" sh -c \
    "cmp build/libhome.so build/libhome.so.$full && cmp build/libhome.so.$short build/libhome.so.$full"

# Threads and the loader belong to libc, though not always to its file. A build with BLIS=1 needs that too.
needs_only_libc() {
    ! readelf -d build/libhome.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
        grep -v -e '^libc\.' -e '^libm\.' -e '^libpthread\.' -e '^ld-linux' ${BLIS_LIB:+-e '^libblis\.'}
}
check "libhome.so needs libc and libm${BLIS_LIB:+, and libblis,} only" needs_only_libc

undefined() { # options of nm, file
    nm -u "$@" | awk 'NF == 2 { sub(/@.*/, "", $2); print $2 }' | grep -v '^home' | sort -u
}
# With _FORTIFY_SOURCE a function has another name, and on AArch64 the compiler has functions for atomics.
asks_for_nothing_new() {
    undefined "$@" | sed -e 's/^__\(.*\)_chk$/\1/' -e '/^__aarch64_/d' | sort -u >"$scratch/asked"
    [ -s "$scratch/asked" ] || { echo 'no undefined symbols found'; return 1; }
    comm -13 "$scratch/allowed" "$scratch/asked" | sed 's/$/ is not in tests\/abi\/undefined.txt/' >"$scratch/new"
    cat "$scratch/new"
    [ ! -s "$scratch/new" ]
}
{ sed 's/#.*//' tests/abi/undefined.txt && echo "${BLIS_LIB:+bli_sgemm_ex}"; } | tr -s ' ' '\n' | sort >"$scratch/allowed"
check 'libhome.so asks for nothing new' asks_for_nothing_new -D build/libhome.so
check 'libhome.a asks for nothing new' asks_for_nothing_new build/libhome.a

# ------------------------------------------------------------------------------------ the static library

defines_home_only() {
    nm -g --defined-only build/libhome.a | awk 'NF == 3 { print $3 }' | sort -u >"$scratch/static"
    ! grep -v '^home' "$scratch/static" && comm -23 "$scratch/names" "$scratch/static" >"$scratch/missing" &&
        cat "$scratch/missing" && [ ! -s "$scratch/missing" ]
}
check 'libhome.a defines home* only, and all of it' defines_home_only

# home_ alone means public: internal names go without the underscore behind home.
home_means_public() {
    grep '^home_' "$scratch/static" | comm -23 - "$scratch/names" | sed 's/$/ is not public/' >"$scratch/internal"
    cat "$scratch/internal"
    [ -s "$scratch/static" ] && [ ! -s "$scratch/internal" ]
}
check 'every home_* of libhome.a is public' home_means_public

# A plug-in that has the library inside does not offer it to others.
hidden_in_a_plug_in() {
    $CC -shared -o "$scratch/plugin.so" -Wl,--whole-archive build/libhome.a -Wl,--no-whole-archive $BLIS_LIB -lm -pthread &&
        ! nm -D --defined-only "$scratch/plugin.so" | grep home
}
check 'a plug-in with libhome.a inside exports nothing of it' hidden_in_a_plug_in

# What a program could write to (the loader alone writes .data.rel.ro), and code that runs before main().
nothing_mutable() { # archive or object
    objdump -h -t "$1" | awk '
        / file format / { object = $1 }
        $2 ~ /^\.(init_array|fini_array|ctors|dtors)/ {
            print object " has code that runs before or after main()"; bad = 1
        }
        /^[0-9a-f]+ / && match($0, /[ \t](\.data|\.bss|\.tdata|\.tbss|\*COM\*)[^ \t]*[ \t]/) {
            section = substr($0, RSTART + 1, RLENGTH - 2)
            if (section ~ /^\.data\.rel\.ro/ || $NF == section) next
            print object " " $NF " in " section " is global data that can change"; bad = 1
        }
        END { exit bad }'
}
check 'libhome.a has no mutable global data' nothing_mutable build/libhome.a

finds_mutable_data() {
    cat >"$scratch/mutable.c" <<'END'
int common_one, initialized = 1;
static _Thread_local int of_thread;
static const char *table[] = {"a", "b"};
static const char *const constant[] = {"a", "b"};
static const int number = 3;
int use(int i) { static int counter; table[i] = 0; return ++counter + of_thread++ + *constant[i] + number; }
static void __attribute__((constructor)) before_main(void) { initialized = 2; }
END
    $CC -fcommon -fPIC -c -o "$scratch/mutable.o" "$scratch/mutable.c" || return 1
    nothing_mutable "$scratch/mutable.o" >"$scratch/found" && return 1
    cat "$scratch/found"
    for symbol in common_one initialized of_thread table counter 'before or after main'; do
        grep -q "$symbol" "$scratch/found" || return 1
    done
    ! grep -e constant -e number "$scratch/found"
}
check 'the search for mutable data finds it' finds_mutable_data

# ------------------------------------------------------------------------- two copies in one program

# Each copy gets a prefix to all its symbols, the names of libc and libm back, and a caller of its own.
copy() { # prefix
    undefined build/libhome.a | sed "s/.*/$1& &/" >"$scratch/$1back"
    sed "s/.*/#define & $1&/" "$scratch/names" >"$scratch/$1names.h"
    objcopy --prefix-symbols="$1" build/libhome.a "$scratch/$1plain.a" &&
        objcopy --redefine-syms="$scratch/$1back" "$scratch/$1plain.a" "$scratch/$1lib.a" &&
        $CC -O1 -Iinclude -include "$scratch/$1names.h" -Dmain="$1main" -c -o "$scratch/$1caller.o" tests/abi/caller.c
}
two_copies() {
    cat >"$scratch/two.c" <<'END'
int a_main(int argc, char **argv);
int b_main(int argc, char **argv);
int main(int argc, char **argv) { return a_main(argc, argv) || b_main(argc, argv); }
END
    copy a_ && copy b_ &&
        $CC -o "$scratch/two" "$scratch/two.c" "$scratch/a_caller.o" "$scratch/b_caller.o" \
            "$scratch/a_lib.a" "$scratch/b_lib.a" $BLIS_LIB -lm -pthread &&
        $CC -Iinclude -o "$scratch/one" tests/abi/caller.c build/libhome.a $BLIS_LIB -lm -pthread &&
        "$scratch/two" "$scratch/file" >"$scratch/two.out" && "$scratch/one" "$scratch/file" >"$scratch/one.out" &&
        [ -s "$scratch/one.out" ] && cat "$scratch/one.out" "$scratch/one.out" | diff - "$scratch/two.out"
}
check 'two copies live in one program' two_copies

summary
