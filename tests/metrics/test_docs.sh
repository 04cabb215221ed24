#!/bin/sh
# docs/metrics.md is true: its program compiles, links with the library and prints what it should; its links lead
# somewhere. Run from the top of the tree, after make.
. tests/test.sh

# shellcheck disable=SC2016 # the backquotes are Markdown's
sed -n '/^```c$/,/^```$/p' docs/metrics.md | sed '1d;$d' >"$scratch/page.c"
cat >>"$scratch/page.c" <<'MAIN'

int main(void) {
    const float predictions[] = {0.25f, 0.5f, 0.5f, 0.5f, 0.75f, 0.5f};
    const float labels[] = {0, 0, 1, 0, 1, NAN};
    const uint64_t users[] = {1, HOME_NO_USER, 2};
    return print_quality(3, 2, predictions, labels, users, NULL);
}
MAIN
compiles() {
    # shellcheck disable=SC2086 # libraries are words
    $CC -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude "$scratch/page.c" build/libhome.a $BLIS_LIB -lm -pthread \
        -o "$scratch/page"
}
files_exist() {
    grep -o '](\([^)#]*\))' docs/metrics.md | tr -d ']()' | sort -u >"$scratch/links"
    [ -s "$scratch/links" ] || return 1
    while read -r file; do
        [ -e "docs/$file" ] || { echo "docs/metrics.md names $file, which does not exist"; return 1; }
    done <"$scratch/links"
}

check "the program compiles" compiles
check "it prints the task that has an AUC" test "$("$scratch/page")" = "task 0: AUC 1.0000, calibration 0.750"
check "the named files exist" files_exist
summary
