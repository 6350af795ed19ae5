"""The least resource is that of the run, of what it is compared with, and of its report."""

from __future__ import annotations

import pytest

from hpo import Tuner
from hpo.brackets import hyperband_epochs
from hpo.errors import UsageError
from hpo.report import read_run
from hpo.report.content import content
from hpo.simulation import synthetic_table
from hpo.simulation.compare import Setting, simulate_all


def test_of_a_run_and_its_report(workshop) -> None:
    workshop.slow(0.0)
    spec = workshop.spec(scheduler_options={"min_resource": 3})
    results = Tuner.from_spec(spec, journal=workshop.journal).run()
    assert results.baseline.epochs == results.epochs == hyperband_epochs(9, 3, 3) == 33
    assert min(len(trial.losses) for trial in results.trials) == 3
    page = content(read_run(workshop.journal))
    rungs = [[rung["resource"] for rung in bracket["rungs"]] for bracket in page["brackets"]]
    assert rungs == [[3, 9], [9]]
    swift = {"min_resource": 3, "min_curves": 2}
    saving = workshop.spec(scheduler="swift-hyperband", scheduler_options=swift)
    results = Tuner.from_spec(saving).run()
    assert results.epochs + results.saved == results.baseline.epochs


def test_command_line(workshop) -> None:
    workshop.slow(0.0)
    done = workshop.cli(*workshop.run_args(), "--min-resource", "3", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "Epochs: 33; plain Hyperband takes 33" in done.stdout
    bad = workshop.cli(*workshop.run_args(journal="other.jsonl"), "--min-resource", "10")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "min_resource must lie in 1..9 (max_resource), got 10" in bad.stderr


@pytest.mark.parametrize("name", ["hyperband", "random-search"])
def test_in_the_simulator(tmp_path, name) -> None:
    """Random search has as many trials as Hyperband's epochs allow, with the same least one."""
    table = tmp_path / "table.csv"
    curves = synthetic_table(30, 9, seed=0).losses
    rows = [f"{place}," + ",".join(map(str, row)) for place, row in enumerate(curves)]
    table.write_text("x," + ",".join(f"loss_{unit}" for unit in range(9)) + "\n" + "\n".join(rows))
    setting = Setting([name], "last-value", None, 3, 1, 2, {}, min_resource=3)
    (result,) = simulate_all(table, setting)[name]
    assert result.summary.epochs == (33 if name == "hyperband" else 27)
    with pytest.raises(UsageError, match=r"min_resource must lie in 1\.\.9"):
        simulate_all(table, Setting([name], "last-value", None, 3, 1, 2, {}, min_resource=99))
