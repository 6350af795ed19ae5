"""What a release is made of: one version, extras that exist, files that tools of others read."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import qsvr
from qsvr import _text
from waiting import wait_until

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]


def test_there_is_one_version():
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "qsvr/__init__.py"
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version: {qsvr.__version__}\n" in citation
    assert f"license: {PYPROJECT['project']['license']}\n" in citation


def test_the_command_line_has_the_version_of_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "hpo", "--version"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"hpo {qsvr.__version__}\n"


def names(extra: str) -> set[str]:
    """Return the distributions of an extra, and those of the extras that it contains."""
    found = set()
    for each in EXTRAS[extra]:
        if match := re.fullmatch(r"qsvr\[(.*)\]", each):
            found |= set().union(*(names(inner) for inner in match[1].split(",")))
        else:
            found.add(re.match(r"[\w.-]+", each)[0])
    return found


def test_the_extra_all_holds_every_extra_of_users_but_mpi():
    developers = {"test", "lint", "dev", "docs", "browser"}
    users = set(EXTRAS) - developers - {"all", "mpi"}
    assert names("all") == set().union(*(names(extra) for extra in users))
    assert names("test") | names("lint") <= names("dev")
    assert not names("all") & names("lint")


def test_every_direct_requirement_has_a_constraint():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    core = {re.match(r"[\w.-]+", each)[0] for each in PYPROJECT["project"]["dependencies"]}
    needed = core | names("dev") | names("all") | names("docs")
    missing = {each.lower() for each in needed} - pinned
    assert not missing


def test_the_lowest_versions_are_those_of_the_requirements():
    lines = (ROOT / "constraints-min.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line)
    for each in (*PYPROJECT["project"]["dependencies"], *EXTRAS["test"]):
        name, _, least = each.partition(">=")
        numbers = [tuple(map(int, text.split("."))) for text in (pinned[name], least)]
        assert numbers[0][: len(numbers[1])] == numbers[1], each


def test_every_hint_of_a_message_names_an_extra(monkeypatch):
    found = set()
    for package in ("qsvr", "hpo"):
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text("utf-8")
            found |= set(re.findall(r"install_hint\([\"'](\w+)[\"']\)", text))
            found |= set(re.findall(r"import_optional\([^()]*\"(\w+)\"\)", text))
            assert "install 'qsvr[" not in text
    assert {"torch", "dask", "optuna", "plot"} <= found <= set(EXTRAS)
    assert _text.install_hint("mpi") == 'pip install ".[mpi]" (in a clone of the repository)'
    monkeypatch.setattr(_text, "ON_AN_INDEX", True)
    assert _text.install_hint("mpi") == 'pip install "qsvr[mpi]"'


def test_the_installer_counts_packages_and_shows_what_pip_said_if_it_fails(load, tmp_path):
    install = load(ROOT / "tools" / "install.py")
    progress = install.Progress()
    for line, shown in (
        ("Collecting numpy>=2.0 (from qsvr)", "package 1: numpy>=2.0"),
        ("  Downloading numpy-2.4.6-cp311.whl (16.9 MB)", "package 1: numpy (16.9 MB)"),
        ("Collecting scipy", "package 2: scipy"),
        ("  Using cached scipy-1.17.whl.metadata (60 kB)", "package 2: scipy (60 kB)"),
        ("Installing collected packages: numpy, scipy", "unpacking: 0 of 2 packages"),
    ):
        progress.read(line)
        assert str(progress) == shown
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "install.py"), "--no-index", "no-such-package"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout.startswith("Installing no-such-package into ")
    assert "No matching distribution found for no-such-package" in done.stderr


def test_a_demo_is_not_silent_for_long(load, monkeypatch):
    steps = load(ROOT / "examples" / "_steps.py")
    monkeypatch.setattr(steps, "SILENCE", 0.1)
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    with steps.steps() as demo:
        demo.announce("Waiting: for nothing", "about 2 s")
        wait_until(lambda: "still" in output.getvalue(), "a sign of life")
    assert sys.stdout is output
    assert output.getvalue().startswith(
        "Waiting: for nothing (about 2 s)\n  still running: Waiting, "
    )


def test_the_rules_of_prose_find_what_they_forbid(load, tmp_path):
    prose = load(ROOT / "tools" / "prose.py")
    page = tmp_path / "page.md"
    page.write_text(
        "A search that is\ntold more, of `whoever`.\n\n```console\n$ whoever\n```\n\n"
        "| whoever | x |\n"
    )
    found = [
        (line, words)
        for piece in prose.pieces(page)
        for line, words, _ in prose.findings(piece, prose.RULES)
    ]
    assert found == [(1, "is told"), (8, "whoever")]
    module = tmp_path / "module.py"
    module.write_text('"""Docstring.\n\nOf no use whoever reads it.\n"""\nx = "of itself"\n')
    assert [piece.text for piece in prose.pieces(module)] == [
        "Docstring.\n\nOf no use whoever reads it.\n"
    ]
    assert [line for line, *_ in prose.findings(next(prose.pieces(module)), prose.RULES)] == [3]


def test_the_recipe_has_the_version_and_the_requirements():
    path = ROOT / "recipe" / "meta.yaml"
    if not path.exists():
        pytest.skip("the recipe is not part of the sdist")
    recipe = path.read_text("utf-8")
    assert f'{{% set version = "{qsvr.__version__}" %}}' in recipe
    run = recipe.partition("  run:\n")[2].partition("\ntest:")[0]
    listed = set(re.findall(r"- (\S+) >=(\S+)", run)) - {("python", "3.11")}
    assert listed == {tuple(each.split(">=")) for each in PYPROJECT["project"]["dependencies"]}


@pytest.mark.parametrize("name", ["tests", "docs", "release"])
def test_a_workflow_runs_what_there_is(name):
    yaml = pytest.importorskip("yaml")
    path = ROOT / ".github" / "workflows" / f"{name}.yml"
    if not path.exists():
        pytest.skip("the workflows are not part of the sdist")
    flow = yaml.safe_load(path.read_text("utf-8"))
    assert flow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for job in flow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            command = step.get("run", "")
            assert ("uses" in step) != bool(command)
            assert set(re.findall(r"make ([\w-]+)", command)) <= targets
            for file in re.findall(r"tests/[\w/.]+|constraints[\w-]*\.txt", command):
                assert (ROOT / file).exists(), file
            for extras in re.findall(r'"\.\[(.*?)\]"', command):
                assert set(extras.split(",")) <= set(EXTRAS)


def test_the_tested_pythons_are_those_of_the_classifiers():
    yaml = pytest.importorskip("yaml")
    path = ROOT / ".github" / "workflows" / "tests.yml"
    if not path.exists():
        pytest.skip("the workflows are not part of the sdist")
    matrix = yaml.safe_load(path.read_text("utf-8"))["jobs"]["matrix"]["strategy"]["matrix"]
    claimed = re.findall(r"Python :: (3\.\d+)", " ".join(PYPROJECT["project"]["classifiers"]))
    assert matrix["python"] == claimed
