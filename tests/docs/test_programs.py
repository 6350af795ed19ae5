"""The programs in README and in the documentation run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GENERATED = ("api", "notebooks", "_build")
PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if path.relative_to(ROOT / "docs").parts[0] not in GENERATED
    ),
]


def programs(path: Path) -> list[tuple[str, str]]:
    """Return the Python blocks of a page, each with what it needs and a test has not.

    A line ``% needs: ...`` right above a block names that: an account, a device, a cluster. A line
    ``% file: NAME`` above both says that the block is a whole file, which must be importable.
    """
    text = path.read_text("utf-8")
    found = re.finditer(
        r"^(?:% file: [^\n]*\n)?(?:% needs: ([^\n]*)\n)?```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    return [(match[2], match[1] or "") for match in found]


def run(source: str, name: str) -> dict:
    """Run a program and return its variables."""
    variables = {"__name__": "program"}
    exec(compile(source, name, "exec"), variables)
    return variables


BLOCKS = [
    pytest.param(
        source,
        id=f"{path.stem}-{number}",
        marks=[pytest.mark.skip(reason=f"needs {needs}")] if needs else [],
    )
    for path in PAGES
    for number, (source, needs) in enumerate(programs(path))
    if "## Three programs" not in path.read_text("utf-8")
]


@pytest.mark.parametrize("source", BLOCKS)
def test_a_block_of_the_documentation_runs(source):
    if "import torch" in source:
        pytest.importorskip("torch")
    run(source, "documentation")


@pytest.fixture(scope="module")
def gallery() -> list[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    section = text[text.index("## Three programs") : text.index("## Test\n")]
    return re.findall(r"^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def test_other_programs_of_the_readme_run(gallery):
    others = [each for each, _ in programs(ROOT / "README.md") if each not in gallery]
    assert len(others) >= 2
    for source in others:
        run(source, "README.md")


def test_there_are_three_programs(gallery):
    assert len(gallery) == 3


def test_the_first_explains_a_third_of_the_variance(gallery):
    """The mean, the trivial predictor, explains nothing."""
    found = run(gallery[0], "README.md")
    model = found["model"]
    assert model.score(found["X_test"], found["y_test"]) > 0.3
    assert 0.5 < (abs(found["y_test"] - found["prediction"]) < found["std"]).mean() < 0.85


def test_the_second_explains_two_fifths_of_the_variance(gallery):
    found = run(gallery[1], "README.md")
    assert found["model"].oob_score_ > 0.4
    assert found["report"].p_value < 0.01


@pytest.mark.slow
def test_the_third_beats_the_mean_by_a_quarter(gallery):
    """The mean has the variance of the targets as its error."""
    found = run(gallery[2], "README.md")
    variance = found["y_test"].var()
    plain, swift = found["found"]["hyperband"], found["found"]["swift-hyperband"]
    assert swift.best.last_loss < 0.75 * variance
    assert swift.epochs < plain.epochs
    assert swift.best.last_loss <= 1.05 * plain.best.last_loss
    swift_asha = found["found"]["swift-asha"]
    assert swift_asha.best.last_loss < 0.75 * variance
    assert swift_asha.epochs < 0.5 * plain.epochs
