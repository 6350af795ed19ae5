"""Figures of a run with Matplotlib: one function per figure, ``plot_...(results, ax=None) -> ax``.

* `plot_curves`: learning curves of all trials by fate, with the points of decision
* `plot_best`: best value so far against epochs or seconds
* `plot_regret`: difference of the best value so far to a reference, on a logarithmic axis
* `plot_intermediate_values`: values of all trials at the ends of the rungs
* `plot_importance`: importance of the hyperparameters
* `plot_slice`: one hyperparameter against the objective
* `plot_parallel`: all hyperparameters and the objective as parallel coordinates
* `plot_predictions`: predicted against true values
* `plot_timeline`: which worker trained what, from when to when
* `plot_budget`: epochs by bracket and fate, and what decisions saved

`save_figures` writes them as files. Colours are those of `FATES`, which colour-blind readers can
tell apart; lines differ in style as well.

>>> from hpo import Results  # doctest: +SKIP
>>> ax = plot_curves(Results.from_journal(Path("run.jsonl")))  # doctest: +SKIP
>>> ax.figure.savefig("curves.png")  # doctest: +SKIP
"""

from hpo.report.plots.best import plot_best, plot_regret
from hpo.report.plots.budget import plot_budget
from hpo.report.plots.curves import plot_curves
from hpo.report.plots.fates import FATES, fates
from hpo.report.plots.files import save_figures
from hpo.report.plots.hyperparameters import plot_importance, plot_parallel, plot_slice
from hpo.report.plots.intermediate import plot_intermediate_values
from hpo.report.plots.predictions import plot_predictions
from hpo.report.plots.timeline import plot_timeline

__all__ = [
    "FATES",
    "fates",
    "plot_best",
    "plot_budget",
    "plot_curves",
    "plot_importance",
    "plot_intermediate_values",
    "plot_parallel",
    "plot_predictions",
    "plot_regret",
    "plot_slice",
    "plot_timeline",
    "save_figures",
]
