"""Every benchmark that a page names exists, with the options that the page gives it."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"python (benchmarks/\w+\.py)((?: *(?:\\\n)? *[\w.,/*-]+)*)")
SHARED = ("_harness", "_hpo_common", "_curve_report")


def commands() -> list[tuple[str, str, str]]:
    """Return page, benchmark and options of each command in the documentation."""
    found = []
    for page in PAGES:
        for script, options in COMMAND.findall(page.read_text("utf-8")):
            found.append((page.name, script, options))
    return found


def options_of(script: Path) -> set[str]:
    """Return the options that a benchmark adds itself or by the modules that it shares."""
    text = script.read_text("utf-8")
    shared = [BENCHMARKS / f"{name}.py" for name in SHARED if f"from {name} import" in text]
    return set(re.findall(r'"(--[\w-]+)"', text + "".join(each.read_text() for each in shared)))


def test_the_documentation_names_benchmarks():
    assert len({script for _, script, _ in commands()}) > 20


@pytest.mark.parametrize(("page", "script", "options"), commands())
def test_a_command_names_a_benchmark_and_its_options(page, script, options):
    path = ROOT / script
    assert path.exists(), f"{page} names {script}"
    unknown = set(re.findall(r"--[\w-]+", options)) - options_of(path)
    assert not unknown, f"{page}: {script} has no {unknown}"


def test_the_pages_have_the_marks_that_benchmarks_write_between(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    try:
        report = import_module("_curve_report")
        marks = {report.MARKS: report.PAGE, report.WALLCLOCK_MARKS: report.APPENDIX}
        for name in ("recorded", "forecasts", "league", "stopping"):
            text = (BENCHMARKS / f"{name}.py").read_text("utf-8")
            marks[tuple(re.findall(r"<!-- \w+: \w+ -->", text))] = report.APPENDIX
        for pair, page in marks.items():
            copy = tmp_path / "page.md"
            copy.write_text((ROOT / page).read_text("utf-8"), "utf-8")
            report.put_into(copy, "the new table", pair)
            assert f"{pair[0]}\nthe new table\n{pair[1]}" in copy.read_text("utf-8")
    finally:
        for name in [each for each in sys.modules if each.startswith("_curve")]:
            del sys.modules[name]
