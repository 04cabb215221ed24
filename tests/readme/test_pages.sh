#!/bin/sh
# The programs in docs/: on each page that has blocks of C marked as a program,
#
#     ```c program
#
# these blocks, one after another, are one program. It compiles without a warning, and returns 0 when
# it is run without arguments in an empty folder. Run from the top of the tree, after make.
. tests/test.sh
tree=$(pwd)
folder=build/tests/pages
rm -rf "$folder"
mkdir -p "$folder"

# extract PAGE FILE: errors of the compiler name the page and its line.
extract() {
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    awk -v page="$1" '
        /^```c program$/ { program = 1; printf "#line %d \"%s\"\n", NR + 1, page; next }
        /^```$/ { program = 0 }
        program' "$1" >"$2"
    [ -s "$2" ]
}

compiles() {
    $CC -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L -Iinclude "$1.c" build/libhome.a \
        $BLIS_LIB -lm -pthread -o "$1"
}

runs() {
    mkdir -p "$1.run" && (cd "$1.run" && "$tree/$1")
}

# Files exist; a heading stands behind every #anchor of the page itself.
links_lead_somewhere() {
    links=$(grep -o '](\([^)]*\))' "$1" | tr -d ']()' | sort -u)
    anchors=$(sed -n 's/^##* //p' "$1" | tr 'A-Z ' 'a-z-' | tr -d ',.')
    for link in $links; do
        case $link in
        http*) ;;
        '#'*) echo "$anchors" | grep -qxF -- "${link#\#}" || { echo "no heading for $link"; return 1; } ;;
        *) [ -e "docs/${link%%#*}" ] || { echo "no file docs/$link"; return 1; } ;;
        esac
    done
}

is_listed() {
    grep -q -F "($1)" README.md
}

# shellcheck disable=SC2016
pages=$(grep -l '^```c program$' docs/*.md)
check "there are pages with programs" [ -n "$pages" ]
for page in $pages; do
    name=$folder/$(basename "$page" .md)
    check "the program of $page can be taken out" extract "$page" "$name.c"
    check "the program of $page compiles" compiles "$name"
    check "the program of $page runs" runs "$name"
    check "links of $page lead somewhere" links_lead_somewhere "$page"
    check "README.md lists $page" is_listed "$page"
done
summary
