#!/bin/sh
# The headers compile alone, home.h as C and as C++, and what makes bindings from it reads all of it as it is.
# Run from the top of the tree, after make. Debian: apt-get install g++ clang python3-cffi python3-pycparser.
. tests/test.sh
header=include/home/home.h
wrapper=include/home/home.hpp
strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Werror'
strict_cxx='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wold-style-cast -Werror'

# ---------------------------------------------------------------------------------------- compilers

cat >"$scratch/use.c" <<'END'
#include <home/home.h>
#include <home/home.h>
#include <string.h>
int main(void) {
    home_model *model = 0;
    home_error error = HOME_INIT(home_error);
    home_config config = HOME_INIT(home_config);
    config.norm_momentum = HOME_ZERO;
    return home_model_create(&config, &model, &error) == HOME_E_CONFIG && strstr(error.message, "config.dense_width is 0")
               ? 0 : 1;
}
END
cp "$scratch/use.c" "$scratch/use.cpp"

# shellcheck disable=SC2086 # words on purpose
compile() { # compiler, standards
    compiler=$1
    case $compiler in
    *++*) language=c++ program="$scratch/use.cpp" flags=$strict_cxx ;;
    *) language=c program="$scratch/use.c" flags=$strict ;;
    esac
    if ! have ${compiler%% *}; then
        skip "$compiler is not installed"
        return
    fi
    shift
    for standard in "$@"; do
        check "$compiler -std=$standard compiles the header alone" \
            $compiler -std=$standard $flags -fsyntax-only -x $language $header
        check "$compiler -std=$standard takes it twice in a program" \
            $compiler -std=$standard $flags -Iinclude -fsyntax-only "$program"
    done
}
compile "$CC" c11 gnu17
compile "$CXX" c++11 c++17
for other in gcc clang; do
    [ "$CC" = $other ] || compile $other c11
done
for other in g++ clang++; do
    [ "$CXX" = $other ] || compile $other c++17
done

cat >"$scratch/wrapper.cpp" <<'END'
#include <home/home.hpp>
#include <home/home.hpp>
int main() {
    try {
        home::model::create("{");
    } catch (const home::error &error) {
        return error.status() == HOME_E_JSON ? 0 : 1;
    }
    return 1;
}
END

# What is older than C++17 gets one message, and it says so.
refuses_the_wrapper() { # compiler, standard
    $1 -std="$2" -Iinclude -fsyntax-only -x c++ $wrapper 2>"$scratch/errors" && return 1
    grep 'home/home.hpp needs C++17' "$scratch/errors"
}

# shellcheck disable=SC2086 # words on purpose
compile_wrapper() { # compiler
    if ! have ${1%% *}; then
        skip "$1 is not installed"
        return
    fi
    for standard in c++17 c++20; do
        check "$1 -std=$standard: home.hpp alone" \
            $1 -std=$standard $strict_cxx -Iinclude -fsyntax-only -x c++ $wrapper
        check "$1 -std=$standard: home.hpp twice in a program" \
            $1 -std=$standard $strict_cxx -Iinclude -fsyntax-only "$scratch/wrapper.cpp"
    done
    for standard in c++11 c++14; do
        check "$1 -std=$standard: home.hpp is refused" refuses_the_wrapper "$1" $standard
    done
}
compile_wrapper "$CXX"
for other in g++ clang++; do
    [ "$CXX" = $other ] || compile_wrapper $other
done

link() { # compiler, program, libraries
    compiler=$1
    program=$2
    shift 2
    $compiler -Iinclude -o "$scratch/use" "$program" "$@" && LD_LIBRARY_PATH=build "$scratch/use"
}
check 'a C program runs with the static library' link "$CC" "$scratch/use.c" build/libhome.a $BLIS_LIB -lm -pthread
check 'a C program runs with the shared library' link "$CC" "$scratch/use.c" -Lbuild -lhome
if have ${CXX%% *}; then
    check 'a C++ program runs with the static library' link "$CXX" "$scratch/use.cpp" build/libhome.a $BLIS_LIB -lm -pthread
    check 'a C++ program runs with the shared library' link "$CXX" "$scratch/use.cpp" -Lbuild -lhome
    check 'a program of home.hpp runs with the shared library' link "$CXX -std=c++17" "$scratch/wrapper.cpp" -Lbuild -lhome
fi

# All bytes of a struct belong to a field: a later field cannot come to lie where an older caller has garbage.
if [ "$(getconf LONG_BIT)" = 64 ]; then
    check 'no struct has hidden padding' $CC -std=c11 -Wpadded -Werror -fsyntax-only -x c $header
else
    skip 'hidden padding: looked for on machines with 64 bits'
fi

# ------------------------------------------------------------------------------ makers of bindings

# The header as it stands, without the system's headers, whose types these tools know themselves.
mkdir "$scratch/empty"
touch "$scratch/empty/stddef.h" "$scratch/empty/stdint.h"
check 'the header preprocesses without system headers' $CC -E -P -nostdinc -I"$scratch/empty" $header -o "$scratch/declarations.h"
$CC -E -dM -nostdinc -I"$scratch/empty" $header | grep '^#define HOME_[A-Z]' | sort >"$scratch/constants.h"

with_modules() { # module, arguments of bindings.py
    for python in ${PYTHON-} python3 /usr/bin/python3; do
        if "$python" -c "import $1" 2>/dev/null; then
            check "the header binds with $1" "$python" -B tests/abi/bindings.py "$@"
            return
        fi
    done
    skip "no python3 with the module $1"
}
with_modules pycparser "$scratch/declarations.h"
with_modules cffi "$scratch/declarations.h" "$scratch/constants.h" build/libhome.so
if have clang; then
    check 'clang gives a syntax tree of the header' sh -c "clang -std=c11 -fsyntax-only -Xclang -ast-dump=json -x c $header >'$scratch/tree.json'"
    with_modules json "$scratch/tree.json"
else
    skip 'the syntax tree: clang is not installed'
fi

summary
