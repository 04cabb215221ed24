#!/bin/sh
# docs/health.md is true: its program compiles, its thresholds are those of the code, its links lead somewhere.
# Run from the top of the tree, after make.
. tests/test.sh

compiles() {
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    sed -n '/^```c$/,/^```$/p' docs/health.md | sed '1d;$d' >"$scratch/docs.c"
    [ -s "$scratch/docs.c" ] &&
        $CC -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -c "$scratch/docs.c" -o "$scratch/docs.o"
}

# threshold MACRO TEXT: the page has the text, in which # stands for the macro's value.
threshold() {
    value=$(sed -n "s/^#define $1 *\([0-9.]*[0-9]\).*/\1/p" examples/cli/diagnosis.h | sed 's/\.0$//')
    [ -n "$value" ] && grep -qF -- "$(echo "$2" | sed "s/#/$value/")" docs/health.md
}

files_exist() {
    grep -o '](\([^)]*\))' docs/health.md | tr -d ']()' | sort -u >"$scratch/links"
    [ -s "$scratch/links" ] || return 1
    while read -r file; do
        [ -e "docs/$file" ] || { echo "docs/health.md names $file, which does not exist"; return 1; }
    done <"$scratch/links"
}

check "the program of the thresholds compiles" compiles
check "the page has the threshold of a collapsed weight" threshold COLLAPSE_WEIGHT '| mean weight of one expert in a gate | # |'
check "the page has the threshold of the ratio of deviations" threshold COLLAPSE_RATIO 'that a node mixes | # |'
check "the page has the threshold of zeros" threshold COLLAPSE_ZEROS '| zeros of an expert | # |'
check "the page has the threshold of dead outputs" threshold COLLAPSE_DEAD '| dead outputs of an expert | # of its width |'
check "the page has the threshold of the distance of experts" threshold COLLAPSE_DISTANCE '| distance between two experts | # |'
check "the page has the threshold of a share" threshold DEGRADATION_SHARE 'a share of # of'
check "the page has the threshold of a degraded mass" threshold DEGRADATION_MASS 'less than # of the mass that even gates would give'
check "the page has the threshold of the own mass" threshold UNDERFITTING_MASS 'less than # of an even share'
check "the page has the threshold of enough rows" threshold DIAGNOSIS_ENOUGH_ROWS 'fewer than # rows'
check "the named files exist" files_exist
summary
