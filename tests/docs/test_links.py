"""No link of the documentation is dead, and every name that it mentions exists.

Sphinx checks the same and more (``make docs``); this needs no Sphinx.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = ("api", "notebooks", "_build")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in GENERATED),
]
ROLE = re.compile(r"\{(py:obj|py:mod|doc)\}`(?:[^`<]*<)?~?([^`>]+)>?`")


def text_of(path: Path) -> str:
    """Return a page without its code."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!\})`[^`\n]*`", "", text)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub and MyST give to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def exists(name: str) -> bool:
    """Tell whether a dotted name can be imported."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            value = import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            value = getattr(value, attribute, None)
        return value is not None
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue  # another site
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_roles_name_what_is_there(page):
    wrong = []
    for role, target in ROLE.findall(page.read_text("utf-8")):
        if role == "doc":
            folder = DOCS if target.startswith("/") else page.parent
            found = (folder / f"{target.lstrip('/')}.md").exists() or (
                target.rpartition("/")[0].endswith("notebooks")
                and (ROOT / "notebooks" / f"{Path(target).name}.ipynb").exists()
            )
        else:
            found = exists(target)
        if not found:
            wrong.append(f"{{{role}}}`{target}`")
    assert not wrong


def test_the_map_from_the_papers_names_functions_of_all_five():
    text = (DOCS / "research" / "papers.md").read_text("utf-8")
    sections = {part.split("\n")[0]: part for part in text.split("\n## ")[1:]}
    papers = [title for title in sections if title != "Other sources"]
    assert len(papers) == 5
    for title in papers:
        names = [target for role, target in ROLE.findall(sections[title]) if role == "py:obj"]
        assert len(names) >= 3, title
        assert all(exists(name) for name in names), title


def test_commands_name_files_that_exist():
    missing = set()
    for page in PAGES:
        for path in re.findall(
            r"\b((?:benchmarks|examples|notebooks|tests)/[\w/]+\.(?:py|toml))",
            page.read_text("utf-8"),
        ):
            if not (ROOT / path).exists():
                missing.add(f"{page.name}: {path}")
    assert not missing


def listed_by(page: Path) -> list[Path]:
    """Return the pages that the tables of contents of a page list, in their order."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.M)
    entries = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [
        (page.parent / f"{entry}.md").resolve()
        for entry in entries
        if not entry.startswith((":", "api/", "notebooks/"))
    ]


def test_every_page_has_one_place_in_the_navigation():
    """Each page of ``docs`` stands in exactly one table of contents, and the index reaches all."""
    reached, waiting = [], [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.append(page)
        waiting += listed_by(page)
    pages = {page for page in PAGES if page.is_relative_to(DOCS)}
    assert {page for page in reached if reached.count(page) > 1} == set()
    assert pages == set(reached)


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("samplers", "qsvr.samplers.SAMPLER_NAMES"),
        ("schedulers", "hpo.schedulers.SCHEDULERS"),
        ("predictors", "hpo.predictors.PREDICTORS"),
    ],
)
def test_the_guide_has_a_word_on_everything_that_has_a_name(page, table):
    module, _, name = table.rpartition(".")
    text = (DOCS / "guide" / f"{page}.md").read_text("utf-8")
    missing = [each for each in getattr(import_module(module), name) if f'`"{each}"`' not in text]
    assert not missing, f"docs/guide/{page}.md says nothing of {missing}"
