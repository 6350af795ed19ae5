"""Every notebook runs from its first cell to its last, and is what its source says."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason='notebooks need: pip install ".[notebooks]"')
pytest.importorskip("nbclient", reason='notebooks need: pip install ".[notebooks]"')
nbformat = pytest.importorskip("nbformat", reason='notebooks need: pip install ".[notebooks]"')

FOLDER = Path(__file__).parents[2] / "notebooks"
SOURCES = sorted(FOLDER.glob("[0-9]*.py"))


def _render():
    spec = spec_from_file_location("notebooks_render", FOLDER / "render.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_seven_notebooks():
    assert len(SOURCES) == 7


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_notebook_is_that_of_its_source(source):
    expected = [(cell.cell_type, cell.source) for cell in jupytext.read(source).cells]
    found = jupytext.read(source.with_suffix(".ipynb"))
    assert [(cell.cell_type, cell.source) for cell in found.cells] == expected, (
        f"render it again: python notebooks/render.py {source.stem[:2]}"
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_committed_output_is_whole_and_has_figures(source):
    cells = [c for c in jupytext.read(source.with_suffix(".ipynb")).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    warned = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not warned
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 2
    assert all(cell.execution_count for cell in cells)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_first_cell_says_what_one_learns_and_against_what_it_is_measured(source):
    first = jupytext.read(source).cells[0].source
    assert first.startswith("# ")
    for part in ("**You will learn**", "**For**", "**Time:**", "**Baseline"):
        assert part in first


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_links_lead_somewhere(source):
    text = "\n".join(c.source for c in jupytext.read(source).cells if c.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    dead = [each for each in targets if "://" not in each and not (FOLDER / each).exists()]
    assert targets
    assert not dead


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_figure_has_a_description(source):
    cells = [c for c in jupytext.read(source.with_suffix(".ipynb")).cells if c.cell_type == "code"]
    drawn = [c for c in cells if any("image/png" in o.get("data", {}) for o in c.outputs)]
    for cell in drawn:
        assert len(cell.metadata["mystnb"]["image"]["alt"]) > 40


FORGET = """
for _ in [each for each in globals() if each[0] != "_"]:
    if _ not in ("In", "Out", "exit", "get_ipython", "open", "quit"):
        del globals()[_]
"""


@pytest.fixture(scope="module")
def executed():
    """Return the executed code cells of each source.

    One kernel runs all of them, since what they import takes seconds; none sees the names of
    another.
    """
    code = {
        source: [cell for cell in jupytext.read(source).cells if cell.cell_type == "code"]
        for source in SOURCES
    }
    whole = nbformat.v4.new_notebook()
    for cells in code.values():
        whole.cells += [*cells, nbformat.v4.new_code_cell(FORGET)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOTEBOOK_QUICK", "1")
        patch.delenv("MLPF_TABLE", raising=False)
        patch.delenv("QSVR_USE_LEAP", raising=False)
        _render().execute(whole, allow_errors=True)
    return code


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.skipif(sys.platform == "win32", reason="kernels are reached through local sockets")
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_it_runs(source, executed):
    code = executed[source]
    failed = [each for cell in code for each in cell.outputs if each.output_type == "error"]
    assert not failed, "\n".join(failed[0].traceback)
    assert all(cell.execution_count for cell in code)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
