#!/bin/sh
# docs/health.md is true: its program compiles, its thresholds are those of the code, its links lead somewhere.
# Run from the top of the tree, after make.
set -u
passed=0
failed=0
folder=build/tests/health
mkdir -p "$folder"

check() { # name, command...
    name=$1
    shift
    if "$@" >"$folder/docs.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$name failed:"
        cat "$folder/docs.log"
    fi
}

compiles() {
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    sed -n '/^```c$/,/^```$/p' docs/health.md | sed '1d;$d' >"$folder/docs.c"
    [ -s "$folder/docs.c" ] &&
        ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -c "$folder/docs.c" -o "$folder/docs.o"
}

# threshold MACRO TEXT: the page has the text, in which # stands for the macro's value.
threshold() {
    value=$(sed -n "s/^#define $1 *\([0-9.]*[0-9]\).*/\1/p" examples/cli/diagnosis.h | sed 's/\.0$//')
    [ -n "$value" ] && grep -qF -- "$(echo "$2" | sed "s/#/$value/")" docs/health.md
}

files_exist() {
    grep -o '](\([^)]*\))' docs/health.md | tr -d ']()' | sort -u >"$folder/links"
    [ -s "$folder/links" ] || return 1
    while read -r file; do
        [ -e "docs/$file" ] || { echo "docs/health.md names $file, which does not exist"; return 1; }
    done <"$folder/links"
}

check "the program compiles" compiles
check "weight" threshold COLLAPSE_WEIGHT '| mean weight of one expert in a gate | # |'
check "ratio" threshold COLLAPSE_RATIO 'that a node mixes | # |'
check "zeros" threshold COLLAPSE_ZEROS '| zeros of an expert | # |'
check "dead" threshold COLLAPSE_DEAD '| dead outputs of an expert | # of its width |'
check "distance" threshold COLLAPSE_DISTANCE '| distance between two experts | # |'
check "share" threshold DEGRADATION_SHARE 'a share of # of'
check "mass" threshold DEGRADATION_MASS 'less than # of the mass that even gates would give'
check "own mass" threshold UNDERFITTING_MASS 'less than # of an even share'
check "rows" threshold DIAGNOSIS_ENOUGH_ROWS 'fewer than # rows'
check "the named files exist" files_exist
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
