# What test scripts share, as test.h is for programs. Read with `. tests/test.sh` from the top of
# the tree.
#
#     check NAME COMMAND...    counts whether the command succeeds; shows its output only if not
#     skip WHY [COUNT]         says what cannot run here; COUNT checks are left out, by default 1
#     summary                  prints the last line and ends the script
#
# $scratch is a folder that goes with the script.
#
# TEST_CASE=text in the environment chooses the checks that have the text in their names. All
# commands run, since later ones may need what earlier ones made, but only the chosen ones count. A
# script none of whose checks is chosen fails.

set -u
CC=${CC:-cc}
CXX=${CXX:-g++}
MAKE=${MAKE:-make}
BLIS_LIB=${BLIS_LIB-} # what programs with libhome.a inside need, after make BLIS=1
LC_ALL=C              # awk writes numbers and sort orders lines as the locale wants them
export LC_ALL
passed=0
failed=0
skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() {
    check_name=$1
    shift
    "$@" >"$scratch/.log" 2>&1
    check_status=$?
    case $check_name in
    *"${TEST_CASE-}"*) ;;
    *) return 0 ;;
    esac
    if [ "$check_status" -eq 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $check_name"
        cat "$scratch/.log"
    fi
}

skip() {
    [ -n "${TEST_CASE-}" ] || skipped=$((skipped + ${2-1})) # it has no name to choose it by
    echo "skipped: $1"
}

have() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || return 1
    done
}

summary() {
    if [ -n "${TEST_CASE-}" ] && [ $((passed + failed)) -eq 0 ]; then
        printf 'no check has "%s" in its name\n0 passed, 0 failed\n' "$TEST_CASE"
        exit 5 # test.h's TEST_NONE_CHOSEN
    fi
    if [ "$skipped" -ne 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ]
    exit
}
