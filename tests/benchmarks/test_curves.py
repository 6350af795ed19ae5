"""The book-keeping of the curve benchmarks, on tables small enough to work out by hand."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpo.schedulers import ASHA, Hyperband
from hpo.simulation import CurveTable, TableSearcher, simulate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _benchmarks_on_path():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def module(name: str):
    return importlib.import_module(name)


def table(n_rows: int = 60, n_units: int = 16, seed: int = 0) -> CurveTable:
    rng = np.random.default_rng(seed)
    level = rng.uniform(0, 1, (n_rows, 1))
    losses = level + 1 / np.arange(1, n_units + 1) + rng.normal(0, 0.02, (n_rows, n_units))
    configs = tuple({"lr": float(10 ** (-4 * x)), "kind": "ab"[int(x > 0.5)]} for x in level[:, 0])
    return CurveTable(configs, losses)


def run(epochs, regret, trained, measured):
    kind = module("_curve_runs").Run
    curves = {"trained": trained, "measured": measured}
    return kind(epochs, regret, complete=True, seconds=0.1, **curves)


@pytest.mark.parametrize(("rows", "units", "step"), [(163, 100, 1), (128, 100, 2), (43, 51, 2)])
def test_units_are_thinned_until_the_rows_suffice(rows, units, step):
    tables = module("_curve_tables")
    losses = np.tile(np.arange(units, dtype=float), (rows, 1))
    kept = tables.thinned(CurveTable(tuple({"x": i} for i in range(rows)), losses)).losses
    np.testing.assert_array_equal(kept, losses[:, ::-1][:, ::step][:, ::-1])
    assert kept[0, -1] == units - 1


def test_regret_is_zero_at_the_best_and_one_at_the_median():
    task = module("_curve_tables").make_task("t", table())
    final = task.table.losses[:, -1]
    assert task.regret(final.min()) == 0
    assert task.regret(float(np.median(final))) == 1


def test_features_are_scaled_logarithms_and_indicators():
    points = module("_curve_tables").features(table())
    assert points.shape == (60, 3)  # lr, kind a, kind b
    assert points.min() == 0
    assert points.max() == 1
    exponents = np.sort(points[:, 0])
    levels = np.log([config["lr"] for config in table().configs])
    expected = (levels - levels.min()) / np.ptp(levels)
    np.testing.assert_allclose(exponents, np.sort(expected))


def test_measured_run_agrees_with_the_simulation():
    methods, runs = module("_curve_methods"), module("_curve_runs")
    task = module("_curve_tables").make_task("t", table())
    measured = runs.measure(task, methods.METHODS["hyperband"], seed=3)
    result = simulate(lambda s: Hyperband(s, max_resource=16), task.table, seed=3)
    assert measured.epochs == result.summary.epochs == task.epochs
    assert measured.regret == task.regret(result.summary.best.last_loss)
    assert measured.trained[-1][1] == measured.regret
    regrets = [regret for _, regret in measured.trained]
    assert regrets == sorted(regrets, reverse=True)


def test_reach_is_the_first_time_that_the_mean_regret_is_low_enough():
    stats = module("_curve_stats")
    reference = [run(100, 0.4, [(100, 0.4)], [(1, 0.5)]), run(100, 0.2, [(50, 0.2)], [(1, 0.2)])]
    ours = [run(50, 0.3, [(10, 0.5), (30, 0.3)], [(5, 0.3)]), run(25, 0.1, [(20, 0.1)], [(7, 0.3)])]
    found = stats.on_table(ours, reference)
    assert found.epochs == 0.375
    assert found.ratio == pytest.approx(0.2 / 0.3)
    assert found.reach == 0.2  # (0.5 + 0.1) / 2 is Hyperband's 0.3
    assert found.reach_measured == 0.07
    assert stats.on_table(reference, reference).reach == 1.0


def test_standing_gives_both_readings_of_the_regret_ratio():
    stats = module("_curve_stats")

    def on_table(regret, reference):
        return stats.OnTable(20, 0.5, regret, reference, 0.2, np.inf, 0, 0.0)

    found = stats.standing([on_table(0.1, 0.2), on_table(0.3, 0.1), on_table(0.2, 0.2)])
    assert found.regret.value == pytest.approx(0.6 / 0.5)
    assert found.regret_mean.value == pytest.approx((0.5 + 3 + 1) / 3)
    assert (found.better, found.equal, found.worse) == (1, 1, 1)
    assert found.regret_mean.error > 0
    assert found.reach == 0.2
    assert found.reach_measured == np.inf


def test_runs_come_from_the_cache(tmp_path):
    runs = module("_curve_runs")
    task = module("_curve_tables").make_task("t", table())
    cache = runs.Cache(tmp_path)
    first = runs.run_all(["hyperband", "top"], [task], 2, cache, 1)
    assert len(list(tmp_path.rglob("*.json"))) == 4
    marked = run(1, 0.5, [[1, 0.5]], [[1, 0.5]])
    cache.put("top", task, 1, marked)
    again = runs.run_all(["hyperband", "top"], [task], 2, cache, 1)
    assert again["top", "t", 1] == marked
    assert again["top", "t", 0].regret == first["top", "t", 0].regret
    fresh = runs.run_all(["top"], [task], 2, runs.Cache(tmp_path, frozenset({"top"})), 1)
    assert fresh["top", "t", 1].regret == first["top", "t", 1].regret


def test_version_depends_on_what_a_method_closes_over():
    methods, runs = module("_curve_methods"), module("_curve_runs")
    code = {runs.code_of(methods.named("asha", n_trials=n)) for n in (1, 2, 2)}
    assert len(code) == 2


def test_budget_ends_a_search():
    baselines = module("_curve_baselines")
    result = simulate(
        lambda s: baselines.Budgeted(ASHA(s, max_resource=16, n_trials=60), 60), table()
    )
    assert 60 <= result.summary.epochs < 60 + 16


def test_top_after_one_epoch_spends_what_it_says():
    baselines = module("_curve_baselines")
    result = simulate(lambda s: baselines.top_after_one_epoch(s, 16), table())
    n_trials = baselines.n_configurations(16)
    assert result.summary.epochs == n_trials + 4 * 15
    order = TableSearcher(table(), 0).order[:n_trials]
    best = np.argsort(table().losses[list(order), 0])[:4]
    finished = [t.trial_id for t in result.summary.trials if len(t.losses) == 16]
    assert sorted(finished) == sorted(best)


def test_tpe_tries_no_row_twice_and_repeats_itself():
    pytest.importorskip("optuna", reason="the BOHB-style baseline needs Optuna")
    methods, runs = module("_curve_methods"), module("_curve_runs")
    task = module("_curve_tables").make_task("t", table())
    found = []
    for _ in range(2):
        setup = methods.METHODS["bohb"].build(task.table, 1)
        trace = runs.Trace(task, setup)
        runner = runs.SimulatedRunner(task.table, setup.searcher.row_of)
        runs.drive(setup.scheduler, runner, trace)
        found.append(tuple(trace.rows.values()))
    assert found[0] == found[1]
    assert len(set(found[0])) == len(found[0]) == len(setup.scheduler.summary().trials)
    assert list(found[0]) != list(TableSearcher(task.table, 1).order[: len(found[0])])


def test_barrier_waits_for_the_slowest_of_a_wave():
    wallclock, methods = module("wallclock"), module("_curve_methods")
    losses = np.array([[0.1], [0.2], [0.3], [0.4]])
    four = CurveTable(tuple({"x": i} for i in range(4)), losses)
    searcher = TableSearcher(four, order=[0, 1, 2, 3])
    makespans = []
    for kind in (wallclock.BarrierRunner, wallclock.SimulatedRunner):
        scheduler = methods.make_scheduler("random-search", searcher, max_resource=1, n_trials=4)
        runner = kind(four, searcher.row_of, n_workers=2, epoch_times=[3.0, 1.0, 1.0, 1.0])
        wallclock.drive(scheduler, runner)
        makespans.append(runner.now)
    assert makespans == [4.0, 3.0]


def test_no_more_work_is_possible_than_every_row_trained_all_the_time():
    """Two rows for four workers, one of which is through after half of the search."""
    wallclock, tables = module("wallclock"), module("_curve_tables")
    methods = module("_curve_methods")
    losses = np.array([[0.2, 0.1], [0.4, 0.3]])
    two = CurveTable(({"x": 0}, {"x": 1}), losses, np.array([1.0, 3.0]))
    task = tables.Task("two", two, "", 0.1, 0.2, 4)
    build = methods.named("random-search", n_trials=2)
    form = methods.Form("all", build)
    timing = wallclock.measure(task, form, 0, 4)
    np.testing.assert_allclose(timing.makespan, 3.0)  # times have mean 1: 0.5 and 1.5
    np.testing.assert_allclose([timing.utilisation, timing.possible], (1.0 + 3.0) / (4 * 3.0))


def test_the_check_names_the_figure_that_misses_its_threshold(capsys):
    wallclock, harness = module("wallclock"), module("_harness")
    good = wallclock.Row(9.0, 0.1, 0.4, 2.0, 0.9, 0.95, 0.92, 1.0)
    rows = {(50, "swift-asha"): good, (200, "swift-asha"): replace(good, side_by_side=0.6)}
    thresholds = harness.Thresholds()
    wallclock.check(thresholds, rows)
    with pytest.raises(SystemExit):
        thresholds.finish(check=True)
    missed = [line for line in capsys.readouterr().out.splitlines() if "MISSED  " in line]
    assert len(missed) == 1
    assert "200 workers: makespan 0.60 of work-conserving Hyperband's" in missed[0]
    assert "side by side" in missed[0]


def test_report_goes_between_its_marks_only(tmp_path):
    report = module("_curve_report")
    page = tmp_path / "page.md"
    page.write_text(f"head\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\ntail\n")
    report.put_into(page, "new")
    assert page.read_text() == f"head\n{report.MARKS[0]}\nnew\n{report.MARKS[1]}\ntail\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="must contain"):
        report.put_into(page, "new")
