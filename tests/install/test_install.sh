#!/bin/sh
# make install and uninstall with each of their variables, and programs built from what is installed through
# pkg-config and CMake, also after the tree has moved. The manual page.
# Run from the top of the tree, after make. Debian: apt-get install pkg-config cmake mandoc.
. tests/test.sh
version=$(sed -n 's/^#define HOME_VERSION_M[A-Z]* //p' include/home/home.h | paste -sd.)
version=$version.$(sed -n 's/^#define HOME_VERSION_PATCH //p' include/home/home.h)
soname=$(readelf -d build/libhome.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')

# ------------------------------------------------------------------------------------ where files go

files_of() { # folders of programs, libraries, headers and manual
    {
        echo "$1/home"
        for file in libhome.a libhome.so "$soname" "libhome.so.$version" pkgconfig/home.pc \
            cmake/home/homeConfig.cmake cmake/home/homeConfigVersion.cmake; do
            echo "$2/$file"
        done
        for header in include/home/*.h; do
            echo "$3/home/${header##*/}"
        done
        echo "$4/man1/home.1"
    } | sort
}

# Installs with the variables, looks for all files and no others in the four folders, and uninstalls again.
goes_to() { # four folders, variables of make
    root=$scratch/root
    files_of "$1" "$2" "$3" "$4" >"$scratch/expected"
    shift 4
    rm -rf "$root"
    $MAKE --no-print-directory install DESTDIR="$root" "$@" || return 1
    find "$root" ! -type d | sed "s|^$root||" | sort | diff "$scratch/expected" - || return 1
    $MAKE --no-print-directory uninstall DESTDIR="$root" "$@" || return 1
    find "$root" ! -type d -o -name home | sed 's/$/ is left/' >"$scratch/left"
    cat "$scratch/left"
    [ ! -s "$scratch/left" ]
}
usr=/usr/local
check 'install with DESTDIR' goes_to $usr/bin $usr/lib $usr/include $usr/share/man
check 'with PREFIX' goes_to /opt/h/bin /opt/h/lib /opt/h/include /opt/h/share/man PREFIX=/opt/h
check 'with PREFIX and a slash' goes_to /usr/bin /usr/lib /usr/include /usr/share/man PREFIX=/usr/
check 'with PREFIX at the root' goes_to /bin /lib /include /share/man PREFIX=/
check 'with LIBDIR' goes_to $usr/bin /usr/lib/some-cpu $usr/include $usr/share/man LIBDIR=/usr/lib/some-cpu
check 'with INCLUDEDIR' goes_to $usr/bin $usr/lib /inc $usr/share/man INCLUDEDIR=/inc
check 'with BINDIR' goes_to /programs $usr/lib $usr/include $usr/share/man BINDIR=/programs
check 'with MANDIR' goes_to $usr/bin $usr/lib $usr/include /manual MANDIR=/manual

keeps_what_is_not_its_own() {
    mkdir -p "$scratch/mine/include/home" && touch "$scratch/mine/include/home/other.h" &&
        $MAKE install PREFIX="$scratch/mine" && $MAKE uninstall PREFIX="$scratch/mine" &&
        [ "$(find "$scratch/mine" ! -type d)" = "$scratch/mine/include/home/other.h" ]
}
check 'uninstall leaves the files of others' keeps_what_is_not_its_own

right_modes() {
    (umask 077 && $MAKE install PREFIX="$scratch/modes") || return 1
    find "$scratch/modes" -type f ! -perm 644 ! -path '*/bin/home' -o -path '*/bin/home' ! -perm 755 |
        tee "$scratch/wrong"
    [ ! -s "$scratch/wrong" ]
}
check 'modes do not follow the umask' right_modes

# ------------------------------------------------------------------------------- programs that use it

# A tree that has moved since it was installed; nothing may point to where it was.
moved=$scratch/moved
check 'install, then move' sh -c "$MAKE install PREFIX='$scratch/first' && mv '$scratch/first' '$moved'"
sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' >"$scratch/example.c"

# The README's example prints five rows. The one from examples/ writes a checkpoint, the same whatever it was linked
# through.
example='examples/ffi/c/train.c examples/ffi/c/rows.c'
runs() { [ "$("$@" | wc -l)" -eq 5 ]; }
trains() {
    checkpoint=$scratch/checkpoint
    env LD_LIBRARY_PATH="$moved/lib" "$1" examples/ffi/dense.json "$checkpoint" && [ -s "$checkpoint" ] || return 1
    [ -e "$checkpoint.first" ] || cp "$checkpoint" "$checkpoint.first"
    cmp "$checkpoint" "$checkpoint.first"
}

# shellcheck disable=SC2046,SC2086 # words on purpose
by_pkg_config() { # program, what the compiler gets
    program=$1
    shift
    $CC -o "$program" "$@" $(PKG_CONFIG_PATH=$moved/lib/pkgconfig pkg-config $static --cflags --libs home)
}
if have pkg-config; then
    static=
    check "pkg-config knows the version" \
        [ "$(PKG_CONFIG_PATH=$moved/lib/pkgconfig pkg-config --modversion home)" = "$version" ]
    check "the README's example by pkg-config" by_pkg_config "$scratch/example" "$scratch/example.c"
    check 'it runs' runs env LD_LIBRARY_PATH="$moved/lib" "$scratch/example"
    check 'examples/ffi/c by pkg-config' by_pkg_config "$scratch/train" $example
    check 'it runs' trains "$scratch/train"
    static=--static
    check 'examples/ffi/c by pkg-config --static' by_pkg_config "$scratch/static" -static $example
    check 'it runs' trains "$scratch/static"
else
    skip 'pkg-config is not installed' 7
fi

mkdir "$scratch/project"
cat >"$scratch/project/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.10)
project(use C)
foreach(version IN LISTS REFUSED)
    find_package(home ${version} QUIET)
    if(home_FOUND)
        message(FATAL_ERROR "home ${version} was found")
    endif()
endforeach()
find_package(home ${SHORT} REQUIRED)
find_package(home ${FULL} EXACT REQUIRED)
find_package(home REQUIRED)
add_executable(example ${SCRATCH}/example.c)
target_link_libraries(example PRIVATE home::home)
add_executable(train ${TREE}/examples/ffi/c/train.c ${TREE}/examples/ffi/c/rows.c)
target_link_libraries(train PRIVATE home::home)
add_executable(static ${TREE}/examples/ffi/c/train.c ${TREE}/examples/ffi/c/rows.c)
target_link_libraries(static PRIVATE home::home_static)
END
major=${version%%.*}
minor=${version#*.}
minor=${minor%.*}
refused="$((major + 1)).0;$major.$((minor + 1));$version.1"
[ "$major" -ne 0 ] || refused="$refused;0.$((minor - 1))"
if have cmake; then
    check 'find_package, and what it refuses' cmake -S "$scratch/project" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$moved" \
        -DCMAKE_C_COMPILER="${CC%% *}" -DSCRATCH="$scratch" -DTREE="$PWD" -DSHORT="$major.$minor" -DFULL="$version" \
        -DREFUSED="$refused"
    check 'programs by CMake' cmake --build "$scratch/cmake" --parallel 2
    check "the README's example runs" runs "$scratch/cmake/example"
    check 'examples/ffi/c runs' trains "$scratch/cmake/train"
    check 'examples/ffi/c runs with the static library' trains "$scratch/cmake/static"
    check 'which is inside' sh -c "! readelf -d '$scratch/cmake/static' | grep libhome"
else
    skip 'cmake is not installed' 6
fi

# ----------------------------------------------------------------------------------- the manual page

if have mandoc; then
    check 'the manual page is well formed' mandoc -T lint -W warning docs/home.1
elif have groff; then
    check 'the manual page is well formed' sh -c '[ -z "$(groff -ww -mandoc -z docs/home.1 2>&1)" ]'
else
    skip 'neither mandoc nor groff is installed'
fi

agree() { # two files
    [ -s "$1" ] && diff "$1" "$2"
}
options() { grep -o -e '--[a-z]\{2,\}' | sort -u; }
build/home --help | sed -n 's/^.* home \([a-z]\{1,\}\) .*/\1/p' | sort >"$scratch/help.commands"
sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/s/^\.Cm //p' docs/home.1 | sort >"$scratch/man.commands"
while read -r command; do
    build/home "$command" --help
done <"$scratch/help.commands" | { build/home --help && cat; } | options >"$scratch/help.options"
sed -n 's/Fl \\-\([a-z]*\)/\n--\1\n/gp' docs/home.1 | options >"$scratch/man.options"
sed '/^## Building it/,$d' docs/cli.md | options | comm -23 - "$scratch/man.options" >"$scratch/cli.options"
check 'commands: --help (<) and docs/home.1 (>)' agree "$scratch/help.commands" "$scratch/man.commands"
check 'options: --help (<) and docs/home.1 (>)' agree "$scratch/help.options" "$scratch/man.options"
check 'options of docs/cli.md that docs/home.1 lacks' diff "$scratch/cli.options" /dev/null

sed -n 's/^| `\([a-z_]*\)` |.*/\1/p' docs/cli.md | sort >"$scratch/cli.members"
sed -n '/^\.Ss The recipe/,/^\.Sh/s/^\.It Cm //p' docs/home.1 | sort >"$scratch/man.members"
check "the recipe's members: docs/cli.md (<) and docs/home.1 (>)" agree "$scratch/cli.members" "$scratch/man.members"

summary
