"""Mutation: changes the library in one small place after the other and asks the tests whether they notice.

    make mutants MUTANTS='--seed 7 --count 40 --only lib/steps'

A mutant is one change of one source: a bound off by one, a sum for a difference, a check left out, a counter that
wraps at 256 (operators() has the list). Its objects are compiled and linked into a shared library of its own, which
the test programs load in place of the right one.

    not counted   it does not compile, compiles to the same code, or equivalent.txt tells why no test can tell it apart
    killed        a test program fails, crashes, or takes ten times as long as it should; at first those that run the
                  changed line, the quickest first; then the same under the sanitizers, but for the slowest few; then
                  all others
    survived      none did: the list at the end says where and what

The same seed and tree give the same mutants. Kinds of change take turns, so that constants, of which there are most,
do not crowd out the others. All that happens is in build/mutants/log.txt.
"""

import argparse
import collections
import concurrent.futures
import gzip
import hashlib
import json
import os
import pathlib
import queue
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time

WORK = pathlib.Path("build/mutants").resolve()
EQUIVALENT = pathlib.Path("tests/mutants/equivalent.txt")
GIB = 1 << 30
SLOW = 30  # seconds that a test may take under the sanitizers

Mutant = collections.namedtuple("Mutant", "file start end text kind function")

# ------------------------------------------------------------------------------------------------------- changes


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def code_only(source):
    """The source with spaces for comments, texts and lines of the preprocessor: every offset stays."""
    source = re.sub(r"/\*.*?\*/", blank, source, flags=re.S)
    source = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, source)
    return re.sub(r"^#(?:.*\\\n)*.*$", blank, source, flags=re.M)


def closing(code, at):
    """Where the parenthesis that opens at `at` is closed."""
    depth = 0
    for i in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[i], 0)
        if depth == 0:
            return i
    return at


SWAPS = {
    "comparison": {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="},
    "arithmetic": {"+": "-", "-": "+", "*": "+", "/": "*", "%": "+", "+=": "-=", "-=": "+=", "*=": "+=",
                   "<<": ">>", ">>": "<<"},
    "logic": {"&&": "||", "||": "&&", "&": "|", "|": "&", "? ": "&& 0 ? ", "?": "|| 1 ?"},
}
PLACE = r"[A-Za-z_][\w.>\-]*"
NUMBER = r"(?<![\w.])(?:0x[0-9a-fA-F]+|\d+)[uUlL]*(?![\w.])"
FRACTION = r"(?<![\w.])\d+\.\d+(?:e-?\d+)?f?\b"
FUNCTION = r"^(?:static )?(?:inline )?([\w ]+[ *])(\w+)\([^;{]*\) \{$"
# What wraps: a number of things at 256, a number of bytes at 4096.
COUNTERS = {"0xff": "count|rows|width|columns|stride", "0xfff": "size|bytes|length"}
COUNTER = r"(?<![\w.>&])(?:\w+(?:\.|->))*\w*(?:{names})\b(?!\s*[(=\w\[.]|->|\+\+)"


def operators(text, code):
    """Every change: (kind, from, to, new text)."""
    for kind, swaps in SWAPS.items():
        for old, new in swaps.items():
            for m in re.finditer(r"(?<=[\w)\]] )" + re.escape(old.strip()) + r"(?=\s)", code):
                yield kind, m.start(), m.end(), new.strip()
    for m in re.finditer(r"!(?=[\w(])", code):
        yield "negation", m.start(), m.end(), ""
    for m in re.finditer(NUMBER, code):
        if code[m.start() - 1] + code[m.end():m.end() + 1] != "{}":
            yield "constant", m.start(), m.end(), f"({m.group()} + 1)"
            if m.group() not in ("0", "1"):
                yield "constant", m.start(), m.end(), f"({m.group()} - 1)"
    for m in re.finditer(FRACTION, code):
        yield "constant", m.start(), m.end(), f"(2 * {m.group()})"
    for m in re.finditer(r"(?<=[;{})])\s*\n\s+(?!return|break|continue|case|default|goto|const |static |size_t )"
                         r"((?:else )?[*\w][^;{}#]*;)", code):
        if not re.match(r"(?:else )?(?:if|for|while|do|switch|struct|enum)\b", m.group(1)):
            yield "statement", m.start(1), m.end(1), ";"
    for m in re.finditer(r"\bif (\()", code):
        yield "check", m.start(1), closing(code, m.start(1)) + 1, "(0)"
    for m in re.finditer(r"\breturn ([^;{}]+);", code):
        yield "result", m.start(1), m.end(1), "0"
        yield "result", m.start(1), m.end(1), f"2 * ({text[m.start(1):m.end(1)]})"
    for m in re.finditer(FUNCTION, code, flags=re.M):
        yield "function", m.end(), m.end(), " return;" if m.group(1) == "void " else " return 0;"
    for m in re.finditer(rf"(?<=[(,\s])({PLACE}), ({PLACE})(?=[,)])", code):
        yield "arguments", m.start(), m.end(), f"{m.group(2)}, {m.group(1)}"
    for mask, names in COUNTERS.items():
        for m in re.finditer(COUNTER.format(names=names), code):
            yield "counter", m.start(), m.end(), f"({m.group()} & {mask})"


def bodies(code):
    """Offsets inside braces: no prototypes and no parameters."""
    depth = 0
    inside = bytearray(len(code) + 1)
    for i, c in enumerate(code):
        depth += (c == "{") - (c == "}")
        inside[i] = depth > 0
    return inside


def sources(only):
    files = sorted(pathlib.Path("lib").glob("*/*.[ch]"))
    return [str(file) for file in files if only in str(file)]


def all_mutants(only):
    by_kind = collections.defaultdict(list)
    for file in sources(only):
        text = pathlib.Path(file).read_text()
        code = code_only(text)
        inside = bodies(code)
        functions = [(m.start(), m.group(2)) for m in re.finditer(FUNCTION, code, flags=re.M)]
        for kind, start, end, new in operators(text, code):
            if inside[start] and text[start:end] != new:
                function = next((name for begin, name in reversed(functions) if begin < start), "")
                by_kind[kind].append(Mutant(file, start, end, new, kind, function))
    return by_kind


def in_turn(by_kind, seed):
    """The mutants in the order in which they are tried."""
    chance = random.Random(seed)
    lists = [by_kind[kind] for kind in sorted(by_kind)]
    for mutants in lists:
        chance.shuffle(mutants)
    while any(lists):
        yield from [mutants.pop() for mutants in lists if mutants]


def mutated(mutant):
    """The whole file; its first changed line; the changed lines before and after, as equivalent.txt has them."""
    text = pathlib.Path(mutant.file).read_text()
    kept = "\n" * text.count("\n", mutant.start, mutant.end)  # later lines keep their numbers
    changed = text[:mutant.start] + mutant.text + kept + text[mutant.end:]
    begin = text.rfind("\n", 0, mutant.start) + 1
    stop = text.find("\n", mutant.end)
    old = " ".join(text[begin:stop].split())
    new = " ".join((text[begin:mutant.start] + mutant.text + text[mutant.end:stop]).split())
    return changed, text.count("\n", 0, mutant.start) + 1, old, new


def judged_equivalent():
    """What equivalent.txt has: (file, function, old, new)."""
    known = set()
    place = old = None
    for line in EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []:
        if line.startswith("lib/"):
            place = tuple(line.split())
        elif line.startswith("- "):
            old = " ".join(line[2:].split())
        elif line.startswith("+ "):
            known.add((*place, old, " ".join(line[2:].split())))
    return known


# --------------------------------------------------------------------------------------------------------- tests


def programs(build):
    """The test programs of a build by name, as unit/test_calls."""
    names = ("/".join(file.with_suffix("").parts[1:]) for file in pathlib.Path("tests").glob("*/test_*.c"))
    return {name: WORK / build / "tests" / name for name in sorted(names)}


def limits(sanitized):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * GIB, 16 * GIB))
    if not sanitized:  # the sanitizer wants terabytes of addresses
        resource.setrlimit(resource.RLIMIT_DATA, (8 * GIB, 8 * GIB))


def run_test(program, library, folder, timeout, extra=None):
    """Exit status, or None after the time; and the seconds that it took."""
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ, LD_LIBRARY_PATH=str(library), TMPDIR=str(scratch), TEST_QUICK="1",
               ASAN_OPTIONS="hard_rss_limit_mb=6000", **(extra or {}))
    begin = time.monotonic()
    process = subprocess.Popen([program], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True, preexec_fn=lambda: limits("checked" in library.parts))
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        status = None
    try:
        os.killpg(process.pid, signal.SIGKILL)  # whatever it has left behind
    except ProcessLookupError:
        pass
    process.wait()
    shutil.rmtree(scratch, ignore_errors=True)
    return status, time.monotonic() - begin


def covered_lines(name):
    """Runs a test program with counters: the lines of each source that ran, and those that could have."""
    folder = WORK / "counts" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    strip = str(len((WORK / "covered").parts) - 1)
    status, _ = run_test(programs("covered")[name], WORK / "covered", folder, 900,
                         {"GCOV_PREFIX": str(folder), "GCOV_PREFIX_STRIP": strip})
    if status != 0:
        return None
    lines = collections.defaultdict(lambda: [set(), set()])
    counted = sorted(folder.rglob("lib/**/*.gcda"))
    for data in counted:
        shutil.copy(WORK / "covered" / data.relative_to(folder).with_suffix(".gcno"), data.parent)
    if counted:
        out = subprocess.run(["gcov", "--json-format", "--stdout", *map(str, counted)], check=True,
                             capture_output=True, text=True).stdout
        for report in map(json.loads, filter(None, out.splitlines())):
            for source in report["files"]:
                for line in source["lines"]:
                    lines[source["file"]][line["count"] == 0].add(line["line_number"])
    shutil.rmtree(folder)
    return {file: [sorted(ran), sorted(missed)] for file, (ran, missed) in lines.items()}


def usual_seconds(name, build):
    status, seconds = run_test(programs(build)[name], WORK / build, WORK / "once" / build / name, 900)
    return seconds if status == 0 else None


def look_at(name):
    """What a test covers, and how long it takes; kept until its source or what it shares with others changes."""
    own = f"tests/{name}.c"
    shared = "lib/*/*.[ch]", "tests/*.h", "tests/*/*.h", "tests/unit/[!t]*.c", "tests/reference/*.c"
    files = [own, *sorted(str(file) for pattern in shared for file in pathlib.Path(".").glob(pattern))]
    digest = hashlib.sha256(b"".join(pathlib.Path(file).read_bytes() for file in files)).hexdigest()
    kept = WORK / "looks" / name / f"{digest[:16]}.json.gz"
    if kept.exists():
        return json.loads(gzip.decompress(kept.read_bytes()))
    print(f"looking at {name}", flush=True)
    look = {"lines": covered_lines(name), "plain": usual_seconds(name, "plain"),
            "checked": usual_seconds(name, "checked")}
    if None in look.values():
        print(f"{name} fails without any change: left out", flush=True)
        return None
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(gzip.compress(json.dumps(look).encode()))
    return look


def map_of_tests(jobs):
    names = list(programs("covered"))
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return {name: look for name, look in zip(names, pool.map(look_at, names)) if look}


def tests_of(tests, file, line):
    """The tests that run the line; where no code belongs to it alone, the one before; else all that use the file."""
    for number in range(line, max(line - 6, 0), -1):
        known = [name for name, test in tests.items() if number in test["lines"].get(file, [[], []])[1]]
        running = [name for name, test in tests.items() if number in test["lines"].get(file, [[], []])[0]]
        if running or known:
            return running
    using = [name for name, test in tests.items() if file in test["lines"]]
    return using or list(tests)


# ------------------------------------------------------------------------------------------------------- mutants


class Failed(Exception):
    """A mutant that does not compile or link."""


def command(*words):
    if subprocess.run([*words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
        raise Failed


class Job:
    """A copy of the sources, and how a mutant of them is made and tried."""

    def __init__(self, number, tests):
        self.folder = WORK / f"job{number}"
        self.tests = tests
        shutil.rmtree(self.folder, ignore_errors=True)
        for part in "lib", "include":
            shutil.copytree(part, self.folder / part)

    def compile(self, source, flags, target):
        """From inside the copy, so that relative includes are the copy's."""
        target.parent.mkdir(parents=True, exist_ok=True)
        words = shlex.split(os.environ["COMPILE"]) + shlex.split(flags)
        done = subprocess.run([*words, "-c", source, "-o", str(target)], cwd=self.folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode:
            raise Failed
        return target

    def build(self, kind, changed, flags):
        """The library with the changed objects."""
        folder = self.folder / kind
        shutil.rmtree(folder, ignore_errors=True)
        objects = {source: WORK / kind / source.replace(".c", ".o") for source in sources("") if source[-1] == "c"}
        same = True
        for source in changed:
            before = objects[source]
            objects[source] = self.compile(source, os.environ["FLAGS"] + " " + flags, folder / before.name)
            same = same and before.read_bytes() == objects[source].read_bytes()
        if same:
            return None
        command(*shlex.split(os.environ["LINK"]), *shlex.split(flags), "-o", str(folder / "libhome.so"),
                *map(str, objects.values()), *shlex.split(os.environ["LIBS"]))
        return folder

    def same_release(self, changed):
        """Whether the code is the same as the library's is compiled for use."""
        for source in changed:
            right = WORK / "release" / source.replace(".c", ".o")
            if not right.exists():
                own = right.with_name(f"{right.name}.{threading.get_ident()}")
                own.parent.mkdir(parents=True, exist_ok=True)
                command(*shlex.split(os.environ["COMPILE"]), "-O2", "-g0", "-w", "-c", source, "-o", str(own))
                own.rename(right)
            wrong = self.compile(source, "-O2 -g0 -w", self.folder / "release" / right.name)
            if wrong.read_bytes() != right.read_bytes():
                return False
        return True

    def first_failure(self, names, build, library, kills):
        """The quickest first, and before them those that have found much in this file."""
        for name in sorted(names, key=lambda name: self.tests[name][build] / (1 + kills[name])):
            timeout = 20 + 10 * self.tests[name][build]
            status, _ = run_test(programs(build)[name], library, self.folder, timeout)
            if status != 0:
                kills[name] += 1
                return f"{name}{' by time' if status is None else ''}{' checked' if build == 'checked' else ''}"
        return None

    def judge(self, mutant, text, line, kills):
        """What becomes of it: a word for the log, and which test tells it apart."""
        changed = users(mutant.file)
        library = self.build("plain", changed, "")
        if not library:
            return "same code", ""
        names = tests_of(self.tests, mutant.file, line)
        by = self.first_failure(names, "plain", library, kills)
        if by:
            return "killed", by
        if self.same_release(changed):
            return "same code", ""
        checked = self.build("checked", changed, os.environ["CHECKED"])
        if checked:
            quick = [name for name in names if self.tests[name]["checked"] < SLOW]
            by = self.first_failure(quick, "checked", checked, kills)
        by = by or self.first_failure(self.tests.keys() - set(names), "plain", library, kills)
        return ("killed", by) if by else ("survived", "")

    def try_out(self, mutant, text, line, kills):
        place = self.folder / mutant.file
        right = place.read_text()
        place.write_text(text)
        try:
            return self.judge(mutant, text, line, kills)
        except Failed:
            return "does not compile", ""
        finally:
            place.write_text(right)


def users(file):
    """The sources that are compiled anew when a file changes."""
    if file.endswith(".c"):
        return [file]
    found = []
    for source in sources(""):
        if source.endswith(".c"):
            rule = (WORK / "plain" / source.replace(".c", ".d")).read_text()
            included = {os.path.normpath(word) for word in rule.split()}
            if file in included:
                found.append(source)
    return found


# ------------------------------------------------------------------------------------------------------- the run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=250, help="mutants that count")
    parser.add_argument("--only", default="", help="only sources with this text in their paths")
    parser.add_argument("--kind", default="", help="only changes of this kind: comparison, counter ..")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()

    shutil.rmtree(WORK / "release", ignore_errors=True)
    tests = map_of_tests(options.jobs)
    known = judged_equivalent()
    by_kind = all_mutants(options.only)
    if options.kind:
        by_kind = {options.kind: by_kind[options.kind]}
    left = in_turn(by_kind, options.seed)
    jobs = queue.SimpleQueue()
    for number in range(options.jobs):
        jobs.put(Job(number, tests))
    kills = collections.defaultdict(collections.Counter)
    log = open(WORK / "log.txt", "w")
    lock = threading.Lock()

    def try_one(mutant):
        text, line, old, new = mutated(mutant)
        entry = f"{mutant.file}:{line} {mutant.function}() {mutant.kind}\n  - {old}\n  + {new}"
        if (mutant.file, mutant.function, old, new) in known:
            return mutant.kind, "judged equivalent", entry
        job = jobs.get()
        word, by = job.try_out(mutant, text, line, kills[mutant.file])
        jobs.put(job)
        with lock:
            log.write(f"{word} {by} {entry}\n")
            log.flush()
        return mutant.kind, word, entry

    # As many at a time as could still be needed: which ones are tried does not depend on the number of jobs.
    counts = collections.defaultdict(collections.Counter)
    survivors = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        while (missing := options.count - sum(c["killed"] + c["survived"] for c in counts.values())) > 0:
            batch = [mutant for mutant, _ in zip(left, range(missing))]
            if not batch:
                break
            for kind, word, entry in pool.map(try_one, batch):
                counts[kind][word] += 1
                if word == "survived":
                    survivors.append(entry)
                    print(entry, flush=True)

    print(f"\n{'':12}{'killed':>9}{'survived':>9}{'judged':>9}{'same code':>11}{'no compile':>11}")
    total = collections.Counter()
    columns = "killed", "survived", "judged equivalent", "same code", "does not compile"
    for kind in sorted(counts):
        total.update(counts[kind])
        print(f"{kind:12}" + "".join(f"{counts[kind][c]:{w}}" for c, w in zip(columns, (9, 9, 9, 11, 11))))
    print(f"{'all':12}" + "".join(f"{total[c]:{w}}" for c, w in zip(columns, (9, 9, 9, 11, 11))))
    counted = total["killed"] + total["survived"]
    print(f"seed {options.seed}: {total['killed']} of {counted} killed, "
          f"{100 * total['killed'] / max(counted, 1):.1f} %")


main()
