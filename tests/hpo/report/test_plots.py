"""Figures with Matplotlib: what is drawn, where, and that it can be read."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from hpo import RandomSearcher, SearchSpace, Tuner, make_scheduler
from hpo.errors import UsageError
from hpo.report import read_run
from hpo.report.axes import axes_of
from hpo.report.content import content
from hpo.report.importance import importance
from hpo.report.plots import (
    FATES,
    fates,
    plot_best,
    plot_budget,
    plot_curves,
    plot_importance,
    plot_intermediate_values,
    plot_parallel,
    plot_predictions,
    plot_regret,
    plot_slice,
    plot_timeline,
    save_figures,
)
from hpo.run.history import PHASES
from hpo.run.results import Results
from hpo.trial import Event, SchedulerSummary, TrialStatus, TrialSummary

SPACE = SearchSpace.from_dict(
    {
        "lr": {"type": "float", "low": 1e-5, "high": 1.0, "log": True},
        "width": {"type": "float", "low": 0.001, "high": 1.0},
        "optimizer": ["sgd", "adam"],
        "momentum": {"type": "float", "low": 0.0, "high": 0.9, "when": {"optimizer": "sgd"}},
        "always": {"type": "constant", "value": 3},
    }
)


def accuracy(config, start, stop, checkpoint):
    if config["lr"] > 0.5 and stop > 1:
        raise ValueError("diverged")
    best = 0.9 - 0.05 * (math.log10(config["lr"]) + 3) ** 2
    return [{"accuracy": best - 0.5 / unit} for unit in range(start + 1, stop + 1)]


@pytest.fixture(scope="module")
def results() -> Results:
    scheduler = make_scheduler("hyperband", RandomSearcher(SPACE, seed=1), max_resource=27)
    options = {"executor": "inline", "objective": "accuracy", "mode": "max", "max_retries": 0}
    return Tuner(accuracy, scheduler, **options).run()


def values_of(ax) -> set[float]:
    return {float(y) for line in ax.get_lines() for y in line.get_ydata() if math.isfinite(y)}


def texts_of(ax) -> str:
    found = [text.get_text() for text in ax.texts]
    legend = ax.get_legend()
    return "\n".join(found + ([] if legend is None else [t.get_text() for t in legend.get_texts()]))


def test_a_prediction_that_comes_when_the_last_segment_runs_stops_nothing():
    """Idle workers train ahead of decisions."""
    stopped, completed = TrialStatus.STOPPED, TrialStatus.COMPLETED
    trials = (
        TrialSummary(0, {}, 0, 2, completed, losses=(0.9, 0.5, 0.3, 0.2)),
        TrialSummary(1, {}, 0, 2, stopped, losses=(0.9, 0.8, 0.7, 0.6)),
        TrialSummary(2, {}, 0, 2, stopped, losses=(0.9, 0.8, 0.7)),
        TrialSummary(3, {}, 0, 1, stopped, losses=(0.9, 0.8)),
    )
    decision = Event("decision", 0, 2, 3, kept=(0,), dropped=(1, 2))
    run = Results.of(
        SchedulerSummary(trials, trials[0], 13, (decision,)), [], [], None, finished=True
    )
    assert list(fates(run).values()) == [
        "best",
        "trained to the end",
        "stopped by a prediction",
        "given up for better ones",
    ]


def test_best_so_far_has_two_phases_and_its_value_at_the_end(results) -> None:
    ax = plot_best(results)
    points = results.history()
    lines = {
        line.get_label(): line for line in ax.get_lines() if line.get_label() in PHASES.values()
    }
    assert set(lines) == set(PHASES.values())
    for complete, name in PHASES.items():
        drawn = list(lines[name].get_ydata())
        assert drawn == sorted(drawn)
        assert drawn[-1] == [p.best for p in points if p.complete == complete][-1]
    styles = [lines[name].get_linestyle() for name in PHASES.values()]
    assert styles[0] != styles[1]
    assert f"{results.best.value:.4g}" in texts_of(ax)
    seconds = plot_best(results, against="seconds")
    assert seconds.get_xlabel() == "seconds since the first report"
    with pytest.raises(ValueError, match="'epochs' or 'seconds', got 'hours'"):
        plot_best(results, against="hours")


def test_regret_of_several_runs_names_each_at_the_end_of_its_line(results) -> None:
    ax = plot_regret({"first": results, "second": results})
    assert ax.get_yscale() == "log"
    assert {"first", "second"} <= {text.split("\n")[0] for text in texts_of(ax).split("\n")}
    places = sorted(text.xyann[1] for text in ax.texts if hasattr(text, "xyann"))
    assert places[1] - places[0] > 0.04  # apart, though the lines end at one point
    early = next(line for line in ax.get_lines() if line.get_label() == PHASES[False])
    points = [p for p in results.history() if not p.complete]
    assert early.get_ydata()[0] == pytest.approx(results.best.value - points[0].best)
    assert "0.9" in ax.get_ylabel() or f"{results.best.value:.4g}" in ax.get_ylabel()


def test_the_best_curve_has_the_colour_of_the_legend(results) -> None:
    ax = plot_curves(results, title="t")
    legend = ax.get_legend()
    handles = dict(
        zip((t.get_text() for t in legend.get_texts()), legend.legend_handles, strict=True)
    )
    name = f"best (trial {results.best.trial_id})"
    assert handles[name].get_color() == FATES["best"]
    line = next(line for line in ax.get_lines() if line.get_label() == name)
    assert list(line.get_ydata()) == list(results.best.values)
    assert line.get_zorder() == max(line.get_zorder() for line in ax.get_lines())
    looks = {(h.get_color(), str(h.get_linestyle()), h.get_linewidth()) for h in handles.values()}
    assert len({look[1:] for look in looks}) >= 3  # told apart without colour as well


def test_losses_that_span_decades_get_a_logarithmic_axis_with_few_round_ticks() -> None:
    trials = tuple(
        TrialSummary(n, {"x": n}, 0, 0, TrialStatus.COMPLETED, (10.0**-n * 5, 10.0**-n))
        for n in range(5)
    )
    run = Results.of(SchedulerSummary(trials, trials[4], 10, ()), [], [], None, finished=True)
    ax = plot_curves(run)
    ax.figure.canvas.draw()
    assert ax.get_yscale() == "log"
    low, high = ax.get_ylim()
    ticks = [t.get_text() for t in ax.get_yticklabels() if low <= t.get_position()[1] <= high]
    assert 2 <= len(ticks) <= 8
    assert all(f"{float(text):.0e}"[0] in "125" for text in ticks)


def test_axes_follow_the_domains(results) -> None:
    axes = {axis.name: axis for axis in axes_of(results)}
    assert set(axes) == {"lr", "width", "optimizer", "momentum"}  # a constant does not vary
    assert axes["lr"].log
    assert not axes["width"].log  # though its values span three decades
    assert axes["optimizer"].levels == ("sgd", "adam")
    assert axes["optimizer"].place("adam") == 1
    ax = plot_slice(results, name="lr", resource=1)
    assert (ax.get_xscale(), ax.get_xlabel()) == ("log", "lr")
    assert ax.get_ylabel() == "accuracy after 1 epoch"
    finite = [t for t in results.trials if t.values]
    assert sum(len(line.get_xdata()) for line in ax.get_lines()) == len(finite)
    strips = plot_slice(results, name="optimizer", resource=1)
    assert [t.get_text() for t in strips.get_xticklabels()] == ["sgd", "adam"]
    momentum = plot_slice(results, name="momentum", resource=1)
    with_it = [t for t in finite if "momentum" in t.config]
    assert sum(len(line.get_xdata()) for line in momentum.get_lines()) == len(with_it)
    with pytest.raises(UsageError, match=r"a hyperparameter that varies.*got 'always'"):
        plot_slice(results, name="always")


def test_parallel_coordinates_have_a_line_for_each_trial(results) -> None:
    ax = plot_parallel(results, resource=1)
    lines = [line for line in ax.get_lines() if len(line.get_ydata()) == 5]
    assert len(lines) == sum(1 for t in results.trials if t.values)
    absent = [line for line in lines if line.get_ydata()[3] < 0]
    assert len(absent) == sum(1 for t in results.trials if "momentum" not in t.config and t.values)
    assert {"sgd", "adam", "absent", "accuracy"} <= set(texts_of(ax).split("\n"))
    darkest = max(lines, key=lambda line: line.get_zorder())
    best = max((t for t in results.trials if t.values), key=lambda t: t.values[0])
    assert darkest.get_ydata()[-1] == 1.0
    assert darkest.get_ydata()[2] == axes_of(results)[2].place(best.config["optimizer"])


def test_error_bars_of_importance_are_the_deviations_that_it_measured(results) -> None:
    found = importance(results.trials, 3)
    ax = plot_importance(results, resource=3)
    assert "standard deviation over 5 refits" in ax.get_xlabel()
    segments = ax.collections[0].get_segments()
    for segment, mean, std in zip(segments, found.mean, found.std, strict=True):
        assert segment[:, 0] == pytest.approx([mean - std, mean + std])
    assert [t.get_text() for t in ax.get_yticklabels()] == list(found.names)
    few = Results.of(SchedulerSummary((), None, 0, ()), [], [], None, finished=False)
    assert "20 trials" in texts_of(plot_importance(few))


def test_predicted_and_true_values_have_one_scale(finished) -> None:
    run = read_run(finished("swift-hyperband"))
    known = [f for f in run.forecasts() if f.true is not None]
    ax = plot_predictions(run)
    assert ax.get_xlim() == ax.get_ylim()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true loss", "predicted loss")
    assert ax.get_aspect() == 1.0
    diagonal, last, predicted = ax.get_lines()
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert len(last.get_xdata()) == len(predicted.get_xdata()) == len(known)
    errors = content(run)["forecast_errors"]
    assert f"prediction (RMSE {errors['predictor']:.3g})" in texts_of(ax)


def test_timeline_and_budget_add_up(results, finished) -> None:
    ax = plot_timeline(results)
    bars = [bar for group in ax.containers for bar in group]
    assert len(bars) == len(results.spans)
    assert "no workers" not in ax.get_xlabel()
    run = read_run(finished("swift-hyperband")).results
    budget = plot_budget(run)
    spent = sum(bar.get_width() for group in budget.containers for bar in group)
    assert spent == run.epochs + run.saved
    assert f" {run.epochs}" in texts_of(budget) or len(budget.get_yticks()) > 1


def test_intermediate_values_are_hollow_where_a_trial_ended(results) -> None:
    ax = plot_intermediate_values(results)
    hollow = [line for line in ax.get_lines() if line.get_markerfacecolor() == "none"]
    ends = [int(label.get_text()) for label in ax.get_xticklabels()]
    ended = [t for t in results.trials if len(t.values) in ends and t != results.best]
    assert len(hollow) == len(ended)
    assert ax.get_ylabel() == "accuracy"


def test_all_figures_of_one_run_are_written_and_readable_on_a_phone(finished, tmp_path) -> None:
    run = read_run(finished("swift-hyperband"))
    paths = save_figures({"run": run}, tmp_path)
    assert {path.stem for path in paths} == {
        "regret",
        *(f"run-{kind}" for kind in ("curves", "intermediate-values", "budget", "importance")),
        *(f"run-{kind}" for kind in ("parallel", "slices", "predictions", "timeline")),
    }
    ax = plot_curves(run.results)
    shrunk = 390 / (ax.figure.get_figwidth() * 72)  # pixels per point at the width of a phone
    sizes = [text.get_fontsize() for text in (*ax.get_xticklabels(), ax.xaxis.label)]
    assert min(sizes) * shrunk >= 9
    assert len({round(x) for x in ax.get_xticks()}) <= 8


def test_a_run_without_trials_or_values_is_drawn(tmp_path) -> None:
    trials = (TrialSummary(0, {"x": 1}, 0, 0, TrialStatus.FAILED, (math.nan,), "diverged"),)
    for each in ((), trials):
        run = Results.of(SchedulerSummary(each, None, len(each), ()), [], [], None, finished=False)
        for plot in (plot_curves, plot_best, plot_regret, plot_intermediate_values, plot_slice,
                     plot_parallel, plot_importance, plot_timeline, plot_budget):  # fmt: skip
            ax = plot(run)
            ax.figure.savefig(tmp_path / "figure.png")
            if plot in (plot_curves, plot_best, plot_regret):
                assert "no trial has a value yet" in texts_of(ax)


def test_predictions_need_a_run(results) -> None:
    with pytest.raises(UsageError, match="read_run"):
        plot_predictions(results)
