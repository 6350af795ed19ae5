"""The diagrams that help to choose are legible, accessible, and name what there is."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from hpo.schedulers import SCHEDULERS

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


def test_the_diagram_of_schedulers_names_schedulers_and_says_the_same_as_its_page():
    tree = ET.parse(ROOT / "docs" / "_static" / "choose-scheduler.svg").getroot()
    assert tree.get("role") == "img"
    title, description = (tree.findtext(f"{SVG}{tag}") or "" for tag in ("title", "desc"))
    assert title
    drawn = set(re.findall(r"[a-z]+-[a-z]+|\w+", " ".join(t.text for t in tree.iter(f"{SVG}text"))))
    named = drawn & set(SCHEDULERS)
    assert {"swift-asha", "hyperband", "asha", "random-search"} <= named
    assert all(name in description for name in named)
    page = (ROOT / "docs" / "guide" / "schedulers.md").read_text("utf-8")
    words = page.partition("## Which scheduler?")[2].partition("| `make_scheduler`")[0]
    assert all(f"[`{name}`](#{name})" in words for name in named)
    # At 390 pixels, of which the page takes 32, no letter is smaller than 12 pixels.
    width, size = float(tree.attrib["width"]), float(tree.attrib["font-size"])
    assert size * min(1.0, (390 - 32) / width) >= 12
