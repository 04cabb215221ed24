"""Two source files that have names in common, and a template that both include: lib/amalgamate.py makes one file of them
in which each keeps its own. Ends with status 0 where the program made of it prints what the two files print apart."""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "lib"))
import amalgamate

FILES = {
    "include/home/home.h": """
#ifndef HOME_HOME_H
#define HOME_HOME_H
#define HOME_VERSION_MAJOR 1
#define HOME_VERSION_MINOR 2
#define HOME_VERSION_PATCH 3
#define HOME_API
HOME_API int home_first(int x);
HOME_API int home_second(int x);
#endif
""",
    "lib/base/shared.h": """
#ifndef SHARED_H
#define SHARED_H
#include "home/home.h"
struct pair { int limit; int scale; }; /* members keep their names */
int home_inner(int x);
extern const int home_constant;
#endif
""",
    "lib/base/twice.tmpl.h": """
#define TWICE_OF(n)                                                                                          \\
    static int twice_##n(int x) {                                                                            \\
        return twice(x) + n;                                                                                 \\
    }
static int twice(int x) { return SCALE * x; }
TWICE_OF(1)
""",
    "lib/base/first.c": """
#include "shared.h"
#define SCALE 2
#include "twice.tmpl.h"
enum { limit = 10 };
typedef struct state { int factor; } state;
static int scale(const state *s, int x) { return s->factor * x; }
/* The text "scale" and the limit in this comment stay. */
int home_inner(int x) { return x + home_constant; }
int home_first(int x) {
    const struct pair p = {.limit = limit, .scale = 3};
    const state s = {p.scale};
    return twice_1(x) + scale(&s, x) + p.limit;
}
""",
    "lib/kernels/second.c": """
#include "../base/shared.h"
#define SCALE 200
#include "../base/twice.tmpl.h"
enum { limit = 1000 };
typedef struct state { long other; } state;
static int scale(const state *s, int x) { return (int)s->other - x; }
const int home_constant = 7;
int home_second(int x) {
    const state s = {.other = limit};
    return twice_1(x) + scale(&s, x) + home_inner(x);
}
""",
}
MAIN = """
#include "home.h"
#include <stdio.h>
int main(void) { printf("%d %d\\n", home_first(5), home_second(5)); return 0; }
"""
EXPECTED = f"{2 * 5 + 1 + 3 * 5 + 10} {200 * 5 + 1 + 1000 - 5 + 5 + 7}\n"

with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name).resolve()
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    amalgamate.ROOT = folder
    amalgamate.PUBLIC_HEADER = folder / "include/home/home.h"
    amalgamate.main(folder / "out")
    (folder / "out/main.c").write_text(MAIN)
    compiler = os.environ.get("CC", "cc").split()
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", "-o", "out/main", "out/main.c", "out/home.c"], cwd=folder, check=True)
    printed = subprocess.run([folder / "out/main"], stdout=subprocess.PIPE, text=True, check=True).stdout
    if printed != EXPECTED:
        sys.exit(f"printed {printed}, expected {EXPECTED}")
    source = (folder / "out/home.c").read_text()
    for text in ("libhome 1.2.3", "static int first_scale(", "static int second_scale(", '"scale" and the limit', "static int home_inner("):
        if text not in source:
            sys.exit(f"home.c lacks {text!r}")
