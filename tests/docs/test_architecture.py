"""The house is what its picture, its layers and its changelog say it is."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import import_module
from xml.etree import ElementTree as ET

import pytest

PACKAGES = ("qsvr", "hpo")
MODULES_IN_ROOT = {"qsvr": 6, "hpo": 8}  # beside folders and dunder files
SVG = "{http://www.w3.org/2000/svg}"


def rooms_of(root, package):
    """Return the folders of a package."""
    return {path.parent.name for path in (root / package).glob("*/__init__.py")}


def modules_of(root, package):
    """Return the modules beside them."""
    return {path.stem for path in (root / package).glob("*.py") if not path.stem.startswith("__")}


def layers_of(root, package):
    """Return the layers of a package, highest first, from the contracts."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (contract,) = (each for each in contracts if each.get("containers") == [package])
    assert contract["exhaustive"] is True
    return [set(layer.split(" | ")) for layer in contract["layers"]]


def drawn_in(root, package):
    """Return the rooms of a picture from top to bottom, and all of its words."""
    tree = ET.parse(root / "docs" / "develop" / f"architecture-{package}.svg")
    texts = sorted(
        (float(each.get("y")), each.get("class") or "", each.text)
        for each in tree.iter(f"{SVG}text")
    )
    rooms = [text for _, kind, text in texts if kind == "r"]
    return rooms, {word for _, _, text in texts for word in re.findall(r"\w+", text)}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_root_has_few_modules(root, package):
    assert 0 < len(modules_of(root, package)) <= MODULES_IN_ROOT[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_picture_shows_every_room_in_the_order_of_the_layers(root, package):
    rooms = rooms_of(root, package)
    drawn, words = drawn_in(root, package)
    assert len(rooms) >= 6
    assert drawn == [room for layer in layers_of(root, package) for room in layer if room in rooms]
    assert set(drawn) == rooms
    assert modules_of(root, package) <= words


@pytest.mark.parametrize("package", PACKAGES)
def test_the_picture_names_modules_that_exist(root, package):
    """Words behind a room's name are its modules and folders."""
    tree = ET.parse(root / "docs" / "develop" / f"architecture-{package}.svg")
    texts = sorted(
        (float(each.get("y")), float(each.get("x")), each.get("class") or "", each.text)
        for each in tree.iter(f"{SVG}text")
    )
    listed: dict[str, str] = {}
    for _, _, kind, text in texts:
        if kind == "r":
            room = text
        elif kind == "m":
            listed[room] = f"{listed.get(room, '')} {text}"
        elif text.startswith("modules"):  # beside the folders
            room = "."
    assert set(listed) - {"."} == rooms_of(root, package)
    del listed["integrations" if package == "hpo" else "."]  # lists the tools
    for room, text in listed.items():
        for module in re.findall(r"\w+", re.sub(r"\(.*?\)", "", text)):
            folder = root / package / room / module
            assert folder.is_dir() or folder.with_suffix(".py").exists(), (room, module)


def renamed(root):
    """Return the dotted names in the first column of the changelog's tables of what is gone."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    section = text[text.index("### Renamed") :]
    section = section[: section.index("\n### ", 5)]
    first_cells = re.findall(r"^\| (.*?) \|", section, flags=re.M)
    return [name for cell in first_cells for name in re.findall(r"`((?:qsvr|hpo)\.[\w.]+)`", cell)]


def test_what_was_renamed_is_gone(root):
    names = renamed(root)
    assert len(names) > 80
    for name in names:
        module, _, attribute = name.rpartition(".")
        with pytest.raises((ImportError, AttributeError)):
            getattr(import_module(module), attribute)
        with pytest.raises(ImportError):
            import_module(name)


def test_nothing_mentions_what_was_renamed(root):
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.ipynb", "*.cff", "Makefile"],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    if not tracked:
        pytest.skip("this is no git checkout")
    names = "|".join(map(re.escape, renamed(root)))
    gone = re.compile(rf"(?<![\w.])(?:{names})(?!\w)")
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in tracked
        if path != "CHANGELOG.md" and (root / path).exists()
        for number, line in enumerate((root / path).read_text("utf-8").splitlines(), 1)
        if gone.search(line)
    ]
    assert not found
