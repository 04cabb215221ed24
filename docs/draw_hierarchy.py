#!/usr/bin/env python3
"""Draws docs/hierarchy.svg: HoME's two layers for two groups of tasks, and who sees whom.

    python3 docs/draw_hierarchy.py > docs/hierarchy.svg
"""

GROUPS = {"inter": ["like", "follow"], "watch": ["view"]}
COLOURS = {"inter": "blue", "shared": "grey", "watch": "orange"}

WIDTH, HEIGHT = 980, 776
UNIT_WIDTH, UNIT_HEIGHT = 104, 58
NODE_WIDTH, NODE_HEIGHT = 104, 30

# Rows from the input at the bottom to the predictions at the top: the y of each row's middle.
INPUT, UNITS_1, NODES_1, UNITS_2, NODES_2, TOWERS = 740, 632, 500, 354, 206, 122

# Columns of layer 2; those of layer 1 stand in the middle of what reads them.
COLUMNS_2 = {"like": 212, "follow": 342, "inter": 472, "shared": 602, "watch": 732, "view": 862}
COLUMNS_1 = {"inter": 342, "shared": 602, "watch": 797}

STYLE = """
  svg { font-family: system-ui, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 14px }
  .page { fill: #ffffff } text { fill: #1f2328 } .note { fill: #57606a; font-size: 12px }
  .box { stroke-width: 1.5 } .expert { stroke-width: 1 } .gate { fill: #ffffff; stroke-width: 1.5 }
  path { fill: none; stroke-width: 1.6 } .self { stroke-dasharray: 5 4; stroke-width: 2.2 }
  .blue { stroke: #0969da } .grey { stroke: #6e7781 } .orange { stroke: #bc4c00 }
  .box.blue { fill: #ddf4ff } .box.grey { fill: #eaeef2 } .box.orange { fill: #fff1e5 }
  .expert.blue { fill: #80ccff } .expert.grey { fill: #afb8c1 } .expert.orange { fill: #ffb77c }
  .layer { fill: none; stroke: #d0d7de; stroke-dasharray: 2 4 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #e6edf3 } .note { fill: #9198a1 } .gate { fill: #0d1117 }
    .blue { stroke: #58a6ff } .grey { stroke: #9198a1 } .orange { stroke: #f0883e }
    .box.blue { fill: #0c2d6b } .box.grey { fill: #30363d } .box.orange { fill: #5a1e02 }
    .expert.blue { fill: #1f6feb } .expert.grey { fill: #6e7681 } .expert.orange { fill: #bd561d }
    .layer { stroke: #3d444d }
  }
"""


def group_of(task):
    return next(group for group, tasks in GROUPS.items() if task in tasks)


def colour(name):
    return COLOURS[name] if name in COLOURS else COLOURS[group_of(name)]


def text(x, y, words, kind="", anchor="middle"):
    attribute = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{attribute}>{words}</text>'


def curve(x1, y1, x2, y2, kind):
    middle = (y1 + y2) / 2
    return f'<path class="{kind}" d="M{x1} {y1} C{x1} {middle:g} {x2} {middle:g} {x2} {y2}"/>'


def unit(x, y, name, experts):
    """A unit: its feature gate as the bar below, its experts above it."""
    left, top = x - UNIT_WIDTH // 2, y - UNIT_HEIGHT // 2
    tone = colour(name)
    parts = [f'<rect class="box {tone}" x="{left}" y="{top}" width="{UNIT_WIDTH}" height="{UNIT_HEIGHT}" rx="6"/>',
             text(x, y + 5, name),
             f'<rect class="gate {tone}" x="{left + 10}" y="{y + 12}" width="{UNIT_WIDTH - 20}" height="9"'
             ' rx="4"/>']
    step = 24
    first = x - step * (experts - 1) / 2
    for k in range(experts):
        parts.append(f'<rect class="expert {tone}" x="{first + k * step - 8:g}" y="{top + 6}" width="16" height="11"'
                     ' rx="2"/>')
    return parts


def node(x, y, name, words):
    tone = colour(name)
    return [f'<rect class="gate {tone}" x="{x - NODE_WIDTH // 2}" y="{y - NODE_HEIGHT // 2}" width="{NODE_WIDTH}"'
            f' height="{NODE_HEIGHT}" rx="15"/>', text(x, y + 5, words)]


def seen_by(columns, unit_y, node_y, masks):
    """Lines from every unit to the nodes that see it; dashed from a node's own unit, for the self gate."""
    lines = []
    for name, (x, units) in masks.items():
        for i, other in enumerate(units):
            end = x + (i - (len(units) - 1) / 2) * 18
            lines.append(curve(columns[other], unit_y - UNIT_HEIGHT // 2, end, node_y + NODE_HEIGHT // 2,
                               colour(other)))
        own = columns[name]
        lines.append(curve(own - 40, unit_y - UNIT_HEIGHT // 2, x - 40, node_y + NODE_HEIGHT // 2,
                           f"{colour(name)} self"))
    return lines


def layer_1():
    parts = []
    for name, x in COLUMNS_1.items():
        parts.append(curve(x, INPUT - 16, x, UNITS_1 + UNIT_HEIGHT // 2, colour(name)))
    masks = {group: (COLUMNS_1[group], sorted([group, "shared"], key=COLUMNS_1.get)) for group in GROUPS}
    masks["shared"] = (COLUMNS_1["shared"], list(COLUMNS_1))
    parts += seen_by(COLUMNS_1, UNITS_1, NODES_1, masks)
    for name, x in COLUMNS_1.items():
        parts += unit(x, UNITS_1, name, 3)
        parts += node(x, NODES_1, name, f"node {name}")
    return parts


def layer_2():
    parts = []
    for name, x in COLUMNS_2.items():
        source = name if name in COLUMNS_1 else group_of(name)
        parts.append(curve(COLUMNS_1[source], NODES_1 - NODE_HEIGHT // 2, x, UNITS_2 + UNIT_HEIGHT // 2,
                           colour(source)))
    masks = {}
    for group, tasks in GROUPS.items():
        for task in tasks:
            masks[task] = (COLUMNS_2[task], sorted([task, group, "shared"], key=COLUMNS_2.get))
    parts += seen_by(COLUMNS_2, UNITS_2, NODES_2, masks)
    for name, x in COLUMNS_2.items():
        parts += unit(x, UNITS_2, name, 2)
    for task, (x, _) in masks.items():
        parts += node(x, NODES_2, task, f"node {task}")
        parts.append(curve(x, NODES_2 - NODE_HEIGHT // 2, x, TOWERS + 16, colour(task)))
        parts += [f'<rect class="box {colour(task)}" x="{x - 52}" y="{TOWERS - 16}" width="104" height="32" rx="6"/>',
                  text(x, TOWERS + 5, f"tower {task}")]
    return parts


def legend():
    y = 40
    parts = [f'<rect class="expert grey" x="30" y="{y - 10}" width="16" height="11" rx="2"/>',
             text(54, y, "expert: MLP, batch norm, Swish", "note", "start"),
             f'<rect class="gate grey" x="262" y="{y - 9}" width="40" height="9" rx="4"/>',
             text(310, y, "feature gate of a unit", "note", "start"),
             f'<path class="grey" d="M466 {y - 4} H506"/>',
             text(514, y, "seen: weighted by the node's gate", "note", "start"),
             f'<path class="grey self" d="M736 {y - 4} H776"/>',
             text(784, y, "self gate: own experts again", "note", "start")]
    return parts


def frame():
    parts = []
    for title, what, units, nodes in ("Layer 1", "groups", UNITS_1, NODES_1), ("Layer 2", "tasks", UNITS_2, NODES_2):
        middle = (units + nodes) // 2
        parts += [f'<rect class="layer" x="14" y="{nodes - 34}" width="{WIDTH - 28}" height="{units - nodes + 76}"'
                  ' rx="8"/>',
                  text(30, nodes + 5, "nodes", "note", "start"), text(30, units + 5, "units", "note", "start"),
                  text(30, middle, title, "", "start"), text(30, middle + 18, what, "note", "start")]
    parts += [f'<rect class="box grey" x="250" y="{INPUT - 16}" width="640" height="32" rx="6"/>',
              text(570, INPUT + 5, "v: dense values and pooled embeddings")]
    for group, tasks in GROUPS.items():
        left = min(COLUMNS_2[task] for task in tasks) - 52
        right = max(COLUMNS_2[task] for task in tasks) + 52
        parts.append(text((left + right) // 2, TOWERS - 36, f"group {group}", "note"))
    return parts


def main():
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
             f' height="{HEIGHT}" role="img">',
             "<title>HoME's two layers: units of experts below, nodes with gates above them</title>",
             f"<style>{STYLE}</style>", f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>']
    print("\n".join(parts + frame() + legend() + layer_1() + layer_2() + ["</svg>"]))


if __name__ == "__main__":
    main()
