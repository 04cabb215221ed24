#!/usr/bin/env python3
"""Writes the library as two files, home.h and home.c, for programs that vendor it.

    python3 lib/amalgamate.py FOLDER

home.h is the public header. home.c has every lib/*/*.c, folder by folder, with what they include put in its place: a header
with an include guard once, a template each time. What HOME_SERVE_ONLY leaves out is whole folders. In one file

 - what was external to a source file, but is no part of the public interface, becomes static;
 - names of a source file's own that another one has too get the file's name in front: avx2_vec_load, portable_vec_load.
   A name that cannot be told from a struct's member is the compiler's to find: the file does not compile then;
 - macros of a source file's own end with it.

What the sources look like is what clang-format makes of them; nothing here understands more C than that.
"""

import pathlib
import re
import sys
from collections import Counter

ROOT = pathlib.Path(__file__).resolve().parent.parent
PUBLIC_HEADER = ROOT / "include/home/home.h"
# The folders of lib/ that every build has, and those that HOME_SERVE_ONLY leaves out; each from the lowest floor up.
EVERYWHERE = "base kernels steps model serve".split()
NOT_IN_SERVE_ONLY = "host config plan train create store metrics".split()
LOCAL_INCLUDE = re.compile(r'#include "([^"]+)"')
# Comments, texts and characters, and directives with their continued lines.
NOT_CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*', re.S | re.M)
MACRO_CALLS = re.compile(r"(?:[A-Z][A-Z0-9_]*\s*\([^)]*\)\s*)*")

TOP = """\
/* libhome {version}, the whole library in one file, made by `make amalgamation`. The public interface is home.h.
 *
 *     cc -O2 -c home.c
 *
 * HOME_SERVE_ONLY leaves out all but serving images; HOME_ONLY_PORTABLE, HOME_ONLY_AVX2, HOME_ONLY_AVX512 or
 * HOME_ONLY_NEON all but one set of kernels.
 *
 * Copyright: see LICENSE (Apache-2.0). */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif
#if !defined(__LP64__) && !defined(_FILE_OFFSET_BITS)
#define _FILE_OFFSET_BITS 64
#endif

/* Not every build uses every function. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#endif

#include "home.h"
"""


def mask(text):
    """The same text with blanks for all that is not code."""
    return NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def chunks(code):
    """The (begin, end) of each declaration or definition at file scope, from masked text; calls of macros in front of
    it, which have no semicolon, are none of it."""
    depth, begin, body, before = 0, None, False, ""
    for at, c in enumerate(code):
        if begin is None and not c.isspace():
            begin, body = at, False
        if c in "({[":
            body = body or (c == "{" and depth == 0 and before == ")")
            depth += 1
        elif c in ")}]":
            depth -= 1
        if depth == 0 and begin is not None and (c == ";" or (c == "}" and body)):
            yield begin + MACRO_CALLS.match(code[begin : at + 1]).end(), at + 1
            begin = None
        before = before if c.isspace() else c


def declared(chunk):
    """The function or variable that a chunk declares, or None for a type."""
    chunk = re.sub(r"__attribute__\s*\(\(.*?\)\)\)*", " ", chunk)
    chunk = re.sub(r"\b(struct|enum|union)\s*\{[^}]*\}(?=\s*\w)", r"\1", chunk)
    head = re.split(r"[{=;]", chunk, maxsplit=1)[0]
    if re.match(r"\s*(?:struct|enum|union)\s+\w*\s*$", head) or head.startswith(("typedef", "_Static_assert")):
        return None
    pointer = re.search(r"\(\*\s*(?:const\s+)?(\w+)", head)
    if pointer and "(" not in head[: pointer.start()]:
        return pointer[1]
    name = re.search(r"(\w+)\s*(?:\(|\[|$)", head.strip())
    return name[1] if name else None


def own_names(text):
    """What a source file defines for itself at file scope: statics, types, tags, constants, and names pasted together."""
    code = mask(text)
    names = set()
    for begin, end in chunks(code):
        chunk = code[begin:end]
        names.update(re.findall(r"\b(?:struct|enum|union)\s+(\w+)\s*\{", chunk))
        for constants in re.findall(r"\benum\s*\w*\s*\{([^}]*)\}", chunk):
            if chunk.startswith(("enum", "typedef")):
                names.update(re.findall(r"(?:^|,)\s*(\w+)", constants))
        if chunk.startswith("typedef"):
            plain = re.sub(r"__attribute__\s*\(\(.*?\)\)\)*|\{.*\}", " ", chunk, flags=re.S)
            pointer = re.search(r"\(\*\s*(\w+)\)", plain)
            names.add(pointer[1] if pointer else re.findall(r"\w+", plain)[-1])
        elif chunk.startswith("static"):
            names.add(declared(chunk))
    for begin_of_name in re.findall(r"(?<!#)\b(\w+_)##", text):
        names.add(begin_of_name)
        names.update(re.findall(rf"\b{begin_of_name}\w+", text))
    return names


def make_static(text, public):
    """Adds `static` to what is external and not public."""
    code = mask(text)
    out, done = [], 0
    for begin, end in chunks(code):
        chunk = code[begin:end]
        name = declared(chunk)
        if name is None or name in public or chunk.startswith("static"):
            continue
        if chunk.startswith("extern"):
            if "[]" in chunk:  # an incomplete static array is no C; its definition comes before its users
                out.append(text[done:begin])
                done = end
                continue
            out.append(text[done:begin] + "static")
            done = begin + len("extern")
        else:
            out.append(text[done:begin] + "static ")
            done = begin
    made = "".join(out) + text[done:]
    return re.sub(r"^(#define .*)\bextern const\b", r"\1static const", made, flags=re.M)  # by a list of names


def rename(text, names, prefix):
    """Puts the prefix before names, but for members: behind . and ->."""
    pattern = re.compile(r"(?P<skip>/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|(?:\.|->)\s*\w+)|\b(?P<name>[A-Za-z_]\w*)\b", re.S)
    return pattern.sub(lambda m: prefix + m[0] if m["name"] in names else m[0], text)


class Unit:
    """A source file: pieces of its own text (templates included) and of guarded headers that nobody had before."""

    def __init__(self, path, seen):
        self.path = path
        self.pieces = []  # (text, whether it is the file's own)
        self.add(path, True, seen)

    def add(self, path, own, seen):
        text = path.read_text()
        guarded = path.suffix == ".h" and re.search(r"^#ifndef (\w+_H)\n#define \1$", text, re.M)
        if guarded:
            if path in seen:
                return
            seen.add(path)
            own = False
            text = re.sub(r"^#ifndef \w+_H\n#define \w+_H\n", "", text, count=1, flags=re.M)
            text = text.rstrip()[: -len("#endif")]
        at = 0
        for include in LOCAL_INCLUDE.finditer(text):
            target = self.find(path, include[1])
            self.pieces.append((text[at : include.start()], own))
            if target != PUBLIC_HEADER:
                self.add(target, own, seen)
            at = include.end()
        self.pieces.append((text[at:], own))

    @staticmethod
    def find(path, name):
        for folder in (path.parent, ROOT / "lib", ROOT / "include"):
            if (folder / name).exists():
                return (folder / name).resolve()
        sys.exit(f"{path}: includes {name}, which is not there")

    def own_text(self):
        return "".join(text for text, own in self.pieces if own)

    def write(self, public, shared_names):
        names = own_names(self.own_text()) & shared_names
        prefix = self.path.stem + "_"
        parts = []
        for text, own in self.pieces:
            text = make_static(text, public)
            parts.append(rename(text, names, prefix) if own else text)
        macros = dict.fromkeys(re.findall(r"^#define ([A-Za-z]\w*)", self.own_text(), re.M))
        ends = "".join(f"#undef {prefix + macro if macro in names else macro}\n" for macro in macros)
        title = f"/* {'=' * 20} {self.path.relative_to(ROOT)} {'=' * 20} */"
        return re.sub(r"\n{3,}", "\n\n", f"\n{title}\n\n{''.join(parts).strip()}\n{ends}")


def sources(folder):
    """The files of a folder. First those with an array that others name and a header declares without its length: a
    static one must be defined before."""
    headers = "".join(path.read_text() for path in sorted(folder.glob("*.h")))
    arrays = re.findall(r"^extern [^;]*?(\w+)\[\];", headers, re.M)
    texts = {path: path.read_text() for path in sorted(folder.glob("*.c"))}

    def comes_first(path):
        return any(f"{name}[] = " in texts[path] and any(name in texts[other] for other in texts if other != path)
                   for name in arrays)

    return sorted(texts, key=lambda path: (not comes_first(path), path))


def main(folder):
    header = PUBLIC_HEADER.read_text()
    public = set(re.findall(r"^HOME_API [^;]*?\b(home_\w+)\(", header, re.M))
    version = ".".join(re.findall(r"#define HOME_VERSION_\w+ (\d+)", header))
    seen = set()
    serving, others = ([Unit(path, seen) for folder in folders for path in sources(ROOT / "lib" / folder)]
                       for folders in (EVERYWHERE, NOT_IN_SERVE_ONLY))
    units = serving + others
    count = Counter(name for unit in units for name in own_names(unit.own_text()))
    shared_names = {name for name, users in count.items() if users > 1}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "home.h").write_text(header)
    parts = [TOP.format(version=version), *(unit.write(public, shared_names) for unit in serving),
             "\n#ifndef HOME_SERVE_ONLY\n", *(unit.write(public, shared_names) for unit in others),
             "\n#endif /* HOME_SERVE_ONLY */\n"]
    (folder / "home.c").write_text("".join(parts))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: amalgamate.py FOLDER")
    main(pathlib.Path(sys.argv[1]))
