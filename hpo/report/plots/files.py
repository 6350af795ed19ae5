"""Figures as files."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpo.report.axes import axes_of
from hpo.report.plots.best import plot_regret
from hpo.report.plots.budget import plot_budget
from hpo.report.plots.curves import plot_curves
from hpo.report.plots.hyperparameters import (
    default_resource,
    measured,
    plot_importance,
    plot_parallel,
    plot_slice,
)
from hpo.report.plots.intermediate import plot_intermediate_values
from hpo.report.plots.predictions import plot_predictions
from hpo.report.plots.style import axes_or_new
from hpo.report.plots.timeline import plot_timeline
from hpo.report.runs import Run
from hpo.run.results import Results

_SLICES = 6
"""Maximum number of hyperparameters in the figure of the slices."""


def save_figures(runs: Mapping[str, Results | Run], directory: Path) -> list[Path]:
    """Write figures as PNG files.

    Of one run these are all figures for which there is something to draw. Of several runs these are
    the learning curves of each, and the regret of all.

    Parameters
    ----------
    runs : Mapping of str to Results or Run
        Runs by name; names become file names. Predictions are drawn of a `Run` only.
    directory : Path
        Directory of the files, created if it does not exist.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    OSError
        If the directory cannot be written.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    results = {name: run.results if isinstance(run, Run) else run for name, run in runs.items()}
    figures = {f"{name}-curves": plot_curves(run, title=name) for name, run in results.items()}
    if len(runs) == 1:
        for name, run in runs.items():
            figures |= {f"{name}-{kind}": ax for kind, ax in _further(run).items()}
        figures["regret"] = plot_regret(next(iter(results.values())))
    else:
        figures["regret"] = plot_regret(results)
    paths = []
    for name, ax in figures.items():
        paths.append(directory / f"{name}.png")
        with warnings.catch_warnings():  # a letter that the font lacks is drawn as a box
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")
            ax.figure.savefig(paths[-1], dpi=150)
    return paths


def _further(run: Results | Run) -> dict[str, Any]:
    """Return the further figures of one run, as far as there is something to draw."""
    results = run.results if isinstance(run, Run) else run
    figures: dict[str, Any] = {}
    if any(trial.losses for trial in results.trials):
        figures["intermediate-values"] = plot_intermediate_values(results)
        figures["budget"] = plot_budget(results)
    if measured(results) is not None:
        figures["importance"] = plot_importance(results)
    resource = default_resource(results)
    known = [t for t in results.trials if len(t.values) >= resource]
    if axes_of(results) and any(math.isfinite(t.values[resource - 1]) for t in known):
        figures["parallel"] = plot_parallel(results)
        figures["slices"] = _slices(results)
    if isinstance(run, Run) and any(forecast.true is not None for forecast in run.forecasts()):
        figures["predictions"] = plot_predictions(run)
    if results.spans:
        figures["timeline"] = plot_timeline(results)
    return figures


def _slices(results: Results) -> Any:
    """Draw the slices of the most important hyperparameters beside each other."""
    found = measured(results)
    names = [axis.name for axis in axes_of(results)]
    if found is not None:
        names.sort(key=lambda name: found.names.index(name) if name in found.names else len(names))
    names = names[:_SLICES]
    rows = math.ceil(len(names) / 2)
    with axes_or_new(None, (7.2, 3.1 * rows)) as first:
        figure = first.figure
        first.remove()
        axes = figure.subplots(rows, min(2, len(names)), squeeze=False).flat
        handles: dict[str, Any] = {}
        for name, ax in itertools.zip_longest(names, axes):
            if name is None:
                ax.set_axis_off()
                continue
            plot_slice(results, ax, name)
            legend = ax.get_legend()
            texts = [text.get_text() for text in legend.get_texts()]
            handles |= dict(zip(texts, legend.legend_handles, strict=True))
            legend.remove()
        figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3,
                      frameon=False)  # fmt: skip
    return figure.axes[0]
