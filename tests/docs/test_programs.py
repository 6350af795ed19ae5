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


QUICK_START = ROOT / "docs" / "start" / "quickstart.md"


def programs(path: Path) -> list[tuple[str, str]]:
    """Return the Python blocks of a page, each with what it needs and a test has not.

    A line ``% needs: ...`` right above a block names that: an account, a device, a cluster. A line
    ``% file: NAME`` above both says that the block is a whole file, which must be importable.
    """
    text = path.read_text("utf-8")
    pattern = r"^(?:% file: [^\n]*\n)?(?:% needs: ([^\n]*)\n)?```python\n(.*?)^```$"
    found = re.finditer(pattern, text, re.DOTALL | re.MULTILINE)
    return [(match[2], match[1] or "") for match in found]


def run(source: str, name: str, before: dict | None = None) -> dict:
    """Run a program, after those that have left the variables `before`, and return its own."""
    variables = {"__name__": "program"} if before is None else before
    exec(compile(source, name, "exec"), variables)
    return variables


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != QUICK_START and programs(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_the_programs_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    """As a reader runs them: a program may use what those above it have made."""
    monkeypatch.chdir(tmp_path)
    variables: dict = {}
    n_run, missing = 0, []
    for number, (source, needs) in enumerate(programs(page)):
        if needs:
            missing.append(needs)
            continue
        if "import torch" in source:
            pytest.importorskip("torch")
        variables = run(source, f"{page.stem}, program {number}", {**variables, "__name__": "page"})
        n_run += 1
    if not n_run:
        pytest.skip(f"needs {', '.join(missing)}")


@pytest.fixture(scope="module")
def quick_start() -> list[str]:
    return [source for source, _ in programs(QUICK_START)]


def test_the_quick_start_has_four_programs(quick_start):
    assert len(quick_start) == 4


def test_the_second_scores_as_svr_does(quick_start, capsys):
    model = run(quick_start[1], "quickstart.md")["model"]
    assert model[-1].normalize_y
    assert float(capsys.readouterr().out) > 0.4


def test_the_first_explains_a_third_of_the_variance(quick_start):
    """The mean, the trivial predictor, explains nothing."""
    found = run(quick_start[0], "quickstart.md")
    model = found["model"]
    assert model.score(found["X_test"], found["y_test"]) > 0.3
    assert 0.5 < (abs(found["y_test"] - found["prediction"]) < found["std"]).mean() < 0.85


def test_the_third_explains_two_fifths_of_the_variance(quick_start):
    found = run(quick_start[2], "quickstart.md")
    assert found["model"].oob_score_ > 0.4
    assert found["model"].estimators_[0].sampler_report().p_value < 0.01


@pytest.mark.slow
def test_the_fourth_beats_the_mean_by_a_quarter(quick_start):
    """The mean has the variance of the targets as its error."""
    found = run(quick_start[3], "quickstart.md")
    variance = found["y_test"].var()
    plain, swift = found["found"]["hyperband"], found["found"]["swift-hyperband"]
    assert swift.best.last_loss < 0.75 * variance
    assert swift.epochs < plain.epochs
    assert swift.best.last_loss <= 1.05 * plain.best.last_loss
    swift_asha = found["found"]["swift-asha"]
    assert swift_asha.best.last_loss < 0.75 * variance
    assert swift_asha.epochs < 0.5 * plain.epochs
