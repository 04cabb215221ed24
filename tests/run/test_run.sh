#!/bin/sh
# tests/run.sh sums what tests report, and its last line keeps its form. Run from the top of the tree.
. tests/test.sh

# reports NAME LINE [STATUS]: a test that ends so.
reports() {
    printf 'echo "%s"\nexit %s\n' "$2" "${3-0}" >"$scratch/$1.sh"
}
# sums LINES STATUS NAME...: the last lines of running these tests, joined by "; ", and the exit status.
sums() {
    lines=$1 status=$2
    shift 2
    for name in "$@"; do
        set -- "$@" "$scratch/$name.sh"
        shift
    done
    sh tests/run.sh "$@" >"$scratch/sum"
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
summary
