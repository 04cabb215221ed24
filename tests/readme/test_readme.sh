#!/bin/sh
# Builds and runs the README's C example as a reader would, and checks that what it names exists,
# that its chart and its figures are those of docs/performance.md, and that it shows the demo as it
# is. Run from the top of the tree, after make.
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

# Five rows are printed, and of the ten predictions at least eight lie on the side of 0.5 where
# their label is.
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

# ------------------------------------------------------------------------------------------- what it says

chart_is_current() {
    python3 docs/draw_speed.py | cmp - docs/speed.svg
}

chart_is_xml() {
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' docs/speed.svg
}

figures_are_measured() {
    python3 docs/draw_speed.py claims >"$folder/claims" || return 1
    tr -s ' \n' '  ' <README.md >"$folder/words"
    [ "$(wc -l <"$folder/claims")" -eq 4 ] || return 1
    while read -r claim; do
        grep -q -F "$claim" "$folder/words" || { echo "README.md does not say: $claim"; return 1; }
    done <"$folder/claims"
}

# Numbers apart, which differ from machine to machine.
form() {
    sed 's/[0-9][0-9.]*/N/g' | tr -s ' '
}
demo_is_shown() {
    $MAKE -s build/demo && build/demo "$folder/demo.safetensors" >"$folder/demo" || return 1
    form <"$folder/demo" | sed "s|$folder|build|" >"$folder/demo.form"
    sed -n '/^```text$/,/^```$/p' README.md | grep -v -e '^```' -e '^\.\.\.$' | form >"$folder/shown"
    [ "$(wc -l <"$folder/shown")" -ge 5 ] || return 1
    while read -r line; do
        grep -q -x -F -e "$line" "$folder/demo.form" || { echo "the demo does not say: $line"; return 1; }
    done <"$folder/shown"
}

# What it tells to make can be made.
targets_exist() {
    grep -o 'make [a-z][a-z-]*' README.md | sort -u >"$folder/targets"
    grep -q 'make demo' "$folder/targets" || return 1
    while read -r _ target; do
        $MAKE -n "$target" DATA=nowhere >/dev/null || { echo "there is no make $target"; return 1; }
    done <"$folder/targets"
}

check "there is one C example" one_example
check "the example compiles" compiles
check "the example learns" learns
check "the named files exist" files_exist
check "the library compiles without make" vendors
check "what it tells to make exists" targets_exist
check "the demo says what is shown" demo_is_shown
if have python3; then
    check "the chart is that of docs/performance.md" chart_is_current
    check "the chart is XML" chart_is_xml
    check "the figures are those of docs/performance.md" figures_are_measured
else
    skip 'python3 is not installed' 3
fi
summary
