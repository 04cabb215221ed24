#!/bin/sh
# Tests of examples/kuairand/study. The last line is "N passed, N failed".
set -u
if ! command -v python3 >/dev/null; then
    echo 'python3 is not installed: the tests of examples/kuairand/study are skipped'
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
fi
${MAKE:-make} -s build/home build/study-speed || exit 1
exec python3 -B "$(dirname "$0")/study_tests.py"
