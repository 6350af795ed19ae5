"""The documentation's pictures are those of their scripts, and can be read on a phone."""

from __future__ import annotations

import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from browser import Browser, find_chromium

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "docs" / "_static"
SCRIPTS = ROOT / "docs" / "pictures"
FLOWS = (
    "_static/qsvr-flow.svg",
    "_static/hpo-flow.svg",
    "develop/architecture-qsvr.svg",
    "develop/architecture-hpo.svg",
)
PHONE = 390
# Letters that reach out of the box in which they begin, and the smallest size of letters.
MEASURE = """
(() => {
  const boxes = [...document.querySelectorAll('svg rect')].slice(1).map(
    (box) => box.getBoundingClientRect());
  const texts = [...document.querySelectorAll('svg text')];
  const out = texts.filter((text) => {
    const at = text.getBoundingClientRect();
    return boxes.some((box) => at.left > box.left && at.left < box.right
      && at.top > box.top && at.top < box.bottom
      && (at.right > box.right - 2 || at.bottom > box.bottom - 2));
  });
  const scale = document.querySelector('svg').getScreenCTM().a;
  const sizes = texts.map((text) => parseFloat(getComputedStyle(text).fontSize) * scale);
  return {out: out.map((text) => text.textContent), smallest: Math.min(...sizes)};
})()
"""


def test_the_diagrams_are_those_of_their_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    flows = runpy.run_path(str(SCRIPTS / "flows.py"))
    folders = runpy.run_path(str(SCRIPTS / "architecture.py"))["diagram"]
    drawn = (flows["fit"](), flows["search"](), folders("qsvr"), folders("hpo"))
    for name, text in zip(FLOWS, drawn, strict=True):
        assert text == (ROOT / "docs" / name).read_text("utf-8"), (
            "draw them again: python docs/pictures/flows.py, python docs/pictures/architecture.py"
        )


@pytest.mark.parametrize("name", FLOWS)
def test_a_diagram_has_a_title_a_description_and_a_background(name):
    root = ET.parse(ROOT / "docs" / name).getroot()
    parts = {child.tag.split("}")[1]: child for child in root}
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "title desc"
    assert len(parts["title"].text) > 20
    assert len(parts["desc"].text) > 100
    first = next(child for child in root if child.tag.endswith("}rect"))
    assert (first.get("width"), first.get("height")) == (root.get("width"), root.get("height"))


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="needs Chromium")
def test_a_diagram_can_be_read_on_a_phone(tmp_path):
    browser = Browser(find_chromium(), tmp_path / "profile")
    try:
        for name in FLOWS:
            page = tmp_path / "page.html"
            svg = (ROOT / "docs" / name).read_text("utf-8")
            svg = svg.replace("<svg ", '<svg style="width:100%" ', 1)
            page.write_text(f'<meta charset="utf-8"><body style="margin:16px">{svg}', "utf-8")
            browser.open(page.as_uri(), width=PHONE, height=900)
            found = browser.evaluate(MEASURE)
            assert found["out"] == []
            assert found["smallest"] >= 11.9
    finally:
        browser.close()


@pytest.mark.parametrize("name", ["tube", "zephyr", "rungs"])
def test_a_picture_is_wide_enough_and_not_too_heavy(name):
    path = STATIC / f"{name}.png"
    with Image.open(path) as picture:
        assert picture.width >= 900
    assert path.stat().st_size < 400_000


def test_the_embedding_of_the_picture_carries_every_coupling(monkeypatch):
    embedding = pytest.importorskip("dwave.embedding")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    pairs, qubits, chains = runpy.run_path(str(SCRIPTS / "zephyr.py"))["embedding"]()
    assert len(chains) == 16
    assert len(pairs) == 16 * 15 / 2
    assert list(embedding.diagnose_embedding(chains, pairs, qubits)) == []
