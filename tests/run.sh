#!/bin/sh
# Runs the test programs and scripts given as arguments, one after the other, and sums what they
# report.
#
# Each ends with a line "N passed, N failed" or "N passed, N failed, N skipped". One that does not,
# or that exits with a failure it has not counted, counts as one failure more. What a test prints is
# shown only when something in it failed or was skipped. The last line here is always the sum,
# "N passed, N failed"; what was skipped stands on the line before it.
#
#     TEST_WRAPPER='valgrind -q' tests/run.sh build/tests/unit/test_calls
#     TEST_CASE=zero tests/run.sh build/tests/unit/test_calls tests/abi/test_header.sh
#
# The second runs the cases with "zero" in their names, see test.h and test.sh. A script that does
# not read test.sh has no cases to choose from and is left out. It is a failure if no test had such
# a case.

set -u
passed=0
failed=0
skipped=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Whether cases can be chosen in this test, or need not be.
has_cases() {
    case $1 in
    *.sh) [ -z "${TEST_CASE-}" ] || grep -q '^\. tests/test\.sh' "$1" ;;
    esac
}

# line TEST WORDS...
line() {
    test_name=${1#build/}
    shift
    printf '  TEST    %-40s %s\n' "$test_name" "$*"
}

for test in "$@"; do
    has_cases "$test" || { line "$test" 'has no cases to choose from'; continue; }
    begin=$(date +%s)
    case $test in
    *.sh) sh "$test" >"$log" 2>&1 ;;
    *) ${TEST_WRAPPER-} "$test" >"$log" 2>&1 ;;
    esac
    status=$?
    seconds=$(($(date +%s) - begin))

    if [ -n "${TEST_CASE-}" ] && [ "$status" -eq 5 ]; then # test.h's TEST_NONE_CHOSEN
        line "$test" 'no such case'
        continue
    fi

    summary=$(tail -n 1 "$log")
    counts=$(echo "$summary" | sed -n \
        's/^\([0-9]\{1,\}\) passed, \([0-9]\{1,\}\) failed\(, \([0-9]\{1,\}\) skipped\)\{0,1\}$/\1 \2 \4/p')
    read -r test_passed test_failed test_skipped <<END
$counts
END
    if [ -z "$counts" ] || { [ "$status" -ne 0 ] && [ "$test_failed" -eq 0 ]; }; then
        test_failed=$((${test_failed:-0} + 1))
        summary="exit status $status, $test_failed failed"
    fi
    if [ "$test_failed" -ne 0 ] || [ "${test_skipped:-0}" -ne 0 ]; then
        cat "$log"
    fi
    passed=$((passed + ${test_passed:-0}))
    failed=$((failed + test_failed))
    skipped=$((skipped + ${test_skipped:-0}))
    line "$test" "$summary ($seconds s)"
done

if [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then
    echo "no test ran${TEST_CASE:+: none has a case with \"$TEST_CASE\" in its name}"
    failed=1
fi
[ "$skipped" -eq 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
