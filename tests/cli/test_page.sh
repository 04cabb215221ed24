#!/bin/sh
# The page of "home report" for those who see little of it, or nothing: contrasts and names. Run from the top of the
# tree, after make.
. tests/cli/program.sh
if ! have python3; then
    skip 'contrasts and names: python3 is not installed' 7
    summary
fi

# A page with all there is on it: gates from 0 to nearly 1, gradients, epochs, ids of which many are unknown, and a name
# that wants escapes.
awk 'BEGIN { srand(3); print "a,b,u,click,like"; for (row = 0; row < 3000; row++) { a = rand(); b = rand()
    printf "%.3f,%.3f,%d,%d,%d\n", a, b, row % 50, rand() < a, rand() < b } }' > rows.csv
cat > recipe.json <<'END'
{"dense": [{"column": "a"}, {"column": "b"}], "ids": [{"column": "u", "dim": 2}],
 "labels": [{"column": "click", "group": "one"}, {"column": "like", "task": "<like> & \"more\"", "group": "two"}],
 "training": {"epochs": 3, "batch": 64},
 "model": {"preset": "mmoe", "layers": [{"width": 8, "hidden": [8], "shared_experts": 3}],
           "optimizer": {"learning_rate": 0.2}}}
END
home train recipe.json --train rows.csv --output model.safetensors --log log.csv > train.out 2>&1
awk -F, -v OFS=, 'NR > 1 { $3 = "new" } { print }' rows.csv > new.csv
check "report" home report model.safetensors new.csv --log log.csv --output page.html

cat > page.py <<'END'
import html.parser
import re
import sys

page = open("page.html", encoding="utf-8").read()
style = re.search(r"<style>(.*?)</style>", page, re.S).group(1)


def scheme(text):
    return {name: [int(value[i:i + len(value) // 3] * (2 if len(value) == 3 else 1), 16)
                   for i in range(0, len(value), len(value) // 3)]
            for name, value in re.findall(r"--([a-z-]+):#([0-9a-f]+);", text)}


light, dark = (scheme(root) for root in re.findall(r":root \{[^}]*\}", style)[:2])
SCHEMES = {"light": light, "dark": dark}


def luminance(colour):  # WCAG 2.1
    parts = [part / 255 for part in colour]
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(over, under, share):
    return [share * a + (1 - share) * b for a, b in zip(over, under)]


def must_be_readable(ink, ground, what):
    assert contrast(ink, ground) >= 4.5, f"{what}: {contrast(ink, ground):.2f}"


def cells():
    """Every number of the gates on its cell."""
    fill = re.search(r"\.cell \{ fill: var\(--([a-z-]+)\) \}", style).group(1)
    found = re.findall(r'<rect class="cell" style="fill-opacity:([0-9.]+)"[^>]*/><text ([^>]*)>', page)
    assert len(found) == page.count('class="cell"') == 6, found
    assert max(float(opacity) for opacity, text in found) > 0.6, "no dark cell to look at"
    for opacity, text in found + [("1", "")]:
        assert "class" not in text, text
        for name, colours in SCHEMES.items():
            must_be_readable(colours["ink"], mix(colours[fill], colours["card"], float(opacity)), f"{name}, {opacity}")


def heat():
    """Every number of the table of gradients."""
    fill, percent = re.search(r"td\.heat \{ background: color-mix\(in srgb, var\(--([a-z-]+)\) "
                              r"calc\(var\(--w\) \* ([0-9]+)%\), transparent\) \}", style).groups()
    found = [float(share) for share in re.findall(r'<td class="heat" style="--w:([0-9.]+)">', page)]
    assert max(found) == 1, found
    for share in found:
        for name, colours in SCHEMES.items():
            ground = mix(colours[fill], colours["card"], share * int(percent) / 100)
            must_be_readable(colours["ink"], ground, f"{name}, {share}")


def texts():
    """All other text: its colours on the grounds that it stands on."""
    pairs = [("ink", ground) for ground in ("ground", "card", "good-ground", "bad-ground")]
    pairs += [("soft", ground) for ground in ("ground", "card", "good-ground", "bad-ground")]
    pairs += [("bad", "card")]
    used = set(re.findall(r"(?:\bcolor|\.tick[^{]*\{ fill|\.bad-text \{ fill|svg \{[^}]*fill): var\(--([a-z-]+)\)", style))
    assert used <= {ink for ink, ground in pairs}, used
    for ink, ground in pairs:
        for name, colours in SCHEMES.items():
            must_be_readable(colours[ink], colours[ground], f"{name}, {ink} on {ground}")


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def pictures():
    """Every picture has a name of its own."""
    labels = [attributes.get("aria-label") for tag, attributes in Elements().found if tag == "svg"]
    assert all(attributes.get("role") == "img" for tag, attributes in Elements().found if tag == "svg")
    assert len(labels) == 1 + 1 + 4 + 4 and all(labels), labels
    assert len(set(labels)) == len(labels), labels
    assert 'ROC curve, <like> & "more": AUC' in " ".join(labels), labels


def boxes():
    """Every box that scrolls can be reached by keys and has a name."""
    found = [attributes for tag, attributes in Elements().found if attributes.get("class") == "scroll"]
    assert len(found) == 5, found
    for attributes in found:
        assert attributes.get("tabindex") == "0" and attributes.get("role") == "region", attributes
        assert attributes.get("aria-label"), attributes
    assert ".scroll:focus-visible { outline:" in style


def names():
    """Nothing in a name changes the direction of what stands around it."""
    steering = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")
    assert not steering.search(page), steering.search(page)


globals()[sys.argv[1]]()
END
for part in cells heat texts pictures boxes names; do
    check "$part" python3 -B page.py $part
done
summary
