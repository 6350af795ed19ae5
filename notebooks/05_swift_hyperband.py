# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Swift-Hyperband against Hyperband
#
# Hyperband trains many configurations for a short time and, in rounds, fewer and fewer of them for
# longer. Swift-Hyperband (arXiv 2311.17508) looks once within each round: part of the trials are
# trained in full, the others halfway; a predictor says where these will end, and only the promising
# ones go on. The same winner for fewer epochs is the aim.
#
# Searches run on recorded curves, so that thousands of epochs take milliseconds. As in the notebook
# on performance prediction, the curves are MLPF's where the environment variable `MLPF_TABLE` names
# the file, and made up otherwise. The output shown was made with the MLPF table.

# %%
import os

import matplotlib.pyplot as plt
import numpy as np

from hpo import Hyperband, Results, SwiftASHA, SwiftHyperband, make_predictor
from hpo.predictors import BasePredictor
from hpo.report.plots import plot_curves
from hpo.simulation import TableCurveSearcher, simulate
from hpo.simulation.datasets import load_mlpf
from hpo.simulation.synthetic import synthetic_table

plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 80})
plt.rcParams["legend.loc"] = "upper right"  # the best place is slow to find among many curves

QUICK = bool(os.environ.get("NOTEBOOK_QUICK"))  # the tests take less
path = os.environ.get("MLPF_TABLE")
table = load_mlpf(path) if path else synthetic_table(296, 100, seed=0)
R = table.max_resource
print(f"{'MLPF' if path else 'synthetic'}: {len(table)} curves of {R} epochs")

# %% [markdown]
# ## One search of each
#
# The same configurations for both, in the same order; `simulate` looks their losses up.


# %%
def hyperband(searcher):
    """Build Hyperband for these curves."""
    return Hyperband(searcher, max_resource=R)


def swift(searcher):
    """Build Swift-Hyperband in the form of the paper's experiments."""
    return SwiftHyperband.as_published(searcher, max_resource=R)


def results_of(simulation):
    """Return a simulation's summary in the form that the figures take."""
    return Results.of(simulation.summary, (), (), None, finished=True)


plain = simulate(hyperband, table, seed=0)
saving = simulate(swift, table, seed=0, predictor=make_predictor("nusvr"))

figure, panels = plt.subplots(1, 2, figsize=(13, 4.6), sharey=True, layout="constrained")
for ax, name, run in zip(panels, ("Hyperband", "Swift-Hyperband"), (plain, saving), strict=True):
    plot_curves(results_of(run), ax, title=f"{name}: {run.summary.epochs} epochs")
low, high = np.quantile(table.losses, [0, 0.7])
panels[0].set_yscale("linear")
panels[0].set_ylim(low - 0.02 * (high - low), high)
plt.show()

# %% [markdown]
# Orange curves are those that a prediction stopped, at the marks; hollow marks are those that a
# prediction let go on. Everything else is as in Hyperband. The last section is about Swift-ASHA, the
# default of `hpo run`, which has no rounds.
#
# ## Epochs, over seeds and predictors
#
# A seed shuffles the configurations. "Same best" counts the seeds in which the chosen configuration
# has the loss of Hyperband's. Two controls are compared with the predictors: the last known loss
# instead of any model, and random numbers.


# %%
class RandomPredictor(BasePredictor):
    """Predicts a final loss drawn from those of the training curves."""

    def _fit(self, curves, values, context):
        self.targets_, self.seed_ = values[:, -1].copy(), context.seed

    def _predict(self, curves, values):
        return np.random.default_rng(self.seed_).choice(self.targets_, len(curves))


SEEDS = range(2 if QUICK else 6)
PREDICTORS = {
    "NuSVR": (make_predictor("nusvr", folds=0), SEEDS),
    "QSVR": (make_predictor("qsvr", folds=0), SEEDS[:3]),
    "last value": (make_predictor("last-value", folds=0), SEEDS),
    "random": (RandomPredictor(folds=0), SEEDS),
}
reference = {seed: simulate(hyperband, table, seed=seed).summary for seed in SEEDS}
epochs = {"Hyperband": [summary.epochs for summary in reference.values()]}
print(f"{'':12}{'epochs':>8}{'saved':>8}   same best")
print(f"{'Hyperband':12}{np.mean(epochs['Hyperband']):8.0f}")
for name, (predictor, seeds) in PREDICTORS.items():
    runs = {seed: simulate(swift, table, seed=seed, predictor=predictor).summary for seed in seeds}
    epochs[name] = [run.epochs for run in runs.values()]
    saved = 1 - np.mean(epochs[name]) / np.mean([reference[seed].epochs for seed in seeds])
    same = [run.best.last_loss == reference[seed].best.last_loss for seed, run in runs.items()]
    print(f"{name:12}{np.mean(epochs[name]):8.0f}{saved:8.1%}   {sum(same)} of {len(same)}")

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for row, values in enumerate(epochs.values()):
    ax.plot(values, np.full(len(values), row), "o", ms=7, alpha=0.6, color=f"C{row}")
    ax.plot(np.mean(values), row, "k|", ms=18)
ax.set(yticks=range(len(epochs)), yticklabels=epochs, xlabel="epochs spent; a dot is a seed")
ax.invert_yaxis()
plt.show()

# %% [markdown]
# Random predictions save epochs too, and lose the best configuration: the saving alone says nothing.
# The last known value is as good as the trained predictors on these curves; what Swift-Hyperband
# saves there, it saves by looking early.
#
# ## Time on many workers
#
# Epochs cost money, and time matters too. The default form of Swift-Hyperband lets workers that would
# idle before a decision train the most promising trials ahead of it, and opens the next bracket
# meanwhile.


# %%
def makespan(make, n_workers, predictor=None):
    """Return time in epochs on some workers."""
    model = None if predictor is None else make_predictor(predictor, folds=0)
    return simulate(make, table, seed=0, n_workers=n_workers, predictor=model).makespan


def swift_default(searcher):
    """Build Swift-Hyperband with its default settings."""
    return SwiftHyperband(searcher, max_resource=R)


workers = (1, 8) if QUICK else (1, 4, 8, 20, 50)
print(f"{'workers':>22}" + "".join(f"{n:8d}" for n in workers))
for name, make, predictor in (
    ("Hyperband", hyperband, None),
    ("Swift, as published", swift, "nusvr"),
    ("Swift, default", swift_default, "nusvr"),
):
    times = [makespan(make, n, predictor) for n in workers]
    print(f"{name:>22}" + "".join(f"{time:8.0f}" for time in times))

# %% [markdown]
# With one worker the two forms of Swift-Hyperband are equally quick. With many, the published form,
# which runs brackets one after the other, leaves workers idle; the default does not.
#
# ## Without rounds: Swift-ASHA
#
# Swift-ASHA is the default of `hpo run`. It has neither brackets nor rounds: every trial pauses after a
# few epochs, a forecast predicts the final losses of all of them, and a free worker gets the trial, or
# the new configuration, that is most likely to improve on the best. It spends 0.45 of Hyperband's epochs,
# and more where many workers would be idle otherwise: 1.5 full trainings for each.


# %%
def swift_asha(seed, n_workers=1):
    """Simulate Swift-ASHA; its searcher proposes rows of the table."""
    return simulate(
        lambda searcher: SwiftASHA(searcher, max_resource=R, seed=seed),
        table,
        searcher=TableCurveSearcher(table, seed),
        predictor=make_predictor("mixed"),
        n_workers=n_workers,
    )


runs = {seed: swift_asha(seed) for seed in SEEDS[:3]}
print(f"{'seed':>6}{'Hyperband':>22}{'Swift-ASHA':>22}")
for seed, run in runs.items():
    pair = (reference[seed], run.summary)
    print(f"{seed:6d}" + "".join(f"{s.epochs:8d} / {s.best.last_loss:11.5g}" for s in pair))
print("epochs / final loss of the chosen configuration; the best of all:", end=" ")
print(f"{table.losses[:, -1].min():.5g}")

figure, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
plot_curves(results_of(runs[0]), ax, title=f"Swift-ASHA: {runs[0].summary.epochs} epochs")
ax.set_yscale("linear")
ax.set_ylim(low - 0.02 * (high - low), high)
plt.show()

# %% [markdown]
# Most trials get a few epochs, and some are trained to the end. On many workers no worker waits
# for another:

# %%
print(f"{'workers':>12}" + "".join(f"{n:8d}" for n in workers))
searches = [swift_asha(0, n_workers=n) for n in workers]
print(f"{'epochs':>12}" + "".join(f"{run.summary.epochs:8d}" for run in searches))
print(f"{'time':>12}" + "".join(f"{run.makespan:8.0f}" for run in searches))
print(f"{'utilisation':>12}" + "".join(f"{run.utilisation:8.2f}" for run in searches))

# %% [markdown]
# Time is in epochs. No search takes less than one full training. With several workers the decisions
# depend on the order in which losses arrive; with one, a search repeats itself exactly.
