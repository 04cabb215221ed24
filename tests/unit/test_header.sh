#!/bin/sh
# The public header compiles alone, twice in one file, as C11 and as C++; the library exports home_* only and
# needs nothing but libc and libm.

set -u
CC=${CC:-cc}
CXX=${CXX:-g++}
passed=0
failed=0
skipped=0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

check() { # check NAME COMMAND...
    name=$1
    shift
    if "$@" >"$folder/log" 2>&1; then
        passed=$((passed + 1))
    else
        echo "$0: $name"
        cat "$folder/log"
        failed=$((failed + 1))
    fi
}

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

cat >"$folder/use.c" <<'END'
#include <home/home.h>
#include <home/home.h>
int main(void) {
    home_model *model = 0;
    home_error error = {sizeof(home_error), 0, {0}};
    home_config config = {sizeof(home_config)};
    return home_model_create(&config, &model, &error) == HOME_E_CONFIG ? 0 : 1;
}
END
cp "$folder/use.c" "$folder/use.cpp"
strict='-Wall -Wextra -Wpedantic -Wno-missing-field-initializers -Werror -Iinclude'

# shellcheck disable=SC2086 # words on purpose
{
    check 'C11' $CC -std=c11 $strict -fsyntax-only "$folder/use.c"
    check 'C11 against the static library' $CC -std=c11 $strict -o "$folder/use" "$folder/use.c" \
        build/libhome.a -pthread -lm
    check 'runs' "$folder/use"
    check 'C11 against the shared library' $CC -std=c11 $strict -o "$folder/use" "$folder/use.c" \
        -Lbuild -lhome
    check 'runs with the shared library' env LD_LIBRARY_PATH=build "$folder/use"
    if command -v "$CXX" >/dev/null; then
        check 'C++11' $CXX -std=c++11 $strict -o "$folder/use++" "$folder/use.cpp" build/libhome.a -pthread -lm
        check 'C++ program runs' "$folder/use++"
    else
        skip 'no C++ compiler'
    fi
}

# Everything the header declares is there for a program that links the shared library, and nothing else is.
if command -v nm >/dev/null; then
    sed -n 's/^HOME_API.*[ *]\(home_[a-z0-9_]*\)(.*/\1/p' include/home/home.h | sort -u >"$folder/declared"
    nm -D --defined-only build/libhome.so | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u \
        >"$folder/exported"
    check 'some functions are declared' test -s "$folder/declared"
    check 'exported symbols are those of the header' diff "$folder/declared" "$folder/exported"
    check 'static library defines home_* only' sh -c \
        "! nm -g --defined-only build/libhome.a | awk 'NF == 3 { print \$3 }' | grep -v '^home_'"
else
    skip 'no nm'
fi
if command -v readelf >/dev/null; then
    readelf -d build/libhome.so | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' >"$folder/needed"
    check 'needs libc and libm only' sh -c \
        "! grep -v -e '^libc\.' -e '^libm\.' -e '^libpthread\.' -e '^ld-linux' '$folder/needed'"
else
    skip 'no readelf'
fi

if [ "$skipped" -ne 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
