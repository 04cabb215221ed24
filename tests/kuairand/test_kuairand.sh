#!/bin/sh
# Tests of examples/kuairand/prepare.py. The last line is "N passed, N failed".
set -u
if ! command -v python3 >/dev/null; then
    echo 'python3 is not installed: the tests of examples/kuairand are skipped'
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
fi
exec python3 -B "$(dirname "$0")/prepare_tests.py"
