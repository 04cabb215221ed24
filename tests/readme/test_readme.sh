#!/bin/sh
# Builds and runs the README's C example as a reader would, and checks that what it names exists.
# Run from the top of the tree, after make.
. tests/test.sh
folder=build/tests/readme
mkdir -p "$folder"

one_example() {
    [ "$(grep -c '^```c$' README.md)" = 1 ]
}

compiles() {
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' >"$folder/example.c"
    $CC -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -Iinclude "$folder/example.c" build/libhome.a $BLIS_LIB \
        -lm -pthread -o "$folder/example"
}

# Five rows are printed, and of the ten predictions at least eight lie on the side of 0.5 where their label is.
learns() {
    "$folder/example" >"$folder/output" || return 1
    cat "$folder/output"
    [ "$(wc -l <"$folder/output")" -eq 5 ] || return 1
    tr -d '()' <"$folder/output" |
        awk '{ right += (($2 > 0.5) == $3) + (($5 > 0.5) == $6) } END { exit right < 8 }'
}

files_exist() {
    grep -o '](\([a-zA-Z][^):]*\))' README.md | tr -d ']()' | sort -u >"$folder/links"
    [ -s "$folder/links" ] || return 1
    while read -r file; do
        [ -e "$file" ] || { echo "README.md names $file, which does not exist"; return 1; }
    done <"$folder/links"
}

vendors() {
    (cd "$folder" && rm -f ./*.o && $CC -O2 -I../../../include -c ../../../lib/*/*.c)
}

check "there is one C example" one_example
check "the example compiles" compiles
check "the example learns" learns
check "the named files exist" files_exist
check "the library compiles without make" vendors
summary
