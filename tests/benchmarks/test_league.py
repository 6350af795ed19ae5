"""The league's book-keeping, by hand, and one real peer on simulated workers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from hpo.simulation import CurveTable

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
PYTHONS = {"peers": sys.executable, "dehb": sys.executable}


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_on_path():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def runs():
    return importlib.import_module("_league_runs")


def task(n_rows: int = 60, n_units: int = 16, seed: int = 0):
    rng = np.random.default_rng(seed)
    level = rng.uniform(0, 1, (n_rows, 1))
    losses = level + 1 / np.arange(1, n_units + 1) + rng.normal(0, 0.02, (n_rows, n_units))
    configs = tuple({"lr": float(10 ** (-4 * x)), "width": float(x % 0.1)} for x in level[:, 0])
    make_task = importlib.import_module("_curve_tables").make_task
    return make_task("t", CurveTable(configs, losses, rng.uniform(0.5, 2.0, n_rows)))


def four_rows():
    """Four rows of two units: the first looks best early, the third is best in the end."""
    losses = np.array([[0.1, 0.6], [0.5, 0.5], [0.9, 0.4], [0.9, 0.9]])
    make_task = importlib.import_module("_curve_tables").make_task
    return make_task("four", CurveTable(tuple({"x": i} for i in range(4)), losses))


def test_a_log_is_read_by_the_rule_of_our_summaries(runs):
    table, log = four_rows(), runs.Log()
    log.add(2, range(1, 3), 0.0, 4.0)  # epochs end at 2 and 4
    log.add(0, range(1, 2), 0.0, 1.0)
    log.add(1, range(1, 3), 1.0, 9.0)  # at 5 and 9
    read = [log.read(table, budget) for budget in range(6)]
    regret = {row: table.regret(table.table.losses[row, -1]) for row in range(4)}
    # Nothing, so the worst; row 0 (lowest last loss) twice; then row 2, the only one trained to the
    # end; and row 1 is complete at last, but no better.
    expected = [regret[3], regret[0], regret[0], regret[2], regret[2], regret[2]]
    assert [value for value, _ in read] == expected
    assert [time for _, time in read] == [0.0, 1.0, 2.0, 4.0, 5.0, 9.0]


@pytest.mark.parametrize("name", ["hyperband", "hyperband-points", "asha"])
def test_our_runs_agree_with_those_of_the_comparison_of_schedulers(runs, name):
    methods, curves = (importlib.import_module(f"_curve_{name}") for name in ("methods", "runs"))
    entry, one = runs.ENTRIES[name], task()
    method = methods.Method(name, entry.build)
    known = curves.measure(one, method, seed=3)
    log = runs.our_log(entry.build(one.table, 3), one, 3, n_workers=1)
    assert len(log.epochs) == known.epochs
    assert log.read(one, known.epochs)[0] == known.regret


def test_swift_asha_is_run_for_every_share(runs, tmp_path):
    one = task()
    result = runs.run("swift-asha", one, 0, 1, PYTHONS)
    assert all(
        spent <= budget for spent, budget in zip(result.epochs, runs.budgets(one), strict=True)
    )
    assert result.epochs == sorted(result.epochs)
    assert result.epochs[-1] > 2 * result.epochs[0]


@pytest.fixture
def optuna(runs):
    pytest.importorskip("optuna", reason="the only peer that may be in this environment")
    agent = runs.Agent("optuna", sys.executable)
    yield agent
    agent.close()


def test_a_peer_trains_every_row_once_from_its_first_unit_on(runs, optuna):
    one = task()
    logs = [runs.peer_log(optuna, one, 1, n_workers) for n_workers in (1, 1, 4)]
    assert logs[0].epochs == logs[1].epochs  # the same seed in the same process
    for log in logs:
        assert len(log.epochs) >= runs.budgets(one)[-1]
        assert len({(row, unit) for _, row, unit in log.epochs}) == len(log.epochs)
        for row in {row for _, row, _ in log.epochs}:
            units = [unit for _, each, unit in log.epochs if each == row]
            assert units == list(range(1, len(units) + 1))
    whole = runs.budgets(one)[-1]
    assert logs[2].read(one, whole)[1] < 0.5 * logs[0].read(one, whole)[1]
    alone = [end for end, _, _ in logs[0].epochs]
    assert alone == sorted(alone)


def test_a_peer_starts_no_more_trials_once_the_rows_are_used_up(runs, optuna):
    log = runs.peer_log(optuna, four_rows(), 0, n_workers=2)
    assert {row for _, row, _ in log.epochs} == {0, 1, 2, 3}
    assert len(log.epochs) <= 8


def test_a_peer_that_fails_says_what_went_wrong(runs, optuna):
    with pytest.raises(
        RuntimeError, match=r"(?s)process of optuna has ended after 'ask'.*op must be"
    ):
        optuna.call("ask")


def test_a_peer_that_is_not_installed_is_left_out_by_name(capsys):
    league = importlib.import_module("league")
    args = type("Args", (), {"methods": ["dehb"], "peers_python": "x", "dehb_python": "/no/python"})
    assert league.present(args) == {}
    assert "DEHB: not installed in /no/python" in capsys.readouterr().out


def results(runs, *regrets):
    """One seed of each table, the same regret at every share."""
    return [[runs.Result([r] * 3, [1.0] * 3, [5] * 3)] for r in regrets]


def test_ratios_are_paired_and_the_check_names_who_is_ahead(runs, capsys):
    league, harness = importlib.import_module("league"), importlib.import_module("_harness")
    found = {
        (1, "hyperband"): results(runs, 0.2, 0.4),
        (1, "swift-asha"): results(runs, 0.1, 0.2),
        (1, "dehb"): results(runs, 0.3, 0.1),
        (1, "optuna"): results(runs, 0.0, 0.2),
    }
    rows = {cell: league.summed_up(found, cell) for cell in found}
    values, errors = rows[1, "dehb"].ratios()
    np.testing.assert_allclose(values, 0.4 / 0.6)
    # Without one table or the other: 0.1 / 0.4 and 0.3 / 0.2.
    np.testing.assert_allclose(errors, (1.5 - 0.25) / 2)
    expected = np.exp(np.mean(np.log([0.32 / 0.22, 0.14 / 0.44])))
    np.testing.assert_allclose(rows[1, "dehb"].log_means(), expected)
    thresholds = harness.Thresholds()
    league.check(thresholds, rows)
    assert len(thresholds.failures) == 1
    assert "optuna's, 0.33" in thresholds.failures[0]
    _, lines = league.by_table(rows, [four_rows(), four_rows()], 1)
    assert lines[0][2:] == ["0.2000", "0.1000", "0.3000", "**0.0000**"]
    assert lines[1][2:] == ["0.4000", "0.2000", "**0.1000**", "0.2000"]


def test_a_regret_beyond_the_median_row_counts_as_one(runs):
    league = importlib.import_module("league")
    found = {(1, "hyperband"): results(runs, 0.5, 0.5), (1, "dehb"): results(runs, 1e17, 0.0)}
    values, _ = league.summed_up(found, (1, "dehb")).ratios()
    np.testing.assert_allclose(values, 1.0)
