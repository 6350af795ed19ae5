"""Draw Hyperband's rungs and brackets, and what Swift-ASHA saves.

All three panels show searches on the same made-up learning curves, with at most 16 epochs for a
trial. Top: the first bracket of Hyperband starts 16 trials. After 1, 2, 4 and 8 epochs, its rungs,
the better half of the trials goes on and the others stop. Middle: further brackets start fewer
trials and train them longer before the first rung, since a low loss after few epochs may be
misleading. Bottom: the best final loss so far against the epochs spent. Swift-ASHA has neither
brackets nor rungs: it trains the trials whose forecast final losses are most promising, and by
default it spends 0.45 of Hyperband's epochs::

    python docs/pictures/rungs.py
"""

from __future__ import annotations

import math
from typing import Any

import style

from hpo import Hyperband, Results, SwiftASHA, make_predictor
from hpo.brackets import hyperband_brackets
from hpo.loop import NullRecorder
from hpo.simulation import CurveTable, SimulationResult, TableCurveSearcher, simulate
from hpo.simulation.synthetic import synthetic_table
from hpo.trial import Report, TrainReport

R = 16
RUNGS = (1, 2, 4, 8, 16)
FIRST = 0.5  # where bars and curves begin on the logarithmic axis


class Reports(NullRecorder):
    """Collects the reports of a simulation; their time is their number."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, Report]] = []

    def reported(self, report: Report) -> None:
        """Keep a report."""
        self.reports.append((float(len(self.reports)), report))


def hyperband(table: CurveTable) -> Results:
    """Search by Hyperband."""
    recorder = Reports()
    result = simulate(
        lambda searcher: Hyperband(searcher, max_resource=R), table, seed=1, recorder=recorder
    )
    return results(result, recorder)


def swift_asha(table: CurveTable) -> Results:
    """Search by Swift-ASHA."""
    recorder = Reports()
    result = simulate(
        lambda searcher: SwiftASHA(searcher, max_resource=R, seed=1),
        table,
        searcher=TableCurveSearcher(table, 1),
        predictor=make_predictor("mixed"),
        recorder=recorder,
    )
    return results(result, recorder)


def results(simulation: SimulationResult, recorder: Reports) -> Results:
    """Return the results of a simulation."""
    return Results.of(simulation.summary, recorder.reports, (), None, finished=True)


def draw_bracket(ax: Any, run: Results) -> None:
    """Draw the learning curves of the first bracket."""
    first = [trial for trial in run.trials if trial.bracket == run.trials[0].bracket]
    for trial in first:
        whole = len(trial.values) == R
        colour, width = (style.BLUE, 2.5) if whole else (style.GREY, 1)
        ax.plot(range(1, len(trial.values) + 1), trial.values, color=colour, lw=width)
        ax.plot(len(trial.values), trial.values[-1], "o", color=colour, ms=7 if whole else 4)
    for rung in RUNGS:
        known = sum(len(trial.values) >= rung for trial in first)
        ax.axvline(rung, color=style.GREY, lw=0.8, ls=":", zorder=0)
        text = f"{known} trial{'s' * (known > 1)}"
        ax.text(rung, 1.02, text, ha="center", transform=ax.get_xaxis_transform())
    ax.set_title("The first bracket of Hyperband", pad=28)
    ax.set(ylabel="loss", yscale="log", yticks=(0.5, 1, 2), yticklabels=("0.5", "1", "2"))
    ax.text(2.2, 1.5, "each dot is the end of a trial", color=style.GREY)


def draw_brackets(ax: Any) -> None:
    """Draw how many trials each bracket trains to each of its rungs."""
    colours = (style.BLUE, style.SKY, style.GREEN, style.YELLOW, style.ORANGE)
    brackets = hyperband_brackets(R, 2)
    for row, (bracket, colour) in enumerate(zip(brackets, colours, strict=True)):
        start = FIRST
        for rung in bracket.rungs:
            end = rung.resource
            ax.barh(row, end - start, left=start, color=colour, height=0.8, ec="white", lw=2)
            ink = "white" if colour == style.BLUE else "black"
            place = (max(start, end / 2) * end) ** 0.5
            ax.text(place, row, str(rung.n_trials), ha="center", va="center", color=ink)
            start = end
    ax.set_title("All brackets of Hyperband, with the number of trials")
    ax.set(yticks=range(len(brackets)), ylabel="bracket", xlabel="epochs of a trial")
    ax.set_yticklabels([str(number + 1) for number in range(len(brackets))])
    ax.invert_yaxis()


def draw_best(ax: Any, runs: dict[str, Results]) -> None:
    """Draw the lowest final loss so far of each search against the epochs spent."""
    for (name, run), colour in zip(runs.items(), (style.GREY, style.RED), strict=True):
        spent, best, points = 0, math.inf, []
        for _, report in run.reports:
            if isinstance(report, TrainReport):
                spent += len(report.losses)
                best = min(best, report.losses[-1]) if report.stop == R else best
                points.append((spent, best))
        ax.step(*zip(*points, strict=True), where="post", color=colour, lw=2.2)
        ax.plot(*points[-1], "o", color=colour, ms=7)
        text = f"{name}: {points[-1][0]} epochs"
        ax.annotate(
            text, points[-1], (0, -20), textcoords="offset points", ha="right", color=colour
        )
    ax.set_title("What Swift-ASHA saves")
    ax.set(xlabel="epochs spent", ylabel="best final loss so far", xlim=(0, None))
    ax.set(ylim=(0.26, 0.295), yticks=(0.26, 0.27, 0.28, 0.29))


def main() -> None:
    """Draw the picture."""
    plt = style.use()
    table = synthetic_table(200, R, seed=0)
    runs = {"Hyperband": hyperband(table), "Swift-ASHA": swift_asha(table)}
    size = (style.WIDTH, 9.5)
    figure, panels = plt.subplots(3, 1, figsize=size, layout="constrained", height_ratios=(4, 3, 3))
    draw_bracket(panels[0], runs["Hyperband"])
    draw_brackets(panels[1])
    draw_best(panels[2], runs)
    for ax in panels[:2]:
        ax.set(xscale="log", xlim=(FIRST, R * 1.12), xticks=RUNGS, xticklabels=RUNGS)
        ax.minorticks_off()
    style.save(figure, "rungs.png")


if __name__ == "__main__":
    main()
