"""The built site: every page in its place, every link inside alive, nothing from elsewhere.

Where Sphinx is installed (the extra ``docs``); the tables that it is built from are tested anyway.
"""

from __future__ import annotations

import re
import zlib

import pytest

import qsvr

HEADER = [
    "Getting started",
    "User guide",
    "Gallery",
    "API reference",
    "Research",
    "Development",
]
# Pages that Sphinx adds: no part of a section.
EXTRA = ("search.html", "genindex.html", "py-modindex.html")


@pytest.fixture(scope="module")
def pages(site) -> dict[str, str]:
    """Return the pages of the sections by their path."""
    found = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    return {
        name: path.read_text("utf-8")
        for name, path in sorted(found.items())
        if not name.startswith(("_static/", "_modules/")) and name not in EXTRA
    }


def between(text: str, start: str, end: str) -> str:
    """Return the part of a page from one mark to the next."""
    _, found, rest = text.partition(start)
    return rest.partition(end)[0] if found else ""


@pytest.mark.slow
def test_the_site_builds_without_warnings(pages):
    assert {"index.html", "guide/samplers.html", "api/objects/qsvr.QSVR.html"} <= set(pages)


@pytest.mark.slow
def test_no_page_shows_its_settings_as_text(pages):
    assert [name for name, text in pages.items() if "html_theme." in text] == []


@pytest.mark.slow
def test_the_header_names_the_sections(pages):
    header = between(pages["guide/samplers.html"], '<ul class="bd-navbar-elements', "</ul>")
    assert [each.strip() for each in re.findall(r">([^<>]+)</a>", header)] == HEADER
    version = f'<span class="site-version">{qsvr.__version__}</span>'
    assert all(version in text for text in pages.values())


@pytest.mark.slow
def test_every_page_has_a_sidebar_breadcrumbs_and_neighbours(pages):
    lacking = []
    for name, text in pages.items():
        if name == "index.html":
            continue
        sidebar = between(text, '<nav class="bd-docs-nav', "</nav>")
        if len(re.findall(r"<a ", sidebar)) < 3:
            lacking.append(f"{name}: sidebar")
        if "bd-breadcrumbs" not in text:
            lacking.append(f"{name}: breadcrumbs")
        if not re.search(r'class="(left-prev|right-next)"', text):
            lacking.append(f"{name}: previous and next")
    assert not lacking


@pytest.mark.slow
def test_next_leads_through_every_page_once(pages):
    name, seen = "index.html", []
    while name:
        seen.append(name)
        found = re.search(r'class="right-next"\s+href="([^"]+)"', pages[name])
        folder = name.rpartition("/")[0]
        name = _joined(folder, found.group(1)) if found else ""
    assert len(seen) == len(set(seen))
    assert set(seen) == set(pages)


def _joined(folder: str, link: str) -> str:
    parts = folder.split("/") if folder else []
    for part in link.split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(extension, site):
    links = extension("site_links")
    assert links.dead_links(site) == []


def test_dead_links_are_found(extension, tmp_path):
    links = extension("site_links")
    (tmp_path / "a.html").write_text('<p id="x"><a href="b.html#y">b</a> <a href="#x">x</a>')
    (tmp_path / "b.html").write_text('<img src="c.png"><a href="https://example.org/d">d</a>')
    assert links.dead_links(tmp_path) == ["a.html: b.html#y", "b.html: c.png"]


@pytest.mark.slow
def test_no_page_loads_from_another_machine(pages):
    foreign = re.compile(r'<(?:script|img|iframe|link rel="(?:stylesheet|preload)")[^>]+"https?:')
    assert [name for name, text in pages.items() if foreign.search(text)] == []


@pytest.mark.slow
def test_types_link_to_their_own_documentation(pages):
    text = pages["api/objects/qsvr.QSVR.html"]
    for address in (
        "https://docs.python.org/3/library/functions.html#float",
        "https://scikit-learn.org/stable/modules/generated/sklearn.svm.SVR.html#sklearn.svm.SVR",
    ):
        assert f'href="{address}"' in text
    assert 'href="qsvr.SamplerFactory.html#qsvr.SamplerFactory"' in text


@pytest.mark.slow
def test_an_object_links_to_the_pages_that_use_it(pages):
    used = between(pages["api/objects/qsvr.QSVR.html"], "Used in", "</ul>")
    assert "notebooks/01_first_fit_to_leap.html" in used
    assert "guide/regression.html" in used


def test_the_inventories_are_those_of_the_table(extension):
    inventories = extension("inventories")
    projects = inventories.table()
    assert {path.stem for path in inventories.FOLDER.glob("*.inv")} == set(projects)
    for name, entry in projects.items():
        written = (inventories.FOLDER / f"{name}.inv").read_bytes()
        wanted = inventories.inventory(entry["title"], entry["names"])
        assert _content(written) == _content(wanted), f"{name}: python docs/_ext/inventories.py"


def _content(inventory: bytes) -> tuple[list[bytes], bytes]:
    *head, packed = inventory.split(b"\n", 4)
    return head, zlib.decompress(packed)
