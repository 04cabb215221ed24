#!/bin/sh
# tests/run.sh sums what tests report, and its last line keeps its form; T and CASE choose what
# runs; make help and docs/CONTRIBUTING.md leave nothing out. Run from the top of the tree, after
# make.
. tests/test.sh

# reports NAME LINE [STATUS]: a test that ends so.
reports() {
    printf 'echo "%s"\nexit %s\n' "$2" "${3-0}" >"$scratch/$1.sh"
}
# sums LINES STATUS NAME...: the last lines of running these tests, joined by "; ", and the exit
# status.
sums() {
    lines=$1 status=$2
    shift 2
    for name in "$@"; do
        set -- "$@" "$scratch/$name.sh"
        shift
    done
    TEST_CASE=${chosen-} sh tests/run.sh "$@" >"$scratch/sum"
    [ $? -eq "$status" ] && [ "$(grep -v '  TEST ' "$scratch/sum" | tail -n 2 | paste -sd';')" = "$lines" ] ||
        { cat "$scratch/sum"; return 1; }
}

reports good '3 passed, 0 failed'
reports bad '1 passed, 2 failed' 1
reports partly '4 passed, 0 failed, 5 skipped'
reports silent 'nothing'
reports crashed '2 passed, 0 failed' 139
check "what passed" sums '3 passed, 0 failed' 0 good
check "what was skipped is no part of the last line" sums '5 skipped;7 passed, 0 failed' 0 good partly
check "what failed" sums '1 passed, 2 failed;4 passed, 2 failed' 1 good bad
check "a test without a sum has failed" sums 'nothing;3 passed, 1 failed' 1 good silent
check "so has one that crashed" sums '2 passed, 0 failed;2 passed, 1 failed' 1 crashed
check "no tests" sums 'no test ran;0 passed, 1 failed' 1

# ------------------------------------------------------------------------------------------ choosing cases

cat >"$scratch/cases.c" <<'END'
#include "test.h"
static void adds(void) { CHECK(1 + 1 == 2); }
static void breaks(void) { CHECK(1 + 1 == 3); }
static void misses(void) { test_skip("nothing to do"); }
int main(void) {
    RUN(adds);
    RUN(breaks);
    RUN(misses);
    static int left = 0;
    test_begin("first of two");
    left = 1;
    CHECK(left == 2);
    test_end();
    test_begin("second of two");
    CHECK(left == 1);
    test_end();
    return test_summary();
}
END
cat >"$scratch/checks.sh" <<'END'
. tests/test.sh
check 'makes a file' touch "$scratch/file"
check 'finds the file' test -e "$scratch/file"
check 'finds another' test -e "$scratch/other"
skip 'a tool is not installed'
summary
END

# chooses TEXT LINES STATUS: the last lines of the program, or of the script in $script, with the
# cases of this text.
chooses() {
    TEST_CASE=$1 ${script-"$scratch/cases"} >"$scratch/output"
    [ $? -eq "$3" ] && [ "$(tail -n 2 "$scratch/output" | sed 's/.*cases\.c:[0-9]*: //' | paste -sd';')" = "$2" ] ||
        { cat "$scratch/output"; return 1; }
}
# shellcheck disable=SC2086 # words on purpose
check 'a program with cases' $CC -std=c11 -D_POSIX_C_SOURCE=200809L -Itests -o "$scratch/cases" "$scratch/cases.c" -lm
check 'without a text all cases run' chooses '' \
    'first of two: not true: left == 2;3 passed, 2 failed, 1 skipped' 1
check 'a case that is not chosen does not run' chooses add '1 passed, 0 failed' 0
check 'a chosen case can fail' chooses breaks 'breaks: not true: 1 + 1 == 3;0 passed, 1 failed' 1
check 'a chosen case can be skipped' chooses misses 'skipped: misses: nothing to do;1 passed, 0 failed, 1 skipped' 0
check 'a block that is not chosen runs and does not count' chooses second '1 passed, 0 failed' 0
check 'several cases are chosen' chooses 'of two' 'first of two: not true: left == 2;1 passed, 1 failed' 1
check 'a program without such a case fails' chooses nix 'no case has "nix" in its name;0 passed, 0 failed' 5

script="sh $scratch/checks.sh"
check 'a check of a script' chooses 'finds the' 'skipped: a tool is not installed;1 passed, 0 failed' 0
check 'a failing check of a script' chooses another 'skipped: a tool is not installed;0 passed, 1 failed' 1
check 'a script without such a check fails' chooses nix 'no check has "nix" in its name;0 passed, 0 failed' 5

# The sum over several tests, of which some have no such case. Of the scripts only one can choose.
chosen='the file' check 'the sum is that of the chosen cases' sums '1 passed, 0 failed' 0 good checks
chosen=nix check 'no test with such a case' sums \
    'no test ran: none has a case with "nix" in its name;0 passed, 1 failed' 1 good checks

# ------------------------------------------------------------------------------------------ choosing tests

# would_run TESTS ARGUMENTS...: what `make test ARGUMENTS` would give to tests/run.sh.
would_run() {
    expected=$1
    shift
    $MAKE -n test "$@" >"$scratch/commands" 2>&1 || { cat "$scratch/commands"; return 1; }
    given=$(sed -n 's/.*sh tests\/run\.sh *//p' "$scratch/commands" | tr -s ' ' | sed 's/ $//')
    [ "$given" = "$expected" ] || { echo "$given"; return 1; }
}
refuses() { # NAME ARGUMENTS...
    name=$1
    shift
    $MAKE -n test "$@" >"$scratch/commands" 2>&1 && return 1
    cat "$scratch/commands"
    grep -q "no such test: $name\." "$scratch/commands" && grep -q 'There are:.* unit/gradients ' "$scratch/commands"
}
# Nested makes would take up T and CASE of the make that runs this script.
unset MAKEFLAGS MFLAGS MAKEOVERRIDES
check 'one test' would_run 'build/tests/unit/test_gradients' T=unit/gradients
check 'a program and a script of one name' would_run 'build/tests/unit/test_isa tests/unit/test_isa.sh' T=unit/isa
check 'several tests' would_run 'build/tests/unit/test_calls tests/run/test_run.sh' T='run/run unit/calls'
check 'a folder' would_run 'build/tests/json/test_escapes build/tests/json/test_json' T='json/%'
check 'an unknown test' refuses unit/nix T='unit/nix unit/calls'
check 'no name at all' refuses nothing T=
# shellcheck disable=SC2012 # the names are plain
check 'all tests' would_run "$(ls tests/*/test_*.c | sed 's/^/build\//; s/\.c$//' | paste -sd' ') \
$(ls tests/*/test_*.sh | paste -sd' ')"
T=unit/calls check 'T of the environment is not meant' would_run "$given"

# ----------------------------------------------------------------------------------------------- make help

# Every target to ask for is named; what ends in -programs and bench-peer-... and test-coverage are
# steps of others.
helps() {
    $MAKE --no-print-directory help >"$scratch/help" || return 1
    $MAKE -pn help 2>/dev/null | sed -n '/\$/d; s/^\.PHONY: //p' | tr ' ' '\n' |
        grep -v -e '-programs$' -e '^bench-peer-' -e '^fuzz-' -e '^all$' -e '^lib$' -e '^test-coverage$' >"$scratch/targets"
    [ -s "$scratch/targets" ] || return 1
    while read -r target; do
        grep -q -w -e "$target" "$scratch/help" || { echo "make help says nothing about $target"; return 1; }
    done <"$scratch/targets"
}
check 'make help names every target' helps
check 'make help begins with make alone' sh -c "head -n 1 '$scratch/help' | grep -q '^make  '"

# ------------------------------------------------------------------------------------ docs/CONTRIBUTING.md

# Its commands, the indented lines, can be had, and the case that it chooses exists.
commands_exist() {
    sed -n 's/^    \(make .*\)/\1/p' docs/CONTRIBUTING.md >"$scratch/commands"
    [ -s "$scratch/commands" ] || return 1
    while read -r _ arguments; do
        eval "$MAKE -n $arguments" >"$scratch/output" 2>&1 || { cat "$scratch/output"; return 1; }
    done <"$scratch/commands"
}
case_exists() {
    sed -n "s|.*make test T=\([a-z]*\)/\([a-z]*\) CASE='\(.*\)'.*|tests/\1/test_\2.c \3|p" docs/CONTRIBUTING.md >"$scratch/case"
    read -r file words <"$scratch/case" && grep -q -F "$words" "$file"
}
check 'the commands of docs/CONTRIBUTING.md exist' commands_exist
check 'the case of docs/CONTRIBUTING.md exists' case_exists

# Each stage of .ci/run has its row in the table.
stages_have_rows() {
    sed -n "/^together='/,/'$/p" .ci/run | tr -d "'" | sed 's/together=//' | tr -s ' ' '\n' | grep . >"$scratch/stages"
    [ "$(wc -l <"$scratch/stages")" -gt 10 ] || return 1
    printf '%s\n' packages compile analyze bench test >>"$scratch/stages"
    while read -r stage; do
        grep -q "^| \`$stage\` |" docs/CONTRIBUTING.md || { echo "no row of $stage"; return 1; }
    done <"$scratch/stages"
}
check 'docs/CONTRIBUTING.md has each stage of .ci/run' stages_have_rows
summary
