#!/bin/sh
# The tree as a part of a project that CMake or Meson builds, below a folder with a space in its name and under the
# project's own warnings: programs that compute what those of make do, and the shared library that make builds.
# Run from the top of the tree, after make. Debian: apt-get install cmake meson ninja-build.
. tests/test.sh
top=$PWD
projects="$scratch/some projects"
soname_of() { readelf -d "$1" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p'; }
soname=$(soname_of build/libhome.so)
exports() { nm -D --defined-only "$1" | sed 's/^[^ ]* //' | sort; }

copy_tree() { # folder
    mkdir -p "$1" && tar cf - --exclude=./build --exclude=./.git . | tar xf - -C "$1"
}
project() { # name, text
    mkdir -p "$projects/$1" && cp examples/ffi/c/train.c examples/ffi/c/rows.c examples/ffi/c/rows.h "$projects/$1"
    case $1 in meson*) file=meson.build ;; *) file=CMakeLists.txt ;; esac
    cat >"$projects/$1/$file"
}
quietly() { # a command, which warns of nothing; the make that it may call is not one of this make
    env -u MAKEFLAGS "$@" >"$scratch/output" 2>&1
    status=$?
    cat "$scratch/output"
    [ $status -eq 0 ] && ! grep -i warning "$scratch/output"
}
trains() { # program
    "$1" examples/ffi/dense.json "$scratch/trained" || return 1
    [ -n "$BLIS_LIB" ] || cmp "$scratch/trained" "$scratch/expected"
}
same_library() { # its folder
    exports build/libhome.so >"$scratch/exports" && [ -s "$scratch/exports" ] &&
        exports "$1/$soname" | diff "$scratch/exports" - && [ "$(soname_of "$1/$soname")" = "$soname" ]
}

# shellcheck disable=SC2086 # words on purpose
check 'the program of make' $CC -Iinclude examples/ffi/c/train.c examples/ffi/c/rows.c build/libhome.a $BLIS_LIB \
    -lm -pthread -o "$scratch/train"
check 'what it trains' "$scratch/train" examples/ffi/dense.json "$scratch/expected"
check 'a copy' copy_tree "$projects/add/home"

# -------------------------------------------------------------------------------------------- CMake

project add <<'END'
cmake_minimum_required(VERSION 3.13)
project(add C)
add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
add_subdirectory(home/pkgconfig home)
add_executable(static train.c rows.c)
target_link_libraries(static PRIVATE home::home_static)
add_executable(shared train.c rows.c)
target_link_libraries(shared PRIVATE home::home)
END
project fetch <<'END'
cmake_minimum_required(VERSION 3.18)
project(fetch C CXX)
include(FetchContent)
FetchContent_Declare(home SOURCE_DIR ${TREE} SOURCE_SUBDIR pkgconfig)
FetchContent_MakeAvailable(home)
file(WRITE ${CMAKE_BINARY_DIR}/use.cpp "#include <home/home.hpp>
int main() { return home_version() != HOME_VERSION_MAJOR * 1000000 + HOME_VERSION_MINOR * 1000 + HOME_VERSION_PATCH; }")
set(CMAKE_CXX_STANDARD 17)
add_executable(use ${CMAKE_BINARY_DIR}/use.cpp)
target_link_libraries(use PRIVATE home::home_static)
END
by_cmake() { # project, arguments
    name=$1
    shift
    (cd "$projects" && quietly cmake -S "$name" -B "$name/b" -DCMAKE_C_COMPILER="${CC%% *}" "$@")
}
builds() { quietly cmake --build "$projects/$1/b" --parallel 2; }
if have cmake; then
    check 'add_subdirectory' by_cmake add -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    check 'without a build type it is optimized' grep -q -e '-O3 .*/lib/base/abi.c' "$projects/add/b/compile_commands.json"
    check 'programs of add_subdirectory' builds add
    check 'the static one' trains "$projects/add/b/static"
    check 'the shared one' trains "$projects/add/b/shared"
    check "make's shared library" same_library "$projects/add/b/home"
    if cmake --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || v[2] >= 18) }'; then
        check 'FetchContent' by_cmake fetch -DTREE="$top" -DCMAKE_BUILD_TYPE=Debug
        check 'a program of FetchContent' builds fetch
        check 'it runs' "$projects/fetch/b/use"
        check 'nothing unused is built' sh -c "! find '$projects/fetch/b' -name '*.so*' | grep libhome"
    else
        skip "CMake's FetchContent has no SOURCE_SUBDIR before 3.18" 4
    fi
else
    skip 'cmake is not installed' 10
fi

# -------------------------------------------------------------------------------------------- Meson

project meson <<'END'
project('use', 'c', default_options: ['warning_level=3', 'werror=true'])
add_project_arguments('-Wconversion', '-Wshadow', language: 'c')
programs = files('train.c', 'rows.c')
if not get_option('prefer_static')
    executable('shared', programs, dependencies: dependency('home'))
endif
executable('static', programs, dependencies: dependency('home', static: true))
END
# home.wrap with an archive in place of its repository, and with packagefiles/ copied as it says.
wraps() {
    subprojects="$projects/meson/subprojects"
    mkdir "$subprojects" && cp -R pkgconfig/home.wrap pkgconfig/packagefiles "$subprojects" &&
        (cd "$projects/add" && tar cf "$subprojects/packagefiles/home.tar" home) || return 1
    hash=$(sha256sum "$subprojects/packagefiles/home.tar" | cut -d' ' -f1)
    sed -i -e 's/^\[wrap-git\]/[wrap-file]/' -e 's/^url = .*/source_filename = home.tar/' \
        -e "s/^revision = .*/source_hash = $hash/" -e '/^depth/d' "$subprojects/home.wrap"
}
compile_by_meson() { quietly meson compile -C "$projects/meson/b"; }
if have meson ninja; then
    check 'a wrap' wraps
    check 'Meson' quietly meson setup "$projects/meson/b" "$projects/meson"
    check 'without a build type it is optimized' \
        sh -c "tr -d '\n' <'$projects/meson/b/compile_commands.json' | grep -q -e '-O3[^{]*lib/base/abi.c'"
    check 'programs of Meson' compile_by_meson
    check 'the static one' trains "$projects/meson/b/static"
    check 'the shared one' trains "$projects/meson/b/shared"
    check "make's shared library" same_library "$projects/meson/b/subprojects/home"
    check 'Meson without a shared program' quietly meson setup -Dprefer_static=true "$projects/meson/s" "$projects/meson"
    check 'knows no shared library' sh -c "! grep libhome.so '$projects/meson/s/build.ninja'"
else
    skip 'meson or ninja is not installed' 9
fi

summary
