"""Two kinds of plot as SVG, readable on light and dark pages."""

STYLE = """<style>
text { font: 13px sans-serif; fill: #333 } .axis { stroke: #999 } .grid { stroke: #9994; }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .paper { fill: #111 } }
</style>"""
COLOURS = ("#d1495b", "#3375b5", "#2a9d5c", "#8a5fbf", "#c9871f", "#6b7280")
LEFT, RIGHT, TOP, BOTTOM, STEP = 190, 30, 34, 40, 26


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def ticks(low, high):
    """Returns about five round numbers from low to high."""
    size = 10.0 ** -6
    while (high - low) / size > 6:
        for factor in (2, 2.5, 2):
            size *= factor
            if (high - low) / size <= 6:
                break
    first = int(low / size) + (low > 0)
    return [n * size for n in range(first, int(high / size) + 1)]


def svg(path, width, height, title, parts):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                   f'height="{height}" role="img"><title>{escape(title)}</title>{STYLE}\n'
                   f'<rect class="paper" width="100%" height="100%" fill="#fff"/>\n'
                   f'<text x="12" y="20" font-weight="bold">{escape(title)}</text>\n' + "\n".join(parts) + "\n</svg>\n")


def dots(path, title, rows):
    """rows: (name, value, deviation), each drawn as a dot with a bar of one deviation on both sides."""
    low = min(value - deviation for _, value, deviation in rows)
    high = max(value + deviation for _, value, deviation in rows)
    margin = 0.08 * (high - low) or 1e-4
    low, high, width = low - margin, high + margin, 760
    height = TOP + STEP * len(rows) + BOTTOM

    def x(value):
        return LEFT + (width - LEFT - RIGHT) * (value - low) / (high - low)

    parts = []
    for tick in ticks(low, high):
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{height - BOTTOM}"/>'
                     f'<text x="{x(tick):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{tick:.4g}</text>')
    for index, (name, value, deviation) in enumerate(rows):
        y = TOP + STEP * (index + 0.5)
        colour = COLOURS[0 if name.startswith("HoME") else 1]
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{escape(name)}</text>'
                     f'<line x1="{x(value - deviation):.1f}" x2="{x(value + deviation):.1f}" y1="{y}" y2="{y}" '
                     f'stroke="{colour}" stroke-width="2"/><circle cx="{x(value):.1f}" cy="{y}" r="5" fill="{colour}"/>')
    svg(path, width, height, title, parts)


def lines(path, title, labels, series):
    """series: {name: values}, with one value for each label."""
    values = [value for line in series.values() for value in line]
    margin = 0.08 * (max(values) - min(values)) or 1e-4
    low, high, width, height, legend = min(values) - margin, max(values) + margin, 760, 360, 190

    def x(index):
        return 60 + (width - 60 - legend - 20) * index / max(1, len(labels) - 1)

    def y(value):
        return height - BOTTOM - (height - BOTTOM - TOP) * (value - low) / (high - low)

    parts = []
    for tick in ticks(low, high):
        parts.append(f'<line class="grid" x1="60" x2="{width - legend - 20}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
                     f'<text x="54" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for index, label in enumerate(labels):
        parts.append(f'<text x="{x(index):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{escape(label)}</text>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(index):.1f},{y(value):.1f}" for index, value in enumerate(line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(index):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}"/>'
                  for index, value in enumerate(line)]
        parts.append(f'<line x1="{width - legend}" x2="{width - legend + 20}" y1="{TOP + 12 + 22 * number}" '
                     f'y2="{TOP + 12 + 22 * number}" stroke="{colour}" stroke-width="3"/>'
                     f'<text x="{width - legend + 28}" y="{TOP + 16 + 22 * number}">{escape(name)}</text>')
    svg(path, width, height, title, parts)
