#!/usr/bin/env python3
"""Draws docs/speed.svg from the tables of docs/performance.md: the time of PyTorch and ONNX Runtime over libhome's.

    python3 docs/draw_speed.py > docs/speed.svg
    python3 docs/draw_speed.py claims    the ranges that README.md gives in words, one a line

It takes every case of one thread, so that none can be picked.
"""

import math
import os
import re
import sys

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "performance.md")
PEERS = {"PyTorch": "round", "ONNX Runtime": "square"}

DECADE = 190  # pixels from 1 to 10
MIN = 0.8   # the left end of the scale
ROW, GAP, TOP = 21, 9, 106
WIDTH = 862
# Of each panel: title, prefix of its cases, x of the scale's left end, its right end, x of the column of numbers.
PANELS = (("Serving: one call", "predict", 114, 50, 514), ("Training: one step", "train_step", 630, 8, 846))
TICKS = (1, 2, 5, 10, 20, 50)

STYLE = """
  svg { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px }
  .page { fill: #ffffff } text { fill: #1f2328 } .note { fill: #57606a; font-size: 12px }
  .title { font-size: 15px; font-weight: 600 } .panel { font-weight: 600 }
  .grid { stroke: #d8dee4 } .one { stroke: #1f2328; stroke-width: 2 } .reach { stroke: #afb8c1; stroke-width: 2 }
  .round { fill: #bc4c00 } .square { fill: #0969da }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .note { fill: #9198a1 }
    .grid { stroke: #2a313c } .one { stroke: #e6edf3 } .reach { stroke: #59636e }
    .round { fill: #f0883e } .square { fill: #58a6ff }
  }
"""


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def number(cell):
    """The time that a cell begins with: "2,400.7 (script-2d)" is 2400.7."""
    return float(cell.split()[0].replace(",", ""))


def read_cases(text):
    """{"predict S, 1 row": {"PyTorch": 37.2, ...}, ...}, from the section of one thread."""
    section = re.search(r"^#### 1 thread$(.*?)^####", text, re.M | re.S).group(1)
    cases, columns = {}, []
    for line in section.splitlines():
        if line.startswith("| case |"):
            columns = cells(line)
        elif re.match(r"\| (predict|train_step) ", line):
            row = dict(zip(columns, cells(line)))
            own = number(row["libhome us"])
            cases[row["case"]] = {peer: number(row[peer + " us"]) / own for peer in PEERS if row.get(peer + " us")}
    return cases


def read_sizes(text):
    """{"S": "158 k", ...}: the parameters of each configuration."""
    table = re.search(r"^\|[^\n]*\| parameters \|.*?^$", text, re.M | re.S).group(0).splitlines()
    column = cells(table[0]).index("parameters")
    return {cells(line)[0]: cells(line)[column] for line in table[2:]}


def best(ratios):
    return min(ratios.values())


def claims(cases):
    def span(chosen):
        values = [best(cases[case]) for case in chosen]
        return f"{min(values):.1f} to {max(values):.1f} times"

    many = [case for case in cases if case.startswith("predict") and int(re.search(r"(\d+) row", case).group(1)) >= 100]
    steps = [case for case in cases if case.startswith("train_step")]
    return [span(many), f"{math.floor(best(cases['predict S, 1 row']))} times", span(steps),
            f"{best(cases['predict L, 1 row']):.2f} of libhome's time"]


def text_at(x, y, words, kind="", anchor="start"):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{attribute}>{words}</text>'


def mark(x, y, kind):
    if kind == "round":
        return f'<circle class="round" cx="{x:.1f}" cy="{y:g}" r="5"/>'
    return f'<rect class="square" x="{x - 4.5:.1f}" y="{y - 4.5:g}" width="9" height="9"/>'


def rows_of(cases, prefix):
    """The cases of a panel, with the y of each: a gap before each configuration but the first."""
    y, before = TOP, None
    for case, ratios in cases.items():
        if not case.startswith(prefix + " "):
            continue
        label = case[len(prefix) + 1:]
        if before not in (None, label[0]):
            y += GAP
        before = label[0]
        yield label, ratios, y
        y += ROW


def draw_panel(cases, title, prefix, left, most, numbers, bottom):
    def place(ratio):
        return left + DECADE * math.log10(ratio / MIN)

    parts = [text_at(left - 98, TOP - 26, title, "panel")]
    for tick in TICKS:
        if tick <= most:
            x = place(tick)
            parts += [f'<path class="{"one" if tick == 1 else "grid"}" d="M{x:.1f} {TOP - 14} V{bottom}"/>',
                      text_at(x, bottom + 16, f"{tick}×" if tick > 1 else "libhome", "note", "middle")]
    for label, ratios, y in rows_of(cases, prefix):
        ends = [place(ratio) for ratio in ratios.values()] + [place(1)]
        parts += [text_at(left - 98, y + 4, label),
                  f'<path class="reach" d="M{min(ends):.1f} {y} H{max(ends):.1f}"/>']
        parts += [mark(place(ratio), y, PEERS[peer]) for peer, ratio in ratios.items()]
        parts.append(text_at(numbers, y + 4, f"{best(ratios):.1f}×", "", "end"))
    return parts


def describe(cases):
    return ". ".join(f"{case}: " + ", ".join(f"{peer} {ratio:.2f}" for peer, ratio in ratios.items())
                     for case, ratios in cases.items()) + "."


def draw(cases, sizes):
    bottom = max(y for _, prefix, *_ in PANELS for _, _, y in rows_of(cases, prefix)) + 14
    height = bottom + 46
    words = ", ".join(f"{name} {size}" for name, size in sizes.items())
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
             f' height="{height}" role="img">',
             "<title>How many times as long PyTorch and ONNX Runtime take as libhome, on one thread</title>",
             f"<desc>{describe(cases)}</desc>", f"<style>{STYLE}</style>",
             f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>',
             text_at(16, 28, "How many times as long as libhome others take, on one thread", "title"),
             mark(21, 47, "round"), text_at(32, 51, "PyTorch, its fastest style", "note"),
             mark(201, 47, "square"), text_at(212, 51, "ONNX Runtime, which only serves", "note"),
             text_at(WIDTH - 16, 51, "right of the line: slower than libhome; logarithmic scale", "note", "end"),
             text_at(16, height - 10, f"HoME in three sizes, by parameters: {words}. Last column: the faster of the two"
                                      " over libhome.", "note")]
    for panel in PANELS:
        parts += draw_panel(cases, *panel, bottom)
    return "\n".join(parts + ["</svg>"])


def main():
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    cases = read_cases(text)
    if not cases:
        sys.exit(f"{PAGE}: no cases with one thread")
    if sys.argv[1:] == ["claims"]:
        print("\n".join(claims(cases)))
    else:
        sys.stdout.reconfigure(encoding="utf-8")
        print(draw(cases, read_sizes(text)))


if __name__ == "__main__":
    main()
