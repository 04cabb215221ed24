# What test scripts share, as test.h is for programs. Read with `. tests/test.sh` from the top of the tree.
#
#     check NAME COMMAND...    counts whether the command succeeds; shows its output only if not
#     skip WHY [COUNT]         says what cannot run here; COUNT checks are left out, by default 1
#     summary                  prints the last line and ends the script
#
# $scratch is a folder that goes with the script.

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
    if "$@" >"$scratch/.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $check_name"
        cat "$scratch/.log"
    fi
}

skip() {
    skipped=$((skipped + ${2-1}))
    echo "skipped: $1"
}

have() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || return 1
    done
}

summary() {
    if [ "$skipped" -ne 0 ]; then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    [ "$failed" -eq 0 ]
    exit
}
