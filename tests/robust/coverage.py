"""Sums what gcov tells of lib/ over all test programs: lines and branches that ran, by file and in total.

    python3 tests/robust/coverage.py build/coverage

A kernel source is compiled once for each instruction set: a line, or a branch of it, counts as run where it ran in any
of them. Every line that did not run is named with its function, and with --branches every branch too.
"""

import collections
import itertools
import json
import pathlib
import subprocess
import sys


def reports(folder):
    """What gcov tells of each object, as JSON."""
    for notes in sorted(pathlib.Path(folder).rglob("lib/**/*.gcno")):
        out = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", str(notes)],
                             check=True, capture_output=True, text=True).stdout
        yield from (json.loads(line) for line in out.splitlines() if line)


def outcomes(name, branches):
    """Kernels are inlined wherever they are used, with constants that leave most branches of a copy dead: a line of
    theirs counts as one condition with two outcomes, which gcov lists in turn."""
    if not name.endswith(".tmpl.h") or not branches:
        return branches
    return [sum(branches[0::2]), sum(branches[1::2])]


def merge(folder):
    """File -> line -> [runs, runs of each branch, function]."""
    files = collections.defaultdict(dict)
    for report in reports(folder):
        for source in report["files"]:
            if not source["file"].startswith("lib/"):
                continue
            lines = files[source["file"]]
            for line in source["lines"]:
                branches = outcomes(source["file"], [b["count"] for b in line["branches"] if not b["throw"]])
                seen = lines.setdefault(line["line_number"], [0, [], line.get("function_name", "")])
                seen[0] += line["count"]
                longer, shorter = sorted((seen[1], branches), key=len, reverse=True)
                seen[1] = [count + (shorter[i] if i < len(shorter) else 0) for i, count in enumerate(longer)]
    return files


def share(part, whole):
    return f"{part}/{whole}".rjust(12) + (f"{100 * part / whole:8.2f} %" if whole else " " * 10)


def main():
    files = merge(sys.argv[1])
    if not files:
        sys.exit("no coverage data: run make coverage")
    print(f"{'':32}{'lines':>14}{'branches':>22}")
    totals = [0, 0, 0, 0]
    for name, lines in sorted(files.items()):
        branches = [count for _, all_of_line, _ in lines.values() for count in all_of_line]
        figures = [sum(runs > 0 for runs, *_ in lines.values()), len(lines),
                   sum(count > 0 for count in branches), len(branches)]
        totals = [a + b for a, b in zip(totals, figures)]
        print(f"{name:32}{share(*figures[:2])}{share(*figures[2:])}")
    print(f"{'total':32}{share(*totals[:2])}{share(*totals[2:])}")
    print("\nlines that did not run:")
    for name, lines in sorted(files.items()):
        missing = [(number, function) for number, (runs, _, function) in sorted(lines.items()) if runs == 0]
        for function, group in itertools.groupby(missing, key=lambda line: line[1]):
            print(f"{name}: {function}() {','.join(str(number) for number, _ in group)}")
    if "--branches" in sys.argv:
        print("\nbranches that did not run (line:branch of its branches):")
        for name, lines in sorted(files.items()):
            for number, (runs, branches, _) in sorted(lines.items()):
                missing = [str(i) for i, count in enumerate(branches) if count == 0]
                if runs and missing:
                    print(f"{name}:{number}:{','.join(missing)} of {len(branches)}")


main()
