#!/bin/sh
# The drawing in docs/ is what its script draws, and the page's links lead somewhere.
# Run from the top of the tree.
. tests/test.sh

drawing_is_current() {
    python3 docs/draw_hierarchy.py | cmp - docs/hierarchy.svg
}

drawing_is_xml() {
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' docs/hierarchy.svg
}

# Files exist; a heading stands behind every #anchor.
links_lead_somewhere() {
    links=$(grep -o '](\([^)]*\))' docs/model.md | tr -d ']()' | sort -u)
    anchors=$(sed -n 's/^##* //p' docs/model.md | tr 'A-Z ' 'a-z-' | tr -d ',.')
    [ -n "$links" ] || return 1
    for link in $links; do
        case $link in
        http*) ;;
        '#'*) echo "$anchors" | grep -qxF -- "${link#\#}" || { echo "no heading for $link"; return 1; } ;;
        *) [ -e "docs/$link" ] || { echo "no file docs/$link"; return 1; } ;;
        esac
    done
}

if have python3; then
    check "docs/hierarchy.svg is current" drawing_is_current
    check "docs/hierarchy.svg is well-formed XML" drawing_is_xml
else
    skip 'the drawing: python3 is not installed' 2
fi
check "links of docs/model.md lead somewhere" links_lead_somewhere
summary
