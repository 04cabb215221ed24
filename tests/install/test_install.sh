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
        for header in include/home/*.h include/home/*.hpp; do
            echo "$3/home/${header##*/}"
        done
        echo "$4/man1/home.1"
    } | sort
}

odd= # what the names of folders end in
# Installs with the variables, looks for all files and no others in the four folders, and uninstalls again.
goes_to() { # four folders, variables of make
    root=$scratch/root$odd
    files_of "$1" "$2" "$3" "$4" >"$scratch/expected"
    shift 4
    rm -rf "$root"
    $MAKE --no-print-directory install DESTDIR="$root" "$@" || return 1
    (cd "$root" && find . ! -type d) | sed 's|^\.||' | sort | diff "$scratch/expected" - || return 1
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

# All names at once, with what a shell, sed and make take for something else. A dollar is two to make.
odd=" it's  a&b|(c),\\d;#%"
check 'with odd names' goes_to "/p$odd/b" "/l$odd" "/i$odd/i" "/p$odd/m" PREFIX="/p$odd" BINDIR="/p$odd/b" \
    LIBDIR="/l$odd" INCLUDEDIR="/i$odd/i" MANDIR="/p$odd/m"
odd=' with spaces'
check 'with a space in PREFIX' goes_to '/a b/bin' '/a b/lib' '/a b/include' '/a b/share/man' PREFIX='/a b'
check 'with dots in PREFIX' goes_to /o/h/bin /o/h/lib /o/h/include /o/h/share/man PREFIX='/o/x y/..//./h/'
odd=

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

# ---------------------------------------------------------------------------------------- the loader

# A system whose loader looks into searched/lib, and which writes down when it looks anew.
mkdir -p "$scratch/system" "$scratch/searched"
ln -s searched "$scratch/link"
cat >"$scratch/system/ldconfig" <<END
#!/bin/sh
[ \$# -ne 0 ] || exec sh -c 'echo ran >>"$scratch/ran" && exit \$TEST_FAILS'
[ -n "\$TEST_NO_LIST" ] || echo '$scratch/searched/lib: (from a test)'
END
printf '#!/bin/sh\necho "$TEST_USER"\n' >"$scratch/system/id"
chmod +x "$scratch/system/ldconfig" "$scratch/system/id"

loader() { # times that it looks anew, text of the note, target and variables of make
    times=$1
    note=$2
    shift 2
    : >"$scratch/ran"
    PATH="$scratch/system:$PATH" $MAKE --no-print-directory "$@" >"$scratch/output" || return 1
    cat "$scratch/ran" "$scratch/output"
    [ "$(wc -l <"$scratch/ran")" -eq "$times" ] || return 1
    if [ -n "$note" ]; then grep "NOTE.*$note" "$scratch/output"; else ! grep NOTE "$scratch/output"; fi
}
TEST_USER=0 TEST_FAILS=0 TEST_NO_LIST=
export TEST_USER TEST_FAILS TEST_NO_LIST
searched="PREFIX=$scratch/searched"
check 'root tells the loader of a library' loader 1 '' install "$searched"
check 'and that it is gone' loader 1 '' uninstall "$searched"
check 'by another name of the folder' loader 1 '' install "PREFIX=$scratch/link"
check 'never below DESTDIR' loader 0 '' install "$searched" DESTDIR="$scratch/root"
check 'nor when removing there' loader 0 '' uninstall "$searched" DESTDIR="$scratch/root"
check 'says where the loader does not look' loader 0 '-Wl,-rpath,' install PREFIX="$scratch/elsewhere"
check 'and nothing when removing there' loader 0 '' uninstall PREFIX="$scratch/elsewhere"
TEST_FAILS=1
check 'says what is left to do where it fails' loader 1 'run ldconfig as root' install "$searched"
TEST_USER=1000
check 'and where another user installs' loader 0 'run ldconfig as root' install "$searched"
check 'who removes' loader 0 '' uninstall "$searched"
TEST_NO_LIST=yes
check 'does nothing where the loader has no list' loader 0 '' install "$searched"

# The real one, in a /usr/local and an /etc that nobody else sees.
sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' >"$scratch/example.c"
cat >"$scratch/private.sh" <<END
set -eu
mount -t tmpfs tmpfs /usr/local && mount --bind '$scratch/etc' /etc
$MAKE install
$CC '$scratch/example.c' -L/usr/local/lib -I/usr/local/include -lhome -o '$scratch/example'
env -u LD_LIBRARY_PATH '$scratch/example'
$MAKE uninstall
if ldconfig -p | grep libhome || '$scratch/example'; then exit 1; fi
END
if [ "$(id -u)" = 0 ] && have ldconfig && unshare -m mount -t tmpfs tmpfs /usr/local 2>/dev/null &&
    ldconfig -N -X -v 2>/dev/null | grep -q ^/usr/local/lib: && cp -a /etc "$scratch/etc"; then
    check 'a program finds the library after make install' unshare -m sh "$scratch/private.sh"
else
    skip 'installing to /usr/local: this is not root, or cannot have a /usr/local of its own'
fi

# ------------------------------------------------------------------------------- programs that use it

# A tree that has moved since it was installed; nothing may point to where it was.
moved="$scratch/moved to here"
check 'install, then move' sh -c "$MAKE install PREFIX='$scratch/first' && mv '$scratch/first' '$moved'"

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
installed=$moved
by_pkg_config() { # program, what the compiler gets
    program=$1
    shift
    flags=$(PKG_CONFIG_PATH=$installed/lib/pkgconfig pkg-config $static --cflags --libs home) &&
        eval "$CC" '-o "$program" "$@"' "$flags" # pkg-config writes a space in a name for the shell
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
    static=
    installed="$scratch/it's apart"
    check 'install in folders that cannot move together' \
        $MAKE install PREFIX="$scratch/p q" LIBDIR="$installed/lib" INCLUDEDIR="$installed/include"
    check "the README's example by pkg-config from there" by_pkg_config "$scratch/apart" "$scratch/example.c"
else
    skip 'pkg-config is not installed' 9
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
